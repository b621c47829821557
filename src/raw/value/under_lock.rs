//! A look at what is stored under a lock, by whoever holds it.

use crate::shim::atomic::{AtomicPtr, Ordering};

#[cfg(not(dogpile_loom))]
pub(in crate::raw) fn under_lock<X>(place: &AtomicPtr<X>) -> *mut X {
    // ORDERING: relaxed: stored under the lock.
    place.load(Ordering::Relaxed)
}

// LOOM: as in `Slot::is_free`: whoever looks here may go on to replace it.
#[cfg(dogpile_loom)]
pub(in crate::raw) fn under_lock<X>(place: &AtomicPtr<X>) -> *mut X {
    let null = std::ptr::null_mut();
    // ORDERING: relaxed: stored under the lock.
    let found = place.compare_exchange(null, null, Ordering::Relaxed, Ordering::Relaxed);
    found.unwrap_or_else(|current| current)
}
