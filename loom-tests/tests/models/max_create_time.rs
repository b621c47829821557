//! `max_create_time`: a lease that is held for longer is taken over, and those who wait move to the new
//! one. The late creator meddles with nothing. At most one is late at a time: beyond that a take-over is
//! a failure, and nobody creates for a while.
//!
//! ```breakages
//! no-thread-wakes-to-take-over | src/call/thread.rs | by_a_thread_that_waits
//! - let until = if is_to_take_over {
//! + let until = if is_to_take_over && limit.deadline.is_some() {
//!
//! no-task-wakes-to-take-over | src/call/task.rs | by_a_task_that_waits
//! - None if overdue.is_some() && call.can_be_woken() => {
//! + None if overdue.is_some() && call.can_be_woken() && false => {
//!
//! those-who-wait-stay-with-the-late-one | src/raw/lease.rs
//! - true => state.vacate(),
//! + true => drop(state.end(taken.fence)),
//!
//! taken-over-before-it-is-granted | src/raw/lease.rs
//! @ pub(crate) fn attempt
//! - let found = Self::find(&mut state, look, usable, taken.as_ref());
//! + drop(state);
//! + let mut state = self.cell.lock();
//! + let found = Self::find(&mut state, look, usable, taken.as_ref());
//!
//! a-late-end-is-an-end-like-any-other | src/raw/end.rs
//! @ fn is_late_end
//! - !state.is_leased_to(fence) && Self::change_pace(
//! + !state.is_leased() && Self::change_pace(
//!
//! a-late-value-is-the-current-one | src/raw/end.rs
//! @ pub(crate) fn publish
//! - if Self::is_late_end(&mut state, fence) {
//! -     return false;
//! + if Self::is_late_end(&mut state, fence) {
//! +     let old = Self::install(&mut state, ended.policy, kept);
//! +     drop(state);
//! +     drop(old);
//! +     return true;
//!
//! who-is-late-does-not-know-it | src/raw/mod.rs
//! - is_late || state.supersedes(fence)
//! + let _ = is_late;
//! + state.supersedes(fence)
//!
//! a-second-one-is-late-too | src/policy/pace.rs
//! - self.late.push(fence);
//! - self.late.len() == 1
//! + self.late.push(fence);
//! + self.late.len() <= 2
//!
//! a-second-one-is-taken-over-and-nobody-rests | src/policy/pace.rs
//! @ pub(crate) fn rest
//! - if let (None, Some(span)) = (self.pause, policy.max_create_time) {
//! + if let (None, Some(span), true) = (self.pause, policy.max_create_time, self.failures > 9) {
//!
//! a-second-one-is-taken-over-and-nobody-is-told | src/raw/lease.rs
//! @ pub(crate) fn attempt
//! - taken.waiters = state.end(taken.fence);
//! + drop(state.end(taken.fence));
//! ```

use std::time::Duration;

use crate::kind::{Attempt, Busy, Guard, Pile, build, model};
use dogpile::{Builder, Dogpile, Lease, ManualClock, Outcome};
use loom_tests::HOUR;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;

const LIMIT: Duration = Duration::from_secs(10);

fn builder() -> (Builder<usize>, std::sync::Arc<ManualClock>) {
    let clock = std::sync::Arc::new(ManualClock::new());
    let builder = Dogpile::builder(HOUR).max_create_time(LIMIT);
    (builder.clock(clock.clone()), clock)
}

fn lease(pile: &Pile<usize>) -> Lease<'_, usize> {
    match pile.attempt() {
        Attempt::Lease(lease) => lease,
        found => panic!("{found:?}"),
    }
}

fn busy(pile: &Pile<usize>) -> Busy<'_, usize> {
    match pile.attempt() {
        Attempt::Busy(busy) => busy,
        found => panic!("{found:?}"),
    }
}

fn value(outcome: Outcome<Guard<'_, usize>>) -> usize {
    match outcome {
        Outcome::Value(guard) => *guard,
        outcome => panic!("{outcome:?}"),
    }
}

/// While `ask` asks, the time of a creator that hangs comes to its end.
fn hangs_while(ask: fn(&Pile<usize>) -> usize) {
    model(move || {
        let (builder, clock) = builder();
        let pile = Arc::new(build(builder));
        let late = lease(&pile);
        let waiter = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || ask(&pile))
        };
        clock.advance(LIMIT);
        // Who does not wake for it waits as long as this one waits for it: for ever.
        assert_eq!(waiter.join().unwrap(), 2);
        assert!(late.is_superseded());
        assert_eq!(late.publish(1).unwrap_err().into_inner(), Some(1));
        assert_eq!(pile.peek().map(|value| *value), Some(2));
        assert!(!pile.is_creating());
    });
}

#[test]
fn by_a_thread_that_waits() {
    hangs_while(|pile| *pile.get_or_create(|| 2));
}

#[test]
fn by_a_task_that_waits() {
    hangs_while(|pile| *block_on(pile.get_or_create_async(|| async { 2 })));
}

/// One of two takes over, the other waits for the new one. Neither is told of the late one.
#[test]
fn by_one_of_two_and_all_who_wait_move() {
    model(|| {
        let (builder, clock) = builder();
        let pile = Arc::new(build(builder));
        let late = lease(&pile);
        let waits = busy(&pile);
        clock.advance(LIMIT);
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 3))
        };
        let mine = *pile.get_or_create(|| 2);
        assert_eq!(other.join().unwrap(), mine);
        assert_eq!(value(waits.wait()), mine);
        assert!(late.publish(1).is_err());
        assert_eq!(pile.peek().map(|value| *value), Some(mine));
    });
}

/// The late one ends in some way, as another takes the lease over and makes 2.
fn ends_meanwhile(end: fn(Lease<'_, usize>) -> Option<usize>) {
    model(move || {
        let (builder, clock) = builder();
        let pile = Arc::new(build(builder));
        let late = lease(&pile);
        let waits = busy(&pile);
        clock.advance(LIMIT);
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        let published = end(late);
        let other = other.join().unwrap();
        assert_eq!(other, published.unwrap_or(2));
        assert_eq!(pile.peek().map(|value| *value), Some(other));
        assert!(!pile.is_creating());
        match waits.wait() {
            Outcome::Value(value) => assert_eq!(*value, other),
            // It ended while the lease was still its own.
            Outcome::Failed(failure) => assert_eq!(failure.downcast_ref(), Some(&9_u8)),
            Outcome::ElectAnew => {}
            outcome => panic!("{outcome:?}"),
        }
    });
}

#[test]
fn as_the_late_one_publishes() {
    ends_meanwhile(|late| late.publish(1).ok().map(|value| *value));
}

#[test]
fn as_the_late_one_fails() {
    ends_meanwhile(|late| {
        assert_eq!(late.fail(9_u8).created(), Some(&9));
        None
    });
}

#[test]
fn as_the_late_one_gives_up() {
    ends_meanwhile(|late| {
        drop(late);
        None
    });
}

/// Something is done with the lease and the pile while another caller may take the lease over.
fn meets_a_take_over(does: fn(&Pile<usize>, Lease<'_, usize>), leaves: fn(&Pile<usize>)) {
    model(move || {
        let (builder, clock) = builder();
        let pile = Arc::new(build(builder));
        let late = lease(&pile);
        clock.advance(LIMIT);
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| 2))
        };
        does(&pile, late);
        assert!((2..=3).contains(&other.join().unwrap()));
        leaves(&pile);
    });
}

#[test]
fn as_a_value_is_set() {
    meets_a_take_over(
        |pile, late| {
            pile.set(3);
            assert!(late.publish(1).is_err());
        },
        |pile| assert_eq!(pile.peek().map(|value| *value), Some(3)),
    );
}

#[test]
fn as_the_pile_is_invalidated() {
    meets_a_take_over(
        |pile, late| {
            pile.invalidate();
            assert!(late.publish(1).is_err());
            assert!((2..=3).contains(&*pile.get_or_create(|| 3)));
        },
        |pile| assert!(!pile.is_creating()),
    );
}

/// The second take-over is a failure to all who wait, and to two who come.
#[test]
fn no_more_than_one_is_late() {
    model(|| {
        let (builder, clock) = builder();
        let pile = Arc::new(build(builder));
        let late = lease(&pile);
        clock.advance(LIMIT);
        let next = lease(&pile);
        let waits = busy(&pile);
        clock.advance(LIMIT);
        let ask = |pile: &Pile<usize>| {
            let create = || -> Result<usize, u8> { unreachable!("two are late") };
            pile.get_or_try_create(create).unwrap_err()
        };
        let other = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || ask(&pile))
        };
        for error in [ask(&pile), other.join().unwrap()] {
            assert!(error.is_backing_off() || error.is_failed(), "{error:?}");
        }
        assert!(matches!(waits.wait(), Outcome::Failed(_)));
        assert!(next.is_superseded());
        drop((late, next));
        assert_eq!(pile.retry_in(), Some(LIMIT));
    });
}
