//! What a call gives and takes: the values that it answers with, the lease, what a creator may know
//! and say, and the door that the call passes.

mod acquired;
mod created;
mod door;
mod guard;
mod lease;
mod settings;
mod site;

pub use self::acquired::{Acquired, Lookup, ReadAcquired};
pub use self::created::{Created, Creating, Previous};
pub(crate) use self::door::{Caller, Entry};
pub use self::door::{Door, Gated, Open};
#[cfg(all(test, feature = "async", not(any(dogpile_loom, dogpile_shuttle))))]
pub(crate) use self::door::{Opening, sealed::Sealed};
pub use self::guard::{Guard, Origin, Owned, Pass, ReadGuard};
pub use self::lease::{Lease, Superseded};
pub(crate) use self::settings::{Cold, Settings};
#[cfg(feature = "async")]
pub(crate) use self::site::WeakAnchor;
pub(crate) use self::site::{Anchor, HasSite, Site};
