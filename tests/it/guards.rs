//! What guards and handles show, what they hold up, and when values are dropped.
//!
//! ```breakages
//! drops-the-old-value-under-the-lock | src/raw/change.rs | user_code_outside_locks
//! @ pub(crate) fn invalidate
//!   let old = Self::empty(&mut state);
//!   let watch = Self::changed(&mut state);
//! - drop(state);
//! - drop(old);
//! + drop(old);
//! + drop(state);
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Dogpile, Error, Guard, Origin, Owned};

use crate::support::{Census, HOUR, MINUTE, OnDrop, burst, bursts, manual, until, within};
use crate::support::{Keeps as _, Shows as _};

mod guard_keeps_value {
    use super::*;

    #[test]
    fn whatever_happens_to_the_pile() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let one = pile.get_or_create(|| String::from("one"));
            let address = one.as_ptr();
            pile.expire();
            let two = pile.get_or_create(|| String::from("two"));
            pile.set(String::from("three"));
            let three = pile.peek().unwrap();
            pile.invalidate();
            let four = pile.get_or_create(|| {
                pile.set(String::from("five"));
                String::from("four")
            });
            assert_eq!(
                [&*one, &*two, &*three, &*four],
                ["one", "two", "three", "four"]
            );
            assert_eq!(*pile.peek().unwrap(), "five");
            assert_eq!(one.as_ptr(), address);
        });
    }

    #[test]
    fn its_origin_and_age_are_fixed_at_the_call() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            pile.set(1);
            let guard = pile.peek().unwrap();
            clock.advance(HOUR);
            pile.set(2);
            assert_eq!(
                (guard.origin(), guard.age()),
                (Origin::Fresh, Duration::ZERO)
            );
        });
    }

    #[test]
    fn on_another_thread() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(1));
            let guard = pile.peek().unwrap();
            thread::scope(|threads| {
                pile.invalidate();
                threads.spawn(move || assert_eq!(guard.number, 1));
            });
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn an_owned_handle_outlives_the_pile() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(1));
            let kept: Owned<_> = pile.peek().unwrap().to_owned();
            let also: Owned<_> = pile.peek().unwrap().into();
            drop(pile);
            let third = also.clone();
            drop(kept);
            assert_eq!((also.number, third.number), (1, 1));
            drop(also);
            assert_eq!(census.live(), 1);
            drop(third);
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn it_is_read_like_the_value_itself() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, String::from("text"));
            let guard = pile.peek().unwrap();
            let owned = guard.to_owned();
            assert_eq!((guard.len(), owned.len()), (4, 4));
            assert_eq!(
                format!("{guard} {guard:?} {owned} {owned:?}"),
                r#"text "text" text "text""#
            );
            let shown: [&String; 2] = [guard.as_ref(), owned.as_ref()];
            assert_eq!(shown, ["text", "text"]);
        });
    }

    #[test]
    fn get_mut_and_into_inner_take_nothing_from_anybody() {
        within(|| {
            let census = Census::default();
            let mut pile = Dogpile::new(MINUTE);
            assert!(pile.get_mut().is_none());
            pile.set(census.value(1));
            pile.get_mut().unwrap().number = 2;
            assert_eq!(pile.peek().unwrap().number, 2);

            let kept = pile.peek().unwrap().to_owned();
            assert!(pile.get_mut().is_none());
            drop(kept);
            assert!(pile.get_mut().is_some());

            let kept = pile.peek().unwrap().to_owned();
            assert!(pile.into_inner().is_none());
            assert_eq!((kept.number, census.live()), (2, 1));
            drop(kept);
            assert_eq!(census.live(), 0);

            let pile = Dogpile::with_value(MINUTE, census.value(3));
            assert_eq!(pile.into_inner().unwrap().number, 3);
            assert!(Dogpile::<u32>::new(MINUTE).into_inner().is_none());
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn get_mut_and_into_inner_give_out_stale_and_dead_values_too() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let mut pile = builder.stale_while_revalidate(Duration::ZERO).build();
            pile.set(1);
            clock.advance(HOUR);
            assert!(!pile.has_value());
            *pile.get_mut().unwrap() = 2;
            assert_eq!(pile.into_inner(), Some(2));
        });
    }
}

mod publish_never_waits_for_readers {
    use super::*;

    /// One thread holds guards, and never lets go of them while it publishes a hundred more.
    #[test]
    fn nor_do_set_and_invalidate() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let mut held: Vec<Guard<'_, _>> = vec![pile.peek().unwrap()];
            for number in 1..=100 {
                match number % 3 {
                    0 => pile.set(census.value(number)),
                    1 => pile.invalidate(),
                    _ => pile.expire(),
                }
                held.push(pile.get_or_create(|| census.value(number)));
                assert!(pile.is_fresh());
            }
            assert_eq!(held[0].number, 0);
            assert!(
                held.iter()
                    .skip(1)
                    .zip(1..)
                    .all(|(guard, number)| guard.number == number)
            );
            assert_eq!(census.live(), 101);
            drop(held);
            assert_eq!(census.live(), 1);
        });
    }

    /// Held by a thread that is not going anywhere.
    #[test]
    fn of_another_thread() {
        within(|| {
            let pile = Dogpile::with_value(MINUTE, 0);
            let (go, gate) = mpsc::channel::<()>();
            let (taken, has_taken) = mpsc::channel();
            thread::scope(|threads| {
                let held = &pile;
                threads.spawn(move || {
                    let guard = held.peek().unwrap();
                    taken.send(()).unwrap();
                    assert!(gate.recv().is_err());
                    assert_eq!(*guard, 0);
                });
                has_taken.recv().unwrap();
                for number in 1..10 {
                    assert_eq!(*pile.refresh(|| Ok::<_, ()>(number)).unwrap(), number);
                    assert_eq!(*pile.get_or_create(|| panic!("it is fresh")), number);
                }
                drop(go);
            });
        });
    }
}

mod dropped_once_and_soon {
    use super::*;

    #[test]
    fn when_it_is_replaced() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_create(|| census.value(0)));
            assert_eq!(census.live(), 1);
            drop(pile.refresh(|| Ok::<_, ()>(census.value(1))));
            assert_eq!(census.live(), 1);
            pile.set(census.value(2));
            assert_eq!(census.live(), 1);
            assert_eq!(pile.peek().unwrap().number, 2);
            pile.invalidate();
            assert_eq!(census.live(), 0);
            pile.set(census.value(3));
            assert!(pile.invalidate_if(pile.peek().unwrap().seen()));
            assert_eq!(census.live(), 0);
            pile.set(census.value(4));
            pile.expire();
            assert_eq!(census.live(), 1);
            drop(pile);
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn with_the_last_of_its_guards() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let (one, two) = (pile.peek().unwrap(), pile.peek().unwrap());
            let three = two.to_owned();
            pile.set(census.value(1));
            drop(one);
            drop(two);
            assert_eq!(census.live(), 2);
            drop(three);
            // At once, not at the next creation.
            assert_eq!(census.live(), 1);
        });
    }

    /// More than a thread has slots for, on as many values, dropped by two threads.
    #[test]
    fn with_the_last_of_many_guards_of_one_thread() {
        within(|| {
            const ALL: u32 = 1000;
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let mut guards: Vec<_> = (0..ALL)
                .map(|number| {
                    let guard = pile.peek().unwrap();
                    pile.set(census.value(number + 1));
                    guard
                })
                .collect();
            assert_eq!(census.live(), 1001);
            assert!((0..ALL).eq(guards.iter().map(|guard| guard.number)));
            let others = guards.split_off(500);
            thread::scope(|threads| {
                threads.spawn(move || drop(others));
                for guard in guards.into_iter().rev() {
                    drop(guard);
                }
            });
            assert_eq!(census.live(), 1);
        });
    }

    #[test]
    fn when_a_creation_is_superseded() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            let mine = pile.get_or_create(|| {
                pile.set(census.value(9));
                census.value(1)
            });
            assert_eq!((mine.number, census.live()), (1, 2));
            drop(mine);
            assert_eq!(census.live(), 1);
        });
    }

    #[test]
    fn when_a_creation_fails() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            let begun = |fail: bool| {
                let half = census.value(1);
                if fail {
                    return Err(());
                }
                Ok(half)
            };
            assert!(pile.get_or_try_create(|| begun(true)).is_err());
            assert_eq!(census.live(), 0);
            assert!(bursts(|| pile.get_or_create(|| {
                let _half = census.value(1);
                burst()
            })));
            assert_eq!(census.live(), 0);
            assert!(pile.get_or_try_create(|| begun(false)).is_ok());
            assert_eq!(census.live(), 1);
        });
    }

    /// Neither the creation that they waited for nor its waiters keep the value afterwards.
    #[test]
    fn after_it_was_handed_to_waiters() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    for _ in 0..3 {
                        threads.spawn(|| drop(pile.get_or_create(|| census.value(2))));
                    }
                    until(|| pile.waiters() == 3);
                    census.value(1)
                }));
            });
            assert_eq!(census.live(), 1);
            pile.invalidate();
            assert_eq!(census.live(), 0);
        });
    }

    /// One who has left no longer holds what came later; one who waits for something newer does not
    /// hold what was too old for it.
    #[test]
    fn whatever_became_of_the_waiters() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.build();
            let census = Census::default();
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    let late = threads.spawn(|| {
                        let call = pile.call().wait(MINUTE);
                        assert!(call.get_or_create(|| census.value(2)).is_err());
                    });
                    until(|| pile.waiters() == 1);
                    clock.advance(MINUTE);
                    late.join().unwrap();
                    threads.spawn(|| {
                        let call = pile.call().accept(Accept::New);
                        let guard = call.get_or_create(|| {
                            pile.invalidate();
                            // As soon as the other's own guard is gone, too.
                            until(|| census.live() == 0);
                            census.value(3)
                        });
                        assert_eq!(guard.unwrap().number, 3);
                    });
                    until(|| pile.waiters() == 1);
                    census.value(1)
                }));
            });
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn errors_too() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            let census = Census::default();
            thread::scope(|threads| {
                let mine = pile.get_or_try_create(|| {
                    for _ in 0..3 {
                        threads.spawn(|| {
                            drop(pile.get_or_try_create(|| Err(census.value(2))));
                        });
                        threads.spawn(|| drop(pile.get_or_try_create(|| Err("another type"))));
                    }
                    until(|| pile.waiters() == 6);
                    Err(census.value(1))
                });
                drop(mine);
            });
            // The last failure, until the next one.
            assert_eq!(census.live(), 1);
            drop(pile.get_or_try_create(|| Err("another type")));
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn one_superseded_with_all_who_waited_gone() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            drop(pile.get_or_try_create(|| {
                pile.invalidate();
                Ok::<_, ()>(census.value(1))
            }));
            assert_eq!(census.live(), 0);
            drop(pile.get_or_try_create(|| {
                pile.set(census.value(1));
                Err(census.value(2))
            }));
            drop(pile.refresh(|| Err("another type")));
            assert_eq!(census.live(), 1);
        });
    }

    /// Whose guard was forgotten stays, and it alone.
    #[test]
    fn but_not_the_value_of_a_forgotten_guard() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(1));
            let forgotten: *const u32 = {
                let guard = pile.peek().unwrap();
                let number: *const u32 = &guard.number;
                std::mem::forget(guard);
                number
            };
            for number in 2..10 {
                pile.set(census.value(number));
                drop(pile.refresh(|| Ok::<_, ()>(census.value(number))));
                assert_eq!(census.live(), 2);
            }
            assert!(!forgotten.is_null());
            pile.invalidate();
            assert_eq!(census.live(), 1);
        });
    }

    /// A value whose `Drop` panics, if it is told to.
    struct Fragile {
        armed: Arc<AtomicBool>,
        dropped: Arc<AtomicUsize>,
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::SeqCst);
            // Not where a test has failed already: that would hide why.
            if !thread::panicking() && self.armed.swap(false, Ordering::SeqCst) {
                burst();
            }
        }
    }

    /// The panic of an old value's `Drop` goes to whoever dropped it; the pile goes on, with the
    /// new value where there is one, and nothing else is left behind.
    fn a_drop_that_panics(replace: fn(&Dogpile<Fragile>, new: Fragile), has_value: bool) {
        within(move || {
            let armed = Arc::new(AtomicBool::new(false));
            let dropped = Arc::new(AtomicUsize::new(0));
            let new = || Fragile {
                armed: Arc::clone(&armed),
                dropped: Arc::clone(&dropped),
            };
            let pile = Dogpile::with_value(MINUTE, new());
            let made = new();
            armed.store(true, Ordering::SeqCst);
            assert!(bursts(|| replace(&pile, made)));
            assert_eq!(pile.has_value(), has_value);
            assert_eq!(
                dropped.load(Ordering::SeqCst),
                if has_value { 1 } else { 2 }
            );
            assert!(!pile.is_creating());
            for made in 0..3 {
                let before = dropped.load(Ordering::SeqCst);
                let guard = pile.refresh(|| Ok::<_, ()>(new())).unwrap();
                assert_eq!(guard.origin(), Origin::CreatedHere);
                let old = usize::from(made > 0 || has_value);
                assert_eq!(dropped.load(Ordering::SeqCst), before + old);
            }
            let before = dropped.load(Ordering::SeqCst);
            drop(pile);
            assert_eq!(dropped.load(Ordering::SeqCst), before + 1);
        });
    }

    #[test]
    fn also_when_a_drop_panics_in_set() {
        a_drop_that_panics(|pile, new| pile.set(new), true);
    }

    #[test]
    fn also_when_a_drop_panics_in_publish() {
        a_drop_that_panics(|pile, new| drop(pile.refresh(|| Ok::<_, ()>(new))), true);
    }

    #[test]
    fn also_when_a_drop_panics_in_invalidate() {
        a_drop_that_panics(
            |pile, new| {
                // Unarmed by the old one.
                let _dropped_last = new;
                pile.invalidate();
            },
            false,
        );
    }

    #[test]
    fn also_when_a_drop_panics_with_the_last_guard() {
        a_drop_that_panics(
            |pile, new| {
                let guard = pile.peek().unwrap();
                pile.set(new);
                drop(guard);
            },
            true,
        );
    }

    /// Those who wait have their value all the same.
    #[test]
    fn also_when_a_drop_panics_and_somebody_waits() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(Duration::ZERO).build();
            let armed = Arc::new(AtomicBool::new(false));
            let dropped = Arc::new(AtomicUsize::new(0));
            let new = || Fragile {
                armed: Arc::clone(&armed),
                dropped: Arc::clone(&dropped),
            };
            pile.set(new());
            clock.advance(HOUR);
            thread::scope(|threads| {
                let mut waiter = None;
                assert!(bursts(|| pile.get_or_create(|| {
                    waiter = Some(threads.spawn(|| {
                        let guard = pile.get_or_create(|| panic!("a second creator"));
                        assert_eq!(guard.origin(), Origin::CreatedByAnother);
                    }));
                    until(|| pile.waiters() == 1);
                    armed.store(true, Ordering::SeqCst);
                    new()
                })));
                waiter.unwrap().join().unwrap();
            });
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert!(pile.is_fresh());
        });
    }
}

mod user_code_outside_locks {
    use super::*;

    /// All that one can ask a pile without waiting for a creation.
    fn ask<T: fmt::Debug>(pile: &Dogpile<T>) {
        drop(pile.peek());
        pile.has_value();
        pile.is_fresh();
        pile.age();
        pile.is_creating();
        pile.waiters();
        let _ = format!("{pile:?}");
        pile.expire();
        if let Some(guard) = pile.peek() {
            pile.expire_if(guard.seen());
        }
        let call = pile.call().wait(Duration::ZERO);
        let _ = call.get_or_try_create(|| Err("asked only"));
        if let Some(guard) = pile.peek() {
            pile.invalidate_if(guard.seen());
        }
        pile.invalidate();
    }

    impl fmt::Debug for OnDrop {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("OnDrop")
        }
    }

    /// A value, or an error, that asks a pile when it is dropped, and counts how often it was.
    fn asking<T>(pile: &Arc<Dogpile<T>>, asked: &Arc<AtomicUsize>) -> OnDrop
    where
        T: fmt::Debug + Send + Sync + 'static,
    {
        let (pile, asked) = (Arc::downgrade(pile), Arc::clone(asked));
        OnDrop::new(move || {
            // Dropped with the pile itself there is nothing to ask: a test has failed.
            let Some(pile) = pile.upgrade() else { return };
            ask(&pile);
            asked.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn creators() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let guard = pile.get_or_create(|| {
                ask(&pile);
                pile.set(9);
                ask(&pile);
                1
            });
            assert_eq!(guard.origin(), Origin::Superseded);
        });
    }

    /// A value whose `Drop` asks its own pile is dropped in each way there is.
    fn drops(replace: fn(&Dogpile<OnDrop>)) {
        within(move || {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let asked = Arc::new(AtomicUsize::new(0));
            let value = {
                let (pile, asked) = (Arc::downgrade(&pile), Arc::clone(&asked));
                OnDrop::new(move || {
                    let Some(pile) = pile.upgrade() else { return };
                    ask(&pile);
                    // And a real creation, and a set.
                    drop(pile.get_or_create(OnDrop::quiet));
                    pile.set(OnDrop::quiet());
                    asked.fetch_add(1, Ordering::SeqCst);
                })
            };
            pile.set(value);
            replace(&pile);
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            assert!(pile.is_fresh() && !pile.is_creating());
        });
    }

    #[test]
    fn drop_of_a_value_in_publish() {
        drops(|pile| drop(pile.refresh(|| Ok::<_, ()>(OnDrop::quiet()))));
    }

    #[test]
    fn drop_of_a_value_in_set() {
        drops(|pile| pile.set(OnDrop::quiet()));
    }

    #[test]
    fn drop_of_a_value_in_invalidate() {
        drops(|pile| pile.invalidate());
    }

    #[test]
    fn drop_of_a_value_in_invalidate_if() {
        drops(|pile| {
            let owned = pile.peek().unwrap().to_owned();
            assert!(pile.invalidate_if(pile.peek().unwrap().seen()));
            drop(owned);
        });
    }

    #[test]
    fn drop_of_a_value_with_its_last_guard() {
        drops(|pile| {
            let guard = pile.peek().unwrap();
            pile.invalidate();
            drop(guard);
        });
    }

    #[test]
    fn drop_of_a_value_that_is_gone_by_its_age() {
        within(|| {
            let asked = Arc::new(AtomicUsize::new(0));
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.stale_while_revalidate(Duration::ZERO).build());
            pile.set(asking(&pile, &asked));
            clock.advance(MINUTE + Duration::from_nanos(1));
            let next = asking(&pile, &Arc::default());
            drop(pile.get_or_create(|| next));
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn drop_of_a_superseded_value() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let asked = Arc::new(AtomicUsize::new(0));
            let guard = pile.get_or_create(|| {
                pile.invalidate();
                asking(&pile, &asked)
            });
            assert_eq!(guard.origin(), Origin::Superseded);
            drop(guard);
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn drop_of_a_value_in_a_static() {
        static PILE: Dogpile<OnDrop> = Dogpile::new(MINUTE);
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        within(|| {
            PILE.set(OnDrop::new(|| {
                ask(&PILE);
                ASKED.fetch_add(1, Ordering::SeqCst);
            }));
            PILE.set(OnDrop::quiet());
            assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        });
    }

    /// An error with nobody waiting, one that somebody waits for, one of a superseded creation.
    #[test]
    fn drop_of_an_error() {
        within(|| {
            let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
            let asked = Arc::new(AtomicUsize::new(0));
            let error = || Err::<u32, _>(asking(&pile, &asked));
            drop(pile.get_or_try_create(error));
            // The last failure goes when the next one comes.
            drop(pile.get_or_try_create(|| Err("another type")));
            assert_eq!(asked.load(Ordering::SeqCst), 1);

            thread::scope(|threads| {
                drop(pile.get_or_try_create(|| {
                    for _ in 0..2 {
                        threads.spawn(|| drop(pile.get_or_try_create(error)));
                        threads.spawn(|| drop(pile.get_or_try_create(|| Err("another type"))));
                        threads.spawn(|| drop(pile.get_or_create(|| 1)));
                    }
                    until(|| pile.waiters() == 6);
                    error()
                }));
            });
            drop(pile.refresh(|| Err("another type")));
            assert!(asked.load(Ordering::SeqCst) >= 2);

            pile.invalidate();
            let before = asked.load(Ordering::SeqCst);
            drop(pile.get_or_try_create(|| {
                pile.invalidate();
                error()
            }));
            drop(pile.refresh(|| Err("another type")));
            assert_eq!(asked.load(Ordering::SeqCst), before + 1);
        });
    }

    /// A value that asks its pile when the pile is printed.
    struct Curious(&'static OnceLock<Dogpile<Curious>>);

    impl fmt::Debug for Curious {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let pile = self.0.get().unwrap();
            let (fresh, creating) = (pile.is_fresh(), pile.is_creating());
            drop(pile.get_or_create(|| Curious(self.0)));
            pile.expire();
            pile.invalidate();
            pile.set(Curious(self.0));
            write!(
                f,
                "fresh {fresh}, creating {creating}, waiters {}",
                pile.waiters()
            )
        }
    }

    #[test]
    fn debug_of_a_value() {
        static PILE: OnceLock<Dogpile<Curious>> = OnceLock::new();
        within(|| {
            let pile = PILE.get_or_init(|| Dogpile::with_value(MINUTE, Curious(&PILE)));
            let shown = format!("{pile:?}");
            assert!(
                shown.contains("fresh true, creating false, waiters 0"),
                "{shown}"
            );
            drop(pile.refresh(|| {
                let shown = format!("{pile:?}");
                assert!(
                    shown.contains("fresh true, creating true, waiters 0"),
                    "{shown}"
                );
                Ok::<_, ()>(Curious(&PILE))
            }));
        });
    }

    #[test]
    fn debug_without_a_value() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            assert!(format!("{pile:?}").contains("None"));
            let call = pile.call().wait(MINUTE);
            assert!(format!("{call:?}").contains("60s"));
            let builder = Dogpile::<u32>::builder(MINUTE);
            assert!(format!("{:?}", builder.clone()).contains("60s"));
        });
    }

    /// An unwinding creator is not inside anything either.
    #[test]
    fn drop_of_what_a_panicking_creator_held() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let asked = Arc::new(AtomicUsize::new(0));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let held = {
                    let (pile, asked) = (Arc::downgrade(&pile), Arc::clone(&asked));
                    OnDrop::new(move || {
                        let pile: Arc<Dogpile<u32>> = pile.upgrade().unwrap();
                        let answer = pile.get_or_try_create(|| Err::<u32, _>("nested"));
                        assert!(matches!(answer, Err(Error::Reentrant)));
                        ask(&pile);
                        asked.fetch_add(1, Ordering::SeqCst);
                    })
                };
                drop(pile.get_or_create(move || {
                    let _held = held;
                    burst()
                }));
            }));
            assert!(outcome.is_err());
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            assert_eq!(*pile.get_or_create(|| 1), 1);
        });
    }
}
