//! A process that creates is killed: one takes over when its lease ends, and nobody before.
//!
//! The test of a store calls [`is_replaced_once`]. Its herd has two roles, `leads` and `waits`, whose members do
//! what the functions of these names do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dogpile_fleet::{Ask, FleetDogpile, FleetGuard, Found, Store};
use herd::{Herd, Member};

use crate::MINUTE;

const LEASE: Duration = Duration::from_millis(1500);

fn pile<S: Store>(store: Arc<S>) -> FleetDogpile<String, S> {
    let builder = FleetDogpile::builder(store, "key", MINUTE).lease(LEASE);
    builder.namespace("killed").build()
}

/// Leads until it is killed.
///
/// # Panics
///
/// If it is not.
pub fn leads<S: Store>(member: &Member, store: Arc<S>) {
    let pile = pile(store);
    member.wait_at_the_gate();
    let made = pile.get_or_try_create(|creation| {
        member.say(creation.fence().expect("a lease"));
        std::thread::sleep(MINUTE);
        Ok::<_, String>("late".to_owned())
    });
    panic!("it was to be killed: {made:?}");
}

/// Calls once, and says whether it created.
///
/// # Panics
///
/// If it has another value than that of one who waits.
pub fn waits<S: Store>(member: &Member, store: Arc<S>) {
    let pile = pile(store);
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

/// Starts one who leads, kills it, and starts eight who wait: one of them creates, when the lease has ended.
///
/// `herd` makes the herd of a role. `look` opens the store in this process, once nobody leads any more.
///
/// # Panics
///
/// If that is not so.
pub fn is_replaced_once<S: Store>(herd: impl Fn(&str) -> Herd, look: impl FnOnce() -> Arc<S>) {
    let mut leader = herd("leads").start();
    leader.release();
    let said = leader.line_of(0).expect("it leads");
    let fence: u64 = said.parse().expect("a number");
    leader.kill(0);
    // Nobody renews the lease from now on. The store says when it ends.
    let look = look();
    let key = pile(Arc::clone(&look)).key().clone();
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
