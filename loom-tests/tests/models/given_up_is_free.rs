//! `given_up_is_free`: a lease given up becomes free and is never granted to a sleeper: the waiters
//! are woken, the first to come takes it.
//!
//! ```breakages
//! give-up-keeps-the-lease | src/raw/state.rs
//! @ fn end
//! - self.lease = 0;
//! + if self.waiters.is_none() { self.lease = 0 }
//!
//! stale-callers-think-it-held | src/raw/mod.rs
//! @ fn nobody_renews
//! - Self::quiet(state, policy, &node);
//! + let _ = (node, policy);
//!
//! lease-sent-away-is-not-given-up | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - if !self.ended {
//! + if !self.ended && matches!(self.anchor, Anchor::Borrowed(_)) {
//!
//! who-declines-fails | src/raw/end.rs
//! - self.end(ended, End::GivenUp, seen, |_| Ending::ElectAnew);
//! + self.end(ended, End::GivenUp, seen, |_| Ending::Panicked(Panicked::new(&""), true));
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use dogpile::{Attempt, Dogpile, Lookup, ManualClock};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// Runs a creator that does `inside` and then panics.
fn give_up(pile: &Dogpile<usize>, inside: impl FnOnce()) {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        drop(pile.get_or_create(|| {
            inside();
            resume_unwind(Box::new(()))
        }));
    }));
    assert!(answer.is_err());
}

#[test]
fn two_sleepers_one_creates() {
    model(|| {
        let pile = Arc::new((Dogpile::new(HOUR), Source::new()));
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
        let pile = Arc::new(Dogpile::builder(HOUR).clock(clock.clone()).build());
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
        let pile = Arc::new(Dogpile::with_value(HOUR, 0));
        pile.expire();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 1))
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            *pile.get_or_create(|| resume_unwind(Box::new(())))
        }));
        let other = other.join().unwrap();
        let renewed = *pile.get_or_create(|| 2);
        match answer {
            // The panicked creation was the first: whoever came during it took the stale value.
            Err(_) if other == 0 => assert_eq!(renewed, 2),
            _ => assert_eq!((other, renewed), (1, 1)),
        }
    });
}

/// A lease that another thread is given: whatever that one does with it, the waiters are told.
fn sent_away(published: bool) {
    model(move || {
        let pile = std::sync::Arc::new(Dogpile::<usize>::new(HOUR));
        let Attempt::Lease(lease) = pile.attempt_owned() else {
            panic!("an empty pile grants its lease")
        };
        let waiter = {
            let pile = std::sync::Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        let holder = thread::spawn(move || {
            if published {
                assert_eq!(*lease.publish(1).unwrap(), 1);
            } else {
                drop(lease);
            }
        });
        holder.join().unwrap();
        assert_eq!(waiter.join().unwrap(), if published { 1 } else { 2 });
        assert!(!pile.is_creating());
    });
}

#[test]
fn when_a_lease_is_dropped_on_another_thread() {
    sent_away(false);
}

#[test]
fn and_not_when_it_is_published_there() {
    sent_away(true);
}

/// A holder who declines, since somebody outside is at it: who waits elects anew, with whatever form,
/// and is told of no failure.
#[test]
fn a_holder_declines() {
    model(|| {
        let pile = Arc::new(Dogpile::<usize>::new(HOUR));
        let miss = || Ok::<_, u8>(Lookup::NeedRegeneration);
        let Ok(Attempt::Lease(lease)) = pile.call().attempt_acquire(miss) else {
            panic!("an empty pile grants its lease")
        };
        let waiter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.acquire(|| Ok(2), miss).map(|acquired| *acquired))
        };
        drop(lease);
        assert_eq!(waiter.join().unwrap().unwrap(), 2);
        assert!(!pile.is_creating());
    });
}
