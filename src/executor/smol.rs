//! smol: [`Smol`].

use std::time::Duration;

use crate::error::Refused;
use crate::executor::{Executor, Job, Sleep, Timer};

/// The global executor of smol.
///
/// Which threads that needs cannot be known. So a call that blocks, in one of its tasks, may wait
/// for a creation that only the blocked thread would run: there, use the async forms, give creations
/// to [`Thread`](crate::executor::Thread), or set a limit with [`Call::wait`](crate::Call::wait),
/// which holds whatever becomes of the creation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

impl Executor for Smol {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        smol::spawn(job).detach();
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }
}

impl Timer for Smol {
    fn sleep(&self, limit: Duration) -> Option<Sleep> {
        Some(Box::pin(async move {
            smol::Timer::after(limit).await;
        }))
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn it_sleeps_until_then() {
        let mut sleep = Smol.sleep(Duration::from_secs(3600)).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
    }
}
