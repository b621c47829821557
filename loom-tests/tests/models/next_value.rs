//! `next_value`: `wait_for_value()` and `wait_for_newer(seen)` wait without ever being elected, and no
//! value is lost on them.
//!
//! ```breakages
//! joins-after-another-look | src/raw/lease.rs
//! @ fn await_next
//! - Found::Busy(state.join_next())
//! + drop(state);
//! + Found::Busy(self.cell.lock().join_next())
//!
//! next-value-may-be-superseded | src/raw/state.rs
//! @ fn join_next
//! - self.join_group(true)
//! + self.join_group(false)
//!
//! two-groups-are-told | src/raw/end.rs
//! @ fn tell
//! - for other in std::iter::successors(group.other(), |group| group.other()) {
//! + if let Some(other) = group.other() {
//!
//! who-has-no-lease-joins-one | src/raw/state.rs
//! - group.fence() == lease && group.came_late() == came_late
//! + group.came_late() == came_late
//!
//! any-value-is-newer | src/call/next_value.rs
//! - node.number() > seen.number
//! + node.number() > 0
//! ```

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dogpile::Outcome;
use loom_tests::HOUR;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;

use crate::kind::{Attempt, Guard, Pile, model};

#[test]
fn a_consumer_meets_a_producer() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let consumer = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.wait_for_value())
        };
        pile.set(7);
        assert_eq!(consumer.join().unwrap(), 7);
        assert_eq!(pile.waiters(), 0);
    });
}

#[test]
fn and_so_does_a_task() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let consumer = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *block_on(pile.wait_for_value_async()))
        };
        assert_eq!(*pile.get_or_create(|| 7), 7);
        assert_eq!(consumer.join().unwrap(), 7);
        assert_eq!(pile.waiters(), 0);
    });
}

/// A failure and a creation that was superseded leave it waiting, and nobody else creates.
#[test]
fn what_brings_no_value_is_none() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let consumer = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.wait_for_value())
        };
        drop(pile.get_or_try_create(|| Err::<u8, _>("down")));
        drop(pile.get_or_create(|| {
            pile.invalidate();
            1
        }));
        pile.set(2);
        assert_eq!(consumer.join().unwrap(), 2);
        assert_eq!(pile.waiters(), 0);
    });
}

#[test]
fn newer_is_not_what_was_seen() {
    model(|| {
        let pile = Arc::new(Pile::with_value(HOUR, 1));
        let first = Guard::seen(&pile.peek().unwrap());
        let listener = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let (mut seen, mut heard) = (first, vec![]);
                while heard.last() != Some(&3) {
                    let value = pile.wait_for_newer(seen);
                    seen = Guard::seen(&value);
                    heard.push(*value);
                }
                heard
            })
        };
        pile.invalidate();
        pile.set(2);
        pile.set(3);
        let heard = listener.join().unwrap();
        assert!(heard == [2, 3] || heard == [3], "{heard:?}");
    });
}

/// One who may come before the lease is granted or after, one who comes after, and one who would create.
#[test]
fn all_hear_of_one_creation() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let consumer = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.wait_for_value())
        };
        let Attempt::Lease(lease) = pile.attempt() else {
            unreachable!("it is free");
        };
        let Attempt::Busy(busy) = pile.attempt() else {
            unreachable!("it is held");
        };
        let mut task = pin!(pile.wait_for_value_async());
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut nobody).is_pending());
        drop(lease.publish(7));
        assert!(matches!(task.poll(&mut nobody), Poll::Ready(value) if *value == 7));
        assert!(matches!(busy.wait(), Outcome::Value(value) if *value == 7));
        assert_eq!(consumer.join().unwrap(), 7);
    });
}
