//! A call made by a task: it polls its creator, and is woken.
//!
//! Threads and tasks share a pile, its one election and its waiters. An async creator is called by
//! the elected task alone, and its future is polled by that task; nothing here starts a task.

// An `async fn` holds its arguments twice over, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture, Pending, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use crate::answer::Acquired;
use crate::answer::Guard;
use crate::answer::Lease;
use crate::answer::Lookup;
use crate::answer::Origin;
use crate::answer::Site;
use crate::answer::{Caller, Door, GateHold};
use crate::answer::{Created, Creating};
use crate::call::Call;
use crate::call::acquire::Acquiring;
use crate::call::way::{Kept, Report, Source, Step, Stop, Way};
use crate::call::{Busy, Outcome};
use crate::error::Error;
use crate::executor::{Sleep, Timer};
use crate::raw::{Event, Polled, Seat, Waiters, Waiting};
use crate::reentrancy::{Identity, is_inside};
use crate::shim::Arc;
use crate::time::{Tick, Time};

/// Waits for the end of somebody else's creation: `busy.await`.
///
/// # Cancel safety
///
/// Dropping it disturbs nobody.
#[must_use = "a future does nothing until it is polled"]
pub struct Wait<'a, T> {
    place: Site<'a, T>,
    /// Nothing if the creation is over already.
    waiting: Option<Waiting<Arc<Waiters<T>>>>,
    newer_than: u64,
    origin: Origin,
}

impl<'a, T> Wait<'a, T> {
    /// A look for the outcome.
    #[inline]
    fn look(&mut self, deadline: Option<Tick>, waker: &Waker) -> Polled<Outcome<'a, T>> {
        let Site { settings, pile } = self.place;
        let Some(waiting) = &mut self.waiting else {
            return Polled::Set(Outcome::ElectAnew);
        };
        match waiting.poll_told(&settings.time, deadline, waker) {
            // At each poll: a future may be polled by one task first and by another later.
            Polled::Asleep(_) | Polled::Over if is_inside(Identity::of(pile)) => {
                Polled::Set(Outcome::Reentrant)
            }
            rest => rest.map(|told| {
                Outcome::of(
                    told,
                    waiting.fence(),
                    self.newer_than,
                    self.origin,
                    settings,
                )
            }),
        }
    }
}

impl<'a, T> Future for Wait<'a, T> {
    type Output = Outcome<'a, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<'a, T>> {
        match self.look(None, cx.waker()) {
            Polled::Set(outcome) => Poll::Ready(outcome),
            Polled::Over => Poll::Ready(Outcome::TimedOut),
            Polled::Asleep(_) => Poll::Pending,
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
            newer_than: self.newer_than,
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
    paused: Tick,
}

impl<'a> Limit<'a> {
    pub(crate) fn new(deadline: Option<Tick>, timer: Option<&'a dyn Timer>) -> Self {
        Self {
            deadline,
            timer,
            sleep: None,
            paused: Tick::ZERO,
        }
    }

    /// Waits for an event; says whether it is set, which it may be at the very limit.
    pub(crate) async fn wait(&mut self, time: &Time, event: Arc<Event>) -> Result<bool, NoTimer> {
        let mut waiting = Waiting::new(event);
        let set =
            poll_fn(|cx| self.poll(cx, |deadline, waker| waiting.poll(time, deadline, waker)));
        Ok(set.await?.is_some())
    }

    /// One poll for what `look` looks for, within the limit if there is one.
    fn poll_within<O>(
        this: Option<&mut Self>,
        cx: &mut Context<'_>,
        mut look: impl FnMut(Option<Tick>, &Waker) -> Polled<O>,
    ) -> Poll<Result<Option<O>, NoTimer>> {
        match this {
            Some(limit) => limit.poll(cx, look),
            None => match look(None, cx.waker()) {
                Polled::Set(outcome) => Poll::Ready(Ok(Some(outcome))),
                Polled::Over => Poll::Ready(Ok(None)),
                Polled::Asleep(_) => Poll::Pending,
            },
        }
    }

    /// One poll for what `look` looks for. `None`: it did not come within the limit.
    fn poll<O>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(Option<Tick>, &Waker) -> Polled<O>,
    ) -> Poll<Result<Option<O>, NoTimer>> {
        loop {
            let rest = match look(self.deadline, cx.waker()) {
                Polled::Set(outcome) => return Poll::Ready(Ok(Some(outcome))),
                Polled::Over => return Poll::Ready(Ok(None)),
                Polled::Asleep(None) => return Poll::Pending,
                Polled::Asleep(Some(rest)) => rest,
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

/// A wait limit that nothing keeps.
#[derive(Debug)]
pub(crate) struct NoTimer;

/// A call on its way, as a task holds it while it waits: small. `call` makes its options anew.
pub(crate) struct Task<'c, 'a, T, P, S, F, C> {
    call: &'c C,
    way: Way<'a, T, P, S, F>,
    seat: Seat,
    limit: Option<Box<Limit<'a>>>,
}

impl<'c, 'a, T, P, S, F, C> Task<'c, 'a, T, P, S, F, C> {
    pub(crate) fn new(call: &'c C, way: Way<'a, T, P, S, F>) -> Self {
        Self {
            call,
            way,
            seat: Seat::default(),
            limit: None,
        }
    }

    /// Goes on as far as can be without the caller's functions.
    // Not inlined: or a hit would pay for it.
    #[cold]
    #[inline(never)]
    fn poll<D: Door<Pass = P>>(&mut self, cx: &mut Context<'_>) -> Poll<Step<'a, T, S::Answer>>
    where
        S: Source<'a, T, P, Found = F>,
        C: Fn() -> Call<'a, T, D>,
    {
        let call = (self.call)();
        let time = &call.place.settings.time;
        if let (Some(limit), None) = (call.wait, &self.limit) {
            let deadline = time.now().saturating_add(limit);
            self.limit = Some(Box::new(Limit::new(Some(deadline), call.timer)));
        }
        loop {
            if let Some(event) = self.way.event() {
                let (way, seat) = (&self.way, &mut self.seat);
                let look = |deadline, waker: &Waker| match seat.poll(event, time, deadline, waker) {
                    Polled::Set(()) => Polled::Set(Ok(())),
                    rest => match way.may_wait(&call) {
                        Ok(()) => rest.map(Ok),
                        Err(stop) => Polled::Set(Err(stop)),
                    },
                };
                match Limit::poll_within(self.limit.as_deref_mut(), cx, look) {
                    Poll::Ready(Ok(Some(Ok(())))) => {}
                    Poll::Ready(Ok(Some(Err(stop)))) => return Poll::Ready(Step::Stop(stop)),
                    Poll::Ready(Ok(None)) => {
                        let limit = call.wait.unwrap_or_default();
                        return Poll::Ready(Step::Stop(Stop::TimedOut(limit)));
                    }
                    Poll::Ready(Err(NoTimer)) => return Poll::Ready(Step::Stop(Stop::NoTimer)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match self.way.step(&call) {
                Step::Wait => {}
                step => return Poll::Ready(step),
            }
        }
    }

    /// The limit is one to waiting, and does not count the time of the caller's own functions, from
    /// here ...
    fn pause<D>(&mut self)
    where
        C: Fn() -> Call<'a, T, D>,
    {
        if let Some(limit) = &mut self.limit {
            limit.paused = (self.call)().place.settings.time.now();
        }
    }

    /// ... to here.
    fn resume<D>(&mut self)
    where
        C: Fn() -> Call<'a, T, D>,
    {
        if let Some(limit) = &mut self.limit {
            let took = (self.call)()
                .place
                .settings
                .time
                .now()
                .saturating_since(limit.paused);
            limit.deadline = limit.deadline.map(|deadline| deadline.saturating_add(took));
            limit.sleep = None;
        }
    }
}

impl<T, P, S, F, C> Drop for Task<'_, '_, T, P, S, F, C> {
    fn drop(&mut self) {
        if let Some(event) = self.way.event() {
            self.seat.leave(event);
        }
    }
}

/// Goes the way of a call to its end: as [`Call::drive`]. A task that waits holds what `call` does:
/// the options of the call, if it has any.
pub(crate) fn drive<'c, 'a, T: 'a, D, P, S, F, A, E, C, L, G, Lead, Get>(
    mut task: Task<'c, 'a, T, P, S, F, C>,
    lead: Lead,
    get: Get,
) -> impl Future<Output = Result<A, Error<E>>> + use<'c, 'a, T, D, P, S, F, A, E, C, L, G, Lead, Get>
where
    Lead: FnOnce(Lease<'a, T>, Option<Arc<Report<T>>>) -> L,
    Get: FnOnce() -> G,
    D: Door<Pass = P>,
    S: Source<'a, T, P, Found = F, Answer = A>,
    E: Send + Sync + 'static,
    C: Fn() -> Call<'a, T, D>,
    L: Future<Output = Result<Option<Guard<'a, T>>, Error<E>>>,
    G: Future<Output = Result<Lookup<T>, E>>,
{
    let (mut lead, mut get) = (Some(lead), Some(get));
    async move {
        loop {
            // What is in the future while it waits is little: no step, no lease.
            let creation = match poll_fn(|cx| task.poll(cx)).await {
                Step::Answer(answer) => return Ok(answer),
                Step::Stop(stop) => return Err(stop.into_error()),
                Step::Create(lease) => {
                    let lead = lead.take().expect("granted once");
                    // On the heap, once a creation: or whoever waits would hold the room for it.
                    Some(Box::pin(lead(lease, task.way.report())))
                }
                Step::LookUp | Step::Wait => None,
            };
            task.pause();
            let Some(creation) = creation else {
                let get = get.take().expect("looked up once");
                let lookup = get().await.map_err(Error::Get)?;
                task.way.found(&(task.call)(), lookup);
                task.resume();
                continue;
            };
            let made = creation.await?;
            task.resume();
            let call = (task.call)();
            match made.and_then(|guard| task.way.made(&call, guard, true)) {
                Some(Step::Answer(answer)) => return Ok(answer),
                Some(Step::Stop(stop)) => return Err(stop.into_error()),
                _ => {}
            }
        }
    }
}

/// Runs the creator of whom the lease was granted to, in this task.
pub(crate) fn here<'a, T: 'a, D: Door, E: Send + Sync + 'static, F>(
    door: D,
    create: impl FnOnce(Creating<'a, T>) -> F,
    lease: Lease<'a, T>,
) -> impl Future<Output = Result<Option<Guard<'a, T>>, Error<E>>>
where
    F: Future<Output = Result<Created<T>, E>>,
{
    async move {
        let _gate_hold = GateHold::new(door, lease.fence());
        lease.create_async(create).await.map(Some)
    }
}

/// All of a call but `acquire`.
pub(crate) fn answer_async<'a, T: 'a, D: Door, E: Send + Sync + 'static, F>(
    call: impl Fn() -> Call<'a, T, D>,
    heeds_failures: bool,
    create: impl FnOnce(Creating<'a, T>) -> F,
) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
where
    F: Future<Output = Result<Created<T>, E>>,
{
    let door = call().door;
    let way = move || Way::new(Caller::Task, heeds_failures, Kept);
    answer(call, way, move |lease, _| here(door, create, lease))
}

/// A hit, or else the way.
pub(crate) fn answer<'a, T: 'a, D: Door, E: Send + Sync + 'static, L>(
    call: impl Fn() -> Call<'a, T, D>,
    way: impl FnOnce() -> Way<'a, T, D::Pass, Kept, Guard<'a, T>>,
    lead: impl FnOnce(Lease<'a, T>, Option<Arc<Report<T>>>) -> L,
) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
where
    L: Future<Output = Result<Option<Guard<'a, T>>, Error<E>>>,
{
    async move {
        call().require_timer()?;
        if let Some(guard) = call().hit(Caller::Task) {
            return Ok(guard);
        }
        Slowly(pin!(drive(Task::new(&call, way()), lead, no_look_up))).await
    }
}

/// What is no hit, polled out of line: or a hit would pay for it.
struct Slowly<'p, F>(Pin<&'p mut F>);

impl<F: Future> Future for Slowly<'_, F> {
    type Output = F::Output;

    #[cold]
    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

pub(crate) fn no_look_up<T, E>() -> Pending<Result<Lookup<T>, E>> {
    pending()
}

/// # Async forms
///
/// A limit of [`wait`](Call::wait) needs something that wakes the task at its end: a
/// [`timer`](Call::timer), or an injected clock that is moved by hand. Without one, and by the
/// system's clock, a call with a limit is answered with [`Error::NoTimer`], hit or not. The time-out
/// of your runtime around the call needs nothing, but drops this call's own creator too, where it
/// was elected; [`Dogpile::background`](crate::Dogpile::background) is the way around that.
impl<'a, T, D: Door> Call<'a, T, D> {
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
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_create_async<F: Future<Output = T>>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>> {
        let create = |_: Creating<'a, T>| async { Ok(Created::new(create().await)) };
        // Somebody else's failure is no answer to a caller whose creator cannot fail.
        answer_async(move || self, false, create)
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
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'a, T>| async { create().await.map(Created::new) };
        answer_async(move || self, true, create)
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
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        answer_async(move || self, true, create)
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
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async). A look-up that is dropped elects nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let keep = self.place.settings.keep;
        let create = move |_: Creating<'a, T>| async move {
            create().await.map(|value| Created::new(value).keep(keep))
        };
        async move {
            self.require_timer()?;
            let call = || self;
            let lead = |lease, _| here(self.door, create, lease);
            // The way of almost every call, without going it step by step.
            let Some(pass) = self.door.try_enter(Caller::Task) else {
                let way = Way::new(Caller::Task, true, Acquiring::new());
                return drive(Task::new(&call, way), lead, get).await;
            };
            let (mut search, mut get) = (Acquiring::new(), Some(get));
            if Source::<'_, _, D::Pass>::is_to_look_up(&mut search, &self) {
                if let Some(get) = get.take() {
                    let lookup = get().await.map_err(Error::Get)?;
                    Source::<'_, _, D::Pass>::found(&mut search, &self, lookup);
                }
            }
            if let Some(found) = Source::<'_, _, D::Pass>::look(&mut search, &self) {
                return Ok(found.with(pass));
            }
            let way = Way::new(Caller::Task, true, search).looked_up(pass, false);
            drive(Task::new(&call, way), lead, no_look_up).await
        }
    }

    /// Refuses a wait limit that nothing keeps: always, and not only the first time that the call
    /// would have to wait.
    pub(crate) fn require_timer<E>(&self) -> Result<(), Error<E>> {
        match self.wait {
            Some(limit) if !limit.is_zero() => {
                if self.timer.is_none() && self.place.settings.time.is_system() {
                    return Err(Error::NoTimer);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
