//! Several processes in one model: piles of a fleet over a store whose verbs are one step each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dogpile::{Clock, Tick};
use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, FleetDogpile, Found, Grant, Key, MemoryStore, Placed,
    Put, Store, Version,
};

use crate::HOUR;
use crate::sync::{Condvar, Mutex};

/// A time that stands still: in a model nothing is late.
struct Still;

impl Clock for Still {
    fn now(&self) -> Tick {
        Tick::from_nanos(1_000_000_000_000_000)
    }
}

/// What the processes share.
struct Records {
    store: MemoryStore,
    /// Held for a verb, so that each is one step of the model.
    step: Mutex<()>,
    changed: Condvar,
    /// The highest version that was stored. A witness: it is no step.
    highest: AtomicU64,
}

/// The store as one process has it. Which of them it is, its address tells.
pub struct Process {
    records: Arc<Records>,
    /// So that the address is its own.
    _number: usize,
}

impl Process {
    /// So many processes over one store.
    pub fn several<const SIZE: usize>() -> [Arc<Self>; SIZE] {
        let records = Arc::new(Records {
            store: MemoryStore::with_clock(Arc::new(Still)),
            step: Mutex::new(()),
            changed: Condvar::new(),
            highest: AtomicU64::new(0),
        });
        std::array::from_fn(|number| {
            Arc::new(Self {
                records: Arc::clone(&records),
                _number: number,
            })
        })
    }

    /// A pile of this process over the record of `key`, whose values are fresh for longer than the
    /// model takes.
    pub fn pile(self: &Arc<Self>, key: &str) -> Arc<FleetDogpile<Vec<u8>, Self>> {
        let builder = FleetDogpile::builder(Arc::clone(self), key, HOUR);
        Arc::new(builder.clock(Arc::new(Still)).build())
    }

    /// What the store has: the number that the value is, and its version. It is no step.
    pub fn stored(&self, key: &Key) -> Option<(u8, Version)> {
        let found = self.records.store.get_or_lease(key, &Ask::peek());
        let found = found.expect("it is in memory");
        let stored = found.stored()?;
        // What the pile adds stands behind it.
        let bytes = stored.bytes.as_ref().expect("nothing is known before");
        Some((bytes[0], stored.version))
    }

    /// The highest version that was stored so far, by whomever. It is no step.
    pub fn highest(&self) -> Version {
        Version(self.records.highest.load(Ordering::SeqCst))
    }

    fn verb<R>(&self, changes: bool, verb: impl FnOnce(&MemoryStore) -> R) -> R {
        let step = self.records.step.lock().expect("no verb panics");
        let answer = verb(&self.records.store);
        drop(step);
        if changes {
            self.records.changed.notify_all();
        }
        answer
    }
}

impl Described for Process {
    fn abilities(&self) -> Abilities {
        let mut abilities = self.records.store.abilities();
        // A lease need not be renewed: that is done by a real thread, which a model has none of.
        abilities.sees_death = true;
        abilities.hints = false;
        abilities
    }
}

impl Store for Process {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.verb(false, |store| store.get_or_lease(key, ask))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.verb(true, |store| {
            let placed = store.put(key, put);
            if let Ok(Placed::Stored(version)) = placed {
                self.records.highest.fetch_max(version.0, Ordering::SeqCst);
            }
            placed
        })
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.verb(false, |store| store.renew(key, grant, lease))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.verb(true, |store| store.release(key, grant, quiet))
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.verb(true, |store| store.invalidate(key, depth, only))
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.verb(true, |store| store.invalidate_all(namespace, depth))
    }

    /// Until the lease is over, however long that takes: where it never is, the model is stuck.
    fn nap(&self, key: &Key, fence: Version, _: Duration, _: Duration) {
        let mut step = self.records.step.lock().expect("no verb panics");
        loop {
            match self.records.store.get_or_lease(key, &Ask::peek()) {
                Ok(Found::Busy { fence: held, .. }) if held == fence => {}
                _ => return,
            }
            step = self.records.changed.wait(step).expect("no verb panics");
        }
    }
}
