//! The index of a shard: its entries by their hashes, of which those that are asked for are found without its
//! lock.
//!
//! The entries stand in a table, and the index owns a share in each. It is changed under a lock. An entry that
//! comes is *hidden*: found under the lock alone. It is shown when somebody has asked for it, and then it is
//! found without the lock. A table of which all entries are hidden is hidden, too. So what nobody asks for, and
//! what comes and goes, needs nothing of what follows. What is not found without the lock may be there all the
//! same, and is looked up under it.
//!
//! # How an entry is found, taken out and freed
//!
//! A **reader** looks at the address of the table. It shows that in the *transit* slot of its thread,
//! passes the light half of the [barrier](super::value::barrier), and looks whether the table is still the
//! one of the index. If it is, the reader looks for the first place with its hash that is not hidden. It shows
//! the address that stands there in another [slot](super::value::Slot), passes the light half, and looks once
//! more at both: whether the address still stands at that place, and whether the table is still the one of the
//! index. If so, the transit slot is cleared, and the reader has the entry for as long as the other slot shows
//! it. No user code runs before that. Then the keys are compared.
//!
//! A **writer** takes an entry out of its place, under the lock. A table that is too small, or too large, is
//! exchanged: the new one is filled first, and the old one is left as it is. What was taken out, entries and
//! tables, *waits*, unless it was hidden. When the lock was let go, somebody [settles](Index::settle): takes all
//! that waits, marks its classes as *kept*, passes the heavy half of the barrier, and looks at all slots. What
//! no slot shows is freed. What a slot shows is *retired*, with a search that stands at that slot.
//!
//! A reader that **lets go of an entry** clears the slot, passes the light half, and looks whether the class
//! of the address is kept. (A class is a part of the address: one in 64.) If it is, the reader takes the
//! lock and goes on with the search for that address, and frees the entry if the search comes to its end.
//!
//! *No entry is freed too early.* Before an entry waits, it was taken out of its place, in the table that was
//! the index's then. A reader that has found, behind its second barrier, the entry at a place of a table, and
//! that table in the index, has looked before the entry was taken out, or before the table was exchanged that
//! it was taken out of. The writer has passed the heavy half later than both. So it finds the slot.
//! (If the first look was at an entry that was freed and left its address to another one, then that other one
//! is what the reader has. Its key is compared.)
//!
//! *No table is freed too early.* The same, with the table for the entry, and the index for its place. A
//! reader looks into a table only while its transit slot shows it.
//!
//! *Nothing older is found.* When the lock is let go under which an entry was taken out, the entry stands in
//! the table of the index no more. Who looks after that comes to that table, or to a newer one, and not
//! to an older one, which its second look would tell.
//!
//! *No entry is kept too long.* Of a reader, which clears its slot and then looks at what is kept, and a
//! writer, which marks what is kept and then looks at the slots, one sees the other, thanks to the barrier. If
//! it is the reader, it takes the lock. If that is before the writer looks at the slots, the writer finds the
//! slot cleared. Else the entry is among the retired. The mark stands until the entry is freed: the entries of
//! a class are counted. A reader that shows an entry in vain may have stopped a search, so it lets go of it in
//! the same way.
//!
//! # Plain and fenced indexes
//!
//! A *plain* index is read with the light half of the [barrier](super::value::barrier), and who settles passes
//! the heavy half. A *fenced* one has a mark on the address of its table. There both mean a full fence, as
//! for [values](super::value::barrier): where there is no membarrier(2), and while somebody settles
//! [often](Hurry), since each barrier interrupts every core. Who settles goes by the [form](Form).
//!
//! - *From plain to fenced.* The mark is set. A reader that comes later finds it in its last look, or does
//!   not read. One that came earlier may have passed no fence, so whoever settles still passes the barrier,
//!   until one was passed that began after the mark was set. It has reached all of these readers, and those
//!   who have let go of something without looking at the mark.
//! - *From fenced to plain.* The mark is taken off. A reader that comes later does not find what was taken
//!   out before, and is not looked for by those who settle that. Readers that passed fences are reached by
//!   the heavy half, which is a fence of its own thread too. Who lets go of something and finds no mark finds
//!   what was kept when it was taken off.
//! - The mark is taken off by one who settles and is the first for long, or by a reader that has paid for many
//!   fences and finds that nobody has settled since it looked last.
//!
//! # What it does not promise
//!
//! A table that a slot shows in the moment in which it is looked for is kept until somebody settles. Nobody
//! stays in a table for longer than a look takes, and each settling looks at all that are left.
//!
//! If the kernel comes to refuse the barrier, all is hidden for good: from then on every reader takes the
//! lock. What was not hidden by then is kept until there is a barrier again and somebody settles, or until
//! the map goes. A *value* is not kept for that: whoever takes an entry out looks whether others still have
//! a share in it, and then takes the value out of it too.
//!
//! An entry that is shown by a reader of *another* index, stopped between showing an address and looking
//! again, may be kept though nobody reads it: if the entry there was freed and its memory given to one of this
//! index. Each settling looks at one of the retired entries, each time at another one. A guard that was
//! forgotten keeps its entry until the map goes, and the memory of it for ever.

mod classes;
mod cold;
mod form;
mod locked;
mod shown;
mod table;
#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests;
mod within;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;

use crossbeam_utils::CachePadded;

pub(crate) use self::locked::{Entries, Locked};
pub(crate) use self::shown::Shown;
pub(crate) use self::within::Within;

use self::classes::class;
use self::cold::{Cold, Out};
use self::form::{Form, Pace};
use self::table::Table;
#[cfg(all(test, not(dogpile_shuttle)))]
use crate::raw::value::under_lock;
use crate::raw::value::{Slot, barrier, own, registry};
use crate::shim::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::shim::{Arc, Mutex, contain};
use crate::time::Tick;

/// What an index is of.
pub(crate) trait Indexed: Sized {
    /// Kept beside each entry, under the lock.
    type Note: Default;
    /// Kept once, under the lock.
    type State;
}

/// See the [module](self).
pub(crate) struct Index<E: Indexed> {
    // On cache lines of their own: hits look at nothing else.
    front: CachePadded<Front<E>>,
    inner: CachePadded<Mutex<Inner<E>>>,
}

/// What is looked at without the lock.
struct Front<E> {
    /// The address of a table that the index owns, or null; [marked](FENCED) if it is read with fences.
    table: AtomicPtr<Table<E>>,
    /// The classes of what is freed as soon as its readers let go of it.
    kept: AtomicU64,
}

struct Inner<E: Indexed> {
    content: Content<E>,
    state: E::State,
}

/// The entries, and what goes on with them.
struct Content<E: Indexed> {
    /// The table as long as it is hidden: [the one in front](Front::table) is null then.
    hidden: Option<Box<Table<E>>>,
    /// One for each place of the table.
    notes: Box<[E::Note]>,
    /// How many entries there are.
    len: usize,
    /// Whether a barrier was refused.
    is_given_up: bool,
    form: Form,
    /// How often the index had turned to fences before.
    turns: u64,
    pace: Pace,
    // In a box, since an index from which nothing was taken needs none.
    cold: Option<Box<Cold<E>>>,
}

/// The mark of an index that is read with fences, in the lowest bit of the address of its table.
const FENCED: usize = 1;

fn is_fenced<E>(table: *mut Table<E>) -> bool {
    const { assert!(align_of::<Table<E>>() > FENCED) };
    table.addr() & FENCED != 0
}

fn without_mark<E>(table: *mut Table<E>) -> *mut Table<E> {
    table.map_addr(|address| address & !FENCED)
}

impl<E: Indexed> Index<E> {
    pub(crate) fn new(state: E::State) -> Self {
        let form = match barrier::are_fences() {
            true => Form::Fenced,
            false => Form::Plain,
        };
        Self {
            front: CachePadded::new(Front {
                table: AtomicPtr::new(form.mark(ptr::null_mut())),
                kept: AtomicU64::new(0),
            }),
            inner: CachePadded::new(Mutex::new(Inner {
                content: Content {
                    hidden: None,
                    notes: Box::default(),
                    len: 0,
                    is_given_up: false,
                    form,
                    turns: 0,
                    pace: Pace::new(),
                    cold: None,
                },
                state,
            })),
        }
    }

    pub(crate) fn lock(&self) -> Locked<'_, E> {
        Locked::new(self)
    }

    /// The entry with this hash, if it is found without the lock.
    #[inline]
    pub(crate) fn find(&self, hash: u64) -> Option<Shown<'_, E>> {
        let (entry, slot) = self.find_in_slot(hash)?;
        // SAFETY: as `find_in_slot` says.
        Some(unsafe { Shown::in_slot(entry, slot, self) })
    }

    /// As [`find`](Index::find): a slot shows the entry, and nobody clears it yet.
    ///
    /// The index owned a share in the entry when the slot showed it and the light half was passed. Who
    /// takes that share away passes the heavy half, finds the slot, and keeps the share until the slot
    /// is cleared.
    #[inline(always)]
    fn find_in_slot(&self, hash: u64) -> Option<(*mut E, &'static Slot)> {
        // ORDERING: relaxed: only compared with what is there below.
        let table = self.front.table.load(Ordering::Relaxed);
        if without_mark(table).is_null() {
            return None;
        }
        let (transit, slot) = (own::transit_slot()?, own::second_free_slot()?);
        let found = self.find_in(transit, slot, table, hash);
        transit.clear();
        if is_fenced(table) {
            self.count_fenced();
        }
        match found {
            Some((entry, true)) => Some((entry, slot)),
            Some((entry, false)) => {
                // A search may have stopped at the slot.
                self.left(slot, entry.cast_const().cast());
                None
            }
            None => None,
        }
    }

    /// The address that stands where the hash says, shown in the slot, and whether it does so still. The
    /// transit slot is left as it is.
    #[inline(always)]
    fn find_in(
        &self,
        transit: &Slot,
        slot: &Slot,
        table: *mut Table<E>,
        hash: u64,
    ) -> Option<(*mut E, bool)> {
        let light = || match is_fenced(table) {
            false => barrier::light(),
            true => barrier::fence(),
        };
        transit.show(without_mark(table).cast_const().cast());
        light();
        // ORDERING: pairs with the release in `put_in_front`: the table is seen as it was made.
        if self.front.table.load(Ordering::Acquire) != table {
            return None;
        }
        // SAFETY: the index owned the table when it was shown and the light half was passed. Who takes it
        // away passes the heavy half, finds the slot, and keeps the table until the slot is cleared, which
        // the caller does when this was used for the last time.
        let (place, address) = unsafe { &*without_mark(table) }.look(hash)?;
        slot.show(address.cast_const().cast());
        light();
        // The table may have been exchanged, and the entry taken out of the next one.
        // ORDERING: relaxed: only compared.
        let is_there = place.holds(address) && self.front.table.load(Ordering::Relaxed) == table;
        Some((address, is_there))
    }

    /// Frees what was taken out and is not read. Not under a lock: it may ask the kernel for a barrier, and
    /// what is freed is the user's, as is the clock that tells what time it is `now`.
    pub(crate) fn settle(&self, now: impl FnOnce() -> Tick) {
        if !is_looked_into() || !self.lock().is_to_be_settled() {
            return;
        }
        // While what was taken out is still where it cannot get lost: a clock may panic.
        let now = now();
        let Some((out, form)) = self.begin_to_settle() else {
            return;
        };
        let is_new = !out.is_empty();
        let passed = !is_new || barrier::heavy(form == Form::Fenced);
        let mut locked = self.lock();
        let mut entries = locked.entries();
        if !passed {
            entries.give_up();
        }
        let cold = entries.cold();
        let mut freed = match passed {
            true => cold.retire(out),
            false => {
                cold.wait_again(out);
                Out::new()
            }
        };
        freed.entries.extend(cold.unread_in_turn());
        freed.tables.extend(cold.unread_tables());
        if is_new && passed {
            entries.turn(form, now);
        }
        entries.end();
        drop(locked);
        free(freed);
    }

    /// All that waits, announced, and how the barrier is to be passed for it.
    fn begin_to_settle(&self) -> Option<(Out<E>, Form)> {
        let mut locked = self.lock();
        let entries = locked.entries();
        let out = entries.content.cold.as_deref_mut()?.announce();
        entries.show_kept();
        Some((out, entries.content.form))
    }

    /// Takes the mark off once nobody settles any more, so that readers need not pay for fences.
    // Apart, so that a hit without fences stays small.
    #[inline(never)]
    fn count_fenced(&self) {
        if own::has_found_long() {
            self.lock().entries().end_fences();
        }
    }

    /// A slot does not show this any more, or never will in earnest.
    #[inline]
    fn left(&self, slot: &Slot, address: *const ()) {
        slot.clear();
        barrier::light();
        // ORDERING: acquire pairs with the release in `read_in`: who finds no mark finds what was kept when the
        // mark was taken off. Who finds one has to pass what those pass who have set it.
        if is_fenced(self.front.table.load(Ordering::Acquire)) {
            barrier::fence();
        }
        // ORDERING: relaxed: only compared. What it must not miss, the barrier sees to.
        if self.front.kept.load(Ordering::Relaxed) & class(address) != 0 {
            self.sweep(address);
        }
    }

    #[cold]
    #[inline(never)]
    fn sweep(&self, address: *const ()) {
        let mut locked = self.lock();
        let mut entries = locked.entries();
        let Some(cold) = entries.content.cold.as_deref_mut() else {
            return;
        };
        let unread = cold.unread(address);
        entries.end();
        drop(locked);
        free(Out::of(unread));
    }

    /// Whether no entry is kept that was taken out.
    #[cfg(all(test, dogpile_loom))]
    pub(in crate::raw) fn keeps_nothing(&self) -> bool {
        let inner = self.inner.lock();
        // ORDERING: relaxed: stored under the lock.
        let kept = self.front.kept.load(Ordering::Relaxed);
        kept == 0 && (inner.content.cold.as_deref()).is_none_or(Cold::keeps_no_entry)
    }

    /// Whether nothing is kept at all.
    #[cfg(all(test, dogpile_loom))]
    pub(in crate::raw) fn has_settled(&self) -> bool {
        self.inner
            .lock()
            .content
            .cold
            .as_deref()
            .is_none_or(Cold::is_empty)
    }

    /// Whether its readers pass fences.
    #[cfg(all(test, dogpile_loom))]
    pub(in crate::raw) fn is_fenced(&self) -> bool {
        is_fenced(under_lock(&self.front.table))
    }

    /// Gives all entries away, at the end of the map.
    pub(crate) fn end(&mut self) -> Vec<Arc<E>> {
        let mut locked = self.lock();
        let mut entries = locked.entries();
        let all = entries.take_all();
        let cold = entries.content.cold.take();
        drop(locked);
        let out = cold.map_or_else(Out::new, |cold| cold.into_all());
        // What is shown now, is so by guards that were forgotten, and for ever: an entry of another map
        // at that address would look as if it were read.
        // LOOM: must not be asked for its statics once a model has ended.
        if !cfg!(dogpile_loom) {
            let shown = registry::all_shown();
            let entries = out.entries.iter().chain(&all);
            for entry in entries.filter(|entry| is_shown(&shown, address_of(entry))) {
                std::mem::forget(Arc::downgrade(entry));
            }
            // No thread is in a table of a map that goes.
        }
        free(out);
        all
    }
}

/// Whether anybody looks into an index without its lock.
fn is_looked_into() -> bool {
    // LOOM: nobody does where there is no transit slot, and what is done for readers would multiply the
    // interleavings.
    #[cfg(dogpile_loom)]
    return crate::shim::model::setting().transit;
    #[cfg(not(dogpile_loom))]
    true
}

fn address_of<E>(entry: &Arc<E>) -> *const () {
    Arc::as_ptr(entry).cast()
}

fn address_of_table<E>(table: &Table<E>) -> *const () {
    ptr::from_ref(table).cast()
}

fn is_shown(shown: &[*const ()], address: *const ()) -> bool {
    shown.binary_search(&address).is_ok()
}

/// One by one: a panic in one of them is nobody's who happens to be here, and keeps none of the others.
fn free<E>(out: Out<E>) {
    drop(out.tables);
    for entry in out.entries {
        contain(|| drop(entry));
    }
}

impl<E: Indexed> Drop for Index<E> {
    fn drop(&mut self) {
        let mut out = Out::new();
        out.entries = self.end();
        free(out);
    }
}

// A panic leaves it as it was: no code of a user's runs while it is changed.
impl<E: Indexed + RefUnwindSafe> RefUnwindSafe for Index<E> {}
impl<E: Indexed + RefUnwindSafe> UnwindSafe for Index<E> {}
