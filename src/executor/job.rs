//! A creation that can be sent away: [`Job`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::shim::block_on;

/// A creation, ready to run: as the future that it is, or by [`run`](Job::run) on a thread.
#[must_use = "a job that is dropped is given up"]
pub struct Job {
    id: JobId,
    creation: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Tells the jobs that exist at one time from each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId {
    pile: usize,
    fence: u64,
}

impl JobId {
    /// Of the creation with this fence of the pile at this address: the job keeps the pile there.
    pub(crate) fn new(pile: usize, fence: u64) -> Self {
        Self { pile, fence }
    }

    /// Of what is no creation, and keeps something else at this address.
    pub(crate) fn lasting(address: usize) -> Self {
        Self::new(address, 0)
    }
}

impl Job {
    pub(crate) fn new(id: JobId, creation: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            id,
            creation: Box::pin(creation),
        }
    }

    /// Which one it is.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Runs it to its end on this thread.
    ///
    /// # Panics
    ///
    /// If the creator does. The lease is given up, and nobody waits for it any more.
    pub fn run(self) {
        block_on(self.creation);
    }
}

impl Future for Job {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.creation.as_mut().poll(cx)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}
