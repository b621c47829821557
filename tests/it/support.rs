//! What the tests share: hand-shakes that cannot hang for ever, clocks that stop a caller in
//! mid-call, values that are counted and values that act when dropped.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Acquired, Clock, Guard, KeyedGuard, ManualClock, Origin, Owned, Seen, Tick};

pub(crate) const NANO: Duration = Duration::from_nanos(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The last resort against a hang. No test comes near it unless something is broken.
// Minutes, since a test may run beside one of a hundred threads, on a machine that builds as well.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Runs a test that would hang, should a promise be broken, and then makes a failure of it.
pub(crate) fn within<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, over) = mpsc::channel();
    let runner = thread::spawn(move || drop(done.send(body())));
    match over.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(RecvTimeoutError::Disconnected) => match runner.join() {
            Err(payload) => resume_unwind(payload),
            Ok(()) => unreachable!("the body was left without a result"),
        },
    }
}

/// Lets others run until `condition` holds.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT / 2, "never came true");
        thread::yield_now();
    }
}

/// A creator's panic, without the noise of the panic hook.
pub(crate) fn burst() -> ! {
    resume_unwind(Box::new("burst"))
}

/// Whether `body` panicked as [`burst`] does; any other panic goes on.
pub(crate) fn bursts<R>(body: impl FnOnce() -> R) -> bool {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => false,
        Err(payload) if payload.downcast_ref() == Some(&"burst") => true,
        Err(payload) => resume_unwind(payload),
    }
}

/// Counts runs of a creator, and fails if two overlap.
#[derive(Default)]
pub(crate) struct Runs {
    begun: AtomicUsize,
    busy: AtomicBool,
}

impl Runs {
    pub(crate) fn run<R>(&self, creator: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::SeqCst);
            }
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let overlap = self.busy.swap(true, Ordering::SeqCst);
        assert!(!overlap, "two creators at the same time");
        let _leave = Leave(&self.busy);
        creator()
    }

    /// The number of a run that may overlap with others, from one on.
    #[allow(dead_code)]
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.begun.fetch_add(1, Ordering::SeqCst) + 1).unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

/// How many [`Counted`] values are alive.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicIsize>);

impl Census {
    pub(crate) fn value(&self, number: u32) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted {
            number,
            live: Arc::clone(&self.0),
        }
    }

    /// Below zero if one was dropped twice.
    pub(crate) fn live(&self) -> isize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value whose drop is counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) number: u32,
    live: Arc<AtomicIsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A value, or an error, that does something when it is dropped.
pub(crate) struct OnDrop(Box<dyn Fn() + Send + Sync>);

impl OnDrop {
    pub(crate) fn new(act: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(act))
    }

    pub(crate) fn quiet() -> Self {
        Self::new(|| ())
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A clock to move by hand, and the settings of a pile that goes by it.
pub(crate) fn manual<T>(ttl: Duration) -> (Arc<ManualClock>, dogpile::Builder<T>) {
    let clock = Arc::new(ManualClock::new());
    // Not at zero: there has to be a past to step back to.
    clock.set(Tick::ZERO.saturating_add(HOUR));
    let builder = dogpile::Dogpile::builder(ttl).clock(clock.clone());
    (clock, builder)
}

type Hook = Box<dyn FnMut(usize)>;

thread_local! {
    static HOOK: RefCell<Option<(usize, Hook)>> = const { RefCell::new(None) };
}

/// A manual clock that lets a test do something in the middle of a call: a call reads the clock
/// before it looks at the pile, and whatever the hook of its thread does, happens between the two.
#[derive(Default)]
pub(crate) struct HookedClock(ManualClock);

impl HookedClock {
    pub(crate) fn advance(&self, span: Duration) {
        self.0.advance(span);
    }
}

impl Clock for HookedClock {
    fn now(&self) -> Tick {
        // Read first: what the hook does comes after the reading.
        let now = self.0.now();
        // Taken out while it runs, so that it may use the clock.
        if let Some((reading, mut hook)) = HOOK.take() {
            hook(reading);
            HOOK.set(Some((reading + 1, hook)));
        }
        now
    }

    fn on_advance(&self, sleeper: &Waker) -> bool {
        self.0.on_advance(sleeper)
    }
}

/// Runs `body` with a hook that is called, with their number from 0 on, at all readings of a
/// [`HookedClock`] by this thread.
pub(crate) fn hooked<R>(hook: impl FnMut(usize) + 'static, body: impl FnOnce() -> R) -> R {
    HOOK.set(Some((0, Box::new(hook))));
    let result = body();
    HOOK.set(None);
    result
}

/// More readings than any call makes.
pub(crate) const READINGS: usize = 12;

/// Where a hooked caller stops while the gate is closed.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(crate) fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// A hook that waits for the gate to open.
    pub(crate) fn hook(&self) -> impl FnMut(usize) + Send + Clone + 'static {
        let closed = Arc::clone(&self.0);
        move |_| until(|| !closed.load(Ordering::SeqCst))
    }
}

/// The associated functions of guards and their likes as methods: a test says less of how it asks.
pub(crate) trait Shows {
    /// How the answer came about.
    fn origin(&self) -> Origin;
    /// The number of the value.
    fn seen(&self) -> Seen;
}

impl<T, P> Shows for Guard<'_, T, P> {
    fn origin(&self) -> Origin {
        Guard::origin(self)
    }

    fn seen(&self) -> Seen {
        Guard::seen(self)
    }
}

impl<K, T> Shows for KeyedGuard<'_, K, T> {
    fn origin(&self) -> Origin {
        KeyedGuard::origin(self)
    }

    fn seen(&self) -> Seen {
        KeyedGuard::seen(self)
    }
}

impl<T, P> Shows for Acquired<'_, T, P> {
    fn origin(&self) -> Origin {
        Acquired::origin(self)
    }

    fn seen(&self) -> Seen {
        Acquired::seen(self)
    }
}

/// What a guard knows besides, as methods.
pub(crate) trait Keeps<T> {
    fn age(&self) -> std::time::Duration;
    fn to_owned(&self) -> Owned<T>;
}

impl<T> Keeps<T> for Guard<'_, T> {
    fn age(&self) -> std::time::Duration {
        Guard::age(self)
    }

    fn to_owned(&self) -> Owned<T> {
        Guard::to_owned(self)
    }
}
