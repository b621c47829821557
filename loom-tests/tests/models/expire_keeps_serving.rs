//! `expire_keeps_serving`: after `expire()` the value is stale: one caller regenerates, others are
//! served. A creation that began before is published, but already stale.
//!
//! ```breakages
//! publish-forgets-the-expiry-mark | src/raw/end.rs
//! - if state.expiry_mark() > fence {
//! + if state.expiry_mark() > fence && fence == 0 {
//!
//! expire-leaves-the-mark | src/raw/change.rs
//! - state.mark_expiry();
//! + state.next();
//!
//! expire-removes | src/raw/change.rs
//! - let current = state.current().map(|node| node.expire(now));
//! + let current = state.current().map(|_| ());
//! + let old = state.swap(None);
//! + let current = { drop(state); drop(old); state = self.cell.lock(); current };
//! ```

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::HOUR;
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::sync::atomic::{AtomicUsize, Ordering};
use loom_tests::thread;

#[test]
fn what_began_before_is_published_stale() {
    model(|| {
        let shared = Arc::new((Pile::new(HOUR), AtomicUsize::new(0)));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, truth) = &*shared;
                let value = pile.get_or_create(|| truth.load(Ordering::Acquire));
                assert_eq!(value.origin(), Origin::CreatedHere);
            })
        };
        let (pile, truth) = &*shared;
        truth.store(1, Ordering::Release);
        pile.expire();
        other.join().unwrap();
        // Whatever the other one read: this call renews what began before the change.
        assert_eq!(*pile.get_or_create(|| truth.load(Ordering::Acquire)), 1);
    });
}

#[test]
fn others_are_served_meanwhile() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 1));
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || match *pile.peek().expect("expired, not removed") {
                held @ (1 | 2) => held,
                other => panic!("{other}"),
            })
        };
        pile.expire();
        let renewed = pile.get_or_create(|| 2);
        assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
        reader.join().unwrap();
    });
}
