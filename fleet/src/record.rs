//! The rules of a record, without any I/O: for stores that read a record, decide, and write it back in
//! one step.
//!
//! The stores of this crate decide by them, and so may yours: read a [`State`] and the [`Head`] of a
//! value, take note of the time with [`State::at`] and [`Head::at`], of the namespace with [`Space`],
//! decide, and write both back if nobody has changed them meanwhile.
//!
//! ```
//! use std::time::Duration;
//! use dogpile_fleet::record::{Decision, State};
//! use dogpile_fleet::{Ask, Owner};
//!
//! let (mut state, now, next) = (State::default(), 1_000, 7);
//! let ask = |owner| Ask::lead(owner, Duration::from_secs(10));
//! assert_eq!(state.decide(None, &ask(Owner(1)), next, now), Decision::Leased { new: true });
//! assert_eq!(state.decide(None, &ask(Owner(2)), next + 1, now), Decision::Busy);
//! ```

use std::time::Duration;

use crate::store::{Ask, Depth, Found, Grant, Guarded, Placed, Stored, Version};
pub use crate::sum::checksum;

/// What a record knows besides its value. Times are nanoseconds of the store's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The last number that was given out.
    pub generation: u64,
    /// The owner of the lease whose number is `generation`; zero: there is no lease.
    pub owner: u128,
    /// When the lease ends by itself.
    pub until: u64,
    /// When the last creation began; zero: it does not count.
    pub began: u64,
    /// Until when nobody may lead.
    pub quiet_until: u64,
    /// Creations in a row that failed.
    pub failures: u32,
    /// Until when this is worth remembering, if there is no value.
    pub worth_until: u64,
    /// The generation of the namespace in which all this was so.
    pub space: u64,
}

/// What is told of a value besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number.
    pub version: u64,
    /// When it was complete. Before the clock's zero for a value that said it is so old.
    pub made: i128,
    /// When it was stored.
    pub placed: u64,
    /// When its time to live ends.
    pub fresh_until: u64,
    /// When it is gone.
    pub kept_until: u64,
    /// Whether it was made stale.
    pub expired: bool,
    /// The generation of the namespace in which it was asked for.
    pub space: u64,
}

/// What is told of a namespace: its generation, which is the number of the last invalidation of all of
/// it. What bears another one is from before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Space {
    /// The number of the last invalidation of all of it.
    pub generation: u64,
    /// The generation that began with the last removal.
    pub removed: u64,
}

impl Space {
    /// All that there is is stale from now on, or gone.
    pub fn invalidate(&mut self, depth: Depth, now: u64) {
        // With the clock in it, also above that of a namespace that was forgotten.
        self.generation = (now / 1000).max(self.generation.saturating_add(1));
        if depth == Depth::Hard {
            self.removed = self.generation;
        }
    }

    /// What is left of a value.
    pub fn head(self, head: Head) -> Option<Head> {
        if head.space == self.generation {
            return Some(head);
        }
        // One of a later generation was made before the namespace was forgotten. What happened to it
        // since nobody knows.
        let stale = (self.removed..self.generation).contains(&head.space);
        stale.then_some(Head {
            expired: true,
            ..head
        })
    }

    /// What is left of a state: each lease, each span of quiet and the interval are over.
    pub fn state(self, state: State) -> State {
        if state.space == self.generation {
            return state;
        }
        State {
            generation: state.generation,
            space: self.generation,
            ..State::default()
        }
    }
}

/// A clock that goes back by more than this was put back.
const STEP: u64 = 1_000_000_000;

/// A span of the store's clock.
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Head {
    /// Of a value that `state` has a number for.
    pub fn new(state: &State, put: (Duration, Duration, Duration), now: u64) -> Self {
        let (age, fresh_for, keep_for) = put;
        Self {
            version: state.generation,
            space: state.space,
            made: i128::from(now) - i128::from(nanos(age)),
            placed: now,
            fresh_until: now.saturating_add(nanos(fresh_for)),
            kept_until: now.saturating_add(nanos(keep_for)),
            expired: false,
        }
    }

    /// Whether its end has not come.
    pub fn is_kept(&self, now: u64) -> bool {
        now < self.kept_until
    }

    /// As it is to be told at `now`. One from the future is one from before the clock was put back:
    /// nobody can tell how old it is, so it is renewed.
    pub fn at(mut self, now: u64) -> Self {
        if self.placed > now.saturating_add(STEP) {
            let ahead = self.placed - now;
            self.placed = now;
            self.expired = true;
            self.made -= i128::from(ahead);
            self.fresh_until = self.fresh_until.saturating_sub(ahead);
            self.kept_until = self.kept_until.saturating_sub(ahead);
        }
        self
    }

    /// As it is told, with its bytes unless the caller has them.
    pub fn stored(&self, bytes: Option<Vec<u8>>, now: u64) -> Stored {
        let age = (i128::from(now) - self.made).max(0);
        Stored {
            bytes,
            version: Version(self.version),
            age: Duration::from_nanos(u64::try_from(age).unwrap_or(u64::MAX)),
            fresh_for: Duration::from_nanos(self.fresh_until.saturating_sub(now)),
            over_for: Duration::from_nanos(now.saturating_sub(self.fresh_until)),
            expired: self.expired,
        }
    }

    /// Whether it is fresh to this caller, whoever leads.
    pub fn is_fresh_to(&self, ask: &Ask, now: u64) -> bool {
        let ahead = ask.ahead && self.version == ask.known.0 && ask.owner.is_some();
        !ahead && self.is_fresh(ask, now)
    }

    fn is_fresh(&self, ask: &Ask, now: u64) -> bool {
        !self.expired && now < self.fresh_until && self.version > ask.floor.0
    }
}

/// What an [`Ask`] comes to. The value is told beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// There is a value that is fresh to the caller.
    Fresh,
    /// Under the number that `State` has by now.
    Leased {
        /// Whether the lease is a new one.
        new: bool,
    },
    /// Another leads.
    Busy,
    /// Nobody may lead for so many nanoseconds.
    Quiet(u64),
    /// Nobody leads, and the caller only looks.
    Idle,
}

impl State {
    /// Whether somebody leads.
    pub fn is_leased(&self, now: u64) -> bool {
        self.owner != 0 && now < self.until
    }

    /// Whether nothing is lost with it, but for the order of its numbers.
    pub fn is_idle(&self, now: u64) -> bool {
        !self.is_leased(now) && self.worth_until <= now
    }

    /// As it is to be taken at `now`. If the last creation began in the future, then the clock was
    /// put back since: each end moves back with it, so that nothing lasts longer than it was to.
    pub fn at(mut self, now: u64) -> Self {
        if self.began > now.saturating_add(STEP) {
            let ahead = self.began - now;
            self.began = now.max(1);
            self.until = self.until.saturating_sub(ahead);
            self.quiet_until = self.quiet_until.saturating_sub(ahead);
            self.worth_until = self.worth_until.saturating_sub(ahead);
        }
        self
    }

    /// Whether this is the lease that is held. One whose time is over and that nobody has taken over
    /// counts: no harm is done by what it stores.
    pub fn holds(&self, grant: Grant) -> bool {
        self.owner != 0 && self.owner == grant.owner.0 && self.generation == grant.fence.0
    }

    /// When the next creation may begin, if not now.
    fn quiet(&self, interval: Duration, now: u64) -> Option<u64> {
        let interval_ends = match self.began {
            0 => 0,
            began => began.saturating_add(nanos(interval)),
        };
        let end = self.quiet_until.max(interval_ends);
        (now < end).then(|| end - now)
    }

    /// What a caller gets who only looks, or who need not lead. `None`: it would lead.
    pub fn look(&self, head: Option<&Head>, ask: &Ask, now: u64) -> Option<Decision> {
        let leased = self.is_leased(now);
        let own = leased && ask.owner.is_some_and(|owner| owner.0 == self.owner);
        let fresh = head.is_some_and(|head| {
            let settled = leased || self.quiet(ask.interval, now).is_some();
            head.is_fresh_to(ask, now) || settled && head.is_fresh(ask, now)
        });
        if own {
            Some(Decision::Leased { new: false })
        } else if fresh {
            Some(Decision::Fresh)
        } else if leased {
            Some(Decision::Busy)
        } else if let Some(retry_in) = self.quiet(ask.interval, now) {
            Some(Decision::Quiet(retry_in))
        } else if ask.owner.is_none() {
            Some(Decision::Idle)
        } else {
            None
        }
    }

    /// Grants the lease, or grants it again.
    pub fn decide(&mut self, head: Option<&Head>, ask: &Ask, next: u64, now: u64) -> Decision {
        let decision = self.look(head, ask, now);
        let owner = ask.owner.map_or(0, |owner| owner.0);
        match decision {
            Some(Decision::Leased { .. }) => self.until = now.saturating_add(nanos(ask.lease)),
            None => {
                self.generation = next;
                self.owner = owner;
                self.until = now.saturating_add(nanos(ask.lease));
                self.began = now.max(1);
                let interval_ends = now.saturating_add(nanos(ask.interval));
                self.worth_until = self.worth_until.max(interval_ends);
            }
            Some(_) => {}
        }
        decision.unwrap_or(Decision::Leased { new: true })
    }

    /// The answer to an [`Ask`], of a decision and the value beside it.
    pub fn found(&self, decision: Decision, value: Option<Stored>, now: u64) -> Found {
        let fence = Version(self.generation);
        match (decision, value) {
            (Decision::Fresh, Some(stored)) => Found::Fresh(stored),
            (Decision::Leased { .. }, stale) => Found::Leased {
                fence,
                stale,
                failures: self.failures,
            },
            (Decision::Busy, stale) => Found::Busy {
                fence,
                stale,
                retry_in: Duration::from_nanos(self.until.saturating_sub(now)),
            },
            (Decision::Quiet(retry_in), stale) => Found::Quiet {
                stale,
                retry_in: Duration::from_nanos(retry_in),
            },
            (Decision::Idle | Decision::Fresh, stale) => Found::Idle { stale },
        }
    }

    /// The number under which a value is stored, or what became of the request instead.
    ///
    /// # Errors
    ///
    /// [`Placed`]: nothing is to be stored.
    pub fn place(&mut self, head: Option<&Head>, guard: Guarded, next: u64) -> Result<u64, Placed> {
        let version = head.map_or(0, |head| head.version);
        let refused = Err(Placed::Refused(Version(version)));
        match guard {
            // It was sent twice.
            Guarded::Lease(grant) if version != 0 && version == grant.fence.0 => {
                return Err(Placed::Stored(grant.fence));
            }
            Guarded::Lease(grant) if !self.holds(grant) => return refused,
            Guarded::Absent if version != 0 => return refused,
            Guarded::Version(is) if version != is.0 => return refused,
            Guarded::Lease(_) => {}
            Guarded::Absent | Guarded::Version(_) | Guarded::Any => self.overtake(next),
        }
        self.owner = 0;
        self.failures = 0;
        self.quiet_until = 0;
        Ok(self.generation)
    }

    /// A write or an invalidation: whoever leads has lost, and whoever asks next need not wait.
    pub fn overtake(&mut self, next: u64) {
        *self = Self {
            generation: next,
            space: self.space,
            ..Self::default()
        };
    }

    /// Makes a lease end in `lease`. `false`: it is lost.
    pub fn renew(&mut self, grant: Grant, lease: Duration, now: u64) -> bool {
        let holds = self.holds(grant);
        if holds {
            self.until = now.saturating_add(nanos(lease));
        }
        holds
    }

    /// Ends a lease without a value, of which `kept` says whether one is held. `false`: it was lost.
    pub fn release(&mut self, grant: Grant, quiet: Duration, kept: bool, now: u64) -> bool {
        let holds = self.holds(grant);
        if holds {
            self.owner = 0;
            if !quiet.is_zero() {
                self.failures = self.failures.saturating_add(1);
                self.quiet_until = now.saturating_add(nanos(quiet));
                // For as long again the count of failures tells how long the next span is.
                let twice = nanos(quiet).saturating_mul(2);
                self.worth_until = self.worth_until.max(now.saturating_add(twice));
            } else if !kept {
                // Given up, perhaps by a caller who left: the next one need not wait for that.
                self.began = 0;
            }
        }
        holds
    }

    /// Whether an invalidation has anything to do.
    pub fn is_meant(head: Option<&Head>, only: Version) -> bool {
        only.is_none() || head.is_some_and(|head| head.version == only.0)
    }
}

/// What is left of a value after an invalidation.
pub fn invalidated(head: Head, depth: Depth) -> Option<Head> {
    match depth {
        Depth::Soft => Some(Head {
            expired: true,
            ..head
        }),
        Depth::Hard => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_clock_that_was_put_back_is_put_back_once() {
        let state = State {
            generation: 7,
            ..State::default()
        };
        let put = (
            Duration::ZERO,
            Duration::from_secs(10),
            Duration::from_secs(60),
        );
        let head = Head::new(&state, put, 1_000 * SECOND);
        let back = head.at(100 * SECOND);
        assert!(back.expired, "nobody can tell how old it is");
        assert_eq!(back.fresh_until, 110 * SECOND);
        assert_eq!(back.kept_until, 160 * SECOND);
        assert_eq!(back.at(100 * SECOND), back);
        assert_eq!(back.at(130 * SECOND), back, "its end does not move along");

        let leased = State {
            began: 1_000 * SECOND,
            until: 1_030 * SECOND,
            ..state
        };
        let back = leased.at(100 * SECOND);
        assert_eq!(back.until, 130 * SECOND);
        assert_eq!(back.at(100 * SECOND), back);
    }

    #[test]
    fn the_last_generation_of_a_namespace_is_no_overflow() {
        let mut space = Space {
            generation: u64::MAX,
            removed: 0,
        };
        space.invalidate(Depth::Hard, 0);
        assert_eq!(space.removed, u64::MAX);
    }
}
