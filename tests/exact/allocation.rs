//! A hit allocates nothing, and no number of threads uses up the memory.
//!
//! ```breakages
//! allocates-at-a-hit | src/call/hit.rs
//! @ pub(crate) fn hit_inside
//!   let due_from = self.due_from(&node);
//! + drop(std::hint::black_box(Box::new(due_from)));
//!
//! counts-by-default | src/policy/mod.rs | seen_from_outside
//! - self.stats || self.observed || self.paces()
//! + std::hint::black_box(true)
//!
//! keeps-the-memory-of-each-pile | src/raw/value/cell.rs | nothing_is_left
//! - if shown.binary_search(&node.address()).is_ok() {
//! + if std::hint::black_box(true) {
//!
//! keeps-the-box-of-an-old-value | src/raw/value/cell.rs | nothing_is_left
//! @ fn take_out
//! - if cold.is_empty() {
//! + if std::hint::black_box(false) {
//!
//! gives-one-record-back | src/raw/value/own.rs
//! - let mut next = Some(first);
//! - while let Some(record) = next {
//! - next = record.linked();
//! - spare.give_back(record);
//! - }
//! + spare.give_back(first);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::env;
use std::mem;
use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::Dogpile;
use dogpile::observe::{Event, Observer};

use crate::hits::Kind;

/// The system's allocator, and a count of what is asked of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated now, by all threads.
static LIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread allocated or freed anything.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// What this thread allocated last of all that has to begin a page.
    static PAGES: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

pub(crate) const PAGE: usize = 4096;

/// The pages that this thread allocated last.
pub(crate) fn last_pages() -> Range<usize> {
    let (begin, size) = PAGES.get();
    begin..begin + size
}

fn count(allocated: usize, freed: usize) {
    LIVE.fetch_add(allocated, Ordering::Relaxed);
    LIVE.fetch_sub(freed, Ordering::Relaxed);
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: the system's does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as promised by the caller.
        let block = unsafe { System.alloc(layout) };
        if layout.align() == PAGE {
            PAGES.set((block as usize, layout.size()));
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// How often `body` makes this thread allocate or free anything.
fn calls(body: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    body();
    CALLS.get() - before
}

#[test]
fn none_by_a_hit() {
    for kind in Kind::ALL {
        kind.run(1000, |hits| assert_eq!(calls(hits), 0, "{kind:?}"));
    }
    // It does count.
    assert_eq!(calls(|| drop(Box::new(7))), 2);
    let pile = Dogpile::with_value(Duration::MAX, 7);
    assert!(calls(|| pile.set(8)) >= 2);
}

/// What a creation allocates and frees: its value, and the one before. To be counted takes nothing more
/// once it has begun; to be observed, what is known of the lease.
#[test]
fn seen_from_outside_only_where_it_was_asked_for() {
    struct Watching;
    impl Observer for Watching {
        fn event(&self, _event: &Event) {}
    }
    let creates = |pile: &Dogpile<u32>| {
        let create = || drop(pile.refresh(|| Ok::<_, u8>(8)).unwrap());
        pile.set(7);
        (calls(create), calls(create))
    };
    let builder = || Dogpile::builder(Duration::MAX);
    // What this thread needs for all its creations.
    creates(&builder().build());
    // The box of a pile that is not at rest.
    assert_eq!(creates(&builder().build()), (2 + 1, 2));
    // That of what is remembered, and the counters.
    assert_eq!(creates(&builder().stats(true).build()), (2 + 3, 2));
    let observed = builder().observer_static(&Watching).build();
    assert_eq!(creates(&observed), (2 + 3 + 2, 2 + 2));
}

const CHILD: &str = "DOGPILE_TEST_CHILD";

/// Runs a test in a process without other tests, which allocate too. Says whether this is that process.
pub(crate) fn is_alone(test: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    print!("{said}{errors}");
    assert!(output.status.success() && said.contains("1 passed"));
    false
}

/// How many bytes are allocated now.
pub(crate) fn live() -> usize {
    LIVE.load(Ordering::SeqCst)
}

/// One after the other, each with more guards than it has slots, some of which it leaves to the
/// next.
#[test]
fn bounded_whatever_the_number_of_threads() {
    if !is_alone("allocation::bounded_whatever_the_number_of_threads") {
        return;
    }
    let pile = Dogpile::with_value(Duration::MAX, 0);
    let threads = |number: u32| {
        let mut left = None;
        for number in 0..number {
            left = thread::scope(|threads| {
                let left = mem::take(&mut left);
                let body = || {
                    let guards: Vec<_> = (0..12).map(|_| pile.peek()).collect();
                    pile.set(number);
                    drop(left);
                    guards.into_iter().nth(1).flatten()
                };
                threads.spawn(body).join().unwrap()
            });
        }
    };
    threads(100);
    let before = live();
    threads(10_000);
    let after = live();
    println!("{before} bytes after a hundred threads, {after} after ten thousand more");
    assert!(after <= before);
}

/// Of an old value once its last guard has gone, and of a pile.
#[test]
fn nothing_is_left() {
    if !is_alone("allocation::nothing_is_left") {
        return;
    }
    let replaced_while_read = |pile: &Dogpile<u32>| {
        let guard = pile.peek();
        pile.set(1);
        drop(guard);
    };
    // What the thread needs, for good.
    replaced_while_read(&Dogpile::with_value(Duration::MAX, 0));
    let without = live();
    let pile = Dogpile::with_value(Duration::MAX, 0);
    let before = live();
    for _ in 0..10 {
        replaced_while_read(&pile);
        assert_eq!(live(), before);
    }
    drop(pile);
    assert_eq!(live(), without);
}
