//! The types that users hold, with their short forms.

mod builder;
mod dogpile;
#[cfg(feature = "async")]
mod dogpile_async;
mod sync_reader;
#[cfg(feature = "async")]
mod sync_reader_async;
#[cfg(all(test, feature = "async", not(any(dogpile_loom, dogpile_shuttle))))]
mod third_door;
mod write_lock;

pub use self::builder::{BuildError, Builder};
pub use self::dogpile::Dogpile;
pub(crate) use self::dogpile::{cannot_answer, cannot_wait};
pub use self::sync_reader::SyncReaderDogpile;
pub use self::write_lock::WriteGuard;
