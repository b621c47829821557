//! The value cell: a lock, and beside it one value that is read without it.
//!
//! # How a value is read, replaced and freed
//!
//! The cell owns one share in its current node, and its address stands in `current`.
//!
//! A **reader** shows the address in a [slot](super::slot) of its own thread, passes the light half
//! of the [barrier](super::barrier) and looks whether the address is still in its place. If so it
//! has a guard, for which it has changed nothing but its slot. If not, or if it has no slot to
//! spare, it takes the lock, and a counted share of what is current by then.
//!
//! A **writer** puts another address in place, under the lock, and lets go of the lock. Then it
//! passes the heavy half of the barrier, takes the lock again, puts the old node on the list of
//! those that are *retired*, and *sweeps*: it looks at all slots of the process once and takes off
//! the list what none of them shows. That is dropped when the lock was let go.
//!
//! Who **drops a guard** clears the slot, passes the light half, and looks whether what it showed is
//! still current. If not it takes the lock and sweeps.
//!
//! *Nothing is freed too early.* A retired node is not current, and a barrier has been passed since
//! it was. So a reader with a guard has shown it before that barrier, and the scan finds it; and one
//! that shows it later finds another one in its place, and does not read. What is taken off the
//! list is not read and will not be. (It cannot become current again: a node does so once.) In the
//! slot of a guard that was cleared, the scan finds nothing or something newer, and with it that all
//! reading is over.
//!
//! *Nothing is kept too long.* Of a writer that scans and a reader that drops its guard, at least
//! one sees what the other did, thanks to the barrier: the scan finds the slot cleared, or the
//! reader finds something else in place of what it showed, and sweeps, after the scan if not
//! before, as both hold the lock for it. A reader that shows an address in vain may have deceived a
//! scan, so it always sweeps. That the address which a reader has just given up may already belong
//! to another node is no harm: the one it knew was freed then.
//!
//! Nobody waits for a reader. Only those who have held an old value ever sweep. No node is dropped
//! under the lock.
//!
//! # What it does not promise
//!
//! If the kernel refuses the barrier, what was replaced is kept until something is replaced after it
//! allows one again, or until the cell goes. A guard that was forgotten takes its slot for good, and
//! the value is kept until the cell goes; for ever, if the guard was counted. A reader of *another* cell that is stopped between showing an address and looking
//! again may deceive a scan, if the node there was freed and its memory given to a node of this cell:
//! that one is freed by the next sweep. The memory, not the value, of what a forgotten guard shows is
//! never freed.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

use crate::raw::value::barrier;
use crate::raw::value::node::{AsNode, Node, NodeRef};
use crate::raw::value::registry;
use crate::raw::value::slot::Slot;
use crate::shim::atomic::{AtomicPtr, Ordering};
use crate::shim::{Mutex, MutexGuard};

/// A lock around `S`, and a current node that is read without it and replaced under it.
///
/// Its first eight bytes are all that a reader looks at.
#[repr(C)]
pub(in crate::raw) struct Cell<T, S> {
    /// An address of which the cell owns a share, or null.
    current: AtomicPtr<Node<T>>,
    inner: Mutex<Inner<T, S>>,
}

struct Inner<T, S> {
    state: S,
    // In a box, since it is mostly empty and a cell has to be small.
    retired: Option<Box<Retired<T>>>,
}

/// Nodes that were replaced.
struct Retired<T> {
    /// Since when a barrier was passed: as soon as no slot shows one, it can be dropped.
    behind: Vec<NodeRef<T>>,
    /// Since when none was, as it was refused.
    refused: Vec<NodeRef<T>>,
}

impl<T, S> Cell<T, S> {
    crate::shim::const_unless_loom! {
        pub(in crate::raw) const fn new(state: S) -> Self {
            Self {
                current: AtomicPtr::new(ptr::null_mut()),
                inner: Mutex::new(Inner { state, retired: None }),
            }
        }
    }

    /// The current node.
    #[inline]
    pub(in crate::raw) fn load(&self) -> Option<Protected<'_, T, S>> {
        // ORDERING: relaxed: only compared with what is there below.
        let node = self.current.load(Ordering::Relaxed);
        if node.is_null() {
            return None;
        }
        let Some(slot) = registry::free_slot() else {
            return self.share(false).map(Protected::from);
        };
        slot.show(node.cast());
        barrier::light();
        // ORDERING: pairs with the release in `swap`: the node is seen as it was made.
        let again = self.current.load(Ordering::Acquire);
        if again != node {
            slot.clear();
            // A scan may have taken the slot seriously.
            return self.share(true).map(Protected::from);
        }
        Some(Protected {
            // SAFETY: it is the address of a node of which the cell owned a share when it was shown
            // and the light half was passed. Who takes that share away passes the heavy half,
            // finds the slot, and keeps the share until the slot is cleared, which `Protected` does
            // after its last use. `Protected` never drops this one. (The first look may have been at
            // another node, which was freed and left its address to this one.)
            node: unsafe { NodeRef::borrowed(again) },
            shown: Some(InSlot { slot, cell: self }),
        })
    }

    /// The current node, counted.
    #[cold]
    fn share(&self, sweep: bool) -> Option<NodeRef<T>> {
        let locked = self.lock();
        let share = locked.current().map(|node| node.clone());
        if sweep {
            locked.sweep();
        }
        share
    }

    pub(in crate::raw) fn lock(&self) -> Locked<'_, T, S> {
        Locked {
            cell: self,
            inner: self.inner.lock(),
        }
    }

    /// Drops what is retired and not read any more.
    #[cold]
    fn sweep(&self) {
        self.lock().sweep();
    }

    /// The current node, if nobody else has a share in it.
    pub(in crate::raw) fn get_mut(&mut self) -> Option<&mut T> {
        // ORDERING: relaxed: nobody else has access.
        let node = self.current.load(Ordering::Relaxed);
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
        let node = self.current.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the cell owned a share in what stood there, and now it does not any more.
        let mut node = (!node.is_null()).then(|| unsafe { NodeRef::from_raw(node) });
        let retired = self.inner.get_mut().retired.as_deref_mut();
        // What is shown now, is so by guards that were forgotten, and for ever: a node of another
        // cell at that address would look as if it were read.
        node.as_mut().map(slice::from_mut).map(keep_addresses);
        if let Some(retired) = retired {
            keep_addresses(&mut retired.behind);
            keep_addresses(&mut retired.refused);
        }
        node
    }
}

/// Sees to it that no node comes to stand where one of these is shown.
fn keep_addresses<T>(nodes: &mut [NodeRef<T>]) {
    // LOOM: keeps no memory, and must not be asked for its statics once a model has ended, which a
    // thread of the background may outlast.
    if cfg!(dogpile_loom) {
        return;
    }
    let read = count_read(nodes);
    for node in &nodes[..read] {
        node.keep_address();
    }
}

// The retired nodes are dropped after it, each on its own, even if one of them panics.
impl<T, S> Drop for Cell<T, S> {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// The cell, locked.
pub(in crate::raw) struct Locked<'a, T, S> {
    cell: &'a Cell<T, S>,
    inner: MutexGuard<'a, Inner<T, S>>,
}

impl<'a, T, S> Locked<'a, T, S> {
    /// The current node, which cannot be replaced meanwhile.
    pub(in crate::raw) fn current(&self) -> Option<Current<'_, T>> {
        let node = self.cell.current_under_lock();
        // SAFETY: the cell owns a share, and gives it away only under the lock, which is held for as
        // long as this borrow.
        (!node.is_null()).then(|| Current(unsafe { NodeRef::borrowed(node) }, PhantomData))
    }

    /// Puts `new` in place of the current node, which is dropped with the result, or when its last
    /// reader has gone. Not to be dropped under the lock.
    #[must_use = "what is replaced must be dropped when the lock was let go"]
    pub(in crate::raw) fn swap(&mut self, new: Option<NodeRef<T>>) -> Replaced<'a, T, S> {
        let new = new.map_or(ptr::null_mut(), NodeRef::into_raw);
        // ORDERING: release pairs with the acquire in `load`: readers see the node as it was made.
        let old = self.cell.current.swap(new, Ordering::Release);
        let retired = self.inner.retired.as_mut();
        Replaced {
            cell: self.cell,
            // SAFETY: the cell owned a share in what stood there, and now it does not any more.
            node: (!old.is_null()).then(|| unsafe { NodeRef::from_raw(old) }),
            refused: retired.map_or(Vec::new(), |retired| std::mem::take(&mut retired.refused)),
        }
    }

    /// Drops what is retired and not read any more, after letting go of the lock.
    fn sweep(mut self) {
        let Some(mut retired) = self.inner.retired.take() else {
            return;
        };
        let read = count_read(&mut retired.behind);
        let unread = retired.behind.split_off(read);
        if !retired.is_empty() {
            self.inner.retired = Some(retired);
        }
        drop(self);
        drop(unread);
    }
}

/// Moves those of the nodes that are read to the front, and says how many they are.
fn count_read<T>(nodes: &mut [NodeRef<T>]) -> usize {
    let mut read = 0;
    if !nodes.is_empty() {
        registry::each_shown(|address| {
            if let Some(at) = nodes[read..].iter().position(|n| n.address() == address) {
                nodes.swap(read, read + at);
                read += 1;
            }
        });
    }
    read
}

impl<T, S> Cell<T, S> {
    #[cfg(not(dogpile_loom))]
    fn current_under_lock(&self) -> *mut Node<T> {
        // ORDERING: relaxed: stored under the lock.
        self.current.load(Ordering::Relaxed)
    }

    // LOOM: as in `Slot::is_free`: whoever looks here may go on to replace it.
    #[cfg(dogpile_loom)]
    fn current_under_lock(&self) -> *mut Node<T> {
        let null = ptr::null_mut();
        // ORDERING: relaxed: stored under the lock.
        let found =
            (self.current).compare_exchange(null, null, Ordering::Relaxed, Ordering::Relaxed);
        found.unwrap_or_else(|current| current)
    }
}

impl<T, S> Deref for Locked<'_, T, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner.state
    }
}

impl<T, S> DerefMut for Locked<'_, T, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inner.state
    }
}

impl<T> Retired<T> {
    fn is_empty(&self) -> bool {
        self.behind.is_empty() && self.refused.is_empty()
    }
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Self {
            behind: Vec::new(),
            refused: Vec::new(),
        }
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

/// What was replaced. Dropping it passes the barrier and sweeps.
pub(in crate::raw) struct Replaced<'a, T, S> {
    cell: &'a Cell<T, S>,
    node: Option<NodeRef<T>>,
    /// What waits for a barrier that begins later than it was replaced: this one does.
    refused: Vec<NodeRef<T>>,
}

impl<T, S> Drop for Replaced<'_, T, S> {
    fn drop(&mut self) {
        if self.node.is_none() && self.refused.is_empty() {
            return;
        }
        // Not under the lock: readers that drop a guard would wait for the kernel.
        let passed = barrier::heavy();
        let mut locked = self.cell.lock();
        let nobody_reads = |node: &mut NodeRef<T>| count_read(slice::from_mut(node)) == 0;
        if passed && self.node.as_mut().is_some_and(nobody_reads) && self.refused.is_empty() {
            // The usual case: it is dropped with `self`, after the lock.
            return locked.sweep();
        }
        let nodes = self.refused.drain(..).chain(self.node.take());
        let retired = locked.inner.retired.get_or_insert_with(Box::default);
        if passed {
            retired.behind.extend(nodes);
        } else {
            retired.refused.extend(nodes);
        }
        locked.sweep();
    }
}

/// A node that is kept alive for its reader, by a slot or by a share of its own.
pub(crate) struct Protected<'a, T, S> {
    /// Dropped with it only if it is a share of its own.
    node: ManuallyDrop<NodeRef<T>>,
    shown: Option<InSlot<'a, T, S>>,
}

struct InSlot<'a, T, S> {
    slot: &'static Slot,
    cell: &'a Cell<T, S>,
}

impl<T, S> From<NodeRef<T>> for Protected<'_, T, S> {
    fn from(node: NodeRef<T>) -> Self {
        Self {
            node: ManuallyDrop::new(node),
            shown: None,
        }
    }
}

impl<T, S> Deref for Protected<'_, T, S> {
    type Target = NodeRef<T>;

    #[inline]
    fn deref(&self) -> &NodeRef<T> {
        &self.node
    }
}

impl<T, S> AsNode<T> for Protected<'_, T, S> {
    #[inline]
    fn node(&self) -> &NodeRef<T> {
        &self.node
    }
}

impl<T, S> Drop for Protected<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        match self.shown {
            Some(InSlot { slot, cell }) => {
                let address = self.node.address();
                slot.clear();
                barrier::light();
                // ORDERING: relaxed: only compared. What it must not miss, the barrier sees to.
                if cell.current.load(Ordering::Relaxed).cast_const().cast() != address {
                    cell.sweep();
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
