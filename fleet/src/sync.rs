//! The locks and numbers by which the calls of one process agree: the real ones, or, where the crate is
//! built for its models, those of loom or shuttle.
//!
//! Counters, and what a store in memory keeps, are no part of that: to a model each verb of a store is one
//! step.

#[cfg(dogpile_loom)]
mod imp {
    pub(crate) use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{ThreadId, current};
}
#[cfg(dogpile_shuttle)]
mod imp {
    pub(crate) use shuttle::sync::atomic::AtomicU64;
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::{ThreadId, current};
}
#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
mod imp {
    pub(crate) use std::sync::atomic::AtomicU64;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{ThreadId, current};
}

pub(crate) use self::imp::*;
