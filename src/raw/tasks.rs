//! The tasks that sleep on an event, by their wakers.

use std::collections::BTreeMap;
use std::task::Waker;

/// A task's place among those who sleep. No two tasks of an event ever get the same one, so one
/// that was emptied meanwhile is nobody else's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// The wakers of the tasks that sleep, in the order in which they lay down. Allocates once there is
/// one.
pub(super) struct Tasks {
    next: u64,
    wakers: BTreeMap<Place, Waker>,
}

impl Tasks {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            wakers: BTreeMap::new(),
        }
    }

    /// Whether the waker in this place wakes the same task.
    pub(super) fn will_wake(&self, place: Place, waker: &Waker) -> bool {
        let known = self.wakers.get(&place);
        known.is_some_and(|known| known.will_wake(waker))
    }

    /// Puts the waker into the task's place, and gives it one if it has none. What was there comes
    /// back, to be dropped where no lock is held.
    #[must_use = "a waker must be dropped outside the lock"]
    pub(super) fn put(&mut self, place: &mut Option<Place>, waker: Waker) -> Option<Waker> {
        let place = *place.get_or_insert_with(|| {
            self.next += 1;
            Place(self.next)
        });
        self.wakers.insert(place, waker)
    }

    #[must_use = "a waker must be dropped outside the lock"]
    pub(super) fn remove(&mut self, place: Place) -> Option<Waker> {
        self.wakers.remove(&place)
    }

    /// All of them, to be woken where no lock is held.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> {
        std::mem::take(&mut self.wakers).into_values()
    }
}
