//! loom's types, with the face of the real ones.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Arc as Counted;
pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic;
pub(crate) use loom::thread::ThreadId;
pub(crate) use loom::thread_local;

pub(crate) fn current_thread() -> ThreadId {
    loom::thread::current().id()
}

// LOOM: what many threads would share less, two shall share.
pub(crate) fn cores() -> usize {
    1
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
        .take(model::setting().slots)
        .collect()
}

// LOOM: its `Arc` has no weak form; the execution is at its end where this is called.
pub(crate) fn keep_memory<T>(_: &Counted<T>) {}

// LOOM: runs one execution after the other; what one leaks is freed when the next one begins.
pub(crate) fn leak<T: 'static>(value: T) -> *mut T {
    let mut value = Box::new(value);
    let place: *mut T = &mut *value;
    model::keep(value);
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

/// Statics: new ones for each execution.
macro_rules! statics {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        loom::lazy_static! { $($(#[$attr])* static ref $name: $type = $init;)* }
    };
}
pub(crate) use statics;

// LOOM: a thread may end when the statics of its execution are gone already.
macro_rules! lasting_static {
    ($(#[$attr:meta])* $vis:vis fn $name:ident() -> $type:ty { $init:expr }) => {
        $(#[$attr])*
        $vis fn $name() -> crate::shim::Lasting<$type> {
            crate::shim::statics! {
                static IT: crate::shim::Lasting<$type> = crate::shim::Arc::new($init);
            }
            crate::shim::Arc::clone(&IT)
        }
    };
}
pub(crate) use lasting_static;

pub(crate) type Lasting<T> = super::Arc<T>;

pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    Some(mutex.lock())
}

// LOOM: knows no thread-local that is there from the start.
macro_rules! thread_local_const {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        loom::thread_local! { $(#[$attr])* static $name: $type = $init }
    };
}
pub(crate) use thread_local_const;

// LOOM: its types have no const constructors.
macro_rules! const_unless_loom {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => {
        $(#[$attr])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// What models need besides: a setting that they may vary, and what lasts for one execution.
// LOOM: runs all threads of a model on one real thread, so what is thread-local to the standard
// library is common to them, and to no other model.
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
        /// How many slots a record has.
        pub(crate) slots: usize,
        /// How many records a thread has at most.
        pub(crate) records: usize,
        /// Whether a thread has a slot to show what it counts on.
        pub(crate) transit: bool,
        /// How many nodes in a row that came soon make it often; never, if none.
        pub(crate) often: Option<u8>,
        /// How many times a thread reads a fenced node until that is for long; never, if none.
        pub(crate) long: Option<u32>,
        /// Whether the heavy half of the barrier may come to be refused.
        pub(crate) may_be_refused: bool,
    }

    std::thread_local! {
        static SETTING: Cell<Setting> = const {
            Cell::new(Setting::DEFAULT)
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
        pub(crate) const DEFAULT: Setting = Setting {
            barrier: Barrier::Fences,
            slots: 1,
            records: 1,
            transit: false,
            often: None,
            long: None,
            may_be_refused: false,
        };

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

    /// Marks the threads, in the order in which they ask.
    #[cfg(test)]
    pub(crate) fn thread() -> usize {
        THREAD.with(|thread| *thread)
    }

    pub(crate) fn may_be_refused() -> bool {
        setting().may_be_refused
    }

    pub(crate) fn is_barrier_refused() -> bool {
        REFUSED.get()
    }
}
