//! One creation as its waiters see it: an event, and the outcome that is there once the event is
//! set.

use std::panic::RefUnwindSafe;

use crate::clock::{Tick, Time};
use crate::error::Failure;
use crate::raw::event::Event;
use crate::raw::node::NodeRef;
use crate::sync::{Arc, UnsafeCell};

/// What those who waited for a creation are told.
pub(crate) enum Told<T> {
    /// A value: the created one, or one that was `set` meanwhile.
    Value(NodeRef<T>),
    /// The creator failed.
    Failed(Failure),
    /// The lease was given up or superseded: whoever still wants a value looks at the pile again.
    ElectAnew,
}

impl<T> Clone for Told<T> {
    fn clone(&self) -> Self {
        match self {
            Told::Value(node) => Told::Value(node.clone()),
            Told::Failed(failure) => Told::Failed(failure.clone()),
            Told::ElectAnew => Told::ElectAnew,
        }
    }
}

/// A creation that somebody waits for.
///
/// Made by the first waiter, under the pile's lock; completed by whoever takes it out of the pile,
/// under the same lock, so once. From then on every waiter reads the outcome without a lock.
pub(crate) struct Creation<T> {
    fence: u64,
    // An allocation of its own: a clock wakes it, and a waker must not know `T`.
    done: Arc<Event>,
    outcome: UnsafeCell<Option<Told<T>>>,
}

// SAFETY: `outcome` is written by the one `complete` before `done` is set, and only read by anyone
// else after `done` was seen set, so no access races with the write. The readers share
// `&Told<T>` and the last owner of the creation drops it, on whatever thread: that asks for `T:
// Send + Sync`, as an `Arc<T>` would. (`Failure` is both already.)
unsafe impl<T: Send + Sync> Sync for Creation<T> {}

// Read-only once it is complete, as an `Arc<T>` is.
impl<T: RefUnwindSafe> RefUnwindSafe for Creation<T> {}

impl<T> Creation<T> {
    /// The creation under the lease with this fence.
    pub(super) fn new(fence: u64) -> Self {
        Self {
            fence,
            done: Arc::new(Event::new()),
            outcome: UnsafeCell::new(None),
        }
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    #[cfg(feature = "async")]
    pub(super) fn done(&self) -> &Arc<Event> {
        &self.done
    }

    /// Hands the outcome to everybody who waits. Called once, by who took the creation out of the
    /// pile.
    pub(super) fn complete(&self, outcome: Told<T>) {
        self.outcome.with_mut(|slot| {
            // SAFETY: the one call of `complete`, and nobody reads before `done` is set below: the
            // access is exclusive.
            unsafe { *slot = Some(outcome) }
        });
        self.done.set();
    }

    /// Sleeps until the outcome is there, or until `deadline`.
    pub(crate) fn wait(&self, time: &Time, deadline: Option<Tick>) -> Option<Told<T>> {
        if !self.done.wait(time, deadline) {
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
    pub(super) unsafe fn told(&self) -> Option<Told<T>> {
        self.outcome.with(|slot| {
            // SAFETY: `done` was seen set, so `complete` has written the slot, and nobody writes it
            // again.
            unsafe { (*slot).clone() }
        })
    }
}
