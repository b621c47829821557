//! The pile of a fleet: [`FleetDogpile`] and its settings.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile::{Clock, Created, Dogpile};

use crate::call::FleetCall;
use crate::codec::{Codec, Plain};
use crate::entry::{Entry, FleetGuard};
use crate::family::{Family, Member};
use crate::policy::{OnStoreError, Policy};
use crate::shared::{Common, FleetStats, Shared, Watching};
use crate::store::{Described, Key, Version, Watch};

/// A value that a fleet of processes shares, with one creator among all of them.
///
/// It is a [`Dogpile`] in each process over one record of a store. A hit is that of the pile: it asks
/// nothing. When the copy of this process has reached its [local ttl](FleetBuilder::local_ttl), one
/// caller of this process asks the store. If the value there is stale too, one caller of the whole
/// fleet is elected to create the next, and the others go on with the old one.
///
/// # Two promises, apart
///
/// - **One creator** is a promise of *efficiency*. It holds while the store and the lease hold. A
///   creator that is stopped for longer than its lease finds another one at work when it goes on.
/// - **Nothing older over something newer** is one of *correctness*. It holds for as long as the store
///   remembers: whoever comes late is refused, and told.
///
/// # How long copies live
///
/// [`invalidate`](FleetDogpile::invalidate) is at the store before it is here. After it returned, no
/// call of this process, and no call elsewhere that asks the store, yields what began before. Copies
/// elsewhere live on for their local ttl at most, and then for as long as one caller asks; with hints
/// ([`watched`](FleetBuilder::watched)) until the hint. With a local ttl of zero, every call asks.
/// [`invalidate_all`](FleetDogpile::invalidate_all) and [`expire_all`](FleetDogpile::expire_all) do the
/// same to all keys of the namespace, with the same lag elsewhere.
///
/// # Threads and tasks
///
/// The methods without a suffix are there if the store is a [`Store`](crate::Store), and those that
/// end in `_async` if it is an [`AsyncStore`](crate::AsyncStore).
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::{FileStore, FleetDogpile};
///
/// # let dir = std::env::temp_dir().join(format!("dogpile-doc-{}", std::process::id()));
/// let store = Arc::new(FileStore::open(&dir)?);
/// let styles = FleetDogpile::builder(store, "styles", Duration::from_secs(300))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .build();
/// // Whichever process comes first creates. All others, here and elsewhere, get what it created.
/// let css = styles.get_or_try_create(|_| Ok::<_, std::io::Error>("a { }".to_owned()))?;
/// assert_eq!(*css, "a { }");
/// # drop(css);
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct FleetDogpile<T, S, C = Plain> {
    pub(crate) pile: Arc<Dogpile<Entry<T>>>,
    pub(crate) shared: Arc<Shared<S, C>>,
    /// What a look at the store brought last, where no copy is kept.
    pub(crate) read: Mutex<Option<Arc<Entry<T>>>>,
    pub(crate) watching: Arc<Watching<T, S, C>>,
    hints: bool,
    /// Whether no copy is kept here. It stands in the policy too, where a hit does not look.
    pub(crate) always_asks: bool,
}

/// The settings of a [`FleetDogpile`].
#[must_use = "a builder does nothing until it is built"]
pub struct FleetBuilder<T, S, C = Plain> {
    store: Arc<S>,
    namespace: String,
    key: Vec<u8>,
    format: u32,
    codec: C,
    policy: Policy,
    local: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
    watched: bool,
    value: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static, S: Described> FleetDogpile<T, S> {
    /// The settings of a pile over the record of `key` in `store`, whose values are fresh for `ttl` in
    /// the whole fleet.
    pub fn builder(store: Arc<S>, key: impl AsRef<[u8]>, ttl: Duration) -> FleetBuilder<T, S> {
        FleetBuilder {
            store,
            namespace: String::new(),
            key: key.as_ref().to_vec(),
            format: 0,
            codec: Plain,
            policy: Policy::new(ttl),
            local: None,
            clock: None,
            watched: false,
            value: PhantomData,
        }
    }
}

impl<T: Send + Sync + 'static, S: Described, C> FleetBuilder<T, S, C> {
    /// A name for a family of keys, which can be [invalidated](FleetDogpile::invalidate_all) as a whole.
    /// Default: none, which is a family too.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// How values become bytes. Default: [`Plain`], for bytes and text.
    pub fn codec<D: Codec<T>>(self, codec: D) -> FleetBuilder<T, S, D> {
        FleetBuilder {
            store: self.store,
            namespace: self.namespace,
            key: self.key,
            format: self.format,
            codec,
            policy: self.policy,
            local: self.local,
            clock: self.clock,
            watched: self.watched,
            value: PhantomData,
        }
    }

    /// A number of the type, to be changed with it. Default: 0. It is a part of the key, so old and
    /// new programs own different records while a deployment rolls.
    pub fn format(mut self, format: u32) -> Self {
        self.format = format;
        self
    }

    /// How long a stale value may be served while one caller creates the next, counted from the end of
    /// its time to live in the fleet. Default: without limit.
    pub fn stale_while_revalidate(mut self, limit: Duration) -> Self {
        self.policy.stale = Some(limit);
        self
    }

    /// How long a value stands in for a failure, counted likewise. Default: not at all.
    pub fn stale_if_error(mut self, limit: Duration) -> Self {
        self.policy.stale_if_error = Some(limit);
        self
    }

    /// How long a process goes on with its copy without asking the store. Default: a tenth of the ttl,
    /// or the ttl if the pile is [watched](FleetBuilder::watched) and the store has hints.
    ///
    /// With zero, each call asks.
    pub fn local_ttl(mut self, span: Duration) -> Self {
        self.local = Some(span);
        self
    }

    /// How long a lease lasts unless it is renewed, which happens at each third of it. Default: 10 s.
    /// If a creator dies whose death the store does not see, this is how long the others wait.
    pub fn lease(mut self, span: Duration) -> Self {
        self.policy.lease = span;
        self
    }

    /// Up to when a lease is renewed: a creator that hangs does not keep it for ever. Default: 60 s.
    pub fn max_create_time(mut self, span: Duration) -> Self {
        self.policy.max_create = span;
        self
    }

    /// How far apart creations of the whole fleet begin at least. Default: zero.
    pub fn min_interval(mut self, span: Duration) -> Self {
        self.policy.interval = span;
        self
    }

    /// For how long nobody in the fleet creates after a failure: `first`, then twice as long each time,
    /// up to `last`. Default: 200 ms to 30 s.
    pub fn backoff(mut self, first: Duration, last: Duration) -> Self {
        self.policy.backoff = (first, last);
        self
    }

    /// Renews a value ahead of its end: by what its creation took, times `beta`, times a random number
    /// that each process draws for each value (XFetch). Default: 0. Values around 1 let a few values
    /// in a hundred go stale.
    pub fn refresh_ahead(mut self, beta: f64) -> Self {
        self.policy.ahead = beta;
        self
    }

    /// What to do if the store does not answer. Default: [`OnStoreError::ServeStale`].
    pub fn on_store_error(mut self, what: OnStoreError) -> Self {
        self.policy.on_store_error = what;
        self
    }

    /// Takes the hints of the store: what others write is seen at once, if the store tells.
    pub fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    /// The clock of this process. Default: that of the system.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The pile. It asks nothing yet.
    pub fn build(mut self) -> FleetDogpile<T, S, C>
    where
        C: Codec<T>,
    {
        let abilities = self.store.abilities();
        let hints = self.watched && abilities.hints;
        let local = match hints {
            true => self.policy.ttl,
            false => self.policy.local,
        };
        self.policy.local = self.local.unwrap_or(local);
        let pile = Dogpile::builder(self.policy.local);
        let pile = match &self.clock {
            Some(clock) => pile.clock(Arc::clone(clock)),
            None => pile,
        };
        let pile = Arc::new(pile.build());
        let format = u64::from(C::FORMAT) << 32 | u64::from(self.format);
        let shared = Arc::new(Shared {
            key: Key::new(&self.namespace, self.key, format),
            store: self.store,
            abilities,
            codec: self.codec,
            policy: self.policy,
            common: Common::new(self.clock),
        });
        let always_asks = shared.policy.local.is_zero();
        let watching = Arc::new(Watching {
            pile: Arc::clone(&pile),
            shared: Arc::clone(&shared),
        });
        let member = Arc::downgrade(&watching) as Weak<dyn Member>;
        Family::of(&shared.store, &self.namespace).join(member);
        if hints {
            let weak = Arc::downgrade(&watching) as Weak<dyn Watch>;
            shared.store.watch(weak);
        }
        FleetDogpile {
            pile,
            shared,
            read: Mutex::default(),
            watching,
            hints,
            always_asks,
        }
    }
}

impl<T, S, C> fmt::Debug for FleetBuilder<T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<T, S, C> FleetDogpile<T, S, C> {
    /// A call with options.
    #[inline]
    pub fn call(&self) -> FleetCall<'_, T, S, C> {
        FleetCall::new(self)
    }

    /// The answer of a call that neither asks, nor creates, nor waits, nor takes a lock. `None` is no
    /// refusal: then make the call.
    #[inline(always)]
    pub fn hit(&self) -> Option<FleetGuard<'_, T>> {
        match self.fresh_hit() {
            Some(guard) => Some(guard),
            None => self.stale_hit(),
        }
    }

    // A guard that is not plainly fresh is dropped and taken again out of line: one that is passed to a
    // function is in memory from the beginning, and then each hit costs ten times as much.
    #[inline(always)]
    pub(crate) fn fresh_hit(&self) -> Option<FleetGuard<'_, T>> {
        let guard = self.pile.call().hit()?;
        match dogpile::Guard::origin(&guard) {
            dogpile::Origin::Fresh => Some(FleetGuard::new(guard, &self.shared.common)),
            _ => None,
        }
    }

    /// A stale copy while a caller of this process creates or asks: if the fleet's limit allows it.
    #[cold]
    #[inline(never)]
    pub(crate) fn stale_hit(&self) -> Option<FleetGuard<'_, T>> {
        let policy = &self.shared.policy;
        let guard = self.pile.call().hit()?;
        let age = dogpile::Guard::age(&guard);
        let usable = !policy.local.is_zero() && guard.is_usable(age, policy);
        usable.then(|| FleetGuard::new(guard, &self.shared.common))
    }

    /// The copy of this process, fresh or stale, without asking the store.
    pub fn peek(&self) -> Option<FleetGuard<'_, T>> {
        let guard = self.pile.peek()?;
        let age = dogpile::Guard::age(&guard);
        let usable = guard.is_usable(age, &self.shared.policy);
        usable.then(|| FleetGuard::new(guard, &self.shared.common))
    }

    /// How many calls of this process wait for a creation, or for one that asks the store.
    pub fn waiters(&self) -> usize {
        self.pile.waiters()
    }

    /// The name of the record in the store.
    pub fn key(&self) -> &Key {
        &self.shared.key
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.shared.store
    }

    /// What was done so far.
    pub fn stats(&self) -> FleetStats {
        self.shared.common.counts.stats()
    }

    /// What was written is what is here. Of two writes that overlapped only the store knows which was
    /// the last: then the next call asks.
    pub(crate) fn written_here(&self, value: Arc<T>, version: Version, alone: bool) {
        if !alone {
            return self.pile.invalidate();
        }
        let policy = &self.shared.policy;
        let mark = self.shared.common.mark();
        let entry = Entry::made(value, version, Duration::ZERO, policy).marked(mark);
        let hold = entry.fresh_here(Duration::ZERO, policy);
        self.pile.set_with(entry.created(Duration::ZERO, hold));
    }
}

impl<T, S, C> fmt::Debug for FleetDogpile<T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetDogpile")
            .field("key", &self.shared.key)
            .field("watching", &self.hints)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

// Nothing is half done when a creator panics.
impl<T, S, C> std::panic::UnwindSafe for FleetDogpile<T, S, C> {}
impl<T, S, C> std::panic::RefUnwindSafe for FleetDogpile<T, S, C> {}

/// What the pile of this process is given.
pub(crate) type Given<T> = Created<Entry<T>>;
