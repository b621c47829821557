//! One call of a pile: its options, and the way from a look at the value to an answer.

use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::attempt::{Attempt, Busy, Outcome};
use crate::clock::Tick;
use crate::created::{Created, Creating};
use crate::error::{Error, Failure};
#[cfg(feature = "async")]
use crate::executor::Timer;
use crate::guard::{Guard, Origin, Owned};
use crate::lease::Lease;
use crate::place::PileRef;
use crate::policy::{Limits, Verdict};
use crate::raw::{Found, Judgement, Node, Numbers, Valued};
use crate::stamp::Stamp;

/// Which values a call takes.
#[non_exhaustive]
pub enum Accept<'g, T> {
    /// A fresh value; a stale one while somebody else is creating. The default.
    Stale,
    /// A fresh value only: while somebody else creates, it waits.
    Fresh,
    /// A value newer than this guard's, and not expired since: for a caller that found a fault in
    /// what it was given. While there is none it creates, or waits. The guard must be of the same
    /// pile.
    NewerThan(&'g Guard<'g, T>),
    /// A value whose creation begins after this call.
    New,
}

impl<T> Clone for Accept<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Accept<'_, T> {}

impl<T> fmt::Debug for Accept<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accept::Stale => "Stale",
            Accept::Fresh => "Fresh",
            Accept::NewerThan(_) => "NewerThan",
            Accept::New => "New",
        })
    }
}

/// [`Accept`] without the guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Demand {
    Stale,
    Fresh,
    NewerThan(u64),
    New,
}

impl Demand {
    /// The number that a creation must exceed to answer a call that found the pile with these
    /// numbers.
    pub(crate) fn floor(self, numbers: Numbers) -> u64 {
        match self {
            Demand::Stale => 0,
            Demand::Fresh => numbers.expiry_mark,
            Demand::NewerThan(number) => number.max(numbers.expiry_mark),
            Demand::New => numbers.last,
        }
    }

    /// Whether a value that is good for `verdict` will do.
    pub(crate) fn judge(self, floor: u64, node_number: u64, verdict: Verdict) -> Judgement {
        match (self, verdict) {
            (_, Verdict::Dead) => Judgement::Useless,
            (Demand::Stale, Verdict::Fresh) => Judgement::Good,
            (Demand::Stale, Verdict::Stale) => Judgement::GoodMeanwhile,
            (Demand::Fresh, Verdict::Fresh) => Judgement::Good,
            (Demand::Fresh, Verdict::Stale) => Judgement::Useless,
            (Demand::NewerThan(_) | Demand::New, Verdict::Fresh) if node_number > floor => {
                Judgement::Good
            }
            (Demand::NewerThan(_) | Demand::New, Verdict::Stale) if node_number > floor => {
                Judgement::GoodMeanwhile
            }
            (Demand::NewerThan(_) | Demand::New, _) => Judgement::Useless,
        }
    }
}

/// A call of a pile with options of its own; see [`Dogpile::call`](crate::Dogpile::call).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Accept, Dogpile};
///
/// let pile = Dogpile::new(Duration::from_secs(3600));
/// let rate = pile
///     .call()
///     .wait(Duration::from_millis(50))
///     .max_age(Duration::from_secs(60))
///     .accept(Accept::Fresh)
///     .get_or_try_create(|| "1.0842".parse::<f64>())?;
/// assert_eq!(*rate, 1.0842);
/// # Ok::<_, dogpile::Error<std::num::ParseFloatError>>(())
/// ```
#[must_use = "a call does nothing until it is made"]
pub struct Call<'a, T> {
    pub(crate) place: PileRef<'a, T>,
    pub(crate) wait: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) demand: Demand,
    /// Whether the caller holds a read guard of the pile, for which a creator may wait.
    pub(crate) holds_read_guard: bool,
    #[cfg(feature = "async")]
    pub(crate) timer: Option<&'a dyn Timer>,
}

impl<T> Clone for Call<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Call<'_, T> {}

// As for the pile: a timer is asked and not relied upon.
impl<T: RefUnwindSafe> UnwindSafe for Call<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Call<'_, T> {}

impl<T> fmt::Debug for Call<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("wait", &self.wait)
            .field("max_age", &self.max_age)
            .field("accept", &self.demand)
            .finish()
    }
}

impl<'a, T> Call<'a, T> {
    pub(crate) fn new(place: PileRef<'a, T>) -> Self {
        Self {
            place,
            wait: None,
            max_age: None,
            demand: Demand::Stale,
            holds_read_guard: false,
            #[cfg(feature = "async")]
            timer: None,
        }
    }

    /// With no waiting at all, and no creating without a value to go on with.
    pub(crate) fn holding_a_read_guard(mut self) -> Self {
        self.holds_read_guard = true;
        self
    }

    /// Waits for other callers' creations for `limit` at most, in all; `Duration::ZERO` never
    /// waits.
    ///
    /// It does not limit this call's own creator.
    #[cfg_attr(
        feature = "async",
        doc = "",
        doc = "An async form needs a [`timer`](Call::timer) for it, or a clock that is moved by",
        doc = "hand, else it is [`Error::NoTimer`]."
    )]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Calls a value stale that is older than `limit`, even if its own time to live is longer.
    pub const fn max_age(mut self, limit: Duration) -> Self {
        self.max_age = Some(limit);
        self
    }

    /// Which values the call takes.
    pub fn accept(mut self, accept: Accept<'_, T>) -> Self {
        self.demand = match accept {
            Accept::Stale => Demand::Stale,
            Accept::Fresh => Demand::Fresh,
            Accept::NewerThan(guard) => Demand::NewerThan(guard.node().number()),
            Accept::New => Demand::New,
        };
        self
    }

    pub(crate) fn newer_than_number(mut self, number: u64) -> Self {
        self.demand = Demand::NewerThan(number);
        self
    }

    /// The value, or else the one that `create` makes: as
    /// [`Dogpile::get_or_create`](crate::Dogpile::get_or_create), with the options of this call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit;
    /// [`Error::Reentrant`] if called from inside the creator of the same pile while there is no
    /// value to be had.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<Guard<'a, T>, Error<Infallible>> {
        match self.glance() {
            Some(guard) => Ok(guard),
            None => self.create_infallibly(create),
        }
    }

    pub(crate) fn create_infallibly(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<Guard<'a, T>, Error<Infallible>> {
        // Somebody else's failure is no answer to a caller whose creator cannot fail.
        self.create_or_wait(|_| Ok(create().into()), |_failure| None)
    }

    /// The value, or else the one that `create` makes: as
    /// [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), and
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        match self.glance() {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(
                |_| create().map(Created::new),
                |failure| Some(failure.into_error()),
            ),
        }
    }

    /// The value, or else the one that `create` makes, which may say how long the value lives, how
    /// old it is, and more: as [`Dogpile::get_or_create_with`](crate::Dogpile::get_or_create_with),
    /// with the options of this call.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Call::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        match self.glance() {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(create, |failure| Some(failure.into_error())),
        }
    }

    /// The value, the lease, or the news that somebody else has it, without creating or waiting: as
    /// [`Dogpile::attempt`](crate::Dogpile::attempt), with the options of this call.
    pub fn attempt(self) -> Attempt<'a, T> {
        match self.look() {
            // What is newer than it, and not expired, is newer than the last `expire` too.
            Some(guard) => match self.demand {
                Demand::NewerThan(number) => self.offer(guard, number),
                Demand::Stale | Demand::Fresh | Demand::New => self.offer(guard, 0),
            },
            None => self.attempt_above(&mut None),
        }
    }

    /// The value that is held, without creating or waiting.
    #[inline(always)]
    pub(crate) fn peek(self) -> Option<Guard<'a, T>> {
        match self.glance() {
            Some(guard) => Some(guard),
            None => self.peek_closely(),
        }
    }

    /// As [`peek`](Call::peek), for values that are not plainly fresh.
    #[cold]
    fn peek_closely(self) -> Option<Guard<'a, T>> {
        let node = self.place.pile.load()?;
        node.value()?;
        let (verdict, now) = self.verdict_now(&node.stamp());
        let origin = match verdict {
            Verdict::Fresh => Origin::Fresh,
            Verdict::Stale => Origin::Stale,
            Verdict::Dead => return None,
        };
        Some(Guard::new(node, origin, now))
    }

    pub(crate) fn verdict(&self, node: &Node<T>, now: Tick) -> Verdict {
        self.limits(&node.stamp()).verdict(now)
    }

    fn limits(&self, stamp: &Stamp) -> Limits {
        self.place.config.policy.limits(stamp, self.max_age)
    }

    /// The verdict on a value by the time of now, and a time at which it holds.
    pub(crate) fn verdict_now(&self, stamp: &Stamp) -> (Verdict, Tick) {
        let limits = self.limits(stamp);
        let time = &self.place.config.time;
        let (earliest, latest) = time.bounds();
        let verdict = limits.verdict(earliest);
        // If it is the same at both bounds, so it is between them.
        if limits.verdict(latest) == verdict {
            return (verdict, earliest);
        }
        let now = time.now();
        (limits.verdict(now), now)
    }

    /// The way of almost every call: a look at the value, without the pile's lock. `None` is not a
    /// refusal: the value has to be looked at again.
    // Inlined for good; and while it holds the node it calls nothing that could panic, such as a
    // clock: else the guard is moved about in memory, which costs as much as all the rest.
    #[inline(always)]
    pub(crate) fn glance(&self) -> Option<Guard<'a, T>> {
        if !matches!(self.demand, Demand::Stale | Demand::Fresh) {
            return None;
        }
        let config = self.place.config;
        let (earliest, latest) = config.time.bounds();
        let node = self.place.pile.load()?;
        let stale_from = match self.max_age {
            Some(limit) => node.older_from(limit).min(node.stale_from()),
            None => node.stale_from(),
        };
        let renewing = node.is_renewing();
        let node = Valued::new(node)?;
        if latest < stale_from {
            return Some(Guard::of(node, Origin::Fresh, earliest));
        }
        let stale_will_do =
            self.demand == Demand::Stale && config.policy.stale_while_revalidate.is_none();
        if stale_will_do && earliest >= stale_from && renewing {
            return Some(Guard::of(node, Origin::Stale, earliest));
        }
        None
    }

    /// As [`glance`](Call::glance), for values that are not plainly fresh and calls that are not
    /// plain. `None`: it has to be looked at under the lock.
    pub(crate) fn look(&self) -> Option<Guard<'a, T>> {
        let node = self.place.pile.load()?;
        node.value()?;
        // An expired value is newer than nothing: the last `expire` came after its creation had
        // begun.
        let floor = match self.demand {
            Demand::NewerThan(_) if node.stamp().expired.is_some() => return None,
            Demand::NewerThan(number) => number,
            Demand::New => return None,
            Demand::Stale | Demand::Fresh => 0,
        };
        let (verdict, now) = self.verdict_now(&node.stamp());
        match self.demand.judge(floor, node.number(), verdict) {
            Judgement::Good => Some(Guard::new(node, Origin::Fresh, now)),
            Judgement::GoodMeanwhile if node.is_renewing() => {
                Some(Guard::new(node, Origin::Stale, now))
            }
            Judgement::GoodMeanwhile | Judgement::Useless => None,
        }
    }

    /// One look under the lock. `floor` is fixed by the first: what counts is what had happened
    /// when the call began, however long it takes.
    fn attempt_above(&self, floor: &mut Option<u64>) -> Attempt<'a, T> {
        let now = self.place.config.time.now();
        let found = self.place.pile.attempt(|numbers, node| {
            let floor = *floor.get_or_insert_with(|| self.demand.floor(numbers));
            match node {
                Some(node) if node.value().is_some() => {
                    self.demand
                        .judge(floor, node.number(), self.verdict(node, now))
                }
                _ => Judgement::Useless,
            }
        });
        let floor = floor.unwrap_or(0);
        match found {
            Found::Value(node, Judgement::Good) => {
                Attempt::Hit(Guard::new(node, Origin::Fresh, now))
            }
            Found::Value(node, _) => self.offer(Guard::new(node, Origin::Stale, now), floor),
            Found::Lease(fence) => Attempt::Lease(Lease::new(self.place, fence)),
            Found::Busy(creation) => Attempt::Busy(Busy::empty(self.place, creation, floor)),
        }
    }

    /// A value that is good enough; while somebody else is creating, if it is stale.
    fn offer(&self, guard: Guard<'a, T>, floor: u64) -> Attempt<'a, T> {
        match guard.origin() {
            Origin::Stale => Attempt::Busy(Busy::stale(self.place, guard, floor)),
            _ => Attempt::Hit(guard),
        }
    }

    /// The long way: create, or wait for who does. `failed` says what somebody else's failure means
    /// to this caller; `None` is nothing.
    #[cold]
    #[inline(never)]
    pub(crate) fn create_or_wait<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        match self.elect(&self.patience(), failed) {
            Elected::Answer(answer) => answer,
            Elected::Lead(lease) => lease.create(create),
        }
    }

    /// As [`create_or_wait`](Call::create_or_wait), up to the lease.
    pub(crate) fn elect<E: Send + Sync + 'static>(
        &self,
        patience: &Patience,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Elected<'a, T, E> {
        let mut floor = None;
        loop {
            let busy = match self.look_again(&mut floor) {
                Ok(elected) => return elected,
                Err(busy) => busy,
            };
            if let Some(answer) = patience.wait(busy, &failed) {
                return Elected::Answer(answer);
            }
        }
    }

    /// One look, under the lock if it has to be; `Err` is what there is to wait for.
    pub(crate) fn look_again<E>(
        &self,
        floor: &mut Option<u64>,
    ) -> Result<Elected<'a, T, E>, Busy<'a, T>> {
        // The first time without the lock.
        if floor.is_none() {
            if let Some(guard) = self.look() {
                return Ok(Elected::Answer(Ok(guard)));
            }
        }
        let answer = match self.attempt_above(floor) {
            Attempt::Hit(guard) => Ok(guard),
            Attempt::Lease(lease) => {
                if self.holds_read_guard && !self.would_do(lease.previous(), *floor) {
                    Err(Error::HoldsReadGuard)
                } else {
                    return Ok(Elected::Lead(lease));
                }
            }
            Attempt::Busy(busy) => match busy.into_stale() {
                Ok(stale) => Ok(stale),
                Err(_) if self.holds_read_guard => Err(Error::HoldsReadGuard),
                Err(busy) => return Err(busy),
            },
        };
        Ok(Elected::Answer(answer))
    }

    /// Whether a value that is held would do while somebody else creates.
    fn would_do(&self, held: Option<Owned<T>>, floor: Option<u64>) -> bool {
        held.is_some_and(|held| {
            let verdict = self.verdict(held.node(), self.place.config.time.now());
            let floor = floor.unwrap_or(0);
            self.demand.judge(floor, held.node().number(), verdict) != Judgement::Useless
        })
    }

    /// How long the call may wait, from now on.
    pub(crate) fn patience(&self) -> Patience {
        let time = &self.place.config.time;
        Patience(
            self.wait
                .map(|limit| (limit, time.now().saturating_add(limit))),
        )
    }
}

/// What became of a call that had to look under the lock, and perhaps to wait.
pub(crate) enum Elected<'a, T, E, A = Guard<'a, T>> {
    Answer(Result<A, Error<E>>),
    /// It is to create.
    Lead(Lease<PileRef<'a, T>, T>),
}

/// The limit of a call's waiting, and when it is reached.
pub(crate) struct Patience(Option<(Duration, Tick)>);

impl Patience {
    #[cfg(feature = "async")]
    pub(crate) const ENDLESS: Self = Self(None);

    /// Waits for somebody else's creation. `None`: to be attempted anew.
    pub(crate) fn wait<'a, T, E: Send + Sync + 'static>(
        &self,
        busy: Busy<'a, T>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Option<Result<Guard<'a, T>, Error<E>>> {
        self.answer(busy.wait_until(self.deadline()), failed)
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.0.map(|(_, deadline)| deadline)
    }

    /// What the outcome of a wait means to the call. `None`: to be attempted anew.
    pub(crate) fn answer<'a, T, E: Send + Sync + 'static>(
        &self,
        outcome: Outcome<'a, T>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Option<Result<Guard<'a, T>, Error<E>>> {
        match outcome {
            Outcome::Value(guard) => Some(Ok(guard)),
            Outcome::Failed(failure) => failed(failure).map(Err),
            Outcome::ElectAnew => None,
            Outcome::TimedOut => {
                let limit = self.0.map_or(Duration::ZERO, |(limit, _)| limit);
                Some(Err(Error::TimedOut { limit }))
            }
            Outcome::Reentrant => Some(Err(Error::Reentrant)),
        }
    }
}
