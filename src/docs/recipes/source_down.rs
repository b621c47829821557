//! Go on while the source is slow or down: retry, back-off, stale-if-error.
//!
//! By default the next caller tries again at once, and gets the error. Four settings change that:
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Backoff, Created, Creating, Dogpile, Error, Guard, RefreshAhead};
//!
//! static RATES: Dogpile<f64> = Dogpile::builder(Duration::from_secs(60))
//!     .refresh_ahead(RefreshAhead::percent(80).jitter(10)) // one caller renews before the end
//!     .stale_while_revalidate(Duration::from_secs(600)) // served while one caller renews
//!     .stale_if_error(Duration::from_secs(3600)) // given out instead of an error
//!     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)))
//!     .build();
//!
//! fn rate() -> Result<f64, Error<HttpError>> {
//!     let rate = RATES.get_or_try_create_with(fetch)?;
//!     if let Some(failure) = Guard::failure(&rate) {
//!         let error = failure.downcast_ref::<HttpError>(); // None: a panic, or a time-out
//!         eprintln!("a rate of {:?} ago, since {error:?}", Guard::age(&rate));
//!     }
//!     Ok(*rate)
//! }
//!
//! fn fetch(creating: Creating<'_, f64>) -> Result<Created<f64>, HttpError> {
//!     match get("/rates") {
//!         (200, body) => Ok(Created::new(body.parse().map_err(|_| HttpError(200))?)),
//!         (404, _) => {
//!             creating.no_fallback(); // It is gone: that is an answer, not an outage.
//!             Err(HttpError(404))
//!         }
//!         (429 | 503, retry_after) => {
//!             if let Ok(seconds) = retry_after.parse() {
//!                 creating.retry_after(Duration::from_secs(seconds)); // in place of the back-off
//!             }
//!             Err(HttpError(503))
//!         }
//!         (status, _) => Err(HttpError(status)),
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct HttpError(u16);
//! # static ANSWER: std::sync::Mutex<(u16, &str)> = std::sync::Mutex::new((200, "1.0842"));
//! # fn get(_: &str) -> (u16, &'static str) { *ANSWER.lock().unwrap() }
//!
//! assert_eq!(rate().unwrap(), 1.0842);
//! # *ANSWER.lock().unwrap() = (503, "30");
//! # RATES.expire();
//! # assert_eq!(rate().unwrap(), 1.0842);
//! # assert!(RATES.retry_in().unwrap() > Duration::from_secs(20));
//! # let (failure, _) = RATES.last_failure().unwrap();
//! # assert_eq!(failure.downcast_ref::<HttpError>().unwrap().0, 503);
//! # RATES.expire();
//! # *ANSWER.lock().unwrap() = (404, "");
//! # assert!(rate().unwrap_err().is_failed());
//! # assert!(!RATES.has_value());
//! ```
//!
//! | what happens | a caller with a value that may be used | a caller without one |
//! |---|---|---|
//! | a creation fails | the old value, with the failure beside it | the error |
//! | the back-off runs | the old value, at the cost of a hit | [`Error::BackingOff`] at once, with the time until the next try |
//! | the source hangs | the old value | waits until its [limit](Call::wait) |
//! | the source is back | the old value, while one caller renews it | the new value |
//!
//! - There is no retry inside a call. The next call after the back-off is the retry. For a quick second try,
//!   write a loop in the creator: it holds the lease meanwhile, so nobody else tries.
//! - Give each creator a time-out of its own. [`max_create_time`](Builder::max_create_time) is for the creator that
//!   hangs all the same.
//! - A [`Failure`] has the text of an error that is a text, an I/O error or a boxed error. Of another type it can only
//!   name the type: take the error itself out with [`downcast_ref`](Failure::downcast_ref).
//! - [`ttl_jitter`](Builder::ttl_jitter) spreads the renewals of many processes that started together.
//! - [`last_failure`](Dogpile::last_failure) tells what went wrong last. "No errors" may mean that every answer is
//!   stale: watch [`stale_for`](observe::Stats::stale_for), see [`metrics`](super::metrics).
//!
//! # What the settings do
//!
//! Two hundred processes with a pile each, and one source, which is overloaded first and down for ten minutes later, as the example `outage`
//! of the repository draws them. Piles that were filled together are renewed together, unless they have a
//! `ttl_jitter` or a `refresh_ahead`. In the outage, `backoff` spares the source, and `stale_if_error` spares
//! the callers.
//!
#![doc = include_str!("../picture.html")]
#![doc = include_str!("../../../docs/outage.svg")]
//! </div>
#![doc(
    alias = "retry",
    alias = "back-off",
    alias = "stale-if-error",
    alias = "circuit breaker",
    alias = "outage",
    alias = "Retry-After"
)]

#[allow(unused_imports)]
use crate::*;
