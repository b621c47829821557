//! What a fleet is promised, over a real PostgreSQL. The tests start the server themselves, and end it.
//!
//! Where the server is missing they say so and do nothing; in a CI they fail.

mod bad_input;
mod bench;
mod conformance;
mod faults;
mod processes;
mod promises;
mod server;
mod tls;

use store_bench::killed;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "leads" => killed::leads(&member, processes::store(&member)),
        "waits" => killed::waits(&member, processes::store(&member)),
        other => panic!("no such role: {other}"),
    }
}
