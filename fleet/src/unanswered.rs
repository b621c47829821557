//! A request for a lease that got no answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{Owner, StoreError, StoreErrorKind};

/// The owner of a request for a lease that the store has not answered. It may have been carried out all the
/// same, or will be, and then nobody knows of the lease. So the next request is that one once more.
#[derive(Clone, Default)]
pub(crate) struct Unanswered(Arc<Mutex<Option<Owner>>>);

impl Unanswered {
    /// For one request: no two ever have one owner at a time.
    pub(crate) fn take(&self) -> Option<Owner> {
        self.owner().take()
    }

    /// A request of this owner failed.
    pub(crate) fn note(&self, owner: Owner, error: &StoreError) {
        if error.kind == StoreErrorKind::Unavailable {
            *self.owner() = Some(owner);
        }
    }

    fn owner(&self) -> MutexGuard<'_, Option<Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
