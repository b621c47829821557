//! A part of a map, under one lock.

use std::num::NonZeroU64;

use hashbrown::HashTable;

use crate::keyed::entry::Entry;
use crate::keyed::queue::Queue;
use crate::keyed::room::Taken;
use crate::raw::{Asked, Index, Pile};
use crate::shim::Arc;
use crate::time::{Second, Tick};

/// A table of entries.
///
/// Everything here is done under the shard's lock, and takes a few instructions. No user code runs: keys
/// are found by their hash, which is kept, and compared by the caller when it has let go of the lock.
pub(super) struct Shard<K, T> {
    table: HashTable<Place<K, T>>,
    /// The highest number that any pile has used which was here and is gone.
    last: u64,
    /// How many values there are, and keys of which only a back-off or an interval is remembered.
    kept: usize,
    /// How many of the latter.
    paced: usize,
    /// Where to look next for what is gone.
    broom: usize,
    /// In a bounded map.
    queue: Option<Queue>,
}

/// Where an entry stands.
pub(super) struct Place<K, T> {
    hash: u64,
    entry: Arc<Entry<K, T>>,
    /// How many visit the entry.
    callers: u32,
    /// The value that is counted.
    value: Option<Weighed>,
    /// Whether it was put into the index, which then has a share in it.
    is_indexed: bool,
    /// The number by which the queue knows it while it is young.
    young: Option<NonZeroU64>,
}

/// A value, by when it came, and its weight.
#[derive(Clone, Copy)]
pub(super) struct Weighed {
    installed_at: u64,
    weight: u32,
    /// It is not gone before that. So who looks for what is gone need not look at most entries.
    gone_from: Second,
}

/// Stands for the number of a value, where only a back-off or an interval is remembered.
const PACED: u64 = 0;

// Each key has one, and one more for each place that is free.
#[cfg(all(not(any(dogpile_loom, dogpile_shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Place<u64, u64>>() == 48);

impl Weighed {
    pub(super) fn new(installed_at: u64, weight: u32, gone_from: Second) -> Self {
        Self {
            installed_at,
            weight,
            gone_from,
        }
    }

    /// What is no value and weighs nothing.
    pub(super) fn nothing() -> Self {
        Self::new(PACED, 0, Second::FIRST)
    }
}

fn is_paced(value: Option<Weighed>) -> bool {
    value.is_some_and(|value| value.installed_at == PACED)
}

/// How a visit ended.
pub(super) struct Left<K, T> {
    /// What nobody needs any more. To be dropped when the lock was let go.
    pub(super) removed: Option<Arc<Entry<K, T>>>,
    pub(super) change: Taken,
    /// Whether a new value is counted.
    pub(super) came: bool,
}

/// What a shard gives away.
pub(super) enum Given<K, T> {
    /// An entry that nobody else holds, with its value.
    Whole(Arc<Entry<K, T>>),
    /// An entry that somebody holds, and that is visited now. What came then is counted no more, and is to
    /// be taken away: a value, or what is [remembered](PACED) of a key without one.
    Held(Arc<Entry<K, T>>, u64),
    /// An entry that others visit, and that is visited now. They note what becomes of it.
    Visited(Arc<Entry<K, T>>),
}

impl<K, T> Shard<K, T> {
    pub(super) fn new(is_bounded: bool) -> Self {
        Self {
            table: HashTable::new(),
            last: 0,
            kept: 0,
            paced: 0,
            broom: 0,
            queue: is_bounded.then(Queue::new),
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.kept - self.paced
    }

    /// An entry with this hash, as a rule the only one. Its key is to be compared. The next one who asks
    /// finds it in the index, which is to be [settled](Index::settle).
    pub(super) fn first(
        &mut self,
        hash: u64,
        index: &Index<Entry<K, T>>,
    ) -> Option<Arc<Entry<K, T>>> {
        let place = self.table.find_mut(hash, |place| place.hash == hash)?;
        place.entry.asked.add();
        if !place.is_indexed {
            place.is_indexed = index.insert(hash, &place.entry);
        }
        Some(Arc::clone(&place.entry))
    }

    /// All entries with this hash.
    pub(super) fn all(&self, hash: u64) -> Vec<Arc<Entry<K, T>>> {
        let places = self.table.iter_hash(hash);
        let same = places.filter(|place| place.hash == hash);
        same.map(|place| Arc::clone(&place.entry)).collect()
    }

    /// The same, for a visit: it does not count as asked for.
    pub(super) fn any(&self, hash: u64) -> Option<Arc<Entry<K, T>>> {
        let place = self.table.find(hash, |place| place.hash == hash)?;
        Some(Arc::clone(&place.entry))
    }

    /// Begins a visit at this entry, if it is still here.
    pub(super) fn visit(&mut self, entry: &Arc<Entry<K, T>>) -> bool {
        match Self::place(&mut self.table, entry) {
            Some(place) => {
                place.callers += 1;
                true
            }
            None => false,
        }
    }

    /// Begins a visit at every entry.
    pub(super) fn visit_all(&mut self) -> Vec<Arc<Entry<K, T>>> {
        let visit = |place: &mut Place<K, T>| {
            place.callers += 1;
            Arc::clone(&place.entry)
        };
        self.table.iter_mut().map(visit).collect()
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<Arc<Entry<K, T>>> {
        let places = self.table.iter();
        places.map(|place| Arc::clone(&place.entry)).collect()
    }

    /// Makes an entry, and begins a visit there, unless there is one with the same hash which is not
    /// among `known`: [all](Shard::all) that there were. Then the key comes back.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        known: &[Arc<Entry<K, T>>],
        group: u64,
    ) -> Result<Arc<Entry<K, T>>, K> {
        // They come in the order in which they came then, but for those that were taken out. Where the
        // table has grown meanwhile that may not be so, and the caller looks once more.
        let mut known = known.iter();
        let is_known = |place: &Place<K, T>| known.any(|one| Arc::ptr_eq(one, &place.entry));
        let mut same = self
            .table
            .iter_hash(hash)
            .filter(|place| place.hash == hash);
        if !same.all(is_known) {
            return Err(key);
        }
        let pile = Pile::following(self.last, group);
        let asked = Asked::new();
        let entry = Arc::new(Entry {
            hash,
            key,
            pile,
            asked,
        });
        let place = Place {
            hash,
            entry: Arc::clone(&entry),
            callers: 1,
            value: None,
            is_indexed: false,
            young: None,
        };
        self.table.insert_unique(hash, place, |place| place.hash);
        Ok(entry)
    }

    /// Ends a visit, and notes what has become of the value. `None`: a value has come, and is to be
    /// weighed first, where they are `weighed` at all.
    pub(super) fn leave(
        &mut self,
        entry: &Arc<Entry<K, T>>,
        weighed: Option<Weighed>,
        are_weighed: bool,
        index: &Index<Entry<K, T>>,
    ) -> Option<Left<K, T>> {
        let held = entry.pile.held();
        let Self {
            table, kept, queue, ..
        } = self;
        let Some(place) = Self::place(table, entry) else {
            unreachable!("an entry stays while it is visited");
        };
        let before = place.value;
        // What is remembered for a key without a value counts as one.
        let paced = held.is_paced.then_some(PACED);
        let after = match held.value.or(paced) {
            value if value == before.map(|value| value.installed_at) => before,
            None => None,
            Some(installed_at) if !are_weighed || installed_at == PACED => {
                Some(Weighed::new(installed_at, 1, held.gone_from))
            }
            Some(installed_at) => match weighed? {
                weighed if weighed.installed_at == installed_at => Some(weighed),
                // Another has come meanwhile. Who brought it is still here, and will see to it.
                _ => before,
            },
        };
        place.callers -= 1;
        place.value = after;
        let is_of_no_use = place.callers == 0 && held.value.or(paced).is_none();
        if place.callers == 0 && !is_of_no_use {
            entry.pile.rest();
        }
        let came = after.map(|value| value.installed_at) > before.map(|value| value.installed_at);
        if before.is_none() && after.is_some() {
            place.entry.asked.forget();
            if let Some(queue) = queue {
                place.young = queue.comes(entry.hash).and_then(NonZeroU64::new);
                queue.prune(*kept, |hash, born| young(table, hash, born).is_some());
            }
        }
        let mut change = Taken::default();
        change.add(taken(after));
        change.add(untaken(before));
        self.kept = self.kept + usize::from(after.is_some()) - usize::from(before.is_some());
        self.paced = self.paced + usize::from(is_paced(after)) - usize::from(is_paced(before));
        let removed = match is_of_no_use {
            true => self.remove(entry, index),
            false => None,
        };
        Some(Left {
            removed: removed.map(|place| place.entry),
            change,
            came,
        })
    }

    /// Gives a value away, to make room for another.
    pub(super) fn give_away(&mut self, index: &Index<Entry<K, T>>) -> Option<(Given<K, T>, Taken)> {
        let at = self.choose()?;
        let given = self.give(at, index)?;
        self.shrink();
        Some(given)
    }

    /// The index of a place whose value is to be given away.
    fn choose(&mut self) -> Option<usize> {
        let Self {
            table, kept, queue, ..
        } = self;
        let queue = queue.as_mut()?;
        while let Some((hash, born)) = queue.leaves(*kept) {
            let Some(index) = young(table, hash, born) else {
                continue;
            };
            let place = table.get_bucket_mut(index)?;
            place.young = None;
            if !place.is_free() || !place.entry.asked.forget() {
                continue;
            }
            queue.leave_ghost(hash, *kept);
            return Some(index);
        }
        let buckets = table.num_buckets();
        // Once more than it may spare all.
        for _ in 0..(Asked::MOST + 1) * buckets {
            queue.hand = after(queue.hand, buckets);
            let Some(place) = table.get_bucket_mut(queue.hand) else {
                continue;
            };
            if place.is_free() && place.young.is_none() && place.entry.asked.spare() {
                return Some(queue.hand);
            }
        }
        // There are but young ones.
        for _ in 0..2 * queue.young() {
            let (hash, born) = queue.oldest()?;
            let Some(index) = young(table, hash, born) else {
                continue;
            };
            let place = table.get_bucket_mut(index)?;
            if place.is_free() && place.entry.asked.forget() {
                place.young = None;
                return Some(index);
            }
            queue.again((hash, born));
        }
        None
    }

    /// Looks at a few places, and gives away those that are `gone`.
    pub(super) fn sweep(
        &mut self,
        index: &Index<Entry<K, T>>,
        now: Tick,
        gone: impl Fn(&Entry<K, T>) -> bool,
    ) -> (Vec<Given<K, T>>, Taken) {
        const PLACES: usize = 7;
        let now = Second::of(now);
        let (mut given, mut change) = (Vec::new(), Taken::default());
        for _ in 0..PLACES.min(self.table.num_buckets()) {
            self.broom = after(self.broom, self.table.num_buckets());
            let place = self.table.get_bucket(self.broom);
            if place.is_some_and(|place| place.may_be_gone(now) && gone(&place.entry)) {
                if let Some((one, by)) = self.give(self.broom, index) {
                    given.push(one);
                    change.add(by);
                }
            }
        }
        if !given.is_empty() {
            self.shrink();
        }
        (given, change)
    }

    /// Gives away what is at this place, and counts it no more.
    fn give(&mut self, at: usize, index: &Index<Entry<K, T>>) -> Option<(Given<K, T>, Taken)> {
        let place = self.table.get_bucket_mut(at)?;
        let value = place.value.take()?;
        self.kept -= 1;
        self.paced -= usize::from(is_paced(Some(value)));
        let change = untaken(Some(value));
        // Whoever keeps a value without a visit holds the entry: others than those who found it in the
        // index, of whom nothing is known before that is settled.
        if Arc::strong_count(&place.entry) > 1 + usize::from(place.is_indexed) {
            place.callers += 1;
            let given = Given::Held(Arc::clone(&place.entry), value.installed_at);
            return Some((given, change));
        }
        let (place, _) = self.table.get_bucket_entry(at).ok()?.remove();
        place.leave(index);
        self.last = self.last.max(place.entry.pile.held().last);
        Some((Given::Whole(place.entry), change))
    }

    /// Gives away all values that are `meant`. Of those who are visited, and of keys that have no value,
    /// it says too that they are: none of them is left out.
    pub(super) fn give_all(
        &mut self,
        index: &Index<Entry<K, T>>,
        meant: impl Fn(&Entry<K, T>) -> bool,
    ) -> (Vec<Given<K, T>>, Taken) {
        let (mut given, mut change) = (Vec::new(), Taken::default());
        for at in 0..self.table.num_buckets() {
            let Some(place) = self.table.get_bucket_mut(at) else {
                continue;
            };
            if !meant(&place.entry) {
                continue;
            }
            if place.is_free() {
                if let Some((one, by)) = self.give(at, index) {
                    given.push(one);
                    change.add(by);
                }
            } else {
                // What has become of its value is noted when the visit ends.
                place.callers += 1;
                given.push(Given::Visited(Arc::clone(&place.entry)));
            }
        }
        self.shrink();
        (given, change)
    }

    fn place<'a>(
        table: &'a mut HashTable<Place<K, T>>,
        entry: &Arc<Entry<K, T>>,
    ) -> Option<&'a mut Place<K, T>> {
        let is_it = |place: &Place<K, T>| Arc::ptr_eq(&place.entry, entry);
        table.find_mut(entry.hash, is_it)
    }

    /// Takes out an entry without a value.
    fn remove(
        &mut self,
        entry: &Arc<Entry<K, T>>,
        index: &Index<Entry<K, T>>,
    ) -> Option<Place<K, T>> {
        let is_it = |place: &Place<K, T>| Arc::ptr_eq(&place.entry, entry);
        let found = self.table.find_entry(entry.hash, is_it).ok()?;
        let (place, _) = found.remove();
        place.leave(index);
        self.last = self.last.max(entry.pile.held().last);
        self.shrink();
        Some(place)
    }

    /// Gives memory back that a table of this size does not need.
    fn shrink(&mut self) {
        if self.table.is_empty() {
            self.table = HashTable::new();
            self.queue = self.queue.as_ref().map(|_| Queue::new());
        } else if self.table.capacity() > 16 && self.table.len() * 8 < self.table.capacity() {
            let room = self.table.len() * 2;
            self.table.shrink_to(room, |place| place.hash);
        }
    }
}

impl<K, T> Place<K, T> {
    /// Whether there is a value, and nobody at the entry.
    fn is_free(&self) -> bool {
        self.value.is_some() && self.callers == 0
    }

    /// Whether nobody is at the entry, and the value there may be gone.
    fn may_be_gone(&self, now: Second) -> bool {
        self.callers == 0 && self.value.is_some_and(|value| value.gone_from <= now)
    }

    /// It is in the table no more: nor in the index, which is to be settled.
    fn leave(&self, index: &Index<Entry<K, T>>) {
        if self.is_indexed {
            index.remove(self.hash, &self.entry);
        }
    }
}

/// The next one of so many places in a ring.
fn after(at: usize, places: usize) -> usize {
    if at + 1 < places { at + 1 } else { 0 }
}

/// Where the key stands that is known by this number while it is young.
fn young<K, T>(table: &HashTable<Place<K, T>>, hash: u64, born: u64) -> Option<usize> {
    let is_it = |place: &Place<K, T>| place.young == NonZeroU64::new(born);
    table.find_bucket_index(hash, is_it)
}

fn taken(value: Option<Weighed>) -> Taken {
    Taken {
        entries: value.map_or(0, |_| 1),
        weight: value.map_or(0, |value| i64::from(value.weight)),
    }
}

fn untaken(value: Option<Weighed>) -> Taken {
    let Taken { entries, weight } = taken(value);
    Taken {
        entries: -entries,
        weight: -weight,
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests;
