//! tokio: [`Tokio`], [`TokioBlocking`], and a runtime by its handle; as executors, timers and clocks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::Refused;
use crate::executor::{Blocking, Executor, Job, Sleep, Timer};
use crate::shim::{Arc, Mutex};
use crate::time::{Clock, Tick, tokio as tokio_time};

/// The tokio runtime of whoever asks: creations run as its tasks, and its timer keeps the limits.
///
/// Outside a runtime, jobs are refused. One that blocks belongs on [`TokioBlocking`]. For a runtime
/// that is not the caller's own, or for callers outside, give its [`Handle`]: that is an executor and
/// a timer too.
///
/// # Calls that block
///
/// On a worker of a multi-thread runtime they wait inside of
/// [`block_in_place`](tokio::task::block_in_place): the worker's tasks move to another thread, one of
/// those for blocking work, of which one has to be free. On the thread that drives a current-thread
/// runtime nobody would run the creation: there they are answered with
/// [`Error::Refused`](crate::Error::Refused). Use the async forms, or give creations to
/// [`TokioBlocking`] or [`Thread`](crate::executor::Thread).
///
/// A current-thread runtime that nobody drives runs nothing, and it cannot be known whether somebody
/// does: wait limits bound that.
///
/// # Paused time
///
/// It is a [`Clock`] too, which tells the time of the runtime of whoever asks. So a test can pause and
/// move that time with `tokio::time::pause` and `tokio::time::advance`, and values age by it. The
/// wait limits of tasks follow it, with this as their [`timer`](crate::Call::timer). A thread that
/// blocks sleeps by the system's time, and looks at the clock after that: a test that blocks threads
/// does better with a [`ManualClock`](crate::ManualClock). Outside a runtime it tells the system's time.
/// Where no test moves the time, leave a pile its own clock: this one is always exact, so a hit
/// costs several times as much.
///
/// ```
/// use std::time::Duration;
/// use dogpile::{executor::Tokio, Dogpile};
/// use tokio::time::{advance, pause};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// pause();
/// let pile = Dogpile::builder(Duration::from_secs(3600)).clock_static(&Tokio).build();
/// pile.set(7);
/// advance(Duration::from_secs(3601)).await;
/// assert!(!pile.is_fresh());
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Executor for Tokio {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        Handle::try_current().map_err(Refused::new)?.spawn(job);
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn blocking_here(&self) -> Blocking {
        match Handle::try_current() {
            Ok(runtime) => blocking_in(&runtime),
            Err(_) => Blocking::Wait,
        }
    }
}

impl Timer for Tokio {
    fn sleep(&self, limit: Duration) -> Option<Sleep> {
        sleep_in(&Handle::try_current().ok()?, limit)
    }

    fn is_here(&self) -> bool {
        // Hits ask, so a task is told first: that takes no share in the handle, which all threads would
        // count.
        tokio::task::try_id().is_some() || Handle::try_current().is_ok()
    }
}

impl Clock for Tokio {
    fn now(&self) -> Tick {
        tokio_time::now()
    }
}

/// This runtime, whoever asks, from whatever thread: creations run as its tasks, and its timer keeps
/// the limits.
///
/// For the rest as [`Tokio`].
impl Executor for Handle {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        Handle::spawn(self, job);
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn blocking_here(&self) -> Blocking {
        match Handle::try_current() {
            // Another runtime gets on without the thread of this one.
            Ok(runtime) if runtime.id() == self.id() => blocking_in(self),
            _ => Blocking::Wait,
        }
    }
}

impl Timer for Handle {
    fn sleep(&self, limit: Duration) -> Option<Sleep> {
        sleep_in(self, limit)
    }
}

/// The time of this runtime, whoever asks; see [`Tokio`].
impl Clock for Handle {
    fn now(&self) -> Tick {
        let _in = self.enter();
        tokio_time::now()
    }
}

/// The threads for blocking work of the tokio runtime of whoever asks.
///
/// Outside a runtime, jobs are refused.
///
/// Calls that block wait as they do for [`Tokio`] on a multi-thread runtime, and wait also on the
/// thread that drives a current-thread runtime: a creation needs that thread only if its creator
/// awaits the runtime's timer or sockets, and such a one must not be waited for there.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioBlocking;

impl Executor for TokioBlocking {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let runtime = Handle::try_current().map_err(Refused::new)?;
        runtime.spawn_blocking(|| job.run());
        Ok(())
    }

    /// As a task: it does not block, and would keep one of the threads for good.
    fn spawn_lasting(&self, job: Job) -> Result<(), Refused> {
        Tokio.spawn(job)
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(&Tokio)
    }

    fn blocking_here(&self) -> Blocking {
        match Tokio.blocking_here() {
            Blocking::Refuse(_) => Blocking::Wait,
            blocking => blocking,
        }
    }
}

/// What this thread, which is in the context of this runtime, does instead of waiting.
fn blocking_in(runtime: &Handle) -> Blocking {
    if !is_driving() {
        return Blocking::Wait;
    }
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => Blocking::Refuse(Refused::new(
            "this thread drives the runtime that is to run the creation: use the async form of the \
             call, or the executor TokioBlocking or Thread",
        )),
        _ => Blocking::WaitIn(in_place),
    }
}

/// Whether a scheduler runs on this thread now: as a worker, or inside `block_on` of a current-thread
/// runtime. Not so in other threads that are in a runtime's context, such as those for blocking
/// work, and not inside `block_in_place`.
fn is_driving() -> bool {
    struct Woken(Mutex<bool>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock() = true;
        }
    }
    // There is no function that tells, and `block_in_place` panics where it may not be called. But
    // who yields is woken at once unless there is a scheduler, which does that later.
    let woken = Arc::new(Woken(Mutex::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let polled = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
    polled.is_pending() && !*woken.0.lock()
}

/// Waits on a worker, whose tasks go to another thread meanwhile.
fn in_place(wait: &mut dyn FnMut()) {
    let mut waits = false;
    let waited = catch_unwind(AssertUnwindSafe(|| {
        tokio::task::block_in_place(|| {
            waits = true;
            wait();
        });
    }));
    match waited {
        Err(panic) if waits => resume_unwind(panic),
        // It panics on the thread of a current-thread runtime that has entered another one. This is
        // no worker of that other one, which gets on without it.
        Err(_) => wait(),
        Ok(()) => {}
    }
}

/// The runtime's timer, if it has one.
fn sleep_in(runtime: &Handle, limit: Duration) -> Option<Sleep> {
    let _in = runtime.enter();
    // There is no function that tells whether a runtime has its time enabled: it panics if not, which
    // the panic hook reports.
    let sleep = catch_unwind(|| tokio::time::sleep(limit)).ok()?;
    Some(Box::pin(sleep))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock of the user's may panic while it is asked how long to wait.
    #[test]
    fn a_panic_of_the_wait_gets_through() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let mut waits = 0;
        let answer = runtime.block_on(async {
            let burst = async move {
                let mut wait = || {
                    waits += 1;
                    resume_unwind(Box::new(waits))
                };
                in_place(&mut wait);
            };
            tokio::spawn(burst).await
        });
        let payload = answer.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref(), Some(&1));
    }

    fn multi_thread() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).build().unwrap()
    }

    fn current_thread() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    /// What a call that blocks does here, by name.
    fn here(executor: &impl Executor) -> &'static str {
        match executor.blocking_here() {
            Blocking::Wait => "waits",
            Blocking::WaitIn(_) => "waits in place",
            Blocking::Refuse(_) => "is refused",
            Blocking::RunHere => "runs it",
        }
    }

    #[test]
    fn a_call_that_blocks_waits_where_the_runtime_gets_on_without_it() {
        assert_eq!(here(&Tokio), "waits");
        let runtime = multi_thread();
        let handle = runtime.handle().clone();
        // Nobody's worker, though in the context of the runtime.
        assert_eq!(runtime.block_on(async { here(&Tokio) }), "waits");
        let of_blocking = runtime.block_on(runtime.spawn_blocking(move || here(&handle)));
        assert_eq!(of_blocking.unwrap(), "waits");
        let in_place = async { tokio::task::block_in_place(|| here(&Tokio)) };
        let in_place = runtime.block_on(runtime.spawn(in_place));
        assert_eq!(in_place.unwrap(), "waits");
    }

    #[test]
    fn a_call_that_blocks_waits_in_place_on_a_worker_of_this_runtime() {
        let (runtime, other) = (multi_thread(), multi_thread());
        let (own, other) = (runtime.handle().clone(), other.handle().clone());
        let all = async move { [here(&Tokio), here(&own), here(&TokioBlocking), here(&other)] };
        let all = runtime.block_on(runtime.spawn(all)).unwrap();
        let in_place = "waits in place";
        assert_eq!(all, [in_place, in_place, in_place, "waits"]);
    }

    #[test]
    fn a_call_that_blocks_is_refused_by_the_thread_that_drives_the_runtime() {
        let (runtime, other) = (current_thread(), multi_thread());
        let all = runtime.block_on(async {
            let own = Handle::current();
            [
                here(&Tokio),
                here(&own),
                here(&TokioBlocking),
                here(other.handle()),
            ]
        });
        assert_eq!(all, ["is refused", "is refused", "waits", "waits"]);
    }

    /// That is no worker of the runtime that it has entered.
    #[test]
    fn who_has_entered_another_runtime_waits_all_the_same() {
        let (runtime, other) = (current_thread(), multi_thread());
        let mut waits = 0;
        runtime.block_on(async {
            let _in = other.enter();
            in_place(&mut || waits += 1);
        });
        assert_eq!(waits, 1);
    }
}
