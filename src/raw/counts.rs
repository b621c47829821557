//! What is counted of a pile, and how it stands.

use crate::observe::{self, Holding, Stats};
use crate::policy::{Pace, Policy};
use crate::raw::end::Ended;
use crate::raw::lease::Look;
use crate::raw::value::NodeRef;
use crate::raw::{Locked, Pile};
use crate::time::Tick;

impl<T> Pile<T> {
    pub(super) fn count_grant(state: &mut Locked<'_, T>, look: &Look<'_>) {
        let Some(elected) = &look.elected else {
            return;
        };
        let is_served_stale = |node: &NodeRef<T>| {
            let served = node.stale_from() <= look.now && look.now < node.usable_until();
            node.is_of_a_value() && served
        };
        let is_stale = state.current().is_some_and(|node| is_served_stale(&node));
        let elected = elected.clone();
        Self::change_pace(state, |pace| {
            pace.counting().granted(look.now, elected, is_stale)
        });
    }

    pub(super) fn count_wait(state: &mut Locked<'_, T>, policy: &Policy) {
        if policy.counts() {
            Self::change_pace(state, |pace| pace.counting().waits());
        }
    }

    /// Counts a wait that was too long.
    pub(crate) fn count_time_out(&self, policy: &Policy) {
        if policy.counts() {
            let mut state = self.cell.lock();
            Self::change_pace(&mut state, |pace| pace.counting().timed_out());
        }
    }

    /// Counts the end of a lease, and notes it for the observer. Those who wait are still there.
    pub(super) fn count_end(
        state: &mut Locked<'_, T>,
        ended: &Ended<'_>,
        superseded: bool,
        end: observe::End,
    ) {
        let end = match superseded {
            true => end.superseded(),
            false => end,
        };
        let told = Self::count(state, ended.policy, ended.fence, ended.now, end);
        if let (Some(watch), Some(told)) = (ended.watch, told) {
            watch.note(told);
        }
    }

    pub(super) fn count(
        state: &mut Locked<'_, T>,
        policy: &Policy,
        fence: u64,
        now: Tick,
        end: observe::End,
    ) -> Option<observe::Ended> {
        if !policy.counts() {
            return None;
        }
        let waiters = state.waiters();
        Self::change_pace(state, |pace| {
            pace.counting().ended(fence, now, waiters, end)
        })
    }

    /// Another value, or none, takes the place of the current one.
    pub(super) fn count_change(state: &mut Locked<'_, T>) {
        if Self::pace(state).is_some_and(|pace| pace.tally().is_some()) {
            Self::change_pace(state, |pace| pace.counting().is_not_served_stale());
        }
    }

    /// What goes on, and what was counted.
    pub(crate) fn stats(&self, policy: &Policy, now: Tick) -> Stats {
        let state = self.cell.lock();
        let pace = Self::pace(&state);
        let last_failure = pace.and_then(Pace::last_failure);
        let mut stats = Stats {
            creating: state.lease().map(Holding::of),
            waiters: state.waiters(),
            last_failure: last_failure
                .map(|(failure, at)| (failure.clone(), now.saturating_since(*at))),
            retry_in: pace.and_then(|pace| pace.retry_in(policy, now, false)),
            stale_for: None,
            counters: policy.counts().then(observe::Counters::default),
            hits: None,
        };
        if let Some(tally) = pace.and_then(Pace::tally) {
            tally.tell(now, &mut stats);
        }
        stats
    }
}
