//! Where a thread shows what it is reading: a hazard pointer, as in Maged Michael, "Hazard Pointers"
//! (IEEE TPDS 15(6), 2004).

use std::ptr;

use crate::shim::atomic::{AtomicPtr, Ordering};

/// Shows an address for as long as somebody reads there. Taken by the thread that it belongs to, and
/// cleared by whoever drops the guard.
pub(in crate::raw) struct Slot(AtomicPtr<()>);

impl Slot {
    pub(in crate::raw) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Whether nothing is shown, so that the thread to which the slot belongs may use it.
    #[inline]
    pub(in crate::raw) fn is_free(&self) -> bool {
        // LOOM: does not explore in both orders what a thread loads and then stores with what others
        // load there; it does if the load is a read-modify-write, which changes nothing here, but
        // sees the newest state only. So one form of the barrier has this, the other that.
        #[cfg(dogpile_loom)]
        if crate::shim::model::setting().barrier == crate::shim::model::Barrier::Fences {
            let null = ptr::null_mut();
            // ORDERING: as below.
            let free = (self.0).compare_exchange(null, null, Ordering::Acquire, Ordering::Acquire);
            return free.is_ok();
        }
        // ORDERING: pairs with the release in `clear`, perhaps on another thread: what is shown next
        // tells a scan that the reading before is over.
        self.0.load(Ordering::Acquire).is_null()
    }

    /// Shows an address. It is safe to read there only if it is still in its place after the light
    /// half of the barrier.
    #[inline]
    pub(in crate::raw) fn show(&self, address: *const ()) {
        // ORDERING: pairs with the acquire in `shown`: who finds this address finds that those
        // before it are no longer read.
        self.0.store(address.cast_mut(), Ordering::Release);
    }

    #[inline]
    pub(in crate::raw) fn clear(&self) {
        // ORDERING: pairs with the acquire in `shown`, so that all reading comes before the value is
        // freed, and with the one in `is_free`.
        self.0.store(ptr::null_mut(), Ordering::Release);
    }

    /// The address that is shown; null if none is.
    pub(in crate::raw) fn shown(&self) -> *const () {
        // ORDERING: pairs with the release in `clear` and `show`: where the address is not shown any
        // more, the reading there is over, and it may be freed.
        self.0.load(Ordering::Acquire)
    }
}
