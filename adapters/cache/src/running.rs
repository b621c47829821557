//! The creations that run, as far as those who change a key meanwhile have to know of them.
//!
//! A creator puts its value into the cache, and somebody may change the key at the same time. Who wins is
//! decided here, under a short lock: a change is noted, and the creator makes its entry current only if
//! there is no note. Else the entry that the creator has put may stand in the place of the change. Then the
//! creator puts the change there once more.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::Entry;

/// What somebody made of a key.
pub(crate) enum Change<T> {
    Set(Entry<T>),
    Removed,
}

impl<T> Change<T> {
    fn entry(&self) -> Option<&Entry<T>> {
        match self {
            Change::Set(entry) => Some(entry),
            Change::Removed => None,
        }
    }
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Change::Set(entry) => Change::Set(entry.clone()),
            Change::Removed => Change::Removed,
        }
    }
}

/// One creation.
struct Creation<K, T> {
    key: K,
    hash: u64,
    /// The number of its lease.
    fence: u64,
    /// What the cache had before.
    previous: Option<Entry<T>>,
    /// What came since it began, if anything did.
    change: Option<Change<T>>,
    /// Whether the creator knows of the change.
    is_known: bool,
    /// Whether the key was expired since.
    is_expired: bool,
}

type Shard<K, T> = HashTable<Creation<K, T>>;

/// The creations that run.
pub(crate) struct Running<K, T> {
    // A lock for each few of the keys. It is held for a few instructions and an `Eq`.
    shards: Box<[Mutex<Shard<K, T>>]>,
    hasher: RandomState,
}

const SHARDS: usize = 16;

impl<K, T> Running<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// How many creations run.
    pub(crate) fn len(&self) -> usize {
        let locked = |shard: &Mutex<Shard<_, _>>| {
            let table = shard.lock().unwrap_or_else(PoisonError::into_inner);
            table.len()
        };
        self.shards.iter().map(locked).sum()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<K, T>> {
        // The table takes its own bits from both ends.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        // What panics under it is an `Eq`, which changes nothing.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, T> Running<K, T> {
    /// Does something to the creation of a key, if one runs.
    fn visit<Q: Eq + Hash + ?Sized, R>(
        &self,
        key: &Q,
        visit: impl FnOnce(&mut Creation<K, T>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash);
        let found = shard.find_mut(hash, |creation| creation.key.borrow() == key);
        found.map(visit)
    }

    /// Notes a change of a key for the creator that runs, if one does. The cache is changed after that.
    pub(crate) fn change<Q: Eq + Hash + ?Sized>(&self, key: &Q, change: Change<T>)
    where
        K: Borrow<Q>,
    {
        let before = self.visit(key, |creation| {
            creation.is_known = false;
            creation.is_expired = false;
            creation.change.replace(change)
        });
        drop(before); // Under no lock.
    }

    /// Has the value that is being created be stale at once.
    pub(crate) fn expire<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.visit(key, |creation| {
            creation.is_expired = true;
            if let Some(Change::Set(entry)) = &creation.change {
                entry.expire();
            }
        });
    }

    /// What a pending entry stands for at present.
    #[cold]
    pub(crate) fn meanwhile<Q: Eq + Hash + ?Sized>(
        &self,
        key: &Q,
        entry: &Entry<T>,
    ) -> Option<Entry<T>>
    where
        K: Borrow<Q>,
    {
        let meanwhile = self.visit(key, |creation| match &creation.change {
            Some(change) => change.entry().cloned(),
            None => creation.previous.clone(),
        });
        match entry.settled() {
            Some(settled) => settled.cloned(),
            None => meanwhile.flatten(),
        }
    }

    /// A creation begins. It ends when what is returned is dropped.
    pub(crate) fn begin(&self, key: K, fence: u64) -> Begun<'_, K, T>
    where
        K: Clone,
    {
        let hash = self.hasher.hash_one(&key);
        let creation = Creation {
            key: key.clone(),
            hash,
            fence,
            previous: None,
            change: None,
            is_known: false,
            is_expired: false,
        };
        let mut shard = self.shard(hash);
        let late = match shard.find_mut(hash, |creation| creation.key == key) {
            // That of a creator from whom the lease was taken over.
            Some(late) => Some(mem::replace(late, creation)),
            None => {
                shard.insert_unique(hash, creation, |creation| creation.hash);
                None
            }
        };
        drop(shard);
        drop(late);
        Begun {
            running: self,
            key,
            hash,
            fence,
            put: None,
        }
    }
}

/// A creation that runs.
pub(crate) struct Begun<'a, K: Eq, T> {
    running: &'a Running<K, T>,
    key: K,
    hash: u64,
    fence: u64,
    /// What it has put into the cache and is not settled.
    put: Option<Entry<T>>,
}

/// What a creator has to do to the cache next.
pub(crate) enum Write<T> {
    /// Put this, which is pending, and [go on](Begun::next).
    Put(Entry<T>),
    /// Remove what is there, and go on.
    Remove,
    /// Nothing more.
    Done,
}

impl<K: Eq, T> Begun<'_, K, T> {
    fn visit<R>(&self, visit: impl FnOnce(&mut Creation<K, T>) -> R) -> Option<R> {
        let mut shard = self.running.shard(self.hash);
        let is_own =
            |creation: &Creation<K, T>| creation.fence == self.fence && creation.key == self.key;
        shard.find_mut(self.hash, is_own).map(visit)
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Notes what the cache has. A change of the key goes before it.
    pub(crate) fn has_previous(&self, entry: &Entry<T>) {
        self.visit(|creation| creation.previous = Some(entry.clone()));
    }

    /// The value was made. Says what to do to the cache.
    pub(crate) fn made(&mut self, entry: Entry<T>) -> Write<T> {
        // Of a key that was changed the cache has the change.
        let is_to_put = self.visit(|creation| creation.change.is_none());
        match is_to_put {
            Some(true) => self.puts(entry),
            _ => Write::Done,
        }
    }

    fn puts(&mut self, entry: Entry<T>) -> Write<T> {
        self.put = Some(entry.clone());
        Write::Put(entry)
    }

    /// It was done. Says what is to be done besides.
    pub(crate) fn next(&mut self) -> Write<T> {
        let put = self.put.clone();
        let change = self.visit(|creation| {
            if creation.change.is_some() && !creation.is_known {
                creation.is_known = true;
                return creation.change.clone();
            }
            if let Some(put) = &put {
                if creation.is_expired {
                    put.expire();
                }
                put.make_current();
            }
            None
        });
        let Some(change) = change.flatten() else {
            // Settled, unless the lease was taken over: then the entry stays pending, for nobody.
            return Write::Done;
        };
        if let Some(put) = self.put.take() {
            put.make_late(change.entry().cloned());
        }
        match change {
            // A copy: should the key be changed again, this one must not be an answer.
            Change::Set(entry) => self.puts(Entry::pending(entry.value().clone())),
            Change::Removed => Write::Remove,
        }
    }
}

impl<K: Eq, T> Drop for Begun<'_, K, T> {
    fn drop(&mut self) {
        let mut shard = self.running.shard(self.hash);
        let is_own =
            |creation: &Creation<K, T>| creation.fence == self.fence && creation.key == self.key;
        let ended: Option<Creation<K, T>> = match shard.find_entry(self.hash, is_own) {
            Ok(found) => Some(found.remove().0),
            Err(_) => None,
        };
        // Left in the middle, its entry may stand in the place of the change.
        if let (Some(put), Some(ended)) = (&self.put, &ended) {
            put.make_late(ended.change.as_ref().and_then(Change::entry).cloned());
        }
        drop(shard);
        drop(ended);
    }
}
