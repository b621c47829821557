//! What can be seen of a pile from outside: events, counts, and who is at work.
//!
//! An [`Observer`] is told of each creation that ended. [`Dogpile::stats`](crate::Dogpile::stats) tells
//! what was counted, and what goes on now. Hits are not seen: nothing of this is on their way, be it
//! switched on or off.
//!
//! # Example
//!
//! The text that Prometheus reads, of one pile:
//!
//! ```
//! use std::fmt::Write;
//! use std::time::Duration;
//! use dogpile::Dogpile;
//! use dogpile::observe::Stats;
//!
//! fn prometheus(pile: &str, stats: &Stats) -> String {
//!     let counters = stats.counters.unwrap_or_default();
//!     let mut text = String::new();
//!     let mut line = |name: &str, label: &str, value: f64| {
//!         writeln!(text, "{name}{{pile=\"{pile}\"{label}}} {value}").unwrap();
//!     };
//!     for (end, number) in counters.ends() {
//!         line("dogpile_creations_total", &format!(",end=\"{end}\""), number as f64);
//!     }
//!     line("dogpile_waits_total", "", counters.waits as f64);
//!     line("dogpile_timeouts_total", "", counters.timed_out as f64);
//!     line("dogpile_stale_spells_total", "", counters.stale_spells as f64);
//!     line("dogpile_waiters", "", stats.waiters as f64);
//!     // "No errors" may mean that every answer is stale: this one tells.
//!     let stale_for = stats.stale_for.unwrap_or_default();
//!     line("dogpile_stale_seconds", "", stale_for.as_secs_f64());
//!     let creating_for = stats.creating.as_ref().and_then(|lease| lease.held_for);
//!     line("dogpile_creating_seconds", "", creating_for.unwrap_or_default().as_secs_f64());
//!     text
//! }
//!
//! let pile = Dogpile::builder(Duration::from_secs(60)).stats(true).build();
//! let _ = pile.get_or_try_create(|| Err("no route"));
//! assert_eq!(*pile.get_or_create(|| 7), 7);
//! let text = prometheus("rates", &pile.stats());
//! assert!(text.contains("dogpile_creations_total{pile=\"rates\",end=\"published\"} 1\n"));
//! assert!(text.contains("dogpile_creations_total{pile=\"rates\",end=\"failed\"} 1\n"));
//! ```

mod observer;
mod stats;
mod tally;
#[cfg(feature = "tracing")]
mod tracing;
mod watch;

pub use self::observer::{Begun, End, Ended, Event, Observer, Scope};
pub use self::stats::{Counters, Holder, Holding, KeyedStats, Stats};
pub(crate) use self::tally::{Elected, Tally};
#[cfg(feature = "tracing")]
pub use self::tracing::Tracing;
pub(crate) use self::watch::{Watch, Watcher};
