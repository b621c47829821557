//! White-box models of the gate, in both forms of the barrier.
//!
//! What readers look at and the writer changes is a cell of loom's, which reports a reader and a
//! writer of whom neither comes before the other as a race.
//!
//! ```breakages
//! no-light-barrier-on-entering | src/raw/gate.rs | a_reader_and_a_writer
//!   (slot, _) => self.show_slowly(slot),
//!   };
//! - barrier::light_by_form();
//! no-light-barrier-on-going | src/raw/gate.rs | a_reader_and_a_writer
//!   None => drop(self.gate.counted.fetch_sub(1, Ordering::Release)),
//!   }
//! - barrier::light_by_form();
//! no-heavy-barrier-at-the-gate | src/raw/gate.rs | a_reader_and_a_writer
//! - if !barrier::heavy(false) {
//! + if false {
//! opened-relaxed | src/raw/gate.rs | a_reader_and_a_writer
//! - self.closed.store(false, Ordering::Release);
//! + self.closed.store(false, Ordering::Relaxed);
//! closed-looked-at-relaxed | src/raw/gate.rs | a_reader_and_a_writer
//! - if self.closed.load(Ordering::Acquire) && !self.enters_again(slot) {
//! + if self.closed.load(Ordering::Relaxed) && !self.enters_again(slot) {
//! closed-looked-at-relaxed-by-a-task | src/raw/gate.rs | a_task_and_a_writer
//! - let closed = self.closed.load(Ordering::Acquire);
//! + let closed = self.closed.load(Ordering::Relaxed);
//! slot-cleared-relaxed | src/raw/value/slot.rs | a_reader_and_a_writer
//! - self.0.store(ptr::null_mut(), Ordering::Release);
//! + self.0.store(ptr::null_mut(), Ordering::Relaxed);
//! slot-scanned-relaxed | src/raw/value/slot.rs | a_reader_and_a_writer
//! @ fn shown
//! - self.0.load(Ordering::Acquire)
//! + self.0.load(Ordering::Relaxed)
//! uncounted-relaxed | src/raw/gate.rs | a_reader_without_a_slot
//! - None => drop(self.gate.counted.fetch_sub(1, Ordering::Release)),
//! + None => drop(self.gate.counted.fetch_sub(1, Ordering::Relaxed)),
//! counted-scanned-relaxed | src/raw/gate.rs | a_reader_without_a_slot
//! - self.counted.load(Ordering::Acquire) > 0
//! + self.counted.load(Ordering::Relaxed) > 0
//! reader-in-with-the-writer | src/raw/gate.rs | a_guard_is_dropped_elsewhere_while_its_thread_enters_again
//! @ fn enters_again
//! - !state.writer_inside
//! + true
//! inside-by-the-first-record-only | src/raw/value/own.rs | a_reader_goes_in_again_with_two_records
//! - let records = std::iter::successors(first_record(), |record| record.linked());
//! + let records = first_record().into_iter();
//! the-end-forgotten | src/raw/gate.rs | a_gate_left_to_a_creation_that_ends
//! - state.ended = state.ended.max(fence);
//! + let _ = fence;
//! closed-for-ever | src/raw/gate.rs | a_gate_left_to_a_creation_that_ends
//! - if fence <= state.ended {
//! + if false {
//! ```

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::raw::gate::{Gate, Reading};
use crate::reentrancy::Identity;
use crate::shim::model::{Barrier, Setting};
use crate::time::Time;

/// A gate, and what is behind it.
struct Anchor {
    gate: Gate,
    file: UnsafeCell<usize>,
}

impl Anchor {
    fn read(&self) {
        // SAFETY: loom reports a writer at the same time before it does harm.
        self.file.with(|file| unsafe { *file });
    }

    fn glimpse(&self) {
        if let Some(reading) = self.gate.try_enter() {
            self.read();
            drop(reading);
        }
    }

    fn enter(&self) -> Reading<'_> {
        loop {
            if let Some(reading) = self.gate.try_enter() {
                return reading;
            }
            if let Some(opening) = self.gate.opening() {
                assert!(opening.wait(&Time::system(), None));
            }
        }
    }

    fn write(&self) {
        assert_eq!(self.gate.close(&Time::system(), None), Ok(()));
        // SAFETY: as in `read`.
        self.file.with_mut(|file| unsafe { *file += 1 });
        self.gate.open();
    }
}

/// Runs a model with one writer in both forms of the barrier.
fn explore(
    slots: usize,
    preemptions: usize,
    reader: impl Fn(&Anchor) + Copy + Send + Sync + 'static,
) {
    for barrier in [Barrier::Fences, Barrier::Words] {
        explore_one(
            Setting {
                barrier,
                slots,
                ..Setting::DEFAULT
            },
            preemptions,
            move |site| {
                let other = Arc::clone(site);
                let reader = thread::spawn(move || reader(&other));
                site.write();
                reader.join().unwrap();
            },
        );
    }
}

fn explore_one(
    setting: Setting,
    preemptions: usize,
    body: impl Fn(&Arc<Anchor>) + Sync + Send + 'static,
) {
    setting.apply();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(move || {
        body(&Arc::new(Anchor {
            gate: Gate::new(),
            file: UnsafeCell::new(0),
        }));
    });
}

#[test]
fn a_reader_and_a_writer() {
    explore(1, 3, |site| {
        site.glimpse();
        drop(site.enter());
        site.glimpse();
    });
}

/// A task that goes in, whatever its thread is inside for.
#[cfg(feature = "async")]
#[test]
fn a_task_and_a_writer() {
    let glimpse = |site: &Anchor| {
        if let Some(reading) = site.gate.try_enter_anew() {
            site.read();
            drop(reading);
        }
    };
    explore(1, 3, move |site| {
        glimpse(site);
        glimpse(site);
    });
}

#[test]
fn a_reader_without_a_slot() {
    explore(0, 3, |site| {
        site.glimpse();
        site.glimpse();
    });
}

#[test]
fn a_reader_moves_from_slot_to_slot() {
    explore(2, 3, |site| {
        let first = site.enter();
        let second = site.enter();
        drop(first);
        let third = site.enter();
        drop(second);
        site.read();
        drop(third);
    });
}

/// A thread whose second guard is in a further record goes in for the third time.
#[test]
fn a_reader_goes_in_again_with_two_records() {
    for barrier in [Barrier::Fences, Barrier::Words] {
        let setting = Setting {
            barrier,
            records: 3,
            ..Setting::DEFAULT
        };
        explore_one(setting, 3, |site| {
            let other = Arc::clone(site);
            let reader = thread::spawn(move || {
                let first = other.enter();
                let second = other.enter();
                drop(first);
                // Waits for itself if it is not known to be inside.
                let third = other.enter();
                other.read();
                drop(second);
                other.read();
                drop(third);
            });
            site.write();
            reader.join().unwrap();
        });
    }
}

/// A reader that enters again is let in for the sake of its other guard. That guard may be gone by
/// then, dropped by another thread, and the writer inside.
#[test]
fn a_guard_is_dropped_elsewhere_while_its_thread_enters_again() {
    for barrier in [Barrier::Fences, Barrier::Words] {
        explore_one(
            Setting {
                barrier,
                ..Setting::DEFAULT
            },
            3,
            |site| {
                let first = site.enter();
                // SAFETY: the thread that drops it has a share in the site.
                let first: Reading<'static> = unsafe { std::mem::transmute(first) };
                let other = Arc::clone(site);
                let elsewhere = thread::spawn(move || {
                    drop(first);
                    drop(other);
                });
                let other = Arc::clone(site);
                let writer = thread::spawn(move || other.write());
                site.glimpse();
                elsewhere.join().unwrap();
                writer.join().unwrap();
            },
        );
    }
}

/// A creation ends on one thread, however it ends, while a writer on another leaves the gate to it.
#[test]
fn a_gate_left_to_a_creation_that_ends() {
    let pile = Identity::of(&0_u8);
    for barrier in [Barrier::Fences, Barrier::Words] {
        explore_one(
            Setting {
                barrier,
                ..Setting::DEFAULT
            },
            3,
            move |site| {
                let other = Arc::clone(site);
                let writer = thread::spawn(move || {
                    assert_eq!(other.gate.close(&Time::system(), None), Ok(()));
                    // SAFETY: as in `read`.
                    other.file.with_mut(|file| unsafe { *file += 1 });
                    other.gate.leave_to(7, pile);
                });
                site.gate.end_of(7);
                // An older one, whose end is told late, changes nothing.
                site.gate.end_of(5);
                drop(site.enter());
                writer.join().unwrap();
                drop(site.enter());
                assert_eq!(site.gate.writers(), 1);
                site.read();
            },
        );
    }
}
