//! The measuring loop: rows take turns, a batch at a time, and are compared within a stretch.
//!
//! Criterion and divan measure one candidate to its end and then the next. On a machine that others
//! use too, or whose clock rate moves, two candidates are then measured under different conditions,
//! and their ratio is off by more than what is to be told. Here every row gets one batch a round,
//! in an order that rotates and turns round; before every few rows the yardstick gets one, and what
//! a row cost is divided by what the yardstick cost a few milliseconds before. Neither of the two
//! runs several threads on one object that start together and stop together.
//!
//! A batch takes a millisecond or two. Its threads are pinned to a core each, wait for each other
//! spinning, and stop when the first is done, so that none is measured alone. If a thread did not
//! have its core throughout, which its own CPU time tells, the batch is done again, up to
//! [`TRIES`](crate::crew::TRIES) times; then the least disturbed counts. A row whose threads sleep in a lock looks
//! disturbed, too.

use std::time::Duration;

use crate::crew::Crew;
use crate::laps::{ns, Plan, Row};
use crate::spread::Spread;

/// How many rows are compared with one run of the yardstick.
const STRETCH: usize = 6;

/// Rotating, every other round backwards.
pub(crate) fn order(rows: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..rows).map(move |step| {
        let step = if round.is_multiple_of(2) {
            step
        } else {
            rows - 1 - step
        };
        (step + round) % rows
    })
}

/// What a row cost at one number of threads, a figure a round.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    /// Nanoseconds per lap, of all threads if they do the same, else of the first.
    pub(crate) ns: Vec<f64>,
    /// Of those that do something else.
    pub(crate) beside: Vec<f64>,
    /// `ns` in terms of the yardstick, measured in the same stretch.
    pub(crate) relative: Vec<f64>,
}

impl Figures {
    /// The ratio to what another row cost, round by round, each in terms of its own yardstick.
    pub(crate) fn over(&self, other: &Figures) -> Spread {
        let rounds = self.relative.iter().zip(&other.relative);
        spread(rounds.map(|(this, other)| this / other))
    }

    /// The ratio to what the same row cost at another number of threads, round by round.
    pub(crate) fn ns_over(&self, other: &Figures) -> Spread {
        let rounds = self.ns.iter().zip(&other.ns);
        spread(rounds.map(|(this, other)| this / other))
    }

    /// How many times `unit` it cost more than `floor`, round by round.
    pub(crate) fn above(&self, floor: &Figures, unit: &Figures) -> Spread {
        let floors = floor.relative.iter().zip(&unit.relative);
        let rounds = self.relative.iter().zip(floors);
        spread(rounds.map(|(this, (floor, unit))| (this - floor) / unit))
    }
}

fn spread(figures: impl Iterator<Item = f64>) -> Spread {
    Spread::of(&figures.collect::<Vec<_>>())
}

/// A row, with its figures for each number of threads.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) at: Vec<Figures>,
}

/// How long to measure.
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) batch: Duration,
}

/// Measures all rows, in turns; the first is the yardstick.
pub(crate) fn measure(
    crew: &mut Crew,
    rows: &[Row],
    threads: &[usize],
    effort: &Effort,
) -> Vec<Measured> {
    let plans: Vec<Vec<Vec<Plan>>> = rows
        .iter()
        .map(|row| {
            let calibrate = |&threads: &usize| crew.calibrate(row, threads, effort.batch);
            threads.iter().map(calibrate).collect()
        })
        .collect();
    let mut measured: Vec<Measured> = rows
        .iter()
        .map(|row| Measured {
            name: row.name.clone(),
            at: vec![Figures::default(); threads.len()],
        })
        .collect();
    for round in 0..effort.rounds {
        let order: Vec<usize> = order(rows.len() - 1, round).map(|row| row + 1).collect();
        for stretch in order.chunks(STRETCH) {
            let mut yardstick = Vec::new();
            for &row in std::iter::once(&0).chain(stretch) {
                for at in 0..threads.len() {
                    let timings = crew.batch(&rows[row], &plans[row][at]);
                    let figures = &mut measured[row].at[at];
                    let ns = if rows[row].is_even() {
                        ns(&timings)
                    } else {
                        if timings.len() > 1 {
                            figures.beside.push(ns(&timings[1..]));
                        }
                        ns(&timings[..1])
                    };
                    if row == 0 {
                        yardstick.push(ns);
                    }
                    figures.ns.push(ns);
                    figures.relative.push(ns / yardstick[at]);
                }
            }
        }
    }
    measured
}
