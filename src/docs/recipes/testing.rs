//! Test code that uses a pile, without sleeping.
//!
//! # With a clock that the test moves
//!
//! Give the pile its clock where you build it. In the program that is [`SystemClock`], in a test a
//! [`ManualClock`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::{Clock, Dogpile, Guard, ManualClock, Origin, SystemClock};
//!
//! struct Service {
//!     rate: Dogpile<f64>,
//! }
//!
//! impl Service {
//!     fn new() -> Self {
//!         Self::with_clock(Arc::new(SystemClock))
//!     }
//!
//!     fn with_clock(clock: Arc<dyn Clock>) -> Self {
//!         let rate = Dogpile::builder(Duration::from_secs(60)).clock(clock).build();
//!         Self { rate }
//!     }
//! }
//!
//! # let _ = Service::new();
//! let clock = Arc::new(ManualClock::new());
//! let service = Service::with_clock(clock.clone());
//! assert_eq!(*service.rate.get_or_create(|| 1.08), 1.08);
//!
//! clock.advance(Duration::from_secs(61));
//! assert!(!service.rate.is_fresh());
//! let rate = service.rate.get_or_create(|| 1.09);
//! assert_eq!((*rate, Guard::origin(&rate)), (1.09, Origin::CreatedHere));
//! ```
//!
//! - [`advance`](ManualClock::advance) wakes whoever sleeps on that clock: a [wait limit](Call::wait) ends when the
//!   test says so.
//! - A pile that is a `static` takes a clock that is a `static`: [`Builder::clock_static`].
//! - [`Builder::seed`] makes what is left to chance repeat itself: jitter and refresh points.
//! - To see a caller wait, look at [`waiters`](Dogpile::waiters) in a loop. Do not sleep for it.
//! - To test what your code does with an old value, fill the pile with
//!   `set_with(Created::new(value).age(span))`.
//!
//! # With tokio's paused time
//!
//! [`executor::Tokio`] is a clock too: it tells the time of the runtime. So values age as the test moves that
//! time, and sleeps in your creators pass at once.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::executor::Tokio;
//! use dogpile::Dogpile;
//! use tokio::time::{advance, pause, sleep};
//!
//! // With tokio's macros: #[tokio::test(start_paused = true)].
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! # pause();
//! let rates = Arc::new(Dogpile::builder(Duration::from_secs(60)).clock_static(&Tokio).build());
//! let slow = async || {
//!     sleep(Duration::from_secs(30)).await; // takes no time in this test
//!     7
//! };
//! let impatient = rates.background(&Tokio).wait(Duration::from_secs(10));
//! assert!(impatient.get_or_create_async(slow).await.unwrap_err().is_timed_out());
//! assert_eq!(*rates.get_or_create_async(async || 8).await, 7); // the same creation, ended
//!
//! advance(Duration::from_secs(61)).await;
//! assert!(!rates.is_fresh());
//! # });
//! ```
//!
//! A thread that blocks sleeps by the system's time. For tests that block threads use a [`ManualClock`].
#![doc(
    alias = "mock clock",
    alias = "fake clock",
    alias = "fake time",
    alias = "paused time",
    alias = "unit test"
)]

#[allow(unused_imports)]
use crate::*;
