//! `panic_hands_over`: a panic unwinds to the caller whose creator panicked. Those who waited with a
//! fallible form are told, and the creator is not run again for them. The next caller creates.
//!
//! ```breakages
//! lease-without-drop-guard | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - self.end_with_nothing(site);
//!
//! a-panic-tells-nobody | src/answer/lease.rs
//! - site.pile.panicked(&ended, panicked);
//! + drop((ended, panicked));
//!
//! a-panic-elects-anew | src/raw/end.rs
//! - self.end(ended, End::Failed(failure), seen, |falls_back| {
//! - Ending::Panicked(panicked, falls_back)
//! - });
//! + drop(panicked);
//! + self.end(ended, End::Failed(failure), seen, |_| Ending::ElectAnew);
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::kind::{Pile, model};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

/// A caller whose creator panics if it is the first to run.
fn call(pile: &Pile<usize>, source: &Source) -> Result<usize, ()> {
    catch_unwind(AssertUnwindSafe(|| {
        *pile.get_or_create(|| match source.create() {
            // Without the panic hook's noise.
            1 => resume_unwind(Box::new("the first creation panics")),
            run => run,
        })
    }))
    .map_err(|payload| assert!(payload.is::<&str>()))
}

fn callers(prepare: fn(&Pile<usize>)) {
    model(move || {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        prepare(&pile.0);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || call(&pile.0, &pile.1))
            })
            .collect();
        let mut answers: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        answers.push(call(&pile.0, &pile.1));
        assert_eq!(
            answers.iter().filter(|answer| answer.is_err()).count(),
            1,
            "{answers:?}"
        );
        assert_eq!(pile.1.runs(), 2);
        assert_eq!(*pile.0.peek().unwrap(), 2);
    });
}

#[test]
fn without_a_value() {
    callers(|_| {});
}

#[test]
fn with_a_stale_value() {
    callers(|pile| {
        pile.set(0);
        pile.expire();
    });
}

/// A lease that its holder drops, by a panic or otherwise.
#[test]
fn a_lease_that_is_dropped_is_free() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let holder = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.0.attempt()))
        };
        assert_eq!(*pile.0.get_or_create(|| pile.1.create()), 1);
        holder.join().unwrap();
    });
}

#[test]
fn whoever_waited_with_a_fallible_form_is_told() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let mut waiters = Vec::new();
        let creating = Arc::clone(&pile);
        let burst = catch_unwind(AssertUnwindSafe(|| {
            drop(pile.0.get_or_create(|| {
                for _ in 0..2 {
                    let shared = Arc::clone(&creating);
                    waiters.push(thread::spawn(move || {
                        let (pile, source) = &*shared;
                        pile.get_or_try_create(|| Ok::<_, ()>(source.create()))
                            .map(|guard| *guard)
                            .map_err(|error| assert!(error.is_panicked()))
                    }));
                }
                while creating.0.waiters() < 2 {
                    loom_tests::thread::yield_now();
                }
                resume_unwind(Box::new("it panics"))
            }));
        }));
        assert!(burst.is_err());
        for waiter in waiters {
            assert!(waiter.join().unwrap().is_err());
        }
        assert_eq!(pile.1.runs(), 0, "nobody ran a creator for them");
    });
}
