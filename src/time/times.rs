//! What time needs to know of a value: when it was made, how long it lives, and when it was
//! expired.

use std::time::Duration;

use crate::time::Tick;

/// The times of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// When its creation completed, or when its age was told.
    pub(crate) created: Tick,
    /// How old it was then. Kept apart, since a value may be older than its clock.
    pub(crate) age_then: Duration,
    /// Up to which age it is fresh.
    pub(crate) ttl: Duration,
    /// When it was expired by hand.
    pub(crate) expired: Option<Tick>,
}

impl Times {
    pub(crate) fn new(created: Tick, age_then: Duration, ttl: Duration) -> Self {
        Self {
            created,
            age_then,
            ttl,
            expired: None,
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
        if limit >= Duration::from_nanos(u64::MAX) {
            return Tick::MAX; // Beyond the clock's range: it never ends.
        }
        match limit.checked_sub(self.age_then) {
            Some(rest) if !limit.is_zero() => self
                .created
                .saturating_add(rest)
                .saturating_add(Duration::from_nanos(1)),
            // Always: also before it was created, should the clock step back.
            _ => Tick::ZERO,
        }
    }

    /// The first instant at which the value is stale; the clock's origin if it was expired, so that a
    /// clock that steps back does not undo that.
    pub(crate) fn stale_from(&self) -> Tick {
        match self.expired {
            Some(_) => Tick::ZERO,
            None => self.older_from(self.ttl),
        }
    }
}
