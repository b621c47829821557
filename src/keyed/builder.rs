//! How a map is configured: [`KeyedBuilder`].

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use crate::answer::Settings;
use crate::keyed::room::{Eviction, Limits};
use crate::keyed::{KeyedDogpile, KeyedOwned};
use crate::pile::{BuildError, Builder};
use crate::policy::Bucket;
use crate::raw::Rate;
use crate::shim::Arc;

/// The settings of a map; see [`Builder::keyed`](crate::Builder::keyed).
///
/// What is said of a pile is said before, with [`Builder`](crate::Builder). It holds for each key.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Dogpile, KeyedDogpile};
///
/// let pages: KeyedDogpile<String, String> = Dogpile::builder(Duration::from_secs(60))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .keyed()
///     .build();
/// # assert!(pages.is_empty());
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct KeyedBuilder<K, T, S = RandomState> {
    settings: Settings<bool>,
    limits: Limits<K, T>,
    hasher: S,
}

impl<T> Builder<T> {
    /// The settings of a map whose keys have such a pile each.
    pub fn keyed<K>(self) -> KeyedBuilder<K, T> {
        KeyedBuilder {
            settings: self.settings,
            limits: Limits::NONE,
            hasher: RandomState::new(),
        }
    }

    /// A map whose keys have such a pile each, without a bound.
    ///
    /// # Panics
    ///
    /// As [`KeyedBuilder::build`].
    pub fn build_keyed<K: Eq + Hash>(self) -> KeyedDogpile<K, T> {
        self.keyed().build()
    }
}

impl<K, T, S> KeyedBuilder<K, T, S> {
    /// The hasher of the keys. Default: [`RandomState`], which no stranger can foresee.
    ///
    /// # Cost
    ///
    /// Keys with the same hash are compared one after the other: with 16,000 of them a look takes a third
    /// of a millisecond.
    ///
    /// # Example
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let squares = Dogpile::builder(Duration::from_secs(60))
    ///     .keyed()
    ///     .hasher(BuildHasherDefault::<DefaultHasher>::default())
    ///     .build();
    /// assert_eq!(*squares.get_or_create(&7, || 49), 49);
    /// ```
    pub fn hasher<H: BuildHasher>(self, hasher: H) -> KeyedBuilder<K, T, H> {
        KeyedBuilder {
            settings: self.settings,
            limits: self.limits,
            hasher,
        }
    }

    /// How many values there may be. Default: any number.
    ///
    /// Values that nobody asks for are evicted first, and new ones before old ones. So keys that are asked
    /// for once do not drive out the others. A key that a call is just at is passed over, so there may be
    /// more for a moment, by as many as there are calls. With a bound of zero nothing is kept: a value goes
    /// to those who waited for it.
    ///
    /// # Cost
    ///
    /// A creation takes one more short lock. A hit costs the same.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let squares = Dogpile::builder(Duration::from_secs(60)).keyed().max_entries(100).build();
    /// for root in 0..1000 {
    ///     squares.set(root, root * root);
    /// }
    /// assert_eq!(squares.len(), 100);
    /// ```
    #[doc(alias = "max_capacity", alias = "capacity", alias = "lru")]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.limits.entries = Some(entries);
        self
    }

    /// How much all values may weigh together, by the weight that `weigher` gives each. Default: any
    /// weight.
    ///
    /// `weigher` is called once for each value that comes, under no lock. It may look at the map. If it
    /// changes the key whose value it weighs, it is called within itself. A value that weighs nothing takes
    /// no room: with no other bound, any number of them is kept. A value that weighs more than
    /// `weight` by itself goes to those who waited for it and is not kept, nor is one for which `weigher`
    /// panics. What goes first is what goes first with [`max_entries`](KeyedBuilder::max_entries), also
    /// if both are given.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let pages = Dogpile::builder(Duration::from_secs(60))
    ///     .keyed()
    ///     .max_weight(1000, |name: &String, page: &String| (name.len() + page.len()) as u32)
    ///     .build();
    /// for page in 0..100 {
    ///     pages.set(page.to_string(), "twenty bytes of text".into());
    /// }
    /// assert!(pages.weight() <= 1000);
    /// assert!(pages.len() >= 40);
    /// ```
    pub fn max_weight(
        mut self,
        weight: u64,
        weigher: impl Fn(&K, &T) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.limits.weight = Some((weight, Arc::new(weigher)));
        self
    }

    /// How many creations of the map may run at once, whatever their keys. Default: any number.
    ///
    /// A call that is to create waits for its turn before it is elected, and its
    /// [limit](crate::KeyedCall::wait) counts that. A call with a stale value takes that value instead.
    /// A creation that is called for inside a creator of the same map needs no turn of its own. A call for
    /// [several keys](KeyedDogpile::get_or_create_multi) is one creation. The leases of
    /// [`attempt`](KeyedDogpile::attempt) are not counted.
    ///
    /// # Panics
    ///
    /// If `creations` is zero: nothing could ever be created.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, KeyedDogpile};
    ///
    /// // A database that bears four queries at a time.
    /// let reports: KeyedDogpile<String, String> = Dogpile::builder(Duration::from_secs(60))
    ///     .keyed()
    ///     .creation_limit(4)
    ///     .build();
    /// # assert!(reports.is_empty());
    /// ```
    pub fn creation_limit(mut self, creations: usize) -> Self {
        assert!(
            creations > 0,
            "KeyedBuilder::creation_limit: with a limit of zero nothing could ever be created"
        );
        self.limits.creations = Some(creations);
        self
    }

    /// How many creations of the map may begin in a span, whatever their keys. Default: any number.
    ///
    /// For keys that strangers choose: whoever makes up a new key each time never finds a value. The map
    /// has a bucket of `creations`. Each creation takes one out, and the bucket fills up again evenly, in
    /// `span`. So up to `creations` begin at once, and over a long time no more than that in each span. A
    /// call that finds the bucket empty gets the stale value or the fallback, if there is one. Else it is
    /// told [`Error::BackingOff`](crate::Error::BackingOff) at once, with the time until the next creation
    /// may begin and an [`OverRate`](crate::OverRate).
    ///
    /// What counts is each lease that is granted, however it ends: published, failed, panicked, given up.
    /// Otherwise a stranger who hangs up would cost the source, and nothing else. Two things are
    /// different:
    ///
    /// - A creation in the background that the executor did not run is put back.
    /// - In a call for [several keys](KeyedDogpile::get_or_create_multi), each key counts. The keys beyond
    ///   the rate are answered as above, and not passed to the creator.
    ///
    /// The short forms that have no error, such as [`get_or_create`](KeyedDogpile::get_or_create), create
    /// all the same if they have no value. They count. A call after them waits at most as long as for an
    /// empty bucket. Let strangers' keys come with a form that has an error. A clock that steps back by more
    /// than `span` finds the bucket empty. [`stats`](KeyedDogpile::stats) tells how often a call could not
    /// create. [`Stats::retry_in`](crate::observe::Stats::retry_in) of a key does not know of the rate.
    ///
    /// # Panics
    ///
    /// If `creations` or `span` is zero.
    ///
    /// # Cost
    ///
    /// An election takes one more short lock. A hit costs the same. So does a stale value while the bucket
    /// is empty, after the first caller of its key has found it so.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, Error, KeyedDogpile};
    ///
    /// let users: KeyedDogpile<u32, String> = Dogpile::builder(Duration::from_secs(60))
    ///     .keyed()
    ///     .creation_rate(2, Duration::from_secs(3600))
    ///     .build();
    /// let find = |id: u32| users.get_or_try_create(&id, || Err("no such user"));
    /// assert!(find(1).unwrap_err().is_failed());
    /// assert!(find(2).unwrap_err().is_failed());
    /// match find(3) {
    ///     Err(Error::BackingOff { retry_in, .. }) => assert!(retry_in <= Duration::from_secs(1800)),
    ///     answer => panic!("{answer:?}"),
    /// }
    /// assert_eq!(users.stats().over_rate, Some(1));
    /// ```
    pub fn creation_rate(mut self, creations: u32, span: Duration) -> Self {
        assert!(
            creations > 0,
            "KeyedBuilder::creation_rate: at a rate of zero nothing could ever be created"
        );
        assert!(
            !span.is_zero(),
            "KeyedBuilder::creation_rate: a span of zero limits nothing: leave the rate out, or give it \
             a span"
        );
        self.limits.rate = Some((creations, span));
        self
    }

    /// How an error names a key: see [`Cycle`](crate::Cycle). Default: not at all.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let builder = Dogpile::<u32>::builder(Duration::from_secs(60)).keyed::<String>();
    /// let map = builder.name_keys(|key| format!("page {key}")).build();
    /// # map.set("front".into(), 7);
    /// ```
    pub fn name_keys(mut self, name: impl Fn(&K) -> String + Send + Sync + 'static) -> Self {
        self.limits.name = Some(Arc::new(name));
        self
    }

    /// Tells of each value that the map lets go of though nobody removed it, with the reason.
    ///
    /// It is called under no lock, by the call that made the room, or found what was gone. A panic there
    /// goes nowhere.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, Eviction};
    ///
    /// static EVICTED: AtomicU32 = AtomicU32::new(0);
    ///
    /// let squares = Dogpile::builder(Duration::from_secs(60))
    ///     .keyed::<u32>()
    ///     .max_entries(10)
    ///     .on_eviction(|square, why| {
    ///         assert_eq!(why, Eviction::NoRoom);
    ///         EVICTED.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build();
    /// for root in 0..100 {
    ///     squares.set(root, root * root);
    /// }
    /// assert_eq!(EVICTED.load(Ordering::Relaxed), 90);
    /// ```
    pub fn on_eviction(
        mut self,
        listener: impl Fn(KeyedOwned<K, T>, Eviction) + Send + Sync + 'static,
    ) -> Self {
        self.limits.listener = Some(Arc::new(listener));
        self
    }
}

impl<K: Eq + Hash, T, S: BuildHasher> KeyedBuilder<K, T, S> {
    /// The map, without a value.
    ///
    /// # Panics
    ///
    /// If two settings make no sense together: the message names both.
    /// [`try_build`](KeyedBuilder::try_build) gives it as a value.
    pub fn build(self) -> KeyedDogpile<K, T, S> {
        match self.try_build() {
            Ok(map) => map,
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The map, without a value.
    ///
    /// # Errors
    ///
    /// As [`Builder::try_build`].
    pub fn try_build(mut self) -> Result<KeyedDogpile<K, T, S>, BuildError> {
        BuildError::of(&self.settings.policy)?;
        let mut settings = self.settings.build();
        let rate = (self.limits.rate).map(|(creations, span)| Bucket::new(creations, span));
        settings.cold.rate = rate.map(Rate::new).map(Arc::new);
        Ok(KeyedDogpile::with(settings, self.limits, self.hasher))
    }
}

impl<K, T, S> fmt::Debug for KeyedBuilder<K, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("settings", &self.settings)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
