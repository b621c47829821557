//! `multi_never_deadlocks`: calls for several keys may overlap in any order. Nobody waits while holding
//! a lease, and each key has one creator.
//!
//! ```breakages
//! it-waits-while-it-holds-a-lease | src/keyed/multi.rs
//! @ fn comes_to
//! - Step::Wait => {}
//! + Step::Wait => drop(self.election.event().map(|event| event.wait(&crate::time::Time::system(), None))),
//!
//! what-is-left-out-is-given-up | src/keyed/multi.rs
//! - lease.fail_as(Failure::new(Arc::new(Missing)));
//! + drop(lease);
//! ```

use std::hash::{BuildHasherDefault, DefaultHasher};

use dogpile::{Dogpile, KeyedDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

struct World {
    map: KeyedDogpile<u32, usize, BuildHasherDefault<DefaultHasher>>,
    sources: [Source; 2],
}

impl World {
    fn new() -> Arc<Self> {
        let map = Dogpile::builder(HOUR)
            .keyed()
            .hasher(BuildHasherDefault::default());
        Arc::new(Self {
            map: map.build(),
            sources: [Source::new(), Source::new()],
        })
    }

    fn ask(&self, keys: [u32; 2]) -> Vec<usize> {
        let answers = self.map.get_or_create_multi(&keys, |wanted| {
            let make = |key: &&u32| (**key, self.sources[**key as usize].create());
            wanted.iter().map(make).collect::<Vec<_>>()
        });
        answers.into_iter().map(|answer| *answer.unwrap()).collect()
    }
}

#[test]
fn in_whatever_order_keys_are_named() {
    model(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.ask([1, 0]))
        };
        assert_eq!(world.ask([0, 1]), [1, 1]);
        assert_eq!(other.join().unwrap(), [1, 1]);
    });
}

/// Whoever waited for a key that was left out is told so, and does not create it.
#[test]
fn and_what_is_left_out_is_missing() {
    model(|| {
        let world = World::new();
        let mut other = None;
        let answers = world.map.get_or_create_multi(&[0], |_| {
            let world = Arc::clone(&world);
            other = Some(thread::spawn({
                let world = Arc::clone(&world);
                move || {
                    let never = || Ok::<_, u8>(world.sources[0].create());
                    world
                        .map
                        .get_or_try_create(&0, never)
                        .unwrap_err()
                        .is_missing()
                }
            }));
            while world.map.waiters(&0) == 0 {
                thread::yield_now();
            }
            Vec::<(u32, usize)>::new()
        });
        assert!(answers[0].is_none());
        assert!(other.unwrap().join().unwrap());
        assert_eq!(world.sources[0].runs(), 0);
    });
}
