//! Over `moka::sync::Cache`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;

use dogpile_cache::{Cache, CacheDogpile, Entry};

/// A guard over a `moka::sync::Cache`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
/// use dogpile_moka::sync::{Moka, MokaDogpile};
///
/// let pages: MokaDogpile<String, String> = MokaDogpile::new(
///     Moka(moka::sync::Cache::new(10_000)),
///     Dogpile::builder(Duration::from_secs(60)).keyed(),
/// );
/// let page = pages.get_or_try_create("front", || Ok::<_, std::io::Error>("<h1>".to_owned()))?;
/// assert_eq!(*page, "<h1>");
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
pub type MokaDogpile<K, T, S = RandomState> = CacheDogpile<K, T, Moka<K, T, S>>;

/// A `moka::sync::Cache`, for a [`MokaDogpile`]. It derefs to the cache.
pub struct Moka<K, T, S = RandomState>(pub moka::sync::Cache<K, Entry<T>, S>);

impl<K, T, S> Cache for Moka<K, T, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    T: Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    type Key = K;
    type Value = Entry<T>;

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Entry<T>>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    fn put(&self, key: K, entry: Entry<T>) {
        self.0.insert(key, entry);
    }

    fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.0.invalidate(key);
    }
}

impl<K, T, S> Deref for Moka<K, T, S> {
    type Target = moka::sync::Cache<K, Entry<T>, S>;

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
