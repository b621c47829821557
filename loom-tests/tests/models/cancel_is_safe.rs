//! `cancel_is_safe`: an async caller may be dropped at any await point: no lost wake-up, no leak, no
//! stuck lease. A creation in the background outlives its caller.
//!
//! ```breakages
//! cancelled-leader-keeps-the-lease | src/answer/lease.rs
//! - let created = self.catch_async(|| create(creating)).await;
//! - self.end(created)
//! + let kept = std::mem::ManuallyDrop::new(self);
//! + let created = kept.catch_async(|| create(creating)).await;
//! + std::mem::ManuallyDrop::into_inner(kept).end(created)
//!
//! give-up-wakes-nobody | src/raw/end.rs
//! - self.end(ended, End::GivenUp, seen, |_| Ending::ElectAnew);
//! + let waiters = self.cell.lock().end(ended.fence);
//! + drop((waiters, seen));
//!
//! dropped-waiter-takes-all-along | src/raw/wait/event.rs
//! - let waker = self.wakers.lock().remove(key);
//! + let _ = key;
//! + let waker: Vec<_> = self.wakers.lock().take().collect();
//!
//! second-task-gets-the-place-of-the-first | src/raw/wait/wakers.rs
//! - self.wakers.push(Some(waker));
//! - self.wakers.len() - 1
//! + self.wakers = vec![Some(waker)];
//! + 0
//!
//! wakes-the-first-tasks-only | src/raw/wait/event.rs
//! - while self.wake_some() {}
//! + self.wake_some();
//!
//! background-dies-with-its-caller | src/call/background.rs
//! - self.executor.spawn(job).map_err(Error::Refused)?;
//! + drop(job);
//! ```

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use crate::kind::{Pile, model};
use dogpile::Origin;
use loom_tests::Shows as _;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{Counted, HOUR, Jobs, Source, poll_once};

type Shared = Arc<(Pile<usize>, Source)>;

/// A caller whose creation goes on for ever, polled once and dropped.
fn leads_and_leaves((pile, source): &(Pile<usize>, Source)) {
    let caller = pin!(pile.get_or_create_async(|| async {
        source.create();
        pending().await
    }));
    if let Poll::Ready(value) = poll_once(caller) {
        assert_eq!(*value, source.runs());
    }
}

/// A caller who waits if there is something to wait for, polled once and dropped.
fn waits_and_leaves((pile, source): &(Pile<usize>, Source)) {
    let caller = pin!(pile.get_or_create_async(|| async { source.create() }));
    let _ = poll_once(caller);
}

fn task(pile: &Shared) -> thread::JoinHandle<usize> {
    let pile = Arc::clone(pile);
    thread::spawn(move || {
        let (pile, source) = &*pile;
        *block_on(pile.get_or_create_async(|| async { source.create() }))
    })
}

#[test]
fn the_leader_is_dropped_and_two_tasks_go_on() {
    model(|| {
        let pile: Shared = Arc::new((Pile::new(HOUR), Source::new()));
        let waiters = [task(&pile), task(&pile)];
        leads_and_leaves(&pile);
        let [one, other] = waiters.map(|waiter| waiter.join().unwrap());
        assert_eq!(one, other);
        assert!(!pile.0.is_creating());
        assert_eq!(pile.0.waiters(), 0);
    });
}

#[test]
fn the_leader_is_dropped_and_a_thread_goes_on() {
    model(|| {
        let pile: Shared = Arc::new((Pile::new(HOUR), Source::new()));
        let waiter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.0.get_or_create(|| pile.1.create()))
        };
        leads_and_leaves(&pile);
        assert_eq!(waiter.join().unwrap(), pile.1.runs());
        assert!(!pile.0.is_creating());
    });
}

#[test]
fn a_waiter_is_dropped_and_the_other_is_woken() {
    model(|| {
        let pile: Shared = Arc::new((Pile::new(HOUR), Source::new()));
        let patient = task(&pile);
        let hasty = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || waits_and_leaves(&pile))
        };
        let (cell, source) = &*pile;
        let value = block_on(cell.get_or_create_async(|| async { source.create() }));
        assert_eq!((*value, patient.join().unwrap()), (1, 1));
        hasty.join().unwrap();
        assert_eq!((source.runs(), cell.waiters()), (1, 0));
    });
}

/// Those who waited for a creation that failed get its error; it is not run again for them, nor is
/// it kept from one by another who is dropped.
#[test]
fn a_waiter_is_dropped_as_the_creation_fails() {
    model(|| {
        let pile = Arc::new(Pile::<usize>::new(HOUR));
        let mut others = None;
        let failed = pile.get_or_try_create(|| {
            let waiter = |leaves: bool| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let caller = pin!(pile.get_or_try_create_async(|| async { Ok::<_, u8>(1) }));
                    if leaves {
                        drop(poll_once(caller));
                        return None;
                    }
                    Some(block_on(caller).map(|value| *value))
                })
            };
            others = Some((waiter(true), waiter(false)));
            Err(7_u8)
        });
        assert_eq!(failed.unwrap_err().created(), Some(&7));
        let (hasty, patient) = others.unwrap();
        hasty.join().unwrap();
        // It waited, or came later.
        match patient.join().unwrap().unwrap() {
            Ok(value) => assert_eq!(value, 1),
            Err(error) => assert_eq!(error.created(), Some(&7)),
        }
    });
}

#[test]
fn a_dropped_waiter_leaks_no_value() {
    model(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let pile = Arc::new(Pile::new(HOUR));
        let hasty = {
            let (pile, alive) = (Arc::clone(&pile), alive.clone());
            thread::spawn(move || {
                let make = || async { Counted::new(2, &alive) };
                drop(poll_once(pin!(pile.get_or_create_async(make))));
            })
        };
        let make = || async { Counted::new(1, &alive) };
        let number = block_on(pile.get_or_create_async(make)).number();
        hasty.join().unwrap();
        assert!(number == 1 || number == 2);
        drop(pile);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_creation_in_the_background_outlives_its_caller() {
    model(|| {
        let pile = std::sync::Arc::new(Pile::new(HOUR));
        let (jobs, runs) = (Jobs::default(), std::sync::Arc::new(AtomicUsize::new(0)));
        let caller = || {
            let runs = runs.clone();
            let calls = pile.background(&jobs);
            calls.get_or_create_async(move || async move { runs.fetch_add(1, Ordering::Relaxed) })
        };
        drop(poll_once(pin!(caller())));
        assert_eq!(*block_on(caller()).unwrap(), 0);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        jobs.join();
    });
}

#[test]
fn a_creation_in_the_background_reaches_its_caller_whatever_happens() {
    model(|| {
        let pile = std::sync::Arc::new(Pile::new(HOUR));
        let invalidates = {
            let pile = pile.clone();
            thread::spawn(move || pile.invalidate())
        };
        let jobs = Jobs::default();
        let value = block_on(pile.background(&jobs).get_or_create_async(|| async { 1 })).unwrap();
        assert_eq!(*value, 1);
        assert!(matches!(
            value.origin(),
            Origin::CreatedHere | Origin::Superseded
        ));
        invalidates.join().unwrap();
        jobs.join();
    });
}
