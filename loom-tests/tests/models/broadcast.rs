//! `broadcast`: waiters leave together, not one by one; none of them runs `create`.
//!
//! ```breakages
//! wakes-one | src/shim/loom.rs
//! - self.0.notify_all();
//! + self.0.notify_one();
//! ```
//!
//! That none of them takes the pile's lock either is by construction: `Creation::wait` knows no
//! pile.

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::HOUR;
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;

#[test]
fn two_who_wait_for_one_creation() {
    model(|| {
        let pile = Arc::new(Pile::<i32>::new(HOUR));
        let mut waiting = 0;
        let mut waiters = Vec::new();
        drop(pile.get_or_create(|| {
            waiters.extend((0..2).map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let value =
                        pile.get_or_create(|| unreachable!("there is a value, or there will be"));
                    assert_eq!(*value, 7);
                    value.origin()
                })
            }));
            waiting = pile.waiters();
            7
        }));
        let origins: Vec<_> = waiters.into_iter().map(|w| w.join().unwrap()).collect();
        let handed = origins
            .iter()
            .filter(|&&origin| origin == Origin::CreatedByAnother)
            .count();
        assert!(
            handed >= waiting,
            "{waiting} waited, {handed} were handed the value"
        );
    });
}
