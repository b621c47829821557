//! The settings of a pile of the fleet.

use std::time::Duration;

/// What a process does whose store does not answer. A value that is fresh by its own account is served
/// whatever is chosen here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnStoreError {
    /// It goes on with the stale value if there is a usable one, else it creates without the store.
    #[default]
    ServeStale,
    /// It creates without the store: one creator for each process.
    CreateLocally,
    /// The error is the answer.
    Fail,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// How long a value is fresh, for the whole fleet.
    pub(crate) ttl: Duration,
    /// How long a stale value is served; `None` is without limit.
    pub(crate) stale: Option<Duration>,
    /// How long a value stands in for a failure.
    pub(crate) stale_if_error: Option<Duration>,
    /// How long a process goes on with its copy without asking.
    pub(crate) local: Duration,
    /// How long a lease lasts unless it is renewed.
    pub(crate) lease: Duration,
    /// Up to when it is renewed.
    pub(crate) max_create: Duration,
    /// How far apart creations begin.
    pub(crate) interval: Duration,
    /// For how long nobody creates after the first failure, and at most.
    pub(crate) backoff: (Duration, Duration),
    /// How much sooner than at its end a value is renewed, as a multiple of what its creation took.
    pub(crate) ahead: f64,
    pub(crate) on_store_error: OnStoreError,
}

/// How long a process leaves a store alone that failed once, and at most.
pub(crate) const BREAKER: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(6));

/// How long a process goes on with a stale value that others are renewing before it asks again: at
/// first, and at most.
const HOLD: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// How long a process sleeps before it asks again whether others are done: at first, and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// `first`, doubled so many times, and at most `last`.
pub(crate) fn doubled((first, last): (Duration, Duration), times: u32) -> Duration {
    first
        .saturating_mul(1u32.checked_shl(times.min(31)).unwrap_or(u32::MAX))
        .min(last)
}

/// How long to sleep before the next look, the `naps`th, with a number from 0 to 1 that was drawn.
pub(crate) fn poll(naps: u32, drawn: f64) -> Duration {
    doubled(POLL, naps).mul_f64(0.5 + drawn / 2.0)
}

impl Policy {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            stale: None,
            stale_if_error: None,
            local: ttl / 10,
            lease: Duration::from_secs(10),
            max_create: Duration::from_secs(60),
            interval: Duration::ZERO,
            backoff: (Duration::from_millis(200), Duration::from_secs(30)),
            ahead: 0.0,
            on_store_error: OnStoreError::default(),
        }
    }

    /// How long the store keeps a value that is fresh for so long.
    pub(crate) fn keep_for(&self, fresh_for: Duration) -> Duration {
        match (self.stale, self.stale_if_error) {
            (None, _) => Duration::MAX,
            (Some(stale), error) => fresh_for
                .saturating_add(stale.max(error.unwrap_or_default()))
                // Those who read judge by the limits. At the very end it has to be there still.
                .saturating_add(Duration::from_millis(1)),
        }
    }

    /// For how long nobody creates after so many failures in a row and one more.
    pub(crate) fn quiet(&self, failures: u32) -> Duration {
        doubled(self.backoff, failures)
    }

    /// The hold of a stale value, the `times`th in a row.
    pub(crate) fn hold(&self, times: u32) -> Duration {
        doubled(HOLD, times).min(self.local)
    }
}
