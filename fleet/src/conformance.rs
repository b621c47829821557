//! What every store must do, one case for each sentence of [`Store`]: so that somebody else's store
//! can prove itself.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::ManualClock;
//! use dogpile_fleet::conformance::{self, Subject};
//! use dogpile_fleet::{MemoryStore, Store};
//!
//! struct Memory(Arc<ManualClock>);
//!
//! impl Subject for Memory {
//!     fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(MemoryStore::with_clock(self.0.clone()))
//!     }
//!
//!     fn pass(&self, span: Duration) {
//!         self.0.advance(span);
//!     }
//! }
//!
//! let report = conformance::run(&Memory(Arc::new(ManualClock::new())));
//! assert!(report.failed.is_empty(), "{report}");
//! ```

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::async_store::AsyncStore;
use crate::store::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Hint, Key, Owner, Placed, Put,
    Store, Stored, Version, Watch, draw,
};

/// A store under test, and what a test may do to it.
///
/// Whatever returns `false` is not possible here, and the case is skipped.
pub trait Subject: Sync {
    /// A store for one case, empty as far as the case sees: each draws keys of its own.
    fn store(&self) -> Arc<dyn Store>;

    /// Lets the store's time pass. A store without a clock for tests sleeps.
    fn pass(&self, span: Duration) {
        thread::sleep(span);
    }

    /// Moves the store's clock to `span` before what it is.
    fn step_back(&self, span: Duration) -> bool {
        let _ = span;
        false
    }

    /// Makes the store forget a record.
    fn forget(&self, store: &dyn Store, key: &Key) -> bool {
        let _ = (store, key);
        false
    }

    /// Destroys a part of a stored value: the `number`th way to do so. `false`: there are no more.
    fn garble(&self, store: &dyn Store, key: &Key, number: usize) -> bool {
        let _ = (store, key, number);
        false
    }

    /// Makes the store lose its connection to those who watch, and find it again.
    fn reconnect(&self, store: &dyn Store) -> bool {
        let _ = (store, self);
        false
    }

    /// The longest that the store takes for a verb, with some room.
    fn slack(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// One promise of a store.
pub struct Case {
    /// The promise in one sentence, with its number.
    pub name: &'static str,
    run: fn(&Bench<'_>) -> Verdict,
}

impl Case {
    /// Whether it still holds where more time passes than was to: of a store whose clock nobody moves, on
    /// a machine that stands still for a while.
    pub fn bears_delays(&self) -> bool {
        const THESE: [&str; 15] = [
            "01", "02", "04", "08", "10", "12", "14", "16", "17", "31", "33", "34", "35", "41",
            "47",
        ];
        THESE.contains(&&self.name[..2])
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Those that hold.
    pub passed: Vec<&'static str>,
    /// Those that do not, and how it showed.
    pub failed: Vec<(&'static str, String)>,
    /// Those that could not be tried on this subject.
    pub skipped: Vec<&'static str>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, skipped) = (self.passed.len(), self.skipped.len());
        write!(
            f,
            "{passed} passed, {skipped} skipped, {} failed",
            self.failed.len()
        )?;
        for (name, how) in &self.failed {
            write!(f, "\n{name}: {how}")?;
        }
        for name in &self.skipped {
            write!(f, "\nskipped: {name}")?;
        }
        Ok(())
    }
}

/// Runs all [`CASES`].
pub fn run(subject: &dyn Subject) -> Report {
    run_if(subject, |_| true)
}

/// Runs the cases that `chosen` picks.
pub fn run_if(subject: &dyn Subject, chosen: impl Fn(&Case) -> bool) -> Report {
    let mut report = Report::default();
    for case in CASES.iter().filter(|case| chosen(case)) {
        let store = subject.store();
        let bench = Bench {
            s: &*store,
            subject,
        };
        match catch_unwind(AssertUnwindSafe(|| (case.run)(&bench))) {
            Ok(Verdict::Holds) => report.passed.push(case.name),
            Ok(Verdict::Skipped) => report.skipped.push(case.name),
            Err(panic) => {
                let text = (panic.downcast_ref::<String>().cloned())
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                report.failed.push((case.name, text.unwrap_or_default()));
            }
        }
    }
    report
}

/// Drives an [`AsyncStore`] from threads, so that the same cases hold for it.
///
/// `block_on` is how a thread waits for a future, such as that of a runtime.
pub struct Driven<S, B> {
    store: S,
    block_on: B,
}

/// How a thread waits for a future.
pub trait BlockOn: Send + Sync + 'static {
    /// Waits for it.
    fn block_on<F: Future + Send>(&self, future: F) -> F::Output
    where
        F::Output: Send;
}

impl<S: AsyncStore, B: BlockOn> Driven<S, B> {
    /// Drives `store` with `block_on`.
    pub fn new(store: S, block_on: B) -> Self {
        Self { store, block_on }
    }
}

impl<S, B> fmt::Debug for Driven<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}

impl<S: AsyncStore, B: BlockOn> Described for Driven<S, B> {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        self.store.watch(watch)
    }
}

impl<S: AsyncStore, B: BlockOn> Store for Driven<S, B> {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.block_on.block_on(self.store.get_or_lease(key, ask))
    }

    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        self.block_on.block_on(self.store.get_or_lease_many(asks))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.block_on.block_on(self.store.put(key, put))
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.block_on.block_on(self.store.renew(key, grant, lease))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.block_on
            .block_on(self.store.release(key, grant, quiet))
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.block_on
            .block_on(self.store.invalidate(key, depth, only))
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.block_on
            .block_on(self.store.invalidate_all(namespace, depth))
    }

    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        self.block_on
            .block_on(self.store.nap(key, fence, poll, until));
    }
}

enum Verdict {
    Holds,
    Skipped,
}
use Verdict::{Holds, Skipped};

/// A span that is short to a person and long to a store.
const SPAN: Duration = Duration::from_millis(120);
const LONG: Duration = Duration::from_secs(60);

struct Bench<'a> {
    s: &'a dyn Store,
    subject: &'a dyn Subject,
}

fn key() -> Key {
    Key::new("conformance", draw().to_be_bytes(), 0)
}

fn value(guard: Guarded, bytes: &[u8], fresh_for: Duration, keep_for: Duration) -> Put<'_> {
    Put {
        guard,
        bytes,
        age: Duration::ZERO,
        fresh_for,
        keep_for,
    }
}

impl Bench<'_> {
    /// A span that this store can tell.
    fn span(&self) -> Duration {
        SPAN.max(self.s.abilities().resolution * 4)
    }

    fn pass(&self, span: Duration) {
        self.subject.pass(span);
    }

    fn put(&self, k: &Key, put: Put<'_>) -> Placed {
        self.s.put(k, &put).expect("put")
    }

    fn ask(&self, k: &Key, ask: Ask) -> Found {
        self.s.get_or_lease(k, &ask).expect("get_or_lease")
    }

    fn ask_many(&self, asks: &[(Key, Ask)]) -> Vec<Found> {
        let answers = self.s.get_or_lease_many(asks);
        assert_eq!(answers.len(), asks.len(), "one answer for each ask");
        let found = answers.into_iter().map(|answer| answer.expect("an answer"));
        found.collect()
    }

    fn somebody(&self, k: &Key) -> Found {
        self.ask(k, Ask::lead(Owner::draw(), LONG))
    }

    fn peek(&self, k: &Key) -> Found {
        self.ask(k, Ask::peek())
    }

    #[track_caller]
    fn lead(&self, k: &Key, lease: Duration) -> (Grant, Option<Stored>) {
        let owner = Owner::draw();
        let (fence, stale, _) = leased(self.ask(k, Ask::lead(owner, lease)));
        (Grant { owner, fence }, stale)
    }

    fn commit(&self, k: &Key, grant: Grant, bytes: &[u8]) -> Placed {
        self.put(k, value(Guarded::Lease(grant), bytes, LONG, LONG * 2))
    }

    #[track_caller]
    fn write(&self, k: &Key, bytes: &[u8], fresh_for: Duration, keep_for: Duration) -> Version {
        stored(self.put(k, value(Guarded::Any, bytes, fresh_for, keep_for)))
    }

    fn release(&self, k: &Key, grant: Grant, quiet: Duration) -> bool {
        self.s.release(k, grant, quiet).expect("release")
    }

    fn renew(&self, k: &Key, grant: Grant, lease: Duration) -> bool {
        self.s.renew(k, grant, lease).expect("renew")
    }

    fn invalidate(&self, k: &Key, depth: Depth, only: Version) -> bool {
        self.s.invalidate(k, depth, only).expect("invalidate")
    }

    /// `None`: the store says that it cannot invalidate one as a whole, and does not pretend to.
    fn space(&self) -> Option<Space> {
        let space = Space(format!("conformance-{:x}", draw()));
        if self.s.abilities().namespaces {
            return Some(space);
        }
        let refused = self.s.invalidate_all(&space.0, Depth::Hard);
        let kind = refused.map_err(|error| error.kind);
        assert_eq!(kind, Err(crate::StoreErrorKind::Refused));
        None
    }

    fn invalidate_all(&self, space: &Space, depth: Depth) {
        self.s
            .invalidate_all(&space.0, depth)
            .expect("invalidate_all");
    }

    /// Whether one who naps under the lease wakes in time when `end` ends it.
    fn wakes(&self, k: &Key, end: impl FnOnce()) -> bool {
        let (napping, naps) = std::sync::mpsc::channel();
        thread::scope(|threads| {
            let napper = threads.spawn(move || {
                let mut begun = None;
                while let Found::Busy { fence, .. } = self.somebody(k) {
                    let begun = *begun.get_or_insert_with(Instant::now);
                    // A lease that is never over shall not keep the case.
                    let left = self.subject.slack().saturating_sub(begun.elapsed());
                    if left.is_zero() {
                        break;
                    }
                    napping.send(()).expect("the case waits for it");
                    self.s.nap(k, fence, Duration::from_millis(10), left * 2);
                }
                begun.expect("it was busy").elapsed()
            });
            naps.recv().expect("it naps");
            end();
            napper.join().expect("the napper") < self.subject.slack()
        })
    }
}

/// The hints that a store gave.
struct Notes(Mutex<Vec<Hint>>);

impl Watch for Notes {
    fn hint(&self, hint: &Hint) {
        self.0.lock().unwrap().push(hint.clone());
    }
}

impl Notes {
    /// `None`: it gives none.
    fn of(b: &Bench<'_>) -> Option<Arc<Self>> {
        let notes = Arc::new(Self(Mutex::default()));
        let weak: Weak<dyn Watch> = Arc::downgrade(&notes) as Weak<dyn Watch>;
        let watched = b.s.watch(weak);
        let hints = b.s.abilities().hints;
        assert!(watched || !hints, "it says that it has hints");
        watched.then_some(notes)
    }

    #[track_caller]
    fn assert_told(&self, b: &Bench<'_>, wanted: &Hint) {
        let begun = Instant::now();
        while !self.0.lock().unwrap().contains(wanted) {
            assert!(begun.elapsed() < b.subject.slack(), "not told: {wanted:?}");
            thread::sleep(Duration::from_millis(1));
        }
        self.0.lock().unwrap().clear();
    }
}

/// A namespace of a case's own.
struct Space(String);

impl Space {
    fn key(&self, name: &str) -> Key {
        Key::new(&self.0, name, 0)
    }
}

#[track_caller]
fn leased(found: Found) -> (Version, Option<Stored>, u32) {
    match found {
        Found::Leased {
            fence,
            stale,
            failures,
        } => (fence, stale, failures),
        other => panic!("no lease: {other:?}"),
    }
}

#[track_caller]
fn fresh(found: Found) -> Stored {
    match found {
        Found::Fresh(stored) => stored,
        other => panic!("not fresh: {other:?}"),
    }
}

#[track_caller]
fn busy(found: Found) -> (Version, Option<Stored>, Duration) {
    match found {
        Found::Busy {
            fence,
            stale,
            retry_in,
        } => (fence, stale, retry_in),
        other => panic!("not busy: {other:?}"),
    }
}

#[track_caller]
fn quiet(found: Found) -> (Option<Stored>, Duration) {
    match found {
        Found::Quiet { stale, retry_in } => (stale, retry_in),
        other => panic!("not quiet: {other:?}"),
    }
}

#[track_caller]
fn idle(found: Found) -> Option<Stored> {
    match found {
        Found::Idle { stale } => stale,
        other => panic!("not idle: {other:?}"),
    }
}

#[track_caller]
fn stored(placed: Placed) -> Version {
    match placed {
        Placed::Stored(version) => version,
        other => panic!("not stored: {other:?}"),
    }
}

#[track_caller]
fn bytes(stored: Stored) -> Vec<u8> {
    stored.bytes.expect("the bytes")
}

fn is_stored(placed: Placed) -> bool {
    matches!(placed, Placed::Stored(_))
}

/// All of them, in the order of their numbers.
pub const CASES: &[Case] = &[
    Case {
        name: "01 an absent key: a look is idle and elects nobody",
        run: |b| {
            let k = key();
            assert_eq!(idle(b.peek(&k)), None);
            assert_eq!(idle(b.peek(&k)), None);
            assert!(leased(b.somebody(&k)).1.is_none());
            Holds
        },
    },
    Case {
        name: "02 one leads; the next is busy, with the same fence and a retry within the lease",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            let (fence, stale, retry_in) = busy(b.somebody(&k));
            assert_eq!((fence, stale), (grant.fence, None));
            assert!(
                retry_in <= LONG + b.s.abilities().resolution * 2 && retry_in > LONG / 2,
                "{retry_in:?}"
            );
            Holds
        },
    },
    Case {
        name: "03 a look sees the lease and does not disturb it",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            assert_eq!(busy(b.peek(&k)).0, grant.fence);
            assert_eq!(b.commit(&k, grant, b"x"), Placed::Stored(grant.fence));
            Holds
        },
    },
    Case {
        name: "04 a commit is read back: bytes, version, age, span of freshness",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            b.commit(&k, grant, b"value");
            let found = fresh(b.somebody(&k));
            assert_eq!(
                (found.bytes.as_deref(), found.version),
                (Some(&b"value"[..]), grant.fence)
            );
            assert!(found.age < b.subject.slack(), "{found:?}");
            assert!(
                found.fresh_for <= LONG + b.s.abilities().resolution * 2,
                "{found:?}"
            );
            assert!(
                found.fresh_for > LONG / 2 && found.over_for.is_zero() && !found.expired,
                "{found:?}"
            );
            Holds
        },
    },
    Case {
        name: "05 empty, large and binary values come back whole",
        run: |b| {
            let large = b.s.abilities().max_value.min(1 << 20) as usize;
            let large = (0..=255).cycle().take(large).collect();
            for sent in [vec![], vec![0], large] {
                let k = key();
                b.write(&k, &sent, LONG, LONG);
                assert!(
                    bytes(fresh(b.somebody(&k))) == sent,
                    "a value of {} bytes",
                    sent.len()
                );
            }
            Holds
        },
    },
    Case {
        name: "06 keys of any bytes and length are apart",
        run: |b| {
            let salt = draw().to_be_bytes();
            let long = |last: u8| [&salt[..], &[b'a'; 5000], &[last]].concat();
            let odd = |last: &[u8]| [&salt[..], b"\0 \r\n\xff/../", last].concat();
            let names = [long(1), long(2), odd(b""), odd(b"\0"), odd(b"#")];
            let keys = names.map(|name| Key::new("conformance", name, 0));
            for (number, k) in keys.iter().enumerate() {
                b.write(k, &[number as u8], LONG, LONG);
            }
            for (number, k) in keys.iter().enumerate() {
                assert_eq!(bytes(fresh(b.somebody(k))), [number as u8]);
            }
            Holds
        },
    },
    Case {
        name: "07 formats are apart",
        run: |b| {
            let name = draw().to_be_bytes();
            b.write(&Key::new("conformance", name, 1), b"a", LONG, LONG);
            assert!(
                leased(b.somebody(&Key::new("conformance", name, 2)))
                    .1
                    .is_none()
            );
            Holds
        },
    },
    Case {
        name: "08 of a known version the bytes are not sent again, the times are",
        run: |b| {
            let k = key();
            let known = b.write(&k, b"x", LONG, LONG);
            let found = fresh(b.ask(
                &k,
                Ask {
                    known,
                    ..Ask::lead(Owner::draw(), LONG)
                },
            ));
            assert_eq!((found.bytes, found.version), (None, known));
            assert!(found.fresh_for > LONG / 2);
            Holds
        },
    },
    Case {
        name: "09 stale: one leads with the old value, the others are busy with it",
        run: |b| {
            let (k, span) = (key(), b.span());
            let version = b.write(&k, b"old", span, LONG);
            b.pass(span * 2);
            let (grant, stale) = b.lead(&k, LONG);
            let stale = stale.expect("the old value");
            assert!(stale.version == version && grant.fence > version);
            assert!(
                stale.fresh_for.is_zero() && stale.over_for >= span / 2,
                "{stale:?}"
            );
            assert_eq!(
                bytes(busy(b.somebody(&k)).1.expect("the old value")),
                b"old"
            );
            assert!(busy(b.peek(&k)).1.is_some());
            Holds
        },
    },
    Case {
        name: "10 what is past its keep is not told any more",
        run: |b| {
            let (k, span) = (key(), b.span());
            b.write(&k, b"old", span, span * 2);
            b.pass(span * 4);
            assert_eq!(idle(b.peek(&k)), None);
            assert!(leased(b.somebody(&k)).1.is_none());
            Holds
        },
    },
    Case {
        name: "11 given up: the next leads at once, the stale value stays",
        run: |b| {
            let (k, span) = (key(), b.span());
            b.write(&k, b"old", span, LONG);
            b.pass(span * 2);
            let (grant, _) = b.lead(&k, LONG);
            assert!(b.release(&k, grant, Duration::ZERO));
            let (fence, stale, failures) = leased(b.somebody(&k));
            assert!(fence > grant.fence && stale.is_some() && failures == 0);
            Holds
        },
    },
    Case {
        name: "12 the release of a lease that is lost does nothing to the one that is held",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (late, _) = b.lead(&k, span);
            b.pass(span * 2);
            let (held, _) = b.lead(&k, LONG);
            assert!(!b.release(&k, late, Duration::ZERO));
            assert!(!b.release(&k, late, LONG));
            assert_eq!(busy(b.somebody(&k)).0, held.fence);
            Holds
        },
    },
    Case {
        name: "13 a release by a foreign owner is refused",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            assert!(!b.release(
                &k,
                Grant {
                    owner: Owner::draw(),
                    ..grant
                },
                Duration::ZERO
            ));
            assert_eq!(busy(b.somebody(&k)).0, grant.fence);
            assert!(b.renew(&k, grant, LONG));
            Holds
        },
    },
    Case {
        name: "14 a lease ends by itself, and one takes over",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (late, _) = b.lead(&k, span);
            b.pass(span * 2);
            let (held, _) = b.lead(&k, LONG);
            assert_ne!(late.fence, held.fence);
            assert_eq!(busy(b.somebody(&k)).0, held.fence);
            Holds
        },
    },
    Case {
        name: "15 a lease that is renewed does not end",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (grant, _) = b.lead(&k, span * 2);
            for _ in 0..4 {
                b.pass(span);
                assert!(b.renew(&k, grant, span * 2));
            }
            assert_eq!(busy(b.somebody(&k)).0, grant.fence);
            assert_eq!(b.commit(&k, grant, b"x"), Placed::Stored(grant.fence));
            Holds
        },
    },
    Case {
        name: "16 a renewal after a take-over says that the lease is lost",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (late, _) = b.lead(&k, span);
            b.pass(span * 2);
            let (held, _) = b.lead(&k, LONG);
            assert!(!b.renew(&k, late, LONG));
            assert!(!b.renew(
                &k,
                Grant {
                    owner: Owner::draw(),
                    ..held
                },
                LONG
            ));
            Holds
        },
    },
    Case {
        name: "17 a late commit is refused, before and after that of the new leader",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (late, _) = b.lead(&k, span);
            b.pass(span * 2);
            let (held, _) = b.lead(&k, LONG);
            assert!(!is_stored(b.commit(&k, late, b"late")));
            assert_eq!(b.commit(&k, held, b"new"), Placed::Stored(held.fence));
            assert!(!is_stored(b.commit(&k, late, b"late")));
            assert_eq!(bytes(fresh(b.somebody(&k))), b"new");
            Holds
        },
    },
    Case {
        name: "18 a commit with a foreign owner or number is refused",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            let foreign = Grant {
                owner: Owner::draw(),
                ..grant
            };
            assert!(matches!(b.commit(&k, foreign, b"x"), Placed::Refused(_)));
            let other = Grant {
                fence: Version(grant.fence.0 + 1),
                ..grant
            };
            assert!(matches!(b.commit(&k, other, b"x"), Placed::Refused(_)));
            assert_eq!(busy(b.somebody(&k)).0, grant.fence);
            assert!(b.renew(&k, grant, LONG), "it still holds");
            Holds
        },
    },
    Case {
        name: "19 a commit to a record that nobody knows is not stored",
        run: |b| {
            let k = key();
            let grant = Grant {
                owner: Owner::draw(),
                fence: Version(7),
            };
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            assert!(!b.renew(&k, grant, LONG) && !b.release(&k, grant, Duration::ZERO));
            assert!(leased(b.somebody(&k)).1.is_none());
            Holds
        },
    },
    Case {
        name: "20 a request that is sent twice is one: ask, commit, release",
        run: |b| {
            if !b.s.abilities().resend_safe {
                return Skipped;
            }
            let (k, owner) = (key(), Owner::draw());
            let (fence, ..) = leased(b.ask(&k, Ask::lead(owner, LONG)));
            assert_eq!(leased(b.ask(&k, Ask::lead(owner, LONG))).0, fence);
            let grant = Grant { owner, fence };
            assert_eq!(b.commit(&k, grant, b"x"), Placed::Stored(fence));
            assert_eq!(b.commit(&k, grant, b"x"), Placed::Stored(fence));
            assert!(!b.release(&k, grant, Duration::ZERO));
            assert!(!b.release(&k, grant, LONG));
            assert_eq!(fresh(b.somebody(&k)).version, fence);
            Holds
        },
    },
    Case {
        name: "21 soft: stale at once, the lease that runs is lost, the next leads",
        run: |b| {
            let k = key();
            b.write(&k, b"old", LONG, LONG);
            assert!(b.invalidate(&k, Depth::Soft, Version::NONE));
            let (grant, stale) = b.lead(&k, LONG);
            let stale = stale.expect("the old value");
            assert!(
                stale.expired && stale.fresh_for > LONG / 2,
                "its end does not move: {stale:?}"
            );
            assert_eq!(bytes(stale), b"old");
            assert!(b.invalidate(&k, Depth::Soft, Version::NONE));
            assert!(!b.renew(&k, grant, LONG));
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            assert!(leased(b.somebody(&k)).1.is_some());
            Holds
        },
    },
    Case {
        name: "22 hard: gone at once, and what ran before does not come back",
        run: |b| {
            let (k, span) = (key(), b.span());
            b.write(&k, b"old", span, LONG);
            b.pass(span * 2);
            let (grant, _) = b.lead(&k, LONG);
            assert!(b.invalidate(&k, Depth::Hard, Version::NONE));
            assert!(!b.renew(&k, grant, LONG));
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            assert_eq!(idle(b.peek(&k)), None);
            assert!(leased(b.somebody(&k)).1.is_none());
            Holds
        },
    },
    Case {
        name: "23 the invalidation of a version that is no longer there does nothing",
        run: |b| {
            let k = key();
            let before = b.write(&k, b"1", LONG, LONG);
            let now = b.write(&k, b"2", LONG, LONG);
            for depth in [Depth::Soft, Depth::Hard] {
                assert!(!b.invalidate(&k, depth, before));
                assert_eq!(fresh(b.somebody(&k)).version, now);
            }
            assert!(!b.invalidate(&key(), Depth::Hard, now));
            assert!(b.invalidate(&k, Depth::Soft, now));
            assert!(leased(b.somebody(&k)).1.is_some());
            Holds
        },
    },
    Case {
        name: "24 a write beats the creation that runs",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            let version = b.write(&k, b"set", LONG, LONG);
            assert_ne!(version, grant.fence);
            assert!(!is_stored(b.commit(&k, grant, b"late")));
            assert!(!b.renew(&k, grant, LONG));
            assert_eq!(bytes(fresh(b.somebody(&k))), b"set");
            Holds
        },
    },
    Case {
        name: "25 compare and set: only if there is no value",
        run: |b| {
            let k = key();
            let put = |bytes| b.put(&k, value(Guarded::Absent, bytes, LONG, LONG));
            let version = stored(put(b"1"));
            assert_eq!(put(b"2"), Placed::Refused(version));
            assert_eq!(bytes(fresh(b.somebody(&k))), b"1");
            Holds
        },
    },
    Case {
        name: "26 compare and set: a lease without a value is none, a stale value is one",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (grant, _) = b.lead(&k, LONG);
            let version = stored(b.put(&k, value(Guarded::Absent, b"1", span, LONG)));
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            b.pass(span * 2);
            let put = value(Guarded::Absent, b"2", LONG, LONG);
            assert_eq!(b.put(&k, put), Placed::Refused(version));
            Holds
        },
    },
    Case {
        name: "27 compare and set: only the version that is there",
        run: |b| {
            let k = key();
            let before = b.write(&k, b"1", LONG, LONG);
            let put =
                |version, bytes| b.put(&k, value(Guarded::Version(version), bytes, LONG, LONG));
            let now = stored(put(before, b"2"));
            assert_ne!(before, now);
            assert_eq!(put(before, b"3"), Placed::Refused(now));
            assert_eq!(bytes(fresh(b.somebody(&k))), b"2");
            Holds
        },
    },
    Case {
        name: "28 compare and set of a version where there is none is refused",
        run: |b| {
            let k = key();
            let put = value(Guarded::Version(Version(5)), b"1", LONG, LONG);
            assert_eq!(b.put(&k, put), Placed::Refused(Version::NONE));
            assert!(leased(b.somebody(&k)).1.is_none());
            Holds
        },
    },
    Case {
        name: "29 floor: a fresh value that is not above it elects one; the others are busy with it",
        run: |b| {
            let k = key();
            let floor = b.write(&k, b"1", LONG, LONG);
            let ask = || {
                b.ask(
                    &k,
                    Ask {
                        floor,
                        ..Ask::lead(Owner::draw(), LONG)
                    },
                )
            };
            assert_eq!(bytes(leased(ask()).1.expect("the value")), b"1");
            assert!(busy(ask()).1.is_some());
            fresh(b.somebody(&k));
            Holds
        },
    },
    Case {
        name: "30 ahead: whoever knows the version leads, once; others find it fresh",
        run: |b| {
            let k = key();
            let version = b.write(&k, b"1", LONG, LONG * 2);
            let ask = |known| {
                b.ask(
                    &k,
                    Ask {
                        ahead: true,
                        known,
                        ..Ask::lead(Owner::draw(), LONG)
                    },
                )
            };
            fresh(ask(Version(version.0 - 1)));
            fresh(b.ask(
                &k,
                Ask {
                    ahead: true,
                    known: version,
                    ..Ask::peek()
                },
            ));
            assert!(leased(ask(version)).1.expect("the value").is_fresh());
            fresh(ask(version));
            fresh(b.somebody(&k));
            let next = b.write(&k, b"2", LONG, LONG * 2);
            assert_eq!(fresh(ask(version)).version, next);
            Holds
        },
    },
    Case {
        name: "31 the age that a creator tells counts",
        run: |b| {
            let k = key();
            b.put(
                &k,
                Put {
                    age: LONG,
                    ..value(Guarded::Any, b"1", LONG, LONG)
                },
            );
            let found = fresh(b.somebody(&k));
            assert!(found.age >= LONG && found.fresh_for > LONG / 2, "{found:?}");
            Holds
        },
    },
    Case {
        name: "32 numbers grow, over commits, writes, invalidations and take-overs",
        run: |b| {
            let (k, monotonic) = (key(), b.s.abilities().monotonic);
            let mut numbers = Vec::new();
            for round in 0..9 {
                let number = match round % 3 {
                    0 => b.write(&k, b"1", LONG, LONG),
                    turn => {
                        let depth = if turn == 1 { Depth::Hard } else { Depth::Soft };
                        b.invalidate(&k, depth, Version::NONE);
                        let (lost, _) = b.lead(&k, LONG);
                        numbers.push(lost.fence);
                        assert!(b.release(&k, lost, Duration::ZERO));
                        let (grant, _) = b.lead(&k, LONG);
                        stored(b.commit(&k, grant, b"2"))
                    }
                };
                numbers.push(number);
            }
            let mut sorted = numbers.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), numbers.len(), "each is given out once");
            assert!(!monotonic || sorted == numbers, "{numbers:?}");
            assert!(!numbers.contains(&Version::NONE));
            Holds
        },
    },
    Case {
        name: "33 of 16 who ask at once one leads, 20 rounds",
        run: |b| {
            for _ in 0..20 {
                let (k, leads, gate) = (key(), AtomicUsize::new(0), Barrier::new(16));
                thread::scope(|threads| {
                    for _ in 0..16 {
                        threads.spawn(|| {
                            gate.wait();
                            if let Found::Leased { .. } = b.somebody(&k) {
                                leads.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                });
                assert_eq!(leads.into_inner(), 1);
            }
            Holds
        },
    },
    Case {
        name: "34 of 8 who compare and set at once one succeeds, 20 rounds",
        run: |b| {
            let k = key();
            let mut version = b.write(&k, b"0", LONG, LONG);
            for _ in 0..20 {
                let (won, gate) = (Mutex::new(Vec::new()), Barrier::new(8));
                thread::scope(|threads| {
                    for _ in 0..8 {
                        threads.spawn(|| {
                            gate.wait();
                            let put = value(Guarded::Version(version), b"n", LONG, LONG);
                            if let Placed::Stored(version) = b.s.put(&k, &put).expect("put") {
                                won.lock().unwrap().push(version);
                            }
                        });
                    }
                });
                let won = won.into_inner().unwrap();
                assert_eq!(won.len(), 1, "{won:?}");
                version = won[0];
            }
            Holds
        },
    },
    Case {
        name: "35 whoever naps wakes at the end of the lease, or at the limit",
        run: |b| {
            let (k, slack) = (key(), b.subject.slack());
            let (grant, _) = b.lead(&k, LONG);
            assert!(b.wakes(&k, || {
                assert_eq!(b.commit(&k, grant, b"x"), Placed::Stored(grant.fence));
            }));
            let (grant, _) = b.lead(&key(), LONG);
            let begun = Instant::now();
            b.s.nap(
                &k,
                grant.fence,
                Duration::from_millis(10),
                Duration::from_millis(10),
            );
            assert!(begun.elapsed() < slack);
            Holds
        },
    },
    Case {
        name: "36 a record that was forgotten: the commit is not stored, the next leads",
        run: |b| {
            let k = key();
            let (grant, _) = b.lead(&k, LONG);
            if !b.subject.forget(b.s, &k) {
                return Skipped;
            }
            // The clock is what keeps the numbers apart now.
            b.pass(b.span());
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            let (fence, stale, _) = leased(b.somebody(&k));
            assert!(fence != grant.fence && stale.is_none());
            assert!(!is_stored(b.commit(&k, grant, b"x")));
            Holds
        },
    },
    Case {
        name: "37 a clock that is put back or forward loses no order, and no lease lasts for ever",
        run: |b| {
            let (k, young, span) = (key(), key(), b.span());
            b.write(&young, b"young", LONG, LONG * 2);
            let before = b.write(&k, b"1", LONG, LONG * 2);
            let (lost, _) = {
                b.invalidate(&k, Depth::Soft, Version::NONE);
                b.lead(&k, span)
            };
            if !b.subject.step_back(Duration::from_secs(3600)) {
                return Skipped;
            }
            assert!(lost.fence > before);
            // The lease seems to end in an hour: nobody waits for longer than it was to last.
            if let Found::Busy { retry_in, .. } = b.somebody(&k) {
                let most = span + b.s.abilities().resolution * 2;
                assert!(retry_in <= most, "{retry_in:?}");
                b.pass(retry_in);
            }
            // How old a value from the future is nobody can tell: it is renewed.
            if let Some(stored) = b.peek(&young).stored() {
                assert!(stored.expired, "{stored:?}");
            }
            let (held, _) = b.lead(&k, LONG);
            assert!(held.fence > lost.fence, "{held:?} after {lost:?}");
            assert!(!is_stored(b.commit(&k, lost, b"late")));
            assert_eq!(b.commit(&k, held, b"new"), Placed::Stored(held.fence));
            let next = b.write(&k, b"2", LONG, LONG * 2);
            assert!(next > held.fence);
            b.pass(LONG * 100);
            assert!(leased(b.somebody(&k)).0 > next);
            Holds
        },
    },
    Case {
        name: "38 bytes that are torn or foreign are a miss",
        run: |b| {
            let mut number = 0;
            loop {
                let k = key();
                b.write(&k, &[7; 100], LONG, LONG);
                if !b.subject.garble(b.s, &k, number) {
                    break;
                }
                let found = b.peek(&k);
                assert_eq!(found.stored(), None, "garbled in way {number}");
                let (grant, stale) = b.lead(&k, LONG);
                assert_eq!(stale, None, "garbled in way {number}");
                assert_eq!(b.commit(&k, grant, b"new"), Placed::Stored(grant.fence));
                assert_eq!(bytes(fresh(b.somebody(&k))), b"new");
                number += 1;
            }
            if number == 0 { Skipped } else { Holds }
        },
    },
    Case {
        name: "39 a value that is too large is refused, and reads go on",
        run: |b| {
            let max = b.s.abilities().max_value;
            if max > 1 << 24 {
                return Skipped;
            }
            let k = key();
            let version = b.write(&k, b"1", LONG, LONG);
            let (large, fits) = (vec![1; max as usize + 1], vec![2; max as usize]);
            let error =
                b.s.put(&k, &value(Guarded::Any, &large, LONG, LONG))
                    .expect_err("too large");
            assert_eq!(error.kind, crate::StoreErrorKind::Refused);
            assert_eq!(fresh(b.somebody(&k)).version, version);
            b.write(&k, &fits, LONG, LONG);
            assert!(bytes(fresh(b.somebody(&k))) == fits);
            Holds
        },
    },
    Case {
        name: "40 who watches is told of commits, writes and invalidations",
        run: |b| {
            let Some(notes) = Notes::of(b) else {
                return Skipped;
            };
            let told = |wanted: Hint| notes.assert_told(b, &wanted);
            let k = key();
            let hint = |version, depth| Hint::Changed {
                key: k.clone(),
                version,
                depth,
            };
            let (grant, _) = b.lead(&k, LONG);
            b.commit(&k, grant, b"1");
            told(hint(grant.fence, Depth::Soft));
            let version = b.write(&k, b"2", LONG, LONG);
            told(hint(version, Depth::Hard));
            for depth in [Depth::Soft, Depth::Hard] {
                b.invalidate(&k, depth, Version::NONE);
                told(hint(Version::NONE, depth));
            }
            if b.subject.reconnect(b.s) {
                told(Hint::Missed);
            }
            Holds
        },
    },
    Case {
        name: "41 a nap ends soon when a write overtakes the lease",
        run: |b| {
            let k = key();
            b.lead(&k, LONG);
            assert!(b.wakes(&k, || {
                b.write(&k, b"x", LONG, LONG);
            }));
            Holds
        },
    },
    Case {
        name: "42 a failure: nobody leads until its span is over, then one does and knows of it",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (grant, _) = b.lead(&k, LONG);
            assert!(b.release(&k, grant, span * 2));
            let (stale, retry_in) = quiet(b.somebody(&k));
            assert!(stale.is_none() && retry_in <= span * 2 && !retry_in.is_zero());
            quiet(b.peek(&k));
            b.pass(span * 3);
            assert_eq!(idle(b.peek(&k)), None);
            let owner = Owner::draw();
            let (fence, _, failures) = leased(b.ask(&k, Ask::lead(owner, LONG)));
            assert_eq!(failures, 1);
            assert!(b.release(&k, Grant { owner, fence }, span));
            quiet(b.somebody(&k));
            b.pass(span * 2);
            let owner = Owner::draw();
            let (fence, _, failures) = leased(b.ask(&k, Ask::lead(owner, LONG)));
            assert_eq!(failures, 2);
            assert!(is_stored(b.commit(&k, Grant { owner, fence }, b"x")));
            b.invalidate(&k, Depth::Soft, Version::NONE);
            assert_eq!(leased(b.somebody(&k)).2, 0, "a success clears the count");
            Holds
        },
    },
    Case {
        name: "43 a failure leaves the value: stale while nobody may lead, and fresh if it is",
        run: |b| {
            let (k, span) = (key(), b.span());
            let known = b.write(&k, b"old", span, LONG);
            let ahead = Ask {
                ahead: true,
                known,
                ..Ask::lead(Owner::draw(), LONG)
            };
            let (fence, ..) = leased(b.ask(&k, ahead));
            let owner = ahead.owner.expect("it may lead");
            assert!(b.release(&k, Grant { owner, fence }, LONG));
            fresh(b.ask(
                &k,
                Ask {
                    owner: Some(Owner::draw()),
                    ..ahead
                },
            ));
            b.pass(span * 2);
            assert_eq!(
                bytes(quiet(b.somebody(&k)).0.expect("the old value")),
                b"old"
            );
            Holds
        },
    },
    Case {
        name: "44 a write and an invalidation end the quiet and the interval",
        run: |b| {
            let interval = Ask {
                interval: LONG,
                ..Ask::lead(Owner::draw(), LONG)
            };
            let again = || Ask {
                owner: Some(Owner::draw()),
                ..interval
            };
            let ends: [fn(&Bench<'_>, &Key); 4] = [
                |b, k| assert!(b.invalidate(k, Depth::Soft, Version::NONE)),
                |b, k| assert!(b.invalidate(k, Depth::Hard, Version::NONE)),
                |b, k| {
                    b.write(k, b"x", Duration::ZERO, LONG);
                },
                |b, k| {
                    stored(b.put(k, value(Guarded::Absent, b"x", Duration::ZERO, LONG)));
                },
            ];
            for end in ends {
                let k = key();
                let (grant, _) = b.lead(&k, LONG);
                assert!(b.release(&k, grant, LONG));
                quiet(b.somebody(&k));
                end(b, &k);
                assert_eq!(leased(b.ask(&k, again())).2, 0);
            }
            Holds
        },
    },
    Case {
        name: "45 the interval: creations begin so far apart, whatever asks for them",
        run: |b| {
            let (k, span) = (key(), b.span());
            let ask = || Ask {
                interval: span * 4,
                ..Ask::lead(Owner::draw(), LONG)
            };
            let first = ask();
            let (fence, ..) = leased(b.ask(&k, first));
            let grant = Grant {
                owner: first.owner.expect("it may lead"),
                fence,
            };
            let put = value(Guarded::Lease(grant), b"1", Duration::ZERO, LONG);
            assert!(is_stored(b.put(&k, put)));
            let (stale, retry_in) = quiet(b.ask(&k, ask()));
            assert!(stale.is_some() && retry_in <= span * 4);
            // It is the asker's interval that counts.
            b.pass(span * 5);
            leased(b.ask(&k, ask()));
            Holds
        },
    },
    Case {
        name: "46 a creation that was given up counts for the interval only while a value is kept",
        run: |b| {
            let ask = || Ask {
                interval: LONG,
                ..Ask::lead(Owner::draw(), LONG)
            };
            for kept in [false, true] {
                let k = key();
                if kept {
                    b.write(&k, b"old", Duration::ZERO, LONG);
                }
                let first = ask();
                let (fence, ..) = leased(b.ask(&k, first));
                let grant = Grant {
                    owner: first.owner.expect("it may lead"),
                    fence,
                };
                assert!(b.release(&k, grant, Duration::ZERO));
                match kept {
                    true => drop(quiet(b.ask(&k, ask()))),
                    false => drop(leased(b.ask(&k, ask()))),
                }
            }
            Holds
        },
    },
    Case {
        name: "47 a lease whose time is over, and that nobody took over, may still commit or be renewed",
        run: |b| {
            let (k, span) = (key(), b.span());
            let (grant, _) = b.lead(&k, span);
            b.pass(span * 2);
            // Strict stores refuse this: then nothing is stored, and the next leads.
            let (found, late) = (idle(b.peek(&k)), b.commit(&k, grant, b"x"));
            assert_eq!(found, None);
            match late {
                Placed::Stored(version) => {
                    assert_eq!(version, grant.fence);
                    assert_eq!(fresh(b.somebody(&k)).version, version);
                }
                Placed::Refused(_) | Placed::Gone => {
                    assert!(leased(b.somebody(&k)).1.is_none());
                }
            }
            Holds
        },
    },
    Case {
        name: "48 a namespace, soft: all is stale at once, each lease that runs is lost, others are alone",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            let (old, led, absent) = (space.key("old"), space.key("led"), space.key("absent"));
            // The same key in a namespace whose name begins likewise.
            let other = &Key::new(&format!("{}x", space.0), "old", 0);
            b.write(&old, b"old", LONG, LONG);
            b.write(other, b"other", LONG, LONG);
            let (grant, _) = b.lead(&led, LONG);
            // It commits without having heard that it has lost.
            let unaware = space.key("unaware");
            let (lost, _) = b.lead(&unaware, LONG);
            let elsewhere = Key::new(&format!("{}y", space.0), "led", 0);
            let (kept, _) = b.lead(&elsewhere, LONG);
            b.invalidate_all(&space, Depth::Soft);
            let stale = idle(b.peek(&old)).expect("the old value");
            assert!(stale.expired && stale.fresh_for > LONG / 2, "{stale:?}");
            let (held, stale) = b.lead(&old, LONG);
            assert_eq!(bytes(stale.expect("the old value")), b"old");
            assert!(!b.renew(&led, grant, LONG));
            assert!(!is_stored(b.commit(&led, grant, b"late")));
            assert!(leased(b.somebody(&led)).1.is_none());
            assert!(!is_stored(b.commit(&unaware, lost, b"late")));
            assert!(leased(b.somebody(&unaware)).1.is_none());
            assert!(leased(b.somebody(&absent)).1.is_none());
            assert_eq!(bytes(fresh(b.somebody(other))), b"other");
            assert_eq!(
                b.commit(&elsewhere, kept, b"kept"),
                Placed::Stored(kept.fence)
            );
            // What comes after it is as ever.
            assert_eq!(b.commit(&old, held, b"new"), Placed::Stored(held.fence));
            assert_eq!(bytes(fresh(b.somebody(&old))), b"new");
            Holds
        },
    },
    Case {
        name: "49 a namespace, hard: all is gone at once, and what ran before does not come back",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            let (old, led) = (space.key("old"), space.key("led"));
            let version = b.write(&old, b"old", LONG, LONG);
            let (grant, _) = b.lead(&led, LONG);
            let unaware = space.key("unaware");
            let (lost, _) = b.lead(&unaware, LONG);
            b.invalidate_all(&space, Depth::Hard);
            assert_eq!(idle(b.peek(&old)), None);
            let known = Ask {
                known: version,
                ..Ask::lead(Owner::draw(), LONG)
            };
            let (fence, stale, _) = leased(b.ask(&old, known));
            assert!(stale.is_none() && fence != version);
            assert!(!b.s.abilities().monotonic || fence > version);
            assert!(!b.renew(&led, grant, LONG) && !b.release(&led, grant, LONG));
            assert!(!is_stored(b.commit(&led, grant, b"late")));
            assert!(!is_stored(b.commit(&unaware, lost, b"late")));
            assert_eq!(idle(b.peek(&led)), None);
            assert_eq!(idle(b.peek(&unaware)), None);
            // What comes after it is as ever.
            let next = b.write(&led, b"new", LONG, LONG);
            assert_ne!(next, grant.fence);
            assert_eq!(bytes(fresh(b.somebody(&led))), b"new");
            Holds
        },
    },
    Case {
        name: "50 a namespace, one invalidation after another: what was removed stays so, what was stale too",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            let (first, second) = (space.key("first"), space.key("second"));
            b.write(&first, b"1", LONG, LONG);
            b.invalidate_all(&space, Depth::Hard);
            b.write(&second, b"2", LONG, LONG);
            b.invalidate_all(&space, Depth::Soft);
            b.invalidate_all(&space, Depth::Soft);
            assert_eq!(idle(b.peek(&first)), None);
            assert!(idle(b.peek(&second)).expect("the old value").expired);
            b.subject.step_back(LONG);
            let third = space.key("third");
            b.write(&third, b"3", LONG, LONG);
            fresh(b.peek(&third));
            b.invalidate_all(&space, Depth::Hard);
            for k in [&first, &second, &third] {
                assert_eq!(idle(b.peek(k)), None);
            }
            Holds
        },
    },
    Case {
        name: "51 a namespace: compare and set, quiet and interval go by what is left of a record",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            let (k, quieted) = (space.key("set"), space.key("quiet"));
            let version = b.write(&k, b"1", LONG, LONG);
            let (grant, _) = b.lead(&quieted, LONG);
            assert!(b.release(&quieted, grant, LONG));
            quiet(b.somebody(&quieted));
            let put = |guard, bytes| b.put(&k, value(guard, bytes, LONG, LONG));
            b.invalidate_all(&space, Depth::Soft);
            assert_eq!(put(Guarded::Absent, b"2"), Placed::Refused(version));
            assert!(b.invalidate(&k, Depth::Soft, version));
            let interval = Ask {
                interval: LONG,
                ..Ask::lead(Owner::draw(), LONG)
            };
            assert_eq!(leased(b.ask(&quieted, interval)).2, 0);
            b.invalidate_all(&space, Depth::Hard);
            let after = put(Guarded::Version(version), b"3");
            assert_eq!(after, Placed::Refused(Version::NONE));
            assert!(!b.invalidate(&k, Depth::Hard, version));
            let next = stored(put(Guarded::Absent, b"4"));
            assert_ne!(next, version);
            leased(b.ask(
                &quieted,
                Ask {
                    owner: Some(Owner::draw()),
                    ..interval
                },
            ));
            Holds
        },
    },
    Case {
        name: "52 a namespace that is invalidated while others create: nothing older is left, 50 rounds",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            // What a creator makes is the time of the source when it was granted the lease, or later.
            let (source, k) = (AtomicUsize::new(0), space.key("raced"));
            for _ in 0..50 {
                let gate = Barrier::new(3);
                let made = thread::scope(|threads| {
                    for _ in 0..2 {
                        threads.spawn(|| {
                            gate.wait();
                            let owner = Owner::draw();
                            if let Found::Leased { fence, .. } = b.ask(&k, Ask::lead(owner, LONG)) {
                                let made = source.load(Ordering::SeqCst).to_be_bytes();
                                b.commit(&k, Grant { owner, fence }, &made);
                            }
                        });
                    }
                    gate.wait();
                    source.fetch_add(1, Ordering::SeqCst);
                    b.invalidate_all(&space, Depth::Hard);
                    source.load(Ordering::SeqCst).to_be_bytes()
                });
                if let Some(left) = b.peek(&k).stored() {
                    assert_eq!(left.bytes.as_deref(), Some(&made[..]), "older is left");
                }
            }
            Holds
        },
    },
    Case {
        name: "53 who watches is told of the invalidation of a namespace, and who naps in it wakes",
        run: |b| {
            let Some(space) = b.space() else {
                return Skipped;
            };
            let k = space.key("napped");
            b.lead(&k, LONG);
            assert!(b.wakes(&k, || b.invalidate_all(&space, Depth::Hard)));
            let Some(notes) = Notes::of(b) else {
                return Holds;
            };
            for depth in [Depth::Soft, Depth::Hard] {
                b.invalidate_all(&space, depth);
                let namespace = space.0.as_str().into();
                notes.assert_told(b, &Hint::AllChanged { namespace, depth });
            }
            Holds
        },
    },
    Case {
        name: "54 many records: each is answered by itself, in the order of the asks",
        run: |b| {
            assert_eq!(b.ask_many(&[]), []);
            let asks = |keys: &[Key]| -> Vec<_> {
                let asks = keys.iter();
                asks.map(|k| (k.clone(), Ask::lead(Owner::draw(), LONG)))
                    .collect()
            };
            let keys: Vec<_> = (0..5).map(|_| key()).collect();
            let [absent, kept, led, old, quieted] = &keys[..] else {
                unreachable!("there are five")
            };
            let known = b.write(kept, b"kept", LONG, LONG);
            let (held, _) = b.lead(led, LONG);
            b.write(old, b"old", LONG, LONG);
            b.invalidate(old, Depth::Soft, Version::NONE);
            let (failed, _) = b.lead(quieted, LONG);
            assert!(b.release(quieted, failed, LONG));
            let mut found = b.ask_many(&asks(&keys)).into_iter();
            let mut next = || found.next().expect("one answer for each");
            let (_, stale, failures) = leased(next());
            assert_eq!((stale, failures), (None, 0));
            assert_eq!(bytes(fresh(next())), b"kept");
            assert_eq!(busy(next()).0, held.fence);
            assert_eq!(leased(next()).1.map(bytes).as_deref(), Some(&b"old"[..]));
            quiet(next());
            // Asked again, in another order, by others: those that are led are so still.
            let again = [quieted, old, absent].map(Clone::clone);
            let mut found = b.ask_many(&asks(&again)).into_iter();
            let mut next = || found.next().expect("one answer for each");
            quiet(next());
            assert_eq!(busy(next()).1.map(bytes).as_deref(), Some(&b"old"[..]));
            assert_eq!(busy(next()).1, None);
            // Looks change nothing, and what is known is not sent.
            let looks = [absent, kept].map(|k| {
                let ask = Ask {
                    known,
                    ..Ask::peek()
                };
                (k.clone(), ask)
            });
            let mut found = b.ask_many(&looks).into_iter();
            busy(found.next().expect("the first"));
            assert_eq!(fresh(found.next().expect("the second")).bytes, None);
            let none = (key(), Ask::peek());
            assert_eq!(
                b.ask_many(std::slice::from_ref(&none)),
                [Found::Idle { stale: None }]
            );
            leased(b.somebody(&none.0));
            Holds
        },
    },
    Case {
        name: "55 many records: of asks for the same one the first leads, and commits of all are stored",
        run: |b| {
            let (one, other) = (key(), key());
            let asks: Vec<_> = [&one, &other, &one, &one]
                .into_iter()
                .map(|k| (k.clone(), Ask::lead(Owner::draw(), LONG)))
                .collect();
            let found = b.ask_many(&asks);
            let (fence, ..) = leased(found[0].clone());
            let (second, ..) = leased(found[1].clone());
            assert_eq!(busy(found[2].clone()).0, fence);
            assert_eq!(busy(found[3].clone()).0, fence);
            // By the same owner it is granted again, under the same number.
            let twice = [asks[0].clone(), asks[0].clone()];
            for found in b.ask_many(&twice) {
                assert_eq!(leased(found).0, fence);
            }
            let grant = |ask: &Ask, fence| Grant {
                owner: ask.owner.expect("it asks to lead"),
                fence,
            };
            let first = grant(&asks[0].1, fence);
            assert_eq!(b.commit(&one, first, b"one"), Placed::Stored(fence));
            let second = (grant(&asks[1].1, second), second);
            assert_eq!(
                b.commit(&other, second.0, b"other"),
                Placed::Stored(second.1)
            );
            let found: Vec<_> = (b.ask_many(&asks).into_iter())
                .map(|found| bytes(fresh(found)))
                .collect();
            assert_eq!(found, [&b"one"[..], b"other", b"one", b"one"]);
            Holds
        },
    },
    Case {
        name: "56 many records: one that is destroyed is a miss, and those beside it are as they were",
        run: |b| {
            for number in 0.. {
                let keys = [key(), key(), key()];
                for k in &keys {
                    b.write(k, b"whole", LONG, LONG);
                }
                if !b.subject.garble(b.s, &keys[1], number) {
                    return if number == 0 { Skipped } else { Holds };
                }
                let asks = keys.map(|k| (k, Ask::lead(Owner::draw(), LONG)));
                let found = b.ask_many(&asks);
                assert_eq!(bytes(fresh(found[0].clone())), b"whole");
                assert_eq!(
                    leased(found[1].clone()).1,
                    None,
                    "destroyed in way {number}"
                );
                assert_eq!(bytes(fresh(found[2].clone())), b"whole");
            }
            unreachable!("there is a last way")
        },
    },
    Case {
        name: "57 many records: two who ask for the same ones in two orders: each is led once, 50 rounds",
        run: |b| {
            for _ in 0..50 {
                let keys: Vec<_> = (0..8).map(|_| key()).collect();
                let gate = Barrier::new(2);
                let ask = |backwards: bool| {
                    let mut asks: Vec<_> = (keys.iter())
                        .map(|k| (k.clone(), Ask::lead(Owner::draw(), LONG)))
                        .collect();
                    if backwards {
                        asks.reverse();
                    }
                    gate.wait();
                    let found = b.s.get_or_lease_many(&asks);
                    let led = |answer: &Answer<Found>| matches!(answer, Ok(Found::Leased { .. }));
                    (asks.into_iter().zip(found))
                        .filter(|(_, answer)| led(answer))
                        .map(|((k, _), _)| k)
                        .collect::<Vec<_>>()
                };
                let (mut led, others) = thread::scope(|threads| {
                    let other = threads.spawn(|| ask(true));
                    (ask(false), other.join().expect("the other"))
                });
                led.extend(others);
                led.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
                let mut all = keys.clone();
                all.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
                assert_eq!(led, all);
            }
            Holds
        },
    },
];
