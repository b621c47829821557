//! A figure for the whole process that only grows.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure that is read all the time and hardly ever raised. The standard atomic in all builds: no
/// model depends on when a thread sees it raised.
pub(crate) struct Estimate(AtomicU64);

impl Estimate {
    pub(crate) const fn new(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: relaxed: a word on its own.
        self.0.load(Ordering::Relaxed)
    }

    #[cold]
    pub(crate) fn raise_to(&self, figure: u64) {
        // ORDERING: relaxed: a word on its own.
        self.0.fetch_max(figure, Ordering::Relaxed);
    }
}
