//! Models under loom.

use loom::cell::UnsafeCell;
pub use loom::{future, sync, thread};

use crate::interleavings::{MANY, go_through, is_long};

/// Explores the interleavings of `body` with at most `LOOM_MAX_PREEMPTIONS` preemptions, or two, and
/// prints how many there were. If there are [many](MANY), it explores the first ones, and then all with one
/// preemption less; at length (`.ci/loom --long`) all of them.
pub fn model(body: impl Fn() + Send + Sync + 'static) {
    go_through(body, 2, (!is_long()).then_some(MANY), "");
}

/// As [`model`], of a body with more interleavings than there is time for, however long.
pub fn model_in_part(body: impl Fn() + Send + Sync + 'static) {
    go_through(body, 2, Some(SOME), "");
}

/// How many interleavings are some.
const SOME: usize = 4_000;

/// A number of which loom reports a race if two are at it, one changes it, and neither comes before
/// the other, even where no interleaving has them at it in the same moment.
pub struct Watched(UnsafeCell<usize>);

// SAFETY: loom runs one thread at a time, and reports whoever is at it together with another.
#[allow(unsafe_code)]
unsafe impl Sync for Watched {}

impl Watched {
    pub fn new(number: usize) -> Self {
        Self(UnsafeCell::new(number))
    }

    pub fn read(&self) -> usize {
        self.0.with(|number| {
            // SAFETY: loom runs one thread at a time, and reports who changes it at the same time
            // before this reader gets here.
            #[allow(unsafe_code)]
            unsafe {
                *number
            }
        })
    }

    /// Answers what it was changed to.
    pub fn change(&self, change: impl FnOnce(usize) -> usize) -> usize {
        self.0.with_mut(|number| {
            // SAFETY: as in `read`.
            #[allow(unsafe_code)]
            let number = unsafe { &mut *number };
            *number = change(*number);
            *number
        })
    }
}
