//! The younger promises, each for every form of a call.
//!
//! ```breakages
//! a-value-that-is-lent-is-of-no-pile | src/raw/change.rs | a_value_of_another_pile_is_noticed_however_it_came
//! @ fn lend
//! - node.belongs_to(pile);
//!
//! what-is-not-kept-is-of-no-pile | src/raw/end.rs | a_value_of_another_pile_is_noticed_however_it_came
//! - node.belongs_to(pile);
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Executor, Job, Thread};
use dogpile::{
    Accept, Acquired, Attempt, Created, Dogpile, Error, Guard, Lookup, Origin, Outcome, Previous,
    Refused, Seen, SyncReaderDogpile,
};
use futures::executor::block_on;

use crate::support::{MINUTE, NANO, manual, until, within};

/// An executor that is full.
struct Full;

impl Executor for Full {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        drop(job);
        Err(Refused::new("full"))
    }
}

fn is_refused<T, E>(answer: Result<T, Error<E>>) -> bool {
    answer.is_err_and(|error| error.is_refused())
}

mod refusal_serves_stale {
    use super::*;

    #[test]
    fn in_every_form_of_both_piles() {
        within(|| {
            let plain = Arc::new(Dogpile::new(MINUTE));
            let reader = Arc::new(SyncReaderDogpile::new(MINUTE));
            let ok = || Ok::<_, u8>(2);
            let found = || Ok::<_, u8>(Lookup::Here(1));
            let missing = || Ok::<_, u8>(Lookup::NeedRegeneration);
            // With nothing to go on with, it is the answer.
            assert!(is_refused(plain.background(&Full).get_or_try_create(ok)));
            assert!(is_refused(reader.background(&Full).get_or_try_create(ok)));
            assert!(is_refused(plain.background(&Full).acquire(ok, missing)));
            plain.set(1);
            reader.set(1);
            plain.expire();
            reader.expire();
            for _ in 0..2 {
                let call = plain.background(&Full);
                assert_eq!(*call.get_or_try_create(ok).unwrap(), 1);
                assert_eq!(*call.acquire(ok, found).unwrap(), 1);
                let task = call.get_or_try_create_async(|| async { Ok::<_, u8>(2) });
                assert_eq!(*block_on(task).unwrap(), 1);
                let call = reader.background(&Full);
                assert_eq!(*call.get_or_try_create(ok).unwrap(), 1);
                assert_eq!(*call.acquire(ok, found).unwrap(), 1);
                let task = call.acquire_async(|| async { Ok(2) }, || async { found() });
                assert_eq!(*block_on(task).unwrap(), 1);
                assert!(!plain.is_creating() && !reader.is_creating());
            }
            // Whoever asks for more is told.
            let fresh = plain.background(&Full).accept(Accept::Fresh);
            assert!(is_refused(fresh.get_or_try_create(ok)));
            assert!(is_refused(plain.background(&Full).renew(ok).map(drop)));
        });
    }
}

mod store_down {
    use super::*;

    fn down() -> Result<Lookup<u32>, u8> {
        Ok(Lookup::Unreachable)
    }

    #[test]
    fn the_kept_value_serves_and_the_origin_is_asked_once_when_it_is_due() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.build());
            let asked = AtomicUsize::new(0);
            let create = || {
                let number = asked.fetch_add(1, Ordering::SeqCst) as u32;
                Ok::<_, u8>(number)
            };
            // With nothing kept there is nothing to go by.
            assert_eq!(*pile.acquire(create, down).unwrap(), 0);
            for _ in 0..10 {
                let answer = pile.acquire(create, down).unwrap();
                assert_eq!((*answer, Acquired::origin(&answer)), (0, Origin::Fresh));
                let task = pile.acquire_async(|| async { create() }, || async { down() });
                assert_eq!(*block_on(task).unwrap(), 0);
                let fresh = pile.call().accept(Accept::Fresh).acquire(create, down);
                assert_eq!(*fresh.unwrap(), 0);
                let job = pile.background(&Full).acquire(|| Ok(9), down);
                assert_eq!(*job.unwrap(), 0);
            }
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            clock.advance(MINUTE + NANO);
            // Stale: one asks, the others go on with the kept value.
            let answer = pile.acquire(
                || {
                    let other = pile.acquire(|| Err(1), down);
                    let other = other.map(|other| (*other, Acquired::origin(&other)));
                    assert!(matches!(other, Ok((0, Origin::Stale))));
                    create()
                },
                down,
            );
            assert_eq!(*answer.unwrap(), 1);
            assert_eq!(asked.load(Ordering::SeqCst), 2);
        });
    }

    /// Also where the store has told of a younger one since.
    #[test]
    fn the_kept_value_expires_like_any_other() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let acquire = |value, lookup| *pile.acquire(|| Ok::<_, u8>(value), || lookup).unwrap();
        assert_eq!(acquire(1, down()), 1);
        clock.advance(NANO * 10);
        assert_eq!(acquire(3, Ok(Lookup::Aged(2, NANO))), 2);
        assert_eq!(acquire(3, down()), 1);
        pile.expire();
        assert_eq!(acquire(3, down()), 3);
    }

    /// What is kept is judged as anything: by age, by what the call asks, by what was removed.
    #[test]
    fn the_kept_value_is_judged_like_any_other() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let builder = builder.stale_while_revalidate(MINUTE);
            let plain = Arc::new(builder.clone().build());
            let reader = Arc::new(builder.build_sync_reader());
            macro_rules! check {
                ($pile:expr) => {
                    let pile = $pile;
                    let create = |value: u32| move || Ok::<_, u8>(value);
                    let never = || -> Result<u32, u8> { panic!("the kept one will do") };
                    pile.set(1);
                    clock.advance(MINUTE + NANO);
                    // Stale, for a caller who takes no such value.
                    let fresh = pile.call().accept(Accept::Fresh);
                    assert_eq!(*fresh.acquire(create(2), down).unwrap(), 2);
                    let new = pile.call().accept(Accept::New);
                    assert_eq!(*new.acquire(create(3), down).unwrap(), 3);
                    let strict = pile.call().max_age(MINUTE * 2);
                    assert_eq!(*strict.acquire(never, down).unwrap(), 3);
                    // Stale, in the background: started, and served.
                    clock.advance(MINUTE + NANO);
                    let stale = pile.background(&Full).acquire(create(4), down).unwrap();
                    assert_eq!((*stale, Acquired::origin(&stale)), (3, Origin::Stale));
                    drop(stale);
                    let job = pile.background(&Thread).acquire(create(4), down).unwrap();
                    assert_eq!((*job, Acquired::origin(&job)), (3, Origin::Stale));
                    drop(job);
                    until(|| pile.is_fresh());
                    let look = || async { down() };
                    let task = pile.acquire_async(|| async { never() }, look);
                    assert_eq!(*block_on(task).unwrap(), 4);
                    // Gone.
                    clock.advance(MINUTE * 2 + NANO);
                    let task = pile.acquire_async(|| async { create(5)() }, look);
                    assert_eq!(*block_on(task).unwrap(), 5);
                    // Removed: the store is not even asked.
                    pile.invalidate();
                    let no_look = || -> Result<Lookup<u32>, u8> { panic!("nothing is there") };
                    assert_eq!(*pile.acquire(create(6), no_look).unwrap(), 6);
                };
            }
            check!(&plain);
            check!(&reader);
        });
    }

    #[test]
    fn what_was_not_kept_is_created_anew() {
        let pile = Dogpile::builder(MINUTE).keep_last(false).build();
        assert_eq!(*pile.acquire(|| Ok(1), down).unwrap(), 1);
        assert_eq!(*pile.acquire(|| Ok(2), down).unwrap(), 2);
    }
}

mod declines {
    use super::*;

    #[test]
    fn those_who_wait_elect_anew_and_nobody_is_told_of_a_failure() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let missing = || Ok::<_, u8>(Lookup::NeedRegeneration);
            let Attempt::Lease(lease) = pile.call().attempt_acquire(missing).unwrap() else {
                panic!("nobody else creates")
            };
            let Attempt::Busy(busy) = pile.call().attempt_acquire(missing).unwrap() else {
                panic!("the lease is held")
            };
            thread::scope(|threads| {
                let waiter = threads.spawn(|| {
                    let answer = pile.acquire(|| Ok(2), missing).unwrap();
                    (*answer, Acquired::origin(&answer))
                });
                until(|| pile.waiters() == 2);
                // Somebody outside is at it.
                drop(lease);
                assert!(matches!(busy.wait(), Outcome::ElectAnew));
                assert_eq!(waiter.join().unwrap(), (2, Origin::CreatedHere));
            });
        });
    }

    #[test]
    fn an_attempt_looks_up_and_says_what_its_value_is() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let aged = |age| move || Ok::<_, u8>(Lookup::Aged(7, age));
        let hit = pile.call().attempt_acquire(aged(Duration::ZERO)).unwrap();
        assert!(matches!(hit, Attempt::Hit(value) if *value == 7));
        clock.advance(MINUTE + NANO);
        let stale = aged(MINUTE + NANO);
        let Attempt::Lease(lease) = pile.call().attempt_acquire(stale).unwrap() else {
            panic!("it is stale")
        };
        let Attempt::Busy(busy) = pile.call().attempt_acquire(stale).unwrap() else {
            panic!("it is being renewed")
        };
        assert_eq!(busy.into_stale().map(|value| *value).ok(), Some(7));
        let created = Created::new(8).ttl(NANO * 5).age(NANO);
        assert_eq!(*lease.publish(created).unwrap(), 8);
        assert_eq!(pile.age(), Some(NANO));
        let failing = pile.call().attempt_acquire(|| Err("lost"));
        assert!(matches!(failing, Err(Error::Get("lost"))));
        assert!(!pile.is_creating());
    }
}

mod what_i_saw {
    use super::*;

    #[test]
    fn a_value_is_set_only_over_the_one_seen() {
        let pile = Dogpile::new(MINUTE);
        assert_eq!(pile.set_if(None, 1), Ok(()));
        assert_eq!(pile.set_if(None, 2), Err(2));
        let first = Guard::seen(&pile.peek().unwrap());
        assert_eq!(pile.set_if(first, 3), Ok(()));
        assert_eq!(pile.set_if(first, 4), Err(4));
        assert!(!pile.expire_if(first) && !pile.invalidate_if(first));
        let second = Guard::seen(&pile.peek().unwrap());
        assert!(pile.invalidate_if(second));
        assert_eq!(pile.set_if(second, 5), Err(5));
        assert_eq!(pile.set_if(None, 6), Ok(()));
    }

    #[test]
    fn it_supersedes_a_creation_as_a_set_does() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let seen = Guard::seen(&pile.peek().unwrap());
        let mine = pile.refresh(|| {
            pile.set_if(seen, 2).unwrap();
            Ok::<_, u8>(3)
        });
        assert_eq!(Guard::origin(&mine.unwrap()), Origin::Superseded);
        assert_eq!(*pile.peek().unwrap(), 2);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_value_of_another_pile_is_noticed() {
        let one = Dogpile::with_value(MINUTE, 1);
        let other = Dogpile::with_value(MINUTE, 1);
        for body in [
            (|pile, seen| assert!(pile.expire_if(seen))) as fn(&Dogpile<u8>, dogpile::Seen),
            |pile, seen| assert!(pile.invalidate_if(seen)),
            |pile, seen| assert_eq!(pile.set_if(seen, 2), Ok(())),
            |pile, seen| {
                let call = pile.call().accept(Accept::NewerThan(seen));
                drop(call.get_or_create(|| 3));
            },
        ] {
            let seen = Guard::seen(&one.peek().unwrap());
            let burst = std::panic::catch_unwind(|| body(&other, seen)).unwrap_err();
            let text = burst.downcast_ref::<String>().map(String::as_str);
            let text = text.or(burst.downcast_ref::<&str>().copied());
            assert!(text.unwrap().contains("another pile"));
            body(&one, seen);
            one.set(1);
            assert!(!other.is_creating());
            assert_eq!(*other.peek().unwrap(), 1);
        }
    }
}

/// Whatever brought what was seen, and what is there instead.
#[test]
#[cfg(debug_assertions)]
fn a_value_of_another_pile_is_noticed_however_it_came() {
    let pile = || Dogpile::builder(MINUTE).stale_if_error(MINUTE).build();
    let given: [fn(&Dogpile<u8>) -> Seen; 5] = [
        |pile| Guard::seen(&pile.get_or_create(|| 1)),
        |pile| {
            let made = pile.get_or_try_create_with(|_| Ok::<_, u8>(Created::new(1).keep(false)));
            Guard::seen(&made.unwrap())
        },
        |pile| {
            let mut lent = None;
            drop(pile.get_or_try_create_with(|creating| {
                assert!(creating.lend(1));
                lent = pile.peek().map(|value| Guard::seen(&value));
                Err::<Created<u8>, _>(1)
            }));
            lent.unwrap()
        },
        |pile| {
            pile.set(1);
            pile.expire();
            let beside = pile.get_or_try_create(|| Err(1)).unwrap();
            assert!(Guard::failure(&beside).is_some());
            Guard::seen(&beside)
        },
        // Told of one that was set, and is not kept.
        |pile| {
            let lease = pile.attempt();
            thread::scope(|threads| {
                let waiter = threads.spawn(|| Guard::seen(&pile.get_or_create(|| unreachable!())));
                until(|| pile.waiters() == 1);
                pile.set_with(Created::new(1).keep(false));
                drop(lease);
                waiter.join().unwrap()
            })
        },
    ];
    let there: [fn(&Dogpile<u8>); 4] = [
        |pile| pile.set(1),
        |pile| pile.set_with(Created::new(1).keep(false)),
        |pile| {
            let made = pile.get_or_try_create_with(|_| Ok::<_, u8>(Created::new(1).keep(false)));
            drop(made.unwrap());
        },
        |pile| {
            let found = || Ok(Lookup::Aged(1, NANO));
            drop(pile.acquire(|| Err(1), found).unwrap());
        },
    ];
    for given in given {
        for there in there {
            let (one, other) = (pile(), pile());
            let seen = given(&one);
            there(&other);
            let burst = std::panic::catch_unwind(|| other.expire_if(seen));
            assert!(burst.is_err());
        }
    }
}

/// What an embedder has besides.
mod embedding {
    use super::*;

    #[test]
    fn a_creator_runs_under_a_lease_whose_end_is_the_holders() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let inner = lease.run(|creating| {
            assert_eq!(creating.fence(), lease.fence());
            pile.get_or_try_create(|| Ok::<_, u8>(1)).map(|v| *v)
        });
        assert!(inner.unwrap_err().is_reentrant());
        let inner = block_on(lease.run_async(|_| async {
            let inner = pile.get_or_try_create_async(|| async { Ok::<_, u8>(1) });
            inner.await.map(|v| *v)
        }));
        assert!(inner.unwrap_err().is_reentrant());
        // Nobody was told anything, and the lease is still held.
        assert!(pile.is_creating());
        drop(lease);
        assert_eq!(*pile.get_or_create(|| 2), 2);
    }

    #[test]
    fn a_creator_may_keep_its_value_to_its_caller() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            thread::scope(|threads| {
                let mine = pile.call().accept(Accept::New).get_or_try_create_with(|_| {
                    threads.spawn(|| {
                        let call = pile.call().accept(Accept::New);
                        assert_eq!(*call.get_or_create(|| 3).unwrap(), 3);
                    });
                    until(|| pile.waiters() == 1);
                    Ok::<_, u8>(Created::new(2).superseded())
                });
                let mine = mine.unwrap();
                assert_eq!((*mine, Guard::origin(&mine)), (2, Origin::Superseded));
            });
            assert_eq!(*pile.peek().unwrap(), 3);
        });
    }

    #[test]
    fn what_was_there_before_tells_its_times() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set_with(Created::new(1).ttl(MINUTE * 2));
        let seen = Guard::seen(&pile.peek().unwrap());
        clock.advance(MINUTE * 2 + NANO);
        let value = pile.get_or_try_create_with(|creating| {
            let previous = creating.previous().unwrap();
            assert_eq!(Previous::age(&previous), MINUTE * 2 + NANO);
            assert_eq!(Previous::ttl(&previous), MINUTE * 2);
            assert_eq!(Previous::freshness(&previous), dogpile::Freshness::Stale);
            assert_eq!(Previous::seen(&previous), seen);
            Ok::<_, u8>(Created::new(*Previous::into_owned(previous) + 1))
        });
        let value = value.unwrap();
        assert_eq!((*value, Guard::ttl(&value)), (2, MINUTE));
        assert_eq!(Guard::time_left(&value), MINUTE);
        clock.advance(MINUTE - NANO);
        assert_eq!(Guard::time_left(&pile.peek().unwrap()), NANO);
        pile.expire();
        assert_eq!(Guard::time_left(&pile.peek().unwrap()), Duration::ZERO);
    }
}
