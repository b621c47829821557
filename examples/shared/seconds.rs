//! What happened in each second of a run.

use std::ops::{AddAssign, Range};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The seconds of a run.
pub struct Seconds<S>(Mutex<Vec<S>>);

impl<S: Clone + Default> Seconds<S> {
    /// Of a run that takes so long.
    pub fn new(span: Duration) -> Self {
        Self(Mutex::new(vec![S::default(); span.as_secs() as usize]))
    }

    /// Something happens so long after the beginning. What comes after the end of the run is not
    /// counted.
    pub fn at(&self, elapsed: Duration, note: impl FnOnce(&mut S)) {
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(second) = seconds.get_mut(elapsed.as_secs() as usize) {
            note(second);
        }
    }

    pub fn all(&self) -> Vec<S> {
        let seconds = self.0.lock();
        seconds.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The seconds of this span of time.
pub fn within<S>(seconds: &[S], span: Range<Duration>) -> &[S] {
    &seconds[span.start.as_secs() as usize..span.end.as_secs() as usize]
}

/// What happened in all of them.
pub fn sum<S: AddAssign + Copy + Default>(seconds: &[S]) -> S {
    let mut sum = S::default();
    for second in seconds {
        sum += *second;
    }
    sum
}
