//! `no_starvation`: a waiter outlasts at most n + 1 creations after n invalidations.
//!
//! ```breakages
//! ```

use dogpile::Dogpile;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

#[test]
fn one_invalidation_costs_one_creation_more() {
    model(|| {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
        let mut waiter = None;
        let creating = Arc::clone(&pile);
        drop(pile.0.get_or_create(|| {
            let (pile, source) = &*creating;
            let run = source.create();
            let shared = Arc::clone(&creating);
            waiter = Some(thread::spawn(move || {
                let (pile, source) = &*shared;
                drop(pile.get_or_create(|| source.create()));
            }));
            pile.invalidate();
            run
        }));
        // A third caller, so that somebody else may create what the waiter then waits for.
        drop(pile.0.get_or_create(|| pile.1.create()));
        waiter.unwrap().join().unwrap();
        assert_eq!(
            pile.1.runs(),
            2,
            "the invalidated creation, and one for everybody"
        );
    });
}
