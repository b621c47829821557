//! The store for tasks of a tokio runtime.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::{sleep, timeout};

use dogpile_fleet::{
    Abilities, Answer, Ask, AsyncStore, Depth, Described, Found, Grant, Key, Owner, Placed, Put,
    StoreError, Version,
};

use crate::blocking::{CHUNK, checked, is_error};
use crate::greeting::{Greeter, Greeting};
use crate::meta::{Decoder, Name, Reply};
use crate::settings::{Address, Limits, MemcachedBuilder};
use crate::trouble::Trouble;
use crate::verbs::{Batch, Exchanged, Shared, Transport, Verbs};

/// A store in memcached, for tasks of a tokio runtime that has I/O and time enabled.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_memcached::TokioMemcachedStore;
///
/// # async fn page() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(TokioMemcachedStore::connect(["127.0.0.1:11211"]).await?);
/// let front = FleetDogpile::builder(store, "front", Duration::from_secs(60)).build();
/// let made = async |_| Ok::<_, std::io::Error>("<h1>front</h1>".to_owned());
/// let page = front.get_or_try_create_async(made).await?;
/// # Ok(())
/// # }
/// ```
pub struct TokioMemcachedStore {
    verbs: Arc<Verbs<Pools>>,
    runtime: Handle,
}

impl TokioMemcachedStore {
    /// The store in these servers, which are `host:port` or paths of unix sockets.
    ///
    /// # Errors
    ///
    /// As [`MemcachedStore::connect`](crate::MemcachedStore::connect).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point.
    pub async fn connect<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> Answer<Self> {
        MemcachedBuilder::new(servers).connect_tokio().await
    }

    /// Where the record of a key lies: on which server, and in the item of which name.
    pub fn place_of(&self, key: &Key) -> (&str, Name) {
        self.verbs.shared.place_of(key)
    }

    /// How many requests were sent, to all servers: each is one round trip.
    pub fn round_trips(&self) -> u64 {
        self.verbs.shared.trips()
    }
}

impl MemcachedBuilder {
    /// As [`connect`](MemcachedBuilder::connect), for tasks of this runtime.
    ///
    /// # Errors
    ///
    /// As [`MemcachedStore::connect`](crate::MemcachedStore::connect).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point.
    pub async fn connect_tokio(self) -> Answer<TokioMemcachedStore> {
        let store = self.connect_tokio_lazily()?;
        for pool in &store.verbs.transport.0 {
            let taken = pool.take(None).await?;
            pool.give_back(taken);
        }
        Ok(store)
    }

    /// As [`connect_lazily`](MemcachedBuilder::connect_lazily), for tasks of this runtime.
    ///
    /// # Errors
    ///
    /// As [`connect_lazily`](MemcachedBuilder::connect_lazily).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect_tokio_lazily(self) -> Answer<TokioMemcachedStore> {
        let shared = self.shared()?;
        let pools = self.addresses()?.into_iter().zip(&self.servers).enumerate();
        let pools = pools.map(|(number, (address, name))| Pool {
            number,
            name: name.clone(),
            address,
            limits: self.limits,
            shared: Arc::clone(&shared),
            free: Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        });
        let transport = Pools(pools.collect());
        Ok(TokioMemcachedStore {
            verbs: Arc::new(Verbs { shared, transport }),
            runtime: Handle::current(),
        })
    }
}

impl TokioMemcachedStore {
    /// In a task of its own, which goes on if the caller leaves: what is on its way to the server cannot
    /// be called back, so a lease that is granted has to be released after it.
    async fn lead(&self, asks: Arc<[(Key, Ask)]>) -> Vec<Answer<Found>> {
        let (verbs, own) = (Arc::clone(&self.verbs), Arc::clone(&asks));
        let (tell, told) = oneshot::channel();
        self.runtime.spawn(async move {
            let answers = verbs.get_or_lease_many(&own).await;
            if let Err(untold) = tell.send(answers) {
                for (key, grant) in granted(&own, &untold) {
                    // If that fails, the lease ends by itself.
                    let _ = verbs.release(key, grant, Duration::ZERO).await;
                }
            }
        });
        let mut asking = Asking {
            told,
            store: self,
            asks: &asks,
        };
        let told = (&mut asking.told).await;
        told.unwrap_or_else(|_| asks.iter().map(|_| Err(ended())).collect())
    }
}

fn ended() -> StoreError {
    StoreError::unavailable("the tokio runtime of the store has ended")
}

/// The leases among these answers.
fn granted<'a>(
    asks: &'a [(Key, Ask)],
    answers: &'a [Answer<Found>],
) -> impl Iterator<Item = (&'a Key, Grant)> {
    let pairs = asks.iter().zip(answers);
    pairs.filter_map(|((key, ask), answer)| match (answer, ask.owner) {
        (Ok(Found::Leased { fence, .. }), Some(owner)) => {
            let fence = *fence;
            Some((key, Grant { owner, fence }))
        }
        _ => None,
    })
}

impl std::fmt::Debug for TokioMemcachedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers = self.verbs.transport.0.iter().map(|pool| &pool.name);
        f.debug_struct("TokioMemcachedStore")
            .field("servers", &servers.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Described for TokioMemcachedStore {
    fn abilities(&self) -> Abilities {
        self.verbs.shared.abilities()
    }
}

impl AsyncStore for TokioMemcachedStore {
    async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        if ask.owner.is_none() {
            return self.verbs.get_or_lease(key, ask).await;
        }
        let answer = self.lead(Arc::new([(key.clone(), *ask)])).await.pop();
        answer.unwrap_or_else(|| Err(ended()))
    }

    async fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        self.lead(asks.into()).await
    }

    async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.verbs.put(key, put).await
    }

    async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.verbs.renew(key, grant, lease).await
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.verbs.release(key, grant, quiet).await
    }

    async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.verbs.invalidate(key, depth, only).await
    }

    async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.verbs.invalidate_all(namespace, depth).await
    }

    async fn nap(&self, _key: &Key, _fence: Version, poll: Duration, until: Duration) {
        sleep(poll.min(until)).await;
    }

    async fn pause(&self, span: Duration) {
        sleep(span).await;
    }

    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration) {
        let (verbs, key) = (Arc::clone(&self.verbs), key.clone());
        self.runtime.spawn(async move {
            // If that fails, the lease ends by itself.
            let _ = verbs.release(&key, grant, quiet).await;
        });
    }
}

/// One who waits for the answers to requests for leases.
struct Asking<'a> {
    told: oneshot::Receiver<Vec<Answer<Found>>>,
    store: &'a TokioMemcachedStore,
    asks: &'a [(Key, Ask)],
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.told.close();
        // They were told, and nobody has taken them.
        if let Ok(answers) = self.told.try_recv() {
            for (key, grant) in granted(self.asks, &answers) {
                self.store.release_soon(key, grant, Duration::ZERO);
            }
        }
    }
}

struct Pools(Vec<Pool>);

impl Transport for Pools {
    async fn exchange(&self, server: usize, batch: &Batch) -> Answer<Exchanged> {
        Ok(self.0[server].exchange(batch).await?)
    }
}

/// The connections to one server.
struct Pool {
    number: usize,
    name: String,
    address: Address,
    limits: Limits,
    shared: Arc<Shared>,
    /// One permit for each connection that may be in use.
    free: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A connection in use. Dropped, it is closed.
struct Taken<'a> {
    connection: Connection,
    /// Whether it was used before.
    is_used: bool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, batch: &Batch) -> Result<Exchanged, Trouble> {
        loop {
            let mut taken = self.take(batch.epoch).await?;
            let epoch = taken.connection.epoch;
            if batch.epoch.is_some_and(|wanted| wanted != epoch) {
                self.give_back(taken);
                return Ok(Exchanged::Elsewhere);
            }
            let exchange = taken
                .connection
                .exchange(&self.name, &batch.bytes, batch.replies);
            match within(&self.name, self.limits.timeout, exchange).await {
                Ok(replies) => {
                    self.give_back(taken);
                    return Ok(Exchanged::Replies(replies, epoch));
                }
                // The server may have closed it long ago, and the others with it.
                Err(Trouble::Broken(..)) if taken.is_used && batch.epoch.is_none() => {
                    drop(taken);
                    self.idle().clear();
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// A connection, of this process of the server if there is one.
    async fn take(&self, epoch: Option<u64>) -> Result<Taken<'_>, Trouble> {
        let Limits {
            connections,
            timeout: limit,
            ..
        } = self.limits;
        let busy = || Trouble::Busy(self.name.clone(), connections, limit);
        let permit = timeout(limit, self.free.acquire()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let idle = {
            let mut idle = self.idle();
            let wanted =
                |connection: &Connection| epoch.is_none_or(|epoch| epoch == connection.epoch);
            let found = idle.iter().rposition(wanted);
            let found = found.or_else(|| idle.len().checked_sub(1));
            found.map(|found| idle.remove(found))
        };
        let is_used = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Taken {
            connection,
            is_used,
            _permit: permit,
        })
    }

    fn give_back(&self, taken: Taken<'_>) {
        self.idle().push(taken.connection);
    }

    async fn open(&self) -> Result<Connection, Trouble> {
        let trouble = |error| Trouble::Connect(self.name.clone(), error);
        let connected = timeout(self.limits.connect, connect(&self.address)).await;
        let stream = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let mut connection = Connection {
            stream: stream.map_err(trouble)?,
            decoder: Decoder::new(CHUNK),
            chunk: vec![0; CHUNK].into(),
            epoch: 0,
        };
        let greet = connection.greet(&self.name);
        let greeting = within(&self.name, self.limits.timeout, greet).await?;
        connection.decoder.set_limit(greeting.item_limit);
        connection.epoch = greeting.epoch;
        self.shared.greeted(self.number, &greeting);
        // The server was restarted: what is connected to the one before is dead.
        self.idle().retain(|idle| idle.epoch == greeting.epoch);
        Ok(connection)
    }
}

async fn within<T>(
    name: &str,
    limit: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let slow = |_| Err(Trouble::Slow(name.to_owned(), limit));
    timeout(limit, work).await.unwrap_or_else(slow)
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

async fn connect(address: &Address) -> io::Result<Box<dyn Bytes>> {
    match address {
        Address::Tcp(server) => {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        #[cfg(unix)]
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Address::Unix(_) => Err(ErrorKind::Unsupported.into()),
    }
}

struct Connection {
    stream: Box<dyn Bytes>,
    decoder: Decoder,
    chunk: Box<[u8]>,
    epoch: u64,
}

impl Connection {
    async fn greet(&mut self, name: &str) -> Result<Greeting, Trouble> {
        let (mut greeter, sent) = Greeter::new(name, Owner::draw().0 as u64);
        // Who takes no connection says why, and closes it, perhaps before anything is sent.
        let sent = self.send(name, &sent).await;
        loop {
            let reply = match self.reply(name).await {
                Ok(reply) => reply,
                Err(trouble) => return Err(sent.err().unwrap_or(trouble).turned_away()),
            };
            if let Some(greeting) = greeter.take(reply)? {
                return Ok(greeting);
            }
        }
    }

    async fn exchange(
        &mut self,
        name: &str,
        sent: &[u8],
        replies: usize,
    ) -> Result<Vec<Reply>, Trouble> {
        self.send(name, sent).await?;
        let mut got = Vec::with_capacity(replies);
        while got.len() < replies && !is_error(got.last()) {
            got.push(self.reply(name).await?);
        }
        checked(name, got, &self.decoder)
    }

    async fn send(&mut self, name: &str, sent: &[u8]) -> Result<(), Trouble> {
        let written = self.stream.write_all(sent).await;
        written.map_err(|error| Trouble::Broken(name.to_owned(), error))
    }

    async fn reply(&mut self, name: &str) -> Result<Reply, Trouble> {
        loop {
            let malformed = |error| Trouble::Malformed(name.to_owned(), error);
            if let Some(reply) = self.decoder.next().map_err(malformed)? {
                return Ok(reply);
            }
            let broken = |error| Trouble::Broken(name.to_owned(), error);
            match self.stream.read(&mut self.chunk).await.map_err(broken)? {
                0 => return Err(broken(ErrorKind::UnexpectedEof.into())),
                read => self.decoder.feed(&self.chunk[..read]),
            }
        }
    }
}
