//! Creations in the background: what becomes of them, of their callers, and of the executors.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use dogpile::executor::{Blocking, Executor, Job, Rayon, Smol, Thread, Tokio, TokioBlocking};
use dogpile::{
    Accept, Acquired, Attempt, Background, Backoff, Created, Creating, Dogpile, Error, Guard,
    Lookup, ManualClock, Origin, Refused,
};

use crate::shelf::Shelf;
use crate::support::{Keeps as _, Shows as _};
use crate::support::{MINUTE, NANO, Runs, SECOND, burst, manual, until, within};
use crate::tasks::{Alarm, Spawn, block_on, on_runtimes, poll, poll_by, steps, until_task};

fn is_refused<E>(answer: Result<Guard<'_, u32>, Error<E>>) -> bool {
    matches!(answer, Err(Error::Refused(_)))
}

/// What a creator is given is cloned for the job, and for nobody else.
mod what_is_given {
    use super::*;

    /// Counts its clones.
    struct Given(Arc<AtomicUsize>);

    impl Clone for Given {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(&self.0))
        }
    }

    impl Given {
        fn new() -> Self {
            Self(Arc::default())
        }

        fn clones(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        /// What a creator makes of it.
        fn number(self) -> Result<u32, ()> {
            Ok(u32::try_from(self.clones()).unwrap())
        }
    }

    type Pile = Arc<Dogpile<u32>>;
    type Form = fn(&Pile, &Shelf, &Given) -> Option<u32>;

    const FORMS: [Form; 8] = [
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            call.get_or_create(|given| given.number().unwrap())
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            call.get_or_try_create(Given::number)
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            call.get_or_try_create_with(|given, _| given.number().map(Created::new))
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            call.acquire(Given::number, || Ok(Lookup::Here(0)))
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            let create = |given: Given| async { given.number().unwrap() };
            block_on(call.get_or_create_async(create))
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            let create = |given: Given| async { given.number() };
            block_on(call.get_or_try_create_async(create))
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            let create = |given: Given, _: Creating<'static, u32>| async {
                given.number().map(Created::new)
            };
            block_on(call.get_or_try_create_with_async(create))
                .ok()
                .map(|value| *value)
        },
        |pile, shelf, given| {
            let call = pile.background(shelf).with(given);
            let create = |given: Given| async { given.number() };
            let get = || async { Ok(Lookup::Here(0)) };
            block_on(call.acquire_async(create, get))
                .ok()
                .map(|value| *value)
        },
    ];

    #[test]
    fn is_cloned_by_the_elected_call_alone() {
        within(|| {
            for form in FORMS {
                let (pile, shelf, given) = (
                    Pile::new(Dogpile::new(MINUTE)),
                    Shelf::default(),
                    Given::new(),
                );
                pile.set(0);
                assert_eq!(
                    (form(&pile, &shelf, &given), given.clones()),
                    (Some(0), 0),
                    "a hit"
                );
                pile.expire();
                assert_eq!((form(&pile, &shelf, &given), given.clones()), (Some(0), 1));
                assert_eq!(
                    (form(&pile, &shelf, &given), given.clones()),
                    (Some(0), 1),
                    "meanwhile"
                );
                shelf.take().run();
                assert_eq!(pile.peek().as_deref(), Some(&1), "made of the clone");
            }
        });
    }

    /// Its panic gives the lease up.
    #[test]
    fn may_panic_when_it_is_cloned() {
        struct Fragile;
        impl Clone for Fragile {
            fn clone(&self) -> Self {
                panic!("it breaks")
            }
        }
        within(|| {
            let (pile, shelf) = (Arc::new(Dogpile::with_value(MINUTE, 1)), Shelf::default());
            pile.expire();
            let call = || pile.background(&shelf).with(&Fragile);
            let broken = std::panic::catch_unwind(|| drop(call().get_or_create(|_| 2)));
            assert!(broken.is_err() && shelf.is_empty() && !pile.is_creating());
            assert_eq!(*pile.get_or_create(|| 3), 3);
        });
    }
}

/// Would have its thread blocked for none of its jobs.
struct Needed;

impl Executor for Needed {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        Thread.spawn(job)
    }

    fn blocking_here(&self) -> Blocking {
        Blocking::Refuse(Refused::new("this thread is needed"))
    }
}

/// Elected or not.
#[test]
fn who_may_not_wait_here_gets_what_stands_in() {
    within(|| {
        let (clock, builder) = manual::<u32>(MINUTE);
        let limits = builder
            .stale_while_revalidate(SECOND)
            .stale_if_error(MINUTE);
        let pile = Arc::new(limits.build());
        pile.set(1);
        clock.advance(MINUTE + 2 * SECOND);
        let ask = || {
            let held = pile.background(&Needed).get_or_create(|| 2).unwrap();
            assert_eq!((*held, held.origin()), (1, Origin::Fallback));
            let failure = Guard::failure(&held).unwrap();
            assert!(matches!(failure.as_refusal(), Some(Error::Refused(_))));
        };
        ask();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!("what was not begun was not given up")
        };
        ask();
        drop(lease);
    });
}

/// A `set` came before that, and it counts.
#[test]
fn what_is_refused_late_backs_off_from_nothing() {
    let (_, builder) = manual::<u32>(MINUTE);
    let pile = Arc::new(builder.backoff(Backoff::constant(SECOND)).build());
    let shelf = Shelf::default();
    let call = pile.background(&shelf).wait(Duration::ZERO);
    assert!(call.get_or_create(|| 1).unwrap_err().is_timed_out());
    pile.set(2);
    drop(shelf.take());
    assert_eq!(pile.retry_in(), None);
    assert!(pile.background(&shelf).renew(|| Ok::<_, ()>(3)).unwrap());
    drop(shelf.take());
    assert_eq!(pile.retry_in(), Some(SECOND));
    let again = pile.background(&shelf).renew(|| Ok::<_, ()>(3));
    assert!(again.unwrap_err().is_backing_off());
}

/// A call on a thread that may have to run the job looks for it, and hears of the end all the same.
#[test]
fn what_is_in_no_queue_is_waited_for() {
    struct Pool;
    impl Executor for Pool {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            thread::spawn(|| job.run());
            Ok(())
        }

        fn blocking_here(&self) -> Blocking {
            Blocking::RunHere
        }
    }
    within(|| {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let Attempt::Lease(creation) = pile.attempt() else {
            panic!("it is free");
        };
        thread::scope(|threads| {
            let waiter = threads.spawn(|| {
                let call = pile.background(&Pool);
                *call.get_or_create(|| unreachable!()).unwrap()
            });
            until(|| pile.waiters() == 1);
            drop(creation.publish(1).unwrap());
            assert_eq!(waiter.join().unwrap(), 1);
        });
    });
}

/// An executor that does not want a job may say so, or drop it. It is told as the executor says it.
#[test]
fn a_refusal_is_told_as_it_was_said() {
    fn refused(error: Error<()>) -> String {
        match error {
            Error::Refused(refused) => refused.source().unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    }
    let said = |shelf: &Shelf| {
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let call = pile.background(shelf);
        let answer = block_on(call.get_or_try_create_async(async || Ok(1)));
        let text = refused(answer.unwrap_err());
        let renewed = pile.background(shelf).renew(|| Ok(1));
        assert_eq!(refused(renewed.unwrap_err()), text);
        text
    };
    let [full, drops] = [(true, false), (false, true)].map(|(full, drops)| {
        let shelf = Shelf {
            full,
            drops,
            ..Shelf::default()
        };
        said(&shelf)
    });
    assert!(full.contains("the shelf is full"), "{full}");
    assert!(drops.contains("dropped"), "{drops}");
}

/// The caller who finds the value stale has the creation started, takes the stale value and leaves.
#[test]
fn a_stale_value_is_taken_and_its_caller_leaves() {
    let (_, builder) = manual(MINUTE);
    let pile = Arc::new(builder.build());
    pile.set(1);
    pile.expire();
    let shelf = Shelf::default();
    let value = pile.background(&shelf).get_or_create(|| 2).unwrap();
    assert_eq!((*value, value.origin()), (1, Origin::Stale));
    // So does everybody else, and one creation is enough.
    let value = pile.background(&shelf).get_or_create(|| 3).unwrap();
    assert_eq!((*value, value.origin()), (1, Origin::Stale));
    let job = shelf.take();
    assert!(shelf.is_empty());
    job.run();
    let value = pile.background(&shelf).get_or_create(|| 4).unwrap();
    assert_eq!((*value, value.origin()), (2, Origin::Fresh));
    assert!(shelf.is_empty());
}

/// Also where stale values are served for so long only, and for a caller who is stricter than the
/// pile.
#[test]
fn a_stale_value_is_taken_within_its_limits() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.stale_while_revalidate(MINUTE).build());
        pile.set(1);
        clock.advance(MINUTE + SECOND);
        let shelf = Shelf::default();
        let calls = pile.background(&shelf);
        assert_eq!(*calls.get_or_create(|| 2).unwrap(), 1);
        assert_eq!(*calls.get_or_create(|| 3).unwrap(), 1);
        shelf.take().run();
        clock.advance(SECOND);
        let strict = calls.max_age(NANO);
        assert_eq!(*strict.get_or_create(|| 4).unwrap(), 2);
        assert_eq!(*strict.get_or_create(|| 5).unwrap(), 2);
        shelf.take().run();
        assert!(shelf.is_empty());
    });
}

/// Nothing is cloned, and nothing allocated, unless the caller is elected.
#[test]
fn a_hit_costs_nothing_more() {
    let pile = Arc::new(Dogpile::with_value(MINUTE, 1));
    let shelf = Shelf::default();
    let hit = || {
        let guard = pile.background(&shelf).get_or_create(|| 2).unwrap();
        assert_eq!((*guard, Arc::strong_count(&pile)), (1, 1));
        let call = pin!(pile.background(&shelf).get_or_create_async(pending));
        assert!(poll_by(futures::task::noop_waker_ref(), call).is_ready());
    };
    hit();
    assert_eq!(allocation_counter::measure(hit).count_total, 0);
    assert!(shelf.is_empty());
}

/// Without a value the caller waits for what it had started: a thread, and a task.
#[test]
fn without_a_value_it_waits() {
    within(|| {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let value = pile.background(&Thread).get_or_create(|| 1).unwrap();
        assert_eq!((*value, value.origin()), (1, Origin::CreatedHere));
        pile.invalidate();
        let call = pile.background(&Thread);
        let value = block_on(call.get_or_create_async(|| async { 2 })).unwrap();
        assert_eq!((*value, value.origin()), (2, Origin::CreatedHere));
        // A stale one, for a caller who does not take it.
        let call = pile.background(&Thread).accept(Accept::New);
        assert_eq!(*call.get_or_create(|| 3).unwrap(), 3);
        pile.expire();
        let call = pile
            .background(&Thread)
            .max_age(SECOND)
            .accept(Accept::Fresh);
        assert_eq!(*call.get_or_create(|| 4).unwrap(), 4);
    });
}

/// Its callers, and others who wait for it, in any form.
#[test]
fn everybody_waits_for_one() {
    within(|| {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let shelf = Shelf::default();
        let mut first = Box::pin(pile.background(&shelf).get_or_create_async(|| async { 1 }));
        assert!(poll(first.as_mut()).is_pending());
        let mut second = Box::pin(pile.background(&shelf).get_or_create_async(pending));
        assert!(poll(second.as_mut()).is_pending());
        thread::scope(|threads| {
            let plain =
                threads.spawn(|| pile.get_or_create(|| panic!("a second creator")).origin());
            let background = threads.spawn(|| {
                let call = pile.background(&shelf);
                call.get_or_create(|| panic!("a second creator"))
                    .unwrap()
                    .origin()
            });
            until(|| pile.waiters() == 4);
            shelf.take().run();
            assert_eq!(plain.join().unwrap(), Origin::CreatedByAnother);
            assert_eq!(background.join().unwrap(), Origin::CreatedByAnother);
        });
        let Poll::Ready(Ok(value)) = poll(first) else {
            panic!()
        };
        assert_eq!(value.origin(), Origin::CreatedHere);
        let Poll::Ready(Ok(value)) = poll(second) else {
            panic!()
        };
        assert_eq!(value.origin(), Origin::CreatedByAnother);
        assert!(shelf.is_empty());
    });
}

/// The caller leaves, by being dropped or by its limit, and the creation goes on.
#[test]
fn a_caller_who_leaves_stops_nothing() {
    let (clock, builder) = manual(MINUTE);
    let pile = Arc::new(builder.build());
    let shelf = Shelf::default();
    let mut caller = Box::pin(pile.background(&shelf).get_or_create_async(|| async { 1 }));
    assert!(poll(caller.as_mut()).is_pending());
    drop(caller);
    let limited = pile.background(&shelf).wait(SECOND);
    let mut caller = Box::pin(limited.get_or_create_async(pending));
    assert!(poll(caller.as_mut()).is_pending());
    clock.advance(SECOND);
    assert!(matches!(poll(caller), Poll::Ready(Err(error)) if error.is_timed_out()));
    assert!(pile.is_creating());
    shelf.take().run();
    assert_eq!(*pile.peek().unwrap(), 1);
    assert!(shelf.is_empty());
}

/// The limit of a thread holds for what it had started as well.
#[test]
fn a_limit_is_to_waiting_for_ones_own_too() {
    let (_, builder) = manual(MINUTE);
    let pile = Arc::new(builder.build());
    let shelf = Shelf::default();
    let call = pile.background(&shelf).wait(Duration::ZERO);
    assert!(call.get_or_create(|| 1).unwrap_err().is_timed_out());
    shelf.take().run();
    assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
}

/// A limit that nothing keeps: the executor has no timer.
#[test]
fn a_limit_needs_a_timer() {
    let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
    let call = pile.background(&Thread).wait(SECOND);
    let answer = block_on(call.get_or_create_async(pending));
    assert!(matches!(answer, Err(Error::NoTimer)));
    assert!(!pile.is_creating());
}

/// 10 callers with 100 ms each on a creation of 120 ms, whose time-outs are around the calls, or
/// those of the calls: one creation, the value is there after it, and everybody later is served.
#[test]
fn hasty_callers_get_the_value_in_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    for around in [true, false] {
        runtime.block_on(async {
            let pile = Arc::new(Dogpile::new(MINUTE));
            let runs = Arc::new(Runs::default());
            let limit = Duration::from_millis(100);
            let caller = || {
                let runs = Arc::clone(&runs);
                let create = || async move {
                    runs.run(|| ());
                    tokio::time::sleep(Duration::from_millis(120)).await;
                    Ok::<_, Infallible>(7)
                };
                let call = pile.background(&Tokio);
                async move {
                    if around {
                        let call = call.get_or_try_create_async(create);
                        let answer = tokio::time::timeout(limit, call).await;
                        return answer.ok().map(|value| value.unwrap());
                    }
                    match call.wait(limit).get_or_try_create_async(create).await {
                        Ok(value) => Some(value),
                        Err(error) => {
                            assert!(error.is_timed_out());
                            None
                        }
                    }
                }
            };
            let answers = futures::future::join_all((0..10).map(|_| caller())).await;
            assert!(answers.iter().all(Option::is_none));
            assert_eq!((pile.waiters(), pile.is_creating()), (0, true));
            tokio::time::sleep(Duration::from_millis(20)).await;
            until_task(|| pile.is_fresh()).await;
            for _ in 0..10 {
                assert_eq!(*caller().await.unwrap(), 7);
            }
            assert_eq!(runs.count(), 1);
        });
    }
}

#[test]
fn every_executor_runs_it() {
    fn runs_on(executor: &dyn Executor) {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let task = pile.background(executor);
        let value = block_on(task.get_or_try_create_async(|| async {
            steps(3).await;
            Ok::<_, ()>(1)
        }));
        assert_eq!(*value.unwrap(), 1);
        pile.invalidate();
        let thread = pile.background(executor);
        assert_eq!(*thread.get_or_try_create(|| Ok::<_, ()>(2)).unwrap(), 2);
        let failed = pile.background(executor).accept(Accept::New);
        let failed = failed.get_or_try_create(|| Err("down")).unwrap_err();
        assert_eq!(failed.created(), Some(&"down"));
        // A panic is the executor's to swallow or to tell. Its caller is told, and all survive it.
        let bursts = pile.background(executor).accept(Accept::New);
        let answer = bursts.get_or_create(|| burst());
        assert!(matches!(answer, Err(Error::Panicked(panic)) if panic.text() == "burst"));
        let again = pile.background(executor).accept(Accept::New);
        assert_eq!(*again.get_or_create(|| 3).unwrap(), 3);
    }
    within(|| {
        runs_on(&Thread);
        runs_on(&Smol);
        runs_on(&Rayon);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let _here = runtime.enter();
        runs_on(&Tokio);
        runs_on(&TokioBlocking);
    });
}

/// The timers of the adapters end a wait for what does not end.
#[test]
fn every_timer_rings() {
    within(|| {
        let instant = Duration::from_nanos(1);
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let call = pile.background(&Smol).wait(instant);
        let answer = block_on(call.get_or_create_async(pending));
        assert!(answer.unwrap_err().is_timed_out());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let answer = runtime.block_on(async {
            let call = pile.background(&TokioBlocking).wait(instant);
            call.get_or_create_async(pending).await
        });
        assert!(answer.unwrap_err().is_timed_out());
    });
}

/// An executor that refuses, says nothing and drops, or is not there: the caller is told, the lease
/// is given up, and those who wait go on.
#[test]
fn a_refusal_is_an_error_to_those_with_nothing_to_go_on_with() {
    within(|| {
        let full = Shelf {
            full: true,
            ..Shelf::default()
        };
        let shut_down = Shelf {
            drops: true,
            ..Shelf::default()
        };
        let gone = {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            Runtime(runtime.handle().clone())
        };
        let executors: [&dyn Executor; 4] = [&full, &shut_down, &gone, &Tokio];
        for executor in executors {
            for held in [None, Some(0)] {
                let pile = Arc::new(Dogpile::new(MINUTE));
                if let Some(value) = held {
                    pile.set(value);
                    pile.expire();
                }
                for _ in 0..2 {
                    let call = pile.background(executor);
                    let thread = call.get_or_create(|| 1);
                    let task = block_on(call.get_or_create_async(pending));
                    match held {
                        Some(held) => assert_eq!((*thread.unwrap(), *task.unwrap()), (held, held)),
                        None => assert!(is_refused(thread) && is_refused(task)),
                    }
                    assert!(!pile.is_creating());
                    assert_eq!(Arc::strong_count(&pile), 1);
                }
                assert_eq!(*pile.get_or_create(|| 2), 2);
            }
        }
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let error = pile.background(&full).get_or_create(|| 1).unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the shelf is full");
    });
}

/// A tokio runtime by its handle, which outlives it.
struct Runtime(tokio::runtime::Handle);

impl Executor for Runtime {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        drop(self.0.spawn(job));
        Ok(())
    }
}

/// A job that was taken and is dropped later, before it began or in the middle.
#[test]
fn a_job_that_is_dropped_later_is_given_up() {
    for polls in 0..3 {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let shelf = Shelf::default();
        let mut caller = Box::pin(pile.background(&shelf).get_or_create_async(|| async {
            steps(5).await;
            1
        }));
        assert!(poll(caller.as_mut()).is_pending());
        let mut other = Box::pin(pile.get_or_create_async(|| async { 2 }));
        assert!(poll(other.as_mut()).is_pending());
        let mut job = Box::pin(shelf.take());
        for _ in 0..polls {
            assert!(poll(job.as_mut()).is_pending());
        }
        drop(job);
        assert!(!pile.is_creating());
        match (poll(caller), polls) {
            (Poll::Ready(Err(Error::Refused(_))), 0) => {}
            (Poll::Ready(Err(Error::GivenUp)), 1..) => {}
            (answer, _) => panic!("{answer:?} after {polls} polls"),
        }
        assert!(matches!(poll(other), Poll::Ready(value) if *value == 2));
    }
}

/// A pool of threads that can be full, for a program without tasks.
#[test]
fn a_pool_of_ones_own() {
    struct Pool(SyncSender<Job>);
    impl Executor for Pool {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            let sent = self.0.try_send(job);
            sent.map_err(|_| Refused::new("full or shut down"))
        }
    }
    within(|| {
        let (pool, jobs): (_, Receiver<Job>) = sync_channel(1);
        let pool = Pool(pool);
        let piles = [(); 3].map(|()| {
            let pile = Arc::new(Dogpile::with_value(MINUTE, 1));
            pile.expire();
            pile
        });
        let ask = |pile: &Arc<Dogpile<u32>>| pile.background(&pool).get_or_create(|| 2).map(|v| *v);
        assert_eq!(ask(&piles[0]).unwrap(), 1);
        // The pool is full: the stale value is still good.
        assert_eq!(ask(&piles[1]).unwrap(), 1);
        assert!(!piles[1].is_creating());
        jobs.recv().unwrap().run();
        assert_eq!(ask(&piles[0]).unwrap(), 2);
        assert_eq!(ask(&piles[1]).unwrap(), 1);
        drop(jobs); // With a job in it.
        assert!(!piles[1].is_creating());
        assert_eq!(ask(&piles[2]).unwrap(), 1);
        piles[2].invalidate();
        assert!(matches!(ask(&piles[2]), Err(Error::Refused(_))));
    });
}

/// An invalidate, a set, a failure meanwhile: the caller gets what it had started, as ever.
#[test]
fn what_comes_meanwhile() {
    let shelf = Shelf::default();
    let pile = Arc::new(Dogpile::new(MINUTE));
    let call = || {
        let call = pile.background(&shelf);
        let mut call = Box::pin(call.get_or_try_create_async(|| async { Ok::<_, &str>(1) }));
        assert!(poll(call.as_mut()).is_pending());
        call
    };
    let (caller, job) = (call(), shelf.take());
    pile.invalidate();
    job.run();
    let Poll::Ready(Ok(value)) = poll(caller) else {
        panic!()
    };
    assert_eq!((*value, value.origin()), (1, Origin::Superseded));
    assert!(!pile.has_value());

    let (caller, job) = (call(), shelf.take());
    pile.set(2);
    let Poll::Ready(Ok(value)) = poll(caller) else {
        panic!()
    };
    assert_eq!((*value, value.origin()), (2, Origin::CreatedByAnother));
    job.run();
    assert_eq!(*pile.peek().unwrap(), 2);

    // The failure of a superseded one goes to its own caller.
    pile.invalidate();
    let failing = pile.background(&shelf);
    let mut caller = Box::pin(failing.get_or_try_create_async(|| async { Err("down") }));
    assert!(poll(caller.as_mut()).is_pending());
    pile.invalidate();
    shelf.take().run();
    let Poll::Ready(Err(error)) = poll(caller) else {
        panic!()
    };
    assert_eq!(error.created(), Some(&"down"));
}

/// From inside its own creator it would wait for itself.
#[test]
fn reentrancy_is_an_error() {
    within(|| {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let shared = Arc::clone(&pile);
        let call = pile.background(&Thread);
        let value = block_on(call.get_or_create_async(|| async move {
            let inner = shared
                .background(&Thread)
                .get_or_create_async(pending)
                .await;
            assert!(inner.unwrap_err().is_reentrant());
            let inner = shared.background(&Thread).get_or_create(|| 2);
            assert!(inner.unwrap_err().is_reentrant());
            1
        }));
        assert_eq!(*value.unwrap(), 1);
    });
}

/// A pile that lives for ever needs no `Arc`.
#[test]
fn a_static_pile() {
    static PILE: Dogpile<String> = Dogpile::new(MINUTE);
    within(|| {
        let value = PILE.background_static(&Thread).get_or_create(|| "x".into());
        assert_eq!(*value.unwrap(), "x");
        fn is_send<F: Send>(future: F) -> F {
            future
        }
        let make = || async { String::from("y") };
        let call = PILE.background_static(&Thread).accept(Accept::New);
        let value = block_on(is_send(call.get_or_create_async(make)));
        assert_eq!(*value.unwrap(), "y");
    });
}

/// The pile may go while the creation runs: the job keeps it.
#[test]
fn the_pile_lives_as_long_as_its_creation() {
    let shelf = Shelf::default();
    let (clock, builder) = manual(MINUTE);
    let pile = Arc::new(builder.build());
    pile.set(1);
    clock.advance(MINUTE + NANO);
    drop(pile.background(&shelf).get_or_create(|| 2).unwrap());
    let weak = Arc::downgrade(&pile);
    drop(pile);
    assert!(weak.upgrade().is_some());
    shelf.take().run();
    assert!(weak.upgrade().is_none());
}

/// The job runs once, whoever polls it, and is done when its future is.
#[test]
fn a_job_is_a_future() {
    let pile = Arc::new(Dogpile::new(MINUTE));
    let shelf = Shelf::default();
    let ran = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&ran);
    let call = pile.background(&shelf);
    let mut caller = Box::pin(call.get_or_create_async(move || async move {
        steps(2).await;
        counts.fetch_add(1, Ordering::SeqCst)
    }));
    let (alarm, waker) = Alarm::new();
    assert!(poll_by(&waker, caller.as_mut()).is_pending());
    let mut job = Box::pin(shelf.take());
    assert!(poll(job.as_mut()).is_pending());
    assert!(poll(job.as_mut()).is_pending());
    assert_eq!(alarm.rings(), 0);
    assert!(poll(job.as_mut()).is_ready());
    assert_eq!((alarm.rings(), ran.load(Ordering::SeqCst)), (1, 1));
    assert!(poll(caller).is_ready());
}

/// A creator that says more about its value, and asks more of the pile.
#[test]
fn what_a_creator_knows_and_says() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let call = pile.background(&Thread);
        let value = call.get_or_try_create_with(|creating| {
            assert!(creating.previous().is_none() && !creating.is_superseded());
            Ok::<_, Infallible>(Created::new(1).ttl(2 * MINUTE).age(SECOND))
        });
        let value = value.unwrap();
        assert_eq!((*value, value.origin()), (1, Origin::CreatedHere));
        assert_eq!(value.age(), SECOND);
        clock.advance(2 * MINUTE - SECOND);
        assert!(pile.is_fresh());
        clock.advance(NANO);
        assert!(!pile.is_fresh());
        let call = call.accept(Accept::New);
        let same = block_on(call.get_or_try_create_with_async(|creating| async move {
            steps(1).await;
            let previous = creating.previous().unwrap();
            assert_eq!(*previous, 1);
            Ok::<_, Infallible>(Created::unchanged(previous))
        }));
        assert!(std::ptr::eq(&*same.unwrap(), &*value));
        assert!(pile.is_fresh());
        let gone =
            call.get_or_try_create_with(|_| Ok::<_, Infallible>(Created::new(2).keep(false)));
        assert_eq!(*gone.unwrap(), 2);
        assert!(pile.peek().is_none());
        let failed = call.get_or_try_create_with(|_| Err::<Created<u32>, _>("down"));
        assert_eq!(failed.unwrap_err().created(), Some(&"down"));
        // It learns that nobody waits for its value any more.
        let shared = Arc::clone(&pile);
        let superseded = call.get_or_try_create_with(move |creating| {
            shared.invalidate();
            assert!(creating.is_superseded());
            Ok::<_, Infallible>(Created::new(3))
        });
        assert_eq!(superseded.unwrap().origin(), Origin::Superseded);
    });
}

/// What a creator was given of its creation keeps the pile, and is gone with the job.
#[test]
fn what_a_creator_knows_holds_the_pile() {
    let shelf = Shelf::default();
    let pile = Arc::new(Dogpile::new(MINUTE));
    for run in [true, false] {
        let call = pile.background(&shelf).accept(Accept::New);
        let create = |creating: Creating<'static, u32>| {
            assert!(creating.fence() > 0);
            Ok::<_, Infallible>(Created::new(1))
        };
        let answer = call.wait(Duration::ZERO).get_or_try_create_with(create);
        assert!(answer.unwrap_err().is_timed_out());
        assert!(Arc::strong_count(&pile) > 1);
        if run {
            shelf.take().run();
        } else {
            drop(shelf.take());
        }
        assert_eq!(Arc::strong_count(&pile), 1);
    }
}

mod kept_elsewhere {
    use super::*;

    /// A pile, and where its value is kept.
    struct Site {
        clock: Arc<ManualClock>,
        pile: Arc<Dogpile<u32>>,
        store: Arc<AtomicUsize>,
        looks: AtomicUsize,
        shelf: Shelf,
    }

    type Fill = Box<dyn FnOnce() -> Result<u32, &'static str> + Send>;

    impl Site {
        fn new(keep: bool) -> Self {
            let (clock, builder) = manual(MINUTE);
            Self {
                clock,
                pile: Arc::new(builder.keep_last(keep).build()),
                store: Arc::default(),
                looks: AtomicUsize::new(0),
                shelf: Shelf::default(),
            }
        }

        /// Puts the value into the store.
        fn fill(&self, value: u32) -> Fill {
            let store = Arc::clone(&self.store);
            Box::new(move || {
                store.store(value as usize, Ordering::SeqCst);
                Ok(value)
            })
        }

        fn find(&self) -> Result<Lookup<u32>, &'static str> {
            self.looks.fetch_add(1, Ordering::SeqCst);
            let found = self.store.load(Ordering::SeqCst) as u32;
            Ok(Some(found).filter(|&found| found > 0).into())
        }

        fn call(&self) -> Background<'_, '_, u32> {
            self.pile.background(&self.shelf)
        }

        fn thread(&self, value: u32) -> Result<Acquired<'_, u32>, Error<&'static str>> {
            self.call().acquire(self.fill(value), || self.find())
        }

        async fn task(&self, value: u32) -> Result<Acquired<'_, u32>, Error<&'static str>> {
            let fill = self.fill(value);
            let find = || async {
                steps(1).await;
                self.find()
            };
            self.call().acquire_async(|| async { fill() }, find).await
        }

        /// As one or the other.
        fn ask(&self, as_task: bool, value: u32) -> (u32, Origin) {
            let looks = self.looks.load(Ordering::SeqCst);
            let answer = if as_task {
                block_on(self.task(value)).unwrap()
            } else {
                self.thread(value).unwrap()
            };
            assert_eq!(self.looks.load(Ordering::SeqCst), looks + 1);
            (*answer, answer.origin())
        }
    }

    /// Fresh: looked up. Stale: looked up, and created for the others. Missing: waited for.
    #[test]
    fn looked_up_here_and_created_there() {
        within(|| {
            for (keep, as_task) in [(true, true), (true, false), (false, true), (false, false)] {
                let site = Site::new(keep);
                thread::scope(|threads| {
                    let first = threads.spawn(|| site.ask(as_task, 1));
                    until(|| !site.shelf.is_empty());
                    assert_eq!(site.pile.waiters(), 1);
                    site.shelf.take().run();
                    assert_eq!(first.join().unwrap(), (1, Origin::CreatedHere));
                });
                assert_eq!(site.ask(as_task, 2), (1, Origin::Fresh));
                assert!(site.shelf.is_empty());
                site.clock.advance(MINUTE + NANO);
                assert_eq!(site.ask(as_task, 2), (1, Origin::Stale));
                // So does everybody else, and one creation is enough.
                let job = site.shelf.take();
                assert_eq!(site.ask(as_task, 3), (1, Origin::Stale));
                assert!(site.shelf.is_empty());
                job.run();
                assert_eq!(site.ask(as_task, 4), (2, Origin::Fresh));
                // In vain, and the pile has kept it, or not.
                site.store.store(0, Ordering::SeqCst);
                thread::scope(|threads| {
                    let miss = threads.spawn(|| site.ask(as_task, 5));
                    until(|| !site.shelf.is_empty());
                    site.shelf.take().run();
                    assert_eq!(miss.join().unwrap(), (5, Origin::CreatedHere));
                });
                assert_eq!(site.pile.peek().is_some(), keep);
                assert!(site.pile.has_value(), "what is kept elsewhere counts");
            }
        });
    }

    /// A failing look-up elects nobody; a failing creation is this caller's to hear; a refusal too.
    #[test]
    fn what_fails() {
        within(|| {
            let site = Site::new(true);
            let error = site.call().acquire(site.fill(1), || Err("look-up")).err();
            assert!(matches!(error, Some(Error::Get("look-up"))));
            let look = || async { Err("look-up") };
            let error = block_on(site.call().acquire_async(pending, look)).err();
            assert!(matches!(error, Some(Error::Get("look-up"))));
            assert!(!site.pile.is_creating());
            let on_thread = site.pile.background(&Thread);
            let failed = on_thread.acquire(|| Err("down"), || site.find()).err();
            assert_eq!(failed.unwrap().created(), Some(&"down"));
            let make = || async { Err("down") };
            let failed = block_on(on_thread.acquire_async(make, || async { site.find() })).err();
            assert_eq!(failed.unwrap().created(), Some(&"down"));
            let full = Shelf {
                full: true,
                ..Shelf::default()
            };
            let refused = site.pile.background(&full);
            let error = refused.acquire(site.fill(1), || site.find()).err();
            assert!(matches!(error, Some(Error::Refused(_))));
            assert!(!site.pile.is_creating());
        });
    }

    /// One who takes nothing that is there does not look.
    #[test]
    fn a_new_one_is_not_looked_up() {
        within(|| {
            let site = Site::new(true);
            let call = site.pile.background(&Thread).accept(Accept::New);
            let look = || panic!("looks");
            assert_eq!(*call.acquire(site.fill(1), look).unwrap(), 1);
            let (fill, look) = (site.fill(2), || async { panic!("looks") });
            let value = block_on(call.acquire_async(|| async { fill() }, look)).unwrap();
            assert_eq!((*value, value.origin()), (2, Origin::CreatedHere));
        });
    }

    /// A caller is dropped after any number of polls: before its creation was started nobody
    /// notices, and from then on it goes on.
    #[test]
    fn a_caller_dropped_after_any_number_of_polls() {
        for polls in 0..=4 {
            let site = Site::new(true);
            let mut caller = Box::pin(site.task(1));
            for _ in 0..polls {
                assert!(poll(caller.as_mut()).is_pending());
            }
            drop(caller);
            assert_eq!(site.pile.is_creating(), polls > 1);
            assert_eq!(site.pile.waiters(), 0);
            if polls > 1 {
                site.shelf.take().run();
                assert_eq!(site.ask(true, 2), (1, Origin::Fresh));
            }
            assert!(site.shelf.is_empty());
        }
    }
}

/// The answer of a caller; of every eighth, and of those who get one in a few polls.
async fn polled<F: Future>(number: usize, caller: F) -> Option<F::Output> {
    let mut caller = pin!(caller);
    if number % 8 == 0 {
        return Some(caller.await);
    }
    for _ in 0..number % 5 {
        if let Poll::Ready(value) = poll(caller.as_mut()) {
            return Some(value);
        }
        steps(1).await;
    }
    None
}

/// Callers come and go after any number of polls, on every runtime: nothing is
/// created twice at a time, and whoever stays is served.
#[test]
fn herds_of_which_most_are_dropped() {
    async fn body(spawn: Spawn) {
        let pile = Arc::new(Dogpile::new(MINUTE));
        let runs = Arc::new(Runs::default());
        for round in 0..20_u32 {
            pile.invalidate();
            let tasks: Vec<_> = (0..40)
                .map(|number: usize| {
                    let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                    spawn(Box::pin(async move {
                        let calls = pile.background(&Thread);
                        let create = move || async move {
                            runs.run(|| ());
                            steps(number % 3).await;
                            Ok::<_, Infallible>(round)
                        };
                        let value = if number % 2 == 0 {
                            let look = || async { Ok(Lookup::NeedRegeneration) };
                            let call = calls.acquire_async(create, look);
                            polled(number, async { *call.await.unwrap() }).await
                        } else {
                            let create = |creating: Creating<'static, _>| async move {
                                let value = create().await;
                                drop(creating);
                                value.map(Created::new)
                            };
                            let call = calls.get_or_try_create_with_async(create);
                            polled(number, async { *call.await.unwrap() }).await
                        };
                        assert!(value.is_none_or(|value| value == round));
                    }))
                })
                .collect();
            for task in tasks {
                task.await;
            }
        }
    }
    on_runtimes(body);
}
