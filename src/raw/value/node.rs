//! A value with its times, counted.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::time::Duration;

use crate::error::Failure;
use crate::policy::Span;
use crate::raw::value::barrier;
use crate::raw::value::hurry::Hurry;
use crate::shim::{
    Counted, Hint, SmallHint,
    atomic::{AtomicU8, AtomicU64, Ordering},
    keep_memory, last_share,
};
use crate::time::{PackedTimes, Tick, Times};

/// A value, when it was made, and what has become of it since.
// In this order in memory: a hit looks at the first two, which so are on one cache line as a rule.
#[repr(C)]
pub(crate) struct Node<T> {
    /// The first instant at which the value is to be renewed: what a hit looks at. Zero once it was
    /// expired.
    due_from: AtomicU64,
    content: Content<T>,
    /// The number of the lease, or of the `set`, that made it: of two values of a pile the newer
    /// has the higher one.
    number: AtomicU64,
    /// The number of its becoming the current one: later than the other, if a lease made it.
    installed_at: AtomicU64,
    times: PackedTimes,
    /// When the value was expired; `NEVER` until then.
    expired: AtomicU64,
    /// From the first instant to the second, the lease cannot be had while this is the current value: who
    /// finds the value due or stale then need not ask. The second is never beyond the value's being served:
    /// so nobody is served too long who sees the new one of the two and the old other one.
    // LOOM: not seen by it. It matters in a back-off or an interval alone, and then is a hint.
    quiet_from: Hint,
    quiet_until: AtomicU64,
    /// The [`Hurry`] with which nodes followed each other, up to this one.
    hurry: AtomicU8,
    /// One, and zero once the value was expired: a factor of `times.stale_from`, since a hit that chooses
    /// takes longer.
    // LOOM: not seen by it, which would multiply the interleavings. Who reads it has read `due_from` and
    // `quiet_until`, and gets a value that is due or stale, but served, in any case.
    stale_by_age: SmallHint,
    /// The pile that it is a value of; zero if it is none's yet.
    #[cfg(debug_assertions)]
    pile: AtomicU64,
    // LOOM: of a size that nothing else has. Then a node gets the memory of another one if, and only
    // if, that one was freed last, in each run alike; loom's own memory would mix with it.
    #[cfg(dogpile_loom)]
    _size_of_its_own: [u64; 83],
}

enum Content<T> {
    Own(T),
    /// That of an older node, which has its own: renewed without a copy.
    Of(NodeRef<T>),
    /// Kept somewhere else: the node tells its times. Behind it may stand the pile's own last one,
    /// with its own times.
    Elsewhere(Option<NodeRef<T>>),
    /// The value of another node, given out beside this failure.
    Beside(Box<(NodeRef<T>, Failure)>),
    /// Nobody has told of a value yet: the node tells that the pile was expired.
    Nothing,
}

const NEVER: u64 = u64::MAX;

// A map has one for each key.
#[cfg(all(
    not(any(dogpile_loom, dogpile_shuttle, debug_assertions)),
    target_pointer_width = "64"
))]
const _: () = assert!(std::mem::size_of::<Node<u64>>() <= 104);

impl<T> Node<T> {
    /// The value, unless it is kept elsewhere.
    #[inline]
    pub(crate) fn value(&self) -> Option<&T> {
        match &self.content {
            Content::Own(value) => Some(value),
            _ => self.value_of_another(),
        }
    }

    /// That of a node which has none of its own. Apart, so that a hit asks one thing.
    fn value_of_another(&self) -> Option<&T> {
        match &self.content {
            Content::Own(value) => Some(value),
            Content::Of(node) => node.value(),
            Content::Beside(beside) => beside.0.value(),
            Content::Elsewhere(_) | Content::Nothing => None,
        }
    }

    /// The failure that the value is given out beside.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.content {
            Content::Beside(beside) => Some(&beside.1),
            Content::Own(_) | Content::Of(_) | Content::Elsewhere(_) | Content::Nothing => None,
        }
    }

    /// Whether it tells the times of a value, be it here or elsewhere.
    pub(crate) fn is_of_a_value(&self) -> bool {
        !matches!(self.content, Content::Nothing)
    }

    pub(crate) fn number(&self) -> u64 {
        // ORDERING: relaxed: written before the node is shared.
        self.number.load(Ordering::Relaxed)
    }

    /// By what its pile is known in debug builds; zero in others.
    pub(crate) fn pile(&self) -> u64 {
        #[cfg(debug_assertions)]
        // ORDERING: relaxed: as in `number`.
        return self.pile.load(Ordering::Relaxed);
        #[cfg(not(debug_assertions))]
        0
    }

    /// Under the pile's lock, before it is shared.
    pub(in crate::raw) fn belongs_to(&self, pile: u64) {
        let _ = pile;
        #[cfg(debug_assertions)]
        // ORDERING: relaxed: as in `number`.
        self.pile.store(pile, Ordering::Relaxed);
    }

    pub(crate) fn installed_at(&self) -> u64 {
        // ORDERING: relaxed: as in `number`.
        self.installed_at.load(Ordering::Relaxed)
    }

    /// Under the pile's lock, before it becomes the current one.
    pub(in crate::raw) fn installed_as(&self, number: u64) {
        // ORDERING: relaxed: as in `number`.
        self.installed_at.store(number, Ordering::Relaxed);
    }

    /// Marks a value that was made under no lease. Under the pile's lock, before it is shared.
    pub(in crate::raw) fn number_as(&self, number: u64) {
        // ORDERING: relaxed: as in `number`.
        self.number.store(number, Ordering::Relaxed);
    }

    /// The first instant at which the value is to be renewed, or a little sooner if it was expired.
    #[inline]
    pub(crate) fn due_from(&self) -> Tick {
        // ORDERING: relaxed: one word, and who is to see an `expire` happens after it.
        Tick::from_nanos(self.due_from.load(Ordering::Relaxed))
    }

    /// The first instant at which the value is not served any more.
    pub(crate) fn usable_until(&self) -> Tick {
        self.times.usable_until()
    }

    /// The first instant at which the value is of use to nobody who asks for nothing.
    pub(crate) fn gone_from(&self) -> Tick {
        self.times.gone_from()
    }

    /// The first instant at which the value is stale, or a little sooner if it was expired.
    #[inline]
    pub(crate) fn stale_from(&self) -> Tick {
        // ORDERING: relaxed: it is all that changes, and who is to see an `expire` happens after it.
        let by_age = u64::from(self.stale_by_age.load(Ordering::Relaxed));
        Tick::from_nanos(self.times.stale_from.as_nanos() * by_age)
    }

    /// The first instant at which the value is older than `limit`.
    #[inline]
    pub(crate) fn older_from(&self, limit: Duration) -> Tick {
        self.times.older_from(limit)
    }

    pub(crate) fn times(&self) -> Times {
        // ORDERING: relaxed: as in `stale_from`.
        let expired = self.expired.load(Ordering::Relaxed);
        (self.times).times((expired != NEVER).then_some(Tick::from_nanos(expired)))
    }

    /// Marks the value stale as of `now`; the first mark stays. Under the pile's lock.
    pub(in crate::raw) fn expire(&self, now: Tick) {
        // The end of the range is taken for "not expired".
        let at = now.as_nanos().min(NEVER - 1);
        // ORDERING: relaxed: a word on its own; the pile's lock orders the marks. Kept a
        // read-modify-write, and not a load and a store, so that the models explore it in full.
        let first = self
            .expired
            .compare_exchange(NEVER, at, Ordering::Relaxed, Ordering::Relaxed);
        if let Content::Elsewhere(Some(made)) = &self.content {
            made.expire(now);
        }
        if first.is_ok() {
            // ORDERING: relaxed: who sees this sooner than the zero below finds the value as due as it
            // was by age.
            self.stale_by_age.store(0, Ordering::Relaxed);
            // ORDERING: relaxed: as above.
            self.due_from.store(0, Ordering::Relaxed);
        }
    }

    /// Takes the place of `old`. Says whether nodes follow each other often. Under the pile's lock,
    /// before it is shared.
    pub(in crate::raw) fn follows_often(&self, old: &Node<T>) -> bool {
        // ORDERING: relaxed: as in `number`.
        let before = Hurry(old.hurry.load(Ordering::Relaxed));
        let hurry = before.again(self.times.created.saturating_since(old.times.created));
        // ORDERING: relaxed: as in `number`.
        self.hurry.store(hurry.0, Ordering::Relaxed);
        hurry.is_often()
    }

    /// Whether at `now` the value is served and the lease cannot be had, as far as is known here.
    ///
    /// To a clock that lags, `now` is the latest that it may be: what begins to be quiet does so at an
    /// exact time.
    #[inline]
    pub(crate) fn is_quiet(&self, now: Tick) -> bool {
        // ORDERING: relaxed: a hint. Seen too late it costs a look under the lock, seen too long, or half, a
        // stale answer more.
        let from = self.quiet_from.load(Ordering::Relaxed);
        // ORDERING: relaxed: as above.
        let until = self.quiet_until.load(Ordering::Relaxed);
        from <= now.as_nanos() && now.as_nanos() < until
    }

    /// Says when the lease cannot be had. Under the pile's lock.
    pub(in crate::raw) fn set_quiet(&self, span: Span) {
        let (from, until) = span.ends();
        let until = until.min(self.usable_until());
        let (from, until) = (from.as_nanos(), until.as_nanos());
        // ORDERING: relaxed: as in `is_quiet`.
        self.quiet_from.store(from, Ordering::Relaxed);
        // ORDERING: relaxed: as in `is_quiet`.
        self.quiet_until.store(until, Ordering::Relaxed);
    }
}

/// A share in a node: the value lives at least as long.
pub(crate) struct NodeRef<T>(Counted<Node<T>>);

impl<T> NodeRef<T> {
    /// A value that nobody else knows of yet, as made under the lease with this number.
    pub(crate) fn new(value: T, times: Times, number: u64) -> Self {
        Self::with(Content::Own(value), times, number)
    }

    /// The value of `self` again, with other times.
    pub(crate) fn renewed(&self, times: Times, number: u64) -> Self {
        let root = match &self.content {
            Content::Of(root) => root,
            Content::Beside(beside) => return beside.0.renewed(times, number),
            Content::Own(_) | Content::Elsewhere(_) | Content::Nothing => self,
        };
        Self::with(Content::Of(root.clone()), times, number)
    }

    /// The same value, given out beside a failure.
    pub(crate) fn beside(&self, failure: Failure) -> Self {
        let content = Content::Beside(Box::new((self.clone(), failure)));
        let node = Self::with(content, self.times(), self.number());
        node.belongs_to(self.pile());
        node
    }

    /// The times of a value that is kept elsewhere.
    pub(crate) fn elsewhere(times: Times, number: u64) -> Self {
        Self::with(Content::Elsewhere(None), times, number)
    }

    /// The times of a value that is kept elsewhere, and was made there since the pile made `self`.
    pub(in crate::raw) fn overtaken(&self, times: Times) -> Self {
        Self::with(
            Content::Elsewhere(self.made().cloned()),
            times,
            self.number(),
        )
    }

    /// The mark of an `expire` at `now`, for a pile that knows of no value.
    pub(in crate::raw) fn nothing(now: Tick) -> Self {
        let times = Times::new(now, Duration::MAX, Duration::ZERO);
        let node = Self::with(Content::Nothing, times, 0);
        node.expire(now);
        node
    }

    /// The node of the value that the pile itself made last, if it kept it.
    pub(crate) fn made(&self) -> Option<&NodeRef<T>> {
        match &self.content {
            Content::Own(_) | Content::Of(_) | Content::Beside(_) => Some(self),
            Content::Elsewhere(made) => made.as_ref(),
            Content::Nothing => None,
        }
    }

    fn with(content: Content<T>, times: Times, number: u64) -> Self {
        // Before anybody takes a lock to put it in place: it may take a while, once.
        barrier::prepare();
        Self(Counted::new(Node {
            due_from: AtomicU64::new(times.due_from().as_nanos()),
            content,
            number: AtomicU64::new(number),
            installed_at: AtomicU64::new(0),
            times: PackedTimes::new(&times),
            expired: AtomicU64::new(times.expired.map_or(NEVER, Tick::as_nanos)),
            quiet_from: Hint::new(0),
            quiet_until: AtomicU64::new(0),
            hurry: AtomicU8::new(Hurry::NONE.0),
            stale_by_age: SmallHint::new(u32::from(times.expired.is_none())),
            #[cfg(debug_assertions)]
            pile: AtomicU64::new(0),
            #[cfg(dogpile_loom)]
            _size_of_its_own: [0; 83],
        }))
    }

    /// The share as an address, which [`from_raw`](NodeRef::from_raw) takes.
    pub(in crate::raw) fn into_raw(self) -> *mut Node<T> {
        Counted::into_raw(self.0).cast_mut()
    }

    /// The share that was made an address.
    ///
    /// # Safety
    ///
    /// The address comes from [`into_raw`](NodeRef::into_raw), and this is the only time that the
    /// share is taken back from it.
    pub(in crate::raw) unsafe fn from_raw(node: *mut Node<T>) -> Self {
        // SAFETY: as promised by the caller.
        Self(unsafe { Counted::from_raw(node) })
    }

    /// The share that was made an address, lent.
    ///
    /// # Safety
    ///
    /// The address comes from [`into_raw`](NodeRef::into_raw). The share is not given up while this
    /// is used, and this is not dropped.
    #[inline]
    pub(in crate::raw) unsafe fn borrowed(node: *mut Node<T>) -> ManuallyDrop<Self> {
        // SAFETY: as promised by the caller.
        ManuallyDrop::new(unsafe { Self::from_raw(node) })
    }

    /// The address of the node, as [`into_raw`](NodeRef::into_raw) gives it.
    #[inline]
    pub(in crate::raw) fn address(&self) -> *const () {
        Counted::as_ptr(&self.0).cast()
    }

    /// Keeps the memory for ever, though not the value: nothing else will have this address.
    pub(in crate::raw) fn keep_address(&self) {
        keep_memory(&self.0);
    }

    pub(crate) fn is(&self, other: &NodeRef<T>) -> bool {
        Counted::ptr_eq(&self.0, &other.0)
    }

    /// The value itself, if this is the only share in it.
    pub(crate) fn value_mut(&mut self) -> Option<&mut T> {
        match &mut Counted::get_mut(&mut self.0)?.content {
            Content::Own(value) => Some(value),
            Content::Of(node) => node.value_mut(),
            Content::Beside(beside) => beside.0.value_mut(),
            Content::Elsewhere(_) | Content::Nothing => None,
        }
    }

    /// The value itself, if this is the only share in it.
    pub(crate) fn into_value(self) -> Option<T> {
        match last_share(self.0)?.content {
            Content::Own(value) => Some(value),
            Content::Of(node) => node.into_value(),
            Content::Beside(beside) => beside.0.into_value(),
            Content::Elsewhere(_) | Content::Nothing => None,
        }
    }
}

/// A way to hold a node.
pub(crate) trait AsNode<T> {
    fn node(&self) -> &NodeRef<T>;
}

impl<T> AsNode<T> for NodeRef<T> {
    #[inline]
    fn node(&self) -> &NodeRef<T> {
        self
    }
}

/// A node with a value, held in some way: it was looked for once and is there for good.
#[derive(Clone)]
pub(crate) struct ValueRef<H>(H);

impl<H> ValueRef<H> {
    #[inline]
    pub(crate) fn new<T>(held: H) -> Option<Self>
    where
        H: AsNode<T>,
    {
        held.node().value()?;
        Some(Self(held))
    }

    /// The same node, held in another way.
    #[inline]
    pub(in crate::raw) fn map<G>(self, hold: impl FnOnce(H) -> G) -> ValueRef<G> {
        ValueRef(hold(self.0))
    }

    pub(crate) fn held(&self) -> &H {
        &self.0
    }

    #[inline]
    pub(crate) fn node<T>(&self) -> &NodeRef<T>
    where
        H: AsNode<T>,
    {
        self.0.node()
    }

    #[inline]
    pub(crate) fn value<T>(&self) -> &T
    where
        H: AsNode<T>,
    {
        match self.0.node().value() {
            Some(value) => value,
            // SAFETY: `new` has found one, in this very node, whose content never changes. (Not a
            // panic, so that a guard need not stand in memory in case of one.)
            None => unsafe { std::hint::unreachable_unchecked() },
        }
    }
}

impl<T> Clone for NodeRef<T> {
    fn clone(&self) -> Self {
        Self(Counted::clone(&self.0))
    }
}

impl<T> Deref for NodeRef<T> {
    type Target = Node<T>;

    fn deref(&self) -> &Node<T> {
        &self.0
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    fn times(created: Tick) -> Times {
        Times::new(created, Duration::ZERO, Duration::from_secs(1))
    }

    /// Also at the end of the range, which stands for "not expired".
    #[test]
    fn what_is_expired_says_so_at_any_time() {
        for now in [Tick::ZERO, Tick::MAX] {
            let node = NodeRef::new(7, times(Tick::ZERO), 1);
            assert!(node.times().expired.is_none());
            node.expire(now);
            let expired = node.times().expired.unwrap();
            assert!(now.saturating_since(expired) <= Duration::from_nanos(1));
        }
    }

    /// So is a node with its times. The spans stay what they were.
    #[test]
    fn what_is_expired_is_stale_at_any_time() {
        let before = Times {
            sooner: Duration::from_nanos(3),
            ..times(Tick::from_nanos(7))
        };
        let node = NodeRef::new(7, before, 1);
        assert_eq!(node.stale_from(), before.stale_from());
        node.expire(Tick::from_nanos(9));
        let after = Times {
            expired: Some(Tick::from_nanos(9)),
            ..before
        };
        for node in [node.overtaken(node.times()), node] {
            assert_eq!(node.stale_from(), Tick::ZERO);
            assert_eq!(node.times(), after);
        }
    }

    /// With the times of what is kept elsewhere, the value expires that the pile made itself.
    #[test]
    fn what_was_overtaken_expires_too() {
        let made = NodeRef::new(7, times(Tick::ZERO), 1);
        let node = made.overtaken(times(Tick::from_nanos(1)));
        node.expire(Tick::from_nanos(2));
        assert_eq!(made.times().expired, Some(Tick::from_nanos(2)));
    }

    /// Also to who sees the new beginning of it, and the old end.
    #[test]
    fn what_is_quiet_is_so_while_it_is_served_at_most() {
        let node = NodeRef::new(7, times(Tick::ZERO), 1);
        let end = node.usable_until();
        let before = Tick::from_nanos(end.as_nanos() - 1);
        node.set_quiet(Span::ALWAYS);
        assert!(node.is_quiet(Tick::ZERO) && node.is_quiet(before) && !node.is_quiet(end));
        // ORDERING: relaxed: nobody else is here.
        node.quiet_from.store(5, Ordering::Relaxed);
        assert!(!node.is_quiet(Tick::from_nanos(4)) && node.is_quiet(Tick::from_nanos(5)));
        assert!(node.is_quiet(before) && !node.is_quiet(end));
        node.set_quiet(Span::NEVER);
        assert!(
            [Tick::ZERO, before, end]
                .iter()
                .all(|&now| !node.is_quiet(now))
        );
    }

    /// Though they have the same value and the same times.
    #[test]
    fn two_nodes_are_not_one() {
        let nodes = [(); 2].map(|()| NodeRef::new(7, times(Tick::ZERO), 1));
        assert!(nodes[0].is(&nodes[0].clone()));
        assert!(!nodes[0].is(&nodes[1]));
    }
}
