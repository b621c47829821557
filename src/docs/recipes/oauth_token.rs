//! Hold an OAuth access token: renewed before it ends, replaced when a server refuses it.
//!
//! The answer of the authorization server says how long the token lives. The value is fresh for that
//! time less a leeway. A token that lives for less than twice the leeway is fresh for half of its life: without such a
//! floor, every call would ask for a token.
//!
//! Many servers issue refresh tokens that are valid once. The new refresh token comes with the new access token, so
//! the two are one value, and a creator reads the old one with [`Creating::previous`].
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Accept, Backoff, Created, Creating, Dogpile, Error, Guard};
//!
//! const LEEWAY: Duration = Duration::from_secs(60);
//!
//! struct Token {
//!     access: String,
//!     refresh: String, // valid once
//! }
//!
//! struct Client {
//!     token: Dogpile<Token>,
//!     server: Server,
//! }
//!
//! impl Client {
//!     fn new(server: Server) -> Self {
//!         let token = Dogpile::builder(LEEWAY) // each answer says its own
//!             .stale_while_revalidate(Duration::ZERO) // as does the rest of its life
//!             .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)))
//!             .build();
//!         Self { token, server }
//!     }
//!
//!     /// Calls the API. Once more with a newer token, if the server refuses this one.
//!     fn get(&self, path: &str) -> Result<String, Error<SignInError>> {
//!         let token = self.token.get_or_try_create_with(|creating| self.renew(&creating))?;
//!         if let Ok(answer) = self.server.get(path, &token.access) {
//!             return Ok(answer);
//!         }
//!         let seen = Guard::seen(&token);
//!         self.token.expire_if(seen); // Never `invalidate`: that takes the refresh token away.
//!         let newer = self.token.call().accept(Accept::NewerThan(seen));
//!         let newer = newer.wait(Duration::from_secs(10));
//!         let token = newer.get_or_try_create_with(|creating| self.renew(&creating))?;
//!         Ok(self.server.get(path, &token.access).unwrap_or_else(|status| status.to_string()))
//!     }
//!
//!     fn renew(&self, creating: &Creating<'_, Token>) -> Result<Created<Token>, SignInError> {
//!         let (token, lives) = match creating.previous() {
//!             Some(previous) => self.server.refresh(&previous.refresh)?,
//!             None => self.server.sign_in()?,
//!         };
//!         let fresh = lives.saturating_sub(LEEWAY).max(lives / 2);
//!         Ok(Created::new(token).ttl(fresh).stale_while_revalidate(lives - fresh))
//!     }
//! }
//! # use std::cell::Cell;
//! # #[derive(Debug)]
//! # struct SignInError;
//! # struct Server { valid: Cell<u32>, sign_ins: Cell<u32>, revoked: Cell<u32> }
//! # impl Server {
//! #     fn next(&self) -> (Token, Duration) {
//! #         self.valid.set(self.valid.get() + 1);
//! #         let number = self.valid.get().to_string();
//! #         (Token { access: number.clone(), refresh: number }, Duration::from_secs(30))
//! #     }
//! #     fn sign_in(&self) -> Result<(Token, Duration), SignInError> {
//! #         self.sign_ins.set(self.sign_ins.get() + 1);
//! #         Ok(self.next())
//! #     }
//! #     fn refresh(&self, token: &str) -> Result<(Token, Duration), SignInError> {
//! #         if token.parse() == Ok(self.valid.get()) { Ok(self.next()) } else { Err(SignInError) }
//! #     }
//! #     fn get(&self, path: &str, access: &str) -> Result<String, u16> {
//! #         let access: u32 = access.parse().unwrap();
//! #         if access > self.revoked.get() { Ok(path.to_owned()) } else { Err(401) }
//! #     }
//! # }
//! # let client = Client::new(Server { valid: Cell::new(0), sign_ins: Cell::new(0), revoked: Cell::new(0) });
//! # assert_eq!(client.get("/me").unwrap(), "/me");
//! # let held = client.token.peek().unwrap();
//! # assert_eq!(Guard::ttl(&held), Duration::from_secs(15));
//! # assert_eq!(client.get("/me").unwrap(), "/me");
//! # assert_eq!(client.server.valid.get(), 1);
//! # // The server refuses it: the refresh token is used, once, and nobody signs in again.
//! # client.server.revoked.set(1);
//! # assert_eq!(client.get("/me").unwrap(), "/me");
//! # assert_eq!((client.server.valid.get(), client.server.sign_ins.get()), (2, 1));
//! ```
//!
//! Why not [`invalidate`](Dogpile::invalidate)? It removes the value, and with it the refresh token:
//! [`Creating::previous`] is then empty, and the user has to sign in again. If a renewal runs at that
//! moment, its result is superseded, and the new refresh token is lost too.
//! [`expire_if`](Dogpile::expire_if) keeps the value for the creator. A hundred callers that are refused with the same token cause one renewal.
//!
//! - A token whose life is over is not served: the limit is what is left of its life. The creator still
//!   finds it in [`Creating::previous`].
//! - For tasks use the forms with `_async`. If callers may be cancelled, use
//!   [`background`](Dogpile::background): a renewal that is dropped in the middle may have used the refresh
//!   token up.
//! - If a call needs a token that lives for two minutes more, say
//!   [`min_fresh`](Call::min_fresh) for that call.
//! - To keep the refresh token over a restart, store it in the creator before you return it.
#![doc(
    alias = "bearer",
    alias = "access token",
    alias = "refresh token",
    alias = "credentials"
)]

#[allow(unused_imports)]
use crate::*;
