//! Every case of a store, asked by threads and by tasks, over unix sockets and TCP, with one server and
//! with three.
//!
//! ```breakages
//! memcached-lets-everybody-lead | stores/memcached/src/verbs.rs
//! @ fn condition
//! - Flag::Cas
//! + |_| Flag::Ttl(0)
//!
//! memcached-commits-into-an-emptied-namespace | stores/memcached/src/verbs.rs
//! - server.space(replies.next())?.generation == state.space
//! + true
//!
//! memcached-numbers-what-was-forgotten-from-one | stores/memcached/src/verbs.rs
//! - (before + 1).max((now / 1000) << DRAWN | drawn)
//! + before + 1
//!
//! memcached-invalidates-and-leaves-the-lease | stores/memcached/src/verbs.rs
//! - state.overtake(number(state.generation, seen.now));
//!
//! memcached-removes-softly | stores/memcached/src/verbs.rs
//! @ fn invalidate(
//! - invalidated(*head, depth)
//! + invalidated(*head, Depth::Soft)
//! ```

use std::sync::Arc;
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_fleet::conformance::{self, CASES, Driven, Subject};
use dogpile_fleet::{Key, Store};
use dogpile_memcached::MemcachedBuilder;
use dogpile_memcached::meta::{Flag, Marks, Name, Reply, request};
use tokio::runtime::Runtime;

use crate::bench::{On, back, builder, manual_clock, runtime, write};
use crate::server::{Kind, Server};

struct Memcached {
    servers: Vec<Server>,
    clock: Arc<ManualClock>,
    runtime: Option<Arc<Runtime>>,
}

impl Memcached {
    fn builder(&self) -> MemcachedBuilder {
        let builder = builder(&self.servers);
        builder.clock(self.clock.clone()).connections(16)
    }

    /// The item of this key.
    fn item(&self, key: &Key) -> (&Server, Name) {
        let store = self.builder().connect_lazily().unwrap();
        let (address, name) = store.place_of(key);
        let mut servers = self.servers.iter();
        let server = servers.find(|server| server.address() == address);
        (server.expect("it is one of them"), name)
    }
}

impl Subject for Memcached {
    fn store(&self) -> Arc<dyn Store> {
        match &self.runtime {
            None => Arc::new(self.builder().connect().unwrap()),
            Some(runtime) => {
                let store = runtime.block_on(self.builder().connect_tokio()).unwrap();
                Arc::new(Driven::new(store, On(Arc::clone(runtime))))
            }
        }
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn step_back(&self, span: Duration) -> bool {
        back(&self.clock, span);
        true
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        let (server, item) = self.item(key);
        let mut sent = Vec::new();
        request::delete(&mut sent, &item, &[]);
        assert_eq!(server.ask(&sent), [Reply::Header(Marks::default())]);
        true
    }

    fn garble(&self, store: &dyn Store, key: &Key, number: usize) -> bool {
        let read = |key: &Key| {
            let (server, item) = self.item(key);
            let mut sent = Vec::new();
            request::get(&mut sent, &item, &[Flag::ReturnValue]);
            match server.ask(&sent).pop() {
                Some(Reply::Value { data, .. }) => data,
                other => panic!("no item: {other:?}"),
            }
        };
        let mut bytes = read(key);
        match number {
            // Torn, at each of several lengths.
            0 => bytes.clear(),
            1 => bytes.truncate(1),
            2 => bytes.truncate(143),
            3 => bytes.truncate(144),
            4 => drop(bytes.pop()),
            // Too long.
            5 => bytes.push(0),
            // One bit in the magic number, the generation, a time, the version, the value.
            6 => bytes[0] ^= 1,
            7 => bytes[9] ^= 1,
            8 => bytes[33] ^= 1,
            9 => bytes[81] ^= 1,
            10 => bytes[144] ^= 1,
            // A length that no machine has room for.
            11 => bytes[128..136].fill(0xff),
            12 => bytes.fill(0),
            13 => bytes.fill(0xff),
            14 => bytes = b"what another program keeps under this name".to_vec(),
            // Another key's.
            15 => {
                let other = Key::new("conformance", b"another", 0);
                write(store, &other, b"foreign");
                bytes = read(&other);
            }
            // A later format's.
            16 => bytes[7] = b'2',
            _ => return false,
        }
        let (server, item) = self.item(key);
        let mut sent = Vec::new();
        request::set(&mut sent, &item, &bytes, &[]);
        assert_eq!(server.ask(&sent), [Reply::Header(Marks::default())]);
        true
    }
}

fn run(kind: Kind, servers: usize, tasks: bool) {
    let started: Option<Vec<_>> = (0..servers)
        .map(|_| Server::start(kind, &["-I", "2m"]))
        .collect();
    let Some(servers) = started else { return };
    let report = conformance::run(&Memcached {
        servers,
        clock: manual_clock(),
        runtime: tasks.then(|| Arc::new(runtime())),
    });
    assert!(report.failed.is_empty(), "{report}");
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    // There are no hints.
    assert_eq!(numbers, ["40"], "{report}");
    assert_eq!(report.passed.len() + report.skipped.len(), CASES.len());
}

#[test]
fn of_threads_over_a_unix_socket() {
    run(Kind::Unix, 1, false);
}

#[test]
fn of_threads_over_tcp_with_three_servers() {
    run(Kind::Tcp, 3, false);
}

#[test]
fn of_tasks_over_a_unix_socket_with_three_servers() {
    run(Kind::Unix, 3, true);
}

#[test]
fn of_tasks_over_tcp() {
    run(Kind::Tcp, 1, true);
}
