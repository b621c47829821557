//! The value cell: which node is the current one.

use crate::raw::node::NodeRef;
use crate::sync::Mutex;

/// The current node, read by anyone, replaced under the pile's lock.
///
/// A lock and a counted node: correct, simple, and slower than it has to be. Its face is what
/// matters to the rest.
pub(super) struct Cell<T> {
    current: Mutex<Option<NodeRef<T>>>,
}

impl<T> Cell<T> {
    crate::sync::const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self { current: Mutex::new(None) }
        }
    }

    pub(super) fn load(&self) -> Option<NodeRef<T>> {
        self.current.lock().clone()
    }

    /// Puts `new` in place of the current node, which the caller must drop where no lock is held.
    #[must_use = "the old value must be dropped outside the pile's lock"]
    pub(super) fn swap(&self, new: Option<NodeRef<T>>) -> Option<NodeRef<T>> {
        std::mem::replace(&mut *self.current.lock(), new)
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut NodeRef<T>> {
        self.current.get_mut().as_mut()
    }

    pub(super) fn into_inner(self) -> Option<NodeRef<T>> {
        self.current.into_inner()
    }
}
