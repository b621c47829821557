//! The way of a call that is not a plain hit, from the first look to the answer, in steps. It never
//! waits and runs no user code: [`Way::step`] says what there is to do next, and a driver does it,
//! the one for [threads](crate::thread) or the one for [tasks](crate::task).
#![cfg_attr(not(feature = "async"), allow(dead_code))]

use std::time::Duration;

use crate::answer::Lease;
use crate::answer::Lookup;
use crate::answer::{Caller, Door, Entry};
use crate::answer::{Guard, Origin};
use crate::call::Call;
use crate::call::{Attempted, NewerThan, Outcome};
use crate::error::Refused;
use crate::error::{Error, Failure};
use crate::raw::{Ending, NodeRef};
use crate::raw::{Event, Waiters};
use crate::reentrancy::{Identity, is_inside};
use crate::shim::Arc;
use crate::shim::Mutex;

/// What a call has to do next.
pub(crate) enum Step<'a, T, A> {
    /// It has its answer.
    Answer(A),
    /// It gets none.
    Stop(Stop),
    /// It looks the value up, where that is kept, and [tells](Way::found) what it found.
    LookUp,
    /// It is to create, and [tells](Way::made) what it made.
    Create(Lease<'a, T>),
    /// It waits for [that](Way::event), for as long as it may.
    Wait,
}

/// Why a call gets no value, whatever the error type of its creator.
pub(crate) enum Stop {
    Failed(Failure),
    TimedOut(Duration),
    Reentrant,
    HoldsReadGuard,
    HoldsWriteLock,
    NoTimer,
    Refused(Refused),
    GivenUp,
}

impl Stop {
    pub(crate) fn into_error<E: Send + Sync + 'static>(self) -> Error<E> {
        match self {
            Stop::Failed(failure) => failure.into_error(),
            Stop::TimedOut(limit) => Error::TimedOut { limit },
            Stop::Reentrant => Error::Reentrant,
            Stop::HoldsReadGuard => Error::HoldsReadGuard,
            Stop::HoldsWriteLock => Error::HoldsWriteLock,
            Stop::NoTimer => Error::NoTimer,
            Stop::Refused(refused) => Error::Refused(refused),
            Stop::GivenUp => Error::GivenUp,
        }
    }
}

/// Where values come from: the pile itself, or where a look-up finds them.
pub(crate) trait Source<'a, T, P> {
    /// What is found.
    type Found;
    /// The same, held together with a pass `P`: what a call is answered with.
    type Answer;

    fn of_guard(guard: Guard<'a, T>) -> Self::Found;

    fn with(found: Self::Found, pass: P) -> Self::Answer;

    /// A look without the lock, once the call is inside.
    fn look<D: Door>(&mut self, call: &Call<'a, T, D>) -> Option<Self::Found>;

    /// Notes what was looked up.
    fn found<D: Door>(&mut self, call: &Call<'a, T, D>, lookup: Lookup<T>);

    /// Whether there is something to be looked up before the lock is taken.
    fn is_to_look_up<D: Door>(&mut self, call: &Call<'a, T, D>) -> bool;

    /// A look under the lock. `newer_than` is fixed by the first: what counts is what had happened when
    /// the call began, however long it takes.
    fn attempt<D: Door>(
        &mut self,
        call: &Call<'a, T, D>,
        newer_than: &mut NewerThan,
    ) -> Attempted<'a, T, Self::Found>;

    /// Whether the value at hand would do while somebody else creates.
    fn would_do<D: Door>(
        &self,
        call: &Call<'a, T, D>,
        lease: &Lease<'a, T>,
        newer_than: u64,
    ) -> bool;

    /// The call goes out: what was looked up inside counts no more.
    fn goes_out(&mut self);

    /// Whether a value that another made, and a writer has replaced, still starts the call anew.
    const LOOKS_AGAIN: bool;
}

/// How far a call has come.
enum At<'a, T, F> {
    /// Outside.
    Start,
    /// Inside, and something was looked up.
    LookedUp,
    /// Waiting for somebody else's creation.
    Waiting(Arc<Waiters<T>>),
    /// The creation that this call was granted was started elsewhere, and there is something to go
    /// on with.
    GoingOn(Box<F>),
    /// Or nothing, and it waits for that.
    Own(Arc<Waiters<T>>, Arc<Report<T>>),
    /// Waiting to be let in, with what was made, if that is all that is missing.
    Outside(Arc<Event>, Option<Box<Made<'a, T>>>),
}

struct Made<'a, T> {
    guard: Guard<'a, T>,
    here: bool,
}

/// A call on its way. Its options are the [`Call`]'s, which each step is given anew: a task that
/// waits need not hold them.
// No bounds and no projections here, nor in what holds it: else a future that holds it is not known
// to be `Send` in a task that is ("implementation of `Source` is not general enough").
pub(crate) struct Way<'a, T, P, S, F> {
    at: At<'a, T, F>,
    newer_than: NewerThan,
    caller: Caller,
    /// Whether somebody else's failure is an answer.
    heeds_failures: bool,
    /// Whether it creates elsewhere.
    elsewhere: bool,
    /// Whether the caller held a pass before it came in.
    holds_pass: bool,
    pass: Option<P>,
    source: S,
}

impl<'a, T, P, S, F> Way<'a, T, P, S, F> {
    pub(crate) fn new(caller: Caller, heeds_failures: bool, source: S) -> Self {
        Self {
            at: At::Start,
            newer_than: NewerThan::UNFIXED,
            caller,
            heeds_failures,
            elsewhere: false,
            holds_pass: false,
            pass: None,
            source,
        }
    }

    /// The same, of a call that is inside, and has looked up what there is.
    pub(crate) fn looked_up(mut self, pass: P, holds_pass: bool) -> Self {
        self.at = At::LookedUp;
        self.pass = Some(pass);
        self.holds_pass = holds_pass;
        self
    }

    /// The same, of a call whose creation runs elsewhere.
    pub(crate) fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Where a creation that runs elsewhere is to tell how it fares.
    pub(crate) fn report(&self) -> Option<Arc<Report<T>>> {
        match &self.at {
            At::Own(_, report) => Some(Arc::clone(report)),
            _ => self.elsewhere.then(|| Arc::new(Report::new())),
        }
    }

    /// What is to be waited for.
    pub(crate) fn event(&self) -> Option<&Arc<Event>> {
        match &self.at {
            At::Waiting(creation) => Some(creation.done()),
            At::Outside(opening, _) => Some(opening),
            At::Own(creation, _) => Some(creation.done()),
            At::Start | At::LookedUp | At::GoingOn(_) => None,
        }
    }

    /// Whether it may wait here. Asked each time: a future may be polled by one task first and by
    /// another later.
    pub(crate) fn may_wait<D: Door>(&self, call: &Call<'a, T, D>) -> Result<(), Stop> {
        match self.at {
            At::Outside(..) => Ok(()),
            _ if is_inside(Identity::of(call.place.pile)) => Err(Stop::Reentrant),
            _ => Ok(()),
        }
    }
}

impl<'a, T, P, S: Source<'a, T, P>> Way<'a, T, P, S, S::Found> {
    /// Tells what was looked up.
    pub(crate) fn found<D: Door<Pass = P>>(&mut self, call: &Call<'a, T, D>, lookup: Lookup<T>) {
        self.source.found(call, lookup);
    }

    /// What to do next. As long as that is to wait, the same; so it may be asked at any time.
    pub(crate) fn step<D: Door<Pass = P>>(
        &mut self,
        call: &Call<'a, T, D>,
    ) -> Step<'a, T, S::Answer> {
        loop {
            match std::mem::replace(&mut self.at, At::Start) {
                At::Start => {
                    if self.pass.is_none() {
                        self.holds_pass = call.door.is_inside(self.caller);
                        match call.door.enter(self.caller) {
                            Entry::In(pass) => self.pass = Some(pass),
                            Entry::Closed(opening) => {
                                self.at = At::Outside(opening.0, None);
                                return Step::Wait;
                            }
                            Entry::ClosedByCaller => return Step::Stop(Stop::HoldsWriteLock),
                        }
                    }
                    // The first time without the lock.
                    if self.newer_than.is_unfixed() {
                        if self.source.is_to_look_up(call) {
                            self.at = At::LookedUp;
                            return Step::LookUp;
                        }
                        if let Some(answer) = self.source.look(call) {
                            return self.answer(answer);
                        }
                    }
                    if let Some(step) = self.elect(call) {
                        return step;
                    }
                }
                At::LookedUp => {
                    if let Some(answer) = self.source.look(call) {
                        return self.answer(answer);
                    }
                    if let Some(step) = self.elect(call) {
                        return step;
                    }
                }
                At::Waiting(creation) => {
                    let Some(told) = creation.outcome() else {
                        self.at = At::Waiting(creation);
                        return self.may_wait(call).err().map_or(Step::Wait, Step::Stop);
                    };
                    let newer_than = self.newer_than.number();
                    let origin = Origin::CreatedByAnother;
                    match Outcome::of(
                        told,
                        creation.fence(),
                        newer_than,
                        origin,
                        call.place.settings,
                    ) {
                        Outcome::Value(guard) => {
                            if let Some(step) = self.made(call, guard, false) {
                                return step;
                            }
                        }
                        Outcome::Failed(failure) if self.heeds_failures => {
                            return Step::Stop(Stop::Failed(failure));
                        }
                        _ => self.at = At::Start,
                    }
                }
                At::GoingOn(found) => return self.answer(*found),
                At::Own(creation, report) => {
                    let Some(told) = creation.outcome() else {
                        self.at = At::Own(creation, report);
                        return self.may_wait(call).err().map_or(Step::Wait, Step::Stop);
                    };
                    let newer_than = self.newer_than.number();
                    let (origin, settings) = (Origin::CreatedHere, call.place.settings);
                    let guard =
                        match Outcome::of(told, creation.fence(), newer_than, origin, settings) {
                            Outcome::Value(guard) => guard,
                            Outcome::Failed(failure) => return Step::Stop(Stop::Failed(failure)),
                            _ => match report.end() {
                                // Nobody else gets it.
                                Ok(node) => {
                                    Guard::new(node, Origin::Superseded, settings.time.now())
                                }
                                Err(stop) => return Step::Stop(stop),
                            },
                        };
                    if let Some(step) = self.made(call, guard, true) {
                        return step;
                    }
                }
                At::Outside(opening, made) => {
                    if !opening.is_set() {
                        self.at = At::Outside(opening, made);
                        return Step::Wait;
                    }
                    if let Some(made) = made {
                        if let Some(step) = self.made(call, made.guard, made.here) {
                            return step;
                        }
                    }
                }
            }
        }
    }

    /// A look under the lock, from inside. `None`: to be waited for.
    fn elect<D: Door<Pass = P>>(
        &mut self,
        call: &Call<'a, T, D>,
    ) -> Option<Step<'a, T, S::Answer>> {
        Some(match self.source.attempt(call, &mut self.newer_than) {
            Attempted::Hit(answer) => self.answer(answer),
            Attempted::Lease(lease) => {
                let newer_than = self.newer_than.number();
                if self.holds_pass && !self.source.would_do(call, &lease, newer_than) {
                    return Some(Step::Stop(Stop::HoldsReadGuard));
                }
                if self.elsewhere {
                    self.join(call);
                    return Some(Step::Create(lease));
                }
                // Not as a reader: a creator may wait for those.
                self.pass = None;
                Step::Create(lease)
            }
            Attempted::Busy(_) if self.holds_pass => Step::Stop(Stop::HoldsReadGuard),
            Attempted::Busy(creation) => {
                self.pass = None;
                if D::GATED {
                    self.source.goes_out();
                }
                self.at = At::Waiting(creation);
                return None;
            }
        })
    }

    /// What the call does while the creation runs elsewhere that it has the lease for: what anybody
    /// does who comes meanwhile. If it waits, then from before the creation starts, so that its end
    /// is not missed.
    fn join<D: Door<Pass = P>>(&mut self, call: &Call<'a, T, D>) {
        self.at = match self.source.attempt(call, &mut self.newer_than) {
            Attempted::Hit(found) => At::GoingOn(Box::new(found)),
            Attempted::Busy(creation) => {
                self.pass = None;
                At::Own(creation, Arc::new(Report::new()))
            }
            Attempted::Lease(_) => unreachable!("the lease is held"),
        };
    }

    fn answer(&mut self, answer: S::Found) -> Step<'a, T, S::Answer> {
        let pass = self.pass.take();
        Step::Answer(S::with(answer, pass.expect("it is inside")))
    }

    /// What was made, here or by another, is the answer, once the caller is inside. `None`: a writer
    /// has replaced it.
    pub(crate) fn made<D: Door<Pass = P>>(
        &mut self,
        call: &Call<'a, T, D>,
        guard: Guard<'a, T>,
        here: bool,
    ) -> Option<Step<'a, T, S::Answer>> {
        self.holds_pass = call.door.is_inside(self.caller);
        match call.door.enter(self.caller) {
            Entry::In(pass) => self.pass = Some(pass),
            Entry::Closed(opening) => {
                self.at = At::Outside(opening.0, Some(Box::new(Made { guard, here })));
                return Some(Step::Wait);
            }
            Entry::ClosedByCaller => return Some(Step::Stop(Stop::HoldsWriteLock)),
        }
        if D::GATED {
            let current = call.is_current(&guard);
            if !current && !here && S::LOOKS_AGAIN {
                // A writer was there meanwhile: who has not created looks again.
                self.at = At::Start;
                self.newer_than = NewerThan::UNFIXED;
                return None;
            }
            let newest = match current {
                true => guard,
                false => call.peek_inside().unwrap_or_else(|| guard.superseded()),
            };
            return Some(self.answer(S::of_guard(newest)));
        }
        Some(self.answer(S::of_guard(guard)))
    }
}

/// How a creation fares that runs elsewhere: for its caller, whom the pile may tell nothing.
pub(crate) struct Report<T>(Mutex<State<T>>);

pub(crate) enum State<T> {
    Unrun,
    Dropped,
    Begun,
    Ending(Ending<T>),
}

impl<T> Report<T> {
    fn new() -> Self {
        Self(Mutex::new(State::Unrun))
    }

    pub(crate) fn put(&self, state: State<T>) {
        *self.0.lock() = state;
    }

    pub(crate) fn is_dropped(&self) -> bool {
        matches!(*self.0.lock(), State::Dropped)
    }

    /// The job is gone, perhaps before it was run.
    pub(crate) fn drop_unrun(&self) {
        let mut state = self.0.lock();
        if let State::Unrun = *state {
            *state = State::Dropped;
        }
    }

    /// The end of a creation that told its waiters nothing.
    fn end(&self) -> Result<NodeRef<T>, Stop> {
        match std::mem::replace(&mut *self.0.lock(), State::Begun) {
            State::Ending(Ending::Value(node)) => Ok(node),
            State::Ending(Ending::Failed(failure)) => Err(Stop::Failed(failure)),
            State::Begun | State::Ending(Ending::ElectAnew) => Err(Stop::GivenUp),
            State::Unrun | State::Dropped => Err(Stop::Refused(dropped())),
        }
    }
}

pub(crate) fn dropped() -> Refused {
    Refused::new("it dropped the creation unrun")
}

/// Values that the pile itself keeps.
pub(crate) struct Kept;

impl<'a, T: 'a, P> Source<'a, T, P> for Kept {
    type Found = Guard<'a, T>;
    type Answer = Guard<'a, T, P>;
    const LOOKS_AGAIN: bool = true;

    fn of_guard(guard: Guard<'a, T>) -> Guard<'a, T> {
        guard
    }

    fn with(answer: Guard<'a, T>, pass: P) -> Guard<'a, T, P> {
        answer.with(pass)
    }

    fn look<D: Door>(&mut self, call: &Call<'a, T, D>) -> Option<Guard<'a, T>> {
        call.look()
    }

    fn found<D: Door>(&mut self, _call: &Call<'a, T, D>, _lookup: Lookup<T>) {
        unreachable!("it does not look anything up")
    }

    fn is_to_look_up<D: Door>(&mut self, _call: &Call<'a, T, D>) -> bool {
        false
    }

    fn attempt<D: Door>(
        &mut self,
        call: &Call<'a, T, D>,
        newer_than: &mut NewerThan,
    ) -> Attempted<'a, T, Guard<'a, T>> {
        call.attempt_locked(newer_than)
    }

    fn would_do<D: Door>(
        &self,
        call: &Call<'a, T, D>,
        lease: &Lease<'a, T>,
        newer_than: u64,
    ) -> bool {
        call.would_do(lease.previous(), newer_than)
    }

    fn goes_out(&mut self) {}
}
