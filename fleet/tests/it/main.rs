//! The promises of the contract that hold among processes, each in a module of its name, and what they
//! rest on: the stores.
//!
//! Long rounds run where `DOGPILE_FLEET_LONG` is set, as `.ci/night` does.

mod bad_input;
mod bench;
mod codecs;
mod conformance;
mod garbled;
mod killed;
mod large;
mod lock_is_owned;
mod many_records;
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
