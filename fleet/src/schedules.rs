//! The machine and the store in memory, driven through random schedules: processes that ask, sleep,
//! create and commit one step at a time, in any order, and crash or are stopped in between, while others
//! write, invalidate and move the clock. There is no thread, so a schedule that fails can be run again.

use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, ManualClock, Tick};

use crate::MemoryStore;
use crate::policy::Policy;
use crate::regeneration::{End, Lease, Mine, Regeneration, Step, Terms};
use crate::store::{
    Ask, Depth, Described, Found, Guarded, Key, Put, Store, StoreError, Stored, Version,
};
use crate::unanswered::Unanswered;

/// A rule that a schedule goes without, to see that the check can fail.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Without {
    Nothing,
    /// A commit is stored whatever came meanwhile.
    Fence,
    /// An invalidation ends no lease.
    LossOfLeases,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What a process is about to do.
enum Doing<'p> {
    Nothing,
    /// The machine, what it says, and until when it sleeps.
    Regenerates(Box<Regeneration<'p>>, Box<Step>, Tick),
    /// Under this lease it has read the source at this time.
    Creates(Lease, u64),
}

struct World<'p> {
    random: Random,
    without: Without,
    policy: &'p Policy,
    clock: Arc<ManualClock>,
    store: MemoryStore,
    key: Key,
    /// The time of the source: it moves on with each change that a write or an invalidation tells of.
    source: u64,
    /// No value of an earlier time may be read fresh, and none of an earlier one may be read at all.
    soft: u64,
    hard: u64,
    creations: u64,
    /// Leases that run, as their holders believe.
    most: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl<'p> World<'p> {
    fn put(&self, guard: Guarded, time: u64) {
        let put = Put {
            guard,
            bytes: &time.to_le_bytes(),
            age: Duration::ZERO,
            fresh_for: SECOND * 5,
            keep_for: SECOND * 50,
        };
        self.store.put(&self.key, &put).expect("it is in memory");
    }

    fn invalidate(&mut self, depth: Depth) {
        if self.without == Without::LossOfLeases {
            let peek = self.store.get_or_lease(&self.key, &Ask::peek());
            if let Ok(Found::Busy { .. }) = peek {
                return;
            }
        }
        // One record, or all of its namespace.
        let done = match self.random.below(2) {
            0 => self.store.invalidate_all(self.key.namespace(), depth),
            _ => (self.store.invalidate(&self.key, depth, Version::NONE)).map(drop),
        };
        done.expect("it is in memory");
    }

    /// Whether what the store told is allowed.
    fn is_right(&self, found: &Found) -> bool {
        let time = |stored: &Stored| {
            let bytes = stored.bytes.as_deref().expect("nothing is known before");
            u64::from_le_bytes(bytes.try_into().expect("a time"))
        };
        match found {
            Found::Fresh(stored) => time(stored) >= self.soft.max(self.hard),
            other => other
                .stored()
                .is_none_or(|stored| time(stored) >= self.hard),
        }
    }

    /// One step of a process. `false`: it was told what it must not be.
    fn step(&mut self, doing: &mut Doing<'p>) -> bool {
        let now = self.clock.now();
        match std::mem::replace(doing, Doing::Nothing) {
            Doing::Nothing => {
                let terms = Terms {
                    takes_stale: self.random.below(2) == 0,
                    ..Terms::default()
                };
                let abilities = self.store.abilities();
                let (unanswered, mine) = (Unanswered::default(), Mine::default());
                let mut machine =
                    Regeneration::new(self.policy, abilities, unanswered, mine, terms);
                let step = machine.begin(now, None);
                *doing = Doing::Regenerates(Box::new(machine), Box::new(step), now);
            }
            Doing::Regenerates(machine, step, until) if now < until => {
                *doing = Doing::Regenerates(machine, step, until);
            }
            Doing::Regenerates(mut machine, step, _) => match *step {
                Step::Ask(ask) => {
                    let found = self.store.get_or_lease(&self.key, &ask);
                    let found = found.map_err(|error: StoreError| panic!("{error}"));
                    if found.as_ref().is_ok_and(|found| !self.is_right(found)) {
                        return false;
                    }
                    let mut step = machine.answered(found, now);
                    let mut until = now;
                    if let Step::Nap { until: span, .. } = step {
                        until = now.saturating_add(span);
                        step = machine.ask(until);
                    }
                    *doing = Doing::Regenerates(machine, Box::new(step), until);
                }
                Step::Nap { .. } => unreachable!("it was turned into a request"),
                Step::Create { lease, .. } => {
                    self.creations += 1;
                    match lease {
                        Some(lease) => *doing = Doing::Creates(lease, self.source),
                        None => unreachable!("the store always answers"),
                    }
                }
                Step::End(End::Stored { .. } | End::BackingOff(_)) => {}
                Step::End(end) => panic!("{end:?}"),
            },
            Doing::Creates(lease, time) => match self.random.below(8) {
                0 => {
                    let quiet = Duration::from_millis(self.random.below(3) * 500);
                    let released = self.store.release(&self.key, lease.grant, quiet);
                    released.expect("it is in memory");
                }
                1 => {
                    let renewed = self.store.renew(&self.key, lease.grant, SECOND * 10);
                    renewed.expect("it is in memory");
                    *doing = Doing::Creates(lease, time);
                }
                _ => self.put(
                    match self.without {
                        Without::Fence => Guarded::Any,
                        _ => Guarded::Lease(lease.grant),
                    },
                    time,
                ),
            },
        }
        true
    }

    /// Whether the schedule goes well.
    fn run(mut self) -> Result<Self, u64> {
        let mut processes: Vec<Doing<'p>> = (0..4).map(|_| Doing::Nothing).collect();
        for _ in 0..400 {
            match self.random.below(100) {
                // A crash: whatever it held is left behind.
                0 | 1 => {
                    let which = self.random.below(4) as usize;
                    processes[which] = Doing::Nothing;
                }
                2 => {
                    self.source += 1;
                    self.put(Guarded::Any, self.source);
                    // Whatever began before is superseded by a write.
                    self.hard = self.source;
                }
                3 => {
                    self.source += 1;
                    self.soft = self.source;
                    self.invalidate(Depth::Soft);
                }
                4 => {
                    self.source += 1;
                    self.hard = self.source;
                    self.invalidate(Depth::Hard);
                }
                5..15 => {
                    let millis = self.random.below(4_000);
                    self.clock.advance(Duration::from_millis(millis));
                }
                // The first is slow: it comes late more often than the others.
                _ => {
                    let which = self.random.below(13) as usize * 4 / 16;
                    if !self.step(&mut processes[which.min(3)]) {
                        return Err(self.creations);
                    }
                }
            }
            let hold = |doing: &&Doing<'_>| match doing {
                Doing::Creates(lease, _) => self.clock.now() < lease.until,
                _ => false,
            };
            self.most = self.most.max(processes.iter().filter(hold).count());
        }
        Ok(self)
    }
}

/// How many of so many schedules go wrong, how many creations there were, and the most at once.
fn run(schedules: u64, without: Without) -> (u64, u64, usize) {
    let mut policy = Policy::new(SECOND * 5);
    policy.lease = SECOND * 10;
    let (mut wrong, mut creations, mut most) = (0, 0, 0);
    for seed in 0..schedules {
        let clock = Arc::new(ManualClock::new());
        clock.set(Tick::from_nanos(1_000_000_000_000));
        let world = World {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD0_6B11E),
            without,
            policy: &policy,
            store: MemoryStore::with_clock(clock.clone()),
            clock,
            key: Key::new("schedules", "key", 0),
            source: 1,
            soft: 0,
            hard: 0,
            creations: 0,
            most: 0,
        };
        match world.run() {
            Ok(world) => {
                creations += world.creations;
                most = most.max(world.most);
            }
            Err(before) => {
                wrong += 1;
                creations += before;
            }
        }
    }
    (wrong, creations, most)
}

#[test]
fn none_of_the_schedules_goes_wrong() {
    let long = std::env::var_os("DOGPILE_FLEET_LONG").is_some();
    let schedules = if long { 500_000 } else { 2_000 };
    let (wrong, creations, most) = run(schedules, Without::Nothing);
    println!("{schedules} schedules, {creations} creations, {wrong} wrong");
    assert_eq!(wrong, 0);
    assert!(creations > schedules);
    // Two may believe that they lead only after an invalidation.
    assert!(most >= 1);
}

#[test]
fn without_a_rule_many_do() {
    for without in [Without::Fence, Without::LossOfLeases] {
        let (wrong, ..) = run(500, without);
        println!("{wrong} of 500 go wrong without {without:?}");
        assert!(wrong > 0, "{without:?}");
    }
}
