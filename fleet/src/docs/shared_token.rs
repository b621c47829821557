//! Several processes of one machine share a token over files.
//!
//! The workers of a service need the same access token. One of them signs in, and the others read what it got from a
//! directory that they share. If that one is killed meanwhile, the kernel frees its lock, and another one signs in.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile_fleet::{FileStore, FleetAccept, FleetDogpile, FleetError, FleetGuard};
//!
//! type Token<'a> = FleetGuard<'a, String>;
//!
//! struct Client {
//!     token: FleetDogpile<String, FileStore>,
//! }
//!
//! impl Client {
//!     /// Each process opens the same directory.
//!     fn open(directory: &Path) -> std::io::Result<Self> {
//!         let store = Arc::new(FileStore::open(directory)?);
//!         let fresh = Duration::from_secs(3000); // A token lives for an hour.
//!         let token = FleetDogpile::builder(store, "token", fresh)
//!             .stale_while_revalidate(Duration::from_secs(300)) // while one process signs in
//!             .local_ttl(Duration::from_secs(10)) // how late a process sees the others' news
//!             .backoff(Duration::from_secs(1), Duration::from_secs(60)) // of all processes
//!             .build();
//!         Ok(Self { token })
//!     }
//!
//!     fn token(&self) -> Result<Token<'_>, FleetError<SignInError>> {
//!         let call = self.token.call().wait(Duration::from_secs(10));
//!         call.get_or_try_create(|_creation| sign_in())
//!     }
//!
//!     /// A server refused this token: of all processes that say so, one signs in.
//!     fn newer(&self, refused: &Token<'_>) -> Result<Token<'_>, FleetError<SignInError>> {
//!         let newer = FleetAccept::NewerThan(FleetGuard::version(refused));
//!         let call = self.token.call().wait(Duration::from_secs(10)).accept(newer);
//!         call.get_or_try_create(|_creation| sign_in())
//!     }
//! }
//! # #[derive(Debug)]
//! # struct SignInError;
//! # use std::sync::atomic::{AtomicU32, Ordering};
//! # static SIGNED_IN: AtomicU32 = AtomicU32::new(0);
//! # fn sign_in() -> Result<String, SignInError> {
//! #     Ok(format!("token {}", SIGNED_IN.fetch_add(1, Ordering::SeqCst) + 1))
//! # }
//! # let directory = std::env::temp_dir().join(format!("dogpile-token-{}", std::process::id()));
//! # // Two stores share nothing but the directory, as two processes do.
//! # let (one, other) = (Client::open(&directory)?, Client::open(&directory)?);
//! # let (token, same) = (one.token().unwrap(), other.token().unwrap());
//! # assert_eq!((token.as_str(), same.as_str()), ("token 1", "token 1"));
//! # assert_eq!(*one.newer(&token).unwrap(), "token 2");
//! # assert_eq!(*other.newer(&same).unwrap(), "token 2");
//! # assert_eq!(SIGNED_IN.load(Ordering::SeqCst), 2);
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! - One directory is one fleet: on a local file system, for the processes of one machine.
//! - Who may read the directory may read the token. Make the directory first, for its owner alone (mode 0700).
//! - All tokens have the ttl of the pile. Ttl and stale limit together stay below the life of a token.
//! - A process that was refused a token, which another process has replaced, gets that one and does not sign in.
//! - For tasks, wrap the store in [`Blocking`](crate::Blocking), and use the forms that end in `_async`.
//! - For another type than text or bytes, name a [codec](crate::FleetBuilder::codec). For a token of each user, use
//!   [`FleetKeyed`](crate::FleetKeyed).
//! - When a process ends, nothing has to be closed. A lease that it holds ends with it.
#![doc(
    alias = "processes",
    alias = "multi-process",
    alias = "cross-process",
    alias = "SIGKILL",
    alias = "crash",
    alias = "recipe"
)]
