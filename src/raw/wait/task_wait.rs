//! A task's wait for an event.

use std::task::Waker;

use crate::raw::wait::event::{Event, Polled};
use crate::raw::wait::wakers::WakerKey;
use crate::shim::Arc;
use crate::time::{Tick, Time};

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

    #[inline]
    pub(crate) fn leave(&mut self, end: &Event) {
        if let Some(place) = self.0.take() {
            end.leave(place);
        }
    }
}
