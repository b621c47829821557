#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod blocking;
mod greeting;
mod item;
pub mod meta;
mod place;
mod settings;
#[cfg(feature = "tokio")]
mod tasks;
mod timeline;
mod trouble;
mod verbs;

pub use blocking::MemcachedStore;
pub use settings::MemcachedBuilder;
#[cfg(feature = "tokio")]
pub use tasks::TokioMemcachedStore;
