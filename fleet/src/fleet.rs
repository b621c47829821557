//! The pile of a fleet: [`FleetDogpile`] and its settings.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile::{Clock, Created, Dogpile};

use crate::asks::Asks;
use crate::call::FleetCall;
use crate::codec::{Codec, Plain};
use crate::door::Alone;
use crate::entry::{Entry, FleetGuard};
use crate::family::{Family, Members};
use crate::known::Known;
use crate::observe::FleetObserver;
use crate::policy::{OnStoreError, Policy};
use crate::shared::{Common, FleetStats, Shared};
use crate::site::{Place, Site};
use crate::store::{Described, Key, Watch};

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
    pub(crate) site: Arc<Site<T, S, C>>,
    /// What a look at the store brought last, where no copy is kept.
    pub(crate) read: Mutex<Option<Arc<Entry<T>>>>,
    hints: bool,
    /// Whether no copy is kept here. It stands in the policy too, where a hit does not look.
    pub(crate) always_asks: bool,
}

/// The settings of a [`FleetDogpile`], or of a [`FleetKeyed`](crate::FleetKeyed): then `W` is
/// [`ManyKeys`](crate::ManyKeys).
#[must_use = "a builder does nothing until it is built"]
pub struct FleetBuilder<T, S, C = Plain, W = OneKey> {
    store: Arc<S>,
    namespace: String,
    format: u32,
    codec: C,
    policy: Policy,
    local: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
    watched: bool,
    observer: Option<Arc<dyn FleetObserver>>,
    /// What is set of a pile of one key, or of many.
    pub(crate) which: W,
    value: PhantomData<fn() -> T>,
}

/// What stands in a [`FleetBuilder`] of a [`FleetDogpile`] alone: its key.
pub struct OneKey(Vec<u8>);

/// What all piles have in common that are built.
pub(crate) struct Built<S, C> {
    pub(crate) shared: Arc<Shared<S, C>>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) format: u64,
    pub(crate) hints: bool,
}

impl<T: Send + Sync + 'static, S: Described> FleetDogpile<T, S> {
    /// The settings of a pile over the record of `key` in `store`, whose values are fresh for `ttl` in
    /// the whole fleet.
    pub fn builder(store: Arc<S>, key: impl AsRef<[u8]>, ttl: Duration) -> FleetBuilder<T, S> {
        FleetBuilder::of(store, String::new(), ttl, OneKey(key.as_ref().to_vec()))
    }
}

impl<T, S, W> FleetBuilder<T, S, Plain, W> {
    pub(crate) fn of(store: Arc<S>, namespace: String, ttl: Duration, which: W) -> Self {
        Self {
            store,
            namespace,
            format: 0,
            codec: Plain,
            policy: Policy::new(ttl),
            local: None,
            clock: None,
            watched: false,
            observer: None,
            which,
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
}

impl<T: Send + Sync + 'static, S: Described, C, W> FleetBuilder<T, S, C, W> {
    /// How values become bytes. Default: [`Plain`], for bytes and text.
    pub fn codec<D: Codec<T>>(self, codec: D) -> FleetBuilder<T, S, D, W> {
        FleetBuilder {
            store: self.store,
            namespace: self.namespace,
            format: self.format,
            codec,
            policy: self.policy,
            local: self.local,
            clock: self.clock,
            watched: self.watched,
            observer: self.observer,
            which: self.which,
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

    /// Who is told what happens between this process and the store. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn FleetObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What does not depend on the record.
    pub(crate) fn shared(self, asks: Option<Asks>) -> (Built<S, C>, W)
    where
        C: Codec<T>,
    {
        let mut policy = self.policy;
        let abilities = self.store.abilities();
        let hints = self.watched && abilities.hints;
        let local = match hints {
            true => policy.ttl,
            false => policy.local,
        };
        policy.local = self.local.unwrap_or(local);
        let shared = Arc::new(Shared {
            store: self.store,
            abilities,
            namespace: self.namespace.into(),
            codec: self.codec,
            policy,
            common: Common::new(self.clock.clone(), self.observer),
            asks,
        });
        let built = Built {
            shared,
            clock: self.clock,
            format: u64::from(C::FORMAT) << 32 | u64::from(self.format),
            hints,
        };
        (built, self.which)
    }
}

impl<S: Described, C> Built<S, C> {
    /// The settings of the piles in this process.
    pub(crate) fn pile<T>(&self) -> dogpile::Builder<Entry<T>> {
        let pile = Dogpile::builder(self.shared.policy.local);
        match &self.clock {
            Some(clock) => pile.clock(Arc::clone(clock)),
            None => pile,
        }
    }

    /// Lets `pile` know what others in this process, and elsewhere, do to its records.
    pub(crate) fn join<P: Members + Watch + 'static>(&self, pile: &Arc<P>) {
        let shared = &self.shared;
        let members = Arc::downgrade(pile) as Weak<dyn Members>;
        Family::of(&shared.store, &shared.namespace).join(members);
        if self.hints {
            let watch = Arc::downgrade(pile) as Weak<dyn Watch>;
            shared.store.watch(watch);
        }
    }
}

impl<T: Send + Sync + 'static, S: Described, C> FleetBuilder<T, S, C> {
    /// The pile. It asks nothing yet.
    pub fn build(self) -> FleetDogpile<T, S, C>
    where
        C: Codec<T>,
    {
        let (built, OneKey(key)) = self.shared(None);
        let pile = Arc::new(built.pile().build());
        let shared = Arc::clone(&built.shared);
        let always_asks = shared.policy.local.is_zero();
        let key = Key::new(&shared.namespace, key, built.format);
        let site = Arc::new(Site {
            shared,
            known: Arc::new(Known::new(key)),
            place: Arc::<Dogpile<Entry<T>>>::clone(&pile) as Arc<dyn Place<T>>,
        });
        built.join(&site);
        FleetDogpile {
            pile,
            site,
            read: Mutex::default(),
            hints: built.hints,
            always_asks,
        }
    }
}

impl<T, S, C, W> fmt::Debug for FleetBuilder<T, S, C, W> {
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
        FleetCall::new(Alone(self))
    }

    /// How many calls of this process wait for a creation, or for one that asks the store.
    pub fn waiters(&self) -> usize {
        self.pile.waiters()
    }

    /// The name of the record in the store.
    pub fn key(&self) -> &Key {
        self.site.key()
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.site.shared.store
    }

    /// What was done so far.
    pub fn stats(&self) -> FleetStats {
        self.site.shared.common.counts.stats()
    }
}

impl<T: Send + Sync + 'static, S, C> FleetDogpile<T, S, C> {
    /// The answer of a call that neither asks, nor creates, nor waits, nor takes a lock. `None` is no
    /// refusal: then make the call.
    #[inline(always)]
    pub fn hit(&self) -> Option<FleetGuard<'_, T>> {
        self.call().hit()
    }

    /// The copy of this process, fresh or stale, without asking the store.
    pub fn peek(&self) -> Option<FleetGuard<'_, T>> {
        self.call().peek()
    }
}

impl<T, S, C> fmt::Debug for FleetDogpile<T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetDogpile")
            .field("key", self.key())
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
