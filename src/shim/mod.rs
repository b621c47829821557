//! Threads, locks and atomics: the real ones, or those of loom or shuttle. The models of the crate are
//! built with those of loom or shuttle.
//!
//! No other folder names `std::sync`, `std::thread`, parking_lot, loom or shuttle. Everything that
//! synchronises has to come from here, since the models do not see anything else.
//!
//! `Counted` counts the shares in a value, and loom sees it. `Arc` is the standard one in all builds,
//! because its counting is not under test, and a model of it would only multiply the interleavings.

#[cfg(dogpile_loom)]
#[path = "loom.rs"]
mod imp;
#[cfg(dogpile_shuttle)]
#[path = "shuttle.rs"]
mod imp;
#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
#[path = "real.rs"]
mod imp;

#[cfg(target_os = "linux")]
mod estimate;
#[cfg(target_os = "linux")]
mod signed;
mod tally;

#[cfg(target_os = "linux")]
pub(crate) use self::estimate::Estimate;
pub(crate) use self::imp::*;
#[cfg(target_os = "linux")]
pub(crate) use self::signed::Signed;
pub(crate) use self::tally::Tally;
pub(crate) use std::sync::Arc;
#[cfg(any(not(target_os = "linux"), feature = "tokio"))]
pub(crate) use std::sync::OnceLock;
/// A share in an [`Arc`] that does not keep the value alive.
pub(crate) use std::sync::Weak as ArcWeak;
/// What a creator answered, or its panic.
pub(crate) use std::thread::Result as Ran;
pub(crate) use std::thread::Thread;

/// The thread that asks, to be named to others. No model depends on it.
pub(crate) fn this_thread() -> Thread {
    std::thread::current()
}

/// A word of which any value that it ever had may be read, whatever else was seen: the models need not
/// look at each of them.
pub(crate) type Hint = std::sync::atomic::AtomicU64;

/// An address of the same kind.
#[cfg(dogpile_loom)]
pub(crate) type HintPtr<X> = std::sync::atomic::AtomicPtr<X>;

/// A [`Hint`] of few bytes: one that the processor widens to a word as it reads it.
pub(crate) type SmallHint = std::sync::atomic::AtomicU32;

/// A number that another process has by chance only. No model depends on it, so it uses a real atomic in
/// all builds.
pub(crate) fn process_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    /// Zero: nobody has drawn it.
    static SEED: AtomicU64 = AtomicU64::new(0);
    let draw = || {
        // The library draws its keys from the system.
        let keys = std::collections::hash_map::RandomState::new();
        let drawn = std::hash::BuildHasher::hash_one(&keys, 0u8).max(1);
        // ORDERING: the number is all there is to see. The first one who draws it draws it for all.
        let first = SEED.compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed);
        first.map_or_else(|seed| seed, |_| drawn)
    };
    match SEED.load(Ordering::Relaxed) {
        0 => draw(),
        seed => seed,
    }
}

/// A number that no other pile has. No model depends on it, so it uses a real lock in all builds.
#[cfg(debug_assertions)]
pub(crate) fn next_pile() -> u64 {
    static LAST: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
    let mut last = LAST
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    *last += 1;
    *last
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::process_seed;

    #[test]
    fn the_seed_of_a_process_is_drawn_once() {
        let seed = process_seed();
        assert_eq!(process_seed(), seed);
        // By chance, once in more processes than there will ever be.
        assert!(seed > 1_000);
    }
}
