//! What a pile is asked for that is one of many.

use crate::policy::{Availability, Marks, Pace, Use};
use crate::raw::value::{Cell, NodeRef};
use crate::raw::{Found, Locked, Look, Pile, State};
use crate::time::Second;

/// What whoever keeps many piles has to know of one.
pub(crate) struct Held {
    /// When the value that is held became the current one. None if no value is held.
    pub(crate) value: Option<u64>,
    /// The second in which that value is gone; the first one if no value is held.
    pub(crate) gone_from: Second,
    /// Whether somebody holds the lease.
    pub(crate) is_leased: bool,
    /// Whether a back-off or an interval is remembered, over or not.
    pub(crate) is_paced: bool,
}

impl<T> Pile<T> {
    /// A pile whose numbers go on from `last`. Of several piles that stand for the same thing one
    /// after the other, no two then use the same number. In debug builds, what was seen in one of them
    /// is known by `group` to be of any of them.
    pub(crate) fn following(last: u64, group: u64) -> Self {
        Self {
            cell: Cell::new(State::following(last, group)),
        }
    }

    /// What whoever keeps many piles has to know of this one.
    pub(crate) fn held(&self) -> Held {
        Self::held_in(&self.cell.lock())
    }

    /// The same, and gives back what memory a pile needs that is not at rest, if this one is. To be called
    /// when nobody is there who was granted a lease, not even one that has ended: it would be told that
    /// nothing came since.
    pub(crate) fn rest(&self) -> Held {
        let mut state = self.cell.lock();
        let held = Self::held_in(&state);
        let busy = state.rest();
        drop(state);
        drop(busy);
        held
    }

    fn held_in(state: &Locked<'_, T>) -> Held {
        let value = state.current().filter(|node| node.value().is_some());
        let gone_from = (value.as_ref()).map(|node| Second::of(node.gone_from()));
        Held {
            value: value.map(|node| node.installed_at()),
            gone_from: gone_from.unwrap_or(Second::FIRST),
            is_leased: state.is_leased(),
            is_paced: Self::pace(state).is_some_and(Pace::is_pacing),
        }
    }

    /// As [`attempt`](Pile::attempt), where no lease may be granted: a value that will do while another
    /// caller creates, will do now. `None`: it would have been the lease.
    pub(crate) fn attempt_without_lease(
        &self,
        look: &Look<'_>,
        judge: impl FnOnce(Marks, Option<&NodeRef<T>>) -> Use,
    ) -> Option<Found<T>> {
        let mut state = self.cell.lock();
        let current = state.current();
        let usable = judge(state.marks(), current.as_deref());
        if let Some(node) = current.filter(|_| usable.is_usable()) {
            return Some(Found::Value(node.clone(), usable));
        }
        match Self::availability(&state, look, usable) {
            Availability::Free => {
                let rate = look.rate.filter(|_| !look.presses(usable))?;
                let retry_in = rate.retry_in(look.now)?;
                Some(Found::NotYet(None, retry_in, Some(rate.refusal())))
            }
            Availability::Held => {
                Self::count_wait(&mut state, look.policy);
                Some(Found::Busy(state.join(look.has_waited)))
            }
            Availability::NotYet(retry_in) => {
                let failure = Self::paused_by(&state, look.now);
                Some(Found::NotYet(None, retry_in, failure))
            }
        }
    }

    /// Shows the current node to `judge`, which runs under the lock.
    pub(crate) fn judge<R>(&self, judge: impl FnOnce(Option<&NodeRef<T>>) -> R) -> R {
        let state = self.cell.lock();
        let current = state.current();
        judge(current.as_deref())
    }

    /// Takes the value away that became the current one at `installed_at`, and nothing else: a lease
    /// that is held goes on, and will publish.
    pub(crate) fn evict_value(&self, installed_at: u64) -> Option<NodeRef<T>> {
        let mut state = self.cell.lock();
        let current = state.current().map(|node| node.clone());
        let evicted = current.filter(|node| node.installed_at() == installed_at)?;
        let old = state.swap(None);
        drop(state);
        drop(old);
        Some(evicted)
    }

    /// As [`evict_value`](Pile::evict_value), and forgets the back-off and the interval with the value, or
    /// where there was none: unless another value has come, or somebody creates.
    pub(crate) fn evict_with_pace(&self, installed_at: u64) -> Option<NodeRef<T>> {
        let mut state = self.cell.lock();
        let current = state.current().map(|node| node.clone());
        let is_there = current.as_ref().is_some_and(|node| node.value().is_some());
        let evicted = current.filter(|node| node.installed_at() == installed_at);
        let is_at_rest = |pace: &Pace| pace.is_pacing() && !pace.has_late();
        if (evicted.is_some() || !is_there)
            && !state.is_leased()
            && Self::pace(&state).is_some_and(is_at_rest)
        {
            Self::change_pace(&mut state, Pace::forget);
        }
        let old = evicted.as_ref().map(|_| state.swap(None));
        drop(state);
        drop(old);
        evicted
    }

    /// Removes the current value, supersedes a lease that is held, and ends a back-off. The value that was
    /// removed.
    pub(crate) fn remove(&self) -> Option<NodeRef<T>> {
        let mut state = self.cell.lock();
        let removed = state.current().map(|node| node.clone());
        Self::clear_pace(&mut state);
        let old = Self::empty(&mut state);
        drop(state);
        drop(old);
        removed.filter(|node| node.value().is_some())
    }

    /// Supersedes the lease that is held, and leaves the current value. `false`: the current value is
    /// another one than that which came at `installed_at`, and nothing was done.
    pub(crate) fn supersede(&self, installed_at: Option<u64>) -> bool {
        let mut state = self.cell.lock();
        let current = state.current().filter(|node| node.value().is_some());
        if current.map(|node| node.installed_at()) != installed_at {
            return false;
        }
        if state.is_leased() {
            state.supersede();
        }
        true
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Failure;
    use crate::observe;
    use crate::policy::Policy;
    use crate::raw::end::{Ended, Ready};
    use crate::raw::wait::{Ending, Writers};
    use crate::shim::Arc;
    use crate::time::{Tick, Times};

    const SECOND: Duration = Duration::from_secs(1);

    fn at(second: u64) -> Tick {
        Tick::ZERO.saturating_add(SECOND * u32::try_from(second).unwrap())
    }

    fn grant(pile: &Pile<u32>, policy: &Policy, now: Tick) -> Option<u64> {
        match pile.attempt(&Look::plain(policy, now), |_, _| Use::No) {
            Found::Lease(fence, _) => Some(fence),
            _ => None,
        }
    }

    fn ended(policy: &Policy, fence: u64, now: Tick) -> Ended<'_> {
        Ended {
            fence,
            policy,
            now,
            seed: 0,
            watch: None,
        }
    }

    /// Says whether the value became the current one.
    fn publish(pile: &Pile<u32>, policy: &Policy, fence: u64, now: Tick) -> bool {
        let node = NodeRef::new(7, Times::new(now, Duration::ZERO, SECOND), fence);
        let ready = Ready {
            kept: node.clone(),
            node,
            hold: None,
        };
        pile.publish(&ended(policy, fence, now), ready, Writers(Some(0)))
    }

    /// A value made at this time. When it became the current one, by number.
    fn create(pile: &Pile<u32>, policy: &Policy, now: Tick) -> u64 {
        let fence = grant(pile, policy, now).unwrap();
        assert!(publish(pile, policy, fence, now));
        pile.held().value.unwrap()
    }

    fn set(pile: &Pile<u32>, policy: &Policy, now: Tick) {
        let node = NodeRef::new(8, Times::new(now, Duration::ZERO, SECOND), 0);
        assert!(pile.set(policy, &node, node.clone(), None, Writers(Some(0))));
    }

    /// Whether the pile has a box when it was told to rest.
    fn keeps_its_box(pile: &Pile<u32>) -> bool {
        pile.rest();
        pile.cell.lock().extra().is_some()
    }

    fn at_rest(policy: &Policy) -> Pile<u32> {
        let pile = Pile::new();
        create(&pile, policy, at(0));
        assert!(!keeps_its_box(&pile));
        pile
    }

    fn with_interval() -> (Pile<u32>, Policy, u64) {
        let mut policy = Policy::new(SECOND);
        policy.min_interval = Some(SECOND * 10);
        let pile = Pile::new();
        let installed_at = create(&pile, &policy, at(5));
        (pile, policy, installed_at)
    }

    #[test]
    fn the_interval_goes_with_the_value() {
        let (pile, policy, installed_at) = with_interval();
        assert_eq!(pile.retry_in(&policy, at(6)), Some(SECOND * 9));
        assert!(pile.evict_with_pace(installed_at).is_some());
        assert_eq!(pile.retry_in(&policy, at(6)), None);
    }

    #[test]
    fn but_not_with_another_one_that_came() {
        let (pile, policy, installed_at) = with_interval();
        let newer = create(&pile, &policy, at(15));
        assert!(pile.evict_with_pace(installed_at).is_none());
        assert_eq!(pile.held().value, Some(newer));
        assert_eq!(pile.retry_in(&policy, at(16)), Some(SECOND * 9));
    }

    #[test]
    fn nor_while_somebody_creates() {
        let (pile, policy, installed_at) = with_interval();
        assert!(grant(&pile, &policy, at(15)).is_some());
        assert!(pile.evict_with_pace(installed_at).is_some());
        assert_eq!(pile.held().value, None);
        // As a clock that was set back shows.
        assert_eq!(pile.retry_in(&policy, at(6)), Some(SECOND * 9));
    }

    #[test]
    fn nor_while_a_creator_is_late() {
        let mut policy = Policy::new(SECOND);
        policy.max_create_time = Some(SECOND);
        let pile = Pile::new();
        assert!(grant(&pile, &policy, at(0)).is_some());
        assert!(grant(&pile, &policy, at(2)).is_some(), "taken over");
        assert!(grant(&pile, &policy, at(4)).is_none(), "one is late");
        assert_eq!(pile.retry_in(&policy, at(4)), Some(SECOND));
        assert!(pile.evict_with_pace(0).is_none());
        assert_eq!(pile.retry_in(&policy, at(4)), Some(SECOND));
    }

    #[test]
    fn a_lease_is_superseded_if_the_value_is_still_that_one() {
        let (pile, policy, installed_at) = with_interval();
        let fence = grant(&pile, &policy, at(15)).unwrap();
        for other in [None, Some(installed_at + 1)] {
            assert!(!pile.supersede(other));
            assert!(!pile.is_superseded(fence));
        }
        assert!(pile.supersede(Some(installed_at)));
        assert!(pile.is_superseded(fence));
        assert_eq!(pile.held().value, Some(installed_at));
    }

    #[test]
    fn a_pile_that_rested_answers_as_before() {
        let (pile, policy) = (Pile::new(), Policy::new(SECOND));
        // All that moves the numbers.
        assert!(pile.invalidate(None));
        assert!(pile.expire(&policy, None, at(0)));
        set(&pile, &policy, at(0));
        let installed_at = create(&pile, &policy, at(0));
        let answers = || {
            let held = pile.held();
            assert_eq!(held.value, Some(installed_at));
            assert_eq!(*pile.load().unwrap().value().unwrap(), 7);
            assert!(!held.is_leased && !held.is_paced && !pile.is_leased() && !pile.is_emptied());
            assert_eq!((pile.last(), pile.waiters()), (installed_at, 0));
            assert!(pile.join(&policy).is_none() && pile.last_failure().is_none());
        };
        assert!(pile.cell.lock().extra().is_some());
        answers();
        assert!(!keeps_its_box(&pile));
        answers();
        assert!(create(&pile, &policy, at(1)) > installed_at);
        assert_eq!(pile.last(), installed_at + 2);
    }

    #[test]
    fn a_lease_after_a_rest_is_superseded_as_any_other() {
        let policy = Policy::new(SECOND);
        let publishes = |meanwhile: fn(&Pile<u32>, &Policy)| {
            let pile = at_rest(&policy);
            let fence = grant(&pile, &policy, at(1)).unwrap();
            meanwhile(&pile, &policy);
            let superseded = pile.is_superseded(fence);
            let publishes = publish(&pile, &policy, fence, at(1));
            assert_eq!(publishes, !superseded);
            publishes
        };
        assert!(publishes(|_, _| ()));
        assert!(!publishes(|pile, policy| set(pile, policy, at(1))));
        assert!(!publishes(|pile, _| assert!(pile.invalidate(None))));
        // As one that was marked is not.
        assert!(publishes(|pile, policy| {
            assert!(pile.expire(policy, None, at(1)));
        }));
        let pile = at_rest(&policy);
        let fence = grant(&pile, &policy, at(1)).unwrap();
        assert!(pile.expire(&policy, None, at(1)));
        assert!(publish(&pile, &policy, fence, at(1)));
        assert!(pile.load().unwrap().times().expired.is_some());
    }

    #[test]
    fn where_somebody_creates_or_waits_there_is_no_rest() {
        let policy = Policy::new(SECOND);
        let pile = at_rest(&policy);
        let fence = grant(&pile, &policy, at(1)).unwrap();
        assert!(keeps_its_box(&pile));
        assert!(pile.is_leased());
        let waiter = pile.join(&policy).unwrap();
        pile.give_up(&ended(&policy, fence, at(1)), observe::End::GivenUp);
        assert!(waiter.outcome().is_some());
        assert!(!keeps_its_box(&pile));
        let Found::Busy(waiter) = pile.await_next(&policy, |_, _| Use::No) else {
            panic!("nothing will do");
        };
        assert!(keeps_its_box(&pile));
        assert_eq!(pile.waiters(), 1);
        set(&pile, &policy, at(1));
        assert!(matches!(waiter.outcome(), Some(Ending::Value(..))));
        // One that has left.
        drop(pile.await_next(&policy, |_, _| Use::No));
        assert!(!keeps_its_box(&pile));
    }

    #[cfg(feature = "async")]
    #[test]
    fn nor_where_somebody_watches() {
        let policy = Policy::new(SECOND);
        let pile = at_rest(&policy);
        let (event, _) = pile.watch();
        assert!(keeps_its_box(&pile));
        assert!(!event.is_set());
        pile.wake_watchers();
        assert!(event.is_set() && !keeps_its_box(&pile));
    }

    /// It is too old for a caller that asks for a newer one than it saw, whenever that was.
    #[test]
    fn nor_with_a_value_that_was_expired() {
        let policy = Policy::new(SECOND);
        let pile = at_rest(&policy);
        assert!(pile.expire(&policy, None, at(0)));
        assert!(keeps_its_box(&pile));
        let marks = pile.cell.lock().marks();
        assert_eq!(marks.expiry, pile.last());
        create(&pile, &policy, at(1));
        assert!(!keeps_its_box(&pile));
    }

    #[test]
    fn nor_without_a_value() {
        let policy = Policy::new(SECOND);
        let pile = at_rest(&policy);
        assert!(pile.remove().is_some());
        assert!(keeps_its_box(&pile));
        assert!(pile.is_emptied());
    }

    /// A back-off, an interval, the last failure, a creator that is late, what was counted.
    #[test]
    fn nor_with_what_is_remembered() {
        let (pile, policy, _) = with_interval();
        assert!(keeps_its_box(&pile));
        assert_eq!(pile.retry_in(&policy, at(6)), Some(SECOND * 9));

        let policy = Policy::new(SECOND);
        let pile = at_rest(&policy);
        let fence = grant(&pile, &policy, at(1)).unwrap();
        let failure = Failure::new(Arc::new("down"));
        pile.fail(&ended(&policy, fence, at(1)), failure);
        create(&pile, &policy, at(2));
        assert!(keeps_its_box(&pile));
        assert!(pile.last_failure().is_some());

        let mut policy = Policy::new(SECOND);
        policy.max_create_time = Some(SECOND);
        let pile = Pile::new();
        let late = grant(&pile, &policy, at(0)).unwrap();
        create(&pile, &policy, at(2));
        assert!(keeps_its_box(&pile));
        assert!(pile.is_superseded(late));
        assert!(!publish(&pile, &policy, late, at(3)));
        assert!(keeps_its_box(&pile));
        let counters = pile.stats(&policy, at(3)).counters.unwrap();
        assert_eq!((counters.published, counters.taken_over), (1, 1));
    }

    /// A pile that knows of no creation needs no box for a value that is set.
    #[test]
    fn what_is_set_takes_no_box() {
        let policy = Policy::new(SECOND);
        for pile in [Pile::new(), at_rest(&policy)] {
            set(&pile, &policy, at(1));
            assert!(pile.cell.lock().extra().is_none());
            assert!(!pile.is_emptied());
        }
    }

    /// Nothing is removed from a pile in which nobody creates.
    #[test]
    fn without_a_lease_nothing_is_superseded() {
        let pile = Pile::<u32>::new();
        assert!(pile.supersede(None));
        assert!(!pile.is_emptied());
    }
}
