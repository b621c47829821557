//! How tasks make calls: the same machine, driven by awaiting.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dogpile::executor::{Sleep, Timer};
use dogpile::{Creating, Dogpile};

use crate::async_store::AsyncStore;
use crate::call::FleetCall;
use crate::codec::Codec;
use crate::creation::{Creation, Vigil};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::{FleetDogpile, Given};
use crate::regeneration::{Fate, Lease, Regeneration, Step, Terms};
use crate::shared::{Shared, empty_if_gone};
use crate::store::Guarded;
use crate::thread::{Granted, Looked, Verdict};

/// A lease of the store while its creator's future lives.
struct Leading<'s, S: AsyncStore, C: Send + Sync> {
    shared: &'s Shared<S, C>,
    lease: Lease,
    armed: bool,
}

impl<S: AsyncStore, C: Send + Sync> Drop for Leading<'_, S, C> {
    fn drop(&mut self) {
        if self.armed {
            // A creator that panicked has failed, one that was dropped was given up.
            let quiet = match std::thread::panicking() {
                true => self.shared.quiet(Some(self.lease)),
                false => Duration::ZERO,
            };
            let shared = self.shared;
            shared
                .store
                .release_soon(&shared.key, self.lease.grant, quiet);
        }
    }
}

impl<S: AsyncStore, C: Send + Sync + 'static> Shared<S, C> {
    /// Polls a creation and renews its lease beside it: there is no task for it, and no thread.
    async fn renewing<F: Future>(&self, lease: &Lease, vigil: &Vigil, creation: F) -> F::Output {
        let (span, begun) = (self.policy.lease, self.common.now());
        let cap = begun.saturating_add(self.policy.max_create.saturating_sub(span));
        let renewals = async {
            loop {
                self.store.pause(span / 3).await;
                let asked = self.common.now();
                if asked >= cap {
                    break;
                }
                match self.store.renew(&self.key, lease.grant, span).await {
                    Ok(true) => vigil.renewed(asked.saturating_add(span)),
                    Ok(false) => {
                        vigil.lost();
                        break;
                    }
                    // Asked again in time, perhaps with an answer.
                    Err(_) => {}
                }
            }
        };
        let (mut creation, mut renewals) = (pin!(creation), pin!(renewals));
        let mut renews = true;
        poll_fn(move |cx| {
            if let Poll::Ready(made) = creation.as_mut().poll(cx) {
                return Poll::Ready(made);
            }
            renews = renews && renewals.as_mut().poll(cx).is_pending();
            Poll::Pending
        })
        .await
    }

    async fn lead_async<'a, T, E, F>(
        &'a self,
        pile: &Dogpile<Entry<T>>,
        creating: Creating<'a, Entry<T>>,
        terms: Terms,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<Given<T>, Fail>
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
        C: Codec<T>,
        F: Future<Output = Result<T, E>>,
    {
        let common = &self.common;
        let previous = creating.previous();
        let mine = self.mine(previous.as_ref());
        let mut machine = Regeneration::new(&self.policy, self.abilities, mine, terms);
        let (mut emptied, mut since) = (false, self.since());
        let now = common.now();
        let mut step = machine.begin(now, common.down(now));
        let granted = loop {
            step = match step {
                Step::Ask(ask) => {
                    since = self.since();
                    let answer = self.store.get_or_lease(&self.key, &ask).await;
                    let answer = common.note(answer);
                    emptied |= empty_if_gone(pile, &creating, &answer);
                    machine.answered(answer, common.now())
                }
                Step::Nap { fence, poll, until } => {
                    common.count(|counts| &counts.naps);
                    self.store.nap(&self.key, fence, poll, until).await;
                    machine.ask(common.now())
                }
                Step::Create { lease, stale } => {
                    let lent = self.lend(pile, &creating, stale.as_ref(), machine.floor(), since);
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
        let mut leading = lease.map(|lease| Leading {
            shared: self,
            lease,
            armed: true,
        });
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
            Some(lease) if !self.abilities.sees_death => {
                self.renewing(lease, &vigil, creation).await
            }
            _ => creation.await,
        };
        match self.make(result, began) {
            Ok(made) => {
                let since = self.since();
                let fate = match (&mut leading, made.bytes.as_deref()) {
                    (Some(leading), Some(bytes)) => {
                        let grant = leading.lease.grant;
                        self.about_to_store(grant.fence);
                        let put = self.put(Guarded::Lease(grant), bytes);
                        let answer = common.note(self.store.put(&self.key, &put).await);
                        // A store that did not answer may still hold the lease.
                        leading.armed = answer.is_err();
                        Fate::of(&answer)
                    }
                    _ => Fate::Unstored,
                };
                drop(leading);
                Ok(self.made(made, fate, since, pile, granted.lost_here))
            }
            Err(error) => {
                let quiet = self.quiet(lease);
                if let Some(leading) = &mut leading {
                    let answer = self
                        .store
                        .release(&self.key, leading.lease.grant, quiet)
                        .await;
                    leading.armed = common.note(answer).is_err();
                }
                let mark = common.mark();
                let (stale, asked) = (granted.stale, lease.is_some());
                let stand_in = terms
                    .takes_fallback()
                    .then(|| self.stand_in(previous.as_ref(), stale, asked, mark, quiet));
                stand_in.flatten().ok_or_else(|| Fail::create(error))
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

/// # Calls that await
impl<'a, T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> FleetCall<'a, T, S, C> {
    async fn look_async(&self) -> Looked<'a, T> {
        let shared = &self.fleet.shared;
        let common = &shared.common;
        if common.down(common.now()).is_some() {
            return Looked::Nothing;
        }
        let mark = common.mark();
        let ask = self.look_for();
        match common.note(shared.store.get_or_lease(&shared.key, &ask).await) {
            Ok(found) => self.looked(found, mark),
            Err(_) => Looked::Nothing,
        }
    }

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
        let fleet = self.fleet;
        let common = &fleet.shared.common;
        let terms = self.terms(common.now());
        let mut create = Some(create);
        loop {
            let mut deadline = terms.deadline;
            let mut stale = None;
            if self.looks_first() {
                match self.look_async().await {
                    Looked::Answer(guard) => return Ok(guard),
                    // Whoever has something to go on with does not wait.
                    Looked::Stale(guard) => {
                        deadline = Some(common.now());
                        stale = Some(guard);
                    }
                    Looked::Nothing => {}
                }
            }
            let mut call = self.here(deadline);
            if let Some(timer) = self.timer {
                call = call.timer(timer);
            } else if stale.is_some() {
                call = call.timer(&NoTime);
            }
            let mut led = false;
            let (led_now, take) = (&mut led, &mut create);
            let answer = call.get_or_try_create_with_async(move |creating| {
                *led_now = true;
                let create = take.take().expect("a call is elected once");
                fleet
                    .shared
                    .lead_async(&fleet.pile, creating, terms, create)
            });
            let answer = answer.await;
            match self.judge(answer, led, stale, terms) {
                Verdict::Answer(answer) => return answer,
                Verdict::Again => {}
            }
        }
    }
}

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
