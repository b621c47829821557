#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod connections;
mod error;
mod row;
mod schema;
mod settings;
mod store;

pub use settings::SqliteStoreBuilder;
pub use store::SqliteStore;
