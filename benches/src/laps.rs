//! One candidate, and one thread's part of one batch of it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine;

/// What one thread of a batch does: anything first, then the laps.
pub(crate) type Work = Arc<dyn Fn(&mut Laps) + Send + Sync>;

/// One candidate.
pub(crate) struct Row {
    pub(crate) name: String,
    /// What the first thread does, and what the others do.
    first: Work,
    others: Work,
}

impl Row {
    /// All threads repeat `op`.
    pub(crate) fn new(name: impl Into<String>, op: impl Fn() + Send + Sync + 'static) -> Self {
        Self::prepared(name, move |laps| laps.repeat(&op))
    }

    /// All threads do `work`, which prepares something and then calls [`Laps::repeat`].
    pub(crate) fn prepared(
        name: impl Into<String>,
        work: impl Fn(&mut Laps) + Send + Sync + 'static,
    ) -> Self {
        let first: Work = Arc::new(work);
        Self {
            name: name.into(),
            others: Arc::clone(&first),
            first,
        }
    }

    /// All threads await `op` over and over, each in an executor of its own that never sleeps.
    pub(crate) fn awaited<F: Future<Output = ()>>(
        name: impl Into<String>,
        op: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self::prepared(name, move |laps| {
            futures::executor::block_on(laps.repeat_awaiting(&op));
        })
    }

    /// The first thread does as this row says, the others repeat `op` for as long as that takes.
    pub(crate) fn beside(mut self, op: impl Fn() + Send + Sync + 'static) -> Self {
        self.others = Arc::new(move |laps: &mut Laps| laps.repeat(&op));
        self
    }

    /// One thread, this many times.
    pub(crate) fn run_alone(&self, count: u64) {
        (self.first)(&mut Laps {
            gate: Arc::new(Gate::new(1, false)),
            plan: Plan { count, chunk: 100 },
            timing: None,
        });
    }

    pub(crate) fn work(&self, thread: usize) -> &Work {
        if thread == 0 {
            &self.first
        } else {
            &self.others
        }
    }

    pub(crate) fn is_even(&self) -> bool {
        Arc::ptr_eq(&self.first, &self.others)
    }
}

/// How often a thread repeats, and how many times between two looks whether another is done.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) count: u64,
    pub(crate) chunk: u64,
}

impl Plan {
    pub(crate) fn lasting(batch: Duration, ns: f64) -> Self {
        let chunk = (1_000.0 / ns).clamp(1.0, 64.0) as u64;
        let count = (batch.as_nanos() as f64 / ns) as u64;
        Self {
            count: count.max(chunk),
            chunk,
        }
    }

    /// Until the others are done.
    pub(crate) fn endless(self) -> Self {
        Self {
            count: u64::MAX,
            ..self
        }
    }
}

/// Where the threads of a batch wait for each other, and learn that it is over.
pub(crate) struct Gate {
    pub(crate) missing: AtomicUsize,
    pub(crate) over: AtomicBool,
    crowded: bool,
}

impl Gate {
    pub(crate) fn new(threads: usize, crowded: bool) -> Self {
        Self {
            missing: AtomicUsize::new(threads),
            over: AtomicBool::new(false),
            crowded,
        }
    }

    pub(crate) fn pass(&self) {
        self.missing.fetch_sub(1, Relaxed);
        while self.missing.load(Relaxed) > 0 {
            if self.crowded {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// What a thread did and how long it took.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) done: u64,
    pub(crate) took: Duration,
    /// Of the core, if the system tells.
    pub(crate) had: Option<Duration>,
}

/// Nanoseconds of one thread per lap, of all laps together: the rate of all threads is their
/// number over this.
pub(crate) fn ns(timings: &[Timing]) -> f64 {
    let took: Duration = timings.iter().map(|timing| timing.took).sum();
    let done: u64 = timings.iter().map(|timing| timing.done).sum();
    took.as_nanos() as f64 / done as f64
}

impl Timing {
    pub(crate) fn share(&self) -> f64 {
        self.had
            .map_or(1.0, |had| had.as_secs_f64() / self.took.as_secs_f64())
    }
}

/// The laps of one thread in one batch.
pub(crate) struct Laps {
    pub(crate) gate: Arc<Gate>,
    pub(crate) plan: Plan,
    pub(crate) timing: Option<Timing>,
}

impl Laps {
    /// Waits for the other threads, then repeats `op` until the first is done.
    // In the one place that calls `op`, the compiler inlines it, be it large or small: so for all candidates,
    // and whatever else they are part of.
    #[inline(never)]
    pub(crate) fn repeat(&mut self, op: &impl Fn()) {
        let watch = self.start();
        let mut done = 0;
        loop {
            for _ in 0..self.plan.chunk {
                op();
            }
            done += self.plan.chunk;
            if self.is_over(done) {
                break;
            }
        }
        self.stop(watch, done);
    }

    /// As [`repeat`](Laps::repeat), for what is awaited.
    #[inline]
    async fn repeat_awaiting<F: Future<Output = ()>>(&mut self, op: impl Fn() -> F) {
        let watch = self.start();
        let mut done = 0;
        loop {
            for _ in 0..self.plan.chunk {
                op().await;
            }
            done += self.plan.chunk;
            if self.is_over(done) {
                break;
            }
        }
        self.stop(watch, done);
    }

    fn start(&self) -> (Option<Duration>, Instant) {
        self.gate.pass();
        (machine::thread_time(), Instant::now())
    }

    fn is_over(&self, done: u64) -> bool {
        done >= self.plan.count || self.gate.over.load(Relaxed)
    }

    fn stop(&mut self, (had_before, began): (Option<Duration>, Instant), done: u64) {
        let took = began.elapsed();
        self.gate.over.store(true, Relaxed);
        let had = machine::thread_time()
            .zip(had_before)
            .map(|(after, before)| after.saturating_sub(before));
        self.timing = Some(Timing { done, took, had });
    }
}
