//! `stale_if_error`: whoever would get the failure of a creation, its own or one that it waited for,
//! gets the value held instead. `Creating::no_fallback()` says that this failure is an answer: it goes to
//! all, and the value held is gone.
//!
//! ```breakages
//! waiters-get-the-failure-itself | src/call/election/told.rs
//! @ fn told_of_failure
//! - true => self.stopped(call, stop),
//! + true => Some(Step::Stop(stop)),
//!
//! no-fallback-leaves-the-value | src/raw/end.rs
//! - let old = is_answer.then(|| Self::empty(&mut state));
//! + let old = None::<crate::raw::Replaced<'_, T>>;
//!
//! no-fallback-empties-once-the-lease-is-free | src/raw/end.rs
//! - let old = is_answer.then(|| Self::empty(&mut state));
//! + drop(state);
//! + let mut state = self.cell.lock();
//! + let old = is_answer.then(|| Self::empty(&mut state));
//! ```

use std::time::Duration;

use crate::kind::{Pile, build, model};
use dogpile::{Dogpile, ManualClock, Origin};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

/// With a value that only stands in for failures.
fn pile() -> Pile<usize> {
    let clock = std::sync::Arc::new(ManualClock::new());
    let settings = Dogpile::builder(HOUR)
        .stale_while_revalidate(Duration::ZERO)
        .stale_if_error(HOUR);
    let pile = build(settings.clock(clock.clone()));
    pile.set(7);
    clock.advance(HOUR + Duration::from_secs(1));
    pile
}

#[test]
fn who_waits_for_the_failure_goes_on_with_it() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let fail = |(pile, source): &(Pile<usize>, Source), inside: &mut dyn FnMut()| {
            let create = || {
                source.create();
                inside();
                Err::<usize, u8>(9)
            };
            let held = pile.get_or_try_create(create).unwrap();
            assert_eq!((*held, held.origin()), (7, Origin::Fallback));
        };
        let (mut waiter, mut waits) = (None, false);
        fail(&shared, &mut || {
            let shared_too = Arc::clone(&shared);
            waiter = Some(thread::spawn(move || fail(&shared_too, &mut || ())));
            waits = shared.0.waiters() == 1;
        });
        waiter.unwrap().join().unwrap();
        if waits {
            assert_eq!(shared.1.runs(), 1);
        }
    });
}

/// It waited, and is told; or it came later, and makes a value, which stays.
#[test]
fn a_failure_that_is_an_answer() {
    model(|| {
        let pile = Arc::new(pile());
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                pile.get_or_try_create(|| Ok::<_, u8>(1))
                    .map(|value| *value)
            })
        };
        let answer = pile.get_or_try_create_with(|creating| {
            creating.no_fallback();
            Err::<_, u8>(9)
        });
        let answer = answer.map(|value| *value);
        let other = other.join().unwrap();
        match (answer, other) {
            // The other one came first.
            (Ok(1), Ok(1)) => {}
            (Err(own), Ok(1)) => {
                assert_eq!(own.created(), Some(&9));
                assert_eq!(pile.peek().map(|value| *value), Some(1));
            }
            (Err(own), Err(other)) => {
                assert_eq!((own.created(), other.created()), (Some(&9), Some(&9)));
                assert!(pile.peek().is_none());
            }
            answers => panic!("{answers:?}"),
        }
        assert!(!pile.is_creating());
    });
}
