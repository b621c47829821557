//! What was taken out of sight and is read still.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::ptr;

use crate::raw::value::registry::Search;

/// Kept until no slot shows its address. A barrier has been passed since each was taken out of sight.
pub(in crate::raw) struct Retired<X> {
    /// By their addresses. Each with a search that stands at a slot which showed the address when
    /// somebody looked last.
    kept: BTreeMap<usize, (X, Search)>,
    /// The address that [`unread_in_turn`](Retired::unread_in_turn) has looked at last.
    looked_at: usize,
}

impl<X> Retired<X> {
    pub(in crate::raw) fn new() -> Self {
        Self {
            kept: BTreeMap::new(),
            looked_at: 0,
        }
    }

    pub(in crate::raw) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(in crate::raw) fn insert(&mut self, address: *const (), what: X, search: Search) {
        self.kept.insert(address.addr(), (what, search));
    }

    pub(in crate::raw) fn iter(&self) -> impl Iterator<Item = &X> {
        self.kept.values().map(|(what, _)| what)
    }

    pub(in crate::raw) fn into_all(self) -> impl Iterator<Item = X> {
        self.kept.into_values().map(|(what, _)| what)
    }

    /// Takes out what is at this address, if no slot shows it any more. To be dropped when the lock was
    /// let go.
    pub(in crate::raw) fn unread(&mut self, address: *const ()) -> Option<X> {
        let (_, search) = self.kept.get_mut(&address.addr())?;
        if search.finds(address) {
            return None;
        }
        self.kept.remove(&address.addr()).map(|(what, _)| what)
    }

    /// As [`unread`](Retired::unread), for the next one in turn.
    pub(in crate::raw) fn unread_in_turn(&mut self) -> Option<X> {
        let behind = (Bound::Excluded(self.looked_at), Bound::Unbounded);
        let next = self.kept.range(behind).next();
        let (&address, _) = next.or_else(|| self.kept.first_key_value())?;
        self.looked_at = address;
        self.unread(ptr::null::<()>().with_addr(address))
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use crate::raw::value::own;

    /// One that a slot shows for long keeps none of the others.
    #[test]
    fn each_comes_in_turn() {
        let places = [0_u64; 3];
        let addresses = places.each_ref().map(|place| ptr::from_ref(place).cast());
        let shown = own::free_slot().unwrap();
        shown.show(addresses[0]);
        let mut retired = Retired::new();
        for (number, &address) in addresses.iter().enumerate() {
            retired.insert(address, number, Search::begin());
        }
        assert_eq!(retired.unread_in_turn(), None);
        assert_eq!(retired.unread_in_turn(), Some(1));
        assert_eq!(retired.unread_in_turn(), Some(2));
        assert_eq!(retired.unread_in_turn(), None);
        shown.clear();
        assert_eq!(retired.unread_in_turn(), Some(0));
        assert_eq!(retired.unread_in_turn(), None);
        assert!(retired.is_empty());
    }
}
