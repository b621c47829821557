//! Creators in the background that are given what they need: [`With`].

use std::convert::Infallible;
use std::fmt;
use std::future::Future;

use crate::answer::{Acquired, Created, Creating, Door, Guard, Lookup};
use crate::call::Call;
use crate::call::background::OnExecutor;
use crate::call::election::Failures;
use crate::error::Error;

/// The creator is given a clone of something; see [`Background::with`](crate::Background::with).
///
/// `'c` is the borrow of what is cloned, `W` says where the creator runs.
pub struct With<'c, C, W> {
    given: &'c C,
    mode: W,
}

impl<'a, 'e, T: Send + Sync + 'static, D: Door> Call<'a, T, D, OnExecutor<'a, 'e, T>> {
    /// Gives the creator a clone of `given`, made only if this call is elected.
    ///
    /// A creator that runs on an executor borrows nothing. So it has to own its client, its pool or
    /// its [`Arc`](std::sync::Arc), and the caller would clone that for each call, hit or not. With
    /// this, the clone is made for the job alone, and the creator is given it as its first argument.
    ///
    /// # Panics
    ///
    /// The calls panic if the clone does. The lease is given up then.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use std::sync::Arc;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// struct Client { base: String }
    /// impl Client {
    ///     fn fetch(&self, path: &str) -> Result<String, std::io::Error> {
    ///         Ok(format!("{}{path}", self.base))
    ///     }
    /// }
    ///
    /// let client = Arc::new(Client { base: "https://example.org".into() });
    /// let motd = Arc::new(Dogpile::new(Duration::from_secs(60)));
    /// let call = motd.background(&Thread).with(&client);
    /// let text = call.get_or_try_create(|client| client.fetch("/motd"))?;
    /// assert_eq!(*text, "https://example.org/motd");
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    #[inline(always)]
    pub fn with<C: Clone + Send + 'static>(
        self,
        given: &C,
    ) -> Call<'a, T, D, With<'_, C, OnExecutor<'a, 'e, T>>> {
        let mode = self.mode;
        self.by(With { given, mode })
    }
}

/// # In the background, with something given
impl<'a, 'e, 'c, T, D, C> Call<'a, T, D, With<'c, C, OnExecutor<'a, 'e, T>>>
where
    T: Send + Sync + 'static,
    D: Door,
    C: Clone + Send + 'static,
{
    /// As [`Background::get_or_create`](crate::Background::get_or_create).
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_create`](crate::Background::get_or_create).
    #[inline(always)]
    pub fn get_or_create(
        self,
        create: impl FnOnce(C) -> T + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        let given = self.mode.given;
        self.plain().get_or_start(Failures::Ignored, || {
            let given = given.clone();
            |_: Creating<'static, T>| async { Ok(Created::new(create(given))) }
        })
    }

    /// As [`Background::get_or_try_create`](crate::Background::get_or_try_create).
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_try_create`](crate::Background::get_or_try_create).
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(C) -> Result<T, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        self.get_or_try_create_with(|given, _| create(given).map(Created::new))
    }

    /// As [`Background::get_or_try_create_with`](crate::Background::get_or_try_create_with).
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_try_create`](crate::Background::get_or_try_create).
    #[inline(always)]
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(C, Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        let given = self.mode.given;
        self.plain().get_or_start(Failures::Taken, || {
            let given = given.clone();
            |creating: Creating<'static, T>| async { create(given, creating) }
        })
    }

    /// As [`Background::acquire`](crate::Background::acquire).
    ///
    /// # Errors
    ///
    /// As [`Background::acquire`](crate::Background::acquire).
    ///
    /// # Panics
    ///
    /// If `get` does.
    pub fn acquire<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(C) -> Result<T, E> + Send + 'static,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let given = self.mode.given;
        let make = || {
            let given = given.clone();
            |_: Creating<'static, T>| async { create(given).map(Created::new) }
        };
        self.plain().acquire_or_start(make, get)
    }

    /// As [`get_or_create`](Call::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_create_async`](crate::Background::get_or_create_async).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_create_async<F>(
        self,
        create: impl FnOnce(C) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let given = self.mode.given;
        self.plain().get_or_start_async(Failures::Ignored, || {
            let given = given.clone();
            |_: Creating<'static, T>| async { Ok(Created::new(create(given).await)) }
        })
    }

    /// As [`get_or_try_create`](Call::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_try_create_async`](crate::Background::get_or_try_create_async).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// #[derive(Clone)]
    /// struct Pool; // Of connections to a database.
    /// # impl Pool { async fn count(&self) -> Result<u64, std::io::Error> { Ok(7) } }
    ///
    /// # futures::executor::block_on(async {
    /// let (pool, users) = (Pool, Arc::new(Dogpile::new(Duration::from_secs(60))));
    /// let call = users.background(&Thread).with(&pool);
    /// let count = call.get_or_try_create_async(|pool| async move { pool.count().await }).await?;
    /// assert_eq!(*count, 7);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(C) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.get_or_try_create_with_async(|given, _| async {
            create(given).await.map(Created::new)
        })
    }

    /// As [`get_or_try_create_with`](Call::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Background::get_or_try_create_async`](crate::Background::get_or_try_create_async).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(C, Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let given = self.mode.given;
        self.plain().get_or_start_async(Failures::Taken, || {
            let given = given.clone();
            |creating: Creating<'static, T>| create(given, creating)
        })
    }

    /// As [`acquire`](Call::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`Background::acquire_async`](crate::Background::acquire_async).
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Background::acquire_async`](crate::Background::acquire_async).
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce(C) -> F + Send + 'static,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let given = self.mode.given;
        let make = || {
            let given = given.clone();
            |_: Creating<'static, T>| async { create(given).await.map(Created::new) }
        };
        self.plain().acquire_or_start_async(make, get)
    }

    /// The call as it was before something was given.
    #[inline(always)]
    fn plain(self) -> Call<'a, T, D, OnExecutor<'a, 'e, T>> {
        let mode = self.mode.mode;
        self.by(mode)
    }
}

impl<C, W: Copy> Clone for With<'_, C, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, W: Copy> Copy for With<'_, C, W> {}

impl<C, W> fmt::Debug for With<'_, C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("With")
    }
}
