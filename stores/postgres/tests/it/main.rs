//! What a fleet is promised, over a real PostgreSQL. The tests start the server themselves, and end it.
//!
//! Where the server is missing they say so and do nothing; in a CI they fail.

//MOD mod bad_input;
mod bench;
mod conformance;
//MOD mod faults;
//MOD mod processes;
//MOD mod promises;
mod server;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        //MOD "leads" => processes::leads(&member),
        //MOD "waits" => processes::waits(&member),
        other => panic!("no such role: {other}"),
    }
}
