//! White-box models of the parts, in both forms of the barrier.

mod cell;
mod explore;
mod gate;
mod index;
#[path = "../../../loom-tests/src/interleavings.rs"]
mod interleavings;
mod value;
mod waiters;

pub(crate) use self::explore::explore;
pub(crate) use self::value::Value;
