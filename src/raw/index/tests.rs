//! The index on one thread: what is found, what is kept for how long, and how wide the table is.

use std::cell::Cell;
use std::mem;
use std::panic::resume_unwind;
use std::time::Duration;

use super::*;

thread_local! {
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

struct Entry {
    key: u64,
    bursts: bool,
}

impl Entry {
    fn new(key: u64) -> Arc<Self> {
        ALIVE.set(ALIVE.get() + 1);
        Arc::new(Self { key, bursts: false })
    }

    fn bursting(key: u64) -> Arc<Self> {
        ALIVE.set(ALIVE.get() + 1);
        Arc::new(Self { key, bursts: true })
    }
}

impl Indexed for Entry {
    type Note = u64;
    type State = ();
}

impl Drop for Entry {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        if self.bursts {
            resume_unwind(Box::new("burst"));
        }
    }
}

/// An index, and the time by which it is settled.
struct Settled {
    index: Index<Entry>,
    now: Cell<Tick>,
}

impl Settled {
    fn new() -> Self {
        Self {
            index: Index::new(()),
            now: Cell::new(Tick::ZERO),
        }
    }

    fn wait(&self, span: Duration) {
        self.now.set(self.now.get().saturating_add(span));
    }

    /// Rarely, unless it is said otherwise.
    fn settle(&self) {
        self.wait(Duration::from_secs(1));
        self.index.settle(|| self.now.get());
    }

    /// Puts in an entry that the index alone keeps, and shows it. What names it.
    fn put(&self, key: u64) -> *const Entry {
        self.put_this(key, Entry::new(key))
    }

    fn put_this(&self, key: u64, entry: Arc<Entry>) -> *const Entry {
        let address = Arc::as_ptr(&entry);
        self.hide(key, entry);
        self.show(key);
        address
    }

    /// Puts in an entry, and leaves it hidden.
    fn hide(&self, key: u64, entry: Arc<Entry>) {
        self.index.lock().entries().insert(key, entry, key + 1_000);
    }

    fn show(&self, key: u64) {
        let mut locked = self.index.lock();
        let mut entries = locked.entries();
        let at = place_of(&mut entries, key).unwrap();
        entries.show(at);
    }

    /// Takes an entry out, if it is there. Nobody else may keep it.
    fn take(&self, key: u64) -> Option<Arc<Entry>> {
        let mut locked = self.index.lock();
        let mut entries = locked.entries();
        let at = place_of(&mut entries, key)?;
        let (entry, note) = entries.remove(at)?;
        entries.fit();
        assert_eq!(note, key + 1_000);
        Some(entry)
    }

    fn finds(&self, key: u64) -> bool {
        let found = self.index.find(key);
        assert!(found.as_ref().is_none_or(|entry| entry.key == key));
        found.is_some()
    }

    /// The address of the table that is not hidden, with its mark.
    fn table(&self) -> *mut Table<Entry> {
        under_lock(&self.index.front.table)
    }

    fn places(&self) -> usize {
        self.index.lock().entries().places()
    }

    fn kept(&self) -> u64 {
        // ORDERING: relaxed: on one thread.
        self.index.front.kept.load(Ordering::Relaxed)
    }

    fn keeps_something(&self) -> bool {
        self.index.lock().is_to_be_settled()
    }

    fn form(&self) -> Form {
        self.index.inner.lock().content.form
    }
}

/// Where the entry with this key stands. All that stands there is looked at besides.
fn place_of(entries: &mut Entries<'_, Entry>, key: u64) -> Option<usize> {
    let mut places = Vec::new();
    for at in 0..entries.places() {
        if let Some((entry, note)) = entries.get(at) {
            assert_eq!(*note, entry.key + 1_000, "each has its own note");
            places.push(at);
        }
    }
    assert_eq!(
        (places.len(), entries.iter().count()),
        (entries.len(), entries.len())
    );
    let (at, entry, _) = entries.all(key).next()?;
    assert_eq!(entry.key, key);
    assert_eq!(entries.place_of(key, &entry), Some(at));
    Some(at)
}

#[test]
fn what_is_put_in_is_found_until_it_is_taken_out() {
    let index = Settled::new();
    assert!(!index.finds(1) && index.take(1).is_none());
    let entry = Entry::new(1);
    index.put_this(1, Arc::clone(&entry));
    assert_eq!(Arc::strong_count(&entry), 2);
    assert!(index.finds(1) && !index.finds(2));
    assert_eq!(Arc::strong_count(&entry), 2, "a reader counts nothing");
    assert!(!index.keeps_something());
    assert!(index.take(2).is_none() && index.finds(1));
    let taken = index.take(1).unwrap();
    assert!(Arc::ptr_eq(&taken, &entry));
    assert!(!index.finds(1));
    assert_eq!(Arc::strong_count(&entry), 3, "one waits");
    assert!(index.keeps_something());
    index.settle();
    assert_eq!(Arc::strong_count(&entry), 2);
    assert_eq!((index.kept(), index.keeps_something()), (0, false));
    // The last one took its table along.
    assert!(without_mark(index.table()).is_null());
    index.put_this(1, taken);
    assert!(index.finds(1));
}

/// Nobody reads it, so nobody waits for its readers: nor for those of its table.
#[test]
fn what_is_hidden_is_taken_out_at_once() {
    let index = Settled::new();
    for key in 0..100 {
        index.hide(key, Entry::new(key));
        assert!(!index.finds(key) && without_mark(index.table()).is_null());
    }
    for key in 0..50 {
        let taken = index.take(key).unwrap();
        assert_eq!((taken.key, Arc::strong_count(&taken)), (key, 1));
    }
    assert!(!index.keeps_something());
    index.show(60);
    index.show(60);
    assert!((50..100).all(|key| index.finds(key) == (key == 60)));
    // All have one table now. What is hidden there is taken out at once all the same.
    assert_eq!(Arc::strong_count(&index.take(61).unwrap()), 1);
    assert!(!index.keeps_something());
    assert_eq!(Arc::strong_count(&index.take(60).unwrap()), 2);
    assert!(index.keeps_something());
    index.settle();
    assert_eq!(ALIVE.get(), 48);
    assert!(!index.finds(62) && index.take(62).is_some());
}

/// A table that is exchanged while all in it are hidden is hidden again.
#[test]
fn a_table_is_shown_while_it_has_something_to_show() {
    let index = Settled::new();
    index.put(1);
    index.hide(2, Entry::new(2));
    let is_shown = || !without_mark(index.table()).is_null();
    assert!(is_shown());
    index.take(1);
    assert!(is_shown(), "the table is the same");
    for key in 3..20 {
        index.hide(key, Entry::new(key));
    }
    assert!(!is_shown() && index.keeps_something());
    index.settle();
    assert!(!index.keeps_something());
    index.show(19);
    assert!(is_shown() && index.finds(19) && !index.finds(2));
    // However many it has to show.
    index.show(18);
    for key in 20..40 {
        index.hide(key, Entry::new(key));
    }
    assert!(is_shown() && index.finds(18) && index.finds(19));
}

/// The table is exchanged when it is too small, and when it is much too large, and rarely.
#[test]
fn the_table_fits() {
    for is_shown in [false, true] {
        let index = Settled::new();
        let mut tables = Vec::new();
        let mut check = |index: &Settled, len: usize| {
            let places = index.places();
            tables.push(places);
            assert_eq!(index.index.lock().entries().len(), len);
            assert!(places <= 16 || len * 8 >= places, "too wide");
            assert!(len == 0 || len * 8 < places * 7, "too full");
            assert_eq!(len == 0, places == 0);
        };
        for key in 0..200 {
            index.hide(key, Entry::new(key));
            if is_shown {
                index.show(key);
            }
            check(&index, key as usize + 1);
            assert!((0..=key).all(|key| index.finds(key) == is_shown));
        }
        for key in 0..200 {
            index.take(key).unwrap();
            check(&index, 199 - key as usize);
            assert!(!index.finds(key));
            assert!((key + 1..200).all(|key| index.finds(key) == is_shown));
        }
        tables.dedup();
        assert!(tables.len() < 20, "{} tables", tables.len());
        assert_eq!(ALIVE.get(), if is_shown { 200 } else { 0 });
        index.settle();
        assert_eq!((ALIVE.get(), index.keeps_something()), (0, false));
    }
}

/// Its classes are announced meanwhile, so that its reader knows.
#[test]
fn what_is_read_is_kept_until_its_reader_lets_go_of_it() {
    let index = Settled::new();
    index.put(1);
    index.put(2);
    let (held, again) = (index.index.find(1).unwrap(), index.index.find(1).unwrap());
    index.take(1);
    assert_eq!(index.kept(), 0, "nobody has looked for it yet");
    index.settle();
    assert_eq!(index.kept(), class(ptr::from_ref::<Entry>(&held).cast()));
    assert!(index.keeps_something());
    index.settle();
    drop(index.index.find(2));
    drop(again);
    assert_eq!((held.key, ALIVE.get()), (1, 2));
    drop(held);
    assert_eq!((ALIVE.get(), index.kept()), (1, 0));
    assert!(!index.keeps_something());
}

/// Where it was shown once more when its reader let go of it: by a reader of another index, to which that
/// address was of no use.
#[test]
fn what_is_shown_in_vain_is_freed_by_whoever_settles() {
    let index = Settled::new();
    index.put(1);
    let held = index.index.find(1).unwrap();
    let other = own::free_slot().unwrap();
    other.show(ptr::from_ref::<Entry>(&held).cast());
    index.take(1);
    index.settle();
    drop(held);
    other.clear();
    assert_eq!(ALIVE.get(), 1);
    index.settle();
    assert_eq!((ALIVE.get(), index.kept()), (0, 0));
}

/// A table that a slot shows is kept until somebody settles.
#[test]
fn a_table_is_kept_while_somebody_looks_into_it() {
    let index = Settled::new();
    index.put(1);
    let slot = own::free_slot().unwrap();
    slot.show(without_mark(index.table()).cast_const().cast());
    index.take(1);
    index.settle();
    assert!(index.keeps_something());
    index.settle();
    assert!(index.keeps_something());
    slot.clear();
    index.settle();
    assert!(!index.keeps_something());
}

/// The panic of an entry that is dropped goes to nobody, and keeps no other entry.
#[test]
fn one_that_bursts_keeps_no_other() {
    let index = Settled::new();
    for key in 0..10 {
        index.put_this(key, Entry::bursting(key));
    }
    (0..5).for_each(|key| drop(index.take(key)));
    index.settle();
    assert_eq!(ALIVE.get(), 5);
    index.take(5);
    let held = index.index.find(6).unwrap();
    index.take(6);
    index.settle();
    assert_eq!(ALIVE.get(), 4);
    drop(held);
    assert_eq!(ALIVE.get(), 3);
    drop(index);
    assert_eq!(ALIVE.get(), 0);
}

/// All that is there, waits or is kept for somebody goes with the index.
#[test]
fn nothing_outlives_the_index() {
    let index = Settled::new();
    for key in 0..20 {
        index.put(key);
    }
    mem::forget(index.index.find(0));
    index.take(0);
    index.settle();
    (1..10).for_each(|key| drop(index.take(key)));
    assert_eq!(ALIVE.get(), 20);
    drop(index);
    assert_eq!(ALIVE.get(), 0);
}

/// A guard that was forgotten shows an address for ever: what came to that address would look as if it were
/// read.
#[test]
fn what_is_shown_for_ever_keeps_its_address() {
    for is_taken in [false, true] {
        let index = Settled::new();
        let address = index.put(1);
        mem::forget(index.index.find(1));
        if is_taken {
            index.take(1);
            index.settle();
        }
        drop(index);
        assert_eq!(ALIVE.get(), 0);
        let others: Vec<_> = (0..1_000).map(|_| Entry::new(1)).collect();
        assert!(others.iter().all(|other| Arc::as_ptr(other) != address));
    }
}

/// Sixteen times in a row within a millisecond each. The barrier is passed once more before fences will do.
#[test]
fn what_is_settled_often_is_read_with_fences() {
    if barrier::are_fences() {
        return;
    }
    let index = Settled::new();
    let settle = || {
        index.put(1);
        index.take(1);
        index.index.settle(|| index.now.get());
    };
    index.put(2);
    for turn in 1..3 {
        index.wait(Duration::from_secs(1));
        for _ in 0..16 {
            settle();
            assert!(index.form() == Form::Plain && !is_fenced(index.table()));
            index.wait(Duration::from_nanos(999_999));
        }
        settle();
        assert!(index.form() == Form::Turning(turn) && is_fenced(index.table()));
        assert!(index.finds(2));
        settle();
        assert!(index.form() == Form::Fenced && is_fenced(index.table()));
        assert!(index.finds(2));
        // What comes meanwhile is marked as well.
        for key in 10..20 {
            index.put(key);
        }
        assert!(is_fenced(index.table()) && index.finds(10));
        (10..20).for_each(|key| drop(index.take(key)));
        settle();
        assert!(index.form() == Form::Fenced);
        index.wait(Duration::from_nanos(10_000_001));
        settle();
        assert!(index.form() == Form::Plain && !is_fenced(index.table()));
        assert!(index.finds(2));
    }
}

/// To look once more at what is read still is not to settle something.
#[test]
fn what_is_read_for_long_turns_no_index_to_fences() {
    let index = Settled::new();
    index.put(1);
    let held = index.index.find(1);
    index.take(1);
    let is_fenced_before = is_fenced(index.table());
    for _ in 0..40 {
        index.index.settle(|| index.now.get());
    }
    assert_eq!(is_fenced(index.table()), is_fenced_before);
    drop(held);
    index
        .index
        .settle(|| unreachable!("there is nothing to settle"));
}

/// A reader that has paid for many fences ends them, if nobody settles any more.
#[test]
fn readers_end_the_fences() {
    if barrier::are_fences() {
        return;
    }
    let index = Settled::new();
    index.put(2);
    for _ in 0..17 {
        index.put(1);
        index.take(1);
        index.index.settle(|| index.now.get());
    }
    assert!(is_fenced(index.table()));
    // From here on this thread counts from zero.
    while !own::has_found_long() {}
    let find = |times: u32| (0..times).for_each(|_| assert!(index.finds(2)));
    find(1 << 16);
    assert!(is_fenced(index.table()), "somebody has settled meanwhile");
    find((1 << 16) - 1);
    assert!(is_fenced(index.table()), "too soon");
    find(1);
    assert!(!is_fenced(index.table()));
    find(1 << 16);
    assert!(!is_fenced(index.table()));
}

/// What comes in the order in which the last table had it, or that of another index, finds its place at once all
/// the same.
#[test]
fn what_comes_in_the_order_of_a_table_is_not_far_from_its_place() {
    let order = |settled: &Settled| -> Vec<u64> {
        let mut locked = settled.index.lock();
        locked.entries().iter().map(|entry| entry.key).collect()
    };
    let fill = |settled: &Settled, keys: &[u64]| {
        let mut farthest = 0;
        for &key in keys {
            settled
                .index
                .lock()
                .entries()
                .insert(key, Entry::new(key), 0);
            let mut locked = settled.index.lock();
            farthest = farthest.max(locked.entries().farthest_of(key));
        }
        farthest
    };
    let empty = |settled: &Settled, keys: &[u64], but: usize| {
        for &key in &keys[but..] {
            let mut locked = settled.index.lock();
            let mut entries = locked.entries();
            let at = entries.all(key).next().unwrap().0;
            drop(entries.remove(at));
            entries.fit();
        }
    };
    let keys: Vec<u64> = (1..23_000)
        .map(|key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32))
        .map(|key| key.wrapping_mul(0xd6e8_feb8_6659_fd93))
        .collect();
    let one = Settled::new();
    // Nearly full as it is at times, a table has some hundreds in a row.
    const USUAL: usize = 1_000;
    assert!(fill(&one, &keys) < USUAL);
    let known = order(&one);
    let other = Settled::new();
    let of_another = fill(&other, &known);
    empty(&one, &known, 0);
    let of_the_last = fill(&one, &known);
    let known = order(&one);
    empty(&one, &known, 1);
    let of_one_that_shrank = fill(&one, &known[1..]);
    for farthest in [of_another, of_the_last, of_one_that_shrank] {
        assert!(farthest < USUAL, "{farthest}");
    }
}
