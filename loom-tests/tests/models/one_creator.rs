//! `one_creator`: never two creators of one pile at the same time, also after `invalidate`, `set`,
//! failure or panic.
//!
//! ```breakages
//! grants-a-held-lease | src/raw/lease.rs
//! @ fn availability
//! - if state.is_leased()
//! + if state.is_leased() && state.last() > 1
//!
//! superseded-lease-counts-as-free | src/raw/state.rs
//! - self.fence() != 0
//! + self.fence() > self.generation()
//!
//! run-does-not-count-as-inside | src/answer/lease.rs
//! @ pub fn run<R>
//! - let _inside = Inside::enter(self.creation(), self.watch.as_deref());
//!
//! run-ends-the-lease | src/answer/lease.rs
//! @ pub fn run<R>
//! - create(self.creating())
//! + let made = create(self.creating());
//! + let site = self.anchor.site();
//! + let ended = self.ended(site, site.settings.time.now());
//! + site.pile.give_up(&ended, crate::observe::End::GivenUp);
//! + made
//!
//! an-entry-of-one-that-creates-is-taken-out | src/keyed/shard.rs
//! - let is_of_no_use = note.callers == 0 && held.value.or(paced).is_none();
//! + let is_of_no_use = held.value.or(paced).is_none();
//! ```

use crate::kind::{Attempt, Pile, model};
use dogpile::Outcome;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

/// Two callers, and `meddle` done to the pile by a third thread meanwhile.
fn two_callers_and(meddle: fn(&Pile<usize>)) {
    model(move || {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
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
    two_callers_and(Pile::invalidate);
}

/// By one of the callers, who then calls: with a third to do it there are too many interleavings.
#[test]
fn after_set_and_expire() {
    model(|| {
        let shared = Arc::new((Pile::new(HOUR), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || drop(shared.0.get_or_create(|| shared.1.create())))
        };
        let (pile, source) = &*shared;
        pile.set(0);
        pile.expire();
        drop(pile.get_or_create(|| source.create()));
        other.join().unwrap();
    });
}

#[test]
fn after_a_failure() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
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

/// A holder of the lease who runs its creator under it, and ends it later.
#[test]
fn under_a_lease_that_its_caller_ends() {
    model(|| {
        let shared = Arc::new((Pile::new(HOUR), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || *shared.0.get_or_create(|| shared.1.create()))
        };
        let (pile, source) = &*shared;
        let here = match pile.attempt() {
            Attempt::Hit(guard) => *guard,
            Attempt::Busy(busy) => match busy.wait() {
                Outcome::Value(guard) => *guard,
                outcome => panic!("{outcome:?}"),
            },
            Attempt::Lease(lease) => {
                let run = lease.run(|_| {
                    // The same call, from inside: it would wait for itself.
                    let inside = pile.call().get_or_create(|| source.create());
                    assert!(inside.unwrap_err().is_reentrant());
                    source.create()
                });
                // Outside again, and the lease is held.
                assert!(pile.is_creating());
                *lease.publish(run).unwrap()
            }
            found => panic!("{found:?}"),
        };
        assert_eq!((here, other.join().unwrap(), source.runs()), (1, 1, 1));
    });
}
