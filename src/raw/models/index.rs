//! White-box models of the index, in both forms of the barrier.
//!
//! Each runs a few readers and writers on one index. An entry is read through a cell of loom's, which
//! dropping it writes: so reading what was freed, or is freed without the reading being over, is a race that
//! loom reports. A table has such a cell too. At the end of each model, what is alive says whether something
//! is kept for too long.
//!
//! ```breakages
//! no-barrier-for-the-index | src/raw/index/mod.rs | two_readers_and_an_entry_is_taken_out
//! - let passed = !is_new || barrier::heavy(form == Form::Fenced);
//! + let passed = true;
//! fences-for-an-index-without | src/raw/index/mod.rs | two_readers_and_an_entry_is_taken_out
//! - barrier::heavy(form == Form::Fenced)
//! + barrier::heavy(true)
//! no-light-half-for-the-table | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//!   transit.show(without_mark(table).cast_const().cast());
//! - light();
//! no-light-half-without-fences | src/raw/index/mod.rs | two_readers_and_an_entry_is_taken_out
//! - false => barrier::light(),
//! + false => {}
//! no-light-half-for-the-entry | src/raw/index/mod.rs | two_readers_and_an_entry_is_taken_out
//!   slot.show(address.cast_const().cast());
//! - light();
//! no-light-half-when-it-is-let-go-of | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//!   slot.clear();
//! - barrier::light();
//! the-table-not-looked-at-again | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - if self.front.table.load(Ordering::Acquire) != table {
//! + if false {
//! the-place-not-looked-at-again | src/raw/index/mod.rs | another_entry_comes_to_the_same_place
//! - let is_there = place.holds(address) && self.front.table.load(Ordering::Relaxed) == table;
//! + let is_there = (place.holds(address) || true) && self.front.table.load(Ordering::Relaxed) == table;
//! the-table-not-looked-at-behind-the-entry | src/raw/index/mod.rs | the_table_is_exchanged_and_then_the_entry_is_taken_out
//! - let is_there = place.holds(address) && self.front.table.load(Ordering::Relaxed) == table;
//! + let is_there = place.holds(address);
//! the-table-not-shown | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - transit.show(without_mark(table).cast_const().cast());
//! the-table-cleared-too-soon | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - let (place, address) = unsafe { &*without_mark(table) }.look(hash)?;
//! + transit.clear();
//! + let (place, address) = unsafe { &*without_mark(table) }.look(hash)?;
//! the-entry-not-shown | src/raw/index/mod.rs | two_readers_and_an_entry_is_taken_out
//! - slot.show(address.cast_const().cast());
//! what-is-shown-in-vain-stays-shown | src/raw/index/mod.rs | another_entry_comes_to_the_same_place
//! - self.left(slot, entry.cast_const().cast());
//! what-is-shown-in-vain-is-not-swept | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - self.left(slot, entry.cast_const().cast());
//! + slot.clear();
//! what-is-let-go-of-is-not-swept | src/raw/index/mod.rs | kept_while_it_is_held
//! - self.sweep(address);
//! what-is-kept-looked-at-before-the-slot-is-cleared | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - slot.clear();
//! - barrier::light();
//! + let kept = self.front.kept.load(Ordering::Relaxed);
//! + slot.clear();
//! + barrier::light();
//! - if is_fenced(self.front.table.load(Ordering::Acquire)) {
//! -     barrier::fence();
//! - }
//! - if self.front.kept.load(Ordering::Relaxed) & class(address) != 0 {
//! + if is_fenced(self.front.table.load(Ordering::Acquire)) {
//! +     barrier::fence();
//! + }
//! + if kept & class(address) != 0 {
//! what-is-kept-told-behind-the-barrier | src/raw/index/mod.rs | a_reader_and_the_only_entry_is_taken_out
//! - entries.show_kept();
//! - Some((out, entries.content.form))
//! + Some((out, entries.content.form))
//! what-another-settles-is-forgotten | src/raw/index/cold.rs | let_go_of_while_two_take_out_one_each
//! - self.announced.take(address);
//! - freed.entries.push(entry);
//! + self.announced = Classes::new();
//! + freed.entries.push(entry);
//! freed-though-it-is-shown | src/raw/index/cold.rs | kept_while_it_is_held
//! - if is_shown(&shown, address) {
//! + if is_shown(&shown, address) && false {
//! a-table-freed-though-it-is-shown | src/raw/index/cold.rs | a_reader_and_the_only_entry_is_taken_out
//! - if is_shown(&shown, address_of_table(&table)) {
//! + if is_shown(&shown, address_of_table(&table)) && false {
//! taken-along-by-an-earlier-barrier | src/raw/index/mod.rs | two_take_out_one_each
//! - true => cold.retire(out),
//! + true => {
//! + let mut out = out;
//! + let more = cold.announce();
//! + out.entries.extend(more.entries);
//! + out.tables.extend(more.tables);
//! + cold.retire(out)
//! + }
//! refused-taken-for-passed-by-an-index | src/raw/index/mod.rs | the_barrier_is_refused_for_a_while
//! - let passed = !is_new || barrier::heavy(form == Form::Fenced);
//! + let passed = !is_new || barrier::heavy(form == Form::Fenced) || true;
//! an-index-is-not-given-up | src/raw/index/mod.rs | the_barrier_is_refused_for_a_while
//! - entries.give_up();
//! an-index-that-was-given-up-is-used-again | src/raw/index/locked.rs | an_entry_is_dropped_while_the_barrier_is_refused
//! - if self.content.is_given_up || !is_looked_into() {
//! + if !is_looked_into() {
//! what-an-index-had-is-dropped-at-once | src/raw/index/locked.rs | an_entry_is_dropped_while_the_barrier_is_refused
//! - self.cold().waiting.entries.append(&mut seen);
//! + seen.clear();
//! an-address-put-in-relaxed | src/raw/index/table.rs | another_entry_comes_to_the_same_place
//! - self.address.store(address, Ordering::Release);
//! + self.address.store(address, Ordering::Relaxed);
//! an-address-found-relaxed | src/raw/index/table.rs | another_entry_comes_to_the_same_place
//! - self.address.load(Ordering::Acquire) == address
//! + self.address.load(Ordering::Relaxed) == address
//! a-table-put-in-relaxed | src/raw/index/locked.rs | an_entry_is_put_in
//! - (self.front.table).store(self.content.form.mark(new), Ordering::Release);
//! + (self.front.table).store(self.content.form.mark(new), Ordering::Relaxed);
//! a-table-found-relaxed | src/raw/index/mod.rs | an_entry_is_put_in
//! - if self.front.table.load(Ordering::Acquire) != table {
//! + if self.front.table.load(Ordering::Relaxed) != table {
//! a-gap-left-before-what-stands-behind | src/raw/index/table.rs | an_entry_moves_and_is_taken_out
//! - if self.distance(hash, gap) < self.distance(hash, at) {
//! + if self.distance(hash, gap) < self.distance(hash, at) && false {
//! fences-before-a-barrier-has-reached-all | src/raw/index/form.rs | read_while_the_index_turns_to_fences
//! - let form = Form::Turning(self.content.turns);
//! + let form = Form::Fenced;
//! a-turn-taken-for-another | src/raw/index/form.rs | the_index_turns_to_fences_once_more
//! - if self.content.form == passed && matches!(passed, Form::Turning(_)) {
//! + if matches!((self.content.form, passed), (Form::Turning(_), Form::Turning(_))) {
//! a-fence-passed-by-one-alone | src/raw/index/mod.rs | read_while_the_fences_end
//! - true => barrier::fence(),
//! + true => barrier::light(),
//! no-fence-when-it-is-let-go-of | src/raw/index/mod.rs | let_go_of_while_the_index_turns_to_fences
//! - if is_fenced(self.front.table.load(Ordering::Acquire)) {
//! + if false {
//! the-mark-found-relaxed | src/raw/index/mod.rs | let_go_of_while_the_fences_end
//! - if is_fenced(self.front.table.load(Ordering::Acquire)) {
//! + if is_fenced(self.front.table.load(Ordering::Relaxed)) {
//! fences-that-never-end | src/raw/index/form.rs | a_reader_ends_the_fences
//! - if content.form != Form::Plain && !std::mem::take(&mut content.pace.is_busy) {
//! + if content.form != Form::Plain && !content.pace.is_busy {
//! what-is-shown-is-taken-out-at-once | src/raw/index/locked.rs | what_is_hidden_is_shown_and_taken_out
//! - if !is_hidden(address) {
//! -     self.cold().waiting.entries.push(Arc::clone(&share));
//! - }
//! a-table-in-front-is-dropped-at-once | src/raw/index/locked.rs | a_reader_and_the_only_entry_is_taken_out
//! - self.cold().waiting.tables.push(old);
//! + drop(old);
//! ```

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

use super::Value;
use crate::raw::index::{Entries, Index, Indexed, Shown};
use crate::shim::model::{Barrier, Setting, refuse_barriers};
use crate::time::Tick;

/// Runs a model in both forms of the barrier.
fn explore(slots: usize, fences: usize, words: usize, body: fn(&Model)) {
    for (barrier, preemptions) in [(Barrier::Fences, fences), (Barrier::Words, words)] {
        explore_one(barrier, slots, preemptions, body);
    }
}

fn explore_one(barrier: Barrier, slots: usize, preemptions: usize, body: fn(&Model)) {
    let setting = Setting {
        barrier,
        slots,
        transit: true,
        may_be_refused: true,
        ..Setting::DEFAULT
    };
    explore_in(setting, preemptions, body);
}

fn explore_in(setting: Setting, preemptions: usize, body: fn(&Model)) {
    super::explore(setting, preemptions, move || body(&Model::new()));
}

/// What stands in an index: its key.
struct Entry {
    key: Value,
    // Of a size that nothing else has. Then an entry gets the memory of another one if, and only if,
    // that one was freed last, in each run alike.
    _size_of_its_own: [u64; 91],
}

impl Entry {
    fn read(&self) -> u64 {
        self.key.read() as u64
    }
}

impl Indexed for Entry {
    type Note = ();
    type State = ();
}

/// An index, and the count of entries that are alive.
struct Model {
    index: Arc<Index<Entry>>,
    alive: StdArc<AtomicUsize>,
    clock: StdArc<AtomicU64>,
}

impl Model {
    fn new() -> Self {
        Self {
            index: Arc::new(Index::new(())),
            alive: StdArc::new(AtomicUsize::new(0)),
            clock: StdArc::new(AtomicU64::new(0)),
        }
    }

    fn settle(&self) {
        let now = || Tick::from_nanos(self.clock.load(Ordering::Relaxed));
        self.index.settle(now);
    }

    /// What is settled next is settled late.
    fn wait(&self) {
        let second = Duration::from_secs(1).as_nanos() as u64;
        self.clock.fetch_add(second, Ordering::Relaxed);
    }

    fn spawn<R: 'static>(&self, body: impl FnOnce(&Self) -> R + 'static) -> JoinHandle<R> {
        let model = Self {
            index: Arc::clone(&self.index),
            alive: StdArc::clone(&self.alive),
            clock: StdArc::clone(&self.clock),
        };
        thread::spawn(move || body(&model))
    }

    fn entry(&self, key: u64) -> StdArc<Entry> {
        StdArc::new(Entry {
            key: Value::new(key as usize, &self.alive),
            _size_of_its_own: [0; 91],
        })
    }

    /// Puts in an entry that the index alone keeps, and shows it. What names it to take it out.
    fn put(&self, key: u64) -> Named {
        self.put_as(key, key)
    }

    fn put_as(&self, hash: u64, key: u64) -> Named {
        let named = self.hide(hash, key);
        self.show(named);
        // It may exchange the table, which is to turn no index to fences.
        self.wait();
        self.settle();
        named
    }

    /// Puts in an entry, and leaves it hidden.
    fn hide(&self, hash: u64, key: u64) -> Named {
        let entry = self.entry(key);
        let named = Named(hash, StdArc::as_ptr(&entry));
        self.index.lock().entries().insert(hash, entry, ());
        named
    }

    fn show(&self, named: Named) {
        let mut locked = self.index.lock();
        let mut entries = locked.entries();
        let at = named.place(&entries);
        entries.show(at);
    }

    fn take(&self, named: Named) {
        let mut locked = self.index.lock();
        let mut entries = locked.entries();
        let at = named.place(&entries);
        let taken = entries.remove(at);
        entries.fit();
        drop(locked);
        drop(taken);
        self.settle();
    }

    /// Reads an entry and lets go of it. Its key.
    fn read(&self, hash: u64) -> Option<u64> {
        self.index.find(hash).map(|shown| shown.read())
    }

    /// As [`Index::find`], for as long as the test needs it.
    fn hold(&self, hash: u64) -> Option<Shown<'static, Entry>> {
        // SAFETY: every test lets go of it before the model, and the index with it, ends.
        unsafe { std::mem::transmute(self.index.find(hash)) }
    }

    /// What is alive, now that nobody is at work any more.
    #[track_caller]
    fn assert_alive(&self, count: usize) {
        let alive = self.alive.load(Ordering::Relaxed);
        assert_eq!(alive, count, "entries alive");
    }

    /// The same, and besides them nothing is kept.
    #[track_caller]
    fn end(&self, count: usize) {
        self.assert_alive(count);
        assert!(self.index.keeps_nothing(), "something is kept");
        // A table is kept until somebody settles.
        self.settle();
        assert!(self.index.has_settled(), "a table is kept");
    }
}

/// An entry and its hash, without a share.
#[derive(Clone, Copy)]
struct Named(u64, *const Entry);

// SAFETY: an address, which is compared alone.
unsafe impl Send for Named {}

impl Named {
    fn place(self, entries: &Entries<'_, Entry>) -> usize {
        let mut all = entries.all(self.0);
        let found = all.find(|(_, entry, _)| StdArc::as_ptr(entry) == self.1);
        found.expect("an entry is there until it is taken out").0
    }
}

/// The first of all, with its table.
#[test]
fn an_entry_is_put_in() {
    explore(1, 3, 3, |model| {
        let reader = model.spawn(|model| model.read(0));
        let one = model.put(0);
        let two = model.put(1);
        reader.join().unwrap();
        assert_eq!(model.read(0), Some(0));
        model.take(one);
        model.take(two);
        model.end(0);
    });
}

/// The only one: the table goes with it.
#[test]
fn a_reader_and_the_only_entry_is_taken_out() {
    explore(1, 3, 3, |model| {
        let one = model.put(1);
        let reader = model.spawn(|model| model.read(1));
        model.take(one);
        assert_eq!(model.read(1), None, "never older");
        reader.join().unwrap();
        model.end(0);
    });
}

#[test]
fn two_readers_and_an_entry_is_taken_out() {
    explore(1, 2, 2, |model| {
        let one = model.put(1);
        let readers = [(); 2].map(|()| model.spawn(|model| model.read(1)));
        model.take(one);
        for reader in readers {
            reader.join().unwrap();
        }
        model.end(0);
    });
}

/// The table grows, and then the entry is taken out of the larger one.
#[test]
fn the_table_is_exchanged_and_then_the_entry_is_taken_out() {
    explore(1, 3, 2, |model| {
        let one = model.put(0);
        let reader = model.spawn(|model| model.read(0));
        let two = model.put(1);
        model.take(one);
        assert_eq!(model.read(0), None, "never older");
        reader.join().unwrap();
        model.end(1);
        model.take(two);
        model.end(0);
    });
}

/// The same, by two threads: the one exchanges, the other takes out.
#[test]
fn one_exchanges_the_table_and_another_takes_the_entry_out() {
    explore(1, 2, 2, |model| {
        let one = model.put(0);
        let reader = model.spawn(|model| model.read(0));
        let other = model.spawn(|model| {
            model.put(1);
        });
        model.take(one);
        other.join().unwrap();
        reader.join().unwrap();
        assert_eq!(model.read(0), None, "never older");
        model.end(1);
    });
}

/// An entry that moves up to where another one was, and is taken out from there.
#[test]
fn an_entry_moves_and_is_taken_out() {
    explore(1, 2, 2, |model| {
        let one = model.put_as(0, 0);
        // In the place behind it: the table has four.
        let two = model.put_as(4, 4);
        let reader = model.spawn(|model| model.read(4));
        model.take(one);
        assert_eq!(model.read(4), Some(4), "found where it is now");
        model.take(two);
        reader.join().unwrap();
        model.end(0);
    });
}

/// Another entry at the same place, perhaps with the same address.
#[test]
fn another_entry_comes_to_the_same_place() {
    explore(1, 3, 2, |model| {
        let one = model.put_as(0, 1);
        // The table stays.
        let other = model.put_as(1, 9);
        let reader = model.spawn(|model| model.read(0));
        model.take(one);
        let two = model.put_as(0, 2);
        assert_eq!(model.read(0), Some(2), "never older");
        let read = reader.join().unwrap();
        assert!(matches!(read, None | Some(1 | 2)));
        model.take(two);
        model.end(1);
        model.take(other);
    });
}

/// What is hidden is shown and taken out while a reader asks for it, and another that is hidden is taken out.
#[test]
fn what_is_hidden_is_shown_and_taken_out() {
    explore(1, 2, 2, |model| {
        let one = model.put(0);
        let [two, three] = [1, 2].map(|key| model.hide(key, key));
        let reader = model.spawn(|model| [1, 2].map(|key| model.read(key)));
        model.take(three);
        model.show(two);
        assert_eq!(model.read(1), Some(1), "it is shown");
        model.take(two);
        let [second, third] = reader.join().unwrap();
        assert!(matches!((second, third), (None | Some(1), None)));
        model.end(1);
        model.take(one);
    });
}

/// A reader reads the second, while two take out one each.
#[test]
fn two_take_out_one_each() {
    explore(1, 2, 2, |model| {
        let (one, two) = (model.put(0), model.put(1));
        let reader = model.spawn(|model| model.read(1));
        let other = model.spawn(move |model| model.take(one));
        model.take(two);
        other.join().unwrap();
        reader.join().unwrap();
        model.end(0);
    });
}

/// What is held already is let go of, while it is taken out, and another thread takes out another one.
#[test]
fn let_go_of_while_two_take_out_one_each() {
    explore(1, 3, 2, |model| {
        let (one, two) = (model.put(0), model.put(1));
        let held = model.hold(0);
        assert!(held.is_some());
        let other = model.spawn(move |model| model.take(one));
        let holder = model.spawn(move |_| {
            held.as_ref().map(|shown| shown.read());
            drop(held);
        });
        model.take(two);
        other.join().unwrap();
        holder.join().unwrap();
        model.end(0);
    });
}

/// What one thread found, another lets go of, while the first uses the slot again.
#[test]
fn let_go_of_by_another_thread() {
    explore(1, 2, 2, |model| {
        let (one, two) = (model.put(0), model.put(1));
        let (sent, slot) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        *sent.lock().unwrap() = model.hold(0);
        let (from, to) = (Arc::clone(&sent), Arc::clone(&slot));
        let other = model.spawn(move |_| {
            let shown = from.lock().unwrap().take();
            *to.lock().unwrap() = shown.as_ref().map(|shown: &Shown<'_, Entry>| shown.read());
            drop(shown);
        });
        model.read(1);
        model.take(one);
        other.join().unwrap();
        assert_eq!(slot.lock().unwrap().take(), Some(0));
        model.end(1);
        model.take(two);
    });
}

/// Held throughout: kept until it is let go of, and no longer.
#[test]
fn kept_while_it_is_held() {
    explore(2, 2, 2, |model| {
        let one = model.put(0);
        let held = model.hold(0);
        let writer = model.spawn(move |model| model.take(one));
        writer.join().unwrap();
        model.assert_alive(1);
        held.as_ref().unwrap().read();
        drop(held);
        model.end(0);
    });
}

/// The index is given up: what was taken out is kept until there is a barrier again, and no longer.
#[test]
fn the_barrier_is_refused_for_a_while() {
    explore_one(Barrier::Words, 1, 2, |model| {
        let (one, two) = (model.put(0), model.put(1));
        let reader = model.spawn(|model| {
            model.read(0);
            model.read(1);
        });
        refuse_barriers(true);
        model.take(one);
        assert_eq!((model.read(0), model.read(1)), (None, None));
        refuse_barriers(false);
        reader.join().unwrap();
        model.take(two);
        model.end(0);
    });
}

/// What a reader holds is kept for it, though nobody else keeps it any more. Nothing is put in that would be
/// kept in the same way.
#[test]
fn an_entry_is_dropped_while_the_barrier_is_refused() {
    explore_one(Barrier::Words, 1, 2, |model| {
        let (one, two) = (model.put(0), model.put(1));
        let reader = model.spawn(|model| model.read(1));
        refuse_barriers(true);
        model.take(one);
        let three = model.hide(2, 2);
        model.show(three);
        assert_eq!(model.read(2), None, "not given up");
        model.take(three);
        model.take(two);
        refuse_barriers(false);
        reader.join().unwrap();
        model.settle();
        model.end(0);
    });
}

/// Two that are taken out one soon after the other turn an index to fences.
const TURNING: Setting = Setting {
    barrier: Barrier::Words,
    transit: true,
    often: Some(1),
    ..Setting::DEFAULT
};

impl Model {
    /// An entry for each hash. Whoever takes out the first one does so soon after another was taken out.
    fn put_all<const N: usize>(&self) -> [Named; N] {
        let named = std::array::from_fn(|hash| self.put(hash as u64));
        let last = self.put(N as u64);
        // Not soon after its table may have been exchanged.
        self.wait();
        self.take(last);
        assert!(!self.index.is_fenced());
        named
    }

    /// With so many entries, of which the first two are taken out: it is fenced.
    fn fenced<const N: usize>() -> (Self, Vec<Named>) {
        let model = Self::new();
        let mut named = model.put_all::<N>().to_vec();
        for one in named.drain(..2) {
            model.take(one);
        }
        assert!(model.index.is_fenced());
        (model, named)
    }
}

/// One is read, from before the index turns to fences until it is taken out by a fence.
#[test]
fn read_while_the_index_turns_to_fences() {
    explore_in(TURNING, 2, |model| {
        let [one, two, three] = model.put_all();
        let reader = model.spawn(|model| model.read(2));
        model.take(one);
        model.take(two);
        model.take(three);
        assert_eq!(model.read(2), None, "never older");
        reader.join().unwrap();
        model.end(0);
    });
}

/// The same, of one that is held already and let go of.
#[test]
fn let_go_of_while_the_index_turns_to_fences() {
    explore_in(TURNING, 3, |model| {
        let [one, two, three] = model.put_all();
        let held = model.hold(2);
        assert!(held.is_some());
        let holder = model.spawn(move |_| {
            held.as_ref().map(|shown| shown.read());
            drop(held);
        });
        model.take(one);
        model.take(two);
        model.take(three);
        holder.join().unwrap();
        model.end(0);
    });
}

/// One is taken out by a fence, while another one is, so late that it ends the fences.
#[test]
fn read_while_the_fences_end() {
    explore_in(TURNING, 1, |_| {
        let (model, mut named) = Model::fenced::<4>();
        let (two, three) = (named.remove(0), named.remove(0));
        let reader = model.spawn(|model| model.read(3));
        model.wait();
        let other = model.spawn(move |model| model.take(two));
        model.take(three);
        assert_eq!(model.read(3), None, "never older");
        other.join().unwrap();
        reader.join().unwrap();
        model.end(0);
    });
}

/// The same, of one that is held already and let go of.
#[test]
fn let_go_of_while_the_fences_end() {
    explore_in(TURNING, 2, |_| {
        let (model, mut named) = Model::fenced::<4>();
        let (two, three) = (named.remove(0), named.remove(0));
        let held = model.hold(3);
        assert!(held.is_some());
        model.wait();
        let other = model.spawn(move |model| model.take(two));
        let holder = model.spawn(move |_| {
            held.as_ref().map(|shown| shown.read());
            drop(held);
        });
        model.take(three);
        other.join().unwrap();
        holder.join().unwrap();
        model.end(0);
    });
}

/// A reader that has paid for fences for long ends them, as nobody settles any more.
#[test]
fn a_reader_ends_the_fences() {
    let setting = Setting {
        long: Some(1),
        ..TURNING
    };
    explore_in(setting, 2, |_| {
        let (model, mut named) = Model::fenced::<3>();
        assert_eq!(model.read(2), Some(2));
        assert!(
            model.index.is_fenced(),
            "somebody has settled since a reader looked last"
        );
        let two = named.remove(0);
        let reader = model.spawn(|model| model.read(2));
        model.take(two);
        reader.join().unwrap();
        model.end(0);
        let three = model.put(3);
        let _ = (model.read(3), model.read(3));
        assert!(!model.index.is_fenced(), "nobody has");
        model.take(three);
    });
}

/// One settles for an index that turns to fences, and is late: meanwhile it has done so, turned back, and
/// turns to fences once more.
#[test]
fn the_index_turns_to_fences_once_more() {
    explore_in(TURNING, 2, |model| {
        let mut named = model.put_all::<6>().to_vec();
        let last = named.remove(5);
        let mut next = || named.remove(0);
        model.take(next());
        let slow = next();
        let [one, two, three] = [(); 3].map(|()| next());
        let reader = model.spawn(|model| model.read(5));
        let other = model.spawn(move |model| {
            model.take(one);
            model.wait();
            model.take(two);
            model.take(three);
        });
        model.take(slow);
        model.take(last);
        other.join().unwrap();
        reader.join().unwrap();
        model.end(0);
    });
}
