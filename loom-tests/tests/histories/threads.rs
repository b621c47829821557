//! Where threads, and what they share, come from.

pub(crate) use futures::executor::block_on;
pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::thread::{JoinHandle, scope, spawn, yield_now};
