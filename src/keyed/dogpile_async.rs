//! The async short forms of [`KeyedDogpile`].

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, Hash};

use crate::answer::{Created, Creating};
use crate::call::election::Failures;
use crate::error::Error;
use crate::executor::Executor;
use crate::keyed::{InBackground, KeyedBackground, KeyedDogpile, KeyedGuard};
use crate::pile::{cannot_answer, cannot_wait};
use crate::policy::Seen;

/// # Async forms
///
/// Tasks and threads share the map. The futures are `Send` where what they hold is, and need no runtime.
impl<K, T, S> KeyedDogpile<K, T, S>
where
    K: Eq + Hash + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
{
    /// As [`get_or_create`](KeyedDogpile::get_or_create), for tasks: see
    /// [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    ///
    /// # Panics
    ///
    /// As [`get_or_create`](KeyedDogpile::get_or_create).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was elected, its creation is dropped and the lease
    /// is given up: those who wait are woken, and the next caller creates. If it waited, nobody
    /// notices.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// # async fn fetch(name: &str) -> String { name.to_uppercase() }
    /// # futures::executor::block_on(async {
    /// let greetings = KeyedDogpile::<String, String>::new(Duration::from_secs(60));
    /// let text = greetings.get_or_create_async("hello", || fetch("hello")).await;
    /// assert_eq!(*text, "HELLO");
    /// # });
    /// ```
    pub fn get_or_create_async<'a, Q, F: Future<Output = T>>(
        &'a self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = KeyedGuard<'a, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        async move {
            let create = |_| async { Ok::<_, Infallible>(create().await.into()) };
            match self.call(key).answer_async(Failures::Pressed, create).await {
                Ok(guard) => guard,
                Err(error) => cannot_answer("KeyedDogpile", "_async", &error),
            }
        }
    }

    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](KeyedDogpile::get_or_create_async).
    pub fn get_or_try_create_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<T, E>>,
    {
        self.call(key).get_or_try_create_async(create)
    }

    /// As [`get_or_try_create_with`](KeyedDogpile::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](KeyedDogpile::get_or_create_async).
    pub fn get_or_try_create_with_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<Created<T>, E>>,
    {
        self.call(key).get_or_try_create_with_async(create)
    }

    /// As [`refresh`](KeyedDogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](KeyedDogpile::get_or_create_async).
    pub fn refresh_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<T, E>>,
    {
        self.call(key).refresh_async(create)
    }

    /// As [`wait_for_value`](KeyedDogpile::wait_for_value), for tasks.
    ///
    /// # Panics
    ///
    /// If it would wait inside the creator of the same key.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// let consumer = squares.wait_for_value_async(&7);
    /// let producer = async { squares.set(7, 49) };
    /// # futures::executor::block_on(async {
    /// let (square, ()) = futures::future::join(consumer, producer).await;
    /// assert_eq!(*square, 49);
    /// # });
    /// ```
    pub fn wait_for_value_async<'a, Q>(
        &'a self,
        key: &Q,
    ) -> impl Future<Output = KeyedGuard<'a, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        async move {
            match self.call(key).wait_for_value_async().await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("KeyedDogpile", "wait_for_value_async", &error),
            }
        }
    }

    /// As [`wait_for_newer`](KeyedDogpile::wait_for_newer), for tasks.
    ///
    /// # Panics
    ///
    /// As [`wait_for_value_async`](KeyedDogpile::wait_for_value_async). In builds with debug assertions, if
    /// the value was seen in another map.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices, and no value is lost: the next call with
    /// the same `seen` gets it.
    pub fn wait_for_newer_async<'a, Q>(
        &'a self,
        key: &Q,
        seen: impl Into<Option<Seen>>,
    ) -> impl Future<Output = KeyedGuard<'a, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let seen = seen.into();
        async move {
            match self.call(key).wait_for_newer_async(seen).await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("KeyedDogpile", "wait_for_newer_async", &error),
            }
        }
    }

    /// Calls for a key whose creations run on `executor`, whatever becomes of the caller: as
    /// [`Dogpile::background`](crate::Dogpile::background). A creation that runs holds the map.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, KeyedDogpile};
    ///
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// let square = squares.background(&7, &Thread).get_or_create(|| 49);
    /// assert_eq!(*square.unwrap(), 49);
    /// ```
    pub fn background<'a, 'q, 'e, Q: ?Sized>(
        &'a self,
        key: &'q Q,
        executor: &'e dyn Executor,
    ) -> KeyedBackground<'a, 'q, 'e, K, T, S, Q> {
        self.call(key).by(InBackground(executor))
    }
}
