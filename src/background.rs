//! Creations that run on an executor, whatever becomes of the caller: [`Background`].

use std::convert::Infallible;
use std::fmt;
use std::future::{poll_fn, Future, IntoFuture};
use std::panic::resume_unwind;
use std::time::Duration;

use crate::acquire::{self, Acquired, Lookup, Search};
use crate::attempt::Busy;
use crate::call::{Accept, Call, Demand, Elected, Patience};
use crate::created::{Created, Creating};
use crate::dogpile::Dogpile;
use crate::error::{Error, Failure, Refused};
use crate::executor::{Executor, Job};
use crate::future::{AsyncPatience, Election};
use crate::guard::{Guard, Origin};
use crate::lease::Lease;
use crate::place::{sealed, Hold, PileRef};
use crate::raw::{NodeRef, Told};
use crate::sync::{Arc, Mutex};

/// Calls whose creations run on an executor; see [`Dogpile::background`].
///
/// The methods are those of [`Call`], with a creator that can be sent away. Whoever finds the value
/// stale and is elected has the creation started, takes the stale value and leaves. Whoever has no
/// value to go on with waits; but the creation goes on whatever becomes of those who wait.
#[must_use = "a call does nothing until it is made"]
pub struct Background<'a, T, P: Keep<T>> {
    call: Call<'a, T>,
    pile: P,
    executor: &'a dyn Executor,
}

/// A pile that a creation in the background can hold: by its `Arc`, or for ever. There are no others.
pub trait Keep<T>: Copy + sealed::Sealed {
    #[doc(hidden)]
    type Held: Hold<T> + Send + Sync + 'static;

    #[doc(hidden)]
    fn keep(self) -> Self::Held;
}

impl<T> sealed::Sealed for &Arc<Dogpile<T>> {}

impl<T: Send + Sync + 'static> Keep<T> for &Arc<Dogpile<T>> {
    type Held = Arc<Dogpile<T>>;

    fn keep(self) -> Arc<Dogpile<T>> {
        Arc::clone(self)
    }
}

impl<T: Send + Sync + 'static> Keep<T> for PileRef<'static, T> {
    type Held = Self;

    fn keep(self) -> Self {
        self
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
    pub fn background<'a>(
        self: &'a Arc<Self>,
        executor: &'a dyn Executor,
    ) -> Background<'a, T, &'a Arc<Self>> {
        Background::new(self.call(), self, executor)
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
    pub fn background_static<'a>(
        &'static self,
        executor: &'a dyn Executor,
    ) -> Background<'a, T, PileRef<'static, T>> {
        let call = self.call();
        Background::new(call, call.place, executor)
    }
}

impl<'a, T, P: Keep<T>> Background<'a, T, P>
where
    T: Send + Sync + 'static,
{
    fn new(mut call: Call<'a, T>, pile: P, executor: &'a dyn Executor) -> Self {
        call.timer = executor.timer();
        Self {
            call,
            pile,
            executor,
        }
    }

    /// As [`Call::wait`]: a limit to waiting, also for the creation that this call started, which
    /// goes on. In the async forms the executor's timer keeps it.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.call = self.call.wait(limit);
        self
    }

    /// As [`Call::max_age`].
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.call = self.call.max_age(limit);
        self
    }

    /// As [`Call::accept`].
    pub fn accept(mut self, accept: Accept<'_, T>) -> Self {
        self.call = self.call.accept(accept);
        self
    }

    /// As [`get_or_try_create`](Background::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// As there, but for the creator's.
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Guard<'a, T>, Error<Infallible>> {
        let create = |_: Creating<'static, T, P::Held>| async { Ok(Created::new(create())) };
        self.get_or_start(create, |_failure| None)
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
    ) -> Result<Guard<'a, T>, Error<E>> {
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
        create: impl FnOnce(Creating<'static, T, P::Held>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<Guard<'a, T>, Error<E>> {
        let create = |creating| async { create(creating) };
        self.get_or_start(create, |failure| Some(failure.into_error()))
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
    ) -> Result<Acquired<'a, T>, Error<E>> {
        let keep = self.call.place.config.keep;
        let create = move |_: Creating<'static, T, P::Held>| async move {
            create().map(|value| Created::new(value).keep(keep))
        };
        let failed = |failure: Failure| Some(failure.into_error());
        if self.call.demand == Demand::New {
            return self.get_or_start(create, failed).map(Acquired::from);
        }
        let mut search = Search::begin(self.call);
        if search.is_worthwhile() {
            search.found(get().map_err(Error::Get)?);
        }
        if let Some(acquired) = search.at_once() {
            return Ok(acquired);
        }
        let patience = self.call.patience();
        let lease = loop {
            let busy = match search.attempt() {
                acquire::Attempt::Hit(acquired) => return Ok(acquired),
                acquire::Attempt::Lease(lease) => break lease,
                acquire::Attempt::Busy(busy) => busy,
            };
            if let Some(answer) = patience.wait(busy, failed) {
                return answer.map(Acquired::from);
            }
        };
        let started = self.start(lease, create, search.meanwhile())?;
        self.wait_for(started, &patience, failed)
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
    pub async fn get_or_create_async<F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Guard<'a, T>, Error<Infallible>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let create = |_: Creating<'static, T, P::Held>| async { Ok(Created::new(create().await)) };
        self.get_or_start_async(create, |_failure| None).await
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
    pub async fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Guard<'a, T>, Error<E>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let create = |_: Creating<'static, T, P::Held>| async { create().await.map(Created::new) };
        self.get_or_create_with_async(create).await
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
    pub async fn get_or_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T, P::Held>) -> F + Send + 'static,
    ) -> Result<Guard<'a, T>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let failed = |failure: Failure| Some(failure.into_error());
        self.get_or_start_async(create, failed).await
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
    pub async fn acquire_async<E: Send + Sync + 'static, F, G>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
        get: impl FnOnce() -> G,
    ) -> Result<Acquired<'a, T>, Error<E>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<Lookup<T>, E>>,
    {
        self.call.require_timer()?;
        let keep = self.call.place.config.keep;
        let create = move |_: Creating<'static, T, P::Held>| async move {
            Ok(Created::new(create().await?).keep(keep))
        };
        let failed = |failure: Failure| Some(failure.into_error());
        if self.call.demand == Demand::New {
            let created = self.get_or_start_async(create, failed).await;
            return created.map(Acquired::from);
        }
        let mut search = Search::begin(self.call);
        if search.is_worthwhile() {
            search.found(get().await.map_err(Error::Get)?);
        }
        if let Some(acquired) = search.at_once() {
            return Ok(acquired);
        }
        let mut patience = AsyncPatience::of(&self.call);
        let lease = {
            let no_section = &mut None::<()>;
            match (search.elect_async(no_section, &mut patience, failed)).await {
                Elected::Answer(answer) => return answer,
                Elected::Lead(lease) => lease,
            }
        };
        let started = self.start(lease, create, search.meanwhile())?;
        self.wait_for_async(started, &mut patience, failed).await
    }

    fn get_or_start<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T, P::Held>) -> F + Send + 'static,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<Guard<'a, T>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        if let Some(guard) = self.call.glance() {
            return Ok(guard);
        }
        let patience = self.call.patience();
        let lease = match self.call.elect(&patience, &failed) {
            Elected::Answer(answer) => return answer,
            Elected::Lead(lease) => lease,
        };
        let started = self.start(lease, create, self.meanwhile())?;
        self.wait_for(started, &patience, failed)
    }

    async fn get_or_start_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T, P::Held>) -> F + Send + 'static,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<Guard<'a, T>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        self.call.require_timer()?;
        if let Some(guard) = self.call.glance() {
            return Ok(guard);
        }
        let mut patience = AsyncPatience::of(&self.call);
        let lease = match Election::new(&|| self.call, &mut patience, &failed).await {
            Elected::Answer(answer) => return answer,
            Elected::Lead(lease) => lease,
        };
        let started = self.start(lease, create, self.meanwhile())?;
        self.wait_for_async(started, &mut patience, failed).await
    }

    /// What the caller does while the creation runs that it has the lease for: what anybody does who
    /// comes meanwhile. If it waits, then from before the creation starts, so that its end is not
    /// missed.
    fn meanwhile(&self) -> Result<Guard<'a, T>, Busy<'a, T>> {
        let place = self.call.place;
        self.call.look().ok_or_else(|| {
            let creation = place.pile.join().expect("the lease is held here");
            Busy::empty(place, creation, 0)
        })
    }

    /// Has the creation started.
    fn start<A, E: Send + Sync + 'static, F>(
        &self,
        lease: Lease<PileRef<'a, T>, T>,
        create: impl FnOnce(Creating<'static, T, P::Held>) -> F + Send + 'static,
        meanwhile: Result<A, Busy<'a, T>>,
    ) -> Result<Started<'a, T, A>, Error<E>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let mut report = Arc::new(Report::new());
        let lease = lease.held_by(self.pile.keep());
        let creating = Creating::new(self.pile.keep(), lease.fence());
        let create = || create(creating);
        let job = Job::new(create_and_report(lease, create, Arc::clone(&report)));
        self.executor.spawn(job).map_err(Error::Refused)?;
        // An executor that was shut down may not say so.
        if Arc::get_mut(&mut report).is_some_and(Report::is_unrun) {
            return Err(Error::Refused(dropped()));
        }
        Ok(match meanwhile {
            Ok(stale) => Started::GoOn(stale),
            Err(busy) => Started::Wait(busy.own(), report),
        })
    }

    fn wait_for<A: From<Guard<'a, T>>, E: Send + Sync + 'static>(
        &self,
        started: Started<'a, T, A>,
        patience: &Patience,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<A, Error<E>> {
        let (busy, report) = match started {
            Started::GoOn(stale) => return Ok(stale),
            Started::Wait(busy, report) => (busy, report),
        };
        let answer = patience.wait(busy, failed);
        answer
            .unwrap_or_else(|| self.reported(&report))
            .map(A::from)
    }

    async fn wait_for_async<A: From<Guard<'a, T>>, E: Send + Sync + 'static>(
        &self,
        started: Started<'a, T, A>,
        patience: &mut AsyncPatience<'a>,
        failed: impl Fn(Failure) -> Option<Error<E>>,
    ) -> Result<A, Error<E>> {
        let (busy, report) = match started {
            Started::GoOn(stale) => return Ok(stale),
            Started::Wait(busy, report) => (busy, report),
        };
        let mut wait = busy.into_future();
        let answer = poll_fn(|cx| patience.poll(&mut wait, cx, &failed)).await;
        answer
            .unwrap_or_else(|| self.reported(&report))
            .map(A::from)
    }

    /// The end of a creation that told its waiters nothing.
    fn reported<E: Send + Sync + 'static>(
        &self,
        report: &Report<T>,
    ) -> Result<Guard<'a, T>, Error<E>> {
        match report.take() {
            // Nobody else gets it.
            State::Told(Told::Value(node)) => {
                let now = self.call.place.config.time.now();
                Ok(Guard::new(node, Origin::Superseded, now))
            }
            State::Told(Told::Failed(failure)) => Err(failure.into_error()),
            State::Begun | State::Told(Told::ElectAnew) => Err(Error::GivenUp),
            State::Unrun => Err(Error::Refused(dropped())),
        }
    }
}

/// What the caller does whose creation was started.
enum Started<'a, T, A> {
    GoOn(A),
    Wait(Busy<'a, T>, Arc<Report<T>>),
}

/// The job.
async fn create_and_report<H: Hold<T>, T, E: Send + Sync + 'static, F>(
    lease: Lease<H, T>,
    create: impl FnOnce() -> F,
    report: Arc<Report<T>>,
) where
    F: Future<Output = Result<Created<T>, E>>,
{
    report.put(State::Begun);
    // Reported first: the end of the lease wakes the caller.
    match lease.run(create).await {
        Ok(Ok(created)) => {
            let made = lease.make(created);
            report.put(State::Told(Told::Value(NodeRef::clone(&made.node))));
            lease.place(made);
        }
        Ok(Err(error)) => {
            let failure = Failure::new(Arc::new(error));
            report.put(State::Told(Told::Failed(failure.clone())));
            lease.fail_with(failure);
        }
        Err(panic) => {
            drop(lease);
            resume_unwind(panic)
        }
    }
}

/// How a job fares: for its caller, whom the pile may tell nothing.
struct Report<T>(Mutex<State<T>>);

enum State<T> {
    Unrun,
    Begun,
    Told(Told<T>),
}

impl<T> Report<T> {
    fn new() -> Self {
        Self(Mutex::new(State::Unrun))
    }

    fn put(&self, state: State<T>) {
        *self.0.lock() = state;
    }

    fn take(&self) -> State<T> {
        std::mem::replace(&mut self.0.lock(), State::Begun)
    }

    fn is_unrun(&mut self) -> bool {
        matches!(self.0.get_mut(), State::Unrun)
    }
}

fn dropped() -> Refused {
    Refused::new("it dropped the creation unrun")
}

impl<T, P: Keep<T>> Clone for Background<'_, T, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, P: Keep<T>> Copy for Background<'_, T, P> {}

impl<T, P: Keep<T>> fmt::Debug for Background<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
