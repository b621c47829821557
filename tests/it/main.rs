//! Every promise by its name: a file for each section of the promises, a module or a test for each
//! promise.
//!
//! Nothing here sleeps to see time pass and nothing depends on luck: callers meet through channels,
//! barriers and the pile's own `waiters()`, and time is a clock that the test moves.

// Tests are built with the newest stable Rust, not with the lowest one the library supports.
#![allow(clippy::incompatible_msrv)]

mod api;
#[cfg(feature = "async")]
mod asynchronous;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod background;
mod bad_input;
mod bad_settings;
#[cfg(feature = "async")]
mod clocks;
mod completed;
mod count_hits;
mod created;
#[cfg(feature = "async")]
mod decisions;
mod election;
mod elsewhere;
#[cfg(feature = "async")]
mod ends;
mod every_form;
mod every_form_alone;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod executors;
mod failure;
mod forms;
#[cfg(feature = "async")]
mod gates;
mod guards;
mod handles;
mod hazards;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod keep_fresh;
mod keyed;
mod keyed_bad_input;
mod keyed_cold;
mod keyed_found;
mod keyed_leases;
mod keyed_limits;
mod keyed_multi;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod keyed_multi_background;
mod keyed_rate;
mod keyed_removed;
mod kinds;
mod lease;
mod lend;
mod mistakes;
mod next_value;
mod observed_once;
mod outage;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod paused;
mod policy;
#[cfg(feature = "async")]
mod promised;
#[cfg(feature = "async")]
mod shelf;
#[cfg(all(feature = "tokio", feature = "smol", feature = "rayon"))]
mod spawned;
mod strangers;
mod stress;
mod support;
mod sync_reader;
#[cfg(feature = "async")]
mod sync_reader_tasks;
#[cfg(feature = "async")]
mod tasks;
#[cfg(all(feature = "async", feature = "tracing"))]
mod traced;
mod truth;
