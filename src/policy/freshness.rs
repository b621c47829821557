//! What a value is good for, given its times and what a call asks for.

use std::time::Duration;

use crate::time::{Tick, Times};

/// What a value is good for. Together with the lease it decides what a caller gets:
///
/// | value | the lease is free | held, or none may be granted yet |
/// |---|---|---|
/// | `Fresh` | the value | the value |
/// | `Due` | the lease | the value |
/// | `Stale` | the lease | the value |
/// | `Fallback` | the lease | it waits, or gets the value with the failure beside it |
/// | `Gone`, or none | the lease | it waits, or is told when to come back |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Its age is at most its time to live, and it was not expired.
    Fresh,
    /// Fresh, and past the point from which on one caller renews it ahead.
    Due,
    /// Older than its time to live or expired, and within its stale limit.
    Stale,
    /// Beyond its stale limit, and given out only instead of a failure.
    Fallback,
    /// Beyond all limits: as good as no value.
    Gone,
}

/// What a call asks of the times of a value. (In nanoseconds, since a task that waits holds it.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks {
    max_age: u64,
    min_fresh: u64,
}

impl Asks {
    const NONE: u64 = u64::MAX;

    pub(crate) const NOTHING: Self = Self {
        max_age: Self::NONE,
        min_fresh: Self::NONE,
    };

    /// Takes a value for stale that is older. Beyond the clock's range that is no value.
    pub(crate) const fn with_max_age(self, limit: Duration) -> Self {
        let nanos = limit.as_nanos();
        Self {
            max_age: if nanos < Self::NONE as u128 {
                nanos as u64
            } else {
                Self::NONE
            },
            ..self
        }
    }

    /// Takes no value that is fresh for less.
    pub(crate) const fn with_min_fresh(self, left: Duration) -> Self {
        let (nanos, most) = (left.as_nanos(), Self::NONE - 1);
        Self {
            min_fresh: if nanos < most as u128 {
                nanos as u64
            } else {
                most
            },
            ..self
        }
    }

    #[inline]
    pub(crate) fn max_age(self) -> Option<Duration> {
        (self.max_age != Self::NONE).then(|| Duration::from_nanos(self.max_age))
    }

    #[inline]
    pub(crate) fn min_fresh(self) -> Option<Duration> {
        (self.min_fresh != Self::NONE).then(|| Duration::from_nanos(self.min_fresh))
    }
}

/// The instants at which a value becomes less good. It never becomes better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// The first instant at which the value is to be renewed.
    due_from: Tick,
    /// The first instant at which the value is not fresh any more.
    fresh_until: Tick,
    /// The first instant at which the value is not served any more.
    usable_until: Tick,
    /// The first instant at which the value stands in for no failure any more.
    stands_in_until: Tick,
}

impl Horizon {
    /// The horizon of a value for a call.
    pub(crate) fn new(value: &Times, asks: Asks) -> Self {
        let ttl = asks
            .max_age()
            .map_or(value.ttl, |max_age| max_age.min(value.ttl));
        let mut fresh_until = value.stale_from();
        if let Some(limit) = asks.max_age() {
            fresh_until = fresh_until.min(value.older_from(limit));
        }
        let (mut usable_until, mut stands_in_until) =
            (value.usable_until(ttl), value.stands_in_until(ttl));
        if let Some(left) = asks.min_fresh() {
            fresh_until = fresh_until.saturating_sub(left);
            (usable_until, stands_in_until) = (fresh_until, Tick::ZERO);
        }
        Self {
            due_from: value.due_from().min(fresh_until),
            fresh_until,
            usable_until,
            stands_in_until,
        }
    }

    /// What the value is good for at `now`.
    pub(crate) fn at(self, now: Tick) -> Freshness {
        if now < self.due_from {
            Freshness::Fresh
        } else if now < self.fresh_until {
            Freshness::Due
        } else if now < self.usable_until {
            Freshness::Stale
        } else if now < self.stands_in_until {
            Freshness::Fallback
        } else {
            Freshness::Gone
        }
    }

    /// What the value is that stands in for a failure at `now`, if it does.
    pub(crate) fn stands_in(self, now: Tick) -> Option<Freshness> {
        (now < self.stands_in_until).then(|| self.at(now))
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use crate::time::Limits;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(1_000_000_000_000 + nanos)
    }

    fn decide(limit: Option<Duration>, value: Times, now: Tick) -> Freshness {
        let limits = Limits {
            stale_while_revalidate: limit,
            ..Limits::NONE
        };
        let value = Times { limits, ..value };
        Horizon::new(&value, Asks::NOTHING).at(now)
    }

    #[test]
    fn a_value_exactly_as_old_as_its_ttl_is_fresh() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(decide(None, value, at(1_000_000_000)), Freshness::Fresh);
        assert_eq!(decide(None, value, at(1_000_000_001)), Freshness::Stale);
    }

    #[test]
    fn a_value_exactly_stale_for_its_limit_is_usable() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            decide(Some(SECOND), value, at(2_000_000_000)),
            Freshness::Stale
        );
        assert_eq!(
            decide(Some(SECOND), value, at(2_000_000_001)),
            Freshness::Gone
        );
        assert_eq!(
            decide(Some(Duration::ZERO), value, at(1_000_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            decide(Some(Duration::ZERO), value, at(1_000_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_ttl_of_zero_is_never_fresh_and_an_enormous_one_never_ends() {
        assert_eq!(
            decide(
                None,
                Times::new(at(0), Duration::ZERO, Duration::ZERO),
                at(0)
            ),
            Freshness::Stale
        );
        let eternal = Times::new(at(0), Duration::ZERO, Duration::MAX);
        assert_eq!(
            decide(None, eternal, Tick::from_nanos(u64::MAX - 1)),
            Freshness::Fresh
        );
        let limited = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            decide(Some(Duration::MAX), limited, Tick::from_nanos(u64::MAX - 1)),
            Freshness::Stale
        );
    }

    #[test]
    fn an_expired_value_is_stale_from_then_on_and_ends_when_it_would_have() {
        let value = Times {
            expired: Some(at(7)),
            ..Times::new(at(0), Duration::ZERO, SECOND)
        };
        let limit = Some(SECOND);
        assert_eq!(decide(limit, value, at(7)), Freshness::Stale);
        assert_eq!(decide(limit, value, at(2_000_000_000)), Freshness::Stale);
        assert_eq!(decide(limit, value, at(2_000_000_001)), Freshness::Gone);
        let none = Some(Duration::ZERO);
        assert_eq!(decide(none, value, at(1_000_000_000)), Freshness::Stale);
        assert_eq!(decide(none, value, at(1_000_000_001)), Freshness::Gone);
    }

    #[test]
    fn expiring_a_value_that_is_stale_already_does_not_lengthen_its_life() {
        let value = Times {
            expired: Some(at(5_000_000_000)),
            ..Times::new(at(0), Duration::ZERO, SECOND)
        };
        assert_eq!(
            decide(Some(SECOND), value, at(2_000_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_older() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(decide(None, value, Tick::ZERO), Freshness::Fresh);
        assert_eq!(value.age(Tick::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_value_may_be_older_than_its_clock() {
        let value = Times::new(Tick::ZERO, SECOND, SECOND * 2);
        let tick = |nanos| Tick::from_nanos(nanos);
        assert_eq!(value.age(tick(0)), SECOND);
        let limit = Some(SECOND);
        assert_eq!(decide(limit, value, tick(1_000_000_000)), Freshness::Fresh);
        assert_eq!(decide(limit, value, tick(1_000_000_001)), Freshness::Stale);
        assert_eq!(decide(limit, value, tick(2_000_000_001)), Freshness::Gone);
        let old = Times::new(Tick::ZERO, SECOND * 9, SECOND);
        assert_eq!(decide(None, old, Tick::ZERO), Freshness::Stale);
        assert_eq!(decide(limit, old, Tick::ZERO), Freshness::Gone);
        let ageless = Times::new(Tick::ZERO, Duration::MAX, SECOND);
        assert_eq!(decide(limit, ageless, Tick::MAX), Freshness::Gone);
    }

    #[test]
    fn what_a_call_asks_for_beyond_the_clocks_range_is_no_limit_or_never() {
        let most = Duration::from_nanos(u64::MAX);
        let nano = Duration::from_nanos(1);
        let max_age = |limit| Asks::NOTHING.with_max_age(limit).max_age();
        assert_eq!(max_age(most - nano), Some(most - nano));
        for limit in [most, most + nano, Duration::MAX] {
            assert_eq!(max_age(limit), None);
        }
        let min_fresh = |left| Asks::NOTHING.with_min_fresh(left).min_fresh();
        assert_eq!(min_fresh(SECOND), Some(SECOND));
        for left in [most - nano, most, most + nano, Duration::MAX] {
            assert_eq!(min_fresh(left), Some(most - nano));
        }
    }

    /// What it is good for to a call that takes it for stale beyond `max_age`.
    fn aged(limit: Option<Duration>, max_age: Duration, now: Tick) -> Freshness {
        let limits = Limits {
            stale_while_revalidate: limit,
            ..Limits::NONE
        };
        let value = Times {
            limits,
            ..Times::new(at(0), Duration::ZERO, SECOND)
        };
        Horizon::new(&value, Asks::NOTHING.with_max_age(max_age)).at(now)
    }

    #[test]
    fn a_callers_max_age_tightens_the_stale_limit_with_it() {
        assert_eq!(
            aged(Some(Duration::ZERO), SECOND / 2, at(500_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_fresh_that_never_was() {
        let value = Times::new(at(0), Duration::ZERO, Duration::ZERO);
        assert_eq!(decide(None, value, Tick::ZERO), Freshness::Stale);
        let old = Times::new(at(0), SECOND * 9, SECOND);
        assert_eq!(decide(Some(SECOND), old, Tick::ZERO), Freshness::Gone);
    }

    #[test]
    fn a_callers_max_age_tightens_the_ttl_and_never_loosens_it() {
        assert_eq!(aged(None, SECOND / 2, at(500_000_000)), Freshness::Fresh);
        assert_eq!(aged(None, SECOND / 2, at(500_000_001)), Freshness::Stale);
        assert_eq!(aged(None, SECOND * 9, at(1_000_000_001)), Freshness::Stale);
        assert_eq!(aged(None, Duration::ZERO, at(0)), Freshness::Stale);
        assert_eq!(
            aged(None, Duration::MAX, at(1_000_000_000)),
            Freshness::Fresh
        );
    }
}
