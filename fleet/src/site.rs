//! One record, as this process holds it: [`Site`]. What becomes of the store's answers here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dogpile::{Created, Creating, Dogpile, KeyedDogpile, Previous, Tick};

use crate::codec::{Codec, seal, unseal};
use crate::entry::{self, Entry};
use crate::error::Fail;
use crate::family::{Member, Members};
use crate::fleet::Given;
use crate::health::Sent;
use crate::known::{Known, Since};
use crate::observe::FleetEvent;
use crate::policy::BREAKER;
use crate::regeneration::{End, Fate, Lease, Mine};
use crate::shared::Shared;
use crate::store::{Answer, Depth, Found, Guarded, Hint, Key, Put, Stored, Version, Watch};

/// Where this process keeps its copy of a record.
pub(crate) trait Place<T>: Send + Sync {
    /// Makes it the current one.
    fn set(&self, given: Given<T>);

    /// It is stale.
    fn expire(&self);

    /// It is gone.
    fn invalidate(&self);

    /// Its version, if there is one.
    fn version(&self) -> Option<Version>;
}

/// A pile of its own.
impl<T: Send + Sync> Place<T> for Dogpile<Entry<T>> {
    fn set(&self, given: Given<T>) {
        self.set_with(given);
    }

    fn expire(&self) {
        Dogpile::expire(self);
    }

    fn invalidate(&self) {
        Dogpile::invalidate(self);
    }

    fn version(&self) -> Option<Version> {
        self.peek().map(|guard| guard.version())
    }
}

/// The pile of a key, in the map of many.
pub(crate) struct InMap<K, T> {
    pub(crate) map: Arc<KeyedDogpile<K, Entry<T>>>,
    pub(crate) key: Arc<K>,
}

impl<K: std::hash::Hash + Eq + Clone + Send + Sync, T: Send + Sync> Place<T> for InMap<K, T> {
    fn set(&self, given: Given<T>) {
        self.map.set_with(K::clone(&self.key), given);
    }

    fn expire(&self) {
        self.map.expire(&*self.key);
    }

    fn invalidate(&self) {
        self.map.invalidate(&*self.key);
    }

    fn version(&self) -> Option<Version> {
        self.map.peek(&*self.key).map(|guard| guard.version())
    }
}

/// One record, as this process holds it.
pub struct Site<T, S, C> {
    pub(crate) shared: Arc<Shared<S, C>>,
    pub(crate) known: Arc<Known>,
    pub(crate) place: Arc<dyn Place<T>>,
}

/// A value that was made here, and how long that took.
pub(crate) struct Made<T> {
    pub(crate) value: Arc<T>,
    pub(crate) cost: Duration,
    /// `None`: it has none, and is not stored.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl<T, S, C> Site<T, S, C> {
    pub(crate) fn key(&self) -> &Key {
        &self.known.key
    }

    /// A verb for this record is about to be sent that is not left undone.
    pub(crate) fn sent(&self) -> Sent {
        self.shared.common.sent()
    }

    /// Takes note of how it went.
    pub(crate) fn note<R>(&self, sent: Sent, answer: Answer<R>) -> Answer<R> {
        self.shared.common.note(sent, Some(self.key()), answer)
    }

    /// The store is about to be asked.
    pub(crate) fn tell_ask(&self) {
        let key = self.key();
        self.shared.common.tell(&FleetEvent::Ask { key });
    }

    /// What it said to one who would lead.
    pub(crate) fn tell_found(&self, found: &Found) {
        let key = self.key();
        let stale = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.version);
        let event = match found {
            Found::Leased {
                fence, failures, ..
            } => FleetEvent::Lead {
                key,
                fence: *fence,
                failures: *failures,
            },
            Found::Busy {
                fence,
                stale: stored,
                retry_in,
            } => FleetEvent::Busy {
                key,
                fence: Some(*fence),
                stale: stale(stored),
                retry_in: *retry_in,
            },
            Found::Quiet {
                stale: stored,
                retry_in,
            } => FleetEvent::Busy {
                key,
                fence: None,
                stale: stale(stored),
                retry_in: *retry_in,
            },
            Found::Fresh(_) | Found::Idle { .. } => return,
        };
        self.shared.common.tell(&event);
    }

    pub(crate) fn tell_lost(&self, lease: &Lease) {
        let (key, fence) = (self.key(), lease.grant.fence);
        self.shared.common.tell(&FleetEvent::Lost { key, fence });
    }

    pub(crate) fn mine(&self, previous: Option<&Previous<Entry<T>>>) -> Mine {
        entry::mine(previous, &self.shared.policy)
    }

    pub(crate) fn put<'b>(&self, guard: Guarded, bytes: &'b [u8]) -> Put<'b> {
        Put {
            guard,
            bytes,
            age: Duration::ZERO,
            fresh_for: self.shared.policy.ttl,
            keep_for: self.shared.policy.keep_for(self.shared.policy.ttl),
        }
    }

    /// A value of the store, for this process. `Err`: it cannot be read.
    pub(crate) fn read(
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
                let unsealed = unseal(self.key(), bytes);
                let decoded = unsealed
                    .and_then(|(bytes, cost)| Some((self.shared.codec.decode(bytes).ok()?, cost)));
                let Some((value, cost)) = decoded else {
                    self.shared.common.count(|counts| &counts.unreadable);
                    return Err(stored.version);
                };
                (Arc::new(value), cost)
            }
            (None, Some(entry)) if entry.version() == stored.version => {
                self.shared.common.count(|counts| &counts.unchanged);
                (Arc::clone(entry.value()), entry.cost())
            }
            // The store takes this process to have what it has not.
            (None, _) => return Err(Version::NONE),
        };
        let policy = &self.shared.policy;
        let entry = Entry::read((&self.known, mark), value, &stored, cost, policy);
        Ok((entry, age))
    }

    /// What the pile of this process is given at an end without a creation.
    pub(crate) fn end(
        &self,
        end: End,
        previous: Option<&Previous<Entry<T>>>,
        mark: u64,
    ) -> Result<Result<Created<Entry<T>>, Fail>, Version>
    where
        C: Codec<T>,
    {
        let policy = &self.shared.policy;
        Ok(Ok(match end {
            End::Stored { stored, stale_for } => {
                let (entry, age) = self.read(stored, previous.map(|previous| &**previous), mark)?;
                let hold = match stale_for {
                    None => {
                        self.known.busy.store(0, Ordering::SeqCst);
                        entry.fresh_here(age, policy)
                    }
                    Some(retry_in) => {
                        self.shared.common.count(|counts| &counts.stale);
                        let times = self.known.busy.fetch_add(1, Ordering::SeqCst);
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
                    self.shared.common.count(|counts| &counts.stale);
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

    pub(crate) fn make<E>(&self, result: Result<T, E>, began: Tick) -> Result<Made<T>, E>
    where
        C: Codec<T>,
    {
        let value = Arc::new(result?);
        let cost = self.shared.common.now().saturating_since(began);
        let bytes = self.shared.codec.encode(&value).ok();
        if bytes.is_none() {
            self.shared.common.count(|counts| &counts.unreadable);
        }
        Ok(Made {
            bytes: bytes.map(|bytes| seal(self.key(), bytes, cost)),
            value,
            cost,
        })
    }

    /// What the pile is given of a value that was made here.
    pub(crate) fn made(
        &self,
        made: Made<T>,
        fate: Fate,
        since: Since,
        lost_here: bool,
    ) -> Created<Entry<T>> {
        let policy = &self.shared.policy;
        let entry = |version| {
            let value = Arc::clone(&made.value);
            Entry::made((&self.known, since.mark), value, version, made.cost, policy)
        };
        match fate {
            Fate::Current(version) => {
                self.shared.common.tell(&FleetEvent::Stored {
                    key: self.key(),
                    version,
                    took: made.cost,
                });
                self.known.busy.store(0, Ordering::SeqCst);
                let hold = entry(version).fresh_here(Duration::ZERO, policy);
                if lost_here {
                    // Something was set or removed here on the way, so that the lease of the pile has
                    // lost what it would publish. What the store took is set instead, unless this
                    // process has written since.
                    self.known.writes.place_unless_written(since.writes, || {
                        self.place.set(entry(version).created(Duration::ZERO, hold));
                    });
                }
                entry(version).created(Duration::ZERO, hold)
            }
            // For its own caller. Whoever waited asks for what superseded it; so does every call after.
            Fate::Superseded(fence) => {
                let key = self.key();
                self.shared.common.tell(&FleetEvent::Refused { key, fence });
                let entry = entry(Version::NONE).superseded();
                entry.created(Duration::ZERO, Duration::ZERO).superseded()
            }
            Fate::Unstored => {
                self.shared.common.count(|counts| &counts.unstored);
                let entry = entry(Version::NONE);
                let hold = entry.fresh_here(Duration::ZERO, policy);
                entry.created(Duration::ZERO, hold)
            }
        }
    }

    /// Gives a stale value of the store to those who wait here while this caller creates the next: a
    /// process that has none of its own goes on with it. Says whether it did.
    pub(crate) fn lend(
        &self,
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
        if !entry.is_usable(age, &self.shared.policy) || self.shared.policy.local.is_zero() {
            return false;
        }
        let mut lent = false;
        self.known.writes.place_unless_written(since.writes, || {
            self.place.set(entry.created(age, Duration::ZERO));
            lent = true;
        });
        if lent && self.known.mark() != since.mark {
            // It was made stale or removed elsewhere meanwhile.
            self.place.invalidate();
        }
        lent
    }

    /// For how long nobody in the fleet creates after this failure.
    pub(crate) fn quiet(&self, lease: Option<Lease>) -> Duration {
        self.shared.common.count(|counts| &counts.failures);
        lease.map_or(Duration::ZERO, |lease| {
            self.shared.policy.quiet(lease.failures)
        })
    }

    /// The value that stands in for a failure, if there is one.
    pub(crate) fn stand_in(
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
        if !entry.stands_in(age, &self.shared.policy) {
            return None;
        }
        self.shared.common.count(|counts| &counts.stale);
        let hold = self.shared.policy.local.min(quiet);
        Some(entry.created(age, hold))
    }

    /// Empties the place if it holds what the store does not have any more: a copy lives for its local
    /// ttl, and not for as long as somebody creates the next. Says whether it did.
    pub(crate) fn empty_if_gone(
        &self,
        creating: &Creating<'_, Entry<T>>,
        answer: &Answer<Found>,
    ) -> bool {
        let gone = matches!(answer, Ok(found) if found.stored().is_none());
        let held = |previous: Previous<Entry<T>>| !previous.version().is_none();
        let emptied = gone && creating.previous().is_some_and(held);
        if emptied {
            self.place.invalidate();
        }
        emptied
    }

    /// What was written is what is here. Of two writes that overlapped only the store knows which was
    /// the last: then the next call asks.
    pub(crate) fn written_here(&self, value: Arc<T>, version: Version, alone: bool) {
        if !alone {
            return self.place.invalidate();
        }
        let policy = &self.shared.policy;
        let asked = (&self.known, self.known.mark());
        let entry = Entry::made(asked, value, version, Duration::ZERO, policy);
        let hold = entry.fresh_here(Duration::ZERO, policy);
        self.place.set(entry.created(Duration::ZERO, hold));
    }

    /// The copy here is stale or gone. So is what a regeneration that runs will bring: it may have been
    /// read before.
    pub(crate) fn change(&self, depth: Depth) {
        self.known.make_stale();
        match depth {
            Depth::Soft => self.place.expire(),
            Depth::Hard => self.place.invalidate(),
        }
    }

    /// A hint says that the record changed. This process acts upon it, unless it is its own, or one that
    /// it has already.
    pub(crate) fn changed(&self, version: Version, depth: Depth) {
        let own = self.known.is_own(version);
        let held = (self.place.version()).is_some_and(|held| held >= version);
        if !version.is_none() && (own || held && self.shared.abilities.monotonic) {
            return;
        }
        let key = Some(self.key());
        self.shared.common.tell(&FleetEvent::Hint { key, depth });
        self.change(depth);
    }
}

impl<T: Send + Sync, S: Send + Sync, C: Send + Sync> Member for Site<T, S, C> {
    fn known(&self) -> &Known {
        &self.known
    }

    fn change(&self, depth: Depth) {
        Site::change(self, depth);
    }
}

/// A pile over one record is its own family, as far as it is one.
impl<T: Send + Sync + 'static, S: Send + Sync + 'static, C: Send + Sync + 'static> Members
    for Site<T, S, C>
{
    fn members(self: Arc<Self>) -> Vec<Arc<dyn Member>> {
        vec![self]
    }
}

impl<T: Send + Sync, S: Send + Sync, C: Send + Sync> Watch for Site<T, S, C> {
    fn hint(&self, hint: &Hint) {
        let common = &self.shared.common;
        match hint {
            Hint::Changed {
                key,
                version,
                depth,
            } if key == self.key() => self.changed(*version, *depth),
            Hint::AllChanged { namespace, depth } if **namespace == *self.shared.namespace => {
                let depth = *depth;
                common.tell(&FleetEvent::Hint { key: None, depth });
                self.change(depth);
            }
            Hint::Changed { .. } | Hint::AllChanged { .. } => {}
            Hint::Missed => {
                common.tell(&FleetEvent::Missed);
                self.change(Depth::Soft);
            }
        }
    }
}
