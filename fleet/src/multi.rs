//! Calls for several keys at once.
//!
//! Each key is elected, asked for and created as in a call for that key alone, by the same machine. They
//! are stepped together: the store is asked once for all keys of which a step is a request; then the
//! creator runs once for all that are to be created, and each value is stored as it comes; and only then
//! it is slept for those that others create. Who holds a lease of the store waits for nobody. So calls
//! cannot wait for each other in a circle, in whatever order they name their keys, here and elsewhere.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dogpile::Lease as Here;
use dogpile::Tick;

use crate::async_store::AsyncStore;
use crate::codec::Codec;
use crate::creation::Vigil;
use crate::door::{Door, Seat};
use crate::entry::{Entry, FleetGuard};
use crate::error::{Fail, FleetError};
use crate::fleet::Given;
use crate::health::Sent;
use crate::keyed::{FleetKeyed, KeyBytes};
use crate::known::Since;
use crate::regeneration::{Lease, Regeneration, Step, Terms};
use crate::shared::Common;
use crate::site::Site;
use crate::store::{Answer, Ask, Found, Key, Store, StoreError, Stored, Version};
use crate::task::{self, beside};
use crate::thread::{self, Granted};

/// What such a call asks for: what a call without options does.
const TERMS: Terms = Terms {
    floor: Version::NONE,
    takes_stale: true,
    max_age: None,
    deadline: None,
    local_only: false,
    new: false,
};

type Answered<'a, T, E> = Result<FleetGuard<'a, T>, FleetError<E>>;

/// One key that this call was elected for in this process.
struct One<'a, T, S, C, L> {
    /// Which of the keys.
    at: usize,
    site: Arc<Site<T, S, C>>,
    /// The lease of the store, if it is granted. It is given up before the one here: whoever is elected
    /// here next finds it free.
    there: Option<There<L>>,
    here: Here<'a, Entry<T>>,
    machine: Regeneration<'a>,
    step: Step,
    since: Since,
    /// Whether the lease here has lost what it would publish, by this call itself.
    lost_here: bool,
}

/// A lease of the store that is held.
struct There<L> {
    lease: Lease,
    leading: L,
    vigil: Arc<Vigil>,
}

/// All keys of a call, and those of them that it is at.
struct Several<'a, 'k, T, S, C, L, Q: ?Sized, E> {
    /// Each once.
    keys: Vec<&'k Q>,
    /// As they were named.
    named: Vec<usize>,
    answers: Vec<Option<Answered<'a, T, E>>>,
    ones: Vec<One<'a, T, S, C, L>>,
}

impl<'a, 'k, T, S, C, L, Q, E> Several<'a, 'k, T, S, C, L, Q, E>
where
    T: Send + Sync + 'static,
    S: 'a,
    C: Codec<T>,
    Q: Eq + Hash + ToOwned + ?Sized,
    E: Send + Sync + 'static,
{
    /// Takes the hits, and is elected for what it can be, without waiting.
    fn new<K>(map: &'a FleetKeyed<K, T, S, C>, keys: impl IntoIterator<Item = &'k Q>) -> Self
    where
        K: KeyBytes + Borrow<Q>,
        Q: ToOwned<Owned = K>,
    {
        let mut known = HashMap::new();
        let mut distinct = Vec::new();
        let name = |key: &'k Q| {
            *known.entry(key).or_insert_with(|| {
                distinct.push(key);
                distinct.len() - 1
            })
        };
        let named = keys.into_iter().map(name).collect();
        let mut all = Self {
            answers: distinct.iter().map(|_| None).collect(),
            keys: distinct,
            named,
            ones: Vec::new(),
        };
        let shared = &map.many.shared;
        for (at, key) in all.keys.iter().enumerate() {
            let call = map.call(*key);
            if let Some(guard) = call.hit() {
                all.answers[at] = Some(Ok(guard));
                continue;
            }
            match call.door.attempt(call.here(None)) {
                Seat::Hit(guard) => all.answers[at] = Some(Ok(FleetGuard::new(guard))),
                Seat::Busy(Some(guard)) if call.will_do(&guard) => {
                    all.answers[at] = Some(Ok(FleetGuard::new(guard)));
                }
                // Waited for at last, when this call holds nothing any more.
                Seat::Busy(_) | Seat::NotYet(_) => {}
                Seat::Lease(here) => {
                    let site = call.door.site();
                    let mine = site.mine(here.previous().as_ref());
                    let (policy, abilities) = (&shared.policy, shared.abilities);
                    let unanswered = site.known.unanswered.clone();
                    let mut machine = Regeneration::new(policy, abilities, unanswered, mine, TERMS);
                    let now = shared.common.now();
                    all.ones.push(One {
                        at,
                        step: machine.begin(now, shared.common.down(now)),
                        since: site.known.since(),
                        site,
                        here,
                        machine,
                        lost_here: false,
                        there: None,
                    });
                }
            }
        }
        all.settle_all();
        all
    }

    /// Brings those to their end whose step is one.
    fn settle_all(&mut self) {
        for one in std::mem::take(&mut self.ones) {
            match one.settle() {
                Ok(one) => self.ones.push(one),
                Err((at, answer)) => self.answers[at] = Some(answer),
            }
        }
    }

    /// Whether the store is to be asked.
    fn is_asking(&self) -> bool {
        self.ones.iter().any(|one| matches!(one.step, Step::Ask(_)))
    }

    /// For what.
    fn asks(&mut self) -> Vec<(Key, Ask)> {
        let mut asks = Vec::new();
        for one in &mut self.ones {
            if let Step::Ask(ask) = one.step {
                one.since = one.site.known.since();
                asks.push((one.site.key().clone(), ask));
            }
        }
        asks
    }

    fn tell_asks(&self) {
        for one in &self.ones {
            if let Step::Ask(_) = one.step {
                one.site.tell_ask();
            }
        }
    }

    /// What the store has answered. `None`: it was not asked, since it failed just now.
    fn answered(
        &mut self,
        asks: &[(Key, Ask)],
        answers: Option<(Sent, Vec<Answer<Found>>)>,
        now: Tick,
        lead: impl Fn(&Arc<Site<T, S, C>>, Lease, &Arc<Vigil>) -> L,
    ) {
        let all_fail = |error: fn() -> StoreError| asks.iter().map(|_| Err(error())).collect();
        let answers = match (answers, self.ones.first()) {
            (Some((sent, mut answers)), Some(one)) => {
                if answers.len() != asks.len() {
                    answers = all_fail(|| StoreError::protocol("it has not answered each ask"));
                }
                let keys: Vec<_> = asks.iter().map(|(key, _)| key).collect();
                one.site.shared.common.note_many(sent, &keys, &answers);
                answers
            }
            _ => all_fail(Common::left_alone),
        };
        let asked = self.ones.iter_mut();
        let asked = asked.filter(|one| matches!(one.step, Step::Ask(_)));
        // All leases first: a codec that panics shall leave none behind.
        for (one, answer) in asked.zip(answers) {
            one.answered(answer, now, &lead);
        }
        self.settle_all();
    }

    /// Those that are to be created.
    fn take_led(&mut self) -> Vec<One<'a, T, S, C, L>> {
        let all = std::mem::take(&mut self.ones).into_iter();
        let (led, others) = all.partition(|one| matches!(one.step, Step::Create { .. }));
        self.ones = others;
        led
    }

    /// For which lease to sleep, and for how long: for that which ends, or is asked for, first.
    fn nap(&self) -> Option<Nap> {
        let naps = self.ones.iter().filter_map(|one| match one.step {
            Step::Nap { fence, poll, until } => Some(Nap {
                key: one.site.key().clone(),
                fence,
                poll,
                until,
            }),
            _ => None,
        });
        naps.min_by_key(|nap| nap.poll.min(nap.until))
    }

    /// It was slept: those for which it was are asked for once more.
    fn woke(&mut self, now: Tick) {
        for one in &mut self.ones {
            if matches!(one.step, Step::Nap { .. }) {
                one.step = one.machine.ask(now);
            }
        }
        self.settle_all();
    }

    /// The keys that another call of this process is at.
    fn left(&self) -> Vec<usize> {
        let answers = self.answers.iter().enumerate();
        let left = answers.filter(|(_, answer)| answer.is_none());
        left.map(|(at, _)| at).collect()
    }

    fn answers(self) -> Vec<Answered<'a, T, E>> {
        let answers = self.answers.into_iter();
        let answers: Vec<_> = answers
            .map(|answer| answer.expect("it goes on until all are"))
            .collect();
        if answers.len() == self.named.len() {
            return answers;
        }
        let again = |at: &usize| match &answers[*at] {
            Ok(guard) => Ok(guard.again()),
            Err(error) => Err(error.again()),
        };
        self.named.iter().map(again).collect()
    }
}

struct Nap {
    key: Key,
    fence: Version,
    poll: Duration,
    until: Duration,
}

impl<'a, T: Send + Sync + 'static, S, C: Codec<T>, L> One<'a, T, S, C, L> {
    fn answered(
        &mut self,
        answer: Answer<Found>,
        now: Tick,
        lead: impl Fn(&Arc<Site<T, S, C>>, Lease, &Arc<Vigil>) -> L,
    ) {
        let creating = self.here.creating();
        self.lost_here |= self.site.heard(&creating, &answer);
        self.step = self.machine.answered(answer, now);
        if let Step::Create {
            lease: Some(lease), ..
        } = &self.step
        {
            let vigil = Vigil::of(Some(lease));
            self.there = Some(There {
                lease: *lease,
                leading: lead(&self.site, *lease, &vigil),
                vigil,
            });
        }
    }

    /// Goes on as far as that needs nobody else. `Err`: it is answered.
    fn settle<E: Send + Sync + 'static>(mut self) -> Result<Self, (usize, Answered<'a, T, E>)> {
        loop {
            self.step = match self.step {
                Step::End(end) => {
                    let previous = self.here.previous();
                    match self.site.end(end, previous.as_ref(), self.since.mark) {
                        Ok(given) => return Err((self.at, publish(self.here, given))),
                        Err(version) => {
                            let now = self.site.shared.common.now();
                            self.machine.refuse(version, now)
                        }
                    }
                }
                step => {
                    self.step = step;
                    if let Step::Create { stale, .. } = &self.step {
                        let (stale, floor) = (stale.as_ref(), self.machine.floor());
                        let creating = self.here.creating();
                        self.lost_here |= self.site.lend(&creating, stale, floor, self.since);
                    }
                    return Ok(self);
                }
            };
        }
    }

    /// What is needed when it was created: who it is, and what the store granted.
    fn granted(&mut self) -> (Granted, Option<L>) {
        let there = self.there.take();
        let stale: Option<Stored> = match &mut self.step {
            Step::Create { stale, .. } => stale.take(),
            _ => None,
        };
        let granted = Granted {
            lease: there.as_ref().map(|there| there.lease),
            stale,
            lost_here: self.lost_here,
        };
        (granted, there.map(|there| there.leading))
    }
}

/// Ends the lease in this process, and says what its caller is answered.
fn publish<'a, T: Send + Sync + 'static, E: Send + Sync + 'static>(
    here: Here<'_, Entry<T>>,
    given: Result<Given<T>, Fail>,
) -> Answered<'a, T, E> {
    match given {
        // Whether it became the current value or not, this caller began before.
        Ok(given) => Ok(FleetGuard::owned(match here.publish(given) {
            Ok(entry) => entry,
            Err(superseded) => superseded.into_owned(),
        })),
        Err(fail) => Err(here.fail(fail).into()),
    }
}

/// Those that are being created, each with its key.
struct Led<'a, 'k, T, S, C, L, Q: ?Sized> {
    wanted: Vec<&'k Q>,
    at: HashMap<&'k Q, usize>,
    ones: Vec<Option<One<'a, T, S, C, L>>>,
}

impl<'a, 'k, T, S, C, L, Q: Eq + Hash + ?Sized> Led<'a, 'k, T, S, C, L, Q> {
    fn new(keys: &[&'k Q], ones: Vec<One<'a, T, S, C, L>>) -> Self {
        let wanted: Vec<_> = ones.iter().map(|one| keys[one.at]).collect();
        for one in &ones {
            one.site.shared.common.count(|counts| &counts.creations);
        }
        Self {
            at: wanted.iter().copied().zip(0..).collect(),
            wanted,
            ones: ones.into_iter().map(Some).collect(),
        }
    }

    /// Runs a part of the creator: the thread counts as inside of each creation that has not ended.
    fn run<R>(&self, part: impl FnOnce() -> R) -> R {
        let here: Vec<_> = self.ones.iter().flatten().map(|one| &one.here).collect();
        Here::run_all(&here, part)
    }

    /// One that was made. `None`: it was not wanted, or came before.
    fn take(&mut self, key: &Q) -> Option<One<'a, T, S, C, L>> {
        self.ones[*self.at.get(key)?].take()
    }

    fn rest(&mut self) -> Vec<One<'a, T, S, C, L>> {
        std::mem::take(&mut self.ones)
            .into_iter()
            .flatten()
            .collect()
    }
}

/// What a creator made of one key alone.
fn of_one<K: Borrow<Q>, Q: Eq + ?Sized, T, E: Send + Sync + 'static>(
    key: &Q,
    made: Result<impl IntoIterator<Item = (K, Result<T, E>)>, E>,
) -> Result<T, Fail> {
    let mut made = made.map_err(Fail::create)?.into_iter();
    let own = made.find(|(of, _)| of.borrow() == key);
    own.ok_or(Fail::Missing)?.1.map_err(Fail::create)
}

/// A creator that cannot fail, as one that can.
fn infallible<K, T, I: IntoIterator<Item = (K, T)>>(
    made: I,
) -> Result<impl Iterator<Item = (K, Result<T, Infallible>)>, Infallible> {
    Ok(made.into_iter().map(|(key, value)| (key, Ok(value))))
}

/// # Several keys, by calls that block
impl<K: KeyBytes, T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetKeyed<K, T, S, C> {
    /// The values of several keys, one answer for each key, in order. The store is asked once for all
    /// that are missing or stale here. Of these `create` is called for those that this call is to create,
    /// once for all of them, and makes them in any order. Each is stored, and handed to who waits for it,
    /// as it comes.
    ///
    /// Keys that others create meanwhile, here and elsewhere, are waited for at last. If such a creation
    /// is given up, `create` is called once more.
    ///
    /// # Errors
    ///
    /// For each key [`FleetError`]. An error concerns its key alone; [`FleetError::Missing`] is that of
    /// a key that the creator left out.
    ///
    /// # Panics
    ///
    /// If `create` or what it returns does. Keys that it has made before are stored. Whoever waits for
    /// another one is told that nobody may create for a while.
    ///
    /// # Cost
    ///
    /// One request, and one write for each key that is created.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile_fleet::{FleetKeyed, MemoryStore};
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let minute = Duration::from_secs(60);
    /// let names = FleetKeyed::<u64, String, _>::builder(store, "names", minute).build();
    /// names.set(2, "Berta".to_owned())?;
    /// let answers = names.get_or_try_create_multi(&[1, 2, 3], |wanted| {
    ///     // One query for all that are missing.
    ///     assert_eq!(wanted, [&1, &3]);
    ///     let found = [(1, Ok("Anton".to_owned())), (3, Err("no such user"))];
    ///     Ok(found)
    /// });
    /// assert_eq!(**answers[0].as_ref().unwrap(), "Anton");
    /// assert_eq!(**answers[1].as_ref().unwrap(), "Berta");
    /// assert_eq!(answers[2].as_ref().unwrap_err().created(), Some(&"no such user"));
    /// # Ok::<_, dogpile_fleet::WriteError>(())
    /// ```
    pub fn get_or_try_create_multi<'k, Q, E, I>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(&[&'k Q]) -> Result<I, E>,
    ) -> Vec<Result<FleetGuard<'_, T>, FleetError<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<T, E>)>,
    {
        let shared = &self.many.shared;
        let common = &shared.common;
        let mut all = Several::new(self, keys);
        loop {
            let now = common.now();
            let turn = shared
                .asks
                .as_ref()
                .filter(|_| all.is_asking())
                .map(|asks| asks.enter());
            let asks = all.asks();
            if !asks.is_empty() {
                // It may have failed while this call waited for its turn.
                let answers = common.ask().ok().map(|sent| {
                    all.tell_asks();
                    (sent, shared.store.get_or_lease_many(&asks))
                });
                drop(turn);
                all.answered(&asks, answers, now, thread::Leading::new);
                continue;
            }
            let led = all.take_led();
            if !led.is_empty() {
                let led = Led::new(&all.keys, led);
                create_all(led, &mut create, |at, answer| {
                    all.answers[at] = Some(answer)
                });
                continue;
            }
            let Some(nap) = all.nap() else {
                break;
            };
            common.count(|counts| &counts.naps);
            shared.store.nap(&nap.key, nap.fence, nap.poll, nap.until);
            all.woke(common.now());
        }
        for at in all.left() {
            let key = all.keys[at];
            let call = self.call(key);
            all.answers[at] = Some(call.regenerate(|_| of_one(key, create(&[key]))));
        }
        all.answers()
    }

    /// As [`get_or_try_create_multi`](FleetKeyed::get_or_try_create_multi), for a creator that cannot
    /// fail.
    ///
    /// # Errors
    ///
    /// For each key [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` or what it returns does.
    pub fn get_or_create_multi<'k, Q, I>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(&[&'k Q]) -> I,
    ) -> Vec<Result<FleetGuard<'_, T>, FleetError<Infallible>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        I: IntoIterator<Item = (K, T)>,
    {
        self.get_or_try_create_multi(keys, |wanted| infallible(create(wanted)))
    }
}

/// Creates all that are led, and publishes each as it comes.
fn create_all<'a, 'k, K, T, S, C, Q, E, I>(
    mut led: Led<'a, 'k, T, S, C, thread::Leading<S>, Q>,
    create: &mut impl FnMut(&[&'k Q]) -> Result<I, E>,
    mut told: impl FnMut(usize, Answered<'a, T, E>),
) where
    K: Borrow<Q>,
    T: Send + Sync + 'static,
    S: Store,
    C: Codec<T>,
    Q: Eq + Hash + ?Sized,
    E: Send + Sync + 'static,
    I: IntoIterator<Item = (K, Result<T, E>)>,
{
    let Some(first) = led.ones.iter().flatten().next() else {
        return;
    };
    let began = first.site.shared.common.now();
    let mut end = |mut one: One<'a, T, S, C, thread::Leading<S>>, result| {
        let (granted, leading) = one.granted();
        let previous = one.here.previous();
        let site = &one.site;
        let given = site.made_by_thread(result, began, leading, granted, previous.as_ref(), TERMS);
        told(one.at, publish(one.here, given));
    };
    let rest = match led.run(|| create(&led.wanted)) {
        Ok(made) => {
            // The iterator is the creator's too.
            let mut made = led.run(|| made.into_iter());
            while let Some((key, result)) = led.run(|| made.next()) {
                // A key that was not wanted, or came before, is nobody's.
                if let Some(one) = led.take(key.borrow()) {
                    end(one, result.map_err(Fail::create));
                }
            }
            Fail::Missing
        }
        Err(error) => Fail::create(error),
    };
    for one in led.rest() {
        end(one, Err(rest.clone()));
    }
}

/// # Several keys, by calls that await
impl<K: KeyBytes, T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> FleetKeyed<K, T, S, C> {
    /// As [`get_or_try_create_multi`](FleetKeyed::get_or_try_create_multi), for tasks.
    ///
    /// # Errors
    ///
    /// For each key [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create`, its future or what that returns does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The leases that it holds are given up, here and at the
    /// store.
    pub async fn get_or_try_create_multi_async<'a, 'k, Q, E, I, F>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(Vec<&'k Q>) -> F,
    ) -> Vec<Result<FleetGuard<'a, T>, FleetError<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<T, E>)>,
        F: Future<Output = Result<I, E>>,
    {
        let shared = &self.many.shared;
        let common = &shared.common;
        let mut all = Several::new(self, keys);
        loop {
            let now = common.now();
            let turn = match &shared.asks {
                Some(asks) if all.is_asking() => Some(asks.enter_async().await),
                _ => None,
            };
            let asks = all.asks();
            if !asks.is_empty() {
                // It may have failed while this call waited for its turn.
                let answers = match common.ask() {
                    Ok(sent) => {
                        all.tell_asks();
                        Some((sent, shared.store.get_or_lease_many(&asks).await))
                    }
                    Err(_) => None,
                };
                drop(turn);
                all.answered(&asks, answers, now, task::Leading::new);
                continue;
            }
            let led = all.take_led();
            if !led.is_empty() {
                let led = Led::new(&all.keys, led);
                for (at, answer) in create_all_async(led, &mut create).await {
                    all.answers[at] = Some(answer);
                }
                continue;
            }
            let Some(nap) = all.nap() else {
                break;
            };
            common.count(|counts| &counts.naps);
            let store = &shared.store;
            store.nap(&nap.key, nap.fence, nap.poll, nap.until).await;
            all.woke(common.now());
        }
        for at in all.left() {
            let key = all.keys[at];
            let call = self.call(key);
            let create = |_| {
                let made = create(vec![key]);
                async { of_one(key, made.await) }
            };
            all.answers[at] = Some(call.regenerate_async(create).await);
        }
        all.answers()
    }

    /// As [`get_or_create_multi`](FleetKeyed::get_or_create_multi), for tasks.
    ///
    /// # Errors
    ///
    /// For each key [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create`, its future or what that returns does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_try_create_multi_async`](FleetKeyed::get_or_try_create_multi_async).
    pub async fn get_or_create_multi_async<'a, 'k, Q, I, F>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(Vec<&'k Q>) -> F,
    ) -> Vec<Result<FleetGuard<'a, T>, FleetError<Infallible>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        I: IntoIterator<Item = (K, T)>,
        F: Future<Output = I>,
    {
        let create = |wanted| {
            let made = create(wanted);
            async { infallible(made.await) }
        };
        self.get_or_try_create_multi_async(keys, create).await
    }
}

/// As [`create_all`], for tasks: all leases are renewed beside the creator, each until it has ended.
async fn create_all_async<'a, 'k, K, T, S, C, Q, E, I, F>(
    mut led: Led<'a, 'k, T, S, C, task::Leading<T, S, C>, Q>,
    create: &mut impl FnMut(Vec<&'k Q>) -> F,
) -> Vec<(usize, Answered<'a, T, E>)>
where
    K: Borrow<Q>,
    T: Send + Sync + 'static,
    S: AsyncStore,
    C: Codec<T>,
    Q: Eq + Hash + ?Sized,
    E: Send + Sync + 'static,
    I: IntoIterator<Item = (K, Result<T, E>)>,
    F: Future<Output = Result<I, E>>,
{
    let mut answers = Vec::with_capacity(led.wanted.len());
    let Some(first) = led.ones.iter().flatten().next() else {
        return answers;
    };
    let shared = Arc::clone(&first.site.shared);
    let began = shared.common.now();
    let renewals: Vec<_> = (led.ones.iter().flatten())
        .filter_map(|one| {
            let There { lease, vigil, .. } = one.there.as_ref()?;
            Some((Arc::clone(&one.site), *lease, Arc::clone(vigil)))
        })
        .collect();
    let creations = async {
        let creation = led.run(|| create(led.wanted.clone()));
        let mut creation = pin!(creation);
        let made = poll_fn(|context| led.run(|| creation.as_mut().poll(context))).await;
        let (mut made, rest) = match made {
            Ok(made) => (Some(led.run(|| made.into_iter())), Fail::Missing),
            Err(error) => (None, Fail::create(error)),
        };
        loop {
            let next = made.as_mut().and_then(|made| led.run(|| made.next()));
            let (one, result) = match next {
                Some((key, result)) => match led.take(key.borrow()) {
                    Some(one) => (one, result.map_err(Fail::create)),
                    // A key that was not wanted, or came before, is nobody's.
                    None => continue,
                },
                None => {
                    // What is left fails.
                    let left = led.ones.iter_mut().find_map(Option::take);
                    match left {
                        Some(one) => (one, Err(rest.clone())),
                        None => break,
                    }
                }
            };
            let mut one = one;
            let (granted, leading) = one.granted();
            let previous = one.here.previous();
            let (site, previous) = (&one.site, previous.as_ref());
            let given = site.made_by_task(result, began, leading, granted, previous, TERMS);
            let given = given.await;
            answers.push((one.at, publish(one.here, given)));
        }
    };
    let renew = async {
        if shared.abilities.sees_death {
            return;
        }
        let span = shared.policy.lease;
        let cap = began.saturating_add(shared.policy.max_create.saturating_sub(span));
        let mut open: Vec<_> = renewals.iter().collect();
        while !open.is_empty() {
            shared.store.pause(span / 3).await;
            for renewal in std::mem::take(&mut open) {
                let (site, lease, vigil) = renewal;
                if site.renew_once(lease, vigil, cap).await {
                    open.push(renewal);
                }
            }
        }
    };
    beside(creations, renew).await;
    answers
}
