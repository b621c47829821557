//! What a call of a map answers with: [`KeyedGuard`], and [`KeyedOwned`] to keep the value.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::answer::{Guard, Origin, Owned};
use crate::error::Failure;
use crate::keyed::entry::Entry;
use crate::policy::Seen;
use crate::raw::{Shown, ValueRef, Within};
use crate::shim::Arc;
use crate::time::Tick;

/// Shows a value of a [`KeyedDogpile`](crate::KeyedDogpile) and its key, and keeps both alive and
/// unchanged, whatever happens to the map meanwhile.
///
/// It delays nobody. It may be sent to another thread and dropped there. Its methods are associated
/// functions, since it derefs to your value: write `KeyedGuard::origin(&guard)`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{KeyedDogpile, KeyedGuard, Origin};
///
/// let lengths = KeyedDogpile::<String, usize>::new(Duration::from_secs(60));
/// let guard = lengths.get_or_create("seven", || 5);
/// assert_eq!(*guard, 5);
/// assert_eq!(KeyedGuard::key(&guard), "seven");
/// assert_eq!(KeyedGuard::origin(&guard), Origin::CreatedHere);
/// ```
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct KeyedGuard<'a, K, T> {
    node: ValueRef<Within<'a, T, Entry<K, T>>>,
    origin: Origin,
    answered: Tick,
}

impl<'a, K, T> KeyedGuard<'a, K, T> {
    pub(super) fn new(guard: Guard<'_, T>, entry: &Arc<Entry<K, T>>) -> Self {
        let node = Guard::to_owned(&guard).into_node();
        let (_, (origin, answered)) = guard.into_parts();
        Self {
            node: Within::counted(Shown::from(Arc::clone(entry)), node),
            origin,
            answered,
        }
    }

    #[inline(always)]
    pub(super) fn of(
        node: ValueRef<Within<'a, T, Entry<K, T>>>,
        origin: Origin,
        answered: Tick,
    ) -> Self {
        Self {
            node,
            origin,
            answered,
        }
    }

    /// What a look at an entry finds.
    #[inline(always)]
    pub(super) fn look(
        entry: Shown<'a, Entry<K, T>>,
        look: impl for<'e> FnOnce(&'e Shown<'a, Entry<K, T>>) -> Option<Guard<'e, T>>,
    ) -> Option<Self> {
        let (node, (origin, answered)) =
            Within::look(entry, |entry| look(entry).map(Guard::into_parts))?;
        Some(Self {
            node,
            origin,
            answered,
        })
    }

    /// The same once more, counted.
    pub(super) fn again(&self) -> Self {
        let entry = Shown::from(Shown::share(self.node.held().entry()));
        Self {
            node: Within::counted(entry, Self::value(self).into_node()),
            ..*self
        }
    }

    /// A share in the value.
    fn value(this: &Self) -> Owned<T> {
        Owned::new(this.node.node().clone())
    }

    /// The key.
    pub fn key(this: &Self) -> &K {
        &this.node.held().entry().key
    }

    /// How this answer came about.
    pub fn origin(this: &Self) -> Origin {
        this.origin
    }

    /// Why this value was given out instead of a new one, if it stands in for one: as
    /// [`Guard::failure`].
    pub fn failure(this: &Self) -> Option<&Failure> {
        this.node.node().failure()
    }

    /// How old the value was when the call was answered, to within the clock's
    /// [`lag`](crate::Clock::lag).
    pub fn age(this: &Self) -> Duration {
        this.node.node().times().age(this.answered)
    }

    /// How long the value is fresh, counted from its creation.
    pub fn ttl(this: &Self) -> Duration {
        this.node.node().times().ttl
    }

    /// How long the value was still fresh when the call was answered; zero if it was stale or
    /// expired.
    pub fn time_left(this: &Self) -> Duration {
        this.node.node().times().left(this.answered)
    }

    /// The number of the value, for [`Accept::NewerThan`](crate::Accept::NewerThan),
    /// [`expire_if`](crate::KeyedDogpile::expire_if) and its likes, with the same key.
    pub fn seen(this: &Self) -> Seen {
        Owned::seen(&Self::value(this))
    }

    /// The same without its key: for a function that takes the guards of piles, too.
    pub fn into_guard(this: Self) -> Guard<'a, T> {
        Guard::new(this.node.node().clone(), this.origin, this.answered)
    }

    /// A handle that keeps key and value alive beyond the map.
    ///
    /// # Cost
    ///
    /// Two atomic increments on memory that all owners share.
    pub fn to_owned(this: &Self) -> KeyedOwned<K, T> {
        KeyedOwned {
            value: Self::value(this),
            entry: Shown::share(this.node.held().entry()),
        }
    }
}

impl<K, T> Deref for KeyedGuard<'_, K, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.node.value()
    }
}

impl<K, T> AsRef<T> for KeyedGuard<'_, K, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<K, T: fmt::Debug> fmt::Debug for KeyedGuard<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<K, T: fmt::Display> fmt::Display for KeyedGuard<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// A value of a [`KeyedDogpile`](crate::KeyedDogpile) with its key, kept alive for as long as this handle
/// lives, even beyond the map.
///
/// Its methods are associated functions, since it derefs to your value.
///
/// # Example
///
/// ```
/// # use std::time::Duration;
/// use dogpile::{KeyedDogpile, KeyedGuard, KeyedOwned};
///
/// let lengths = KeyedDogpile::<String, usize>::new(Duration::from_secs(60));
/// let kept = KeyedGuard::to_owned(&lengths.get_or_create("seven", || 5));
/// drop(lengths);
/// assert_eq!((KeyedOwned::key(&kept).as_str(), *kept), ("seven", 5));
/// ```
#[must_use = "a handle keeps a value alive; dropping it at once is of no use"]
pub struct KeyedOwned<K, T> {
    value: Owned<T>,
    entry: Arc<Entry<K, T>>,
}

impl<K, T> KeyedOwned<K, T> {
    pub(super) fn new(value: Owned<T>, entry: &Arc<Entry<K, T>>) -> Self {
        Self {
            value,
            entry: Arc::clone(entry),
        }
    }

    /// The key.
    pub fn key(this: &Self) -> &K {
        &this.entry.key
    }

    /// The number of the value; see [`KeyedGuard::seen`].
    pub fn seen(this: &Self) -> Seen {
        Owned::seen(&this.value)
    }

    /// The value without its key.
    pub fn into_value(this: Self) -> Owned<T> {
        this.value
    }
}

impl<K, T> Deref for KeyedOwned<K, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<K, T> AsRef<T> for KeyedOwned<K, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<K, T> Clone for KeyedOwned<K, T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            entry: Arc::clone(&self.entry),
        }
    }
}

impl<K, T> From<KeyedGuard<'_, K, T>> for KeyedOwned<K, T> {
    fn from(guard: KeyedGuard<'_, K, T>) -> Self {
        KeyedGuard::to_owned(&guard)
    }
}

impl<K, T: fmt::Debug> fmt::Debug for KeyedOwned<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<K, T: fmt::Display> fmt::Display for KeyedOwned<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
