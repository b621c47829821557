//! Read a configuration file again when it changes.
//!
//! The pile looks at the file once a second, if somebody asks. A file that has not changed is not read
//! again: the creator says [`Created::unchanged`]. A file with a mistake in it does not stop the program: the last
//! good configuration stands in, with the failure beside it.
//!
//! ```
//! use std::path::PathBuf;
//! use std::time::{Duration, SystemTime};
//! use std::{fs, io};
//! use dogpile::{Created, Creating, Dogpile, Error, Guard};
//!
//! struct Config {
//!     workers: usize,
//!     modified: SystemTime,
//! }
//!
//! struct Settings {
//!     path: PathBuf,
//!     config: Dogpile<Config>,
//! }
//!
//! impl Settings {
//!     /// Fails if the file cannot be used: there is no good configuration yet.
//!     fn open(path: PathBuf) -> Result<Self, Error<io::Error>> {
//!         let config = Dogpile::builder(Duration::from_secs(1)).stale_if_error(Duration::MAX);
//!         let settings = Self { path, config: config.build() };
//!         drop(settings.get()?);
//!         Ok(settings)
//!     }
//!
//!     fn get(&self) -> Result<Guard<'_, Config>, Error<io::Error>> {
//!         let config = self.config.get_or_try_create_with(|creating| self.read(&creating))?;
//!         if let Some(failure) = Guard::failure(&config) {
//!             eprintln!("{}: {failure}; the last good one is used", self.path.display());
//!         }
//!         Ok(config)
//!     }
//!
//!     fn read(&self, creating: &Creating<'_, Config>) -> io::Result<Created<Config>> {
//!         let modified = fs::metadata(&self.path)?.modified()?;
//!         if let Some(known) = creating.previous().filter(|known| known.modified == modified) {
//!             return Ok(Created::unchanged(known));
//!         }
//!         let text = fs::read_to_string(&self.path)?;
//!         let workers = text.trim().parse().map_err(io::Error::other)?;
//!         Ok(Created::new(Config { workers, modified }))
//!     }
//! }
//!
//! # let path = std::env::temp_dir().join(format!("dogpile-config-{}", std::process::id()));
//! fs::write(&path, "4")?;
//! let settings = Settings::open(path.clone())?;
//! assert_eq!(settings.get()?.workers, 4);
//!
//! fs::write(&path, "four")?;
//! # fs::File::options().write(true).open(&path)?.set_modified(SystemTime::UNIX_EPOCH)?;
//! settings.config.expire(); // a second passes
//! assert_eq!(settings.get()?.workers, 4);
//! assert!(settings.config.last_failure().is_some());
//! # fs::write(&path, "5")?;
//! # settings.config.expire();
//! # assert_eq!(settings.get()?.workers, 5);
//! # fs::remove_file(&path)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! - Replace the file with a rename, so that nobody reads half of it.
//! - To be told of each new configuration, wait for it in a loop: [`Dogpile::wait_for_newer`].
//! - To read the file without callers too, use [`Dogpile::keep_fresh`].
#![doc(alias = "reload", alias = "hot reload")]

#[allow(unused_imports)]
use crate::*;
