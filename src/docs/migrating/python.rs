//! From Python's dogpile.core and dogpile.cache.
//!
//! # The table
//!
//! | Python | Rust |
//! |---|---|
//! | `Dogpile(expiretime)` | [`Dogpile::new(ttl)`](Dogpile::new). The pile holds the value itself |
//! | `with dogpile.acquire(creator) as value:` | `let value = pile.get_or_create(creator);` A hit yields the value too, not `None` |
//! | `expiretime=None` | `Duration::MAX` |
//! | `init=True` | [`Builder::init`]. It counts from the first call, and not from when the object was made |
//! | `lock=` | The pile has its own election, and takes no lock. [`attempt`](Dogpile::attempt) hands out its lease. Between processes: `LeaseLock` of the crate `dogpile-fleet` |
//! | `dogpile.acquire(creator, value_fn)` | [`pile.acquire(create, get)`](Dogpile::acquire). `get` runs at most once, and not under a lock |
//! | `value_and_created_fn` | `get` returns [`Lookup::Aged(value, age)`](Lookup::Aged) |
//! | `NeedRegenerationException` | `get` returns [`Lookup::NeedRegeneration`] |
//! | an exception in the getter | [`Error::Get`]: it goes to its own caller alone, and elects nobody |
//! | `createdtime = -1` | [`invalidate`](Dogpile::invalidate) |
//! | `has_value`, `is_expired` | [`has_value`](Dogpile::has_value), not [`is_fresh`](Dogpile::is_fresh) |
//! | `async_creator(mutex)` | [`background(&executor)`](Dogpile::background), or [`attempt_owned`](Dogpile::attempt_owned): send the lease where you like; dropping it releases it |
//! | `SyncReaderDogpile` | [`SyncReaderDogpile`], without its races. Call [`acquire_write_lock`](SyncReaderDogpile::acquire_write_lock) in a creator or outside |
//! | `ReadWriteMutex` | Any reader-writer lock. The one in this crate comes with a pile |
//! | `NameRegistry`, a `Dogpile` for each name | [`KeyedDogpile`], or [`Leases`] if the values are kept elsewhere |
//! | `region.get_or_create(key, creator)` | [`KeyedDogpile::get_or_create`] |
//! | `region.get_or_create_multi(keys, creator)` | [`get_or_create_multi`](KeyedDogpile::get_or_create_multi) |
//! | `@region.cache_on_arguments()`, `.refresh`, `.set`, `.invalidate`, `.get` | [`KeyedDogpile::cached`]: a [`Cached`] function with the same methods |
//! | `should_cache_fn` | [`Created::keep`], said by the creator |
//! | `region.invalidate(hard=True)`, `hard=False` | [`invalidate_all`](KeyedDogpile::invalidate_all), [`expire_all`](KeyedDogpile::expire_all) |
//! | `region.key_is_locked(key)` | [`is_creating`](KeyedDogpile::is_creating) |
//! | memcached, Redis, a file as the backend | the crate `dogpile-fleet` and its stores |
//! | `time.time()` | A monotonic clock, or a clock of your own. A step of the wall clock changes nothing |
//!
//! # What is different
//!
//! - *A hit keeps the value in memory.* Python's `Dogpile` held a time, and the value was yours. Here the pile
//!   holds the value. [`acquire`](Dogpile::acquire) keeps the value of the last creation too, for callers who looked in vain
//!   meanwhile: [`Builder::keep_last`] switches that off.
//! - *One value for all.* All callers get the same value, behind a [`Guard`], and nobody gets a copy to change.
//! - *One error for all.* A creator that fails runs once, and all who waited share its error, in an `Arc`. In Python
//!   each of them ran the creator again, one after the other.
//! - *A creator that asks its own pile* gets the stale value, or [`Error::Reentrant`]. In Python it hung.
//! - *A nested reader without a value* gets [`Error::HoldsReadGuard`]: a thread that holds a read guard of a
//!   [`SyncReaderDogpile`] never waits for a creation. In Python a nested `acquire` could wait for itself.
//! - *An invalidation during a creation* wins: what the creation brings is superseded. In Python it was lost.
//! - *A soft invalidation after a hard one* does not bring the old value back.
//! - *Ctrl-C* ends a Rust program at once, and no creator learns of it. In Python it is an exception in the main thread, which a
//!   creator there passes on like any other. If a creation must not be cut off, handle the signal: see the recipe
//!   [`graceful_shutdown`](crate::docs::recipes::graceful_shutdown).
//! - *Exactly at the end of its life* a value is fresh, in both.
//!
//! # As a decorator
//!
//! This is how Python keeps the value of a function in memcached:
//!
//! ```python
//! def cached(key):
//!     def decorate(fn):
//!         dogpile = Dogpile(300)
//!         def create():
//!             value = fn()
//!             mc.set(key, value)
//!             return value
//!         def get():
//!             value = mc.get(key)
//!             if value is None:
//!                 raise NeedRegenerationException()
//!             return value
//!         def wrapper():
//!             with dogpile.acquire(create, get) as value:
//!                 return value
//!         return wrapper
//!     return decorate
//! ```
//!
//! The same in Rust, over any pair of `get` and `put`:
//!
//! ```
//! use std::collections::HashMap;
//! use std::convert::Infallible;
//! use std::sync::Mutex;
//! use std::time::Duration;
//!
//! use dogpile::{Acquired, Dogpile, Error, Lookup};
//!
//! /// `make`, with its value kept under `key` by any pair of `get` and `put`.
//! fn cached<K, V: Clone, E: Send + Sync + 'static>(
//!     key: K,
//!     ttl: Duration,
//!     get: impl Fn(&K) -> Result<Option<V>, E>,
//!     put: impl Fn(&K, &V) -> Result<(), E>,
//!     make: impl Fn() -> Result<V, E>,
//! ) -> impl Fn() -> Result<V, Error<E>> {
//!     let pile = Dogpile::new(ttl);
//!     move || {
//!         let create = || {
//!             let value = make()?;
//!             put(&key, &value)?;
//!             Ok(value)
//!         };
//!         let look_up = || get(&key).map(Lookup::from); // `None` means that it is not there
//!         Ok(Acquired::into_value(pile.acquire(create, look_up)?))
//!     }
//! }
//!
//! fn main() -> Result<(), Error<Infallible>> {
//!     let store = Mutex::new(HashMap::new()); // or memcached, a file, a table
//!     let front = cached(
//!         "front",
//!         Duration::from_secs(300),
//!         |key| Ok(store.lock().unwrap().get(key).cloned()),
//!         |key, html: &String| {
//!             store.lock().unwrap().insert(*key, html.clone());
//!             Ok(())
//!         },
//!         || Ok(String::from("<h1>slowly rendered</h1>")),
//!     );
//!     assert!(front()?.starts_with("<h1>"));
//!     assert!(store.lock().unwrap().contains_key("front"));
//!     Ok(())
//! }
//! ```
//!
//! In most programs the value can stay in the process. Then it is shorter: [`KeyedDogpile::cached`].
//!
#![doc = include_str!("../tables.html")]
#![doc(
    alias = "NeedRegenerationException",
    alias = "cache_on_arguments",
    alias = "ReadWriteMutex",
    alias = "NameRegistry",
    alias = "decorator"
)]

#[allow(unused_imports)]
use crate::*;
