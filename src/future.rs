//! The async forms: of calls, of [`Dogpile`]'s short methods, and of the wait for who creates.
//!
//! Threads and tasks share a pile, its one election and its waiters. An async creator is called by
//! the elected task alone, and its future is polled by that task; nothing here starts a task.

// An `async fn` holds its arguments twice over, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::convert::Infallible;
use std::fmt;
use std::future::{poll_fn, Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::acquire::{self, Acquired, Lookup, Search};
use crate::attempt::{Busy, Outcome};
use crate::call::{Accept, Call, Demand, Elected, Patience};
use crate::clock::{Tick, Time};
use crate::created::{Created, Creating};
use crate::dogpile::{cannot_answer, Dogpile};
use crate::error::{Error, Failure};
use crate::executor::{Sleep, Timer};
use crate::guard::{Guard, Origin};
use crate::place::PileRef;
use crate::raw::{Creation, Event, Rest, Waiting};
use crate::reentrancy::{is_inside, Identity};
use crate::sync::Arc;

/// Waits for the end of somebody else's creation: `busy.await`.
///
/// # Cancel safety
///
/// Dropping it disturbs nobody.
#[must_use = "a future does nothing until it is polled"]
pub struct Wait<'a, T> {
    place: PileRef<'a, T>,
    /// Nothing if the creation is over already.
    waiting: Option<Waiting<Arc<Creation<T>>>>,
    floor: u64,
    origin: Origin,
}

impl<'a, T> Wait<'a, T> {
    /// A look for the outcome.
    #[inline]
    fn look(&mut self, deadline: Option<Tick>, waker: &Waker) -> Rest<Outcome<'a, T>> {
        let PileRef { config, pile } = self.place;
        let Some(waiting) = &mut self.waiting else {
            return Rest::Set(Outcome::ElectAnew);
        };
        match waiting.poll_told(&config.time, deadline, waker) {
            // At each poll: a future may be polled by one task first and by another later.
            Rest::Asleep(_) | Rest::Over if is_inside(Identity::of(pile)) => {
                Rest::Set(Outcome::Reentrant)
            }
            rest => {
                rest.map(|told| Outcome::of(told, waiting.fence(), self.floor, self.origin, config))
            }
        }
    }
}

impl<'a, T> Future for Wait<'a, T> {
    type Output = Outcome<'a, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<'a, T>> {
        match self.look(None, cx.waker()) {
            Rest::Set(outcome) => Poll::Ready(outcome),
            Rest::Over => Poll::Ready(Outcome::TimedOut),
            Rest::Asleep(_) => Poll::Pending,
        }
    }
}

impl<T> Unpin for Wait<'_, T> {}

impl<T> fmt::Debug for Wait<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}

/// As [`Busy::wait`], for tasks.
impl<'a, T> IntoFuture for Busy<'a, T> {
    type Output = Outcome<'a, T>;
    type IntoFuture = Wait<'a, T>;

    fn into_future(self) -> Wait<'a, T> {
        Wait {
            place: self.place,
            floor: self.floor,
            origin: self.origin,
            waiting: self.into_creation().map(Waiting::new),
        }
    }
}

/// The limit of a task's waiting, with what wakes it then.
pub(crate) struct Limit<'a> {
    deadline: Option<Tick>,
    timer: Option<&'a dyn Timer>,
    sleep: Option<Sleep>,
}

impl<'a> Limit<'a> {
    pub(crate) fn new(deadline: Option<Tick>, timer: Option<&'a dyn Timer>) -> Self {
        Self {
            deadline,
            timer,
            sleep: None,
        }
    }

    /// Waits for an event; says whether it is set, which it may be at the very limit.
    pub(crate) async fn wait(&mut self, time: &Time, event: Arc<Event>) -> Result<bool, NoTimer> {
        let mut waiting = Waiting::new(event);
        let set =
            poll_fn(|cx| self.poll(cx, |deadline, waker| waiting.poll(time, deadline, waker)));
        Ok(set.await?.is_some())
    }

    /// One poll for what `look` looks for. `None`: it did not come within the limit.
    fn poll<O>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(Option<Tick>, &Waker) -> Rest<O>,
    ) -> Poll<Result<Option<O>, NoTimer>> {
        loop {
            let rest = match look(self.deadline, cx.waker()) {
                Rest::Set(outcome) => return Poll::Ready(Ok(Some(outcome))),
                Rest::Over => return Poll::Ready(Ok(None)),
                Rest::Asleep(None) => return Poll::Pending,
                Rest::Asleep(Some(rest)) => rest,
            };
            let Some(timer) = self.timer else {
                return Poll::Ready(Err(NoTimer));
            };
            let sleep = self.sleep.get_or_insert_with(|| timer.sleep(rest));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The time is over, whatever the clock says. What came in the same moment counts.
            self.deadline = Some(Tick::ZERO);
        }
    }
}

/// How long an async call may wait. Small where that is without limit: a task holds it.
pub(crate) struct AsyncPatience<'a>(Option<Box<(Patience, Limit<'a>)>>);

impl<'a> AsyncPatience<'a> {
    pub(crate) fn of<T>(call: &Call<'a, T>) -> Self {
        Self(call.wait.is_some().then(|| {
            let patience = call.patience();
            let limit = Limit::new(patience.deadline(), call.timer);
            Box::new((patience, limit))
        }))
    }

    /// Waits for somebody else's creation. `None`: to be attempted anew.
    #[inline]
    pub(crate) fn poll<'p, T, E: Send + Sync + 'static>(
        &mut self,
        wait: &mut Wait<'p, T>,
        cx: &mut Context<'_>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Poll<Option<Result<Guard<'p, T>, Error<E>>>> {
        let Some(limited) = &mut self.0 else {
            let outcome = Pin::new(wait).poll(cx);
            return outcome.map(|outcome| Patience::ENDLESS.answer(outcome, failed));
        };
        let (patience, limit) = &mut **limited;
        let outcome = limit.poll(cx, |deadline, waker| wait.look(deadline, waker));
        outcome.map(|outcome| match outcome {
            Ok(outcome) => patience.answer(outcome.unwrap_or(Outcome::TimedOut), failed),
            Err(NoTimer) => Some(Err(Error::NoTimer)),
        })
    }
}

/// A wait limit that nothing keeps.
#[derive(Debug)]
pub(crate) struct NoTimer;

/// # Async forms
///
/// A limit of [`wait`](Call::wait) needs something that wakes the task at its end: a
/// [`timer`](Call::timer), or an injected clock that is moved by hand. Without one, and by the
/// system's clock, a call with a limit is answered with [`Error::NoTimer`], hit or not. The time-out
/// of your runtime around the call needs nothing, but drops this call's own creator too, where it
/// was elected; [`Dogpile::background`] is the way around that.
impl<'a, T> Call<'a, T> {
    /// Has the wait limit of an async call kept by this timer.
    ///
    /// # Example
    ///
    /// With an adapter, here the one for tokio:
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// # use std::time::Duration;
    /// use dogpile::{executor::Tokio, Dogpile};
    ///
    /// static RATES: Dogpile<Vec<f64>> = Dogpile::new(Duration::from_secs(60));
    ///
    /// # async fn fetch() -> Vec<f64> { vec![1.0842] }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let call = RATES.call().wait(Duration::from_millis(50)).timer(&Tokio);
    /// assert_eq!(call.get_or_create_async(fetch).await.unwrap()[0], 1.0842);
    /// # });
    /// # }
    /// ```
    pub fn timer(mut self, timer: &'a dyn Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    /// As [`get_or_create`](Call::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](Call::get_or_create); [`Error::NoTimer`] if the call has a wait limit
    /// that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`].
    pub fn get_or_create_async<F: Future<Output = T>>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<Infallible>>> {
        let create = |_: Creating<'a, T>| async { Ok(Created::new(create().await)) };
        // Somebody else's failure is no answer to a caller whose creator cannot fail.
        answer_async(move || self, create, |_failure| None)
    }

    /// As [`get_or_try_create`](Call::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Call::get_or_try_create); [`Error::NoTimer`] if the call has a wait
    /// limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`].
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'a, T>| async { create().await.map(Created::new) };
        let failed = |failure: Failure| Some(failure.into_error());
        answer_async(move || self, create, failed)
    }

    /// As [`get_or_create_with`](Call::get_or_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create_with`](Call::get_or_create_with); [`Error::NoTimer`] if the call has a
    /// wait limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`].
    pub fn get_or_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        let failed = |failure: Failure| Some(failure.into_error());
        answer_async(move || self, create, failed)
    }

    /// As [`acquire`](Call::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Call::acquire); [`Error::NoTimer`] if the call has a wait limit that nothing
    /// keeps.
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`]. A look-up that is dropped elects nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        async move {
            self.require_timer()?;
            match self.seek_async(None::<()>, get).await.0 {
                Elected::Answer(answer) => answer,
                Elected::Lead(lease) => {
                    let keep = self.place.config.keep;
                    let create = |_| async move { Ok(Created::new(create().await?).keep(keep)) };
                    Box::pin(lease.create_async(create))
                        .await
                        .map(Acquired::from)
                }
            }
        }
    }

    /// As `acquire_within`, up to the lease; with the section of readers, if it was not left.
    pub(crate) fn seek_async<S, E: Send + Sync + 'static, G>(
        self,
        mut section: Option<S>,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = (Elected<'a, T, E, Acquired<'a, T>>, Option<S>)>
    where
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        async move {
            let failed = |failure: Failure| Some(failure.into_error());
            if self.demand == Demand::New {
                // Nothing that is there already would do.
                drop(section);
                let mut patience = AsyncPatience::of(&self);
                let elected = match Election::new(&|| self, &mut patience, failed).await {
                    Elected::Answer(answer) => Elected::Answer(answer.map(Acquired::from)),
                    Elected::Lead(lease) => Elected::Lead(lease),
                };
                return (elected, None);
            }
            let mut search = Search::begin(self);
            if search.is_worthwhile() {
                match get().await {
                    Ok(lookup) => search.found(lookup),
                    Err(error) => return (Elected::Answer(Err(Error::Get(error))), section),
                }
            }
            if let Some(acquired) = search.at_once() {
                return (Elected::Answer(Ok(acquired)), section);
            }
            let mut patience = AsyncPatience::of(&self);
            let elected = search
                .elect_async(&mut section, &mut patience, failed)
                .await;
            (elected, section)
        }
    }

    /// Refuses a wait limit that nothing keeps: always, and not only the first time that the call
    /// would have to wait.
    pub(crate) fn require_timer<E>(&self) -> Result<(), Error<E>> {
        match self.wait {
            Some(limit) if !limit.is_zero() => {
                if self.timer.is_none() && self.place.config.time.is_system() {
                    return Err(Error::NoTimer);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// All of a call but `acquire`; as the blocking forms. A task that waits holds what `call` does: the
/// options of the call, if it has any.
fn answer_async<'a, T: 'a, E: Send + Sync + 'static, F>(
    call: impl Fn() -> Call<'a, T>,
    create: impl FnOnce(Creating<'a, T>) -> F,
    failed: impl Fn(Failure) -> Option<Error<E>> + Unpin,
) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
where
    F: Future<Output = Result<Created<T>, E>>,
{
    async move {
        call().require_timer()?;
        if let Some(guard) = call().glance() {
            return Ok(guard);
        }
        let creation = {
            let mut patience = AsyncPatience::of(&call());
            match Election::new(&call, &mut patience, failed).await {
                Elected::Answer(answer) => return answer,
                // On the heap, once a creation: or whoever waits would hold the room for it.
                Elected::Lead(lease) => Box::pin(lease.create_async(create)),
            }
        };
        creation.await
    }
}

/// As [`Call::elect`]. By hand, as a block would hold what it borrows once more while it waits.
pub(crate) struct Election<'e, 'a, T, C, D> {
    call: &'e C,
    patience: &'e mut AsyncPatience<'a>,
    failed: D,
    floor: Option<u64>,
    wait: Option<Wait<'a, T>>,
}

impl<'e, 'a, T, C, D> Election<'e, 'a, T, C, D> {
    pub(crate) fn new(call: &'e C, patience: &'e mut AsyncPatience<'a>, failed: D) -> Self {
        Self {
            call,
            patience,
            failed,
            floor: None,
            wait: None,
        }
    }
}

impl<'a, T, E, C, D> Future for Election<'_, 'a, T, C, D>
where
    E: Send + Sync + 'static,
    C: Fn() -> Call<'a, T>,
    D: Fn(Failure) -> Option<Error<E>> + Unpin,
{
    type Output = Elected<'a, T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Elected<'a, T, E>> {
        let this = &mut *self;
        loop {
            let wait = match &mut this.wait {
                Some(wait) => wait,
                none => match (this.call)().look_again(&mut this.floor) {
                    Ok(elected) => return Poll::Ready(elected),
                    Err(busy) => none.insert(busy.into_future()),
                },
            };
            match this.patience.poll(wait, cx, &this.failed) {
                Poll::Ready(Some(answer)) => return Poll::Ready(Elected::Answer(answer)),
                Poll::Ready(None) => this.wait = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<'a, T> Search<'a, T> {
    /// Waits, if it must, outside the section, and then without what was looked up in it.
    pub(crate) async fn elect_async<S, E: Send + Sync + 'static>(
        &mut self,
        section: &mut Option<S>,
        patience: &mut AsyncPatience<'a>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Elected<'a, T, E, Acquired<'a, T>> {
        loop {
            let mut wait = match self.attempt() {
                acquire::Attempt::Hit(acquired) => return Elected::Answer(Ok(acquired)),
                acquire::Attempt::Lease(lease) => return Elected::Lead(lease),
                acquire::Attempt::Busy(busy) => busy.into_future(),
            };
            if section.take().is_some() {
                self.forget();
            }
            let answer = poll_fn(|cx| patience.poll(&mut wait, cx, &failed)).await;
            if let Some(answer) = answer {
                return Elected::Answer(answer.map(Acquired::from));
            }
        }
    }
}

/// # Async forms
///
/// Tasks and threads share the pile: its election, its waiters, its value. The futures are `Send`
/// where what they hold is, need no runtime, and allocate nothing on a hit.
impl<T> Dogpile<T> {
    /// As [`get_or_create`](Dogpile::get_or_create), for tasks.
    ///
    /// `create` is called by the elected task alone, which polls the future itself. A task that is
    /// polled no more holds the lease until it is dropped: who has a stale value goes on meanwhile,
    /// who has none waits.
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates. If called from inside the
    /// creator of the same pile, which is one poll of its future, with no value to be had:
    /// [`get_or_try_create_async`](Dogpile::get_or_try_create_async) returns that as an error.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was elected, its creation is dropped and the
    /// lease given up: those who wait are woken, and the next to come creates. If it waited, nobody
    /// notices. To have the creation go on, see [`background`](Dogpile::background).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// static MOTD: Dogpile<String> = Dogpile::new(Duration::from_secs(60));
    ///
    /// # async fn fetch() -> String { "hello".into() }
    /// # futures::executor::block_on(async {
    /// let text = MOTD.get_or_create_async(|| async { fetch().await.to_uppercase() }).await;
    /// assert_eq!(*text, "HELLO");
    /// # });
    /// ```
    pub fn get_or_create_async<F: Future<Output = T>>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Guard<'_, T>> {
        let create = |_: Creating<'_, T>| async { Ok(Created::new(create().await)) };
        async move {
            // A hit sets up nothing more.
            if let Some(guard) = self.call().glance() {
                return guard;
            }
            // Somebody else's failure is no answer to a caller whose creator cannot fail.
            let answer = answer_async(|| self.call(), create, |_failure| None::<Error<Infallible>>);
            match answer.await {
                Ok(guard) => guard,
                Err(error) => cannot_answer("Dogpile", "_async", &error),
            }
        }
    }

    /// As [`get_or_try_create`](Dogpile::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Error};
    /// # futures::executor::block_on(async {
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let answer = pile.get_or_try_create_async(|| async { "seven".parse::<u32>() }).await;
    /// assert!(matches!(answer, Err(Error::Create(_))));
    /// assert_eq!(*pile.get_or_try_create_async(|| async { "7".parse::<u32>() }).await?, 7);
    /// # Ok::<_, Error<std::num::ParseIntError>>(())
    /// # }).unwrap();
    /// ```
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'_, T>| async { create().await.map(Created::new) };
        let failed = |failure: Failure| Some(failure.into_error());
        async move {
            // A hit sets up nothing more.
            if let Some(guard) = self.call().glance() {
                return Ok(guard);
            }
            answer_async(|| self.call(), create, failed).await
        }
    }

    /// As [`get_or_create_with`](Dogpile::get_or_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    pub fn get_or_create_with_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        let failed = |failure: Failure| Some(failure.into_error());
        answer_async(|| self.call(), create, failed)
    }

    /// As [`acquire`](Dogpile::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does; the others go on.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async). A look-up that is dropped elects
    /// nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        &self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call().acquire_async(create, get)
    }

    /// As [`refresh`](Dogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    pub fn refresh_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let call = self.call().accept(Accept::New);
        call.get_or_try_create_async(create)
    }
}
