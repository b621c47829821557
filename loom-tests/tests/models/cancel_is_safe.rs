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
//! wakes-the-first-task-only | src/raw/wait/event.rs
//! - for waker in wakers {
//! + if let Some(waker) = wakers.into_iter().next() {
//!
//! dropped-writer-leaves-it-closed | src/raw/gate.rs
//! - if self.has_shut {
//! + if false {
//!
//! dropped-writer-wakes-nobody | src/raw/gate.rs
//! - if self.has_shut {
//! - self.gate.open();
//! + if self.has_shut {
//! + let mut state = self.gate.state.lock();
//! + state.opening = None;
//! + state.leaving = None;
//! + state.writer = None;
//! + self.gate.closed.store(false, Ordering::Release);
//!
//! dropped-writer-opens-for-another | src/raw/gate.rs
//! - if self.has_shut {
//! + if true {
//!
//! background-dies-with-its-caller | src/call/background.rs
//! - self.executor.spawn(job).map_err(Error::Refused)?;
//! + drop(job);
//! ```

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use dogpile::executor::Thread;
use dogpile::{Dogpile, Origin, SyncReaderDogpile};
use loom_tests::Shows as _;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{Counted, HOUR, Source, model};

type Shared = Arc<(Dogpile<usize>, Source)>;

/// Polls once, whatever comes of it.
fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    block_on(poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))))
}

/// A caller whose creation goes on for ever, polled once and dropped.
fn leads_and_leaves((pile, source): &(Dogpile<usize>, Source)) {
    let caller = pin!(pile.get_or_create_async(|| async {
        source.create();
        pending().await
    }));
    if let Poll::Ready(value) = poll_once(caller) {
        assert_eq!(*value, source.runs());
    }
}

/// A caller who waits if there is something to wait for, polled once and dropped.
fn waits_and_leaves((pile, source): &(Dogpile<usize>, Source)) {
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
        let pile: Shared = Arc::new((Dogpile::new(HOUR), Source::new()));
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
        let pile: Shared = Arc::new((Dogpile::new(HOUR), Source::new()));
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
        let pile: Shared = Arc::new((Dogpile::new(HOUR), Source::new()));
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
        let pile = Arc::new(Dogpile::<usize>::new(HOUR));
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
        let pile = Arc::new(Dogpile::new(HOUR));
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
        let pile = std::sync::Arc::new(Dogpile::new(HOUR));
        // loom's cells may not be sent away.
        let runs = std::sync::Arc::new(AtomicUsize::new(0));
        let caller = || {
            let runs = runs.clone();
            let calls = pile.background(&Thread);
            calls.get_or_create_async(move || async move { runs.fetch_add(1, Ordering::Relaxed) })
        };
        drop(poll_once(pin!(caller())));
        assert_eq!(*block_on(caller()).unwrap(), 0);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_creation_in_the_background_reaches_its_caller_whatever_happens() {
    model(|| {
        let pile = std::sync::Arc::new(Dogpile::new(HOUR));
        let invalidates = {
            let pile = pile.clone();
            thread::spawn(move || pile.invalidate())
        };
        let value = block_on(pile.background(&Thread).get_or_create_async(|| async { 1 })).unwrap();
        assert_eq!(*value, 1);
        assert!(matches!(
            value.origin(),
            Origin::CreatedHere | Origin::Superseded
        ));
        invalidates.join().unwrap();
    });
}

/// A task who waits for the write lock, polled once and dropped.
fn writes_and_leaves(pile: &SyncReaderDogpile<usize>) {
    if let Poll::Ready(write) = poll_once(pin!(pile.acquire_write_lock_async())) {
        drop(write.unwrap());
    }
}

/// While the last reader leaves; behind it is somebody who waits, if it comes to that.
fn a_writer_is_dropped(behind: fn(&SyncReaderDogpile<usize>)) {
    model(move || {
        let pile = Arc::new(SyncReaderDogpile::with_value(HOUR, 0));
        let guard = pile.peek();
        let others: [fn(&SyncReaderDogpile<usize>); 2] = [writes_and_leaves, behind];
        let others = others.map(|body| {
            let pile = Arc::clone(&pile);
            thread::spawn(move || body(&pile))
        });
        drop(guard);
        for other in others {
            other.join().unwrap();
        }
        assert!(pile.try_acquire_write_lock().is_ok(), "somebody is inside");
        assert!(pile.peek().is_some(), "it is closed");
    });
}

#[test]
fn a_writer_is_dropped_and_a_task_goes_in() {
    a_writer_is_dropped(|pile| {
        let create = || async { unreachable!("there is a value") };
        drop(block_on(pile.get_or_create_async(create)));
    });
}

#[test]
fn a_writer_is_dropped_and_a_thread_goes_in() {
    a_writer_is_dropped(|pile| drop(pile.get_or_create(|| unreachable!("there is a value"))));
}

#[test]
fn a_writer_is_dropped_and_another_goes_in() {
    a_writer_is_dropped(|pile| {
        let write = block_on(pile.acquire_write_lock_async()).unwrap();
        assert!(pile.peek().is_none(), "it is open");
        drop(write);
    });
}
