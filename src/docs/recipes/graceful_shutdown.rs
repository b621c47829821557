//! End a program without breaking a creation.
//!
//! A creation that is dropped in the middle is given up, and what it did outside may be half done. So a
//! program that ends lets creations finish, and begins none. Here the `TaskTracker` of tokio-util counts them. The
//! program's other tasks can belong to it too.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::executor::{Blocking, Executor, Job, Timer};
//! use dogpile::{Dogpile, Error, Refused};
//! use tokio::runtime::Handle;
//! use tokio_util::task::TaskTracker;
//!
//! /// Runs creations as tasks that a shutdown waits for.
//! struct Tracked {
//!     tasks: TaskTracker,
//!     runtime: Handle,
//! }
//!
//! impl Executor for Tracked {
//!     fn spawn(&self, job: Job) -> Result<(), Refused> {
//!         // In this order: a shutdown that begins after the look waits for this job.
//!         let job = self.tasks.track_future(job);
//!         if self.tasks.is_closed() {
//!             return Err(Refused::new("the program is ending"));
//!         }
//!         self.runtime.spawn(job);
//!         Ok(())
//!     }
//!
//!     fn timer(&self) -> Option<&dyn Timer> {
//!         self.runtime.timer()
//!     }
//!
//!     fn blocking_here(&self) -> Blocking {
//!         self.runtime.blocking_here()
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let executor = Tracked { tasks: TaskTracker::new(), runtime: Handle::current() };
//! let rates = Arc::new(Dogpile::new(Duration::from_secs(60)));
//! # let (go, gone) = tokio::sync::oneshot::channel();
//! # let fetch = async || { gone.await.unwrap(); 7 };
//! let call = rates.background(&executor).wait(Duration::ZERO);
//! assert!(call.get_or_create_async(fetch).await.unwrap_err().is_timed_out()); // It has begun.
//!
//! executor.tasks.close(); // The end begins.
//! # assert!(rates.is_creating());
//! # go.send(()).unwrap();
//! executor.tasks.wait().await; // Within a time-out, if a creator may hang.
//!
//! assert_eq!(*rates.peek().unwrap(), 7); // It has ended, and those who waited were told.
//! rates.expire();
//! let stale = rates.background(&executor).get_or_create_async(async || 8).await;
//! assert_eq!(*stale.unwrap(), 7); // The old value is served until the end.
//! rates.invalidate();
//! let none = rates.background(&executor).get_or_create_async(async || 8).await;
//! assert!(matches!(none, Err(Error::Refused(_))));
//! # });
//! ```
//!
//! - Drop the handles of [`keep_fresh`](Dogpile::keep_fresh) first: they start nothing after that. What a handle
//!   has started before runs to its end.
//! - With [`executor::Thread`] a creation is a thread. Rust ends the process when `main` returns, and waits for no
//!   thread. Wait until [`is_creating`](Dogpile::is_creating) is false, within a time-out.
//! - Creations in the foreground belong to their calls. A server that finishes its requests finishes them.
//! - A runtime that is dropped drops its creations. Those who wait for one in another runtime create anew.
//!
//! The example `jwks` of the repository ends such a service while a fetch runs.
#![doc(
    alias = "shutdown",
    alias = "drain",
    alias = "SIGTERM",
    alias = "TaskTracker"
)]

#[allow(unused_imports)]
use crate::*;
