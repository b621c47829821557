//! One call of a pile of the fleet, with options.

use std::time::Duration;

use dogpile::executor::Timer;
use dogpile::{Accept, Call, Guard, Tick};

use crate::entry::{Entry, FleetGuard};
use crate::fleet::FleetDogpile;
use crate::regeneration::Terms;
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

/// A call of a [`FleetDogpile`] with options of its own.
#[must_use = "a call does nothing until it is made"]
pub struct FleetCall<'a, T, S, C> {
    pub(crate) fleet: &'a FleetDogpile<T, S, C>,
    wait: Option<Duration>,
    max_age: Option<Duration>,
    accept: FleetAccept,
    local_only: bool,
    pub(crate) timer: Option<&'a dyn Timer>,
}

impl<T, S, C> Clone for FleetCall<'_, T, S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S, C> Copy for FleetCall<'_, T, S, C> {}

impl<'a, T, S, C> FleetCall<'a, T, S, C> {
    #[inline]
    pub(crate) fn new(fleet: &'a FleetDogpile<T, S, C>) -> Self {
        Self {
            fleet,
            wait: None,
            max_age: None,
            accept: FleetAccept::Stale,
            local_only: false,
            timer: None,
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

    /// Whether each call asks the store, and the copy here is no answer.
    pub(crate) fn always_asks(&self) -> bool {
        self.fleet.always_asks && !self.local_only
    }

    /// The version above which a value has to be.
    pub(crate) fn floor(&self) -> Version {
        match self.accept {
            FleetAccept::NewerThan(version) => version,
            _ => Version::NONE,
        }
    }

    /// Whether a copy of this process will do that its pile would give out.
    pub(crate) fn will_do(&self, guard: &Guard<'_, Entry<T>>) -> bool {
        let shared = &self.fleet.shared;
        let age = Guard::age(guard);
        let mine = guard.mine(age, &shared.common, &shared.policy);
        let young = self.max_age.is_none_or(|max| age <= max);
        let good = match self.takes_stale() {
            true => mine.usable,
            false => mine.fresh && young,
        };
        good && (self.floor().is_none() || mine.version > self.floor())
    }

    /// The call of the pile in this process.
    pub(crate) fn here(&self, deadline: Option<Tick>) -> Call<'a, Entry<T>> {
        let mut call = self.fleet.pile.call();
        if let Some(deadline) = deadline {
            let left = deadline.saturating_since(self.fleet.shared.common.now());
            call = call.wait(left);
        }
        if let Some(max) = self.max_age {
            call = call.max_age(max);
        }
        if self.accept == FleetAccept::New || self.always_asks() {
            return call.accept(Accept::New);
        }
        match self.fleet.pile.peek() {
            Some(guard) if !self.will_do(&guard) => {
                let seen = Guard::seen(&guard);
                call.accept(Accept::NewerThan(seen))
            }
            _ if !self.takes_stale() => call.accept(Accept::Fresh),
            _ => call,
        }
    }

    /// The same if it is plainly fresh.
    #[inline(always)]
    pub(crate) fn fresh_hit(&self) -> Option<FleetGuard<'a, T>> {
        if self.is_plain() && (!self.fleet.always_asks || self.local_only) {
            self.fleet.fresh_hit()
        } else {
            None
        }
    }

    /// An answer that needs no look at the store.
    #[inline(always)]
    pub(crate) fn hit(&self) -> Option<FleetGuard<'a, T>> {
        if self.is_plain() && !self.always_asks() {
            self.fleet.hit()
        } else {
            None
        }
    }
}

impl<T, S, C> std::fmt::Debug for FleetCall<'_, T, S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetCall")
            .field("wait", &self.wait)
            .field("max_age", &self.max_age)
            .field("accept", &self.accept)
            .field("local_only", &self.local_only)
            .finish_non_exhaustive()
    }
}
