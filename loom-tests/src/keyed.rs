//! A key of a map as a pile: with the methods of one that stands alone.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use dogpile::executor::Executor;
use dogpile::{
    Builder, Created, Creating, Dogpile, Error, KeyedAttempt, KeyedBackground, KeyedBusy,
    KeyedCall, KeyedDogpile, KeyedGuard, Seen,
};

// What a call does at the lock of a shard multiplies the interleavings.
pub use crate::imp::model_in_part as model;

/// A hasher without a seed: each schedule has to be the same when it is run again.
type Hasher = BuildHasherDefault<DefaultHasher>;

pub type Attempt<'a, T> = KeyedAttempt<'a, u32, T>;
pub type Busy<'a, T> = KeyedBusy<'a, u32, T>;

pub type Guard<'a, T> = KeyedGuard<'a, u32, T>;
type Call<'a, T> = KeyedCall<'a, 'static, u32, T, Hasher, u32>;
type Background<'a, 'e, T> = KeyedBackground<'a, 'static, 'e, u32, T, Hasher, u32>;

/// The key.
const KEY: u32 = 7;

/// A key of a map.
pub struct Pile<T>(KeyedDogpile<u32, T, Hasher>);

/// A key of a map with these settings.
pub fn build<T>(settings: Builder<T>) -> Pile<T> {
    Pile(settings.keyed().hasher(Hasher::default()).build())
}

impl<T> Pile<T> {
    pub fn new(ttl: Duration) -> Self {
        build(Dogpile::builder(ttl))
    }

    pub fn with_value(ttl: Duration, value: T) -> Self {
        let pile = Self::new(ttl);
        pile.set(value);
        pile
    }

    pub fn call(&self) -> Call<'_, T> {
        self.0.call(&KEY)
    }

    pub fn get_or_create(&self, create: impl FnOnce() -> T) -> Guard<'_, T> {
        self.0.get_or_create(&KEY, create)
    }

    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.0.get_or_try_create(&KEY, create)
    }

    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.0.get_or_try_create_with(&KEY, create)
    }

    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.0.refresh(&KEY, create)
    }

    pub fn peek(&self) -> Option<Guard<'_, T>> {
        self.0.peek(&KEY)
    }

    pub fn wait_for_value(&self) -> Guard<'_, T> {
        self.0.wait_for_value(&KEY)
    }

    pub fn wait_for_newer(&self, seen: impl Into<Option<Seen>>) -> Guard<'_, T> {
        self.0.wait_for_newer(&KEY, seen)
    }

    pub fn set(&self, value: T) {
        self.0.set(KEY, value);
    }

    pub fn set_if(&self, seen: impl Into<Option<Seen>>, value: T) -> Result<(), T> {
        self.0.set_if(KEY, seen, value)
    }

    pub fn expire(&self) {
        self.0.expire(&KEY);
    }

    pub fn expire_if(&self, seen: Seen) -> bool {
        self.0.expire_if(&KEY, seen)
    }

    pub fn invalidate(&self) {
        self.0.invalidate(&KEY);
    }

    pub fn invalidate_if(&self, seen: Seen) -> bool {
        self.0.invalidate_if(&KEY, seen)
    }

    pub fn has_value(&self) -> bool {
        self.0.has_value(&KEY)
    }

    pub fn is_fresh(&self) -> bool {
        self.0.is_fresh(&KEY)
    }

    pub fn is_creating(&self) -> bool {
        self.0.is_creating(&KEY)
    }

    pub fn waiters(&self) -> usize {
        self.0.waiters(&KEY)
    }

    pub fn retry_in(&self) -> Option<Duration> {
        self.0.stats_of(&KEY).retry_in
    }
}

impl<T: Send + Sync + 'static> Pile<T> {
    pub fn attempt(&self) -> Attempt<'_, T> {
        self.0.attempt(&KEY)
    }

    pub fn wait_for_value_async(&self) -> impl Future<Output = Guard<'_, T>> {
        self.0.wait_for_value_async(&KEY)
    }

    pub fn background<'e>(&self, executor: &'e dyn Executor) -> Background<'_, 'e, T> {
        self.0.background(&KEY, executor)
    }

    pub fn get_or_create_async<F: Future<Output = T>>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Guard<'_, T>> {
        self.0.get_or_create_async(&KEY, create)
    }

    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.0.get_or_try_create_async(&KEY, create)
    }
}
