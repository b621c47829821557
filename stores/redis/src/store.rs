//! The store for threads.

use std::sync::{Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Key, Placed, Put, Store,
    StoreErrorKind, Version, Watch,
};
use redis::{Client, ConnectionLike, RedisResult, Value};

use crate::error;
use crate::hints::Hints;
use crate::request::{self, LONGEST_NAP, Request, Verbs};
use crate::settings::{self, Settings};

/// A Redis that the processes of a fleet share, asked by threads.
///
/// It connects when it is first asked, and again whenever it has to. As many connections are open as
/// threads ask at once, and [some](Settings::keep) are kept for later. None is held while a thread
/// sleeps or creates.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_redis::RedisStore;
///
/// let store = Arc::new(RedisStore::open("redis://127.0.0.1/")?);
/// let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
/// let list = offers.get_or_try_create(|_| std::fs::read_to_string("offers.txt"))?;
/// # drop(list);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct RedisStore {
    verbs: Verbs,
    connections: Connections,
    hints: Hints,
}

type Connection = Box<dyn ConnectionLike + Send>;
type Connect = Box<dyn Fn() -> RedisResult<Connection> + Send + Sync>;

struct Connections {
    connect: Connect,
    idle: Mutex<Vec<Connection>>,
    keeps: usize,
}

impl Connections {
    /// One that is kept, and whether it is.
    fn take(&self) -> RedisResult<(Connection, bool)> {
        let kept = self.idle().pop();
        match kept {
            Some(connection) => Ok((connection, true)),
            None => Ok(((self.connect)()?, false)),
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.keeps {
            idle.push(connection);
        }
    }

    /// Where one is lost, the others that were made before are so too, or soon will be.
    fn forget(&self) {
        let lost = std::mem::take(&mut *self.idle());
        drop(lost);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, request: &Request<'_>) -> RedisResult<Value> {
        let (mut connection, kept) = self.take()?;
        let mut answer = send(request, &mut connection);
        if kept && request.twice && answer.as_ref().is_err_and(error::is_lost) {
            // It may have been lost long ago, unnoticed.
            self.forget();
            connection = (self.connect)()?;
            answer = send(request, &mut connection);
        }
        match &answer {
            // One whose answer is late must not be read by the next.
            Err(error) if error::breaks(error) => self.forget(),
            _ => self.keep(connection),
        }
        answer
    }
}

fn send(request: &Request<'_>, connection: &mut Connection) -> RedisResult<Value> {
    let connection = &mut **connection;
    match request.by_name().query(connection) {
        Err(error) if Request::is_unknown(&error) => request.in_full().query(connection),
        answer => answer,
    }
}

impl RedisStore {
    /// The server at this URL, such as `redis://user:password@host:6379/0` or
    /// `redis+unix:///run/redis.sock`.
    ///
    /// # Errors
    ///
    /// If it is not such a URL. Whether the server can be reached shows when it is asked.
    pub fn open(url: &str) -> Answer<Self> {
        let client = settings::client(url)?;
        Self::new(client, Settings::new())
    }

    /// A client of yours.
    ///
    /// # Errors
    ///
    /// If the settings contradict themselves.
    pub fn new(client: Client, settings: Settings) -> Answer<Self> {
        let (from, timeout) = (client.clone(), settings.timeout);
        let connect = move || {
            let connection = from.get_connection_with_timeout(timeout)?;
            connection.set_read_timeout(Some(timeout))?;
            connection.set_write_timeout(Some(timeout))?;
            Ok(Box::new(connection) as Connection)
        };
        let hints = settings.hints_from.clone().or(Some(client));
        Self::build(Box::new(connect), hints, &settings)
    }

    /// Connections of yours: from a pool, to a Cluster, found by Sentinel.
    ///
    /// Set a time limit on each, or a server that does not answer keeps a thread for ever. For a pool that
    /// others use as well, [keep](Settings::keep) none: then each verb gives its connection back.
    ///
    /// # Errors
    ///
    /// If the settings contradict themselves.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile_redis::{RedisStore, Settings};
    /// use redis::cluster::ClusterClient;
    ///
    /// let nodes = ["redis://10.0.0.1/", "redis://10.0.0.2/"];
    /// let client = ClusterClient::builder(nodes).response_timeout(Duration::from_secs(1)).build()?;
    /// let settings = Settings::new().hints_from(redis::Client::open(nodes[0])?);
    /// let store = RedisStore::over(move || client.get_connection(), settings)?;
    /// # drop(store);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn over<C: ConnectionLike + Send + 'static>(
        connect: impl Fn() -> RedisResult<C> + Send + Sync + 'static,
        settings: Settings,
    ) -> Answer<Self> {
        let connect = move || connect().map(|made| Box::new(made) as Connection);
        let hints = settings.hints_from.clone();
        Self::build(Box::new(connect), hints, &settings)
    }

    fn build(connect: Connect, hints: Option<Client>, settings: &Settings) -> Answer<Self> {
        let verbs = Verbs::new(settings)?;
        let hints = Hints::new(hints, verbs.names.channels(), settings.timeout);
        Ok(Self {
            connections: Connections {
                connect,
                idle: Mutex::default(),
                keeps: settings.keep,
            },
            hints,
            verbs,
        })
    }

    fn run(&self, request: &Request<'_>) -> Answer<Value> {
        self.connections.run(request).map_err(error::of)
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("names", &self.verbs.names)
            .field("idle", &self.connections.idle().len())
            .finish_non_exhaustive()
    }
}

impl Described for RedisStore {
    fn abilities(&self) -> Abilities {
        self.verbs.abilities(&self.hints)
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.hints.watch(watch)
    }
}

impl Store for RedisStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        request::found(self.run(&self.verbs.ask(key, ask)))
    }

    /// A round trip for each slot, and one more for each further 100 of its records.
    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let mut answers: Vec<_> = asks.iter().map(|_| None).collect();
        let mut out_of_reach = None;
        for batch in self.verbs.batches(asks) {
            let reply = match &out_of_reach {
                Some(error) => Err(request::again(error)),
                None => {
                    let batch = batch.iter().map(|at| (&asks[*at].0, &asks[*at].1));
                    self.run(&self.verbs.ask_many(batch))
                }
            };
            if let Err(error) = &reply
                && error.kind == StoreErrorKind::Unavailable
            {
                out_of_reach = Some(request::again(error));
            }
            for (at, answer) in batch.iter().zip(request::found_many(reply, batch.len())) {
                answers[*at] = Some(answer);
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.expect("each is in one batch"))
            .collect()
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        request::placed(self.run(&self.verbs.put(key, put)?)?)
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        request::done(self.run(&self.verbs.renew(key, grant, lease))?)
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        request::done(self.run(&self.verbs.release(key, grant, quiet))?)
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        request::done(self.run(&self.verbs.invalidate(key, depth, only))?)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        for request in self.verbs.invalidate_all(namespace, depth) {
            request::done(self.run(&request)?)?;
        }
        Ok(())
    }

    /// Sleeps until a hint about the record comes, or one second; without hints for `poll`.
    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let Some(sleepers) = self.hints.sleepers() else {
            return thread::sleep(poll.min(until));
        };
        let bed = sleepers.bed(key);
        // What was said before the bed was made is said: it may be over already.
        match request::found(self.run(&self.verbs.glance(key))) {
            Ok(found) if request::is_led(&found, fence) => bed.sleep(until.min(LONGEST_NAP)),
            Ok(_) => {}
            Err(_) => thread::sleep(poll.min(until)),
        }
    }
}
