//! A value that lives in a memcached, and the lock that keeps its renewal from becoming a stampede:
//! the case that the original, Python's dogpile, was made for.
//!
//! ```text
//! cargo run --release --example memcached -- [--seconds N] [--threads N]
//! ```
//!
//! It needs the program `memcached`, of which it starts one of its own, on a free port of the
//! loopback interface. Without that program it says so and does nothing.
//!
//! A herd of threads calls [`Dogpile::acquire`] in a loop, each with a connection of its own: `get`
//! looks a page up in memcached, `create` takes 20 ms to make one and puts it there. A page lives
//! for half a second. Meanwhile another thread empties memcached with `flush_all`, every 100 ms and
//! sometimes sooner or later, so that a flush hits each of the moments in which it matters: while a
//! page is there, while one is created because there is none, and while one is renewed.
//!
//! # How to read the output
//!
//! Each creation needs a reason: it is the first, or the page was flushed, or the page expired. So
//!
//! ```text
//! creations <= 1 (the first) + flushes + expiries
//! ```
//!
//! holds always, and a stampede would break it. It is no equation, because two reasons can make one
//! creation do, in three ways:
//!
//! - a flush *found nothing*: it came while the page that the one before it had removed was still
//!   being created, and that creation's `put` heals both;
//! - a flush removed the page *during its renewal*: the renewal's `put` heals the flush and the
//!   expiry;
//! - a flush was *not noticed yet* when the herd stopped.
//!
//! Nothing else comes between, and all three can be counted, so the output has the equation with
//! them, and it has to be exact. A caller whose `get` missed while another created is no reason to
//! create: it takes what that one made, which the pile kept for it. It would be the rare creation
//! "without a reason".
//!
//! A flush counts as having found something if a `get`, sent with it in one go, does; an expiry is
//! a creation that began when the page before was older than its time to live, by the example's own
//! books. That `get` runs at most once per call needs no proof by counting, as it is an `FnOnce`;
//! counted it is, here and by memcached.
//!
//! After that a second process comes along: a second pile, on the same store. Told the age of what
//! it finds ([`Lookup::Aged`]), it does not create until that page is too old, however young the
//! pile is. Not told, it creates at once, as the original does; or takes what it finds for new, if
//! it was built with [`init`](dogpile::Builder::init).
//!
//! If a check fails the exit code is 1.

mod client;
mod herd;
mod origin;
mod server;

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Dogpile, Lookup};

use crate::client::Client;
use crate::herd::Reader;
use crate::origin::{Creation, DELAY, KEY, Origin, Page};
use crate::server::Server;

/// How long a page is fresh.
const TTL: Duration = Duration::from_millis(500);

/// How long the flusher waits before each flush, in milliseconds, over and over.
const PAUSES: [u64; 11] = [
    100,
    100,
    100,
    100,
    100,
    100,
    100, // A page is there, and young.
    10,  // The creation that the last flush caused still runs: nothing to be found.
    100,
    // The page was created 20 ms after the last flush, expires 500 ms later, and is being renewed
    // for 20 ms more: in the middle of that.
    DELAY.as_millis() as u64 + TTL.as_millis() as u64 + 10,
    1200, // Long enough for a page to expire undisturbed, twice.
];

const USAGE: &str = "\
usage: cargo run --release --example memcached -- [options]
  --seconds N   how long the herd runs, 1 to 600 (default 10)
  --threads N   how large it is, 1 to 256 (default 32)";

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
    let Some(program) = Server::find() else {
        println!(
            "skipped: the program `memcached` is not installed. Install the package of that name, \
             for example with `apt-get install memcached` or `brew install memcached`."
        );
        return ExitCode::SUCCESS;
    };
    let held = Server::start(&program).and_then(|server| {
        println!(
            "memcached {} at {}; {} threads for {} s; a page takes {DELAY:?} and lives for {TTL:?}",
            server.version, server.address, options.threads, options.seconds
        );
        run(server.address, &options).map_err(|error| format!("memcached failed: {error}"))
    });
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    seconds: u64,
    threads: usize,
}

impl Options {
    /// The options given; `None` if help was asked for.
    fn from_args() -> Result<Option<Self>, String> {
        let mut options = Self {
            seconds: 10,
            threads: 32,
        };
        let mut args = env::args_os().skip(1);
        while let Some(name) = args.next() {
            let name = name.to_string_lossy().into_owned();
            let most = match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seconds" => 600,
                "--threads" => 256,
                _ => return Err(format!("unknown option `{name}`")),
            };
            let value = args.next().unwrap_or_default();
            let value = value.to_string_lossy();
            let number: u16 = value
                .parse()
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| {
                    format!("`{name}` takes a whole number from 1 to {most}, not `{value}`")
                })?;
            match name.as_str() {
                "--seconds" => options.seconds = number.into(),
                _ => options.threads = number.into(),
            }
        }
        Ok(Some(options))
    }
}

/// Both parts. Says whether all checks held.
fn run(address: SocketAddr, options: &Options) -> io::Result<bool> {
    let storm = storm(address, options)?;
    let second_process = second_process(address, options)?;
    Ok(storm && second_process)
}

/// What the flusher did.
#[derive(Default)]
struct Flushes {
    all: u64,
    found_nothing: u64,
}

/// The herd and the flusher.
fn storm(address: SocketAddr, options: &Options) -> io::Result<bool> {
    let origin = Origin::default();
    let pile = Dogpile::new(TTL);
    let reader = Reader {
        pile: &pile,
        origin: &origin,
        // As in the original: how old a page is, the pile knows from its last creation.
        look_up: Lookup::Here,
    };
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (tally, flushes) = thread::scope(|threads| {
        let flusher = threads.spawn(|| flush(address, end));
        let tally = herd::run(&reader, address, options.threads, &|| Instant::now() < end);
        let flushes = flusher.join().expect("the flusher does not panic");
        Ok::<_, io::Error>((tally?, flushes?))
    })?;

    // The server's own account, first of all: looking adds to it.
    let mut client = Client::connect(address)?;
    let stats = client.stats()?;
    let counted = |name| stats.get(name).copied().unwrap_or(0);
    let not_noticed = u64::from(client.get(KEY)?.is_none());

    let creations = origin.creations();
    let count = |which: fn(&Creation) -> bool| {
        creations.iter().filter(|creation| which(creation)).count() as u64
    };
    let made = creations.len() as u64;
    let expiries = count(expired);
    let renewed_at_once = count(|creation| expired(creation) && !creation.stored_before);
    let without_reason = count(|creation| !expired(creation) && creation.stored_before);
    let bound = 1 + flushes.all + expiries;
    let exact = i128::from(bound)
        - i128::from(flushes.found_nothing)
        - i128::from(renewed_at_once)
        - i128::from(not_noticed);
    let most = origin.most_at_once.load(Ordering::SeqCst);

    println!("\n{tally}");
    println!("creations                            {made:6}");
    println!("  the first                          {:6}", 1);
    println!("  flushes                          + {:6}", flushes.all);
    println!("  expiries                         + {expiries:6}");
    println!(
        "  flushes that found nothing       - {:6}",
        flushes.found_nothing
    );
    println!("  flushes during a renewal         - {renewed_at_once:6}");
    println!("  flushes not noticed yet          - {not_noticed:6}");
    println!("                                   = {exact:6}\n");

    let mut checks = Checks::default();
    checks.note(
        most == 1,
        format!("one creator at a time (at most {most} at once)"),
    );
    checks.note(
        tally.most_gets == 1 && tally.gets <= tally.calls,
        format!(
            "`get` at most once per call ({} in {} calls, at most {} in one)",
            tally.gets, tally.calls, tally.most_gets
        ),
    );
    checks.note(
        made <= bound,
        format!("creations <= 1 + flushes + expiries ({made} <= {bound})"),
    );
    checks.note(
        i128::from(made) == exact,
        format!("and exactly as many as there were reasons ({made} = {exact})"),
    );
    checks.note(
        without_reason == 0,
        format!("no creation without a reason ({without_reason})"),
    );
    checks.note(
        tally.went_back == 0,
        format!(
            "no thread got an older page than before ({})",
            tally.went_back
        ),
    );
    // Each flush and each `put` looks first.
    let looks = tally.gets + flushes.all + made;
    let server = ["cmd_set", "cmd_flush", "cmd_get"].map(counted);
    checks.note(
        server == [made, flushes.all, looks],
        format!(
            "memcached counted the same (set {made}, flush_all {}, get {looks})",
            flushes.all
        ),
    );
    checks.note(
        tally.errors == 0,
        format!("no errors ({})", tally.first_error()),
    );
    Ok(checks.held)
}

fn expired(creation: &Creation) -> bool {
    creation.replaced.is_some_and(|age| age > TTL)
}

/// Empties memcached again and again.
fn flush(address: SocketAddr, end: Instant) -> io::Result<Flushes> {
    let mut client = Client::connect(address)?;
    let mut flushes = Flushes::default();
    for pause in PAUSES.iter().copied().cycle() {
        let next = Instant::now() + Duration::from_millis(pause);
        if next >= end {
            break;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let found = client.flush_all(KEY)?;
        flushes.all += 1;
        flushes.found_nothing += u64::from(!found);
    }
    Ok(flushes)
}

/// A process that starts while the page in memcached is young.
fn second_process(address: SocketAddr, options: &Options) -> io::Result<bool> {
    let mut client = Client::connect(address)?;
    let origin = Origin::default();
    // What the first process did last.
    let before = origin.create(&mut client)?;
    thread::sleep(TTL / 5);
    let young = before.age();

    let pile = Dogpile::new(TTL);
    let reader = Reader {
        pile: &pile,
        origin: &origin,
        look_up: |page| Lookup::Aged(page, page.age()),
    };
    // Until it has renewed the page, or does not think of it.
    let go_on = || origin.creations().len() < 2 && before.age() < TTL * 10;
    let tally = herd::run(&reader, address, options.threads, &go_on)?;
    let replaced: Vec<_> = origin
        .creations()
        .iter()
        .filter_map(|c| c.replaced)
        .collect();
    let oldest = replaced.first().copied().unwrap_or_default();

    println!("\nA second process, {young:.0?} after the page was created\n\n{tally}");
    let mut checks = Checks::default();
    checks.note(
        // The books' clock and the wall clock, which the page's age goes by, may differ a little.
        oldest + Duration::from_millis(5) > TTL && replaced.len() == 1 && tally.errors == 0,
        format!(
            "told the age, it created when the page was too old ({}, after {oldest:.0?})",
            replaced.len()
        ),
    );
    let first_call = |pile: &Dogpile<Page>| {
        let reader = Reader {
            pile,
            origin: &origin,
            look_up: Lookup::Here,
        };
        herd::run(&reader, address, 1, &|| false)
    };
    let made = || origin.creations().len();
    let already = made();
    first_call(&Dogpile::new(TTL))?;
    let forced = made() - already;
    checks.note(
        forced == 1,
        format!("not told, it created at its first call ({forced})"),
    );
    first_call(&Dogpile::builder(TTL).init().build())?;
    let forced = made() - already - forced;
    checks.note(
        forced == 0,
        format!("not told and built with `init`, it did not ({forced})"),
    );
    Ok(checks.held)
}

/// What was promised, and whether it held.
struct Checks {
    held: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { held: true }
    }
}

impl Checks {
    fn note(&mut self, held: bool, what: String) {
        println!("{} {what}", if held { "PASS" } else { "FAIL" });
        self.held &= held;
    }
}
