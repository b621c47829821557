//! Check signed tokens with the keys of their issuer (JWKS), and survive made-up key ids.
//!
//! A token names the key that signed it. If the service does not have that key, there are two
//! possibilities: the issuer has new keys, or somebody made the key id up. So the service asks for keys that
//! are newer than those it saw, and the pile bounds how often that leads to a request.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use std::collections::HashMap;
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::executor::Tokio;
//! use dogpile::{Accept, Backoff, Created, Dogpile, Error, Guard, RefreshAhead};
//!
//! type Keys = HashMap<String, Vec<u8>>;
//!
//! struct Verifier {
//!     keys: Arc<Dogpile<Keys>>,
//!     issuer: Arc<Issuer>,
//! }
//!
//! impl Verifier {
//!     fn new(issuer: Arc<Issuer>) -> Self {
//!         let keys = Dogpile::builder(Duration::from_secs(3600)) // where the issuer does not say
//!             .refresh_ahead(RefreshAhead::percent(80).jitter(10)) // renewed before they end
//!             .stale_while_revalidate(Duration::from_secs(600)) // if nobody came in time
//!             .stale_if_error(Duration::from_secs(24 * 3600)) // while the issuer is down
//!             .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)))
//!             .min_interval(Duration::from_secs(10)) // whoever makes up key ids
//!             .build();
//!         Self { keys: Arc::new(keys), issuer }
//!     }
//!
//!     /// The key with this id, or `None` if the issuer has no such key.
//!     async fn key(&self, id: &str) -> Result<Option<Vec<u8>>, Error<FetchError>> {
//!         let keys = self.keys(Accept::Stale).await?;
//!         if let Some(key) = keys.get(id) {
//!             return Ok(Some(key.clone()));
//!         }
//!         match self.keys(Accept::NewerThan(Guard::seen(&keys))).await {
//!             Ok(newer) => Ok(newer.get(id).cloned()),
//!             Err(error) if error.is_backing_off() => Ok(None), // somebody asked a moment ago
//!             Err(error) => Err(error),
//!         }
//!     }
//!
//!     async fn keys(&self, accept: Accept) -> Result<Guard<'_, Keys>, Error<FetchError>> {
//!         let call = self.keys.background(&Tokio).wait(Duration::from_secs(2)).accept(accept);
//!         // The fetch outlives this request. The issuer is cloned for a fetch only.
//!         call.with(&self.issuer)
//!             .get_or_try_create_with_async(async move |issuer, _creating| {
//!                 let (keys, max_age) = issuer.fetch().await?; // with a time-out of its own
//!                 Ok(Created::new(keys).ttl(max_age))
//!             })
//!             .await
//!     }
//! }
//! # use std::sync::Mutex;
//! # #[derive(Default)]
//! # struct Issuer { keys: Mutex<Keys>, fetches: Mutex<u32> }
//! # #[derive(Debug)]
//! # struct FetchError;
//! # impl Issuer {
//! #     async fn fetch(&self) -> Result<(Keys, Duration), FetchError> {
//! #         *self.fetches.lock().unwrap() += 1;
//! #         Ok((self.keys.lock().unwrap().clone(), Duration::from_secs(300)))
//! #     }
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! # let issuer = Arc::new(Issuer::default());
//! # issuer.keys.lock().unwrap().insert("autumn".into(), vec![1]);
//! # let verifier = Verifier::new(Arc::clone(&issuer));
//! # assert_eq!(verifier.key("autumn").await.unwrap(), Some(vec![1]));
//! # for id in 0..100 {
//! #     assert_eq!(verifier.key(&format!("forged {id}")).await.unwrap(), None);
//! # }
//! # assert_eq!(*issuer.fetches.lock().unwrap(), 1);
//! # });
//! ```
//!
//! What each line does:
//!
//! - [`min_interval`](Builder::min_interval) bounds what strangers can cause: a hundred made-up key ids a second
//!   lead to one request in ten seconds. A key that the issuer has just published is known ten seconds
//!   later at most.
//! - The unknown key id does not call [`expire_if`](Dogpile::expire_if) or
//!   [`invalidate`](Dogpile::invalidate). The keys that are held are good. While the issuer is down they have
//!   to serve on.
//! - [`is_backing_off`](Error::is_backing_off) means that no request may be made yet. For a key id that is
//!   not known the answer is then "no such key".
//! - [`background`](Dogpile::background) lets the fetch outlive the request, and
//!   [`wait`](Call::wait) limits how long a request waits for the first keys.
//! - [`stale_if_error`](Builder::stale_if_error) is for how long you accept a key that may have been
//!   withdrawn meanwhile.
//!
//! If a key was withdrawn and must not be used any longer, an operator calls
//! [`invalidate`](Dogpile::invalidate). No later call gets the old keys.
//!
//! The example `jwks` of the repository is a whole service that does this.
#![doc(
    alias = "jwk",
    alias = "jwt",
    alias = "kid",
    alias = "openid",
    alias = "oidc"
)]

#[allow(unused_imports)]
use crate::*;
