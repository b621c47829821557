//! `invalidate_wins`: a call that starts after `invalidate()` never yields a value whose creation
//! started before it. The running creator's result goes to its own caller only, marked superseded;
//! waiters elect anew.
//!
//! ```breakages
//! invalidate-leaves-the-generation | src/raw/change.rs
//! @ fn empty
//! - state.supersede();
//! + state.next();
//!
//! publish-forgets-the-generation | src/raw/end.rs
//! @ fn publish
//! - let superseded = state.supersedes(fence);
//! + let superseded = false;
//!
//! superseded-value-goes-to-waiters | src/raw/end.rs
//! - !(superseded && group.came_late())
//! + !(superseded && group.came_late() && group.fence() == 0)
//!
//! removing-a-key-supersedes-nobody | src/raw/keyed.rs
//! @ pub(crate) fn remove
//! - let old = Self::empty(&mut state);
//! + let old = state.swap(None);
//! ```

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::HOUR;
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::sync::atomic::{AtomicUsize, Ordering};
use loom_tests::thread;

#[derive(Default)]
struct World {
    /// What creators read; it changes from 0 to 1.
    truth: AtomicUsize,
    /// Tells that the pile was invalidated.
    told: AtomicUsize,
}

impl World {
    fn read(&self) -> usize {
        self.truth.load(Ordering::Acquire)
    }
}

fn pile() -> Arc<(Pile<usize>, World)> {
    Arc::new((Pile::new(HOUR), World::default()))
}

#[test]
fn for_the_thread_that_invalidated() {
    model(|| {
        let shared = pile();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, world) = &*shared;
                let value = pile.get_or_create(|| world.read());
                if *value == 0 {
                    // Created before the change: either nobody else got it, or it was removed.
                    assert!(matches!(
                        value.origin(),
                        Origin::Superseded | Origin::CreatedHere
                    ));
                }
            })
        };
        let (pile, world) = &*shared;
        world.truth.store(1, Ordering::Release);
        pile.invalidate();
        assert_eq!(*pile.get_or_create(|| world.read()), 1);
        other.join().unwrap();
        assert_eq!(*pile.peek().unwrap(), 1);
    });
}

#[test]
fn for_a_thread_that_was_told() {
    model(|| {
        let shared = pile();
        let early = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || drop(shared.0.get_or_create(|| shared.1.read())))
        };
        let told = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, world) = &*shared;
                let after = world.told.load(Ordering::Acquire) == 1;
                let value = pile.get_or_create(|| world.read());
                assert!(!after || *value == 1, "an old value after an invalidate");
            })
        };
        let (pile, world) = &*shared;
        world.truth.store(1, Ordering::Release);
        pile.invalidate();
        world.told.store(1, Ordering::Release);
        early.join().unwrap();
        told.join().unwrap();
    });
}

#[test]
fn waiters_elect_anew() {
    model(|| {
        let shared = pile();
        let mut waiter = None;
        let (pile, world) = &*shared;
        let value = pile.get_or_create(|| {
            let read = world.read();
            world.truth.store(1, Ordering::Release);
            pile.invalidate();
            // It starts after the invalidate, and waits for a creation that began before.
            let shared = Arc::clone(&shared);
            waiter = Some(thread::spawn(move || {
                *shared.0.get_or_create(|| shared.1.read())
            }));
            read
        });
        assert_eq!((*value, value.origin()), (0, Origin::Superseded));
        assert_eq!(waiter.unwrap().join().unwrap(), 1);
    });
}
