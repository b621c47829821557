//! What the cache keeps: [`Entry`].

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use dogpile::{Freshness, KeyedDogpile, Owned, Tick};

/// A value with its times, as the cache keeps it.
///
/// It derefs to the value, for the weigher of a cache and its listeners. A clone is a share.
///
/// An entry comes into the cache *pending*, and is nobody's answer before it is made *current*. It never
/// is, if the value was invalidated while it was put there.
pub struct Entry<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    value: Owned<T>,
    /// Unset while the entry is pending.
    fate: OnceLock<Fate<T>>,
    /// Set when it was expired by hand.
    expired: OnceLock<()>,
}

/// What became of a pending entry.
enum Fate<T> {
    Current,
    /// It came too late: what is there instead of it, if anything is.
    Late(Option<Entry<T>>),
}

impl<T> Entry<T> {
    pub(crate) fn pending(value: Owned<T>) -> Self {
        let inner = Inner {
            value,
            fate: OnceLock::new(),
            expired: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn current(value: Owned<T>) -> Self {
        let entry = Self::pending(value);
        entry.make_current();
        entry
    }

    pub(crate) fn make_current(&self) {
        // One that came too late stays so.
        let _ = self.inner.fate.set(Fate::Current);
    }

    /// From here on `instead` is there in its place.
    pub(crate) fn make_late(&self, instead: Option<Entry<T>>) {
        // Its creator alone decides, and once.
        let _ = self.inner.fate.set(Fate::Late(instead));
    }

    /// What it stands for: itself, or what is there instead of it. `None`: it is pending.
    pub(crate) fn settled(&self) -> Option<Option<&Self>> {
        match self.inner.fate.get()? {
            Fate::Current => Some(Some(self)),
            Fate::Late(instead) => Some(instead.as_ref()),
        }
    }

    pub(crate) fn expire(&self) {
        let _ = self.inner.expired.set(()); // Once more is the same.
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.inner.expired.get().is_some()
    }

    pub(crate) fn value(&self) -> &Owned<T> {
        &self.inner.value
    }

    /// What it is good for now, and a time at which that holds.
    pub(crate) fn freshness<K: Eq + Hash, S: BuildHasher>(
        &self,
        flights: &KeyedDogpile<K, T, S>,
    ) -> (Freshness, Tick) {
        match flights.freshness_of(self.value()) {
            (Freshness::Fresh | Freshness::Due, now) if self.is_expired() => {
                (Freshness::Stale, now)
            }
            freshness => freshness,
        }
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
