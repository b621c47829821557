//! The tasks that sleep on an event, by their wakers.

use std::num::NonZeroU64;
use std::task::Waker;

/// A task's place among those who sleep. It is nobody else's until it is given back, and when
/// everybody was woken it is nobody's for good.
#[derive(Clone, Copy)]
pub(in crate::raw) struct Place(NonZeroU64);

/// The wakers of the tasks that sleep. Allocates once there is one.
pub(in crate::raw) struct Tasks {
    /// The number of the first place; those before it are nobody's.
    first: u64,
    wakers: Vec<Option<Waker>>,
    /// The indices of those that were given back.
    free: Vec<usize>,
}

impl Tasks {
    pub(in crate::raw) const fn new() -> Self {
        Self {
            first: 1,
            wakers: Vec::new(),
            free: Vec::new(),
        }
    }

    fn index(&self, place: Place) -> Option<usize> {
        let index = place.0.get().checked_sub(self.first)?;
        usize::try_from(index).ok()
    }

    /// Whether the waker in this place wakes the same task.
    pub(in crate::raw) fn will_wake(&self, place: Place, waker: &Waker) -> bool {
        let known = self.index(place).and_then(|index| self.wakers.get(index));
        matches!(known, Some(Some(known)) if known.will_wake(waker))
    }

    /// Puts the waker into the task's place, and gives it one if it has none. What was there comes
    /// back, to be dropped where no lock is held.
    #[must_use = "a waker must be dropped outside the lock"]
    pub(in crate::raw) fn put(&mut self, place: &mut Option<Place>, waker: Waker) -> Option<Waker> {
        if let Some(index) = place.and_then(|place| self.index(place)) {
            return self.wakers[index].replace(waker);
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.wakers[index] = Some(waker);
                index
            }
            None => {
                self.wakers.push(Some(waker));
                self.wakers.len() - 1
            }
        };
        *place = NonZeroU64::new(self.first + index as u64).map(Place);
        None
    }

    /// Gives the place back.
    #[must_use = "a waker must be dropped outside the lock"]
    pub(in crate::raw) fn remove(&mut self, place: Place) -> Option<Waker> {
        let index = self.index(place)?;
        self.free.push(index);
        self.wakers[index].take()
    }

    /// All of them, to be woken where no lock is held.
    pub(in crate::raw) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.first += self.wakers.len() as u64;
        self.free.clear();
        std::mem::take(&mut self.wakers).into_iter().flatten()
    }
}
