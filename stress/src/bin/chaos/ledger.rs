//! What is known of a pile from outside, and what must never be.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Origin, Seen};

const ALIVE: u64 = 0x0a11_0e0a_110e_0a11;
const DROPPED: u64 = 0xdead_dead_dead_dead;

static STAMPS: AtomicU64 = AtomicU64::new(1);
static SEED: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);
/// How many values and errors are alive.
static VALUES: AtomicI64 = AtomicI64::new(0);
static ERRORS: AtomicI64 = AtomicI64::new(0);

pub(crate) fn stamp() -> u64 {
    STAMPS.fetch_add(1, Ordering::SeqCst)
}

pub(crate) fn seed() -> u64 {
    SEED.load(Ordering::Relaxed)
}

pub(crate) fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

/// A promise was broken.
pub(crate) fn fault(what: &str) {
    // The first ones say enough.
    if FAULTS.fetch_add(1, Ordering::SeqCst) < 8 {
        println!("seed {}: {what}", seed());
    }
}

pub(crate) fn demand(holds: bool, otherwise: impl FnOnce() -> String) {
    if !holds {
        fault(&otherwise());
    }
}

pub(crate) fn faults() -> u64 {
    FAULTS.load(Ordering::SeqCst)
}

/// Of values and of errors.
pub(crate) fn alive() -> (i64, i64) {
    (VALUES.load(Ordering::SeqCst), ERRORS.load(Ordering::SeqCst))
}

/// Whether no more values than this are left, and as many errors. A job that has let go of its pile may be
/// about to drop what it made.
pub(crate) fn only_left(values: i64, errors: i64) -> bool {
    let over = Instant::now() + Duration::from_secs(5);
    loop {
        let (values_now, errors_now) = alive();
        if values_now <= values && errors_now <= errors {
            return true;
        }
        if Instant::now() > over {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// A value that knows when its creation began, and shows whether it was dropped, also to somebody who
/// should not look there any more.
pub(crate) struct Value {
    state: AtomicU64,
    began: AtomicU64,
    /// When the `set` that it came with had returned, or 0 before that.
    set: Option<Arc<AtomicU64>>,
    /// It is older than what was there before.
    lent: bool,
}

impl Value {
    pub(crate) fn created(began: u64) -> Self {
        Self::new(began, None)
    }

    /// For a `set`.
    pub(crate) fn given(returned: &Arc<AtomicU64>) -> Self {
        Self::new(0, Some(Arc::clone(returned)))
    }

    pub(crate) fn new(began: u64, set: Option<Arc<AtomicU64>>) -> Self {
        VALUES.fetch_add(1, Ordering::SeqCst);
        Self {
            state: AtomicU64::new(ALIVE),
            began: AtomicU64::new(began),
            set,
            lent: false,
        }
    }

    /// For a `lend` by a creator that began then.
    pub(crate) fn lent(began: u64) -> Self {
        let mut value = Self::new(began, None);
        value.lent = true;
        value
    }

    /// A creation that began then found that it is still true.
    pub(crate) fn validated(&self, began: u64) {
        self.began.fetch_max(began, Ordering::SeqCst);
    }

    /// As one whose call began when `floor` was that.
    pub(crate) fn look(&self, floor: u64) {
        let state = self.state.load(Ordering::SeqCst);
        demand(state == ALIVE, || {
            format!("a guard shows a dropped value: {state:x}")
        });
        let began = self.began.load(Ordering::SeqCst);
        let set = self
            .set
            .as_ref()
            .map_or(1, |set| set.load(Ordering::SeqCst));
        demand(set == 0 || began.max(set) > floor, || {
            format!(
                "invalidate_wins: its creation began at {began}, an invalidate at {floor} had returned"
            )
        });
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value(began {})", self.began.load(Ordering::SeqCst))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let before = self.state.swap(DROPPED, Ordering::SeqCst);
        demand(before == ALIVE, || {
            format!("a value is dropped twice: {before:x}")
        });
        VALUES.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What creators fail with.
#[derive(Debug)]
pub(crate) struct Failed(());

impl Failed {
    pub(crate) fn new() -> Self {
        ERRORS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Failed {
    fn drop(&mut self) {
        ERRORS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What creators panic with; the panic hook does not see it.
pub(crate) struct Panics;

/// Of one pile, or one key; or of a whole map, of which only creators are counted.
pub(crate) struct Ledger {
    what: &'static str,
    creators: AtomicI64,
    most: i64,
    /// When the last `invalidate` that has returned began.
    invalidated: AtomicU64,
    readers: AtomicI64,
    writes: AtomicBool,
}

impl Ledger {
    pub(crate) fn new(what: &'static str, most: i64) -> Arc<Self> {
        Arc::new(Self {
            what,
            creators: AtomicI64::new(0),
            most,
            invalidated: AtomicU64::new(0),
            readers: AtomicI64::new(0),
            writes: AtomicBool::new(false),
        })
    }

    /// A creator begins.
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        let now = self.creators.fetch_add(1, Ordering::SeqCst) + 1;
        demand(now <= self.most, || {
            format!(
                "{}: {now} creators at once, at most {}",
                self.what, self.most
            )
        });
        Inside(Arc::clone(self))
    }

    /// For a call that begins.
    pub(crate) fn floor(&self) -> u64 {
        self.invalidated.load(Ordering::SeqCst)
    }

    /// `invalidate` says whether it did.
    pub(crate) fn invalidate(&self, invalidate: impl FnOnce() -> bool) {
        let began = stamp();
        if invalidate() {
            self.invalidated.fetch_max(began, Ordering::SeqCst);
        }
    }

    /// The caller holds a read guard from here on, and drops the answer first.
    pub(crate) fn read(self: &Arc<Self>) -> Reading {
        self.readers.fetch_add(1, Ordering::SeqCst);
        demand(!self.writes.load(Ordering::SeqCst), || {
            "write_lock_excludes_readers: a reader beside a writer".to_owned()
        });
        Reading(Arc::clone(self))
    }

    /// The caller holds the write lock.
    pub(crate) fn write(&self) {
        let beside = self.writes.swap(true, Ordering::SeqCst);
        demand(!beside, || "two writers at once".to_owned());
        for _ in 0..50 {
            std::hint::spin_loop();
        }
        let readers = self.readers.load(Ordering::SeqCst);
        demand(readers == 0, || {
            format!("write_lock_excludes_readers: {readers} readers")
        });
        self.writes.store(false, Ordering::SeqCst);
    }
}

/// A creator that runs.
pub(crate) struct Inside(Arc<Ledger>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.creators.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A read guard that is held.
pub(crate) struct Reading(Arc<Ledger>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The newest value that one thread has seen of a pile.
#[derive(Clone, Copy, Default)]
pub(crate) struct Newest(Option<Seen>);

impl Newest {
    /// It is given a value in a call that began after it had seen what it has seen. One that was
    /// superseded never was the pile's: if its lease was taken over, and the new one came to nothing, the
    /// pile goes on with the value of before. One that was lent is older by its nature.
    pub(crate) fn sees(&mut self, value: &Value, seen: Seen, origin: Origin) {
        if value.lent {
            return;
        }
        demand(self.0.is_none_or(|newest| newest <= seen), || {
            format!("given {seen:?} ({origin:?}), after {:?}", self.0)
        });
        if origin != Origin::Superseded {
            self.0 = self.0.max(Some(seen));
        }
    }

    pub(crate) fn get(self) -> Option<Seen> {
        self.0
    }
}
