//! The driver for threads: a call creates, and sleeps, where it stands.

use crate::answer::{Created, Creating, Door, Guard, Lease, Lookup};
use crate::call::election::{Election, Report, Source, Step, Stop};
use crate::call::{Call, Here};
use crate::error::Error;
use crate::raw::Event;
use crate::reentrancy::{Creation, Identity};
use crate::shim::Arc;
use crate::time::{Tick, Time};

/// How the thread of a call in this mode waits.
pub(crate) trait Sleeper {
    /// Until the event, or the deadline; says whether the event is set. It may be the end of a
    /// creation, of this pile under this fence.
    fn sleep(
        &self,
        event: &Arc<Event>,
        creation: Option<Creation>,
        time: &Time,
        deadline: Option<Tick>,
    ) -> Result<bool, Stop>;
}

impl Sleeper for Here<'_> {
    fn sleep(
        &self,
        event: &Arc<Event>,
        _creation: Option<Creation>,
        time: &Time,
        deadline: Option<Tick>,
    ) -> Result<bool, Stop> {
        Ok(event.wait(time, deadline))
    }
}

/// What an elected call does with its lease. `Some` is what it made here. `None` says that the
/// creation was started elsewhere.
pub(crate) type Led<'a, T, E> = Result<Option<Guard<'a, T>>, Error<E>>;

/// Runs the creator on this thread.
pub(crate) fn here<'a, T: 'a, E: Send + Sync + 'static>(
    create: impl FnOnce(Creating<'a, T>) -> Result<Created<T>, E>,
) -> impl FnOnce(Lease<'a, T>, Option<Arc<Report>>) -> Led<'a, T, E> {
    |lease, _| lease.create(create).map(Some)
}

/// For a call that looks nothing up.
pub(crate) fn no_look_up<T, E>() -> Result<Lookup<T>, E> {
    Ok(Lookup::NeedRegeneration)
}

impl<'a, T, D: Door, W> Call<'a, T, D, W> {
    /// Steps the election to its end. `lead` is what the call does if it is elected, `get` looks the value
    /// up.
    pub(crate) fn drive<S: Source<'a, T, D::Pass>, E: Send + Sync + 'static>(
        &self,
        mut election: Election<'a, T, D::Pass, S, S::Found>,
        lead: impl FnOnce(Lease<'a, T>, Option<Arc<Report>>) -> Led<'a, T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<S::Answer, Error<E>>
    where
        W: Sleeper,
    {
        let mut limit = Limit::new(self);
        let (mut lead, mut get) = (Some(lead), Some(get));
        let mut step = election.step(self);
        loop {
            match step {
                Step::Answer(answer) => return Ok(answer),
                Step::Stop(stop) => return Err(stop.into_error()),
                Step::LookUp => {
                    let get = get.take().expect("looked up once");
                    let lookup = limit.paused(self, get).map_err(Error::Get)?;
                    election.looked_up(self, lookup);
                }
                Step::Create(mut lease) => {
                    lease.tell_begin();
                    let lead = lead.take().expect("granted once");
                    let report = election.report();
                    let made = match limit.paused(self, || lead(lease, report)) {
                        // Nobody makes a new value now, but there is one to go on with.
                        Err(Error::Refused(_)) if election.goes_on() => None,
                        Err(error) => return election.failed(self, error),
                        Ok(made) => made,
                    };
                    if let Some(next) = made.and_then(|guard| election.created(self, guard)) {
                        step = next;
                        continue;
                    }
                }
                Step::NotYet(_) => unreachable!("only an attempt is told so"),
                Step::Wait => {
                    let event = election.event().expect("there is something to wait for");
                    let pile = Identity::of(self.site.pile);
                    let creation = election.awaited().map(|fence| Creation { pile, fence });
                    let time = &self.site.settings.time;
                    let overdue = election.overdue_from(self);
                    // Taking over comes first, if both come at once.
                    let is_to_take_over = overdue
                        .is_some_and(|overdue| overdue <= limit.deadline.unwrap_or(Tick::MAX));
                    let until = if is_to_take_over {
                        overdue
                    } else {
                        limit.deadline
                    };
                    match self.mode.sleep(event, creation, time, until) {
                        Ok(set) if set || is_to_take_over => {}
                        Ok(_) => {
                            step = election.timed_out(self);
                            continue;
                        }
                        Err(stop) => {
                            step = election.may_not_wait(self, stop);
                            continue;
                        }
                    }
                }
            }
            step = election.step(self);
        }
    }
}

/// When a call stops waiting. It limits waiting alone, and does not count the time of the caller's
/// own functions.
struct Limit {
    deadline: Option<Tick>,
}

impl Limit {
    fn new<T, D, W>(call: &Call<'_, T, D, W>) -> Self {
        let time = &call.site.settings.time;
        Self {
            deadline: call.wait.map(|limit| time.now().saturating_add(limit)),
        }
    }

    /// Runs one of the caller's functions.
    fn paused<T, D, W, R>(&mut self, call: &Call<'_, T, D, W>, run: impl FnOnce() -> R) -> R {
        let Some(deadline) = &mut self.deadline else {
            return run();
        };
        let time = &call.site.settings.time;
        let since = time.now();
        let result = run();
        *deadline = deadline.saturating_add(time.now().saturating_since(since));
        result
    }
}
