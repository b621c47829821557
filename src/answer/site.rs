//! A pile with its settings: what calls and leases work on, and the ways to hold it.

use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::answer::Settings;
use crate::raw::{Gate, Pile};
use crate::shim::Arc;

/// A pile, borrowed, of whatever kind.
pub(crate) struct Site<'a, T> {
    pub(crate) settings: &'a Settings,
    pub(crate) pile: &'a Pile<T>,
}

impl<T> Clone for Site<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Site<'_, T> {}

// As for the pile itself.
impl<T: RefUnwindSafe> UnwindSafe for Site<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Site<'_, T> {}

/// A pile as a lease holds it: borrowed, or by its `Arc`, of whatever kind that is.
pub(crate) enum Anchor<'a, T> {
    Borrowed(Site<'a, T>, Option<&'a Gate>),
    Owned(Arc<dyn HasSite<T> + Send + Sync + 'a>),
}

/// A kind of pile.
pub(crate) trait HasSite<T> {
    fn pile(&self) -> Site<'_, T>;

    /// The gate of its readers, if it has one.
    fn gate(&self) -> Option<&Gate>;
}

impl<T> Anchor<'_, T> {
    pub(crate) fn pile(&self) -> Site<'_, T> {
        match self {
            Anchor::Borrowed(pile, _) => *pile,
            Anchor::Owned(place) => place.pile(),
        }
    }

    pub(crate) fn gate(&self) -> Option<&Gate> {
        match self {
            Anchor::Borrowed(_, gate) => *gate,
            Anchor::Owned(place) => place.gate(),
        }
    }
}

impl<T> Clone for Anchor<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Anchor::Borrowed(pile, gate) => Anchor::Borrowed(*pile, *gate),
            Anchor::Owned(place) => Anchor::Owned(Arc::clone(place)),
        }
    }
}

// As for the pile itself.
impl<T: RefUnwindSafe> UnwindSafe for Anchor<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Anchor<'_, T> {}
