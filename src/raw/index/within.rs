//! A value of a pile that stands within an entry: [`Within`].

use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::Shown;
use crate::raw::Protected;
use crate::raw::value::{AsNode, NodeRef, ValueRef};

/// A value, kept alive together with the entry whose pile it is of. Who lets go of a value looks at the
/// pile once more, so the entry has to be there until then.
pub(crate) struct Within<'a, T, E> {
    // In this order: the value goes first.
    node: Protected<'a, T>,
    entry: Shown<'a, E>,
}

impl<'a, T, E> Within<'a, T, E> {
    /// What a look at an entry finds, and what else it tells.
    #[inline]
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

impl<T, E> AsNode<T> for Within<'_, T, E> {
    #[inline]
    fn node(&self) -> &NodeRef<T> {
        &self.node
    }
}

// As pile and entry are by themselves.
impl<T: RefUnwindSafe, E: RefUnwindSafe> UnwindSafe for Within<'_, T, E> {}
impl<T: RefUnwindSafe, E: RefUnwindSafe> RefUnwindSafe for Within<'_, T, E> {}
