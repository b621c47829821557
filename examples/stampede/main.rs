//! A stampede on a key server, held off in three ways.
//!
//! ```text
//! cargo run --release --example stampede -- [--seconds N] [--threads N] [--rate N] [--forged N]
//!                                           [--out FILE.svg]
//! ```
//!
//! A service checks signed tokens (compact JWS, Ed25519) with public keys that it fetches from a
//! slow HTTP server: the *origin*, 80 ms a request, on loopback, part of this program. The keys
//! live for half a second. In real life that is five minutes; here everything is 600 times faster.
//! Each way gets an origin of its own and the same herd of threads, for a few seconds:
//!
//! - *no protection*: whoever finds the keys expired fetches them.
//! - *one mutex*: held while looking and while fetching.
//! - *Dogpile*: one caller fetches, the others go on with the old keys.
//!
//! Three things happen in each run. The origin's keys are rotated, at the worst moment: just after
//! somebody was given the old ones. Forgers sign with keys that nobody ever published, and the
//! service must ask for newer keys (it cannot know) without being driven to do so by forgers. And
//! the origin sends half an answer once, on which the parser, a careless one, panics.
//!
//! # How to read the table
//!
//! | column | |
//! |---|---|
//! | requests | how often the origin was asked, counted at the origin |
//! | at once | the most requests at the origin at the same time |
//! | checks/s | tokens checked per second; the same in all ways as long as the herd keeps pace |
//! | p50 ... worst | time from a token's arrival to its answer, queueing included |
//! | wrong | genuine tokens refused and forged ones accepted |
//! | panics | checks that ended in a panic, which the thread caught; they gave no answer |
//!
//! Tokens arrive at their own pace, whether the herd is ready or not. A thread that stands still
//! for 80 ms therefore delays all the tokens that arrive for it meanwhile, and all are counted.
//! That makes p99 the figure to look at. The worst case stays about the same: somebody has to
//! fetch, and one thread does so twice, after the panic. `--rate 0` checks as fast as it can: then
//! the processor is what threads wait for, and latencies mean little.
//!
//! Below the table stands what `Dogpile` promised and whether it held; if not, the exit code is 1.
//! The time line, an SVG file, has a row for each thread: who fetched (red), who waited (blue), who
//! went on with old keys (amber).

mod herd;
mod keys;
mod options;
mod origin;
mod report;
mod spells;
mod tally;
mod timeline;
mod tokens;
mod ways;

use std::panic;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::herd::{Herd, Run};
use crate::options::Options;
use crate::origin::{Origin, Published, Script};
use crate::tokens::Mint;
use crate::ways::{OneMutex, OnePile, Source, Unprotected, Way};

/// How long the keys are good for.
const TTL: Duration = Duration::from_millis(500);

/// How long before its first use the issuer publishes a new key. It has to be the caches' time to
/// live, or they would refuse good tokens; see [`keys::KeySet::knows_all`].
const LEAD: Duration = TTL;

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("stampede: {message}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match stampede(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("stampede: {message}");
            ExitCode::from(2)
        }
    }
}

/// Runs the three ways and reports. Says whether `Dogpile` kept its promises.
fn stampede(options: &Options) -> Result<bool, String> {
    timeline::try_file(&options.out)?;
    let published = Published::read()?;
    let mint = Mint::new();
    quiet_herd();
    println!(
        "{} threads, {}, {} s for each of three ways; keys live {} ms, a request takes {} ms",
        options.threads,
        match options.rate {
            0 => String::from("as many tokens as they can check"),
            rate => format!("{rate} tokens a second in all"),
        },
        options.seconds,
        TTL.as_millis(),
        origin::DELAY.as_millis(),
    );
    let (unprotected, _) = run(Unprotected::new, options, &published, &mint)?;
    let (one_mutex, _) = run(OneMutex::new, options, &published, &mint)?;
    let (dogpile, pile) = run(OnePile::new, options, &published, &mint)?;
    let runs = [unprotected, one_mutex, dogpile];

    println!("\n{}", report::table(&runs));
    let verdicts = report::verdicts(&runs[2], &pile.counts(), options);
    println!("{verdicts}");
    timeline::draw(&runs, options)?;
    println!("Time line: {}", options.out.display());
    Ok(verdicts.held())
}

/// One way: its origin, its herd, its figures.
fn run<W: Way>(
    way: impl FnOnce(Source) -> W,
    options: &Options,
    published: &Published,
    mint: &Mint,
) -> Result<(Run, W), String> {
    let span = Duration::from_secs(options.seconds);
    // A moment later, so that the whole herd is there when it starts.
    let start = Instant::now() + Duration::from_millis(100);
    let script = Script {
        damage_from: start + span / 5,
        rotate_from: start + span * 2 / 5,
        // In case nobody asks any more.
        rotate_by: start + span * 2 / 5 + TTL + origin::DELAY * 2,
    };
    let origin = Origin::start(published.clone(), script)?;
    let way = way(Source::new(origin.url()));
    let herd = Herd {
        options,
        mint,
        origin: &origin,
        start,
        end: start + span,
    };
    let run = herd.run(&way)?;
    Ok((run, way))
}

/// Leaves the herd's panics to the report: they are part of the show. All others are printed as
/// ever.
fn quiet_herd() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(herd::THREAD_NAME) {
            print(panic);
        }
    }));
}
