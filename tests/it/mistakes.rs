//! The known ways to get it wrong, each seen in a shipped library, by their numbers. Those about
//! async callers, background creations and the reader-writer pile come with these.
//!
//! ```breakages
//! what-is-superseded-goes-to-nobody | src/raw/end.rs | m16_
//! - !(superseded && group.came_late())
//! + !superseded
//!
//! who-waits-is-told-of-no-panic | src/call/election/told.rs | m17_
//! - Ending::Panicked(panicked, falls_back) if began_in_time && takes_failures
//! + Ending::Panicked(panicked, falls_back) if false && began_in_time && takes_failures
//!
//! an-expire-condemns | src/time/times.rs | m19_
//! @ fn usable_until
//! - self.older_from(ttl.saturating_add(limit))
//! + self.expired.map_or(self.older_from(ttl.saturating_add(limit)), |at| at.saturating_add(limit))
//!
//! unchanged-is-as-good-as-new | src/answer/created.rs | m20_
//! - ..before.with_age(now, age)
//! + ..{ let _ = age; Times::new(now, Duration::ZERO, before.ttl) }
//!
//! a-404-is-a-failure-like-any-other | src/raw/end.rs | m24_
//! - let is_answer = matches!(end, End::Failed(_))
//! + let is_answer = false && matches!(end, End::Failed(_))
//!
//! who-leaves-arms-the-interval | src/policy/pace.rs | asynchronous::m25_
//! - let given_up = self.given_up.filter(|_| has_usable);
//! + let given_up = self.given_up.filter(|_| has_usable || true);
//!
//! a-shared-error-has-no-cause | src/error.rs | m21_
//! - self.inner().source()
//! + None
//! ```

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Backoff, Builder, Created, Dogpile, Freshness, Origin, RefreshAhead};

use crate::support::Shows as _;
use crate::support::{MINUTE, NANO, Runs, SECOND, burst, bursts, manual, until, within};

/// 1: a time stamp taken at the end decides invalidation. Whatever the clock does meanwhile, what
/// counts is that the creation began before.
#[test]
fn m01_an_invalidate_during_a_creation_is_not_lost() {
    within(|| {
        for (before, after) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let old = pile.get_or_create(|| {
                clock.advance(SECOND * before);
                pile.invalidate();
                clock.advance(SECOND * after);
                1
            });
            assert_eq!(old.origin(), Origin::Superseded);
            assert!(pile.peek().is_none());
            assert_eq!(*pile.get_or_create(|| 2), 2);
        }
    });
}

/// 2: a delete or a set during a creation is overwritten by the finishing creator.
#[test]
fn m02_a_finishing_creator_overwrites_nothing() {
    within(|| {
        for was_there in [false, true] {
            let pile = Dogpile::new(MINUTE);
            if was_there {
                pile.set(0);
            }
            drop(pile.refresh(|| {
                pile.set(9);
                Ok::<_, ()>(1)
            }));
            assert_eq!(*pile.peek().unwrap(), 9);
            drop(pile.refresh(|| {
                pile.invalidate();
                Ok::<_, ()>(1)
            }));
            assert!(pile.peek().is_none());
        }
    });
}

/// 3: after a failure every waiter runs the creator in turn: five callers, five runs.
#[test]
fn m03_a_failure_does_not_go_round() {
    within(|| {
        let pile = Dogpile::<u32>::new(MINUTE);
        let runs = Runs::default();
        let failed = AtomicUsize::new(0);
        thread::scope(|threads| {
            let caller = || {
                let create = || {
                    runs.run(|| {
                        until(|| pile.waiters() == 4);
                        Err("down")
                    })
                };
                assert_eq!(
                    pile.get_or_try_create(create).unwrap_err().created(),
                    Some(&"down")
                );
                failed.fetch_add(1, Ordering::SeqCst);
            };
            for _ in 0..5 {
                threads.spawn(caller);
            }
        });
        assert_eq!((runs.count(), failed.into_inner()), (1, 5));
    });
}

/// 4: waiters leave one at a time, each with a look at the value under the lock. Here the value is
/// dead when it is there: who looked would find none.
#[test]
fn m04_waiters_do_not_queue_up_again() {
    within(|| {
        let (_, builder) = manual(Duration::ZERO);
        let pile = builder.stale_while_revalidate(Duration::ZERO).build();
        let met = Barrier::new(16);
        thread::scope(|threads| {
            drop(pile.get_or_create(|| {
                for _ in 0..16 {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("looked again"));
                        met.wait();
                        assert_eq!(*guard, 1);
                    });
                }
                until(|| pile.waiters() == 16);
                1
            }));
        });
        assert!(!pile.has_value());
    });
}

/// 5: a creator that panics leaves the waiters waiting for ever, or lets them read a value that is
/// not there.
#[test]
fn m05_a_panic_leaves_nobody_behind() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        thread::scope(|threads| {
            assert!(bursts(|| pile.get_or_create(|| {
                for _ in 0..5 {
                    threads.spawn(|| assert_eq!(*pile.get_or_create(|| String::from("x")), "x"));
                }
                until(|| pile.waiters() == 5);
                burst()
            })));
        });
        assert_eq!(pile.waiters(), 0);
        assert!(pile.is_fresh());
    });
}

/// 7: callers whose deadline is shorter than the creation: it restarts for ever and never fills.
#[test]
fn m07_hasty_callers_do_not_restart_the_creation() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let runs = Runs::default();
        let hasty = || {
            let call = pile.call().wait(SECOND);
            let answer = call.get_or_create(|| {
                runs.run(|| {
                    for _ in 0..10 {
                        thread::scope(|threads| {
                            let caller = threads.spawn(|| {
                                let call = pile.call().wait(SECOND);
                                call.get_or_create(|| runs.run(|| 2)).is_err()
                            });
                            until(|| pile.waiters() == 1);
                            clock.advance(SECOND);
                            assert!(caller.join().unwrap());
                        });
                    }
                    1
                })
            });
            *answer.unwrap()
        };
        assert_eq!(hasty(), 1);
        assert_eq!(hasty(), 1);
        assert_eq!(runs.count(), 1);
    });
}

/// 8: a "discard if anything changed" rule that also discards after a normal publish.
#[test]
fn m08_refreshes_are_not_dropped() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        for number in 0..100 {
            let guard = pile.refresh(|| {
                // None of these is a reason to discard.
                drop(pile.peek());
                drop(pile.call().wait(Duration::ZERO).get_or_create(|| panic!()));
                if number % 2 == 0 {
                    pile.expire();
                }
                Ok::<_, ()>(number)
            });
            assert_eq!(guard.unwrap().origin(), Origin::CreatedHere);
            assert_eq!(*pile.peek().unwrap(), number);
        }
    });
}

/// The same for those who waited for a creation that was published, and create the next one.
#[test]
fn m08_nor_after_somebody_elses() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        thread::scope(|threads| {
            drop(pile.refresh(|| {
                threads.spawn(|| {
                    let guard = pile.refresh(|| Ok::<_, ()>(2)).unwrap();
                    assert_eq!(guard.origin(), Origin::CreatedHere);
                });
                until(|| pile.waiters() == 1);
                Ok::<_, ()>(1)
            }));
        });
        assert_eq!(*pile.peek().unwrap(), 2);
    });
}

/// 9: a flag "somebody is fetching" that an early return, a `?` or a panic leaves set. Seen from
/// both sides: by one who finds a stale value, and by one who finds none.
#[test]
fn m09_no_flag_stays_set() {
    fn early(text: &str) -> Result<u32, std::num::ParseIntError> {
        if text.is_empty() {
            return "".parse();
        }
        let number: u32 = text.parse()?;
        Ok(number)
    }
    within(|| {
        for held in [None, Some(0)] {
            let pile = Dogpile::new(MINUTE);
            if let Some(value) = held {
                pile.set(value);
                pile.expire();
            }
            for text in ["", "x"] {
                assert!(pile.get_or_try_create(|| early(text)).is_err());
                assert!(!pile.is_creating());
            }
            for _ in 0..2 {
                assert!(bursts(
                    || pile.get_or_try_create(|| { early("7").map(|_| burst()) })
                ));
                assert!(!pile.is_creating());
            }
            let guard = pile.get_or_try_create(|| early("7")).unwrap();
            assert_eq!((*guard, guard.origin()), (7, Origin::CreatedHere));
        }
    });
}

// 10, a write to shared memory by every stale or fresh caller, shows in the benchmarks and models.

/// 12: soft invalidation after a hard one brings the old value back.
#[test]
fn m12_the_dead_stay_dead() {
    within(|| {
        for limit in [None, Some(MINUTE), Some(Duration::ZERO)] {
            let (clock, builder) = manual(MINUTE);
            let builder = match limit {
                Some(limit) => builder.stale_while_revalidate(limit),
                None => builder,
            };
            let pile = builder.build();
            pile.set(1);
            let seen = pile.peek().unwrap();
            pile.invalidate();
            for _ in 0..3 {
                pile.expire();
                assert!(!pile.expire_if(seen.seen()));
                clock.advance(NANO);
                assert!(pile.peek().is_none());
            }
            assert_eq!(*pile.get_or_create(|| 2), 2);
        }
    });
}

/// 14: sixty-four callers see an unknown key and each expires the value that the first of them just
/// renewed. Each one acts on what it saw, late or not.
#[test]
fn m14_sixty_four_callers_one_renewal() {
    within(|| {
        let keys = Dogpile::with_value(MINUTE, vec![1]);
        let runs = Runs::default();
        let seen_by_all = Barrier::new(64);
        thread::scope(|threads| {
            for _ in 0..64 {
                threads.spawn(|| {
                    let seen = keys.peek().unwrap();
                    assert!(!seen.contains(&2));
                    seen_by_all.wait();
                    keys.expire_if(seen.seen());
                    let call = keys
                        .call()
                        .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                    let newer = call.get_or_create(|| runs.run(|| vec![1, 2])).unwrap();
                    assert!(newer.contains(&2));
                    drop(seen);
                    drop(newer);
                    // And goes on as if nothing had happened.
                    assert!(keys.get_or_create(|| panic!("it is fresh")).contains(&2));
                });
            }
        });
        assert_eq!(runs.count(), 1);
    });
}

/// 15: a waiter that re-reads after waking and finds the value already stale again: it elects,
/// waits, re-reads, for ever.
#[test]
fn m15_a_waiter_takes_what_it_waited_for() {
    within(|| {
        for accept in [Accept::Stale, Accept::Fresh] {
            let (clock, builder) = manual(NANO);
            let pile = builder.stale_while_revalidate(Duration::ZERO).build();
            let runs = Runs::default();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    for _ in 0..8 {
                        let (pile, runs) = (&pile, &runs);
                        threads.spawn(move || {
                            let call = pile.call().accept(accept);
                            assert_eq!(*call.get_or_create(|| runs.run(|| 2)).unwrap(), 1);
                        });
                    }
                    until(|| pile.waiters() == 8);
                    1
                }));
                clock.advance(MINUTE);
            });
            assert_eq!(runs.count(), 0);
        }
    });
}

/// The same numbers again, for async callers.
#[cfg(feature = "async")]
mod asynchronous {
    use std::future::pending;
    use std::sync::Arc;
    use std::task::Poll;

    use super::*;
    use crate::tasks::{Alarm, block_on, poll, poll_by, steps};
    use dogpile::Refused;
    use dogpile::executor::{Executor, Job, Thread};

    /// 5: a creator that panics, in the call or in a poll, leaves its waiters neither waiting nor
    /// with a value that is not there.
    #[test]
    fn m05_a_panic_leaves_no_task_behind() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let mut leader = Box::pin(pile.get_or_create_async(|| async {
                steps(1).await;
                burst()
            }));
            assert!(poll(leader.as_mut()).is_pending());
            let mut waiters = [(); 5].map(|()| {
                let create = || async { String::from("x") };
                Box::pin(pile.get_or_create_async(create))
            });
            assert!(waiters.iter_mut().all(|w| poll(w.as_mut()).is_pending()));
            assert!(bursts(|| poll(leader)));
            for waiter in waiters {
                assert_eq!(*block_on(waiter), "x");
            }
            assert_eq!((pile.waiters(), pile.is_creating()), (0, false));
        });
    }

    /// 6: a waiter dropped before the end takes the wake-up with it, or is woken after it is gone.
    #[test]
    fn m06_a_dropped_waiter_takes_nothing_along() {
        within(|| {
            for who in 0..5 {
                let pile = Dogpile::new(MINUTE);
                let mut leader = Box::pin(pile.get_or_create_async(|| async {
                    steps(1).await;
                    1
                }));
                assert!(poll(leader.as_mut()).is_pending());
                let mut waiters: Vec<_> = (0..5)
                    .map(|_| (Alarm::new(), Box::pin(pile.get_or_create_async(pending))))
                    .collect();
                for ((_, waker), waiter) in &mut waiters {
                    assert!(poll_by(waker, waiter.as_mut()).is_pending());
                }
                let ((dropped, waker), waiter) = waiters.remove(who);
                drop((waker, waiter));
                assert_eq!(Arc::strong_count(&dropped), 1, "would be woken yet");
                assert!(poll(leader).is_ready());
                assert_eq!(dropped.rings(), 0);
                for ((alarm, _), waiter) in waiters {
                    assert_eq!(alarm.rings(), 1);
                    assert!(matches!(poll(waiter), Poll::Ready(value) if *value == 1));
                }
            }
        });
    }

    /// 7: callers whose deadline is shorter than the creation, each dropped after a few polls: in
    /// the background it is begun once, and ends.
    #[test]
    fn m07_hasty_tasks_do_not_restart_the_creation() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let runs = Arc::new(Runs::default());
            let end = Arc::new(Barrier::new(2));
            let caller = || {
                let (runs, end) = (Arc::clone(&runs), Arc::clone(&end));
                pile.background(&Thread).get_or_create_async(|| async move {
                    runs.run(|| end.wait());
                    1
                })
            };
            for _ in 0..10 {
                let mut hasty = Box::pin(caller());
                for _ in 0..3 {
                    assert!(poll(hasty.as_mut()).is_pending());
                }
            }
            end.wait();
            assert_eq!(*block_on(caller()).unwrap(), 1);
            assert_eq!(runs.count(), 1);
        });
    }

    /// 9: a flag "somebody is fetching" that a cancelled future leaves set, or an early return.
    #[test]
    fn m09_no_flag_stays_set_by_a_dropped_task() {
        async fn early(polls: usize) -> Result<u32, &'static str> {
            steps(polls).await;
            if polls < 10 {
                return Err("early");
            }
            Ok(7)
        }
        within(|| {
            for held in [None, Some(0)] {
                let pile = Dogpile::new(MINUTE);
                if let Some(value) = held {
                    pile.set(value);
                    pile.expire();
                }
                for polls in 1..=10 {
                    let mut caller = Box::pin(pile.get_or_try_create_async(|| early(20)));
                    for _ in 0..polls {
                        assert!(poll(caller.as_mut()).is_pending());
                    }
                    assert!(pile.is_creating());
                    drop(caller);
                    assert!(!pile.is_creating());
                    let caller = pile.get_or_try_create_async(|| early(polls - 1));
                    assert_eq!(block_on(caller).unwrap_err().created(), Some(&"early"));
                    assert!(!pile.is_creating());
                }
                let guard = block_on(pile.get_or_try_create_async(|| early(10))).unwrap();
                assert_eq!((*guard, guard.origin()), (7, Origin::CreatedHere));
            }
        });
    }

    /// 13: the background refresh inherits the caller's cancellation or deadline and never gives
    /// the lease back.
    #[test]
    fn m13_a_background_creation_is_nobodys_but_its_own() {
        /// Runs a job on a thread, or drops it there in the middle.
        struct Drops;
        impl Executor for Drops {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                let mut job = Box::pin(job);
                assert!(poll(job.as_mut()).is_pending());
                Ok(())
            }
        }
        within(|| {
            let pile = Arc::new(Dogpile::with_value(MINUTE, 0));
            pile.expire();
            // The caller finds it stale and is gone before the creation has begun ...
            let start = Arc::new(Barrier::new(2));
            let wait = Arc::clone(&start);
            let call = pile.background(&Thread).wait(Duration::ZERO);
            let stale = call.get_or_create(move || {
                wait.wait();
                1
            });
            assert_eq!(stale.unwrap().origin(), Origin::Stale);
            assert!(pile.is_creating());
            start.wait();
            until(|| pile.is_fresh());
            assert_eq!(*pile.peek().unwrap(), 1);
            // ... and a creation that its executor drops gives the lease back.
            pile.invalidate();
            for _ in 0..2 {
                let answer = pile.background(&Drops).get_or_create_async(pending);
                assert!(matches!(block_on(answer), Err(dogpile::Error::GivenUp)));
                assert!(!pile.is_creating());
            }
        });
    }

    /// 25: a rate limit that a disconnecting first caller arms for everybody. Whatever that one's
    /// creator had said by then: it was not heard out.
    #[test]
    fn m25_who_leaves_arms_nothing() {
        within(|| {
            let (clock, builder) = manual::<u32>(MINUTE);
            let builder = builder.stale_while_revalidate(MINUTE);
            let pile = builder
                .min_interval(MINUTE)
                .backoff(Backoff::constant(MINUTE))
                .build();
            let leave = || {
                let mut caller = Box::pin(pile.get_or_try_create_with_async(async |creating| {
                    creating.retry_after(MINUTE);
                    creating.no_fallback();
                    pending::<Result<Created<u32>, &str>>().await
                }));
                assert!(poll(caller.as_mut()).is_pending());
                assert!(pile.is_creating());
            };
            for _ in 0..3 {
                leave();
            }
            assert_eq!(pile.retry_in(), None);
            let value = block_on(pile.get_or_try_create_async(async || Ok::<_, &str>(7)));
            assert_eq!(*value.unwrap(), 7);
            // With something to go on with, those who leave do not hammer the source either.
            clock.advance(MINUTE + SECOND);
            leave();
            let held = block_on(pile.get_or_try_create_async(async || Err("it is spared")));
            assert_eq!(held.unwrap().origin(), Origin::Stale);
            // And that is over as soon as there is not.
            pile.invalidate();
            let value = block_on(pile.get_or_try_create_async(async || Ok::<_, &str>(8)));
            assert_eq!(*value.unwrap(), 8);
        });
    }
}

/// Invalidations faster than a creation: whoever waited already is not served one per creation.
#[test]
fn m16_callers_are_served_one_per_creation() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        let runs = Runs::default();
        thread::scope(|threads| {
            drop(pile.get_or_create(|| {
                for _ in 0..8 {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| runs.run(|| 2));
                        assert_eq!((*guard, guard.origin()), (1, Origin::Superseded));
                    });
                }
                until(|| pile.waiters() == 8);
                for _ in 0..5 {
                    pile.invalidate();
                }
                1
            }));
        });
        assert_eq!(runs.count(), 0);
    });
}

#[test]
fn m17_a_panic_on_bad_data_is_run_again_by_every_waiter() {
    within(|| {
        let pile = Dogpile::<u32>::new(MINUTE);
        let runs = Runs::default();
        let create = || -> Result<u32, ()> { runs.run(|| burst()) };
        thread::scope(|threads| {
            let mut waiters = Vec::new();
            assert!(bursts(|| {
                drop(pile.get_or_try_create(|| {
                    for _ in 0..16 {
                        waiters.push(threads.spawn(|| pile.get_or_try_create(create).map(|v| *v)));
                    }
                    until(|| pile.waiters() == 16);
                    create()
                }));
            }));
            for waiter in waiters {
                assert!(waiter.join().unwrap().unwrap_err().is_panicked());
            }
        });
        assert_eq!(runs.count(), 1);
    });
}

/// One forged token, and the source is down. With policies, another forged one each minute.
#[test]
fn m19_an_expiry_that_a_caller_provokes_shortens_the_life_of_a_good_value() {
    for policies in [false, true] {
        let (clock, builder) = manual(MINUTE * 60);
        let builder = builder.stale_while_revalidate(MINUTE);
        let pile = if policies { all_on(builder) } else { builder }.build();
        pile.set(1);
        let seen = dogpile::Guard::seen(&pile.peek().unwrap());
        assert!(pile.expire_if(seen));
        for _ in 0..59 {
            if policies {
                assert!(!pile.expire_if(seen), "it is marked already");
                let held = pile.get_or_try_create(|| Err::<u32, _>("down"));
                assert_eq!(*held.unwrap(), 1);
            }
            clock.advance(MINUTE);
        }
        let answer = pile.get_or_try_create(|| Err::<u32, _>("down"));
        assert_eq!(answer.is_ok(), policies);
        drop(answer);
        assert_eq!(*pile.peek().unwrap(), 1);
        clock.advance(MINUTE * 2 + NANO);
        assert!(pile.peek().is_none());
    }
}

/// Every policy that there is, none of which may undo what a test shows.
fn all_on<T>(builder: Builder<T>) -> Builder<T> {
    builder
        .stale_if_error(2 * MINUTE)
        .backoff(Backoff::constant(SECOND))
        .min_interval(SECOND)
        .refresh_ahead(RefreshAhead::percent(50))
}

/// "Unchanged", said by a throttle that did not ask, with the true age.
#[test]
fn m20_renewed_as_unchanged_a_value_lives_for_ever() {
    for policies in [false, true] {
        let (clock, builder) = manual(MINUTE);
        let builder = builder.stale_while_revalidate(MINUTE);
        let pile = if policies { all_on(builder) } else { builder }.build();
        pile.set(1);
        let mut served = 0;
        for _ in 0..300 {
            clock.advance(SECOND);
            let answer = pile
                .call()
                .accept(Accept::New)
                .get_or_try_create_with(|creating| {
                    let previous = creating.previous().filter(|previous| {
                        let freshness = dogpile::Previous::freshness(previous);
                        !matches!(freshness, Freshness::Fallback | Freshness::Gone)
                    });
                    let previous = previous.ok_or("down")?;
                    let age = dogpile::Previous::age(&previous);
                    Ok::<_, &str>(Created::unchanged(previous).age(age).hold(SECOND))
                });
            served += u32::from(answer.is_ok());
        }
        assert_eq!(served, 120);
        assert!(pile.peek().is_none());
        assert!(pile.get_or_try_create(|| Err::<u32, _>("down")).is_err());
    }
}

#[test]
fn m21_a_shared_error_loses_its_cause_for_all_but_one() {
    use std::io::{Error as IoError, ErrorKind};
    let create = || -> anyhow::Result<u32> {
        let denied = IoError::new(ErrorKind::PermissionDenied, "no");
        Err(anyhow::Error::new(denied).context("fetching keys"))
    };
    let kind = |error: dogpile::Error<anyhow::Error>| {
        let error = anyhow::Error::from_boxed(error.into_boxed());
        assert_eq!(error.to_string(), "fetching keys");
        let mut chain = error.chain();
        chain.find_map(|cause| cause.downcast_ref::<IoError>().map(IoError::kind))
    };
    within(move || {
        let pile = Dogpile::<u32>::new(MINUTE);
        thread::scope(|threads| {
            let mut all = Vec::new();
            let first = pile.get_or_try_create(|| {
                for _ in 0..3 {
                    all.push(threads.spawn(|| pile.get_or_try_create(create).map(drop)));
                }
                until(|| pile.waiters() == 3);
                create()
            });
            assert_eq!(
                kind(first.map(drop).unwrap_err()),
                Some(ErrorKind::PermissionDenied)
            );
            for waiter in all {
                let error = waiter.join().unwrap().unwrap_err();
                assert_eq!(kind(error), Some(ErrorKind::PermissionDenied));
            }
        });
    });
}

/// Four callers ask for a page that was there and is not any more. A source that is down is another
/// matter.
#[test]
fn m24_a_404_is_papered_over_by_the_old_value() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = all_on(builder.stale_while_revalidate(SECOND)).build();
        let ask = |status: u32, waiting| {
            let answer = pile.get_or_try_create_with(|creating| {
                until(|| pile.waiters() == waiting);
                if status == 404 {
                    creating.no_fallback();
                }
                Err::<Created<u32>, _>(status)
            });
            answer.map(|page| *page)
        };
        pile.set(200);
        clock.advance(2 * MINUTE);
        assert_eq!(ask(503, 0).unwrap(), 200);
        clock.advance(SECOND);
        thread::scope(|threads| {
            let callers: Vec<_> = (0..4).map(|_| threads.spawn(|| ask(404, 3))).collect();
            for caller in callers {
                assert_eq!(caller.join().unwrap().unwrap_err().created(), Some(&404));
            }
        });
        // Not by the back-off either, nor once the source is down.
        assert!(ask(503, 0).unwrap_err().is_backing_off());
        clock.advance(SECOND);
        assert_eq!(ask(503, 0).unwrap_err().created(), Some(&503));
    });
}
