//! The report about cachy, made again: five processes share one cache in a directory, with a blob of
//! 50 KB that is fresh for half a second. Each prints its letter: green if it got a whole value, yellow
//! if it created one, red if something went wrong.
//!
//! The first run is the naive cache of the report: look whether the file is there and how old it is,
//! else write it. The second is a [`FleetDogpile`] over a [`FileStore`].
//!
//! ```text
//! cargo run --release --example styles -- --seconds 10 --processes 5
//! ```

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dogpile::Origin;
use dogpile_fleet::{FileStore, FleetDogpile, FleetGuard};
use herd::{Done, Herd, Member, Scratch, Section};

const TTL: Duration = Duration::from_millis(500);
const SIZE: usize = 51_200;
/// How long it takes to fetch the styles.
const FETCH: Duration = Duration::from_millis(50);

/// One style sheet: when it was fetched, and bytes that follow from that.
fn blob(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..SIZE).map(|at| (number as usize * 31 + at * 7) as u8));
    bytes
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_micros() as u64
}

/// When it was fetched, if it is whole.
fn fetched_at(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes == blob(number)).then_some(number)
}

fn fetch(section: &Section) -> Vec<u8> {
    let _inside = section.enter();
    thread::sleep(FETCH);
    blob(micros())
}

/// What a cache answered.
enum Got {
    Cached(Vec<u8>),
    Created(Vec<u8>),
}

/// The cache of the report.
struct Naive(PathBuf);

#[derive(Debug)]
struct Oops(String);

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Naive {
    fn remember(&self, section: &Section) -> Result<Got, Oops> {
        let oops = |error: io::Error| Oops(error.to_string());
        if self.0.exists() {
            // Another process may remove it here, or be writing it.
            let bytes = fs::read(&self.0).map_err(oops)?;
            let at = bytes.get(..8).and_then(|at| at.try_into().ok());
            let at = u64::from_le_bytes(at.ok_or_else(|| Oops("the file is empty".into()))?);
            if micros().saturating_sub(at) < TTL.as_micros() as u64 {
                return Ok(Got::Cached(bytes));
            }
            fs::remove_file(&self.0).map_err(oops)?;
        }
        let bytes = fetch(section);
        fs::write(&self.0, &bytes).map_err(oops)?;
        Ok(Got::Created(bytes))
    }
}

/// Counts what a process sees, and shows it as coloured letters.
struct Letters {
    letter: char,
    shown: Instant,
    last: u8,
    operations: u64,
    created: u64,
    errors: u64,
    bad: u64,
    versions: u64,
    newest: u64,
    oldest: u64,
}

impl Letters {
    fn new(number: usize) -> Self {
        Self {
            letter: char::from(b'A' + (number % 26) as u8),
            shown: Instant::now(),
            last: 0,
            operations: 0,
            created: 0,
            errors: 0,
            bad: 0,
            versions: 0,
            newest: 0,
            oldest: 0,
        }
    }

    fn note(&mut self, got: Result<Got, Oops>) {
        self.operations += 1;
        let colour = match &got {
            Ok(Got::Cached(bytes)) | Ok(Got::Created(bytes)) => match fetched_at(bytes) {
                None => {
                    self.bad += 1;
                    31
                }
                Some(at) => {
                    self.versions += u64::from(at > self.newest);
                    self.newest = self.newest.max(at);
                    self.oldest = self.oldest.max(micros().saturating_sub(at));
                    match got {
                        Ok(Got::Created(_)) => {
                            self.created += 1;
                            33
                        }
                        _ => 32,
                    }
                }
            },
            Err(_) => {
                self.errors += 1;
                31
            }
        };
        // Not each of a hundred thousand, but each that is not green.
        if colour != 32 || self.shown.elapsed() > Duration::from_millis(100) {
            if colour == self.last
                && colour == 31
                && self.shown.elapsed() < Duration::from_millis(20)
            {
                return;
            }
            self.shown = Instant::now();
            self.last = colour;
            let letter = self.letter;
            // A letter more or less does not matter.
            let mut shown = io::stderr();
            let _ = match shown.is_terminal() {
                true => write!(shown, "\x1b[{colour}m{letter}\x1b[0m"),
                false => write!(shown, "{letter}"),
            };
        }
    }

    fn say(&self, member: &Member) {
        let Self {
            operations,
            created,
            errors,
            bad,
            versions,
            oldest,
            ..
        } = self;
        member.say(format_args!(
            "operations={operations} created={created} errors={errors} bad={bad} \
             versions={versions} oldest={oldest}"
        ));
    }
}

fn work(member: &Member) {
    let directory: PathBuf = member.get::<String>("directory").into();
    let section = Section::new(&directory, member.role());
    let span = Duration::from_secs_f64(member.get("seconds"));
    let mut letters = Letters::new(member.number());
    let mut run = |remember: &mut dyn FnMut() -> Result<Got, Oops>| {
        member.wait_at_the_gate();
        let end = Instant::now() + span;
        while Instant::now() < end {
            letters.note(remember());
        }
    };
    match member.role() {
        "naive" => {
            let naive = Naive(directory.join("styles.cache"));
            run(&mut || naive.remember(&section));
        }
        _ => {
            let store = FileStore::open(directory.join("store")).expect("the store opens");
            let styles: FleetDogpile<Vec<u8>, _> =
                FleetDogpile::builder(Arc::new(store), "styles", TTL)
                    .local_ttl(Duration::from_millis(20))
                    .build();
            run(&mut || {
                let guard = styles
                    .get_or_try_create(|_| Ok::<_, Oops>(fetch(&section)))
                    .map_err(|error| Oops(error.to_string()))?;
                let bytes = guard.to_vec();
                Ok(match FleetGuard::origin(&guard) {
                    Origin::CreatedHere => Got::Created(bytes),
                    _ => Got::Cached(bytes),
                })
            });
            member.say(format_args!("stored={}", styles.stats().stored));
        }
    }
    letters.say(member);
}

fn row(name: &str, done: &Done, overlaps: u64, seconds: f64) {
    println!(
        "{name:<18} {:>10} {:>8} {:>6} {:>9} {:>9} {:>11.0} ms   {} to {}",
        done.sum("operations"),
        done.sum("errors"),
        done.sum("bad"),
        done.sum("created"),
        overlaps,
        done.max("oldest") as f64 / 1000.0,
        (seconds / (TTL + FETCH).as_secs_f64()) as u64,
        (seconds / TTL.as_secs_f64()).ceil() as u64 + 1,
    );
}

fn option(name: &str, default: f64) -> f64 {
    let mut words = std::env::args().skip_while(|word| word != name);
    let word = words.nth(1).and_then(|word| word.parse().ok());
    word.unwrap_or(default)
}

fn main() {
    if let Some(member) = herd::member() {
        return work(&member);
    }
    let (seconds, processes) = (
        option("--seconds", 10.0),
        option("--processes", 5.0) as usize,
    );
    let scratch = Scratch::new("dogpile-styles");
    eprintln!(
        "Each letter is a process at work. On a terminal it is green: it got a whole value; yellow: it \
         created one; red: something went wrong."
    );
    let run = |role: &str| {
        eprintln!("\n{role}:");
        let done = Herd::of_this_program(role)
            .with("directory", scratch.path().display())
            .with("seconds", seconds)
            .size(processes)
            .limit(Duration::from_secs_f64(seconds + 60.0))
            .run();
        (done, Section::new(scratch.path(), role).overlaps())
    };
    let (naive, naive_overlaps) = run("naive");
    let (fleet, fleet_overlaps) = run("fleet");
    println!(
        "\n\n{processes} processes, {seconds} s, {SIZE} bytes, fresh for {TTL:?}\n\n\
         {:<18} {:>10} {:>8} {:>6} {:>9} {:>9} {:>14}   expected",
        "", "operations", "errors", "bad", "creations", "overlaps", "oldest answer"
    );
    row("naive file cache", &naive, naive_overlaps, seconds);
    row("FleetDogpile", &fleet, fleet_overlaps, seconds);
    let left = count(&scratch.path().join("store"));
    println!(
        "\n{left} files in the store, {} values stored",
        fleet.sum("stored")
    );
    assert_eq!(fleet.sum("errors") + fleet.sum("bad") + fleet_overlaps, 0);
    assert!(
        naive_overlaps + naive.sum("errors") > 0,
        "the control must fail"
    );
}

fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => count(&entry.path()),
            false => 1,
        })
        .sum()
}
