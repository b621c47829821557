//! The issuer: it signs tokens, and publishes the keys to check them with. It can be made to fail.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long the issuer says that its keys may be kept.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(3600);

/// How the issuer fares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Up,
    /// It answers with an error.
    Down,
    /// It answers with an error, and asks to be left alone for so many seconds.
    Busy(u32),
    /// It takes requests, and answers when this is over.
    Slow,
}

pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    state: Arc<Published>,
}

struct Published {
    ids: Mutex<Vec<String>>,
    mood: watch::Sender<Mood>,
    fetches: AtomicU32,
}

/// The key with this id. Whoever knows the id knows the key: do not do this at home.
fn signing_key(id: &str) -> SigningKey {
    let mut seed = [0; 32];
    seed[..id.len()].copy_from_slice(id.as_bytes());
    SigningKey::from_bytes(&seed)
}

async fn jwks(State(state): State<Arc<Published>>) -> Response {
    state.fetches.fetch_add(1, Ordering::SeqCst);
    let mut mood = state.mood.subscribe();
    let mood = match mood.wait_for(|mood| *mood != Mood::Slow).await {
        Ok(mood) => *mood,
        Err(_) => Mood::Down,
    };
    match mood {
        Mood::Up => {
            let ids = state.ids.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = ids.iter().map(|id| {
                let x =
                    Base64UrlUnpadded::encode_string(signing_key(id).verifying_key().as_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x})
            });
            // A set may have keys of kinds that not everybody knows.
            let other = json!({"kty": "RSA", "use": "sig", "kid": "rsa", "n": "AQAB", "e": "AQAB"});
            let keys: Vec<_> = keys.chain([other]).collect();
            let max_age = format!("public, max-age={}", MAX_AGE.as_secs());
            let headers = [(header::CACHE_CONTROL, max_age)];
            (headers, json!({ "keys": keys }).to_string()).into_response()
        }
        Mood::Down | Mood::Slow => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Busy(seconds) => {
            let headers = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
        }
    }
}

impl Issuer {
    /// With one key.
    pub(crate) async fn start(key_id: &str) -> io::Result<Self> {
        let state = Arc::new(Published {
            ids: Mutex::new(vec![key_id.to_owned()]),
            mood: watch::Sender::new(Mood::Up),
            fetches: AtomicU32::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/jwks.json", get(jwks));
        let routes = routes.with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { address, state })
    }

    /// Has a new key from here on, beside those it had.
    pub(crate) fn publish(&self, key_id: &str) {
        let ids = self.state.ids.lock();
        ids.unwrap_or_else(PoisonError::into_inner)
            .push(key_id.to_owned());
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        self.state.mood.send_replace(mood);
    }

    /// How often somebody asked for the keys.
    pub(crate) fn fetches(&self) -> u32 {
        self.state.fetches.load(Ordering::SeqCst)
    }
}

/// A token that names one key and is signed with another, or with the same.
pub(crate) fn token(names: &str, signed_with: &str, audience: &str, lifetime: i64) -> String {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |now| now.as_secs());
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": names});
    let claims = json!({
        "iss": crate::ISSUER,
        "aud": audience,
        "sub": "Ada",
        "exp": now.saturating_add_signed(lifetime),
    });
    let [header, claims] =
        [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
    let signed = format!("{header}.{claims}");
    let signature = signing_key(signed_with).sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
}
