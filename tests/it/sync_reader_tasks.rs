//! Readers and writers that are tasks, with threads among them.
//!
//! ```breakages
//! who-started-a-job-is-elected-again | src/call/election/told.rs | who_started_a_job
//! - let by = Maker::Meanwhile(*writers, Arc::clone(report));
//! + let by = Maker::Another(*writers);
//!
//! writers-before-a-creation-are-forgotten | src/raw/gate.rs | what_no_writer_has_replaced_is_an_answer::of_a_creation
//! @ fn writers_at_end_of
//! - .then_some(state.writers)
//! + .then_some(0)
//!
//! writers-before-a-set-are-forgotten | src/raw/gate.rs | what_no_writer_has_replaced_is_an_answer::of_a_set
//! @ fn writers_if_outside
//! - .then_some(state.writers)
//! + .then_some(0)
//!
//! a-task-knows-no-gate-that-was-left-to-it | src/raw/gate.rs | write_lock_in_creator::that_asks_for_the_value_is_refused
//! @ fn is_left_to_me
//! - self.state.lock().is_closed_by(None)
//! + false
//!
//! a-task-takes-what-a-writer-has-replaced | src/call/election/told.rs | what_a_writer_has_replaced_is_no_answer
//! - if D::GATED || node.number() <= self.newer_than.number() {
//! + if node.number() <= self.newer_than.number() {
//! ```

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Executor, Job, Sleep, Timer};
use dogpile::{
    Accept, Backoff, Created, Creating, Dogpile, Error, Lease, Lookup, Origin, ReadAttempt,
    ReadGuard, Refused, SyncReaderDogpile, WriteLockError,
};

use crate::shelf::Shelf;
use crate::support::Shows as _;
use crate::support::{HOUR, HookedClock, MINUTE, NANO, READINGS, Runs, SECOND};
use crate::support::{hooked, manual, until, within};
use crate::tasks::{Alarm, Boxed, Spawn, block_on, on_runtimes, poll, poll_by, steps, until_task};

type Pile = SyncReaderDogpile<u32>;

fn pile() -> Pile {
    SyncReaderDogpile::with_value(MINUTE, 1)
}

async fn never<T>() -> T {
    pending().await
}

fn lease(pile: &Pile) -> Lease<'_, u32> {
    let ReadAttempt::Lease(lease) = pile.attempt() else {
        panic!("the lease is free");
    };
    lease
}

/// Runs `body` on a thread that holds no guard.
fn elsewhere<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|threads| threads.spawn(body).join()).unwrap()
}

/// A guard that another thread took.
fn guard_of_another(pile: &Pile) -> ReadGuard<'_, u32> {
    elsewhere(|| pile.peek()).expect("it is open")
}

/// Whether a writer is inside or waits: then a thread without a guard gets none.
fn is_closed(pile: &Pile) -> bool {
    elsewhere(|| pile.peek().is_none())
}

/// Whether nobody is inside, and everybody who comes is let in.
fn is_at_rest(pile: &Pile) -> bool {
    elsewhere(|| drop(pile.try_acquire_write_lock().unwrap()));
    !is_closed(pile) && pile.waiters() == 0 && !pile.is_creating()
}

/// A writer was inside between the end of a creation and the poll of who waited for it.
#[test]
fn what_a_writer_has_replaced_is_no_answer() {
    let pile = Pile::new(MINUTE);
    let first = pile.get_or_create_async(|| async {
        steps(1).await;
        1
    });
    let mut first = pin!(first);
    assert!(poll(first.as_mut()).is_pending());
    let mut second = pin!(pile.get_or_create_async(never));
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(*block_on(first), 1);
    elsewhere(|| {
        let write = pile.acquire_write_lock();
        pile.set(2);
        drop(write);
    });
    let Poll::Ready(answer) = poll(second.as_mut()) else {
        panic!("it goes on waiting");
    };
    assert_eq!(*answer, 2);
}

/// The same, where nothing is left: who waited is elected.
#[test]
fn what_a_writer_has_removed_is_no_answer() {
    let pile = Pile::new(MINUTE);
    let lease = lease(&pile);
    let mut waiter = pin!(pile.get_or_create_async(never));
    assert!(poll(waiter.as_mut()).is_pending());
    drop(lease.publish(1).unwrap());
    elsewhere(|| {
        let write = pile.acquire_write_lock();
        pile.invalidate();
        drop(write);
    });
    assert!(poll(waiter.as_mut()).is_pending() && pile.is_creating());
}

/// Nor is an older one that comes when it has been told of what was set and removed again.
#[test]
fn what_was_set_and_removed_is_followed_by_nothing_older() {
    let pile = Pile::new(MINUTE);
    let lease = lease(&pile);
    let mut waiter = pin!(pile.get_or_create_async(never));
    assert!(poll(waiter.as_mut()).is_pending());
    elsewhere(|| {
        pile.set(2);
        let write = pile.acquire_write_lock();
        pile.invalidate();
        drop(write);
    });
    assert!(poll(waiter.as_mut()).is_pending());
    drop(lease.publish(1));
    assert!(poll(waiter.as_mut()).is_pending() && pile.is_creating());
}

/// Who has looked a value up looks no second time, and takes what it was told of.
#[test]
fn what_a_writer_has_removed_is_an_answer_to_who_looked_it_up() {
    let pile = Pile::new(MINUTE);
    let lease = lease(&pile);
    let mut looks = 0;
    let missing = async || {
        looks += 1;
        Ok::<_, u8>(Lookup::NeedRegeneration)
    };
    let mut waiter = pin!(pile.acquire_async(never::<Result<u32, u8>>, missing));
    assert!(poll(waiter.as_mut()).is_pending());
    drop(lease.publish(1).unwrap());
    elsewhere(|| {
        let write = pile.acquire_write_lock();
        pile.invalidate();
        drop(write);
    });
    let Poll::Ready(answer) = poll(waiter.as_mut()) else {
        panic!("it goes on waiting");
    };
    let answer = answer.unwrap();
    assert_eq!((*answer, answer.origin()), (1, Origin::Superseded));
}

/// Whoever is told of a failure goes in for what stands in for it, if there may be something.
#[test]
fn stale_if_error_behind_a_writer() {
    let (clock, builder) = manual(MINUTE);
    let builder = builder.stale_while_revalidate(SECOND).stale_if_error(HOUR);
    let pile = builder.build_sync_reader();
    pile.set(1);
    clock.advance(MINUTE + 2 * SECOND);
    let early = lease(&pile);
    let call = |accept| pile.call().accept(accept);
    let mut waiter = pin!(call(Accept::Stale).get_or_try_create_async(never::<Result<u32, u8>>));
    // Nothing stands in for what is to be new.
    let missing = async || Ok(Lookup::NeedRegeneration);
    let strict = call(Accept::New);
    let mut strict = pin!(strict.acquire_async(never::<Result<u32, u8>>, missing));
    assert!(poll(waiter.as_mut()).is_pending() && poll(strict.as_mut()).is_pending());
    drop(early);
    let lease = lease(&pile);
    assert!(poll(waiter.as_mut()).is_pending() && poll(strict.as_mut()).is_pending());
    let write = pile.acquire_write_lock().unwrap();
    drop(lease.fail(7_u8));
    assert!(poll(waiter.as_mut()).is_pending());
    let Poll::Ready(answer) = poll(strict.as_mut()) else {
        panic!("it waits for a writer");
    };
    assert!(answer.is_err());
    drop(write);
    let Poll::Ready(answer) = poll(waiter.as_mut()) else {
        panic!("it goes on waiting");
    };
    let answer = answer.unwrap();
    assert_eq!((*answer, answer.origin()), (1, Origin::Fallback));
}

/// Who is inside gets what stands in, though a writer comes to wait in any moment of the call.
#[test]
fn stale_if_error_before_a_writer() {
    for at in 0..READINGS {
        within(move || {
            let clock = Arc::new(HookedClock::default());
            clock.advance(HOUR);
            let builder = Dogpile::builder(MINUTE).clock(clock.clone());
            let builder = builder.stale_while_revalidate(SECOND).stale_if_error(HOUR);
            let pile = builder
                .backoff(Backoff::constant(MINUTE))
                .build_sync_reader();
            let pile: Arc<Pile> = Arc::new(pile);
            pile.set_with(Created::new(1).age(MINUTE + 2 * SECOND));
            drop(lease(&pile).fail(7_u8));
            let (come, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let hook = {
                let (pile, come, gone) = (pile.clone(), come.clone(), gone.clone());
                move |reading| {
                    if reading != at {
                        return;
                    }
                    come.fetch_add(1, Ordering::SeqCst);
                    let (writes, left) = (pile.clone(), gone.clone());
                    thread::spawn(move || {
                        drop(writes.acquire_write_lock());
                        left.fetch_add(1, Ordering::SeqCst);
                    });
                    until(|| gone.load(Ordering::SeqCst) == 1 || is_closed(&pile));
                }
            };
            let mut call = pin!(pile.get_or_try_create_async(never::<Result<u32, u8>>));
            let answer = match hooked(hook, || poll(call.as_mut())) {
                Poll::Ready(answer) => answer,
                Poll::Pending => block_on(call),
            };
            assert_eq!(answer.as_ref().unwrap().origin(), Origin::Fallback);
            drop(answer);
            until(|| gone.load(Ordering::SeqCst) == come.load(Ordering::SeqCst));
        });
    }
}

/// A call from inside a creator waits for a writer, as any other: it will be answered with what is usable.
#[test]
fn a_creator_that_asks_for_the_value_waits_for_a_writer() {
    let pile = pile();
    let created = pile.refresh_async(async || {
        let write = pile.acquire_write_lock().unwrap();
        let mut nested = pin!(pile.get_or_create_async(never));
        assert!(poll(nested.as_mut()).is_pending());
        drop(write);
        let Poll::Ready(answer) = poll(nested.as_mut()) else {
            panic!("it goes on waiting");
        };
        Ok::<_, u8>(*answer + 1)
    });
    assert_eq!(*block_on(created).unwrap(), 2);
}

/// No writer was inside between what came and the poll of who waited for it: then it is the answer, though
/// something newer has come.
mod what_no_writer_has_replaced_is_an_answer {
    use super::*;

    /// Someone waits for what is brought under a lease, at a pile where a writer was before.
    fn is_told(brings: impl FnOnce(&Pile, Lease<'_, u32>)) {
        let pile = Pile::new(MINUTE);
        elsewhere(|| drop(pile.acquire_write_lock().unwrap()));
        let lease = lease(&pile);
        let mut waiter = pin!(pile.get_or_create_async(never));
        assert!(poll(waiter.as_mut()).is_pending());
        brings(&pile, lease);
        pile.set(2);
        let Poll::Ready(answer) = poll(waiter) else {
            panic!("it goes on waiting");
        };
        assert_eq!(*answer, 1);
    }

    #[test]
    fn of_a_creation() {
        is_told(|_, lease| drop(lease.publish(1).unwrap()));
    }

    #[test]
    fn of_a_creation_to_which_the_lock_was_left() {
        is_told(|pile, lease| {
            let write = pile.acquire_write_lock().unwrap();
            write.until_published(&lease.creating());
            drop(lease.publish(1).unwrap());
        });
    }

    #[test]
    fn of_a_set() {
        is_told(|pile, lease| {
            pile.set(1);
            drop(lease);
        });
    }
}

/// A timer that goes off when told to.
#[derive(Clone, Default)]
struct Bell(Arc<(AtomicBool, Mutex<Vec<Waker>>)>);

impl Bell {
    fn ring(&self) {
        let (rung, wakers) = &*self.0;
        rung.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *wakers.lock().unwrap());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Timer for Bell {
    fn sleep(&self, limit: Duration) -> Option<Sleep> {
        assert!(limit <= SECOND);
        let bell = Arc::clone(&self.0);
        Some(Box::pin(std::future::poll_fn(move |cx| {
            if bell.0.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            bell.1.lock().unwrap().push(cx.waker().clone());
            Poll::Pending
        })))
    }
}

/// The futures are `Send` where what they hold is, guards across await points included.
#[test]
fn futures_may_be_sent() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let pile = SyncReaderDogpile::<String>::new(MINUTE);
    let make = || async { String::from("x") };
    let try_make = || async { Ok::<_, String>(String::from("x")) };
    let look = || async { Ok(Lookup::NeedRegeneration) };
    drop(is_send(pile.get_or_create_async(make)));
    drop(is_send(pile.get_or_try_create_async(try_make)));
    drop(is_send(pile.refresh_async(try_make)));
    drop(is_send(pile.acquire_async(try_make, look)));
    drop(is_send(
        pile.acquire_write_lock_for_async(SECOND, &Bell::default()),
    ));
    let shared = &pile;
    drop(is_send(pile.get_or_try_create_with_async(
        |creating| async move {
            let write = shared.acquire_write_lock_async().await?;
            steps(1).await;
            write.until_published(&creating);
            Ok::<_, WriteLockError>(Created::new(String::new()))
        },
    )));
    drop(is_send(async {
        let guard = pile.get_or_create_async(make).await;
        steps(1).await;
        guard.len()
    }));
}

#[test]
fn a_hit_allocates_nothing() {
    let pile = pile();
    let (_, waker) = Alarm::new();
    let hit = || {
        let call = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&waker, call).is_ready());
        let call = pin!(pile.get_or_try_create_async(never::<Result<_, ()>>));
        assert!(poll_by(&waker, call).is_ready());
        let look = || async { Ok(Lookup::Here(1)) };
        let call = pin!(pile.acquire_async(never::<Result<_, ()>>, look));
        assert!(poll_by(&waker, call).is_ready());
    };
    hit(); // What a thread allocates once.
    assert_eq!(allocation_counter::measure(hit).count_total, 0);
}

/// Every form, by its answers.
#[test]
fn as_the_blocking_forms() {
    within(|| {
        let pile = Pile::new(MINUTE);
        let value = block_on(pile.get_or_create_async(|| async { 1 }));
        assert_eq!((*value, value.origin()), (1, Origin::CreatedHere));
        drop(value);
        let value = block_on(pile.get_or_create_async(never));
        assert_eq!((*value, value.origin()), (1, Origin::Fresh));
        let newer = pile
            .call()
            .accept(Accept::NewerThan(dogpile::Guard::seen(&value)));
        drop(value);
        let value = block_on(newer.get_or_create_async(|| async { 2 })).unwrap();
        assert_eq!((*value, value.origin()), (2, Origin::CreatedHere));
        drop(value);
        let failed = block_on(pile.refresh_async(|| async { Err(7_u8) }));
        assert_eq!(failed.unwrap_err().created(), Some(&7));
        let value = block_on(pile.refresh_async(|| async { Ok::<_, u8>(3) })).unwrap();
        assert_eq!(*value, 3);
        pile.expire_if(value.seen());
        drop(value);
        let value = block_on(pile.get_or_try_create_with_async(|creating| async move {
            let previous = creating.previous().unwrap();
            assert_eq!(*previous, 3);
            Ok::<_, u8>(Created::unchanged(previous).ttl(HOUR))
        }));
        assert_eq!(*value.unwrap(), 3);
        pile.invalidate();
        let inner = &pile;
        let asked = block_on(pile.get_or_try_create_async(|| async move {
            let asked = inner.get_or_try_create_async(never::<Result<_, u8>>).await;
            assert!(asked.unwrap_err().is_reentrant());
            Ok::<_, u8>(4)
        }));
        assert_eq!(*asked.unwrap(), 4);
        let found = || async { Ok::<_, u8>(Lookup::Here(5)) };
        let value = block_on(pile.acquire_async(never, found)).unwrap();
        assert_eq!((*value, value.origin()), (5, Origin::Fresh));
        drop(value);
        let none = || async { Ok(Lookup::NeedRegeneration) };
        let made = || async { Ok::<_, u8>(6) };
        let value = block_on(pile.acquire_async(made, none)).unwrap();
        assert_eq!((*value, value.origin()), (6, Origin::CreatedHere));
        drop(value);
        let new = pile.call().accept(Accept::New);
        let value = block_on(new.acquire_async(made, || -> Boxed<_> { panic!("looks") })).unwrap();
        assert_eq!((*value, value.origin()), (6, Origin::CreatedHere));
        drop(value);
        let error = block_on(pile.acquire_async(never, || async { Err(8_u8) })).unwrap_err();
        assert!(matches!(error, Error::Get(8)));
        assert!(is_at_rest(&pile));
    });
}

mod write_lock_excludes_readers {
    use super::*;

    /// Tasks and threads, readers and writers, on every runtime; guards live across awaits.
    #[test]
    fn at_random() {
        #[derive(Default)]
        struct Inside {
            readers: AtomicIsize,
            writers: AtomicIsize,
            written: AtomicUsize,
        }
        impl Inside {
            async fn read(&self, guard: ReadGuard<'_, u32>) {
                self.readers.fetch_add(1, Ordering::SeqCst);
                assert_eq!(self.writers.load(Ordering::SeqCst), 0);
                let value = *guard;
                steps(2).await;
                assert_eq!(self.writers.load(Ordering::SeqCst), 0);
                assert_eq!(*guard, value);
                self.readers.fetch_sub(1, Ordering::SeqCst);
                drop(guard);
            }
            fn write(&self) {
                assert_eq!(self.writers.fetch_add(1, Ordering::SeqCst), 0);
                assert_eq!(self.readers.load(Ordering::SeqCst), 0);
            }
            fn leave(&self) {
                assert_eq!(self.readers.load(Ordering::SeqCst), 0);
                self.written.fetch_add(1, Ordering::SeqCst);
                assert_eq!(self.writers.fetch_sub(1, Ordering::SeqCst), 1);
            }
        }
        const WRITERS: usize = 3;
        const EACH: usize = 30;
        async fn body(spawn: Spawn) {
            let shared = Arc::new((pile(), Inside::default()));
            let is_done = |inside: &Inside| inside.written.load(Ordering::SeqCst) == WRITERS * EACH;
            let mut tasks = Vec::new();
            for _ in 0..3 {
                let shared = Arc::clone(&shared);
                tasks.push(spawn(Box::pin(async move {
                    let (pile, inside) = &*shared;
                    while !is_done(inside) {
                        let guard = pile.get_or_create_async(never).await;
                        inside.read(guard).await;
                    }
                })));
            }
            for _ in 1..WRITERS {
                let shared = Arc::clone(&shared);
                tasks.push(spawn(Box::pin(async move {
                    let (pile, inside) = &*shared;
                    for number in 0..EACH {
                        let write = pile.acquire_write_lock_async().await.unwrap();
                        inside.write();
                        write.set(number as u32);
                        steps(2).await;
                        inside.leave();
                        drop(write);
                        steps(number % 3).await;
                    }
                })));
            }
            let reader = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (pile, inside) = &*shared;
                    while !is_done(inside) {
                        let guard = pile.get_or_create(|| unreachable!("there is a value"));
                        block_on(inside.read(guard));
                    }
                })
            };
            let writer = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (pile, inside) = &*shared;
                    for _ in 0..EACH {
                        let write = pile.acquire_write_lock().unwrap();
                        inside.write();
                        inside.leave();
                        drop(write);
                    }
                })
            };
            for task in tasks {
                task.await;
            }
            reader.join().unwrap();
            writer.join().unwrap();
            assert!(is_at_rest(&shared.0));
        }
        on_runtimes(body);
    }

    /// The lock of a task counts for no thread: tasks and blocking callers of the same thread wait.
    #[test]
    fn of_the_same_thread_too() {
        let pile = pile();
        let write = block_on(pile.acquire_write_lock_async()).unwrap();
        let call = pile.call().wait(Duration::ZERO);
        assert!(call.get_or_create(|| 2).unwrap_err().is_timed_out());
        let refused = pile.try_acquire_write_lock().unwrap_err();
        assert!(matches!(refused, WriteLockError::TimedOut { .. }));
        let mut reader = pin!(pile.get_or_create_async(never));
        let mut writer = pin!(pile.acquire_write_lock_async());
        assert!(poll(reader.as_mut()).is_pending());
        assert!(poll(writer.as_mut()).is_pending());
        drop(write);
        assert!(matches!(poll(reader), Poll::Ready(value) if *value == 1));
        assert!(matches!(poll(writer), Poll::Ready(Ok(_))));
    }

    /// A task waits for a lock that a thread holds, even its own, as for any.
    #[test]
    fn a_lock_of_its_thread_may_be_another_tasks() {
        let pile = pile();
        let write = pile.acquire_write_lock().unwrap();
        let (alarm, waker) = Alarm::new();
        let mut reader = pin!(pile.get_or_create_async(never));
        let mut writer = pin!(pile.acquire_write_lock_async());
        assert!(poll_by(&waker, reader.as_mut()).is_pending());
        assert!(poll_by(&waker, writer.as_mut()).is_pending());
        drop(write);
        assert_eq!(alarm.rings(), 2);
        assert!(poll(reader).is_ready());
        assert!(poll(writer).is_ready());
    }

    /// A task waits for the readers of its own thread, which may be other tasks.
    #[test]
    fn a_guard_of_its_thread_may_be_another_tasks() {
        let pile = pile();
        let guard = pile.peek();
        let (alarm, waker) = Alarm::new();
        let mut writer = pin!(pile.acquire_write_lock_async());
        assert!(poll_by(&waker, writer.as_mut()).is_pending());
        drop(guard);
        assert_eq!(alarm.rings(), 1);
        assert!(poll(writer).is_ready());
        assert!(is_at_rest(&pile));
    }
}

mod pending_writer_goes_first {
    use super::*;

    /// Readers that are tasks of one thread, of which one always holds a guard.
    #[test]
    fn readers_without_a_pause_cannot_starve_it() {
        let pile = pile();
        let first = block_on(pile.get_or_create_async(never));
        let mut writer = pin!(pile.acquire_write_lock_async());
        assert!(poll(writer.as_mut()).is_pending());
        let (alarm, waker) = Alarm::new();
        let mut second = pin!(pile.get_or_create_async(never));
        assert!(poll_by(&waker, second.as_mut()).is_pending());
        drop(first);
        let Poll::Ready(Ok(write)) = poll(writer) else {
            panic!("starves")
        };
        assert!(poll_by(&waker, second.as_mut()).is_pending());
        drop(write);
        assert_eq!(alarm.rings(), 1);
        assert!(poll(second).is_ready());
    }

    /// Who waited for the writer looks again, and sees what it set.
    #[test]
    fn who_waited_sees_the_new_value() {
        let pile = pile();
        let write = block_on(pile.acquire_write_lock_async()).unwrap();
        let mut reader = pin!(pile.get_or_create_async(never));
        assert!(poll(reader.as_mut()).is_pending());
        write.set(2);
        drop(write);
        assert!(matches!(poll(reader), Poll::Ready(value) if *value == 2));
    }
}

mod write_lock_in_creator {
    use super::*;

    /// Whoever has a creation started is outside by then, also if its lease was taken over in any moment of
    /// the call, and nobody else creates.
    #[test]
    fn as_the_creation_is_started() {
        struct Inline;
        impl Executor for Inline {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                job.run();
                Ok(())
            }
        }
        for at in 0..READINGS {
            let clock = Arc::new(HookedClock::default());
            let builder = Dogpile::builder(MINUTE).clock(clock.clone());
            let pile = Arc::new(builder.max_create_time(SECOND).build_sync_reader());
            let late = lease(&pile);
            clock.advance(SECOND);
            let hook = {
                let pile = pile.clone();
                move |reading| {
                    if reading == at {
                        clock.advance(SECOND);
                        drop(pile.attempt());
                    }
                }
            };
            let locks = Arc::new(Mutex::new(Vec::new()));
            let create = {
                let (pile, locks) = (pile.clone(), locks.clone());
                move || {
                    let lock = pile.try_acquire_write_lock().map(drop);
                    locks.lock().unwrap().push(lock);
                    Ok::<_, u8>(1)
                }
            };
            drop(hooked(hook, || {
                pile.background(&Inline).get_or_try_create(create)
            }));
            for lock in locks.lock().unwrap().drain(..) {
                assert!(lock.is_ok(), "at reading {at}: {lock:?}");
            }
            drop(late);
        }
    }

    /// The lock is left to a creation that is over, since another caller has taken its lease.
    #[test]
    fn whose_lease_was_taken_over() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.max_create_time(SECOND).build_sync_reader();
        pile.set(1);
        pile.expire();
        let late = lease(&pile);
        clock.advance(SECOND);
        let next = lease(&pile);
        let write = pile.acquire_write_lock().unwrap();
        write.until_published(&late.creating());
        assert!(!is_closed(&pile));
        drop((late, next));
    }

    /// A pile whose values are the versions of a file.
    struct Site {
        pile: SyncReaderDogpile<u64>,
        file: AtomicU64,
    }

    impl Site {
        fn newest(&self) -> u64 {
            self.file.load(Ordering::SeqCst)
        }

        /// The file of the value that a reader holds stays in its place, across awaits.
        async fn check(&self, value: &u64) {
            for _ in 0..3 {
                assert_eq!(self.newest(), *value, "a value with another's file");
                steps(1).await;
            }
        }

        async fn create(&self) -> Result<ReadGuard<'_, u64>, Error<WriteLockError>> {
            let call = self.pile.call().accept(Accept::New);
            let create = |creating| async move {
                let write = self.pile.acquire_write_lock_async().await?;
                steps(1).await;
                let version = self.file.fetch_add(1, Ordering::SeqCst) + 1;
                write.until_published(&creating);
                steps(1).await;
                Ok(Created::new(version))
            };
            call.get_or_try_create_with_async(create).await
        }
    }

    #[test]
    fn none_sees_the_old_value_with_the_new_file() {
        async fn body(spawn: Spawn) {
            let site = Arc::new(Site {
                pile: SyncReaderDogpile::new(MINUTE),
                file: AtomicU64::new(0),
            });
            drop(site.create().await.unwrap());
            let stop = Arc::new(AtomicBool::new(false));
            let readers: Vec<_> = (0..4)
                .map(|kind| {
                    let (site, stop) = (Arc::clone(&site), Arc::clone(&stop));
                    spawn(Box::pin(async move {
                        while !stop.load(Ordering::SeqCst) {
                            let make = || async { Ok::<_, u8>(site.newest()) };
                            if kind == 0 {
                                let none = || async { Ok(Lookup::NeedRegeneration) };
                                let value = site.pile.acquire_async(make, none).await.unwrap();
                                site.check(&value).await;
                            } else {
                                let value = site.pile.get_or_try_create_async(make).await.unwrap();
                                site.check(&value).await;
                            }
                            steps(1).await;
                        }
                    }))
                })
                .collect();
            let creators: Vec<_> = (0..2)
                .map(|_| {
                    let site = Arc::clone(&site);
                    spawn(Box::pin(async move {
                        for _ in 0..50 {
                            let value = site.create().await.unwrap();
                            site.check(&value).await;
                        }
                    }))
                })
                .collect();
            for creator in creators {
                creator.await;
            }
            stop.store(true, Ordering::SeqCst);
            for reader in readers {
                reader.await;
            }
        }
        on_runtimes(body);
    }

    /// It would wait for its own end.
    #[test]
    fn that_asks_for_the_value_is_refused() {
        let pile = pile();
        pile.expire();
        let created = block_on(pile.get_or_try_create_with_async(|creating| {
            let pile = &pile;
            async move {
                let write = pile.acquire_write_lock_async().await.unwrap();
                write.until_published(&creating);
                let again = pile.get_or_try_create_async(never::<Result<_, u8>>).await;
                assert!(matches!(again, Err(Error::HoldsWriteLock)));
                Ok::<_, u8>(Created::new(2))
            }
        }));
        assert_eq!(*created.unwrap(), 2);
    }

    /// Others read the old value while it is prepared.
    #[test]
    fn while_others_read_the_old_value() {
        let pile = pile();
        pile.expire();
        let mut creator = pin!(pile.get_or_try_create_with_async(|creating| {
            let pile = &pile;
            async move {
                steps(1).await;
                let write = pile.acquire_write_lock_async().await?;
                write.until_published(&creating);
                Ok::<_, WriteLockError>(Created::new(2))
            }
        }));
        assert!(poll(creator.as_mut()).is_pending());
        let old = block_on(pile.get_or_create_async(never));
        assert_eq!((*old, old.origin()), (1, Origin::Stale));
        assert!(poll(creator.as_mut()).is_pending());
        let mut late = pin!(pile.get_or_create_async(never));
        assert!(poll(late.as_mut()).is_pending());
        drop(old);
        assert!(matches!(poll(creator), Poll::Ready(Ok(value)) if *value == 2));
        assert!(matches!(poll(late), Poll::Ready(value) if *value == 2));
    }
}

/// What was `set` while the job of a call was out, and what a writer has replaced since, is no answer. The
/// creator is with the job, so the call is not elected again: it takes what there is, or waits for the job.
#[test]
fn who_started_a_job_is_not_elected_again() {
    for (replaces, runs) in [(true, false), (false, true), (false, false)] {
        let pile = Arc::new(SyncReaderDogpile::new(MINUTE));
        let shelf = Shelf::default();
        let call = pile.background(&shelf);
        let mut call = Box::pin(call.get_or_try_create_async(async || Ok::<_, u8>(1)));
        assert!(poll(call.as_mut()).is_pending());
        pile.set(2);
        elsewhere(|| {
            let writes = pile.acquire_write_lock().unwrap();
            pile.invalidate();
            if replaces {
                writes.set(3);
            }
        });
        if runs {
            assert!(poll(call.as_mut()).is_pending());
            // It waits outside.
            elsewhere(|| drop(pile.try_acquire_write_lock().unwrap()));
            shelf.take().run();
        } else {
            drop(shelf.take());
        }
        let Poll::Ready(answer) = poll(call.as_mut()) else {
            panic!("nobody creates")
        };
        match answer {
            Ok(value) if replaces => assert_eq!((*value, value.origin()), (3, Origin::Fresh)),
            Ok(value) => {
                assert_eq!((*value, value.origin()), (1, Origin::Superseded));
                assert!(runs);
            }
            Err(error) => assert!(error.is_refused() && !runs && !replaces),
        }
        assert!(shelf.is_empty() && !pile.is_creating());
    }
}

/// Nor does it keep a writer out, when it waits on for a creation that has lent a value.
#[test]
fn who_started_a_job_that_lends_waits_outside() {
    let pile = Arc::new(SyncReaderDogpile::new(MINUTE));
    let shelf = Shelf::default();
    let call = pile.background(&shelf).accept(Accept::Fresh);
    let create = |creating: Creating<'static, u32>| async move {
        assert!(creating.lend(1));
        steps(1).await;
        Ok::<_, u8>(Created::new(2))
    };
    let mut call = Box::pin(call.get_or_try_create_with_async(create));
    assert!(poll(call.as_mut()).is_pending());
    let mut job = Box::pin(shelf.take());
    assert!(poll(job.as_mut()).is_pending());
    assert!(poll(call.as_mut()).is_pending());
    elsewhere(|| drop(pile.try_acquire_write_lock().unwrap()));
    assert!(poll(job.as_mut()).is_ready());
    let Poll::Ready(answer) = poll(call.as_mut()) else {
        panic!("it goes on waiting");
    };
    assert_eq!(*answer.unwrap(), 2);
}

mod cancel_is_safe {
    use super::*;

    const POLLS: usize = 3;

    /// A writer who waits is dropped after any number of polls: the readers behind it are woken,
    /// tasks and threads, and nothing of it is left.
    #[test]
    fn a_writer_dropped_after_any_number_of_polls() {
        within(|| {
            for polls in 0..=POLLS {
                let pile = &pile();
                let guard = guard_of_another(pile);
                let (gone, gone_waker) = Alarm::new();
                let mut writer = Box::pin(pile.acquire_write_lock_async());
                for _ in 0..polls {
                    assert!(poll_by(&gone_waker, writer.as_mut()).is_pending());
                }
                drop(gone_waker);
                assert_eq!(is_closed(pile), polls > 0);
                let (alarm, waker) = Alarm::new();
                let mut readers = [(); 2].map(|()| Box::pin(pile.get_or_create_async(never)));
                let mut next = Box::pin(pile.acquire_write_lock_async());
                if polls > 0 {
                    for reader in &mut readers {
                        assert!(poll_by(&waker, reader.as_mut()).is_pending());
                    }
                    assert!(poll_by(&waker, next.as_mut()).is_pending());
                }
                thread::scope(|threads| {
                    let reader = threads.spawn(|| *pile.get_or_create(|| unreachable!()));
                    drop(writer);
                    assert_eq!(reader.join().unwrap(), 1);
                });
                assert_eq!(Arc::strong_count(&gone), 1, "its waker is leaked");
                assert_eq!(alarm.rings(), if polls > 0 { 3 } else { 0 });
                for reader in readers {
                    assert!(matches!(poll(reader), Poll::Ready(value) if *value == 1));
                }
                assert!(poll_by(&waker, next.as_mut()).is_pending());
                drop(guard);
                assert!(matches!(poll(next), Poll::Ready(Ok(_))));
                assert_eq!(gone.rings(), 0);
                assert!(is_at_rest(pile));
            }
        });
    }

    /// A writer is woken, and dropped before it is polled again: the others go on.
    #[test]
    fn a_writer_dropped_when_it_was_woken() {
        let pile = pile();
        let guard = guard_of_another(&pile);
        let (alarm, waker) = Alarm::new();
        let mut writer = Box::pin(pile.acquire_write_lock_async());
        assert!(poll_by(&waker, writer.as_mut()).is_pending());
        let mut reader = pin!(pile.get_or_create_async(never));
        assert!(poll(reader.as_mut()).is_pending());
        drop(guard);
        assert_eq!(alarm.rings(), 1);
        drop(writer);
        assert!(poll(reader).is_ready());
        assert!(is_at_rest(&pile));
    }

    /// One that waits for another writer, or a reader that does, is dropped after any number of
    /// polls: nobody notices.
    #[test]
    fn who_waits_for_a_writer_dropped_after_any_number_of_polls() {
        fn leaves<F: Future>(pile: &Pile, polls: usize, future: F) {
            let write = block_on(pile.acquire_write_lock_async()).unwrap();
            let (gone, gone_waker) = Alarm::new();
            let (alarm, waker) = Alarm::new();
            let mut hasty = Box::pin(future);
            let mut patient = Box::pin(pile.get_or_create_async(never));
            for _ in 0..polls {
                assert!(poll_by(&gone_waker, hasty.as_mut()).is_pending());
            }
            drop(gone_waker);
            assert!(poll_by(&waker, patient.as_mut()).is_pending());
            drop(hasty);
            assert_eq!(Arc::strong_count(&gone), 1, "its waker is leaked");
            assert!(is_closed(pile));
            drop(write);
            assert_eq!((alarm.rings(), gone.rings()), (1, 0));
            assert!(poll(patient).is_ready());
            assert!(is_at_rest(pile));
        }
        let pile = &pile();
        for polls in 0..=POLLS {
            leaves(pile, polls, pile.acquire_write_lock_async());
            leaves(pile, polls, pile.get_or_create_async(never));
            let look = || -> Boxed<Result<Lookup<u32>, u8>> { panic!("looks up") };
            leaves(pile, polls, pile.acquire_async(never, look));
            leaves(pile, polls, pile.refresh_async(never::<Result<_, u8>>));
            let (_, builder) = manual::<u32>(MINUTE);
            let timed = builder.build_sync_reader();
            timed.set(1);
            let bell = Bell::default();
            leaves(
                &timed,
                polls,
                timed.acquire_write_lock_for_async(SECOND, &bell),
            );
            let call = timed.call().wait(SECOND);
            leaves(&timed, polls, call.get_or_create_async(never));
        }
    }

    /// A leader is dropped at any point of a creation with the write lock: the lease is given up,
    /// and the gate is open, whoever it was left to.
    #[test]
    fn a_leader_dropped_after_any_number_of_polls() {
        within(|| {
            let mut polls = 0;
            loop {
                polls += 1;
                let pile = pile();
                pile.expire();
                let guard = Mutex::new(Some(guard_of_another(&pile)));
                let mut leader = Box::pin(pile.get_or_try_create_with_async(|creating| {
                    let (pile, guard) = (&pile, &guard);
                    async move {
                        steps(1).await;
                        let write = pile.acquire_write_lock_async();
                        let mut write = pin!(write);
                        assert!(poll(write.as_mut()).is_pending());
                        steps(1).await;
                        drop(guard.lock().unwrap().take());
                        let write = write.await?;
                        steps(1).await;
                        write.until_published(&creating);
                        steps(1).await;
                        Ok::<_, WriteLockError>(Created::new(2))
                    }
                }));
                let mut ready = false;
                for _ in 0..polls {
                    ready = poll(leader.as_mut()).is_ready();
                }
                drop(leader);
                drop(guard);
                assert!(is_at_rest(&pile), "after {polls} polls");
                if ready {
                    break;
                }
                let next = block_on(pile.get_or_create_async(|| async { 3 }));
                assert_eq!((*next, next.origin()), (3, Origin::CreatedHere));
            }
            assert_eq!(polls, 5);
        });
    }

    /// A look-up is dropped after any number of polls: it was a reader, and is none any more.
    #[test]
    fn a_look_up_dropped_after_any_number_of_polls() {
        for polls in 1..=POLLS {
            let pile = pile();
            let look = || async {
                steps(POLLS).await;
                Ok::<_, u8>(Lookup::Here(1))
            };
            let mut caller = Box::pin(pile.acquire_async(never, look));
            for _ in 0..polls {
                assert!(poll(caller.as_mut()).is_pending());
            }
            let (alarm, waker) = Alarm::new();
            let mut writer = pin!(pile.acquire_write_lock_async());
            assert!(poll_by(&waker, writer.as_mut()).is_pending());
            drop(caller);
            assert_eq!(alarm.rings(), 1);
            assert!(poll(writer).is_ready());
            assert!(is_at_rest(&pile));
        }
    }

    /// Everybody is dropped at some point, on every runtime, threads beside them.
    #[test]
    fn herds_of_which_most_are_dropped() {
        async fn body(spawn: Spawn) {
            let pile = Arc::new(Pile::new(MINUTE));
            let runs = Arc::new(Runs::default());
            for round in 0..20 {
                pile.invalidate();
                let threads = [(); 2].map(|()| {
                    let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                    thread::spawn(move || {
                        drop(pile.get_or_create(|| runs.run(|| round)));
                        drop(pile.acquire_write_lock().unwrap());
                    })
                });
                let tasks: Vec<_> = (0..40)
                    .map(|number: usize| {
                        let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                        spawn(Box::pin(async move {
                            let pile = &*pile;
                            let mut caller: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                                Box::pin(async {
                                    if number % 3 == 0 {
                                        let write = pile.acquire_write_lock_async().await.unwrap();
                                        steps(number % 4).await;
                                        drop(write);
                                        return;
                                    }
                                    let create = |creating| {
                                        let runs = &runs;
                                        async move {
                                            runs.run(|| ());
                                            let write = pile.acquire_write_lock_async().await?;
                                            steps(number % 5).await;
                                            write.until_published(&creating);
                                            steps(number % 3).await;
                                            Ok::<_, WriteLockError>(Created::new(round))
                                        }
                                    };
                                    let value = pile.get_or_try_create_with_async(create).await;
                                    steps(number % 4).await;
                                    drop(value.unwrap());
                                });
                            // A few polls, and then no more; every eighth holds on.
                            if number % 8 == 0 {
                                return caller.await;
                            }
                            for _ in 0..number % 7 {
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
                assert!(is_at_rest(&pile));
                assert!(runs.count() > round as usize);
            }
        }
        on_runtimes(body);
    }
}

mod wait_timeout {
    use super::*;

    fn limit_of<T>(answer: Poll<Result<T, Error<Infallible>>>) -> Option<Duration> {
        match answer {
            Poll::Ready(Err(Error::TimedOut { limit, .. })) => Some(limit),
            _ => None,
        }
    }

    #[test]
    fn counts_a_writer_and_a_creation_together() {
        let (clock, builder) = manual(MINUTE);
        let pile: Pile = builder.build_sync_reader();
        let call = pile.call().wait(10 * SECOND);
        let write = block_on(pile.acquire_write_lock_async()).unwrap();
        let (alarm, waker) = Alarm::new();
        let mut reader = pin!(call.get_or_create_async(never));
        let mut looks = pin!(
            call.acquire_async(never::<Result<_, Infallible>>, || async {
                Ok(Lookup::NeedRegeneration)
            })
        );
        assert!(poll_by(&waker, reader.as_mut()).is_pending());
        assert!(poll_by(&waker, looks.as_mut()).is_pending());
        clock.advance(6 * SECOND);
        let lease = match elsewhere(|| {
            drop(write);
            pile.attempt()
        }) {
            dogpile::ReadAttempt::Lease(lease) => lease,
            _ => panic!(),
        };
        assert!(poll_by(&waker, reader.as_mut()).is_pending());
        assert!(poll_by(&waker, looks.as_mut()).is_pending());
        let rings = alarm.rings();
        clock.advance(4 * SECOND);
        assert!(alarm.rings() > rings);
        assert_eq!(limit_of(poll(reader)), Some(10 * SECOND));
        assert_eq!(limit_of(poll(looks)), Some(10 * SECOND));
        drop(lease);
    }

    /// It began to count in front of the gate, where nothing was looked up yet.
    #[test]
    fn does_not_count_the_look_up() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build_sync_reader();
        let creation = lease(&pile);
        let look = async || {
            clock.advance(MINUTE);
            Ok::<_, u8>(Lookup::NeedRegeneration)
        };
        let write = pile.acquire_write_lock().unwrap();
        let call = pile.call().wait(SECOND);
        let mut call = pin!(call.acquire_async(never::<Result<u32, u8>>, look));
        assert!(poll(call.as_mut()).is_pending());
        drop(write);
        assert!(poll(call.as_mut()).is_pending());
        clock.advance(SECOND - NANO);
        assert!(poll(call.as_mut()).is_pending());
        drop(creation.publish(1).unwrap());
        assert!(poll(call).is_ready());
    }

    #[test]
    fn does_not_count_its_own_creator() {
        let (clock, builder) = manual(HOUR);
        let pile: Pile = builder.build_sync_reader();
        let call = pile.call().wait(SECOND);
        let clock = &clock;
        let slow = || async move {
            clock.advance(MINUTE);
            1
        };
        assert_eq!(*block_on(call.get_or_create_async(slow)).unwrap(), 1);
        pile.invalidate();
        // And behind a writer who came meanwhile it has what was left.
        let mut writer = pin!(pile.acquire_write_lock_async());
        let guard = guard_of_another_value(&pile);
        let mut caller = Box::pin(call.get_or_create_async(slow_then(clock, || {
            assert!(poll(writer.as_mut()).is_pending());
        })));
        assert!(poll(caller.as_mut()).is_pending());
        clock.advance(SECOND - NANO);
        assert!(poll(caller.as_mut()).is_pending());
        clock.advance(NANO);
        assert_eq!(limit_of(poll(caller)), Some(SECOND));
        drop(guard);
    }

    /// Of a value that is none to callers.
    fn guard_of_another_value(pile: &Pile) -> ReadGuard<'_, u32> {
        pile.set(0);
        let guard = guard_of_another(pile);
        pile.invalidate();
        guard
    }

    fn slow_then<'a>(
        clock: &'a dogpile::ManualClock,
        then: impl FnOnce() + 'a,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = u32> + 'a>> {
        move || {
            Box::pin(async move {
                clock.advance(MINUTE);
                then();
                2
            })
        }
    }

    #[test]
    fn of_a_writer() {
        let (clock, builder) = manual(MINUTE);
        let pile: Pile = builder.build_sync_reader();
        pile.set(1);
        let bell = Bell::default();
        let guard = guard_of_another(&pile);
        let zero = block_on(pile.acquire_write_lock_for_async(Duration::ZERO, &bell));
        let limit = Duration::ZERO;
        assert_eq!(zero.unwrap_err(), WriteLockError::TimedOut { limit });
        assert!(!is_closed(&pile));
        let mut writer = pin!(pile.acquire_write_lock_for_async(SECOND, &bell));
        assert!(poll(writer.as_mut()).is_pending());
        let mut behind = pin!(pile.acquire_write_lock_for_async(2 * SECOND, &bell));
        assert!(poll(behind.as_mut()).is_pending());
        clock.advance(SECOND - NANO);
        assert!(poll(writer.as_mut()).is_pending());
        assert!(is_closed(&pile));
        clock.advance(NANO);
        let Poll::Ready(Err(error)) = poll(writer) else {
            panic!("waits")
        };
        assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
        assert!(!is_closed(&pile));
        assert!(poll(behind.as_mut()).is_pending());
        assert!(is_closed(&pile));
        // Left at the very limit.
        clock.advance(SECOND);
        drop(guard);
        assert!(matches!(poll(behind), Poll::Ready(Ok(_))));
        assert!(is_at_rest(&pile));
    }

    #[test]
    fn by_a_timer() {
        let pile = pile();
        let bell = Bell::default();
        let guard = guard_of_another(&pile);
        let mut writer = pin!(pile.acquire_write_lock_for_async(SECOND, &bell));
        let (alarm, waker) = Alarm::new();
        assert!(poll_by(&waker, writer.as_mut()).is_pending());
        let call = pile.call().wait(SECOND).timer(&bell);
        let mut reader = pin!(call.get_or_create_async(never));
        assert!(poll_by(&waker, reader.as_mut()).is_pending());
        bell.ring();
        assert_eq!(alarm.rings(), 2);
        assert_eq!(limit_of(poll(reader)), Some(SECOND));
        let Poll::Ready(Err(error)) = poll(writer) else {
            panic!("waits")
        };
        assert_eq!(error, WriteLockError::TimedOut { limit: SECOND });
        drop(guard);
        assert!(is_at_rest(&pile));
    }

    #[test]
    fn without_a_timer_is_an_error() {
        let pile = pile();
        let call = pile.call().wait(SECOND);
        let error = block_on(call.get_or_create_async(never)).unwrap_err();
        assert!(matches!(error, Error::NoTimer));
        let make = never::<Result<_, ()>>;
        let error = block_on(call.acquire_async(make, never)).unwrap_err();
        assert!(matches!(error, Error::NoTimer));
        // Not to wait needs none.
        let call = pile.call().wait(Duration::ZERO);
        assert_eq!(*block_on(call.get_or_create_async(never)).unwrap(), 1);
        let write = block_on(pile.acquire_write_lock_async()).unwrap();
        let error = block_on(call.get_or_create_async(never)).unwrap_err();
        assert!(error.is_timed_out());
        drop(write);
    }

    /// On the runtimes, with the timers that they have.
    #[test]
    #[cfg(all(feature = "tokio", feature = "smol"))]
    fn a_task_that_would_wait_for_itself() {
        async fn body(_: Spawn) {
            let timer: &dyn Timer = match tokio::runtime::Handle::try_current() {
                Ok(_) => &dogpile::executor::Tokio,
                Err(_) => &dogpile::executor::Smol,
            };
            let pile = pile();
            let limit = Duration::from_millis(1);
            let guard = pile.get_or_create_async(never).await;
            let write = pile.acquire_write_lock_for_async(limit, timer).await;
            assert_eq!(write.unwrap_err(), WriteLockError::TimedOut { limit });
            drop(guard);
            let write = pile.acquire_write_lock_async().await.unwrap();
            let call = pile.call().wait(limit).timer(timer);
            let error = call.get_or_create_async(never).await.unwrap_err();
            assert!(error.is_timed_out());
            drop(write);
            assert!(is_at_rest(&pile));
        }
        on_runtimes(body);
    }
}

/// A thread and a task wait for one creation, both outside the gate, and both get the value.
#[test]
fn tasks_and_threads_get_the_same_value() {
    async fn body(spawn: Spawn) {
        let pile = Arc::new(Pile::new(MINUTE));
        let leads = {
            let pile = Arc::clone(&pile);
            spawn(Box::pin(async move {
                let create = || async {
                    until_task(|| pile.waiters() == 4).await;
                    drop(pile.acquire_write_lock_async().await.unwrap());
                    1
                };
                let value = pile.get_or_create_async(create).await;
                assert_eq!((*value, value.origin()), (1, Origin::CreatedHere));
            }))
        };
        until_task(|| pile.is_creating()).await;
        let threads = [(); 2].map(|()| {
            let pile = Arc::clone(&pile);
            thread::spawn(move || *pile.get_or_create(|| panic!("a second creator")))
        });
        let tasks = [(); 2].map(|()| {
            let pile = Arc::clone(&pile);
            spawn(Box::pin(async move {
                let value = pile.get_or_create_async(never).await;
                assert_eq!((*value, value.origin()), (1, Origin::CreatedByAnother));
            }))
        });
        leads.await;
        for task in tasks {
            task.await;
        }
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1);
        }
        until(|| pile.waiters() == 0);
    }
    on_runtimes(body);
}
