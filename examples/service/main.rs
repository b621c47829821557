//! Three processes of a web service behind one Redis and one slow upstream, and what befalls the Redis.
//!
//! ```text
//! cargo run --release --example service -- [--seconds N] [--out FILE.svg]
//! ```
//!
//! The program starts itself three times as the service, in axum, and once more as its clients. It starts
//! a `redis-server` of its own. If that is not installed it says so and does nothing; where the variable
//! `CI` is set it fails. The upstream, which takes 100 ms for an answer, runs in the process that
//! started the others.
//!
//! Each service answers in two ways, to 12 clients each. Both keep the value in the Redis, fresh for half
//! a second.
//!
//! - `/plain` asks the Redis. If the value is not there, it fetches it and puts it there.
//! - `/fleet` asks a [`FleetDogpile`](dogpile_fleet::FleetDogpile) over the same Redis: one process
//!   fetches, and the others go on with the old value, for two seconds at most.
//!
//! Meanwhile the Redis is stopped, goes on, is emptied three times, is killed, and comes back with nothing
//! in it. After each of these, the example waits until all three services share a value again.
//!
//! A Redis that goes on does what it was asked for while it was stopped. So it may grant a lease to a service
//! that has given up. The next request of that service takes this lease up. Until then nobody creates, and
//! whoever has no usable value waits, at most until the lease ends.
//!
//! # How to read the output
//!
//! While it runs, a line for each second. On a terminal the last line is the second that runs. At the
//! end a row for each part of the run, in the same columns:
//!
//! | column | |
//! |---|---|
//! | plain, fleet: fetches | how often the upstream was asked |
//! | alone | those of the fleet's fetches that a process made for itself, without a lease |
//! | answers | to clients |
//! | errors | requests without an answer, or with another status than 200 |
//! | slowest | the time that the slowest answer took in its service, in seconds |
//! | stale | of 100 answers of the fleet, so many had a value past its time to live |
//! | oldest | the oldest value of these, in seconds |
//!
//! Below stands what is promised and whether it held; if not, the exit code is 1. None of it depends on
//! how fast the machine is. The drawing, an SVG file, shows the run.

mod chart;
#[path = "../axum/client.rs"]
mod client;
mod load;
mod record;
mod report;
mod server;
mod service;
mod stage;
mod upstream;

use std::env;
use std::error::Error as StdError;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::server::Server;

type Result<T> = std::result::Result<T, Box<dyn StdError + Send + Sync>>;

const SERVICES: usize = 3;

/// How long a value is fresh, and how long the fleet serves it after that.
const TTL: Duration = Duration::from_millis(500);
const STALE: Duration = Duration::from_secs(2);

/// How a service answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Fleet,
}

impl Way {
    const ALL: [Self; 2] = [Self::Plain, Self::Fleet];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fleet => "fleet",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }
}

fn block_on<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run)
}

fn main() -> Result<ExitCode> {
    if let Some(member) = herd::member() {
        match member.role() {
            "service" => block_on(service::run(&member))?,
            _ => block_on(load::run(&member))?,
        }
        return Ok(ExitCode::SUCCESS);
    }

    let (mut seconds, mut out) = (20, PathBuf::from("service.svg"));
    let mut args = env::args_os().skip(1);
    while let Some(name) = args.next() {
        match (name.to_str(), args.next()) {
            (Some("--seconds"), Some(value)) => seconds = value.to_string_lossy().parse()?,
            (Some("--out"), Some(value)) => out = value.into(),
            _ => return Err("usage: service [--seconds N] [--out FILE.svg]".into()),
        }
    }
    if !Server::is_here() {
        println!("There is no redis-server here: apt-get install redis-server");
        return Ok(match env::var_os("CI") {
            Some(_) => ExitCode::FAILURE,
            None => ExitCode::SUCCESS,
        });
    }

    let run = stage::run(Duration::from_secs(seconds))?;
    print!("{}", report::table(&run));
    let verdicts = report::verdicts(&run);
    print!("{verdicts}");
    let drawing = chart::draw(&run).map_err(|error| error.to_string())?;
    std::fs::write(&out, drawing)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    println!("\nDrawing: {}", out.display());
    Ok(verdicts.exit_code())
}
