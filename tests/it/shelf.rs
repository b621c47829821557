//! An executor whose jobs run when the test says so.

use std::sync::Mutex;

use dogpile::Refused;
use dogpile::executor::{Executor, Job};

/// Keeps jobs until the test runs them; can be full, and shut down.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) jobs: Mutex<Vec<Job>>,
    pub(crate) full: bool,
    pub(crate) drops: bool,
}

impl Executor for Shelf {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        if self.full {
            return Err(Refused::new("the shelf is full"));
        }
        if !self.drops {
            self.jobs.lock().unwrap().push(job);
        }
        Ok(())
    }
}

impl Shelf {
    pub(crate) fn take(&self) -> Job {
        self.jobs.lock().unwrap().pop().expect("no job was started")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.lock().unwrap().is_empty()
    }
}
