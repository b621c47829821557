//! The options of a call, of whatever door and mode.

use std::time::Duration;

use crate::call::Call;
use crate::policy::Accept;

/// # Options
impl<'a, T, D, W> Call<'a, T, D, W> {
    /// Waits for other callers' creations for `limit` at most, in all. `Duration::ZERO` never waits.
    ///
    /// It does not limit this call's own creator or look-up, where they run in the call. In the background
    /// it limits the wait for this call's own creation too; the creation goes on.
    #[cfg_attr(
        feature = "async",
        doc = "",
        doc = "An async form needs a [`timer`](Call::timer) for it, or a clock that is moved by",
        doc = "hand, else it is [`Error::NoTimer`](crate::Error::NoTimer)."
    )]
    #[doc(alias = "timeout", alias = "deadline")]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Takes a value for stale that is older than `limit`, even if its own time to live is longer.
    ///
    /// The limits of the value then count from `limit` too, where that is shorter.
    pub const fn max_age(mut self, limit: Duration) -> Self {
        self.asks = self.asks.with_max_age(limit);
        self
    }

    /// Takes no value that is fresh for less than `left` from now on: RFC 9111 calls this `min-fresh`.
    ///
    /// A value with less left is no answer, not even while another caller creates: the call creates or
    /// waits. One that was just created for the call will do, whatever is left. So ask for less than
    /// the time to live, or each call creates.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Created, Dogpile};
    ///
    /// let token = Dogpile::builder(Duration::from_secs(3600)).build();
    /// token.set_with(Created::new("short").ttl(Duration::from_secs(60)));
    /// // This upload takes up to two minutes.
    /// let upload = token.call().min_fresh(Duration::from_secs(120));
    /// assert_eq!(*upload.get_or_create(|| "new").unwrap(), "new");
    /// ```
    pub const fn min_fresh(mut self, left: Duration) -> Self {
        self.asks = self.asks.with_min_fresh(left);
        self
    }

    /// Which values the call takes.
    pub const fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }
}
