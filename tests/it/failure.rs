//! Creators that fail, panic, call their own pile, or take too long.
//!
//! ```breakages
//! inside-is-not-noticed | src/call/election/mod.rs | reentrancy_is_an_error
//! - _ if is_inside(Identity::of(call.site.pile))
//! + _ if false
//!
//! outside-is-taken-for-inside | src/reentrancy.rs | reentrancy_is_an_error
//! - inside.remove(at);
//! + let _ = at;
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Clock, Dogpile, Error, ManualClock, Origin, Tick};

use crate::support::Shows as _;
use crate::support::{
    Gate, HOUR, HookedClock, MINUTE, NANO, Runs, SECOND, burst, bursts, hooked, manual, until,
    within,
};

mod error_reaches_everyone_once {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Down(u32);

    #[test]
    fn the_same_one() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let runs = Runs::default();
            let errors: Vec<Arc<Down>> = thread::scope(|threads| {
                let mut waiters = Vec::new();
                let mine = pile.get_or_try_create(|| {
                    for _ in 0..5 {
                        waiters.push(threads.spawn(|| {
                            match pile.get_or_try_create(|| runs.run(|| Err(Down(2)))) {
                                Err(Error::Create(error)) => error,
                                other => panic!("{other:?}"),
                            }
                        }));
                    }
                    until(|| pile.waiters() == 5);
                    runs.run(|| Err(Down(1)))
                });
                let Err(Error::Create(mine)) = mine else {
                    panic!("{mine:?}")
                };
                let others = waiters.into_iter().map(|waiter| waiter.join().unwrap());
                others.chain([mine]).collect()
            });
            assert_eq!(runs.count(), 1);
            assert_eq!(errors.len(), 6);
            for error in &errors {
                assert_eq!(**error, Down(1));
                assert!(Arc::ptr_eq(error, &errors[0]));
            }
            // One more is what the pile tells as its last failure.
            assert!(pile.last_failure().is_some());
            assert_eq!(Arc::strong_count(&errors[0]), 7);
        });
    }

    #[test]
    fn without_its_type_to_callers_with_another() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            thread::scope(|threads| {
                let mut waiter = None;
                drop(pile.get_or_try_create(|| {
                    waiter = Some(threads.spawn(|| {
                        let answer = pile.get_or_try_create(|| Ok::<u32, String>(2));
                        let Err(Error::Failed(failure)) = answer else {
                            panic!("{answer:?}")
                        };
                        assert_eq!(failure.downcast_ref(), Some(&Down(1)));
                        assert_eq!(failure.downcast_ref::<String>(), None);
                        assert!(failure.type_name().ends_with("Down"));
                        assert!(failure.to_string().contains("Down"));
                    }));
                    until(|| pile.waiters() == 1);
                    Err(Down(1))
                }));
                waiter.unwrap().join().unwrap();
            });
        });
    }

    #[test]
    fn but_one_who_cannot_fail_creates() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let mine = pile.get_or_try_create(|| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| 2);
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                    });
                    until(|| pile.waiters() == 1);
                    Err(Down(1))
                });
                assert!(mine.is_err());
            });
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    #[test]
    fn later_callers_elect_anew() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            for number in 1..4 {
                let answer = pile.get_or_try_create(|| Err(Down(number)));
                assert_eq!(answer.unwrap_err().created(), Some(&Down(number)));
                assert!(!pile.is_creating());
                assert!(!pile.has_value());
            }
            assert_eq!(*pile.get_or_create(|| 5), 5);
        });
    }

    #[test]
    fn who_has_a_stale_value_does_not_notice() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            let answer = pile.get_or_try_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let guard = pile.get_or_try_create(|| Err(Down(2))).unwrap();
                        assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
                    });
                });
                Err(Down(1))
            });
            assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
            // The old value is still there, and the next caller tries again.
            assert_eq!(*pile.peek().unwrap(), 1);
            let renewed = pile.get_or_try_create(|| Ok::<_, Down>(2)).unwrap();
            assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn who_asked_for_a_fresh_value_does() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            thread::scope(|threads| {
                drop(pile.get_or_try_create(|| {
                    threads.spawn(|| {
                        let call = pile.call().accept(Accept::Fresh);
                        let answer = call.get_or_try_create(|| Ok::<_, Down>(2));
                        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
                    });
                    until(|| pile.waiters() == 1);
                    Err(Down(1))
                }));
            });
        });
    }

    /// `expire` does not supersede a creation, and its failure is one.
    #[test]
    fn also_when_it_was_expired_meanwhile() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            thread::scope(|threads| {
                drop(pile.get_or_try_create(|| {
                    threads.spawn(|| {
                        let answer = pile.get_or_try_create(|| Ok::<_, Down>(2));
                        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
                    });
                    until(|| pile.waiters() == 1);
                    pile.expire();
                    Err(Down(1))
                }));
            });
        });
    }

    #[test]
    fn that_of_a_superseded_creation_reaches_those_who_waited_already() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let mine = pile.get_or_try_create(|| {
                    threads.spawn(|| {
                        let early = pile.get_or_try_create(|| Ok::<_, Down>(9));
                        assert_eq!(early.unwrap_err().created(), Some(&Down(1)));
                    });
                    until(|| pile.waiters() == 1);
                    pile.invalidate();
                    threads.spawn(|| {
                        let guard = pile.get_or_try_create(|| Ok::<_, Down>(2)).unwrap();
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                    });
                    until(|| pile.waiters() == 2);
                    Err(Down(1))
                });
                assert_eq!(mine.unwrap_err().created(), Some(&Down(1)));
            });
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    #[test]
    fn nor_that_of_one_that_a_set_has_answered() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let mine = pile.get_or_try_create(|| {
                pile.set(9);
                Err(Down(1))
            });
            assert_eq!(mine.unwrap_err().created(), Some(&Down(1)));
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (9, Origin::Fresh));
        });
    }
}

mod panic_hands_over {
    use super::*;

    #[test]
    fn the_payload_reaches_its_caller_alone_and_its_text_the_fallible() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let mut waiters = Vec::new();
                let burst = bursts(|| {
                    pile.get_or_create(|| {
                        for number in 0..4 {
                            let (pile, runs) = (&pile, &runs);
                            waiters.push(threads.spawn(move || {
                                if number % 2 == 0 {
                                    assert_eq!(*pile.get_or_create(|| runs.run(|| 2)), 2);
                                } else {
                                    let create = || Ok::<_, ()>(runs.run(|| 2));
                                    let answer = pile.get_or_try_create(create);
                                    let Err(Error::Panicked(panicked)) = answer else {
                                        panic!("it waited for a creator that panicked")
                                    };
                                    assert_eq!(panicked.text(), "burst");
                                }
                            }));
                        }
                        until(|| pile.waiters() == 4);
                        runs.run(|| burst())
                    })
                });
                assert!(burst);
                for waiter in waiters {
                    waiter.join().unwrap();
                }
            });
            assert_eq!(runs.count(), 2);
        });
    }

    #[test]
    fn a_stale_value_is_renewed_by_the_next() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            assert!(bursts(|| pile.get_or_create(|| burst())));
            assert!(!pile.is_creating());
            assert_eq!(*pile.peek().unwrap(), 1);
            let renewed = pile.get_or_create(|| 2);
            assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn a_value_that_was_set_meanwhile_stays() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            assert!(bursts(|| pile.get_or_create(|| {
                pile.set(9);
                burst()
            })));
            assert_eq!(*pile.peek().unwrap(), 9);
            pile.expire();
            let renewed = pile.get_or_create(|| 2);
            assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn again_and_again() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let callers = [(); 4].map(|()| {
                    threads.spawn(|| {
                        bursts(|| {
                            pile.get_or_create(|| {
                                runs.run(|| {
                                    // All who are left have come, however they were woken.
                                    until(|| runs.count() + pile.waiters() == 4);
                                    burst()
                                })
                            })
                        })
                    })
                });
                // Each one in turn creates, and panics.
                for caller in callers {
                    assert!(caller.join().unwrap());
                }
            });
            assert_eq!(runs.count(), 4);
            assert_eq!(*pile.get_or_create(|| 5), 5);
        });
    }
}

mod given_up_is_free {
    use super::*;

    /// The one who was woken has not come yet: whoever comes before it takes the lease.
    #[test]
    fn it_is_not_kept_for_a_sleeper() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build());
            let gate = Gate::default();
            let sleeper = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || hooked(hook, || *pile.get_or_create(|| panic!("a third creator")))
            };
            let mut handle = None;
            assert!(bursts(|| pile.get_or_create(|| {
                handle = Some(thread::spawn(sleeper));
                until(|| pile.waiters() == 1);
                gate.close();
                burst()
            })));
            assert!(!pile.is_creating());
            assert_eq!(pile.waiters(), 0);
            let first = pile.get_or_create(|| 2);
            assert_eq!(first.origin(), Origin::CreatedHere);
            gate.open();
            assert_eq!(handle.unwrap().join().unwrap(), 2);
        });
    }

    #[test]
    fn also_on_another_thread_that_ends_with_it() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let broken = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || drop(pile.get_or_create(|| burst())))
            };
            assert!(broken.join().is_err());
            assert!(!pile.is_creating());
            assert_eq!(*pile.get_or_create(|| 1), 1);
        });
    }
}

mod wait_timeout {
    use super::*;

    #[test]
    fn a_waiter_gives_up_and_disturbs_nobody() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            thread::scope(|threads| {
                let created = pile.get_or_create(|| {
                    let patient = [None, Some(MINUTE)].map(|limit| {
                        let pile = &pile;
                        threads.spawn(move || {
                            let call = pile.call();
                            let call = limit.map_or(call, |limit| call.wait(limit));
                            assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
                        })
                    });
                    let hasty = threads.spawn(|| {
                        let call = pile.call().wait(SECOND);
                        let Err(Error::TimedOut { limit, .. }) = call.get_or_create(|| 2) else {
                            panic!("waited on")
                        };
                        assert_eq!(limit, SECOND);
                    });
                    until(|| pile.waiters() == 3);
                    clock.advance(SECOND);
                    hasty.join().unwrap();
                    assert_eq!(pile.waiters(), 2);
                    assert!(pile.is_creating());
                    assert!(patient.iter().all(|patient| !patient.is_finished()));
                    1
                });
                assert_eq!(created.origin(), Origin::CreatedHere);
            });
        });
    }

    /// Counts the readings of a manual clock, so that a test knows when a sleeper has looked.
    #[derive(Default)]
    struct Watched {
        clock: ManualClock,
        readings: AtomicUsize,
    }

    impl Clock for Watched {
        fn now(&self) -> Tick {
            let now = self.clock.now();
            self.readings.fetch_add(1, Ordering::SeqCst);
            now
        }

        fn on_advance(&self, sleeper: &Waker) -> bool {
            self.clock.on_advance(sleeper)
        }
    }

    #[test]
    fn not_a_nanosecond_early() {
        within(|| {
            let clock = Arc::new(Watched::default());
            let pile = Dogpile::builder(MINUTE).clock(clock.clone()).build();
            thread::scope(|threads| {
                let mut waiter = None;
                drop(pile.get_or_create(|| {
                    waiter = Some(threads.spawn(|| {
                        let call = pile.call().wait(SECOND);
                        call.get_or_create(|| 2).map(|guard| *guard)
                    }));
                    until(|| pile.waiters() == 1);
                    for step in [SECOND / 2, SECOND / 2 - NANO] {
                        let before = clock.readings.load(Ordering::SeqCst);
                        clock.clock.advance(step);
                        // It is woken, looks, and goes on sleeping.
                        until(|| clock.readings.load(Ordering::SeqCst) > before);
                    }
                    assert_eq!(pile.waiters(), 1);
                    1
                }));
                assert_eq!(waiter.unwrap().join().unwrap().unwrap(), 1);
            });
        });
    }

    #[test]
    fn it_does_not_limit_the_creator_of_the_caller() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let call = pile.call().wait(SECOND);
            let guard = call.get_or_create(|| {
                clock.advance(MINUTE);
                1
            });
            assert_eq!(guard.unwrap().origin(), Origin::CreatedHere);
            let call = pile.call().accept(Accept::New).wait(Duration::ZERO);
            assert_eq!(*call.get_or_create(|| 2).unwrap(), 2);
        });
    }

    #[test]
    fn zero_never_waits() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = pile.call().wait(Duration::ZERO);
                        let answer = call.get_or_try_create(|| Err("second"));
                        assert!(
                            matches!(answer, Err(Error::TimedOut { limit, .. }) if limit.is_zero())
                        );
                    });
                });
                assert_eq!(pile.waiters(), 0);
                1
            }));
        });
    }

    #[test]
    fn by_the_systems_clock() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = pile.call().wait(Duration::from_millis(1));
                        assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
                    });
                });
                1
            }));
            assert_eq!(*pile.peek().unwrap(), 1);
        });
    }

    /// A clock that goes by itself in steps of its own, and wakes nobody.
    struct Striding(AtomicUsize);

    impl Clock for Striding {
        fn now(&self) -> Tick {
            let strides = self.0.fetch_add(1, Ordering::SeqCst) as u32;
            Tick::ZERO.saturating_add(Duration::from_micros(100) * strides)
        }
    }

    #[test]
    fn by_a_clock_that_runs_by_itself() {
        within(|| {
            let clock = Arc::new(Striding(AtomicUsize::new(0)));
            let pile = Dogpile::builder(MINUTE).clock(clock).build();
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = pile.call().wait(Duration::from_millis(1));
                        assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
                    });
                });
                1
            }));
        });
    }

    /// The limit is one for the whole call, also when it waits for several creations.
    #[test]
    fn in_all() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock.clone()).build());
            let gate = Gate::default();
            let waiter = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || {
                    hooked(hook, || {
                        let call = pile.call().wait(SECOND * 2);
                        call.get_or_create(|| panic!("never its turn")).err()
                    })
                }
            };
            let mut handle = None;
            assert!(bursts(|| pile.get_or_create(|| {
                handle = Some(thread::spawn(waiter));
                until(|| pile.waiters() == 1);
                // It looks for the next creation only when that is running.
                gate.close();
                clock.advance(SECOND);
                burst()
            })));
            drop(pile.get_or_create(|| {
                gate.open();
                until(|| pile.waiters() == 1);
                clock.advance(SECOND);
                let error = handle.take().unwrap().join().unwrap();
                assert!(error.unwrap().is_timed_out());
                1
            }));
        });
    }

    /// The clock is moved after each of the waiter's own readings, and by nothing else: were one
    /// move missed, on the way to sleep, say, there would be no other to wake it.
    #[test]
    fn no_move_of_the_clock_is_missed() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock.clone()).build());
            let waiter = {
                let pile = Arc::clone(&pile);
                move || {
                    hooked(
                        move |_| clock.advance(SECOND / 8),
                        || {
                            let call = pile.call().wait(SECOND);
                            assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
                        },
                    );
                }
            };
            drop(pile.get_or_create(|| {
                thread::spawn(waiter).join().unwrap();
                1
            }));
        });
    }

    /// At each two of its readings in turn, the deadline passes and the value lands. One that has
    /// landed is taken, even if the deadline has passed as well.
    #[test]
    fn the_value_may_land_in_that_very_moment() {
        within(|| {
            let (mut landed, mut timed_out) = (0, 0);
            for (pass_at, land_at) in (0..6).flat_map(|i| (0..6).map(move |j| (i, j))) {
                match a_value_lands(pass_at, land_at) {
                    Some(value) => {
                        assert_eq!(value, 1);
                        landed += 1;
                    }
                    None => timed_out += 1,
                }
            }
            // Otherwise the test shows nothing.
            assert!(landed > 0 && timed_out > 0);
        });
    }

    fn a_value_lands(pass_at: usize, land_at: usize) -> Option<u32> {
        let clock = Arc::new(HookedClock::default());
        let pile = Arc::new(Dogpile::builder(HOUR).clock(clock.clone()).build());
        let (end, ended) = mpsc::channel();
        let (land, landed) = mpsc::channel();
        let creator = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                assert_eq!(*pile.get_or_create(|| ended.recv().unwrap()), 1);
                // Nobody listens once the caller has timed out.
                let _ = land.send(());
            })
        };
        until(|| pile.is_creating());
        let has_landed = Arc::new(AtomicBool::new(false));
        let hook = {
            let (end, has_landed) = (end.clone(), Arc::clone(&has_landed));
            move |reading| {
                if reading == land_at {
                    end.send(1).unwrap();
                    landed.recv().unwrap();
                    has_landed.store(true, Ordering::SeqCst);
                }
                // Where nothing passes it is made to look again, so that it comes to the next
                // reading.
                clock.advance(if reading == pass_at {
                    MINUTE
                } else {
                    Duration::ZERO
                });
            }
        };
        let answer = hooked(hook, || {
            let call = pile.call().wait(SECOND);
            match call.get_or_create(|| panic!("a second creator")) {
                Ok(guard) => Some(*guard),
                Err(error) => {
                    assert!(error.is_timed_out());
                    None
                }
            }
        });
        assert_eq!(answer.is_some(), has_landed.load(Ordering::SeqCst));
        // If it timed out before the value could land.
        let _ = end.send(1);
        creator.join().unwrap();
        assert_eq!(*pile.get_or_create(|| 3), 1);
        answer
    }
}

mod reentrancy_is_an_error {
    use super::*;

    #[test]
    fn where_there_is_no_value() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let outer = pile.get_or_create(|| {
                let inner = pile.get_or_try_create(|| Err::<u32, _>("inner"));
                assert!(matches!(inner, Err(Error::Reentrant)));
                let inner = pile.call().wait(MINUTE).get_or_create(|| 2);
                assert!(inner.unwrap_err().is_reentrant());
                let inner = pile.refresh(|| Err::<u32, _>("inner"));
                assert!(inner.unwrap_err().is_reentrant());
                1
            });
            assert_eq!((*outer, outer.origin()), (1, Origin::CreatedHere));
        });
    }

    #[test]
    fn a_usable_stale_value_is_served() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            pile.expire();
            drop(pile.get_or_create(|| {
                let inner = pile.get_or_create(|| panic!("a second creator"));
                assert_eq!((*inner, inner.origin()), (1, Origin::Stale));
                let call = pile.call().accept(Accept::Fresh);
                assert!(call.get_or_create(|| 2).unwrap_err().is_reentrant());
                // Until it is gone, which `expire` has not moved.
                clock.advance(MINUTE * 2 + NANO);
                let inner = pile.call().get_or_create(|| 2);
                assert!(inner.unwrap_err().is_reentrant());
                2
            }));
        });
    }

    #[test]
    fn the_infallible_form_panics_and_says_why() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let outer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                drop(pile.get_or_create(|| *pile.get_or_create(|| 2)));
            }));
            let payload = outer.unwrap_err();
            let message = payload.downcast_ref::<String>().unwrap();
            assert!(message.contains("inside the creator of the same pile"));
            // As after any panic of a creator.
            assert!(!pile.is_creating());
            assert_eq!(*pile.get_or_create(|| 1), 1);
        });
    }

    #[test]
    fn other_threads_and_other_piles_are_none_of_it() {
        within(|| {
            let (one, two) = (Dogpile::new(MINUTE), Dogpile::new(MINUTE));
            let outer = one.get_or_create(|| {
                let inner = two.get_or_create(|| {
                    // Round about, but inside it all the same.
                    let innermost = one.call().get_or_create(|| 3);
                    assert!(innermost.unwrap_err().is_reentrant());
                    2
                });
                // Left again: a call of that pile is like any other.
                assert_eq!(*two.refresh(|| Ok::<_, ()>(4)).unwrap(), 4);
                *inner - 1
            });
            assert_eq!(*outer, 1);
        });
    }

    /// A thread that has left a creator, by whatever way, waits like any other.
    fn waits_after(leave: impl FnOnce(&Dogpile<u32>) + Send + 'static) {
        within(move || {
            let pile = Dogpile::new(MINUTE);
            let (go, gate) = mpsc::channel();
            thread::scope(|threads| {
                leave(&pile);
                let pile = &pile;
                threads.spawn(move || {
                    drop(pile.get_or_create(|| gate.recv().unwrap()));
                });
                until(|| pile.is_creating());
                threads.spawn(move || {
                    until(|| pile.waiters() == 1);
                    go.send(7).unwrap();
                });
                let guard = pile.call().get_or_create(|| panic!("a second creator"));
                assert_eq!(*guard.unwrap(), 7);
            });
        });
    }

    #[test]
    fn not_after_a_creation() {
        waits_after(|pile| {
            drop(pile.get_or_create(|| 1));
            pile.invalidate();
        });
    }

    #[test]
    fn not_after_a_failure() {
        waits_after(|pile| drop(pile.get_or_try_create(|| Err("failed"))));
    }

    #[test]
    fn not_after_a_panic() {
        waits_after(|pile| assert!(bursts(|| pile.get_or_create(|| burst()))));
    }

    #[test]
    fn what_does_not_wait_is_allowed() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let outer = pile.get_or_create(|| {
                assert!(pile.peek().is_none());
                assert!(pile.is_creating());
                assert_eq!(pile.waiters(), 0);
                pile.set(9);
                assert_eq!(*pile.get_or_create(|| panic!("it is fresh")), 9);
                pile.expire();
                pile.invalidate();
                assert!(!pile.has_value());
                1
            });
            assert_eq!((*outer, outer.origin()), (1, Origin::Superseded));
        });
    }
}

/// What an error is asked is true of that kind alone.
#[test]
fn an_error_is_of_one_kind() {
    let pile = Dogpile::<u32>::new(MINUTE);
    let failed = pile.get_or_try_create(|| Err("down")).unwrap_err();
    assert!(failed.is_failed());
    assert!(!failed.is_backing_off() && !failed.is_missing() && !failed.is_timed_out());
    assert!(!pile.last_failure().unwrap().0.is_panicked());
    let dogpile::Attempt::Lease(_lease) = pile.attempt() else {
        panic!()
    };
    let late = pile.call().wait(Duration::ZERO).get_or_create(|| 1);
    let late = late.unwrap_err();
    assert!(late.is_timed_out());
    assert!(!late.is_backing_off() && !late.is_missing());
}
