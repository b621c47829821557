//! What several tests need: a process of the fleet, its clock and the server's, and what it has seen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_fleet::{
    Ask, FleetBuilder, FleetDogpile, FleetGuard, Found, Grant, Guarded, Key, Owner, Put, Store,
    Version,
};
use dogpile_postgres::PostgresStore;

use crate::server::Server;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The ttl of the values in these tests.
pub(crate) const TTL: Duration = Duration::from_secs(10);

pub(crate) type Pile = FleetDogpile<u64, PostgresStore, Number>;

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

/// The clock of all processes, and the server's.
pub(crate) struct Clock(Arc<ManualClock>);

impl Clock {
    /// Makes the tables, and puts the server's time into our hands.
    pub(crate) fn new(server: &Server) -> Self {
        let clock = Self(Arc::new(ManualClock::new()));
        clock.start(server);
        clock
    }

    /// On a server that was emptied.
    pub(crate) fn start(&self, server: &Server) {
        server.sql(PostgresStore::MIGRATION);
        server.sql(
            "CREATE TABLE IF NOT EXISTS hand (now bigint);
             INSERT INTO hand SELECT 1700000000000000 WHERE NOT EXISTS (SELECT 1 FROM hand);
             CREATE OR REPLACE FUNCTION dogpile_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT now FROM hand'",
        );
    }

    /// Time passes at the server and in all processes.
    pub(crate) fn pass(&self, server: &Server, span: Duration) {
        server.sql(&format!("UPDATE hand SET now = now + {}", span.as_micros()));
        self.pass_here(span);
    }

    /// The server's clock is put back.
    pub(crate) fn put_back(&self, server: &Server, span: Duration) {
        server.sql(&format!("UPDATE hand SET now = now - {}", span.as_micros()));
    }

    /// Time passes while the server does not answer.
    pub(crate) fn pass_here(&self, span: Duration) {
        self.0.advance(span);
    }
}

/// A process: a store and a pile of its own. Its copies are fresh for the ttl, and usable for an hour.
pub(crate) struct Process {
    pub(crate) pile: Pile,
    seen: Mutex<(Version, u64)>,
}

impl Process {
    pub(crate) fn new(clock: &Clock, store: Arc<PostgresStore>) -> Self {
        Self::with(clock, store, |builder| builder)
    }

    pub(crate) fn with(
        clock: &Clock,
        store: Arc<PostgresStore>,
        more: impl FnOnce(
            FleetBuilder<u64, PostgresStore, Number>,
        ) -> FleetBuilder<u64, PostgresStore, Number>,
    ) -> Self {
        let builder = FleetDogpile::builder(store, "number", TTL)
            .namespace("faults")
            .codec(Number)
            .local_ttl(TTL)
            .stale_while_revalidate(MINUTE * 60)
            .clock(clock.0.clone());
        Self {
            pile: more(builder).build(),
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
