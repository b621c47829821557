//! What can be set.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dogpile::{Clock, Tick};
use dogpile_fleet::Answer;

use crate::store::SqliteStore;

/// So long a store waits for another process unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The largest value that a store takes unless told otherwise: 256 MiB.
const MAX_VALUE: u64 = 256 << 20;
/// So many connections that nobody uses are kept unless told otherwise.
const KEEP: usize = 16;

/// The settings of a [`SqliteStore`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile_sqlite::SqliteStore;
///
/// # let path = std::env::temp_dir().join(format!("dogpile-settings-{}.db", std::process::id()));
/// let store = SqliteStore::builder(&path)
///     .timeout(Duration::from_millis(300))
///     .max_file(64 << 20)
///     .open()?;
/// # drop(store);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<_, dogpile_fleet::StoreError>(())
/// ```
#[must_use = "a builder opens nothing until `open` is called"]
pub struct SqliteStoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) max_value: u64,
    pub(crate) max_file: Option<u64>,
    pub(crate) keep: usize,
    pub(crate) migrate: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

impl SqliteStoreBuilder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            timeout: TIMEOUT,
            max_value: MAX_VALUE,
            max_file: None,
            keep: KEEP,
            migrate: true,
            clock: Arc::new(WallClock),
        }
    }

    /// How long a verb waits for the lock that another process holds. Default: 1 second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Refuses values of more than `bytes`. Default: 256 MiB. SQLite's own limit is some 950 MiB.
    pub fn max_value(mut self, bytes: u64) -> Self {
        self.max_value = bytes;
        self
    }

    /// Lets the file grow to some `bytes`: what has no room is refused, and reads go on. Records that are over
    /// make room. Default: no limit. The file that ends with `-wal` is not counted.
    pub fn max_file(mut self, bytes: u64) -> Self {
        self.max_file = Some(bytes);
        self
    }

    /// How many connections are kept that nobody uses at present. Default: 16.
    pub fn keep(mut self, connections: usize) -> Self {
        self.keep = connections;
        self
    }

    /// Whether the file and the tables are made where they are missing. Default: yes. If you run
    /// [`SqliteStore::MIGRATION`] yourself, say no.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// A clock that says the nanoseconds since 1970, the same in all processes. Default: the host's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is no file of SQLite, or has tables of another version.
    pub fn open(self) -> Answer<SqliteStore> {
        SqliteStore::with(self)
    }
}

impl fmt::Debug for SqliteStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStoreBuilder")
            .field("path", &self.path)
            .field("timeout", &self.timeout)
            .field("max_value", &self.max_value)
            .field("max_file", &self.max_file)
            .field("keep", &self.keep)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}

/// The host's clock, which all its processes share.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Tick {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // Before 1970 it was not set yet.
        let nanos = since.unwrap_or_default().as_nanos();
        Tick::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
