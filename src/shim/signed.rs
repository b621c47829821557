//! A figure for the whole process, and the sign by which one sees that it may have grown.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure that only grows, and is known to be the last one for as long as a sign stays what it was.
/// The standard atomics in all builds: no model of the crate depends on them.
pub(crate) struct Signed {
    sign: AtomicU64,
    figure: AtomicU64,
}

impl Signed {
    /// Unknown, whatever the sign, which is never `u64::MAX`.
    pub(crate) const fn unknown() -> Self {
        Self {
            sign: AtomicU64::new(u64::MAX),
            figure: AtomicU64::new(0),
        }
    }

    /// The figure, if the sign is still the one that was noted with it.
    #[inline]
    pub(crate) fn get(&self, sign: u64) -> Option<u64> {
        // ORDERING: pairs with the release in `note`: who sees the sign sees the figure noted with it,
        // or a later one.
        if self.sign.load(Ordering::Acquire) == sign {
            // ORDERING: relaxed: after the acquire above.
            Some(self.figure.load(Ordering::Relaxed))
        } else {
            None
        }
    }

    /// Notes a figure that was found after the sign had been seen, and says which one holds. Of those
    /// who note at the same time the greatest figure stays, whoever comes last: it is the newest.
    #[cold]
    pub(crate) fn note(&self, sign: u64, figure: u64) -> u64 {
        // ORDERING: relaxed: the store below publishes it.
        let before = self.figure.fetch_max(figure, Ordering::Relaxed);
        // ORDERING: pairs with the acquire in `get`.
        self.sign.store(sign, Ordering::Release);
        before.max(figure)
    }
}
