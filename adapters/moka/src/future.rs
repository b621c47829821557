//! Over `moka::future::Cache`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;

use dogpile_cache::{AsyncCache, CacheDogpile, Entry};

/// A guard over a `moka::future::Cache`: the forms for tasks.
///
/// The page of this crate has an example.
pub type MokaDogpile<K, T, S = RandomState> = CacheDogpile<K, T, Moka<K, T, S>>;

/// A `moka::future::Cache`, for a [`MokaDogpile`]. It derefs to the cache.
pub struct Moka<K, T, S = RandomState>(pub moka::future::Cache<K, Entry<T>, S>);

impl<K, T, S> AsyncCache for Moka<K, T, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    T: Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    type Key = K;
    type Value = Entry<T>;

    async fn get<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> Option<Entry<T>>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).await
    }

    async fn put(&self, key: K, entry: Entry<T>) {
        self.0.insert(key, entry).await;
    }

    async fn remove<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.0.invalidate(key).await;
    }
}

impl<K, T, S> Deref for Moka<K, T, S> {
    type Target = moka::future::Cache<K, Entry<T>, S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K, T, S> Clone for Moka<K, T, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T, S> fmt::Debug for Moka<K, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moka").finish_non_exhaustive()
    }
}
