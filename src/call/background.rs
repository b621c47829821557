//! Creations that run on an executor, whatever becomes of the caller: [`Background`].

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::panic::resume_unwind;

use crate::answer::Acquired;
use crate::answer::Guard;
use crate::answer::Lease;
use crate::answer::Lookup;
use crate::answer::{Anchor, Site};
use crate::answer::{Caller, Door, Gated, Open};
use crate::answer::{Created, Creating};
use crate::call::acquire::Acquiring;
use crate::call::task::{Task, answer, drive};
use crate::call::way::{Kept, Report, State, Stop, Way, dropped};
use crate::call::{Call, Here};
use crate::error::{Error, Failure};
use crate::executor::{Executor, Job};
use crate::pile::Dogpile;
use crate::pile::SyncReaderDogpile;
use crate::raw::{Ending, Gate, NodeRef};
use crate::shim::Arc;

/// Calls whose creations run on an executor; see [`Dogpile::background`].
///
/// The methods are those of [`Call`], with a creator that can be sent away. Whoever finds the value
/// stale and is elected has the creation started, takes the stale value and leaves. Whoever has no
/// value to go on with waits; but the creation goes on whatever becomes of those who wait.
pub type Background<'a, T, D = Open> = Call<'a, T, D, OnExecutor<'a, T>>;

/// The creator runs on an executor.
pub struct OnExecutor<'a, T: 'static> {
    executor: &'a dyn Executor,
    pile: KeptPile<'a, T>,
}

/// A pile that can be held for as long as a creation runs.
enum KeptPile<'a, T: 'static> {
    Shared(&'a (dyn Share<T> + Send + Sync)),
    Static(Site<'static, T>, Option<&'static Gate>),
}

trait Share<T> {
    fn share(&self) -> Anchor<'static, T>;
}

impl<T: Send + Sync + 'static> Share<T> for Arc<Dogpile<T>> {
    fn share(&self) -> Anchor<'static, T> {
        Anchor::Owned(Arc::<Dogpile<T>>::clone(self))
    }
}

impl<T: Send + Sync + 'static> Share<T> for Arc<SyncReaderDogpile<T>> {
    fn share(&self) -> Anchor<'static, T> {
        Anchor::Owned(Arc::<SyncReaderDogpile<T>>::clone(self))
    }
}

impl<T: Send + Sync + 'static> Dogpile<T> {
    /// Calls whose creations run on `executor`, whatever becomes of the caller.
    ///
    /// The caller who finds the value stale takes it and leaves; its own cancellation or time-out
    /// stops no creation. Nothing is cloned or allocated unless the caller is elected.
    ///
    /// # Example
    ///
    /// A hundred callers a second who have a tenth of a second each, and a source that takes longer:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// # fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
    /// let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
    /// let rates = pile.background(&Thread).wait(Duration::from_millis(100));
    /// match rates.get_or_try_create(fetch) {
    ///     Ok(value) => assert_eq!(*value, 7),
    ///     // Another caller will find it.
    ///     Err(error) => assert!(error.is_timed_out()),
    /// };
    /// ```
    pub fn background<'a>(self: &'a Arc<Self>, executor: &'a dyn Executor) -> Background<'a, T> {
        let pile = KeptPile::Shared(self);
        self.call().by(OnExecutor { executor, pile })
    }

    /// As [`background`](Dogpile::background), for a pile that is a `static`.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// static KEYS: Dogpile<Vec<u32>> = Dogpile::new(Duration::from_secs(60));
    ///
    /// let keys = KEYS.background_static(&Thread).get_or_create(|| vec![1, 2]);
    /// assert_eq!(keys.unwrap().len(), 2);
    /// ```
    pub fn background_static<'a>(&'static self, executor: &'a dyn Executor) -> Background<'a, T> {
        let pile = KeptPile::Static(self.place(), None);
        self.call().by(OnExecutor { executor, pile })
    }
}

impl<T: Send + Sync + 'static> SyncReaderDogpile<T> {
    /// As [`Dogpile::background`].
    pub fn background<'a>(
        self: &'a Arc<Self>,
        executor: &'a dyn Executor,
    ) -> Background<'a, T, Gated<'a>> {
        let pile = KeptPile::Shared(self);
        self.call().by(OnExecutor { executor, pile })
    }

    /// As [`Dogpile::background_static`].
    pub fn background_static<'a>(
        &'static self,
        executor: &'a dyn Executor,
    ) -> Background<'a, T, Gated<'a>> {
        let (pile, gate) = self.parts();
        let pile = KeptPile::Static(pile.place(), Some(gate));
        self.call().by(OnExecutor { executor, pile })
    }
}

/// # In the background
impl<'a, T: Send + Sync + 'static, D: Door> Call<'a, T, D, OnExecutor<'a, T>> {
    /// As [`get_or_try_create`](Background::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// As there, but for the creator's.
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        let create = |_: Creating<'static, T>| async { Ok(Created::new(create())) };
        self.get_or_start(false, create)
    }

    /// The value, or else the one that `create` makes, on the executor.
    ///
    /// `create` runs inside of the job, and blocks what runs that: give it to an executor that may
    /// be blocked, such as [`Thread`](crate::executor::Thread).
    ///
    /// # Errors
    ///
    /// Those of [`Call::get_or_try_create`]. [`Error::Refused`] if this call was elected and the
    /// executor did not take the creation, also where there is a stale value, which
    /// [`peek`](Dogpile::peek) tells; [`Error::GivenUp`] if it waited for its creation, which
    /// panicked or was dropped. The lease is given up in all of these.
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        self.get_or_create_with(|_| create().map(Created::new))
    }

    /// The value, or else the one that `create` makes on the executor, which may say how long the
    /// value lives, how old it is, and more: as [`Dogpile::get_or_create_with`].
    ///
    /// What `create` is given of its creation holds the pile.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Background::get_or_try_create).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Created, Dogpile};
    ///
    /// let token = Arc::new(Dogpile::new(Duration::from_secs(3600)));
    /// let held = token.background(&Thread).get_or_create_with(|creating| {
    ///     assert!(creating.previous().is_none());
    ///     // The issuer says that this one lives for ten minutes.
    ///     Ok::<_, std::io::Error>(Created::new("secret").ttl(Duration::from_secs(600)))
    /// })?;
    /// assert_eq!(*held, "secret");
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn get_or_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        let create = |creating| async { create(creating) };
        self.get_or_start(true, create)
    }

    /// The value where it is kept, or else the one that `create` makes on the executor and puts
    /// there: as [`Dogpile::acquire`].
    ///
    /// `get` is called here, by this caller, `create` inside of the job. Whoever finds the value
    /// stale, and is elected, takes what it looked up and leaves.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::acquire`], and those of
    /// [`get_or_try_create`](Background::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::convert::Infallible;
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// let store = Arc::new(Mutex::new(HashMap::new())); // A memcached, say.
    /// let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
    /// let fill = {
    ///     let store = Arc::clone(&store);
    ///     move || Ok::<_, Infallible>(*store.lock().unwrap().entry("seven").or_insert(7))
    /// };
    /// let find = || Ok(store.lock().unwrap().get("seven").copied().into());
    /// assert_eq!(*pile.background(&Thread).acquire(fill, find)?, 7);
    /// # Ok::<_, dogpile::Error<Infallible>>(())
    /// ```
    pub fn acquire<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        let keep = self.place.settings.keep;
        let create = move |_: Creating<'static, T>| async move {
            create().map(|value| Created::new(value).keep(keep))
        };
        let way = Way::new(Caller::Thread, true, Acquiring::new()).elsewhere();
        let lead = |lease, report| self.mode.start(lease, create, report);
        self.by(Here).drive(way, lead, get)
    }

    /// As [`get_or_create`](Background::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NoTimer`] if the call has a wait limit, and the executor has no timer to
    /// keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_create_async<F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let create = |_: Creating<'static, T>| async { Ok(Created::new(create().await)) };
        self.get_or_start_async(false, create)
    }

    /// As [`get_or_try_create`](Background::get_or_try_create), for tasks: `create` is called, and
    /// its future polled, on the executor.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NoTimer`] if the call has a wait limit, and the executor has no timer to
    /// keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use dogpile::{executor::Tokio, Dogpile};
    ///
    /// # async fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
    /// let value = pile.background(&Tokio).get_or_try_create_async(fetch);
    /// // The time-out drops the wait, not the creation.
    /// let value = tokio::time::timeout(Duration::from_millis(100), value).await;
    /// assert_eq!(*value.unwrap().unwrap(), 7);
    /// # });
    /// # }
    /// ```
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let create = |_: Creating<'static, T>| async { create().await.map(Created::new) };
        self.get_or_create_with_async(create)
    }

    /// As [`get_or_create_with`](Background::get_or_create_with), for tasks: `create` is called, and
    /// its future polled, on the executor.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NoTimer`] if the call has a wait limit, and the executor has no timer to
    /// keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        self.get_or_start_async(true, create)
    }

    /// As [`acquire`](Background::acquire), for tasks: the future of `get` is polled here, by this
    /// task, that of `create` on the executor.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NoTimer`] if the call has a wait limit, and the executor has no timer to
    /// keep it.
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. A creation goes on; a look-up that is dropped elects
    /// nobody and tells nobody.
    pub fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let keep = self.place.settings.keep;
        let create = move |_: Creating<'static, T>| async move {
            Ok(Created::new(create().await?).keep(keep))
        };
        let way = Way::new(Caller::Task, true, Acquiring::new()).elsewhere();
        let lead = move |lease, report| ready(self.mode.start(lease, create, report));
        async move {
            let call = || self.for_tasks();
            call().require_timer()?;
            drive(Task::new(&call, way), lead, get).await
        }
    }

    fn get_or_start<E: Send + Sync + 'static, F>(
        self,
        heeds_failures: bool,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let call = self.by(Here);
        if let Some(guard) = call.hit(Caller::Thread) {
            return Ok(guard);
        }
        let way = Way::new(Caller::Thread, heeds_failures, Kept).elsewhere();
        let lead = |lease, report| self.mode.start(lease, create, report);
        call.drive(way, lead, || unreachable!("it looks nothing up"))
    }

    fn get_or_start_async<E: Send + Sync + 'static, F>(
        self,
        heeds_failures: bool,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let way = move || Way::new(Caller::Task, heeds_failures, Kept).elsewhere();
        let lead = move |lease, report| ready(self.mode.start(lease, create, report));
        answer(move || self.for_tasks(), way, lead)
    }

    /// The call, with what keeps its limit.
    fn for_tasks(self) -> Call<'a, T, D> {
        let mut call = self.by(Here);
        call.timer = self.mode.executor.timer();
        call
    }
}

impl<'a, T: Send + Sync + 'static> OnExecutor<'a, T> {
    fn keep(&self) -> Anchor<'static, T> {
        match self.pile {
            KeptPile::Shared(pile) => pile.share(),
            KeptPile::Static(pile, gate) => Anchor::Borrowed(pile, gate),
        }
    }

    /// Has the creation started.
    fn start<'g, E: Send + Sync + 'static, F>(
        &self,
        lease: Lease<'_, T>,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
        report: Option<Arc<Report<T>>>,
    ) -> Result<Option<Guard<'g, T>>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let report = report.expect("it creates elsewhere");
        let lease = lease.held_by(self.keep());
        let reporter = Reporter(Arc::clone(&report));
        let job = Job::new(create_and_report(lease, create, reporter));
        self.executor.spawn(job).map_err(Error::Refused)?;
        // An executor that was shut down may not say so.
        if report.is_dropped() {
            return Err(Stop::Refused(dropped()).into_error());
        }
        Ok(None)
    }
}

/// Tells when the job is dropped unrun.
struct Reporter<T>(Arc<Report<T>>);

impl<T> Drop for Reporter<T> {
    fn drop(&mut self) {
        self.0.drop_unrun();
    }
}

/// The job.
async fn create_and_report<T, E: Send + Sync + 'static, F>(
    lease: Lease<'static, T>,
    create: impl FnOnce(Creating<'static, T>) -> F,
    report: Reporter<T>,
) where
    F: Future<Output = Result<Created<T>, E>>,
{
    report.0.put(State::Begun);
    let creating = lease.creating();
    // Reported first: the end of the lease wakes the caller.
    match lease.run(|| create(creating)).await {
        Ok(Ok(created)) => {
            let made = lease.make(created);
            report
                .0
                .put(State::Ending(Ending::Value(NodeRef::clone(&made.node))));
            drop(report); // It shows the value, and must not outlast the lease.
            lease.place(made);
        }
        Ok(Err(error)) => {
            let failure = Failure::new(Arc::new(error));
            report.0.put(State::Ending(Ending::Failed(failure.clone())));
            drop(report);
            lease.fail_with(failure);
        }
        Err(panic) => {
            drop(lease);
            resume_unwind(panic)
        }
    }
}

impl<T> Clone for KeptPile<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for KeptPile<'_, T> {}

impl<T> Clone for OnExecutor<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OnExecutor<'_, T> {}

impl<T> fmt::Debug for OnExecutor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnExecutor")
    }
}
