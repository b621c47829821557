//! A pile with its settings: what calls and leases work on, and the ways to hold it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::builder::Config;
use crate::raw::Pile;

/// A pile, borrowed, of whatever kind: how a [`Lease`](crate::Lease) holds it unless asked to hold
/// an `Arc`.
pub struct PileRef<'a, T> {
    pub(crate) config: &'a Config,
    pub(crate) pile: &'a Pile<T>,
}

impl<T> Clone for PileRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PileRef<'_, T> {}

// As for the pile itself.
impl<T: RefUnwindSafe> UnwindSafe for PileRef<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for PileRef<'_, T> {}

impl<T> fmt::Debug for PileRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PileRef").finish_non_exhaustive()
    }
}

/// A way to hold a pile: [`PileRef`], or an `Arc` of one. There are no others.
pub trait Hold<T>: sealed::Sealed {
    #[doc(hidden)]
    fn pile(&self) -> PileRef<'_, T>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

impl<T> sealed::Sealed for PileRef<'_, T> {}

impl<T> Hold<T> for PileRef<'_, T> {
    fn pile(&self) -> PileRef<'_, T> {
        *self
    }
}
