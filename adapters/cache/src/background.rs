//! The calls whose creations run on an executor: [`CacheBackground`].

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dogpile::executor::Executor;
use dogpile::{Created, Creating, Error, KeyedGuard};

use crate::guarded::{Asks, Lookup, Told, answered};
use crate::{AsyncCache, Cache, CacheDogpile, CacheGuard, Entry, Making};

/// Calls of a [`CacheDogpile`] whose creations run on an executor; see
/// [`CacheDogpile::background`].
///
/// Nobody waits for the renewal of a stale value: a call gets the stale value, or the new one if that is
/// ready by then. Where there is no value, all callers wait. A creation does not end with its caller, and
/// holds the `CacheDogpile` until it ends itself.
pub struct CacheBackground<'a, K, T, C, S> {
    guarded: &'a Arc<CacheDogpile<K, T, C, S>>,
    executor: &'a dyn Executor,
}

/// # In the background
impl<K, T, C, S> CacheDogpile<K, T, C, S> {
    /// Calls whose creations run on `executor`: nobody waits for the renewal of a stale value.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::borrow::Borrow;
    /// # use std::collections::HashMap;
    /// # use std::hash::Hash;
    /// # use std::sync::{Arc, Mutex};
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// # use dogpile_cache::{Cache, CacheDogpile, Entry};
    /// # struct Table(Mutex<HashMap<String, Entry<usize>>>);
    /// # impl Cache for Table {
    /// #     type Key = String;
    /// #     type Value = Entry<usize>;
    /// #     fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Entry<usize>> where String: Borrow<Q> {
    /// #         self.0.lock().unwrap().get(key).cloned()
    /// #     }
    /// #     fn put(&self, key: String, entry: Entry<usize>) { self.0.lock().unwrap().insert(key, entry); }
    /// #     fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q) where String: Borrow<Q> {
    /// #         self.0.lock().unwrap().remove(key);
    /// #     }
    /// # }
    /// # let table = Table(Mutex::default());
    /// use dogpile::executor::Thread;
    ///
    /// let settings = Dogpile::builder(Duration::from_secs(60)).keyed();
    /// let lengths = Arc::new(CacheDogpile::new(table, settings));
    /// lengths.set("seven".to_owned(), 7);
    /// lengths.expire("seven");
    /// # let (read, is_read) = std::sync::mpsc::channel::<()>();
    /// let stale = lengths
    ///     .background(&Thread)
    ///     .get_or_try_create("seven", move || {
    ///         # let _ = is_read.recv();
    ///         Ok::<_, std::io::Error>(5)
    ///     })?;
    /// assert_eq!(*stale, 7); // A thread renews it now.
    /// # drop(read);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn background<'a>(
        self: &'a Arc<Self>,
        executor: &'a dyn Executor,
    ) -> CacheBackground<'a, K, T, C, S> {
        CacheBackground {
            guarded: self,
            executor,
        }
    }
}

/// One poll starts the job. Whoever has something to go on with needs no more: the job goes on without
/// its call.
fn started<F: Future>(call: F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(call).poll(&mut cx) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

impl<K, T, C, S> CacheBackground<'_, K, T, C, S>
where
    K: Eq + Hash,
    S: BuildHasher,
{
    /// The answer of a call that had `lookup`, after that of the flights, if it waited for one.
    fn answer<E: Send + Sync + 'static>(
        &self,
        lookup: Lookup<T>,
        told: &Told<T>,
        flight: Option<Result<KeyedGuard<'_, K, T>, Error<E>>>,
    ) -> Result<CacheGuard<T>, Error<E>> {
        let flights = &self.guarded.flights;
        match flight {
            Some(Ok(guard)) => Ok(answered(&guard, told.there(), flights.now())),
            // A failure of the job is not its caller's, as long as that has something to go on with.
            Some(Err(error)) => lookup.stand_in(error, false, flights),
            // It has something to go on with, or it would have waited.
            None => lookup.stand_in(Error::GivenUp, false, flights),
        }
    }
}

/// # For threads
impl<K, T, C, S> CacheBackground<'_, K, T, C, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
    C: Cache<Key = K, Value = Entry<T>> + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// The value of a key, fresh or stale, or else the one that `create` makes on the executor.
    ///
    /// If the value is stale, one caller has it created, and all get the stale value at once. If there is
    /// none, all wait.
    ///
    /// # Errors
    ///
    /// Those of [`Background::get_or_try_create`](dogpile::Background::get_or_try_create), to callers
    /// that have nothing to go on with.
    ///
    /// # Panics
    ///
    /// If the cache does at the look-up.
    pub fn get_or_try_create<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.get_or_try_create_with(key, |_| create().map(Created::new))
    }

    /// As [`get_or_try_create`](CacheBackground::get_or_try_create), for a creator that is told of the
    /// value before, and may say more about its own.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    ///
    /// # Panics
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    pub fn get_or_try_create_with<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce(Making<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<CacheGuard<T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let lookup = match self.guarded.look(key, Asks::Usable).hit() {
            Ok(guard) => return Ok(guard),
            Err(lookup) => lookup,
        };
        let told = Arc::new(Told::new());
        let blocking = {
            let (guarded, told) = (Arc::clone(self.guarded), Arc::clone(&told));
            let key = key.to_owned();
            move |creating: Creating<'static, T>| {
                guarded.create(key, Asks::Usable, creating, &told, create)
            }
        };
        let call = self.guarded.flights.background(key, self.executor);
        let flight = if lookup.goes_on() {
            // In this form it does not matter whether the executor lets this thread block.
            started(call.get_or_try_create_with_async(|creating| async { blocking(creating) }))
        } else {
            Some(call.get_or_try_create_with(blocking))
        };
        self.answer(lookup, &told, flight)
    }
}

/// # For tasks
impl<K, T, C, S> CacheBackground<'_, K, T, C, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
    C: AsyncCache<Key = K, Value = Entry<T>> + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    ///
    /// # Panics
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_async<Q, E: Send + Sync + 'static, F>(
        &self,
        key: &Q,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.get_or_try_create_with_async(key, |_| async { create().await.map(Created::new) })
    }

    /// As [`get_or_try_create_with`](CacheBackground::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    ///
    /// # Panics
    ///
    /// As [`get_or_try_create`](CacheBackground::get_or_try_create).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_with_async<Q, E: Send + Sync + 'static, F>(
        &self,
        key: &Q,
        create: impl FnOnce(Making<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<CacheGuard<T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + Sync + ?Sized,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        async move {
            let lookup = match self.guarded.look_async(key, Asks::Usable).await.hit() {
                Ok(guard) => return Ok(guard),
                Err(lookup) => lookup,
            };
            let told = Arc::new(Told::new());
            let create = {
                let (guarded, told) = (Arc::clone(self.guarded), Arc::clone(&told));
                let key = key.to_owned();
                move |creating: Creating<'static, T>| async move {
                    let asks = Asks::Usable;
                    guarded
                        .create_async(key, asks, creating, &told, create)
                        .await
                }
            };
            let call = self.guarded.flights.background(key, self.executor);
            let call = call.get_or_try_create_with_async(create);
            let flight = match lookup.goes_on() {
                true => started(call),
                false => Some(call.await),
            };
            self.answer(lookup, &told, flight)
        }
    }
}

impl<K, T, C, S> Clone for CacheBackground<'_, K, T, C, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, T, C, S> Copy for CacheBackground<'_, K, T, C, S> {}

impl<K, T, C, S> fmt::Debug for CacheBackground<'_, K, T, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBackground").finish_non_exhaustive()
    }
}
