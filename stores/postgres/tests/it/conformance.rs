//! Every case of a store, by threads and by tasks, with and without hints.
//!
//! ```breakages
//! postgres-lets-everybody-lead | stores/postgres/src/migration.sql
//! - leased := r.owner IS NOT NULL AND t < r.leased_until;
//! + leased := false;
//!
//! postgres-locks-no-row | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_load
//! - FOR UPDATE
//!
//! postgres-forgets-the-interval | stores/postgres/src/migration.sql
//! - IF r.began > 0 THEN over := greatest(over, r.began + intervals[i]); END IF;
//!
//! postgres-commits-for-anybody | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_put
//! - IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN; END IF;
//!
//! postgres-tells-nobody-of-values | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_put
//! - PERFORM dogpile_tell(hints, CASE WHEN guard = 'L' THEN 'C' ELSE 'W' END, r.version, k, n);
//!
//! postgres-renews-for-anybody | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_renew
//! - IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN false; END IF;
//!
//! postgres-releases-for-anybody | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_release
//! - IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN false; END IF;
//!
//! postgres-counts-no-failures | stores/postgres/src/migration.sql
//! - r.failures := r.failures + 1;
//!
//! postgres-invalidates-and-leaves-the-lease | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_invalidate(
//! - r := dogpile_overtake(r, t);
//!
//! postgres-removes-softly | stores/postgres/src/migration.sql
//! - IF hard THEN r.version := NULL; ELSE r.expired := true; END IF;
//! + r.expired := true;
//!
//! postgres-numbers-what-was-forgotten-from-one | stores/postgres/src/migration.sql
//! @ FUNCTION dogpile_ask
//! - greatest(r.generation + 1, t)
//! + r.generation + 1
//!
//! postgres-trusts-a-clock-that-was-put-back | stores/postgres/src/migration.sql
//! - IF r.began > t + 1000000 THEN
//! + IF false THEN
//!
//! postgres-trusts-a-value-of-the-future | stores/postgres/src/migration.sql
//! - r.placed > t + 1000000
//! + false
//!
//! postgres-keeps-leases-of-an-emptied-namespace | stores/postgres/src/migration.sql
//! - IF r.space <> g THEN
//! + IF false THEN
//! ```

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile_fleet::conformance::{self, BlockOn, CASES, Case, Driven, Report, Subject};
use dogpile_fleet::{Hint, Key, Store, Watch};
use dogpile_postgres::{AsyncPostgresStore, Settings};
use store_bench::SECOND;
use tokio::runtime::{Handle, Runtime};

use crate::bench::Clock;
use crate::server::{Server, server, wait_until};

/// So large a value is refused in these cases.
const MAX_VALUE: u64 = 1 << 20;

fn assert_all(report: &Report, skipped: &[&str]) {
    assert!(report.failed.is_empty(), "{report}");
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    assert_eq!(numbers, skipped, "{report}");
    assert_eq!(report.passed.len() + skipped.len(), CASES.len());
}

/// Which form of the store, and what is done to it.
struct Postgres<F> {
    server: Server,
    form: F,
    /// Its time is moved by hand instead of waiting for it to pass.
    clock: Option<Clock>,
    settings: Settings,
    /// Kept, for a weak one is forgotten.
    heard: Mutex<Option<Arc<Heard>>>,
}

impl<F> Postgres<F> {
    fn new(server: Server, form: F) -> Self {
        Self {
            server,
            form,
            clock: None,
            settings: Settings::new().timeout(SECOND * 20).max_value(MAX_VALUE),
            heard: Mutex::default(),
        }
    }

    fn by_hand(mut self) -> Self {
        self.clock = Some(Clock::new(&self.server));
        self
    }

    /// Does this to the row of a key.
    fn on(&self, key: &Key, sql: &str) {
        let name: String = (key.as_bytes().iter())
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let sql = sql.replace("$1", &format!("sha256('\\x{name}'::bytea)"));
        let one = format!("WITH done AS ({sql} RETURNING 1) SELECT count(*) FROM done");
        assert_eq!(self.server.sql(&one), "1", "{sql}");
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

impl<F: Fn(&Server, Settings) -> Arc<dyn Store> + Sync> Subject for Postgres<F> {
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
        match &self.clock {
            Some(clock) => clock.pass(&self.server, span),
            None => std::thread::sleep(span),
        }
    }

    fn step_back(&self, span: Duration) -> bool {
        if let Some(clock) = &self.clock {
            clock.put_back(&self.server, span);
        }
        self.clock.is_some()
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        self.on(key, "DELETE FROM dogpile_records WHERE digest = $1");
        true
    }

    fn garble(&self, _store: &dyn Store, key: &Key, number: usize) -> bool {
        let value = |what: &str| {
            self.on(
                key,
                &format!("UPDATE dogpile_values SET {what} WHERE digest = $1"),
            )
        };
        let row = |what: &str| {
            self.on(
                key,
                &format!("UPDATE dogpile_records SET {what} WHERE digest = $1"),
            )
        };
        match number {
            0 => self.on(key, "DELETE FROM dogpile_values WHERE digest = $1"),
            1 => value("bytes = ''"),
            2 => value("bytes = substr(bytes, 2)"),
            3 => value("bytes = bytes || '\\x00'"),
            4 => value("version = version - 1"),
            5 => row("version = version - 1"),
            6 => row("version = NULL"),
            7 => row("checksum = checksum + 1"),
            8 => row("kept_until = 0"),
            9 => row("value_space = 3"),
            _ => return false,
        }
        true
    }

    fn reconnect(&self, _store: &dyn Store) -> bool {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = ''";
        assert_ne!(self.server.sql(cut), "0");
        true
    }

    fn slack(&self) -> Duration {
        SECOND * 5
    }
}

fn blocking(server: &Server, settings: Settings) -> Arc<dyn Store> {
    server.store_with(settings)
}

#[test]
fn blocking_by_a_clock_that_is_moved() {
    let postgres = Postgres::new(server!(), blocking).by_hand();
    assert_all(&conformance::run(&postgres), &[]);
}

#[test]
fn blocking_by_the_clock_of_the_server() {
    let postgres = Postgres::new(server!(), blocking);
    let report = conformance::run_if(&postgres, Case::bears_delays);
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.passed.len() > 10, "{report}");
}

#[test]
fn blocking_without_hints_over_many_connections() {
    let mut postgres = Postgres::new(server!(), blocking).by_hand();
    postgres.settings = postgres.settings.hints(false).connections(16);
    assert_all(&conformance::run(&postgres), &["40"]);
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
fn tasks() {
    let server = server!();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let form = |server: &Server, settings: Settings| -> Arc<dyn Store> {
        let _inside = handle.enter();
        let store = AsyncPostgresStore::with(&server.url(), settings).expect("a store");
        Arc::new(Driven::new(store, Outside(handle.clone())))
    };
    let postgres = Postgres::new(server, form).by_hand();
    assert_all(&conformance::run(&postgres), &[]);
}
