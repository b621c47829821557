//! `set_wins`: a value given by `set` is never overwritten by a creation that started before it;
//! waiters get it at once.
//!
//! ```breakages
//! set-leaves-the-generation | src/raw/change.rs
//! - state.supersede_by(number);
//!
//! set-tells-no-waiter | src/raw/change.rs
//! @ pub(crate) fn set(
//! - let waiters = state.release_waiters();
//! + let waiters = None::<crate::shim::Arc<crate::raw::Waiters<T>>>;
//! ```

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::HOUR;
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;

#[test]
fn over_a_creation_that_began_before() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let value = pile.get_or_create(|| 1);
                (*value, value.origin())
            })
        };
        pile.set(2);
        assert_eq!(*pile.peek().unwrap(), 2);
        match other.join().unwrap() {
            (1, Origin::CreatedHere | Origin::Superseded) | (2, Origin::Fresh) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(*pile.peek().unwrap(), 2);
    });
}

#[test]
fn waiters_get_it_while_the_creator_runs_on() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let created = pile.get_or_create(|| {
            let waiter = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| unreachable!("somebody creates")))
            };
            pile.set(2);
            // Whether it waited by then or came later: it does not wait for this creation.
            assert_eq!(waiter.join().unwrap(), 2);
            1
        });
        assert_eq!((*created, created.origin()), (1, Origin::Superseded));
        assert_eq!(*pile.peek().unwrap(), 2);
    });
}
