//! What a pile, a thread and a creation ask of memory: exact, and the same in every run.

use std::mem::size_of;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Instant;

use allocation_counter::{measure, AllocationInfo};
use dogpile::Dogpile;

use crate::handmade;
use crate::peers::{moka, moka_hit, Moka};
use crate::table::Table;
use crate::value::{Value, TTL};

/// As many of a thing as even out what one of them asks for all.
const MANY: u64 = 10_000;

struct Line {
    what: &'static str,
    inline: usize,
    heap: i64,
    allocations: u64,
}

/// What `work` leaves behind on the heap, and how often it asked.
fn line(what: &'static str, inline: usize, work: impl FnOnce()) -> Line {
    let AllocationInfo {
        bytes_current,
        count_total,
        ..
    } = measure(work);
    Line {
        what,
        inline,
        heap: bytes_current,
        allocations: count_total,
    }
}

/// A line for something that is made and kept.
fn thing<T>(what: &'static str, make: impl FnOnce() -> T) -> Line {
    let mut kept = None;
    line(what, size_of::<T>(), || kept = Some(make()))
}

/// What a thread asks for that has not touched anything of the kind yet.
fn first_hit<T: Sync>(what: &'static str, shared: &T, hit: impl Fn(&T) + Sync) -> Line {
    thread::scope(|threads| {
        let first = threads.spawn(|| line(what, 0, || hit(shared)));
        first.join().expect("a hit does not panic")
    })
}

fn moka_entries() -> Line {
    let cache = Moka::builder().max_capacity(2 * MANY).time_to_live(TTL);
    let cache = cache.build();
    let mut all = line("moka: an entry, ttl", 0, || {
        for key in 0..MANY {
            cache.insert(key, Arc::new(Value::new(key)));
        }
        cache.run_pending_tasks();
    });
    all.heap /= MANY as i64;
    all.allocations /= MANY;
    all
}

pub(crate) fn run() {
    let value = size_of::<Value>();
    let pile = Dogpile::with_value(TTL, Value::new(7));
    let swap = handmade::swap();
    let cache = moka();
    let lines = [
        thing("Dogpile, no value", || Dogpile::<Value>::new(TTL)),
        thing("Dogpile, a value", || {
            Dogpile::with_value(TTL, Value::new(7))
        }),
        thing("ArcSwap of value and Instant", handmade::swap),
        thing("RwLock of Arc and Instant", || {
            RwLock::new(handmade::shared())
        }),
        moka_entries(),
        first_hit("Dogpile: the first hit of a thread", &pile, |pile| {
            assert!(pile.peek().is_some());
        }),
        first_hit("... of a thread after that one", &pile, |pile| {
            assert!(pile.peek().is_some());
        }),
        first_hit("arc_swap: the first hit of a thread", &swap, |swap| {
            handmade::swap_hit(swap);
        }),
        first_hit("... of a thread after that one", &swap, |swap| {
            handmade::swap_hit(swap);
        }),
        first_hit("moka: the first hit of a thread", &cache, |cache| {
            moka_hit(cache);
        }),
        line("Dogpile: another hit", 0, || {
            assert!(pile.peek().is_some());
        }),
        line("Dogpile: set, in place of a value", 0, || {
            pile.set(Value::new(8))
        }),
        line("arc_swap: store, in place of a value", 0, || {
            swap.store(Arc::new((Value::new(8), Instant::now() + TTL)));
        }),
    ];
    let title = format!("Memory: bytes, the value of {value} included, and allocations");
    let head = ["", "itself", "on the heap", "allocations"];
    let mut table = Table::new(&title, head);
    for Line {
        what,
        inline,
        heap,
        allocations,
    } in lines
    {
        let inline = match inline {
            0 => String::new(),
            bytes => bytes.to_string(),
        };
        table.add(vec![
            what.to_owned(),
            inline,
            heap.to_string(),
            allocations.to_string(),
        ]);
    }
    table.print();
}
