//! One word that threads and tasks sleep on until it is set, once and for good.

use std::task::{Wake, Waker};
use std::time::Duration;

#[cfg(feature = "async")]
use crate::raw::wait::wakers::{Place, Tasks};
use crate::shim::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
#[cfg(feature = "async")]
use crate::shim::{Mutex, contain};
use crate::time::{SleepPlan, Tick, Time};

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
    parker: parker::Parker,
    #[cfg(feature = "async")]
    tasks: Mutex<Tasks>,
}

/// What a sleeper finds who looks at the word and the clock.
enum Look {
    Set,
    /// The deadline has passed.
    Over,
    /// It is to sleep while the word is as `seen`, at most for `limit`.
    Sleep {
        seen: u32,
        limit: Option<Duration>,
    },
}

/// What a task finds who looks for the end of something.
#[cfg(feature = "async")]
pub(crate) enum Rest<O> {
    Set(O),
    /// The deadline has passed.
    Over,
    /// It will be woken; but for the end of this time, by a timer only.
    Asleep(Option<Duration>),
}

#[cfg(feature = "async")]
impl<O> Rest<O> {
    pub(crate) fn map<P>(self, set: impl FnOnce(O) -> P) -> Rest<P> {
        match self {
            Rest::Set(outcome) => Rest::Set(set(outcome)),
            Rest::Over => Rest::Over,
            Rest::Asleep(limit) => Rest::Asleep(limit),
        }
    }
}

const SET: u32 = 1;
const NUDGE: u32 = 2;

impl Event {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            parker: parker::Parker::new(),
            #[cfg(feature = "async")]
            tasks: Mutex::new(Tasks::new()),
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
        self.wake_all();
    }

    /// Sleeps until it is set, or until `deadline`. Says whether it is set, which it may be at the
    /// very deadline.
    pub(crate) fn wait(self: &Arc<Self>, time: &Time, deadline: Option<Tick>) -> bool {
        loop {
            match self.look(time, deadline) {
                Look::Set => return true,
                Look::Over => return self.is_set(),
                Look::Sleep { seen, limit } => self.parker.sleep(&self.word, seen, limit),
            }
        }
    }

    /// As [`wait`](Event::wait), but has a task woken instead of sleeping. `place` is the task's,
    /// to be given back by [`leave`](Event::leave).
    #[cfg(feature = "async")]
    pub(in crate::raw) fn poll(
        self: &Arc<Self>,
        place: &mut Option<Place>,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Rest<()> {
        loop {
            match self.look(time, deadline) {
                Look::Set => return Rest::Set(()),
                Look::Over if self.is_set() => return Rest::Set(()),
                Look::Over => return Rest::Over,
                Look::Sleep { seen, limit } => {
                    if self.register(place, seen, waker) {
                        return Rest::Asleep(limit);
                    }
                }
            }
        }
    }

    /// Forgets the task that has this place. Once the event is set there is nothing to forget, and
    /// no lock is taken.
    #[cfg(feature = "async")]
    pub(in crate::raw) fn leave(&self, place: Place) {
        if !self.is_set() {
            let waker = self.tasks.lock().remove(place);
            drop(waker); // Not under the lock: it is user code.
        }
    }

    fn look(self: &Arc<Self>, time: &Time, deadline: Option<Tick>) -> Look {
        // ORDERING: pairs with the release in `set`, as in `is_set`, and with the one in
        // `wake_by_ref`: who sees the nudge sees the time that it announces.
        let seen = self.word.load(Ordering::Acquire);
        if seen & SET != 0 {
            return Look::Set;
        }
        let plan =
            deadline.map(|deadline| time.sleep_plan(deadline, || Waker::from(Arc::clone(self))));
        let limit = match plan {
            Some(SleepPlan::Over) => return Look::Over,
            Some(SleepPlan::For(limit)) => Some(limit),
            Some(SleepPlan::UntilWoken) | None => None,
        };
        Look::Sleep { seen, limit }
    }

    /// Has the task woken at the next change of the word; `false` if it is not as `seen` any more.
    #[cfg(feature = "async")]
    fn register(&self, place: &mut Option<Place>, seen: u32, waker: &Waker) -> bool {
        // Whoever changes the word takes the list after that.
        if place.is_some_and(|place| self.tasks.lock().will_wake(place, waker)) {
            return true;
        }
        // Cloned and dropped outside the lock: a waker is user code.
        let waker = waker.clone();
        let mut tasks = self.tasks.lock();
        // ORDERING: relaxed: only to decide about sleeping, under the lock that `wake_all` passes
        // through after the word has changed. Whoever acts on the word loads it again.
        if self.word.load(Ordering::Relaxed) == seen {
            let old = tasks.put(place, waker);
            drop(tasks);
            drop(old);
            true
        } else {
            drop(tasks);
            drop(waker);
            false
        }
    }

    /// Wakes everybody, together. The word has changed.
    fn wake_all(&self) {
        self.parker.wake_all(&self.word);
        #[cfg(feature = "async")]
        {
            let tasks = self.tasks.lock().take();
            for waker in tasks {
                contain(|| waker.wake());
            }
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
        self.wake_all();
    }
}

/// Where sleepers lie: in the kernel, on the word itself.
#[cfg(all(target_os = "linux", not(any(dogpile_loom, dogpile_shuttle))))]
mod parker {
    use super::{AtomicU32, Duration};
    use rustix::io::Errno;
    use rustix::thread::futex;
    use rustix::time::Timespec;

    pub(in crate::raw) struct Parker;

    impl Parker {
        pub(in crate::raw) fn new() -> Self {
            Parker
        }

        /// Sleeps while the word is as `seen`, at most for `limit`; may return early.
        pub(in crate::raw) fn sleep(&self, word: &AtomicU32, seen: u32, limit: Option<Duration>) {
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

        pub(in crate::raw) fn wake_all(&self, word: &AtomicU32) {
            // The count is the kernel's int: this is "all". It fails for bad addresses only.
            let woken = futex::wake(word, futex::Flags::PRIVATE, i32::MAX as u32);
            debug_assert!(woken.is_ok(), "futex(FUTEX_WAKE) on a live word: {woken:?}");
        }
    }
}

/// Where sleepers lie: on a condition variable, where there is no futex, and under the models.
#[cfg(any(not(target_os = "linux"), dogpile_loom, dogpile_shuttle))]
mod parker {
    use super::{AtomicU32, Duration, Ordering};
    use crate::shim::{Condvar, Mutex};

    pub(in crate::raw) struct Parker {
        lock: Mutex<()>,
        condvar: Condvar,
    }

    impl Parker {
        pub(in crate::raw) fn new() -> Self {
            Self {
                lock: Mutex::new(()),
                condvar: Condvar::new(),
            }
        }

        /// Sleeps while the word is as `seen`, at most for `limit`; may return early.
        pub(in crate::raw) fn sleep(&self, word: &AtomicU32, seen: u32, limit: Option<Duration>) {
            let guard = self.lock.lock();
            // ORDERING: relaxed: only to decide about sleeping, under the lock that `wake_all`
            // passes through after the word has changed. Whoever acts on the word loads it again.
            if word.load(Ordering::Relaxed) == seen {
                drop(self.condvar.wait(guard, limit));
            }
        }

        pub(in crate::raw) fn wake_all(&self, _word: &AtomicU32) {
            // Whoever saw the old word and holds the lock is asleep, and heard, once the lock has
            // been had.
            drop(self.lock.lock());
            self.condvar.notify_all();
        }
    }
}
