//! How many creations of a map may begin in a span, and how many did.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::demand;
use crate::random::Random;

/// By so much the clock of a map may lag, as it says.
const LAG: Duration = Duration::from_millis(10);

pub(crate) struct Rate {
    pub(crate) creations: u32,
    pub(crate) span: Duration,
    /// Of each creator that has run: when its call began, and when it did. Its lease was granted in
    /// between.
    runs: Mutex<Vec<(Instant, Instant)>>,
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate {} in {:?}", self.creations, self.span)
    }
}

impl Rate {
    pub(crate) fn draw(random: &mut Random) -> Self {
        Self {
            creations: random.below(8) as u32 + 1,
            span: Duration::from_millis(random.below(40) + 1),
            runs: Mutex::default(),
        }
    }

    /// A creator begins, whose call began at `asked`.
    pub(crate) fn begins(&self, asked: Instant) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push((asked, Instant::now()));
    }

    /// From any call on, until any creator has begun: the leases of all who came in between and created
    /// were granted in that time. So many the bucket had, and so many have come into it.
    pub(crate) fn check(&self) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.sort_by_key(|(_, began)| *began);
        for &(from, _) in runs.iter() {
            let within = runs.iter().filter(|(asked, _)| *asked >= from);
            for (number, (_, until)) in (1_u32..).zip(within) {
                let time = *until - from + LAG;
                let refilled = (time * self.creations).div_duration_f64(self.span);
                let most = f64::from(self.creations) + refilled;
                demand(f64::from(number) <= most, || {
                    format!("creation_rate: {number} creations within {time:?}, {self:?}")
                });
            }
        }
    }
}
