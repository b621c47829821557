//! How a pile is configured: [`Builder`], which holds the settings.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::answer::{Cold, Settings};
use crate::observe::{Observer, Watcher};
use crate::pile::{Dogpile, SyncReaderDogpile};
use crate::policy::{Backoff, Policy, RefreshAhead};
use crate::shim::Arc;
use crate::time::{Clock, Time};

/// The settings of a pile; see [`Dogpile::builder`](crate::Dogpile::builder).
///
/// [`build`](Builder::build) and the setters are `const`, so a configured pile can be a `static`. Two are
/// not: [`clock`](Builder::clock) and [`observer`](Builder::observer). There use
/// [`clock_static`](Builder::clock_static) and [`observer_static`](Builder::observer_static).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
///
/// static RATES: Dogpile<Vec<f64>> = Dogpile::builder(Duration::from_secs(300))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .build();
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    pub(crate) settings: Settings<bool>,
    value: PhantomData<fn() -> T>,
}

impl<T> Builder<T> {
    pub(crate) const fn new(ttl: Duration) -> Self {
        Self {
            settings: Settings {
                cold: Cold::new(),
                policy: Policy::new(ttl),
                time: Time::of_the_system(false),
            },
            value: PhantomData,
        }
    }

    /// How long a stale value may be served while one caller creates the next. Default: without
    /// limit.
    ///
    /// The limit counts from the end of the time to live. After the limit the value is *gone* and
    /// counts as no value: one caller creates, and the others wait. The term comes from RFC 5861.
    ///
    /// `Duration::ZERO` serves no value beyond its time to live. Choose it for a value that must not
    /// be used any longer, whatever happens to its source.
    ///
    /// [`expire`](crate::Dogpile::expire) does not move the limit. An expired value is stale at once,
    /// and is served until the same instant as before. That holds with a limit of zero too: such a
    /// value is served until its time to live is over. To remove a value at once, use
    /// [`invalidate`](crate::Dogpile::invalidate).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let pile = Dogpile::builder(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(10))
    ///     .clock(clock.clone())
    ///     .build();
    /// pile.set(7);
    /// pile.expire();
    /// clock.advance(Duration::from_secs(70));
    /// assert!(pile.has_value()); // It is stale, but may still be served.
    /// clock.advance(Duration::from_secs(1));
    /// assert!(!pile.has_value()); // It is gone.
    /// ```
    #[doc(alias = "stale-while-revalidate", alias = "swr", alias = "grace")]
    pub const fn stale_while_revalidate(mut self, limit: Duration) -> Self {
        self.settings.policy.limits.stale_while_revalidate = Some(limit);
        self
    }

    /// How long a value may stand in for a failure, counted from the end of its time to live. Default:
    /// never.
    ///
    /// A call whose own creation failed, or that waited for a creation which failed, gets the value
    /// held instead of the error, if the value is within this limit and the call takes stale values.
    /// So does a call whose wait limit passed, one that an executor refused, and one that comes while nobody
    /// may create. [`Guard::failure`](crate::Guard::failure) tells why. Beyond
    /// [`stale_while_revalidate`](Builder::stale_while_revalidate) the value serves for nothing else:
    /// calls create, or wait. The term comes from RFC 5861.
    ///
    /// A creator whose failure is an answer, such as a 404 after a 200, says
    /// [`Creating::no_fallback`](crate::Creating::no_fallback).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, Guard, ManualClock, Origin};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let rates = Dogpile::builder(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(10))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .clock(clock.clone())
    ///     .build();
    /// rates.set(7);
    /// clock.advance(Duration::from_secs(600));
    /// assert!(!rates.has_value());
    /// let held = rates.get_or_try_create(|| Err::<u32, _>("no route"))?;
    /// assert_eq!((*held, Guard::origin(&held)), (7, Origin::Fallback));
    /// # Ok::<_, dogpile::Error<&str>>(())
    /// ```
    #[doc(alias = "stale-if-error", alias = "fail-safe")]
    pub const fn stale_if_error(mut self, limit: Duration) -> Self {
        self.settings.policy.limits.stale_if_error = Some(limit);
        self
    }

    /// How long no creator runs after a failure. Default: the next caller tries at once.
    ///
    /// Meanwhile callers with a stale value get it at the cost of a hit, those with a value that may
    /// [stand in](Builder::stale_if_error) get that, and all others get
    /// [`Error::BackingOff`](crate::Error::BackingOff) at once. A creation that succeeds ends it, and
    /// so do `set`, `invalidate` and `expire`. `expire_if` and `invalidate_if`, which strangers can
    /// provoke, do not. Nor does a creation that was given up begin or end one.
    ///
    /// The short `get_or_create` has no error to give: where nothing is usable it runs its creator all
    /// the same.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Backoff, Dogpile, Error};
    ///
    /// let pile = Dogpile::<u32>::builder(Duration::from_secs(60))
    ///     .backoff(Backoff::constant(Duration::from_secs(1)))
    ///     .build();
    /// assert!(pile.get_or_try_create(|| Err("no route")).is_err());
    /// match pile.get_or_try_create(|| Ok::<_, &str>(7)) {
    ///     Err(Error::BackingOff { retry_in, .. }) => assert!(retry_in <= Duration::from_secs(1)),
    ///     answer => panic!("{answer:?}"),
    /// }
    /// ```
    #[doc(alias = "back-off", alias = "retry", alias = "circuit breaker")]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.policy.backoff = Some(backoff);
        self
    }

    /// The longest span that [`Creating::retry_after`](crate::Creating::retry_after) can ask for.
    /// Default: an hour, so that a source which answers with nonsense is not left alone for ever.
    pub const fn max_retry_after(mut self, span: Duration) -> Self {
        self.settings.policy.max_retry_after = span;
        self
    }

    /// How far apart creations begin, at least, whatever asks for them. Default: they may follow one
    /// another at once.
    ///
    /// It bounds what strangers can cause, who provoke renewals with made-up key ids. It counts from the
    /// beginning of the last creation that published, failed or panicked. One that was given up counts
    /// only while there is a usable value: else a caller who leaves would lock out all others.
    /// Meanwhile callers with a stale value get it, and those without one, or who asked for a newer one,
    /// get [`Error::BackingOff`](crate::Error::BackingOff). `set` is no creation, and `invalidate` does
    /// not end the interval. The short forms that have no error to give, such as
    /// [`get_or_create`](crate::Dogpile::get_or_create), create all the same where nothing is usable: for
    /// what strangers provoke, use a form that has an error.
    /// [`Dogpile::expire_if`](crate::Dogpile::expire_if) has the pattern for a key id that is not known.
    ///
    /// A value whose own limits are shorter than the interval leaves a gap, in which callers get
    /// `BackingOff`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1]) }
    /// static KEYS: Dogpile<Vec<u32>> = Dogpile::builder(Duration::from_secs(86_400))
    ///     .min_interval(Duration::from_secs(10))
    ///     .build();
    ///
    /// KEYS.get_or_try_create(fetch)?;
    /// assert!(KEYS.refresh(fetch).unwrap_err().is_backing_off());
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    #[doc(alias = "rate limit", alias = "throttle", alias = "JWKS")]
    pub const fn min_interval(mut self, interval: Duration) -> Self {
        self.settings.policy.min_interval = match interval.is_zero() {
            true => None,
            false => Some(interval),
        };
        self
    }

    /// After how long a creation is taken over, because its creator hangs. Default: never, so that
    /// there are never two creators at the same time.
    ///
    /// A thread that waits wakes up for it, and so does a task with a timer; else the next caller
    /// takes the lease over. Those who wait then wait for the new creation. The late creator goes on,
    /// since nothing can stop it: its result goes to its own caller alone, marked
    /// [`Superseded`](crate::Origin::Superseded). A gate that it keeps closed opens.
    ///
    /// At most one creator is late at a time. If the next one hangs too, those who wait get a failure, and
    /// the pile backs off: as [`backoff`](Builder::backoff) says, or else for `limit`.
    ///
    /// Give the creator a time-out of its own, which is shorter: this one is for the creator that
    /// hangs all the same.
    ///
    /// # Panics
    ///
    /// If it is zero. In a `const` or a `static`, that is an error of the compiler.
    #[doc(alias = "timeout", alias = "hang")]
    pub const fn max_create_time(mut self, limit: Duration) -> Self {
        assert!(
            !limit.is_zero(),
            "a max_create_time of zero takes each creation over as it begins: leave it out, or give it \
             a span"
        );
        self.settings.policy.max_create_time = Some(limit);
        self
    }

    /// Renews a value before it is stale, from a point that `ahead` sets.
    ///
    /// The first call after that point creates, and gets the new value. The others get the old one, which
    /// is still fresh.
    #[cfg_attr(
        feature = "async",
        doc = "In the background, with [`Dogpile::background`](crate::Dogpile::background), nobody waits."
    )]
    ///
    /// The point is drawn when a value is made, and a hit costs no more for it. An error of such a
    /// creator is swallowed: the caller gets the value, which is fresh, with the failure beside it.
    /// Default: values are renewed once they are stale.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock, RefreshAhead};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let token = Dogpile::builder(Duration::from_secs(60))
    ///     .refresh_ahead(RefreshAhead::percent(80))
    ///     .clock(clock.clone())
    ///     .build();
    /// token.set(1);
    /// clock.advance(Duration::from_secs(49));
    /// assert!(token.is_fresh());
    /// assert_eq!(*token.get_or_create(|| 2), 2);
    /// ```
    #[doc(alias = "early refresh", alias = "refreshAfterWrite")]
    pub const fn refresh_ahead(mut self, ahead: RefreshAhead) -> Self {
        self.settings.policy.refresh_ahead = Some(ahead);
        self
    }

    /// Has each value go stale a random part of so many percent of its time to live sooner, so that
    /// piles which were filled together are not renewed together. Default: none.
    ///
    /// The stale limits count from the full time to live. A value that never ends is not changed.
    ///
    /// # Panics
    ///
    /// If it is 100 or above: such a value could be stale at once. In a `const` or a `static`, that is
    /// an error of the compiler.
    pub const fn ttl_jitter(mut self, percent: u8) -> Self {
        assert!(
            percent < 100,
            "a ttl_jitter of 100 percent or more would make values that are stale at once"
        );
        self.settings.policy.ttl_jitter = percent;
        self
    }

    /// The seed of all random choices, such as jitter and refresh points: the same seed draws the same for
    /// the same creation. Default: another one for each pile and each process.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.settings.policy.seed = Some(seed);
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): the pile starts as if its value had been created at
    /// the first call.
    ///
    /// If that call finds a value without an age, the value counts as fresh from then on. Without this
    /// setting such a value counts as no value, and the first call creates.
    pub const fn init(mut self) -> Self {
        self.settings.policy.init = true;
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): whether the pile itself keeps the value of its last
    /// creation. Default: it does.
    ///
    /// The kept value serves callers whose look-up missed while the value was being created. It also
    /// serves while the store [cannot be reached](crate::Lookup::Unreachable). Without it, such
    /// callers create again.
    pub const fn keep_last(mut self, keep: bool) -> Self {
        self.settings.policy.keep = keep;
        self
    }

    /// Whether the pile counts its creations, and knows who creates: see
    /// [`Dogpile::stats`](crate::Dogpile::stats). Default: it does not, unless it has an
    /// [observer](Builder::observer) or a [`min_interval`](Builder::min_interval).
    ///
    /// It costs hits nothing, and a creation a few instructions. A pile that counts allocates once, at
    /// its first creation.
    #[doc(alias = "metrics")]
    pub const fn stats(mut self, counts: bool) -> Self {
        self.settings.policy.stats = counts;
        self
    }

    /// Who is told of each creation that ended. Default: nobody.
    ///
    /// It costs hits nothing. The pile [counts](Builder::stats) then, too. See
    /// [`Observer`](crate::observe::Observer).
    #[doc(alias = "tracing", alias = "logging")]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.settings.cold.watcher = Watcher::Shared(observer);
        self.settings.policy.observed = true;
        self
    }

    /// As [`observer`](Builder::observer), for an observer that is a `static`. The pile can be a `static`
    /// too.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    /// use dogpile::observe::{Event, Observer};
    ///
    /// struct Count(AtomicU32);
    ///
    /// impl Observer for Count {
    ///     fn event(&self, _event: &Event) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// static COUNT: Count = Count(AtomicU32::new(0));
    /// static RATES: Dogpile<u32> = Dogpile::builder(Duration::from_secs(60))
    ///     .observer_static(&COUNT)
    ///     .build();
    ///
    /// assert_eq!(*RATES.get_or_create(|| 7), 7);
    /// assert_eq!(COUNT.0.load(Ordering::Relaxed), 1);
    /// ```
    pub const fn observer_static(mut self, observer: &'static dyn Observer) -> Self {
        // As for the clock below: the one before it is not dropped.
        std::mem::forget(std::mem::replace(
            &mut self.settings.cold.watcher,
            Watcher::Fixed(observer),
        ));
        self.settings.policy.observed = true;
        self
    }

    /// The clock of the pile. Default: [`SystemClock`](crate::SystemClock).
    ///
    /// Tests give the pile a [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.time.inject(clock);
        self
    }

    /// As [`clock`](Builder::clock), for a clock that is a `static`. The pile can be a `static` too.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock};
    ///
    /// static CLOCK: ManualClock = ManualClock::new();
    /// static RATES: Dogpile<u32> = Dogpile::builder(Duration::from_secs(60))
    ///     .clock_static(&CLOCK)
    ///     .build();
    ///
    /// RATES.set(7);
    /// CLOCK.advance(Duration::from_secs(61));
    /// assert!(!RATES.is_fresh());
    /// ```
    pub const fn clock_static(mut self, clock: &'static dyn Clock) -> Self {
        self.settings.time.fix(clock);
        self
    }

    /// Counts the hits: how many calls were answered with the value that was held, whose
    /// [`Origin`](crate::Origin) is `Fresh`, `Stale` or `Fallback`. Default: nobody counts.
    ///
    /// # Cost
    ///
    /// A hit that is counted increments a word that only its own thread writes, which takes a few
    /// nanoseconds. Each thread that hits such piles has eight bytes for each of them, for ever. One that
    /// is not counted costs nothing more. To read the number costs a look at the words of all threads.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// static RATES: Dogpile<u32> = Dogpile::builder(Duration::from_secs(60)).count_hits().build();
    ///
    /// for _ in 0..3 {
    ///     assert_eq!(*RATES.get_or_create(|| 7), 7);
    /// }
    /// assert_eq!(RATES.stats().hits, Some(2));
    /// ```
    pub const fn count_hits(mut self) -> Self {
        self.settings.time.count_hits();
        self
    }
}

impl<T> Builder<T> {
    /// The pile, without a value, or what is wrong with the settings: for settings that are not known
    /// when the program is compiled.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if two settings make no sense together. It names both.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let builder = Dogpile::<u32>::builder(Duration::from_secs(10))
    ///     .stale_while_revalidate(Duration::from_secs(10))
    ///     .min_interval(Duration::from_secs(60));
    /// assert!(builder.try_build().unwrap_err().to_string().contains("min_interval"));
    /// ```
    pub fn try_build(self) -> Result<Dogpile<T>, BuildError> {
        self.check()?;
        Ok(self.build())
    }

    /// As [`try_build`](Builder::try_build), as a pile whose creators can wait for the readers.
    ///
    /// # Errors
    ///
    /// As [`try_build`](Builder::try_build).
    pub fn try_build_sync_reader(self) -> Result<SyncReaderDogpile<T>, BuildError> {
        self.check()?;
        Ok(self.build_sync_reader())
    }

    fn check(&self) -> Result<(), BuildError> {
        BuildError::of(&self.settings.policy)
    }
}

/// Two settings of a pile that make no sense together; see [`Builder::try_build`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(&'static str);

impl BuildError {
    /// What makes no sense in this policy, if anything does.
    pub(crate) fn of(policy: &Policy) -> Result<(), Self> {
        policy.fault().map_or(Ok(()), |fault| Err(Self(fault)))
    }
}

impl<T> Clone for Builder<T> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.show("Builder", f)
    }
}
