//! The value kept elsewhere: [`Dogpile::acquire`](crate::Dogpile::acquire), with [`Lookup`] and
//! [`Acquired`].

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::attempt::Busy;
use crate::call::{Call, Demand};
use crate::clock::Tick;
use crate::created::{Created, Creating};
use crate::error::{Error, Failure};
use crate::guard::{Guard, Origin, Owned};
use crate::lease::Lease;
use crate::place::PileRef;
use crate::policy::Verdict;
use crate::raw::{Found, Held, Judgement, NodeRef};
use crate::stamp::Stamp;

/// What a look-up brought, where the value is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup<T> {
    /// The value. How old it is, the pile knows from its own last creation.
    Here(T),
    /// The value and its age, which then counts: for a store that keeps the time beside the value.
    Aged(T, Duration),
    /// It is not there, or not usable: a miss, even before the time to live is over.
    NeedRegeneration,
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Lookup::NeedRegeneration, Lookup::Here)
    }
}

/// A value that was looked up, or created.
#[must_use = "the value was looked up or created to be used"]
pub struct Acquired<'a, T> {
    value: Source<'a, T>,
    origin: Origin,
}

enum Source<'a, T> {
    LookedUp(T),
    Created(Guard<'a, T>),
}

impl<'a, T> Acquired<'a, T> {
    fn looked_up(value: T, origin: Origin) -> Self {
        Self {
            value: Source::LookedUp(value),
            origin,
        }
    }

    /// How this answer came about. `Fresh` and `Stale` say that it was looked up, or is the one
    /// that the pile kept of its last creation.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The same, with another in the place of what was created.
    pub(crate) fn map_created(self, other: impl FnOnce(Guard<'a, T>) -> Guard<'a, T>) -> Self {
        match self.value {
            Source::LookedUp(_) => self,
            Source::Created(guard) => other(guard).into(),
        }
    }

    /// The value in a handle. One that was looked up is moved there.
    pub fn into_owned(self) -> Owned<T> {
        match self.value {
            Source::LookedUp(value) => {
                let unknown = Stamp::new(Tick::ZERO, Duration::ZERO, Duration::ZERO);
                Owned::new(NodeRef::new(value, unknown, 0))
            }
            Source::Created(guard) => guard.into(),
        }
    }

    /// The value itself: moved if it was looked up, cloned if it was created and may be shared.
    pub fn into_value(self) -> T
    where
        T: Clone,
    {
        match self.value {
            Source::LookedUp(value) => value,
            Source::Created(guard) => T::clone(&guard),
        }
    }
}

impl<'a, T> From<Guard<'a, T>> for Acquired<'a, T> {
    fn from(guard: Guard<'a, T>) -> Self {
        Self {
            origin: guard.origin(),
            value: Source::Created(guard),
        }
    }
}

impl<T> Deref for Acquired<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Source::LookedUp(value) => value,
            Source::Created(guard) => guard,
        }
    }
}

impl<T> AsRef<T> for Acquired<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Acquired<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for Acquired<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<'a, T> Call<'a, T> {
    /// The value where it is kept, or else the one that `create` makes and puts there: as
    /// [`Dogpile::acquire`](crate::Dogpile::acquire), with the options of this call.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::acquire`](crate::Dogpile::acquire), and [`Error::TimedOut`] if another
    /// caller's creation outlasts the wait limit.
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    #[inline]
    pub fn acquire<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T>, Error<E>> {
        let (acquired, _) = self.acquire_within(None::<()>, |_| create(), get)?;
        Ok(acquired)
    }

    /// As [`acquire`](Call::acquire), with the section of readers that `get` runs in, if any. It is
    /// left before anything is created or waited for, and what was looked up in it is forgotten.
    #[inline]
    pub(crate) fn acquire_within<S, E: Send + Sync + 'static>(
        self,
        mut section: Option<S>,
        create: impl FnOnce(Creating<'_, T>) -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<(Acquired<'a, T>, Option<S>), Error<E>> {
        let keep = self.place.config.keep;
        let create =
            |creating: Creating<'_, T>| create(creating).map(|v| Created::new(v).keep(keep));
        let failed = |failure: Failure| Some(failure.into_error());
        if self.demand == Demand::New {
            // Nothing that is there already would do.
            drop(section);
            let created = self.create_or_wait(create, failed)?;
            return Ok((created.into(), None));
        }
        let mut search = Search::begin(self);
        if search.is_worthwhile() {
            search.found(get().map_err(Error::Get)?);
        }
        if let Some(acquired) = search.at_once() {
            return Ok((acquired, section));
        }
        let patience = self.patience();
        loop {
            let busy = match search.attempt() {
                Attempt::Hit(acquired) => return Ok((acquired, section)),
                Attempt::Lease(_) if self.holds_read_guard && !search.would_do() => {
                    return Err(Error::HoldsReadGuard);
                }
                Attempt::Lease(lease) => {
                    drop(section);
                    let created = lease.create(create)?;
                    return Ok((created.into(), None));
                }
                Attempt::Busy(_) if self.holds_read_guard => return Err(Error::HoldsReadGuard),
                Attempt::Busy(busy) => busy,
            };
            if section.take().is_some() {
                search.forget();
            }
            if let Some(answer) = patience.wait(busy, failed) {
                return answer.map(|guard| (guard.into(), None));
            }
        }
    }
}

/// One `acquire`: the pile as it was before the look-up, and what that brought.
pub(crate) struct Search<'a, T> {
    call: Call<'a, T>,
    /// What came to the pile later, came while the value was looked up.
    seen: Option<Held<'a, T>>,
    seen_number: u64,
    seen_placed: u64,
    looked_up: Option<T>,
    verdict: Verdict,
    /// Fixed by the first look under the lock.
    floor: Option<u64>,
}

/// What a look under the lock finds, after the value was looked up where it is kept.
pub(crate) enum Attempt<'a, T> {
    Hit(Acquired<'a, T>),
    Lease(Lease<PileRef<'a, T>, T>),
    Busy(Busy<'a, T>),
}

impl<'a, T> Search<'a, T> {
    #[inline]
    pub(crate) fn begin(call: Call<'a, T>) -> Self {
        let seen = call.place.pile.load();
        Self {
            call,
            seen_number: seen.as_ref().map_or(0, |node| node.number()),
            seen_placed: seen.as_ref().map_or(0, |node| node.placed()),
            seen,
            looked_up: None,
            verdict: Verdict::Dead,
            floor: None,
        }
    }

    /// Whether the value is to be looked up.
    #[inline]
    pub(crate) fn is_worthwhile(&self) -> bool {
        // Invalidated: whatever is there was made before.
        !(self.seen.is_none() && self.call.place.pile.is_emptied())
    }

    /// Notes what was looked up.
    #[inline]
    pub(crate) fn found(&mut self, lookup: Lookup<T>) {
        (self.looked_up, self.verdict) = self.call.judge_lookup(lookup, self.seen.as_deref());
    }

    /// What was looked up, if it will do without a look under the lock.
    #[inline]
    pub(crate) fn at_once(&mut self) -> Option<Acquired<'a, T>> {
        // It might be the last share in an old value, which is dropped when this returns.
        let seen = self.seen.take();
        let plain = matches!(self.call.demand, Demand::Stale | Demand::Fresh);
        let origin = match self.verdict {
            Verdict::Fresh if plain => Origin::Fresh,
            Verdict::Stale if self.goes_on() && seen.is_some_and(|node| node.is_renewing()) => {
                Origin::Stale
            }
            _ => return None,
        };
        let value = self.looked_up.take()?;
        Some(Acquired::looked_up(value, origin))
    }

    /// Whether what was looked up would do while somebody else creates.
    fn would_do(&self) -> bool {
        let floor = self.floor.unwrap_or(0);
        let judged = self
            .call
            .demand
            .judge(floor, self.seen_number, self.verdict);
        self.looked_up.is_some() && judged != Judgement::Useless
    }

    /// Goes on as if nothing had been found.
    pub(crate) fn forget(&mut self) {
        self.looked_up = None;
        self.verdict = Verdict::Dead;
    }

    /// Whether the call goes on with the stale value that it has, while somebody else creates.
    fn goes_on(&self) -> bool {
        self.call.demand == Demand::Stale && self.verdict == Verdict::Stale
    }

    /// What one who was given the lease does while somebody else creates under it.
    #[cfg(feature = "async")]
    pub(crate) fn meanwhile(&mut self) -> Result<Acquired<'a, T>, Busy<'a, T>> {
        match self.attempt() {
            Attempt::Hit(acquired) => Ok(acquired),
            Attempt::Busy(busy) => Err(busy),
            Attempt::Lease(_) => unreachable!("the lease is held"),
        }
    }

    pub(crate) fn attempt(&mut self) -> Attempt<'a, T> {
        let call = self.call;
        let PileRef { config, pile } = call.place;
        let (seen_number, seen_placed) = (self.seen_number, self.seen_placed);
        let (looked_up, verdict) = (self.looked_up.is_some(), self.verdict);
        let goes_on = self.goes_on();
        let now = config.time.now();
        let found = pile.attempt(|numbers, node| {
            let floor = *self.floor.get_or_insert_with(|| call.demand.floor(numbers));
            let judge = |number, verdict| call.demand.judge(floor, number, verdict);
            let Some(node) = node.filter(|node| node.placed() > seen_placed) else {
                return match looked_up {
                    true => judge(seen_number, verdict),
                    false => Judgement::Useless,
                };
            };
            match node.made().filter(|made| made.placed() > seen_placed) {
                // Made meanwhile, and kept: it will do instead of what was looked up.
                Some(made) => judge(made.number(), call.verdict(made, now)),
                // Made meanwhile, but not kept here: no reason to make it again for a caller
                // who has a stale one to go on with.
                None if goes_on => judge(node.number(), call.verdict(node, now)),
                None => Judgement::Useless,
            }
        });
        match found {
            Found::Value(node, judgement) => {
                let made = node.made().filter(|made| made.placed() > seen_placed);
                Attempt::Hit(match (made, self.looked_up.take()) {
                    (Some(made), _) => {
                        let origin = match judgement {
                            Judgement::Good => Origin::CreatedByAnother,
                            _ => Origin::Stale,
                        };
                        Guard::new(made.clone(), origin, now).into()
                    }
                    (None, Some(value)) if verdict == Verdict::Fresh => {
                        Acquired::looked_up(value, Origin::Fresh)
                    }
                    (None, Some(value)) => Acquired::looked_up(value, Origin::Stale),
                    (None, None) => unreachable!("judged useless above"),
                })
            }
            Found::Lease(fence) => Attempt::Lease(Lease::new(call.place, fence)),
            Found::Busy(creation) => {
                Attempt::Busy(Busy::empty(call.place, creation, self.floor.unwrap_or(0)))
            }
        }
    }
}

impl<T> Call<'_, T> {
    /// What a look-up brought, and what it is good for; and notes what the pile learns from its
    /// age.
    #[inline]
    fn judge_lookup(&self, lookup: Lookup<T>, seen: Option<&NodeRef<T>>) -> (Option<T>, Verdict) {
        let config = self.place.config;
        let (value, told) = match lookup {
            Lookup::Here(value) => (value, None),
            Lookup::Aged(value, age) => (value, Some(age)),
            Lookup::NeedRegeneration => return (None, Verdict::Dead),
        };
        let seen = seen.map(|node| (node, node.stamp()));
        let known = seen.map(|(_, stamp)| stamp);
        let told_before = seen.is_some_and(|(node, _)| node.is_of_a_value());
        let stamp = match (told, known) {
            (Some(age), _) => {
                let now = config.time.now();
                let mut stamp = Stamp::new(now, age, config.policy.ttl);
                let expired = known.and_then(|known| known.expired);
                stamp.expired = expired.filter(|&at| now.saturating_since(at) <= age);
                if stamp.expired.is_none() && known.map_or(true, |known| age < known.age(now)) {
                    self.place.pile.note(stamp, seen);
                }
                stamp
            }
            (None, Some(known)) if told_before => known,
            (None, None) if config.init => {
                let stamp = Stamp::new(config.time.now(), Duration::ZERO, config.policy.ttl);
                self.place.pile.note(stamp, seen);
                stamp
            }
            // Found on a pile that never created, and of unknown age: as good as none.
            (None, _) => return (None, Verdict::Dead),
        };
        let (verdict, _) = self.verdict_now(&stamp);
        (Some(value), verdict)
    }
}
