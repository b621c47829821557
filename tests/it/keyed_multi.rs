//! Calls for several keys at once.
//!
//! ```breakages
//! a-creator-of-several-keys-is-inside-none | src/reentrancy.rs | reentrancy_is_an_error
//! - inside.push(Inside::enter_poll(*creation, watch.as_deref()));
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use dogpile::{Created, Error, KeyedDogpile, KeyedGuard, Origin};

use crate::support::{MINUTE, Shows as _, burst, bursts, until, within};

type Squares = KeyedDogpile<u32, u32>;

fn squares() -> Arc<Squares> {
    Arc::new(KeyedDogpile::new(MINUTE))
}

/// What a creator of several keys makes.
fn make(wanted: &[&u32]) -> Vec<(u32, u32)> {
    wanted
        .iter()
        .map(|root| (**root, **root * **root))
        .collect()
}

fn values(answers: Vec<Option<KeyedGuard<'_, u32, u32>>>) -> Vec<Option<u32>> {
    let value = |answer: Option<KeyedGuard<'_, u32, u32>>| answer.map(|held| *held);
    answers.into_iter().map(value).collect()
}

mod multi_never_deadlocks {
    use super::*;

    /// Eight callers ask for overlapping keys, half of them the other way round: one creation a key.
    fn overlapping(ask: impl Fn(&Squares, &[u32], &Mutex<HashMap<u32, usize>>) + Sync) {
        const THREADS: u32 = 8;
        let (map, created, start) = (squares(), Mutex::default(), Barrier::new(8));
        thread::scope(|threads| {
            for thread in 0..THREADS {
                let (map, created, start, ask) = (&map, &created, &start, &ask);
                threads.spawn(move || {
                    start.wait();
                    for call in 0..100 {
                        let mut keys: Vec<u32> = (call * 10..call * 10 + 17).collect();
                        if thread % 2 == 1 {
                            keys.reverse();
                        }
                        ask(map, &keys, created);
                    }
                });
            }
        });
        let created = created.into_inner().unwrap();
        assert_eq!(created.len(), 1007);
        assert!(created.values().all(|times| *times == 1));
        assert_eq!(map.len(), 1007);
    }

    fn note(wanted: &[&u32], created: &Mutex<HashMap<u32, usize>>) {
        for key in wanted {
            *created.lock().unwrap().entry(**key).or_default() += 1;
        }
        thread::yield_now();
    }

    #[test]
    fn in_whatever_order_keys_are_named() {
        within(|| {
            overlapping(|map, keys, created| {
                let answers = map.get_or_create_multi(keys, |wanted| {
                    note(wanted, created);
                    make(wanted)
                });
                let expected: Vec<_> = keys.iter().map(|root| Some(root * root)).collect();
                assert_eq!(values(answers), expected);
            });
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn by_tasks() {
        within(|| {
            overlapping(|map, keys, created| {
                let call = map.get_or_create_multi_async(keys, |wanted: Vec<&u32>| async move {
                    note(&wanted, created);
                    make(&wanted)
                });
                let expected: Vec<_> = keys.iter().map(|root| Some(root * root)).collect();
                assert_eq!(values(crate::tasks::block_on(call)), expected);
            });
        });
    }

    /// It is called for what is missing, once, however often a key is named.
    #[test]
    fn and_creates_what_is_missing_alone() {
        within(|| {
            let map = squares();
            map.set(2, 4);
            map.set(3, 8);
            map.expire(&3);
            let mut calls = Vec::new();
            let answers = map.get_or_create_multi(&[1, 2, 3, 1, 2], |wanted| {
                calls.push(wanted.iter().map(|key| **key).collect::<Vec<_>>());
                make(wanted)
            });
            let origins: Vec<_> = answers.iter().flatten().map(|held| held.origin()).collect();
            let (here, fresh) = (Origin::CreatedHere, Origin::Fresh);
            assert_eq!(origins, [here, fresh, here, here, fresh]);
            assert_eq!(values(answers), [1, 4, 9, 1, 4].map(Some));
            assert_eq!(calls, [[1, 3]]);
            let none = map.get_or_create_multi(&[], |_| -> Vec<(u32, u32)> { unreachable!() });
            assert!(none.is_empty());
        });
    }

    /// One error is that of all keys that were asked for, another that of its key alone.
    #[test]
    fn and_an_error_concerns_its_keys_alone() {
        within(|| {
            let map = squares();
            map.set(2, 4);
            let answers = map.get_or_try_create_multi(&[1, 2, 3], |_| {
                Err::<Vec<(u32, Result<u32, _>)>, _>("down")
            });
            let errors: Vec<_> = answers.iter().map(|answer| answer.as_ref().err()).collect();
            assert!(errors[1].is_none());
            match (errors[0], errors[2]) {
                (Some(Error::Create(one)), Some(Error::Create(other))) => {
                    assert!(Arc::ptr_eq(one, other));
                }
                other => panic!("{other:?}"),
            }
            let answers = map.get_or_try_create_multi(&[1, 2, 3], |wanted| {
                let make = |key: &&u32| (**key, (**key == 1).then_some(1).ok_or("no such key"));
                Ok(wanted.iter().map(make).collect::<Vec<_>>())
            });
            let answers: Vec<_> = answers
                .into_iter()
                .map(|answer| answer.map(|held| *held))
                .collect();
            assert!(matches!(answers[..], [Ok(1), Ok(4), Err(Error::Create(_))]));
            assert_eq!(map.len(), 2);
        });
    }

    /// Whoever waited for a key that was left out is told so, and whoever cannot be told creates it.
    #[test]
    fn and_what_is_left_out_is_missing_to_all_who_waited() {
        within(|| {
            let map = squares();
            let told = AtomicUsize::new(0);
            thread::scope(|threads| {
                let (map, told) = (&map, &told);
                let answers = map.get_or_create_multi(&[1, 2], |wanted| {
                    for _ in 0..3 {
                        threads.spawn(move || {
                            let never = || -> Result<u32, &str> { panic!("created again") };
                            let error = map.get_or_try_create(&2, never).unwrap_err();
                            assert!(error.is_missing(), "{error}");
                            told.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    threads.spawn(move || {
                        let answers = map.get_or_try_create_multi(&[2], |_| {
                            Err::<Vec<(u32, Result<u32, &str>)>, _>("created again")
                        });
                        assert!(answers[0].as_ref().unwrap_err().is_missing());
                        told.fetch_add(1, Ordering::SeqCst);
                    });
                    until(|| map.waiters(&2) == 4);
                    make(&wanted[..1])
                });
                assert_eq!(values(answers), [Some(1), None]);
            });
            assert_eq!((told.into_inner(), map.len()), (4, 1));
            // It is no failure for good.
            assert_eq!(*map.get_or_create(&2, || 4), 4);
        });
    }

    /// What an iterator makes one by one, others have one by one.
    #[test]
    fn and_keys_are_published_one_by_one() {
        within(|| {
            let map = squares();
            let keys = [1, 2, 3];
            let answers = map.get_or_create_multi(&keys, |wanted| {
                let (map, wanted) = (&map, wanted.to_vec());
                (0..3).map(move |at| {
                    for (before, key) in wanted.iter().enumerate() {
                        assert_eq!(map.peek(*key).is_some(), before < at);
                        assert_eq!(map.is_creating(*key), before >= at);
                    }
                    (*wanted[at], *wanted[at] * 10)
                })
            });
            assert_eq!(values(answers), [10, 20, 30].map(Some));
        });
    }

    /// What was not asked for, or a second time, is dropped.
    #[test]
    fn and_takes_what_it_asked_for_alone() {
        within(|| {
            let map = squares();
            let answers =
                map.get_or_create_multi(&[1, 2], |_| [(2, 20), (7, 70), (2, 21), (1, 10)]);
            assert_eq!(values(answers), [Some(10), Some(20)]);
            assert_eq!(map.len(), 2);
        });
    }

    #[test]
    fn and_a_panic_gives_all_back() {
        within(|| {
            let map = squares();
            assert!(bursts(|| map
                .get_or_create_multi(&[1, 2], |_| -> Vec<(u32, u32)> {
                    burst()
                })));
            assert!(!map.is_creating(&1) && !map.is_creating(&2));
            // After the first of them.
            let lazy = |wanted: &[&u32]| {
                let first = *wanted[0];
                (0..2).map(move |at| if at == 0 { (first, 1) } else { burst() })
            };
            let waiter = thread::scope(|threads| {
                let (begun, has_begun) = sync_channel(1);
                let map = &map;
                let waiter = threads.spawn(move || {
                    has_begun.recv().unwrap();
                    map.get_or_try_create(&2, || Err::<u32, _>("created again"))
                        .map(|held| *held)
                });
                assert!(bursts(|| {
                    map.get_or_create_multi(&[1, 2], |wanted| {
                        begun.send(()).unwrap();
                        until(|| map.waiters(&2) == 1);
                        lazy(wanted)
                    })
                }));
                waiter.join().unwrap()
            });
            assert!(waiter.unwrap_err().is_panicked());
            assert_eq!(*map.peek(&1).unwrap(), 1);
            assert_eq!(map.len(), 1);
        });
    }

    /// A creator that asks for one of its own keys is told so.
    #[test]
    fn and_a_creator_does_not_wait_for_itself() {
        within(|| {
            let map = squares();
            let answers = map.get_or_create_multi(&[1, 2], |wanted| {
                let own = map.get_or_try_create(&2, || Ok::<_, u8>(0));
                assert!(own.unwrap_err().is_reentrant());
                let own = map.get_or_try_create_multi(&[1, 3], |wanted| {
                    assert_eq!(wanted, [&3]);
                    Ok::<_, u8>([(3, Ok(9))])
                });
                assert!(own[0].as_ref().unwrap_err().is_reentrant());
                assert_eq!(**own[1].as_ref().unwrap(), 9);
                make(wanted)
            });
            assert_eq!(values(answers), [Some(1), Some(4)]);
        });
    }

    /// A limit is one of waiting, for all keys together.
    #[test]
    fn and_waits_no_longer_than_it_may() {
        within(|| {
            let map = squares();
            let created = map.get_or_create(&1, || {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let create = |wanted: &[&u32]| {
                            Ok::<_, u8>(
                                make(wanted)
                                    .into_iter()
                                    .map(|(key, value)| (key, Ok(value))),
                            )
                        };
                        let keys = [1, 2];
                        let answers =
                            map.get_or_try_create_multi_for(Duration::ZERO, &keys, create);
                        assert!(answers[0].as_ref().unwrap_err().is_timed_out());
                        assert_eq!(**answers[1].as_ref().unwrap(), 4);
                    });
                });
                1
            });
            assert_eq!(*created, 1);
        });
    }

    /// What others gave up meanwhile is created by this call, though it has created already.
    #[test]
    fn and_creates_what_others_gave_up() {
        within(|| {
            let map = squares();
            let dogpile::KeyedAttempt::Lease(lease) = map.attempt(&1) else {
                panic!()
            };
            thread::scope(|threads| {
                let caller = threads.spawn(|| {
                    let mut calls = Vec::new();
                    let answers = map.get_or_create_multi(&[1, 2], |wanted| {
                        calls.push(wanted.len());
                        make(wanted)
                    });
                    assert_eq!(values(answers), [Some(1), Some(4)]);
                    calls
                });
                until(|| map.waiters(&1) == 1);
                until(|| map.peek(&2).is_some());
                drop(lease);
                assert_eq!(caller.join().unwrap(), [1, 1]);
            });
        });
    }

    /// Values may say how long they live.
    #[test]
    fn and_values_may_say_more() {
        within(|| {
            let map = squares();
            let answers = map.get_or_create_multi(&[1], |_| [(1, Created::new(1).ttl(MINUTE * 5))]);
            assert_eq!(KeyedGuard::ttl(answers[0].as_ref().unwrap()), MINUTE * 5);
        });
    }

    /// A task that is dropped gives back what it holds, and what it published stays.
    #[cfg(feature = "async")]
    #[test]
    fn and_a_task_that_is_dropped_gives_all_back() {
        within(|| {
            let map = squares();
            let call = map
                .get_or_create_multi_async(&[1, 2], |_| std::future::pending::<Vec<(u32, u32)>>());
            let mut call = Box::pin(call);
            assert!(crate::tasks::poll(call.as_mut()).is_pending());
            assert!(map.is_creating(&1) && map.is_creating(&2));
            let other =
                map.get_or_create_multi_async(
                    &[2, 1],
                    |wanted: Vec<&u32>| async move { make(&wanted) },
                );
            let mut other = Box::pin(other);
            assert!(crate::tasks::poll(other.as_mut()).is_pending());
            drop(call);
            match crate::tasks::poll(other.as_mut()) {
                std::task::Poll::Ready(answers) => assert_eq!(values(answers), [Some(4), Some(1)]),
                std::task::Poll::Pending => panic!("nobody creates"),
            }
        });
    }

    /// The future of several keys runs anywhere.
    #[cfg(feature = "async")]
    #[test]
    fn and_its_future_can_be_sent() {
        fn sent<F: Future + Send>(future: F) -> F {
            future
        }

        within(|| {
            let map = squares();
            let answers = crate::tasks::block_on(sent(map.get_or_try_create_multi_async(
                &[1, 2],
                |wanted: Vec<&u32>| async move {
                    let made = make(&wanted).into_iter();
                    Ok::<_, u8>(made.map(|(key, value)| (key, Ok(value))))
                },
            )));
            assert!(answers.iter().all(Result::is_ok));
            drop(sent(map.get_or_create_async(&1, || async { 1 })));
            drop(sent(
                map.call(&1)
                    .get_or_try_create_async(|| async { Ok::<_, u8>(1) }),
            ));
            drop(sent(
                map.background(&1, &dogpile::executor::Thread)
                    .get_or_create_async(|| async { 1 }),
            ));
            if let dogpile::KeyedAttempt::Busy(busy) = map.attempt(&3) {
                drop(sent(busy.wait_async()));
            }
        });
    }
}

/// A creator of several keys is inside the creation of each: in its polls, and where it is dropped.
#[cfg(feature = "async")]
mod reentrancy_is_an_error {
    use std::future::pending;
    use std::pin::pin;

    use super::*;
    use crate::support::OnDrop;
    use crate::tasks::{block_on, poll};

    /// What a nested call for a key is told that must not wait.
    fn nested(map: &Squares, key: u32) -> Error<u8> {
        let call = map.call(&key).wait(Duration::ZERO);
        call.get_or_try_create(|| Ok(0)).unwrap_err()
    }

    #[test]
    fn of_a_creator_that_is_polled() {
        let map = squares();
        let answers = map.get_or_create_multi_async(&[1, 2], |wanted: Vec<&u32>| {
            // What makes the future is inside as well.
            assert!(nested(&map, 1).is_reentrant());
            let made = make(&wanted);
            let map = &map;
            async move {
                assert!(nested(map, 1).is_reentrant());
                assert!(nested(map, 2).is_reentrant());
                made
            }
        });
        assert_eq!(values(block_on(answers)), [Some(1), Some(4)]);
    }

    #[test]
    fn of_a_creator_that_is_dropped() {
        let map = squares();
        let told = Arc::new(Mutex::new(None));
        {
            let mut act = {
                let (map, told) = (Arc::clone(&map), Arc::clone(&told));
                Some(OnDrop::new(move || {
                    *told.lock().unwrap() = Some(nested(&map, 2));
                }))
            };
            let answers = map.get_or_create_multi_async(&[1, 2], |_: Vec<&u32>| {
                let act = act.take();
                async move {
                    let _act = act;
                    pending::<Vec<(u32, u32)>>().await
                }
            });
            assert!(poll(pin!(answers)).is_pending());
        }
        let told = told.lock().unwrap().take();
        assert!(told.unwrap().is_reentrant());
        assert!(!map.is_creating(&1) && !map.is_creating(&2));
    }

    #[test]
    fn of_a_creator_in_the_background() {
        let map = squares();
        let answers = map
            .background_multi(&[1, 2], &dogpile::executor::Thread)
            .get_or_create({
                let map = Arc::clone(&map);
                move |wanted: Vec<u32>| {
                    assert!(wanted.iter().all(|&key| nested(&map, key).is_reentrant()));
                    wanted.into_iter().map(|key| (key, key))
                }
            });
        assert!(answers.iter().all(Result::is_ok));
    }
}
