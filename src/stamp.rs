//! What time needs to know of a value: when it was made, how long it lives, and when it was
//! expired.

use std::time::Duration;

use crate::clock::Tick;

/// The times of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When its creation completed.
    pub(crate) created: Tick,
    /// How long it is fresh from then on.
    pub(crate) ttl: Duration,
    /// When it was expired by hand.
    pub(crate) expired: Option<Tick>,
}

impl Stamp {
    pub(crate) fn new(created: Tick, ttl: Duration) -> Self {
        Self {
            created,
            ttl,
            expired: None,
        }
    }

    pub(crate) fn age(&self, now: Tick) -> Duration {
        now.saturating_since(self.created)
    }

    /// The first instant at which the value is older than `limit`; one of zero is exceeded from the
    /// start.
    pub(crate) fn older_from(&self, limit: Duration) -> Tick {
        if limit.is_zero() {
            return self.created;
        }
        self.created
            .saturating_add(limit)
            .saturating_add(Duration::from_nanos(1))
    }

    /// The first instant at which the value is stale.
    pub(crate) fn stale_from(&self) -> Tick {
        let aged = self.older_from(self.ttl);
        self.expired.map_or(aged, |expired| expired.min(aged))
    }
}
