//! Models of a map whose hits go past the locks of its shards, in both forms of the barrier.
//!
//! The models of the promises run over maps too. Under loom they do without an index, which would multiply
//! their interleavings; under shuttle they have one. Here loom goes through what a hit can meet.
//!
//! ```breakages
//! a-value-freed-under-its-guard | src/raw/value/cell.rs | a_hit_and_a_set
//! - } else if search.finds(node.address()) {
//! + } else if search.finds(node.address()) && false {
//!
//! an-entry-let-go-while-its-value-is-read | src/raw/index/within.rs | a_hit_and_an_invalidate
//! - mem::forget(shown);
//! + drop(shown);
//!
//! an-evicted-entry-let-go-while-its-value-is-read | src/raw/index/within.rs | a_hit_and_an_eviction
//! - mem::forget(shown);
//! + drop(shown);
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::keyed::KeyedDogpile;
use crate::pile::Dogpile;
use crate::raw::models::{self, Value};
use crate::shim::model::{Barrier, Setting};
use crate::time::ManualClock;

type Map = KeyedDogpile<u32, Value, BuildHasherDefault<DefaultHasher>>;

/// A map, and how many of its values are alive.
struct World {
    map: Map,
    alive: StdArc<AtomicUsize>,
}

impl World {
    fn new(room: usize) -> Arc<Self> {
        // One that stands still: all follows soon.
        let map = Dogpile::builder(Duration::from_secs(3600))
            .clock(StdArc::new(ManualClock::new()))
            .keyed();
        let map = map.hasher(BuildHasherDefault::default()).max_entries(room);
        Arc::new(Self {
            map: map.build(),
            alive: StdArc::default(),
        })
    }

    fn value(&self, number: usize) -> Value {
        Value::new(number, &self.alive)
    }

    /// Puts a value in for a key, which is found without a lock from then on.
    fn put(&self, key: u32, number: usize) {
        self.map.set(key, self.value(number));
        assert_eq!(self.read(key), Some(number));
    }

    fn read(&self, key: u32) -> Option<usize> {
        self.map.peek(&key).map(|guard| guard.read())
    }

    fn reader(world: &Arc<Self>, key: u32) -> JoinHandle<Option<usize>> {
        let world = Arc::clone(world);
        thread::spawn(move || world.read(key))
    }

    #[track_caller]
    fn assert_alive(&self, count: usize) {
        assert_eq!(self.alive.load(Ordering::Relaxed), count, "values alive");
    }
}

fn explore(often: Option<u8>, preemptions: usize, body: fn()) {
    for barrier in [Barrier::Fences, Barrier::Words] {
        let setting = Setting {
            barrier,
            slots: 2,
            transit: true,
            often,
            ..Setting::DEFAULT
        };
        models::explore(setting, preemptions, body);
    }
}

#[test]
fn a_hit_and_an_invalidate() {
    explore(None, 2, || {
        let world = World::new(9);
        world.put(1, 10);
        let reader = World::reader(&world, 1);
        world.map.invalidate(&1);
        assert_eq!(world.read(1), None, "never older");
        assert!(matches!(reader.join().unwrap(), None | Some(10)));
        world.assert_alive(0);
    });
}

#[test]
fn a_hit_and_a_set() {
    explore(None, 2, || {
        let world = World::new(9);
        world.put(1, 10);
        let reader = World::reader(&world, 1);
        world.map.set(1, world.value(11));
        assert_eq!(world.read(1), Some(11), "never older");
        assert!(matches!(reader.join().unwrap(), Some(10 | 11)));
        world.assert_alive(1);
    });
}

/// What is read when its room is taken is gone with its last guard.
#[test]
fn a_hit_and_an_eviction() {
    explore(None, 2, || {
        let world = World::new(1);
        world.put(1, 10);
        let reader = World::reader(&world, 1);
        world.map.set(2, world.value(20));
        world.map.set(3, world.value(30));
        assert!(matches!(reader.join().unwrap(), None | Some(10)));
        world.assert_alive(1);
        assert_eq!(world.map.len(), 1);
    });
}

/// So many that the index turns to fences.
#[test]
fn a_hit_while_many_are_evicted() {
    explore(Some(1), 1, || {
        let world = World::new(1);
        world.put(1, 10);
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || [3, 1].map(|key| world.read(key)))
        };
        for key in 2..5 {
            world.put(key, 10 * key as usize);
        }
        let [three, one] = reader.join().unwrap();
        assert!(matches!(three, None | Some(30)));
        assert!(matches!(one, None | Some(10)));
        world.assert_alive(1);
    });
}

/// One waits for a value that is pushed out as soon as it is there.
#[test]
fn a_creation_and_an_eviction() {
    explore(None, 1, || {
        let world = World::new(1);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let made = world.map.get_or_create(&1, || world.value(10));
                made.read()
            })
        };
        world.map.set(2, world.value(20));
        world.map.set(3, world.value(30));
        let mine = world.map.get_or_create(&1, || world.value(11)).read();
        let theirs = other.join().unwrap();
        assert!(matches!((mine, theirs), (10 | 11, 10 | 11)));
        world.assert_alive(1);
    });
}
