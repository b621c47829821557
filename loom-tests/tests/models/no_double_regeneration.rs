//! `no_double_regeneration`: a caller that saw a stale value, and gets the lease only after somebody
//! else renewed it, does not create again.
//!
//! ```breakages
//! takes-the-lease-unseen | src/call/hit.rs
//! @ fn judge_locked
//! - match node {
//! + match node.filter(|node| node.times().ttl.is_zero()) {
//! ```

use crate::kind::{Pile, model};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

#[test]
fn of_a_value_that_two_find_stale() {
    model(|| {
        let pile = Arc::new((Pile::with_value(HOUR, 0), Source::new()));
        pile.0.expire();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let (pile, source) = &*pile;
                assert!(*pile.get_or_create(|| source.create()) <= 1);
            })
        };
        let (pile, source) = &*pile;
        assert!(*pile.get_or_create(|| source.create()) <= 1);
        other.join().unwrap();
        assert_eq!(source.runs(), 1);
        assert_eq!(*pile.peek().unwrap(), 1);
    });
}
