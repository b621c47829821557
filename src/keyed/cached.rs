//! A function whose values are kept: [`Cached`].

use std::borrow::Borrow;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::error::Error;
use crate::keyed::{KeyedDogpile, KeyedGuard};

/// A function of a key whose values are kept in a map; see [`KeyedDogpile::cached`].
///
/// This is Python's decorator, with what stands beside the function: `refresh`, `set`, `invalidate` and
/// `get`. An argument of several parts is a tuple. If `F` is a function that cannot fail, let it return
/// `Ok::<_, Infallible>`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
///
/// # fn render(page: &str) -> Result<String, std::io::Error> { Ok(format!("<h1>{page}</h1>")) }
/// let page = Dogpile::builder(Duration::from_secs(60))
///     .keyed()
///     .max_entries(1000)
///     .build()
///     .cached(|page: &String| render(page));
///
/// assert_eq!(*page.call("front")?, "<h1>front</h1>");
/// page.set("about".into(), "<h1>about us</h1>".into());
/// assert_eq!(*page.get("about").unwrap(), "<h1>about us</h1>");
/// page.invalidate("about");
/// assert!(page.get("about").is_none());
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
pub struct Cached<K, T, F, S = RandomState> {
    map: KeyedDogpile<K, T, S>,
    function: F,
}

impl<K: Eq + Hash, T, S: BuildHasher> KeyedDogpile<K, T, S> {
    /// `function` with its values kept in this map.
    pub fn cached<F>(self, function: F) -> Cached<K, T, F, S> {
        Cached {
            map: self,
            function,
        }
    }
}

impl<K: Eq + Hash, T, F, S: BuildHasher> Cached<K, T, F, S> {
    /// The value of the function for a key: as
    /// [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Errors
    ///
    /// Those of [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If the function does.
    pub fn call<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        F: Fn(&K) -> Result<T, E>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = || (self.function)(&key.to_owned());
        self.map.get_or_try_create(key, create)
    }

    /// As [`call`](Cached::call), for a function that is async: it takes the key.
    ///
    /// # Errors
    ///
    /// Those of [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If the function does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](KeyedDogpile::get_or_create_async).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::KeyedDogpile;
    ///
    /// # futures::executor::block_on(async {
    /// let length = KeyedDogpile::new(Duration::from_secs(60))
    ///     .cached(async |text: String| Ok::<_, std::io::Error>(text.len()));
    /// assert_eq!(*length.call_async("seven").await?, 5);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "async")]
    pub fn call_async<'a, Q, E: Send + Sync + 'static, G>(
        &'a self,
        key: &Q,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Fn(K) -> G,
        G: Future<Output = Result<T, E>>,
        K: Borrow<Q> + Send + Sync,
        T: Send + Sync,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = || (self.function)(key.to_owned());
        self.map.get_or_try_create_async(key, create)
    }

    /// Calls the function now, however fresh the value is: as [`refresh`](KeyedDogpile::refresh).
    ///
    /// # Errors
    ///
    /// Those of [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If the function does.
    pub fn refresh<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        F: Fn(&K) -> Result<T, E>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = || (self.function)(&key.to_owned());
        self.map.refresh(key, create)
    }

    /// As [`refresh`](Cached::refresh), for a function that is async.
    ///
    /// # Errors
    ///
    /// Those of [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If the function does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](KeyedDogpile::get_or_create_async).
    #[cfg(feature = "async")]
    pub fn refresh_async<'a, Q, E: Send + Sync + 'static, G>(
        &'a self,
        key: &Q,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Fn(K) -> G,
        G: Future<Output = Result<T, E>>,
        K: Borrow<Q> + Send + Sync,
        T: Send + Sync,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let create = || (self.function)(key.to_owned());
        self.map.refresh_async(key, create)
    }

    /// The value that is kept for a key, without calling the function: as
    /// [`peek`](KeyedDogpile::peek).
    pub fn get<Q>(&self, key: &Q) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.peek(key)
    }

    /// Keeps a value for a key as if the function had returned it just now.
    pub fn set(&self, key: K, value: T) {
        self.map.set(key, value);
    }

    /// Removes the value that is kept for a key: as [`invalidate`](KeyedDogpile::invalidate).
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.invalidate(key);
    }

    /// The map, for all else.
    pub fn map(&self) -> &KeyedDogpile<K, T, S> {
        &self.map
    }
}

impl<K, T, F, S> fmt::Debug for Cached<K, T, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").finish_non_exhaustive()
    }
}
