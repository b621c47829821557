//! What a cache has to do: [`Cache`], and `AsyncCache` for one whose calls are futures.

use std::borrow::Borrow;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::Hash;

/// A cache that others wrote: it keeps what it is given for as long as it likes.
///
/// It may evict anything at any time, and may hold what it keeps by its own rules of age and weight. A
/// `get` after a `put` or a `remove` has returned never finds what was there before.
///
/// No method is called under a lock of this crate. So what the cache calls itself, such as a listener to
/// evictions, may come back here.
///
/// # Example
///
/// ```
/// use std::borrow::Borrow;
/// use std::collections::HashMap;
/// use std::hash::Hash;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use dogpile::Dogpile;
/// use dogpile_cache::{Cache, CacheDogpile, Entry};
///
/// struct Table<T>(Mutex<HashMap<String, Entry<T>>>);
///
/// impl<T> Cache for Table<T> {
///     type Key = String;
///     type Value = Entry<T>;
///
///     fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Entry<T>>
///     where
///         String: Borrow<Q>,
///     {
///         self.0.lock().unwrap().get(key).cloned()
///     }
///
///     fn put(&self, key: String, entry: Entry<T>) {
///         self.0.lock().unwrap().insert(key, entry);
///     }
///
///     fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
///     where
///         String: Borrow<Q>,
///     {
///         self.0.lock().unwrap().remove(key);
///     }
/// }
///
/// let pages = CacheDogpile::new(
///     Table(Mutex::default()),
///     Dogpile::builder(Duration::from_secs(60)).keyed(),
/// );
/// let page = pages.get_or_try_create("front", || Ok::<_, std::io::Error>("<h1>front</h1>"))?;
/// assert_eq!(*page, "<h1>front</h1>");
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
pub trait Cache {
    /// What a value is found by.
    type Key;

    /// What is kept: an [`Entry`](crate::Entry) of your value.
    type Value;

    /// What is kept for a key.
    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Self::Value>
    where
        Self::Key: Borrow<Q>;

    /// Keeps something for a key, in place of what was kept.
    fn put(&self, key: Self::Key, value: Self::Value);

    /// Keeps nothing for a key any more.
    fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        Self::Key: Borrow<Q>;
}

/// A [`Cache`] whose calls are futures.
///
/// A cache whose calls are not can be used by tasks as it is. Calls may be dropped at any await point.
#[cfg(feature = "async")]
pub trait AsyncCache {
    /// What a value is found by.
    type Key;

    /// What is kept: an [`Entry`](crate::Entry) of your value.
    type Value;

    /// What is kept for a key.
    fn get<Q: Eq + Hash + Sync + ?Sized>(
        &self,
        key: &Q,
    ) -> impl Future<Output = Option<Self::Value>> + Send
    where
        Self::Key: Borrow<Q>;

    /// Keeps something for a key, in place of what was kept.
    fn put(&self, key: Self::Key, value: Self::Value) -> impl Future<Output = ()> + Send;

    /// Keeps nothing for a key any more.
    fn remove<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> impl Future<Output = ()> + Send
    where
        Self::Key: Borrow<Q>;
}

#[cfg(feature = "async")]
impl<C: Cache<Key: Send, Value: Send> + Sync> AsyncCache for C {
    type Key = C::Key;
    type Value = C::Value;

    async fn get<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> Option<C::Value>
    where
        C::Key: Borrow<Q>,
    {
        Cache::get(self, key)
    }

    async fn put(&self, key: C::Key, value: C::Value) {
        Cache::put(self, key, value);
    }

    async fn remove<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q)
    where
        C::Key: Borrow<Q>,
    {
        Cache::remove(self, key);
    }
}
