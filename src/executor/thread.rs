//! Threads: [`Thread`].

use crate::error::Refused;
use crate::executor::{Executor, Job};
use crate::shim::spawn_thread;

/// A thread of its own for each creation.
///
/// It needs no other thread, so calls that block may wait for it anywhere. What a creator needs is
/// another matter: one that runs a parallel loop in a pool, or awaits the timer of a runtime, needs
/// their threads, and must not be waited for there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thread;

impl Executor for Thread {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        spawn_thread(|| job.run()).map_err(Refused::new)
    }
}
