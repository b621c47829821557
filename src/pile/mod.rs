//! The types that users hold, with their short forms.

mod builder;
mod dogpile;
#[cfg(feature = "async")]
mod dogpile_async;
mod sync_reader;
#[cfg(feature = "async")]
mod sync_reader_async;
mod write_lock;

pub use self::builder::Builder;
pub use self::dogpile::Dogpile;
pub use self::sync_reader::{ReadAttempt, SyncReaderDogpile};
pub use self::write_lock::WriteGuard;

use self::dogpile::cannot_answer;
#[cfg(feature = "async")]
use self::write_lock::{deadline, refused};
