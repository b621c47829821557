//! `min_interval`: creations begin at least so far apart, whatever asks for them. One that was given up
//! counts only while there is something to go on with.
//!
//! ```breakages
//! no-beginning-is-noted | src/raw/lease.rs
//! - if look.policy.paces() {
//! + if false {
//!
//! the-interval-begins-once-the-lease-is-free | src/raw/end.rs
//! @ pub(crate) fn publish
//! - let forgotten = Self::note_end(&mut state, ended, End::Published, superseded);
//! + drop(state);
//! + let mut state = self.cell.lock();
//! + let forgotten = Self::note_end(&mut state, ended, End::Published, superseded);
//!
//! who-leaves-locks-out-all-others | src/policy/pace.rs
//! - let given_up = self.given_up.filter(|_| has_usable);
//! + let given_up = self.given_up.filter(|_| has_usable || policy.min_interval.is_some());
//!
//! expire-ends-the-interval | src/policy/pace.rs
//! @ pub(crate) fn clear
//!   self.pause = None;
//! + self.began = None;
//! ```

use std::time::Duration;

use crate::kind::{Attempt, Pile, build, model};
use dogpile::{Dogpile, ManualClock};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

fn pile() -> Pile<usize> {
    let settings = Dogpile::builder(HOUR).min_interval(Duration::from_secs(1));
    build(settings.clock(std::sync::Arc::new(ManualClock::new())))
}

#[test]
fn two_who_want_a_new_one() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let renew = |(pile, source): &(Pile<usize>, Source)| {
            let answer = pile.refresh(|| Ok::<_, u8>(source.create()));
            answer.map(|value| *value)
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || renew(&shared))
        };
        let answers = [renew(&shared), other.join().unwrap()];
        assert_eq!(shared.1.runs(), 1);
        for answer in answers {
            match answer {
                Ok(value) => assert_eq!(value, 1),
                Err(error) => assert!(error.is_backing_off()),
            }
        }
    });
}

/// Whatever strangers do.
#[test]
fn an_expire_does_not_end_it() {
    model(|| {
        let shared = Arc::new((pile(), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.expire();
                *shared.0.get_or_create(|| shared.1.create())
            })
        };
        let value = *shared.0.get_or_create(|| shared.1.create());
        assert_eq!((value, other.join().unwrap()), (1, 1));
        assert_eq!(shared.1.runs(), 1);
    });
}

#[test]
fn who_leaves_locks_nobody_out() {
    model(|| {
        let pile = Arc::new(pile());
        let leaves = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || match pile.attempt() {
                Attempt::Lease(lease) => drop(lease),
                Attempt::Busy(busy) => drop(busy),
                _ => {}
            })
        };
        assert_eq!(*pile.get_or_try_create(|| Ok::<_, u8>(1)).unwrap(), 1);
        leaves.join().unwrap();
    });
}
