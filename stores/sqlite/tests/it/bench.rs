//! A file, and the clock of all who use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, ManualClock, Tick};
use dogpile_sqlite::{SqliteStore, SqliteStoreBuilder};
use herd::Scratch;
use rusqlite::Connection;
use store_bench::{Process, SECOND};

/// A file in a directory of its own, and the clock of all who use it.
pub(crate) struct File {
    pub(crate) scratch: Scratch,
    pub(crate) clock: Arc<ManualClock>,
}

impl File {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.set(Tick::from_nanos(1_700_000_000_000_000_000));
        Self {
            scratch: Scratch::new("dogpile-sqlite"),
            clock,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.path().join("fleet.db")
    }

    pub(crate) fn builder(&self) -> SqliteStoreBuilder {
        SqliteStore::builder(self.path()).clock(self.clock.clone())
    }

    pub(crate) fn store(&self) -> Arc<SqliteStore> {
        Arc::new(self.builder().open().expect("a store"))
    }

    /// A process with a store of its own.
    pub(crate) fn process(&self) -> Process<SqliteStore> {
        Process::new(&self.clock, self.store())
    }

    /// A connection as an operator has it.
    pub(crate) fn operator(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("the file");
        connection
            .busy_timeout(SECOND * 20)
            .expect("a busy timeout");
        connection
    }

    pub(crate) fn sql(&self, sql: &str) {
        let done = self.operator().execute_batch(sql);
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub(crate) fn put_back(&self, span: Duration) {
        let nanos = self.clock.now().as_nanos() - span.as_nanos() as u64;
        self.clock.set(Tick::from_nanos(nanos));
    }

    pub(crate) fn files(&self) -> [PathBuf; 3] {
        ["", "-wal", "-shm"].map(|end| self.scratch.path().join(format!("fleet.db{end}")))
    }

    pub(crate) fn remove(&self) {
        for file in self.files() {
            // The log may be gone already.
            let _ = std::fs::remove_file(file);
        }
    }
}
