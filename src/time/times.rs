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

    /// The same value at `now` with another age, and with every instant of its end where it was.
    ///
    /// A value that is past its time to live is older than that time at least.
    pub(crate) fn with_age(&self, now: Tick, age: Duration) -> Self {
        let age_now = self.age(now);
        if self.ttl >= Duration::from_nanos(u64::MAX) {
            return Self::new(now, age, self.ttl); // It never ends.
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
        Self::new(now, age, ttl)
    }

    /// How long it is still fresh at `now`.
    pub(crate) fn left(&self, now: Tick) -> Duration {
        match self.expired {
            Some(_) => Duration::ZERO,
            None if self.ttl >= Duration::from_nanos(u64::MAX) => Duration::MAX,
            None => self.ttl.saturating_sub(self.age(now)),
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
