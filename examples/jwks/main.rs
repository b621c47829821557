//! A service that checks signed tokens with keys that it fetches from their issuer, and what befalls it.
//!
//! ```text
//! cargo run --release --example jwks
//! ```
//!
//! The issuer publishes its keys as a JWK set. The service, in axum, fetches them, and finds the key of
//! each token by its id. Such a service has to do more than fetch: it must not fetch for each forged key
//! id, but has to learn of a new key soon; it must go on while the issuer is down, yet not for ever, and
//! not ask it all the time; nobody should wait when keys are renewed; all of it has to be seen from outside;
//! a program that ends lets fetches finish. Here all of that is in the settings of one pile, in
//! `verifier.rs`, in the executor to which it gives its fetches, in `jobs.rs`, and in what it tells of
//! itself, in `metrics.rs`.
//!
//! Everything runs in this process and speaks HTTP over loopback: the issuer, the service, its clients.
//! The clock of the pile is moved by hand, so that two days pass in a few seconds. The dates in tokens
//! go by the real time.
//!
//! # How to read the output
//!
//! What happens, in order. Below it, a line for each thing that should hold, with PASS or FAIL; if one
//! fails, the exit code is 1.

#[path = "../axum/client.rs"]
mod client;
mod issuer;
mod jobs;
mod metrics;
mod service;
mod token;
mod verifier;

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dogpile::ManualClock;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Answer, Client};
use crate::issuer::{Issuer, MAX_AGE, Mood, token};
use crate::jobs::Jobs;
use crate::service::Service;
use crate::verifier::{INTERVAL, MOST, TRUST, Verifier};

type Result<T> = std::result::Result<T, Box<dyn StdError + Send + Sync>>;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "greetings";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What there is, and what was found.
struct Story {
    clock: Arc<ManualClock>,
    issuer: Issuer,
    verifier: Arc<Verifier>,
    client: Client,
    good: String,
    holds: bool,
}

impl Story {
    /// The answer to somebody who bears this token.
    async fn ask(&mut self, token: &str) -> io::Result<Answer> {
        let header = format!("authorization: Bearer {token}\r\n");
        self.client.get("/", &header).await
    }

    /// One of the service's metrics.
    async fn metric(&mut self, name: &str) -> Result<f64> {
        let text = self.client.get("/metrics", "").await?.body;
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.ok_or_else(|| format!("no {name} in {text}").into())
    }

    async fn status(&mut self, token: &str) -> io::Result<u16> {
        Ok(self.ask(token).await?.status)
    }

    /// Time goes by, in steps. At each of them somebody comes with a good token, and `forgers` with key
    /// ids that do not exist. What comes of it is counted.
    async fn passes(&mut self, time: Duration, step: Duration, forgers: u32) -> io::Result<Passed> {
        let mut passed = Passed::default();
        let (good, fetches) = (self.good.clone(), self.issuer.fetches());
        for number in 0..time.div_duration_f64(step) as u32 {
            self.clock.advance(step);
            passed.good_refused += u32::from(self.status(&good).await? != 200);
            for forger in 0..forgers {
                let id = format!("made-up-{number}-{forger}");
                let status = self.status(&token(&id, "forger", AUDIENCE, 60)).await?;
                passed.forged_accepted += u32::from(status == 200);
                passed.forged_answers[usize::from(status == 401)] += 1;
            }
            settled(&self.verifier).await;
        }
        passed.fetches = self.issuer.fetches() - fetches;
        Ok(passed)
    }

    fn check(&mut self, holds: bool, what: String) {
        self.holds &= holds;
        println!("  {} {what}", if holds { "PASS" } else { "FAIL" });
    }
}

#[derive(Default)]
struct Passed {
    good_refused: u32,
    forged_accepted: u32,
    /// With any other status, and with 401.
    forged_answers: [u32; 2],
    fetches: u32,
}

async fn story() -> Result<bool> {
    let clock = Arc::new(ManualClock::new());
    let issuer = Issuer::start("autumn").await?;
    let verifier = Verifier::new(issuer.address, Jobs::new(), clock.clone());
    let verifier = Arc::new(verifier);
    let service = Service::start(Arc::clone(&verifier)).await?;
    let mut story = Story {
        clock,
        issuer,
        verifier,
        client: Client::connect(service.address).await?,
        good: token("autumn", "autumn", AUDIENCE, 3600),
        holds: true,
    };

    println!("The service starts, and 50 clients come at once. There are no keys yet.");
    let welcome = crowd(service.address, 50, &story.good).await?;
    let fetches = story.issuer.fetches();
    story.check(
        (welcome, fetches) == (50, 1),
        format!("{welcome} were answered, of {fetches} fetch"),
    );

    println!("Tokens come that are no good.");
    let mut refused = 0;
    let bad = [
        token("autumn", "forger", AUDIENCE, 3600),
        token("autumn", "autumn", "something else", 3600),
        token("autumn", "autumn", AUDIENCE, -1),
        story.good.replace('.', "!"),
        String::new(),
    ];
    for token in &bad {
        refused += usize::from(story.status(token).await? == 401);
    }
    let fetches = story.issuer.fetches();
    story.check(
        (refused, fetches) == (bad.len(), 1),
        format!(
            "wrong signature, audience, date and form: {refused} of {} refused, and nothing was fetched",
            bad.len()
        ),
    );

    println!("Forgers make up key ids, ten a second for ten minutes.");
    let forged = story.passes(10 * MINUTE, SECOND, 10).await?;
    let most = (10 * MINUTE).div_duration_f64(INTERVAL) as u32 + 1;
    story.check(
        forged.fetches <= most && forged.forged_accepted == 0 && forged.good_refused == 0,
        format!(
            "{} fetches, at most {most} may be; {} of 6000 refused as forged, all good tokens accepted",
            forged.fetches, forged.forged_answers[1]
        ),
    );

    println!("The issuer has a new key, and signs with it at once.");
    story.issuer.publish("winter");
    let winter = token("winter", "winter", AUDIENCE, 3600);
    let mut seconds = 0;
    while story.status(&winter).await? != 200 && seconds < 60 {
        story.clock.advance(SECOND);
        seconds += 1;
    }
    story.check(
        Duration::from_secs(seconds) <= INTERVAL,
        format!("it is accepted after {seconds} s, the interval is {INTERVAL:?}"),
    );

    println!("Half a day goes by.");
    let (mut calm, mut fresh) = (Passed::default(), true);
    for _ in 0..12 * 60 {
        let minute = story.passes(MINUTE, MINUTE, 0).await?;
        calm.fetches += minute.fetches;
        calm.good_refused += minute.good_refused;
        fresh &= story.verifier.keys.is_fresh();
    }
    // Renewed after 70 to 80 percent of the hour that they are good for.
    let may_be = 12 * HOUR.as_secs() * 100 / MAX_AGE.as_secs();
    let may_be = may_be / 82..=may_be / 70 + 1;
    story.check(
        fresh && calm.good_refused == 0 && may_be.contains(&u64::from(calm.fetches)),
        format!(
            "the keys were always fresh, renewed behind the requests: {} fetches, {may_be:?} may be",
            calm.fetches
        ),
    );

    println!("The issuer is busy. It says: come again in ten minutes.");
    story.issuer.becomes(Mood::Busy(600));
    while story
        .verifier
        .keys
        .retry_in()
        .is_none_or(|retry_in| retry_in <= INTERVAL)
    {
        story.passes(MINUTE, MINUTE, 0).await?;
    }
    let busy = story.passes(9 * MINUTE, SECOND, 1).await?;
    story.check(
        busy.fetches == 0 && busy.good_refused == 0 && busy.forged_accepted == 0,
        "for nine minutes nobody asks it, whatever key ids are made up".to_owned(),
    );

    println!("Then it is down for six hours.");
    story.issuer.becomes(Mood::Down);
    let down = story.passes(6 * HOUR, 5 * SECOND, 1).await?;
    // A back-off of up to a minute is half a minute in the mean; the interval is 10 s.
    let most = (6 * HOUR).div_duration_f64(INTERVAL) as u32 / 2;
    story.check(
        down.good_refused == 0 && down.forged_accepted == 0 && (6..most).contains(&down.fetches),
        format!(
            "all good tokens accepted; {} fetches were tried, {most} would be too many; \"unknown key\" for {} forged ones, \"come again\" for {}",
            down.fetches, down.forged_answers[1], down.forged_answers[0]
        ),
    );

    let stale = story
        .metric(r#"dogpile_stale_seconds{pile="keys"}"#)
        .await?;
    story.check(
        stale > 5.0 * HOUR.as_secs_f64(),
        format!("no errors, but the metrics tell: old keys for {stale:.0} s"),
    );

    println!("It comes back.");
    story.issuer.becomes(Mood::Up);
    story.passes(MOST + INTERVAL, SECOND, 0).await?;
    let fresh = story.verifier.keys.is_fresh();
    story.check(
        fresh,
        format!("{:?} later the keys are fresh", MOST + INTERVAL),
    );

    println!("It is down for longer than old keys are trusted.");
    story.issuer.becomes(Mood::Down);
    let age = story.verifier.keys.age().unwrap_or_default();
    story.clock.advance(MAX_AGE + TRUST - age);
    let good = story.good.clone();
    let last = story.status(&good).await?;
    story.clock.advance(SECOND);
    let (none, again) = (story.ask(&good).await?, story.ask(&good).await?);
    story.check(
        (last, none.status, again.status) == (200, 503, 503)
            && again.header("retry-after").is_some(),
        format!(
            "accepted until the last second, then 503: come again in {} s",
            again.header("retry-after").unwrap_or("?")
        ),
    );
    story.issuer.becomes(Mood::Up);
    story.clock.advance(MOST + INTERVAL);
    let back = story.status(&good).await?;
    story.check(back == 200, "and accepted when it is back".to_owned());

    println!("What the metrics say of these days.");
    let creations = r#"dogpile_creations_total{pile="keys",end="#;
    let published = story.metric(&format!("{creations}\"published\"}}")).await?;
    let failed = story.metric(&format!("{creations}\"failed\"}}")).await?;
    let fetches = story.issuer.fetches();
    story.check(
        published + failed == f64::from(fetches),
        format!("{published} fetches brought keys, {failed} failed; the issuer saw {fetches}"),
    );

    println!("The service is to end while keys are being fetched.");
    story.issuer.becomes(Mood::Slow);
    let fetches = story.issuer.fetches();
    story.clock.advance(MAX_AGE);
    let during = story.status(&good).await?;
    while story.issuer.fetches() == fetches {
        tokio::task::yield_now().await;
    }
    let address = service.address;
    let ended = service.stop();
    while Client::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let waited = !ended.is_finished() && story.verifier.keys.is_creating();
    story.issuer.becomes(Mood::Up);
    ended.await??;
    let fresh = story.verifier.keys.is_fresh();
    story.check(
        during == 200 && waited && fresh,
        "nobody waits for that fetch but the end, and it succeeds".to_owned(),
    );
    Ok(story.holds)
}

/// So many clients at once, on a connection each. Says how many were welcome.
async fn crowd(service: SocketAddr, clients: usize, token: &str) -> Result<usize> {
    let header = format!("authorization: Bearer {token}\r\n");
    let mut crowd = JoinSet::new();
    for _ in 0..clients {
        let header = header.clone();
        crowd.spawn(async move { Client::connect(service).await?.get("/", &header).await });
    }
    let mut welcome = 0;
    while let Some(answer) = crowd.join_next().await {
        welcome += usize::from(answer??.body == "Hello Ada");
    }
    Ok(welcome)
}

/// Until no fetch runs.
async fn settled(verifier: &Verifier) {
    while verifier.keys.is_creating() {
        tokio::task::yield_now().await;
    }
}

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // It takes two seconds; one that fails must not wait for ever.
    let story = async { timeout(MINUTE, story()).await? };
    let holds = runtime.block_on(story)?;
    Ok(match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
