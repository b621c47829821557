//! What the readers of a [`SyncReaderDogpile`](crate::SyncReaderDogpile) are given.

use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::acquire::Acquired;
use crate::guard::{Guard, Origin};
use crate::raw::Reading;

/// Shows a value of a [`SyncReaderDogpile`](crate::SyncReaderDogpile), keeps it alive and
/// unchanged, and keeps writers out.
///
/// There is no owned form: as long as something of the value could be used, a writer has to wait.
/// One that is forgotten keeps writers out for ever.
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct ReadGuard<'a, T> {
    // In this order: a writer gets in when the value is let go of.
    pub(crate) guard: Guard<'a, T>,
    _reading: Reading<'a>,
}

impl<T: RefUnwindSafe> UnwindSafe for ReadGuard<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for ReadGuard<'_, T> {}

impl<'a, T> ReadGuard<'a, T> {
    #[inline]
    pub(crate) fn new(guard: Guard<'a, T>, reading: Reading<'a>) -> Self {
        Self {
            guard,
            _reading: reading,
        }
    }

    /// How this answer came about.
    pub fn origin(&self) -> Origin {
        self.guard.origin()
    }

    /// How old the value was when the call was answered, to within the clock's
    /// [`lag`](crate::Clock::lag).
    pub fn age(&self) -> Duration {
        self.guard.age()
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> AsRef<T> for ReadGuard<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// A value that was looked up, or created, and keeps writers out; see
/// [`SyncReaderDogpile::acquire`](crate::SyncReaderDogpile::acquire).
#[must_use = "the value was looked up or created to be used"]
pub struct ReadAcquired<'a, T> {
    acquired: Acquired<'a, T>,
    _reading: Reading<'a>,
}

impl<'a, T> ReadAcquired<'a, T> {
    pub(crate) fn new(acquired: Acquired<'a, T>, reading: Reading<'a>) -> Self {
        Self {
            acquired,
            _reading: reading,
        }
    }

    /// How this answer came about. `Fresh` and `Stale` say that it was looked up, or is the one
    /// that the pile kept of its last creation.
    pub fn origin(&self) -> Origin {
        self.acquired.origin()
    }
}

impl<T> Deref for ReadAcquired<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.acquired
    }
}

impl<T> AsRef<T> for ReadAcquired<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadAcquired<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for ReadAcquired<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
