//! How threads make calls: the machine of a regeneration, driven by blocking.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use dogpile::executor::Executor;
use dogpile::{Accept, Creating, Guard};

use crate::call::FleetCall;
use crate::codec::Codec;
use crate::creation::{Creation, Vigil};
use crate::door::{Alone, Door};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::{FleetDogpile, Given};
use crate::heart::{Beating, beat};
use crate::regeneration::{Fate, Lease, Regeneration, Step, Terms};
use crate::site::Site;
use crate::store::{Answer, Ask, Found, Guarded, Store, StoreErrorKind, Stored, Version};

/// How often a lease is asked to be taken back by a store that did not answer.
const RELEASE: Duration = Duration::from_millis(200);

/// A lease of the store while its creator runs: renewed, and given back if the creator panics.
pub(crate) struct Leading<S: Store> {
    site: Arc<dyn Sharing<S>>,
    pub(crate) lease: Lease,
    vigil: Arc<Vigil>,
    beating: Option<Beating>,
    armed: bool,
}

/// What a lease needs of a [`Site`], whatever the types of its value and its codec.
pub(crate) trait Sharing<S>: Send + Sync {
    fn release(&self, lease: &Lease, quiet: Duration) -> bool;
    fn failed(&self, lease: &Lease) -> Duration;
    fn max_create(&self) -> Duration;
}

impl<T: Send + Sync, S: Store, C: Send + Sync> Sharing<S> for Site<T, S, C> {
    fn release(&self, lease: &Lease, quiet: Duration) -> bool {
        let store = &self.shared.store;
        let sent = self.sent();
        let answer = store.release(self.key(), lease.grant, quiet);
        self.note(sent, answer).is_ok()
    }

    fn failed(&self, lease: &Lease) -> Duration {
        self.quiet(Some(*lease))
    }

    fn max_create(&self) -> Duration {
        self.shared.policy.max_create
    }
}

impl<S: Store> Leading<S> {
    pub(crate) fn new<T: Send + Sync + 'static, C: Send + Sync + 'static>(
        site: &Arc<Site<T, S, C>>,
        lease: Lease,
        vigil: &Arc<Vigil>,
    ) -> Self {
        let beating = (!site.shared.abilities.sees_death).then(|| {
            let policy = &site.shared.policy;
            let (span, cap) = (policy.lease, policy.max_create);
            let (site, vigil) = (Arc::clone(site), Arc::clone(vigil));
            beat(span / 3, cap.saturating_sub(span), move || {
                let shared = &site.shared;
                let asked = shared.common.now();
                match shared.store.renew(site.key(), lease.grant, span) {
                    Ok(true) => vigil.renewed(asked.saturating_add(span)),
                    Ok(false) => {
                        if vigil.lost() {
                            site.tell_lost(&lease);
                        }
                        return ControlFlow::Break(());
                    }
                    // Asked again in time, perhaps with an answer.
                    Err(_) => {}
                }
                ControlFlow::Continue(())
            })
        });
        Self {
            site: Arc::<Site<T, S, C>>::clone(site),
            lease,
            vigil: Arc::clone(vigil),
            beating,
            armed: true,
        }
    }

    /// The store has ended the lease.
    pub(crate) fn ended(mut self) {
        self.armed = false;
    }

    pub(crate) fn release(mut self, quiet: Duration) {
        self.armed = false;
        self.vigil.end();
        self.beating = None;
        if !self.site.release(&self.lease, quiet) {
            self.release_until_it_answers(quiet);
        }
    }

    /// The store did not answer. It is asked to take the lease back until it does, and not by the
    /// caller: a store that sees deaths sees that this process lives, and would keep the lease.
    pub(crate) fn release_later(mut self) {
        self.armed = false;
        self.release_until_it_answers(Duration::ZERO);
    }

    fn release_until_it_answers(&mut self, quiet: Duration) {
        self.beating = None;
        let (site, lease) = (Arc::clone(&self.site), self.lease);
        let cap = self.site.max_create();
        beat(RELEASE, cap, move || match site.release(&lease, quiet) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
        .detach();
    }
}

impl<S: Store> Drop for Leading<S> {
    fn drop(&mut self) {
        if self.armed {
            // The creator panicked.
            self.vigil.end();
            self.beating = None;
            let quiet = self.site.failed(&self.lease);
            if !self.site.release(&self.lease, quiet) {
                self.release_until_it_answers(quiet);
            }
        }
    }
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> Site<T, S, C> {
    /// Asks the store for the value, or else the lease: in turn, where requests are limited.
    pub(crate) fn ask(&self, ask: &Ask) -> Answer<Found> {
        let shared = &self.shared;
        let _turn = shared.asks.as_ref().map(|asks| asks.enter());
        // It may have failed while this one waited for its turn: a store that does not answer is waited
        // for once.
        let sent = shared.common.ask()?;
        self.tell_ask();
        self.note(sent, shared.store.get_or_lease(self.key(), ask))
    }

    /// What the store says to the elected caller of this process: an end, or that it is to create.
    pub(crate) fn ask_the_store(
        &self,
        creating: &Creating<'_, Entry<T>>,
        terms: Terms,
    ) -> Asked<T> {
        let common = &self.shared.common;
        let previous = creating.previous();
        let mine = self.mine(previous.as_ref());
        let (policy, abilities) = (&self.shared.policy, self.shared.abilities);
        let unanswered = self.known.unanswered.clone();
        let mut machine = Regeneration::new(policy, abilities, unanswered, mine, terms);
        let (mut emptied, mut since) = (false, self.known.since());
        let now = common.now();
        let mut step = machine.begin(now, common.down(now));
        loop {
            step = match step {
                Step::Ask(ask) => {
                    since = self.known.since();
                    let answer = self.ask(&ask);
                    emptied |= self.heard(creating, &answer);
                    machine.answered(answer, common.now())
                }
                Step::Nap { fence, poll, until } => {
                    common.count(|counts| &counts.naps);
                    self.shared.store.nap(self.key(), fence, poll, until);
                    machine.ask(common.now())
                }
                Step::Create { lease, stale } => {
                    let lent = self.lend(creating, stale.as_ref(), machine.floor(), since);
                    let lost_here = emptied || lent;
                    return Asked::Granted(Granted {
                        lease,
                        stale,
                        lost_here,
                    });
                }
                Step::End(end) => match self.end(end, previous.as_ref(), since.mark) {
                    Ok(answer) => return Asked::End(answer),
                    Err(version) => machine.refuse(version, common.now()),
                },
            };
        }
    }

    /// Stores what was made under a lease, and says what became of it.
    pub(crate) fn commit(&self, leading: Leading<S>, bytes: Option<&[u8]>) -> Fate {
        let Some(bytes) = bytes else {
            leading.release(Duration::ZERO);
            return Fate::Unstored;
        };
        let grant = leading.lease.grant;
        leading.vigil.end();
        self.known.about_to_store(grant.fence);
        let put = self.put(Guarded::Lease(grant), bytes);
        let sent = self.sent();
        let answer = self.note(sent, self.shared.store.put(self.key(), &put));
        match &answer {
            Ok(_) => leading.ended(),
            // It has answered, and takes the lease back as well.
            Err(error) if error.kind == StoreErrorKind::Refused => {
                leading.release(Duration::ZERO);
            }
            Err(_) => leading.release_later(),
        }
        Fate::of(&answer, grant.fence)
    }

    /// The regeneration of the caller that is elected in this process.
    fn lead(
        self: &Arc<Self>,
        creating: Creating<'_, Entry<T>>,
        terms: Terms,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, Fail>,
    ) -> Result<Given<T>, Fail> {
        let granted = match self.ask_the_store(&creating, terms) {
            Asked::End(end) => return end,
            Asked::Granted(granted) => granted,
        };
        let (common, lease) = (&self.shared.common, granted.lease);
        let previous = creating.previous();
        let vigil = Vigil::of(lease.as_ref());
        let leading = lease.map(|lease| Leading::new(self, lease, &vigil));
        common.count(|counts| &counts.creations);
        let began = common.now();
        let result = create(Creation {
            creating,
            lease,
            vigil,
            common,
            lost_here: granted.lost_here,
        });
        self.made_by_thread(result, began, leading, granted, previous.as_ref(), terms)
    }

    /// What the pile is given of what a creator returned under a lease, or without one.
    pub(crate) fn made_by_thread(
        &self,
        result: Result<T, Fail>,
        began: dogpile::Tick,
        leading: Option<Leading<S>>,
        granted: Granted,
        previous: Option<&dogpile::Previous<Entry<T>>>,
        terms: Terms,
    ) -> Result<Given<T>, Fail> {
        match self.make(result, began) {
            Ok(made) => {
                // A value that is made stale from now on is stale.
                let since = self.known.since();
                let fate = match leading {
                    Some(leading) => self.commit(leading, made.bytes.as_deref()),
                    None => Fate::Unstored,
                };
                Ok(self.made(made, fate, since, granted.lost_here))
            }
            Err(fail) => {
                let quiet = self.quiet(granted.lease);
                if let Some(leading) = leading {
                    leading.release(quiet);
                }
                self.failed_with(fail, granted, previous, terms, quiet)
            }
        }
    }
}

impl<T: Send + Sync + 'static, S, C: Codec<T>> Site<T, S, C> {
    /// Takes note of what the store said to one who would lead. Says whether the place was emptied.
    pub(crate) fn heard(&self, creating: &Creating<'_, Entry<T>>, answer: &Answer<Found>) -> bool {
        if let Ok(found) = answer {
            self.tell_found(found);
        }
        self.empty_if_gone(creating, answer)
    }

    /// What the pile is given where a creator failed: a value that stands in, or the failure.
    pub(crate) fn failed_with(
        &self,
        fail: Fail,
        granted: Granted,
        previous: Option<&dogpile::Previous<Entry<T>>>,
        terms: Terms,
        quiet: Duration,
    ) -> Result<Given<T>, Fail> {
        let (stale, asked) = (granted.stale, granted.lease.is_some());
        let mark = self.known.mark();
        let stand_in = terms
            .takes_fallback()
            .then(|| self.stand_in(previous, stale, asked, mark, quiet));
        stand_in.flatten().ok_or(fail)
    }
}

/// What came of asking the store.
pub(crate) enum Asked<T> {
    End(Result<Given<T>, Fail>),
    Granted(Granted),
}

/// What a creation needs to know of what the store said.
pub(crate) struct Granted {
    pub(crate) lease: Option<Lease>,
    pub(crate) stale: Option<Stored>,
    /// Whether the lease of the pile has lost what it would publish, since this regeneration itself
    /// emptied the pile, or lent it something.
    pub(crate) lost_here: bool,
}

/// What a look at the store brought to a caller whose process keeps no copy.
pub(crate) enum Looked<'a, T> {
    Answer(FleetGuard<'a, T>),
    /// A stale value, that somebody has to renew.
    Stale(FleetGuard<'a, T>),
    Nothing,
}

impl<'a, T: Send + Sync + 'static, S: 'a, C: Codec<T>, D: Door<'a, T, S, C>>
    FleetCall<'a, T, S, C, D>
{
    /// What to look with.
    pub(crate) fn look_for(&self) -> Ask {
        let known = self.door.last_read();
        Ask {
            known: known.map_or(Version::NONE, |entry| entry.version()),
            ..Ask::peek()
        }
    }

    pub(crate) fn looked(&self, site: &Site<T, S, C>, found: Found, mark: u64) -> Looked<'a, T> {
        let shared = &site.shared;
        let (fresh, idle) = match &found {
            Found::Fresh(_) => (true, false),
            Found::Idle { .. } => (false, true),
            _ => (false, false),
        };
        let Some(stored) = found.stored() else {
            return Looked::Nothing;
        };
        let known = self.door.last_read();
        let Ok((entry, age)) = site.read(stored.clone(), known.as_deref(), mark) else {
            return Looked::Nothing;
        };
        let entry = Arc::new(entry);
        self.door.note_read(&entry);
        let usable = entry.is_usable(age, &shared.policy);
        let guard = FleetGuard::read(entry, age);
        match (fresh, idle) {
            (true, _) => Looked::Answer(guard),
            (false, _) if !usable => Looked::Nothing,
            (false, true) => Looked::Stale(guard),
            (false, false) => {
                shared.common.count(|counts| &counts.stale);
                Looked::Answer(guard)
            }
        }
    }
}

/// # Calls that block
impl<'a, T: Send + Sync + 'static, S: Store, C: Codec<T>, D: Door<'a, T, S, C>>
    FleetCall<'a, T, S, C, D>
{
    /// As [`FleetDogpile::get_or_try_create`], with the options of this call.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        match self.fresh_hit() {
            Some(guard) => Ok(guard),
            None => self.no_fresh_hit(create).map(|guard| *guard),
        }
    }

    /// Out of line, and both cases of it: a hit that two paths lead to is moved once more. Boxed, since a
    /// guard that a function writes is in memory also where it was not called.
    #[cold]
    #[inline(never)]
    fn no_fresh_hit<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<Box<FleetGuard<'a, T>>, FleetError<E>> {
        let guard = match self.hit() {
            Some(guard) => guard,
            None => self.regenerate(|creation| create(creation).map_err(Fail::create))?,
        };
        Ok(Box::new(guard))
    }

    /// As [`get_or_try_create`](FleetCall::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn get_or_create(
        self,
        create: impl FnOnce(Creation<'_, T>) -> T,
    ) -> Result<FleetGuard<'a, T>, FleetError<Infallible>> {
        self.get_or_try_create(|creation| Ok(create(creation)))
    }

    /// As [`FleetDogpile::refresh`], with the options of this call but for what it accepts.
    ///
    /// # Errors
    ///
    /// [`FleetError`]. A stale value is no answer.
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn refresh<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        self.accept(crate::FleetAccept::New)
            .get_or_try_create(create)
    }

    /// Without a copy in this process: looks, and elects nobody.
    fn look(&self, site: &Site<T, S, C>) -> Looked<'a, T> {
        let common = &site.shared.common;
        if common.down(common.now()).is_some() {
            return Looked::Nothing;
        }
        let mark = site.known.mark();
        match site.ask(&self.look_for()) {
            Ok(found) => self.looked(site, found, mark),
            Err(_) => Looked::Nothing,
        }
    }

    pub(crate) fn regenerate<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, Fail>,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        let common = &self.shared().common;
        let terms = self.terms(common.now());
        let site = self.door.site();
        let mut create = Some(create);
        loop {
            let mut deadline = terms.deadline;
            let mut stale = None;
            if self.looks_first() {
                match self.look(&site) {
                    Looked::Answer(guard) => return Ok(guard),
                    // Whoever has something to go on with does not wait.
                    Looked::Stale(guard) => {
                        deadline = Some(common.now());
                        stale = Some(guard);
                    }
                    Looked::Nothing => {}
                }
            }
            let mut led = false;
            let answer = self.door.answer(self.here(deadline), |creating| {
                led = true;
                let create = create.take().expect("a call is elected once");
                site.lead(creating, terms, create)
            });
            match self.judge(answer, led, stale, terms) {
                Verdict::Answer(answer) => return answer,
                Verdict::Again => {}
            }
        }
    }
}

/// What a call makes of what its pile answered.
pub(crate) enum Verdict<'a, T, E> {
    Answer(Result<FleetGuard<'a, T>, FleetError<E>>),
    Again,
}

impl<'a, T: 'static, S: 'a, C: 'a, D: Door<'a, T, S, C>> FleetCall<'a, T, S, C, D> {
    /// Whether the call looks at the store by itself before it takes part in the election here.
    pub(crate) fn looks_first(&self) -> bool {
        self.always_asks() && self.is_plain()
    }

    pub(crate) fn judge<E: Send + Sync + 'static>(
        &self,
        answer: Result<Guard<'a, Entry<T>>, dogpile::Error<Fail>>,
        led: bool,
        stale: Option<FleetGuard<'a, T>>,
        terms: Terms,
    ) -> Verdict<'a, T, E> {
        let now = self.shared().common.now();
        let over = terms.deadline.is_some_and(|deadline| deadline <= now);
        Verdict::Answer(match answer {
            Ok(guard) if led || self.will_do(&guard) => Ok(FleetGuard::new(guard)),
            // Somebody else was content with it.
            Ok(_) if over => Err(FleetError::TimedOut),
            Ok(_) => return Verdict::Again,
            Err(dogpile::Error::TimedOut { .. }) if stale.is_some() => {
                Ok(stale.expect("there is one"))
            }
            // The patience of another caller ended: its lease is handed on.
            Err(dogpile::Error::Create(fail))
                if !led && matches!(*fail, Fail::TimedOut) && !over =>
            {
                return Verdict::Again;
            }
            Err(error) => Err(error.into()),
        })
    }
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetDogpile<T, S, C> {
    /// The value if it is fresh, else the next one, created by one caller of the whole fleet.
    ///
    /// While somebody creates, here or in another process, whoever has a usable value goes on with it,
    /// and the others wait.
    ///
    /// # Errors
    ///
    /// [`FleetError`]: the creator's error goes to its own caller and to those of this process that
    /// waited. To the fleet it is told that there was a failure, and nobody creates for a while.
    ///
    /// # Panics
    ///
    /// If `create` does. It counts as a failure.
    ///
    /// # Cost
    ///
    /// A hit is that of a pile. A copy that has reached its local ttl costs one caller of this process
    /// one verb of the store; a regeneration costs two.
    #[inline(always)]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>> {
        self.call().get_or_try_create(create)
    }

    /// As [`get_or_try_create`](FleetDogpile::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn get_or_create(
        &self,
        create: impl FnOnce(Creation<'_, T>) -> T,
    ) -> Result<FleetGuard<'_, T>, FleetError<Infallible>> {
        self.call().get_or_create(create)
    }

    /// A value whose creation begins after this call.
    ///
    /// # Errors
    ///
    /// [`FleetError`]. A stale value is no answer.
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>> {
        let call = self.call().accept(crate::FleetAccept::New);
        call.get_or_try_create(create)
    }

    /// Calls whose regeneration runs on an executor, round trips and all: whoever has a usable value
    /// does not even wait for the store.
    pub fn background<'a, 'e>(
        &'a self,
        executor: &'e dyn Executor,
    ) -> FleetBackground<'a, 'e, T, S, C> {
        self.call().background(executor)
    }
}

/// A call whose regeneration outlives its caller.
#[must_use = "a call does nothing until it is made"]
pub struct FleetBackground<'a, 'e, T, S, C, D = Alone<'a, T, S, C>> {
    call: FleetCall<'a, T, S, C, D>,
    executor: &'e dyn Executor,
}

impl<T, S, C, D> std::fmt::Debug for FleetBackground<'_, '_, T, S, C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetBackground").finish_non_exhaustive()
    }
}

impl<'a, T, S, C, D> FleetCall<'a, T, S, C, D> {
    /// The regeneration runs on an executor, round trips and all: whoever has a usable value does not
    /// even wait for the store. Of the options of the call none counts.
    pub fn background<'e>(self, executor: &'e dyn Executor) -> FleetBackground<'a, 'e, T, S, C, D> {
        FleetBackground {
            call: FleetCall::new(self.door),
            executor,
        }
    }
}

impl<'a, T: Send + Sync + 'static, S: Store, C: Codec<T>, D: Door<'a, T, S, C>>
    FleetBackground<'a, '_, T, S, C, D>
{
    /// As [`FleetDogpile::get_or_try_create`], on the executor.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E> + Send + 'static,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        let call = self.call;
        if let Some(guard) = call.hit() {
            return Ok(guard);
        }
        let terms = call.terms(call.shared().common.now());
        let usable = call.peek().is_some();
        let accept = match (call.always_asks(), usable || call.door.peek().is_none()) {
            (true, _) => Accept::New,
            (false, true) => Accept::Stale,
            // What the pile would give out is beyond its limit.
            (false, false) => Accept::Fresh,
        };
        let site = call.door.site();
        let lead = move |creating: Creating<'_, Entry<T>>| {
            let create = |creation: Creation<'_, T>| create(creation).map_err(Fail::create);
            site.lead(creating, terms, create)
        };
        match call.door.start(self.executor, accept, lead) {
            Ok(guard) => Ok(FleetGuard::new(guard)),
            Err(error) => Err(error.into()),
        }
    }
}
