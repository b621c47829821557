//! The async short forms of [`Dogpile`].

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::future::Future;

use crate::answer::{Acquired, Created, Creating, Guard, Lookup};
use crate::call::election::Failures;
use crate::call::task::answer_here;
use crate::error::Error;
use crate::pile::Dogpile;
use crate::pile::dogpile::{cannot_answer, cannot_wait};
use crate::policy::Seen;

/// # Async forms
///
/// Tasks and threads share the pile: its election, its waiters, its value. The futures are `Send`
/// where what they hold is, need no runtime, and allocate nothing on a hit.
impl<T> Dogpile<T> {
    /// As [`get_or_create`](Dogpile::get_or_create), for tasks.
    ///
    /// The elected task alone calls `create` and polls the future. A task that is not polled any more
    /// holds the lease until it is dropped. Meanwhile callers with a stale value go on, and callers
    /// without one wait.
    ///
    /// # Panics
    ///
    /// If `create` does. The others go on, and the next one creates. If called from inside the
    /// creator of the same pile, which is one poll of its future, while no value can be had:
    /// [`get_or_try_create_async`](Dogpile::get_or_try_create_async) returns that as an error.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was elected, its creation is dropped and the lease
    /// is given up: those who wait are woken, and the next caller creates. If it waited, nobody
    /// notices. To have the creation go on, see [`background`](Dogpile::background).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// static MOTD: Dogpile<String> = Dogpile::new(Duration::from_secs(60));
    ///
    /// # async fn fetch() -> String { "hello".into() }
    /// # futures::executor::block_on(async {
    /// let text = MOTD.get_or_create_async(|| async { fetch().await.to_uppercase() }).await;
    /// assert_eq!(*text, "HELLO");
    /// # });
    /// ```
    pub fn get_or_create_async<F: Future<Output = T>>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Guard<'_, T>> {
        let create = |_: Creating<'_, T>| async { Ok(Created::new(create().await)) };
        let told = |answer: Result<_, _>| match answer {
            Ok(guard) => guard,
            Err(error) => cannot_answer("Dogpile", "_async", &error),
        };
        // Another caller's failure is no answer to one whose creator cannot fail.
        answer_here(|| self.call(), Failures::Pressed, create, told)
    }

    /// As [`get_or_try_create`](Dogpile::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does. Those who wait with a fallible form are told, and the next caller creates.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Error};
    /// # futures::executor::block_on(async {
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let answer = pile.get_or_try_create_async(|| async { "seven".parse::<u32>() }).await;
    /// assert!(matches!(answer, Err(Error::Create(_))));
    /// assert_eq!(*pile.get_or_try_create_async(|| async { "7".parse::<u32>() }).await?, 7);
    /// # Ok::<_, Error<std::num::ParseIntError>>(())
    /// # }).unwrap();
    /// ```
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'_, T>| async { create().await.map(Created::new) };
        answer_here(|| self.call(), Failures::Taken, create, |answer| answer)
    }

    /// As [`get_or_try_create_with`](Dogpile::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does. Those who wait with a fallible form are told, and the next caller creates.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    pub fn get_or_try_create_with_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        answer_here(|| self.call(), Failures::Taken, create, |answer| answer)
    }

    /// As [`acquire`](Dogpile::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async). A look-up that is dropped elects
    /// nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        &self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call().acquire_async(create, get)
    }

    /// As [`acquire_with`](Dogpile::acquire_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire_with`](Dogpile::acquire_with).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_async`](Dogpile::acquire_async).
    pub fn acquire_with_async<'a, E: Send + Sync + 'static, F, G>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call().acquire_with_async(create, get)
    }

    /// As [`refresh`](Dogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    pub fn refresh_async<E: Send + Sync + 'static, F>(
        &self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'_, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call().refresh_async(create)
    }

    /// As [`wait_for_value`](Dogpile::wait_for_value), for tasks.
    ///
    /// # Panics
    ///
    /// As [`wait_for_value`](Dogpile::wait_for_value).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let consumer = pile.wait_for_value_async();
    /// let producer = async { pile.set(7) };
    /// # futures::executor::block_on(async {
    /// let (value, ()) = futures::future::join(consumer, producer).await;
    /// assert_eq!(*value, 7);
    /// # });
    /// ```
    pub fn wait_for_value_async(&self) -> impl Future<Output = Guard<'_, T>> {
        async move {
            match self.call().wait_for_value_async().await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("Dogpile", "wait_for_value_async", &error),
            }
        }
    }

    /// As [`wait_for_newer`](Dogpile::wait_for_newer), for tasks.
    ///
    /// # Panics
    ///
    /// As [`wait_for_newer`](Dogpile::wait_for_newer).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices, and no value is lost: the next call with
    /// the same `seen` gets it.
    pub fn wait_for_newer_async(
        &self,
        seen: impl Into<Option<Seen>>,
    ) -> impl Future<Output = Guard<'_, T>> {
        let seen = seen.into();
        async move {
            match self.call().wait_for_newer_async(seen).await {
                Ok(guard) => guard,
                Err(error) => cannot_wait("Dogpile", "wait_for_newer_async", &error),
            }
        }
    }
}
