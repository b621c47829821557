//! The adapters: a hit over that of the cache alone, many keys, fresh.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use dogpile::Dogpile;
use dogpile_moka::{future, sync};
use dogpile_quick_cache::{Quick, QuickDogpile};

use crate::crew::Crew;
use crate::laps::Row;
use crate::measure::{measure, Effort};
use crate::options::Options;
use crate::spread::Spread;
use crate::table::Table;
use crate::value::{leak, Value, TTL};
use crate::{handmade, machine};

/// Few enough for the caches of a core.
const KEYS: u64 = 1_000;

fn key() -> u64 {
    thread_local! {
        static LAST: Cell<u64> = const { Cell::new(0) };
    }
    // A walk through all of them, each thread its own.
    let key = (LAST.get() + 617) % KEYS;
    LAST.set(key);
    key
}

fn make() -> Result<Value, ()> {
    Ok(Value::new(7))
}

fn settings() -> dogpile::KeyedBuilder<u64, Value> {
    Dogpile::builder(TTL).keyed()
}

/// After the yardstick: each cache alone, and then under the guard.
fn rows() -> Vec<Row> {
    let shared = || Arc::new(Value::new(7));
    let room = 2 * KEYS;
    vec![
        handmade::yardstick(),
        Row::new("quick_cache get", {
            let cache = leak(quick_cache::sync::Cache::new(room as usize));
            (0..KEYS).for_each(|key| cache.insert(key, shared()));
            move || {
                black_box(cache.get(&key()).expect("inserted").first());
            }
        }),
        Row::new("... under QuickDogpile", {
            let cache = Quick(quick_cache::sync::Cache::new(room as usize));
            let pile = leak(QuickDogpile::new(cache, settings()));
            (0..KEYS).for_each(|key| pile.set(key, Value::new(7)));
            move || {
                let hit = pile.get_or_try_create(&key(), make);
                black_box(hit.expect("it is there").first());
            }
        }),
        Row::new("moka sync get", {
            let cache = leak(moka::sync::Cache::new(room));
            (0..KEYS).for_each(|key| cache.insert(key, shared()));
            move || {
                black_box(cache.get(&key()).expect("inserted").first());
            }
        }),
        Row::new("... under MokaDogpile", {
            let cache = sync::Moka(moka::sync::Cache::new(room));
            let pile = leak(sync::MokaDogpile::new(cache, settings()));
            (0..KEYS).for_each(|key| pile.set(key, Value::new(7)));
            move || {
                let hit = pile.get_or_try_create(&key(), make);
                black_box(hit.expect("it is there").first());
            }
        }),
        Row::awaited("moka future get", {
            let cache = leak(moka::future::Cache::new(room));
            for key in 0..KEYS {
                futures::executor::block_on(cache.insert(key, shared()));
            }
            move || async {
                black_box(cache.get(&key()).await.expect("inserted").first());
            }
        }),
        Row::awaited("... under MokaDogpile", {
            let cache = future::Moka(moka::future::Cache::new(room));
            let pile = leak(future::MokaDogpile::new(cache, settings()));
            for key in 0..KEYS {
                futures::executor::block_on(pile.set_async(key, Value::new(7)));
            }
            move || async {
                let hit = pile
                    .get_or_try_create_async(&key(), || async { make() })
                    .await;
                black_box(hit.expect("it is there").first());
            }
        }),
    ]
}

pub(crate) fn run(crew: &mut Crew, options: &Options) {
    let threads = machine::up_to_two();
    let effort = Effort {
        rounds: options.rounds(50),
        batch: Duration::from_millis(2),
    };
    let measured = measure(crew, &rows(), threads, &effort);
    let title =
        "Adapters: a hit, ns a call of each thread, on 1,000 keys, over that of the cache alone";
    let head = ["", "1 thread", "over it", "2 threads", "over it"];
    let mut table = Table::new(title, head);
    for pair in measured[1..].chunks(2) {
        let [alone, guarded] = pair else {
            unreachable!("a cache and its guard")
        };
        for row in pair {
            let mut cells = vec![row.name.clone()];
            for at in 0..2 {
                cells.extend(match (row.at.get(at), alone.at.get(at)) {
                    (Some(figures), Some(alone)) => [
                        Spread::of(&figures.ns).to_string(),
                        match std::ptr::eq(row, guarded) {
                            true => figures.over(alone).to_string(),
                            false => String::new(),
                        },
                    ],
                    _ => [String::new(), String::new()],
                });
            }
            table.add(cells);
        }
    }
    table.print();
}
