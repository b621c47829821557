//! `invalidate_wins` of what a key has not: a value that is kept elsewhere.
//!
//! ```breakages
//! store-is-asked-after-an-invalidate | src/call/acquire.rs
//! - self.accept == Accept::New || self.site.pile.is_emptied()
//! + self.accept == Accept::New
//! ```

use std::convert::Infallible;
use std::time::Duration;

use dogpile::{Dogpile, Lookup};
use loom_tests::sync::Arc;
use loom_tests::sync::atomic::{AtomicUsize, Ordering};
use loom_tests::thread;
use loom_tests::{HOUR, model};

/// With the value kept elsewhere: the store still has the old one, calls it young, and is not asked.
#[test]
fn over_what_a_store_still_has() {
    model(|| {
        let shared = Arc::new((Dogpile::new(HOUR), AtomicUsize::new(0), AtomicUsize::new(0)));
        let acquire = |shared: &(Dogpile<usize>, AtomicUsize, AtomicUsize)| {
            let (pile, truth, store) = shared;
            let create = || {
                let read = truth.load(Ordering::Acquire);
                store.store(read + 10, Ordering::Release);
                Ok::<_, Infallible>(read + 10)
            };
            let get = || {
                Ok(match store.load(Ordering::Acquire) {
                    0 => Lookup::NeedRegeneration,
                    value => Lookup::Aged(value, Duration::ZERO),
                })
            };
            *pile.acquire(create, get).unwrap()
        };
        assert_eq!(acquire(&shared), 10);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || acquire(&shared))
        };
        shared.1.store(1, Ordering::Release);
        shared.0.invalidate();
        assert_eq!(acquire(&shared), 11);
        assert!(matches!(other.join().unwrap(), 10 | 11));
    });
}
