//! Models of the promises in the crate's documentation: one file a promise, its name the promise's,
//! which is also the name of the tests in `tests/it`. Each file lists the breakages of the crate
//! that its models must catch; `.ci/breakages` applies them.
//!
//! A model uses the public API only. Where it says "inside the creator", the creator spawns the
//! other threads, so that they meet a creation that runs; where it joins them there, a thread that
//! waits for the creation is a deadlock, which loom reports.

mod canary;

#[cfg(dogpile_loom)]
mod broadcast;
#[cfg(dogpile_loom)]
mod cancel_is_safe;
#[cfg(dogpile_loom)]
mod dropped_once_and_soon;
#[cfg(dogpile_loom)]
mod error_reaches_everyone_once;
#[cfg(dogpile_loom)]
mod expire_keeps_serving;
#[cfg(dogpile_loom)]
mod first_call_waits;
#[cfg(dogpile_loom)]
mod given_up_is_free;
#[cfg(dogpile_loom)]
mod guard_keeps_value;
#[cfg(dogpile_loom)]
mod invalidate_wins;
#[cfg(dogpile_loom)]
mod kept_for_the_late;
#[cfg(dogpile_loom)]
mod nested_reader_goes_in;
#[cfg(dogpile_loom)]
mod no_double_regeneration;
#[cfg(dogpile_loom)]
mod no_starvation;
#[cfg(dogpile_loom)]
mod one_creator;
#[cfg(dogpile_loom)]
mod panic_hands_over;
#[cfg(dogpile_loom)]
mod pending_writer_goes_first;
#[cfg(dogpile_loom)]
mod publish_never_waits_for_readers;
#[cfg(dogpile_loom)]
mod reader_never_waits_for_creation;
#[cfg(dogpile_loom)]
mod set_wins;
#[cfg(dogpile_loom)]
mod stale_never_blocks;
#[cfg(dogpile_loom)]
mod wait_timeout;
#[cfg(dogpile_loom)]
mod what_i_saw;
#[cfg(dogpile_loom)]
mod write_lock_excludes_readers;
#[cfg(dogpile_loom)]
mod write_lock_in_creator;
