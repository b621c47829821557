//! A task's wait for a creation.

use std::task::Waker;
use std::time::Duration;

use crate::clock::{Tick, Time};
use crate::raw::creation::{Creation, Told};
use crate::raw::event::Nod;
use crate::raw::tasks::Place;
use crate::sync::Arc;

/// A task that waits for a creation; its place among the waiters is given back by dropping this.
pub(crate) struct Waiting<T> {
    creation: Arc<Creation<T>>,
    place: Option<Place>,
}

/// What a waiting task finds who looks.
pub(crate) enum Rest<T> {
    Told(Told<T>),
    /// The deadline has passed.
    Over,
    /// It will be woken; but for the end of this time, by a timer only.
    Asleep(Option<Duration>),
}

impl<T> Waiting<T> {
    pub(crate) fn new(creation: Arc<Creation<T>>) -> Self {
        Self {
            creation,
            place: None,
        }
    }

    /// The fence of the lease under which it is created.
    pub(crate) fn fence(&self) -> u64 {
        self.creation.fence()
    }

    /// Looks for the outcome, and has the task woken when it is there or the clock is moved.
    pub(crate) fn poll(&mut self, time: &Time, deadline: Option<Tick>, waker: &Waker) -> Rest<T> {
        let done = self.creation.done();
        match done.poll(&mut self.place, time, deadline, waker) {
            Nod::Set => {
                // SAFETY: the event was just seen set.
                let told = unsafe { self.creation.told() };
                told.map_or(Rest::Over, Rest::Told)
            }
            Nod::Over => Rest::Over,
            Nod::Asleep(limit) => Rest::Asleep(limit),
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.creation.done().leave(place);
        }
    }
}
