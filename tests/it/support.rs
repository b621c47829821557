//! What the tests share: hand-shakes that cannot hang for ever, clocks that stop a caller in
//! mid-call, values that are counted and values that act when dropped.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::ops::DerefMut;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Clock, ManualClock, Tick};

pub(crate) const NANO: Duration = Duration::from_nanos(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The last resort against a hang. No test comes near it unless something is broken.
const LIMIT: Duration = Duration::from_secs(60);

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

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Alarm(AtomicUsize);

impl Alarm {
    /// An alarm, and the waker that sets it off.
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::new(Self::default());
        (Arc::clone(&alarm), alarm.into())
    }

    pub(crate) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One poll by a task of no account.
pub(crate) fn poll<P: DerefMut>(future: Pin<P>) -> Poll<<P::Target as Future>::Output>
where
    P::Target: Future,
{
    poll_by(&Alarm::new().1, future)
}

/// One poll by the task with this waker.
pub(crate) fn poll_by<P: DerefMut>(
    waker: &Waker,
    mut future: Pin<P>,
) -> Poll<<P::Target as Future>::Output>
where
    P::Target: Future,
{
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Runs a future to its end on this thread, or fails where it would hang.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let begin = Instant::now();
    loop {
        if let Poll::Ready(output) = poll_by(&waker, future.as_mut()) {
            return output;
        }
        thread::park_timeout(LIMIT / 2);
        assert!(begin.elapsed() < LIMIT / 2, "hangs");
    }
}

/// Ready after this many polls that find it pending.
pub(crate) async fn steps(count: usize) {
    let mut left = count;
    poll_fn(|cx| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Pending until the condition holds.
pub(crate) async fn until_task(condition: impl Fn() -> bool) {
    while !condition() {
        steps(1).await;
    }
}

pub(crate) type Boxed<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Starts a task of the runtime at hand; the answer ends with it.
pub(crate) type Spawn = fn(Boxed<()>) -> Boxed<()>;

/// Runs `body` on a runtime of each kind.
pub(crate) fn on_runtimes<B>(body: fn(Spawn) -> B)
where
    B: Future<Output = ()> + Send + 'static,
{
    use tokio::runtime::Builder;

    fn on_tokio(task: Boxed<()>) -> Boxed<()> {
        let task = tokio::spawn(task);
        Box::pin(async { task.await.unwrap() })
    }
    fn on_smol(task: Boxed<()>) -> Boxed<()> {
        Box::pin(smol::spawn(task))
    }
    within(move || {
        let one = Builder::new_current_thread().enable_all().build().unwrap();
        one.block_on(body(on_tokio));
        let four = Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        four.block_on(body(on_tokio));
        smol::block_on(body(on_smol));
    });
}
