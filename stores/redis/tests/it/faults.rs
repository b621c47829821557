//! What happens to the server, and what the processes of a fleet make of it: nothing older comes over
//! something newer, nobody with a usable value waits or is told an error, and all is well again
//! afterwards.
//!
//! ```breakages
//! redis-commits-when-the-lease-is-over | stores/redis/src/scripts/put.lua | put_back_to_an_older_state
//! - or r.l <= now then return {'R', tonumber(version)} end
//! + then return {'R', tonumber(version)} end
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dogpile_fleet::{
    Ask, Depth, Found, Guarded, Key, OnStoreError, Owner, Placed, Put, Store, StoreErrorKind,
    Version,
};
use dogpile_redis::{RedisStore, Settings};
use store_bench::{MINUTE, Process, SECOND, TTL, cut, held, lead, put};

use crate::bench::{Clock, settings};
use crate::server::{self, Server, server, wait_until};
use herd::Line;

fn key() -> Key {
    Key::new("faults", "key", 0)
}

/// Longer than a breaker leaves a store alone.
const A_WHILE: Duration = Duration::from_secs(30);

#[test]
fn killed_and_back_empty() {
    let mut server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store_with(settings())),
        Process::new(&clock.here, server.store_with(settings())),
    );
    assert_eq!((a.call(1), b.has()), (1, 1));
    server.kill();
    // Fresh by its own account, then stale: it is served without an error, and nothing is created.
    assert_eq!(a.has(), 1);
    clock.pass_here(TTL * 2);
    for _ in 0..10 {
        assert_eq!((a.has(), b.has()), (1, 1));
        clock.pass_here(SECOND);
    }
    assert!(a.pile.stats().store_errors > 0 && a.pile.stats().stale > 0);
    server.restart();
    clock.start(&server);
    clock.pass(&server, A_WHILE);
    // One creates, the other finds it.
    assert_eq!((a.call(2), b.has()), (2, 2));
    assert_eq!((a.pile.stats().stored, b.pile.stats().stored), (2, 0));
}

#[test]
fn a_commit_to_a_server_that_came_back_empty_is_not_stored() {
    let mut server = server!();
    let store = server.store();
    let late = lead(&*store, &key(), MINUTE);
    server.restart();
    let commit = |grant, bytes| {
        store
            .put(&key(), &put(Guarded::Lease(grant), bytes))
            .unwrap()
    };
    assert_eq!(commit(late, b"late"), Placed::Gone);
    assert!(!store.renew(&key(), late, MINUTE).unwrap());
    let next = lead(&*store, &key(), MINUTE);
    assert!(next.fence > late.fence, "the clock orders them");
    assert_eq!(commit(late, b"late"), Placed::Refused(Version::NONE));
    assert_eq!(commit(next, b"new"), Placed::Stored(next.fence));
    assert_eq!(commit(late, b"late"), Placed::Refused(next.fence));
    assert_eq!(held(&*store, &key()).unwrap(), b"new");
}

#[test]
fn stopped_and_gone_on() {
    let server = server!();
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store_with(settings()));
    assert_eq!(a.call(1), 1);
    clock.pass(&server, TTL * 2);
    server.stop();
    // One of two is elected, and waits for the server, for the timeout at most. The other one has a
    // usable value meanwhile: were it to wait too, the two would make two calls.
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
    assert_eq!(a.pile.stats().creations, 1);
    server.go_on();
    clock.pass(&server, A_WHILE);
    // What the server read while nobody waited any more: a lease, which has ended by now.
    assert_eq!(a.call(2), 2);
    assert_eq!(a.pile.stats().stored, 2);
}

#[test]
fn stopped_for_longer_than_a_lease() {
    let server = server!();
    let clock = Clock::new(&server);
    let store = server.store_with(settings());
    let late = lead(&*store, &key(), SECOND);
    server.stop();
    let error = store.renew(&key(), late, SECOND).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    server.go_on();
    clock.pass(&server, SECOND * 2);
    // Whatever became of that renewal, it is over by now; so strict is a commit.
    let commit = put(Guarded::Lease(late), b"late");
    assert_eq!(
        store.put(&key(), &commit).unwrap(),
        Placed::Refused(Version::NONE)
    );
    assert!(!store.renew(&key(), late, SECOND).unwrap());
    assert_eq!(held(&*store, &key()), None);
}

#[test]
fn emptied_while_one_creates() {
    let server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store_with(settings())),
        Process::new(&clock.here, server.store_with(settings())),
    );
    let made = a.pile.get_or_try_create(|creation| {
        assert!(creation.fence().is_some());
        let _: () = server.say(&["FLUSHALL"]);
        clock.start(&server);
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

#[test]
fn scripts_forgotten() {
    let server = server!();
    let store = server.store();
    let version = store.put(&key(), &put(Guarded::Any, b"1")).unwrap();
    for _ in 0..2 {
        let _: () = server.say(&["SCRIPT", "FLUSH"]);
        assert_eq!(held(&*store, &key()).unwrap(), b"1");
        let _: () = server.say(&["SCRIPT", "FLUSH"]);
        assert!(
            store
                .invalidate(&key(), Depth::Hard, Version::NONE)
                .unwrap()
        );
        let _: () = server.say(&["SCRIPT", "FLUSH"]);
        assert_ne!(
            store.put(&key(), &put(Guarded::Any, b"1")).unwrap(),
            version
        );
    }
}

#[test]
fn full() {
    let server = server!("--maxmemory-policy", "noeviction");
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store_with(settings()));
    assert_eq!(a.call(1), 1);
    let _: () = server.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let store = server.store_with(settings());
    // Reads go on, writes are refused, and it is said what to do.
    let other = Process::new(&clock.here, server.store_with(settings()));
    assert_eq!(other.has(), 1);
    let error = store.put(&key(), &put(Guarded::Any, b"x")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
    let ask = Ask::lead(Owner::draw(), MINUTE);
    let error = store.get_or_lease(&key(), &ask).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
    // Of many records only those that would have to be written are refused.
    let number = a.pile.key().clone();
    let many = store.get_or_lease_many(&[(key(), ask), (number, ask)]);
    assert!(
        matches!(&many[..], [Err(_), Ok(Found::Fresh(_))]),
        "{many:?}"
    );
    // Whoever has a usable value is not told.
    clock.pass_here(TTL * 2);
    assert_eq!(a.has(), 1);
    // Whoever has none creates one, which nobody else has.
    let cold = Process::with(&clock.here, server.store_with(settings()), |builder| {
        builder.namespace("cold")
    });
    assert_eq!((cold.call(5), cold.pile.stats().unstored), (5, 1));
    let _: () = server.say(&["CONFIG", "SET", "maxmemory", "0"]);
    clock.pass(&server, A_WHILE);
    assert_eq!((a.call(2), cold.call(6)), (2, 6));
    assert_eq!((a.pile.stats().stored, cold.pile.stats().stored), (2, 1));
}

#[test]
fn evicting() {
    let server = server!("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru");
    let store = server.store();
    let key = |number: u32| Key::new("faults", number.to_be_bytes(), 0);
    let bytes = |number: u32| number.to_string().repeat(1000).into_bytes();
    let (mut kept, mut lost, mut stored) = (0, 0, 0);
    for number in 0..1000 {
        let grant = lead(&*store, &key(number), MINUTE);
        let bytes = bytes(number);
        match store.put(&key(number), &put(Guarded::Lease(grant), &bytes)) {
            Ok(Placed::Stored(version)) => {
                assert_eq!(version, grant.fence);
                stored += 1;
            }
            // The lease was evicted before the commit.
            Ok(Placed::Gone | Placed::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for number in 0..1000 {
        match held(&*store, &key(number)) {
            Some(found) => {
                assert!(found == bytes(number), "{number}");
                kept += 1;
            }
            None => lost += 1,
        }
    }
    assert!(
        kept > 0 && lost > 0 && stored > 500,
        "{kept} kept, {lost} lost, {stored} stored"
    );
}

#[test]
fn the_generation_of_a_namespace_evicted_or_overwritten_is_an_invalidation() {
    let server = server!();
    let store = server.store();
    let generation = "dogpile:{faults}:all:faults";
    let harms: [&[&str]; 3] = [
        &["DEL", generation],
        &["SET", generation, "1 1 1"],
        &["SET", generation, "x"],
    ];
    for harm in harms {
        let before = store.put(&key(), &put(Guarded::Any, b"old")).unwrap();
        store.invalidate_all("faults", Depth::Hard).unwrap();
        let running = Key::new("faults", "running", 0);
        let late = lead(&*store, &running, MINUTE);
        let _: redis::Value = server.say(harm);
        // What was removed does not come back, and who led has lost.
        assert_eq!(held(&*store, &key()), None, "{before:?}");
        let commit = put(Guarded::Lease(late), b"late");
        assert!(!matches!(
            store.put(&running, &commit),
            Ok(Placed::Stored(_))
        ));
        let next = lead(&*store, &running, MINUTE);
        assert!(next.fence > late.fence);
        // Nor when there is a generation again.
        assert_eq!(held(&*store, &key()), None);
        let commit = put(Guarded::Lease(next), b"new");
        assert_eq!(
            store.put(&running, &commit).unwrap(),
            Placed::Stored(next.fence)
        );
        store
            .invalidate(&running, Depth::Hard, Version::NONE)
            .unwrap();
    }
}

#[test]
fn a_script_of_somebody_elses_that_does_not_end() {
    let server = server!("--busy-reply-threshold", "50");
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store_with(settings()));
    assert_eq!(a.call(1), 1);
    clock.pass(&server, TTL * 2);
    let client = server.client();
    let endless = thread::spawn(move || {
        let mut connection = client.get_connection().unwrap();
        let mut cmd = redis::cmd("EVAL");
        cmd.arg("while true do end").arg(0);
        cmd.query::<redis::Value>(&mut connection)
    });
    wait_until(|| {
        let ping = server.try_say::<String>(&["PING"]);
        ping.is_err_and(|error| error.to_string().contains("BUSY"))
    });
    let error = server
        .store()
        .invalidate(&key(), Depth::Hard, Version::NONE);
    assert_eq!(error.unwrap_err().kind, StoreErrorKind::Unavailable);
    // A usable value is served meanwhile.
    assert_eq!(a.has(), 1);
    let _: () = server.say(&["SCRIPT", "KILL"]);
    assert!(endless.join().unwrap().is_err());
    clock.pass(&server, A_WHILE);
    assert_eq!((a.call(2), a.pile.stats().stored), (2, 2));
}

/// The store has forgotten what came after the snapshot: this is what no store can hold against.
#[test]
fn put_back_to_an_older_state() {
    let mut server = server!("--dbfilename", "old.rdb");
    let clock = Clock::new(&server);
    let store = server.store_with(settings());
    let (held_then, led) = (key(), Key::new("faults", "led", 0));
    store.put(&held_then, &put(Guarded::Any, b"old")).unwrap();
    let late = lead(&*store, &led, SECOND * 10);
    let _: () = server.say(&["SAVE"]);
    // What comes after the snapshot: a newer value, and another leader, who is done.
    let newer = store.put(&held_then, &put(Guarded::Any, b"newer")).unwrap();
    clock.pass(&server, SECOND * 20);
    let next = lead(&*store, &led, SECOND * 10);
    let commit = put(Guarded::Lease(next), b"next");
    assert_eq!(
        store.put(&led, &commit).unwrap(),
        Placed::Stored(next.fence)
    );
    server.restart();
    assert_eq!(
        held(&*store, &held_then).unwrap(),
        b"old",
        "the snapshot was loaded"
    );
    // The time goes on where it was.
    clock.pass(&server, SECOND * 20);
    // The lease from before the snapshot is over by the clock: it commits nothing, though the server has
    // forgotten who took it.
    let commit = put(Guarded::Lease(late), b"late");
    assert_eq!(
        store.put(&led, &commit).unwrap(),
        Placed::Refused(Version::NONE)
    );
    assert_eq!(held(&*store, &led), None);
    // What comes now has a number above all that was forgotten.
    clock.pass(&server, SECOND * 20);
    let now = store.put(&held_then, &put(Guarded::Any, b"now")).unwrap();
    match (newer, now) {
        (Placed::Stored(newer), Placed::Stored(now)) => assert!(now > newer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cut_in_the_middle_of_a_reply() {
    if !server::is_here() {
        return;
    }
    let server = Server::on_port(&[]);
    let proxy = Line::to(server.address());
    let client = redis::Client::open(format!("redis://{}/", proxy.address())).unwrap();
    // None is kept: so nothing is sent again over another line.
    let settings = Settings::new().timeout(SECOND).keep(0);
    let fresh = RedisStore::new(client.clone(), settings).unwrap();
    let store = RedisStore::new(client, Settings::new().timeout(SECOND)).unwrap();
    let (failed, whole) = cut::at_each(&proxy, 0..500, &[&fresh, &store]);
    assert!(
        failed > 100 && whole > 100,
        "{failed} failed, {whole} did not"
    );
}

#[test]
fn a_request_whose_answer_is_lost_is_sent_again_where_that_does_no_harm_and_only_there() {
    if !server::is_here() {
        return;
    }
    let server = Server::on_port(&[]);
    let proxy = Line::to(server.address());
    let client = redis::Client::open(format!("redis://{}/", proxy.address())).unwrap();
    let store = RedisStore::new(client, Settings::new().timeout(SECOND)).unwrap();
    let (led, absent) = (key(), Key::new("faults", "absent", 0));
    // The server knows the scripts.
    let other = Key::new("faults", "other", 0);
    let grant = lead(&store, &other, MINUTE);
    assert!(store.release(&other, grant, Duration::ZERO).unwrap());
    store.put(&other, &put(Guarded::Any, b"")).unwrap();

    let grant = lead(&store, &led, MINUTE);
    let commit = put(Guarded::Lease(grant), b"new");
    proxy.cut_after(0);
    assert_eq!(
        store.put(&led, &commit).unwrap(),
        Placed::Stored(grant.fence)
    );
    assert_eq!(proxy.cuts(), 1);
    // The second one would be told of the first one's value, as if it were another's.
    proxy.cut_after(0);
    let error = store.put(&absent, &put(Guarded::Absent, b"1")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(proxy.cuts(), 2);
    assert_eq!(held(&store, &absent).unwrap(), b"1");
    proxy.cut_after(0);
    let grant = lead(&store, &other_led(), MINUTE);
    assert_eq!(proxy.cuts(), 3, "the lease of the first is the second's");
    proxy.cut_after(0);
    assert!(store.release(&other_led(), grant, Duration::ZERO).is_err());
    assert!(!store.release(&other_led(), grant, Duration::ZERO).unwrap());
}

fn other_led() -> Key {
    Key::new("faults", "other led", 0)
}

/// So it is the server that forgets, and nobody has to clean up.
#[test]
fn all_that_is_written_ends_by_itself_and_the_generation_last() {
    let server = server!();
    let store = server.store();
    // Longer than what a generation is kept beyond what it was made for.
    let long = MINUTE * 60 * 5;
    let day = Put {
        keep_for: long,
        ..put(Guarded::Any, b"long")
    };
    // In each namespace one record, and whether it is kept for long.
    type Deed<'a> = (&'a str, bool, &'a dyn Fn(&Key));
    let deeds: [Deed<'_>; 8] = [
        ("led", true, &|key| {
            lead(&*store, key, long);
        }),
        ("interval", true, &|key| {
            let ask = Ask {
                interval: long,
                ..Ask::lead(Owner::draw(), SECOND)
            };
            store.get_or_lease(key, &ask).unwrap();
        }),
        ("renewed", true, &|key| {
            let grant = lead(&*store, key, MINUTE);
            assert!(store.renew(key, grant, long).unwrap());
        }),
        ("failed", true, &|key| {
            let grant = lead(&*store, key, MINUTE);
            assert!(store.release(key, grant, long).unwrap());
        }),
        ("given up", false, &|key| {
            let grant = lead(&*store, key, MINUTE);
            assert!(store.release(key, grant, Duration::ZERO).unwrap());
        }),
        ("written", true, &|key| {
            lead(&*store, key, MINUTE);
            store.put(key, &day).unwrap();
        }),
        ("stale", true, &|key| {
            store.put(key, &day).unwrap();
            store.invalidate_all("stale", Depth::Soft).unwrap();
            lead(&*store, key, MINUTE);
        }),
        ("removed", false, &|key| {
            store.put(key, &day).unwrap();
            store.invalidate(key, Depth::Hard, Version::NONE).unwrap();
        }),
    ];
    let millis = |span: Duration| span.as_millis() as i64;
    for (namespace, kept, deed) in deeds {
        deed(&Key::new(namespace, "key", 0));
        let ends = |name: String| -> i64 { server.say(&["PTTL", &name]) };
        let record = ends(format!(
            "dogpile:{{{namespace}}}:{}:{namespace}:key#0000000000000000",
            namespace.len()
        ));
        let generation = ends(format!("dogpile:{{{namespace}}}:all:{namespace}"));
        assert!(
            0 < record && record <= generation,
            "{namespace}: {record} of {generation}"
        );
        assert_eq!(
            record > millis(long - MINUTE),
            kept,
            "{namespace}: {record}"
        );
        assert!(record <= millis(long * 2), "{namespace}: {record}");
    }
    // Who finds nothing changes nothing.
    let (size, nothing) = (
        server.say::<i64>(&["DBSIZE"]),
        Key::new("led", "nothing", 0),
    );
    assert_eq!(held(&*store, &nothing), None);
    store
        .invalidate(&nothing, Depth::Soft, Version::NONE)
        .unwrap();
    store.invalidate_all("nobody", Depth::Hard).unwrap();
    assert_eq!(server.say::<i64>(&["DBSIZE"]), size);
}

#[test]
fn a_clock_that_is_put_back_keeps_nobody_waiting_and_no_value_young() {
    let server = server!();
    let clock = Clock::new(&server);
    let store = server.store_with(settings());
    let (led, quiet, value) = (
        key(),
        Key::new("faults", "quiet", 0),
        Key::new("faults", "value", 0),
    );
    let ask = || Ask::lead(Owner::draw(), SECOND * 10);
    let late = lead(&*store, &led, SECOND * 10);
    let failed = lead(&*store, &quiet, SECOND * 10);
    assert!(store.release(&quiet, failed, SECOND * 10).unwrap());
    store.put(&value, &put(Guarded::Any, b"old")).unwrap();
    clock.put_back(&server, MINUTE * 60);
    // The lease and the quiet last as long as they were to, and not for an hour.
    for (key, led) in [(&led, true), (&quiet, false)] {
        match store.get_or_lease(key, &ask()).unwrap() {
            Found::Busy { retry_in, .. } if led => assert!(retry_in <= SECOND * 10),
            Found::Quiet { retry_in, .. } if !led => assert!(retry_in <= SECOND * 10),
            other => panic!("{other:?}"),
        }
    }
    // Nobody can tell how old the value is: it is renewed, and kept no longer than it was to be.
    let Found::Idle { stale: Some(stale) } = store.get_or_lease(&value, &Ask::peek()).unwrap()
    else {
        panic!("it is stale")
    };
    assert!(stale.expired && stale.fresh_for <= MINUTE);
    lead(&*store, &value, SECOND * 10);
    clock.pass(&server, SECOND * 11);
    for key in [&led, &quiet] {
        let next = lead(&*store, key, SECOND * 10);
        assert!(next.fence > late.fence && next.fence > failed.fence);
    }
    clock.pass(&server, MINUTE * 2);
    assert_eq!(held(&*store, &value), None);
}

/// The closure finds who takes writes, as one over Sentinel does.
#[test]
fn another_server_takes_over() {
    if !server::is_here() {
        return;
    }
    let (first, second) = (Server::on_port(&[]), Server::on_port(&[]));
    let replicates = |one: &Server, other: &Server| {
        let port = other.address().port().to_string();
        let _: () = one.say(&["REPLICAOF", "127.0.0.1", &port]);
    };
    replicates(&second, &first);
    wait_until(|| {
        first
            .say::<String>(&["INFO", "replication"])
            .contains("state=online")
    });
    let master = Arc::new(Mutex::new(first.client()));
    let find = Arc::clone(&master);
    let connect = move || find.lock().unwrap().get_connection();
    let store = RedisStore::over(connect, Settings::new()).unwrap();
    let written = store.put(&Key::new("faults", "written", 0), &put(Guarded::Any, b"1"));
    let grant = lead(&store, &key(), MINUTE);
    // All that was written is there as well.
    wait_until(|| second.say::<i64>(&["DBSIZE"]) == first.say::<i64>(&["DBSIZE"]));
    let _: () = second.say(&["REPLICAOF", "NO", "ONE"]);
    replicates(&first, &second);
    // It says so as long as nobody has found the other.
    let commit = put(Guarded::Lease(grant), b"new");
    let error = store.put(&key(), &commit).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("READONLY"), "{error}");
    *master.lock().unwrap() = second.client();
    assert_eq!(
        store.put(&key(), &commit).unwrap(),
        Placed::Stored(grant.fence)
    );
    let found = store
        .get_or_lease(&Key::new("faults", "written", 0), &Ask::peek())
        .unwrap();
    assert_eq!(
        Placed::Stored(found.stored().unwrap().version),
        written.unwrap()
    );
}

#[test]
fn one_process_cut_off() {
    if !server::is_here() {
        return;
    }
    let server = Server::on_port(&[]);
    let proxy = Line::to(server.address());
    let clock = Clock::new(&server);
    let short = settings().timeout(SECOND / 5);
    let through = RedisStore::new(
        redis::Client::open(format!("redis://{}/", proxy.address())).unwrap(),
        short,
    )
    .unwrap();
    let a = Process::new(&clock.here, Arc::new(through));
    let b = Process::new(&clock.here, server.store_with(settings()));
    assert_eq!((a.call(1), b.has()), (1, 1));
    clock.pass(&server, TTL * 2);
    let cut = AtomicBool::new(false);
    let made = a.pile.refresh(|creation| {
        assert!(creation.fence().is_some());
        proxy.swallow(true);
        cut.store(true, Ordering::SeqCst);
        // The others go on: it is replaced when its lease ends, and something newer is there.
        clock.pass(&server, MINUTE * 2);
        assert_eq!(b.call(3), 3);
        Ok::<_, String>(2)
    });
    // Nobody took its commit, so it is its own caller's, and this process's.
    assert_eq!(*made.expect("a value"), 2);
    assert!(cut.into_inner() && a.pile.stats().unstored == 1);
    clock.pass(&server, TTL * 2);
    assert_eq!(a.has(), 2, "usable, though nobody answers");
    assert_eq!(b.call(4), 4);
    proxy.swallow(false);
    clock.pass(&server, A_WHILE);
    // What was on its way all the time came too late, and it has what the others have.
    wait_until(|| a.call(5) >= 4);
    assert!(b.call(5) >= 4);
}

#[test]
fn connections_run_out() {
    let server = server!();
    let store = server.store_with(Settings::new().keep(0));
    let _: () = server.say(&["CONFIG", "SET", "maxclients", "5"]);
    let taken: Vec<_> = std::iter::from_fn(|| server.client().get_connection().ok())
        .take(64)
        .collect();
    assert!(
        !taken.is_empty() && taken.len() < 64,
        "{} connections",
        taken.len()
    );
    let error = store.get_or_lease(&key(), &Ask::peek()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    drop(taken);
    wait_until(|| store.get_or_lease(&key(), &Ask::peek()).is_ok());
}

#[test]
fn who_is_told_to_fail_fails_and_who_is_told_to_create_creates() {
    let mut server = server!();
    let clock = Clock::new(&server);
    let process = |policy| {
        Process::with(&clock.here, server.store_with(settings()), |builder| {
            builder.on_store_error(policy)
        })
    };
    let (fails, creates) = (
        process(OnStoreError::Fail),
        process(OnStoreError::CreateLocally),
    );
    assert_eq!((fails.call(1), creates.has()), (1, 1));
    server.kill();
    clock.pass_here(TTL * 2);
    let answer = fails.pile.get_or_try_create(|_| Ok::<_, String>(2));
    let error = answer.map(|guard| *guard).unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    assert_eq!(creates.call(2), 2);
}
