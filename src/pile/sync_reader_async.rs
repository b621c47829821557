//! The async short forms of [`SyncReaderDogpile`], and its write lock for tasks.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::future::Future;
use std::time::Duration;

use crate::answer::{Created, Creating, Lookup, ReadAcquired, ReadGuard};
use crate::call::election::Failures;
use crate::call::task::answer_here;
use crate::error::{Error, WriteLockError};
use crate::executor::Timer;
use crate::pile::dogpile::{cannot_answer, cannot_wait};
use crate::pile::{SyncReaderDogpile, WriteGuard};
use crate::policy::Seen;

/// # Async forms
///
/// Tasks and threads share the pile, with its readers and its writers. A guard may live across an
/// await. It counts for the thread that took it, which runs other tasks too. So an async form cannot tell
/// whose guard it is. It waits for every writer, and a writer waits for every reader, on whatever thread
/// they are.
///
/// So a task that holds a read guard, and awaits the write lock, a creation that takes it, or another
/// guard while a writer waits, waits for itself, and nobody notices. Drop guards before such calls.
/// What bounds them is a time-out of the runtime around the call, or a limit of their own:
/// [`Call::wait`](crate::Call::wait) with a timer, and
/// [`acquire_write_lock_for_async`](SyncReaderDogpile::acquire_write_lock_for_async). The blocking
/// forms go by the thread as ever, and take a guard of any of its tasks for the caller's.
impl<T> SyncReaderDogpile<T> {
    /// As [`get_or_create`](SyncReaderDogpile::get_or_create), for tasks.
    ///
    /// `create` is called by the elected task alone, which is no reader meanwhile: it may await the
    /// [write lock](SyncReaderDogpile::acquire_write_lock_async).
    ///
    /// # Panics
    ///
    /// If `create` does, as [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create). If called from inside the
    /// creator of the same pile, which is one poll of its future, with no value to be had:
    /// [`get_or_try_create_async`](SyncReaderDogpile::get_or_try_create_async) returns that as an
    /// error.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was elected, its creation is dropped, the lease
    /// given up and a write lock that was left to it let go: those who wait are woken, and the next
    /// to come creates. If it waited, for a creation or a writer, nobody notices.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::SyncReaderDogpile;
    ///
    /// static WORDS: SyncReaderDogpile<u32> = SyncReaderDogpile::new(Duration::from_secs(60));
    ///
    /// # futures::executor::block_on(async {
    /// let version = WORDS.get_or_create_async(|| async {
    ///     let write = WORDS.acquire_write_lock_async().await;
    ///     // Nobody reads. A file could be renamed over another here.
    ///     drop(write);
    ///     7
    /// });
    /// assert_eq!(*version.await, 7);
    /// # });
    /// ```
    pub fn get_or_create_async<F: Future<Output = T>>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = ReadGuard<'_, T>> {
        let create = |_: Creating<'_, T>| async { Ok(Created::new(create().await)) };
        let told = |answer: Result<_, _>| match answer {
            Ok(guard) => guard,
            Err(error) => cannot_answer("SyncReaderDogpile", "_async", &error),
        };
        // Another caller's failure is no answer to one whose creator cannot fail.
        answer_here(|| self.call(), Failures::Pressed, create, told)
    }

    /// As [`get_or_try_create`](SyncReaderDogpile::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, as [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](SyncReaderDogpile::get_or_create_async).
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<ReadGuard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'_, T>| async { create().await.map(Created::new) };
        answer_here(|| self.call(), Failures::Taken, create, |answer| answer)
    }

    /// As [`get_or_try_create_with`](SyncReaderDogpile::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, as [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](SyncReaderDogpile::get_or_create_async).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Created, SyncReaderDogpile, WriteLockError};
    ///
    /// # futures::executor::block_on(async {
    /// let pile = SyncReaderDogpile::new(Duration::from_secs(60));
    /// let value = pile.get_or_try_create_with_async(|creating| {
    ///     let pile = &pile;
    ///     async move {
    ///         let prepared = String::from("while others read");
    ///         let write = pile.acquire_write_lock_async().await?;
    ///         // Nobody reads, until the value is there.
    ///         write.until_published(&creating);
    ///         Ok::<_, WriteLockError>(Created::new(prepared))
    ///     }
    /// });
    /// assert_eq!(*value.await.unwrap(), "while others read");
    /// # });
    /// ```
    pub fn get_or_try_create_with_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<ReadGuard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        answer_here(|| self.call(), Failures::Taken, create, |answer| answer)
    }

    /// As [`acquire`](SyncReaderDogpile::acquire), for tasks: a reader while the future of `get`
    /// runs.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::acquire`](crate::Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](SyncReaderDogpile::get_or_create_async). A look-up that is dropped
    /// lets writers in, elects nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        &self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<ReadAcquired<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call().acquire_async(create, get)
    }

    /// As [`acquire_with`](SyncReaderDogpile::acquire_with), for tasks: a reader while the future of
    /// `get` runs.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::acquire`](crate::Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_async`](SyncReaderDogpile::acquire_async).
    pub fn acquire_with_async<'a, E: Send + Sync + 'static, F, G>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<ReadAcquired<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call().acquire_with_async(create, get)
    }

    /// As [`refresh`](SyncReaderDogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](SyncReaderDogpile::get_or_create_async).
    pub fn refresh_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<ReadGuard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call().refresh_async(create)
    }

    /// As [`wait_for_value`](SyncReaderDogpile::wait_for_value), for tasks.
    ///
    /// A read guard that the task holds is not noticed: it keeps out the writer who might bring the
    /// value.
    ///
    /// # Panics
    ///
    /// If it would wait inside the creator of the same pile.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices.
    pub fn wait_for_value_async(&self) -> impl Future<Output = ReadGuard<'_, T>> {
        async move {
            match self.call().wait_for_value_async().await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("SyncReaderDogpile", "wait_for_value_async", &error),
            }
        }
    }

    /// As [`wait_for_newer`](SyncReaderDogpile::wait_for_newer), for tasks.
    ///
    /// # Panics
    ///
    /// As [`wait_for_value_async`](SyncReaderDogpile::wait_for_value_async). In builds with debug
    /// assertions, if the value was seen in another pile.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices, and no value is lost: the next call with
    /// the same `seen` gets it.
    pub fn wait_for_newer_async(
        &self,
        seen: impl Into<Option<Seen>>,
    ) -> impl Future<Output = ReadGuard<'_, T>> {
        let seen = seen.into();
        async move {
            match self.call().wait_for_newer_async(seen).await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("SyncReaderDogpile", "wait_for_newer_async", &error),
            }
        }
    }

    /// As [`acquire_write_lock`](SyncReaderDogpile::acquire_write_lock), for tasks: the guard may
    /// live across an await, and counts for no thread.
    ///
    /// It waits for every reader and writer, wherever they are: also for guards of its own task,
    /// which is not noticed.
    ///
    /// # Errors
    ///
    /// [`WriteLockError::NoBarrier`] if the kernel came to refuse membarrier(2).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point: then the readers get in again.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::SyncReaderDogpile;
    /// # futures::executor::block_on(async {
    /// let pile = SyncReaderDogpile::with_value(Duration::from_secs(60), 7);
    /// let write = pile.acquire_write_lock_async().await?;
    /// assert!(pile.peek().is_none());
    /// drop(write);
    /// assert_eq!(*pile.peek().unwrap(), 7);
    /// # Ok::<_, dogpile::WriteLockError>(())
    /// # }).unwrap();
    /// ```
    pub fn acquire_write_lock_async(
        &self,
    ) -> impl Future<Output = Result<WriteGuard<'_, T>, WriteLockError>> {
        WriteGuard::acquire_async(self.pile(), self.gate(), None)
    }

    /// As [`acquire_write_lock_async`](SyncReaderDogpile::acquire_write_lock_async), waiting for
    /// `limit` at most, which `timer` keeps.
    ///
    /// # Errors
    ///
    /// That, and [`WriteLockError::TimedOut`]: then the readers get in again. [`WriteLockError::NoTimer`] if
    /// `timer` does not run here.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point: then the readers get in again.
    pub fn acquire_write_lock_for_async<'a>(
        &'a self,
        limit: Duration,
        timer: &'a dyn Timer,
    ) -> impl Future<Output = Result<WriteGuard<'a, T>, WriteLockError>> {
        WriteGuard::acquire_async(self.pile(), self.gate(), Some((limit, timer)))
    }
}
