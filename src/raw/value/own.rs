//! The slots of this thread, which it finds through a thread-local.
//!
//! A thread begins with one [record](super::registry). When all its slots are taken, it takes a further
//! record and links it behind the one where it looked last. So its records are a ring, and it looks
//! for a slot where it found the last one, and goes round from there. (What a thread holds comes and
//! goes mostly in the order of a queue, or of a stack. Both find the next slot at once.) It remembers
//! that slot itself as well: a hit among many others held finds it free, as the first of all does.
//!
//! *No look costs much.* A thread looks through all of its records before it takes another one. If
//! none of them has a slot, it looks at two records only for as many times as it has records. So one
//! look at all is paid for by as many at two, and a thread has at most twice as many records as it
//! has filled, and two.
//!
//! *No writer pays much.* Each writer looks at all slots of the process. So a thread takes a further
//! record for a value only up to 32 records. When it has those, it looks at one record each time, and
//! at the next one the next time. If there is no free slot it shows the value in its *transit* slot,
//! for as long as it takes to count on it. For gates there is no limit, as only a thread's own slots
//! tell that it is inside.

use std::cell::Cell;
use std::ptr;

use crate::raw::value::barrier;
use crate::raw::value::registry::{Record, Spare, spare, take_or_add};
use crate::raw::value::slot::Slot;
use crate::shim::Lasting;

crate::shim::thread_local_const! {
    /// It has no destructor, so that finding what it holds takes one load.
    static MINE: Mine = Mine::new();
}

crate::shim::thread_local_const! {
    /// Of use while there is a first one.
    static FURTHER: Further = Further::new();
}

crate::shim::thread_local_const! {
    /// Gives the records back when the thread ends.
    static LEAVING: Leaving = Leaving(Cell::new(None));
}

/// What a thread looks at first, once it has a record.
struct Mine {
    first: Cell<Option<&'static Record>>,
    /// The slot for a value that it found last.
    slot: Cell<Option<&'static Slot>>,
}

/// What a thread knows of its records.
struct Further {
    /// How many it has.
    records: Cell<usize>,
    values: Place,
    gates: Place,
    /// The fenced value that it read last, and how many times in a row.
    fenced: Cell<*const ()>,
    read: Cell<u32>,
    /// How many times it has found something behind fences, whatever it was.
    found: Cell<u32>,
}

/// Where a thread looks for slots of one kind.
struct Place {
    /// The record in which it looked last.
    last: Cell<Option<&'static Record>>,
    /// How many times it is not to look through all records.
    patience: Cell<usize>,
}

struct Leaving(Cell<Option<(&'static Record, Lasting<Spare>)>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // Thread-locals that are dropped after this one find no record. They are other threads' by
        // then, and of two threads that used one slot neither would be safe.
        let _ = MINE.try_with(Mine::forget);
        let Some((first, spare)) = self.0.take() else {
            return;
        };
        let mut next = Some(first);
        while let Some(record) = next {
            next = record.linked();
            spare.give_back(record);
        }
    }
}

/// A slot that this thread may use. `None` if it has as many as it may have, all of them taken, or
/// is past the destructors of its thread-locals.
#[inline(always)]
pub(in crate::raw) fn free_slot() -> Option<&'static Slot> {
    match MINE.try_with(|mine| mine.slot.get()) {
        Ok(Some(last)) if last.is_free() => Some(last),
        _ => next_slot(),
    }
}

/// As [`free_slot`], for a thread that is about to take another one as well, which is the first as a rule.
#[inline(always)]
pub(in crate::raw) fn second_free_slot() -> Option<&'static Slot> {
    let mine = first_record();
    match mine.and_then(|mine| mine.slots.get(1)) {
        Some(second) if second.is_free() => Some(second),
        _ => slot_beside(),
    }
}

// One call for all that is not at hand, so that what is inlined into a hit stays small.
#[cold]
#[inline(never)]
fn next_slot() -> Option<&'static Slot> {
    let found = further_slot()?;
    MINE.try_with(|mine| mine.slot.set(Some(found))).ok()?;
    Some(found)
}

// What comes next is the other slot of the two, so that one is remembered.
#[cold]
#[inline(never)]
fn slot_beside() -> Option<&'static Slot> {
    further_slot()
}

#[inline(always)]
fn further_slot() -> Option<&'static Slot> {
    let first = first_record().or_else(enter)?;
    let free = |record: &'static Record| record.slots.iter().find(|slot| slot.is_free());
    let found = FURTHER.try_with(|further| further.find(first, &further.values, most(), free));
    found.ok().flatten()
}

/// As [`free_slot`], to show the number of a gate.
#[inline]
pub(in crate::raw) fn free_gate_slot() -> Option<&'static Slot> {
    let mine = first_record();
    match mine.and_then(|mine| mine.gate_slots.first()) {
        Some(first) if first.is_free() => Some(first),
        _ => further_gate_slot(mine),
    }
}

#[cold]
#[inline(never)]
fn further_gate_slot(mine: Option<&'static Record>) -> Option<&'static Slot> {
    let mine = mine.or_else(enter)?;
    let free = |record: &'static Record| record.gate_slots.iter().find(|slot| slot.is_free());
    let most = most_of_gates();
    let found = FURTHER.try_with(|further| further.find(mine, &further.gates, most, free));
    found.ok().flatten()
}

/// A slot in which a value may be shown until it is counted, and where no other code runs meanwhile.
/// `None` if the thread is past the destructors of its thread-locals.
#[inline]
pub(in crate::raw) fn transit_slot() -> Option<&'static Slot> {
    first_record().or_else(enter)?.transit()
}

/// Whether this thread has read this fenced value, and no other fenced one since, so many times that
/// a barrier would have cost less than the fences, or that nobody replaces it often any more: if it is
/// replaced a thousand times a second, no thread gets as far.
pub(in crate::raw) fn has_read_long(address: *const ()) -> bool {
    let long = FURTHER.try_with(|further| {
        if further.fenced.replace(address) != address {
            further.read.set(0);
        }
        further.read.set(further.read.get().wrapping_add(1));
        further.read.get() == long()
    });
    long.unwrap_or(false)
}

/// Whether this thread has found something behind fences so many times, whatever it was. Then it begins to
/// count anew.
pub(in crate::raw) fn has_found_long() -> bool {
    let long = FURTHER.try_with(|further| {
        let found = further.found.get().wrapping_add(1);
        let is_long = found == long();
        further.found.set(if is_long { 0 } else { found });
        is_long
    });
    long.unwrap_or(false)
}

/// In how many slots this thread shows the number of a gate.
pub(in crate::raw) fn own_gate_slots(number: *const ()) -> usize {
    let records = std::iter::successors(first_record(), |record| record.linked());
    let slots = records.flat_map(|record| record.gate_slots.iter());
    slots.filter(|slot| slot.shown() == number).count()
}

/// The first record of this thread, if it has one.
#[inline]
fn first_record() -> Option<&'static Record> {
    MINE.try_with(|mine| mine.first.get()).ok()?
}

/// Takes a record. `None` if the thread is past the destructors of its thread-locals.
#[cold]
fn enter() -> Option<&'static Record> {
    // Refused where its destructor has run already.
    let record = LEAVING.try_with(|leaving| {
        barrier::prepare();
        let spare = spare();
        let record = take_or_add(&spare);
        leaving.0.set(Some((record, spare)));
        record
    });
    let record = record.ok()?;
    MINE.try_with(|mine| mine.first.set(Some(record))).ok()?;
    Some(record)
}

/// How many records a thread has for values.
#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
const fn most() -> usize {
    32
}

#[cfg(not(dogpile_loom))]
const fn long() -> u32 {
    1 << 16
}

#[cfg(dogpile_loom)]
fn long() -> u32 {
    crate::shim::model::setting().long.unwrap_or(0)
}

/// How many records a thread has for gates.
#[cfg(not(dogpile_loom))]
const fn most_of_gates() -> usize {
    usize::MAX
}

// So that models get beyond it.
#[cfg(dogpile_shuttle)]
const fn most() -> usize {
    2
}

// LOOM: as few as will do.
#[cfg(dogpile_loom)]
fn most() -> usize {
    crate::shim::model::setting().records
}

#[cfg(dogpile_loom)]
fn most_of_gates() -> usize {
    most()
}

impl Mine {
    const fn new() -> Self {
        Self {
            first: Cell::new(None),
            slot: Cell::new(None),
        }
    }

    fn forget(&self) {
        self.first.set(None);
        self.slot.set(None);
    }
}

impl Further {
    const fn new() -> Self {
        Self {
            records: Cell::new(1),
            values: Place::new(),
            gates: Place::new(),
            fenced: Cell::new(ptr::null()),
            read: Cell::new(0),
            found: Cell::new(0),
        }
    }

    /// A free slot of the thread whose first record is `mine`, which may take further records up to
    /// a number of `most`.
    fn find(
        &self,
        mine: &'static Record,
        place: &Place,
        most: usize,
        free: impl Fn(&'static Record) -> Option<&'static Slot>,
    ) -> Option<&'static Slot> {
        let last = place.last.get().unwrap_or(mine);
        if let Some(slot) = free(last) {
            return Some(slot);
        }
        if self.records.get() >= most {
            // One record for each that finds none.
            place.last.set(Some(last.linked().unwrap_or(mine)));
            return None;
        }
        let patience = place.patience.get();
        let mut record = last;
        let mut looked_at = 1;
        loop {
            record = record.linked().unwrap_or(mine);
            if ptr::eq(record, last) {
                break;
            }
            if let Some(slot) = free(record) {
                place.last.set(Some(record));
                return Some(slot);
            }
            looked_at += 1;
            if patience > 0 {
                break;
            }
        }
        place.patience.set(match patience {
            0 => looked_at,
            _ => patience - 1,
        });
        let new = take_or_add(&spare());
        self.records.set(self.records.get() + 1);
        new.link_to(last.linked());
        last.link_to(Some(new));
        place.last.set(Some(new));
        free(new)
    }
}

impl Place {
    const fn new() -> Self {
        Self {
            last: Cell::new(None),
            patience: Cell::new(0),
        }
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// What a thread knows of its records, and how many of them are looked at.
    struct Ring {
        further: Further,
        first: &'static Record,
        looked_at: Cell<usize>,
    }

    impl Ring {
        fn new() -> Self {
            Self {
                further: Further::new(),
                first: take_or_add(&spare()),
                looked_at: Cell::new(0),
            }
        }

        /// The record of a free slot, if there is one, and at how many records it was looked for.
        fn find(&self, most: usize) -> (Option<&'static Record>, usize) {
            let found = Cell::new(None);
            let free = |record: &'static Record| {
                self.looked_at.set(self.looked_at.get() + 1);
                let slot = record.slots.iter().find(|slot| slot.is_free())?;
                found.set(Some(record));
                Some(slot)
            };
            let slot = (self.further).find(self.first, &self.further.values, most, free);
            assert_eq!(slot.is_some(), found.get().is_some());
            (found.get(), self.looked_at.take())
        }

        fn records(&self) -> Vec<&'static Record> {
            std::iter::successors(Some(self.first), |record| record.linked()).collect()
        }
    }

    impl Drop for Ring {
        fn drop(&mut self) {
            for record in self.records() {
                let mine = record.slots.iter().filter(|slot| slot.shown() == ANYWHERE);
                mine.for_each(Slot::clear);
                spare().give_back(record);
            }
        }
    }

    const ANYWHERE: *const () = ptr::without_provenance(8);

    /// Takes all slots of a record that are free. (Others may be those of guards that were forgotten.)
    fn fill(record: &Record) {
        let free = record.slots.iter().filter(|slot| slot.is_free());
        free.for_each(|slot| slot.show(ANYWHERE));
    }

    /// One of those that were taken.
    fn a_slot(record: &Record) -> &Slot {
        let mut slots = record.slots.iter();
        slots.rfind(|slot| slot.shown() == ANYWHERE).unwrap()
    }

    /// With none free, one look at all records is paid for by as many at two. (The last is at the new one.)
    #[test]
    fn few_looks_are_at_all_records() {
        let ring = Ring::new();
        fill(ring.first);
        let mut looks = Vec::new();
        for taken in 2..=16 {
            let (found, looked_at) = ring.find(usize::MAX);
            fill(found.unwrap());
            looks.push(looked_at);
            assert_eq!(ring.further.records.get(), taken);
        }
        assert_eq!(looks, [2, 3, 4, 3, 3, 3, 8, 3, 3, 3, 3, 3, 3, 3, 16]);
        assert_eq!(ring.records().len(), 16);
    }

    /// A slot is looked for where the last one was found, and then in all records, before another is taken.
    #[test]
    fn no_record_is_taken_while_there_is_a_slot() {
        let ring = Ring::new();
        fill(ring.first);
        let second = ring.find(usize::MAX).0.unwrap();
        assert_eq!(ring.find(usize::MAX).1, 1, "not looked for in the new one");
        fill(second);
        let third = ring.find(usize::MAX).0.unwrap();
        fill(third);
        a_slot(ring.first).clear();
        let (found, looked_at) = ring.find(usize::MAX);
        assert!(ptr::eq(found.unwrap(), ring.first));
        assert_eq!(looked_at, 2);
        assert_eq!(ring.find(usize::MAX).1, 1, "not looked for where it was");
        fill(ring.first);
        a_slot(second).clear();
        assert!(ptr::eq(ring.find(usize::MAX).0.unwrap(), second));
        assert_eq!(ring.records().len(), 3);
        // The next one comes between two others, and neither is lost.
        fill(second);
        let fourth = ring.find(usize::MAX).0.unwrap();
        let records = ring.records();
        assert_eq!(records.len(), 4);
        for record in [ring.first, second, third, fourth] {
            assert!(records.iter().any(|&other| ptr::eq(other, record)));
        }
    }

    /// A thread that has as many as it may have looks at one of them each time, and at each in turn.
    #[test]
    fn no_more_records_are_taken_than_a_thread_may_have() {
        let ring = Ring::new();
        fill(ring.first);
        fill(ring.find(2).0.unwrap());
        for _ in 0..3 {
            assert!(matches!(ring.find(2), (None, 1)));
        }
        assert_eq!(ring.records().len(), 2);
        a_slot(ring.first).clear();
        let found = [ring.find(2).0, ring.find(2).0];
        let found: Vec<_> = found.into_iter().flatten().collect();
        assert!(!found.is_empty() && found.iter().all(|&found| ptr::eq(found, ring.first)));
    }

    /// A thread that ends leaves its records to others.
    #[test]
    fn records_are_given_back() {
        static OWN: Spare = Spare::new();
        let (one, two) = (take_or_add(&&OWN), take_or_add(&&OWN));
        one.link_to(Some(two));
        drop(Leaving(Cell::new(Some((one, &OWN)))));
        let taken = [take_or_add(&&OWN), take_or_add(&&OWN)];
        assert!(ptr::eq(taken[0], two) && ptr::eq(taken[1], one));
    }

    /// The slot that was found last is looked at first, though an earlier one may be free again.
    #[test]
    fn the_slot_that_was_found_last_is_remembered() {
        let first = free_slot().unwrap();
        first.show(ANYWHERE);
        let second = free_slot().unwrap();
        assert!(!ptr::eq(second, first));
        first.clear();
        assert!(ptr::eq(free_slot().unwrap(), second));
        second.show(ANYWHERE);
        assert!(ptr::eq(free_slot().unwrap(), first));
        second.clear();
    }

    /// The first slot is left to what is taken next.
    #[test]
    fn who_takes_two_slots_finds_the_second_first() {
        transit_slot().unwrap();
        let second = &first_record().unwrap().slots[1];
        if !second.is_free() {
            // An earlier thread that had this record has forgotten a guard. So there is another slot to find.
            let other = second_free_slot().unwrap();
            assert!(other.is_free() && !ptr::eq(other, second));
            return;
        }
        assert!(ptr::eq(second_free_slot().unwrap(), second));
        second.show(ANYWHERE);
        let other = second_free_slot().unwrap();
        assert!(other.is_free() && !ptr::eq(other, second));
        second.clear();
    }

    /// What a thread drops after its records are gone finds no slot: they are other threads' by then.
    #[test]
    fn a_thread_that_has_given_its_records_back_finds_no_slot() {
        static OWN: Spare = Spare::new();
        free_slot().unwrap();
        drop(Leaving(Cell::new(Some((take_or_add(&&OWN), &OWN)))));
        assert!(first_record().is_none());
        assert!(MINE.with(|mine| mine.slot.get()).is_none());
    }

    /// Whoever has taken a record gives it back.
    #[test]
    fn a_record_is_noted_to_be_given_back() {
        let transit = transit_slot().unwrap();
        let first = first_record().unwrap();
        assert!(ptr::eq(transit, first.transit().unwrap()));
        let (noted, _) = LEAVING.with(|leaving| leaving.0.get()).unwrap();
        assert!(ptr::eq(noted, first));
    }
}
