//! An axum service whose handlers share one pile for a slow upstream, and a load loop against it.
//!
//! ```text
//! cargo run --release --example axum
//! ```
//!
//! Three things run in this process, on one tokio runtime, and speak HTTP over loopback: an
//! upstream that takes 120 ms to tell the rates; the service, which answers from its pile; and 64
//! clients, each on a connection of its own, that ask the service over and over. Eight of them are
//! impatient: they hang up after 20 ms and come again, and axum drops the handler in mid-await.
//!
//! Twice, for three seconds each:
//!
//! - `/direct` asks the upstream for every request.
//! - `/rates` asks the pile: [`Dogpile::background`], with a wait limit of 100 ms, so shorter than
//!   the upstream takes. Who finds the rates stale is answered with those, and they are renewed
//!   behind his back; who comes before there are any is told to come again (503) after 100 ms, but
//!   the request to the upstream goes on, and the next one is answered.
//!
//! # How to read the output
//!
//! A row for each way: requests to the upstream, how many of them at once, answers, 503s, hung up
//! connections, and the time from request to answer. Then a line for each thing that should hold,
//! with PASS or FAIL; if one fails the exit code is 1. The only bound on a time is a loose one: with
//! the pile 99 of 100 answers come in less than the upstream takes for one.

mod client;

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use dogpile::executor::Tokio;
use dogpile::{Dogpile, Error};
use hdrhistogram::Histogram;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::Client;

type Result<T> = std::result::Result<T, Box<dyn StdError + Send + Sync>>;

/// How long the upstream takes, how long the service waits, how long an impatient client does.
const UPSTREAM: Duration = Duration::from_millis(120);
const PATIENCE: Duration = Duration::from_millis(100);
const IMPATIENCE: Duration = Duration::from_millis(20);

/// How long the rates are fresh, and how long they may be served stale after that.
const TTL: Duration = Duration::from_millis(400);
const STALE: Duration = Duration::from_secs(60);

const RUN: Duration = Duration::from_secs(3);
const CLIENTS: usize = 64;
const IMPATIENT: usize = 8;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// What the upstream saw.
#[derive(Default)]
struct Upstream {
    calls: AtomicUsize,
    now: AtomicUsize,
    at_once: AtomicUsize,
}

/// Leaves the upstream, also when the request is dropped.
struct Leave<'a>(&'a Upstream);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn tell_rates(State(upstream): State<Arc<Upstream>>) -> String {
    let number = upstream.calls.fetch_add(1, Ordering::SeqCst);
    let now = upstream.now.fetch_add(1, Ordering::SeqCst) + 1;
    upstream.at_once.fetch_max(now, Ordering::SeqCst);
    let _leave = Leave(&upstream);
    sleep(UPSTREAM).await;
    format!("USD 1.0842 of fetch {number}")
}

/// What the handlers share.
#[derive(Clone)]
struct Service {
    upstream: SocketAddr,
    rates: Arc<Dogpile<String>>,
}

/// The rates, or a status and why.
type Answer = std::result::Result<String, (StatusCode, String)>;

async fn direct(State(service): State<Service>) -> Answer {
    let rates = fetch(service.upstream).await;
    rates.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

async fn rates(State(service): State<Service>) -> Answer {
    let upstream = service.upstream;
    let calls = service.rates.background(&Tokio).wait(PATIENCE);
    let rates = calls.get_or_try_create_async(move || fetch(upstream));
    match rates.await {
        Ok(rates) => Ok(rates.clone()),
        Err(error @ Error::TimedOut { .. }) => {
            Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(error) => Err((StatusCode::BAD_GATEWAY, error.to_string())),
    }
}

/// One request to the upstream.
async fn fetch(upstream: SocketAddr) -> io::Result<String> {
    let answer = Client::connect(upstream).await?.get("/", "").await?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(io::Error::other(format!("the upstream answers {status}"))),
    }
}

/// Serves until the program ends.
async fn serve(routes: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// What the clients saw.
struct Seen {
    answers: Histogram<u64>,
    come_again: usize,
    late_come_again: usize,
    hung_up: usize,
}

impl Seen {
    fn new() -> Self {
        Self {
            answers: Histogram::new(3).expect("three digits are a valid precision"),
            come_again: 0,
            late_come_again: 0,
            hung_up: 0,
        }
    }

    fn add(&mut self, other: &Seen) {
        self.answers
            .add(&other.answers)
            .expect("histograms grow as needed");
        self.come_again += other.come_again;
        self.late_come_again += other.late_come_again;
        self.hung_up += other.hung_up;
    }
}

/// One client, until the end of the run.
async fn ask(service: SocketAddr, path: &str, impatient: bool, begin: Instant) -> io::Result<Seen> {
    let limit = if impatient {
        IMPATIENCE
    } else {
        Duration::from_secs(10)
    };
    let mut seen = Seen::new();
    let mut client = Client::connect(service).await?;
    while begin.elapsed() < RUN {
        let asked = Instant::now();
        match timeout(limit, client.get(path, "")).await {
            Ok(answer) => match answer.map(|answer| (answer.status, answer.body))? {
                (200, body) if body.starts_with("USD ") => {
                    let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                    seen.answers.record(micros).map_err(io::Error::other)?;
                }
                (503, _) => {
                    seen.come_again += 1;
                    // Whoever asked when the first fetch was long over.
                    if asked.duration_since(begin) > UPSTREAM * 5 {
                        seen.late_come_again += 1;
                    }
                }
                (status, body) => return Err(io::Error::other(format!("{status}: {body}"))),
            },
            Err(_) => {
                seen.hung_up += 1;
                client = Client::connect(service).await?;
            }
        }
        sleep(PAUSE).await;
    }
    Ok(seen)
}

/// What one way came to.
struct Load {
    calls: usize,
    at_once: usize,
    seen: Seen,
}

/// The load loop against one path.
async fn run(path: &'static str) -> Result<Load> {
    let upstream = Arc::new(Upstream::default());
    let routes = Router::new().route("/", get(tell_rates));
    let service = Service {
        upstream: serve(routes.with_state(Arc::clone(&upstream))).await?,
        rates: Arc::new(Dogpile::builder(TTL).stale_while_revalidate(STALE).build()),
    };
    let routes = Router::new()
        .route("/direct", get(direct))
        .route("/rates", get(rates));
    let address = serve(routes.with_state(service)).await?;

    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(ask(address, path, number < IMPATIENT, begin));
    }
    let mut seen = Seen::new();
    while let Some(client) = clients.join_next().await {
        seen.add(&client??);
    }
    Ok(Load {
        calls: upstream.calls.load(Ordering::SeqCst),
        at_once: upstream.at_once.load(Ordering::SeqCst),
        seen,
    })
}

fn row(name: &str, result: &Load) {
    let at = |quantile| result.seen.answers.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{name:<9}{:>9}{:>9}{:>9}{:>6}{:>9}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        result.calls,
        result.at_once,
        result.seen.answers.len(),
        result.seen.come_again,
        result.seen.hung_up,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (direct, pile) =
        runtime.block_on(async { Result::Ok((run("/direct").await?, run("/rates").await?)) })?;

    println!(
        "{:<9}{:>9}{:>9}{:>9}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "fetches", "at once", "answers", "503", "hung up", "p50 ms", "p99 ms", "p99.9", "worst"
    );
    row("direct", &direct);
    row("Dogpile", &pile);
    println!();

    // The first value comes after one fetch; then one fetch a time to live, each begun when
    // somebody finds the value stale.
    let most = (RUN.as_millis() / TTL.as_millis()) as usize + 2;
    let p99 = Duration::from_micros(pile.seen.answers.value_at_quantile(0.99));
    let checks = [
        (
            pile.at_once == 1,
            format!("one fetch at a time: {}", pile.at_once),
        ),
        (
            (2..=most).contains(&pile.calls),
            format!("one fetch a time to live, {most} at most: {}", pile.calls),
        ),
        (
            pile.seen.come_again <= 4 * CLIENTS && pile.seen.late_come_again == 0,
            format!(
                "nobody told to come again once there were rates: {} before, {} after",
                pile.seen.come_again - pile.seen.late_come_again,
                pile.seen.late_come_again
            ),
        ),
        (
            p99 < UPSTREAM,
            format!("p99 below the time of one fetch: {p99:?}"),
        ),
        (
            pile.seen.answers.len() > direct.seen.answers.len(),
            "more answers than without".to_owned(),
        ),
    ];
    for (holds, what) in &checks {
        println!("{} {what}", if *holds { "PASS" } else { "FAIL" });
    }
    Ok(if checks.iter().all(|(holds, _)| *holds) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
