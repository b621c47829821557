//! What a pile knows besides its value: who holds the lease, what happened since it was granted,
//! and who waits.

use crate::policy::{Marks, Pace};
use crate::raw::Locked;
use crate::raw::wait::Waiters;
use crate::raw::watch::Watch;
use crate::shim::Arc;

/// What each pile keeps, under its lock.
///
/// One counter numbers every event. What else there is to know stands in [`Busy`].
pub(crate) struct State {
    last: u64,
    /// Tells the values of this pile from those of others; zero until the first value.
    #[cfg(debug_assertions)]
    pile: u64,
}

/// What a pile knows that is not at rest. It stands in the box of the cell, under the lock: made when
/// something is first noted there, and kept from then on, unless the pile is told to
/// [rest](crate::raw::Pile::rest). Without it, all of this is zero or nothing.
///
/// A lease is identified by the number of its grant, its *fence*. Comparing numbers tells what has
/// happened since the grant:
///
/// | field | moved to a new number by | higher than a fence, it says |
/// |---|---|---|
/// | `generation` | `set`, `invalidate` | the lease is superseded: it must not publish |
/// | `expiry_mark` | `expire` | what the lease publishes is stale already |
///
/// A normal publish moves neither.
pub(crate) struct Busy<T> {
    pub(super) generation: u64,
    pub(super) expiry_mark: u64,
    /// The fence of the lease that is held; zero if the lease is free.
    lease: u64,
    /// Those who wait, once there are any: for the lease that is held; and behind them those for the
    /// next value, who came while the lease was free.
    waiters: Option<Arc<Waiters<T>>>,
    // In a box of its own, since it is large and most piles remember nothing of their creations.
    pub(super) pace: Option<Box<Pace>>,
    pub(super) watch: Option<Watch>,
}

impl<T> Default for Busy<T> {
    fn default() -> Self {
        Self {
            generation: 0,
            expiry_mark: 0,
            lease: 0,
            waiters: None,
            pace: None,
            watch: None,
        }
    }
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            last: 0,
            #[cfg(debug_assertions)]
            pile: 0,
        }
    }

    /// That of a pile which goes on where another one has ended.
    pub(super) fn following(last: u64, group: u64) -> Self {
        let _ = group;
        Self {
            last,
            #[cfg(debug_assertions)]
            pile: group,
        }
    }

    /// The number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The number of a new event.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The number by which values of this pile are known; always zero without debug assertions.
    pub(super) fn pile(&mut self) -> u64 {
        #[cfg(debug_assertions)]
        {
            if self.pile == 0 {
                self.pile = crate::shim::next_pile();
            }
            self.pile
        }
        #[cfg(not(debug_assertions))]
        0
    }
}

impl<T> Locked<'_, T> {
    pub(super) fn generation(&self) -> u64 {
        self.extra().map_or(0, |busy| busy.generation)
    }

    pub(super) fn expiry_mark(&self) -> u64 {
        self.extra().map_or(0, |busy| busy.expiry_mark)
    }

    /// The fence of the lease that is held; zero if the lease is free.
    fn fence(&self) -> u64 {
        self.extra().map_or(0, |busy| busy.lease)
    }

    pub(super) fn is_leased(&self) -> bool {
        self.fence() != 0
    }

    /// The fence of the lease that is held.
    pub(super) fn lease(&self) -> Option<u64> {
        self.is_leased().then(|| self.fence())
    }

    pub(super) fn is_leased_to(&self, fence: u64) -> bool {
        self.fence() == fence
    }

    /// What a value is judged by.
    pub(super) fn marks(&self) -> Marks {
        Marks {
            last: self.last(),
            expiry: self.expiry_mark(),
        }
    }

    /// Whether a `set` or an `invalidate` came since the lease with this fence was granted.
    pub(super) fn supersedes(&self, fence: u64) -> bool {
        self.generation() > fence
    }

    /// Supersedes the lease that is held. Without one, it notes that the pile was emptied.
    pub(super) fn supersede(&mut self) {
        self.make_extra().generation = self.next();
    }

    /// Supersedes the lease that is held, by a value with this number.
    pub(super) fn supersede_by(&mut self, number: u64) {
        // A pile without a box has no lease; nor is it taken for an emptied one, as the value is there.
        if let Some(busy) = self.extra_mut() {
            busy.generation = number;
        }
    }

    /// What a lease that is held publishes is stale.
    pub(super) fn mark_expiry(&mut self) {
        self.make_extra().expiry_mark = self.next();
    }

    /// Grants the lease, which must be free.
    pub(super) fn grant(&mut self) -> u64 {
        debug_assert!(!self.is_leased(), "a lease is granted while it is free");
        let fence = self.next();
        self.make_extra().lease = fence;
        fence
    }

    /// Takes the lease back, and those who wait.
    #[must_use = "whoever waits must be told"]
    pub(super) fn end(&mut self, fence: u64) -> Option<Arc<Waiters<T>>> {
        debug_assert_eq!(self.fence(), fence, "the lease is ended by its holder");
        self.vacate();
        self.release_waiters()
    }

    /// Takes the lease from its holder. Those who wait go on waiting, for the next one.
    pub(super) fn vacate(&mut self) {
        self.make_extra().lease = 0;
    }

    /// Takes those who wait out, so that they can be told of something else than the end of the
    /// lease, which goes on.
    #[must_use = "whoever waits must be told"]
    pub(super) fn release_waiters(&mut self) -> Option<Arc<Waiters<T>>> {
        self.extra_mut()?.waiters.take()
    }

    /// Joins those who wait for the lease that is held.
    ///
    /// Whoever comes after the lease was superseded joins a group of its own, since the result of
    /// that lease is no answer to a call that began later. A call that has waited for an earlier
    /// lease began before this one was granted.
    pub(super) fn join(&mut self, has_waited: bool) -> Arc<Waiters<T>> {
        debug_assert!(self.is_leased(), "there is a lease to wait for");
        self.join_group(self.supersedes(self.fence()) && !has_waited)
    }

    /// As [`join`](Locked::join), for the caller that was granted the lease and has somebody else
    /// create: the result is its own, whatever came since.
    pub(super) fn join_own(&mut self) -> Arc<Waiters<T>> {
        self.join_group(false)
    }

    /// Joins those who wait for the next value, whoever makes it.
    ///
    /// While the lease is held they are among those who came late: the result of a lease that was
    /// superseded is no answer to them. While it is free they have a group without a lease. That group
    /// is told of the next value, or of the end of the next lease, if that comes first.
    pub(super) fn join_next(&mut self) -> Arc<Waiters<T>> {
        self.join_group(true)
    }

    fn join_group(&mut self, came_late: bool) -> Arc<Waiters<T>> {
        let lease = self.fence();
        let is_it = |group: &Waiters<T>| group.fence() == lease && group.came_late() == came_late;
        if let Some(group) = self.groups().find(|group| is_it(group)) {
            debug_assert_eq!(group.fence(), lease, "they wait for the lease that is held");
            return Arc::clone(group);
        }
        let waiters = &mut self.make_extra().waiters;
        let group = Waiters::new(lease, came_late, waiters.take());
        Arc::clone(waiters.insert(Arc::new(group)))
    }

    /// The groups of those who wait: three at most.
    fn groups(&self) -> impl Iterator<Item = &Arc<Waiters<T>>> {
        let first = self.extra().and_then(|busy| busy.waiters.as_ref());
        std::iter::successors(first, |group| group.other())
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        // Each waiter holds a share in its group. So does the field or the group that leads to it.
        self.groups()
            .map(|group| Arc::strong_count(group) - 1)
            .sum()
    }

    /// Takes out what a pile at rest does without, if this one is: nobody creates, waits or watches,
    /// nothing is remembered of creations, and there is a value that came after the last `expire`.
    #[must_use = "it is to be dropped outside the lock"]
    pub(super) fn rest(&mut self) -> Option<Busy<T>> {
        let busy = self.extra()?;
        let is_quiet = busy.lease == 0 && busy.pace.is_none() && busy.watch.is_none();
        // The generation is asked for leases, of which there is none, and where there is no value: if this
        // one is evicted later, the pile is as the next one of an evicted key, which knows of none either.
        // The mark is asked for values that came before it: this one did not, nor will any that follow.
        let mark = busy.expiry_mark;
        let is_newer = self.current().is_some_and(|node| node.number() >= mark);
        match is_quiet && is_newer && self.waiters() == 0 {
            // With groups that everybody has left.
            true => self.take_extra(),
            false => None,
        }
    }
}
