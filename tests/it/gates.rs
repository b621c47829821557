//! A write lock that is left to a creation: whom it belongs to, and that it opens whatever happens.
//!
//! Each test states the order of events itself: a creation is a future that the test polls, and the
//! lock is taken by threads that the test joins.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use dogpile::executor::{Executor, Job};
use dogpile::{Created, Creating, Error, Refused, SyncReaderDogpile, WriteLockError};

use crate::support::{MINUTE, within};
use crate::tasks::poll;

type Pile = SyncReaderDogpile<u32>;

fn stale() -> Pile {
    let pile = Pile::with_value(MINUTE, 1);
    pile.expire();
    pile
}

/// Runs `body` on a thread of its own, as a pool would.
fn elsewhere<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|threads| threads.spawn(body).join()).unwrap()
}

/// Takes the write lock on a thread of its own and leaves it to the creation.
fn leave_to(pile: &Pile, creating: &Creating<'_, u32>) {
    elsewhere(|| {
        let write = pile.try_acquire_write_lock().unwrap();
        write.until_published(creating);
    });
}

/// Readers and writers get in.
#[track_caller]
fn assert_open(pile: &Pile) {
    elsewhere(|| {
        assert!(pile.peek().is_some(), "the gate is closed");
        assert!(pile.try_acquire_write_lock().is_ok());
    });
}

#[track_caller]
fn assert_closed(pile: &Pile) {
    elsewhere(|| {
        assert!(pile.peek().is_none());
        assert!(pile.try_acquire_write_lock().is_err());
    });
}

type Told<'a> = Rc<RefCell<Option<Creating<'a, u32>>>>;

/// A creator that hands out what it was given, and goes on when it is told to.
fn creation<'a>(
    pile: &'a Pile,
    told: &Told<'a>,
    ends: impl Future<Output = Result<u32, u8>> + 'a,
) -> impl Future<Output = Result<u32, Error<u8>>> + 'a {
    let told = Rc::clone(told);
    async move {
        let create = |creating| async move {
            *told.borrow_mut() = Some(creating);
            ends.await.map(Created::new)
        };
        let guard = pile.get_or_try_create_with_async(create).await?;
        Ok(*guard)
    }
}

/// A future that is ready at its second poll.
async fn later<T>(value: T) -> T {
    crate::tasks::steps(1).await;
    value
}

/// `Creating` can outlive its creation: in a blocking job, say, while the caller is cancelled.
mod a_creation_that_is_over_opens_it_at_once {
    use super::*;

    /// Polls the creation until it is ready, or is dropped.
    fn check(ends: impl Future<Output = Result<u32, u8>>, polls: usize) {
        let pile = stale();
        let told = Told::default();
        {
            let mut creation = pin!(creation(&pile, &told, ends));
            for _ in 0..polls {
                if poll(creation.as_mut()).is_ready() {
                    break;
                }
            }
        }
        let creating = told.borrow_mut().take().unwrap();
        leave_to(&pile, &creating);
        assert_open(&pile);
        // And so it is after other creations, whose fences are higher.
        assert_eq!(*pile.refresh(|| Ok::<_, u8>(5)).unwrap(), 5);
        leave_to(&pile, &creating);
        assert_open(&pile);
    }

    #[test]
    fn cancelled() {
        check(pending(), 1);
    }

    #[test]
    fn published() {
        check(later(Ok(2)), 2);
    }

    #[test]
    fn failed() {
        check(later(Err(2)), 2);
    }

    /// A job in the background that its executor drops.
    #[test]
    fn dropped_by_its_executor() {
        /// Keeps one job.
        #[derive(Default)]
        struct Shelf(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);
        impl Executor for Shelf {
            fn spawn(&self, job: Job) -> Result<(), Refused> {
                *self.0.lock().unwrap() = Some(Box::pin(job));
                Ok(())
            }
        }
        let pile = Arc::new(stale());
        let shelf = Shelf::default();
        let told = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&told);
        let background = pile.background(&shelf);
        let started = background.get_or_try_create_with_async(move |creating| {
            *heard.lock().unwrap() = Some(creating);
            pending::<Result<_, u8>>()
        });
        let mut started = pin!(started);
        let Poll::Ready(Ok(old)) = poll(started.as_mut()) else {
            panic!("there is a stale value to go on with")
        };
        drop(old);
        let mut job = shelf.0.lock().unwrap().take().unwrap();
        assert!(poll(job.as_mut()).is_pending());
        drop(job);
        let creating = told.lock().unwrap().take().unwrap();
        leave_to(&pile, &creating);
        assert_open(&pile);
    }
}

mod a_lock_left_to_a_creation_is_of_no_thread {
    use super::*;

    /// The thread that took it is one of a pool, and its next job waits like everybody else.
    #[test]
    fn an_innocent_job_waits() {
        within(|| {
            let pile = stale();
            let told = Told::default();
            let mut creation = pin!(creation(&pile, &told, later(Ok(2))));
            assert!(poll(creation.as_mut()).is_pending());
            let creating = told.borrow_mut().take().unwrap();
            thread::scope(|threads| {
                let (next_job, jobs) = std::sync::mpsc::channel();
                let (said, hears) = std::sync::mpsc::channel();
                let (pile, creating) = (&pile, &creating);
                threads.spawn(move || {
                    pile.try_acquire_write_lock()
                        .unwrap()
                        .until_published(creating);
                    said.send(()).unwrap();
                    jobs.recv().unwrap();
                    // Another job on the same thread, which can do nothing about the creation.
                    let call = pile.call().wait(Duration::ZERO);
                    let answer = call.get_or_create(|| unreachable!()).map(|guard| *guard);
                    assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
                    let answer = pile.try_acquire_write_lock().map(drop);
                    assert!(
                        matches!(answer, Err(WriteLockError::TimedOut { .. })),
                        "{answer:?}"
                    );
                    said.send(()).unwrap();
                    // It gets in when the creation is over.
                    assert_eq!(*pile.get_or_create(|| unreachable!()), 2);
                });
                hears.recv().unwrap();
                next_job.send(()).unwrap();
                hears.recv().unwrap();
                assert!(matches!(poll(creation.as_mut()), Poll::Ready(Ok(2))));
            });
            assert_open(&pile);
        });
    }

    /// A poll of the creator would wait for itself. What the same thread does between two polls would
    /// not.
    #[test]
    fn but_of_the_poll_of_its_creator() {
        within(|| {
            let pile = stale();
            let holds_it = |answer: Result<(), WriteLockError>| {
                matches!(answer, Err(WriteLockError::HoldsWriteLock))
            };
            let try_it = || pile.try_acquire_write_lock().map(drop);
            let mut creation = pin!(pile.get_or_try_create_with_async(|creating| {
                let pile = &pile;
                async move {
                    let write = pile.try_acquire_write_lock().unwrap();
                    write.until_published(&creating);
                    for _ in 0..2 {
                        assert!(holds_it(try_it()));
                        let answer = pile.get_or_try_create(|| Ok::<_, u8>(3));
                        assert!(matches!(answer, Err(Error::HoldsWriteLock)));
                        let mut write = pin!(pile.acquire_write_lock_async());
                        let Poll::Ready(answer) = poll(write.as_mut()) else {
                            panic!("it waits for itself")
                        };
                        assert!(holds_it(answer.map(drop)));
                        crate::tasks::steps(1).await;
                    }
                    Ok::<_, u8>(Created::new(2))
                }
            }));
            assert!(poll(creation.as_mut()).is_pending());
            // The thread does something else now.
            let answer = pile.try_acquire_write_lock().map(drop);
            assert!(
                matches!(answer, Err(WriteLockError::TimedOut { .. })),
                "{answer:?}"
            );
            assert_closed(&pile);
            assert!(poll(creation.as_mut()).is_pending());
            assert!(matches!(poll(creation.as_mut()), Poll::Ready(Ok(value)) if *value == 2));
            assert_open(&pile);
        });
    }

    /// A closure runs to the end of its creation on one thread, which also drops what is replaced.
    #[test]
    fn and_of_the_thread_that_runs_a_closure_to_its_end() {
        within(|| {
            let pile = stale();
            let created = pile.get_or_try_create_with(|creating| {
                leave_to(&pile, &creating);
                let answer = pile.try_acquire_write_lock().map(drop);
                assert!(matches!(answer, Err(WriteLockError::HoldsWriteLock)));
                let answer = pile.get_or_try_create(|| Ok::<_, u8>(3));
                assert!(matches!(answer, Err(Error::HoldsWriteLock)));
                Ok::<_, u8>(Created::new(2))
            });
            assert_eq!(*created.unwrap(), 2);
            assert_open(&pile);
        });
    }
}
