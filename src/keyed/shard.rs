//! A part of a map, under one lock.

use std::num::NonZeroU32;

use crate::keyed::entry::Entry;
use crate::keyed::queue::Queue;
use crate::keyed::room::Taken;
use crate::raw::{Asked, Entries, Index, Indexed, LockedIndex, Pile};
use crate::shim::Arc;
use crate::time::{Second, Tick};

/// The entries of some of the keys, and what goes on with them.
pub(super) struct Shard<K, T>(Index<Entry<K, T>>);

/// A shard while it is locked.
///
/// Everything here takes a few instructions. No user code runs: keys are found by their hash, which is kept,
/// and compared by the caller when it has let go of the lock.
pub(super) struct LockedShard<'a, K, T>(LockedIndex<'a, Entry<K, T>>);

impl<K, T> Indexed for Entry<K, T> {
    type Note = Note;
    type State = State;
}

/// What is kept beside an entry.
#[derive(Default)]
pub(crate) struct Note {
    /// The value that is counted.
    value: Option<Weighed>,
    /// How many visit the entry.
    callers: u32,
    /// The number by which the queue knows it while it is young.
    young: Option<NonZeroU32>,
}

/// What is kept beside all of them.
pub(crate) struct State {
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
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Note>() == 24);

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
        Self(Index::new(State {
            last: 0,
            kept: 0,
            paced: 0,
            broom: 0,
            queue: is_bounded.then(Queue::new),
        }))
    }

    /// Where hits go past the lock.
    #[inline]
    pub(super) fn index(&self) -> &Index<Entry<K, T>> {
        &self.0
    }

    pub(super) fn lock(&self) -> LockedShard<'_, K, T> {
        LockedShard(self.0.lock())
    }

    /// All entries, at the end of the map.
    pub(super) fn end(&mut self) -> Vec<Arc<Entry<K, T>>> {
        self.0.end()
    }
}

impl<K, T> LockedShard<'_, K, T> {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.0.kept - self.0.paced
    }

    /// Whether something is to be [settled](Index::settle).
    pub(super) fn is_to_be_settled(&self) -> bool {
        self.0.is_to_be_settled()
    }

    /// An entry with this hash, as a rule the only one. Its key is to be compared. The next one who asks
    /// finds it without the lock.
    pub(super) fn first(&mut self, hash: u64) -> Option<Arc<Entry<K, T>>> {
        let mut entries = self.0.entries();
        let (at, entry, _) = entries.all(hash).next()?;
        entry.asked.add();
        let entry = Arc::clone(&entry);
        entries.show(at);
        Some(entry)
    }

    /// All entries with this hash.
    pub(super) fn all(&mut self, hash: u64) -> Vec<Arc<Entry<K, T>>> {
        let entries = self.0.entries();
        let same = entries.all(hash);
        same.map(|(_, entry, _)| Arc::clone(&entry)).collect()
    }

    /// The same as [`first`](LockedShard::first), for a visit: it does not count as asked for.
    pub(super) fn any(&mut self, hash: u64) -> Option<Arc<Entry<K, T>>> {
        let entries = self.0.entries();
        let (_, entry, _) = entries.all(hash).next()?;
        Some(Arc::clone(&entry))
    }

    /// Begins a visit at this entry, if it is still here.
    pub(super) fn visit(&mut self, entry: &Arc<Entry<K, T>>) -> bool {
        let mut entries = self.0.entries();
        let at = entries.place_of(entry.hash, entry);
        match at.and_then(|at| entries.get(at)) {
            Some((_, note)) => {
                note.callers += 1;
                true
            }
            None => false,
        }
    }

    /// Begins a visit at every entry.
    pub(super) fn visit_all(&mut self) -> Vec<Arc<Entry<K, T>>> {
        let mut entries = self.0.entries();
        let mut visited = Vec::with_capacity(entries.len());
        for at in 0..entries.places() {
            if let Some((entry, note)) = entries.get(at) {
                note.callers += 1;
                visited.push(Arc::clone(&entry));
            }
        }
        visited
    }

    /// All entries.
    pub(super) fn entries(&mut self) -> Vec<Arc<Entry<K, T>>> {
        let entries = self.0.entries();
        entries.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    /// Makes an entry, and begins a visit there, unless there is one with the same hash which is not
    /// among `known`: [all](LockedShard::all) that there were. Then the key comes back.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        known: &[Arc<Entry<K, T>>],
        group: u64,
    ) -> Result<Arc<Entry<K, T>>, K> {
        let (mut entries, state) = self.0.parts();
        // They come in the order in which they came then, but for those that were taken out. Where the
        // table has grown meanwhile that may not be so, and the caller looks once more.
        let mut known = known.iter();
        let mut is_known = |entry: &Arc<Entry<K, T>>| known.any(|one| Arc::ptr_eq(one, entry));
        if !entries.all(hash).all(|(_, entry, _)| is_known(&entry)) {
            return Err(key);
        }
        let entry = Arc::new(Entry {
            hash,
            key,
            pile: Pile::following(state.last, group),
            asked: Asked::new(),
        });
        let note = Note {
            callers: 1,
            ..Note::default()
        };
        entries.insert(hash, Arc::clone(&entry), note);
        Ok(entry)
    }

    /// Ends a visit, and notes what has become of the value. `None`: a value has come, and is to be
    /// weighed first, where they are `weighed` at all.
    pub(super) fn leave(
        &mut self,
        entry: &Arc<Entry<K, T>>,
        weighed: Option<Weighed>,
        are_weighed: bool,
    ) -> Option<Left<K, T>> {
        let (mut entries, state) = self.0.parts();
        let at = entries.place_of(entry.hash, entry);
        let Some((at, (_, note))) = at.and_then(|at| Some((at, entries.get(at)?))) else {
            unreachable!("an entry stays while it is visited");
        };
        let held = match note.callers {
            1 => entry.pile.rest(),
            _ => entry.pile.held(),
        };
        let before = note.value;
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
        note.callers -= 1;
        note.value = after;
        if after.is_none() {
            // Only those who have a value are on the ring: else it would be looked through at each value that
            // comes, and nobody would be found to be gone.
            note.young = None;
        }
        let is_of_no_use = note.callers == 0 && held.value.or(paced).is_none();
        let came = after.map(|value| value.installed_at) > before.map(|value| value.installed_at);
        if before.is_none() && after.is_some() {
            entry.asked.forget();
            if let Some(queue) = &mut state.queue {
                note.young = queue.comes(entry.hash);
                queue.prune(state.kept, |hash, born| {
                    young(&entries, hash, born).is_some()
                });
            }
        }
        let mut change = Taken::default();
        change.add(taken(after));
        change.add(untaken(before));
        state.kept = state.kept + usize::from(after.is_some()) - usize::from(before.is_some());
        state.paced = state.paced + usize::from(is_paced(after)) - usize::from(is_paced(before));
        let mut removed = None;
        if is_of_no_use {
            removed = self.remove(at);
            self.fit();
        }
        Some(Left {
            removed,
            change,
            came,
        })
    }

    /// Gives a value away, to make room for another.
    pub(super) fn give_away(&mut self) -> Option<(Given<K, T>, Taken)> {
        let at = self.choose()?;
        let given = self.give(at)?;
        self.fit();
        Some(given)
    }

    /// The place whose value is to be given away.
    fn choose(&mut self) -> Option<usize> {
        let (mut entries, state) = self.0.parts();
        let kept = state.kept;
        let queue = state.queue.as_mut()?;
        while let Some((hash, born)) = queue.leaves(kept) {
            let Some(at) = young(&entries, hash, born) else {
                continue;
            };
            let (entry, note) = entries.get(at)?;
            note.young = None;
            if !note.is_free() || !entry.asked.forget() {
                continue;
            }
            queue.leave_ghost(hash, kept);
            return Some(at);
        }
        // Once more than it may spare all.
        for _ in 0..(Asked::MOST + 1) * entries.places() {
            let at = wrapped(queue.hand, entries.places());
            if let Some((entry, note)) = entries.get(at) {
                if note.is_free() && note.young.is_none() && entry.asked.spare() {
                    // What moves up to this place is the next.
                    queue.hand = at;
                    return Some(at);
                }
            }
            queue.hand = at + 1;
        }
        // There are but young ones.
        for _ in 0..2 * queue.young() {
            let (hash, born) = queue.oldest()?;
            let Some(at) = young(&entries, hash, born) else {
                continue;
            };
            let (entry, note) = entries.get(at)?;
            if note.is_free() && entry.asked.forget() {
                note.young = None;
                return Some(at);
            }
            queue.again((hash, born));
        }
        None
    }

    /// Looks at a few places, and gives away those that are `gone`.
    pub(super) fn sweep(
        &mut self,
        now: Tick,
        gone: impl Fn(&Entry<K, T>) -> bool,
    ) -> (Vec<Given<K, T>>, Taken) {
        const PLACES: usize = 7;
        let (mut given, mut change) = (Vec::new(), Taken::default());
        let places = self.0.entries().places();
        for _ in 0..PLACES.min(places) {
            let at = wrapped(self.0.broom, places);
            match self.give_if(at, now, &gone) {
                // What moves up to this place is the next.
                Some((one, by)) => {
                    given.push(one);
                    change.add(by);
                    self.0.broom = at;
                }
                None => self.0.broom = at + 1,
            }
        }
        if !given.is_empty() {
            self.fit();
        }
        (given, change)
    }

    /// Gives away what is at this place, if it is `gone` and nobody is there.
    fn give_if(
        &mut self,
        at: usize,
        now: Tick,
        gone: impl Fn(&Entry<K, T>) -> bool,
    ) -> Option<(Given<K, T>, Taken)> {
        let mut entries = self.0.entries();
        let (entry, note) = entries.get(at)?;
        if note.may_be_gone(Second::of(now)) && gone(&entry) {
            return self.give(at);
        }
        None
    }

    /// Gives away what is at this place, and counts it no more.
    fn give(&mut self, at: usize) -> Option<(Given<K, T>, Taken)> {
        let (mut entries, state) = self.0.parts();
        let (entry, note) = entries.get(at)?;
        let value = note.value.take()?;
        state.kept -= 1;
        state.paced -= usize::from(is_paced(Some(value)));
        let change = untaken(Some(value));
        // Whoever keeps a value without a visit holds the entry: others than those who found it without
        // the lock, of whom nothing is known before that is settled.
        if Arc::strong_count(&entry) > 1 {
            note.callers += 1;
            let given = Given::Held(Arc::clone(&entry), value.installed_at);
            return Some((given, change));
        }
        Some((Given::Whole(self.remove(at)?), change))
    }

    /// Gives away all values that are `meant`. Of those who are visited, and of keys that have no value,
    /// it says too that they are: none of them is left out.
    pub(super) fn give_all(
        &mut self,
        meant: impl Fn(&Entry<K, T>) -> bool,
    ) -> (Vec<Given<K, T>>, Taken) {
        let (mut given, mut change) = (Vec::new(), Taken::default());
        let mut at = 0;
        while at < self.0.entries().places() {
            let mut entries = self.0.entries();
            let Some((entry, note)) = entries.get(at).filter(|(entry, _)| meant(entry)) else {
                at += 1;
                continue;
            };
            if !note.is_free() {
                // What has become of its value is noted when the visit ends.
                note.callers += 1;
                given.push(Given::Visited(Arc::clone(&entry)));
                at += 1;
            } else if let Some((one, by)) = self.give(at) {
                // What moves up to this place is the next.
                at += usize::from(!matches!(one, Given::Whole(_)));
                given.push(one);
                change.add(by);
            }
        }
        self.fit();
        (given, change)
    }

    /// Takes an entry out.
    fn remove(&mut self, at: usize) -> Option<Arc<Entry<K, T>>> {
        let (mut entries, state) = self.0.parts();
        let (entry, _) = entries.remove(at)?;
        state.last = state.last.max(entry.pile.last());
        Some(entry)
    }

    /// Gives memory back that so many entries do not need.
    fn fit(&mut self) {
        let (mut entries, state) = self.0.parts();
        entries.fit();
        if entries.len() == 0 {
            state.queue = state.queue.as_ref().map(|_| Queue::new());
        }
    }
}

impl Note {
    /// Whether there is a value, and nobody at the entry.
    fn is_free(&self) -> bool {
        self.value.is_some() && self.callers == 0
    }

    /// Whether nobody is at the entry, and the value there may be gone.
    fn may_be_gone(&self, now: Second) -> bool {
        self.callers == 0 && self.value.is_some_and(|value| value.gone_from <= now)
    }
}

/// One of so many places in a ring.
fn wrapped(at: usize, places: usize) -> usize {
    if at < places { at } else { 0 }
}

/// Where the key stands that is known by this number while it is young.
fn young<K, T>(entries: &Entries<'_, Entry<K, T>>, hash: u64, born: NonZeroU32) -> Option<usize> {
    let mut all = entries.all(hash);
    all.find(|(_, _, note)| note.young == Some(born))
        .map(|(at, ..)| at)
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
