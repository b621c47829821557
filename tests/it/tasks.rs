//! What the tests of tasks share: polls one at a time, wakers that count, runtimes of each kind.

use std::future::{Future, poll_fn};
use std::ops::DerefMut;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use super::support::{LIMIT, within};

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
