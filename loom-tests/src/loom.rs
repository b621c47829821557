//! Models under loom.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::cell::UnsafeCell;
pub use loom::{future, sync, thread};

/// Explores the interleavings of `body` with at most `LOOM_MAX_PREEMPTIONS` preemptions, or two, and
/// prints how many there were. If there are [many](MANY), it explores the first ones, and then all with one
/// preemption less; at length (`.ci/loom --long`) all of them.
pub fn model(body: impl Fn() + Send + Sync + 'static) {
    in_part(body, (!is_long()).then_some(MANY));
}

/// As [`model`], of a body with more interleavings than there is time for, however long.
pub fn model_in_part(body: impl Fn() + Send + Sync + 'static) {
    in_part(body, Some(SOME));
}

/// How many interleavings are many, unless `LOOM_MAX_PERMUTATIONS` says it; and how many are some.
const MANY: usize = 20_000;
const SOME: usize = 4_000;

fn is_long() -> bool {
    env::var_os("DOGPILE_MODELS").is_some_and(|models| models == "long")
}

fn in_part(body: impl Fn() + Send + Sync + 'static, most: Option<usize>) {
    let (body, settings) = (Arc::new(body), loom::model::Builder::new());
    let preemptions = settings.preemption_bound.unwrap_or(2);
    let most = settings.max_permutations.or(most);
    let is_cut = explore(&body, preemptions, most);
    if let Some(fewer) = preemptions.checked_sub(1).filter(|_| is_cut) {
        explore(&body, fewer, None);
    }
}

/// Says whether there are more than so many.
fn explore(
    body: &Arc<impl Fn() + Send + Sync + 'static>,
    preemptions: usize,
    most: Option<usize>,
) -> bool {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    builder.max_permutations = most;
    if let Some(most) = most {
        // loom looks at the number now and then only.
        builder.checkpoint_interval = most;
    }
    let explored = Arc::new(AtomicUsize::new(0));
    let (body, count) = (Arc::clone(body), Arc::clone(&explored));
    let begun = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let explored = explored.load(Ordering::Relaxed);
    let is_cut = most.is_some_and(|most| explored + 1 >= most);
    let of = if is_cut { "the first " } else { "" };
    println!(
        "{name}: {of}{explored} interleavings, {preemptions} preemptions, {:.1?}",
        begun.elapsed(),
    );
    is_cut
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
