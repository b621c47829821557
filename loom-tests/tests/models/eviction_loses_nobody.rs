//! `eviction_loses_nobody`: evicting a key ends no creation, wakes no waiter empty-handed, and lets no
//! second creator in.
//!
//! ```breakages
//! eviction-supersedes-who-creates | src/raw/keyed.rs
//! - let old = evicted.as_ref().map(|_| state.swap(None));
//! + let old = evicted.as_ref().map(|_| Self::empty(&mut state));
//!
//! who-evicts-is-no-visitor | src/keyed/shard.rs
//! @ fn give
//! - note.callers += 1;
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher};

use dogpile::{Dogpile, KeyedDogpile, KeyedGuard, Origin};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

type Map = KeyedDogpile<u32, usize, BuildHasherDefault<DefaultHasher>>;

fn room_for(entries: usize) -> Map {
    let map = Dogpile::builder(HOUR)
        .keyed()
        .hasher(BuildHasherDefault::default());
    map.max_entries(entries).build()
}

/// Two ask for a key, while others come and push it out: each gets a value that a creation made, and no
/// two creators run at once.
#[test]
fn of_a_key_that_is_created() {
    model(|| {
        let shared = Arc::new((room_for(1), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || *shared.0.get_or_create(&1, || shared.1.create()))
        };
        shared.0.set(2, 20);
        let mine = shared.0.get_or_create(&1, || shared.1.create());
        assert_ne!(KeyedGuard::origin(&mine), Origin::Superseded);
        shared.0.set(3, 30);
        let theirs = other.join().unwrap();
        let runs = shared.1.runs();
        assert!((1..=runs).contains(&mine) && (1..=runs).contains(&theirs));
        assert!(shared.0.len() <= 1);
    });
}

/// A stale value is pushed out while it is renewed: the renewal is published as ever.
#[test]
fn of_a_key_that_is_renewed() {
    model(|| {
        let map = Arc::new(room_for(1));
        map.set(1, 10);
        map.expire(&1);
        let renewed = map.get_or_create(&1, || {
            let other = {
                let map = Arc::clone(&map);
                thread::spawn(move || {
                    map.set(2, 20);
                    map.set(3, 30);
                })
            };
            other.join().unwrap();
            11
        });
        assert_eq!(
            (*renewed, KeyedGuard::origin(&renewed)),
            (11, Origin::CreatedHere)
        );
        drop(renewed);
        assert_eq!(map.len(), 1);
    });
}

/// A stale value is pushed out as somebody comes to renew it, and has found it already: the renewal is
/// published as ever.
#[test]
fn of_a_key_that_somebody_has_found() {
    model(|| {
        let map = Arc::new(room_for(1));
        map.set(1, 10);
        map.expire(&1);
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                map.set(2, 20);
                map.set(3, 30);
            })
        };
        let renewed = map.get_or_create(&1, || {
            other.join().unwrap();
            11
        });
        assert_eq!(
            (*renewed, KeyedGuard::origin(&renewed)),
            (11, Origin::CreatedHere)
        );
        drop(renewed);
        assert!(map.len() <= 1);
    });
}
