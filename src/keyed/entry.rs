//! What a map holds for one key, and a caller's visit there.

use std::panic::RefUnwindSafe;

use crate::answer::{HasSite, Site};
#[cfg(feature = "async")]
use crate::executor::JobId;
#[cfg(feature = "async")]
use crate::keyed::multi_background::Jobs;
use crate::keyed::shared::Shared;
use crate::raw::{Asked, Pile};
#[cfg(feature = "async")]
use crate::reentrancy::Creation;
use crate::shim::Arc;
#[cfg(feature = "async")]
use crate::shim::Mutex;

/// A key and its pile.
///
/// Guards hold it for the key's sake. So an entry that was taken out of its map has no value: else a
/// guard of an older value would keep it alive.
// In this order in memory: a hit looks at what comes first, up to where its value is.
#[repr(C)]
pub(crate) struct Entry<K, T> {
    /// That of the key, spread: see [`Shared::spread`].
    pub(super) hash: u64,
    pub(super) key: K,
    /// How often somebody has asked for it since its value came, less once for each time that it was spared.
    pub(super) asked: Asked,
    pub(super) pile: Pile<T>,
}

/// As a pile: a panic leaves it as it was, and its key is never changed.
impl<K: RefUnwindSafe, T: RefUnwindSafe> RefUnwindSafe for Entry<K, T> {}

/// A caller at an entry. Whatever may change the pile of a key is done in a visit: the entry stays in the
/// map until the last visitor leaves, and whoever leaves tells the map what has become of the value.
pub(crate) struct Visit<K, T> {
    map: Arc<Shared<K, T>>,
    entry: Arc<Entry<K, T>>,
}

impl<K, T> Visit<K, T> {
    /// That of a caller who is counted at the entry already.
    pub(super) fn of(map: Arc<Shared<K, T>>, entry: Arc<Entry<K, T>>) -> Self {
        Self { map, entry }
    }

    pub(super) fn entry(&self) -> &Arc<Entry<K, T>> {
        &self.entry
    }

    pub(super) fn site(&self) -> Site<'_, T> {
        self.map.site(&self.entry)
    }

    #[cfg(feature = "async")]
    pub(super) fn key(&self) -> &K {
        &self.entry.key
    }

    /// The jobs of the map that create several keys.
    #[cfg(feature = "async")]
    pub(super) fn jobs(&self) -> &Mutex<Jobs> {
        self.map.jobs()
    }
}

impl<K, T> HasSite<T> for Visit<K, T> {
    fn site(&self) -> Site<'_, T> {
        Visit::site(self)
    }

    #[cfg(feature = "async")]
    fn job_of(&self, creation: Creation) -> Option<JobId> {
        let jobs = self.jobs().lock();
        let found = jobs.iter().find(|(part, _)| *part == creation);
        found.map(|(_, job)| *job)
    }
}

impl<K, T> Drop for Visit<K, T> {
    fn drop(&mut self) {
        self.map.leave(&self.entry);
    }
}
