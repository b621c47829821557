//! How many requests a bounded map answers with what is there, beside caches that are made for that: hit
//! ratios on six made-up traces.
//!
//! Nothing is timed here: it is one thread, and each map sees the same requests. What differs from run to
//! run is the maps' own chance, which moves a figure by some tenths.

use std::time::Duration;

use dogpile::{Dogpile, KeyedDogpile};

use crate::table::Table;

/// How many keys have a value somewhere, but for those of which each comes once.
const KEYS: u64 = 100_000;
const ROOMS: [usize; 2] = [1_000, 10_000];
const REQUESTS: u64 = 2_000_000;

/// How far ours may be below the better one of the others, in points.
pub(crate) const SLACK: f64 = 1.5;

/// Chance that is the same in each run: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From zero to one.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Keys of which the one in place `n` comes by `n` to a power.
struct Zipf {
    /// The share of each place and all before it.
    shares: Vec<f64>,
    /// Which key is in which place.
    keys: Vec<u64>,
    dice: Dice,
}

impl Zipf {
    fn new(power: f64) -> Self {
        let mut sum = 0.0;
        let mut shares = Vec::with_capacity(KEYS as usize);
        for place in 1..=KEYS {
            sum += (place as f64).powf(-power);
            shares.push(sum);
        }
        for share in &mut shares {
            *share /= sum;
        }
        let mut zipf = Self {
            shares,
            keys: (0..KEYS).collect(),
            dice: Dice(1),
        };
        zipf.shuffle();
        zipf
    }

    /// Other keys are favourites.
    fn shuffle(&mut self) {
        for at in (1..self.keys.len()).rev() {
            let other = self.dice.next() % (at as u64 + 1);
            self.keys.swap(at, other as usize);
        }
    }

    fn next(&mut self) -> u64 {
        let share = self.dice.share();
        let place = self.shares.partition_point(|sum| *sum < share);
        self.keys[place.min(self.keys.len() - 1)]
    }
}

/// The traces: a name, and what calls its argument with each key that is requested, so many in all.
type Trace = (&'static str, fn(&mut dyn FnMut(u64), u64));

const TRACES: [Trace; 6] = [
    ("zipf 1.0", |request, requests| {
        let mut zipf = Zipf::new(1.0);
        (0..requests).for_each(|_| request(zipf.next()));
    }),
    ("zipf 0.8", |request, requests| {
        let mut zipf = Zipf::new(0.8);
        (0..requests).for_each(|_| request(zipf.next()));
    }),
    // Zipf 0.9, and after every 50,000 a walk over 20,000 new keys.
    ("scans", |request, requests| {
        let mut zipf = Zipf::new(0.9);
        let mut new = KEYS;
        for number in 0..requests {
            match number % 70_000 < 50_000 {
                true => request(zipf.next()),
                false => {
                    request(new);
                    new += 1;
                }
            }
        }
    }),
    // Zipf 1.0, with other favourites after every 100,000.
    ("shifting", |request, requests| {
        let mut zipf = Zipf::new(1.0);
        for number in 0..requests {
            if number % 100_000 == 99_999 {
                zipf.shuffle();
            }
            request(zipf.next());
        }
    }),
    // Half of all keys come once.
    ("one-timers", |request, requests| {
        let mut zipf = Zipf::new(1.0);
        for number in 0..requests {
            match number % 2 {
                0 => request(zipf.next()),
                _ => request(KEYS + number),
            }
        }
    }),
    ("loop", |request, requests| {
        (0..requests).for_each(|number| request(number % 12_000));
    }),
];

/// A map with room for so many keys, as what says whether a key was there, and else takes it in.
type Maker = fn(usize) -> Box<dyn FnMut(u64) -> bool>;

const MAPS: [(&str, Maker); 3] = [
    ("**`KeyedDogpile`**", |room| {
        let builder = Dogpile::<u64>::builder(Duration::MAX).keyed();
        let map: KeyedDogpile<u64, u64> = builder.max_entries(room).build();
        Box::new(move |key| {
            let mut is_there = true;
            drop(map.get_or_create(&key, || {
                is_there = false;
                key
            }));
            is_there
        })
    }),
    ("quick_cache", |room| {
        let cache = quick_cache::sync::Cache::<u64, u64>::new(room);
        Box::new(move |key| {
            let is_there = cache.get(&key).is_some();
            if !is_there {
                cache.insert(key, key);
            }
            is_there
        })
    }),
    ("moka", |room| {
        let cache = moka::sync::Cache::<u64, u64>::new(room as u64);
        Box::new(move |key| {
            let is_there = cache.get(&key).is_some();
            if !is_there {
                cache.insert(key, key);
            }
            is_there
        })
    }),
];

/// The hit ratios, in percent. What is returned is by how much ours is below the better one of the others,
/// at most, the loop apart.
pub(crate) fn run(quick: bool) -> f64 {
    let requests = if quick { REQUESTS / 5 } else { REQUESTS };
    let title = format!(
        "Hit ratios in percent, with room for {} / {} of {KEYS} keys, {requests} requests",
        ROOMS[0], ROOMS[1]
    );
    let head = [""].into_iter().chain(TRACES.map(|(name, _)| name));
    let mut table = Table::new(&title, head);
    let mut below = f64::MIN;
    let mut rows = MAPS.map(|(name, _)| vec![name.to_owned()]);
    for (trace, walk) in TRACES {
        let ratios = MAPS.map(|(_, make)| {
            ROOMS.map(|room| {
                let (mut hits, mut map) = (0_u64, make(room));
                walk(&mut |key| hits += u64::from(map(key)), requests);
                100.0 * hits as f64 / requests as f64
            })
        });
        for (row, [small, large]) in rows.iter_mut().zip(ratios) {
            row.push(format!("{small:.1} / {large:.1}"));
        }
        let [ours, one, other] = ratios;
        for at in 0..ROOMS.len() {
            if trace != "loop" {
                below = below.max(one[at].max(other[at]) - ours[at]);
            }
        }
    }
    rows.into_iter().for_each(|row| table.add(row));
    table.print();
    below
}
