//! Looks at the value that a pile holds: without its lock where that is enough, else under it.

use crate::answer::{Caller, Door, Guard, Lease, Origin, Settings};
use crate::call::election::{Asking, Found, NewerThan};
use crate::call::{Call, NotYet};
use crate::observe::Elected;
use crate::policy::{Accept, Asks, Freshness, Horizon, Marks, Use};
use crate::raw::{self, Look, Node, NodeRef, ValueRef};
use crate::time::{Tick, Times};

impl<'a, T, D: Door> Call<'a, T, D> {
    /// The answer of a call that neither creates, nor waits, nor takes a lock.
    ///
    /// It is what almost every call comes to: the value while it is fresh, or the stale value while
    /// another caller is creating the next. `None` is no refusal: then make the call, or
    /// [`attempt`](Call::attempt) it. It is inlined, for wrappers that have something else to do
    /// before they create.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// assert!(pile.call().hit().is_none());
    /// pile.set(7);
    /// assert_eq!(*pile.call().hit().unwrap(), 7);
    /// ```
    #[inline(always)]
    pub fn hit(self) -> Option<Guard<'a, T, D::Pass>> {
        self.hit_by(Caller::Thread)
    }
}

impl<'a, T, D: Door, W> Call<'a, T, D, W> {
    #[inline(always)]
    pub(crate) fn hit_by(&self, caller: Caller) -> Option<Guard<'a, T, D::Pass>> {
        let pass = self.door.try_enter(caller)?;
        Some(self.hit_inside()?.with(pass))
    }

    /// The value that is held, without creating or waiting.
    #[inline(always)]
    pub(crate) fn peek(self) -> Option<Guard<'a, T, D::Pass>> {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Some(guard),
            None => self.peek_slowly(),
        }
    }

    /// As [`peek`](Call::peek), for values that are not plainly fresh.
    // By value: a reference would keep the call in memory on the way of a hit.
    #[cold]
    #[inline(never)]
    fn peek_slowly(self) -> Option<Guard<'a, T, D::Pass>> {
        let hits = self.site.settings.time.hits();
        let held = self.peek_exact()?;
        hits.add();
        Some(held)
    }

    /// As [`peek`](Call::peek), for one that is not to be counted.
    pub(crate) fn peek_exact(self) -> Option<Guard<'a, T, D::Pass>> {
        let pass = self.door.try_enter(Caller::Thread)?;
        Some(self.peek_inside()?.with(pass))
    }
}

impl<'a, T, D, W> Call<'a, T, D, W> {
    /// As [`peek`](Call::peek), for a caller that is inside the door.
    pub(crate) fn peek_inside(&self) -> Option<Guard<'a, T>> {
        let node = self.site.pile.load()?;
        node.value()?;
        let (freshness, now) = self.freshness_now(&node.times());
        Some(Guard::new(node, served(freshness)?, now))
    }

    /// What a value with these times is good for now, and a time at which that holds.
    pub(crate) fn freshness_now(&self, times: &Times) -> (Freshness, Tick) {
        let horizon = Horizon::new(times, self.asks);
        self.site.settings.time.near(|now| horizon.at(now))
    }

    /// A hit, for a caller that is inside the door. `None` is no refusal: the value has to be looked
    /// at again.
    // Inlined for good. While it holds the node it calls nothing that could panic, such as a clock:
    // else the guard is moved about in memory, which costs as much as all the rest.
    #[inline(always)]
    pub(crate) fn hit_inside(&self) -> Option<Guard<'a, T>> {
        if !self.is_plain() {
            return None;
        }
        let time = &self.site.settings.time;
        // Counted until it is said to be none.
        let now = time.bounds_of_hit();
        let Some(node) = self.site.pile.load() else {
            time.no_hit();
            return None;
        };
        let due_from = self.due_from(&node);
        let Some(node) = ValueRef::new(node) else {
            time.no_hit();
            return None;
        };
        let Some(origin) = origin_between(self.accept, self.asks, now, due_from, node.node())
        else {
            drop(node);
            time.no_hit();
            return None;
        };
        Some(Guard::of(node, origin, now.0))
    }

    /// See [`is_plain`].
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        is_plain(self.accept, self.asks)
    }

    /// The first instant at which the value is to be renewed, to this call.
    #[inline(always)]
    pub(crate) fn due_from(&self, node: &Node<T>) -> Tick {
        due_from(self.asks, node)
    }

    /// As [`hit_inside`](Call::hit_inside), for values that are not plainly fresh and calls that are
    /// not plain. `None`: the value has to be looked at under the lock.
    pub(crate) fn hit_exact(&self) -> Option<Guard<'a, T>> {
        let node = self.site.pile.load()?;
        node.value()?;
        let newer_than = match self.accept {
            Accept::Stale | Accept::Fresh => 0,
            Accept::NewerThan(seen) => {
                seen.assert_of(node.pile());
                // An expired value is no answer: the last `expire` came after its creation began.
                if node.times().expired.is_some() {
                    return None;
                }
                seen.number
            }
            Accept::New => return None,
        };
        let (freshness, now) = self.freshness_now(&node.times());
        match self.accept.judge(newer_than, node.number(), freshness) {
            Use::Now => Some(Guard::new(node, Origin::Fresh, now)),
            usable @ (Use::Due | Use::IfLeased) if self.is_quiet(&node) => {
                Some(Guard::new(node, origin_of(usable), now))
            }
            Use::Due | Use::IfLeased | Use::Fallback | Use::No => None,
        }
    }

    /// Whether the lease cannot be had now, by the exact time.
    fn is_quiet(&self, node: &Node<T>) -> bool {
        node.is_quiet(self.site.settings.time.now())
    }

    /// What a value is good for to this call.
    pub(crate) fn judge(&self, node: &Node<T>, newer_than: u64, now: Tick) -> Use {
        let freshness = Horizon::new(&node.times(), self.asks).at(now);
        self.accept.judge(newer_than, node.number(), freshness)
    }

    /// As what the value with this number stands in for a failure, if it may for this call.
    pub(crate) fn stands_in(&self, times: &Times, number: u64, now: Tick) -> Option<Origin> {
        let horizon = Horizon::new(times, self.asks);
        let newer_than = match self.accept {
            Accept::Stale | Accept::Fresh => 0,
            Accept::NewerThan(seen) => seen.number,
            Accept::New => u64::MAX,
        };
        // It was to be renewed ahead, and this call has not ruled it out.
        if self.accept.judge(newer_than, number, horizon.at(now)) == Use::Due {
            return Some(Origin::Fresh);
        }
        if self.accept != Accept::Stale || self.asks.min_fresh().is_some() {
            return None;
        }
        served_or_fallback(horizon.stands_in(now)?)
    }

    /// A look under the lock. The first one fixes `newer_than`: what counts is what had happened
    /// when the call began, however long the call takes.
    pub(crate) fn attempt_locked(
        &self,
        newer_than: &mut NewerThan,
        asks: Asking,
    ) -> Found<'a, T, Guard<'a, T>> {
        self.attempt_as(&self.look(asks), newer_than)
    }

    /// As [`attempt_locked`](Call::attempt_locked), at a time that was asked for before.
    pub(crate) fn attempt_as(
        &self,
        look: &Look<'_>,
        newer_than: &mut NewerThan,
    ) -> Found<'a, T, Guard<'a, T>> {
        let judge = self.judge_locked(newer_than, look.now);
        let found = self.site.pile.attempt(look, judge);
        self.found(found, look.elected.clone(), |node, usable| {
            held(node, usable, look.now)
        })
    }

    /// As [`attempt_locked`](Call::attempt_locked), where no lease may be granted. `None`: it would have
    /// been the lease.
    pub(crate) fn attempt_without_lease(
        &self,
        newer_than: &mut NewerThan,
        asks: Asking,
    ) -> Option<Found<'a, T, Guard<'a, T>>> {
        let look = self.look(asks);
        let judge = self.judge_locked(newer_than, look.now);
        let found = self.site.pile.attempt_without_lease(&look, judge)?;
        Some(self.found(found, None, |node, usable| held(node, usable, look.now)))
    }

    fn judge_locked(
        &self,
        newer_than: &mut NewerThan,
        now: Tick,
    ) -> impl FnOnce(Marks, Option<&NodeRef<T>>) -> Use {
        move |marks, node| {
            let newer_than = newer_than.fix(|| self.accept.newer_than(marks));
            match node {
                Some(node) if node.value().is_some() => self.judge(node, newer_than, now),
                _ => Use::No,
            }
        }
    }

    /// How the call looks under the lock.
    pub(crate) fn look(&self, asks: Asking) -> Look<'a> {
        let Settings { policy, time, .. } = self.site.settings;
        Look {
            policy,
            now: time.now(),
            seed: self.site.seed(),
            has_waited: asks.has_waited,
            presses: asks.presses,
            own: asks.own,
            watcher: &self.site.settings.cold.watcher,
            rate: self.site.settings.cold.rate.as_deref(),
            elected: policy.counts().then(|| Elected {
                holder: asks.by.holder(),
                location: self.location,
            }),
        }
    }

    /// Takes the lease from a holder who has had it for too long, and keeps the gate closed.
    pub(crate) fn evict(&self) {
        let evicted = self.site.pile.evict(&self.look(Asking::TO_START));
        if let (Some(late), Some(gate)) = (evicted, self.site.gate) {
            gate.end_of(late);
        }
    }

    /// What a look under the lock found, to this call.
    pub(crate) fn found<A>(
        &self,
        found: raw::Found<T>,
        elected: Option<Elected>,
        answer: impl FnOnce(NodeRef<T>, Use) -> A,
    ) -> Found<'a, T, A> {
        match found {
            raw::Found::Value(node, usable) => Found::Value(answer(node, usable)),
            raw::Found::Lease(fence, taken_over) => {
                if let (Some(late), Some(gate)) = (taken_over, self.site.gate) {
                    // What it kept closed opens.
                    gate.end_of(late);
                }
                Found::Lease(Lease::new(self.site, fence, elected))
            }
            raw::Found::Busy(waiters) => Found::Busy(waiters),
            raw::Found::NotYet(value, retry_in, failure) => Found::NotYet(NotYet {
                value: value.map(|(node, usable)| answer(node, usable)),
                retry_in,
                failure,
            }),
        }
    }
}

/// Whether a value that is fresh is an answer, whichever it is.
#[inline(always)]
fn is_plain(accept: Accept, asks: Asks) -> bool {
    matches!(accept, Accept::Stale | Accept::Fresh) && asks.min_fresh().is_none()
}

/// The first instant at which the value is to be renewed, to a call that asks for that.
#[inline(always)]
fn due_from<T>(asks: Asks, node: &Node<T>) -> Tick {
    match asks.max_age() {
        Some(limit) => node.older_from(limit).min(node.due_from()),
        None => node.due_from(),
    }
}

/// How a plain call is answered with this value, which is due from then on, at a time between these two.
/// `None` is no refusal.
#[inline(always)]
fn origin_between<T>(
    accept: Accept,
    asks: Asks,
    (earliest, latest): (Tick, Tick),
    due_from: Tick,
    node: &Node<T>,
) -> Option<Origin> {
    if latest < due_from {
        // A fresh value is not asked more than that.
        return Some(Origin::Fresh);
    }
    let (is_quiet, stale_from) = (node.is_quiet(latest), node.stale_from());
    let is_quiet = is_quiet && asks.max_age().is_none();
    if is_quiet && latest < stale_from {
        Some(Origin::Fresh)
    } else if is_quiet && accept == Accept::Stale && earliest >= stale_from {
        Some(Origin::Stale)
    } else {
        None
    }
}

/// How a hit is answered with this value at a time between these two. `None` is no refusal.
#[inline(always)]
pub(crate) fn origin_of_hit<T>(
    accept: Accept,
    asks: Asks,
    now: (Tick, Tick),
    node: &Node<T>,
) -> Option<Origin> {
    if !is_plain(accept, asks) {
        return None;
    }
    origin_between(accept, asks, now, due_from(asks, node), node)
}

/// How a value is answered with that is good for this.
pub(crate) fn origin_of(usable: Use) -> Origin {
    match usable {
        Use::Now | Use::Due => Origin::Fresh,
        Use::Fallback => Origin::Fallback,
        Use::IfLeased | Use::No => Origin::Stale,
    }
}

/// How a value that is served is answered with.
fn served(freshness: Freshness) -> Option<Origin> {
    match freshness {
        Freshness::Fresh | Freshness::Due => Some(Origin::Fresh),
        Freshness::Stale => Some(Origin::Stale),
        Freshness::Fallback | Freshness::Gone => None,
    }
}

/// As [`served`], with a value that stands in for a failure.
fn served_or_fallback(freshness: Freshness) -> Option<Origin> {
    match freshness {
        Freshness::Fallback => Some(Origin::Fallback),
        freshness => served(freshness),
    }
}

/// The value that is held, as a look under the lock found it.
fn held<'a, T>(node: NodeRef<T>, usable: Use, now: Tick) -> Guard<'a, T> {
    Guard::new(node, origin_of(usable), now)
}
