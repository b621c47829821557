//! What the models of dogpile's promises share.
//!
//! The models run only with `--cfg dogpile_loom`; without it this crate is empty. `.ci/loom` runs
//! them, `.ci/breakages` shows that they can fail.
#![cfg(dogpile_loom)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::cell::UnsafeCell;

/// Longer than any model: what was made with this time to live stays fresh.
pub const HOUR: Duration = Duration::from_secs(3600);

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

/// What creators read. Two creators of which neither happens before the other are reported by loom
/// as a race on it, even where no interleaving has them at work in the same moment.
pub struct Source {
    runs: UnsafeCell<usize>,
    counted: AtomicUsize,
}

impl Source {
    pub fn new() -> Self {
        Self {
            runs: UnsafeCell::new(0),
            counted: AtomicUsize::new(0),
        }
    }

    /// A creator's work: answers how many creators, this one included, have run.
    pub fn create(&self) -> usize {
        self.counted.fetch_add(1, Ordering::Relaxed);
        self.runs.with_mut(|runs| {
            // SAFETY: loom runs one thread at a time, and reports two creators at once before the
            // second gets here.
            #[allow(unsafe_code)]
            let runs = unsafe { &mut *runs };
            *runs += 1;
            *runs
        })
    }

    /// How many creators have run, for anyone to ask.
    pub fn runs(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that counts how many of its kind are alive. loom reports reading one as a race with
/// dropping it, unless the one happens before the other.
pub struct Counted {
    number: UnsafeCell<usize>,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    pub fn new(number: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            number: UnsafeCell::new(number),
            alive: Arc::clone(alive),
        }
    }

    pub fn number(&self) -> usize {
        self.number.with(|number| {
            // SAFETY: written by `drop` alone, with which loom reports a race before it does harm.
            #[allow(unsafe_code)]
            unsafe {
                *number
            }
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.number.with_mut(|number| {
            // SAFETY: as in `number`.
            #[allow(unsafe_code)]
            unsafe {
                *number = usize::MAX;
            }
        });
    }
}

/// What readers look at and a writer changes, a file say. loom reports a reader and a writer of whom
/// neither comes before the other as a race, even where no interleaving has them at it in the same
/// moment.
pub struct File {
    version: UnsafeCell<usize>,
}

impl File {
    pub fn new(version: usize) -> Self {
        Self {
            version: UnsafeCell::new(version),
        }
    }

    pub fn read(&self) -> usize {
        self.version.with(|version| {
            // SAFETY: loom runs one thread at a time, and reports a writer at the same time before
            // this reader gets here.
            #[allow(unsafe_code)]
            unsafe {
                *version
            }
        })
    }

    pub fn write(&self, new: usize) {
        self.version.with_mut(|version| {
            // SAFETY: as in `read`.
            #[allow(unsafe_code)]
            unsafe {
                *version = new;
            }
        });
    }
}
