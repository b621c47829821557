//! `kill -9` of a process that creates: its lease ends, and one of those who wait takes over.

use std::time::Duration;

use dogpile_fleet::FleetDogpile;
use dogpile_memcached::MemcachedStore;
use herd::{Herd, Member};

use crate::bench::LONG;
use crate::server::{Kind, Server};

fn pile(member: &Member) -> FleetDogpile<String, MemcachedStore> {
    let address: String = member.get("address");
    let store = MemcachedStore::connect([address]).unwrap();
    FleetDogpile::builder(store.into(), "key", LONG)
        .lease(Duration::from_millis(500))
        .build()
}

pub(crate) fn dies(member: &Member) {
    let pile = pile(member);
    member.wait_at_the_gate();
    let made = pile.get_or_try_create(|_| {
        member.say("creates");
        std::thread::sleep(LONG);
        Ok::<_, String>("of the dead".to_owned())
    });
    member.say(format!("lives: {}", *made.unwrap()));
}

pub(crate) fn waits(member: &Member) {
    let pile = pile(member);
    member.wait_at_the_gate();
    let mut created = 0;
    let made = pile.get_or_try_create(|_| {
        created += 1;
        Ok::<_, String>("of the next".to_owned())
    });
    let value = made.map(|made| made.clone());
    member.say(format!("created={created} {}", value.unwrap()));
}

#[test]
fn one_takes_over_when_the_lease_has_ended() {
    for kind in [Kind::Unix, Kind::Tcp] {
        let Some(server) = Server::start(kind, &[]) else {
            return;
        };
        let herd = |role| Herd::of_this_test("herd_member", role).with("address", server.address());
        let mut dies = herd("dies").start();
        dies.release();
        assert_eq!(dies.line_of(0).as_deref(), Some("creates"));
        let mut waits = herd("waits").size(10).start();
        waits.release();
        dies.kill(0);
        let done = waits.collect();
        assert_eq!(done.lines().count(), 10);
        assert!(done.lines().all(|line| line.ends_with("of the next")));
        assert_eq!(done.sum("created"), 1, "exactly one takes over");
    }
}
