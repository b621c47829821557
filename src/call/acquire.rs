//! The value kept elsewhere: [`Dogpile::acquire`](crate::Dogpile::acquire), with [`Lookup`] and
//! [`Acquired`].

use std::time::Duration;

use crate::answer::Lease;
use crate::answer::Lookup;
use crate::answer::Site;
use crate::answer::{Acquired, Guard, Origin};
use crate::answer::{Caller, Door};
use crate::answer::{Created, Creating};
use crate::call::Call;
use crate::call::way::{Source, Way};
use crate::call::{Attempted, NewerThan};
use crate::error::Error;
use crate::policy::Accept;
use crate::policy::Freshness;
use crate::policy::Use;
use crate::raw::{Found, NodeRef, Protected};
use crate::time::Times;

impl<'a, T, D: Door> Call<'a, T, D> {
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
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let keep = self.place.settings.keep;
        let create = |_: Creating<'_, T>| create().map(|value| Created::new(value).keep(keep));
        // The way of almost every call, without going it step by step.
        let holds_pass = self.door.is_inside(Caller::Thread);
        let Some(pass) = self.door.try_enter(Caller::Thread) else {
            let way = Way::new(Caller::Thread, true, Acquiring::new());
            return self.acquire_slowly(way, create, Some(get));
        };
        let (mut search, mut get) = (Acquiring::new(), Some(get));
        if Source::<'_, _, D::Pass>::is_to_look_up(&mut search, &self) {
            if let Some(get) = get.take() {
                let lookup = get().map_err(Error::Get)?;
                Source::<'_, _, D::Pass>::found(&mut search, &self, lookup);
            }
        }
        match Source::<'_, _, D::Pass>::look(&mut search, &self) {
            Some(found) => Ok(found.with(pass)),
            None => {
                let way = Way::new(Caller::Thread, true, search).looked_up(pass, holds_pass);
                self.acquire_slowly(way, create, get)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_slowly<E: Send + Sync + 'static>(
        self,
        way: Way<'a, T, D::Pass, Acquiring<'a, T>, Acquired<'a, T>>,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        get: Option<impl FnOnce() -> Result<Lookup<T>, E>>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let get = || get.map_or(Ok(Lookup::NeedRegeneration), |get| get());
        self.drive(way, self.here(create), get)
    }
}

/// One `acquire`: the pile as it was before the look-up, and what that brought.
pub(crate) struct Acquiring<'a, T> {
    /// What came to the pile later, came while the value was looked up.
    seen: Option<Protected<'a, T>>,
    seen_number: u64,
    seen_placed: u64,
    looked_up: Option<T>,
    freshness: Freshness,
}

impl<'a, T> Acquiring<'a, T> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            seen: None,
            seen_number: 0,
            seen_placed: 0,
            looked_up: None,
            freshness: Freshness::Gone,
        }
    }

    /// Whether the call goes on with the stale value that it has, while somebody else creates.
    fn goes_on<D>(&self, call: &Call<'a, T, D>) -> bool {
        call.accept == Accept::Stale && self.freshness == Freshness::Stale
    }
}

impl<'a, T, P> Source<'a, T, P> for Acquiring<'a, T> {
    type Found = Acquired<'a, T>;
    type Answer = Acquired<'a, T, P>;
    const LOOKS_AGAIN: bool = false;

    fn of_guard(guard: Guard<'a, T>) -> Acquired<'a, T> {
        guard.into()
    }

    #[inline]
    fn with(answer: Acquired<'a, T>, pass: P) -> Acquired<'a, T, P> {
        answer.with(pass)
    }

    #[inline(always)]
    fn found<D: Door>(&mut self, call: &Call<'a, T, D>, lookup: Lookup<T>) {
        (self.looked_up, self.freshness) = call.judge_lookup(lookup, self.seen.as_deref());
    }

    #[inline(always)]
    fn is_to_look_up<D: Door>(&mut self, call: &Call<'a, T, D>) -> bool {
        // Nothing that is there already would do.
        if call.accept == Accept::New {
            return false;
        }
        self.seen = call.place.pile.load();
        self.seen_number = self.seen.as_ref().map_or(0, |node| node.number());
        self.seen_placed = self.seen.as_ref().map_or(0, |node| node.installed_at());
        // Invalidated: whatever is there was made before.
        !(self.seen.is_none() && call.place.pile.is_emptied())
    }

    /// What was looked up, if it will do without a look under the lock.
    #[inline(always)]
    fn look<D: Door>(&mut self, call: &Call<'a, T, D>) -> Option<Acquired<'a, T>> {
        // It might be the last share in an old value, which is dropped when this returns.
        let seen = self.seen.take();
        let plain = matches!(call.accept, Accept::Stale | Accept::Fresh);
        let origin = match self.freshness {
            Freshness::Fresh if plain => Origin::Fresh,
            Freshness::Stale
                if self.goes_on(call) && seen.is_some_and(|node| node.is_renewing()) =>
            {
                Origin::Stale
            }
            _ => return None,
        };
        let value = self.looked_up.take()?;
        Some(Acquired::looked_up(value, origin))
    }

    fn would_do<D: Door>(
        &self,
        call: &Call<'a, T, D>,
        _lease: &Lease<'a, T>,
        newer_than: u64,
    ) -> bool {
        let judged = call
            .accept
            .judge(newer_than, self.seen_number, self.freshness);
        self.looked_up.is_some() && judged != Use::No
    }

    /// Goes on as if nothing had been found.
    fn goes_out(&mut self) {
        self.looked_up = None;
        self.freshness = Freshness::Gone;
    }

    fn attempt<D: Door>(
        &mut self,
        call: &Call<'a, T, D>,
        newer_than: &mut NewerThan,
    ) -> Attempted<'a, T, Acquired<'a, T>> {
        let Site { settings, pile } = call.place;
        let (seen_number, seen_placed) = (self.seen_number, self.seen_placed);
        let (looked_up, freshness) = (self.looked_up.is_some(), self.freshness);
        let goes_on = self.goes_on(call);
        let now = settings.time.now();
        let found = pile.attempt(|marks, node| {
            let newer_than = newer_than.fix(|| call.accept.newer_than(marks));
            let judge = |number, freshness| call.accept.judge(newer_than, number, freshness);
            let Some(node) = node.filter(|node| node.installed_at() > seen_placed) else {
                return match looked_up {
                    true => judge(seen_number, freshness),
                    false => Use::No,
                };
            };
            match node.made().filter(|made| made.installed_at() > seen_placed) {
                // Made meanwhile, and kept: it will do instead of what was looked up.
                Some(made) => judge(made.number(), call.freshness(made, now)),
                // Made meanwhile, but not kept here: no reason to make it again for a caller
                // who has a stale one to go on with.
                None if goes_on => judge(node.number(), call.freshness(node, now)),
                None => Use::No,
            }
        });
        match found {
            Found::Value(node, usable) => {
                let made = node.made().filter(|made| made.installed_at() > seen_placed);
                Attempted::Hit(match (made, self.looked_up.take()) {
                    (Some(made), _) => {
                        let origin = match usable {
                            Use::Now => Origin::CreatedByAnother,
                            _ => Origin::Stale,
                        };
                        Guard::new(made.clone(), origin, now).into()
                    }
                    (None, Some(value)) if freshness == Freshness::Fresh => {
                        Acquired::looked_up(value, Origin::Fresh)
                    }
                    (None, Some(value)) => Acquired::looked_up(value, Origin::Stale),
                    (None, None) => unreachable!("judged useless above"),
                })
            }
            Found::Lease(fence) => Attempted::Lease(Lease::new(call.place, fence)),
            Found::Busy(creation) => Attempted::Busy(creation),
        }
    }
}

impl<T, D: Door> Call<'_, T, D> {
    /// What a look-up brought, and what it is good for; and notes what the pile learns from its
    /// age.
    #[inline(always)]
    fn judge_lookup(&self, lookup: Lookup<T>, seen: Option<&NodeRef<T>>) -> (Option<T>, Freshness) {
        let settings = self.place.settings;
        let (value, told) = match lookup {
            Lookup::Here(value) => (value, None),
            Lookup::Aged(value, age) => (value, Some(age)),
            Lookup::NeedRegeneration => return (None, Freshness::Gone),
        };
        let seen = seen.map(|node| (node, node.times()));
        let known = seen.map(|(_, times)| times);
        let told_before = seen.is_some_and(|(node, _)| node.is_of_a_value());
        let times = match (told, known) {
            (Some(age), _) => {
                let now = settings.time.now();
                let mut times = Times::new(now, age, settings.policy.ttl);
                let expired = known.and_then(|known| known.expired);
                times.expired = expired.filter(|&at| now.saturating_since(at) <= age);
                if times.expired.is_none() && known.map_or(true, |known| age < known.age(now)) {
                    self.place.pile.note(times, seen);
                }
                times
            }
            (None, Some(known)) if told_before => known,
            (None, None) if settings.init => {
                let times = Times::new(settings.time.now(), Duration::ZERO, settings.policy.ttl);
                self.place.pile.note(times, seen);
                times
            }
            // Found on a pile that never created, and of unknown age: as good as none.
            (None, _) => return (None, Freshness::Gone),
        };
        let (freshness, _) = self.freshness_now(&times);
        (Some(value), freshness)
    }
}
