//! The models of what is promised of a pile, over a key of a map: the same bodies, out of `tests/models/`.
//! `kind` says what they run over.
//!
//! | promise | over a key |
//! |---|---|
//! | `backoff`, `broadcast`, `dropped_once_and_soon`, `error_reaches_everyone_once`, `first_call_waits`, `guard_keeps_value`, `lend`, `min_interval`, `next_value`, `no_double_regeneration`, `one_creator`, `publish_never_waits_for_readers`, `refresh_ahead`, `set_wins`, `stale_if_error`, `stale_never_blocks`, `wait_timeout`, `what_i_saw` | all models |
//! | `cancel_is_safe`, `expire_keeps_serving`, `given_up_is_free`, `invalidate_wins`, `max_create_time`, `no_starvation` | all but those in the file beside it whose name ends with `_alone`: a key has no write lock, looks nothing up, and its lease borrows the map, so that a model cannot send it to another thread |
//! | `panic_hands_over` | under shuttle: a panic passes the visit of its caller, which locks the shard, and under loom nothing may be locked meanwhile (`src/shim/loom.rs` of the crate says why) |
//! | `kept_for_the_late` | none: a map looks nothing up |
//! | `nested_reader_goes_in`, `pending_writer_goes_first`, `reader_never_waits_for_creation`, `write_lock_excludes_readers`, `write_lock_in_creator` | none: a map has no write lock |
//! | `creation_limit`, `creation_rate`, `eviction_loses_nobody`, `keys_do_not_wait`, `multi_never_deadlocks`, `no_trace` | in `tests/models/`: they are promised of a map |
//!
//! What a visit does at the lock of a shard multiplies the interleavings. So loom goes through all with one
//! preemption, and through some thousands of those with two: in most models these are all there are.
//! `.ci/night` goes through all with two, and shuttle goes as far as in any model.
#![cfg(any(dogpile_loom, dogpile_shuttle))]

/// What the models run over here.
use loom_tests::keyed as kind;

#[path = "../models/backoff.rs"]
mod backoff;
#[path = "../models/broadcast.rs"]
mod broadcast;
#[path = "../models/cancel_is_safe.rs"]
mod cancel_is_safe;
#[path = "../models/dropped_once_and_soon.rs"]
mod dropped_once_and_soon;
#[path = "../models/error_reaches_everyone_once.rs"]
mod error_reaches_everyone_once;
#[path = "../models/expire_keeps_serving.rs"]
mod expire_keeps_serving;
#[path = "../models/first_call_waits.rs"]
mod first_call_waits;
#[path = "../models/given_up_is_free.rs"]
mod given_up_is_free;
#[path = "../models/guard_keeps_value.rs"]
mod guard_keeps_value;
#[path = "../models/invalidate_wins.rs"]
mod invalidate_wins;
#[path = "../models/lend.rs"]
mod lend;
#[path = "../models/max_create_time.rs"]
mod max_create_time;
#[path = "../models/min_interval.rs"]
mod min_interval;
#[path = "../models/next_value.rs"]
mod next_value;
#[path = "../models/no_double_regeneration.rs"]
mod no_double_regeneration;
#[path = "../models/no_starvation.rs"]
mod no_starvation;
#[path = "../models/one_creator.rs"]
mod one_creator;
#[cfg(dogpile_shuttle)]
#[path = "../models/panic_hands_over.rs"]
mod panic_hands_over;
#[path = "../models/publish_never_waits_for_readers.rs"]
mod publish_never_waits_for_readers;
#[path = "../models/refresh_ahead.rs"]
mod refresh_ahead;
#[path = "../models/set_wins.rs"]
mod set_wins;
#[path = "../models/stale_if_error.rs"]
mod stale_if_error;
#[path = "../models/stale_never_blocks.rs"]
mod stale_never_blocks;
#[path = "../models/wait_timeout.rs"]
mod wait_timeout;
#[path = "../models/what_i_saw.rs"]
mod what_i_saw;
