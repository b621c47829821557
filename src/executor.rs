//! Where background creations run: [`Executor`], and adapters for executors of others.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::Refused;
use crate::shim::{block_on, spawn_thread};

/// Runs creations in the background; see [`Dogpile::background`](crate::Dogpile::background).
///
/// # Example
///
/// A pool of one's own that can be full:
///
/// ```
/// use std::sync::mpsc::{sync_channel, SyncSender};
/// use dogpile::executor::{Executor, Job};
/// use dogpile::Refused;
///
/// struct Pool(SyncSender<Job>);
///
/// impl Executor for Pool {
///     fn spawn(&self, job: Job) -> Result<(), Refused> {
///         self.0.try_send(job).map_err(|_| Refused::new("the pool is full or shut down"))
///     }
/// }
///
/// let (pool, jobs) = sync_channel(8);
/// std::thread::spawn(move || jobs.into_iter().for_each(Job::run));
/// # let pile = std::sync::Arc::new(dogpile::Dogpile::new(std::time::Duration::MAX));
/// # assert_eq!(*pile.background(&Pool(pool)).get_or_create(|| 7).unwrap(), 7);
/// ```
pub trait Executor: Send + Sync {
    /// Starts the job, or says why not. A job that is dropped is given up: others may create.
    fn spawn(&self, job: Job) -> Result<(), Refused>;

    /// What keeps the wait limits of async calls, if the executor has one.
    fn timer(&self) -> Option<&dyn Timer> {
        None
    }
}

/// Wakes tasks at the end of a wait limit; see [`Call::timer`](crate::Call::timer).
pub trait Timer: Send + Sync {
    /// A future that is ready after `limit`.
    fn sleep(&self, limit: Duration) -> Sleep;
}

/// A future that is ready after a while.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A creation, ready to run: as the future that it is, or by [`run`](Job::run) on a thread.
#[must_use = "a job that is dropped is given up"]
pub struct Job(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Job {
    pub(crate) fn new(creation: impl Future<Output = ()> + Send + 'static) -> Self {
        Job(Box::pin(creation))
    }

    /// Runs it to its end on this thread.
    ///
    /// # Panics
    ///
    /// If the creator does. The lease is given up, and nobody waits for it any more.
    pub fn run(self) {
        block_on(self.0);
    }
}

impl Future for Job {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// A thread of its own for each creation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thread;

impl Executor for Thread {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        spawn_thread(|| job.run()).map_err(Refused::new)
    }
}

/// The tokio runtime of whoever asks: creations run as its tasks, and its timer keeps the limits.
///
/// Outside a runtime, jobs are refused. One that blocks belongs on [`TokioBlocking`].
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

#[cfg(feature = "tokio")]
impl Executor for Tokio {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let runtime = tokio::runtime::Handle::try_current().map_err(Refused::new)?;
        drop(runtime.spawn(job));
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }
}

#[cfg(feature = "tokio")]
impl Timer for Tokio {
    /// # Panics
    ///
    /// Outside a tokio runtime, or in one whose timer is not enabled.
    fn sleep(&self, limit: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(limit))
    }
}

/// The threads for blocking work of the tokio runtime of whoever asks.
///
/// Outside a runtime, jobs are refused.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioBlocking;

#[cfg(feature = "tokio")]
impl Executor for TokioBlocking {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let runtime = tokio::runtime::Handle::try_current().map_err(Refused::new)?;
        drop(runtime.spawn_blocking(|| job.run()));
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(&Tokio)
    }
}

/// The global executor of smol.
#[cfg(feature = "smol")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

#[cfg(feature = "smol")]
impl Executor for Smol {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        smol::spawn(job).detach();
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }
}

#[cfg(feature = "smol")]
impl Timer for Smol {
    fn sleep(&self, limit: Duration) -> Sleep {
        Box::pin(async move {
            smol::Timer::after(limit).await;
        })
    }
}

/// The thread pool of rayon: the one that the current thread belongs to, else the global one.
///
/// A creation that waits keeps one of its threads from computing. A creator's panic ends with its
/// job, and does not abort the process as that of a job of rayon's own does.
#[cfg(feature = "rayon")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rayon;

#[cfg(feature = "rayon")]
impl Executor for Rayon {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        rayon::spawn(|| crate::shim::contain(|| job.run()));
        Ok(())
    }
}
