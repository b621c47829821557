//! A pile that stands alone.

pub use dogpile::{Attempt, Busy, Dogpile as Pile, Guard};

pub use crate::imp::model;

use dogpile::Builder;

/// A pile with these settings.
pub fn build<T>(settings: Builder<T>) -> Pile<T> {
    settings.build()
}
