//! The store for threads.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use dogpile_fleet::{
    Abilities, Answer, Ask, AsyncStore, Depth, Described, Found, Grant, Key, Placed, Put, Store,
    StoreError, Version, Watch,
};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, Socket};

use crate::async_store::AsyncPostgresStore;
use crate::settings::{self, Settings};

/// A PostgreSQL that the processes of a fleet share, asked by threads.
///
/// It connects when it is first asked, and again whenever it has to. One thread of the store's drives the
/// connections. None of them is held while a thread sleeps or creates.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_postgres::PostgresStore;
///
/// let store = Arc::new(PostgresStore::open("postgres://app@localhost/app")?);
/// let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
/// let list = offers.get_or_try_create(|_| std::fs::read_to_string("offers.txt"))?;
/// # drop(list);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct PostgresStore {
    store: AsyncPostgresStore,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl PostgresStore {
    /// The tables and functions, as statements of SQL. A store runs them where they are missing, unless
    /// [told not to](Settings::migrate).
    ///
    /// They may be run again, and leave what is in the tables as it is. The version of the tables is the
    /// number in `dogpile_schema`.
    pub const MIGRATION: &str = AsyncPostgresStore::MIGRATION;

    /// The server at this address, such as `postgres://user:password@host:5432/database`, without encryption.
    ///
    /// # Errors
    ///
    /// If it is not such an address. Whether the server can be reached shows when it is asked.
    pub fn open(url: &str) -> Answer<Self> {
        Self::with(url, Settings::new())
    }

    /// The same, with these settings.
    ///
    /// # Errors
    ///
    /// As of [`open`](PostgresStore::open).
    pub fn with(url: &str, settings: Settings) -> Answer<Self> {
        Self::with_tls(settings::plain(url)?, tokio_postgres::NoTls, settings)
    }

    /// A configuration of yours, and what encrypts its connections, such as that of the crate
    /// `tokio-postgres-rustls` or `postgres-native-tls`.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn with_tls<T>(config: Config, tls: T, settings: Settings) -> Answer<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dogpile-postgres")
            .enable_all()
            .build()
            .map_err(StoreError::unavailable)?;
        let inside = runtime.enter();
        let store = AsyncPostgresStore::with_tls(config, tls, settings)?;
        drop(inside);
        Ok(Self {
            store,
            runtime: Some(runtime),
        })
    }

    /// Waits as a thread does, also one of another runtime.
    fn wait<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.runtime.as_ref().expect("it is there until the drop");
        let _inside = runtime.enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped by a task of another runtime, where nobody may wait.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl Described for PostgresStore {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.store.watch(watch)
    }
}

impl Store for PostgresStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.wait(self.store.get_or_lease(key, ask))
    }

    /// One round trip.
    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        self.wait(self.store.get_or_lease_many(asks))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.wait(self.store.put(key, put))
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.wait(self.store.renew(key, grant, lease))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.wait(self.store.release(key, grant, quiet))
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.wait(self.store.invalidate(key, depth, only))
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.wait(self.store.invalidate_all(namespace, depth))
    }

    /// Sleeps until a hint about the record comes, or one second; without hints for `poll`.
    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        self.wait(self.store.nap(key, fence, poll, until));
    }
}
