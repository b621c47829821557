//! `panic_hands_over`: a panic unwinds to the caller whose creator panicked; the lease is given up.
//!
//! ```breakages
//! lease-without-drop-guard | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - site.pile.give_up(self.fence);
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use dogpile::Dogpile;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// A caller whose creator panics if it is the first to run.
fn call(pile: &Dogpile<usize>, source: &Source) -> Result<usize, ()> {
    catch_unwind(AssertUnwindSafe(|| {
        *pile.get_or_create(|| match source.create() {
            // Without the panic hook's noise.
            1 => resume_unwind(Box::new("the first creation panics")),
            run => run,
        })
    }))
    .map_err(|payload| assert!(payload.is::<&str>()))
}

fn callers(prepare: fn(&Dogpile<usize>)) {
    model(move || {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
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
