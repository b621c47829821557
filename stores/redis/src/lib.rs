#![doc = include_str!("../README.md")]
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
