//! Two hundred processes, one source, and what the settings of a pile do for both.
//!
//! ```text
//! cargo run --release --example outage -- [--seed N] [--out FILE.svg]
//! ```
//!
//! Each process has a pile of its own for the same value, which is fresh for five minutes and may be
//! served for one minute more. About once a second somebody asks a process for it. Whoever is elected
//! fetches it from the source, inline. The source takes 200 ms for an answer and can give fifty of
//! them a second. A few more wait in line, and beyond these it refuses. All processes start at the same
//! moment, as after a deploy.
//!
//! Seven runs, each half an hour of simulated time. They take a few seconds, since the piles and the
//! source live by the paused time of tokio: `clock_static(&Tokio)`. The same seed gives the same run.
//!
//! - Three *calm* runs: plain expiry; [`ttl_jitter`](dogpile::Builder::ttl_jitter);
//!   [`refresh_ahead`](dogpile::Builder::refresh_ahead).
//! - Four runs with an *outage*: from minute 10 to minute 20 the source gives no answer, and whoever
//!   asks hangs up after a second. All four have a `ttl_jitter`; they differ in whether they have a
//!   [`backoff`](dogpile::Builder::backoff) and a [`stale_if_error`](dogpile::Builder::stale_if_error).
//!
//! # How to read the table
//!
//! | column | |
//! |---|---|
//! | requests | how often the source was asked |
//! | busiest second | requests in the second that had most of them |
//! | refused | requests that the source refused, since it had too many |
//! | in the outage | requests while the source was down |
//! | old | of 100 callers, so many got a value past its time to live |
//! | errors | ... got an error |
//! | slow | ... were answered later than after the 200 ms of a fetch |
//!
//! Below it stands what the settings promise and whether it held; if not, the exit code is 1. The
//! drawing, an SVG file, has a row for each run: the load at the source, and what callers got.

mod chart;
mod fleet;
mod record;
mod report;
mod source;

use std::env;
use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use dogpile::{Backoff, RefreshAhead};

use crate::fleet::Way;

const OUTAGE: Range<Duration> = Duration::from_secs(600)..Duration::from_secs(1200);

/// The spans of the back-off: a second after the first failure, then twice as long, a minute at most.
/// Each of them is cut by a random part of its half.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff::exponential(FIRST, MOST).jitter(50);

/// How long a value may stand in for an error. It covers the outage.
const STAND_IN: Duration = Duration::from_secs(3600);

const WAYS: [Way; 7] = [
    Way {
        name: "plain expiry",
        settings: |pile| pile,
        outage: None,
    },
    Way {
        name: "ttl_jitter",
        settings: |pile| pile.ttl_jitter(20),
        outage: None,
    },
    Way {
        name: "refresh_ahead",
        settings: |pile| pile.refresh_ahead(RefreshAhead::percent(80).jitter(20)),
        outage: None,
    },
    Way {
        name: "outage, neither",
        settings: |pile| pile.ttl_jitter(20),
        outage: Some(OUTAGE),
    },
    Way {
        name: "outage, backoff",
        settings: |pile| pile.ttl_jitter(20).backoff(BACKOFF),
        outage: Some(OUTAGE),
    },
    Way {
        name: "outage, stale_if_error",
        settings: |pile| pile.ttl_jitter(20).stale_if_error(STAND_IN),
        outage: Some(OUTAGE),
    },
    Way {
        name: "outage, both",
        settings: |pile| {
            let pile = pile.ttl_jitter(20).backoff(BACKOFF);
            pile.stale_if_error(STAND_IN)
        },
        outage: Some(OUTAGE),
    },
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut seed, mut out) = (1, PathBuf::from("outage.svg"));
    let mut args = env::args_os().skip(1);
    while let Some(name) = args.next() {
        match (name.to_str(), args.next()) {
            (Some("--seed"), Some(value)) => seed = value.to_string_lossy().parse()?,
            (Some("--out"), Some(value)) => out = value.into(),
            _ => return Err("usage: outage [--seed N] [--out FILE.svg]".into()),
        }
    }

    let runs = WAYS.map(|way| way.run(seed));
    print!("{}", report::table(&runs));
    let verdicts = report::verdicts(&runs);
    print!("{verdicts}");
    std::fs::write(&out, chart::draw(&runs)?)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    println!("\nDrawing: {}", out.display());
    Ok(verdicts.exit_code())
}
