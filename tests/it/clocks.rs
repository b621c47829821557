//! What a clock that is moved by hand keeps, and what comes of a waker that misbehaves.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use dogpile::{Attempt, Clock, Dogpile, Error, ManualClock, SyncReaderDogpile, SystemClock, Tick};

use crate::support::{MINUTE, SECOND, manual};
use crate::tasks::{poll, poll_by};

/// As `Debug` tells it.
fn sleepers(clock: &ManualClock) -> usize {
    let said = format!("{clock:?}");
    let (_, rest) = said.split_once("sleepers: ").unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

mod keeps_a_waker_for_each_that_sleeps {
    use super::*;

    /// However often a task looks.
    #[test]
    fn and_not_for_each_poll() {
        let (clock, builder) = manual::<u8>(MINUTE);
        let pile = builder.build();
        let Attempt::Lease(lease) = pile.attempt() else {
            unreachable!("it is empty")
        };
        let call = || pile.call().wait(SECOND).get_or_create_async(pending);
        let (mut first, mut second) = (Box::pin(call()), Box::pin(call()));
        for _ in 0..1000 {
            assert!(poll(first.as_mut()).is_pending());
            assert!(poll(second.as_mut()).is_pending());
        }
        // Both wait for the same creation.
        assert_eq!(sleepers(&clock), 1);
        // It is asked again after each step of the clock.
        for _ in 0..10 {
            clock.advance(Duration::from_millis(1));
            assert_eq!(sleepers(&clock), 0);
            assert!(poll(first.as_mut()).is_pending());
            assert!(poll(second.as_mut()).is_pending());
            assert_eq!(sleepers(&clock), 1);
        }
        clock.advance(SECOND);
        for waiting in [&mut first, &mut second] {
            let answer = poll(waiting.as_mut());
            assert!(matches!(answer, Poll::Ready(Err(Error::TimedOut { .. }))));
        }
        drop((first, second, lease));
        assert_eq!(sleepers(&clock), 0);
    }

    /// However many have slept.
    #[test]
    fn and_not_for_those_that_are_gone() {
        let (clock, builder) = manual::<u8>(MINUTE);
        let pile = builder.build();
        for turn in 0..100 {
            let Attempt::Lease(lease) = pile.attempt() else {
                unreachable!("it is empty")
            };
            {
                let call = pile.call().wait(SECOND);
                let mut waiting = pin!(call.get_or_create_async(pending));
                assert!(poll(waiting.as_mut()).is_pending());
                assert_eq!(sleepers(&clock), 1);
                if turn % 2 == 0 {
                    drop(lease);
                } else {
                    drop(lease.publish(7));
                    assert!(matches!(poll(waiting), Poll::Ready(Ok(value)) if *value == 7));
                }
            }
            assert_eq!(sleepers(&clock), 0);
            pile.invalidate();
        }
    }

    /// A writer waits for the readers one after the other.
    #[test]
    fn nor_for_a_writer_that_gave_up() {
        let (clock, builder) = manual::<u8>(MINUTE);
        let pile: SyncReaderDogpile<u8> = builder.build_sync_reader();
        pile.set(1);
        let guard = pile.peek();
        for _ in 0..100 {
            std::thread::scope(|threads| {
                let write = threads.spawn(|| pile.acquire_write_lock_for(SECOND).map(drop));
                crate::support::until(|| sleepers(&clock) == 1);
                clock.advance(SECOND);
                assert!(write.join().unwrap().is_err());
            });
            assert_eq!(sleepers(&clock), 0);
        }
        drop(guard);
    }

    /// Two clones wake the same task.
    #[test]
    fn by_what_they_wake() {
        let clock = ManualClock::new();
        let count = Arc::new(Count::default());
        let (one, other) = (
            Waker::from(Arc::clone(&count)),
            Waker::from(Arc::new(Count::default())),
        );
        for _ in 0..3 {
            assert!(clock.on_advance(&one) && clock.on_advance(&one.clone()));
            assert!(clock.on_advance(&other));
            assert_eq!(sleepers(&clock), 2);
        }
        clock.forget(&other);
        clock.forget(&other);
        assert_eq!(sleepers(&clock), 1);
        clock.advance(SECOND);
        assert_eq!((count.0.load(Ordering::SeqCst), sleepers(&clock)), (1, 0));
        clock.forget(&one);
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that panics, with a payload that panics when it is dropped.
struct Bad;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Quiet))
    }
}

/// And so does what that panic carries.
struct Quiet;

impl Drop for Quiet {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("once more"))
    }
}

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new(Bomb))
    }
}

mod a_panic_of_a_waker_keeps_nobody_asleep {
    use super::*;

    #[test]
    fn when_a_value_is_published() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            unreachable!("it is empty")
        };
        let call = || Box::pin(pile.get_or_create_async(pending));
        let (mut bad, mut good) = (call(), call());
        let count = Arc::new(Count::default());
        assert!(poll_by(&Waker::from(Arc::new(Bad)), bad.as_mut()).is_pending());
        assert!(poll_by(&Waker::from(Arc::clone(&count)), good.as_mut()).is_pending());
        assert!(lease.publish(7).is_ok());
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(matches!(poll(good), Poll::Ready(value) if *value == 7));
        assert!(matches!(poll(bad), Poll::Ready(value) if *value == 7));
    }

    #[test]
    fn when_a_clock_is_moved() {
        let clock = ManualClock::new();
        let count = Arc::new(Count::default());
        assert!(clock.on_advance(&Waker::from(Arc::new(Bad))));
        assert!(clock.on_advance(&Waker::from(Arc::clone(&count))));
        clock.advance(SECOND);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(clock.now(), Tick::ZERO.saturating_add(SECOND));
    }
}

/// A test can have its clock in a `static`, beside the pile.
#[test]
fn a_manual_clock_can_be_a_static() {
    static CLOCK: ManualClock = ManualClock::new();
    CLOCK.advance(SECOND);
    assert_eq!(CLOCK.now().saturating_since(Tick::ZERO), SECOND);
}

/// What was found is allowed for, with as much again.
#[test]
fn the_coarse_time_lags_no_more_than_it_says() {
    let allowed = SystemClock.lag();
    for _ in 0..1000 {
        let now = SystemClock.now();
        let coarse = SystemClock.coarse();
        assert!(now.saturating_since(coarse) <= SystemClock.lag());
    }
    assert!(SystemClock.lag() >= allowed);
}
