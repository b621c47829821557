//! Ten thousand tenants, one database, and what bounds a map of their settings.
//!
//! ```text
//! cargo run --release --example tenants -- [--seed N] [--out FILE.svg]
//! ```
//!
//! A service keeps the settings of its tenants in a [`KeyedDogpile`](dogpile::KeyedDogpile). They are fresh
//! for a minute and may be served for five minutes more while they are loaded again. A thousand requests
//! a second come in, most of them of few tenants. Ten times a second a tenant changes its settings: they
//! are written to the database, and then the key is invalidated. A load takes 25 ms. If the database has
//! more than sixteen of them at once, all take longer.
//!
//! From minute 4 to minute 6 strangers come too, with names of tenants that do not exist: a thousand a
//! second, no name twice.
//!
//! Four runs, each ten minutes of simulated time by tokio's paused clock. The same seed gives the same
//! run, but for the order of keys with the same hash.
//!
//! - *no bounds*: every tenant that ever came stays.
//! - *bounds*: [`max_entries`](dogpile::KeyedBuilder::max_entries) for 4,000 tenants, and a
//!   [`creation_limit`](dogpile::KeyedBuilder::creation_limit) of sixteen loads at once. No strangers.
//! - *strangers*: the same, and they come.
//! - *strangers, rate*: and a [`creation_rate`](dogpile::KeyedBuilder::creation_rate) of 400 loads a
//!   second.
//!
//! # How to read the table
//!
//! | column | |
//! |---|---|
//! | loads | how often the database was asked |
//! | busiest second | loads in the second that had most of them |
//! | at once | the most loads that ran at one time |
//! | slowest | how long the slowest load took |
//! | most entries | tenants in the map, at the end of a second |
//! | evicted | tenants that had to make room |
//! | old | of 100 requests of tenants, so many got settings past their time to live |
//! | errors | ... got none: in the time of the strangers, as all of these figures |
//! | slow | ... waited for longer than a load and a half |
//!
//! Below it stands what the settings promise and whether it held; if not, the exit code is 1. The
//! drawing, an SVG file, has a row for each run: loads and evictions in each second, and what tenants got.

mod chart;
mod database;
mod report;
mod service;

use std::env;
use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::service::Way;

const STRANGERS: Range<Duration> = Duration::from_secs(240)..Duration::from_secs(360);

/// How many tenants there is room for.
const ROOM: usize = 4_000;
/// How many loads run at once, and how many begin in a second.
const AT_ONCE: usize = 16;
const RATE: u32 = 400;

const WAYS: [Way; 4] = [
    Way {
        name: "no bounds",
        settings: |map| map,
        strangers: None,
    },
    Way {
        name: "bounds",
        settings: |map| map.max_entries(ROOM).creation_limit(AT_ONCE),
        strangers: None,
    },
    Way {
        name: "strangers",
        settings: |map| map.max_entries(ROOM).creation_limit(AT_ONCE),
        strangers: Some(STRANGERS),
    },
    Way {
        name: "strangers, rate",
        settings: |map| {
            let map = map.max_entries(ROOM).creation_limit(AT_ONCE);
            map.creation_rate(RATE, Duration::from_secs(1))
        },
        strangers: Some(STRANGERS),
    },
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut seed, mut out) = (1, PathBuf::from("tenants.svg"));
    let mut args = env::args_os().skip(1);
    while let Some(name) = args.next() {
        match (name.to_str(), args.next()) {
            (Some("--seed"), Some(value)) => seed = value.to_string_lossy().parse()?,
            (Some("--out"), Some(value)) => out = value.into(),
            _ => return Err("usage: tenants [--seed N] [--out FILE.svg]".into()),
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
