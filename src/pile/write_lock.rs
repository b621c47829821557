//! The write lock of a [`SyncReaderDogpile`](crate::SyncReaderDogpile), held.

use std::fmt;
use std::time::Duration;

use crate::answer::{Created, Creating};
use crate::error::WriteLockError;
use crate::pile::Dogpile;
use crate::raw::{Gate, Refusal};
use crate::reentrancy::Identity;
use crate::time::{Tick, Time};

/// Keeps the readers of a [`SyncReaderDogpile`](crate::SyncReaderDogpile) out until it is dropped;
/// see [`acquire_write_lock`](crate::SyncReaderDogpile::acquire_write_lock).
///
/// Dropping it, by a panic too, lets them in again. One that is forgotten keeps them out for ever.
#[must_use = "the write lock is let go when this is dropped"]
pub struct WriteGuard<'a, T> {
    pile: &'a Dogpile<T>,
    gate: &'a Gate,
}

impl<'a, T> WriteGuard<'a, T> {
    pub(crate) fn acquire(
        pile: &'a Dogpile<T>,
        gate: &'a Gate,
        limit: Option<Duration>,
    ) -> Result<Self, WriteLockError> {
        let time = &pile.place().settings.time;
        let deadline = deadline(time, limit);
        gate.close(time, deadline)
            .map(|()| Self::inside(pile, gate))
            .map_err(|refusal| refused(refusal, limit))
    }

    /// That of a writer who has gone in.
    pub(crate) fn inside(pile: &'a Dogpile<T>, gate: &'a Gate) -> Self {
        Self { pile, gate }
    }

    /// Makes `value` the current one before any reader gets in, as
    /// [`Dogpile::set`](crate::Dogpile::set).
    pub fn set(&self, value: T) {
        self.pile.set(value);
    }

    /// Makes a value the current one before any reader gets in, as
    /// [`Dogpile::set_with`](crate::Dogpile::set_with).
    pub fn set_with(&self, created: Created<T>) {
        self.pile.set_with(created);
    }

    /// Keeps the readers out until the creation in whose creator this is called has ended: then the
    /// first reader who gets in sees the new value. If it ends otherwise, they get in all the same.
    ///
    /// # Panics
    ///
    /// If `creating` is of another pile, whose end would not open this one.
    ///
    /// # Example
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use dogpile::{Created, SyncReaderDogpile};
    ///
    /// let pile = SyncReaderDogpile::new(Duration::from_secs(60));
    /// let value = pile.get_or_create_with(|creating| {
    ///     let prepared = String::from("while others read");
    ///     let write = pile.acquire_write_lock().expect("holds no guard");
    ///     // Nobody reads. A file could be renamed over another here.
    ///     write.until_published(&creating);
    ///     Ok::<_, Infallible>(Created::new(prepared))
    /// })?;
    /// assert_eq!(*value, "while others read");
    /// # Ok::<_, dogpile::Error<Infallible>>(())
    /// ```
    pub fn until_published(self, creating: &Creating<'_, T>) {
        assert!(
            creating.is_of(self.pile.place()),
            "WriteGuard::until_published: the creation is one of another pile"
        );
        (self.gate).leave_to(creating.fence(), Identity::of(self.pile.place().pile));
        std::mem::forget(self);
    }
}

/// When a writer gives up.
pub(crate) fn deadline(time: &Time, limit: Option<Duration>) -> Option<Tick> {
    limit.map(|limit| match limit {
        Duration::ZERO => Tick::ZERO,
        limit => time.now().saturating_add(limit),
    })
}

pub(crate) fn refused(refusal: Refusal, limit: Option<Duration>) -> WriteLockError {
    match refusal {
        Refusal::IsReader => WriteLockError::HoldsReadGuard,
        Refusal::IsWriter => WriteLockError::HoldsWriteLock,
        Refusal::TimedOut => WriteLockError::TimedOut {
            limit: limit.unwrap_or(Duration::MAX),
        },
        Refusal::NoBarrier => WriteLockError::NoBarrier,
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl<T> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard").finish_non_exhaustive()
    }
}
