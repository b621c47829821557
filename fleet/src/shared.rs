//! What all calls of a pile of the fleet share, and what their answers become in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dogpile::{Clock, Created, Creating, Dogpile, Previous, SystemClock, Tick};

use crate::codec::{Codec, seal, unseal};
use crate::entry::{self, Entry};
use crate::error::Fail;
use crate::family::Member;
use crate::policy::{BREAKER, Policy, doubled};
use crate::regeneration::{End, Fate, Lease, Mine};
use crate::store::{
    Abilities, Answer, Depth, Found, Guarded, Hint, Key, Put, StoreError, Stored, Version, Watch,
};
use crate::sync;
use crate::writes::Writes;

/// What a pile of the fleet did, counted since it was built. A hit is not counted.
///
/// No errors is not health: look at [`stored`](FleetStats::stored) and [`stale`](FleetStats::stale)
/// too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FleetStats {
    /// Verbs that the store was asked to do, naps aside.
    pub verbs: u64,
    /// Verbs that failed.
    pub store_errors: u64,
    /// Naps while others created.
    pub naps: u64,
    /// Creators that ran here.
    pub creations: u64,
    /// Creators that failed or panicked.
    pub failures: u64,
    /// Values that the store took.
    pub stored: u64,
    /// Values that came too late.
    pub superseded: u64,
    /// Values that the store did not take, or that were made without it.
    pub unstored: u64,
    /// How often the store said that the copy here is still the value.
    pub unchanged: u64,
    /// How often this process went on with a stale value.
    pub stale: u64,
    /// Values whose bytes could not be read.
    pub unreadable: u64,
    /// Hints that this process acted upon.
    pub hints: u64,
}

macro_rules! counts {
    ($($name:ident),*) => {
        #[derive(Default)]
        pub(crate) struct Counts {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counts {
            pub(crate) fn stats(&self) -> FleetStats {
                FleetStats {
                    $($name: self.$name.load(Ordering::SeqCst),)*
                }
            }
        }
    };
}
counts!(
    verbs,
    store_errors,
    naps,
    creations,
    failures,
    stored,
    superseded,
    unstored,
    unchanged,
    stale,
    unreadable,
    hints
);

/// What does not depend on the types of the store and the codec.
pub(crate) struct Common {
    clock: Option<Arc<dyn Clock>>,
    /// How often the values of this process were made stale.
    marks: sync::AtomicU64,
    /// Until when the store is left alone, and how often it has failed in a row.
    down_until: AtomicU64,
    streak: AtomicU32,
    /// How often in a row the store said that others renew.
    busy: AtomicU32,
    /// The version that this process is about to store, whose hint is no news.
    own: sync::AtomicU64,
    pub(crate) writes: Writes,
    pub(crate) counts: Counts,
}

impl Common {
    pub(crate) fn new(clock: Option<Arc<dyn Clock>>) -> Self {
        Self {
            clock,
            marks: sync::AtomicU64::new(0),
            down_until: AtomicU64::new(0),
            streak: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            own: sync::AtomicU64::new(0),
            writes: Writes::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn now(&self) -> Tick {
        match &self.clock {
            Some(clock) => clock.now(),
            None => SystemClock.now(),
        }
    }

    pub(crate) fn mark(&self) -> u64 {
        self.marks.load(Ordering::SeqCst)
    }

    /// What was asked for before this is stale.
    pub(crate) fn make_stale(&self) {
        self.marks.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, of: impl FnOnce(&Counts) -> &AtomicU64) {
        of(&self.counts).fetch_add(1, Ordering::SeqCst);
    }

    /// Takes note of how a verb went.
    pub(crate) fn note<T>(&self, answer: Answer<T>) -> Answer<T> {
        self.count(|counts| &counts.verbs);
        match &answer {
            Ok(_) => self.streak.store(0, Ordering::SeqCst),
            Err(_) => {
                self.count(|counts| &counts.store_errors);
                let streak = self.streak.fetch_add(1, Ordering::SeqCst);
                let until = self.now().saturating_add(doubled(BREAKER, streak));
                self.down_until.store(until.as_nanos(), Ordering::SeqCst);
            }
        }
        answer
    }

    /// Why the store is not asked now, if it is not.
    pub(crate) fn down(&self, now: Tick) -> Option<StoreError> {
        let streak = self.streak.load(Ordering::SeqCst);
        let down = streak > 0 && now.as_nanos() < self.down_until.load(Ordering::SeqCst);
        down.then(|| StoreError::unavailable("it failed just now, and is left alone for a moment"))
    }
}

pub(crate) struct Shared<S, C> {
    pub(crate) store: Arc<S>,
    pub(crate) abilities: Abilities,
    pub(crate) key: Key,
    pub(crate) codec: C,
    pub(crate) policy: Policy,
    pub(crate) common: Common,
}

/// What this process had done to its values when something was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Since {
    /// How often a write had begun or ended.
    pub(crate) writes: u64,
    /// How often they had been made stale.
    pub(crate) mark: u64,
}

/// A value that was made here, and how long that took.
pub(crate) struct Made<T> {
    pub(crate) value: Arc<T>,
    pub(crate) cost: Duration,
    /// `None`: it has none, and is not stored.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl<S, C> Shared<S, C> {
    pub(crate) fn mine<T>(&self, previous: Option<&Previous<Entry<T>>>) -> Mine {
        entry::mine(previous, &self.common, &self.policy)
    }

    pub(crate) fn put<'b>(&self, guard: Guarded, bytes: &'b [u8]) -> Put<'b> {
        Put {
            guard,
            bytes,
            age: Duration::ZERO,
            fresh_for: self.policy.ttl,
            keep_for: self.policy.keep_for(self.policy.ttl),
        }
    }

    /// A value of the store, for this process. `Err`: it cannot be read.
    pub(crate) fn read<T>(
        &self,
        mut stored: Stored,
        previous: Option<&Entry<T>>,
        mark: u64,
    ) -> Result<(Entry<T>, Duration), Version>
    where
        C: Codec<T>,
    {
        let age = stored.age;
        let (value, cost) = match (stored.bytes.take(), previous) {
            (Some(bytes), _) => {
                let unsealed = unseal(&self.key, bytes);
                let decoded =
                    unsealed.and_then(|(bytes, cost)| Some((self.codec.decode(bytes).ok()?, cost)));
                let Some((value, cost)) = decoded else {
                    self.common.count(|counts| &counts.unreadable);
                    return Err(stored.version);
                };
                (Arc::new(value), cost)
            }
            (None, Some(entry)) if entry.version() == stored.version => {
                self.common.count(|counts| &counts.unchanged);
                (Arc::clone(entry.value()), entry.cost())
            }
            // The store takes this process to have what it has not.
            (None, _) => return Err(Version::NONE),
        };
        let entry = Entry::read(value, &stored, cost, &self.policy).marked(mark);
        Ok((entry, age))
    }

    /// What the pile of this process is given at an end without a creation.
    pub(crate) fn end<T>(
        &self,
        end: End,
        previous: Option<&Previous<Entry<T>>>,
        mark: u64,
    ) -> Result<Result<Created<Entry<T>>, Fail>, Version>
    where
        C: Codec<T>,
    {
        let policy = &self.policy;
        Ok(Ok(match end {
            End::Stored { stored, stale_for } => {
                let (entry, age) = self.read(stored, previous.map(|previous| &**previous), mark)?;
                let hold = match stale_for {
                    None => {
                        self.common.busy.store(0, Ordering::SeqCst);
                        entry.fresh_here(age, policy)
                    }
                    Some(retry_in) => {
                        self.common.count(|counts| &counts.stale);
                        let times = self.common.busy.fetch_add(1, Ordering::SeqCst);
                        policy
                            .hold(times)
                            .min(retry_in)
                            .min(entry.usable_for(age, policy))
                    }
                };
                entry.created(age, hold)
            }
            End::Mine => {
                let previous = previous.expect("there is one of this process");
                let age = Previous::age(previous);
                let mine = self.mine(Some(previous));
                if !mine.fresh {
                    self.common.count(|counts| &counts.stale);
                }
                // No longer than the store is left alone.
                let hold = policy
                    .local
                    .min(BREAKER.0)
                    .min(previous.usable_for(age, policy));
                previous.again().created(age, hold)
            }
            other => match other.fail() {
                Some(fail) => return Ok(Err(fail)),
                None => unreachable!("an end with a value is handled above"),
            },
        }))
    }

    pub(crate) fn make<T, E>(&self, result: Result<T, E>, began: Tick) -> Result<Made<T>, E>
    where
        C: Codec<T>,
    {
        let value = Arc::new(result?);
        let cost = self.common.now().saturating_since(began);
        let bytes = self.codec.encode(&value).ok();
        if bytes.is_none() {
            self.common.count(|counts| &counts.unreadable);
        }
        Ok(Made {
            bytes: bytes.map(|bytes| seal(&self.key, bytes, cost)),
            value,
            cost,
        })
    }

    /// What the pile is given of a value that was made here.
    pub(crate) fn made<T>(
        &self,
        made: Made<T>,
        fate: Fate,
        since: Since,
        pile: &Dogpile<Entry<T>>,
        lost_here: bool,
    ) -> Created<Entry<T>> {
        let policy = &self.policy;
        let entry = |version| {
            let value = Arc::clone(&made.value);
            Entry::made(value, version, made.cost, policy).marked(since.mark)
        };
        match fate {
            Fate::Current(version) => {
                self.common.count(|counts| &counts.stored);
                self.common.busy.store(0, Ordering::SeqCst);
                let hold = entry(version).fresh_here(Duration::ZERO, policy);
                if lost_here {
                    // Something was set or removed here on the way, so that the lease of the pile has
                    // lost what it would publish. What the store took is set instead, unless this
                    // process has written since.
                    self.common.writes.place_unless_written(since.writes, || {
                        pile.set_with(entry(version).created(Duration::ZERO, hold));
                    });
                }
                entry(version).created(Duration::ZERO, hold)
            }
            // For its own caller. Whoever waited asks for what superseded it; so does every call after.
            Fate::Superseded => {
                self.common.count(|counts| &counts.superseded);
                let entry = entry(Version::NONE).superseded();
                entry.created(Duration::ZERO, Duration::ZERO).superseded()
            }
            Fate::Unstored => {
                self.common.count(|counts| &counts.unstored);
                let entry = entry(Version::NONE);
                let hold = entry.fresh_here(Duration::ZERO, policy);
                entry.created(Duration::ZERO, hold)
            }
        }
    }

    /// What this process has done to its values so far.
    pub(crate) fn since(&self) -> Since {
        Since {
            writes: self.common.writes.so_far(),
            mark: self.common.mark(),
        }
    }

    /// Gives a stale value of the store to those who wait here while this caller creates the next: a
    /// process that has none of its own goes on with it. Says whether it did.
    pub(crate) fn lend<T>(
        &self,
        pile: &Dogpile<Entry<T>>,
        creating: &Creating<'_, Entry<T>>,
        stale: Option<&Stored>,
        floor: Version,
        since: Since,
    ) -> bool
    where
        C: Codec<T>,
    {
        let previous = creating.previous();
        let wanted = !self.mine(previous.as_ref()).usable;
        let Some(stored) = stale.filter(|stored| wanted && stored.version > floor) else {
            return false;
        };
        let entry = previous.as_deref();
        let Ok((entry, age)) = self.read(stored.clone(), entry, since.mark) else {
            return false;
        };
        if !entry.is_usable(age, &self.policy) || self.policy.local.is_zero() {
            return false;
        }
        let mut lent = false;
        self.common.writes.place_unless_written(since.writes, || {
            pile.set_with(entry.created(age, Duration::ZERO));
            lent = true;
        });
        if lent && self.common.mark() != since.mark {
            // It was made stale or removed elsewhere meanwhile.
            pile.invalidate();
        }
        lent
    }

    /// For how long nobody in the fleet creates after this failure.
    pub(crate) fn quiet(&self, lease: Option<Lease>) -> Duration {
        self.common.count(|counts| &counts.failures);
        lease.map_or(Duration::ZERO, |lease| self.policy.quiet(lease.failures))
    }

    /// The value that stands in for a failure, if there is one.
    pub(crate) fn stand_in<T>(
        &self,
        previous: Option<&Previous<Entry<T>>>,
        stored: Option<Stored>,
        asked: bool,
        mark: u64,
        quiet: Duration,
    ) -> Option<Created<Entry<T>>>
    where
        C: Codec<T>,
    {
        let entry = previous.map(|previous| &**previous);
        let read = stored.and_then(|stored| self.read(stored, entry, mark).ok());
        let (entry, age) = match (read, previous) {
            (Some(read), _) => read,
            // One that the store does not have any more is no value of the fleet.
            (None, Some(previous)) if previous.version().is_none() || !asked => {
                (previous.again(), Previous::age(previous))
            }
            (None, _) => return None,
        };
        if !entry.stands_in(age, &self.policy) {
            return None;
        }
        self.common.count(|counts| &counts.stale);
        let hold = self.policy.local.min(quiet);
        Some(entry.created(age, hold))
    }

    pub(crate) fn about_to_store(&self, version: Version) {
        self.common.own.store(version.0, Ordering::SeqCst);
    }
}

/// Empties the pile if it holds what the store does not have any more: a copy lives for its local ttl,
/// and not for as long as somebody creates the next. Says whether it did.
pub(crate) fn empty_if_gone<T>(
    pile: &Dogpile<Entry<T>>,
    creating: &Creating<'_, Entry<T>>,
    answer: &Answer<Found>,
) -> bool {
    let gone = matches!(answer, Ok(found) if found.stored().is_none());
    let held = |previous: Previous<Entry<T>>| !previous.version().is_none();
    let emptied = gone && creating.previous().is_some_and(held);
    if emptied {
        pile.invalidate();
    }
    emptied
}

/// What others did to the record, as far as it is told.
pub(crate) struct Watching<T, S, C> {
    pub(crate) pile: Arc<Dogpile<Entry<T>>>,
    pub(crate) shared: Arc<Shared<S, C>>,
}

impl<T, S, C> Watching<T, S, C> {
    /// The copy here is stale or gone. So is what a regeneration that runs will bring: it may have been
    /// read before.
    pub(crate) fn change(&self, depth: Depth) {
        self.shared.common.make_stale();
        match depth {
            Depth::Soft => self.pile.expire(),
            Depth::Hard => self.pile.invalidate(),
        }
    }
}

impl<T: Send + Sync, S: Send + Sync, C: Send + Sync> Member for Watching<T, S, C> {
    fn begins(&self) -> u64 {
        self.shared.common.writes.begins()
    }

    fn ends(&self, number: u64, depth: Depth) {
        let writes = &self.shared.common.writes;
        writes.ends(number, |_| self.change(depth));
    }
}

impl<T: Send + Sync + 'static, S: Send + Sync, C: Send + Sync> Watch for Watching<T, S, C> {
    fn hint(&self, hint: &Hint) {
        let common = &self.shared.common;
        match hint {
            Hint::Changed {
                key,
                version,
                depth,
            } if *key == self.shared.key => {
                // Its own, or one that it has already.
                let own = common.own.load(Ordering::SeqCst) == version.0;
                let held = (self.pile.peek()).is_some_and(|guard| guard.version() >= *version);
                if !version.is_none() && (own || held && self.shared.abilities.monotonic) {
                    return;
                }
                common.count(|counts| &counts.hints);
                self.change(*depth);
            }
            Hint::AllChanged { namespace, depth }
                if **namespace == *self.shared.key.namespace() =>
            {
                common.count(|counts| &counts.hints);
                self.change(*depth);
            }
            Hint::Changed { .. } | Hint::AllChanged { .. } => {}
            Hint::Missed => {
                common.count(|counts| &counts.hints);
                self.change(Depth::Soft);
            }
        }
    }
}
