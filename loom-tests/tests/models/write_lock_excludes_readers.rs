//! `write_lock_excludes_readers`: between the return of `acquire_write_lock()` and the drop of its
//! guard no read guard of that pile exists, on no value, old or new.
//!
//! ```breakages
//! no-light-barrier-on-enter | src/raw/gate.rs
//!   (slot, _) => self.show_slowly(slot),
//!   };
//! - barrier::light_by_form();
//!
//! no-heavy-barrier-on-close | src/raw/gate.rs
//! - if !barrier::heavy(false) {
//! + if false {
//!
//! closed-is-not-looked-at | src/raw/gate.rs
//! - if self.closed.load(Ordering::Acquire) && !self.enters_again(slot) {
//! + if false {
//!
//! closed-is-not-looked-at-by-tasks | src/raw/gate.rs
//! - (!closed).then_some(reading)
//! + (!closed || true).then_some(reading)
//!
//! opened-as-the-writer-goes-in | src/raw/gate.rs
//! - self.has_shut = false; // From here on it is not this one's to open.
//!
//! everybody-is-nested | src/raw/gate.rs
//! - if self.closed.load(Ordering::Acquire) && !self.enters_again(slot) {
//! + if self.closed.load(Ordering::Acquire) && !self.is_entered() {
//!
//! scan-forgets-the-counted | src/raw/gate.rs
//! - self.counted.load(Ordering::Acquire) > 0
//! - || registry::is_gate_shown(self.number() as *const ())
//! + registry::is_gate_shown(self.number() as *const ())
//!
//! scan-forgets-the-slots | src/raw/gate.rs
//! - self.counted.load(Ordering::Acquire) > 0
//! - || registry::is_gate_shown(self.number() as *const ())
//! + self.counted.load(Ordering::Acquire) > 0
//!
//! scan-of-the-newest-record-only | src/raw/value/registry.rs
//! - records().any(|record| record.gate_slots.iter().any(|slot| slot.shown() == number))
//! + records().take(1).any(|record| record.gate_slots.iter().any(|slot| slot.shown() == number))
//!
//! one-reader-who-leaves-is-enough | src/raw/gate.rs
//! - if !awaited.wait(time, deadline) {
//! + if awaited.wait(time, deadline) {
//! + if std::mem::take(&mut closing.has_shut) {
//! + break;
//! + }
//! + } else {
//!
//! time-out-leaves-it-closed | src/raw/gate.rs
//! - if self.has_shut {
//! + if false {
//!
//! time-out-lets-the-writer-in | src/raw/gate.rs
//! - Some(_) => Err(Refusal::TimedOut),
//! + Some(_) => {
//! + self.has_shut = false;
//! + Ok(())
//! + }
//!
//! a-second-writer-goes-in | src/raw/gate.rs
//! - Ok(Some(Arc::clone(opening)))
//! + Ok(None)
//!
//! a-task-that-waits-is-not-woken | src/raw/wait/event.rs
//! - contain(|| waker.wake());
//! + drop(waker);
//!
//! open-stores-relaxed | src/raw/gate.rs
//! - self.closed.store(false, Ordering::Release);
//! + self.closed.store(false, Ordering::Relaxed);
//! ```

use std::time::Duration;

use dogpile::{ManualClock, SyncReaderDogpile, WriteLockError};
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread::{self, JoinHandle};
use loom_tests::{File, HOUR, model};

/// A pile with a value, and the file that its readers read.
struct Shared {
    pile: SyncReaderDogpile<usize>,
    file: File,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pile: SyncReaderDogpile::with_value(HOUR, 0),
            file: File::new(0),
        })
    }

    /// Goes in behind a writer.
    fn read(&self) {
        let guard = self.pile.get_or_create(|| unreachable!("there is a value"));
        self.file.read();
        drop(guard);
    }

    /// Goes in if there is no writer.
    fn glimpse(&self) {
        if let Some(guard) = self.pile.peek() {
            self.file.read();
            drop(guard);
        }
    }

    fn read_as_task(&self) {
        let create = || async { unreachable!("there is a value") };
        let guard = block_on(self.pile.get_or_create_async(create));
        self.file.read();
        drop(guard);
    }

    fn write_as_task(&self) {
        let write = block_on(self.pile.acquire_write_lock_async()).unwrap();
        let version = self.file.read();
        self.file.write(version + 1);
        drop(write);
    }

    fn write(&self) {
        let write = self.pile.acquire_write_lock().unwrap();
        let version = self.file.read();
        self.file.write(version + 1);
        drop(write);
    }
}

fn spawn(shared: &Arc<Shared>, body: fn(&Shared)) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || body(&shared))
}

#[test]
fn one_reader() {
    model(|| {
        let shared = Shared::new();
        let reader = spawn(&shared, |shared| {
            shared.read();
            shared.glimpse();
        });
        shared.write();
        reader.join().unwrap();
        shared.read();
    });
}

#[test]
fn a_task_reads() {
    model(|| {
        let shared = Shared::new();
        let reader = spawn(&shared, Shared::read_as_task);
        shared.write();
        reader.join().unwrap();
        shared.read();
    });
}

#[test]
fn a_task_writes() {
    model(|| {
        let shared = Shared::new();
        let writer = spawn(&shared, Shared::write_as_task);
        shared.read();
        writer.join().unwrap();
        assert_eq!(shared.file.read(), 1);
    });
}

#[test]
fn a_task_and_a_thread_write() {
    model(|| {
        let shared = Shared::new();
        let writer = spawn(&shared, Shared::write_as_task);
        shared.write();
        writer.join().unwrap();
        assert_eq!(shared.file.read(), 2);
    });
}

#[test]
fn two_readers() {
    model(|| {
        let shared = Shared::new();
        let readers = [
            spawn(&shared, Shared::glimpse),
            spawn(&shared, Shared::read),
        ];
        shared.write();
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_reader_without_a_slot() {
    model(|| {
        let shared = Shared::new();
        let reader = spawn(&shared, |shared| {
            // A model's thread has one slot.
            let other = SyncReaderDogpile::with_value(HOUR, 0);
            let guard = other.peek();
            shared.glimpse();
            drop(guard);
        });
        shared.write();
        reader.join().unwrap();
    });
}

#[test]
fn another_writer() {
    model(|| {
        let shared = Shared::new();
        let writer = spawn(&shared, Shared::write);
        shared.write();
        writer.join().unwrap();
        assert_eq!(shared.file.read(), 2);
    });
}

#[test]
fn two_writers_and_a_reader() {
    model(|| {
        let shared = Shared::new();
        let writer = spawn(&shared, Shared::write);
        let reader = spawn(&shared, Shared::glimpse);
        shared.write();
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_writer_gives_up_as_the_last_reader_leaves() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let builder = SyncReaderDogpile::builder(HOUR).clock(clock.clone());
        let shared = Arc::new(Shared {
            pile: builder.build_sync_reader(),
            file: File::new(0),
        });
        shared.pile.set(0);
        let guard = shared.pile.peek();
        let writer = spawn(&shared, |shared| {
            let limit = Duration::from_secs(1);
            match shared.pile.acquire_write_lock_for(limit) {
                Ok(_write) => shared.file.write(1),
                Err(error) => assert_eq!(error, WriteLockError::TimedOut { limit }),
            }
        });
        clock.advance(Duration::from_secs(1));
        shared.file.read();
        drop(guard);
        // Whether the writer got in or gave up: it is open again.
        shared.read();
        writer.join().unwrap();
    });
}

/// Somebody who moves the clock wakes all who sleep with a limit, for no reason of theirs.
#[test]
fn woken_for_no_reason() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let builder = SyncReaderDogpile::builder(HOUR).clock(clock.clone());
        let shared = Arc::new(Shared {
            pile: builder.build_sync_reader(),
            file: File::new(0),
        });
        shared.pile.set(0);
        let guard = shared.pile.peek();
        let writer = spawn(&shared, |shared| {
            let write = shared.pile.acquire_write_lock_for(HOUR).unwrap();
            shared.file.write(1);
            drop(write);
        });
        let notifier = thread::spawn(move || clock.advance(Duration::ZERO));
        shared.file.read();
        drop(guard);
        writer.join().unwrap();
        notifier.join().unwrap();
    });
}
