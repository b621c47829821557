//! `backoff`: no creator runs before the back-off is over. `set`, `invalidate` and `expire` clear it.
//!
//! ```breakages
//! a-failure-backs-off-from-nothing | src/policy/pace.rs
//! - self.pause = said.or(backoff).map(|span| Span::after(now, span));
//! + self.pause = said.map(|span| Span::after(now, span)).filter(|_| backoff.is_none());
//!
//! backs-off-once-the-lease-is-free | src/raw/end.rs
//! @ fn end(&self
//! - let forgotten = Self::note_end(&mut state, ended, end, superseded);
//! + drop(state);
//! + let mut state = self.cell.lock();
//! + let forgotten = Self::note_end(&mut state, ended, end, superseded);
//!
//! invalidate-leaves-the-back-off | src/raw/change.rs
//! @ pub(crate) fn invalidate
//! - Self::clear_pace(&mut state);
//!
//! removing-a-key-leaves-the-back-off | src/raw/keyed.rs
//! @ pub(crate) fn remove
//! - Self::clear_pace(&mut state);
//!
//! what-was-superseded-backs-off | src/policy/pace.rs
//! @ End::Failed(failure) =>
//! - if !superseded {
//! + if true {
//!
//! who-elects-anew-runs-all-the-same | src/call/election/mod.rs
//! - presses: self.failures == Failures::Pressed,
//! + presses: self.failures == Failures::Pressed || self.has_waited,
//! ```

use std::time::Duration;

use crate::kind::{Pile, build, model};
use dogpile::{Backoff, Dogpile, Error, ManualClock};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

fn pile() -> Pile<usize> {
    let settings = Dogpile::builder(HOUR).backoff(Backoff::constant(Duration::from_secs(1)));
    build(settings.clock(std::sync::Arc::new(ManualClock::new())))
}

#[test]
fn two_callers_one_failure() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let fail = |(pile, source): &(Pile<usize>, Source)| {
            let create = || {
                source.create();
                Err::<usize, u8>(9)
            };
            pile.get_or_try_create(create).unwrap_err()
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || fail(&shared))
        };
        let answers = [fail(&shared), other.join().unwrap()];
        assert_eq!(shared.1.runs(), 1);
        assert!(answers.iter().any(|error| error.is_failed()));
        for error in answers {
            // Whoever waited is told of the failure itself.
            assert!(error.is_failed() || error.is_backing_off(), "{error:?}");
        }
    });
}

/// A caller whose creator cannot fail elects anew, and is elected by nobody.
#[test]
fn a_sleeper_does_not_run_its_own() {
    model(|| {
        let pile = Arc::new(pile());
        let mut sleeper = None;
        let answer = pile.get_or_try_create(|| {
            let pile = Arc::clone(&pile);
            let call = move || {
                let call = pile.call().get_or_create(|| unreachable!("it backs off"));
                call.map(|value| *value)
            };
            sleeper = Some(thread::spawn(call));
            Err::<usize, u8>(9)
        });
        assert!(answer.unwrap_err().is_failed());
        match sleeper.unwrap().join().unwrap() {
            Err(Error::BackingOff { failure, .. }) => {
                assert_eq!(failure.unwrap().downcast_ref(), Some(&9_u8));
            }
            answer => panic!("{answer:?}"),
        }
    });
}

/// The failure comes before the `invalidate`, which clears it, or after, and is superseded.
#[test]
fn an_invalidate_under_way_leaves_none() {
    model(|| {
        let pile = Arc::new(pile());
        let mut other = None;
        let answer = pile.get_or_try_create(|| {
            let pile = Arc::clone(&pile);
            other = Some(thread::spawn(move || pile.invalidate()));
            Err::<usize, u8>(9)
        });
        assert!(answer.is_err());
        other.unwrap().join().unwrap();
        assert_eq!(pile.retry_in(), None);
        assert_eq!(*pile.get_or_try_create(|| Ok::<_, u8>(1)).unwrap(), 1);
    });
}
