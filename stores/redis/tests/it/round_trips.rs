//! How often the server is asked: for a hit never, for a value that another process made once, for a
//! regeneration twice.

use dogpile_fleet::{Ask, Depth, Found, Guarded, Key, Owner, Store};
use dogpile_redis::Settings;
use store_bench::{MINUTE, Process, TTL, put};

use crate::bench::{Clock, settings};
use crate::server::{Server, server};

/// All that a store sends is scripts.
fn trips(server: &Server) -> u64 {
    let (by_name, in_full) = server.scripts();
    assert_eq!(in_full, 0, "the server knows them");
    by_name
}

#[test]
fn hit_0_value_of_another_process_1_regeneration_2() {
    let server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store_with(settings())),
        Process::new(&clock.here, server.store_with(settings())),
    );
    // Each script is sent in full once.
    assert_eq!((a.call(1), b.has()), (1, 1));
    clock.pass(&server, TTL * 2);
    a.pile.set(1).unwrap();
    a.pile.invalidate().unwrap();
    assert!(b.pile.refresh(|_| Err::<u64, _>("no".to_owned())).is_err());
    clock.pass(&server, TTL * 20);
    server.scripts();

    assert_eq!(a.call(2), 2);
    assert_eq!(trips(&server), 2, "a regeneration");
    assert_eq!(b.has(), 2);
    assert_eq!(trips(&server), 1, "a value that another process made");
    for _ in 0..100 {
        assert_eq!((a.has(), b.has()), (2, 2));
    }
    assert_eq!(trips(&server), 0, "hits");
    a.pile.set(3).unwrap();
    assert_eq!(trips(&server), 1, "a write");
    a.pile.invalidate().unwrap();
    assert_eq!(trips(&server), 1, "an invalidation");
    let failed = b.pile.refresh(|_| Err::<u64, _>("no".to_owned()));
    assert!(failed.is_err());
    assert_eq!(
        trips(&server),
        3,
        "a look at what runs already, a lease, and its release"
    );
}

#[test]
fn many_records_are_one_round_trip_for_each_hundred_of_a_slot() {
    let server = server!();
    let store = server.store();
    let keys: Vec<_> = (0..250u8)
        .map(|number| Key::new("many", [number], 0))
        .collect();
    for key in &keys[..100] {
        store.put(key, &put(Guarded::Any, key.as_bytes())).unwrap();
    }
    let ask = |owner| Ask::lead(owner, MINUTE);
    let asks: Vec<_> = keys
        .iter()
        .map(|key| (key.clone(), ask(Owner::draw())))
        .collect();
    store.get_or_lease(&keys[0], &Ask::peek()).unwrap();
    server.scripts();
    let found = store.get_or_lease_many(&asks);
    assert_eq!(trips(&server), 3);
    for (number, (key, found)) in keys.iter().zip(found).enumerate() {
        match found.unwrap() {
            Found::Fresh(found) if number < 100 => {
                assert_eq!(found.bytes.as_deref(), Some(key.as_bytes()));
            }
            Found::Leased { .. } if number >= 100 => {}
            other => panic!("{number}: {other:?}"),
        }
    }
}

#[test]
fn a_namespace_is_invalidated_in_one_round_trip_for_each_slice() {
    let server = server!();
    for slices in [1, 7] {
        let store = server.store_with(Settings::new().slices(slices));
        store.invalidate_all("many", Depth::Soft).unwrap();
        server.scripts();
        store.invalidate_all("many", Depth::Soft).unwrap();
        assert_eq!(trips(&server), u64::from(slices));
    }
}
