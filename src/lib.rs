//! The lock that lets exactly one thread regenerate an expensive value while everybody else goes on
//! with the old one.
//!
//! A [`Dogpile<T>`] holds one value with a time to live: a key set, a token, a configuration, a
//! query result. When the value goes stale, one caller creates the next one, and the others get the stale
//! value at once. When there is no value, the others wait for that one creation and leave together. This
//! prevents a *cache stampede*, also called a *thundering herd* or a *dogpile*. The pieces are known as
//! *single-flight* and *stale-while-revalidate*.
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Dogpile, Error};
//!
//! // Fresh for five minutes. For an hour more, the old keys are served while one caller fetches.
//! static KEYS: Dogpile<Vec<String>> = Dogpile::builder(Duration::from_secs(300))
//!     .stale_while_revalidate(Duration::from_secs(3600))
//!     .build();
//!
//! fn knows(key: &str) -> Result<bool, Error<std::io::Error>> {
//!     let call = KEYS.call().wait(Duration::from_secs(5)); // if there are no keys yet
//!     let keys = call.get_or_try_create(fetch)?; // one caller fetches, if the keys are stale
//!     Ok(keys.iter().any(|known| known == key))
//! }
//!
//! fn fetch() -> Result<Vec<String>, std::io::Error> {
//!     // ... something slow
//!     Ok(vec!["k1".to_owned()])
//! }
//!
//! assert!(knows("k1").unwrap());
//! ```
//!
//! If the fetch fails, its own caller gets the error, though there are stale keys. With
//! [`stale_if_error`](Builder::stale_if_error) it gets the keys.
//!
//! **The handbook** has the rest: [recipes](docs::recipes) that you can copy, [pitfalls](docs::pitfalls),
//! [performance](docs::performance), [migrating](docs::migrating) from what you have, and all
//! [promises](docs::promises) by name.
//!
//! # Which type
//!
//! | I have | I use |
//! |---|---|
//! | one value | [`Dogpile`]; it can be a `static` |
//! | a value for each key | [`KeyedDogpile`], with bounds and eviction |
//! | something beside the value that must be swapped while nobody reads | [`SyncReaderDogpile`] |
//! | values that something else keeps | [`Dogpile::acquire`] for one value, [`Leases`] for many keys |
//! | a cache of moka, of quick_cache, or of another crate | the crates [dogpile-moka], [dogpile-quick-cache], [dogpile-cache] |
//! | several processes | the crate [dogpile-fleet]: a pile in each, over a store that they share |
//!
//! An answer is a [`Guard`]: it shows the value, and says how old it is. An [`Error`] says why there is none.
//!
//! # Which call
//!
#![doc = include_str!("docs/calls.md")]
//!
#![cfg_attr(
    feature = "async",
    doc = "[background]: Dogpile::background
[background_static]: Dogpile::background_static
[background_multi]: KeyedDogpile::background_multi
[keep_fresh]: Dogpile::keep_fresh
[keep_fresh_static]: Dogpile::keep_fresh_static
[renew]: Background::renew
[timer]: Call::timer
[with]: Background::with"
)]
// Without the feature, what needs it leads to the features.
#![cfg_attr(
    not(feature = "async"),
    doc = "[background]: crate#features
[background_static]: crate#features
[background_multi]: crate#features
[keep_fresh]: crate#features
[keep_fresh_static]: crate#features
[renew]: crate#features
[timer]: crate#features
[with]: crate#features"
)]
//!
//! # What you can rely on
//!
//! 1. There are never two creators at a time.
//! 2. A caller with a value that it may use never waits.
//! 3. Callers who wait leave together. Each of them waits for two creations at most, however often the value is
//!    invalidated.
//! 4. A creator that fails runs once: its error, or its panic, goes to everybody who waited for it.
//! 5. `invalidate` and `set` win. A call that starts after an `invalidate` never gets a value whose creation began
//!    before it, and a creation never overwrites a value that was set meanwhile.
//! 6. A panic, an error, a time-out or a cancelled task leaves nothing behind that blocks the next caller.
//! 7. A creator that asks its own pile gets a stale value or an error. It does not hang.
//! 8. A value lives as long as its last guard, and no longer. A hit takes no lock and allocates nothing.
//!
//! [All promises](docs::promises) have names, and tests under these names. The one exception to the first is
//! [`max_create_time`](Builder::max_create_time), for creators that hang.
//!
//! # The words
//!
//! - A *pile* is one [`Dogpile`]: one value, one clock, at most one creator.
//! - A value is *fresh* while its age is at most its *time to live* (ttl). It is *stale* after that,
//!   or once it was [expired](Dogpile::expire). It is *gone* when its
//!   [stale limit](Builder::stale_while_revalidate) is over, or when it was
//!   [removed](Dogpile::invalidate). A value that is gone counts as no value.
//! - A value is *usable* for a call that accepts it: fresh or stale, unless the [`Call`] says
//!   otherwise.
//! - The *creator* is the function that you pass. It may be slow, fail, panic or hang.
//! - The *lease* is the right to run the creator. There is at most one lease per pile. Its number is
//!   called its *fence*.
//! - A lease is *superseded* when a [`set`](Dogpile::set) or an [`invalidate`](Dogpile::invalidate)
//!   comes while its creator runs. Its result does not become the current value.
//! - A *waiter* is a caller without a usable value while another caller holds the lease.
//!
//! # Tasks
//!
//! Every call that creates or waits has an async form, whose name ends in `_async`. Tasks and threads
//! share a pile and its one election, and wait for the same creations. No runtime is needed. The
//! elected task alone calls the creator and polls its future. When that task is dropped, the lease is
//! given up and the next caller creates. A task that is no longer polled, but not dropped either,
//! keeps its lease: a [futurelock](docs::pitfalls#futurelock).
//!
//! So if callers have a time-out or may be cancelled, run the creations in the background.
#![cfg_attr(
    feature = "async",
    doc = "[`Dogpile::background`] hands them to an [`Executor`](executor::Executor), for tasks and threads."
)]
//! Then even the elected caller gets the stale value at once, and the creation survives its caller.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::{executor::Tokio, Dogpile};
//!
//! # async fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
//! async fn handler(rates: Arc<Dogpile<u32>>) -> Option<u32> {
//!     // Waits for at most 100 ms. The fetch goes on, for the next caller.
//!     let rates = rates.background(&Tokio).wait(Duration::from_millis(100));
//!     Some(*rates.get_or_try_create_async(fetch).await.ok()?)
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # let rates = Arc::new(Dogpile::new(Duration::from_secs(60)));
//! # assert_eq!(runtime.block_on(handler(rates)), Some(7));
//! ```
//!
//! # What it does not do
//!
//! - It detects a creator that waits for its own pile on the same thread, and two creators on two threads
//!   that wait for each other's key of one map. It does not detect a creator that waits for a thread which
//!   waits for the pile, two creators that wait for each other's pile, or a task that holds a read guard
//!   and waits for a writer. [`Call::wait`] limits how long such calls last.
//! - It does not stop a creator that hangs. That creator keeps the lease. Callers with a stale value go
//!   on, and callers without one wait until their limit. Give the creator a time-out of its own.
//! - It has no timer. The wait limit of an async call needs a timer that the call names, or an
//!   injected clock that is moved by hand. Or put the time-out of your runtime around the call.
//! - The first hit of a key of a [`KeyedDogpile`] takes a short lock that some of the keys share. Later ones
//!   take none as a rule, and those of a [`Dogpile`] never do.
//! - It elects among the threads and tasks of one process. The crate [dogpile-fleet] elects among
//!   processes, over this one.
//!
//! # Features
//!
//! The crate needs Rust 1.85, with and without each feature, and a target with 64-bit atomics. It runs on Linux, macOS,
//! Windows and other systems with threads. On `wasm32-unknown-unknown` there is no clock: give the pile one of
//! your own, with [`clock`](Builder::clock).
//!
//! | feature | what it brings |
//! |---|---|
//! | `async` (default) | The async forms, and creations in the background. It adds no dependency. |
//! | `tokio` | Adapters that run background creations on a tokio runtime, and follow its time. |
//! | `smol` | An adapter for the global executor of smol. |
//! | `rayon` | An adapter for the thread pool of rayon. |
//! | `tracing` | An observer that makes a span of the crate `tracing` for each creation. |
//! | `loom`, `shuttle` | For the models of this crate. They do nothing without `--cfg dogpile_loom` or `--cfg dogpile_shuttle`. |
//!
#![doc = include_str!("docs/tables.html")]
//!
//! [dogpile-cache]: https://docs.rs/dogpile-cache
//! [dogpile-fleet]: https://docs.rs/dogpile-fleet
//! [dogpile-moka]: https://docs.rs/dogpile-moka
//! [dogpile-quick-cache]: https://docs.rs/dogpile-quick-cache
#![warn(missing_docs)]

#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "dogpile needs 64-bit atomics, which this target does not have: its values and leases are numbered \
     by counters that must never wrap around. Build for a target that has them, such as the ARMv7 \
     one instead of the ARMv5 one, or x86-64"
);

// So that tests of the public face run as tests of the crate, too.
#[cfg(test)]
extern crate self as dogpile;

mod answer;
mod call;
mod compile_fail;
pub mod docs;
mod error;
#[cfg(feature = "async")]
pub mod executor;
mod keyed;
pub mod observe;
mod pile;
mod policy;
mod raw;
mod reentrancy;
mod shim;
mod time;

pub use crate::answer::{
    Acquired, Created, Creating, Door, Gated, Guard, Lease, Lookup, Open, Origin, Owned, Pass,
    Previous, ReadAcquired, ReadGuard, Superseded,
};
pub use crate::call::{Attempt, Busy, Call, Here, NotYet, Outcome, ReadAttempt};
#[cfg(feature = "async")]
pub use crate::call::{Background, KeepFresh, OnExecutor, Refresher, Wait, With};
pub use crate::error::{Cycle, Error, Failure, OverRate, Panicked, Refused, WriteLockError};
pub use crate::keyed::{
    Cached, Eviction, Iter, KeyLease, KeySeat, KeyedAttempt, KeyedBuilder, KeyedBusy, KeyedCall,
    KeyedGuard, KeyedOwned, Leases,
};
#[cfg(feature = "async")]
pub use crate::keyed::{InBackground, KeyedBackground, KeyedMulti};
pub use crate::pile::{BuildError, Builder, SyncReaderDogpile, WriteGuard};
pub use crate::policy::{Accept, Backoff, Freshness, RefreshAhead, Seen};
// The words by which a type is searched for stand here: rustdoc's search finds none that stand at a type in a
// private module.
#[doc(alias = "cache", alias = "map")]
pub use crate::keyed::KeyedDogpile;
#[doc(
    alias = "single-flight",
    alias = "singleflight",
    alias = "stampede",
    alias = "cache stampede",
    alias = "thundering herd",
    alias = "OnceCell"
)]
pub use crate::pile::Dogpile;
pub use crate::time::{BootClock, Clock, ManualClock, SystemClock, Tick};

#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../README.md")]
struct Readme;
