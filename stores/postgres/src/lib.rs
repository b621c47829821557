#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod async_store;
mod connections;
mod error;
mod hints;
mod settings;
mod store;
mod verbs;

pub use async_store::AsyncPostgresStore;
pub use settings::Settings;
pub use store::PostgresStore;
