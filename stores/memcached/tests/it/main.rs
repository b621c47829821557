//! The promises of a store, with real servers: each test starts its own, and ends it.
//!
//! Without `memcached` in the path they say so and are skipped; where `CI` is set, that is a failure.

mod abilities;
mod bench;
mod conformance;
mod faults;
mod killed;
mod lock_is_owned;
mod meta;
mod proxy;
mod server;
mod trips;

/// Where the processes of a herd begin.
#[test]
fn herd_member() {
    let Some(member) = herd::member() else { return };
    match member.role() {
        "dies" => killed::dies(&member),
        "waits" => killed::waits(&member),
        other => panic!("no such role: {other}"),
    }
}
