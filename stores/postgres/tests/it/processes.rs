//! A process that creates is killed: one takes over when its lease ends, and nobody before.

use std::sync::Arc;

use dogpile_postgres::{PostgresStore, Settings};
use herd::{Herd, Member};
use store_bench::{MINUTE, killed};

use crate::server::server;

/// The store of a member.
pub(crate) fn store(member: &Member) -> Arc<PostgresStore> {
    let url: String = member.get("url");
    Arc::new(PostgresStore::with(&url, Settings::new().timeout(MINUTE / 3)).expect("a store"))
}

#[test]
fn a_creator_that_is_killed_is_replaced_once_when_its_lease_ends() {
    let server = server!();
    let herd = |role: &str| Herd::of_this_test("herd_member", role).with("url", server.url());
    killed::is_replaced_once(herd, || server.store());
}
