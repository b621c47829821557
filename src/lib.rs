//! placeholder
#![warn(missing_docs)]

mod builder;
mod call;
mod clock;
mod dogpile;
mod error;
mod guard;
mod lease;
mod policy;
mod raw;
mod reentrancy;
mod stamp;
mod sync;

pub use crate::builder::Builder;
pub use crate::call::{Accept, Call};
pub use crate::clock::{Clock, ManualClock, SystemClock, Tick};
pub use crate::dogpile::Dogpile;
pub use crate::error::{Error, Failure};
pub use crate::guard::{Guard, Origin, Owned};
