//! What several tests need.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, ManualClock, Tick};
use dogpile_fleet::conformance::BlockOn;
use dogpile_fleet::{
    Answer, Ask, Creation, FleetDogpile, Grant, Guarded, Key, Placed, Store, Stored, Version,
};
use dogpile_memcached::{MemcachedBuilder, MemcachedStore};
use tokio::runtime::Runtime;

use crate::server::Server;

pub(crate) use store_bench::{MINUTE as LONG, SECOND, put};

/// A clock that stands at some day of some year, so that there is a time before.
pub(crate) fn manual_clock() -> Arc<ManualClock> {
    let clock = ManualClock::new();
    clock.set(Tick::from_nanos(1_700_000_000_000_000_000));
    Arc::new(clock)
}

pub(crate) fn back(clock: &ManualClock, span: Duration) {
    let nanos = clock.now().as_nanos() - span.as_nanos() as u64;
    clock.set(Tick::from_nanos(nanos));
}

pub(crate) fn builder(servers: &[Server]) -> MemcachedBuilder {
    MemcachedStore::builder(servers.iter().map(Server::address))
}

pub(crate) fn connect(server: &Server) -> Arc<MemcachedStore> {
    let store = MemcachedStore::connect([server.address()]);
    Arc::new(store.expect("it answers"))
}

pub(crate) fn key(name: &str) -> Key {
    Key::new("test", name, 0)
}

#[track_caller]
pub(crate) fn lead(store: &dyn Store, key: &Key) -> Grant {
    store_bench::lead(store, key, LONG)
}

#[track_caller]
pub(crate) fn commit(store: &dyn Store, key: &Key, grant: Grant, bytes: &[u8]) -> Placed {
    let placed = store.put(key, &put(Guarded::Lease(grant), bytes));
    placed.expect("the store answers")
}

#[track_caller]
pub(crate) fn write(store: &dyn Store, key: &Key, bytes: &[u8]) -> Version {
    match store.put(key, &put(Guarded::Any, bytes)) {
        Ok(Placed::Stored(version)) => version,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn peek(store: &dyn Store, key: &Key) -> Answer<Option<Stored>> {
    let found = store.get_or_lease(key, &Ask::peek())?;
    Ok(found.stored().cloned())
}

#[track_caller]
pub(crate) fn bytes(store: &dyn Store, key: &Key) -> Option<Vec<u8>> {
    let stored = peek(store, key).expect("the store answers");
    stored.map(|stored| stored.bytes.expect("nothing was known"))
}

/// A pile of a process of its own.
pub(crate) fn pile<S: Store>(store: &Arc<S>, ttl: Duration) -> FleetDogpile<String, S> {
    FleetDogpile::builder(Arc::clone(store), "key", ttl)
        .namespace("test")
        .stale_while_revalidate(LONG)
        .local_ttl(Duration::ZERO)
        .build()
}

pub(crate) fn make(text: &str) -> impl FnOnce(Creation<'_, String>) -> Result<String, String> {
    let text = text.to_owned();
    move |_| Ok(text)
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Waits on a runtime.
pub(crate) struct On(pub(crate) Arc<Runtime>);

impl BlockOn for On {
    fn block_on<F: Future + Send>(&self, future: F) -> F::Output
    where
        F::Output: Send,
    {
        self.0.block_on(future)
    }
}
