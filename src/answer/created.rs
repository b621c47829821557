//! What a creator may know and say besides its value: [`Creating`] and [`Created`].

use std::fmt;
use std::time::Duration;

use crate::answer::Owned;
use crate::answer::{Anchor, Site};
use crate::raw::NodeRef;
use crate::time::Tick;
use crate::time::Times;

/// A new value, with what its creator knows of it; see
/// [`Dogpile::get_or_create_with`](crate::Dogpile::get_or_create_with).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Created, Dogpile};
///
/// let token = Dogpile::new(Duration::from_secs(3600));
/// let held = token.get_or_create_with(|_| {
///     // The issuer says that this one lives for ten minutes, and that it is one minute old.
///     let lifetime = Duration::from_secs(600);
///     Ok::<_, std::io::Error>(Created::new("secret").ttl(lifetime).age(Duration::from_secs(60)))
/// })?;
/// assert_eq!(held.age(), Duration::from_secs(60));
/// # Ok::<_, dogpile::Error<std::io::Error>>(())
/// ```
#[must_use = "a created value has to be given to the pile"]
pub struct Created<T> {
    content: Content<T>,
    ttl: Option<Duration>,
    age: Duration,
    keep: bool,
}

enum Content<T> {
    New(T),
    Unchanged(Owned<T>),
}

impl<T> Created<T> {
    /// A new value, just made, with the time to live of the pile.
    pub fn new(value: T) -> Self {
        Self::of(Content::New(value))
    }

    /// The previous value once more, as fresh as if just made and without a copy: for a source that
    /// said "not modified".
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
    /// let value = pile.get_or_create_with(|creating| {
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
    pub fn unchanged(previous: Owned<T>) -> Self {
        Self::of(Content::Unchanged(previous))
    }

    fn of(content: Content<T>) -> Self {
        Self {
            content,
            ttl: None,
            age: Duration::ZERO,
            keep: true,
        }
    }

    /// How long this value is fresh, instead of what the pile was built with.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How old the value is already, by the account of who made it.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Whether the pile keeps the value. One that is not kept goes to this caller and to those who
    /// wait; the pile keeps its times, and for [`acquire`](crate::Dogpile::acquire) counts as
    /// created.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// The node for those who are given the value, and the one for the pile to keep.
    pub(crate) fn into_nodes(
        self,
        now: Tick,
        ttl: Duration,
        number: u64,
    ) -> (NodeRef<T>, NodeRef<T>) {
        let times = Times::new(now, self.age, self.ttl.unwrap_or(ttl));
        let node = match self.content {
            Content::New(value) => NodeRef::new(value, times, number),
            Content::Unchanged(previous) => previous.node().renewed(times, number),
        };
        let kept = if self.keep {
            node.clone()
        } else {
            NodeRef::elsewhere(times, number)
        };
        (node, kept)
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
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

/// What a creator may know of the creation that it runs.
///
/// It borrows the pile; where the creation runs in the background, it holds it.
pub struct Creating<'a, T> {
    site: Anchor<'a, T>,
    fence: u64,
}

impl<'a, T> Creating<'a, T> {
    pub(crate) fn new(site: Anchor<'a, T>, fence: u64) -> Self {
        Self { site, fence }
    }

    /// The value that is held, however old: stale as a rule, fresh in a refresh.
    pub fn previous(&self) -> Option<Owned<T>> {
        Owned::of(self.site.pile().pile.load()?.clone())
    }

    /// The number of this creation's lease. Every lease of a pile has a higher one than those
    /// before.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    pub(crate) fn is_of(&self, place: Site<'_, T>) -> bool {
        std::ptr::eq(self.site.pile().pile, place.pile)
    }

    /// Whether a `set` or an `invalidate` came meanwhile: then what is created goes to this caller
    /// only, and a long creation may as well stop.
    pub fn is_superseded(&self) -> bool {
        self.site.pile().pile.is_superseded(self.fence)
    }
}

impl<T> fmt::Debug for Creating<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Creating")
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}
