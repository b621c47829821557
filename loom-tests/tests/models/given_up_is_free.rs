//! `given_up_is_free`: a lease given up becomes free and is never granted to a sleeper: the waiters
//! are woken, the first to come takes it.
//!
//! ```breakages
//! give-up-keeps-the-lease | src/raw/state.rs
//! @ fn end
//! - self.vacate();
//! + if self.groups().next().is_none() { self.vacate() }
//!
//! stale-callers-think-it-held | src/raw/mod.rs
//! @ fn nobody_renews
//! - Self::quiet(state, policy, &node);
//! + let _ = (node, policy);
//! ```

use std::time::Duration;

use crate::kind::{Attempt, Pile, build, model};
use dogpile::{Dogpile, ManualClock};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

/// Takes the lease, does `inside`, and gives the lease up.
fn give_up<T: Send + Sync + 'static>(pile: &Pile<T>, inside: impl FnOnce()) {
    let Attempt::Lease(lease) = pile.attempt() else {
        panic!("an empty pile grants its lease")
    };
    inside();
    drop(lease);
}

#[test]
fn two_sleepers_one_creates() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let mut waiters = Vec::new();
        give_up(&pile.0, || {
            waiters.extend((0..2).map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.0.get_or_create(|| pile.1.create()))
            }));
        });
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 1);
        }
        assert_eq!(pile.1.runs(), 1);
    });
}

#[test]
fn a_sleeper_who_leaves_does_not_take_it_along() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let pile = Arc::new(build(Dogpile::builder(HOUR).clock(clock.clone())));
        let mut waiters = None;
        give_up(&pile, || {
            let leaving = {
                let pile = Arc::clone(&pile);
                let limit = Duration::from_secs(1);
                thread::spawn(move || pile.call().wait(limit).get_or_create(|| 1).is_ok())
            };
            let staying = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| 2))
            };
            waiters = Some((leaving, staying));
            clock.advance(Duration::from_secs(2));
        });
        let (leaving, staying) = waiters.unwrap();
        assert!(matches!(staying.join().unwrap(), 1 | 2));
        leaving.join().unwrap();
        assert!(!pile.is_creating());
    });
}

#[test]
fn a_stale_value_is_renewed_by_the_next_caller() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 0));
        pile.expire();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 1))
        };
        let gives_up = match pile.attempt() {
            Attempt::Lease(lease) => {
                drop(lease);
                true
            }
            _ => false,
        };
        let other = other.join().unwrap();
        let renewed = *pile.get_or_create(|| 2);
        if gives_up && other == 0 {
            // It came meanwhile, and took the stale value.
            assert_eq!(renewed, 2);
        } else {
            assert_eq!((other, renewed), (1, 1));
        }
    });
}
