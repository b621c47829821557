//! What a hit costs beside that of a plain pile, in nanoseconds: medians of rounds that take turns.
//!
//! ```text
//! cargo run --release -p dogpile-fleet --example hit
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dogpile::Dogpile;
use dogpile_fleet::{FleetDogpile, MemoryStore};

const ROUNDS: usize = 41;
const HITS: u32 = 200_000;

fn round(mut hit: impl FnMut() -> u64) -> f64 {
    let begun = Instant::now();
    for _ in 0..HITS {
        black_box(hit());
    }
    begun.elapsed().as_nanos() as f64 / f64::from(HITS)
}

fn main() {
    let hour = Duration::from_secs(3600);
    let pile = Dogpile::with_value(hour, "value".to_owned());
    let fleet: FleetDogpile<String, _> =
        FleetDogpile::builder(Arc::new(MemoryStore::new()), "key", hour).build();
    fleet.set("value".to_owned()).expect("it is in memory");
    let length = |text: &str| text.len() as u64;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(round(|| length(&pile.call().hit().expect("it is fresh"))));
        times[1].push(round(|| length(&fleet.hit().expect("it is fresh"))));
        times[2].push(round(|| {
            let guard = pile.get_or_try_create(|| Err::<String, ()>(()));
            length(&guard.expect("it is fresh"))
        }));
        times[3].push(round(|| {
            let guard = fleet.get_or_try_create(|_| Err::<String, ()>(()));
            length(&guard.expect("it is fresh"))
        }));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let [pile_hit, fleet_hit, pile_get, fleet_get] = times.each_mut().map(median);
    println!(
        "hit:               pile {pile_hit:.2}, fleet {fleet_hit:.2}: {:.2} x",
        fleet_hit / pile_hit
    );
    println!(
        "get_or_try_create: pile {pile_get:.2}, fleet {fleet_get:.2}: {:.2} x",
        fleet_get / pile_get
    );
}
