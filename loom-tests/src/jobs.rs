//! An executor whose jobs can be waited for.

use std::sync::{Mutex, PoisonError};

use dogpile::Refused;
use dogpile::executor::{Executor, Job};

use crate::thread::{JoinHandle, spawn};

/// A thread for each job. A model waits for them at its end: what they drop then is part of it.
#[derive(Default)]
pub struct Jobs(Mutex<Vec<JoinHandle<()>>>);

impl Jobs {
    pub fn join(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for job in jobs {
            job.join().unwrap();
        }
    }
}

impl Executor for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let thread = spawn(|| job.run());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }
}
