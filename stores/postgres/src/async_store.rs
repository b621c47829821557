//! The store for tasks of tokio.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dogpile_fleet::{
    Abilities, Answer, Ask, AsyncStore, Depth, Described, Found, Grant, Key, Placed, Put,
    StoreError, Version, Watch,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Config, NoTls, Row, Socket};

use crate::connections::{self, Connections, MIGRATION, Request};
use crate::hints::Hints;
use crate::settings::{self, Settings};
use crate::verbs::{self, Argument, Asks, Told, micros};

/// Hints may be lost: so long sleeps at most who relies on them.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// A PostgreSQL that the processes of a fleet share, asked by tasks of tokio.
///
/// It connects when it is first asked, and again whenever it has to.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_postgres::AsyncPostgresStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(AsyncPostgresStore::open("postgres://app@localhost/app")?);
/// let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
/// let list = offers.get_or_try_create_async(|_| fetch()).await?;
/// # drop(list);
/// # Ok(())
/// # }
/// # async fn fetch() -> Result<String, std::io::Error> { Ok(String::new()) }
/// ```
pub struct AsyncPostgresStore {
    inner: Arc<Inner>,
    hints: Hints,
    runtime: Handle,
}

struct Inner {
    connections: Connections,
    max_value: u64,
    hints: bool,
}

impl AsyncPostgresStore {
    /// The tables and functions, as statements of SQL. A store runs them where they are missing, unless
    /// [told not to](Settings::migrate).
    ///
    /// They may be run again, and leave what is in the tables as it is. The version of the tables is the
    /// number in `dogpile_schema`.
    pub const MIGRATION: &str = MIGRATION;

    /// The server at this address, such as `postgres://user:password@host:5432/database`, without encryption.
    ///
    /// # Errors
    ///
    /// If it is not such an address, or outside of a runtime. Whether the server can be reached shows when it
    /// is asked.
    pub fn open(url: &str) -> Answer<Self> {
        Self::with(url, Settings::new())
    }

    /// The same, with these settings.
    ///
    /// # Errors
    ///
    /// As of [`open`](AsyncPostgresStore::open).
    pub fn with(url: &str, settings: Settings) -> Answer<Self> {
        Self::with_tls(settings::plain(url)?, NoTls, settings)
    }

    /// A configuration of yours, and what encrypts its connections, such as that of the crate
    /// `tokio-postgres-rustls` or `postgres-native-tls`.
    ///
    /// # Errors
    ///
    /// Outside of a runtime.
    pub fn with_tls<T>(config: Config, tls: T, settings: Settings) -> Answer<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let runtime = Handle::try_current().map_err(|_| {
            StoreError::refused(
                "it is made outside of a runtime of tokio: make it in one, or within `runtime.enter()`, or use `PostgresStore`",
            )
        })?;
        let connect = connections::connect(config, tls);
        let hints = settings
            .hints
            .then(|| (Arc::clone(&connect), settings.timeout));
        Ok(Self {
            hints: Hints::new(hints, runtime.clone()),
            runtime,
            inner: Arc::new(Inner {
                connections: Connections::new(connect, &settings),
                max_value: settings.max_value,
                hints: settings.hints,
            }),
        })
    }
}

impl Inner {
    async fn run(&self, sql: &'static str, arguments: Vec<Argument<'_>>) -> Answer<Vec<Row>> {
        self.connections.run(&Request { sql, arguments }).await
    }

    async fn ask_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let arguments = Asks::new(asks.iter().map(|(key, ask)| (key, ask)));
        let rows = match self.connections.run(&arguments.request()).await {
            Ok(rows) => rows,
            Err(error) => {
                let again = |_| {
                    Err(StoreError {
                        kind: error.kind,
                        source: error.source.to_string().into(),
                    })
                };
                return asks.iter().map(again).collect();
            }
        };
        let mut answers = Vec::with_capacity(asks.len());
        for ((key, ask), told) in asks.iter().zip(verbs::told(&rows, asks)) {
            answers.push(match told {
                Ok(Told::Found(found)) => Ok(found),
                Ok(Told::Torn(version)) => self.ask_above(key, ask, version).await,
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// Once more, for a value that is not the torn one.
    async fn ask_above(&self, key: &Key, ask: &Ask, torn: Version) -> Answer<Found> {
        let ask = Ask {
            floor: torn.max(ask.floor),
            ..*ask
        };
        let asks = [(key.clone(), ask)];
        let arguments = Asks::new(std::iter::once((key, &ask)));
        let rows = self.connections.run(&arguments.request()).await?;
        match verbs::told(&rows, &asks).pop() {
            Some(Ok(Told::Found(found))) => Ok(found),
            Some(Err(error)) => Err(error),
            Some(Ok(Told::Torn(_))) | None => Err(StoreError::protocol(
                "a value is torn again and again: who else writes into the tables of dogpile?",
            )),
        }
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        let (owner, fence, quiet) = (verbs::owner(grant), verbs::fence(grant), micros(quiet));
        let (name, namespace) = verbs::names(key);
        let arguments: Vec<Argument<'_>> = vec![
            (&name, Type::BYTEA),
            (&namespace, Type::BYTEA),
            (&owner, Type::BYTEA),
            (&fence, Type::INT8),
            (&quiet, Type::INT8),
            (&self.hints, Type::BOOL),
        ];
        verbs::done(&self.run(verbs::RELEASE, arguments).await?)
    }
}

impl std::fmt::Debug for AsyncPostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncPostgresStore").finish_non_exhaustive()
    }
}

/// The answers to asks. Leases in those that nobody takes are given back.
struct Answers {
    inner: Arc<Inner>,
    runtime: Handle,
    asks: Vec<(Key, Ask)>,
    answers: Vec<Answer<Found>>,
}

impl Answers {
    fn take(mut self) -> Vec<Answer<Found>> {
        std::mem::take(&mut self.answers)
    }
}

impl Drop for Answers {
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

fn release_soon(runtime: &Handle, inner: &Arc<Inner>, key: Key, grant: Grant, quiet: Duration) {
    let inner = Arc::clone(inner);
    runtime.spawn(async move {
        // If that fails, the lease ends by itself.
        let _ = inner.release(&key, grant, quiet).await;
    });
}

impl AsyncPostgresStore {
    /// Asks in a task of its own: once a request was sent nobody takes it back, and what it is granted has to
    /// be given back if nobody waits any more.
    fn spawn_asks(
        &self,
        asks: Vec<(Key, Ask)>,
    ) -> impl Future<Output = Vec<Answer<Found>>> + Send + use<> {
        let asked = asks.len();
        let (sender, answers) = oneshot::channel();
        let (inner, runtime) = (Arc::clone(&self.inner), self.runtime.clone());
        self.runtime.spawn(async move {
            let answers = inner.ask_many(&asks).await;
            // If nobody waits, it is dropped here, or with the channel.
            let _ = sender.send(Answers {
                inner,
                runtime,
                asks,
                answers,
            });
        });
        async move {
            let ended = |_| {
                Err(StoreError::unavailable(
                    "the runtime of the store has ended",
                ))
            };
            match answers.await {
                Ok(answers) => answers.take(),
                Err(_) => (0..asked).map(ended).collect(),
            }
        }
    }
}

impl Described for AsyncPostgresStore {
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::least();
        abilities.monotonic = true;
        abilities.resend_safe = true;
        abilities.hints = self.hints.can();
        abilities.namespaces = true;
        abilities.resolution = Duration::from_micros(1);
        abilities.max_value = self.inner.max_value;
        abilities
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.hints.watch(watch)
    }
}

impl AsyncStore for AsyncPostgresStore {
    async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let asks = vec![(key.clone(), *ask)];
        let mut answers = match ask.owner {
            Some(_) => self.spawn_asks(asks).await,
            None => self.inner.ask_many(&asks).await,
        };
        answers.pop().expect("one was asked for")
    }

    /// One round trip.
    async fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        if asks.is_empty() {
            return Vec::new();
        }
        self.spawn_asks(asks.to_vec()).await
    }

    async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let (length, limit) = (put.bytes.len() as u64, self.inner.max_value);
        if length > limit {
            let remedy = "raise it with `Settings::max_value`";
            return Err(StoreError::too_large(length, limit, remedy));
        }
        let (guard, owner, number) = verbs::guard(put.guard);
        let sum = verbs::sum(put.bytes);
        let spans = [put.age, put.fresh_for, put.keep_for].map(micros);
        let (name, namespace) = verbs::names(key);
        let arguments: Vec<Argument<'_>> = vec![
            (&name, Type::BYTEA),
            (&namespace, Type::BYTEA),
            (&guard, Type::TEXT),
            (&owner, Type::BYTEA),
            (&number, Type::INT8),
            (&put.bytes, Type::BYTEA),
            (&sum, Type::INT8),
            (&spans[0], Type::INT8),
            (&spans[1], Type::INT8),
            (&spans[2], Type::INT8),
            (&self.inner.hints, Type::BOOL),
        ];
        verbs::placed(&self.inner.run(verbs::PUT, arguments).await?)
    }

    async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let (owner, fence, lease) = (verbs::owner(grant), verbs::fence(grant), micros(lease));
        let (name, namespace) = verbs::names(key);
        let arguments: Vec<Argument<'_>> = vec![
            (&name, Type::BYTEA),
            (&namespace, Type::BYTEA),
            (&owner, Type::BYTEA),
            (&fence, Type::INT8),
            (&lease, Type::INT8),
        ];
        verbs::done(&self.inner.run(verbs::RENEW, arguments).await?)
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.inner.release(key, grant, quiet).await
    }

    async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let (hard, only) = (depth == Depth::Hard, verbs::number(only));
        let (name, namespace) = verbs::names(key);
        let arguments: Vec<Argument<'_>> = vec![
            (&name, Type::BYTEA),
            (&namespace, Type::BYTEA),
            (&hard, Type::BOOL),
            (&only, Type::INT8),
            (&self.inner.hints, Type::BOOL),
        ];
        verbs::done(&self.inner.run(verbs::INVALIDATE, arguments).await?)
    }

    async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let (namespace, hard) = (namespace.as_bytes(), depth == Depth::Hard);
        let arguments: Vec<Argument<'_>> = vec![
            (&namespace, Type::BYTEA),
            (&hard, Type::BOOL),
            (&self.inner.hints, Type::BOOL),
        ];
        verbs::done(&self.inner.run(verbs::INVALIDATE_ALL, arguments).await?).map(drop)
    }

    /// Sleeps until a hint about the record comes, or one second; without hints for `poll`.
    async fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let Some(mut said) = self.hints.said() else {
            return tokio::time::sleep(poll.min(until)).await;
        };
        // What was said before is said: it may be over already.
        let glance = [(key.clone(), Ask::peek())];
        match self.inner.ask_many(&glance).await.pop() {
            Some(Ok(Found::Busy { fence: led, .. })) if led == fence => {
                let woken = async {
                    // One who hears too much at once wakes.
                    while said.recv().await.is_ok_and(|said| !said.is_about(key)) {}
                };
                // Whether it was woken or not: it asks again.
                let _ = tokio::time::timeout(until.min(LONGEST_NAP), woken).await;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => tokio::time::sleep(poll.min(until)).await,
        }
    }

    async fn pause(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration) {
        release_soon(&self.runtime, &self.inner, key.clone(), grant, quiet);
    }
}
