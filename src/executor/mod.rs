//! Where background creations run: [`Executor`], and adapters for executors of others.
//!
//! An executor is given jobs, and starts each of them or refuses it. [`Thread`] needs nothing. Those for
//! tokio, smol and rayon come with the features of these names. For a pool of your own, implement
//! [`Executor`]: one method is enough.
//!
//! # Graceful shutdown
//!
//! A program that ends lets creations finish, and begins none: the recipe
//! [`graceful_shutdown`](crate::docs::recipes::graceful_shutdown) has an executor that does so.

mod blocking;
mod job;
#[cfg(feature = "rayon")]
mod rayon;
mod shared;
#[cfg(feature = "smol")]
mod smol;
mod thread;
mod timer;
#[cfg(feature = "tokio")]
mod tokio;

pub use self::blocking::Blocking;
pub use self::job::{Job, JobId};
#[cfg(feature = "rayon")]
pub use self::rayon::Rayon;
#[cfg(feature = "smol")]
pub use self::smol::Smol;
pub use self::thread::Thread;
pub use self::timer::{Sleep, Timer};
#[cfg(feature = "tokio")]
pub use self::tokio::{Tokio, TokioBlocking};

use crate::error::Refused;

/// Runs creations in the background; see [`Dogpile::background`](crate::Dogpile::background).
///
/// One that is shared, by an [`Arc`](std::sync::Arc), a [`Box`] or a reference, is one too. With the
/// feature `tokio`, so is the handle of a tokio runtime.
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
///
/// Jobs that call a pile themselves in a form that blocks, and wait, keep such a pool's threads from
/// its other jobs: [`blocking_here`](Executor::blocking_here) is there to prevent that.
pub trait Executor: Send + Sync {
    /// Starts the job, or says why not. A job that is dropped is given up: others may create.
    fn spawn(&self, job: Job) -> Result<(), Refused>;

    /// Starts a job that lasts, or says why not: that of
    /// [`keep_fresh`](crate::Dogpile::keep_fresh), which sleeps nearly always.
    ///
    /// The default takes an executor with a timer for one of tasks, and starts the job there. Without a
    /// timer the job blocks what runs it while it sleeps, and so it gets a thread of its own.
    fn spawn_lasting(&self, job: Job) -> Result<(), Refused> {
        match self.timer() {
            Some(_) => self.spawn(job),
            None => Thread.spawn(job),
        }
    }

    /// What keeps the wait limits of async calls, if the executor has one.
    fn timer(&self) -> Option<&dyn Timer> {
        None
    }

    /// What a call that blocks is to do on this thread, where it would wait for a job.
    ///
    /// Asked before such a wait only, of whatever length: never on a hit, and never by an async
    /// call. The default says that the executor gets on without this thread.
    fn blocking_here(&self) -> Blocking {
        Blocking::Wait
    }

    /// Runs this job now, on this thread, if it waits in a queue; says whether it did.
    ///
    /// Asked where [`blocking_here`](Executor::blocking_here) said [`Blocking::RunHere`], now and
    /// then until the job is done. A job that some thread is at already is none to run, and neither
    /// is one of another executor.
    fn run_queued(&self, job: JobId) -> bool {
        let _ = job;
        false
    }
}
