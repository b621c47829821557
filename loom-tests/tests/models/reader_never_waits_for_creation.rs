//! `reader_never_waits_for_creation`: a caller that holds a read guard of the pile never waits for a
//! lease; with no usable value it gets an error that says so, whatever the timing.
//!
//! ```breakages
//! not-noticed-at-all | src/call/election/mod.rs
//! - self.role != Role::Attempts && call.door.holds_pass(self.caller)
//! + false
//!
//! waits-for-the-creator | src/call/election/mod.rs
//! - Found::Busy(_) if self.holds_pass =>
//! + Found::Busy(_) if false =>
//!
//! creates-as-a-reader-without-a-value | src/call/election/mod.rs
//! - Found::Lease(_) if self.holds_pass && !self.would_do(call) =>
//! + Found::Lease(_) if false =>
//!
//! looking-up-waits-for-the-creator | src/call/acquire.rs
//! @ fn acquire_exact
//! - election.inside(pass, holds_pass)
//! + election.inside(pass, false)
//!
//! looking-up-creates-as-a-reader | src/call/acquire.rs
//! @ fn would_do
//! - self.brought.is_some() &&
//! + self.brought.is_none() ||
//!
//! record-taken-over-with-a-gate-in-it | src/raw/value/registry.rs
//! - self.slots.iter().any(Slot::is_free) && self.gate_slots.iter().all(Slot::is_free)
//! + self.slots.iter().any(Slot::is_free)
//! ```

use dogpile::{Created, Error, ReadGuard, SyncReaderDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model};

type Pile = SyncReaderDogpile<usize>;

/// A reader asks again, while a creator waits for it to leave.
fn while_a_creator_waits_for_readers(ask: fn(&Pile) -> Result<(), Error<u8>>) {
    model(move || {
        let pile = Arc::new(SyncReaderDogpile::with_value(HOUR, 1));
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                let held: Option<ReadGuard<'_, usize>> = pile.peek();
                let answer = ask(&pile);
                if held.is_some() {
                    // Either there is a value by then, or it says why not.
                    assert!(matches!(answer, Ok(()) | Err(Error::HoldsReadGuard)));
                }
            })
        };
        pile.invalidate();
        let created = pile.get_or_try_create_with(|creating| {
            let write = pile.acquire_write_lock().unwrap();
            write.until_published(&creating);
            Ok::<_, u8>(Created::new(2))
        });
        drop(created.unwrap());
        reader.join().unwrap();
    });
}

#[test]
fn it_calls_again() {
    while_a_creator_waits_for_readers(|pile| {
        let answer = pile.get_or_try_create(|| Ok(3));
        answer.map(drop)
    });
}

#[test]
fn it_looks_up() {
    while_a_creator_waits_for_readers(|pile| {
        let answer = pile.acquire(|| Ok(3), || Ok(None.into()));
        answer.map(drop)
    });
}

/// With nobody creating, it is the same: what it gets does not depend on the timing.
#[test]
fn it_is_not_elected_either() {
    model(|| {
        let pile = Arc::new(SyncReaderDogpile::with_value(HOUR, 1));
        let held = pile.peek();
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.invalidate())
        };
        let again =
            pile.get_or_try_create(|| -> Result<usize, u8> { panic!("created as a reader") });
        match again {
            Ok(guard) => assert_eq!(*guard, 1),
            Err(error) => assert!(matches!(error, Error::HoldsReadGuard)),
        }
        let looked = pile.acquire(
            || -> Result<usize, u8> { panic!("created as a reader") },
            || Ok(None.into()),
        );
        match looked {
            Ok(guard) => assert_eq!(*guard, 1),
            Err(error) => assert!(matches!(error, Error::HoldsReadGuard)),
        }
        drop(held);
        other.join().unwrap();
    });
}

/// A thread that begins where a reader has ended whose guard is still held elsewhere. It holds none.
#[test]
fn whoever_comes_after_a_reader_that_sent_its_guard_away() {
    model(|| {
        // For guards that threads send.
        let pile: &'static Pile = Box::leak(Box::new(SyncReaderDogpile::new(HOUR)));
        // What is created is in no slot, so the next thread takes over where this one was, if nobody
        // looks at the gate's.
        let sent = thread::spawn(|| pile.get_or_create(|| 1)).join().unwrap();
        pile.invalidate();
        let next = thread::spawn(|| {
            assert!(pile.peek().is_none(), "it was removed");
            pile.get_or_try_create(|| Ok::<_, u8>(2)).map(|new| *new)
        });
        assert_eq!(next.join().unwrap().unwrap(), 2);
        assert_eq!(*sent, 1);
        drop(sent);
        // The pile is never dropped, but what it held is.
        pile.invalidate();
    });
}
