//! Creations that run on an executor, whatever becomes of the caller: [`Background`].

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::time::Duration;

use crate::answer::{
    Acquired, Anchor, Caller, Created, Creating, Door, Guard, HasSite, Lease, Lookup, Open, Site,
};
use crate::call::acquire::Acquiring;
use crate::call::election::{
    Asking, Election, Failures, Found, Kept, NewerThan, Report, Role, Source, Stop, dropped_unrun,
};
use crate::call::task::{Driving, answer, drive};
use crate::call::thread::{Led, Sleeper, no_look_up};
use crate::call::{Call, Here, NotYet};
use crate::error::Error;
use crate::executor::{Blocking, Executor, Job, JobId};
use crate::policy::Accept;
use crate::raw::Event;
use crate::reentrancy::Creation;
use crate::shim::{Arc, contain};
use crate::time::{Tick, Time};

/// Calls whose creations run on an executor; see [`Dogpile::background`](crate::Dogpile::background).
///
/// The methods are those of [`Call`], with a creator that can be sent away. A caller that finds the
/// value stale and is elected has the creation started, takes the stale value and leaves. A caller
/// that has no value to go on with waits, but the creation goes on whatever becomes of those who
/// wait.
pub type Background<'a, 'e, T, D = Open> = Call<'a, T, D, OnExecutor<'a, 'e, T>>;

/// The creator runs on an executor.
///
/// `'a` is the borrow of the pile, `'e` that of the executor: the answers of a call outlive the
/// latter.
pub struct OnExecutor<'a, 'e, T: 'static> {
    executor: &'e dyn Executor,
    pile: KeptPile<'a, T>,
}

/// A pile that can be held for as long as a creation runs.
pub(crate) enum KeptPile<'a, T: 'static> {
    Shared(&'a (dyn Share<T> + Send + Sync)),
    Static(Site<'static, T>),
}

pub(crate) trait Share<T> {
    fn share(&self) -> Anchor<'static, T>;

    /// As [`HasSite::job_of`].
    fn job_of(&self, creation: Creation) -> Option<JobId>;
}

impl<T, P: HasSite<T> + Send + Sync + 'static> Share<T> for Arc<P> {
    fn share(&self) -> Anchor<'static, T> {
        Anchor::Owned(Arc::<P>::clone(self))
    }

    fn job_of(&self, creation: Creation) -> Option<JobId> {
        (**self).job_of(creation)
    }
}

impl<'a, 'e, T: 'static> OnExecutor<'a, 'e, T> {
    pub(crate) fn new(pile: KeptPile<'a, T>, executor: &'e dyn Executor) -> Self {
        Self { executor, pile }
    }

    fn keep(&self) -> Anchor<'static, T> {
        match self.pile {
            KeptPile::Shared(pile) => pile.share(),
            KeptPile::Static(site) => Anchor::Borrowed(site),
        }
    }

    /// The job in which this creation runs.
    fn job_of(&self, creation: Creation) -> JobId {
        let listed = match self.pile {
            KeptPile::Shared(pile) => pile.job_of(creation),
            KeptPile::Static(_) => None,
        };
        listed.unwrap_or_else(|| job_id(creation))
    }
}

impl<T: Send + Sync + 'static> OnExecutor<'_, '_, T> {
    /// Has the creation started by a thread, which may have to run it instead of waiting for it.
    fn start_or_run<'g, E: Send + Sync + 'static, F>(
        &self,
        lease: Lease<'_, T>,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
        report: Option<Arc<Report>>,
        wait: Option<Duration>,
    ) -> Led<'g, T, E>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let report = report.expect("it starts a job");
        if report.awaited.is_some() && wait != Some(Duration::ZERO) {
            match self.executor.blocking_here() {
                Blocking::RunHere => {
                    let job = job(lease, self.keep(), create, report);
                    contain(|| job.run());
                    return Ok(None);
                }
                Blocking::Refuse(refused) => {
                    lease.spends_nothing();
                    return Err(Error::Refused(refused));
                }
                Blocking::Wait | Blocking::WaitIn(_) => {}
            }
        }
        self.start(lease, create, Some(report))
    }

    /// Has the creation started.
    fn start<'g, E: Send + Sync + 'static, F>(
        &self,
        lease: Lease<'_, T>,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
        report: Option<Arc<Report>>,
    ) -> Led<'g, T, E>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let report = report.expect("it starts a job");
        let job = job(lease, self.keep(), create, Arc::clone(&report));
        self.executor.spawn(job).map_err(Error::Refused)?;
        // An executor that was shut down may not say so.
        if report.is_dropped_unrun() {
            return Err(Error::Refused(dropped_unrun()));
        }
        Ok(None)
    }
}

/// A creation that holds its pile.
pub(crate) fn job<T: Send + Sync + 'static, E: Send + Sync + 'static, F>(
    lease: Lease<'_, T>,
    pile: Anchor<'static, T>,
    create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    report: Arc<Report>,
) -> Job
where
    F: Future<Output = Result<Created<T>, E>> + Send + 'static,
{
    let lease = lease.unrun(pile);
    let id = job_id(lease.creation());
    Job::new(id, run(lease, create, Reporter(report)))
}

pub(crate) fn job_id(creation: Creation) -> JobId {
    JobId::new(creation.pile.address(), creation.fence)
}

impl<T: 'static> Sleeper for OnExecutor<'_, '_, T> {
    fn sleep(
        &self,
        event: &Arc<Event>,
        creation: Option<Creation>,
        time: &Time,
        deadline: Option<Tick>,
    ) -> Result<bool, Stop> {
        // A call that may not wait is in nobody's way.
        if event.is_set() || deadline.is_some_and(|deadline| time.now() >= deadline) {
            return Ok(event.is_set());
        }
        match (self.executor.blocking_here(), creation) {
            (Blocking::WaitIn(within), _) => {
                let mut set = false;
                within(&mut || set = event.wait(time, deadline));
                Ok(set)
            }
            (Blocking::RunHere, Some(creation)) => {
                Ok(self.run_or_sleep(event, creation, time, deadline))
            }
            (Blocking::Refuse(refused), Some(_)) => Err(Stop::Refused(refused)),
            // What is no creation is no job of the executor's: it waits for a writer.
            (Blocking::Wait | Blocking::RunHere | Blocking::Refuse(_), _) => {
                Ok(event.wait(time, deadline))
            }
        }
    }
}

impl<T> OnExecutor<'_, '_, T> {
    /// Sleeps on a thread that may be the one which the job waits for.
    fn run_or_sleep(
        &self,
        event: &Arc<Event>,
        creation: Creation,
        time: &Time,
        deadline: Option<Tick>,
    ) -> bool {
        // The elected call may not have got to handing the job over yet. So this call looks for it
        // again, and the more seldom the longer it is not there: then it runs elsewhere.
        let (mut nap, system) = (Duration::from_millis(1), Time::system());
        while !self.executor.run_queued(self.job_of(creation)) {
            let until = system.now().saturating_add(nap);
            if event.wait(&system, Some(until)) {
                return true;
            }
            if deadline.is_some_and(|deadline| time.now() >= deadline) {
                return event.is_set();
            }
            nap = (nap * 2).min(Duration::from_millis(64));
        }
        event.wait(time, deadline)
    }
}

/// Tells when the job is dropped before it began.
pub(crate) struct Reporter(pub(crate) Arc<Report>);

impl Reporter {
    /// The job begins.
    pub(crate) fn begin(&self) {
        self.0.begin();
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.drop_job();
    }
}

/// The job.
async fn run<T, E: Send + Sync + 'static, F>(
    mut lease: Lease<'static, T>,
    create: impl FnOnce(Creating<'static, T>) -> F,
    reporter: Reporter,
) where
    F: Future<Output = Result<Created<T>, E>>,
{
    lease.begin();
    reporter.begin();
    drop(lease.create_async(create).await);
}

/// # In the background
impl<'a, 'e, T: Send + Sync + 'static, D: Door> Call<'a, T, D, OnExecutor<'a, 'e, T>> {
    /// As [`get_or_try_create`](Background::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Background::get_or_try_create), but for the creator's.
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        let create = |_: Creating<'static, T>| async { Ok(Created::new(create())) };
        self.get_or_start(Failures::Ignored, || create)
    }

    /// The value, or else the one that `create` makes, on the executor.
    ///
    /// `create` runs inside of the job, and blocks what runs the job. Give it to an executor that may
    /// be blocked, such as [`Thread`](crate::executor::Thread).
    ///
    /// # Errors
    ///
    /// Those of [`Call::get_or_try_create`]. [`Error::Refused`] if this call would have to wait on a
    /// thread that the executor [needs](crate::executor::Executor::blocking_here). Other calls know
    /// nothing of the executor: one that blocks, such as
    /// [`Dogpile::get_or_create`](crate::Dogpile::get_or_create) in a task of a current-thread
    /// runtime, waits for a creation of that runtime for as long as its limit lets it.
    ///
    /// If this call was elected and has no value to go on with:
    /// [`Error::Refused`] if the executor did not take the creation, [`Error::Panicked`] if the
    /// creator panicked, [`Error::GivenUp`] if the executor dropped it while it ran.
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        self.get_or_try_create_with(|_| create().map(Created::new))
    }

    /// The value, or else the one that `create` makes on the executor, which may say how long the
    /// value lives, how old it is, and more: as
    /// [`Dogpile::get_or_try_create_with`](crate::Dogpile::get_or_try_create_with).
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
    /// let held = token.background(&Thread).get_or_try_create_with(|creating| {
    ///     assert!(creating.previous().is_none());
    ///     // The issuer says that this one lives for ten minutes.
    ///     Ok::<_, std::io::Error>(Created::new("secret").ttl(Duration::from_secs(600)))
    /// })?;
    /// assert_eq!(*held, "secret");
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        let create = |creating| async { create(creating) };
        self.get_or_start(Failures::Taken, || create)
    }

    /// The value where it is kept, or else the one that `create` makes on the executor and puts
    /// there: as [`Dogpile::acquire`](crate::Dogpile::acquire).
    ///
    /// This caller runs `get` itself; the job runs `create`. A caller that finds the value stale and
    /// is elected takes what it looked up and leaves.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::acquire`](crate::Dogpile::acquire), and those of
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
        self.acquire_with(|_| create().map(Created::new), get)
    }

    /// As [`acquire`](Background::acquire), with a creator that may say more about its value.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Background::acquire).
    ///
    /// # Panics
    ///
    /// If `get` does.
    pub fn acquire_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>> {
        self.acquire_or_start(|| |creating| async { create(creating) }, get)
    }

    /// Has a new value created now, however fresh the one held is, and does not wait for it.
    ///
    /// Says whether this call started a creation. If it did not, another caller's is running.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the executor did not take the creation. [`Error::BackingOff`] if none may
    /// begin yet.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// let pile = Arc::new(Dogpile::with_value(Duration::from_secs(60), 7));
    /// let started = pile.background(&Thread).renew(|| Ok::<_, std::io::Error>(8))?;
    /// assert!(started);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn renew<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<bool, Error<E>> {
        self.renew_async(|| async { create() })
    }

    /// As [`renew`](Background::renew), with a creator that is a future. It does not wait either, so
    /// it is no future itself.
    ///
    /// # Errors
    ///
    /// As [`renew`](Background::renew).
    pub fn renew_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> Result<bool, Error<E>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let call = self.accept(Accept::New);
        let mut newer_than = NewerThan::UNKNOWN;
        let mut lease = match call.attempt_locked(&mut newer_than, Asking::TO_START) {
            Found::Lease(lease) => lease,
            Found::Busy(_) | Found::Later(_) | Found::Value(_) => return Ok(false),
            Found::NotYet(NotYet {
                retry_in, failure, ..
            }) => return Err(Error::BackingOff { retry_in, failure }),
        };
        lease.tell_begin();
        let create = |_: Creating<'static, T>| async { create().await.map(Created::new) };
        self.mode
            .start(lease, create, Some(Arc::new(Report::new(None))))?;
        Ok(true)
    }

    /// As [`get_or_create`](Background::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](Background::get_or_create), and [`Error::NoTimer`] if the call has a wait
    /// limit, and the executor has no timer to keep it.
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
        self.get_or_start_async(Failures::Ignored, || create)
    }

    /// As [`get_or_try_create`](Background::get_or_try_create), for tasks: the executor calls
    /// `create` and polls its future.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Background::get_or_try_create), and [`Error::NoTimer`] if the call
    /// has a wait limit, and the executor has no timer to keep it.
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
        self.get_or_try_create_with_async(create)
    }

    /// As [`get_or_try_create_with`](Background::get_or_try_create_with), for tasks: the executor
    /// calls `create` and polls its future.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_async`](Background::get_or_try_create_async).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        self.get_or_start_async(Failures::Taken, || create)
    }

    /// As [`acquire`](Background::acquire), for tasks: this task polls the future of `get`, the
    /// executor that of `create`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Background::acquire), and [`Error::NoTimer`] if the call has a wait limit, and
    /// the executor has no timer to keep it.
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. A creation goes on. A look-up that is dropped elects
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
        let create = |_: Creating<'static, T>| async { create().await.map(Created::new) };
        self.acquire_with_async(create, get)
    }

    /// As [`acquire_with`](Background::acquire_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire_async`](Background::acquire_async).
    ///
    /// # Panics
    ///
    /// If `get` does.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_async`](Background::acquire_async).
    pub fn acquire_with_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.acquire_or_start_async(|| create, get)
    }

    // What creates is made by `make`, of a call that is elected.

    // Inlined, as a hit is: else the call goes through memory.
    #[inline(always)]
    pub(crate) fn get_or_start<E: Send + Sync + 'static, F, C>(
        self,
        failures: Failures,
        make: impl FnOnce() -> C,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>>
    where
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.start_from(Kept, failures, make),
        }
    }

    /// The election of a call that takes its values from this source, where it was no hit.
    #[cold]
    #[inline(never)]
    pub(crate) fn start_from<S, E: Send + Sync + 'static, F, C>(
        self,
        source: S,
        failures: Failures,
        make: impl FnOnce() -> C,
    ) -> Result<S::Answer, Error<E>>
    where
        S: Source<'a, T, D::Pass>,
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let election = Election::new(Caller::Thread, Role::Starts, failures, source);
        let lead = |lease, report| self.mode.start_or_run(lease, make(), report, self.wait);
        self.drive(election, lead, no_look_up)
    }

    pub(crate) fn get_or_start_async<E: Send + Sync + 'static, F, C>(
        self,
        failures: Failures,
        make: impl FnOnce() -> C,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        self.start_from_async(Kept, failures, make)
    }

    /// As [`start_from`](Background::start_from), for tasks, and a look at the value first.
    pub(crate) fn start_from_async<S, E: Send + Sync + 'static, F, C>(
        self,
        source: S,
        failures: Failures,
        make: impl FnOnce() -> C,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<E>>>
    where
        S: Source<'a, T, D::Pass, Found = Guard<'a, T>, Answer = Guard<'a, T, D::Pass>>,
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let election = move || Election::new(Caller::Task, Role::Starts, failures, source);
        let lead = move |lease, report| ready(self.mode.start(lease, make(), report));
        answer(move || self.for_tasks(), election, lead, |answer| answer)
    }

    pub(crate) fn acquire_or_start<E: Send + Sync + 'static, F, C>(
        self,
        make: impl FnOnce() -> C,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'a, T, D::Pass>, Error<E>>
    where
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let keep = self.site.settings.policy.keep;
        let election = Election::new(
            Caller::Thread,
            Role::Starts,
            Failures::Taken,
            Acquiring::new(),
        );
        let lead = |lease, report| {
            let create = make();
            let create = move |creating| async move {
                let created = create(creating).await?;
                Ok(created.kept_by_default(keep))
            };
            self.mode.start_or_run(lease, create, report, self.wait)
        };
        self.drive(election, lead, get)
    }

    pub(crate) fn acquire_or_start_async<E: Send + Sync + 'static, F, G, C>(
        self,
        make: impl FnOnce() -> C,
        get: impl FnOnce() -> G,
    ) -> impl Future<Output = Result<Acquired<'a, T, D::Pass>, Error<E>>>
    where
        C: FnOnce(Creating<'static, T>) -> F + Send + 'static,
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        let keep = self.site.settings.policy.keep;
        let election = Election::new(
            Caller::Task,
            Role::Starts,
            Failures::Taken,
            Acquiring::new(),
        );
        let mut lead = Some(move |lease, report| {
            let create = make();
            let create = move |creating| async move {
                let created = create(creating).await?;
                Ok(created.kept_by_default(keep))
            };
            ready(self.mode.start(lease, create, report))
        });
        async move {
            let call = self.for_tasks();
            call.require_timer()?;
            drive(Driving::new(&call, election, &mut lead), get).await
        }
    }

    /// The call, with what keeps its limit.
    fn for_tasks(self) -> Call<'a, T, D, Here<'e>> {
        self.by(Here {
            timer: self.mode.executor.timer(),
        })
    }
}

impl<T> Clone for KeptPile<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for KeptPile<'_, T> {}

impl<T> Clone for OnExecutor<'_, '_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OnExecutor<'_, '_, T> {}

impl<T> fmt::Debug for OnExecutor<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnExecutor")
    }
}
