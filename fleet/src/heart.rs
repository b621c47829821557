//! One thread that renews all leases of a process, and gives back those that could not be given back
//! at once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Beat = Box<dyn FnMut() -> ControlFlow<()> + Send>;

struct Job {
    beat: Beat,
    every: Duration,
    cap: Instant,
    over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Heart {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// By the instant at which they are due, and a number.
    due: BTreeMap<(Instant, u64), Job>,
    last: u64,
}

impl Heart {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: Instant, job: Job) {
        let mut jobs = self.lock();
        jobs.last += 1;
        let number = jobs.last;
        jobs.due.insert((at, number), job);
        self.changed.notify_one();
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
                    let (_, mut job) = jobs.due.pop_first().expect("there is a first one");
                    drop(jobs);
                    // The store is asked without the lock.
                    let goes_on = !job.over.load(Ordering::SeqCst)
                        && now < job.cap
                        && (job.beat)().is_continue();
                    if goes_on {
                        self.add(Instant::now() + job.every, job);
                    }
                    self.lock()
                }
            };
        }
    }
}

/// Beats until it is dropped.
pub(crate) struct Beating(Arc<AtomicBool>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
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
    let over = Arc::<AtomicBool>::default();
    let year = Duration::from_secs(365 * 24 * 3600);
    let job = Job {
        beat: Box::new(beat),
        every,
        cap: now + cap.min(year),
        over: Arc::clone(&over),
    };
    heart.add(now + every.min(year), job);
    Beating(over)
}
