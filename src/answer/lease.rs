//! The right to create: published, failed, or given up when it is dropped.

use std::convert::Infallible;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::panic::resume_unwind;

use crate::answer::{Anchor, Created, Creating, Guard, Origin, Owned, Previous, Settings, Site};
use crate::error::{Error, Failure, Panicked, Refused};
use crate::observe::{self, Elected, Watch};
use crate::raw::{Ended, NodeRef, Writers};
#[cfg(feature = "async")]
use crate::reentrancy::inside;
use crate::reentrancy::{Creation, Identity, Inside, Watched};
use crate::shim::{Arc, Ran, contain, run};
use crate::time::Tick;

/// The right to create a value of a pile, held by one caller at a time; see
/// [`Dogpile::attempt`](crate::Dogpile::attempt).
///
/// It may be sent to another thread. A `Lease<'static, T>` holds its pile and can be kept in a
/// struct; see [`Dogpile::attempt_owned`](crate::Dogpile::attempt_owned). Unless
/// [`publish`](Lease::publish) or [`fail`](Lease::fail) ends it, dropping it gives it up, and the
/// next caller is granted the lease. A lease that is kept for ever keeps everybody waiting who has no
/// usable value, up to the wait limit. A call of the holder itself waits too, as the pile cannot know
/// that it is the holder.
#[must_use = "a lease that is dropped is given up"]
pub struct Lease<'a, T> {
    anchor: Anchor<'a, T>,
    fence: u64,
    ended: bool,
    /// It belongs to a job that has not begun.
    is_unrun: bool,
    /// What is observed of it, if the pile has an observer.
    watch: Option<Arc<Watch>>,
}

impl<'a, T> Lease<'a, T> {
    /// The lease that the pile has just granted under the number `fence`.
    pub(crate) fn new(site: Site<'a, T>, fence: u64, elected: Option<Elected>) -> Self {
        let mut lease = Self::at(Anchor::Borrowed(site), fence);
        if let (Some(_), Some(elected)) = (site.settings.cold.watcher.get(), elected) {
            lease.watch = Some(Arc::new(Watch::new(elected.begun(fence))));
        }
        lease
    }

    /// Tells an observer of the grant: by the elected call, once it is out of the door or goes on.
    pub(crate) fn tell_begin(&mut self) {
        let creation = self.creation();
        let site = self.anchor.site();
        let watch = self.watch.as_mut().and_then(Arc::get_mut);
        if let (Some(watch), Some(observer)) = (watch, site.settings.cold.watcher.get()) {
            let _inside = Inside::enter(creation, None);
            watch.begin(observer);
        }
    }

    fn at(anchor: Anchor<'a, T>, fence: u64) -> Self {
        Self {
            anchor,
            fence,
            ended: false,
            is_unrun: false,
            watch: None,
        }
    }

    /// The same lease, its pile held in another way.
    pub(crate) fn held_by<'b>(mut self, anchor: Anchor<'b, T>) -> Lease<'b, T> {
        self.ended = true;
        let fence = std::mem::take(&mut self.fence);
        let mut lease = Lease::at(anchor, fence);
        lease.watch = self.watch.take();
        lease
    }

    /// The same lease, for a job that holds the pile, and has not begun.
    #[cfg(feature = "async")]
    pub(crate) fn unrun<'b>(self, anchor: Anchor<'b, T>) -> Lease<'b, T> {
        let mut lease = self.held_by(anchor);
        lease.is_unrun = true;
        lease
    }

    /// The job begins.
    #[cfg(feature = "async")]
    pub(crate) fn begin(&mut self) {
        self.is_unrun = false;
    }

    /// What the pile has to know of the end of the lease, now.
    fn ended<'s>(&'s self, site: Site<'s, T>, now: Tick) -> Ended<'s> {
        Ended {
            fence: self.fence,
            policy: &site.settings.policy,
            now,
            seed: site.seed(),
            watch: self.watch.as_deref(),
        }
    }

    /// Makes the value the current one and hands it to everybody who waits.
    ///
    /// # Errors
    ///
    /// [`Superseded`] if a `set` or an `invalidate` came meanwhile. It gives the value back. Those
    /// who waited already when an `invalidate` came get the value too.
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
        let guard = self.publish_ready(created.into());
        let node = guard.node().clone();
        match Guard::origin(&guard) {
            Origin::Superseded => {
                drop(guard);
                Err(Superseded { node })
            }
            _ => Ok(Owned::new(node)),
        }
    }

    /// Ends the lease with a failure, and hands the error to everybody who waits with a fallible
    /// form.
    ///
    /// The error comes back as this caller's own.
    pub fn fail<E: Send + Sync + 'static>(self, error: E) -> Error<E> {
        let error = Arc::new(error);
        self.fail_as(Failure::new(Arc::clone(&error)));
        Error::Create(error)
    }

    /// Ends the lease with a failure that others may share.
    pub(crate) fn fail_as(mut self, failure: Failure) {
        let site = self.anchor.site();
        let now = site.settings.time.now();
        self.ended = true;
        let ended = self.ended(site, now);
        site.pile.fail(&ended, failure);
    }

    /// Ends the lease with a panic of its creator.
    pub(crate) fn panicked(mut self, panicked: Panicked) {
        let site = self.anchor.site();
        let now = site.settings.time.now();
        self.ended = true;
        let ended = self.ended(site, now);
        site.pile.panicked(&ended, panicked);
    }

    /// The creation under this lease.
    pub(crate) fn creation(&self) -> Creation {
        Creation {
            pile: Identity::of(self.anchor.site().pile),
            fence: self.fence,
        }
    }

    /// The same, and what an observer has put around it.
    pub(crate) fn watched(&self) -> Watched {
        (self.creation(), self.watch.clone())
    }

    /// Runs a creator under the lease, and leaves the end of the lease to the holder.
    ///
    /// Meanwhile the thread counts as inside the creator: a call on the same pile is answered at
    /// once, with the value held or with [`Error::Reentrant`], instead of waiting for itself.
    ///
    /// # Panics
    ///
    /// If `create` does. The lease is still held.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Attempt, Dogpile};
    ///
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let Attempt::Lease(lease) = pile.attempt() else { panic!() };
    /// match lease.run(|_creating| "7".parse::<u8>()) {
    ///     Ok(value) => drop(lease.publish(value)),
    ///     Err(error) => drop(lease.fail(error)),
    /// }
    /// assert_eq!(*pile.peek().unwrap(), 7);
    /// ```
    pub fn run<R>(&self, create: impl FnOnce(Creating<'a, T>) -> R) -> R {
        let _inside = Inside::enter(self.creation(), self.watch.as_deref());
        create(self.creating())
    }

    /// As [`run`](Lease::run), for a creator that creates for several leases at once: the thread counts as
    /// inside the creator of each of them.
    ///
    /// # Panics
    ///
    /// If `create` does. The leases are still held.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Attempt, Dogpile, Lease};
    ///
    /// let minute = Duration::from_secs(60);
    /// let (one, two) = (Dogpile::new(minute), Dogpile::new(minute));
    /// let (Attempt::Lease(first), Attempt::Lease(second)) = (one.attempt(), two.attempt()) else {
    ///     panic!()
    /// };
    /// let made = Lease::run_all(&[&first, &second], || [1, 2]);
    /// drop(first.publish(made[0]));
    /// drop(second.publish(made[1]));
    /// assert_eq!(*one.peek().unwrap() + *two.peek().unwrap(), 3);
    /// ```
    pub fn run_all<R>(leases: &[&Self], create: impl FnOnce() -> R) -> R {
        let mut inside = Vec::with_capacity(leases.len());
        for lease in leases {
            inside.push(Inside::enter(lease.creation(), lease.watch.as_deref()));
        }
        create()
    }

    /// As [`run`](Lease::run), for a creator that is a future. The task counts as inside the creator
    /// for the length of each poll.
    ///
    /// # Panics
    ///
    /// If `create` or its future does. The lease is still held.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The lease is still held.
    #[cfg(feature = "async")]
    pub fn run_async<R, F: Future<Output = R>>(
        &self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = R> {
        let creating = self.creating();
        let ran = self.catch_async(|| create(creating));
        async move { ran.await.unwrap_or_else(|panic| resume_unwind(panic)) }
    }

    /// The value that is held, however old it is: stale as a rule, fresh in a refresh, perhaps gone.
    ///
    /// Another [`attempt`](crate::Dogpile::attempt) tells what a caller may be served meanwhile.
    pub fn previous(&self) -> Option<Previous<T>> {
        self.creating().previous()
    }

    /// The number of this lease. Every lease of a pile has a higher one than those before.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether a `set` or an `invalidate` came meanwhile. Then it can no longer publish.
    pub fn is_superseded(&self) -> bool {
        self.creating().is_superseded()
    }

    /// What a creator under this lease may know.
    pub fn creating(&self) -> Creating<'a, T> {
        Creating::new(self.anchor.clone(), self.fence)
    }

    /// How many writers have been inside the gate of the pile, as the lease ends.
    fn writers(&self) -> Writers {
        let gate = self.anchor.site().gate;
        Writers(gate.map_or(Some(0), |gate| gate.writers_at_end_of(self.fence)))
    }

    /// Ends the lease with a value, and shows it.
    pub(crate) fn publish_ready<'g>(mut self, created: Created<T>) -> Guard<'g, T> {
        let site = self.anchor.site();
        // Asked here, when the creation is complete: a creator slower than the ttl still makes a
        // value that lives for it.
        let now = site.settings.time.now();
        let superseded = created.is_superseded();
        let ready = created.into_ready(site, now, self.fence);
        let node = ready.node.clone();
        // Before the end, which may drop an old value: a panic there must not end the lease twice.
        self.ended = true;
        let ended = self.ended(site, now);
        let published = if superseded {
            site.pile.give_up(&ended, observe::End::Superseded(None));
            false
        } else {
            site.pile.publish(&ended, ready, self.writers())
        };
        let origin = match published {
            true => Origin::CreatedHere,
            false => Origin::Superseded,
        };
        Guard::new(node, origin, now)
    }

    /// Runs the creator and ends the lease with what comes of it.
    pub(crate) fn create<'g, E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'g, T>, Error<E>> {
        let created = run(|| self.run(create));
        self.end(created)
    }

    /// As [`create`](Lease::create), for a creator that is a future.
    #[cfg(feature = "async")]
    #[allow(clippy::manual_async_fn)] // It would hold its arguments twice.
    pub(crate) fn create_async<'g, E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'g, T>, Error<E>>>
    where
        T: 'g,
        F: Future<Output = Result<Created<T>, E>>,
    {
        async move {
            let creating = self.creating();
            let created = self.catch_async(|| create(creating)).await;
            self.end(created)
        }
    }

    /// Runs the creator's future. `Err` is its panic.
    #[cfg(feature = "async")]
    fn catch_async<R, F: Future<Output = R>, C: FnOnce() -> F>(
        &self,
        create: C,
    ) -> impl Future<Output = Ran<R>> + use<R, F, C, T> {
        inside(self.watched(), create)
    }

    /// Nothing has run under it: what it took of a rate of creations goes back.
    pub(crate) fn spends_nothing(&self) {
        if let Some(rate) = &self.anchor.site().settings.cold.rate {
            rate.put_back();
        }
    }

    #[cold]
    fn end_with_nothing(&self, site: Site<'_, T>) {
        let Settings { policy, time, .. } = site.settings;
        let mut now = Tick::ZERO;
        // Of a lease that is given up nothing is counted from its end, unless somebody asked for it.
        if self.is_unrun || policy.counts() {
            // A clock that panics must not keep the lease from its end.
            contain(|| now = time.now());
        }
        if !self.is_unrun {
            let given_up = observe::End::GivenUp;
            return site.pile.give_up(&self.ended(site, now), given_up);
        }
        self.spends_nothing();
        let refused = Refused::new("it did not run the creation");
        let refused = Error::<Infallible>::Refused(refused);
        site.pile.refused(&self.ended(site, now), refused.into());
    }

    /// Ends the lease with what came of the creator.
    fn end<'g, E: Send + Sync + 'static>(
        self,
        created: Ran<Result<Created<T>, E>>,
    ) -> Result<Guard<'g, T>, Error<E>> {
        match created {
            Ok(Ok(created)) => Ok(self.publish_ready(created)),
            Ok(Err(error)) => Err(self.fail(error)),
            Err(panic) => {
                self.panicked(Panicked::new(&*panic));
                resume_unwind(panic)
            }
        }
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        let site = self.anchor.site();
        if !self.ended {
            self.end_with_nothing(site);
        }
        if let Some(gate) = site.gate {
            gate.end_of(self.fence);
        }
        // After the gate, so that the observer may call the pile.
        if let Some(watch) = &self.watch {
            watch.tell(&site.settings.cold.watcher);
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
#[must_use = "it holds the value"]
pub struct Superseded<T> {
    node: NodeRef<T>,
}

impl<T> Superseded<T> {
    /// The value. `None` if somebody else has a share in it: it was an unchanged one, or others
    /// waited for it.
    pub fn into_inner(self) -> Option<T> {
        self.node.into_value()
    }

    /// The value in a handle, for a caller that uses it all the same.
    pub fn into_owned(self) -> Owned<T> {
        Owned::new(self.node)
    }
}

impl<T> fmt::Debug for Superseded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Superseded").finish_non_exhaustive()
    }
}
