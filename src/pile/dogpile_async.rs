//! The async short forms of [`Dogpile`].

// An `async fn` holds its arguments twice over, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::future::Future;

use crate::answer::Guard;
use crate::answer::{Acquired, Lookup};
use crate::answer::{Created, Creating};
use crate::call::task::answer_async;
use crate::error::Error;
use crate::pile::{Dogpile, cannot_answer};
use crate::policy::Accept;

/// # Async forms
///
/// Tasks and threads share the pile: its election, its waiters, its value. The futures are `Send`
/// where what they hold is, need no runtime, and allocate nothing on a hit.
impl<T> Dogpile<T> {
    /// As [`get_or_create`](Dogpile::get_or_create), for tasks.
    ///
    /// `create` is called by the elected task alone, which polls the future itself. A task that is
    /// polled no more holds the lease until it is dropped: who has a stale value goes on meanwhile,
    /// who has none waits.
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates. If called from inside the
    /// creator of the same pile, which is one poll of its future, with no value to be had:
    /// [`get_or_try_create_async`](Dogpile::get_or_try_create_async) returns that as an error.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. If it was elected, its creation is dropped and the
    /// lease given up: those who wait are woken, and the next to come creates. If it waited, nobody
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
        async move {
            // Somebody else's failure is no answer to a caller whose creator cannot fail.
            match answer_async(|| self.call(), false, create).await {
                Ok(guard) => guard,
                Err(error) => cannot_answer("Dogpile", "_async", &error),
            }
        }
    }

    /// As [`get_or_try_create`](Dogpile::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
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
        answer_async(|| self.call(), true, create)
    }

    /// As [`get_or_create_with`](Dogpile::get_or_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_async`](Dogpile::get_or_create_async).
    pub fn get_or_create_with_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        answer_async(|| self.call(), true, create)
    }

    /// As [`acquire`](Dogpile::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does; the others go on.
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

    /// As [`refresh`](Dogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on.
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
        let call = self.call().accept(Accept::New);
        call.get_or_try_create_async(create)
    }
}
