//! What a fleet is promised, over a file of SQLite.

mod bad_input;
mod bench;
mod conformance;
mod faults;
mod processes;
mod promises;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "leads" => processes::leads(&member),
        "waits" => processes::waits(&member),
        "calls" => processes::calls(&member),
        "writes" => processes::writes(&member),
        "holds the lock" => faults::holds_the_lock(&member),
        other => panic!("no such role: {other}"),
    }
}
