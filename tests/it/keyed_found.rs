//! What a hit that took no lock keeps alive, and for how long: `dropped_once_and_soon` and
//! `guard_keeps_value` of keys that were found before.
//!
//! ```breakages
//! a-value-goes-with-its-key | src/keyed/shared.rs | dropped_once_and_soon::no_value_longer_than_its_guards
//! @ fn retire
//! - if Arc::strong_count(&entry) > 1 {
//! + if Arc::strong_count(&entry) > 1000 {
//!
//! nobody-settles-what-is-taken-out | src/keyed/shared.rs | dropped_once_and_soon::no_key_longer_than_its_guards
//! - self.settle(entry.hash);
//! ```

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dogpile::executor::Thread;
use dogpile::{Dogpile, KeyedAttempt, KeyedDogpile, KeyedGuard, KeyedOwned};

use crate::tasks::block_on;

/// A key and a value that say whether they are alive.
#[derive(Clone)]
struct Counted(u64, #[allow(dead_code)] Arc<()>);

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

struct Counts {
    keys: Arc<()>,
    values: Arc<()>,
}

type Map = KeyedDogpile<Counted, Counted>;

impl Counts {
    fn new() -> Self {
        Self {
            keys: Arc::new(()),
            values: Arc::new(()),
        }
    }

    fn key(&self, key: u64) -> Counted {
        Counted(key, Arc::clone(&self.keys))
    }

    fn set(&self, map: &Map, key: u64, value: u64) {
        map.set(self.key(key), Counted(value, Arc::clone(&self.values)));
    }

    /// Found under the lock first, and then without it.
    fn find<'a>(&self, map: &'a Map, key: u64) -> KeyedGuard<'a, Counted, Counted> {
        drop(map.peek(&self.key(key)).unwrap());
        map.peek(&self.key(key)).unwrap()
    }

    fn alive(&self) -> (usize, usize) {
        (
            Arc::strong_count(&self.keys) - 1,
            Arc::strong_count(&self.values) - 1,
        )
    }
}

fn map() -> Map {
    KeyedDogpile::new(Duration::from_secs(60))
}

/// A call that finds the value of a key.
type Form = for<'a> fn(&'a Map, &Counted) -> KeyedGuard<'a, Counted, Counted>;

fn never<R>() -> R {
    unreachable!("it is there")
}

/// All forms of a call of a map that may find a key without a lock.
const FORMS: [(&str, Form); 12] = [
    ("peek", |map, key| map.peek(key).unwrap()),
    ("a hit", |map, key| map.call(key).hit().unwrap()),
    ("a thread", |map, key| map.get_or_create(key, never)),
    ("a thread that may fail", |map, key| {
        map.get_or_try_create(key, never::<Result<_, ()>>).unwrap()
    }),
    ("an attempt", |map, key| match map.attempt(key) {
        KeyedAttempt::Hit(held) => held,
        _ => never(),
    }),
    ("a wait", |map, key| map.wait_for_value(key)),
    ("a task", |map, key| {
        block_on(map.get_or_create_async(key, async || never()))
    }),
    ("a wait of a task", |map, key| {
        block_on(map.wait_for_value_async(key))
    }),
    ("in the background", |map, key| {
        map.background(key, &Thread).get_or_create(never).unwrap()
    }),
    ("several keys", |map, key| {
        let mut all = map.get_or_create_multi([key], |_| never::<[(Counted, Counted); 0]>());
        all.pop().unwrap().unwrap()
    }),
    ("several keys of a task", |map, key| {
        let create = async |_: Vec<&Counted>| never::<[(Counted, Counted); 0]>();
        let mut all = block_on(map.get_or_create_multi_async([key], create));
        all.pop().unwrap().unwrap()
    }),
    ("several keys in the background", |map, key| {
        let create = |_: Vec<Counted>| never::<[(Counted, Counted); 0]>();
        let mut all = map.background_multi([key], &Thread).get_or_create(create);
        all.pop().unwrap().unwrap()
    }),
];

mod dropped_once_and_soon {
    use super::*;

    #[test]
    fn no_key_longer_than_its_guards() {
        let (counts, map) = (Counts::new(), map());
        for (form, find) in FORMS {
            for remove in [
                |map: &Map, key: &Counted| drop(map.remove(key)),
                |map: &Map, key: &Counted| map.invalidate(key),
                |map: &Map, _: &Counted| map.invalidate_all(),
            ] {
                counts.set(&map, 1, 10);
                drop(counts.find(&map, 1));
                let held = find(&map, &counts.key(1));
                remove(&map, &counts.key(1));
                assert!(map.peek(&counts.key(1)).is_none());
                assert_eq!(counts.alive(), (1, 1), "{form}");
                assert_eq!((KeyedGuard::key(&held).0, held.0), (1, 10));
                drop(held);
                assert_eq!(counts.alive(), (0, 0), "{form}");
            }
        }
    }

    /// Of two values of a key, the one that is not read goes, also if the key is read.
    #[test]
    fn no_value_longer_than_its_guards() {
        let (counts, map) = (Counts::new(), map());
        counts.set(&map, 1, 10);
        let held = counts.find(&map, 1);
        counts.set(&map, 1, 11);
        assert_eq!(counts.alive(), (1, 2));
        map.invalidate_all();
        assert_eq!(counts.alive(), (1, 1));
        assert_eq!(held.0, 10);
        drop(held);
        assert_eq!(counts.alive(), (0, 0));
    }

    #[test]
    fn where_a_guard_is_dropped_elsewhere() {
        let (counts, map) = (Counts::new(), map());
        counts.set(&map, 1, 10);
        let held = counts.find(&map, 1);
        map.invalidate(&counts.key(1));
        thread::scope(|scope| {
            scope.spawn(move || assert_eq!(held.0, 10));
        });
        assert_eq!(counts.alive(), (0, 0));
    }

    /// More guards than a thread has slots, of keys that come and go.
    #[test]
    fn of_many_guards() {
        let (counts, map) = (Counts::new(), map());
        let mut held = Vec::new();
        for key in 0..1000 {
            counts.set(&map, key, key);
            held.push(counts.find(&map, key));
        }
        map.invalidate_all();
        assert_eq!(counts.alive(), (1000, 1000));
        for (key, one) in held.iter().enumerate() {
            assert_eq!((KeyedGuard::key(one).0, one.0), (key as u64, key as u64));
        }
        while let Some(one) = held.pop() {
            drop(one);
            assert_eq!(counts.alive(), (held.len(), held.len()));
        }
    }

    #[test]
    fn where_a_bound_makes_room() {
        let counts = Counts::new();
        let map = Dogpile::builder(Duration::from_secs(60))
            .keyed()
            .max_entries(10)
            .build();
        for (form, find) in FORMS {
            counts.set(&map, 0, 0);
            drop(counts.find(&map, 0));
            let held = find(&map, &counts.key(0));
            for key in 1..200 {
                counts.set(&map, key, key);
                drop(find(&map, &counts.key(key)));
                drop(find(&map, &counts.key(key)));
            }
            assert_eq!(held.0, 0);
            drop(held);
            assert_eq!(counts.alive(), (map.len(), map.len()), "{form}");
            map.invalidate_all();
            assert_eq!(counts.alive(), (0, 0), "{form}");
        }
    }

    #[test]
    fn kept_beyond_the_map() {
        let (counts, map) = (Counts::new(), map());
        counts.set(&map, 1, 10);
        let owned = KeyedGuard::to_owned(&counts.find(&map, 1));
        let guard = KeyedGuard::into_guard(counts.find(&map, 1));
        map.invalidate(&counts.key(1));
        assert_eq!(guard.0, 10);
        drop(guard);
        drop(map);
        assert_eq!(counts.alive(), (1, 1));
        assert_eq!((KeyedOwned::key(&owned).0, owned.0), (1, 10));
        drop(owned);
        assert_eq!(counts.alive(), (0, 0));
    }
}

/// Some find what others set and remove: nobody sees what is of another key, and nothing is left.
#[test]
fn guard_keeps_value_while_keys_come_and_go() {
    let (counts, map) = (Counts::new(), map());
    let (keys, rounds) = (8, 2000);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (counts, map) = (&counts, &map);
            scope.spawn(move || {
                for round in 0..rounds {
                    let key = (round * 7 + thread) % keys;
                    counts.set(map, key, key + keys * round);
                    map.invalidate(&counts.key((key + 3) % keys));
                }
            });
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..rounds * 4 {
                    if let Some(one) = map.peek(&counts.key(round % keys)) {
                        assert_eq!(one.0 % keys, KeyedGuard::key(&one).0);
                        held.push(one);
                    }
                    held.truncate(held.len() % 5);
                }
            });
        }
    });
    map.invalidate_all();
    assert_eq!(counts.alive(), (0, 0));
}
