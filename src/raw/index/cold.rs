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
