//! Histories: whether what happened on real threads is what the contract allows.
//!
//! [`spec`] is the contract as a machine of single steps. Small programs, at random and all of the
//! smallest, run on threads, and a search ([`linearize`]) tells whether some order of steps explains
//! every answer; long runs are checked by intervals alone ([`long`]); one thread with a clock moved
//! by hand, and leases and waits held over, is compared step by step ([`edges`]).
//!
//! `.ci/breakages` breaks the crate on purpose and demands that these tests fail.
//!
//! `HISTORIES_SEED` gives the random programs again that a failure printed; `HISTORIES_TIMES` runs
//! so many times as much.
#![cfg(not(any(dogpile_loom, dogpile_shuttle)))]

mod edges;
mod history;
mod linearize;
mod long;
mod program;
mod refused;
mod small;
mod spec;
mod threads;
mod watchdog;
