//! `creation_limit`: so many creations of a map run at once, and no wake-up is lost.
//!
//! ```breakages
//! a-permit-comes-back-unnoticed | src/keyed/turns.rs
//! @ fn wake
//! - if let Some(turn) = first {
//! + if let (Some(turn), false) = (first, true) {
//!
//! more-permits-than-there-are | src/keyed/turns.rs
//! - if state.free > 0 {
//! -     state.free -= 1;
//! + if state.free < 9 {
//!
//! the-permit-is-given-back-at-the-election | src/keyed/turns.rs
//! @ fn attempt
//! - *limited.permit.lock() = Some(permit);
//! + drop(permit);
//!
//! who-is-gone-keeps-its-wake-up | src/keyed/turns.rs
//! @ impl Drop for Place
//! - self.turns.leave(&self.turn);
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher};

use dogpile::{Dogpile, KeyedDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

struct World {
    map: KeyedDogpile<u32, usize, BuildHasherDefault<DefaultHasher>>,
    /// What the creators of all keys read: two at once are noticed.
    source: Source,
}

impl World {
    fn new() -> Arc<Self> {
        let map = Dogpile::builder(HOUR)
            .keyed()
            .hasher(BuildHasherDefault::default());
        Arc::new(Self {
            map: map.creation_limit(1).build(),
            source: Source::new(),
        })
    }

    fn create(&self, key: u32) {
        drop(self.map.get_or_create(&key, || self.source.create()));
    }
}

#[test]
fn of_two_keys_one_is_created_after_the_other() {
    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.create(1))
        };
        world.create(2);
        other.join().unwrap();
        assert_eq!(world.source.runs(), 2);
    });
}

/// Both ask for both: each key is created once.
#[test]
fn and_each_key_has_one_creator() {
    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.create(1);
                world.create(2);
            })
        };
        world.create(1);
        other.join().unwrap();
        assert_eq!(world.source.runs(), 2);
    });
}

/// A task that waits for its turn goes away as the turn comes: the next who waits gets it.
#[test]
fn and_who_is_gone_keeps_no_turn() {
    use loom_tests::future::block_on;
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                block_on(async {
                    let call = world
                        .map
                        .get_or_create_async(&1, || async { world.source.create() });
                    let mut call = pin!(call);
                    // One poll, and no more.
                    poll_fn(|cx| {
                        let _polled = call.as_mut().poll(cx);
                        Poll::Ready(())
                    })
                    .await;
                });
            })
        };
        let third = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.create(2))
        };
        world.create(3);
        other.join().unwrap();
        third.join().unwrap();
        assert!((2..=3).contains(&world.source.runs()));
    });
}
