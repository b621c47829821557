//! What is true of the value a caller gets: when it was made, and what was said of it since.
//!
//! ```breakages
//! exactly-its-ttl-is-too-old | src/time/times.rs | table
//! - Tick::from_nanos(last.saturating_add(1))
//! + Tick::from_nanos(last)
//!
//! expire-leaves-the-value | src/raw/value/node.rs | expire_keeps_serving
//! - self.stale_by_age.store(0, Ordering::Relaxed);
//!
//! invalidate-only-expires | src/raw/change.rs | no_resurrection
//! @ pub(crate) fn invalidate
//! - let old = Self::empty(&mut state);
//! + state.supersede();
//! + let old = state.current().map(|node| node.expire(Tick::ZERO));
//!
//! fresh-since-the-clock-began | src/answer/lease.rs | ttl_from_completion
//! @ fn publish_ready
//! - let now = site.settings.time.now();
//! + let now = Tick::ZERO;
//!
//! expired-only-from-then-on | src/time/times.rs | monotonic::a_clock_that_steps_back
//! - Some(_) => Tick::ZERO,
//! + Some(expired) => expired,
//!
//! the-coarse-clock-taken-for-exact | src/time/clock.rs | monotonic::a_lagging_clock
//! - (coarse, coarse.saturating_add(self.lag()))
//! + (coarse, coarse)
//! ```

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, BootClock, Clock, Dogpile, ManualClock, Origin, SystemClock, Tick};

use crate::support::{HOUR, MINUTE, NANO, Runs, SECOND, manual, until, within};
use crate::support::{Keeps as _, Shows as _};

/// The table of what a caller gets, row by row.
mod table {
    use super::*;

    #[test]
    fn fresh_and_the_lease_free() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let guard = pile.get_or_create(|| panic!("it is fresh"));
            assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
            assert!(!pile.is_creating());
        });
    }

    #[test]
    fn fresh_and_the_lease_held() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let new = pile.refresh(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("it is fresh"));
                        assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
                    });
                });
                Ok::<_, ()>(2)
            });
            assert_eq!(new.unwrap().origin(), Origin::CreatedHere);
        });
    }

    #[test]
    fn stale_and_the_lease_free() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(MINUTE + NANO);
            // Only a call for a value takes the lease.
            assert_eq!(pile.peek().unwrap().origin(), Origin::Stale);
            assert!(pile.has_value() && !pile.is_fresh() && !pile.is_creating());
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn stale_and_the_lease_held() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("a second creator"));
                        assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
                    });
                });
                2
            }));
        });
    }

    #[test]
    fn dead_and_the_lease_free() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            clock.advance(MINUTE * 2);
            assert!(pile.has_value());
            clock.advance(NANO);
            assert!(!pile.has_value() && pile.peek().is_none() && pile.age().is_none());
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn none_and_the_lease_free() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            assert!(!pile.has_value() && !pile.is_fresh() && pile.age().is_none());
            let guard = pile.get_or_create(|| 1);
            assert_eq!((*guard, guard.origin()), (1, Origin::CreatedHere));
        });
    }

    // With none or a dead one and the lease held it waits: `first_call_waits`.

    #[test]
    fn a_callers_max_age_makes_stale_what_is_fresh_to_others() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(SECOND);
            let strict = pile.call().max_age(SECOND);
            assert_eq!(*strict.get_or_create(|| 2).unwrap(), 1);
            clock.advance(NANO);
            assert!(pile.is_fresh());
            let guard = strict.get_or_create(|| 2).unwrap();
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
            assert_eq!(guard.age(), Duration::ZERO);
            // It never makes fresh what is stale.
            clock.advance(MINUTE + NANO);
            let lax = pile.call().max_age(HOUR);
            assert_eq!(*lax.get_or_create(|| 3).unwrap(), 3);
        });
    }

    #[test]
    fn fresh_only() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let call = pile.call().accept(Accept::Fresh);
            assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
            pile.expire();
            assert_eq!(*call.get_or_create(|| 2).unwrap(), 2);
        });
    }

    #[test]
    fn the_age_is_that_at_the_call() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let created = pile.get_or_create(|| 1);
            clock.advance(SECOND);
            let held = pile.get_or_create(|| 2);
            clock.advance(SECOND);
            assert_eq!(created.age(), Duration::ZERO);
            assert_eq!((held.age(), held.origin()), (SECOND, Origin::Fresh));
            assert_eq!(pile.age(), Some(SECOND * 2));
        });
    }
}

mod invalidate_wins {
    use super::*;

    /// A call that comes after the invalidate waits for the old creation, and creates anew.
    #[test]
    fn over_the_running_creation() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let old = pile.get_or_create(|| {
                    runs.run(|| {
                        pile.invalidate();
                        threads.spawn(|| {
                            let new = pile.get_or_create(|| runs.run(|| 2));
                            assert_eq!((*new, new.origin()), (2, Origin::CreatedHere));
                        });
                        until(|| pile.waiters() == 1);
                        1
                    })
                });
                assert_eq!((*old, old.origin()), (1, Origin::Superseded));
            });
            assert_eq!(*pile.peek().unwrap(), 2);
            assert_eq!(runs.count(), 2);
        });
    }

    #[test]
    fn the_old_value_is_not_kept() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let old = pile.get_or_create(|| {
                pile.invalidate();
                1
            });
            assert_eq!((*old, old.origin()), (1, Origin::Superseded));
            assert!(pile.peek().is_none());
            assert_eq!(*pile.get_or_create(|| 2), 2);
            assert_eq!(*old, 1);
        });
    }

    #[test]
    fn over_the_current_value() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.invalidate();
            assert!(pile.peek().is_none());
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn over_a_stale_value_that_is_being_renewed() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            drop(pile.get_or_create(|| {
                pile.invalidate();
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = pile.call().wait(Duration::ZERO);
                        let answer = call.get_or_create(|| panic!("a second creator"));
                        assert!(answer.unwrap_err().is_timed_out());
                    });
                });
                2
            }));
            assert!(pile.peek().is_none());
        });
    }

    #[test]
    fn over_a_value_that_was_set_before_it() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let old = pile.get_or_create(|| {
                pile.set(9);
                pile.invalidate();
                1
            });
            assert_eq!(old.origin(), Origin::Superseded);
            assert!(pile.peek().is_none());
        });
    }

    #[test]
    fn those_who_come_after_it_elect_anew() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                let old = pile.get_or_create(|| {
                    pile.invalidate();
                    for _ in 0..4 {
                        threads.spawn(|| {
                            let create = || {
                                until(|| pile.waiters() == 3);
                                2
                            };
                            assert_eq!(*pile.get_or_create(|| runs.run(create)), 2);
                        });
                    }
                    // They wait: there can be only one creator. Another `invalidate` changes nothing.
                    until(|| pile.waiters() == 4);
                    pile.invalidate();
                    assert_eq!(pile.waiters(), 4);
                    runs.run(|| 1)
                });
                assert_eq!(old.origin(), Origin::Superseded);
            });
            assert_eq!(runs.count(), 2);
        });
    }

    /// A creation after the superseded one is like any other.
    #[test]
    fn once() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                pile.invalidate();
                1
            }));
            for number in 2..5 {
                let guard = pile.refresh(|| Ok::<_, ()>(number)).unwrap();
                assert_eq!(guard.origin(), Origin::CreatedHere);
                assert_eq!(*pile.peek().unwrap(), number);
            }
        });
    }
}

mod set_wins {
    use super::*;

    #[test]
    fn waiters_get_it_while_the_creator_is_still_at_it() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            thread::scope(|threads| {
                let late = pile.get_or_create(|| {
                    let waiters = [(); 3].map(|()| {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| panic!("a second creator"));
                            (*guard, guard.origin())
                        })
                    });
                    until(|| pile.waiters() == 3);
                    pile.set(9);
                    for waiter in waiters {
                        let answer = waiter.join().unwrap();
                        assert_eq!(answer, (9, Origin::CreatedByAnother));
                    }
                    assert!(pile.is_creating());
                    1
                });
                assert_eq!((*late, late.origin()), (1, Origin::Superseded));
            });
            assert_eq!(*pile.peek().unwrap(), 9);
            assert!(pile.is_fresh() && !pile.is_creating());
        });
    }

    #[test]
    fn whoever_comes_later_gets_it_too() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            pile.expire();
            drop(pile.get_or_create(|| {
                pile.set(9);
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("a second creator"));
                        assert_eq!((*guard, guard.origin()), (9, Origin::Fresh));
                    });
                });
                1
            }));
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (9, Origin::Fresh));
        });
    }

    /// The waiters of the superseded lease, who came after the `set`, are none of its business.
    #[test]
    fn who_waits_again_after_it_elects_anew() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    pile.set(9);
                    threads.spawn(|| {
                        let guard = pile.refresh(|| Ok::<_, ()>(2)).unwrap();
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                    });
                    until(|| pile.waiters() == 1);
                    1
                }));
            });
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    /// A `set` after the call is newer than all the call could ask for.
    #[test]
    fn it_answers_those_who_want_a_new_one() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let seen = pile.peek().unwrap();
            thread::scope(|threads| {
                drop(pile.refresh(|| {
                    let waiters = [Accept::New, Accept::NewerThan(dogpile::Guard::seen(&seen))]
                        .map(|accept| {
                            let pile = &pile;
                            threads.spawn(move || {
                                let call = pile.call().accept(accept);
                                *call.get_or_create(|| panic!("a second creator")).unwrap()
                            })
                        });
                    until(|| pile.waiters() == 2);
                    pile.set(9);
                    assert!(
                        waiters
                            .into_iter()
                            .all(|waiter| waiter.join().unwrap() == 9)
                    );
                    Ok::<_, ()>(1)
                }));
            });
            assert_eq!(*pile.peek().unwrap(), 9);
        });
    }

    #[test]
    fn it_lives_for_its_ttl_from_then_on() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(MINUTE);
            pile.set(2);
            clock.advance(MINUTE);
            assert!(pile.is_fresh());
            clock.advance(NANO);
            assert!(!pile.is_fresh());
        });
    }

    /// Of a creation under way when it came, nothing is left to be seen once that has ended.
    #[test]
    fn afterwards_it_is_renewed_like_any_other() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                pile.set(9);
                1
            }));
            pile.expire();
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }
}

mod expire_keeps_serving {
    use super::*;

    #[test]
    fn one_renews_and_the_others_are_served() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            assert!(pile.has_value() && !pile.is_fresh());
            let renewed = pile.get_or_create(|| {
                thread::scope(|threads| {
                    for _ in 0..3 {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| panic!("a second creator"));
                            assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
                        });
                    }
                });
                2
            });
            assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
            assert!(pile.is_fresh());
        });
    }

    #[test]
    fn what_began_before_is_published_but_stale() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let early = pile.get_or_create(|| {
                pile.expire();
                // It was expired before it was there, and the clock may have gone on since.
                clock.advance(SECOND);
                1
            });
            assert_eq!((*early, early.origin()), (1, Origin::CreatedHere));
            let held = pile.peek().unwrap();
            assert_eq!((*held, held.origin()), (1, Origin::Stale));
            let renewed = pile.get_or_create(|| 2);
            assert_eq!((*renewed, renewed.origin()), (2, Origin::CreatedHere));
            assert!(pile.is_fresh());
        });
    }

    /// One who wants a fresh value, and calls after the `expire`, is not given the early one.
    #[test]
    fn what_began_before_is_not_fresh_to_one_who_waited_for_it() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let early = pile.get_or_create(|| {
                    pile.expire();
                    threads.spawn(|| {
                        let call = pile.call().accept(Accept::Fresh);
                        let guard = call.get_or_create(|| 2).unwrap();
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                    });
                    until(|| pile.waiters() == 1);
                    1
                });
                assert_eq!(early.origin(), Origin::CreatedHere);
            });
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    #[test]
    fn an_expire_before_the_creation_concerns_it_not() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            pile.expire();
            drop(pile.get_or_create(|| 1));
            assert!(pile.is_fresh());
            pile.expire();
            drop(pile.get_or_create(|| 2));
            assert!(pile.is_fresh());
            pile.expire();
            pile.set(3);
            assert!(pile.is_fresh());
        });
    }

    #[test]
    fn a_value_set_during_a_creation_and_expired_is_served_until_that_ends() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let old = pile.get_or_create(|| {
                pile.set(9);
                pile.expire();
                assert_eq!(pile.get_or_create(|| 2).origin(), Origin::Stale);
                1
            });
            assert_eq!(old.origin(), Origin::Superseded);
            assert_eq!(pile.peek().unwrap().origin(), Origin::Stale);
            assert_eq!(*pile.get_or_create(|| 3), 3);
        });
    }

    #[test]
    fn for_as_long_as_a_stale_value_may_be_served() {
        within(|| {
            let (clock, builder) = manual(HOUR);
            let pile = builder.stale_while_revalidate(SECOND).build();
            pile.set(1);
            clock.advance(SECOND);
            pile.expire();
            assert!(pile.has_value() && !pile.is_fresh());
            clock.advance(HOUR - SECOND);
            // A second time changes nothing either.
            pile.expire();
            // It ends when it would have ended: an hour and a second after its creation.
            clock.advance(SECOND);
            assert!(pile.has_value());
            clock.advance(NANO);
            assert!(!pile.has_value());
        });
    }

    #[test]
    fn also_where_nothing_stale_may_be_served() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(Duration::ZERO).build();
            pile.set(0);
            let seen = pile.peek().unwrap().seen();
            assert!(pile.expire_if(seen));
            assert!(!pile.expire_if(seen));
            // Until the end of its time to live it is served while another is created.
            thread::scope(|threads| {
                let new = pile.get_or_create(|| {
                    let other =
                        threads.spawn(|| *pile.get_or_create(|| panic!("a second creator")));
                    assert_eq!(other.join().unwrap(), 0);
                    // What comes of this creation is stale already, and is published all the same.
                    pile.expire();
                    1
                });
                assert_eq!((*new, new.origin()), (1, Origin::CreatedHere));
            });
            assert!(pile.has_value() && !pile.is_fresh());
            clock.advance(MINUTE + NANO);
            assert!(!pile.has_value());
        });
    }
}

mod what_i_saw {
    use super::*;

    fn renew(
        pile: &Dogpile<u32>,
        seen: &dogpile::Guard<'_, u32>,
        create: impl FnOnce() -> u32,
    ) -> u32 {
        pile.expire_if(seen.seen());
        let call = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(seen)));
        *call.get_or_create(create).unwrap()
    }

    /// Ninety-nine of them wait for the one who creates.
    #[test]
    fn a_hundred_at_once_cause_one_renewal() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            let runs = Runs::default();
            let create = || {
                runs.run(|| {
                    until(|| pile.waiters() == 99);
                    2
                })
            };
            thread::scope(|threads| {
                for _ in 0..100 {
                    threads.spawn(|| assert_eq!(renew(&pile, &seen, create), 2));
                }
            });
            assert_eq!(runs.count(), 1);
            assert!(pile.is_fresh());
        });
    }

    #[test]
    fn a_hundred_one_after_the_other_too() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            let runs = Runs::default();
            for _ in 0..100 {
                assert_eq!(renew(&pile, &seen, || runs.run(|| 2)), 2);
            }
            assert_eq!(runs.count(), 1);
        });
    }

    #[test]
    fn a_hundred_in_a_heap() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            let runs = Runs::default();
            let start = Barrier::new(100);
            thread::scope(|threads| {
                for _ in 0..100 {
                    threads.spawn(|| {
                        start.wait();
                        assert_eq!(renew(&pile, &seen, || runs.run(|| 2)), 2);
                    });
                }
            });
            assert_eq!(runs.count(), 1);
        });
    }

    #[test]
    fn an_outdated_guard_does_nothing() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            pile.set(2);
            assert!(!pile.expire_if(seen.seen()));
            assert!(!pile.invalidate_if(seen.seen()));
            assert_eq!(*pile.peek().unwrap(), 2);
            assert!(pile.is_fresh());
            // Nor once there is none.
            let seen = pile.peek().unwrap();
            pile.invalidate();
            assert!(!pile.expire_if(seen.seen()));
            assert!(!pile.invalidate_if(seen.seen()));
        });
    }

    #[test]
    fn nor_does_it_touch_the_running_creation() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            pile.invalidate();
            let guard = pile.get_or_create(|| {
                assert!(!pile.expire_if(seen.seen()));
                assert!(!pile.invalidate_if(seen.seen()));
                2
            });
            assert_eq!(guard.origin(), Origin::CreatedHere);
            assert!(pile.is_fresh());
        });
    }

    #[test]
    fn the_current_one_acts_once() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            assert!(pile.expire_if(seen.seen()));
            assert!(!pile.expire_if(seen.seen()));
            assert!(pile.has_value());
            assert!(pile.invalidate_if(seen.seen()));
            assert!(!pile.invalidate_if(seen.seen()));
            assert!(!pile.has_value());
        });
    }

    #[test]
    fn a_superseded_guard_does_nothing() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let mine = pile.get_or_create(|| {
                pile.set(9);
                1
            });
            assert_eq!(mine.origin(), Origin::Superseded);
            assert!(!pile.expire_if(mine.seen()));
            assert!(!pile.invalidate_if(mine.seen()));
            assert!(pile.is_fresh());
        });
    }

    /// The creation that runs began before the fault was found: it may have the same fault.
    #[test]
    fn newer_means_begun_after_the_expire() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let seen = pile.peek().unwrap();
            let runs = Runs::default();
            thread::scope(|threads| {
                let early = pile.refresh(|| {
                    runs.run(|| {
                        threads.spawn(|| {
                            assert!(pile.expire_if(seen.seen()));
                            let call = pile
                                .call()
                                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                            let guard = call.get_or_create(|| runs.run(|| 2)).unwrap();
                            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                        });
                        until(|| pile.waiters() == 1);
                        Ok::<_, ()>(1)
                    })
                });
                assert_eq!(*early.unwrap(), 1);
            });
            assert_eq!(runs.count(), 2);
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    /// Without an `expire_if` the creation that runs is newer than what was seen.
    #[test]
    fn newer_than_the_guard_is_all_that_is_asked() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let seen = pile.peek().unwrap();
            let newer = pile
                .call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
            thread::scope(|threads| {
                drop(pile.refresh(|| {
                    threads.spawn(|| {
                        let guard = newer.get_or_create(|| panic!("a second creator")).unwrap();
                        assert_eq!((*guard, guard.origin()), (1, Origin::CreatedByAnother));
                    });
                    until(|| pile.waiters() == 1);
                    Ok::<_, ()>(1)
                }));
            });
            let guard = newer
                .get_or_create(|| panic!("there is a newer one"))
                .unwrap();
            assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
        });
    }

    #[test]
    fn a_newer_one_that_is_stale_is_served_while_it_is_renewed() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(0);
            let seen = pile.peek().unwrap();
            pile.set(1);
            clock.advance(MINUTE + NANO);
            drop(pile.get_or_create(|| {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = pile
                            .call()
                            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                        let guard = call.get_or_create(|| panic!("a second creator")).unwrap();
                        assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
                    });
                });
                2
            }));
        });
    }

    #[test]
    fn newer_than_the_current_one_is_created() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            let call = pile
                .call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
            let guard = call.get_or_create(|| 2).unwrap();
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    /// What was expired is newer than nothing: somebody found it wanting.
    #[test]
    fn an_expired_one_is_not_newer() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let seen = pile.peek().unwrap();
            pile.set(1);
            pile.expire();
            let call = pile
                .call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
            assert_eq!(*call.get_or_create(|| 2).unwrap(), 2);
        });
    }

    /// Nor while it is renewed: the others are served it, this one waits.
    #[test]
    fn an_expired_one_is_not_newer_in_the_meantime_either() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let seen = pile.peek().unwrap();
            pile.set(1);
            pile.expire();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let call = pile
                            .call()
                            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                        let guard = call.get_or_create(|| panic!("a second creator")).unwrap();
                        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedByAnother));
                    });
                    until(|| pile.waiters() == 1);
                    2
                }));
            });
        });
    }
}

/// `refresh`, which is `Accept::New`.
mod a_new_one {
    use super::*;

    /// A creation that began too early is no answer, whether it succeeds or fails.
    #[test]
    fn not_the_failure_of_one_that_began_before() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let mut waiters = None;
                let early = pile.get_or_try_create(|| {
                    let plain = threads.spawn(|| pile.get_or_try_create(|| Err(3)).is_err());
                    let new = threads.spawn(|| *pile.refresh(|| Ok::<_, i32>(2)).unwrap());
                    waiters = Some((plain, new));
                    until(|| pile.waiters() == 2);
                    Err(1)
                });
                assert!(early.is_err());
                let (plain, new) = waiters.unwrap();
                assert!(plain.join().unwrap());
                assert_eq!(new.join().unwrap(), 2);
            });
        });
    }

    #[test]
    fn however_fresh_it_is() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            for number in 1..4 {
                let guard = pile.refresh(|| Ok::<_, ()>(number)).unwrap();
                assert_eq!((*guard, guard.origin()), (number, Origin::CreatedHere));
            }
        });
    }

    /// Those who come during a creation need one more, and one is enough for all of them.
    #[test]
    fn one_for_all_who_come_meanwhile() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            let create = |number| runs.run(|| Ok::<_, ()>(number));
            thread::scope(|threads| {
                drop(pile.refresh(|| {
                    for _ in 0..8 {
                        threads.spawn(|| {
                            let guard = pile.refresh(|| {
                                until(|| pile.waiters() == 7);
                                create(2)
                            });
                            assert_eq!(*guard.unwrap(), 2);
                        });
                    }
                    until(|| pile.waiters() == 8);
                    create(1)
                }));
            });
            assert_eq!(runs.count(), 2);
        });
    }
}

mod no_resurrection {
    use super::*;

    #[test]
    fn by_expire() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            let seen = pile.peek().unwrap();
            pile.invalidate();
            pile.expire();
            pile.expire_if(seen.seen());
            assert!(pile.peek().is_none());
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn by_expire_during_a_superseded_creation() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                pile.invalidate();
                pile.expire();
                1
            }));
            assert!(pile.peek().is_none());
        });
    }

    #[test]
    fn of_the_dead_by_expire() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            clock.advance(MINUTE * 2 + NANO);
            assert!(!pile.has_value());
            pile.expire();
            assert!(!pile.has_value());
        });
    }
}

mod ttl_from_completion {
    use super::*;

    #[test]
    fn a_creator_slower_than_the_ttl_makes_a_fresh_value() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let guard = pile.get_or_create(|| {
                clock.advance(HOUR);
                1
            });
            assert_eq!(guard.age(), Duration::ZERO);
            clock.advance(MINUTE);
            assert!(pile.is_fresh());
            clock.advance(NANO);
            assert!(!pile.is_fresh());
        });
    }

    #[test]
    fn also_where_it_renews() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(Duration::ZERO).build();
            for number in 0..3 {
                let guard = pile.refresh(|| {
                    clock.advance(MINUTE * 2);
                    Ok::<_, ()>(number)
                });
                assert_eq!(guard.unwrap().origin(), Origin::CreatedHere);
                assert!(pile.is_fresh());
                assert_eq!(pile.age(), Some(Duration::ZERO));
            }
        });
    }
}

mod monotonic {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_does_not_undo_an_expire() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.advance(SECOND);
            pile.expire();
            clock.set(Tick::ZERO);
            assert!(!pile.is_fresh());
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        });
    }

    #[test]
    fn nor_one_that_came_during_the_creation() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            drop(pile.get_or_create(|| {
                pile.expire();
                clock.advance(MINUTE);
                1
            }));
            clock.set(Tick::ZERO);
            assert!(!pile.is_fresh());
        });
    }

    /// The unit tests of `src/time/boot.rs` suspend a machine.
    #[test]
    fn the_boot_clock_goes_by_the_kernels() {
        static PILE: Dogpile<u32> = Dogpile::builder(HOUR).clock_static(&BootClock).build();
        for turn in 0..1000 {
            let awake = SystemClock.now();
            let (coarse, exact) = (BootClock.coarse(), BootClock.now());
            assert!(coarse <= exact);
            // With what the machine has slept, it is no less.
            assert!(!BootClock::COUNTS_SUSPEND || awake <= exact);
            let (earliest, latest) = BootClock.bounds();
            assert_eq!(latest, earliest.saturating_add(BootClock.lag()));
            PILE.set(turn);
            assert_eq!(*PILE.get_or_create(|| unreachable!("it is fresh")), turn);
        }
        #[cfg(target_os = "linux")]
        {
            let read = || {
                let output = std::fs::read_to_string("/proc/uptime").unwrap();
                let seconds: f64 = output.split(' ').next().unwrap().parse().unwrap();
                (seconds * 1e9) as u64
            };
            // It counts hundredths.
            let before = read();
            let now = BootClock.now().as_nanos();
            let after = read() + 10_000_000;
            assert!((before..=after).contains(&now), "{before} {now} {after}");
        }
    }

    /// A clock whose coarse time is as late as it may be, and that counts its readings.
    #[derive(Default)]
    struct Lagging {
        exact: AtomicU64,
        exact_readings: AtomicUsize,
        coarse_readings: AtomicUsize,
    }

    const LAG: Duration = Duration::from_millis(10);

    impl Clock for Lagging {
        fn now(&self) -> Tick {
            self.exact_readings.fetch_add(1, Ordering::SeqCst);
            Tick::from_nanos(self.exact.load(Ordering::SeqCst))
        }

        fn coarse(&self) -> Tick {
            self.coarse_readings.fetch_add(1, Ordering::SeqCst);
            let lag = LAG.as_nanos() as u64;
            Tick::from_nanos(self.exact.load(Ordering::SeqCst).saturating_sub(lag))
        }

        fn lag(&self) -> Duration {
            LAG
        }
    }

    #[test]
    fn a_lagging_clock_keeps_nothing_fresh_for_longer() {
        within(|| {
            let clock = Arc::new(Lagging::default());
            let pile = Dogpile::builder(MINUTE).clock(clock.clone()).build();
            pile.set(1);
            let ttl = MINUTE.as_nanos() as u64;
            clock.exact.store(ttl, Ordering::SeqCst);
            assert_eq!(*pile.get_or_create(|| 2), 1);
            clock.exact.store(ttl + 1, Ordering::SeqCst);
            assert_eq!(*pile.get_or_create(|| 2), 2);
        });
    }

    #[test]
    fn a_hit_asks_the_coarse_clock_alone() {
        within(|| {
            let clock = Arc::new(Lagging::default());
            let pile = Dogpile::builder(MINUTE).clock(clock.clone()).build();
            clock.exact.store(1_000_000_000, Ordering::SeqCst);
            pile.set(1);
            let before = clock.exact_readings.load(Ordering::SeqCst);
            for _ in 0..10 {
                // Younger than the coarse clock knows of.
                assert_eq!(pile.get_or_create(|| 2).age(), Duration::ZERO);
            }
            assert_eq!(clock.exact_readings.load(Ordering::SeqCst), before);
            assert_eq!(clock.coarse_readings.load(Ordering::SeqCst), 10);
        });
    }

    #[test]
    fn the_systems_clock_never_goes_back() {
        within(|| {
            let clock = SystemClock;
            let mut last = clock.now();
            for _ in 0..1000 {
                let (coarse, now) = (clock.coarse(), clock.now());
                assert!(coarse <= now);
                assert!(last <= now);
                last = now;
            }
        });
    }

    /// A step back, as of a clock that is set right: nothing gets older by it, nothing ends.
    #[test]
    fn a_step_back_makes_nothing_older() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            clock.set(Tick::ZERO);
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
            assert_eq!(guard.age(), Duration::ZERO);
            assert_eq!(
                pile.call().max_age(NANO).get_or_create(|| 2).unwrap().age(),
                Duration::ZERO
            );
            // From the time at which it was made, it grows old as before.
            clock.set(Tick::ZERO.saturating_add(HOUR + MINUTE + NANO));
            assert!(!pile.is_fresh());
        });
    }

    #[test]
    fn a_step_back_lets_no_waiter_go() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            thread::scope(|threads| {
                let mut waiter = None;
                drop(pile.get_or_create(|| {
                    waiter = Some(threads.spawn(|| {
                        let call = pile.call().wait(SECOND);
                        call.get_or_create(|| 2).map(|guard| *guard)
                    }));
                    until(|| pile.waiters() == 1);
                    clock.set(Tick::ZERO);
                    1
                }));
                assert_eq!(waiter.unwrap().join().unwrap().unwrap(), 1);
            });
        });
    }

    #[test]
    fn ticks_stop_at_the_ends_of_their_range() {
        let last = Tick::from_nanos(u64::MAX);
        assert_eq!(Tick::MAX, last);
        assert_eq!(Tick::MAX.saturating_add(NANO), Tick::MAX);
        // One whose nanoseconds fit into no u64, by much and by little.
        assert_eq!(Tick::ZERO.saturating_add(Duration::MAX), Tick::MAX);
        let beyond = Duration::from_nanos(u64::MAX) + SECOND;
        assert_eq!(Tick::ZERO.saturating_add(beyond), Tick::MAX);
        assert_eq!(Tick::ZERO.saturating_since(Tick::MAX), Duration::ZERO);
        assert_eq!(
            Tick::MAX.saturating_since(Tick::ZERO).as_nanos(),
            u128::from(u64::MAX)
        );
        assert_eq!(Tick::from_nanos(7).as_nanos(), 7);
        assert_eq!(Tick::default(), Tick::ZERO);
    }

    #[test]
    fn no_test_has_to_sleep() {
        within(|| {
            let clock = Arc::new(ManualClock::new());
            let pile = Dogpile::builder(HOUR).clock(clock.clone()).build();
            let (hours, passed) = mpsc::channel();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let call = pile.call().wait(HOUR * 24 * 365);
                        hours.send(call.get_or_create(|| 2).is_err()).unwrap();
                    });
                    until(|| pile.waiters() == 1);
                    clock.advance(HOUR * 24 * 365);
                    assert!(passed.recv().unwrap());
                    1
                }));
            });
        });
    }
}
