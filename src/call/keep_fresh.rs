//! A value that is renewed without any caller: [`KeepFresh`], and [`Refresher`], which starts that.
//!
//! A refresher is a job that lasts. It looks at the pile, has a creation started if one is due, and
//! sleeps until there is something to look for: the refresh point, the end of a back-off, the time at
//! which a lease may be taken over; or until the pile changes. A creation is a job of its own. While it
//! sleeps, the refresher has no share in the pile.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::answer::{Anchor, Created, Creating, HasSite, Lease, Open, Site, WeakAnchor};
use crate::call::Call;
use crate::call::background::job;
use crate::call::election::{Asking, Found, NewerThan, Report};
use crate::call::task::{Limit, NoTimer};
use crate::error::Refused;
use crate::executor::{Executor, Job, JobId};
use crate::raw::Event;
use crate::shim::{Arc, ArcWeak, Mutex, contain};
use crate::time::{Tick, Time};

/// How long a refresher rests after a creation of its own that left nothing fresh, where the pile has no
/// rule: without a rest it would ask the source again and again. Callers ask when they come, but it is
/// always there.
const REST: Duration = Duration::from_secs(1);

/// Keeps a value fresh, until it is dropped or the pile is; see
/// [`Dogpile::keep_fresh`](crate::Dogpile::keep_fresh).
///
/// Dropping it does not wait. A creation that runs goes on to its end, and its value is published.
#[must_use = "dropping it ends what keeps the value fresh"]
pub struct KeepFresh(ArcWeak<dyn Ends + Send + Sync>);

impl KeepFresh {
    /// Whether the value is not kept fresh any more: the pile is gone, or the executor has dropped the
    /// job, as a runtime does that ends.
    pub fn has_ended(&self) -> bool {
        self.0.upgrade().is_none_or(|keeper| keeper.has_ended())
    }
}

impl Drop for KeepFresh {
    fn drop(&mut self) {
        if let Some(keeper) = self.0.upgrade() {
            keeper.end();
        }
    }
}

impl fmt::Debug for KeepFresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepFresh")
            .field("ended", &self.has_ended())
            .finish()
    }
}

/// A pile and an executor, and soon a creator; see
/// [`Dogpile::keep_fresh`](crate::Dogpile::keep_fresh).
///
/// Its methods start with the creator of the value. It is run again and again, and so it is a function
/// that can be called many times, also while an earlier creation hangs. It must not hold the pile by an
/// [`Arc`](std::sync::Arc), which would keep the pile alive.
///
/// # Errors
///
/// Of all its methods: [`Refused`] if the executor did not take the job, or if its timer does not run.
#[must_use = "nothing is kept fresh before it has a creator"]
pub struct Refresher<T: 'static, X> {
    pile: WeakAnchor<T>,
    time: Time,
    executor: X,
}

impl<T: Send + Sync + 'static, X: Executor + 'static> Refresher<T, X> {
    pub(crate) fn of<P>(pile: &Arc<P>, executor: X) -> Self
    where
        P: HasSite<T> + Send + Sync + 'static,
    {
        let weak = Arc::<P>::downgrade(pile);
        Self::new(WeakAnchor::Shared(weak), pile.site(), executor)
    }

    pub(crate) fn of_static(site: Site<'static, T>, executor: X) -> Self {
        Self::new(WeakAnchor::Static(site), site, executor)
    }

    fn new(pile: WeakAnchor<T>, site: Site<'_, T>, executor: X) -> Self {
        Self {
            pile,
            time: site.settings.time.clone(),
            executor,
        }
    }

    /// Starts, with a creator that may fail. It blocks what runs the creation.
    ///
    /// # Errors
    ///
    /// See [above](Refresher#errors).
    pub fn start<E: Send + Sync + 'static>(
        self,
        create: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<KeepFresh, Refused> {
        self.start_with(move |_| create().map(Created::new))
    }

    /// As [`start`](Refresher::start), with a creator that may say more about its value.
    ///
    /// # Errors
    ///
    /// See [above](Refresher#errors).
    pub fn start_with<E: Send + Sync + 'static>(
        self,
        create: impl Fn(Creating<'static, T>) -> Result<Created<T>, E> + Send + Sync + 'static,
    ) -> Result<KeepFresh, Refused> {
        self.start_with_async(move |creating| ready(create(creating)))
    }

    /// As [`start`](Refresher::start), with a creator that is a future, which the executor polls.
    ///
    /// # Errors
    ///
    /// See [above](Refresher#errors).
    pub fn start_async<E: Send + Sync + 'static, F>(
        self,
        create: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<KeepFresh, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.start_with_async(move |_| {
            let created = create();
            async { created.await.map(Created::new) }
        })
    }

    /// As [`start_with`](Refresher::start_with), with a creator that is a future, which the executor
    /// polls.
    ///
    /// # Errors
    ///
    /// See [above](Refresher#errors).
    pub fn start_with_async<E: Send + Sync + 'static, F>(
        self,
        create: impl Fn(Creating<'static, T>) -> F + Send + Sync + 'static,
    ) -> Result<KeepFresh, Refused>
    where
        F: Future<Output = Result<Created<T>, E>> + Send + 'static,
    {
        let keeper = Arc::new(Keeper {
            pile: self.pile,
            time: self.time,
            executor: self.executor,
            create,
            has_ended: Mutex::new(false),
        });
        if !keeper.can_sleep() {
            return Err(Refused::new("its timer does not run here"));
        }
        let id = JobId::lasting(Arc::as_ptr(&keeper).addr());
        let job = Job::new(id, keep(EndsWithJob(Arc::clone(&keeper))));
        keeper.executor.spawn_lasting(job)?;
        if keeper.has_ended() {
            return Err(Refused::new("it dropped the refresher before it began"));
        }
        let keeper: Arc<dyn Ends + Send + Sync> = keeper;
        Ok(KeepFresh(Arc::downgrade(&keeper)))
    }
}

impl<T, X> fmt::Debug for Refresher<T, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresher")
    }
}

/// What the handle knows of a refresher.
trait Ends {
    fn has_ended(&self) -> bool;
    fn end(&self);
}

struct Keeper<T: 'static, X, C> {
    pile: WeakAnchor<T>,
    time: Time,
    executor: X,
    create: C,
    has_ended: Mutex<bool>,
}

impl<T, X, C> Ends for Keeper<T, X, C> {
    fn has_ended(&self) -> bool {
        *self.has_ended.lock()
    }

    fn end(&self) {
        *self.has_ended.lock() = true;
        if let Some(pile) = self.pile.upgrade() {
            pile.site().pile.wake_watchers();
        }
    }
}

/// The refresher's own share in what it is. Without it there is none.
struct EndsWithJob<T: 'static, X, C>(Arc<Keeper<T, X, C>>);

impl<T, X, C> Drop for EndsWithJob<T, X, C> {
    fn drop(&mut self) {
        *self.0.has_ended.lock() = true;
    }
}

/// What the refresher knows of its last creation.
#[derive(Clone, Copy)]
enum Last {
    /// Nothing that matters.
    Past,
    /// It was granted the lease with this fence, and may have ended since the last look. The last `set`,
    /// `expire` or `invalidate` before it had the number `asked`.
    Begun { fence: u64, asked: u64 },
    /// It left nothing fresh. None is to begin before the end of the rest, unless the pile is asked to.
    Rests { asked: u64, until: Tick },
}

/// The job.
async fn keep<T: Send + Sync + 'static, X, C, E: Send + Sync + 'static, F>(
    keeper: EndsWithJob<T, X, C>,
) where
    X: Executor + 'static,
    C: Fn(Creating<'static, T>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Created<T>, E>> + Send + 'static,
{
    let keeper = &keeper.0;
    let mut last = Last::Past;
    while let Some((change, until)) = keeper.look(&mut last) {
        if let Err(NoTimer) = keeper.sleep(change, until).await {
            return;
        }
    }
}

impl<T: Send + Sync + 'static, X, C, E: Send + Sync + 'static, F> Keeper<T, X, C>
where
    X: Executor + 'static,
    C: Fn(Creating<'static, T>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Created<T>, E>> + Send + 'static,
{
    /// Whether anything wakes it at a time.
    fn can_sleep(&self) -> bool {
        let timer = self.executor.timer();
        self.time.wakes() || timer.is_none_or(|timer| timer.sleep(Duration::ZERO).is_some())
    }

    /// Looks at the pile, and has a creation started if one is due. What comes of it is what to sleep
    /// on, and until when at most; or nothing, if that was all.
    fn look(self: &Arc<Self>, last: &mut Last) -> Option<(Arc<Event>, Option<Tick>)> {
        let pile = self.pile.upgrade()?;
        // First of all: then no change comes in between. Whoever ends this says so before the change.
        let (change, asked) = pile.site().pile.watch();
        if self.has_ended() {
            return None;
        }
        Some((change, self.act(&pile, asked, last)))
    }

    fn act(
        self: &Arc<Self>,
        pile: &Anchor<'static, T>,
        asked: u64,
        last: &mut Last,
    ) -> Option<Tick> {
        let site = pile.site();
        let policy = &site.settings.policy;
        let call = Call::new(site, Open);
        let look = call.look(Asking::TO_START);
        let now = look.now;
        let value = Value::of(site);
        if let Some(value) = value.filter(|value| now < value.due_from) {
            *last = Last::Past;
            return Some(value.due_from);
        }
        match *last {
            Last::Begun {
                fence,
                asked: before,
            } if before == asked && !site.pile.is_leased() => {
                // It may have left one that was fresh, and is due again by now.
                let left = value.filter(|value| value.number >= fence);
                *last = match left.is_some_and(|value| value.was_fresh) {
                    true => Last::Past,
                    false => {
                        let rest = site.pile.retry_in(policy, now).unwrap_or(REST);
                        let until = now.saturating_add(rest);
                        Last::Rests { asked, until }
                    }
                };
            }
            _ => {}
        }
        match *last {
            Last::Rests {
                asked: before,
                until,
            } if before == asked && now < until => {
                return Some(until);
            }
            _ => {}
        }
        let mut newer_than = NewerThan::UNKNOWN;
        match call.attempt_as(&look, &mut newer_than) {
            Found::Lease(lease) => {
                let fence = lease.fence();
                *last = Last::Begun { fence, asked };
                self.create(lease, pile);
                site.pile.overdue_from(policy)
            }
            Found::NotYet(not_yet) => {
                *last = Last::Past;
                let again = now.saturating_add(not_yet.retry_in);
                // What may not begin while there is something to go on with may begin after that.
                let until = not_yet.value.map(|value| {
                    let times = value.node().times();
                    times.usable_until(times.ttl)
                });
                Some(until.map_or(again, |until| again.min(until)))
            }
            Found::Value(_) | Found::Busy(_) | Found::Later(_) => site.pile.overdue_from(policy),
        }
    }

    /// Has the creation started. However that ends, the lease ends, which wakes the refresher.
    fn create(self: &Arc<Self>, mut lease: Lease<'_, T>, pile: &Anchor<'static, T>) {
        lease.tell_begin();
        let keeper = Arc::clone(self);
        let create = move |creating| (keeper.create)(creating);
        let report = Arc::new(Report::new(None));
        let creation = job(lease, pile.clone(), create, report);
        let creation = Job::new(creation.id(), contained(creation));
        // A refusal is a failure of the pile, which the job tells when it is dropped.
        contain(|| drop(self.executor.spawn(creation)));
    }

    /// Sleeps until the change, or until this time.
    async fn sleep(&self, change: Arc<Event>, until: Option<Tick>) -> Result<(), NoTimer> {
        match self.executor.timer() {
            Some(timer) => {
                let mut limit = Limit::new(until, Some(timer));
                limit.wait(&self.time, change).await.map(drop)
            }
            // It has a thread of its own.
            None => {
                change.wait(&self.time, until);
                Ok(())
            }
        }
    }
}

/// What a refresher has to know of a value, be it kept here or elsewhere.
#[derive(Clone, Copy)]
struct Value {
    number: u64,
    due_from: Tick,
    /// Whether it was not due already when it was made.
    was_fresh: bool,
}

impl Value {
    fn of<T>(site: Site<'_, T>) -> Option<Self> {
        let node = site.pile.load().filter(|node| node.is_of_a_value())?;
        let times = node.times();
        let due_from = times.due_from();
        Some(Self {
            number: node.number(),
            due_from,
            was_fresh: times.created < due_from,
        })
    }
}

/// A creation whose panic ends with it: nobody called for it, and what runs it is to go on. The pile has
/// noted the panic as a failure.
async fn contained(creation: Job) {
    let mut creation = pin!(creation);
    poll_fn(|cx| {
        let mut polled = Poll::Ready(());
        contain(|| polled = creation.as_mut().poll(cx));
        polled
    })
    .await;
}
