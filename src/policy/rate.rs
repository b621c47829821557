//! How many creations of a map may begin in a span: a bucket of them, which fills up again evenly.
//!
//! It is the "generic cell rate algorithm" of ITU-T I.371: one instant is all that is remembered.

use std::time::Duration;

use crate::time::Tick;

/// A bucket of creations.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// How long it takes until one more is in it.
    each: Duration,
    /// How long one takes to be full in which a single one is left.
    most: Duration,
    /// When it will be full, or was, since the clock's origin. Kept as a span: it may lie beyond the
    /// clock's range.
    full_at: Duration,
}

impl Bucket {
    /// A full bucket of so many, which fills up in `span`. Neither may be zero.
    pub(crate) fn new(creations: u32, span: Duration) -> Self {
        const SECOND: u128 = Duration::from_secs(1).as_nanos();
        // Rounded up: in a span there are never more than was said.
        let each = span.as_nanos().div_ceil(u128::from(creations.max(1)));
        let seconds = u64::try_from(each / SECOND).unwrap_or(u64::MAX);
        let each = Duration::new(seconds, (each % SECOND) as u32);
        Self {
            each,
            most: each.saturating_mul(creations.saturating_sub(1)),
            full_at: Duration::ZERO,
        }
    }

    /// How long it takes until it is full. A clock that stepped back finds it empty.
    ///
    /// A small step is none: whoever asked the clock before another may come here after it. For that one,
    /// an empty bucket lacks a little more than all.
    fn lacks(&mut self, now: Duration) -> Duration {
        let lacks = self.full_at.saturating_sub(now);
        if lacks > self.empty().saturating_mul(2) {
            self.full_at = now.saturating_add(self.empty());
            return self.empty();
        }
        lacks
    }

    /// How long an empty one takes to be full.
    fn empty(&self) -> Duration {
        self.most.saturating_add(self.each)
    }

    /// How long there is none in it.
    pub(crate) fn retry_in(&mut self, now: Tick) -> Option<Duration> {
        let lacks = self.lacks(since_origin(now));
        lacks.checked_sub(self.most).filter(|wait| !wait.is_zero())
    }

    /// Takes one out. `Err`: there is none for so long.
    pub(crate) fn take(&mut self, now: Tick) -> Result<(), Duration> {
        match self.retry_in(now) {
            Some(retry_in) => Err(retry_in),
            None => {
                self.take_any(now);
                Ok(())
            }
        }
    }

    /// Takes one out, or else empties it.
    pub(crate) fn take_any(&mut self, now: Tick) {
        let now = since_origin(now);
        let lacks = self.lacks(now).saturating_add(self.each).min(self.empty());
        self.full_at = now.saturating_add(lacks);
    }

    /// Puts one back.
    pub(crate) fn put_back(&mut self) {
        self.full_at = self.full_at.saturating_sub(self.each);
    }
}

fn since_origin(now: Tick) -> Duration {
    now.saturating_since(Tick::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Tick {
        Tick::ZERO.saturating_add(SECOND * seconds as u32)
    }

    #[test]
    fn it_fills_up_evenly() {
        let mut bucket = Bucket::new(3, 30 * SECOND);
        for _ in 0..3 {
            assert_eq!(bucket.take(at(100)), Ok(()));
        }
        assert_eq!(bucket.take(at(100)), Err(10 * SECOND));
        assert_eq!(bucket.take(at(109)), Err(SECOND));
        assert_eq!(bucket.take(at(110)), Ok(()));
        assert_eq!(bucket.take(at(110)), Err(10 * SECOND));
        // It is never more than full.
        for _ in 0..3 {
            assert_eq!(bucket.take(at(10_000)), Ok(()));
        }
        assert_eq!(bucket.take(at(10_000)), Err(10 * SECOND));
    }

    #[test]
    fn what_is_put_back_can_be_taken() {
        let mut bucket = Bucket::new(1, SECOND);
        assert_eq!(bucket.take(at(5)), Ok(()));
        bucket.put_back();
        assert_eq!(bucket.take(at(5)), Ok(()));
        assert_eq!(bucket.take(at(5)), Err(SECOND));
        // Also late; then it is full all the same, and no more than that.
        bucket.put_back();
        bucket.put_back();
        assert_eq!(bucket.take(at(9)), Ok(()));
        assert_eq!(bucket.take(at(9)), Err(SECOND));
    }

    /// Whoever takes from an empty bucket makes nobody wait for longer.
    #[test]
    fn an_empty_one_is_no_emptier() {
        let mut bucket = Bucket::new(2, 2 * SECOND);
        for _ in 0..100 {
            bucket.take_any(at(7));
        }
        assert_eq!(bucket.retry_in(at(7)), Some(SECOND));
        assert_eq!(bucket.take(at(8)), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_empties_it() {
        let mut bucket = Bucket::new(1, SECOND);
        assert_eq!(bucket.take(at(1_000)), Ok(()));
        assert_eq!(bucket.take(at(10)), Err(SECOND));
        assert_eq!(bucket.take(at(11)), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_by_no_more_than_all_is_late() {
        let mut bucket = Bucket::new(1, SECOND);
        assert_eq!(bucket.take(at(5)), Ok(()));
        assert_eq!(bucket.retry_in(at(4)), Some(2 * SECOND));
        assert_eq!(bucket.retry_in(at(3)), Some(SECOND));
    }

    /// Of two who ask the clock one after the other, the second may be the first to take.
    #[test]
    fn whoever_comes_late_finds_it_as_empty() {
        let mut bucket = Bucket::new(1, SECOND);
        let then = Tick::from_nanos(5_000_000_000 - 1);
        assert_eq!(bucket.take(at(5)), Ok(()));
        assert_eq!(bucket.take(then), Err(SECOND + Duration::from_nanos(1)));
        assert_eq!(bucket.take(at(6)), Ok(()));
    }

    #[test]
    fn of_the_shortest_and_the_longest_spans() {
        let nano = Duration::from_nanos(1);
        let mut short = Bucket::new(u32::MAX, nano);
        for _ in 0..1_000 {
            assert_eq!(short.take(Tick::ZERO), Ok(()));
        }
        for at in [Tick::ZERO, at(1_000_000), Tick::from_nanos(u64::MAX - 1)] {
            let mut long = Bucket::new(3, Duration::MAX);
            for _ in 0..3 {
                assert_eq!(long.take(at), Ok(()));
            }
            assert!(long.take(at).unwrap_err() > Duration::MAX / 4);
        }
    }
}
