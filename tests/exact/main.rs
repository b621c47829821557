//! What a hit costs, exactly: nothing allocated, no system call, nothing written that other threads
//! use, so many instructions.
//!
//! The last is counted by valgrind, of a release build: `cargo test --release --test exact`.
#![cfg(target_os = "linux")]
// An allocator that counts, and a child process that may do next to nothing.
#![allow(unsafe_code)]
// Tests are built with the newest stable Rust, not with the lowest one the library supports.
#![allow(clippy::incompatible_msrv)]

mod allocation;
mod hits;
mod instructions;
mod keyed;
mod system_calls;
mod writes;
