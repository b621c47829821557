//! A pile without time and policy: the value cell, the lease and the waiters behind a safe face.
//!
//! All `unsafe` code and all memory orderings of the crate are in this folder.
//!
//! One short lock orders everything that changes a pile: grants, publishes, `set`, `invalidate`,
//! `expire`. No user code runs under the lock. Old values are dropped and waiters are woken after
//! the lock was released. A waiter reads its outcome without the lock.
#![allow(unsafe_code)]

mod gate;
#[cfg(all(test, dogpile_loom))]
mod models;
mod state;
mod value;
mod wait;

pub(crate) use self::gate::{Gate, Reading, Refusal};
pub(crate) use self::value::{Node, NodeRef, ValueRef};
pub(crate) use self::wait::{Ending, Event, Waiters, Writers};
#[cfg(feature = "async")]
pub(crate) use self::{
    gate::Closing,
    wait::{Polled, Seat},
};

use self::state::State;
use self::value::Cell;
use crate::error::{Failure, Panicked};
use crate::policy::{Marks, Seen, Use};
use crate::shim::Arc;
use crate::time::{Tick, Times};

/// The state of one pile.
#[repr(transparent)]
pub(crate) struct Pile<T> {
    cell: Cell<T, State<T>>,
}

/// A node that a reader holds.
pub(crate) type Protected<'a, T> = value::Protected<'a, T, State<T>>;

type Locked<'a, T> = value::Locked<'a, T, State<T>>;
type Replaced<'a, T> = value::Replaced<'a, T, State<T>>;

// One pile a key has to be affordable: the documentation promises it.
#[cfg(all(
    not(any(dogpile_loom, dogpile_shuttle, debug_assertions)),
    target_pointer_width = "64"
))]
const _: () = assert!(std::mem::size_of::<Pile<[u64; 99]>>() == 64);

/// What a look under the lock finds.
pub(crate) enum Found<T> {
    /// The current value.
    Value(NodeRef<T>, Use),
    /// The lease with this fence. To be ended by exactly one of `publish`, `fail`, `panicked` and
    /// `give_up`.
    Lease(u64),
    /// Another caller's lease, to wait for.
    Busy(Arc<Waiters<T>>),
}

/// A created value, complete and not published yet.
pub(crate) struct Ready<T> {
    /// For those who are given the value.
    pub(crate) node: NodeRef<T>,
    /// For the pile to keep: the node itself, or its times alone.
    pub(crate) kept: NodeRef<T>,
    pub(crate) now: Tick,
}

impl<T> Pile<T> {
    crate::shim::const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { cell: Cell::new(State::new()) }
        }
    }

    /// The current value.
    #[inline]
    pub(crate) fn load(&self) -> Option<Protected<'_, T>> {
        self.cell.load()
    }

    /// Takes the current value if it is good enough, else the lease if it is free, else a place
    /// among the waiters. The call may have waited for an earlier lease until its end.
    ///
    /// `judge` runs under the lock.
    pub(crate) fn attempt(
        &self,
        has_waited: bool,
        judge: impl FnOnce(Marks, Option<&NodeRef<T>>) -> Use,
    ) -> Found<T> {
        let mut state = self.cell.lock();
        let marks = Marks {
            last: state.last(),
            expiry: state.expiry_mark,
        };
        let current = state.current();
        let usable = judge(marks, current.as_deref());
        match current {
            Some(node) if usable == Use::Now => Found::Value(node.clone(), usable),
            Some(node) if usable == Use::IfLeased && state.is_leased() => {
                Found::Value(node.clone(), usable)
            }
            _ if state.is_leased() => Found::Busy(state.join(has_waited)),
            current => {
                if let Some(node) = current {
                    node.set_renewing(true);
                }
                Found::Lease(state.grant())
            }
        }
    }

    /// Ends the lease with a value. Says whether the value became the current one. If it did not,
    /// the lease was superseded.
    pub(crate) fn publish(&self, fence: u64, ready: Ready<T>, writers: Writers) -> bool {
        let Ready { node, kept, now } = ready;
        let mut state = self.cell.lock();
        let pile = state.pile();
        node.belongs_to(pile);
        kept.belongs_to(pile);
        let superseded = state.supersedes(fence);
        let waiters = state.end(fence);
        let (ending, old) = if superseded {
            Self::nobody_renews(&state);
            (Ending::Superseded(node, writers), None)
        } else {
            if state.expiry_mark > fence {
                node.expire(now);
                kept.expire(now);
            }
            (
                Ending::Value(node, writers),
                Some(Self::install(&mut state, kept)),
            )
        };
        drop(state);
        tell(waiters, superseded, ending);
        drop(old);
        !superseded
    }

    /// Ends the lease with an error, which goes to everybody who waits.
    pub(crate) fn fail(&self, fence: u64, failure: Failure) {
        self.end(fence, Ending::Failed(failure));
    }

    /// Ends the lease with a panic, of which everybody who waits is told.
    pub(crate) fn panicked(&self, fence: u64, panicked: Panicked) {
        self.end(fence, Ending::Panicked(panicked));
    }

    /// Ends the lease with nothing.
    pub(crate) fn give_up(&self, fence: u64) {
        self.end(fence, Ending::ElectAnew);
    }

    fn end(&self, fence: u64, ending: Ending<T>) {
        let mut state = self.cell.lock();
        Self::nobody_renews(&state);
        let superseded = state.supersedes(fence);
        let waiters = state.end(fence);
        drop(state);
        tell(waiters, superseded, ending);
    }

    /// Makes `node` the current one. The old one is to be dropped when the lock was released.
    #[must_use = "the old value must be dropped outside the lock"]
    fn install<'a>(state: &mut Locked<'a, T>, node: NodeRef<T>) -> Replaced<'a, T> {
        Self::nobody_renews(state);
        node.installed_as(state.next());
        node.set_renewing(state.is_leased());
        state.swap(Some(node))
    }

    /// Tells callers that find the current value stale, or still hold it later, that nobody is
    /// renewing it.
    fn nobody_renews(state: &Locked<'_, T>) {
        if let Some(node) = state.current() {
            node.set_renewing(false);
        }
    }

    /// Makes `node` the current value and hands it to everybody who waits. A lease that is held is
    /// superseded. With `seen`, only if that is still the current value. Says whether it did.
    ///
    /// What the pile keeps from then on is `kept`: the node itself, or its times alone.
    pub(crate) fn set(&self, node: &NodeRef<T>, kept: NodeRef<T>, seen: Option<Was>) -> bool {
        let mut state = self.cell.lock();
        let pile = state.pile();
        if seen.is_some_and(|seen| !Self::is(&state, seen)) {
            drop(state);
            return false;
        }
        let number = state.next();
        state.generation = number;
        node.number_as(number);
        kept.number_as(number);
        node.belongs_to(pile);
        kept.belongs_to(pile);
        let old = Self::install(&mut state, kept);
        let waiters = state.release_waiters();
        drop(state);
        tell(waiters, false, Ending::Value(node.clone(), Writers(None)));
        drop(old);
        true
    }

    /// Notes the times of a value that was made elsewhere, if the current node is still `seen`, and
    /// was not expired since: that mark would be lost.
    pub(crate) fn note(&self, times: Times, seen: Option<(&NodeRef<T>, Times)>) {
        let mut state = self.cell.lock();
        let pile = state.pile();
        let noted = match (state.current(), seen) {
            (Some(current), Some((seen, then))) if current.is(seen) && current.times() == then => {
                current.overtaken(times)
            }
            (None, None) if state.generation == 0 => NodeRef::elsewhere(times, 0),
            _ => return,
        };
        noted.belongs_to(pile);
        let old = Self::install(&mut state, noted);
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
        state.generation = state.next();
        Self::nobody_renews(&state);
        let old = state.swap(None);
        drop(state);
        drop(old);
        true
    }

    /// Marks the current value stale, with `seen` only if that is still it, and what a running
    /// creation will publish. Says whether it did. A value seen that was marked before is not marked
    /// again.
    pub(crate) fn expire(&self, seen: Option<Seen>, now: Tick) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_seen(&state, seen) {
            return false;
        }
        let marked = |node: &NodeRef<T>| node.times().expired.is_some();
        if seen.is_some() && state.current().is_some_and(|node| marked(&node)) {
            return false;
        }
        state.expiry_mark = state.next();
        let current = state.current().map(|node| node.expire(now));
        // A caller that looks for a value elsewhere has to know of the mark. In a pile that was
        // emptied nobody looks until there is something new.
        let none = (current.is_none() && state.generation == 0)
            .then(|| Self::install(&mut state, NodeRef::nothing(now)));
        drop(state);
        drop(none);
        true
    }

    /// Whether the value seen is the current one, or none was named.
    fn is_seen(state: &Locked<'_, T>, seen: Option<Seen>) -> bool {
        seen.is_none_or(|seen| Self::is(state, Was::Seen(seen)))
    }

    fn is(state: &Locked<'_, T>, was: Was) -> bool {
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

    /// Whether the value with this number is the current one.
    pub(crate) fn is_current(&self, number: u64) -> bool {
        let state = self.cell.lock();
        state
            .current()
            .is_some_and(|current| current.number() == number)
    }

    /// Whether the pile was emptied, and nothing was published or set since.
    pub(crate) fn is_emptied(&self) -> bool {
        let state = self.cell.lock();
        state.generation > 0 && state.current().is_none()
    }

    /// Whether the lease with this fence was superseded.
    pub(crate) fn is_superseded(&self, fence: u64) -> bool {
        self.cell.lock().supersedes(fence)
    }

    /// Joins those who wait for the lease that is held, if one is.
    pub(crate) fn join(&self) -> Option<Arc<Waiters<T>>> {
        let mut state = self.cell.lock();
        state.is_leased().then(|| state.join(false))
    }

    /// As [`join`](Pile::join), for the caller that was granted the lease and has somebody else
    /// create.
    pub(crate) fn join_own(&self) -> Arc<Waiters<T>> {
        self.cell.lock().join_own()
    }

    /// Whether somebody holds the lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.cell.lock().is_leased()
    }

    /// How many wait for the lease that is held.
    pub(crate) fn waiters(&self) -> usize {
        self.cell.lock().waiters()
    }

    /// The current value, if nobody else has a share in it.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.cell.get_mut()
    }

    /// The current value, if nobody else has a share in it.
    pub(crate) fn into_value(self) -> Option<T> {
        self.cell.into_inner()?.into_value()
    }
}

/// What a caller saw in a pile before it changes the value.
#[derive(Clone, Copy)]
pub(crate) enum Was {
    Seen(Seen),
    Nothing,
}

/// Hands the ending to those who wait, if anybody does. Not under the lock.
fn tell<T>(waiters: Option<Arc<Waiters<T>>>, superseded: bool, ending: Ending<T>) {
    let Some(group) = waiters else {
        return;
    };
    // Those who came late called after the `set` or the `invalidate`, and the creation began before.
    let is_an_answer = |group: &Waiters<T>| !(superseded && group.came_late());
    if let Some(other) = group.other() {
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
