//! Models under shuttle.
//!
//! `SHUTTLE_SCHEDULES` says how many schedules a model has by priorities, and how many at random:
//! 2000 unless set, and depth-first five times as many at most. A model that fails prints its
//! schedule; with that in `SHUTTLE_REPLAY` it runs that one alone. The seeds are a fixed one and a
//! fresh one, which is printed when a model fails with it; with one in `SHUTTLE_RANDOM_SEED` that is
//! used instead of both.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
// Not shuttle's: each access is one with what stands around it.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
pub use shuttle::{future, sync, thread};

use crate::depth_first::DepthFirst;

/// Runs `body` depth-first, with no preemption, with one at most, with two and so on, for as long
/// as there are schedules left; and if those were not all there are, at random. Prints how many
/// there were.
pub fn model(body: impl Fn() + Copy + Send + Sync + 'static) {
    if replays(body) {
        return;
    }
    let begun = Instant::now();
    let limit = 5 * schedules();
    let mut ran = 0;
    let mut covered = "but not all without a preemption".to_owned();
    for preemptions in 0.. {
        let (search, outcome) = DepthFirst::new(preemptions, limit - ran);
        ran += run(search, body);
        if !outcome.is_exhausted() {
            break;
        }
        if !outcome.is_cut() {
            return tell(&format!("{ran} schedules, which are all there are"), begun);
        }
        covered = format!("among them all with at most {preemptions} preemptions");
    }
    let random = at_random(body);
    tell(&format!("{ran} schedules, {covered}; {random}"), begun);
}

/// As [`model`]: it goes as far as there is time anyway.
pub fn model_in_part(body: impl Fn() + Copy + Send + Sync + 'static) {
    model(body);
}

/// Runs `body`, which may [`draw`], at random, and prints how many schedules there were.
pub fn large_model(body: impl Fn() + Copy + Send + Sync + 'static) {
    if !replays(body) {
        let begun = Instant::now();
        tell(&at_random(body), begun);
    }
}

/// A number below `end`, which belongs to the schedule: the same one has the same.
pub fn draw(end: usize) -> usize {
    thread_rng().gen_range(0..end)
}

const FIXED_SEED: u64 = 1;
/// How many times PCT gives another thread the lead, and one.
const DEPTH: usize = 3;

fn at_random(body: impl Fn() + Copy + Send + Sync + 'static) -> String {
    let limit = schedules() / 2;
    let fresh = RandomState::new().hash_one(0);
    for seed in [FIXED_SEED, fresh] {
        let _said = SeedOfFailure(seed);
        run(PctScheduler::new_from_seed(seed, DEPTH, limit), body);
        run(RandomScheduler::new_from_seed(seed, limit), body);
    }
    format!("{} by priorities, {0} at random", 2 * limit)
}

fn schedules() -> usize {
    let set = env::var("SHUTTLE_SCHEDULES");
    set.map_or(2000, |set| set.parse().expect("SHUTTLE_SCHEDULES"))
}

fn replays(body: impl Fn() + Send + Sync + 'static) -> bool {
    let Ok(schedule) = env::var("SHUTTLE_REPLAY") else {
        return false;
    };
    run(ReplayScheduler::new_from_encoded(&schedule), body);
    true
}

fn run(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.max_steps = MaxSteps::FailAfter(100_000);
    // They tell of orderings and of statics, which `src/sync/shuttle.rs` knows.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(body)
}

fn tell(what: &str, begun: Instant) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    println!("{name}: {what}, {:.1?}", begun.elapsed());
}

struct SeedOfFailure(u64);

impl Drop for SeedOfFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with SHUTTLE_RANDOM_SEED={}", self.0);
        }
    }
}

/// A number that two cannot be at, of whom one changes it: the model fails. In between, others may
/// run.
pub struct Watched {
    number: AtomicUsize,
    readers: AtomicUsize,
    changing: AtomicBool,
}

impl Watched {
    pub fn new(number: usize) -> Self {
        Self {
            number: AtomicUsize::new(number),
            readers: AtomicUsize::new(0),
            changing: AtomicBool::new(false),
        }
    }

    pub fn read(&self) -> usize {
        assert!(!self.changing.load(Relaxed), "read while it is changed");
        self.readers.fetch_add(1, Relaxed);
        let_others_run();
        self.readers.fetch_sub(1, Relaxed);
        self.number.load(Relaxed)
    }

    /// Answers what it was changed to.
    pub fn change(&self, change: impl FnOnce(usize) -> usize) -> usize {
        assert_eq!(self.readers.load(Relaxed), 0, "changed while it is read");
        let by_another = self.changing.swap(true, Relaxed);
        assert!(!by_another, "changed by two at once");
        let_others_run();
        let number = change(self.number.load(Relaxed));
        self.number.store(number, Relaxed);
        self.changing.store(false, Relaxed);
        number
    }
}

/// Where shuttle may go on with another thread.
pub fn let_others_run() {
    thread::sleep(Duration::ZERO);
}
