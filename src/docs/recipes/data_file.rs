//! Replace a data file in place while other threads read it through a memory map.
//!
//! Whoever reads a map of a file that is being rewritten reads nonsense. If the file becomes shorter, the
//! program is killed. So the file may be rewritten only while nobody reads it. A [`SyncReaderDogpile`] knows that: its
//! creator takes the write lock, which waits for the readers that are there and keeps new ones out.
//!
#![cfg_attr(unix, doc = "```")]
#![cfg_attr(not(unix), doc = "```ignore")]
//! use std::fs::{self, File};
//! use std::path::{Path, PathBuf};
//! use std::time::Duration;
//! use std::io;
//! use dogpile::{Created, Creating, Error, ReadGuard, SyncReaderDogpile};
//! use memmap2::Mmap;
//!
//! struct Data {
//!     path: PathBuf,
//!     pile: SyncReaderDogpile<Mmap>,
//! }
//!
//! impl Data {
//!     fn new(path: PathBuf) -> Self {
//!         Self { path, pile: SyncReaderDogpile::new(Duration::from_secs(3600)) }
//!     }
//!
//!     /// The bytes of the file. They do not change before the guard is dropped.
//!     fn read(&self) -> Result<ReadGuard<'_, Mmap>, Error<io::Error>> {
//!         self.pile.get_or_try_create_with(|creating| self.replace(creating))
//!     }
//!
//!     fn replace(&self, creating: Creating<'_, Mmap>) -> io::Result<Created<Mmap>> {
//!         let next = self.path.with_extension("next");
//!         download(&next)?; // Slow. The others go on with the old file.
//!
//!         // Quick. It waits until nobody reads, and from here on nobody does.
//!         let write = self.pile.acquire_write_lock_for(Duration::from_secs(10));
//!         let write = write.map_err(io::Error::other)?;
//!         fs::copy(&next, &self.path)?;
//!         // SAFETY: the file changes only here, under the write lock. Nobody looks at a map then.
//!         let map = unsafe { Mmap::map(&File::open(&self.path)?)? };
//!         write.until_published(&creating); // So nobody sees the old map of the new file.
//!         Ok(Created::new(map))
//!     }
//! }
//!
//! fn download(path: &Path) -> io::Result<()> {
//!     fs::write(path, "record 1, record 2")
//! }
//!
//! # let path = std::env::temp_dir().join(format!("dogpile-data-{}", std::process::id()));
//! let data = Data::new(path.clone());
//! assert!(data.read()?.starts_with(b"record 1"));
//! # data.pile.expire();
//! # assert!(data.read()?.starts_with(b"record 1"));
//! # fs::remove_file(path.with_extension("next"))?;
//! # fs::remove_file(path)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! - If the creator fails or panics, the write lock is released, and the readers get in again.
//! - Hold a read guard for as long as you read, and no longer: the writer waits for it. A guard that is held
//!   over an `.await` keeps it waiting for as long as that takes.
//! - The lock keeps out the readers of this process. Other programs must not map the file.
//! - Windows does not let a mapped file be overwritten. There, give each version a name of its own.
//!
//! If nothing beside the value changes in place, a plain [`Dogpile`] is enough: an old value stays alive for
//! as long as somebody has a guard on it. The example `datafile` of the repository does this with an index
//! beside the file.
#![doc(
    alias = "mmap",
    alias = "memory map",
    alias = "write lock",
    alias = "RwLock"
)]

#[allow(unused_imports)]
use crate::*;
