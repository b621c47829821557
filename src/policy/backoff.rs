//! How long a pile leaves a failing source alone: [`Backoff`].

use std::time::Duration;

use crate::policy::draw::{Draw, percent_of};

/// How long no creator runs after a failure; see [`Builder::backoff`](crate::Builder::backoff).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Backoff, Dogpile};
///
/// static KEYS: Dogpile<Vec<String>> = Dogpile::builder(Duration::from_secs(300))
///     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)))
///     .build();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    jitter: u8,
}

impl Backoff {
    /// The same span after each failure.
    ///
    /// # Panics
    ///
    /// If the span is zero. In a `const` or a `static`, that is an error of the compiler.
    #[must_use]
    pub const fn constant(span: Duration) -> Self {
        Self::exponential(span, span).jitter(0)
    }

    /// `first` after the first failure, twice as long after each further one, and never longer than
    /// `most`.
    ///
    /// The span has full jitter: each back-off lasts for a random part of it, so that many processes
    /// that fail together do not come back together. [`jitter`](Backoff::jitter) changes that.
    ///
    /// The source of the term and of the figures is Marc Brooker, "Exponential Backoff and Jitter",
    /// AWS Architecture Blog, 2015.
    ///
    /// # Panics
    ///
    /// If `first` is zero, or longer than `most`. In a `const` or a `static`, that is an error of the
    /// compiler.
    #[must_use]
    pub const fn exponential(first: Duration, most: Duration) -> Self {
        assert!(
            !first.is_zero(),
            "a back-off of zero never spares the source: leave the back-off out, or give it a span"
        );
        assert!(
            first.as_nanos() <= most.as_nanos(),
            "the first span of the back-off is longer than its longest one: exchange the two"
        );
        Self {
            first,
            most,
            jitter: 100,
        }
    }

    /// How much of each span is left to chance, in percent: 0 keeps the span, 100 draws any part of
    /// it.
    ///
    /// # Panics
    ///
    /// If it is above 100. In a `const` or a `static`, that is an error of the compiler.
    #[must_use]
    pub const fn jitter(mut self, percent: u8) -> Self {
        assert!(
            percent <= 100,
            "the jitter of a back-off is above 100 percent, and would make spans less than zero"
        );
        self.jitter = percent;
        self
    }

    /// The span after so many failures in a row.
    pub(crate) fn span(self, failures: u32, draw: Draw) -> Duration {
        let doubled = failures.saturating_sub(1).min(64);
        let span = (0..doubled).try_fold(self.first, |span, _| {
            let twice = span.saturating_mul(2);
            if twice < self.most {
                Ok(twice)
            } else {
                Err(self.most)
            }
        });
        let (Ok(span) | Err(span)) = span;
        let random = percent_of(self.jitter, span);
        span.saturating_sub(random)
            .saturating_add(draw.part_of(random))
    }
}
