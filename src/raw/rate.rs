//! How many creations of a map may begin in a span, counted for all of its piles.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::error::{Failure, OverRate};
use crate::policy::Bucket;
use crate::shim::{Arc, Mutex};
use crate::time::Tick;

/// The rate of creations that many piles share. Its lock is taken under that of a pile.
pub(crate) struct Rate {
    state: Mutex<State>,
    /// What is said of a creation that may not begin.
    refusal: Failure,
}

struct State {
    bucket: Bucket,
    refused: u64,
}

impl Rate {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self {
            state: Mutex::new(State { bucket, refused: 0 }),
            refusal: Failure::new(Arc::new(OverRate)),
        }
    }

    /// A creation is to begin. `Err`: none may for so long. One that `presses` begins in any case.
    pub(super) fn take(&self, now: Tick, presses: bool) -> Result<(), Duration> {
        let mut state = self.state.lock();
        if presses {
            state.bucket.take_any(now);
            return Ok(());
        }
        let taken = state.bucket.take(now);
        state.refused += u64::from(taken.is_err());
        taken
    }

    /// How long none may begin, where one would have.
    pub(super) fn retry_in(&self, now: Tick) -> Option<Duration> {
        let mut state = self.state.lock();
        let retry_in = state.bucket.retry_in(now);
        state.refused += u64::from(retry_in.is_some());
        retry_in
    }

    /// A creation has not begun after all.
    pub(crate) fn put_back(&self) {
        self.state.lock().bucket.put_back();
    }

    pub(super) fn refusal(&self) -> Failure {
        self.refusal.clone()
    }

    /// How often none could begin.
    pub(crate) fn refused(&self) -> u64 {
        self.state.lock().refused
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.lock().bucket.fmt(f)
    }
}

// Nothing under its lock can panic.
impl UnwindSafe for Rate {}
impl RefUnwindSafe for Rate {}
