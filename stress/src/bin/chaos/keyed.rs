//! Everything that can be done to a map of many keys.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use dogpile::{Accept, Error, KeyedAttempt, KeyedDogpile, KeyedGuard, Outcome};

use crate::ledger::{
    Failed, Ledger, Newest, Panics, Value, alive, demand, fault, only_left, stamp,
};
use crate::plan::Plan;
use crate::random::Random;
use crate::rate::Rate;
use crate::site::{Runs, no_value, settings};
use crate::tasks::{Cut, block_on, cut_short, runtime};
use crate::watchdog::Doing;

const KEYS: u64 = 6;

pub(crate) struct Map {
    pub(crate) map: KeyedDogpile<u64, Value>,
    ledgers: Vec<Arc<Ledger>>,
    /// Creators of all keys.
    pub(crate) all: Arc<Ledger>,
    /// What it allows; not where leases are taken over, which is allowed beyond it.
    rate: Option<Arc<Rate>>,
    bound: Option<usize>,
    settings: String,
}

impl Map {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let (builder, hangs) = settings(random);
        // Where creators hang, each back-off may leave one more of them behind.
        let most = if hangs { i64::MAX } else { 1 };
        let settings = format!("{builder:?}");
        let mut builder = builder.keyed::<u64>();
        let bound = random.once_in(2).then(|| random.below(4) as usize + 1);
        if let Some(entries) = bound {
            builder = builder.max_entries(entries);
        }
        let limit = random.once_in(2).then(|| random.below(3) + 1);
        if let Some(limit) = limit {
            builder = builder.creation_limit(limit as usize);
        }
        let rate = random.once_in(2).then(|| Arc::new(Rate::draw(random)));
        if let Some(rate) = &rate {
            builder = builder.creation_rate(rate.creations, rate.span);
        }
        // A late creator keeps no permit from others.
        let at_once = limit
            .filter(|_| !hangs)
            .map_or(i64::MAX, |limit| limit as i64);
        let settings = format!("bound {bound:?}, limit {limit:?}, {rate:?}, {settings}");
        Self {
            settings,
            map: builder.build(),
            ledgers: (0..KEYS)
                .map(|_| Ledger::new("one_creator of a key", most))
                .collect(),
            all: Ledger::new("creation_limit", at_once),
            rate: rate.filter(|_| !hangs),
            bound,
        }
    }

    /// For whoever has to find out who hangs.
    pub(crate) fn state(&self) -> String {
        let keys = (0..KEYS).map(|key| format!("{key}: {:?}\n", self.map.stats_of(&key)));
        let keys: String = keys.collect();
        format!(
            "{}\n{keys}{:#?}\n{:?}",
            self.settings,
            self.map,
            self.map.stats()
        )
    }

    /// What a round must have left, when all its callers and jobs are gone.
    pub(crate) fn settle(self) {
        let stats = self.map.stats();
        demand(stats.creating == 0 && stats.waiters == 0, || {
            format!("nobody is there, and yet: {stats:?}")
        });
        if let Some(counters) = stats.counters {
            let ended: u64 = counters.ends().map(|(_, times)| times).sum();
            demand(counters.begun == ended, || {
                format!("counters do not add up: {counters:?}")
            });
        }
        if let Some(rate) = &self.rate {
            rate.check();
        }
        self.map.purge();
        let entries = self.map.len();
        if let Some(bound) = self.bound {
            // One a shard, at least, is the slack.
            let most = bound.max(64);
            demand(entries <= most, || {
                format!("bounded: {entries} entries, bound {bound}")
            });
        }
        demand(only_left(KEYS as i64, i64::MAX), || {
            let (values, _) = alive();
            format!("dropped_once_and_soon: {values} values are alive, of {KEYS} keys")
        });
        self.map.invalidate_all();
        self.map.purge();
        demand(only_left(0, i64::MAX), || {
            let (values, _) = alive();
            format!("all is invalidated, and {values} values are alive")
        });
        drop(self.map);
    }
}

pub(crate) struct Caller<'a> {
    map: &'a Map,
    doing: &'a Doing,
    random: Random,
    newest: [Newest; KEYS as usize],
    held: Vec<KeyedGuard<'a, u64, Value>>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(map: &'a Map, doing: &'a Doing, random: Random) -> Self {
        let newest = [Newest::default(); KEYS as usize];
        Self {
            map,
            doing,
            random,
            newest,
            held: Vec::new(),
        }
    }

    pub(crate) fn run(mut self, until: Instant) -> u64 {
        let mut calls = 0;
        while Instant::now() < until {
            let done = catch_unwind(AssertUnwindSafe(|| self.act()));
            if let Err(panic) = done
                && !panic.is::<Panics>()
            {
                resume_unwind(panic);
            }
            calls += 1;
            if self.random.once_in(8) {
                self.held.drain(..).for_each(|guard| guard.look(0));
            }
        }
        calls
    }

    fn took(&mut self, floor: u64, guard: KeyedGuard<'a, u64, Value>) {
        guard.look(floor);
        let key = *KeyedGuard::key(&guard) as usize;
        self.newest[key].sees(&guard, KeyedGuard::seen(&guard), KeyedGuard::origin(&guard));
        if self.random.once_in(4) {
            self.held.push(guard);
        }
    }

    fn answered<E: Debug>(
        &mut self,
        floor: u64,
        limited: bool,
        answer: Result<KeyedGuard<'a, u64, Value>, Error<E>>,
    ) {
        match answer {
            Ok(guard) => self.took(floor, guard),
            // It waited for a call for several keys, which left its key out.
            Err(Error::Missing) => {}
            Err(error) => no_value(&error, limited, false),
        }
    }

    fn act(&mut self) {
        // Some keys more often than others.
        let key = match self.random.once_in(2) {
            true => 0,
            false => self.random.below(KEYS),
        };
        let ledger = &self.map.ledgers[key as usize];
        let floor = ledger.floor();
        let plan = Plan::of_key(
            ledger,
            &self.map.all,
            self.map.rate.as_ref(),
            &mut self.random,
        );
        let limited = self.random.once_in(4);
        let accept = match (self.random.below(6), self.newest[key as usize].get()) {
            (0, _) => Accept::Fresh,
            (1, _) => Accept::New,
            (2, Some(seen)) => Accept::NewerThan(seen),
            _ => Accept::Stale,
        };
        let mut call = self.map.map.call(&key).accept(accept);
        if limited {
            call = call.wait(self.random.micros(500));
        }
        match self.random.below(18) {
            0..=3 => {
                self.doing.now("get_or_try_create_with of a key");
                let answer = call.get_or_try_create_with(|creating| plan.run(&creating));
                self.answered(floor, limited, answer);
            }
            4 => {
                self.doing.now("get_or_create of a key");
                let answer = call.get_or_create(|| plan.run_infallibly());
                self.answered(floor, limited, answer);
            }
            5..=7 => {
                self.doing.now("a task of a key");
                let call = call.timer(runtime());
                let call = call.get_or_try_create_with_async(|creating| plan.run_async(creating));
                let cut = Cut::draw(&mut self.random);
                if let Some(answer) = block_on(cut_short(call, cut)) {
                    self.answered(floor, limited, answer);
                }
            }
            8..=9 => {
                let runs = Runs::draw(&mut self.random);
                self.doing.now("a key in the background");
                let answer = (self.map.map.background(&key, &runs))
                    .accept(accept)
                    .get_or_try_create_with(move |creating| plan.run(&creating));
                self.answered(floor, false, answer);
            }
            // The creators of these count for no limit.
            10 => self.attempt(key, floor, plan.of_no_map()),
            11..=12 => self.several(),
            13 => {
                self.doing.now("peek at a key");
                if let Some(guard) = self.map.map.peek(&key) {
                    self.took(floor, guard);
                }
            }
            _ => self.change(key),
        }
    }

    fn attempt(&mut self, key: u64, floor: u64, plan: Plan) {
        self.doing.now("attempt of a key");
        match self.map.map.attempt(&key) {
            KeyedAttempt::Hit(guard) => self.took(floor, guard),
            KeyedAttempt::Lease(lease) => match self.random.below(4) {
                0 => drop(lease),
                1 => drop(lease.fail(Failed::new())),
                _ => {
                    let created = lease.run(|creating| plan.run(&creating));
                    match created {
                        // Ended by a thread that never asked for it.
                        Ok(created) => thread::scope(|threads| {
                            threads.spawn(move || drop(lease.publish(created)));
                        }),
                        Err(failed) => drop(lease.fail(failed)),
                    }
                }
            },
            KeyedAttempt::Busy(busy) => match busy.into_stale() {
                Ok(guard) => self.took(floor, guard),
                Err(busy) => {
                    if let Outcome::Value(guard) = busy.wait() {
                        self.took(floor, guard);
                    }
                }
            },
            KeyedAttempt::NotYet(not_yet) => {
                if let Some(guard) = not_yet.value {
                    self.took(floor, guard);
                }
            }
        }
    }

    fn several(&mut self) {
        let mut keys: Vec<u64> = (0..KEYS).filter(|_| self.random.once_in(2)).collect();
        if self.random.once_in(2) {
            keys.reverse();
        }
        let floors: Vec<_> = self
            .map
            .ledgers
            .iter()
            .map(|ledger| ledger.floor())
            .collect();
        let mut random = self.random.split();
        let all = Arc::clone(&self.map.all);
        let ledgers = &self.map.ledgers;
        let (rate, asked) = (self.map.rate.as_ref(), Instant::now());
        self.doing.now("several keys");
        let create = |keys: &[&u64]| {
            // One permit for all of them.
            let _all = all.enter();
            let inside: Vec<_> = keys
                .iter()
                .map(|&&key| ledgers[key as usize].enter())
                .collect();
            for rate in rate.into_iter().cycle().take(keys.len()) {
                rate.begins(asked);
            }
            let began = stamp();
            thread::sleep(random.micros(300));
            drop(inside);
            if random.once_in(12) {
                resume_unwind(Box::new(Panics));
            }
            let mut made = Vec::new();
            for &&key in keys {
                match random.below(6) {
                    0 => {}
                    1 => made.push((key, Err(Failed::new()))),
                    _ => made.push((key, Ok(Value::created(began)))),
                }
            }
            if random.once_in(8) {
                Err(Failed::new())
            } else {
                Ok(made)
            }
        };
        let answers = self.map.map.get_or_try_create_multi(&keys, create);
        demand(answers.len() == keys.len(), || {
            "an answer for each key".to_owned()
        });
        for (key, answer) in keys.into_iter().zip(answers) {
            match answer {
                Ok(guard) => self.took(floors[key as usize], guard),
                Err(Error::Missing) => {}
                Err(error) => no_value(&error, false, false),
            }
        }
    }

    fn change(&mut self, key: u64) {
        self.doing.now("a change of a key");
        let map = &self.map.map;
        let ledger = &self.map.ledgers[key as usize];
        let seen = self.newest[key as usize].get();
        match self.random.below(10) {
            0..=1 => {
                let returned = Arc::new(AtomicU64::new(0));
                let value = Value::given(&returned);
                match self.random.once_in(3) {
                    true => drop(map.set_if(key, seen, value)),
                    false => map.set(key, value),
                }
                returned.store(stamp(), Ordering::SeqCst);
            }
            2 => ledger.invalidate(|| {
                map.invalidate(&key);
                true
            }),
            3 => ledger.invalidate(|| {
                drop(map.remove(&key));
                true
            }),
            4 => ledger.invalidate(|| seen.is_some_and(|seen| map.invalidate_if(&key, seen))),
            5 => map.expire_where(|&other, _| other == key),
            6 => map.purge(),
            7 => {
                for guard in map.iter() {
                    guard.look(0);
                }
            }
            8 => {
                let stats = map.stats_of(&key);
                if let Some(counters) = &stats.counters {
                    let ended: u64 = counters.ends().map(|(_, times)| times).sum();
                    let running = u64::from(stats.creating.is_some());
                    if counters.begun != ended + running {
                        fault(&format!(
                            "counters of a key, {running} running: {counters:?}"
                        ));
                    }
                }
            }
            _ => map.expire(&key),
        }
    }
}
