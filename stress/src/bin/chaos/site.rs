//! One pile, what it is set to, and where its values are kept besides.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dogpile::executor::{Blocking, Executor, Job, JobId, Rayon, Thread, Timer};
use dogpile::observe::{Event, Observer, Stats};
use dogpile::{Backoff, Builder, Dogpile, Error, Lookup, RefreshAhead, Refused, SyncReaderDogpile};

use crate::ledger::{Failed, Ledger, Value, demand, fault, stamp};
use crate::random::Random;
use crate::tasks::{Cut, cut_short, runtime};

pub(crate) enum AnyPile {
    Plain(Arc<Dogpile<Value>>),
    Reader(Arc<SyncReaderDogpile<Value>>),
}

macro_rules! on_pile {
    ($pile:expr, |$name:ident| $body:expr) => {
        match $pile {
            $crate::site::AnyPile::Plain($name) => $body,
            $crate::site::AnyPile::Reader($name) => $body,
        }
    };
}
pub(crate) use on_pile;

pub(crate) struct Site {
    pub(crate) pile: AnyPile,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Store,
    pub(crate) ends: Arc<Ends>,
    /// Calls look their values up.
    pub(crate) elsewhere: bool,
    /// Some creators take longer than they may.
    pub(crate) hangs: bool,
    settings: String,
}

/// The settings of a pile, and how many creators it may have at once.
pub(crate) fn settings(random: &mut Random) -> (Builder<Value>, bool) {
    const MICROS: fn(u64) -> Duration = Duration::from_micros;
    loop {
        let ttl = random.one_of(&[Duration::ZERO, MICROS(100), MICROS(1000), Duration::MAX]);
        let mut builder = Dogpile::builder(ttl)
            .stats(true)
            .seed(random.below(1 << 32));
        if random.once_in(3) {
            builder = builder.stale_while_revalidate(MICROS(random.below(1000)));
        }
        if random.once_in(3) {
            builder = builder.stale_if_error(MICROS(random.below(3000)));
        }
        if random.once_in(3) {
            let jitter = random.below(50) as u8;
            let backoff = match random.once_in(2) {
                true => Backoff::constant(MICROS(random.below(500) + 1)),
                false => Backoff::exponential(MICROS(50), MICROS(1000)),
            };
            builder = builder.backoff(backoff.jitter(jitter));
        }
        if random.once_in(4) {
            builder = builder.min_interval(MICROS(random.below(400)));
        }
        let hangs = random.once_in(4);
        if hangs {
            builder = builder.max_create_time(MICROS(1500));
        }
        if random.once_in(4) {
            builder = builder.refresh_ahead(RefreshAhead::percent(60).jitter(20));
        }
        if random.once_in(4) {
            builder = builder.ttl_jitter(30);
        }
        if random.once_in(4) {
            builder = builder.init();
        }
        if random.once_in(4) {
            builder = builder.keep_last(false);
        }
        // Some make no sense together.
        if builder.clone().try_build().is_ok() {
            return (builder, hangs);
        }
    }
}

impl Site {
    pub(crate) fn draw(random: &mut Random) -> Arc<Self> {
        let (builder, hangs) = settings(random);
        let ends = Arc::new(Ends::default());
        let builder = match random.once_in(2) {
            true => builder.observer(Arc::clone(&ends) as Arc<dyn Observer>),
            false => builder,
        };
        let settings = format!("{builder:?}");
        let pile = match random.once_in(2) {
            true => AnyPile::Plain(Arc::new(builder.build())),
            false => AnyPile::Reader(Arc::new(builder.build_sync_reader())),
        };
        // One of them late.
        // Where creators hang, each back-off may leave one more of them behind.
        let most = if hangs { i64::MAX } else { 1 };
        Arc::new(Self {
            pile,
            ledger: Ledger::new("one_creator", most),
            store: Store::default(),
            ends,
            elsewhere: random.once_in(4),
            hangs,
            settings,
        })
    }

    pub(crate) fn reader(&self) -> Option<&SyncReaderDogpile<Value>> {
        match &self.pile {
            AnyPile::Plain(_) => None,
            AnyPile::Reader(pile) => Some(pile),
        }
    }

    /// What was counted adds up, also while all run.
    pub(crate) fn audit(&self) -> Stats {
        let stats = on_pile!(&self.pile, |pile| pile.stats());
        if let Some(counters) = &stats.counters {
            let ended: u64 = counters.ends().map(|(_, times)| times).sum();
            let running = u64::from(stats.creating.is_some());
            demand(counters.begun == ended + running, || {
                format!("counters do not add up, {running} running: {counters:?}")
            });
        }
        stats
    }
}

impl Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pile, stats): (&dyn Debug, Stats) = match &self.pile {
            AnyPile::Plain(pile) => (pile, pile.stats()),
            AnyPile::Reader(pile) => (pile, pile.stats()),
        };
        write!(
            f,
            "{pile:#?}\n{stats:#?}\nelsewhere: {}, {}",
            self.elsewhere, self.settings
        )
    }
}

/// The ends of leases that an observer was told of, by fence.
#[derive(Default)]
pub(crate) struct Ends(Mutex<BTreeSet<u64>>);

impl Ends {
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}

impl Observer for Ends {
    fn event(&self, event: &Event) {
        if let Event::Ended(ended) = event {
            let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = ends.insert(ended.fence);
            drop(ends);
            demand(first, || {
                format!("observed_once: lease {} ends again: {ended:?}", ended.fence)
            });
        }
    }
}

/// When the creation of the value began, or when the `set` that it came with returned.
type Kept = (u64, Option<Arc<AtomicU64>>);

/// Where values are kept besides: never an older one than before.
#[derive(Default)]
pub(crate) struct Store {
    kept: Mutex<Option<Kept>>,
    /// Held by whoever sets a value here and in the pile, so that both see the same order.
    sets: Mutex<()>,
}

impl Store {
    /// Keeps a value, and has it `set` in the pile. What was created before that is over is older.
    pub(crate) fn set(&self, set: impl FnOnce(Value)) {
        let _turn = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let returned = Arc::new(AtomicU64::new(0));
        self.keep(u64::MAX, Some(Arc::clone(&returned)));
        set(Value::given(&returned));
        let now = stamp();
        returned.store(now, Ordering::SeqCst);
        *self.kept() = Some((now, Some(returned)));
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, number: u64, set: Option<Arc<AtomicU64>>) {
        let mut kept = self.kept();
        if kept.as_ref().is_none_or(|(held, _)| *held < number) {
            *kept = Some((number, set));
        }
    }

    pub(crate) fn get(&self, random: &mut Random) -> Result<Lookup<Value>, Failed> {
        match random.below(12) {
            0 => return Ok(Lookup::NeedRegeneration),
            1 => return Ok(Lookup::Unreachable),
            2 => return Err(Failed::new()),
            _ => {}
        }
        let kept = self.kept().clone();
        Ok(match kept {
            None => Lookup::NeedRegeneration,
            Some((number, set)) => {
                let began = if set.is_some() { 0 } else { number };
                let value = Value::new(began, set);
                match random.once_in(3) {
                    true => Lookup::Aged(value, random.micros(500)),
                    false => Lookup::Here(value),
                }
            }
        })
    }
}

/// Runs jobs here or there, and sometimes does not.
#[derive(Debug)]
pub(crate) struct Runs {
    place: Place,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Thread,
    Tokio,
    Rayon,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Run,
    Refuse,
    Drop,
    /// While it runs.
    Cut(u64),
}

impl Runs {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let place = random.one_of(&[Place::Thread, Place::Tokio, Place::Rayon]);
        let fate = match random.below(10) {
            0 => Fate::Refuse,
            1 => Fate::Drop,
            2..=3 => Fate::Cut(random.below(4) + 1),
            _ => Fate::Run,
        };
        Self { place, fate }
    }
}

impl Executor for Runs {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        match (self.fate, self.place) {
            (Fate::Refuse, _) => Err(Refused::new("as it was drawn")),
            (Fate::Drop, _) => {
                drop(job);
                Ok(())
            }
            (Fate::Cut(polls), Place::Tokio) => {
                drop(runtime().spawn(cut_short(job, Cut::Polls(polls))));
                Ok(())
            }
            (_, Place::Tokio) => Executor::spawn(runtime(), job),
            (_, Place::Thread) => Thread.spawn(job),
            (_, Place::Rayon) => Rayon.spawn(job),
        }
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(runtime())
    }

    fn blocking_here(&self) -> Blocking {
        match self.place {
            Place::Thread => Thread.blocking_here(),
            Place::Tokio => runtime().blocking_here(),
            Place::Rayon => Rayon.blocking_here(),
        }
    }

    fn run_queued(&self, job: JobId) -> bool {
        match self.place {
            Place::Thread => Thread.run_queued(job),
            Place::Tokio => runtime().run_queued(job),
            Place::Rayon => Rayon.run_queued(job),
        }
    }
}

/// An answer without a value, to a call with a limit to its waiting or without one.
pub(crate) fn no_value<E: Debug>(error: &Error<E>, limited: bool, holds_guard: bool) {
    let may_be = match error {
        Error::TimedOut { .. } => limited,
        Error::HoldsReadGuard => holds_guard,
        Error::Reentrant | Error::HoldsWriteLock | Error::NoTimer | Error::Missing => false,
        Error::Cycle(_) => false,
        _ => true,
    };
    if !may_be {
        fault(&format!("no answer to such a call: {error:?}"));
    }
}
