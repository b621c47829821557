//! What the crate is made of when it is no model: the standard library and parking_lot.

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::Arc as Counted;
pub(crate) use std::sync::atomic;
pub(crate) use std::thread::ThreadId;
pub(crate) use std::thread_local;

pub(crate) fn current_thread() -> ThreadId {
    std::thread::current().id()
}

/// How many threads run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs a creator. Its panic is held up until those who wait have been told of it.
pub(crate) fn run<R>(creator: impl FnOnce() -> R) -> super::Ran<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(creator))
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
///
/// It does not sleep by the thread's own token, which belongs to everybody: a poll that parks as
/// well would take it away, and the wake-up with it.
#[cfg(feature = "async")]
pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Wake};

    #[derive(Default)]
    struct Bell {
        rung: Mutex<bool>,
        ringing: parking_lot::Condvar,
    }
    impl Wake for Bell {
        fn wake(self: super::Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &super::Arc<Self>) {
            *self.rung.lock() = true;
            self.ringing.notify_one();
        }
    }
    let bell = super::Arc::new(Bell::default());
    let waker = super::Arc::clone(&bell).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                let mut rung = bell.rung.lock();
                while !*rung {
                    bell.ringing.wait(&mut rung);
                }
                *rung = false;
            }
        }
    }
}

/// Runs somebody else's code, a waker as a rule, and keeps its panic from the caller. So the caller
/// goes on, to wake the others. The panic hook has reported the panic.
pub(crate) fn contain(foreign: impl FnOnce()) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) else {
        return;
    };
    // What a panic carries is somebody else's too, and its `Drop` can panic. What that panic carries
    // is leaked: to drop it could go on like this for ever.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
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

/// Statics.
macro_rules! statics {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        $($(#[$attr])* static $name: $type = $init;)*
    };
}
pub(crate) use statics;

/// A static that threads may still use when they end.
macro_rules! lasting_static {
    ($(#[$attr:meta])* $vis:vis fn $name:ident() -> $type:ty { $init:expr }) => {
        $(#[$attr])*
        $vis fn $name() -> crate::shim::Lasting<$type> {
            static IT: $type = $init;
            &IT
        }
    };
}
pub(crate) use lasting_static;

pub(crate) type Lasting<T> = &'static T;

/// Locks what is never locked for long. None if it stays locked: the thread that locked it may not be
/// there, in a child process that was forked.
pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        if let Some(locked) = mutex.try_lock() {
            return Some(locked);
        }
        std::thread::yield_now();
    }
    None
}

/// A thread-local that is there from the start, without a look whether it is.
macro_rules! thread_local_const {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        std::thread_local! { $(#[$attr])* static $name: $type = const { $init } }
    };
}
pub(crate) use thread_local_const;

/// Makes a function `const`, but not under loom, whose types have no const constructors.
macro_rules! const_unless_loom {
    ($($function:tt)*) => { $($function)* };
}
pub(crate) use const_unless_loom;

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_cores_as_the_system_says() {
        let parallelism = std::thread::available_parallelism();
        assert_eq!(parallelism.unwrap().get(), cores());
    }

    #[test]
    fn what_is_locked_for_good_is_given_up() {
        let mutex = Mutex::new(7);
        let locked = lock_soon(&mutex).unwrap();
        assert_eq!(*locked, 7);
        assert!(lock_soon(&mutex).is_none());
        drop(locked);
        assert!(lock_soon(&mutex).is_some());
    }

    /// A future that another thread wakes is polled once more, and not before.
    #[cfg(feature = "async")]
    #[test]
    fn a_future_is_polled_when_it_was_woken() {
        use std::sync::mpsc::channel;
        use std::task::{Poll, Waker};
        use std::time::Duration;

        const ROUNDS: usize = 300;
        let (done, is_done) = channel();
        std::thread::spawn(move || {
            let woken = crate::shim::Arc::new(Mutex::new(0));
            let (sleeps, sleeper) = channel::<Waker>();
            let wakes = crate::shim::Arc::clone(&woken);
            std::thread::spawn(move || {
                for (round, waker) in sleeper.into_iter().enumerate() {
                    // In part before the other sleeps, in part after that.
                    for _ in 0..round {
                        std::thread::yield_now();
                    }
                    *wakes.lock() += 1;
                    match round % 2 {
                        0 => waker.wake(),
                        _ => waker.wake_by_ref(),
                    }
                }
            });
            let mut polls = 0;
            block_on(std::future::poll_fn(|context| {
                polls += 1;
                assert_eq!(*woken.lock(), polls - 1);
                if polls > ROUNDS {
                    return Poll::Ready(());
                }
                sleeps.send(context.waker().clone()).unwrap();
                Poll::Pending
            }));
            done.send(polls).unwrap();
        });
        let polls = is_done.recv_timeout(Duration::from_secs(180));
        assert_eq!(polls, Ok(ROUNDS + 1));
    }
}
