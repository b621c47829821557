//! Time: where "now" comes from, and the times of one value.

mod clock;
mod times;

pub use self::clock::{Clock, ManualClock, SystemClock, Tick};
pub(crate) use self::clock::{SleepPlan, Time};
pub(crate) use self::times::{Limits, Times};
