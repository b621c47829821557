//! Where fetches run, so that a program that ends lets them finish and begins none.

use dogpile::Refused;
use dogpile::executor::{Blocking, Executor, Job, Timer};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub(crate) struct Jobs {
    tasks: TaskTracker,
    runtime: Handle,
}

impl Jobs {
    /// On the runtime of whoever asks.
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        }
    }

    /// Begins none from here on, and waits for those that run.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Executor for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        // In this order: a shutdown that begins after the look waits for this job.
        let job = self.tasks.track_future(job);
        if self.tasks.is_closed() {
            return Err(Refused::new("the program is ending"));
        }
        self.runtime.spawn(job);
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        self.runtime.timer()
    }

    fn blocking_here(&self) -> Blocking {
        self.runtime.blocking_here()
    }
}
