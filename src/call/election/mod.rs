//! The election of one call that is no plain hit: who creates, who waits, who has an answer, in steps.
//!
//! It never waits and runs no user code. [`Election::step`] says what the call has to do next, and a
//! driver does it: the one for [threads](crate::call::thread) or the one for
//! [tasks](crate::call::task). What differs between calls are parameters: the *door* that the call
//! passes, the *source* of the value (the pile itself, or a look-up elsewhere), and the *role*, which
//! says who creates.

mod report;
mod source;
mod stop;
mod told;

pub(crate) use self::report::Report;
#[cfg(feature = "async")]
pub(crate) use self::report::dropped_unrun;
pub(crate) use self::source::{Asking, By, Found, Kept, NewerThan, Source};
pub(crate) use self::stop::Stop;

use self::told::{Made, Maker};
use crate::answer::{Caller, Door, Entry, Guard, Lease, Lookup, Site};
use crate::call::{Call, NotYet};
use crate::error::{Error, Failure};
use crate::raw::{Event, Waiters};
use crate::reentrancy::{Identity, is_inside};
use crate::shim::Arc;
use crate::time::Tick;

/// What a call has to do next.
pub(crate) enum Step<'a, T, A> {
    /// It has its answer.
    Answer(A),
    /// It gets none.
    Stop(Stop),
    /// It looks the value up where that is kept, and [tells](Election::looked_up) what it found.
    LookUp,
    /// It creates, and [tells](Election::created) what it made, or [how it failed](Election::failed).
    Create(Lease<'a, T>),
    /// Nobody may create yet. Only of a call that [attempts](Role::Attempts).
    NotYet(NotYet<A>),
    /// It waits for [an event](Election::event), for as long as it may.
    Wait,
}

/// What failures are to a call: those of others, and that of a pile which backs off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    /// They are its answer.
    Taken,
    /// Its own creator cannot fail, so it elects anew.
    Ignored,
    /// It elects anew, and has no error to tell of a back-off with: its creator runs all the same.
    Pressed,
}

/// Who creates, if this call is elected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The call itself.
    Creates,
    /// A job that the call has started elsewhere. The call takes what it has, or waits for the job.
    #[cfg_attr(not(feature = "async"), allow(dead_code))]
    Starts,
    /// The caller, who is given the lease. The call never waits.
    Attempts,
    /// Nobody: the call waits for another's creation, and stops where it would be elected.
    Waits,
}

/// How far a call has come.
enum At<'a, T, F> {
    /// Outside the door, or inside with nothing done yet.
    Start,
    /// Inside, and something was looked up.
    LookedUp,
    /// Waiting for another caller's creation.
    Waiting(Arc<Waiters<T>>),
    /// The creation that this call was elected for runs elsewhere, and this is what the call goes on
    /// with.
    GoingOn(Box<F>),
    /// The creation that this call was elected for runs elsewhere, and the call waits for it.
    Own(Arc<Waiters<T>>, Arc<Report>),
    /// The lease that this call was granted was taken from it before its job began, and nobody creates.
    Late(Failure),
    /// Waiting to be let in, with what is known already.
    Outside(Arc<Event>, Option<Box<Known<'a, T>>>),
}

/// What a call knows before it is let in.
enum Known<'a, T> {
    /// The value that it will have.
    Made(Made<'a, T>),
    /// Why it will have none, unless an older one stands in.
    Stop(Stop),
}

/// The election of one call. The options are the [`Call`]'s. Each step is given the call anew, so that a
/// task that waits need not hold it.
// No bounds and no projections here, nor in what holds it: else a future that holds it is not known
// to be `Send` in a task that is spawned ("implementation of `Source` is not general enough").
pub(crate) struct Election<'a, T, P, S, F> {
    at: At<'a, T, F>,
    newer_than: NewerThan,
    caller: Caller,
    role: Role,
    failures: Failures,
    /// Whether it has waited for a lease until its end, or until a loan: it came before each lease that it
    /// finds, or before whatever supersedes that.
    has_waited: bool,
    /// Whether the caller held a pass before it came in.
    holds_pass: bool,
    pass: Option<P>,
    source: S,
}

impl<'a, T, P, S, F> Election<'a, T, P, S, F> {
    pub(crate) fn new(caller: Caller, role: Role, failures: Failures, source: S) -> Self {
        Self {
            at: At::Start,
            newer_than: NewerThan::UNKNOWN,
            caller,
            role,
            failures,
            has_waited: false,
            holds_pass: false,
            pass: None,
            source,
        }
    }

    /// The same, of a call that is inside and has looked up what there is.
    pub(crate) fn inside(mut self, pass: P, holds_pass: bool) -> Self {
        self.at = At::LookedUp;
        self.pass = Some(pass);
        self.holds_pass = holds_pass;
        self
    }

    /// What is to be waited for.
    pub(crate) fn event(&self) -> Option<&Arc<Event>> {
        match &self.at {
            At::Waiting(waiters) | At::Own(waiters, _) => Some(waiters.done()),
            At::Outside(opening, _) => Some(opening),
            At::Start | At::LookedUp | At::GoingOn(_) | At::Late(_) => None,
        }
    }

    /// Whether the call may wait here. Asked each time: one task may poll a future first and another
    /// later.
    pub(crate) fn may_wait<D, W>(&self, call: &Call<'a, T, D, W>) -> Result<(), Stop> {
        match self.at {
            At::Outside(..) => Ok(()),
            _ if self.role == Role::Attempts => Ok(()),
            _ if is_inside(Identity::of(call.site.pile)) => Err(Stop::Reentrant),
            _ => Ok(()),
        }
    }

    /// From when on the call may take the lease over that it waits for.
    pub(crate) fn overdue_from<D, W>(&self, call: &Call<'a, T, D, W>) -> Option<Tick> {
        let policy = &call.site.settings.policy;
        policy.max_create_time?;
        match (&self.at, self.role) {
            (At::Waiting(_) | At::Outside(..), Role::Creates | Role::Starts) => {
                call.site.pile.overdue_from(policy)
            }
            _ => None,
        }
    }

    fn is_overdue<D, W>(&self, call: &Call<'a, T, D, W>) -> bool {
        let policy = &call.site.settings.policy;
        policy.max_create_time.is_some()
            && matches!(self.role, Role::Creates | Role::Starts)
            && (call.site.pile.overdue_from(policy))
                .is_some_and(|overdue| call.site.settings.time.now() >= overdue)
    }

    /// How the job is to tell whether it began, of a call that starts one.
    pub(crate) fn report(&self) -> Option<Arc<Report>> {
        match &self.at {
            At::Own(_, report) => Some(Arc::clone(report)),
            _ => (self.role == Role::Starts).then(|| Arc::new(Report::new(None))),
        }
    }

    /// The fence of the creation that is waited for, if it is one.
    pub(crate) fn awaited(&self) -> Option<u64> {
        match &self.at {
            At::Waiting(waiters) | At::Own(waiters, _) => Some(waiters.fence()),
            At::Start | At::LookedUp | At::GoingOn(_) | At::Late(_) | At::Outside(..) => None,
        }
    }

    /// Whether the call has something to go on with, whatever becomes of the job that it started.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.at, At::GoingOn(_))
    }

    /// From here on the call only waits. Where it was given something to go on with, it joins those
    /// who wait.
    pub(crate) fn only_waits<D, W>(&mut self, call: &Call<'a, T, D, W>) {
        if self.role == Role::Waits {
            return;
        }
        self.role = Role::Waits;
        self.at = match std::mem::replace(&mut self.at, At::Start) {
            At::Waiting(waiters) => At::Waiting(waiters),
            At::Outside(..) => At::Start,
            At::Start | At::LookedUp | At::GoingOn(_) | At::Late(_) | At::Own(..) => {
                let Site { settings, pile, .. } = call.site;
                pile.join(&settings.policy).map_or(At::Start, At::Waiting)
            }
        };
    }

    /// From here on the call only waits, until the door is open.
    pub(crate) fn only_waits_outside(&mut self) {
        self.role = Role::Waits;
        self.at = At::Start;
    }

    /// The same wait, by a task.
    #[cfg(feature = "async")]
    pub(crate) fn by_a_task(mut self) -> Self {
        self.caller = Caller::Task;
        self
    }

    /// The same wait of a call that has made nothing, for what the pile itself keeps. It borrows nothing
    /// of the pile.
    pub(crate) fn of_kept<'b, G>(self) -> Election<'b, T, P, Kept, G> {
        Election {
            at: match self.at {
                At::Waiting(waiters) => At::Waiting(waiters),
                At::Outside(opening, _) => At::Outside(opening, None),
                At::Start | At::LookedUp | At::GoingOn(_) | At::Late(_) | At::Own(..) => At::Start,
            },
            newer_than: self.newer_than,
            caller: self.caller,
            role: self.role,
            failures: self.failures,
            has_waited: self.has_waited,
            holds_pass: self.holds_pass,
            pass: self.pass,
            source: Kept,
        }
    }
}

impl<'a, T, P, S: Source<'a, T, P>> Election<'a, T, P, S, S::Found> {
    /// Tells what was looked up.
    pub(crate) fn looked_up<D, W>(&mut self, call: &Call<'a, T, D, W>, lookup: Lookup<T>)
    where
        D: Door<Pass = P>,
    {
        self.source.looked_up(call, lookup);
    }

    /// Tells what this call created. `None`: to be stepped on.
    pub(crate) fn created<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        guard: Guard<'a, T>,
    ) -> Option<Step<'a, T, S::Answer>> {
        let by = Maker::This;
        self.made(call, Made { guard, by })
    }

    /// What to do next. As long as that is to wait, the answer stays the same, so it may be asked at
    /// any time.
    pub(crate) fn step<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
    ) -> Step<'a, T, S::Answer> {
        loop {
            let next = match std::mem::replace(&mut self.at, At::Start) {
                At::Start => self.begin(call),
                At::LookedUp => match self.hit(call) {
                    Some(found) => Some(self.answer(call, found)),
                    None => self.elect(call),
                },
                At::GoingOn(found) => Some(self.answer(call, *found)),
                At::Late(failure) => self.stopped(call, Stop::Failed(failure)),
                At::Waiting(waiters) => match waiters.outcome() {
                    Some(ending) => self.told(call, ending, waiters.fence(), None),
                    // What it waits for is taken over: by this call, unless another was quicker.
                    None if self.is_overdue(call) => None,
                    None => {
                        self.at = At::Waiting(waiters);
                        Some(self.wait(call))
                    }
                },
                At::Own(waiters, report) => match waiters.outcome() {
                    Some(ending) => self.told(call, ending, waiters.fence(), Some(&report)),
                    None => {
                        self.at = At::Own(waiters, report);
                        Some(self.wait(call))
                    }
                },
                At::Outside(opening, known) if !opening.is_set() && self.is_overdue(call) => {
                    self.at = At::Outside(opening, known);
                    call.evict();
                    None
                }
                At::Outside(opening, known) if !opening.is_set() => {
                    self.at = At::Outside(opening, known);
                    Some(Step::Wait)
                }
                At::Outside(_, known) => match known.map(|known| *known) {
                    Some(Known::Made(made)) => self.made(call, made),
                    Some(Known::Stop(stop)) => self.stopped(call, stop),
                    None => None,
                },
            };
            if let Some(step) = next {
                return step;
            }
        }
    }

    fn wait<D, W>(&self, call: &Call<'a, T, D, W>) -> Step<'a, T, S::Answer> {
        self.may_wait(call).err().map_or(Step::Wait, Step::Stop)
    }

    #[inline]
    fn answer<D, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        found: S::Found,
    ) -> Step<'a, T, S::Answer> {
        call.site.settings.answered(S::origin(&found));
        let pass = self.pass.take();
        Step::Answer(S::with(found, pass.expect("the call is inside")))
    }

    /// Goes in, if it is not inside already. `Err` is what to do instead.
    fn enter<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
    ) -> Result<(), Result<Arc<Event>, Stop>> {
        if self.pass.is_some() {
            return Ok(());
        }
        // An attempt is no reader while its caller creates: what the caller holds is its own matter.
        self.holds_pass = self.role != Role::Attempts && call.door.holds_pass(self.caller);
        match call.door.enter(self.caller) {
            Entry::In(pass) => {
                self.pass = Some(pass);
                Ok(())
            }
            Entry::Closed(opening) => Err(Ok(opening.0)),
            Entry::ClosedByCaller => Err(Err(Stop::HoldsWriteLock)),
        }
    }

    /// Goes in and looks. `None`: to be stepped on.
    fn begin<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
    ) -> Option<Step<'a, T, S::Answer>> {
        match self.enter(call) {
            Ok(()) => {}
            Err(Ok(opening)) => {
                self.at = At::Outside(opening, None);
                return Some(Step::Wait);
            }
            Err(Err(stop)) => return Some(Step::Stop(stop)),
        }
        if self.role == Role::Waits {
            self.pass = None;
            return Some(Step::Stop(Stop::ElectAnew));
        }
        // The first time without the lock.
        if !self.newer_than.is_known() {
            if self.source.is_to_look_up(call) {
                self.at = At::LookedUp;
                return Some(Step::LookUp);
            }
            if let Some(found) = self.hit(call) {
                return Some(self.answer(call, found));
            }
        }
        self.elect(call)
    }

    /// A look without the lock. An attempt has to know why it gets an older value.
    fn hit<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<S::Found> {
        let takes_stale = self.role != Role::Attempts;
        self.source.hit(call, takes_stale)
    }

    /// A look under the lock, from inside. `None`: to be stepped on.
    fn elect<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
    ) -> Option<Step<'a, T, S::Answer>> {
        match self.attempt(call, None) {
            Found::Value(found) => Some(self.answer(call, found)),
            Found::NotYet(not_yet) => self.not_yet(call, not_yet),
            Found::Lease(_) if self.holds_pass && !self.would_do(call) => {
                self.stopped(call, Stop::HoldsReadGuard)
            }
            Found::Busy(_) if self.holds_pass => self.stopped(call, Stop::HoldsReadGuard),
            Found::Lease(lease) => {
                match self.role {
                    Role::Starts => self.join(call, lease.fence()),
                    // Not as a reader: a creator may wait for those.
                    Role::Creates | Role::Attempts | Role::Waits => self.pass = None,
                }
                Some(Step::Create(lease))
            }
            Found::Busy(waiters) => {
                self.leave::<D>();
                self.at = At::Waiting(waiters);
                None
            }
            Found::Later(turn) => {
                self.leave::<D>();
                self.at = At::Outside(turn, None);
                None
            }
        }
    }

    /// Nobody may create yet, and the call goes on with what there is.
    fn not_yet<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        not_yet: NotYet<S::Found>,
    ) -> Option<Step<'a, T, S::Answer>> {
        let NotYet {
            value,
            retry_in,
            failure,
        } = not_yet;
        match (self.role, value) {
            (Role::Attempts, value) => {
                let stop = Stop::BackingOff {
                    retry_in,
                    failure: failure.clone(),
                };
                let value = value.or_else(|| {
                    let found = self.source.stand_in(call)?;
                    Some(S::beside(found, stop.into_failure()))
                });
                let pass = self.pass.take();
                Some(Step::NotYet(NotYet {
                    value: value.zip(pass).map(|(found, pass)| S::with(found, pass)),
                    retry_in,
                    failure,
                }))
            }
            (_, Some(found)) => Some(self.answer(call, found)),
            (_, None) => self.stopped(call, Stop::BackingOff { retry_in, failure }),
        }
    }

    /// The call has no new value: it gets what stands in for one, or else is told why. `None`: to be
    /// stepped on.
    fn stopped<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        stop: Stop,
    ) -> Option<Step<'a, T, S::Answer>> {
        let may_stand_in = match self.role {
            Role::Creates | Role::Starts => stop.is_failure() && self.source.has_stand_in(call),
            Role::Attempts | Role::Waits => false,
        };
        if !may_stand_in {
            return Some(Step::Stop(stop));
        }
        match self.enter(call) {
            Ok(()) => {}
            // Its time is over.
            Err(_) if matches!(stop, Stop::TimedOut(_)) => return Some(Step::Stop(stop)),
            Err(Ok(opening)) => {
                self.at = At::Outside(opening, Some(Box::new(Known::Stop(stop))));
                return Some(Step::Wait);
            }
            Err(Err(_)) => return Some(Step::Stop(stop)),
        }
        Some(match self.source.stand_in(call) {
            Some(found) => self.answer(call, S::beside(found, stop.into_failure())),
            None => Step::Stop(stop),
        })
    }

    /// Tells that the wait limit is over.
    pub(crate) fn timed_out<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
    ) -> Step<'a, T, S::Answer> {
        let Site { settings, pile, .. } = call.site;
        pile.count_time_out(&settings.policy);
        let stop = Stop::TimedOut(call.wait.unwrap_or_default());
        self.stopped(call, stop).unwrap_or(Step::Wait)
    }

    /// Tells that the call may not wait where it is.
    pub(crate) fn may_not_wait<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        stop: Stop,
    ) -> Step<'a, T, S::Answer> {
        self.stopped(call, stop).unwrap_or(Step::Wait)
    }

    /// Tells that what this call created, or tried to have created, failed. `Ok` is what stands in.
    pub(crate) fn failed<D: Door<Pass = P>, W, E: Send + Sync + 'static>(
        &mut self,
        call: &Call<'a, T, D, W>,
        error: Error<E>,
    ) -> Result<S::Answer, Error<E>> {
        let is_inside = self.source.has_stand_in(call) && self.enter(call).is_ok();
        match is_inside.then(|| self.source.stand_in(call)).flatten() {
            Some(found) => {
                let pass = self.pass.take().expect("the call is inside");
                call.site.settings.answered(S::origin(&found));
                Ok(S::with(S::beside(found, error.into()), pass))
            }
            None => Err(error),
        }
    }

    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        own: Option<u64>,
    ) -> Found<'a, T, S::Found> {
        let asking = Asking {
            has_waited: self.has_waited,
            presses: self.failures == Failures::Pressed,
            own,
            by: match (self.role, self.caller) {
                (Role::Starts, _) => By::Job,
                (_, Caller::Thread) => By::Thread,
                (_, Caller::Task) => By::Task,
            },
        };
        self.source.attempt(call, &mut self.newer_than, asking)
    }

    fn would_do<D: Door, W>(&self, call: &Call<'a, T, D, W>) -> bool {
        self.source.would_do(call, self.newer_than.number())
    }

    fn leave<D: Door>(&mut self) {
        self.pass = None;
        if D::GATED {
            self.source.leaves();
        }
    }

    /// What the call does while the creation runs elsewhere that it was elected for: what anybody
    /// does who comes meanwhile. If it waits, it does so from before the creation starts, and does
    /// not miss its end. It is elected no second time, since its creator is with the job.
    fn join<D: Door<Pass = P>, W>(&mut self, call: &Call<'a, T, D, W>, fence: u64) {
        self.at = match self.attempt(call, Some(fence)) {
            Found::Value(found) => At::GoingOn(Box::new(found)),
            // An `invalidate` may have come since the election. The result is the call's own all the
            // same. Or the lease was taken over, and the new holder creates for this call too.
            Found::Busy(waiters) => {
                self.leave::<D>();
                At::Own(waiters, Arc::new(Report::new(Some(fence))))
            }
            Found::NotYet(NotYet { failure, .. }) => {
                self.leave::<D>();
                At::Late(failure.expect("a lease that was taken over has failed"))
            }
            Found::Lease(_) | Found::Later(_) => unreachable!("its lease was granted"),
        };
    }
}
