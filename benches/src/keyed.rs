//! Many keys: a hit and the bytes of a key, beside maps and caches that others wrote.
//!
//! Keys and values are eight bytes each, so that the maps are measured and not what they hold. The maps
//! know no time, and the caches are without a time to live: only a pile is judged by its age.

use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use allocation_counter::measure as allocations;
use dogpile::{Dogpile, KeyedDogpile};

use crate::crew::Crew;
use crate::laps::Row;
use crate::measure::{measure, Effort};
use crate::options::Options;
use crate::spread::{count, Spread};
use crate::table::Table;
use crate::value::{leak, TTL};
use crate::{handmade, machine, writer};

/// Which keys are asked for.
#[derive(Clone, Copy)]
struct Traffic {
    name: &'static str,
    keys: u64,
    next: fn() -> u64,
}

const TRAFFIC: [Traffic; 2] = [
    Traffic {
        name: "zipf-like",
        keys: 10_000,
        next: favourite,
    },
    Traffic {
        name: "uniform",
        keys: 100_000,
        next: any,
    },
];

/// A draw of each thread's own, spread over all bits.
fn draw() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        // Not the same for all: they would ask for the same keys at the same time.
        static LAST: Cell<u64> =
            Cell::new(THREADS.fetch_add(1, Relaxed).wrapping_mul(0x2545_f491_4f6c_dd1d));
    }
    // Xorshift: a few instructions, and no memory but the thread's own.
    let mut x = LAST.get();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    LAST.set(x);
    x
}

fn any() -> u64 {
    ((u128::from(draw()) * 100_000) >> 64) as u64
}

/// `10,000 ^ u` for a uniform `u`: as in Zipf's law with exponent 1, each ten times more keys share the
/// same part of the calls.
pub(crate) fn favourite() -> u64 {
    const STEPS: u64 = 4096;
    static POWERS: OnceLock<Vec<u32>> = OnceLock::new();
    let powers = POWERS.get_or_init(|| {
        let power = |step: u64| 1e4_f64.powf(step as f64 / STEPS as f64);
        (0..=STEPS).map(|step| power(step) as u32).collect()
    });
    let draw = draw();
    let step = (draw % STEPS) as usize;
    let [from, to] = [powers[step], powers[step + 1]].map(u64::from);
    // Among those that share a step, any.
    from - 1 + (((draw >> 32) * (to - from).max(1)) >> 32)
}

type Map = KeyedDogpile<u64, u64>;
type Piles = moka::sync::Cache<u64, Arc<Dogpile<u64>>>;

fn unbounded(keys: u64) -> Map {
    let map = Map::new(TTL);
    (0..keys).for_each(|key| map.set(key, key));
    map
}

fn bounded(keys: u64) -> Map {
    let settings = Dogpile::builder(TTL).keyed();
    let map = settings.max_entries(2 * keys as usize).build();
    (0..keys).for_each(|key| map.set(key, key));
    map
}

fn plain(keys: u64) -> HashMap<u64, u64> {
    (0..keys).map(|key| (key, key)).collect()
}

fn papaya(keys: u64) -> papaya::HashMap<u64, u64> {
    let map = papaya::HashMap::new();
    let pinned = map.pin();
    for key in 0..keys {
        pinned.insert(key, key);
    }
    drop(pinned);
    map
}

fn scc(keys: u64) -> scc::HashIndex<u64, u64> {
    let map = scc::HashIndex::new();
    for key in 0..keys {
        map.insert_sync(key, key).expect("a new key");
    }
    map
}

fn dashmap(keys: u64) -> dashmap::DashMap<u64, u64> {
    (0..keys).map(|key| (key, key)).collect()
}

fn quick_cache(keys: u64) -> quick_cache::sync::Cache<u64, u64> {
    let cache = quick_cache::sync::Cache::new(2 * keys as usize);
    (0..keys).for_each(|key| cache.insert(key, key));
    cache
}

fn moka(keys: u64) -> moka::sync::Cache<u64, u64> {
    let cache = moka::sync::Cache::new(2 * keys);
    (0..keys).for_each(|key| cache.insert(key, key));
    cache.run_pending_tasks();
    cache
}

fn pile(key: u64) -> Arc<Dogpile<u64>> {
    Arc::new(Dogpile::with_value(TTL, key))
}

fn piles(keys: u64) -> Piles {
    let cache = Piles::new(2 * keys);
    (0..keys).for_each(|key| cache.insert(key, pile(key)));
    cache.run_pending_tasks();
    cache
}

/// The row that others are compared with.
const OURS: &str = "KeyedDogpile get_or_create";
/// What choosing a key takes, of each row.
const CHOICE: &str = "choosing the key, of each";

/// After the yardstick, ours first.
fn rows(traffic: Traffic) -> Vec<Row> {
    let Traffic { keys, next, .. } = traffic;
    let ours = |name: &str, map: Map| {
        let map = leak(map);
        Row::new(name, move || {
            let key = next();
            black_box(*map.get_or_create(&key, || key));
        })
    };
    vec![
        handmade::yardstick(),
        ours(OURS, unbounded(keys)),
        ours("... with a bound", bounded(keys)),
        Row::new(CHOICE, move || {
            black_box(next());
        }),
        Row::new("std HashMap get, which nobody may change", {
            let map = leak(plain(keys));
            move || {
                black_box(*map.get(&next()).expect("inserted"));
            }
        }),
        Row::new("papaya get", {
            let map = leak(papaya(keys));
            move || {
                black_box(*map.pin().get(&next()).expect("inserted"));
            }
        }),
        Row::new("scc HashIndex peek_with", {
            let map = leak(scc(keys));
            move || {
                black_box(map.peek_with(&next(), |_, value| *value).expect("inserted"));
            }
        }),
        Row::new("dashmap get", {
            let map = leak(dashmap(keys));
            move || {
                black_box(*map.get(&next()).expect("inserted"));
            }
        }),
        Row::new("quick_cache get", {
            let cache = leak(quick_cache(keys));
            move || {
                black_box(cache.get(&next()).expect("inserted"));
            }
        }),
        Row::new("moka get", {
            let cache = leak(moka(keys));
            move || {
                black_box(cache.get(&next()).expect("inserted"));
            }
        }),
        Row::new("moka get_with, Arc<Dogpile>, get_or_create", {
            let cache = leak(piles(keys));
            move || {
                let key = next();
                let pile = cache.get_with(key, || pile(key));
                black_box(*pile.get_or_create(|| key));
            }
        }),
    ]
}

/// So many guards does a thread hold that asks for one more.
const HELD: u64 = 1_000;

/// Each thread holds guards of many keys meanwhile.
fn rows_among_many(traffic: Traffic) -> Vec<Row> {
    let Traffic { keys, next, .. } = traffic;
    vec![
        handmade::yardstick(),
        Row::prepared(OURS, {
            let map = leak(unbounded(keys));
            move |laps| {
                let held = (0..HELD).map(|key| map.get_or_create(&key, || key));
                let held: Vec<_> = held.collect();
                laps.repeat(&|| {
                    let key = next();
                    black_box(*map.get_or_create(&key, || key));
                });
                drop(held);
            }
        }),
        Row::new(CHOICE, move || {
            black_box(next());
        }),
        Row::prepared("papaya get, by a pin that is held", {
            let map = leak(papaya(keys));
            move |laps| {
                let pinned = map.pin();
                laps.repeat(&|| {
                    black_box(*pinned.get(&next()).expect("inserted"));
                });
            }
        }),
    ]
}

/// The first thread asks, another one sets values of the same keys.
fn rows_beside_a_writer(traffic: Traffic) -> Vec<Row> {
    let Traffic { keys, next, .. } = traffic;
    let map = leak(unbounded(keys));
    let papaya = leak(papaya(keys));
    vec![
        Row::new(OURS, move || {
            let key = next();
            black_box(*map.get_or_create(&key, || key));
        })
        .beside(move || {
            let key = next();
            map.set(key, key);
        }),
        Row::new("papaya get", move || {
            black_box(*papaya.pin().get(&next()).expect("inserted"));
        })
        .beside(move || {
            let key = next();
            black_box(papaya.pin().insert(key, key));
        }),
    ]
}

fn beside_a_writer(crew: &mut Crew, options: &Options, traffic: Traffic) {
    let measured = measure(
        crew,
        &rows_beside_a_writer(traffic),
        machine::up_to_two(),
        &effort(options),
    );
    let title = format!(
        "Keyed: a hit, ns, while another thread sets values, and its ratio to the first row, {} keys, {}",
        count(traffic.keys as usize),
        traffic.name
    );
    let heads = [
        "nobody sets",
        "one sets all the while",
        "a value set meanwhile",
    ];
    writer::table_under(&title, heads, &measured).print();
}

fn effort(options: &Options) -> Effort {
    Effort {
        rounds: options.rounds(50),
        batch: Duration::from_millis(2),
    }
}

fn hits(crew: &mut Crew, options: &Options, traffic: Traffic, how: &str, rows: &[Row]) {
    let measured = measure(crew, rows, machine::up_to_two(), &effort(options));
    let title = format!(
        "Keyed: a hit{how}, ns a call of each thread, {} keys, {}",
        count(traffic.keys as usize),
        traffic.name
    );
    let head = [
        "",
        "1 thread",
        "KeyedDogpile over it",
        "2 threads",
        "over it",
    ];
    let mut table = Table::new(&title, head);
    let ours = &measured[1];
    for row in &measured[1..] {
        let mut cells = vec![row.name.clone()];
        for at in 0..2 {
            cells.extend(match (row.at.get(at), ours.at.get(at)) {
                (Some(figures), Some(ours)) => {
                    let over = ours.over(figures).to_string();
                    let is_other = ![OURS, CHOICE].contains(&row.name.as_str());
                    [
                        Spread::of(&figures.ns).to_string(),
                        if is_other { over } else { String::new() },
                    ]
                }
                _ => [String::new(), String::new()],
            });
        }
        table.add(cells);
    }
    table.print();
}

/// What so many keys leave on the heap, for each.
fn bytes<M>(keys: u64, make: impl FnOnce(u64) -> M) -> u64 {
    let mut kept = None;
    let info = allocations(|| kept = Some(make(keys)));
    info.bytes_current as u64 / keys
}

/// Of the thread that runs first: exact, and the same in every run.
pub(crate) fn memory() {
    let sizes = TRAFFIC.map(|traffic| traffic.keys);
    let titles = sizes.map(|keys| format!("{} keys", count(keys as usize)));
    let head = [""].into_iter().chain(titles.iter().map(String::as_str));
    let mut table = Table::new(
        "Keyed: bytes a key, eight of the key and eight of the value among them",
        head,
    );
    let mut line = |name: &str, of: &dyn Fn(u64) -> u64| {
        let cells = sizes.map(|keys| of(keys).to_string());
        table.add([name.to_owned()].into_iter().chain(cells).collect());
    };
    line("KeyedDogpile", &|keys| bytes(keys, unbounded));
    line("... with a bound", &|keys| bytes(keys, bounded));
    line("std HashMap", &|keys| bytes(keys, plain));
    line("papaya", &|keys| bytes(keys, papaya));
    line("scc HashIndex", &|keys| bytes(keys, scc));
    line("dashmap", &|keys| bytes(keys, dashmap));
    line("quick_cache", &|keys| bytes(keys, quick_cache));
    line("moka", &|keys| bytes(keys, moka));
    line("moka of Arc<Dogpile>", &|keys| bytes(keys, piles));
    table.print();
}

pub(crate) fn run(crew: &mut Crew, options: &Options) {
    for traffic in TRAFFIC {
        hits(crew, options, traffic, "", &rows(traffic));
        let held = format!(", {} guards held", count(HELD as usize));
        hits(crew, options, traffic, &held, &rows_among_many(traffic));
        beside_a_writer(crew, options, traffic);
    }
}
