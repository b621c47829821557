//! rayon: [`Rayon`].

use std::collections::BTreeMap;

use crate::error::Refused;
use crate::executor::{Blocking, Executor, Job, JobId};
use crate::shim::{Mutex, contain, statics};

/// The thread pool of rayon: the one that the current thread belongs to, else the global one.
///
/// A creation that waits keeps one of its threads from computing. A creator's panic ends with its
/// job, and does not abort the process as that of a job of rayon's own does.
///
/// A call that blocks on a thread of rayon runs the creation itself, whatever its wait limit, where
/// it would wait for one that no thread has begun. For what a thread is at already it waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rayon;

statics! {
    /// The jobs that no thread has begun. Not in rayon's own queues, in which one cannot look for a
    /// certain job: what else is there may take long, or wait for a lock that the caller holds.
    static QUEUED: Mutex<BTreeMap<JobId, Job>> = Mutex::new(BTreeMap::new());
}

/// The place of a job in rayon's queue, which is dropped with it.
struct Turn(JobId);

impl Turn {
    /// The job, unless a thread has begun it.
    fn take(self) -> Option<Job> {
        let id = self.0;
        // Not when the job is over: by then another pile may stand there, and have the same.
        std::mem::forget(self);
        take(id)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(take(self.0));
    }
}

// The lock is let go before the job is run, or dropped.
fn take(id: JobId) -> Option<Job> {
    QUEUED.lock().remove(&id)
}

impl Executor for Rayon {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let turn = Turn(job.id());
        QUEUED.lock().insert(job.id(), job);
        rayon::spawn(move || {
            if let Some(job) = turn.take() {
                contain(|| job.run());
            }
        });
        Ok(())
    }

    fn blocking_here(&self) -> Blocking {
        match rayon::current_thread_index() {
            Some(_) => Blocking::RunHere,
            None => Blocking::Wait,
        }
    }

    fn run_queued(&self, job: JobId) -> bool {
        take(job).map(|job| contain(|| job.run())).is_some()
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// It has no queue.
    struct Full;

    impl Executor for Full {
        fn spawn(&self, _job: Job) -> Result<(), Refused> {
            Err(Refused::new("it is full"))
        }
    }

    #[test]
    fn a_job_goes_with_its_place_in_the_queue() {
        let id = JobId::new(usize::MAX, 7);
        QUEUED.lock().insert(id, Job::new(id, async {}));
        // It is in no other queue.
        assert!(!Full.run_queued(id));
        drop(Turn(id));
        assert!(!Rayon.run_queued(id));
    }
}
