//! `nested_reader_goes_in`: a thread that holds a read guard which it took itself enters again even
//! while a writer waits, and what it took last keeps the writer out as well.
//!
//! ```breakages
//! nested-check-dropped | src/raw/gate.rs
//! - if self.closed.load(Ordering::Acquire) && !self.enters_again(slot) {
//! + if self.closed.load(Ordering::Acquire) {
//!
//! own-slot-counts-as-another | src/raw/gate.rs
//! - if own::own_gate_slots(self.number() as *const ()) <= usize::from(slot.is_some()) {
//! + if own::own_gate_slots(self.number() as *const ()) <= 1 {
//!
//! comes-in-again-unnoticed | src/raw/gate.rs
//! - state.entered_again = true;
//!
//! goes-in-whoever-came-in-again | src/raw/gate.rs
//! - if state.entered_again {
//! + if false {
//! ```

use dogpile::SyncReaderDogpile;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{File, HOUR, model};

fn with_a_writer(read: fn(&SyncReaderDogpile<usize>, &File)) {
    model(move || {
        let shared = Arc::new((SyncReaderDogpile::with_value(HOUR, 0), File::new(0)));
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(&shared.0, &shared.1))
        };
        let write = shared.0.acquire_write_lock().unwrap();
        shared.1.write(1);
        drop(write);
        reader.join().unwrap();
    });
}

#[test]
fn while_a_writer_waits() {
    with_a_writer(|pile, file| {
        let first = pile.get_or_create(|| unreachable!("there is a value"));
        let second = pile.get_or_create(|| unreachable!("there is a value"));
        file.read();
        drop(second);
        file.read();
        drop(first);
    });
}

/// The second guard is taken and the first dropped while the writer looks at the place of the one,
/// and then of the other.
#[test]
fn and_stays_when_the_first_guard_goes() {
    model(|| {
        let shared = Arc::new((SyncReaderDogpile::with_value(HOUR, 0), File::new(0)));
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pile, file) = &*shared;
                let first = pile.get_or_create(|| unreachable!("there is a value"));
                let second = pile.get_or_create(|| unreachable!("there is a value"));
                drop(first);
                thread::yield_now(); // Saves a preemption, of which a model has two.
                file.read();
                drop(second);
            })
        };
        thread::yield_now();
        let write = shared.0.acquire_write_lock().unwrap();
        shared.1.write(1);
        drop(write);
        reader.join().unwrap();
    });
}
