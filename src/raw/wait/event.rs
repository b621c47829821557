//! An event: a word that threads and tasks sleep on until it is set, once and for good.

use std::task::{Wake, Waker};
use std::time::Duration;

#[cfg(feature = "async")]
use crate::raw::wait::wakers::{WakerKey, Wakers};
use crate::shim::{
    Arc, ArcWeak, Mutex,
    atomic::{AtomicU32, Ordering},
};
#[cfg(feature = "async")]
use crate::shim::{atomic::AtomicBool, contain};
use crate::time::{Clock, SleepPlan, Tick, Time};

/// Something that happens once, and that many can wait for.
///
/// The lowest bit of the word says "set". The other bits count nudges: a nudge makes each sleeper look
/// at the clock again. The word changes before anybody is woken, and a sleeper goes to sleep only
/// while the word is as it was when the sleeper looked. So no change is slept through.
///
/// A sleeper can also wake up for no reason. It looks at the word and the clock, and goes back to
/// sleep.
pub(crate) struct Event {
    word: AtomicU32,
    parker: parker::Parker,
    #[cfg(feature = "async")]
    wakers: Mutex<Wakers>,
    /// Whether it is set, and tasks are to be woken still, and none that was woken lends a hand.
    #[cfg(feature = "async")]
    wants_help: AtomicBool,
    /// How a clock that is moved by hand wakes the sleepers. In a box, since most events have none.
    nudger: Mutex<Option<Box<Nudger>>>,
}

/// The waker that a clock is given. One waker serves all sleepers of an event, so a clock need keep
/// no more than one for each event, however often the sleepers look. The event has the clock forget it
/// when the event is dropped.
struct Nudger {
    waker: Waker,
    /// Whether the clock ever took it.
    taken: bool,
    time: Time,
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

/// What a task finds when it polls for the end of something.
#[cfg(feature = "async")]
pub(crate) enum Polled<O> {
    /// The end is there, with this outcome.
    Set(O),
    /// The deadline has passed.
    Over,
    /// The task will be woken at the end. If there is a time, only a timer wakes it after that time.
    Asleep(Option<Duration>),
}

#[cfg(feature = "async")]
impl<O> Polled<O> {
    pub(crate) fn map<P>(self, set: impl FnOnce(O) -> P) -> Polled<P> {
        match self {
            Polled::Set(outcome) => Polled::Set(set(outcome)),
            Polled::Over => Polled::Over,
            Polled::Asleep(limit) => Polled::Asleep(limit),
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
            wakers: Mutex::new(Wakers::new()),
            #[cfg(feature = "async")]
            wants_help: AtomicBool::new(false),
            nudger: Mutex::new(None),
        }
    }

    /// Whether the event is set. If so, what was written before [`set`](Event::set) is visible.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: pairs with the release in `set`: who sees the bit sees what was written before
        // it.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Sets the event and wakes all sleepers together. Some of the tasks may be woken by others of them, just
    /// after it returns.
    pub(crate) fn set(&self) {
        // ORDERING: pairs with the acquire in `is_set` and `wait`: publishes what was written
        // before.
        let before = self.word.fetch_or(SET, Ordering::Release);
        debug_assert_eq!(before & SET, 0, "an event is set once");
        self.parker.wake_all(&self.word);
        #[cfg(feature = "async")]
        {
            // ORDERING: relaxed: a hint. Nobody is owed anything by those who help.
            self.wants_help.store(true, Ordering::Relaxed);
            while self.wake_some() {}
        }
    }

    /// Wakes some of the tasks, once it is set. Says whether more may be left. Nobody comes any more, so
    /// whoever goes on until none is left has seen to all.
    #[cfg(feature = "async")]
    fn wake_some(&self) -> bool {
        let some = self.wakers.lock().take_some();
        let may_be_more = some.last().is_some_and(Option::is_some);
        wake(some.into_iter().flatten());
        may_be_more
    }

    /// Wakes some of the others, for a task that was woken before they are: so its worker has them at hand. Else
    /// that worker has nothing to do, sleeps, and is woken by the kernel for the next one, again and again,
    /// which takes longer than all else.
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) fn help(&self) {
        // ORDERING: relaxed: a hint.
        if self.wants_help.load(Ordering::Relaxed) {
            self.help_once();
        }
    }

    #[cfg(feature = "async")]
    #[cold]
    #[inline(never)]
    fn help_once(&self) {
        // One at a time: where a waker polls its task at once, that one does not help in its turn.
        // ORDERING: relaxed: a hint, both.
        if self.wants_help.swap(false, Ordering::Relaxed) && self.wake_some() {
            self.wants_help.store(true, Ordering::Relaxed);
        }
    }

    /// Sleeps until the event is set, or until `deadline`. Says whether it is set, which it can be at
    /// the very deadline.
    pub(crate) fn wait(self: &Arc<Self>, time: &Time, deadline: Option<Tick>) -> bool {
        loop {
            match self.look(time, deadline) {
                Look::Set => return true,
                Look::Over => return self.is_set(),
                Look::Sleep { seen, limit } => self.parker.sleep(&self.word, seen, limit),
            }
        }
    }

    /// As [`wait`](Event::wait), for a task: instead of sleeping, it leaves its waker. `key` belongs
    /// to the task, which gives it back by [`leave`](Event::leave).
    #[cfg(feature = "async")]
    pub(in crate::raw) fn poll(
        self: &Arc<Self>,
        key: &mut Option<WakerKey>,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Polled<()> {
        loop {
            match self.look(time, deadline) {
                Look::Set => return Polled::Set(()),
                Look::Over if self.is_set() => return Polled::Set(()),
                Look::Over => return Polled::Over,
                Look::Sleep { seen, limit } => {
                    if self.register(key, seen, waker) {
                        return Polled::Asleep(limit);
                    }
                }
            }
        }
    }

    /// Forgets the waker of the task that has this key. After the event is set there is no waker left,
    /// and no lock is taken.
    #[cfg(feature = "async")]
    pub(in crate::raw) fn leave(&self, key: WakerKey) {
        if !self.is_set() {
            let waker = self.wakers.lock().remove(key);
            drop(waker); // Not under the lock: it is user code.
        }
    }

    fn look(self: &Arc<Self>, time: &Time, deadline: Option<Tick>) -> Look {
        // ORDERING: pairs with the release in `set`, as in `is_set`, and with the one in
        // `nudge`: who sees the nudge sees the time that it announces.
        let seen = self.word.load(Ordering::Acquire);
        if seen & SET != 0 {
            return Look::Set;
        }
        let plan = deadline
            .map(|deadline| time.sleep_plan(deadline, |clock| self.is_nudged_by(clock, time)));
        let limit = match plan {
            Some(SleepPlan::Over) => return Look::Over,
            Some(SleepPlan::For(limit)) => Some(limit),
            Some(SleepPlan::UntilWoken) | None => None,
        };
        Look::Sleep { seen, limit }
    }

    /// Gives the clock the waker of this event. Says whether the clock will call it when it is moved.
    fn is_nudged_by(self: &Arc<Self>, clock: &dyn Clock, time: &Time) -> bool {
        let mut nudger = self.nudger.lock();
        let known = nudger.get_or_insert_with(|| {
            Box::new(Nudger {
                waker: Waker::from(Arc::new(Nudge(Arc::downgrade(self)))),
                taken: false,
                time: time.clone(),
            })
        });
        let waker = known.waker.clone();
        drop(nudger);
        // Not under the lock: the clock is somebody else's code.
        let taken = clock.on_advance(&waker);
        if let Some(known) = &mut *self.nudger.lock() {
            known.taken |= taken;
        }
        taken
    }

    /// Makes all sleepers look at the clock again.
    fn nudge(&self) {
        // ORDERING: pairs with the acquire in `look`: publishes the new time.
        self.word.fetch_add(NUDGE, Ordering::Release);
        self.parker.wake_all(&self.word);
        #[cfg(feature = "async")]
        {
            let wakers = self.wakers.lock().take();
            wake(wakers);
        }
    }

    /// Has the task woken at the next change of the word. `false` if the word has changed already.
    #[cfg(feature = "async")]
    fn register(&self, key: &mut Option<WakerKey>, seen: u32, waker: &Waker) -> bool {
        // Whoever changes the word takes the list after that.
        if key.is_some_and(|key| self.wakers.lock().will_wake(key, waker)) {
            return true;
        }
        // Cloned and dropped outside the lock: a waker is user code.
        let waker = waker.clone();
        let mut wakers = self.wakers.lock();
        // ORDERING: relaxed: only to decide about sleeping, under the lock that `wake_some` and
        // `nudge` pass through after the word has changed. Whoever acts on the word loads it again.
        if self.word.load(Ordering::Relaxed) == seen {
            let old = wakers.put(key, waker);
            drop(wakers);
            drop(old);
            true
        } else {
            drop(wakers);
            drop(waker);
            false
        }
    }
}

/// Not to be called under a lock: a waker is user code.
#[cfg(feature = "async")]
fn wake(wakers: impl Iterator<Item = Waker>) {
    for waker in wakers {
        contain(|| waker.wake());
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let Some(nudger) = self.nudger.get_mut().take() else {
            return;
        };
        if nudger.taken {
            nudger.time.forget(&nudger.waker);
        }
    }
}

/// An event as a waker. It does not keep the event alive: nobody sleeps on one that is gone.
struct Nudge(ArcWeak<Event>);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(event) = self.0.upgrade() {
            event.nudge();
        }
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

#[cfg(all(test, feature = "async", not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use std::task::{RawWaker, RawWakerVTable};

    use super::*;
    use crate::shim::atomic::AtomicUsize;
    use crate::time::ManualClock;

    const DEADLINE: Tick = Tick::from_nanos(1);

    type Act = Box<dyn FnOnce() + Send>;

    /// A clock that does something when it is asked for the time for the first time.
    struct Acting {
        act: Mutex<Option<Act>>,
        now: Tick,
        takes: bool,
        forgotten: AtomicUsize,
    }

    impl Acting {
        fn new(now: Tick, act: impl FnOnce() + Send + 'static) -> Arc<Self> {
            Arc::new(Self {
                act: Mutex::new(Some(Box::new(act))),
                now,
                takes: false,
                forgotten: AtomicUsize::new(0),
            })
        }
    }

    impl Clock for Acting {
        fn now(&self) -> Tick {
            let act = self.act.lock().take();
            act.into_iter().for_each(|act| act());
            self.now
        }

        fn on_advance(&self, _sleeper: &Waker) -> bool {
            self.takes
        }

        fn forget(&self, _sleeper: &Waker) {
            // ORDERING: relaxed: a count, on one thread.
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn time(clock: &Arc<Acting>) -> Time {
        let mut time = Time::system();
        time.inject(Arc::clone(clock) as Arc<dyn Clock>);
        time
    }

    /// It is set when the time is over already, before the sleeper leaves.
    #[test]
    fn what_is_set_at_the_very_deadline_is_set() {
        let set = |event: &Arc<Event>| {
            let event = Arc::clone(event);
            Acting::new(DEADLINE, move || event.set())
        };
        let event = Arc::new(Event::new());
        assert!(event.wait(&time(&set(&event)), Some(DEADLINE)));
        let event = Arc::new(Event::new());
        let time = time(&set(&event));
        let polled = event.poll(&mut None, &time, Some(DEADLINE), Waker::noop());
        assert!(matches!(polled, Polled::Set(())));
    }

    /// A clock that has taken no waker is not told to forget one.
    #[test]
    fn what_a_clock_has_not_taken_it_need_not_forget() {
        for takes in [false, true] {
            let clock = Acting {
                act: Mutex::new(None),
                now: Tick::ZERO,
                takes,
                forgotten: AtomicUsize::new(0),
            };
            let clock = Arc::new(clock);
            let event = Arc::new(Event::new());
            let polled = event.poll(&mut None, &time(&clock), Some(DEADLINE), Waker::noop());
            assert!(matches!(polled, Polled::Asleep(_)));
            drop(event);
            // ORDERING: relaxed: as in `forget`.
            let forgotten = clock.forgotten.load(Ordering::Relaxed);
            assert_eq!(forgotten, usize::from(takes));
        }
    }

    /// A task that is woken at once when its waker is called, and helps then.
    struct Helper {
        event: Arc<Event>,
        counts: Arc<Mutex<Counts>>,
    }

    #[derive(Default, Clone, Copy, PartialEq, Debug)]
    struct Counts {
        /// How many tasks help now, and the most that did.
        help: usize,
        most: usize,
        woken: usize,
        /// Those that were woken by others.
        by_others: usize,
    }

    impl Wake for Helper {
        fn wake(self: Arc<Self>) {
            let mut counts = self.counts.lock();
            counts.woken += 1;
            counts.by_others += usize::from(counts.help > 0);
            counts.help += 1;
            counts.most = counts.most.max(counts.help);
            drop(counts);
            self.event.help();
            self.counts.lock().help -= 1;
        }
    }

    /// One at a time: else each that is woken by another would wake the next on the same stack.
    #[test]
    fn a_task_that_is_woken_helps_to_wake_the_others() {
        let event = Arc::new(Event::new());
        let counts = Arc::new(Mutex::new(Counts::default()));
        for _ in 0..1000 {
            let helper = Helper {
                event: Arc::clone(&event),
                counts: Arc::clone(&counts),
            };
            let waker = Waker::from(Arc::new(helper));
            let polled = event.poll(&mut None, &Time::system(), None, &waker);
            assert!(matches!(polled, Polled::Asleep(None)));
        }
        event.help();
        assert_eq!(*counts.lock(), Counts::default(), "before it was set");
        event.set();
        let counts = *counts.lock();
        assert_eq!((counts.help, counts.most, counts.woken), (0, 2, 1000));
        assert!(counts.by_others > 900, "{counts:?}");
    }

    /// Whose wakers do something when they are dropped, and how many were.
    struct Watched {
        act: Box<dyn Fn()>,
        dropped: AtomicUsize,
    }

    impl Watched {
        fn new(act: impl Fn() + 'static) -> Self {
            Self {
                act: Box::new(act),
                dropped: AtomicUsize::new(0),
            }
        }

        /// To be dropped before this.
        fn waker(&self) -> Waker {
            // SAFETY: the functions of the table do what they have to, on this thread, as long as this is there.
            unsafe { Waker::from_raw(clone_watched(std::ptr::from_ref(self).cast())) }
        }

        fn dropped(&self) -> usize {
            // ORDERING: relaxed: a count, on one thread.
            self.dropped.load(Ordering::Relaxed)
        }
    }

    fn clone_watched(watched: *const ()) -> RawWaker {
        RawWaker::new(watched, &WATCHED)
    }

    fn drop_watched(watched: *const ()) {
        // SAFETY: `waker` asks that it be there.
        let watched = unsafe { &*watched.cast::<Watched>() };
        (watched.act)();
        // ORDERING: relaxed: as in `dropped`.
        watched.dropped.fetch_add(1, Ordering::Relaxed);
    }

    static WATCHED: RawWakerVTable =
        RawWakerVTable::new(clone_watched, |_| (), |_| (), drop_watched);

    /// A waker that the clock has already, and one that it is to forget. It stands here, since it takes wakers
    /// that are made by hand.
    #[test]
    fn a_clock_drops_wakers_outside_its_lock() {
        let clock = Arc::new(ManualClock::new());
        let watched = {
            let clock = Arc::clone(&clock);
            Watched::new(move || assert_eq!(clock.now(), Tick::ZERO))
        };
        let waker = watched.waker();
        assert!(clock.on_advance(&waker) && clock.on_advance(&waker));
        assert_eq!(watched.dropped(), 1);
        clock.forget(&waker);
        assert_eq!(watched.dropped(), 2);
        drop(waker);
    }

    /// The waker of a task that is polled with another one, and one that is not needed after all, since the
    /// event was set meanwhile.
    #[test]
    fn a_waker_is_dropped_outside_the_lock() {
        let event = Arc::new(Event::new());
        let watched = [(); 3].map(|()| {
            let event = Arc::clone(&event);
            Watched::new(move || assert!(event.wakers.try_lock().is_some(), "under the lock"))
        });
        let wakers = watched.each_ref().map(Watched::waker);
        let mut key = None;
        for waker in &wakers[..2] {
            let polled = event.poll(&mut key, &Time::system(), None, waker);
            assert!(matches!(polled, Polled::Asleep(None)));
        }
        assert_eq!(watched.each_ref().map(Watched::dropped), [1, 0, 0]);
        let clock = {
            let event = Arc::clone(&event);
            Acting::new(Tick::ZERO, move || event.set())
        };
        let polled = event.poll(&mut key, &time(&clock), Some(DEADLINE), &wakers[2]);
        assert!(matches!(polled, Polled::Set(())));
        assert_eq!(watched.each_ref().map(Watched::dropped), [1, 0, 1]);
        drop(wakers);
    }
}
