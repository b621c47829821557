//! The store for tasks of tokio.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dogpile_fleet::{
    Abilities, Answer, Ask, AsyncStore, Depth, Described, Found, Grant, Key, Placed, Put,
    StoreError, Version, Watch,
};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error;
use crate::hints::Hints;
use crate::request::{self, LONGEST_NAP, Request, Verbs};
use crate::settings::Settings;

/// A Redis that the processes of a fleet share, asked by tasks of tokio.
///
/// It goes over one connection, that many requests share: a `MultiplexedConnection`, a
/// `ConnectionManager` or the connection to a Cluster of the crate `redis`. A plain
/// `MultiplexedConnection` does not come back once it was lost: a `ConnectionManager` does.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_redis::AsyncRedisStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(AsyncRedisStore::open("redis://127.0.0.1/")?);
/// let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
/// let list = offers.get_or_try_create_async(|_| fetch()).await?;
/// # drop(list);
/// # Ok(())
/// # }
/// # async fn fetch() -> Result<String, std::io::Error> { Ok(String::new()) }
/// ```
pub struct AsyncRedisStore<C = ConnectionManager> {
    inner: Arc<Inner<C>>,
    hints: Hints,
    runtime: Handle,
}

/// A connection that many requests share: a clone of it is the same one.
trait Shared: ConnectionLike + Clone + Send + Sync + 'static {}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Shared for C {}

struct Inner<C> {
    verbs: Verbs,
    connection: C,
    timeout: Duration,
}

impl AsyncRedisStore {
    /// The server at this URL, such as `redis://user:password@host:6379/0` or
    /// `redis+unix:///run/redis.sock`, over a `ConnectionManager`.
    ///
    /// # Errors
    ///
    /// If it is not such a URL, or outside of a runtime. Whether the server can be reached shows when it
    /// is asked.
    pub fn open(url: &str) -> Answer<Self> {
        Self::with_client(crate::settings::client(url)?, Settings::new())
    }

    /// A client of yours, over a `ConnectionManager`.
    ///
    /// # Errors
    ///
    /// If the settings contradict themselves, or outside of a runtime.
    pub fn with_client(client: Client, settings: Settings) -> Answer<Self> {
        runtime()?;
        let timeout = Some(settings.timeout);
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(timeout)
            .set_response_timeout(timeout)
            // The fleet asks again when it is time to.
            .set_number_of_retries(0);
        let hints = settings.hints_from.clone().unwrap_or(client.clone());
        let connection = client
            .get_connection_manager_lazy(config)
            .map_err(error::of)?;
        Self::new(connection, settings.hints_from(hints))
    }
}

fn runtime() -> Answer<Handle> {
    Handle::try_current().map_err(|_| {
        StoreError::refused(
            "it is made outside of a runtime of tokio: make it in one, or within `runtime.enter()`",
        )
    })
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> AsyncRedisStore<C> {
    /// A connection of yours.
    ///
    /// There are hints if the settings say [where from](Settings::hints_from).
    ///
    /// # Errors
    ///
    /// If the settings contradict themselves, or outside of a runtime.
    pub fn new(connection: C, settings: Settings) -> Answer<Self> {
        let verbs = Verbs::new(&settings)?;
        let channels = verbs.names.channels();
        Ok(Self {
            hints: Hints::new(settings.hints_from.clone(), channels, settings.timeout),
            runtime: runtime()?,
            inner: Arc::new(Inner {
                verbs,
                connection,
                timeout: settings.timeout,
            }),
        })
    }
}

impl<C: ConnectionLike + Clone> Inner<C> {
    async fn run(&self, request: &Request<'_>) -> Answer<Value> {
        let limit = tokio::time::timeout(self.timeout, self.send_again(request));
        match limit.await {
            Ok(answer) => answer.map_err(error::of),
            Err(_) => Err(StoreError::unavailable(format!(
                "no answer within {:?}",
                self.timeout
            ))),
        }
    }

    async fn send_again(&self, request: &Request<'_>) -> RedisResult<Value> {
        match self.send(request).await {
            // The connection may have been lost long ago, unnoticed. By now there may be another.
            Err(error) if request.twice && error::is_lost(&error) => self.send(request).await,
            answer => answer,
        }
    }

    async fn send(&self, request: &Request<'_>) -> RedisResult<Value> {
        // A clone is the same connection.
        let mut connection = self.connection.clone();
        match request.by_name().query_async(&mut connection).await {
            Err(error) if Request::is_unknown(&error) => {
                request.in_full().query_async(&mut connection).await
            }
            answer => answer,
        }
    }

    async fn ask_many(&self, batch: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let asks = batch.iter().map(|(key, ask)| (key, ask));
        let reply = self.run(&self.verbs.ask_many(asks)).await;
        request::found_many(reply, batch.len())
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        request::done(self.run(&self.verbs.release(key, grant, quiet)).await?)
    }
}

impl<C> std::fmt::Debug for AsyncRedisStore<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncRedisStore")
            .field("names", &self.inner.verbs.names)
            .finish_non_exhaustive()
    }
}

/// The answers to asks. Leases in those that nobody takes are given back.
struct Answers<C: Shared> {
    inner: Arc<Inner<C>>,
    runtime: Handle,
    asks: Vec<(Key, Ask)>,
    answers: Vec<Answer<Found>>,
}

impl<C: Shared> Answers<C> {
    fn take(mut self) -> Vec<Answer<Found>> {
        std::mem::take(&mut self.answers)
    }
}

impl<C: Shared> Drop for Answers<C> {
    fn drop(&mut self) {
        let answers = std::mem::take(&mut self.answers);
        for ((key, ask), answer) in std::mem::take(&mut self.asks).into_iter().zip(answers) {
            if let (Some(owner), Ok(Found::Leased { fence, .. })) = (ask.owner, answer) {
                let grant = Grant { owner, fence };
                release_soon(&self.runtime, &self.inner, key, grant, Duration::ZERO);
            }
        }
    }
}

fn release_soon<C: Shared>(
    runtime: &Handle,
    inner: &Arc<Inner<C>>,
    key: Key,
    grant: Grant,
    quiet: Duration,
) {
    let inner = Arc::clone(inner);
    runtime.spawn(async move {
        // If that fails, the lease ends by itself.
        let _ = inner.release(&key, grant, quiet).await;
    });
}

impl<C: Shared> Inner<C> {
    /// Asks in a task of its own: once a request was sent nobody takes it back, and what it is granted
    /// has to be given back if nobody waits any more. The task begins at once.
    fn spawn_asks(
        self: &Arc<Self>,
        runtime: &Handle,
        asks: Vec<(Key, Ask)>,
    ) -> impl Future<Output = Vec<Answer<Found>>> + Send + use<C> {
        let asked = asks.len();
        let (sender, answers) = oneshot::channel();
        let (inner, own) = (Arc::clone(self), runtime.clone());
        runtime.spawn(async move {
            let answers = inner.ask_many(&asks).await;
            // If nobody waits, it is dropped here, or with the channel.
            let _ = sender.send(Answers {
                inner,
                runtime: own,
                asks,
                answers,
            });
        });
        async move {
            match answers.await {
                Ok(answers) => answers.take(),
                Err(_) => request::found_many(Err(ended()), asked),
            }
        }
    }
}

fn ended() -> StoreError {
    StoreError::unavailable("the runtime of the store has ended")
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Described for AsyncRedisStore<C> {
    fn abilities(&self) -> Abilities {
        self.inner.verbs.abilities(&self.hints)
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.hints.watch(watch)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> AsyncStore for AsyncRedisStore<C> {
    async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let mut answers = match ask.owner {
            Some(_) => {
                let asks = vec![(key.clone(), *ask)];
                self.inner.spawn_asks(&self.runtime, asks).await
            }
            None => self.inner.ask_many(&[(key.clone(), *ask)]).await,
        };
        answers.pop().expect("one was asked for")
    }

    /// One round trip: requests for several slots, or for more than 100 records of one, are under way at
    /// once.
    async fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let batches = self.inner.verbs.batches(asks);
        let tasks: Vec<_> = batches
            .iter()
            .map(|batch| {
                let asks: Vec<_> = batch.iter().map(|at| asks[*at].clone()).collect();
                self.inner.spawn_asks(&self.runtime, asks)
            })
            .collect();
        let mut answers: Vec<_> = asks.iter().map(|_| None).collect();
        for (batch, task) in batches.iter().zip(tasks) {
            for (at, answer) in batch.iter().zip(task.await) {
                answers[*at] = Some(answer);
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.expect("each is in one batch"))
            .collect()
    }

    async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let inner = &self.inner;
        request::placed(inner.run(&inner.verbs.put(key, put)?).await?)
    }

    async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let inner = &self.inner;
        request::done(inner.run(&inner.verbs.renew(key, grant, lease)).await?)
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.inner.release(key, grant, quiet).await
    }

    async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let inner = &self.inner;
        request::done(inner.run(&inner.verbs.invalidate(key, depth, only)).await?)
    }

    async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        for request in self.inner.verbs.invalidate_all(namespace, depth) {
            request::done(self.inner.run(&request).await?)?;
        }
        Ok(())
    }

    /// Sleeps until a hint about the record comes, or one second; without hints for `poll`.
    async fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let Some(sleepers) = self.hints.sleepers() else {
            return tokio::time::sleep(poll.min(until)).await;
        };
        let bed = sleepers.bed(key);
        // What was said before the bed was made is said: it may be over already.
        let glance = self.inner.verbs.glance(key);
        match request::found(self.inner.run(&glance).await) {
            Ok(found) if request::is_led(&found, fence) => {
                let limit = until.min(LONGEST_NAP);
                // Whether it was woken or not: it asks again.
                let _ = tokio::time::timeout(limit, bed.woken()).await;
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(poll.min(until)).await,
        }
    }

    async fn pause(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration) {
        release_soon(&self.runtime, &self.inner, key.clone(), grant, quiet);
    }
}
