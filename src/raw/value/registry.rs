//! All slots of the process, in records. Each thread [has](super::own) one record, or some.
//!
//! Records are put on a list, where everybody finds them all, and are never freed. A thread that ends
//! gives its records back: they go to the *spare* records, from which another thread takes one when it
//! needs one. Neither looks at any other record, so the cost is the same however many there are.
//!
//! A record can be given back with slots that are still taken, by guards that were sent to other
//! threads or forgotten. The next owner goes on with the slots that are free. A record is of no use
//! as long as no slot is free, or as long as a slot shows a gate, because then a thread that takes the
//! record over would count as a reader inside that gate. Such a record is put aside, and is looked at
//! again when as many records have been made as are put aside. So there are at most as many records
//! as threads had at once, and two for each record of no use.
//!
//! The spare records are behind a lock, which is held for a few instructions by threads that need a
//! record. A child process that was forked in that moment finds it locked for ever. So nobody waits
//! for it in earnest: after some tries a thread makes itself a new record.

use std::ptr;

use crate::raw::value::slot::Slot;
use crate::shim::atomic::{AtomicPtr, Ordering};
use crate::shim::{Lasting, Mutex, Slots, leak, lock_soon, slots};

/// Some slots of one thread, on cache lines of their own.
#[repr(align(128))]
pub(super) struct Record {
    pub(super) slots: Slots<Slot, 8>,
    /// In which the thread shows the gates that it has passed.
    pub(super) gate_slots: Slots<Slot, 5>,
    /// In which the thread shows a value until it has counted on it.
    transit: Slot,
    /// The record that was put on the list before this one.
    next: Option<&'static Record>,
    /// While the record is spare: the next spare one. While a thread has it: the next one that this
    /// thread has.
    link: AtomicPtr<Record>,
}

// Two lines, which a processor may fetch together: each further record is looked at by every writer.
#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
const _: () = assert!(std::mem::size_of::<Record>() <= 128);

/// The records that no thread has.
pub(super) struct Spare {
    /// Given back since somebody last took them from here. Records are put here one by one, and taken
    /// out all at once: so an address that comes back here in between deceives nobody.
    given_back: AtomicPtr<Record>,
    stock: Mutex<Stock>,
}

/// What was taken out of `given_back`.
struct Stock {
    /// To be had.
    first: Option<&'static Record>,
    /// Of no use when they were last looked at, and how many they are.
    aside: Option<&'static Record>,
    aside_count: usize,
    /// How many records are to be made before those are looked at again.
    patience: usize,
}

crate::shim::statics! {
    /// The record that was put on the list last.
    static HEAD: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
}

crate::shim::lasting_static! {
    pub(super) fn spare() -> Spare {
        Spare::new()
    }
}

/// Whether any thread shows the number of a gate.
pub(in crate::raw) fn is_gate_shown(number: *const ()) -> bool {
    records().any(|record| record.gate_slots.iter().any(|slot| slot.shown() == number))
}

/// The addresses that are shown, in order. Each is there as often as it is shown.
///
/// Where the heavy half of the barrier was passed before, on this thread or on one that this thread
/// has heard from since: every address that is shown for good.
pub(in crate::raw) fn all_shown() -> Vec<*const ()> {
    let slots = records().flat_map(Record::slots_of_values);
    let mut shown: Vec<_> = (slots.map(Slot::shown))
        .filter(|address| !address.is_null())
        .collect();
    shown.sort_unstable();
    shown
}

/// A search for a slot that shows a certain address, for good. It is begun behind the heavy half of
/// the barrier that the address was taken out of sight before. From then on nobody comes to show the
/// address for good, so slots that were passed need not be looked at again: all steps of a search
/// together look at each slot once, and once more for each step.
pub(in crate::raw) struct Search {
    record: Option<&'static Record>,
    slot: usize,
}

impl Search {
    pub(in crate::raw) fn begin() -> Self {
        Self {
            record: newest(),
            slot: 0,
        }
    }

    /// Whether a slot shows the address. If not, that is so for good.
    pub(in crate::raw) fn finds(&mut self, address: *const ()) -> bool {
        while let Some(record) = self.record {
            let mut slots = record.slots_of_values().skip(self.slot);
            if let Some(passed) = slots.position(|slot| slot.shown() == address) {
                self.slot += passed;
                return true;
            }
            self.record = record.next;
            self.slot = 0;
        }
        false
    }
}

fn records() -> impl Iterator<Item = &'static Record> {
    std::iter::successors(newest(), |record| record.next)
}

fn newest() -> Option<&'static Record> {
    // ORDERING: pairs with the release in `add`: the records are seen as they were made. That they
    // are all seen is the barrier's doing.
    let head = HEAD.load(Ordering::Acquire);
    // SAFETY: null, or a record that `add` put there, which is never freed and only shared.
    unsafe { head.as_ref() }
}

/// A record for this thread to have, which is linked to none.
pub(super) fn take_or_add(spare: &Lasting<Spare>) -> &'static Record {
    let Some(record) = spare.take() else {
        return add();
    };
    record.link_to(None);
    record
}

/// Puts a new record on the list, for this thread.
fn add() -> &'static Record {
    let record: *mut Record = leak(Record {
        slots: slots(Slot::new),
        gate_slots: slots(Slot::new),
        transit: Slot::new(),
        next: None,
        link: AtomicPtr::new(ptr::null_mut()),
    });
    // ORDERING: pairs with the release below. Only to make a reference of what is seen: all changes
    // of `HEAD` are read-modify-writes, so who acquires the last one has acquired them all.
    let mut head = HEAD.load(Ordering::Acquire);
    loop {
        // SAFETY: as in `records`.
        let next = unsafe { head.as_ref() };
        // SAFETY: nobody else knows the new record yet.
        unsafe { (*record).next = next };
        // ORDERING: release pairs with the acquire in `records`, and with those here.
        match HEAD.compare_exchange(head, record, Ordering::Release, Ordering::Acquire) {
            // SAFETY: from here on it is only shared, and never freed.
            Ok(_) => return unsafe { &*record },
            Err(newer) => head = newer,
        }
    }
}

impl Record {
    fn slots_of_values(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().chain(self.transit())
    }

    #[inline]
    pub(super) fn transit(&self) -> Option<&Slot> {
        // LOOM: a slot more to look at multiplies the interleavings.
        #[cfg(dogpile_loom)]
        if !crate::shim::model::setting().transit {
            return None;
        }
        Some(&self.transit)
    }

    /// Whether a thread that takes it over has a slot, and is inside no gate that it does not know of.
    fn is_of_use(&self) -> bool {
        self.slots.iter().any(Slot::is_free) && self.gate_slots.iter().all(Slot::is_free)
    }

    /// The record to which the one who has this one, or the chain of the spare ones, has linked it.
    pub(super) fn linked(&self) -> Option<&'static Record> {
        // ORDERING: relaxed: used by one thread at a time, and handed over by `given_back` or the lock
        // of the stock.
        let linked = self.link.load(Ordering::Relaxed);
        // SAFETY: null, or a record, which is never freed and only shared.
        unsafe { linked.as_ref() }
    }

    pub(super) fn link_to(&self, record: Option<&'static Record>) {
        let address = record.map_or(ptr::null_mut(), |record| ptr::from_ref(record).cast_mut());
        // ORDERING: relaxed: as in `linked`.
        self.link.store(address, Ordering::Relaxed);
    }
}

impl Spare {
    crate::shim::const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self {
                given_back: AtomicPtr::new(ptr::null_mut()),
                stock: Mutex::new(Stock {
                    first: None,
                    aside: None,
                    aside_count: 0,
                    patience: 0,
                }),
            }
        }
    }

    pub(super) fn give_back(&self, record: &'static Record) {
        let address = ptr::from_ref(record).cast_mut();
        // ORDERING: relaxed: read again by the exchange.
        let mut first = self.given_back.load(Ordering::Relaxed);
        loop {
            // ORDERING: relaxed: published by the exchange.
            record.link.store(first, Ordering::Relaxed);
            // ORDERING: release pairs with the acquire in `take`: what this thread did with the slots
            // comes before what the next owner does.
            match (self.given_back).compare_exchange(
                first,
                address,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(newer) => first = newer,
            }
        }
    }

    /// A record for this thread, if there is one.
    fn take(&self) -> Option<&'static Record> {
        let mut stock = lock_soon(&self.stock)?;
        loop {
            if stock.first.is_none() {
                // ORDERING: acquire pairs with the release in `give_back`. (All changes of it are
                // read-modify-writes, so this acquires from all who have put a record here.)
                let first = self.given_back.swap(ptr::null_mut(), Ordering::Acquire);
                // SAFETY: null, or a record, which is never freed and only shared.
                stock.first = unsafe { first.as_ref() };
            }
            if stock.first.is_none() && !stock.looks_aside() {
                return None;
            }
            let record = pop(&mut stock.first)?;
            if record.is_of_use() {
                return Some(record);
            }
            push(&mut stock.aside, record);
            stock.aside_count += 1;
        }
    }
}

impl Stock {
    /// Has those that were put aside looked at once more, if it is time for that.
    fn looks_aside(&mut self) -> bool {
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.patience = self.aside_count;
        self.aside_count = 0;
        self.first = self.aside.take();
        self.first.is_some()
    }
}

/// Takes the first record off a chain of spare ones.
fn pop(first: &mut Option<&'static Record>) -> Option<&'static Record> {
    let record = first.take()?;
    *first = record.linked();
    Some(record)
}

fn push(first: &mut Option<&'static Record>, record: &'static Record) {
    record.link_to(*first);
    *first = Some(record);
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// Takes all slots of a record that are free.
    fn fill(record: &Record) {
        let anywhere = ptr::without_provenance(8);
        record.slots.iter().for_each(|slot| slot.show(anywhere));
    }

    fn is(one: Option<&'static Record>, other: &Record) -> bool {
        one.is_some_and(|one| ptr::eq(one, other))
    }

    /// What is given back is had by one thread each.
    #[test]
    fn what_is_given_back_is_taken_once() {
        static SPARE: Spare = Spare::new();
        assert!(SPARE.take().is_none());
        let (one, two) = (add(), add());
        SPARE.give_back(one);
        SPARE.give_back(two);
        assert!(is(SPARE.take(), two));
        assert!(is(SPARE.take(), one));
        assert!(SPARE.take().is_none());
    }

    /// Three of no use are looked at once in three times, and taken when they are of use again.
    #[test]
    fn what_is_of_no_use_is_put_aside_and_looked_at_again() {
        static SPARE: Spare = Spare::new();
        let records = [add(), add(), add()];
        for record in records {
            fill(record);
            SPARE.give_back(record);
        }
        for _ in 0..3 {
            assert!(SPARE.take().is_none());
        }
        // All are looked at.
        assert!(SPARE.take().is_none());
        records[1].slots[0].clear();
        for _ in 0..2 {
            assert!(SPARE.take().is_none(), "looked at too soon");
        }
        assert!(is(SPARE.take(), records[1]));
        // Neither of the others was lost.
        for record in [records[0], records[2]] {
            record.slots[0].clear();
        }
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.extend(SPARE.take().map(ptr::from_ref));
        }
        taken.sort_unstable();
        let mut others = [records[0], records[2]].map(ptr::from_ref);
        others.sort_unstable();
        assert_eq!(taken, others);
    }

    /// While a slot shows a gate, whoever took the record over would be inside.
    #[test]
    fn what_shows_a_gate_is_of_no_use() {
        static SPARE: Spare = Spare::new();
        let record = add();
        record.gate_slots[0].show(ptr::without_provenance(8));
        SPARE.give_back(record);
        assert!(SPARE.take().is_none());
        record.gate_slots[0].clear();
        assert!(is(SPARE.take(), record));
    }
}
