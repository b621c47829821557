//! What a call answers with: a [`Guard`] that shows the value, its [`Origin`], and [`Owned`] to keep
//! the value.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::error::Failure;
use crate::policy::{Asks, Horizon, Seen};
use crate::raw::{NodeRef, Protected, Reading, ValueRef};
use crate::time::Tick;

/// How an answer came about, fixed at the call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// The value that was held, and fresh. With a [failure](Guard::failure) beside it, if its renewal ahead
    /// failed.
    Fresh,
    /// The value that was held, stale, while another caller is creating the next, while none may be created
    /// yet, or instead of a [failure](Guard::failure).
    Stale,
    /// The value that was held, too old to be served, and given out instead of a failure; see
    /// [`Builder::stale_if_error`](crate::Builder::stale_if_error).
    Fallback,
    /// This call was elected: its creator made the value, in the call or on an executor.
    CreatedHere,
    /// Another caller created or `set` the value, while this call waited or looked it up in vain.
    CreatedByAnother,
    /// A value that did not become the current one, because an `invalidate` or a `set` came while it
    /// was created. It goes to the caller that created it, and to those who waited for it already
    /// when the `invalidate` came. Later calls do not get it.
    Superseded,
}

impl Origin {
    /// Whether it is that of a value which was held when the call came.
    pub(crate) fn is_of_held(self) -> bool {
        match self {
            Origin::Fresh | Origin::Stale | Origin::Fallback => true,
            Origin::CreatedHere | Origin::CreatedByAnother | Origin::Superseded => false,
        }
    }
}

/// Shows a value of a pile and keeps it alive and unchanged, whatever happens to the pile meanwhile.
///
/// A guard delays nobody: neither a creation nor the readers of newer values. It may be sent to
/// another thread and dropped there. Whoever drops the last guard or [`Owned`] of a value that is no
/// longer current drops the value, on the spot. Mind that in async code if dropping it blocks.
///
/// Its methods are associated functions, since the guard derefs to your value: write
/// `Guard::origin(&guard)`.
///
/// # Cost
///
/// A thread shows what it reads in slots of its own. Taking and dropping a guard writes nothing else,
/// be it the only one or one of the hundreds that the tasks of a thread hold across an `await`. A
/// thread has up to 256 slots. Eight of them take 128 bytes for as long as the process lives, and a
/// thread that ends leaves them to others. Guards beyond these count on the value. So does the guard
/// of a creation.
///
/// # Forgotten guards, forks and signals
///
/// A guard that is forgotten takes its slot for good, and the value is kept until the pile goes. A
/// forgotten guard without a slot leaks the value. In the child of a `fork`, the values that other
/// threads were reading are kept until their pile goes. A signal handler must not use a pile: a call
/// may take a lock that the interrupted thread holds, or the slot that the thread is about to take.
///
/// # A part of the value
///
/// There is no `map`: borrow from the guard for as long as it lives, or keep an [`Owned`] and project
/// when reading.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Dogpile, Guard, Origin};
///
/// let pile = Dogpile::new(Duration::from_secs(60));
/// let guard = pile.get_or_create(|| vec![1, 2, 3]);
/// assert_eq!(guard.len(), 3);
/// assert_eq!(Guard::origin(&guard), Origin::CreatedHere);
/// ```
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct Guard<'a, T, P = ()> {
    // In this order: a writer gets in after the value was released.
    node: ValueRef<Protected<'a, T>>,
    origin: Origin,
    answered: Tick,
    pass: P,
}

/// A reader's pass through the gate of a [`SyncReaderDogpile`](crate::SyncReaderDogpile): what a
/// [`ReadGuard`] holds besides the value. Writers wait until it is dropped.
pub struct Pass<'a> {
    _reading: Reading<'a>,
}

impl<'a> Pass<'a> {
    #[inline]
    pub(crate) fn new(reading: Reading<'a>) -> Self {
        Self { _reading: reading }
    }
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

/// The guard of a [`SyncReaderDogpile`](crate::SyncReaderDogpile): it keeps writers out as well.
///
/// There is no owned form: a writer has to wait for as long as something of the value could be used.
/// A read guard that is forgotten keeps writers out for ever.
///
/// A thread that takes its next guard before it drops the last one is one long reader, and keeps
/// every writer out. [`Guard::renew`] drops first.
pub type ReadGuard<'a, T> = Guard<'a, T, Pass<'a>>;

// The pile behind it is as safe as it is by itself.
impl<T: RefUnwindSafe, P> UnwindSafe for Guard<'_, T, P> {}
impl<T: RefUnwindSafe, P> RefUnwindSafe for Guard<'_, T, P> {}

impl<'a, T> Guard<'a, T> {
    /// That of a node which has a value.
    pub(crate) fn new(node: impl Into<Protected<'a, T>>, origin: Origin, answered: Tick) -> Self {
        let value = ValueRef::new(node.into());
        Self::of(value.expect("a guard shows a value"), origin, answered)
    }

    #[inline]
    pub(crate) fn of(node: ValueRef<Protected<'a, T>>, origin: Origin, answered: Tick) -> Self {
        Self {
            node,
            origin,
            answered,
            pass: (),
        }
    }

    /// The same, held together with a pass.
    #[inline]
    pub(crate) fn with<P>(self, pass: P) -> Guard<'a, T, P> {
        Guard {
            node: self.node,
            origin: self.origin,
            answered: self.answered,
            pass,
        }
    }

    /// The same, given out beside a failure.
    pub(crate) fn beside(self, failure: Failure) -> Self {
        let node = self.node().beside(failure);
        Guard::new(node, self.origin, self.answered)
    }

    /// The same, removed before the caller got it.
    pub(crate) fn superseded(self) -> Self {
        Self {
            origin: Origin::Superseded,
            ..self
        }
    }

    /// What it consists of.
    #[inline]
    pub(crate) fn into_parts(self) -> (ValueRef<Protected<'a, T>>, (Origin, Tick)) {
        (self.node, (self.origin, self.answered))
    }

    /// A handle that keeps the value alive beyond the pile.
    ///
    /// # Cost
    ///
    /// An atomic increment on memory that all owners of this value share.
    pub fn to_owned(this: &Self) -> Owned<T> {
        Owned::new(this.node().clone())
    }
}

impl<'a, T, P> Guard<'a, T, P> {
    /// The guard and the pass that it was held together with.
    pub(crate) fn split(self) -> (Guard<'a, T>, P) {
        (Guard::of(self.node, self.origin, self.answered), self.pass)
    }

    pub(crate) fn node(&self) -> &NodeRef<T> {
        self.node.node()
    }

    /// How this answer came about.
    pub fn origin(this: &Self) -> Origin {
        this.origin
    }

    /// The failure that the value stands in for, if it does: the call was elected and its creation
    /// failed, or it waited in vain, or none may be created yet.
    ///
    /// A hit has none.
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
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .clock(clock.clone())
    ///     .build();
    /// rates.set(7);
    /// clock.advance(Duration::from_secs(61));
    /// let held = rates.get_or_try_create(|| Err("no route"))?;
    /// assert_eq!((*held, Guard::origin(&held)), (7, Origin::Stale));
    /// assert_eq!(Guard::failure(&held).unwrap().text().as_deref(), Some("no route"));
    /// # Ok::<_, dogpile::Error<&str>>(())
    /// ```
    pub fn failure(this: &Self) -> Option<&Failure> {
        this.node().failure()
    }

    /// How old the value was when the call was answered, to within the clock's
    /// [`lag`](crate::Clock::lag).
    pub fn age(this: &Self) -> Duration {
        this.node().times().age(this.answered)
    }

    /// How long the value is fresh, counted from its creation.
    pub fn ttl(this: &Self) -> Duration {
        this.node().times().ttl
    }

    /// How long the value was still fresh when the call was answered; zero if it was stale or
    /// expired.
    pub fn time_left(this: &Self) -> Duration {
        this.node().times().left(this.answered)
    }

    /// The number of the value, for [`Accept::NewerThan`](crate::Accept::NewerThan),
    /// [`expire_if`](crate::Dogpile::expire_if) and its likes.
    pub fn seen(this: &Self) -> Seen {
        let node = this.node();
        Seen::new(node.number(), node.pile())
    }

    /// Drops the guard, then makes the next call.
    ///
    /// A reader that would otherwise take the next guard before it drops the last one lets a waiting
    /// writer in.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Guard, SyncReaderDogpile};
    ///
    /// let words = SyncReaderDogpile::new(Duration::from_secs(60));
    /// let mut read = words.get_or_create(|| 7);
    /// for _ in 0..3 {
    ///     read = Guard::renew(read, || words.get_or_create(|| 7));
    /// }
    /// assert_eq!(*read, 7);
    /// ```
    pub fn renew<R>(this: Self, next: impl FnOnce() -> R) -> R {
        drop(this);
        next()
    }
}

impl<T, P> Deref for Guard<'_, T, P> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.node.value()
    }
}

/// A value of a pile, kept alive for as long as this handle lives, even beyond the pile.
///
/// It compares, orders and hashes as the value does. Its methods are associated functions, since it
/// derefs to your value.
///
/// In a `HashSet<Owned<_>>` or as the key of a map, clippy warns of a `mutable_key_type`, since the pile
/// keeps counters beside the value. They are no part of how a handle compares or hashes: allow it there.
///
/// # Example
///
/// ```
/// # use std::time::Duration;
/// use dogpile::{Dogpile, Guard, Owned};
///
/// let pile = Dogpile::new(Duration::from_secs(60));
/// let kept: Owned<String> = Guard::to_owned(&pile.get_or_create(|| String::from("kept")));
/// drop(pile);
/// assert_eq!(&*kept, "kept");
/// ```
#[must_use = "a handle keeps a value alive; dropping it at once is of no use"]
pub struct Owned<T> {
    node: ValueRef<NodeRef<T>>,
}

impl<T> Owned<T> {
    /// That of a node which has a value.
    pub(crate) fn new(node: NodeRef<T>) -> Self {
        Self::of(node).expect("a handle keeps a value")
    }

    /// That of a node whose value may be kept elsewhere.
    pub(crate) fn of(node: NodeRef<T>) -> Option<Self> {
        ValueRef::new(node).map(|node| Self { node })
    }

    pub(crate) fn node(&self) -> &NodeRef<T> {
        self.node.node()
    }

    pub(crate) fn into_node(self) -> ValueRef<NodeRef<T>> {
        self.node
    }

    /// The number of the value; see [`Guard::seen`].
    pub fn seen(this: &Self) -> Seen {
        let node = this.node();
        Seen::new(node.number(), node.pile())
    }

    /// How old the value is at `now`: an instant of the clock of its pile.
    pub fn age(this: &Self, now: Tick) -> Duration {
        this.node().times().age(now)
    }

    /// Whether the value may stand in for a failure at `now`; see
    /// [`Builder::stale_if_error`](crate::Builder::stale_if_error).
    pub fn stands_in(this: &Self, now: Tick) -> bool {
        let horizon = Horizon::new(&this.node().times(), Asks::NOTHING);
        horizon.stands_in(now).is_some()
    }

    /// Whether both handles keep the very same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::ptr::eq::<T>(&**this, &**other)
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.node.value()
    }
}

impl<T> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
        }
    }
}

impl<T> From<Guard<'_, T>> for Owned<T> {
    fn from(guard: Guard<'_, T>) -> Self {
        Guard::to_owned(&guard)
    }
}

impl<T, P> AsRef<T> for Guard<'_, T, P> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> AsRef<T> for Owned<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> Borrow<T> for Owned<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: PartialEq> PartialEq for Owned<T> {
    fn eq(&self, other: &Self) -> bool {
        T::eq(self, other)
    }
}

impl<T: Eq> Eq for Owned<T> {}

impl<T: PartialOrd> PartialOrd for Owned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        T::partial_cmp(self, other)
    }
}

impl<T: Ord> Ord for Owned<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        T::cmp(self, other)
    }
}

impl<T: Hash> Hash for Owned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        T::hash(self, state);
    }
}

impl<T: fmt::Debug, P> fmt::Debug for Guard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display, P> fmt::Display for Guard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
