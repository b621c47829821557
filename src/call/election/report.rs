//! What a call learns of a job that it has started.

use crate::call::election::Stop;
use crate::error::Refused;
use crate::shim::Mutex;

/// What a call learns of a job that it started and that told its waiters nothing: whether the job had
/// begun.
pub(crate) struct Report {
    job: Mutex<Job>,
    /// The fence of its lease, if the call waits for its end.
    pub(crate) awaited: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Unrun,
    Begun,
    DroppedUnrun,
}

impl Report {
    pub(crate) fn new(awaited: Option<u64>) -> Self {
        Self {
            job: Mutex::new(Job::Unrun),
            awaited,
        }
    }

    #[cfg_attr(not(feature = "async"), expect(dead_code))]
    pub(crate) fn begin(&self) {
        *self.job.lock() = Job::Begun;
    }

    /// The job is gone, perhaps before it began.
    #[cfg_attr(not(feature = "async"), expect(dead_code))]
    pub(crate) fn drop_job(&self) {
        let mut job = self.job.lock();
        if *job == Job::Unrun {
            *job = Job::DroppedUnrun;
        }
    }

    #[cfg_attr(not(feature = "async"), expect(dead_code))]
    pub(crate) fn is_dropped_unrun(&self) -> bool {
        *self.job.lock() == Job::DroppedUnrun
    }

    /// Why the caller of the job gets nothing.
    pub(super) fn end(&self) -> Stop {
        match *self.job.lock() {
            Job::Begun => Stop::GivenUp,
            Job::Unrun | Job::DroppedUnrun => Stop::Refused(dropped_unrun()),
        }
    }
}

pub(crate) fn dropped_unrun() -> Refused {
    Refused::new("it dropped the creation before it began")
}
