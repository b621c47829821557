//! From a lock and a time stamp.
//!
//! # From a `Mutex<Option<(T, Instant)>>`
//!
//! Before:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::{Duration, Instant};
//!
//! static KEYS: Mutex<Option<(Arc<Vec<u32>>, Instant)>> = Mutex::new(None);
//!
//! fn keys() -> Result<Arc<Vec<u32>>, std::io::Error> {
//!     let mut held = KEYS.lock().unwrap();
//!     if let Some((keys, made)) = &*held {
//!         if made.elapsed() < Duration::from_secs(300) {
//!             return Ok(Arc::clone(keys));
//!         }
//!     }
//!     let keys = Arc::new(fetch()?);
//!     *held = Some((Arc::clone(&keys), Instant::now()));
//!     Ok(keys)
//! }
//! # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
//! # assert_eq!(keys().unwrap().len(), 2);
//! ```
//!
//! What was wrong:
//!
//! - All callers wait for each fetch, though there is a value that would do.
//! - If a fetch fails, every waiter fetches in turn. Ten callers and a time-out of five seconds: the last one waits for fifty.
//! - A panic poisons the mutex, and every later call panics.
//! - Nobody can invalidate during a fetch: the lock is held.
//! - A hit locks, counts and asks the exact clock: about thirty nanoseconds, and over a hundred with two threads.
//! - In async code the lock is held over an `.await`.
//!
//! After:
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Dogpile, Error, Guard};
//!
//! static KEYS: Dogpile<Vec<u32>> = Dogpile::builder(Duration::from_secs(300))
//!     .stale_while_revalidate(Duration::from_secs(3600))
//!     .build();
//!
//! fn keys() -> Result<Guard<'static, Vec<u32>>, Error<std::io::Error>> {
//!     KEYS.get_or_try_create(fetch)
//! }
//! # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
//! # assert_eq!(keys().unwrap().len(), 2);
//! ```
//!
//! # From an `ArcSwap` with a flag
//!
//! Before:
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use arc_swap::ArcSwapOption;
//!
//! static KEYS: ArcSwapOption<(Vec<u32>, Instant)> = ArcSwapOption::const_empty();
//! static FETCHING: AtomicBool = AtomicBool::new(false);
//!
//! fn keys() -> Result<Option<Arc<(Vec<u32>, Instant)>>, std::io::Error> {
//!     let held = KEYS.load_full();
//!     let stale = held.as_ref().is_none_or(|held| held.1.elapsed() > Duration::from_secs(300));
//!     if stale && !FETCHING.swap(true, Ordering::AcqRel) {
//!         let keys = fetch()?; // On an error or a panic the flag stays set.
//!         KEYS.store(Some(Arc::new((keys, Instant::now()))));
//!         FETCHING.store(false, Ordering::Release);
//!         return Ok(KEYS.load_full());
//!     }
//!     Ok(held) // Perhaps `None`: the first callers get nothing.
//! }
//! # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
//! # assert!(keys().unwrap().is_some());
//! ```
//!
//! What was wrong:
//!
//! - After an error, a panic or a dropped future the flag stays set, and nobody fetches ever again.
//! - The first callers get nothing: there is no way to wait.
//! - A caller that saw the stale value just before it was replaced may take the flag just after, and fetches once more.
//! - Keys that were stored by hand during a fetch are overwritten by the fetch, which began before.
//! - Nothing bounds how old a value may be while the source is down.
//!
//! After: the same as above. The lease takes the place of the flag: it ends when it is dropped, however that comes
//! about. [`set`](crate::Dogpile::set) takes the place of `store`: a fetch that began before does not overwrite it.
//!
//! | by hand | here |
//! |---|---|
//! | `held.1.elapsed() > ttl` | the ttl of the pile, or [`Created::ttl`](crate::Created::ttl) |
//! | `KEYS.load_full()` | [`peek`](crate::Dogpile::peek); an owned share: [`Guard::to_owned`](crate::Guard::to_owned) |
//! | `KEYS.store(..)` | [`set`](crate::Dogpile::set) |
//! | `FETCHING.swap(true, ..)` | [`attempt`](crate::Dogpile::attempt), if you need the election itself |
//! | a condition variable for the first callers | nothing: they wait |
//! | `tokio::spawn(refresh)` | [`background`](crate::Dogpile::background) |
//! | a loop that sleeps and fetches | [`keep_fresh`](crate::Dogpile::keep_fresh) |
#![doc(
    alias = "Mutex",
    alias = "ArcSwap",
    alias = "arc-swap",
    alias = "OnceCell",
    alias = "AtomicBool"
)]
