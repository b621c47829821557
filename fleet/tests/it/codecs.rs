//! The codecs that features bring. Their values are records of their own.

#![cfg(all(feature = "serde-json", feature = "postcard"))]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dogpile_fleet::{Codec, FleetDogpile, Json, MemoryStore, Postcard};

type Map = BTreeMap<String, Vec<u32>>;

fn map() -> Map {
    [("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![])].into()
}

fn comes_back<C: Codec<Map> + Copy>(codec: C, store: &Arc<MemoryStore>) {
    let build = || {
        FleetDogpile::builder(Arc::clone(store), "map", Duration::from_secs(60))
            .codec(codec)
            .build()
    };
    let (a, b) = (build(), build());
    let made = a.get_or_try_create(|_| Ok::<_, String>(map())).unwrap();
    assert_eq!(*made, map());
    let read = b.get_or_try_create(|_| Err::<Map, _>("not run")).unwrap();
    assert_eq!(*read, map());
    assert!(codec.decode(b"\xff garbled".to_vec()).is_err());
}

#[test]
fn values_come_back_and_formats_are_apart() {
    let store = Arc::new(MemoryStore::new());
    comes_back(Json, &store);
    comes_back(Postcard, &store);
    assert_eq!(store.records(), 2);
}

#[test]
fn a_value_without_bytes_is_this_process_s_alone() {
    // JSON has no maps whose keys are lists.
    type Odd = BTreeMap<Vec<u8>, u8>;
    let store = Arc::new(MemoryStore::new());
    let pile = FleetDogpile::builder(Arc::clone(&store), "odd", Duration::from_secs(60))
        .codec(Json)
        .build();
    let odd: Odd = [(vec![1], 1)].into();
    let made = pile
        .get_or_try_create(|_| Ok::<_, String>(odd.clone()))
        .unwrap();
    assert_eq!(*made, odd);
    assert_eq!((pile.stats().unstored, pile.stats().unreadable), (1, 1));
    assert!(pile.set(odd).is_err());
    // The lease was given back.
    let there = FleetDogpile::<Odd, _>::builder(store, "odd", Duration::from_secs(60));
    let there = there.codec(Json).build();
    assert!(
        there
            .get_or_try_create(|_| Ok::<_, String>(Odd::new()))
            .unwrap()
            .is_empty()
    );
}
