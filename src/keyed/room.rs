//! How much a map holds, of how much it may: the bound, and what is told of what is evicted.

use std::fmt;
use std::time::Duration;

use crate::answer::Owned;
use crate::keyed::KeyedOwned;
use crate::keyed::entry::Entry;
use crate::raw::NodeRef;
use crate::shim::{Arc, Mutex, contain};

/// Why a map let go of a value that nobody removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Eviction {
    /// There was no room for it, or for what came after it.
    NoRoom,
    /// It was gone: beyond all its limits.
    Gone,
}

type Weigher<K, T> = dyn Fn(&K, &T) -> u32 + Send + Sync;
type Name<K> = dyn Fn(&K) -> String + Send + Sync;
type Listener<K, T> = dyn Fn(KeyedOwned<K, T>, Eviction) + Send + Sync;

/// What a map is built with besides the settings of its piles: its bounds, and whom it tells what.
pub(super) struct Limits<K, T> {
    pub(super) entries: Option<usize>,
    pub(super) weight: Option<(u64, Arc<Weigher<K, T>>)>,
    pub(super) listener: Option<Arc<Listener<K, T>>>,
    /// How many creations run at once.
    pub(super) creations: Option<usize>,
    /// How many creations begin in a span.
    pub(super) rate: Option<(u32, Duration)>,
    /// How a key is named in an error.
    pub(super) name: Option<Arc<Name<K>>>,
}

impl<K, T> Limits<K, T> {
    pub(super) const NONE: Self = Self {
        entries: None,
        weight: None,
        listener: None,
        creations: None,
        rate: None,
        name: None,
    };

    pub(super) fn are_there(&self) -> bool {
        self.entries.is_some() || self.weight.is_some()
    }

    /// Whether a value has to be weighed: it may be more than all room by itself.
    pub(super) fn weigh(&self) -> bool {
        self.weight.is_some() || self.entries == Some(0)
    }

    /// The weight of a value. None if it is more than all room, or the weigher panicked.
    pub(super) fn weight_of(&self, key: &K, value: &T) -> Option<u32> {
        if self.entries == Some(0) {
            return None;
        }
        let Some((max, weigher)) = &self.weight else {
            return Some(1);
        };
        let mut weight = None;
        contain(|| weight = Some(weigher(key, value)));
        weight.filter(|weight| u64::from(*weight) <= *max)
    }

    fn are_exceeded_by(&self, taken: Taken) -> bool {
        let entries = self.entries.is_some_and(|max| taken.entries > max as i64);
        let weight = (self.weight.as_ref())
            .is_some_and(|(max, _)| u64::try_from(taken.weight).is_ok_and(|weight| weight > *max));
        entries || weight
    }

    /// Drops what was evicted, and tells of it. Not under a lock. A panic there is nobody's who happens
    /// to be here.
    pub(super) fn evicted(
        &self,
        entry: &Arc<Entry<K, T>>,
        node: Option<NodeRef<T>>,
        why: Eviction,
    ) {
        let Some(value) = node.and_then(Owned::of) else {
            return;
        };
        contain(|| match &self.listener {
            Some(listener) => listener(KeyedOwned::new(value, entry), why),
            None => drop(value),
        });
    }
}

impl<K, T> Clone for Limits<K, T> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries,
            weight: self.weight.clone(),
            listener: self.listener.clone(),
            creations: self.creations,
            rate: self.rate,
            name: self.name.clone(),
        }
    }
}

impl<K, T> fmt::Debug for Limits<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = self.weight.as_ref().map(|(max, _)| max);
        f.debug_struct("Limits")
            .field("entries", &self.entries)
            .field("weight", &weight)
            .field("creations", &self.creations)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// What is held, or by how much that changed. Changes come a little late, and in any order.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) entries: i64,
    pub(super) weight: i64,
}

impl Taken {
    pub(super) fn add(&mut self, other: Taken) {
        self.entries += other.entries;
        self.weight += other.weight;
    }
}

/// The room of a bounded map.
pub(super) struct Room {
    taken: Mutex<Taken>,
    /// The shard whose turn it is to give something away.
    turn: Mutex<usize>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            taken: Mutex::new(Taken::default()),
            turn: Mutex::new(0),
        }
    }

    /// Notes a change. Says whether more is held than may be.
    pub(super) fn change<K, T>(&self, change: Taken, limits: &Limits<K, T>) -> bool {
        let mut taken = self.taken.lock();
        taken.add(change);
        limits.are_exceeded_by(*taken)
    }

    /// Has one of the shards in turn give something away, if more is held than may be. One caller after
    /// the other: else each of several would make the room that one of them needs.
    pub(super) fn give_away<K, T, G>(
        &self,
        shards: usize,
        limits: &Limits<K, T>,
        give_away: impl Fn(usize) -> Option<(G, Taken)>,
    ) -> Option<G> {
        let mut turn = self.turn.lock();
        if !self.change(Taken::default(), limits) {
            return None;
        }
        let (given, change) = (0..shards).find_map(|_| {
            *turn = turn.wrapping_add(1);
            give_away(*turn)
        })?;
        self.change(change, limits);
        Some(given)
    }

    /// The weight of all that is held.
    pub(super) fn weight(&self) -> u64 {
        u64::try_from(self.taken.lock().weight).unwrap_or(0)
    }
}
