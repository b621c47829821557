//! Reads and replaces the values of piles as fast as it goes, and looks for values that were
//! dropped while somebody was reading them: `stress [SECONDS]`, by default 5.
//!
//! What a missing barrier does is seen only while a store of the reader is under way to memory. So
//! the reader sends stores ahead of it that miss the cache, and sits on a processor of its own.
//!
//! The values of one pile that follow each other often are read with a fence, and the barrier is not
//! asked for. So there are rounds with many piles: their writers take them in turn, each pile comes
//! rarely, and the readers follow the writers.
//!
//! Ends with 1 if it finds anything wrong, and at once if it finds a dropped value.

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Dogpile, Guard};

const ALIVE: u64 = 0x0a11_0e0a_110e_0a11;
const DROPPED: u64 = 0xdead_dead_dead_dead;

/// How many values are alive.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// A value that shows whether it was dropped, also to somebody who should not look there any more.
struct Value {
    canary: AtomicU64,
    writer: AtomicU64,
    version: AtomicU64,
}

impl Value {
    fn new(writer: u64, version: u64) -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self {
            canary: AtomicU64::new(ALIVE),
            writer: AtomicU64::new(writer),
            version: AtomicU64::new(version),
        }
    }

    fn read(&self) -> (u64, u64, u64) {
        (
            self.canary.load(Ordering::Acquire),
            self.writer.load(Ordering::Acquire),
            self.version.load(Ordering::Acquire),
        )
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.canary.store(DROPPED, Ordering::Release);
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was done, and what was found.
#[derive(Default)]
struct Tally {
    reads: AtomicU64,
    writes: AtomicU64,
    /// Values that were dropped, or were others in the end than at first, under a guard.
    dead: AtomicU64,
    /// Values older than one which the same reader had seen of the same pile and writer.
    older: AtomicU64,
}

/// Who replaces the values, who reads them.
struct Round {
    name: &'static str,
    piles: usize,
    writers: u64,
    readers: u64,
    /// A processor for each thread.
    pinned: bool,
}

/// So many that the values of none of them follow each other within a millisecond.
const MANY: usize = 8192;

const ROUNDS: [Round; 3] = [
    Round {
        name: "many piles, a reader and a writer, a processor for each",
        piles: MANY,
        writers: 1,
        readers: 1,
        pinned: true,
    },
    Round {
        name: "many piles, four readers and two writers, guards sent away",
        piles: MANY,
        writers: 2,
        readers: 4,
        pinned: false,
    },
    Round {
        name: "one pile, four readers and two writers, guards sent away",
        piles: 1,
        writers: 2,
        readers: 4,
        pinned: false,
    },
];

fn main() -> ExitCode {
    let seconds = env::args().nth(1).map_or(Ok(5.0), |text| text.parse());
    let time = match seconds.map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if env::args().len() <= 2 => time,
        _ => {
            eprintln!("usage: stress [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let share = time / u32::try_from(ROUNDS.len()).unwrap_or(1);
    // All of them, until something is wrong.
    if ROUNDS.iter().all(|round| round.run(share)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Round {
    /// Says whether all was well.
    fn run(&self, time: Duration) -> bool {
        let begin = Instant::now();
        let tally = Tally::default();
        let stop = AtomicBool::new(false);
        let piles: Vec<_> = (0..self.piles)
            .map(|_| Dogpile::with_value(Duration::MAX, Value::new(0, 0)))
            .collect();
        // Where each writer is.
        let places: Vec<_> = (0..self.writers).map(|_| AtomicUsize::new(0)).collect();
        let (send, sent) = mpsc::sync_channel::<Guard<'_, Value>>(64);
        let pinned = thread::scope(|threads| {
            let (piles, places, tally, stop) = (&piles, &places, &tally, &stop);
            let writers = (0..self.writers).map(|writer| {
                threads.spawn(move || {
                    let pinned = self.pinned && pin(0);
                    write(piles, writer, &places[writer as usize], tally, stop);
                    pinned
                })
            });
            let readers = (0..self.readers).map(|reader| {
                let send = (!self.pinned).then(|| send.clone());
                threads.spawn(move || {
                    let pinned = self.pinned && pin(1);
                    let mut reader = Reader::new(reader, self);
                    reader.read(piles, places, send.as_ref(), tally, stop);
                    pinned
                })
            });
            let handles: Vec<_> = writers.chain(readers).collect();
            drop(send);
            // Guards that were sent away are dropped here.
            while begin.elapsed() < time && !stop.load(Ordering::Relaxed) {
                match sent.recv_timeout(Duration::from_millis(20)) {
                    Ok(guard) => look(&guard, 100, tally, stop),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        thread::sleep(Duration::from_millis(20));
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
            drop(sent);
            handles
                .into_iter()
                .all(|thread| thread.join().is_ok_and(|pinned| pinned))
        });
        let live = LIVE.load(Ordering::Relaxed);
        drop(piles);
        let left = LIVE.load(Ordering::Relaxed);
        let [reads, writes, dead, older] = [&tally.reads, &tally.writes, &tally.dead, &tally.older]
            .map(|count| count.load(Ordering::Relaxed));
        println!("{}:", self.name);
        if self.pinned && !pinned {
            println!("  (not on processors of their own: there are too few, or the system cannot)");
        }
        println!(
            "  {reads} reads, {writes} writes in {:.1?}",
            begin.elapsed()
        );
        println!("  dead values seen: {dead}; older than seen before: {older}");
        println!("  values alive at the end: {live}, without the piles: {left}");
        let alive = i64::try_from(self.piles).unwrap_or(0);
        dead == 0 && older == 0 && (live, left) == (alive, 0) && reads > 0 && writes > 0
    }
}

fn write(
    piles: &[Dogpile<Value>],
    writer: u64,
    place: &AtomicUsize,
    tally: &Tally,
    stop: &AtomicBool,
) {
    let mut version = 0;
    for (number, pile) in piles.iter().enumerate().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        place.store(number, Ordering::Relaxed);
        version += 1;
        pile.set(Value::new(writer, version));
    }
    tally.writes.fetch_add(version, Ordering::Relaxed);
}

/// Looks at a value several times: it must stay as it is.
fn look(value: &Value, times: u64, tally: &Tally, stop: &AtomicBool) {
    let first = value.read();
    let well = first.0 == ALIVE && (0..times).all(|_| value.read() == first);
    if !well {
        tally.dead.fetch_add(1, Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    random: u64,
    /// Larger than the caches of a processor.
    far: Vec<AtomicU64>,
    /// By pile, and there by writer.
    newest: Vec<Vec<u64>>,
}

impl Reader {
    const FAR: usize = 16 << 20;

    fn new(number: u64, round: &Round) -> Self {
        Self {
            random: 88_172_645_463_325_252 ^ number,
            far: std::iter::repeat_with(|| AtomicU64::new(0))
                .take(Self::FAR)
                .collect(),
            newest: vec![vec![0; round.writers as usize]; round.piles],
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }

    /// Stores that miss the cache: those after them wait behind them.
    fn fill_the_store_buffer(&mut self) {
        for _ in 0..self.random(64) {
            let far = self.random(Self::FAR as u64);
            self.far[far as usize].store(far, Ordering::Relaxed);
        }
    }

    /// A pile that a writer is about to come to, or has just been at.
    fn near_a_writer(&mut self, piles: usize, places: &[AtomicUsize]) -> usize {
        let writer = self.random(places.len() as u64) as usize;
        let ahead = self.random(4) as usize;
        (places[writer].load(Ordering::Relaxed) + ahead) % piles
    }

    fn read<'a>(
        &mut self,
        piles: &'a [Dogpile<Value>],
        places: &[AtomicUsize],
        send: Option<&mpsc::SyncSender<Guard<'a, Value>>>,
        tally: &Tally,
        stop: &AtomicBool,
    ) {
        let mut reads: u64 = 0;
        while !stop.load(Ordering::Relaxed) {
            let times = self.random(1000);
            let number = self.near_a_writer(piles.len(), places);
            let pile = &piles[number];
            self.fill_the_store_buffer();
            let guard = if times.is_multiple_of(2) {
                pile.get_or_create(|| unreachable!("there is always a value"))
            } else {
                pile.peek().expect("there is always a value")
            };
            look(&guard, times, tally, stop);
            reads += 1;
            let writer = guard.writer.load(Ordering::Relaxed) as usize;
            let newest = &mut self.newest[number][writer];
            let version = guard.version.load(Ordering::Relaxed);
            if version < *newest {
                tally.older.fetch_add(1, Ordering::Relaxed);
            }
            *newest = version;
            // Dropped elsewhere, if there is room, else here.
            if let Some(send) = send.filter(|_| reads.is_multiple_of(8)) {
                drop(send.try_send(guard));
            }
        }
        tally.reads.fetch_add(reads, Ordering::Relaxed);
    }
}

/// Keeps this thread on one of the processors that it may use; says whether that worked.
#[cfg(target_os = "linux")]
fn pin(number: usize) -> bool {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else {
        return false;
    };
    let Some(processor) = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .nth(number)
    else {
        return false;
    };
    let mut one = CpuSet::new();
    one.set(processor);
    sched_setaffinity(None, &one).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> bool {
    false
}
