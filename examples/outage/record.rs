//! What happened in each second of a run.

use std::ops::AddAssign;
use std::time::Duration;

use shared::seconds::Seconds;
use tokio::time::Instant;

/// What happened in one second, or in several.
#[derive(Clone, Copy, Default)]
pub(crate) struct Second {
    /// Requests that came to the source, and those of them that it refused since it had too many.
    pub(crate) requests: u32,
    pub(crate) refused: u32,
    /// Answers to callers: a value that is fresh, an old one, an error.
    pub(crate) fresh: u32,
    pub(crate) old: u32,
    pub(crate) errors: u32,
    /// Of all these answers, those that took longer than a fetch takes.
    pub(crate) slow: u32,
}

impl Second {
    pub(crate) fn answers(&self) -> u32 {
        self.fresh + self.old + self.errors
    }
}

impl AddAssign for Second {
    fn add_assign(&mut self, second: Self) {
        self.requests += second.requests;
        self.refused += second.refused;
        self.fresh += second.fresh;
        self.old += second.old;
        self.errors += second.errors;
        self.slow += second.slow;
    }
}

/// The seconds of a run, by the runtime's time.
pub(crate) struct Record {
    start: Instant,
    seconds: Seconds<Second>,
}

impl Record {
    /// Of a run that begins now.
    pub(crate) fn new(span: Duration) -> Self {
        Self {
            start: Instant::now(),
            seconds: Seconds::new(span),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Something happens now.
    pub(crate) fn now(&self, note: impl FnOnce(&mut Second)) {
        self.at(Instant::now(), note);
    }

    /// Something happened then.
    pub(crate) fn at(&self, then: Instant, note: impl FnOnce(&mut Second)) {
        self.seconds.at(then.duration_since(self.start), note);
    }

    pub(crate) fn seconds(&self) -> Vec<Second> {
        self.seconds.all()
    }
}
