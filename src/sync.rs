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
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic;
    pub(crate) use std::sync::Arc as Counted;
    pub(crate) use std::thread_local;

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
    use loom::sync::MutexGuard;
    pub(crate) use loom::thread_local;

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

        pub(crate) fn into_inner(self) -> T {
            self.0
                .into_inner()
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
