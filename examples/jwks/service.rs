//! The service: it answers those who bear a good token.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::metrics::metrics;
use crate::token::Claims;
use crate::verifier::{Refusal, Verifier};

/// A handler that asks for the claims runs for good tokens only.
impl FromRequestParts<Arc<Verifier>> for Claims {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        verifier: &Arc<Verifier>,
    ) -> Result<Self, Refusal> {
        let value = parts.headers.get(AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        verifier.verify(token.ok_or(Refusal::Unauthorized)?).await
    }
}

async fn greet(claims: Claims) -> String {
    format!("Hello {}", claims.sub)
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

impl Service {
    pub(crate) async fn start(verifier: Arc<Verifier>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/", get(greet));
        let routes = routes.route("/metrics", get(metrics));
        let routes = routes.with_state(Arc::clone(&verifier));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            // In real life the signal of the system: `tokio::signal::ctrl_c`.
            let stopped = async { drop(stopped.await) };
            let served = axum::serve(listener, routes).with_graceful_shutdown(stopped);
            served.await?;
            verifier.jobs.finish().await;
            Ok(())
        });
        Ok(Self {
            address,
            stop,
            ended,
        })
    }

    /// Lets requests and fetches finish, and begins none. The task ends when they have.
    pub(crate) fn stop(self) -> JoinHandle<io::Result<()>> {
        // A service that has ended already needs no telling.
        let _ = self.stop.send(());
        self.ended
    }
}
