//! A table of addresses by their hashes, which is read while it is changed.

use std::ptr;

use super::is_looked_into;
use crate::shim::atomic::{AtomicPtr, AtomicU64, Ordering};
#[cfg(dogpile_loom)]
use crate::shim::{Hint, HintPtr, UnsafeCell};

/// Places in a row. An address stands at the place that its hash names, or at one of those behind it with
/// no empty place in between.
///
/// One thread at a time changes it, under a lock. Others look meanwhile, and may miss what is there. They
/// pass by what is [hidden](HIDDEN).
pub(super) struct Table<E> {
    places: Box<[Place<E>]>,
    /// Odd. The lower bits of a hash, times this, name its place. Whoever has learned the order of one table
    /// puts the same entries into another one in that order: if both had one factor, the second table would be
    /// filled from its beginning again before it is full and grows, and all that comes would have to go past what
    /// stands there.
    factor: u64,
    // LOOM: notices who looks at a table that was freed.
    #[cfg(dogpile_loom)]
    intact: UnsafeCell<bool>,
    // LOOM: of a size that nothing else has, as a node.
    #[cfg(dogpile_loom)]
    _size_of_its_own: [u64; 97],
}

pub(super) struct Place<E> {
    /// That of the address which stands here, or of one that stood here. It only says where to look.
    hash: AtomicU64,
    /// Null if the place is empty.
    address: AtomicPtr<E>,
    // LOOM: what whoever holds the lock finds here. A look at the other two would multiply the
    // interleavings.
    #[cfg(dogpile_loom)]
    under_lock: (Hint, HintPtr<E>),
}

/// The mark of an address that is found under the lock alone, in its lowest bit.
const HIDDEN: usize = 1;

pub(super) fn is_hidden<E>(address: *mut E) -> bool {
    const { assert!(align_of::<E>() > HIDDEN) };
    address.addr() & HIDDEN != 0
}

pub(super) fn hidden<E>(address: *mut E) -> *mut E {
    address.map_addr(|address| address | HIDDEN)
}

pub(super) fn bare<E>(address: *mut E) -> *mut E {
    address.map_addr(|address| address & !HIDDEN)
}

impl<E> Place<E> {
    fn empty() -> Self {
        Self {
            hash: AtomicU64::new(0),
            address: AtomicPtr::new(ptr::null_mut()),
            #[cfg(dogpile_loom)]
            under_lock: Default::default(),
        }
    }

    /// Whether the address stands here, behind a barrier.
    #[inline]
    pub(super) fn holds(&self, address: *mut E) -> bool {
        // ORDERING: pairs with the release in `fill`: what is at the address is seen as it was made.
        self.address.load(Ordering::Acquire) == address
    }

    fn fill(&self, hash: u64, address: *mut E) {
        #[cfg(dogpile_loom)]
        self.set_under_lock(hash, address);
        if !is_looked_into() {
            return;
        }
        // ORDERING: relaxed: a reader that sees the one without the other compares the keys, or looks
        // again at the address.
        self.hash.store(hash, Ordering::Relaxed);
        // ORDERING: release pairs with the acquire in `holds`.
        self.address.store(address, Ordering::Release);
    }

    fn clear(&self) {
        #[cfg(dogpile_loom)]
        self.set_under_lock(0, ptr::null_mut());
        if !is_looked_into() {
            return;
        }
        // ORDERING: relaxed: nothing is read by way of null. That the address is gone from here before
        // it is freed is the barrier's to see to.
        self.address.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What stands here, for whoever holds the lock.
    fn under_lock(&self) -> (u64, *mut E) {
        #[cfg(not(dogpile_loom))]
        let (hash, address) = (&self.hash, &self.address);
        #[cfg(dogpile_loom)]
        let (hash, address) = &self.under_lock;
        // ORDERING: relaxed: stored under the lock.
        let hash = hash.load(Ordering::Relaxed);
        // ORDERING: relaxed: stored under the lock.
        (hash, address.load(Ordering::Relaxed))
    }

    #[cfg(dogpile_loom)]
    fn set_under_lock(&self, hash: u64, address: *mut E) {
        // ORDERING: relaxed: under the lock.
        self.under_lock.0.store(hash, Ordering::Relaxed);
        // ORDERING: relaxed: under the lock.
        self.under_lock.1.store(address, Ordering::Relaxed);
    }
}

// LOOM: as few places as will do.
const LEAST: usize = if cfg!(dogpile_loom) { 2 } else { 8 };

impl<E> Table<E> {
    /// An empty one, with room for so many.
    pub(super) fn for_many(entries: usize) -> Self {
        let places = (entries * 2).next_power_of_two().max(LEAST);
        Self {
            places: std::iter::repeat_with(Place::empty).take(places).collect(),
            factor: 1,
            #[cfg(dogpile_loom)]
            intact: UnsafeCell::new(true),
            #[cfg(dogpile_loom)]
            _size_of_its_own: [0; 97],
        }
    }

    /// The same, whose places are named by another factor.
    pub(super) fn by(self, factor: u64) -> Self {
        // LOOM: models name the places where their entries stand.
        if cfg!(any(dogpile_loom, dogpile_shuttle)) {
            return self;
        }
        let mut table = self;
        table.factor = factor | 1;
        table
    }

    /// The factor of a table that is to be filled with so many, and may be filled in the order of this one.
    pub(super) fn next_factor(&self, entries: usize) -> u64 {
        match self.is_full(entries) {
            // What is there is copied in one go, from beginning to end.
            true => self.factor,
            false => self.factor.wrapping_mul(0x5851_f42d_4c95_7f2d),
        }
    }

    /// How many places it has.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Whether one more would make look-ups slow.
    pub(super) fn is_full(&self, entries: usize) -> bool {
        entries * 8 >= self.places.len() * 7
    }

    /// Whether a much smaller one would do.
    pub(super) fn is_wide(&self, entries: usize) -> bool {
        self.places.len() > 2 * LEAST && entries * 8 < self.places.len()
    }

    /// The place of an address with this hash that is not hidden, and the address.
    #[inline]
    pub(super) fn look(&self, hash: u64) -> Option<(&Place<E>, *mut E)> {
        #[cfg(dogpile_loom)]
        // SAFETY: written by `drop` alone, with which loom reports a race before it does harm.
        (self.intact).with(|intact| assert!(unsafe { *intact }, "looked at after it was freed"));
        for step in 0..self.places.len() {
            let place = &self.places[self.at(hash, step)];
            // ORDERING: relaxed: looked at again, behind a barrier, before anything is read there.
            let address = place.address.load(Ordering::Relaxed);
            if address.is_null() {
                return None;
            }
            // ORDERING: relaxed: as in `fill`.
            if place.hash.load(Ordering::Relaxed) == hash && !is_hidden(address) {
                return Some((place, address));
            }
        }
        None
    }

    #[inline]
    fn at(&self, hash: u64, step: usize) -> usize {
        self.first(hash).wrapping_add(step) & (self.places.len() - 1)
    }

    /// How many places this one is behind the one that the hash names.
    pub(super) fn distance(&self, hash: u64, to: usize) -> usize {
        to.wrapping_sub(self.first(hash)) & (self.places.len() - 1)
    }

    #[inline]
    fn first(&self, hash: u64) -> usize {
        hash.wrapping_mul(self.factor) as usize
    }

    // All that follows is done under the lock.

    /// What stands at a place, if anything does: its hash, and the address as it is marked.
    pub(super) fn get(&self, at: usize) -> Option<(u64, *mut E)> {
        let (hash, address) = self.places.get(at)?.under_lock();
        (!address.is_null()).then_some((hash, address))
    }

    /// The places of all addresses with this hash.
    pub(super) fn all(&self, hash: u64) -> impl Iterator<Item = usize> {
        let steps = (0..self.places.len()).map(move |step| self.at(hash, step));
        let used = steps.map_while(|at| Some((at, self.get(at)?)));
        used.filter(move |(_, (other, _))| *other == hash)
            .map(|(at, _)| at)
    }

    /// All addresses, with their places and hashes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64, *mut E)> {
        let all = (0..self.places.len()).map(|at| Some((at, self.get(at)?)));
        all.flatten()
            .map(|(at, (hash, address))| (at, hash, address))
    }

    /// Puts an address into an empty place, of which there has to be one: see
    /// [`is_full`](Table::is_full). The place.
    pub(super) fn put(&self, hash: u64, address: *mut E) -> usize {
        let mut steps = (0..self.places.len()).map(|step| self.at(hash, step));
        let Some(empty) = steps.find(|&at| self.get(at).is_none()) else {
            unreachable!("a table is never full");
        };
        self.places[empty].fill(hash, address);
        empty
    }

    /// Has an address that is hidden found without the lock, too. Says whether it was.
    pub(super) fn show(&self, at: usize) -> bool {
        match self.get(at) {
            Some((hash, address)) if is_hidden(address) => {
                self.places[at].fill(hash, bare(address));
                true
            }
            _ => false,
        }
    }

    /// Whether anything is found without the lock.
    pub(super) fn shows_any(&self) -> bool {
        self.iter().any(|(_, _, address)| !is_hidden(address))
    }

    /// Hides all that is not hidden, and tells what it was.
    pub(super) fn hide_all(&self, mut was_shown: impl FnMut(*mut E)) {
        for (at, hash, address) in self.iter().filter(|&(.., address)| !is_hidden(address)) {
            self.places[at].fill(hash, hidden(address));
            was_shown(address);
        }
    }

    /// Empties a place. No place stays empty before one that is looked for from there: what stands behind
    /// moves up, and `moved` is told from where and to where.
    ///
    /// (A reader that comes to neither place of what moves finds nothing, and takes the lock.)
    pub(super) fn take(&self, at: usize, mut moved: impl FnMut(usize, usize)) {
        let after = |at: usize| (at + 1) & (self.places.len() - 1);
        let (mut gap, mut at) = (at, after(at));
        while let Some((hash, address)) = self.get(at) {
            if self.distance(hash, gap) < self.distance(hash, at) {
                self.places[gap].fill(hash, address);
                moved(at, gap);
                gap = at;
            }
            at = after(at);
        }
        self.places[gap].clear();
    }
}

#[cfg(dogpile_loom)]
impl<E> Drop for Table<E> {
    fn drop(&mut self) {
        // SAFETY: as in `look`.
        (self.intact).with_mut(|intact| unsafe { *intact = false });
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// Of what the addresses are.
    type Word = u64;

    fn address(number: usize) -> *mut Word {
        ptr::without_provenance_mut(8 * number)
    }

    /// The address that is found by a hash, where it stands.
    fn found(table: &Table<Word>, hash: u64) -> Option<*mut Word> {
        let (place, address) = table.look(hash)?;
        assert!(place.holds(address));
        assert!(!place.holds(self::address(1_000)));
        Some(address)
    }

    fn place_of(table: &Table<Word>, hash: u64) -> Option<usize> {
        table.all(hash).next()
    }

    #[test]
    fn it_is_half_empty_at_first() {
        for (entries, places) in [(1, 8), (4, 8), (5, 16), (8, 16), (9, 32)] {
            assert_eq!(Table::<Word>::for_many(entries).places(), places);
        }
    }

    #[test]
    fn it_is_full_at_seven_eighths() {
        for (entries, least) in [(1, 7), (8, 14), (16, 28)] {
            let table = Table::<Word>::for_many(entries);
            assert!(!table.is_full(least - 1) && table.is_full(least));
        }
    }

    #[test]
    fn it_is_wide_below_an_eighth() {
        for small in [1, 8] {
            assert!(
                !Table::<Word>::for_many(small).is_wide(0),
                "it takes little"
            );
        }
        for (entries, least) in [(16, 4), (32, 8)] {
            let table = Table::<Word>::for_many(entries);
            assert!(table.is_wide(least - 1) && !table.is_wide(least));
        }
    }

    /// Whatever came in which order, and whichever goes first: all others are found. Five that want three
    /// places in a row, the last one and the first one of the table among them.
    #[test]
    fn all_are_found_but_those_taken_out() {
        let hashes: [u64; 5] = [6, 8 + 6, 8 + 7, 7, 16];
        for first in 0..5 {
            for step in 1..5 {
                for goes in 0..5 {
                    let table = Table::for_many(1);
                    // As who keeps something beside each address.
                    let mut beside = [0; 8];
                    let order = (0..5).map(|at| (first + at * step) % 5);
                    for at in order {
                        let place = table.put(hashes[at], address(at + 1));
                        beside[place] = at + 1;
                    }
                    // In the order in which they stand, from one of them on.
                    let mut left = hashes.to_vec();
                    for at in (0..5).map(|at| (goes + at) % 5) {
                        for (at, hash) in hashes.iter().enumerate() {
                            let is_left = left.contains(hash);
                            assert_eq!(found(&table, *hash), is_left.then(|| address(at + 1)));
                        }
                        let hash = hashes[at];
                        table.take(place_of(&table, hash).unwrap(), |from, to| {
                            beside[to] = beside[from];
                        });
                        assert_eq!(place_of(&table, hash), None);
                        left.retain(|&other| other != hash);
                        let mut all = Vec::new();
                        for (at, hash, address) in table.iter() {
                            assert_eq!(table.get(at), Some((hash, address)));
                            assert_eq!(address, self::address(beside[at]));
                            all.push(hash);
                        }
                        all.sort_unstable();
                        left.sort_unstable();
                        assert_eq!(all, left);
                    }
                }
            }
        }
    }

    /// Where two have the same hash, the first one is found; all are, under the lock.
    #[test]
    fn of_two_with_one_hash_one_is_found() {
        let table = Table::for_many(1);
        let one = table.put(3, address(1));
        let two = table.put(3, address(2));
        table.put(4, address(3));
        assert_eq!(found(&table, 3), Some(address(1)));
        assert_eq!(Vec::from_iter(table.all(3)), [one, two]);
        table.take(one, |_, _| {});
        assert_eq!(found(&table, 3), Some(address(2)));
        assert_eq!(table.all(3).count(), 1);
    }

    /// It stands there all the same, and moves as others do. Another one behind it, with the same hash, is
    /// found.
    #[test]
    fn what_is_hidden_is_not_found_before_it_is_shown() {
        let table = Table::for_many(1);
        let first = table.put(3, address(1));
        let at = table.put(3, hidden(address(2)));
        table.put(3, address(3));
        table.take(first, |_, _| {});
        assert_eq!(found(&table, 3), Some(address(3)));
        let at = at - 1;
        assert_eq!(table.get(at), Some((3, hidden(address(2)))));
        assert_eq!(bare(hidden(address(2))), address(2));
        assert!(table.show(at) && !table.show(at) && !table.show(7));
        assert_eq!(found(&table, 3), Some(address(2)));
    }

    #[test]
    fn what_was_shown_is_told_when_all_is_hidden() {
        let table = Table::for_many(1);
        table.put(3, hidden(address(1)));
        assert!(!table.shows_any());
        table.put(3, address(2));
        table.put(4, address(3));
        assert!(table.shows_any());
        let mut shown = Vec::new();
        table.hide_all(|address| shown.push(address));
        assert_eq!(shown, [address(2), address(3)]);
        assert!(!table.shows_any());
        assert_eq!((found(&table, 3), found(&table, 4)), (None, None));
        assert_eq!((table.all(3).count(), table.all(4).count()), (2, 1));
    }
}
