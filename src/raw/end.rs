//! How a lease ends, and what those who wait are told.

use std::time::Duration;

use crate::error::{Failure, Panicked};
use crate::observe::{self, Watch};
use crate::policy::{Draw, End, Pace, Policy, Purpose};
use crate::raw::value::NodeRef;
use crate::raw::wait::{Ending, Waiters, Writers};
use crate::raw::{Locked, Pile};
use crate::shim::Arc;
use crate::time::Tick;

/// The end of a lease, as the pile's memory of its creations needs it.
pub(crate) struct Ended<'p> {
    pub(crate) fence: u64,
    pub(crate) policy: &'p Policy,
    pub(crate) now: Tick,
    pub(crate) seed: u64,
    /// Where the end is noted for the observer, if there is one.
    pub(crate) watch: Option<&'p Watch>,
}

impl Ended<'_> {
    pub(super) fn draw(&self) -> Draw {
        Draw::new(self.seed, self.fence, Purpose::Backoff)
    }
}

/// A created value, complete and not published yet.
pub(crate) struct Ready<T> {
    /// For those who are given the value.
    pub(crate) node: NodeRef<T>,
    /// For the pile to keep: the node itself, or its times alone.
    pub(crate) kept: NodeRef<T>,
    /// For how long none is to be created.
    pub(crate) hold: Option<Duration>,
}

impl<T> Pile<T> {
    /// Notes how a lease ended. What is forgotten is to be dropped outside of the lock.
    #[must_use = "the old failure must be dropped outside the lock"]
    pub(super) fn note_end(
        state: &mut Locked<'_, T>,
        ended: &Ended<'_>,
        end: End,
        superseded: bool,
    ) -> Option<Failure> {
        let failed = matches!(end, End::Failed(_) | End::Refused(_));
        if Self::pace(state).is_none() && !failed {
            return None;
        }
        let draw = ended.draw();
        let (policy, now) = (ended.policy, ended.now);
        Self::change_pace(state, |pace| pace.ended(policy, end, superseded, now, draw))
    }

    /// Ends the lease with a value. Says whether the value became the current one. If it did not,
    /// the lease was superseded.
    pub(crate) fn publish(&self, ended: &Ended<'_>, ready: Ready<T>, writers: Writers) -> bool {
        let Ready { node, kept, hold } = ready;
        let fence = ended.fence;
        let mut state = self.cell.lock();
        let pile = state.pile();
        node.belongs_to(pile);
        kept.belongs_to(pile);
        if Self::is_late_end(&mut state, fence) {
            return false;
        }
        let superseded = state.supersedes(fence);
        Self::count_end(&mut state, ended, superseded, observe::End::Published);
        let waiters = state.end(fence);
        let forgotten = Self::note_end(&mut state, ended, End::Published, superseded);
        let (ending, old) = if superseded {
            Self::nobody_renews(&state, ended.policy);
            (Ending::Superseded(node, writers), None)
        } else {
            if state.expiry_mark() > fence {
                node.expire(ended.now);
                kept.expire(ended.now);
            }
            if let Some(span) = hold {
                Self::change_pace(&mut state, |pace| pace.hold(ended.now, span));
            }
            (
                Ending::Value(node, writers),
                Some(Self::install(&mut state, ended.policy, kept)),
            )
        };
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, superseded, ending);
        drop(old);
        drop(forgotten);
        drop(watch);
        !superseded
    }

    /// Ends the lease with an error, which goes to everybody who waits.
    pub(crate) fn fail(&self, ended: &Ended<'_>, failure: Failure) {
        let end = End::Failed(failure.clone());
        let seen = observe::End::Failed(failure.clone());
        self.end(ended, end, seen, |falls_back| {
            Ending::Failed(failure, falls_back)
        });
    }

    /// Ends the lease with a panic, of which everybody who waits is told.
    pub(crate) fn panicked(&self, ended: &Ended<'_>, panicked: Panicked) {
        let failure = Failure::from(panicked.clone());
        let seen = observe::End::Panicked(failure.clone());
        self.end(ended, End::Failed(failure), seen, |falls_back| {
            Ending::Panicked(panicked, falls_back)
        });
    }

    /// Ends the lease with nothing. An observer is told what it was.
    pub(crate) fn give_up(&self, ended: &Ended<'_>, seen: observe::End) {
        self.end(ended, End::GivenUp, seen, |_| Ending::ElectAnew);
    }

    /// Ends the lease, under which nothing ever ran, since an executor did not want it.
    pub(crate) fn refused(&self, ended: &Ended<'_>, failure: Failure) {
        let seen = observe::End::Refused(failure.clone());
        self.end(ended, End::Refused(failure), seen, |_| Ending::ElectAnew);
    }

    /// Ends the lease without a value. `ending` is told whether an older value may stand in.
    pub(super) fn end(
        &self,
        ended: &Ended<'_>,
        end: End,
        seen: observe::End,
        ending: impl FnOnce(bool) -> Ending<T>,
    ) {
        let fence = ended.fence;
        let mut state = self.cell.lock();
        if Self::is_late_end(&mut state, fence) {
            return;
        }
        let superseded = state.supersedes(fence);
        Self::count_end(&mut state, ended, superseded, seen);
        let waiters = state.end(fence);
        let is_answer = matches!(end, End::Failed(_))
            && !superseded
            && Self::pace(&state).is_some_and(Pace::is_without_fallback);
        let forgotten = Self::note_end(&mut state, ended, end, superseded);
        Self::nobody_renews(&state, ended.policy);
        // A failure that is an answer tells that what is held is wrong.
        let old = is_answer.then(|| Self::empty(&mut state));
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, superseded, ending(!is_answer));
        drop(old);
        drop(forgotten);
        drop(watch);
    }

    /// Whether it is the end of a creator whose lease was taken over: then nobody waits for it.
    pub(super) fn is_late_end(state: &mut Locked<'_, T>, fence: u64) -> bool {
        !state.is_leased_to(fence) && Self::change_pace(state, |pace| pace.late_ends(fence))
    }
}

/// Hands the ending to those who wait, if anybody does. Not under the lock.
pub(super) fn tell<T>(waiters: Option<Arc<Waiters<T>>>, superseded: bool, ending: Ending<T>) {
    let Some(group) = waiters else {
        return;
    };
    // Those who came late called after the `set` or the `invalidate`, and the creation began before.
    let is_an_answer = |group: &Waiters<T>| !(superseded && group.came_late());
    for other in std::iter::successors(group.other(), |group| group.other()) {
        other.complete(match is_an_answer(other) {
            true => ending.clone(),
            false => Ending::ElectAnew,
        });
    }
    group.complete(match is_an_answer(&group) {
        true => ending,
        false => Ending::ElectAnew,
    });
}
