//! What time needs to know of a value: when it was made, how long it lives, and when it was
//! expired.

use std::time::Duration;

use crate::time::Tick;
use crate::time::clock::nanos;

/// The times of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// When its creation completed, or when its age was told.
    pub(crate) created: Tick,
    /// How old it was then. Kept apart, since a value may be older than its clock.
    pub(crate) age_then: Duration,
    /// Up to which age it is said to be fresh. Its limits count from there.
    pub(crate) ttl: Duration,
    /// By how much sooner than that it is stale.
    pub(crate) sooner: Duration,
    /// From which age on it is due, if that is sooner still.
    pub(crate) due: Option<Duration>,
    pub(crate) limits: Limits,
    /// When it was expired by hand.
    pub(crate) expired: Option<Tick>,
}

/// How long a value may be of use beyond its time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// While another is created; `None` is without limit.
    pub(crate) stale_while_revalidate: Option<Duration>,
    /// Instead of a failure; `None` is never.
    pub(crate) stale_if_error: Option<Duration>,
}

/// The first instant at which what was `age_then` old when it was created is older than `limit`.
#[inline]
pub(in crate::time) fn older_from(created: Tick, age_then: u64, limit: u64) -> Tick {
    if limit == u64::MAX {
        return Tick::MAX; // Beyond the clock's range: it never ends.
    }
    match limit.checked_sub(age_then) {
        Some(rest) if limit > 0 => {
            let last = created.as_nanos().saturating_add(rest);
            Tick::from_nanos(last.saturating_add(1))
        }
        // Always: also before it was created, should the clock step back.
        _ => Tick::ZERO,
    }
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        stale_while_revalidate: None,
        stale_if_error: None,
    };
}

impl Times {
    pub(crate) fn new(created: Tick, age_then: Duration, ttl: Duration) -> Self {
        Self {
            created,
            age_then,
            ttl,
            sooner: Duration::ZERO,
            due: None,
            limits: Limits::NONE,
            expired: None,
        }
    }

    /// The same value at `now` with another age, and with every instant of its end where it was.
    ///
    /// A value that is past its time to live is older than that time at least.
    pub(crate) fn with_age(&self, now: Tick, age: Duration) -> Self {
        let age_now = self.age(now);
        if self.ttl >= Duration::from_nanos(u64::MAX) {
            let (created, age_then) = (now, age);
            return Self {
                created,
                age_then,
                expired: None,
                ..*self
            }; // It never ends.
        }
        // The end is as far from `now` as it was.
        let (age, ttl) = match self.ttl.checked_sub(age_now) {
            Some(left) => (age, age.saturating_add(left)),
            None => {
                let past = age_now - self.ttl;
                let age = age.max(past);
                (age, age - past)
            }
        };
        // So is the point from which on it is due.
        let left = |due: Duration| {
            due.checked_sub(age_now)
                .map_or(age, |left| age.saturating_add(left))
        };
        Self {
            created: now,
            age_then: age,
            ttl,
            due: self.due.map(left),
            expired: None,
            ..*self
        }
    }

    /// How long it is still fresh at `now`.
    pub(crate) fn left(&self, now: Tick) -> Duration {
        match self.expired {
            Some(_) => Duration::ZERO,
            None if self.ttl >= Duration::from_nanos(u64::MAX) => Duration::MAX,
            None => self.fresh_for().saturating_sub(self.age(now)),
        }
    }

    /// Up to which age it is fresh.
    fn fresh_for(&self) -> Duration {
        match self.ttl >= Duration::from_nanos(u64::MAX) {
            true => self.ttl,
            false => self.ttl.saturating_sub(self.sooner),
        }
    }

    pub(crate) fn age(&self, now: Tick) -> Duration {
        now.saturating_since(self.created)
            .saturating_add(self.age_then)
    }

    /// The first instant at which the value is older than `limit`; one of zero is exceeded from the
    /// start.
    #[inline]
    pub(crate) fn older_from(&self, limit: Duration) -> Tick {
        older_from(self.created, nanos(self.age_then), nanos(limit))
    }

    /// The first instant at which the value is stale; the clock's origin if it was expired, so that a
    /// clock that steps back does not undo that.
    pub(crate) fn stale_from(&self) -> Tick {
        match self.expired {
            Some(_) => Tick::ZERO,
            None => self.stale_by_age(),
        }
    }

    /// The first instant at which the value is stale, be it expired or not.
    pub(in crate::time) fn stale_by_age(&self) -> Tick {
        self.older_from(self.fresh_for())
    }

    /// The first instant at which the value is due: fresh or not, it is to be renewed.
    pub(crate) fn due_from(&self) -> Tick {
        let stale = self.stale_from();
        self.due
            .map_or(stale, |due| self.older_from(due).min(stale))
    }

    /// The first instant at which the value is gone, for a call that takes it for stale beyond
    /// `ttl`. An `expire` does not move it: it asks for a renewal and condemns nothing.
    pub(crate) fn usable_until(&self, ttl: Duration) -> Tick {
        self.limits
            .stale_while_revalidate
            .map_or(Tick::MAX, |limit| {
                self.older_from(ttl.saturating_add(limit))
            })
    }

    /// The first instant at which the value stands in for no failure any more, for a call that takes
    /// it for stale beyond `ttl`.
    pub(crate) fn stands_in_until(&self, ttl: Duration) -> Tick {
        self.limits.stale_if_error.map_or(Tick::ZERO, |limit| {
            self.older_from(ttl.saturating_add(limit))
        })
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// The first span beyond the clock's range.
    const ENDLESS: Duration = Duration::from_nanos(u64::MAX);

    fn at(seconds: u32) -> Tick {
        Tick::ZERO.saturating_add(SECOND * seconds)
    }

    #[test]
    fn what_is_beyond_the_clocks_range_never_ends() {
        for ttl in [ENDLESS, Duration::MAX] {
            let value = Times {
                sooner: SECOND,
                ..Times::new(Tick::ZERO, SECOND, ttl)
            };
            assert_eq!(value.left(at(9)), Duration::MAX);
            assert_eq!(value.stale_from(), Tick::MAX);
            assert_eq!(value.older_from(ttl), Tick::MAX);
            // With another age it does not end either, and is as old as was said.
            let aged = value.with_age(at(9), 5 * SECOND);
            assert_eq!((aged.ttl, aged.age(at(10))), (ttl, 6 * SECOND));
            assert_eq!(aged.left(at(10)), Duration::MAX);
        }
    }

    #[test]
    fn what_is_within_it_does() {
        let ttl = ENDLESS - Duration::from_nanos(1);
        let value = Times::new(Tick::ZERO, SECOND, ttl);
        assert_eq!(value.left(at(9)), ttl - 10 * SECOND);
        assert!(value.stale_from() < Tick::MAX);
        let sooner = Times {
            sooner: SECOND,
            ..value
        };
        assert_eq!(sooner.left(at(9)), ttl - 11 * SECOND);
    }

    #[test]
    fn another_age_moves_no_end() {
        let value = Times {
            due: Some(6 * SECOND),
            ..Times::new(at(10), SECOND, 8 * SECOND)
        };
        for age in [0, 3, 20] {
            let aged = value.with_age(at(12), SECOND * age);
            assert_eq!(aged.age(at(12)), SECOND * age);
            assert_eq!(aged.stale_from(), value.stale_from());
            assert_eq!(aged.due_from(), value.due_from());
            // One that is stale is older than its time to live, by as much as it is stale.
            let stale = value.with_age(at(20), SECOND * age);
            assert_eq!(stale.age(at(20)), SECOND * age.max(3));
            assert_eq!(stale.ttl, SECOND * (age.max(3) - 3));
        }
    }
}
