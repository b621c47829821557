//! The same store for tasks: [`AsyncStore`], and [`Blocking`] to make one of a [`Store`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dogpile::executor::Timer;

use crate::store::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Key, Placed, Put, Store, StoreError,
    Version, Watch, out_of_reach,
};

/// As [`Store`], for tasks. The store brings the timer of its runtime with it.
///
/// # Cancel safety
///
/// A future that is dropped may have done its step or not. One rule: if the future of
/// [`get_or_lease`](AsyncStore::get_or_lease) or of
/// [`get_or_lease_many`](AsyncStore::get_or_lease_many) is dropped, each lease that it is granted all the
/// same is released.
pub trait AsyncStore: Described {
    /// As [`Store::get_or_lease`].
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> impl Future<Output = Answer<Found>> + Send;

    /// As [`Store::get_or_lease_many`].
    fn get_or_lease_many(
        &self,
        asks: &[(Key, Ask)],
    ) -> impl Future<Output = Vec<Answer<Found>>> + Send {
        async move {
            let mut many = Many {
                store: self,
                asks,
                answers: Vec::with_capacity(asks.len()),
            };
            for (key, ask) in asks {
                let answer = match out_of_reach(many.answers.last()) {
                    Some(unasked) => Err(unasked),
                    None => self.get_or_lease(key, ask).await,
                };
                many.answers.push(answer);
            }
            std::mem::take(&mut many.answers)
        }
    }

    /// As [`Store::put`].
    fn put(&self, key: &Key, put: &Put<'_>) -> impl Future<Output = Answer<Placed>> + Send;

    /// As [`Store::renew`].
    fn renew(
        &self,
        key: &Key,
        grant: Grant,
        lease: Duration,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// As [`Store::release`].
    fn release(
        &self,
        key: &Key,
        grant: Grant,
        quiet: Duration,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// As [`Store::invalidate`].
    fn invalidate(
        &self,
        key: &Key,
        depth: Depth,
        only: Version,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// As [`Store::invalidate_all`].
    fn invalidate_all(
        &self,
        namespace: &str,
        depth: Depth,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// As [`Store::nap`].
    fn nap(
        &self,
        key: &Key,
        fence: Version,
        poll: Duration,
        until: Duration,
    ) -> impl Future<Output = ()> + Send;

    /// Sleeps for `span`.
    fn pause(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// Begins to release a lease and does not wait for it: for the `Drop` of a future. `quiet` is as
    /// in [`Store::release`].
    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration);
}

/// The answers of a call for many records. If it is dropped before its end, nobody takes them.
struct Many<'a, S: AsyncStore + ?Sized> {
    store: &'a S,
    asks: &'a [(Key, Ask)],
    answers: Vec<Answer<Found>>,
}

impl<S: AsyncStore + ?Sized> Drop for Many<'_, S> {
    fn drop(&mut self) {
        for (key, grant) in granted(self.asks, &self.answers) {
            self.store.release_soon(key, grant, Duration::ZERO);
        }
    }
}

/// The leases among these answers.
fn granted<'a>(
    asks: &'a [(Key, Ask)],
    answers: &'a [Answer<Found>],
) -> impl Iterator<Item = (&'a Key, Grant)> {
    let pairs = asks.iter().zip(answers);
    pairs.filter_map(|((key, ask), answer)| Some((key, grant(ask, answer)?)))
}

/// The lease in this answer, if there is one.
fn grant(ask: &Ask, answer: &Answer<Found>) -> Option<Grant> {
    match (answer, ask.owner) {
        (Ok(Found::Leased { fence, .. }), Some(owner)) => Some(Grant {
            owner,
            fence: *fence,
        }),
        _ => None,
    }
}

/// A piece of work that blocks, for an executor.
pub type Work = Box<dyn FnOnce() + Send>;

/// Makes an [`AsyncStore`] of a [`Store`], each of whose verbs runs where you say.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use dogpile_fleet::{Blocking, MemoryStore};
///
/// // With tokio: `|work| drop(tokio::task::spawn_blocking(work))`.
/// let store = Blocking::new(Arc::new(MemoryStore::new()), |work| drop(std::thread::spawn(work)));
/// # let _ = Arc::new(store);
/// ```
pub struct Blocking<S> {
    store: Arc<S>,
    run: Arc<dyn Fn(Work) + Send + Sync>,
    timer: Option<Box<dyn Timer>>,
}

impl<S: Store> Blocking<S> {
    /// Runs the verbs of `store` through `run`.
    ///
    /// A nap keeps a thread of `run`. So does a pause, unless there is a
    /// [`timer`](Blocking::timer).
    pub fn new(store: Arc<S>, run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self {
            store,
            run: Arc::new(run),
            timer: None,
        }
    }

    /// Pauses by this timer, such as [`executor::Tokio`](dogpile::executor).
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Some(Box::new(timer));
        self
    }

    /// The store itself.
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    /// Runs one verb. `left` is told what came of it if nobody takes the answer.
    fn call<R: Send + 'static>(
        &self,
        verb: impl FnOnce(&S) -> R + Send + 'static,
        left: impl Fn(&S, R) + Send + Sync + 'static,
    ) -> Reply<R> {
        let slot = Arc::new(Slot::default());
        let sender = Sender(Arc::clone(&slot));
        let left = Arc::new(left);
        let (store, leave) = (Arc::clone(&self.store), Arc::clone(&left));
        (self.run)(Box::new(move || {
            let answer = verb(&store);
            if let Err(answer) = sender.send(answer) {
                leave(&store, answer);
            }
        }));
        // The answer may be there, and the future dropped before it is polled again.
        let (store, run) = (Arc::clone(&self.store), Arc::clone(&self.run));
        Reply {
            slot,
            left: Box::new(move |answer| {
                let (store, left) = (Arc::clone(&store), Arc::clone(&left));
                run(Box::new(move || left(&store, answer)));
            }),
        }
    }
}

impl<S> std::fmt::Debug for Blocking<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

impl<S: Store> Described for Blocking<S> {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.store.watch(watch)
    }
}

fn dropped() -> StoreError {
    StoreError::unavailable("the executor of the store dropped the request")
}

impl<S: Store> AsyncStore for Blocking<S> {
    async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let (own, ask) = (key.clone(), *ask);
        let key = key.clone();
        let answer = self.call(
            move |store| store.get_or_lease(&key, &ask),
            move |store, answer: Answer<Found>| {
                if let Some(grant) = grant(&ask, &answer) {
                    // If that fails, the lease ends by itself.
                    let _ = store.release(&own, grant, Duration::ZERO);
                }
            },
        );
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    /// One piece of work for all of them.
    async fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let own: Arc<[(Key, Ask)]> = asks.into();
        let shared = Arc::clone(&own);
        let answer = self.call(
            move |store| store.get_or_lease_many(&shared),
            move |store, answers: Vec<Answer<Found>>| {
                for (key, grant) in granted(&own, &answers) {
                    // If that fails, the lease ends by itself.
                    let _ = store.release(key, grant, Duration::ZERO);
                }
            },
        );
        let answers = answer.await;
        answers.unwrap_or_else(|| asks.iter().map(|_| Err(dropped())).collect())
    }

    async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let (key, bytes) = (key.clone(), put.bytes.to_vec());
        let put = Put { bytes: &[], ..*put };
        let verb = move |store: &S| {
            store.put(
                &key,
                &Put {
                    bytes: &bytes,
                    ..put
                },
            )
        };
        let answer = self.call(verb, |_, _| ());
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let key = key.clone();
        let answer = self.call(move |store| store.renew(&key, grant, lease), |_, _| ());
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        let key = key.clone();
        let answer = self.call(move |store| store.release(&key, grant, quiet), |_, _| ());
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let key = key.clone();
        let answer = self.call(move |store| store.invalidate(&key, depth, only), |_, _| ());
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let namespace = namespace.to_owned();
        let verb = move |store: &S| store.invalidate_all(&namespace, depth);
        let answer = self.call(verb, |_, _| ());
        answer.await.unwrap_or_else(|| Err(dropped()))
    }

    async fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let key = key.clone();
        let nap = move |store: &S| store.nap(&key, fence, poll, until);
        self.call(nap, |_, ()| ()).await.unwrap_or_default();
    }

    async fn pause(&self, span: Duration) {
        match self.timer.as_ref().and_then(|timer| timer.sleep(span)) {
            Some(sleep) => sleep.await,
            None => {
                let sleep = self.call(move |_| std::thread::sleep(span), |_, ()| ());
                sleep.await.unwrap_or_default();
            }
        }
    }

    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration) {
        let key = key.clone();
        // Nobody waits for it: that is no reason to do anything.
        drop(self.call(move |store| store.release(&key, grant, quiet), |_, _| ()));
    }
}

/// Where the answer of a verb is put.
struct Slot<R>(Mutex<State<R>>);

enum State<R> {
    Waiting(Option<Waker>),
    /// `None`: the work was dropped.
    Answered(Option<R>),
    Left,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self(Mutex::new(State::Waiting(None)))
    }
}

impl<R> Slot<R> {
    fn change<X>(&self, change: impl FnOnce(&mut State<R>) -> X) -> X {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Sender<R>(Arc<Slot<R>>);

impl<R> Sender<R> {
    /// Gives the answer back if nobody waits for it.
    fn send(self, answer: R) -> Result<(), R> {
        self.answer(Some(answer)).map_err(Option::unwrap)
    }

    fn answer(&self, answer: Option<R>) -> Result<(), Option<R>> {
        let waker = self.0.change(|state| match state {
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Answered(answer);
                Ok(waker)
            }
            State::Answered(_) | State::Left => Err(answer),
        })?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<R> Drop for Sender<R> {
    fn drop(&mut self) {
        // Unless it has answered: the work was dropped, or panicked.
        let _ = self.answer(None);
    }
}

struct Reply<R> {
    slot: Arc<Slot<R>>,
    left: Box<dyn Fn(R) + Send>,
}

impl<R> Future for Reply<R> {
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        self.slot.change(|state| match state {
            State::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Answered(answer) => Poll::Ready(answer.take()),
            State::Left => Poll::Ready(None),
        })
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        let before = self
            .slot
            .change(|state| std::mem::replace(state, State::Left));
        if let State::Answered(Some(answer)) = before {
            (self.left)(answer);
        }
    }
}
