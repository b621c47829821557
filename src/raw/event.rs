//! One word that threads sleep on until it is set, once and for good.

use std::task::{Wake, Waker};
use std::time::Duration;

use crate::clock::{Nap, Tick, Time};
use crate::sync::{
    atomic::{AtomicU32, Ordering},
    Arc,
};

/// Set once, waited for by many.
///
/// The lowest bit of the word says "set"; the rest counts nudges, which make a sleeper look at the
/// clock again. Both change the word before anybody is woken, so a sleeper that saw the old word is
/// not put to sleep by the new one.
///
/// A sleeper can also be woken for no reason. It looks at the word and the clock, and goes back to
/// sleep.
pub(crate) struct Event {
    word: AtomicU32,
    bed: bed::Bed,
}

const SET: u32 = 1;
const NUDGE: u32 = 2;

impl Event {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            bed: bed::Bed::new(),
        }
    }

    /// Whether it is set; what was written before [`set`](Event::set) is then visible.
    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: pairs with the release in `set`: who sees the bit sees what was written before
        // it.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Sets it and wakes everybody, together.
    pub(crate) fn set(&self) {
        // ORDERING: pairs with the acquire in `is_set` and `wait`: publishes what was written
        // before.
        let before = self.word.fetch_or(SET, Ordering::Release);
        debug_assert_eq!(before & SET, 0, "an event is set once");
        self.bed.wake_all(&self.word);
    }

    /// Sleeps until it is set, or until `deadline`. Says whether it is set, which it may be at the
    /// very deadline.
    pub(crate) fn wait(self: &Arc<Self>, time: &Time, deadline: Option<Tick>) -> bool {
        loop {
            // ORDERING: pairs with the release in `set`, as in `is_set`, and with the one in
            // `wake_by_ref`: who sees the nudge sees the time that it announces.
            let seen = self.word.load(Ordering::Acquire);
            if seen & SET != 0 {
                return true;
            }
            let limit = match deadline
                .map(|deadline| time.nap(deadline, || Waker::from(Arc::clone(self))))
            {
                Some(Nap::Over) => return self.is_set(),
                Some(Nap::For(limit)) => Some(limit),
                Some(Nap::UntilWoken) | None => None,
            };
            self.bed.sleep(&self.word, seen, limit);
        }
    }
}

/// As a waker it makes sleepers look at the clock again.
impl Wake for Event {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING: pairs with the acquire in `wait`: publishes the new time.
        self.word.fetch_add(NUDGE, Ordering::Release);
        self.bed.wake_all(&self.word);
    }
}

/// Where sleepers lie: in the kernel, on the word itself.
#[cfg(all(target_os = "linux", not(dogpile_loom)))]
mod bed {
    use super::{AtomicU32, Duration};
    use rustix::io::Errno;
    use rustix::thread::futex;
    use rustix::time::Timespec;

    pub(super) struct Bed;

    impl Bed {
        pub(super) fn new() -> Self {
            Bed
        }

        /// Sleeps while the word is as `seen`, at most for `limit`; may return early.
        pub(super) fn sleep(&self, word: &AtomicU32, seen: u32, limit: Option<Duration>) {
            // A limit beyond the kernel's range is none.
            let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
            let woken = futex::wait(word, futex::Flags::PRIVATE, seen, limit.as_ref());
            // Woken; or the word had changed already; or a signal; or the time is over. The caller
            // looks in any case.
            debug_assert!(
                matches!(
                    woken,
                    Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT)
                ),
                "futex(FUTEX_WAIT) on a live word: {woken:?}"
            );
        }

        pub(super) fn wake_all(&self, word: &AtomicU32) {
            // The count is the kernel's int: this is "all". It fails for bad addresses only.
            let woken = futex::wake(word, futex::Flags::PRIVATE, i32::MAX as u32);
            debug_assert!(woken.is_ok(), "futex(FUTEX_WAKE) on a live word: {woken:?}");
        }
    }
}

/// Where sleepers lie: on a condition variable, where there is no futex, and under the models.
#[cfg(any(not(target_os = "linux"), dogpile_loom))]
mod bed {
    use super::{AtomicU32, Duration, Ordering};
    use crate::sync::{Condvar, Mutex};

    pub(super) struct Bed {
        lock: Mutex<()>,
        condvar: Condvar,
    }

    impl Bed {
        pub(super) fn new() -> Self {
            Self {
                lock: Mutex::new(()),
                condvar: Condvar::new(),
            }
        }

        /// Sleeps while the word is as `seen`, at most for `limit`; may return early.
        pub(super) fn sleep(&self, word: &AtomicU32, seen: u32, limit: Option<Duration>) {
            let guard = self.lock.lock();
            // ORDERING: relaxed: only to decide about sleeping, under the lock that `wake_all`
            // passes through after the word has changed. Whoever acts on the word loads it again.
            if word.load(Ordering::Relaxed) == seen {
                drop(self.condvar.wait(guard, limit));
            }
        }

        pub(super) fn wake_all(&self, _word: &AtomicU32) {
            // Whoever saw the old word and holds the lock is asleep, and heard, once the lock has
            // been had.
            drop(self.lock.lock());
            self.condvar.notify_all();
        }
    }
}
