//! The forms of a call of a map for tasks, and those whose creations run on an executor.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};

use crate::answer::{Anchor, Caller, Created, Creating, Guard, Lease};
use crate::call::election::{Election, Failures, Role};
use crate::call::task::{answer, require_timer};
use crate::call::{Background, Call, Here, KeptPile, OnExecutor};
use crate::error::Error;
use crate::executor::{Executor, Timer};
use crate::keyed::call::KeyedCall;
use crate::keyed::entry::Visit;
use crate::keyed::guard::KeyedGuard;
use crate::policy::Accept;
use crate::shim::Arc;

/// # Async forms
///
/// A limit of [`wait`](KeyedCall::wait) needs a [`timer`](KeyedCall::timer), or an injected clock that is
/// moved by hand; see [`Call`].
impl<'a, 'q, 't, K, T, S, Q> KeyedCall<'a, 'q, K, T, S, Q, Here<'t>>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// Has this timer keep the wait limit of an async call: as [`Call::timer`].
    pub fn timer<'u>(self, timer: &'u dyn Timer) -> KeyedCall<'a, 'q, K, T, S, Q, Here<'u>> {
        self.by(Here { timer: Some(timer) })
    }

    /// As [`get_or_create`](KeyedCall::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](KeyedCall::get_or_create), and [`Error::NoTimer`] if the call has a wait
    /// limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`KeyedDogpile::get_or_create_async`](crate::KeyedDogpile::get_or_create_async).
    pub fn get_or_create_async<F: Future<Output = T>>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<Infallible>>> {
        let create = |_: Creating<'a, T>| async { Ok(Created::new(create().await)) };
        // Another caller's failure is no answer to one whose creator cannot fail.
        self.answer_async(Failures::Ignored, create)
    }

    /// As [`get_or_try_create`](KeyedCall::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedCall::get_or_try_create), and [`Error::NoTimer`] if the call has a
    /// wait limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`KeyedDogpile::get_or_create_async`](crate::KeyedDogpile::get_or_create_async).
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let create = |_: Creating<'a, T>| async { create().await.map(Created::new) };
        self.answer_async(Failures::Taken, create)
    }

    /// As [`get_or_try_create_with`](KeyedCall::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_with`](KeyedCall::get_or_try_create_with), and [`Error::NoTimer`] if the
    /// call has a wait limit that nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`KeyedDogpile::get_or_create_async`](crate::KeyedDogpile::get_or_create_async).
    pub fn get_or_try_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        self.answer_async(Failures::Taken, create)
    }

    /// As [`refresh`](KeyedCall::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// As [`refresh`](KeyedCall::refresh), and [`Error::NoTimer`] if the call has a wait limit that
    /// nothing keeps.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`KeyedDogpile::get_or_create_async`](crate::KeyedDogpile::get_or_create_async).
    pub fn refresh_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.accept(Accept::New).get_or_try_create_async(create)
    }

    pub(super) fn answer_async<E: Send + Sync + 'static, F>(
        self,
        failures: Failures,
        create: impl FnOnce(Creating<'a, T>) -> F,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>>,
    {
        async move {
            let hash = self.map.hash(self.key);
            self.require_timer()?;
            if let Some(guard) = self.hit_at(hash) {
                return Ok(guard);
            }
            let visit = Arc::new(self.enter(hash));
            // The creator may keep what it is given for longer than this block: that holds the visit.
            let anchor = Anchor::Owned(Arc::<Visit<K, T>>::clone(&visit));
            let turn = self.map.shared.turn();
            let source = turn.source();
            let create = |creating| turn.run_async(|| create(creating));
            let lead = move |lease: Lease<'_, T>, _| {
                let lease = lease.held_by(anchor);
                async move { lease.create_async(create).await.map(Some) }
            };
            let election = move || Election::new(Caller::Task, Role::Creates, failures, source);
            let call = self.for_tasks(self.asked.of(visit.site()));
            let guard: Guard<'_, T> = answer(call, election, lead, |answer| answer).await?;
            Ok(KeyedGuard::new(guard, visit.entry()))
        }
    }

    /// As [`Call::require_timer`].
    #[inline]
    pub(super) fn require_timer<E>(&self) -> Result<(), Error<E>> {
        let time = &self.map.shared.settings().time;
        require_timer(self.asked.wait, self.mode, time)
    }

    pub(super) fn for_tasks<'s>(
        &self,
        call: Call<'s, T>,
    ) -> Call<'s, T, crate::answer::Open, Here<'t>> {
        call.by(self.mode)
    }
}

/// The creator runs on an executor, as the job of a call of a [`KeyedDogpile`](crate::KeyedDogpile).
#[derive(Clone, Copy)]
pub struct InBackground<'e>(pub(super) &'e dyn Executor);

impl fmt::Debug for InBackground<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InBackground")
    }
}

/// Calls of a map whose creations run on an executor; see
/// [`KeyedDogpile::background`](crate::KeyedDogpile::background).
///
/// What is said of [`Background`](crate::Background) holds for each key. A creation that runs holds the
/// map.
pub type KeyedBackground<'a, 'q, 'e, K, T, S, Q> = KeyedCall<'a, 'q, K, T, S, Q, InBackground<'e>>;

/// # In the background
impl<'a, 'e, K, T, S, Q> KeyedCall<'a, '_, K, T, S, Q, InBackground<'e>>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync + 'static,
    T: Send + Sync + 'static,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create), but for the creator's.
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T + Send + 'static,
    ) -> Result<KeyedGuard<'a, K, T>, Error<Infallible>> {
        self.start(Failures::Ignored, |_| Ok(create().into()))
    }

    /// The value, or else the one that `create` makes, on the executor: as
    /// [`Background::get_or_try_create`](crate::Background::get_or_try_create).
    ///
    /// # Errors
    ///
    /// Those of [`Background::get_or_try_create`](crate::Background::get_or_try_create).
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        self.start(Failures::Taken, |_| create().map(Created::new))
    }

    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create), with a creator that may say more
    /// about its value.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create).
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        self.start(Failures::Taken, create)
    }

    /// Has a new value created now, and does not wait for it: as
    /// [`Background::renew`](crate::Background::renew).
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the executor did not take the creation.
    pub fn renew<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<bool, Error<E>> {
        self.renew_async(|| async { create() })
    }

    /// As [`renew`](KeyedBackground::renew), with a creator that is a future. It does not wait either, so
    /// it is no future itself.
    ///
    /// # Errors
    ///
    /// As [`renew`](KeyedBackground::renew).
    pub fn renew_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> Result<bool, Error<E>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let visit = Arc::new(self.enter(self.map.hash(self.key)));
        let turn = self.map.shared.turn();
        if !turn.take() {
            return Ok(false);
        }
        let create = || turn.run_async(create);
        self.in_visit(&visit).renew_async(create)
    }

    /// As [`get_or_create`](KeyedBackground::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](KeyedBackground::get_or_create), and [`Error::NoTimer`] if the call has a
    /// wait limit, and the executor has no timer to keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_create_async<F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<Infallible>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.start_async(Failures::Ignored, |_| async { Ok(create().await.into()) })
    }

    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedBackground::get_or_try_create), and [`Error::NoTimer`] if the call
    /// has a wait limit, and the executor has no timer to keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.get_or_try_create_with_async(|_| async { create().await.map(Created::new) })
    }

    /// As [`get_or_try_create_with`](KeyedBackground::get_or_try_create_with), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_async`](KeyedBackground::get_or_try_create_async).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        self.start_async(Failures::Taken, create)
    }

    fn start<E: Send + Sync + 'static>(
        self,
        failures: Failures,
        create: impl FnOnce(Creating<'static, T>) -> Result<Created<T>, E> + Send + 'static,
    ) -> Result<KeyedGuard<'a, K, T>, Error<E>> {
        let hash = self.map.hash(self.key);
        if let Some(guard) = self.hit_at(hash) {
            return Ok(guard);
        }
        let visit = Arc::new(self.enter(hash));
        let turn = self.map.shared.turn();
        let source = turn.source();
        let create = |creating| async { turn.run(|| create(creating)) };
        let guard: Guard<'_, T> =
            (self.in_visit(&visit)).start_from(source, failures, || create)?;
        Ok(KeyedGuard::new(guard, visit.entry()))
    }

    fn start_async<E: Send + Sync + 'static, F>(
        self,
        failures: Failures,
        create: impl FnOnce(Creating<'static, T>) -> F + Send + 'static,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        async move {
            let visit = Arc::new(self.enter(self.map.hash(self.key)));
            let turn = self.map.shared.turn();
            let source = turn.source();
            let create = |creating| turn.run_async(|| create(creating));
            let call = self.in_visit(&visit);
            let guard: Guard<'_, T> = call.start_from_async(source, failures, || create).await?;
            Ok(KeyedGuard::new(guard, visit.entry()))
        }
    }

    /// The call of the pile that is visited. The job holds the visit.
    fn in_visit<'s>(&self, visit: &'s Arc<Visit<K, T>>) -> Background<'s, 'e, T> {
        let mode = OnExecutor::new(KeptPile::Shared(visit), self.mode.0);
        self.asked.of(visit.site()).by(mode)
    }
}
