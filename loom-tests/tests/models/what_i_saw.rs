//! `what_i_saw`: `expire_if(seen)`, `invalidate_if(seen)` and `set_if(seen, value)` act only while that
//! value is still the current one; a call may ask for "newer than seen".
//!
//! ```breakages
//! expire-if-expires-anything | src/raw/change.rs
//! @ fn expire
//! - !Self::is_seen(&state, seen)
//! + !Self::is_seen(&state, None)
//!
//! expire-if-expires-twice | src/raw/change.rs
//! - seen.is_some() && state.current()
//! + seen.is_none() && state.current()
//!
//! invalidate-if-removes-anything | src/raw/change.rs
//! @ fn invalidate
//! - !Self::is_seen(&state, seen)
//! + !Self::is_seen(&state, None)
//!
//! newer-takes-what-began-before | src/policy/accept.rs
//! - seen.number.max(marks.expiry)
//! + seen.number
//!
//! waiter-takes-what-began-too-early | src/call/election/told.rs
//! - Ending::Value(node, writers) if node.number() > newer_than
//! + Ending::Value(node, writers) if node.number() > 0
//!
//! set-if-sets-anything | src/raw/change.rs
//! @ fn set(
//! - !Self::is(&state, seen)
//! + !Self::is(&state, seen) && false
//!
//! none-seen-is-anything-seen | src/raw/change.rs
//! - (Was::Nothing, Some(current)) => current.value().is_none(),
//! + (Was::Nothing, Some(_)) => true,
//! ```

use crate::kind::{Pile, model};
use dogpile::{Accept, Origin};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::sync::atomic::{AtomicUsize, Ordering};
use loom_tests::thread;
use loom_tests::{HOUR, Source};

#[test]
fn two_who_find_the_same_fault_cause_one_renewal() {
    model(|| {
        let shared = Arc::new((Pile::with_value(HOUR, 0), Source::new()));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (pile, source) = &*shared;
                    let guard = pile.peek().unwrap();
                    if *guard != 0 {
                        return; // Renewed before this one could find the fault.
                    }
                    pile.expire_if(guard.seen());
                    let newer = pile
                        .call()
                        .accept(Accept::NewerThan(guard.seen()))
                        .get_or_create(|| source.create());
                    assert_eq!(*newer.unwrap(), 1);
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(shared.1.runs(), 1);
        assert!(shared.0.is_fresh());
    });
}

#[test]
fn newer_means_begun_after_the_fault_was_seen() {
    model(|| {
        let shared = Arc::new((Pile::with_value(HOUR, 0), AtomicUsize::new(1)));
        let refreshing = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, truth) = &*shared;
                let read = || Ok::<_, u8>(truth.load(Ordering::Acquire));
                drop(pile.refresh(read).unwrap());
            })
        };
        let (pile, truth) = &*shared;
        let seen = pile.peek().unwrap();
        truth.store(2, Ordering::Release);
        if pile.expire_if(seen.seen()) {
            let newer = pile
                .call()
                .accept(Accept::NewerThan(seen.seen()))
                .get_or_create(|| truth.load(Ordering::Acquire));
            assert_eq!(*newer.unwrap(), 2, "begun before the fault was seen");
        }
        refreshing.join().unwrap();
    });
}

#[test]
fn what_was_replaced_meanwhile_is_left_alone() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 0));
        let setting = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.set(1))
        };
        let seen = pile.peek().unwrap();
        pile.invalidate_if(seen.seen());
        setting.join().unwrap();
        // Either the old value was removed and the new one set, or only the new one was there.
        if *seen == 0 {
            assert_eq!(*pile.peek().unwrap(), 1);
        }
    });
}

#[test]
fn what_was_renewed_meanwhile_stays_fresh() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 0));
        let setting = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.set(1))
        };
        let seen = pile.peek().unwrap();
        pile.expire_if(seen.seen());
        setting.join().unwrap();
        if *seen == 0 {
            assert!(
                pile.is_fresh(),
                "the new value was expired for a fault of the old one"
            );
        }
    });
}

#[test]
fn of_two_who_replace_the_same_value_one_does() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 0));
        let seen = pile.peek().unwrap().seen();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.set_if(seen, 1))
        };
        let here = pile.set_if(seen, 2);
        match (here, other.join().unwrap()) {
            (Ok(()), Err(1)) => assert_eq!(*pile.peek().unwrap(), 2),
            (Err(2), Ok(())) => assert_eq!(*pile.peek().unwrap(), 1),
            answers => panic!("{answers:?}"),
        }
    });
}

/// Who saw none sets one, unless a creation comes first; then the creation is superseded.
#[test]
fn where_none_was_seen_none_is_replaced() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let guard = pile.get_or_create(|| 1);
                (*guard, guard.origin())
            })
        };
        let set = pile.set_if(None, 2);
        let answer = other.join().unwrap();
        let held = *pile.peek().unwrap();
        match set {
            Ok(()) => {
                assert_eq!(held, 2);
                assert!(matches!(
                    answer,
                    (1, Origin::Superseded) | (2, Origin::Fresh)
                ));
            }
            Err(value) => assert_eq!((value, answer, held), (2, (1, Origin::CreatedHere), 1)),
        }
    });
}
