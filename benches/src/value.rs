//! What every candidate holds, and where.

use std::time::Duration;

use crossbeam_utils::CachePadded;

/// The value: a cache line of it, so that handing out a copy is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Value([u64; 8]);

impl Value {
    pub(crate) const fn new(first: u64) -> Self {
        Self([first; 8])
    }

    /// What a hit reads.
    pub(crate) fn first(&self) -> u64 {
        self.0[0]
    }
}

/// Longer than any run.
pub(crate) const TTL: Duration = Duration::from_secs(24 * 3600);

/// Puts it on cache lines of its own for as long as the program runs.
pub(crate) fn leak<T>(thing: T) -> &'static T {
    Box::leak(Box::new(CachePadded::new(thing)))
}
