//! `one_creator`: never two creators of one pile at the same time, also after `invalidate`, `set`,
//! failure or panic.
//!
//! ```breakages
//! grants-a-held-lease | src/raw/mod.rs
//! - _ if state.is_leased() => Found::Busy(state.join()),
//! + _ if state.is_leased() && numbers.last > 1 => Found::Busy(state.join()),
//!
//! superseded-lease-counts-as-free | src/raw/state.rs
//! - self.lease != 0
//! + self.lease > self.generation
//! ```

use dogpile::Dogpile;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// Two callers, and `meddle` done to the pile by a third thread meanwhile.
fn two_callers_and(meddle: fn(&Dogpile<usize>)) {
    model(move || {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let (pile, source) = &*pile;
                    drop(pile.get_or_create(|| source.create()));
                })
            })
            .collect();
        meddle(&pile.0);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

#[test]
fn of_callers_who_meet() {
    two_callers_and(|_| {});
}

#[test]
fn after_invalidate() {
    two_callers_and(Dogpile::invalidate);
}

#[test]
fn after_set_and_expire() {
    two_callers_and(|pile| {
        pile.set(0);
        pile.expire();
    });
}

#[test]
fn after_a_failure() {
    model(|| {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let (pile, source) = &*pile;
                    let answer = pile.get_or_try_create(|| match source.create() {
                        1 => Err("the first creation fails"),
                        run => Ok(run),
                    });
                    drop(answer);
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
    });
}
