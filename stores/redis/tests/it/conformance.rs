//! Every case of a store, on every form of this one, with and without hints.
//!
//! ```breakages
//! redis-lets-everybody-lead | stores/redis/src/scripts/ask.lua
//! - local leased = is_leased(r)
//! + local leased = false
//!
//! redis-forgets-the-interval | stores/redis/src/scripts/ask.lua
//! - if r.b > 0 then over = math.max(over, r.b + interval) end
//!
//! redis-commits-for-anybody | stores/redis/src/scripts/put.lua
//! - not holds(r, owner, number) or
//! + false or
//!
//! redis-tells-nobody-of-values | stores/redis/src/scripts/put.lua
//! - tell(ARGV[8], guard == 'L' and 'C' or 'W', digits(r.g), r.key)
//!
//! redis-renews-for-anybody | stores/redis/src/scripts/renew.lua
//! - if not holds(r, ARGV[1], ARGV[2]) or r.l <= now then return 0 end
//!
//! redis-releases-for-anybody | stores/redis/src/scripts/release.lua
//! - if not holds(r, ARGV[1], ARGV[2]) then return 0 end
//!
//! redis-counts-no-failures | stores/redis/src/scripts/release.lua
//! - r.n + 1
//! + r.n
//!
//! redis-invalidates-and-leaves-the-lease | stores/redis/src/scripts/invalidate.lua
//! - overtake(r)
//!
//! redis-removes-softly | stores/redis/src/scripts/invalidate.lua
//! - r.h = nil
//! + r.h.x = 1
//!
//! redis-removes-a-namespace-softly | stores/redis/src/scripts/invalidate_all.lua
//! - removed = generation
//! + removed = removed
//!
//! redis-numbers-what-was-forgotten-from-one | stores/redis/src/scripts/record.lua
//! @ local function following
//! - math.max(r.g + 1, now)
//! + r.g + 1
//!
//! redis-trusts-a-clock-that-was-put-back | stores/redis/src/scripts/record.lua
//! - if r.b > now + STEP then
//! + if false then
//!
//! redis-trusts-a-value-of-the-future | stores/redis/src/scripts/record.lua
//! - if r.h and r.h.p > now + STEP then
//! + if false then
//!
//! redis-keeps-leases-of-an-emptied-namespace | stores/redis/src/scripts/record.lua
//! - if r.s ~= generation then
//! + if false then
//! ```

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile_fleet::conformance::{self, BlockOn, CASES, Case, Driven, Report, Subject};
use dogpile_fleet::{Hint, Key, Store, Watch};
use dogpile_redis::{AsyncRedisStore, RedisStore, Settings};
use redis::cluster::ClusterClient;
use tokio::runtime::{Handle, Runtime};

use crate::server::{Server, server, wait_until};

/// So large a value is refused in these cases.
const MAX_VALUE: u64 = 1 << 20;
const CLOCK: &str = "{dogpile}clock";

fn assert_all(report: &Report, skipped: &[&str]) {
    assert!(report.failed.is_empty(), "{report}");
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    assert_eq!(numbers, skipped, "{report}");
    assert_eq!(report.passed.len() + skipped.len(), CASES.len());
}

/// Which form of the store, and what is done to it.
struct Redis<F> {
    server: Server,
    /// Makes a store with these settings.
    form: F,
    /// Whether its time is moved by hand instead of waiting for it to pass.
    by_hand: bool,
    settings: Settings,
    /// Kept, for a weak one is forgotten.
    heard: Mutex<Option<Arc<Heard>>>,
    /// How many of the connections that listen were cut.
    ways: AtomicU64,
}

impl<F: Fn(&Server, Settings) -> Arc<dyn Store> + Sync> Redis<F> {
    fn new(server: Server, settings: Settings, form: F) -> Self {
        Self {
            server,
            form,
            by_hand: false,
            settings: settings.max_value(MAX_VALUE),
            heard: Mutex::default(),
            ways: AtomicU64::new(0),
        }
    }

    fn by_hand(mut self) -> Self {
        let _: () = self.server.say(&["SET", CLOCK, "1700000000000000"]);
        self.settings = self.settings.clock(CLOCK);
        self.by_hand = true;
        self
    }

    fn record(&self, key: &Key) -> Vec<u8> {
        let all: Vec<Vec<u8>> = self.server.say(&["KEYS", "dogpile:*"]);
        let mut named = all
            .into_iter()
            .filter(|name| name.ends_with(&[b":", key.as_bytes()].concat()));
        named.next().expect("it is stored")
    }

    fn on(&self, key: &Key, command: &str, rest: &[&[u8]]) {
        let name = self.record(key);
        let mut connection = self.server.client().get_connection().expect("a connection");
        let mut cmd = redis::cmd(command);
        cmd.arg(name);
        for part in rest {
            cmd.arg(*part);
        }
        let _: redis::Value = cmd.query(&mut connection).expect("the server does it");
    }
}

/// Notes that hints were missed, as they are where it begins to listen.
#[derive(Default)]
struct Heard(AtomicBool);

impl Watch for Heard {
    fn hint(&self, hint: &Hint) {
        if *hint == Hint::Missed {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

impl<F: Fn(&Server, Settings) -> Arc<dyn Store> + Sync> Subject for Redis<F> {
    fn store(&self) -> Arc<dyn Store> {
        let store = (self.form)(&self.server, self.settings.clone());
        if store.abilities().hints {
            let heard = Arc::new(Heard::default());
            let weak: Weak<dyn Watch> = Arc::downgrade(&heard) as Weak<dyn Watch>;
            assert!(store.watch(weak));
            wait_until(|| heard.0.load(Ordering::SeqCst));
            *self.heard.lock().unwrap() = Some(heard);
        }
        store
    }

    fn pass(&self, span: Duration) {
        if self.by_hand {
            let micros = span.as_micros().to_string();
            let _: i64 = self.server.say(&["INCRBY", CLOCK, &micros]);
        } else {
            std::thread::sleep(span);
        }
    }

    fn step_back(&self, span: Duration) -> bool {
        if self.by_hand {
            let micros = span.as_micros().to_string();
            let _: i64 = self.server.say(&["DECRBY", CLOCK, &micros]);
        }
        self.by_hand
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        self.on(key, "DEL", &[]);
        true
    }

    fn garble(&self, _store: &dyn Store, key: &Key, number: usize) -> bool {
        let field = |name: &str, value: &[u8]| self.on(key, "HSET", &[name.as_bytes(), value]);
        let instead = |command: &str, rest: &[&[u8]]| {
            self.on(key, "DEL", &[]);
            // The name is gone, so it is told.
            let name = [b"dogpile:{conformance}:", key.as_bytes()].concat();
            let mut connection = self.server.client().get_connection().expect("a connection");
            let mut cmd = redis::cmd(command);
            cmd.arg(name);
            for part in rest {
                cmd.arg(*part);
            }
            let _: redis::Value = cmd.query(&mut connection).expect("the server does it");
        };
        match number {
            // Of another type.
            0 => instead("SET", &[b"foreign"]),
            1 => instead("RPUSH", &[b"foreign"]),
            2 => instead("ZADD", &[b"1", b"foreign"]),
            // A hash of somebody else's.
            3 => instead("HSET", &[b"name", b"value"]),
            4 => instead(
                "HSET",
                &[b"s", b"value", b"h", b"value", b"v", b"value", b"o", b"x"],
            ),
            // Torn.
            5 => self.on(key, "HDEL", &[b"v"]),
            6 => self.on(key, "HDEL", &[b"h"]),
            7 => self.on(key, "HDEL", &[b"s"]),
            8 => field("h", b""),
            9 => field("h", b"1 2 3"),
            10 => field("h", b"1 2 3 4 5 2 7"),
            11 => field("h", b"-1 2 3 4 5 0 7"),
            12 => field("h", b"1e3 2 3 4 5 0 7"),
            13 => field("h", b"nan 2 3 4 5 0 7"),
            // Numbers that Lua does not have.
            14 => field("h", b"9007199254740993 2 3 4 9007199254740993 0 7"),
            15 => field("s", b"99999999999999999999 0 0 0 0 0 0"),
            // As a later version may write it.
            16 => field("s", b"1 2 3 4 5 6 7 8"),
            17 => field("h", b"1 2 3 4 5 0 7 8"),
            18 => field("s", b"\xff\0"),
            _ => return false,
        }
        true
    }

    fn reconnect(&self, _store: &dyn Store) -> bool {
        let _: i64 = self.server.say(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        self.ways.fetch_add(1, Ordering::SeqCst);
        true
    }
}

fn blocking(server: &Server, settings: Settings) -> Arc<dyn Store> {
    server.store_with(settings)
}

/// Waits for a future as a thread outside of the runtime does.
struct Outside(Handle);

impl BlockOn for Outside {
    fn block_on<F: Future + Send>(&self, future: F) -> F::Output
    where
        F::Output: Send,
    {
        self.0.block_on(future)
    }
}

#[test]
fn blocking_by_a_clock_that_is_moved() {
    let redis = Redis::new(server!(), Settings::new(), blocking).by_hand();
    assert_all(&conformance::run(&redis), &[]);
    assert_eq!(redis.ways.into_inner(), 1, "it was reconnected");
}

#[test]
fn blocking_by_the_clock_of_the_server() {
    let redis = Redis::new(server!(), Settings::new(), blocking);
    let report = conformance::run_if(&redis, Case::bears_delays);
    assert!(
        report.failed.is_empty() && report.passed.len() > 10,
        "{report}"
    );
}

#[test]
fn blocking_in_slices() {
    let redis = Redis::new(server!(), Settings::new().slices(5), blocking).by_hand();
    // Those that destroy a record know only where it is in one slice.
    let report = conformance::run_if(&redis, |case| !case.name.starts_with("38"));
    assert!(
        report.failed.is_empty() && report.skipped.is_empty(),
        "{report}"
    );
}

#[test]
fn blocking_over_connections_of_ones_own_without_hints() {
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let client = server.client();
        let store = RedisStore::over(move || client.get_connection(), settings.keep(0));
        Arc::new(store.expect("a store"))
    };
    let redis = Redis::new(server!(), Settings::new(), form).by_hand();
    assert_all(&conformance::run(&redis), &["40"]);
}

#[test]
fn tasks_over_a_connection_manager() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let _inside = handle.enter();
        let store = AsyncRedisStore::with_client(server.client(), settings).expect("a store");
        Arc::new(Driven::new(store, Outside(handle.clone())))
    };
    let redis = Redis::new(server!(), Settings::new(), form).by_hand();
    assert_all(&conformance::run(&redis), &[]);
}

#[test]
fn tasks_over_a_connection_of_ones_own() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let connection = handle.block_on(server.client().get_multiplexed_async_connection());
        let _inside = handle.enter();
        let store = AsyncRedisStore::new(connection.unwrap(), settings).expect("a store");
        Arc::new(Driven::new(store, Outside(handle.clone())))
    };
    let redis = Redis::new(server!(), Settings::new(), form).by_hand();
    assert_all(&conformance::run(&redis), &["40"]);
}

/// A Cluster of one node, which owns all slots. It refuses scripts whose keys lie in several.
fn cluster() -> Server {
    let server = Server::on_port(&["--cluster-enabled", "yes"]);
    let _: () = server.say(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    wait_until(|| {
        let info: String = server.say(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    });
    server
}

#[test]
fn blocking_over_a_cluster() {
    if !crate::server::is_here() {
        return;
    }
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let client = ClusterClient::new([server.url()]).expect("a client");
        let settings = settings.hints_from(server.client());
        let store = RedisStore::over(move || client.get_connection(), settings);
        Arc::new(store.expect("a store"))
    };
    let redis = Redis::new(cluster(), Settings::new(), form);
    assert_all(&conformance::run(&redis), &["37"]);
}

#[test]
fn tasks_over_a_cluster_in_slices() {
    if !crate::server::is_here() {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let client = ClusterClient::new([server.url()]).expect("a client");
        let connection = handle.block_on(client.get_async_connection());
        let _inside = handle.enter();
        let settings = settings.hints_from(server.client());
        let store = AsyncRedisStore::new(connection.expect("a connection"), settings);
        Arc::new(Driven::new(
            store.expect("a store"),
            Outside(handle.clone()),
        ))
    };
    let redis = Redis::new(cluster(), Settings::new().slices(16), form);
    let report = conformance::run_if(&redis, |case| !case.name.starts_with("38"));
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    assert!(report.failed.is_empty() && numbers == ["37"], "{report}");
}
