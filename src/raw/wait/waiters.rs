//! One creation as its waiters see it: an event, and the outcome that is there once the event is
//! set.

use std::panic::RefUnwindSafe;

use crate::error::Failure;
use crate::raw::value::NodeRef;
use crate::raw::wait::event::Event;
use crate::shim::{Arc, UnsafeCell};
use crate::time::{Tick, Time};

/// What those who waited for a creation are told.
pub(crate) enum Ending<T> {
    /// A value: the created one, or one that was `set` meanwhile.
    Value(NodeRef<T>),
    /// The creator failed.
    Failed(Failure),
    /// The lease was given up or superseded: whoever still wants a value looks at the pile again.
    ElectAnew,
}

impl<T> Clone for Ending<T> {
    fn clone(&self) -> Self {
        match self {
            Ending::Value(node) => Ending::Value(node.clone()),
            Ending::Failed(failure) => Ending::Failed(failure.clone()),
            Ending::ElectAnew => Ending::ElectAnew,
        }
    }
}

/// A creation that somebody waits for.
///
/// Made by the first waiter, under the pile's lock; completed by whoever takes it out of the pile,
/// under the same lock, so once. From then on every waiter reads the outcome without a lock.
pub(crate) struct Waiters<T> {
    fence: u64,
    // An allocation of its own: a clock wakes it, and a waker must not know `T`.
    done: Arc<Event>,
    outcome: UnsafeCell<Option<Ending<T>>>,
}

// SAFETY: `outcome` is written by the one `complete` before `done` is set, and only read by anyone
// else after `done` was seen set, so no access races with the write. The readers share
// `&Ending<T>` and the last owner of the creation drops it, on whatever thread: that asks for `T:
// Send + Sync`, as an `Arc<T>` would. (`Failure` is both already.)
unsafe impl<T: Send + Sync> Sync for Waiters<T> {}

// Read-only once it is complete, as an `Arc<T>` is.
impl<T: RefUnwindSafe> RefUnwindSafe for Waiters<T> {}

impl<T> Waiters<T> {
    /// The creation under the lease with this fence.
    pub(in crate::raw) fn new(fence: u64) -> Self {
        Self {
            fence,
            done: Arc::new(Event::new()),
            outcome: UnsafeCell::new(None),
        }
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// Set when the outcome is there.
    pub(crate) fn done(&self) -> &Arc<Event> {
        &self.done
    }

    /// Hands the outcome to everybody who waits. Called once, by who took the creation out of the
    /// pile.
    pub(in crate::raw) fn complete(&self, outcome: Ending<T>) {
        self.outcome.with_mut(|slot| {
            // SAFETY: the one call of `complete`, and nobody reads before `done` is set below: the
            // access is exclusive.
            unsafe { *slot = Some(outcome) }
        });
        self.done.set();
    }

    /// Sleeps until the outcome is there, or until `deadline`.
    pub(crate) fn wait(&self, time: &Time, deadline: Option<Tick>) -> Option<Ending<T>> {
        if !self.done.wait(time, deadline) {
            return None;
        }
        // SAFETY: the event was just seen set.
        unsafe { self.told() }
    }

    /// The outcome, if it is there.
    pub(crate) fn outcome(&self) -> Option<Ending<T>> {
        if !self.done.is_set() {
            return None;
        }
        // SAFETY: the event was just seen set.
        unsafe { self.told() }
    }

    /// The outcome.
    ///
    /// # Safety
    ///
    /// The event was seen set, by this thread or by one that it happens after.
    pub(in crate::raw) unsafe fn told(&self) -> Option<Ending<T>> {
        self.outcome.with(|slot| {
            // SAFETY: `done` was seen set, so `complete` has written the slot, and nobody writes it
            // again.
            unsafe { (*slot).clone() }
        })
    }
}
