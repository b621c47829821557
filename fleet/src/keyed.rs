//! Many keys over one store: [`FleetKeyed`], and how keys are named there.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dogpile::KeyedDogpile;
use dogpile::executor::Executor;

use crate::asks::Asks;
use crate::async_store::AsyncStore;
use crate::attempt::FleetAttempt;
use crate::call::{FleetAccept, FleetCall, FleetKeyCall};
use crate::codec::{Codec, Plain};
use crate::creation::Creation;
use crate::door::AtKey;
use crate::entry::{Entry, FleetGuard};
use crate::error::{FleetError, WriteError};
use crate::family::{Member, Members};
use crate::fleet::FleetBuilder;
use crate::known::{Known, Register};
use crate::observe::FleetEvent;
use crate::shared::{FleetStats, Shared};
use crate::site::{InMap, Place, Site};
use crate::store::{Answer, Depth, Described, Hint, Key, Store, Version, Watch};
use crate::thread::FleetBackground;
use crate::write::{Expected, Swap, only};

/// A key of a [`FleetKeyed`]: what it is called in the store.
///
/// # Example
///
/// ```
/// use dogpile_fleet::KeyBytes;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct User(u64);
///
/// impl KeyBytes for User {
///     fn key_bytes(&self) -> Vec<u8> {
///         self.0.key_bytes()
///     }
/// }
/// ```
pub trait KeyBytes: Eq + Hash + Clone + Send + Sync + 'static {
    /// The bytes that name it. They are the same in all processes, and in all versions of the program.
    /// Keys that are not equal have different ones.
    fn key_bytes(&self) -> Vec<u8>;
}

macro_rules! bytes_of {
    ($($key:ty),*) => {
        $(impl KeyBytes for $key {
            fn key_bytes(&self) -> Vec<u8> {
                AsRef::<[u8]>::as_ref(&**self).to_vec()
            }
        })*
    };
}
bytes_of!(
    String,
    Box<str>,
    Arc<str>,
    Vec<u8>,
    Box<[u8]>,
    Arc<[u8]>,
    &'static str
);

macro_rules! numbers {
    ($($key:ty),*) => {
        $(impl KeyBytes for $key {
            fn key_bytes(&self) -> Vec<u8> {
                self.to_be_bytes().to_vec()
            }
        })*
    };
}
numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl<A: KeyBytes, B: KeyBytes> KeyBytes for (A, B) {
    fn key_bytes(&self) -> Vec<u8> {
        let first = self.0.key_bytes();
        // The length makes it plain where the first part ends.
        let mut bytes = (first.len() as u64).to_be_bytes().to_vec();
        bytes.extend(first);
        bytes.extend(self.1.key_bytes());
        bytes
    }
}

impl<A: KeyBytes, B: KeyBytes, C: KeyBytes> KeyBytes for (A, B, C) {
    fn key_bytes(&self) -> Vec<u8> {
        let (a, b, c) = self;
        (a.clone(), (b.clone(), c.clone())).key_bytes()
    }
}

/// A value for each key that a fleet of processes shares, with one creator for each key among all of
/// them.
///
/// It is a [`KeyedDogpile`] in each process over one namespace of a store. Each key is what a
/// [`FleetDogpile`](crate::FleetDogpile) is, with the same promises. Besides:
///
/// - The copies of a process are [bounded](FleetBuilder::max_entries). What is evicted here is in the
///   store still: the next call for it costs one request. An eviction ends no creation and loses no
///   caller. A key without a copy here, and without a call that runs, takes no memory.
/// - So many [requests](FleetBuilder::max_asks) for the values of keys run at once. A process that
///   begins with nothing does not flood the store.
/// - A call for [several keys](FleetKeyed::get_or_try_create_multi) asks the store once for all that are
///   missing here.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::{FleetKeyed, MemoryStore};
///
/// # fn render(page: &str) -> Result<String, std::io::Error> { Ok(format!("<h1>{page}</h1>")) }
/// let store = Arc::new(MemoryStore::new());
/// let pages = FleetKeyed::<String, String, _>::builder(store, "pages", Duration::from_secs(300))
///     .max_entries(1000)
///     .build();
/// let page = pages.get_or_try_create("front", |_| render("front"))?;
/// assert_eq!(*page, "<h1>front</h1>");
/// drop(page);
/// // Of this key alone, for the whole fleet; and of all keys, in one step of the store.
/// pages.invalidate("front")?;
/// pages.expire_all()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct FleetKeyed<K, T, S, C = Plain> {
    pub(crate) pile: Arc<KeyedDogpile<K, Entry<T>>>,
    pub(crate) many: Arc<Many<K, T, S, C>>,
    /// What looks at the store brought last, where no copies are kept.
    pub(crate) reads: Option<KeyedDogpile<K, Arc<Entry<T>>>>,
    hints: bool,
}

/// All that calls and hints have in common.
pub(crate) struct Many<K, T, S, C> {
    pile: Arc<KeyedDogpile<K, Entry<T>>>,
    pub(crate) shared: Arc<Shared<S, C>>,
    register: Arc<Register<K>>,
    format: u64,
}

type Weigher<K, T> = Box<dyn Fn(&K, &T) -> u32 + Send + Sync>;

/// What stands in a [`FleetBuilder`] of a [`FleetKeyed`] alone: bounds.
pub struct ManyKeys<K, T> {
    entries: usize,
    weight: Option<(u64, Weigher<K, T>)>,
    asks: usize,
}

impl<K: KeyBytes, T: Send + Sync + 'static, S: Described> FleetKeyed<K, T, S> {
    /// The settings of a map over the records of `namespace` in `store`, whose values are fresh for
    /// `ttl` in the whole fleet.
    pub fn builder(
        store: Arc<S>,
        namespace: &str,
        ttl: Duration,
    ) -> FleetBuilder<T, S, Plain, ManyKeys<K, T>> {
        let keys = ManyKeys {
            entries: 10_000,
            weight: None,
            asks: 64,
        };
        FleetBuilder::of(store, namespace.to_owned(), ttl, keys)
    }
}

impl<K: KeyBytes, T: Send + Sync + 'static, S: Described, C> FleetBuilder<T, S, C, ManyKeys<K, T>> {
    /// How many copies this process keeps. Default: 10,000.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.which.entries = entries;
        self
    }

    /// How much the copies of this process weigh at most, all together. Default: without limit.
    ///
    /// What weighs more than all of it goes to its callers and is not kept here.
    pub fn max_weight(
        mut self,
        weight: u64,
        weigher: impl Fn(&K, &T) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.which.weight = Some((weight, Box::new(weigher)));
        self
    }

    /// How many requests for values run at once in this process. Default: 64. Whoever comes after that
    /// waits for its turn.
    ///
    /// A request for several keys is one. Creators, writes and what ends a lease need no turn.
    ///
    /// # Panics
    ///
    /// If it is zero: then nothing could ever be asked for.
    pub fn max_asks(mut self, asks: usize) -> Self {
        assert!(
            asks > 0,
            "FleetBuilder::max_asks: with a limit of zero nothing could ever be asked for"
        );
        self.which.asks = asks;
        self
    }

    /// The map. It asks nothing yet.
    pub fn build(mut self) -> FleetKeyed<K, T, S, C>
    where
        C: Codec<T>,
    {
        let asks = Asks::new(self.which.asks);
        let weight = self.which.weight.take();
        let (built, ManyKeys { entries, .. }) = self.shared(Some(asks));
        let mut keyed = built.pile::<T>().keyed().max_entries(entries);
        if let Some((weight, weigher)) = weight {
            keyed = keyed.max_weight(weight, move |key, entry: &Entry<T>| {
                weigher(key, entry.value())
            });
        }
        let pile = Arc::new(keyed.build());
        let shared = Arc::clone(&built.shared);
        let reads = (shared.policy.local.is_zero()).then(|| {
            dogpile::Dogpile::builder(Duration::MAX)
                .keyed()
                .max_entries(entries)
        });
        let many = Arc::new(Many {
            pile: Arc::clone(&pile),
            shared,
            register: Register::new(),
            format: built.format,
        });
        built.join(&many);
        FleetKeyed {
            pile,
            many,
            reads: reads.map(dogpile::KeyedBuilder::build),
            hints: built.hints,
        }
    }
}

impl<K, T> fmt::Debug for ManyKeys<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyKeys")
            .field("max_entries", &self.entries)
            .field("max_asks", &self.asks)
            .finish_non_exhaustive()
    }
}

impl<K: KeyBytes, T: Send + Sync + 'static, S, C> Many<K, T, S, C> {
    fn name(&self, key: &K) -> Key {
        Key::new(&self.shared.namespace, key.key_bytes(), self.format)
    }

    pub(crate) fn site(&self, key: K) -> Arc<Site<T, S, C>> {
        let key = Arc::new(key);
        let known = self.register.enter(self.name(&key), &key);
        Arc::new(self.site_of(key, known))
    }

    fn site_of(&self, key: Arc<K>, known: Arc<Known>) -> Site<T, S, C> {
        let map = Arc::clone(&self.pile);
        Site {
            shared: Arc::clone(&self.shared),
            known,
            place: Arc::new(InMap { map, key }) as Arc<dyn Place<T>>,
        }
    }

    fn sites(&self) -> impl Iterator<Item = Site<T, S, C>> {
        let all = self.register.all().into_iter();
        all.map(|(key, known)| self.site_of(key, known))
    }
}

impl<K, T, S, C> Members for Many<K, T, S, C>
where
    K: KeyBytes,
    T: Send + Sync + 'static,
    S: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    fn members(self: Arc<Self>) -> Vec<Arc<dyn Member>> {
        let member = |site| Arc::new(site) as Arc<dyn Member>;
        self.sites().map(member).collect()
    }
}

impl<K, T, S, C> Watch for Many<K, T, S, C>
where
    K: KeyBytes,
    T: Send + Sync + 'static,
    S: Send + Sync,
    C: Send + Sync,
{
    fn hint(&self, hint: &Hint) {
        let common = &self.shared.common;
        match hint {
            Hint::Changed {
                key,
                version,
                depth,
            } => {
                // Of other records there is nothing here that could be old.
                if let Some((key, known)) = self.register.find(key) {
                    self.site_of(key, known).changed(*version, *depth);
                }
            }
            Hint::AllChanged { namespace, depth } if **namespace == *self.shared.namespace => {
                let depth = *depth;
                common.tell(&FleetEvent::Hint { key: None, depth });
                self.sites().for_each(|site| site.change(depth));
            }
            Hint::AllChanged { .. } => {}
            Hint::Missed => {
                common.tell(&FleetEvent::Missed);
                self.sites().for_each(|site| site.change(Depth::Soft));
            }
        }
    }
}

impl<K, T, S, C> FleetKeyed<K, T, S, C> {
    /// A call for a key, with options.
    pub fn call<'a, 'q, Q: ?Sized>(&'a self, key: &'q Q) -> FleetKeyCall<'a, 'q, K, T, S, C, Q> {
        FleetCall::new(AtKey { map: self, key })
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.many.shared.store
    }

    /// What was done so far, for all keys.
    pub fn stats(&self) -> FleetStats {
        self.many.shared.common.counts.stats()
    }
}

impl<K: KeyBytes, T: Send + Sync + 'static, S, C> FleetKeyed<K, T, S, C> {
    /// The answer of a call that neither asks, nor creates, nor waits. `None` is no refusal: then make
    /// the call.
    pub fn hit<Q>(&self, key: &Q) -> Option<FleetGuard<'_, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).hit()
    }

    /// The copy of this process, fresh or stale, without asking the store.
    pub fn peek<Q>(&self, key: &Q) -> Option<FleetGuard<'_, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).peek()
    }

    /// How many calls of this process wait for a creation of this key, or for one that asks the store.
    pub fn waiters<Q>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.pile.waiters(key)
    }

    /// The name of a key's record in the store.
    pub fn record(&self, key: &K) -> Key {
        self.many.name(key)
    }

    /// Of how many keys this process has a copy, or a call that runs.
    pub fn len(&self) -> usize {
        self.pile.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pile.is_empty()
    }

    /// Of how many records this process knows something: of those with a copy, with a call that runs, or
    /// with a guard that is held.
    pub fn known_records(&self) -> usize {
        self.many.register.len()
    }

    /// Gives up the memory of copies that may not be served any more. Without it they are found one by
    /// one, as others come.
    pub fn purge(&self) {
        self.pile.purge();
    }
}

/// # Calls that block
impl<K: KeyBytes, T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetKeyed<K, T, S, C> {
    /// The value of a key if it is fresh, else the next one, created by one caller of the whole fleet: as
    /// [`FleetDogpile::get_or_try_create`](crate::FleetDogpile::get_or_try_create).
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn get_or_try_create<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).get_or_try_create(create)
    }

    /// As [`get_or_try_create`](FleetKeyed::get_or_try_create), for a creator that cannot fail.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` does.
    pub fn get_or_create<Q>(
        &self,
        key: &Q,
        create: impl FnOnce(Creation<'_, T>) -> T,
    ) -> Result<FleetGuard<'_, T>, FleetError<Infallible>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).get_or_create(create)
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
    pub fn refresh<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce(Creation<'_, T>) -> Result<T, E>,
    ) -> Result<FleetGuard<'_, T>, FleetError<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).refresh(create)
    }

    /// A call whose regeneration runs on an executor, round trips and all.
    pub fn background<'a, 'q, 'e, Q: ?Sized>(
        &'a self,
        key: &'q Q,
        executor: &'e dyn Executor,
    ) -> FleetBackground<'a, 'e, T, S, C, AtKey<'a, 'q, K, T, S, C, Q>> {
        self.call(key).background(executor)
    }

    /// The value, the lease, or the news that somebody else has it, without creating or waiting: as
    /// [`FleetDogpile::attempt`](crate::FleetDogpile::attempt).
    pub fn attempt<Q>(&self, key: &Q) -> FleetAttempt<'_, T, S, C>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).attempt()
    }

    /// Stores a value for the whole fleet. Creations that run have come too late.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. The copy of this process is stale then.
    pub fn set(&self, key: K, value: T) -> Result<Version, WriteError> {
        self.many.site(key).set(value)
    }

    /// Stores a value only if there is what is expected, for the whole fleet.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. That something else is there is no error but a [`Swap::Conflict`].
    pub fn compare_and_set(
        &self,
        key: K,
        expected: Expected,
        value: T,
    ) -> Result<Swap, WriteError> {
        self.many.site(key).compare_and_set(expected, value)
    }

    fn invalidate_to<Q>(&self, key: &Q, depth: Depth, only: Version) -> Answer<bool>
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        self.many.site(key.to_owned()).invalidate_to(depth, only)
    }

    /// Makes the value of a key stale, for the whole fleet: one caller creates the next, the others go
    /// on.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then it is stale in this process, and perhaps elsewhere.
    pub fn expire<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        self.invalidate_to(key, Depth::Soft, Version::NONE)
            .map(drop)
    }

    /// As [`expire`](FleetKeyed::expire), if the value is still the one that was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn expire_if<Q: ToOwned<Owned = K> + ?Sized>(
        &self,
        key: &Q,
        seen: &FleetGuard<'_, T>,
    ) -> Answer<bool> {
        self.invalidate_to(key, Depth::Soft, only(seen))
    }

    /// Removes the value of a key, for the whole fleet. After it returned, no call of this process, and
    /// no call elsewhere that asks the store, yields what began before.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then it is gone in this process, and perhaps elsewhere.
    pub fn invalidate<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        self.invalidate_to(key, Depth::Hard, Version::NONE)
            .map(drop)
    }

    /// As [`invalidate`](FleetKeyed::invalidate), if the value is still the one that was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn invalidate_if<Q: ToOwned<Owned = K> + ?Sized>(
        &self,
        key: &Q,
        seen: &FleetGuard<'_, T>,
    ) -> Answer<bool> {
        self.invalidate_to(key, Depth::Hard, only(seen))
    }

    /// Makes all values of the namespace stale, for the whole fleet and in one step of the store: as
    /// [`FleetDogpile::expire_all`](crate::FleetDogpile::expire_all).
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cost
    ///
    /// One verb, and a step for each key of this process with a copy or a call that runs.
    pub fn expire_all(&self) -> Answer<()> {
        self.many.shared.invalidate_all(Depth::Soft)
    }

    /// As [`expire_all`](FleetKeyed::expire_all), and the values are gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn invalidate_all(&self) -> Answer<()> {
        self.many.shared.invalidate_all(Depth::Hard)
    }
}

/// # Calls that await
impl<K: KeyBytes, T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> FleetKeyed<K, T, S, C> {
    /// As [`get_or_try_create`](FleetKeyed::get_or_try_create), for tasks.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    ///
    /// # Panics
    ///
    /// If `create` or its future does.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. A lease that it holds is given up, here and at the store.
    pub async fn get_or_try_create_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>>
    where
        F: Future<Output = Result<T, E>>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).get_or_try_create_async(create).await
    }

    /// As [`refresh`](FleetKeyed::refresh), for tasks.
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
    pub async fn refresh_async<'a, Q, E: Send + Sync + 'static, F>(
        &'a self,
        key: &Q,
        create: impl FnOnce(Creation<'a, T>) -> F,
    ) -> Result<FleetGuard<'a, T>, FleetError<E>>
    where
        F: Future<Output = Result<T, E>>,
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let call = self.call(key).accept(FleetAccept::New);
        call.get_or_try_create_async(create).await
    }

    /// As [`set`](FleetKeyed::set), for tasks.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value may be stored or not. The copy of this process is stale then.
    pub async fn set_async(&self, key: K, value: T) -> Result<Version, WriteError> {
        self.many.site(key).set_async(value).await
    }

    /// As [`compare_and_set`](FleetKeyed::compare_and_set), for tasks.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value may be stored or not. The copy of this process is stale then.
    pub async fn compare_and_set_async(
        &self,
        key: K,
        expected: Expected,
        value: T,
    ) -> Result<Swap, WriteError> {
        let site = self.many.site(key);
        site.compare_and_set_async(expected, value).await
    }

    async fn invalidate_to_async(&self, key: K, depth: Depth, only: Version) -> Answer<bool> {
        self.many.site(key).invalidate_to_async(depth, only).await
    }

    /// As [`expire`](FleetKeyed::expire), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn expire_async<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        let done = self.invalidate_to_async(key.to_owned(), Depth::Soft, Version::NONE);
        done.await.map(drop)
    }

    /// As [`invalidate`](FleetKeyed::invalidate), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn invalidate_async<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q) -> Answer<()> {
        let done = self.invalidate_to_async(key.to_owned(), Depth::Hard, Version::NONE);
        done.await.map(drop)
    }

    /// As [`expire_all`](FleetKeyed::expire_all), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn expire_all_async(&self) -> Answer<()> {
        self.many.shared.invalidate_all_async(Depth::Soft).await
    }

    /// As [`invalidate_all`](FleetKeyed::invalidate_all), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn invalidate_all_async(&self) -> Answer<()> {
        self.many.shared.invalidate_all_async(Depth::Hard).await
    }
}

impl<K, T, S, C> fmt::Debug for FleetKeyed<K, T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetKeyed")
            .field("namespace", &self.many.shared.namespace)
            .field("watching", &self.hints)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

// Nothing is half done when a creator panics.
impl<K, T, S, C> std::panic::UnwindSafe for FleetKeyed<K, T, S, C> {}
impl<K, T, S, C> std::panic::RefUnwindSafe for FleetKeyed<K, T, S, C> {}
