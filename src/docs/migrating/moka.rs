//! From moka's `get_with` and `try_get_with`.
//!
//! # Which crate
//!
//! | I want | I use |
//! |---|---|
//! | to keep moka, with its eviction, weigher, listener and time to idle | the crate `dogpile-moka`: the same election over moka's cache |
//! | one value, not many | [`Dogpile`](crate::Dogpile) |
//! | many keys, and no need of moka's other features | [`KeyedDogpile`](crate::KeyedDogpile), as below |
//!
//! # Before
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use moka::sync::Cache;
//!
//! struct User {
//!     name: String,
//! }
//! # fn load(id: u64) -> Result<User, std::io::Error> { Ok(User { name: format!("user {id}") }) }
//!
//! fn users() -> Cache<u64, Arc<User>> {
//!     Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build()
//! }
//!
//! fn name(users: &Cache<u64, Arc<User>>, id: u64) -> Result<String, Arc<std::io::Error>> {
//!     let user = users.try_get_with(id, || load(id).map(Arc::new))?;
//!     Ok(user.name.clone())
//! }
//! # assert_eq!(name(&users(), 7).unwrap(), "user 7");
//! ```
//!
//! What was wrong:
//!
//! - When a user's minute is over, all callers of that user wait for `load`, though there is an old value.
//! - While the database is down there is nothing to serve: what has expired is gone. And each call asks again.
//! - `invalidate` during a load does not win: the load puts back what it read before. An
//!   `insert` during a load is overwritten by it.
//! - In `moka::future`, if the caller that loads is cancelled, another one begins anew. If all have a time-out that is
//!   shorter than the load, the cache never fills. If the caller's future is not polled, all wait.
//! - Calls with another error type, or `get_with` beside `try_get_with`, load a second time at the same moment.
//! - A closure that asks for its own key hangs.
//!
//! # After
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Dogpile, Error, KeyedDogpile};
//!
//! struct User {
//!     name: String,
//! }
//! # fn load(id: u64) -> Result<User, std::io::Error> { Ok(User { name: format!("user {id}") }) }
//!
//! fn users() -> KeyedDogpile<u64, User> {
//!     Dogpile::builder(Duration::from_secs(60))
//!         .stale_while_revalidate(Duration::from_secs(3600))
//!         .stale_if_error(Duration::from_secs(86_400))
//!         .keyed()
//!         .max_entries(10_000)
//!         .build()
//! }
//!
//! fn name(users: &KeyedDogpile<u64, User>, id: u64) -> Result<String, Error<std::io::Error>> {
//!     let user = users.get_or_try_create(&id, || load(id))?;
//!     Ok(user.name.clone())
//! }
//! # assert_eq!(name(&users(), 7).unwrap(), "user 7");
//! ```
//!
//! No `Arc` around the value: an answer is a guard, and [`KeyedGuard::to_owned`](crate::KeyedGuard::to_owned) gives a handle that may be
//! kept.
//!
//! | moka | here |
//! |---|---|
//! | `get_with(key, init)` | [`get_or_create`](crate::KeyedDogpile::get_or_create) |
//! | `try_get_with(key, init)` | [`get_or_try_create`](crate::KeyedDogpile::get_or_try_create) |
//! | `optionally_get_with` | a value of type `Option`, with a short life for `None`: see [`negative_results`](crate::docs::recipes::negative_results) |
//! | `future::Cache` | the same map: the forms with `_async`, or [`background`](crate::KeyedDogpile::background) |
//! | `get` | [`peek`](crate::KeyedDogpile::peek) |
//! | `insert` | [`set`](crate::KeyedDogpile::set) |
//! | `invalidate`, `remove` | [`invalidate`](crate::KeyedDogpile::invalidate), [`remove`](crate::KeyedDogpile::remove) |
//! | `invalidate_entries_if` | [`invalidate_where`](crate::KeyedDogpile::invalidate_where), done when it returns |
//! | `time_to_live` | the ttl, and how long a stale value may be served after it |
//! | `Expiry` | [`Created::ttl`](crate::Created::ttl), said by the creator |
//! | `max_capacity` | [`max_entries`](crate::KeyedBuilder::max_entries); with a weigher: [`max_weight`](crate::KeyedBuilder::max_weight) |
//! | `eviction_listener` | [`on_eviction`](crate::KeyedBuilder::on_eviction) |
//! | `time_to_idle` | not offered: keep moka, with `dogpile-moka` |
#![doc(
    alias = "get_with",
    alias = "try_get_with",
    alias = "Caffeine",
    alias = "quick_cache",
    alias = "cached"
)]
