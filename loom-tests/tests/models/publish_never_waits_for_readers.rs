//! `publish_never_waits_for_readers`: a guard held for an hour delays no creator and does not slow
//! the readers of newer values.
//!
//! ```breakages
//! publish-waits-for-the-last-guard | src/raw/value/cell.rs
//!   let mut search = Search::begin();
//! + while search.finds(node.address()) {}
//! ```

use crate::kind::{Pile, model};
use loom_tests::HOUR;
use loom_tests::sync::Arc;
use loom_tests::thread;

#[test]
fn while_a_guard_is_held() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 1));
        let held = pile.peek().unwrap();
        pile.expire();
        let creator = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        let setter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.set(3))
        };
        assert!(matches!(creator.join().unwrap(), 2 | 3));
        setter.join().unwrap();
        assert_eq!((*held, *pile.peek().unwrap()), (1, 3));
    });
}
