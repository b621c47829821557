//! Time: where "now" comes from, and the times of one value.

mod boot;
mod clock;
mod packed;
mod second;
mod times;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

pub use self::boot::BootClock;
pub use self::clock::{Clock, ManualClock, SystemClock, Tick};
pub(crate) use self::clock::{SleepPlan, Time};
pub(crate) use self::packed::PackedTimes;
pub(crate) use self::second::Second;
pub(crate) use self::times::{Limits, Times};
