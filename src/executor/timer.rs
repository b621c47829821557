//! What wakes a task at the end of its wait limit: [`Timer`].

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Wakes tasks at the end of a wait limit; see [`Call::timer`](crate::Call::timer).
pub trait Timer: Send + Sync {
    /// A future that is ready after `limit`; or none where this timer does not run, and the call is
    /// answered with [`Error::NoTimer`](crate::Error::NoTimer).
    fn sleep(&self, limit: Duration) -> Option<Sleep>;

    /// Whether it runs here, as far as can be told quickly.
    ///
    /// Each call with a wait limit asks, hit or not: so that a limit which cannot be kept is told by
    /// the first call, and not by the first that has to wait.
    fn is_here(&self) -> bool {
        true
    }
}

/// A future that is ready after a while.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;
