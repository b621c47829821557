//! A pile without time and policy: the value cell, the lease and the waiters behind a safe face.
//!
//! All `unsafe` code and all memory orderings of the crate are in this folder.
//!
//! One short lock orders everything that changes a pile: grants, publishes, `set`, `invalidate`,
//! `expire`. No user code runs under the lock. Old values are dropped and waiters are woken after
//! the lock was released. A waiter reads its outcome without the lock.
#![allow(unsafe_code)]

mod asked;
mod change;
mod counts;
mod end;
mod gate;
mod index;
mod keyed;
mod lease;
#[cfg(all(test, dogpile_loom))]
pub(crate) mod models;
mod rate;
mod state;
mod value;
mod wait;
mod watch;

pub(crate) use self::asked::Asked;
pub(crate) use self::change::Was;
pub(crate) use self::end::{Ended, Ready};
pub(crate) use self::gate::{Gate, Reading, Refusal};
pub(crate) use self::index::{Entries, Index, Indexed, Locked as LockedIndex, Shown, Within};
pub(crate) use self::lease::{Found, Look};
pub(crate) use self::rate::Rate;
pub(crate) use self::value::{Node, NodeRef, ValueRef};
pub(crate) use self::wait::{Ending, Event, Waiters, Writers};
#[cfg(feature = "async")]
pub(crate) use self::{
    gate::Closing,
    wait::{Polled, Seat},
};

use std::time::Duration;

use self::state::{Busy, State};
use self::value::Cell;
use crate::error::Failure;
use crate::policy::{Pace, Policy, Span};
use crate::time::Tick;

/// The state of one pile.
#[repr(transparent)]
pub(crate) struct Pile<T> {
    cell: Cell<T, State, Busy<T>>,
}

/// A node that a reader holds.
pub(crate) type Protected<'a, T> = value::Protected<'a, T, State, Busy<T>>;

type Locked<'a, T> = value::Locked<'a, T, State, Busy<T>>;
type Replaced<'a, T> = value::Replaced<'a, T, State, Busy<T>>;

// One pile a key has to be affordable: the documentation promises it.
#[cfg(all(
    not(any(dogpile_loom, dogpile_shuttle, debug_assertions)),
    target_pointer_width = "64"
))]
const _: () = assert!(std::mem::size_of::<Pile<[u64; 99]>>() == 32);

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

    /// A node that the caller has a share in, or was lent one: as readers hold it if it is the current
    /// one, else by a share of its own.
    #[inline(always)]
    pub(crate) fn hold(&self, node: &NodeRef<T>) -> Protected<'_, T> {
        self.cell.hold(node)
    }

    /// What the pile remembers of its creations, if it does.
    fn pace<'s>(state: &'s Locked<'_, T>) -> Option<&'s Pace> {
        state.extra()?.pace.as_deref()
    }

    fn change_pace<R>(state: &mut Locked<'_, T>, change: impl FnOnce(&mut Pace) -> R) -> R {
        change(state.make_extra().pace.get_or_insert_default())
    }

    /// Tells callers that find `node` due or stale, or still hold it later, when they need not ask
    /// for the lease, which is free.
    fn quiet(state: &Locked<'_, T>, policy: &Policy, node: &NodeRef<T>) {
        let span = Self::pace(state).map(|pace| pace.quiet(policy));
        node.set_quiet(span.unwrap_or(Span::NEVER));
    }

    /// A span in which a caller with a usable value need not ask while the lease is held: after that it
    /// may take the lease over.
    fn quiet_while_held(state: &Locked<'_, T>, policy: &Policy) -> Span {
        let overdue = Self::pace(state).and_then(|pace| pace.overdue_from(policy));
        overdue.map_or(Span::ALWAYS, |overdue| Span::new(Tick::ZERO, overdue))
    }

    /// Tells callers that find the current value due or stale whether they need to ask, now that
    /// nobody is renewing it.
    fn nobody_renews(state: &Locked<'_, T>, policy: &Policy) {
        if let Some(node) = state.current() {
            Self::quiet(state, policy, &node);
        }
    }

    /// Ends the back-off.
    fn clear_pace(state: &mut Locked<'_, T>) {
        if Self::pace(state).is_some() {
            Self::change_pace(state, Pace::clear);
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
        state.generation() > 0 && state.current().is_none()
    }

    /// Whether the lease with this fence was superseded.
    pub(crate) fn is_superseded(&self, fence: u64) -> bool {
        let state = self.cell.lock();
        let is_late = Self::pace(&state).is_some_and(|pace| pace.knows_as_late(fence));
        is_late || state.supersedes(fence)
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.cell.lock().last()
    }

    /// The last failure, and when it came.
    pub(crate) fn last_failure(&self) -> Option<(Failure, Tick)> {
        Self::pace(&self.cell.lock())?.last_failure().cloned()
    }

    /// How long no creation may begin yet, for a caller without a usable value.
    pub(crate) fn retry_in(&self, policy: &Policy, now: Tick) -> Option<Duration> {
        Self::pace(&self.cell.lock())?.retry_in(policy, now, false)
    }

    /// Whether somebody holds the lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.cell.lock().is_leased()
    }

    /// How many wait, for the lease that is held or for the next value.
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
