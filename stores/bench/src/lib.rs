//! What the tests of several stores need. Each store has its server or file, and its clock, in its own tests.
//!
//! - A [`Process`] of a fleet is a pile over a store. It fails when it sees something older than before.
//! - [`lead`], [`put`] and [`held`] ask a store without a pile.
//! - [`cut`] cuts the line to a server within its answers.
//! - [`killed`] has processes of a [`herd`], one of which is killed while it creates.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cut;
pub mod killed;
mod number;
mod process;

use std::time::Duration;

use dogpile_fleet::{Ask, Found, Grant, Guarded, Key, Owner, Put, Store};

pub use number::Number;
pub use process::Process;

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// How long the values of a [`Process`] are fresh.
pub const TTL: Duration = Duration::from_secs(10);

/// Takes the lease of a record.
///
/// # Panics
///
/// If it is not granted.
#[track_caller]
pub fn lead(store: &dyn Store, key: &Key, lease: Duration) -> Grant {
    let owner = Owner::draw();
    match store.get_or_lease(key, &Ask::lead(owner, lease)) {
        Ok(Found::Leased { fence, .. }) => Grant { owner, fence },
        other => panic!("no lease: {other:?}"),
    }
}

/// A write of a value that is fresh for a minute, and kept for two.
pub fn put(guard: Guarded, bytes: &[u8]) -> Put<'_> {
    Put {
        guard,
        bytes,
        age: Duration::ZERO,
        fresh_for: MINUTE,
        keep_for: MINUTE * 2,
    }
}

/// What the store has, without asking to lead.
///
/// # Panics
///
/// If the store does not answer.
#[track_caller]
pub fn held(store: &dyn Store, key: &Key) -> Option<Vec<u8>> {
    let found = store.get_or_lease(key, &Ask::peek()).expect("it answers");
    let stored = found.stored()?;
    Some(stored.bytes.clone().expect("bytes"))
}
