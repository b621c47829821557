//! Two processes with a copy each, whose threads ask, write, remove and expire as it comes, over a store
//! whose verbs are one step each.
//!
//! After a write has returned, no call of that process yields an older version; after a removal, none that
//! was there when it began. What was refused goes to its own caller alone. Two create at once only if a write
//! or an invalidation ended the lease of one.
//!
//! ```breakages
//! fleet-keeps-what-was-refused | fleet/src/site.rs
//! @ Fate::Superseded(fence) => {
//! - entry.created(Duration::ZERO, Duration::ZERO).superseded()
//! + entry.created(Duration::ZERO, policy.local)
//!
//! fleet-keeps-a-copy-that-was-removed | fleet/src/site.rs
//! @ pub(crate) fn change(
//! - Depth::Hard => self.place.invalidate(),
//! + Depth::Hard => self.place.expire(),
//!
//! fleet-lends-over-a-write | fleet/src/writes.rs
//! @ pub(crate) fn place_unless_written(
//! - let unwritten = now.begun == now.ended && now.begun + now.ended == so_far;
//! + let unwritten = true;
//!
//! fleet-lets-everybody-lead | fleet/src/record.rs
//! @ pub fn is_leased(
//! - self.owner != 0 && now < self.until
//! + self.owner != 0 && now < self.began
//!
//! fleet-spares-the-values-of-a-namespace | fleet/src/record.rs
//! @ pub fn head(
//! - if head.space == self.generation
//! + if head.space <= self.generation
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use dogpile_fleet::{FleetDogpile, FleetGuard, Version};
use loom_tests::{Process, draw, large_model, thread};

type Pile = Arc<FleetDogpile<Vec<u8>, Process>>;

/// A process, and what it is held to.
struct Member {
    process: Arc<Process>,
    pile: Pile,
    /// Another key of the namespace.
    sibling: Pile,
    /// No call that begins now yields an older version.
    floor: AtomicU64,
}

impl Member {
    fn rises(&self, version: u64) {
        self.floor.fetch_max(version, SeqCst);
    }

    /// What is there now is gone when this has ended.
    fn removes(&self, removes: impl FnOnce()) {
        let there = self.process.highest();
        removes();
        self.rises(there.0 + 1);
    }
}

#[derive(Default)]
struct World {
    /// Creators that run, and how often something may have let another one in.
    creating: AtomicUsize,
    reasons: AtomicUsize,
}

fn act(world: &World, member: &Member) {
    let pile = &member.pile;
    let kind = draw(8);
    if kind < 4 {
        world.reasons.fetch_add(1, SeqCst);
    }
    match kind {
        0 => member.rises(pile.set(vec![1]).unwrap().0),
        1 => member.removes(|| pile.invalidate().unwrap()),
        2 => member.removes(|| member.sibling.invalidate_all().unwrap()),
        3 => pile.expire().unwrap(),
        _ => {
            let floor = member.floor.load(SeqCst);
            let mut created = false;
            let guard = pile.get_or_create(|_| {
                created = true;
                let others = world.creating.fetch_add(1, SeqCst);
                thread::yield_now();
                world.creating.fetch_sub(1, SeqCst);
                let reasons = world.reasons.load(SeqCst);
                assert!(
                    others <= reasons,
                    "{others} others create, {reasons} reasons"
                );
                vec![2]
            });
            match FleetGuard::version(&guard.unwrap()) {
                Version::NONE => assert!(created, "what was refused goes to its own caller alone"),
                version => assert!(version.0 >= floor, "{version} after {floor}"),
            }
        }
    }
}

#[test]
fn two_processes_of_two_threads_do_as_they_like() {
    large_model(|| {
        let processes: [_; 2] = Process::several();
        let world = Arc::new(World::default());
        let members = processes.map(|process| {
            Arc::new(Member {
                pile: process.pile("key"),
                sibling: process.pile("sibling"),
                floor: AtomicU64::new(0),
                process,
            })
        });
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (world, member) = (Arc::clone(&world), Arc::clone(&members[number % 2]));
                thread::spawn(move || {
                    for _ in 0..4 {
                        act(&world, &member);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
