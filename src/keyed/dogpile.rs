//! The map as users hold it: [`KeyedDogpile`].

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::answer::{Created, Creating, Owned, Settings};
use crate::call::Here;
use crate::call::election::Failures;
use crate::error::Error;
use crate::keyed::call::Asked;
use crate::keyed::entry::{Entry, Visit};
use crate::keyed::room::Limits;
use crate::keyed::shared::Shared;
use crate::keyed::{KeyedAttempt, KeyedCall, KeyedGuard, KeyedOwned};
use crate::observe::{KeyedStats, Stats};
use crate::pile::{Builder, cannot_answer, cannot_wait};
use crate::policy::{Asks, Freshness, Horizon, Seen};
use crate::raw::{Ready, Shown, Was, Writers};
use crate::shim::Arc;
use crate::time::Tick;

/// Many values, one for each key, with a time to live, and for each key the right to renew its value,
/// held by one caller at a time.
///
/// Each key is a [`Dogpile`](crate::Dogpile) of its own, and all that is promised of a pile holds for
/// each key. Besides, the creation of one key delays no other key. A key without a value, and without
/// anybody who creates it or waits for it, takes no memory.
///
/// Look-ups take a borrowed key: `&str` where the keys are `String`. Only the call that creates the
/// entry makes a key of its own from it.
///
/// No code of yours runs under a lock of the map: not `Hash` and `Eq` of keys either. They may even
/// call the map.
///
/// # What it leaves
///
/// A value stays until it is [removed](KeyedDogpile::invalidate), [gone](KeyedDogpile::purge) and found,
/// or evicted. Nothing runs in the background. An entry takes 64 bytes and the key, and 50 to 90 bytes in a
/// table. A value takes some 112 bytes more than itself, for its times and numbers.
///
/// # What it does not do
///
/// It offers no `acquire`. A key whose value is kept elsewhere would have to be remembered after it was
/// invalidated. Nor do its calls have `with`: what a creator in the background owns is cloned for each call. Where
/// that costs too much for a hit, ask [`KeyedCall::hit`] first.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Dogpile, KeyedDogpile};
///
/// # fn render(page: &str) -> Result<String, std::io::Error> { Ok(format!("<h1>{page}</h1>")) }
/// let pages: KeyedDogpile<String, String> = Dogpile::builder(Duration::from_secs(60))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .build_keyed();
/// let front = pages.get_or_try_create("front", || render("front"))?;
/// assert_eq!(*front, "<h1>front</h1>");
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
pub struct KeyedDogpile<K, T, S = RandomState> {
    pub(super) shared: Arc<Shared<K, T>>,
    hasher: S,
}

impl<K: Eq + Hash, T> KeyedDogpile<K, T> {
    /// A map without values, which will be fresh for `ttl`, and without a bound. For other settings see
    /// [`Builder::keyed`].
    pub fn new(ttl: Duration) -> Self {
        Builder::new(ttl).build_keyed()
    }
}

impl<K: Eq + Hash, T, S: BuildHasher> KeyedDogpile<K, T, S> {
    pub(super) fn with(settings: Settings, limits: Limits<K, T>, hasher: S) -> Self {
        Self {
            shared: Arc::new(Shared::new(settings, limits)),
            hasher,
        }
    }

    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        Shared::<K, T>::spread(self.hasher.hash_one(key))
    }

    /// A call for one key, with options of its own.
    pub fn call<'a, 'q, Q: ?Sized>(&'a self, key: &'q Q) -> KeyedCall<'a, 'q, K, T, S, Q> {
        KeyedCall {
            map: self,
            key,
            asked: Asked::DEFAULT,
            mode: Here::UNTIMED,
        }
    }

    /// The value of a key, or else the one that `create` makes: as
    /// [`Dogpile::get_or_create`](crate::Dogpile::get_or_create).
    ///
    /// # Panics
    ///
    /// If `create` does. The others go on, and the next one creates. If called from inside the creator
    /// of the same key while no value can be had, or if creators of two keys would wait for each other:
    /// [`get_or_try_create`](KeyedDogpile::get_or_try_create) returns that as an error.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// assert_eq!(*squares.get_or_create(&7, || 49), 49);
    /// ```
    #[track_caller]
    #[inline]
    pub fn get_or_create<Q>(&self, key: &Q, create: impl FnOnce() -> T) -> KeyedGuard<'_, K, T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let call = self.call(key);
        let hash = self.hash(key);
        if let Some(guard) = call.hit_at(hash) {
            return guard;
        }
        let create = |_: Creating<'_, T>| Ok::<_, Infallible>(create().into());
        match call.answer_slowly(hash, Failures::Pressed, create) {
            Ok(guard) => guard,
            Err(error) => cannot_answer("KeyedDogpile", "", &error),
        }
    }

    /// The value of a key, or else the one that `create` makes, if it can: as
    /// [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create).
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create). [`Error::Cycle`] if the
    /// creators of two keys would wait for each other. [`Error::Missing`] if the call waited for a creator of
    /// several keys that left this key out.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn get_or_try_create<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).get_or_try_create(create)
    }

    /// The value of a key, or else the one that `create` makes, which may say how long the value lives,
    /// how old it is, or that the previous one is unchanged: as
    /// [`Dogpile::get_or_try_create_with`](crate::Dogpile::get_or_try_create_with).
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn get_or_try_create_with<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).get_or_try_create_with(create)
    }

    /// Creates the value of a key now, however fresh it is: as
    /// [`Dogpile::refresh`](crate::Dogpile::refresh).
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](KeyedDogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn refresh<Q, E: Send + Sync + 'static>(
        &self,
        key: &Q,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<KeyedGuard<'_, K, T>, Error<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).refresh(create)
    }

    /// One look at a key: the value, or the lease, or the news that another caller has it. It neither
    /// creates nor waits.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{KeyedAttempt, KeyedDogpile};
    ///
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// let KeyedAttempt::Lease(lease) = squares.attempt(&7) else { panic!() };
    /// let KeyedAttempt::Busy(_) = squares.attempt(&7) else { panic!() };
    /// lease.publish(49).expect("nobody interferes here");
    /// let KeyedAttempt::Hit(square) = squares.attempt(&7) else { panic!() };
    /// assert_eq!(*square, 49);
    /// ```
    #[track_caller]
    pub fn attempt<Q>(&self, key: &Q) -> KeyedAttempt<'_, K, T>
    where
        K: Borrow<Q> + Send + Sync,
        T: Send + Sync,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call(key).attempt()
    }

    /// The value of a key, fresh or stale, without creating or waiting. `None` if there is none, or it
    /// is gone.
    pub fn peek<Q>(&self, key: &Q) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hash(key);
        let hit = self.shared.hit_at_once(hash, key, Asked::DEFAULT);
        hit.or_else(|| self.peek_slowly(hash, key))
    }

    #[cold]
    #[inline(never)]
    fn peek_slowly<Q>(&self, hash: u64, key: &Q) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.peek_at(self.shared.find(hash, key)?)
    }

    fn peek_at<'a>(&'a self, entry: Shown<'a, Entry<K, T>>) -> Option<KeyedGuard<'a, K, T>> {
        KeyedGuard::look(entry, |entry| {
            Asked::DEFAULT.of(self.shared.site(entry)).peek()
        })
    }

    /// The value of a key, fresh or stale, or else the next one that another caller makes, without ever
    /// being elected: as [`Dogpile::wait_for_value`](crate::Dogpile::wait_for_value).
    ///
    /// While it waits, the key has an entry: nobody evicts it.
    ///
    /// Waiting has no limit: [`call`](KeyedDogpile::call) sets one.
    ///
    /// # Panics
    ///
    /// If it would wait inside the creator of the same key, or for a creation that waits for one it is
    /// inside itself. [`KeyedCall::wait_for_value`] returns that as an error.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::KeyedDogpile;
    ///
    /// let routes = Arc::new(KeyedDogpile::<String, u16>::new(Duration::MAX));
    /// let shared = routes.clone();
    /// let consumer = std::thread::spawn(move || *shared.wait_for_value("/about"));
    /// routes.set("/about".to_owned(), 8080);
    /// assert_eq!(consumer.join().unwrap(), 8080);
    /// ```
    #[track_caller]
    pub fn wait_for_value<Q>(&self, key: &Q) -> KeyedGuard<'_, K, T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.call(key).wait_for_value() {
            Ok(guard) => guard,
            Err(error) => cannot_wait("KeyedDogpile", "wait_for_value", &error),
        }
    }

    /// The value of a key if it is newer than the one seen, or else the next one that another caller makes:
    /// as [`Dogpile::wait_for_newer`](crate::Dogpile::wait_for_newer).
    ///
    /// # Panics
    ///
    /// As [`wait_for_value`](KeyedDogpile::wait_for_value). In builds with debug assertions, if the value
    /// was seen in another map.
    #[track_caller]
    pub fn wait_for_newer<Q>(&self, key: &Q, seen: impl Into<Option<Seen>>) -> KeyedGuard<'_, K, T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.call(key).wait_for_newer(seen) {
            Ok(guard) => guard,
            Err(error) => cannot_wait("KeyedDogpile", "wait_for_newer", &error),
        }
    }

    /// Makes `value` the current one of a key, fresh from now on: as
    /// [`Dogpile::set`](crate::Dogpile::set).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(7, 49);
    /// assert_eq!(*squares.peek(&7).unwrap(), 49);
    /// ```
    pub fn set(&self, key: K, value: T) {
        self.set_with(key, Created::new(value));
    }

    /// Makes a value the current one of a key, with a time to live or an age of its own.
    pub fn set_with(&self, key: K, created: Created<T>) {
        let visit = self.enter(key);
        let ready = self.ready(&visit, created);
        let policy = &self.shared.settings().policy;
        let pile = &visit.entry().pile;
        let _ = pile.set(policy, &ready.node, ready.kept, None, Writers(Some(0)));
    }

    /// Returns the value with its times as of now, for those who keep values themselves, and a [`Created`]
    /// with the same times: pass that to [`set_with`](KeyedDogpile::set_with) if you want the map to have the
    /// value. Keeps nothing.
    ///
    /// A creator has [`Creating::complete`] for it.
    pub fn complete(&self, key: K, created: Created<T>) -> (Owned<T>, Created<T>) {
        let visit = self.enter(key);
        created.complete(visit.site(), self.now(), 0)
    }

    /// What a value that somebody else keeps is good for now, by its own times, and a time at which that
    /// holds. It reads the clock as cheaply as a hit does.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Created, Dogpile, Freshness, ManualClock, Owned};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let map = Dogpile::builder(Duration::from_secs(60)).clock(clock.clone()).build_keyed();
    /// let (value, _) = map.complete("front", Created::new(7));
    /// clock.advance(Duration::from_secs(61));
    /// let (freshness, now) = map.freshness_of(&value);
    /// assert_eq!(freshness, Freshness::Stale);
    /// assert_eq!(Owned::age(&value, now), Duration::from_secs(61));
    /// assert!(map.is_empty());
    /// ```
    #[inline]
    pub fn freshness_of(&self, value: &Owned<T>) -> (Freshness, Tick) {
        let time = &self.shared.settings().time;
        let (earliest, latest) = time.bounds();
        if latest < value.node().due_from() {
            return (Freshness::Fresh, earliest);
        }
        let horizon = Horizon::new(&value.node().times(), Asks::NOTHING);
        time.near(|now| horizon.at(now))
    }

    /// What the clock of the map shows.
    pub fn now(&self) -> Tick {
        self.shared.settings().time.now()
    }

    /// Makes `value` the current one of a key, if the value seen is still the current one, or if there is
    /// still none where none was seen: as [`Dogpile::set_if`](crate::Dogpile::set_if).
    ///
    /// # Errors
    ///
    /// The value itself, if something else came meanwhile.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another map.
    pub fn set_if(&self, key: K, seen: impl Into<Option<Seen>>, value: T) -> Result<(), T> {
        let was = seen.into().map_or(Was::Nothing, Was::Seen);
        let visit = self.enter(key);
        let ready = self.ready(&visit, Created::new(value));
        let policy = &self.shared.settings().policy;
        let pile = &visit.entry().pile;
        match pile.set(policy, &ready.node, ready.kept, Some(was), Writers(Some(0))) {
            true => Ok(()),
            false => Err((ready.node.into_value()).expect("nobody else has a share in it")),
        }
    }

    fn ready(&self, visit: &Visit<K, T>, created: Created<T>) -> Ready<T> {
        // The pile numbers it.
        created.into_ready(visit.site(), self.shared.settings().time.now(), 0)
    }

    /// Makes the value of a key stale: one caller renews it, and the others are served the old one
    /// meanwhile: as [`Dogpile::expire`](crate::Dogpile::expire).
    pub fn expire<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.expire_seen(key, None);
    }

    /// Makes the value of a key stale, if the value seen is still the current one and was not expired
    /// before: as [`Dogpile::expire_if`](crate::Dogpile::expire_if). Says whether it did.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another map.
    pub fn expire_if<Q>(&self, key: &Q, seen: Seen) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.expire_seen(key, Some(seen))
    }

    fn expire_seen<Q>(&self, key: &Q, seen: Option<Seen>) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Settings { policy, time, .. } = self.shared.settings();
        let now = time.now();
        let visit = self.visit(key);
        visit.is_some_and(|visit| visit.entry().pile.expire(policy, seen, now))
    }

    /// Makes all values stale, and those that are being created.
    ///
    /// What comes to the map meanwhile may be left out.
    pub fn expire_all(&self) {
        self.expire_where(|_, _| true);
    }

    /// Makes stale what `which` says, as [`expire`](KeyedDogpile::expire) does.
    ///
    /// `which` is given each key with its value, and once more without one if the key's next value is
    /// being created: that value cannot be judged yet, and `true` makes it stale as soon as it is there.
    ///
    /// # Panics
    ///
    /// If `which` does.
    pub fn expire_where(&self, mut which: impl FnMut(&K, Option<&T>) -> bool) {
        let Settings { policy, time, .. } = self.shared.settings();
        let now = time.now();
        for visit in self.visits() {
            let entry = visit.entry();
            if Self::is_meant(entry, &mut which) {
                entry.pile.expire(policy, None, now);
            }
        }
    }

    /// Removes the value of a key: from here on no call for this key that starts gets it, nor any value
    /// whose creation began before: as [`Dogpile::invalidate`](crate::Dogpile::invalidate).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(7, 49);
    /// squares.invalidate(&7);
    /// assert!(squares.peek(&7).is_none());
    /// ```
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        drop(self.remove(key));
    }

    /// Removes the value of a key, as [`invalidate`](KeyedDogpile::invalidate) does, and returns it,
    /// however old it is.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(7, 49);
    /// assert_eq!(*squares.remove(&7).unwrap(), 49);
    /// assert!(squares.remove(&7).is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<KeyedOwned<K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // A key without an entry has no value and no creation that could bring one.
        let visit = self.visit(key)?;
        let removed = visit.entry().pile.remove()?;
        Some(KeyedOwned::new(Owned::new(removed), visit.entry()))
    }

    /// Removes the value of a key, as [`invalidate`](KeyedDogpile::invalidate) does, if the value seen is
    /// still the current one. Says whether it did.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another map.
    pub fn invalidate_if<Q>(&self, key: &Q, seen: Seen) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let visit = self.visit(key);
        visit.is_some_and(|visit| visit.entry().pile.invalidate(Some(seen)))
    }

    /// Removes what `which` says, as [`invalidate`](KeyedDogpile::invalidate) does: a call that starts
    /// later gets no value of which `which` would have said so, unless its creation began later.
    ///
    /// `which` is given each key with its value, and once more without one if the key's next value is
    /// being created: that value cannot be judged yet, and `true` supersedes its creation. It may be
    /// asked several times of one key.
    ///
    /// # Panics
    ///
    /// If `which` does. Some were removed by then, others were not.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// for root in 1..10 {
    ///     squares.set(root, root * root);
    /// }
    /// squares.invalidate_where(|_, square| square.is_none_or(|square| *square > 20));
    /// assert_eq!(squares.len(), 4);
    /// ```
    pub fn invalidate_where(&self, mut which: impl FnMut(&K, Option<&T>) -> bool) {
        for visit in self.visits() {
            let Entry { key, pile, .. } = &**visit.entry();
            loop {
                let held = pile.held();
                let node = pile.load().filter(|node| node.value().is_some());
                let value = node
                    .as_ref()
                    .map(|node| (node.installed_at(), node.value()));
                if value.map(|(installed_at, _)| installed_at) != held.value {
                    continue;
                }
                if let Some((_, value)) = value {
                    if which(key, value) {
                        // What is created meanwhile goes too: it was not asked for, but for all that
                        // is known it is another state of the same thing.
                        drop(node);
                        pile.invalidate(None);
                        break;
                    }
                }
                if !held.is_leased || !which(key, None) || pile.supersede(held.value) {
                    break;
                }
                // Another value came meanwhile, and was not judged.
            }
        }
    }

    /// Removes all values, as [`invalidate`](KeyedDogpile::invalidate) does.
    ///
    /// It goes from one part of the map to the next. A call that starts when it has returned gets
    /// nothing whose creation began before.
    pub fn invalidate_all(&self) {
        self.shared.invalidate_all();
    }

    /// Takes out the values that are gone: beyond all their limits, of use to nobody.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let squares = Dogpile::builder(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::ZERO)
    ///     .clock(clock.clone())
    ///     .build_keyed();
    /// squares.set(7, 49);
    /// clock.advance(Duration::from_secs(61));
    /// assert_eq!(squares.len(), 1);
    /// squares.purge();
    /// assert_eq!(squares.len(), 0);
    /// ```
    pub fn purge(&self) {
        self.shared.purge();
    }

    /// How many values there are: fresh, stale, or gone and not found yet.
    pub fn len(&self) -> usize {
        let shards = self.shared.shards().iter();
        shards.map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much all values weigh together, in a map with a [bound](crate::KeyedBuilder::max_weight): each
    /// one, where nothing weighs them. Zero without a bound.
    pub fn weight(&self) -> u64 {
        self.shared.weight()
    }

    /// The keys and their values that are fresh or stale.
    ///
    /// No lock is held while it is stepped. It shows each key once that has a value all the time, and may
    /// or may not show what comes and goes meanwhile.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{KeyedDogpile, KeyedGuard};
    ///
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// squares.set(7, 49);
    /// let all: Vec<_> = squares.iter().map(|square| (*KeyedGuard::key(&square), *square)).collect();
    /// assert_eq!(all, [(7, 49)]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, T, S> {
        Iter {
            map: self,
            shard: 0,
            entries: Vec::new().into_iter(),
        }
    }

    /// Whether there is a value of a key, fresh or stale, that a call could be given.
    pub fn has_value<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.known(key).is_some()
    }

    /// Whether there is a fresh value of a key.
    pub fn is_fresh<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        matches!(self.known(key), Some(Freshness::Fresh | Freshness::Due))
    }

    fn known<Q>(&self, key: &Q) -> Option<Freshness>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.find(key)?;
        let node = entry.pile.load()?;
        node.value()?;
        let call = Asked::DEFAULT.of(self.shared.site(&entry));
        let (freshness, _) = call.freshness_now(&node.times());
        let is_served = !matches!(freshness, Freshness::Fallback | Freshness::Gone);
        is_served.then_some(freshness)
    }

    /// Whether somebody is creating a value of a key.
    pub fn is_creating<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.find(key).is_some_and(|entry| entry.pile.is_leased())
    }

    /// How many callers wait for the value of a key that is being created, or hold a
    /// [`KeyedBusy`](crate::KeyedBusy) to do so.
    pub fn waiters<Q>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.find(key).map_or(0, |entry| entry.pile.waiters())
    }

    /// What goes on at a key, and what was counted there since its entry was made.
    ///
    /// Of a key that is not in the map, nothing. See [`Builder::stats`](crate::Builder::stats).
    pub fn stats_of<Q>(&self, key: &Q) -> Stats
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.find(key)
            .map_or_else(Stats::default, |entry| self.shared.stats_of(&entry))
    }

    /// What goes on in the whole map, and what was counted of all keys since it was built.
    ///
    /// # Cost
    ///
    /// It looks at each key, one after the other. So a key that leaves the map meanwhile may be counted
    /// not at all, or twice; the next call has it right.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, KeyedDogpile};
    ///
    /// let minute = Duration::from_secs(60);
    /// let squares: KeyedDogpile<u64, u64> = Dogpile::builder(minute).stats(true).build_keyed();
    /// for key in [3, 4, 3] {
    ///     squares.get_or_create(&key, || key * key);
    /// }
    /// assert_eq!(squares.stats().counters.unwrap().published, 2);
    /// ```
    pub fn stats(&self) -> KeyedStats {
        self.shared.stats()
    }

    fn find<Q>(&self, key: &Q) -> Option<Shown<'_, Entry<K, T>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shared.find(self.hash(key), key)
    }

    fn visit<Q>(&self, key: &Q) -> Option<Visit<K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shared.visit(self.hash(key), key)
    }

    fn enter(&self, key: K) -> Visit<K, T> {
        self.shared.enter_owned(self.hash(&key), key)
    }

    /// A visit at every entry, a shard at a time.
    fn visits(&self) -> impl Iterator<Item = Visit<K, T>> {
        let shards = self.shared.shards().iter();
        shards.flat_map(|shard| self.shared.visit_shard(shard))
    }

    /// Whether `which` says so of the value, or of the one that is being created.
    fn is_meant(entry: &Entry<K, T>, which: &mut impl FnMut(&K, Option<&T>) -> bool) -> bool {
        let is_leased = entry.pile.is_leased();
        let node = entry.pile.load();
        let value = node.as_ref().and_then(|node| node.value());
        value.is_some_and(|value| which(&entry.key, Some(value)))
            || is_leased && which(&entry.key, None)
    }
}

impl<'a, K: Eq + Hash, T, S: BuildHasher> IntoIterator for &'a KeyedDogpile<K, T, S> {
    type Item = KeyedGuard<'a, K, T>;
    type IntoIter = Iter<'a, K, T, S>;

    fn into_iter(self) -> Iter<'a, K, T, S> {
        self.iter()
    }
}

/// The keys and values of a map; see [`KeyedDogpile::iter`].
#[must_use = "an iterator does nothing until it is stepped"]
pub struct Iter<'a, K, T, S> {
    map: &'a KeyedDogpile<K, T, S>,
    /// The next one to look into.
    shard: usize,
    entries: std::vec::IntoIter<Arc<Entry<K, T>>>,
}

impl<'a, K: Eq + Hash, T, S: BuildHasher> Iterator for Iter<'a, K, T, S> {
    type Item = KeyedGuard<'a, K, T>;

    fn next(&mut self) -> Option<KeyedGuard<'a, K, T>> {
        loop {
            for entry in self.entries.by_ref() {
                if let Some(guard) = self.map.peek_at(Shown::from(entry)) {
                    return Some(guard);
                }
            }
            let shard = self.map.shared.shards().get(self.shard)?;
            self.shard += 1;
            self.entries = shard.lock().entries().into_iter();
        }
    }
}

impl<K, T, S> fmt::Debug for Iter<'_, K, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// Shows the keys with their values, and how they are.
impl<K: Eq + Hash + fmt::Debug, T: fmt::Debug, S: BuildHasher> fmt::Debug
    for KeyedDogpile<K, T, S>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for guard in self {
            map.entry(KeyedGuard::<K, T>::key(&guard), &*guard);
        }
        map.finish()
    }
}

// As for a pile.
impl<K, T, S> UnwindSafe for KeyedDogpile<K, T, S>
where
    K: RefUnwindSafe,
    T: UnwindSafe + RefUnwindSafe,
    S: UnwindSafe,
{
}
impl<K: RefUnwindSafe, T: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for KeyedDogpile<K, T, S> {}
