//! In which order the writes of one process are brought into its pile.

use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex, MutexGuard, ThreadId, current};

/// The writes of this process, invalidations included.
#[derive(Default)]
pub(crate) struct Writes {
    now: Mutex<Now>,
    placed: Condvar,
}

#[derive(Default)]
struct Now {
    begun: u64,
    ended: u64,
    /// Those up to this number have overlapped with another, or are over.
    overlapped: u64,
    /// The thread that brings something into the pile of this process. One at a time, and not under the
    /// lock: dropping a value and waking a task is user code, and may write in turn.
    placing: Option<ThreadId>,
}

/// Lets the next one place something, also if user code panics.
struct Placing<'a>(Option<&'a Writes>);

impl Drop for Placing<'_> {
    fn drop(&mut self) {
        if let Some(writes) = self.0 {
            writes.lock().placing = None;
            writes.placed.notify_all();
        }
    }
}

impl Writes {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often one has begun or ended so far.
    pub(crate) fn so_far(&self) -> u64 {
        let now = self.lock();
        now.begun + now.ended
    }

    /// One begins. Its number.
    pub(crate) fn begins(&self) -> u64 {
        let mut now = self.lock();
        now.begun += 1;
        if now.begun - now.ended > 1 {
            // This one, and each that runs: also one that will end when this one has ended long since.
            now.overlapped = now.begun;
        }
        now.begun
    }

    /// Waits until nobody else places anything, and lets nobody until it is dropped.
    fn place(&self) -> (MutexGuard<'_, Now>, Placing<'_>) {
        let me = current().id();
        let mut now = self.lock();
        while now.placing.is_some_and(|other| other != me) {
            now = self
                .placed
                .wait(now)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let nested = now.placing.replace(me).is_some();
        (now, Placing((!nested).then_some(self)))
    }

    /// One has ended at the store, and is brought here: told whether no other one overlapped.
    pub(crate) fn ends(&self, number: u64, place: impl FnOnce(bool)) {
        let (mut now, placing) = self.place();
        now.ended += 1;
        let alone = number > now.overlapped;
        drop(now);
        place(alone);
        drop(placing);
    }

    /// Brings something here that is no write, unless one runs, or has begun or ended since then: one that
    /// ran already may have been at the store only after what is brought was.
    pub(crate) fn place_unless_written(&self, so_far: u64, place: impl FnOnce()) {
        let (now, placing) = self.place();
        let unwritten = now.begun == now.ended && now.begun + now.ended == so_far;
        drop(now);
        if unwritten {
            place();
        }
        drop(placing);
    }
}
