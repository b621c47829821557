//! What a hit, a wait and a creation cost.
//!
//! # In short
//!
//! - A *hit* costs about five nanoseconds, and the same on each thread: it writes nothing that another thread
//!   writes. It takes no lock, allocates nothing and makes no system call. Where the kernel has membarrier(2), it
//!   executes no locked instruction. Tests check all of that.
//! - A *stale hit* during a creation, a back-off or an interval costs the same.
//! - A *wait* costs what a futex costs: all threads that wait are woken by one call, and none of them takes a
//!   lock. A waiting task holds about a hundred bytes and its own creator, which it did not use.
//! - A *creation* allocates for its value, twice more if anybody waits, and once more if the creator is a
//!   future.
//! - *Replacing* a value costs one membarrier(2): half a microsecond, or ten if other threads are busy.
//! - The state of a pile takes 32 bytes, and 112 more in a box once there was a creation. A key gives the box
//!   back when nobody creates or waits. A [`Dogpile`] stands on cache lines of its own, 384 bytes. A key of a
//!   [`KeyedDogpile`] takes about 260 bytes, with the key, a value of eight bytes, and its place in the table.
//!
//! # What makes it slower
//!
//! | what you do | what it costs |
//! |---|---|
//! | [`Guard::to_owned`] on each hit | a counter that all threads write: four times as much with two threads |
//! | an own [`Clock`], or [`executor::Tokio`] as the clock | the time it takes to ask it; the default clock is a coarse one |
//! | [`Builder::count_hits`] | an increment of memory that only this thread writes |
//! | more than 256 guards held at once by a thread | those beyond count themselves |
//! | a [`KeyedDogpile`] instead of a [`Dogpile`] | the time it takes to find the key, and a second slot; the first hit of a key takes a short lock |
//! | more than 128 guards of a map held at once by a thread | those beyond take a short lock that some keys share, and count themselves |
//! | replacing a value a thousand times a second | hits pay a fence, and the writer does without the barrier |
//!
//! Settings, statistics and observers that are switched on cost a hit nothing.
//!
//! [hit]: #nanoseconds-a-hit-by-threads
//! [herd]: #the-time-to-serve-a-herd
//!
#![doc = include_str!("../../docs/performance.md")]
//!
//! ## Nanoseconds a hit, by threads
//!
#![doc = include_str!("picture.html")]
#![doc = include_str!("../../docs/hit.svg")]
//! </div>
//!
//! ## The time to serve a herd
//!
//! <div class="picture">
#![doc = include_str!("../../docs/herd.svg")]
//! </div>
//!
#![doc = include_str!("tables.html")]
#![doc(alias = "benchmark", alias = "latency", alias = "overhead")]

#[allow(unused_imports)]
use crate::*;
