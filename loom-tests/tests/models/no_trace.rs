//! `no_trace`: a key without a value, and without anybody at it, is not in its map.
//!
//! ```breakages
//! nobody-takes-the-entry-out | src/keyed/shard.rs
//! - let is_of_no_use = note.callers == 0 && held.value.or(paced).is_none();
//! + let is_of_no_use = false && note.callers == 0 && held.value.or(paced).is_none();
//!
//! an-entry-is-taken-out-under-a-visitor | src/keyed/shard.rs
//! - let is_of_no_use = note.callers == 0 && held.value.or(paced).is_none();
//! + let is_of_no_use = held.value.is_none() && !held.is_leased;
//!
//! a-visit-is-not-counted | src/keyed/shard.rs
//! @ pub(super) fn visit(
//! - note.callers += 1;
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use dogpile::{Dogpile, KeyedDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// A key whose copies are counted.
struct Key(std::sync::Arc<AtomicUsize>);

impl Key {
    fn new(alive: &std::sync::Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(std::sync::Arc::clone(alive))
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartialEq for Key {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        7.hash(state);
    }
}

struct World {
    map: KeyedDogpile<Key, usize, BuildHasherDefault<DefaultHasher>>,
    alive: std::sync::Arc<AtomicUsize>,
    source: Source,
}

impl World {
    fn new() -> Arc<Self> {
        let map = Dogpile::builder(HOUR)
            .keyed()
            .hasher(BuildHasherDefault::default());
        Arc::new(Self {
            map: map.build(),
            alive: std::sync::Arc::default(),
            source: Source::new(),
        })
    }

    fn key(&self) -> Key {
        Key::new(&self.alive)
    }

    /// How many keys the map holds.
    fn traces(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    fn fail(&self) {
        let failed = self
            .map
            .get_or_try_create(&self.key(), || Err(self.source.create()));
        assert!(failed.is_err());
    }
}

/// Two creators fail, one after the other or one for both: then nothing is left.
#[test]
fn of_two_that_fail() {
    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.fail())
        };
        world.fail();
        other.join().unwrap();
        assert_eq!(world.traces(), 0);
    });
}

/// One creates, another removes: the key is there if its value is.
#[test]
fn of_one_that_is_removed() {
    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(
                    world
                        .map
                        .get_or_create(&world.key(), || world.source.create()),
                );
            })
        };
        drop(world.map.remove(&world.key()));
        world.map.invalidate_all();
        other.join().unwrap();
        let has_value = world.map.peek(&world.key()).is_some();
        assert_eq!(world.traces(), usize::from(has_value));
        assert_eq!(world.map.len(), usize::from(has_value));
        world.map.invalidate_all();
        assert_eq!(world.traces(), 0);
    });
}
