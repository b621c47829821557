//! What several tests need: a file, a process of the fleet, their clock, and what it has seen.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogpile::{Clock, ManualClock, Tick};
use dogpile_fleet::{
    Ask, FleetDogpile, FleetGuard, Found, Grant, Guarded, Key, Owner, Put, Store, Version,
};
use dogpile_sqlite::{SqliteStore, SqliteStoreBuilder};
use herd::Scratch;
use rusqlite::Connection;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The ttl of the values in these tests.
pub(crate) const TTL: Duration = Duration::from_secs(10);

pub(crate) type Pile = FleetDogpile<u64, SqliteStore, Number>;

/// A number as its digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number;

impl dogpile_fleet::Codec<u64> for Number {
    const FORMAT: u32 = 1;
    type Error = std::num::ParseIntError;

    fn encode(&self, value: &u64) -> Result<Vec<u8>, Self::Error> {
        Ok(value.to_string().into_bytes())
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<u64, Self::Error> {
        String::from_utf8_lossy(&bytes).parse()
    }
}

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

/// A process: a store and a pile of its own. Its copies are fresh for the ttl, and usable for an hour.
pub(crate) struct Process {
    pub(crate) pile: Pile,
    seen: Mutex<(Version, u64)>,
}

impl Process {
    pub(crate) fn new(file: &File) -> Self {
        Self::over(file, file.store())
    }

    pub(crate) fn over(file: &File, store: Arc<SqliteStore>) -> Self {
        let builder = FleetDogpile::builder(store, "number", TTL)
            .namespace("faults")
            .codec(Number)
            .local_ttl(TTL)
            .stale_while_revalidate(MINUTE * 60)
            .clock(file.clock.clone());
        Self {
            pile: builder.build(),
            seen: Mutex::default(),
        }
    }

    /// Calls, with a creator that makes this. An error, or something older than before, is a failure.
    pub(crate) fn call(&self, made: u64) -> u64 {
        let guard = self.pile.get_or_try_create(|_| Ok::<_, String>(made));
        self.note(&guard.expect("a value"))
    }

    /// Calls for a value that is there.
    pub(crate) fn has(&self) -> u64 {
        let guard = self
            .pile
            .get_or_try_create(|_| -> Result<u64, String> { panic!("it is there") });
        self.note(&guard.expect("a value"))
    }

    fn note(&self, guard: &FleetGuard<'_, u64>) -> u64 {
        let (version, value) = (FleetGuard::version(guard), **guard);
        let mut seen = self.seen.lock().unwrap();
        // What was made without the store has no version.
        if !version.is_none() {
            assert!(version >= seen.0, "{version} after {}", seen.0);
            seen.0 = version;
        }
        assert!(value >= seen.1, "{value} after {}", seen.1);
        seen.1 = value;
        value
    }
}

pub(crate) fn lead(store: &dyn Store, key: &Key, lease: Duration) -> Grant {
    let owner = Owner::draw();
    match store.get_or_lease(key, &Ask::lead(owner, lease)) {
        Ok(Found::Leased { fence, .. }) => Grant { owner, fence },
        other => panic!("no lease: {other:?}"),
    }
}

pub(crate) fn put(guard: Guarded, bytes: &[u8]) -> Put<'_> {
    Put {
        guard,
        bytes,
        age: Duration::ZERO,
        fresh_for: MINUTE,
        keep_for: MINUTE * 2,
    }
}

/// What the store has, without asking to lead.
pub(crate) fn held(store: &dyn Store, key: &Key) -> Option<Vec<u8>> {
    let found = store.get_or_lease(key, &Ask::peek()).expect("it answers");
    found
        .stored()
        .map(|stored| stored.bytes.clone().expect("bytes"))
}
