//! `pending_writer_goes_first`: new readers wait behind a waiting writer, and are let in when it is
//! done; readers cannot starve it.
//!
//! ```breakages
//! never-closed | src/raw/gate.rs
//! - self.closed.store(true, Ordering::Relaxed);
//!
//! no-wake-up-on-leaving | src/raw/gate.rs
//! - self.gate.a_reader_left();
//!
//! who-turns-back-wakes-nobody | src/raw/gate.rs
//! - return None; // And leaves, in case the writer took the slot seriously.
//! + reading.slot.map_or((), Slot::clear);
//! + std::mem::forget(reading);
//! + return None;
//!
//! no-wake-up-on-opening | src/raw/gate.rs
//! - opening.set();
//! + drop(opening);
//!
//! no-light-barrier-on-leaving | src/raw/gate.rs
//!   None => drop(self.gate.counted.fetch_sub(1, Ordering::Release)),
//!   }
//! - barrier::light_by_form();
//!
//! looks-before-it-asks-to-be-woken | src/raw/gate.rs
//! - self.gate.begin_to_look(&leaving);
//!   // Who leaves from here on sets it.
//!   if self.gate.has_readers() {
//! + self.gate.begin_to_look(&leaving);
//!
//! the-readers-behind-are-not-let-in | src/raw/gate.rs
//! - let opening = state.opening.take();
//! + let opening = state.opening.take().filter(|_| false);
//! ```

use dogpile::SyncReaderDogpile;
use loom_tests::sync::Arc;
use loom_tests::sync::atomic::{AtomicBool, Ordering};
use loom_tests::thread;
use loom_tests::{HOUR, model};

fn pile() -> Arc<SyncReaderDogpile<usize>> {
    Arc::new(SyncReaderDogpile::with_value(HOUR, 0))
}

#[test]
fn a_new_reader_waits_behind_it() {
    model(|| {
        let shared = Arc::new((
            SyncReaderDogpile::with_value(HOUR, 0),
            AtomicBool::new(false),
        ));
        let guard = shared.0.peek();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let write = shared.0.acquire_write_lock().unwrap();
                shared.1.store(true, Ordering::Relaxed);
                drop(write);
            })
        };
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, written) = &*shared;
                if pile.peek().is_none() {
                    let late = pile.get_or_create(|| unreachable!("there is a value"));
                    assert!(written.load(Ordering::Relaxed), "went before the writer");
                    drop(late);
                }
            })
        };
        drop(guard);
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

/// Asked for in a thread that can tell: the closed gate, with the reader still inside.
#[test]
fn it_is_closed_while_the_writer_waits() {
    model(|| {
        let pile = pile();
        let guard = pile.peek();
        let writer = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.acquire_write_lock().unwrap()))
        };
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                // Ends when the writer waits: no reader comes in any more.
                while pile.peek().is_some() {
                    thread::yield_now();
                }
            })
        };
        reader.join().unwrap();
        drop(guard);
        writer.join().unwrap();
    });
}

#[test]
fn readers_come_and_go() {
    model(|| {
        let pile = pile();
        let readers = [(); 2].map(|()| {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.get_or_create(|| unreachable!("there is a value"))))
        });
        drop(pile.acquire_write_lock().unwrap());
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_reader_who_only_looks_turns_back() {
    model(|| {
        let pile = pile();
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                drop(pile.peek());
                drop(pile.peek());
            })
        };
        drop(pile.acquire_write_lock().unwrap());
        reader.join().unwrap();
    });
}
