//! One creator among all processes that share a Redis.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile_fleet::FleetDogpile;
//! use dogpile_redis::RedisStore;
//!
//! let store = Arc::new(RedisStore::open("redis://127.0.0.1/")?);
//! let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
//! let list = offers.get_or_try_create(|_| std::fs::read_to_string("offers.txt"))?;
//! # drop(list);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "tokio")]
mod async_store;
mod error;
mod hints;
mod names;
mod request;
mod settings;
mod sleepers;
mod store;

#[cfg(feature = "tokio")]
pub use async_store::AsyncRedisStore;
pub use settings::Settings;
pub use store::RedisStore;
