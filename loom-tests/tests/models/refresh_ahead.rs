//! `refresh_ahead`: from the refresh point on one caller renews while all others are served.
//!
//! ```breakages
//! nothing-is-ever-due | src/policy/freshness.rs
//! - if now < self.due_from {
//! + if now < self.fresh_until {
//!
//! due-callers-wait | src/policy/decide.rs
//! - (Use::Due | Use::IfLeased, _) => Decision::Answer,
//! - (Use::Fallback | Use::No, Availability::Held)
//! + (Use::IfLeased, _) | (Use::Due, Availability::NotYet(_)) => Decision::Answer,
//! + (Use::Due | Use::Fallback | Use::No, Availability::Held)
//!
//! what-was-due-is-renewed-again | src/call/hit.rs
//! @ fn judge_locked
//! - Some(node) if node.value().is_some() => self.judge(node, newer_than, now),
//! + Some(node) if node.value().is_some() => match self.judge(node, newer_than, now) {
//! +     Use::Now => Use::Due,
//! +     usable => usable,
//! + },
//! ```

use std::time::Duration;

use crate::kind::{Guard, Pile, build, model};
use dogpile::{Backoff, Dogpile, ManualClock, Origin, RefreshAhead};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

/// With a value that is due.
fn pile() -> Pile<usize> {
    let clock = std::sync::Arc::new(ManualClock::new());
    let settings = Dogpile::builder(HOUR)
        .refresh_ahead(RefreshAhead::percent(50))
        .backoff(Backoff::constant(Duration::from_secs(1)));
    let pile = build(settings.clock(clock.clone()));
    pile.set(0);
    clock.advance(HOUR * 3 / 4);
    pile
}

#[test]
fn one_renews_and_the_other_is_served() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let ask = |(pile, source): &(Pile<usize>, Source)| {
            let value = pile.get_or_create(|| source.create());
            (*value, value.origin())
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(&shared))
        };
        let answers = [ask(&shared), other.join().unwrap()];
        for answer in answers {
            match answer {
                (0 | 1, Origin::Fresh) | (1, Origin::CreatedHere) => {}
                answer => panic!("{answer:?}"),
            }
        }
        assert_eq!(shared.1.runs(), 1);
    });
}

/// A caller who waited for the renewal would never get here.
#[test]
fn nobody_waits_for_it() {
    model(|| {
        let pile = Arc::new(pile());
        let new = pile.get_or_create(|| {
            let caller = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| unreachable!("somebody renews")))
            };
            assert_eq!(caller.join().unwrap(), 0);
            1
        });
        assert_eq!(*new, 1);
    });
}

/// Nobody is told of its failure but whoever ran it, and that one has the value as well.
#[test]
fn a_renewal_fails() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let fail = |(pile, source): &(Pile<usize>, Source)| {
            let create = || {
                source.create();
                Err::<usize, u8>(9)
            };
            let held = pile.get_or_try_create(create).unwrap();
            assert_eq!((*held, held.origin()), (0, Origin::Fresh));
            Guard::failure(&held).is_some()
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || fail(&shared))
        };
        let told = [fail(&shared), other.join().unwrap()];
        assert!(told[0] != told[1]);
        assert_eq!(shared.1.runs(), 1);
    });
}
