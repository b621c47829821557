//! Models under loom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::cell::UnsafeCell;
pub use loom::{future, sync, thread};

/// Explores the interleavings of `body` with at most `LOOM_MAX_PREEMPTIONS` preemptions, or two, and
/// prints how many there were.
pub fn model(body: impl Fn() + Send + Sync + 'static) {
    explore(&Arc::new(body), preemptions(), None);
}

/// As [`model`], of a body with more interleavings than there is time for: all with one preemption less,
/// and then some thousands.
pub fn model_in_part(body: impl Fn() + Send + Sync + 'static) {
    let (body, preemptions) = (Arc::new(body), preemptions());
    if let Some(fewer) = preemptions.checked_sub(1) {
        explore(&body, fewer, None);
    }
    explore(&body, preemptions, Some(SOME));
}

/// How many interleavings are some, unless `LOOM_MAX_PERMUTATIONS` says it.
const SOME: usize = 4000;

fn preemptions() -> usize {
    loom::model::Builder::new().preemption_bound.unwrap_or(2)
}

fn explore(body: &Arc<impl Fn() + Send + Sync + 'static>, preemptions: usize, most: Option<usize>) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    builder.max_permutations = builder.max_permutations.or(most);
    if let Some(most) = builder.max_permutations {
        // loom looks at the number now and then only.
        builder.checkpoint_interval = most;
    }
    let explored = Arc::new(AtomicUsize::new(0));
    let (body, count) = (Arc::clone(body), Arc::clone(&explored));
    let most = builder.max_permutations;
    let begun = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let explored = explored.load(Ordering::Relaxed);
    let of = match most {
        Some(most) if explored + 1 >= most => "the first ",
        _ => "",
    };
    println!(
        "{name}: {of}{explored} interleavings, {preemptions} preemptions, {:.1?}",
        begun.elapsed(),
    );
}

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
