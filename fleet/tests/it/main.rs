//! The promises of the contract that hold among processes, each in a module of its name, and what they
//! rest on: the stores.
//!
//! Long rounds run where `DOGPILE_FLEET_LONG` is set, as `.ci/night` does.

// `promises` and `tasks` are there twice: over a pile of one key, and over a key of many.
#![allow(clippy::duplicate_mod)]

// What `promises` and `tasks` are over, here. In `one_of_many` they are over a key of many.
use dogpile_fleet::{FleetBuilder, FleetDogpile};

mod bad_input;
mod bench;
mod codecs;
mod conformance;
mod events;
mod garbled;
mod killed;
mod large;
mod lock_is_owned;
mod many_keys;
mod many_records;
mod one_of_many;
mod processes;
mod promises;
mod tasks;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "dies" => killed::dies(&member),
        "asks_once" => processes::asks_once(&member),
        "waits" => processes::waits(&member),
        "styles" => processes::styles(&member),
        "naive_styles" => processes::naive_styles(&member),
        "counts" => processes::counts(&member),
        "prints" => processes::prints(&member),
        other => panic!("no such role: {other}"),
    }
}
