//! Futures: one that is dropped half way, one that pauses, and what runs them without a runtime.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use dogpile::executor::Timer;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::random::Random;

/// Some workers, so that tasks move between them.
pub(crate) fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(3).enable_time().build();
        runtime.expect("the system has threads")
    });
    runtime.handle()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs it on this thread, which is no runtime's.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}

/// Pending so many times, and then for so long.
pub(crate) async fn pause(times: u64, span: Duration) {
    stress::pause(times).await;
    if !span.is_zero()
        && let Some(sleep) = runtime().sleep(span)
    {
        sleep.await;
    }
}

/// When a future is dropped.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    Never,
    /// After so many polls, of which it is given as many.
    Polls(u64),
    After(Duration),
}

impl Cut {
    pub(crate) fn draw(random: &mut Random) -> Self {
        match random.below(6) {
            0 => Cut::Polls(random.below(6) + 1),
            1 => Cut::After(random.micros(2000)),
            _ => Cut::Never,
        }
    }
}

/// Its output, unless it was dropped before that.
pub(crate) async fn cut_short<F: Future>(future: F, cut: Cut) -> Option<F::Output> {
    match cut {
        // Polled by what wakes it and by nothing else, or a lost wake-up would not be noticed.
        Cut::Never => Some(future.await),
        Cut::Polls(polls) => {
            let mut left = polls;
            // On the heap: it is dropped where it is polled.
            let mut future: Option<Pin<Box<F>>> = Some(Box::pin(future));
            poll_fn(move |cx| {
                let Some(running) = &mut future else {
                    return Poll::Ready(None);
                };
                if let Poll::Ready(output) = running.as_mut().poll(cx) {
                    return Poll::Ready(Some(output));
                }
                left -= 1;
                if left == 0 {
                    future = None;
                    return Poll::Ready(None);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await
        }
        Cut::After(span) => {
            let mut future = Some(Box::pin(future));
            let mut end = runtime().sleep(span);
            poll_fn(move |cx| {
                let Some(running) = &mut future else {
                    return Poll::Ready(None);
                };
                if let Poll::Ready(output) = running.as_mut().poll(cx) {
                    return Poll::Ready(Some(output));
                }
                if let Some(end) = &mut end
                    && end.as_mut().poll(cx).is_pending()
                {
                    return Poll::Pending;
                }
                future = None;
                Poll::Ready(None)
            })
            .await
        }
    }
}
