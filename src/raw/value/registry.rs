//! All slots of the process: a record of them for each thread, found through a thread-local.
//!
//! Records are put on a list and never freed. A thread that ends gives its record back, and the next
//! new thread takes it over, with the slots that are still taken by guards which were sent elsewhere
//! or forgotten, unless one of them shows a gate. So there are as many records as threads were alive
//! at once, and one more for each thread that left a guard of a gate behind.

use std::cell::Cell;
use std::ptr;

use crate::raw::value::barrier;
use crate::raw::value::slot::Slot;
use crate::shim::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::shim::{Slots, leak, slots};

/// The slots of one thread, on cache lines of its own.
#[repr(align(128))]
struct Record {
    slots: Slots<Slot, 8>,
    /// In which the thread shows the gates that it has passed.
    gate_slots: Slots<Slot, 6>,
    /// Whether a thread has it now.
    taken: AtomicBool,
    /// The one that was put on the list before it.
    next: Option<&'static Record>,
}

crate::shim::statics! {
    /// The record that was put on the list last.
    static HEAD: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
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

struct Leaving(Cell<Option<&'static Record>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // Destructors that come after this one find no record.
        let _ = MINE.try_with(Cell::take);
        if let Some(record) = self.0.take() {
            record.give_back();
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

/// Passes every address that is shown to `visit`.
///
/// Where the heavy half of the barrier was passed before, on this thread or one that this one has
/// heard from since: every address that is shown for good.
pub(in crate::raw) fn each_shown(mut visit: impl FnMut(*const ())) {
    for record in records() {
        for slot in &record.slots {
            let address = slot.shown();
            if !address.is_null() {
                visit(address);
            }
        }
    }
}

fn records() -> impl Iterator<Item = &'static Record> {
    // ORDERING: pairs with the release in `add`: the records are seen as they were made. That they
    // are all seen is the barrier's doing.
    let head = HEAD.load(Ordering::Acquire);
    // SAFETY: null, or a record that `add` put there, which is never freed and only shared.
    let head: Option<&'static Record> = unsafe { head.as_ref() };
    std::iter::successors(head, |record| record.next)
}

#[cold]
fn enter() -> Option<&'static Record> {
    // Refused where its destructor has run already.
    let record = LEAVING.try_with(|leaving| {
        barrier::prepare();
        let record = records().find(|record| record.take()).unwrap_or_else(add);
        leaving.0.set(Some(record));
        record
    });
    let record = record.ok()?;
    MINE.try_with(|mine| mine.set(Some(record))).ok()?;
    Some(record)
}

/// Puts a new record on the list, taken.
fn add() -> &'static Record {
    let record: *mut Record = leak(Record {
        slots: slots(Slot::new),
        gate_slots: slots(Slot::new),
        taken: AtomicBool::new(true),
        next: None,
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
    /// Takes it for this thread, if no thread has it and it is of any use.
    fn take(&self) -> bool {
        // ORDERING: pairs with the release in `give_back`: what that thread did with the slots comes
        // before what this one does.
        let taken =
            (self.taken).compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        // A guard that lives elsewhere, or was forgotten, is of no harm among others that show values;
        // one of a gate would say of this thread that it holds it.
        if any_free_of(&self.slots).is_none() || !self.gate_slots.iter().all(Slot::is_free) {
            self.give_back();
            return false;
        }
        true
    }

    fn give_back(&self) {
        // ORDERING: pairs with the acquire in `take`.
        self.taken.store(false, Ordering::Release);
    }
}
