//! The right to create: published, failed, or given up when dropped.

use std::panic::resume_unwind;

use crate::builder::Config;
use crate::error::{Error, Failure};
use crate::guard::{Guard, Origin};
use crate::raw::{NodeRef, Pile};
use crate::reentrancy::{Identity, Inside};
use crate::stamp::Stamp;
use crate::sync::{run, Arc};

/// The lease of a pile. Whatever way it is left, a pile is never left leased by nobody: unless the
/// value or the error was handed in, dropping it gives it up.
pub(crate) struct Lease<'a, T> {
    config: &'a Config,
    pile: &'a Pile<T>,
    fence: u64,
    ended: bool,
}

impl<'a, T> Lease<'a, T> {
    /// The lease that `pile` has just granted under the number `fence`.
    pub(crate) fn new(config: &'a Config, pile: &'a Pile<T>, fence: u64) -> Self {
        Self {
            config,
            pile,
            fence,
            ended: false,
        }
    }

    /// Runs the creator and ends the lease with what comes of it.
    pub(crate) fn create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        let created = {
            let _inside = Inside::enter(Identity::of(self.pile));
            run(create)
        };
        match created {
            Ok(Ok(value)) => Ok(self.publish(value)),
            Ok(Err(error)) => {
                let error = Arc::new(error);
                self.fail(Failure::new(Arc::clone(&error)));
                Err(Error::Create(error))
            }
            Err(panic) => {
                drop(self);
                resume_unwind(panic)
            }
        }
    }

    fn publish(mut self, value: T) -> Guard<'a, T> {
        // Asked here, when the creation is complete: a creator slower than the ttl still makes a
        // value that lives for it.
        let now = self.config.time.now();
        let node = NodeRef::new(value, Stamp::new(now, self.config.policy.ttl), self.fence);
        self.ended = true;
        let published = self.pile.publish(self.fence, &node, now);
        Guard::new(
            node,
            if published {
                Origin::CreatedHere
            } else {
                Origin::Superseded
            },
            now,
        )
    }

    fn fail(mut self, failure: Failure) {
        self.ended = true;
        self.pile.fail(self.fence, failure);
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if !self.ended {
            self.pile.give_up(self.fence);
        }
    }
}
