//! `expire_keeps_serving`: after `expire()` the value is stale: one caller regenerates, others are
//! served. A creation that began before is published, but already stale.
//!
//! ```breakages
//! publish-forgets-the-expiry-mark | src/raw/mod.rs
//! - if state.expiry_mark > fence {
//! + if state.expiry_mark > fence && fence == 0 {
//!
//! expire-leaves-the-mark | src/raw/mod.rs
//! - state.expiry_mark = state.next();
//! + state.next();
//!
//! expire-leaves-the-value | src/raw/node.rs
//! - self.stale_from.store(0, Ordering::Relaxed);
//!
//! expire-removes | src/raw/mod.rs
//!   if let Some(node) = self.cell.load() {
//! - node.expire(now);
//! + let _ = (node, now);
//! + let _ = self.cell.swap(None);
//! ```

use dogpile::{Dogpile, Origin};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;
use loom_tests::{model, HOUR};

#[test]
fn what_began_before_is_published_stale() {
    model(|| {
        let shared = Arc::new((Dogpile::new(HOUR), AtomicUsize::new(0)));
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
        let pile = Arc::new(Dogpile::with_value(HOUR, 1));
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
