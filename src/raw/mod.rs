//! A pile without time and policy: the value cell, the lease and the waiters joined behind a safe
//! face.
//!
//! All `unsafe` and all memory orderings of the crate are in this folder.
//!
//! One short lock orders everything that changes a pile: grants, publishes, `set`, `invalidate`,
//! `expire`. No user code runs under it. Old values are dropped, and waiters woken, after it was
//! let go; a waiter finds its outcome without it.
#![allow(unsafe_code)]

mod gate;
#[cfg(all(test, dogpile_loom))]
mod models;
mod state;
mod value;
mod wait;

pub(crate) use self::gate::{Gate, Reading, Refusal};
pub(crate) use self::value::{Node, NodeRef, ValueRef};
pub(crate) use self::wait::{Ending, Event, Waiters};
#[cfg(feature = "async")]
pub(crate) use self::{
    gate::Closing,
    wait::{Polled, Seat, Waiting},
};

use self::state::State;
use self::value::Cell;
use crate::error::Failure;
use crate::policy::{Marks, Use};
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
#[cfg(all(not(any(dogpile_loom, dogpile_shuttle)), target_pointer_width = "64"))]
const _: () = assert!(std::mem::size_of::<Pile<[u64; 99]>>() == 64);

/// What a caller gets who has looked under the lock.
pub(crate) enum Found<T> {
    /// The current value.
    Value(NodeRef<T>, Use),
    /// The lease with this fence. To be ended by exactly one of `publish`, `fail` and `give_up`.
    Lease(u64),
    /// Somebody else's creation, to wait for.
    Busy(Arc<Waiters<T>>),
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
    /// among the waiters.
    ///
    /// `judge` runs under the lock.
    pub(crate) fn attempt(
        &self,
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
            _ if state.is_leased() => Found::Busy(state.join()),
            current => {
                if let Some(node) = current {
                    node.set_renewing(true);
                }
                Found::Lease(state.grant())
            }
        }
    }

    /// Ends the lease with a value. Says whether it became the current one; if not, the lease was
    /// superseded.
    ///
    /// What is kept here from then on is `kept`: the node itself, or its times alone.
    pub(crate) fn publish(
        &self,
        fence: u64,
        node: &NodeRef<T>,
        kept: NodeRef<T>,
        now: Tick,
    ) -> bool {
        let mut state = self.cell.lock();
        let current = state.generation < fence;
        let creation = state.end(fence);
        let old = if current {
            if state.expiry_mark > fence {
                node.expire(now);
                kept.expire(now);
            }
            Some(Self::place(&mut state, kept))
        } else {
            Self::renewed_by_nobody(&state);
            None
        };
        drop(state);
        if current {
            tell(creation, Ending::Value(node.clone()));
        } else {
            tell(creation, Ending::ElectAnew);
        }
        drop(old);
        current
    }

    /// Ends the lease with an error, which goes to everybody who waits, unless the lease was
    /// superseded.
    pub(crate) fn fail(&self, fence: u64, failure: Failure) {
        self.end(fence, Ending::Failed(failure));
    }

    /// Ends the lease with nothing.
    pub(crate) fn give_up(&self, fence: u64) {
        self.end(fence, Ending::ElectAnew);
    }

    fn end(&self, fence: u64, outcome: Ending<T>) {
        let mut state = self.cell.lock();
        Self::renewed_by_nobody(&state);
        let superseded = state.generation > fence;
        let creation = state.end(fence);
        drop(state);
        if superseded {
            tell(creation, Ending::ElectAnew);
        } else {
            tell(creation, outcome);
        }
    }

    /// Makes `node` the current one. The old one is to be dropped when the lock was let go.
    #[must_use = "the old value must be dropped outside the lock"]
    fn place<'a>(state: &mut Locked<'a, T>, node: NodeRef<T>) -> Replaced<'a, T> {
        Self::renewed_by_nobody(state);
        node.installed_as(state.next());
        node.set_renewing(state.is_leased());
        state.swap(Some(node))
    }

    /// Tells who finds the current value stale, or has it still in hand later, that nobody is
    /// renewing it.
    fn renewed_by_nobody(state: &Locked<'_, T>) {
        if let Some(node) = state.current() {
            node.set_renewing(false);
        }
    }

    /// Makes `node` the current value and hands it to everybody who waits; a lease that is held is
    /// superseded.
    ///
    /// What is kept here from then on is `kept`: the node itself, or its times alone.
    pub(crate) fn set(&self, node: NodeRef<T>, kept: NodeRef<T>) {
        let mut state = self.cell.lock();
        let number = state.next();
        state.generation = number;
        node.number_as(number);
        kept.number_as(number);
        let old = Self::place(&mut state, kept);
        let creation = state.release_waiters();
        drop(state);
        tell(creation, Ending::Value(node));
        drop(old);
    }

    /// Notes the times of a value that was made elsewhere, if the current one is still `seen`, and
    /// was not expired since: that mark would be lost.
    pub(crate) fn note(&self, times: Times, seen: Option<(&NodeRef<T>, Times)>) {
        let mut state = self.cell.lock();
        let noted = match (state.current(), seen) {
            (Some(current), Some((seen, then))) if current.is(seen) && current.times() == then => {
                current.overtaken(times)
            }
            (None, None) if state.generation == 0 => NodeRef::elsewhere(times, 0),
            _ => return,
        };
        let old = Self::place(&mut state, noted);
        drop(state);
        drop(old);
    }

    /// Removes the current value, if it is `only` or that is none; a lease that is held is
    /// superseded. Says whether.
    pub(crate) fn invalidate(&self, only: Option<&NodeRef<T>>) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_current(&state, only) {
            return false;
        }
        state.generation = state.next();
        Self::renewed_by_nobody(&state);
        let old = state.swap(None);
        drop(state);
        drop(old);
        true
    }

    /// Marks the current value stale, if it is `only` or that is none, and what a running creation
    /// will publish. Says whether it did; `only` having been marked before, it does not.
    pub(crate) fn expire(&self, only: Option<&NodeRef<T>>, now: Tick) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_current(&state, only)
            || only.is_some_and(|node| node.times().expired.is_some())
        {
            return false;
        }
        state.expiry_mark = state.next();
        let current = state.current().map(|node| node.expire(now));
        // Who looks for a value elsewhere has to know of it. In a pile that was emptied nobody looks
        // until there is something new.
        let none = (current.is_none() && state.generation == 0)
            .then(|| Self::place(&mut state, NodeRef::nothing(now)));
        drop(state);
        drop(none);
        true
    }

    /// Whether `only` is the current value, or none was named.
    fn is_current(state: &Locked<'_, T>, only: Option<&NodeRef<T>>) -> bool {
        match only {
            None => true,
            Some(node) => state.current().is_some_and(|current| current.is(node)),
        }
    }

    /// Whether `node` is the current one.
    pub(crate) fn shows(&self, node: &NodeRef<T>) -> bool {
        Self::is_current(&self.cell.lock(), Some(node))
    }

    /// Whether the pile was emptied, and nothing was published or set since.
    pub(crate) fn is_emptied(&self) -> bool {
        let state = self.cell.lock();
        state.generation > 0 && state.current().is_none()
    }

    /// Whether the lease with this fence was superseded.
    pub(crate) fn is_superseded(&self, fence: u64) -> bool {
        self.cell.lock().generation > fence
    }

    /// The running creation, to wait for, if one runs.
    pub(crate) fn join(&self) -> Option<Arc<Waiters<T>>> {
        let mut state = self.cell.lock();
        state.is_leased().then(|| state.join())
    }

    /// Whether somebody holds the lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.cell.lock().is_leased()
    }

    /// How many wait for the running creation.
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

/// Hands the outcome to those who wait for the creation, if anybody does. Not under the lock.
fn tell<T>(creation: Option<Arc<Waiters<T>>>, outcome: Ending<T>) {
    if let Some(creation) = creation {
        creation.complete(outcome);
    }
}
