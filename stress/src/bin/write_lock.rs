//! Readers without a pause and a writer every 10 ms: looks for a reader who is inside with the
//! writer, and prints how long the writer waited: `write_lock [--seconds N] [--readers N]`, by
//! default 30 seconds and 64 readers.
//!
//! Four kinds of reader, all at once: those who go in behind a writer, those who only look whether
//! they get in, those who hold several guards and let go of the first ones first, and those whose
//! guards are dropped by another thread.
//!
//! Ends with 1 if it finds anything wrong.

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{ReadGuard, SyncReaderDogpile};
use parking_lot::Mutex;

/// Between two write locks.
const PAUSE: Duration = Duration::from_millis(10);

struct Options {
    time: Duration,
    readers: u64,
}

/// What was done, and what was found.
#[derive(Default)]
struct Tally {
    reads: AtomicU64,
    /// Readers who found the writer inside, or came upon a change that was not complete.
    beside_the_writer: AtomicU64,
    /// Readers who were given an older value than was published before they came.
    older: AtomicU64,
    longest_wait_of_a_reader: AtomicU64,
}

/// What readers read and the writer changes; the two are the same unless it is at work.
#[derive(Default)]
struct File {
    first: AtomicU64,
    writing: AtomicBool,
    last: AtomicU64,
}

impl File {
    /// The version, if it is whole.
    fn read(&self) -> Option<u64> {
        let first = self.first.load(Ordering::Relaxed);
        let writing = self.writing.load(Ordering::Relaxed);
        let last = self.last.load(Ordering::Relaxed);
        (first == last && !writing).then_some(first)
    }

    fn write(&self, version: u64) {
        self.writing.store(true, Ordering::Relaxed);
        self.first.store(version, Ordering::Relaxed);
        // Long enough that somebody would come in.
        for _ in 0..1000 {
            std::hint::spin_loop();
        }
        self.last.store(version, Ordering::Relaxed);
        self.writing.store(false, Ordering::Relaxed);
    }
}

struct Site {
    /// Its value is the version of the file that it goes with.
    pile: SyncReaderDogpile<u64>,
    file: File,
    tally: Tally,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: write_lock [--seconds N] [--readers N]");
        return ExitCode::from(2);
    };
    let site = Site {
        pile: SyncReaderDogpile::with_value(Duration::MAX, 0),
        file: File::default(),
        tally: Tally::default(),
        stop: AtomicBool::new(false),
    };
    // A list, since ThreadSanitizer does not understand the channels of the standard library.
    let sent = Mutex::new(Vec::new());
    let begin = Instant::now();
    let mut waits = thread::scope(|threads| {
        let (site, sent) = (&site, &sent);
        let readers = (0..options.readers).map(|number| match number % 4 {
            0 => threads.spawn(move || site.read_behind_writers()),
            1 => threads.spawn(move || site.look()),
            2 => threads.spawn(move || site.hold_several()),
            _ => threads.spawn(move || site.send_away(sent)),
        });
        let mut others: Vec<_> = readers.collect();
        others.push(threads.spawn(move || site.receive(sent)));
        let waits = site.write(begin + options.time);
        // One by one, since ThreadSanitizer does not understand how a scope waits for its threads.
        for other in others {
            other.join().expect("it does not panic");
        }
        waits
    });
    let took = begin.elapsed();
    waits.sort_unstable();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let tally = &site.tally;
    let percentile = |part: usize| waits.get((waits.len() * part / 100).min(waits.len() - 1));
    println!(
        "{} readers, {} reads and {} write locks in {took:.1?}",
        options.readers,
        count(&tally.reads),
        waits.len()
    );
    println!(
        "  the writer waited {:.1?} (median), {:.1?} (99 of 100), {:.1?} (longest)",
        percentile(50).copied().unwrap_or_default(),
        percentile(99).copied().unwrap_or_default(),
        waits.last().copied().unwrap_or_default()
    );
    println!(
        "  the longest wait of a reader: {:.1?}",
        Duration::from_nanos(count(&tally.longest_wait_of_a_reader))
    );
    println!(
        "  readers inside with the writer: {}; with the old value: {}",
        count(&tally.beside_the_writer),
        count(&tally.older)
    );
    let well = count(&tally.beside_the_writer) == 0 && count(&tally.older) == 0;
    if well && count(&tally.reads) > 0 && !waits.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        time: Duration::from_secs(30),
        readers: 64,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match (&*word, words.next()?) {
            ("--seconds", value) => {
                options.time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?;
            }
            ("--readers", value) => options.readers = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

impl Site {
    /// The writer; how long it waited each time.
    fn write(&self, end: Instant) -> Vec<Duration> {
        let mut waits = Vec::new();
        while Instant::now() < end {
            thread::sleep(PAUSE);
            let asked = Instant::now();
            match self.pile.acquire_write_lock() {
                Ok(write) => {
                    waits.push(asked.elapsed());
                    let version = waits.len() as u64;
                    self.file.write(version);
                    write.set(version);
                }
                Err(error) => {
                    eprintln!("no write lock: {error}");
                    break;
                }
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        waits
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Looks at the file several times: it must stay as it is, and be the one of the value.
    fn check(&self, value: &u64) {
        for _ in 0..20 {
            match self.file.read() {
                None => self.tally.beside_the_writer.fetch_add(1, Ordering::Relaxed),
                Some(version) if version != *value => {
                    self.tally.older.fetch_add(1, Ordering::Relaxed)
                }
                Some(_) => continue,
            };
        }
    }

    fn get(&self) -> ReadGuard<'_, u64> {
        self.pile
            .get_or_create(|| unreachable!("there is always a value"))
    }

    fn read_behind_writers(&self) {
        let mut longest = Duration::ZERO;
        let mut reads = 0;
        while self.goes_on() {
            let asked = Instant::now();
            let guard = self.get();
            longest = longest.max(asked.elapsed());
            self.check(&guard);
            reads += 1;
        }
        self.tally.reads.fetch_add(reads, Ordering::Relaxed);
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        (self.tally.longest_wait_of_a_reader).fetch_max(longest, Ordering::Relaxed);
    }

    fn look(&self) {
        let mut reads = 0;
        while self.goes_on() {
            if let Some(guard) = self.pile.peek() {
                self.check(&guard);
                reads += 1;
            }
        }
        self.tally.reads.fetch_add(reads, Ordering::Relaxed);
    }

    /// Taken and dropped in the same order, so that each new one is in another slot than the one
    /// before.
    fn hold_several(&self) {
        let mut reads = 0;
        while self.goes_on() {
            let mut held = std::collections::VecDeque::new();
            for round in 0..8 {
                let guard = self.get();
                self.check(&guard);
                held.push_back(guard);
                reads += 1;
                if round % 4 > 1 {
                    held.pop_front();
                }
            }
        }
        self.tally.reads.fetch_add(reads, Ordering::Relaxed);
    }

    fn send_away<'a>(&'a self, sent: &Mutex<Vec<ReadGuard<'a, u64>>>) {
        let mut reads = 0;
        while self.goes_on() {
            let guard = self.get();
            self.check(&guard);
            // Dropped elsewhere, if there is room, else here.
            let mut sent = sent.lock();
            if sent.len() < 16 {
                sent.push(guard);
            }
            reads += 1;
        }
        self.tally.reads.fetch_add(reads, Ordering::Relaxed);
    }

    fn receive(&self, sent: &Mutex<Vec<ReadGuard<'_, u64>>>) {
        // What comes after that is dropped by the list itself.
        while self.goes_on() {
            let guards = std::mem::take(&mut *sent.lock());
            if guards.is_empty() {
                thread::yield_now();
            }
            guards.iter().for_each(|guard| self.check(guard));
        }
    }
}
