//! White-box models of the parts, in both forms of the barrier.

mod cell;
mod explore;
mod gate;
mod index;
mod value;
mod waiters;

pub(crate) use self::explore::explore;
pub(crate) use self::value::Value;
