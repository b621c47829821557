//! What the models of dogpile's promises share.
//!
//! The models run only with `--cfg dogpile_loom`, under loom, or `--cfg dogpile_shuttle`, under
//! shuttle; without, this crate is empty. `.ci/loom` and `.ci/shuttle` run them, `.ci/breakages`
//! shows that they can fail.
//!
//! The package has the name of the first that came. What is where:
//!
//! | | |
//! |---|---|
//! | `tests/models/` | the models of the promises, a file a promise: for loom and for shuttle |
//! | `tests/keyed/` | which of them run over a key of a map as well, and why the others do not |
//! | `tests/models/many/` | larger ones, for shuttle alone |
//! | `tests/canary.rs` | fails where models are asked for and the crate is built without either |
//! | `src/loom.rs`, `src/shuttle.rs` | threads and cells of the one and the other, and how a model is run |
//! | `src/depth_first.rs` | shuttle's schedules one after the other, as far as there is time |
//! | `src/plain.rs`, `src/keyed.rs` | what a model of one pile runs over: a pile that stands alone, or a key of a map |
//! | `src/jobs.rs` | an executor whose jobs can be waited for |
//! | `src/fleet.rs` | several processes: piles of a fleet over one store |
//! | `src/witness.rs` | what the larger models look at |
//! | `loom/` | the edits of loom that `.ci/loom --complete` makes |
//! | `tests/histories/` | what real threads saw, against the contract as a machine: neither loom nor shuttle |
//! | `src/bin/breakages/` | the program of `.ci/breakages` |
//! | `unbroken.md` | orderings that no breakage weakens, and why |
//!
//! Models of the crate's parts stand beside them, in `src/raw/` of the crate.
//!
//! A model names threads, locks and atomics by this crate, which takes them from the one or the
//! other.
#![cfg(any(dogpile_loom, dogpile_shuttle))]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use dogpile::{Acquired, Guard, KeyedGuard, Origin, Seen};

#[cfg(dogpile_shuttle)]
mod depth_first;
mod fleet;
#[cfg(dogpile_loom)]
#[path = "loom.rs"]
mod imp;
#[cfg(dogpile_shuttle)]
#[path = "shuttle.rs"]
mod imp;
#[cfg(dogpile_loom)]
mod interleavings;
mod jobs;
pub mod keyed;
pub mod plain;

#[cfg(dogpile_shuttle)]
mod witness;

pub use fleet::Process;
pub use imp::*;
pub use jobs::Jobs;
#[cfg(dogpile_shuttle)]
pub use witness::{Call, Creation, Value, Witness};

/// Longer than any model: what was made with this time to live stays fresh.
pub const HOUR: Duration = Duration::from_secs(3600);

/// What creators read. Two creators at once are noticed.
pub struct Source {
    runs: Watched,
    counted: AtomicUsize,
}

impl Source {
    pub fn new() -> Self {
        Self {
            runs: Watched::new(0),
            counted: AtomicUsize::new(0),
        }
    }

    /// A creator's work: answers how many creators, this one included, have run.
    pub fn create(&self) -> usize {
        self.counted.fetch_add(1, Ordering::Relaxed);
        self.runs.change(|runs| runs + 1)
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

/// A value that counts how many of its kind are alive. Reading one that is or was dropped is
/// noticed.
pub struct Counted {
    number: Watched,
    alive: Arc<AtomicUsize>,
}

const DROPPED: usize = usize::MAX;

impl Counted {
    pub fn new(number: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            number: Watched::new(number),
            alive: Arc::clone(alive),
        }
    }

    pub fn number(&self) -> usize {
        let number = self.number.read();
        assert_ne!(number, DROPPED, "read after it was dropped");
        number
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.number.change(|number| {
            assert_ne!(number, DROPPED, "dropped twice");
            DROPPED
        });
    }
}

/// What readers look at and a writer changes, a file say. A writer who is at it with somebody else
/// is noticed.
pub struct File {
    version: Watched,
}

impl File {
    pub fn new(version: usize) -> Self {
        Self {
            version: Watched::new(version),
        }
    }

    pub fn read(&self) -> usize {
        self.version.read()
    }

    pub fn write(&self, new: usize) {
        self.version.change(|_| new);
    }
}

/// Polls once, whatever comes of it.
pub fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    future::block_on(poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))))
}

/// The associated functions of guards and their likes as methods: a model says less of how it asks.
pub trait Shows {
    /// How the answer came about.
    fn origin(&self) -> Origin;
    /// The number of the value.
    fn seen(&self) -> Seen;
}

impl<T, P> Shows for Guard<'_, T, P> {
    fn origin(&self) -> Origin {
        Guard::origin(self)
    }

    fn seen(&self) -> Seen {
        Guard::seen(self)
    }
}

impl<T, P> Shows for Acquired<'_, T, P> {
    fn origin(&self) -> Origin {
        Acquired::origin(self)
    }

    fn seen(&self) -> Seen {
        Acquired::seen(self)
    }
}

impl<K, T> Shows for KeyedGuard<'_, K, T> {
    fn origin(&self) -> Origin {
        KeyedGuard::origin(self)
    }

    fn seen(&self) -> Seen {
        KeyedGuard::seen(self)
    }
}
