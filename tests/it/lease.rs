//! The election for those who embed it: `attempt`, the lease, and the news that another has it.

#[cfg(feature = "async")]
use std::future::IntoFuture;
use std::mem;
#[cfg(feature = "async")]
use std::pin::pin;
use std::sync::{Arc, mpsc};
#[cfg(feature = "async")]
use std::task::Poll;
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Attempt, Backoff, Busy, Created, Dogpile, Error, Lease, Origin, Outcome};

use crate::support::Shows as _;
use crate::support::{Census, HOUR, MINUTE, NANO, SECOND, manual, until, within};
#[cfg(feature = "async")]
use crate::tasks::poll;

#[derive(Debug, PartialEq)]
struct Down(u32);

fn leased<T, L: std::fmt::Debug>(attempt: Attempt<'_, T, L>) -> L {
    match attempt {
        Attempt::Lease(lease) => lease,
        Attempt::Hit(_) => panic!("a hit"),
        Attempt::Busy(_) => panic!("busy"),
        _ => unreachable!(),
    }
}

fn busy<T>(attempt: Attempt<'_, T>) -> Busy<'_, T> {
    match attempt {
        Attempt::Busy(busy) => busy,
        Attempt::Hit(_) => panic!("a hit"),
        Attempt::Lease(_) => panic!("the lease"),
        _ => unreachable!(),
    }
}

fn hit(attempt: Attempt<'_, u32>) -> (u32, Origin) {
    match attempt {
        Attempt::Hit(guard) => (*guard, guard.origin()),
        other => panic!("{other:?}"),
    }
}

fn lease<T>(pile: &Dogpile<T>) -> Lease<'_, T> {
    leased(pile.attempt())
}

fn value(outcome: Outcome<dogpile::Guard<'_, u32>>) -> (u32, Origin) {
    match outcome {
        Outcome::Value(guard) => (*guard, guard.origin()),
        other => panic!("{other:?}"),
    }
}

/// A pile with a stale value.
fn stale_pile() -> Dogpile<u32> {
    let pile = Dogpile::with_value(MINUTE, 1);
    pile.expire();
    pile
}

mod attempt {
    use super::*;

    #[test]
    fn what_each_finds() {
        let pile = Dogpile::new(MINUTE);
        let first = lease(&pile);
        assert!(pile.is_creating());
        assert!(busy(pile.attempt()).into_stale().is_err());
        assert_eq!(*first.publish(1).unwrap(), 1);
        assert!(!pile.is_creating());
        assert_eq!(hit(pile.attempt()), (1, Origin::Fresh));
        pile.expire();
        let second = lease(&pile);
        let stale = busy(pile.attempt()).into_stale().unwrap();
        assert_eq!((*stale, stale.origin()), (1, Origin::Stale));
        drop(second.publish(2));
        assert_eq!(hit(pile.attempt()), (2, Origin::Fresh));
    }

    #[test]
    fn of_a_dead_value() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(SECOND).build();
        pile.set(1);
        clock.advance(MINUTE + SECOND);
        let renewal = lease(&pile);
        assert_eq!(*busy(pile.attempt()).into_stale().unwrap(), 1);
        clock.advance(NANO);
        assert!(busy(pile.attempt()).into_stale().is_err());
        drop(renewal);
    }

    /// With nothing here that could stand in.
    #[test]
    fn of_a_value_that_is_kept_elsewhere() {
        let (_clock, builder) = manual(MINUTE);
        let pile = builder
            .stale_while_revalidate(SECOND)
            .stale_if_error(HOUR)
            .backoff(Backoff::constant(MINUTE))
            .build();
        pile.set_with(Created::new(1).age(MINUTE + 2 * SECOND).keep(false));
        drop(lease(&pile).fail(Down(1)));
        let Attempt::NotYet(not_yet) = pile.attempt() else {
            panic!("it backs off");
        };
        assert!(not_yet.value.is_none() && not_yet.failure.is_some());
    }

    #[test]
    fn with_wishes_of_its_own() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let seen = pile.peek().unwrap();
        drop(leased(pile.call().max_age(Duration::ZERO).attempt()));
        drop(leased(
            pile.call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)))
                .attempt(),
        ));
        let renewal = leased(pile.call().accept(Accept::New).attempt());
        // It is fresh to those who ask for nothing else.
        assert_eq!(hit(pile.attempt()), (1, Origin::Fresh));
        assert_eq!(hit(pile.call().accept(Accept::Fresh).attempt()).0, 1);
        drop(renewal.publish(2));
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
        assert_eq!(hit(newer.attempt()), (2, Origin::Fresh));
        pile.expire();
        let renewal = lease(&pile);
        let strict = pile.call().accept(Accept::Fresh);
        assert!(busy(strict.attempt()).into_stale().is_err());
        assert!(busy(newer.attempt()).into_stale().is_err());
        drop(renewal);
    }

    #[test]
    fn what_each_shows() {
        let pile = stale_pile();
        let renewal = pile.attempt();
        assert!(format!("{renewal:?}").contains("fence"));
        let waiting = pile.attempt();
        assert!(format!("{waiting:?}").contains("stale: true"));
        drop(renewal);
        pile.set(2);
        assert_eq!(format!("{:?}", pile.attempt()), "Hit");
    }
}

mod publish {
    use super::*;

    #[test]
    fn with_all_that_a_creator_may_say() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = builder.build();
        let owned = lease(&pile).publish(Created::new(1).ttl(HOUR).age(SECOND));
        assert_eq!(*owned.unwrap(), 1);
        assert_eq!(pile.age(), Some(SECOND));
        clock.advance(HOUR - SECOND);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        let owned = lease(&pile).publish(Created::new(2).keep(false));
        assert_eq!(*owned.unwrap(), 2);
        assert!(pile.peek().is_none());
    }

    #[test]
    fn its_time_counts_from_there() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let creation = lease(&pile);
        clock.advance(HOUR);
        drop(creation.publish(1));
        assert_eq!(pile.age(), Some(Duration::ZERO));
    }

    #[test]
    fn the_previous_one_unchanged() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        for _ in 0..3 {
            pile.expire();
            let before = pile.peek().unwrap();
            let renewal = lease(&pile);
            let previous = renewal.previous().unwrap();
            let after = renewal.publish(Created::unchanged(previous)).unwrap();
            assert!(std::ptr::eq(&*before, &*after));
            assert!(pile.is_fresh());
        }
        assert_eq!(census.live(), 1);
        drop(pile);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn superseded_it_gives_the_value_back() {
        let census = Census::default();
        for superseding in [
            |pile: &Dogpile<_>, _: &Census| pile.invalidate(),
            |pile: &Dogpile<_>, census: &Census| pile.set(census.value(2)),
        ] {
            let pile = Dogpile::new(MINUTE);
            let late = lease(&pile);
            assert!(!late.is_superseded());
            superseding(&pile, &census);
            assert!(late.is_superseded());
            let error = late.publish(census.value(7)).unwrap_err();
            assert!(error.to_string().contains("superseded"));
            assert!(format!("{error:?}").contains("Superseded"));
            assert!(!pile.is_creating());
            let given_back = error.into_inner().unwrap();
            assert_eq!(given_back.number, 7);
            drop(given_back);
            assert!(pile.peek().is_none_or(|guard| guard.number == 2));
            drop(pile);
            assert_eq!(census.live(), 0);
        }
    }

    #[test]
    fn superseded_and_unchanged_or_not_kept() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        let seen = pile.peek().unwrap();
        pile.expire();
        let late = lease(&pile);
        let previous = late.previous().unwrap();
        pile.invalidate();
        let error = late.publish(Created::unchanged(previous)).unwrap_err();
        // Somebody else looks at it.
        assert!(error.into_inner().is_none());
        assert_eq!((seen.number, census.live()), (1, 1));
        drop(seen);
        assert_eq!(census.live(), 0);

        let late = lease(&pile);
        pile.invalidate();
        let error = late.publish(Created::new(census.value(3)).keep(false));
        assert_eq!(error.unwrap_err().into_inner().unwrap().number, 3);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn expired_meanwhile_it_is_stale() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        pile.expire();
        assert!(!creation.is_superseded());
        assert!(creation.publish(1).is_ok());
        assert!(pile.has_value() && !pile.is_fresh());
    }

    #[test]
    fn fences_rise() {
        let pile = Dogpile::new(MINUTE);
        let mut last = 0;
        for number in 0..6 {
            let next = leased(pile.call().accept(Accept::New).attempt());
            assert!(next.fence() > last);
            last = next.fence();
            match number % 3 {
                0 => drop(next.publish(1)),
                1 => drop(next.fail(Down(1))),
                _ => drop(next),
            }
        }
    }
}

mod fail {
    use super::*;

    #[test]
    fn everybody_who_waits_gets_the_error() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let creation = lease(&pile);
            thread::scope(|threads| {
                let fallible = threads.spawn(|| {
                    let answer = pile.get_or_try_create(|| -> Result<u32, Down> { panic!() });
                    answer.map(drop).unwrap_err()
                });
                let raw = threads.spawn(|| match busy(pile.attempt()).wait() {
                    Outcome::Failed(failure) => failure.downcast_ref() == Some(&Down(1)),
                    other => panic!("{other:?}"),
                });
                until(|| pile.waiters() == 2);
                let Error::Create(mine) = creation.fail(Down(1)) else {
                    panic!("it is the error of this caller")
                };
                assert_eq!(*mine, Down(1));
                let Error::Create(theirs) = fallible.join().unwrap() else {
                    panic!("the same type")
                };
                assert!(Arc::ptr_eq(&mine, &theirs));
                assert!(raw.join().unwrap());
            });
            assert!(!pile.is_creating() && !pile.has_value());
        });
    }

    #[test]
    fn superseded_it_tells_nobody_who_came_later() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            pile.invalidate();
            thread::scope(|threads| {
                threads.spawn(|| {
                    let guard = pile.get_or_try_create(|| Ok::<_, Down>(2)).unwrap();
                    assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
                });
                until(|| pile.waiters() == 1);
                let mine = creation.fail(Down(1));
                assert_eq!(mine.created(), Some(&Down(1)));
            });
        });
    }

    #[test]
    fn the_old_value_stays_and_the_next_tries() {
        let pile = stale_pile();
        drop(lease(&pile).fail(Down(1)));
        assert_eq!(*pile.peek().unwrap(), 1);
        drop(lease(&pile).fail(Down(2)));
        assert!(lease(&pile).publish(2).is_ok());
    }
}

mod given_up_is_free {
    use super::*;

    #[test]
    fn by_dropping_it() {
        let pile = stale_pile();
        for _ in 0..3 {
            drop(lease(&pile));
            assert!(!pile.is_creating());
        }
        assert_eq!(*pile.get_or_create(|| 2), 2);
    }

    #[test]
    fn the_first_to_come_takes_it() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            thread::scope(|threads| {
                let waiter = threads.spawn(|| *pile.get_or_create(|| 2));
                until(|| pile.waiters() == 1);
                drop(creation);
                assert_eq!(waiter.join().unwrap(), 2);
            });
        });
    }
}

/// A lease that nobody ends: those with a limit leave, those with a stale value go on.
mod kept_for_ever {
    use super::*;

    type Kept<'a> = Option<Lease<'a, u32>>;

    /// `keep` keeps it until the end of the test, or does not even that.
    fn bears(keep: for<'a> fn(Lease<'a, u32>) -> Kept<'a>) {
        within(move || {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let _kept = keep(lease(&pile));
            thread::scope(|threads| {
                let late = threads.spawn(|| {
                    let call = pile.call().wait(SECOND);
                    call.get_or_create(|| 2).map(drop).unwrap_err()
                });
                let raw = threads.spawn(|| busy(pile.attempt()).wait_for(SECOND * 2));
                until(|| pile.waiters() == 2);
                clock.advance(SECOND);
                let late = late.join().unwrap();
                assert!(matches!(late, Error::TimedOut { limit, .. } if limit == SECOND));
                // Its limit counts from `wait_for` on, which may come after it is counted as waiting.
                until(|| {
                    clock.advance(SECOND);
                    raw.is_finished()
                });
                assert!(matches!(raw.join().unwrap(), Outcome::TimedOut));
            });
            assert_eq!(pile.waiters(), 0);
            assert!(matches!(
                busy(pile.attempt()).wait_for(Duration::ZERO),
                Outcome::TimedOut
            ));
            // A value can still be set, and is served when it is stale.
            pile.set(5);
            assert_eq!(hit(pile.attempt()), (5, Origin::Fresh));
            clock.advance(HOUR);
            let guard = pile.get_or_create(|| 2);
            assert_eq!((*guard, guard.origin()), (5, Origin::Stale));
            assert_eq!(*busy(pile.attempt()).into_stale().unwrap(), 5);
        });
    }

    #[test]
    fn held() {
        bears(|lease| Some(lease));
    }

    #[test]
    fn forgotten() {
        bears(|lease| {
            mem::forget(lease);
            None
        });
    }

    /// The pile cannot know that it is the holder who asks.
    #[test]
    fn by_the_caller_itself() {
        let pile = Dogpile::new(MINUTE);
        let held = lease(&pile);
        let call = pile.call().wait(Duration::ZERO);
        assert!(call.get_or_create(|| 1).unwrap_err().is_timed_out());
        assert!(held.publish(2).is_ok());
    }
}

mod sent_to_another_thread {
    use super::*;

    /// Two wait here while the lease ends over there.
    fn ended_there(
        end: impl FnOnce(Lease<'_, u32>) + Send + 'static,
        got: fn(Result<u32, Error<Down>>) -> bool,
    ) {
        within(move || {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            thread::scope(|threads| {
                let waiters = [3, 3].map(|other| {
                    let pile = &pile;
                    threads.spawn(move || {
                        let answer = pile.get_or_try_create(|| Ok::<_, Down>(other));
                        answer.map(|guard| *guard)
                    })
                });
                until(|| pile.waiters() == 2);
                threads.spawn(move || end(creation));
                for waiter in waiters {
                    assert!(got(waiter.join().unwrap()));
                }
            });
            assert!(!pile.is_creating());
        });
    }

    #[test]
    fn published() {
        ended_there(|lease| drop(lease.publish(1)), |got| got.unwrap() == 1);
    }

    #[test]
    fn failed() {
        ended_there(
            |lease| drop(lease.fail(Down(1))),
            |got| got.unwrap_err().created() == Some(&Down(1)),
        );
    }

    #[test]
    fn dropped() {
        ended_there(|lease| drop(lease), |got| got.unwrap() == 3);
    }

    /// That thread is inside no creator, and neither is this one.
    #[test]
    fn whoever_holds_it_is_not_inside_a_creator() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            thread::scope(|threads| {
                threads.spawn(|| {
                    until(|| pile.waiters() == 1);
                    drop(creation.publish(1));
                });
                assert_eq!(*pile.get_or_create(|| 2), 1);
            });
        });
    }
}

mod owned {
    use super::*;

    #[test]
    fn it_goes_where_no_borrow_can() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let creation = leased(pile.attempt_owned());
            // Held by the lease as well.
            assert_eq!(Arc::strong_count(&pile), 2);
            let (go_on, goes_on) = mpsc::channel();
            let elsewhere = thread::spawn(move || {
                goes_on.recv().unwrap();
                creation.publish(1).is_ok()
            });
            thread::scope(|threads| {
                let waiter = threads.spawn(|| *pile.get_or_create(|| 2));
                until(|| pile.waiters() == 1);
                go_on.send(()).unwrap();
                assert_eq!(waiter.join().unwrap(), 1);
            });
            assert!(elsewhere.join().unwrap());
            assert_eq!(Arc::strong_count(&pile), 1);
        });
    }

    #[test]
    fn it_outlives_every_other_handle_of_the_pile() {
        let census = Census::default();
        let pile = Arc::new(Dogpile::new(MINUTE));
        let creation = leased(pile.attempt_owned());
        drop(pile);
        let owned = creation.publish(census.value(1)).unwrap();
        assert_eq!((owned.number, census.live()), (1, 1));
        drop(owned);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn dropped_it_is_given_up() {
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        for _ in 0..2 {
            let creation = leased(pile.attempt_owned());
            assert!(creation.previous().is_none() && creation.fence() > 0);
            assert!(pile.is_creating());
            thread::spawn(move || drop(creation)).join().unwrap();
            assert!(!pile.is_creating());
        }
        let creation = leased(pile.attempt_owned());
        pile.invalidate();
        assert!(creation.is_superseded());
        assert_eq!(creation.fail(Down(1)).created(), Some(&Down(1)));
        assert_eq!(Arc::strong_count(&pile), 1);
    }

    #[test]
    fn hits_and_busy_as_without() {
        let pile = Arc::new(Dogpile::with_value(MINUTE, 1));
        assert!(matches!(pile.attempt_owned(), Attempt::Hit(guard) if *guard == 1));
        pile.expire();
        let renewal = leased(pile.attempt_owned());
        match pile.attempt_owned() {
            Attempt::Busy(busy) => assert_eq!(*busy.into_stale().unwrap(), 1),
            other => panic!("{other:?}"),
        }
        drop(renewal);
    }
}

mod busy {
    use super::*;

    #[test]
    fn waits_for_the_value() {
        within(|| {
            for limit in [None, Some(HOUR)] {
                let pile = Dogpile::new(MINUTE);
                let creation = lease(&pile);
                thread::scope(|threads| {
                    let waiter = threads.spawn(|| {
                        let busy = busy(pile.attempt());
                        value(match limit {
                            None => busy.wait(),
                            Some(limit) => busy.wait_for(limit),
                        })
                    });
                    until(|| pile.waiters() == 1);
                    drop(creation.publish(1));
                    assert_eq!(waiter.join().unwrap(), (1, Origin::CreatedByAnother));
                });
            }
        });
    }

    /// It has its place among the waiters from the attempt on: what ends meanwhile is not missed.
    #[test]
    fn the_creation_may_be_over_before_it_waits() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        let early = busy(pile.attempt());
        assert_eq!(pile.waiters(), 1);
        drop(creation.publish(Created::new(1).keep(false)));
        assert_eq!(value(early.wait()), (1, Origin::CreatedByAnother));

        let creation = lease(&pile);
        let early = busy(pile.attempt());
        drop(creation.fail(Down(1)));
        assert!(matches!(early.wait_for(Duration::ZERO), Outcome::Failed(_)));
    }

    #[test]
    fn dropped_it_waits_no_more() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        drop(busy(pile.attempt()));
        assert_eq!(pile.waiters(), 0);
        drop(creation.publish(1));
    }

    #[test]
    fn elects_anew_after_a_creation_that_brought_nothing() {
        type End = fn(&Dogpile<u32>, Lease<'_, u32>);
        let ends: [End; 3] = [
            |_, lease| drop(lease),
            |_, lease| drop(lease.publish(1)),
            |_, lease| drop(lease.fail(Down(1))),
        ];
        for (number, end) in ends.into_iter().enumerate() {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            if number > 0 {
                pile.invalidate();
            }
            // It comes after the `invalidate`.
            let late = busy(pile.attempt());
            end(&pile, creation);
            assert!(matches!(late.wait(), Outcome::ElectAnew));
        }
    }

    #[test]
    fn gets_what_an_invalidate_superseded_if_it_came_before() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        let early = busy(pile.attempt());
        pile.invalidate();
        let late = busy(pile.attempt());
        assert_eq!(creation.publish(1).unwrap_err().into_inner(), None);
        assert_eq!(value(early.wait()), (1, Origin::Superseded));
        assert!(matches!(late.wait(), Outcome::ElectAnew));
        let creation = lease(&pile);
        let early = busy(pile.attempt());
        pile.invalidate();
        drop(creation.fail(Down(1)));
        assert!(matches!(early.wait(), Outcome::Failed(_)));
    }

    #[test]
    fn gets_what_is_set_meanwhile() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        let early = busy(pile.attempt());
        pile.set(5);
        assert_eq!(value(early.wait()), (5, Origin::CreatedByAnother));
        drop(creation);
    }

    /// Who was offered a stale value may wait all the same.
    #[test]
    fn with_a_stale_value_it_may_wait() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            pile.expire();
            let renewal = lease(&pile);
            let offered = busy(pile.attempt());
            assert_eq!(pile.waiters(), 0);
            thread::scope(|threads| {
                let waiter = threads.spawn(|| value(offered.wait()));
                let other = busy(pile.attempt());
                let impatient = threads.spawn(|| other.wait_for(SECOND));
                until(|| pile.waiters() == 2);
                clock.advance(SECOND);
                assert!(matches!(impatient.join().unwrap(), Outcome::TimedOut));
                drop(renewal.publish(2));
                assert_eq!(waiter.join().unwrap(), (2, Origin::CreatedByAnother));
            });
        });
    }

    /// So may a task: it is not answered with that value then.
    #[cfg(feature = "async")]
    #[test]
    fn with_a_stale_value_a_task_may_wait_too() {
        let pile = stale_pile();
        let renewal = lease(&pile);
        let mut waiter = pin!(busy(pile.attempt()).into_future());
        assert!(poll(waiter.as_mut()).is_pending());
        drop(renewal.publish(2));
        let Poll::Ready(outcome) = poll(waiter) else {
            panic!("it goes on waiting");
        };
        assert_eq!(value(outcome), (2, Origin::CreatedByAnother));
    }

    /// Who only waits takes the lease from nobody.
    #[test]
    fn waits_for_a_creation_that_is_overdue() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.max_create_time(SECOND).build();
        let creation = lease(&pile);
        let (early, impatient) = (busy(pile.attempt()), busy(pile.attempt()));
        clock.advance(HOUR);
        assert!(matches!(
            impatient.wait_for(Duration::ZERO),
            Outcome::TimedOut
        ));
        drop(creation.publish(1));
        assert_eq!(value(early.wait()), (1, Origin::CreatedByAnother));
    }

    #[test]
    fn with_a_stale_value_and_nothing_left_to_wait_for() {
        let pile = stale_pile();
        let renewal = lease(&pile);
        let offered = busy(pile.attempt());
        drop(renewal.publish(2));
        assert!(matches!(offered.wait(), Outcome::ElectAnew));
        assert_eq!(hit(pile.attempt()), (2, Origin::Fresh));
    }

    /// The limit counts from the wait, not from the attempt.
    #[test]
    fn its_limit_counts_from_the_wait() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let creation = lease(&pile);
            let early = busy(pile.attempt());
            clock.advance(HOUR);
            thread::scope(|threads| {
                let waiter = threads.spawn(|| value(early.wait_for(SECOND)));
                until(|| pile.waiters() == 1);
                drop(creation.publish(1));
                assert_eq!(waiter.join().unwrap().0, 1);
            });
        });
    }

    #[test]
    fn what_began_too_early_is_no_answer() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let renewal = leased(pile.call().accept(Accept::New).attempt());
        let strict = busy(pile.call().accept(Accept::New).attempt());
        drop(renewal.publish(2));
        assert!(matches!(strict.wait(), Outcome::ElectAnew));
        let renewal = leased(pile.call().accept(Accept::New).attempt());
        let strict = busy(pile.call().accept(Accept::New).attempt());
        drop(renewal.fail(Down(1)));
        assert!(matches!(strict.wait(), Outcome::ElectAnew));
    }

    #[test]
    fn inside_the_creator_it_does_not_wait() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                assert!(matches!(busy(pile.attempt()).wait(), Outcome::Reentrant));
                assert!(matches!(
                    busy(pile.attempt()).wait_for(SECOND),
                    Outcome::Reentrant
                ));
                1
            }));
            pile.expire();
            drop(pile.get_or_create(|| {
                let offered = busy(pile.attempt());
                assert!(matches!(offered.wait(), Outcome::Reentrant));
                assert_eq!(*busy(pile.attempt()).into_stale().unwrap(), 1);
                2
            }));
        });
    }

    #[test]
    fn sent_to_another_thread() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let creation = lease(&pile);
            let early = busy(pile.attempt());
            thread::scope(|threads| {
                let waiter = threads.spawn(move || value(early.wait()).0);
                drop(creation.publish(1));
                assert_eq!(waiter.join().unwrap(), 1);
            });
        });
    }
}

/// A creator of several piles is inside the creation of each.
#[test]
fn reentrancy_is_an_error_in_a_creator_of_several_piles() {
    within(|| {
        let piles = [Dogpile::new(MINUTE), Dogpile::new(MINUTE)];
        let leases = piles.each_ref().map(|pile: &Dogpile<u32>| {
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!("it is free");
            };
            lease
        });
        let nested = |pile: &Dogpile<u32>| {
            let call = pile.call().wait(Duration::ZERO);
            call.get_or_try_create(|| Ok::<_, Down>(1)).unwrap_err()
        };
        let both = [&leases[0], &leases[1]];
        let made = Lease::run_all(&both, || {
            assert!(piles.iter().all(|pile| nested(pile).is_reentrant()));
            7
        });
        // Not any more.
        assert!(piles.iter().all(|pile| nested(pile).is_timed_out()));
        for lease in leases {
            assert_eq!(*lease.publish(made).unwrap(), 7);
        }
    });
}
