//! The service: requests of tenants and of strangers, changes, and one run of it all in simulated time.

use std::cell::RefCell;
use std::ops::{AddAssign, Range};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dogpile::executor::Tokio;
use dogpile::observe::KeyedStats;
use dogpile::{Dogpile, Eviction, KeyedBuilder, KeyedDogpile, KeyedGuard, Origin};
use fastrand::Rng;
use shared::seconds::Seconds;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::database::{Database, Figures, LOAD, Settings, TENANTS};

pub(crate) const SPAN: Duration = Duration::from_secs(600);

/// How long settings are fresh, and for how long they are served after that while they are loaded.
pub(crate) const TTL: Duration = Duration::from_secs(60);
pub(crate) const STALE: Duration = Duration::from_secs(300);

/// So many requests of tenants come in one step of time, and as many of strangers if they come.
const REQUESTS: u32 = 10;
const STEP: Duration = Duration::from_millis(10);
/// So many steps after each other a tenant changes its settings.
const CHANGES: u32 = 10;

/// How long a request waits at most.
const PATIENCE: Duration = Duration::from_secs(1);

type Map = KeyedDogpile<u32, Settings>;

/// The settings of the map of a run.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) settings: fn(KeyedBuilder<u32, Settings>) -> KeyedBuilder<u32, Settings>,
    /// When strangers come.
    pub(crate) strangers: Option<Range<Duration>>,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) strangers: Option<Range<Duration>>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) database: Figures,
    pub(crate) stats: KeyedStats,
}

/// What happened in one second, or in several.
#[derive(Clone, Copy, Default)]
pub(crate) struct Second {
    pub(crate) loads: u32,
    pub(crate) evicted: u32,
    /// Answers to tenants: fresh settings, old ones, none.
    pub(crate) fresh: u32,
    pub(crate) old: u32,
    pub(crate) errors: u32,
    /// Of all these answers, those that took longer than a load and a half.
    pub(crate) slow: u32,
    /// Answers older than they may be: than a change that was invalidated before the request, or than
    /// all limits.
    pub(crate) wrong: u32,
    /// Strangers that got settings.
    pub(crate) made_up: u32,
    /// Entries at the end of the second, and calls that are at one.
    pub(crate) entries: usize,
    pub(crate) calls: usize,
}

impl Second {
    pub(crate) fn answers(&self) -> u32 {
        self.fresh + self.old + self.errors
    }
}

impl AddAssign for Second {
    fn add_assign(&mut self, second: Self) {
        self.loads += second.loads;
        self.evicted += second.evicted;
        self.fresh += second.fresh;
        self.old += second.old;
        self.errors += second.errors;
        self.slow += second.slow;
        self.wrong += second.wrong;
        self.made_up += second.made_up;
        self.entries = self.entries.max(second.entries);
        self.calls = self.calls.max(second.calls);
    }
}

/// The seconds of a run, by the runtime's time.
pub(crate) struct Record {
    start: Instant,
    seconds: Seconds<Second>,
}

impl Record {
    pub(crate) fn now(&self, note: impl FnOnce(&mut Second)) {
        self.seconds.at(self.start.elapsed(), note);
    }
}

impl Way {
    /// Ten minutes of this, which the machine does in seconds: where all tasks sleep, tokio moves its
    /// paused time on to the next instant at which one of them wakes up.
    pub(crate) fn run(&self, seed: u64) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        LocalSet::new().block_on(&runtime, self.simulate(seed))
    }

    async fn simulate(&self, seed: u64) -> Run {
        let start = Instant::now();
        let record = Arc::new(Record {
            start,
            seconds: Seconds::new(SPAN),
        });
        let settings = Dogpile::builder(TTL)
            .stale_while_revalidate(STALE)
            .clock_static(&Tokio)
            .stats(true)
            .keyed()
            .on_eviction({
                let record = Arc::clone(&record);
                move |_, why| {
                    if why == Eviction::NoRoom {
                        record.now(|second| second.evicted += 1);
                    }
                }
            });
        let service = Rc::new(Service {
            map: (self.settings)(settings).build(),
            database: Arc::new(Database::new(Arc::clone(&record))),
            record,
            changed: RefCell::new(vec![0; TENANTS as usize]),
            calls: AtomicU32::new(0),
        });
        let (mut dice, crowd) = (Rng::with_seed(seed), Crowd::new());
        let mut made_up = TENANTS;
        for step in 0_u32.. {
            let at = STEP * step;
            if at >= SPAN {
                break;
            }
            sleep_until(start + at).await;
            if step % CHANGES == 0 {
                service.change(crowd.one(&mut dice));
            }
            let is_strange = |at| {
                self.strangers
                    .as_ref()
                    .is_some_and(|when| when.contains(at))
            };
            let strangers = if is_strange(&at) { REQUESTS } else { 0 };
            let mut who: Vec<u32> = (0..REQUESTS).map(|_| crowd.one(&mut dice)).collect();
            who.extend(made_up..made_up + strangers);
            made_up += strangers;
            dice.shuffle(&mut who);
            for tenant in who {
                service.request(tenant);
            }
            if step % 100 == 99 {
                service.count();
            }
        }
        // What is still being loaded.
        sleep(2 * PATIENCE).await;
        let stats = service.map.stats();
        Run {
            name: self.name,
            strangers: self.strangers.clone(),
            seconds: service.record.seconds.all(),
            database: service.database.figures(),
            stats,
        }
    }
}

struct Service {
    map: Map,
    database: Arc<Database>,
    record: Arc<Record>,
    /// For each tenant, the version of which all older ones were invalidated.
    changed: RefCell<Vec<u32>>,
    /// Requests that have no answer yet.
    calls: AtomicU32,
}

impl Service {
    /// A request comes in. What is there it gets at once, else a task waits for it.
    fn request(self: &Rc<Self>, tenant: u32) {
        let service = Rc::clone(self);
        if let Some(held) = service.map.call(&tenant).hit() {
            let changed = service.changed_before(tenant);
            return service.answered(tenant, changed, Duration::ZERO, Some(&held));
        }
        tokio::task::spawn_local(async move {
            let (begin, changed) = (Instant::now(), service.changed_before(tenant));
            service.calls.fetch_add(1, Ordering::Relaxed);
            let database = Arc::clone(&service.database);
            let load = async move || database.load(tenant).await;
            let call = service.map.background(&tenant, &Tokio).wait(PATIENCE);
            let answer = call.get_or_try_create_async(load).await;
            service.calls.fetch_sub(1, Ordering::Relaxed);
            service.answered(tenant, changed, begin.elapsed(), answer.as_ref().ok());
        });
    }

    fn changed_before(&self, tenant: u32) -> u32 {
        self.changed
            .borrow()
            .get(tenant as usize)
            .copied()
            .unwrap_or(0)
    }

    fn answered(
        &self,
        tenant: u32,
        changed: u32,
        took: Duration,
        held: Option<&KeyedGuard<'_, u32, Settings>>,
    ) {
        self.record.now(|second| {
            if tenant >= TENANTS {
                second.made_up += u32::from(held.is_some());
                return;
            }
            second.slow += u32::from(took > LOAD * 3 / 2);
            match held {
                None => second.errors += 1,
                Some(held) => {
                    match KeyedGuard::origin(held) {
                        Origin::Stale => second.old += 1,
                        _ => second.fresh += 1,
                    }
                    let is_wrong = held.version < changed || KeyedGuard::age(held) > TTL + STALE;
                    second.wrong += u32::from(is_wrong);
                }
            }
        });
    }

    /// A tenant changes its settings. No later request may get the old ones.
    fn change(&self, tenant: u32) {
        let version = self.database.write(tenant);
        self.map.invalidate(&tenant);
        self.changed.borrow_mut()[tenant as usize] = version;
    }

    fn count(&self) {
        let entries = self.map.len();
        let calls = self.calls.load(Ordering::Relaxed) as usize + self.map.stats().creating;
        self.record.now(|second| {
            second.entries = entries;
            second.calls = calls;
        });
    }
}

/// The tenants, some of whom come far more often than others: the one in place `n` by `n` to the power of
/// -0.9.
struct Crowd {
    /// The share of each and all before it.
    shares: Vec<f64>,
}

impl Crowd {
    fn new() -> Self {
        let weight = |place: u32| f64::from(place).powf(-0.9);
        let add = |sum: &mut f64, place| {
            *sum += weight(place);
            Some(*sum)
        };
        let sums: Vec<f64> = (1..=TENANTS).scan(0.0, add).collect();
        let all = sums.last().copied().unwrap_or(1.0);
        Self {
            shares: sums.into_iter().map(|sum| sum / all).collect(),
        }
    }

    fn one(&self, dice: &mut Rng) -> u32 {
        let share = dice.f64();
        let place = self.shares.partition_point(|sum| *sum < share);
        (place as u32).min(TENANTS - 1)
    }
}
