//! Those who wait for one lease, or for the next value: an event, and the outcome that is there once the event is set.

use std::panic::RefUnwindSafe;

use crate::error::{Failure, Panicked};
use crate::raw::value::NodeRef;
use crate::raw::wait::event::Event;
use crate::shim::{Arc, UnsafeCell};

/// What the end of a lease means to those who waited for it.
pub(crate) enum Ending<T> {
    /// A value: the created one, or one that was `set` meanwhile.
    Value(NodeRef<T>, Writers),
    /// The created value, though the lease was superseded: it did not become the current one.
    Superseded(NodeRef<T>, Writers),
    /// The creator failed. Says whether an older value may stand in.
    Failed(Failure, bool),
    /// The creator panicked. Says the same.
    Panicked(Panicked, bool),
    /// Nothing. Whoever still wants a value looks at the pile again.
    ElectAnew,
    /// Nothing yet, but an older value to go on with meanwhile. The same. Whoever has to hear of the end of
    /// the lease waits on with these.
    Lent(Arc<Waiters<T>>),
}

/// How many writers had been inside the gate of the pile when the value was made; zero without a
/// gate. `None`: one was inside, who may have gone on, or nobody has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Writers(pub(crate) Option<u64>);

impl<T> Clone for Ending<T> {
    fn clone(&self) -> Self {
        match self {
            Ending::Value(node, writers) => Ending::Value(node.clone(), *writers),
            Ending::Superseded(node, writers) => Ending::Superseded(node.clone(), *writers),
            Ending::Failed(failure, falls_back) => Ending::Failed(failure.clone(), *falls_back),
            Ending::Panicked(panicked, falls_back) => {
                Ending::Panicked(panicked.clone(), *falls_back)
            }
            Ending::ElectAnew => Ending::ElectAnew,
            Ending::Lent(next) => Ending::Lent(Arc::clone(next)),
        }
    }
}

/// A group of callers that wait for the end of one lease; or, with no lease, for the next value.
///
/// The first of them makes it, under the pile's lock. Whoever takes it out of the pile, under the
/// same lock, completes it, so it is completed once. From then on each of them reads the outcome
/// without a lock.
pub(crate) struct Waiters<T> {
    fence: u64,
    came_late: bool,
    /// The group that was there when this one was made: of those who came before the lease was
    /// superseded, if this is that of those who came after, or the other way round; or of those who
    /// wait for the next value.
    other: Option<Arc<Waiters<T>>>,
    // An allocation of its own: a clock wakes it, and a waker must not know `T`.
    done: Arc<Event>,
    outcome: UnsafeCell<Option<Ending<T>>>,
}

// SAFETY: `complete` alone writes `outcome`, once and before it sets `done`. Everybody else reads
// `outcome` only after having seen `done` set. So no read races with the write. Were `outcome` read
// before, it could be half written. The readers share `&Ending<T>`, and the last owner of the group
// drops it on whatever thread: that asks for `T: Send + Sync`, as an `Arc<T>` would. (`Failure` and
// `Panicked` are both already.)
unsafe impl<T: Send + Sync> Sync for Waiters<T> {}

// Read-only once it is complete, as an `Arc<T>` is.
impl<T: RefUnwindSafe> RefUnwindSafe for Waiters<T> {}

impl<T> Waiters<T> {
    pub(in crate::raw) fn new(fence: u64, came_late: bool, other: Option<Arc<Self>>) -> Self {
        Self {
            fence,
            came_late,
            other,
            done: Arc::new(Event::new()),
            outcome: UnsafeCell::new(None),
        }
    }

    /// The fence of the lease that they wait for; zero if there was none when they came.
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether the result of the lease is no answer to them if it is superseded: they joined after that,
    /// or wait for the next value.
    pub(in crate::raw) fn came_late(&self) -> bool {
        self.came_late
    }

    pub(in crate::raw) fn other(&self) -> Option<&Arc<Self>> {
        self.other.as_ref()
    }

    /// Set when the outcome is there.
    pub(crate) fn done(&self) -> &Arc<Event> {
        &self.done
    }

    /// Hands the outcome to all of the group. Called once, by whoever took it out of the pile.
    pub(in crate::raw) fn complete(&self, outcome: Ending<T>) {
        self.outcome.with_mut(|slot| {
            // SAFETY: this is the one call of `complete`, and nobody reads before `done` is set
            // below, so the access is exclusive. A second call would race with the readers.
            unsafe { *slot = Some(outcome) }
        });
        self.done.set();
    }

    /// The outcome, if it is there. By reference: to count on it would be one more write to what all of the
    /// group share.
    pub(crate) fn outcome(&self) -> Option<&Ending<T>> {
        if !self.done.is_set() {
            return None;
        }
        self.outcome.with(|slot| {
            // SAFETY: `done` was just seen set, so `complete` has written the slot, and nobody
            // writes it again for as long as the group lives. Without that look this could read
            // while `complete` writes.
            unsafe { (*slot).as_ref() }
        })
    }
}
