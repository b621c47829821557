//! What a call answers with: [`CacheGuard`].

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use dogpile::{Failure, Origin, Owned, Tick};

use crate::Entry;

/// Shows a value and keeps it alive and unchanged, whatever happens to the cache meanwhile.
///
/// Its methods are associated functions, since it derefs to your value: write
/// `CacheGuard::origin(&guard)`.
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct CacheGuard<T> {
    entry: Entry<T>,
    origin: Origin,
    /// When the call was answered.
    now: Tick,
    failure: Option<Failure>,
}

impl<T> CacheGuard<T> {
    pub(crate) fn new(entry: Entry<T>, origin: Origin, now: Tick) -> Self {
        Self {
            entry,
            origin,
            now,
            failure: None,
        }
    }

    pub(crate) fn beside(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }

    /// How this answer came about.
    pub fn origin(this: &Self) -> Origin {
        this.origin
    }

    /// How old the value was when the call was answered.
    pub fn age(this: &Self) -> Duration {
        Owned::age(this.entry.value(), this.now)
    }

    /// Why nobody could make a new value, if this one stands in for it.
    pub fn failure(this: &Self) -> Option<&Failure> {
        this.failure.as_ref()
    }

    /// A handle that keeps the value alive.
    ///
    /// # Cost
    ///
    /// An atomic increment on memory that all owners share.
    pub fn to_owned(this: &Self) -> Owned<T> {
        this.entry.value().clone()
    }
}

impl<T> Deref for CacheGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entry
    }
}

impl<T> AsRef<T> for CacheGuard<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for CacheGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for CacheGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
