//! What a pile tells of itself when it is asked.

use std::panic::Location;
use std::time::Duration;

use crate::error::Failure;
use crate::shim::{Thread, this_thread};

/// What goes on in a pile, and what was counted; see [`Dogpile::stats`](crate::Dogpile::stats).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The lease that is held, if one is.
    pub creating: Option<Holding>,
    /// How many callers wait: for the value that is being created, or for the next.
    pub waiters: usize,
    /// The last failure, with its age.
    pub last_failure: Option<(Failure, Duration)>,
    /// After how long the next creation may begin, for a caller without a usable value. `None`: at once,
    /// or as soon as the one that runs ends.
    pub retry_in: Option<Duration>,
    /// Since when stale values are served: from the first election with one at hand to the next value.
    pub stale_for: Option<Duration>,
    /// What was counted. `None` if nothing is: see [`Builder::stats`](crate::Builder::stats).
    pub counters: Option<Counters>,
    /// How many answers were the value that was held. `None` if nobody counts: see
    /// [`Builder::count_hits`](crate::Builder::count_hits).
    pub hits: Option<u64>,
}

/// What goes on in a map of many keys, and what was counted in all of them; see
/// [`KeyedDogpile::stats`](crate::KeyedDogpile::stats).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KeyedStats {
    /// How many keys are being created.
    pub creating: usize,
    /// How many callers wait, for all keys together.
    pub waiters: usize,
    /// For how many keys a creation may not begin yet.
    pub backing_off: usize,
    /// What was counted of all keys, also of those that are in the map no more. `None` if nothing is.
    pub counters: Option<Counters>,
    /// How many answers were the value that was held, of all keys. `None` if nobody counts.
    pub hits: Option<u64>,
    /// How often a call could not create since that would have been over the
    /// [rate](crate::KeyedBuilder::creation_rate). `None` if the map has none.
    pub over_rate: Option<u64>,
}

impl KeyedStats {
    /// Adds a key.
    pub(crate) fn add(&mut self, one: &Stats) {
        self.creating += usize::from(one.creating.is_some());
        self.waiters += one.waiters;
        self.backing_off += usize::from(one.retry_in.is_some());
        if let (Some(all), Some(one)) = (&mut self.counters, &one.counters) {
            all.add(one);
        }
    }
}

/// A lease that is held.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holding {
    /// Its number. Every lease of a pile has a higher one than those before.
    pub fence: u64,
    /// For how long it has been held. `None` if nothing is counted.
    pub held_for: Option<Duration>,
    /// Who was elected. `None` if nothing is counted.
    pub holder: Option<Holder>,
    /// The call that was elected, where it is known: for threads, in the foreground.
    pub location: Option<&'static Location<'static>>,
}

impl Holding {
    /// The lease with this fence, of which nothing else is known.
    pub(crate) fn of(fence: u64) -> Self {
        Self {
            fence,
            held_for: None,
            holder: None,
            location: None,
        }
    }
}

/// Who was elected to create.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Holder {
    /// A call on this thread.
    Thread(Thread),
    /// A call in a task.
    Task,
    /// A job on an executor.
    Job,
}

impl Holder {
    pub(crate) fn this_thread() -> Self {
        Holder::Thread(this_thread())
    }
}

/// What a pile counted since it was built.
///
/// Each creation that began has one end, or [runs](Stats::creating). Hits are [apart](Stats::hits).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Leases that were granted.
    pub begun: u64,
    /// Those that ended with a value, which became the current one.
    pub published: u64,
    /// Those of which the creator failed.
    pub failed: u64,
    /// Those of which the creator panicked.
    pub panicked: u64,
    /// Those that were dropped.
    pub given_up: u64,
    /// Those that an executor did not run.
    pub refused: u64,
    /// Those that ended with a value or a failure after a `set` or an `invalidate` had come.
    pub superseded: u64,
    /// Those that were held for too long.
    pub taken_over: u64,
    /// How often a call joined those who wait.
    pub waits: u64,
    /// How many waits were over before there was an answer.
    pub timed_out: u64,
    /// How often the pile began to be served stale: each time until the next value.
    pub stale_spells: u64,
}

impl Counters {
    pub(crate) fn add(&mut self, others: &Self) {
        // Named one by one, so that none is forgotten.
        let Self {
            begun,
            published,
            failed,
            panicked,
            given_up,
            refused,
            superseded,
            taken_over,
            waits,
            timed_out,
            stale_spells,
        } = self;
        *begun += others.begun;
        *published += others.published;
        *failed += others.failed;
        *panicked += others.panicked;
        *given_up += others.given_up;
        *refused += others.refused;
        *superseded += others.superseded;
        *taken_over += others.taken_over;
        *waits += others.waits;
        *timed_out += others.timed_out;
        *stale_spells += others.stale_spells;
    }

    /// The ends of leases, by name: as [`End::name`](crate::observe::End::name).
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("published", self.published),
            ("failed", self.failed),
            ("panicked", self.panicked),
            ("given_up", self.given_up),
            ("refused", self.refused),
            ("superseded", self.superseded),
            ("taken_over", self.taken_over),
        ]
        .into_iter()
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_added_to_its_like() {
        let counters = |factor: u64| Counters {
            begun: 3 * factor,
            published: 5 * factor,
            failed: 7 * factor,
            panicked: 9 * factor,
            given_up: 11 * factor,
            refused: 13 * factor,
            superseded: 15 * factor,
            taken_over: 17 * factor,
            waits: 19 * factor,
            timed_out: 21 * factor,
            stale_spells: 23 * factor,
        };
        let mut all = counters(100);
        all.add(&counters(10));
        assert_eq!(all, counters(110));
    }
}
