//! What a value is good for, given its times and the limits of its pile.

use std::time::Duration;

use crate::time::{Tick, Times};

/// The limits a pile was built with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long a stale value may still be served while another is created; `None` is without
    /// limit.
    pub(crate) stale_while_revalidate: Option<Duration>,
    /// How long a value is fresh.
    pub(crate) ttl: Duration,
}

/// What a value is good for. Together with the lease it decides what a caller gets:
///
/// | value | lease free | lease held |
/// |---|---|---|
/// | `Fresh` | the value | the value |
/// | `Stale` | the lease | the value |
/// | `Gone`, or none | the lease | it waits |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Its age is at most its time to live, and it was not expired.
    Fresh,
    /// Older than its time to live or expired, and within its stale limit.
    Stale,
    /// Beyond its stale limit: as good as no value.
    Gone,
}

/// The instants at which a value becomes less good. It never becomes better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// The first instant at which the value is not fresh any more.
    fresh_until: Tick,
    /// The first instant at which the value is gone.
    usable_until: Tick,
}

impl Horizon {
    /// What the value is good for at `now`.
    pub(crate) fn at(self, now: Tick) -> Freshness {
        if now < self.fresh_until {
            Freshness::Fresh
        } else if now < self.usable_until {
            Freshness::Stale
        } else {
            Freshness::Gone
        }
    }
}

impl Policy {
    /// The horizon of a value for a call that takes it for stale beyond `max_age`.
    pub(crate) fn horizon(&self, value: &Times, max_age: Option<Duration>) -> Horizon {
        let stale = value.stale_from();
        let ttl = max_age.map_or(value.ttl, |max_age| max_age.min(value.ttl));
        // It counts from the end of the time to live, whatever `expire` said: an `expire` asks for a
        // renewal and condemns nothing.
        let usable_until = self.stale_while_revalidate.map_or(Tick::MAX, |limit| {
            value.older_from(ttl.saturating_add(limit))
        });
        Horizon {
            fresh_until: max_age.map_or(stale, |limit| stale.min(value.older_from(limit))),
            usable_until,
        }
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(1_000_000_000_000 + nanos)
    }

    fn decide(ttl: Duration, limit: Option<Duration>, value: Times, now: Tick) -> Freshness {
        Policy {
            ttl,
            stale_while_revalidate: limit,
        }
        .horizon(&value, None)
        .at(now)
    }

    #[test]
    fn a_value_exactly_as_old_as_its_ttl_is_fresh() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            decide(SECOND, None, value, at(1_000_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            decide(SECOND, None, value, at(1_000_000_001)),
            Freshness::Stale
        );
    }

    #[test]
    fn a_value_exactly_stale_for_its_limit_is_usable() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            decide(SECOND, Some(SECOND), value, at(2_000_000_000)),
            Freshness::Stale
        );
        assert_eq!(
            decide(SECOND, Some(SECOND), value, at(2_000_000_001)),
            Freshness::Gone
        );
        assert_eq!(
            decide(SECOND, Some(Duration::ZERO), value, at(1_000_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            decide(SECOND, Some(Duration::ZERO), value, at(1_000_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_ttl_of_zero_is_never_fresh_and_an_enormous_one_never_ends() {
        assert_eq!(
            decide(
                Duration::ZERO,
                None,
                Times::new(at(0), Duration::ZERO, Duration::ZERO),
                at(0)
            ),
            Freshness::Stale
        );
        let eternal = Times::new(at(0), Duration::ZERO, Duration::MAX);
        assert_eq!(
            decide(Duration::MAX, None, eternal, Tick::from_nanos(u64::MAX - 1)),
            Freshness::Fresh
        );
        let limited = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            decide(
                SECOND,
                Some(Duration::MAX),
                limited,
                Tick::from_nanos(u64::MAX - 1)
            ),
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
        assert_eq!(decide(SECOND, limit, value, at(7)), Freshness::Stale);
        assert_eq!(
            decide(SECOND, limit, value, at(2_000_000_000)),
            Freshness::Stale
        );
        assert_eq!(
            decide(SECOND, limit, value, at(2_000_000_001)),
            Freshness::Gone
        );
        let none = Some(Duration::ZERO);
        assert_eq!(
            decide(SECOND, none, value, at(1_000_000_000)),
            Freshness::Stale
        );
        assert_eq!(
            decide(SECOND, none, value, at(1_000_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn expiring_a_value_that_is_stale_already_does_not_lengthen_its_life() {
        let value = Times {
            expired: Some(at(5_000_000_000)),
            ..Times::new(at(0), Duration::ZERO, SECOND)
        };
        assert_eq!(
            decide(SECOND, Some(SECOND), value, at(2_000_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_older() {
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(decide(SECOND, None, value, Tick::ZERO), Freshness::Fresh);
        assert_eq!(value.age(Tick::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_value_may_be_older_than_its_clock() {
        let value = Times::new(Tick::ZERO, SECOND, SECOND * 2);
        let tick = |nanos| Tick::from_nanos(nanos);
        assert_eq!(value.age(tick(0)), SECOND);
        let limit = Some(SECOND);
        assert_eq!(
            decide(SECOND * 2, limit, value, tick(1_000_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            decide(SECOND * 2, limit, value, tick(1_000_000_001)),
            Freshness::Stale
        );
        assert_eq!(
            decide(SECOND * 2, limit, value, tick(2_000_000_001)),
            Freshness::Gone
        );
        let old = Times::new(Tick::ZERO, SECOND * 9, SECOND);
        assert_eq!(decide(SECOND, None, old, Tick::ZERO), Freshness::Stale);
        assert_eq!(decide(SECOND, limit, old, Tick::ZERO), Freshness::Gone);
        let ageless = Times::new(Tick::ZERO, Duration::MAX, SECOND);
        assert_eq!(decide(SECOND, limit, ageless, Tick::MAX), Freshness::Gone);
    }

    #[test]
    fn a_callers_max_age_tightens_the_stale_limit_with_it() {
        let policy = Policy {
            ttl: SECOND,
            stale_while_revalidate: Some(Duration::ZERO),
        };
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            policy.horizon(&value, Some(SECOND / 2)).at(at(500_000_001)),
            Freshness::Gone
        );
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_fresh_that_never_was() {
        let value = Times::new(at(0), Duration::ZERO, Duration::ZERO);
        assert_eq!(
            decide(Duration::ZERO, None, value, Tick::ZERO),
            Freshness::Stale
        );
        let old = Times::new(at(0), SECOND * 9, SECOND);
        assert_eq!(
            decide(SECOND, Some(SECOND), old, Tick::ZERO),
            Freshness::Gone
        );
    }

    #[test]
    fn a_callers_max_age_tightens_the_ttl_and_never_loosens_it() {
        let policy = Policy {
            ttl: SECOND,
            stale_while_revalidate: None,
        };
        let value = Times::new(at(0), Duration::ZERO, SECOND);
        assert_eq!(
            policy.horizon(&value, Some(SECOND / 2)).at(at(500_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            policy.horizon(&value, Some(SECOND / 2)).at(at(500_000_001)),
            Freshness::Stale
        );
        assert_eq!(
            policy
                .horizon(&value, Some(SECOND * 9))
                .at(at(1_000_000_001)),
            Freshness::Stale
        );
        assert_eq!(
            policy.horizon(&value, Some(Duration::ZERO)).at(at(0)),
            Freshness::Stale
        );
    }
}
