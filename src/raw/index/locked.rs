//! An index while it is locked: [`Locked`], and its [`Entries`].

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::ptr;

use super::table::{Table, bare, hidden, is_hidden};
use super::{Content, Front, Index, Indexed, Inner, is_looked_into, without_mark};
use crate::raw::index::cold::Cold;
use crate::raw::value::under_lock;
use crate::shim::atomic::Ordering;
use crate::shim::{Arc, MutexGuard};

/// The entries of an index and its state, for whoever holds the lock.
pub(crate) struct Locked<'a, E: Indexed> {
    front: &'a Front<E>,
    inner: MutexGuard<'a, Inner<E>>,
}

impl<'a, E: Indexed> Locked<'a, E> {
    pub(super) fn new(index: &'a Index<E>) -> Self {
        Self {
            front: &index.front,
            inner: index.inner.lock(),
        }
    }

    /// The entries, and what is kept besides them.
    pub(crate) fn parts(&mut self) -> (Entries<'_, E>, &mut E::State) {
        let Inner { content, state } = &mut *self.inner;
        let front = self.front;
        (Entries { front, content }, state)
    }

    pub(crate) fn entries(&mut self) -> Entries<'_, E> {
        self.parts().0
    }

    /// Whether something is to be [settled](Index::settle).
    pub(crate) fn is_to_be_settled(&self) -> bool {
        let cold = self.inner.content.cold.as_deref();
        cold.is_some_and(|cold| !cold.is_empty())
    }
}

impl<E: Indexed> Deref for Locked<'_, E> {
    type Target = E::State;

    fn deref(&self) -> &E::State {
        &self.inner.state
    }
}

impl<E: Indexed> DerefMut for Locked<'_, E> {
    fn deref_mut(&mut self) -> &mut E::State {
        &mut self.inner.state
    }
}

/// The entries of an index that is locked. Each stands at a place, with its note. Who puts in an entry, or
/// takes one out, may move others.
pub(crate) struct Entries<'i, E: Indexed> {
    pub(super) front: &'i Front<E>,
    pub(super) content: &'i mut Content<E>,
}

/// An entry while it is in its index.
pub(crate) struct Held<'a, E>(ManuallyDrop<Arc<E>>, PhantomData<&'a Arc<E>>);

impl<E> Held<'_, E> {
    /// What is at an address of a table.
    ///
    /// # Safety
    ///
    /// The table owns a share in it, and gives it away only under the lock, which is held for as long as
    /// this is borrowed.
    unsafe fn at(address: *mut E) -> Self {
        // SAFETY: as promised by the caller. This one is never dropped.
        let entry = unsafe { Arc::from_raw(bare(address).cast_const()) };
        Self(ManuallyDrop::new(entry), PhantomData)
    }
}

impl<E> Deref for Held<'_, E> {
    type Target = Arc<E>;

    fn deref(&self) -> &Arc<E> {
        &self.0
    }
}

impl<E: Indexed> Entries<'_, E> {
    /// The table, which nobody exchanges while this is borrowed.
    fn table(&self) -> Option<&Table<E>> {
        if let Some(table) = &self.content.hidden {
            return Some(table);
        }
        let table = without_mark(under_lock(&self.front.table));
        // SAFETY: null, or a table that the index owns. It gives it away under the lock alone, whose
        // content is borrowed for as long.
        unsafe { table.as_ref() }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.content.len
    }

    /// How many places there are.
    pub(crate) fn places(&self) -> usize {
        self.content.notes.len()
    }

    /// What stands at a place, if anything does.
    pub(crate) fn get(&mut self, at: usize) -> Option<(Held<'_, E>, &mut E::Note)> {
        let (_, address) = self.table()?.get(at)?;
        // SAFETY: the table owns a share, and `self` is borrowed.
        let entry = unsafe { Held::at(address) };
        Some((entry, self.content.notes.get_mut(at)?))
    }

    /// All entries with this hash, with their places.
    pub(crate) fn all(&self, hash: u64) -> impl Iterator<Item = (usize, Held<'_, E>, &E::Note)> {
        let table = self.table();
        let all = table.into_iter().flat_map(move |table| table.all(hash));
        all.filter_map(move |at| {
            let (_, address) = table?.get(at)?;
            // SAFETY: the table owns a share, and `self` is borrowed.
            let entry = unsafe { Held::at(address) };
            Some((at, entry, self.content.notes.get(at)?))
        })
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Held<'_, E>> {
        let all = self.table().into_iter().flat_map(Table::iter);
        // SAFETY: the table owns a share, and `self` is borrowed.
        all.map(|(_, _, address)| unsafe { Held::at(address) })
    }

    /// The place of an entry with this hash.
    pub(crate) fn place_of(&self, hash: u64, entry: &Arc<E>) -> Option<usize> {
        let mut all = self.all(hash);
        all.find(|(_, other, _)| Arc::ptr_eq(entry, other))
            .map(|(at, ..)| at)
    }

    /// How many places the one with this hash stands behind its own.
    #[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
    pub(super) fn farthest_of(&self, hash: u64) -> usize {
        let table = self.table().unwrap();
        (table.all(hash))
            .map(|at| table.distance(hash, at))
            .max()
            .unwrap()
    }

    /// Puts an entry in, which is hidden. A table may be exchanged for it, and is to be
    /// [settled](Index::settle).
    pub(crate) fn insert(&mut self, hash: u64, entry: Arc<E>, note: E::Note) {
        self.content.len += 1;
        self.fit_from(hash);
        let address = hidden(Arc::into_raw(entry).cast_mut());
        if let Some(at) = self.table().map(|table| table.put(hash, address)) {
            self.content.notes[at] = note;
        }
    }

    /// Has what stands at a place found without the lock, too.
    pub(crate) fn show(&mut self, at: usize) {
        if self.content.is_given_up || !is_looked_into() {
            return;
        }
        if self.table().is_some_and(|table| table.show(at)) {
            if let Some(table) = self.content.hidden.take() {
                self.put_in_front(Some(table));
            }
        }
    }

    /// Takes out what stands at a place. If it was not hidden, it is to be [settled](Index::settle).
    ///
    /// What stands behind it moves up. When all is taken out that is to be, the table is made to
    /// [fit](Entries::fit).
    pub(crate) fn remove(&mut self, at: usize) -> Option<(Arc<E>, E::Note)> {
        let (_, address) = self.table()?.get(at)?;
        let mut notes = mem::take(&mut self.content.notes);
        let note = mem::take(&mut notes[at]);
        if let Some(table) = self.table() {
            table.take(at, |from, to| notes.swap(from, to));
        }
        self.content.notes = notes;
        self.content.len -= 1;
        // SAFETY: it was made an address in `insert`, which stood in one place, and stands there no more.
        let share = unsafe { Arc::from_raw(bare(address).cast_const()) };
        if !is_hidden(address) {
            self.cold().waiting.entries.push(Arc::clone(&share));
        }
        Some((share, note))
    }

    /// Sees to it that the table is of the right size.
    pub(crate) fn fit(&mut self) {
        // Any hash: where there is no table, nothing is there that needs one.
        self.fit_from(0);
    }

    /// The same. A table that is the first one takes its order from the hash that comes first.
    fn fit_from(&mut self, hash: u64) {
        let len = self.content.len;
        let fits = |table: &Table<E>| len > 0 && !table.is_full(len) && !table.is_wide(len);
        if !self.table().map_or(len == 0, fits) {
            self.exchange(hash);
        }
    }

    /// Puts a table of the right size in place of the one that there is.
    fn exchange(&mut self, first: u64) {
        let len = self.content.len;
        let factor = (self.table()).map_or(first, |old| old.next_factor(len));
        let new = (len > 0).then(|| Box::new(Table::for_many(len).by(factor)));
        let places = new.as_ref().map_or(0, |new| new.places());
        let mut notes: Box<[E::Note]> = std::iter::repeat_with(E::Note::default)
            .take(places)
            .collect();
        let mut old_notes = mem::take(&mut self.content.notes);
        if let (Some(old), Some(new)) = (self.table(), &new) {
            for (from, hash, address) in old.iter() {
                notes[new.put(hash, address)] = mem::take(&mut old_notes[from]);
            }
        }
        self.content.notes = notes;
        match new {
            Some(new) if !new.shows_any() => {
                self.put_in_front(None);
                self.content.hidden = Some(new);
            }
            new => {
                self.content.hidden = None;
                self.put_in_front(new);
            }
        }
    }

    /// The table that readers look into from now on. The one before is to be settled.
    fn put_in_front(&mut self, new: Option<Box<Table<E>>>) {
        let old = without_mark(under_lock(&self.front.table));
        if old.is_null() && new.is_none() {
            return;
        }
        let new = new.map_or(ptr::null_mut(), Box::into_raw);
        // ORDERING: release pairs with the acquire in `find_in`: readers see the table as it was made.
        (self.front.table).store(self.content.form.mark(new), Ordering::Release);
        if !old.is_null() {
            // SAFETY: the index owned what stood there, and now it does not any more.
            let old = unsafe { Box::from_raw(old) };
            self.cold().waiting.tables.push(old);
        }
    }

    /// There is no barrier to rely on: all is hidden from now on.
    #[cold]
    pub(super) fn give_up(&mut self) {
        self.content.is_given_up = true;
        let mut seen = Vec::new();
        if let Some(table) = self.table() {
            table.hide_all(|address| {
                // SAFETY: the table owns a share, and `self` is borrowed.
                let entry = unsafe { Held::at(address) };
                seen.push(Arc::clone(&entry));
            });
        }
        // Their readers have shown them, and are not known.
        self.cold().waiting.entries.append(&mut seen);
        self.exchange(0);
    }

    /// Gives all entries away, at the end of the index, and with them its tables.
    pub(super) fn take_all(&mut self) -> Vec<Arc<E>> {
        // SAFETY: as in `remove`: the places are given up.
        let share =
            |(_, _, address): (_, _, *mut E)| unsafe { Arc::from_raw(bare(address).cast_const()) };
        let all = self.table().into_iter().flat_map(Table::iter);
        let all = all.map(share).collect();
        self.content.len = 0;
        self.content.notes = Box::default();
        self.content.hidden = None;
        self.put_in_front(None);
        all
    }

    pub(super) fn cold(&mut self) -> &mut Cold<E> {
        (self.content.cold).get_or_insert_with(|| Box::new(Cold::new()))
    }

    /// Ends what was done to the cold part.
    pub(super) fn end(&mut self) {
        self.show_kept();
        // One that is in use will need it again.
        let is_empty = self.content.cold.as_deref().is_some_and(Cold::is_empty);
        if is_empty && self.content.len == 0 {
            self.content.cold = None;
        }
    }

    /// Tells readers what is freed as soon as they let go of it.
    pub(super) fn show_kept(&self) {
        if let Some(cold) = &self.content.cold {
            // ORDERING: relaxed: a word on its own, stored under the lock. What readers must not miss,
            // the barrier sees to.
            self.front.kept.store(cold.classes(), Ordering::Relaxed);
        }
    }
}
