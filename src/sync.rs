//! The loom switch: loom's types when the crate is built for its models, the real ones otherwise.
//!
//! The only file that names `std::sync`, `std::thread`, parking_lot or loom. Everything that
//! synchronises goes through here, or the models would not see it. `Counted` counts the values, in
//! the models' sight. `Arc` is the standard one in both builds: what it counts is not under test,
//! and modelling it would only multiply the interleavings.

pub(crate) use self::imp::*;
pub(crate) use std::sync::Arc;
#[cfg(not(target_os = "linux"))]
pub(crate) use std::sync::OnceLock;
/// What a creator answered, or its panic.
pub(crate) use std::thread::Result as Ran;

#[cfg(not(dogpile_loom))]
mod imp {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic;
    pub(crate) use std::sync::Arc as Counted;
    pub(crate) use std::thread::ThreadId;
    pub(crate) use std::thread_local;

    pub(crate) fn current_thread() -> ThreadId {
        std::thread::current().id()
    }

    /// Runs a creator, whose panic unwinds.
    #[inline]
    pub(crate) fn run<R>(creator: impl FnOnce() -> R) -> super::Ran<R> {
        Ok(creator())
    }

    /// Starts a thread.
    #[cfg(feature = "async")]
    pub(crate) fn spawn_thread(body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("dogpile".into())
            .spawn(body)
            .map(drop)
    }

    /// Runs a future to its end on this thread.
    #[cfg(feature = "async")]
    pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
        use std::task::{Context, Poll, Wake};
        use std::thread::{current, park, Thread};

        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: super::Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = super::Arc::new(Unpark(current())).into();
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => park(),
            }
        }
    }

    /// Runs a waker, which is somebody else's code. Its panic, which the panic hook has reported,
    /// neither keeps the others from being woken nor comes over who wakes them.
    pub(crate) fn contain(wake: impl FnOnce()) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wake));
    }

    /// What is counted, to the last who has a share in it.
    pub(crate) fn last_share<T>(counted: Counted<T>) -> Option<T> {
        Counted::into_inner(counted)
    }

    /// Keeps the memory of what is counted when the last share is gone, and the value with it.
    pub(crate) fn keep_memory<T>(counted: &Counted<T>) {
        std::mem::forget(Counted::downgrade(counted));
    }

    /// As many slots as a thread has.
    pub(crate) type Slots<S, const N: usize> = [S; N];

    pub(crate) fn slots<S, const N: usize>(mut make: impl FnMut() -> S) -> Slots<S, N> {
        std::array::from_fn(|_| make())
    }

    /// Where a value will stay for as long as the process lasts.
    pub(crate) fn leak<T>(value: T) -> *mut T {
        Box::leak(Box::new(value))
    }

    /// The standard cell with loom's face.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// parking_lot's condition variable, for systems without a futex.
    #[cfg(not(target_os = "linux"))]
    pub(crate) struct Condvar(parking_lot::Condvar);

    #[cfg(not(target_os = "linux"))]
    impl Condvar {
        pub(crate) const fn new() -> Self {
            Self(parking_lot::Condvar::new())
        }

        pub(crate) fn wait<'a>(
            &self,
            mut guard: parking_lot::MutexGuard<'a, ()>,
            limit: Option<std::time::Duration>,
        ) -> parking_lot::MutexGuard<'a, ()> {
            match limit {
                None => self.0.wait(&mut guard),
                Some(limit) => drop(self.0.wait_for(&mut guard, limit)),
            }
            guard
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

#[cfg(dogpile_loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic;
    pub(crate) use loom::sync::Arc as Counted;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::thread::ThreadId;
    pub(crate) use loom::thread_local;

    pub(crate) fn current_thread() -> ThreadId {
        loom::thread::current().id()
    }

    // LOOM: its threads share one real thread, and so whether it is panicking, which poisons the
    // locks that innocent threads let go meanwhile. Nothing may be locked while unwinding: the
    // panic is held up until the lease has been given up.
    pub(crate) fn run<R>(creator: impl FnOnce() -> R) -> super::Ran<R> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(creator))
    }

    #[cfg(feature = "async")]
    pub(crate) use loom::future::block_on;

    #[cfg(feature = "async")]
    pub(crate) fn spawn_thread(body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        drop(loom::thread::spawn(body));
        Ok(())
    }

    // LOOM: its alarms are panics, and must get through.
    pub(crate) fn contain(wake: impl FnOnce()) {
        wake();
    }

    // LOOM: its `Arc` has no `into_inner`. Two who try at once may both fail here, and the value is
    // dropped; the real one gives it to one of them.
    pub(crate) fn last_share<T>(counted: Counted<T>) -> Option<T> {
        Counted::try_unwrap(counted).ok()
    }

    // LOOM: more than two would only multiply the interleavings.
    pub(crate) type Slots<S, const N: usize> = Vec<S>;

    pub(crate) fn slots<S>(make: impl FnMut() -> S) -> Vec<S> {
        std::iter::repeat_with(make)
            .take(super::model::setting().slots)
            .collect()
    }

    // LOOM: its `Arc` has no weak form; the execution is at its end where this is called.
    pub(crate) fn keep_memory<T>(_: &Counted<T>) {}

    // LOOM: runs one execution after the other; what one leaks is freed when the next one begins.
    pub(crate) fn leak<T: 'static>(value: T) -> *mut T {
        let mut value = Box::new(value);
        let place: *mut T = &mut *value;
        super::model::keep(value);
        place
    }

    /// loom's mutex with parking_lot's face: no poisoning.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poison| poison.into_inner())
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0
                .get_mut()
                .unwrap_or_else(|poison| poison.into_inner())
        }
    }

    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        // LOOM: has no clock, so a wait with a limit is one without; models end it through an
        // injected clock.
        pub(crate) fn wait<'a>(
            &self,
            guard: loom::sync::MutexGuard<'a, ()>,
            _limit: Option<std::time::Duration>,
        ) -> loom::sync::MutexGuard<'a, ()> {
            self.0
                .wait(guard)
                .unwrap_or_else(|poison| poison.into_inner())
        }
    }
}

/// Statics; under loom new ones for each execution.
macro_rules! statics {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        #[cfg(not(dogpile_loom))]
        $($(#[$attr])* static $name: $type = $init;)*
        #[cfg(dogpile_loom)]
        loom::lazy_static! { $($(#[$attr])* static ref $name: $type = $init;)* }
    };
}
pub(crate) use statics;

/// A thread-local that is there from the start, without a look whether it is; under loom, which
/// knows no such thing, an ordinary one.
macro_rules! thread_local_const {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        #[cfg(not(dogpile_loom))]
        std::thread_local! { $(#[$attr])* static $name: $type = const { $init } }
        #[cfg(dogpile_loom)]
        loom::thread_local! { $(#[$attr])* static $name: $type = $init }
    };
}
pub(crate) use thread_local_const;

/// Makes a function `const`, but not under loom, whose types have no const constructors.
macro_rules! const_unless_loom {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(dogpile_loom))]
        $(#[$attr])*
        $vis const fn $($rest)*
        #[cfg(dogpile_loom)]
        $(#[$attr])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// What models need besides: a setting that they may vary, and what lasts for one execution.
// LOOM: runs all threads of a model on one real thread, so what is thread-local to the standard
// library is common to them, and to no other model.
#[cfg(dogpile_loom)]
pub(crate) mod model {
    use std::any::Any;
    use std::cell::{Cell, RefCell};

    /// The forms of the barrier; see `raw/barrier.rs`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Barrier {
        Fences,
        #[cfg(test)]
        Words,
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Setting {
        pub(crate) barrier: Barrier,
        /// How many slots a thread has.
        pub(crate) slots: usize,
    }

    std::thread_local! {
        static SETTING: Cell<Setting> = const {
            Cell::new(Setting { barrier: Barrier::Fences, slots: 1 })
        };
        /// Whether the heavy half of the barrier is refused now.
        static REFUSED: Cell<bool> = const { Cell::new(false) };
        static THREADS: Cell<usize> = const { Cell::new(0) };
        static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    }

    loom::lazy_static! {
        // Made anew by each execution, when nothing of the one before it is in use any more.
        static ref BEGUN: () = {
            THREADS.set(0);
            REFUSED.set(false);
            KEPT.take();
        };
    }

    #[cfg(test)]
    loom::thread_local! {
        static THREAD: usize = {
            *BEGUN;
            THREADS.set(THREADS.get() + 1);
            THREADS.get() - 1
        };
    }

    impl Setting {
        /// For the executions to come.
        #[cfg(test)]
        pub(crate) fn apply(self) {
            SETTING.set(self);
        }
    }

    /// For the rest of the execution.
    #[cfg(test)]
    pub(crate) fn refuse_barriers(refuse: bool) {
        *BEGUN;
        REFUSED.set(refuse);
    }

    pub(crate) fn setting() -> Setting {
        SETTING.get()
    }

    /// Keeps something for as long as the execution lasts.
    pub(super) fn keep(thing: Box<dyn Any>) {
        *BEGUN;
        KEPT.with_borrow_mut(|kept| kept.push(thing));
    }

    /// Numbers the threads, in the order in which they ask.
    #[cfg(test)]
    pub(crate) fn thread() -> usize {
        THREAD.with(|thread| *thread)
    }

    pub(crate) fn is_barrier_refused() -> bool {
        REFUSED.get()
    }
}
