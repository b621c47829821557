//! Every case of a store, by a clock that is moved and by the host's.
//!
//! ```breakages
//! sqlite-reads-before-it-locks | stores/sqlite/src/store.rs
//! - TransactionBehavior::Immediate
//! + TransactionBehavior::Deferred
//!
//! sqlite-writes-no-grant-down | stores/sqlite/src/store.rs
//! @ fn lead
//! - leased ||
//!
//! sqlite-stores-nothing | stores/sqlite/src/store.rs
//! @ fn put
//! - transaction.commit()?;
//!
//! sqlite-invalidates-and-leaves-the-lease | stores/sqlite/src/store.rs
//! - record.state.overtake(next);
//!
//! sqlite-numbers-what-was-forgotten-from-one | stores/sqlite/src/row.rs
//! - (self.state.generation + 1).max(now / 1000)
//! + self.state.generation + 1
//!
//! sqlite-lets-the-end-of-a-lease-move-on-with-the-clock | stores/sqlite/src/row.rs
//! - mended: moved != stood || lost_space,
//! + mended: lost_space,
//!
//! sqlite-takes-torn-bytes-for-a-value | stores/sqlite/src/row.rs
//! - bytes.is_some_and(|bytes| sum(head.version, bytes) == told)
//! + bytes.is_some()
//!
//! sqlite-takes-values-of-an-emptied-namespace | stores/sqlite/src/row.rs
//! - space.head(head.at(now))?
//! + Some(head.at(now))?
//!
//! sqlite-keeps-leases-of-an-emptied-namespace | stores/sqlite/src/row.rs
//! - state: space.state(moved),
//! + state: moved,
//! ```

use std::sync::Arc;
use std::time::Duration;

use dogpile_fleet::conformance::{self, CASES, Case, Report, Subject};
use dogpile_fleet::{Key, Store};
use dogpile_sqlite::SqliteStore;
use store_bench::SECOND;

use crate::bench::File;

/// So large a value is refused in these cases.
const MAX_VALUE: u64 = 1 << 20;

fn assert_all(report: &Report, skipped: &[&str]) {
    assert!(report.failed.is_empty(), "{report}");
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    assert_eq!(numbers, skipped, "{report}");
    assert_eq!(report.passed.len() + skipped.len(), CASES.len());
}

struct Sqlite {
    file: File,
    /// Whether its time is moved by hand instead of waiting for it to pass.
    by_hand: bool,
}

impl Sqlite {
    /// Does this to the row of a key.
    fn on(&self, key: &Key, sql: &str) {
        let operator = self.file.operator();
        let done = operator.execute(sql, [key.as_bytes()]);
        assert_eq!(
            done.unwrap_or_else(|error| panic!("{sql}: {error}")),
            1,
            "{sql}"
        );
    }
}

impl Subject for Sqlite {
    fn store(&self) -> Arc<dyn Store> {
        let builder = match self.by_hand {
            true => self.file.builder(),
            false => SqliteStore::builder(self.file.path()),
        };
        // Sixteen who ask at once wait for each other.
        let builder = builder.max_value(MAX_VALUE).timeout(SECOND * 20);
        Arc::new(builder.open().expect("a store"))
    }

    fn pass(&self, span: Duration) {
        match self.by_hand {
            true => self.file.pass(span),
            false => std::thread::sleep(span),
        }
    }

    fn step_back(&self, span: Duration) -> bool {
        if self.by_hand {
            self.file.put_back(span);
        }
        self.by_hand
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        self.on(key, "DELETE FROM dogpile_records WHERE key = ?1");
        true
    }

    fn garble(&self, _store: &dyn Store, key: &Key, number: usize) -> bool {
        let id = "(SELECT id FROM dogpile_records WHERE key = ?1)";
        let value = |what: &str| {
            self.on(
                key,
                &format!("UPDATE dogpile_values SET {what} WHERE id = {id}"),
            )
        };
        let row = |what: &str| {
            self.on(
                key,
                &format!("UPDATE dogpile_records SET {what} WHERE key = ?1"),
            )
        };
        match number {
            0 => self.on(key, &format!("DELETE FROM dogpile_values WHERE id = {id}")),
            1 => value("bytes = x''"),
            2 => value("bytes = substr(bytes, 2)"),
            3 => value("bytes = bytes || x'00'"),
            4 => value("bytes = 'foreign'"),
            5 => value("bytes = 7"),
            6 => row("version = version - 1"),
            7 => row("version = NULL"),
            8 => row("version = 'foreign'"),
            9 => row("version = 0"),
            10 => row("kept_until = -1"),
            11 => row("fresh_until = 1.5"),
            12 => row("made = x'00'"),
            13 => row("expired = 2"),
            14 => row("checksum = checksum + 1"),
            15 => row("checksum = NULL"),
            16 => row("generation = 'foreign'"),
            17 => row("owner = 'foreign'"),
            18 => row("owner = x'0000'"),
            19 => row("failures = -1"),
            20 => row("value_space = 3"),
            _ => return false,
        }
        true
    }

    fn slack(&self) -> Duration {
        SECOND * 5
    }
}

#[test]
fn by_a_clock_that_is_moved() {
    let sqlite = Sqlite {
        file: File::new(),
        by_hand: true,
    };
    assert_all(&conformance::run(&sqlite), &["40"]);
}

#[test]
fn by_the_clock_of_the_host() {
    let sqlite = Sqlite {
        file: File::new(),
        by_hand: false,
    };
    let report = conformance::run_if(&sqlite, Case::bears_delays);
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.passed.len() > 10, "{report}");
}
