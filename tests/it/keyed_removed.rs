//! A program that was shown removed data, over a map: four threads show a key while a fifth removes it and
//! puts new data there. After `remove` has returned, no thread shows what was there before.
//!
//! ```breakages
//! a-removal-lets-what-was-begun-be-kept | src/raw/keyed.rs | is_shown_by_nobody
//! @ pub(crate) fn remove
//! - let old = Self::empty(&mut state);
//! + let old = state.swap(None);
//! ```

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use dogpile::KeyedDogpile;

use crate::support::{MINUTE, within};

const RUNS: u32 = 10_000;
const KEY: &str = "key1";

/// What the threads of a run share.
struct Program {
    cache: KeyedDogpile<&'static str, u32>,
    /// The data as it is where it comes from.
    source: AtomicU32,
    /// The data that is there once `remove` has returned.
    least: AtomicU32,
}

impl Program {
    /// Three times, as in the original. What is shown is no older than what was removed before.
    fn show(&self, show: impl Fn(&Self) -> u32) {
        for _ in 0..3 {
            let least = self.least.load(Ordering::SeqCst);
            let shown = show(self);
            assert!(shown >= least, "{shown} after {least} had replaced it");
        }
    }

    /// Creates where nothing is there. The data is read, and a little later it is there.
    fn get_or_create(&self) -> u32 {
        *self.cache.get_or_create(&KEY, || {
            let data = self.source.load(Ordering::SeqCst);
            thread::yield_now();
            data
        })
    }

    /// Only looks, and shows the newest where nothing is there.
    fn peek(&self) -> u32 {
        self.cache.peek(&KEY).map_or(u32::MAX, |held| *held)
    }
}

/// Ten thousand runs of all five threads.
fn runs(show: fn(&Program) -> u32, is_set: bool) {
    within(move || {
        let program = Program {
            cache: KeyedDogpile::new(MINUTE),
            source: AtomicU32::new(1),
            least: AtomicU32::new(0),
        };
        program.cache.set(KEY, 1);
        let start = Barrier::new(5);
        thread::scope(|threads| {
            for _ in 1..5 {
                threads.spawn(|| {
                    for _ in 0..RUNS {
                        start.wait();
                        program.show(show);
                    }
                });
            }
            for run in 0..RUNS {
                // Every other run begins without data, so that somebody creates as it is removed.
                if run % 2 == 1 {
                    program.cache.invalidate(&KEY);
                }
                start.wait();
                thread::yield_now();
                let newer = run + 2;
                program.source.store(newer, Ordering::SeqCst);
                drop(program.cache.remove(&KEY));
                program.least.store(newer, Ordering::SeqCst);
                if is_set {
                    program.cache.set(KEY, newer);
                }
                program.show(show);
            }
        });
        assert_eq!(*program.cache.get_or_create(&KEY, || RUNS + 1), RUNS + 1);
    });
}

#[test]
fn is_shown_by_nobody_who_looks() {
    runs(Program::peek, true);
}

#[test]
fn is_shown_by_nobody_who_creates() {
    runs(Program::get_or_create, false);
}

#[test]
fn is_shown_by_nobody_who_creates_while_another_sets() {
    runs(Program::get_or_create, true);
}
