//! What a call answers with: a [`Guard`] that shows the value, its [`Origin`], and [`Owned`] to
//! keep it.

use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::policy::Seen;
use crate::raw::{NodeRef, Protected, Reading, ValueRef};
use crate::time::Tick;

/// How an answer came about, fixed at the call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// The value held, and fresh.
    Fresh,
    /// The value held, stale, while somebody else is creating another.
    Stale,
    /// This call ran the creator.
    CreatedHere,
    /// What another one created or `set` while this call waited, or looked it up in vain.
    CreatedByAnother,
    /// This call ran the creator, but an `invalidate` or `set` came meanwhile: nobody else gets
    /// this value. As a reader's answer also: it was created, and removed before the reader came in.
    Superseded,
}

/// Shows a value of a pile and keeps it alive and unchanged, whatever happens to the pile
/// meanwhile.
///
/// A guard delays nobody: neither a creation nor the readers of newer values. It may be sent to
/// another thread and dropped there. The value is dropped by whoever drops the last guard or
/// [`Owned`] of one that is no longer current, on the spot; mind that in async code if dropping it
/// blocks.
///
/// # Cost
///
/// A thread has eight places in which it shows what it reads. Taking and dropping a guard in one of
/// them writes nothing else. Guards beyond the eighth at once, such as those that many tasks of one
/// thread hold across an `await`, take a short lock and count on the value, and so do those of a
/// creation or a wait.
///
/// # Forgotten guards, forks and signals
///
/// A guard that is forgotten takes its place for good, and the value is kept until the pile goes;
/// without a place, it is leaked. In the child of a `fork` the values that other threads were
/// reading are kept until their pile goes. A signal handler must not use a pile: a call may take a
/// lock that the interrupted thread holds, or the place that it is about to take.
///
/// There is no `map`: borrow from the guard for as long as it lives, or keep an [`Owned`] and
/// project when reading.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Dogpile, Origin};
///
/// let pile = Dogpile::new(Duration::from_secs(60));
/// let guard = pile.get_or_create(|| vec![1, 2, 3]);
/// assert_eq!(guard.len(), 3);
/// assert_eq!(guard.origin(), Origin::CreatedHere);
/// ```
#[must_use = "a guard shows a value; dropping it at once is of no use"]
pub struct Guard<'a, T, P = ()> {
    // In this order: a writer gets in when the value is let go of.
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

/// The guard of a [`SyncReaderDogpile`](crate::SyncReaderDogpile): it keeps writers out as well.
///
/// There is no owned form: as long as something of the value could be used, a writer has to wait.
/// One that is forgotten keeps writers out for ever.
pub type ReadGuard<'a, T> = Guard<'a, T, Pass<'a>>;

// The pile behind it is as safe as it is by itself.
impl<T: RefUnwindSafe, P> UnwindSafe for Guard<'_, T, P> {}
impl<T: RefUnwindSafe, P> RefUnwindSafe for Guard<'_, T, P> {}

impl<'a, T> Guard<'a, T> {
    /// That of a node which has a value.
    pub(crate) fn new(node: impl Into<Protected<'a, T>>, origin: Origin, answered: Tick) -> Self {
        let valued = ValueRef::new(node.into());
        Self::of(valued.expect("a guard shows a value"), origin, answered)
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

    /// The same, removed before the caller got it.
    pub(crate) fn superseded(self) -> Self {
        Self {
            origin: Origin::Superseded,
            ..self
        }
    }

    /// A handle that keeps the value alive beyond the pile.
    ///
    /// Costs an atomic increment on memory that all owners of this value share.
    pub fn to_owned(&self) -> Owned<T> {
        Owned::new(self.node().clone())
    }
}

impl<T, P> Guard<'_, T, P> {
    pub(crate) fn node(&self) -> &NodeRef<T> {
        self.node.node()
    }

    /// How this answer came about.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How old the value was when the call was answered, to within the clock's
    /// [`lag`](crate::Clock::lag).
    pub fn age(&self) -> Duration {
        self.node().times().age(self.answered)
    }

    /// The number of the value.
    pub fn seen(this: &Self) -> Seen {
        Seen {
            number: this.node().number(),
        }
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
/// # Example
///
/// ```
/// # use std::time::Duration;
/// use dogpile::{Dogpile, Owned};
///
/// let pile = Dogpile::new(Duration::from_secs(60));
/// let kept: Owned<String> = pile.get_or_create(|| String::from("kept")).to_owned();
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

    /// That of a value which may be kept elsewhere.
    pub(crate) fn of(node: NodeRef<T>) -> Option<Self> {
        ValueRef::new(node).map(|node| Self { node })
    }

    pub(crate) fn node(&self) -> &NodeRef<T> {
        self.node.node()
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
        guard.to_owned()
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
