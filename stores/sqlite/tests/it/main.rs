//! What a fleet is promised, over a file of SQLite.

mod bad_input;
mod bench;
mod conformance;
mod faults;
mod processes;
mod promises;

use store_bench::killed;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "leads" => killed::leads(&member, processes::store(&member.get("path"))),
        "waits" => killed::waits(&member, processes::store(&member.get("path"))),
        "calls" => processes::calls(&member),
        "writes" => processes::writes(&member),
        "holds the lock" => faults::holds_the_lock(&member),
        other => panic!("no such role: {other}"),
    }
}
