//! The time of a tokio runtime, which a test can pause and move.

use std::time::Duration;

use tokio::time::Instant;

use crate::shim::OnceLock;
use crate::time::clock::{Tick, nanos};

/// The time of the runtime that this thread is in the context of; without one, the system's.
pub(crate) fn now() -> Tick {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = ORIGIN.get_or_init(|| {
        // By the system's time, from which each runtime sets out. A paused one may have done so before.
        let now = std::time::Instant::now();
        Instant::from_std(now.checked_sub(DAY).unwrap_or(now))
    });
    Tick::from_nanos(nanos(Instant::now().saturating_duration_since(*origin)))
}

const DAY: Duration = Duration::from_secs(86_400);
