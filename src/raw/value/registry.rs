//! All slots of the process. Each thread has a record of them, which it finds through a thread-local.
//!
//! Records are put on a list, where everybody finds them all, and are never freed. A thread that ends
//! gives its record back: it goes to the *spare* records, from which a new thread takes one. Neither
//! looks at any other record, so the cost is the same however many threads there are.
//!
//! A record can be given back with slots that are still taken, by guards that were sent to other
//! threads or forgotten. The next owner goes on with the slots that are free. A record is of no use
//! as long as no slot is free, or as long as a slot shows a gate, because then a thread that takes the
//! record over would count as a reader inside that gate. Such a record is put aside, and is looked at
//! again when as many records have been made as are put aside. So there are at most as many records
//! as threads were alive at once, and two for each record of no use.
//!
//! The spare records are behind a lock, which is held for a few instructions by threads that have just
//! begun. A child process that was forked in that moment finds it locked for ever. So nobody waits
//! for it in earnest: after some tries a thread makes itself a new record.

use std::cell::Cell;
use std::ptr;

use crate::raw::value::barrier;
use crate::raw::value::slot::Slot;
use crate::shim::atomic::{AtomicPtr, Ordering};
use crate::shim::{Lasting, Mutex, Slots, leak, lock_soon, slots};

/// The slots of one thread, on cache lines of its own.
#[repr(align(128))]
struct Record {
    slots: Slots<Slot, 8>,
    /// In which the thread shows the gates that it has passed.
    gate_slots: Slots<Slot, 6>,
    /// The record that was put on the list before this one.
    next: Option<&'static Record>,
    /// While the record is spare: the next spare one.
    next_spare: AtomicPtr<Record>,
}

/// The records that no thread has.
struct Spare {
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
    fn spare() -> Spare {
        Spare::new()
    }
}

crate::shim::thread_local_const! {
    /// The record of this thread, once it has one. It has no destructor, so that finding it takes
    /// one load.
    static MINE: Cell<Option<&'static Record>> = Cell::new(None);
}

crate::shim::thread_local_const! {
    /// Gives the record back when the thread ends.
    static LEAVING: Leaving = Leaving(Cell::new(None));
}

struct Leaving(Cell<Option<(&'static Record, Lasting<Spare>)>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // Thread-locals that are dropped after this one find no record. It is another thread's by
        // then, and of two threads that used one slot neither would be safe.
        let _ = MINE.try_with(Cell::take);
        if let Some((record, spare)) = self.0.take() {
            spare.give_back(record);
        }
    }
}

/// A slot that this thread may use. `None` if all are taken, or the thread is past the destructors
/// of its thread-locals.
#[inline]
pub(in crate::raw) fn free_slot() -> Option<&'static Slot> {
    free_of(&mine()?.slots)
}

/// As [`free_slot`], to show the number of a gate.
#[inline]
pub(in crate::raw) fn free_gate_slot() -> Option<&'static Slot> {
    free_of(&mine()?.gate_slots)
}

/// In how many slots this thread shows the number of a gate.
pub(in crate::raw) fn own_gate_slots(number: *const ()) -> usize {
    let mine = MINE.try_with(Cell::get).ok().flatten();
    mine.map_or(0, |record| {
        let shown = record.gate_slots.iter().map(Slot::shown);
        shown.filter(|&shown| shown == number).count()
    })
}

/// Whether any thread shows the number of a gate.
pub(in crate::raw) fn is_gate_shown(number: *const ()) -> bool {
    records().any(|record| record.gate_slots.iter().any(|slot| slot.shown() == number))
}

#[inline]
fn mine() -> Option<&'static Record> {
    match MINE.try_with(Cell::get).ok()? {
        Some(record) => Some(record),
        None => enter(),
    }
}

#[inline]
fn free_of(slots: &[Slot]) -> Option<&Slot> {
    let (first, others) = slots.split_first()?;
    if first.is_free() {
        return Some(first);
    }
    any_free_of(others)
}

#[cold]
fn any_free_of(slots: &[Slot]) -> Option<&Slot> {
    slots.iter().find(|slot| slot.is_free())
}

/// The addresses that are shown, in order. Each is there as often as it is shown.
///
/// Where the heavy half of the barrier was passed before, on this thread or on one that this thread
/// has heard from since: every address that is shown for good.
pub(in crate::raw) fn all_shown() -> Vec<*const ()> {
    let slots = records().flat_map(|record| record.slots.iter());
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
            while let Some(slot) = record.slots.get(self.slot) {
                if slot.shown() == address {
                    return true;
                }
                self.slot += 1;
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

#[cold]
fn enter() -> Option<&'static Record> {
    // Refused where its destructor has run already.
    let record = LEAVING.try_with(|leaving| {
        barrier::prepare();
        let spare = spare();
        let record = spare.take().unwrap_or_else(add);
        leaving.0.set(Some((record, spare)));
        record
    });
    let record = record.ok()?;
    MINE.try_with(|mine| mine.set(Some(record))).ok()?;
    Some(record)
}

/// Puts a new record on the list, for this thread.
fn add() -> &'static Record {
    let record: *mut Record = leak(Record {
        slots: slots(Slot::new),
        gate_slots: slots(Slot::new),
        next: None,
        next_spare: AtomicPtr::new(ptr::null_mut()),
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
    /// Whether a thread that takes it over has a slot, and is inside no gate that it does not know of.
    fn is_of_use(&self) -> bool {
        any_free_of(&self.slots).is_some() && self.gate_slots.iter().all(Slot::is_free)
    }
}

impl Spare {
    crate::shim::const_unless_loom! {
        const fn new() -> Self {
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

    fn give_back(&self, record: &'static Record) {
        let address = ptr::from_ref(record).cast_mut();
        // ORDERING: relaxed: read again by the exchange.
        let mut first = self.given_back.load(Ordering::Relaxed);
        loop {
            // ORDERING: relaxed: published by the exchange.
            record.next_spare.store(first, Ordering::Relaxed);
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
    // ORDERING: relaxed: whoever stored it handed it over by the lock or by `given_back`.
    let next = record.next_spare.load(Ordering::Relaxed);
    // SAFETY: null, or a record, which is never freed and only shared.
    *first = unsafe { next.as_ref() };
    Some(record)
}

fn push(first: &mut Option<&'static Record>, record: &'static Record) {
    let next = first.map_or(ptr::null_mut(), |next| ptr::from_ref(next).cast_mut());
    // ORDERING: relaxed: as in `pop`.
    record.next_spare.store(next, Ordering::Relaxed);
    *first = Some(record);
}
