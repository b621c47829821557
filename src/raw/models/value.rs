//! A value that is watched: [`Value`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;

/// A number, and one of those that are alive. Dropping it writes a cell of loom's, which reading it reads:
/// so it is a race, which loom reports, if somebody reads what was freed, or frees what is read.
pub(crate) struct Value {
    number: usize,
    intact: UnsafeCell<bool>,
    alive: Arc<AtomicUsize>,
    act: Option<Box<dyn Fn()>>,
}

// SAFETY: loom runs one thread at a time, and reports whoever reads it and does not come before the drop.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Value {
    pub(crate) fn new(number: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            number,
            intact: UnsafeCell::new(true),
            alive: Arc::clone(alive),
            act: None,
        }
    }

    /// Does this when it is dropped.
    pub(crate) fn acting(mut self, act: impl Fn() + 'static) -> Self {
        self.act = Some(Box::new(act));
        self
    }

    pub(crate) fn read(&self) -> usize {
        // SAFETY: written by `drop` alone, with which loom reports a race before it does harm.
        self.intact
            .with(|intact| assert!(unsafe { *intact }, "read after it was dropped"));
        self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.intact.with_mut(|intact| {
            // SAFETY: as in `read`.
            assert!(unsafe { std::ptr::replace(intact, false) }, "dropped twice");
        });
        self.alive.fetch_sub(1, Ordering::Relaxed);
        if let Some(act) = &self.act {
            act();
        }
    }
}
