//! What a value is good for, given its times and the limits of its pile.

use std::time::Duration;

use crate::time::Tick;
use crate::time::Times;

/// The limits a pile was built with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long a value is fresh.
    pub(crate) ttl: Duration,
    /// How long a stale value may still be served while another is created; `None` is without
    /// limit.
    pub(crate) stale_while_revalidate: Option<Duration>,
}

/// What a value is good for. Together with the lease it decides what a caller gets:
///
/// | value | lease free | lease held |
/// |---|---|---|
/// | `Fresh` | the value | the value |
/// | `Stale` | the lease | the value |
/// | `Gone`, or none | the lease | it waits |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    Stale,
    Gone,
}

/// The instants at which the freshness on a value gets worse. It never gets better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// The first instant at which the value is not fresh any more.
    pub(crate) fresh_until: Tick,
    /// The first instant at which it is dead.
    usable_until: Tick,
}

impl Horizon {
    pub(crate) fn freshness(self, now: Tick) -> Freshness {
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
    /// The limits of a value to a caller who calls it stale beyond `max_age`.
    pub(crate) fn limits(&self, value: &Times, max_age: Option<Duration>) -> Horizon {
        let stale = value.stale_from();
        Horizon {
            fresh_until: max_age.map_or(stale, |limit| stale.min(value.older_from(limit))),
            usable_until: self.usable_until(value, max_age),
        }
    }

    fn usable_until(&self, value: &Times, max_age: Option<Duration>) -> Tick {
        let Some(limit) = self.stale_while_revalidate else {
            return Tick::MAX;
        };
        let fresh_for = max_age.map_or(value.ttl, |max_age| max_age.min(value.ttl));
        let aged = value.older_from(fresh_for.saturating_add(limit));
        // Stale for exactly the limit is not dead yet; a limit of zero serves nothing stale.
        let grace = limit.saturating_add(Duration::from_nanos(u64::from(!limit.is_zero())));
        let expired = value.expired.map(|expired| expired.saturating_add(grace));
        expired.map_or(aged, |expired| expired.min(aged))
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
        .limits(&value, None)
        .freshness(now)
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
    fn an_expired_value_is_stale_from_then_on() {
        let value = Times {
            expired: Some(at(7)),
            ..Times::new(at(0), Duration::ZERO, SECOND)
        };
        assert_eq!(decide(SECOND, Some(SECOND), value, at(7)), Freshness::Stale);
        assert_eq!(
            decide(SECOND, Some(SECOND), value, at(1_000_000_007)),
            Freshness::Stale
        );
        assert_eq!(
            decide(SECOND, Some(SECOND), value, at(1_000_000_008)),
            Freshness::Gone
        );
        assert_eq!(
            decide(SECOND, Some(Duration::ZERO), value, at(7)),
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
            policy
                .limits(&value, Some(SECOND / 2))
                .freshness(at(500_000_001)),
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
            policy
                .limits(&value, Some(SECOND / 2))
                .freshness(at(500_000_000)),
            Freshness::Fresh
        );
        assert_eq!(
            policy
                .limits(&value, Some(SECOND / 2))
                .freshness(at(500_000_001)),
            Freshness::Stale
        );
        assert_eq!(
            policy
                .limits(&value, Some(SECOND * 9))
                .freshness(at(1_000_000_001)),
            Freshness::Stale
        );
        assert_eq!(
            policy.limits(&value, Some(Duration::ZERO)).freshness(at(0)),
            Freshness::Stale
        );
    }
}
