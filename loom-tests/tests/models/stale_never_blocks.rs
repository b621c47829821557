//! `stale_never_blocks`: while one caller creates, or a back-off runs, every other caller with a usable
//! stale value returns at once.
//!
//! ```breakages
//! stale-callers-wait | src/policy/decide.rs
//! - (Use::Due | Use::IfLeased, _) => Decision::Answer,
//! - (Use::Fallback | Use::No, Availability::Held)
//! + (Use::Due | Use::IfLeased, Availability::NotYet(_)) => Decision::Answer,
//! + (_, Availability::Held)
//!
//! stale-is-useless | src/policy/accept.rs
//! - new_enough && self != Accept::Fresh => Use::IfLeased
//! + new_enough && self != Accept::Fresh => Use::No
//!
//! stale-callers-are-told-to-come-back | src/policy/decide.rs
//! - (Use::Due | Use::IfLeased, _) => Decision::Answer,
//! - (Use::Fallback | Use::No, Availability::Held) => Decision::Wait,
//! - (Use::Fallback | Use::No, Availability::NotYet(retry_in))
//! + (Use::Due | Use::IfLeased, Availability::Held) => Decision::Answer,
//! + (_, Availability::Held) => Decision::Wait,
//! + (_, Availability::NotYet(retry_in))
//! ```

use std::time::Duration;

use crate::kind::{Pile, build, model};
use dogpile::{Backoff, Dogpile, ManualClock, Origin};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

#[test]
fn callers_inside_the_creation() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 1));
        pile.expire();
        let new = pile.get_or_create(|| {
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let pile = Arc::clone(&pile);
                    thread::spawn(move || {
                        let held = pile.get_or_create(|| unreachable!("somebody creates"));
                        assert_eq!((*held, held.origin()), (1, Origin::Stale));
                    })
                })
                .collect();
            // A caller who waited for this creation would never get here.
            for caller in callers {
                caller.join().unwrap();
            }
            2
        });
        assert_eq!(*new, 2);
    });
}

#[test]
fn also_after_a_set_under_the_lease() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        drop(pile.get_or_create(|| {
            pile.set(1);
            pile.expire();
            let caller = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| unreachable!("somebody creates")))
            };
            assert_eq!(caller.join().unwrap(), 1);
            2
        }));
        // The lease is over: whoever comes now renews what is stale.
        assert_eq!(*pile.get_or_create(|| 3), 3);
    });
}

#[test]
fn callers_who_looked_before_the_lease_was_taken() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 1));
        pile.expire();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.get_or_create(|| 2)))
        };
        let mut other = Some(other);
        drop(pile.get_or_create(|| {
            // Elected before the other one, which found the value stale and the lease free, perhaps.
            other.take().unwrap().join().unwrap();
            3
        }));
        if let Some(other) = other {
            other.join().unwrap();
        }
    });
}

/// Whoever is elected fails, and the other one goes on: it came meanwhile, or during the back-off, or
/// looked before and asked for the lease after.
#[test]
fn callers_in_a_back_off() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let builder = Dogpile::builder(HOUR).backoff(Backoff::constant(HOUR));
        let pile = build(builder.clock(clock.clone()));
        pile.set(1);
        clock.advance(HOUR + Duration::from_secs(1));
        let shared = Arc::new((pile, Source::new()));
        let ask = |(pile, source): &(Pile<usize>, Source)| {
            let create = || {
                source.create();
                Err::<usize, u8>(9)
            };
            let answer = pile.get_or_try_create(create);
            answer.map(|held| (*held, held.origin()))
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(&shared))
        };
        let answers = [ask(&shared), other.join().unwrap()];
        assert_eq!(shared.1.runs(), 1);
        match answers {
            [Err(error), Ok(held)] | [Ok(held), Err(error)] => {
                assert_eq!(error.created(), Some(&9));
                assert_eq!(held, (1, Origin::Stale));
            }
            answers => panic!("{answers:?}"),
        }
        let held = shared.0.get_or_create(|| unreachable!("it backs off"));
        assert_eq!((*held, held.origin()), (1, Origin::Stale));
    });
}
