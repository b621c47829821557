//! A store in the memory of one process: for tests, and to hold other stores against.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use dogpile::{Clock, SystemClock};

use crate::record::{Head, Space, State, invalidated};
use crate::store::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Hint, Key, MAX_VALUE, Placed,
    Put, Store, StoreError, Version, Watch,
};

/// A store in the memory of one process.
///
/// It does all that a store can do, but for noticing deaths. Give it a
/// [`ManualClock`](dogpile::ManualClock), and no test has to sleep for a lease to end.
pub struct MemoryStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    max_value: u64,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    records: HashMap<Key, Record>,
    spaces: Spaces,
    /// The last number of any record. It stays above those of records that were forgotten.
    last: u64,
    /// Grows with each change, so that a sleeper can tell.
    events: u64,
    /// Steps until the next sweep.
    until_sweep: usize,
    watchers: Vec<Weak<dyn Watch>>,
}

/// The namespaces that were ever invalidated as a whole.
#[derive(Default)]
struct Spaces(HashMap<Arc<str>, Space>);

impl Spaces {
    fn of(&self, key: &Key) -> Space {
        match self.0.is_empty() {
            true => Space::default(),
            false => self.0.get(key.namespace()).copied().unwrap_or_default(),
        }
    }
}

#[derive(Default)]
struct Record {
    state: State,
    value: Option<(Head, Arc<[u8]>)>,
}

impl Record {
    fn head(&self) -> Option<&Head> {
        self.value.as_ref().map(|(head, _)| head)
    }

    /// Takes note of the time and of the namespace, and forgets what is past its end.
    fn prune(&mut self, space: Space, now: u64) {
        self.state = space.state(self.state.at(now));
        self.value = self.value.take().and_then(|(head, bytes)| {
            let head = space.head(head.at(now))?;
            head.is_kept(now).then_some((head, bytes))
        });
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store with a clock of its own.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::default(),
            clock,
            max_value: MAX_VALUE,
        }
    }

    /// Refuses values of more than `bytes`. Default: 256 MiB.
    pub fn max_value(mut self, bytes: u64) -> Self {
        self.max_value = bytes;
        self
    }

    /// Forgets a record, as a store does that makes room or is emptied.
    pub fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        inner.records.remove(key);
        self.changed(&mut inner);
    }

    /// How many records it has. One without a value, a lease and a span of quiet is none.
    pub fn records(&self) -> usize {
        let now = self.now();
        let mut inner = self.lock();
        inner.sweep(now);
        inner.records.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn changed(&self, inner: &mut Inner) {
        inner.events += 1;
        self.shared.changed.notify_all();
    }

    /// Tells those who watch, without the lock.
    fn tell(&self, watchers: Vec<Arc<dyn Watch>>, key: &Key, version: Version, depth: Depth) {
        let hint = Hint::Changed {
            key: key.clone(),
            version,
            depth,
        };
        tell(watchers, &hint);
    }
}

fn tell(watchers: Vec<Arc<dyn Watch>>, hint: &Hint) {
    for watcher in watchers {
        watcher.hint(hint);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing of the caller runs under the lock, so nothing is half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Above all that were. With the clock in it, also above those of an earlier store.
    fn next(&mut self, now: u64) -> u64 {
        self.last = (self.last + 1).max(now / 1000);
        self.last
    }

    fn watchers(&mut self) -> Vec<Arc<dyn Watch>> {
        self.watchers.retain(|watcher| watcher.strong_count() > 0);
        self.watchers.iter().filter_map(Weak::upgrade).collect()
    }

    /// Forgets the records that hold nothing, each time as many steps were made as there are records.
    fn step(&mut self, now: u64) {
        match self.until_sweep {
            0 => self.sweep(now),
            _ => self.until_sweep -= 1,
        }
    }

    fn sweep(&mut self, now: u64) {
        let spaces = &self.spaces;
        self.records.retain(|key, record| {
            record.prune(spaces.of(key), now);
            record.value.is_some() || !record.state.is_idle(now)
        });
        self.until_sweep = self.records.len().max(64);
    }
}

impl Described for MemoryStore {
    fn abilities(&self) -> Abilities {
        Abilities {
            monotonic: true,
            resend_safe: true,
            hints: true,
            namespaces: true,
            resolution: Duration::from_nanos(1),
            max_value: self.max_value,
            ..Abilities::least()
        }
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.lock().watchers.push(watch);
        true
    }
}

impl Store for MemoryStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let now = self.now();
        let mut inner = self.lock();
        let next = inner.next(now);
        inner.step(now);
        let space = inner.spaces.of(key);
        let mut absent = Record::default();
        let record = match ask.owner {
            Some(_) => inner.records.entry(key.clone()).or_default(),
            None => inner.records.get_mut(key).unwrap_or(&mut absent),
        };
        record.prune(space, now);
        let decision =
            record
                .state
                .decide(record.value.as_ref().map(|(head, _)| head), ask, next, now);
        let (state, value) = (record.state, record.value.clone());
        drop(inner);
        // The bytes are copied without the lock.
        let stored = value.map(|(head, bytes)| {
            let known = head.version == ask.known.0;
            head.stored((!known).then(|| bytes.to_vec()), now)
        });
        Ok(state.found(decision, stored, now))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let length = put.bytes.len() as u64;
        if length > self.max_value {
            let remedy = "raise it with `MemoryStore::max_value`";
            return Err(StoreError::too_large(length, self.max_value, remedy));
        }
        let bytes: Arc<[u8]> = put.bytes.into();
        let now = self.now();
        let mut inner = self.lock();
        let next = inner.next(now);
        inner.step(now);
        let space = inner.spaces.of(key);
        let record = match put.guard {
            Guarded::Lease(_) => match inner.records.get_mut(key) {
                Some(record) => record,
                None => return Ok(Placed::Gone),
            },
            _ => inner.records.entry(key.clone()).or_default(),
        };
        record.prune(space, now);
        let head = record.head().copied();
        let version = match record.state.place(head.as_ref(), put.guard, next) {
            Ok(version) => version,
            Err(placed) => return Ok(placed),
        };
        let head = Head::new(&record.state, (put.age, put.fresh_for, put.keep_for), now);
        let before = record.value.replace((head, bytes));
        self.changed(&mut inner);
        let watchers = inner.watchers();
        drop(inner);
        drop(before);
        // A commit leaves copies of the value before it to their end, a write does not.
        let depth = match put.guard {
            Guarded::Lease(_) => Depth::Soft,
            _ => Depth::Hard,
        };
        self.tell(watchers, key, Version(version), depth);
        Ok(Placed::Stored(Version(version)))
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let now = self.now();
        let mut inner = self.lock();
        let space = inner.spaces.of(key);
        let Some(record) = inner.records.get_mut(key) else {
            return Ok(false);
        };
        record.prune(space, now);
        Ok(record.state.renew(grant, lease, now))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        let now = self.now();
        let mut inner = self.lock();
        let space = inner.spaces.of(key);
        let Some(record) = inner.records.get_mut(key) else {
            return Ok(false);
        };
        record.prune(space, now);
        let kept = record.value.is_some();
        let released = record.state.release(grant, quiet, kept, now);
        if released {
            self.changed(&mut inner);
        }
        Ok(released)
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let now = self.now();
        let mut inner = self.lock();
        let next = inner.next(now);
        let space = inner.spaces.of(key);
        let Some(record) = inner.records.get_mut(key) else {
            return Ok(only.is_none());
        };
        record.prune(space, now);
        if !State::is_meant(record.head(), only) {
            return Ok(false);
        }
        record.state.overtake(next);
        let before = record.value.take();
        record.value = before.as_ref().and_then(|(head, bytes)| {
            invalidated(*head, depth).map(|head| (head, Arc::clone(bytes)))
        });
        self.changed(&mut inner);
        let watchers = inner.watchers();
        drop(inner);
        drop(before);
        self.tell(watchers, key, Version::NONE, depth);
        Ok(true)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let now = self.now();
        let namespace: Arc<str> = namespace.into();
        let mut inner = self.lock();
        let space = inner.spaces.0.entry(Arc::clone(&namespace)).or_default();
        space.invalidate(depth, now);
        self.changed(&mut inner);
        let watchers = inner.watchers();
        drop(inner);
        tell(watchers, &Hint::AllChanged { namespace, depth });
        Ok(())
    }

    /// Sleeps until the record changes, or the clock is moved by hand.
    fn nap(&self, key: &Key, fence: Version, _poll: Duration, until: Duration) {
        let waker = Waker::from(Arc::clone(&self.shared));
        let moved_by_hand = self.clock.on_advance(&waker);
        let deadline = Instant::now() + until.min(Duration::from_secs(3600));
        let mut inner = self.lock();
        let events = inner.events;
        while inner.events == events
            && inner.records.get(key).is_some_and(|record| {
                let state = inner.spaces.of(key).state(record.state);
                state.generation == fence.0 && state.is_leased(self.now())
            })
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.shared.changed.wait_timeout(inner, left);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(inner);
        if moved_by_hand {
            self.clock.forget(&waker);
        }
    }
}

/// The clock was moved.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.lock().events += 1;
        self.changed.notify_all();
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.lock().records.len())
            .finish_non_exhaustive()
    }
}
