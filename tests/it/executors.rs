//! What executors need, and do not have: threads that a call blocks, timers, room for a job.
//!
//! ```breakages
//! a-refusal-is-an-error-to-all | src/call/thread.rs | m18_
//! - if election.goes_on()
//! + if false
//!
//! sleeps-on-the-thread-that-it-waits-for | src/call/background.rs | m22_never_waits_for_itself::in_a_pool
//! - (Blocking::RunHere, Some(creation))
//! + (Blocking::RunHere, Some(creation)) if false
//!
//! a-wake-up-during-the-poll-is-lost | src/shim/real.rs | m23_
//! - let mut rung = bell.rung.lock();
//! + let mut rung = bell.rung.lock();
//! + *rung = false;
//! ```

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use dogpile::executor::{
    Blocking, Executor, Job, JobId, Rayon, Smol, Thread, Timer, Tokio, TokioBlocking,
};
use dogpile::{
    Accept, Backoff, Created, Dogpile, Error, Lookup, Origin, RefreshAhead, Refused,
    SyncReaderDogpile, WriteLockError,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::support::{LIMIT, MINUTE, NANO, SECOND, Shows as _, burst, manual, until, within};
use crate::tasks::{block_on, poll};

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(count)
        .enable_time()
        .build()
        .unwrap()
}

fn missing() -> Result<Lookup<u32>, &'static str> {
    Ok(Lookup::NeedRegeneration)
}

/// What a form answered: the value, or what kind of error.
fn told<E>(answer: Result<u32, Error<E>>) -> Result<u32, &'static str> {
    answer.map_err(|error| match error {
        Error::Refused(_) => "refused",
        Error::NoTimer => "no timer",
        Error::Panicked(_) => "panicked",
        Error::TimedOut { .. } => "timed out",
        _ => "another error",
    })
}

/// Every form that blocks, of a call in the background that is made anew for each.
macro_rules! blocking_forms {
    ($call:expr, $value:expr) => {{
        let value: u32 = $value;
        [
            told($call.get_or_create(move || value).map(|held| *held)),
            told(
                $call
                    .get_or_try_create(move || Ok::<_, &str>(value))
                    .map(|held| *held),
            ),
            told(
                $call
                    .get_or_try_create_with(move |_| Ok::<_, &str>(Created::new(value)))
                    .map(|held| *held),
            ),
            told($call.acquire(move || Ok(value), missing).map(|held| *held)),
        ]
    }};
}

/// One form, for a caller who must not create.
macro_rules! blocking_form {
    ($call:expr, $form:expr) => {
        match $form {
            0 => told($call.get_or_create(|| panic!("a second")).map(|held| *held)),
            1 => told(
                $call
                    .get_or_try_create(|| -> Result<_, &str> { panic!("a second") })
                    .map(|held| *held),
            ),
            2 => told(
                $call
                    .get_or_try_create_with(|_| -> Result<_, &str> { panic!("a second") })
                    .map(|held| *held),
            ),
            _ => told(
                $call
                    .acquire(|| panic!("a second"), missing)
                    .map(|held| *held),
            ),
        }
    };
}

/// Every form for tasks; `$before` is awaited by the creator.
macro_rules! async_forms {
    ($call:expr, $before:expr, $value:expr) => {{
        let value: u32 = $value;
        [
            told(
                block_on($call.get_or_create_async(move || async move {
                    $before.await;
                    value
                }))
                .map(|held| *held),
            ),
            told(
                block_on($call.get_or_try_create_async(move || async move {
                    $before.await;
                    Ok::<_, &str>(value)
                }))
                .map(|held| *held),
            ),
            told(
                block_on($call.get_or_try_create_with_async(move |_| async move {
                    $before.await;
                    Ok::<_, &str>(Created::new(value))
                }))
                .map(|held| *held),
            ),
            told(
                block_on($call.acquire_async(
                    move || async move {
                        $before.await;
                        Ok(value)
                    },
                    || async { missing() },
                ))
                .map(|held| *held),
            ),
        ]
    }};
}

/// A pile of either kind, without a value before each call.
macro_rules! both_kinds {
    ($new:expr, |$pile:ident| $body:expr) => {{
        let $pile: Arc<Dogpile<u32>> = Arc::new($new.build());
        $body;
        let $pile: Arc<SyncReaderDogpile<u32>> = Arc::new($new.build_sync_reader());
        $body;
    }};
}

/// Without policies and with them, none of which may undo what a test shows.
const POLICIES: [fn() -> dogpile::Builder<u32>; 2] = [
    || Dogpile::builder(MINUTE),
    || {
        Dogpile::builder(MINUTE)
            .stale_if_error(MINUTE)
            .backoff(Backoff::constant(MINUTE))
            .max_create_time(60 * MINUTE)
            .refresh_ahead(RefreshAhead::percent(50))
    },
];

/// 18: a refresh pool that is full, or shut down, or not there, or drops what it was given, turns
/// good stale values into errors.
#[test]
fn m18_a_full_pool_leaves_stale_values_good() {
    struct Full;
    impl Executor for Full {
        fn spawn(&self, _: Job) -> Result<(), Refused> {
            Err(Refused::new("full"))
        }
    }
    struct Drops;
    impl Executor for Drops {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            drop(job);
            Ok(())
        }
    }
    within(|| {
        let executors: [&dyn Executor; 3] = [&Full, &Drops, &Tokio];
        for executor in executors {
            both_kinds!(Dogpile::builder(Duration::ZERO), |pile| {
                let call = || pile.background(executor);
                // `acquire` goes on with what it looked up.
                let found = || Ok::<_, &str>(Lookup::Aged(1, NANO));
                for _ in 0..2 {
                    pile.set(1);
                    let [plain, fallible, with, _] = blocking_forms!(call(), 2);
                    assert_eq!([plain, fallible, with], [Ok(1); 3]);
                    let [plain, fallible, with, _] = async_forms!(call(), async {}, 2);
                    assert_eq!([plain, fallible, with], [Ok(1); 3]);
                    let value = call().acquire(|| Ok(2), found).unwrap();
                    assert_eq!((*value, value.origin()), (1, Origin::Stale));
                    drop(value);
                    let look = || async { found() };
                    let value = block_on(call().acquire_async(|| async { Ok(2) }, look)).unwrap();
                    assert_eq!((*value, value.origin()), (1, Origin::Stale));
                    drop(value);
                    assert!(!pile.is_creating());
                    assert_eq!(Arc::strong_count(&pile), 1);
                }
                // It is still told where there is nothing to go on with.
                let none = || call().accept(Accept::Fresh);
                assert_eq!(blocking_forms!(none(), 2), [Err("refused"); 4]);
                assert_eq!(async_forms!(none(), async {}, 2), [Err("refused"); 4]);
            });
        }
    });
}

/// 18 again, with policies: nor does the back-off that a full pool arms.
#[test]
fn m18_a_full_pool_leaves_good_what_stands_in() {
    struct Full;
    impl Executor for Full {
        fn spawn(&self, _: Job) -> Result<(), Refused> {
            Err(Refused::new("full"))
        }
    }
    let (clock, builder) = manual::<u32>(MINUTE);
    let builder = builder
        .stale_while_revalidate(2 * SECOND)
        .stale_if_error(MINUTE)
        .backoff(Backoff::exponential(SECOND, MINUTE).jitter(0))
        .refresh_ahead(RefreshAhead::percent(50));
    let pile = Arc::new(builder.build());
    pile.set(1);
    let ask = |after, origin| {
        clock.advance(after);
        for _ in 0..2 {
            let held = pile.background(&Full).get_or_create(|| 2).unwrap();
            assert_eq!((*held, held.origin()), (1, origin));
            // It is no failure of the source.
            assert_eq!(pile.retry_in(), Some(SECOND));
        }
    };
    ask(45 * SECOND, Origin::Fresh);
    ask(16 * SECOND, Origin::Stale);
    ask(2 * SECOND, Origin::Fallback);
    clock.advance(MINUTE);
    let call = || {
        pile.background(&Full)
            .get_or_create(|| 2)
            .map(|value| *value)
    };
    assert!(matches!(call(), Err(Error::Refused(_))));
    assert!(call().unwrap_err().is_backing_off());
}

/// 23: a job's own parking swallows the wake-up of what it awaits, and it sleeps on with the lease.
#[test]
fn m23_a_job_that_parks_misses_no_wake_up() {
    /// Is woken, and parks within the same poll, as a nested `block_on` or a scope would.
    async fn parks() {
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            thread::current().unpark();
            thread::park();
            Poll::Pending
        })
        .await;
    }
    within(|| {
        let runtime = workers(1);
        let _here = runtime.enter();
        let executors: [&dyn Executor; 3] = [&Thread, &TokioBlocking, &Rayon];
        for (executor, new) in executors
            .into_iter()
            .flat_map(|executor| POLICIES.map(|new| (executor, new)))
        {
            both_kinds!(new(), |pile| {
                let call = || pile.background(executor).accept(Accept::New);
                assert_eq!(async_forms!(call(), parks(), 1), [Ok(1); 4]);
            });
        }
    });
}

/// 22: a blocking wait, on an executor's thread, for a job in that executor's queue.
mod m22_never_waits_for_itself {
    use super::*;

    /// In a pool of one thread, in every form, for what the call was elected to create and for what
    /// another had started.
    #[test]
    fn in_a_pool_of_rayon() {
        within(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            let pool = pool.unwrap();
            for new in POLICIES {
                pool.install(|| {
                    both_kinds!(new(), |pile| {
                        let call = || pile.background(&Rayon).accept(Accept::New);
                        assert_eq!(blocking_forms!(call(), 1), [Ok(1); 4]);
                        assert_eq!(blocking_forms!(call().wait(MINUTE), 2), [Ok(2); 4]);
                        let waiting = || pile.background(&Rayon).accept(Accept::Fresh);
                        let answers = [0, 1, 2, 3].map(|form| {
                            pile.invalidate();
                            let started = call().wait(Duration::ZERO).get_or_create(|| 3);
                            assert!(started.unwrap_err().is_timed_out());
                            blocking_form!(waiting(), form)
                        });
                        assert_eq!(answers, [Ok(3); 4]);
                    });
                });
            }
        });
    }

    /// Also a job whose future the waiting thread has to poll, and one whose creator panics.
    #[test]
    fn whatever_the_job() {
        within(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            pool.unwrap().install(|| {
                let pile = Arc::new(Dogpile::new(MINUTE));
                let mut first = pin!(pile.background(&Rayon).get_or_create_async(|| async {
                    crate::tasks::steps(3).await;
                    1
                }));
                assert!(poll(first.as_mut()).is_pending());
                assert_eq!(*pile.background(&Rayon).get_or_create(|| 2).unwrap(), 1);
                let Poll::Ready(Ok(value)) = poll(first) else {
                    panic!()
                };
                assert_eq!(value.origin(), Origin::CreatedHere);
                pile.invalidate();
                let answer = pile.background(&Rayon).get_or_create(|| burst());
                assert!(matches!(answer, Err(Error::Panicked(_))));
                // By another, and so it elects anew.
                let call = pile.background(&Rayon);
                assert!(call.wait(Duration::ZERO).get_or_create(|| burst()).is_err());
                assert_eq!(*call.get_or_create(|| 3).unwrap(), 3);
            });
        });
    }

    /// The pool has two threads that compute with the value, of which one creates it.
    #[test]
    fn in_a_parallel_loop() {
        use rayon::prelude::*;
        within(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
            pool.unwrap().install(|| {
                let pile = Arc::new(Dogpile::new(Duration::MAX));
                let sum: u32 = (0..2000_u32)
                    .into_par_iter()
                    .map(|_| *pile.background(&Rayon).get_or_create(|| 7).unwrap())
                    .sum();
                assert_eq!(sum, 14_000);
            });
        });
    }

    /// On a worker of tokio the job went to a slot that nobody steals from.
    #[test]
    fn on_a_worker_of_tokio() {
        within(|| {
            for count in [1, 4] {
                let runtime = workers(count);
                let executors: [&'static (dyn Executor + Sync); 2] = [&Tokio, &TokioBlocking];
                for executor in executors {
                    let answers = runtime.spawn(async move { on_this_thread(executor, None) });
                    runtime.block_on(answers).unwrap();
                }
                let handle = runtime.handle().clone();
                let answers = runtime.spawn(async move { on_this_thread(&handle, None) });
                runtime.block_on(answers).unwrap();
                // The thread in `block_on` is no worker; nor is that of a `LocalSet` there, where to
                // block in place is a panic.
                runtime.block_on(async { on_this_thread(&Tokio, None) });
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async {
                    let task = tokio::task::spawn_local(async { on_this_thread(&Tokio, None) });
                    task.await.unwrap();
                });
            }
        });
    }

    /// The only thread of its runtime is told so at once, with or without a limit.
    #[test]
    fn on_the_thread_of_a_current_thread_runtime() {
        within(|| {
            let runtime = one_thread();
            let handle = runtime.handle().clone();
            runtime.block_on(async {
                on_this_thread(&Tokio, Some("refused"));
                on_this_thread(&handle, Some("refused"));
                let task = tokio::spawn(async { on_this_thread(&Tokio, Some("refused")) });
                task.await.unwrap();
                let local = tokio::task::LocalSet::new();
                let task = async {
                    let task = async { on_this_thread(&Tokio, Some("refused")) };
                    tokio::task::spawn_local(task).await.unwrap();
                };
                local.run_until(task).await;
                on_this_thread(&TokioBlocking, None);
                on_this_thread(&Thread, None);
                // A thread for blocking work is in the way of nobody.
                let task = tokio::task::spawn_blocking(|| on_this_thread(&Tokio, None));
                task.await.unwrap();
                let error = Arc::new(Dogpile::new(MINUTE));
                let error = error.background(&Tokio).get_or_create(|| 1).unwrap_err();
                let source = std::error::Error::source(&error).unwrap();
                assert!(source.to_string().contains("TokioBlocking"));
            });
        });
    }

    /// The thread of one runtime waits for another, by its handle or inside of its context.
    #[test]
    fn on_a_thread_of_another_runtime() {
        within(|| {
            let (here, there) = (one_thread(), workers(1));
            let handle = there.handle().clone();
            here.block_on(async {
                on_this_thread(&handle, None);
                let _there = handle.enter();
                on_this_thread(&Tokio, None);
            });
            on_this_thread(&handle, None);
            // The other one has a thread of its own, and one only.
            let there = one_thread();
            let handle = there.handle().clone();
            let (leave, left) = tokio::sync::oneshot::channel::<()>();
            let driver = thread::spawn(move || there.block_on(left));
            here.block_on(async { on_this_thread(&handle, None) });
            drop(leave);
            assert!(driver.join().unwrap().is_err());
        });
    }

    /// Whoever has a stale value takes it, wherever, and the creation begins when there is a thread.
    #[test]
    fn who_goes_on_is_not_asked() {
        let takes_the_stale = |executor: &dyn Executor| {
            both_kinds!(Dogpile::builder(MINUTE), |pile| {
                pile.set(1);
                pile.expire();
                let value = pile.background(executor).get_or_create(|| 2).unwrap();
                assert_eq!((*value, value.origin()), (1, Origin::Stale));
                assert!(pile.is_creating());
            });
        };
        within(move || {
            one_thread().block_on(async { takes_the_stale(&Tokio) });
            takes_the_stale(&Desk::default());
        });
    }

    /// All forms on this thread: elected, and waiting for what another call started. With this
    /// error, or none.
    fn on_this_thread(executor: &dyn Executor, error: Option<&'static str>) {
        for (wait, new) in [None, Some(MINUTE)]
            .into_iter()
            .flat_map(|wait| POLICIES.map(|new| (wait, new)))
        {
            both_kinds!(new(), |pile| {
                let call = || {
                    let call = pile.background(executor);
                    match wait {
                        Some(limit) => call.wait(limit),
                        None => call,
                    }
                };
                let expected = |value| error.map_or(Ok(value), Err);
                let answers = blocking_forms!(call().accept(Accept::New), 1);
                assert_eq!(answers, [expected(1); 4]);
                assert!(!pile.is_creating());
                let answers = [0, 1, 2, 3].map(|form| {
                    pile.invalidate();
                    let call = call().accept(Accept::Fresh);
                    // It ends when it is waited for; where nobody may wait it does not begin.
                    let (shared, is_refused) = (Arc::clone(&pile), error.is_some());
                    let (go, gone) = std::sync::mpsc::channel();
                    let started = call.wait(Duration::ZERO).get_or_create(move || {
                        gone.recv().unwrap();
                        until(|| is_refused || shared.waiters() > 0);
                        2
                    });
                    assert!(started.unwrap_err().is_timed_out());
                    let _ = go.send(()); // Unless another still has the lease.
                    assert!(pile.is_creating());
                    blocking_form!(call, form)
                });
                assert_eq!(answers, [expected(2); 4]);
            });
        }
    }

    /// A pool of one's own, whose threads look for the job in its queue.
    #[derive(Default)]
    struct Desk(Mutex<Vec<Job>>);

    impl Executor for Desk {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            self.0.lock().unwrap().push(job);
            Ok(())
        }

        fn blocking_here(&self) -> Blocking {
            Blocking::RunHere
        }

        fn run_queued(&self, id: JobId) -> bool {
            let mut jobs = self.0.lock().unwrap();
            let Some(at) = jobs.iter().position(|job| job.id() == id) else {
                return false;
            };
            let job = jobs.remove(at);
            drop(jobs);
            job.run();
            true
        }
    }

    /// Of the jobs in a queue it runs the one that it waits for, and no other.
    #[test]
    fn no_job_but_the_one_waited_for() {
        within(|| {
            let desk = Desk::default();
            let piles = [1, 2, 3].map(|value| {
                let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
                let call = pile.background(&desk).wait(Duration::ZERO);
                assert!(call.get_or_create(move || value).is_err());
                pile
            });
            assert_eq!(*piles[1].background(&desk).get_or_create(|| 9).unwrap(), 2);
            assert_eq!(desk.0.lock().unwrap().len(), 2);
            assert!(piles[0].is_creating() && piles[2].is_creating());
        });
    }

    /// Whoever was elected has not handed the job over yet when another comes to wait for it.
    #[test]
    fn a_job_that_comes_late() {
        /// Hands it over once somebody waits.
        struct Late<'a>(&'a Desk, Arc<Dogpile<u32>>);
        impl Executor for Late<'_> {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                until(|| self.1.waiters() == 1);
                self.0.spawn(job)
            }
        }
        within(|| {
            let desk = Desk::default();
            let pile = Arc::new(Dogpile::with_value(Duration::ZERO, 1));
            let late = Late(&desk, Arc::clone(&pile));
            thread::scope(|threads| {
                let elected = threads.spawn(|| {
                    let value = pile.background(&late).get_or_create(|| 2).unwrap();
                    assert_eq!((*value, value.origin()), (1, Origin::Stale));
                });
                until(|| pile.is_creating());
                let waiting = pile.background(&desk).accept(Accept::Fresh);
                let value = waiting.get_or_create(|| panic!("a second")).unwrap();
                assert_eq!((*value, value.origin()), (2, Origin::CreatedByAnother));
                elected.join().unwrap();
            });
        });
    }

    /// A thread that would run the job, but another is at it, keeps to its limit, by whatever clock.
    #[test]
    fn a_limit_holds_for_what_others_run() {
        within(|| {
            let (clock, builder) = crate::support::manual::<u32>(MINUTE);
            let pile = Arc::new(builder.build());
            let (desk, shelf) = (Desk::default(), Desk::default());
            let started = pile.background(&shelf).wait(Duration::ZERO);
            assert!(started.get_or_create(|| 1).is_err());
            thread::scope(|threads| {
                let waiter = threads.spawn(|| {
                    let call = pile.background(&desk).wait(SECOND);
                    call.get_or_create(|| 2).unwrap_err().is_timed_out()
                });
                until(|| pile.waiters() == 1);
                clock.advance(SECOND);
                assert!(waiter.join().unwrap());
            });
        });
    }

    /// A reader who waits for a writer waits for no job, and none is run meanwhile.
    #[test]
    fn behind_a_writer() {
        within(|| {
            let runtime = one_thread();
            let _in = runtime.enter();
            for executor in [&Rayon as &(dyn Executor + Sync), &Tokio, &Desk::default()] {
                let pile = Arc::new(SyncReaderDogpile::with_value(MINUTE, 1));
                let write = pile.acquire_write_lock().unwrap();
                thread::scope(|threads| {
                    let reader = threads.spawn(|| {
                        let call = pile.background(executor);
                        *call.get_or_create(|| panic!("a second")).unwrap()
                    });
                    until(|| pile.waiters() == 0); // Neither counted nor refused.
                    drop(write);
                    assert_eq!(reader.join().unwrap(), 1);
                });
            }
        });
    }
}

/// A limit that cannot be kept here is told at once, hit or not, without a panic.
mod no_timer {
    use super::*;

    #[test]
    fn outside_a_runtime() {
        within(|| {
            let runtime = one_thread();
            for held in [false, true] {
                both_kinds!(Dogpile::builder(MINUTE), |pile| {
                    if held {
                        pile.set(1);
                    }
                    let executors: [&dyn Executor; 2] = [&Tokio, &TokioBlocking];
                    for executor in executors {
                        let call = || pile.background(executor).wait(SECOND);
                        assert_eq!(async_forms!(call(), async {}, 2), [Err("no timer"); 4]);
                        assert!(!pile.is_creating());
                        // Who never waits needs none; and a thread has its own.
                        let zero = || pile.background(executor).wait(Duration::ZERO);
                        let expected = if held { Ok(1) } else { Err("refused") };
                        assert_eq!(async_forms!(zero(), async {}, 2)[..3], [expected; 3]);
                        assert_eq!(blocking_forms!(call(), 2)[..3], [expected; 3]);
                    }
                    let call = || pile.call().wait(SECOND).timer(&Tokio);
                    assert!(matches!(
                        block_on(call().get_or_create_async(pending)),
                        Err(Error::NoTimer)
                    ));
                    // In a task, in `block_on` outside of one, and for another by its handle.
                    let value = runtime.block_on(call().get_or_create_async(|| async { 1 }));
                    assert_eq!(*value.unwrap(), 1);
                    let handle = runtime.handle();
                    let call = pile.call().wait(SECOND).timer(handle);
                    assert!(block_on(call.get_or_create_async(pending)).is_ok());
                });
            }
        });
    }

    /// What tells a hit that there is a timer does not tell all; what waits is told the rest.
    #[test]
    fn in_a_runtime_without_time() {
        within(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
            let call = || pile.background(&Tokio).wait(SECOND);
            let answer = runtime.block_on(call().get_or_create_async(pending));
            assert!(matches!(answer, Err(Error::NoTimer)));
            let handle = runtime.handle();
            let call = pile.call().wait(SECOND).timer(handle);
            assert!(matches!(
                block_on(call.get_or_create_async(pending)),
                Err(Error::NoTimer)
            ));
        });
    }

    #[test]
    fn for_a_writer() {
        within(|| {
            let pile = SyncReaderDogpile::with_value(MINUTE, 1);
            let write = block_on(pile.acquire_write_lock_for_async(SECOND, &Tokio));
            assert_eq!(write.unwrap_err(), WriteLockError::NoTimer);
            let zero = block_on(pile.acquire_write_lock_for_async(Duration::ZERO, &Tokio));
            drop(zero.unwrap());
            let reader = pile.peek().unwrap();
            let runtime = Builder::new_current_thread().build().unwrap();
            let write = runtime.block_on(pile.acquire_write_lock_for_async(SECOND, &Tokio));
            assert_eq!(write.unwrap_err(), WriteLockError::NoTimer);
            drop(reader);
            assert_eq!(*pile.peek().unwrap(), 1, "the readers get in again");
        });
    }
}

/// A runtime by its handle, for callers who are anywhere.
#[test]
fn a_handle_is_an_executor_and_a_timer() {
    within(|| {
        let runtime = workers(1);
        let pile = Arc::new(Dogpile::new(MINUTE));
        let here = thread::current().id();
        let call = pile.background(runtime.handle()).wait(MINUTE);
        let value = block_on(call.get_or_create_async(move || async move {
            assert_ne!(thread::current().id(), here);
            assert!(tokio::task::try_id().is_some());
            1
        }));
        assert_eq!(*value.unwrap(), 1);
        pile.invalidate();
        let call = pile.background(runtime.handle()).wait(NANO);
        let answer = block_on(call.get_or_create_async(pending));
        assert!(answer.unwrap_err().is_timed_out());
        let gone = {
            let runtime = one_thread();
            runtime.handle().clone()
        };
        let pile = Arc::new(Dogpile::new(MINUTE));
        let answer = pile.background(&gone).get_or_create(|| 1);
        assert!(matches!(answer, Err(Error::Refused(_))));
    });
}

/// The runtime that was chosen runs it, whoever asks and however the handle is held.
#[test]
fn a_chosen_runtime_runs_it_from_any_thread() {
    within(|| {
        let chosen = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let shared: Arc<Handle> = Arc::new(chosen.handle().clone());
        let lasting: &'static Handle = Box::leak(Box::new(chosen.handle().clone()));
        let executors: [&'static dyn Executor; 3] = [
            lasting,
            Box::leak(Box::new(Arc::clone(&shared))),
            Box::leak(Box::new(Arc::clone(&shared) as Arc<dyn Executor>)),
        ];
        for executor in executors {
            let ask = move || {
                let pile = Arc::new(Dogpile::new(MINUTE));
                let call = pile.background(executor).wait(LIMIT);
                let runtime = block_on(call.get_or_create_async(async || Handle::current().id()));
                *runtime.unwrap()
            };
            // By a thread of no runtime, and inside another one.
            assert_eq!(thread::spawn(ask).join().unwrap(), shared.id());
            let other = one_thread();
            let inside = other.block_on(async move {
                let pile = Arc::new(Dogpile::new(MINUTE));
                let call = pile.background(executor).wait(LIMIT);
                *call
                    .get_or_create_async(async || Handle::current().id())
                    .await
                    .unwrap()
            });
            assert_eq!(inside, shared.id());
        }
    });
}

/// Shared in any way, an executor is the one that it was.
#[test]
fn what_is_shared_is_the_same() {
    struct Odd;
    impl Executor for Odd {
        fn spawn(&self, _: Job) -> Result<(), Refused> {
            Err(Refused::new("odd"))
        }
        fn timer(&self) -> Option<&dyn Timer> {
            Some(self)
        }
        fn blocking_here(&self) -> Blocking {
            Blocking::RunHere
        }
        fn run_queued(&self, _: JobId) -> bool {
            true
        }
    }
    impl Timer for Odd {
        fn sleep(&self, _: Duration) -> Option<dogpile::executor::Sleep> {
            None
        }
        fn is_here(&self) -> bool {
            false
        }
    }
    let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
    let check = |executor: &dyn Executor| {
        // Runs it here, so it is not refused.
        assert_eq!(*pile.background(executor).get_or_create(|| 1).unwrap(), 1);
        assert_eq!(format!("{:?}", executor.blocking_here()), "RunHere");
        pile.invalidate();
        let call = pile.background(executor);
        let answer = block_on(call.get_or_create_async(pending));
        assert!(matches!(answer, Err(Error::Refused(_))));
        let answer = block_on(call.wait(SECOND).get_or_create_async(pending));
        assert!(matches!(answer, Err(Error::NoTimer)));
        let id = Arc::new(Mutex::new(None));
        struct Notes(Arc<Mutex<Option<JobId>>>);
        impl Executor for Notes {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                *self.0.lock().unwrap() = Some(job.id());
                Ok(())
            }
        }
        let notes = Notes(Arc::clone(&id));
        let noted = pile.background(&notes).wait(Duration::ZERO);
        assert!(noted.get_or_create(|| 1).is_err());
        assert!(executor.run_queued(id.lock().unwrap().unwrap()));
    };
    check(&Odd);
    check(&&Odd);
    check(&Box::new(Odd));
    check(&Arc::new(Odd));
    check(&(Arc::new(Odd) as Arc<dyn Executor>));
    let timers: [&dyn Timer; 3] = [&&Odd, &Box::new(Odd), &Arc::new(Odd)];
    for timer in timers {
        assert!(!timer.is_here() && timer.sleep(SECOND).is_none());
    }
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let smol: Arc<dyn Executor> = Arc::new(Smol);
    let call = pile.background(&smol).wait(NANO);
    let answer = block_on(is_send(call.get_or_create_async(pending)));
    assert!(answer.unwrap_err().is_timed_out());
}
