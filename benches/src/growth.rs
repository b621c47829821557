//! How the cost of a hit grows: with the threads, with the piles, with the guards held.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dogpile::Dogpile;

use crate::crew::Crew;
use crate::floors::Bare;
use crate::handmade::{self, rwlock_hit, swap_hit};
use crate::laps::Row;
use crate::measure::{measure, Effort};
use crate::options::Options;
use crate::peers::{moka, moka_hit};
use crate::spread::{count, Spread};
use crate::table::Table;
use crate::value::{leak, Value, TTL};
use crate::{machine, ours};

pub(crate) const READERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const PILES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const GUARDS: [usize; 6] = [0, 1, 10, 100, 1_000, 10_000];

/// What a hit cost at each number of threads.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Beside [`READERS`].
    pub(crate) ns: Vec<Spread>,
}

pub(crate) fn run(crew: &mut Crew, options: &Options) -> Vec<Line> {
    let lines = readers(options);
    piles(crew, options);
    guards(crew, options);
    lines
}

fn readers(options: &Options) -> Vec<Line> {
    let pile = ours::pile();
    let swap = leak(handmade::swap());
    let lock = leak(parking_lot::RwLock::new(handmade::shared()));
    let cache = leak(moka());
    let rows = [
        Row::new(ours::HIT, move || ours::hit(pile)),
        Row::new(handmade::ARC_SWAP, move || swap_hit(swap)),
        Row::new("parking_lot RwLock of Arc and Instant", move || {
            rwlock_hit(lock)
        }),
        Row::new("moka sync get, ttl", move || moka_hit(cache)),
    ];
    let mut crew = Crew::new(READERS[READERS.len() - 1]);
    // With more threads than cores each of them should have had a few turns.
    let cores = machine::cores().len().max(1);
    let turn = Duration::from_millis(if options.quick { 1 } else { 2 });
    let batch = |threads: usize| turn * threads.div_ceil(cores) as u32 + turn * 4;
    let spreads = crew.crowd(&rows, &READERS, options.rounds(20), batch);
    crew.dismiss();

    let title = "Growth: ns of a core a hit, by the number of threads on one object";
    let lines = rows.into_iter().zip(spreads);
    let lines: Vec<Line> = lines.map(|(row, ns)| Line { name: row.name, ns }).collect();
    let sizes = READERS.map(count);
    let mut head = vec!["threads"];
    head.extend(lines.iter().map(|line| &line.name[..]));
    let mut table = Table::new(title, head);
    for (at, size) in sizes.into_iter().enumerate() {
        let mut cells = vec![size];
        cells.extend(lines.iter().map(|line| line.ns[at].to_string()));
        table.add(cells);
    }
    table.print();
    lines
}

/// A hit on one of many, in an order that no prefetcher guesses.
fn among<T: Sync + 'static>(
    name: &str,
    things: Vec<T>,
    hit: impl Fn(&T) + Send + Sync + 'static,
) -> Row {
    let things: &'static [T] = things.leak();
    let seeds = AtomicU64::new(1);
    Row::prepared(name, move |laps| {
        // Each thread in an order of its own.
        let next = Cell::new(seeds.fetch_add(1, Relaxed));
        laps.repeat(&|| {
            // Knuth's constant; the upper half is random enough.
            let random = next
                .get()
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            next.set(random);
            let scaled = (random >> 32) * things.len() as u64;
            hit(&things[(scaled >> 32) as usize]);
        });
    })
}

fn piles(crew: &mut Crew, options: &Options) {
    let names = [
        ours::HIT,
        handmade::ARC_SWAP,
        "bare AtomicPtr + coarse clock",
    ];
    let sized = |size: usize| {
        let piles = (0..size).map(|_| Dogpile::with_value(TTL, Value::new(7)));
        let swaps = (0..size).map(|_| handmade::swap());
        let bare = (0..size).map(|_| Bare::new());
        [
            among(names[0], piles.collect(), ours::hit),
            among(names[1], swaps.collect(), swap_hit),
            among(names[2], bare.collect(), Bare::hit),
        ]
    };
    let title = "Growth: ns a hit, by the number of piles, hit in random order";
    grid(crew, options, title, "piles", &names, &PILES, sized);
}

fn guards(crew: &mut Crew, options: &Options) {
    let names = [ours::HIT, handmade::ARC_SWAP];
    let held = |size: usize| {
        let swap = leak(handmade::swap());
        [
            ours::holding(size, names[0]),
            Row::prepared(names[1], move |laps| {
                let held: Vec<_> = (0..size).map(|_| swap.load()).collect();
                laps.repeat(&|| swap_hit(swap));
                drop(held);
            }),
        ]
    };
    let title =
        "Growth: ns a hit, by the number of guards that the thread holds on the same object";
    grid(crew, options, title, "guards", &names, &GUARDS, held);
}

/// A table with a line for each size, and for each name a column for each number of threads.
fn grid<const N: usize>(
    crew: &mut Crew,
    options: &Options,
    title: &str,
    what: &str,
    names: &[&str; N],
    sizes: &[usize],
    sized: impl Fn(usize) -> [Row; N],
) {
    let threads = machine::up_to_two();
    let effort = Effort {
        rounds: options.rounds(35),
        batch: Duration::from_millis(2),
    };
    let mut rows = vec![handmade::yardstick()];
    rows.extend(sizes.iter().flat_map(|&size| sized(size)));
    let measured = measure(crew, &rows, threads, &effort);

    let columns: Vec<String> = names
        .iter()
        .flat_map(|name| threads.iter().map(move |n| format!("{name}, {n} thr.")))
        .collect();
    let head = std::iter::once(what).chain(columns.iter().map(|name| &name[..]));
    let mut table = Table::new(title, head);
    for (&size, line) in sizes.iter().zip(measured[1..].chunks(N)) {
        let mut cells = vec![count(size)];
        let figures = line.iter().flat_map(|row| &row.at);
        cells.extend(figures.map(|figures| Spread::of(&figures.ns).to_string()));
        table.add(cells);
    }
    table.print();
}
