//! `keys_do_not_wait`: the creation of one key delays no other key, though all share one lock.
//!
//! ```breakages
//! keys-of-one-hash-are-one | src/keyed/shared.rs
//! @ fn visit_or_others
//! - if first.key.borrow() == key && self.shard(hash).lock().visit(&first) {
//! + if self.shard(hash).lock().visit(&first) {
//!
//! a-key-is-made-twice | src/keyed/shard.rs
//! @ fn insert
//! - if !entries.all(hash).all(|(_, entry, _)| is_known(&entry)) {
//! + if false && !entries.all(hash).all(|(_, entry, _)| is_known(&entry)) {
//! ```

use std::hash::{BuildHasherDefault, Hasher};

use dogpile::{Dogpile, KeyedDogpile, KeyedGuard, Origin};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// Puts all keys in one place.
#[derive(Default)]
struct Alike;

impl Hasher for Alike {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

fn map() -> Arc<KeyedDogpile<u32, usize, BuildHasherDefault<Alike>>> {
    let map = Dogpile::builder(HOUR)
        .keyed()
        .hasher(BuildHasherDefault::default());
    Arc::new(map.build())
}

/// Whoever asks for another key while a creator runs, is done before that ends.
#[test]
fn for_the_creator_of_another() {
    model(|| {
        let map = map();
        let created = map.get_or_create(&1, || {
            let other = {
                let map = Arc::clone(&map);
                thread::spawn(move || {
                    assert_eq!(*map.get_or_create(&2, || 2), 2);
                    map.invalidate(&2);
                    assert!(map.peek(&2).is_none());
                })
            };
            other.join().unwrap();
            1
        });
        assert_eq!(KeyedGuard::origin(&created), Origin::CreatedHere);
    });
}

/// Two who come for a new key at once: one creator, and one entry.
#[test]
fn and_a_new_key_is_made_once() {
    model(|| {
        let shared = Arc::new((map(), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || *shared.0.get_or_create(&1, || shared.1.create()))
        };
        let mine = *shared.0.get_or_create(&1, || shared.1.create());
        assert_eq!((mine, other.join().unwrap()), (1, 1));
        assert_eq!(shared.0.len(), 1);
    });
}
