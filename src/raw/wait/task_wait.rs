//! A task's wait for an event.

use std::task::Waker;

use crate::raw::wait::event::{Event, Polled};
use crate::raw::wait::waiters::{Ending, Waiters};
use crate::raw::wait::wakers::WakerKey;
use crate::shim::Arc;
use crate::time::{Tick, Time};

/// What has an end that tasks wait for.
pub(crate) trait Awaited {
    /// Set at the end.
    fn end(&self) -> &Arc<Event>;
}

impl Awaited for Arc<Event> {
    fn end(&self) -> &Arc<Event> {
        self
    }
}

impl<T> Awaited for Arc<Waiters<T>> {
    fn end(&self) -> &Arc<Event> {
        self.done()
    }
}

/// A task that waits; its place among those who wait is given back by dropping this.
pub(crate) struct Waiting<A: Awaited> {
    awaited: A,
    place: Option<WakerKey>,
}

impl<A: Awaited> Waiting<A> {
    pub(crate) fn new(awaited: A) -> Self {
        Self {
            awaited,
            place: None,
        }
    }

    /// Looks for the end, and has the task woken when it is there or the clock is moved.
    pub(crate) fn poll(
        &mut self,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Polled<()> {
        let end = self.awaited.end();
        if end.is_set() {
            self.place = None; // Nobody's any more.
            return Polled::Set(());
        }
        end.poll(&mut self.place, time, deadline, waker)
    }
}

impl<T> Waiting<Arc<Waiters<T>>> {
    /// The fence of the lease under which it is created.
    pub(crate) fn fence(&self) -> u64 {
        self.awaited.fence()
    }

    /// As [`poll`](Waiting::poll), with the outcome.
    pub(crate) fn poll_told(
        &mut self,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Polled<Ending<T>> {
        self.poll(time, deadline, waker).map(|()| {
            // SAFETY: the event was just seen set.
            let told = unsafe { self.awaited.told() };
            told.expect("told before the event is set")
        })
    }
}

impl<A: Awaited> Drop for Waiting<A> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.awaited.end().leave(place);
        }
    }
}

/// A task's seat among those who wait for an event. To be left, unless the event is set.
#[derive(Default)]
pub(crate) struct Seat(Option<WakerKey>);

impl Seat {
    /// Looks for the end, and has the task woken when it is there or the clock is moved.
    pub(crate) fn poll(
        &mut self,
        end: &Arc<Event>,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Polled<()> {
        let rest = end.poll(&mut self.0, time, deadline, waker);
        if let Polled::Set(()) = rest {
            self.0 = None; // Nobody's any more.
        }
        rest
    }

    pub(crate) fn leave(&mut self, end: &Event) {
        if let Some(place) = self.0.take() {
            end.leave(place);
        }
    }
}
