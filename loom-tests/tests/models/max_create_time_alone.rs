//! `max_create_time` of what a key has not: a lease that is sent away with its pile, and readers that a
//! writer keeps out.
//!
//! ```breakages
//! a-late-end-tells-those-who-wait-for-the-new-one | src/raw/end.rs
//! @ fn end(
//! - if Self::is_late_end(&mut state, fence) {
//! + if Self::is_late_end(&mut state, fence) {
//! +     let waiters = state.release_waiters();
//! +     drop(state);
//! +     tell(waiters, false, ending(true));
//!
//! who-was-late-is-late-for-ever | src/policy/pace.rs
//! - self.late.retain(|&late| late != fence);
//! - self.late.len() != before
//! + self.late.len() == before && self.late.contains(&fence)
//!
//! a-late-one-keeps-readers-out | src/call/hit.rs
//! @ pub(crate) fn evict
//! - gate.end_of(late);
//! + let _ = (gate, late);
//!
//! a-late-one-keeps-readers-out-from-then-on | src/call/hit.rs
//! @ pub(crate) fn found
//! - gate.end_of(late);
//! + let _ = (gate, late);
//! ```

use std::time::Duration;

use dogpile::{Attempt, Builder, Created, Dogpile, Lease, ManualClock, Outcome, SyncReaderDogpile};
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, model};

const LIMIT: Duration = Duration::from_secs(10);

fn builder() -> (Builder<usize>, std::sync::Arc<ManualClock>) {
    let clock = std::sync::Arc::new(ManualClock::new());
    let builder = Dogpile::builder(HOUR).max_create_time(LIMIT);
    (builder.clock(clock.clone()), clock)
}

fn lease(pile: &Dogpile<usize>) -> Lease<'_, usize> {
    match pile.attempt() {
        Attempt::Lease(lease) => lease,
        found => panic!("{found:?}"),
    }
}

fn owned_lease(pile: &std::sync::Arc<Dogpile<usize>>) -> Lease<'static, usize> {
    match pile.attempt_owned() {
        Attempt::Lease(lease) => lease,
        found => panic!("{found:?}"),
    }
}

/// It ends when another has the lease: nobody but its caller is told.
fn ends_too_late(end: fn(Lease<'static, usize>)) {
    model(move || {
        let (builder, clock) = builder();
        let pile = std::sync::Arc::new(builder.build());
        let late = owned_lease(&pile);
        let Attempt::Busy(waits) = pile.attempt() else {
            panic!("it is leased");
        };
        clock.advance(LIMIT);
        let next = lease(&pile);
        let other = thread::spawn(move || end(late));
        assert!(!next.is_superseded());
        assert_eq!(*next.publish(2).unwrap(), 2);
        // Before the late one has ended, or after that.
        assert_eq!(pile.peek().map(|value| *value), Some(2));
        other.join().unwrap();
        assert!(matches!(waits.wait(), Outcome::Value(value) if *value == 2));
        assert_eq!(pile.peek().map(|value| *value), Some(2));
    });
}

#[test]
fn and_a_late_value_replaces_nothing() {
    ends_too_late(|late| {
        assert!(late.is_superseded());
        assert_eq!(late.publish(1).unwrap_err().into_inner(), Some(1));
    });
}

#[test]
fn and_a_late_failure_is_told_to_nobody() {
    ends_too_late(|late| {
        assert_eq!(late.fail(9_u8).created(), Some(&9));
    });
}

#[test]
fn and_who_gives_up_late_wakes_nobody() {
    ends_too_late(drop);
}

/// The first late one ends as the second is late: whichever comes first, each that has ended makes room
/// for another.
#[test]
fn no_more_than_one_at_a_time() {
    model(|| {
        let (builder, clock) = builder();
        let pile = std::sync::Arc::new(builder.build());
        let late = owned_lease(&pile);
        clock.advance(LIMIT);
        let next = lease(&pile);
        clock.advance(LIMIT);
        let other = thread::spawn(move || drop(late));
        match pile.attempt() {
            Attempt::Lease(lease) => drop(lease),
            Attempt::NotYet(not_yet) => {
                assert_eq!(not_yet.retry_in, LIMIT);
                clock.advance(LIMIT);
            }
            found => panic!("{found:?}"),
        }
        other.join().unwrap();
        assert!(next.publish(2).is_err());
        let third = lease(&pile);
        clock.advance(LIMIT);
        // By a call that goes no further where nobody may create.
        assert_eq!(*pile.get_or_try_create(|| Ok::<_, u8>(4)).unwrap(), 4);
        assert!(third.publish(3).is_err());
    });
}

fn reader_pile() -> (Arc<SyncReaderDogpile<usize>>, std::sync::Arc<ManualClock>) {
    let (builder, clock) = builder();
    (Arc::new(builder.build_sync_reader()), clock)
}

fn reader_lease(pile: &SyncReaderDogpile<usize>) -> Lease<'_, usize> {
    match pile.attempt() {
        Attempt::Lease(lease) => lease,
        found => panic!("{found:?}"),
    }
}

/// A creator that hangs has left the write lock to its creation.
#[test]
fn by_a_reader_whom_the_late_one_keeps_out() {
    model(|| {
        let (pile, clock) = reader_pile();
        let late = reader_lease(&pile);
        let lock = pile.acquire_write_lock().unwrap();
        lock.until_published(&late.creating());
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        clock.advance(LIMIT);
        assert_eq!(reader.join().unwrap(), 2);
        drop(late);
        assert_eq!(pile.peek().map(|value| *value), Some(2));
    });
}

/// A late creator leaves the write lock to its creation, which is over.
#[test]
fn and_a_late_one_keeps_no_reader_out() {
    model(|| {
        let (pile, clock) = reader_pile();
        pile.set_with(Created::new(0).ttl(Duration::ZERO));
        let late = reader_lease(&pile);
        clock.advance(LIMIT);
        let next = reader_lease(&pile);
        let reader = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| unreachable!("another creates")))
        };
        let lock = pile.acquire_write_lock().unwrap();
        lock.until_published(&late.creating());
        // While both hang.
        assert_eq!(reader.join().unwrap(), 0);
        drop((late, next));
    });
}
