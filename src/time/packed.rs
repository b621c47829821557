//! The times of a value in few bytes: [`PackedTimes`].

use std::time::Duration;

use crate::time::clock::nanos;
use crate::time::times::older_from;
use crate::time::{Limits, Tick, Times};

/// [`Times`] as each value keeps them, but for when it was expired: every span as nanoseconds. What is
/// beyond the range of the clock never ends, so it is all one.
#[derive(Clone, Copy)]
pub(crate) struct PackedTimes {
    pub(crate) created: Tick,
    age_then: u64,
    ttl: u64,
    sooner: u64,
    due: u64,
    stale_while_revalidate: u64,
    stale_if_error: u64,
}

/// Beyond the range of the clock. For what stands in for a failure: never.
const MOST: u64 = u64::MAX;
/// The longest that stands in for a failure.
const ALWAYS: u64 = MOST - 1;

impl PackedTimes {
    pub(crate) fn new(times: &Times) -> Self {
        let Limits {
            stale_while_revalidate,
            stale_if_error,
        } = times.limits;
        Self {
            created: times.created,
            age_then: nanos(times.age_then),
            ttl: nanos(times.ttl),
            sooner: nanos(times.sooner),
            due: times.due.map_or(MOST, nanos),
            stale_while_revalidate: stale_while_revalidate.map_or(MOST, nanos),
            stale_if_error: stale_if_error.map_or(MOST, |limit| nanos(limit).min(ALWAYS)),
        }
    }

    /// As [`Times::older_from`].
    #[inline]
    pub(crate) fn older_from(&self, limit: Duration) -> Tick {
        older_from(self.created, self.age_then, nanos(limit))
    }

    /// As [`Times::usable_until`] for the value's own time to live.
    pub(crate) fn usable_until(&self) -> Tick {
        match self.stale_while_revalidate {
            MOST => Tick::MAX,
            limit => older_from(self.created, self.age_then, self.ttl.saturating_add(limit)),
        }
    }

    /// The first instant at which the value is neither served nor stands in for a failure, to a call
    /// that asks for nothing.
    pub(crate) fn gone_from(&self) -> Tick {
        let stands_in_until = match self.stale_if_error {
            MOST => Tick::ZERO,
            ALWAYS => Tick::MAX,
            limit => older_from(self.created, self.age_then, self.ttl.saturating_add(limit)),
        };
        self.usable_until().max(stands_in_until)
    }

    pub(crate) fn times(&self, expired: Option<Tick>) -> Times {
        let limited = |nanos| (nanos != MOST).then(|| Duration::from_nanos(nanos));
        let stands_in = |nanos| match nanos {
            ALWAYS => Some(Duration::MAX),
            nanos => limited(nanos),
        };
        Times {
            created: self.created,
            age_then: unpacked(self.age_then),
            ttl: unpacked(self.ttl),
            sooner: unpacked(self.sooner),
            due: limited(self.due),
            limits: Limits {
                stale_while_revalidate: limited(self.stale_while_revalidate),
                stale_if_error: stands_in(self.stale_if_error),
            },
            expired,
        }
    }
}

fn unpacked(nanos: u64) -> Duration {
    match nanos {
        MOST => Duration::MAX,
        nanos => Duration::from_nanos(nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::PackedTimes;
    use crate::time::{Limits, Tick, Times};
    use std::time::Duration;

    const NANO: Duration = Duration::from_nanos(1);
    const RANGE: Duration = Duration::from_nanos(u64::MAX);

    fn times(span: Duration, limit: Option<Duration>) -> Times {
        Times {
            created: Tick::from_nanos(7),
            age_then: span,
            ttl: span,
            sooner: span,
            due: limit,
            limits: Limits {
                stale_while_revalidate: limit,
                stale_if_error: limit,
            },
            expired: Some(Tick::from_nanos(9)),
        }
    }

    fn through(times: Times) -> Times {
        PackedTimes::new(&times).times(times.expired)
    }

    #[test]
    fn they_are_what_they_were() {
        for span in [
            Duration::ZERO,
            NANO,
            Duration::from_secs(3600),
            RANGE - 2 * NANO,
        ] {
            for limit in [None, Some(Duration::ZERO), Some(span)] {
                let before = times(span, limit);
                assert_eq!(through(before), before);
                let packed = PackedTimes::new(&before);
                assert_eq!(packed.usable_until(), before.usable_until(before.ttl));
                assert_eq!(packed.gone_from(), gone_from(&before));
            }
        }
    }

    #[test]
    fn what_stands_in_for_a_failure_is_not_gone() {
        let limits = Limits {
            stale_while_revalidate: Some(Duration::ZERO),
            stale_if_error: Some(Duration::from_secs(9)),
        };
        let value = Times {
            limits,
            ..times(NANO, None)
        };
        assert_eq!(
            PackedTimes::new(&value).gone_from(),
            value.stands_in_until(NANO)
        );
    }

    fn gone_from(times: &Times) -> Tick {
        let usable_until = times.usable_until(times.ttl);
        usable_until.max(times.stands_in_until(times.ttl))
    }

    /// Each says the same of every instant, if not in the same words.
    #[test]
    fn beyond_the_range_of_the_clock_they_never_end() {
        for span in [RANGE - NANO, RANGE, RANGE + NANO, Duration::MAX] {
            let (before, after) = (times(NANO, Some(span)), through(times(NANO, Some(span))));
            let endless = Times::new(Tick::from_nanos(7), NANO, span);
            let packed = PackedTimes::new(&endless);
            assert_eq!(packed.usable_until(), endless.usable_until(span));
            let limited = times(NANO, Some(span));
            let packed = PackedTimes::new(&limited);
            assert_eq!(packed.gone_from(), gone_from(&limited));
            for ttl in [Duration::ZERO, NANO] {
                assert_eq!(after.usable_until(ttl), before.usable_until(ttl));
                assert_eq!(after.stands_in_until(ttl), before.stands_in_until(ttl));
                assert_eq!(after.stands_in_until(ttl), Tick::MAX);
            }
            assert_eq!(after.due_from(), before.due_from());
            if span >= RANGE {
                assert_eq!(through(times(span, None)).ttl, Duration::MAX);
            }
        }
    }
}
