//! One look at a pile, without creating or waiting: what it found, and the way to wait.

use std::fmt;
use std::time::Duration;

use crate::answer::Lease;
use crate::answer::Settings;
use crate::answer::Site;
use crate::answer::{Guard, Origin};
use crate::error::Failure;
use crate::raw::{Ending, Waiters};
use crate::reentrancy::{Identity, is_inside};
use crate::shim::Arc;
use crate::time::Tick;

/// What a call found; see [`Dogpile::attempt`](crate::Dogpile::attempt).
#[non_exhaustive]
pub enum Attempt<'a, T, L = Lease<'a, T>> {
    /// The value.
    Hit(Guard<'a, T>),
    /// The value is missing, dead or stale, and this caller is to create it.
    Lease(L),
    /// Somebody else is creating it.
    Busy(Busy<'a, T>),
}

impl<T, L: fmt::Debug> fmt::Debug for Attempt<'_, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attempt::Hit(guard) => f.debug_tuple("Hit").field(&guard.origin()).finish(),
            Attempt::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            Attempt::Busy(busy) => f.debug_tuple("Busy").field(busy).finish(),
        }
    }
}

/// Somebody else is creating the value.
#[must_use = "somebody else is creating: take the stale value, or wait"]
pub struct Busy<'a, T> {
    pub(crate) place: Site<'a, T>,
    stale: Option<Guard<'a, T>>,
    creation: Option<Arc<Waiters<T>>>,
    /// What a value's number must exceed to be an answer.
    pub(crate) newer_than: u64,
    /// What the creation's value is to this caller.
    pub(crate) origin: Origin,
}

impl<'a, T> Busy<'a, T> {
    /// With a value to go on with.
    pub(crate) fn stale(place: Site<'a, T>, stale: Guard<'a, T>, newer_than: u64) -> Self {
        Self {
            place,
            stale: Some(stale),
            creation: None,
            newer_than,
            origin: Origin::CreatedByAnother,
        }
    }

    /// With nothing but the creation to wait for.
    pub(crate) fn empty(place: Site<'a, T>, creation: Arc<Waiters<T>>, newer_than: u64) -> Self {
        Self {
            place,
            stale: None,
            creation: Some(creation),
            newer_than,
            origin: Origin::CreatedByAnother,
        }
    }

    /// The stale value, if there is one to go on with.
    pub fn into_stale(self) -> Result<Guard<'a, T>, Self> {
        match self {
            Busy {
                stale: Some(stale), ..
            } => Ok(stale),
            busy => Err(busy),
        }
    }

    /// Waits for the end of the creation.
    pub fn wait(self) -> Outcome<'a, T> {
        self.wait_until(None)
    }

    /// Waits for the end of the creation, for `limit` at most.
    pub fn wait_for(self, limit: Duration) -> Outcome<'a, T> {
        let deadline = self.place.settings.time.now().saturating_add(limit);
        self.wait_until(Some(deadline))
    }

    pub(crate) fn wait_until(self, deadline: Option<Tick>) -> Outcome<'a, T> {
        let Site { settings, pile } = self.place;
        if is_inside(Identity::of(pile)) {
            return Outcome::Reentrant;
        }
        let (newer_than, origin) = (self.newer_than, self.origin);
        let Some(creation) = self.into_creation() else {
            return Outcome::ElectAnew;
        };
        match creation.wait(&settings.time, deadline) {
            Some(told) => Outcome::of(told, creation.fence(), newer_than, origin, settings),
            None => Outcome::TimedOut,
        }
    }

    /// What there is to wait for; nothing if it is over already.
    pub(crate) fn into_creation(self) -> Option<Arc<Waiters<T>>> {
        // Who was offered a stale value has no place among the waiters yet.
        self.creation.or_else(|| self.place.pile.join())
    }
}

impl<T> fmt::Debug for Busy<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Busy")
            .field("stale", &self.stale.is_some())
            .finish_non_exhaustive()
    }
}

/// How the wait for somebody else's creation ended.
#[non_exhaustive]
pub enum Outcome<'a, T> {
    /// With a value.
    Value(Guard<'a, T>),
    /// With a failure.
    Failed(Failure),
    /// With nothing: the lease was given up or superseded, is over already, or had begun too early
    /// for what this call accepts. Attempt again.
    ElectAnew,
    /// Not within the limit.
    TimedOut,
    /// Not begun: the caller is inside the creator of this very pile.
    Reentrant,
}

impl<T> Outcome<'_, T> {
    /// What those who waited for the creation with this fence were told, to one who asked for a
    /// number above `newer_than`, and to whom the creation's value is `origin`.
    pub(crate) fn of(
        told: Ending<T>,
        fence: u64,
        newer_than: u64,
        origin: Origin,
        settings: &Settings,
    ) -> Self {
        match told {
            Ending::Value(node) if node.number() > newer_than => {
                let set = node.number() != fence;
                let origin = if set {
                    Origin::CreatedByAnother
                } else {
                    origin
                };
                // To tell the value's age with, which need not be exact: all who wait ask at once.
                Outcome::Value(Guard::new(node, origin, settings.time.coarse()))
            }
            Ending::Failed(failure) if fence > newer_than => Outcome::Failed(failure),
            // No answer at all; or one that began too early for what this caller asked for.
            Ending::Value(_) | Ending::Failed(_) | Ending::ElectAnew => Outcome::ElectAnew,
        }
    }
}

impl<T> fmt::Debug for Outcome<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Value(guard) => f.debug_tuple("Value").field(&guard.origin()).finish(),
            Outcome::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Outcome::ElectAnew => f.write_str("ElectAnew"),
            Outcome::TimedOut => f.write_str("TimedOut"),
            Outcome::Reentrant => f.write_str("Reentrant"),
        }
    }
}

/// What a look under the lock finds.
pub(crate) enum Attempted<'a, T, A> {
    Hit(A),
    Lease(Lease<'a, T>),
    Busy(Arc<Waiters<T>>),
}

/// What a value's number must exceed to be an answer, once it is known: fixed by a call's first look
/// under the lock.
pub(crate) struct NewerThan(u64);

impl NewerThan {
    pub(crate) const UNFIXED: Self = Self(u64::MAX);

    pub(crate) fn is_unfixed(&self) -> bool {
        self.0 == u64::MAX
    }

    pub(crate) fn fix(&mut self, at: impl FnOnce() -> u64) -> u64 {
        if self.is_unfixed() {
            self.0 = at();
        }
        self.0
    }

    pub(crate) fn number(&self) -> u64 {
        if self.is_unfixed() { 0 } else { self.0 }
    }
}
