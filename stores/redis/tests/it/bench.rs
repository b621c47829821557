//! The clock of the server and of all processes.

use std::sync::Arc;
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_redis::Settings;
use store_bench::SECOND;

use crate::server::Server;

/// The key of the server's that tells the time of day, moved by hand.
const CLOCK: &str = "clock";

/// The clock of all processes, and the server's.
pub(crate) struct Clock {
    /// That of all processes.
    pub(crate) here: Arc<ManualClock>,
}

impl Clock {
    pub(crate) fn new(server: &Server) -> Self {
        let here = Arc::new(ManualClock::new());
        let clock = Self { here };
        clock.start(server);
        clock
    }

    /// On a server that was emptied.
    pub(crate) fn start(&self, server: &Server) {
        let _: () = server.say(&["SET", CLOCK, "1700000000000000"]);
    }

    /// Time passes at the server and in all processes.
    pub(crate) fn pass(&self, server: &Server, span: Duration) {
        let _: i64 = server.say(&["INCRBY", CLOCK, &span.as_micros().to_string()]);
        self.pass_here(span);
    }

    /// The server's clock is put back.
    pub(crate) fn put_back(&self, server: &Server, span: Duration) {
        let _: i64 = server.say(&["DECRBY", CLOCK, &span.as_micros().to_string()]);
    }

    /// Time passes while the server does not answer.
    pub(crate) fn pass_here(&self, span: Duration) {
        self.here.advance(span);
    }
}

pub(crate) fn settings() -> Settings {
    Settings::new().clock(CLOCK).timeout(SECOND)
}
