//! A process that creates is killed: one takes over when its lease ends, and nobody before.

use std::sync::Arc;

use dogpile_redis::RedisStore;
use herd::{Herd, Member};
use store_bench::killed;

use crate::server::server;

/// The store of a member.
pub(crate) fn store(member: &Member) -> Arc<RedisStore> {
    let url: String = member.get("url");
    Arc::new(RedisStore::open(&url).expect("a store"))
}

#[test]
fn a_creator_that_is_killed_is_replaced_once_when_its_lease_ends() {
    let server = server!();
    let herd = |role: &str| Herd::of_this_test("herd_member", role).with("url", server.url());
    killed::is_replaced_once(herd, || server.store());
}
