//! `given_up_is_free` of what a key has not: a lease that is sent away with its pile, and a value that is
//! kept elsewhere.
//!
//! ```breakages
//! lease-sent-away-is-not-given-up | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - if !self.ended {
//! + if !self.ended && matches!(self.anchor, Anchor::Borrowed(_)) {
//!
//! who-declines-fails | src/raw/end.rs
//! - self.end(ended, End::GivenUp, seen, |_| Ending::ElectAnew);
//! + self.end(ended, End::GivenUp, seen, |_| Ending::Panicked(Panicked::new(&""), true));
//! ```

use dogpile::{Attempt, Dogpile, Lookup};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model};

/// A lease that another thread is given: whatever that one does with it, the waiters are told.
fn sent_away(published: bool) {
    model(move || {
        let pile = std::sync::Arc::new(Dogpile::<usize>::new(HOUR));
        let Attempt::Lease(lease) = pile.attempt_owned() else {
            panic!("an empty pile grants its lease")
        };
        let waiter = {
            let pile = std::sync::Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        let holder = thread::spawn(move || {
            if published {
                assert_eq!(*lease.publish(1).unwrap(), 1);
            } else {
                drop(lease);
            }
        });
        holder.join().unwrap();
        assert_eq!(waiter.join().unwrap(), if published { 1 } else { 2 });
        assert!(!pile.is_creating());
    });
}

#[test]
fn when_a_lease_is_dropped_on_another_thread() {
    sent_away(false);
}

#[test]
fn and_not_when_it_is_published_there() {
    sent_away(true);
}

/// A holder who declines, since somebody outside is at it: who waits elects anew, with whatever form,
/// and is told of no failure.
#[test]
fn a_holder_declines() {
    model(|| {
        let pile = Arc::new(Dogpile::<usize>::new(HOUR));
        let miss = || Ok::<_, u8>(Lookup::NeedRegeneration);
        let Ok(Attempt::Lease(lease)) = pile.call().attempt_acquire(miss) else {
            panic!("an empty pile grants its lease")
        };
        let waiter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || pile.acquire(|| Ok(2), miss).map(|acquired| *acquired))
        };
        drop(lease);
        assert_eq!(waiter.join().unwrap().unwrap(), 2);
        assert!(!pile.is_creating());
    });
}
