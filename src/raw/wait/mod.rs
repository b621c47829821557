//! Waiting: who sleeps until something ends, and what they are told.

mod event;
#[cfg(feature = "async")]
mod task_wait;
mod waiters;
#[cfg(feature = "async")]
mod wakers;

pub(crate) use self::event::Event;
pub(crate) use self::waiters::{Ending, Waiters, Writers};
#[cfg(feature = "async")]
pub(crate) use self::{event::Polled, task_wait::Seat};
