//! Who is granted the lease, who takes it over, and who waits.

use std::time::Duration;

use crate::error::Failure;
use crate::observe::{self, Elected, Watcher};
use crate::policy::{Availability, Decision, Draw, End, Marks, Pace, Policy, Purpose};
use crate::policy::{Span, Use, decide};
use crate::raw::end::tell;
use crate::raw::rate::Rate;
use crate::raw::value::NodeRef;
use crate::raw::wait::{Ending, Waiters};
use crate::raw::{Locked, Pile};
use crate::shim::Arc;
use crate::time::Tick;

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
    pub(super) fn presses(&self, usable: Use) -> bool {
        self.presses && !usable.is_usable()
    }
}

impl<T> Pile<T> {
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
        let current = state.current();
        // What was looked up elsewhere is good for nothing once the pile was emptied.
        let usable = match (judge(state.marks(), current.as_deref()), current) {
            (usable, Some(_)) => usable,
            (_, None) => Use::No,
        };
        if let Some(fence) = look.own {
            return match state.current() {
                Some(node) if usable.is_usable() => Found::Value(node.clone(), usable),
                _ if state.is_leased_to(fence) => Found::Busy(state.join_own()),
                // It was taken over since.
                _ if state.is_leased() => Found::Busy(state.join(false)),
                _ => Found::NotYet(None, Duration::ZERO, Some(took_too_long())),
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
            let failure = took_too_long();
            tell(taken.waiters, false, Ending::Failed(failure, true));
            look.watcher.tell(taken.told);
            drop(taken.forgotten);
        }
        found
    }

    pub(super) fn find(
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
    pub(super) fn take_over(state: &mut Locked<'_, T>, look: &Look<'_>) -> Option<Taken<T>> {
        let (policy, now) = (look.policy, look.now);
        policy.max_create_time?;
        let overdue = Self::pace(state)?.overdue_from(policy)?;
        let fence = state.lease().filter(|_| now >= overdue)?;
        let end = End::Failed(took_too_long());
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
                false => Ending::Failed(took_too_long(), true),
            },
        );
        look.watcher.tell(taken.told);
        drop(taken.forgotten);
        Some(taken.fence)
    }

    pub(super) fn availability(
        state: &Locked<'_, T>,
        look: &Look<'_>,
        usable: Use,
    ) -> Availability {
        if state.is_leased() {
            return Availability::Held;
        }
        let pace = Self::pace(state).filter(|_| !look.presses(usable));
        pace.and_then(|pace| pace.retry_in(look.policy, look.now, usable.is_usable()))
            .map_or(Availability::Free, Availability::NotYet)
    }

    pub(super) fn paused_by(state: &Locked<'_, T>, now: Tick) -> Option<Failure> {
        Self::pace(state)?.paused_by(now)
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
        let current = state.current();
        let usable = judge(state.marks(), current.as_deref());
        match current {
            Some(node) if usable.is_usable() => Found::Value(node.clone(), usable),
            _ => {
                Self::count_wait(&mut state, policy);
                Found::Busy(state.join_next())
            }
        }
    }

    /// From when on the lease that is held may be taken over.
    pub(crate) fn overdue_from(&self, policy: &Policy) -> Option<Tick> {
        let state = self.cell.lock();
        let pace = Self::pace(&state).filter(|_| state.is_leased())?;
        pace.overdue_from(policy)
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

    /// Joins those who wait for the lease that is held, if one is.
    pub(crate) fn join(&self, policy: &Policy) -> Option<Arc<Waiters<T>>> {
        let mut state = self.cell.lock();
        if !state.is_leased() {
            return None;
        }
        Self::count_wait(&mut state, policy);
        Some(state.join(false))
    }
}

/// A lease that was taken from its holder.
pub(super) struct Taken<T> {
    fence: u64,
    /// Whether another may create.
    is_granted: bool,
    /// Who is to be told that nobody creates.
    waiters: Option<Arc<Waiters<T>>>,
    /// What the observer is told.
    told: Option<observe::Ended>,
    forgotten: Option<Failure>,
}

pub(super) fn took_too_long() -> Failure {
    Failure::new(Arc::new("the creation took longer than max_create_time"))
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
impl<'a> Look<'a> {
    /// That of a call that asks for nothing, in a pile that nobody observes.
    pub(super) fn plain(policy: &'a Policy, now: Tick) -> Self {
        Look {
            policy,
            now,
            seed: 0,
            has_waited: false,
            presses: false,
            own: None,
            elected: None,
            watcher: &crate::observe::Watcher::Nobody,
            rate: None,
        }
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use crate::raw::wait::Writers;
    use crate::time::Times;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(second: u64) -> Tick {
        Tick::from_nanos(second * 1_000_000_000)
    }

    fn set(pile: &Pile<u32>, policy: &Policy) {
        let node = NodeRef::new(7, Times::new(at(0), Duration::ZERO, SECOND), 0);
        assert!(pile.set(policy, &node, node.clone(), None, Writers(Some(0))));
    }

    fn take(pile: &Pile<u32>, look: &Look<'_>) -> u64 {
        match pile.attempt(look, |_, _| Use::No) {
            Found::Lease(fence, _) => fence,
            _ => panic!("no lease"),
        }
    }

    fn overdue() -> Policy {
        let mut policy = Policy::new(SECOND);
        policy.max_create_time = Some(SECOND);
        policy
    }

    /// Whoever finds what will do has no need to take the lease from a creator that is overdue.
    #[test]
    fn a_fresh_value_takes_no_lease_from_anybody() {
        let (pile, policy) = (Pile::new(), overdue());
        let fence = take(&pile, &Look::plain(&policy, at(0)));
        set(&pile, &policy);
        let found = pile.attempt(&Look::plain(&policy, at(2)), |_, _| Use::Now);
        assert!(matches!(found, Found::Value(_, Use::Now)));
        assert!(pile.change_lease(fence, |_| ()), "taken over");
    }

    /// No back-off comes with it.
    #[test]
    fn a_fresh_value_is_one_while_no_creation_may_begin() {
        let (pile, mut policy) = (Pile::new(), Policy::new(SECOND));
        policy.min_interval = Some(SECOND);
        set(&pile, &policy);
        let mut state = pile.cell.lock();
        Pile::change_pace(&mut state, |pace| pace.hold(at(0), SECOND));
        drop(state);
        let found = |usable| pile.attempt(&Look::plain(&policy, at(0)), |_, _| usable);
        assert!(matches!(
            found(Use::Due),
            Found::NotYet(Some(_), SECOND, None)
        ));
        assert!(matches!(found(Use::Now), Found::Value(_, Use::Now)));
    }

    /// Whose lease was taken over waits for the one who has it now, if somebody has.
    #[test]
    fn whose_lease_was_taken_over_waits_for_the_next() {
        let (pile, policy) = (Pile::new(), overdue());
        let own = take(&pile, &Look::plain(&policy, at(0)));
        let mine = || {
            let look = Look {
                own: Some(own),
                ..Look::plain(&policy, at(2))
            };
            pile.attempt(&look, |_, _| Use::No)
        };
        assert!(matches!(mine(), Found::Busy(group) if group.fence() == own));
        let next = take(&pile, &Look::plain(&policy, at(2)));
        assert!(matches!(mine(), Found::Busy(group) if group.fence() == next));
        let waiters = pile.cell.lock().end(next);
        tell(waiters, false, Ending::ElectAnew);
        assert!(matches!(
            mine(),
            Found::NotYet(None, Duration::ZERO, Some(_))
        ));
    }
}
