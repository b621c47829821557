//! The driver for tasks: a call polls its creator, and is woken.
//!
//! Threads and tasks share a pile, its one election and its waiters. The elected task alone calls an
//! async creator and polls its future; nothing here starts a task.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::future::{Future, Pending, pending, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::answer::{Caller, Created, Creating, Door, Guard, Lease, Lookup};
use crate::call::election::{Election, Failures, Kept, Report, Role, Source, Step, Stop};
use crate::call::thread::Led;
use crate::call::{Call, Here};
use crate::error::Error;
use crate::executor::{Sleep, Timer};
use crate::raw::{Event, Polled, Seat};
use crate::shim::{Arc, Mutex};
use crate::time::{Tick, Time};

/// Makes the call anew, each time that it is needed: a short form need not hold its options.
pub(crate) trait Remake<'a, 't, T, D> {
    fn call(&self) -> Call<'a, T, D, Here<'t>>;
}

impl<'a, 't, T: 'a, D, F: Fn() -> Call<'a, T, D, Here<'t>>> Remake<'a, 't, T, D> for F {
    #[inline(always)]
    fn call(&self) -> Call<'a, T, D, Here<'t>> {
        self()
    }
}

impl<'a, 't, T, D: Copy> Remake<'a, 't, T, D> for Call<'a, T, D, Here<'t>> {
    fn call(&self) -> Self {
        *self
    }
}

/// The limit of a task's waiting, with what wakes the task then.
pub(crate) struct Limit<'t> {
    deadline: Option<Tick>,
    /// When the task is to look again before that.
    overdue: Option<Tick>,
    timer: Option<&'t dyn Timer>,
    // In a lock that is never locked, so that a future which waits is `Sync`, as a timer need not be.
    sleep: Mutex<Option<Sleep>>,
    /// Since when one of the caller's own functions runs.
    paused: Tick,
}

impl<'t> Limit<'t> {
    pub(crate) fn new(deadline: Option<Tick>, timer: Option<&'t dyn Timer>) -> Self {
        Self {
            deadline,
            overdue: None,
            timer,
            sleep: Mutex::new(None),
            paused: Tick::ZERO,
        }
    }

    pub(crate) fn set_overdue(&mut self, overdue: Option<Tick>) {
        if self.overdue != overdue {
            self.overdue = overdue;
            *self.sleep.get_mut() = None;
        }
    }

    pub(crate) fn is_overdue(&self) -> bool {
        // Taking over comes first, if both come at once.
        (self.overdue).is_some_and(|overdue| overdue <= self.deadline.unwrap_or(Tick::MAX))
    }

    /// Waits for an event; says whether it is set, which it may be at the very limit.
    pub(crate) async fn wait(&mut self, time: &Time, event: Arc<Event>) -> Result<bool, NoTimer> {
        let mut waiting = Waiting {
            seat: Seat::default(),
            event,
        };
        let set = poll_fn(|cx| {
            let Waiting { seat, event } = &mut waiting;
            self.poll(cx, |deadline, waker| {
                seat.poll(event, time, deadline, waker)
            })
        });
        Ok(set.await?.is_some())
    }

    /// One poll for what `look` looks for. `None`: it did not come within the limit.
    fn poll<O>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(Option<Tick>, &Waker) -> Polled<O>,
    ) -> Poll<Result<Option<O>, NoTimer>> {
        loop {
            let until = match (self.deadline, self.overdue) {
                (Some(deadline), Some(overdue)) => Some(deadline.min(overdue)),
                (deadline, overdue) => deadline.or(overdue),
            };
            let rest = match look(until, cx.waker()) {
                Polled::Set(outcome) => return Poll::Ready(Ok(Some(outcome))),
                Polled::Over => return Poll::Ready(Ok(None)),
                Polled::Asleep(None) => return Poll::Pending,
                Polled::Asleep(Some(rest)) => rest,
            };
            let Some(timer) = self.timer else {
                return Poll::Ready(Err(NoTimer));
            };
            let sleep = self.sleep.get_mut();
            if sleep.is_none() {
                *sleep = timer.sleep(rest);
            }
            let Some(sleep) = sleep else {
                return Poll::Ready(Err(NoTimer));
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The time is over, whatever the clock says. What came in the same moment counts.
            match self.is_overdue() {
                true => self.overdue = Some(Tick::ZERO),
                false => self.deadline = Some(Tick::ZERO),
            }
        }
    }
}

/// A task that waits for an event. It gives its seat back when it is dropped.
struct Waiting {
    seat: Seat,
    event: Arc<Event>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.seat.leave(&self.event);
    }
}

/// Nothing keeps a wait limit.
#[derive(Debug)]
pub(crate) struct NoTimer;

/// An election, as a task holds it while it waits: small. Each poll is given the call anew.
pub(crate) struct Task<'a, 't, T, P, S, F> {
    election: Election<'a, T, P, S, F>,
    seat: Seat,
    limit: Option<Box<Limit<'t>>>,
}

impl<'a, 't, T, P, S, F> Task<'a, 't, T, P, S, F> {
    pub(crate) fn new(election: Election<'a, T, P, S, F>) -> Self {
        Self {
            election,
            seat: Seat::default(),
            limit: None,
        }
    }

    /// What almost every wait ends with. `None`: it has to be polled.
    // Inlined: it is all that many tasks do one after the other.
    #[inline(always)]
    fn told_plainly<D: Door<Pass = P>>(
        &mut self,
        call: &Call<'a, T, D, Here<'t>>,
    ) -> Option<S::Answer>
    where
        S: Source<'a, T, P, Found = F>,
    {
        let answer = self.election.told_plainly(call)?;
        self.seat = Seat::default(); // Nobody's any more.
        Some(answer)
    }

    /// Goes on as far as can be without the caller's functions.
    pub(crate) fn poll<D: Door<Pass = P>>(
        &mut self,
        call: &Call<'a, T, D, Here<'t>>,
        cx: &mut Context<'_>,
    ) -> Poll<Step<'a, T, S::Answer>>
    where
        S: Source<'a, T, P, Found = F>,
    {
        let time = &call.site.settings.time;
        if let (Some(limit), None) = (call.wait, &self.limit) {
            let deadline = time.now().saturating_add(limit);
            self.limit = Some(Box::new(Limit::new(Some(deadline), call.mode.timer)));
        }
        loop {
            self.notice_overdue(call);
            // The seat belongs to the event that the election waits for now, so it is polled before
            // the election goes on to the next event.
            if let Some(event) = self.election.event() {
                let (election, seat) = (&self.election, &mut self.seat);
                let mut look =
                    |deadline, waker: &Waker| match seat.poll(event, time, deadline, waker) {
                        Polled::Set(()) => Polled::Set(Ok(())),
                        rest => match election.may_wait(call) {
                            Ok(()) => rest.map(Ok),
                            Err(stop) => Polled::Set(Err(stop)),
                        },
                    };
                let looked = match &mut self.limit {
                    Some(limit) => limit.poll(cx, look),
                    None => match look(None, cx.waker()) {
                        Polled::Set(outcome) => Poll::Ready(Ok(Some(outcome))),
                        Polled::Over | Polled::Asleep(_) => Poll::Pending,
                    },
                };
                match looked {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(Some(Ok(())))) => {}
                    Poll::Ready(Ok(Some(Err(stop)))) => return Poll::Ready(Step::Stop(stop)),
                    // It goes on from another event than the one on which it has its seat.
                    Poll::Ready(Ok(None)) if self.is_overdue() => self.leave(),
                    Poll::Ready(Ok(None)) => return Poll::Ready(self.election.timed_out(call)),
                    Poll::Ready(Err(NoTimer)) => return Poll::Ready(Step::Stop(Stop::NoTimer)),
                }
            }
            match self.election.step(call) {
                Step::Wait => {}
                step => return Poll::Ready(step),
            }
        }
    }

    /// Wakes the task too when the lease may be taken over that it waits for, if anything can wake it.
    fn notice_overdue<D: Door<Pass = P>>(&mut self, call: &Call<'a, T, D, Here<'t>>)
    where
        S: Source<'a, T, P, Found = F>,
    {
        let overdue = self.election.overdue_from(call);
        match &mut self.limit {
            Some(limit) => limit.set_overdue(overdue),
            None if overdue.is_some() && call.can_be_woken() => {
                let mut limit = Limit::new(None, call.mode.timer);
                limit.set_overdue(overdue);
                self.limit = Some(Box::new(limit));
            }
            None => {}
        }
    }

    /// Whether it woke up to take over, and not since its limit passed.
    fn is_overdue(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.is_overdue())
    }

    /// Stops the limit while one of the caller's functions runs, from here ...
    fn pause(&mut self, time: &Time) {
        if let Some(limit) = &mut self.limit {
            limit.paused = time.now();
        }
    }

    /// ... to here.
    fn resume(&mut self, time: &Time) {
        if let Some(limit) = &mut self.limit {
            let took = time.now().saturating_since(limit.paused);
            limit.deadline = limit.deadline.map(|deadline| deadline.saturating_add(took));
            *limit.sleep.get_mut() = None;
        }
    }
}

impl<T, P, S, F> Task<'_, '_, T, P, S, F> {
    fn leave(&mut self) {
        if let Some(event) = self.election.event() {
            self.seat.leave(event);
        }
    }
}

impl<T, P, S, F> Drop for Task<'_, '_, T, P, S, F> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A call and its election, as a task holds them from the first poll that is no hit.
// By hand, and with the creator borrowed from the block that has it: a block holds what it is given once
// more, and whoever waits would hold all of that.
pub(crate) struct Driving<'d, 'a, 't, T, D, P, S, F, C, N, L> {
    call: &'d C,
    /// Becomes the creation.
    lead: &'d mut Option<N>,
    /// On the heap, once a creation: else whoever waits would hold the room for it.
    creation: Option<Pin<Box<L>>>,
    task: Task<'a, 't, T, P, S, F>,
    door: PhantomData<fn() -> D>,
}

/// How far a call comes by itself.
pub(crate) enum Driven<R> {
    Over(R),
    /// It waits for what is [looked up](drive).
    LookUp,
}

impl<'d, 'a, 't, T, D, P, S, F, C, N, L> Driving<'d, 'a, 't, T, D, P, S, F, C, N, L> {
    pub(crate) fn new(
        call: &'d C,
        election: Election<'a, T, P, S, F>,
        lead: &'d mut Option<N>,
    ) -> Self {
        Self {
            call,
            lead,
            creation: None,
            task: Task::new(election),
            door: PhantomData,
        }
    }

    /// Stops the limit while something is looked up.
    fn pause(&mut self)
    where
        C: Remake<'a, 't, T, D>,
    {
        let call = self.call.call();
        self.task.pause(&call.site.settings.time);
    }

    fn looked_up(&mut self, lookup: Lookup<T>)
    where
        D: Door<Pass = P>,
        S: Source<'a, T, P, Found = F>,
        C: Remake<'a, 't, T, D>,
    {
        let call = self.call.call();
        self.task.election.looked_up(&call, lookup);
        self.task.resume(&call.site.settings.time);
    }
}

// Nothing in it is pinned where it stands.
impl<T, D, P, S, F, C, N, L> Unpin for Driving<'_, '_, '_, T, D, P, S, F, C, N, L> {}

/// Steps the election to its end: as [`Call::drive`].
impl<'a, 't, T: 'a, D, S, E, C, N, L> Future
    for Driving<'_, 'a, 't, T, D, D::Pass, S, S::Found, C, N, L>
where
    D: Door,
    S: Source<'a, T, D::Pass>,
    E: Send + Sync + 'static,
    C: Remake<'a, 't, T, D>,
    N: FnOnce(Lease<'a, T>, Option<Arc<Report>>) -> L,
    L: Future<Output = Led<'a, T, E>>,
{
    type Output = Driven<Result<S::Answer, Error<E>>>;

    // Not inlined: else a hit would pay for it.
    #[cold]
    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(answer) = this.task.told_plainly(&this.call.call()) {
            return Poll::Ready(Driven::Over(Ok(answer)));
        }
        let call = &this.call.call();
        let time = &call.site.settings.time;
        loop {
            let mut step = None;
            if let Some(creation) = &mut this.creation {
                let made = ready!(creation.as_mut().poll(cx));
                this.creation = None;
                let made = match made {
                    // Nobody makes a new value now, but there is one to go on with.
                    Err(Error::Refused(_)) if this.task.election.goes_on() => None,
                    Err(error) => {
                        let failed = this.task.election.failed(call, error);
                        return Poll::Ready(Driven::Over(failed));
                    }
                    Ok(made) => made,
                };
                this.task.resume(time);
                step = made.and_then(|guard| this.task.election.created(call, guard));
            }
            let step = match step {
                Some(step @ (Step::Answer(_) | Step::Stop(_))) => step,
                _ => ready!(this.task.poll(call, cx)),
            };
            match step {
                Step::Answer(answer) => return Poll::Ready(Driven::Over(Ok(answer))),
                Step::Stop(stop) => return Poll::Ready(Driven::Over(Err(stop.into_error()))),
                Step::Create(mut lease) => {
                    lease.tell_begin();
                    let lead = this.lead.take().expect("granted once");
                    let report = this.task.election.report();
                    this.creation = Some(Box::pin(lead(lease, report)));
                    this.task.pause(time);
                }
                Step::LookUp => return Poll::Ready(Driven::LookUp),
                Step::NotYet(_) => unreachable!("only an attempt is told so"),
                Step::Wait => {}
            }
        }
    }
}

/// Steps an election to its end, and looks up what it asks for.
pub(crate) fn drive<'d, 'a, 't, T: 'a, D, P, S, F, A, E, C, N, L, Get, G>(
    mut driving: Driving<'d, 'a, 't, T, D, P, S, F, C, N, L>,
    get: Get,
) -> impl Future<Output = Result<A, Error<E>>> + use<'d, 'a, 't, T, D, P, S, F, A, E, C, N, L, Get, G>
where
    D: Door<Pass = P>,
    S: Source<'a, T, P, Found = F, Answer = A>,
    E: Send + Sync + 'static,
    C: Remake<'a, 't, T, D>,
    N: FnOnce(Lease<'a, T>, Option<Arc<Report>>) -> L,
    L: Future<Output = Led<'a, T, E>>,
    Get: FnOnce() -> G,
    G: Future<Output = Result<Lookup<T>, E>>,
{
    let mut get = Some(get);
    async move {
        loop {
            match (&mut driving).await {
                Driven::Over(answer) => return answer,
                Driven::LookUp => {
                    let get = get.take().expect("looked up once");
                    driving.pause();
                    let lookup = get().await.map_err(Error::Get)?;
                    driving.looked_up(lookup);
                }
            }
        }
    }
}

/// Runs the creator in this task.
pub(crate) fn here<'a, T: 'a, E: Send + Sync + 'static, F>(
    create: impl FnOnce(Creating<'a, T>) -> F,
    lease: Lease<'a, T>,
) -> impl Future<Output = Led<'a, T, E>>
where
    F: Future<Output = Result<Created<T>, E>>,
{
    async move { lease.create_async(create).await.map(Some) }
}

/// All of a call that looks nothing up, and whose creator runs in this task.
pub(crate) fn answer_here<'a, 't, T: 'a, D: Door, E: Send + Sync + 'static, F, R>(
    call: impl Remake<'a, 't, T, D>,
    failures: Failures,
    create: impl FnOnce(Creating<'a, T>) -> F,
    told: impl FnOnce(Result<Guard<'a, T, D::Pass>, Error<E>>) -> R,
) -> impl Future<Output = R>
where
    F: Future<Output = Result<Created<T>, E>>,
{
    let election = move || Election::new(Caller::Task, Role::Creates, failures, Kept);
    answer(call, election, move |lease, _| here(create, lease), told)
}

/// All of a call that looks nothing up: a hit, or else the election. `told` makes of it what the caller
/// is told.
pub(crate) fn answer<'a, 't, T: 'a, D: Door, S, E: Send + Sync + 'static, L, R>(
    call: impl Remake<'a, 't, T, D>,
    election: impl FnOnce() -> Election<'a, T, D::Pass, S, Guard<'a, T>>,
    lead: impl FnOnce(Lease<'a, T>, Option<Arc<Report>>) -> L,
    told: impl FnOnce(Result<Guard<'a, T, D::Pass>, Error<E>>) -> R,
) -> impl Future<Output = R>
where
    S: Source<'a, T, D::Pass, Found = Guard<'a, T>, Answer = Guard<'a, T, D::Pass>>,
    L: Future<Output = Led<'a, T, E>>,
{
    let mut lead = Some(lead);
    async move {
        {
            let call = call.call();
            if let Err(error) = call.require_timer() {
                return told(Err(error));
            }
            if let Some(guard) = call.hit_by(Caller::Task) {
                return told(Ok(guard));
            }
        }
        match Driving::new(&call, election(), &mut lead).await {
            Driven::Over(answer) => told(answer),
            Driven::LookUp => unreachable!("it looks nothing up"),
        }
    }
}

/// For a call that looks nothing up.
pub(crate) fn no_look_up<T, E>() -> Pending<Result<Lookup<T>, E>> {
    pending()
}

impl<T, D> Call<'_, T, D, Here<'_>> {
    /// Refuses a wait limit that nothing keeps: always, and not only the first time that the call
    /// would have to wait.
    #[inline]
    pub(crate) fn require_timer<E>(&self) -> Result<(), Error<E>> {
        require_timer(self.wait, self.mode, &self.site.settings.time)
    }

    /// Whether anything wakes a task at a time.
    fn can_be_woken(&self) -> bool {
        can_be_woken(self.mode, &self.site.settings.time)
    }
}

/// See [`Call::require_timer`].
// By value: a reference would keep the call in memory on the way of a hit.
#[inline]
pub(crate) fn require_timer<E>(
    wait: Option<Duration>,
    mode: Here<'_>,
    time: &Time,
) -> Result<(), Error<E>> {
    match wait {
        Some(limit) if !limit.is_zero() => match can_be_woken(mode, time) {
            true => Ok(()),
            false => Err(Error::NoTimer),
        },
        _ => Ok(()),
    }
}

fn can_be_woken(mode: Here<'_>, time: &Time) -> bool {
    mode.timer.is_some_and(Timer::is_here) || time.wakes()
}
