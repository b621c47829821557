//! One regeneration under the lease of the pile in this process, without any I/O: what to ask the store
//! next, and what its answers mean. Threads and tasks drive the same machine.

use std::time::Duration;

use dogpile::Tick;

use crate::error::Fail;
use crate::policy::{OnStoreError, Policy, poll};
use crate::store::{
    Abilities, Answer, Ask, Found, Grant, Owner, Placed, StoreError, Stored, Version, draw,
};
use crate::unanswered::Unanswered;

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Ask(Ask),
    /// Sleep until the lease with this number seems to be over.
    Nap {
        fence: Version,
        poll: Duration,
        until: Duration,
    },
    /// Run the creator, under a lease of the store, or without the store.
    Create {
        lease: Option<Lease>,
        /// What the store has meanwhile.
        stale: Option<Stored>,
    },
    End(End),
}

impl Step {
    const WITHOUT_STORE: Self = Self::Create {
        lease: None,
        stale: None,
    };
}

/// A lease of the store, held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) grant: Grant,
    /// When it ends unless it is renewed, by the clock of this process.
    pub(crate) until: Tick,
    /// Creations in a row that failed before.
    pub(crate) failures: u32,
}

/// How it ends without a creation.
#[derive(Debug)]
pub(crate) enum End {
    /// With what the store has.
    Stored {
        stored: Stored,
        /// For how long it is stale while others renew it, if it is.
        stale_for: Option<Duration>,
    },
    /// With what this process has already.
    Mine,
    BackingOff(Duration),
    TimedOut,
    Store(StoreError),
}

impl End {
    pub(crate) fn fail(self) -> Option<Fail> {
        match self {
            End::Stored { .. } | End::Mine => None,
            End::BackingOff(retry_in) => Some(Fail::BackingOff(retry_in)),
            End::TimedOut => Some(Fail::TimedOut),
            End::Store(error) => Some(Fail::Store(error.into())),
        }
    }
}

/// What became of a value that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// The fleet has it, under this version.
    Current(Version),
    /// Something came after the lease it was made under, which has this number.
    Superseded(Version),
    /// The store did not take it.
    Unstored,
}

impl Fate {
    pub(crate) fn of(answer: &Answer<Placed>, fence: Version) -> Self {
        match answer {
            Ok(Placed::Stored(version)) => Fate::Current(*version),
            Ok(Placed::Refused(_) | Placed::Gone) => Fate::Superseded(fence),
            Err(_) => Fate::Unstored,
        }
    }
}

/// What this process has at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mine {
    pub(crate) version: Version,
    pub(crate) fresh: bool,
    pub(crate) usable: bool,
    /// Whether it is to be renewed ahead of its end.
    pub(crate) ahead: bool,
    pub(crate) age: Duration,
    /// Whether there is one at all.
    pub(crate) held: bool,
}

/// What the call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// A value of this version or an earlier one will not do.
    pub(crate) floor: Version,
    /// Whether a stale value will do while others renew it.
    pub(crate) takes_stale: bool,
    /// Older values count as stale.
    pub(crate) max_age: Option<Duration>,
    /// Whether to wait no longer than this.
    pub(crate) deadline: Option<Tick>,
    /// Whether to leave the store alone.
    pub(crate) local_only: bool,
    /// Whether the creation has to begin after the call.
    pub(crate) new: bool,
}

impl Terms {
    /// Whether an older value may stand in for a failure.
    pub(crate) fn takes_fallback(&self) -> bool {
        self.takes_stale && self.floor.is_none()
    }
}

pub(crate) struct Regeneration<'p> {
    policy: &'p Policy,
    terms: Terms,
    owner: Owner,
    unanswered: Unanswered,
    mine: Mine,
    lease: Duration,
    asked: Tick,
    naps: u32,
    /// Requests in a row after which nothing was waited for.
    asks: u32,
    random: u64,
}

/// So often in a row a store may answer something that has to be asked past. More is no answer.
const MOST_ASKS: u32 = 8;

impl<'p> Regeneration<'p> {
    pub(crate) fn new(
        policy: &'p Policy,
        abilities: Abilities,
        unanswered: Unanswered,
        mine: Mine,
        terms: Terms,
    ) -> Self {
        Self {
            policy,
            terms,
            owner: Owner::draw(),
            unanswered,
            mine,
            // Of a store that sees deaths a lease need not be renewed, only limited.
            lease: match abilities.sees_death {
                true => policy.max_create,
                false => policy.lease,
            },
            asked: Tick::ZERO,
            naps: 0,
            asks: 0,
            random: draw(),
        }
    }

    /// A value of this version or an earlier one is not wanted.
    pub(crate) fn floor(&self) -> Version {
        self.terms.floor
    }

    fn random(&mut self) -> f64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The first step.
    pub(crate) fn begin(&mut self, now: Tick, down: Option<StoreError>) -> Step {
        match down {
            _ if self.terms.local_only => Step::WITHOUT_STORE,
            Some(error) => self.without_store(error),
            None if self.terms.new => Step::Ask(Ask::peek()),
            None => self.ask(now),
        }
    }

    /// Asks for the value, or else the lease. `now` is before the request is sent: the lease cannot
    /// have begun earlier.
    pub(crate) fn ask(&mut self, now: Tick) -> Step {
        self.asks += 1;
        if self.asks > MOST_ASKS {
            return self.without_store(StoreError::protocol("it contradicts itself"));
        }
        self.asked = now;
        if let Some(owner) = self.unanswered.take() {
            self.owner = owner;
        }
        let mine = &self.mine;
        Step::Ask(Ask {
            owner: Some(self.owner),
            lease: self.lease,
            known: mine.version,
            floor: self.terms.floor,
            ahead: mine.ahead && mine.fresh,
            interval: self.policy.interval,
        })
    }

    /// Whether a value of the store will do as it is, while others renew it.
    fn is_usable(&self, stored: &Stored) -> bool {
        let within = self
            .policy
            .stale
            .is_none_or(|limit| stored.over_for <= limit);
        self.terms.takes_stale && stored.version > self.terms.floor && within
    }

    pub(crate) fn answered(&mut self, answer: Answer<Found>, now: Tick) -> Step {
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                self.unanswered.note(self.owner, &error);
                return self.without_store(error);
            }
        };
        if std::mem::take(&mut self.terms.new) {
            // A creation that runs already is not one that begins after the call.
            let stored = found
                .stored()
                .map_or(Version::NONE, |stored| stored.version);
            let fence = match found {
                Found::Busy { fence, .. } => fence,
                _ => Version::NONE,
            };
            self.terms.floor = self.terms.floor.max(stored).max(fence);
            return self.ask(now);
        }
        match found {
            Found::Fresh(stored) if stored.version <= self.terms.floor => self.ask(now),
            Found::Fresh(stored) if self.terms.max_age.is_some_and(|max| stored.age > max) => {
                self.terms.floor = self.terms.floor.max(stored.version);
                self.ask(now)
            }
            Found::Fresh(stored) => Step::End(End::Stored {
                stored,
                stale_for: None,
            }),
            Found::Leased {
                fence,
                failures,
                stale,
            } => Step::Create {
                lease: Some(Lease {
                    grant: Grant {
                        owner: self.owner,
                        fence,
                    },
                    until: self.asked.saturating_add(self.lease),
                    failures,
                }),
                stale,
            },
            Found::Busy {
                stale: Some(stored),
                retry_in,
                ..
            }
            | Found::Quiet {
                stale: Some(stored),
                retry_in,
            } if self.is_usable(&stored) => Step::End(End::Stored {
                stored,
                stale_for: Some(retry_in),
            }),
            Found::Quiet { retry_in, .. } => Step::End(End::BackingOff(retry_in)),
            Found::Busy {
                fence, retry_in, ..
            } => {
                let left = match self.terms.deadline {
                    Some(deadline) if deadline <= now => return Step::End(End::TimedOut),
                    Some(deadline) => deadline.saturating_since(now),
                    None => Duration::MAX,
                };
                let draw = self.random();
                let span = poll(self.naps, draw);
                self.naps += 1;
                self.asks = 0;
                // Whoever wakes asks again, a little after the lease has ended.
                let until = retry_in.saturating_add(Duration::from_millis(1)).min(left);
                Step::Nap {
                    fence,
                    poll: span.min(until),
                    until,
                }
            }
            Found::Idle { .. } => self.without_store(StoreError::protocol(
                "it said that nobody leads to one who asked to lead",
            )),
        }
    }

    /// Whether this process's own value is above the floor. One that was made without the store has no
    /// version, and will do where none is asked for.
    fn mine_will_do(&self) -> bool {
        let above = self.terms.floor.is_none() || self.mine.version > self.terms.floor;
        let young = self.terms.max_age.is_none_or(|max| self.mine.age <= max);
        self.mine.held && above && young && !self.terms.new
    }

    /// The store does not answer, or is not asked since it did not answer just now.
    pub(crate) fn without_store(&mut self, error: StoreError) -> Step {
        let stale = self.mine.usable && self.terms.takes_stale;
        match self.policy.on_store_error {
            // By its own account it is still fresh.
            _ if self.mine.fresh && self.mine_will_do() => Step::End(End::Mine),
            OnStoreError::Fail => Step::End(End::Store(error)),
            OnStoreError::ServeStale if stale && self.mine_will_do() => Step::End(End::Mine),
            OnStoreError::ServeStale | OnStoreError::CreateLocally => Step::WITHOUT_STORE,
        }
    }

    /// The value of this version cannot be read: it counts as none from now on.
    pub(crate) fn refuse(&mut self, version: Version, now: Tick) -> Step {
        self.terms.floor = self.terms.floor.max(version);
        self.mine = Mine::default();
        self.ask(now)
    }
}
