//! Models of the promises in the crate's documentation: one file a promise, its name the promise's,
//! which is also the name of the tests in `tests/it`. Each file lists the breakages of the crate
//! that its models must catch; `.ci/breakages` applies them. Those in `many/` are of more threads than
//! loom bears, and run under shuttle alone.
//!
//! A model uses the public API only. Where it says "inside the creator", the creator spawns the
//! other threads, so that they meet a creation that runs; where it joins them there, a thread that
//! waits for the creation is a deadlock, which loom and shuttle report.

mod canary;

#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod broadcast;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod cancel_is_safe;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod dropped_once_and_soon;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod error_reaches_everyone_once;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod expire_keeps_serving;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod first_call_waits;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod given_up_is_free;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod guard_keeps_value;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod invalidate_wins;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod kept_for_the_late;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod nested_reader_goes_in;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod no_double_regeneration;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod no_starvation;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod one_creator;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod panic_hands_over;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod pending_writer_goes_first;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod publish_never_waits_for_readers;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod reader_never_waits_for_creation;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod set_wins;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod stale_never_blocks;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod wait_timeout;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod what_i_saw;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod write_lock_excludes_readers;
#[cfg(any(dogpile_loom, dogpile_shuttle))]
mod write_lock_in_creator;

#[cfg(dogpile_shuttle)]
mod many;
