//! What can be set.

use std::time::Duration;

use dogpile_fleet::{Answer, StoreError};
use redis::Client;

use crate::names::Names;

/// The settings of a store.
///
/// All processes of a fleet have to agree on [`prefix`](Settings::prefix) and
/// [`slices`](Settings::slices): these two say where the records are.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile_redis::{RedisStore, Settings};
///
/// let settings = Settings::new().prefix("shop").timeout(Duration::from_millis(300));
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let store = RedisStore::new(client, settings)?;
/// # let _ = store;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    prefix: String,
    slices: u16,
    clock: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) max_value: u64,
    pub(crate) keep: usize,
    pub(crate) hints_from: Option<Client>,
}

/// So long a store waits for the server unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The largest value that a store takes unless told otherwise: 256 MiB.
const MAX_VALUE: u64 = 256 << 20;
/// So many connections that nobody uses are kept unless told otherwise.
const KEEP: usize = 16;

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// Those that suit most.
    pub fn new() -> Self {
        Self {
            prefix: "dogpile".to_owned(),
            slices: 1,
            clock: None,
            timeout: TIMEOUT,
            max_value: MAX_VALUE,
            keep: KEEP,
            hints_from: None,
        }
    }

    /// What the names of all keys and channels begin with. Default: `dogpile`.
    ///
    /// The store owns all keys that begin so: what it cannot read there counts as a miss and is
    /// replaced.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Over how many slots of a Cluster the records of one namespace are spread. Default: 1.
    ///
    /// A script sees one slot, and the record and the generation of its namespace have to be in the
    /// same one. So each slice of a namespace has a generation of its own, and
    /// [`invalidate_all`](dogpile_fleet::Store::invalidate_all) takes as many round trips as there are
    /// slices. It is one step for each slice, and done for all when it returns.
    ///
    /// With 1, a namespace lies on one node of a Cluster, and different namespaces on different ones.
    /// That does unless one namespace is most of the load.
    ///
    /// Processes that disagree do not see each other's records, nor each other's invalidations.
    pub fn slices(mut self, slices: u16) -> Self {
        self.slices = slices;
        self
    }

    /// How long a verb waits for the server, and a connection for being made. Default: 1 second.
    ///
    /// A blocking store sets it on the connections that it makes of a `redis::Client`. Connections
    /// that come from elsewhere have time limits of their own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Refuses values of more than `bytes`. Default: 256 MiB. The server's own limit is 512 MB unless
    /// `proto-max-bulk-len` says otherwise.
    pub fn max_value(mut self, bytes: u64) -> Self {
        self.max_value = bytes;
        self
    }

    /// How many connections a blocking store keeps that nobody uses at present. Default: 16. Say 0 if
    /// they come from a pool.
    pub fn keep(mut self, connections: usize) -> Self {
        self.keep = connections;
        self
    }

    /// Where the connection for hints is made, for a store that is not made of a `redis::Client`.
    ///
    /// Of a Cluster any node will do: it passes messages on to all.
    pub fn hints_from(mut self, client: Client) -> Self {
        self.hints_from = Some(client);
        self
    }

    /// For tests: the store's time is the number in this key of the server, in microseconds.
    #[doc(hidden)]
    pub fn clock(mut self, key: impl Into<String>) -> Self {
        self.clock = Some(key.into());
        self
    }

    pub(crate) fn clock_key(&self) -> Option<&str> {
        self.clock.as_deref()
    }

    pub(crate) fn names(&self) -> Answer<Names> {
        if self.prefix.contains(['{', '}']) {
            return Err(StoreError::refused(format!(
                "the prefix {:?} has a brace in it, which decides where a Cluster keeps a key: choose one without",
                self.prefix
            )));
        }
        if self.slices == 0 {
            return Err(StoreError::refused(
                "a namespace in 0 slices is nowhere: say `slices(1)` or more",
            ));
        }
        if self.timeout.is_zero() {
            return Err(StoreError::refused(
                "with a timeout of zero no server can answer: say how long to wait",
            ));
        }
        Ok(Names::new(&self.prefix, self.slices))
    }
}

pub(crate) fn client(url: &str) -> Answer<Client> {
    Client::open(url).map_err(|error| {
        StoreError::refused(format!(
            "{error}: a URL of a Redis looks like redis://user:password@host:6379/0 or redis+unix:///run/redis.sock"
        ))
    })
}
