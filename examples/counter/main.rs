//! Seed of many a bug report: processes that count. Each reads a number from a database, waits a
//! moment, and writes the number plus one. A hundred of them begin at one instant.
//!
//! Unguarded, most of them read the same number. Under a [`LeaseLock`] each has the counter to itself;
//! one that does not get the lock in time says so, and has not counted.
//!
//! ```text
//! cargo run --release --example counter -- --processes 100
//! ```

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogpile_fleet::{FileStore, LeaseLock, LockError};
use herd::{Herd, Member, Scratch, Section};
use rusqlite::Connection;

/// Between reading the counter and writing it.
const MOMENT: Duration = Duration::from_millis(1);

fn open(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("counter.db")).expect("the database opens");
    let patience = Duration::from_secs(60);
    connection
        .busy_timeout(patience)
        .expect("SQLite waits for its own locks");
    connection
}

fn value(connection: &Connection) -> i64 {
    let read = connection.query_row("SELECT count FROM counter", [], |row| row.get(0));
    read.expect("the counter is read")
}

/// The increment that needs a guard: SQLite keeps the two statements whole, and not what is between.
fn increment(connection: &Connection) {
    let count = value(connection);
    thread::sleep(MOMENT);
    let written = connection.execute("UPDATE counter SET count = ?1", [count + 1]);
    written.expect("the counter is written");
}

fn count(member: &Member) {
    let directory: String = member.get("directory");
    let directory = Path::new(&directory);
    let connection = open(directory);
    let store = Arc::new(FileStore::open(directory.join("store")).expect("the store opens"));
    let lock = LeaseLock::new(store, "counter");
    let section = Section::new(directory, member.role());
    let limit = Duration::from_secs_f64(member.get("limit"));
    member.wait_at_the_gate();
    let begun = Instant::now();
    let held = match member.role() {
        "unguarded" => None,
        _ => match lock.lock_for(limit) {
            Ok(held) => Some(held),
            Err(LockError::TimedOut) => return member.say("timed_out=1"),
            Err(error) => panic!("{error}"),
        },
    };
    let inside = section.enter();
    increment(&connection);
    drop(inside);
    let fence = held
        .as_ref()
        .and_then(|held| held.fence())
        .map_or(0, |fence| fence.0);
    drop(held);
    let span = begun.elapsed().as_micros();
    member.say(format_args!("counted=1 fence={fence} span={span}"));
}

fn option(name: &str, default: f64) -> f64 {
    let mut words = std::env::args().skip_while(|word| word != name);
    let word = words.nth(1).and_then(|word| word.parse().ok());
    word.unwrap_or(default)
}

fn main() {
    if let Some(member) = herd::member() {
        return count(&member);
    }
    let processes = option("--processes", 100.0) as usize;
    println!(
        "{processes} processes, {MOMENT:?} between reading and writing\n\n\
         {:<28} {:>8} {:>8} {:>10} {:>9} {:>7} {:>14}",
        "", "counter", "counted", "timed out", "overlaps", "fences", "longest"
    );
    let run = |name: &str, role: &str, limit: f64| {
        let scratch = Scratch::new("dogpile-counter");
        let connection = open(scratch.path());
        let made = connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = OFF;
             CREATE TABLE counter (count INTEGER NOT NULL);
             INSERT INTO counter VALUES (0);",
        );
        made.expect("the counter is made");
        let done = Herd::of_this_program(role)
            .with("directory", scratch.path().display())
            .with("limit", limit)
            .size(processes)
            .run();
        let counter = value(&connection) as u64;
        let mut fences = done.numbers("fence");
        fences.retain(|fence| *fence != 0);
        fences.sort_unstable();
        fences.dedup();
        println!(
            "{name:<28} {counter:>8} {:>8} {:>10} {:>9} {:>7} {:>11.1} ms   {}",
            done.sum("counted"),
            done.sum("timed_out"),
            Section::new(scratch.path(), role).overlaps(),
            fences.len(),
            done.max("span") as f64 / 1000.0,
            match counter == done.sum("counted") {
                true => "right",
                false => "WRONG",
            },
        );
        (counter, done.sum("counted"))
    };
    let (unguarded, _) = run("unguarded", "unguarded", 0.0);
    let (guarded, _) = run("LeaseLock, up to a minute", "guarded", 60.0);
    let (hasty, counted) = run("LeaseLock, up to 50 ms", "hasty", 0.05);
    assert!(unguarded < processes as u64, "the control must fail");
    assert_eq!(guarded, processes as u64);
    assert_eq!(hasty, counted);
}
