//! What happened in each quarter of a second of the run.

use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::Way;

/// How long a slice of the run is.
pub(crate) const SLICE: Duration = Duration::from_millis(250);

/// What happened in a slice, or in several.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slice {
    /// Fetches from the upstream, and those of the fleet that had no lease.
    pub(crate) fetches: u64,
    pub(crate) alone: u64,
    /// Answers to clients: all of them, those with a stale value, those that were none.
    pub(crate) answers: u64,
    pub(crate) stale: u64,
    pub(crate) errors: u64,
    /// Answers that were older than one before on the same connection.
    pub(crate) back: u64,
    /// The same, of values that the whole fleet shares.
    pub(crate) shared_back: u64,
    /// Answers older than the settings allow.
    pub(crate) too_old: u64,
    /// The age of the oldest, and how long the slowest took, in microseconds.
    pub(crate) oldest: u64,
    pub(crate) slowest: u64,
}

impl AddAssign for Slice {
    fn add_assign(&mut self, other: Self) {
        self.fetches += other.fetches;
        self.alone += other.alone;
        self.answers += other.answers;
        self.stale += other.stale;
        self.errors += other.errors;
        self.back += other.back;
        self.shared_back += other.shared_back;
        self.too_old += other.too_old;
        self.oldest = self.oldest.max(other.oldest);
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl Slice {
    pub(crate) fn oldest(&self) -> f64 {
        self.oldest as f64 / 1e6
    }

    pub(crate) fn slowest(&self) -> f64 {
        self.slowest as f64 / 1e6
    }
}

/// The slices of a run, of both ways. The run begins when it is first asked.
#[derive(Default)]
pub(crate) struct Record {
    start: OnceLock<Instant>,
    slices: Mutex<Vec<[Slice; 2]>>,
}

impl Record {
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.get_or_init(Instant::now).elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<[Slice; 2]>> {
        self.slices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happens now.
    pub(crate) fn now(&self, way: Way, note: impl FnOnce(&mut Slice)) {
        let at = self.elapsed().div_duration_f64(SLICE) as usize;
        let mut slices = self.lock();
        let most = slices.len().max(at + 1);
        slices.resize(most, Default::default());
        note(&mut slices[at][way as usize]);
    }

    pub(crate) fn slices(&self, way: Way) -> Vec<Slice> {
        let slices = self.lock();
        slices.iter().map(|both| both[way as usize]).collect()
    }
}

/// What happened in all of them.
pub(crate) fn sum<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Slice {
    let mut sum = Slice::default();
    for slice in slices {
        sum += *slice;
    }
    sum
}
