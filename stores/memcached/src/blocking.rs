//! The store for threads: its connections, and how they are shared.

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Key, Owner, Placed, Put, Store, Version,
};

use crate::greeting::{Greeter, Greeting};
use crate::meta::{Decoder, LONGEST_LINE, Name, Reply};
use crate::settings::{Address, Limits, MemcachedBuilder};
use crate::trouble::Trouble;
use crate::verbs::{Batch, Exchanged, Shared, Transport, Verbs};

/// So much is read at once.
pub(crate) const CHUNK: usize = 16 << 10;

/// A store in memcached, for threads.
///
/// The page of this crate says what it can do and what it cannot.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_memcached::MemcachedStore;
///
/// let store = Arc::new(MemcachedStore::connect(["127.0.0.1:11211"])?);
/// let front = FleetDogpile::builder(store, "front", Duration::from_secs(60)).build();
/// let page = front.get_or_try_create(|_| Ok::<_, std::io::Error>("<h1>front</h1>".to_owned()))?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct MemcachedStore {
    verbs: Verbs<Pools>,
}

impl MemcachedStore {
    /// The store in these servers, which are `host:port` or paths of unix sockets.
    ///
    /// All programs of a fleet have to name the servers alike: the names say which key lies where.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`](dogpile_fleet::StoreErrorKind) for an address that is none and for a
    /// server that is too old; as of each verb, if a server does not answer.
    pub fn connect<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> Answer<Self> {
        Self::builder(servers).connect()
    }

    /// The same, with settings.
    pub fn builder<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> MemcachedBuilder {
        MemcachedBuilder::new(servers)
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
    /// Connects to each server, and asks what it can do.
    ///
    /// # Errors
    ///
    /// As [`MemcachedStore::connect`].
    pub fn connect(self) -> Answer<MemcachedStore> {
        let store = self.connect_lazily()?;
        for pool in &store.verbs.transport.0 {
            let taken = pool.take(None)?;
            pool.give_back(taken);
        }
        Ok(store)
    }

    /// The store, whether the servers answer by now or not. What they can do is asked when they do.
    ///
    /// Until then [`Abilities::max_value`] is that of a server with default settings.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`](dogpile_fleet::StoreErrorKind) for settings that make no sense.
    pub fn connect_lazily(self) -> Answer<MemcachedStore> {
        let shared = self.shared()?;
        let pools = self.addresses()?.into_iter().zip(&self.servers).enumerate();
        let pools = pools.map(|(number, (address, name))| Pool {
            number,
            name: name.clone(),
            address,
            limits: self.limits,
            shared: Arc::clone(&shared),
            state: Mutex::default(),
            freed: Condvar::new(),
        });
        let transport = Pools(pools.collect());
        Ok(MemcachedStore {
            verbs: Verbs { shared, transport },
        })
    }
}

impl std::fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers = self.verbs.transport.0.iter().map(|pool| &pool.name);
        f.debug_struct("MemcachedStore")
            .field("servers", &servers.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A future that never waits: all that its transport does is done when it is asked.
fn done<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("threads block in the transport"),
    }
}

impl Described for MemcachedStore {
    fn abilities(&self) -> Abilities {
        self.verbs.shared.abilities()
    }
}

impl Store for MemcachedStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        done(self.verbs.get_or_lease(key, ask))
    }

    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        done(self.verbs.get_or_lease_many(asks))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        done(self.verbs.put(key, put))
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        done(self.verbs.renew(key, grant, lease))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        done(self.verbs.release(key, grant, quiet))
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        done(self.verbs.invalidate(key, depth, only))
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        done(self.verbs.invalidate_all(namespace, depth))
    }
}

struct Pools(Vec<Pool>);

impl Transport for Pools {
    async fn exchange(&self, server: usize, batch: &Batch) -> Answer<Exchanged> {
        Ok(self.0[server].exchange(batch)?)
    }
}

/// The connections to one server.
struct Pool {
    number: usize,
    name: String,
    address: Address,
    limits: Limits,
    shared: Arc<Shared>,
    state: Mutex<Connections>,
    freed: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// Idle and in use.
    open: usize,
}

/// A connection in use. Dropped, it is closed.
struct Taken<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    /// Whether it was used before.
    is_used: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.pool.lock().open -= 1;
            self.pool.freed.notify_one();
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        // Nothing is half done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, batch: &Batch) -> Result<Exchanged, Trouble> {
        loop {
            let mut taken = self.take(batch.epoch)?;
            let Some(connection) = &mut taken.connection else {
                unreachable!("it was just taken");
            };
            if batch.epoch.is_some_and(|epoch| epoch != connection.epoch) {
                self.give_back(taken);
                return Ok(Exchanged::Elsewhere);
            }
            let epoch = connection.epoch;
            match connection.exchange(&self.name, &batch.bytes, batch.replies, self.limits.timeout)
            {
                Ok(replies) => {
                    self.give_back(taken);
                    return Ok(Exchanged::Replies(replies, epoch));
                }
                // The server may have closed it long ago, and the others with it.
                Err(Trouble::Broken(..)) if taken.is_used && batch.epoch.is_none() => {
                    drop(taken);
                    self.close_idle(|_| true);
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// A connection, of this process of the server if there is one.
    fn take(&self, epoch: Option<u64>) -> Result<Taken<'_>, Trouble> {
        let deadline = Instant::now() + self.limits.timeout;
        let mut state = self.lock();
        loop {
            let wanted =
                |connection: &Connection| epoch.is_none_or(|epoch| epoch == connection.epoch);
            let found = state.idle.iter().rposition(wanted);
            let found = found.or_else(|| state.idle.len().checked_sub(1));
            if let Some(found) = found {
                let connection = Some(state.idle.remove(found));
                return Ok(Taken {
                    pool: self,
                    connection,
                    is_used: true,
                });
            }
            if state.open < self.limits.connections {
                state.open += 1;
                drop(state);
                let opened = self.open();
                if opened.is_err() {
                    self.lock().open -= 1;
                    self.freed.notify_one();
                }
                return Ok(Taken {
                    pool: self,
                    connection: Some(opened?),
                    is_used: false,
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let Limits {
                    connections,
                    timeout,
                    ..
                } = self.limits;
                return Err(Trouble::Busy(self.name.clone(), connections, timeout));
            }
            let woken = self.freed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, mut taken: Taken<'_>) {
        if let Some(connection) = taken.connection.take() {
            self.lock().idle.push(connection);
            self.freed.notify_one();
        }
    }

    fn close_idle(&self, which: impl Fn(&Connection) -> bool) {
        let mut state = self.lock();
        let before = state.idle.len();
        state.idle.retain(|connection| !which(connection));
        state.open -= before - state.idle.len();
        drop(state);
        self.freed.notify_all();
    }

    fn open(&self) -> Result<Connection, Trouble> {
        let trouble = |error| Trouble::Connect(self.name.clone(), error);
        let stream = Stream::connect(&self.address, self.limits.connect).map_err(trouble)?;
        let mut connection = Connection {
            stream,
            decoder: Decoder::new(CHUNK),
            chunk: vec![0; CHUNK].into(),
            epoch: 0,
        };
        let greeting = connection.greet(&self.name, self.limits.timeout)?;
        connection.decoder.set_limit(greeting.item_limit);
        connection.epoch = greeting.epoch;
        self.shared.greeted(self.number, &greeting);
        // The server was restarted: what is connected to the one before is dead.
        self.close_idle(|idle| idle.epoch != greeting.epoch);
        Ok(connection)
    }
}

struct Connection {
    stream: Stream,
    decoder: Decoder,
    chunk: Box<[u8]>,
    epoch: u64,
}

impl Connection {
    fn greet(&mut self, name: &str, limit: Duration) -> Result<Greeting, Trouble> {
        let deadline = Instant::now() + limit;
        let (mut greeter, sent) = Greeter::new(name, Owner::draw().0 as u64);
        // Who takes no connection says why, and closes it, perhaps before anything is sent.
        let sent = self.send(name, &sent, (limit, deadline));
        loop {
            let reply = match self.reply(name, (limit, deadline)) {
                Ok(reply) => reply,
                Err(trouble) => return Err(sent.err().unwrap_or(trouble).turned_away()),
            };
            if let Some(greeting) = greeter.take(reply)? {
                return Ok(greeting);
            }
        }
    }

    fn exchange(
        &mut self,
        name: &str,
        sent: &[u8],
        replies: usize,
        limit: Duration,
    ) -> Result<Vec<Reply>, Trouble> {
        let deadline = Instant::now() + limit;
        self.send(name, sent, (limit, deadline))?;
        let mut got = Vec::with_capacity(replies);
        while got.len() < replies && !is_error(got.last()) {
            got.push(self.reply(name, (limit, deadline))?);
        }
        checked(name, got, &self.decoder)
    }

    fn send(
        &mut self,
        name: &str,
        mut sent: &[u8],
        limit: (Duration, Instant),
    ) -> Result<(), Trouble> {
        while !sent.is_empty() {
            self.stream.limit(name, limit, Direction::Write)?;
            match self.stream.write(sent) {
                Ok(0) => return Err(broken(name, ErrorKind::WriteZero.into(), limit)),
                Ok(written) => sent = &sent[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(name, error, limit)),
            }
        }
        Ok(())
    }

    fn reply(&mut self, name: &str, limit: (Duration, Instant)) -> Result<Reply, Trouble> {
        loop {
            let malformed = |error| Trouble::Malformed(name.to_owned(), error);
            if let Some(reply) = self.decoder.next().map_err(malformed)? {
                return Ok(reply);
            }
            self.stream.limit(name, limit, Direction::Read)?;
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Err(broken(name, ErrorKind::UnexpectedEof.into(), limit)),
                Ok(read) => self.decoder.feed(&self.chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(name, error, limit)),
            }
        }
    }
}

/// What follows such a reply cannot be told apart, or does not follow.
pub(crate) fn is_error(reply: Option<&Reply>) -> bool {
    matches!(reply, Some(Reply::Error(_)))
}

/// The replies, if they are all that came, and the next ones can be told apart from them.
pub(crate) fn checked(
    name: &str,
    replies: Vec<Reply>,
    decoder: &Decoder,
) -> Result<Vec<Reply>, Trouble> {
    let unexpected = |said: String| Err(Trouble::Unexpected(name.to_owned(), said));
    match replies.last() {
        Some(Reply::Error(said)) => unexpected(said.clone()),
        _ if decoder.is_empty() => Ok(replies),
        _ => unexpected("more than was asked for".to_owned()),
    }
}

fn broken(name: &str, error: io::Error, (limit, _): (Duration, Instant)) -> Trouble {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Trouble::Slow(name.to_owned(), limit),
        _ => Trouble::Broken(name.to_owned(), error),
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Address, limit: Duration) -> io::Result<Self> {
        match address {
            Address::Tcp(server) => {
                let deadline = Instant::now() + limit;
                let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
                for address in server.to_socket_addrs()? {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    match TcpStream::connect_timeout(&address, left) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Self::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                use socket2::{Domain, SockAddr, Socket, Type};
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // A server that is stopped and whose queue is full would keep a thread for ever.
                socket.set_write_timeout(Some(limit))?;
                socket.connect(&SockAddr::unix(path)?)?;
                Ok(Self::Unix(std::os::fd::OwnedFd::from(socket).into()))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// The next read or write ends in time.
    fn limit(
        &self,
        name: &str,
        (limit, deadline): (Duration, Instant),
        next: Direction,
    ) -> Result<(), Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::Slow(name.to_owned(), limit));
        }
        let set = match (self, next) {
            (Self::Tcp(stream), Direction::Read) => stream.set_read_timeout(Some(left)),
            (Self::Tcp(stream), Direction::Write) => stream.set_write_timeout(Some(left)),
            #[cfg(unix)]
            (Self::Unix(stream), Direction::Read) => stream.set_read_timeout(Some(left)),
            #[cfg(unix)]
            (Self::Unix(stream), Direction::Write) => stream.set_write_timeout(Some(left)),
        };
        set.map_err(|error| Trouble::Broken(name.to_owned(), error))
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(chunk),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(chunk),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

/// A chunk and a line fit into what a decoder holds at least.
const _: () = assert!(CHUNK > LONGEST_LINE);
