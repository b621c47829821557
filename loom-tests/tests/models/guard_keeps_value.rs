//! `guard_keeps_value`: what a guard shows stays alive and unchanged until it is dropped, also after
//! a publish, a `set` and an `invalidate`; an owned handle made from it outlives the pile.
//!
//! ```breakages
//! shares-without-counting | src/raw/value/node.rs
//! - Self(Counted::clone(&self.0))
//! + Self(unsafe { std::ptr::read(&self.0) })
//! ```

use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize;

use crate::kind::{Guard, Pile, model};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{Counted, HOUR};

fn meddled_with(meddle: fn(&Pile<Counted>, Counted)) {
    model(move || {
        let alive = StdArc::new(AtomicUsize::new(0));
        let pile = Arc::new(Pile::with_value(HOUR, Counted::new(1, &alive)));
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let Some(guard) = pile.peek() else { return };
                let seen = guard.number();
                let age = Guard::age(&guard);
                pile.has_value();
                assert_eq!((guard.number(), Guard::age(&guard)), (seen, age));
                let owned = Guard::to_owned(&guard);
                drop(guard);
                drop(pile);
                assert_eq!(owned.number(), seen);
            })
        };
        meddle(&pile, Counted::new(2, &alive));
        drop(pile);
        reader.join().unwrap();
        assert_eq!(StdArc::strong_count(&alive), 1, "every value was dropped");
    });
}

#[test]
fn through_a_publish() {
    meddled_with(|pile, new| {
        pile.expire();
        drop(pile.get_or_create(|| new));
    });
}

#[test]
fn through_a_set() {
    meddled_with(|pile, new| pile.set(new));
}

#[test]
fn through_an_invalidate() {
    meddled_with(|pile, _new| pile.invalidate());
}
