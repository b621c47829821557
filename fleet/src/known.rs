//! What this process knows of a record besides its copy: [`Known`]; and of many records, by their names
//! in the store: [`Register`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::store::{Key, Version};
use crate::sync;
use crate::unanswered::Unanswered;
use crate::writes::Writes;

/// What this process did to its copies of a record, and what was done to them.
///
/// Each copy has a share in it, and so has each call that runs. So it lives for as long as there is
/// anything that it could be compared with, and no longer.
pub(crate) struct Known {
    pub(crate) key: Key,
    /// How often the copies were made stale.
    marks: sync::AtomicU64,
    /// How often in a row the store said that others renew.
    pub(crate) busy: AtomicU32,
    /// The version that this process is about to store, whose hint is no news.
    own: sync::AtomicU64,
    pub(crate) writes: Writes,
    pub(crate) unanswered: Unanswered,
    /// Where it is to be forgotten.
    register: Option<Weak<dyn Forgets>>,
}

/// What this process had done to its copies when something was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Since {
    /// How often a write had begun or ended.
    pub(crate) writes: u64,
    /// How often they had been made stale.
    pub(crate) mark: u64,
}

impl Known {
    /// Of a record that stands in no register.
    pub(crate) fn new(key: Key) -> Self {
        Self::registered(key, None)
    }

    fn registered(key: Key, register: Option<Weak<dyn Forgets>>) -> Self {
        Self {
            key,
            marks: sync::AtomicU64::new(0),
            busy: AtomicU32::new(0),
            own: sync::AtomicU64::new(0),
            writes: Writes::default(),
            unanswered: Unanswered::default(),
            register,
        }
    }

    pub(crate) fn mark(&self) -> u64 {
        self.marks.load(Ordering::SeqCst)
    }

    /// What was asked for before this is stale.
    pub(crate) fn make_stale(&self) {
        self.marks.fetch_add(1, Ordering::SeqCst);
    }

    /// What this process has done to its copies so far.
    pub(crate) fn since(&self) -> Since {
        Since {
            writes: self.writes.so_far(),
            mark: self.mark(),
        }
    }

    pub(crate) fn about_to_store(&self, version: Version) {
        self.own.store(version.0, Ordering::SeqCst);
    }

    /// Whether this process has stored this version itself, or is about to.
    pub(crate) fn is_own(&self, version: Version) -> bool {
        self.own.load(Ordering::SeqCst) == version.0
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(register) = self.register.as_ref().and_then(Weak::upgrade) {
            register.forget(self);
        }
    }
}

trait Forgets: Send + Sync {
    fn forget(&self, known: &Known);
}

/// The records of which this process knows something, with their keys in this process. A record that
/// nothing refers to any more is in it no longer.
pub(crate) struct Register<K>(Mutex<HashMap<Key, Named<K>>>);

struct Named<K> {
    key: Arc<K>,
    known: Weak<Known>,
}

// No code of the user runs under the lock: keys are made, and dropped, without it.
impl<K: Send + Sync + 'static> Register<K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Named<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the record `name`, whose key here is `key`.
    pub(crate) fn enter(self: &Arc<Self>, name: Key, key: &Arc<K>) -> Arc<Known> {
        let mut all = self.lock();
        if let Some(known) = all.get(&name).and_then(|named| named.known.upgrade()) {
            return known;
        }
        let register = Arc::downgrade(self) as Weak<dyn Forgets>;
        let known = Arc::new(Known::registered(name.clone(), Some(register)));
        let named = Named {
            key: Arc::clone(key),
            known: Arc::downgrade(&known),
        };
        // If there was one, nobody refers to it any more, and it is not forgotten yet.
        let before = all.insert(name, named);
        drop(all);
        drop(before);
        known
    }

    /// What is known of the record `name`, if anything is.
    pub(crate) fn find(&self, name: &Key) -> Option<(Arc<K>, Arc<Known>)> {
        let all = self.lock();
        let named = all.get(name)?;
        Some((Arc::clone(&named.key), named.known.upgrade()?))
    }

    /// All of which something is known now.
    pub(crate) fn all(&self) -> Vec<(Arc<K>, Arc<Known>)> {
        let all = self.lock();
        let known = |named: &Named<K>| Some((Arc::clone(&named.key), named.known.upgrade()?));
        all.values().filter_map(known).collect()
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl<K: Send + Sync> Forgets for Register<K> {
    fn forget(&self, known: &Known) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = match all.get(&known.key) {
            // Another one came in its place.
            Some(named) if !std::ptr::eq(named.known.as_ptr(), known) => None,
            _ => all.remove(&known.key),
        };
        // A register shrinks as a map does that is emptied: what is left of it is small.
        if all.len() * 4 < all.capacity() {
            let room = all.len() * 2;
            all.shrink_to(room);
        }
        drop(all);
        drop(gone);
    }
}
