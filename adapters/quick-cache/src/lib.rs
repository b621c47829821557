#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;

use quick_cache::sync::DefaultLifecycle;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, Weighter};

use dogpile_cache::Cache;
pub use dogpile_cache::{CacheDogpile, CacheGuard, Entry, Making};

/// A guard over a `quick_cache::sync::Cache`: the forms for threads and those for tasks.
///
/// The page of this crate has an example.
pub type QuickDogpile<
    K,
    T,
    We = UnitWeighter,
    B = DefaultHashBuilder,
    L = DefaultLifecycle<K, Entry<T>>,
> = CacheDogpile<K, T, Quick<K, T, We, B, L>, RandomState>;

/// A `quick_cache::sync::Cache`, for a [`QuickDogpile`]. It derefs to the cache.
#[derive(Debug)]
pub struct Quick<K, T, We = UnitWeighter, B = DefaultHashBuilder, L = DefaultLifecycle<K, Entry<T>>>(
    pub quick_cache::sync::Cache<K, Entry<T>, We, B, L>,
);

impl<K, T, We, B, L> Cache for Quick<K, T, We, B, L>
where
    K: Eq + Hash,
    We: Weighter<K, Entry<T>> + Clone,
    B: BuildHasher + Clone,
    L: Lifecycle<K, Entry<T>> + Clone,
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
        self.0.remove(key);
    }
}

impl<K, T, We, B, L> Deref for Quick<K, T, We, B, L> {
    type Target = quick_cache::sync::Cache<K, Entry<T>, We, B, L>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
