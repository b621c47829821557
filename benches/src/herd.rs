//! The herd: many threads find no value, one creates it, the others wait.
//!
//! What is measured begins when the creation ends and ends when the last caller has the value. The
//! creation takes until all callers are inside, and a while longer, so that they sleep. The threads
//! are not pinned: where a woken thread runs is part of what it costs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dogpile::Dogpile;

use crate::measure::order;
use crate::options::Options;
use crate::spread::{count, number, Spread};
use crate::table::Table;
use crate::value::TTL;

pub(crate) const OURS: &str = "Dogpile get_or_create";
pub(crate) const SIZES: [usize; 3] = [16, 64, 256];

/// What a caller does to get the value, given the creator.
type Call = Arc<dyn Fn(&dyn Fn() -> u64) -> u64 + Send + Sync>;

/// One candidate: makes a new empty one for each herd.
struct Way {
    name: &'static str,
    empty: fn() -> Call,
}

/// The first is the yardstick. A new way to wait goes in here.
fn ways() -> Vec<Way> {
    let mut ways = vec![
        Way {
            name: OURS,
            empty: || {
                let pile = Dogpile::new(TTL);
                Arc::new(move |create| *pile.get_or_create(create))
            },
        },
        Way {
            name: "std Mutex and Condvar",
            empty: || {
                let state = Mutex::new((false, None));
                let published = Condvar::new();
                Arc::new(move |create| {
                    let mut now = state.lock().expect("no panics");
                    if !now.0 {
                        now.0 = true;
                        drop(now);
                        let value = create();
                        state.lock().expect("no panics").1 = Some(value);
                        published.notify_all();
                        return value;
                    }
                    loop {
                        match now.1 {
                            Some(value) => return value,
                            None => now = published.wait(now).expect("no panics"),
                        }
                    }
                })
            },
        },
        Way {
            name: "std OnceLock get_or_init",
            empty: || {
                let cell = OnceLock::new();
                Arc::new(move |create| *cell.get_or_init(create))
            },
        },
        Way {
            name: "moka get_with, ttl",
            empty: || {
                let cache = moka::sync::Cache::builder().time_to_live(TTL).build();
                Arc::new(move |create| cache.get_with(7u64, create))
            },
        },
        Way {
            name: "quick_cache get_or_insert_with",
            empty: || {
                let cache = quick_cache::sync::Cache::<u64, u64>::new(1000);
                Arc::new(move |create| {
                    let created = cache.get_or_insert_with(&7, || Ok::<_, ()>(create()));
                    created.expect("cannot fail")
                })
            },
        },
    ];
    if let Some(floor) = FLOOR {
        ways.insert(0, floor);
    }
    ways
}

/// A word: the first to set it creates, the others sleep on it until it is set again.
#[cfg(target_os = "linux")]
const FLOOR: Option<Way> = Some(Way {
    name: "a bare futex, woken for all at once",
    empty: || {
        use rustix::io::Errno;
        use rustix::thread::futex::{wait, wake, Flags};
        use std::sync::atomic::{AtomicU32, Ordering};
        const CREATING: u32 = 1;
        const THERE: u32 = 2;

        let word = AtomicU32::new(0);
        let value = AtomicU64::new(0);
        Arc::new(move |create| {
            let first = word.compare_exchange(0, CREATING, Ordering::Acquire, Ordering::Acquire);
            if first.is_ok() {
                value.store(create(), Relaxed);
                word.store(THERE, Ordering::Release);
                wake(&word, Flags::PRIVATE, i32::MAX as u32).expect("the word is there");
            }
            while word.load(Ordering::Acquire) != THERE {
                match wait(&word, Flags::PRIVATE, CREATING, None) {
                    // Woken; or too late to sleep; or a signal came.
                    Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => panic!("futex(2): {error}"),
                }
            }
            value.load(Relaxed)
        })
    },
});
#[cfg(not(target_os = "linux"))]
const FLOOR: Option<Way> = None;
/// Whether the yardstick is that floor.
pub(crate) const HAS_FLOOR: bool = FLOOR.is_some();

/// One herd.
struct Herd {
    call: Call,
    size: usize,
    inside: AtomicUsize,
    creations: AtomicUsize,
    /// Nanoseconds after `origin`.
    created: AtomicU64,
    served: Vec<AtomicU64>,
    missing: AtomicUsize,
    origin: Instant,
    over: Sender<()>,
}

impl Herd {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn create(&self) -> u64 {
        self.creations.fetch_add(1, Relaxed);
        while self.inside.load(Relaxed) < self.size {
            thread::sleep(Duration::from_micros(100));
        }
        // The last of them is on its way to sleep.
        thread::sleep(Duration::from_micros(2000 + 10 * self.size as u64));
        self.created.store(self.now(), Relaxed);
        7
    }

    /// The part of one caller.
    fn call(&self, index: usize) {
        self.inside.fetch_add(1, Relaxed);
        let value = (self.call)(&|| self.create());
        self.served[index].store(self.now(), Relaxed);
        assert_eq!(value, 7);
        if self.missing.fetch_sub(1, Relaxed) == 1 {
            self.over.send(()).expect("the round waits for it");
        }
    }
}

/// Threads that wait to be driven somewhere.
struct Cattle {
    doors: Vec<Sender<Arc<Herd>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Cattle {
    fn new(size: usize) -> Self {
        let (doors, threads) = (0..size)
            .map(|index| {
                let (door, herds) = channel::<Arc<Herd>>();
                let thread = thread::spawn(move || herds.iter().for_each(|herd| herd.call(index)));
                (door, thread)
            })
            .unzip();
        Self { doors, threads }
    }

    /// Microseconds until the last was served, and how many created.
    fn drive(&self, way: &Way, size: usize) -> (f64, usize) {
        let (over, all_over) = channel();
        let herd = Arc::new(Herd {
            call: (way.empty)(),
            size,
            inside: AtomicUsize::new(0),
            creations: AtomicUsize::new(0),
            created: AtomicU64::new(0),
            served: (0..size).map(|_| AtomicU64::new(0)).collect(),
            missing: AtomicUsize::new(size),
            origin: Instant::now(),
            over,
        });
        for door in &self.doors[..size] {
            door.send(Arc::clone(&herd))
                .expect("threads live as long as the cattle");
        }
        all_over.recv().expect("the last one tells");
        let served = herd.served.iter().map(|at| at.load(Relaxed)).max();
        let took = served.unwrap_or(0) - herd.created.load(Relaxed);
        (took as f64 / 1000.0, herd.creations.load(Relaxed))
    }

    fn dismiss(self) {
        drop(self.doors);
        for thread in self.threads {
            thread.join().expect("no caller panics");
        }
    }
}

/// How long the last caller of a herd waited after the creation.
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// Microseconds.
    pub(crate) took: Spread,
    /// In terms of the yardstick of the same round.
    pub(crate) relative: Spread,
}

pub(crate) fn run(options: &Options) -> Vec<Served> {
    let ways = ways();
    let cattle = Cattle::new(SIZES[SIZES.len() - 1]);
    let mut took = vec![vec![Vec::new(); ways.len()]; SIZES.len()];
    let mut most = vec![0; ways.len()];
    for round in 0..options.rounds(80) {
        for (at, &size) in SIZES.iter().enumerate() {
            for way in order(ways.len(), round) {
                let (micros, creations) = cattle.drive(&ways[way], size);
                took[at][way].push(micros);
                most[way] = most[way].max(creations);
            }
        }
    }
    cattle.dismiss();

    let title = "Herd: us from the end of the creation until the last thread has the value";
    let sizes: Vec<String> = SIZES.map(|size| format!("{} threads", count(size))).into();
    let mut head = vec![""];
    for size in &sizes {
        head.extend([size, "ratio"]);
    }
    head.push("creations at most");
    let mut table = Table::new(title, head);
    let mut all = Vec::new();
    for (way, Way { name, .. }) in ways.iter().enumerate() {
        let mut cells = vec![name.to_string()];
        for (at, &size) in SIZES.iter().enumerate() {
            let ratios = took[at][way].iter().zip(&took[at][0]);
            let relative = Spread::of(&ratios.map(|(a, b)| a / b).collect::<Vec<_>>());
            let took = Spread::of(&took[at][way]);
            cells.extend([took.to_string(), number(relative.median)]);
            all.push(Served {
                name,
                size,
                took,
                relative,
            });
        }
        cells.push(most[way].to_string());
        table.add(cells);
    }
    table.print();
    all
}
