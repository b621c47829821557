//! The forms of a call for tasks.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::convert::Infallible;
use std::future::Future;

use crate::answer::{Acquired, Caller, Created, Creating, Door, Guard, Lookup};
use crate::call::acquire::Acquiring;
use crate::call::election::{Election, Failures, Role};
use crate::call::task::{Driving, answer_here, drive, here, no_look_up};
use crate::call::{Call, Here};
use crate::error::Error;
use crate::executor::Timer;
use crate::policy::Accept;

/// # Async forms
///
/// A limit of [`wait`](Call::wait) needs something that wakes the task at its end: a
/// [`timer`](Call::timer), or an injected clock that is moved by hand. Without either, a call with a
/// limit is answered with [`Error::NoTimer`], hit or not. The time-out of your runtime around the
/// call needs nothing, but it also drops this call's own creator, where the call was elected.
/// [`Dogpile::background`](crate::Dogpile::background) is the way around that.
impl<'a, T, D: Door> Call<'a, T, D, Here<'_>> {
    /// Has this timer keep the wait limit of an async call.
    ///
    /// # Example
    ///
    /// With an adapter, here the one for tokio:
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// # use std::time::Duration;
    /// use dogpile::{executor::Tokio, Dogpile};
    ///
    /// static RATES: Dogpile<Vec<f64>> = Dogpile::new(Duration::from_secs(60));
    ///
    /// # async fn fetch() -> Vec<f64> { vec![1.0842] }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let call = RATES.call().wait(Duration::from_millis(50)).timer(&Tokio);
    /// assert_eq!(call.get_or_create_async(fetch).await.unwrap()[0], 1.0842);
    /// # });
    /// # }
    /// ```
    pub fn timer<'t>(self, timer: &'t dyn Timer) -> Call<'a, T, D, Here<'t>> {
        self.by(Here { timer: Some(timer) })
    }

    /// As [`get_or_create`](Call::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](Call::get_or_create), and [`Error::NoTimer`] if the call has a wait limit
    /// that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_create_async<F: Future<Output = T>>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>> {
        let create = |_: Creating<'a, T>| async { Ok(Created::new(create().await)) };
        // Another caller's failure is no answer to one whose creator cannot fail.
        answer_here(self, Failures::Ignored, create, |answer| answer)
    }

    /// As [`get_or_try_create`](Call::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Call::get_or_try_create), and [`Error::NoTimer`] if the call has a
    /// wait limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'a, T>| async { create().await.map(Created::new) };
        answer_here(self, Failures::Taken, create, |answer| answer)
    }

    /// As [`get_or_try_create_with`](Call::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_with`](Call::get_or_try_create_with), and [`Error::NoTimer`] if the
    /// call has a wait limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn get_or_try_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        answer_here(self, Failures::Taken, create, |answer| answer)
    }

    /// As [`refresh`](Call::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`refresh`](Call::refresh), and [`Error::NoTimer`] if the call has a wait limit that
    /// nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async).
    pub fn refresh_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.accept(Accept::New).get_or_try_create_async(create)
    }

    /// As [`acquire`](Call::acquire), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Call::acquire), and [`Error::NoTimer`] if the call has a wait limit that nothing
    /// keeps.
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`Dogpile::get_or_create_async`](crate::Dogpile::get_or_create_async). A look-up that is
    /// dropped elects nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce() -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let create = |_: Creating<'a, T>| async { create().await.map(Created::new) };
        self.acquire_with_async(create, get)
    }

    /// As [`acquire_with`](Call::acquire_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire_async`](Call::acquire_async).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_async`](Call::acquire_async).
    pub fn acquire_with_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let keep = self.site.settings.policy.keep;
        let create = move |creating| async move {
            let created = create(creating).await?;
            Ok(created.kept_by_default(keep))
        };
        async move {
            self.require_timer()?;
            let mut lead = Some(|lease, _| here(create, lease));
            // Almost every call ends here, without an election.
            let Some(pass) = self.door.try_enter(Caller::Task) else {
                let election = Election::new(
                    Caller::Task,
                    Role::Creates,
                    Failures::Taken,
                    Acquiring::new(),
                );
                return drive(Driving::new(&self, election, &mut lead), get).await;
            };
            let (mut source, mut get) = (Acquiring::new(), Some(get));
            if source.begin(&self) {
                if let Some(get) = get.take() {
                    let lookup = get().await.map_err(Error::Get)?;
                    match source.plainly_fresh(&self, lookup) {
                        Ok(found) => return Ok(found.with(pass)),
                        Err(lookup) => source.note(&self, lookup),
                    }
                }
            }
            if let Some(found) = source.found(&self) {
                self.site.settings.answered(Acquired::origin(&found));
                return Ok(found.with(pass));
            }
            let election = Election::new(Caller::Task, Role::Creates, Failures::Taken, source)
                .inside(pass, false);
            drive(Driving::new(&self, election, &mut lead), no_look_up).await
        }
    }
}
