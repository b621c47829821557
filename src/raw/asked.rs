//! How often something was asked for.

use crate::shim::Hint;
use crate::shim::atomic::Ordering;

/// Counts up to a few, by whoever asks, without a lock. Some that ask at the same time may count as one.
// LOOM: not seen by it: it decides nothing but what is evicted first.
pub(crate) struct Asked(Hint);

impl Asked {
    /// So often it is counted at most. With one only, what is asked for all the time counts for no more than
    /// what was asked for once.
    pub(crate) const MOST: usize = 3;

    pub(crate) fn new() -> Self {
        Self(Hint::new(0))
    }

    /// Somebody asks. What is asked for all the time is only looked at.
    #[inline]
    pub(crate) fn add(&self) {
        // ORDERING: relaxed: a word on its own.
        let times = self.0.load(Ordering::Relaxed);
        if times < Self::MOST as u64 {
            // ORDERING: relaxed: as above.
            self.0.store(times + 1, Ordering::Relaxed);
        }
    }

    /// Counts one less. Says whether it was none.
    pub(crate) fn spare(&self) -> bool {
        // ORDERING: relaxed: a word on its own.
        let times = self.0.load(Ordering::Relaxed);
        // ORDERING: relaxed: as above.
        self.0.store(times.saturating_sub(1), Ordering::Relaxed);
        times == 0
    }

    /// Forgets how often. Says whether it was not at all.
    pub(crate) fn forget(&self) -> bool {
        // ORDERING: relaxed: a word on its own.
        let times = self.0.load(Ordering::Relaxed);
        // ORDERING: relaxed: as above.
        self.0.store(0, Ordering::Relaxed);
        times == 0
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::Asked;

    #[test]
    fn it_counts_up_to_three() {
        let asked = Asked::new();
        for times in 0..6 {
            (0..times).for_each(|_| asked.add());
            for _ in 0..times.min(Asked::MOST) {
                assert!(!asked.spare());
            }
            assert!(asked.spare());
        }
    }

    #[test]
    fn it_forgets() {
        let asked = Asked::new();
        assert!(asked.forget());
        (0..2).for_each(|_| asked.add());
        assert!(!asked.forget());
        assert!(asked.forget() && asked.spare());
    }
}
