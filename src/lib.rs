//! The lock that lets exactly one thread regenerate an expensive value while everybody else goes on
//! with the old one.
//!
//! A [`Dogpile<T>`] holds one value with a time to live: a key set, a token, a configuration, a
//! query result. When the value goes stale, one caller is elected to create the next one; the
//! others are given the stale value at once. When there is no value at all, they wait for that one
//! creation and leave together. The effect that this prevents goes by *cache stampede*, *thundering
//! herd* and *dogpile*; the pieces are known as *single-flight* and *stale-while-revalidate*.
//!
//! ```
//! use std::time::Duration;
//! use dogpile::Dogpile;
//!
//! // Fresh for five minutes; after that still good enough for an hour while somebody fetches.
//! static KEYS: Dogpile<Vec<String>> = Dogpile::builder(Duration::from_secs(300))
//!     .stale_while_revalidate(Duration::from_secs(3600))
//!     .build();
//!
//! # fn fetch() -> Result<Vec<String>, std::io::Error> { Ok(vec!["k1".into()]) }
//! fn knows(key: &str) -> Result<bool, dogpile::Error<std::io::Error>> {
//!     let keys = KEYS.get_or_try_create(fetch)?;
//!     Ok(keys.iter().any(|known| known == key))
//! }
//! # assert!(knows("k1").unwrap());
//! ```
//!
//! # The words
//!
//! - A *pile* is one [`Dogpile`]: one value, one clock, at most one creator.
//! - A value is *fresh* while its age is at most its time to live, *stale* beyond that, and *dead*
//!   once it was stale for longer than
//!   [`stale_while_revalidate`](Builder::stale_while_revalidate), or was removed.
//! - The *creator* is the function you pass; it may be slow, fail, panic or hang.
//! - The *lease* is the right to run the creator, at most one per pile. It ends *published*,
//!   *failed*, *given up* (by a panic, or dropped), or *superseded* (by a [`set`](Dogpile::set) or an
//!   [`invalidate`](Dogpile::invalidate) that came while it ran).
//! - A *waiter* is a caller without a usable value while somebody else holds the lease.
//!
//! # Promises
//!
//! Each has a name, under which its tests (`tests/it`) and its models (`loom-tests`) are found.
//!
//! | promise | |
//! |---|---|
//! | `one_creator` | Never two creators of one pile at a time, whatever happens meanwhile. |
//! | `stale_never_blocks` | While one creates, every other caller with a usable stale value returns at once. |
//! | `first_call_waits` | Without a value all wait, one creates, all get that value, even if it is stale by then. |
//! | `no_double_regeneration` | Who finds a stale value, and the lease only after somebody renewed it, does not create. |
//! | `broadcast` | Waiters leave together, without a lock. |
//! | `no_starvation` | A waiter outlasts at most n + 1 creations after n invalidations. |
//! | `error_reaches_everyone_once` | An error goes to its caller and to those who waited for that creation; the creator is not run again for them. |
//! | `panic_hands_over` | A panic unwinds to its caller; somebody else creates. |
//! | `given_up_is_free` | A lease given up is free for the first to come, never owed to a sleeper. |
//! | `wait_timeout` | A waiter with a limit leaves in time and disturbs nobody. |
//! | `reentrancy_is_an_error` | A creator that asks its own pile gets a stale value or an error, not a deadlock. |
//! | `cancel_is_safe` | An async caller may be dropped at any await point: no lost wake-up, no leak, no stuck lease. |
//! | `invalidate_wins` | A call that starts after `invalidate` never yields a value whose creation began before. |
//! | `set_wins` | No creation that began before a `set` overwrites it; waiters get the set value at once. |
//! | `expire_keeps_serving` | After `expire` one renews, the others are served. |
//! | `what_i_saw` | `expire_if` and `invalidate_if` act only on the value that the caller saw. |
//! | `no_resurrection` | `expire` after `invalidate` brings nothing back. |
//! | `ttl_from_completion` | A value is as old as the end of its creation. |
//! | `monotonic` | A step of the wall clock changes nothing; the clock can be injected. |
//! | `guard_keeps_value` | What a guard shows stays alive and unchanged. |
//! | `publish_never_waits_for_readers` | A guard held for an hour delays nobody. |
//! | `dropped_once_and_soon` | A value is dropped once, with its last guard or handle. |
//! | `user_code_outside_locks` | No code of yours runs under a lock of a pile. |
//! | `write_lock_excludes_readers` | While a [`WriteGuard`] is held no [`ReadGuard`] of that pile exists, on any value. |
//! | `pending_writer_goes_first` | New readers wait behind a writer who waits. |
//! | `nested_reader_goes_in` | A thread that holds a read guard goes in again all the same. |
//! | `write_lock_in_creator` | A creator takes the write lock, and keeps readers out until its value is there. |
//! | `reader_never_waits_for_creation` | Who holds a read guard is told that there is no value, and does not wait for one. |
//! | `write_lock_self_deadlock_is_an_error` | A thread that would wait for itself is told so. |
//! | `get_once` | [`acquire`](Dogpile::acquire) looks the value up once at most. |
//! | `kept_for_the_late` | Who looked in vain while another created takes what that one made. |
//! | `age_from_store` | An age that the store tells is the one that counts. |
//! | `init` | A pile may start as if created at its first call. |
//!
//! # Tasks
//!
//! Every call that creates or waits has an async form, named with `_async` and made of the same
//! election: tasks and threads share a pile, and wait for the same creations. It needs no runtime.
//! The elected task alone calls the creator and polls its future; when it is dropped, the lease is
//! given up. A leader that is no longer polled, but not dropped either, keeps its lease.
//!
//! So where callers have a time-out or are cancelled, run creations in the background:
#![cfg_attr(feature = "async", doc = "[`Dogpile::background`] hands them to an")]
#![cfg_attr(
    feature = "async",
    doc = "[`Executor`](executor::Executor), for tasks and threads."
)]
//! Then the one who finds the value stale takes it and leaves, too, and no caller's end is that of
//! the creation.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::{executor::Tokio, Dogpile};
//!
//! # async fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
//! async fn handler(rates: Arc<Dogpile<u32>>) -> Option<u32> {
//!     // Waits for 100 ms at most; the fetch goes on, for whoever comes next.
//!     let rates = rates.background(&Tokio).wait(Duration::from_millis(100));
//!     Some(*rates.get_or_try_create_async(fetch).await.ok()?)
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # let rates = Arc::new(Dogpile::new(Duration::from_secs(60)));
//! # assert_eq!(runtime.block_on(handler(rates)), Some(7));
//! # }
//! ```
//!
//! # A value that is kept elsewhere, and an election for something else
//!
//! [`Dogpile::acquire`] guards a value that lives in a memcached, a file, another cache: it is given
//! a function that looks the value up besides the one that creates it. [`Dogpile::attempt`] hands
//! out the lease itself, for those who build something else around it.
//!
//! # What it does not do
//!
//! It detects a creator that waits for its own pile on the same thread. It does not detect one that
//! waits for another thread which waits for the pile, nor two creators that wait for each other's
//! pile, nor a task that holds a read guard and waits for a writer; [`Call::wait`] bounds those.
//!
//! A creator that hangs holds its lease for as long as it hangs. Callers with a stale value go on,
//! those without wait up to their limit. Give the creator a time-out of its own.
//!
//! It has no timer. The wait limit of an async call is kept by one that the call names, by an
//! injected clock that is moved by hand, or by the runtime's time-out around the call.
//!
//! The crate holds no map of keys and evicts nothing: keep a pile per key where you keep the keys.
//!
//! # Features
//!
//! - `async`, on by default, and without a dependency: the async forms, and creations in the
//!   background.
//! - `tokio`, `smol`, `rayon`: adapters to run those on these executors, in `executor`.
//!
//! `loom` and `shuttle` exist for the models of this crate and do nothing without
//! `--cfg dogpile_loom` or `--cfg dogpile_shuttle`.
#![warn(missing_docs)]

#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "dogpile needs 64-bit atomics, which this target does not have: its values and leases are numbered \
     by counters that must never wrap around. Build for a target that has them, such as the ARMv7 \
     one instead of the ARMv5 one, or x86-64"
);

mod answer;
mod call;
mod compile_fail;
mod error;
#[cfg(feature = "async")]
pub mod executor;
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
pub use crate::call::{Background, OnExecutor, Wait};
pub use crate::error::{Error, Failure, Panicked, Refused, WriteLockError};
pub use crate::pile::{Builder, Dogpile, SyncReaderDogpile, WriteGuard};
pub use crate::policy::{Accept, Freshness, Seen};
pub use crate::time::{Clock, ManualClock, SystemClock, Tick};

#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../README.md")]
struct Readme;
