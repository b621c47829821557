//! What is counted of a pile, under its lock.

use std::panic::Location;
use std::time::Duration;

use crate::observe::{Begun, Counters, End, Ended, Holder, Holding, Stats};
use crate::time::Tick;

/// Who was elected, and by which call.
#[derive(Clone)]
pub(crate) struct Elected {
    pub(crate) holder: Holder,
    pub(crate) location: Option<&'static Location<'static>>,
}

impl Elected {
    pub(crate) fn begun(self, fence: u64) -> Begun {
        Begun {
            fence,
            holder: self.holder,
            location: self.location,
        }
    }
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Tally {
    counters: Counters,
    /// Of the lease that is held.
    held: Option<(Tick, Elected)>,
    /// When the first caller was elected that had a stale value at hand, if nothing was published since.
    stale_since: Option<Tick>,
}

impl Tally {
    /// A lease was granted, with a stale value at hand or without.
    pub(crate) fn granted(&mut self, now: Tick, elected: Elected, is_stale: bool) {
        self.counters.begun += 1;
        self.held = Some((now, elected));
        if is_stale && self.stale_since.is_none() {
            self.stale_since = Some(now);
            self.counters.stale_spells += 1;
        }
    }

    /// The lease with this fence ended, so many waited for it.
    pub(crate) fn ended(
        &mut self,
        fence: u64,
        now: Tick,
        waiters: usize,
        end: End,
    ) -> Option<Ended> {
        let counters = &mut self.counters;
        let count = match end {
            End::Published => &mut counters.published,
            End::Failed(_) => &mut counters.failed,
            End::Panicked(_) => &mut counters.panicked,
            End::GivenUp => &mut counters.given_up,
            End::Refused(_) => &mut counters.refused,
            End::Superseded(_) => &mut counters.superseded,
            End::TakenOver => &mut counters.taken_over,
        };
        *count += 1;
        let served_stale = match end {
            End::Published => self.stale_since.take(),
            _ => None,
        };
        let (since, elected) = self.held.take()?;
        Some(Ended {
            fence,
            end,
            took: now.saturating_since(since),
            waiters,
            served_stale: served_stale.map(|since| now.saturating_since(since)),
            holder: elected.holder,
            location: elected.location,
        })
    }

    /// A call joins those who wait.
    pub(crate) fn waits(&mut self) {
        self.counters.waits += 1;
    }

    /// A call has waited for as long as it may.
    pub(crate) fn timed_out(&mut self) {
        self.counters.timed_out += 1;
    }

    /// There is a value that no lease has made, or none at all.
    pub(crate) fn is_not_served_stale(&mut self) {
        self.stale_since = None;
    }

    /// Tells what is known.
    pub(crate) fn tell(&self, now: Tick, stats: &mut Stats) {
        let since = |then: Tick| -> Duration { now.saturating_since(then) };
        stats.counters = Some(self.counters);
        stats.stale_for = self.stale_since.map(since);
        if let (Some(holding), Some((then, elected))) = (&mut stats.creating, &self.held) {
            *holding = Holding {
                fence: holding.fence,
                held_for: Some(since(*then)),
                holder: Some(elected.holder.clone()),
                location: elected.location,
            };
        }
    }
}
