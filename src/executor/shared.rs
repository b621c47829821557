//! Executors and timers that are shared are such themselves.

use std::time::Duration;

use crate::error::Refused;
use crate::executor::{Blocking, Executor, Job, JobId, Sleep, Timer};
use crate::shim::Arc;

macro_rules! shared {
    ($($pointer:ty),*) => {$(
        impl<E: Executor + ?Sized> Executor for $pointer {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                (**self).spawn(job)
            }

            fn spawn_lasting(&self, job: Job) -> Result<(), Refused> {
                (**self).spawn_lasting(job)
            }

            fn timer(&self) -> Option<&dyn Timer> {
                (**self).timer()
            }

            fn blocking_here(&self) -> Blocking {
                (**self).blocking_here()
            }

            fn run_queued(&self, job: JobId) -> bool {
                (**self).run_queued(job)
            }
        }

        impl<E: Timer + ?Sized> Timer for $pointer {
            fn sleep(&self, limit: Duration) -> Option<Sleep> {
                (**self).sleep(limit)
            }

            fn is_here(&self) -> bool {
                (**self).is_here()
            }
        }
    )*};
}

shared!(&E, Box<E>, Arc<E>);
