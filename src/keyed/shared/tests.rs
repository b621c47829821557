//! How keys are spread: over the shards, and over what a table looks at.

use std::collections::HashSet;

use super::*;
use crate::keyed::{KeyedAttempt, KeyedDogpile};
use crate::pile::{Builder, Dogpile};

fn builder() -> Builder<()> {
    Dogpile::builder(std::time::Duration::MAX)
}

/// Hashes of a hasher that leaves all but a few bits as they are: from the lowest bits to the highest.
fn hashes() -> impl Iterator<Item = Vec<u64>> {
    (0..=52).map(|shift| (0..4096).map(|number| number << shift).collect())
}

#[test]
fn no_two_hashes_become_one() {
    for hashes in hashes() {
        let spread: HashSet<u64> = hashes.iter().map(|&hash| spread(hash)).collect();
        assert_eq!(spread.len(), hashes.len());
    }
    // Nor do those that differ in bits far apart.
    let hashes = (0..4096).map(|number: u64| ((number >> 6) << 32) | (number & 63));
    let spread: HashSet<u64> = hashes.map(spread).collect();
    assert_eq!(spread.len(), 4096);
}

fn spread(hash: u64) -> u64 {
    Shared::<(), ()>::spread(hash)
}

/// The bits that a table begins with, those by which it tells keys apart there, and those of the shard.
#[test]
fn hashes_are_spread_over_all_bits_that_are_used() {
    for hashes in hashes() {
        for shift in [0, 57, 24] {
            let mut counts = [0; 64];
            for &hash in &hashes {
                counts[(spread(hash) >> shift) as usize & 63] += 1;
            }
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(least > Some(&0) && most < Some(&200), "{shift} {counts:?}");
        }
    }
}

#[test]
fn there_are_as_many_shards_as_keys_and_threads_need() {
    let shards = |keys| {
        let map: KeyedDogpile<u32, ()> = builder().keyed().max_entries(keys).build();
        map.shared.shards().len()
    };
    assert_eq!([0, 1, 255, 256, 511].map(shards), [1; 5]);
    assert_eq!([512, 767, 1024].map(shards), [2, 2, 4]);
    let map: KeyedDogpile<u32, ()> = builder().build_keyed();
    let most = map.shared.shards().len();
    assert_eq!(most, (4 * cores()).next_power_of_two());
    assert_eq!(shards(usize::MAX), most);
}

#[test]
fn keys_are_spread_over_the_shards() {
    let map: KeyedDogpile<u32, ()> = builder().build_keyed();
    let shards = map.shared.shards();
    for key in 0..100 * shards.len() as u32 {
        map.set(key, ());
    }
    for shard in shards {
        assert!((20..500).contains(&shard.lock().len()));
    }
}

/// Whichever way it is found. What was asked for before there was a value counts for nothing.
#[test]
fn a_key_that_is_found_was_asked_for() {
    let map: KeyedDogpile<u32, ()> = builder().build_keyed();
    let was_asked_for = |key: &u32| {
        let hash = map.hash(key);
        let entry = map.shared.shard(hash).lock().any(hash).unwrap();
        !entry.asked.forget()
    };
    map.set(1, ());
    assert!(!was_asked_for(&1));
    // Under the lock, then in the index.
    for _ in 0..2 {
        assert!(map.has_value(&1) && was_asked_for(&1));
    }
    assert!(map.call(&1).hit().is_some() && was_asked_for(&1));
    assert!(!was_asked_for(&1));
    let KeyedAttempt::Lease(lease) = map.attempt(&2) else {
        panic!("nobody creates it");
    };
    assert!(!map.has_value(&2) && was_asked_for(&2));
    assert!(!map.has_value(&2));
    drop(lease.publish(()));
    assert!(!was_asked_for(&2));
}
