//! The options of a call, of whatever door and mode.

use std::time::Duration;

use crate::call::Call;
use crate::policy::Accept;

/// # Options
impl<'a, T, D, W> Call<'a, T, D, W> {
    /// Waits for other callers' creations for `limit` at most, in all. `Duration::ZERO` never waits.
    ///
    /// It does not limit this call's own creator, nor its look-up.
    #[cfg_attr(
        feature = "async",
        doc = "",
        doc = "An async form needs a [`timer`](Call::timer) for it, or a clock that is moved by",
        doc = "hand, else it is [`Error::NoTimer`](crate::Error::NoTimer)."
    )]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Takes a value for stale that is older than `limit`, even if its own time to live is longer.
    ///
    /// The limits of the value then count from `limit` too, where that is shorter.
    pub const fn max_age(mut self, limit: Duration) -> Self {
        self.max_age = Some(limit);
        self
    }

    /// Which values the call takes.
    pub const fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }
}
