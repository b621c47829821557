//! What a creator may say of its value, and know of its creation: [`Created`], [`Creating`] and
//! [`Previous`].

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::answer::{Anchor, Owned, Site};
use crate::policy::{Asks, Draw, Freshness, Horizon, Pace, Seen};
use crate::raw::{NodeRef, Pile, Ready};
use crate::time::{Limits, Tick, Times};

/// A new value, with what its creator knows of it; see
/// [`Dogpile::get_or_try_create_with`](crate::Dogpile::get_or_try_create_with).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Created, Dogpile, Guard};
///
/// let token = Dogpile::new(Duration::from_secs(3600));
/// let held = token.get_or_try_create_with(|_| {
///     // The issuer says that this token lives for ten minutes, and that it is one minute old.
///     let lifetime = Duration::from_secs(600);
///     Ok::<_, std::io::Error>(Created::new("secret").ttl(lifetime).age(Duration::from_secs(60)))
/// })?;
/// assert_eq!(Guard::age(&held), Duration::from_secs(60));
/// assert_eq!(Guard::time_left(&held), Duration::from_secs(540));
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
#[must_use = "a created value has to be given to the pile"]
pub struct Created<T> {
    content: Content<T>,
    ttl: Option<Duration>,
    age: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    hold: Option<Duration>,
    keep: Option<bool>,
    superseded: bool,
}

enum Content<T> {
    New(T),
    Unchanged(Owned<T>),
    /// With its times as they are.
    Complete(Owned<T>),
}

impl<T> Created<T> {
    /// A new value, just made, with the time to live of the pile.
    pub fn new(value: T) -> Self {
        Self::of(Content::New(value))
    }

    /// The previous value once more, *validated now*, without a copy: for a source that said "not
    /// modified".
    ///
    /// Its age is zero. It lives for the time to live that it had before, which
    /// [`ttl`](Created::ttl) changes. A value that merely could not be validated is not unchanged:
    /// let the creator fail instead.
    ///
    /// # The instants, in four examples
    ///
    /// A value with a time to live of 60 s is created at second 0. At second 70 its creator answers:
    ///
    /// | answer | age at second 70 | fresh until second |
    /// |---|---:|---:|
    /// | `Created::new(value)` | 0 s | 130 (the pile's time to live) |
    /// | `Created::unchanged(previous)` | 0 s | 130 (the value's own time to live) |
    /// | `Created::unchanged(previous).ttl(10 s)` | 0 s | 80 |
    /// | `Created::unchanged(previous).age(70 s)` | 70 s | 60: no instant of its end moves |
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Created, Dogpile};
    ///
    /// # fn fetch_if_modified(known: Option<&str>) -> Option<String> {
    /// #     known.is_none().then(|| "v1".to_owned())
    /// # }
    /// let pile = Dogpile::<String>::new(Duration::from_secs(60));
    /// # for _ in 0..2 {
    /// let value = pile.get_or_try_create_with(|creating| {
    ///     let previous = creating.previous();
    ///     Ok::<_, std::io::Error>(match fetch_if_modified(previous.as_ref().map(|p| p.as_str())) {
    ///         Some(new) => Created::new(new),
    ///         None => Created::unchanged(previous.expect("asked for changes of one")),
    ///     })
    /// })?;
    /// # assert_eq!(*value, "v1");
    /// # pile.expire();
    /// # }
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    #[doc(alias = "not modified", alias = "304", alias = "etag")]
    pub fn unchanged(previous: impl Into<Owned<T>>) -> Self {
        Self::of(Content::Unchanged(previous.into()))
    }

    fn of(content: Content<T>) -> Self {
        Self {
            content,
            ttl: None,
            age: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            hold: None,
            keep: None,
            superseded: false,
        }
    }

    /// How long this value is fresh, instead of what the pile was built with.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How old the value is already.
    ///
    /// Of an [unchanged](Created::unchanged) value without a [`ttl`](Created::ttl) of its own, this
    /// moves the age and no instant of its end.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// How long this value may be served while the next is created, instead of what the pile was
    /// built with; see [`Builder::stale_while_revalidate`](crate::Builder::stale_while_revalidate).
    pub fn stale_while_revalidate(mut self, limit: Duration) -> Self {
        self.stale_while_revalidate = Some(limit);
        self
    }

    /// How long this value may stand in for a failure, instead of what the pile was built with; see
    /// [`Builder::stale_if_error`](crate::Builder::stale_if_error).
    pub fn stale_if_error(mut self, limit: Duration) -> Self {
        self.stale_if_error = Some(limit);
        self
    }

    /// Has nobody create the next value for `span`, though this one is stale.
    ///
    /// For a creator that goes on with an old value without having validated it, such as one that
    /// found a store that several processes share at work on the next. The value lives no longer for
    /// it: say its [`age`](Created::age). `set`, `invalidate` and `expire` end the hold.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Created, Creating, Dogpile, Guard, ManualClock, Origin, Previous};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let pile = Dogpile::builder(Duration::from_secs(60)).clock(clock.clone()).build();
    /// pile.set(7);
    /// clock.advance(Duration::from_secs(61));
    /// let held = pile.get_or_try_create_with(|creating| {
    ///     let previous = creating.previous().unwrap();
    ///     let age = Previous::age(&previous);
    ///     let hold = Duration::from_millis(100);
    ///     Ok::<_, std::io::Error>(Created::unchanged(previous).age(age).hold(hold))
    /// })?;
    /// assert_eq!(*held, 7);
    /// let next = pile.get_or_create(|| unreachable!("nobody creates yet"));
    /// assert_eq!(Guard::origin(&next), Origin::Stale);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn hold(mut self, span: Duration) -> Self {
        self.hold = Some(span);
        self
    }

    /// Whether the pile keeps the value.
    ///
    /// A value that is not kept goes to this caller and to those who wait. The pile keeps its times,
    /// and for [`acquire`](crate::Dogpile::acquire) counts as created. The default is to keep it;
    /// in the forms of `acquire` it is what
    /// [`Builder::keep_last`](crate::Builder::keep_last) says.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Gives the value to the caller of this creation alone, marked
    /// [`Superseded`](crate::Origin::Superseded).
    ///
    /// The pile goes on with the value that it has, and those who wait elect anew. For a creator
    /// that learns from outside, such as from a store that several processes share, that a newer
    /// value exists.
    pub fn superseded(mut self) -> Self {
        self.superseded = true;
        self
    }

    /// The same, kept or not where it does not say.
    pub(crate) fn kept_by_default(mut self, keep: bool) -> Self {
        self.keep.get_or_insert(keep);
        self
    }

    /// Whether the value is to be kept, as far as it says itself: not if it is
    /// [superseded](Created::superseded) or [not to be kept](Created::keep).
    pub fn is_kept(&self) -> bool {
        !self.superseded && self.keep.unwrap_or(true)
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// The value complete at `now`, and the same to be given to the pile, which moves none of its times.
    pub(crate) fn complete(self, site: Site<'_, T>, now: Tick, fence: u64) -> (Owned<T>, Self) {
        let Self {
            hold,
            keep,
            superseded,
            ..
        } = self;
        let value = Owned::new(self.into_ready(site, now, fence).node);
        let again = Self {
            hold,
            keep,
            superseded,
            ..Self::of(Content::Complete(value.clone()))
        };
        (value, again)
    }

    /// The value complete at `now`, made under the lease with the number `fence`.
    pub(crate) fn into_ready(self, site: Site<'_, T>, now: Tick, fence: u64) -> Ready<T> {
        let policy = &site.settings.policy;
        let Self { ttl, age, hold, .. } = self;
        // One that was `set` has no fence: then the numbers before it will do.
        let draw = |purpose| {
            let number = if fence == 0 { site.pile.last() } else { fence };
            Draw::new(site.seed(), number, purpose)
        };
        let own = |of: Limits| Limits {
            stale_while_revalidate: self.stale_while_revalidate.or(of.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(of.stale_if_error),
        };
        let new = |ttl, limits| policy.times(now, age.unwrap_or_default(), ttl, own(limits), draw);
        let (node, times) = match self.content {
            Content::New(value) => {
                let times = new(ttl.unwrap_or(policy.ttl), policy.limits);
                (NodeRef::new(value, times, fence), times)
            }
            Content::Complete(value) if ttl.is_none() && age.is_none() => {
                let times = value.node().times();
                (value.node().renewed(times, fence), times)
            }
            Content::Unchanged(previous) | Content::Complete(previous) => {
                let before = previous.node().times();
                let times = match (ttl, age) {
                    (None, Some(age)) => Times {
                        limits: own(before.limits),
                        ..before.with_age(now, age)
                    },
                    (ttl, _) => new(ttl.unwrap_or(before.ttl), before.limits),
                };
                (previous.node().renewed(times, fence), times)
            }
        };
        let kept = match self.keep.unwrap_or(true) {
            true => node.clone(),
            false => NodeRef::elsewhere(times, fence),
        };
        Ready { node, kept, hold }
    }
}

impl<T> From<T> for Created<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> fmt::Debug for Created<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created")
            .field("ttl", &self.ttl)
            .field("age", &self.age)
            .field("stale_while_revalidate", &self.stale_while_revalidate)
            .field("stale_if_error", &self.stale_if_error)
            .field("hold", &self.hold)
            .field("keep", &self.keep)
            .field("superseded", &self.superseded)
            .finish_non_exhaustive()
    }
}

/// What a creator may know of the creation that it runs.
///
/// It borrows the pile. Where the creation runs in the background, it holds the pile. It has no
/// effect once its creation has ended.
pub struct Creating<'a, T> {
    anchor: Anchor<'a, T>,
    fence: u64,
}

impl<'a, T> Creating<'a, T> {
    pub(crate) fn new(anchor: Anchor<'a, T>, fence: u64) -> Self {
        Self { anchor, fence }
    }

    /// The value that is held, however old it is: stale as a rule, fresh in a refresh, perhaps gone.
    pub fn previous(&self) -> Option<Previous<T>> {
        let site = self.anchor.site();
        let value = Owned::of(site.pile.load()?.clone())?;
        let times = value.node().times();
        let now = site.settings.time.now();
        Some(Previous {
            age: times.age(now),
            freshness: Horizon::new(&times, Asks::NOTHING).at(now),
            value,
        })
    }

    /// The number of this creation's lease. Every lease of a pile has a higher one than those
    /// before.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether a `set` or an `invalidate` came since this creation began.
    ///
    /// What is created then does not become the current value, and a long creation may as well stop.
    pub fn is_superseded(&self) -> bool {
        self.anchor.site().pile.is_superseded(self.fence)
    }

    /// Says that no creator is to run for `span`, should this one fail: what a `Retry-After` told.
    ///
    /// It takes the place of the [back-off](crate::Builder::backoff), and needs none to be set. A span
    /// longer than [`max_retry_after`](crate::Builder::max_retry_after) is cut short. If the creator
    /// succeeds, it has no effect.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, Error};
    ///
    /// let pile = Dogpile::<u32>::new(Duration::from_secs(60));
    /// let _ = pile.get_or_try_create_with(|creating| {
    ///     creating.retry_after(Duration::from_secs(30));
    ///     Err("429 Too Many Requests")
    /// });
    /// let answer = pile.get_or_try_create(|| Ok::<_, &str>(7));
    /// assert!(matches!(answer, Err(Error::BackingOff { .. })));
    /// ```
    pub fn retry_after(&self, span: Duration) {
        let pile = self.anchor.site().pile;
        pile.change_lease(self.fence, |pace| pace.retry_after(span));
    }

    /// Says that a failure of this creator is an answer, such as a 404 after a 200: it goes to all who
    /// wait, and the value held is removed instead of standing in for it.
    ///
    /// If the creator succeeds, it has no effect.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let page = Dogpile::builder(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .build();
    /// page.set("text");
    /// let answer = page.call().accept(dogpile::Accept::New).get_or_try_create_with(|creating| {
    ///     creating.no_fallback();
    ///     Err("404 Not Found")
    /// });
    /// assert!(answer.is_err());
    /// assert!(!page.has_value());
    /// ```
    pub fn no_fallback(&self) {
        let pile = self.anchor.site().pile;
        pile.change_lease(self.fence, Pace::no_fallback);
    }

    /// Lends an older value to those who wait, until this creation ends: such as one that a store
    /// still has, while its holder makes a newer one.
    ///
    /// It is stale at once, however young it is said to be, and whoever asks for more than a stale value
    /// goes on waiting: [`Accept::Fresh`](crate::Accept::Fresh),
    /// [`NewerThan`](crate::Accept::NewerThan), [`New`](crate::Accept::New). Its limits are those of any
    /// stale value. If this creation fails, it stays. Without one of its own, it has the pile's ttl: tell
    /// how old it is by [`Created::age`].
    ///
    /// Says whether it did. It does not if the pile has a value that is not gone, nor after the pile was
    /// invalidated and got no value since, nor if this creation was superseded or has ended.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Created, Dogpile, Guard, Origin};
    ///
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let value = pile.get_or_try_create_with(|creating| {
    ///     let yesterdays = Created::new(6).age(Duration::from_secs(86_400));
    ///     assert!(creating.lend(yesterdays));
    ///     let meanwhile = pile.peek().unwrap();
    ///     assert_eq!((*meanwhile, Guard::origin(&meanwhile)), (6, Origin::Stale));
    ///     Ok::<_, std::io::Error>(Created::new(7))
    /// })?;
    /// assert_eq!(*value, 7);
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn lend(&self, created: impl Into<Created<T>>) -> bool {
        let site = self.anchor.site();
        let now = site.settings.time.now();
        let node = created.into().into_ready(site, now, 0).node;
        site.pile.lend(&site.settings.policy, now, self.fence, node)
    }

    /// Returns the value with its times as of now, before it is published: for creators that put it where
    /// it is kept, such as a cache. And a [`Created`] with the same times, for the creator to return.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Created, Dogpile, Guard, Owned};
    ///
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let mut store = None;
    /// let value = pile.get_or_try_create_with(|creating| {
    ///     let (value, created) = creating.complete(Created::new(7));
    ///     store = Some(value);
    ///     Ok::<_, std::io::Error>(created.keep(false))
    /// })?;
    /// assert_eq!((*value, store.as_deref()), (7, Some(&7)));
    /// # Ok::<_, dogpile::Error<std::io::Error>>(())
    /// ```
    pub fn complete(&self, created: Created<T>) -> (Owned<T>, Created<T>) {
        let site = self.anchor.site();
        created.complete(site, site.settings.time.now(), self.fence)
    }

    pub(crate) fn is_of(&self, pile: &Pile<T>) -> bool {
        std::ptr::eq(self.anchor.site().pile, pile)
    }
}

impl<T> fmt::Debug for Creating<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Creating")
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}

/// The value that a pile held when its creator asked for it; see [`Creating::previous`].
pub struct Previous<T> {
    value: Owned<T>,
    age: Duration,
    freshness: Freshness,
}

impl<T> Previous<T> {
    /// How old the value was when it was asked for.
    pub fn age(this: &Self) -> Duration {
        this.age
    }

    /// How long the value is fresh, counted from its creation.
    pub fn ttl(this: &Self) -> Duration {
        this.value.node().times().ttl
    }

    /// What the value was good for when it was asked for.
    pub fn freshness(this: &Self) -> Freshness {
        this.freshness
    }

    /// The number of the value.
    pub fn seen(this: &Self) -> Seen {
        Owned::seen(&this.value)
    }

    /// A handle that keeps the value alive.
    pub fn into_owned(this: Self) -> Owned<T> {
        this.value
    }
}

impl<T> Deref for Previous<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> From<Previous<T>> for Owned<T> {
    fn from(previous: Previous<T>) -> Self {
        previous.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Previous<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
