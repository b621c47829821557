//! What to do about a value, given its times: pure decisions, no clock and no state.

mod accept;
mod freshness;

pub use self::accept::{Accept, Seen};
pub(crate) use self::accept::{Marks, Use};
pub use self::freshness::Freshness;
pub(crate) use self::freshness::Policy;
