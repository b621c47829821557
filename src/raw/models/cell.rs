//! White-box models of the value cell, in both forms of the barrier.
//!
//! Each runs a few readers and writers on one cell. A value is read through a cell of loom's, which
//! dropping it writes: reading what was freed, or is freed without the reading being over, is a race
//! that loom reports. The number of values alive says whether one is kept for too long.
//!
//! ```breakages
//! probe-relaxed | src/raw/value/slot.rs | a_slot_that_another_cleared_is_used_again
//! - self.0.load(Ordering::Acquire).is_null()
//! + self.0.load(Ordering::Relaxed).is_null()
//! show-relaxed | src/raw/value/slot.rs | a_slot_that_another_cleared_is_used_again
//! - self.0.store(address.cast_mut(), Ordering::Release);
//! + self.0.store(address.cast_mut(), Ordering::Relaxed);
//! clear-relaxed | src/raw/value/slot.rs | two_readers_read_while_one_is_published
//! - self.0.store(ptr::null_mut(), Ordering::Release);
//! + self.0.store(ptr::null_mut(), Ordering::Relaxed);
//! scan-relaxed | src/raw/value/slot.rs | two_readers_read_while_one_is_published
//! @ fn shown
//! - self.0.load(Ordering::Acquire)
//! + self.0.load(Ordering::Relaxed)
//! registry-load-relaxed | src/raw/value/registry.rs | two_readers_read_while_one_is_published
//! - let head = HEAD.load(Ordering::Acquire);
//! + let head = HEAD.load(Ordering::Relaxed);
//! registry-add-relaxed | src/raw/value/registry.rs | two_readers_read_while_one_is_published
//! - match HEAD.compare_exchange(head, record, Ordering::Release, Ordering::Acquire) {
//! + match HEAD.compare_exchange(head, record, Ordering::Relaxed, Ordering::Acquire) {
//! take-over-relaxed | src/raw/value/registry.rs | a_record_is_taken_over_with_a_guard_in_it
//! - let first = self.given_back.swap(ptr::null_mut(), Ordering::Acquire);
//! + let first = self.given_back.swap(ptr::null_mut(), Ordering::Relaxed);
//! give-back-relaxed | src/raw/value/registry.rs | a_record_is_taken_over_with_a_guard_in_it
//!   address,
//! - Ordering::Release,
//! + Ordering::Relaxed,
//! second-look-relaxed | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//! @ fn is_current_in
//! - self.current.load(Ordering::Acquire) == current
//! + self.current.load(Ordering::Relaxed) == current
//! look-behind-the-fence-relaxed | src/raw/value/cell.rs | one_reader_reads_while_three_are_published
//! - let is_current = self.current.load(Ordering::Acquire) == current;
//! + let is_current = self.current.load(Ordering::Relaxed) == current;
//! swap-relaxed | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//! - let old = self.cell.current.swap(new, Ordering::Release);
//! + let old = self.cell.current.swap(new, Ordering::Relaxed);
//! no-second-look | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//! @ fn is_current_in
//! - self.current.load(Ordering::Acquire) == current
//! + self.current.load(Ordering::Acquire) == current || true
//! no-light-barrier-on-load | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//!   slot.show(current.cast());
//! - barrier::light();
//! no-fence-on-load | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//!   slot.show(node.cast());
//! - barrier::fence();
//! no-fence-on-drop | src/raw/value/cell.rs | one_reader_reads_twice_while_two_are_published
//! @ fn left
//! - barrier::fence();
//! no-light-barrier-on-drop | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//!   slot.clear();
//! - barrier::light();
//! no-heavy-barrier | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//! - let passed = barrier::heavy(self.fenced && self.refused.is_empty());
//! + let passed = true;
//! light-fence-acquire-release | src/raw/value/barrier.rs | two_readers_read_while_one_is_published
//! - atomic::fence(Ordering::SeqCst);
//! + atomic::fence(Ordering::AcqRel);
//!   }
//!   pub(in crate::raw) fn light_by_form() {
//!   if are_fences()
//! heavy-fence-acquire-release | src/raw/value/barrier.rs | two_readers_read_while_one_is_published
//! - atomic::fence(Ordering::SeqCst);
//! + atomic::fence(Ordering::AcqRel);
//!   if fenced || model::setting()
//! the-heavy-half-is-no-fence | src/raw/value/barrier.rs | a_barrier_that_is_refused_while_one_reads
//! - atomic::fence(Ordering::SeqCst);
//! - if fenced || model::setting().barrier == Barrier::Fences {
//! + if fenced || model::setting().barrier == Barrier::Fences {
//! + atomic::fence(Ordering::SeqCst);
//! the-mark-of-the-next-one | src/raw/value/cell.rs | fenced_for_a_while
//! - let fenced = is_fenced(old);
//! + let fenced = is_fenced(new);
//! all-taken-for-fenced | src/raw/value/cell.rs | fenced_for_a_while
//! - let fenced = is_fenced(old);
//! + let fenced = true;
//! searched-before-the-barrier | src/raw/value/cell.rs | two_readers_read_while_one_is_published
//! - let passed = barrier::heavy(self.fenced && self.refused.is_empty());
//! + if let Some(node) = self.node.take() {
//! + self.cell.lock().inner.cold().retired.insert(node.address(), node, Search::begin());
//! + }
//! + let passed = barrier::heavy(self.fenced && self.refused.is_empty());
//! clear-after-the-look | src/raw/value/cell.rs | one_reader_reads_twice_while_two_are_published
//! - slot.clear();
//! - barrier::light();
//! - // ORDERING: relaxed: only compared. What it must not miss, the barrier sees to.
//! - if cell.current.load(Ordering::Relaxed).cast_const().cast() != address {
//! + let current = cell.current.load(Ordering::Relaxed).cast_const().cast();
//! + slot.clear();
//! + barrier::light();
//! + if current != address {
//! no-sweep-on-drop | src/raw/value/cell.rs | one_reader_reads_twice_while_two_are_published
//! - cell.left(address);
//! + let _ = cell;
//! an-empty-cell-taken-for-the-same | src/raw/value/cell.rs | nothing_is_left_when_it_is_removed
//! - if cell.current.load(Ordering::Relaxed).cast_const().cast() != address {
//! + let current: *const () = cell.current.load(Ordering::Relaxed).cast_const().cast();
//! + if current != address && !current.is_null() {
//! no-sweep-after-a-deceiving-look | src/raw/value/cell.rs | a_guard_keeps_its_own_value_only
//! - self.share(without_mark(shown).cast())
//! + self.share(ptr::null())
//! slot-kept-after-a-deceiving-look | src/raw/value/cell.rs | a_guard_keeps_its_own_value_only
//! @ fn in_vain
//! - slot.clear();
//! takes-a-share-without-counting | src/raw/value/cell.rs | readers_without_slots
//! - let share = locked.current().map(|node| node.clone());
//! + let share = locked.current().map(|node| unsafe { NodeRef::from_raw(node.address().cast::<Node<T>>().cast_mut()) });
//! takes-a-share-after-the-lock | src/raw/value/cell.rs | readers_without_slots
//! - let share = locked.current().map(|node| node.clone());
//! + let node = locked.current().map(|node| node.address());
//! + drop(locked);
//! + let mut locked = self.lock();
//! + let share = node.map(|node| NodeRef::clone(&*unsafe { NodeRef::borrowed(node.cast::<Node<T>>().cast_mut()) }));
//! held-though-it-was-replaced | src/raw/value/cell.rs | a_node_that_was_told_of
//! - held.is(node).then_some(held)
//! + Some(held)
//! dropped-under-the-lock-of-who-reads-in-vain | src/raw/value/cell.rs | nothing_is_dropped_under_the_lock
//! @ fn share
//! - drop(locked);
//! dropped-under-the-lock-of-the-next-writer | src/raw/value/cell.rs | nothing_is_dropped_under_the_lock
//! @ Drop for Replaced<'_, T, S, C>
//! - drop(locked);
//! held-as-it-was-told | src/raw/value/cell.rs | a_node_that_was_told_of
//! - (self.load_if(node)).unwrap_or_else(|| Protected::from(node.clone()))
//! + Protected::from(unsafe { NodeRef::from_raw(node.address().cast::<Node<T>>().cast_mut()) })
//! refused-taken-for-passed | src/raw/value/cell.rs | a_barrier_that_is_refused_for_a_while
//! - let passed = barrier::heavy(self.fenced && self.refused.is_empty());
//! + let _ = barrier::heavy(self.fenced && self.refused.is_empty());
//! + let passed = true;
//! refused-kept-for-ever | src/raw/value/cell.rs | a_barrier_that_is_refused_for_a_while
//! - refused = std::mem::take(&mut cold.refused);
//! + refused = Vec::new();
//! all-slots-looked-at-but-the-last | src/raw/value/registry.rs | nested_guards_with_a_slot_each
//! - let mut slots = record.slots_of_values().skip(self.slot);
//! + let mut slots = record.slots_of_values().skip(self.slot + 1);
//! the-newest-record-only | src/raw/value/registry.rs | two_readers_read_while_one_is_published
//! - self.record = record.next;
//! + self.record = None;
//! the-search-leaves-its-slot | src/raw/value/registry.rs | two_guards_on_one_old_value
//! - self.slot += passed;
//! + self.slot += passed + 1;
//! the-next-record-looked-at-in-part | src/raw/value/registry.rs | a_search_that_stood_at_the_second_slot
//! - self.slot = 0;
//! the-transit-slot-not-looked-at | src/raw/value/registry.rs | two_are_published_while_one_is_in_transit
//! - self.slots.iter().chain(self.transit())
//! + self.slots.iter()
//! counted-after-it-was-shown | src/raw/value/cell.rs | two_are_published_while_one_is_in_transit
//!   let shown = self.protected(self.load_in(slot, current)?);
//! + slot.clear();
//! + drop(self.lock());
//! no-drop-after-the-transit | src/raw/value/cell.rs | two_are_published_while_one_is_in_transit
//! - let shown = self.protected(self.load_in(slot, current)?);
//! - Some((ManuallyDrop::new(NodeRef::clone(&shown)), None))
//! + let shown = ManuallyDrop::new(self.protected(self.load_in(slot, current)?));
//! + let share = NodeRef::clone(&shown);
//! + slot.clear();
//! + Some((ManuallyDrop::new(share), None))
//! the-link-of-a-spare-one-kept | src/raw/value/registry.rs | two_records_are_taken_over_by_two_threads
//! - record.link_to(None);
//! linked-to-what-another-took | src/raw/value/own.rs | two_records_are_taken_over_one_by_one
//! - next = record.linked();
//! - spare.give_back(record);
//! + spare.give_back(record);
//! + next = record.linked();
//! ```

use std::rc::Rc;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

use super::Value;
use crate::raw::value::cell::{self, Cell};
use crate::raw::value::node::NodeRef;
use crate::shim::model::{Barrier, Setting};
use crate::time::Tick;
use crate::time::Times;

type Protected<'a> = cell::Protected<'a, Value, ()>;

/// Runs a model in both forms of the barrier.
fn explore(slots: usize, fences: usize, words: usize, body: fn(&Model)) {
    let setting = Setting {
        slots,
        ..Setting::DEFAULT
    };
    explore_with(setting, fences, words, body);
}

fn explore_with(setting: Setting, fences: usize, words: usize, body: fn(&Model)) {
    for (barrier, preemptions) in [(Barrier::Fences, fences), (Barrier::Words, words)] {
        explore_one(Setting { barrier, ..setting }, preemptions, body);
    }
}

/// A slot a record.
const TWO_RECORDS: Setting = Setting {
    records: 2,
    ..Setting::DEFAULT
};

/// A slot to keep, and one to show what is counted.
const TRANSIT: Setting = Setting {
    transit: true,
    ..Setting::DEFAULT
};

fn explore_one(setting: Setting, preemptions: usize, body: fn(&Model)) {
    super::explore(setting, preemptions, move || {
        let model = Model::new();
        body(&model);
        model.end();
    });
}

/// A cell with the value 1 in it, and the count of values that are alive.
struct Model {
    cell: Arc<Cell<Value, ()>>,
    alive: StdArc<AtomicUsize>,
}

impl Model {
    fn new() -> Self {
        let model = Self {
            cell: Arc::new(Cell::new(())),
            alive: StdArc::new(AtomicUsize::new(0)),
        };
        model.publish(1);
        model
    }

    fn publish(&self, number: usize) {
        self.publish_at(number, Tick::ZERO, None);
    }

    /// What locks the cell when it is dropped, and so has to be replaced before the model ends.
    fn publish_what_locks(&self, number: usize) {
        self.publish_at(number, Tick::ZERO, Some(Arc::clone(&self.cell)));
    }

    /// So much later than the others that these do not follow each other often.
    fn publish_late(&self, number: usize) {
        self.publish_at(number, Tick::from_nanos(1_000_000_000), None);
    }

    fn publish_at(&self, number: usize, now: Tick, locks: Option<Arc<Cell<Value, ()>>>) {
        let mut value = Value::new(number, &self.alive);
        if let Some(cell) = locks {
            value = value.acting(move || drop(cell.lock()));
        }
        let times = Times::new(now, Duration::ZERO, Duration::MAX);
        let node = NodeRef::new(value, times, number as u64);
        let replaced = self.cell.lock().swap(Some(node));
        drop(replaced);
    }

    fn remove(&self) {
        let replaced = self.cell.lock().swap(None);
        drop(replaced);
    }

    fn spawn<R: 'static>(&self, body: impl FnOnce(&Model) -> R + 'static) -> JoinHandle<R> {
        let model = Model {
            cell: Arc::clone(&self.cell),
            alive: StdArc::clone(&self.alive),
        };
        thread::spawn(move || body(&model))
    }

    /// Reads the value and lets go of it, some times: never an older one than before.
    fn read(&self, times: usize) -> usize {
        let mut last = 0;
        for _ in 0..times {
            if let Some(held) = self.cell.load() {
                let number = number(&held);
                assert!(number >= last, "{number} was read after {last}");
                last = number;
            }
        }
        last
    }

    /// As [`Cell::load`], for as long as the test needs it.
    fn hold(&self) -> Option<Protected<'static>> {
        // SAFETY: every test lets go of it before the model, and the cell with it, ends.
        unsafe { std::mem::transmute(self.cell.load()) }
    }

    /// What is alive, now that nobody is at work any more.
    #[track_caller]
    fn assert_alive(&self, count: usize) {
        let alive = self.alive.load(Ordering::Relaxed);
        assert_eq!(alive, count, "values alive");
    }

    #[track_caller]
    fn end(&self) {
        let current = usize::from(self.cell.lock().current().is_some());
        self.assert_alive(current);
    }
}

fn number(held: &Protected<'_>) -> usize {
    held.value().expect("every node has a value").read()
}

fn join<R>(threads: impl IntoIterator<Item = JoinHandle<R>>) -> Vec<R> {
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

/// Readers who read some times each, while others are published.
fn grid(model: &Model, readers: usize, reads: usize, publishes: usize) {
    let readers: Vec<_> = (0..readers)
        .map(|_| model.spawn(move |m| m.read(reads)))
        .collect();
    for number in 0..publishes {
        model.publish(2 + number);
    }
    let last = join(readers).into_iter().max().unwrap();
    assert!(last <= 1 + publishes);
    assert_eq!(model.read(1), 1 + publishes, "the newest is current");
}

#[test]
fn two_readers_read_while_one_is_published() {
    explore(1, 3, 3, |model| grid(model, 2, 1, 1));
}

#[test]
fn one_reader_reads_twice_while_two_are_published() {
    explore(1, 3, 3, |model| grid(model, 1, 2, 2));
}

/// The second publish may be given the memory of what the first one freed.
#[test]
fn one_reader_reads_while_three_are_published() {
    explore(1, 3, 3, |model| grid(model, 1, 1, 3));
}

#[test]
fn two_readers_read_twice_while_two_are_published() {
    explore(2, 2, 1, |model| grid(model, 2, 2, 2));
}

/// A reader shows one in vain, or clears its slot while the next one is published. (A thread that locks what
/// it has locked never ends.)
#[test]
fn nothing_is_dropped_under_the_lock() {
    explore(1, 2, 2, |model| {
        model.publish_what_locks(2);
        let reader = model.spawn(|model| model.read(1));
        model.publish_what_locks(3);
        model.publish(4);
        reader.join().unwrap();
    });
}

/// No slots: every reader takes a share under the lock.
#[test]
fn readers_without_slots() {
    explore(0, 2, 2, |model| grid(model, 2, 1, 2));
}

/// A thread that holds two at once, in two slots, or one of them counted.
fn nested(model: &Model) {
    let reader = model.spawn(|model| {
        let first = model.cell.load().unwrap();
        let second = model.cell.load().unwrap();
        assert!(number(&first) <= number(&second));
        drop(first);
        number(&second);
    });
    model.publish(2);
    reader.join().unwrap();
}

#[test]
fn nested_guards_with_a_slot_each() {
    explore(2, 3, 3, nested);
}

#[test]
fn nested_guards_one_of_them_counted() {
    explore(1, 3, 3, nested);
}

/// Who was told of a node and keeps it alive holds it as readers do, or by a share.
#[test]
fn a_node_that_was_told_of() {
    explore(1, 2, 2, |model| {
        let told = model
            .cell
            .lock()
            .current()
            .map(|node| node.clone())
            .unwrap();
        let waiter = model.spawn(move |model| {
            let held = model.cell.hold(&told);
            drop(told);
            assert_eq!(number(&held), 1);
        });
        let reader = model.spawn(|model| model.read(1));
        model.publish(2);
        waiter.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn nested_guards_in_two_records() {
    explore_with(TWO_RECORDS, 3, 3, nested);
}

#[test]
fn nested_guards_one_of_them_in_transit() {
    explore_with(TRANSIT, 3, 3, nested);
}

/// It goes on at the first slot of the next record.
#[test]
fn a_search_that_stood_at_the_second_slot() {
    explore(2, 1, 1, |model| {
        let held = model.hold().unwrap();
        let other = model.spawn(|model| {
            let [first, second] = [(); 2].map(|()| model.hold().unwrap());
            model.publish(2);
            drop(first);
            drop(second);
        });
        other.join().unwrap();
        model.assert_alive(2);
        assert_eq!(number(&held), 1);
    });
}

/// A thread that holds three at once, in two slots of its two records and counted.
#[test]
fn three_guards_in_two_records_and_in_transit() {
    let setting = Setting {
        transit: true,
        ..TWO_RECORDS
    };
    explore_with(setting, 2, 2, |model| {
        let reader = model.spawn(|model| {
            let guards = [(); 3].map(|()| model.hold().unwrap());
            let [first, second, third] = guards;
            drop(second);
            number(&third);
            drop(first);
            number(&third);
        });
        model.publish(2);
        reader.join().unwrap();
    });
}

/// What is counted by way of the transit slot is counted while it is shown.
#[test]
fn two_are_published_while_one_is_in_transit() {
    explore_with(TRANSIT, 3, 3, |model| {
        let kept = model.hold();
        let writer = model.spawn(|model| {
            model.publish(2);
            model.publish(3);
        });
        let _ = model.cell.load().as_ref().map(number);
        let _ = model.cell.load().as_ref().map(number);
        writer.join().unwrap();
        drop(kept);
    });
}

/// One of a thread's guards, in its further record, is dropped by another.
#[test]
fn a_guard_in_a_further_record_is_dropped_elsewhere() {
    explore_with(TWO_RECORDS, 2, 2, |model| {
        let first = model.hold();
        let second = model.hold().unwrap();
        let other = model.spawn(move |_| {
            number(&second);
            drop(second);
        });
        let writer = model.spawn(|model| model.publish(2));
        model.read(1);
        other.join().unwrap();
        writer.join().unwrap();
        drop(first);
    });
}

/// A thread leaves two records behind. Each of two others takes one of them, and a further one.
#[test]
fn two_records_are_taken_over_by_two_threads() {
    explore_with(TWO_RECORDS, 1, 1, |model| {
        let before = model.spawn(|model| drop([model.hold(), model.hold()]));
        before.join().unwrap();
        let others = [(); 2].map(|()| {
            model.spawn(|model| {
                let first = model.hold().unwrap();
                let second = model.hold().unwrap();
                number(&second);
                drop(first);
                number(&second);
            })
        });
        model.publish(2);
        join(others);
    });
}

/// A thread that has two records ends while another one begins.
#[test]
fn two_records_are_taken_over_one_by_one() {
    explore_with(TWO_RECORDS, 2, 2, |model| {
        let guard = Rc::new(Mutex::new(None));
        let (left, found) = (Rc::clone(&guard), guard);
        let first = model.spawn(move |model| {
            let (one, two) = (model.hold(), model.hold());
            drop(one);
            *left.lock().unwrap() = two;
        });
        let second = model.spawn(|model| drop([model.hold(), model.hold()]));
        model.publish(2);
        first.join().unwrap();
        second.join().unwrap();
        let guard = found.lock().unwrap().take();
        let _ = guard.as_ref().map(number);
    });
}

/// One thread's guard is dropped by another, while the first reads on.
#[test]
fn a_guard_is_dropped_elsewhere() {
    explore(1, 3, 3, |model| {
        let sent = Rc::new(Mutex::new(None));
        let (sender, receiver) = (Rc::clone(&sent), Rc::clone(&sent));
        let owner = model.spawn(move |model| {
            *sender.lock().unwrap() = model.hold();
            model.read(1);
        });
        let other = model.spawn(move |_| {
            let guard = receiver.lock().unwrap().take();
            if let Some(guard) = guard {
                number(&guard);
            }
        });
        model.publish(2);
        owner.join().unwrap();
        other.join().unwrap();
        drop(sent.lock().unwrap().take());
    });
}

/// Whoever drops it clears the slot that its owner uses next.
#[test]
fn a_slot_that_another_cleared_is_used_again() {
    explore(1, 4, 4, |model| {
        let guard = model.hold().unwrap();
        let other = model.spawn(move |_| {
            number(&guard);
            drop(guard);
        });
        let writer = model.spawn(|model| model.publish(2));
        model.read(1);
        other.join().unwrap();
        writer.join().unwrap();
    });
}

/// A guard is made a handle of its own, which outlives the cell.
#[test]
fn a_handle_outlives_the_cell() {
    explore(1, 3, 3, |model| {
        let alive = StdArc::clone(&model.alive);
        let model = Model::new();
        let owner = model.spawn(|model| {
            let guard = model.cell.load().unwrap();
            let share = guard.clone();
            drop(guard);
            share
        });
        model.publish(2);
        let counted = StdArc::clone(&model.alive);
        drop(model);
        let share = owner.join().unwrap();
        assert_eq!(
            counted.load(Ordering::Relaxed),
            1,
            "the cell's own went with it"
        );
        share.value().unwrap().read();
        drop(share);
        assert_eq!(counted.load(Ordering::Relaxed), 0);
        assert_eq!(alive.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn two_writers_and_a_reader() {
    explore(1, 3, 3, |model| {
        let reader = model.spawn(|model| drop(model.cell.load()));
        let writer = model.spawn(|model| model.publish(2));
        model.publish(3);
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// A guard that is kept until all else is over keeps its own value, and no other.
fn kept_to_the_end(model: &Model, write: fn(&Model)) {
    let keeper = model.spawn(|model| model.hold());
    write(model);
    let guard = keeper.join().unwrap();
    let current = model.cell.lock().current().map(|node| node.number());
    let others = guard
        .iter()
        .filter(|guard| Some(guard.number()) != current)
        .count();
    model.assert_alive(usize::from(current.is_some()) + others);
    if let Some(guard) = guard {
        number(&guard);
    }
}

#[test]
fn a_guard_keeps_its_own_value_only() {
    explore(1, 3, 3, |model| {
        kept_to_the_end(model, |model| model.publish(2))
    });
}

#[test]
fn a_guard_keeps_its_own_value_only_of_three() {
    explore(1, 3, 3, |model| {
        kept_to_the_end(model, |model| {
            model.publish(2);
            model.publish(3);
        });
    });
}

#[test]
fn a_guard_keeps_its_own_value_only_when_it_is_removed() {
    explore(1, 3, 3, |model| {
        kept_to_the_end(model, |model| {
            model.remove();
            model.publish(2);
        });
    });
}

#[test]
fn nothing_is_left_when_it_is_removed() {
    explore(1, 4, 4, |model| {
        let reader = model.spawn(|model| model.read(2));
        model.remove();
        reader.join().unwrap();
        model.assert_alive(0);
    });
}

/// What one reader saw, another one who was told of it does not see an older value than.
#[test]
fn what_was_seen_is_not_undone() {
    explore(1, 3, 2, |model| {
        let told = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let tell = Arc::clone(&told);
        let first = model.spawn(move |model| {
            let seen = model.read(1);
            tell.store(seen, loom::sync::atomic::Ordering::Release);
        });
        let second = model.spawn(move |model| {
            let seen = told.load(loom::sync::atomic::Ordering::Acquire);
            let own = model.read(1);
            assert!(own >= seen, "{own} was read after another had read {seen}");
        });
        model.publish(2);
        first.join().unwrap();
        second.join().unwrap();
    });
}

/// A thread ends and leaves a guard behind; the next one takes over its slots.
#[test]
fn a_record_is_taken_over_with_a_guard_in_it() {
    explore(2, 2, 3, |model| {
        let first = model.spawn(|model| model.hold());
        let second = model.spawn(|model| model.read(1));
        model.publish(2);
        let guard = first.join().unwrap().unwrap();
        second.join().unwrap();
        number(&guard);
        drop(guard);
    });
}

/// Two threads have a guard on the value that is replaced, and drop them.
#[test]
fn two_guards_on_one_old_value() {
    explore(1, 3, 3, |model| {
        let guard = model.hold();
        let other = model.spawn(|model| {
            let _ = model.cell.load().as_ref().map(number);
        });
        model.publish(2);
        let last = model.spawn(move |_| {
            let _ = guard.as_ref().map(number);
            drop(guard);
        });
        join([other, last]);
    });
}

/// Values are fenced from the first that follows another.
const OFTEN: Setting = Setting {
    barrier: Barrier::Words,
    often: Some(1),
    ..Setting::DEFAULT
};

/// A plain value is followed by two fenced ones, and these by a plain one.
#[test]
fn fenced_for_a_while() {
    explore_one(OFTEN, 3, |model| {
        let reader = model.spawn(|model| model.read(2));
        model.publish(2);
        model.publish(3);
        model.publish_late(4);
        reader.join().unwrap();
    });
}

#[test]
fn two_readers_of_a_fenced_value() {
    explore_one(OFTEN, 2, |model| {
        model.publish(2);
        let readers = [(); 2].map(|()| model.spawn(|model| model.read(1)));
        model.publish_late(3);
        join(readers);
    });
}

/// A guard that was taken behind a fence is dropped when the value is plain, or not current.
#[test]
fn a_fenced_value_becomes_plain() {
    let setting = Setting {
        long: Some(1),
        ..OFTEN
    };
    explore_one(setting, 3, |model| {
        model.publish(2);
        let reader = model.spawn(|model| model.read(2));
        model.publish(3);
        reader.join().unwrap();
    });
    // Who finds it plain finds it as it was made.
    explore_one(setting, 2, |model| {
        let readers = [(); 2].map(|()| model.spawn(|model| model.read(1)));
        model.publish(2);
        join(readers);
    });
}

/// A barrier that may come to be refused.
const REFUSING: Setting = Setting {
    barrier: Barrier::Words,
    may_be_refused: true,
    ..Setting::DEFAULT
};

/// The kernel refuses the barrier for a while: what is replaced meanwhile is kept, and freed with
/// what is replaced afterwards.
#[test]
fn a_barrier_that_is_refused_for_a_while() {
    explore_one(REFUSING, 3, |model| {
        let reader = model.spawn(|model| model.read(2));
        crate::shim::model::refuse_barriers(true);
        model.publish(2);
        model.assert_alive(2);
        crate::shim::model::refuse_barriers(false);
        model.publish(3);
        reader.join().unwrap();
    });
}

/// A reader that knows of no refusal yet reads what was there before it.
#[test]
fn a_barrier_that_is_refused_while_one_reads() {
    explore_one(REFUSING, 3, |model| {
        let reader = model.spawn(|model| model.read(1));
        crate::shim::model::refuse_barriers(true);
        model.publish(2);
        model.publish(3);
        model.publish(4);
        reader.join().unwrap();
        // The one that was current, and the one that was replacing it.
        model.assert_alive(3);
        crate::shim::model::refuse_barriers(false);
        model.publish(5);
    });
}

/// What comes after a refusal is freed as soon as ever.
#[test]
fn what_is_published_after_a_refusal_is_freed() {
    explore_one(REFUSING, 3, |model| {
        crate::shim::model::refuse_barriers(true);
        model.publish(2);
        model.publish(3);
        let reader = model.spawn(|model| model.read(2));
        model.publish(4);
        reader.join().unwrap();
        model.assert_alive(3);
        crate::shim::model::refuse_barriers(false);
        model.publish(5);
    });
}
