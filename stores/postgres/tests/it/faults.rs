//! A server that is stopped, crashed, emptied, put back or read-only: nothing older comes over something newer,
//! nobody with a usable value waits or is told an error, and all is well again afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile_fleet::{Ask, Found, Guarded, Key, Owner, Placed, Store, StoreErrorKind, Version};
use dogpile_postgres::{PostgresStore, Settings};
use store_bench::{MINUTE, Process, SECOND, TTL, cut, held, lead, put};

use crate::bench::Clock;
use crate::server::{server, wait_until};

fn key() -> Key {
    Key::new("faults", "key", 0)
}

/// Longer than a breaker leaves a store alone.
const A_WHILE: Duration = Duration::from_secs(30);

#[test]
fn stopped_and_gone_on() {
    let server = server!();
    let clock = Clock::new(&server);
    let a = Process::new(
        &clock.here,
        server.store_with(Settings::new().timeout(SECOND * 2)),
    );
    assert_eq!(a.call(1), 1);
    clock.pass(&server, TTL * 2);
    server.stop();
    // One of two is elected, and waits for the server, for the timeout at most. The other one has a usable
    // value meanwhile: were it to wait too, the two would make two calls.
    let calls = AtomicUsize::new(0);
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while a.pile.stats().store_errors == 0 {
                    assert_eq!(a.has(), 1);
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let calls = calls.into_inner();
    assert!(calls > 100, "{calls} calls while the elected one waited");
    server.go_on();
    clock.pass(&server, A_WHILE);
    // What the server read while nobody waited any more: a lease, which has ended by now.
    assert_eq!((a.call(2), a.pile.stats().stored), (2, 2));
}

/// The tables are unlogged: after a crash they are empty, and not older.
#[test]
fn crashed_and_back_empty() {
    let mut server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store()),
        Process::new(&clock.here, server.store()),
    );
    assert_eq!((a.call(1), b.has()), (1, 1));
    let store = server.store();
    let late = lead(&*store, &key(), MINUTE);
    server.crash();
    clock.pass_here(TTL * 2);
    for _ in 0..5 {
        assert_eq!((a.has(), b.has()), (1, 1));
        clock.pass_here(SECOND);
    }
    assert!(a.pile.stats().store_errors > 0 && a.pile.stats().stale > 0);
    let error = store.get_or_lease(&key(), &Ask::peek()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    server.restart();
    wait_until(|| store.get_or_lease(&key(), &Ask::peek()).is_ok());
    let commit = |grant, bytes| {
        store
            .put(&key(), &put(Guarded::Lease(grant), bytes))
            .unwrap()
    };
    assert_eq!(commit(late, b"late"), Placed::Gone);
    clock.pass(&server, A_WHILE);
    let next = lead(&*store, &key(), MINUTE);
    assert!(next.fence > late.fence, "the clock orders them");
    assert_eq!(commit(late, b"late"), Placed::Refused(Version::NONE));
    assert_eq!(commit(next, b"new"), Placed::Stored(next.fence));
    assert_eq!(commit(late, b"late"), Placed::Refused(next.fence));
    // One creates, the other finds it.
    assert_eq!((a.call(2), b.has()), (2, 2));
}

#[test]
fn emptied_while_one_creates() {
    let server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store()),
        Process::new(&clock.here, server.store()),
    );
    let made = a.pile.get_or_try_create(|_| {
        server.sql("TRUNCATE dogpile_records, dogpile_values, dogpile_spaces");
        clock.pass(&server, SECOND);
        // Another process leads, and is done first.
        assert_eq!(b.call(2), 2);
        Ok::<_, String>(1)
    });
    // Its own caller has it, and nobody else.
    assert_eq!(*made.expect("a value"), 1);
    assert_eq!(a.pile.stats().superseded, 1);
    assert_eq!((a.has(), b.has()), (2, 2));
}

/// The store has forgotten what came after the copy: this is what no store can hold against.
#[test]
fn put_back_to_an_older_state() {
    let server = server!();
    let clock = Clock::new(&server);
    let store = server.store();
    let stored = |placed| match placed {
        Ok(Placed::Stored(version)) => version,
        other => panic!("{other:?}"),
    };
    stored(store.put(&key(), &put(Guarded::Any, b"old")));
    server.sql("CREATE TABLE r AS TABLE dogpile_records; CREATE TABLE v AS TABLE dogpile_values");
    clock.pass(&server, SECOND);
    let newer = stored(store.put(&key(), &put(Guarded::Any, b"newer")));
    clock.pass(&server, SECOND);
    server.sql("TRUNCATE dogpile_records, dogpile_values; INSERT INTO dogpile_records TABLE r; INSERT INTO dogpile_values TABLE v");
    assert_eq!(held(&*store, &key()).unwrap(), b"old");
    // What comes now has a number above all that was forgotten.
    assert!(stored(store.put(&key(), &put(Guarded::Any, b"now"))) > newer);
}

#[test]
fn a_server_that_takes_no_writes_is_read() {
    let server = server!();
    let store = server.store();
    store.put(&key(), &put(Guarded::Any, b"kept")).unwrap();
    server.sql("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let store = server.store();
    assert_eq!(held(&*store, &key()).unwrap(), b"kept");
    let ask = Ask::lead(Owner::draw(), MINUTE);
    assert!(matches!(
        store.get_or_lease(&key(), &ask),
        Ok(Found::Fresh(_))
    ));
    let error = store.put(&key(), &put(Guarded::Any, b"x")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.to_string().contains("takes no writes"), "{error}");
}

/// A row that another transaction holds is waited for, for the timeout at most. Readers do not wait.
#[test]
fn a_row_that_somebody_locks() {
    let server = server!();
    let store = server.store_with(Settings::new().timeout(SECOND * 2));
    store.put(&key(), &put(Guarded::Any, b"1")).unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            server
                .sql("BEGIN; SELECT 1 FROM dogpile_records FOR UPDATE; SELECT pg_sleep(6); COMMIT")
        });
        wait_until(|| {
            server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6)%' AND wait_event = 'PgSleep'") == "1"
        });
        assert_eq!(held(&*store, &key()).unwrap(), b"1");
        let error = store.put(&key(), &put(Guarded::Any, b"2")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    });
    wait_until(|| store.put(&key(), &put(Guarded::Any, b"3")).is_ok());
    assert_eq!(held(&*store, &key()).unwrap(), b"3");
}

#[test]
fn one_process_cut_off() {
    let server = server!();
    let clock = Clock::new(&server);
    let (line, url) = server.line();
    let short = Settings::new().timeout(SECOND / 2);
    let through = Arc::new(PostgresStore::with(&url, short).expect("a store"));
    let (a, b) = (
        Process::new(&clock.here, through),
        Process::new(&clock.here, server.store()),
    );
    assert_eq!((a.call(1), b.has()), (1, 1));
    clock.pass(&server, TTL * 2);
    let made = a.pile.refresh(|creation| {
        assert!(creation.fence().is_some());
        line.swallow(true);
        // The others go on: it is replaced when its lease ends, and something newer is there.
        clock.pass(&server, MINUTE * 2);
        assert_eq!(b.call(3), 3);
        Ok::<_, String>(2)
    });
    // Nobody took its commit, so it is its own caller's, and this process's.
    assert_eq!(*made.expect("a value"), 2);
    assert_eq!(a.pile.stats().unstored, 1);
    clock.pass(&server, TTL * 2);
    assert_eq!(a.has(), 2, "usable, though nobody answers");
    assert_eq!(b.call(4), 4);
    line.swallow(false);
    clock.pass(&server, A_WHILE);
    // What was on its way all the time came too late, and it has what the others have.
    wait_until(|| a.call(5) >= 4);
    assert!(b.call(5) >= 4);
}

#[test]
fn cut_in_the_middle_of_an_answer() {
    let server = server!();
    let (line, url) = server.line();
    let settings = Settings::new().timeout(SECOND * 20);
    let store = PostgresStore::with(&url, settings).expect("a store");
    let (failed, whole) = cut::at_each(&line, (0..1500).step_by(25), &[&store]);
    assert!(failed > 5 && whole > 5, "{failed} failed, {whole} did not");
}

/// Whether it was carried out nobody knows. Asked once more, it is the same request.
#[test]
fn a_request_whose_answer_is_lost() {
    let server = server!();
    let (line, url) = server.line();
    let settings = Settings::new().timeout(SECOND * 20);
    let store = PostgresStore::with(&url, settings).expect("a store");
    let lost = |error: dogpile_fleet::StoreError| {
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    };
    assert!(held(&store, &key()).is_none());
    let owner = Owner::draw();
    let ask = Ask::lead(owner, MINUTE);
    line.cut_after(0);
    lost(store.get_or_lease(&key(), &ask).unwrap_err());
    let Found::Leased { fence, .. } = store.get_or_lease(&key(), &ask).unwrap() else {
        panic!("the lease of the first is the second's");
    };
    let grant = dogpile_fleet::Grant { owner, fence };
    let commit = put(Guarded::Lease(grant), b"new");
    // The server has prepared what the next one asks for.
    let other = Key::new("faults", "other", 0);
    store.put(&other, &put(Guarded::Any, b"")).unwrap();
    line.cut_after(0);
    lost(store.put(&key(), &commit).unwrap_err());
    wait_until(|| held(&store, &key()).is_some());
    assert_eq!(held(&store, &key()).unwrap(), b"new");
    assert_eq!(store.put(&key(), &commit).unwrap(), Placed::Stored(fence));
    assert_eq!(line.cuts(), 2);
}
