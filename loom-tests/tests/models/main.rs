//! Models of the promises in the crate's documentation: one file a promise, its name the promise's,
//! which is also the name of the tests in `tests/it`. Each file lists the breakages of the crate
//! that its models must catch; `.ci/breakages` applies them. Those in `many/` are of more threads than
//! loom bears, and run under shuttle alone.
//!
//! A model uses the public API only. Where it says "inside the creator", the creator spawns the
//! other threads, so that they meet a creation that runs; where it joins them there, a thread that
//! waits for the creation is a deadlock, which loom and shuttle report.
//!
//! That they run at all, `canary.rs` beside this folder sees to.
#![cfg(any(dogpile_loom, dogpile_shuttle))]

/// What the models of a pile run over here.
use loom_tests::plain as kind;

mod backoff;
mod broadcast;
mod cancel_is_safe;
mod cancel_is_safe_alone;
mod creation_limit;
mod creation_rate;
mod dropped_once_and_soon;
mod error_reaches_everyone_once;
mod eviction_loses_nobody;
mod expire_keeps_serving;
mod expire_keeps_serving_alone;
mod fenced;
mod first_call_waits;
mod fleet_invalidate_wins;
mod given_up_is_free;
mod given_up_is_free_alone;
mod guard_keeps_value;
mod invalidate_wins;
mod invalidate_wins_alone;
mod kept_for_the_late;
mod keys_do_not_wait;
mod lend;
mod max_create_time;
mod max_create_time_alone;
mod min_interval;
mod multi_never_deadlocks;
mod multi_never_deadlocks_in_the_background;
mod nested_reader_goes_in;
mod next_value;
mod no_double_regeneration;
mod no_starvation;
mod no_starvation_alone;
mod no_trace;
mod one_creator;
mod panic_hands_over;
mod pending_writer_goes_first;
mod publish_never_waits_for_readers;
mod reader_never_waits_for_creation;
mod refresh_ahead;
mod set_wins;
mod stale_if_error;
mod stale_never_blocks;
mod store_first;
mod wait_timeout;
mod what_i_saw;
mod write_lock_excludes_readers;
mod write_lock_in_creator;

#[cfg(dogpile_shuttle)]
mod many;
