//! Checks tokens with the keys that the issuer publishes. All of it that has to do with fetching them,
//! at the right time and not too often, is in the settings of one pile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dogpile::observe::Tracing;
use dogpile::{Accept, Backoff, Clock, Created, Creating, Dogpile, Error, Guard, RefreshAhead};
use tokio::time::timeout;

use crate::client::Client;
use crate::jobs::Jobs;
use crate::token::{Claims, KeySet, Token};

/// How long the issuer may take to answer, and how long a request waits for that.
const TIME_OUT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a stranger can have the keys fetched, by a key id that he made up.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// How long keys are trusted that cannot be renewed: as long as we dare not to know that one of them
/// was withdrawn.
pub(crate) const TRUST: Duration = Duration::from_secs(24 * 3600);

/// After the first failure, and after many.
const FIRST: Duration = Duration::from_secs(1);
pub(crate) const MOST: Duration = Duration::from_secs(60);

pub(crate) struct Verifier {
    pub(crate) keys: Arc<Dogpile<KeySet>>,
    pub(crate) jobs: Jobs,
    issuer: SocketAddr,
}

/// Why no keys came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the issuer cannot be reached")]
    Unreachable(#[from] std::io::Error),
    #[error("the issuer does not answer")]
    NoAnswer(#[from] tokio::time::error::Elapsed),
    #[error("the issuer answers with status {0}")]
    Status(u16),
    #[error("the issuer's key set cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("the issuer's key set has no key that this service can use")]
    NoKeys,
}

/// Why a request gets no answer.
pub(crate) enum Refusal {
    /// The token is missing or no good, or names a key that does not exist.
    Unauthorized,
    /// It cannot be known now: there are no keys.
    Unavailable { retry_in: Duration },
}

impl Verifier {
    pub(crate) fn new(issuer: SocketAddr, jobs: Jobs, clock: Arc<dyn Clock>) -> Self {
        // Unless the issuer says how long they are good for.
        let keys = Dogpile::builder(Duration::from_secs(600))
            .stale_while_revalidate(Duration::from_secs(600))
            .stale_if_error(TRUST)
            .refresh_ahead(RefreshAhead::percent(80).jitter(10))
            .backoff(Backoff::exponential(FIRST, MOST))
            .min_interval(INTERVAL)
            // A span for each fetch, if the program has a subscriber. And what is counted: `metrics.rs`.
            .observer(Arc::new(Tracing))
            .clock(clock);
        Self {
            keys: Arc::new(keys.build()),
            jobs,
            issuer,
        }
    }

    /// Who bears this token.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let token = Token::parse(token).ok_or(Refusal::Unauthorized)?;
        let keys = self.keys(Accept::Stale).await?;
        if let Some(key) = keys.get(token.key_id()) {
            return Self::check(&token, key);
        }
        // New keys may have been published. Or somebody makes up key ids: therefore the old keys are
        // not marked as expired, and within the interval nobody fetches.
        let newer = Accept::NewerThan(Guard::seen(&keys));
        match self.keys(newer).await {
            Ok(keys) => match keys.get(token.key_id()) {
                Some(key) => Self::check(&token, key),
                None => Err(Refusal::Unauthorized),
            },
            Err(error) if error.is_backing_off() => Err(Refusal::Unauthorized),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys. They are fetched by a job that goes on if the request is cancelled.
    async fn keys(&self, accept: Accept) -> Result<Guard<'_, KeySet>, Error<FetchError>> {
        let issuer = self.issuer;
        let call = self
            .keys
            .background(&self.jobs)
            .wait(PATIENCE)
            .accept(accept);
        call.get_or_try_create_with_async(move |creating| fetch(issuer, creating))
            .await
    }

    fn check(token: &Token<'_>, key: &ed25519_dalek::VerifyingKey) -> Result<Claims, Refusal> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::MAX);
        let claims = token.verify(key, crate::ISSUER, crate::AUDIENCE, now.as_secs());
        claims.ok_or(Refusal::Unauthorized)
    }
}

/// One request to the issuer. What it says of times is passed on to the pile.
async fn fetch(
    issuer: SocketAddr,
    creating: Creating<'static, KeySet>,
) -> Result<Created<KeySet>, FetchError> {
    let answer = timeout(TIME_OUT, async {
        Client::connect(issuer).await?.get("/jwks.json", "").await
    });
    let answer = answer.await??;
    if answer.status != 200 {
        let retry_after = answer
            .header("retry-after")
            .and_then(|after| after.parse().ok());
        if let Some(seconds) = retry_after {
            creating.retry_after(Duration::from_secs(seconds));
        }
        return Err(FetchError::Status(answer.status));
    }
    let keys = KeySet::parse(&answer.body)?;
    if keys.is_empty() {
        return Err(FetchError::NoKeys);
    }
    let max_age = answer.header("cache-control").and_then(|control| {
        let mut directives = control.split(',');
        directives.find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())
    });
    let created = Created::new(keys);
    Ok(match max_age {
        Some(seconds) => created.ttl(Duration::from_secs(seconds)),
        None => created,
    })
}

impl From<Error<FetchError>> for Refusal {
    fn from(error: Error<FetchError>) -> Self {
        let retry_in = match error {
            Error::BackingOff { retry_in, .. } => retry_in,
            _ => FIRST,
        };
        Refusal::Unavailable { retry_in }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Unauthorized => {
                let how = (header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#);
                (StatusCode::UNAUTHORIZED, [how]).into_response()
            }
            Refusal::Unavailable { retry_in } => {
                let seconds = retry_in.as_secs_f64().ceil().to_string();
                let when = (header::RETRY_AFTER, seconds);
                (StatusCode::SERVICE_UNAVAILABLE, [when]).into_response()
            }
        }
    }
}
