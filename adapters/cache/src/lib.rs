#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "async")]
mod background;
mod cache;
mod entry;
mod guard;
mod guarded;
mod making;
mod running;
#[cfg(feature = "async")]
mod task;
mod thread;

#[cfg(feature = "async")]
pub use crate::background::CacheBackground;
#[cfg(feature = "async")]
pub use crate::cache::AsyncCache;
pub use crate::cache::Cache;
pub use crate::entry::Entry;
pub use crate::guard::CacheGuard;
pub use crate::guarded::CacheDogpile;
pub use crate::making::Making;
