//! A process that creates is killed: one takes over when its lease ends, and nobody before.

use std::time::{Duration, Instant};

use dogpile_fleet::{Ask, FleetDogpile, FleetGuard, Found, Store};
use dogpile_postgres::{PostgresStore, Settings};
use herd::{Herd, Member};
use std::sync::Arc;

use crate::bench::MINUTE;
use crate::server::server;

const LEASE: Duration = Duration::from_millis(1500);

fn pile(member: &Member) -> FleetDogpile<String, PostgresStore> {
    let url: String = member.get("url");
    let store =
        Arc::new(PostgresStore::with(&url, Settings::new().timeout(MINUTE / 3)).expect("a store"));
    let builder = FleetDogpile::builder(store, "key", MINUTE).lease(LEASE);
    builder.namespace("killed").build()
}

/// Leads until it is killed.
pub(crate) fn leads(member: &Member) {
    let pile = pile(member);
    member.wait_at_the_gate();
    let made = pile.get_or_try_create(|creation| {
        member.say(creation.fence().expect("a lease"));
        std::thread::sleep(MINUTE);
        Ok::<_, String>("late".to_owned())
    });
    panic!("it was to be killed: {made:?}");
}

/// Calls once, and says whether it created.
pub(crate) fn waits(member: &Member) {
    let pile = pile(member);
    member.wait_at_the_gate();
    let mut created = 0;
    let made = pile.get_or_try_create(|_| {
        created += 1;
        Ok::<_, String>("next".to_owned())
    });
    let guard = made.expect("a value");
    assert_eq!(*guard, "next");
    let version = FleetGuard::version(&guard);
    member.say(format!("created={created} version={version}"));
}

#[test]
fn a_creator_that_is_killed_is_replaced_once_when_its_lease_ends() {
    let server = server!();
    let herd = |role| Herd::of_this_test("herd_member", role).with("url", server.url());
    let mut leader = herd("leads").start();
    leader.release();
    let fence: u64 = leader
        .line_of(0)
        .expect("it leads")
        .parse()
        .expect("a number");
    leader.kill(0);
    // Nobody renews the lease from now on. The server said when it ends.
    let look = server.store();
    let key = pile_key(&look);
    let Ok(Found::Busy { retry_in, .. }) = look.get_or_lease(&key, &Ask::peek()) else {
        panic!("it is led")
    };
    let begun = Instant::now();
    let done = herd("waits").size(8).run();
    assert_eq!(done.sum("created"), 1);
    let versions = done.numbers("version");
    assert!(
        versions.iter().all(|version| *version == versions[0]),
        "{versions:?}"
    );
    assert!(versions[0] > fence);
    // They were let go before the lease was over, as far as the clocks agree: so they waited for that.
    assert!(begun.elapsed() + Duration::from_millis(50) > retry_in);
}

fn pile_key(store: &Arc<PostgresStore>) -> dogpile_fleet::Key {
    let builder = FleetDogpile::<String, _>::builder(Arc::clone(store), "key", MINUTE);
    builder.namespace("killed").build().key().clone()
}
