//! Limits at the ends of their range, clocks that misbehave, calls from the oddest places.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Clock, Dogpile, Error, ManualClock, Origin, Owned, Tick};

use crate::support::{Census, HOUR, MINUTE, NANO, Runs, SECOND, manual, until, within};
use crate::support::{Keeps as _, Shows as _};

mod a_ttl_of_zero {
    use super::*;

    #[test]
    fn is_never_fresh() {
        within(|| {
            let (_, builder) = manual(Duration::ZERO);
            let pile = builder.build();
            for number in 1..5 {
                let guard = pile.get_or_create(|| number);
                assert_eq!((*guard, guard.origin()), (number, Origin::CreatedHere));
                assert!(!pile.is_fresh());
                assert_eq!(pile.peek().unwrap().origin(), Origin::Stale);
            }
            pile.set(9);
            assert!(!pile.is_fresh());
        });
    }

    #[test]
    fn by_the_systems_clock_too() {
        within(|| {
            let pile = Dogpile::with_value(Duration::ZERO, 0);
            for number in 1..5 {
                assert_eq!(*pile.get_or_create(|| number), number);
            }
        });
    }

    #[test]
    fn serves_the_last_value_during_a_creation() {
        within(|| {
            let (_, builder) = manual(Duration::ZERO);
            let pile = builder.build();
            pile.set(1);
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| assert_eq!(*pile.get_or_create(|| 3), 1));
                });
                2
            }));
        });
    }

    // Its waiters get the value: `first_call_waits`.

    #[test]
    fn even_for_one_who_wants_a_fresh_one() {
        within(|| {
            let (_, builder) = manual(Duration::ZERO);
            let pile = builder.build();
            let runs = Runs::default();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    for accept in [Accept::Fresh, Accept::Stale] {
                        let (pile, runs) = (&pile, &runs);
                        threads.spawn(move || {
                            let call = pile.call().accept(accept);
                            assert_eq!(*call.get_or_create(|| runs.run(|| 2)).unwrap(), 1);
                        });
                    }
                    until(|| pile.waiters() == 2);
                    1
                }));
            });
            assert_eq!(runs.count(), 0);
        });
    }
}

mod enormous_limits {
    use super::*;

    #[test]
    fn are_no_limits() {
        within(|| {
            let (clock, builder) = manual(Duration::MAX);
            let pile = builder.stale_while_revalidate(Duration::MAX).build();
            let guard = pile.call().wait(Duration::MAX).max_age(Duration::MAX);
            assert_eq!(*guard.get_or_create(|| 1).unwrap(), 1);
            clock.set(Tick::from_nanos(u64::MAX - 1));
            assert!(pile.is_fresh());
            assert_eq!(*guard.get_or_create(|| 2).unwrap(), 1);
            pile.expire();
            assert!(!pile.is_fresh() && pile.has_value());
            assert_eq!(*pile.get_or_create(|| 3), 3);
            assert!(pile.is_fresh());
        });
    }

    #[test]
    fn by_the_systems_clock_too() {
        within(|| {
            static PILE: Dogpile<u32> = Dogpile::builder(Duration::MAX)
                .stale_while_revalidate(Duration::MAX)
                .build();
            let call = PILE.call().max_age(Duration::MAX).wait(Duration::MAX);
            assert_eq!(*call.get_or_create(|| 1).unwrap(), 1);
            assert_eq!(*call.accept(Accept::Fresh).get_or_create(|| 2).unwrap(), 1);
            PILE.expire();
            assert!(PILE.has_value());
        });
    }

    /// In each of them the waiter sleeps until the value is there.
    fn waits(pile: Dogpile<u32>, limit: Duration) {
        within(move || {
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let call = pile.call().wait(limit);
                        assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
                    });
                    until(|| pile.waiters() == 1);
                    1
                }));
            });
        });
    }

    #[test]
    fn to_waiting() {
        // Beyond the clock's range, within it, and beyond that of the system's time-outs.
        for limit in [Duration::MAX, HOUR, HOUR * 24 * 365 * 500] {
            waits(Dogpile::new(MINUTE), limit);
            waits(manual(MINUTE).1.build(), limit);
        }
    }

    #[test]
    fn of_a_nanosecond_are_kept() {
        within(|| {
            let (clock, builder) = manual(NANO);
            let pile = builder.stale_while_revalidate(NANO).build();
            pile.set(1);
            clock.advance(NANO);
            assert!(pile.is_fresh());
            clock.advance(NANO);
            assert!(!pile.is_fresh() && pile.has_value());
            clock.advance(NANO);
            assert!(!pile.has_value());
        });
    }
}

mod odd_clocks {
    use super::*;

    /// Jumps about, whoever reads it.
    struct Jumping(AtomicU64);

    impl Clock for Jumping {
        fn now(&self) -> Tick {
            let x = self.0.load(Ordering::SeqCst);
            let x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            self.0.store(x, Ordering::SeqCst);
            Tick::from_nanos(x)
        }

        fn lag(&self) -> Duration {
            Duration::MAX
        }
    }

    #[test]
    fn a_jumping_one_breaks_nothing() {
        within(|| {
            let builder = Dogpile::builder(HOUR).clock(Arc::new(Jumping(AtomicU64::new(1))));
            let pile = builder.stale_while_revalidate(HOUR).build();
            for number in 0..500 {
                let call = pile.call().wait(SECOND).max_age(MINUTE);
                let guard = call.get_or_create(|| number).unwrap();
                assert!(*guard <= number);
                drop(pile.peek());
                match number % 4 {
                    0 => pile.expire(),
                    1 => pile.set(number),
                    2 => assert_eq!(*pile.refresh(|| Ok::<_, ()>(number)).unwrap(), number),
                    _ => pile.invalidate(),
                }
                assert!(!pile.is_creating());
            }
        });
    }

    /// A coarse clock may be as far behind as it says. Nothing overflows on the way.
    #[test]
    fn an_enormous_lag_is_allowed() {
        within(|| {
            struct Late;
            impl Clock for Late {
                fn now(&self) -> Tick {
                    Tick::from_nanos(1 << 40)
                }
                fn coarse(&self) -> Tick {
                    Tick::ZERO
                }
                fn lag(&self) -> Duration {
                    Duration::MAX
                }
            }
            let pile = Dogpile::builder(MINUTE).clock(Arc::new(Late)).build();
            pile.set(1);
            assert_eq!(pile.get_or_create(|| 2).origin(), Origin::Fresh);
        });
    }

    /// The last tick means "never": at it, nothing is fresh or usable, but all goes on.
    #[test]
    fn one_at_its_end_breaks_nothing() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            clock.set(Tick::MAX);
            let pile = builder.build();
            for number in 0..3 {
                let guard = pile.call().wait(MINUTE).get_or_create(|| number).unwrap();
                assert_eq!((*guard, guard.origin()), (number, Origin::CreatedHere));
                assert_eq!(guard.age(), Duration::ZERO);
                pile.expire();
                assert!(!pile.is_fresh());
            }
            clock.advance(MINUTE);
            // Without a wait limit even there a waiter waits.
            pile.invalidate();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| assert_eq!(*pile.get_or_create(|| 8), 7));
                    until(|| pile.waiters() == 1);
                    clock.set(Tick::ZERO);
                    7
                }));
            });
        });
    }

    #[test]
    fn one_at_its_beginning_too() {
        within(|| {
            let clock = Arc::new(ManualClock::default());
            let pile = Dogpile::builder(MINUTE).clock(clock.clone()).build();
            assert_eq!(*pile.get_or_create(|| 1), 1);
            assert!(pile.is_fresh());
            pile.expire();
            assert!(!pile.is_fresh() && pile.has_value());
            assert_eq!(*pile.get_or_create(|| 2), 2);
            assert!(format!("{clock:?}").contains('0'));
        });
    }

    /// A clock that panics takes the call with it, not the pile.
    #[test]
    fn one_that_panics_gives_the_lease_up() {
        within(|| {
            struct Broken(AtomicUsize);
            impl Clock for Broken {
                fn now(&self) -> Tick {
                    if self.0.fetch_add(1, Ordering::SeqCst) == 1 {
                        crate::support::burst();
                    }
                    Tick::ZERO
                }
            }
            // The second reading is that at the end of the creation.
            let clock = Arc::new(Broken(AtomicUsize::new(0)));
            let pile = Dogpile::builder(MINUTE).clock(clock).build();
            let census = Census::default();
            let broken = crate::support::bursts(|| pile.get_or_create(|| census.value(1)));
            assert!(broken);
            assert_eq!(census.live(), 0);
            assert!(!pile.is_creating());
            assert_eq!(pile.get_or_create(|| census.value(2)).number, 2);
        });
    }
}

#[test]
fn ten_thousand_guards() {
    within(|| {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(0));
        let mut guards = Vec::new();
        for number in 0..10_000 {
            guards.push(pile.peek().unwrap());
            if number % 1000 == 999 {
                pile.set(census.value(number));
            }
        }
        assert_eq!(census.live(), 11);
        assert!(guards[..1000].iter().all(|guard| guard.number == 0));
        let owned: Vec<_> = guards.iter().map(|guard| guard.to_owned()).collect();
        drop(guards);
        assert_eq!(census.live(), 11);
        drop(owned);
        assert_eq!(census.live(), 1);
    });
}

/// The owner that made the pile lets go of it; those who wait keep it.
#[test]
fn the_owner_leaves_while_others_wait() {
    within(|| {
        let census = Census::default();
        let pile = Arc::new(Dogpile::new(MINUTE));
        let (go, gate) = mpsc::channel();
        let caller = |create: Box<dyn FnOnce() -> crate::support::Counted + Send>| {
            let pile = Arc::clone(&pile);
            thread::spawn(move || -> Owned<_> { pile.get_or_create(create).to_owned() })
        };
        let made = census.clone();
        let creator = caller(Box::new(move || {
            gate.recv().unwrap();
            made.value(1)
        }));
        until(|| pile.is_creating());
        let waiters = [(); 3].map(|()| caller(Box::new(|| panic!("a second creator"))));
        until(|| pile.waiters() == 3);
        drop(pile);
        go.send(()).unwrap();
        let mut kept: Vec<_> = waiters.map(|waiter| waiter.join().unwrap()).into();
        kept.push(creator.join().unwrap());
        // The pile is gone, with its last owner.
        assert!(kept.iter().all(|kept| kept.number == 1));
        assert_eq!(census.live(), 1);
        drop(kept);
        assert_eq!(census.live(), 0);
    });
}

#[test]
fn an_error_that_is_nothing_but_a_struct() {
    within(|| {
        struct Bare(u8);
        let pile = Dogpile::<u32>::new(MINUTE);
        let error = pile.get_or_try_create(|| Err(Bare(7))).err().unwrap();
        assert_eq!(error.created().map(|bare| bare.0), Some(7));
        assert!(!error.is_timed_out() && !error.is_reentrant());
        // Its message does not need one of the creator's error.
        assert_eq!(error.to_string(), "creating the value failed");
    });
}

/// A caller holds what only it was given, and asks for something newer.
#[test]
fn newer_than_a_superseded_value() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        let mine = pile.get_or_create(|| {
            pile.invalidate();
            1
        });
        assert_eq!(mine.origin(), Origin::Superseded);
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&mine)));
        let guard = newer.get_or_create(|| 2).unwrap();
        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        let guard = newer.get_or_create(|| 3).unwrap();
        assert_eq!((*guard, guard.origin()), (2, Origin::Fresh));
    });
}

#[test]
fn set_invalidate_and_expire_from_inside_a_creator() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        let guard = pile.get_or_create(|| {
            pile.set(7);
            pile.invalidate();
            pile.expire();
            pile.set(8);
            1
        });
        assert_eq!((*guard, guard.origin()), (1, Origin::Superseded));
        assert_eq!(*pile.peek().unwrap(), 8);
        let guard = pile.refresh(|| {
            pile.expire();
            Ok::<_, ()>(2)
        });
        assert_eq!(guard.unwrap().origin(), Origin::CreatedHere);
        assert_eq!(pile.peek().unwrap().origin(), Origin::Stale);
    });
}

#[test]
fn many_invalidations_of_nothing() {
    within(|| {
        let pile = Dogpile::<u32>::new(MINUTE);
        for _ in 0..1000 {
            pile.invalidate();
            pile.expire();
        }
        assert!(!pile.has_value());
        assert_eq!(*pile.get_or_create(|| 1), 1);
        assert!(pile.is_fresh());
    });
}

/// A thread that is past its thread-locals, or is losing them, still gets answers.
#[test]
fn calls_while_a_thread_ends() {
    struct Last(Arc<Dogpile<u32>>, mpsc::Sender<u32>);
    impl Drop for Last {
        fn drop(&mut self) {
            let call = self.0.call().accept(Accept::New);
            let guard = call.get_or_try_create(|| Ok::<_, Error<()>>(2)).unwrap();
            self.1.send(*guard).unwrap();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    within(|| {
        // In whichever order the thread-locals go, ours goes before or after the pile's own.
        for ours_first in [true, false] {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let (answer, answered) = mpsc::channel();
            let last = Last(Arc::clone(&pile), answer);
            let caller = thread::spawn(move || {
                let pile = Arc::clone(&last.0);
                if ours_first {
                    LAST.set(Some(last));
                    drop(pile.get_or_create(|| 1));
                } else {
                    drop(pile.get_or_create(|| 1));
                    LAST.set(Some(last));
                }
            });
            caller.join().unwrap();
            assert_eq!(answered.recv(), Ok(2));
            assert!(!pile.is_creating());
        }
    });
}

/// A value of no size, and one that is large, are values like others.
#[test]
fn values_of_any_size() {
    within(|| {
        let none = Dogpile::new(MINUTE);
        let guard = none.get_or_create(|| ());
        assert_eq!(guard.origin(), Origin::CreatedHere);
        none.set(());
        assert_eq!(
            none.call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&guard)))
                .get_or_create(|| ())
                .unwrap()
                .origin(),
            Origin::Fresh
        );
        let large = Dogpile::new(MINUTE);
        assert_eq!(large.get_or_create(|| [7_u64; 4096])[4095], 7);
        let unsized_inside: Dogpile<Box<dyn Fn() -> u32 + Send + Sync>> = Dogpile::new(MINUTE);
        assert_eq!(unsized_inside.get_or_create(|| Box::new(|| 7))(), 7);
    });
}
