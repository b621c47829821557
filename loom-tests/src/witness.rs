//! What has happened to a pile, as seen by those who did it; and whether an answer of the pile may
//! be, after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use shuttle::thread::{self, ThreadId};

use crate::Counted;

// Not shuttle's: each access is one with what stands around it. One thread runs at a time, so the
// moments are in the order in which things happen.
/// When something happened.
type Moment = usize;

/// Watches one pile.
#[derive(Default)]
pub struct Witness {
    now: AtomicUsize,
    /// Nothing that was over before this moment may be seen any more.
    floor: AtomicUsize,
    /// Nothing that was over before this moment may be called fresh any more.
    expired: AtomicUsize,
    creates: AtomicBool,
    alive: Arc<AtomicUsize>,
}

/// A value, and when it was over: a creation when it began, a `set` when it returned.
pub struct Value {
    counted: Counted,
    over: Arc<AtomicUsize>,
    maker: ThreadId,
}

impl Witness {
    fn moment(&self) -> Moment {
        self.now.fetch_add(1, Relaxed) + 1
    }

    /// A creator begins.
    pub fn begin(&self) -> Creation<'_> {
        assert!(!self.creates.swap(true, Relaxed), "two creators at once");
        Creation {
            witness: self,
            began: self.moment(),
        }
    }

    fn value(&self, number: Moment, over: Moment) -> Value {
        Value {
            counted: Counted::new(number, &self.alive),
            over: Arc::new(AtomicUsize::new(over)),
            maker: thread::current().id(),
        }
    }

    /// Has `set` put a value into the pile.
    pub fn set(&self, set: impl FnOnce(Value)) {
        let began = self.moment();
        let value = self.value(began, usize::MAX);
        let over = Arc::clone(&value.over);
        set(value);
        over.store(self.moment(), Relaxed);
        self.floor.fetch_max(began, Relaxed);
    }

    /// Has `invalidate` remove what is in the pile; it says whether it did.
    pub fn invalidate(&self, invalidate: impl FnOnce() -> bool) {
        let began = self.moment();
        if invalidate() {
            self.floor.fetch_max(began, Relaxed);
        }
    }

    /// Has `expire` mark what is in the pile; it says whether it did.
    pub fn expire(&self, expire: impl FnOnce() -> bool) {
        let began = self.moment();
        if expire() {
            self.expired.fetch_max(began, Relaxed);
        }
    }

    /// A call begins.
    pub fn call(&self) -> Call<'_> {
        Call {
            witness: self,
            began: self.moment(),
            floor: self.floor.load(Relaxed),
            expired: self.expired.load(Relaxed),
        }
    }

    /// How many values are alive.
    pub fn alive(&self) -> usize {
        self.alive.load(Relaxed)
    }
}

impl Value {
    /// Differs from that of any other value, and is higher for those whose making began later.
    pub fn number(&self) -> usize {
        self.counted.number()
    }

    /// Whether this thread made it.
    pub fn is_own(&self) -> bool {
        self.maker == thread::current().id()
    }
}

/// A creator at work.
pub struct Creation<'a> {
    witness: &'a Witness,
    began: Moment,
}

impl Creation<'_> {
    pub fn value(&self) -> Value {
        self.witness.value(self.began, self.began)
    }

    /// The number that its value has.
    pub fn number(&self) -> usize {
        self.began
    }
}

impl Drop for Creation<'_> {
    fn drop(&mut self) {
        self.witness.creates.store(false, Relaxed);
    }
}

/// A call, with what was so when it began.
pub struct Call<'a> {
    witness: &'a Witness,
    began: Moment,
    floor: Moment,
    expired: Moment,
}

impl Call<'_> {
    /// It was answered with this value: nothing older is to be seen from now on.
    pub fn saw(&self, value: &Value) {
        let number = value.number();
        let over = value.over.load(Relaxed);
        assert!(over >= self.floor, "a value from before what is known");
        if over == number {
            self.witness.floor.fetch_max(number, Relaxed);
        }
    }

    /// As [`saw`](Call::saw), but no call that begins later will: the creation was superseded. That
    /// came after this call had begun, if the creation is not its own.
    pub fn saw_superseded(&self, value: &Value) {
        let over = value.over.load(Relaxed);
        assert!(over >= self.floor, "superseded before the call began");
    }

    /// As [`saw`](Call::saw), as a fresh one.
    pub fn saw_fresh(&self, value: &Value) {
        self.saw(value);
        let over = value.over.load(Relaxed);
        assert!(over > self.expired, "fresh, from before an expire");
    }

    /// As [`saw`](Call::saw), as its own.
    pub fn saw_new(&self, value: &Value) {
        self.saw(value);
        assert!(value.number() > self.began, "not its own");
    }

    pub fn began(&self) -> Moment {
        self.began
    }

    /// Whether the making of the value was not over when the call began.
    pub fn is_before(&self, value: &Value) -> bool {
        value.over.load(Relaxed) > self.began
    }

    /// It was answered with the error of a creation.
    pub fn failed(&self, error: Moment) {
        assert!(error >= self.floor, "the error of a superseded creation");
    }
}
