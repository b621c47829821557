//! How threads make calls: the machine of a regeneration, driven by blocking.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use dogpile::executor::Executor;
use dogpile::{Accept, Creating, Dogpile, Guard};

use crate::call::FleetCall;
use crate::codec::Codec;
use crate::creation::{Creation, Vigil};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::{FleetDogpile, Given};
use crate::heart::{Beating, beat};
use crate::regeneration::{Fate, Lease, Regeneration, Step, Terms};
use crate::shared::{Shared, empty_if_gone};
use crate::store::{Ask, Found, Guarded, Store, Stored, Version};

/// How often a lease is asked to be taken back by a store that did not answer.
const RELEASE: Duration = Duration::from_millis(200);

/// A lease of the store while its creator runs: renewed, and given back if the creator panics.
pub(crate) struct Leading<S: Store> {
    shared: Arc<dyn Sharing<S>>,
    pub(crate) lease: Lease,
    beating: Option<Beating>,
    armed: bool,
}

/// What a lease needs of [`Shared`], whatever the codec.
pub(crate) trait Sharing<S>: Send + Sync {
    fn release(&self, lease: &Lease, quiet: Duration) -> bool;
    fn failed(&self, lease: &Lease) -> Duration;
    fn max_create(&self) -> Duration;
}

impl<S: Store, C: Send + Sync> Sharing<S> for Shared<S, C> {
    fn release(&self, lease: &Lease, quiet: Duration) -> bool {
        let answer = self.store.release(&self.key, lease.grant, quiet);
        self.common.note(answer).is_ok()
    }

    fn failed(&self, lease: &Lease) -> Duration {
        self.quiet(Some(*lease))
    }

    fn max_create(&self) -> Duration {
        self.policy.max_create
    }
}

impl<S: Store> Leading<S> {
    pub(crate) fn new<C: Send + Sync + 'static>(
        shared: &Arc<Shared<S, C>>,
        lease: Lease,
        vigil: &Arc<Vigil>,
    ) -> Self {
        let beating = (!shared.abilities.sees_death).then(|| {
            let (span, cap) = (shared.policy.lease, shared.policy.max_create);
            let (shared, vigil) = (Arc::clone(shared), Arc::clone(vigil));
            beat(span / 3, cap.saturating_sub(span), move || {
                let asked = shared.common.now();
                match shared.store.renew(&shared.key, lease.grant, span) {
                    Ok(true) => vigil.renewed(asked.saturating_add(span)),
                    Ok(false) => {
                        vigil.lost();
                        return ControlFlow::Break(());
                    }
                    // Asked again in time, perhaps with an answer.
                    Err(_) => {}
                }
                ControlFlow::Continue(())
            })
        });
        Self {
            shared: Arc::<Shared<S, C>>::clone(shared),
            lease,
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
        self.beating = None;
        if !self.shared.release(&self.lease, quiet) {
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
        let (shared, lease) = (Arc::clone(&self.shared), self.lease);
        let cap = self.shared.max_create();
        beat(RELEASE, cap, move || match shared.release(&lease, quiet) {
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
            self.beating = None;
            let quiet = self.shared.failed(&self.lease);
            if !self.shared.release(&self.lease, quiet) {
                self.release_until_it_answers(quiet);
            }
        }
    }
}

impl<S: Store, C: Send + Sync + 'static> Shared<S, C> {
    /// What the store says to the elected caller of this process: an end, or that it is to create.
    pub(crate) fn ask_the_store<T: Send + Sync + 'static>(
        &self,
        pile: &Dogpile<Entry<T>>,
        creating: &Creating<'_, Entry<T>>,
        terms: Terms,
    ) -> Asked<T>
    where
        C: Codec<T>,
    {
        let common = &self.common;
        let previous = creating.previous();
        let mine = self.mine(previous.as_ref());
        let mut machine = Regeneration::new(&self.policy, self.abilities, mine, terms);
        let (mut emptied, mut since) = (false, self.since());
        let now = common.now();
        let mut step = machine.begin(now, common.down(now));
        loop {
            step = match step {
                Step::Ask(ask) => {
                    since = self.since();
                    let answer = common.note(self.store.get_or_lease(&self.key, &ask));
                    emptied |= empty_if_gone(pile, creating, &answer);
                    machine.answered(answer, common.now())
                }
                Step::Nap { fence, poll, until } => {
                    common.count(|counts| &counts.naps);
                    self.store.nap(&self.key, fence, poll, until);
                    machine.ask(common.now())
                }
                Step::Create { lease, stale } => {
                    let lent = self.lend(pile, creating, stale.as_ref(), machine.floor(), since);
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
        self.about_to_store(grant.fence);
        let put = self.put(Guarded::Lease(grant), bytes);
        let answer = self.common.note(self.store.put(&self.key, &put));
        match &answer {
            Ok(_) => leading.ended(),
            Err(_) => leading.release_later(),
        }
        Fate::of(&answer)
    }

    /// The regeneration of the caller that is elected in this process.
    fn lead<T: Send + Sync + 'static, E: Send + Sync + 'static>(
        self: &Arc<Self>,
        pile: &Dogpile<Entry<T>>,
        creating: Creating<'_, Entry<T>>,
        terms: Terms,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<Given<T>, Fail>
    where
        C: Codec<T>,
    {
        let granted = match self.ask_the_store(pile, &creating, terms) {
            Asked::End(end) => return end,
            Asked::Granted(granted) => granted,
        };
        let Granted {
            lease,
            stale,
            lost_here,
        } = granted;
        let previous = creating.previous();
        let vigil = Vigil::of(lease.as_ref());
        let leading = lease.map(|lease| Leading::new(self, lease, &vigil));
        self.common.count(|counts| &counts.creations);
        let began = self.common.now();
        let result = create(Creation {
            creating,
            lease,
            vigil,
            common: &self.common,
            lost_here,
        });
        match self.make(result, began) {
            Ok(made) => {
                // A value that is made stale from now on is stale.
                let since = self.since();
                let fate = match leading {
                    Some(leading) => self.commit(leading, made.bytes.as_deref()),
                    None => Fate::Unstored,
                };
                Ok(self.made(made, fate, since, pile, lost_here))
            }
            Err(error) => {
                let quiet = self.quiet(lease);
                if let Some(leading) = leading {
                    leading.release(quiet);
                }
                let asked = lease.is_some();
                let mark = self.common.mark();
                let stand_in = terms
                    .takes_fallback()
                    .then(|| self.stand_in(previous.as_ref(), stale, asked, mark, quiet));
                stand_in.flatten().ok_or_else(|| Fail::create(error))
            }
        }
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

impl<'a, T: Send + Sync + 'static, S, C: Codec<T>> FleetCall<'a, T, S, C> {
    /// What to look with.
    pub(crate) fn look_for(&self) -> Ask {
        let known = self.fleet.last_read();
        Ask {
            known: known.map_or(Version::NONE, |entry| entry.version()),
            ..Ask::peek()
        }
    }

    pub(crate) fn looked(&self, found: Found, mark: u64) -> Looked<'a, T> {
        let shared = &self.fleet.shared;
        let (fresh, idle) = match &found {
            Found::Fresh(_) => (true, false),
            Found::Idle { .. } => (false, true),
            _ => (false, false),
        };
        let Some(stored) = found.stored() else {
            return Looked::Nothing;
        };
        let known = self.fleet.last_read();
        let Ok((entry, age)) = shared.read(stored.clone(), known.as_deref(), mark) else {
            return Looked::Nothing;
        };
        let entry = Arc::new(entry);
        self.fleet.note_read(&entry);
        let usable = entry.is_usable(age, &shared.policy);
        let guard = FleetGuard::read(entry, age, &shared.common);
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

impl<T, S, C> FleetDogpile<T, S, C> {
    /// The value that a look at the store brought last, whose bytes need not be sent again.
    fn last_read(&self) -> Option<Arc<Entry<T>>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.clone()
    }

    fn note_read(&self, entry: &Arc<Entry<T>>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let before = read.replace(Arc::clone(entry));
        drop(read);
        drop(before);
    }
}

/// # Calls that block
impl<'a, T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetCall<'a, T, S, C> {
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
            None => self.regenerate(create)?,
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

    /// Without a copy in this process: looks, and elects nobody.
    fn look(&self) -> Looked<'a, T> {
        let shared = &self.fleet.shared;
        let common = &shared.common;
        if common.down(common.now()).is_some() {
            return Looked::Nothing;
        }
        let mark = common.mark();
        let ask = self.look_for();
        match common.note(shared.store.get_or_lease(&shared.key, &ask)) {
            Ok(found) => self.looked(found, mark),
            Err(_) => Looked::Nothing,
        }
    }

    fn regenerate<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        let fleet = self.fleet;
        let common = &fleet.shared.common;
        let terms = self.terms(common.now());
        let mut create = Some(create);
        loop {
            let mut deadline = terms.deadline;
            let mut stale = None;
            if self.looks_first() {
                match self.look() {
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
            let answer = self.here(deadline).get_or_try_create_with(|creating| {
                led = true;
                let create = create.take().expect("a call is elected once");
                fleet.shared.lead(&fleet.pile, creating, terms, create)
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

impl<'a, T, S, C> FleetCall<'a, T, S, C> {
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
        let common = &self.fleet.shared.common;
        let now = common.now();
        let over = terms.deadline.is_some_and(|deadline| deadline <= now);
        Verdict::Answer(match answer {
            Ok(guard) if led || self.will_do(&guard) => Ok(FleetGuard::new(guard, common)),
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
        FleetBackground {
            fleet: self,
            executor,
        }
    }
}

/// Calls of a [`FleetDogpile`] whose regenerations outlive their callers.
#[must_use = "a call does nothing until it is made"]
pub struct FleetBackground<'a, 'e, T, S, C> {
    fleet: &'a FleetDogpile<T, S, C>,
    executor: &'e dyn Executor,
}

impl<T, S, C> std::fmt::Debug for FleetBackground<'_, '_, T, S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetBackground").finish_non_exhaustive()
    }
}

impl<'a, T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetBackground<'a, '_, T, S, C> {
    /// As [`FleetDogpile::get_or_try_create`], on the executor.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E> + Send + 'static,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>> {
        let fleet = self.fleet;
        if let Some(guard) = fleet.call().hit() {
            return Ok(guard);
        }
        let common = &fleet.shared.common;
        let terms = fleet.call().terms(common.now());
        let usable = fleet.peek().is_some();
        let call = fleet.pile.background(self.executor);
        let call = match (
            fleet.call().always_asks(),
            usable || fleet.pile.peek().is_none(),
        ) {
            (true, _) => call.accept(Accept::New),
            (false, true) => call,
            // What the pile would give out is beyond its limit.
            (false, false) => call.accept(Accept::Fresh),
        };
        let (shared, pile) = (Arc::clone(&fleet.shared), Arc::clone(&fleet.pile));
        let answer = call
            .get_or_try_create_with(move |creating| shared.lead(&pile, creating, terms, create));
        match answer {
            Ok(guard) => Ok(FleetGuard::new(guard, common)),
            Err(error) => Err(error.into()),
        }
    }
}
