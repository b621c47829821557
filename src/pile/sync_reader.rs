//! [`SyncReaderDogpile`]: a pile whose creators can wait for the readers.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::answer::{
    Anchor, Caller, Created, Creating, Gated, Guard, HasSite, Lease, Lookup, ReadAcquired,
    ReadGuard, Site,
};
use crate::call::election::Failures;
#[cfg(feature = "async")]
use crate::call::{Background, KeptPile, OnExecutor, Refresher};
use crate::call::{Call, ReadAttempt};
use crate::error::{Error, Failure, WriteLockError};
#[cfg(feature = "async")]
use crate::executor::Executor;
use crate::observe::Stats;
use crate::pile::dogpile::{cannot_answer, cannot_wait};
use crate::pile::{Builder, Dogpile, WriteGuard};
use crate::policy::Seen;
use crate::raw::{Gate, Writers};
use crate::shim::Arc;

/// A [`Dogpile`] with a write lock that waits for the readers: a creator prepares a new data file
/// while others read the old one, and swaps it in when nobody reads.
///
/// Every answer is a reader until it is dropped. [`acquire_write_lock`] keeps new readers out, waits
/// until the last reader has left, and lets readers in again when its guard is dropped. It can be
/// called in a creator, which is no reader, and outside of one. All else is as with a [`Dogpile`],
/// once no writer waits.
///
/// A thread that holds a read guard goes in again even while a writer waits, and never waits for a
/// creation: if no value can be had, it is told [`Error::HoldsReadGuard`]. So a thread that takes its
/// next guard before it drops the last one is one long reader, and keeps every writer out:
/// [`Guard::renew`] drops first. A guard counts for the thread that took it, wherever the guard is
/// now, and the write lock for the thread that acquired it.
///
/// What cannot be noticed is a thread that waits for another one which was sent a guard. The limits of
/// [`Call::wait`] and [`acquire_write_lock_for`] bound it. For tasks none of it is noticed: see the
/// [async forms](SyncReaderDogpile#async-forms). An [`Owned`](crate::Owned) that a creator or a lease
/// was given is no reader, and a writer does not wait for it.
///
/// A hit writes only memory of its own thread, as that of a [`Dogpile`] does.
///
/// # After a fork
///
/// The child of a `fork` has one thread. A lease, a read guard or a write lock that another thread of
/// the parent held stays held in the child for ever, because no thread is left to drop it. Stale
/// values are still served, values can be read, and `set` makes a new value current. Where another
/// thread held a read guard, no writer gets in; where one held the write lock, nobody gets in. A pile
/// whose inner lock another thread held at the fork must not be used. Make new piles in the child.
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
/// let open = words.get_or_try_create_with(|creating| {
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
        ///
        /// # Panics
        ///
        /// If two settings make no sense together: as [`build`](Builder::build).
        pub const fn build_sync_reader(self) -> SyncReaderDogpile<T> {
            SyncReaderDogpile { gate: CachePadded::new(Gate::new()), pile: self.build() }
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
        Call::new(self.site(), Gated(&self.gate))
    }

    #[cfg(feature = "async")]
    pub(crate) fn pile(&self) -> &Dogpile<T> {
        &self.pile
    }

    #[cfg(feature = "async")]
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The value, or else the one that `create` makes: as [`Dogpile::get_or_create`].
    ///
    /// # Panics
    ///
    /// If `create` does. If the call would wait for its own thread: see
    /// [`get_or_try_create`](SyncReaderDogpile::get_or_try_create), which returns that as an error.
    #[inline(always)]
    #[track_caller]
    pub fn get_or_create(&self, create: impl FnOnce() -> T) -> ReadGuard<'_, T> {
        let call = self.call();
        match call.hit_by(Caller::Thread) {
            Some(guard) => guard,
            // Another caller's failure is no answer to one whose creator cannot fail.
            None => match call.create_or_wait(Failures::Pressed, |_| Ok(create().into())) {
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
    /// As [`Dogpile::get_or_try_create`]. [`Error::HoldsReadGuard`] if the thread holds a read guard
    /// of this pile and no value can be had without waiting. [`Error::HoldsWriteLock`] if the thread
    /// holds the write lock.
    ///
    /// # Panics
    ///
    /// If `create` does, as [`Dogpile::get_or_try_create`].
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().get_or_try_create(create)
    }

    /// The value, or else the one that `create` makes, which may say more about it: as
    /// [`Dogpile::get_or_try_create_with`].
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
    /// If `create` does, as [`Dogpile::get_or_try_create`].
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().get_or_try_create_with(create)
    }

    /// The value where it is kept, or else the one that `create` makes and puts there: as
    /// [`Dogpile::acquire`].
    ///
    /// `get` runs as a reader, and the answer is a reader: writers wait until it is dropped. `create`
    /// does not run as a reader, so it may take the write lock.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::acquire`] and [`get_or_try_create`](SyncReaderDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    #[track_caller]
    pub fn acquire<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<ReadAcquired<'_, T>, Error<E>> {
        self.call().acquire(create, get)
    }

    /// As [`acquire`](SyncReaderDogpile::acquire), with a creator that may say more about its value:
    /// as [`Dogpile::acquire_with`].
    ///
    /// # Errors
    ///
    /// As [`acquire`](SyncReaderDogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    #[track_caller]
    pub fn acquire_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<ReadAcquired<'_, T>, Error<E>> {
        self.call().acquire_with(create, get)
    }

    /// Waits until no reader is left and keeps new ones out, until the guard is dropped.
    ///
    /// Readers that come while it waits wait behind it, except those whose thread holds a read guard
    /// already. In a creator the lock can be kept until the new value is there:
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

    /// One look: the value, fresh, or stale while another caller creates; or the lease; or the news
    /// that nothing can be had at once. As [`Dogpile::attempt`].
    ///
    /// A caller that was given the lease is no reader. It may take the write lock, publish, and
    /// release the lock, in this order, and no reader sees the old value with what the writer did.
    /// While a writer waits or is inside, the answer is `Busy`, and waiting ends when readers may
    /// go in again.
    #[track_caller]
    pub fn attempt(&self) -> ReadAttempt<'_, T> {
        self.call().attempt()
    }

    /// As [`attempt`](SyncReaderDogpile::attempt), with a lease that holds the pile by its `Arc`.
    #[track_caller]
    pub fn attempt_owned(self: &Arc<Self>) -> ReadAttempt<'_, T, Lease<'static, T>>
    where
        T: Send + Sync + 'static,
    {
        let hold = |lease: Lease<'_, T>| lease.held_by(Anchor::Owned(Arc::<Self>::clone(self)));
        self.attempt().map_lease(hold)
    }

    /// Creates now, however fresh the value is, and returns the new one: as [`Dogpile::refresh`].
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](SyncReaderDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<ReadGuard<'_, T>, Error<E>> {
        self.call().refresh(create)
    }

    /// The value, fresh or stale, without creating or waiting. `None` if there is none, or it is
    /// gone, or a writer is at work or waits.
    pub fn peek(&self) -> Option<ReadGuard<'_, T>> {
        self.call().peek()
    }

    /// The value, or else the next one that another caller makes: as [`Dogpile::wait_for_value`].
    ///
    /// # Panics
    ///
    /// If it would wait inside the creator of the same pile, or on a thread that holds a read guard or
    /// the write lock of this pile. [`Call::wait_for_value`] returns that as an error.
    #[track_caller]
    pub fn wait_for_value(&self) -> ReadGuard<'_, T> {
        match self.call().wait_for_value() {
            Ok(guard) => guard,
            Err(error) => cannot_wait("SyncReaderDogpile", "wait_for_value", &error),
        }
    }

    /// The value if it is newer than the one seen, or else the next one that another caller makes: as
    /// [`Dogpile::wait_for_newer`]. Drop the guard of the value that was seen before.
    ///
    /// # Panics
    ///
    /// As [`wait_for_value`](SyncReaderDogpile::wait_for_value). In builds with debug assertions, if
    /// the value was seen in another pile.
    #[track_caller]
    pub fn wait_for_newer(&self, seen: impl Into<Option<Seen>>) -> ReadGuard<'_, T> {
        match self.call().wait_for_newer(seen) {
            Ok(guard) => guard,
            Err(error) => cannot_wait("SyncReaderDogpile", "wait_for_newer", &error),
        }
    }

    /// Makes `value` the current one, fresh from now on: as [`Dogpile::set`]. Readers go on with the
    /// old one; [`WriteGuard::set`] sets it while there are none.
    pub fn set(&self, value: T) {
        self.set_with(Created::new(value));
    }

    /// Makes a value the current one, with a time to live or an age of its own: as
    /// [`Dogpile::set_with`].
    pub fn set_with(&self, created: Created<T>) {
        self.pile.set_among(created, self.writers());
    }

    /// Those that had been inside before a value is set.
    fn writers(&self) -> Writers {
        Writers(self.gate.writers_if_outside())
    }

    /// Makes `value` the current one if the value seen still is: as [`Dogpile::set_if`].
    ///
    /// # Errors
    ///
    /// The value itself, if something else came meanwhile.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    pub fn set_if(&self, seen: impl Into<Option<Seen>>, value: T) -> Result<(), T> {
        self.pile.set_if_among(seen.into(), value, self.writers())
    }

    /// Makes the value stale: as [`Dogpile::expire`].
    pub fn expire(&self) {
        self.pile.expire();
    }

    /// Makes the value stale if the value seen is still the current one: as [`Dogpile::expire_if`].
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    pub fn expire_if(&self, seen: Seen) -> bool {
        self.pile.expire_if(seen)
    }

    /// Removes the value: as [`Dogpile::invalidate`].
    pub fn invalidate(&self) {
        self.pile.invalidate();
    }

    /// Removes the value if the value seen is still the current one: as [`Dogpile::invalidate_if`].
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    pub fn invalidate_if(&self, seen: Seen) -> bool {
        self.pile.invalidate_if(seen)
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

    /// The last failure of a creation, with its age: as [`Dogpile::last_failure`].
    pub fn last_failure(&self) -> Option<(Failure, Duration)> {
        self.pile.last_failure()
    }

    /// After how long the next creation may begin: as [`Dogpile::retry_in`].
    pub fn retry_in(&self) -> Option<Duration> {
        self.pile.retry_in()
    }

    /// Whether somebody is creating a value.
    pub fn is_creating(&self) -> bool {
        self.pile.is_creating()
    }

    /// What goes on in the pile, and what was counted: as [`Dogpile::stats`].
    pub fn stats(&self) -> Stats {
        self.pile.stats()
    }

    /// How many callers wait for the value that is being created, or for
    /// [the next](SyncReaderDogpile::wait_for_value).
    pub fn waiters(&self) -> usize {
        self.pile.waiters()
    }

    /// The value, fresh, stale or gone, for changing it in place: as [`Dogpile::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.pile.get_mut()
    }

    /// The value, fresh, stale or gone, taken out: as [`Dogpile::into_inner`].
    pub fn into_inner(self) -> Option<T> {
        self.pile.into_inner()
    }
}

impl<T> HasSite<T> for SyncReaderDogpile<T> {
    fn site(&self) -> Site<'_, T> {
        Site {
            gate: Some(&self.gate),
            ..self.pile.site()
        }
    }
}

/// # In the background
#[cfg(feature = "async")]
impl<T: Send + Sync + 'static> SyncReaderDogpile<T> {
    /// Calls whose creations run on `executor`: as [`Dogpile::background`].
    pub fn background<'a, 'e>(
        self: &'a Arc<Self>,
        executor: &'e dyn Executor,
    ) -> Background<'a, 'e, T, Gated<'a>> {
        let mode = OnExecutor::new(KeptPile::Shared(self), executor);
        self.call().by(mode)
    }

    /// As [`background`](SyncReaderDogpile::background), for a pile that is a `static`.
    pub fn background_static<'e>(
        &'static self,
        executor: &'e dyn Executor,
    ) -> Background<'static, 'e, T, Gated<'static>> {
        let mode = OnExecutor::new(KeptPile::Static(self.site()), executor);
        self.call().by(mode)
    }

    /// Renews the value without any caller: as [`Dogpile::keep_fresh`].
    pub fn keep_fresh<X: Executor + 'static>(self: &Arc<Self>, executor: X) -> Refresher<T, X> {
        Refresher::of(self, executor)
    }

    /// As [`keep_fresh`](SyncReaderDogpile::keep_fresh), for a pile that is a `static`.
    pub fn keep_fresh_static<X: Executor + 'static>(&'static self, executor: X) -> Refresher<T, X> {
        Refresher::of_static(self.site(), executor)
    }
}

impl<T: fmt::Debug> fmt::Debug for SyncReaderDogpile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.call().peek_exact();
        f.debug_struct("SyncReaderDogpile")
            .field("value", &held.as_deref())
            .field("origin", &held.as_ref().map(Guard::origin))
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

// As a `Dogpile`: a writer that panics lets the readers in again.
impl<T: UnwindSafe + RefUnwindSafe> UnwindSafe for SyncReaderDogpile<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for SyncReaderDogpile<T> {}
