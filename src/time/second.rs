//! An instant in few bytes: [`Second`].

use std::num::NonZeroU32;

use crate::time::Tick;

/// The second of a clock in which an instant is. Those beyond 136 years are all one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Second(
    // One more than its number, so that an option of it takes no more.
    NonZeroU32,
);

impl Second {
    /// That of the clock's origin.
    pub(crate) const FIRST: Second = Second(NonZeroU32::MIN);

    pub(crate) fn of(instant: Tick) -> Self {
        let number = instant.as_nanos() / 1_000_000_000;
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_in_one_second() {
        let at = |nanos| Second::of(Tick::from_nanos(nanos));
        assert_eq!(at(0), Second::FIRST);
        assert_eq!(at(999_999_999), Second::FIRST);
        assert!(at(1_000_000_000) > Second::FIRST);
        assert_eq!(at(1_000_000_000), at(1_999_999_999));
        assert!(at(1_999_999_999) < at(2_000_000_000));
    }

    #[test]
    fn the_end_of_the_range_is_in_the_last() {
        let years = |years: u64| Second::of(Tick::from_nanos(years * 31_557_600 * 1_000_000_000));
        assert!(years(135) < years(137));
        assert_eq!(years(137), years(500));
        assert_eq!(years(137), Second::of(Tick::MAX));
    }
}
