//! Where threads, and what they share, come from.

pub(crate) use futures::executor::block_on;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::thread::{scope, yield_now};
