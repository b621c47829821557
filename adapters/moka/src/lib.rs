#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "future")]
pub mod future;
#[cfg(feature = "sync")]
pub mod sync;

pub use dogpile_cache::{CacheDogpile, CacheGuard, Entry, Making};
