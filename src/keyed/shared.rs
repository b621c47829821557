//! All of a map that a visit holds: the shards, and the settings of the piles.

use std::borrow::Borrow;

use crate::answer::{Settings, Site};
use crate::keyed::KeyedGuard;
use crate::keyed::call::Asked;
use crate::keyed::cycles::Waits;
use crate::keyed::entry::{Entry, Visit};
#[cfg(feature = "async")]
use crate::keyed::multi_background::Jobs;
use crate::keyed::room::{Eviction, Limits, Room, Taken};
use crate::keyed::shard::{Given, Shard, Weighed};
use crate::keyed::turns::{Turn, Turns};
use crate::observe::{Counters, KeyedStats, Stats};
use crate::policy::{Asks, Freshness, Horizon};
use crate::raw::{Shown, Within};
use crate::reentrancy::Identity;
use crate::shim::{Arc, Mutex, contain, cores};
use crate::time::{Second, Tick};

/// Those whose keys have the same hash. Any of them may be taken out meanwhile, and the last share be this one.
struct Others<K, T>(Vec<Arc<Entry<K, T>>>);

/// What a function returns is lost if a drop panics on the way out. Here that would be a visit, and its entry
/// would be visited for ever.
impl<K, T> Drop for Others<K, T> {
    fn drop(&mut self) {
        for entry in self.0.drain(..) {
            contain(|| drop(entry));
        }
    }
}

pub(crate) struct Shared<K, T> {
    settings: Settings,
    shards: Box<[Shard<K, T>]>,
    limits: Limits<K, T>,
    room: Room,
    turns: Option<Arc<Turns>>,
    waits: Waits,
    #[cfg(feature = "async")]
    jobs: Mutex<Jobs>,
    /// What was counted of keys that are in the map no more.
    retired: Mutex<Counters>,
    /// By what the values of this map are known in debug builds.
    group: u64,
}

impl<K, T> Shared<K, T> {
    pub(super) fn new(settings: Settings, limits: Limits<K, T>) -> Self {
        // Each shard chooses among its own keys, and needs many for that.
        let most = limits.entries.map_or(usize::MAX, |keys| keys / 256).max(1);
        let shards = (4 * cores()).min(most).next_power_of_two();
        let shard = || Shard::new(limits.are_there());
        Self {
            settings,
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            room: Room::new(),
            turns: limits.creations.map(Turns::new).map(Arc::new),
            waits: Waits::new(),
            #[cfg(feature = "async")]
            jobs: Mutex::new(Vec::new()),
            retired: Mutex::new(Counters::default()),
            limits,
            #[cfg(debug_assertions)]
            group: crate::shim::next_pile(),
            #[cfg(not(debug_assertions))]
            group: 0,
        }
    }

    /// The hash of a key, spread over all bits, as not every hasher does it: of the identity, few bits
    /// differ. No two hashes become one.
    pub(super) fn spread(hash: u64) -> u64 {
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 29)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn site<'a>(&'a self, entry: &'a Entry<K, T>) -> Site<'a, T> {
        Site {
            settings: &self.settings,
            pile: &entry.pile,
            gate: None,
        }
    }

    /// The turn of one call.
    pub(super) fn turn(&self) -> Turn {
        Turn::of(self.turns.as_ref())
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.waits
    }

    #[cfg(feature = "async")]
    pub(super) fn jobs(&self) -> &Mutex<Jobs> {
        &self.jobs
    }

    /// The name of a key, by its pile, if the map was told how to name keys.
    pub(super) fn name(&self, pile: Identity) -> Option<String> {
        let name = self.limits.name.as_ref()?;
        for shard in &self.shards {
            let entries = shard.lock().entries();
            let found = entries
                .iter()
                .find(|entry| Identity::of(&entry.pile) == pile);
            if let Some(entry) = found {
                return Some(name(&entry.key));
            }
        }
        None
    }

    pub(super) fn shards(&self) -> &[Shard<K, T>] {
        &self.shards
    }

    fn shard(&self, hash: u64) -> &Shard<K, T> {
        // The table uses the bits at both ends.
        &self.shards[(hash >> 24) as usize & (self.shards.len() - 1)]
    }

    /// The entry of a key, to be read and no more: it may be taken out of the map at any time. Then it
    /// has no value, and will never have one.
    ///
    /// A key that was found before is found without a lock.
    #[inline]
    pub(super) fn find<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<Shown<'_, Entry<K, T>>>
    where
        K: Borrow<Q>,
    {
        match self.shard(hash).index().find(hash) {
            Some(shown) if shown.key.borrow() == key => {
                shown.asked.add();
                Some(shown)
            }
            other => (self.find_locked(hash, key, other.as_deref())).map(Shown::from),
        }
    }

    /// The same, under the lock. The key of `other`, if there is one, is another one.
    #[cold]
    #[inline(never)]
    fn find_locked<Q: Eq + ?Sized>(
        &self,
        hash: u64,
        key: &Q,
        other: Option<&Entry<K, T>>,
    ) -> Option<Arc<Entry<K, T>>>
    where
        K: Borrow<Q>,
    {
        let is_other = |entry: &Entry<K, T>| other.is_some_and(|other| std::ptr::eq(other, entry));
        let is_it = |entry: &Entry<K, T>| !is_other(entry) && entry.key.borrow() == key;
        let shard = self.shard(hash);
        let first = shard.lock().first(hash)?;
        if is_it(&first) {
            return Some(first);
        }
        let all = Others(shard.lock().all(hash));
        let mut rest = all.0.iter().filter(|entry| !Arc::ptr_eq(entry, &first));
        let found = rest.find(|entry| is_it(entry)).cloned();
        contain(|| drop(first));
        found
    }

    /// The answer of a call that neither creates nor waits: as [`Call::hit`](crate::Call::hit).
    #[inline(always)]
    pub(super) fn hit<Q: Eq + ?Sized>(
        &self,
        hash: u64,
        key: &Q,
        asked: Asked,
    ) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
    {
        match self.hit_at_once(hash, key, asked) {
            Some(guard) => Some(guard),
            None => self.hit_slowly(hash, key, asked),
        }
    }

    /// The same, of a key that was found before.
    // Inlined for good, as are the calls in it, and in this order: the guard is made when nothing can panic
    // any more. Else it is moved about in memory.
    #[inline(always)]
    pub(super) fn hit_at_once<Q: Eq + ?Sized>(
        &self,
        hash: u64,
        key: &Q,
        asked: Asked,
    ) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
    {
        let time = &self.settings.time;
        let now = time.bounds_of_hit();
        let hit = Within::hit(
            self.shard(hash).index(),
            hash,
            |entry| entry.key.borrow() == key,
            |entry| &entry.pile,
            |node| asked.origin_of_hit(now, node),
        );
        let Some((node, origin)) = hit else {
            time.no_hit();
            return None;
        };
        node.held().entry().asked.add();
        Some(KeyedGuard::of(node, origin, now.0))
    }

    /// The same, of a key that was not found before, or a value that is not plainly fresh. Under the lock at
    /// once: the index was just asked.
    #[cold]
    #[inline(never)]
    fn hit_slowly<Q: Eq + ?Sized>(
        &self,
        hash: u64,
        key: &Q,
        asked: Asked,
    ) -> Option<KeyedGuard<'_, K, T>>
    where
        K: Borrow<Q>,
    {
        let entry = Shown::from(self.find_locked(hash, key, None)?);
        KeyedGuard::look(entry, |entry| asked.of(self.site(entry)).hit())
    }

    /// A visit at the entry of a key, if it has one.
    pub(super) fn visit<Q: Eq + ?Sized>(self: &Arc<Self>, hash: u64, key: &Q) -> Option<Visit<K, T>>
    where
        K: Borrow<Q>,
    {
        self.visit_or_others(hash, key).ok()
    }

    /// A visit at the entry of a key, which is made if there is none.
    pub(super) fn enter<Q: Eq + ?Sized>(
        self: &Arc<Self>,
        hash: u64,
        key: &Q,
        own: impl FnOnce() -> K,
    ) -> Visit<K, T>
    where
        K: Borrow<Q> + Eq,
    {
        match self.visit_or_others(hash, key) {
            Ok(visit) => visit,
            Err(others) => self.insert(hash, own(), others),
        }
    }

    /// As [`enter`](Shared::enter), with a key to give away.
    pub(super) fn enter_owned(self: &Arc<Self>, hash: u64, key: K) -> Visit<K, T>
    where
        K: Eq,
    {
        match self.visit_or_others(hash, &key) {
            Ok(visit) => visit,
            Err(others) => self.insert(hash, key, others),
        }
    }

    /// A visit at the entry of a key that is none of `others`. It is made unless there is one by now.
    fn insert(self: &Arc<Self>, hash: u64, mut own: K, mut others: Others<K, T>) -> Visit<K, T>
    where
        K: Eq,
    {
        loop {
            let mut shard = self.shard(hash).lock();
            let inserted = shard.insert(hash, own, &others.0, self.group);
            let has_grown = shard.is_to_be_settled();
            drop(shard);
            match inserted {
                Ok(entry) => {
                    let visit = Visit::of(Arc::clone(self), entry);
                    if has_grown {
                        self.settle(hash);
                    }
                    return visit;
                }
                Err(key) => own = key,
            }
            match self.visit_among(hash, &own) {
                Ok(visit) => return visit,
                Err(more) => others = more,
            }
        }
    }

    /// A visit at the entry of a key, or all entries whose keys have the same hash and are others.
    ///
    /// A key is compared before its entry is visited: whoever ends a visit may have to weigh, and a weigher
    /// that calls the map for another key of the same hash would be called within itself.
    fn visit_or_others<Q: Eq + ?Sized>(
        self: &Arc<Self>,
        hash: u64,
        key: &Q,
    ) -> Result<Visit<K, T>, Others<K, T>>
    where
        K: Borrow<Q>,
    {
        let Some(first) = self.shard(hash).lock().any(hash) else {
            return Err(Others(Vec::new()));
        };
        if first.key.borrow() == key && self.shard(hash).lock().visit(&first) {
            return Ok(Visit::of(Arc::clone(self), first));
        }
        drop(first);
        self.visit_among(hash, key)
    }

    /// The same, where there are several.
    fn visit_among<Q: Eq + ?Sized>(
        self: &Arc<Self>,
        hash: u64,
        key: &Q,
    ) -> Result<Visit<K, T>, Others<K, T>>
    where
        K: Borrow<Q>,
    {
        loop {
            let all = Others(self.shard(hash).lock().all(hash));
            let Some(found) = all.0.iter().find(|entry| entry.key.borrow() == key) else {
                return Err(all);
            };
            if self.shard(hash).lock().visit(found) {
                return Ok(Visit::of(Arc::clone(self), Arc::clone(found)));
            }
            // It was taken out meanwhile.
        }
    }

    /// Ends a visit, and makes room for what it brought.
    pub(super) fn leave(self: &Arc<Self>, entry: &Arc<Entry<K, T>>) {
        let (came, is_too_much) = self.end_visit(entry);
        if came {
            // A clock that panics must not keep the map beyond its bound, and whoever leaves may be in a panic
            // already.
            contain(|| self.sweep(entry.hash));
        }
        if is_too_much {
            self.make_room();
        }
    }

    /// Ends a visit. Says whether a value has come, and whether more is held than may be.
    fn end_visit(self: &Arc<Self>, entry: &Arc<Entry<K, T>>) -> (bool, bool) {
        let mut weighed = None;
        let left = loop {
            // No lock is held in what follows: the weigher, and the listener, are the user's.
            let mut shard = self.shard(entry.hash).lock();
            let left = shard.leave(entry, weighed, self.limits.weigh());
            drop(shard);
            match left {
                Some(left) => break left,
                None => weighed = Some(self.weigh(entry)),
            }
        };
        if let Some(removed) = left.removed {
            self.retire(removed);
        }
        (left.came, self.changed(left.change))
    }

    /// Weighs the value of an entry. What weighs more than all room is taken away.
    fn weigh(self: &Arc<Self>, entry: &Arc<Entry<K, T>>) -> Weighed {
        let none = Weighed::nothing();
        let Some(node) = entry.pile.load().map(|node| node.clone()) else {
            return none;
        };
        let Some(value) = node.value() else {
            return none;
        };
        let installed_at = node.installed_at();
        match self.limits.weight_of(&entry.key, value) {
            Some(weight) => Weighed::new(installed_at, weight, Second::of(node.gone_from())),
            None => {
                let evicted = entry.pile.evict_value(installed_at);
                drop(node);
                self.limits.evicted(entry, evicted, Eviction::NoRoom);
                none
            }
        }
    }

    /// Notes what is held. Says whether it is more than may be.
    fn changed(&self, change: Taken) -> bool {
        self.limits.are_there() && self.room.change(change, &self.limits)
    }

    /// Evicts until no more is held than may be, or nothing is left that nobody is at.
    fn make_room(self: &Arc<Self>) {
        let give_away = |shard: usize| {
            let shard = &self.shards[shard & (self.shards.len() - 1)];
            shard.lock().give_away()
        };
        while let Some(given) = (self.room).give_away(self.shards.len(), &self.limits, give_away) {
            self.evict(given, Eviction::NoRoom);
        }
    }

    /// Looks for a few values that are gone.
    fn sweep(self: &Arc<Self>, hash: u64) {
        let now = self.settings.time.now();
        let gone = |entry: &Entry<K, T>| self.gone(entry, now);
        let (given, change) = self.shard(hash).lock().sweep(now, gone);
        if !given.is_empty() {
            self.changed(change);
            self.evict_all(given, Eviction::Gone);
        }
    }

    fn evict_all(self: &Arc<Self>, given: Vec<Given<K, T>>, why: Eviction) {
        let mut is_too_much = false;
        for one in given {
            is_too_much |= self.evict(one, why);
        }
        if is_too_much {
            self.make_room();
        }
    }

    /// Says whether more is held than may be, as far as it noticed. It makes no room itself: whoever makes
    /// room evicts, and would be called within itself, once for each entry.
    fn evict(self: &Arc<Self>, given: Given<K, T>, why: Eviction) -> bool {
        match given {
            // Nobody else holds it: what is in it goes with it.
            Given::Whole(entry) if self.limits.listener.is_none() => {
                self.retire(entry);
                false
            }
            Given::Whole(entry) => {
                let node = entry.pile.remove();
                self.limits.evicted(&entry, node, why);
                self.retire(entry);
                false
            }
            Given::Held(entry, installed_at) => {
                let evicted = entry.pile.evict_with_pace(installed_at);
                self.limits.evicted(&entry, evicted, why);
                self.end_visit(&entry).1
            }
            Given::Visited(entry) => self.end_visit(&entry).1,
        }
    }

    /// Drops an entry that was taken out, with its value. What it counted is kept.
    fn retire(&self, entry: Arc<Entry<K, T>>) {
        // Both ask the clock. A clock that panics must not keep the caller from what was taken out besides, and
        // from counting it. What is not settled now is settled later.
        contain(|| {
            if self.settings.policy.counts() {
                let stats = self.stats_of(&entry);
                if let Some(counters) = &stats.counters {
                    self.retired.lock().add(counters);
                }
            }
            // One barrier for all that was taken out with it.
            self.settle(entry.hash);
        });
        if Arc::strong_count(&entry) > 1 {
            // Somebody reads it, or has it for its key: it keeps no value.
            contain(|| drop(entry.pile.remove()));
        }
        contain(|| drop(entry));
    }

    /// Frees what was taken out of a shard and is not read.
    fn settle(&self, hash: u64) {
        let index = self.shard(hash).index();
        index.settle(|| self.settings.time.now());
    }

    /// What goes on at an entry.
    pub(super) fn stats_of(&self, entry: &Entry<K, T>) -> Stats {
        let Settings { policy, time, .. } = &self.settings;
        entry.pile.stats(policy, time.now())
    }

    /// What goes on in all of the map.
    pub(super) fn stats(&self) -> KeyedStats {
        let mut stats = KeyedStats {
            counters: (self.settings.policy.counts()).then(|| *self.retired.lock()),
            hits: self.settings.time.hits().sum(),
            over_rate: self.settings.cold.rate.as_ref().map(|rate| rate.refused()),
            ..KeyedStats::default()
        };
        for shard in &self.shards {
            let entries = shard.lock().entries();
            for entry in &entries {
                stats.add(&self.stats_of(entry));
            }
        }
        stats
    }

    /// Whether the value of an entry is of use to nobody any more, or its back-off and its interval are
    /// over where it has none.
    fn gone(&self, entry: &Entry<K, T>, now: Tick) -> bool {
        let is_gone = |times| Horizon::new(&times, Asks::NOTHING).at(now) == Freshness::Gone;
        let of_value = (entry.pile).judge(|node| node.map(|node| is_gone(node.times())));
        of_value.unwrap_or_else(|| entry.pile.retry_in(&self.settings.policy, now).is_none())
    }

    /// Takes out what is gone.
    pub(super) fn purge(self: &Arc<Self>) {
        let now = self.settings.time.now();
        for shard in &self.shards {
            let gone = |entry: &Entry<K, T>| self.gone(entry, now);
            let (given, change) = shard.lock().give_all(gone);
            self.changed(change);
            self.evict_all(given, Eviction::Gone);
            shard.index().settle(|| self.settings.time.now());
        }
    }

    /// Removes all values.
    pub(super) fn invalidate_all(self: &Arc<Self>) {
        for shard in &self.shards {
            let (given, change) = shard.lock().give_all(|_| true);
            self.changed(change);
            for one in given {
                match one {
                    Given::Whole(entry) => self.retire(entry),
                    Given::Held(entry, _) | Given::Visited(entry) => {
                        let visit = Visit::of(Arc::clone(self), entry);
                        contain(|| drop(visit.entry().pile.remove()));
                    }
                }
            }
        }
    }

    /// The weight of all values.
    pub(super) fn weight(&self) -> u64 {
        self.room.weight()
    }

    /// A visit at every entry of a shard.
    pub(super) fn visit_shard(
        self: &Arc<Self>,
        shard: &Shard<K, T>,
    ) -> impl Iterator<Item = Visit<K, T>> {
        let visited = shard.lock().visit_all();
        // All of them now: none is forgotten, also if one is not come to.
        let visits: Vec<_> = (visited.into_iter())
            .map(|entry| Visit::of(Arc::clone(self), entry))
            .collect();
        visits.into_iter()
    }
}

/// What is held elsewhere yet, such as by a guard for its key, keeps no value.
impl<K, T> Drop for Shared<K, T> {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            // One by one: a panic in one of them keeps none of the others.
            for entry in shard.end() {
                if Arc::strong_count(&entry) > 1 {
                    contain(|| drop(entry.pile.remove()));
                }
                contain(|| drop(entry));
            }
        }
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests;
