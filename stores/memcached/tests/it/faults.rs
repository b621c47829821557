//! What goes wrong with servers and with what lies between: nothing older comes over something newer,
//! nobody with a usable value waits, and the store serves again when the server does.
//!
//! ```breakages
//! memcached-takes-another-process-of-the-server-for-the-same | stores/memcached/src/verbs.rs | restarted
//! - epoch: Some(token.change.epoch),
//! + epoch: None,
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use dogpile_fleet::{
    Ask, AsyncStore, Creation, Depth, FleetDogpile, Found, Grant, Guarded, Key, Owner, Placed,
    Store, StoreErrorKind, Version,
};
use dogpile_memcached::meta::{Flag, Name, Reply, request};
use dogpile_memcached::{MemcachedStore, TokioMemcachedStore};

use crate::bench::{
    LONG, SECOND, back, bytes, commit, connect, key, lead, make, manual_clock, peek, pile, put,
    runtime, write,
};
use crate::proxy::{Harm, Proxy};
use crate::server::{Kind, Server};

/// The number of the last change of the item of a key, as a foreign client sees it.
fn cas(server: &Server, store: &MemcachedStore, key: &Key) -> Option<u64> {
    let mut sent = Vec::new();
    request::get(&mut sent, &store.place_of(key).1, &[Flag::ReturnCas]);
    match server.ask(&sent).as_slice() {
        [Reply::Header(marks)] => marks.cas,
        _ => None,
    }
}

fn is_stored(placed: Placed) -> bool {
    matches!(placed, Placed::Stored(_))
}

mod restarted {
    use super::*;

    #[test]
    fn it_is_empty_and_one_fills_it_and_nobody_with_a_value_waits() {
        let Some(mut server) = Server::unix() else {
            return;
        };
        let (here, there) = (connect(&server), connect(&server));
        let (here, there) = (pile(&here, LONG), pile(&there, LONG));
        assert_eq!(*here.get_or_try_create(make("1")).unwrap(), "1");
        assert_eq!(*there.get_or_try_create(make("2")).unwrap(), "1");
        server.kill();
        // The copy here has reached its local ttl, and the store is down: the copy serves.
        assert_eq!(*here.get_or_try_create(make("3")).unwrap(), "1");
        assert_eq!((here.stats().creations, here.stats().store_errors), (1, 1));
        server.start_again();
        // For a moment it is left alone.
        let begun = Instant::now();
        let filled = loop {
            let value = here.get_or_try_create(make("4")).unwrap();
            if *value != "1" {
                break value.clone();
            }
            assert!(begun.elapsed() < SECOND * 10, "it serves again");
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(filled, "4");
        assert_eq!(*there.get_or_try_create(make("5")).unwrap(), "4");
        assert_eq!(there.stats().creations, 0);
    }

    /// The server counts changes from 1 again, so the number of an old one may be that of a new one.
    #[test]
    fn who_led_before_commits_nothing_though_the_numbers_of_changes_are_the_same_again() {
        let Some(mut server) = Server::unix() else {
            return;
        };
        let (late, next) = (connect(&server), connect(&server));
        let k = key("a");
        for _ in 0..60 {
            write(&*next, &key("others"), b"x");
        }
        let grant = lead(&*late, &k);
        let number = cas(&server, &late, &k).unwrap();
        server.kill();
        server.start_again();
        // The next one brings the item to that very number.
        write(&*next, &k, b"new");
        let mut now = cas(&server, &next, &k).unwrap();
        assert!(now < number, "{now} is not below {number}");
        while now < number {
            write(&*next, &k, b"new");
            now = cas(&server, &next, &k).unwrap();
        }
        assert_eq!(now, number);
        // The late one has noticed that its connection is closed, and has another to the new server.
        assert_eq!(peek(&*late, &key("nothing")).unwrap(), None);
        let placed = commit(&*late, &k, grant, b"old");
        assert!(!matches!(placed, Placed::Stored(_)), "{placed:?}");
        assert_eq!(bytes(&*next, &k).as_deref(), Some(&b"new"[..]));
        assert!(!late.renew(&k, grant, LONG).unwrap());
        assert!(!late.release(&k, grant, SECOND).unwrap());
    }

    #[test]
    fn by_one_that_is_too_old_it_is_refused_by_name() {
        let Some(mut server) = Server::start(Kind::Tcp, &[]) else {
            return;
        };
        let store = connect(&server);
        let k = key("a");
        write(&*store, &k, b"1");
        server.kill();
        let listener = std::net::TcpListener::bind(server.address()).unwrap();
        thread::scope(|threads| {
            threads.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                std::io::Write::write_all(&mut stream, b"VERSION 1.5.6\r\n").unwrap();
                // Until it is left.
                let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
            });
            let error = peek(&*store, &k).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Refused);
            assert!(error.to_string().contains("version 1.5.6"), "{error}");
        });
    }

    #[test]
    fn tasks_find_the_next_one_too() {
        let Some(mut server) = Server::unix() else {
            return;
        };
        runtime().block_on(async {
            let store = TokioMemcachedStore::connect([server.address()])
                .await
                .unwrap();
            let k = key("a");
            let owner = Owner::draw();
            let found = store
                .get_or_lease(&k, &Ask::lead(owner, LONG))
                .await
                .unwrap();
            let Found::Leased { fence, .. } = found else {
                panic!("{found:?}")
            };
            let grant = Grant { owner, fence };
            server.kill();
            let late = put(Guarded::Lease(grant), b"1");
            let error = store.put(&k, &late).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unavailable);
            server.start_again();
            assert_eq!(store.put(&k, &late).await.unwrap(), Placed::Gone);
            let any = put(Guarded::Any, b"2");
            assert!(matches!(store.put(&k, &any).await, Ok(Placed::Stored(_))));
        });
    }
}

mod emptied {
    use super::*;

    #[test]
    fn what_was_led_before_is_not_stored_and_the_next_leads() {
        let Some(server) = Server::unix() else { return };
        let store = connect(&server);
        let k = key("a");
        write(&*store, &k, b"old");
        store.invalidate(&k, Depth::Soft, Version::NONE).unwrap();
        let grant = lead(&*store, &k);
        server.flush();
        assert!(!matches!(
            commit(&*store, &k, grant, b"late"),
            Placed::Stored(_)
        ));
        assert_eq!(bytes(&*store, &k), None);
        let next = lead(&*store, &k);
        assert!(!matches!(
            commit(&*store, &k, grant, b"late"),
            Placed::Stored(_)
        ));
        assert_eq!(
            commit(&*store, &k, next, b"new"),
            Placed::Stored(next.fence)
        );
    }

    /// It commits in one step, which does not read the record before: so the generation is looked at after.
    #[test]
    fn of_what_a_namespace_had_a_lease_from_before_commits_nothing() {
        let Some(server) = Server::unix() else { return };
        let store = connect(&server);
        for depth in [Depth::Soft, Depth::Hard] {
            let k = key(&format!("{depth:?}"));
            let grant = lead(&*store, &k);
            store.invalidate_all("test", depth).unwrap();
            assert!(!is_stored(commit(&*store, &k, grant, b"late")));
            assert_eq!(
                bytes(&*store, &k),
                None,
                "{depth:?}: not even as a stale value"
            );
            let next = lead(&*store, &k);
            assert_eq!(
                commit(&*store, &k, next, b"new"),
                Placed::Stored(next.fence)
            );
            assert_eq!(bytes(&*store, &k).as_deref(), Some(&b"new"[..]));
        }
    }

    /// The generation of the namespace is an item too, and may be evicted alone.
    #[test]
    fn of_the_generation_of_its_namespace_alone_nothing_older_comes_back() {
        let Some(server) = Server::unix() else { return };
        let store = connect(&server);
        let (k, led) = (key("a"), key("led"));
        write(&*store, &k, b"old");
        let grant = lead(&*store, &led);
        store.invalidate_all("test", Depth::Hard).unwrap();
        let mut sent = Vec::new();
        let space = Name::new("dogpile:n:test").unwrap();
        request::delete(&mut sent, &space, &[]);
        assert!(matches!(server.ask(&sent).as_slice(), [Reply::Header(_)]));
        assert_eq!(
            bytes(&*store, &k),
            None,
            "what was invalidated does not come back"
        );
        assert!(!matches!(
            commit(&*store, &led, grant, b"late"),
            Placed::Stored(_)
        ));
        assert_eq!(bytes(&*store, &led), None);
        write(&*store, &k, b"new");
        assert_eq!(bytes(&*store, &k).as_deref(), Some(&b"new"[..]));
    }
}

mod stopped {
    use super::*;

    #[test]
    fn it_costs_one_caller_a_bounded_time_and_the_others_nothing() {
        let Some(server) = Server::unix() else { return };
        let limit = Duration::from_millis(500);
        let store = MemcachedStore::builder([server.address()])
            .timeout(limit)
            .connect();
        let store = Arc::new(store.unwrap());
        let pile = pile(&store, LONG);
        assert_eq!(*pile.get_or_try_create(make("1")).unwrap(), "1");
        server.stop();
        assert_eq!(
            *pile.get_or_try_create(make("2")).unwrap(),
            "1",
            "the copy serves"
        );
        let trips = store.round_trips();
        // The store is left alone: nobody asks it, so nobody waits.
        for _ in 0..100 {
            assert_eq!(*pile.get_or_try_create(make("2")).unwrap(), "1");
        }
        assert!(store.round_trips() - trips <= 2);
        let error = store.put(&key("a"), &put(Guarded::Any, b"x")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert!(
            error.to_string().contains("did not answer within 500ms"),
            "{error}"
        );
        server.go_on();
        // Whatever was under way when it stopped, the store serves again.
        let begun = Instant::now();
        while store.put(&key("b"), &put(Guarded::Any, b"x")).is_err() {
            assert!(begun.elapsed() < SECOND * 10, "it serves again");
        }
        assert_eq!(bytes(&*store, &key("b")).as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn tasks_are_told_in_time_as_well() {
        let Some(server) = Server::unix() else { return };
        runtime().block_on(async {
            let limit = Duration::from_millis(500);
            let builder = MemcachedStore::builder([server.address()]).timeout(limit);
            let store = builder.connect_tokio().await.unwrap();
            server.stop();
            let error = store
                .get_or_lease(&key("a"), &Ask::peek())
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("did not answer within 500ms"),
                "{error}"
            );
            let asks = [
                (key("a"), Ask::peek()),
                (key("b"), Ask::lead(Owner::draw(), LONG)),
            ];
            let answers = store.get_or_lease_many(&asks).await;
            assert!(answers.iter().all(Result::is_err));
            server.go_on();
            let (any, begun) = (put(Guarded::Any, b"2"), Instant::now());
            while store.put(&key("a"), &any).await.is_err() {
                assert!(begun.elapsed() < SECOND * 10, "it serves again");
            }
        });
    }
}

mod full {
    use super::*;

    /// Fills it with what others keep there, and says what the last one was told.
    fn fill(server: &Server, items: usize, size: usize) -> String {
        let mut last = String::new();
        let (mut sent, data) = (Vec::new(), vec![b'x'; size]);
        for number in 0..items {
            let name = Name::new(format!("foreign:{number:028}")).unwrap();
            request::set(&mut sent, &name, &data, &[]);
            if sent.len() > 1 << 16 || number + 1 == items {
                let replies = server.ask(&std::mem::take(&mut sent));
                last = format!("{:?}", replies.last().unwrap());
            }
        }
        last
    }

    #[test]
    fn without_eviction_a_write_is_refused_by_name_and_reads_go_on() {
        let Some(server) = Server::start(Kind::Unix, &["-M", "-m", "2"]) else {
            return;
        };
        let store = connect(&server);
        let k = key("a");
        let version = write(&*store, &k, &[1; 700]);
        let last = fill(&server, 4000, 900);
        assert!(last.contains("out of memory"), "{last}");
        let large = vec![2; 900];
        // Some room may be left in the class of an item; not for so many.
        let refused = (0..500).find_map(|number| {
            let any = put(Guarded::Any, &large);
            store.put(&key(&format!("new{number}")), &any).err()
        });
        let error = refused.expect("it is full");
        assert_eq!(error.kind, StoreErrorKind::Refused);
        let said = error.to_string();
        assert!(
            said.contains("has no room") && said.contains("-m") && said.contains("-M"),
            "{said}"
        );
        let found = peek(&*store, &k).unwrap().unwrap();
        assert_eq!((found.version, found.bytes), (version, Some(vec![1; 700])));
        // Whoever creates has his value all the same.
        let pile = FleetDogpile::builder(Arc::clone(&store), "page", LONG).build();
        let made = pile
            .get_or_try_create(|_| Ok::<_, String>("x".repeat(900)))
            .unwrap();
        assert_eq!(made.len(), 900);
        assert!(pile.stats().store_errors > 0 && pile.stats().unstored == 1);
    }

    #[test]
    fn with_eviction_what_was_evicted_is_created_again_and_a_late_commit_is_not_stored() {
        let Some(server) = Server::start(Kind::Unix, &["-m", "2"]) else {
            return;
        };
        let store = connect(&server);
        let k = key("a");
        write(&*store, &k, &[1; 700]);
        store.invalidate(&k, Depth::Soft, Version::NONE).unwrap();
        let grant = lead(&*store, &k);
        fill(&server, 20_000, 844);
        assert_eq!(cas(&server, &store, &k), None, "it is evicted");
        let next = lead(&*store, &k);
        assert_ne!(next.fence, grant.fence);
        assert!(!matches!(
            commit(&*store, &k, grant, b"late"),
            Placed::Stored(_)
        ));
        assert_eq!(
            commit(&*store, &k, next, b"new"),
            Placed::Stored(next.fence)
        );
        assert!(!matches!(
            commit(&*store, &k, grant, b"late"),
            Placed::Stored(_)
        ));
        assert_eq!(bytes(&*store, &k).as_deref(), Some(&b"new"[..]));
    }
}

mod connections {
    use super::*;

    #[test]
    fn of_the_server_run_out_is_said_with_the_remedy_and_passes() {
        let Some(server) = Server::start(Kind::Unix, &["-c", "32"]) else {
            return;
        };
        let held: Vec<_> = std::iter::from_fn(|| MemcachedStore::connect([server.address()]).ok())
            .take(100)
            .collect();
        assert!((1..100).contains(&held.len()), "{} are held", held.len());
        let error = MemcachedStore::connect([server.address()]).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        let said = error.to_string();
        assert!(
            said.contains(server.address()) && said.contains("-c"),
            "{said}"
        );
        // Those who have one go on.
        write(&held[0], &key("a"), b"1");
        let number = held.len();
        drop(held);
        let begun = Instant::now();
        let again = loop {
            match MemcachedStore::connect([server.address()]) {
                Ok(store) => break store,
                // The server needs a moment to see that they are closed.
                Err(_) => assert!(begun.elapsed() < SECOND * 10),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(
            bytes(&again, &key("a")).as_deref(),
            Some(&b"1"[..]),
            "{number} were held"
        );
    }

    #[test]
    fn of_the_process_are_shared_by_all_who_ask() {
        let Some(server) = Server::unix() else { return };
        let builder = || MemcachedStore::builder([server.address()]).timeout(SECOND * 20);
        let store = builder().connections(2).connect().unwrap();
        let done = AtomicU64::new(0);
        thread::scope(|threads| {
            for number in 0..8 {
                let (store, done) = (&store, &done);
                threads.spawn(move || {
                    for round in 0..20 {
                        write(store, &key(&format!("{number}-{round}")), b"x");
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 160);
        let open = |server: &Server| {
            let mut sent = Vec::new();
            request::stats(&mut sent, false);
            let stats = server.ask(&sent).into_iter();
            let mut open = stats.filter_map(|stat| match stat {
                Reply::Stat { name, value } if name == "curr_connections" => value.parse().ok(),
                _ => None,
            });
            open.next().unwrap_or(u64::MAX)
        };
        // Its own, that of this question, and those by which it listens.
        assert!(open(&server) <= 5, "{}", open(&server));
    }

    #[test]
    fn of_the_process_all_in_use_is_said_with_the_remedy() {
        let Some(server) = Server::unix() else { return };
        let limit = Duration::from_millis(300);
        let builder = MemcachedStore::builder([server.address()]).timeout(limit);
        let store = builder.connections(1).connect().unwrap();
        server.stop();
        // All at once: who comes later may have the place of one who has given up.
        let gate = Barrier::new(6);
        let ask = || {
            gate.wait();
            peek(&store, &key("a")).unwrap_err().to_string()
        };
        let texts = thread::scope(|threads| {
            let asks: Vec<_> = (0..6).map(|_| threads.spawn(ask)).collect();
            let texts = asks.into_iter().map(|ask| ask.join().unwrap());
            texts.collect::<Vec<_>>().join("\n")
        });
        server.go_on();
        assert!(texts.contains("raise `connections`"), "{texts}");
    }
}

mod between {
    use super::*;

    fn proxied(limit: u64) -> Option<(Server, Proxy, Arc<MemcachedStore>)> {
        let server = Server::start(Kind::Tcp, &[])?;
        let proxy = Proxy::new(&server);
        let limit = Duration::from_millis(limit);
        let store = MemcachedStore::builder([proxy.address()]).timeout(limit);
        let store = Arc::new(store.connect().unwrap());
        Some((server, proxy, store))
    }

    #[test]
    fn replies_that_are_cut_in_the_middle_are_errors_and_leave_no_harm() {
        let Some((server, proxy, store)) = proxied(2_000) else {
            return;
        };
        let (other, k) = (connect(&server), key("a"));
        write(&*store, &k, &[7; 200]);
        for at in (0..420).step_by(7) {
            proxy.harm(Harm::Cut(at));
            // One of them may pass whole, and the next is cut.
            let found: Vec<_> = (0..3).map(|_| peek(&*store, &k)).collect();
            for found in found.iter().flatten() {
                let bytes = found.as_ref().unwrap().bytes.as_deref();
                assert_eq!(bytes, Some(&[7; 200][..]));
            }
            assert!(found.iter().any(Result::is_err), "cut after {at}");
            proxy.harm(Harm::None);
            assert_eq!(bytes(&*store, &k), Some(vec![7; 200]), "cut after {at}");
        }
        // The same for each step of a creation and of a write.
        for at in (0..900).step_by(13) {
            let k = key(&format!("cut {at}"));
            proxy.harm(Harm::Cut(at));
            let owner = Owner::draw();
            let found = store.get_or_lease(&k, &Ask::lead(owner, LONG));
            if let Ok(Found::Leased { fence, .. }) = found {
                let _ = store.put(&k, &put(Guarded::Lease(Grant { owner, fence }), b"mine"));
            }
            let _ = store.put(&k, &put(Guarded::Any, b"mine"));
            let _ = store.invalidate(&k, Depth::Soft, Version::NONE);
            proxy.harm(Harm::None);
            let version = write(&*store, &k, b"theirs");
            assert_eq!(peek(&*other, &k).unwrap().unwrap().version, version);
        }
    }

    #[test]
    fn an_answer_to_a_commit_that_is_lost_is_found_out() {
        let Some((_server, proxy, store)) = proxied(2_000) else {
            return;
        };
        let k = key("a");
        let grant = lead(&*store, &k);
        proxy.harm(Harm::Lost(0));
        assert_eq!(
            commit(&*store, &k, grant, b"1"),
            Placed::Stored(grant.fence)
        );
        let found = peek(&*store, &k).unwrap().unwrap();
        assert_eq!(
            (found.version, found.bytes.as_deref()),
            (grant.fence, Some(&b"1"[..]))
        );
    }

    #[test]
    fn a_write_whose_answer_is_lost_is_not_made_again_and_a_look_is() {
        let Some((server, proxy, store)) = proxied(2_000) else {
            return;
        };
        let (other, k) = (connect(&server), key("a"));
        let before = write(&*store, &k, b"1");
        // The answer to the look passes, and the one to the write does not.
        proxy.harm(Harm::Lost(1));
        let requests = proxy.requests();
        let error = store.put(&k, &put(Guarded::Any, b"2")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert_eq!(proxy.requests() - requests, 2);
        // It was made, and another may come after it.
        let found = peek(&*other, &k).unwrap().unwrap();
        assert!(found.version > before && found.bytes.as_deref() == Some(b"2"));
        // A look changes nothing, so it is asked again, on a new connection.
        peek(&*store, &k).unwrap();
        proxy.harm(Harm::Lost(0));
        assert_eq!(bytes(&*store, &k).as_deref(), Some(&b"2"[..]));
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_value() {
        let Some((_server, proxy, store)) = proxied(2_000) else {
            return;
        };
        let k = key("a");
        write(&*store, &k, b"1");
        let nonsense: &[&[u8]] = &[
            b"\r\n",
            b"VA\r\n",
            b"VA 18446744073709551615 c1\r\n",
            b"VA 99999999 c1\r\n",
            b"VA 2 c1\r\nxxxxxx\r\n",
            b"VA 1\r\nx\r\nVA 0\r\n\r\n",
            b"HD\r\nHD\r\nHD\r\nHD\r\n",
            b"NS\r\nNS\r\n",
            b"EN\r\nEN\r\n",
            b"CLIENT_ERROR bad command line format\r\n",
            b"ERROR\r\n",
            b"SERVER_ERROR out of memory\r\nSERVER_ERROR out of memory\r\n",
            b"$-1\r\n+OK\r\n",
            &[0xff; 4096],
        ];
        for nonsense in nonsense {
            proxy.harm(Harm::Nonsense(nonsense));
            let error = peek(&*store, &k).unwrap_err();
            let known = matches!(
                error.kind,
                StoreErrorKind::Protocol | StoreErrorKind::Refused
            );
            assert!(known, "{}: {error}", nonsense.escape_ascii());
            proxy.harm(Harm::None);
            assert_eq!(bytes(&*store, &k).as_deref(), Some(&b"1"[..]));
        }
    }

    #[test]
    fn who_was_cut_off_past_its_lease_overwrites_nothing_when_it_is_back() {
        let Some((server, proxy, cut_off)) = proxied(400) else {
            return;
        };
        let clock = manual_clock();
        let here = MemcachedStore::builder([server.address()]).clock(clock.clone());
        let (here, k) = (here.connect().unwrap(), key("a"));
        let grant = lead(&*cut_off, &k);
        proxy.harm(Harm::Silence);
        // It asks to commit, and the request hangs between the two.
        let error = cut_off
            .put(&k, &put(Guarded::Lease(grant), b"late"))
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        clock.advance(LONG * 2);
        let next = lead(&here, &k);
        assert_eq!(commit(&here, &k, next, b"new"), Placed::Stored(next.fence));
        // Now what hung arrives, and it asks again.
        proxy.harm(Harm::None);
        let late = cut_off.put(&k, &put(Guarded::Lease(grant), b"late"));
        assert!(!matches!(late, Ok(Placed::Stored(_))), "{late:?}");
        assert_eq!(bytes(&here, &k).as_deref(), Some(&b"new"[..]));
        assert!(!cut_off.renew(&k, grant, LONG).unwrap());
    }

    #[test]
    fn a_pile_that_is_cut_off_goes_on_with_its_value_and_takes_the_newer_one_when_it_is_back() {
        let Some((server, proxy, cut_off)) = proxied(400) else {
            return;
        };
        let (cut_off, here) = (pile(&cut_off, LONG), pile(&connect(&server), LONG));
        assert_eq!(*cut_off.get_or_try_create(make("1")).unwrap(), "1");
        proxy.harm(Harm::Silence);
        here.set("2".to_owned()).unwrap();
        let stale = cut_off.get_or_try_create(make("3")).unwrap();
        assert_eq!(*stale, "1");
        drop(stale);
        proxy.harm(Harm::None);
        let begun = Instant::now();
        while *cut_off.get_or_try_create(make("3")).unwrap() != "2" {
            assert!(begun.elapsed() < SECOND * 10, "it takes the newer one");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cut_off.stats().creations, 1);
        assert_eq!(*here.get_or_try_create(make("3")).unwrap(), "2");
    }
}

mod clocks {
    use super::*;

    /// A process whose clock is an hour off in either direction, beside one whose clock is right.
    #[test]
    fn that_are_off_make_nothing_older_come_over_something_newer() {
        let Some(server) = Server::unix() else {
            return;
        };
        let open = |clock: &Arc<dogpile::ManualClock>| {
            let builder = MemcachedStore::builder([server.address()]).clock(clock.clone());
            builder.connect().unwrap()
        };
        let hour = SECOND * 3600;
        for ahead in [true, false] {
            let (right, off) = (manual_clock(), manual_clock());
            let (here, there) = (open(&right), open(&off));
            match ahead {
                true => off.advance(hour),
                false => back(&off, hour),
            }
            let k = key(if ahead { "ahead" } else { "behind" });
            let first = lead(&here, &k);
            // Ahead, the other takes the lease for over: two create at once. Behind, it waits no longer
            // than the lease lasts.
            let owner = Owner::draw();
            let found = there.get_or_lease(&k, &Ask::lead(owner, LONG)).unwrap();
            let second = match found {
                Found::Leased { fence, .. } if ahead => Grant { owner, fence },
                Found::Busy { retry_in, .. } if !ahead => {
                    assert!(retry_in <= LONG + SECOND * 2, "{retry_in:?}");
                    off.advance(retry_in);
                    lead(&there, &k)
                }
                other => panic!("{other:?}"),
            };
            assert!(second.fence > first.fence);
            assert!(!is_stored(commit(&here, &k, first, b"older")));
            assert_eq!(
                commit(&there, &k, second, b"newer"),
                Placed::Stored(second.fence)
            );
            assert!(!is_stored(commit(&here, &k, first, b"older")));
            assert_eq!(bytes(&there, &k).as_deref(), Some(&b"newer"[..]));
            // The other one sees it, fresh or stale, or that it is over, and never an older one.
            let seen = peek(&here, &k).unwrap();
            assert!(seen.is_none_or(|seen| seen.bytes.as_deref() == Some(b"newer")));
            let version = write(&here, &k, b"newest");
            assert!(version > second.fence);
            assert_eq!(bytes(&here, &k).as_deref(), Some(&b"newest"[..]));
        }
    }
}

mod one_of_three {
    use super::*;

    #[test]
    fn is_down_and_the_keys_of_the_others_are_served() {
        let servers: Option<Vec<_>> = (0..3).map(|_| Server::unix()).collect();
        let Some(mut servers) = servers else { return };
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| server.address().to_owned())
            .collect();
        let store = MemcachedStore::connect(addresses.clone()).unwrap();
        let keys: Vec<_> = (0..30).map(|number| key(&format!("{number}"))).collect();
        for key in &keys {
            write(&store, key, key.as_bytes());
        }
        servers[1].kill();
        let is_down = |key: &Key| store.place_of(key).0 == addresses[1];
        let down = keys.iter().filter(|key| is_down(key)).count();
        assert!((1..30).contains(&down));
        let asks: Vec<_> = keys.iter().map(|key| (key.clone(), Ask::peek())).collect();
        let before = store.round_trips();
        let answers = store.get_or_lease_many(&asks);
        assert_eq!(store.round_trips() - before, 3, "who is down is asked once");
        for ((key, _), answer) in asks.iter().zip(answers) {
            match answer {
                Ok(found) => {
                    assert!(!is_down(key));
                    assert_eq!(
                        found.stored().unwrap().bytes.as_deref(),
                        Some(key.as_bytes())
                    );
                }
                Err(error) => {
                    assert!(is_down(key));
                    assert_eq!(error.kind, StoreErrorKind::Unavailable);
                }
            }
            // No key moves to another server, where an older value may be.
            assert_eq!(peek(&store, key).is_err(), is_down(key));
        }
        let error = store.invalidate_all("test", Depth::Hard).unwrap_err();
        assert!(error.to_string().contains(&addresses[1]), "{error}");
        servers[1].start_again();
        store.invalidate_all("test", Depth::Hard).unwrap();
        for key in &keys {
            assert_eq!(peek(&store, key).unwrap(), None);
        }
    }
}

mod all_at_once {
    use super::*;

    /// The value is the number that the source had when its creation began. A write raises the source
    /// first. So once a write or an invalidation has returned, a smaller number is something older.
    fn run(server: &mut Server, fenced: bool, rounds: u64) -> u64 {
        let source = AtomicU64::new(0);
        let older = AtomicU64::new(0);
        let stores: Vec<_> = (0..3)
            .map(|_| Arc::new(MemcachedStore::connect([server.address()]).unwrap()))
            .collect();
        let over = AtomicU64::new(0);
        thread::scope(|threads| {
            for (number, store) in stores.iter().enumerate() {
                let (source, over) = (&source, &over);
                threads.spawn(move || {
                    let mut turn = number as u64;
                    while over.load(Ordering::SeqCst) == 0 {
                        turn += 1;
                        let k = key("raced");
                        let owner = Owner::draw();
                        let ask = Ask::lead(owner, SECOND);
                        let Ok(Found::Leased { fence, .. }) = store.get_or_lease(&k, &ask) else {
                            continue;
                        };
                        let made = source.load(Ordering::SeqCst);
                        if turn.is_multiple_of(3) {
                            thread::sleep(Duration::from_micros(turn % 700));
                        }
                        let guard = match fenced {
                            true => Guarded::Lease(Grant { owner, fence }),
                            false => Guarded::Any,
                        };
                        let _ = store.put(&k, &put(guard, &made.to_be_bytes()));
                    }
                });
            }
            let store = MemcachedStore::connect([server.address()]).unwrap();
            let k = key("raced");
            for round in 0..rounds {
                let floor = source.fetch_add(1, Ordering::SeqCst) + 1;
                let done = match round % 4 {
                    0 => store.invalidate(&k, Depth::Hard, Version::NONE).is_ok(),
                    1 => store
                        .put(&k, &put(Guarded::Any, &floor.to_be_bytes()))
                        .is_ok(),
                    2 => store.invalidate_all("test", Depth::Hard).is_ok(),
                    _ => {
                        server.flush();
                        true
                    }
                };
                if !done {
                    continue;
                }
                // Whoever led before has lost: for a while, nothing older is there.
                for _ in 0..4 {
                    if let Ok(Found::Fresh(stored)) = store.get_or_lease(&k, &Ask::peek()) {
                        let bytes = stored.bytes.unwrap();
                        let made = u64::from_be_bytes(bytes.try_into().unwrap());
                        older.fetch_add(u64::from(made < floor), Ordering::SeqCst);
                    }
                }
            }
            over.store(1, Ordering::SeqCst);
        });
        older.into_inner()
    }

    #[test]
    fn nothing_older_comes_over_something_newer_and_a_store_without_fences_is_caught() {
        let Some(mut server) = Server::unix() else {
            return;
        };
        assert_eq!(run(&mut server, true, 1200), 0);
        assert!(run(&mut server, false, 1200) > 0, "the control has to fail");
    }

    #[test]
    fn the_oldest_answer_of_a_pile_is_bounded_whatever_happens_to_the_server() {
        let Some(mut server) = Server::unix() else {
            return;
        };
        let store = MemcachedStore::builder([server.address()]);
        let store = store.timeout(Duration::from_millis(300)).connect().unwrap();
        let ttl = Duration::from_millis(50);
        let stale = Duration::from_millis(1_000);
        let pile = FleetDogpile::builder(Arc::new(store), "key", ttl)
            .stale_while_revalidate(stale)
            .local_ttl(Duration::ZERO)
            .build();
        let begun = Instant::now();
        let make =
            |_: Creation<'_, String>| Ok::<_, String>(begun.elapsed().as_micros().to_string());
        let oldest = thread::scope(|threads| {
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    threads.spawn(|| {
                        let mut oldest = Duration::ZERO;
                        while begun.elapsed() < Duration::from_millis(2_400) {
                            let value = pile.get_or_try_create(make).unwrap();
                            let made = Duration::from_micros(value.parse().unwrap());
                            oldest = oldest.max(begun.elapsed().saturating_sub(made));
                        }
                        oldest
                    })
                })
                .collect();
            let pause = || thread::sleep(Duration::from_millis(150));
            pause();
            server.stop();
            pause();
            pause();
            pause();
            server.go_on();
            pause();
            server.kill();
            pause();
            server.start_again();
            pause();
            server.flush();
            let oldest = callers.into_iter().map(|caller| caller.join().unwrap());
            oldest.max().unwrap()
        });
        // The ttl, how long it may be stale, and the time that one who is elected may wait.
        assert!(oldest < ttl + stale + SECOND, "{oldest:?}");
        assert!(pile.stats().stored > 3, "{:?}", pile.stats());
    }
}
