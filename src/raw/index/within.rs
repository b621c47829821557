//! A value of a pile that stands within an entry: [`Within`].

use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::{Index, Indexed, Shown};
use crate::raw::value::{AsNode, NodeRef, ValueRef};
use crate::raw::{Node, Pile, Protected};

/// A value, kept alive together with the entry whose pile it is of. Who lets go of a value looks at the
/// pile once more, so the entry has to be there until then.
pub(crate) struct Within<'a, T, E: Indexed> {
    // In this order: the value goes first.
    node: Protected<'a, T>,
    entry: Shown<'a, E>,
}

impl<'a, T, E: Indexed> Within<'a, T, E> {
    /// The current value of an entry that is found without a lock, if it is the one that is meant, and what
    /// is told of the value. `None` is no refusal.
    #[inline(always)]
    pub(crate) fn hit<R>(
        index: &'a Index<E>,
        hash: u64,
        is_meant: impl FnOnce(&E) -> bool,
        pile: impl for<'e> FnOnce(&'e E) -> &'e Pile<T>,
        tell: impl FnOnce(&Node<T>) -> Option<R>,
    ) -> Option<(ValueRef<Self>, R)> {
        let (entry, slot) = index.find_in_slot(hash)?;
        // SAFETY: as `find_in_slot` says.
        let shown = unsafe { Shown::in_slot(entry, slot, index) };
        if !is_meant(&shown) {
            return None;
        }
        let node = ValueRef::new(pile(&shown).load()?)?;
        let told = tell(node.node())?;
        // SAFETY: as in `look`.
        let node =
            node.map(|node| unsafe { mem::transmute::<Protected<'_, T>, Protected<'a, T>>(node) });
        // The same once more, from registers: what could be dropped in a panic stands in memory.
        mem::forget(shown);
        // SAFETY: as above. The other one will not be dropped.
        let entry = unsafe { Shown::in_slot(entry, slot, index) };
        Some((node.map(|node| Self { node, entry }), told))
    }

    /// What a look at an entry finds, and what else it tells.
    #[inline(always)]
    pub(crate) fn look<R>(
        entry: Shown<'a, E>,
        look: impl for<'e> FnOnce(&'e Shown<'a, E>) -> Option<(ValueRef<Protected<'e, T>>, R)>,
    ) -> Option<(ValueRef<Self>, R)> {
        let (value, told) = look(&entry)?;
        // SAFETY: it borrows of the entry, which does not move with `entry`, and is kept alive by it until it
        // is dropped, or of something that lives for longer than `'e`, whatever that is: for `'a`. It is
        // dropped before `entry`, and given out for as long as both are borrowed.
        let value =
            value.map(|node| unsafe { mem::transmute::<Protected<'_, T>, Protected<'a, T>>(node) });
        Some((value.map(|node| Self { node, entry }), told))
    }

    /// A value that borrows nothing.
    pub(crate) fn counted(entry: Shown<'a, E>, node: ValueRef<NodeRef<T>>) -> ValueRef<Self> {
        node.map(|node| Self {
            node: node.into(),
            entry,
        })
    }

    pub(crate) fn entry(&self) -> &Shown<'a, E> {
        &self.entry
    }
}

impl<T, E: Indexed> AsNode<T> for Within<'_, T, E> {
    #[inline]
    fn node(&self) -> &NodeRef<T> {
        &self.node
    }
}

// As pile and entry are by themselves.
impl<T: RefUnwindSafe, E: Indexed + RefUnwindSafe> UnwindSafe for Within<'_, T, E> {}
impl<T: RefUnwindSafe, E: Indexed + RefUnwindSafe> RefUnwindSafe for Within<'_, T, E> {}
