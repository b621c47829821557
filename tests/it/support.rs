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

use dogpile::{
    Accept, Acquired, Builder, Clock, Created, Dogpile, Error, Guard, Lookup, ManualClock, Origin,
    Owned, Seen, SyncReaderDogpile, Tick,
};

pub(crate) const NANO: Duration = Duration::from_nanos(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The last resort against a hang. No test comes near it unless something is broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

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

/// The error of the creators that all forms share.
#[derive(Debug, PartialEq)]
pub(crate) struct Down(pub(crate) u32);

/// A pile of either kind.
#[derive(Clone)]
pub(crate) enum AnyPile {
    Plain(Arc<Dogpile<u32>>),
    Reader(Arc<SyncReaderDogpile<u32>>),
}

/// The same with the pile of either kind.
macro_rules! on_pile {
    ($any:expr, |$pile:ident| $body:expr) => {
        match $any {
            AnyPile::Plain($pile) => $body,
            AnyPile::Reader($pile) => $body,
        }
    };
}

impl AnyPile {
    pub(crate) fn waiters(&self) -> usize {
        on_pile!(self, |pile| pile.waiters())
    }

    pub(crate) fn invalidate(&self) {
        on_pile!(self, |pile| pile.invalidate());
    }

    pub(crate) fn expire(&self) {
        on_pile!(self, |pile| pile.expire());
    }

    pub(crate) fn is_creating(&self) -> bool {
        on_pile!(self, |pile| pile.is_creating())
    }

    pub(crate) fn has_value(&self) -> bool {
        on_pile!(self, |pile| pile.has_value())
    }

    pub(crate) fn peek(&self) -> Option<u32> {
        on_pile!(self, |pile| pile.peek().map(|held| *held))
    }
}

/// Who calls, and who creates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    Thread,
    #[cfg(feature = "async")]
    Task,
    /// A thread calls, and a job creates.
    #[cfg(feature = "async")]
    Background,
    /// A task calls, and a job creates.
    #[cfg(feature = "async")]
    BackgroundTask,
}

/// A form of a call on a pile of either kind: the test of a promise goes through all of them.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) pile: AnyPile,
    pub(crate) by: By,
    /// Whether the call looks the value up elsewhere, in vain.
    pub(crate) acquires: bool,
    pub(crate) accept: Accept,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.pile {
            AnyPile::Plain(_) => "plain",
            AnyPile::Reader(_) => "reader",
        };
        write!(f, "{kind} {:?} acquires: {}", self.by, self.acquires)
    }
}

/// Runs `body` once for each form, each with a new pile.
pub(crate) fn each_form(builder: impl Fn() -> Builder<u32>, body: impl Fn(&Form)) {
    let by = [
        By::Thread,
        #[cfg(feature = "async")]
        By::Task,
        #[cfg(feature = "async")]
        By::Background,
        #[cfg(feature = "async")]
        By::BackgroundTask,
    ];
    for by in by {
        for acquires in [false, true] {
            let kinds = [
                AnyPile::Plain(Arc::new(builder().build())),
                AnyPile::Reader(Arc::new(builder().build_sync_reader())),
            ];
            for pile in kinds {
                let form = Form {
                    pile,
                    by,
                    acquires,
                    accept: Accept::Stale,
                };
                let shown = catch_unwind(AssertUnwindSafe(|| body(&form)));
                if let Err(payload) = shown {
                    eprintln!("in the form: {form:?}");
                    resume_unwind(payload);
                }
            }
        }
    }
}

type Told = Result<(u32, Origin), Error<Down>>;

/// What a call with these options answers in the fallible form.
macro_rules! ask {
    (task: $form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => {
                let call = $call.get_or_try_create_with_async(|_| async { $create() });
                crate::tasks::block_on(call).map(|held| (*held, held.origin()))
            }
            true => {
                let look = || async { Ok(Lookup::NeedRegeneration) };
                let call = $call.acquire_with_async(|_| async { $create() }, look);
                crate::tasks::block_on(call).map(|held| (*held, held.origin()))
            }
        }
    };
    ($form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => $call
                .get_or_try_create_with(|_| $create())
                .map(|held| (*held, held.origin())),
            true => $call
                .acquire_with(|_| $create(), || Ok(Lookup::NeedRegeneration))
                .map(|held| (*held, held.origin())),
        }
    };
}

impl Form {
    pub(crate) fn is_in_background(&self) -> bool {
        match self.by {
            By::Thread => false,
            #[cfg(feature = "async")]
            By::Task => false,
            #[cfg(feature = "async")]
            By::Background | By::BackgroundTask => true,
        }
    }

    /// How many wait for a creation that one of these callers was elected for: the elected one too,
    /// if a job creates.
    pub(crate) fn waiting_of(&self, callers: usize) -> usize {
        callers - usize::from(!self.is_in_background())
    }

    /// A call in the fallible form, and how its answer came about.
    pub(crate) fn get(
        &self,
        create: impl FnOnce() -> Result<Created<u32>, Down> + Send + 'static,
    ) -> Told {
        #[cfg(feature = "async")]
        use dogpile::executor::Thread;
        on_pile!(&self.pile, |pile| match self.by {
            By::Thread => ask!(self, pile.call().accept(self.accept), create),
            #[cfg(feature = "async")]
            By::Task => ask!(task: self, pile.call().accept(self.accept), create),
            #[cfg(feature = "async")]
            By::Background => {
                ask!(self, pile.background(&Thread).accept(self.accept), create)
            }
            #[cfg(feature = "async")]
            By::BackgroundTask => {
                ask!(task: self, pile.background(&Thread).accept(self.accept), create)
            }
        })
    }

    /// A call in the infallible form, which `acquire` has not.
    pub(crate) fn get_or_create(
        &self,
        create: impl FnOnce() -> u32 + Send + 'static,
    ) -> Result<(u32, Origin), Error<std::convert::Infallible>> {
        #[cfg(feature = "async")]
        use {crate::tasks::block_on, dogpile::executor::Thread};
        on_pile!(&self.pile, |pile| match self.by {
            By::Thread => {
                let held = pile.call().accept(self.accept).get_or_create(create)?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Task => {
                let call = pile.call().accept(self.accept);
                let held = block_on(call.get_or_create_async(|| async { create() }))?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Background => {
                let call = pile.background(&Thread).accept(self.accept);
                let held = call.get_or_create(create)?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::BackgroundTask => {
                let call = pile.background(&Thread).accept(self.accept);
                let held = block_on(call.get_or_create_async(|| async { create() }))?;
                Ok((*held, held.origin()))
            }
        })
    }
}
