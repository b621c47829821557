//! Calls for several keys at once.
//!
//! Each key has an election of its own, as in a call for that key alone. They are stepped together: first
//! all of them as far as they come without waiting; then the creator is called once for all keys that
//! the call was elected for; and only when it has published or given back all leases it waits for the
//! creations of others. So nobody waits while holding a lease, and calls cannot wait for each other in a
//! circle, in whatever order they name their keys.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::panic::resume_unwind;
use std::time::Duration;

use crate::answer::{Caller, Created, Guard, Lease};
use crate::call::Call;
#[cfg(feature = "async")]
use crate::call::election::Report;
use crate::call::election::{Election, Failures, Role, Step, Stop};
use crate::call::thread::Sleeper as _;
#[cfg(feature = "async")]
use crate::error::Refused;
use crate::error::{Error, Failure, Missing, Panicked};
use crate::keyed::call::Asked;
use crate::keyed::cycles::Watched;
use crate::keyed::entry::Visit;
use crate::keyed::turns::{InTurn, Turn};
use crate::keyed::{KeyedDogpile, KeyedGuard};
use crate::raw::Event;
use crate::reentrancy::{self, Creation, Identity, Inside};
use crate::shim::{Arc, Ran, run};
use crate::time::Tick;

impl<K: Eq + Hash, T, S: BuildHasher> KeyedDogpile<K, T, S> {
    /// The values of several keys, those that are missing, gone or stale made together.
    ///
    /// `create` is called with the keys that this call was elected for, and returns their values in any
    /// order, each with its key. Each is published when it is taken from what `create` returns, so an
    /// iterator that makes them one by one lets others have them one by one. What is created by other
    /// callers, this call waits for afterwards. If one of those creations was given up, `create` may be
    /// called once more, for that key.
    ///
    /// The answers are in the order of `keys`, and `None` for a key that `create` left out. Whoever waited
    /// for that key with a fallible form is told [`Error::Missing`]. A key may be named twice.
    ///
    /// # Panics
    ///
    /// If `create` does. If called from inside the creator of one of the keys while no value of it can be
    /// had: [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi) returns that as an error.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(2, 4);
    /// let answers = squares.get_or_create_multi(&[1, 2, 3], |wanted| {
    ///     assert_eq!(wanted, [&1, &3]);
    ///     wanted.iter().map(|root| (**root, **root * **root)).collect::<Vec<_>>()
    /// });
    /// let answers: Vec<u32> = answers.into_iter().map(|square| *square.unwrap()).collect();
    /// assert_eq!(answers, [1, 4, 9]);
    /// ```
    #[track_caller]
    pub fn get_or_create_multi<'k, Q, V, I>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(&[&'k Q]) -> I,
    ) -> Vec<Option<KeyedGuard<'_, K, T>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        I: IntoIterator<Item = (K, V)>,
    {
        let answers = self.multi(keys, None, Failures::Pressed, |wanted| {
            let created = create(wanted).into_iter();
            Ok::<_, Infallible>(created.map(|(key, value)| (key, Ok(value))))
        });
        let answer = |answer: Result<_, Error<Infallible>>| match answer {
            Ok(guard) => Some(guard),
            Err(Error::Missing) => None,
            Err(error) => {
                panic!(
                    "KeyedDogpile::get_or_create_multi: {error} (get_or_try_create_multi returns this as \
                     an error)"
                )
            }
        };
        answers.into_iter().map(answer).collect()
    }

    /// The values of several keys, those that are missing, gone or stale made together, if they can be.
    ///
    /// As [`get_or_create_multi`](KeyedDogpile::get_or_create_multi). An error of `create` itself goes to
    /// all keys that it was called for, and to those who waited for them with a fallible form. An error
    /// that it returns for one key concerns that key alone.
    ///
    /// # Errors
    ///
    /// For each key those of [`get_or_try_create`](KeyedDogpile::get_or_try_create), and
    /// [`Error::Missing`] if it was left out.
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let numbers = KeyedDogpile::<String, u32>::new(Duration::from_secs(60));
    /// let answers = numbers.get_or_try_create_multi(["7", "seven"], |wanted| {
    ///     let parse = |text: &&str| (text.to_string(), text.parse::<u32>());
    ///     Ok(wanted.iter().map(parse).collect::<Vec<_>>())
    /// });
    /// assert_eq!(**answers[0].as_ref().unwrap(), 7);
    /// assert!(answers[1].as_ref().is_err_and(|error| error.is_failed()));
    /// ```
    pub fn get_or_try_create_multi<'k, Q, V, E, I>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        create: impl FnMut(&[&'k Q]) -> Result<I, E>,
    ) -> Vec<Result<KeyedGuard<'_, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
    {
        self.multi(keys, None, Failures::Taken, create)
    }

    /// As [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi), waiting for the creations of
    /// others for `limit` at most, in all.
    ///
    /// # Errors
    ///
    /// For each key those of [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi), and
    /// [`Error::TimedOut`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn get_or_try_create_multi_for<'k, Q, V, E, I>(
        &self,
        limit: Duration,
        keys: impl IntoIterator<Item = &'k Q>,
        create: impl FnMut(&[&'k Q]) -> Result<I, E>,
    ) -> Vec<Result<KeyedGuard<'_, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
    {
        self.multi(keys, Some(limit), Failures::Taken, create)
    }

    fn multi<'k, Q, V, E, I>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        limit: Option<Duration>,
        failures: Failures,
        mut create: impl FnMut(&[&'k Q]) -> Result<I, E>,
    ) -> Vec<Result<KeyedGuard<'_, K, T>, Error<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
    {
        let time = &self.shared.settings().time;
        let asked = Asked::waiting(limit);
        let mut deadline = limit.map(|limit| time.now().saturating_add(limit));
        let mut keys = Keys::of(keys);
        let open = keys.take_hits(|key| self.call(key).hit());
        let visits = self.visit_several(&open);
        let turn = self.shared.turn();
        let election = |source| Election::new(Caller::Thread, Role::Creates, failures, source);
        let mut all = Several::new(&visits, asked, turn, election);
        loop {
            let leases = all.step();
            if !leases.is_empty() {
                let since = deadline.map(|_| time.now());
                let wanted: Vec<_> = leases.iter().map(|(at, _)| open[*at]).collect();
                let created = all.run(&leases, || create(&wanted));
                all.publish(leases, &wanted, created);
                // Only waiting is limited.
                deadline = paused(deadline, since, time.now());
                continue;
            }
            let Some(awaited) = all.awaited() else {
                break;
            };
            let Awaited {
                event, creation, ..
            } = &awaited;
            all.wait(&awaited, deadline, |until| {
                Watched(&*self.shared).sleep(event, *creation, time, until)
            });
        }
        keys.answers(all.end())
    }

    /// A visit at each of these keys.
    pub(super) fn visit_several<Q>(&self, keys: &[&Q]) -> Vec<Visit<K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let visit = |key: &&Q| {
            let own = || (**key).to_owned();
            self.shared.enter(self.hash(*key), *key, own)
        };
        keys.iter().map(visit).collect()
    }
}

/// When a call stops waiting that was at something else since then.
pub(super) fn paused(deadline: Option<Tick>, since: Option<Tick>, now: Tick) -> Option<Tick> {
    Some(deadline?.saturating_add(now.saturating_since(since?)))
}

/// The keys of a call, and which are the same.
pub(super) struct Keys<'a, 'k, K, T, Q: ?Sized> {
    distinct: Vec<&'k Q>,
    /// For each key that was named, which of the distinct ones it is.
    named: Vec<usize>,
    /// For each of the distinct ones, its value, if it was there at once.
    hits: Vec<Option<KeyedGuard<'a, K, T>>>,
}

impl<'a, 'k, K, T, Q: Eq + Hash + ?Sized> Keys<'a, 'k, K, T, Q> {
    pub(super) fn of(keys: impl IntoIterator<Item = &'k Q>) -> Self {
        let mut known = HashMap::new();
        let mut distinct = Vec::new();
        let name = |key: &'k Q| {
            *known.entry(key).or_insert_with(|| {
                distinct.push(key);
                distinct.len() - 1
            })
        };
        let named = keys.into_iter().map(name).collect();
        Self {
            distinct,
            named,
            hits: Vec::new(),
        }
    }

    /// Looks for the values that are there at once. The other keys.
    pub(super) fn take_hits(
        &mut self,
        hit: impl Fn(&'k Q) -> Option<KeyedGuard<'a, K, T>>,
    ) -> Vec<&'k Q> {
        self.hits = self.distinct.iter().map(|key| hit(key)).collect();
        let is_open = self.hits.iter().map(Option::is_none);
        let open = self.distinct.iter().zip(is_open);
        open.filter(|(_, is_open)| *is_open)
            .map(|(key, _)| *key)
            .collect()
    }

    /// The same answer for each of those that were named.
    #[cfg(feature = "async")]
    pub(super) fn all<E>(
        self,
        answer: impl Fn() -> Result<KeyedGuard<'a, K, T>, Error<E>>,
    ) -> Vec<Result<KeyedGuard<'a, K, T>, Error<E>>> {
        self.named.iter().map(|_| answer()).collect()
    }

    /// The answers in the order in which the keys were named, from those of the open ones.
    pub(super) fn answers<E>(
        self,
        open: Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>,
    ) -> Vec<Result<KeyedGuard<'a, K, T>, Error<E>>> {
        let mut open = open.into_iter();
        let answer = |hit: Option<_>| hit.map(Ok).or_else(|| open.next());
        let answers: Vec<_> = self.hits.into_iter().filter_map(answer).collect();
        if self.named.len() == self.distinct.len() {
            return answers;
        }
        let again = |at: &usize| match &answers[*at] {
            Ok(guard) => Ok(guard.again()),
            Err(error) => Err(error.again()),
        };
        self.named.iter().map(again).collect()
    }
}

type OneElection<'v, T> = Election<'v, T, (), InTurn, Guard<'v, T>>;

/// One of the keys.
struct One<'v, K, T, E> {
    visit: &'v Visit<K, T>,
    call: Call<'v, T>,
    election: OneElection<'v, T>,
    answer: Option<Result<Guard<'v, T>, Error<E>>>,
}

impl<'v, K, T, E: Send + Sync + 'static> One<'v, K, T, E> {
    /// Goes on as far as can be without waiting. The lease, if it was granted.
    fn go_on(&mut self) -> Option<Lease<'v, T>> {
        let step = self.election.step(&self.call);
        self.comes_to(step)
    }

    fn comes_to(&mut self, step: Step<'v, T, Guard<'v, T>>) -> Option<Lease<'v, T>> {
        match step {
            Step::Answer(guard) => self.answer = Some(Ok(guard)),
            Step::Stop(stop) => self.answer = Some(Err(stop.into_error())),
            Step::Create(mut lease) => {
                lease.tell_begin();
                return Some(lease);
            }
            Step::Wait => {}
            Step::LookUp | Step::NotYet(_) => {
                unreachable!("nothing is looked up, and no lease is lent")
            }
        }
        None
    }

    /// Its creation has ended.
    fn told(&mut self, made: Result<Guard<'v, T>, Error<E>>) {
        match made {
            Ok(guard) => {
                if let Some(step) = self.election.created(&self.call, guard) {
                    self.comes_to(step);
                }
            }
            Err(Error::Missing) => self.answer = Some(Err(Error::Missing)),
            Err(error) => self.answer = Some(self.election.failed(&self.call, error)),
        }
    }
}

/// The keys that a call asks for, each as far as it has come.
pub(super) struct Several<'v, K, T, E> {
    keys: Vec<One<'v, K, T, E>>,
    /// One turn for all of them.
    turn: Turn,
}

/// What a call waits for next: the end of a creation, or its turn.
pub(super) struct Awaited {
    /// Of which of the keys.
    pub(super) at: usize,
    pub(super) event: Arc<Event>,
    pub(super) creation: Option<Creation>,
}

impl<'v, K: 'v, T, E: Send + Sync + 'static> Several<'v, K, T, E> {
    pub(super) fn new(
        visits: impl IntoIterator<Item = &'v Visit<K, T>>,
        asked: Asked,
        turn: Turn,
        election: impl Fn(InTurn) -> OneElection<'v, T>,
    ) -> Self {
        let one = |visit: &'v Visit<K, T>| One {
            visit,
            call: asked.of(visit.site()),
            election: election(turn.source()),
            answer: None,
        };
        let keys = visits.into_iter().map(one).collect();
        Self { keys, turn }
    }

    /// Goes on with all keys as far as can be without waiting. The leases that were granted, and whose
    /// they are.
    pub(super) fn step(&mut self) -> Vec<(usize, Lease<'v, T>)> {
        let mut leases = Vec::new();
        for (at, one) in self.keys.iter_mut().enumerate() {
            if one.answer.is_none() {
                leases.extend(one.go_on().map(|lease| (at, lease)));
            }
        }
        if leases.is_empty() {
            self.turn.end();
        }
        leases
    }

    /// What whoever runs the creator under these leases is inside.
    pub(super) fn creations(&self, leases: &[(usize, Lease<'_, T>)]) -> Vec<reentrancy::Watched> {
        inside(leases.iter().map(|(_, lease)| lease), &self.turn)
    }

    /// Runs the creator under these leases.
    fn run<R>(&self, leases: &[(usize, Lease<'_, T>)], create: impl FnOnce() -> R) -> Ran<R> {
        let creations = self.creations(leases);
        let _inside = enter_all(&creations);
        run(create)
    }

    /// What to wait for next.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let mut open = self.keys.iter().enumerate();
        open.find_map(|(at, one)| {
            let event = match one.answer {
                None => Arc::clone(one.election.event()?),
                Some(_) => return None,
            };
            let pile = Identity::of(one.call.site.pile);
            let creation = one.election.awaited().map(|fence| Creation { pile, fence });
            Some(Awaited {
                at,
                event,
                creation,
            })
        })
    }

    /// From when on a lease may be taken over that one of them waits for.
    pub(super) fn overdue_from(&self) -> Option<Tick> {
        let open = self.keys.iter().filter(|one| one.answer.is_none());
        open.filter_map(|one| one.election.overdue_from(&one.call))
            .min()
    }

    /// Has `sleep` wait, until a lease may be taken over or the time is over.
    pub(super) fn wait(
        &mut self,
        awaited: &Awaited,
        deadline: Option<Tick>,
        sleep: impl FnOnce(Option<Tick>) -> Result<bool, Stop>,
    ) {
        let overdue = self.overdue_from();
        // Taking over comes first, if both come at once.
        let takes_over = overdue.filter(|overdue| *overdue <= deadline.unwrap_or(Tick::MAX));
        match sleep(takes_over.or(deadline)) {
            Ok(set) if set || takes_over.is_some() => {}
            Ok(_) => self.timed_out(),
            Err(stop) => self.may_not_wait(awaited.at, stop),
        }
    }

    /// The time to wait is over, for all of them.
    pub(super) fn timed_out(&mut self) {
        for one in self.keys.iter_mut().filter(|one| one.answer.is_none()) {
            let step = one.election.timed_out(&one.call);
            one.comes_to(step);
        }
    }

    /// It may not wait for this one.
    pub(super) fn may_not_wait(&mut self, at: usize, why: Stop) {
        let one = &mut self.keys[at];
        let step = one.election.may_not_wait(&one.call, why);
        one.comes_to(step);
    }

    /// Ends the leases with what the creator of these keys made.
    pub(super) fn publish<Q, V, I>(
        &mut self,
        leases: Vec<(usize, Lease<'v, T>)>,
        wanted: &[&Q],
        created: Ran<Result<I, E>>,
    ) where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Into<Created<T>>,
        I: IntoIterator<Item = (K, Result<V, E>)>,
    {
        let held = Held::new(leases, wanted, &self.turn);
        held.end(created, |at, made| self.keys[at].told(made));
        self.turn.end();
    }

    /// The answers, one for each key.
    pub(super) fn end<'a>(self) -> Vec<Result<KeyedGuard<'a, K, T>, Error<E>>> {
        let answer = |one: One<'v, K, T, E>| {
            let answer = one.answer.expect("it goes on until all are answered");
            answer.map(|guard| KeyedGuard::new(guard, one.visit.entry()))
        };
        self.keys.into_iter().map(answer).collect()
    }
}

/// Calls whose creations run in a job.
#[cfg(feature = "async")]
impl<K, T, E: Send + Sync + 'static> Several<'_, K, T, E> {
    /// How the job is to tell whether it began.
    pub(super) fn report(&self, at: usize) -> Arc<Report> {
        self.keys[at].election.report().expect("it starts a job")
    }

    /// The turn of the job that creates now.
    pub(super) fn hand_turn_over(&self) -> Turn {
        self.turn.hand_over()
    }

    /// The job of these was refused. Who has something to go on with does.
    pub(super) fn are_refused(&mut self, whose: Vec<usize>, refused: &Refused) {
        for at in whose {
            let one = &mut self.keys[at];
            if !one.election.goes_on() {
                one.told(Err(Error::Refused(refused.again())));
            }
        }
    }
}

/// What whoever runs the creator under these leases is inside.
fn inside<'l, 'v: 'l, T: 'v>(
    leases: impl Iterator<Item = &'l Lease<'v, T>>,
    turn: &Turn,
) -> Vec<reentrancy::Watched> {
    let turn = turn.creation().map(|creation| (creation, None));
    leases.map(Lease::watched).chain(turn).collect()
}

/// The leases that are held, by their keys.
pub(super) struct Held<'w, 'v, Q: ?Sized, T> {
    at: HashMap<&'w Q, usize>,
    leases: Vec<Option<(usize, Lease<'v, T>)>>,
    turn: &'w Turn,
}

impl<'w, 'v, Q: Eq + Hash + ?Sized, T> Held<'w, 'v, Q, T> {
    pub(super) fn new(
        leases: Vec<(usize, Lease<'v, T>)>,
        wanted: &[&'w Q],
        turn: &'w Turn,
    ) -> Self {
        Self {
            turn,
            at: wanted.iter().copied().zip(0..).collect(),
            leases: leases.into_iter().map(Some).collect(),
        }
    }

    /// What whoever runs the creator is inside.
    pub(super) fn creations(&self) -> Vec<reentrancy::Watched> {
        let held = self.leases.iter().flatten();
        inside(held.map(|(_, lease)| lease), self.turn)
    }

    /// Ends all leases with what the creator made, one by one as that comes. `told` is what came of each.
    ///
    /// # Panics
    ///
    /// As the creator did, or its iterator does.
    pub(super) fn end<K, V, I, E>(
        mut self,
        created: Ran<Result<I, E>>,
        mut told: impl FnMut(usize, Result<Guard<'v, T>, Error<E>>),
    ) where
        K: Borrow<Q>,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
    {
        let created = match created {
            Ok(Ok(created)) => created,
            Ok(Err(error)) => {
                let error = Arc::new(error);
                for (at, lease) in self.leases() {
                    lease.fail_as(Failure::new(Arc::clone(&error)));
                    told(at, Err(Error::Create(Arc::clone(&error))));
                }
                return;
            }
            Err(panic) => self.burst(panic),
        };
        // The iterator is the creator's too.
        let mut created = match self.run(|| created.into_iter()) {
            Ok(created) => created,
            Err(panic) => self.burst(panic),
        };
        loop {
            let next = match self.run(|| created.next()) {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(panic) => self.burst(panic),
            };
            // A key that was not wanted, or came before, is nobody's.
            let Some((at, lease)) = self.take(next.0.borrow()) else {
                continue;
            };
            told(
                at,
                match next.1 {
                    Err(error) => Err(lease.fail(error)),
                    Ok(value) => Ok(lease.publish_ready(value.into())),
                },
            );
        }
        for (at, lease) in self.leases() {
            lease.fail_as(Failure::new(Arc::new(Missing)));
            told(at, Err(Error::Missing));
        }
    }

    /// The lease of a key, if it is still held.
    fn take(&mut self, key: &Q) -> Option<(usize, Lease<'v, T>)> {
        self.leases[*self.at.get(key)?].take()
    }

    /// All leases that are still held.
    fn leases(&mut self) -> impl Iterator<Item = (usize, Lease<'v, T>)> + use<'w, 'v, Q, T> {
        std::mem::take(&mut self.leases).into_iter().flatten()
    }

    /// Runs a part of the creator, inside those whose leases are still held.
    fn run<R>(&self, part: impl FnOnce() -> R) -> Ran<R> {
        let creations = self.creations();
        let _inside = enter_all(&creations);
        run(part)
    }

    /// The creator panicked.
    fn burst(&mut self, panic: Box<dyn std::any::Any + Send>) -> ! {
        let panicked = Panicked::new(&*panic);
        for (_, lease) in self.leases() {
            lease.panicked(panicked.clone());
        }
        resume_unwind(panic)
    }
}

fn enter_all(creations: &[reentrancy::Watched]) -> Vec<Inside<'_>> {
    let mut inside = Vec::with_capacity(creations.len());
    for (creation, watch) in creations {
        inside.push(Inside::enter(*creation, watch.as_deref()));
    }
    inside
}
