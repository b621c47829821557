//! A table of addresses by their hashes, which is read while it is changed.

use std::ptr;

use crate::raw::value::under_lock;
#[cfg(dogpile_loom)]
use crate::shim::UnsafeCell;
use crate::shim::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Places in a row. An address stands at the place that its hash names, or at one of those behind it with
/// no empty place in between.
///
/// One thread at a time changes it, under a lock. Others look meanwhile, and may miss what is there.
pub(super) struct Table<E> {
    places: Box<[Place<E>]>,
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
}

impl<E> Place<E> {
    /// Whether the address stands here, behind a barrier.
    #[inline]
    pub(super) fn holds(&self, address: *mut E) -> bool {
        // ORDERING: pairs with the release in `fill`: what is at the address is seen as it was made.
        self.address.load(Ordering::Acquire) == address
    }

    fn fill(&self, hash: u64, address: *mut E) {
        // ORDERING: relaxed: a reader that sees the one without the other compares the keys, or looks
        // again at the address.
        self.hash.store(hash, Ordering::Relaxed);
        // ORDERING: release pairs with the acquire in `holds`.
        self.address.store(address, Ordering::Release);
    }

    fn clear(&self) {
        // ORDERING: relaxed: nothing is read by way of null. That the address is gone from here before
        // it is freed is the barrier's to see to.
        self.address.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

// LOOM: as few places as will do.
const LEAST: usize = if cfg!(dogpile_loom) { 2 } else { 8 };

impl<E> Table<E> {
    /// An empty one, with room for so many.
    pub(super) fn for_many(entries: usize) -> Self {
        let places = (entries * 2).next_power_of_two().max(LEAST);
        let place = || Place {
            hash: AtomicU64::new(0),
            address: AtomicPtr::new(ptr::null_mut()),
        };
        Self {
            places: std::iter::repeat_with(place).take(places).collect(),
            #[cfg(dogpile_loom)]
            intact: UnsafeCell::new(true),
            #[cfg(dogpile_loom)]
            _size_of_its_own: [0; 97],
        }
    }

    /// Whether one more would make look-ups slow.
    pub(super) fn is_full(&self, entries: usize) -> bool {
        entries * 4 >= self.places.len() * 3
    }

    /// Whether a much smaller one would do.
    pub(super) fn is_wide(&self, entries: usize) -> bool {
        self.places.len() > LEAST && entries * 8 < self.places.len()
    }

    /// The place of an address with this hash, and the address.
    #[inline]
    pub(super) fn look(&self, hash: u64) -> Option<(&Place<E>, *mut E)> {
        #[cfg(dogpile_loom)]
        // SAFETY: written by `drop` alone, with which loom reports a race before it does harm.
        (self.intact).with(|intact| assert!(unsafe { *intact }, "looked at after it was freed"));
        for step in 0..self.places.len() {
            let place = self.place(hash, step);
            // ORDERING: relaxed: looked at again, behind a barrier, before anything is read there.
            let address = place.address.load(Ordering::Relaxed);
            if address.is_null() {
                return None;
            }
            // ORDERING: relaxed: as in `fill`.
            if place.hash.load(Ordering::Relaxed) == hash {
                return Some((place, address));
            }
        }
        None
    }

    #[inline]
    fn place(&self, hash: u64, step: usize) -> &Place<E> {
        &self.places[self.at(hash, step)]
    }

    #[inline]
    fn at(&self, hash: u64, step: usize) -> usize {
        (hash as usize).wrapping_add(step) & (self.places.len() - 1)
    }

    /// Puts an address into an empty place. Under the lock. There has to be one: see
    /// [`is_full`](Table::is_full).
    pub(super) fn put(&self, hash: u64, address: *mut E) {
        let mut steps = (0..self.places.len()).map(|step| self.place(hash, step));
        if let Some(empty) = steps.find(|place| under_lock(&place.address).is_null()) {
            empty.fill(hash, address);
        }
    }

    /// Takes an address out. Says whether it was there. Under the lock.
    ///
    /// No place stays empty before one that is looked for from there: what stands behind moves up.
    /// (A reader that comes to neither place of what moves finds nothing, and takes the lock.)
    pub(super) fn take(&self, hash: u64, address: *mut E) -> bool {
        let steps = 0..self.places.len();
        let found = steps.map(|step| self.at(hash, step)).find(|&at| {
            let there = under_lock(&self.places[at].address);
            there.is_null() || there == address
        });
        let Some(mut gap) = found.filter(|&at| !under_lock(&self.places[at].address).is_null())
        else {
            return false;
        };
        let mut at = gap;
        loop {
            at = (at + 1) & (self.places.len() - 1);
            let moved = under_lock(&self.places[at].address);
            if moved.is_null() {
                break;
            }
            let hash = self.hash_at(at);
            let steps_to = |to: usize| to.wrapping_sub(hash as usize) & (self.places.len() - 1);
            if steps_to(gap) < steps_to(at) {
                self.places[gap].fill(hash, moved);
                gap = at;
            }
        }
        self.places[gap].clear();
        true
    }

    fn hash_at(&self, at: usize) -> u64 {
        // ORDERING: relaxed: stored under the lock.
        self.places[at].hash.load(Ordering::Relaxed)
    }

    /// All addresses with their hashes. Under the lock.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, *mut E)> {
        let all = (0..self.places.len()).map(|at| (self.hash_at(at), &self.places[at]));
        all.map(|(hash, place)| (hash, under_lock(&place.address)))
            .filter(|(_, address)| !address.is_null())
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

    fn address(number: usize) -> *mut u8 {
        ptr::without_provenance_mut(number)
    }

    /// The address that is found by a hash, where it stands.
    fn found(table: &Table<u8>, hash: u64) -> Option<*mut u8> {
        let (place, address) = table.look(hash)?;
        assert!(place.holds(address));
        assert!(!place.holds(self::address(1_000)));
        Some(address)
    }

    #[test]
    fn it_is_half_empty_at_first() {
        for (entries, places) in [(1, 8), (4, 8), (5, 16), (8, 16), (9, 32)] {
            assert_eq!(Table::<u8>::for_many(entries).places.len(), places);
        }
    }

    #[test]
    fn it_is_full_at_three_quarters() {
        for (entries, least) in [(1, 6), (8, 12), (16, 24)] {
            let table = Table::<u8>::for_many(entries);
            assert!(!table.is_full(least - 1) && table.is_full(least));
        }
    }

    #[test]
    fn it_is_wide_below_an_eighth() {
        assert!(!Table::<u8>::for_many(1).is_wide(0), "none is smaller");
        for (entries, least) in [(8, 2), (32, 8)] {
            let table = Table::<u8>::for_many(entries);
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
                    let order = (0..5).map(|at| (first + at * step) % 5);
                    for at in order {
                        table.put(hashes[at], address(at + 1));
                    }
                    // In the order in which they stand, from one of them on.
                    let mut left = hashes.to_vec();
                    for at in (0..5).map(|at| (goes + at) % 5) {
                        for (at, hash) in hashes.iter().enumerate() {
                            let is_left = left.contains(hash);
                            assert_eq!(found(&table, *hash), is_left.then(|| address(at + 1)));
                        }
                        let hash = hashes[at];
                        assert!(!table.take(hash, address(at + 11)));
                        assert!(table.take(hash, address(at + 1)));
                        assert!(!table.take(hash, address(at + 1)));
                        left.retain(|&other| other != hash);
                        let mut all: Vec<u64> = table.iter().map(|(hash, _)| hash).collect();
                        all.sort_unstable();
                        left.sort_unstable();
                        assert_eq!(all, left);
                    }
                }
            }
        }
    }

    /// Where two have the same hash, the first one is found.
    #[test]
    fn of_two_with_one_hash_one_is_found() {
        let table = Table::for_many(1);
        table.put(3, address(1));
        table.put(3, address(2));
        assert_eq!(found(&table, 3), Some(address(1)));
        assert!(table.take(3, address(1)));
        assert_eq!(found(&table, 3), Some(address(2)));
    }
}
