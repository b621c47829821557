//! What the end of a creation means to a call that has waited for it.

use crate::answer::{Door, Guard, Origin};
use crate::call::Call;
use crate::call::election::{At, Election, Failures, Found, Known, Report, Source, Step, Stop};
use crate::raw::{Ending, Waiters, Writers};
use crate::shim::Arc;

/// A value that was made, and by whom.
pub(super) struct Made<'a, T> {
    pub(super) guard: Guard<'a, T>,
    pub(super) by: Maker,
}

pub(super) enum Maker {
    /// This call, or the job that it started.
    This,
    /// Another, when so many writers had been inside.
    Another(Writers),
    /// The same, while the job of this call was out.
    Meanwhile(Writers, Arc<Report>),
}

impl<'a, T, P, S: Source<'a, T, P>> Election<'a, T, P, S, S::Found> {
    /// What the call was told of is no answer any more. It takes what there is by now, or waits on for the
    /// creation that it has started. If that is over, nobody can be asked for its result.
    fn goes_back<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        report: &Arc<Report>,
    ) -> Option<Step<'a, T, S::Answer>> {
        match self.attempt(call, report.awaited) {
            Found::Value(found) => Some(self.answer(call, found)),
            Found::Busy(waiters) => {
                self.leave::<D>();
                self.at = At::Own(waiters, Arc::clone(report));
                None
            }
            _ => self.stopped(call, report.end()),
        }
    }

    /// The creation that this call has started lent a value. If that will do, it is the answer; else the call
    /// waits on with `next`, from before the creation went on, and does not miss its end.
    fn lent<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        next: &Arc<Waiters<T>>,
        report: &Arc<Report>,
    ) -> Option<Step<'a, T, S::Answer>> {
        // A writer who is inside has the call wait for what is newer.
        if next.outcome().is_none() && self.enter(call).is_ok() {
            if let Found::Value(found) = self.attempt(call, report.awaited) {
                return Some(self.answer(call, found));
            }
            self.leave::<D>();
        }
        self.at = At::Own(Arc::clone(next), Arc::clone(report));
        None
    }

    /// What the end of a creation means to this call. With a report, it is the creation that this
    /// call has started. `None`: to be stepped on.
    pub(super) fn told<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        ending: &Ending<T>,
        fence: u64,
        own: Option<&Arc<Report>>,
    ) -> Option<Step<'a, T, S::Answer>> {
        let newer_than = self.newer_than.number();
        let began_in_time = fence > newer_than;
        let takes_failures = own.is_some() || self.failures == Failures::Taken;
        // If another value was `set`, the lease is held yet. So it is after a loan, but nothing had superseded
        // it until then.
        self.has_waited |= match ending {
            Ending::Value(node, _) => node.number() == fence,
            _ => true,
        };
        // To tell the value's age with, which need not be exact: all who wait ask at once.
        let now = call.site.settings.time.coarse();
        match ending {
            Ending::Value(node, writers) if node.number() > newer_than => {
                let is_own = own.is_some_and(|job| job.awaited == Some(node.number()));
                let (origin, by) = match own {
                    Some(_) if is_own => (Origin::CreatedHere, Maker::This),
                    Some(report) => {
                        let by = Maker::Meanwhile(*writers, Arc::clone(report));
                        (Origin::CreatedByAnother, by)
                    }
                    None => (Origin::CreatedByAnother, Maker::Another(*writers)),
                };
                let guard = Guard::new(call.site.pile.hold(node), origin, now);
                self.made(call, Made { guard, by })
            }
            Ending::Superseded(node, writers) if began_in_time => {
                let by = match own {
                    Some(_) => Maker::This,
                    None => Maker::Another(*writers),
                };
                let guard = Guard::new(node.clone(), Origin::Superseded, now);
                self.made(call, Made { guard, by })
            }
            Ending::Failed(failure, falls_back) if began_in_time && takes_failures => {
                self.told_of_failure(call, Stop::Failed(failure.clone()), *falls_back)
            }
            Ending::Panicked(panicked, falls_back) if began_in_time && takes_failures => {
                self.told_of_failure(call, Stop::Panicked(panicked.clone()), *falls_back)
            }
            Ending::Lent(next) => own.and_then(|report| self.lent(call, next, report)),
            // No answer at all, or one that began too early for what this call asked for.
            _ => match own {
                Some(report) => self.stopped(call, report.end()),
                None => None,
            },
        }
    }

    /// What almost every wait ends with: another has made a value, and nothing keeps the caller out. `None`:
    /// to be stepped on.
    #[cfg(feature = "async")]
    #[inline(always)]
    pub(crate) fn told_plainly<D: Door<Pass = P>, W>(
        &self,
        call: &Call<'a, T, D, W>,
    ) -> Option<S::Answer> {
        let At::Waiting(waiters) = &self.at else {
            return None;
        };
        let Some(Ending::Value(node, _)) = waiters.outcome() else {
            return None;
        };
        waiters.done().help();
        if D::GATED || node.number() <= self.newer_than.number() {
            return None;
        }
        let pass = call.door.try_enter(self.caller)?;
        let now = call.site.settings.time.coarse();
        let guard = Guard::new(call.site.pile.hold(node), Origin::CreatedByAnother, now);
        Some(S::with(S::of_guard(guard), pass))
    }

    fn told_of_failure<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        stop: Stop,
        falls_back: bool,
    ) -> Option<Step<'a, T, S::Answer>> {
        match falls_back {
            true => self.stopped(call, stop),
            false => Some(Step::Stop(stop)),
        }
    }

    /// What was made is the answer, once the caller is inside. `None`: to be stepped on.
    pub(super) fn made<D: Door<Pass = P>, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        made: Made<'a, T>,
    ) -> Option<Step<'a, T, S::Answer>> {
        match self.enter(call) {
            Ok(()) => {}
            Err(Ok(opening)) => {
                self.at = At::Outside(opening, Some(Box::new(Known::Made(made))));
                return Some(Step::Wait);
            }
            Err(Err(stop)) => return Some(Step::Stop(stop)),
        }
        let Made { guard, by } = made;
        if !D::GATED {
            return Some(self.answer(call, S::of_guard(guard)));
        }
        // A writer may have been inside since the value was made, and may have replaced what the
        // value stands for. If none was, the value is an answer, whatever became of it: else a call
        // could wait for one creation after the other.
        let then = match &by {
            Maker::This => None,
            Maker::Another(writers) | Maker::Meanwhile(writers, _) => writers.0,
        };
        let is_consistent = match by {
            _ if then.is_some_and(|then| then == call.door.writers()) => true,
            Maker::This if Guard::origin(&guard) == Origin::Superseded => true,
            _ => call.site.pile.is_current(guard.node().number()),
        };
        if is_consistent {
            return Some(self.answer(call, S::of_guard(guard)));
        }
        match by {
            Maker::Meanwhile(_, report) => return self.goes_back(call, &report),
            Maker::Another(_) if S::LOOKS_AGAIN => {
                self.at = At::Start;
                return None;
            }
            Maker::This | Maker::Another(_) => {}
        }
        let newest = call.peek_inside().unwrap_or_else(|| guard.superseded());
        Some(self.answer(call, S::of_guard(newest)))
    }
}
