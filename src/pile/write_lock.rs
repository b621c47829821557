//! The write lock of a [`SyncReaderDogpile`](crate::SyncReaderDogpile), held.

use std::fmt;
use std::time::Duration;

use crate::answer::{Created, Creating};
#[cfg(feature = "async")]
use crate::call::task::{Limit, NoTimer};
use crate::error::WriteLockError;
#[cfg(feature = "async")]
use crate::executor::Timer;
use crate::pile::Dogpile;
#[cfg(feature = "async")]
use crate::raw::Closing;
use crate::raw::{Gate, Refusal, Writers};
use crate::reentrancy::Identity;
use crate::time::{Tick, Time};

/// Keeps the readers of a [`SyncReaderDogpile`](crate::SyncReaderDogpile) out until it is dropped;
/// see [`acquire_write_lock`](crate::SyncReaderDogpile::acquire_write_lock).
///
/// Dropping it, also by a panic, lets the readers in again. A write guard that is forgotten keeps them
/// out for ever.
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
        let time = &pile.settings().time;
        let deadline = deadline(time, limit);
        gate.close(time, deadline)
            .map(|()| Self::inside(pile, gate))
            .map_err(|refusal| refused(refusal, limit))
    }

    /// As [`acquire`](WriteGuard::acquire), for a task, within a limit that a timer keeps.
    #[cfg(feature = "async")]
    pub(crate) async fn acquire_async(
        pile: &'a Dogpile<T>,
        gate: &'a Gate,
        limited: Option<(Duration, &dyn Timer)>,
    ) -> Result<Self, WriteLockError> {
        let (limit, timer) = limited.unzip();
        let refused = |refusal: Refusal| refused(refusal, limit);
        let time = &pile.settings().time;
        // As for a call: always, and not only the first time that it would have to wait.
        let waits = limit.is_some_and(|limit| !limit.is_zero());
        if waits && timer.is_some_and(|timer| !timer.is_here()) && !time.wakes() {
            return Err(WriteLockError::NoTimer);
        }
        let mut waiting = Limit::new(deadline(time, limit), timer);
        let mut closing = Closing::new(gate, None);
        while let Some(awaited) = closing.look().map_err(refused)? {
            match waiting.wait(time, awaited).await {
                Ok(true) => {}
                Ok(false) => {
                    closing.look_last().map_err(refused)?;
                    break;
                }
                Err(NoTimer) => return Err(WriteLockError::NoTimer),
            }
        }
        Ok(Self::inside(pile, gate))
    }

    /// That of a writer that has gone in.
    fn inside(pile: &'a Dogpile<T>, gate: &'a Gate) -> Self {
        Self { pile, gate }
    }

    /// Makes `value` the current one before any reader gets in, as
    /// [`Dogpile::set`](crate::Dogpile::set).
    pub fn set(&self, value: T) {
        self.set_with(Created::new(value));
    }

    /// Makes a value the current one before any reader gets in, as
    /// [`Dogpile::set_with`](crate::Dogpile::set_with).
    pub fn set_with(&self, created: Created<T>) {
        // This writer may go on after it: a reader has to see that the value is still there.
        self.pile.set_among(created, Writers(None));
    }

    /// Keeps the readers out until the creation in whose creator this is called has ended: then the
    /// first reader that gets in sees the new value. If the creation fails or is given up, the readers
    /// get in all the same. If it has ended already, this releases the lock at once.
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
    /// let value = pile.get_or_try_create_with(|creating| {
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
            creating.is_of(self.pile.site().pile),
            "WriteGuard::until_published: the creation is one of another pile"
        );
        (self.gate).leave_to(creating.fence(), Identity::of(self.pile.site().pile));
        std::mem::forget(self);
    }
}

/// When a writer gives up.
fn deadline(time: &Time, limit: Option<Duration>) -> Option<Tick> {
    limit.map(|limit| match limit {
        Duration::ZERO => Tick::ZERO,
        limit => time.now().saturating_add(limit),
    })
}

fn refused(refusal: Refusal, limit: Option<Duration>) -> WriteLockError {
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
