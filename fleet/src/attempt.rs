//! One look, without waiting and without creating: the value, or the lease to hand out.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use dogpile::Lease;

use crate::call::FleetCall;
use crate::codec::Codec;
use crate::creation::{Creation, Vigil};
use crate::door::{Door, Seat};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::FleetDogpile;
use crate::regeneration::Fate;
use crate::site::Site;
use crate::store::{Store, Version};
use crate::thread::{Asked, Granted, Leading};

/// What an attempt found; see [`FleetDogpile::attempt`].
#[must_use = "it may hold the lease, which is given up when it is dropped"]
pub enum FleetAttempt<'a, T, S: Store, C: Send + Sync + 'static> {
    /// The value, fresh, or stale while somebody creates the next.
    Hit(FleetGuard<'a, T>),
    /// The value is missing or stale, and this caller is to create it, for the whole fleet.
    Lease(FleetLease<'a, T, S, C>),
    /// Somebody creates, or nobody may yet, and there is nothing to go on with. Attempt again.
    #[non_exhaustive]
    Busy {
        /// When the next creation may begin, where that is known.
        retry_in: Option<Duration>,
    },
}

impl<T, S: Store, C: Send + Sync + 'static> fmt::Debug for FleetAttempt<'_, T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FleetAttempt::Hit(_) => f.write_str("Hit"),
            FleetAttempt::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            FleetAttempt::Busy { retry_in } => {
                f.debug_struct("Busy").field("retry_in", retry_in).finish()
            }
        }
    }
}

/// The right to create, for the whole fleet. Dropping it gives it up, here and at the store.
#[must_use = "a lease that is dropped is given up"]
pub struct FleetLease<'a, T, S: Store, C: Send + Sync + 'static> {
    site: Arc<Site<T, S, C>>,
    /// Both until it has ended.
    here: Option<Lease<'a, Entry<T>>>,
    there: Option<Box<Leading<S>>>,
    creation: Box<Creation<'a, T>>,
    began: dogpile::Tick,
}

/// What became of a value that was published under a [`FleetLease`].
#[derive(Debug)]
#[must_use = "the value may not be stored"]
pub struct Published<T> {
    /// The value.
    pub value: Arc<T>,
    /// What became of it.
    pub outcome: PublishOutcome,
}

/// What became of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishOutcome {
    /// The fleet has it, under this version.
    Stored(Version),
    /// Something came after the lease. Nobody else is given it.
    Superseded,
    /// The store did not take it, or was not asked. This process alone has it.
    Unstored,
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetDogpile<T, S, C> {
    /// The value, the lease, or the news that somebody else has it, without creating or waiting: at
    /// most one verb of the store.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile_fleet::{FleetAttempt, FleetDogpile, MemoryStore, PublishOutcome};
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let motto = FleetDogpile::builder(store, "motto", Duration::from_secs(60)).build();
    /// let FleetAttempt::Lease(lease) = motto.attempt() else { panic!() };
    /// // Nobody else in the fleet is given the lease meanwhile.
    /// assert!(matches!(motto.attempt(), FleetAttempt::Busy { .. }));
    /// let published = lease.publish("one for all".to_owned());
    /// assert!(matches!(published.outcome, PublishOutcome::Stored(_)));
    /// assert!(matches!(motto.attempt(), FleetAttempt::Hit(_)));
    /// ```
    pub fn attempt(&self) -> FleetAttempt<'_, T, S, C> {
        self.call().attempt()
    }
}

impl<'a, T: Send + Sync + 'static, S: Store, C: Codec<T>, D: Door<'a, T, S, C>>
    FleetCall<'a, T, S, C, D>
{
    /// As [`FleetDogpile::attempt`], with the options of this call but for its limit.
    pub fn attempt(self) -> FleetAttempt<'a, T, S, C> {
        if let Some(guard) = self.hit() {
            return FleetAttempt::Hit(guard);
        }
        let now = self.shared().common.now();
        // It never waits.
        let mut terms = self.terms(now);
        terms.deadline = Some(now);
        let lease = match self.door.attempt(self.here(None)) {
            Seat::Hit(guard) => return FleetAttempt::Hit(FleetGuard::new(guard)),
            Seat::Lease(lease) => lease,
            Seat::Busy(stale) => {
                return match stale.filter(|guard| self.will_do(guard)) {
                    Some(guard) => FleetAttempt::Hit(FleetGuard::new(guard)),
                    None => FleetAttempt::Busy { retry_in: None },
                };
            }
            Seat::NotYet(retry_in) => {
                let retry_in = Some(retry_in);
                return FleetAttempt::Busy { retry_in };
            }
        };
        let site = self.door.site();
        match site.ask_the_store(&lease.creating(), terms) {
            Asked::Granted(granted) => FleetAttempt::Lease(self.lease(site, lease, granted)),
            Asked::End(Ok(created)) => {
                // Whether it became the current value or not, this caller began before.
                let entry = match lease.publish(created) {
                    Ok(entry) => entry,
                    Err(superseded) => superseded.into_owned(),
                };
                FleetAttempt::Hit(FleetGuard::owned(entry))
            }
            Asked::End(Err(fail)) => {
                drop(lease);
                let retry_in = match fail {
                    Fail::BackingOff(retry_in) => Some(retry_in),
                    _ => None,
                };
                FleetAttempt::Busy { retry_in }
            }
        }
    }

    fn lease(
        &self,
        site: Arc<Site<T, S, C>>,
        here: Lease<'a, Entry<T>>,
        granted: Granted,
    ) -> FleetLease<'a, T, S, C> {
        let common = &self.shared().common;
        let vigil = Vigil::of(granted.lease.as_ref());
        let there = granted
            .lease
            .map(|lease| Box::new(Leading::new(&site, lease, &vigil)));
        common.count(|counts| &counts.creations);
        FleetLease {
            site,
            there,
            creation: Box::new(Creation {
                creating: here.creating(),
                lease: granted.lease,
                vigil,
                common,
                lost_here: granted.lost_here,
            }),
            here: Some(here),
            began: common.now(),
        }
    }
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetLease<'_, T, S, C> {
    /// Stores the value for the whole fleet, and hands it to everybody who waits here.
    pub fn publish(mut self, value: T) -> Published<T> {
        let site = &self.site;
        let made = site.make(Ok::<_, std::convert::Infallible>(value), self.began);
        let Ok(made) = made;
        let value = Arc::clone(&made.value);
        let since = site.known.since();
        let fate = match self.there.take() {
            Some(leading) => site.commit(*leading, made.bytes.as_deref()),
            None => Fate::Unstored,
        };
        let created = site.made(made, fate, since, self.creation.lost_here);
        let here = self.here.take().expect("it has not ended");
        // What did not become the current value here did so at the store, or nowhere.
        drop(here.publish(created));
        Published {
            value,
            outcome: match fate {
                Fate::Current(version) => PublishOutcome::Stored(version),
                Fate::Superseded(_) => PublishOutcome::Superseded,
                Fate::Unstored => PublishOutcome::Unstored,
            },
        }
    }

    /// Ends the lease with a failure: those who wait here are given the error, and nobody in the fleet
    /// creates for a while.
    pub fn fail<E: Send + Sync + 'static>(mut self, error: E) -> FleetError<E> {
        let quiet = self.site.quiet(self.creation.lease);
        if let Some(leading) = self.there.take() {
            leading.release(quiet);
        }
        let here = self.here.take().expect("it has not ended");
        here.fail(Fail::create(error)).into()
    }
}

impl<'a, T, S: Store, C: Send + Sync + 'static> Deref for FleetLease<'a, T, S, C> {
    type Target = Creation<'a, T>;

    fn deref(&self) -> &Creation<'a, T> {
        &self.creation
    }
}

impl<T, S: Store, C: Send + Sync + 'static> Drop for FleetLease<'_, T, S, C> {
    fn drop(&mut self) {
        // The store first: whoever is elected here next finds the lease free.
        if let Some(leading) = self.there.take() {
            leading.release(Duration::ZERO);
        }
    }
}

impl<T, S: Store, C: Send + Sync + 'static> fmt::Debug for FleetLease<'_, T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetLease")
            .field("fence", &self.creation.fence())
            .finish_non_exhaustive()
    }
}
