//! One thread that renews all leases of a process, and gives back those that could not be given back
//! at once.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Beat = Box<dyn FnMut() -> ControlFlow<()> + Send>;

struct Job {
    beat: Beat,
    every: Duration,
    cap: Instant,
}

#[derive(Default)]
struct Heart {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// By the instant at which they are due, and their number.
    due: BTreeMap<(Instant, u64), Job>,
    /// When each is due that is not over. One that beats now is not due, and is here.
    when: HashMap<u64, Instant>,
    last: u64,
}

impl Jobs {
    fn put(&mut self, at: Instant, number: u64, job: Job) {
        self.when.insert(number, at);
        self.due.insert((at, number), job);
    }
}

impl Heart {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: Instant, job: Job) -> u64 {
        let mut jobs = self.lock();
        jobs.last += 1;
        let number = jobs.last;
        jobs.put(at, number, job);
        self.changed.notify_one();
        number
    }

    /// It beats no more. What it holds is dropped now, and not when it would be due.
    fn remove(&self, number: u64) {
        let mut jobs = self.lock();
        let at = jobs.when.remove(&number);
        let job = at.and_then(|at| jobs.due.remove(&(at, number)));
        drop(jobs);
        drop(job);
    }

    fn run(&self) {
        let mut jobs = self.lock();
        loop {
            let now = Instant::now();
            let next = jobs.due.first_key_value().map(|((at, _), _)| *at);
            jobs = match next {
                None => self
                    .changed
                    .wait(jobs)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    let woken = self.changed.wait_timeout(jobs, at - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let ((_, number), job) = jobs.due.pop_first().expect("there is a first one");
                    drop(jobs);
                    self.beat(number, job, now);
                    self.lock()
                }
            };
        }
    }

    /// Once. The store is asked without the lock.
    fn beat(&self, number: u64, mut job: Job, now: Instant) {
        let goes_on = now < job.cap && (job.beat)().is_continue();
        let mut jobs = self.lock();
        let over = match goes_on {
            // It may have been removed meanwhile.
            true if jobs.when.contains_key(&number) => {
                jobs.put(Instant::now() + job.every, number, job);
                return;
            }
            _ => jobs.when.remove(&number),
        };
        drop(jobs);
        drop((over, job));
    }
}

/// Beats until it is dropped.
pub(crate) struct Beating(&'static Heart, u64);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.remove(self.1);
    }
}

impl Beating {
    /// Beats on by itself, until it is done or its time is over.
    pub(crate) fn detach(self) {
        std::mem::forget(self);
    }
}

/// Runs `beat` each time `every` has passed, until it says that it is done, or `cap` has passed.
pub(crate) fn beat(
    every: Duration,
    cap: Duration,
    beat: impl FnMut() -> ControlFlow<()> + Send + 'static,
) -> Beating {
    static HEART: OnceLock<&'static Heart> = OnceLock::new();
    let heart = HEART.get_or_init(|| {
        let heart: &'static Heart = Box::leak(Box::default());
        // Without a thread nothing is renewed: then leases end when they end.
        let _ = thread::Builder::new()
            .name("dogpile-heart".to_owned())
            .spawn(|| heart.run());
        heart
    });
    let now = Instant::now();
    let year = Duration::from_secs(365 * 24 * 3600);
    let job = Job {
        beat: Box::new(beat),
        every,
        cap: now + cap.min(year),
    };
    Beating(heart, heart.add(now + every.min(year), job))
}
