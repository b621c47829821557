//! What can be set.

use std::time::Duration;

use dogpile_fleet::{Answer, StoreError};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// So long a store waits for the server unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The largest value that a store takes unless told otherwise: 256 MiB.
const MAX_VALUE: u64 = 256 << 20;
/// So many connections a store has unless told otherwise.
const CONNECTIONS: usize = 4;

/// The settings of a store.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile_postgres::{PostgresStore, Settings};
///
/// let settings = Settings::new().timeout(Duration::from_millis(300)).connections(2);
/// let store = PostgresStore::with("postgres://app@localhost/app", settings)?;
/// # drop(store);
/// # Ok::<_, dogpile_fleet::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) timeout: Duration,
    pub(crate) max_value: u64,
    pub(crate) connections: usize,
    pub(crate) migrate: bool,
    pub(crate) hints: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// Those that suit most.
    pub fn new() -> Self {
        Self {
            timeout: TIMEOUT,
            max_value: MAX_VALUE,
            connections: CONNECTIONS,
            migrate: true,
            hints: true,
        }
    }

    /// How long a verb waits for the server, connecting included. Default: 1 second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Refuses values of more than `bytes`. Default: 256 MiB. The server's own limit is 1 GB.
    pub fn max_value(mut self, bytes: u64) -> Self {
        self.max_value = bytes;
        self
    }

    /// Over how many connections at most the requests of this process go, one for hints besides. Default: 4.
    /// Many requests share one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Whether tables and functions are made where they are missing. Default: yes. If you run
    /// [`MIGRATION`](crate::PostgresStore::MIGRATION) yourself, say no.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether changes are announced and listened to, by `NOTIFY` and `LISTEN`. Default: yes.
    ///
    /// All announcements of a database are written one after the other. Where many records change each
    /// second, say no, in all processes.
    pub fn hints(mut self, hints: bool) -> Self {
        self.hints = hints;
        self
    }
}

/// The address of a server whose connections nothing encrypts.
pub(crate) fn plain(url: &str) -> Answer<Config> {
    let config: Config = url.parse().map_err(|error| {
        StoreError::refused(format!(
            "this is no address of a PostgreSQL ({error}): write postgres://user:password@host:5432/database, or host=/run/postgresql user=app dbname=app"
        ))
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(StoreError::refused(
            "this address asks for TLS (sslmode=require): parse it into a `tokio_postgres::Config`, and pass that to `with_tls`, with what encrypts",
        ));
    }
    Ok(config)
}
