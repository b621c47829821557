//! A map that is full: each new key pushes another one out, with and without a reader beside it.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dogpile::Dogpile;

use crate::crew::Crew;
use crate::keyed::favourite;
use crate::laps::Row;
use crate::measure::{measure, Effort};
use crate::options::Options;
use crate::value::{leak, TTL};
use crate::{machine, writer};

/// So many keys have room, and are there at the beginning.
const ROOM: u64 = 10_000;

/// The first thread asks for new keys, each so many times; the second, if there is one, for old ones all
/// the while.
fn row(name: &str, times: u64, ask: impl Fn(u64) + Clone + Send + Sync + 'static) -> Row {
    let last = leak(AtomicU64::new(ROOM));
    let beside = ask.clone();
    (0..ROOM).for_each(&ask);
    Row::new(name, move || {
        let key = last.fetch_add(1, Relaxed);
        (0..times).for_each(|_| ask(key));
    })
    .beside(move || beside(favourite()))
}

fn rows() -> Vec<Row> {
    let asked = [("asked for once", 1), ("asked for three times", 3)];
    let each = asked.map(|(how, times)| {
        let map = Dogpile::builder(TTL).keyed().max_entries(ROOM as usize);
        let map = leak(map.build());
        let cache = leak(quick_cache::sync::Cache::new(ROOM as usize));
        let moka = leak(moka::sync::Cache::new(ROOM));
        [
            row(
                &format!("KeyedDogpile get_or_create, {how}"),
                times,
                |key| {
                    black_box(*map.get_or_create(&key, || key));
                },
            ),
            row(&format!("quick_cache, {how}"), times, |key| {
                let insert = || Ok::<_, ()>(key);
                black_box(cache.get_or_insert_with(&key, insert).expect("no error"));
            }),
            row(&format!("moka get_with, {how}"), times, |key| {
                black_box(moka.get_with(key, || key));
            }),
        ]
    });
    each.into_iter().flatten().collect()
}

pub(crate) fn run(crew: &mut Crew, options: &Options) {
    let effort = Effort {
        rounds: options.rounds(30),
        batch: Duration::from_millis(2),
    };
    let measured = measure(crew, &rows(), machine::up_to_two(), &effort);
    let title =
        "Full: ns for a new key, which pushes one of 10,000 out, and its ratio to the first row";
    writer::table(title, "its call meanwhile", &measured).print();
}
