//! A function whose values a fleet keeps: [`FleetCached`].

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;

use crate::async_store::AsyncStore;
use crate::codec::{Codec, Plain};
use crate::entry::FleetGuard;
use crate::error::{FleetError, WriteError};
use crate::keyed::{FleetKeyed, KeyBytes};
use crate::store::{Answer, Store, Version};

/// A function of a key whose values a fleet keeps; see [`FleetKeyed::cached`].
///
/// This is Python's decorator, with what stands beside the function: `refresh`, `set`, `invalidate` and
/// `get`. An argument of several parts is a tuple. If the function cannot fail, let it return
/// `Ok::<_, Infallible>`.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::{FleetKeyed, MemoryStore};
///
/// # fn render(page: &str) -> Result<String, std::io::Error> { Ok(format!("<h1>{page}</h1>")) }
/// let store = Arc::new(MemoryStore::new());
/// let page = FleetKeyed::builder(store, "pages", Duration::from_secs(60))
///     .build()
///     .cached(|page: &String| render(page));
///
/// assert_eq!(*page.call("front")?, "<h1>front</h1>");
/// page.set("about".into(), "<h1>about us</h1>".into())?;
/// assert_eq!(*page.get("about").unwrap(), "<h1>about us</h1>");
/// page.invalidate("about")?;
/// assert!(page.get("about").is_none());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct FleetCached<K, T, S, F, C = Plain> {
    map: FleetKeyed<K, T, S, C>,
    function: F,
}

impl<K, T, S, C> FleetKeyed<K, T, S, C> {
    /// `function` with its values kept by the fleet.
    pub fn cached<F>(self, function: F) -> FleetCached<K, T, S, F, C> {
        FleetCached {
            map: self,
            function,
        }
    }
}

impl<K, T, S, F, C> FleetCached<K, T, S, F, C> {
    /// The map, for all else.
    pub fn map(&self) -> &FleetKeyed<K, T, S, C> {
        &self.map
    }
}

impl<K: KeyBytes, T: Send + Sync + 'static, S, F, C> FleetCached<K, T, S, F, C> {
    /// The value that this process has of a key, without calling the function, and without asking the
    /// store: as [`peek`](FleetKeyed::peek).
    pub fn get<Q>(&self, key: &Q) -> Option<FleetGuard<'_, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.map.peek(key)
    }
}

impl<K: KeyBytes, T: Send + Sync + 'static, S: Store, F, C: Codec<T>> FleetCached<K, T, S, F, C> {
    /// The value of the function for a key: as [`get_or_try_create`](FleetKeyed::get_or_try_create).
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If the function does.
    pub fn call<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        F: Fn(&K) -> Result<T, E>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = |_: crate::Creation<'_, T>| (self.function)(&key.to_owned());
        self.map.get_or_try_create(key, create)
    }

    /// Calls the function now, however fresh the value is: as [`refresh`](FleetKeyed::refresh).
    ///
    /// # Errors
    ///
    /// [`FleetError`]. A stale value is no answer.
    ///
    /// # Panics
    ///
    /// If the function does.
    pub fn refresh<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        F: Fn(&K) -> Result<T, E>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = |_: crate::Creation<'_, T>| (self.function)(&key.to_owned());
        self.map.refresh(key, create)
    }

    /// Keeps a value for a key as if the function had returned it just now, for the whole fleet.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn set(&self, key: K, value: T) -> Result<Version, WriteError> {
        self.map.set(key, value)
    }

    /// Removes the value that is kept for a key, for the whole fleet: as
    /// [`invalidate`](FleetKeyed::invalidate).
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn invalidate<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        self.map.invalidate(key)
    }
}

impl<K, T, S, F, C> FleetCached<K, T, S, F, C>
where
    K: KeyBytes,
    T: Send + Sync + 'static,
    S: AsyncStore,
    C: Codec<T>,
{
    /// As [`call`](FleetCached::call), for a function that is async: it takes the key.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If the function or its future does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point.
    pub async fn call_async<Q, E: Send + Sync + 'static, G>(
        &self,
        key: &Q,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        F: Fn(K) -> G,
        G: Future<Output = Result<T, E>>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = |_: crate::Creation<'_, T>| (self.function)(key.to_owned());
        self.map.get_or_try_create_async(key, create).await
    }

    /// As [`refresh`](FleetCached::refresh), for a function that is async.
    ///
    /// # Errors
    ///
    /// [`FleetError`]. A stale value is no answer.
    ///
    /// # Panics
    ///
    /// If the function or its future does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point.
    pub async fn refresh_async<Q, E: Send + Sync + 'static, G>(
        &self,
        key: &Q,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        F: Fn(K) -> G,
        G: Future<Output = Result<T, E>>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = |_: crate::Creation<'_, T>| (self.function)(key.to_owned());
        self.map.refresh_async(key, create).await
    }

    /// As [`set`](FleetCached::set), for tasks.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value may be stored or not. The copy of this process is stale then.
    pub async fn set_async(&self, key: K, value: T) -> Result<Version, WriteError> {
        self.map.set_async(key, value).await
    }

    /// As [`invalidate`](FleetCached::invalidate), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn invalidate_async<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        self.map.invalidate_async(key).await
    }
}

impl<K, T, S, F, C> fmt::Debug for FleetCached<K, T, S, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetCached").finish_non_exhaustive()
    }
}
