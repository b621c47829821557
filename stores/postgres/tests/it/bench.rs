//! The clock of the server and of all processes.

use std::sync::Arc;
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_postgres::PostgresStore;

use crate::server::Server;

/// The clock of all processes, and the server's.
pub(crate) struct Clock {
    /// That of all processes.
    pub(crate) here: Arc<ManualClock>,
}

impl Clock {
    /// Makes the tables, and puts the server's time into our hands.
    pub(crate) fn new(server: &Server) -> Self {
        let here = Arc::new(ManualClock::new());
        let clock = Self { here };
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
        self.here.advance(span);
    }
}
