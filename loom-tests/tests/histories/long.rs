//! Long runs at full speed, checked by intervals alone: what is cheap enough to look at every time.
//!
//! ```breakages
//! an-invalidate-is-lost-in-a-long-run | src/raw/state.rs
//! - self.generation() > fence
//! + fence == 0
//!
//! two-creators-in-a-long-run | src/raw/state.rs
//! - self.fence() != 0
//! + self.fence() > self.generation()
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use dogpile::{Dogpile, Guard, Origin};
use fastrand::Rng;

use crate::small::{seed, times};
use crate::threads::{AtomicU64, Ordering, scope, yield_now};
use crate::watchdog::Watchdog;

/// A value, and between which stamps its life began.
struct Value {
    /// No creation or `set` that makes it begins earlier.
    begun: u64,
    /// It becomes the current one after this.
    placed_after: u64,
    /// And before this, once that is known.
    placed_before: AtomicU64,
}

/// What is shared.
struct World {
    pile: Dogpile<Value>,
    stamps: AtomicU64,
    creators: AtomicU64,
    /// The stamp of the last `set` or `invalidate` that is over, taken before it.
    truth: AtomicU64,
    /// How often the truth has changed.
    changes: AtomicU64,
    /// How many readers are at work.
    readers: AtomicU64,
    /// How many answers only threads that meet are given.
    met: AtomicU64,
}

const READERS: u64 = 3;
const CALLS: usize = 50_000;

/// So many pauses of a creator, but first it waits until the truth has changed.
const MEETS_A_CHANGE: u8 = 16;

#[test]
fn of_creators_and_one_who_changes_the_truth() {
    let seed = seed();
    println!("HISTORIES_SEED={seed}");
    Watchdog::watch(|watchdog| {
        for round in 0..times() as u64 {
            for (ttl, limit) in [
                (Duration::MAX, None),
                (Duration::ZERO, None),
                (Duration::MAX, Some(Duration::ZERO)),
            ] {
                watchdog.about_to(&(seed, ttl, limit));
                run(seed.wrapping_add(round * 8), ttl, limit);
            }
        }
    });
}

fn run(seed: u64, ttl: Duration, limit: Option<Duration>) {
    let mut builder = Dogpile::builder(ttl);
    if let Some(limit) = limit {
        builder = builder.stale_while_revalidate(limit);
    }
    let world = World {
        pile: builder.build(),
        stamps: AtomicU64::new(1),
        creators: AtomicU64::new(0),
        truth: AtomicU64::new(0),
        changes: AtomicU64::new(0),
        readers: AtomicU64::new(READERS),
        met: AtomicU64::new(0),
    };
    scope(|threads| {
        for number in 0..READERS {
            let world = &world;
            threads.spawn(move || world.read(Rng::with_seed(seed.wrapping_add(number))));
        }
        world.change(Rng::with_seed(seed.wrapping_add(READERS)));
    });
    println!(
        "ttl {ttl:?}, stale_while_revalidate {limit:?}: {:?}",
        world.met
    );
    assert!(world.met.into_inner() > 0, "they never met");
}

/// Also if it panics.
struct OneLess<'a>(&'a AtomicU64);

impl Drop for OneLess<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    /// The one thread that does, so that the truth goes on and never back.
    fn change(&self, mut rng: Rng) {
        while self.readers.load(Ordering::SeqCst) > 0 {
            let before = self.stamp();
            let action = rng.u8(..32);
            match action {
                0..=1 => {
                    self.pile.invalidate();
                    self.truth.store(before, Ordering::SeqCst);
                    self.changes.fetch_add(1, Ordering::SeqCst);
                }
                2 => {
                    self.pile.set(Value {
                        begun: before,
                        placed_after: before,
                        placed_before: AtomicU64::new(u64::MAX),
                    });
                    self.truth.store(before, Ordering::SeqCst);
                    self.changes.fetch_add(1, Ordering::SeqCst);
                    let after = self.stamp();
                    if let Some(guard) = self.pile.peek().filter(|guard| guard.begun == before) {
                        guard.placed_before.store(after, Ordering::SeqCst);
                    }
                }
                3..=4 => self.pile.expire(),
                _ => {}
            }
            if action < 2 {
                // The others may all wait for a creation that is superseded now.
                let call = self.pile.call().wait(Duration::ZERO);
                drop(call.get_or_create(|| self.create(0)));
            }
            yield_now();
        }
    }

    fn read(&self, mut rng: Rng) {
        let _one_less = OneLess(&self.readers);
        // The stamp after which the newest value that was seen became the current one.
        let mut newest = 0;
        for _ in 0..CALLS {
            let truth = self.truth.load(Ordering::SeqCst);
            let start = self.stamp();
            let Some(guard) = self.get(&mut rng) else {
                continue;
            };
            if dogpile::Guard::origin(&guard) == Origin::Fresh {
                yield_now(); // So that the other thread finds something to change.
            }
            if matches!(
                dogpile::Guard::origin(&guard),
                Origin::Stale | Origin::CreatedByAnother | Origin::Superseded
            ) {
                self.met.fetch_add(1, Ordering::SeqCst);
            }
            assert!(
                guard.begun >= truth,
                "{:?}: began at {}, but at {truth} a `set` or an `invalidate` did, which was over \
                 when the call began at {start}",
                dogpile::Guard::origin(&guard),
                guard.begun
            );
            if dogpile::Guard::origin(&guard) == Origin::Superseded {
                continue; // Which never became the current one.
            }
            let placed_before = guard.placed_before.load(Ordering::SeqCst);
            assert!(
                placed_before > newest,
                "{:?}: current before {placed_before}, but this reader has seen a later one, from \
                 {newest}",
                dogpile::Guard::origin(&guard)
            );
            newest = newest.max(guard.placed_after);
        }
    }

    fn get(&self, rng: &mut Rng) -> Option<Guard<'_, Value>> {
        match rng.u8(..16) {
            0 => return self.pile.peek(),
            // As a call that does not wait.
            1 => {
                let call = self.pile.call().wait(Duration::ZERO);
                return call.get_or_create(|| self.create(0)).ok();
            }
            2 => {
                let fails = self.pile.get_or_try_create(|| {
                    let _ = self.create(1);
                    Err::<Value, _>("it fails")
                });
                return fails.ok();
            }
            3 => {
                let panics = catch_unwind(AssertUnwindSafe(|| {
                    self.pile.get_or_create(|| {
                        let _ = self.create(1);
                        resume_unwind(Box::new("it panics"))
                    })
                }));
                return panics.ok();
            }
            _ => {}
        }
        let pauses = match rng.u8(..64) {
            0 => MEETS_A_CHANGE,
            number => number % 4,
        };
        let guard = self.pile.get_or_create(|| self.create(pauses));
        if dogpile::Guard::origin(&guard) == Origin::CreatedHere {
            guard.placed_before.store(self.stamp(), Ordering::SeqCst);
        }
        Some(guard)
    }

    fn create(&self, pauses: u8) -> Value {
        let others = self.creators.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "two creators at the same time");
        let begun = self.stamp();
        let then = self.changes.load(Ordering::SeqCst);
        while pauses == MEETS_A_CHANGE && self.changes.load(Ordering::SeqCst) == then {
            yield_now();
        }
        for _ in 0..pauses {
            yield_now();
        }
        self.creators.fetch_sub(1, Ordering::SeqCst);
        Value {
            begun,
            placed_after: self.stamp(),
            placed_before: AtomicU64::new(u64::MAX),
        }
    }
}
