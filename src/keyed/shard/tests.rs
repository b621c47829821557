//! Who is given away, what is swept, and how much memory a table keeps: on maps of one shard.

use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::answer::Lease;
use crate::keyed::{KeyedAttempt, KeyedDogpile, KeyedGuard};
use crate::pile::{Builder, Dogpile};
use crate::policy::{Accept, Backoff};
use crate::shim::Arc;
use crate::time::ManualClock;

const MINUTE: Duration = Duration::from_secs(60);

/// A key is its own hash: what happens is the same each time.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers")
    }

    fn write_u32(&mut self, key: u32) {
        self.0 = key.into();
    }
}

type Map = KeyedDogpile<u32, u32, BuildHasherDefault<Same>>;

/// A map of one shard that holds so many keys.
fn map(entries: usize) -> Map {
    let map = Dogpile::builder(MINUTE).keyed().max_entries(entries);
    map.hasher(BuildHasherDefault::default()).build()
}

/// A map of one shard whose values are their own weights.
fn weighed(builder: Builder<u32>, weight: u64) -> Map {
    let map = builder.keyed().max_entries(500);
    let map = map.max_weight(weight, |_, weight: &u32| *weight);
    map.hasher(BuildHasherDefault::default()).build()
}

/// A map whose values are gone after a minute.
fn mortal(weight: u64) -> (Arc<ManualClock>, Map) {
    let clock = Arc::new(ManualClock::new());
    let builder = Dogpile::builder(MINUTE).stale_while_revalidate(Duration::ZERO);
    let map = weighed(builder.clock(Arc::<ManualClock>::clone(&clock)), weight);
    (clock, map)
}

/// The keys that are there.
fn keys(map: &Map) -> Vec<u32> {
    let mut keys: Vec<u32> = map.iter().map(|held| *KeyedGuard::key(&held)).collect();
    keys.sort_unstable();
    keys
}

/// How many places the table has.
fn places(map: &Map) -> usize {
    assert_eq!(map.shared.shards().len(), 1);
    map.shared.shards()[0].lock().0.entries().places()
}

/// How many keys stand on the ring of the young, and for how many it has room.
fn young(map: &Map) -> (usize, usize) {
    let shard = map.shared.shards()[0].lock();
    let queue = shard.0.queue.as_ref().unwrap();
    (queue.young(), queue.room())
}

/// Asks for a key as often as counts.
fn ask(map: &Map, key: u32) {
    for _ in 0..3 {
        assert!(map.peek(&key).is_some());
    }
}

/// The lease of a key, whose holder is at the entry.
fn lease(map: &Map, key: u32) -> Lease<'_, u32> {
    match map.call(&key).accept(Accept::New).attempt() {
        KeyedAttempt::Lease(lease) => lease,
        _ => panic!("the lease of {key} is free"),
    }
}

/// A map of four keys, none of which is young: each has come back.
fn map_of_old() -> Map {
    let map = map(4);
    for key in [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2] {
        map.set(key, key);
    }
    map.invalidate(&7);
    map.set(3, 3);
    assert_eq!(keys(&map), [0, 1, 2, 3]);
    map
}

#[test]
fn of_new_keys_the_one_goes_that_came_first() {
    let map = map(4);
    for key in 0..8 {
        map.set(key, key);
        assert_eq!(keys(&map), Vec::from_iter(key.saturating_sub(3)..=key));
    }
}

#[test]
fn a_key_that_comes_back_stays_while_there_are_new_ones() {
    let map = map(4);
    for key in 0..5 {
        map.set(key, key);
    }
    map.set(0, 0);
    for key in 10..30 {
        map.set(key, key);
    }
    assert_eq!(keys(&map), [0, 27, 28, 29]);
}

/// A visit that brings nothing makes nobody new, and forgets not how often it was asked for.
#[test]
fn who_was_asked_for_stays_while_there_are_new_ones() {
    let map = map(4);
    for key in 0..4 {
        map.set(key, key);
    }
    ask(&map, 0);
    map.expire(&0);
    for key in 10..30 {
        map.set(key, key);
    }
    assert_eq!(keys(&map), [0, 27, 28, 29]);
}

/// However often all others were asked for, a new key finds a place.
#[test]
fn one_goes_also_if_all_were_asked_for() {
    let map = map_of_old();
    for key in 0..4 {
        ask(&map, key);
    }
    map.set(8, 8);
    let kept = keys(&map);
    assert!(kept.len() == 4 && kept.contains(&8), "{kept:?}");
}

#[test]
fn who_was_asked_for_more_often_is_spared_more_often() {
    let map = map_of_old();
    ask(&map, 2);
    for key in [0, 1, 3] {
        assert!(map.peek(&key).is_some());
    }
    // Of those who come back, nobody is young.
    for key in [4, 5, 6] {
        map.set(key, key);
    }
    assert!(map.has_value(&2));
}

/// Sixty keys that are leased, and three new ones: `act` goes on with a map in which there is room for
/// nothing more.
fn of_three_free(act: impl FnOnce(&Map, Vec<Lease<'_, u32>>)) {
    let map = weighed(Dogpile::builder(MINUTE), 63);
    for key in 0..63 {
        map.set(key, 1);
    }
    let leases = (0..60).map(|key| lease(&map, key)).collect();
    act(&map, leases);
}

#[test]
fn of_new_keys_alone_the_one_goes_that_nobody_asked_for() {
    of_three_free(|map, leases| {
        ask(map, 60);
        ask(map, 61);
        map.set(0, 2);
        assert_eq!(keys(map), Vec::from_iter(0..62));
        // Then the one that was spared first.
        map.set(0, 3);
        assert_eq!(keys(map), (0..60).chain([61]).collect::<Vec<_>>());
        assert_eq!(map.weight(), 63);
        drop(leases);
    });
}

#[test]
fn nobody_goes_at_whom_somebody_is() {
    of_three_free(|map, leases| {
        let other = [lease(map, 60), lease(map, 61)];
        ask(map, 62);
        map.set(0, 2);
        assert_eq!(keys(map), Vec::from_iter(0..62));
        // There is nobody left to go.
        map.set(0, 3);
        assert_eq!((keys(map), map.weight()), (Vec::from_iter(0..62), 64));
        drop((leases, other));
        map.set(0, 2);
        assert!(map.weight() <= 63);
    });
}

/// The number of keys that only a back-off is remembered of is counted down again.
#[test]
fn a_key_with_a_value_is_paced_no_more() {
    let builder = Dogpile::builder(MINUTE).backoff(Backoff::constant(MINUTE));
    let map = weighed(builder, 63);
    for _ in 0..3 {
        assert!(map.get_or_try_create(&1, || Err::<u32, _>("down")).is_err());
        assert_eq!((map.len(), map.weight()), (0, 1));
        map.set(1, 5);
        assert_eq!((map.len(), map.weight()), (1, 5));
        map.invalidate(&1);
    }
}

#[test]
fn a_back_off_that_is_over_is_swept_as_a_value_comes() {
    let clock = Arc::new(ManualClock::new());
    let builder = Dogpile::builder(MINUTE).backoff(Backoff::constant(MINUTE));
    let map = weighed(builder.clock(Arc::<ManualClock>::clone(&clock)), 200);
    for key in 0..50 {
        assert!(
            map.get_or_try_create(&key, || Err::<u32, _>("down"))
                .is_err()
        );
    }
    assert_eq!((map.len(), map.weight()), (0, 50));
    clock.advance(2 * MINUTE);
    for _ in 0..100 {
        map.set(1000, 3);
    }
    assert_eq!((map.len(), map.weight()), (1, 3));
}

#[test]
fn what_is_gone_is_swept_as_another_comes() {
    let (clock, map) = mortal(200);
    for key in 0..100 {
        map.set(key, 1);
    }
    // In the very second from which it is.
    clock.advance(MINUTE + Duration::from_nanos(1));
    let held = lease(&map, 7);
    for _ in 0..100 {
        map.set(1000, 3);
        // What is not needed any more is given back at once.
        assert!(places(&map) <= 16 || places(&map) <= 8 * map.len());
    }
    // Not where somebody is.
    assert_eq!((map.len(), map.weight()), (2, 4));
    drop(held);
    assert!(places(&map) <= 16, "{}", places(&map));
    for _ in 0..100 {
        map.set(1000, 3);
    }
    assert_eq!((map.len(), map.weight()), (1, 3));
}

#[test]
fn who_came_and_went_is_forgotten_when_another_goes() {
    let map = map(4);
    map.set(0, 0);
    for key in 1..100 {
        map.set(key, key);
        map.invalidate(&key);
    }
    for key in 100..104 {
        map.set(key, key);
    }
    assert_eq!(keys(&map), [100, 101, 102, 103]);
    assert!(young(&map).0 < 50);
}

/// While there is room for all, so that nobody is chosen.
#[test]
fn who_came_and_went_is_forgotten_when_another_comes() {
    let map = map(400);
    for key in 0..200 {
        map.set(key, key);
    }
    (1..200).for_each(|key| map.invalidate(&key));
    for key in 200..1000 {
        map.set(key, key);
        map.invalidate(&key);
    }
    assert_eq!(keys(&map), [0]);
    let (young, room) = young(&map);
    assert!(young < 50, "{young} young");
    assert!(room < 50, "room for {room}");
}

/// Nor is one whose key is visited on.
#[test]
fn whose_value_went_is_forgotten_when_another_comes() {
    for goes in [Map::invalidate_all, |map: &Map| {
        (0..200).for_each(|key| map.invalidate(&key));
    }] {
        let map = map(400);
        for key in 0..200 {
            map.set(key, key);
        }
        let leases: Vec<_> = (0..200).map(|key| lease(&map, key)).collect();
        goes(&map);
        for key in 0..3 {
            map.set(key, key);
            assert!(young(&map).0 <= 3);
        }
        drop(leases);
        assert_eq!(keys(&map), [0, 1, 2]);
    }
    // So is one who was given away for the room, while somebody kept the value.
    let map = map(1);
    let mut held = Vec::new();
    for key in 0..50 {
        map.set(key, key);
        held.push(KeyedGuard::to_owned(&map.peek(&key).unwrap()));
    }
    assert_eq!(map.len(), 1);
    assert!(young(&map).0 < 20);
}

/// Nobody is remembered of a shard that has no key.
#[test]
fn the_queue_goes_with_the_last_key() {
    let map = map(400);
    for key in 0..30 {
        map.set(key, key);
    }
    (0..30).for_each(|key| map.invalidate(&key));
    assert_eq!(young(&map), (0, 0));
}

#[test]
fn a_table_that_is_empty_takes_no_memory() {
    for keys in [1, 3, 100] {
        let map = map(500);
        for key in 0..keys {
            map.set(key, key);
        }
        assert!(places(&map) >= keys as usize);
        for key in 0..keys {
            map.invalidate(&key);
        }
        assert_eq!(places(&map), 0);
    }
}

/// The memory is not given back and taken again with each key that goes and comes.
#[test]
fn a_table_keeps_its_memory_while_an_eighth_of_it_is_used() {
    let map = map(500);
    for key in 0..400 {
        map.set(key, key);
    }
    let most = places(&map);
    for key in 64..400 {
        map.invalidate(&key);
    }
    assert_eq!(places(&map), most);
    map.invalidate(&63);
    assert!(places(&map) < most / 3);
    let few = self::map(500);
    for key in 0..10 {
        few.set(key, key);
    }
    let most = places(&few);
    for key in 1..10 {
        few.invalidate(&key);
    }
    assert_eq!(places(&few), most);
}

#[test]
fn memory_is_given_back_however_keys_go() {
    let ways: [fn(&ManualClock, &Map); 3] = [
        // By themselves, as another comes.
        |clock, map| {
            clock.advance(2 * MINUTE);
            for _ in 0..400 {
                map.set(1000, 1);
            }
        },
        // To make room.
        |_, map| map.set(1000, 490),
        |clock, map| {
            clock.advance(2 * MINUTE);
            for key in 0..40 {
                map.set(key, 1);
            }
            map.purge();
        },
    ];
    for way in ways {
        let (clock, map) = mortal(500);
        for key in 0..400 {
            map.set(key, 1);
        }
        let most = places(&map);
        way(&clock, &map);
        let (keys, room) = (map.len(), places(&map));
        assert!(keys <= 40 && room < most / 3, "{room} for {keys}");
        // There is room for as many again.
        assert!(room >= 2 * keys, "{room} for {keys}");
    }
}
