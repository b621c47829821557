//! A key of a `FleetKeyed` as if it were a pile of its own: the same tests run over it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dogpile::Clock;
use dogpile::executor::Executor;
use dogpile_fleet::{
    Answer, AsyncStore, Creation, Described, Expected, FleetAttempt, FleetBackground, FleetError,
    FleetGuard, FleetKeyCall, FleetKeyed, FleetStats, Key, ManyKeys, OnStoreError, Plain, Store,
    Swap, Version, WriteError,
};

#[path = "promises.rs"]
mod promises;
#[path = "tasks.rs"]
mod tasks;

type Settings<S> = dogpile_fleet::FleetBuilder<String, S, Plain, ManyKeys<String, String>>;

type Setting<S> = Box<dyn FnOnce(Settings<S>) -> Settings<S>>;

pub(crate) type Background<'a, 'q, 'e, S> = FleetBackground<
    'a,
    'e,
    String,
    S,
    Plain,
    dogpile_fleet::AtKey<'a, 'q, String, String, S, Plain, String>,
>;

/// Only of text: the tests make nothing else.
pub(crate) struct FleetDogpile<T, S> {
    map: FleetKeyed<String, T, S>,
    key: String,
    record: Key,
}

pub(crate) struct FleetBuilder<T, S> {
    store: Arc<S>,
    namespace: String,
    key: String,
    ttl: Duration,
    settings: Vec<Setting<S>>,
    of: std::marker::PhantomData<T>,
}

impl<S: Described> FleetDogpile<String, S> {
    pub(crate) fn builder(store: Arc<S>, key: &str, ttl: Duration) -> FleetBuilder<String, S> {
        FleetBuilder {
            store,
            namespace: String::new(),
            key: key.to_owned(),
            ttl,
            settings: Vec::new(),
            of: std::marker::PhantomData,
        }
    }
}

macro_rules! settings {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        impl<S: Described> FleetBuilder<String, S> {
            $(pub(crate) fn $name(mut self, $($argument: $type),*) -> Self {
                self.settings.push(Box::new(move |settings| settings.$name($($argument),*)));
                self
            })*

            pub(crate) fn namespace(mut self, namespace: &str) -> Self {
                self.namespace = namespace.to_owned();
                self
            }

            pub(crate) fn build(self) -> FleetDogpile<String, S> {
                let settings = FleetKeyed::builder(self.store, &self.namespace, self.ttl);
                let settings = (self.settings.into_iter()).fold(settings, |all, one| one(all));
                let map = settings.build();
                FleetDogpile {
                    record: map.record(&self.key),
                    key: self.key,
                    map,
                }
            }
        }
    };
}
settings! {
    clock(clock: Arc<dyn Clock>);
    format(format: u32);
    stale_while_revalidate(limit: Duration);
    stale_if_error(limit: Duration);
    local_ttl(span: Duration);
    lease(span: Duration);
    max_create_time(span: Duration);
    min_interval(span: Duration);
    backoff(first: Duration, last: Duration);
    refresh_ahead(beta: f64);
    on_store_error(what: OnStoreError);
    watched();
}

type Text = String;

impl<S> FleetDogpile<Text, S> {
    pub(crate) fn call(&self) -> FleetKeyCall<'_, '_, String, Text, S, Plain, String> {
        self.map.call(&self.key)
    }

    pub(crate) fn hit(&self) -> Option<FleetGuard<'_, Text>> {
        self.map.hit(&self.key)
    }

    pub(crate) fn peek(&self) -> Option<FleetGuard<'_, Text>> {
        self.map.peek(&self.key)
    }

    pub(crate) fn waiters(&self) -> usize {
        self.map.waiters(&self.key)
    }

    pub(crate) fn stats(&self) -> FleetStats {
        self.map.stats()
    }

    pub(crate) fn key(&self) -> &Key {
        &self.record
    }
}

impl<S: Store> FleetDogpile<Text, S> {
    pub(crate) fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creation<'_, Text>) -> Result<Text, E>,
    ) -> Result<FleetGuard<'_, Text>, FleetError<E>> {
        self.map.get_or_try_create(&self.key, create)
    }

    pub(crate) fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creation<'_, Text>) -> Result<Text, E>,
    ) -> Result<FleetGuard<'_, Text>, FleetError<E>> {
        self.map.refresh(&self.key, create)
    }

    pub(crate) fn background<'a, 'e>(
        &'a self,
        executor: &'e dyn Executor,
    ) -> Background<'a, 'a, 'e, S> {
        self.map.background(&self.key, executor)
    }

    pub(crate) fn attempt(&self) -> FleetAttempt<'_, Text, S, Plain> {
        self.map.attempt(&self.key)
    }

    pub(crate) fn set(&self, value: Text) -> Result<Version, WriteError> {
        self.map.set(self.key.clone(), value)
    }

    pub(crate) fn compare_and_set(
        &self,
        expected: Expected,
        value: Text,
    ) -> Result<Swap, WriteError> {
        self.map.compare_and_set(self.key.clone(), expected, value)
    }

    pub(crate) fn expire(&self) -> Answer<()> {
        self.map.expire(&self.key)
    }

    pub(crate) fn expire_if(&self, seen: &FleetGuard<'_, Text>) -> Answer<bool> {
        self.map.expire_if(&self.key, seen)
    }

    pub(crate) fn invalidate(&self) -> Answer<()> {
        self.map.invalidate(&self.key)
    }

    pub(crate) fn invalidate_if(&self, seen: &FleetGuard<'_, Text>) -> Answer<bool> {
        self.map.invalidate_if(&self.key, seen)
    }

    pub(crate) fn expire_all(&self) -> Answer<()> {
        self.map.expire_all()
    }

    pub(crate) fn invalidate_all(&self) -> Answer<()> {
        self.map.invalidate_all()
    }
}

impl<S: AsyncStore> FleetDogpile<Text, S> {
    pub(crate) async fn get_or_try_create_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creation<'a, Text>) -> F,
    ) -> Result<FleetGuard<'a, Text>, FleetError<E>>
    where
        F: Future<Output = Result<Text, E>>,
    {
        self.map.get_or_try_create_async(&self.key, create).await
    }

    pub(crate) async fn refresh_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creation<'a, Text>) -> F,
    ) -> Result<FleetGuard<'a, Text>, FleetError<E>>
    where
        F: Future<Output = Result<Text, E>>,
    {
        self.map.refresh_async(&self.key, create).await
    }

    pub(crate) async fn set_async(&self, value: Text) -> Result<Version, WriteError> {
        self.map.set_async(self.key.clone(), value).await
    }

    pub(crate) async fn compare_and_set_async(
        &self,
        expected: Expected,
        value: Text,
    ) -> Result<Swap, WriteError> {
        let key = self.key.clone();
        self.map.compare_and_set_async(key, expected, value).await
    }

    pub(crate) async fn expire_async(&self) -> Answer<()> {
        self.map.expire_async(&self.key).await
    }

    pub(crate) async fn invalidate_async(&self) -> Answer<()> {
        self.map.invalidate_async(&self.key).await
    }

    pub(crate) async fn expire_all_async(&self) -> Answer<()> {
        self.map.expire_all_async().await
    }

    pub(crate) async fn invalidate_all_async(&self) -> Answer<()> {
        self.map.invalidate_all_async().await
    }
}
