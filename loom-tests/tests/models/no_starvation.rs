//! `no_starvation`: a waiter outlasts at most two creations, however often the pile is invalidated.
//!
//! Whoever waits already when `invalidate` comes is given that creation's result. Whoever comes after
//! it waits for the next creation, and for no more than that.
//!
//! ```breakages
//! late-waiters-are-told-too | src/raw/end.rs
//! - !(superseded && group.came_late())
//! + true
//!
//! late-waiters-are-told-nothing | src/raw/end.rs
//! @ group.complete(match is_an_answer(&group)
//! - false => Ending::ElectAnew
//! + false => return
//!
//! all-take-themselves-for-early | src/raw/state.rs
//! - self.join_group(self.supersedes(self.fence()) && !has_waited)
//! + self.join_group(false)
//! ```

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

#[test]
fn one_invalidation_costs_one_creation_more() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let mut waiter = None;
        let creating = Arc::clone(&pile);
        drop(pile.0.get_or_create(|| {
            let (pile, source) = &*creating;
            let run = source.create();
            let shared = Arc::clone(&creating);
            waiter = Some(thread::spawn(move || {
                let (pile, source) = &*shared;
                let guard = pile.get_or_create(|| source.create());
                // The first creation, if it waited already; else what came after the `invalidate`.
                let waited = guard.origin() == Origin::Superseded;
                assert_eq!(*guard, if waited { 1 } else { 2 });
            }));
            pile.invalidate();
            run
        }));
        // A third caller, so that another may create what the waiter then waits for.
        assert_eq!(*pile.0.get_or_create(|| pile.1.create()), 2);
        waiter.unwrap().join().unwrap();
        assert_eq!(
            pile.1.runs(),
            2,
            "the invalidated creation, and one for everybody"
        );
    });
}

#[test]
fn whoever_comes_after_waits_for_the_next_creation() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let mut callers = Vec::new();
        let creating = Arc::clone(&pile);
        let first = pile.0.get_or_create(|| {
            let (pile, source) = &*creating;
            let run = source.create();
            pile.invalidate();
            for _ in 0..2 {
                let shared = Arc::clone(&creating);
                callers.push(thread::spawn(move || {
                    let (pile, source) = &*shared;
                    *pile.get_or_create(|| source.create())
                }));
            }
            run
        });
        assert_eq!(first.origin(), Origin::Superseded);
        drop(first);
        for caller in callers {
            assert_eq!(caller.join().unwrap(), 2, "its creation began in time");
        }
        assert_eq!(pile.1.runs(), 2);
    });
}
