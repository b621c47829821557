//! `dropped_once_and_soon`: every value is dropped exactly once, as soon as its last guard or handle
//! is gone, never only at the next regeneration.
//!
//! ```breakages
//! publish-keeps-the-old-value | src/raw/end.rs
//! @ fn publish
//! - Some(Self::install(&mut state, ended.policy, kept)),
//! + {
//! + std::mem::forget(Self::install(&mut state, ended.policy, kept));
//! + None::<crate::raw::Replaced<'_, T>>
//! + },
//!
//! invalidate-keeps-the-old-value | src/raw/change.rs
//! @ pub(crate) fn invalidate
//! - let old = Self::empty(&mut state);
//! + let old = ();
//! + std::mem::forget(Self::empty(&mut state));
//! ```

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kind::{Pile, model};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{Counted, HOUR};

#[test]
fn among_readers_and_writers() {
    model(|| {
        let alive = StdArc::new(AtomicUsize::new(0));
        let pile = Arc::new(Pile::with_value(HOUR, Counted::new(1, &alive)));
        pile.expire();
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.peek()))
        };
        let creator = {
            let (pile, alive) = (Arc::clone(&pile), StdArc::clone(&alive));
            thread::spawn(move || drop(pile.get_or_create(|| Counted::new(2, &alive))))
        };
        pile.set(Counted::new(3, &alive));
        reader.join().unwrap();
        creator.join().unwrap();
        assert_eq!(
            alive.load(Ordering::Relaxed),
            1,
            "only the current value is left"
        );
        pile.invalidate();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn with_the_last_guard() {
    model(|| {
        let alive = StdArc::new(AtomicUsize::new(0));
        let pile = Arc::new(Pile::with_value(HOUR, Counted::new(1, &alive)));
        let held = pile.peek().unwrap();
        let setter = {
            let (pile, alive) = (Arc::clone(&pile), StdArc::clone(&alive));
            thread::spawn(move || pile.set(Counted::new(2, &alive)))
        };
        assert_eq!(held.number(), 1);
        drop(held);
        setter.join().unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
    });
}
