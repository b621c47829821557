//! What a pile knows besides its value: who holds the lease, what happened since it was granted,
//! and who waits.

use crate::raw::wait::Waiters;
use crate::shim::Arc;

/// The state of a pile, under its lock.
///
/// One counter marks everything that happens. A lease is identified by the number of its grant,
/// its *fence*, and what has happened since is told by comparing marks:
///
/// | field | moved to a new number by | compared with a fence it says |
/// |---|---|---|
/// | `generation` | `set`, `invalidate` | higher: the lease is superseded, it must not publish |
/// | `expiry_mark` | `expire` | higher: what the lease publishes is stale already |
///
/// A normal publish moves neither.
pub(crate) struct State<T> {
    last: u64,
    pub(super) generation: u64,
    pub(super) expiry_mark: u64,
    /// The fence of the lease that is held; zero if it is free.
    lease: u64,
    /// The creation under that lease, once somebody waits for it.
    waited_for: Option<Arc<Waiters<T>>>,
}

impl<T> State<T> {
    pub(super) const fn new() -> Self {
        Self {
            last: 0,
            generation: 0,
            expiry_mark: 0,
            lease: 0,
            waited_for: None,
        }
    }

    /// The number of the last thing that happened.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// A number for what happens now.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn is_leased(&self) -> bool {
        self.lease != 0
    }

    /// Grants the lease, which must be free.
    pub(super) fn grant(&mut self) -> u64 {
        debug_assert!(!self.is_leased(), "a lease is granted while it is free");
        self.lease = self.next();
        self.lease
    }

    /// Takes the lease back, and the creation if somebody waits for it.
    #[must_use = "whoever waits must be told"]
    pub(super) fn end(&mut self, fence: u64) -> Option<Arc<Waiters<T>>> {
        debug_assert_eq!(self.lease, fence, "the lease is ended by its holder");
        self.lease = 0;
        self.waited_for.take()
    }

    /// Takes the creation out, the lease going on, so that those who wait can be told something
    /// else.
    #[must_use = "whoever waits must be told"]
    pub(super) fn release_waiters(&mut self) -> Option<Arc<Waiters<T>>> {
        self.waited_for.take()
    }

    /// Waits for the creation under the lease that is held.
    pub(super) fn join(&mut self) -> Arc<Waiters<T>> {
        debug_assert!(self.is_leased(), "there is a creation to wait for");
        Arc::clone(
            self.waited_for
                .get_or_insert_with(|| Arc::new(Waiters::new(self.lease))),
        )
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        // Every waiter holds a share, and so does this field.
        self.waited_for
            .as_ref()
            .map_or(0, |creation| Arc::strong_count(creation) - 1)
    }
}
