//! A data file that is replaced while it is read: what the write lock of a [`SyncReaderDogpile`] is
//! for.
//!
//! ```text
//! cargo run --release --example datafile -- [--seconds N] [--readers N]
//! ```
//!
//! Readers look records up without a pause, through memory maps: an index says where in the data
//! file a record is. When the data file is too old, the reader who is elected writes a new one
//! beside it, with every record in another place, which takes a while; the others go on with the
//! old one. Then it takes the write lock, rewrites the index, renames the new file over the old
//! one, maps it, and publishes the map, all before any reader gets in again.
//!
//! Without the lock that would go wrong in two ways. There is one index, rewritten in place:
//! readers would find half of it old and half new, or all of it new while they hold the old data.
//! And a reader who opens the data file by its path would find another one than it was given.
//!
//! Written for Unix, where a file can be replaced while it is mapped.
//!
//! # How to read the output
//!
//! Of each record its index entry is checked, its number, its generation and its checksum; and now
//! and then, whether the file at the path is the one that the reader was given. A reader's wait is
//! the time of one call that did not create; the writer's is that of one `acquire_write_lock`. On a
//! busy machine both are mostly waits for a processor.
//!
//! If a check fails the exit code is 1.
//!
//! [`SyncReaderDogpile`]: dogpile::SyncReaderDogpile

mod reader;
mod records;
mod store;

use std::env;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::reader::Tally;
use crate::store::{Folder, LEAST, Store, TTL};

type Result<T, E = Box<dyn StdError + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "\
usage: cargo run --release --example datafile -- [options]
  --seconds N   how long the readers read, 1 to 600 (default 5)
  --readers N   how many there are, 2 to 64 (default 8)";

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("datafile failed: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

struct Options {
    seconds: u64,
    readers: u64,
}

impl Options {
    /// The options given; `None` if help was asked for.
    fn from_args() -> Result<Option<Self>, String> {
        let mut options = Self {
            seconds: 5,
            readers: 8,
        };
        let mut args = env::args_os().skip(1);
        while let Some(name) = args.next() {
            let name = name.to_string_lossy().into_owned();
            let (option, range) = match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seconds" => (&mut options.seconds, 1..=600),
                "--readers" => (&mut options.readers, 2..=64),
                _ => return Err(format!("unknown option `{name}`")),
            };
            let value = args.next().unwrap_or_default();
            let value = value.to_string_lossy();
            let number = value.parse().ok().filter(|number| range.contains(number));
            *option = number.ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                format!("`{name}` takes a whole number from {least} to {most}, not `{value}`")
            })?;
        }
        Ok(Some(options))
    }
}

/// Says whether all checks held.
fn run(options: &Options) -> Result<bool> {
    let folder = Folder::create()?;
    let store = &Store::create(&folder)?;
    println!(
        "{} readers for {} s; a data file of {} records lives for {TTL:?}, the next one takes \
         {LEAST:?} or more",
        options.readers,
        options.seconds,
        records::COUNT,
    );
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let tallies: Vec<_> = thread::scope(|threads| {
        let start = |reader| threads.spawn(move || reader::run(store, reader, end));
        let readers: Vec<_> = (0..options.readers).map(start).collect();
        let join = |reader: ScopedJoinHandle<'_, Result<Tally>>| {
            reader.join().expect("a reader does not panic")
        };
        readers.into_iter().map(join).collect()
    });
    let mut tally = Tally::default();
    for one in tallies {
        tally.add(one?);
    }
    Ok(report(&tally, options.seconds))
}

/// Prints the figures and the checks. Says whether all held.
fn report(tally: &Tally, seconds: u64) -> bool {
    let swaps = tally.replaced.len();
    let meanwhile = tally
        .replaced
        .iter()
        .map(|&old| tally.stale.get(old).copied().unwrap_or(0));
    let fewest = meanwhile.clone().min().unwrap_or(0);

    println!();
    println!(
        "reads per second                  {:10}",
        tally.reads / seconds
    );
    println!("swaps                             {swaps:10}");
    println!(
        "longest wait of a reader          {:>10.1?}",
        tally.reader_wait
    );
    println!(
        "longest wait of the writer        {:>10.1?}",
        tally.writer_wait
    );
    println!("records checked                   {:10}", tally.reads);
    println!(
        "  while a new file was prepared   {:10}",
        meanwhile.sum::<u64>()
    );
    println!("  at least, in one preparation    {fewest:10}");
    println!("looks at the path                 {:10}\n", tally.looks);

    let checks = [
        (swaps > 0, format!("the file was replaced ({swaps})")),
        (
            fewest > 0,
            format!("reads went on during each preparation (at least {fewest})"),
        ),
        (
            tally.wrong_entries == 0,
            format!("no wrong index entry ({})", tally.wrong_entries),
        ),
        (
            tally.wrong_records == 0 && tally.reads > 0,
            format!("no wrong record ({})", tally.wrong_records),
        ),
        (
            tally.wrong_files == 0 && tally.looks > 0,
            format!("no other file at the path ({})", tally.wrong_files),
        ),
    ];
    for (held, what) in &checks {
        println!("{} {what}", if *held { "PASS" } else { "FAIL" });
    }
    checks.iter().all(|(held, _)| *held)
}
