//! The leases of many keys, for values that are kept elsewhere: [`Leases`].

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use crate::answer::{Created, Creating, Lease};
use crate::call::election::Failures;
use crate::error::Error;
use crate::keyed::{KeyedAttempt, KeyedBusy, KeyedDogpile, KeyedGuard};
use crate::pile::Builder;

/// For each key, the right to create its value, held by one caller at a time; and no values.
///
/// For values that a cache, a database or a file keeps: callers who miss there come here. One of them
/// creates the value and puts it where it is kept. The others wait, and get the value handed over. A key
/// that nobody is at takes no memory, also after failures, panics and cancellations.
///
/// Between a look at the store and the call here, another caller may have put the value there. So let the
/// creator look once more.
///
/// This is the original's `NameRegistry` of locks, which hands the value over besides.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use dogpile::{KeyedGuard, Leases};
///
/// let store = Mutex::new(HashMap::new());
/// let leases = Leases::<String, String>::new();
///
/// let page = |name: &str| {
///     let look = || store.lock().unwrap().get(name).cloned();
///     look().unwrap_or_else(|| {
///         let made = leases.run(name, || {
///             look().unwrap_or_else(|| {
///                 let html = format!("<h1>{name}</h1>");
///                 store.lock().unwrap().insert(name.to_owned(), html.clone());
///                 html
///             })
///         });
///         made.clone()
///     })
/// };
/// assert_eq!(page("front"), "<h1>front</h1>");
/// ```
pub struct Leases<K, T = (), S = RandomState> {
    map: KeyedDogpile<K, T, S>,
}

impl<K: Eq + Hash, T> Leases<K, T> {
    /// No leases yet.
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K: Eq + Hash, T> Default for Leases<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that is handed over and not kept.
fn passed<T>(value: T) -> Created<T> {
    Created::new(value).keep(false)
}

impl<K: Eq + Hash, T, S: BuildHasher> Leases<K, T, S> {
    /// No leases yet, of keys with this hasher.
    pub fn with_hasher(hasher: S) -> Self {
        let settings = Builder::new(Duration::ZERO).keyed();
        Self {
            map: settings.hasher(hasher).build(),
        }
    }

    /// Runs `create` under the lease of the key, or waits for the caller who does, and returns the value
    /// that was made.
    ///
    /// # Panics
    ///
    /// If `create` does. If called from inside the creator of the same key:
    /// [`try_run`](Leases::try_run) returns that as an error.
    #[track_caller]
    pub fn run<Q>(&self, key: &Q, create: impl FnOnce() -> T) -> KeyedGuard<'_, K, T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = |_: Creating<'_, T>| Ok::<_, Infallible>(passed(create()));
        // Another caller's failure is no answer to one whose creator cannot fail.
        match self.map.call(key).answer(Failures::Pressed, create) {
            Ok(guard) => guard,
            Err(error) => panic!("Leases::run: {error} (try_run returns this as an error)"),
        }
    }

    /// As [`run`](Leases::run), for a creator that may fail. All who waited share its error.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn try_run<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.map
            .call(key)
            .answer(Failures::Taken, |_| create().map(passed))
    }

    /// As [`try_run`](Leases::try_run), for tasks.
    ///
    /// # Errors
    ///
    /// As [`try_run`](Leases::try_run).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`KeyedDogpile::get_or_create_async`].
    #[cfg(feature = "async")]
    pub fn try_run_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        K: Borrow<Q> + Send + Sync,
        T: Send + Sync,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<T, E>>,
    {
        let create = |_| async { create().await.map(passed) };
        self.map.get_or_try_create_with_async(key, create)
    }

    /// The lease of the key, or the news that another caller has it. It neither creates nor waits.
    ///
    /// # Example
    ///
    /// ```
    /// use dogpile::{KeySeat, Leases, Outcome};
    ///
    /// let leases = Leases::<u32, &str>::new();
    /// let KeySeat::Lease(lease) = leases.attempt(&7) else { panic!() };
    /// let KeySeat::Busy(busy) = leases.attempt(&7) else { panic!() };
    /// lease.end("made");
    /// assert!(matches!(busy.wait(), Outcome::Value(value) if *value == "made"));
    /// assert!(!leases.is_held(&7));
    /// ```
    pub fn attempt<Q>(&self, key: &Q) -> KeySeat<'_, K, T>
    where
        K: Borrow<Q> + Send + Sync,
        T: Send + Sync,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.map.attempt(key) {
            KeyedAttempt::Lease(lease) => KeySeat::Lease(KeyLease { lease }),
            KeyedAttempt::Busy(busy) => KeySeat::Busy(busy),
            KeyedAttempt::Hit(_) | KeyedAttempt::NotYet(_) => {
                unreachable!("nothing is kept, and nothing is put off")
            }
        }
    }

    /// Something came that the creation which runs does not know of: its value goes to its own caller and
    /// to those who wait already, marked [`Superseded`](crate::Origin::Superseded). Whoever comes later
    /// waits for the next.
    pub fn supersede<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.invalidate(key);
    }

    /// Whether somebody holds the lease of a key.
    pub fn is_held<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.is_creating(key)
    }

    /// How many wait for the end of a key's lease.
    pub fn waiters<Q>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.waiters(key)
    }
}

impl<K, T, S> fmt::Debug for Leases<K, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

/// What an attempt at a lease found; see [`Leases::attempt`].
#[must_use = "it may hold the lease, which is given up when it is dropped"]
#[derive(Debug)]
pub enum KeySeat<'a, K, T> {
    /// The lease: this caller is to create.
    Lease(KeyLease<'a, T>),
    /// Another caller has it.
    Busy(KeyedBusy<'a, K, T>),
}

/// The right to create a value that is kept elsewhere; see [`Leases::attempt`]. Dropping it gives it up.
#[must_use = "a lease that is dropped is given up"]
#[derive(Debug)]
pub struct KeyLease<'a, T> {
    lease: Lease<'a, T>,
}

impl<T> KeyLease<'_, T> {
    /// Ends the lease, and hands the value to everybody who waits. Says whether the lease was not
    /// [superseded](Leases::supersede): else the value may be old already.
    pub fn end(self, value: T) -> bool {
        self.lease.publish(passed(value)).is_ok()
    }

    /// Ends the lease with a failure, and hands the error to everybody who waits with a fallible form.
    ///
    /// The error comes back as this caller's own.
    pub fn fail<E: Send + Sync + 'static>(self, error: E) -> Error<E> {
        self.lease.fail(error)
    }

    /// Whether the lease was [superseded](Leases::supersede).
    pub fn is_superseded(&self) -> bool {
        self.lease.is_superseded()
    }

    /// The number of this lease: higher than that of every lease of this key before.
    pub fn fence(&self) -> u64 {
        self.lease.fence()
    }
}
