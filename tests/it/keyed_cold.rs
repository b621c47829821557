//! Sixty-four threads on a thousand cold keys: a thousand creations, in each way of calling.
//!
//! ```breakages
//! a-key-is-made-beside-itself | src/keyed/shard.rs | by_threads
//! @ pub(super) fn insert
//! - if !entries.all(hash).all(|(_, entry, _)| is_known(&entry)) {
//! + if hash == 0 && !entries.all(hash).all(|(_, entry, _)| is_known(&entry)) {
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use dogpile::{Created, KeyedAttempt, KeyedDogpile, Outcome};

use crate::support::{MINUTE, within};

type Map = Arc<KeyedDogpile<u32, u32>>;

/// How often each key was created.
type Runs = Arc<Vec<AtomicUsize>>;

const KEYS: u32 = 1000;
const THREADS: u32 = 64;

/// Each thread asks for all keys, in an order of its own.
fn ask_all(ask: fn(&Map, u32, &Runs) -> u32) {
    within(move || {
        let map = Arc::new(KeyedDogpile::new(MINUTE));
        let runs: Vec<_> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
        let runs = Arc::new(runs);
        let start = Barrier::new(THREADS as usize);
        thread::scope(|threads| {
            for thread in 0..THREADS {
                let (map, runs, start) = (&map, &runs, &start);
                threads.spawn(move || {
                    start.wait();
                    // 7919 and 1000 have no divisor in common.
                    for step in 0..KEYS {
                        let key = (step * 7919 + thread * 131) % KEYS;
                        assert_eq!(ask(map, key, runs), key + 1);
                    }
                });
            }
        });
        let runs: Vec<_> = runs
            .iter()
            .map(|runs| runs.load(Ordering::SeqCst))
            .collect();
        assert!(runs.iter().all(|runs| *runs == 1), "{runs:?}");
        assert_eq!(map.len(), KEYS as usize);
    });
}

fn create(key: u32, runs: &[AtomicUsize]) -> u32 {
    runs[key as usize].fetch_add(1, Ordering::SeqCst);
    thread::yield_now();
    key + 1
}

fn try_create(key: u32, runs: &[AtomicUsize]) -> Result<u32, u8> {
    Ok(create(key, runs))
}

fn create_with(key: u32, runs: &[AtomicUsize]) -> Result<Created<u32>, u8> {
    Ok(Created::new(create(key, runs)))
}

fn create_several(wanted: &[&u32], runs: &[AtomicUsize]) -> Vec<(u32, u32)> {
    let one = |key: &&u32| (**key, create(**key, runs));
    wanted.iter().map(one).collect()
}

fn try_create_several(wanted: &[&u32], runs: &[AtomicUsize]) -> Vec<(u32, Result<u32, u8>)> {
    let made = create_several(wanted, runs).into_iter();
    made.map(|(key, value)| (key, Ok(value))).collect()
}

/// Some more, beside that one: of odd keys in the other order.
fn several(key: u32) -> Vec<u32> {
    let mut keys: Vec<u32> = (key..key + 7).map(|key| key % KEYS).collect();
    if key % 2 == 1 {
        keys[1..].reverse();
    }
    keys
}

/// A test for each way to ask.
macro_rules! ways {
    ($($name:ident: |$map:ident, $key:ident, $runs:ident| $ask:expr;)+) => {
        $(
            #[test]
            fn $name() {
                ask_all(|$map, $key, $runs| $ask);
            }
        )+
    };
}

mod by_threads {
    use super::*;

    ways! {
        get_or_create: |map, key, runs| *map.get_or_create(&key, || create(key, runs));
        get_or_try_create: |map, key, runs| {
            *map.get_or_try_create(&key, || try_create(key, runs)).unwrap()
        };
        get_or_try_create_with: |map, key, runs| {
            *map.get_or_try_create_with(&key, |_| create_with(key, runs)).unwrap()
        };
        call: |map, key, runs| {
            *map.call(&key).wait(MINUTE).get_or_create(|| create(key, runs)).unwrap()
        };
        attempt: |map, key, runs| loop {
            match map.attempt(&key) {
                KeyedAttempt::Hit(held) => break *held,
                KeyedAttempt::Lease(lease) => {
                    break *lease.publish(create(key, runs)).unwrap();
                }
                KeyedAttempt::Busy(busy) => match busy.wait() {
                    Outcome::Value(held) => break *held,
                    Outcome::ElectAnew => {}
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        get_or_create_multi: |map, key, runs| {
            let create = |wanted: &[&u32]| create_several(wanted, runs);
            **map.get_or_create_multi(&several(key), create)[0].as_ref().unwrap()
        };
        get_or_try_create_multi: |map, key, runs| {
            let create = |wanted: &[&u32]| Ok(try_create_several(wanted, runs));
            **map.get_or_try_create_multi(&several(key), create)[0].as_ref().unwrap()
        };
    }
}

/// Through a function of the keys, over a map that all threads share.
#[test]
fn of_a_function() {
    within(|| {
        let runs: Arc<Vec<_>> = Arc::new((0..KEYS).map(|_| AtomicUsize::new(0)).collect());
        let function = {
            let runs = Arc::clone(&runs);
            move |key: &u32| try_create(*key, &runs)
        };
        let function = KeyedDogpile::new(MINUTE).cached(function);
        thread::scope(|threads| {
            for thread in 0..THREADS {
                let function = &function;
                threads.spawn(move || {
                    for step in 0..KEYS {
                        let key = (step * 7919 + thread * 131) % KEYS;
                        assert_eq!(*function.call(&key).unwrap(), key + 1);
                    }
                });
            }
        });
        assert!(runs.iter().all(|runs| runs.load(Ordering::SeqCst) == 1));
    });
}

#[cfg(feature = "async")]
mod by_tasks {
    use super::*;
    use crate::tasks::block_on;

    ways! {
        get_or_create_async: |map, key, runs| {
            *block_on(map.get_or_create_async(&key, || async { create(key, runs) }))
        };
        get_or_try_create_async: |map, key, runs| {
            let call = map.get_or_try_create_async(&key, || async { try_create(key, runs) });
            *block_on(call).unwrap()
        };
        get_or_try_create_with_async: |map, key, runs| {
            let create = |_| async { create_with(key, runs) };
            *block_on(map.get_or_try_create_with_async(&key, create)).unwrap()
        };
        call_async: |map, key, runs| {
            let call = map.call(&key).get_or_create_async(|| async { create(key, runs) });
            *block_on(call).unwrap()
        };
        get_or_create_multi_async: |map, key, runs| {
            let create = |wanted: Vec<&u32>| std::future::ready(create_several(&wanted, runs));
            let keys = several(key);
            **block_on(map.get_or_create_multi_async(&keys, create))[0].as_ref().unwrap()
        };
        get_or_try_create_multi_async: |map, key, runs| {
            let create =
                |wanted: Vec<&u32>| std::future::ready(Ok(try_create_several(&wanted, runs)));
            let keys = several(key);
            **block_on(map.get_or_try_create_multi_async(&keys, create))[0].as_ref().unwrap()
        };
    }
}

#[cfg(feature = "async")]
mod in_the_background {
    use dogpile::executor::Thread;

    use super::*;
    use crate::tasks::block_on;

    ways! {
        get_or_create: |map, key, runs| {
            let runs = Arc::clone(runs);
            *map.background(&key, &Thread).get_or_create(move || create(key, &runs)).unwrap()
        };
        get_or_try_create: |map, key, runs| {
            let runs = Arc::clone(runs);
            let call = map.background(&key, &Thread);
            *call.get_or_try_create(move || try_create(key, &runs)).unwrap()
        };
        get_or_try_create_with: |map, key, runs| {
            let runs = Arc::clone(runs);
            let call = map.background(&key, &Thread);
            *call.get_or_try_create_with(move |_| create_with(key, &runs)).unwrap()
        };
        get_or_create_async: |map, key, runs| {
            let runs = Arc::clone(runs);
            let create = move || async move { create(key, &runs) };
            *block_on(map.background(&key, &Thread).get_or_create_async(create)).unwrap()
        };
        get_or_try_create_async: |map, key, runs| {
            let runs = Arc::clone(runs);
            let create = move || async move { try_create(key, &runs) };
            *block_on(map.background(&key, &Thread).get_or_try_create_async(create)).unwrap()
        };
        get_or_try_create_with_async: |map, key, runs| {
            let runs = Arc::clone(runs);
            let create = move |_| async move { create_with(key, &runs) };
            *block_on(map.background(&key, &Thread).get_or_try_create_with_async(create)).unwrap()
        };
    }
}
