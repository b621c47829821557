//! [`SyncReaderDogpile`]: a pile whose creators can wait for the readers.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::answer::Lease;
use crate::answer::{Anchor, HasSite, Site};
use crate::answer::{Caller, Gated};
use crate::answer::{Created, Creating};
use crate::answer::{Lookup, ReadAcquired};
use crate::answer::{Pass, ReadGuard};
use crate::call::Attempt;
use crate::call::Call;
use crate::error::{Error, WriteLockError};
use crate::pile::Builder;
use crate::pile::WriteGuard;
use crate::pile::{Dogpile, cannot_answer};
use crate::policy::Accept;
use crate::raw::Gate;
use crate::shim::Arc;

/// A [`Dogpile`] with a write lock that waits for the readers: a creator prepares a new data file
/// while others read the old one, and swaps it in when nobody reads.
///
/// Every answer is a reader until it is dropped. [`acquire_write_lock`] keeps new readers out, waits
/// until the last one has left, and lets them in again when its guard is dropped. It can be called
/// in a creator, who is no reader, and outside of one. All else is as with a [`Dogpile`], once no
/// writer waits.
///
/// A thread that holds a read guard goes in again even while a writer waits, and never waits for a
/// creation: without a value to be had it is told [`Error::HoldsReadGuard`]. A guard counts for the
/// thread that took it, wherever it is now, and the write lock for the thread that acquired it. What
/// cannot be noticed is a thread that waits for another one, which was sent a guard, and one with
/// more than six guards of such piles at once; the limits of [`Call::wait`](crate::Call::wait) and
/// [`acquire_write_lock_for`] bound that. For tasks none of it is noticed: see the
/// [async forms](SyncReaderDogpile#async-forms). An [`Owned`](crate::Owned) that a creator or a lease
/// was given is no reader: a writer does not wait for it.
///
/// A hit writes only memory of its own thread, as that of a [`Dogpile`] does.
///
/// The original's `SyncReaderDogpile` of dogpile.core.
///
/// [`acquire_write_lock`]: SyncReaderDogpile::acquire_write_lock
/// [`acquire_write_lock_for`]: SyncReaderDogpile::acquire_write_lock_for
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use std::{fs, io};
/// use dogpile::{Created, SyncReaderDogpile};
///
/// # let folder = std::env::temp_dir().join(format!("dogpile-{}", std::process::id()));
/// # fs::create_dir_all(&folder)?;
/// let (current, next) = (folder.join("words"), folder.join("words.new"));
/// let words = SyncReaderDogpile::new(Duration::from_secs(3600));
///
/// let open = words.get_or_create_with(|creating| {
///     fs::write(&next, "some words")?; // Slow, while others read the old file ...
///     let write = words.acquire_write_lock().map_err(io::Error::other)?;
///     fs::rename(&next, &current)?; // ... and quick, while nobody does.
///     write.until_published(&creating);
///     Ok::<_, io::Error>(Created::new(current.clone()))
/// });
/// assert_eq!(fs::read_to_string(&*open.unwrap())?, "some words");
/// # fs::remove_dir_all(&folder)?;
/// # Ok::<_, io::Error>(())
/// ```
pub struct SyncReaderDogpile<T> {
    gate: CachePadded<Gate>,
    pile: Dogpile<T>,
}

impl<T> Builder<T> {
    crate::shim::const_unless_loom! {
        /// The pile, without a value, as one whose creators can wait for the readers.
        pub const fn build_sync_reader(self) -> SyncReaderDogpile<T> {
            SyncReaderDogpile { gate: CachePadded::new(Gate::new()), pile: self.build() }
        }
    }
}

/// One look at a [`SyncReaderDogpile`]; see [`SyncReaderDogpile::attempt`].
#[non_exhaustive]
pub enum ReadAttempt<'a, T, L = Lease<'a, T>> {
    /// The value.
    Hit(ReadGuard<'a, T>),
    /// The value is missing, dead or stale, and this caller is to create it.
    Lease(L),
    /// Somebody else is creating it, and there is nothing to go on with.
    Busy,
    /// A writer waits for the readers, or is at work.
    Closed,
}

impl<T, L: fmt::Debug> fmt::Debug for ReadAttempt<'_, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadAttempt::Hit(guard) => f.debug_tuple("Hit").field(&guard.origin()).finish(),
            ReadAttempt::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            ReadAttempt::Busy => f.write_str("Busy"),
            ReadAttempt::Closed => f.write_str("Closed"),
        }
    }
}

impl<T> SyncReaderDogpile<T> {
    crate::shim::const_unless_loom! {
        /// A pile without a value, whose values will be fresh for `ttl`.
        pub const fn new(ttl: Duration) -> Self {
            Dogpile::builder(ttl).build_sync_reader()
        }
    }

    /// Settings for a pile whose values will be fresh for `ttl`, to be ended by
    /// [`Builder::build_sync_reader`].
    pub const fn builder(ttl: Duration) -> Builder<T> {
        Dogpile::builder(ttl)
    }

    /// A pile that holds `value`, fresh for `ttl` from now on.
    pub fn with_value(ttl: Duration, value: T) -> Self {
        let pile = Self::new(ttl);
        pile.set(value);
        pile
    }

    /// A call with options of its own: a limit to waiting, a stricter age, which values it takes.
    #[inline]
    pub fn call(&self) -> Call<'_, T, Gated<'_>> {
        Call::new(self.pile.place(), Gated(&self.gate))
    }

    #[cfg(feature = "async")]
    pub(crate) fn parts(&self) -> (&Dogpile<T>, &Gate) {
        (&self.pile, &self.gate)
    }

    /// The value, or else the one that `create` makes: as [`Dogpile::get_or_create`].
    ///
    /// # Panics
    ///
    /// If `create` does. If it would wait for the thread that makes it: see
    /// [`get_or_try_create`](SyncReaderDogpile::get_or_try_create), which returns that as an error.
    #[inline(always)]
    #[track_caller]
    pub fn get_or_create(&self, create: impl FnOnce() -> T) -> ReadGuard<'_, T> {
        let call = self.call();
        match call.hit(Caller::Thread) {
            Some(guard) => guard,
            None => match call.create_infallibly(create) {
                Ok(guard) => guard,
                Err(error) => cannot_answer("SyncReaderDogpile", "", &error),
            },
        }
    }

    /// The value, or else the one that `create` makes, if it can: as
    /// [`Dogpile::get_or_try_create`].
    ///
    /// # Errors
    ///
    /// As [`Dogpile::get_or_try_create`]; [`Error::HoldsReadGuard`] if the thread holds a read guard
    /// of this pile and there is no value to be had without waiting; [`Error::HoldsWriteLock`] if it
    /// holds the write lock.
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().get_or_try_create(create)
    }

    /// The value, or else the one that `create` makes, which may say more about it: as
    /// [`Dogpile::get_or_create_with`].
    ///
    /// The creator may take the [write lock](SyncReaderDogpile::acquire_write_lock), and keep it
    /// [until the value is published](WriteGuard::until_published).
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](SyncReaderDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    #[inline(always)]
    pub fn get_or_create_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().get_or_create_with(create)
    }

    /// The value where it is kept, or else the one that `create` makes and puts there: as
    /// [`Dogpile::acquire`].
    ///
    /// `get` runs as a reader, and the answer is one: writers wait until it is dropped. `create`
    /// does not, so it may take the write lock.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::acquire`] and [`get_or_try_create`](SyncReaderDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does; the others go on.
    pub fn acquire<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<ReadAcquired<'_, T>, Error<E>> {
        self.call().acquire(create, get)
    }

    /// Waits until no reader is left and keeps new ones out, until the guard is dropped.
    ///
    /// Readers that come while it waits wait behind it, except those whose thread holds a read guard
    /// already. In a creator it can be kept until the new value is there:
    /// [`WriteGuard::until_published`].
    ///
    /// # Errors
    ///
    /// [`WriteLockError::HoldsReadGuard`] and [`WriteLockError::HoldsWriteLock`] if the thread would
    /// wait for itself. [`WriteLockError::NoBarrier`] if the kernel came to refuse membarrier(2).
    pub fn acquire_write_lock(&self) -> Result<WriteGuard<'_, T>, WriteLockError> {
        WriteGuard::acquire(&self.pile, &self.gate, None)
    }

    /// As [`acquire_write_lock`](SyncReaderDogpile::acquire_write_lock), waiting for `limit` at
    /// most.
    ///
    /// # Errors
    ///
    /// Those, and [`WriteLockError::TimedOut`]: then the readers get in again.
    pub fn acquire_write_lock_for(
        &self,
        limit: Duration,
    ) -> Result<WriteGuard<'_, T>, WriteLockError> {
        WriteGuard::acquire(&self.pile, &self.gate, Some(limit))
    }

    /// As [`acquire_write_lock`](SyncReaderDogpile::acquire_write_lock), without waiting.
    ///
    /// # Errors
    ///
    /// Those, and [`WriteLockError::TimedOut`] if there is a reader or another writer.
    pub fn try_acquire_write_lock(&self) -> Result<WriteGuard<'_, T>, WriteLockError> {
        self.acquire_write_lock_for(Duration::ZERO)
    }

    /// One look: the value, fresh, or stale while somebody else creates; or the lease; or the news
    /// that there is nothing to be had at once. As [`Dogpile::attempt`].
    ///
    /// Who was given the lease is no reader: it may take the write lock, publish, and let go of the
    /// lock, in this order, and no reader sees the old value with what the writer did.
    pub fn attempt(&self) -> ReadAttempt<'_, T> {
        let Some(reading) = self.gate.try_enter() else {
            return ReadAttempt::Closed;
        };
        match self.pile.attempt() {
            Attempt::Hit(guard) => ReadAttempt::Hit(guard.with(Pass::new(reading))),
            Attempt::Lease(lease) => ReadAttempt::Lease(lease),
            Attempt::Busy(busy) => match busy.into_stale() {
                Ok(stale) => ReadAttempt::Hit(stale.with(Pass::new(reading))),
                Err(_) => ReadAttempt::Busy,
            },
        }
    }

    /// As [`attempt`](SyncReaderDogpile::attempt), with a lease that holds the pile by its `Arc`.
    pub fn attempt_owned(self: &Arc<Self>) -> ReadAttempt<'_, T, Lease<'static, T>>
    where
        T: Send + Sync + 'static,
    {
        match self.attempt() {
            ReadAttempt::Hit(guard) => ReadAttempt::Hit(guard),
            ReadAttempt::Lease(lease) => {
                ReadAttempt::Lease(lease.held_by(Anchor::Owned(Arc::<Self>::clone(self))))
            }
            ReadAttempt::Busy => ReadAttempt::Busy,
            ReadAttempt::Closed => ReadAttempt::Closed,
        }
    }

    /// Creates now, however fresh the value is, and returns the new one: as [`Dogpile::refresh`].
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](SyncReaderDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on.
    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().accept(Accept::New).get_or_try_create(create)
    }

    /// The value, fresh or stale, without creating or waiting. `None` if there is none, or it is
    /// dead, or a writer is at work or waits.
    pub fn peek(&self) -> Option<ReadGuard<'_, T>> {
        self.call().peek()
    }

    /// Makes `value` the current one, fresh from now on: as [`Dogpile::set`]. Readers go on with the
    /// old one; [`WriteGuard::set`] sets it while there are none.
    pub fn set(&self, value: T) {
        self.pile.set(value);
    }

    /// Makes a value the current one, with a time to live or an age of its own: as
    /// [`Dogpile::set_with`].
    pub fn set_with(&self, created: Created<T>) {
        self.pile.set_with(created);
    }

    /// Makes the value stale: as [`Dogpile::expire`].
    pub fn expire(&self) {
        self.pile.expire();
    }

    /// Makes the value stale if it is still the one that `guard` shows: as [`Dogpile::expire_if`].
    pub fn expire_if(&self, guard: &ReadGuard<'_, T>) -> bool {
        self.pile.expire_node(guard.node())
    }

    /// Removes the value: as [`Dogpile::invalidate`].
    pub fn invalidate(&self) {
        self.pile.invalidate();
    }

    /// Removes the value if it is still the one that `guard` shows: as [`Dogpile::invalidate_if`].
    pub fn invalidate_if(&self, guard: &ReadGuard<'_, T>) -> bool {
        self.pile.invalidate_node(guard.node())
    }

    /// Whether there is a value, fresh or stale, that a call could be given.
    pub fn has_value(&self) -> bool {
        self.pile.has_value()
    }

    /// Whether there is a fresh value.
    pub fn is_fresh(&self) -> bool {
        self.pile.is_fresh()
    }

    /// How old the value is, if there is one that a call could be given.
    pub fn age(&self) -> Option<Duration> {
        self.pile.age()
    }

    /// Whether somebody is creating a value.
    pub fn is_creating(&self) -> bool {
        self.pile.is_creating()
    }

    /// How many callers wait for the value that is being created.
    pub fn waiters(&self) -> usize {
        self.pile.waiters()
    }

    /// The value, fresh, stale or dead, for changing it in place: as [`Dogpile::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.pile.get_mut()
    }

    /// The value, fresh, stale or dead, taken out: as [`Dogpile::into_inner`].
    pub fn into_inner(self) -> Option<T> {
        self.pile.into_inner()
    }
}

impl<T> HasSite<T> for SyncReaderDogpile<T> {
    fn pile(&self) -> Site<'_, T> {
        self.pile.place()
    }

    fn gate(&self) -> Option<&Gate> {
        Some(&self.gate)
    }
}

impl<T: fmt::Debug> fmt::Debug for SyncReaderDogpile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.peek();
        f.debug_struct("SyncReaderDogpile")
            .field("value", &held.as_deref())
            .field("origin", &held.as_ref().map(ReadGuard::origin))
            .field("creating", &self.is_creating())
            .finish_non_exhaustive()
    }
}

// As a `Dogpile`: a writer that panics lets the readers in again.
impl<T: UnwindSafe + RefUnwindSafe> UnwindSafe for SyncReaderDogpile<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for SyncReaderDogpile<T> {}
