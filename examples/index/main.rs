//! Six processes share one big computed file: an index of squares, some fifty megabytes. One builds it,
//! all map it into memory. While the next one is built, the others go on with the old one.
//!
//! ```text
//! cargo run --release --example index -- --megabytes 50 --seconds 6
//! ```

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dogpile::Origin;
use dogpile_fleet::{FileStore, Files, FleetDogpile, FleetGuard, StoredFile};
use herd::{Herd, Member, Scratch, Section};
use memmap2::Mmap;

const PROCESSES: usize = 6;
const TTL: Duration = Duration::from_secs(2);

/// One entry of the index: the square of its number, and which build it is of.
fn entry(number: u64, build: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(number).to_le_bytes());
    bytes[8..].copy_from_slice(&build.to_le_bytes());
    bytes
}

fn build(
    files: &Files,
    section: &Section,
    entries: u64,
    build: u64,
) -> std::io::Result<StoredFile> {
    let _inside = section.enter();
    let mut new = BufWriter::with_capacity(1 << 20, files.create()?);
    for number in 0..entries {
        new.write_all(&entry(number, build))?;
    }
    new.into_inner()
        .map_err(|error| error.into_error())?
        .finish()
}

/// The file in memory. It is shared: the kernel has it once for all processes.
#[allow(unsafe_code)]
fn map(file: &StoredFile) -> Mmap {
    // SAFETY: a stored file is written once, before it is stored, and never changed or cut after that:
    // it can only be removed, and its content stays for as long as it is open or mapped.
    unsafe { Mmap::map(file.file()) }.expect("the file is mapped")
}

fn work(member: &Member) {
    let directory: PathBuf = member.get::<String>("directory").into();
    let entries: u64 = member.get("entries");
    let section = Section::new(&directory, "builder");
    let files = Files::open(directory.join("files"))
        .expect("the files open")
        .keep(TTL * 2);
    let store = FileStore::open(directory.join("store")).expect("the store opens");
    let index = FleetDogpile::builder(Arc::new(store), "index", TTL)
        .stale_while_revalidate(TTL * 10)
        .local_ttl(Duration::from_millis(50))
        .codec(files.clone())
        .build();
    member.wait_at_the_gate();
    let end = Instant::now() + Duration::from_secs_f64(member.get("seconds"));
    let (mut lookups, mut wrong, mut stale, mut longest) = (0_u64, 0_u64, 0_u64, Duration::ZERO);
    let mut number = member.number() as u64;
    let mut mapped: Option<(PathBuf, Mmap)> = None;
    while Instant::now() < end {
        let begun = Instant::now();
        let created = index.stats().creations;
        let guard = index
            .get_or_try_create(|creation| {
                build(
                    &files,
                    &section,
                    entries,
                    creation.fence().map_or(0, |fence| fence.0),
                )
            })
            .expect("there is an index");
        // Of one who did not build it, and had one before.
        if index.stats().creations == created && mapped.is_some() {
            longest = longest.max(begun.elapsed());
        }
        stale += u64::from(FleetGuard::origin(&guard) == Origin::Stale);
        if mapped.as_ref().is_none_or(|(path, _)| path != guard.path()) {
            mapped = Some((guard.path().to_owned(), map(&guard)));
        }
        let Some((_, map)) = &mapped else {
            unreachable!("it was mapped")
        };
        let of = FleetGuard::version(&guard).0;
        for _ in 0..1000 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1)
                % entries;
            let at = number as usize * 16;
            lookups += 1;
            wrong += u64::from(map[at..at + 16] != entry(number, of));
        }
    }
    let stats = index.stats();
    member.say(format_args!(
        "lookups={lookups} wrong={wrong} stale={stale} built={} stored={} longest={} unreadable={}",
        stats.creations,
        stats.stored,
        longest.as_micros(),
        stats.unreadable,
    ));
}

fn option(name: &str, default: f64) -> f64 {
    let mut words = std::env::args().skip_while(|word| word != name);
    let word = words.nth(1).and_then(|word| word.parse().ok());
    word.unwrap_or(default)
}

fn size(directory: &Path) -> (usize, u64) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let lengths: Vec<_> = entries.filter_map(|entry| entry.metadata().ok()).collect();
    (lengths.len(), lengths.iter().map(fs::Metadata::len).sum())
}

fn main() {
    if let Some(member) = herd::member() {
        return work(&member);
    }
    let (megabytes, seconds) = (option("--megabytes", 50.0), option("--seconds", 6.0));
    let scratch = Scratch::new("dogpile-index");
    let done = Herd::of_this_program("index")
        .with("directory", scratch.path().display())
        .with("entries", (megabytes * 1e6 / 16.0) as u64)
        .with("seconds", seconds)
        .size(PROCESSES)
        .run();
    println!("{PROCESSES} processes, an index of {megabytes} MB, fresh for {TTL:?}, {seconds} s\n");
    println!(
        "{:<9} {:>12} {:>7} {:>8} {:>8} {:>14}",
        "process", "look-ups", "wrong", "stale", "built", "longest wait"
    );
    for (number, member) in done.members().iter().enumerate() {
        let line = &member.lines.last().expect("it says what it did").1;
        let of = |name: &str| {
            let mut words = line.split_whitespace();
            let word = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        println!(
            "{number:<9} {:>12} {:>7} {:>8} {:>8} {:>11.1} ms",
            of("lookups"),
            of("wrong"),
            of("stale"),
            of("built"),
            of("longest") as f64 / 1000.0
        );
    }
    let (files, bytes) = size(&scratch.path().join("files"));
    let overlaps = Section::new(scratch.path(), "builder").overlaps();
    println!(
        "\nbuilt {} times, {} stored, {overlaps} overlaps; {files} files are left, {} MB together",
        done.sum("built"),
        done.sum("stored"),
        bytes / 1_000_000
    );
    assert_eq!(done.sum("wrong") + overlaps, 0);
    assert!(done.sum("built") <= (seconds / TTL.as_secs_f64()) as u64 + 1);
}
