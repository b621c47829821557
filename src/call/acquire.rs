//! The value kept elsewhere: the forms of `acquire`, and a look-up as the source of values.

use std::panic::Location;
use std::time::Duration;

use crate::answer::{Acquired, Caller, Created, Creating, Door, Guard, Lookup, Origin};
use crate::call::Call;
use crate::call::election::{Asking, Election, Failures, Found, NewerThan, Role, Source};
use crate::call::hit::origin_of;
use crate::call::thread::here;
use crate::error::{Error, Failure};
use crate::policy::{Accept, Freshness, Seen, Use};
use crate::raw::{NodeRef, Protected};
use crate::time::{Tick, Times};

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
    #[track_caller]
    pub fn acquire<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        self.acquire_with(|_| create().map(Created::new), get)
    }

    /// As [`acquire`](Call::acquire), with a creator that may say how long the value lives, how old
    /// it is, and whether the pile keeps it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Call::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    #[inline]
    #[track_caller]
    pub fn acquire_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let holds_pass = self.door.holds_pass(Caller::Thread);
        let Some(pass) = self.door.try_enter(Caller::Thread) else {
            let election = Election::new(
                Caller::Thread,
                Role::Creates,
                Failures::Taken,
                Acquiring::of(None),
            );
            return self.acquire_slowly(election, create, Some(get));
        };
        let mut before = self.load_before();
        if !self.is_to_look_up(&mut before) {
            let source = Acquiring::of(before);
            let election = Election::new(Caller::Thread, Role::Creates, Failures::Taken, source);
            return self.acquire_slowly(election.inside(pass, holds_pass), create, Some(get));
        }
        // Almost every call ends here. What it knows stays in registers, as it is lent to nobody.
        let lookup = match self.plainly_fresh(&mut before, get().map_err(Error::Get)?) {
            Ok(found) => return Ok(found.with(pass)),
            Err(lookup) => lookup,
        };
        self.acquire_exact(before, lookup, (pass, holds_pass), create)
    }

    /// As [`acquire_with`](Call::acquire_with), for what was looked up and is not plainly fresh.
    // Apart, so that what is plainly fresh pays nothing for it.
    #[inline(never)]
    fn acquire_exact<E: Send + Sync + 'static>(
        self,
        before: Option<Protected<'a, T>>,
        lookup: Lookup<T>,
        (pass, holds_pass): (D::Pass, bool),
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let mut source = Acquiring::of(before);
        source.note(&self, lookup);
        if let Some(found) = source.found(&self) {
            self.site.settings.answered(Acquired::origin(&found));
            return Ok(found.with(pass));
        }
        let election = Election::new(Caller::Thread, Role::Creates, Failures::Taken, source);
        let none = None::<fn() -> Result<Lookup<T>, E>>;
        self.acquire_slowly(election.inside(pass, holds_pass), create, none)
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn acquire_slowly<E: Send + Sync + 'static>(
        mut self,
        election: Election<'a, T, D::Pass, Acquiring<'a, T>, Acquired<'a, T>>,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        get: Option<impl FnOnce() -> Result<Lookup<T>, E>>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        self.location = Some(Location::caller());
        let keep = self.site.settings.policy.keep;
        let create = |creating: Creating<'a, T>| {
            create(creating).map(|created| created.kept_by_default(keep))
        };
        let get = || get.map_or(Ok(Lookup::NeedRegeneration), |get| get());
        self.drive(election, here(create), get)
    }
}

/// One `acquire`: the pile as it was before the look-up, and what the look-up brought.
pub(crate) struct Acquiring<'a, T> {
    /// The pile's node before the look-up. What came to the pile later, came while the value was
    /// looked up.
    before: Option<Protected<'a, T>>,
    seen: Seen,
    installed_at: u64,
    brought: Option<Brought<T>>,
    freshness: Freshness,
    /// The times of what was brought.
    times: Option<Times>,
}

/// What a call goes by after its look-up.
enum Brought<T> {
    LookedUp(T),
    /// The store is unreachable: the value of the pile's last creation.
    Kept(NodeRef<T>),
}

impl<'a, T> Acquiring<'a, T> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self::of(None)
    }

    /// With what was seen before the look-up.
    #[inline]
    fn of(before: Option<Protected<'a, T>>) -> Self {
        let (seen, installed_at) = match &before {
            Some(node) => (Seen::new(node.number(), node.pile()), node.installed_at()),
            None => (Seen::new(0, 0), 0),
        };
        Self {
            before,
            seen,
            installed_at,
            brought: None,
            freshness: Freshness::Gone,
            times: None,
        }
    }

    /// Looks at the pile before the look-up. Says whether there is anything to look up.
    #[inline(always)]
    pub(crate) fn begin<D, W>(&mut self, call: &Call<'a, T, D, W>) -> bool {
        let mut before = call.load_before();
        let is_to_look_up = call.is_to_look_up(&mut before);
        *self = Self::of(before);
        is_to_look_up
    }

    /// Notes what was looked up.
    #[inline(always)]
    pub(crate) fn note<D, W>(&mut self, call: &Call<'a, T, D, W>, lookup: Lookup<T>) {
        let before = self.before.as_deref();
        let (brought, times) = match lookup {
            Lookup::Here(value) => (Brought::LookedUp(value), call.times(before, None)),
            Lookup::Aged(value, age) => (Brought::LookedUp(value), call.times(before, Some(age))),
            Lookup::NeedRegeneration => return,
            Lookup::Unreachable => match before.and_then(NodeRef::made) {
                Some(made) => (Brought::Kept(made.clone()), Some(made.times())),
                None => return,
            },
        };
        if let Some(times) = times {
            (self.freshness, _) = call.freshness_now(&times);
            self.brought = Some(brought);
            self.times = Some(times);
        }
    }

    /// What was looked up, if it is fresh beyond doubt. Else that is to be [noted](Acquiring::note).
    #[cfg(feature = "async")]
    #[inline(always)]
    pub(crate) fn plainly_fresh<D, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        lookup: Lookup<T>,
    ) -> Result<Acquired<'a, T>, Lookup<T>> {
        call.plainly_fresh(&mut self.before, lookup)
    }

    /// What was looked up, if it will do without a look under the lock.
    #[inline(always)]
    pub(crate) fn found<D, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<Acquired<'a, T>> {
        // It might be the last share in an old value, which is dropped when this returns.
        let before = self.before.take();
        let plain = matches!(call.accept, Accept::Stale | Accept::Fresh);
        let origin = match self.freshness {
            Freshness::Fresh if plain => Origin::Fresh,
            Freshness::Due | Freshness::Stale if plain => {
                let (_, latest) = call.site.settings.time.bounds();
                let is_quiet = before.is_some_and(|node| node.is_quiet(latest));
                match self.freshness {
                    Freshness::Due if is_quiet => Origin::Fresh,
                    Freshness::Stale if is_quiet && self.goes_on(call) => Origin::Stale,
                    _ => return None,
                }
            }
            _ => return None,
        };
        self.answer(call, origin)
    }

    fn answer<D, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        origin: Origin,
    ) -> Option<Acquired<'a, T>> {
        Some(match self.brought.take()? {
            Brought::LookedUp(value) => Acquired::looked_up(value, self.seen, origin),
            Brought::Kept(node) => {
                Guard::new(node, origin, call.site.settings.time.coarse()).into()
            }
        })
    }

    /// Whether the call goes on with the stale value that it has, while another caller creates.
    fn goes_on<D, W>(&self, call: &Call<'a, T, D, W>) -> bool {
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

    fn origin(found: &Acquired<'a, T>) -> Origin {
        Acquired::origin(found)
    }

    #[inline]
    fn with(found: Acquired<'a, T>, pass: P) -> Acquired<'a, T, P> {
        found.with(pass)
    }

    fn is_to_look_up<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> bool {
        self.begin(call)
    }

    fn looked_up<D: Door, W>(&mut self, call: &Call<'a, T, D, W>, lookup: Lookup<T>) {
        self.note(call, lookup);
    }

    fn hit<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        takes_stale: bool,
    ) -> Option<Acquired<'a, T>> {
        match takes_stale || self.freshness != Freshness::Stale {
            true => self.found(call),
            false => None,
        }
    }

    fn would_do<D: Door, W>(&self, call: &Call<'a, T, D, W>, newer_than: u64) -> bool {
        let usable = call
            .accept
            .judge(newer_than, self.seen.number, self.freshness);
        self.brought.is_some() && usable != Use::No
    }

    /// Goes on as if nothing had been found.
    fn leaves(&mut self) {
        self.brought = None;
        self.freshness = Freshness::Gone;
        self.times = None;
    }

    /// What was looked up, or else what the pile kept.
    fn stand_in<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<Acquired<'a, T>> {
        // Removed meanwhile, or found to be wrong.
        if call.site.pile.is_emptied() {
            return None;
        }
        let now = call.site.settings.time.now();
        let number = self.seen.number;
        let origin = (self.times).and_then(|times| call.stands_in(&times, number, now));
        if let Some(answer) = origin.and_then(|origin| self.answer(call, origin)) {
            return Some(answer);
        }
        let node = call.site.pile.load()?;
        let made = node.made()?;
        let origin = call.stands_in(&made.times(), made.number(), now)?;
        Some(Guard::new(made.clone(), origin, now).into())
    }

    fn has_stand_in<D: Door, W>(&self, call: &Call<'a, T, D, W>) -> bool {
        call.accept != Accept::New
    }

    fn beside(found: Acquired<'a, T>, failure: Failure) -> Acquired<'a, T> {
        found.beside(failure)
    }

    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        newer_than: &mut NewerThan,
        asking: Asking,
    ) -> Found<'a, T, Acquired<'a, T>> {
        let look = call.look(asking);
        let now = look.now;
        let (number, installed_at, freshness) =
            (self.seen.number, self.installed_at, self.freshness);
        let has_brought = self.brought.is_some();
        let goes_on = self.goes_on(call);
        let found = call.site.pile.attempt(&look, |marks, node| {
            let newer_than = newer_than.fix(|| call.accept.newer_than(marks));
            let Some(node) = node.filter(|node| node.installed_at() > installed_at) else {
                return match has_brought {
                    true => call.accept.judge(newer_than, number, freshness),
                    false => Use::No,
                };
            };
            match node
                .made()
                .filter(|made| made.installed_at() > installed_at)
            {
                // Made meanwhile, and kept: it will do instead of what was looked up.
                Some(made) => call.judge(made, newer_than, now),
                // Made meanwhile, but not kept here: no reason to make it again for a caller that
                // has a stale one to go on with.
                None if goes_on => call.judge(node, newer_than, now),
                None => Use::No,
            }
        });
        call.found(found, look.elected, |node, usable| {
            let made = node
                .made()
                .filter(|made| made.installed_at() > installed_at);
            if let Some(made) = made {
                let origin = match usable {
                    Use::Now | Use::Due => Origin::CreatedByAnother,
                    usable => origin_of(usable),
                };
                return Guard::new(made.clone(), origin, now).into();
            }
            let origin = match freshness {
                Freshness::Fresh | Freshness::Due => Origin::Fresh,
                _ => Origin::Stale,
            };
            let answer = self.answer(call, origin);
            answer.expect("without anything brought it was judged to be of no use")
        })
    }
}

impl<'a, T, D, W> Call<'a, T, D, W> {
    /// What the pile knows before the look-up.
    #[inline(always)]
    fn load_before(&self) -> Option<Protected<'a, T>> {
        // Nothing that is there already would do.
        (self.accept != Accept::New).then(|| self.site.pile.load())?
    }

    /// Whether there is anything to look up.
    #[inline(always)]
    fn is_to_look_up(&self, before: &mut Option<Protected<'a, T>>) -> bool {
        if before.is_some() {
            return true;
        }
        // Invalidated: whatever is there was made before.
        if self.accept == Accept::New || self.site.pile.is_emptied() {
            return false;
        }
        // Something may have come in between, before the look-up.
        *before = self.load_before();
        true
    }

    /// What was looked up, if it is the value of which `before` tells, and fresh beyond doubt.
    #[inline(always)]
    fn plainly_fresh(
        &self,
        before: &mut Option<Protected<'a, T>>,
        lookup: Lookup<T>,
    ) -> Result<Acquired<'a, T>, Lookup<T>> {
        let (value, node) = match (lookup, &before) {
            (Lookup::Here(value), Some(node)) => (value, node),
            (lookup, _) => return Err(lookup),
        };
        let plain = self.is_plain() && node.is_of_a_value();
        if !plain {
            return Err(Lookup::Here(value));
        }
        if self.site.settings.time.bounds_of_hit().1 >= self.due_from(node) {
            self.site.settings.time.no_hit();
            return Err(Lookup::Here(value));
        }
        let seen = Seen::new(node.number(), node.pile());
        // It might be the last share in an old value.
        *before = None;
        Ok(Acquired::looked_up(value, seen, Origin::Fresh))
    }

    /// The times of a value that was found to be so old. Its end is not left to chance: nobody knows
    /// which draw it had.
    pub(crate) fn looked_up(&self, now: Tick, age: Duration) -> Times {
        let policy = &self.site.settings.policy;
        Times {
            limits: policy.limits,
            ..Times::new(now, age, policy.ttl)
        }
    }

    /// The times of a value that was looked up, with the age that its store told. Notes what the pile
    /// learns from that age. `None`: its age is unknown, and the value as good as none.
    #[inline(always)]
    fn times(&self, before: Option<&NodeRef<T>>, age: Option<Duration>) -> Option<Times> {
        let settings = self.site.settings;
        let before = before.map(|node| (node, node.times()));
        let known = before.map(|(_, times)| times);
        let told_before = before.is_some_and(|(node, _)| node.is_of_a_value());
        match (age, known) {
            (Some(age), _) => {
                let now = settings.time.now();
                let mut times = self.looked_up(now, age);
                let expired = known.and_then(|known| known.expired);
                times.expired = expired.filter(|&at| now.saturating_since(at) <= age);
                if times.expired.is_none() && known.is_none_or(|known| age < known.age(now)) {
                    self.site.pile.note(&settings.policy, times, before);
                }
                Some(times)
            }
            (None, Some(known)) if told_before => Some(known),
            (None, None) if settings.policy.init => {
                let times = self.looked_up(settings.time.now(), Duration::ZERO);
                self.site.pile.note(&settings.policy, times, before);
                Some(times)
            }
            // Found on a pile that never created, and of unknown age.
            (None, _) => None,
        }
    }
}
