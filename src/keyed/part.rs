//! A shard with its lock, and the index by which hits go past the lock.

use crossbeam_utils::CachePadded;

use crate::keyed::entry::Entry;
use crate::keyed::shard::Shard;
use crate::raw::Index;
use crate::shim::{Mutex, MutexGuard};

/// Each on cache lines of its own: hits look at the index alone.
pub(super) struct Part<K, T> {
    /// Changed by the [`Shard`], under its lock.
    index: CachePadded<Index<Entry<K, T>>>,
    shard: CachePadded<Mutex<Shard<K, T>>>,
}

impl<K, T> Part<K, T> {
    pub(super) fn new(is_bounded: bool) -> Self {
        Self {
            index: CachePadded::new(Index::new()),
            shard: CachePadded::new(Mutex::new(Shard::new(is_bounded))),
        }
    }

    #[inline]
    pub(super) fn index(&self) -> &Index<Entry<K, T>> {
        &self.index
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shard<K, T>> {
        self.shard.lock()
    }

    /// Without its index, at the end of the map.
    pub(super) fn end(&mut self) -> &mut Shard<K, T> {
        self.index.clear();
        self.shard.get_mut()
    }
}
