//! What a creator may know of its creation, and say: [`Making`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Creating, Owned};

/// What a creator may know of the creation that it runs; see
/// [`CacheDogpile::get_or_try_create_with`](crate::CacheDogpile::get_or_try_create_with).
pub struct Making<'a, T> {
    creating: Arc<Creating<'a, T>>,
    previous: Option<Owned<T>>,
}

impl<'a, T> Making<'a, T> {
    pub(crate) fn new(creating: &Arc<Creating<'a, T>>, previous: Option<Owned<T>>) -> Self {
        Self {
            creating: Arc::clone(creating),
            previous,
        }
    }

    /// The value that the cache has, however old it is: for
    /// [`Created::unchanged`](dogpile::Created::unchanged).
    pub fn previous(&self) -> Option<&Owned<T>> {
        self.previous.as_ref()
    }

    /// The number of this creation's lease.
    pub fn fence(&self) -> u64 {
        self.creating.fence()
    }

    /// Whether a `set` or an `invalidate` of the key came since this creation began.
    pub fn is_superseded(&self) -> bool {
        self.creating.is_superseded()
    }

    /// Says that no creator of this key is to run for `span`, should this one fail: as
    /// [`Creating::retry_after`].
    pub fn retry_after(&self, span: Duration) {
        self.creating.retry_after(span);
    }
}

impl<T> fmt::Debug for Making<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Making")
            .field("fence", &self.fence())
            .field("previous", &self.previous.is_some())
            .finish_non_exhaustive()
    }
}
