//! What happened in each second of a run.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

    pub(crate) fn sum(seconds: &[Self]) -> Self {
        let mut sum = Self::default();
        for second in seconds {
            sum.requests += second.requests;
            sum.refused += second.refused;
            sum.fresh += second.fresh;
            sum.old += second.old;
            sum.errors += second.errors;
            sum.slow += second.slow;
        }
        sum
    }
}

/// The seconds of a run, by the runtime's time.
pub(crate) struct Record {
    start: Instant,
    seconds: Mutex<Vec<Second>>,
}

impl Record {
    /// Of a run that begins now.
    pub(crate) fn new(span: Duration) -> Self {
        Self {
            start: Instant::now(),
            seconds: Mutex::new(vec![Second::default(); span.as_secs() as usize]),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Something happens now.
    pub(crate) fn now(&self, note: impl FnOnce(&mut Second)) {
        self.at(Instant::now(), note);
    }

    /// Something happened then. What comes after the end of the run is not counted.
    pub(crate) fn at(&self, then: Instant, note: impl FnOnce(&mut Second)) {
        let index = then.duration_since(self.start).as_secs() as usize;
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(second) = seconds.get_mut(index) {
            note(second);
        }
    }

    pub(crate) fn seconds(&self) -> Vec<Second> {
        let seconds = self.seconds.lock();
        seconds.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The seconds of this span of time.
pub(crate) fn within(seconds: &[Second], span: Range<Duration>) -> &[Second] {
    &seconds[span.start.as_secs() as usize..span.end.as_secs() as usize]
}
