//! What a fleet is promised: how often the server is asked, who hears of what, what a dropped call leaves, and
//! that nothing older comes over something newer.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use dogpile_fleet::{
    Ask, AsyncStore, Depth, Described, FleetDogpile, Found, Guarded, Hint, Key, Owner, Placed,
    Store, Version, Watch,
};
use dogpile_postgres::{AsyncPostgresStore, Settings};
use store_bench::{MINUTE, Process, SECOND, TTL, held, lead, put};

use crate::bench::Clock;
use crate::server::{Server, server, wait_until};

fn key() -> Key {
    Key::new("promises", "key", 0)
}

/// How many statements the server was sent by stores: it writes each into its log before it begins.
fn trips(server: &Server) -> usize {
    server.log().matches("execute <unnamed>").count()
}

#[test]
fn hit_0_value_of_another_process_1_regeneration_2() {
    let server = server!("-c", "log_statement=all");
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store()),
        Process::new(&clock.here, server.store()),
    );
    let mut before = trips(&server);
    let mut assert_trips = |wanted: usize, what: &str| {
        let now = trips(&server);
        assert_eq!(now - before, wanted, "{what}");
        before = now;
    };
    assert_eq!(a.call(1), 1);
    assert_trips(2, "a regeneration");
    assert_eq!(b.has(), 1);
    assert_trips(1, "a value that another process made");
    for _ in 0..100 {
        assert_eq!((a.has(), b.has()), (1, 1));
    }
    assert_trips(0, "hits");
    a.pile.set(3).unwrap();
    assert_trips(1, "a write");
    a.pile.invalidate().unwrap();
    assert_trips(1, "an invalidation");
    let store = server.store();
    let asks: Vec<_> = (0..250u8)
        .map(|number| {
            (
                Key::new("many", [number], 0),
                Ask::lead(Owner::draw(), MINUTE),
            )
        })
        .collect();
    for found in store.get_or_lease_many(&asks) {
        assert!(matches!(found, Ok(Found::Leased { .. })), "{found:?}");
    }
    assert_trips(1, "250 records");
    store.invalidate_all("many", Depth::Soft).unwrap();
    assert_trips(1, "a namespace");
}

#[test]
fn whoever_comes_late_overwrites_nothing() {
    let server = server!();
    let clock = Clock::new(&server);
    let store = server.store();
    let late = lead(&*store, &key(), SECOND);
    clock.pass(&server, SECOND * 2);
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
    // In a whole fleet: its own caller has the value that came late, and nobody else.
    let (a, b) = (
        Process::new(&clock.here, server.store()),
        Process::new(&clock.here, server.store()),
    );
    let made = a.pile.get_or_try_create(|_| {
        b.pile.set(2).unwrap();
        Ok::<_, String>(1)
    });
    assert_eq!(*made.expect("a value"), 1);
    assert_eq!(a.pile.stats().superseded, 1);
    assert_eq!((a.has(), b.has()), (2, 2));
}

#[derive(Default)]
struct Notes(Mutex<Vec<Hint>>);

impl Watch for Notes {
    fn hint(&self, hint: &Hint) {
        self.0.lock().unwrap().push(hint.clone());
    }
}

impl Notes {
    fn wait_for(&self, hint: &Hint) {
        wait_until(|| self.0.lock().unwrap().contains(hint));
        self.0.lock().unwrap().clear();
    }
}

fn listeners(server: &Server) -> String {
    server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
}

#[test]
fn what_another_process_writes_is_heard_and_who_was_cut_off_missed_something() {
    let mut server = server!();
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store());
    let b = Process::with(&clock.here, server.store(), |builder| builder.watched());
    assert_eq!((a.call(1), b.has()), (1, 1));
    wait_until(|| listeners(&server) == "1");
    for value in 2..10 {
        a.pile.set(value).unwrap();
        // Its copy would be fresh for long.
        wait_until(|| b.has() == value);
    }
    let store = server.store();
    let notes = Arc::new(Notes::default());
    assert!(store.watch(Arc::downgrade(&notes) as Weak<dyn Watch>));
    notes.wait_for(&Hint::Missed);
    // A key that is too long for a hint is told as its namespace.
    let long = Key::new("promises", vec![7; 5000], 0);
    store.put(&long, &put(Guarded::Any, b"")).unwrap();
    let namespace = "promises".into();
    notes.wait_for(&Hint::AllChanged {
        namespace,
        depth: Depth::Hard,
    });
    server.restart();
    notes.wait_for(&Hint::Missed);
    wait_until(|| store.invalidate(&key(), Depth::Hard, Version::NONE).is_ok());
    notes.wait_for(&Hint::Changed {
        key: key(),
        version: Version::NONE,
        depth: Depth::Hard,
    });
    // It ends with the store.
    drop((store, b, a));
    wait_until(|| listeners(&server) == "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_ask_gives_its_lease_back() {
    let server = server!();
    let settings = || Settings::new().timeout(SECOND * 20);
    let store = AsyncPostgresStore::with(&server.url(), settings()).unwrap();
    let look = server.store_with(settings());
    server.sql(AsyncPostgresStore::MIGRATION);
    for many in [false, true] {
        let key = Key::new("tasks", [u8::from(many)], 0);
        let asks = [(key.clone(), Ask::lead(Owner::draw(), MINUTE))];
        let mut context = Context::from_waker(Waker::noop());
        if many {
            let mut asking = pin!(store.get_or_lease_many(&asks));
            assert!(asking.as_mut().poll(&mut context).is_pending());
        } else {
            let mut asking = pin!(store.get_or_lease(&key, &asks[0].1));
            assert!(asking.as_mut().poll(&mut context).is_pending());
        }
        // It was granted: there is a row. And it is not led.
        tokio::task::block_in_place(|| {
            wait_until(|| {
                server.sql("SELECT count(*) FROM dogpile_records WHERE generation > 0")
                    == (1 + i32::from(many)).to_string()
            });
            wait_until(|| {
                matches!(
                    look.get_or_lease(&key, &Ask::peek()),
                    Ok(Found::Idle { .. })
                )
            });
        });
    }
    // The store for threads may be used, and dropped, by a thread of a runtime.
    drop(look);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tasks_one_creates() {
    let server = server!();
    let store =
        AsyncPostgresStore::with(&server.url(), Settings::new().timeout(SECOND * 20)).unwrap();
    let pile = FleetDogpile::<String, _>::builder(Arc::new(store), "key", MINUTE).build();
    let (pile, created) = (Arc::new(pile), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (pile, created) = (Arc::clone(&pile), Arc::clone(&created));
            tokio::spawn(async move {
                let made = pile.get_or_try_create_async(|_| async {
                    created.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, std::io::Error>("made".to_owned())
                });
                assert_eq!(*made.await.expect("a value"), "made");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((created.load(Ordering::SeqCst), pile.stats().verbs), (1, 2));
}

#[test]
fn records_that_are_over_are_removed_by_those_that_come() {
    let server = server!();
    let clock = Clock::new(&server);
    let store = server.store();
    let write = |number: u32| {
        let key = Key::new("promises", number.to_be_bytes(), 0);
        store.put(&key, &put(Guarded::Any, b"x")).unwrap();
    };
    let rows = || {
        server.sql(
            "SELECT (SELECT count(*) FROM dogpile_records) + (SELECT count(*) FROM dogpile_values)",
        )
    };
    (0..50).for_each(write);
    assert_eq!(rows(), "100");
    clock.pass(&server, TTL * 360);
    (100..125).for_each(write);
    assert_eq!(rows(), "50", "the old ones are gone");
}
