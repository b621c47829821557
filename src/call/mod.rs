//! One call of a pile: its options, and the way from a look at the value to an answer.

// In the order in which the documentation of `Call` shows them.
mod acquire;
mod attempt;
#[cfg(feature = "async")]
mod background;
#[cfg(feature = "async")]
pub(crate) mod task;
mod thread;
pub(crate) mod way;

pub use self::attempt::{Attempt, Busy, Outcome};
use self::attempt::{Attempted, NewerThan};
#[cfg(feature = "async")]
pub use self::background::{Background, OnExecutor};
#[cfg(feature = "async")]
pub use self::task::Wait;

use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::answer::Lease;
use crate::answer::Site;
use crate::answer::{Caller, Door, Open};
use crate::answer::{Created, Creating};
use crate::answer::{Guard, Origin, Owned};
use crate::error::Error;
#[cfg(feature = "async")]
use crate::executor::Timer;
use crate::policy::{Accept, Use};
use crate::policy::{Freshness, Horizon};
use crate::raw::{Found, Node, ValueRef};
use crate::time::Tick;
use crate::time::Times;

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
pub struct Call<'a, T, D = Open, W = Here> {
    pub(crate) mode: W,
    pub(crate) place: Site<'a, T>,
    pub(crate) door: D,
    pub(crate) wait: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) accept: Accept,
    #[cfg(feature = "async")]
    pub(crate) timer: Option<&'a dyn Timer>,
}

impl<T, D: Copy, W: Copy> Clone for Call<'_, T, D, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, D: Copy, W: Copy> Copy for Call<'_, T, D, W> {}

// As for the pile: a timer is asked and not relied upon.
impl<T: RefUnwindSafe, D, W> UnwindSafe for Call<'_, T, D, W> {}
impl<T: RefUnwindSafe, D, W> RefUnwindSafe for Call<'_, T, D, W> {}

impl<T, D, W> fmt::Debug for Call<'_, T, D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("wait", &self.wait)
            .field("max_age", &self.max_age)
            .field("accept", &self.accept)
            .finish()
    }
}

impl<'a, T, D, W> Call<'a, T, D, W> {
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
    pub const fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// The same in another mode.
    #[cfg(feature = "async")]
    pub(crate) fn by<V>(self, mode: V) -> Call<'a, T, D, V> {
        Call {
            mode,
            place: self.place,
            door: self.door,
            wait: self.wait,
            max_age: self.max_age,
            accept: self.accept,
            timer: self.timer,
        }
    }
}

/// The creator runs where the call is made: by its thread, or its task.
#[derive(Clone, Copy, Debug)]
pub struct Here;

impl<'a, T, D: Door> Call<'a, T, D> {
    #[inline]
    pub(crate) fn new(place: Site<'a, T>, door: D) -> Self {
        Self {
            mode: Here,
            place,
            door,
            wait: None,
            max_age: None,
            accept: Accept::Stale,
            #[cfg(feature = "async")]
            timer: None,
        }
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
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        match self.hit(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_infallibly(create),
        }
    }

    pub(crate) fn create_infallibly(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        // Somebody else's failure is no answer to a caller whose creator cannot fail.
        self.create_or_wait(false, |_| Ok(create().into()))
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
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        match self.hit(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(true, |_| create().map(Created::new)),
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
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        match self.hit(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(true, create),
        }
    }

    /// The value that is held, without creating or waiting.
    #[inline(always)]
    pub(crate) fn peek(self) -> Option<Guard<'a, T, D::Pass>> {
        match self.hit(Caller::Thread) {
            Some(guard) => Some(guard),
            None => self.peek_exact(),
        }
    }

    /// As [`peek`](Call::peek), for values that are not plainly fresh.
    #[cold]
    #[inline(never)]
    fn peek_exact(self) -> Option<Guard<'a, T, D::Pass>> {
        let pass = self.door.try_enter(Caller::Thread)?;
        Some(self.peek_inside()?.with(pass))
    }

    /// As [`peek`](Call::peek), for a caller who is inside.
    pub(crate) fn peek_inside(&self) -> Option<Guard<'a, T>> {
        let node = self.place.pile.load()?;
        node.value()?;
        let (freshness, now) = self.freshness_now(&node.times());
        let origin = match freshness {
            Freshness::Fresh => Origin::Fresh,
            Freshness::Stale => Origin::Stale,
            Freshness::Gone => return None,
        };
        Some(Guard::new(node, origin, now))
    }

    pub(crate) fn freshness(&self, node: &Node<T>, now: Tick) -> Freshness {
        self.limits(&node.times()).freshness(now)
    }

    fn limits(&self, times: &Times) -> Horizon {
        self.place.settings.policy.limits(times, self.max_age)
    }

    /// The freshness on a value by the time of now, and a time at which it holds.
    pub(crate) fn freshness_now(&self, times: &Times) -> (Freshness, Tick) {
        let limits = self.limits(times);
        let time = &self.place.settings.time;
        let (earliest, latest) = time.bounds();
        let freshness = limits.freshness(earliest);
        // If it is the same at both bounds, so it is between them.
        if limits.freshness(latest) == freshness {
            return (freshness, earliest);
        }
        let now = time.now();
        (limits.freshness(now), now)
    }

    /// A hit: what almost every call is. `None` is not a refusal: the call has to go its
    /// [way](crate::way).
    #[inline(always)]
    pub(crate) fn hit(&self, caller: Caller) -> Option<Guard<'a, T, D::Pass>> {
        let pass = self.door.try_enter(caller)?;
        Some(self.hit_value()?.with(pass))
    }

    /// The way of almost every call: a look at the value, without the pile's lock. `None` is not a
    /// refusal: the value has to be looked at again.
    // Inlined for good; and while it holds the node it calls nothing that could panic, such as a
    // clock: else the guard is moved about in memory, which costs as much as all the rest.
    #[inline(always)]
    pub(crate) fn hit_value(&self) -> Option<Guard<'a, T>> {
        if !matches!(self.accept, Accept::Stale | Accept::Fresh) {
            return None;
        }
        let settings = self.place.settings;
        let (earliest, latest) = settings.time.bounds();
        let node = self.place.pile.load()?;
        let stale_from = match self.max_age {
            Some(limit) => node.older_from(limit).min(node.stale_from()),
            None => node.stale_from(),
        };
        let renewing = node.is_renewing();
        let node = ValueRef::new(node)?;
        if latest < stale_from {
            return Some(Guard::of(node, Origin::Fresh, earliest));
        }
        let stale_will_do =
            self.accept == Accept::Stale && settings.policy.stale_while_revalidate.is_none();
        if stale_will_do && earliest >= stale_from && renewing {
            return Some(Guard::of(node, Origin::Stale, earliest));
        }
        None
    }

    /// As [`hit_value`](Call::hit_value), for values that are not plainly fresh and calls that are not
    /// plain. `None`: it has to be looked at under the lock.
    pub(crate) fn look(&self) -> Option<Guard<'a, T>> {
        let node = self.place.pile.load()?;
        node.value()?;
        // An expired value is newer than nothing: the last `expire` came after its creation had
        // begun.
        let newer_than = match self.accept {
            Accept::NewerThan(_) if node.times().expired.is_some() => return None,
            Accept::NewerThan(seen) => seen.number,
            Accept::New => return None,
            Accept::Stale | Accept::Fresh => 0,
        };
        let (freshness, now) = self.freshness_now(&node.times());
        match self.accept.judge(newer_than, node.number(), freshness) {
            Use::Now => Some(Guard::new(node, Origin::Fresh, now)),
            Use::IfLeased if node.is_renewing() => Some(Guard::new(node, Origin::Stale, now)),
            Use::IfLeased | Use::No => None,
        }
    }

    /// One look under the lock. `newer_than` is fixed by the first: what counts is what had happened
    /// when the call began, however long it takes.
    pub(crate) fn attempt_locked(
        &self,
        newer_than: &mut NewerThan,
    ) -> Attempted<'a, T, Guard<'a, T>> {
        let now = self.place.settings.time.now();
        let found = self.place.pile.attempt(|marks, node| {
            let newer_than = newer_than.fix(|| self.accept.newer_than(marks));
            match node {
                Some(node) if node.value().is_some() => {
                    self.accept
                        .judge(newer_than, node.number(), self.freshness(node, now))
                }
                _ => Use::No,
            }
        });
        match found {
            Found::Value(node, usable) => {
                let origin = match usable {
                    Use::Now => Origin::Fresh,
                    _ => Origin::Stale,
                };
                Attempted::Hit(Guard::new(node, origin, now))
            }
            Found::Lease(fence) => Attempted::Lease(Lease::new(self.place, fence)),
            Found::Busy(creation) => Attempted::Busy(creation),
        }
    }

    /// Whether a value that is held would do while somebody else creates.
    pub(crate) fn would_do(&self, held: Option<Owned<T>>, newer_than: u64) -> bool {
        held.is_some_and(|held| {
            let freshness = self.freshness(held.node(), self.place.settings.time.now());
            self.accept
                .judge(newer_than, held.node().number(), freshness)
                != Use::No
        })
    }

    /// Whether no writer can have replaced what was found before this caller came in, with what it
    /// stands for.
    pub(crate) fn is_current(&self, found: &Guard<'a, T>) -> bool {
        found.origin() == Origin::Superseded || self.place.pile.shows(found.node())
    }
}

impl<'a, T> Call<'a, T> {
    /// The value, the lease, or the news that somebody else has it, without creating or waiting: as
    /// [`Dogpile::attempt`](crate::Dogpile::attempt), with the options of this call.
    pub fn attempt(self) -> Attempt<'a, T> {
        if let Some(guard) = self.look() {
            // What is newer than it, and not expired, is newer than the last `expire` too.
            let newer_than = match self.accept {
                Accept::NewerThan(seen) => seen.number,
                Accept::Stale | Accept::Fresh | Accept::New => 0,
            };
            return self.offer(guard, newer_than);
        }
        let mut newer_than = NewerThan::UNFIXED;
        let attempted = self.attempt_locked(&mut newer_than);
        let newer_than = newer_than.number();
        match attempted {
            Attempted::Hit(guard) => self.offer(guard, newer_than),
            Attempted::Lease(lease) => Attempt::Lease(lease),
            Attempted::Busy(creation) => {
                Attempt::Busy(Busy::empty(self.place, creation, newer_than))
            }
        }
    }

    /// A value that is good enough; while somebody else is creating, if it is stale.
    fn offer(&self, guard: Guard<'a, T>, newer_than: u64) -> Attempt<'a, T> {
        match guard.origin() {
            Origin::Stale => Attempt::Busy(Busy::stale(self.place, guard, newer_than)),
            _ => Attempt::Hit(guard),
        }
    }
}
