//! One call of a pile of the fleet, with options.

use std::marker::PhantomData;
use std::time::Duration;

use dogpile::executor::Timer;
use dogpile::{Accept, Guard, Origin, Tick};

use crate::door::{Alone, AtKey, Door, Want};
use crate::entry::{Entry, FleetGuard};
use crate::regeneration::Terms;
use crate::shared::Shared;
use crate::store::Version;

/// Which values a call of the fleet takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum FleetAccept {
    /// A fresh value, or a stale one while somebody in the fleet creates the next. The default.
    #[default]
    Stale,
    /// A fresh value only.
    Fresh,
    /// A value of a later version: for a caller that found a fault in this one.
    NewerThan(Version),
    /// A value whose creation begins after this call.
    New,
}

/// A call with options of its own, of a [`FleetDogpile`](crate::FleetDogpile) or for a key of a
/// [`FleetKeyed`](crate::FleetKeyed).
#[must_use = "a call does nothing until it is made"]
pub struct FleetCall<'a, T, S, C, D = Alone<'a, T, S, C>> {
    pub(crate) door: D,
    wait: Option<Duration>,
    max_age: Option<Duration>,
    accept: FleetAccept,
    local_only: bool,
    pub(crate) timer: Option<&'a dyn Timer>,
    of: PhantomData<&'a Shared<(S, T), C>>,
}

/// A call for a key of a [`FleetKeyed`](crate::FleetKeyed).
pub type FleetKeyCall<'a, 'q, K, T, S, C, Q> = FleetCall<'a, T, S, C, AtKey<'a, 'q, K, T, S, C, Q>>;

impl<T, S, C, D: Copy> Clone for FleetCall<'_, T, S, C, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S, C, D: Copy> Copy for FleetCall<'_, T, S, C, D> {}

impl<'a, T, S, C, D> FleetCall<'a, T, S, C, D> {
    #[inline]
    pub(crate) fn new(door: D) -> Self {
        Self {
            door,
            wait: None,
            max_age: None,
            accept: FleetAccept::Stale,
            local_only: false,
            timer: None,
            of: PhantomData,
        }
    }

    /// Waits for other callers' creations, here and elsewhere, for `limit` at most, in all.
    ///
    /// It does not limit this call's own creator, nor a verb of the store, whose own time-outs do.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Takes a value for stale that is older than `limit`.
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.max_age = Some(limit);
        self
    }

    /// Which values the call takes.
    pub fn accept(mut self, accept: FleetAccept) -> Self {
        self.accept = accept;
        self
    }

    /// Leaves the store alone: the copy of this process while it is fresh, else a creation that this
    /// process alone knows of.
    pub fn local_only(mut self) -> Self {
        self.local_only = true;
        self
    }

    /// What keeps the wait limit of a task.
    pub fn timer(mut self, timer: &'a dyn Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    /// What the call asks for, from now on.
    pub(crate) fn terms(&self, now: Tick) -> Terms {
        Terms {
            floor: match self.accept {
                FleetAccept::NewerThan(version) => version,
                _ => Version::NONE,
            },
            takes_stale: !matches!(self.accept, FleetAccept::Fresh | FleetAccept::New),
            max_age: self.max_age,
            deadline: self.wait.map(|limit| now.saturating_add(limit)),
            local_only: self.local_only,
            new: self.accept == FleetAccept::New,
        }
    }

    pub(crate) fn takes_stale(&self) -> bool {
        !matches!(self.accept, FleetAccept::Fresh | FleetAccept::New)
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.accept == FleetAccept::Stale && self.max_age.is_none()
    }

    /// The version above which a value has to be.
    pub(crate) fn floor(&self) -> Version {
        match self.accept {
            FleetAccept::NewerThan(version) => version,
            _ => Version::NONE,
        }
    }
}

impl<'a, T: 'static, S: 'a, C: 'a, D: Door<'a, T, S, C>> FleetCall<'a, T, S, C, D> {
    #[inline(always)]
    pub(crate) fn shared(&self) -> &'a Shared<S, C> {
        self.door.shared()
    }

    /// Whether each call asks the store, and the copy here is no answer.
    #[inline(always)]
    pub(crate) fn always_asks(&self) -> bool {
        self.door.always_asks() && !self.local_only
    }

    /// Whether a copy of this process will do that its pile would give out.
    pub(crate) fn will_do(&self, guard: &Guard<'_, Entry<T>>) -> bool {
        let age = Guard::age(guard);
        let mine = guard.mine(age, &self.shared().policy);
        let young = self.max_age.is_none_or(|max| age <= max);
        let good = match self.takes_stale() {
            true => mine.usable,
            false => mine.fresh && young,
        };
        good && (self.floor().is_none() || mine.version > self.floor())
    }

    /// What it wants of the pile in this process.
    pub(crate) fn here(&self, deadline: Option<Tick>) -> Want<'a> {
        let left = |deadline: Tick| deadline.saturating_since(self.shared().common.now());
        Want {
            wait: deadline.map(left),
            max_age: self.max_age,
            accept: self.accept_here(),
            timer: self.timer,
        }
    }

    fn accept_here(&self) -> Accept {
        if self.accept == FleetAccept::New || self.always_asks() {
            return Accept::New;
        }
        match self.door.peek() {
            Some(guard) if !self.will_do(&guard) => Accept::NewerThan(Guard::seen(&guard)),
            _ if !self.takes_stale() => Accept::Fresh,
            _ => Accept::Stale,
        }
    }

    /// An answer that needs no look at the store, if it is plainly fresh.
    // A guard that is not plainly fresh is dropped and taken again out of line: one that is passed to a
    // function is in memory from the beginning, and then each hit costs ten times as much.
    #[inline(always)]
    pub(crate) fn fresh_hit(&self) -> Option<FleetGuard<'a, T>> {
        if !self.is_plain() || self.always_asks() {
            return None;
        }
        let guard = self.door.hit()?;
        match Guard::origin(&guard) {
            Origin::Fresh => Some(FleetGuard::new(guard)),
            _ => None,
        }
    }

    /// A stale copy while a caller of this process creates or asks: if the fleet's limit allows it.
    #[cold]
    #[inline(never)]
    pub(crate) fn stale_hit(&self) -> Option<FleetGuard<'a, T>> {
        if !self.is_plain() || self.always_asks() {
            return None;
        }
        let guard = self.door.hit()?;
        let usable = guard.is_usable(Guard::age(&guard), &self.shared().policy);
        usable.then(|| FleetGuard::new(guard))
    }

    /// The answer of a call that neither asks, nor creates, nor waits. `None` is no refusal: then make
    /// the call.
    #[inline(always)]
    pub fn hit(&self) -> Option<FleetGuard<'a, T>> {
        match self.fresh_hit() {
            Some(guard) => Some(guard),
            None => self.stale_hit(),
        }
    }

    /// The copy of this process, fresh or stale, without asking the store.
    pub(crate) fn peek(&self) -> Option<FleetGuard<'a, T>> {
        let guard = self.door.peek()?;
        let usable = guard.is_usable(Guard::age(&guard), &self.shared().policy);
        usable.then(|| FleetGuard::new(guard))
    }
}

impl<T, S, C, D> std::fmt::Debug for FleetCall<'_, T, S, C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetCall")
            .field("wait", &self.wait)
            .field("max_age", &self.max_age)
            .field("accept", &self.accept)
            .field("local_only", &self.local_only)
            .finish_non_exhaustive()
    }
}
