//! The promises to async callers, and to threads beside them.
//!
//! ```breakages
//! a-task-takes-what-began-too-early | src/call/election/told.rs | a_wait_ends::and_not_with_what_began_before_it
//! - if D::GATED || node.number() <= self.newer_than.number() {
//! + if D::GATED {
//!
//! tasks-woken-under-the-lock-of-a-gate | src/raw/gate.rs | user_code_outside_locks::wakers_of_tasks_at_a_gate
//! @ fn open_locked
//! - drop(state);
//!
//! tasks-woken-under-the-lock-of-the-turns | src/keyed/turns.rs | user_code_outside_locks::wakers_of_tasks_that_wait_for_their_turn
//! @ fn wake
//! - drop(locked);
//!
//! nobody-helps-to-wake | src/raw/wait/event.rs | broadcast::who_is_woken_wakes_others
//! - self.wants_help.store(true, Ordering::Relaxed);
//!   while self.wake_some() {}
//!
//! helps-where-another-helps | src/raw/wait/event.rs | broadcast::who_is_woken_wakes_others
//! - if self.wants_help.swap(false, Ordering::Relaxed) && self.wake_some() {
//! + if self.wake_some() {
//!
//! places-that-are-gone-are-used-again | src/raw/wait/wakers.rs | wait_timeout::by_a_clock_after_another_task_has_left
//! - self.free.clear();
//! ```

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Sleep, Timer};
use dogpile::{
    Accept, Attempt, Busy, Call, Created, Dogpile, Error, Lookup, Origin, Outcome,
    SyncReaderDogpile, Wait,
};

use crate::support::Shows as _;
use crate::support::{Census, MINUTE, NANO, Runs, SECOND, burst, bursts, manual, until, within};
use crate::tasks::{Alarm, Boxed, Spawn, block_on, on_runtimes, poll, poll_by, steps, until_task};

/// A creation that never ends.
async fn never<T>() -> T {
    pending().await
}

mod the_types {
    use super::*;

    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }

    /// The futures are `Send` where what they hold is, though guards live across await points.
    #[test]
    fn futures_may_be_sent() {
        let pile = Dogpile::<String>::new(MINUTE);
        let make = || async { String::from("x") };
        let try_make = || async { Ok::<_, String>(String::from("x")) };
        let look = || async { Ok(Lookup::NeedRegeneration) };
        drop(is_send(pile.get_or_create_async(make)));
        drop(is_send(pile.get_or_try_create_async(try_make)));
        drop(is_send(pile.refresh_async(try_make)));
        drop(is_send(pile.acquire_async(try_make, look)));
        drop(is_send(pile.get_or_try_create_with_async(
            |creating| async move {
                let previous = creating.previous();
                steps(1).await;
                Ok::<_, ()>(previous.map_or(Created::new(String::new()), Created::unchanged))
            },
        )));
        drop(is_send(async {
            let guard = pile.get_or_create_async(make).await;
            steps(1).await;
            guard.len()
        }));
        fn wait<T: Send>() {}
        wait::<Wait<'static, String>>();
    }

    /// Creators and values that stay where they are make futures that do.
    #[test]
    fn what_is_not_send_needs_not_be() {
        let pile = Dogpile::<std::rc::Rc<u8>>::new(MINUTE);
        let local = std::rc::Rc::new(1);
        let value = block_on(pile.get_or_create_async(|| async {
            steps(1).await;
            local.clone()
        }));
        assert_eq!(**value, 1);
    }
}

mod hits {
    use super::*;

    #[test]
    fn allocate_nothing() {
        let pile = Dogpile::with_value(MINUTE, 7);
        let (_, waker) = Alarm::new();
        let hit = || {
            let call = pin!(pile.get_or_create_async(never));
            assert!(poll_by(&waker, call).is_ready());
            let call = pin!(pile.get_or_try_create_async(never::<Result<_, ()>>));
            assert!(poll_by(&waker, call).is_ready());
            let call =
                pin!(pile.acquire_async(never::<Result<_, ()>>, || async { Ok(Lookup::Here(1)) }));
            assert!(poll_by(&waker, call).is_ready());
        };
        hit(); // What a thread allocates once.
        assert_eq!(allocation_counter::measure(hit).count_total, 0);
        // It can count.
        let counted = allocation_counter::measure(|| drop(Box::new(7)));
        assert_eq!(counted.count_total, 1);
    }

    #[test]
    fn do_not_call_the_creator() {
        let pile = Dogpile::with_value(MINUTE, 7);
        let value = block_on(pile.get_or_create_async(|| -> Boxed<i32> { panic!("called") }));
        assert_eq!((*value, value.origin()), (7, Origin::Fresh));
    }
}

mod first_call_waits {
    use super::*;

    #[test]
    fn tasks_and_threads_get_the_same_value() {
        async fn body(spawn: Spawn) {
            let pile = Arc::new(Dogpile::<i32>::new(MINUTE));
            let runs = Arc::new(Runs::default());
            let thread = {
                let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                move || *pile.get_or_create(|| runs.run(|| panic!("a second creator")))
            };
            let leads = {
                let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                Box::pin(async move {
                    let value = pile
                        .get_or_create_async(|| async {
                            runs.run(|| ());
                            until_task(|| pile.waiters() == 5).await;
                            1
                        })
                        .await;
                    assert_eq!((*value, value.origin()), (1, Origin::CreatedHere));
                })
            };
            let leads = spawn(leads);
            until_task(|| pile.is_creating()).await;
            let threads: Vec<_> = (0..2).map(|_| thread::spawn(thread.clone())).collect();
            let tasks: Vec<_> = (0..3).map(|_| spawn(Box::pin(waits(&pile)))).collect();
            leads.await;
            for task in tasks {
                task.await;
            }
            for thread in threads {
                assert_eq!(thread.join().unwrap(), 1);
            }
            assert_eq!((runs.count(), pile.waiters()), (1, 0));
        }
        fn waits(pile: &Arc<Dogpile<i32>>) -> impl Future<Output = ()> + Send + use<> {
            let pile = Arc::clone(pile);
            async move {
                let value = pile.get_or_create_async(never).await;
                assert_eq!((*value, value.origin()), (1, Origin::CreatedByAnother));
            }
        }
        on_runtimes(body);
    }

    #[test]
    fn a_task_waits_for_a_thread() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            thread::scope(|threads| {
                drop(pile.get_or_create(|| {
                    threads.spawn(|| {
                        let value = block_on(pile.get_or_create_async(never));
                        assert_eq!(*value, 1);
                    });
                    until(|| pile.waiters() == 1);
                    1
                }));
            });
        });
    }

    /// Handed over with the wake-up: by the time that the task is polled, nothing is left of it.
    #[test]
    fn the_outcome_is_handed_over() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.stale_while_revalidate(Duration::ZERO).build();
        let (alarm, waker) = Alarm::new();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let mut waiter = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&waker, waiter.as_mut()).is_pending());
        drop(lease.publish(1));
        assert_eq!(alarm.rings(), 1);
        clock.advance(MINUTE + NANO);
        pile.invalidate();
        let Poll::Ready(value) = poll(waiter) else {
            panic!("looked again")
        };
        assert_eq!(*value, 1);
    }

    #[test]
    fn a_set_reaches_waiting_tasks_at_once() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(_lease) = pile.attempt() else {
            panic!()
        };
        let (alarm, waker) = Alarm::new();
        let mut waiter = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&waker, waiter.as_mut()).is_pending());
        pile.set(1);
        assert_eq!(alarm.rings(), 1);
        assert!(matches!(poll(waiter), Poll::Ready(value) if *value == 1));
    }

    /// A task may be polled by one waker first and by another later: the last one counts.
    #[test]
    fn the_last_waker_is_woken() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let ((first, first_waker), (last, last_waker)) = (Alarm::new(), Alarm::new());
        let mut waiter = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&first_waker, waiter.as_mut()).is_pending());
        drop(first_waker);
        assert!(poll_by(&last_waker, waiter.as_mut()).is_pending());
        assert!(poll_by(&last_waker, waiter.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&first), 1, "keeps a waker of old");
        drop(lease.publish(1));
        assert_eq!((first.rings(), last.rings()), (0, 1));
        assert!(poll(waiter).is_ready());
    }
}

mod broadcast {
    use super::*;

    /// A task that its waker polls at once, and how many of these polls may be within each other.
    struct AtOnce {
        task: Mutex<Option<Boxed<()>>>,
        nested: Arc<(AtomicUsize, AtomicUsize)>,
    }

    impl AtOnce {
        fn poll(self: &Arc<Self>) -> Poll<()> {
            let mut task = self.task.lock().unwrap().take().expect("woken once");
            let polled = poll_by(&Waker::from(Arc::clone(self)), task.as_mut());
            if polled.is_pending() {
                *self.task.lock().unwrap() = Some(task);
            }
            polled
        }
    }

    impl Wake for AtOnce {
        fn wake(self: Arc<Self>) {
            let (now, most) = &*self.nested;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            assert!(self.poll().is_ready());
            now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// One at a time: wakers that poll their tasks at once do not nest any deeper, however many there are.
    #[test]
    fn who_is_woken_wakes_others() {
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let (nested, served) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..500 {
            let (pile, served) = (Arc::clone(&pile), Arc::clone(&served));
            let task = Arc::new(AtOnce {
                task: Mutex::new(Some(Box::pin(async move {
                    assert_eq!(*pile.get_or_create_async(never).await, 1);
                    served.fetch_add(1, Ordering::SeqCst);
                }))),
                nested: Arc::clone(&nested),
            });
            assert!(task.poll().is_pending());
        }
        drop(lease.publish(1));
        assert_eq!(served.load(Ordering::SeqCst), 500);
        assert_eq!(nested.1.load(Ordering::SeqCst), 2);
    }
}

mod a_wait_ends {
    use super::*;

    /// A creation that ends when it is told to, and a task that waits meanwhile for what `call` asks for.
    fn with(call: fn(Call<'_, u32>) -> Call<'_, u32>) -> (u32, Origin) {
        let pile = Dogpile::new(MINUTE);
        let may_end = Mutex::new(false);
        let first = pile.get_or_create_async(|| async {
            until_task(|| *may_end.lock().unwrap()).await;
            1
        });
        let (mut first, (alarm, waker)) = (pin!(first), Alarm::new());
        assert!(poll(first.as_mut()).is_pending());
        let second = call(pile.call()).get_or_try_create_async(|| async { Ok::<_, ()>(2) });
        let mut second = pin!(second);
        assert!(poll_by(&waker, second.as_mut()).is_pending());
        *may_end.lock().unwrap() = true;
        assert_eq!(*block_on(first), 1);
        assert_eq!(alarm.rings(), 1);
        let Poll::Ready(Ok(answer)) = poll_by(&waker, second.as_mut()) else {
            panic!("it goes on waiting");
        };
        (*answer, answer.origin())
    }

    #[test]
    fn with_what_another_made() {
        assert_eq!(with(|call| call), (1, Origin::CreatedByAnother));
    }

    #[test]
    fn and_not_with_what_began_before_it() {
        let new = with(|call| call.accept(Accept::New));
        assert_eq!(new, (2, Origin::CreatedHere));
    }
}

/// Who waited for two creations that brought nothing came before the third one, and before what supersedes
/// that.
#[test]
fn no_starvation() {
    let pile = Dogpile::new(MINUTE);
    let lease = || match pile.attempt() {
        Attempt::Lease(lease) => lease,
        other => panic!("{other:?}"),
    };
    let mut waiter = pin!(pile.get_or_create_async(never));
    let mut creation = lease();
    for _ in 0..2 {
        assert!(poll(waiter.as_mut()).is_pending());
        drop(creation);
        creation = lease();
    }
    pile.invalidate();
    assert!(poll(waiter.as_mut()).is_pending());
    drop(creation.publish(1));
    let Poll::Ready(answer) = poll(waiter) else {
        panic!("it goes on waiting");
    };
    assert_eq!((*answer, answer.origin()), (1, Origin::Superseded));
}

mod stale_never_blocks {
    use super::*;

    /// Also while the leader is not polled.
    #[test]
    fn a_parked_leader_blocks_nobody_who_has_a_stale_value() {
        let pile = Dogpile::with_value(MINUTE, 1);
        pile.expire();
        let mut leader = pin!(pile.get_or_create_async(|| async {
            steps(1).await;
            2
        }));
        assert!(poll(leader.as_mut()).is_pending());
        let value = block_on(pile.get_or_create_async(never));
        assert_eq!((*value, value.origin()), (1, Origin::Stale));
        assert_eq!(*pile.get_or_create(|| panic!("a second creator")), 1);
        assert!(matches!(poll(leader), Poll::Ready(value) if *value == 2));
    }
}

mod cancel_is_safe {
    use super::*;

    const STEPS: usize = 4;

    /// The leader is dropped after any number of polls: the waiters are woken, the first that is
    /// polled creates, the other gets what it made.
    #[test]
    fn a_leader_dropped_after_any_number_of_polls() {
        for polls in 1..=STEPS {
            for held in [None, Some(0)] {
                let pile = Dogpile::new(MINUTE);
                if let Some(value) = held {
                    pile.set(value);
                    pile.expire();
                }
                let runs = Runs::default();
                let call = pile.call().accept(Accept::Fresh);
                let create = || async {
                    runs.run(|| ());
                    steps(STEPS).await;
                    1
                };
                let mut leader = Box::pin(call.get_or_create_async(create));
                for _ in 0..polls {
                    assert!(poll(leader.as_mut()).is_pending());
                }
                let [mut first, mut other] =
                    [(); 2].map(|()| Box::pin(call.get_or_create_async(|| async { 2 })));
                let (alarms, wakers): (Vec<_>, Vec<_>) =
                    [Alarm::new(), Alarm::new()].into_iter().unzip();
                assert!(poll_by(&wakers[0], first.as_mut()).is_pending());
                assert!(poll_by(&wakers[1], other.as_mut()).is_pending());
                assert_eq!((pile.waiters(), runs.count()), (2, 1));
                drop(leader);
                assert!(!pile.is_creating(), "the lease is stuck");
                assert!(alarms.iter().all(|alarm| alarm.rings() == 1));
                // Whoever is polled first; the other sits on nothing.
                assert!(matches!(poll(other), Poll::Ready(Ok(value)) if *value == 2));
                let Poll::Ready(Ok(value)) = poll(first) else {
                    panic!()
                };
                assert_eq!((*value, pile.waiters()), (2, 0));
            }
        }
    }

    /// One that was never polled was no caller.
    #[test]
    fn a_caller_that_is_never_polled() {
        let pile = Dogpile::<u32>::new(MINUTE);
        drop(pile.get_or_create_async(never));
        assert!(!pile.is_creating());
        assert_eq!(*pile.get_or_create(|| 1), 1);
    }

    /// A waiter is dropped after any number of polls: it leaves nothing behind, and the other is
    /// served.
    #[test]
    fn a_waiter_dropped_after_any_number_of_polls() {
        for polls in 0..=3 {
            for drop_before_the_end in [true, false] {
                let pile = Dogpile::new(MINUTE);
                let Attempt::Lease(lease) = pile.attempt() else {
                    panic!()
                };
                let (gone, gone_waker) = Alarm::new();
                let (alarm, waker) = Alarm::new();
                let mut hasty = Box::pin(pile.get_or_create_async(never));
                let mut patient = Box::pin(pile.get_or_create_async(never));
                for _ in 0..polls {
                    assert!(poll_by(&gone_waker, hasty.as_mut()).is_pending());
                }
                drop(gone_waker);
                assert!(poll_by(&waker, patient.as_mut()).is_pending());
                if drop_before_the_end {
                    drop(hasty);
                    assert_eq!(Arc::strong_count(&gone), 1, "its waker is leaked");
                    assert_eq!(pile.waiters(), 1);
                    drop(lease.publish(1));
                    assert_eq!(gone.rings(), 0);
                } else {
                    drop(lease.publish(1));
                    // Woken, and dropped before it is polled again.
                    drop(hasty);
                    assert_eq!(Arc::strong_count(&gone), 1, "its waker is leaked");
                }
                assert_eq!(alarm.rings(), 1);
                assert!(matches!(poll(patient), Poll::Ready(value) if *value == 1));
                assert_eq!(pile.waiters(), 0);
            }
        }
    }

    /// Those who wait with a limit are woken when the clock is moved, and lie down again, each in its
    /// own time: one that does not, and is dropped, takes nobody along.
    #[test]
    fn a_waiter_that_was_nudged_and_dropped() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let call = pile.call().wait(MINUTE);
        let mut waiters = [(); 3].map(|()| Box::pin(call.get_or_create_async(never)));
        let (alarm, waker) = Alarm::new();
        for waiter in &mut waiters {
            assert!(poll_by(&waker, waiter.as_mut()).is_pending());
        }
        clock.advance(SECOND);
        assert_eq!(alarm.rings(), 3);
        let [first, mut second, mut third] = waiters;
        let [(_, second_waker), (last, last_waker)] = [Alarm::new(), Alarm::new()];
        assert!(poll_by(&last_waker, third.as_mut()).is_pending());
        assert!(poll_by(&second_waker, second.as_mut()).is_pending());
        drop((first, second));
        drop(lease.publish(1));
        assert_eq!((alarm.rings(), last.rings()), (3, 1));
        assert!(matches!(poll(third), Poll::Ready(Ok(value)) if *value == 1));
    }

    /// Two hundred thousand waiters come and go while one creation runs: nothing of them stays.
    #[test]
    fn waiters_that_come_and_go_leave_nothing() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let (_, waker) = Alarm::new();
        let come_and_go = || {
            let mut waiter = pin!(pile.get_or_create_async(never));
            assert!(poll_by(&waker, waiter.as_mut()).is_pending());
        };
        come_and_go();
        let counted = allocation_counter::measure(|| (0..1000).for_each(|_| come_and_go()));
        assert_eq!(counted.bytes_current, 0);
        drop(lease);
    }

    /// The waiter of a busy look, dropped or not.
    #[test]
    fn a_busy_look_awaited() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let busy = || -> Busy<'_, u32> {
            match pile.attempt() {
                Attempt::Busy(busy) => busy,
                _ => panic!(),
            }
        };
        let mut dropped = Box::pin(async { busy().await });
        assert!(poll(dropped.as_mut()).is_pending());
        let mut waits = Box::pin(async { busy().await });
        assert!(poll(waits.as_mut()).is_pending());
        drop(dropped);
        drop(lease.publish(1));
        assert!(matches!(poll(waits), Poll::Ready(Outcome::Value(value)) if *value == 1));
        // One that is over already.
        pile.expire();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let late = busy();
        drop(lease);
        assert!(matches!(block_on(async { late.await }), Outcome::ElectAnew));
    }

    /// Everybody is dropped at some point, on every runtime, threads beside them.
    #[test]
    fn herds_of_which_most_are_dropped() {
        async fn body(spawn: Spawn) {
            let census = Census::default();
            let pile = Arc::new(Dogpile::new(MINUTE));
            let runs = Arc::new(Runs::default());
            for round in 0..20 {
                pile.invalidate();
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        let (pile, census) = (Arc::clone(&pile), census.clone());
                        thread::spawn(move || {
                            drop(pile.get_or_create(|| census.value(round)));
                        })
                    })
                    .collect();
                let tasks: Vec<_> = (0..40)
                    .map(|number: usize| {
                        let (pile, census) = (Arc::clone(&pile), census.clone());
                        let runs = Arc::clone(&runs);
                        spawn(Box::pin(async move {
                            let caller = pile.get_or_create_async(|| async {
                                runs.run(|| ());
                                steps(number % 7).await;
                                census.value(round)
                            });
                            let mut caller = Box::pin(caller);
                            // A few polls, and then no more; every eighth holds on.
                            if number % 8 == 0 {
                                drop(caller.await);
                                return;
                            }
                            for _ in 0..number % 5 {
                                if poll(caller.as_mut()).is_ready() {
                                    return;
                                }
                                steps(1).await;
                            }
                        }))
                    })
                    .collect();
                for task in tasks {
                    task.await;
                }
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!((pile.waiters(), pile.is_creating()), (0, false));
                assert_eq!(census.live(), 1);
            }
            drop(pile);
            assert_eq!(census.live(), 0);
        }
        on_runtimes(body);
    }

    /// A creation that is dropped with its caller may use the pile as it goes.
    #[test]
    fn a_creation_that_asks_its_pile_as_it_is_dropped() {
        struct AsksOnDrop<'a>(&'a Dogpile<u32>);
        impl Drop for AsksOnDrop<'_> {
            fn drop(&mut self) {
                let answer = self.0.get_or_try_create(|| Ok::<_, ()>(2));
                assert!(answer.unwrap_err().is_reentrant());
            }
        }
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let mut caller = Box::pin(pile.get_or_create_async(|| async {
                let _asks = AsksOnDrop(&pile);
                never().await
            }));
            assert!(poll(caller.as_mut()).is_pending());
            drop(caller);
            // Left again.
            assert_eq!(*pile.get_or_create(|| 1), 1);
        });
    }

    #[test]
    fn a_look_up_that_is_dropped_elects_nobody() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let make = || never::<Result<u32, ()>>();
        let mut caller = Box::pin(pile.acquire_async(make, never));
        assert!(poll(caller.as_mut()).is_pending());
        assert!(!pile.is_creating());
        drop(caller);
        assert!(pile.is_fresh());
    }
}

mod panic_hands_over {
    use super::*;

    #[test]
    fn in_any_poll() {
        for polls in 0..3 {
            let pile = Dogpile::new(MINUTE);
            let mut leader = Box::pin(pile.get_or_create_async(|| async {
                steps(polls).await;
                burst()
            }));
            for _ in 0..polls {
                assert!(poll(leader.as_mut()).is_pending());
            }
            let (alarm, waker) = Alarm::new();
            let mut waiter = Box::pin(pile.get_or_create_async(|| async { 1 }));
            if polls > 0 {
                assert!(poll_by(&waker, waiter.as_mut()).is_pending());
            }
            assert!(bursts(AssertUnwindSafe(|| poll(leader.as_mut()))));
            assert!(!pile.is_creating());
            assert_eq!(alarm.rings(), usize::from(polls > 0));
            assert!(matches!(poll(waiter), Poll::Ready(value) if *value == 1));
        }
    }

    #[test]
    fn in_the_call_of_the_creator() {
        let pile = Dogpile::new(MINUTE);
        let caller = pile.get_or_create_async(|| -> Boxed<u32> { burst() });
        assert!(bursts(AssertUnwindSafe(|| block_on(caller))));
        assert_eq!(*pile.get_or_create(|| 1), 1);
    }
}

mod error_reaches_everyone_once {
    use super::*;

    #[test]
    fn tasks_and_threads() {
        within(|| {
            let pile = Dogpile::<u32>::new(MINUTE);
            thread::scope(|threads| {
                let mut caller = Box::pin(pile.get_or_try_create_async(|| async {
                    until_task(|| pile.waiters() == 2).await;
                    Err("down")
                }));
                assert!(poll(caller.as_mut()).is_pending());
                let thread = threads.spawn(|| {
                    let answer = pile.get_or_try_create(|| panic!("run again"));
                    answer.map(|value| *value)
                });
                let mut task = Box::pin(pile.get_or_try_create_async(never::<Result<_, &str>>));
                assert!(poll(task.as_mut()).is_pending());
                let failed = block_on(caller).unwrap_err();
                assert_eq!(failed.created(), Some(&"down"));
                let answer: Result<u32, Error<&str>> = thread.join().unwrap();
                assert_eq!(answer.unwrap_err().created(), Some(&"down"));
                assert_eq!(block_on(task).unwrap_err().created(), Some(&"down"));
            });
        });
    }

    /// Whose creator cannot fail creates itself.
    #[test]
    fn not_those_who_cannot_fail() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let mut waiter = pin!(pile.get_or_create_async(|| async { 1 }));
        assert!(poll(waiter.as_mut()).is_pending());
        drop(lease.fail("down"));
        assert!(matches!(poll(waiter), Poll::Ready(value) if *value == 1));
    }
}

mod reentrancy_is_an_error {
    use super::*;

    /// In each poll of the creator's future, and in no other.
    #[test]
    fn poll_by_poll() {
        let pile = Dogpile::new(MINUTE);
        let inside = || async {
            let inner = pile.get_or_try_create_async(never::<Result<_, ()>>).await;
            assert!(inner.unwrap_err().is_reentrant());
            // So too if it would not wait.
            let hasty = pile.call().wait(Duration::ZERO);
            let inner = hasty.get_or_try_create_async(never::<Result<_, ()>>).await;
            assert!(inner.unwrap_err().is_reentrant());
            // A call of a thread's, in a task.
            let inner = pile.get_or_try_create(|| Ok::<_, ()>(3));
            assert!(inner.unwrap_err().is_reentrant());
        };
        let mut leader = Box::pin(pile.get_or_create_async(|| async {
            inside().await;
            steps(1).await;
            inside().await;
            1
        }));
        assert!(poll(leader.as_mut()).is_pending());
        // On the same thread, but not inside: another task.
        let mut waiter = Box::pin(pile.get_or_try_create_async(never::<Result<_, ()>>));
        assert!(poll(waiter.as_mut()).is_pending());
        assert!(matches!(poll(leader), Poll::Ready(value) if *value == 1));
        assert!(matches!(poll(waiter), Poll::Ready(Ok(value)) if *value == 1));
    }

    /// It goes with the task from thread to thread.
    #[test]
    fn wherever_it_is_polled() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let shared = Arc::clone(&pile);
            let mut leader = Box::pin(async move {
                let value = shared.get_or_create_async(|| async {
                    for _ in 0..3 {
                        let inner = shared.get_or_try_create(|| Ok::<_, ()>(2));
                        assert!(inner.unwrap_err().is_reentrant());
                        steps(1).await;
                    }
                    1
                });
                *value.await
            });
            for _ in 0..3 {
                let polled = thread::spawn(move || {
                    assert!(poll(leader.as_mut()).is_pending());
                    // The thread is out of it.
                    (leader, block_on(async { 1 }))
                });
                leader = polled.join().unwrap().0;
                // And this one never was in it.
                let call = pile.call().wait(Duration::ZERO);
                assert!(call.get_or_create(|| 3).unwrap_err().is_timed_out());
            }
            assert_eq!(block_on(leader), 1);
        });
    }

    /// One that began to wait outside, and is polled inside later, would wait for itself all the
    /// same.
    #[test]
    fn a_wait_that_is_taken_inside() {
        let pile = Dogpile::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let mut early = Box::pin(pile.get_or_try_create_async(never::<Result<u32, ()>>));
        assert!(poll(early.as_mut()).is_pending());
        drop(lease);
        let outer = block_on(pile.get_or_create_async(|| async {
            // Woken, it finds the lease held again: by this very creator.
            assert!(early.await.unwrap_err().is_reentrant());
            1
        }));
        assert_eq!(*outer, 1);
    }

    #[test]
    fn a_stale_value_is_served() {
        let pile = Dogpile::with_value(MINUTE, 1);
        pile.expire();
        let outer = block_on(
            pile.get_or_create_async(|| async { *pile.get_or_create_async(never).await + 1 }),
        );
        assert_eq!(*outer, 2);
    }

    #[test]
    fn the_infallible_form_panics_and_says_why() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let caller = pile.get_or_create_async(|| async { *pile.get_or_create_async(never).await });
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| drop(block_on(caller))));
        let payload = caught.unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert!(message.contains("inside the creator of the same pile"));
        assert!(!pile.is_creating());
    }
}

mod wait_timeout {
    use super::*;

    /// Taking over comes first, if both come at once.
    #[test]
    fn at_the_very_moment_of_a_take_over() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.max_create_time(SECOND).build();
        let Attempt::Lease(late) = pile.attempt() else {
            panic!("it is free");
        };
        let call = pile.call().wait(SECOND);
        let mut call = pin!(call.get_or_create_async(async || 2));
        assert!(poll(call.as_mut()).is_pending());
        clock.advance(SECOND);
        let Poll::Ready(answer) = poll(call) else {
            panic!("it goes on waiting");
        };
        assert_eq!(*answer.unwrap(), 2);
        drop(late);
    }

    /// Where a lease may be taken over, and nothing wakes a task for that, one without a limit waits for its
    /// end.
    #[test]
    fn without_one_no_timer_is_needed_for_a_take_over() {
        let pile = Dogpile::builder(MINUTE).max_create_time(MINUTE).build();
        let Attempt::Lease(creation) = pile.attempt() else {
            panic!("it is free");
        };
        let mut call = pin!(pile.get_or_create_async(never));
        assert!(poll(call.as_mut()).is_pending());
        drop(creation.publish(1).unwrap());
        assert!(poll(call).is_ready());
    }

    /// By a clock that is moved by hand the task is woken.
    #[test]
    fn by_a_clock_that_is_moved() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let (alarm, waker) = Alarm::new();
        let call: Call<'_, u32> = pile.call().wait(SECOND);
        let mut limited = pin!(call.get_or_create_async(never));
        let mut patient = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&waker, limited.as_mut()).is_pending());
        assert!(poll(patient.as_mut()).is_pending());
        clock.advance(SECOND - NANO);
        assert_eq!(alarm.rings(), 1);
        assert!(poll_by(&waker, limited.as_mut()).is_pending());
        clock.advance(NANO);
        assert_eq!(alarm.rings(), 2);
        let Poll::Ready(Err(error)) = poll(limited) else {
            panic!()
        };
        assert!(error.is_timed_out());
        assert!(poll(patient.as_mut()).is_pending());
        drop(lease.publish(1));
        assert!(matches!(poll(patient), Poll::Ready(value) if *value == 1));
    }

    /// All places of wakers are new once a clock has called them, those that were left before included.
    #[test]
    fn by_a_clock_after_another_task_has_left() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let Attempt::Lease(_lease) = pile.attempt() else {
            panic!()
        };
        let call: Call<'_, u32> = pile.call().wait(SECOND);
        let mut leaves = Box::pin(call.get_or_create_async(never));
        let mut stays = pin!(call.get_or_create_async(never));
        assert!(poll(leaves.as_mut()).is_pending());
        assert!(poll(stays.as_mut()).is_pending());
        drop(leaves);
        clock.advance(SECOND - NANO);
        let (alarm, waker) = Alarm::new();
        assert!(poll_by(&waker, stays.as_mut()).is_pending());
        clock.advance(NANO);
        assert_eq!(alarm.rings(), 1);
        let Poll::Ready(Err(error)) = poll(stays) else {
            panic!("it waits for as long as it may")
        };
        assert!(error.is_timed_out());
    }

    #[test]
    fn of_zero_never_waits_and_needs_no_timer() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let Attempt::Lease(_lease) = pile.attempt() else {
            panic!()
        };
        let call = pile.call().wait(Duration::ZERO);
        let Poll::Ready(Err(error)) = poll(pin!(call.get_or_create_async(never))) else {
            panic!()
        };
        assert!(error.is_timed_out());
    }

    /// The system's clock wakes nobody: a limit that nothing keeps is refused from the first call
    /// on, hit or not, and not only when there is something to wait for.
    #[test]
    fn without_a_timer_is_an_error() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let call = pile.call().wait(SECOND);
        let error = block_on(call.get_or_create_async(never)).unwrap_err();
        assert!(matches!(error, Error::NoTimer));
        let make = never::<Result<_, ()>>;
        let error = block_on(call.get_or_try_create_async(make)).unwrap_err();
        assert!(matches!(error, Error::NoTimer));
        let error = block_on(call.acquire_async(make, never)).unwrap_err();
        assert!(error.to_string().contains("Call::timer"));
        assert!(!pile.is_creating());
    }

    /// Nor does a clock that is injected and runs by itself: refused hit or not, too.
    #[test]
    fn by_a_clock_that_wakes_nobody_is_an_error() {
        struct Still;
        impl dogpile::Clock for Still {
            fn now(&self) -> dogpile::Tick {
                dogpile::Tick::ZERO
            }
        }
        let pile = Dogpile::builder(MINUTE).clock(Arc::new(Still)).build();
        for held in [true, false] {
            match held {
                true => pile.set(1),
                false => pile.invalidate(),
            }
            let call: Call<'_, u32> = pile.call().wait(SECOND);
            let make = never::<Result<_, ()>>;
            let Poll::Ready(Err(Error::NoTimer)) = poll(pin!(call.get_or_create_async(never)))
            else {
                panic!("a limit that nothing keeps")
            };
            let Poll::Ready(Err(Error::NoTimer)) = poll(pin!(call.acquire_async(make, never)))
            else {
                panic!("a limit that nothing keeps")
            };
            // Who never waits needs no timer.
            let call = call.wait(Duration::ZERO);
            let answer = poll(pin!(call.get_or_create_async(|| async { 1 })));
            assert!(matches!(answer, Poll::Ready(Ok(value)) if *value == 1));
        }
    }

    /// A timer that goes off when told to.
    #[derive(Default)]
    struct Bell(AtomicUsize, Arc<Mutex<Vec<Waker>>>);

    impl Bell {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            let wakers = std::mem::take(&mut *self.1.lock().unwrap());
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    struct Ring(Arc<Bell>);

    impl Timer for Ring {
        fn sleep(&self, limit: Duration) -> Option<Sleep> {
            assert!(limit <= SECOND);
            let bell = Arc::clone(&self.0);
            Some(Box::pin(std::future::poll_fn(move |cx| {
                if bell.0.load(Ordering::SeqCst) > 0 {
                    return Poll::Ready(());
                }
                bell.1.lock().unwrap().push(cx.waker().clone());
                Poll::Pending
            })))
        }
    }

    #[test]
    fn by_a_timer() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let timer = Ring(Arc::default());
        let call = pile.call().wait(SECOND).timer(&timer);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let (alarm, waker) = Alarm::new();
        let mut waiter = Box::pin(call.get_or_create_async(never));
        assert!(poll_by(&waker, waiter.as_mut()).is_pending());
        timer.0.ring();
        assert_eq!(alarm.rings(), 1);
        let Poll::Ready(Err(error)) = poll(waiter) else {
            panic!()
        };
        assert!(matches!(error, Error::TimedOut { limit: SECOND, .. }));
        assert_eq!(pile.waiters(), 0);
        drop(lease.publish(1));
        assert_eq!(*block_on(call.get_or_create_async(never)).unwrap(), 1);
    }

    /// The limit is to all waiting of the call, not to each; a value of the last moment counts.
    #[test]
    fn by_a_timer_and_in_all() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let lease = || match pile.attempt() {
            Attempt::Lease(lease) => lease,
            _ => panic!(),
        };
        let timer = Ring(Arc::default());
        let call = pile.call().wait(SECOND).timer(&timer);
        let (first, mut waiter) = (lease(), Box::pin(call.get_or_create_async(never)));
        assert!(poll(waiter.as_mut()).is_pending());
        drop(first);
        let second = lease();
        assert!(poll(waiter.as_mut()).is_pending());
        drop(second);
        let third = lease();
        timer.0.ring();
        // The wait for the second is over in the same moment; there is no time for the third.
        let Poll::Ready(Err(error)) = poll(waiter) else {
            panic!()
        };
        assert!(error.is_timed_out());
        // A value that is there at the very end is taken.
        let late = Ring(Arc::default());
        let call = pile.call().wait(SECOND).timer(&late);
        let mut waiter = Box::pin(call.get_or_create_async(never));
        assert!(poll(waiter.as_mut()).is_pending());
        late.0.ring();
        drop(third.publish(1));
        assert!(matches!(poll(waiter), Poll::Ready(Ok(value)) if *value == 1));
    }

    /// The time is over, the creation is given up in that very moment, and another runs already:
    /// there is no time for it, and the timer is not asked again.
    #[test]
    fn by_a_timer_that_goes_off_once() {
        struct Once(Mutex<Option<Box<dyn FnOnce() + Send>>>);
        impl Timer for Once {
            fn sleep(&self, _limit: Duration) -> Option<Sleep> {
                let at_the_end = self.0.lock().unwrap().take().expect("set once");
                Some(Box::pin(async { at_the_end() }))
            }
        }
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let lease = |pile: &Arc<Dogpile<u32>>| match pile.attempt_owned() {
            Attempt::Lease(lease) => lease,
            _ => panic!(),
        };
        let (first, shared) = (lease(&pile), Arc::clone(&pile));
        let timer = Once(Mutex::new(Some(Box::new(move || {
            drop(first);
            std::mem::forget(lease(&shared));
        }))));
        let call = pile.call().wait(SECOND).timer(&timer);
        let Poll::Ready(Err(error)) = poll(pin!(call.get_or_create_async(never))) else {
            panic!()
        };
        assert!(error.is_timed_out());
    }
}

mod user_code_outside_locks {
    use super::*;

    /// What a waker does when it is woken and when it is dropped.
    struct Acts {
        wake: Box<dyn Fn() + Send + Sync>,
        drop: Box<dyn Fn() + Send + Sync>,
    }

    impl Wake for Acts {
        fn wake(self: Arc<Self>) {
            (self.wake)();
        }
    }

    impl Drop for Acts {
        fn drop(&mut self) {
            (self.drop)();
        }
    }

    /// Everything that takes the lock of the pile, or that of the waiting tasks.
    fn ask_everything(pile: &Arc<Dogpile<u32>>) {
        drop(pile.peek());
        let _ = (pile.waiters(), pile.is_creating());
        let call = pile.call().wait(Duration::ZERO).accept(Accept::Fresh);
        drop(poll(pin!(call.get_or_create_async(never))));
        let mut waiter = pin!(pile.get_or_create_async(never));
        drop(poll(waiter.as_mut()));
        pile.expire();
    }

    #[test]
    fn wakers() {
        within(|| {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let asked = Arc::new(AtomicUsize::new(0));
            let ask = || {
                let (pile, asked) = (Arc::clone(&pile), Arc::clone(&asked));
                Box::new(move || {
                    ask_everything(&pile);
                    asked.fetch_add(1, Ordering::SeqCst);
                })
            };
            let acts = || {
                Waker::from(Arc::new(Acts {
                    wake: ask(),
                    drop: ask(),
                }))
            };
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!()
            };
            let mut waiters = [(); 3].map(|()| Box::pin(pile.get_or_create_async(never)));
            for waiter in &mut waiters {
                assert!(poll_by(&acts(), waiter.as_mut()).is_pending());
            }
            // One is polled by another waker, one is dropped, one is woken.
            let [mut first, second, third] = waiters;
            assert!(poll_by(&acts(), first.as_mut()).is_pending());
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            drop(second);
            assert_eq!(asked.load(Ordering::SeqCst), 2);
            drop(lease.publish(1));
            assert_eq!(asked.load(Ordering::SeqCst), 6);
            drop((first, third));
        });
    }

    /// A waker that acts when it is woken, and how often it was.
    fn acting(act: impl Fn() + Send + Sync + 'static) -> (Arc<AtomicUsize>, Waker) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&woken);
        let wake = move || {
            act();
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let acts = Acts {
            wake: Box::new(wake),
            drop: Box::new(|| ()),
        };
        (woken, Waker::from(Arc::new(acts)))
    }

    #[test]
    fn wakers_of_tasks_at_a_gate() {
        within(|| {
            let pile = Arc::new(SyncReaderDogpile::with_value(MINUTE, 1));
            let again = Arc::clone(&pile);
            let (woken, waker) = acting(move || drop(again.try_acquire_write_lock().unwrap()));
            let write = pile.acquire_write_lock().unwrap();
            let mut reader = pin!(pile.get_or_create_async(never));
            assert!(poll_by(&waker, reader.as_mut()).is_pending());
            drop(write);
            assert_eq!(woken.load(Ordering::SeqCst), 1);
            assert!(poll(reader).is_ready());
        });
    }

    #[test]
    fn wakers_of_tasks_that_wait_for_their_turn() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().creation_limit(1);
            let map = Arc::new(map.build());
            let again = Arc::clone(&map);
            let (woken, waker) = acting(move || assert_eq!(*again.get_or_create(&3, || 3), 3));
            let mut first = Box::pin(map.get_or_create_async(&1, never));
            assert!(poll(first.as_mut()).is_pending());
            let mut second = pin!(map.get_or_create_async(&2, || async { 2 }));
            assert!(poll_by(&waker, second.as_mut()).is_pending());
            drop(first);
            assert_eq!(woken.load(Ordering::SeqCst), 1);
            assert!(poll(second).is_ready());
        });
    }

    /// Woken by the clock, a task drops another that waits for the same creation.
    #[test]
    fn wakers_that_the_clock_wakes() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.build());
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!()
            };
            let waits = || {
                let pile = Arc::clone(&pile);
                Box::pin(async move {
                    let call = pile.call().wait(SECOND);
                    drop(call.get_or_create_async(never::<u32>).await);
                })
            };
            let mut other: Boxed<()> = waits();
            assert!(poll(other.as_mut()).is_pending());
            let other = Mutex::new(Some(other));
            let drops = Waker::from(Arc::new(Acts {
                wake: Box::new(move || drop(other.lock().unwrap().take())),
                drop: Box::new(|| ()),
            }));
            let mut waiter = waits();
            assert!(poll_by(&drops, waiter.as_mut()).is_pending());
            assert_eq!(pile.waiters(), 2);
            clock.advance(NANO);
            assert_eq!(pile.waiters(), 1);
            drop(lease.publish(1));
            assert!(poll(waiter).is_ready());
        });
    }

    /// A waker that panics keeps nobody from being woken, and its panic stays its own.
    #[test]
    fn wakers_that_panic() {
        within(|| {
            let pile = Dogpile::new(MINUTE);
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!()
            };
            let panics = Waker::from(Arc::new(Acts {
                wake: Box::new(|| burst()),
                drop: Box::new(|| ()),
            }));
            let (alarm, waker) = Alarm::new();
            let mut waiters = [(); 3].map(|()| Box::pin(pile.get_or_create_async(never)));
            for (waiter, waker) in waiters.iter_mut().zip([&panics, &waker, &panics]) {
                assert!(poll_by(waker, waiter.as_mut()).is_pending());
            }
            assert_eq!(*lease.publish(1).unwrap(), 1);
            assert_eq!(alarm.rings(), 1);
            for waiter in waiters {
                assert!(matches!(poll(waiter), Poll::Ready(value) if *value == 1));
            }
        });
    }
}

mod acquire {
    use super::*;

    #[test]
    fn looks_up_once_and_creates_for_all() {
        async fn body(spawn: Spawn) {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let (runs, looks) = (Arc::new(Runs::default()), Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                    let looks = Arc::clone(&looks);
                    spawn(Box::pin(async move {
                        let create = || async {
                            runs.run(|| ());
                            steps(3).await;
                            Ok::<_, ()>(1)
                        };
                        let get = || async {
                            looks.fetch_add(1, Ordering::SeqCst);
                            // Nobody begins to look after the creation, and so has to create.
                            until_task(|| looks.load(Ordering::SeqCst) == 10).await;
                            Ok(Lookup::NeedRegeneration)
                        };
                        let value = pile.acquire_async(create, get).await.unwrap();
                        assert_eq!(*value, 1);
                    }))
                })
                .collect();
            for task in tasks {
                task.await;
            }
            assert_eq!((runs.count(), looks.load(Ordering::SeqCst)), (1, 10));
        }
        on_runtimes(body);
    }

    #[test]
    fn an_error_of_the_look_up_elects_nobody() {
        let pile = Dogpile::<u32>::new(MINUTE);
        let answer = block_on(pile.acquire_async(never, || async { Err("down") }));
        assert!(matches!(answer, Err(Error::Get("down"))));
        assert!(!pile.is_creating());
    }

    #[test]
    fn a_new_one_is_not_looked_up() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let call = pile.call().accept(Accept::New);
        let answer = block_on(call.acquire_async(|| async { Ok::<_, ()>(2) }, never)).unwrap();
        assert_eq!((*answer, answer.origin()), (2, Origin::CreatedHere));
    }
}

mod the_rest_of_the_calls {
    use super::*;

    #[test]
    fn refresh_and_rich_creators() {
        let pile = Dogpile::with_value(MINUTE, 1);
        let new = block_on(pile.refresh_async(|| async { Ok::<_, ()>(2) })).unwrap();
        assert_eq!((*new, new.origin()), (2, Origin::CreatedHere));
        pile.expire();
        let renewed = block_on(pile.get_or_try_create_with_async(|creating| async move {
            steps(2).await;
            Ok::<_, ()>(Created::unchanged(creating.previous().unwrap()))
        }));
        assert_eq!(*renewed.unwrap(), 2);
        assert!(pile.is_fresh());
    }

    #[test]
    fn an_invalidate_meanwhile_supersedes() {
        let pile = Dogpile::new(MINUTE);
        let mut leader = Box::pin(pile.get_or_create_async(|| async {
            steps(1).await;
            1
        }));
        assert!(poll(leader.as_mut()).is_pending());
        let mut waiter = Box::pin(pile.get_or_create_async(|| async { 2 }));
        assert!(poll(waiter.as_mut()).is_pending());
        pile.invalidate();
        let Poll::Ready(value) = poll(leader) else {
            panic!()
        };
        assert_eq!((*value, value.origin()), (1, Origin::Superseded));
        // It waited already when the `invalidate` came.
        let Poll::Ready(value) = poll(waiter) else {
            panic!()
        };
        assert_eq!((*value, value.origin()), (1, Origin::Superseded));
        let next = block_on(pile.get_or_create_async(|| async { 2 }));
        assert_eq!((*next, next.origin()), (2, Origin::CreatedHere));
    }
}
