//! Whether something is done often: [`Hurry`].

use std::time::Duration;

/// How many times in a row something was done soon after the time before; at most [`OFTEN`].
#[derive(Clone, Copy, PartialEq)]
pub(in crate::raw) struct Hurry(pub(in crate::raw) u8);

/// So many in a row make it often.
const OFTEN: u8 = 16;
/// What is done later than this ends the row.
const SOON: Duration = Duration::from_millis(1);
/// What is done later than this ends what is often.
const LATE: Duration = Duration::from_millis(10);

impl Hurry {
    pub(in crate::raw) const NONE: Self = Self(0);

    /// It is done once more, so long after the time before.
    pub(in crate::raw) fn again(self, later: Duration) -> Self {
        match later {
            _ if later < SOON => Self(often().min(self.0 + 1)),
            _ if later <= LATE && self.is_often() => self,
            _ => Self::NONE,
        }
    }

    pub(in crate::raw) fn is_often(self) -> bool {
        self.0 == often()
    }
}

#[cfg(not(dogpile_loom))]
fn often() -> u8 {
    OFTEN
}

// LOOM: as few as a model asks for.
#[cfg(dogpile_loom)]
fn often() -> u8 {
    crate::shim::model::setting().often.unwrap_or(OFTEN)
}

#[cfg(test)]
mod tests {
    use super::{Hurry, LATE, OFTEN, SOON};
    use std::time::Duration;

    const NANO: Duration = Duration::from_nanos(1);

    /// So many times in a row, each just soon enough.
    fn row(times: u8) -> Hurry {
        (0..times).fold(Hurry::NONE, |hurry, _| hurry.again(SOON - NANO))
    }

    #[test]
    fn sixteen_in_a_row_are_often() {
        assert!(!row(OFTEN - 1).is_often());
        assert!(row(OFTEN).is_often());
        assert!(row(OFTEN + 1).is_often());
    }

    #[test]
    fn a_row_ends_with_one_that_is_not_soon() {
        assert!(row(OFTEN - 1).again(SOON) == Hurry::NONE);
    }

    #[test]
    fn what_is_often_ends_with_one_that_is_late() {
        assert!(row(OFTEN).again(SOON).is_often());
        assert!(row(OFTEN).again(LATE).is_often());
        assert!(row(OFTEN).again(LATE + NANO) == Hurry::NONE);
    }
}
