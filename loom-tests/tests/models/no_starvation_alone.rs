//! `no_starvation` of what a key has not: a reader that a writer keeps out.
//!
//! ```breakages
//! what-was-set-and-removed-is-no-answer | src/pile/sync_reader.rs | a_reader_is_given
//! @ fn set_with
//! - self.writers()
//! + Writers(None)
//! ```

use dogpile::{Attempt, SyncReaderDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model};

/// Once it is told of a value it waits no more, though the value is removed before it is inside: else
/// it could be told of one after the other.
#[test]
fn a_reader_is_given_what_was_set_and_removed() {
    model(|| {
        let pile = Arc::new(SyncReaderDogpile::new(HOUR));
        let Attempt::Lease(lease) = pile.attempt() else {
            unreachable!("it is empty")
        };
        let waiter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        let waits = pile.waiters() == 1;
        pile.set(1);
        pile.invalidate();
        drop(lease);
        let given = waiter.join().unwrap();
        // One that looked in between may have seen it, too.
        assert!(given == 1 || (given == 2 && !waits));
    });
}
