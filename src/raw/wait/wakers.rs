//! The wakers of the tasks that sleep on an event.

use std::array;
use std::iter::Flatten;
use std::num::NonZeroU64;
use std::task::Waker;
use std::vec::IntoIter;

/// Finds the waker of one task. No other task has the same key until the waker is removed. After all
/// tasks were woken the key finds nothing, and is never used again.
#[derive(Clone, Copy)]
pub(in crate::raw) struct WakerKey(NonZeroU64);

/// How many are woken between two looks at the list.
#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
const SOME: usize = 32;
// So that models get beyond it.
#[cfg(any(dogpile_loom, dogpile_shuttle))]
const SOME: usize = 1;

/// The wakers of the tasks that sleep. Allocates when the first one comes.
pub(in crate::raw) struct Wakers {
    /// The number of the first key. Lower keys find nothing.
    first: u64,
    wakers: Vec<Option<Waker>>,
    /// The indices without a waker.
    free: Vec<usize>,
    /// Taken out, once nobody comes any more, and not called yet.
    leaving: Flatten<IntoIter<Option<Waker>>>,
}

impl Wakers {
    pub(in crate::raw) fn new() -> Self {
        Self {
            first: 1,
            wakers: Vec::new(),
            free: Vec::new(),
            leaving: Vec::new().into_iter().flatten(),
        }
    }

    fn index(&self, key: WakerKey) -> Option<usize> {
        let index = key.0.get().checked_sub(self.first)?;
        usize::try_from(index).ok()
    }

    /// Whether the waker with this key wakes the same task as `waker`.
    pub(in crate::raw) fn will_wake(&self, key: WakerKey, waker: &Waker) -> bool {
        let known = self.index(key).and_then(|index| self.wakers.get(index));
        matches!(known, Some(Some(known)) if known.will_wake(waker))
    }

    /// Stores the task's waker under its key, and makes a key if the task has none. Returns the waker
    /// that was stored before, which must be dropped where no lock is held.
    #[must_use = "a waker must be dropped outside the lock"]
    pub(in crate::raw) fn put(
        &mut self,
        key: &mut Option<WakerKey>,
        waker: Waker,
    ) -> Option<Waker> {
        if let Some(index) = key.and_then(|key| self.index(key)) {
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
        *key = NonZeroU64::new(self.first + index as u64).map(WakerKey);
        None
    }

    /// Removes the task's waker. The key is not to be used again.
    #[must_use = "a waker must be dropped outside the lock"]
    pub(in crate::raw) fn remove(&mut self, key: WakerKey) -> Option<Waker> {
        let index = self.index(key)?;
        self.free.push(index);
        self.wakers[index].take()
    }

    /// Takes all wakers out. They must be called where no lock is held.
    pub(in crate::raw) fn take(&mut self) -> Flatten<IntoIter<Option<Waker>>> {
        self.first += self.wakers.len() as u64;
        self.free.clear();
        std::mem::take(&mut self.wakers).into_iter().flatten()
    }

    /// Takes some wakers out, in order, once nobody comes any more. The last place is empty if these were all.
    /// They must be called where no lock is held.
    pub(in crate::raw) fn take_some(&mut self) -> [Option<Waker>; SOME] {
        if !self.wakers.is_empty() {
            self.leaving = self.take();
        }
        array::from_fn(|_| self.leaving.next())
    }
}
