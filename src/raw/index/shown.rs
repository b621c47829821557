//! An entry that is kept alive for its reader: [`Shown`].

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::{Index, Indexed, address_of};
use crate::raw::value::Slot;
use crate::shim::Arc;

/// An entry, kept alive by a slot or by a share of its own. It may be sent to another thread and dropped
/// there.
pub(crate) struct Shown<'a, E: Indexed> {
    /// Dropped with it only if it is a share of its own.
    entry: ManuallyDrop<Arc<E>>,
    place: Option<(&'static Slot, &'a Index<E>)>,
}

impl<'a, E: Indexed> Shown<'a, E> {
    /// What is at this address, for as long as the slot shows it.
    ///
    /// # Safety
    ///
    /// The address comes from [`Arc::into_raw`], the slot shows it, and a share in what is there is kept
    /// until it is shown no more.
    #[inline]
    pub(super) unsafe fn in_slot(entry: *mut E, slot: &'static Slot, index: &'a Index<E>) -> Self {
        // SAFETY: as promised by the caller: the slot is cleared by `drop`, after the last use. This one
        // is never dropped.
        let entry = ManuallyDrop::new(unsafe { Arc::from_raw(entry.cast_const()) });
        Self {
            entry,
            place: Some((slot, index)),
        }
    }

    /// A share of its own.
    pub(crate) fn share(this: &Self) -> Arc<E> {
        Arc::clone(&this.entry)
    }
}

impl<E: Indexed> From<Arc<E>> for Shown<'_, E> {
    fn from(entry: Arc<E>) -> Self {
        Self {
            entry: ManuallyDrop::new(entry),
            place: None,
        }
    }
}

impl<E: Indexed> Deref for Shown<'_, E> {
    type Target = E;

    #[inline]
    fn deref(&self) -> &E {
        &self.entry
    }
}

impl<E: Indexed> Drop for Shown<'_, E> {
    #[inline]
    fn drop(&mut self) {
        match self.place {
            Some((slot, index)) => index.left(slot, address_of(&self.entry)),
            // SAFETY: it is a share of its own, and this is the end of it.
            None => drop(unsafe { ManuallyDrop::take(&mut self.entry) }),
        }
    }
}

// As the entry is by itself.
impl<E: Indexed + RefUnwindSafe> UnwindSafe for Shown<'_, E> {}
impl<E: Indexed + RefUnwindSafe> RefUnwindSafe for Shown<'_, E> {}
