//! Guards that are forgotten, kept, sent away or piled up, and values that do something when they
//! are dropped: whatever is done, every value is dropped once, and as soon as nobody reads it.

use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;

use dogpile::{Attempt, Dogpile, Guard, Origin, Owned};

use crate::support::{Census, Counted, MINUTE, OnDrop, burst, bursts, within};
use crate::support::{Keeps as _, Shows as _};

/// More than a thread can show at once without counting.
const MANY: u32 = 20;

/// Forgets a guard that takes a slot: that of a thread of its own, which has one to spare.
fn forget_one<T: Send + Sync>(pile: &Dogpile<T>) {
    thread::scope(|threads| drop(threads.spawn(|| mem::forget(pile.peek()))));
}

/// A pile of which guards may be kept for ever.
fn leaked<T>(value: T) -> &'static Dogpile<T> {
    Box::leak(Box::new(Dogpile::with_value(MINUTE, value)))
}

mod a_forgotten_guard {
    use super::*;

    #[test]
    fn keeps_its_value_until_the_pile_goes() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            mem::forget(pile.peek());
            for number in 1..=MANY {
                pile.set(census.value(number));
                drop(pile.peek());
                assert_eq!(census.live(), 2);
            }
            pile.invalidate();
            assert_eq!(census.live(), 1);
            drop(pile);
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn of_the_current_value_does_not_outlast_the_pile_either() {
        within(|| {
            let census = Census::default();
            for _ in 0..MANY {
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                forget_one(&pile);
                drop(pile);
                assert_eq!(census.live(), 0);
            }
        });
    }

    #[test]
    fn leaves_get_mut_and_into_inner_their_value() {
        within(|| {
            let census = Census::default();
            let mut pile = Dogpile::with_value(MINUTE, census.value(0));
            forget_one(&pile);
            pile.get_mut().unwrap().number = 1;
            forget_one(&pile);
            let value = pile.into_inner().unwrap();
            assert_eq!((value.number, census.live()), (1, 1));
        });
    }

    /// Its address stays shown, and must not be taken for that of a later value.
    #[test]
    fn keeps_no_value_of_another_pile() {
        within(|| {
            let census = Census::default();
            for _ in 0..100 {
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                forget_one(&pile);
                pile.set(census.value(1));
                forget_one(&pile);
                drop(pile);
                let other = Dogpile::new(MINUTE);
                for number in 0..MANY {
                    other.set(census.value(number));
                    assert_eq!(other.peek().unwrap().number, number);
                    assert_eq!(census.live(), 1);
                }
                drop(other);
                assert_eq!(census.live(), 0);
            }
        });
    }

    /// One that counts is forgotten like any counted pointer: with a share that nobody gives back.
    #[test]
    fn takes_along_only_its_own_value_if_it_was_counted() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            mem::forget(pile.peek().unwrap().to_owned());
            for number in 1..MANY {
                pile.set(census.value(number));
                assert_eq!(census.live(), 2);
            }
            drop(pile);
            assert_eq!(census.live(), 1);
        });
    }

    /// All slots of the thread are gone for good, and calls go on as before.
    #[test]
    fn and_so_many_that_no_slot_is_left() {
        within(|| {
            let census = Census::default();
            let forgotten = Dogpile::with_value(MINUTE, census.value(0));
            let other = Dogpile::with_value(MINUTE, census.value(0));
            for _ in 0..MANY {
                mem::forget(forgotten.peek());
            }
            for number in 1..MANY {
                assert_eq!(other.get_or_create(|| unreachable!()).number, number - 1);
                let guard = other.peek().unwrap();
                other.set(census.value(number));
                assert_eq!((guard.number, census.live()), (number - 1, 3));
                drop(guard);
                assert_eq!(census.live(), 2);
            }
            // Nor does it harm the next thread, which finds nothing to use in what this one had.
            thread::scope(|threads| {
                threads.spawn(|| assert_eq!(other.peek().unwrap().number, MANY - 1));
            });
        });
    }
}

mod a_guard_of_a_thread_that_ended {
    use super::*;

    #[test]
    fn while_others_take_over_its_place() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            thread::scope(|threads| {
                let mut kept = Vec::new();
                for number in 0..100 {
                    // Two of each, so that some are in use and some are not.
                    let reader = || (pile.peek().unwrap(), pile.peek().unwrap());
                    let (first, second) = threads.spawn(reader).join().unwrap();
                    drop(second);
                    assert_eq!(first.number, number);
                    kept.push(first);
                    pile.set(census.value(number + 1));
                    assert_eq!(census.live(), number as isize + 2);
                }
                // From both ends, and on yet another thread.
                let (half, census) = (kept.split_off(50), &census);
                threads.spawn(move || {
                    let mut live = 101;
                    for (old, new) in kept.into_iter().zip(half.into_iter().rev()) {
                        assert_eq!(old.number + new.number, 99);
                        drop(old);
                        live -= 1;
                        assert_eq!(census.live(), live);
                        drop(new);
                        live -= 1;
                        assert_eq!(census.live(), live);
                    }
                });
            });
            assert_eq!(census.live(), 1);
        });
    }

    #[test]
    fn while_the_next_one_reads_the_same_pile() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(1));
            thread::scope(|threads| {
                let kept = threads.spawn(|| pile.peek().unwrap()).join().unwrap();
                pile.set(census.value(2));
                let next = threads.spawn(|| pile.peek().unwrap()).join().unwrap();
                pile.set(census.value(3));
                assert_eq!((kept.number, next.number, census.live()), (1, 2, 3));
                drop(kept);
                assert_eq!((next.number, census.live()), (2, 2));
                drop(next);
                assert_eq!(census.live(), 1);
            });
        });
    }

    /// The guard lives in a thread-local, and goes with it: after the thread has left, or before.
    #[test]
    fn kept_in_a_thread_local() {
        thread_local! {
            static KEPT: RefCell<Vec<Guard<'static, Counted>>> = const { RefCell::new(Vec::new()) };
        }
        within(|| {
            for guards in [1, 8, 9, MANY] {
                for kept_first in [true, false] {
                    let census = Census::default();
                    let pile = leaked(census.value(1));
                    let made = census.clone();
                    let keeper = thread::spawn(move || {
                        if kept_first {
                            KEPT.with_borrow(|kept| assert!(kept.is_empty()));
                        }
                        let taken: Vec<_> = (0..guards).map(|_| pile.peek().unwrap()).collect();
                        KEPT.with_borrow_mut(|kept| kept.extend(taken));
                        pile.set(made.value(2));
                        assert_eq!(made.live(), 2);
                    });
                    keeper.join().unwrap();
                    assert_eq!(census.live(), 1);
                    pile.invalidate();
                    assert_eq!(census.live(), 0);
                }
            }
        });
    }
}

mod a_guard_sent_away {
    use super::*;

    #[test]
    fn is_dropped_there_while_its_thread_goes_on() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let (send, sent) = mpsc::sync_channel::<Guard<'_, Counted>>(16);
            thread::scope(|threads| {
                threads.spawn(move || {
                    // Each is still its value, and no older than the one before.
                    let mut last = 0;
                    for guard in sent {
                        assert!(guard.number >= last);
                        last = guard.number;
                    }
                });
                for number in 1..=5000 {
                    let guard = pile.peek().unwrap();
                    assert_eq!(guard.number, number - 1);
                    pile.set(census.value(number));
                    send.send(guard).unwrap();
                    assert_eq!(pile.get_or_create(|| unreachable!()).number, number);
                    // The current one, those on their way, and one at either end.
                    assert!((1..=19).contains(&census.live()));
                }
                drop(send);
            });
            assert_eq!(census.live(), 1);
        });
    }

    /// Two threads that drop each other's guards.
    #[test]
    fn and_another_comes_in_return() {
        fn swap<'a>(
            pile: &'a Dogpile<Counted>,
            send: mpsc::Sender<Guard<'a, Counted>>,
            sent: mpsc::Receiver<Guard<'a, Counted>>,
            meet: &Barrier,
        ) {
            for _ in 0..2000 {
                send.send(pile.peek().unwrap()).unwrap();
                let guard = sent.recv().unwrap();
                let number = guard.number;
                meet.wait();
                // It is replaced meanwhile, or has been.
                assert_eq!(guard.number, number);
            }
        }
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let meet = Barrier::new(2);
            let (to_one, one) = mpsc::channel();
            let (to_two, two) = mpsc::channel();
            thread::scope(|threads| {
                threads.spawn(|| swap(&pile, to_one, two, &meet));
                threads.spawn(|| swap(&pile, to_two, one, &meet));
                for number in 1..2000 {
                    pile.set(census.value(number));
                }
            });
            assert_eq!(census.live(), 1);
        });
    }
}

mod many_guards_at_once {
    use super::*;

    fn of_one_value(guards: usize) {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        let mut taken: Vec<_> = (0..guards).map(|_| pile.peek().unwrap()).collect();
        pile.set(census.value(2));
        assert!(taken.iter().all(|guard| guard.number == 1));
        // In the order of taking, in the other order, and the last one from the middle.
        while taken.len() > 1 {
            assert_eq!(census.live(), 2);
            drop(taken.swap_remove(0));
        }
        assert_eq!(taken[0].number, 1);
        drop(taken);
        assert_eq!(census.live(), 1);
        assert_eq!(pile.peek().unwrap().number, 2);
    }

    #[test]
    fn as_many_as_are_cheap_and_one_more() {
        within(|| (1..=10).for_each(of_one_value));
    }

    #[test]
    fn a_hundred_thousand() {
        within(|| of_one_value(100_000));
    }

    /// Each on a value of its own.
    fn of_old_values(guards: u32, drop_all: impl FnOnce(Vec<Guard<'_, Counted>>, &Census)) {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(0));
        let mut taken = Vec::new();
        for number in 1..=guards {
            taken.push(pile.peek().unwrap());
            pile.set(census.value(number));
        }
        assert!(
            taken
                .iter()
                .zip(0..)
                .all(|(guard, number)| guard.number == number)
        );
        assert_eq!(census.live(), guards as isize + 1);
        drop_all(taken, &census);
        assert_eq!(census.live(), 1);
    }

    #[test]
    fn ten_thousand_on_as_many_old_values() {
        within(|| of_old_values(10_000, |guards, _| drop(guards)));
    }

    #[test]
    fn each_takes_its_value_along() {
        within(|| {
            for guards in [1, 7, 8, 9, 16, 100] {
                of_old_values(guards, |mut guards, census| {
                    while !guards.is_empty() {
                        // Here and there.
                        let guard = guards.swap_remove(guards.len() / 3);
                        drop(guard);
                        assert_eq!(census.live(), guards.len() as isize + 1);
                    }
                });
            }
        });
    }

    /// All cheap ones, by threads that have ended.
    #[test]
    fn on_old_values_of_many_threads() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let mut taken = Vec::new();
            thread::scope(|threads| {
                for thread in 0..64_u32 {
                    let (pile, census) = (&pile, &census);
                    let reader = threads.spawn(move || {
                        let take = |n| {
                            let guard = pile.peek().unwrap();
                            pile.set(census.value(thread * 8 + n + 1));
                            guard
                        };
                        (0..8).map(take).collect::<Vec<_>>()
                    });
                    taken.extend(reader.join().unwrap());
                }
            });
            assert_eq!(census.live(), 513);
            assert!(
                taken
                    .iter()
                    .zip(0..)
                    .all(|(guard, number)| guard.number == number)
            );
            // A reader of the current value sees nothing of them.
            assert_eq!(pile.peek().unwrap().number, 512);
            while !taken.is_empty() {
                drop(taken.swap_remove(taken.len() / 2));
                assert_eq!(census.live(), taken.len() as isize + 1);
            }
        });
    }

    /// Of many piles, so that each thread shows values of all.
    #[test]
    fn of_many_piles() {
        within(|| {
            let census = Census::default();
            let piles: Vec<_> = (0..MANY)
                .map(|n| Dogpile::with_value(MINUTE, census.value(n)))
                .collect();
            let guards: Vec<_> = piles.iter().map(|pile| pile.peek().unwrap()).collect();
            for (pile, number) in piles.iter().zip(MANY..) {
                pile.set(census.value(number));
            }
            assert_eq!(census.live(), 2 * MANY as isize);
            for ((guard, number), live) in guards.into_iter().zip(0..).zip((0..2 * MANY).rev()) {
                assert_eq!(guard.number, number);
                drop(guard);
                assert_eq!(census.live(), live as isize);
            }
            for (pile, number) in piles.into_iter().zip(MANY..) {
                assert_eq!(pile.into_inner().unwrap().number, number);
            }
        });
    }
}

/// A thread that loses its thread-locals still reads, nests guards, replaces and drops values; it
/// has first used a pile before the thread-local in question was there, after that, or never.
#[test]
fn calls_from_the_destructor_of_a_thread_local() {
    struct Last {
        pile: &'static Dogpile<Counted>,
        census: Census,
        done: mpsc::Sender<()>,
    }
    impl Drop for Last {
        fn drop(&mut self) {
            let Self { pile, census, .. } = self;
            assert_eq!(pile.get_or_create(|| unreachable!()).number, 1);
            let old: Vec<_> = (0..MANY).map(|_| pile.peek().unwrap()).collect();
            pile.set(census.value(2));
            let created = pile.refresh(|| Ok::<_, ()>(census.value(3))).unwrap();
            assert_eq!((created.number, pile.peek().unwrap().number), (3, 3));
            assert!(old.iter().all(|guard| guard.number == 1));
            assert_eq!(census.live(), 2);
            drop(old);
            assert_eq!(census.live(), 1);
            // Only if nothing before it panicked.
            self.done.send(()).unwrap();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    within(|| {
        for used in [Some(false), Some(true), None] {
            let census = Census::default();
            let pile = leaked(census.value(1));
            let (done, is_done) = mpsc::channel();
            let last = Last {
                pile,
                census: census.clone(),
                done,
            };
            let ending = thread::spawn(move || {
                if used == Some(true) {
                    drop(pile.peek());
                }
                LAST.set(Some(last));
                if used == Some(false) {
                    drop(pile.peek());
                }
            });
            ending.join().unwrap();
            is_done.recv().unwrap();
            assert_eq!(pile.peek().unwrap().number, 3);
            pile.invalidate();
            assert_eq!(census.live(), 0);
        }
    });
}

mod dropped_in_the_middle_of_something {
    use super::*;

    #[test]
    fn of_a_creation() {
        within(|| {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(1));
            let old = pile.peek().unwrap();
            pile.set(census.value(2));
            let current = pile.peek().unwrap();
            let created = pile.refresh(|| {
                drop(old);
                assert_eq!(census.live(), 1);
                drop(current);
                // It is still the current one.
                assert_eq!(census.live(), 1);
                pile.set(census.value(3));
                assert_eq!(census.live(), 1);
                Ok::<_, ()>(census.value(4))
            });
            let created = created.unwrap();
            assert_eq!((created.number, created.origin()), (4, Origin::Superseded));
            assert_eq!(census.live(), 2);
            drop(created);
            assert_eq!(census.live(), 1);
        });
    }

    /// Values that hold guards of other values of the same pile, and drop them when they go.
    #[test]
    fn of_the_drop_of_a_value_of_the_same_pile() {
        struct Link {
            before: Option<Guard<'static, Link>>,
            _counted: Counted,
        }
        within(|| {
            let census = Census::default();
            let link = |number, before| Link {
                before,
                _counted: census.value(number),
            };
            let pile = leaked(link(0, None));
            // More than a thread has slots, and few enough for its stack.
            for number in 1..=100 {
                pile.set(link(number, pile.peek()));
            }
            assert_eq!(census.live(), 101);
            assert!(
                pile.peek()
                    .unwrap()
                    .before
                    .as_ref()
                    .unwrap()
                    .before
                    .is_some()
            );
            pile.set(link(0, None));
            assert_eq!(census.live(), 1);
            pile.invalidate();
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn of_the_drop_of_a_value_of_another_pile() {
        within(|| {
            let census = Census::default();
            let inner = Dogpile::with_value(MINUTE, census.value(1));
            let outer = Dogpile::with_value(MINUTE, inner.peek());
            inner.set(census.value(2));
            assert_eq!(census.live(), 2);
            outer.set(None);
            assert_eq!(census.live(), 1);
        });
    }

    /// What is dropped uses the pile that it belonged to, and another one.
    #[test]
    fn by_a_drop_that_uses_the_pile() {
        within(|| {
            let census = Census::default();
            let other = leaked(census.value(0));
            static PILE: OnceLock<&'static Dogpile<OnDrop>> = OnceLock::new();
            let dropped = Arc::new(AtomicUsize::new(0));
            let busy = |census: &Census, dropped: &Arc<AtomicUsize>| {
                let (census, dropped) = (census.clone(), Arc::clone(dropped));
                OnDrop::new(move || {
                    let pile = PILE.get().unwrap();
                    let guards: Vec<_> = (0..MANY).map(|_| (pile.peek(), other.peek())).collect();
                    assert!(pile.get_or_try_create(|| Err::<OnDrop, _>(())).is_ok());
                    other.set(census.value(1));
                    pile.set(OnDrop::quiet());
                    drop(guards);
                    dropped.fetch_add(1, Ordering::SeqCst);
                })
            };
            let pile = PILE.get_or_init(|| leaked(busy(&census, &dropped)));
            // By whoever replaces it ...
            pile.set(OnDrop::quiet());
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            // ... by its last reader ...
            pile.set(busy(&census, &dropped));
            let reader = pile.peek();
            pile.set(busy(&census, &dropped));
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            drop(reader);
            assert_eq!(dropped.load(Ordering::SeqCst), 3);
            // ... or by a creator.
            pile.set(busy(&census, &dropped));
            pile.expire();
            drop(pile.get_or_create(OnDrop::quiet));
            assert_eq!(dropped.load(Ordering::SeqCst), 4);
            assert_eq!(census.live(), 1);
        });
    }
}

mod a_drop_that_panics {
    use super::*;

    struct Fragile {
        bursts: bool,
        _counted: Counted,
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            // Not where a test has failed already: that would hide why.
            if self.bursts && !thread::panicking() {
                burst();
            }
        }
    }

    /// Replaced values, the guards of which were forgotten, and the current one: all are left to
    /// the pile, and one of them panics, each in its turn.
    #[test]
    fn at_the_end_of_the_pile() {
        within(|| {
            for fragile in 0..=6 {
                let census = Census::default();
                let value = |number| Fragile {
                    bursts: number == fragile,
                    _counted: census.value(number),
                };
                let pile = Dogpile::with_value(MINUTE, value(0));
                for number in 1..=6 {
                    forget_one(&pile);
                    pile.set(value(number));
                }
                assert_eq!(census.live(), 7);
                assert!(bursts(|| drop(pile)));
                assert_eq!(census.live(), 0);
            }
        });
    }

    #[test]
    fn with_its_last_guard() {
        within(|| {
            for fragile in 0..10 {
                let census = Census::default();
                let value = |number| Fragile {
                    bursts: number == fragile,
                    _counted: census.value(number),
                };
                let pile = Dogpile::with_value(MINUTE, value(0));
                let mut guards = Vec::new();
                for number in 1..=10 {
                    guards.push(pile.peek());
                    pile.set(value(number));
                }
                assert!(bursts(|| drop(guards)));
                assert_eq!(census.live(), 1);
                pile.set(value(11));
                assert_eq!(census.live(), 1);
            }
        });
    }

    /// The caller who replaces it unwinds; what it has put in place is there.
    #[test]
    fn when_it_is_replaced() {
        within(|| {
            let census = Census::default();
            let value = |bursts| Fragile {
                bursts,
                _counted: census.value(0),
            };
            let pile = Dogpile::with_value(MINUTE, value(true));
            assert!(bursts(|| pile.set(value(true))));
            assert_eq!(census.live(), 1);
            assert!(bursts(|| pile.invalidate()));
            assert_eq!(census.live(), 0);
            assert!(!pile.get_or_create(|| value(false)).bursts);
            pile.set(value(true));
            pile.expire();
            assert!(bursts(|| pile.get_or_create(|| value(false))));
            assert!(!pile.is_creating());
            assert!(!pile.peek().unwrap().bursts);
            assert_eq!(census.live(), 1);
        });
    }
}

#[test]
fn a_pile_goes_while_handles_are_out() {
    within(|| {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(0));
        let mut kept: Vec<Owned<_>> = Vec::new();
        for number in 1..=MANY {
            let guard = pile.peek().unwrap();
            pile.set(census.value(number));
            kept.push(guard.to_owned());
            // Made of a guard whose value was replaced already, and of another handle.
            kept.push(Owned::from(guard));
            kept.push(kept[0].clone());
        }
        kept.push(pile.peek().unwrap().to_owned());
        drop(pile);
        assert_eq!(census.live(), MANY as isize + 1);
        // What comes into its place is none of theirs.
        let other = Dogpile::with_value(MINUTE, census.value(100));
        other.set(census.value(101));
        let elsewhere = thread::spawn(move || {
            assert!(
                kept.chunks(3)
                    .zip(0..)
                    .all(|(some, number)| some[0].number == number)
            );
            drop(kept);
        });
        elsewhere.join().unwrap();
        assert_eq!((other.peek().unwrap().number, census.live()), (101, 1));
    });
}

/// A lease and a place among the waiters, both without a value in hand, are dropped anywhere too.
#[test]
fn guards_in_attempts() {
    within(|| {
        let census = Census::default();
        let pile = Dogpile::with_value(MINUTE, census.value(1));
        let hit = Mutex::new(pile.attempt());
        pile.set(census.value(2));
        assert!(matches!(&*hit.lock().unwrap(), Attempt::Hit(guard) if guard.number == 1));
        assert_eq!(census.live(), 2);
        thread::scope(|threads| drop(threads.spawn(|| drop(hit))));
        assert_eq!(census.live(), 1);
    });
}
