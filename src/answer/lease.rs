//! The right to create: published, failed, or given up when dropped.

use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::panic::resume_unwind;

use crate::answer::{Anchor, Site};
use crate::answer::{Created, Creating};
use crate::answer::{Guard, Origin, Owned};
use crate::error::{Error, Failure};
use crate::raw::NodeRef;
#[cfg(feature = "async")]
use crate::reentrancy::inside;
use crate::reentrancy::{Identity, Inside};
use crate::shim::{Arc, Ran, run};
use crate::time::Tick;

/// The right to create a value of a pile, held by one at a time; see
/// [`Dogpile::attempt`](crate::Dogpile::attempt).
///
/// It may be sent to another thread. Unless [`publish`](Lease::publish) or [`fail`](Lease::fail)
/// ends it, dropping it gives it up, and the next caller is granted it. One that is kept for ever
/// keeps everybody else waiting who has no usable value, up to their wait limit; a call of the
/// holder itself waits too, as the pile cannot know that it is the holder.
#[must_use = "a lease that is dropped is given up"]
pub struct Lease<'a, T> {
    site: Anchor<'a, T>,
    fence: u64,
    ended: bool,
}

impl<'a, T> Lease<'a, T> {
    /// The lease that the pile has just granted under the number `fence`.
    pub(crate) fn new(place: Site<'a, T>, fence: u64) -> Self {
        Self::at(Anchor::Borrowed(place, None), fence)
    }

    fn at(site: Anchor<'a, T>, fence: u64) -> Self {
        Self {
            site,
            fence,
            ended: false,
        }
    }

    /// The same lease, its pile held in another way.
    pub(crate) fn held_by<'b>(mut self, site: Anchor<'b, T>) -> Lease<'b, T> {
        self.ended = true;
        Lease::at(site, self.fence)
    }

    /// Makes the value the current one and hands it to everybody who waits.
    ///
    /// # Errors
    ///
    /// [`Superseded`] if a `set` or an `invalidate` came meanwhile; it gives the value back.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Attempt, Dogpile};
    ///
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let Attempt::Lease(lease) = pile.attempt() else { panic!() };
    /// pile.invalidate();
    /// assert_eq!(lease.publish(7).unwrap_err().into_inner(), Some(7));
    /// ```
    pub fn publish(self, created: impl Into<Created<T>>) -> Result<Owned<T>, Superseded<T>> {
        let (node, published, _) = self.finish(created.into());
        if published {
            Ok(Owned::new(node))
        } else {
            Err(Superseded { node })
        }
    }

    /// Ends the lease with a failure, and hands the error to everybody who waits with the fallible
    /// form.
    pub fn fail<E: Send + Sync + 'static>(self, error: E) -> Error<E> {
        let error = Arc::new(error);
        self.fail_with(Failure::new(Arc::clone(&error)));
        Error::Create(error)
    }

    /// The value that is held, however old: stale as a rule, perhaps dead. What a caller may be
    /// served meanwhile, another `attempt` tells.
    pub fn previous(&self) -> Option<Owned<T>> {
        self.creating().previous()
    }

    /// The number of this lease. Every lease of a pile has a higher one than those before.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether a `set` or an `invalidate` came meanwhile: then it can no longer publish.
    pub fn is_superseded(&self) -> bool {
        self.creating().is_superseded()
    }

    pub(crate) fn creating(&self) -> Creating<'a, T> {
        Creating::new(self.site.clone(), self.fence)
    }

    fn finish(self, created: Created<T>) -> (NodeRef<T>, bool, Tick) {
        let made = self.make(created);
        let node = made.node.clone();
        let now = made.now;
        (node, self.place(made), now)
    }

    /// The nodes of a value that is complete now.
    pub(crate) fn make(&self, created: Created<T>) -> Made<T> {
        let settings = self.site.pile().settings;
        // Asked here, when the creation is complete: a creator slower than the ttl still makes a
        // value that lives for it.
        let now = settings.time.now();
        let (node, kept) = created.into_nodes(now, settings.policy.ttl, self.fence);
        Made { node, kept, now }
    }

    /// Ends the lease with what was made. Says whether it became the current value.
    pub(crate) fn place(mut self, made: Made<T>) -> bool {
        self.ended = true;
        let pile = self.site.pile().pile;
        pile.publish(self.fence, &made.node, made.kept, made.now)
    }

    /// Ends the lease with a failure.
    pub(crate) fn fail_with(mut self, failure: Failure) {
        self.ended = true;
        self.site.pile().pile.fail(self.fence, failure);
    }

    /// Runs the creator's future. `Err` is its panic.
    #[cfg(feature = "async")]
    pub(crate) fn run<F: Future>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Ran<F::Output>> {
        inside(Identity::of(self.site.pile().pile), create)
    }
}

/// A value before it is published.
pub(crate) struct Made<T> {
    pub(crate) node: NodeRef<T>,
    kept: NodeRef<T>,
    now: Tick,
}

impl<'a, T> Lease<'a, T> {
    /// Runs the creator and ends the lease with what comes of it.
    pub(crate) fn create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        let created = {
            let _inside = Inside::enter(Identity::of(self.site.pile().pile));
            run(|| create(self.creating()))
        };
        self.end(created)
    }

    /// As [`create`](Lease::create), for a creator that is a future.
    #[cfg(feature = "async")]
    #[allow(clippy::manual_async_fn)] // Which would hold its arguments twice.
    pub(crate) fn create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        async move {
            let creating = self.creating();
            let created = self.run(|| create(creating)).await;
            self.end(created)
        }
    }

    /// Ends the lease with what came of the creator.
    fn end<E: Send + Sync + 'static>(
        self,
        created: Ran<Result<Created<T>, E>>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        match created {
            Ok(Ok(created)) => {
                let (node, published, now) = self.finish(created);
                let origin = if published {
                    Origin::CreatedHere
                } else {
                    Origin::Superseded
                };
                Ok(Guard::new(node, origin, now))
            }
            Ok(Err(error)) => Err(self.fail(error)),
            Err(panic) => {
                drop(self);
                resume_unwind(panic)
            }
        }
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if !self.ended {
            self.site.pile().pile.give_up(self.fence);
        }
        if let Some(gate) = self.site.gate() {
            gate.end_of(self.fence);
        }
    }
}

impl<T> fmt::Debug for Lease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}

/// A value that came too late: a `set` or an `invalidate` superseded its lease.
#[derive(thiserror::Error)]
#[error("the lease was superseded by a set or an invalidate while the value was created")]
pub struct Superseded<T> {
    node: NodeRef<T>,
}

impl<T> Superseded<T> {
    /// The value. `None` if it was an unchanged one that somebody else still holds.
    pub fn into_inner(self) -> Option<T> {
        self.node.into_value()
    }

    /// The value in a handle, for a caller who uses it all the same.
    pub fn into_owned(self) -> Owned<T> {
        Owned::new(self.node)
    }
}

impl<T> fmt::Debug for Superseded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Superseded").finish_non_exhaustive()
    }
}
