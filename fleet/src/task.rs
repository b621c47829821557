//! How tasks make calls: the same machine, driven by awaiting.

use std::borrow::Borrow;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dogpile::executor::{Sleep, Timer};
use dogpile::{Creating, Previous, Tick};

use crate::async_store::AsyncStore;
use crate::call::FleetCall;
use crate::codec::Codec;
use crate::creation::{Creation, Vigil};
use crate::door::{Alone, AtKey, Door};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::{FleetDogpile, Given};
use crate::keyed::KeyBytes;
use crate::regeneration::{Fate, Lease, Regeneration, Step, Terms};
use crate::shared::Common;
use crate::site::Site;
use crate::store::{Answer, Ask, Found, Guarded};
use crate::thread::{Granted, Looked, Verdict};

/// A lease of the store while its creator's future lives.
pub(crate) struct Leading<T, S: AsyncStore, C: Send + Sync> {
    site: Arc<Site<T, S, C>>,
    pub(crate) lease: Lease,
    vigil: Arc<Vigil>,
    armed: bool,
}

impl<T, S: AsyncStore, C: Send + Sync> Leading<T, S, C> {
    pub(crate) fn new(site: &Arc<Site<T, S, C>>, lease: Lease, vigil: &Arc<Vigil>) -> Self {
        Self {
            site: Arc::clone(site),
            lease,
            vigil: Arc::clone(vigil),
            armed: true,
        }
    }
}

impl<T, S: AsyncStore, C: Send + Sync> Drop for Leading<T, S, C> {
    fn drop(&mut self) {
        if self.armed {
            // A creator that panicked has failed, one that was dropped was given up.
            let quiet = match std::thread::panicking() {
                true => self.site.quiet(Some(self.lease)),
                false => Duration::ZERO,
            };
            let store = &self.site.shared.store;
            store.release_soon(self.site.key(), self.lease.grant, quiet);
        }
    }
}

/// Polls a creation, and what goes on beside it for as long as it takes: there is no task for it, and no
/// thread.
pub(crate) async fn beside<F: Future>(creation: F, beside: impl Future<Output = ()>) -> F::Output {
    let (mut creation, mut beside) = (pin!(creation), pin!(beside));
    let mut goes_on = true;
    poll_fn(move |cx| {
        if let Poll::Ready(made) = creation.as_mut().poll(cx) {
            return Poll::Ready(made);
        }
        goes_on = goes_on && beside.as_mut().poll(cx).is_pending();
        Poll::Pending
    })
    .await
}

impl<T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> Site<T, S, C> {
    /// As [`ask`](Site::ask), for tasks.
    pub(crate) async fn ask_async(&self, ask: &Ask) -> Answer<Found> {
        let shared = &self.shared;
        let turn = match &shared.asks {
            Some(asks) => Some(asks.enter_async().await),
            None => None,
        };
        // It may have failed while this one waited for its turn.
        let sent = shared.common.ask()?;
        self.tell_ask();
        let answer = shared.store.get_or_lease(self.key(), ask).await;
        drop(turn);
        self.note(sent, answer)
    }

    /// Renews the lease, up to its cap.
    async fn renew(&self, lease: &Lease, vigil: &Vigil) {
        let Site { shared, .. } = self;
        let (span, begun) = (shared.policy.lease, shared.common.now());
        let cap = begun.saturating_add(shared.policy.max_create.saturating_sub(span));
        loop {
            shared.store.pause(span / 3).await;
            if !self.renew_once(lease, vigil, cap).await {
                break;
            }
        }
    }

    /// Renews it now. Says whether to go on.
    pub(crate) async fn renew_once(&self, lease: &Lease, vigil: &Vigil, cap: Tick) -> bool {
        let (shared, span) = (&self.shared, self.shared.policy.lease);
        let asked = shared.common.now();
        if asked >= cap || vigil.ends() {
            return false;
        }
        match shared.store.renew(self.key(), lease.grant, span).await {
            Ok(true) => vigil.renewed(asked.saturating_add(span)),
            Ok(false) => {
                if vigil.lost() {
                    self.tell_lost(lease);
                }
                return false;
            }
            // Asked again in time, perhaps with an answer.
            Err(_) => {}
        }
        true
    }

    async fn lead_async<'a, F>(
        self: Arc<Self>,
        common: &'a Common,
        creating: Creating<'a, Entry<T>>,
        terms: Terms,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<Given<T>, Fail>
    where
        F: Future<Output = Result<T, Fail>>,
    {
        let (policy, abilities) = (&self.shared.policy, self.shared.abilities);
        let previous = creating.previous();
        let mine = self.mine(previous.as_ref());
        let unanswered = self.known.unanswered.clone();
        let mut machine = Regeneration::new(policy, abilities, unanswered, mine, terms);
        let (mut emptied, mut since) = (false, self.known.since());
        let now = common.now();
        let mut step = machine.begin(now, common.down(now));
        let granted = loop {
            step = match step {
                Step::Ask(ask) => {
                    since = self.known.since();
                    let answer = self.ask_async(&ask).await;
                    emptied |= self.heard(&creating, &answer);
                    machine.answered(answer, common.now())
                }
                Step::Nap { fence, poll, until } => {
                    common.count(|counts| &counts.naps);
                    let store = &self.shared.store;
                    store.nap(self.key(), fence, poll, until).await;
                    machine.ask(common.now())
                }
                Step::Create { lease, stale } => {
                    let lent = self.lend(&creating, stale.as_ref(), machine.floor(), since);
                    break Granted {
                        lease,
                        stale,
                        lost_here: emptied || lent,
                    };
                }
                Step::End(end) => match self.end(end, previous.as_ref(), since.mark) {
                    Ok(answer) => return answer,
                    Err(version) => machine.refuse(version, common.now()),
                },
            };
        };
        let lease = granted.lease;
        let vigil = Vigil::of(lease.as_ref());
        let leading = lease.map(|lease| Leading::new(&self, lease, &vigil));
        common.count(|counts| &counts.creations);
        let began = common.now();
        let creation = create(Creation {
            creating,
            lease,
            vigil: Arc::clone(&vigil),
            common,
            lost_here: granted.lost_here,
        });
        let result = match &lease {
            Some(lease) if !abilities.sees_death => {
                beside(creation, self.renew(lease, &vigil)).await
            }
            _ => creation.await,
        };
        self.made_by_task(result, began, leading, granted, previous.as_ref(), terms)
            .await
    }

    /// What the pile is given of what a creator returned under a lease, or without one.
    pub(crate) async fn made_by_task(
        &self,
        result: Result<T, Fail>,
        began: Tick,
        mut leading: Option<Leading<T, S, C>>,
        granted: Granted,
        previous: Option<&Previous<Entry<T>>>,
        terms: Terms,
    ) -> Result<Given<T>, Fail> {
        let store = &self.shared.store;
        if let Some(leading) = &leading {
            leading.vigil.end();
        }
        match self.make(result, began) {
            Ok(made) => {
                let since = self.known.since();
                let fate = match (&mut leading, made.bytes.as_deref()) {
                    (Some(leading), Some(bytes)) => {
                        let grant = leading.lease.grant;
                        self.known.about_to_store(grant.fence);
                        let put = self.put(Guarded::Lease(grant), bytes);
                        let sent = self.sent();
                        let answer = self.note(sent, store.put(self.key(), &put).await);
                        // A store that did not take it still holds the lease, or may.
                        leading.armed = answer.is_err();
                        Fate::of(&answer, grant.fence)
                    }
                    _ => Fate::Unstored,
                };
                drop(leading);
                Ok(self.made(made, fate, since, granted.lost_here))
            }
            Err(fail) => {
                let quiet = self.quiet(granted.lease);
                if let Some(leading) = &mut leading {
                    let sent = self.sent();
                    let answer = store.release(self.key(), leading.lease.grant, quiet).await;
                    leading.armed = self.note(sent, answer).is_err();
                }
                self.failed_with(fail, granted, previous, terms, quiet)
            }
        }
    }
}

/// For a call that does not wait at all.
struct NoTime;

impl Timer for NoTime {
    fn sleep(&self, _limit: Duration) -> Option<Sleep> {
        Some(Box::pin(std::future::ready(())))
    }
}

impl<'a, T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>, D: Door<'a, T, S, C>>
    FleetCall<'a, T, S, C, D>
{
    async fn look_async(&self, site: &Site<T, S, C>) -> Looked<'a, T> {
        let common = &site.shared.common;
        if common.down(common.now()).is_some() {
            return Looked::Nothing;
        }
        let mark = site.known.mark();
        match site.ask_async(&self.look_for()).await {
            Ok(found) => self.looked(site, found, mark),
            Err(_) => Looked::Nothing,
        }
    }
}

/// The same for both doors. A macro, and not one form for all doors: see [`Alone::answer_async`].
macro_rules! calls_that_await {
    ($door:ty $(, $($generics:tt)*)?) => {
        /// # Calls that await
        impl<'a, $($($generics)*,)? T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>>
            FleetCall<'a, T, S, C, $door>
        {
            /// As [`FleetDogpile::get_or_try_create_async`], with the options of this call.
            ///
            /// # Errors
            ///
            /// [`FleetError`]. With a [wait limit](FleetCall::wait) it needs a [timer](FleetCall::timer).
            ///
            /// # Panics
            ///
            /// If `create` or its future does.
            ///
            /// # Cancel safety
            ///
            /// It may be dropped at any await point.
            pub async fn get_or_try_create_async<E: Send + Sync + 'static, F>(
                self,
                create: impl FnOnce(Creation<'a, T>) -> F,
            ) -> Result<FleetGuard<'a, T>, FleetError<E>>
            where
                F: Future<Output = Result<T, E>>,
            {
                if let Some(guard) = self.hit() {
                    return Ok(guard);
                }
                let create = |creation| {
                    let creation = create(creation);
                    async { creation.await.map_err(Fail::create) }
                };
                self.regenerate_async(create).await
            }

            pub(crate) async fn regenerate_async<E: Send + Sync + 'static, F>(
                self,
                create: impl FnOnce(Creation<'a, T>) -> F,
            ) -> Result<FleetGuard<'a, T>, FleetError<E>>
            where
                F: Future<Output = Result<T, Fail>>,
            {
                let common = &self.shared().common;
                let terms = self.terms(common.now());
                let site = self.door.site();
                let mut create = Some(create);
                loop {
                    let mut deadline = terms.deadline;
                    let mut stale = None;
                    if self.looks_first() {
                        match self.look_async(&site).await {
                            Looked::Answer(guard) => return Ok(guard),
                            // Whoever has something to go on with does not wait.
                            Looked::Stale(guard) => {
                                deadline = Some(common.now());
                                stale = Some(guard);
                            }
                            Looked::Nothing => {}
                        }
                    }
                    let mut want = self.here(deadline);
                    if want.timer.is_none() && stale.is_some() {
                        want.timer = Some(&NoTime);
                    }
                    let mut led = false;
                    let (led_now, take, site) = (&mut led, &mut create, Arc::clone(&site));
                    let answer = self.door.answer_async(want, move |creating| {
                        *led_now = true;
                        let create = take.take().expect("a call is elected once");
                        site.lead_async(common, creating, terms, create)
                    });
                    let answer = answer.await;
                    match self.judge(answer, led, stale, terms) {
                        Verdict::Answer(answer) => return answer,
                        Verdict::Again => {}
                    }
                }
            }
        }
    };
}
calls_that_await!(Alone<'a, T, S, C>);
calls_that_await!(
    AtKey<'a, 'q, K, T, S, C, Q>,
    'q,
    K: KeyBytes + Borrow<Q>,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized
);

impl<T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> FleetDogpile<T, S, C> {
    /// As [`get_or_try_create`](FleetDogpile::get_or_try_create), for tasks.
    ///
    /// A lease is renewed in the same task, beside the creator's future: a future that blocks its
    /// thread is not renewed.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` or its future does. It counts as a failure.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. A lease that it holds is given up, here and at the store.
    pub async fn get_or_try_create_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call().get_or_try_create_async(create).await
    }

    /// As [`refresh`](FleetDogpile::refresh), for tasks.
    ///
    /// # Errors
    ///
    /// [`FleetError`]. A stale value is no answer.
    ///
    /// # Panics
    ///
    /// If `create` or its future does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point.
    pub async fn refresh_async<'a, E: Send + Sync + 'static, F>(
        &'a self,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let call = self.call().accept(crate::FleetAccept::New);
        call.get_or_try_create_async(create).await
    }
}
