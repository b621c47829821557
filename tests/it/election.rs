//! Who creates, who waits, and who goes on with the old value.
//!
//! ```breakages
//! a-reader-is-not-told-of-writers | src/raw/end.rs | no_starvation
//! @ fn publish
//! - (Ending::Value(node, writers),
//! + (Ending::Value(node, Writers(None)),
//!
//! a-reader-that-was-told-of-a-set-looks-again | src/pile/sync_reader.rs | no_starvation::a_reader_that_was_told
//! @ fn set_with
//! - self.writers()
//! + Writers(None)
//!
//! set-if-looks-again | src/pile/sync_reader.rs | no_starvation::a_reader_that_was_told
//! @ fn set_if
//! - self.writers()
//! + Writers(None)
//!
//! a-writer-inside-at-a-set-is-overlooked | src/raw/gate.rs | no_starvation::a_reader_that_was_told_of_a_set_before
//! @ fn writers_if_outside
//! - (!state.writer_inside).then_some(
//! + true.then_some(
//!
//! who-has-waited-comes-late-again | src/raw/state.rs | no_starvation
//! - self.join_group(self.supersedes(self.fence()) && !has_waited)
//! + self.join_group(self.supersedes(self.fence()))
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Attempt, Created, Dogpile, Error, Origin, SyncReaderDogpile};

use crate::support::{
    Gate, HookedClock, MINUTE, NANO, READINGS, Runs, burst, bursts, hooked, manual, until, within,
};
use crate::support::{Keeps as _, Shows as _};

mod one_creator {
    use super::*;

    /// Three callers come after something has shaken a running creation: all wait for it to end.
    fn undisturbed_by(shake: impl Fn(&Dogpile<u32>) + Send + 'static) {
        within(move || {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let first = pile.get_or_create(|| {
                    runs.run(|| {
                        shake(&pile);
                        for _ in 0..3 {
                            threads.spawn(|| drop(pile.get_or_create(|| runs.run(|| 2))));
                        }
                        until(|| pile.waiters() == 3);
                        assert_eq!(runs.count(), 1);
                        1
                    })
                });
                assert_eq!(*first, 1);
            });
            assert!(runs.count() <= 2);
            assert!(!pile.is_creating());
        });
    }

    #[test]
    fn while_it_runs() {
        undisturbed_by(|_| ());
    }

    #[test]
    fn after_invalidate() {
        undisturbed_by(|pile| pile.invalidate());
    }

    #[test]
    fn after_invalidate_again_and_again() {
        undisturbed_by(|pile| (0..9).for_each(|_| pile.invalidate()));
    }

    #[test]
    fn after_set_and_invalidate() {
        undisturbed_by(|pile| {
            pile.set(9);
            pile.invalidate();
        });
    }

    #[test]
    fn after_invalidate_if() {
        undisturbed_by(|pile| {
            pile.set(9);
            assert!(pile.invalidate_if(pile.peek().unwrap().seen()));
        });
    }

    #[test]
    fn after_expire() {
        undisturbed_by(|pile| pile.expire());
    }

    #[test]
    fn after_a_timeout() {
        undisturbed_by(|pile| {
            thread::scope(|threads| {
                threads.spawn(|| {
                    let late = pile.call().wait(Duration::ZERO).get_or_create(|| 3);
                    assert!(late.unwrap_err().is_timed_out());
                });
            });
        });
    }

    #[test]
    fn after_a_reentrant_call() {
        undisturbed_by(|pile| {
            let inner = pile.call().get_or_create(|| 3);
            assert!(inner.unwrap_err().is_reentrant());
        });
    }

    /// Four callers, whose own creators cannot fail, wait for a creation that brings them nothing.
    /// One of them creates, and the other three wait for that one.
    fn one_of_the_woken_creates(
        end: impl FnOnce(&Dogpile<u32>) -> Result<u32, ()> + Send + 'static,
    ) {
        within(move || {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                bursts(|| {
                    drop(pile.get_or_try_create(|| {
                        for _ in 0..4 {
                            threads.spawn(|| {
                                let guard = pile.get_or_create(|| {
                                    runs.run(|| {
                                        until(|| pile.waiters() == 3);
                                        2
                                    })
                                });
                                assert_eq!(*guard, 2);
                            });
                        }
                        until(|| pile.waiters() == 4);
                        runs.run(|| end(&pile))
                    }));
                });
            });
            assert_eq!(runs.count(), 2);
        });
    }

    #[test]
    fn after_failure() {
        one_of_the_woken_creates(|_| Err(()));
    }

    #[test]
    fn after_panic() {
        one_of_the_woken_creates(|_| burst());
    }

    #[test]
    fn after_a_superseded_creation() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let mine = pile.get_or_create(|| {
                    let early: Vec<_> = (0..4)
                        .map(|_| threads.spawn(|| pile.get_or_create(|| 9)))
                        .collect();
                    until(|| pile.waiters() == 4);
                    pile.invalidate();
                    // Their calls begin after it: one of them creates, once this one has ended.
                    for _ in 0..4 {
                        threads.spawn(|| {
                            let create = || runs.run(|| 2);
                            assert_eq!(*pile.get_or_create(create), 2);
                        });
                    }
                    until(|| pile.waiters() == 8);
                    threads.spawn(move || {
                        for waiter in early {
                            let guard = waiter.join().unwrap();
                            assert_eq!((*guard, guard.origin()), (1, Origin::Superseded));
                        }
                    });
                    runs.run(|| 1)
                });
                assert_eq!((*mine, mine.origin()), (1, Origin::Superseded));
            });
            assert_eq!(runs.count(), 2);
        });
    }

    #[test]
    fn after_a_superseded_failure() {
        one_of_the_woken_creates(|pile| {
            pile.invalidate();
            Err(())
        });
    }

    #[test]
    fn of_those_who_find_it_stale() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            let runs = Runs::default();
            let start = Barrier::new(8);
            // Nobody gets the new value before all have called: the others were served the old one,
            // or are late and find it fresh.
            thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(|| {
                        start.wait();
                        drop(pile.get_or_create(|| runs.run(|| 2)));
                    });
                }
            });
            assert_eq!(runs.count(), 1);
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }
}

mod stale_never_blocks {
    use super::*;

    /// Calls from another thread while a creation runs: joined before that creation ends, so the
    /// calls cannot have waited for it.
    fn meanwhile<R: Send>(call: impl FnOnce() -> R + Send) -> R {
        thread::scope(|threads| threads.spawn(call).join().unwrap())
    }

    fn stale(pile: &Dogpile<u32>, value: u32) {
        meanwhile(|| {
            let guard = pile.get_or_create(|| panic!("a second creator"));
            assert_eq!((*guard, guard.origin()), (value, Origin::Stale));
            let guard = pile.get_or_try_create(|| Err("a second creator")).unwrap();
            assert_eq!((*guard, guard.origin()), (value, Origin::Stale));
            let guard = pile.call().wait(Duration::ZERO).get_or_create(|| 0);
            assert_eq!(guard.unwrap().origin(), Origin::Stale);
        });
    }

    #[test]
    fn past_its_ttl() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(MINUTE + NANO);
            let renewed = pile.get_or_create(|| {
                stale(&pile, 1);
                // However long it takes.
                clock.advance(MINUTE * 1000);
                stale(&pile, 1);
                2
            });
            assert_eq!(renewed.origin(), Origin::CreatedHere);
        });
    }

    #[test]
    fn expired() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            drop(pile.get_or_create(|| {
                stale(&pile, 1);
                2
            }));
        });
    }

    #[test]
    fn expired_while_the_creation_runs() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            drop(pile.refresh(|| {
                meanwhile(|| {
                    let guard = pile.get_or_create(|| panic!("it is fresh"));
                    assert_eq!(guard.origin(), Origin::Fresh);
                });
                pile.expire();
                stale(&pile, 1);
                Ok::<_, ()>(2)
            }));
        });
    }

    #[test]
    fn set_during_the_creation_and_stale_by_now() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            drop(pile.get_or_create(|| {
                pile.set(5);
                clock.advance(MINUTE + NANO);
                stale(&pile, 5);
                2
            }));
        });
    }

    #[test]
    fn too_old_for_this_caller_alone() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(MINUTE / 2);
            let renewed = pile.call().max_age(MINUTE / 4).get_or_create(|| {
                meanwhile(|| {
                    let strict = pile.call().max_age(MINUTE / 4);
                    let guard = strict.get_or_create(|| panic!("a second creator")).unwrap();
                    assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
                    let guard = pile.get_or_create(|| panic!("it is fresh"));
                    assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
                });
                2
            });
            assert_eq!(renewed.unwrap().origin(), Origin::CreatedHere);
        });
    }

    #[test]
    fn only_as_long_as_it_may_be_served() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            clock.advance(MINUTE + NANO);
            drop(pile.get_or_create(|| {
                // Exactly stale for its limit: still served.
                clock.advance(MINUTE - NANO);
                stale(&pile, 1);
                clock.advance(NANO);
                meanwhile(|| {
                    let dead = pile.call().wait(Duration::ZERO).get_or_create(|| 3);
                    assert!(dead.unwrap_err().is_timed_out());
                    assert!(pile.peek().is_none());
                });
                2
            }));
        });
    }

    /// At each of a caller's readings of the clock in turn, somebody else takes the lease that the
    /// caller was about to take.
    #[test]
    fn who_comes_second() {
        within(|| {
            let mut second = 0;
            for at in 0..READINGS {
                let clock = Arc::new(HookedClock::default());
                let builder = Dogpile::builder(MINUTE).clock(clock.clone());
                let pile = Arc::new(builder.build());
                pile.set(1);
                clock.advance(MINUTE + NANO);
                let (end, ended) = mpsc::channel::<()>();
                let mut other = Some({
                    let pile = Arc::clone(&pile);
                    move || {
                        let create = || ended.recv().map_or(2, |()| 2);
                        assert_eq!(*pile.get_or_create(create), 2);
                    }
                });
                let (began, has_begun) = mpsc::channel();
                let hook = {
                    let pile = Arc::clone(&pile);
                    move |reading| {
                        if reading == at && !pile.is_creating() {
                            began.send(thread::spawn(other.take().unwrap())).unwrap();
                            until(|| pile.is_creating());
                        }
                    }
                };
                let (value, origin) = hooked(hook, || {
                    let guard = pile.get_or_create(|| 3);
                    (*guard, guard.origin())
                });
                // Only now does the other one go on.
                drop(end);
                if let Ok(other) = has_begun.try_recv() {
                    other.join().unwrap();
                    assert_eq!((value, origin), (1, Origin::Stale));
                    second += 1;
                } else {
                    assert_eq!((value, origin), (3, Origin::CreatedHere));
                }
            }
            // Otherwise the test shows nothing.
            assert!(second > 0);
        });
    }

    #[test]
    fn while_others_wait_for_something_better() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let call = pile.call().accept(Accept::Fresh);
                        let guard = call.get_or_create(|| panic!("a second creator")).unwrap();
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedByAnother));
                    });
                    until(|| pile.waiters() == 1);
                    stale(&pile, 1);
                    2
                }));
            });
        });
    }
}

mod first_call_waits {
    use super::*;

    /// Five callers wait for a first creation, during which `meanwhile` happens. All get its value.
    fn all_get_it(pile: Dogpile<u32>, meanwhile: impl Fn(&Dogpile<u32>) + Send + 'static) {
        within(move || {
            let runs = Runs::default();
            thread::scope(|threads| {
                let created = pile.get_or_create(|| {
                    for _ in 0..5 {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| runs.run(|| 2));
                            assert_eq!((*guard, guard.origin()), (1, Origin::CreatedByAnother));
                            assert_eq!(guard.age(), Duration::ZERO);
                        });
                    }
                    until(|| pile.waiters() == 5);
                    runs.run(|| meanwhile(&pile));
                    1
                });
                assert_eq!((*created, created.origin()), (1, Origin::CreatedHere));
            });
            assert_eq!(runs.count(), 1);
        });
    }

    #[test]
    fn for_the_value() {
        let (_, builder) = manual(MINUTE);
        all_get_it(builder.build(), |_| ());
    }

    #[test]
    fn for_a_value_that_took_longer_than_it_lives() {
        let (clock, builder) = manual(MINUTE);
        all_get_it(builder.build(), move |_| clock.advance(MINUTE * 2));
    }

    #[test]
    fn for_a_value_that_is_stale_at_once() {
        let (_, builder) = manual(Duration::ZERO);
        all_get_it(builder.build(), |_| ());
    }

    #[test]
    fn for_a_value_that_is_dead_at_once() {
        let (_, builder) = manual(Duration::ZERO);
        let builder = builder.stale_while_revalidate(Duration::ZERO);
        all_get_it(builder.build(), |_| ());
    }

    #[test]
    fn for_a_value_that_was_expired_before_it_was_there() {
        let (_, builder) = manual(MINUTE);
        all_get_it(builder.build(), |pile| pile.expire());
    }

    /// Whenever the invalidate comes in the life of the answer, the waiter had called before it.
    #[test]
    fn for_a_value_that_is_gone_at_once() {
        within(|| {
            for _ in 0..100 {
                let pile = Dogpile::new(MINUTE);
                let runs = Runs::default();
                thread::scope(|threads| {
                    drop(pile.get_or_create(|| {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| runs.run(|| 2));
                            assert_eq!((*guard, guard.origin()), (1, Origin::CreatedByAnother));
                        });
                        until(|| pile.waiters() == 1);
                        runs.run(|| 1)
                    }));
                    pile.invalidate();
                });
                assert_eq!(runs.count(), 1);
            }
        });
    }

    #[test]
    fn also_when_the_value_is_dead() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            clock.advance(MINUTE * 2 + NANO);
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("a second creator"));
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedByAnother));
                    });
                    until(|| pile.waiters() == 1);
                    2
                }));
            });
        });
    }
}

mod no_double_regeneration {
    use super::*;

    /// At each of a caller's readings of the clock in turn, somebody else renews the value. However
    /// far the caller had come, there is one creation.
    fn renewed_in_mid_call(prepare: impl Fn(&Dogpile<u32>, &HookedClock)) {
        let mut slipped_in = 0;
        for at in 0..READINGS {
            let clock = Arc::new(HookedClock::default());
            let builder = Dogpile::builder(MINUTE).clock(clock.clone());
            let pile = Arc::new(builder.build());
            let runs = Arc::new(Runs::default());
            prepare(&pile, &clock);
            let other = {
                let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                move |reading| {
                    // While the caller itself creates, there is nothing to slip in between.
                    if reading == at && !pile.is_creating() {
                        drop(pile.get_or_create(|| runs.run(|| 7)));
                    }
                }
            };
            let guard = hooked(other, || pile.get_or_create(|| runs.run(|| 8)));
            assert_eq!(runs.count(), 1, "renewed at reading {at}");
            if guard.origin() != Origin::CreatedHere {
                slipped_in += 1;
            }
            drop(guard);
            assert!(pile.is_fresh());
        }
        // Otherwise the test shows nothing.
        assert!(slipped_in > 0);
    }

    #[test]
    fn of_a_value_past_its_ttl() {
        within(|| {
            renewed_in_mid_call(|pile, clock| {
                pile.set(1);
                clock.advance(MINUTE + NANO);
            });
        });
    }

    #[test]
    fn of_an_expired_value() {
        within(|| {
            renewed_in_mid_call(|pile, _| {
                pile.set(1);
                pile.expire();
            });
        });
    }

    #[test]
    fn of_no_value() {
        within(|| {
            renewed_in_mid_call(|_, _| ());
        });
    }

    /// The same for a caller who waited: woken by nothing, it finds a value when it looks again.
    #[test]
    fn by_one_who_was_woken_for_nothing() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let builder = Dogpile::<u32>::builder(MINUTE).clock(clock);
            let pile = Arc::new(builder.build());
            let gate = Gate::default();
            let waiter = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || {
                    hooked(hook, || {
                        let guard = pile.get_or_create(|| panic!("a second creator"));
                        assert_eq!((*guard, guard.origin()), (2, Origin::Fresh));
                    });
                }
            };
            let mut handle = None;
            assert!(bursts(|| pile.get_or_create(|| {
                handle = Some(thread::spawn(waiter));
                until(|| pile.waiters() == 1);
                gate.close();
                burst()
            })));
            drop(pile.get_or_create(|| 2));
            gate.open();
            handle.unwrap().join().unwrap();
        });
    }
}

mod broadcast {
    use super::*;

    /// The waiters meet, their guards in their hands: none of them has to leave for the next to be
    /// let go.
    #[test]
    fn the_waiters_leave_together() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let met = Barrier::new(6);
            thread::scope(|threads| {
                let mine = pile.get_or_create(|| {
                    for _ in 0..5 {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| panic!("a second creator"));
                            met.wait();
                            assert_eq!(*guard, 1);
                        });
                    }
                    until(|| pile.waiters() == 5);
                    1
                });
                met.wait();
                assert_eq!(*mine, 1);
            });
            assert_eq!(pile.waiters(), 0);
        });
    }

    #[test]
    fn of_an_error_too() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let met = Barrier::new(6);
            thread::scope(|threads| {
                let mine = pile.get_or_try_create(|| {
                    for _ in 0..5 {
                        threads.spawn(|| {
                            let answer = pile.get_or_try_create(|| Ok::<_, &str>(2));
                            met.wait();
                            assert_eq!(answer.unwrap_err().created(), Some(&"no"));
                        });
                    }
                    until(|| pile.waiters() == 5);
                    Err("no")
                });
                met.wait();
                assert!(mine.is_err());
            });
        });
    }

    #[test]
    fn of_a_value_that_was_set() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            thread::scope(|threads| {
                let mine = pile.get_or_create(|| {
                    let met = Arc::new(Barrier::new(6));
                    for _ in 0..5 {
                        let (pile, met) = (&pile, Arc::clone(&met));
                        threads.spawn(move || {
                            let guard = pile.get_or_create(|| panic!("a second creator"));
                            met.wait();
                            assert_eq!((*guard, guard.origin()), (9, Origin::CreatedByAnother));
                        });
                    }
                    until(|| pile.waiters() == 5);
                    pile.set(9);
                    // While the creator is at it, all of them are gone.
                    met.wait();
                    assert_eq!(pile.waiters(), 0);
                    1
                });
                assert_eq!(mine.origin(), Origin::Superseded);
            });
        });
    }
}

mod no_starvation {
    use super::*;

    /// A waiter whose new look at the pile always comes after somebody else has taken the lease:
    /// the worst luck there is, made by a gate in its clock.
    fn outlasts(accept: Accept, disturbances: usize, disturb: fn(&Dogpile<usize>)) -> usize {
        within(move || {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build());
            let gate = Gate::default();
            let begun = Arc::new(AtomicUsize::new(0));
            let waiter = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || {
                    hooked(hook, || {
                        let call = pile.call().accept(accept);
                        *call.get_or_create(|| panic!("never its turn")).unwrap()
                    })
                }
            };
            let mut handle = None;
            // The creations of another caller, one after the other. The waiter stands at its gate
            // in between.
            while begun.load(Ordering::SeqCst) <= disturbances {
                let call = pile.call().accept(Accept::New);
                let guard = call.get_or_create(|| {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    if number == 0 {
                        handle = Some(thread::spawn(waiter.clone()));
                    }
                    gate.open();
                    let there = || pile.waiters() == 1;
                    let gone = || handle.as_ref().is_some_and(|handle| handle.is_finished());
                    until(|| there() || gone());
                    gate.close();
                    if number < disturbances {
                        disturb(&pile);
                    }
                    number
                });
                drop(guard.unwrap());
            }
            gate.open();
            handle.unwrap().join().unwrap()
        })
    }

    /// Nobody was the writer meanwhile: the value that was handed over is an answer, though it was
    /// removed before the reader was inside.
    #[test]
    fn a_reader_whose_value_is_removed_before_it_is_inside() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build_sync_reader());
            let gate = Gate::default();
            let waiter = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || hooked(hook, || *pile.get_or_create(|| panic!("never its turn")))
            };
            let mut handle = None;
            let mut creations = 0;
            while !handle.as_ref().is_some_and(thread::JoinHandle::is_finished) {
                let call = pile.call().accept(Accept::New);
                let number = creations;
                drop(call.get_or_create(|| {
                    handle.get_or_insert_with(|| thread::spawn(waiter.clone()));
                    gate.open();
                    let gone = || handle.as_ref().is_some_and(|handle| handle.is_finished());
                    until(|| pile.waiters() == 1 || gone());
                    gate.close();
                    number
                }));
                pile.invalidate();
                creations += 1;
                assert!(creations < 10, "it waits for one creation after the other");
            }
            assert_eq!(handle.unwrap().join().unwrap(), 0);
        });
    }

    /// The same of a value that was set, and removed before the reader was inside: else it waits for
    /// as long as values are set and removed.
    #[test]
    fn a_reader_that_was_told_of_a_set() {
        type Sets = fn(&SyncReaderDogpile<usize>, usize);
        let ways: [Sets; 3] = [
            |pile, number| pile.set(number),
            |pile, number| pile.set_with(Created::new(number)),
            |pile, number| assert_eq!(pile.set_if(None, number), Ok(())),
        ];
        for sets in ways {
            within(move || {
                let clock = Arc::new(HookedClock::default());
                let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build_sync_reader());
                let gate = Gate::default();
                let waiter = {
                    let (pile, hook) = (Arc::clone(&pile), gate.hook());
                    move || hooked(hook, || *pile.get_or_create(|| panic!("never its turn")))
                };
                let mut told = None;
                drop(pile.get_or_create(|| {
                    let waiter = thread::spawn(waiter);
                    let mut number = 1;
                    while !waiter.is_finished() {
                        gate.open();
                        until(|| pile.waiters() == 1 || waiter.is_finished());
                        gate.close();
                        sets(&pile, number);
                        pile.invalidate();
                        number += 1;
                        gate.open();
                        assert!(number < 10, "it is told of one value after the other");
                    }
                    told = Some(waiter.join().unwrap());
                    0
                }));
                assert_eq!(told, Some(1));
            });
        }
    }

    /// But not if a writer was inside since, who may have replaced what the value stands for.
    #[test]
    fn a_reader_that_was_told_of_a_set_before_a_writer_came() {
        for set_inside in [false, true] {
            within(move || {
                let clock = Arc::new(HookedClock::default());
                let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build_sync_reader());
                let Attempt::Lease(lease) = pile.attempt() else {
                    panic!("nobody holds it");
                };
                let gate = Gate::default();
                let waiter = {
                    let (pile, hook) = (Arc::clone(&pile), gate.hook());
                    thread::spawn(move || hooked(hook, || *pile.get_or_create(|| 9)))
                };
                until(|| pile.waiters() == 1);
                gate.close();
                if !set_inside {
                    pile.set(1);
                }
                let write = pile.acquire_write_lock().unwrap();
                if set_inside {
                    pile.set(1);
                }
                write.set(2);
                drop(write);
                gate.open();
                assert_eq!(waiter.join().unwrap(), 2);
                drop(lease);
            });
        }
    }

    #[test]
    fn who_waited_already_is_given_what_an_invalidate_superseded() {
        for n in [0, 1, 5] {
            assert_eq!(outlasts(Accept::Stale, n, |pile| pile.invalidate()), 0);
        }
    }

    /// The first creation began too early to count, and the second one counts whatever comes.
    #[test]
    fn invalidations_cost_one_who_asks_for_a_new_one_nothing_more() {
        assert_eq!(outlasts(Accept::New, 5, |pile| pile.invalidate()), 1);
    }

    /// What was expired while it was being made still answers those who had called before.
    #[test]
    fn expirations_cost_nothing() {
        assert_eq!(outlasts(Accept::Stale, 5, |pile| pile.expire()), 0);
        assert_eq!(outlasts(Accept::Fresh, 5, |pile| pile.expire()), 0);
    }

    /// The first creation began too early to count, the second one counts whatever comes.
    #[test]
    fn one_who_asks_for_a_new_one_waits_once_more() {
        assert_eq!(outlasts(Accept::New, 5, |pile| pile.expire()), 1);
    }

    /// The worst luck: its call began after an `invalidate`, and each time it looks anew, one has come
    /// already in the creation that it finds.
    #[test]
    fn one_who_always_comes_late_outlasts_one_creation_more() {
        within(|| {
            let clock = Arc::new(HookedClock::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock).build());
            let gate = Gate::default();
            let waiter = {
                let (pile, hook) = (Arc::clone(&pile), gate.hook());
                move || hooked(hook, || *pile.get_or_create(|| panic!("never its turn")))
            };
            let mut handle = None;
            let mut creations = 0;
            while !handle.as_ref().is_some_and(thread::JoinHandle::is_finished) {
                let call = pile.call().accept(Accept::New);
                let number = creations;
                drop(call.get_or_create(|| {
                    pile.invalidate();
                    handle.get_or_insert_with(|| thread::spawn(waiter.clone()));
                    gate.open();
                    let gone = || handle.as_ref().is_some_and(|handle| handle.is_finished());
                    until(|| pile.waiters() == 1 || gone());
                    gate.close();
                    number
                }));
                creations += 1;
                assert!(creations < 10, "it waits for one creation after the other");
            }
            assert_eq!(handle.unwrap().join().unwrap(), 1);
        });
    }

    #[test]
    fn by_callers_who_give_up() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let mut kept = None;
                drop(pile.get_or_create(|| {
                    kept = Some(threads.spawn(|| *pile.get_or_create(|| panic!("a second one"))));
                    until(|| pile.waiters() == 1);
                    for _ in 0..20 {
                        let hasty = threads.spawn(|| {
                            let call = pile.call().wait(Duration::ZERO);
                            assert!(matches!(
                                call.get_or_create(|| 3),
                                Err(Error::TimedOut { .. })
                            ));
                        });
                        hasty.join().unwrap();
                        assert_eq!(pile.waiters(), 1);
                    }
                    1
                }));
                assert_eq!(kept.unwrap().join().unwrap(), 1);
            });
        });
    }
}
