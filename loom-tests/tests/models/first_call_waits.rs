//! `first_call_waits`: with no value all callers wait, one creates, all get that value. A waiter
//! gets the outcome of the creation it waited for, without consulting the pile again.
//!
//! ```breakages
//! publishes-without-waking | src/raw/end.rs
//! @ fn publish
//! - tell(waiters, superseded, ending);
//! + drop((waiters, ending));
//!
//! sets-the-event-before-the-outcome | src/raw/wait/waiters.rs
//! - self.outcome.with_mut(|slot| {
//! + self.done.set();
//! + self.outcome.with_mut(|slot| {
//!
//! event-set-relaxed | src/raw/wait/event.rs
//! - let before = self.word.fetch_or(SET, Ordering::Release);
//! + let before = self.word.fetch_or(SET, Ordering::Relaxed);
//!
//! waiter-looks-at-the-pile-again | src/raw/end.rs
//! @ fn publish
//! - (Ending::Value(node, writers),
//! + drop(node); (Ending::ElectAnew,
//!
//! wakes-without-the-lock | src/raw/wait/event.rs
//! - drop(self.lock.lock());
//!
//! wakes-threads-only | src/raw/wait/event.rs
//! - contain(|| waker.wake());
//! + drop(waker);
//!
//! wakes-tasks-only | src/raw/wait/event.rs
//! @ fn set
//! - self.parker.wake_all(&self.word);
//!
//! wakes-some-tasks | src/raw/wait/event.rs
//! - while self.wake_some() {}
//! + self.wake_some();
//! ```

use crate::kind::{Attempt, Pile, model};
use dogpile::Origin;
use loom_tests::Shows as _;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source};

#[test]
fn one_creates_for_all() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let (pile, source) = &*pile;
                    let value = pile.get_or_create(|| source.create());
                    assert_eq!(*value, 1);
                    value.origin()
                })
            })
            .collect();
        let (pile, source) = &*pile;
        let value = pile.get_or_create(|| source.create());
        assert_eq!(*value, 1);
        let mut origins: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        origins.push(value.origin());
        assert_eq!(source.runs(), 1);
        assert_eq!(
            origins
                .iter()
                .filter(|&&origin| origin == Origin::CreatedHere)
                .count(),
            1
        );
    });
}

#[test]
fn the_outcome_is_handed_over_even_if_the_value_is_gone_by_then() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let (waited, waiter) = {
            let shared = Arc::clone(&pile);
            let (pile, source) = &*pile;
            let mut inside = None;
            drop(pile.get_or_create(|| {
                let run = source.create();
                let waiter = thread::spawn(move || {
                    let (pile, source) = &*shared;
                    let value = pile.get_or_create(|| source.create());
                    (*value, value.origin())
                });
                inside = Some((pile.waiters() == 1, waiter));
                run
            }));
            inside.unwrap()
        };
        pile.0.invalidate();
        let (value, origin) = waiter.join().unwrap();
        if waited {
            assert_eq!(
                (value, origin, pile.1.runs()),
                (1, Origin::CreatedByAnother, 1)
            );
        }
    });
}

#[test]
fn a_thread_and_a_task_wait_for_one_creation() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let task = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let (pile, source) = &*pile;
                *block_on(pile.get_or_create_async(|| async { source.create() }))
            })
        };
        let thread = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.0.get_or_create(|| pile.1.create()))
        };
        let (pile, source) = &*pile;
        assert_eq!(*pile.get_or_create(|| source.create()), 1);
        assert_eq!((task.join().unwrap(), thread.join().unwrap()), (1, 1));
        assert_eq!(source.runs(), 1);
    });
}

/// The task that creates is here, and holds the lease when they come: three who meet are more than loom
/// bears for long, and `many/` has them.
#[test]
fn two_tasks_wait_for_a_task() {
    model(|| {
        let pile = Arc::new((Pile::new(HOUR), Source::new()));
        let Attempt::Lease(lease) = pile.0.attempt() else {
            panic!("nobody else is there");
        };
        let tasks = [(); 2].map(|()| {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let (pile, source) = &*pile;
                *block_on(pile.get_or_create_async(|| async { source.create() }))
            })
        });
        let value = block_on(lease.run_async(|_| async { pile.1.create() }));
        assert_eq!(*lease.publish(value).unwrap(), 1);
        for task in tasks {
            assert_eq!(task.join().unwrap(), 1);
        }
        assert_eq!(pile.1.runs(), 1);
    });
}
