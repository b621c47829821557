//! Readers and writer: what a [`SyncReaderDogpile`] promises besides.
//!
//! ```breakages
//! the-last-writer-seems-inside | src/raw/gate.rs | nested_reader_goes_in::where_a_writer_was_before
//! @ fn open_locked
//! - state.writer_inside = false;
//!
//! every-creation-opens-what-was-left-to-one | src/raw/gate.rs | write_lock_in_creator::that_left_it_to_the_lease_before
//! - state.left_to = None;
//! ```

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use dogpile::{
    Accept, Clock, Created, Error, Lookup, ManualClock, Origin, Outcome, ReadAttempt, ReadGuard,
    SyncReaderDogpile, Tick, WriteLockError,
};

use crate::support::Shows as _;
use crate::support::{
    Census, HOUR, HookedClock, MINUTE, OnDrop, READINGS, SECOND, burst, bursts, hooked, manual,
    until, within,
};

type Pile = SyncReaderDogpile<u32>;

fn pile() -> Pile {
    SyncReaderDogpile::with_value(MINUTE, 1)
}

/// Runs `body` on a thread that holds no guard.
fn elsewhere<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|threads| threads.spawn(body).join()).unwrap()
}

/// Whether a writer is inside or waits: then a thread without a guard gets none.
fn is_closed<T: Send + Sync>(pile: &SyncReaderDogpile<T>) -> bool {
    elsewhere(|| pile.peek().is_none())
}

fn until_closed<T: Send + Sync>(pile: &SyncReaderDogpile<T>) {
    elsewhere(|| until(|| pile.peek().is_none()));
}

/// Whether some other thread is inside, as a reader or the writer.
fn is_in_use<T: Send + Sync>(pile: &SyncReaderDogpile<T>) -> bool {
    elsewhere(|| pile.try_acquire_write_lock().is_err())
}

/// A manual clock that tells how often somebody went to sleep with a limit.
#[derive(Default)]
struct Dormitory {
    clock: ManualClock,
    asleep: AtomicUsize,
}

impl Dormitory {
    fn pile(ttl: Duration) -> (Arc<Self>, Pile) {
        let clock = Arc::new(Self::default());
        let pile = SyncReaderDogpile::builder(ttl).clock(clock.clone());
        (clock, pile.build_sync_reader())
    }

    fn until_asleep(&self, count: usize) {
        until(|| self.asleep.load(Ordering::SeqCst) >= count);
    }
}

impl Clock for Dormitory {
    fn now(&self) -> Tick {
        self.clock.now()
    }

    fn on_advance(&self, sleeper: &Waker) -> bool {
        let heard = self.clock.on_advance(sleeper);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        heard
    }
}

mod write_lock_excludes_readers {
    use super::*;

    #[test]
    fn on_the_old_value_and_on_the_new() {
        within(|| {
            let pile = &pile();
            let left = &AtomicUsize::new(0);
            let old = pile.peek();
            pile.set(2);
            let new = pile.peek();
            pile.invalidate();
            pile.set(3);
            thread::scope(|threads| {
                let writer = threads.spawn(|| {
                    let write = pile.acquire_write_lock().unwrap();
                    assert_eq!(left.load(Ordering::SeqCst), 2);
                    drop(write);
                });
                until_closed(pile);
                for guard in [old, new] {
                    assert!(!writer.is_finished());
                    left.fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                }
            });
            assert!(pile.peek().is_some());
        });
    }

    #[test]
    fn while_it_is_held() {
        within(|| {
            let pile = &pile();
            let write = pile.acquire_write_lock().unwrap();
            elsewhere(|| {
                assert!(pile.peek().is_none());
                assert!(matches!(pile.attempt(), ReadAttempt::Busy(_)));
                let call = pile.call().wait(Duration::ZERO);
                assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
                let looked = call.acquire(|| Ok::<_, u8>(2), || Ok(Lookup::Here(3)));
                assert!(looked.unwrap_err().is_timed_out());
                // What is no reader goes on.
                assert!(pile.has_value() && pile.is_fresh() && pile.age().is_some());
                assert!(format!("{pile:?}").contains("None"));
                pile.expire();
            });
            drop(write);
            assert_eq!(*pile.get_or_create(|| 4), 4);
        });
    }

    #[test]
    fn another_writer_too() {
        within(|| {
            let pile = &pile();
            let inside = &AtomicUsize::new(0);
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        for _ in 0..100 {
                            let write = pile.acquire_write_lock().unwrap();
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(write);
                        }
                    });
                }
            });
            assert!(!is_in_use(pile));
        });
    }

    #[test]
    fn until_a_writer_panics() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            thread::scope(|threads| {
                assert!(bursts(|| {
                    let _write = pile.acquire_write_lock().unwrap();
                    threads.spawn(|| {
                        let call = pile.call().wait(HOUR);
                        assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
                    });
                    clock.until_asleep(1);
                    burst()
                }));
            });
            assert!(!is_in_use(pile));
        });
    }

    /// Readers of all kinds, and two writers.
    #[test]
    fn at_random() {
        within(|| {
            let pile = &pile();
            let (readers, stop) = (&AtomicIsize::new(0), &AtomicBool::new(false));
            // Who is inside is counted, between the guard's coming and going.
            let read = |guard: &ReadGuard<'_, u32>| {
                readers.fetch_add(1, Ordering::SeqCst);
                assert!(**guard > 0);
                readers.fetch_sub(1, Ordering::SeqCst);
            };
            let goes_on = || !stop.load(Ordering::SeqCst);
            let (send, sent) = mpsc::sync_channel::<ReadGuard<'_, u32>>(4);
            thread::scope(|threads| {
                threads.spawn(move || {
                    while goes_on() {
                        read(&pile.get_or_create(|| unreachable!("there is a value")));
                    }
                });
                threads.spawn(move || {
                    while goes_on() {
                        // One hand on the rope.
                        let mut held = pile.get_or_create(|| unreachable!("there is a value"));
                        for _ in 0..10 {
                            let next = pile.peek().expect("a reader goes in again");
                            drop(std::mem::replace(&mut held, next));
                            read(&held);
                        }
                    }
                });
                threads.spawn(move || {
                    while goes_on() {
                        if let Some(guard) = pile.peek() {
                            read(&guard);
                            drop(send.try_send(guard));
                        }
                    }
                });
                threads.spawn(move || sent.iter().for_each(|guard| read(&guard)));
                let writers = [(); 2].map(|()| {
                    threads.spawn(move || {
                        for number in 0..200 {
                            let write = pile.acquire_write_lock().unwrap();
                            assert_eq!(readers.load(Ordering::SeqCst), 0);
                            write.set(number + 1);
                            thread::yield_now();
                            assert_eq!(readers.load(Ordering::SeqCst), 0);
                            drop(write);
                        }
                    })
                });
                let ends = writers.map(|writer| writer.join());
                stop.store(true, Ordering::SeqCst);
                ends.map(|end| end.unwrap())
            });
        });
    }

    #[test]
    fn a_lock_let_go_by_another_thread() {
        within(|| {
            let pile = &pile();
            let write = pile.acquire_write_lock().unwrap();
            thread::scope(|threads| drop(threads.spawn(|| drop(write))));
            assert!(pile.peek().is_some());
            assert!(!is_in_use(pile));
        });
    }
}

mod the_limit_of_a_writer {
    use super::*;

    #[test]
    fn without_waiting() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek();
            let error = elsewhere(|| pile.try_acquire_write_lock().unwrap_err());
            let limit = Duration::ZERO;
            assert_eq!(error, WriteLockError::TimedOut { limit });
            // It was open again at once.
            assert!(!is_closed(pile));
            drop(guard);
            let write = pile.try_acquire_write_lock().unwrap();
            assert!(is_in_use(pile));
            drop(write);
        });
    }

    #[test]
    fn passes_while_there_are_readers() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let guard = pile.peek();
            thread::scope(|threads| {
                let writer = threads.spawn(|| pile.acquire_write_lock_for(SECOND).map(drop));
                clock.until_asleep(1);
                // A reader who waits behind it gets in when it gives up.
                let reader = threads.spawn(|| pile.get_or_create(|| 2).origin());
                clock.clock.advance(SECOND);
                let error = writer.join().unwrap().unwrap_err();
                assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
                assert_eq!(reader.join().unwrap(), Origin::Fresh);
            });
            drop(guard);
            assert!(!is_in_use(pile));
        });
    }

    #[test]
    fn passes_while_there_is_another_writer() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let write = pile.acquire_write_lock().unwrap();
            thread::scope(|threads| {
                let other = threads.spawn(|| pile.acquire_write_lock_for(SECOND).map(drop));
                clock.until_asleep(1);
                clock.clock.advance(SECOND);
                let error = other.join().unwrap().unwrap_err();
                assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
            });
            // It did not open what another had closed.
            assert!(is_closed(pile));
            drop(write);
            assert!(!is_closed(pile));
        });
    }

    #[test]
    fn does_not_pass_before_its_time() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let guard = pile.peek();
            thread::scope(|threads| {
                let writer = threads.spawn(|| pile.acquire_write_lock_for(SECOND).map(drop));
                for woken in 1..4 {
                    clock.until_asleep(woken);
                    clock.clock.advance(SECOND / 4);
                }
                drop(guard);
                assert_eq!(writer.join().unwrap(), Ok(()));
            });
        });
    }

    #[test]
    fn a_guard_held_for_ever_holds_up_nothing_else() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            elsewhere(|| std::mem::forget(pile.peek()));
            for _ in 0..3 {
                thread::scope(|threads| {
                    let before = clock.asleep.load(Ordering::SeqCst);
                    let writer = threads.spawn(|| pile.acquire_write_lock_for(SECOND).map(drop));
                    clock.until_asleep(before + 1);
                    clock.clock.advance(SECOND);
                    let error = writer.join().unwrap().unwrap_err();
                    assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
                });
                // Readers, creators, and writers of other piles.
                assert_eq!(*pile.peek().unwrap(), 1);
                pile.invalidate();
                assert_eq!(*pile.get_or_create(|| 1), 1);
                pile.set(1);
                assert!(super::pile().acquire_write_lock().is_ok());
            }
        });
    }
}

mod pending_writer_goes_first {
    use super::*;

    #[test]
    fn new_readers_wait_behind_it() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let order = &Mutex::new(Vec::new());
            let guard = pile.peek();
            thread::scope(|threads| {
                threads.spawn(|| {
                    let write = pile.acquire_write_lock().unwrap();
                    order.lock().unwrap().push("writer");
                    drop(write);
                });
                until_closed(pile);
                for reader in 1..=3 {
                    threads.spawn(|| {
                        let call = pile.call().wait(HOUR);
                        let guard = call.get_or_create(|| unreachable!("there is a value"));
                        order.lock().unwrap().push("reader");
                        drop(guard.unwrap());
                    });
                    clock.until_asleep(reader);
                }
                assert!(order.lock().unwrap().is_empty());
                drop(guard);
            });
            let order = order.lock().unwrap();
            assert_eq!(*order, ["writer", "reader", "reader", "reader"]);
        });
    }

    /// They see what the writer did.
    #[test]
    fn who_waited_sees_the_new_value() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let write = pile.acquire_write_lock().unwrap();
            thread::scope(|threads| {
                let called = threads.spawn(|| *pile.call().wait(HOUR).get_or_create(|| 3).unwrap());
                clock.until_asleep(1);
                let looked = threads.spawn(|| {
                    let call = pile.call().wait(HOUR);
                    let answer = call.acquire(
                        || Ok::<_, u8>(3),
                        || Ok(Lookup::Here(if pile.age() == Some(SECOND) { 2 } else { 1 })),
                    );
                    *answer.unwrap()
                });
                clock.until_asleep(2);
                write.set_with(Created::new(2).age(SECOND));
                drop(write);
                assert_eq!(called.join().unwrap(), 2);
                assert_eq!(looked.join().unwrap(), 2);
            });
        });
    }

    #[test]
    fn readers_without_a_pause_cannot_starve_it() {
        within(|| {
            let pile = &Arc::new(pile());
            let stop = &AtomicBool::new(false);
            let calls: [fn(&Arc<Pile>); 6] = [
                |pile| drop(pile.get_or_create(|| unreachable!("there is a value"))),
                |pile| drop(pile.peek()),
                |pile| drop(pile.attempt()),
                |pile| drop(pile.attempt_owned()),
                |pile| {
                    let call = pile.call().wait(Duration::ZERO);
                    drop(call.get_or_create(|| unreachable!("there is a value")));
                },
                |pile| drop(pile.acquire(|| Err(7), || Ok(Lookup::Here(2)))),
            ];
            thread::scope(|threads| {
                for call in calls.iter().chain(&calls) {
                    threads.spawn(move || {
                        while !stop.load(Ordering::SeqCst) {
                            call(pile);
                        }
                    });
                }
                for _ in 0..50 {
                    drop(pile.acquire_write_lock().unwrap());
                }
                stop.store(true, Ordering::SeqCst);
            });
        });
    }
}

mod nested_reader_goes_in {
    use super::*;

    /// Runs `body` with a guard, while a writer waits for it.
    fn while_a_writer_waits(body: impl FnOnce(&Pile, ReadGuard<'_, u32>)) {
        while_one_waits_at(&pile(), body);
    }

    fn while_one_waits_at(pile: &Pile, body: impl FnOnce(&Pile, ReadGuard<'_, u32>)) {
        let guard = pile.peek().unwrap();
        thread::scope(|threads| {
            let writer = threads.spawn(|| drop(pile.acquire_write_lock().unwrap()));
            until_closed(pile);
            body(pile, guard);
            writer.join().unwrap();
        });
        assert!(!is_in_use(pile));
    }

    #[test]
    fn by_every_way() {
        within(|| {
            while_a_writer_waits(|pile, guard| {
                assert_eq!(*pile.peek().unwrap(), 1);
                assert_eq!(*pile.get_or_create(|| 2), 1);
                let call = pile.call().wait(Duration::ZERO);
                assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
                assert_eq!(*call.max_age(SECOND).get_or_create(|| 2).unwrap(), 1);
                assert_eq!(*pile.get_or_try_create(|| Err(7)).unwrap(), 1);
                let looked = call.acquire(|| Err(7), || Ok(Lookup::Here(3)));
                assert_eq!(*looked.unwrap(), 3);
                assert!(matches!(pile.attempt(), ReadAttempt::Hit(_)));
                assert!(format!("{pile:?}").contains("Some(1)"));
                drop(guard);
            });
        });
    }

    #[test]
    fn where_a_writer_was_before() {
        within(|| {
            let pile = pile();
            drop(pile.acquire_write_lock().unwrap());
            while_one_waits_at(&pile, |pile, guard| {
                assert_eq!(*pile.peek().unwrap(), 1);
                drop(guard);
            });
        });
    }

    /// However many it holds.
    #[test]
    fn a_thousand_times() {
        within(|| {
            while_a_writer_waits(|pile, guard| {
                let more: Vec<_> = (0..1000).map(|_| pile.peek()).collect();
                drop(guard);
                assert!(more.into_iter().all(|guard| *guard.unwrap() == 1));
            });
        });
    }

    #[test]
    fn and_keeps_the_writer_out() {
        within(|| {
            while_a_writer_waits(|pile, guard| {
                let second = pile.peek().unwrap();
                drop(guard);
                let third = pile.peek().unwrap();
                drop(second);
                assert!(is_closed(pile));
                let fourth = pile.peek().unwrap();
                assert_eq!((*third, *fourth), (1, 1));
            });
        });
    }

    /// More guards than a thread has slots to show them in.
    #[test]
    fn with_many_guards() {
        within(|| {
            while_a_writer_waits(|pile, guard| {
                let mut guards: Vec<_> = (0..20).map(|_| pile.peek().unwrap()).collect();
                // From both ends: those that were counted, and those in slots.
                for _ in 0..10 {
                    drop(guards.pop());
                    drop(guards.swap_remove(0));
                    assert!(pile.peek().is_some());
                }
                drop(guard);
            });
        });
    }

    /// Guards of other piles take slots too.
    #[test]
    fn with_guards_of_many_piles() {
        within(|| {
            let others = [(); 5].map(|()| pile());
            let held = others.each_ref().map(|pile| pile.peek().unwrap());
            while_a_writer_waits(|pile, guard| {
                let again = [pile.peek().unwrap(), pile.peek().unwrap()];
                drop(guard);
                assert_eq!(again.map(|guard| *guard), [1, 1]);
            });
            for other in &others {
                assert!(is_in_use(other));
            }
            drop(held);
            for other in &others {
                assert!(other.try_acquire_write_lock().is_ok());
            }
        });
    }

    #[test]
    fn for_a_guard_that_was_sent_away_too() {
        within(|| {
            while_a_writer_waits(|pile, guard| {
                let (send, sent) = mpsc::channel::<ReadGuard<'_, u32>>();
                let (dropped, is_dropped) = mpsc::channel();
                thread::scope(|threads| {
                    threads.spawn(move || {
                        let guard = sent.recv().unwrap();
                        // Who was sent it did not take it itself.
                        assert!(pile.peek().is_none());
                        drop(guard);
                        dropped.send(()).unwrap();
                    });
                    drop(pile.peek().unwrap());
                    send.send(guard).unwrap();
                    is_dropped.recv().unwrap();
                });
                drop(pile.get_or_create(|| unreachable!("there is a value")));
            });
        });
    }

    /// A thread that ended leaves a guard behind: those that begin later do not hold it.
    #[test]
    fn not_for_the_guards_of_a_thread_that_ended() {
        within(|| {
            let pile = &pile();
            let guard = thread::scope(|threads| threads.spawn(|| pile.peek()).join()).unwrap();
            pile.invalidate();
            for _ in 0..20 {
                elsewhere(|| {
                    let error = pile.try_acquire_write_lock().unwrap_err();
                    assert!(matches!(error, WriteLockError::TimedOut { .. }));
                    pile.invalidate();
                    assert_eq!(*pile.get_or_create(|| 2), 2);
                });
            }
            drop(guard);
            assert!(pile.try_acquire_write_lock().is_ok());
        });
    }
}

mod write_lock_in_creator {
    use super::*;

    #[test]
    fn while_others_read_the_old_value() {
        within(|| {
            let pile = &pile();
            pile.expire();
            let guard = thread::scope(|threads| {
                let (in_hand, is_read) = mpsc::channel();
                let (go, gone) = mpsc::channel::<()>();
                let created = threads.spawn(move || {
                    let guard = pile.get_or_try_create_with(|creating| {
                        threads.spawn(move || {
                            let old = pile.get_or_create(|| 3);
                            in_hand.send(*old).unwrap();
                            gone.recv().unwrap();
                        });
                        assert_eq!(is_read.recv(), Ok(1));
                        go.send(()).unwrap();
                        let write = pile.acquire_write_lock().unwrap();
                        assert!(is_closed(pile));
                        write.until_published(&creating);
                        assert!(is_closed(pile));
                        Ok::<_, Infallible>(Created::new(2))
                    });
                    guard.unwrap()
                });
                created.join().unwrap()
            });
            assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
            assert!(!is_closed(pile));
        });
    }

    #[test]
    fn in_every_kind_of_creator() {
        within(|| {
            let pile = &Arc::new(pile());
            let lock = || drop(pile.acquire_write_lock().unwrap());
            pile.expire();
            drop(pile.get_or_create(|| {
                lock();
                2
            }));
            drop(pile.refresh(|| {
                lock();
                Ok::<_, u8>(3)
            }));
            pile.invalidate();
            let created = pile.acquire(
                || {
                    lock();
                    Ok::<_, u8>(4)
                },
                || Ok(Lookup::NeedRegeneration),
            );
            assert_eq!(*created.unwrap(), 4);
            pile.expire();
            let ReadAttempt::Lease(lease) = pile.attempt_owned() else {
                panic!("the lease is free");
            };
            let write = pile.acquire_write_lock().unwrap();
            drop(lease.publish(5).unwrap());
            assert!(is_closed(pile));
            drop(write);
            assert_eq!(*pile.peek().unwrap(), 5);
        });
    }

    #[test]
    fn while_others_wait_for_the_value() {
        within(|| {
            let pile = &Pile::new(MINUTE);
            thread::scope(|threads| {
                let created = pile.get_or_try_create_with(|creating| {
                    for _ in 0..3 {
                        threads.spawn(|| assert_eq!(*pile.get_or_create(|| 2), 1));
                    }
                    until(|| pile.waiters() == 3);
                    let write = pile.acquire_write_lock().unwrap();
                    write.until_published(&creating);
                    Ok::<_, Infallible>(Created::new(1))
                });
                assert_eq!(*created.unwrap(), 1);
            });
        });
    }

    /// However the creation ends, and whatever the creator has done with the lock.
    #[test]
    fn that_fails_or_panics() {
        within(|| {
            let pile = &pile();
            for until_published in [true, false] {
                for panics in [true, false] {
                    pile.expire();
                    let call = || {
                        let answer = pile.get_or_try_create_with(|creating| {
                            let write = pile.acquire_write_lock().unwrap();
                            let kept = if until_published {
                                write.until_published(&creating);
                                None
                            } else {
                                Some(write)
                            };
                            assert!(is_closed(pile));
                            if panics {
                                burst();
                            }
                            drop(kept);
                            Err::<Created<u32>, _>("no room left")
                        });
                        assert_eq!(answer.unwrap_err().created(), Some(&"no room left"));
                    };
                    assert_eq!(bursts(call), panics);
                    assert!(!is_in_use(pile));
                    assert!(!pile.is_creating());
                    assert_eq!(elsewhere(|| *pile.get_or_create(|| 1)), 1);
                }
            }
        });
    }

    /// The end of a creation opens what was left to that one alone.
    #[test]
    fn that_left_it_to_the_lease_before() {
        within(|| {
            let pile = Arc::new(pile());
            pile.expire();
            let created = pile.get_or_try_create_with(|creating| {
                let write = pile.acquire_write_lock().unwrap();
                write.until_published(&creating);
                Ok::<_, Infallible>(Created::new(2))
            });
            assert_eq!(*created.unwrap(), 2);
            pile.expire();
            let ReadAttempt::Lease(lease) = pile.attempt_owned() else {
                panic!("the lease is free");
            };
            let write = pile.acquire_write_lock().unwrap();
            drop(lease.publish(3).unwrap());
            assert!(is_closed(&pile));
            drop(write);
            assert_eq!(*pile.peek().unwrap(), 3);
        });
    }

    #[test]
    fn that_is_superseded() {
        within(|| {
            let pile = &pile();
            let call = pile.call().accept(Accept::New);
            let guard = call.get_or_try_create_with(|creating| {
                let write = pile.acquire_write_lock().unwrap();
                write.set(3);
                write.until_published(&creating);
                Ok::<_, Infallible>(Created::new(2))
            });
            let guard = guard.unwrap();
            assert_eq!((*guard, guard.origin()), (2, Origin::Superseded));
            assert_eq!(*pile.peek().unwrap(), 3);
        });
    }

    /// Readers of all kinds while a file is swapped: each value is seen with its own file only.
    #[test]
    fn none_sees_the_old_value_with_the_new_file() {
        within(|| {
            let site = &Site::new(SyncReaderDogpile::new(MINUTE));
            drop(site.create(false).unwrap());
            let stop = &AtomicBool::new(false);
            let readers: [fn(&Site); 4] = [
                |site| {
                    if let Some(guard) = site.pile.peek() {
                        site.check(&guard);
                    }
                },
                |site| site.check(&site.pile.get_or_create(|| site.newest())),
                |site| {
                    let none = || Ok(Lookup::NeedRegeneration);
                    let answer = site.pile.acquire(|| Ok::<_, u8>(site.newest()), none);
                    site.check(&answer.unwrap());
                },
                |site| {
                    if let ReadAttempt::Hit(guard) = site.pile.attempt() {
                        site.check(&guard);
                    }
                },
            ];
            thread::scope(|threads| {
                for read in readers {
                    threads.spawn(move || {
                        while !stop.load(Ordering::SeqCst) {
                            read(site);
                        }
                    });
                }
                let creators = [(); 2].map(|()| {
                    threads.spawn(move || {
                        for _ in 0..100 {
                            site.check(&site.create(false).unwrap());
                        }
                    })
                });
                let ends = creators.map(|creator| creator.join());
                stop.store(true, Ordering::SeqCst);
                ends.map(|end| end.unwrap())
            });
        });
    }

    /// A caller is stopped at each of its readings of the clock, and the file is swapped meanwhile,
    /// unless it is a reader just then.
    fn stopped_while_the_file_is_swapped(call: fn(&Site)) {
        let mut swaps = 0;
        for stop_at in 0..READINGS {
            let clock = Arc::new(HookedClock::default());
            let builder = SyncReaderDogpile::builder(MINUTE).clock(clock);
            let site = Arc::new(Site::new(builder.build_sync_reader()));
            let swapped = Arc::new(AtomicBool::new(false));
            let hook = {
                let (site, swapped) = (Arc::clone(&site), Arc::clone(&swapped));
                move |reading| {
                    if reading == stop_at {
                        let swap = elsewhere(|| site.create(true).is_ok());
                        swapped.store(swap, Ordering::SeqCst);
                    }
                }
            };
            hooked(hook, || call(&site));
            swaps += usize::from(swapped.load(Ordering::SeqCst));
        }
        assert!(swaps > 0, "swapped {swaps} times in mid-call");
    }

    #[test]
    fn neither_does_who_created_the_old_one() {
        within(|| {
            stopped_while_the_file_is_swapped(|site| {
                let call = site.pile.call().wait(MINUTE);
                site.check(&call.get_or_create(|| site.newest()).unwrap());
            });
        });
    }

    #[test]
    fn neither_does_who_asked_for_a_new_one() {
        within(|| {
            stopped_while_the_file_is_swapped(|site| {
                let call = site.pile.call().wait(MINUTE).accept(Accept::New);
                let answer = call.get_or_try_create(|| Ok::<_, u8>(site.newest()));
                site.check(&answer.unwrap());
            });
        });
    }

    #[test]
    fn neither_does_who_looked_in_vain() {
        within(|| {
            stopped_while_the_file_is_swapped(|site| {
                let none = || Ok(Lookup::NeedRegeneration);
                let call = site.pile.call().wait(MINUTE);
                let answer = call.acquire(|| Ok::<_, u8>(site.newest()), none);
                site.check(&answer.unwrap());
            });
        });
    }

    /// A pile whose values are the versions of a file.
    struct Site {
        pile: SyncReaderDogpile<u64>,
        file: AtomicU64,
    }

    impl Site {
        fn new(pile: SyncReaderDogpile<u64>) -> Self {
            let file = AtomicU64::new(0);
            Self { pile, file }
        }

        fn newest(&self) -> u64 {
            self.file.load(Ordering::SeqCst)
        }

        /// The file of the value that a reader holds stays in its place.
        fn check(&self, value: &u64) {
            for _ in 0..3 {
                assert_eq!(self.newest(), *value, "a value with another's file");
                thread::yield_now();
            }
        }

        /// Makes the next version, and puts it in its place; `at_once`, or not at all.
        fn create(&self, at_once: bool) -> Result<ReadGuard<'_, u64>, Error<WriteLockError>> {
            let mut call = self.pile.call().accept(Accept::New);
            if at_once {
                call = call.wait(Duration::ZERO);
            }
            call.get_or_try_create_with(|creating| {
                let write = if at_once {
                    self.pile.try_acquire_write_lock()?
                } else {
                    self.pile.acquire_write_lock()?
                };
                let version = self.file.fetch_add(1, Ordering::SeqCst) + 1;
                write.until_published(&creating);
                Ok(Created::new(version))
            })
        }
    }
}

mod reader_never_waits_for_creation {
    use super::*;

    fn holds_read_guard<T, E>(answer: Result<T, Error<E>>) -> bool {
        matches!(answer, Err(Error::HoldsReadGuard))
    }

    /// Whether every call that cannot be answered says so.
    fn asks_in_vain(pile: &Pile) {
        let create = || -> Result<u32, u8> { panic!("created as a reader") };
        assert!(holds_read_guard(pile.get_or_try_create(create)));
        assert!(holds_read_guard(pile.refresh(create)));
        let fresh = pile.call().accept(Accept::Fresh).wait(Duration::MAX);
        assert!(holds_read_guard(fresh.get_or_try_create(create)));
        assert!(holds_read_guard(
            pile.acquire(create, || Ok(Lookup::NeedRegeneration))
        ));
        assert!(holds_read_guard(
            pile.get_or_try_create_with(|_| create().map(Created::new))
        ));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            drop(pile.get_or_create(|| create().unwrap()));
        }));
        let payload = panic.unwrap_err();
        let text = payload.downcast_ref::<String>().expect("a message");
        assert!(text.contains("holds a read guard"), "{text}");
    }

    #[test]
    fn without_a_value() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek();
            pile.invalidate();
            asks_in_vain(pile);
            assert!(!pile.is_creating());
            drop(guard);
            assert_eq!(*pile.get_or_create(|| 2), 2);
        });
    }

    #[test]
    fn while_another_creates_the_first() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek();
            pile.invalidate();
            thread::scope(|threads| {
                threads.spawn(|| {
                    let created = pile.get_or_try_create_with(|creating| {
                        let write = pile.acquire_write_lock().unwrap();
                        write.until_published(&creating);
                        Ok::<_, Infallible>(Created::new(2))
                    });
                    assert_eq!(*created.unwrap(), 2);
                });
                until(|| pile.is_creating());
                until_closed(pile);
                asks_in_vain(pile);
                drop(guard);
            });
        });
    }

    #[test]
    fn it_is_served_a_stale_one_at_once() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek();
            pile.expire();
            thread::scope(|threads| {
                threads.spawn(|| {
                    let lock = || pile.acquire_write_lock().map(drop);
                    let created = pile.get_or_try_create(|| lock().map(|()| 2));
                    assert_eq!(*created.unwrap(), 2);
                });
                until(|| pile.is_creating());
                until_closed(pile);
                let again = pile.get_or_create(|| 3);
                assert_eq!((*again, again.origin()), (1, Origin::Stale));
                let looked = pile.acquire(|| Ok::<_, u8>(3), || Ok(Lookup::Here(1)));
                assert_eq!(looked.unwrap().origin(), Origin::Stale);
                drop((again, guard));
            });
        });
    }

    /// With a value to go on with it may be elected, as any other; only the write lock it is refused.
    #[test]
    fn it_may_renew_a_stale_one() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek().unwrap();
            pile.expire();
            let renewed = pile.get_or_create(|| {
                let refused = pile.acquire_write_lock().unwrap_err();
                assert_eq!(refused, WriteLockError::HoldsReadGuard);
                2
            });
            assert_eq!((*guard, *renewed), (1, 2));
        });
    }

    /// What it looked up is no more use to it than what is held: it is not elected.
    #[test]
    fn what_it_looked_up_may_be_gone() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = builder.stale_while_revalidate(SECOND).build_sync_reader();
            pile.set(1);
            let guard = pile.peek().unwrap();
            let create = || -> Result<u32, u8> { panic!("it is a reader") };
            let here = || Ok(Lookup::Here(1));
            assert_eq!(*pile.acquire(create, here).unwrap(), 1);
            clock.advance(MINUTE * 2);
            assert!(holds_read_guard(pile.acquire(create, here)));
            assert!(!pile.is_creating());
            drop(guard);
            assert_eq!(*pile.acquire(|| Ok::<_, u8>(2), here).unwrap(), 2);
        });
    }

    #[test]
    fn dead_is_as_good_as_none() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let builder = builder.stale_while_revalidate(MINUTE);
            let pile = &builder.build_sync_reader();
            pile.set(1);
            let guard = pile.peek();
            clock.advance(HOUR);
            assert!(!pile.has_value());
            asks_in_vain(pile);
            drop(guard);
        });
    }
}

mod write_lock_self_deadlock_is_an_error {
    use super::*;

    fn refused(pile: &SyncReaderDogpile<impl Send + Sync>, with: WriteLockError) {
        assert_eq!(pile.acquire_write_lock().unwrap_err(), with);
        assert_eq!(pile.try_acquire_write_lock().unwrap_err(), with);
        assert_eq!(pile.acquire_write_lock_for(HOUR).unwrap_err(), with);
    }

    #[test]
    fn under_a_read_guard() {
        within(|| {
            let (pile, other) = (&pile(), &pile());
            let guards = [pile.peek(), pile.peek()];
            for guard in guards {
                refused(pile, WriteLockError::HoldsReadGuard);
                assert!(!is_closed(pile));
                drop(guard);
            }
            let _guard = other.peek();
            assert!(pile.acquire_write_lock().is_ok());
        });
    }

    /// However many there are, and in whatever order they go.
    #[test]
    fn under_the_last_of_many_read_guards() {
        within(|| {
            let pile = &pile();
            let mut guards: Vec<_> = (0..1000).map(|_| pile.peek()).collect();
            let last = guards.pop();
            drop(guards);
            refused(pile, WriteLockError::HoldsReadGuard);
            drop(last);
            assert!(pile.acquire_write_lock().is_ok());
        });
    }

    #[test]
    fn under_the_answer_of_a_look_up() {
        within(|| {
            let pile = &pile();
            let get = || {
                refused(pile, WriteLockError::HoldsReadGuard);
                Ok(Lookup::Here(2))
            };
            let answer = pile.acquire(|| Ok::<_, u8>(3), get).unwrap();
            refused(pile, WriteLockError::HoldsReadGuard);
            assert!(is_in_use(pile));
            drop(answer);
            assert!(pile.acquire_write_lock().is_ok());
        });
    }

    #[test]
    fn under_the_lock_itself() {
        within(|| {
            let pile = &pile();
            let write = pile.acquire_write_lock().unwrap();
            refused(pile, WriteLockError::HoldsWriteLock);
            fn holds_write_lock<T>(answer: Result<T, Error<u8>>) -> bool {
                matches!(answer, Err(Error::HoldsWriteLock))
            }
            assert!(holds_write_lock(pile.get_or_try_create(|| Ok(2))));
            assert!(holds_write_lock(pile.refresh(|| Ok(2))));
            assert!(holds_write_lock(
                pile.acquire(|| Ok(2), || Ok(Lookup::Here(1)))
            ));
            assert!(pile.peek().is_none());
            assert!(matches!(pile.attempt(), ReadAttempt::Busy(_)));
            // And nothing of that let go of it.
            assert!(is_closed(pile));
            drop(write);
            assert!(!is_in_use(pile));
        });
    }

    #[test]
    fn in_a_creator_that_left_it_to_the_lease() {
        within(|| {
            let pile = &pile();
            pile.expire();
            let created = pile.get_or_try_create_with(|creating| {
                let write = pile.acquire_write_lock().unwrap();
                write.until_published(&creating);
                refused(pile, WriteLockError::HoldsWriteLock);
                let again = pile.get_or_try_create(|| Ok::<_, u8>(3));
                assert!(matches!(again, Err(Error::HoldsWriteLock)));
                Ok::<_, u8>(Created::new(2))
            });
            assert_eq!(*created.unwrap(), 2);
        });
    }

    /// There is nothing to wait for then, whoever creates meanwhile.
    #[test]
    fn in_an_attempt() {
        within(|| {
            let pile = SyncReaderDogpile::<u32>::new(MINUTE);
            let creation = pile.attempt();
            let write = pile.acquire_write_lock().unwrap();
            let ReadAttempt::Busy(busy) = pile.attempt() else {
                panic!("it is closed");
            };
            assert!(matches!(busy.wait_for(Duration::ZERO), Outcome::Reentrant));
            drop((write, creation));
        });
    }

    type Refusals = Arc<Mutex<Vec<Result<(), WriteLockError>>>>;

    /// A value that asks for the write lock of its own pile when it is dropped.
    fn asking(pile: &Arc<SyncReaderDogpile<OnDrop>>, answers: &Refusals) -> OnDrop {
        let (pile, answers) = (Arc::downgrade(pile), Arc::clone(answers));
        OnDrop::new(move || {
            if let Some(pile) = pile.upgrade() {
                let answer = pile.acquire_write_lock().map(drop);
                answers.lock().unwrap().push(answer);
            }
        })
    }

    #[test]
    fn inside_the_drop_of_a_value() {
        within(|| {
            let pile = Arc::new(SyncReaderDogpile::new(MINUTE));
            let answers = Refusals::default();
            let last = || answers.lock().unwrap().pop();
            pile.set(asking(&pile, &answers));
            // By one who is neither reader nor writer.
            pile.set(asking(&pile, &answers));
            assert_eq!(last(), Some(Ok(())));
            // By the last reader, who is still inside.
            let guard = pile.peek();
            pile.set(asking(&pile, &answers));
            assert_eq!(last(), None);
            drop(guard);
            assert_eq!(last(), Some(Err(WriteLockError::HoldsReadGuard)));
            // By the writer.
            let write = pile.acquire_write_lock().unwrap();
            write.set(asking(&pile, &answers));
            assert_eq!(last(), Some(Err(WriteLockError::HoldsWriteLock)));
            drop(write);
            // By a creator's publish, before it is open.
            let call = pile.call().accept(Accept::New);
            let created = call.get_or_try_create_with(|creating| {
                let write = pile.acquire_write_lock().unwrap();
                write.until_published(&creating);
                Ok::<_, Infallible>(Created::new(OnDrop::quiet()))
            });
            assert_eq!(last(), Some(Err(WriteLockError::HoldsWriteLock)));
            drop(created);
            assert!(!is_in_use(&pile));
        });
    }

    /// What cannot be noticed: a thread that was sent a guard. The limit is the remedy.
    #[test]
    fn but_the_guard_of_another_thread_only_times_out() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let guard = pile.peek();
            thread::scope(|threads| {
                let holder = threads.spawn(move || {
                    let error = pile.acquire_write_lock_for(SECOND).unwrap_err();
                    drop(guard);
                    error
                });
                clock.until_asleep(1);
                clock.clock.advance(SECOND);
                let error = holder.join().unwrap();
                assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
            });
            assert!(pile.acquire_write_lock().is_ok());
        });
    }
}

mod wait_timeout {
    use super::*;

    fn limit_of<T>(answer: Result<T, Error<Infallible>>) -> Option<Duration> {
        match answer {
            Err(Error::TimedOut { limit, .. }) => Some(limit),
            _ => None,
        }
    }

    #[test]
    fn counts_a_writer() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            pile.set(1);
            let write = pile.acquire_write_lock().unwrap();
            thread::scope(|threads| {
                let call = || limit_of(pile.call().wait(SECOND).get_or_create(|| 2));
                let called = threads.spawn(call);
                clock.until_asleep(1);
                let looked = threads.spawn(|| {
                    let call = pile.call().wait(SECOND);
                    limit_of(call.acquire(|| Ok(2), || Ok(Lookup::Here(1))))
                });
                clock.until_asleep(2);
                clock.clock.advance(SECOND);
                assert_eq!(called.join().unwrap(), Some(SECOND));
                assert_eq!(looked.join().unwrap(), Some(SECOND));
            });
            drop(write);
            assert_eq!(*pile.peek().unwrap(), 1);
        });
    }

    /// Three quarters of the limit for a writer, and then as much for a creation: too long.
    #[test]
    fn counts_a_writer_and_a_creation_together() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            let ReadAttempt::Lease(lease) = pile.attempt() else {
                panic!("there is no value");
            };
            let write = pile.acquire_write_lock().unwrap();
            thread::scope(|threads| {
                let called = threads.spawn(|| {
                    let call = pile.call().wait(SECOND);
                    limit_of(call.get_or_create(|| 2))
                });
                let looked = threads.spawn(|| {
                    let call = pile.call().wait(SECOND);
                    limit_of(call.acquire(|| Ok(2), || Ok(Lookup::NeedRegeneration)))
                });
                clock.until_asleep(2);
                clock.clock.advance(SECOND * 3 / 4);
                drop(write);
                until(|| pile.waiters() == 2);
                clock.clock.advance(SECOND * 3 / 4);
                assert_eq!(called.join().unwrap(), Some(SECOND));
                assert_eq!(looked.join().unwrap(), Some(SECOND));
            });
            drop(lease);
        });
    }

    #[test]
    fn does_not_count_its_own_creator() {
        within(|| {
            let (clock, pile) = &Dormitory::pile(MINUTE);
            let call = pile.call().wait(SECOND);
            let created = call.get_or_create(|| {
                clock.clock.advance(HOUR);
                1
            });
            assert_eq!(*created.unwrap(), 1);
            pile.invalidate();
            let created = call.acquire(
                || {
                    clock.clock.advance(HOUR);
                    Ok::<_, u8>(2)
                },
                || Ok(Lookup::NeedRegeneration),
            );
            assert_eq!(*created.unwrap(), 2);
        });
    }
}

/// A creation of another pile has nothing to do with this one's readers.
#[test]
fn until_published_is_for_a_creation_of_the_same_pile() {
    within(|| {
        let (pile, other) = (pile(), pile());
        other.invalidate();
        let created = catch_unwind(AssertUnwindSafe(|| {
            let _ = other.get_or_try_create_with(|creating| {
                let write = pile.acquire_write_lock().unwrap();
                write.until_published(&creating);
                Ok::<_, Infallible>(Created::new(2))
            });
        }));
        let message = created.unwrap_err();
        assert!(
            message
                .downcast_ref::<&str>()
                .unwrap()
                .contains("another pile")
        );
        assert!(pile.peek().is_some(), "the readers were let in");
        assert!(!other.is_creating(), "its lease was given up");
    });
}

mod looking_up {
    use super::*;

    /// Between the publish and the creator's way in, somebody else learns of a younger age. It is the
    /// same value, and its creator created it.
    #[test]
    fn a_younger_age_meanwhile_takes_nothing_from_the_creator() {
        type Ask = fn(&SyncReaderDogpile<OnDrop>) -> Origin;
        fn missing() -> Result<Lookup<OnDrop>, u8> {
            Ok(Lookup::NeedRegeneration)
        }
        let asks: &[Ask] = &[
            |pile| {
                let create = || Ok::<_, u8>(OnDrop::quiet());
                pile.acquire(create, missing).unwrap().origin()
            },
            |pile| {
                let create = || Ok::<_, u8>(OnDrop::quiet());
                pile.get_or_try_create(create).unwrap().origin()
            },
            #[cfg(feature = "async")]
            |pile| {
                let create = || async { Ok::<_, u8>(OnDrop::quiet()) };
                let answer = pile.acquire_async(create, || async { missing() });
                crate::tasks::block_on(answer).unwrap().origin()
            },
            #[cfg(feature = "async")]
            |pile| {
                let create = || async { Ok::<_, u8>(OnDrop::quiet()) };
                let answer = pile.get_or_try_create_async(create);
                crate::tasks::block_on(answer).unwrap().origin()
            },
        ];
        within(move || {
            for ask in asks {
                let (clock, builder) = manual(MINUTE);
                let pile = Arc::new(builder.build_sync_reader());
                let looked = Arc::new(AtomicUsize::new(0));
                let (late, looks) = (Arc::downgrade(&pile), Arc::clone(&looked));
                // Dropped by the publish that replaces it.
                pile.set(OnDrop::new(move || {
                    let Some(pile) = late.upgrade() else { return };
                    clock.advance(SECOND);
                    looks.fetch_add(1, Ordering::SeqCst);
                    let found = || Ok::<_, u8>(Lookup::Aged(OnDrop::quiet(), Duration::ZERO));
                    let create = || panic!("it was just created");
                    let origin = elsewhere(|| pile.acquire(create, found).unwrap().origin());
                    assert_eq!(origin, Origin::Fresh);
                    assert_eq!(pile.age(), Some(Duration::ZERO));
                }));
                pile.expire();
                assert_eq!(ask(&pile), Origin::CreatedHere);
                assert_eq!(looked.load(Ordering::SeqCst), 1);
            }
        });
    }

    #[test]
    fn get_runs_as_a_reader_and_leaves_before_creating() {
        within(|| {
            let pile = &Pile::new(MINUTE);
            let answer = pile.acquire(
                || {
                    assert!(!is_in_use(pile));
                    Ok::<_, u8>(1)
                },
                || {
                    assert!(is_in_use(pile));
                    Ok(Lookup::NeedRegeneration)
                },
            );
            assert_eq!(answer.as_ref().unwrap().origin(), Origin::CreatedHere);
            assert!(is_in_use(pile));
            drop(answer);
            assert!(!is_in_use(pile));
            // Found, it stays one.
            let answer = pile.acquire(|| Err(7), || Ok(Lookup::Here(2))).unwrap();
            assert_eq!((*answer, answer.origin()), (2, Origin::Fresh));
            assert!(is_in_use(pile));
            drop(answer);
            assert!(!is_in_use(pile));
        });
    }

    #[test]
    fn who_waits_for_a_creator_is_no_reader() {
        within(|| {
            let pile = &Pile::new(MINUTE);
            thread::scope(|threads| {
                let answer = pile.acquire(
                    || {
                        threads.spawn(|| {
                            let answer = pile.acquire(|| Err(7), || Ok(Lookup::NeedRegeneration));
                            assert_eq!(*answer.unwrap(), 1);
                        });
                        until(|| pile.waiters() == 1);
                        drop(pile.acquire_write_lock().unwrap());
                        Ok::<_, u8>(1)
                    },
                    || Ok(Lookup::NeedRegeneration),
                );
                assert_eq!(*answer.unwrap(), 1);
            });
        });
    }

    #[test]
    fn that_fails_or_panics_leaves() {
        within(|| {
            let pile = &pile();
            let answer = pile.acquire(|| Ok(2), || Err("torn"));
            assert!(matches!(answer, Err(Error::Get("torn"))));
            assert!(!is_in_use(pile));
            assert!(bursts(|| drop(pile.acquire(|| Ok::<_, u8>(2), || burst()))));
            assert!(!is_in_use(pile));
        });
    }
}

mod as_any_pile {
    use super::*;

    #[test]
    fn one_look() {
        within(|| {
            let pile = &Arc::new(pile());
            assert!(matches!(pile.attempt(), ReadAttempt::Hit(guard) if *guard == 1));
            pile.expire();
            let ReadAttempt::Lease(lease) = pile.attempt_owned() else {
                panic!("the lease is free");
            };
            // Who has the lease is no reader, who is served is one.
            assert!(!is_in_use(pile));
            let ReadAttempt::Busy(busy) = pile.attempt() else {
                panic!("the lease is held");
            };
            let stale = busy.into_stale().expect("there is a stale value");
            assert_eq!(stale.origin(), Origin::Stale);
            assert!(is_in_use(pile));
            drop(stale);
            pile.invalidate();
            assert!(matches!(pile.attempt(), ReadAttempt::Busy(_)));
            assert!(!is_in_use(pile));
            drop(lease);
            let ReadAttempt::Lease(lease) = pile.attempt() else {
                panic!("the lease is free");
            };
            assert_eq!(*lease.publish(2).unwrap(), 2);
            let write = pile.acquire_write_lock().unwrap();
            let ReadAttempt::Busy(mine) = pile.attempt_owned() else {
                panic!("the writer is inside");
            };
            assert!(matches!(mine.wait(), dogpile::Outcome::Reentrant));
            thread::scope(|threads| {
                let (told, is_busy) = std::sync::mpsc::channel();
                let other = threads.spawn(move || match pile.attempt() {
                    ReadAttempt::Busy(busy) => {
                        told.send(()).unwrap();
                        matches!(busy.wait(), dogpile::Outcome::ElectAnew)
                    }
                    _ => false,
                });
                is_busy.recv().unwrap();
                let waiting = threads.spawn(|| match pile.attempt() {
                    ReadAttempt::Busy(busy) => {
                        matches!(busy.wait_for(Duration::ZERO), dogpile::Outcome::TimedOut)
                    }
                    _ => false,
                });
                assert!(waiting.join().unwrap());
                drop(write);
                assert!(other.join().unwrap());
            });
            assert!(matches!(pile.attempt(), ReadAttempt::Hit(_)));
        });
    }

    #[test]
    fn newer_than_a_guard() {
        within(|| {
            let pile = &pile();
            let seen = pile.peek().unwrap();
            let newer = pile
                .call()
                .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
            assert!(matches!(
                newer.get_or_try_create(|| Ok::<_, u8>(2)),
                Err(Error::HoldsReadGuard)
            ));
            drop(seen);
            assert_eq!(*newer.get_or_create(|| 2).unwrap(), 2);
            assert_eq!(*newer.get_or_create(|| 3).unwrap(), 2);
        });
    }

    #[test]
    fn what_it_saw_it_expires_and_removes() {
        within(|| {
            let pile = &pile();
            let seen = pile.peek().unwrap();
            assert!(pile.expire_if(seen.seen()) && !pile.expire_if(seen.seen()));
            assert!(!pile.is_fresh() && pile.has_value());
            assert!(pile.invalidate_if(seen.seen()) && !pile.invalidate_if(seen.seen()));
            pile.set_with(Created::new(2).ttl(HOUR));
            assert!(!pile.expire_if(seen.seen()) && !pile.invalidate_if(seen.seen()));
        });
    }

    #[test]
    fn values_are_dropped_with_their_last_guard() {
        within(|| {
            let census = Census::default();
            let mut pile = SyncReaderDogpile::with_value(MINUTE, census.value(1));
            let guard = pile.peek();
            pile.set(census.value(2));
            assert_eq!(census.live(), 2);
            drop(guard);
            assert_eq!(census.live(), 1);
            pile.acquire_write_lock().unwrap().set(census.value(3));
            assert_eq!(census.live(), 1);
            assert_eq!(pile.get_mut().unwrap().number, 3);
            assert_eq!(pile.into_inner().unwrap().number, 3);
            assert_eq!(census.live(), 0);
        });
    }

    #[test]
    fn what_is_shown_of_it() {
        within(|| {
            let pile = &pile();
            let guard = pile.peek().unwrap();
            assert_eq!(format!("{guard} {guard:?}"), "1 1");
            assert_eq!(
                (guard.as_ref(), dogpile::Guard::age(&guard) < MINUTE),
                (&1, true)
            );
            let found = pile.acquire(|| Ok::<_, u8>(3), || Ok(Lookup::Here(2)));
            let found = found.unwrap();
            assert_eq!(format!("{found} {found:?} {}", found.as_ref()), "2 2 2");
            drop((guard, found));
            let write = pile.acquire_write_lock().unwrap();
            assert_eq!(format!("{write:?}"), "WriteGuard { .. }");
            assert_eq!(
                format!("{:?}", pile.attempt()),
                "Busy(Busy { stale: false, .. })"
            );
            assert!(format!("{:?}", pile.call()).starts_with("Call"));
        });
    }

    #[test]
    fn in_a_static() {
        within(|| {
            static PILE: SyncReaderDogpile<u32> =
                SyncReaderDogpile::builder(MINUTE).build_sync_reader();
            assert_eq!(*PILE.get_or_create(|| 1), 1);
            drop(PILE.acquire_write_lock().unwrap());
        });
    }
}

/// The last failure, as of any pile.
#[test]
fn it_tells_the_last_failure() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let pile = builder.build_sync_reader();
    assert!(pile.last_failure().is_none());
    assert!(pile.get_or_try_create(|| Err("down")).is_err());
    clock.advance(SECOND);
    let (failure, age) = pile.last_failure().unwrap();
    assert_eq!(age, SECOND);
    assert!(failure.to_string().contains("down"), "{failure}");
}
