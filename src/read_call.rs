//! One call of a [`SyncReaderDogpile`](crate::SyncReaderDogpile): a call of its pile, made as a
//! reader.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use crate::acquire::Lookup;
use crate::call::{Accept, Call};
use crate::clock::{Tick, Time};
use crate::created::{Created, Creating};
use crate::error::{Error, Failure};
use crate::guard::{Guard, Origin};
use crate::raw::{Gate, Reading, Refusal};
use crate::read_guard::{ReadAcquired, ReadGuard};

/// A call of a [`SyncReaderDogpile`](crate::SyncReaderDogpile) with options of its own; see
/// [`SyncReaderDogpile::call`](crate::SyncReaderDogpile::call).
#[must_use = "a call does nothing until it is made"]
pub struct ReadCall<'a, T> {
    pub(crate) call: Call<'a, T>,
    pub(crate) gate: &'a Gate,
    pub(crate) wait: Option<Duration>,
}

impl<T> Clone for ReadCall<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadCall<'_, T> {}

impl<T> fmt::Debug for ReadCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCall")
            .field("wait", &self.wait)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl<'a, T> ReadCall<'a, T> {
    #[inline]
    pub(crate) fn new(call: Call<'a, T>, gate: &'a Gate) -> Self {
        Self {
            call,
            gate,
            wait: None,
        }
    }

    /// Waits for other callers' creations, and for writers, for `limit` at most, in all;
    /// `Duration::ZERO` never waits.
    ///
    /// It does not limit this call's own creator.
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Calls a value stale that is older than `limit`, even if its own time to live is longer.
    pub const fn max_age(mut self, limit: Duration) -> Self {
        self.call = self.call.max_age(limit);
        self
    }

    /// Which values the call takes.
    pub fn accept(mut self, accept: Accept<'_, T>) -> Self {
        self.call = self.call.accept(accept);
        self
    }

    /// Takes a value newer than this guard's only: as [`Accept::NewerThan`].
    ///
    /// While there is none it creates, or waits, and the guard would be in the way of a creator who
    /// waits for the readers: so this takes what it needs of the guard, which is to be dropped
    /// before the call is made.
    pub fn newer_than(mut self, guard: &ReadGuard<'_, T>) -> Self {
        self.call = self.call.newer_than_number(guard.guard.node().number());
        self
    }

    /// The value, or else the one that `create` makes: as
    /// [`Dogpile::get_or_create`](crate::Dogpile::get_or_create), with the options of this call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if another caller's creation, or a writer, outlasts the wait limit;
    /// [`Error::Reentrant`], [`Error::HoldsReadGuard`], [`Error::HoldsWriteLock`] if the call would
    /// wait for the thread that makes it.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<ReadGuard<'a, T>, Error<Infallible>> {
        match self.glance() {
            Some(guard) => Ok(guard),
            None => self.create_infallibly(create),
        }
    }

    pub(crate) fn create_infallibly(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<ReadGuard<'a, T>, Error<Infallible>> {
        self.create_or_wait(|_| Ok(create().into()), |_failure| None)
    }

    /// The value, or else the one that `create` makes, if it can: as
    /// [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), and those of
    /// [`get_or_create`](ReadCall::get_or_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<ReadGuard<'a, T>, Error<E>> {
        self.get_or_create_with(|_| create().map(Created::new))
    }

    /// The value, or else the one that `create` makes, which may say how long the value lives, how
    /// old it is, and more: as [`Dogpile::get_or_create_with`](crate::Dogpile::get_or_create_with),
    /// with the options of this call.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](ReadCall::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<ReadGuard<'a, T>, Error<E>> {
        match self.glance() {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(create, |failure| Some(failure.into_error())),
        }
    }

    /// The value where it is kept, or else the one that `create` makes and puts there: as
    /// [`Dogpile::acquire`](crate::Dogpile::acquire), with the options of this call.
    ///
    /// `get` runs as a reader, and the answer is one: writers wait until it is dropped. `create`
    /// does not, so it may take the write lock.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::acquire`](crate::Dogpile::acquire), and those of
    /// [`get_or_create`](ReadCall::get_or_create).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    pub fn acquire<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<ReadAcquired<'a, T>, Error<E>> {
        let deadline = self.deadline();
        let holds_guard = self.gate.is_entered();
        let reading = self.enter(deadline)?;
        let call = self.until(deadline, holds_guard);
        let creator = Cell::new(None);
        let create = |creating: Creating<'_, T>| {
            creator.set(Some(self.creator(creating.fence())));
            create()
        };
        let (acquired, reading) = call
            .acquire_within(Some(reading), create, get)
            .map_err(|error| self.with_own_limit(error))?;
        let deadline = (creator.take()).map_or(deadline, |creator| creator.end(deadline));
        match reading {
            Some(reading) => Ok(ReadAcquired::new(acquired, reading)),
            None => {
                let reading = self.enter(deadline)?;
                let newest = acquired.map_created(|guard| self.newest(guard));
                Ok(ReadAcquired::new(newest, reading))
            }
        }
    }

    /// The value that is held, without creating or waiting: `None` while a writer is inside.
    pub(crate) fn peek(self) -> Option<ReadGuard<'a, T>> {
        let reading = self.gate.try_enter()?;
        Some(ReadGuard::new(self.call.peek()?, reading))
    }

    /// The way of almost every call. `None` is not a refusal.
    #[inline(always)]
    pub(crate) fn glance(&self) -> Option<ReadGuard<'a, T>> {
        let reading = self.gate.try_enter()?;
        let guard = self.call.glance()?;
        Some(ReadGuard::new(guard, reading))
    }

    /// The long way: behind a writer, or by the election.
    #[cold]
    #[inline(never)]
    fn create_or_wait<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<ReadGuard<'a, T>, Error<E>> {
        let mut deadline = self.deadline();
        let mut create = Some(create);
        loop {
            let reading = self.enter(deadline)?;
            if let Some(guard) = self.call.look() {
                return Ok(ReadGuard::new(guard, reading));
            }
            // Not as a reader: a creator may wait for those.
            drop(reading);
            let call = self.until(deadline, self.gate.is_entered());
            let creator = Cell::new(None);
            let create_as_leader = |creating: Creating<'_, T>| {
                creator.set(Some(self.creator(creating.fence())));
                create.take().expect("granted once")(creating)
            };
            let guard = call
                .create_or_wait(create_as_leader, &failed)
                .map_err(|error| self.with_own_limit(error))?;
            deadline = (creator.take()).map_or(deadline, |creator| creator.end(deadline));
            let reading = self.enter(deadline)?;
            // A writer was there meanwhile: who has not created looks again.
            if create.is_none() || self.is_current(&guard) {
                return Ok(ReadGuard::new(self.newest(guard), reading));
            }
        }
    }

    /// The call with what is left of the wait limit.
    pub(crate) fn until(&self, deadline: Option<Tick>, holds_guard: bool) -> Call<'a, T> {
        let mut call = self.call;
        if holds_guard {
            call = call.holding_a_read_guard();
        }
        match deadline {
            Some(deadline) => {
                call.wait(deadline.saturating_since(self.call.place.config.time.now()))
            }
            None => call,
        }
    }

    /// Whether no writer can have replaced what was found before this reader came in, with what it
    /// stands for.
    pub(crate) fn is_current(&self, found: &Guard<'a, T>) -> bool {
        found.origin() == Origin::Superseded || self.call.place.pile.shows(found.node())
    }

    /// What was found, or what a writer has put in its place; if that was removed since, what was
    /// found goes with nothing any more.
    pub(crate) fn newest(&self, found: Guard<'a, T>) -> Guard<'a, T> {
        if self.is_current(&found) {
            return found;
        }
        self.call.peek().unwrap_or_else(|| found.superseded())
    }

    fn enter<E>(&self, deadline: Option<Tick>) -> Result<Reading<'a>, Error<E>> {
        let time = &self.call.place.config.time;
        self.gate
            .enter(time, deadline)
            .map_err(|refusal| match refusal {
                Refusal::IsWriter => Error::HoldsWriteLock,
                _ => Error::TimedOut {
                    limit: self.wait.unwrap_or(Duration::MAX),
                },
            })
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        let now = self.call.place.config.time.now();
        self.wait.map(|limit| now.saturating_add(limit))
    }

    /// The creator of the lease with this fence, from now on.
    pub(crate) fn creator(&self, fence: u64) -> Creator<'a> {
        let time = &self.call.place.config.time;
        Creator {
            gate: self.gate,
            fence,
            time,
            began: time.now(),
        }
    }

    pub(crate) fn with_own_limit<E>(&self, error: Error<E>) -> Error<E> {
        match (error, self.wait) {
            (Error::TimedOut { .. }, Some(limit)) => Error::TimedOut { limit },
            (error, _) => error,
        }
    }
}

/// A creator at work, who may leave the gate closed until the end of the lease.
pub(crate) struct Creator<'a> {
    gate: &'a Gate,
    fence: u64,
    time: &'a Time,
    began: Tick,
}

impl Creator<'_> {
    /// Lets the readers in. The deadline of the call does not count the time of its own creator.
    pub(crate) fn end(self, deadline: Option<Tick>) -> Option<Tick> {
        let took = self.time.now().saturating_since(self.began);
        deadline.map(|deadline| deadline.saturating_add(took))
    }
}

// Also when the creator fails, panics or is cancelled.
impl Drop for Creator<'_> {
    fn drop(&mut self) {
        self.gate.end_of(self.fence);
    }
}
