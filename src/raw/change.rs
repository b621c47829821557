//! What changes the value besides a creation: `set`, a loan, `invalidate`, `expire`.

use crate::policy::{Policy, Seen, Span};
use crate::raw::end::tell;
use crate::raw::value::NodeRef;
use crate::raw::wait::{Ending, Writers};
use crate::raw::{Locked, Pile, Replaced};
use crate::time::{Tick, Times};

/// What a caller saw in a pile before it changes the value.
#[derive(Clone, Copy)]
pub(crate) enum Was {
    Seen(Seen),
    Nothing,
}

impl<T> Pile<T> {
    /// Makes `node` the current one. The old one is to be dropped when the lock was released.
    #[must_use = "the old value must be dropped outside the lock"]
    pub(super) fn install<'a>(
        state: &mut Locked<'a, T>,
        policy: &Policy,
        node: NodeRef<T>,
    ) -> Replaced<'a, T> {
        Self::loses_its_place(state);
        Self::count_change(state);
        node.installed_as(state.next());
        match state.is_leased() {
            true => node.set_quiet(Self::quiet_while_held(state, policy)),
            false => Self::quiet(state, policy, &node),
        }
        state.swap(Some(node))
    }

    /// Removes the current value. It is to be dropped when the lock was released.
    #[must_use = "the old value must be dropped outside the lock"]
    pub(super) fn empty<'a>(state: &mut Locked<'a, T>) -> Replaced<'a, T> {
        state.supersede();
        Self::loses_its_place(state);
        Self::count_change(state);
        state.swap(None)
    }

    /// Tells callers who still hold the current value later that they have to ask.
    pub(super) fn loses_its_place(state: &Locked<'_, T>) {
        if let Some(node) = state.current() {
            node.set_quiet(Span::NEVER);
        }
    }

    /// Makes `node` the current value and hands it to everybody who waits. A lease that is held is
    /// superseded. With `seen`, only if that is still the current value. Says whether it did.
    ///
    /// What the pile keeps from then on is `kept`: the node itself, or its times alone. Those who wait
    /// are told that so many `writers` had been inside.
    pub(crate) fn set(
        &self,
        policy: &Policy,
        node: &NodeRef<T>,
        kept: NodeRef<T>,
        seen: Option<Was>,
        writers: Writers,
    ) -> bool {
        let mut state = self.cell.lock();
        let pile = state.pile();
        if seen.is_some_and(|seen| !Self::is(&state, seen)) {
            drop(state);
            return false;
        }
        let number = state.next();
        state.supersede_by(number);
        node.number_as(number);
        kept.number_as(number);
        node.belongs_to(pile);
        kept.belongs_to(pile);
        Self::clear_pace(&mut state);
        let old = Self::install(&mut state, policy, kept);
        let waiters = state.release_waiters();
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, false, Ending::Value(node.clone(), writers));
        drop(old);
        drop(watch);
        true
    }

    /// Makes an older value the current one, which is stale at once, while the lease with this fence is
    /// held. Its number is zero, below all marks. Says whether it did: a value that is held stays, and
    /// nothing comes back after an `invalidate`.
    pub(crate) fn lend(&self, policy: &Policy, now: Tick, fence: u64, node: NodeRef<T>) -> bool {
        let mut state = self.cell.lock();
        let pile = state.pile();
        let is_gone = |node: &NodeRef<T>| {
            let times = node.times();
            now >= times.usable_until(times.ttl) && now >= times.stands_in_until(times.ttl)
        };
        let is_empty = match state.current() {
            Some(current) => current.value().is_none() || is_gone(&current),
            None => state.generation() == 0,
        };
        if !state.is_leased_to(fence) || state.supersedes(fence) || !is_empty {
            return false;
        }
        node.belongs_to(pile);
        node.expire(now);
        let old = Self::install(&mut state, policy, node);
        let waiters = state.release_waiters();
        let next = waiters.as_ref().map(|_| state.join_own());
        let watch = Self::changed(&mut state);
        drop(state);
        if let Some(next) = next {
            tell(waiters, false, Ending::Lent(next));
        }
        drop(old);
        drop(watch);
        true
    }

    /// Notes the times of a value that was made elsewhere, if the current node is still `seen`, and
    /// was not expired since: that mark would be lost.
    pub(crate) fn note(&self, policy: &Policy, times: Times, seen: Option<(&NodeRef<T>, Times)>) {
        let mut state = self.cell.lock();
        let pile = state.pile();
        let noted = match (state.current(), seen) {
            (Some(current), Some((seen, then))) if current.is(seen) && current.times() == then => {
                current.overtaken(times)
            }
            (None, None) if state.generation() == 0 => NodeRef::elsewhere(times, 0),
            _ => return,
        };
        noted.belongs_to(pile);
        let old = Self::install(&mut state, policy, noted);
        drop(state);
        drop(old);
    }

    /// Removes the current value, with `seen` only if that is still it. A lease that is held is
    /// superseded. Says whether it did.
    pub(crate) fn invalidate(&self, seen: Option<Seen>) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_seen(&state, seen) {
            return false;
        }
        // Strangers can provoke the other form.
        if seen.is_none() {
            Self::clear_pace(&mut state);
        }
        let old = Self::empty(&mut state);
        let watch = Self::changed(&mut state);
        drop(state);
        drop(old);
        drop(watch);
        true
    }

    /// Marks the current value stale, with `seen` only if that is still it, and what a running
    /// creation will publish. Says whether it did. A value seen that was marked before is not marked
    /// again.
    pub(crate) fn expire(&self, policy: &Policy, seen: Option<Seen>, now: Tick) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_seen(&state, seen) {
            return false;
        }
        let marked = |node: &NodeRef<T>| node.times().expired.is_some();
        if seen.is_some() && state.current().is_some_and(|node| marked(&node)) {
            return false;
        }
        state.mark_expiry();
        let current = state.current().map(|node| node.expire(now));
        // A caller that looks for a value elsewhere has to know of the mark. In a pile that was
        // emptied nobody looks until there is something new.
        let none = (current.is_none() && state.generation() == 0)
            .then(|| Self::install(&mut state, policy, NodeRef::nothing(now)));
        // Strangers can provoke the other form.
        if seen.is_none() {
            Self::clear_pace(&mut state);
            if !state.is_leased() {
                Self::nobody_renews(&state, policy);
            }
        }
        let watch = Self::changed(&mut state);
        drop(state);
        drop(none);
        drop(watch);
        true
    }

    /// Whether the value seen is the current one, or none was named.
    pub(super) fn is_seen(state: &Locked<'_, T>, seen: Option<Seen>) -> bool {
        seen.is_none_or(|seen| Self::is(state, Was::Seen(seen)))
    }

    pub(super) fn is(state: &Locked<'_, T>, was: Was) -> bool {
        match (was, state.current()) {
            (Was::Seen(seen), Some(current)) => {
                seen.assert_of(current.pile());
                seen.number == current.number()
            }
            (Was::Nothing, Some(current)) => current.value().is_none(),
            (Was::Seen(_), None) => false,
            (Was::Nothing, None) => true,
        }
    }
}
