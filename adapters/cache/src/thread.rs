//! The calls for threads.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use dogpile::{Created, Creating, Error, Freshness, Owned};

use crate::guarded::{Asks, Lookup, Told, answered, found, made};
use crate::running::{Begun, Change, Write};
use crate::{Cache, CacheDogpile, CacheGuard, Entry, Making};

/// # For threads
impl<K, T, C, S> CacheDogpile<K, T, C, S>
where
    K: Eq + Hash + Clone,
    C: Cache<Key = K, Value = Entry<T>>,
    S: BuildHasher,
{
    /// The value of a key, or else the one that `create` makes, which the cache then keeps.
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
    /// If `create` does, or the cache.
    #[track_caller]
    pub fn get_or_try_create<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.get_or_try_create_with(key, |_| create().map(Created::new))
    }

    /// As [`get_or_try_create`](CacheDogpile::get_or_try_create), for a creator that is told of the value
    /// before, and may say how long its value lives, how old it is, and more.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](CacheDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, or the cache.
    #[track_caller]
    pub fn get_or_try_create_with<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce(Making<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.look(key, Asks::Usable).hit() {
            Ok(guard) => Ok(guard),
            Err(lookup) => self.answer(key, lookup, create),
        }
    }

    /// Creates now, however fresh the value is, and returns the new value.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](CacheDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, or the cache.
    #[track_caller]
    pub fn refresh<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let lookup = self.look(key, Asks::New);
        self.answer(key, lookup, |_| create().map(Created::new))
    }

    /// The value of a key, fresh or stale, without creating or waiting.
    pub fn peek<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<CacheGuard<T>>
    where
        K: Borrow<Q>,
    {
        self.look(key, Asks::Usable).serve().ok()
    }

    /// Makes a value the current one of a key. What is created meanwhile does not replace it.
    pub fn set(&self, key: K, value: T) {
        self.set_with(key, Created::new(value));
    }

    /// As [`set`](CacheDogpile::set), with a time to live or an age of its own.
    pub fn set_with(&self, key: K, created: Created<T>) {
        let (value, created) = self.flights.complete(key.clone(), created);
        let entry = Entry::current(value);
        self.running.change(&key, Change::Set(entry.clone()));
        self.flights.set_with(key.clone(), created.keep(false));
        self.cache.put(key, entry);
    }

    /// Makes the value of a key stale: one caller renews it, the others are served the old one meanwhile.
    pub fn expire<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.running.expire(key);
        self.flights.expire(key); // Which ends a back-off.
        if let Some(entry) = self.settled(key, self.cache.get(key)) {
            entry.expire();
        }
    }

    /// Removes the value of a key. No call that starts after this returned yields what was, or is being,
    /// created.
    pub fn invalidate<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.running.change(key, Change::Removed);
        self.flights.invalidate(key);
        self.cache.remove(key);
    }

    /// As [`invalidate`](CacheDogpile::invalidate), and returns what the cache had.
    pub fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Owned<T>>
    where
        K: Borrow<Q>,
    {
        let had = self.settled(key, self.cache.get(key));
        self.invalidate(key);
        had.filter(|had| had.freshness(&self.flights).0 != Freshness::Gone)
            .map(|had| had.value().clone())
    }

    pub(crate) fn look<Q: Eq + Hash + ?Sized>(&self, key: &Q, asks: Asks) -> Lookup<T>
    where
        K: Borrow<Q>,
    {
        let held = self.settled(key, self.cache.get(key));
        Lookup::new(asks, held, &self.flights)
    }

    #[track_caller]
    fn answer<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        lookup: Lookup<T>,
        create: impl FnOnce(Making<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut lookup = lookup;
        if lookup.goes_on() && self.flights.is_creating(key) {
            match lookup.serve() {
                Ok(guard) => return Ok(guard),
                Err(none) => lookup = none,
            }
        }
        let (told, asks) = (Told::new(), lookup.asks());
        let create =
            |creating: Creating<'_, T>| self.create(key.to_owned(), asks, creating, &told, create);
        let call = lookup.call(&self.flights, key);
        match call.get_or_try_create_with(create) {
            Ok(guard) => Ok(answered(&guard, told.there(), self.flights.now())),
            Err(error) => lookup.stand_in(error, told.ran(), &self.flights),
        }
    }

    /// What whoever has the lease does: looks once more, and creates.
    pub(crate) fn create<'c, E>(
        &self,
        key: K,
        asks: Asks,
        creating: Creating<'c, T>,
        told: &Told<T>,
        create: impl FnOnce(Making<'c, T>) -> Result<Created<T>, E>,
    ) -> Result<Created<T>, E> {
        let mut begun = self.running.begin(key, creating.fence());
        let held = self.settled(begun.key(), self.cache.get(begun.key()));
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
        let created = create(Making::new(&creating, previous))?;
        let (entry, created) = made(&creating, created);
        if let Some(entry) = entry {
            self.keep(&mut begun, entry);
        }
        Ok(created)
    }

    /// Puts a new entry into the cache, and sees to it that nothing which came meanwhile is lost.
    fn keep(&self, begun: &mut Begun<'_, K, T>, entry: Entry<T>) {
        let mut write = begun.made(entry);
        loop {
            match write {
                Write::Put(entry) => self.cache.put(begun.key().clone(), entry),
                Write::Remove => self.cache.remove(begun.key()),
                Write::Done => return,
            }
            write = begun.next();
        }
    }
}
