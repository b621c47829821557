//! `cancel_is_safe` of what a key has not: a task that waits for the write lock.
//!
//! ```breakages
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
//! ```

use std::pin::pin;
use std::task::Poll;

use dogpile::SyncReaderDogpile;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model, poll_once};

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
