//! The guard over a cache: [`CacheDogpile`], and what its calls for threads and tasks share.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

use dogpile::observe::{KeyedStats, Stats};
use dogpile::{
    Accept, Created, Creating, Error, Freshness, KeyedBuilder, KeyedCall, KeyedDogpile, KeyedGuard,
    Origin, Owned, Tick,
};

use crate::running::Running;
use crate::{CacheGuard, Entry};

/// A cache that somebody else wrote, with one creator a key and the stale value for everybody else.
///
/// The cache keeps the values, as [entries](Entry), and evicts them by its own rules. Who creates, who
/// waits, and until when a value is fresh or stale, is decided here, by the settings of a
/// [`KeyedDogpile`]. An eviction during a creation ends nothing and lets no second creator in. A key
/// that nobody is just creating takes no memory here.
///
/// Change a key through this, and not through [the cache](CacheDogpile::cache): a creation that began
/// before does not know of what was done there.
///
/// A function that cannot fail returns `Ok::<_, std::convert::Infallible>`.
///
/// # Time
///
/// A cache that lets its entries go at an age of its own has to keep them for the time to live *and* the
/// stale limit, or there is nothing stale to serve. A cache that goes by idleness, number or weight needs
/// no change. Where the cache has no time to live, as a `quick_cache`, the one here is enough: what is gone
/// is not served, and is replaced or evicted.
///
/// # Settings without effect
///
/// `max_entries`, `max_weight` and `on_eviction` of a [`KeyedBuilder`] speak of values that the map
/// keeps. It keeps none: the cache does.
///
/// # Example
///
/// The example of [`Cache`](crate::Cache) shows one.
pub struct CacheDogpile<K, T, C, S = RandomState> {
    pub(crate) cache: C,
    /// Who creates which key, and who waits for it. It keeps no value.
    pub(crate) flights: KeyedDogpile<K, T, S>,
    pub(crate) running: Running<K, T>,
}

impl<K: Eq + Hash, T, C, S: BuildHasher> CacheDogpile<K, T, C, S> {
    /// A guard over `cache`, for values with these settings.
    ///
    /// # Panics
    ///
    /// If two settings make no sense together: as [`KeyedBuilder::build`].
    pub fn new(cache: C, settings: KeyedBuilder<K, T, S>) -> Self {
        Self {
            cache,
            flights: settings.build(),
            running: Running::new(),
        }
    }

    /// Whether a caller is creating the value of a key.
    pub fn is_creating<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.flights.is_creating(key)
    }

    /// How many wait for the value of a key.
    pub fn waiters<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.flights.waiters(key)
    }

    /// Who creates the value of a key, since when, and who waits. Only while somebody does.
    pub fn stats_of<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Stats
    where
        K: Borrow<Q>,
    {
        self.flights.stats_of(key)
    }

    /// What there is of all keys that are being created, or back off.
    pub fn stats(&self) -> KeyedStats {
        self.flights.stats()
    }

    /// What the cache's entry stands for, if anything.
    pub(crate) fn settled<Q: Eq + Hash + ?Sized>(
        &self,
        key: &Q,
        entry: Option<Entry<T>>,
    ) -> Option<Entry<T>>
    where
        K: Borrow<Q>,
    {
        let entry = entry?;
        match entry.settled() {
            Some(Some(settled)) if std::ptr::eq(settled, &entry) => Some(entry),
            _ => self.running.meanwhile(key, &entry),
        }
    }
}

impl<K, T, C, S> CacheDogpile<K, T, C, S> {
    /// The cache, for all else.
    pub fn cache(&self) -> &C {
        &self.cache
    }
}

impl<K, T, C, S> fmt::Debug for CacheDogpile<K, T, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheDogpile")
            .field("creations", &self.running.len())
            .finish_non_exhaustive()
    }
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// A value that will do.
    Usable,
    /// A new one.
    New,
}

impl Asks {
    /// Whether what the cache has now, when the lease is granted, makes the creation needless: another
    /// caller may have created since the first look.
    pub(crate) fn are_answered_by<T, K: Eq + Hash, S: BuildHasher>(
        self,
        entry: &Entry<T>,
        flights: &KeyedDogpile<K, T, S>,
    ) -> bool {
        self == Asks::Usable && entry.freshness(flights).0 == Freshness::Fresh
    }
}

/// What a creation tells the call that was elected for it.
pub(crate) struct Told<T> {
    there: OnceLock<Entry<T>>,
    ran: OnceLock<()>,
}

impl<T> Told<T> {
    pub(crate) fn new() -> Self {
        Self {
            there: OnceLock::new(),
            ran: OnceLock::new(),
        }
    }

    /// The cache had this, and nothing was created.
    pub(crate) fn was_there(&self, entry: &Entry<T>) {
        self.there.get_or_init(|| entry.clone());
    }

    /// The creator runs.
    pub(crate) fn runs(&self) {
        self.ran.get_or_init(|| ());
    }

    /// What the cache had.
    pub(crate) fn there(&self) -> Option<Entry<T>> {
        self.there.get().cloned()
    }

    /// Whether the creator ran.
    pub(crate) fn ran(&self) -> bool {
        self.ran.get().is_some()
    }
}

/// One call, from its look into the cache on.
pub(crate) struct Lookup<T> {
    asks: Asks,
    /// What the cache had.
    held: Option<Entry<T>>,
    freshness: Freshness,
    now: Tick,
}

impl<T> Lookup<T> {
    pub(crate) fn new<K: Eq + Hash, S: BuildHasher>(
        asks: Asks,
        held: Option<Entry<T>>,
        flights: &KeyedDogpile<K, T, S>,
    ) -> Self {
        let (freshness, now) = match &held {
            Some(held) => held.freshness(flights),
            None => (Freshness::Gone, Tick::ZERO),
        };
        Self {
            asks,
            held,
            freshness,
            now,
        }
    }

    /// The answer of a call that need not create.
    pub(crate) fn hit(self) -> Result<CacheGuard<T>, Self> {
        match (self.asks, self.freshness) {
            (Asks::Usable, Freshness::Fresh) => self.serve(),
            _ => Err(self),
        }
    }

    /// The answer of a call that cannot or need not create now, because another caller does.
    pub(crate) fn serve(mut self) -> Result<CacheGuard<T>, Self> {
        let origin = match self.freshness {
            Freshness::Fresh | Freshness::Due => Origin::Fresh,
            Freshness::Stale => Origin::Stale,
            _ => return Err(self),
        };
        match self.held.take() {
            Some(held) => Ok(CacheGuard::new(held, origin, self.now)),
            None => Err(self),
        }
    }

    /// Whether the call goes on with what it has while another caller creates.
    pub(crate) fn goes_on(&self) -> bool {
        self.asks == Asks::Usable && matches!(self.freshness, Freshness::Due | Freshness::Stale)
    }

    /// What asks the flights.
    pub(crate) fn call<'a, 'q, K: Eq + Hash, S: BuildHasher, Q: ?Sized>(
        &self,
        flights: &'a KeyedDogpile<K, T, S>,
        key: &'q Q,
    ) -> KeyedCall<'a, 'q, K, T, S, Q> {
        let call = flights.call(key);
        match self.asks {
            Asks::New => call.accept(Accept::New),
            Asks::Usable if self.goes_on() => call.wait(Duration::ZERO),
            Asks::Usable => call,
        }
    }

    /// What the call asks for.
    pub(crate) fn asks(&self) -> Asks {
        self.asks
    }

    /// What stands in for a failure. `ran`: it is that of the call's own creator.
    pub(crate) fn stand_in<E: Send + Sync + 'static, K: Eq + Hash, S: BuildHasher>(
        self,
        error: Error<E>,
        ran: bool,
        flights: &KeyedDogpile<K, T, S>,
    ) -> Result<CacheGuard<T>, Error<E>> {
        let lookup = match ran || !self.goes_on() {
            true => self,
            // It had an answer when it came, however long it took to learn that it is not elected.
            false => match self.serve() {
                Ok(guard) => return Ok(guard),
                Err(lookup) => lookup,
            },
        };
        let Some(held) = lookup.held.filter(|_| lookup.asks == Asks::Usable) else {
            return Err(error);
        };
        let is_failure = !matches!(error, Error::Reentrant | Error::Cycle(_) | Error::NoTimer);
        let (freshness, now) = held.freshness(flights);
        let origin = match freshness {
            Freshness::Fresh | Freshness::Due => Origin::Fresh,
            Freshness::Stale if Owned::stands_in(held.value(), now) => Origin::Stale,
            Freshness::Fallback if is_failure => Origin::Fallback,
            _ => return Err(error),
        };
        Ok(CacheGuard::new(held, origin, now).beside(Some(error.into())))
    }
}

/// A value that was found in the cache under the lease, for those who wait for it.
pub(crate) fn found<T>(entry: &Entry<T>, now: Tick) -> Created<T> {
    let age = Owned::age(entry.value(), now);
    Created::unchanged(entry.value().clone())
        .age(age)
        .keep(false)
}

/// A value that was made, as an entry for the cache if it is to be kept there, and for those who wait.
pub(crate) fn made<T>(
    creating: &Creating<'_, T>,
    created: Created<T>,
) -> (Option<Entry<T>>, Created<T>) {
    let is_kept = created.is_kept();
    let (value, created) = creating.complete(created);
    (is_kept.then(|| Entry::pending(value)), created.keep(false))
}

/// The answer of the flights.
pub(crate) fn answered<K, T>(
    guard: &KeyedGuard<'_, K, T>,
    found: Option<Entry<T>>,
    now: Tick,
) -> CacheGuard<T> {
    match found {
        Some(found) => CacheGuard::new(found, Origin::CreatedByAnother, now),
        None => {
            let value = dogpile::KeyedOwned::into_value(KeyedGuard::to_owned(guard));
            CacheGuard::new(Entry::current(value), KeyedGuard::origin(guard), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dogpile::{Dogpile, ManualClock};

    use super::*;

    /// The stale limit ends while the call learns that it is not elected.
    #[test]
    fn who_came_in_time_is_served() {
        let clock = Arc::new(ManualClock::new());
        let second = Duration::from_secs(1);
        let settings = Dogpile::builder(second).stale_while_revalidate(second);
        let flights: KeyedDogpile<u32, u32> = settings.clock(clock.clone()).build_keyed();
        let entry = Entry::current(flights.complete(1, Created::new(7)).0);
        clock.advance(2 * second);
        let lookup = || Lookup::new(Asks::Usable, Some(entry.clone()), &flights);
        let (came_in_time, ran) = (lookup(), lookup());
        clock.advance(second);
        let not_elected = Error::<()>::GivenUp;
        let served = came_in_time.stand_in(not_elected, false, &flights).unwrap();
        assert_eq!((*served, CacheGuard::origin(&served)), (7, Origin::Stale));
        assert!(ran.stand_in(Error::<()>::GivenUp, true, &flights).is_err());
        let too_late = lookup();
        assert!(
            too_late
                .stand_in(Error::<()>::GivenUp, false, &flights)
                .is_err()
        );
    }
}
