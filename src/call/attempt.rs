//! One look at a pile, without creating or waiting: what it found, and the way to wait.

use std::fmt;
#[cfg(feature = "async")]
use std::future::{Future, IntoFuture};
use std::panic::Location;
#[cfg(feature = "async")]
use std::pin::Pin;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::Duration;

use crate::answer::{
    Acquired, Caller, Door, Gated, Guard, Lease, Lookup, Open, Origin, ReadGuard, Site,
};
use crate::call::Call;
#[cfg(feature = "async")]
use crate::call::Here;
use crate::call::acquire::Acquiring;
use crate::call::election::{Election, Failures, Kept, Role, Step, Stop};
#[cfg(feature = "async")]
use crate::call::task::Task;
use crate::error::{Error, Failure, Panicked};

/// What an attempt found; see [`Dogpile::attempt`](crate::Dogpile::attempt).
///
/// `L` is the lease, `A` what shows the value, `D` the door of the pile.
#[must_use = "it may hold the lease, which is given up when it is dropped"]
pub enum Attempt<'a, T, L = Lease<'a, T>, A = Guard<'a, T>, D: Door = Open> {
    /// The value.
    Hit(A),
    /// The value is missing, gone or stale, and this caller is to create it.
    Lease(L),
    /// Another caller is creating the value, or a writer keeps this reader out.
    Busy(Busy<'a, T, A, D>),
    /// Nobody may create yet: the pile backs off, or keeps its interval.
    NotYet(NotYet<A>),
}

/// What an attempt at a [`SyncReaderDogpile`](crate::SyncReaderDogpile) found.
pub type ReadAttempt<'a, T, L = Lease<'a, T>> = Attempt<'a, T, L, ReadGuard<'a, T>, Gated<'a>>;

impl<'a, T, L, A, D: Door> Attempt<'a, T, L, A, D> {
    /// The same with the lease held in another way.
    pub(crate) fn map_lease<M>(self, hold: impl FnOnce(L) -> M) -> Attempt<'a, T, M, A, D> {
        match self {
            Attempt::Hit(answer) => Attempt::Hit(answer),
            Attempt::Lease(lease) => Attempt::Lease(hold(lease)),
            Attempt::Busy(busy) => Attempt::Busy(busy),
            Attempt::NotYet(not_yet) => Attempt::NotYet(not_yet),
        }
    }
}

impl<T, L: fmt::Debug, A, D: Door> fmt::Debug for Attempt<'_, T, L, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attempt::Hit(_) => f.write_str("Hit"),
            Attempt::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            Attempt::Busy(busy) => f.debug_tuple("Busy").field(busy).finish(),
            Attempt::NotYet(not_yet) => f.debug_tuple("NotYet").field(not_yet).finish(),
        }
    }
}

/// Nobody may create yet, since the pile is backing off or keeps an interval.
#[non_exhaustive]
pub struct NotYet<A> {
    /// The value to go on with, if there is one.
    pub value: Option<A>,
    /// After how long the next creation may begin.
    pub retry_in: Duration,
    /// The failure that the pile backs off from, if there is one.
    pub failure: Option<Failure>,
}

impl<A> NotYet<A> {
    /// The same, its value shown in another way.
    pub(crate) fn map<B>(self, show: impl FnOnce(A) -> B) -> NotYet<B> {
        NotYet {
            value: self.value.map(show),
            retry_in: self.retry_in,
            failure: self.failure,
        }
    }
}

impl<A> fmt::Debug for NotYet<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotYet")
            .field("value", &self.value.is_some())
            .field("retry_in", &self.retry_in)
            .field("failure", &self.failure)
            .finish()
    }
}

/// Another caller is creating the value, or a writer keeps this reader out.
#[must_use = "take the stale value, or wait"]
pub struct Busy<'a, T, A = Guard<'a, T>, D: Door = Open> {
    call: Call<'a, T, D>,
    election: Election<'a, T, D::Pass, Kept, Guard<'a, T>>,
    stale: Option<A>,
}

impl<'a, T, A, D: Door> Busy<'a, T, A, D> {
    /// The stale value, if there is one to go on with.
    ///
    /// # Errors
    ///
    /// Itself, if there is none: then [wait](Busy::wait), or attempt again later.
    #[allow(clippy::result_large_err)] // It is the same thing again, moved.
    pub fn into_stale(self) -> Result<A, Self> {
        match self.stale {
            Some(stale) => Ok(stale),
            None => Err(self),
        }
    }
}

impl<'a, T, A, D: Door> Busy<'a, T, A, D> {
    /// Its parts: how far the call has come, and the stale value.
    #[expect(clippy::type_complexity, reason = "two parts, and no more")]
    pub(crate) fn into_parts<'b>(
        self,
    ) -> (Election<'b, T, D::Pass, Kept, Guard<'b, T>>, Option<A>) {
        (self.election.of_kept(), self.stale)
    }

    /// The wait of a call that has come so far.
    pub(crate) fn from_parts(
        call: Call<'a, T, D>,
        election: Election<'a, T, D::Pass, Kept, Guard<'a, T>>,
    ) -> Self {
        Self {
            call,
            election,
            stale: None,
        }
    }
}

impl<'a, T, A: From<Guard<'a, T, D::Pass>>, D: Door> Busy<'a, T, A, D> {
    /// Waits for the end of the creation, without a limit.
    pub fn wait(self) -> Outcome<A> {
        self.until_the_end(None)
    }

    /// Waits for the end of the creation, for `limit` at most.
    pub fn wait_for(self, limit: Duration) -> Outcome<A> {
        self.until_the_end(Some(limit))
    }

    fn until_the_end(mut self, limit: Option<Duration>) -> Outcome<A> {
        self.call.wait = limit;
        let time = &self.call.site.settings.time;
        let deadline = limit.map(|limit| time.now().saturating_add(limit));
        self.begin_to_wait();
        loop {
            match self.election.step(&self.call) {
                Step::Wait => {
                    let event = self
                        .election
                        .event()
                        .expect("there is something to wait for");
                    if !event.wait(time, deadline) {
                        let Site { settings, pile, .. } = self.call.site;
                        pile.count_time_out(&settings.policy);
                        return Outcome::TimedOut;
                    }
                }
                step => return Outcome::of(step),
            }
        }
    }

    fn begin_to_wait(&mut self) {
        self.stale = None;
        self.election.only_waits(&self.call);
    }
}

impl<T, A, D: Door> fmt::Debug for Busy<'_, T, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Busy")
            .field("stale", &self.stale.is_some())
            .finish_non_exhaustive()
    }
}

/// How the wait for another caller's creation ended.
#[must_use = "it may hold the value"]
pub enum Outcome<A> {
    /// With a value.
    Value(A),
    /// With a failure.
    Failed(Failure),
    /// With a panic of the creator.
    Panicked(Panicked),
    /// With nothing: the lease was given up, is over already, or had begun too early for what this
    /// call accepts; or a writer has let the readers in again. Attempt again.
    ElectAnew,
    /// Not within the limit.
    TimedOut,
    /// Not begun, since the caller would wait for itself: it is inside the creator of this very pile,
    /// or holds its write lock.
    Reentrant,
}

impl<A> Outcome<A> {
    /// The same, its value shown in another way.
    pub(crate) fn map<B>(self, show: impl FnOnce(A) -> B) -> Outcome<B> {
        match self {
            Outcome::Value(value) => Outcome::Value(show(value)),
            Outcome::Failed(failure) => Outcome::Failed(failure),
            Outcome::Panicked(panicked) => Outcome::Panicked(panicked),
            Outcome::ElectAnew => Outcome::ElectAnew,
            Outcome::TimedOut => Outcome::TimedOut,
            Outcome::Reentrant => Outcome::Reentrant,
        }
    }

    fn of<T, G>(step: Step<'_, T, G>) -> Self
    where
        A: From<G>,
    {
        match step {
            Step::Answer(guard) => Outcome::Value(guard.into()),
            Step::Stop(stop) => match stop {
                Stop::Failed(failure) => Outcome::Failed(failure),
                Stop::Panicked(panicked) => Outcome::Panicked(panicked),
                Stop::TimedOut(_) => Outcome::TimedOut,
                Stop::Reentrant | Stop::Cycle(_) | Stop::HoldsReadGuard | Stop::HoldsWriteLock => {
                    Outcome::Reentrant
                }
                Stop::ElectAnew
                | Stop::GivenUp
                | Stop::NoTimer
                | Stop::Refused(_)
                | Stop::BackingOff { .. } => Outcome::ElectAnew,
            },
            Step::LookUp | Step::Create(_) | Step::NotYet(_) | Step::Wait => Outcome::ElectAnew,
        }
    }
}

impl<A> fmt::Debug for Outcome<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Value(_) => f.write_str("Value"),
            Outcome::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Outcome::Panicked(panicked) => f.debug_tuple("Panicked").field(panicked).finish(),
            Outcome::ElectAnew => f.write_str("ElectAnew"),
            Outcome::TimedOut => f.write_str("TimedOut"),
            Outcome::Reentrant => f.write_str("Reentrant"),
        }
    }
}

impl<'a, T, D: Door> Call<'a, T, D> {
    /// The value, the lease, or the news that another caller has it, without creating or waiting: as
    /// [`Dogpile::attempt`](crate::Dogpile::attempt), with the options of this call.
    #[track_caller]
    pub fn attempt(mut self) -> Attempt<'a, T, Lease<'a, T>, Guard<'a, T, D::Pass>, D> {
        self.location = Some(Location::caller());
        let mut election = Election::new(Caller::Thread, Role::Attempts, Failures::Taken, Kept);
        let step = election.step(&self);
        self.attempted(step, election, |guard| Guard::origin(guard))
    }

    /// As [`attempt`](Call::attempt), for a value that is kept elsewhere: `get` looks it up.
    ///
    /// The holder of the lease creates the value, puts it where it is kept, and
    /// [publishes](Lease::publish) it, which may say its time to live and its age. A holder that
    /// *declines*, since somebody outside is at it already, drops the lease: those who wait elect
    /// anew, and nobody is told of a failure.
    ///
    /// # Errors
    ///
    /// [`Error::Get`] with the error of `get`. Nobody was elected.
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::time::Duration;
    /// use dogpile::{Attempt, Created, Dogpile, Lookup};
    ///
    /// let mut store = HashMap::from([("seven", 7)]);
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let look = || Ok::<_, std::io::Error>(store.get("seven").copied().into());
    /// // On a pile that never created, what is found without an age counts as none.
    /// let Attempt::Lease(lease) = pile.call().attempt_acquire(look)? else { panic!() };
    /// store.insert("seven", 8);
    /// let created = Created::new(8).ttl(Duration::from_secs(10));
    /// assert_eq!(*lease.publish(created).unwrap(), 8);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    #[expect(
        clippy::type_complexity,
        reason = "an attempt, and what shows its value"
    )]
    #[track_caller]
    pub fn attempt_acquire<E>(
        mut self,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Attempt<'a, T, Lease<'a, T>, Acquired<'a, T, D::Pass>, D>, Error<E>> {
        self.location = Some(Location::caller());
        let mut election = Election::new(
            Caller::Thread,
            Role::Attempts,
            Failures::Taken,
            Acquiring::new(),
        );
        let mut step = election.step(&self);
        if let Step::LookUp = step {
            election.looked_up(&self, get().map_err(Error::Get)?);
            step = election.step(&self);
        }
        let election = election.of_kept();
        Ok(self.attempted(step, election, |acquired| Acquired::origin(acquired)))
    }

    fn attempted<A>(
        self,
        step: Step<'a, T, A>,
        mut election: Election<'a, T, D::Pass, Kept, Guard<'a, T>>,
        origin: impl FnOnce(&A) -> Origin,
    ) -> Attempt<'a, T, Lease<'a, T>, A, D> {
        let stale = match step {
            Step::Create(mut lease) => {
                lease.tell_begin();
                return Attempt::Lease(lease);
            }
            Step::NotYet(not_yet) => return Attempt::NotYet(not_yet),
            Step::Answer(answer) => match origin(&answer) {
                Origin::Stale => Some(answer),
                _ => return Attempt::Hit(answer),
            },
            Step::Wait | Step::LookUp => None,
            Step::Stop(_) => {
                election.only_waits_outside();
                None
            }
        };
        let call = self;
        Attempt::Busy(Busy {
            call,
            election,
            stale,
        })
    }
}

/// Waits for the end of another caller's creation: `busy.await`.
///
/// # Cancel safety
///
/// Dropping it disturbs nobody.
#[cfg(feature = "async")]
#[must_use = "a future does nothing until it is polled"]
pub struct Wait<'a, T, A = Guard<'a, T>, D: Door = Open> {
    call: Call<'a, T, D, Here<'a>>,
    task: Waiting<'a, T, D::Pass>,
    answer: std::marker::PhantomData<fn() -> A>,
}

#[cfg(feature = "async")]
type Waiting<'a, T, P> = Task<'a, 'a, T, P, Kept, Guard<'a, T>>;

/// As [`Busy::wait`], for tasks.
#[cfg(feature = "async")]
impl<'a, T, A: From<Guard<'a, T, D::Pass>>, D: Door> IntoFuture for Busy<'a, T, A, D> {
    type Output = Outcome<A>;
    type IntoFuture = Wait<'a, T, A, D>;

    fn into_future(mut self) -> Wait<'a, T, A, D> {
        self.call.wait = None;
        self.begin_to_wait();
        Wait {
            call: self.call,
            task: Task::new(self.election.by_a_task()),
            answer: std::marker::PhantomData,
        }
    }
}

#[cfg(feature = "async")]
impl<'a, T, A: From<Guard<'a, T, D::Pass>>, D: Door> Future for Wait<'a, T, A, D> {
    type Output = Outcome<A>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<A>> {
        let Self { call, task, .. } = &mut *self;
        task.poll(call, cx).map(Outcome::of)
    }
}

// It holds no value that could be pinned.
#[cfg(feature = "async")]
impl<T, A, D: Door> Unpin for Wait<'_, T, A, D> {}

#[cfg(feature = "async")]
impl<T, A, D: Door> fmt::Debug for Wait<'_, T, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}
