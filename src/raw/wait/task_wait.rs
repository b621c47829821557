//! A task's wait for an event.

use std::task::Waker;

use crate::raw::wait::event::{Event, Rest};
use crate::raw::wait::wakers::Place;
use crate::shim::Arc;
use crate::time::{Tick, Time};

/// A task's seat among those who wait for an event. To be left, unless the event is set.
#[derive(Default)]
pub(crate) struct Seat(Option<Place>);

impl Seat {
    /// Looks for the end, and has the task woken when it is there or the clock is moved.
    pub(crate) fn poll(
        &mut self,
        end: &Arc<Event>,
        time: &Time,
        deadline: Option<Tick>,
        waker: &Waker,
    ) -> Rest<()> {
        let rest = end.poll(&mut self.0, time, deadline, waker);
        if let Rest::Set(()) = rest {
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
