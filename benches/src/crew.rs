//! Threads that do batches.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::laps::{ns, Gate, Laps, Plan, Row, Timing, Work};
use crate::machine;
use crate::measure::order;
use crate::spread::Spread;

/// How often a batch is done at most.
pub(crate) const TRIES: usize = 5;
/// The same for a crowd, whose batches are long.
const CROWD_TRIES: usize = 3;
/// The part of its time that a thread must have had its core.
const UNDISTURBED: f64 = 0.96;

struct Job {
    work: Work,
    laps: Laps,
    report: Sender<(usize, Timing)>,
}

/// Threads that wait for work, each pinned to a core.
pub(crate) struct Crew {
    jobs: Vec<Sender<Job>>,
    threads: Vec<JoinHandle<bool>>,
    cores: usize,
    /// Batches that counted, that were done again, that counted though disturbed.
    pub(crate) tally: [usize; 3],
}

impl Crew {
    pub(crate) fn new(size: usize) -> Self {
        let cores = machine::cores();
        let (jobs, threads) = (0..size)
            .map(|index| {
                let core = cores.get(index % cores.len().max(1)).copied();
                let (sender, receiver) = channel::<Job>();
                let thread = thread::spawn(move || {
                    let pinned = core.is_some_and(machine::pin);
                    for mut job in receiver {
                        (job.work)(&mut job.laps);
                        let timing = job.laps.timing.expect("a row repeats something");
                        job.report
                            .send((index, timing))
                            .expect("the batch waits for it");
                    }
                    pinned
                });
                (sender, thread)
            })
            .unzip();
        Self {
            jobs,
            threads,
            cores: cores.len().max(1),
            tally: [0; 3],
        }
    }

    /// Whether all of them could be pinned. Ends the crew.
    pub(crate) fn dismiss(self) -> bool {
        drop(self.jobs);
        let pinned = self.threads.into_iter().map(|thread| thread.join());
        pinned.fold(true, |all, one| all & one.expect("no row panics"))
    }

    /// Gives each of the first threads its part of the batch.
    ///
    /// With a `limit` they run for so long; the answer says how long exactly.
    fn send(&self, row: &Row, plans: &[Plan], limit: Option<Duration>) -> (Vec<Timing>, Duration) {
        let starters = plans.len() + usize::from(limit.is_some());
        let gate = Arc::new(Gate::new(starters, plans.len() > self.cores));
        let (report, reports) = channel();
        for (thread, &plan) in plans.iter().enumerate() {
            let job = Job {
                work: Arc::clone(row.work(thread)),
                laps: Laps {
                    gate: Arc::clone(&gate),
                    plan,
                    timing: None,
                },
                report: report.clone(),
            };
            self.jobs[thread]
                .send(job)
                .expect("threads live as long as the crew");
        }
        drop(report);
        let mut took = Duration::ZERO;
        if let Some(limit) = limit {
            while gate.missing.load(Relaxed) > 1 {
                thread::sleep(Duration::from_micros(50));
            }
            let began = Instant::now();
            gate.pass();
            thread::sleep(limit);
            gate.over.store(true, Relaxed);
            took = began.elapsed();
        }
        let mut timings: Vec<_> = reports.iter().collect();
        timings.sort_by_key(|&(thread, _)| thread);
        let timings = timings.into_iter().map(|(_, timing)| timing).collect();
        (timings, took)
    }

    /// Tries `batch` until it was undisturbed, and takes the least disturbed.
    fn insist<T>(&mut self, tries: usize, mut batch: impl FnMut(&Self) -> (T, f64)) -> T {
        let mut best: Option<(T, f64)> = None;
        for _ in 0..tries {
            let (result, share) = batch(self);
            if best.as_ref().is_none_or(|(_, before)| share > *before) {
                best = Some((result, share));
            }
            if share >= UNDISTURBED {
                break;
            }
            self.tally[1] += 1;
        }
        let (result, share) = best.expect("tried at least once");
        self.tally[0] += 1;
        if share < UNDISTURBED {
            self.tally[1] -= 1;
            self.tally[2] += 1;
        }
        result
    }

    pub(crate) fn batch(&mut self, row: &Row, plans: &[Plan]) -> Vec<Timing> {
        self.insist(TRIES, |crew| {
            let (timings, _) = crew.send(row, plans, None);
            let shares = timings.iter().map(Timing::share);
            let share = shares.fold(f64::INFINITY, f64::min);
            (timings, share)
        })
    }

    /// How many laps make a batch of about this length.
    pub(crate) fn calibrate(&self, row: &Row, threads: usize, batch: Duration) -> Vec<Plan> {
        let mut count = 8;
        loop {
            let mut plans = vec![Plan { count, chunk: 8 }; threads];
            if !row.is_even() {
                plans[1..].iter_mut().for_each(|p| *p = p.endless());
            }
            let (timings, _) = self.send(row, &plans, None);
            // Long enough to tell; or so slow a start that the next would take for ever.
            if timings[0].took * 4 >= batch || count > 1 << 40 {
                let each = timings.chunks(1).map(ns);
                let mut plans: Vec<_> = each.map(|ns| Plan::lasting(batch, ns)).collect();
                if !row.is_even() {
                    plans[1..].iter_mut().for_each(|p| *p = p.endless());
                }
                return plans;
            }
            count *= 4;
        }
    }

    /// What a hit costs with more threads than cores: nanoseconds of a core, for each of `rounds`.
    ///
    /// The threads run for `batch`, whatever they get done. With more threads than cores each waits
    /// for its turn most of the time, so what counts is the CPU time of all of them over all hits;
    /// that it sleeps in a lock is not held against a row. Where the system does not tell a
    /// thread's time, the cores count as theirs throughout.
    pub(crate) fn crowd(
        &mut self,
        rows: &[Row],
        threads: &[usize],
        rounds: usize,
        batch: impl Fn(usize) -> Duration,
    ) -> Vec<Vec<Spread>> {
        let mut figures = vec![vec![Vec::new(); threads.len()]; rows.len()];
        let begin = Duration::from_micros(200);
        let plans: Vec<_> = rows
            .iter()
            .map(|row| self.calibrate(row, 1, begin)[0].endless())
            .collect();
        for round in 0..rounds {
            for step in 0..threads.len() {
                let at = (step + round) % threads.len();
                for row in order(rows.len(), round) {
                    let plans = vec![plans[row]; threads[at]];
                    let busy = threads[at].min(self.cores) as f64;
                    let ns = self.insist(CROWD_TRIES, |crew| {
                        let limit = batch(threads[at]);
                        let (timings, took) = crew.send(&rows[row], &plans, Some(limit));
                        let had: Option<Duration> = timings.iter().map(|timing| timing.had).sum();
                        let all = took.as_secs_f64() * busy;
                        let had = had.map_or(all, |had| had.as_secs_f64());
                        let done: u64 = timings.iter().map(|timing| timing.done).sum();
                        (had * 1e9 / done as f64, had / all)
                    });
                    figures[row][at].push(ns);
                }
            }
        }
        let spreads = |row: &Vec<Vec<f64>>| row.iter().map(|ns| Spread::of(ns)).collect();
        figures.iter().map(spreads).collect()
    }
}
