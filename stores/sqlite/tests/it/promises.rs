//! What a fleet is promised: how often the file is asked, who waits for whom, and that nothing older comes
//! over something newer.

use std::sync::Arc;

use dogpile_fleet::{
    Ask, Blocking, Depth, FleetDogpile, Found, Guarded, Key, Owner, Placed, Store, Version,
};
use store_bench::{MINUTE, Process, SECOND, TTL, held, lead, put};

use crate::bench::File;

fn key() -> Key {
    Key::new("promises", "key", 0)
}

#[test]
fn hit_0_value_of_another_process_1_regeneration_2() {
    let file = File::new();
    let (a, b) = (file.process(), file.process());
    let asked = |process: &Process<_>| process.pile.stats().verbs;
    assert_eq!((a.call(1), asked(&a)), (1, 2), "a regeneration");
    assert_eq!((b.has(), asked(&b)), (1, 1), "a value of another process");
    for _ in 0..100 {
        assert_eq!((a.has(), b.has()), (1, 1));
    }
    assert_eq!((asked(&a), asked(&b)), (2, 1), "hits");
}

/// Were a look or a fresh value to take the lock, it would not be had while another holds it.
#[test]
fn readers_take_no_lock() {
    let file = File::new();
    let store = file.builder().timeout(SECOND / 10).open().unwrap();
    store.put(&key(), &put(Guarded::Any, b"1")).unwrap();
    let old = Key::new("promises", "old", 0);
    store.put(&old, &put(Guarded::Any, b"old")).unwrap();
    let led = Key::new("promises", "led", 0);
    lead(&store, &led, MINUTE);
    let writer = file.operator();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(held(&store, &key()).unwrap(), b"1");
    let ask = || Ask::lead(Owner::draw(), MINUTE);
    let fresh = store.get_or_lease(&key(), &ask()).unwrap();
    assert!(matches!(fresh, Found::Fresh(_)), "{fresh:?}");
    let busy = store.get_or_lease(&led, &ask()).unwrap();
    assert!(matches!(busy, Found::Busy { .. }), "{busy:?}");
    let many = [(key(), ask()), (led, ask()), (key(), Ask::peek())];
    let many = store.get_or_lease_many(&many);
    assert!(
        matches!(
            &many[..],
            [
                Ok(Found::Fresh(_)),
                Ok(Found::Busy { .. }),
                Ok(Found::Fresh(_))
            ]
        ),
        "{many:?}"
    );
    // A write does.
    store.put(&key(), &put(Guarded::Any, b"2")).unwrap_err();
    writer.execute_batch("COMMIT").unwrap();
    store.put(&key(), &put(Guarded::Any, b"2")).unwrap();
    assert_eq!(held(&store, &key()).unwrap(), b"2");
}

#[test]
fn whoever_comes_late_overwrites_nothing() {
    let file = File::new();
    let store = file.store();
    let late = lead(&*store, &key(), SECOND);
    file.pass(SECOND * 2);
    let next = lead(&*store, &key(), SECOND);
    let commit = |grant, bytes| {
        store
            .put(&key(), &put(Guarded::Lease(grant), bytes))
            .unwrap()
    };
    assert_eq!(commit(late, b"late"), Placed::Refused(Version::NONE));
    assert_eq!(commit(next, b"new"), Placed::Stored(next.fence));
    assert_eq!(commit(late, b"late"), Placed::Refused(next.fence));
    assert_eq!(held(&*store, &key()).unwrap(), b"new");
}

#[test]
fn a_creator_that_another_process_overtakes_keeps_its_value_to_itself() {
    let file = File::new();
    let (a, b) = (file.process(), file.process());
    let made = a.pile.get_or_try_create(|creation| {
        assert!(creation.fence().is_some());
        b.pile.set(2).unwrap();
        Ok::<_, String>(1)
    });
    assert_eq!(*made.expect("a value"), 1);
    assert_eq!(a.pile.stats().superseded, 1);
    assert_eq!((a.has(), b.has()), (2, 2));
}

#[test]
fn invalidated_in_one_process_is_gone_in_each_that_asks() {
    let file = File::new();
    let (a, b) = (file.process(), file.process());
    assert_eq!((a.call(1), b.has()), (1, 1));
    a.pile.invalidate().unwrap();
    file.pass(TTL * 2);
    assert_eq!((b.call(2), a.has()), (2, 2));
}

#[test]
fn records_that_are_over_are_removed_by_those_that_come() {
    let file = File::new();
    let store = file.store();
    let records = || -> i64 {
        let count =
            "SELECT (SELECT count(*) FROM dogpile_records) + (SELECT count(*) FROM dogpile_values)";
        file.operator()
            .query_row(count, [], |row| row.get(0))
            .unwrap()
    };
    let write = |number: u32| {
        let key = Key::new("promises", number.to_be_bytes(), 0);
        store.put(&key, &put(Guarded::Any, b"x")).unwrap();
    };
    (0..100).for_each(write);
    assert_eq!(records(), 200);
    file.pass(MINUTE * 60);
    (100..150).for_each(write);
    assert_eq!(records(), 100, "the old ones are gone");
}

#[test]
fn a_renewal_does_not_write_the_value_again() {
    let file = File::new();
    let store = file.store();
    let bytes = vec![7; 1 << 20];
    store.put(&key(), &put(Guarded::Any, &bytes)).unwrap();
    store
        .invalidate(&key(), Depth::Soft, Version::NONE)
        .unwrap();
    file.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let grant = lead(&*store, &key(), MINUTE);
    for _ in 0..10 {
        assert!(store.renew(&key(), grant, MINUTE).unwrap());
    }
    let log = std::fs::metadata(&file.files()[1]).unwrap().len();
    assert!(log < 1 << 19, "{log} bytes for eleven changes of a lease");
    assert_eq!(held(&*store, &key()).unwrap(), bytes);
}

#[test]
fn tasks_use_it_through_blocking() {
    let file = File::new();
    let store = Blocking::new(file.store(), |work| drop(std::thread::spawn(work)));
    let pile = FleetDogpile::<String, _>::builder(Arc::new(store), "key", MINUTE).build();
    let made = pile.get_or_try_create_async(|_| async { Ok::<_, String>("made".to_owned()) });
    assert_eq!(*futures::executor::block_on(made).expect("a value"), "made");
}
