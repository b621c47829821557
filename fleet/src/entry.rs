//! A value of the fleet as this process has it, and what shows it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Created, Guard, Origin, Owned, Previous};

use crate::known::Known;
use crate::policy::Policy;
use crate::regeneration::Mine;
use crate::store::{Stored, Version};

/// Of which record a value is, and how often its copies here had been made stale when it was asked for.
pub(crate) type Asked<'k> = (&'k Arc<Known>, u64);

/// A value with what the fleet knows of it. Spans count from when it was made.
pub struct Entry<T> {
    value: Arc<T>,
    version: Version,
    /// When its time to live ends, for the whole fleet.
    ttl: Duration,
    /// Whether it was made stale before it came here.
    expired: bool,
    /// From when on this process renews it ahead of its end.
    ahead_at: Duration,
    /// How long its creation took.
    cost: Duration,
    /// What this process knows of the record.
    known: Arc<Known>,
    /// How often this process had made its values stale when it was asked for.
    mark: u64,
    /// Whether it was created in this process, and not read.
    made_here: bool,
    /// Whether something came after it while it was made.
    superseded: bool,
    /// How old it was when it came into the pile.
    placed_at: Duration,
}

impl<T> Entry<T> {
    /// A value that was made here just now.
    pub(crate) fn made(
        asked: Asked<'_>,
        value: Arc<T>,
        version: Version,
        cost: Duration,
        policy: &Policy,
    ) -> Self {
        let mut entry = Self {
            value,
            version,
            ttl: policy.ttl,
            expired: false,
            ahead_at: Duration::ZERO,
            cost,
            known: Arc::clone(asked.0),
            mark: asked.1,
            made_here: true,
            superseded: false,
            placed_at: Duration::ZERO,
        };
        entry.draw(Duration::ZERO, policy);
        entry
    }

    /// A value that the store told of.
    pub(crate) fn read(
        asked: Asked<'_>,
        value: Arc<T>,
        stored: &Stored,
        cost: Duration,
        policy: &Policy,
    ) -> Self {
        let age = stored.age;
        let mut entry = Self {
            value,
            version: stored.version,
            ttl: match stored.fresh_for.is_zero() {
                true => age.saturating_sub(stored.over_for),
                false => age.saturating_add(stored.fresh_for),
            },
            expired: stored.expired,
            ahead_at: Duration::ZERO,
            cost,
            known: Arc::clone(asked.0),
            mark: asked.1,
            made_here: false,
            superseded: false,
            placed_at: Duration::ZERO,
        };
        entry.draw(age, policy);
        entry
    }

    /// The same value, for the same span, after `age`.
    pub(crate) fn again(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            known: Arc::clone(&self.known),
            made_here: false,
            ..*self
        }
    }

    pub(crate) fn superseded(mut self) -> Self {
        self.superseded = true;
        self
    }

    /// Draws from when on this process renews the value: XFetch (Vattani and others, 2015). It is drawn
    /// once, when the value comes in, so that a hit draws nothing.
    fn draw(&mut self, age: Duration, policy: &Policy) {
        let left = self.ttl.saturating_sub(age);
        let unit = ((crate::store::draw() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        let sooner = (self.cost.as_secs_f64() * policy.ahead * -unit.ln()).max(0.0);
        let sooner = Duration::try_from_secs_f64(sooner)
            .unwrap_or(left)
            .min(left / 2);
        self.ahead_at = self.ttl.saturating_sub(sooner);
    }

    pub(crate) fn value(&self) -> &Arc<T> {
        &self.value
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn cost(&self) -> Duration {
        self.cost
    }

    /// Whether it is stale at this age, as the fleet sees it.
    fn is_stale(&self, age: Duration) -> bool {
        age >= self.ttl || self.expired || self.mark != self.known.mark()
    }

    /// Whether it may still be served stale at this age.
    pub(crate) fn is_usable(&self, age: Duration, policy: &Policy) -> bool {
        let limit = |limit| age <= self.ttl.saturating_add(limit);
        policy.stale.is_none_or(limit)
    }

    /// For how long it may be served stale.
    pub(crate) fn usable_for(&self, age: Duration, policy: &Policy) -> Duration {
        policy.stale.map_or(Duration::MAX, |limit| {
            self.ttl.saturating_add(limit).saturating_sub(age)
        })
    }

    /// Whether it may stand in for a failure.
    pub(crate) fn stands_in(&self, age: Duration, policy: &Policy) -> bool {
        let within = |limit| age <= self.ttl.saturating_add(limit);
        policy.stale_if_error.is_some_and(within)
    }

    pub(crate) fn mine(&self, age: Duration, policy: &Policy) -> Mine {
        Mine {
            version: self.version,
            fresh: !self.is_stale(age),
            usable: self.is_usable(age, policy),
            ahead: age >= self.ahead_at,
            age,
            held: true,
        }
    }

    /// For how long this process goes on with it without asking.
    pub(crate) fn fresh_here(&self, age: Duration, policy: &Policy) -> Duration {
        let until_end = self.ttl.saturating_sub(age);
        // Drawn to be renewed already, and others are at it: asked again soon, and not by each call.
        let until_ahead = self.ahead_at.saturating_sub(age).max(policy.hold(0));
        policy.local.min(until_ahead).min(until_end)
    }

    /// For the pile of this process, which goes on with it for `hold`.
    pub(crate) fn created(mut self, age: Duration, hold: Duration) -> Created<Self> {
        self.placed_at = age;
        Created::new(self).age(age).ttl(age.saturating_add(hold))
    }
}

/// What this process has at hand, as its creator finds it.
pub(crate) fn mine<T>(previous: Option<&Previous<Entry<T>>>, policy: &Policy) -> Mine {
    previous.map_or_else(Mine::default, |previous| {
        previous.mine(Previous::age(previous), policy)
    })
}

/// Shows a value of the fleet and keeps it alive and unchanged, as [`Guard`](dogpile::Guard) does.
///
/// Its methods are associated functions, since it derefs to your value: write
/// `FleetGuard::version(&guard)`.
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct FleetGuard<'a, T> {
    held: Held<'a, T>,
}

enum Held<'a, T> {
    Guard(Guard<'a, Entry<T>>),
    /// Boxed, so that a hit is not moved about in memory for its sake.
    Other(Box<Other<T>>),
}

enum Other<T> {
    /// A value of the store that the pile does not keep, and how old it is.
    Read(Arc<Entry<T>>, Duration),
    /// A value that the pile was given just now.
    Owned(Owned<Entry<T>>),
    /// What another guard shows, how old it was, and how that answer came about.
    Again(Owned<Entry<T>>, Duration, Origin),
}

impl<T> Other<T> {
    fn entry(&self) -> &Entry<T> {
        match self {
            Other::Read(entry, _) => entry,
            Other::Owned(entry) | Other::Again(entry, ..) => entry,
        }
    }

    fn again(&self) -> Self {
        match self {
            Other::Read(entry, age) => Other::Read(Arc::clone(entry), *age),
            Other::Owned(entry) => Other::Owned(entry.clone()),
            Other::Again(entry, age, origin) => Other::Again(entry.clone(), *age, *origin),
        }
    }
}

impl<'a, T> FleetGuard<'a, T> {
    #[inline(always)]
    pub(crate) fn new(guard: Guard<'a, Entry<T>>) -> Self {
        Self {
            held: Held::Guard(guard),
        }
    }

    pub(crate) fn read(entry: Arc<Entry<T>>, age: Duration) -> Self {
        Self {
            held: Held::Other(Box::new(Other::Read(entry, age))),
        }
    }

    pub(crate) fn owned(entry: Owned<Entry<T>>) -> Self {
        Self {
            held: Held::Other(Box::new(Other::Owned(entry))),
        }
    }

    /// The same once more, for a key that is named twice.
    pub(crate) fn again<'b>(&self) -> FleetGuard<'b, T> {
        let other = match &self.held {
            Held::Other(other) => other.again(),
            Held::Guard(guard) => Other::Again(
                Guard::to_owned(guard),
                Guard::age(guard),
                Guard::origin(guard),
            ),
        };
        FleetGuard {
            held: Held::Other(Box::new(other)),
        }
    }

    #[inline(always)]
    fn entry(&self) -> &Entry<T> {
        match &self.held {
            Held::Guard(guard) => guard,
            Held::Other(other) => other.entry(),
        }
    }

    /// The version of the value in the fleet. [`Version::NONE`]: the store does not have it.
    pub fn version(this: &Self) -> Version {
        this.entry().version
    }

    /// How old the value was when the call was answered.
    pub fn age(this: &Self) -> Duration {
        match &this.held {
            Held::Guard(guard) => Guard::age(guard),
            Held::Other(other) => match &**other {
                Other::Read(_, age) | Other::Again(_, age, _) => *age,
                Other::Owned(entry) => entry.placed_at,
            },
        }
    }

    /// For how long the value is fresh, counted from when it was made.
    pub fn ttl(this: &Self) -> Duration {
        this.entry().ttl
    }

    /// Whether the value was past its time to live in the fleet, or made stale.
    pub fn is_stale(this: &Self) -> bool {
        this.entry().is_stale(Self::age(this))
    }

    /// How the answer came about, as the fleet sees it: a value that another process made is
    /// [`Fresh`](Origin::Fresh) or [`Stale`](Origin::Stale), whether it was read just now or before.
    pub fn origin(this: &Self) -> Origin {
        let entry = this.entry();
        let here = match &this.held {
            Held::Guard(guard) => Guard::origin(guard),
            Held::Other(other) => match &**other {
                Other::Again(_, _, origin) => *origin,
                _ => Origin::Fresh,
            },
        };
        match here {
            _ if entry.superseded => Origin::Superseded,
            _ if Self::is_stale(this) => Origin::Stale,
            // The pile was emptied, since the store was; and then this came.
            Origin::Superseded if entry.made_here => Origin::CreatedHere,
            Origin::CreatedHere | Origin::CreatedByAnother if entry.made_here => here,
            _ => Origin::Fresh,
        }
    }

    /// A handle that keeps the value alive beyond the pile.
    pub fn to_arc(this: &Self) -> Arc<T> {
        Arc::clone(&this.entry().value)
    }
}

impl<T> Deref for FleetGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.entry().value
    }
}

impl<T: fmt::Debug> fmt::Debug for FleetGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for FleetGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
