//! Of the creators of a map, how many run at once, and what they may wait for.
//!
//! ```breakages
//! who-waits-without-a-permit-is-not-counted | src/raw/keyed.rs | creation_limit::counts_who_waits_for_a_creation
//! @ fn attempt_without_lease
//! - Self::count_wait(&mut state, look.policy);
//!
//! a-place-for-each-key | src/keyed/turns.rs | woken_in_vain
//! - let waits = limited.place.lock().upgrade();
//! + let waits = None::<Arc<Place>>;
//!
//! a-renewal-that-does-not-wait-has-a-place | src/keyed/turns.rs | creation_limit::is_not_waited_for_by_a_renewal
//! - limited.turns.leave(&turn);
//! + let _ = turn;
//!
//! who-waits-for-a-key-keeps-its-permit | src/keyed/turns.rs | creation_limit::is_not_kept_by_who_waits_for_another_key
//! @ pub(super) fn end
//! - .and_then(|limited| limited.permit.lock().take());
//! + .and_then(|_| None::<Permit>);
//!
//! a-creator-of-several-keys-is-in-no-turn | src/keyed/turns.rs | creation_limit::is_good_for_what_a_creator_of_several_keys_calls
//! - self.0.as_ref().map(|limited| limited.turns.creation())
//! + None
//! ```

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Dogpile, Error, KeyedDogpile, Origin};

use crate::support::{LIMIT, MINUTE, Shows as _, burst, bursts, until, within};

type Map = Arc<KeyedDogpile<u32, u32>>;

fn limited(creations: usize) -> Map {
    Arc::new(
        Dogpile::builder(MINUTE)
            .keyed()
            .creation_limit(creations)
            .build(),
    )
}

/// Counts creators that run.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Running {
    fn run<R>(&self, creator: impl FnOnce() -> R) -> R {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let made = creator();
        self.now.fetch_sub(1, Ordering::SeqCst);
        made
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

mod creation_limit {
    use super::*;

    /// Twelve callers on forty keys each, in whatever form: three creators at once, and no more.
    fn of_three(ask: fn(&Map, u32, &Arc<Running>)) {
        within(move || {
            let (map, running) = (limited(3), Arc::new(Running::default()));
            thread::scope(|threads| {
                for thread in 0..12 {
                    let (map, running) = (&map, &running);
                    threads.spawn(move || {
                        for step in 0..40 {
                            ask(map, (step * 7 + thread * 11) % 100, running);
                        }
                    });
                }
            });
            assert!(running.most() <= 3, "{}", running.most());
            // All permits are back: as many as before can create at once.
            let start = Barrier::new(3);
            thread::scope(|threads| {
                for key in 1000..1003 {
                    let (map, start) = (&map, &start);
                    threads.spawn(move || {
                        map.get_or_create(&key, || {
                            start.wait();
                            key
                        })
                    });
                }
            });
        });
    }

    fn create(key: u32, running: &Running) -> u32 {
        running.run(|| {
            for _ in 0..20 {
                thread::yield_now();
            }
            key
        })
    }

    #[test]
    fn of_threads() {
        of_three(|map, key, running| {
            assert_eq!(*map.get_or_create(&key, || create(key, running)), key);
        });
    }

    #[test]
    fn of_creators_that_fail_or_panic() {
        of_three(|map, key, running| match key % 3 {
            0 => drop(bursts(|| {
                map.get_or_create(&key, || {
                    create(key, running);
                    burst()
                })
            })),
            1 => {
                let fail = || Err::<u32, _>(create(key, running));
                drop(map.get_or_try_create(&key, fail));
            }
            _ => drop(map.refresh(&key, || Ok::<_, u8>(create(key, running)))),
        });
    }

    #[test]
    fn of_calls_for_several_keys() {
        of_three(|map, key, running| {
            let keys: Vec<u32> = (key..key + 5).collect();
            let answers = map.get_or_create_multi(&keys, |wanted| {
                create(0, running);
                // What is made one by one is made in the same turn.
                let one = |key: &&u32| (**key, **key);
                wanted.iter().map(one).collect::<Vec<_>>()
            });
            assert!(
                answers
                    .iter()
                    .zip(&keys)
                    .all(|(answer, key)| **answer.as_ref().unwrap() == *key)
            );
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_tasks() {
        of_three(|map, key, running| {
            let call = map.get_or_create_async(&key, || async { create(key, running) });
            assert_eq!(*crate::tasks::block_on(call), key);
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_jobs() {
        of_three(|map, key, running| {
            let create = {
                let running = Arc::clone(running);
                move || create(key, &running)
            };
            let call = map.background(&key, &dogpile::executor::Thread);
            assert_eq!(*call.get_or_create(create).unwrap(), key);
        });
    }

    /// While there is no permit: a value is had at once, a stale one too; who must create waits.
    #[test]
    fn keeps_nobody_from_what_is_there() {
        within(|| {
            let map = limited(1);
            map.set(1, 1);
            map.set(2, 2);
            map.expire(&2);
            let created = map.get_or_create(&0, || {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let never = || -> Result<u32, u8> { panic!("there is no permit") };
                        assert_eq!(*map.get_or_try_create(&1, never).unwrap(), 1);
                        let stale = map.get_or_try_create(&2, never).unwrap();
                        assert_eq!((*stale, stale.origin()), (2, Origin::Stale));
                        let fresh = map.call(&2).accept(Accept::Fresh).wait(Duration::ZERO);
                        assert!(fresh.get_or_try_create(never).unwrap_err().is_timed_out());
                        let none = map.call(&3).wait(Duration::ZERO);
                        assert!(none.get_or_try_create(never).unwrap_err().is_timed_out());
                        assert!(!map.is_creating(&3));
                        map.invalidate(&1);
                        map.set(4, 4);
                    });
                });
                7
            });
            assert_eq!(*created, 7);
            assert_eq!(*map.get_or_create(&2, || 8), 8);
            assert_eq!(map.len(), 3);
        });
    }

    /// Who waits for the creation of its key, and not for its turn, is one of those who wait.
    #[test]
    fn counts_who_waits_for_a_creation() {
        within(|| {
            let map = Dogpile::builder(MINUTE).stats(true).keyed();
            let map = map.creation_limit(1).build();
            let created = map.get_or_create(&1, || {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let call = map.call(&1).wait(Duration::ZERO);
                        assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
                    });
                });
                assert_eq!(map.stats().counters.unwrap().waits, 1);
                1
            });
            assert_eq!(*created, 1);
        });
    }

    /// Of calls for several keys, too: what such a creator calls needs no permit of its own.
    #[test]
    fn is_good_for_what_a_creator_of_several_keys_calls() {
        within(|| {
            let map = limited(1);
            let answers = map.get_or_create_multi(&[1, 2], |wanted| {
                let call = map.call(&9).wait(Duration::ZERO);
                let nested = *call.get_or_try_create(|| Ok::<_, u8>(9)).unwrap();
                let one = |key: &&u32| (**key, nested);
                wanted.iter().map(one).collect::<Vec<_>>()
            });
            assert!(answers.iter().all(|answer| **answer.as_ref().unwrap() == 9));
        });
    }

    /// A call that has created one of its keys, and waits for another, keeps no permit meanwhile.
    #[test]
    fn is_not_kept_by_who_waits_for_another_key() {
        within(|| {
            let map = limited(2);
            let (begins, begun) = mpsc::channel();
            let (ends, end) = mpsc::channel();
            thread::scope(|threads| {
                let map = &map;
                threads.spawn(move || {
                    map.get_or_create(&2, || {
                        begins.send(()).unwrap();
                        end.recv().unwrap();
                        2
                    })
                });
                begun.recv().unwrap();
                let both = threads.spawn(move || {
                    map.get_or_create_multi(&[1, 2], |wanted| {
                        let one = |key: &&u32| (**key, **key);
                        wanted.iter().map(one).collect::<Vec<_>>()
                    });
                });
                until(|| map.has_value(&1) && map.waiters(&2) == 1);
                let other = map.call(&3).wait(LIMIT / 2);
                assert_eq!(*other.get_or_try_create(|| Ok::<_, u8>(3)).unwrap(), 3);
                assert!(!map.has_value(&2));
                ends.send(()).unwrap();
                both.join().unwrap();
            });
        });
    }

    /// Who does not wait leaves no place behind, at which a permit would stay.
    #[cfg(feature = "async")]
    #[test]
    fn is_not_waited_for_by_a_renewal() {
        within(|| {
            let map = limited(1);
            thread::scope(|threads| {
                let map = &map;
                let (waits, waiting) = mpsc::channel();
                drop(map.get_or_create(&1, || {
                    threads.spawn(move || {
                        let executor = dogpile::executor::Thread;
                        let call = map.background(&2, &executor);
                        let renewed = call.renew(|| -> Result<u32, u8> { panic!("no permit") });
                        assert!(matches!(renewed, Ok(false)));
                        let mut call = pin!(map.get_or_create_async(&3, async || 3));
                        let (alarm, waker) = crate::tasks::Alarm::new();
                        assert!(crate::tasks::poll_by(&waker, call.as_mut()).is_pending());
                        waits.send(()).unwrap();
                        until(|| alarm.rings() > 0);
                        assert_eq!(*crate::tasks::block_on(call), 3);
                    });
                    waiting.recv().unwrap();
                    1
                }));
            });
        });
    }

    /// Who is woken for its turn may call the map: it is woken under no lock.
    #[cfg(feature = "async")]
    #[test]
    fn wakes_under_no_lock() {
        struct Calling(Map);
        impl Wake for Calling {
            fn wake(self: Arc<Self>) {
                assert_eq!(*self.0.get_or_create(&9, || 9), 9);
            }
        }
        within(|| {
            let map = limited(1);
            let waker = Arc::new(Calling(Arc::clone(&map))).into();
            let mut call = pin!(map.get_or_create_async(&2, async || 2));
            drop(map.get_or_create(&1, || {
                thread::scope(|threads| {
                    let call = call.as_mut();
                    let waker = &waker;
                    threads.spawn(move || {
                        assert!(crate::tasks::poll_by(waker, call).is_pending());
                    });
                });
                1
            }));
            assert!(map.has_value(&9));
            assert_eq!(*crate::tasks::block_on(call), 2);
        });
    }

    /// Callers of one key wait for one turn: one of them creates, for all.
    #[test]
    fn is_waited_for_by_key() {
        within(|| {
            let (map, runs) = (limited(1), AtomicUsize::new(0));
            thread::scope(|threads| {
                for caller in 0..10 {
                    let (map, runs) = (&map, &runs);
                    let key = caller % 2 + 1;
                    threads.spawn(move || {
                        drop(map.get_or_create(&key, || {
                            runs.fetch_add(1, Ordering::SeqCst);
                            key
                        }));
                    });
                }
            });
            assert_eq!(runs.load(Ordering::SeqCst), 2);
        });
    }

    /// A creator that calls for another key of its map would wait for its own permit.
    #[test]
    fn is_ridden_by_nested_creations() {
        within(|| {
            let map = limited(1);
            let sum = map.get_or_create(&1, || {
                let several = map.get_or_create_multi(&[2, 3], |wanted| {
                    let nested = *map.get_or_create(&4, || 4);
                    let one = |key: &&u32| (**key, **key + nested);
                    wanted.iter().map(one).collect::<Vec<_>>()
                });
                several.into_iter().map(|held| *held.unwrap()).sum()
            });
            assert_eq!((*sum, map.len()), (6 + 7, 4));
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn is_ridden_by_nested_creations_of_tasks() {
        within(|| {
            let map = limited(1);
            let outer = map.get_or_create_async(&1, || async {
                *map.get_or_create_async(&2, || async { *map.get_or_create(&3, || 3) + 1 })
                    .await
                    + 1
            });
            assert_eq!(*crate::tasks::block_on(outer), 5);
        });
    }

    /// The first to wait is woken; if it is gone by then, the next is.
    #[cfg(feature = "async")]
    #[test]
    fn passes_over_who_is_gone() {
        within(|| {
            let map = limited(1);
            let mut leader = Box::pin(map.get_or_create_async(&0, std::future::pending));
            assert!(crate::tasks::poll(leader.as_mut()).is_pending());
            let waiting = |key: u32| {
                let map = &map;
                let mut call =
                    Box::pin(async move { *map.get_or_create_async(&key, || async { key }).await });
                assert!(crate::tasks::poll(call.as_mut()).is_pending());
                call
            };
            let (first, second, mut third) = (waiting(1), waiting(2), waiting(3));
            // One goes before it is woken, one after.
            drop(second);
            drop(leader);
            assert!(!map.is_creating(&0));
            drop(first);
            match crate::tasks::poll(third.as_mut()) {
                std::task::Poll::Ready(value) => assert_eq!(value, 3),
                std::task::Poll::Pending => panic!("nobody has the permit"),
            }
            assert_eq!(map.len(), 1);
        });
    }

    #[test]
    #[should_panic(expected = "nothing could ever be created")]
    fn of_zero_is_refused() {
        drop(limited(0));
    }
}

mod cycles_are_an_error {
    use super::*;

    /// Two creators, each of which calls for the other's key. `ask` makes such a call.
    fn each_other(
        map: &Map,
        ask: impl Fn(&Map, u32) -> Result<u32, Error<&'static str>> + Sync,
    ) -> [Result<u32, Error<&'static str>>; 2] {
        let both = Barrier::new(2);
        let create = |own: u32, other: u32| {
            map.get_or_try_create(&own, || {
                both.wait();
                match ask(map, other) {
                    Ok(value) => Ok(value + 1),
                    Err(error) if error.is_cycle() => Err("a cycle"),
                    // The other one was told, and failed.
                    Err(Error::Create(error)) => Err(*error),
                    Err(other) => panic!("{other:?}"),
                }
            })
            .map(|held| *held)
        };
        thread::scope(|threads| {
            let other = threads.spawn(|| create(2, 1));
            [create(1, 2), other.join().unwrap()]
        })
    }

    #[test]
    fn of_two_keys() {
        within(|| {
            let map: Map = Arc::new(KeyedDogpile::new(MINUTE));
            let told = AtomicUsize::new(0);
            let answers = each_other(&map, |map, key| {
                let never = || -> Result<u32, &str> { panic!("somebody creates it") };
                let answer = map.get_or_try_create(&key, never).map(|held| *held);
                if answer.as_ref().is_err_and(Error::is_cycle) {
                    told.fetch_add(1, Ordering::SeqCst);
                }
                answer
            });
            // One is told, and all who wait for it share its failure.
            assert_eq!(told.into_inner(), 1);
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().is_err_and(Error::is_failed))
            );
            assert!(!map.is_creating(&1) && !map.is_creating(&2));
            assert_eq!(*map.get_or_create(&1, || *map.get_or_create(&2, || 2)), 2);
        });
    }

    /// The call for several keys is one that waits, too.
    #[test]
    fn of_a_call_for_several_keys() {
        within(|| {
            let map: Map = Arc::new(KeyedDogpile::new(MINUTE));
            let answers = each_other(&map, |map, key| {
                let keys = [key, key + 10];
                let mut answers = map.get_or_try_create_multi(&keys, |wanted| {
                    assert_eq!(wanted, [&keys[1]]);
                    Ok::<_, &str>([(keys[1], Ok(7))])
                });
                assert_eq!(**answers[1].as_ref().unwrap(), 7);
                answers.swap_remove(0).map(|held| *held)
            });
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().is_err_and(Error::is_failed))
            );
        });
    }

    /// Three, and it names the two between whom the circle would close.
    #[test]
    fn of_three_keys_and_names_them() {
        within(|| {
            let name = |key: &u32| format!("number {key}");
            let map = Arc::new(Dogpile::builder(MINUTE).keyed().name_keys(name).build());
            let all = Barrier::new(3);
            let texts: Vec<String> = thread::scope(|threads| {
                let create = |own: u32| {
                    let (map, all): (&Map, _) = (&map, &all);
                    threads.spawn(move || {
                        let mut text = String::new();
                        let other = own % 3 + 1;
                        drop(map.get_or_try_create(&own, || {
                            all.wait();
                            let answer = map.get_or_try_create(&other, || Ok::<_, u8>(0));
                            let error = answer.map(drop).unwrap_err();
                            if let Error::Cycle(cycle) = &error {
                                let names = [format!("number {own}"), format!("number {other}")];
                                assert_eq!(cycle.keys().unwrap(), [&*names[0], &*names[1]]);
                                text = error.to_string();
                            }
                            Err::<u32, u8>(1)
                        }));
                        text
                    })
                };
                let threads = [create(1), create(2), create(3)];
                threads.map(|thread| thread.join().unwrap()).into()
            });
            let told: Vec<_> = texts.iter().filter(|text| !text.is_empty()).collect();
            assert_eq!(told.len(), 1);
            assert!(told[0].contains("number"), "{told:?}");
        });
    }

    /// To wait for a creation that waits for a third is no circle.
    #[test]
    fn but_a_chain_is_none() {
        within(|| {
            let map: Map = Arc::new(KeyedDogpile::new(MINUTE));
            let value = thread::scope(|threads| {
                let map = &map;
                let create = |key: u32, after: u32| {
                    threads.spawn(move || {
                        *map.get_or_create(&key, || {
                            until(|| map.is_creating(&after));
                            *map.get_or_create(&after, || unreachable!("it is created")) + 1
                        })
                    })
                };
                let (first, second) = (create(1, 2), create(2, 3));
                drop(map.get_or_create(&3, || {
                    until(|| map.waiters(&3) == 1 && map.waiters(&2) == 1);
                    3
                }));
                assert_eq!(second.join().unwrap(), 4);
                first.join().unwrap()
            });
            assert_eq!(value, 5);
        });
    }
}

/// A call for several keys has one place among those who wait. Woken in vain, since somebody was faster, it
/// waits again, and hears of the next permit, whichever of its keys it sleeps on.
#[cfg(feature = "async")]
#[test]
fn woken_in_vain_a_call_for_several_keys_hears_the_next_time() {
    use std::collections::VecDeque;
    use std::pin::{Pin, pin};
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Poll, Wake, Waker};

    use futures::channel::oneshot::{Sender, channel};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    static OTHERS: [u32; 8] = [20, 21, 22, 23, 24, 25, 26, 27];

    let map = limited(2);
    // A creation that has its permit, and what it waits for.
    let starts = |number: usize| {
        let (end, ends) = channel::<u32>();
        let made = map.get_or_try_create_async(&OTHERS[number], || ends);
        let mut one: Pin<Box<dyn Future<Output = bool> + '_>> =
            Box::pin(async { made.await.is_ok() });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut cx).is_pending());
        (one, end)
    };
    let mut running = VecDeque::from([starts(0), starts(1)]);
    let ends_the_first = |running: &mut VecDeque<_>| {
        let (mut one, end): (Pin<Box<dyn Future<Output = bool> + '_>>, Sender<u32>) =
            running.pop_front().unwrap();
        end.send(9).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(one.as_mut().poll(&mut cx), Poll::Ready(true));
    };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut several = pin!(
        map.get_or_create_multi_async(&[1, 2, 3], |wanted: Vec<&u32>| {
            std::future::ready(
                wanted
                    .into_iter()
                    .map(|key| (*key, *key))
                    .collect::<Vec<_>>(),
            )
        })
    );
    let mut cx_of_several = Context::from_waker(&waker);
    assert!(several.as_mut().poll(&mut cx_of_several).is_pending());
    for round in 0..3 {
        // Both permits come back, and others are faster.
        ends_the_first(&mut running);
        ends_the_first(&mut running);
        running.extend([starts(2 + 2 * round), starts(3 + 2 * round)]);
        assert!(woken.0.swap(false, Ordering::SeqCst), "{round}");
        assert!(several.as_mut().poll(&mut cx_of_several).is_pending());
    }
    ends_the_first(&mut running);
    assert!(woken.0.load(Ordering::SeqCst), "the last time");
    let Poll::Ready(answers) = several.as_mut().poll(&mut cx_of_several) else {
        panic!("it has the permit")
    };
    let values: Vec<u32> = answers.into_iter().map(|answer| *answer.unwrap()).collect();
    assert_eq!(values, [1, 2, 3]);
}
