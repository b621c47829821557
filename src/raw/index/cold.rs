//! What was taken out of an index.

use super::classes::Classes;
use super::table::Table;
use super::{address_of, address_of_table, is_shown};
use crate::raw::value::registry::{self, Search};
use crate::raw::value::retired::Retired;
use crate::shim::Arc;

/// Entries and tables that the index has no more.
pub(super) struct Out<E> {
    pub(super) entries: Vec<Arc<E>>,
    // Where they are is what readers show: they must not be moved.
    #[allow(clippy::vec_box)]
    pub(super) tables: Vec<Box<Table<E>>>,
}

/// There is one while something waits, is settled or is read.
pub(super) struct Cold<E> {
    /// What no barrier was passed for yet.
    pub(super) waiting: Out<E>,
    /// What slots showed when somebody looked last.
    entries: Retired<Arc<E>>,
    tables: Vec<(Box<Table<E>>, Search)>,
    /// Those of the entries that are settled or read.
    announced: Classes,
}

impl<E> Out<E> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            tables: Vec::new(),
        }
    }

    pub(super) fn of(entry: Option<Arc<E>>) -> Self {
        Self {
            entries: entry.into_iter().collect(),
            tables: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tables.is_empty()
    }
}

impl<E> Cold<E> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Out::new(),
            entries: Retired::new(),
            tables: Vec::new(),
            announced: Classes::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.entries.is_empty()
            && self.tables.is_empty()
            && self.classes() == 0
    }

    #[cfg(all(test, dogpile_loom))]
    pub(super) fn keeps_no_entry(&self) -> bool {
        self.waiting.entries.is_empty() && self.entries.is_empty()
    }

    /// The classes that are announced, a bit each.
    pub(super) fn classes(&self) -> u64 {
        self.announced.bits()
    }

    /// Takes what waits, and announces it: its readers will tell when they let go of it.
    pub(super) fn announce(&mut self) -> Out<E> {
        let out = std::mem::replace(&mut self.waiting, Out::new());
        for entry in &out.entries {
            self.announced.add(address_of(entry));
        }
        out
    }

    /// What of it is to be freed, now that the barrier was passed. The rest is kept until it is.
    pub(super) fn retire(&mut self, out: Out<E>) -> Out<E> {
        let mut freed = Out::new();
        if out.is_empty() {
            return freed;
        }
        let shown = registry::all_shown();
        for entry in out.entries {
            let address = address_of(&entry);
            if is_shown(&shown, address) {
                self.entries.insert(address, entry, Search::begin());
            } else {
                self.announced.take(address);
                freed.entries.push(entry);
            }
        }
        for table in out.tables {
            if is_shown(&shown, address_of_table(&table)) {
                self.tables.push((table, Search::begin()));
            } else {
                freed.tables.push(table);
            }
        }
        freed
    }

    /// No barrier was passed.
    pub(super) fn wait_again(&mut self, mut out: Out<E>) {
        for entry in &out.entries {
            self.announced.take(address_of(entry));
        }
        self.waiting.entries.append(&mut out.entries);
        self.waiting.tables.append(&mut out.tables);
    }

    /// A retired entry that no slot shows any more. To be dropped when the lock was let go.
    pub(super) fn unread(&mut self, address: *const ()) -> Option<Arc<E>> {
        let unread = self.entries.unread(address);
        self.forget(unread)
    }

    /// The same, of the next one in turn.
    pub(super) fn unread_in_turn(&mut self) -> Option<Arc<E>> {
        let unread = self.entries.unread_in_turn();
        self.forget(unread)
    }

    fn forget(&mut self, unread: Option<Arc<E>>) -> Option<Arc<E>> {
        let entry = unread?;
        self.announced.take(address_of(&entry));
        Some(entry)
    }

    /// The retired tables that no slot shows any more.
    #[allow(clippy::vec_box)]
    pub(super) fn unread_tables(&mut self) -> Vec<Box<Table<E>>> {
        let mut unread = Vec::new();
        let mut at = 0;
        while let Some((table, search)) = self.tables.get_mut(at) {
            if search.finds(address_of_table(table)) {
                at += 1;
            } else {
                unread.push(self.tables.swap_remove(at).0);
            }
        }
        unread
    }

    /// All that there is, at the end of the index.
    pub(super) fn into_all(self) -> Out<E> {
        let mut out = self.waiting;
        out.entries.extend(self.entries.into_all());
        out.tables
            .extend(self.tables.into_iter().map(|(table, _)| table));
        out
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use std::cell::Cell;

    use super::super::classes::class;
    use super::*;
    use crate::raw::value::{Slot, own};

    thread_local! {
        static DROPPED: Cell<u32> = const { Cell::new(0) };
    }

    struct Entry(#[allow(dead_code)] u64);

    impl Drop for Entry {
        fn drop(&mut self) {
            DROPPED.set(DROPPED.get() + 1);
        }
    }

    fn show(address: *const ()) -> &'static Slot {
        let slot = own::free_slot().unwrap();
        slot.show(address);
        slot
    }

    /// Some that wait, and their addresses.
    fn cold<const N: usize>() -> (Cold<Entry>, [*const (); N]) {
        let mut cold = Cold::new();
        assert!(cold.is_empty() && cold.classes() == 0);
        let entries = std::array::from_fn(|number| Arc::new(Entry(number as u64)));
        let addresses = entries.each_ref().map(address_of);
        cold.waiting.entries.extend(entries);
        (cold, addresses)
    }

    #[test]
    fn what_is_read_is_kept_and_announced_until_it_is_not() {
        let (mut cold, [read, other]) = cold();
        assert!(!cold.is_empty());
        assert_eq!(cold.classes(), 0, "not announced yet");
        let out = cold.announce();
        assert_eq!((out.entries.len(), cold.is_empty()), (2, false));
        assert_eq!(cold.classes() & class(read), class(read));
        assert_eq!(cold.classes() & class(other), class(other));
        let slot = show(read);
        drop(cold.retire(out));
        assert_eq!((DROPPED.take(), cold.is_empty()), (1, false));
        assert_eq!(cold.classes(), class(read));
        assert!(cold.unread(read).is_none() && cold.unread(other).is_none());
        assert!(cold.unread_in_turn().is_none());
        slot.clear();
        drop(cold.unread(read).unwrap());
        assert_eq!(
            (DROPPED.take(), cold.classes(), cold.is_empty()),
            (1, 0, true)
        );
    }

    #[test]
    fn one_is_looked_at_in_turn() {
        let (mut cold, [read]) = cold();
        let out = cold.announce();
        let slot = show(read);
        assert!(cold.retire(out).is_empty());
        slot.clear();
        drop(cold.unread_in_turn().unwrap());
        assert_eq!(
            (DROPPED.take(), cold.classes(), cold.is_empty()),
            (1, 0, true)
        );
    }

    #[test]
    fn what_no_barrier_was_passed_for_waits_again() {
        let (mut cold, [address]) = cold();
        cold.waiting.tables.push(Box::new(Table::for_many(1)));
        let out = cold.announce();
        assert!(cold.waiting.is_empty() && cold.classes() == class(address));
        cold.wait_again(out);
        assert_eq!(cold.classes(), 0);
        let waiting = &cold.waiting;
        assert_eq!((waiting.entries.len(), waiting.tables.len()), (1, 1));
        DROPPED.take();
    }

    #[test]
    fn nothing_is_empty_that_has_either() {
        let (mut cold, [_]) = cold();
        let mut out = cold.announce();
        assert!(!out.is_empty());
        out.tables.push(Box::new(Table::for_many(1)));
        out.entries.clear();
        assert!(!out.is_empty());
        assert_eq!(cold.retire(out).tables.len(), 1);
        assert!(Out::<Entry>::new().is_empty());
        assert!(Out::<Entry>::of(None).is_empty());
        assert!(cold.retire(Out::new()).is_empty());
        DROPPED.take();
    }

    #[test]
    fn tables_are_kept_while_they_are_read() {
        let mut cold = Cold::<Entry>::new();
        let tables = [(); 4].map(|()| Box::new(Table::for_many(1)));
        let addresses = tables.each_ref().map(|table| address_of_table(table));
        cold.waiting.tables.extend(tables);
        assert!(!cold.is_empty());
        let out = cold.announce();
        let slots = [0, 1, 2].map(|at| show(addresses[at]));
        assert_eq!(cold.retire(out).tables.len(), 1);
        assert_eq!((cold.unread_tables().len(), cold.is_empty()), (0, false));
        slots[1].clear();
        let freed = cold.unread_tables();
        assert_eq!(freed.len(), 1);
        assert_eq!(address_of_table(&freed[0]), addresses[1]);
        assert_eq!(cold.tables.len(), 2);
        slots[0].clear();
        slots[2].clear();
        assert_eq!((cold.unread_tables().len(), cold.is_empty()), (2, true));
    }

    #[test]
    fn all_is_given_up_at_the_end() {
        let (mut cold, [read]) = cold();
        let table = Box::new(Table::for_many(1));
        let slots = [show(read), show(address_of_table(&table))];
        cold.waiting.tables.push(table);
        let out = cold.announce();
        assert!(cold.retire(out).is_empty());
        cold.waiting.entries.push(Arc::new(Entry(1)));
        cold.waiting.tables.push(Box::new(Table::for_many(1)));
        let all = cold.into_all();
        assert_eq!((all.entries.len(), all.tables.len()), (2, 2));
        slots.into_iter().for_each(Slot::clear);
        drop(all);
        DROPPED.take();
    }
}
