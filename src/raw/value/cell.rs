//! The value cell: a lock, and beside it one value that is read without the lock.
//!
//! # How a value is read, replaced and freed
//!
//! The cell owns one share in its current node. The address of that node stands in `current`.
//!
//! A **reader** shows the address in a [slot](super::slot) of its own thread, passes the light half
//! of the [barrier](super::barrier) and looks whether the address is still in `current`. If it is, the
//! reader has a guard, for which it has changed nothing but its slot. If it is not, the reader takes
//! the lock, and a counted share of what is current by then. A thread [has](super::own) as many slots as
//! it holds guards, up to a bound. Beyond it, the reader takes a guard in its *transit* slot, counts a
//! share of what the guard shows, and drops the guard. Who waited for a node, and was lent the share of
//! those who told of it, takes a guard in the same way if that node is current. Whoever is past the destructors of its
//! thread-locals has no slot at all, and takes the lock.
//!
//! A **writer** puts another address in place, under the lock, and lets go of the lock. Then it
//! passes the heavy half of the barrier and takes the lock again. It [searches](super::registry::Search)
//! all slots of the process for the old address. If no slot shows it, the old node is dropped once the
//! lock was let go. If a slot does, the node is *retired*: it is kept, and the search with it, which
//! stands at that slot.
//!
//! A thread that **drops a guard** clears the slot, passes the light half, and looks whether the
//! address that it showed is still current. If not, it takes the lock and *goes on with the search*
//! for that address: while the slot at which the search stands shows the address, there is nothing to
//! do; else the search goes on from there, and if it comes to its end the node is dropped.
//!
//! *Nothing is freed too early.* A retired node is not current, and a barrier has been passed since
//! it was. So a reader with a guard has shown it before that barrier, and the search finds it. (The
//! slot is one of a record that was put on the list before anything was shown in it.) A
//! reader that shows it later finds another address in `current`, and does not read. Therefore the
//! slots that show it for good only become fewer, and the search need not look at a slot again that it
//! has passed. (The node cannot become current again: a node does so once.) If a guard's slot is
//! already cleared, the search sees null or a newer address there, and its acquiring load proves that
//! the reading has ended.
//!
//! *Nothing is kept too long.* Of a writer that searches and a reader that drops its guard, at least
//! one sees what the other did, thanks to the barrier: the search finds the slot cleared, or the
//! reader finds something else in `current` and goes on with the search, after the writer has begun it
//! if not before, as both hold the lock for it. A reader that shows an address in vain may stop a
//! search at its slot, so it goes on with the search for that address too. (The address may belong to
//! another node by then. That is safe, because the old node was freed.)
//!
//! *Nothing grows faster than it must.* A drop of a guard takes the lock and looks at one slot. All
//! that the search for one node looks at besides is each slot once, however many guards there were. So
//! to drop many guards is linear in their number, and in the slots for each value that they showed.
//!
//! Nobody waits for a reader. Only those who have shown an old value ever search. No node is dropped
//! under the lock.
//!
//! # Plain and fenced nodes
//!
//! What is said of the barrier above holds for *plain* nodes. A *fenced* one has a mark on its address in
//! `current`, and there "the light half" and "the heavy half" mean a full fence, of the reader and of the
//! writer; see [the barrier](super::barrier) for when that is. The mark belongs to the address:
//!
//! - Who replaces a node sees by its mark what its readers have passed. A reader of a plain node has found
//!   it without a mark behind the light half. A reader of a fenced one has found it with the mark behind a
//!   fence: if it finds something else there, be it the same node without its mark, it does not read
//!   without the lock.
//! - The mark of a node may be taken off while it is current. Whoever replaces it then passes the heavy
//!   half, which is a fence of that thread too, and so reaches those who have passed a fence before.
//! - Who drops a guard compares the address without a mark. If it differs, because the node has a mark
//!   or another node is there, it passes a fence and compares once more. If it is the same, the node is
//!   plain, and will be replaced with the heavy half.
//!
//! # What it does not promise
//!
//! If the kernel comes to refuse the barrier, the value that was current then, and the one that
//! replaced it, are kept until something is replaced after the kernel allows a barrier again, or until
//! the cell goes; see the barrier. Everything that comes later is freed as usual. A
//! guard that was forgotten takes its slot for good, and its value is kept until the cell goes. If
//! that guard was counted, its value is kept for ever. A reader of *another* cell that is stopped
//! between showing an address and looking again may stop a search, if the node there was freed and its
//! memory given to a node of this cell. Each writer goes on with the search for one of the retired
//! nodes, each time for another one, so that node is freed at the latest when as many values were
//! replaced as are retired. The memory, not the value, of what a forgotten guard shows is never freed.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;

use crate::raw::value::barrier;
use crate::raw::value::node::{AsNode, Node, NodeRef};
use crate::raw::value::own;
use crate::raw::value::registry::{self, Search};
use crate::raw::value::retired::Retired;
use crate::raw::value::slot::Slot;
use crate::raw::value::under_lock::under_lock;
use crate::shim::atomic::{AtomicPtr, Ordering};
use crate::shim::{Mutex, MutexGuard};

/// A lock around `S`, and a current node that is read without it and replaced under it. `C` is what
/// only some states need: see [`Locked::extra`].
///
/// Its first eight bytes are all that a reader looks at.
#[repr(C)]
pub(in crate::raw) struct Cell<T, S, C = ()> {
    /// An address of which the cell owns a share, [marked](FENCED) if the node is fenced; or null.
    current: AtomicPtr<Node<T>>,
    inner: Mutex<Inner<T, S, C>>,
}

/// The mark of a fenced node, in the lowest bit of its address where it stands as the current one.
const FENCED: usize = 1;

fn is_fenced<T>(current: *mut Node<T>) -> bool {
    const { assert!(align_of::<Node<T>>() > FENCED) };
    current.addr() & FENCED != 0
}

fn without_mark<T>(current: *mut Node<T>) -> *mut Node<T> {
    current.map_addr(|address| address & !FENCED)
}

/// A node for one reader: shown in a slot, or else a share of its own.
// Two words that stay in registers: a `Protected` that a function returns would be kept in memory.
type Loaded<T> = (ManuallyDrop<NodeRef<T>>, Option<&'static Slot>);

struct Inner<T, S, C> {
    state: S,
    // In a box, since most cells do not need it most of the time and a cell has to be small.
    cold: Option<Box<Cold<T, C>>>,
}

/// What a cell does not need all the time. Allocated when something is put there, and freed when nothing is left.
struct Cold<T, C> {
    /// The nodes that were replaced and are read still.
    retired: Retired<NodeRef<T>>,
    /// The nodes that were replaced when the barrier was refused.
    refused: Vec<NodeRef<T>>,
    extra: Option<C>,
}

impl<T, C> Cold<T, C> {
    fn new() -> Self {
        Self {
            retired: Retired::new(),
            refused: Vec::new(),
            extra: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.retired.is_empty() && self.refused.is_empty() && self.extra.is_none()
    }
}

impl<T, S, C> Inner<T, S, C> {
    fn cold(&mut self) -> &mut Cold<T, C> {
        self.cold.get_or_insert_with(|| Box::new(Cold::new()))
    }

    /// Takes a retired node out if no slot shows it any more. To be dropped when the lock was let go.
    fn unread(&mut self, address: *const ()) -> Option<NodeRef<T>> {
        self.take_out(|retired| retired.unread(address))
    }

    fn take_out(
        &mut self,
        take: impl FnOnce(&mut Retired<NodeRef<T>>) -> Option<NodeRef<T>>,
    ) -> Option<NodeRef<T>> {
        let cold = self.cold.as_deref_mut()?;
        let node = take(&mut cold.retired)?;
        if cold.is_empty() {
            self.cold = None;
        }
        Some(node)
    }
}

impl<T, S, C> Cell<T, S, C> {
    crate::shim::const_unless_loom! {
        pub(in crate::raw) const fn new(state: S) -> Self {
            Self {
                current: AtomicPtr::new(ptr::null_mut()),
                inner: Mutex::new(Inner { state, cold: None }),
            }
        }
    }

    /// The current node.
    // Every hit has this inlined. So it holds the usual way alone, and two calls for all others.
    #[inline]
    pub(in crate::raw) fn load(&self) -> Option<Protected<'_, T, S, C>> {
        // ORDERING: relaxed: only compared with what is there below.
        let current = self.current.load(Ordering::Relaxed);
        if current.is_null() {
            return None;
        }
        let loaded = match own::free_slot() {
            Some(slot) if !is_fenced(current) && self.is_current_in(slot, current) => {
                // SAFETY: as in `load_in`.
                (unsafe { NodeRef::borrowed(current) }, Some(slot))
            }
            slot => self.load_slowly(slot, current)?,
        };
        Some(self.protected(loaded))
    }

    /// As [`load`](Cell::load), where the thread has no slot, or the node is fenced, or was shown in the
    /// slot in vain.
    #[cold]
    #[inline(never)]
    fn load_slowly(&self, slot: Option<&'static Slot>, current: *mut Node<T>) -> Option<Loaded<T>> {
        match slot {
            Some(slot) if is_fenced(current) => self.load_in(slot, current),
            Some(slot) => self.in_vain(slot, current),
            None => self.count(current),
        }
    }

    /// The current node, shown in this slot. `current` is what stood there just now.
    fn load_in(&self, slot: &'static Slot, current: *mut Node<T>) -> Option<Loaded<T>> {
        let is_current = if is_fenced(current) {
            self.is_current_behind_fence(slot, current)
        } else {
            self.is_current_in(slot, current)
        };
        if !is_current {
            return self.in_vain(slot, current);
        }
        // SAFETY: it is the address of a node of which the cell owned a share when it was shown
        // and the light half was passed. Who takes that share away passes the heavy half,
        // finds the slot, and keeps the share until the slot is cleared, which `Protected` does
        // after its last use. `Protected` never drops this one. (The first look may have been at
        // another node, which was freed and left its address to this one.)
        let node = unsafe { NodeRef::borrowed(without_mark(current)) };
        Some((node, Some(slot)))
    }

    /// Shows a plain node, and looks whether it is current behind the barrier.
    #[inline]
    fn is_current_in(&self, slot: &'static Slot, current: *mut Node<T>) -> bool {
        slot.show(current.cast());
        barrier::light();
        // ORDERING: pairs with the release in `swap`: the node is seen as it was made.
        self.current.load(Ordering::Acquire) == current
    }

    /// A share of what is current, where a slot shows what is not.
    fn in_vain(&self, slot: &'static Slot, shown: *mut Node<T>) -> Option<Loaded<T>> {
        slot.clear();
        // A search may have stopped at the slot.
        self.share(without_mark(shown).cast())
    }

    /// A node that the caller keeps alive meanwhile: in a slot if it is current, else by a share.
    #[inline]
    pub(in crate::raw) fn hold(&self, node: &NodeRef<T>) -> Protected<'_, T, S, C> {
        (self.load_if(node)).unwrap_or_else(|| Protected::from(node.clone()))
    }

    #[inline]
    fn load_if(&self, node: &NodeRef<T>) -> Option<Protected<'_, T, S, C>> {
        // ORDERING: relaxed: only compared with what is there in `load_in`.
        let current = self.current.load(Ordering::Relaxed);
        if without_mark(current).cast_const().cast() != node.address() {
            return None;
        }
        let held = self.protected(self.load_in(own::free_slot()?, current)?);
        // It was replaced meanwhile, if it is another one.
        held.is(node).then_some(held)
    }

    #[inline]
    fn protected(&self, (node, slot): Loaded<T>) -> Protected<'_, T, S, C> {
        Protected {
            node,
            shown: slot.map(|slot| InSlot { slot, cell: self }),
        }
    }

    /// Shows a fenced node, and looks whether it is current behind a fence.
    fn is_current_behind_fence(&self, slot: &'static Slot, current: *mut Node<T>) -> bool {
        let node = without_mark(current);
        slot.show(node.cast());
        barrier::fence();
        // ORDERING: as in `is_current_in`.
        let is_current = self.current.load(Ordering::Acquire) == current;
        if is_current && own::has_read_long(node.cast()) && !barrier::are_fences() {
            self.unmark(current);
        }
        is_current
    }

    /// Takes the mark off a node that is current: whoever replaces it passes the barrier instead of a
    /// fence.
    #[cold]
    fn unmark(&self, current: *mut Node<T>) {
        let locked = self.inner.lock();
        // ORDERING: relaxed: stored under the lock.
        if self.current.load(Ordering::Relaxed) == current {
            // ORDERING: as in `swap`, whose store this takes the place of.
            self.current.store(without_mark(current), Ordering::Release);
        }
        drop(locked);
    }

    /// The current node, counted, for a thread that has no slot to keep. It is shown in the transit
    /// slot until it is counted, so nobody takes the lock.
    fn count(&self, current: *mut Node<T>) -> Option<Loaded<T>> {
        match own::transit_slot() {
            Some(slot) => {
                let shown = self.protected(self.load_in(slot, current)?);
                Some((ManuallyDrop::new(NodeRef::clone(&shown)), None))
            }
            None => self.share(ptr::null()),
        }
    }

    /// The current node, counted. An address that was shown in vain is given up.
    fn share(&self, shown: *const ()) -> Option<Loaded<T>> {
        let mut locked = self.lock();
        let share = locked.current().map(|node| node.clone());
        let unread = locked.inner.unread(shown);
        drop(locked);
        drop(unread);
        Some((ManuallyDrop::new(share?), None))
    }

    /// The guard of a node has been dropped that is fenced, or is not current any more.
    #[cold]
    fn left(&self, address: *const ()) {
        barrier::fence();
        // ORDERING: relaxed: only compared. What it must not miss, the fence sees to.
        let current = without_mark(self.current.load(Ordering::Relaxed));
        if current.cast_const().cast() == address {
            return;
        }
        let unread = self.inner.lock().unread(address);
        drop(unread);
    }

    pub(in crate::raw) fn lock(&self) -> Locked<'_, T, S, C> {
        Locked {
            cell: self,
            inner: self.inner.lock(),
        }
    }

    /// The current node, if nobody else has a share in it.
    pub(in crate::raw) fn get_mut(&mut self) -> Option<&mut T> {
        // ORDERING: relaxed: nobody else has access.
        let node = without_mark(self.current.load(Ordering::Relaxed));
        if node.is_null() {
            return None;
        }
        // SAFETY: the cell owns a share, and this one is not dropped.
        let mut node = unsafe { NodeRef::borrowed(node) };
        let value: *mut T = node.value_mut()?;
        // SAFETY: the value is not shared, and lives and stays where it is for as long as the cell
        // is borrowed for change. Guards that were forgotten are not used any more.
        Some(unsafe { &mut *value })
    }

    /// The current node, at the end of the cell.
    pub(in crate::raw) fn into_inner(mut self) -> Option<NodeRef<T>> {
        self.end()
    }

    fn end(&mut self) -> Option<NodeRef<T>> {
        // ORDERING: relaxed: nobody else has access.
        let node = without_mark(self.current.swap(ptr::null_mut(), Ordering::Relaxed));
        // SAFETY: the cell owned a share in what stood there, and now it does not any more.
        let node = (!node.is_null()).then(|| unsafe { NodeRef::from_raw(node) });
        // What is shown now, is so by guards that were forgotten, and for ever: a node of another
        // cell at that address would look as if it were read.
        // LOOM: keeps no memory, and must not be asked for its statics once a model has ended, which
        // a thread of the background may outlast.
        if cfg!(dogpile_loom) {
            return node;
        }
        let shown = registry::all_shown();
        let cold = self.inner.get_mut().cold.as_deref();
        let retired = cold.into_iter().flat_map(|cold| cold.retired.iter());
        let refused = cold.into_iter().flat_map(|cold| &cold.refused);
        for node in retired.chain(refused).chain(&node) {
            if shown.binary_search(&node.address()).is_ok() {
                node.keep_address();
            }
        }
        node
    }
}

// The retired nodes are dropped after it, each on its own, even if one of them panics.
impl<T, S, C> Drop for Cell<T, S, C> {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// The cell, locked.
pub(in crate::raw) struct Locked<'a, T, S, C = ()> {
    cell: &'a Cell<T, S, C>,
    inner: MutexGuard<'a, Inner<T, S, C>>,
}

impl<'a, T, S, C> Locked<'a, T, S, C> {
    /// What only some states need. It takes no memory while it is `None`, apart from the box that a
    /// cell has while an old value is read.
    pub(in crate::raw) fn extra(&self) -> Option<&C> {
        self.inner.cold.as_ref()?.extra.as_ref()
    }

    /// The same, to be changed.
    pub(in crate::raw) fn extra_mut(&mut self) -> Option<&mut C> {
        self.inner.cold.as_mut()?.extra.as_mut()
    }

    /// The same, which is made if there is none.
    pub(in crate::raw) fn make_extra(&mut self) -> &mut C
    where
        C: Default,
    {
        self.inner.cold().extra.get_or_insert_default()
    }

    /// Takes out what only some states need.
    pub(in crate::raw) fn take_extra(&mut self) -> Option<C> {
        let cold = self.inner.cold.as_mut()?;
        let extra = cold.extra.take();
        if cold.is_empty() {
            self.inner.cold = None;
        }
        extra
    }

    /// The current node, which cannot be replaced meanwhile.
    pub(in crate::raw) fn current(&self) -> Option<Current<'_, T>> {
        let node = without_mark(under_lock(&self.cell.current));
        // SAFETY: the cell owns a share, and gives it away only under the lock, which is held for as
        // long as this borrow.
        (!node.is_null()).then(|| Current(unsafe { NodeRef::borrowed(node) }, PhantomData))
    }

    /// Puts `new` in place of the current node, which is dropped with the result, or when its last
    /// reader has gone. The result must not be dropped under the lock.
    #[must_use = "what is replaced must be dropped when the lock was let go"]
    pub(in crate::raw) fn swap(&mut self, new: Option<NodeRef<T>>) -> Replaced<'a, T, S, C> {
        let fenced = (new.as_ref()).is_some_and(|new| self.is_often_replaced_by(new));
        let fenced = fenced || barrier::are_fences();
        let new = new.map_or(ptr::null_mut(), |new| {
            let mark = if fenced { FENCED } else { 0 };
            new.into_raw().map_addr(|address| address | mark)
        });
        // ORDERING: release pairs with the acquire in `load_in`: readers see the node as it was made.
        let old = self.cell.current.swap(new, Ordering::Release);
        let mut refused = Vec::new();
        if let Some(cold) = &mut self.inner.cold {
            refused = std::mem::take(&mut cold.refused);
            if cold.is_empty() {
                self.inner.cold = None;
            }
        }
        let fenced = is_fenced(old);
        let old = without_mark(old);
        Replaced {
            cell: self.cell,
            // SAFETY: the cell owned a share in what stood there, and now it does not any more.
            node: (!old.is_null()).then(|| unsafe { NodeRef::from_raw(old) }),
            fenced,
            refused,
        }
    }

    fn is_often_replaced_by(&self, new: &NodeRef<T>) -> bool {
        // LOOM: a look more multiplies the interleavings.
        #[cfg(dogpile_loom)]
        if crate::shim::model::setting().often.is_none() {
            return false;
        }
        (self.current()).is_some_and(|old| new.follows_often(&old))
    }
}

impl<T, S, C> Deref for Locked<'_, T, S, C> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner.state
    }
}

impl<T, S, C> DerefMut for Locked<'_, T, S, C> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inner.state
    }
}

/// The current node while the cell is locked.
pub(in crate::raw) struct Current<'a, T>(ManuallyDrop<NodeRef<T>>, PhantomData<&'a NodeRef<T>>);

impl<T> Deref for Current<'_, T> {
    type Target = NodeRef<T>;

    fn deref(&self) -> &NodeRef<T> {
        &self.0
    }
}

/// What was replaced. Dropping it passes the barrier and frees what is not read any more.
pub(in crate::raw) struct Replaced<'a, T, S, C = ()> {
    cell: &'a Cell<T, S, C>,
    node: Option<NodeRef<T>>,
    /// Whether the node was fenced.
    fenced: bool,
    /// What waits for a barrier that begins after it was replaced, as this one does.
    refused: Vec<NodeRef<T>>,
}

impl<T, S, C> Drop for Replaced<'_, T, S, C> {
    fn drop(&mut self) {
        if self.node.is_none() && self.refused.is_empty() {
            return;
        }
        // Not under the lock: readers that drop a guard would wait for the kernel.
        let passed = barrier::heavy(self.fenced && self.refused.is_empty());
        // For a fenced node the fence is enough that is part of a barrier, refused or not.
        let node_passed = passed || self.fenced;
        let mut locked = self.cell.lock();
        let inner = &mut *locked.inner;
        if let Some(node) = self.node.take() {
            let mut search = Search::begin();
            if !node_passed {
                inner.cold().refused.push(node);
            } else if search.finds(node.address()) {
                inner.cold().retired.insert(node.address(), node, search);
            } else {
                // The usual case: it is dropped with `self`, after the lock.
                self.node = Some(node);
            }
        }
        let mut unread = Vec::new();
        if !self.refused.is_empty() {
            if passed {
                let shown = registry::all_shown();
                let is_shown = |node: &NodeRef<T>| shown.binary_search(&node.address()).is_ok();
                let (read, freed) = self.refused.drain(..).partition(is_shown);
                unread = freed;
                let read: Vec<NodeRef<T>> = read;
                for node in read {
                    let retired = &mut inner.cold().retired;
                    retired.insert(node.address(), node, Search::begin());
                }
            } else {
                inner.cold().refused.append(&mut self.refused);
            }
        }
        let in_turn = inner.take_out(Retired::unread_in_turn);
        drop(locked);
        drop(in_turn);
        drop(unread);
    }
}

/// A node that is kept alive for its reader, by a slot or by a share of its own.
pub(crate) struct Protected<'a, T, S, C = ()> {
    /// Dropped with it only if it is a share of its own.
    node: ManuallyDrop<NodeRef<T>>,
    shown: Option<InSlot<'a, T, S, C>>,
}

struct InSlot<'a, T, S, C> {
    slot: &'static Slot,
    cell: &'a Cell<T, S, C>,
}

impl<T, S, C> From<NodeRef<T>> for Protected<'_, T, S, C> {
    fn from(node: NodeRef<T>) -> Self {
        Self {
            node: ManuallyDrop::new(node),
            shown: None,
        }
    }
}

impl<T, S, C> Deref for Protected<'_, T, S, C> {
    type Target = NodeRef<T>;

    #[inline]
    fn deref(&self) -> &NodeRef<T> {
        &self.node
    }
}

impl<T, S, C> AsNode<T> for Protected<'_, T, S, C> {
    #[inline]
    fn node(&self) -> &NodeRef<T> {
        &self.node
    }
}

impl<T, S, C> Drop for Protected<'_, T, S, C> {
    #[inline]
    fn drop(&mut self) {
        match self.shown {
            Some(InSlot { slot, cell }) => {
                let address = self.node.address();
                slot.clear();
                barrier::light();
                // ORDERING: relaxed: only compared. What it must not miss, the barrier sees to.
                if cell.current.load(Ordering::Relaxed).cast_const().cast() != address {
                    cell.left(address);
                }
            }
            // SAFETY: it is a share of its own, and this is the end of it.
            None => give_up(unsafe { ManuallyDrop::take(&mut self.node) }),
        }
    }
}

/// Apart, so that a node in a slot stays in a register.
#[cold]
fn give_up<T>(share: NodeRef<T>) {
    drop(share);
}
