//! See what a pile does: metrics, tracing, logs.
//!
//! Three ways, and none of them costs a hit anything:
//!
//! | I want | I use |
//! |---|---|
//! | numbers for a monitoring system | [`Builder::stats`], then [`Dogpile::stats`] when they are read |
//! | a line in the log for each creation | [`Builder::observer`] with an [`Observer`](observe::Observer) |
//! | a span for each creation | the feature `tracing`, and [`observe::Tracing`] as the observer |
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::observe::{End, Event, Observer};
//! use dogpile::Dogpile;
//!
//! /// Writes a line for each creation that took long, or brought no value.
//! struct Log(&'static str);
//!
//! impl Observer for Log {
//!     fn event(&self, event: &Event) {
//!         let Event::Ended(ended) = event else { return };
//!         let slow = ended.took > Duration::from_secs(1);
//!         match &ended.end {
//!             End::Published if !slow => {}
//!             end => eprintln!(
//!                 "{}: {} after {:?}, {} waited{}",
//!                 self.0,
//!                 end.name(),
//!                 ended.took,
//!                 ended.waiters,
//!                 end.failure().map(|why| format!(": {why}")).unwrap_or_default(),
//!             ),
//!         }
//!     }
//! }
//!
//! let rates = Dogpile::builder(Duration::from_secs(60)).observer(Arc::new(Log("rates"))).build();
//! let _ = rates.get_or_try_create(|| Err::<f64, _>("no route")); // writes a line
//! assert_eq!(*rates.get_or_create(|| 1.0842), 1.0842);
//!
//! let stats = rates.stats(); // A pile with an observer counts too.
//! let counters = stats.counters.unwrap();
//! assert_eq!((counters.failed, counters.published), (1, 1));
//! ```
//!
//! An error of a type of your own is named by its type alone in such a line: [`Failure::downcast_ref`] gives the error
//! itself.
//!
//! What to watch:
//!
//! | number | what it says |
//! |---|---|
//! | [`stale_for`](observe::Stats::stale_for) | for how long stale values have been served: the source may be down though no caller sees an error |
//! | [`counters.failed`](observe::Counters::failed), [`panicked`](observe::Counters::panicked), [`refused`](observe::Counters::refused) | creations that brought no value |
//! | [`counters.timed_out`](observe::Counters::timed_out) | callers who waited in vain |
//! | [`counters.given_up`](observe::Counters::given_up) | creations whose callers left: run them in the [background](Dogpile::background) |
//! | [`creating.held_for`](observe::Holding::held_for) | a creator that hangs: see [`hanging`](super::hanging) |
//! | [`hits`](observe::Stats::hits) | answers from the value held, with [`Builder::count_hits`] |
//!
//! The module [`observe`] writes these as a text that Prometheus reads. A map has the same:
//! [`KeyedDogpile::stats`] for all keys, [`KeyedDogpile::stats_of`] for one.
//!
//! # Spans
//!
//! With the feature `tracing`, give the pile `.observer_static(&Tracing)`. The span of a creation is a child of
//! the span in which it was started. What the creator logs is inside of it.
//!
#![doc = include_str!("../tables.html")]
#![doc(
    alias = "monitoring",
    alias = "prometheus",
    alias = "logging",
    alias = "telemetry",
    alias = "opentelemetry",
    alias = "tracing"
)]

#[allow(unused_imports)]
use crate::*;
