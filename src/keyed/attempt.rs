//! One look at a key, without creating or waiting: what it found, and the way to wait.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use crate::answer::{Anchor, Guard, Lease};
use crate::call::election::{Election, Kept};
use crate::call::{Attempt, Busy, NotYet, Outcome};
use crate::keyed::call::{Asked, KeyedCall};
use crate::keyed::entry::Visit;
use crate::keyed::guard::KeyedGuard;
use crate::shim::Arc;

/// What an attempt at a key found; see [`KeyedDogpile::attempt`](crate::KeyedDogpile::attempt).
#[must_use = "it may hold the lease, which is given up when it is dropped"]
pub enum KeyedAttempt<'a, K, T> {
    /// The value.
    Hit(KeyedGuard<'a, K, T>),
    /// The value is missing, gone or stale, and this caller is to create it.
    Lease(Lease<'a, T>),
    /// Another caller is creating the value.
    Busy(KeyedBusy<'a, K, T>),
    /// Nobody may create yet: the source is spared.
    NotYet(NotYet<KeyedGuard<'a, K, T>>),
}

impl<K, T> fmt::Debug for KeyedAttempt<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyedAttempt::Hit(_) => f.write_str("Hit"),
            KeyedAttempt::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            KeyedAttempt::Busy(busy) => f.debug_tuple("Busy").field(busy).finish(),
            KeyedAttempt::NotYet(not_yet) => f.debug_tuple("NotYet").field(not_yet).finish(),
        }
    }
}

/// Another caller is creating the value of this key.
#[must_use = "take the stale value, or wait"]
pub struct KeyedBusy<'a, K, T> {
    election: Election<'a, T, (), Kept, Guard<'a, T>>,
    asked: Asked,
    stale: Option<KeyedGuard<'a, K, T>>,
    visit: Arc<Visit<K, T>>,
}

impl<'a, K, T> KeyedBusy<'a, K, T> {
    /// The stale value, if there is one to go on with.
    ///
    /// # Errors
    ///
    /// Itself, if there is none: then [wait](KeyedBusy::wait), or attempt again later.
    #[allow(clippy::result_large_err)] // It is the same thing again, moved.
    pub fn into_stale(self) -> Result<KeyedGuard<'a, K, T>, Self> {
        match self.stale {
            Some(stale) => Ok(stale),
            None => Err(self),
        }
    }

    /// Waits for the end of the creation, without a limit.
    pub fn wait(self) -> Outcome<KeyedGuard<'a, K, T>> {
        let waiting = Busy::from_parts(self.asked.of(self.visit.site()), self.election);
        Self::shown(waiting.wait(), &self.visit)
    }

    /// Waits for the end of the creation, for `limit` at most.
    pub fn wait_for(self, limit: Duration) -> Outcome<KeyedGuard<'a, K, T>> {
        let waiting = Busy::from_parts(self.asked.of(self.visit.site()), self.election);
        Self::shown(waiting.wait_for(limit), &self.visit)
    }

    /// As [`wait`](KeyedBusy::wait), for tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropping it disturbs nobody.
    #[cfg(feature = "async")]
    pub fn wait_async(self) -> impl Future<Output = Outcome<KeyedGuard<'a, K, T>>> {
        async move {
            let waiting = Busy::from_parts(self.asked.of(self.visit.site()), self.election);
            Self::shown(waiting.await, &self.visit)
        }
    }

    fn shown(outcome: Outcome<Guard<'_, T>>, visit: &Visit<K, T>) -> Outcome<KeyedGuard<'a, K, T>> {
        outcome.map(|guard| KeyedGuard::new(guard, visit.entry()))
    }
}

impl<K, T> fmt::Debug for KeyedBusy<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBusy")
            .field("stale", &self.stale.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a, K, T, S, Q> KeyedCall<'a, '_, K, T, S, Q>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// The value, the lease, or the news that another caller has it, without creating or waiting: as
    /// [`KeyedDogpile::attempt`](crate::KeyedDogpile::attempt), with the options of this call.
    #[track_caller]
    pub fn attempt(self) -> KeyedAttempt<'a, K, T> {
        let visit = Arc::new(self.enter(self.map.hash(self.key)));
        let shown = |guard: Guard<'_, T>| KeyedGuard::new(guard, visit.entry());
        match self.asked.of(visit.site()).attempt() {
            Attempt::Hit(guard) => KeyedAttempt::Hit(shown(guard)),
            Attempt::Lease(lease) => {
                KeyedAttempt::Lease(lease.held_by(Anchor::Owned(Arc::<Visit<K, T>>::clone(&visit))))
            }
            Attempt::Busy(busy) => {
                let (election, stale) = busy.into_parts();
                KeyedAttempt::Busy(KeyedBusy {
                    election,
                    asked: self.asked,
                    stale: stale.map(shown),
                    visit: Arc::clone(&visit),
                })
            }
            Attempt::NotYet(not_yet) => KeyedAttempt::NotYet(not_yet.map(shown)),
        }
    }
}
