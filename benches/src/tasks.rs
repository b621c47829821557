//! The herd, as tasks: many of them find no value, one creates it, the others wait.
//!
//! What is measured begins when the result of the creation is there and ends when the last task has the
//! value. The result comes from a task of its own, as from a connection, and is stamped there. So what
//! a candidate does with the wake-up of the creation counts too: the waker of `Shared` wakes all of its
//! waiters, before the creation is even polled.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use dogpile::Dogpile;
use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, Notify, OnceCell};

use crate::measure::order;
use crate::options::Options;
use crate::spread::{count, number, Spread};
use crate::table::Table;
use crate::value::TTL;

const SIZES: [usize; 2] = [1_000, 10_000];

/// Makes the creation, once asked to.
type Create = Box<dyn FnOnce() -> BoxFuture<'static, u64> + Send>;
/// What a task does to get the value.
type Call = Arc<dyn Fn(Create) -> BoxFuture<'static, u64> + Send + Sync>;

/// One candidate: makes a new empty one for each herd.
struct Way {
    name: &'static str,
    empty: fn() -> Call,
}

/// The first is the yardstick. A new way to wait goes in here. That of `Dogpile` stands second, under
/// a name that begins so, by which the targets find it.
fn ways() -> Vec<Way> {
    vec![
        Way {
            name: "futures Shared",
            empty: || {
                let cell = Arc::new(OnceLock::<Shared<BoxFuture<'static, u64>>>::new());
                Arc::new(move |create| cell.get_or_init(|| create().shared()).clone().boxed())
            },
        },
        Way {
            name: "Dogpile get_or_create_async",
            empty: || {
                let pile = Arc::new(Dogpile::new(TTL));
                Arc::new(move |create| {
                    let pile = Arc::clone(&pile);
                    async move { *pile.get_or_create_async(create).await }.boxed()
                })
            },
        },
        Way {
            name: "tokio OnceCell get_or_init",
            empty: || {
                let cell = Arc::new(OnceCell::new());
                Arc::new(move |create| {
                    let cell = Arc::clone(&cell);
                    async move { *cell.get_or_init(create).await }.boxed()
                })
            },
        },
        Way {
            name: "OnceLock and tokio Notify",
            empty: || {
                let state = Arc::new((AtomicBool::new(false), OnceLock::new(), Notify::new()));
                Arc::new(move |create| {
                    let state = Arc::clone(&state);
                    async move {
                        let (taken, value, published) = &*state;
                        if !taken.swap(true, Relaxed) {
                            let new = create().await;
                            value.set(new).expect("one creates");
                            published.notify_waiters();
                            return new;
                        }
                        loop {
                            // Counts as waiting from here on, so no wake-up is missed.
                            let woken = published.notified();
                            if let Some(&value) = value.get() {
                                return value;
                            }
                            woken.await;
                        }
                    }
                    .boxed()
                })
            },
        },
        Way {
            name: "moka future get_with, ttl",
            empty: || {
                let cache = moka::future::Cache::builder().time_to_live(TTL).build();
                Arc::new(move |create| {
                    let cache = cache.clone();
                    async move { cache.get_with(7u64, async { create().await }).await }.boxed()
                })
            },
        },
        Way {
            name: "quick_cache get_or_insert_async",
            empty: || {
                let cache = Arc::new(quick_cache::sync::Cache::<u64, u64>::new(1000));
                Arc::new(move |create| {
                    let cache = Arc::clone(&cache);
                    async move {
                        let create = async { Ok::<_, ()>(create().await) };
                        let created = cache.get_or_insert_async(&7, create).await;
                        created.expect("cannot fail")
                    }
                    .boxed()
                })
            },
        },
    ]
}

/// One herd.
struct Herd {
    size: usize,
    inside: AtomicUsize,
    creations: AtomicUsize,
    /// Nanoseconds after `origin`.
    created: AtomicU64,
    missing: AtomicUsize,
    origin: Instant,
    over: Mutex<Option<oneshot::Sender<u64>>>,
}

impl Herd {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    async fn create(self: Arc<Self>) -> u64 {
        self.creations.fetch_add(1, Relaxed);
        let (result, sent) = oneshot::channel();
        tokio::spawn(self.answer(result));
        sent.await.expect("it is sent")
    }

    /// Where the result comes from.
    async fn answer(self: Arc<Self>, result: oneshot::Sender<u64>) {
        while self.inside.load(Relaxed) < self.size {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The last of them is on its way to sleep.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.created.store(self.now(), Relaxed);
        result.send(7).expect("the creation waits for it");
    }

    /// One task.
    async fn call(self: Arc<Self>, call: Call) {
        self.inside.fetch_add(1, Relaxed);
        let herd = Arc::clone(&self);
        let value = call(Box::new(|| herd.create().boxed())).await;
        assert_eq!(value, 7);
        if self.missing.fetch_sub(1, Relaxed) == 1 {
            let now = self.now();
            let over = self.over.lock().expect("no panics").take();
            let sent = over.expect("one is the last").send(now);
            sent.expect("the round waits for it");
        }
    }
}

/// Microseconds until the last was served, and how many created.
fn drive(runtime: &Runtime, way: &Way, size: usize) -> (f64, usize) {
    let call = (way.empty)();
    let (over, last) = oneshot::channel();
    let herd = Arc::new(Herd {
        size,
        inside: AtomicUsize::new(0),
        creations: AtomicUsize::new(0),
        created: AtomicU64::new(0),
        missing: AtomicUsize::new(size),
        origin: Instant::now(),
        over: Mutex::new(Some(over)),
    });
    let drive = async {
        for _ in 0..size {
            tokio::spawn(Arc::clone(&herd).call(Arc::clone(&call)));
        }
        last.await.expect("the last one tells")
    };
    let served = runtime.block_on(drive);
    let took = served - herd.created.load(Relaxed);
    (took as f64 / 1000.0, herd.creations.load(Relaxed))
}

/// How long the last task of a herd waited after the creation, in terms of the yardstick.
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) herd: String,
    pub(crate) relative: Spread,
}

pub(crate) fn run(options: &Options) -> Vec<Served> {
    let ways = ways();
    let one = Builder::new_current_thread().enable_time().build();
    let two = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtimes = [("one thread", one), ("two workers", two)]
        .map(|(name, runtime)| (name, runtime.expect("a runtime can be built")));
    let herds: Vec<_> = runtimes
        .iter()
        .flat_map(|(name, runtime)| SIZES.map(|size| (*name, runtime, size)))
        .collect();
    let mut took = vec![vec![Vec::new(); ways.len()]; herds.len()];
    let mut most = vec![0; ways.len()];
    for round in 0..options.rounds(40) {
        for (at, &(_, runtime, size)) in herds.iter().enumerate() {
            for way in order(ways.len(), round) {
                let (micros, creations) = drive(runtime, &ways[way], size);
                took[at][way].push(micros);
                most[way] = most[way].max(creations);
            }
        }
    }

    let title = "Tasks: us from the end of the creation until the last task has the value";
    let herd = |&(name, _, size): &(&str, _, usize)| format!("{}, {name}", count(size));
    let names: Vec<String> = herds.iter().map(herd).collect();
    let mut head = vec![""];
    for name in &names {
        head.extend([name, "ratio"]);
    }
    head.push("creations at most");
    let mut table = Table::new(title, head);
    let mut all = Vec::new();
    for (way, Way { name, .. }) in ways.iter().enumerate() {
        let mut cells = vec![name.to_string()];
        for (at, herd) in names.iter().enumerate() {
            let ratios = took[at][way].iter().zip(&took[at][0]);
            let relative = Spread::of(&ratios.map(|(a, b)| a / b).collect::<Vec<_>>());
            let took = Spread::of(&took[at][way]);
            cells.extend([took.to_string(), number(relative.median)]);
            all.push(Served {
                name,
                herd: herd.clone(),
                relative,
            });
        }
        cells.push(most[way].to_string());
        table.add(cells);
    }
    table.print();
    all
}
