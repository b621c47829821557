//! `creation_rate`: so many creations of a map begin in a span, and nobody is refused who could wait for
//! one of them.
//!
//! ```breakages
//! what-is-taken-from-the-rate-stays | src/policy/rate.rs
//! @ fn take
//! - self.take_any(now);
//!
//! whoever-comes-late-finds-it-full | src/policy/rate.rs
//! - if lacks > self.empty().saturating_mul(2) {
//! -     self.full_at = now.saturating_add(self.empty());
//! -     return self.empty();
//! + if lacks > self.empty() {
//! +     return Duration::ZERO;
//!
//! who-could-wait-is-refused-for-it | src/raw/lease.rs
//! - let refused = match (decide(usable, availability), look.rate) {
//! + let refused = match (Decision::Elect, look.rate) {
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher};

use dogpile::{Dogpile, Error, KeyedDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

struct World {
    map: KeyedDogpile<u32, usize, BuildHasherDefault<DefaultHasher>>,
    source: Source,
}

impl World {
    /// One creation in an hour.
    fn new() -> Arc<Self> {
        let map = Dogpile::builder(HOUR)
            .keyed()
            .hasher(BuildHasherDefault::default());
        Arc::new(Self {
            map: map.creation_rate(1, HOUR).build(),
            source: Source::new(),
        })
    }

    /// Whether there is a value; else it was refused.
    fn has(&self, key: u32) -> bool {
        let create = || Ok::<_, u8>(self.source.create());
        match self.map.get_or_try_create(&key, create) {
            Ok(_) => true,
            Err(error @ Error::BackingOff { .. }) if error.is_over_rate() => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether this thread has a value of the one key, and another of the other.
    fn both_have(here: &Arc<Self>, one: u32, other: u32) -> [bool; 2] {
        let there = Arc::clone(here);
        let there = thread::spawn(move || there.has(other));
        [here.has(one), there.join().unwrap()]
    }
}

#[test]
fn of_two_keys_one_is_created() {
    model(|| {
        let world = World::new();
        let had = World::both_have(&world, 1, 2);
        assert!(had == [true, false] || had == [false, true]);
        assert_eq!(world.source.runs(), 1);
    });
}

#[test]
fn and_of_one_key_nobody_is_refused() {
    model(|| {
        let world = World::new();
        assert_eq!(World::both_have(&world, 1, 1), [true, true]);
        assert_eq!(world.source.runs(), 1);
    });
}
