//! What a fleet is promised, over a real Redis. The tests start the server themselves, and end it.
//!
//! Where `redis-server` is missing they say so and do nothing; in a CI they fail.

mod async_store;
mod bad_input;
mod bench;
mod conformance;
mod faults;
mod hints;
mod processes;
mod round_trips;
mod server;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "leads" => processes::leads(&member),
        "waits" => processes::waits(&member),
        other => panic!("no such role: {other}"),
    }
}
