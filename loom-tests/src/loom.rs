//! Models under loom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::cell::UnsafeCell;
pub use loom::{future, sync, thread};

/// Explores the interleavings of `body` with at most `LOOM_MAX_PREEMPTIONS` preemptions, or two, and
/// prints how many there were.
pub fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    let preemptions = *builder.preemption_bound.get_or_insert(2);
    let explored = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&explored);
    let begun = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    println!(
        "{name}: {} interleavings, {preemptions} preemptions, {:.1?}",
        explored.load(Ordering::Relaxed),
        begun.elapsed(),
    );
}

/// A number of which loom reports a race if two are at it, one changes it, and neither comes before
/// the other, even where no interleaving has them at it in the same moment.
pub struct Watched(UnsafeCell<usize>);

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
