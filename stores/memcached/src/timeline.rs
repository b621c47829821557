//! The time by which leases and values end: the server's, told by this process's clock in between.

use std::sync::{Arc, Mutex, PoisonError};

use dogpile::Clock;

/// The server tells whole seconds.
const SECOND: i128 = 1_000_000_000;

/// The time of one server, in nanoseconds since 1970.
pub(crate) struct Timeline {
    clock: Arc<dyn Clock>,
    /// Whether the server is asked again at each connect.
    follows: bool,
    /// By how much the server is ahead of the clock of this process.
    ahead: Mutex<Option<i128>>,
}

impl Timeline {
    pub(crate) fn new(clock: Arc<dyn Clock>, follows: bool) -> Self {
        Self {
            clock,
            follows,
            ahead: Mutex::new(None),
        }
    }

    /// Takes note of the server's time, in seconds.
    pub(crate) fn told(&self, seconds: u64) {
        // The middle of that second: nobody is off by more than half of one.
        let server = i128::from(seconds) * SECOND + SECOND / 2;
        let ahead = server - i128::from(self.clock.now().as_nanos());
        let mut known = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let off = known.map(|known| (known - ahead).abs());
        // Within a second it is the same time, told twice.
        if off.is_none_or(|off| self.follows && off > SECOND) {
            *known = Some(ahead);
        }
    }

    pub(crate) fn now(&self) -> u64 {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let now = i128::from(self.clock.now().as_nanos()) + ahead.unwrap_or(0);
        u64::try_from(now.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dogpile::ManualClock;

    use super::*;

    #[test]
    fn it_is_the_servers_time_and_follows_it() {
        let clock = Arc::new(ManualClock::new());
        let (follows, own) = (
            Timeline::new(clock.clone(), true),
            Timeline::new(clock.clone(), false),
        );
        let seconds = |line: &Timeline| line.now() as f64 / 1e9;
        for line in [&follows, &own] {
            line.told(1000);
            assert_eq!(seconds(line), 1000.5);
        }
        clock.advance(Duration::from_millis(900));
        for line in [&follows, &own] {
            // The same time: it does not go to and fro.
            line.told(1000);
            assert_eq!(seconds(line), 1001.4);
        }
        // This process was suspended for an hour, or the server's clock was set.
        for line in [&follows, &own] {
            line.told(4600);
        }
        assert_eq!((seconds(&follows), seconds(&own)), (4600.5, 1001.4));
    }
}
