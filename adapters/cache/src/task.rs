//! The calls for tasks.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use dogpile::{Created, Creating, Error, Freshness, Owned};

use crate::guarded::{Asks, Lookup, Told, answered, found, made};
use crate::running::{Begun, Change, Write};
use crate::{AsyncCache, CacheDogpile, CacheGuard, Entry, Making};

/// # For tasks
///
/// They share keys and creations with threads, where the cache is for both.
impl<K, T, C, S> CacheDogpile<K, T, C, S>
where
    K: Eq + Hash + Clone + Send + Sync,
    T: Send + Sync,
    C: AsyncCache<Key = K, Value = Entry<T>>,
    S: BuildHasher,
{
    /// The value of a key, or else the one that the future of `create` makes, which the cache then keeps.
    ///
    /// A fresh value costs a look into the cache. If it is stale, one caller creates and the others get the
    /// stale value at once. If there is none, the others wait, and get what was created.
    ///
    /// # Errors
    ///
    /// Those of [`KeyedDogpile::get_or_try_create`](dogpile::KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` or its future does, or the cache.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was creating, the next caller creates.
    pub fn get_or_try_create_async<Q, E: Send + Sync + 'static, F>(
        &self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<T, E>>,
    {
        self.get_or_try_create_with_async(key, |_| async { create().await.map(Created::new) })
    }

    /// As [`get_or_try_create_async`](CacheDogpile::get_or_try_create_async), for a creator that is told of
    /// the value before, and may say how long its value lives, how old it is, and more.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_async`](CacheDogpile::get_or_try_create_async).
    ///
    /// # Panics
    ///
    /// If `create` or its future does, or the cache.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_try_create_async`](CacheDogpile::get_or_try_create_async).
    pub fn get_or_try_create_with_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce(Making<'a, T>) -> F,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<Created<T>, E>>,
    {
        async move {
            match self.look_async(key, Asks::Usable).await.hit() {
                Ok(guard) => Ok(guard),
                Err(lookup) => self.answer_async(key, lookup, create).await,
            }
        }
    }

    /// As [`refresh`](CacheDogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_async`](CacheDogpile::get_or_try_create_async).
    ///
    /// # Panics
    ///
    /// If `create` or its future does, or the cache.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_try_create_async`](CacheDogpile::get_or_try_create_async).
    pub fn refresh_async<Q, E: Send + Sync + 'static, F>(
        &self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<T, E>>,
    {
        async move {
            let lookup = self.look_async(key, Asks::New).await;
            let create = |_: Making<'_, T>| async { create().await.map(Created::new) };
            self.answer_async(key, lookup, create).await
        }
    }

    /// As [`peek`](CacheDogpile::peek), for tasks.
    pub async fn peek_async<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> Option<CacheGuard<T>>
    where
        K: Borrow<Q>,
    {
        self.look_async(key, Asks::Usable).await.serve().ok()
    }

    /// As [`set`](CacheDogpile::set), for tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it may have set the value, or have removed the one before, or neither.
    pub async fn set_async(&self, key: K, value: T) {
        self.set_with_async(key, Created::new(value)).await;
    }

    /// As [`set_with`](CacheDogpile::set_with), for tasks.
    ///
    /// # Cancel safety
    ///
    /// As [`set_async`](CacheDogpile::set_async).
    pub async fn set_with_async(&self, key: K, created: Created<T>) {
        let (value, created) = self.flights.complete(key.clone(), created);
        let entry = Entry::current(value);
        self.running.change(&key, Change::Set(entry.clone()));
        self.flights.set_with(key.clone(), created.keep(false));
        self.cache.put(key, entry).await;
    }

    /// As [`expire`](CacheDogpile::expire), for tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it may have had no effect.
    pub async fn expire_async<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.running.expire(key);
        self.flights.expire(key); // Which ends a back-off.
        if let Some(entry) = self.settled(key, self.cache.get(key).await) {
            entry.expire();
        }
    }

    /// As [`invalidate`](CacheDogpile::invalidate), for tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it may have had no effect on what the cache has.
    pub async fn invalidate_async<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.running.change(key, Change::Removed);
        self.flights.invalidate(key);
        self.cache.remove(key).await;
    }

    /// As [`remove`](CacheDogpile::remove), for tasks.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_async`](CacheDogpile::invalidate_async).
    pub async fn remove_async<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> Option<Owned<T>>
    where
        K: Borrow<Q>,
    {
        let had = self.settled(key, self.cache.get(key).await);
        self.invalidate_async(key).await;
        had.filter(|had| had.freshness(&self.flights).0 != Freshness::Gone)
            .map(|had| had.value().clone())
    }

    pub(crate) async fn look_async<Q: Eq + Hash + Sync + ?Sized>(
        &self,
        key: &Q,
        asks: Asks,
    ) -> Lookup<T>
    where
        K: Borrow<Q>,
    {
        let held = self.settled(key, self.cache.get(key).await);
        Lookup::new(asks, held, &self.flights)
    }

    fn answer_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        mut lookup: Lookup<T>,
        create: impl FnOnce(Making<'a, T>) -> F,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<Created<T>, E>>,
    {
        async move {
            if lookup.goes_on() && self.flights.is_creating(key) {
                match lookup.serve() {
                    Ok(guard) => return Ok(guard),
                    Err(none) => lookup = none,
                }
            }
            let (told, asks) = (Told::new(), lookup.asks());
            let create = |creating: Creating<'a, T>| {
                self.create_async(key.to_owned(), asks, creating, &told, create)
            };
            let call = lookup.call(&self.flights, key);
            match call.get_or_try_create_with_async(create).await {
                Ok(guard) => Ok(answered(&guard, told.there(), self.flights.now())),
                Err(error) => lookup.stand_in(error, told.ran(), &self.flights),
            }
        }
    }

    /// What whoever has the lease does: looks once more, and creates.
    pub(crate) async fn create_async<'c, E, F>(
        &self,
        key: K,
        asks: Asks,
        creating: Creating<'c, T>,
        told: &Told<T>,
        create: impl FnOnce(Making<'c, T>) -> F,
    ) -> Result<Created<T>, E>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        let mut begun = self.running.begin(key, creating.fence());
        let held = self.settled(begun.key(), self.cache.get(begun.key()).await);
        if let Some(held) = &held {
            if asks.are_answered_by(held, &self.flights) {
                told.was_there(held);
                return Ok(found(held, self.flights.now()));
            }
            begun.has_previous(held);
        }
        told.runs();
        let creating = Arc::new(creating);
        let previous = held.map(|held| held.value().clone());
        let created = create(Making::new(&creating, previous)).await?;
        let (entry, created) = made(&creating, created);
        if let Some(entry) = entry {
            self.keep_async(&mut begun, entry).await;
        }
        Ok(created)
    }

    /// Puts a new entry into the cache, and sees to it that nothing which came meanwhile is lost.
    async fn keep_async(&self, begun: &mut Begun<'_, K, T>, entry: Entry<T>) {
        let mut write = begun.made(entry);
        loop {
            match write {
                Write::Put(entry) => self.cache.put(begun.key().clone(), entry).await,
                Write::Remove => self.cache.remove(begun.key()).await,
                Write::Done => return,
            }
            write = begun.next();
        }
    }
}
