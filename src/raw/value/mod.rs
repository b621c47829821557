//! The current value: how it is stored, read without a lock, replaced and freed.

pub(in crate::raw) mod barrier;
pub(in crate::raw) mod cell;
pub(in crate::raw) mod hurry;
pub(in crate::raw) mod node;
pub(in crate::raw) mod own;
pub(in crate::raw) mod registry;
pub(in crate::raw) mod retired;
mod slot;
mod under_lock;

pub(in crate::raw) use self::cell::{Cell, Locked, Protected, Replaced};
pub(crate) use self::node::{AsNode, Node, NodeRef, ValueRef};
pub(in crate::raw) use self::slot::Slot;
pub(in crate::raw) use self::under_lock::under_lock;
