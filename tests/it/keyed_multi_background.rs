//! Calls for several keys at once, whose creations run on an executor.
//!
//! ```breakages
//! a-job-of-several-keys-is-known-by-one | src/call/background.rs | never_waits_for_itself
//! - listed.unwrap_or_else(|| job_id(creation))
//! + listed.filter(|_| false).unwrap_or_else(|| job_id(creation))
//!
//! a-job-of-several-keys-gives-its-turn-back-at-once | src/keyed/turns.rs | one_job::takes_one_turn
//! - Self::with(self.0.as_ref().map(|limited| &limited.turns), permit)
//! + drop(permit);
//! + Self::with(self.0.as_ref().map(|limited| &limited.turns), None)
//!
//! a-refusal-is-an-error-to-all-keys | src/keyed/multi.rs | refusals::serve_what_is_stale
//! - if !one.election.goes_on() {
//! + if true {
//!
//! a-refusal-tells-no-reason | src/keyed/multi_background.rs | refusals::serve_what_is_stale
//! - Err(refused) => Some((whose, refused)),
//! + Err(_) => None,
//!
//! nobody-asks-whether-the-thread-is-needed | src/keyed/multi_background.rs | refusals::of_a_thread_that_is_needed
//! - let is_awaited = round.is_awaited() && asked.wait != Some(Duration::ZERO);
//! + let is_awaited = round.is_awaited() && asked.wait == Some(Duration::ZERO);
//!
//! several-keys-have-no-fallback | src/keyed/multi.rs | what_stands_in::for_a_failure
//! - Err(error) => self.answer = Some(self.election.failed(&self.call, error)),
//! + Err(error) => self.answer = Some(Err(error)),
//!
//! several-keys-take-nothing-over | src/keyed/multi.rs | what_stands_in::and_a_creator_that_hangs
//! - let overdue = self.overdue_from();
//! + let overdue = self.overdue_from().filter(|_| false);
//!
//! a-limit-that-nothing-keeps-is-taken | src/keyed/multi_background.rs | one_job::is_waited_for
//! - if !can_be_woken && asked.wait.is_some_and(|limit| !limit.is_zero()) {
//! + if false {
//!
//! a-job-of-several-keys-spends-nothing | src/keyed/multi_background.rs | one_job::spends_of_a_rate
//! - lease.begin();
//! + let _ = &lease;
//!
//! several-keys-time-out-before-they-take-over | src/keyed/multi.rs | what_stands_in::and_a_creator_that_hangs_until
//! - *overdue <= deadline.unwrap_or(Tick::MAX)
//! + *overdue < deadline.unwrap_or(Tick::MAX)
//! ```

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Blocking, Executor, Job, Rayon, Thread};
use dogpile::{Accept, Dogpile, Error, KeyedAttempt, KeyedDogpile, KeyedGuard, Origin, Refused};

use crate::forms::Down;
use crate::support::{HOUR, MINUTE, NANO, SECOND, Shows as _, burst, manual, until, within};
use crate::tasks::{block_on, poll};

type Squares = KeyedDogpile<u32, u32>;
/// Each with what became of it.
type Made = Vec<(u32, Result<u32, Down>)>;
type Answers<'a, E> = Vec<Result<KeyedGuard<'a, u32, u32>, Error<E>>>;

fn squares() -> Arc<Squares> {
    Arc::new(KeyedDogpile::new(MINUTE))
}

/// What a creator of several keys makes.
fn make(wanted: Vec<u32>) -> Vec<(u32, u32)> {
    wanted.into_iter().map(|root| (root, root * root)).collect()
}

fn try_make(wanted: Vec<u32>) -> Result<Made, Down> {
    let made = make(wanted).into_iter();
    Ok(made.map(|(root, square)| (root, Ok(square))).collect())
}

fn never(wanted: Vec<u32>) -> Result<Made, Down> {
    panic!("created: {wanted:?}")
}

fn values<E: std::fmt::Debug>(answers: Answers<'_, E>) -> Vec<u32> {
    answers.into_iter().map(|answer| *answer.unwrap()).collect()
}

/// Keeps jobs until the test runs them; may be full, drop them, or need the thread.
#[derive(Default)]
struct Shelf {
    jobs: Mutex<Vec<Job>>,
    full: bool,
    drops: bool,
    needs: bool,
}

impl Executor for Shelf {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        match (self.full, self.drops) {
            (true, _) => return Err(Refused::new("the shelf is full")),
            (_, true) => drop(job),
            _ => self.jobs.lock().unwrap().push(job),
        }
        Ok(())
    }

    fn blocking_here(&self) -> Blocking {
        match self.needs {
            true => Blocking::Refuse(Refused::new("the thread is needed")),
            false => Blocking::Wait,
        }
    }
}

impl Shelf {
    fn take(&self) -> Job {
        let mut jobs = self.jobs.lock().unwrap();
        assert_eq!(jobs.len(), 1, "one job for all");
        jobs.pop().unwrap()
    }
}

mod one_job {
    use super::*;

    /// Stale values are there at once, fresh ones are not asked for, and one job creates the rest.
    #[test]
    fn creates_what_is_missing_or_stale() {
        within(|| {
            let (map, shelf) = (squares(), Shelf::default());
            map.set(2, 4);
            map.set(3, 7);
            map.expire(&3);
            let stale = map.background_multi(&[2, 3, 3], &shelf).get_or_create(make);
            let origins: Vec<_> = stale.iter().flatten().map(|held| held.origin()).collect();
            assert_eq!(origins, [Origin::Fresh, Origin::Stale, Origin::Stale]);
            assert_eq!(values(stale), [4, 7, 7]);
            shelf.take().run();
            assert_eq!(*map.peek(&3).unwrap(), 9);
            map.expire(&3);
            let answers = thread::scope(|threads| {
                let caller = threads.spawn(|| {
                    let call = map.background_multi(&[1, 2, 3, 4, 1], &shelf);
                    call.get_or_try_create(|wanted| {
                        assert_eq!(wanted, [1, 3, 4]);
                        try_make(wanted)
                    })
                });
                until(|| !shelf.jobs.lock().unwrap().is_empty());
                assert!(map.is_creating(&3) && map.is_creating(&4));
                shelf.take().run();
                caller.join().unwrap()
            });
            let origins: Vec<_> = answers.iter().flatten().map(|held| held.origin()).collect();
            let (here, fresh) = (Origin::CreatedHere, Origin::Fresh);
            assert_eq!(origins, [here, fresh, Origin::Stale, here, here]);
            assert_eq!(values(answers), [1, 4, 9, 16, 1]);
        });
    }

    #[test]
    fn of_a_task() {
        within(|| {
            let (map, shelf) = (squares(), Shelf::default());
            map.set(3, 7);
            map.expire(&3);
            let call = map.background_multi(&[1, 3], &shelf);
            let create = |wanted: Vec<u32>| async move { make(wanted) };
            let mut call = Box::pin(call.get_or_create_async(create));
            assert!(poll(call.as_mut()).is_pending());
            shelf.take().run();
            assert_eq!(values(block_on(call)), [1, 7]);
            assert_eq!(*map.peek(&3).unwrap(), 9);
            let call = map.background_multi(&[1, 3], &shelf);
            let create = |wanted| async move { never(wanted) };
            assert_eq!(
                values(block_on(call.get_or_try_create_async(create))),
                [1, 9]
            );
        });
    }

    /// The creation goes on when its caller is gone, and when the map is.
    #[test]
    fn outlives_its_caller_and_its_map() {
        within(|| {
            let (map, shelf) = (squares(), Shelf::default());
            let call = map.background_multi(&[1, 2], &shelf);
            let create = |wanted: Vec<u32>| async move { make(wanted) };
            let mut call = Box::pin(call.get_or_create_async(create));
            assert!(poll(call.as_mut()).is_pending());
            drop(call);
            assert!(map.is_creating(&1));
            shelf.take().run();
            assert_eq!(map.len(), 2);
            let zero = map.background_multi(&[3, 4], &shelf).wait(Duration::ZERO);
            let answers = zero.get_or_create(make);
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().is_err_and(Error::is_timed_out))
            );
            drop(answers);
            drop(map);
            let job = shelf.take();
            job.run();
        });
    }

    /// Each value is there as soon as it is made, and a caller that is elected for one key waits for
    /// another's creation of the other.
    #[test]
    fn publishes_one_by_one() {
        within(|| {
            let map = squares();
            let seen = Arc::clone(&map);
            let call = map.background_multi(&[1, 2, 3], &Thread);
            let answers = call.get_or_create(move |wanted: Vec<u32>| {
                let map = Arc::clone(&seen);
                (0..3).map(move |at| {
                    for (before, key) in wanted.iter().enumerate() {
                        assert_eq!(map.peek(key).is_some(), before < at);
                        assert_eq!(map.is_creating(key), before >= at);
                    }
                    (wanted[at], wanted[at] * 10)
                })
            });
            assert_eq!(values(answers), [10, 20, 30]);
        });
    }

    /// Two calls with overlapping keys: one creation a key.
    #[test]
    fn of_calls_that_overlap() {
        within(|| {
            let (map, made) = (squares(), Arc::new(Mutex::new(Vec::new())));
            thread::scope(|threads| {
                for caller in 0..8_u32 {
                    let (map, made) = (&map, &made);
                    threads.spawn(move || {
                        for round in 0..20 {
                            let mut keys: Vec<u32> = (round * 10..round * 10 + 17).collect();
                            if caller % 2 == 0 {
                                keys.reverse();
                            }
                            let made = Arc::clone(made);
                            let call = map.background_multi(&keys, &Thread);
                            let answers = call.get_or_create(move |wanted| {
                                made.lock().unwrap().extend(wanted.iter().copied());
                                make(wanted)
                            });
                            let expected: Vec<_> = keys.iter().map(|root| root * root).collect();
                            assert_eq!(values(answers), expected);
                        }
                    });
                }
            });
            let mut made = std::mem::take(&mut *made.lock().unwrap());
            let all = made.len();
            made.sort_unstable();
            made.dedup();
            assert_eq!((made.len(), all), (207, 207));
        });
    }

    /// What another caller gave up is created in a job of its own.
    #[test]
    fn and_one_more_for_what_others_gave_up() {
        within(|| {
            let map = squares();
            let KeyedAttempt::Lease(lease) = map.attempt(&1) else {
                panic!()
            };
            thread::scope(|threads| {
                let calls = Arc::new(Mutex::new(Vec::new()));
                let noted = Arc::clone(&calls);
                let caller = threads.spawn(|| {
                    let call = map.background_multi(&[1, 2], &Thread);
                    values(call.get_or_create(move |wanted| {
                        noted.lock().unwrap().push(wanted.clone());
                        make(wanted)
                    }))
                });
                until(|| map.waiters(&1) == 1 && map.peek(&2).is_some());
                drop(lease);
                assert_eq!(caller.join().unwrap(), [1, 4]);
                assert_eq!(*calls.lock().unwrap(), [[2], [1]]);
            });
        });
    }

    /// An error is that of its key, or of all; what is left out is missing; a panic is told to all.
    #[test]
    fn may_fail_in_part() {
        within(|| {
            let map = squares();
            let call = || map.background_multi(&[1, 2, 3], &Thread);
            let answers =
                call().get_or_try_create(|_| Ok::<_, Down>([(1, Ok(1)), (2, Err(Down(2)))]));
            assert_eq!(**answers[0].as_ref().unwrap(), 1);
            assert_eq!(answers[1].as_ref().unwrap_err().created(), Some(&Down(2)));
            assert!(answers[2].as_ref().unwrap_err().is_missing());
            let all = call().get_or_try_create(|wanted| {
                assert_eq!(wanted, [2, 3]);
                Err::<Made, _>(Down(7))
            });
            assert_eq!(all[2].as_ref().unwrap_err().created(), Some(&Down(7)));
            let all = call().get_or_create(|_| -> Vec<(u32, u32)> { burst() });
            assert!(all[0].is_ok());
            assert!(all[1].as_ref().is_err_and(Error::is_panicked));
            assert!(all[2].as_ref().is_err_and(Error::is_panicked));
            // After the first of them.
            let late = call().get_or_create(|wanted| {
                (0..2).map(move |at| if at == 0 { (wanted[0], 4) } else { burst() })
            });
            assert_eq!(**late[1].as_ref().unwrap(), 4);
            assert!(late[2].as_ref().is_err_and(Error::is_panicked));
            until(|| !map.is_creating(&3));
            assert_eq!(values(call().get_or_create(make)), [1, 4, 9]);
        });
    }

    /// Options hold for each key; a limit is one of waiting, and a task needs something that keeps it.
    #[test]
    fn is_waited_for_as_long_as_it_may_be() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map: Arc<Squares> = Arc::new(builder.build_keyed());
            let shelf = Shelf::default();
            map.set(1, 1);
            clock.advance(SECOND);
            let answers = thread::scope(|threads| {
                let caller = threads.spawn(|| {
                    let call = map.background_multi(&[1, 2], &shelf).wait(HOUR);
                    call.max_age(NANO).accept(Accept::Fresh).get_or_create(make)
                });
                // Time goes on for as long as it waits: what passes while it starts its job is not counted.
                while !caller.is_finished() {
                    clock.advance(HOUR);
                    thread::yield_now();
                }
                caller.join().unwrap()
            });
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().is_err_and(Error::is_timed_out))
            );
            shelf.take().run();
            assert_eq!(*map.peek(&2).unwrap(), 4);
            let call = map
                .background_multi(&[3], &shelf)
                .min_fresh(SECOND)
                .wait(HOUR);
            let mut call = Box::pin(call.get_or_create_async(|wanted| async { make(wanted) }));
            assert!(poll(call.as_mut()).is_pending());
            clock.advance(HOUR);
            assert!(block_on(call)[0].as_ref().is_err_and(Error::is_timed_out));
            // Nothing moves the clock of the system, and the shelf has no timer.
            let map = squares();
            map.set(1, 1);
            let call = map.background_multi(&[1, 2, 1], &shelf).wait(HOUR);
            let answers = block_on(call.get_or_create_async(|wanted| async { make(wanted) }));
            assert_eq!(answers.len(), 3);
            assert!(
                answers
                    .iter()
                    .all(|answer| matches!(answer, Err(Error::NoTimer)))
            );
        });
    }

    /// One turn for all keys, which the job has until it ends.
    #[test]
    fn takes_one_turn() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().creation_limit(1);
            let map: Arc<Squares> = Arc::new(map.build());
            let shelf = Shelf::default();
            let call = map.background_multi(&[1, 2], &shelf);
            let create = |wanted: Vec<u32>| async move { make(wanted) };
            let mut call = Box::pin(call.get_or_create_async(create));
            assert!(poll(call.as_mut()).is_pending());
            let other = || map.call(&3).wait(Duration::ZERO).get_or_create(|| 9);
            assert!(other().is_err_and(|error| error.is_timed_out()));
            shelf.take().run();
            assert_eq!(values(block_on(call)), [1, 4]);
            assert_eq!(*other().unwrap(), 9);
            // Also if it never runs, or panics.
            let call = map.background_multi(&[4, 5], &shelf).wait(Duration::ZERO);
            assert!(call.get_or_create(make)[0].is_err());
            drop(shelf.take());
            let call = map.background_multi(&[4, 5], &Thread);
            assert!(call.get_or_create(|_| -> Vec<(u32, u32)> { burst() })[1].is_err());
            until(|| {
                map.call(&6)
                    .wait(Duration::ZERO)
                    .get_or_create(|| 36)
                    .is_ok()
            });
        });
    }

    /// A job that is dropped before it began has spent nothing of a rate; one that began has.
    #[test]
    fn spends_of_a_rate_once_it_began() {
        for polls in 0..2 {
            let map = Dogpile::builder(MINUTE).keyed().creation_rate(2, HOUR);
            let map: Arc<Squares> = Arc::new(map.build());
            let shelf = Shelf::default();
            let call = map.background_multi(&[1, 2], &shelf);
            let mut call = Box::pin(call.get_or_create_async(async |wanted| {
                std::future::pending::<()>().await;
                make(wanted)
            }));
            assert!(poll(call.as_mut()).is_pending());
            let mut job = Box::pin(shelf.take());
            for _ in 0..polls {
                assert!(poll(job.as_mut()).is_pending());
            }
            drop(job);
            assert!(block_on(call).iter().all(Result::is_err));
            let next = map.get_or_try_create(&3, || Ok::<_, Down>(9));
            assert_eq!(next.is_err_and(|error| error.is_over_rate()), polls > 0);
        }
    }

    /// No key, no job that is known by it, no lease.
    #[test]
    fn leaves_nothing_behind() {
        within(|| {
            let (map, shelf) = (squares(), Shelf::default());
            for round in 0..100 {
                let keys = [round, round + 1000];
                let call = map.background_multi(&keys, &shelf);
                assert!(call.wait(Duration::ZERO).get_or_create(make)[0].is_err());
                match round % 2 {
                    0 => shelf.take().run(),
                    _ => drop(shelf.take()),
                }
                map.invalidate_all();
            }
            assert_eq!((map.len(), map.stats().creating), (0, 0));
            let none = map.background_multi(&[], &shelf).get_or_try_create(never);
            assert!(none.is_empty() && shelf.jobs.lock().unwrap().is_empty());
        });
    }
}

mod refusals {
    use super::*;

    /// Who has a stale value takes it; the others are told why; all leases are free, and no creation
    /// has spent anything of a rate.
    #[test]
    fn serve_what_is_stale() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().creation_rate(3, HOUR);
            let map: Arc<Squares> = Arc::new(map.build());
            map.set(1, 1);
            map.expire(&1);
            let full = Shelf {
                full: true,
                ..Shelf::default()
            };
            let drops = Shelf {
                drops: true,
                ..Shelf::default()
            };
            for executor in [&full, &drops] {
                let call = || map.background_multi(&[1, 2, 3, 2], executor);
                let thread = call().get_or_try_create(never);
                let create = |wanted| async move { never(wanted) };
                let task = block_on(call().get_or_try_create_async(create));
                for answers in [thread, task] {
                    let stale = answers[0].as_ref().unwrap();
                    assert_eq!((**stale, stale.origin()), (1, Origin::Stale));
                    for refused in &answers[1..] {
                        let Err(Error::Refused(error)) = refused else {
                            panic!("{refused:?}")
                        };
                        if executor.full {
                            let why = std::error::Error::source(error).unwrap();
                            assert_eq!(why.to_string(), "the shelf is full");
                        }
                    }
                }
                assert!(!map.is_creating(&1) && !map.is_creating(&2));
                assert_eq!(map.len(), 1);
            }
            assert_eq!(
                values(
                    map.background_multi(&[2, 3, 1], &Thread)
                        .get_or_create(make)
                ),
                [4, 9, 1]
            );
        });
    }

    #[test]
    fn of_a_thread_that_is_needed() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().creation_rate(2, HOUR);
            let map: Arc<Squares> = Arc::new(map.build());
            map.set(1, 1);
            map.expire(&1);
            let needed = Shelf {
                needs: true,
                ..Shelf::default()
            };
            let answers = map
                .background_multi(&[1, 2], &needed)
                .get_or_try_create(never);
            assert_eq!(**answers[0].as_ref().unwrap(), 1);
            assert!(answers[1].as_ref().is_err_and(Error::is_refused));
            // Whoever would not wait may have it started.
            let answers = map.background_multi(&[1], &needed).get_or_create(make);
            assert_eq!(values(answers), [1]);
            needed.take().run();
            // A creation of another, for which it would have to wait.
            let KeyedAttempt::Lease(_lease) = map.attempt(&3) else {
                panic!()
            };
            let answers = map
                .background_multi(&[1, 3], &needed)
                .get_or_try_create(never);
            assert!(answers[0].is_ok());
            assert!(answers[1].as_ref().is_err_and(Error::is_refused));
        });
    }
}

/// A pool of one thread, which asks for keys that its own queue is to bring.
#[test]
fn never_waits_for_itself() {
    within(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.unwrap();
        let map = squares();
        map.set(3, 7);
        pool.install(|| {
            // It runs here what it is elected for.
            assert_eq!(
                values(map.background_multi(&[1, 2], &Rayon).get_or_create(make)),
                [1, 4]
            );
            // The job of another is known by each of its keys.
            for key in [3, 4, 5] {
                map.expire(&3);
                map.invalidate(&4);
                map.invalidate(&5);
                let call = map
                    .background_multi(&[3, 4, 5], &Rayon)
                    .wait(Duration::ZERO);
                drop(call.get_or_create(make));
                assert!(map.is_creating(&5));
                let fresh = map.background(&key, &Rayon).accept(Accept::Fresh);
                let again = || -> u32 { panic!("it is created already") };
                assert_eq!(*fresh.get_or_create(again).unwrap(), key * key);
                assert!(!map.is_creating(&3));
            }
            map.invalidate(&4);
            map.invalidate(&5);
            let call = map.background_multi(&[4, 5], &Rayon).wait(Duration::ZERO);
            drop(call.get_or_create(make));
            let call = map.background_multi(&[5, 4], &Rayon);
            assert_eq!(values(call.get_or_try_create(never)), [25, 16]);
        });
    });
}

/// In the foreground too.
mod what_stands_in {
    use super::*;

    #[test]
    fn for_a_failure_of_one_of_several_keys() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map: Squares = builder.stale_if_error(HOUR).build_keyed();
            map.set(1, 1);
            map.set(2, 4);
            clock.advance(2 * MINUTE);
            let all = map.get_or_try_create_multi(&[1, 3], |_| Err::<Made, _>(Down(7)));
            let held = all[0].as_ref().unwrap();
            assert_eq!((**held, held.origin()), (1, Origin::Stale));
            let failure = KeyedGuard::failure(held).unwrap();
            assert_eq!(failure.downcast_ref(), Some(&Down(7)));
            assert_eq!(all[1].as_ref().unwrap_err().created(), Some(&Down(7)));
            let one = map.get_or_try_create_multi(&[1, 2], |_| Ok([(1, Err(Down(8))), (2, Ok(5))]));
            assert_eq!(
                *KeyedGuard::failure(one[0].as_ref().unwrap())
                    .unwrap()
                    .downcast_ref::<Down>()
                    .unwrap(),
                Down(8)
            );
            assert_eq!(**one[1].as_ref().unwrap(), 5);
        });
    }

    /// What may be taken over at the very end of a wait limit is taken over.
    #[test]
    fn and_a_creator_that_hangs_until_the_limit() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map: Squares = builder.max_create_time(SECOND).build_keyed();
            let KeyedAttempt::Lease(late) = map.attempt(&3) else {
                panic!("nobody creates it");
            };
            thread::scope(|threads| {
                let caller = threads.spawn(|| {
                    let create =
                        |wanted: &[&u32]| try_make(wanted.iter().copied().copied().collect());
                    values(map.get_or_try_create_multi_for(SECOND, &[3], create))
                });
                until(|| map.waiters(&3) == 1);
                clock.advance(SECOND);
                assert_eq!(caller.join().unwrap(), [9]);
            });
            drop(late);
        });
    }

    /// A call that waits for several keys takes over what hangs.
    #[test]
    fn and_a_creator_that_hangs_is_succeeded() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map: Arc<Squares> = Arc::new(builder.max_create_time(SECOND).build_keyed());
            let hangs = |key: u32| match map.attempt(&key) {
                KeyedAttempt::Lease(lease) => lease,
                other => panic!("{other:?}"),
            };
            let keys = |caller: u32| [caller, caller + 10];
            let late = [1, 2, 3, 4].map(|caller| keys(caller).map(hangs));
            let squares = |caller: u32| keys(caller).map(|root| root * root).to_vec();
            thread::scope(|threads| {
                let here = threads.spawn(|| {
                    let made = map.get_or_create_multi(&keys(1), |wanted| {
                        let one = |root: &&u32| (**root, **root * **root);
                        wanted.iter().map(one).collect::<Vec<_>>()
                    });
                    made.into_iter()
                        .map(|square| *square.unwrap())
                        .collect::<Vec<_>>()
                });
                let job = threads.spawn(|| {
                    let keys = keys(2);
                    values(map.background_multi(&keys, &Thread).get_or_create(make))
                });
                let task = threads.spawn(|| {
                    let keys = keys(3);
                    let create = |_| async { [(3, 9), (13, 169)] };
                    let made = block_on(map.get_or_create_multi_async(&keys, create));
                    made.into_iter()
                        .map(|square| *square.unwrap())
                        .collect::<Vec<_>>()
                });
                let job_of_a_task = threads.spawn(|| {
                    let keys = keys(4);
                    let call = map.background_multi(&keys, &Thread);
                    values(block_on(
                        call.get_or_create_async(|wanted| async { make(wanted) }),
                    ))
                });
                // None of them has anything else to do: they sleep.
                let mut all = (1..5).flat_map(keys);
                until(|| all.clone().all(|key| map.waiters(&key) == 1));
                clock.advance(SECOND);
                assert_eq!(here.join().unwrap(), squares(1));
                assert_eq!(job.join().unwrap(), squares(2));
                assert_eq!(task.join().unwrap(), squares(3));
                assert_eq!(job_of_a_task.join().unwrap(), squares(4));
                assert!(all.all(|key| map.peek(&key).is_some()));
            });
            drop(late);
        });
    }
}
