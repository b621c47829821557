//! A process of the service: what its handlers do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use dogpile::Origin;
use dogpile_fleet::{Creation, FleetDogpile, FleetGuard};
use dogpile_redis::{AsyncRedisStore, Settings};
use herd::Member;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client as Redis, RedisResult};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::client::Client;
use crate::upstream::{ALONE, LEASED, Rates};
use crate::{Result, STALE, TTL, Way};

/// How long a service waits for the Redis.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How long a lease lasts, unless it is renewed. A Redis that goes on does what it was asked for while it was
/// stopped: it may grant a lease to somebody who has given up. Nobody creates until that lease ends.
const LEASE: Duration = Duration::from_secs(2);

struct Service {
    number: usize,
    upstream: SocketAddr,
    rates: FleetDogpile<String, AsyncRedisStore>,
    /// For the way without a fleet.
    redis: ConnectionManager,
    /// Fetches without a lease for which there was no need.
    needless: AtomicU64,
}

/// A value, and what a client wants to know of it.
pub(crate) type Answer = ([(&'static str, String); 4], String);

/// The names of the headers: the version in the fleet, whether the value is stale, its age when the
/// request was answered, and how long the answer took, both in microseconds.
pub(crate) const VERSION: &str = "x-version";
pub(crate) const IS_STALE: &str = "x-stale";
pub(crate) const AGE: &str = "x-age";
pub(crate) const TOOK: &str = "x-took";

fn answer(version: u64, stale: bool, age: Duration, asked: Instant, body: String) -> Answer {
    let headers = [
        (VERSION, version.to_string()),
        (IS_STALE, u8::from(stale).to_string()),
        (AGE, age.as_micros().to_string()),
        (TOOK, asked.elapsed().as_micros().to_string()),
    ];
    (headers, body)
}

type Answered = std::result::Result<Answer, (StatusCode, String)>;

fn failed(error: impl std::error::Error) -> (StatusCode, String) {
    let cause = error.source().map(|cause| format!(": {cause}"));
    let text = format!("{error}{}", cause.unwrap_or_default());
    (StatusCode::BAD_GATEWAY, text)
}

/// One creator among all processes, and the stale value for everybody else.
async fn fleet(State(service): State<Arc<Service>>) -> Answered {
    let asked = Instant::now();
    let rates = service.rates.get_or_try_create_async(|creation| {
        let lease = service.lease(&creation);
        service.fetch(Way::Fleet, lease)
    });
    let rates = rates.await.map_err(failed)?;
    let version = match FleetGuard::origin(&rates) {
        // Something came after it while it was made: for its own caller only.
        Origin::Superseded => 0,
        _ => FleetGuard::version(&rates).0,
    };
    let (stale, age) = (FleetGuard::is_stale(&rates), FleetGuard::age(&rates));
    Ok(answer(version, stale, age, asked, rates.clone()))
}

/// What many programs do: ask the Redis, else fetch, and put it there for a while.
async fn plain(State(service): State<Arc<Service>>) -> Answered {
    let asked = Instant::now();
    let found = service.look().await.ok().flatten();
    let rates = match found {
        Some(rates) => rates,
        None => {
            let rates = service.fetch(Way::Plain, ALONE).await.map_err(failed)?;
            // If that fails, the next one fetches too.
            let _ = service.keep(&rates).await;
            rates
        }
    };
    let age = Rates::parse(&rates).map_or(Duration::ZERO, |rates| rates.age());
    Ok(answer(0, false, age, asked, rates))
}

impl Service {
    /// One request to the upstream.
    async fn fetch(&self, way: Way, lease: &str) -> io::Result<String> {
        let path = format!("/{}/{}/{lease}", way.name(), self.number);
        let answer = Client::connect(self.upstream).await?.get(&path, "").await?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(io::Error::other(format!("the upstream answers {status}"))),
        }
    }

    /// Whether a creation has a lease. Without one, a service that has a usable value does not create.
    fn lease(&self, creation: &Creation<'_, String>) -> &'static str {
        if creation.fence().is_some() {
            return LEASED;
        }
        let previous = creation.previous();
        let previous = previous.and_then(|previous| Rates::parse(&previous));
        // Counted from the beginning of its fetch, so older than the fleet takes it for.
        if previous.is_some_and(|previous| previous.age() <= TTL + STALE) {
            self.needless.fetch_add(1, Ordering::SeqCst);
        }
        ALONE
    }

    async fn look(&self) -> RedisResult<Option<String>> {
        let mut redis = self.redis.clone();
        let mut get = redis::cmd("GET");
        get.arg("plain").query_async(&mut redis).await
    }

    async fn keep(&self, rates: &str) -> RedisResult<()> {
        let mut redis = self.redis.clone();
        let mut set = redis::cmd("SET");
        set.arg("plain").arg(rates).arg("PX");
        set.arg(TTL.as_millis() as u64).exec_async(&mut redis).await
    }
}

/// Serves until the parent says that it is over, and then says what it did.
pub(crate) async fn run(member: &Member) -> Result<()> {
    let redis = Redis::open(member.get::<String>("redis"))?;
    let settings = Settings::new().timeout(TIMEOUT);
    let store = Arc::new(AsyncRedisStore::with_client(redis.clone(), settings)?);
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT))
        .set_number_of_retries(0);
    let service = Arc::new(Service {
        number: member.number(),
        upstream: member.get("upstream"),
        rates: FleetDogpile::builder(store, "rates", TTL)
            .stale_while_revalidate(STALE)
            .lease(LEASE)
            .watched()
            .build(),
        redis: redis.get_connection_manager_lazy(config)?,
        needless: AtomicU64::new(0),
    });
    let routes = Router::new()
        .route("/fleet", get(fleet))
        .route("/plain", get(plain))
        .with_state(Arc::clone(&service));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    member.wait_at_the_gate();
    member.say(address);
    let end: PathBuf = member.get::<String>("end").into();
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    while !end.exists() {
        sleep(Duration::from_millis(50)).await;
    }
    serving.abort();
    let stats = service.rates.stats();
    member.say(format_args!(
        "leads={} stored={} refused={} store_errors={} needless={}",
        stats.leads,
        stats.stored,
        stats.superseded,
        stats.store_errors,
        service.needless.load(Ordering::SeqCst),
    ));
    Ok(())
}
