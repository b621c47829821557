//! `expire_keeps_serving` of what a key has not: a value that is kept elsewhere.
//!
//! ```breakages
//! an-age-from-the-store-undoes-it | src/raw/change.rs
//! - Some((seen, then))) if current.is(seen) && current.times() == then
//! + Some((seen, _))) if current.is(seen)
//! ```

use std::convert::Infallible;
use std::time::Duration;

use dogpile::{Dogpile, Lookup, ManualClock, Origin};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model};

/// With the value kept elsewhere: somebody is told how young it is, and does not know of the expire.
#[test]
fn whatever_age_a_store_tells_meanwhile() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let pile = Arc::new(Dogpile::builder(HOUR).clock(clock.clone()).build());
        pile.set(1);
        clock.advance(Duration::from_secs(10));
        let told = {
            let pile = Arc::clone(&pile);
            let age = Duration::from_secs(1);
            thread::spawn(move || {
                let get = || Ok::<_, Infallible>(Lookup::Aged(1, age));
                *pile.acquire(|| Ok(2), get).unwrap()
            })
        };
        pile.expire();
        if told.join().unwrap() == 2 {
            return; // That one came after the expire, and renewed the value.
        }
        // What is as old as that was made before the expire.
        let get = || Ok::<_, Infallible>(Lookup::Aged(1, Duration::from_secs(1)));
        let renewed = pile.acquire(|| Ok(3), get).unwrap();
        assert_eq!((*renewed, renewed.origin()), (3, Origin::CreatedHere));
    });
}
