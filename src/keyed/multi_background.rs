//! Calls for several keys at once whose creations run on an executor: [`KeyedMulti`].
//!
//! As in every call for several keys, each key has an election of its own, and they are stepped
//! together. All leases of one round go to the executor in one job. The job holds a visit at each of its
//! keys, and so the map.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use crate::answer::{Anchor, Caller, Created, Lease};
use crate::call::election::{Election, Failures, Report, Role, Stop, dropped_unrun};
use crate::call::task::Limit;
use crate::call::thread::Sleeper as _;
use crate::call::{KeptPile, OnExecutor, Reporter, job_id};
use crate::error::{Error, Refused};
use crate::executor::{Blocking, Executor, Job, JobId, Timer};
use crate::keyed::call::Asked;
use crate::keyed::entry::Visit;
use crate::keyed::multi::{Held, Keys, Several, paused};
use crate::keyed::turns::Turn;
use crate::keyed::{InBackground, KeyedDogpile, KeyedGuard};
use crate::policy::Accept;
use crate::reentrancy::{Creation, InsideAll};
use crate::shim::{Arc, contain};

/// A call for several keys whose creation runs on an executor; see
/// [`KeyedDogpile::background_multi`].
///
/// Its options hold for each of the keys.
#[must_use = "a call does nothing until it is made"]
pub struct KeyedMulti<'a, 'k, 'e, K, T, S, Q: ?Sized> {
    map: &'a KeyedDogpile<K, T, S>,
    keys: Vec<&'k Q>,
    asked: Asked,
    mode: InBackground<'e>,
}

impl<K, T, S> KeyedDogpile<K, T, S>
where
    K: Eq + Hash + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
{
    /// A call for several keys whose creation runs on `executor`, whatever becomes of the caller: what
    /// [`background`](KeyedDogpile::background) is to one key.
    ///
    /// The executor is given one job for all keys that the call was elected for. The stale ones among
    /// them are answered at once. For the others the call waits, and they come one by one, as in
    /// [`get_or_create_multi`](KeyedDogpile::get_or_create_multi). The job holds the map.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, KeyedDogpile};
    ///
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(1, 0);
    /// squares.expire(&1);
    /// let call = squares.background_multi(&[1, 2], &Thread);
    /// let answers = call.get_or_create(|wanted: Vec<u32>| {
    ///     wanted.into_iter().map(|root| (root, root * root))
    /// });
    /// let answers: Vec<u32> = answers.into_iter().map(|square| *square.unwrap()).collect();
    /// assert_eq!(answers, [0, 4]); // The first is stale, and was not waited for.
    /// ```
    pub fn background_multi<'a, 'k, 'e, Q: ?Sized + 'k>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        executor: &'e dyn Executor,
    ) -> KeyedMulti<'a, 'k, 'e, K, T, S, Q> {
        KeyedMulti {
            map: self,
            keys: keys.into_iter().collect(),
            asked: Asked::DEFAULT,
            mode: InBackground(executor),
        }
    }
}

/// # Options
impl<K, T, S, Q: ?Sized> KeyedMulti<'_, '_, '_, K, T, S, Q> {
    /// As [`Call::wait`](crate::Call::wait), for all keys together.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.asked.wait = Some(limit);
        self
    }

    /// As [`Call::max_age`](crate::Call::max_age).
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.asked.asks = self.asked.asks.with_max_age(limit);
        self
    }

    /// As [`Call::min_fresh`](crate::Call::min_fresh).
    pub fn min_fresh(mut self, left: Duration) -> Self {
        self.asked.asks = self.asked.asks.with_min_fresh(left);
        self
    }

    /// As [`Call::accept`](crate::Call::accept).
    pub fn accept(mut self, accept: Accept) -> Self {
        self.asked.accept = accept;
        self
    }
}

impl<'a, 'k, K, T, S, Q> KeyedMulti<'a, 'k, '_, K, T, S, Q>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync + 'static,
    T: Send + Sync + 'static,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// As [`get_or_try_create`](KeyedMulti::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedMulti::get_or_try_create), but for the creator's.
    pub fn get_or_create<V, I>(
        self,
        create: impl FnOnce(Vec<K>) -> I + Clone + Send + 'static,
    ) -> Vec<Result<KeyedGuard<'a, K, T>, Error<Infallible>>>
    where
        V: Into<Created<T>> + 'static,
        I: IntoIterator<Item = (K, V)> + 'static,
    {
        self.start(Failures::Ignored, |wanted| async move {
            Ok(create(wanted).into_iter().map(cannot_fail))
        })
    }

    /// The values of these keys, those that are missing, gone or stale made together on the executor, if
    /// they can be.
    ///
    /// `create` is given keys of its own, and is cloned for each job: a second one is started only if a
    /// creation of another caller, for which this call waited, was given up. What it returns is what the
    /// creator of [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi) returns.
    ///
    /// # Errors
    ///
    /// For each key those of [`Background::get_or_try_create`](crate::Background::get_or_try_create),
    /// and [`Error::Missing`] if it was left out. If the executor refuses the job, all leases are given
    /// back.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, KeyedDogpile};
    ///
    /// let numbers = KeyedDogpile::<String, u32>::new(Duration::from_secs(60));
    /// let call = numbers.background_multi(["7", "seven"], &Thread);
    /// let answers = call.get_or_try_create(|wanted| {
    ///     let parse = |text: String| { let number = text.parse::<u32>(); (text, number) };
    ///     Ok(wanted.into_iter().map(parse))
    /// });
    /// assert_eq!(**answers[0].as_ref().unwrap(), 7);
    /// assert!(answers[1].as_ref().is_err_and(|error| error.is_failed()));
    /// ```
    pub fn get_or_try_create<V, E, I>(
        self,
        create: impl FnOnce(Vec<K>) -> Result<I, E> + Clone + Send + 'static,
    ) -> Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
    {
        self.start(Failures::Taken, |wanted| async move { create(wanted) })
    }

    /// As [`get_or_create`](KeyedMulti::get_or_create), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_create`](KeyedMulti::get_or_create), and [`Error::NoTimer`] if the call has a wait
    /// limit, and the executor has no timer to keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_create_async<V, I, F>(
        self,
        create: impl FnOnce(Vec<K>) -> F + Clone + Send + 'static,
    ) -> impl Future<Output = Vec<Result<KeyedGuard<'a, K, T>, Error<Infallible>>>>
    where
        V: Into<Created<T>> + 'static,
        I: IntoIterator<Item = (K, V)> + 'static,
        F: Future<Output = I> + Send + 'static,
    {
        self.start_async(Failures::Ignored, |wanted| async move {
            Ok(create(wanted).await.into_iter().map(cannot_fail))
        })
    }

    /// As [`get_or_try_create`](KeyedMulti::get_or_try_create), for tasks: the executor calls `create`
    /// and polls its future.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedMulti::get_or_try_create), and [`Error::NoTimer`] if the call has a
    /// wait limit, and the executor has no timer to keep it.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The creation goes on.
    pub fn get_or_try_create_async<V, E, I, F>(
        self,
        create: impl FnOnce(Vec<K>) -> F + Clone + Send + 'static,
    ) -> impl Future<Output = Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>>
    where
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>> + Send + 'static,
    {
        self.start_async(Failures::Taken, create)
    }

    fn start<V, E, I, F>(
        self,
        failures: Failures,
        create: impl FnOnce(Vec<K>) -> F + Clone + Send + 'static,
    ) -> Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>
    where
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>> + Send + 'static,
    {
        let (asked, executor) = (self.asked, self.mode.0);
        let time = &self.map.shared.settings().time;
        let mut deadline = asked.wait.map(|limit| time.now().saturating_add(limit));
        let mut keys = self.keys();
        let open = keys.take_hits(|key| self.hit(key));
        let visits = self.visits(&open);
        let mut all = self.several(&visits, Caller::Thread, failures);
        loop {
            let leases = all.step();
            if !leases.is_empty() {
                let since = deadline.map(|_| time.now());
                let round = Round::of(leases, &all);
                let is_awaited = round.is_awaited() && asked.wait != Some(Duration::ZERO);
                let refused = match is_awaited.then(|| executor.blocking_here()) {
                    Some(Blocking::RunHere) => {
                        let job = round.job(&visits, &open, create.clone());
                        contain(|| job.run());
                        None
                    }
                    Some(Blocking::Refuse(refused)) => Some((round.spends_nothing(), refused)),
                    Some(Blocking::Wait | Blocking::WaitIn(_)) | None => {
                        round.start(executor, &visits, &open, create.clone())
                    }
                };
                if let Some((whose, refused)) = refused {
                    all.are_refused(whose, &refused);
                }
                // Only waiting is limited.
                deadline = paused(deadline, since, time.now());
                continue;
            }
            let Some(awaited) = all.awaited() else {
                break;
            };
            let mode = OnExecutor::new(KeptPile::Shared(&visits[awaited.at]), executor);
            all.wait(&awaited, deadline, |until| {
                mode.sleep(&awaited.event, awaited.creation, time, until)
            });
        }
        keys.answers(all.end())
    }

    fn start_async<V, E, I, F>(
        self,
        failures: Failures,
        create: impl FnOnce(Vec<K>) -> F + Clone + Send + 'static,
    ) -> impl Future<Output = Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>>
    where
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>> + Send + 'static,
    {
        async move {
            let (asked, executor) = (self.asked, self.mode.0);
            let time = &self.map.shared.settings().time;
            let deadline = asked.wait.map(|limit| time.now().saturating_add(limit));
            let mut limit = Limit::new(deadline, executor.timer());
            let can_be_woken = time.wakes() || executor.timer().is_some_and(Timer::is_here);
            let mut keys = self.keys();
            if !can_be_woken && asked.wait.is_some_and(|limit| !limit.is_zero()) {
                return keys.all(|| Err(Error::NoTimer));
            }
            let open = keys.take_hits(|key| self.hit(key));
            let visits = self.visits(&open);
            let mut all = self.several(&visits, Caller::Task, failures);
            loop {
                let leases = all.step();
                if !leases.is_empty() {
                    let round = Round::of(leases, &all);
                    let refused = round.start(executor, &visits, &open, create.clone());
                    if let Some((whose, refused)) = refused {
                        all.are_refused(whose, &refused);
                    }
                    continue;
                }
                let Some(awaited) = all.awaited() else {
                    break;
                };
                limit.set_overdue(all.overdue_from().filter(|_| can_be_woken));
                match limit.wait(time, awaited.event).await {
                    Ok(set) if set || limit.is_overdue() => {}
                    Ok(_) => all.timed_out(),
                    Err(_) => all.may_not_wait(awaited.at, Stop::NoTimer),
                }
            }
            keys.answers(all.end())
        }
    }

    fn keys(&self) -> Keys<'a, 'k, K, T, Q> {
        Keys::of(self.keys.iter().copied())
    }

    fn hit(&self, key: &Q) -> Option<KeyedGuard<'a, K, T>> {
        self.map.shared.hit(self.map.hash(key), key, self.asked)
    }

    fn visits(&self, keys: &[&Q]) -> Vec<Arc<Visit<K, T>>> {
        let visits = self.map.visit_several(keys);
        visits.into_iter().map(Arc::new).collect()
    }

    fn several<'v, E: Send + Sync + 'static>(
        &self,
        visits: &'v [Arc<Visit<K, T>>],
        caller: Caller,
        failures: Failures,
    ) -> Several<'v, K, T, E> {
        let election = |source| Election::new(caller, Role::Starts, failures, source);
        let visits = visits.iter().map(|visit| &**visit);
        Several::new(visits, self.asked, self.map.shared.turn(), election)
    }
}

fn cannot_fail<K, V>((key, value): (K, V)) -> (K, Result<V, Infallible>) {
    (key, Ok(value))
}

/// What a call was elected for at once, on its way into a job.
struct Round<'v, T> {
    leases: Vec<(usize, Lease<'v, T>)>,
    reports: Vec<Arc<Report>>,
    turn: Turn,
}

/// Whose leases were refused, and why.
type Turned = (Vec<usize>, Refused);

impl<'v, T: Send + Sync + 'static> Round<'v, T> {
    fn of<K, E: Send + Sync + 'static>(
        leases: Vec<(usize, Lease<'v, T>)>,
        all: &Several<'_, K, T, E>,
    ) -> Self {
        Self {
            reports: leases.iter().map(|(at, _)| all.report(*at)).collect(),
            turn: all.hand_turn_over(),
            leases,
        }
    }

    /// Whether the call waits for any of them.
    fn is_awaited(&self) -> bool {
        self.reports.iter().any(|report| report.awaited.is_some())
    }

    /// Nothing runs under them.
    fn spends_nothing(self) -> Vec<usize> {
        for (_, lease) in &self.leases {
            lease.spends_nothing();
        }
        self.whose()
    }

    fn whose(&self) -> Vec<usize> {
        self.leases.iter().map(|(at, _)| *at).collect()
    }

    /// Has them created. The other way round: whose are refused.
    fn start<K, Q, V, E, I, F>(
        self,
        executor: &dyn Executor,
        visits: &[Arc<Visit<K, T>>],
        open: &[&Q],
        create: impl FnOnce(Vec<K>) -> F + Send + 'static,
    ) -> Option<Turned>
    where
        K: Eq + Hash + Borrow<Q> + Send + Sync + 'static,
        Q: ToOwned<Owned = K> + ?Sized,
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>> + Send + 'static,
    {
        let (whose, reports) = (self.whose(), self.reports.clone());
        match executor.spawn(self.job(visits, open, create)) {
            Err(refused) => Some((whose, refused)),
            // An executor that was shut down may not say so.
            Ok(()) if reports.iter().any(|report| report.is_dropped_unrun()) => {
                Some((whose, dropped_unrun()))
            }
            Ok(()) => None,
        }
    }

    /// The job that creates them all.
    fn job<K, Q, V, E, I, F>(
        self,
        visits: &[Arc<Visit<K, T>>],
        open: &[&Q],
        create: impl FnOnce(Vec<K>) -> F + Send + 'static,
    ) -> Job
    where
        K: Eq + Hash + Borrow<Q> + Send + Sync + 'static,
        Q: ToOwned<Owned = K> + ?Sized,
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>> + Send + 'static,
    {
        let wanted = self.leases.iter().map(|(at, _)| open[*at].to_owned());
        let wanted: Vec<K> = wanted.collect();
        let visits = self.leases.iter().map(|(at, _)| Arc::clone(&visits[*at]));
        let visits: Vec<_> = visits.collect();
        let unrun = |((_, lease), visit): ((_, Lease<'v, T>), &Arc<Visit<K, T>>)| {
            lease.unrun(Anchor::Owned(Arc::<Visit<K, T>>::clone(visit)))
        };
        let leases: Vec<_> = self.leases.into_iter().zip(&visits).map(unrun).collect();
        let creations: Vec<_> = leases.iter().map(Lease::creation).collect();
        let id = job_id(creations[0]);
        // Whoever waits for any of the keys finds the job.
        let listed = Listed::new(&visits[0], &creations, id);
        let reporters: Vec<_> = self.reports.into_iter().map(Reporter).collect();
        let batch = Batch {
            leases,
            turn: self.turn,
            visits,
            listed,
        };
        Job::new(id, batch.run(wanted, create, reporters))
    }
}

/// The creations of one job, until it ends.
struct Batch<K, T: 'static> {
    // Dropped first: all are told before the permit goes to the next.
    leases: Vec<Lease<'static, T>>,
    turn: Turn,
    visits: Vec<Arc<Visit<K, T>>>,
    listed: Listed<K, T>,
}

impl<K: Eq + Hash + Send + Sync, T: Send + Sync + 'static> Batch<K, T> {
    /// The job.
    async fn run<V, E, I, F>(
        mut self,
        wanted: Vec<K>,
        create: impl FnOnce(Vec<K>) -> F,
        reporters: Vec<Reporter>,
    ) where
        V: Into<Created<T>> + 'static,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)> + 'static,
        F: Future<Output = Result<I, E>>,
    {
        for lease in &mut self.leases {
            lease.begin();
        }
        for reporter in &reporters {
            reporter.begin();
        }
        let keys: Vec<&K> = self.visits.iter().map(|visit| visit.key()).collect();
        let leases = self.leases.into_iter().enumerate().collect();
        let held = Held::new(leases, &keys, &self.turn);
        let created = match InsideAll::new(held.creations(), || create(wanted)) {
            Ok(creation) => creation.await,
            Err(panic) => Err(panic),
        };
        // The caller hears of each from its lease.
        held.end(created, |_, _| ());
        self.turn.end();
        drop(self.listed);
    }
}

/// The jobs of a map that create several keys, by each of these creations.
pub(super) type Jobs = Vec<(Creation, JobId)>;

/// The place of a job among those.
struct Listed<K, T> {
    visit: Arc<Visit<K, T>>,
    id: JobId,
}

impl<K, T> Listed<K, T> {
    fn new(visit: &Arc<Visit<K, T>>, creations: &[Creation], id: JobId) -> Self {
        let listed = creations.iter().map(|creation| (*creation, id));
        visit.jobs().lock().extend(listed);
        let visit = Arc::clone(visit);
        Self { visit, id }
    }
}

impl<K, T> Drop for Listed<K, T> {
    fn drop(&mut self) {
        let id = self.id;
        self.visit.jobs().lock().retain(|(_, other)| *other != id);
    }
}

impl<K, T, S, Q: ?Sized> fmt::Debug for KeyedMulti<'_, '_, '_, K, T, S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedMulti")
            .field("keys", &self.keys.len())
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// Runs jobs at once, or drops them.
    struct Here {
        drops: bool,
    }

    impl Executor for Here {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            if !self.drops {
                job.run();
            }
            Ok(())
        }
    }

    /// A job is in the list of its map until it ends, however it does.
    #[test]
    fn no_job_stays_listed() {
        let map = KeyedDogpile::<u32, u32>::new(Duration::MAX);
        for drops in [true, false] {
            let executor = Here { drops };
            let call = map.background_multi(&[1, 2], &executor);
            let list = Arc::clone(&map.shared);
            let answers = call.get_or_create(move |wanted| {
                assert_eq!(list.jobs().lock().len(), wanted.len());
                wanted.into_iter().map(|key| (key, key))
            });
            assert!(answers.iter().all(|answer| answer.is_err() == drops));
            assert!(map.shared.jobs().lock().is_empty());
        }
    }

    /// Who waits for a key finds the job that makes it, and not another one.
    #[test]
    fn each_creation_has_its_own_job() {
        use crate::answer::HasSite as _;
        use crate::reentrancy::Identity;

        let map = KeyedDogpile::<u32, u32>::new(Duration::MAX);
        let visit = Arc::new(map.visit_several(&[&1]).remove(0));
        let creation = |fence| Creation {
            pile: Identity::of(visit.site().pile),
            fence,
        };
        let list = |creations: &[Creation]| {
            let id = job_id(creations[0]);
            (id, Listed::new(&visit, creations, id))
        };
        let (one, first) = list(&[creation(1), creation(2)]);
        let (other, second) = list(&[creation(3)]);
        assert!(one != other);
        let found = [1, 2, 3, 4].map(|fence| visit.job_of(creation(fence)));
        assert_eq!(found, [Some(one), Some(one), Some(other), None]);
        drop((first, second));
    }
}
