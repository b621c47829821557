//! How many requests of a map of keys run at once: [`Asks`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crate::sync::{Condvar, Mutex, MutexGuard};

/// A number of places, each for one request that runs.
pub(crate) struct Asks {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    free: usize,
    /// Threads that wait.
    threads: usize,
    /// Tasks that wait, in the order in which they came, each with its number.
    tasks: VecDeque<(u64, Waker)>,
    last: u64,
}

impl Asks {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            state: Mutex::new(State {
                free: places,
                threads: 0,
                tasks: VecDeque::new(),
                last: 0,
            }),
            freed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, with the thread.
    pub(crate) fn enter(&self) -> Asking<'_> {
        let mut state = self.lock();
        while state.free == 0 {
            state.threads += 1;
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.threads -= 1;
        }
        state.free -= 1;
        Asking(self)
    }

    /// Waits for a place, as a task.
    pub(crate) fn enter_async(&self) -> Entering<'_> {
        Entering {
            asks: self,
            number: None,
        }
    }

    /// Wakes those who might take a place that is free: one thread and one task, of which one gets it.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let task = match state.free {
            0 => None,
            _ => state.tasks.pop_front(),
        };
        let thread = state.free > 0 && state.threads > 0;
        drop(state);
        if thread {
            self.freed.notify_one();
        }
        if let Some((_, waker)) = task {
            waker.wake();
        }
    }
}

/// A place that is taken.
pub(crate) struct Asking<'a>(&'a Asks);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        self.0.wake(state);
    }
}

/// A task that waits for a place.
pub(crate) struct Entering<'a> {
    asks: &'a Asks,
    /// Its number among those that wait, if it has waited.
    number: Option<u64>,
}

impl<'a> Future for Entering<'a> {
    type Output = Asking<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Asking<'a>> {
        let asks = self.asks;
        let waker = cx.waker().clone();
        let mut state = asks.lock();
        let waits = self.number.take();
        let before = waits.and_then(|number| state.tasks.iter().position(|(of, _)| *of == number));
        if state.free > 0 {
            state.free -= 1;
            let left = before.and_then(|at| state.tasks.remove(at));
            // There may be more.
            asks.wake(state);
            drop((left, waker));
            return Poll::Ready(Asking(asks));
        }
        let old = match before {
            Some(at) => {
                self.number = waits;
                Some(std::mem::replace(&mut state.tasks[at].1, waker))
            }
            None => {
                state.last += 1;
                let number = state.last;
                state.tasks.push_back((number, waker));
                self.number = Some(number);
                None
            }
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.asks.lock();
        let at = state.tasks.iter().position(|(of, _)| *of == number);
        let left = at.and_then(|at| state.tasks.remove(at));
        // Woken for a place that it does not take any more: it wakes the next one in its stead.
        self.asks.wake(state);
        drop(left);
    }
}

#[cfg(all(test, not(dogpile_loom), not(dogpile_shuttle)))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (Arc::clone(&woken), Arc::clone(&woken).into())
    }

    /// Between its being woken and its next poll: the next one is woken in its stead.
    #[test]
    fn a_task_that_is_woken_and_dropped_keeps_nobody_waiting() {
        let asks = Asks::new(1);
        let held = asks.enter();
        let ((first, first_waker), (second, second_waker)) = (task(), task());
        let mut waits = Box::pin(asks.enter_async());
        assert!(
            waits
                .as_mut()
                .poll(&mut Context::from_waker(&first_waker))
                .is_pending()
        );
        let mut next = pin!(asks.enter_async());
        let mut context = Context::from_waker(&second_waker);
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(held);
        let woken = || {
            (
                first.0.load(Ordering::SeqCst),
                second.0.load(Ordering::SeqCst),
            )
        };
        assert_eq!(woken(), (1, 0));
        drop(waits);
        assert_eq!(woken(), (1, 1));
        assert!(next.as_mut().poll(&mut context).is_ready());
    }

    /// A thread that is faster takes the place; the task is woken for the next one all the same.
    #[test]
    fn a_task_that_comes_too_late_waits_on() {
        let asks = Asks::new(1);
        let held = asks.enter();
        let (woken, waker) = task();
        let mut context = Context::from_waker(&waker);
        let mut waits = pin!(asks.enter_async());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        drop(held);
        let faster = asks.enter();
        assert!(waits.as_mut().poll(&mut context).is_pending());
        drop(faster);
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert!(waits.as_mut().poll(&mut context).is_ready());
        let state = asks.lock();
        assert_eq!((state.tasks.len(), state.threads), (0, 0));
    }

    /// A place that nobody waited for in vain: tasks that were dropped leave nothing.
    #[test]
    fn tasks_that_are_dropped_leave_nothing() {
        let asks = Asks::new(1);
        let held = asks.enter();
        for _ in 0..10 {
            let (woken, waker) = task();
            {
                let mut waits = pin!(asks.enter_async());
                for _ in 0..2 {
                    let mut context = Context::from_waker(&waker);
                    assert!(waits.as_mut().poll(&mut context).is_pending());
                }
            }
            drop(waker);
            assert_eq!(Arc::strong_count(&woken), 1);
        }
        assert!(asks.lock().tasks.is_empty());
        drop(held);
        assert_eq!(asks.lock().free, 1);
    }
}
