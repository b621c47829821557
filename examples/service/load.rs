//! The process that asks the services, and looks at what they answer.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use herd::Member;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Answer, Client};
use crate::record::Slice;
use crate::service::{AGE, IS_STALE, TOOK, VERSION};
use crate::upstream::Rates;
use crate::{Result, SERVICES, STALE, TTL, Way};

/// Connections to each service, of each way.
const CLIENTS: usize = 4;
/// Between two requests on a connection.
const PAUSE: Duration = Duration::from_millis(20);
/// A service that answers later than this does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the parent is told: many times in a slice, so that all slices are told of alike.
const TELL: Duration = Duration::from_millis(25);

/// What came since the parent was told last.
#[derive(Default)]
struct Seen {
    slices: [Slice; 2],
    /// Of each service, the newest fetch that it has through the fleet.
    newest: [u64; SERVICES],
    error: Option<String>,
}

struct Load {
    end: PathBuf,
    seen: Mutex<Seen>,
}

impl Load {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One client, on a connection of its own.
    async fn ask(self: Arc<Self>, way: Way, number: usize, service: SocketAddr) {
        let path = format!("/{}", way.name());
        let (mut client, mut before) = (None, Before::default());
        while !self.end.exists() {
            let answer = timeout(PATIENCE, one(&mut client, service, &path)).await;
            let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match answer.and_then(|answer| Came::read(&answer)) {
                Ok(came) => self.came(way, number, &came, &mut before),
                Err(error) => {
                    client = None;
                    let mut seen = self.seen();
                    seen.slices[way as usize].errors += 1;
                    seen.error.get_or_insert(format!("{path}: {error}"));
                }
            }
            sleep(PAUSE).await;
        }
    }

    fn came(&self, way: Way, number: usize, came: &Came, before: &mut Before) {
        let mut seen = self.seen();
        let slice = &mut seen.slices[way as usize];
        slice.answers += 1;
        slice.stale += u64::from(came.stale);
        slice.oldest = slice.oldest.max(came.age.as_micros() as u64);
        slice.slowest = slice.slowest.max(came.took.as_micros() as u64);
        slice.back += u64::from(came.fetch < before.fetch);
        before.fetch = before.fetch.max(came.fetch);
        if way == Way::Plain {
            return;
        }
        // It may have reached its end while this request waited for the Redis.
        slice.too_old += u64::from(came.age.saturating_sub(came.took) > TTL + STALE);
        if came.version > 0 {
            let back = came.version < before.version || came.fetch < before.shared_fetch;
            slice.shared_back += u64::from(back);
            before.version = before.version.max(came.version);
            before.shared_fetch = before.shared_fetch.max(came.fetch);
            seen.newest[number] = seen.newest[number].max(came.fetch);
        }
    }
}

/// The newest that a client has seen.
#[derive(Default)]
struct Before {
    fetch: u64,
    /// Of what the whole fleet shares.
    version: u64,
    shared_fetch: u64,
}

async fn one(client: &mut Option<Client>, service: SocketAddr, path: &str) -> io::Result<Answer> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::connect(service).await?),
    };
    client.get(path, "").await
}

/// What a service said.
struct Came {
    fetch: u64,
    /// 0: the fleet does not know it.
    version: u64,
    stale: bool,
    age: Duration,
    took: Duration,
}

impl Came {
    fn read(answer: &Answer) -> io::Result<Self> {
        if answer.status != 200 {
            return Err(io::Error::other(format!(
                "{}: {}",
                answer.status, answer.body
            )));
        }
        let number = |name| {
            let number = answer
                .header(name)
                .and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| io::Error::other(format!("an answer without {name}")))
        };
        let rates = Rates::parse(&answer.body)
            .ok_or_else(|| io::Error::other(format!("no rates: {}", answer.body)))?;
        Ok(Self {
            fetch: rates.number,
            version: number(VERSION)?,
            stale: number(IS_STALE)? == 1,
            age: Duration::from_micros(number(AGE)?),
            took: Duration::from_micros(number(TOOK)?),
        })
    }
}

/// Asks until the parent says that it is over.
pub(crate) async fn run(member: &Member) -> Result<()> {
    let load = Arc::new(Load {
        end: member.get::<String>("end").into(),
        seen: Mutex::default(),
    });
    let services: Vec<SocketAddr> = member
        .get::<String>("services")
        .split(',')
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    member.wait_at_the_gate();
    let mut clients = JoinSet::new();
    for (number, service) in services.iter().enumerate() {
        for way in Way::ALL {
            for _ in 0..CLIENTS {
                clients.spawn(Arc::clone(&load).ask(way, number, *service));
            }
        }
    }
    while !load.end.exists() {
        sleep(TELL).await;
        tell(member, &load);
    }
    while let Some(client) = clients.join_next().await {
        client?;
    }
    tell(member, &load);
    Ok(())
}

fn tell(member: &Member, load: &Load) {
    let newest = load.seen().newest;
    let seen = std::mem::replace(
        &mut *load.seen(),
        Seen {
            newest,
            ..Seen::default()
        },
    );
    for way in Way::ALL {
        member.say(Told(way, seen.slices[way as usize], newest));
    }
    if let Some(error) = seen.error {
        member.say(format_args!("error {error}"));
    }
}

/// A line to the parent: what came of a way, and the newest fetch of each service.
pub(crate) struct Told(pub(crate) Way, pub(crate) Slice, pub(crate) [u64; SERVICES]);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(way, slice, newest) = self;
        write!(
            f,
            "{} {} {} {} {} {} {} {} {}",
            way.name(),
            slice.answers,
            slice.stale,
            slice.errors,
            slice.back,
            slice.shared_back,
            slice.too_old,
            slice.oldest,
            slice.slowest,
        )?;
        newest.iter().try_for_each(|newest| write!(f, " {newest}"))
    }
}

impl Told {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (way, numbers) = line.split_once(' ')?;
        let way = Way::named(way)?;
        let numbers = numbers.split(' ').map(str::parse);
        let numbers: Vec<u64> = numbers.collect::<std::result::Result<_, _>>().ok()?;
        let [
            answers,
            stale,
            errors,
            back,
            shared_back,
            too_old,
            oldest,
            slowest,
            newest @ ..,
        ] = &numbers[..]
        else {
            return None;
        };
        let slice = Slice {
            answers: *answers,
            stale: *stale,
            errors: *errors,
            back: *back,
            shared_back: *shared_back,
            too_old: *too_old,
            oldest: *oldest,
            slowest: *slowest,
            ..Slice::default()
        };
        Some(Self(way, slice, newest.try_into().ok()?))
    }
}
