//! When a value is due, before it is stale: [`RefreshAhead`].

use std::time::Duration;

use crate::policy::draw::{Draw, percent_of};

/// How long before its end a value is renewed; see
/// [`Builder::refresh_ahead`](crate::Builder::refresh_ahead).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Dogpile, RefreshAhead};
///
/// // From 48 minutes on, or up to six minutes earlier, one caller renews the value.
/// static TOKEN: Dogpile<String> = Dogpile::builder(Duration::from_secs(3600))
///     .refresh_ahead(RefreshAhead::percent(80).jitter(10))
///     .build();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshAhead {
    point: Point,
    jitter: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Point {
    Elapsed(u8),
    Left(Duration),
}

impl RefreshAhead {
    /// From when so many percent of the time to live have passed.
    ///
    /// # Panics
    ///
    /// If it is 0, which renews at each call, or 100 or above, which never does. In a `const` or a
    /// `static`, that is an error of the compiler.
    #[must_use]
    pub const fn percent(elapsed: u8) -> Self {
        assert!(
            elapsed > 0 && elapsed < 100,
            "a refresh ahead is at 1 to 99 percent of the time to live: 0 would renew at each call, \
             and 100 is the end of the time to live itself"
        );
        Self {
            point: Point::Elapsed(elapsed),
            jitter: 0,
        }
    }

    /// From when only so much of the time to live is left, but never before half of it.
    ///
    /// # Panics
    ///
    /// If it is zero, which is the end of the time to live itself. In a `const` or a `static`, that is
    /// an error of the compiler.
    #[must_use]
    pub const fn left(left: Duration) -> Self {
        assert!(
            !left.is_zero(),
            "a refresh ahead with nothing left is the end of the time to live itself: leave it out"
        );
        Self {
            point: Point::Left(left),
            jitter: 0,
        }
    }

    /// Moves the point of each value to a random earlier one, by up to so many percent of the time to
    /// live, so that piles which were filled together are not renewed together.
    ///
    /// # Panics
    ///
    /// If it is 100 or above. In a `const` or a `static`, that is an error of the compiler.
    #[must_use]
    pub const fn jitter(mut self, percent: u8) -> Self {
        assert!(
            percent < 100,
            "the jitter of a refresh ahead is below 100 percent of the time to live"
        );
        self.jitter = percent;
        self
    }

    /// From which age on a value with this time to live is due.
    pub(crate) fn due(self, ttl: Duration, draw: Draw) -> Option<Duration> {
        if ttl >= Duration::from_nanos(u64::MAX) {
            return None; // It never ends.
        }
        let (point, earliest) = match self.point {
            Point::Elapsed(percent) => (percent_of(percent, ttl), Duration::from_nanos(1)),
            Point::Left(left) => (ttl.saturating_sub(left), ttl / 2),
        };
        let sooner = draw.part_of(percent_of(self.jitter, ttl));
        Some(point.saturating_sub(sooner).max(earliest))
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use crate::policy::Purpose;

    #[test]
    fn what_never_ends_is_never_due() {
        let draw = Draw::new(1, 1, Purpose::RefreshAhead);
        let due = |nanos| RefreshAhead::percent(50).due(Duration::from_nanos(nanos), draw);
        assert_eq!(due(u64::MAX), None);
        assert_eq!(due(u64::MAX - 1), Some(Duration::from_nanos(u64::MAX / 2)));
    }
}
