//! A call of a map for one key: its options, and its forms for threads.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::Location;
use std::time::Duration;

use crate::answer::{Caller, Created, Creating, Guard, Open, Origin, Site};
use crate::call::election::{Election, Failures, Role};
use crate::call::hit::origin_of_hit;
use crate::call::thread::{here, no_look_up};
use crate::call::{Call, Here};
use crate::error::Error;
use crate::keyed::cycles::Watched;
use crate::keyed::entry::Visit;
use crate::keyed::{KeyedDogpile, KeyedGuard};
use crate::policy::{Accept, Asks};
use crate::raw::Node;
use crate::time::Tick;

/// A call of a map for one key, with options of its own; see
/// [`KeyedDogpile::call`](crate::KeyedDogpile::call).
///
/// `W` is where the creator runs: [`Here`], or on an executor.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Accept, KeyedDogpile};
///
/// let rates = KeyedDogpile::<String, f64>::new(Duration::from_secs(3600));
/// let rate = rates
///     .call("EUR")
///     .wait(Duration::from_millis(50))
///     .max_age(Duration::from_secs(60))
///     .accept(Accept::Fresh)
///     .get_or_try_create(|| "1.0842".parse::<f64>())?;
/// assert_eq!(*rate, 1.0842);
/// # Ok::<_, dogpile::Error<std::num::ParseFloatError>>(())
/// ```
#[must_use = "a call does nothing until it is made"]
pub struct KeyedCall<'a, 'q, K, T, S, Q: ?Sized, W = Here<'a>> {
    pub(super) map: &'a KeyedDogpile<K, T, S>,
    pub(super) key: &'q Q,
    pub(super) asked: Asked,
    #[cfg_attr(not(feature = "async"), expect(dead_code))]
    pub(super) mode: W,
}

/// The options of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) wait: Option<Duration>,
    pub(super) asks: Asks,
    pub(super) accept: Accept,
}

impl Asked {
    pub(super) const DEFAULT: Self = Self {
        wait: None,
        asks: Asks::NOTHING,
        accept: Accept::Stale,
    };

    /// Nothing but a limit to waiting, if there is one.
    pub(super) fn waiting(wait: Option<Duration>) -> Self {
        Self {
            wait,
            ..Self::DEFAULT
        }
    }

    /// As [`origin_of_hit`].
    #[inline(always)]
    pub(super) fn origin_of_hit<T>(&self, now: (Tick, Tick), node: &Node<T>) -> Option<Origin> {
        origin_of_hit(self.accept, self.asks, now, node)
    }

    /// The call of a pile with these options.
    pub(super) fn of<T>(self, site: Site<'_, T>) -> Call<'_, T> {
        let mut call = Call::new(site, Open).accept(self.accept);
        call.wait = self.wait;
        call.asks = self.asks;
        call
    }
}

/// # Options
impl<'a, 'q, K, T, S, Q: ?Sized, W> KeyedCall<'a, 'q, K, T, S, Q, W> {
    /// As [`Call::wait`].
    pub fn wait(mut self, limit: Duration) -> Self {
        self.asked.wait = Some(limit);
        self
    }

    /// As [`Call::max_age`].
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.asked.asks = self.asked.asks.with_max_age(limit);
        self
    }

    /// As [`Call::min_fresh`].
    pub fn min_fresh(mut self, left: Duration) -> Self {
        self.asked.asks = self.asked.asks.with_min_fresh(left);
        self
    }

    /// As [`Call::accept`].
    pub fn accept(mut self, accept: Accept) -> Self {
        self.asked.accept = accept;
        self
    }

    /// The same call in another mode.
    #[cfg(feature = "async")]
    pub(super) fn by<V>(self, mode: V) -> KeyedCall<'a, 'q, K, T, S, Q, V> {
        KeyedCall {
            map: self.map,
            key: self.key,
            asked: self.asked,
            mode,
        }
    }
}

impl<'a, K, T, S, Q, W> KeyedCall<'a, '_, K, T, S, Q, W>
where
    K: Eq + Hash + Borrow<Q>,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// The answer of a call that neither creates nor waits.
    // Inlined for good: a guard that comes out of a function is written to memory and read again in other
    // pieces, which takes as long as half of a hit.
    #[inline(always)]
    pub(super) fn hit_at(&self, hash: u64) -> Option<KeyedGuard<'a, K, T>> {
        self.map.shared.hit(hash, self.key, self.asked)
    }

    /// A visit at the entry of the key.
    pub(super) fn enter(&self, hash: u64) -> Visit<K, T> {
        let own = || self.key.to_owned();
        self.map.shared.enter(hash, self.key, own)
    }
}

impl<'a, K, T, S, Q> KeyedCall<'a, '_, K, T, S, Q>
where
    K: Eq + Hash + Borrow<Q>,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// The answer of a call that neither creates nor waits: as [`Call::hit`].
    #[inline]
    pub fn hit(self) -> Option<KeyedGuard<'a, K, T>> {
        self.hit_at(self.map.hash(self.key))
    }

    /// The value, or else the one that `create` makes: as
    /// [`KeyedDogpile::get_or_create`](crate::KeyedDogpile::get_or_create), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit. [`Error::BackingOff`] if no
    /// creator may run yet and there is no value to give: unlike the short form, it respects a back-off and
    /// an interval. [`Error::Reentrant`] if called from inside the creator of the same key while no value
    /// can be had. [`Error::Cycle`] if the creators of two keys would wait for each other.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<KeyedGuard<'a, K, T>, Error<Infallible>> {
        // Another caller's failure is no answer to one whose creator cannot fail.
        self.answer(Failures::Ignored, |_| Ok(create().into()))
    }

    /// The value, or else the one that `create` makes: as
    /// [`KeyedDogpile::get_or_try_create`](crate::KeyedDogpile::get_or_try_create), with the options of
    /// this call.
    ///
    /// # Errors
    ///
    /// Those of [`KeyedDogpile::get_or_try_create`](crate::KeyedDogpile::get_or_try_create), and
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        self.answer(Failures::Taken, |_| create().map(Created::new))
    }

    /// The value, or else the one that `create` makes, which may say how long the value lives, how old
    /// it is, and more.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedCall::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        self.answer(Failures::Taken, create)
    }

    /// Creates now, however fresh the value is, and returns the new value.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedCall::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn refresh<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        self.accept(Accept::New).get_or_try_create(create)
    }

    #[inline]
    #[track_caller]
    pub(super) fn answer<E: Send + Sync + 'static>(
        self,
        failures: Failures,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        let hash = self.map.hash(self.key);
        match self.hit_at(hash) {
            Some(guard) => Ok(guard),
            None => self.answer_slowly(hash, failures, create),
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn answer_slowly<E: Send + Sync + 'static>(
        self,
        hash: u64,
        failures: Failures,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        let visit = self.enter(hash);
        let turn = self.map.shared.turn();
        let mut call = (self.asked.of(visit.site())).by(Watched(&*self.map.shared));
        call.location = Some(Location::caller());
        let election = Election::new(Caller::Thread, Role::Creates, failures, turn.source());
        let create = |creating: Creating<'_, T>| turn.run(|| create(creating));
        let answer: Result<Guard<'_, T>, _> = call.drive(election, here(create), no_look_up);
        answer.map(|guard| KeyedGuard::new(guard, visit.entry()))
    }
}

impl<K, T, S, Q: ?Sized, W: Copy> Clone for KeyedCall<'_, '_, K, T, S, Q, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, T, S, Q: ?Sized, W: Copy> Copy for KeyedCall<'_, '_, K, T, S, Q, W> {}

impl<K, T, S, Q: ?Sized, W> fmt::Debug for KeyedCall<'_, '_, K, T, S, Q, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { wait, asks, accept } = &self.asked;
        f.debug_struct("KeyedCall")
            .field("wait", wait)
            .field("max_age", &asks.max_age())
            .field("min_fresh", &asks.min_fresh())
            .field("accept", accept)
            .finish_non_exhaustive()
    }
}
