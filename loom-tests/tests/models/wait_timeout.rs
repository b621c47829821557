//! `wait_timeout`: a waiter gives up with its error in time, whatever the creator does, and its
//! leaving disturbs nobody, also when the value lands in that very moment.
//!
//! ```breakages
//! clock-read-before-registering | src/time/clock.rs
//! + let now = self.now();
//!   let woken = self.clock().is_some_and(register);
//! - let now = self.now();
//!
//! clock-wakes-nobody | src/time/clock.rs
//! - contain(|| sleeper.wake());
//! + drop(sleeper);
//!
//! nudge-without-a-mark | src/raw/wait/event.rs
//! - self.word.fetch_add(NUDGE, Ordering::Release);
//!
//! nudge-for-threads-only | src/raw/wait/event.rs
//! @ fn nudge
//! - wake(wakers);
//! + drop(wakers);
//!
//! last-look-relaxed | src/raw/wait/event.rs
//! - self.word.load(Ordering::Acquire) & SET != 0
//! + self.word.load(Ordering::Relaxed) & SET != 0
//!
//! task-lies-down-without-a-second-look | src/raw/wait/event.rs
//! - if self.word.load(Ordering::Relaxed) == seen {
//! + let _ = seen;
//! + if true {
//!   let old = wakers.put(key, waker);
//!
//! who-waits-for-a-key-has-no-limit | src/keyed/cycles.rs
//! - if inside.is_empty() {
//! -     return Ok(event.wait(time, deadline));
//! + if inside.is_empty() {
//! +     return Ok(event.wait(time, deadline.filter(|_| false)));
//! ```

use std::time::Duration;

use crate::kind::{build, model};
use dogpile::{Dogpile, ManualClock};
use loom_tests::HOUR;
use loom_tests::future::block_on;
use loom_tests::sync::Arc;
use loom_tests::thread;

const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn while_the_creator_never_ends() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let pile = Arc::new(build(Dogpile::builder(HOUR).clock(clock.clone())));
        let mut waiter = None;
        drop(pile.get_or_create(|| {
            let thread = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || pile.call().wait(LIMIT).get_or_create(|| 2).map(|v| *v))
            };
            if pile.waiters() == 1 {
                clock.advance(LIMIT);
                // A waiter who does not hear the clock sleeps for as long as this creator waits
                // for it: for ever.
                assert!(thread.join().unwrap().unwrap_err().is_timed_out());
            } else {
                waiter = Some(thread);
            }
            1
        }));
        if let Some(waiter) = waiter {
            assert_eq!(waiter.join().unwrap().unwrap(), 1);
        }
    });
}

#[test]
fn as_the_value_lands() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let pile = Arc::new(build(Dogpile::builder(HOUR).clock(clock.clone())));
        let mut waiters = None;
        drop(pile.get_or_create(|| {
            let limited = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || pile.call().wait(LIMIT).get_or_create(|| 2).map(|v| *v))
            };
            let patient = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| 3))
            };
            waiters = Some((limited, patient));
            clock.advance(LIMIT);
            1
        }));
        let (limited, patient) = waiters.unwrap();
        assert_eq!(patient.join().unwrap(), 1);
        match limited.join().unwrap() {
            Ok(value) => assert_eq!(value, 1),
            Err(error) => assert!(error.is_timed_out()),
        }
        assert_eq!(pile.waiters(), 0);
    });
}

#[test]
fn a_task_while_the_creator_never_ends() {
    model(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let pile = Arc::new(build(Dogpile::builder(HOUR).clock(clock.clone())));
        let mut waiter = None;
        drop(pile.get_or_create(|| {
            let thread = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let call = pile.call().wait(LIMIT);
                    block_on(call.get_or_create_async(|| async { 2 })).map(|v| *v)
                })
            };
            if pile.waiters() == 1 {
                clock.advance(LIMIT);
                // As for a thread.
                assert!(thread.join().unwrap().unwrap_err().is_timed_out());
            } else {
                waiter = Some(thread);
            }
            1
        }));
        if let Some(waiter) = waiter {
            assert_eq!(waiter.join().unwrap().unwrap(), 1);
        }
    });
}
