//! One look at a pile, without creating or waiting: what it found, and the way to wait.

use std::fmt;
use std::time::Duration;

use crate::builder::Config;
use crate::clock::Tick;
use crate::error::Failure;
use crate::guard::{Guard, Origin};
use crate::lease::Lease;
use crate::place::{Hold, PileRef};
use crate::raw::{Creation, Told};
use crate::reentrancy::{is_inside, Identity};
use crate::sync::Arc;

/// What a call found; see [`Dogpile::attempt`](crate::Dogpile::attempt).
#[non_exhaustive]
pub enum Attempt<'a, T, P: Hold<T> = PileRef<'a, T>> {
    /// The value.
    Hit(Guard<'a, T>),
    /// The value is missing, dead or stale, and this caller is to create it.
    Lease(Lease<P, T>),
    /// Somebody else is creating it.
    Busy(Busy<'a, T>),
}

impl<T, P: Hold<T>> fmt::Debug for Attempt<'_, T, P> {
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
    pub(crate) place: PileRef<'a, T>,
    stale: Option<Guard<'a, T>>,
    creation: Option<Arc<Creation<T>>>,
    /// What a value's number must exceed to be an answer.
    pub(crate) floor: u64,
    /// What the creation's value is to this caller.
    pub(crate) origin: Origin,
}

impl<'a, T> Busy<'a, T> {
    /// With a value to go on with.
    pub(crate) fn stale(place: PileRef<'a, T>, stale: Guard<'a, T>, floor: u64) -> Self {
        Self {
            place,
            stale: Some(stale),
            creation: None,
            floor,
            origin: Origin::CreatedByAnother,
        }
    }

    /// With nothing but the creation to wait for.
    pub(crate) fn empty(place: PileRef<'a, T>, creation: Arc<Creation<T>>, floor: u64) -> Self {
        Self {
            place,
            stale: None,
            creation: Some(creation),
            floor,
            origin: Origin::CreatedByAnother,
        }
    }

    /// The same, of a creation that this caller starts elsewhere.
    #[cfg(feature = "async")]
    pub(crate) fn own(mut self) -> Self {
        self.origin = Origin::CreatedHere;
        self
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
        let deadline = self.place.config.time.now().saturating_add(limit);
        self.wait_until(Some(deadline))
    }

    pub(crate) fn wait_until(self, deadline: Option<Tick>) -> Outcome<'a, T> {
        let PileRef { config, pile } = self.place;
        if is_inside(Identity::of(pile)) {
            return Outcome::Reentrant;
        }
        let (floor, origin) = (self.floor, self.origin);
        let Some(creation) = self.into_creation() else {
            return Outcome::ElectAnew;
        };
        match creation.wait(&config.time, deadline) {
            Some(told) => Outcome::of(told, creation.fence(), floor, origin, config),
            None => Outcome::TimedOut,
        }
    }

    /// What there is to wait for; nothing if it is over already.
    pub(crate) fn into_creation(self) -> Option<Arc<Creation<T>>> {
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
    /// number above `floor`, and to whom the creation's value is `origin`.
    pub(crate) fn of(
        told: Told<T>,
        fence: u64,
        floor: u64,
        origin: Origin,
        config: &Config,
    ) -> Self {
        match told {
            Told::Value(node) if node.number() > floor => {
                let set = node.number() != fence;
                let origin = if set {
                    Origin::CreatedByAnother
                } else {
                    origin
                };
                // To tell the value's age with, which need not be exact: all who wait ask at once.
                Outcome::Value(Guard::new(node, origin, config.time.coarse()))
            }
            Told::Failed(failure) if fence > floor => Outcome::Failed(failure),
            // No answer at all; or one that began too early for what this caller asked for.
            Told::Value(_) | Told::Failed(_) | Told::ElectAnew => Outcome::ElectAnew,
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
