//! Hints: who listens hears of what others do, says that it missed something when it was cut off, and
//! ends with its store.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile_fleet::{Depth, Described, Guarded, Hint, Key, Placed, Store, Version, Watch};
use dogpile_redis::{RedisStore, Settings};
use store_bench::{MINUTE, Process, lead, put};

use crate::bench::{Clock, settings};
use crate::server::{self, Server, server, wait_until};
use herd::Line;

#[derive(Default)]
struct Notes(Mutex<Vec<Hint>>);

impl Watch for Notes {
    fn hint(&self, hint: &Hint) {
        self.0.lock().unwrap().push(hint.clone());
    }
}

impl Notes {
    fn of(store: &RedisStore) -> Arc<Self> {
        let notes = Arc::new(Self::default());
        assert!(store.watch(Arc::downgrade(&notes) as Weak<dyn Watch>));
        notes.wait_for(&Hint::Missed);
        notes
    }

    fn wait_for(&self, hint: &Hint) {
        wait_until(|| self.0.lock().unwrap().contains(hint));
        self.0.lock().unwrap().clear();
    }
}

fn key() -> Key {
    Key::new("hints", "key", 0)
}

fn listeners(server: &Server) -> usize {
    let list: String = server.say(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    list.lines().filter(|line| !line.is_empty()).count()
}

#[test]
fn what_another_process_writes_is_seen_without_asking() {
    let server = server!();
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store_with(settings()));
    let b = Process::with(&clock.here, server.store_with(settings()), |builder| {
        builder.watched()
    });
    assert_eq!((a.call(1), b.has()), (1, 1));
    wait_until(|| listeners(&server) == 1);
    for value in 2..20 {
        a.pile.set(value).unwrap();
        // Its copy would be fresh for long.
        wait_until(|| b.has() == value);
    }
    a.pile.invalidate().unwrap();
    wait_until(|| b.call(20) == 20);
    assert!(b.pile.stats().hints >= 19);
}

#[test]
fn whoever_was_cut_off_missed_something_and_hears_again() {
    let mut server = server!();
    let store = server.store();
    let notes = Notes::of(&store);
    for _ in 0..2 {
        server.restart();
        notes.wait_for(&Hint::Missed);
        store
            .invalidate(&key(), Depth::Hard, Version::NONE)
            .unwrap();
        notes.wait_for(&Hint::Changed {
            key: key(),
            version: Version::NONE,
            depth: Depth::Hard,
        });
    }
}

#[test]
fn who_hears_nothing_asks_whether_the_line_is_alive() {
    if !server::is_here() {
        return;
    }
    let server = Server::on_port(&[]);
    let proxy = Line::to(server.address());
    let client = redis::Client::open(format!("redis://{}/", proxy.address())).unwrap();
    let settings = Settings::new().timeout(Duration::from_millis(300));
    let store = RedisStore::new(client, settings).unwrap();
    let notes = Notes::of(&store);
    let missed = || notes.0.lock().unwrap().contains(&Hint::Missed);
    // Nothing comes through, and no end of the connection either.
    proxy.swallow(true);
    std::thread::sleep(Duration::from_secs(3));
    proxy.swallow(false);
    wait_until(missed);
}

#[test]
fn listening_ends_with_the_store_and_begins_with_the_first_who_watches() {
    let server = server!();
    let store = server.store();
    store.put(&key(), &put(Guarded::Any, b"")).unwrap();
    assert_eq!(listeners(&server), 0);
    let (first, second) = (Notes::of(&store), Arc::new(Notes::default()));
    assert!(store.watch(Arc::downgrade(&second) as Weak<dyn Watch>));
    assert_eq!(listeners(&server), 1);
    drop((store, first));
    wait_until(|| listeners(&server) == 0);
    // Also where the server cannot be reached.
    let nobody = RedisStore::open("redis://127.0.0.1:1/").unwrap();
    assert!(nobody.watch(Arc::downgrade(&second) as Weak<dyn Watch>));
    drop(nobody);
}

/// Who sleeps until somebody else is done wakes at each of these.
#[test]
fn what_ends_a_lease_is_said() {
    let server = server!();
    let store = server.store();
    let mut connection = server.client().get_connection().unwrap();
    let mut said = connection.as_pubsub();
    said.psubscribe("dogpile:hints:*").unwrap();
    said.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut assert_said = |kind: &str, version: u64| {
        let message = said.get_message().unwrap();
        assert_eq!(message.get_channel_name(), "dogpile:hints:hints");
        let text: String = message.get_payload().unwrap();
        let name = match kind {
            "n" | "N" => "hints",
            _ => "dogpile:{hints}:5:hints:key#0000000000000000",
        };
        assert_eq!(text, format!("{kind}{version} {name}"));
    };
    let grant = lead(&*store, &key(), MINUTE);
    assert!(store.release(&key(), grant, Duration::ZERO).unwrap());
    assert_said("R", 0);
    let grant = lead(&*store, &key(), MINUTE);
    store.put(&key(), &put(Guarded::Lease(grant), b"")).unwrap();
    assert_said("C", grant.fence.0);
    let Placed::Stored(version) = store.put(&key(), &put(Guarded::Any, b"")).unwrap() else {
        panic!("it is stored")
    };
    assert_said("W", version.0);
    for (depth, kind) in [(Depth::Soft, "S"), (Depth::Hard, "H")] {
        store.invalidate(&key(), depth, Version::NONE).unwrap();
        assert_said(kind, 0);
    }
    // Once, however many slices there are.
    let sliced = server.store_with(Settings::new().slices(5));
    for (depth, kind) in [(Depth::Soft, "n"), (Depth::Hard, "N")] {
        for store in [&store, &sliced] {
            store.invalidate_all("hints", depth).unwrap();
            assert_said(kind, 0);
        }
    }
}

#[test]
fn what_others_say_on_the_channel_is_no_harm() {
    let server = server!();
    let store = server.store();
    let notes = Notes::of(&store);
    for message in [
        "",
        " ",
        "C",
        "C1 ",
        "C1 x",
        "X1 dogpile:{a}:1:a:b#0000000000000000",
        "\u{0}\u{ff}",
    ] {
        let heard: i64 = server.say(&["PUBLISH", "dogpile:hints:hints", message]);
        assert_eq!(heard, 1);
    }
    store
        .invalidate(&key(), Depth::Soft, Version::NONE)
        .unwrap();
    notes.wait_for(&Hint::Changed {
        key: key(),
        version: Version::NONE,
        depth: Depth::Soft,
    });
}
