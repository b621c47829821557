//! What to do about a value, given its times and what happened to the creations before: pure
//! decisions, no clock and no state.

mod accept;
mod backoff;
mod decide;
mod draw;
mod freshness;
mod pace;
mod rate;
mod refresh_ahead;

use std::time::Duration;

pub(crate) use self::accept::Marks;
pub use self::accept::{Accept, Seen};
pub use self::backoff::Backoff;
pub(crate) use self::decide::{Availability, Decision, Use, decide};
pub(crate) use self::draw::{Draw, Purpose};
pub use self::freshness::Freshness;
pub(crate) use self::freshness::{Asks, Horizon};
pub(crate) use self::pace::{End, Pace, Span};
pub(crate) use self::rate::Bucket;
pub use self::refresh_ahead::RefreshAhead;
use crate::time::{Limits, Tick, Times};

/// What a pile was told when it was built. No hit looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long a value is fresh.
    pub(crate) ttl: Duration,
    /// By how much sooner, at most: in percent.
    pub(crate) ttl_jitter: u8,
    pub(crate) refresh_ahead: Option<RefreshAhead>,
    pub(crate) limits: Limits,
    pub(crate) backoff: Option<Backoff>,
    /// The longest back-off that a creator may ask for.
    pub(crate) max_retry_after: Duration,
    /// How far apart creations begin, at least.
    pub(crate) min_interval: Option<Duration>,
    /// After how long a lease is taken over.
    pub(crate) max_create_time: Option<Duration>,
    /// What the draws follow from, if that was said.
    pub(crate) seed: Option<u64>,
    /// Whether `acquire` takes what it finds for just created, on a pile that never created.
    pub(crate) init: bool,
    /// Whether the pile keeps the values that `acquire` creates.
    pub(crate) keep: bool,
    /// Whether it was told to count.
    pub(crate) stats: bool,
    /// Whether somebody observes it.
    pub(crate) observed: bool,
}

impl Policy {
    pub(crate) const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            ttl_jitter: 0,
            refresh_ahead: None,
            limits: Limits::NONE,
            backoff: None,
            max_retry_after: Duration::from_secs(3600),
            min_interval: None,
            max_create_time: None,
            seed: None,
            init: false,
            keep: true,
            stats: false,
            observed: false,
        }
    }

    /// Whether anything is to be remembered of each creation.
    pub(crate) fn paces(&self) -> bool {
        self.min_interval.is_some() || self.max_create_time.is_some()
    }

    /// Whether anything is to be counted.
    pub(crate) fn counts(&self) -> bool {
        self.stats || self.observed || self.paces()
    }

    /// What is wrong with these settings together, if anything is.
    pub(crate) const fn fault(&self) -> Option<&'static str> {
        if let (Some(interval), Some(limit)) =
            (self.min_interval, self.limits.stale_while_revalidate)
        {
            if interval.as_nanos() > self.ttl.saturating_add(limit).as_nanos() {
                return Some(
                    "min_interval is longer than the time to live and stale_while_revalidate \
                     together, so callers would get BackingOff between a value's end and the next \
                     creation: shorten the interval, or allow stale values for longer",
                );
            }
        }
        None
    }

    /// The times of a value with this time to live and these limits of its own, `age` old at `now`,
    /// made under the lease with the number `fence`.
    pub(crate) fn times(
        &self,
        now: Tick,
        age: Duration,
        ttl: Duration,
        limits: Limits,
        draw: impl Fn(Purpose) -> Draw,
    ) -> Times {
        let sooner = match self.ttl_jitter {
            0 => Duration::ZERO,
            percent => draw(Purpose::Ttl).part_of(draw::percent_of(percent, ttl)),
        };
        let due = |ahead: RefreshAhead| ahead.due(ttl, draw(Purpose::RefreshAhead));
        Times {
            sooner,
            due: self.refresh_ahead.and_then(due),
            limits,
            ..Times::new(now, age, ttl)
        }
    }
}
