//! `first_call_waits`: with no value all callers wait, one creates, all get that value. A waiter
//! gets the outcome of the creation it waited for, without consulting the pile again.
//!
//! ```breakages
//! publishes-without-waking | src/raw/mod.rs
//! - tell(creation, Told::Value(node.clone()));
//! + drop(creation);
//!
//! sets-the-event-before-the-outcome | src/raw/creation.rs
//! - self.outcome.with_mut(|slot| {
//! + self.done.set();
//! + self.outcome.with_mut(|slot| {
//!
//! event-set-relaxed | src/raw/event.rs
//! - let before = self.word.fetch_or(SET, Ordering::Release);
//! + let before = self.word.fetch_or(SET, Ordering::Relaxed);
//!
//! event-wait-relaxed | src/raw/event.rs
//! - let seen = self.word.load(Ordering::Acquire);
//! + let seen = self.word.load(Ordering::Relaxed);
//!
//! waiter-looks-at-the-pile-again | src/raw/mod.rs
//! - tell(creation, Told::Value(node.clone()));
//! + tell(creation, Told::ElectAnew);
//!
//! wakes-without-the-lock | src/raw/event.rs
//! - drop(self.lock.lock());
//! ```

use dogpile::{Dogpile, Origin};
use loom::sync::Arc;
use loom::thread;
use loom_tests::{model, Source, HOUR};

#[test]
fn one_creates_for_all() {
    model(|| {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let (pile, source) = &*pile;
                    let value = pile.get_or_create(|| source.create());
                    assert_eq!(*value, 1);
                    value.origin()
                })
            })
            .collect();
        let (pile, source) = &*pile;
        let value = pile.get_or_create(|| source.create());
        assert_eq!(*value, 1);
        let mut origins: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        origins.push(value.origin());
        assert_eq!(source.runs(), 1);
        assert_eq!(
            origins
                .iter()
                .filter(|&&origin| origin == Origin::CreatedHere)
                .count(),
            1
        );
    });
}

#[test]
fn the_outcome_is_handed_over_even_if_the_value_is_gone_by_then() {
    model(|| {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
        let (waited, waiter) = {
            let shared = Arc::clone(&pile);
            let (pile, source) = &*pile;
            let mut inside = None;
            drop(pile.get_or_create(|| {
                let run = source.create();
                let waiter = thread::spawn(move || {
                    let (pile, source) = &*shared;
                    let value = pile.get_or_create(|| source.create());
                    (*value, value.origin())
                });
                inside = Some((pile.waiters() == 1, waiter));
                run
            }));
            inside.unwrap()
        };
        pile.0.invalidate();
        let (value, origin) = waiter.join().unwrap();
        if waited {
            assert_eq!(
                (value, origin, pile.1.runs()),
                (1, Origin::CreatedByAnother, 1)
            );
        }
    });
}
