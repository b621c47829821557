//! The slow upstream, which all services ask: it runs in the process that started the others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::record::Record;
use crate::{SERVICES, Way};

/// How long it takes for an answer.
const FETCH: Duration = Duration::from_millis(100);

/// What it saw of the services.
pub(crate) struct Upstream {
    record: Arc<Record>,
    numbers: [AtomicU64; 2],
    /// Fetches of the fleet, in each service and under leases.
    services: [AtOnce; SERVICES],
    leased: AtOnce,
}

/// What it answers: the how manieth fetch this is, and when it began.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) number: u64,
    /// In microseconds since 1970.
    began: u64,
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_micros() as u64
}

impl Rates {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, began) = text.split_once(' ')?;
        Some(Self {
            number: number.parse().ok()?,
            began: began.parse().ok()?,
        })
    }

    /// Since the fetch began.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(micros().saturating_sub(self.began))
    }
}

/// How many run now, the most there were, and how many there were in all.
#[derive(Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
    ever: AtomicUsize,
}

impl AtOnce {
    fn enter(&self) -> Leave<'_> {
        self.ever.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Leave(&self.now)
    }
}

/// Leaves the upstream, also when the request is dropped.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream {
    /// Serves until the runtime ends.
    pub(crate) async fn serve(record: Arc<Record>) -> io::Result<(Arc<Self>, SocketAddr)> {
        let upstream = Arc::new(Self {
            record,
            numbers: Default::default(),
            services: Default::default(),
            leased: AtOnce::default(),
        });
        let routes = Router::new()
            .route("/{way}/{service}/{lease}", get(tell))
            .with_state(Arc::clone(&upstream));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok((upstream, address))
    }

    /// How often this way asked so far.
    pub(crate) fn fetches(&self, way: Way) -> u64 {
        self.numbers[way as usize].load(Ordering::SeqCst)
    }

    /// Fetches under a lease, so far.
    pub(crate) fn leased(&self) -> usize {
        self.leased.ever.load(Ordering::SeqCst)
    }

    /// The most of these at once.
    pub(crate) fn most_leased(&self) -> usize {
        self.leased.most.load(Ordering::SeqCst)
    }

    /// The most fetches of the fleet that one service had at once.
    pub(crate) fn most_of_one(&self) -> usize {
        let services = self.services.iter();
        let most = services.map(|service| service.most.load(Ordering::SeqCst));
        most.max().unwrap_or(0)
    }
}

/// What a fetch says of itself.
pub(crate) const LEASED: &str = "leased";
pub(crate) const ALONE: &str = "alone";

async fn tell(
    State(upstream): State<Arc<Upstream>>,
    Path((way, service, lease)): Path<(String, usize, String)>,
) -> Result<String, StatusCode> {
    let way = Way::named(&way).ok_or(StatusCode::NOT_FOUND)?;
    let at = upstream
        .services
        .get(service)
        .ok_or(StatusCode::NOT_FOUND)?;
    let leased = lease == LEASED;
    let began = micros();
    let number = upstream.numbers[way as usize].fetch_add(1, Ordering::SeqCst) + 1;
    upstream.record.now(way, |slice| {
        slice.fetches += 1;
        slice.alone += u64::from(way == Way::Fleet && !leased);
    });
    let _in_service = (way == Way::Fleet).then(|| at.enter());
    let _under_lease = leased.then(|| upstream.leased.enter());
    sleep(FETCH).await;
    Ok(format!("{number} {began}"))
}
