//! The value kept elsewhere: `acquire`, with a store that is looked into, that loses things, that
//! tells ages, fails, panics and takes its time.
//!
//! ```breakages
//! error-of-get-counts-as-a-miss | src/call/acquire.rs | get_once
//! - self.plainly_fresh(&mut before, get().map_err(Error::Get)?)
//! + self.plainly_fresh(&mut before, get().unwrap_or(Lookup::NeedRegeneration))
//!
//! told-age-does-not-count | src/call/acquire.rs | age_from_store
//! - ..Times::new(now, age, policy.ttl)
//! + ..Times::new(now, age * 0, policy.ttl)
//!
//! told-age-is-not-noted | src/call/acquire.rs | age_from_store
//! - times.expired.is_none() && known.is_none_or(|known| age < known.age(now))
//! + false
//!
//! not-taken-for-just-created | src/call/acquire.rs | init
//! - (None, None) if settings.policy.init
//! + (None, None) if !settings.policy.init
//!
//! an-expire-of-what-was-removed-is-noted | src/raw/change.rs | no_resurrection_by_expire
//! @ fn expire
//! - && state.generation() == 0
//!
//! what-is-set-and-not-kept-has-no-number | src/raw/change.rs | what_i_saw_and_is_kept_elsewhere
//! - kept.number_as(number);
//!
//! what-was-removed-is-served-on | src/raw/change.rs | age_from_store::an_invalidate_meanwhile_is_not_forgotten
//! @ fn empty
//! - Self::loses_its_place(state);
//!
//! what-is-looked-up-and-due-is-renewed-by-nobody | src/call/acquire.rs | refresh_ahead_of_what_is_looked_up
//! - Freshness::Due if is_quiet => Origin::Fresh,
//! + Freshness::Due => Origin::Fresh,
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{
    Accept, Acquired, Attempt, Backoff, Created, Dogpile, Error, Lease, Lookup, ManualClock,
    Origin, ReadAttempt, RefreshAhead, Tick,
};

use crate::support::Shows as _;
use crate::support::{
    Census, HOUR, HookedClock, MINUTE, NANO, READINGS, Runs, SECOND, burst, bursts, hooked, manual,
    until, within,
};

#[derive(Debug, PartialEq)]
struct Down(u32);

type Looked = Result<Lookup<u32>, Down>;

/// A store with room for one value, which counts how often it is looked into.
#[derive(Default)]
struct Store {
    slot: Mutex<Option<u32>>,
    looks: AtomicUsize,
}

impl Store {
    fn put(&self, value: u32) -> Result<u32, Down> {
        *self.slot.lock().unwrap() = Some(value);
        Ok(value)
    }

    fn lose(&self) {
        *self.slot.lock().unwrap() = None;
    }

    fn get(&self) -> Looked {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok((*self.slot.lock().unwrap()).into())
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

fn here(value: u32) -> Looked {
    Ok(Lookup::Here(value))
}

fn aged(value: u32, age: Duration) -> Looked {
    Ok(Lookup::Aged(value, age))
}

fn missing() -> Looked {
    Ok(Lookup::NeedRegeneration)
}

/// A creator that must not run.
fn never() -> Result<u32, Down> {
    panic!("there is nothing to create")
}

/// A look-up that must not happen.
fn no_look() -> Looked {
    panic!("there is nothing to look for")
}

fn show(answer: Result<Acquired<'_, u32>, Error<Down>>) -> (u32, Origin) {
    let acquired = answer.unwrap();
    (*acquired, acquired.origin())
}

/// What a caller gets who finds this, and must create nothing.
fn find(pile: &Dogpile<u32>, looked: Looked) -> (u32, Origin) {
    show(pile.acquire(never, || looked))
}

/// Has one created, as if it were put into the store.
fn create(pile: &Dogpile<u32>, value: u32) {
    assert_eq!(
        show(pile.acquire(|| Ok(value), missing)),
        (value, Origin::CreatedHere)
    );
}

fn lease(pile: &Dogpile<u32>) -> Lease<'_, u32> {
    match pile.attempt() {
        Attempt::Lease(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// A pile whose store told of a value that is stale by now.
fn stale_pile() -> (Arc<ManualClock>, Dogpile<u32>) {
    let (clock, builder) = manual(MINUTE);
    let pile = builder.build();
    create(&pile, 1);
    clock.advance(MINUTE + NANO);
    (clock, pile)
}

mod get_once {
    use super::*;

    #[test]
    fn a_hit_looks_once_and_so_does_a_creation() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let store = Store::default();
        let call = |value| show(pile.acquire(|| store.put(value), || store.get()));
        assert_eq!(call(1), (1, Origin::CreatedHere));
        assert_eq!(store.looks(), 1);
        assert_eq!(call(2), (1, Origin::Fresh));
        assert_eq!(store.looks(), 2);
        clock.advance(MINUTE);
        assert_eq!(call(2), (1, Origin::Fresh));
        clock.advance(NANO);
        assert_eq!(call(2), (2, Origin::CreatedHere));
        assert_eq!(store.looks(), 4);
    }

    #[test]
    fn it_shows_what_the_store_holds_and_not_what_was_kept() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        assert_eq!(find(&pile, here(7)), (7, Origin::Fresh));
    }

    #[test]
    fn a_waiter_does_not_look_again() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let store = Store::default();
            thread::scope(|threads| {
                let answer = pile.acquire(
                    || {
                        for _ in 0..3 {
                            threads.spawn(|| {
                                let answer = show(pile.acquire(never, || store.get()));
                                assert_eq!(answer, (1, Origin::CreatedByAnother));
                            });
                        }
                        until(|| pile.waiters() == 3);
                        store.put(1)
                    },
                    || store.get(),
                );
                assert_eq!(show(answer), (1, Origin::CreatedHere));
            });
            assert_eq!(store.looks(), 4);
        });
    }

    /// Nor one whom the creation brought nothing: it creates.
    #[test]
    fn nor_does_one_who_elects_anew() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let store = Store::default();
            thread::scope(|threads| {
                bursts(|| {
                    let Attempt::Lease(lease) = pile.attempt() else {
                        panic!()
                    };
                    threads.spawn(|| {
                        let answer = show(pile.acquire(|| Ok(2), || store.get()));
                        assert_eq!(answer, (2, Origin::CreatedHere));
                    });
                    until(|| pile.waiters() == 1);
                    store.put(1).unwrap();
                    drop(lease);
                });
            });
            assert_eq!(store.looks(), 1);
        });
    }

    #[test]
    fn what_is_not_there_is_created_before_its_time() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        create(&pile, 2);
        assert!(pile.is_fresh());
    }

    /// And waited for, even while the pile keeps an old one.
    #[test]
    fn what_is_not_there_is_waited_for() {
        within(|| {
            let (_clock, pile) = stale_pile();
            let renewal = lease(&pile);
            thread::scope(|threads| {
                let late = threads.spawn(|| find(&pile, missing()));
                until(|| pile.waiters() == 1);
                drop(renewal.publish(2));
                assert_eq!(late.join().unwrap(), (2, Origin::CreatedByAnother));
            });
        });
    }

    /// Whoever calls finds nothing and creates, but never two at a time.
    #[test]
    fn a_store_that_keeps_nothing() {
        let pile = Dogpile::new(MINUTE);
        let store = Store::default();
        for value in 0..5 {
            let answer = pile.acquire(
                || {
                    let put = store.put(value);
                    store.lose();
                    put
                },
                || store.get(),
            );
            assert_eq!(show(answer), (value, Origin::CreatedHere));
        }
        assert_eq!(store.looks(), 5);
    }

    #[test]
    fn its_error_goes_to_its_own_caller_alone() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let fails = || pile.acquire(never, || Err(Down(7))).unwrap_err();
            assert!(matches!(fails(), Error::Get(Down(7))));
            assert!(!pile.is_creating());
            thread::scope(|threads| {
                drop(pile.acquire(
                    || {
                        threads.spawn(|| assert_eq!(find(&pile, missing()).0, 1));
                        until(|| pile.waiters() == 1);
                        assert!(matches!(fails(), Error::Get(Down(7))));
                        assert_eq!(pile.waiters(), 1);
                        Ok(1)
                    },
                    missing,
                ));
            });
            // However fresh, and however stale.
            assert!(matches!(fails(), Error::Get(Down(7))));
            pile.expire();
            assert!(matches!(fails(), Error::Get(Down(7))));
            assert!(!pile.is_creating());
            assert_eq!(*pile.peek().unwrap(), 1);
        });
    }

    #[test]
    fn its_error_says_what_it_is() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let error = pile.acquire(|| Ok(1), || "x".parse().map(Lookup::Here));
        let error = error.unwrap_err();
        assert!(error.created().is_none());
        assert!(std::error::Error::source(&error).is_some());
        assert!(error.to_string().contains("looking the value up"));
        assert!(format!("{error:?}").starts_with("Get("));
        let lost = || Err(Box::<dyn std::error::Error + Send + Sync>::from("lost"));
        let error = pile.acquire(|| Ok(1), lost).unwrap_err();
        assert_eq!(error.into_boxed().to_string(), "lost");
    }

    #[test]
    fn its_panic_holds_nothing() {
        let pile = Dogpile::new(MINUTE);
        for _ in 0..2 {
            assert!(bursts(|| drop(pile.acquire(never, || burst()))));
            assert!(!pile.is_creating());
        }
        create(&pile, 1);
        pile.expire();
        assert!(bursts(|| drop(pile.acquire(never, || burst()))));
        assert_eq!(
            show(pile.acquire(|| Ok(2), || here(1))),
            (2, Origin::CreatedHere)
        );
    }

    /// While one looks, others create, are served, and invalidate.
    #[test]
    fn a_slow_one_holds_nobody_up() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let (looking, looks) = mpsc::channel();
            let (go_on, goes_on) = mpsc::channel();
            thread::scope(|threads| {
                let slow = threads.spawn(|| {
                    show(pile.acquire(never, move || {
                        looking.send(()).unwrap();
                        goes_on.recv().unwrap();
                        missing()
                    }))
                });
                looks.recv().unwrap();
                create(&pile, 1);
                assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
                pile.expire();
                create(&pile, 2);
                pile.invalidate();
                assert_eq!(
                    show(pile.acquire(|| Ok(3), no_look)),
                    (3, Origin::CreatedHere)
                );
                go_on.send(()).unwrap();
                assert_eq!(slow.join().unwrap(), (3, Origin::CreatedByAnother));
            });
        });
    }

    #[test]
    fn an_option_is_a_look_up() {
        assert_eq!(Lookup::from(Some(1)), Lookup::Here(1));
        assert_eq!(Lookup::from(None::<u8>), Lookup::NeedRegeneration);
    }

    /// No lock is held while it looks: it may do with its pile whatever anybody may.
    mod and_from_inside_it {
        use super::*;

        #[test]
        fn invalidate() {
            let pile = Dogpile::new(MINUTE);
            create(&pile, 1);
            // The call began before: it may show what it found.
            let answer = pile.acquire(never, || {
                pile.invalidate();
                here(1)
            });
            assert_eq!(show(answer), (1, Origin::Fresh));
            let answer = pile.acquire(|| Ok(2), no_look);
            assert_eq!(show(answer), (2, Origin::CreatedHere));
        }

        #[test]
        fn set() {
            let pile = Dogpile::new(MINUTE);
            let answer = pile.acquire(never, || {
                pile.set(5);
                missing()
            });
            assert_eq!(show(answer), (5, Origin::CreatedByAnother));
        }

        #[test]
        fn expire() {
            let pile = Dogpile::new(MINUTE);
            create(&pile, 1);
            let answer = pile.acquire(
                || Ok(2),
                || {
                    pile.expire();
                    here(1)
                },
            );
            assert_eq!(show(answer), (2, Origin::CreatedHere));
            let answer = pile.acquire(
                || Ok(3),
                || {
                    pile.expire();
                    aged(2, HOUR)
                },
            );
            assert_eq!(show(answer), (3, Origin::CreatedHere));
        }

        #[test]
        fn acquire() {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            let inner = || pile.acquire(|| runs.run(|| Ok(1)), missing);
            let outer = pile.acquire(
                || runs.run(|| Ok(2)),
                || {
                    assert_eq!(show(inner()), (1, Origin::CreatedHere));
                    missing()
                },
            );
            assert_eq!(show(outer), (1, Origin::CreatedByAnother));
            assert_eq!(runs.count(), 1);
        }
    }

    mod and_from_inside_the_creator {
        use super::*;

        #[test]
        fn invalidate() {
            let pile = Dogpile::new(MINUTE);
            let answer = pile.acquire(
                || {
                    pile.invalidate();
                    Ok(1)
                },
                missing,
            );
            assert_eq!(show(answer), (1, Origin::Superseded));
            assert!(!pile.has_value());
        }

        #[test]
        fn set() {
            let pile = Dogpile::new(MINUTE);
            let answer = pile.acquire(
                || {
                    pile.set(5);
                    Ok(1)
                },
                missing,
            );
            assert_eq!(show(answer), (1, Origin::Superseded));
            assert_eq!(*pile.peek().unwrap(), 5);
        }

        #[test]
        fn expire() {
            let pile = Dogpile::new(MINUTE);
            let answer = pile.acquire(
                || {
                    pile.expire();
                    Ok(1)
                },
                missing,
            );
            assert_eq!(show(answer), (1, Origin::CreatedHere));
            assert!(pile.has_value() && !pile.is_fresh());
            let answer = pile.acquire(|| Ok(2), || here(1));
            assert_eq!(show(answer), (2, Origin::CreatedHere));
        }

        #[test]
        fn acquire_is_an_error() {
            within(|| {
                let pile = Dogpile::new(MINUTE);
                for look in [missing, || here(9)] {
                    let answer = pile.acquire(
                        || {
                            assert!(pile.acquire(never, look).unwrap_err().is_reentrant());
                            Err(Down(1))
                        },
                        missing,
                    );
                    assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
                }
            });
        }

        #[test]
        fn acquire_gets_what_is_stale_or_fresh() {
            within(|| {
                let (_clock, pile) = stale_pile();
                let answer = pile.acquire(
                    || {
                        assert_eq!(find(&pile, here(1)), (1, Origin::Stale));
                        assert_eq!(find(&pile, aged(2, SECOND)), (2, Origin::Fresh));
                        Ok(3)
                    },
                    || here(1),
                );
                assert_eq!(show(answer), (3, Origin::CreatedHere));
            });
        }
    }

    #[test]
    fn a_fresh_answer_holds_the_value_itself() {
        let census = Census::default();
        let pile = Dogpile::new(MINUTE);
        let made = pile.acquire(|| Ok::<_, Down>(census.value(1)), || Ok(None.into()));
        let found = pile.acquire(|| Err(Down(1)), || Ok(Lookup::Here(census.value(2))));
        let (made, found) = (made.unwrap(), found.unwrap());
        assert_eq!((made.number, found.number), (1, 2));
        assert_eq!(census.live(), 2);
        let found = Acquired::into_owned(found);
        let made = Acquired::into_owned(made);
        drop(pile);
        assert_eq!((made.number, found.number), (1, 2));
        drop((made, found));
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn an_answer_is_read_like_the_value() {
        let pile = Dogpile::new(MINUTE);
        let text = |text: &str| Ok::<_, Down>(String::from(text));
        let made = pile.acquire(|| text("made"), || Ok(Lookup::NeedRegeneration));
        let made = made.unwrap();
        let found = pile.acquire(|| text("x"), || text("found").map(Lookup::Here));
        let found = found.unwrap();
        assert_eq!((made.len(), found.len()), (4, 5));
        assert_eq!(format!("{made} {found:?}"), r#"made "found""#);
        let shown: [&String; 2] = [made.as_ref(), found.as_ref()];
        assert_eq!(shown, ["made", "found"]);
        assert_eq!(
            (Acquired::into_value(made), Acquired::into_value(found)),
            ("made".into(), "found".into())
        );
        assert_eq!(*pile.peek().unwrap(), "made");
    }
}

mod kept_for_the_late {
    use super::*;

    /// A look-up during which `meanwhile` happens.
    fn look_while(meanwhile: impl FnOnce(), found: Looked) -> Looked {
        meanwhile();
        found
    }

    #[test]
    fn who_missed_while_another_created() {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(never, || look_while(|| create(&pile, 1), missing()));
        assert_eq!(show(answer), (1, Origin::CreatedByAnother));
        // Also where there was one before.
        pile.expire();
        let answer = pile.acquire(never, || look_while(|| create(&pile, 2), missing()));
        assert_eq!(show(answer), (2, Origin::CreatedByAnother));
    }

    #[test]
    fn who_found_a_value_of_unknown_age() {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(never, || look_while(|| create(&pile, 1), here(9)));
        assert_eq!(show(answer), (1, Origin::CreatedByAnother));
    }

    #[test]
    fn who_found_a_dead_one() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(Duration::ZERO).build();
        create(&pile, 1);
        clock.advance(HOUR);
        let answer = pile.acquire(never, || look_while(|| create(&pile, 2), here(1)));
        assert_eq!(show(answer), (2, Origin::CreatedByAnother));
    }

    #[test]
    fn but_who_looked_after_that_creation_creates() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        create(&pile, 2);
    }

    /// It is as old as it is: by now it may be stale, and then whoever may creates.
    #[test]
    fn and_stale_by_now() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let late = |creator: fn() -> Result<u32, Down>, renewal: bool| {
            let mut held = None;
            show(pile.acquire(creator, || {
                create(&pile, 1);
                clock.advance(MINUTE + NANO);
                held = renewal.then(|| lease(&pile));
                missing()
            }))
        };
        assert_eq!(late(|| Ok(2), false), (2, Origin::CreatedHere));
        clock.advance(MINUTE + NANO);
        assert_eq!(late(never, true), (1, Origin::Stale));
    }

    #[test]
    fn but_not_what_was_invalidated() {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(
            || Ok(2),
            || {
                create(&pile, 1);
                pile.invalidate();
                missing()
            },
        );
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    #[test]
    fn nor_what_a_superseded_creation_made() {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(
            || Ok(2),
            || {
                let late = lease(&pile);
                pile.invalidate();
                drop(late.publish(1));
                missing()
            },
        );
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    /// The pile keeps it: a plain call is a hit.
    #[test]
    fn it_is_the_value_of_the_pile() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        assert_eq!(*pile.get_or_create(|| 2), 1);
    }

    mod switched_off {
        use super::*;

        #[test]
        fn the_late_create_again() {
            let pile = Dogpile::builder(MINUTE).keep_last(false).build();
            let answer = pile.acquire(|| Ok(2), || look_while(|| create(&pile, 1), missing()));
            assert_eq!(show(answer), (2, Origin::CreatedHere));
            assert!(pile.peek().is_none());
        }

        #[test]
        fn the_pile_holds_nothing_but_its_times() {
            let census = Census::default();
            let (clock, builder) = manual(MINUTE);
            let pile = builder.keep_last(false).build();
            let make = || Ok::<_, Down>(census.value(1));
            drop(pile.acquire(make, || Ok(Lookup::NeedRegeneration)));
            assert_eq!(census.live(), 0);
            clock.advance(MINUTE);
            let found = |census: &Census| Ok(Lookup::Here(census.value(2)));
            let answer = pile.acquire(make, || found(&census)).unwrap();
            assert_eq!((answer.number, answer.origin()), (2, Origin::Fresh));
            clock.advance(NANO);
            let answer = pile.acquire(make, || found(&census)).unwrap();
            assert_eq!((answer.number, answer.origin()), (1, Origin::CreatedHere));
        }

        #[test]
        fn those_who_wait_get_it() {
            within(|| {
                let pile = Dogpile::builder(MINUTE).keep_last(false).build();
                thread::scope(|threads| {
                    drop(pile.acquire(
                        || {
                            for _ in 0..3 {
                                threads.spawn(|| {
                                    let answer = find(&pile, missing());
                                    assert_eq!(answer, (1, Origin::CreatedByAnother));
                                });
                            }
                            until(|| pile.waiters() == 3);
                            Ok(1)
                        },
                        missing,
                    ));
                });
            });
        }

        /// Who holds a stale value goes on with that, once the pile knows of a newer one.
        #[test]
        fn no_double_regeneration() {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.keep_last(false).build();
            create(&pile, 1);
            clock.advance(MINUTE + NANO);
            let answer = pile.acquire(never, || look_while(|| create(&pile, 2), here(1)));
            assert_eq!(show(answer), (1, Origin::Stale));
            assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
        }

        /// But one who asks for a fresh one has none to go on with.
        #[test]
        fn who_wants_a_fresh_one_creates() {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.keep_last(false).build();
            create(&pile, 1);
            clock.advance(MINUTE + NANO);
            let call = pile.call().accept(Accept::Fresh);
            let answer = call.acquire(|| Ok(3), || look_while(|| create(&pile, 2), here(1)));
            assert_eq!(show(answer), (3, Origin::CreatedHere));
        }
    }
}

mod age_from_store {
    use super::*;

    #[test]
    fn a_new_process_does_not_make_again_what_another_made() {
        let pile = Dogpile::new(MINUTE);
        assert_eq!(find(&pile, aged(7, SECOND)), (7, Origin::Fresh));
        assert!(pile.peek().is_none() && !pile.is_creating());
        assert_eq!((pile.has_value(), pile.is_fresh()), (true, true));
    }

    #[test]
    fn nor_does_anybody_after_it() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        assert_eq!(find(&pile, aged(7, SECOND * 20)), (7, Origin::Fresh));
        clock.advance(SECOND * 40);
        assert_eq!(find(&pile, here(7)), (7, Origin::Fresh));
        clock.advance(NANO);
        assert_eq!(
            show(pile.acquire(|| Ok(8), || here(7))),
            (8, Origin::CreatedHere)
        );
    }

    #[test]
    fn a_younger_one_moves_the_time_on() {
        let (clock, pile) = stale_pile();
        assert_eq!(find(&pile, aged(2, SECOND)), (2, Origin::Fresh));
        clock.advance(MINUTE - SECOND);
        assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
        clock.advance(NANO);
        let answer = pile.acquire(|| Ok(3), || here(2));
        assert_eq!(show(answer), (3, Origin::CreatedHere));
    }

    /// Exactly as old as its time to live is fresh, as everywhere.
    #[test]
    fn to_the_nanosecond() {
        let (_clock, builder) = manual(MINUTE);
        let pile = builder.clone().build();
        assert_eq!(find(&pile, aged(7, MINUTE)), (7, Origin::Fresh));
        let pile = builder.build();
        let answer = pile.acquire(|| Ok(8), || aged(7, MINUTE + NANO));
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    /// An older one than the pile's own says how old that answer is, and no more.
    #[test]
    fn an_older_one_decides_for_itself_alone() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        create(&pile, 1);
        clock.advance(SECOND);
        let answer = pile.acquire(|| Err(Down(1)), || aged(0, HOUR));
        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
        assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
        assert_eq!(find(&pile, aged(0, SECOND * 50)), (0, Origin::Fresh));
        clock.advance(SECOND * 30);
        assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
        assert_eq!(*pile.peek().unwrap(), 1);
    }

    /// One that is just as old says nothing, and the pile's own stays.
    #[test]
    fn one_of_the_same_age_changes_nothing() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        create(&pile, 1);
        clock.advance(SECOND);
        assert_eq!(find(&pile, aged(1, SECOND)), (1, Origin::Fresh));
        assert_eq!(*pile.peek().unwrap(), 1);
    }

    #[test]
    fn a_stale_one_goes_to_all_but_the_creator() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let renewal = lease(&pile);
        assert_eq!(find(&pile, aged(7, HOUR)), (7, Origin::Stale));
        assert_eq!(find(&pile, here(7)), (7, Origin::Stale));
        assert!(renewal.publish(8).is_ok());
        assert_eq!(find(&pile, here(8)), (8, Origin::Fresh));
        clock.advance(MINUTE);
        assert_eq!(find(&pile, here(8)), (8, Origin::Fresh));
    }

    #[test]
    fn a_dead_one_is_no_value() {
        within(|| {
            let (_clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(SECOND).build();
            let renewal = lease(&pile);
            assert_eq!(find(&pile, aged(7, MINUTE + SECOND)), (7, Origin::Stale));
            thread::scope(|threads| {
                let late = threads.spawn(|| find(&pile, aged(7, HOUR)));
                until(|| pile.waiters() == 1);
                assert!(renewal.publish(8).is_ok());
                assert_eq!(late.join().unwrap(), (8, Origin::CreatedByAnother));
            });
        });
    }

    #[test]
    fn after_expire_the_younger_is_fresh_and_the_older_stale() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        create(&pile, 1);
        clock.advance(SECOND);
        pile.expire();
        clock.advance(SECOND);
        let renewed = |looked: Looked| {
            let answer = pile.acquire(|| Err(Down(1)), || looked);
            answer.unwrap_err().created() == Some(&Down(1))
        };
        assert!(renewed(aged(1, SECOND * 2)));
        assert!(renewed(aged(1, SECOND)));
        assert!(renewed(here(1)));
        assert_eq!(find(&pile, aged(2, SECOND - NANO)), (2, Origin::Fresh));
        assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
        // And an older answer from another place is judged by its age again.
        assert_eq!(find(&pile, aged(1, SECOND * 2)), (1, Origin::Fresh));
        clock.advance(MINUTE - SECOND + NANO);
        assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
        clock.advance(NANO);
        assert!(renewed(here(2)));
    }

    /// An `expire` during the look-up is not forgotten over what it tells.
    #[test]
    fn an_expire_meanwhile_is_not_forgotten() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        create(&pile, 1);
        clock.advance(10 * SECOND);
        let answer = pile.acquire(
            || Ok(2),
            || {
                pile.expire();
                aged(1, SECOND)
            },
        );
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    /// Nor is one that comes in any moment of the call.
    #[test]
    fn nor_is_one_behind_the_look_up() {
        for at in 0..READINGS {
            let clock = Arc::new(HookedClock::default());
            let builder = Dogpile::builder(MINUTE).clock(clock.clone());
            let pile = Arc::new(builder.build());
            create(&pile, 1);
            clock.advance(10 * SECOND);
            let (other, expired) = (Arc::clone(&pile), Rc::new(Cell::new(false)));
            let hook = {
                let expired = Rc::clone(&expired);
                move |reading| {
                    if reading == at {
                        other.expire();
                        expired.set(true);
                    }
                }
            };
            let answer = hooked(hook, || show(pile.acquire(|| Ok(2), || aged(1, SECOND))));
            if expired.get() && answer.0 == 1 {
                assert!(!pile.is_fresh(), "at reading {at}");
            }
        }
    }

    /// What was looked up goes for nothing when the pile was emptied meanwhile, also while another creates
    /// and stale values are served without a question.
    #[test]
    fn an_invalidate_meanwhile_is_not_forgotten() {
        let (_clock, pile) = stale_pile();
        let renewal = lease(&pile);
        assert_eq!(find(&pile, here(1)), (1, Origin::Stale));
        let call = pile.call().wait(Duration::ZERO);
        let answer = call.acquire(never, || {
            pile.invalidate();
            here(1)
        });
        assert!(answer.unwrap_err().is_timed_out());
        drop(renewal);
    }

    /// Who is served what is fresh takes no lease from anybody, and no failure stands beside it.
    #[test]
    fn what_is_fresh_is_an_answer_whatever_goes_on() {
        let (clock, builder) = manual(HOUR);
        let builder = builder.backoff(dogpile::Backoff::constant(MINUTE));
        let pile = builder.max_create_time(SECOND).build();
        create(&pile, 1);
        assert!(pile.refresh(|| Err(Down(1))).is_err());
        let fresh = pile.acquire(never, || here(1)).unwrap();
        assert_eq!((*fresh, fresh.origin()), (1, Origin::Fresh));
        assert!(Acquired::failure(&fresh).is_none());
        clock.advance(2 * MINUTE);
        let Attempt::Lease(late) = pile.call().accept(Accept::New).attempt() else {
            panic!()
        };
        clock.advance(2 * SECOND);
        assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
        assert!(pile.is_creating());
        drop(late);
        assert!(!pile.is_creating());
    }

    #[test]
    fn without_one_a_pile_that_never_created_has_found_nothing() {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(|| Ok(2), || here(1));
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    #[test]
    fn ages_beyond_any_clock() {
        let ages = [HOUR * 2, Duration::from_secs(u64::MAX), Duration::MAX];
        for age in ages {
            for (limit, usable) in [(None, true), (Some(HOUR), false)] {
                let (clock, mut builder) = manual(MINUTE);
                if let Some(limit) = limit {
                    builder = builder.stale_while_revalidate(limit);
                }
                clock.set(Tick::ZERO);
                let pile = builder.build();
                let renewal = lease(&pile);
                let call = pile.call().wait(Duration::ZERO);
                let answer = call.acquire(never, || aged(7, age));
                match usable {
                    true => assert_eq!(show(answer), (7, Origin::Stale)),
                    false => assert!(answer.unwrap_err().is_timed_out()),
                }
                drop(renewal);
                let answer = pile.acquire(|| Ok(8), || aged(7, age));
                assert_eq!(show(answer), (8, Origin::CreatedHere));
                assert_eq!(find(&pile, here(8)), (8, Origin::Fresh));
                clock.set(Tick::from_nanos(u64::MAX - 1));
                let answer = pile.acquire(|| Ok(9), || aged(7, age));
                assert_eq!(show(answer), (9, Origin::CreatedHere));
            }
        }
    }

    /// A store that knows better than the clock of this process, which may just have started.
    #[test]
    fn older_than_the_clock_and_still_fresh() {
        let (clock, builder) = manual(HOUR * 3);
        clock.set(Tick::ZERO);
        let pile = builder.build();
        assert_eq!(find(&pile, aged(7, HOUR * 2)), (7, Origin::Fresh));
        clock.advance(HOUR);
        assert_eq!(find(&pile, here(7)), (7, Origin::Fresh));
        clock.advance(NANO);
        let answer = pile.acquire(|| Ok(8), || here(7));
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    #[test]
    fn a_stricter_caller() {
        let pile = Dogpile::new(MINUTE);
        assert_eq!(find(&pile, aged(7, SECOND * 2)), (7, Origin::Fresh));
        let call = pile.call().max_age(SECOND);
        let answer = call.acquire(|| Ok(8), || aged(7, SECOND * 2));
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    #[test]
    fn a_ttl_of_zero_is_never_fresh() {
        let pile = Dogpile::new(Duration::ZERO);
        for value in 0..3 {
            let answer = pile.acquire(|| Ok(value), || aged(7, Duration::ZERO));
            assert_eq!(show(answer), (value, Origin::CreatedHere));
        }
        let _renewal = lease(&pile);
        assert_eq!(find(&pile, aged(7, Duration::ZERO)), (7, Origin::Stale));
    }

    /// An age that comes too late for what happened meanwhile moves nothing.
    #[test]
    fn told_of_what_is_no_longer_the_current_one() {
        let (clock, pile) = stale_pile();
        let answer = pile.acquire(never, || {
            pile.set_with(Created::new(5).age(SECOND));
            aged(2, Duration::ZERO)
        });
        assert_eq!(show(answer), (2, Origin::Fresh));
        assert_eq!((*pile.peek().unwrap(), pile.age()), (5, Some(SECOND)));
        clock.advance(MINUTE - SECOND + NANO);
        let answer = pile.acquire(|| Ok(6), || here(5));
        assert_eq!(show(answer), (6, Origin::CreatedHere));
    }
}

mod init {
    use super::*;

    #[test]
    fn the_first_call_takes_what_it_finds() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.init().build();
        clock.advance(HOUR);
        assert_eq!(find(&pile, here(7)), (7, Origin::Fresh));
        // From that call on, and not from the next.
        clock.advance(MINUTE);
        assert_eq!(find(&pile, here(7)), (7, Origin::Fresh));
        clock.advance(NANO);
        let answer = pile.acquire(|| Ok(8), || here(7));
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    #[test]
    fn what_is_not_there_is_created() {
        let pile = Dogpile::builder(MINUTE).init().build();
        create(&pile, 1);
        let pile = Dogpile::builder(MINUTE).init().build();
        assert_eq!(*pile.get_or_create(|| 2), 2);
    }

    #[test]
    fn an_age_that_is_told_counts_all_the_same() {
        let pile = Dogpile::builder(MINUTE).init().build();
        let answer = pile.acquire(|| Ok(8), || aged(7, HOUR));
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    #[test]
    fn but_not_after_an_invalidate() {
        let pile = Dogpile::builder(MINUTE).init().build();
        pile.invalidate();
        let answer = pile.acquire(|| Ok(8), no_look);
        assert_eq!(show(answer), (8, Origin::CreatedHere));
    }

    /// Only the first: a pile that has a time goes by that.
    #[test]
    fn nor_for_a_pile_that_created() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.init().build();
        create(&pile, 1);
        clock.advance(MINUTE + NANO);
        let answer = pile.acquire(|| Ok(2), || here(1));
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    /// The first form of the original: the creator sees to the resource itself, and the pile says
    /// when.
    #[test]
    fn a_pile_of_nothing() {
        let (clock, builder) = manual(MINUTE);
        let plain = builder.clone().build();
        let started = builder.init().build();
        let runs = Runs::default();
        let due = |pile: &Dogpile<()>| {
            let create = || runs.run(|| Ok::<_, Down>(()));
            let answer = pile.acquire(create, || Ok(Lookup::Here(()))).unwrap();
            answer.origin() == Origin::CreatedHere
        };
        assert_eq!([due(&plain), due(&started)], [true, false]);
        assert_eq!([due(&plain), due(&started)], [false, false]);
        clock.advance(MINUTE + NANO);
        assert_eq!([due(&plain), due(&started)], [true, true]);
        assert_eq!([due(&plain), due(&started)], [false, false]);
        assert_eq!(runs.count(), 3);
    }
}

/// What the pile tells of its value is what the next caller finds, who looks it up.
mod seen_from_outside {
    use super::*;

    /// Asks, and then looks, while somebody else creates.
    fn told_and_found(pile: &Dogpile<u32>) -> (bool, bool) {
        let told = (pile.has_value(), pile.is_fresh());
        assert_eq!(pile.age().is_some(), told.0);
        let Attempt::Lease(held) = pile.call().accept(Accept::New).attempt() else {
            panic!("nobody else creates")
        };
        let call = pile.call().wait(Duration::ZERO);
        let found = match call.acquire(never, || here(7)) {
            Ok(value) => (true, value.origin() == Origin::Fresh),
            Err(error) => {
                assert!(error.is_timed_out());
                (false, false)
            }
        };
        drop(held);
        assert_eq!(told, found);
        told
    }

    #[test]
    fn in_every_state() {
        let (clock, builder) = manual(MINUTE);
        let builder = builder.stale_while_revalidate(MINUTE);
        let [none, stale, fresh] = [(false, false), (true, false), (true, true)];
        for keep in [false, true] {
            for init in [false, true] {
                let new = || {
                    let builder = builder.clone().keep_last(keep);
                    if init { builder.init() } else { builder }.build()
                };
                assert_eq!(told_and_found(&new()), if init { fresh } else { none });
                let pile = new();
                pile.invalidate();
                assert_eq!(told_and_found(&pile), none);
                let pile = new();
                pile.expire();
                assert_eq!(told_and_found(&pile), none);
                let pile = new();
                create(&pile, 1);
                assert_eq!(told_and_found(&pile), fresh);
                pile.expire();
                assert_eq!(told_and_found(&pile), stale);
                clock.advance(MINUTE * 2);
                assert_eq!(told_and_found(&pile), stale);
                assert_eq!(pile.age(), Some(MINUTE * 2));
                clock.advance(NANO);
                assert_eq!(told_and_found(&pile), none);
                create(&pile, 2);
                clock.advance(MINUTE);
                assert_eq!(told_and_found(&pile), fresh);
                clock.advance(NANO);
                assert_eq!(told_and_found(&pile), stale);
                // A younger one that another process made.
                assert_eq!(find(&pile, aged(3, SECOND)), (3, Origin::Fresh));
                assert_eq!(told_and_found(&pile), fresh);
                assert_eq!(pile.age(), Some(SECOND));
                pile.invalidate();
                assert_eq!(told_and_found(&pile), none);
                pile.expire();
                assert_eq!(told_and_found(&pile), none);
                pile.set_with(Created::new(4).keep(keep));
                assert_eq!(told_and_found(&pile), fresh);
            }
        }
    }

    /// The mark of an `expire` is no value, however long a stale one may be served.
    #[test]
    fn by_expire_alone() {
        for builder in [Dogpile::builder(MINUTE), Dogpile::builder(MINUTE).init()] {
            let pile = builder.build();
            pile.expire();
            assert_eq!(told_and_found(&pile), (false, false));
        }
    }

    /// What counts as just created is not fresh where nothing ever is.
    #[test]
    fn by_init_with_a_ttl_of_zero() {
        let (_, builder) = manual(Duration::ZERO);
        assert_eq!(
            told_and_found(&builder.clone().init().build()),
            (true, false)
        );
        let strict = builder.stale_while_revalidate(Duration::ZERO);
        assert_eq!(told_and_found(&strict.init().build()), (false, false));
    }

    /// The first call finds what counts as just created.
    #[test]
    fn by_init_from_the_beginning() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.init().build();
        assert_eq!(pile.age(), Some(Duration::ZERO));
        clock.advance(HOUR);
        assert_eq!(pile.age(), Some(Duration::ZERO));
        assert_eq!(told_and_found(&pile), (true, true));
        clock.advance(SECOND);
        assert_eq!(pile.age(), Some(SECOND));
    }
}

mod no_resurrection_by_expire {
    use super::*;

    /// Of an emptied pile nothing is looked up, whatever comes besides a creation or a `set`.
    #[test]
    fn after_an_invalidate() {
        let pile = Dogpile::new(MINUTE);
        pile.set(1);
        pile.invalidate();
        pile.expire();
        let answer = pile.acquire(|| Ok(2), no_look);
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }
}

mod what_i_saw_and_is_kept_elsewhere {
    use super::*;

    /// What was set and not kept has a number like any other, and is newer than what was seen.
    #[test]
    fn it_is_newer_than_what_was_seen_before() {
        let pile = Dogpile::new(MINUTE);
        pile.set(1);
        let seen = pile.peek().unwrap().seen();
        let newer = || pile.call().accept(Accept::NewerThan(seen));
        assert_eq!(
            show(newer().acquire(|| Ok(3), || here(1))),
            (3, Origin::CreatedHere)
        );
        let pile = Dogpile::new(MINUTE);
        pile.set(1);
        let seen = pile.peek().unwrap().seen();
        pile.set_with(Created::new(2).keep(false));
        let newer = pile.call().accept(Accept::NewerThan(seen));
        assert_eq!(show(newer.acquire(never, || here(2))), (2, Origin::Fresh));
    }
}

mod invalidate_wins {
    use super::*;

    #[test]
    fn nobody_looks_until_a_creation_was_published() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        pile.invalidate();
        let answer = pile.acquire(|| Err(Down(1)), no_look);
        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
        assert!(bursts(|| drop(pile.acquire(|| burst(), no_look))));
        let superseded = pile.acquire(
            || {
                pile.invalidate();
                Ok(2)
            },
            no_look,
        );
        assert_eq!(show(superseded), (2, Origin::Superseded));
        let answer = pile.acquire(|| Ok(3), no_look);
        assert_eq!(show(answer), (3, Origin::CreatedHere));
        assert_eq!(find(&pile, here(3)), (3, Origin::Fresh));
    }

    #[test]
    fn nor_until_one_was_set() {
        let pile = Dogpile::new(MINUTE);
        pile.invalidate();
        pile.set(2);
        assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
    }

    #[test]
    fn nor_on_a_pile_that_never_created() {
        let pile = Dogpile::builder(MINUTE).init().build();
        pile.invalidate();
        let answer = pile.acquire(|| Err(Down(1)), no_look);
        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
        // Nor by its plain way, nor with wishes of its own.
        let answer = pile.call().accept(Accept::Fresh).acquire(|| Ok(2), no_look);
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }

    #[test]
    fn a_creation_that_is_not_kept_is_published_too() {
        let pile = Dogpile::builder(MINUTE).keep_last(false).build();
        create(&pile, 1);
        pile.invalidate();
        let answer = pile.acquire(|| Ok(2), no_look);
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
    }

    #[test]
    fn who_looked_already_tells_no_age_any_more() {
        let pile = Dogpile::new(MINUTE);
        let looks_on = |found: Looked| {
            let answer = pile.acquire(never, || {
                pile.invalidate();
                found
            });
            assert_eq!(show(answer), (1, Origin::Fresh));
            let answer = pile.acquire(|| Ok(2), no_look);
            assert_eq!(show(answer), (2, Origin::CreatedHere));
        };
        looks_on(aged(1, SECOND));
        looks_on(aged(1, SECOND));
        looks_on(here(1));
    }

    #[test]
    fn but_not_by_expire_even_where_nothing_stale_is_served() {
        let builder = Dogpile::builder(MINUTE).stale_while_revalidate(Duration::ZERO);
        let pile = builder.build();
        create(&pile, 1);
        pile.expire();
        let looked = AtomicUsize::new(0);
        let look = || {
            looked.fetch_add(1, Ordering::SeqCst);
            here(1)
        };
        // It is looked up, and found stale.
        let answer = pile.acquire(|| Ok(2), look);
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        assert_eq!(looked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn later_waiters_elect_anew_and_do_not_look() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let runs = Runs::default();
            let store = Store::default();
            thread::scope(|threads| {
                let answer = pile.acquire(
                    || {
                        threads.spawn(|| {
                            let early = pile.acquire(|| Ok(9), || store.get());
                            assert_eq!(show(early), (1, Origin::Superseded));
                        });
                        until(|| pile.waiters() == 1);
                        pile.invalidate();
                        for _ in 0..3 {
                            threads.spawn(|| {
                                let create = || {
                                    runs.run(|| {
                                        until(|| pile.waiters() == 2);
                                        store.put(2)
                                    })
                                };
                                let answer = pile.acquire(create, || store.get());
                                assert_eq!(show(answer).0, 2);
                            });
                        }
                        until(|| pile.waiters() == 4);
                        store.put(1)
                    },
                    missing,
                );
                assert_eq!(show(answer), (1, Origin::Superseded));
            });
            // Only the early one looked: nothing is looked up from the `invalidate` on.
            assert_eq!((runs.count(), store.looks()), (1, 1));
        });
    }

    #[test]
    fn if_it_is_still_that_one() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        assert!(pile.invalidate_if(pile.peek().unwrap().seen()));
        let answer = pile.acquire(|| Ok(2), no_look);
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    }
}

/// What a caller may ask for, of a value kept elsewhere as of any.
mod wishes {
    use super::*;

    #[test]
    fn nothing_stale_is_served_where_none_may_be() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(Duration::ZERO).build();
            create(&pile, 1);
            clock.advance(MINUTE);
            assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
            clock.advance(NANO);
            let renewal = lease(&pile);
            thread::scope(|threads| {
                let one = threads.spawn(|| find(&pile, here(1)));
                let two = threads.spawn(|| find(&pile, aged(1, HOUR)));
                until(|| pile.waiters() == 2);
                assert!(renewal.publish(2).is_ok());
                assert_eq!(one.join().unwrap(), (2, Origin::CreatedByAnother));
                assert_eq!(two.join().unwrap(), (2, Origin::CreatedByAnother));
            });
        });
    }

    #[test]
    fn a_fresh_one() {
        within(|| {
            let (_clock, pile) = stale_pile();
            let renewal = lease(&pile);
            thread::scope(|threads| {
                let strict = threads.spawn(|| {
                    let call = pile.call().accept(Accept::Fresh);
                    show(call.acquire(never, || here(1)))
                });
                until(|| pile.waiters() == 1);
                assert_eq!(find(&pile, here(1)), (1, Origin::Stale));
                assert!(renewal.publish(2).is_ok());
                assert_eq!(strict.join().unwrap(), (2, Origin::CreatedByAnother));
            });
            let call = pile.call().accept(Accept::Fresh);
            let answer = call.acquire(never, || here(2));
            assert_eq!(show(answer), (2, Origin::Fresh));
            let lost = call.acquire(|| Ok(3), missing);
            assert_eq!(show(lost), (3, Origin::CreatedHere));
        });
    }

    /// Who asks for a fresh one takes what was made while it looked.
    #[test]
    fn a_fresh_one_made_meanwhile() {
        let (_clock, pile) = stale_pile();
        let call = pile.call().accept(Accept::Fresh);
        let answer = call.acquire(never, || {
            create(&pile, 2);
            here(1)
        });
        assert_eq!(show(answer), (2, Origin::CreatedByAnother));
    }

    #[test]
    fn a_newer_one() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        let seen = pile.peek().unwrap();
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
        let answer = newer.acquire(|| Ok(2), || here(1));
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        // What is found now is newer.
        let answer = newer.acquire(never, || here(2));
        assert_eq!(show(answer), (2, Origin::Fresh));
        // Until it is expired.
        pile.expire();
        let answer = newer.acquire(|| Ok(3), || here(2));
        assert_eq!(show(answer), (3, Origin::CreatedHere));
    }

    #[test]
    fn a_newer_one_made_meanwhile() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        let seen = pile.peek().unwrap();
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
        let answer = newer.acquire(never, || {
            create(&pile, 2);
            here(1)
        });
        assert_eq!(show(answer), (2, Origin::CreatedByAnother));
    }

    #[test]
    fn a_newer_one_stale_while_another_creates() {
        let (clock, pile) = stale_pile();
        let seen = pile.peek().unwrap();
        create(&pile, 2);
        clock.advance(MINUTE + NANO);
        let _renewal = lease(&pile);
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
        let answer = newer.acquire(never, || here(2));
        assert_eq!(show(answer), (2, Origin::Stale));
    }

    #[test]
    fn a_new_one() {
        let pile = Dogpile::new(MINUTE);
        create(&pile, 1);
        let call = pile.call().accept(Accept::New);
        let answer = call.acquire(|| Ok(2), || here(1));
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        let answer = call.acquire(|| Ok(3), || aged(1, Duration::ZERO));
        assert_eq!(show(answer), (3, Origin::CreatedHere));
    }

    /// A creation that runs already began too early.
    #[test]
    fn a_new_one_while_another_creates() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            create(&pile, 1);
            let old = match pile.call().accept(Accept::New).attempt() {
                Attempt::Lease(lease) => lease,
                other => panic!("{other:?}"),
            };
            thread::scope(|threads| {
                let new = threads.spawn(|| {
                    let call = pile.call().accept(Accept::New);
                    show(call.acquire(|| Ok(3), || here(1)))
                });
                until(|| pile.waiters() == 1);
                assert!(old.publish(2).is_ok());
                assert_eq!(new.join().unwrap(), (3, Origin::CreatedHere));
            });
        });
    }

    #[test]
    fn not_to_wait() {
        let pile = Dogpile::new(MINUTE);
        let _creation = lease(&pile);
        let call = pile.call().wait(Duration::ZERO);
        let limit = call.acquire(never, missing).unwrap_err();
        assert!(matches!(limit, Error::TimedOut { limit, .. } if limit.is_zero()));
        assert_eq!(pile.waiters(), 0);
    }
}

/// Many callers with a stale value of their own while one creates.
/// A value that is to be renewed ahead is renewed by one caller, and served while none may create.
#[test]
fn refresh_ahead_of_what_is_looked_up() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let builder = builder.refresh_ahead(RefreshAhead::percent(50));
    let pile = builder.backoff(Backoff::constant(HOUR)).build();
    pile.set(1);
    clock.advance(40 * SECOND);
    assert_eq!(
        show(pile.acquire(|| Ok(2), || here(1))),
        (2, Origin::CreatedHere)
    );
    clock.advance(40 * SECOND);
    let beside = pile.acquire(|| Err(Down(7)), || here(2));
    assert_eq!(show(beside), (2, Origin::Fresh));
    assert_eq!(find(&pile, here(2)), (2, Origin::Fresh));
    // A caller that asks for more is told to come back.
    let seen = pile.peek().unwrap().seen();
    for accept in [Accept::NewerThan(seen), Accept::New] {
        let call = pile.call().accept(accept);
        let answer = call.acquire(never, || here(2));
        assert!(answer.unwrap_err().is_backing_off());
    }
    clock.advance(40 * SECOND);
    assert_eq!(find(&pile, here(2)), (2, Origin::Stale));
    for accept in [Accept::Fresh, Accept::NewerThan(seen)] {
        let call = pile.call().accept(accept);
        let answer = call.acquire(never, || here(2));
        assert!(answer.unwrap_err().is_backing_off());
    }
}

#[test]
fn stale_never_blocks() {
    within(|| {
        let (_clock, pile) = stale_pile();
        let runs = Runs::default();
        let answer = pile.acquire(
            || {
                runs.run(|| {
                    // All have their answer before the creation ends.
                    thread::scope(|threads| {
                        for _ in 0..8 {
                            threads.spawn(|| {
                                assert_eq!(find(&pile, here(1)), (1, Origin::Stale));
                                assert_eq!(find(&pile, aged(1, HOUR)), (1, Origin::Stale));
                            });
                        }
                    });
                    Ok(2)
                })
            },
            || here(1),
        );
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        assert_eq!(runs.count(), 1);
    });
}

/// The same where the pile knew of no value until the store told.
#[test]
fn stale_never_blocks_on_a_new_pile() {
    within(|| {
        let pile = Dogpile::new(MINUTE);
        let answer = pile.acquire(
            || {
                thread::scope(|threads| {
                    for _ in 0..4 {
                        threads.spawn(|| {
                            assert_eq!(find(&pile, aged(1, HOUR)), (1, Origin::Stale));
                        });
                    }
                });
                Ok(2)
            },
            || aged(1, HOUR),
        );
        assert_eq!(show(answer), (2, Origin::CreatedHere));
    });
}

/// What is given up by a caller with a stale value of its own is renewed by the next.
#[test]
fn a_renewal_that_failed_is_tried_by_the_next() {
    let (_clock, pile) = stale_pile();
    for number in 0..3 {
        let answer = pile.acquire(|| Err(Down(number)), || here(1));
        assert_eq!(answer.unwrap_err().created(), Some(&Down(number)));
        assert!(bursts(|| drop(pile.acquire(|| burst(), || here(1)))));
    }
    let answer = pile.acquire(|| Ok(2), || here(1));
    assert_eq!(show(answer), (2, Origin::CreatedHere));
}

/// Races and gaps of the original, found by running it; each test says what happened there.
mod races {
    use super::*;

    /// There: a caller that had read the stale value regenerates it a second time.
    #[test]
    fn race_01_double_regeneration_after_expiry() {
        for looked in [here as fn(u32) -> Looked, |value| aged(value, HOUR)] {
            let (_clock, pile) = stale_pile();
            let runs = Runs::default();
            let answer = pile.acquire(
                || runs.run(|| Ok(3)),
                || {
                    let other = pile.acquire(|| runs.run(|| Ok(2)), || looked(1));
                    assert_eq!(show(other), (2, Origin::CreatedHere));
                    looked(1)
                },
            );
            assert_ne!(show(answer).1, Origin::CreatedHere);
            assert_eq!(runs.count(), 1);
        }
    }

    /// There: what was computed from data of before the invalidation passes for new.
    #[test]
    fn race_02_invalidate_during_a_creation_is_lost() {
        let pile = Dogpile::new(MINUTE);
        let store = Store::default();
        let answer = pile.acquire(
            || {
                pile.invalidate();
                store.put(1)
            },
            || store.get(),
        );
        assert_eq!(show(answer), (1, Origin::Superseded));
        // It is in the store, and yet nobody is given it.
        let answer = pile.acquire(|| store.put(2), || store.get());
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        assert_eq!(store.looks(), 1);
    }

    /// There: the creator that finishes overwrites what was set, or brings back what was deleted;
    /// two refreshes run at once, and of two the one that began first may win.
    #[test]
    fn race_03_set_during_a_creation_is_overwritten() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let answer = pile.acquire(
                || {
                    pile.set(5);
                    Ok(1)
                },
                missing,
            );
            assert_eq!(show(answer), (1, Origin::Superseded));
            assert_eq!(*pile.peek().unwrap(), 5);

            let runs = Runs::default();
            thread::scope(|threads| {
                let mut second = None;
                let refresh = |value| {
                    let call = pile.call().accept(Accept::New);
                    call.acquire(move || Ok(value), || here(5))
                };
                let first = pile.call().accept(Accept::New).acquire(
                    || {
                        runs.run(|| {
                            second = Some(threads.spawn(move || show(refresh(7))));
                            until(|| pile.waiters() == 1);
                            Ok(6)
                        })
                    },
                    || here(5),
                );
                assert_eq!(show(first), (6, Origin::CreatedHere));
                let second = second.unwrap().join().unwrap();
                assert_eq!(second, (7, Origin::CreatedHere));
            });
            assert_eq!(*pile.peek().unwrap(), 7);
        });
    }

    /// There: five callers, five runs of a failing creator, one after the other.
    #[test]
    fn race_05_failure_stampede() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let runs = Runs::default();
            let fails = || runs.run(|| Err(Down(2)));
            thread::scope(|threads| {
                let mut waiters = Vec::new();
                let mine = pile.acquire(
                    || {
                        for _ in 0..5 {
                            waiters.push(threads.spawn(|| {
                                match pile.acquire(fails, missing).unwrap_err() {
                                    Error::Create(error) => error,
                                    other => panic!("{other:?}"),
                                }
                            }));
                        }
                        until(|| pile.waiters() == 5);
                        runs.run(|| Err(Down(1)))
                    },
                    missing,
                );
                let Err(Error::Create(mine)) = mine else {
                    panic!("{mine:?}")
                };
                assert_eq!(*mine, Down(1));
                for waiter in waiters {
                    assert!(Arc::ptr_eq(&waiter.join().unwrap(), &mine));
                }
            });
            assert_eq!(runs.count(), 1);
        });
    }

    /// There: a lock not had within its limit is taken for had; the creator runs beside another,
    /// and the release fails with its value lost.
    #[test]
    fn race_07_a_wait_limit_runs_the_creator_without_the_lock() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let answer = pile.acquire(
                || {
                    thread::scope(|threads| {
                        let late = threads.spawn(|| {
                            let call = pile.call().wait(SECOND);
                            call.acquire(never, missing).map(drop).unwrap_err()
                        });
                        until(|| pile.waiters() == 1);
                        clock.advance(SECOND);
                        assert!(late.join().unwrap().is_timed_out());
                    });
                    Ok(1)
                },
                missing,
            );
            assert_eq!(show(answer), (1, Origin::CreatedHere));
            assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
        });
    }

    /// There: a step back of the clock freezes the value for as long, a value from the future never
    /// expires.
    #[test]
    fn race_10_a_clock_that_steps_back() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let start = Tick::ZERO.saturating_add(HOUR);
        create(&pile, 1);
        clock.set(Tick::ZERO);
        assert_eq!(find(&pile, here(1)), (1, Origin::Fresh));
        // What is expired stays so, and what is told to be old is old, whatever the clock says.
        pile.expire();
        assert!(pile.acquire(|| Err(Down(1)), || here(1)).is_err());
        let answer = pile.acquire(|| Ok(2), || aged(1, HOUR));
        assert_eq!(show(answer), (2, Origin::CreatedHere));
        clock.set(start);
        let answer = pile.acquire(|| Ok(3), || here(2));
        assert_eq!(show(answer), (3, Origin::CreatedHere));
    }

    /// There: the waiters leave one at a time, each after a look-up of its own under the lock.
    #[test]
    fn race_11_waiter_convoy() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let store = Store::default();
            let runs = Runs::default();
            thread::scope(|threads| {
                let (served, serves) = mpsc::channel();
                let answer = pile.acquire(
                    || {
                        for _ in 0..5 {
                            let served = served.clone();
                            let (pile, store) = (&pile, &store);
                            threads.spawn(move || {
                                let answer = pile.acquire(never, || store.get());
                                served.send(show(answer)).unwrap();
                            });
                        }
                        until(|| pile.waiters() == 5);
                        runs.run(|| store.put(1))
                    },
                    || store.get(),
                );
                assert_eq!(show(answer), (1, Origin::CreatedHere));
                // Whoever looks into the store now, or locks the pile by a creation, delays none.
                let slot = store.slot.lock().unwrap();
                let _creation = pile.call().accept(Accept::New).attempt();
                for _ in 0..5 {
                    assert_eq!(serves.recv().unwrap(), (1, Origin::CreatedByAnother));
                }
                drop(slot);
            });
            assert_eq!((runs.count(), store.looks()), (1, 6));
        });
    }
}

/// Each was broken once, and found by writing the tests above.
mod broken_once {
    use super::*;

    #[test]
    fn late_missed_though_an_age_was_told_during_the_creation() {
        let pile = Dogpile::new(MINUTE);
        let creation = lease(&pile);
        assert_eq!(find(&pile, aged(7, SECOND)), (7, Origin::Fresh));
        // Looks in vain, while the creation ends.
        let answer = pile.acquire(
            || Ok(9),
            || {
                drop(creation.publish(8));
                missing()
            },
        );
        assert_eq!(show(answer), (8, Origin::CreatedByAnother));
    }

    #[test]
    fn stale_and_renewed_though_an_age_was_told_during_the_creation() {
        let (_clock, pile) = stale_pile();
        let creation = lease(&pile);
        assert_eq!(find(&pile, aged(7, SECOND)), (7, Origin::Fresh));
        let seen = pile.call().accept(Accept::Fresh);
        let answer = seen.acquire(
            || Ok(9),
            || {
                drop(creation.publish(8));
                aged(7, HOUR)
            },
        );
        assert_eq!(show(answer), (8, Origin::CreatedByAnother));
    }

    #[test]
    fn stale_answer_though_the_creation_is_over() {
        let (_clock, pile) = stale_pile();
        let answer = pile.acquire(never, || {
            create(&pile, 2);
            here(1)
        });
        assert_eq!(show(answer), (2, Origin::CreatedByAnother));
    }

    #[test]
    fn kept_is_lost_by_a_coarse_age() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let answer = pile.acquire(
            || Ok(2),
            || {
                create(&pile, 1);
                clock.advance(NANO);
                // Whole seconds only: younger than it is.
                assert_eq!(find(&pile, aged(1, Duration::ZERO)), (1, Origin::Fresh));
                missing()
            },
        );
        assert_eq!(show(answer), (1, Origin::CreatedByAnother));
    }

    #[test]
    fn a_slow_look_up_uses_up_the_wait_limit() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let creation = lease(&pile);
            thread::scope(|threads| {
                let (pile, clock) = (&pile, &clock);
                let call = pile.call().wait(SECOND);
                let late = threads.spawn(move || {
                    call.acquire(never, || {
                        clock.advance(HOUR);
                        missing()
                    })
                    .map(|acquired| *acquired)
                });
                until(|| pile.waiters() == 1 || late.is_finished());
                drop(creation.publish(1));
                assert_eq!(late.join().unwrap().unwrap(), 1);
            });
        });
    }

    #[test]
    fn enormous_age_of_what_never_ends() {
        let (clock, builder) = manual(Duration::MAX);
        let pile = builder.build();
        pile.set_with(Created::new(1).age(Duration::MAX));
        assert!(pile.is_fresh());
        clock.advance(SECOND);
        assert!(pile.is_fresh());
    }

    #[test]
    fn enormous_age_where_stale_ones_live_for_ever() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(Duration::MAX).build();
        pile.set_with(Created::new(1).age(Duration::MAX));
        clock.advance(SECOND);
        assert!(pile.has_value());
    }

    /// Stale by itself, on a pile that another one made young while this one looked.
    #[test]
    fn stale_and_made_young_by_the_store_meanwhile() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.keep_last(false).build();
        create(&pile, 1);
        clock.advance(MINUTE + NANO);
        let told = || assert_eq!(find(&pile, aged(2, SECOND)), (2, Origin::Fresh));
        let answer = pile.acquire(never, || {
            told();
            here(1)
        });
        assert_eq!(show(answer), (1, Origin::Stale));
    }

    /// The same, of a pile that has kept its own: that one was there before.
    #[test]
    fn stale_and_made_young_by_the_store_meanwhile_though_one_is_kept() {
        let (clock, pile) = stale_pile();
        let answer = pile.acquire(never, || {
            assert_eq!(find(&pile, aged(2, SECOND)), (2, Origin::Fresh));
            here(9)
        });
        assert_eq!(show(answer), (9, Origin::Stale));
        drop(clock);
    }

    #[test]
    fn an_expire_before_the_first_creation() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        clock.advance(HOUR);
        pile.expire();
        assert!(!pile.has_value());
        let told = pile.acquire(|| Ok(2), || aged(1, SECOND));
        assert_eq!(show(told), (2, Origin::CreatedHere));

        // Younger than the expire: made since.
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        pile.expire();
        clock.advance(SECOND * 2);
        assert_eq!(find(&pile, aged(1, SECOND)), (1, Origin::Fresh));

        // Of unknown age: none, also for one that starts as if created.
        let (_clock, builder) = manual(MINUTE);
        let pile = builder.init().build();
        pile.expire();
        let told = pile.acquire(|| Ok(2), || here(1));
        assert_eq!(show(told), (2, Origin::CreatedHere));
    }
}

/// What was looked up stands in for a failure, unless something has come in between.
mod stale_if_error {
    use super::*;

    fn builder() -> dogpile::Builder<u32> {
        let (_clock, builder) = manual(MINUTE);
        builder.stale_while_revalidate(SECOND).stale_if_error(HOUR)
    }

    /// Too old to be served while another creates.
    fn old() -> Looked {
        aged(7, MINUTE + 2 * SECOND)
    }

    #[test]
    fn for_who_creates() {
        let pile = builder().build();
        let answer = pile.acquire(|| Err(Down(1)), old);
        assert_eq!(show(answer), (7, Origin::Fallback));
    }

    #[test]
    fn but_not_once_the_pile_was_emptied() {
        let pile = builder().build();
        let fail = || {
            pile.invalidate();
            Err(Down(1))
        };
        let answer = pile.acquire(fail, old);
        assert_eq!(answer.unwrap_err().created(), Some(&Down(1)));
    }

    #[test]
    fn for_who_waits_for_another() {
        within(|| {
            let pile = builder().build();
            let renewal = lease(&pile);
            thread::scope(|threads| {
                let late = threads.spawn(|| show(pile.acquire(never, old)));
                until(|| pile.waiters() == 1);
                drop(renewal.fail(Down(1)));
                assert_eq!(late.join().unwrap(), (7, Origin::Fallback));
            });
        });
    }

    /// A writer may replace what it was looked up in.
    #[test]
    fn but_not_for_who_left_the_gate_meanwhile() {
        within(|| {
            let pile = builder().build_sync_reader();
            let ReadAttempt::Lease(renewal) = pile.attempt() else {
                panic!("the lease is free");
            };
            thread::scope(|threads| {
                let late = threads.spawn(|| pile.acquire(never, old).is_err());
                until(|| pile.waiters() == 1);
                drop(renewal.fail(Down(1)));
                assert!(late.join().unwrap());
            });
        });
    }

    /// A caller that holds a guard may create while it has something to go on with.
    #[test]
    fn a_reader_with_something_stale_may_create() {
        let pile = builder().build_sync_reader();
        pile.set(1);
        let guard = pile.peek().unwrap();
        let stale = || aged(7, MINUTE + SECOND);
        pile.expire();
        let answer = pile.acquire(|| Ok(2), stale).unwrap();
        assert_eq!((*answer, answer.origin()), (2, Origin::CreatedHere));
        drop(guard);
    }
}
