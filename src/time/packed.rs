//! The times of a value in few bytes: [`PackedTimes`].

use std::time::Duration;

use crate::time::clock::nanos;
use crate::time::times::older_from;
use crate::time::{Limits, Tick, Times};

/// [`Times`] as each value keeps them, but for when it was expired. Nothing is rounded: where the spans
/// do not fit into few bytes, they stand in a box.
pub(crate) struct PackedTimes {
    pub(crate) created: Tick,
    /// The first instant at which the value is stale, unless it was expired.
    pub(crate) stale_from: Tick,
    spans: Spans,
}

enum Spans {
    Coded(Coded),
    Boxed(Box<Plain>),
}

/// The spans of nearly all values.
struct Coded {
    /// How old it was, or from which age on it is due: hardly a value has both.
    age_or_due: u64,
    has_age: bool,
    /// `UNTIL_STALE`, unless it is stale sooner than that.
    ttl: Code,
    stale_while_revalidate: Code,
    stale_if_error: Code,
}

/// Every span as nanoseconds. What is beyond the range of the clock never ends, so it is all one.
#[derive(Clone, Copy, PartialEq)]
struct Plain {
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
        let (created, stale_from) = (times.created, times.stale_by_age());
        let plain = Plain::of(times);
        let coded = Coded::of(&plain)
            .filter(|coded| coded.plain(created, stale_from) == plain)
            .map(Spans::Coded);
        Self {
            created,
            stale_from,
            spans: coded.unwrap_or_else(|| Spans::Boxed(Box::new(plain))),
        }
    }

    /// As [`Times::older_from`].
    #[inline]
    pub(crate) fn older_from(&self, limit: Duration) -> Tick {
        let limit = nanos(limit);
        let age_then = match &self.spans {
            // Most values. What follows is then short, so that a hit is no slower for asking.
            Spans::Coded(Coded { has_age: false, .. }) => {
                return older_from(self.created, 0, limit);
            }
            Spans::Coded(coded) => coded.age_or_due,
            Spans::Boxed(plain) => plain.age_then,
        };
        seldom();
        older_from(self.created, age_then, limit)
    }

    /// As [`Times::usable_until`] for the value's own time to live.
    pub(crate) fn usable_until(&self) -> Tick {
        self.plain().usable_until(self.created)
    }

    /// The first instant at which the value is neither served nor stands in for a failure, to a call
    /// that asks for nothing.
    pub(crate) fn gone_from(&self) -> Tick {
        self.plain().gone_from(self.created)
    }

    pub(crate) fn times(&self, expired: Option<Tick>) -> Times {
        self.plain().times(self.created, expired)
    }

    fn plain(&self) -> Plain {
        match &self.spans {
            Spans::Coded(coded) => coded.plain(self.created, self.stale_from),
            Spans::Boxed(plain) => **plain,
        }
    }
}

impl Coded {
    /// These spans, or others where they do not fit, which [`plain`](Coded::plain) shows. `None` if one has
    /// no code.
    fn of(spans: &Plain) -> Option<Self> {
        let has_age = spans.age_then > 0;
        Some(Self {
            age_or_due: if has_age { spans.age_then } else { spans.due },
            has_age,
            ttl: match spans.sooner {
                0 => Code::UNTIL_STALE,
                _ => Code::of(spans.ttl)?,
            },
            stale_while_revalidate: Code::of(spans.stale_while_revalidate)?,
            stale_if_error: Code::of(spans.stale_if_error)?,
        })
    }

    /// The spans of a value that was created then, and is stale from then on.
    fn plain(&self, created: Tick, stale_from: Tick) -> Plain {
        let (age_then, due) = match self.has_age {
            true => (self.age_or_due, MOST),
            false => (0, self.age_or_due),
        };
        // Up to which age it is fresh: `older_from` the other way.
        let fresh_for = match stale_from {
            Tick::ZERO => 0,
            Tick::MAX => MOST,
            first => {
                let last = first.as_nanos() - 1;
                (last.saturating_sub(created.as_nanos())).saturating_add(age_then)
            }
        };
        let ttl = match self.ttl {
            Code::UNTIL_STALE => fresh_for,
            coded => coded.nanos(),
        };
        Plain {
            age_then,
            ttl,
            sooner: ttl.saturating_sub(fresh_for),
            due,
            stale_while_revalidate: self.stale_while_revalidate.nanos(),
            stale_if_error: self.stale_if_error.nanos(),
        }
    }
}

/// A span in two bytes: a unit in the lower three bits, and how many of them in the others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Code(u16);

/// A nanosecond, a microsecond, a millisecond, a second, a minute, an hour, a day. What is left of
/// three bits counts the nanoseconds down from [`MOST`].
const UNITS: [u64; 7] = [
    1,
    1_000,
    1_000_000,
    1_000_000_000,
    60_000_000_000,
    3_600_000_000_000,
    86_400_000_000_000,
];
const DOWN: u16 = 7;
/// The most that there may be of a unit.
const MOST_OF_ONE: u64 = (1 << 13) - 2;

impl Code {
    /// No span of its own.
    const UNTIL_STALE: Self = Self(u16::MAX);

    /// `None` if there is none for exactly this span.
    fn of(nanos: u64) -> Option<Self> {
        let code = |count: u64, unit: u16| {
            let count = u16::try_from(count).ok().filter(|_| count <= MOST_OF_ONE)?;
            Some(Self((count << 3) | unit))
        };
        let whole = |(unit, length): (u16, u64)| {
            (nanos % length == 0).then_some(())?;
            code(nanos / length, unit)
        };
        code(MOST - nanos, DOWN).or_else(|| (0..).zip(UNITS).find_map(whole))
    }

    fn nanos(self) -> u64 {
        let count = u64::from(self.0 >> 3);
        match UNITS.get(usize::from(self.0 & DOWN)) {
            Some(unit) => unit * count,
            None => MOST - count,
        }
    }
}

impl Plain {
    fn of(times: &Times) -> Self {
        let Limits {
            stale_while_revalidate,
            stale_if_error,
        } = times.limits;
        Self {
            age_then: nanos(times.age_then),
            ttl: nanos(times.ttl),
            sooner: nanos(times.sooner),
            due: times.due.map_or(MOST, nanos),
            stale_while_revalidate: stale_while_revalidate.map_or(MOST, nanos),
            stale_if_error: stale_if_error.map_or(MOST, |limit| nanos(limit).min(ALWAYS)),
        }
    }

    fn usable_until(&self, created: Tick) -> Tick {
        match self.stale_while_revalidate {
            MOST => Tick::MAX,
            limit => older_from(created, self.age_then, self.ttl.saturating_add(limit)),
        }
    }

    fn gone_from(&self, created: Tick) -> Tick {
        let stands_in_until = match self.stale_if_error {
            MOST => Tick::ZERO,
            ALWAYS => Tick::MAX,
            limit => older_from(created, self.age_then, self.ttl.saturating_add(limit)),
        };
        self.usable_until(created).max(stands_in_until)
    }

    fn times(&self, created: Tick, expired: Option<Tick>) -> Times {
        let limited = |nanos| (nanos != MOST).then(|| Duration::from_nanos(nanos));
        let stands_in = |nanos| match nanos {
            ALWAYS => Some(Duration::MAX),
            nanos => limited(nanos),
        };
        Times {
            created,
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

/// Tells the compiler that hardly ever anybody comes here.
#[inline]
#[cold]
fn seldom() {}

fn unpacked(nanos: u64) -> Duration {
    match nanos {
        MOST => Duration::MAX,
        nanos => Duration::from_nanos(nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, MOST, MOST_OF_ONE, PackedTimes, Spans, UNITS};
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

    fn has_a_box(times: &Times) -> bool {
        matches!(PackedTimes::new(times).spans, Spans::Boxed(_))
    }

    #[test]
    fn a_code_says_exactly_its_span() {
        for unit in UNITS {
            for nanos in [0, unit, MOST_OF_ONE * unit] {
                assert_eq!(Code::of(nanos).map(Code::nanos), Some(nanos));
            }
            // A prime number of units, and so a whole number of no others.
            assert!(Code::of((MOST_OF_ONE + 1) * unit).is_none());
        }
        for longest in UNITS.map(|unit| MOST_OF_ONE * unit) {
            assert!(Code::of(longest + 1).is_none());
        }
        for down in [0, 1, 2, MOST_OF_ONE] {
            assert_eq!(Code::of(MOST - down).map(Code::nanos), Some(MOST - down));
        }
        assert!(Code::of(MOST - MOST_OF_ONE - 1).is_none());
    }

    /// Whatever they are, and where the clock's range ends.
    #[test]
    fn nothing_is_rounded() {
        let longest = Duration::from_secs(MOST_OF_ONE);
        let spans = [
            Duration::ZERO,
            NANO,
            longest,
            longest + NANO,
            longest + Duration::from_secs(1),
            RANGE - 2 * NANO,
        ];
        let spans_and_end = || spans.into_iter().chain([Duration::MAX]);
        let limits = || spans.into_iter().map(Some).chain([None]);
        let all = [0, 7, u64::MAX - 1, u64::MAX]
            .into_iter()
            .map(Tick::from_nanos)
            .flat_map(|created| spans.map(|age_then| (created, age_then)))
            .flat_map(|(created, age)| {
                spans_and_end().map(move |ttl| Times::new(created, age, ttl))
            })
            .flat_map(|times| spans.map(|sooner| Times { sooner, ..times }))
            .flat_map(|times| limits().map(move |due| Times { due, ..times }));
        for before in all {
            assert_eq!(through(before), before);
            let packed = PackedTimes::new(&before);
            assert_eq!(packed.stale_from, before.stale_from());
            for limit in [Duration::ZERO, NANO, longest, Duration::MAX] {
                assert_eq!(packed.older_from(limit), before.older_from(limit));
            }
        }
        for stale_while_revalidate in limits() {
            for stale_if_error in limits().chain([Some(Duration::MAX)]) {
                let limits = Limits {
                    stale_while_revalidate,
                    stale_if_error,
                };
                let before = Times {
                    limits,
                    ..times(NANO, None)
                };
                assert_eq!(through(before), before);
            }
        }
    }

    /// Any time to live, and any age, refresh ahead, or jitter.
    #[test]
    fn what_is_usual_needs_no_box() {
        let odd = Duration::from_nanos(12_345_678_901_234_567);
        let hour = Duration::from_secs(3600);
        let plain = |ttl| Times::new(Tick::from_nanos(7), Duration::ZERO, ttl);
        for ttl in [Duration::ZERO, NANO, hour, odd, Duration::MAX] {
            let aged = Times {
                age_then: ttl.min(odd) / 2,
                ..plain(ttl)
            };
            let due = Times {
                due: Some(ttl.min(odd) / 3),
                ..plain(ttl)
            };
            let expired = Times {
                expired: Some(Tick::from_nanos(9)),
                ..plain(ttl)
            };
            for times in [plain(ttl), aged, due, expired] {
                assert!(!has_a_box(&times), "{times:?}");
            }
        }
        let usual = Times {
            sooner: odd / 7_000,
            due: Some(odd / 6_000),
            limits: Limits {
                stale_while_revalidate: Some(24 * 30 * hour),
                stale_if_error: Some(Duration::MAX),
            },
            ..plain(hour)
        };
        assert!(!has_a_box(&usual));
        assert_eq!(through(usual), usual);
    }

    #[test]
    fn what_is_not_stands_in_a_box() {
        let hour = Duration::from_secs(3600);
        let new = |ttl| Times::new(Tick::from_nanos(7), Duration::ZERO, ttl);
        let aged_and_due = Times {
            age_then: NANO,
            due: Some(NANO),
            ..new(hour)
        };
        let odd_and_sooner = Times {
            sooner: NANO,
            ..new(hour + NANO)
        };
        let sooner_than_it_began = Times {
            sooner: hour + NANO,
            ..new(hour)
        };
        let odd_limit = Times {
            limits: Limits {
                stale_while_revalidate: Some(hour + NANO),
                ..Limits::NONE
            },
            ..new(hour)
        };
        let beyond_the_range = Times {
            created: Tick::MAX,
            ..new(hour)
        };
        for times in [
            aged_and_due,
            odd_and_sooner,
            sooner_than_it_began,
            odd_limit,
            beyond_the_range,
        ] {
            assert!(has_a_box(&times), "{times:?}");
            assert_eq!(through(times), times);
        }
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
        let for_ever = Limits {
            stale_if_error: Some(Duration::MAX),
            ..limits
        };
        let value = Times {
            limits: for_ever,
            age_then: Duration::from_secs(1),
            ..times(Duration::ZERO, None)
        };
        assert_eq!(PackedTimes::new(&value).gone_from(), Tick::MAX);
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
