//! A pile without time and policy: the value cell, the lease and the waiters behind a safe face.
//!
//! All `unsafe` code and all memory orderings of the crate are in this folder.
//!
//! One short lock orders everything that changes a pile: grants, publishes, `set`, `invalidate`,
//! `expire`. No user code runs under the lock. Old values are dropped and waiters are woken after
//! the lock was released. A waiter reads its outcome without the lock.
#![allow(unsafe_code)]

mod gate;
mod keyed;
#[cfg(all(test, dogpile_loom))]
mod models;
mod rate;
mod state;
mod value;
mod wait;
mod watch;

pub(crate) use self::gate::{Gate, Reading, Refusal};
pub(crate) use self::rate::Rate;
pub(crate) use self::value::{Node, NodeRef, ValueRef};
pub(crate) use self::wait::{Ending, Event, Waiters, Writers};
#[cfg(feature = "async")]
pub(crate) use self::{
    gate::Closing,
    wait::{Polled, Seat},
};

use std::time::Duration;

use self::state::State;
use self::value::Cell;
use self::watch::Extra;
use crate::error::{Failure, Panicked};
use crate::observe::{self, Elected, Holding, Stats, Watch, Watcher};
use crate::policy::{Availability, Decision, Draw, End, Marks, Pace, Policy, Purpose, Seen, Span};
use crate::policy::{Use, decide};
use crate::shim::Arc;
use crate::time::{Tick, Times};

/// The state of one pile.
#[repr(transparent)]
pub(crate) struct Pile<T> {
    cell: Cell<T, State<T>, Extra>,
}

/// A node that a reader holds.
pub(crate) type Protected<'a, T> = value::Protected<'a, T, State<T>, Extra>;

type Locked<'a, T> = value::Locked<'a, T, State<T>, Extra>;
type Replaced<'a, T> = value::Replaced<'a, T, State<T>, Extra>;

// One pile a key has to be affordable: the documentation promises it.
#[cfg(all(
    not(any(dogpile_loom, dogpile_shuttle, debug_assertions)),
    target_pointer_width = "64"
))]
const _: () = assert!(std::mem::size_of::<Pile<[u64; 99]>>() == 64);

/// What a look under the lock finds.
pub(crate) enum Found<T> {
    /// The current value.
    Value(NodeRef<T>, Use),
    /// The lease with the first fence. To be ended by exactly one of `publish`, `fail`, `panicked`,
    /// `give_up` and `refused`. It may have been taken from the holder of the second.
    Lease(u64, Option<u64>),
    /// Another caller's lease, to wait for; or the next value.
    Busy(Arc<Waiters<T>>),
    /// The lease may not be granted for so long. With it come a value to go on with, and the failure
    /// that the pile backs off from.
    NotYet(Option<(NodeRef<T>, Use)>, Duration, Option<Failure>),
}

/// A call as it looks under the lock.
pub(crate) struct Look<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) now: Tick,
    pub(crate) seed: u64,
    /// It may have waited for an earlier lease until its end.
    pub(crate) has_waited: bool,
    /// Without a usable value it is granted the lease though none may be granted yet.
    pub(crate) presses: bool,
    /// It was granted the lease with this fence, and waits for what another makes under it.
    pub(crate) own: Option<u64>,
    /// What is noted if it is granted the lease, of a pile that counts.
    pub(crate) elected: Option<Elected>,
    /// Who is told if a lease is taken over.
    pub(crate) watcher: &'p Watcher,
    /// The rate of creations that the pile shares with others, if there is one.
    pub(crate) rate: Option<&'p Rate>,
}

impl Look<'_> {
    /// Whether it is granted the lease though none may be granted yet: who has something to go on with
    /// spares the source all the same.
    fn presses(&self, usable: Use) -> bool {
        self.presses && !usable.is_usable()
    }
}

/// The end of a lease, as the pile's memory of its creations needs it.
pub(crate) struct Ended<'p> {
    pub(crate) fence: u64,
    pub(crate) policy: &'p Policy,
    pub(crate) now: Tick,
    pub(crate) seed: u64,
    /// Where the end is noted for the observer, if there is one.
    pub(crate) watch: Option<&'p Watch>,
}

impl Ended<'_> {
    fn draw(&self) -> Draw {
        Draw::new(self.seed, self.fence, Purpose::Backoff)
    }
}

/// A created value, complete and not published yet.
pub(crate) struct Ready<T> {
    /// For those who are given the value.
    pub(crate) node: NodeRef<T>,
    /// For the pile to keep: the node itself, or its times alone.
    pub(crate) kept: NodeRef<T>,
    /// For how long none is to be created.
    pub(crate) hold: Option<Duration>,
}

impl<T> Pile<T> {
    crate::shim::const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { cell: Cell::new(State::new()) }
        }
    }

    /// The current value.
    #[inline]
    pub(crate) fn load(&self) -> Option<Protected<'_, T>> {
        self.cell.load()
    }

    /// A node that the caller has a share in, or was lent one: as readers hold it if it is the current
    /// one, else by a share of its own.
    pub(crate) fn hold(&self, node: &NodeRef<T>) -> Protected<'_, T> {
        self.cell.hold(node)
    }

    /// Takes the current value if it is good enough, else the lease if it can be had, else a place
    /// among the waiters.
    ///
    /// `judge` runs under the lock.
    pub(crate) fn attempt(
        &self,
        look: &Look<'_>,
        judge: impl FnOnce(Marks, Option<&NodeRef<T>>) -> Use,
    ) -> Found<T> {
        let mut state = self.cell.lock();
        let marks = Marks {
            last: state.last(),
            expiry: state.expiry_mark,
        };
        let current = state.current();
        // What was looked up elsewhere is good for nothing once the pile was emptied.
        let usable = match (judge(marks, current.as_deref()), current) {
            (usable, Some(_)) => usable,
            (_, None) => Use::No,
        };
        if let Some(fence) = look.own {
            return match state.current() {
                Some(node) if usable.is_usable() => Found::Value(node.clone(), usable),
                _ if state.is_leased_to(fence) => Found::Busy(state.join_own()),
                // It was taken over since.
                _ => Found::NotYet(None, Duration::ZERO, None),
            };
        }
        let mut taken = match usable {
            Use::Now => None,
            _ => Self::take_over(&mut state, look),
        };
        if let Some(taken) = &mut taken {
            match taken.is_granted {
                true => state.vacate(),
                false => {
                    taken.waiters = state.end(taken.fence);
                    Self::nobody_renews(&state, look.policy);
                }
            }
        }
        let found = Self::find(&mut state, look, usable, taken.as_ref());
        drop(state);
        if let Some(taken) = taken {
            let failure = Failure::new(Arc::new(TOOK_TOO_LONG));
            tell(taken.waiters, false, Ending::Failed(failure, true));
            look.watcher.tell(taken.told);
            drop(taken.forgotten);
        }
        found
    }

    fn find(
        state: &mut Locked<'_, T>,
        look: &Look<'_>,
        usable: Use,
        taken: Option<&Taken<T>>,
    ) -> Found<T> {
        let current = state.current();
        let is_taken = taken.is_some_and(|taken| taken.is_granted);
        let availability = match is_taken {
            true => Availability::Free,
            false => Self::availability(state, look, usable),
        };
        let refused = match (decide(usable, availability), look.rate) {
            (Decision::Elect, Some(rate)) => {
                // The source hangs: what is taken over was in the rate.
                let presses = is_taken || look.presses(usable);
                (rate.take(look.now, presses).err()).map(|retry_in| (retry_in, rate.refusal()))
            }
            _ => None,
        };
        let availability = match refused {
            Some((retry_in, _)) => Availability::NotYet(retry_in),
            None => availability,
        };
        let value = || current.as_deref().map(|node| (node.clone(), usable));
        let failure = || match &refused {
            Some((_, over_rate)) => Some(over_rate.clone()),
            None => Self::paused_by(state, look.now),
        };
        match (decide(usable, availability), availability) {
            (Decision::Answer, Availability::NotYet(retry_in)) if usable != Use::Now => {
                if let (Some(_), Some(node)) = (&refused, &current) {
                    // Until then no other caller need ask either.
                    node.set_quiet(Span::after(look.now, retry_in));
                }
                Found::NotYet(value(), retry_in, failure())
            }
            (Decision::Answer, _) => {
                let (node, usable) = value().expect("what is judged to be of use is there");
                Found::Value(node, usable)
            }
            (Decision::BackOff(retry_in), _) => Found::NotYet(None, retry_in, failure()),
            (Decision::Wait, _) => {
                Self::count_wait(state, look.policy);
                Found::Busy(state.join(look.has_waited))
            }
            (Decision::Elect, _) => {
                if look.policy.paces() {
                    Self::change_pace(state, |pace| pace.granted(look.now));
                }
                Self::count_grant(state, look);
                if let Some(node) = state.current() {
                    node.set_quiet(Self::quiet_while_held(state, look.policy));
                }
                let from = taken.filter(|taken| taken.is_granted);
                Found::Lease(state.grant(), from.map(|taken| taken.fence))
            }
        }
    }

    /// Takes the lease from a holder who has had it for too long, if one has. It is a failure. If one
    /// such creator is late already, nobody is granted the lease, and those who wait are told.
    fn take_over(state: &mut Locked<'_, T>, look: &Look<'_>) -> Option<Taken<T>> {
        let (policy, now) = (look.policy, look.now);
        policy.max_create_time?;
        let overdue = Self::pace(state)?.overdue_from(policy)?;
        let fence = state.lease().filter(|_| now >= overdue)?;
        let end = End::Failed(Failure::new(Arc::new(TOOK_TOO_LONG)));
        let told = Self::count(state, policy, fence, now, observe::End::TakenOver);
        let draw = Draw::new(look.seed, fence, Purpose::Backoff);
        let (is_granted, forgotten) = Self::change_pace(state, |pace| {
            let forgotten = pace.ended(policy, end, false, now, draw);
            let is_granted = pace.is_late(fence);
            if !is_granted {
                pace.rest(policy, now);
            }
            (is_granted, forgotten)
        });
        Some(Taken {
            fence,
            is_granted,
            waiters: None,
            told,
            forgotten,
        })
    }

    /// Takes the lease from a holder who has had it for too long, for a caller that such a holder keeps
    /// out, and which goes on as any other does. Its fence is what was taken.
    pub(crate) fn evict(&self, look: &Look<'_>) -> Option<u64> {
        let mut state = self.cell.lock();
        let taken = Self::take_over(&mut state, look)?;
        let waiters = state.end(taken.fence);
        Self::nobody_renews(&state, look.policy);
        drop(state);
        tell(
            waiters,
            false,
            match taken.is_granted {
                true => Ending::ElectAnew,
                false => Ending::Failed(Failure::new(Arc::new(TOOK_TOO_LONG)), true),
            },
        );
        look.watcher.tell(taken.told);
        drop(taken.forgotten);
        Some(taken.fence)
    }

    fn availability(state: &Locked<'_, T>, look: &Look<'_>, usable: Use) -> Availability {
        if state.is_leased() {
            return Availability::Held;
        }
        let pace = Self::pace(state).filter(|_| !look.presses(usable));
        pace.and_then(|pace| pace.retry_in(look.policy, look.now, usable.is_usable()))
            .map_or(Availability::Free, Availability::NotYet)
    }

    fn paused_by(state: &Locked<'_, T>, now: Tick) -> Option<Failure> {
        Self::pace(state)?.paused_by(now)
    }

    /// What the pile remembers of its creations, if it does.
    fn pace<'s>(state: &'s Locked<'_, T>) -> Option<&'s Pace> {
        state.extra().map(|extra| &extra.pace)
    }

    fn change_pace<R>(state: &mut Locked<'_, T>, change: impl FnOnce(&mut Pace) -> R) -> R {
        state.change_extra(|extra| change(&mut extra.get_or_insert_default().pace))
    }

    /// Notes how a lease ended. What is forgotten is to be dropped outside of the lock.
    #[must_use = "the old failure must be dropped outside the lock"]
    fn note_end(
        state: &mut Locked<'_, T>,
        ended: &Ended<'_>,
        end: End,
        superseded: bool,
    ) -> Option<Failure> {
        let failed = matches!(end, End::Failed(_) | End::Refused(_));
        if Self::pace(state).is_none() && !failed {
            return None;
        }
        let draw = ended.draw();
        let (policy, now) = (ended.policy, ended.now);
        Self::change_pace(state, |pace| pace.ended(policy, end, superseded, now, draw))
    }

    /// Tells callers that find `node` due or stale, or still hold it later, when they need not ask
    /// for the lease, which is free.
    fn quiet(state: &Locked<'_, T>, policy: &Policy, node: &NodeRef<T>) {
        let span = Self::pace(state).map(|pace| pace.quiet(policy));
        node.set_quiet(span.unwrap_or(Span::NEVER));
    }

    /// A span in which a caller with a usable value need not ask while the lease is held: after that it
    /// may take the lease over.
    fn quiet_while_held(state: &Locked<'_, T>, policy: &Policy) -> Span {
        let overdue = Self::pace(state).and_then(|pace| pace.overdue_from(policy));
        overdue.map_or(Span::ALWAYS, |overdue| Span::new(Tick::ZERO, overdue))
    }

    /// Takes the current value if it is good enough, else a place among those who wait for the next
    /// one, whether or not anybody creates it.
    ///
    /// `judge` runs under the lock.
    pub(crate) fn await_next(
        &self,
        policy: &Policy,
        judge: impl FnOnce(Marks, Option<&NodeRef<T>>) -> Use,
    ) -> Found<T> {
        let mut state = self.cell.lock();
        let marks = Marks {
            last: state.last(),
            expiry: state.expiry_mark,
        };
        let current = state.current();
        let usable = judge(marks, current.as_deref());
        match current {
            Some(node) if usable.is_usable() => Found::Value(node.clone(), usable),
            _ => {
                Self::count_wait(&mut state, policy);
                Found::Busy(state.join_next())
            }
        }
    }

    /// Ends the lease with a value. Says whether the value became the current one. If it did not,
    /// the lease was superseded.
    pub(crate) fn publish(&self, ended: &Ended<'_>, ready: Ready<T>, writers: Writers) -> bool {
        let Ready { node, kept, hold } = ready;
        let fence = ended.fence;
        let mut state = self.cell.lock();
        let pile = state.pile();
        node.belongs_to(pile);
        kept.belongs_to(pile);
        if Self::is_late_end(&mut state, fence) {
            return false;
        }
        let superseded = state.supersedes(fence);
        Self::count_end(&mut state, ended, superseded, observe::End::Published);
        let waiters = state.end(fence);
        let forgotten = Self::note_end(&mut state, ended, End::Published, superseded);
        let (ending, old) = if superseded {
            Self::nobody_renews(&state, ended.policy);
            (Ending::Superseded(node, writers), None)
        } else {
            if state.expiry_mark > fence {
                node.expire(ended.now);
                kept.expire(ended.now);
            }
            if let Some(span) = hold {
                Self::change_pace(&mut state, |pace| pace.hold(ended.now, span));
            }
            (
                Ending::Value(node, writers),
                Some(Self::install(&mut state, ended.policy, kept)),
            )
        };
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, superseded, ending);
        drop(old);
        drop(forgotten);
        drop(watch);
        !superseded
    }

    /// Ends the lease with an error, which goes to everybody who waits.
    pub(crate) fn fail(&self, ended: &Ended<'_>, failure: Failure) {
        let end = End::Failed(failure.clone());
        let seen = observe::End::Failed(failure.clone());
        self.end(ended, end, seen, |falls_back| {
            Ending::Failed(failure, falls_back)
        });
    }

    /// Ends the lease with a panic, of which everybody who waits is told.
    pub(crate) fn panicked(&self, ended: &Ended<'_>, panicked: Panicked) {
        let failure = Failure::from(panicked.clone());
        let seen = observe::End::Panicked(failure.clone());
        self.end(ended, End::Failed(failure), seen, |falls_back| {
            Ending::Panicked(panicked, falls_back)
        });
    }

    /// Ends the lease with nothing. An observer is told what it was.
    pub(crate) fn give_up(&self, ended: &Ended<'_>, seen: observe::End) {
        self.end(ended, End::GivenUp, seen, |_| Ending::ElectAnew);
    }

    /// Ends the lease, under which nothing ever ran, since an executor did not want it.
    pub(crate) fn refused(&self, ended: &Ended<'_>, failure: Failure) {
        let seen = observe::End::Refused(failure.clone());
        self.end(ended, End::Refused(failure), seen, |_| Ending::ElectAnew);
    }

    /// Ends the lease without a value. `ending` is told whether an older value may stand in.
    fn end(
        &self,
        ended: &Ended<'_>,
        end: End,
        seen: observe::End,
        ending: impl FnOnce(bool) -> Ending<T>,
    ) {
        let fence = ended.fence;
        let mut state = self.cell.lock();
        if Self::is_late_end(&mut state, fence) {
            return;
        }
        let superseded = state.supersedes(fence);
        Self::count_end(&mut state, ended, superseded, seen);
        let waiters = state.end(fence);
        let is_answer = matches!(end, End::Failed(_))
            && !superseded
            && Self::pace(&state).is_some_and(Pace::is_without_fallback);
        let forgotten = Self::note_end(&mut state, ended, end, superseded);
        Self::nobody_renews(&state, ended.policy);
        // A failure that is an answer tells that what is held is wrong.
        let old = is_answer.then(|| Self::empty(&mut state));
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, superseded, ending(!is_answer));
        drop(old);
        drop(forgotten);
        drop(watch);
    }

    /// Whether it is the end of a creator whose lease was taken over: then nobody waits for it.
    fn is_late_end(state: &mut Locked<'_, T>, fence: u64) -> bool {
        !state.is_leased_to(fence) && Self::change_pace(state, |pace| pace.late_ends(fence))
    }

    /// Makes `node` the current one. The old one is to be dropped when the lock was released.
    #[must_use = "the old value must be dropped outside the lock"]
    fn install<'a>(
        state: &mut Locked<'a, T>,
        policy: &Policy,
        node: NodeRef<T>,
    ) -> Replaced<'a, T> {
        Self::loses_its_place(state);
        Self::count_change(state);
        node.installed_as(state.next());
        match state.is_leased() {
            true => node.set_quiet(Self::quiet_while_held(state, policy)),
            false => Self::quiet(state, policy, &node),
        }
        state.swap(Some(node))
    }

    /// Removes the current value. It is to be dropped when the lock was released.
    #[must_use = "the old value must be dropped outside the lock"]
    fn empty<'a>(state: &mut Locked<'a, T>) -> Replaced<'a, T> {
        state.generation = state.next();
        Self::loses_its_place(state);
        Self::count_change(state);
        state.swap(None)
    }

    /// Tells callers who still hold the current value later that they have to ask.
    fn loses_its_place(state: &Locked<'_, T>) {
        if let Some(node) = state.current() {
            node.set_quiet(Span::NEVER);
        }
    }

    /// Tells callers that find the current value due or stale whether they need to ask, now that
    /// nobody is renewing it.
    fn nobody_renews(state: &Locked<'_, T>, policy: &Policy) {
        if let Some(node) = state.current() {
            Self::quiet(state, policy, &node);
        }
    }

    /// Ends the back-off.
    fn clear_pace(state: &mut Locked<'_, T>) {
        if Self::pace(state).is_some() {
            Self::change_pace(state, Pace::clear);
        }
    }

    /// Makes `node` the current value and hands it to everybody who waits. A lease that is held is
    /// superseded. With `seen`, only if that is still the current value. Says whether it did.
    ///
    /// What the pile keeps from then on is `kept`: the node itself, or its times alone. Those who wait
    /// are told that so many `writers` had been inside.
    pub(crate) fn set(
        &self,
        policy: &Policy,
        node: &NodeRef<T>,
        kept: NodeRef<T>,
        seen: Option<Was>,
        writers: Writers,
    ) -> bool {
        let mut state = self.cell.lock();
        let pile = state.pile();
        if seen.is_some_and(|seen| !Self::is(&state, seen)) {
            drop(state);
            return false;
        }
        let number = state.next();
        state.generation = number;
        node.number_as(number);
        kept.number_as(number);
        node.belongs_to(pile);
        kept.belongs_to(pile);
        Self::clear_pace(&mut state);
        let old = Self::install(&mut state, policy, kept);
        let waiters = state.release_waiters();
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, false, Ending::Value(node.clone(), writers));
        drop(old);
        drop(watch);
        true
    }

    /// Makes an older value the current one, which is stale at once, while the lease with this fence is
    /// held. Its number is zero, below all marks. Says whether it did: a value that is held stays, and
    /// nothing comes back after an `invalidate`.
    pub(crate) fn lend(&self, policy: &Policy, now: Tick, fence: u64, node: NodeRef<T>) -> bool {
        let mut state = self.cell.lock();
        let pile = state.pile();
        let is_gone = |node: &NodeRef<T>| {
            let times = node.times();
            now >= times.usable_until(times.ttl) && now >= times.stands_in_until(times.ttl)
        };
        let is_empty = match state.current() {
            Some(current) => current.value().is_none() || is_gone(&current),
            None => state.generation == 0,
        };
        if !state.is_leased_to(fence) || state.supersedes(fence) || !is_empty {
            return false;
        }
        node.belongs_to(pile);
        node.expire(now);
        let old = Self::install(&mut state, policy, node);
        let waiters = state.release_waiters();
        let watch = Self::changed(&mut state);
        drop(state);
        tell(waiters, false, Ending::Lent);
        drop(old);
        drop(watch);
        true
    }

    /// Notes the times of a value that was made elsewhere, if the current node is still `seen`, and
    /// was not expired since: that mark would be lost.
    pub(crate) fn note(&self, policy: &Policy, times: Times, seen: Option<(&NodeRef<T>, Times)>) {
        let mut state = self.cell.lock();
        let pile = state.pile();
        let noted = match (state.current(), seen) {
            (Some(current), Some((seen, then))) if current.is(seen) && current.times() == then => {
                current.overtaken(times)
            }
            (None, None) if state.generation == 0 => NodeRef::elsewhere(times, 0),
            _ => return,
        };
        noted.belongs_to(pile);
        let old = Self::install(&mut state, policy, noted);
        drop(state);
        drop(old);
    }

    /// Removes the current value, with `seen` only if that is still it. A lease that is held is
    /// superseded. Says whether it did.
    pub(crate) fn invalidate(&self, seen: Option<Seen>) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_seen(&state, seen) {
            return false;
        }
        // Strangers can provoke the other form.
        if seen.is_none() {
            Self::clear_pace(&mut state);
        }
        let old = Self::empty(&mut state);
        let watch = Self::changed(&mut state);
        drop(state);
        drop(old);
        drop(watch);
        true
    }

    /// Marks the current value stale, with `seen` only if that is still it, and what a running
    /// creation will publish. Says whether it did. A value seen that was marked before is not marked
    /// again.
    pub(crate) fn expire(&self, policy: &Policy, seen: Option<Seen>, now: Tick) -> bool {
        let mut state = self.cell.lock();
        if !Self::is_seen(&state, seen) {
            return false;
        }
        let marked = |node: &NodeRef<T>| node.times().expired.is_some();
        if seen.is_some() && state.current().is_some_and(|node| marked(&node)) {
            return false;
        }
        state.expiry_mark = state.next();
        let current = state.current().map(|node| node.expire(now));
        // A caller that looks for a value elsewhere has to know of the mark. In a pile that was
        // emptied nobody looks until there is something new.
        let none = (current.is_none() && state.generation == 0)
            .then(|| Self::install(&mut state, policy, NodeRef::nothing(now)));
        // Strangers can provoke the other form.
        if seen.is_none() {
            Self::clear_pace(&mut state);
            if !state.is_leased() {
                Self::nobody_renews(&state, policy);
            }
        }
        let watch = Self::changed(&mut state);
        drop(state);
        drop(none);
        drop(watch);
        true
    }

    /// Whether the value seen is the current one, or none was named.
    fn is_seen(state: &Locked<'_, T>, seen: Option<Seen>) -> bool {
        seen.is_none_or(|seen| Self::is(state, Was::Seen(seen)))
    }

    fn is(state: &Locked<'_, T>, was: Was) -> bool {
        match (was, state.current()) {
            (Was::Seen(seen), Some(current)) => {
                seen.assert_of(current.pile());
                seen.number == current.number()
            }
            (Was::Nothing, Some(current)) => current.value().is_none(),
            (Was::Seen(_), None) => false,
            (Was::Nothing, None) => true,
        }
    }

    /// Whether the value with this number is the current one.
    pub(crate) fn is_current(&self, number: u64) -> bool {
        let state = self.cell.lock();
        state
            .current()
            .is_some_and(|current| current.number() == number)
    }

    /// Whether the pile was emptied, and nothing was published or set since.
    pub(crate) fn is_emptied(&self) -> bool {
        let state = self.cell.lock();
        state.generation > 0 && state.current().is_none()
    }

    /// Whether the lease with this fence was superseded.
    pub(crate) fn is_superseded(&self, fence: u64) -> bool {
        let state = self.cell.lock();
        let is_late = Self::pace(&state).is_some_and(|pace| pace.knows_as_late(fence));
        is_late || state.supersedes(fence)
    }

    /// From when on the lease that is held may be taken over.
    pub(crate) fn overdue_from(&self, policy: &Policy) -> Option<Tick> {
        let state = self.cell.lock();
        let pace = Self::pace(&state).filter(|_| state.is_leased())?;
        pace.overdue_from(policy)
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.cell.lock().last()
    }

    /// Changes what is known of the lease with this fence. Says whether that lease is still held.
    pub(crate) fn change_lease(&self, fence: u64, change: impl FnOnce(&mut Pace)) -> bool {
        let mut state = self.cell.lock();
        let is_held = state.is_leased_to(fence);
        if is_held {
            Self::change_pace(&mut state, change);
        }
        is_held
    }

    /// The last failure, and when it came.
    pub(crate) fn last_failure(&self) -> Option<(Failure, Tick)> {
        Self::pace(&self.cell.lock())?.last_failure().cloned()
    }

    /// How long no creation may begin yet, for a caller without a usable value.
    pub(crate) fn retry_in(&self, policy: &Policy, now: Tick) -> Option<Duration> {
        Self::pace(&self.cell.lock())?.retry_in(policy, now, false)
    }

    /// Joins those who wait for the lease that is held, if one is.
    pub(crate) fn join(&self, policy: &Policy) -> Option<Arc<Waiters<T>>> {
        let mut state = self.cell.lock();
        if !state.is_leased() {
            return None;
        }
        Self::count_wait(&mut state, policy);
        Some(state.join(false))
    }

    fn count_grant(state: &mut Locked<'_, T>, look: &Look<'_>) {
        let Some(elected) = &look.elected else {
            return;
        };
        let is_served_stale = |node: &NodeRef<T>| {
            let served = node.stale_from() <= look.now && look.now < node.usable_until();
            node.is_of_a_value() && served
        };
        let is_stale = state.current().is_some_and(|node| is_served_stale(&node));
        let elected = elected.clone();
        Self::change_pace(state, |pace| {
            pace.counting().granted(look.now, elected, is_stale)
        });
    }

    fn count_wait(state: &mut Locked<'_, T>, policy: &Policy) {
        if policy.counts() {
            Self::change_pace(state, |pace| pace.counting().waits());
        }
    }

    /// Counts a wait that was too long.
    pub(crate) fn count_time_out(&self, policy: &Policy) {
        if policy.counts() {
            let mut state = self.cell.lock();
            Self::change_pace(&mut state, |pace| pace.counting().timed_out());
        }
    }

    /// Counts the end of a lease, and notes it for the observer. Those who wait are still there.
    fn count_end(
        state: &mut Locked<'_, T>,
        ended: &Ended<'_>,
        superseded: bool,
        end: observe::End,
    ) {
        let end = match superseded {
            true => end.superseded(),
            false => end,
        };
        let told = Self::count(state, ended.policy, ended.fence, ended.now, end);
        if let (Some(watch), Some(told)) = (ended.watch, told) {
            watch.note(told);
        }
    }

    fn count(
        state: &mut Locked<'_, T>,
        policy: &Policy,
        fence: u64,
        now: Tick,
        end: observe::End,
    ) -> Option<observe::Ended> {
        if !policy.counts() {
            return None;
        }
        let waiters = state.waiters();
        Self::change_pace(state, |pace| {
            pace.counting().ended(fence, now, waiters, end)
        })
    }

    /// Another value, or none, takes the place of the current one.
    fn count_change(state: &mut Locked<'_, T>) {
        if Self::pace(state).is_some_and(|pace| pace.tally().is_some()) {
            Self::change_pace(state, |pace| pace.counting().is_not_served_stale());
        }
    }

    /// What goes on, and what was counted.
    pub(crate) fn stats(&self, policy: &Policy, now: Tick) -> Stats {
        let state = self.cell.lock();
        let pace = Self::pace(&state);
        let last_failure = pace.and_then(Pace::last_failure);
        let mut stats = Stats {
            creating: state.lease().map(Holding::of),
            waiters: state.waiters(),
            last_failure: last_failure
                .map(|(failure, at)| (failure.clone(), now.saturating_since(*at))),
            retry_in: pace.and_then(|pace| pace.retry_in(policy, now, false)),
            stale_for: None,
            counters: policy.counts().then(observe::Counters::default),
            hits: None,
        };
        if let Some(tally) = pace.and_then(Pace::tally) {
            tally.tell(now, &mut stats);
        }
        stats
    }

    /// Whether somebody holds the lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.cell.lock().is_leased()
    }

    /// How many wait, for the lease that is held or for the next value.
    pub(crate) fn waiters(&self) -> usize {
        self.cell.lock().waiters()
    }

    /// The current value, if nobody else has a share in it.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.cell.get_mut()
    }

    /// The current value, if nobody else has a share in it.
    pub(crate) fn into_value(self) -> Option<T> {
        self.cell.into_inner()?.into_value()
    }
}

/// A lease that was taken from its holder.
struct Taken<T> {
    fence: u64,
    /// Whether another may create.
    is_granted: bool,
    /// Who is to be told that nobody creates.
    waiters: Option<Arc<Waiters<T>>>,
    /// What the observer is told.
    told: Option<observe::Ended>,
    forgotten: Option<Failure>,
}

const TOOK_TOO_LONG: &str = "the creation took longer than max_create_time";

/// What a caller saw in a pile before it changes the value.
#[derive(Clone, Copy)]
pub(crate) enum Was {
    Seen(Seen),
    Nothing,
}

/// Hands the ending to those who wait, if anybody does. Not under the lock.
fn tell<T>(waiters: Option<Arc<Waiters<T>>>, superseded: bool, ending: Ending<T>) {
    let Some(group) = waiters else {
        return;
    };
    // Those who came late called after the `set` or the `invalidate`, and the creation began before.
    let is_an_answer = |group: &Waiters<T>| !(superseded && group.came_late());
    for other in std::iter::successors(group.other(), |group| group.other()) {
        other.complete(match is_an_answer(other) {
            true => ending.clone(),
            false => Ending::ElectAnew,
        });
    }
    group.complete(match is_an_answer(&group) {
        true => ending,
        false => Ending::ElectAnew,
    });
}
