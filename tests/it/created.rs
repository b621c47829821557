//! Creators that know more of their value than its content: how old it is, how long it lives, that
//! it is the old one still, that it is not to be kept.
//!
//! ```breakages
//! what-is-not-kept-is-never-expired | src/raw/end.rs | keep::not_kept_and_expired_while_it_was_made
//! - node.expire(ended.now);
//! ```

use std::thread;
use std::time::Duration;

use dogpile::{Accept, Created, Creating, Dogpile, Error, Guard, Origin, Owned, Tick};

use crate::support::{
    Census, Counted, HOUR, MINUTE, NANO, SECOND, burst, bursts, manual, until, within,
};
use crate::support::{Keeps as _, Shows as _};

#[derive(Debug, PartialEq)]
struct Down(u32);

type Made<T> = Result<Created<T>, Down>;

/// Has the value created, whether it is due or not.
fn renew<'a, T>(
    pile: &'a Dogpile<T>,
    create: impl FnOnce(Creating<'_, T>) -> Made<T>,
) -> Guard<'a, T> {
    let call = pile.call().accept(Accept::New);
    let guard = call.get_or_try_create_with(create).unwrap();
    assert_eq!(guard.origin(), Origin::CreatedHere);
    guard
}

fn unchanged<T>(creating: Creating<'_, T>) -> Made<T> {
    Ok(Created::unchanged(creating.previous().unwrap()))
}

#[test]
fn a_rich_creator_is_a_creator() {
    within(|| {
        let pile = Dogpile::<u32>::new(MINUTE);
        let answer = pile.get_or_try_create_with(|_| Err(Down(1)));
        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
        assert!(bursts(|| drop(
            pile.get_or_try_create_with(|_| -> Made<u32> { burst() })
        )));
        assert!(!pile.is_creating());
        thread::scope(|threads| {
            let mine = pile.get_or_try_create_with(|_| {
                let inner = pile.get_or_try_create_with(|_| Err(Down(3)));
                assert!(inner.unwrap_err().is_reentrant());
                threads.spawn(|| {
                    let guard = pile.get_or_try_create_with(|_| Err(Down(2))).unwrap();
                    assert_eq!((*guard, guard.origin()), (1, Origin::CreatedByAnother));
                });
                until(|| pile.waiters() == 1);
                Ok::<_, Down>(1.into())
            });
            assert_eq!(mine.unwrap().origin(), Origin::CreatedHere);
        });
        let hit = pile.get_or_try_create_with(|_| Err(Down(4))).unwrap();
        assert_eq!((*hit, hit.origin()), (1, Origin::Fresh));
    });
}

#[test]
fn error_reaches_everyone_once() {
    within(|| {
        let pile = Dogpile::<u32>::new(MINUTE);
        thread::scope(|threads| {
            let mine = pile.get_or_try_create_with(|_| {
                for _ in 0..5 {
                    threads.spawn(|| {
                        let answer =
                            pile.get_or_try_create_with(|_| -> Made<u32> { panic!("twice") });
                        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
                    });
                }
                until(|| pile.waiters() == 5);
                Err(Down(1))
            });
            assert!(matches!(mine, Err(Error::Create(_))));
        });
    });
}

mod ttl {
    use super::*;

    #[test]
    fn of_its_own() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        for (ttl, value) in [(HOUR, 1), (SECOND, 2)] {
            drop(renew(&pile, |_| Ok(Created::new(value).ttl(ttl))));
            clock.advance(ttl);
            assert!(pile.is_fresh());
            clock.advance(NANO);
            assert!(!pile.is_fresh());
        }
        // It was that value's, not the pile's.
        drop(renew(&pile, |_| Ok(3.into())));
        clock.advance(MINUTE);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.is_fresh());
    }

    #[test]
    fn of_zero_and_without_end() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set_with(Created::new(1).ttl(Duration::ZERO));
        assert!(pile.has_value() && !pile.is_fresh());
        pile.set_with(Created::new(2).ttl(Duration::MAX));
        clock.set(Tick::from_nanos(u64::MAX - 1));
        assert!(pile.is_fresh());
    }

    /// The limit for stale ones counts from the end of that time to live.
    #[test]
    fn and_stale_for_as_long_as_any() {
        let (clock, builder) = manual(HOUR);
        let pile = builder.stale_while_revalidate(SECOND).build();
        pile.set_with(Created::new(1).ttl(MINUTE));
        clock.advance(MINUTE + SECOND);
        assert!(pile.has_value() && !pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.has_value());
    }

    #[test]
    fn from_the_completion() {
        let (clock, builder) = manual(HOUR);
        let pile = builder.build();
        let guard = renew(&pile, |_| {
            clock.advance(HOUR * 5);
            Ok(Created::new(1).ttl(SECOND))
        });
        assert_eq!(guard.age(), Duration::ZERO);
        clock.advance(SECOND);
        assert!(pile.is_fresh());
    }

    #[test]
    fn seen_by_acquire_too() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set_with(Created::new(1).ttl(HOUR));
        clock.advance(HOUR);
        let found = pile.acquire(|| Err(Down(1)), || Ok(dogpile::Lookup::Here(7)));
        assert_eq!(found.unwrap().origin(), Origin::Fresh);
    }
}

mod age {
    use super::*;

    #[test]
    fn of_its_own() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let guard = renew(&pile, |_| Ok(Created::new(1).age(SECOND)));
        assert_eq!(guard.age(), SECOND);
        clock.advance(MINUTE - SECOND);
        assert!(pile.is_fresh());
        assert_eq!(pile.age(), Some(MINUTE));
        clock.advance(NANO);
        assert!(!pile.is_fresh());
    }

    #[test]
    fn beyond_the_ttl_it_is_stale_at_once() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(MINUTE).build();
        let guard = renew(&pile, |_| Ok(Created::new(1).age(MINUTE + NANO)));
        assert_eq!((*guard, guard.origin()), (1, Origin::CreatedHere));
        assert!(pile.has_value() && !pile.is_fresh());
        clock.advance(MINUTE - NANO);
        assert!(pile.has_value());
        clock.advance(NANO);
        assert!(!pile.has_value());
        // The next one creates.
        let next = pile
            .get_or_try_create_with(|_| Ok::<_, Down>(2.into()))
            .unwrap();
        assert_eq!((*next, next.origin()), (2, Origin::CreatedHere));
    }

    #[test]
    fn beyond_the_stale_limit_it_is_dead_and_yet_given_to_all_who_wait() {
        within(|| {
            let builder = Dogpile::builder(MINUTE).stale_while_revalidate(MINUTE);
            let pile = builder.build();
            thread::scope(|threads| {
                let mine = renew(&pile, |_| {
                    for _ in 0..3 {
                        threads.spawn(|| assert_eq!(*pile.get_or_create(|| 2), 1));
                    }
                    until(|| pile.waiters() == 3);
                    Ok(Created::new(1).age(HOUR))
                });
                assert_eq!((*mine, mine.age()), (1, HOUR));
            });
            assert!(!pile.has_value());
            assert_eq!(*pile.get_or_create(|| 3), 3);
        });
    }

    #[test]
    fn older_than_the_clock() {
        let (clock, builder) = manual(HOUR);
        clock.set(Tick::ZERO);
        let pile = builder.stale_while_revalidate(HOUR).build();
        pile.set_with(Created::new(1).age(MINUTE));
        assert!(pile.is_fresh());
        assert_eq!(pile.age(), Some(MINUTE));
        clock.advance(HOUR - MINUTE);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.is_fresh() && pile.has_value());
        clock.advance(HOUR);
        assert!(!pile.has_value());
        clock.set(Tick::ZERO);
        pile.set_with(Created::new(2).age(Duration::MAX));
        assert!(!pile.has_value());
        let pile = Dogpile::builder(HOUR).clock(clock).build();
        pile.set_with(Created::new(3).age(Duration::MAX));
        assert_eq!((pile.is_fresh(), pile.age()), (false, Some(Duration::MAX)));
    }

    #[test]
    fn counts_for_a_stricter_caller() {
        let pile = Dogpile::new(HOUR);
        pile.set_with(Created::new(1).age(MINUTE));
        let call = pile.call().max_age(SECOND);
        assert_eq!(*call.get_or_create(|| 2).unwrap(), 2);
    }
}

mod keep {
    use super::*;

    #[test]
    fn not_kept_it_goes_to_the_caller_and_to_those_who_wait() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                let mine = renew(&pile, |_| {
                    for _ in 0..3 {
                        threads.spawn(|| {
                            let guard = pile.get_or_create(|| 2);
                            assert_eq!((*guard, guard.origin()), (1, Origin::CreatedByAnother));
                        });
                    }
                    until(|| pile.waiters() == 3);
                    Ok(Created::new(1).keep(false))
                });
                assert_eq!(*mine, 1);
                assert!(pile.peek().is_none());
                assert!(
                    pile.has_value() && pile.is_fresh(),
                    "it is known, and kept elsewhere"
                );
            });
            let next = pile.get_or_create(|| 2);
            assert_eq!((*next, next.origin()), (2, Origin::CreatedHere));
            assert_eq!(*pile.peek().unwrap(), 2);
        });
    }

    #[test]
    fn not_kept_it_is_dropped_with_its_last_guard() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        let mine = renew(&pile, |_| Ok(Created::new(census.value(2)).keep(false)));
        // The one before is gone as well.
        assert_eq!((mine.number, census.live()), (2, 1));
        drop(mine);
        assert_eq!(census.live(), 0);
        drop(pile);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn not_kept_it_is_no_previous_value_and_nothing_to_change() {
        let mut pile = Dogpile::new(MINUTE);
        drop(renew(&pile, |_| Ok(Created::new(1).keep(false))));
        drop(renew(&pile, |creating| {
            assert!(creating.previous().is_none());
            Ok(Created::new(2).keep(false))
        }));
        assert!(pile.get_mut().is_none());
        assert!(pile.into_inner().is_none());
    }

    #[test]
    fn not_kept_while_another_waits_for_the_next() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(renew(&pile, |_| Ok(Created::new(1).keep(false))));
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| assert_eq!(*pile.get_or_create(|| 3), 2));
                    until(|| pile.waiters() == 1);
                    2
                }));
            });
        });
    }

    #[test]
    fn not_kept_and_expired_while_it_was_made() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let mine = renew(&pile, |_| {
            pile.expire();
            Ok(Created::new(1).keep(false))
        });
        assert_eq!(Guard::time_left(&mine), Duration::ZERO);
        clock.advance(SECOND);
        // The times that are kept are those of a value that is stale.
        let found = pile.acquire(|| Ok::<_, Down>(2), || Ok(dogpile::Lookup::Here(1)));
        assert_eq!(found.unwrap().origin(), Origin::CreatedHere);
        assert_eq!(*mine, 1);
    }

    #[test]
    fn set_and_not_kept() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.invalidate();
            thread::scope(|threads| {
                let mine = pile.get_or_try_create_with(|_| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| 9);
                        assert_eq!((*guard, guard.origin()), (5, Origin::CreatedByAnother));
                    });
                    until(|| pile.waiters() == 1);
                    pile.set_with(Created::new(5).keep(false));
                    Ok::<_, Down>(2.into())
                });
                let mine = mine.unwrap();
                assert_eq!((*mine, mine.origin()), (2, Origin::Superseded));
            });
            assert!(pile.peek().is_none());
        });
    }

    #[test]
    fn kept_after_all() {
        let pile = Dogpile::new(MINUTE);
        drop(renew(&pile, |_| Ok(Created::new(1).keep(false).keep(true))));
        assert_eq!(*pile.peek().unwrap(), 1);
    }
}

mod unchanged {
    use super::*;

    #[test]
    fn it_is_the_very_same_value_with_new_times() {
        let census = Census::default();
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set(census.value(1));
        let first = pile.peek().unwrap();
        for _ in 0..5 {
            clock.advance(MINUTE + NANO);
            let again = pile.get_or_try_create_with(unchanged).unwrap();
            assert_eq!(again.origin(), Origin::CreatedHere);
            assert_eq!(again.age(), Duration::ZERO);
            assert!(std::ptr::eq(&*first, &*again));
            assert!(pile.is_fresh());
        }
        // Each guard shows the age it was answered with.
        assert_eq!(first.age(), Duration::ZERO);
        assert_eq!(census.live(), 1);
        let owned = first.to_owned();
        drop(first);
        drop(pile);
        assert_eq!((owned.number, census.live()), (1, 1));
        drop(owned);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn dropped_once_and_soon() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        for _ in 0..3 {
            drop(renew(&pile, unchanged));
        }
        assert_eq!(census.live(), 1);
        pile.set(census.value(2));
        assert_eq!(census.live(), 1);
        drop(renew(&pile, unchanged));
        pile.invalidate();
        assert_eq!(census.live(), 0);
    }

    /// It hangs on the value itself and not on the one before, or a chain would grow, and dropping
    /// it would overflow the stack.
    #[test]
    fn any_number_of_times() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        for _ in 0..50_000 {
            drop(renew(&pile, unchanged));
        }
        drop(pile);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn with_a_ttl_and_an_age_of_its_own() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set_with(Created::new(1).ttl(HOUR));
        let again = renew(&pile, |creating| {
            Ok(Created::unchanged(creating.previous().unwrap())
                .ttl(SECOND * 3)
                .age(SECOND))
        });
        assert_eq!(again.age(), SECOND);
        clock.advance(SECOND * 2);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.is_fresh());
        // The value's own time to live stays with it.
        drop(renew(&pile, unchanged));
        assert_eq!(pile.age(), Some(Duration::ZERO));
        clock.advance(SECOND * 3);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.is_fresh());
    }

    /// The table in the documentation of `Created::unchanged`.
    #[test]
    fn its_instants_are_those_of_the_table() {
        type Answer = fn(Option<dogpile::Previous<u32>>) -> Created<u32>;
        let rows: [(Answer, Duration, Duration); 4] = [
            (|_| Created::new(2), Duration::ZERO, SECOND * 130),
            (
                |held| Created::unchanged(held.unwrap()),
                Duration::ZERO,
                SECOND * 130,
            ),
            (
                |held| Created::unchanged(held.unwrap()).ttl(SECOND * 10),
                Duration::ZERO,
                SECOND * 80,
            ),
            (
                |held| Created::unchanged(held.unwrap()).age(SECOND * 70),
                SECOND * 70,
                SECOND * 60,
            ),
        ];
        for (answer, age, fresh_until) in rows {
            let (clock, builder) = manual(MINUTE);
            let begin = dogpile::Clock::now(&*clock);
            let pile = builder.stale_while_revalidate(MINUTE).build();
            pile.set(1);
            clock.advance(SECOND * 70);
            let value = renew(&pile, |creating| Ok(answer(creating.previous())));
            assert_eq!(value.age(), age);
            // To the nanosecond: the last fresh instant, and the last of its stale limit.
            let at = |instant: Duration| clock.set(begin.saturating_add(instant));
            if fresh_until > SECOND * 70 {
                at(fresh_until);
                assert!(pile.is_fresh());
                at(fresh_until + NANO);
            }
            assert!(!pile.is_fresh() && pile.has_value());
            at(fresh_until + MINUTE);
            assert!(pile.has_value());
            at(fresh_until + MINUTE + NANO);
            assert!(!pile.has_value());
        }
    }

    /// Known mistake 20, in its other form: nothing that is called unchanged without a look lives on.
    #[test]
    fn by_its_true_age_it_never_outlives_its_end() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(MINUTE).build();
        pile.set(1);
        for _ in 0..100 {
            clock.advance(SECOND);
            drop(renew(&pile, |creating| {
                let previous = creating.previous().unwrap();
                let age = dogpile::Previous::age(&previous);
                Ok(Created::unchanged(previous).age(age))
            }));
        }
        assert_eq!(pile.age(), Some(SECOND * 100));
        clock.advance(SECOND * 20 + NANO);
        assert!(!pile.has_value());
    }

    #[test]
    fn of_an_expired_one_it_is_fresh() {
        let pile = Dogpile::with_value(MINUTE, 1);
        pile.expire();
        assert_eq!(*pile.get_or_try_create_with(unchanged).unwrap(), 1);
        assert!(pile.is_fresh());
        // Expired while it was asked for, it is not.
        drop(renew(&pile, |creating| {
            pile.expire();
            unchanged(creating)
        }));
        assert!(pile.has_value() && !pile.is_fresh());
    }

    /// It is newer than the one it repeats.
    #[test]
    fn what_i_saw() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let seen = pile.peek().unwrap();
        drop(renew(&pile, unchanged));
        assert!(!pile.expire_if(seen.seen()));
        assert!(!pile.invalidate_if(seen.seen()));
        let call = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
        let newer = call.get_or_try_create_with(|_| Err(Down(1))).unwrap();
        assert_eq!(newer.origin(), Origin::Fresh);
    }

    #[test]
    fn superseded_it_goes_to_its_own_caller() {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        pile.expire();
        let mine = pile.get_or_try_create_with(|creating| {
            let previous = creating.previous().unwrap();
            pile.invalidate();
            Ok::<_, Down>(Created::unchanged(previous))
        });
        let mine = mine.unwrap();
        assert_eq!((mine.number, mine.origin()), (1, Origin::Superseded));
        assert!(pile.peek().is_none());
        drop(mine);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn not_kept() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let mine = renew(&pile, |creating| {
            Ok(Created::unchanged(creating.previous().unwrap()).keep(false))
        });
        assert_eq!(*mine, 1);
        assert!(pile.peek().is_none());
    }

    #[test]
    fn changed_in_place_or_taken_out_if_nobody_shares_it() {
        let mut pile = Dogpile::with_value(MINUTE, 1);
        drop(renew(&pile, unchanged));
        drop(renew(&pile, unchanged));
        *pile.get_mut().unwrap() = 2;
        assert_eq!(*pile.peek().unwrap(), 2);
        let shared = pile.peek().unwrap().to_owned();
        drop(renew(&pile, unchanged));
        assert!(pile.get_mut().is_none());
        drop(shared);
        assert_eq!(pile.into_inner(), Some(2));
    }

    /// Any handle will do, wherever it is from.
    #[test]
    fn from_somewhere_else() {
        let census = Census::default();
        let other = Dogpile::with_value(MINUTE, census.value(1));
        let lent: Owned<Counted> = other.peek().unwrap().to_owned();
        let pile = Dogpile::new(MINUTE);
        let mine = pile.get_or_try_create_with(|creating| {
            assert!(creating.previous().is_none());
            Ok::<_, Down>(Created::unchanged(lent.clone()))
        });
        assert!(std::ptr::eq(&*mine.unwrap(), &*lent));
        drop((other, lent));
        assert_eq!((pile.peek().unwrap().number, census.live()), (1, 1));
        drop(pile);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn to_those_who_wait() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            pile.set(1);
            let previous = pile.peek().unwrap().to_owned();
            pile.invalidate();
            thread::scope(|threads| {
                drop(renew(&pile, |_| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| 2);
                        assert!(std::ptr::eq(&*guard, &*previous));
                    });
                    until(|| pile.waiters() == 1);
                    Ok(Created::unchanged(previous.clone()))
                }));
            });
        });
    }
}

mod creating {
    use super::*;

    #[test]
    fn the_previous_value_however_old() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(SECOND).build();
        let previous = |value| {
            let mut seen = None;
            drop(renew(&pile, |creating| {
                seen = creating.previous().map(|value| *value);
                Ok(Created::new(value))
            }));
            seen
        };
        assert_eq!(previous(1), None);
        assert_eq!(previous(2), Some(1));
        clock.advance(HOUR);
        assert_eq!(previous(3), Some(2));
        pile.expire();
        assert_eq!(previous(4), Some(3));
        pile.invalidate();
        assert_eq!(previous(5), None);
        pile.set(9);
        assert_eq!(previous(6), Some(9));
    }

    #[test]
    fn fences_rise() {
        let pile = Dogpile::new(MINUTE);
        let mut fences = Vec::new();
        for number in 0..5 {
            let answer = pile
                .call()
                .accept(Accept::New)
                .get_or_try_create_with(|creating| {
                    fences.push(creating.fence());
                    match number % 2 {
                        0 => Ok(Created::new(number)),
                        _ => Err(Down(number)),
                    }
                });
            drop(answer);
            match number {
                1 => pile.expire(),
                2 => pile.invalidate(),
                3 => pile.set(9),
                _ => (),
            }
        }
        assert!(
            fences.windows(2).all(|pair| pair[0] < pair[1]),
            "{fences:?}"
        );
    }

    #[test]
    fn whether_it_is_superseded() {
        for superseding in [
            |pile: &Dogpile<u32>| pile.set(5),
            |pile: &Dogpile<u32>| pile.invalidate(),
        ] {
            let pile = Dogpile::with_value(MINUTE, 1);
            pile.expire();
            let answer = pile.get_or_try_create_with(|creating| {
                pile.expire();
                assert!(!creating.is_superseded());
                superseding(&pile);
                assert!(creating.is_superseded());
                Ok::<_, Down>(2.into())
            });
            assert_eq!(answer.unwrap().origin(), Origin::Superseded);
        }
    }

    #[test]
    fn shown() {
        let pile = Dogpile::new(MINUTE);
        drop(renew(&pile, |creating| {
            assert!(format!("{creating:?}").contains("fence"));
            let created = Created::new(1).ttl(SECOND);
            let shown = format!("{created:?}");
            assert!(
                shown.contains("1s") && shown.contains("keep: None"),
                "{shown}"
            );
            Ok(created)
        }));
    }
}

mod set_with {
    use super::*;

    #[test]
    fn set_wins() {
        let pile = Dogpile::new(MINUTE);
        let mine = pile.get_or_try_create_with(|_| {
            pile.set_with(Created::new(5).age(SECOND));
            Ok::<_, Down>(1.into())
        });
        assert_eq!(mine.unwrap().origin(), Origin::Superseded);
        assert_eq!(*pile.peek().unwrap(), 5);
    }

    #[test]
    fn stale_while_somebody_creates_it_is_served() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| {
                pile.set_with(Created::new(5).age(HOUR));
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let guard = pile.get_or_create(|| 2);
                        assert_eq!((*guard, guard.origin()), (5, Origin::Stale));
                    });
                });
                1
            }));
        });
    }

    #[test]
    fn the_held_one_unchanged() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.set(1);
        let seen = pile.peek().unwrap();
        clock.advance(HOUR);
        pile.set_with(Created::unchanged(seen.to_owned()));
        assert!(pile.is_fresh());
        assert!(std::ptr::eq(&*pile.peek().unwrap(), &*seen));
    }
}
