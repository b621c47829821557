//! How many instructions a hit takes, and that none of them is locked.
//!
//! Counted by valgrind, which runs this program again. It hides the kernel's code for the clock from
//! the program, so asking the clock is counted as the few instructions of a system call.
//!
//! ```breakages
//! clones-what-is-given-at-a-hit | src/call/with.rs | none_of_them_locked
//! @ pub fn get_or_create
//! - let given = self.mode.given;
//! + let given = &self.mode.given.clone();
//!
//! asks-the-clock-twice | src/call/hit.rs | no_more
//! @ pub(crate) fn hit_inside
//!   let now = time.bounds_of_hit();
//! + std::hint::black_box(time.bounds());
//!
//! counts-what-is-not-to-be-counted | src/time/clock.rs | no_more
//! @ fn bounds_of_hit
//! - Source::System => SystemClock.bounds(),
//! + Source::System => self.counted_bounds(),
//!
//! looks-at-the-first-slot-first | src/raw/value/own.rs | no_more
//! - match MINE.try_with(|mine| mine.slot.get()) {
//! + match MINE.try_with(|mine| mine.first.get().and_then(|first| first.slots.first())) {
//!
//! one-record-for-a-thread | src/raw/value/own.rs | no_more
//! - if self.records.get() >= most {
//! + if self.records.get() >= 1 {
//!
//! a-key-is-found-under-the-lock-for-ever | src/keyed/shard.rs | none_of_them_locked
//! @ pub(super) fn first
//! - entries.show(at);
//! + let _ = at;
//!
//! a-guard-of-a-map-through-memory | src/keyed/shared.rs | no_more
//! @ fn hit_at_once
//!   node.held().entry().asked.add();
//! + let node = std::hint::black_box(node);
//!
//! locks-at-a-hit | src/raw/value/cell.rs | none_of_them_locked
//!   slot.show(current.cast());
//! + crate::shim::atomic::fence(Ordering::SeqCst);
//! ```

use std::collections::HashMap;
use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hits::Kind;
use crate::system_calls::offers_membarrier;

/// Three more for each hit than were measured with Rust 1.95.
const LIMITS: [(Kind, u64); 34] = [
    (Kind::GetOrCreate, 70 + 3),
    (Kind::Tallied, 138 + 3),
    (Kind::GetOrTryCreate, 97 + 3),
    (Kind::Peek, 80 + 3),
    (Kind::Stale, 107 + 3),
    (Kind::BackOff, 107 + 3),
    (Kind::StalePeek, 90 + 3),
    (Kind::Observed, 97 + 3),
    (Kind::ObservedStale, 107 + 3),
    (Kind::Fresh, 95 + 3),
    (Kind::MaxAge, 106 + 3),
    (Kind::Acquire, 147 + 3),
    (Kind::Nested, 1080 + 8 * 3),
    (Kind::AmongMany, 71 + 3),
    (Kind::Counted, 171 + 3),
    (Kind::Task, 78 + 3),
    (Kind::TaskTry, 113 + 3),
    (Kind::TaskCall, 132 + 3),
    (Kind::TaskAcquire, 267 + 3),
    (Kind::Background, 107 + 3),
    (Kind::BackgroundTask, 146 + 3),
    (Kind::Read, 153 + 3),
    (Kind::ReadTry, 171 + 3),
    (Kind::ReadPeek, 152 + 3),
    (Kind::ReadAcquire, 267 + 3),
    (Kind::ReadAmongMany, 177 + 3),
    (Kind::ReadTask, 150 + 3),
    (Kind::ReadTaskTry, 172 + 3),
    (Kind::Map, 253 + 3),
    (Kind::MapTry, 336 + 3),
    (Kind::MapPeek, 250 + 3),
    (Kind::MapStale, 350 + 3),
    (Kind::MapTask, 314 + 3),
    (Kind::MapTaskTry, 323 + 3),
];

/// Names a kind of hits and how many, to a run of this program under valgrind.
const ORDER: &str = "DOGPILE_TEST_HITS";
/// Not a hit, but what it must not do.
const LOCKED: &str = "Locked";

/// Hits of the shorter run, and of the longer one, and between.
const FEW: u64 = 1_000;
const MANY: u64 = 51_000;
const HITS: u64 = MANY - FEW;

#[test]
fn no_more_than_measured() {
    if let Ok(order) = env::var(ORDER) {
        return obey(&order);
    }
    if !can_count() {
        return;
    }
    let (mut measured, mut too_many) = (HashMap::new(), Vec::new());
    for (kind, limit) in LIMITS {
        let few = Count::of(&format!("{kind:?}"), FEW).total();
        let many = Count::of(&format!("{kind:?}"), MANY).total();
        let instructions = (many - few + HITS / 2) / HITS;
        println!("{kind:?}: {instructions} instructions");
        measured.insert(format!("{kind:?}"), instructions);
        // So many at least for the clock, the slot and the value: else nothing was counted.
        assert!(instructions >= 50, "{kind:?}: nothing was counted");
        if instructions > limit {
            too_many.push((kind, instructions, limit));
        }
    }
    assert!(too_many.is_empty(), "more than their limit: {too_many:?}");
    // A hit costs nothing more among many guards, where it is seen from outside, nor while nobody may create.
    // Two hundredths are for what may be in other places by chance.
    let pairs = [
        ("AmongMany", "GetOrCreate"),
        ("Observed", "GetOrTryCreate"),
        ("ObservedStale", "Stale"),
        ("BackOff", "Stale"),
    ];
    for (seen, unseen) in pairs {
        assert!(measured[seen] * 100 <= measured[unseen] * 102, "{seen}");
    }
}

#[test]
fn none_of_them_locked() {
    if !can_count() {
        return;
    }
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: other processors have other instructions");
        return;
    }
    if !offers_membarrier() {
        println!("skipped: the kernel offers no membarrier(2), and without it there has to be one");
        return;
    }
    if !is_there("objdump") {
        println!("skipped: objdump is missing");
        return;
    }
    let code = code();
    for kind in Kind::ALL {
        assert_eq!(
            Count::of(&format!("{kind:?}"), MANY).locked(&code),
            [""; 0],
            "{kind:?}"
        );
    }
    // It does find them.
    assert_eq!(Count::of(LOCKED, MANY).locked(&code).len(), 1);
}

/// The other end: under valgrind.
fn obey(order: &str) {
    let (name, hits) = order.split_once(' ').unwrap();
    let hits = hits.parse().unwrap();
    if name == LOCKED {
        let count = AtomicU32::new(0);
        for _ in 0..hits {
            black_box(&count).fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    let kind = LIMITS
        .map(|(kind, _)| kind)
        .into_iter()
        .find(|kind| format!("{kind:?}") == name);
    kind.unwrap().run(hits, |hits| hits());
}

fn can_count() -> bool {
    if cfg!(debug_assertions) {
        println!("skipped: not a release build");
        return false;
    }
    let valgrind = is_there("valgrind");
    if !valgrind {
        println!("skipped: valgrind is missing");
    }
    valgrind
}

fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
}

/// How often each instruction was executed.
struct Count(HashMap<(String, u64), u64>);

impl Count {
    fn of(name: &str, hits: u64) -> Self {
        // Tests run at the same time, and each has its own file.
        let file = format!(
            "callgrind-{}-{name}-{hits}",
            std::thread::current().name().unwrap()
        );
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file.replace(':', "_"));
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--dump-instr=yes"])
            .args(["--compress-pos=no", "--compress-strings=no"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(env::current_exe().unwrap())
            .args(["--exact", "instructions::no_more_than_measured"])
            .env(ORDER, format!("{name} {hits}"))
            .output()
            .unwrap();
        let (said, errors) = (output.stdout, output.stderr);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&errors)
        );
        assert!(String::from_utf8_lossy(&said).contains("1 passed"));
        Self::read(&fs::read_to_string(file).unwrap())
    }

    /// Lines of an address, a line of source and a count, under the name of a file of code. After a
    /// call comes a line for all that was done in it.
    fn read(text: &str) -> Self {
        let mut counts = HashMap::new();
        let mut object = "";
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("ob=") {
                object = name;
            } else if line.starts_with("calls=") {
                lines.next();
            } else if let Some(line) = line.strip_prefix("0x") {
                let mut words = line.split(' ');
                let address = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
                let count: u64 = words.next_back().unwrap().parse().unwrap();
                *counts.entry((object.to_owned(), address)).or_default() += count;
            }
        }
        Self(counts)
    }

    fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The locked ones among those that hits execute, be it one hit in ten.
    fn locked<'a>(&self, code: &HashMap<u64, &'a str>) -> Vec<&'a str> {
        let program = env::current_exe().unwrap();
        let often = self.0.iter().filter(|&(_, &count)| count >= MANY / 10);
        let ours = often.filter(|((object, _), _)| Path::new(object) == program);
        let ours: Vec<_> = ours.map(|((_, address), _)| code[address]).collect();
        assert!(ours.len() > 3, "nothing was counted");
        // An exchange with memory is locked without saying so.
        let locked = |line: &&str| {
            line.contains("lock ")
                || line.contains("fence")
                || (line.starts_with("xchg") && line.contains('('))
        };
        ours.into_iter().filter(locked).collect()
    }
}

/// The instructions of this program, by their address.
fn code() -> HashMap<u64, &'static str> {
    let output = Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn"])
        .arg(env::current_exe().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success());
    let text: &'static str = String::from_utf8(output.stdout).unwrap().leak();
    let lines = text.lines().filter_map(|line| {
        let (address, instruction) = line.trim_start().split_once(":\t")?;
        Some((u64::from_str_radix(address, 16).ok()?, instruction))
    });
    lines.collect()
}
