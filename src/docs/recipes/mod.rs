//! Tasks, and programs that do them. Every program here runs as a test.
//!
//! | I want to | recipe |
//! |---|---|
//! | check signed tokens with the keys of an issuer, and survive made-up key ids | [`jwks`] |
//! | hold an OAuth access token that is renewed before it ends | [`oauth_token`] |
//! | read a configuration file again when it changes | [`config_file`] |
//! | show a page that is slow to render | [`slow_page`] |
//! | keep one value for each tenant, user or file | [`tenants`] |
//! | replace a data file that is read through a memory map | [`data_file`] |
//! | remember for a short time that something does not exist | [`negative_results`] |
//! | go on while the source is down: retry, back-off, stale-if-error | [`source_down`] |
//! | end a program without breaking a creation | [`graceful_shutdown`] |
//! | see what a pile does: metrics, tracing, logs | [`metrics`] |
//! | test without sleeping | [`testing`] |
//! | find out why callers hang | [`hanging`] |
//!
//! # Programs of a page or more
//!
//! The repository has complete programs in `examples/`, and each of them checks itself:
//! `cargo run --release --example jwks`, for instance. The [README] lists them.
//!
//! # A value that several processes share
//!
//! The crate `dogpile-fleet` puts a pile in each process over a store that they share: a directory, or a
//! server. Its [documentation](https://docs.rs/dogpile-fleet) begins with which store to use for what, and has a
//! [recipe](https://docs.rs/dogpile-fleet/latest/dogpile_fleet/docs/shared_token/). The stores in servers and databases are
//! crates of their own: `dogpile-redis`, `dogpile-memcached`, `dogpile-postgres` and `dogpile-sqlite`.
//!
//! [README]: https://docs.rs/crate/dogpile/latest

pub mod config_file;
pub mod data_file;
pub mod graceful_shutdown;
pub mod hanging;
pub mod jwks;
pub mod metrics;
pub mod negative_results;
pub mod oauth_token;
pub mod slow_page;
pub mod source_down;
pub mod tenants;
pub mod testing;
