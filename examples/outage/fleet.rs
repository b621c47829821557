//! The processes, each with its own pile, and one run of them in simulated time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use dogpile::executor::Tokio;
use dogpile::{Builder, Dogpile, Guard, Origin};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::record::{Record, Second};
use crate::source::{FETCH, Source};

pub(crate) const PROCESSES: usize = 200;
pub(crate) const SPAN: Duration = Duration::from_secs(1800);

/// How long a value is fresh, and for how long it is served after that while one caller fetches.
pub(crate) const TTL: Duration = Duration::from_secs(300);
pub(crate) const STALE: Duration = Duration::from_secs(60);

/// How long it is from one caller of a process to the next, in the mean.
const BETWEEN: Duration = Duration::from_secs(1);

/// The settings of all piles of a run.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) settings: fn(Builder<()>) -> Builder<()>,
    /// When the source is down.
    pub(crate) outage: Option<Range<Duration>>,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) outage: Option<Range<Duration>>,
    pub(crate) seconds: Vec<Second>,
    /// How often each process asked during the outage.
    pub(crate) in_outage: Vec<u32>,
}

impl Way {
    /// Half an hour of this, which the machine does in a moment: where all tasks sleep, tokio moves its
    /// paused time on to the next instant at which one of them wakes up.
    pub(crate) fn run(&self, seed: u64) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        runtime.block_on(self.simulate(seed))
    }

    async fn simulate(&self, seed: u64) -> Run {
        let record = Arc::new(Record::new(SPAN));
        let source = Source::new(PROCESSES, self.outage.clone(), Arc::clone(&record));
        let source = Arc::new(source);
        let mut dice = Rng::with_seed(seed);
        let mut processes = JoinSet::new();
        for number in 0..PROCESSES {
            let pile = Dogpile::builder(TTL)
                .stale_while_revalidate(STALE)
                .seed(dice.u64(..))
                .clock_static(&Tokio);
            let process = Arc::new(Process {
                number,
                pile: (self.settings)(pile).build(),
                source: Arc::clone(&source),
                record: Arc::clone(&record),
            });
            // All of them begin at the same moment, with values of the same age: as after a deploy.
            process.pile.set(());
            processes.spawn(process.live(dice.fork()));
        }
        processes.join_all().await;
        Run {
            name: self.name,
            outage: self.outage.clone(),
            seconds: record.seconds(),
            in_outage: source.in_outage(),
        }
    }
}

struct Process {
    number: usize,
    pile: Dogpile<()>,
    source: Arc<Source>,
    record: Arc<Record>,
}

impl Process {
    /// Callers come and go, each of them a task.
    async fn live(self: Arc<Self>, mut dice: Rng) {
        let mut callers = JoinSet::new();
        loop {
            sleep(BETWEEN.mul_f64(-(1.0 - dice.f64()).ln())).await;
            if self.record.elapsed() >= SPAN {
                break;
            }
            callers.spawn(Arc::clone(&self).caller());
            while callers.try_join_next().is_some() {}
        }
        callers.join_all().await;
    }

    /// One caller, and how it was answered.
    async fn caller(self: Arc<Self>) {
        let asked = Instant::now();
        let fetch = || self.source.fetch(self.number);
        let answer = self.pile.get_or_try_create_async(fetch).await;
        self.record.at(asked, |second| {
            match answer.as_ref().map(Guard::origin) {
                Ok(Origin::Stale | Origin::Fallback) => second.old += 1,
                Ok(_) => second.fresh += 1,
                Err(_) => second.errors += 1,
            }
            second.slow += u32::from(asked.elapsed() > FETCH);
        });
    }
}
