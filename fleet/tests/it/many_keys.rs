//! What a `FleetKeyed` does beyond what each of its keys does: bounds, memory, hints, requests at once,
//! several keys in one call. What holds for each key is in `promises.rs` and `tasks.rs`, by way of
//! `one_of_many.rs`.
//!
//! ```breakages
//! fleet-counts-each-failure-of-requests-that-fail-together | fleet/src/health.rs | requests_at_once
//! @ fn note
//! - sent.0,
//! + self.failures.load(Ordering::SeqCst),
//!
//! fleet-lets-all-ask-after-a-pause | fleet/src/health.rs | requests_at_once
//! - next.as_nanos(),
//! + until,
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use dogpile::{ManualClock, Origin};
use dogpile_fleet::{
    Abilities, Answer, Ask, Blocking, Creation, Depth, Described, FleetBuilder, FleetError,
    FleetGuard, FleetKeyed, Found, Grant, Key, KeyBytes, ManyKeys, MemoryStore, Placed, Plain, Put,
    Store, StoreError, Version, Watch,
};

use crate::bench::{SECOND, block_on, manual_clock, on_threads, wait_until};

type Hook = Arc<dyn Fn() + Send + Sync>;

/// It counts its verbs, and can be made to fail, or to wait before it answers.
struct Counting {
    store: MemoryStore,
    verbs: Mutex<HashMap<&'static str, usize>>,
    down: std::sync::atomic::AtomicBool,
    /// It does what it is asked to, and then its answer is lost.
    loses_answers: std::sync::atomic::AtomicBool,
    before_ask: Mutex<Option<Hook>>,
    /// Runs between the first two records of a request for several.
    amid: Mutex<Option<Hook>>,
}

impl Counting {
    fn of(store: MemoryStore) -> Self {
        Self {
            store,
            verbs: Mutex::default(),
            down: false.into(),
            loses_answers: false.into(),
            before_ask: Mutex::default(),
            amid: Mutex::default(),
        }
    }

    fn count(&self, verb: &'static str) -> Answer<()> {
        *self.verbs.lock().unwrap().entry(verb).or_default() += 1;
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }

    fn answer(&self, found: Answer<Found>) -> Answer<Found> {
        match self.loses_answers.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("no answer")),
            false => found,
        }
    }

    /// What it was asked to do since this was asked last.
    fn verbs(&self) -> Vec<(&'static str, usize)> {
        let verbs = std::mem::take(&mut *self.verbs.lock().unwrap());
        let mut verbs: Vec<_> = verbs.into_iter().collect();
        verbs.sort_unstable();
        verbs
    }

    fn wait(&self) {
        let hook = self.before_ask.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook();
        }
    }
}

impl Described for Counting {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: std::sync::Weak<dyn Watch>) -> bool {
        self.store.watch(watch)
    }
}

impl Store for Counting {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.wait();
        self.count("ask")?;
        self.answer(self.store.get_or_lease(key, ask))
    }

    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        self.wait();
        match self.count("ask many") {
            Ok(()) => {
                let amid = self.amid.lock().unwrap().clone();
                let (first, rest) = asks.split_at(1);
                let mut answers = self.store.get_or_lease_many(first);
                if let Some(amid) = amid.filter(|_| !rest.is_empty()) {
                    amid();
                }
                answers.extend(self.store.get_or_lease_many(rest));
                answers
                    .into_iter()
                    .map(|found| self.answer(found))
                    .collect()
            }
            Err(_) => (asks.iter())
                .map(|_| Err(StoreError::unavailable("down")))
                .collect(),
        }
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.count("put")?;
        self.store.put(key, put)
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.count("renew")?;
        self.store.renew(key, grant, lease)
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.count("release")?;
        self.store.release(key, grant, quiet)
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.count("invalidate")?;
        self.store.invalidate(key, depth, only)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.count("invalidate_all")?;
        self.store.invalidate_all(namespace, depth)
    }

    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        self.store.nap(key, fence, poll, until);
    }
}

type Map<S> = FleetKeyed<u64, String, S>;

struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<Counting>,
}

impl Fleet {
    fn new() -> Self {
        let clock = manual_clock();
        let store = Counting::of(MemoryStore::with_clock(clock.clone()));
        Self {
            clock,
            store: Arc::new(store),
        }
    }

    fn builder(&self) -> FleetBuilder<String, Counting, Plain, ManyKeys<u64, String>> {
        FleetKeyed::builder(Arc::clone(&self.store), "numbers", SECOND * 10)
            .clock(self.clock.clone())
    }

    fn process(&self) -> Map<Counting> {
        self.builder().build()
    }

    /// A process whose calls await.
    fn tasks(&self) -> Map<Blocking<Arc<Counting>>> {
        let store = on_threads(Arc::new(Arc::clone(&self.store)));
        FleetKeyed::builder(Arc::new(store), "numbers", SECOND * 10)
            .clock(self.clock.clone())
            .build()
    }

    fn pass(&self, seconds: u32) {
        self.clock.advance(SECOND * seconds);
    }
}

fn made(key: u64) -> Result<String, String> {
    Ok(format!("value {key}"))
}

fn never(_: Creation<'_, String>) -> Result<String, String> {
    panic!("this creator is not to run")
}

/// What is made of all that is wanted.
type All = Vec<(u64, Result<String, String>)>;

fn all_made(wanted: &[&u64]) -> Result<All, String> {
    Ok(wanted.iter().map(|key| (**key, made(**key))).collect())
}

fn none_made(wanted: &[&u64]) -> Result<All, String> {
    panic!("this creator is not to run, of {wanted:?}")
}

mod costs {
    use super::*;

    #[test]
    fn a_hit_asks_nothing_a_fill_once_a_regeneration_twice() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        drop(a.get_or_try_create(&1, |_| made(1)).unwrap());
        assert_eq!(fleet.store.verbs(), [("ask", 1), ("put", 1)]);
        drop(a.get_or_try_create(&1, never).unwrap());
        assert_eq!(fleet.store.verbs(), []);
        drop(b.get_or_try_create(&1, never).unwrap());
        assert_eq!(fleet.store.verbs(), [("ask", 1)]);
    }

    #[test]
    fn several_keys_are_asked_for_once() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let keys: Vec<u64> = (0..100).collect();
        let mut calls = 0;
        let answers = a.get_or_try_create_multi(&keys, |wanted| {
            calls += 1;
            assert_eq!(wanted.len(), 100);
            all_made(wanted)
        });
        assert_eq!((answers.len(), calls), (100, 1));
        assert_eq!(fleet.store.verbs(), [("ask many", 1), ("put", 100)]);
        drop(answers);
        // Of those that the store has one request brings all, here none.
        drop(b.get_or_try_create_multi(&keys, none_made));
        assert_eq!(fleet.store.verbs(), [("ask many", 1)]);
        drop(b.get_or_try_create_multi(&keys, none_made));
        assert_eq!(fleet.store.verbs(), []);
        assert_eq!((a.stats().verbs, a.stats().asks), (101, 100));
        assert_eq!((a.stats().leads, a.stats().stored), (100, 100));
    }

    #[test]
    fn of_64_threads_on_1000_cold_keys_one_creates_each() {
        let store = Arc::new(MemoryStore::new());
        let map: Map<MemoryStore> = FleetKeyed::builder(store, "numbers", SECOND * 600).build();
        let creations = AtomicUsize::new(0);
        let gate = Barrier::new(64);
        thread::scope(|threads| {
            for number in 0..64 {
                let (map, creations, gate) = (&map, &creations, &gate);
                threads.spawn(move || {
                    gate.wait();
                    for step in 0..1000 {
                        let key = (step * 7 + number * 131) % 1000;
                        let guard = map.get_or_try_create(&key, |_| {
                            creations.fetch_add(1, Ordering::SeqCst);
                            made(key)
                        });
                        assert_eq!(*guard.unwrap(), made(key).unwrap());
                    }
                });
            }
        });
        assert_eq!(creations.into_inner(), 1000);
        assert_eq!((map.stats().stored, map.stats().naps), (1000, 0));
    }
}

mod no_trace {
    use super::*;

    /// What is evicted is in the store still, and what was known of it here is forgotten.
    #[test]
    fn what_is_evicted_leaves_no_memory() {
        let fleet = Fleet::new();
        let map = fleet.builder().max_entries(100).watched().build();
        for key in 0..5000 {
            drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
        }
        assert!(map.len() <= 200, "{} copies", map.len());
        assert!(map.known_records() <= map.len());
        fleet.store.verbs();
        // A hint of such a key has nobody to tell.
        let hints = map.stats().hints;
        let evicted = (0..5000).find(|key| map.peek(key).is_none()).unwrap();
        let elsewhere = fleet.process();
        elsewhere.invalidate(&evicted).unwrap();
        assert_eq!(map.stats().hints, hints);
        elsewhere.set(evicted, "other".to_owned()).unwrap();
        assert_eq!(*map.get_or_try_create(&evicted, never).unwrap(), "other");
        map.invalidate_all().unwrap();
        assert_eq!((map.len(), map.known_records()), (0, 0));
    }

    #[test]
    fn failures_panics_and_looks_leave_none() {
        let fleet = Fleet::new();
        let map = fleet
            .builder()
            .backoff(Duration::ZERO, Duration::ZERO)
            .build();
        for key in 0..10 {
            let failed = map.get_or_try_create(&key, |_| Err("failed"));
            assert_eq!(failed.unwrap_err().created(), Some(&"failed"));
            let panics = || map.get_or_create(&key, |_| panic!("on purpose")).map(drop);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
            assert!(map.peek(&key).is_none() && map.hit(&key).is_none());
            map.invalidate(&key).unwrap();
            drop(map.attempt(&key));
        }
        assert_eq!((map.len(), map.known_records()), (0, 0));
    }

    /// What a guard shows can be judged for as long as it is held.
    #[test]
    fn a_guard_knows_of_its_record_after_an_eviction() {
        let fleet = Fleet::new();
        let map = fleet.builder().max_entries(1).build();
        let held = map.get_or_try_create(&0, |_| made(0)).unwrap();
        for key in 1..500 {
            drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
        }
        assert!(map.peek(&0).is_none());
        assert!(!FleetGuard::is_stale(&held));
        map.expire(&0).unwrap();
        assert!(FleetGuard::is_stale(&held));
        drop(held);
        map.invalidate_all().unwrap();
        assert_eq!(map.known_records(), 0);
    }

    #[test]
    fn what_weighs_too_much_is_not_kept_here() {
        let fleet = Fleet::new();
        let map = fleet
            .builder()
            .max_weight(100, |_, text: &String| text.len() as u32);
        let map = map.build();
        drop(map.get_or_create(&1, |_| "x".repeat(101)).unwrap());
        assert!(map.peek(&1).is_none());
        drop(map.get_or_create(&2, |_| "x".repeat(10)).unwrap());
        assert!(map.peek(&2).is_some());
        assert_eq!(map.get_or_try_create(&1, never).unwrap().len(), 101);
    }
}

#[test]
fn eviction_loses_nobody() {
    let fleet = Fleet::new();
    let map = fleet.builder().max_entries(1).build();
    let (began, begins) = channel();
    let (go, goes) = channel::<()>();
    thread::scope(|threads| {
        let map = &map;
        let leader = threads.spawn(move || {
            let guard = map.get_or_try_create(&0, |_| {
                began.send(()).unwrap();
                goes.recv_timeout(SECOND * 20).unwrap();
                made(0)
            });
            guard.unwrap().to_string()
        });
        begins.recv_timeout(SECOND * 20).unwrap();
        let waiters: Vec<_> = (0..4)
            .map(|_| threads.spawn(|| map.get_or_try_create(&0, never).unwrap().to_string()))
            .collect();
        wait_until(|| map.waiters(&0) == 4);
        for key in 1..500 {
            drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
        }
        go.send(()).unwrap();
        assert_eq!(leader.join().unwrap(), "value 0");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), "value 0");
        }
    });
    assert_eq!(map.stats().creations, 500);
}

#[test]
fn hints_go_to_their_key() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process(), fleet.builder().watched().build());
    for key in [1, 2] {
        drop(b.get_or_try_create(&key, |_| made(key)).unwrap());
    }
    a.set(1, "other".to_owned()).unwrap();
    fleet.store.verbs();
    assert_eq!(*b.get_or_try_create(&1, never).unwrap(), "other");
    assert_eq!(*b.get_or_try_create(&2, never).unwrap(), "value 2");
    assert_eq!(fleet.store.verbs(), [("ask", 1)]);
    assert_eq!(b.stats().hints, 1);
    a.expire_all().unwrap();
    for key in [1, 2] {
        assert!(FleetGuard::is_stale(&b.peek(&key).unwrap()), "of key {key}");
    }
    assert_eq!(b.stats().hints, 2);
}

/// While it runs: what was created before is refused, of each key; what comes after is as ever.
#[test]
fn a_namespace_that_is_invalidated_supersedes_what_runs_of_each_key() {
    let fleet = Fleet::new();
    let map = fleet.process();
    for key in 0..10 {
        drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
    }
    let late = map.get_or_try_create(&10, |creation| {
        map.invalidate_all().unwrap();
        assert!(creation.is_lost());
        made(10)
    });
    assert_eq!(FleetGuard::origin(&late.unwrap()), Origin::Superseded);
    assert!((0..11).all(|key| map.peek(&key).is_none()));
    for key in 0..11 {
        drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
    }
    assert_eq!(map.len(), 11);
}

#[test]
fn keys_are_named_apart() {
    let parts: [(String, String); 4] = [
        ("a".into(), "bc".into()),
        ("ab".into(), "c".into()),
        ("".into(), "abc".into()),
        ("abc".into(), "".into()),
    ];
    let mut names: Vec<_> = parts.iter().map(KeyBytes::key_bytes).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), parts.len());
    assert_ne!((1u8, 2u8, 3u8).key_bytes(), (1u8, 3u8, 2u8).key_bytes());
    assert_eq!(
        "text".to_owned().key_bytes(),
        Box::<str>::from("text").key_bytes()
    );
    assert_eq!(7u64.key_bytes(), [0, 0, 0, 0, 0, 0, 0, 7]);
}

mod requests_at_once {
    use super::*;

    /// Counts who asks at once, and lets them answer only when `full` are there, or none comes any more.
    fn watched(fleet: &Fleet) -> Arc<(AtomicUsize, AtomicUsize)> {
        let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let told = Arc::clone(&counts);
        let hook = move || {
            let now = told.0.fetch_add(1, Ordering::SeqCst) + 1;
            told.1.fetch_max(now, Ordering::SeqCst);
            thread::yield_now();
            told.0.fetch_sub(1, Ordering::SeqCst);
        };
        *fleet.store.before_ask.lock().unwrap() = Some(Arc::new(hook));
        counts
    }

    #[test]
    fn are_bounded_for_threads() {
        let fleet = Fleet::new();
        let map = fleet.builder().max_asks(2).build();
        let most = watched(&fleet);
        thread::scope(|threads| {
            for number in 0..16 {
                let map = &map;
                threads.spawn(move || {
                    for key in 0..50 {
                        let key = key + number * 1000;
                        drop(map.get_or_try_create(&key, |_| made(key)).unwrap());
                        let pair = [key + 100, key + 200];
                        for answer in map.get_or_try_create_multi(&pair, all_made) {
                            drop(answer.unwrap());
                        }
                    }
                });
            }
        });
        assert!(most.1.load(Ordering::SeqCst) <= 2);
        assert_eq!(map.stats().creations, 16 * 50 * 3);
    }

    #[test]
    fn are_bounded_for_tasks_and_dropped_ones_keep_no_place() {
        let fleet = Fleet::new();
        let store = on_threads(Arc::new(Arc::clone(&fleet.store)));
        let map: Map<_> = FleetKeyed::builder(Arc::new(store), "numbers", SECOND * 10)
            .clock(fleet.clock.clone())
            .max_asks(1)
            .build();
        let (go, goes) = channel::<()>();
        let goes = Mutex::new(goes);
        *fleet.store.before_ask.lock().unwrap() = Some(Arc::new(move || {
            goes.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
        }));
        let create = |key: u64| async move { made(key) };
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(map.get_or_try_create_async(&1, |_| create(1)));
        assert!(first.as_mut().poll(&mut context).is_pending());
        {
            // They wait for their turn, and are dropped in it.
            let mut dropped = pin!(map.get_or_try_create_async(&2, |_| create(2)));
            assert!(dropped.as_mut().poll(&mut context).is_pending());
            let mut also = pin!(map.get_or_try_create_async(&3, |_| create(3)));
            assert!(also.as_mut().poll(&mut context).is_pending());
        }
        let mut last = pin!(map.get_or_try_create_async(&4, |_| create(4)));
        assert!(last.as_mut().poll(&mut context).is_pending());
        go.send(()).unwrap();
        assert_eq!(*block_on(first).unwrap(), "value 1");
        go.send(()).unwrap();
        assert_eq!(*block_on(last).unwrap(), "value 4");
        assert_eq!(fleet.store.verbs(), [("ask", 2), ("put", 2)]);
    }

    #[test]
    fn a_store_that_is_down_is_waited_for_once() {
        let fleet = Fleet::new();
        let map = fleet.builder().max_asks(1).build();
        let (asks, go) = hangs(&fleet);
        thread::scope(|threads| {
            let map = &map;
            let calls: Vec<_> = (0..8)
                .map(|key| {
                    threads.spawn(move || {
                        let guard = map.get_or_try_create(&key, |_| made(key)).unwrap();
                        assert!(FleetGuard::version(&guard).is_none());
                    })
                })
                .collect();
            asks.recv_timeout(SECOND * 20).unwrap();
            fleet.store.down.store(true, Ordering::SeqCst);
            go.send(()).unwrap();
            for call in calls {
                call.join().unwrap();
            }
        });
        assert_eq!(fleet.store.verbs(), [("ask", 1)]);
    }

    /// From now on each request tells that it is there, and waits until it is told to go on.
    fn hangs(fleet: &Fleet) -> (Receiver<()>, Sender<()>) {
        let (asked, asks) = channel();
        let (go, goes) = channel();
        let goes = Mutex::new(goes);
        *fleet.store.before_ask.lock().unwrap() = Some(Arc::new(move || {
            asked.send(()).unwrap();
            goes.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
        }));
        (asks, go)
    }

    /// Each waits until so many are under way. Then all fail.
    fn fail_together(fleet: &Fleet, requests: usize) {
        let all_there = Barrier::new(requests);
        let hook = move || {
            all_there.wait();
        };
        *fleet.store.before_ask.lock().unwrap() = Some(Arc::new(hook));
        fleet.store.down.store(true, Ordering::SeqCst);
    }

    /// The store is well again, and it is asked again after the pause that follows one failure.
    fn answers_after_one_pause(fleet: &Fleet) {
        *fleet.store.before_ask.lock().unwrap() = None;
        fleet.store.down.store(false, Ordering::SeqCst);
        fleet.store.verbs();
        fleet.clock.advance(Duration::from_millis(100));
    }

    #[test]
    fn that_fail_together_are_one_failure() {
        let fleet = Fleet::new();
        let map = fleet.process();
        fail_together(&fleet, 6);
        thread::scope(|threads| {
            let map = &map;
            for key in 0..5 {
                threads.spawn(move || drop(map.get_or_try_create(&key, |_| made(key)).unwrap()));
            }
            threads.spawn(|| drop(map.get_or_try_create_multi(&[7, 8], all_made)));
        });
        assert_eq!((map.stats().store_errors, map.stats().unstored), (7, 7));
        answers_after_one_pause(&fleet);
        let stored = map.get_or_try_create(&9, |_| made(9)).unwrap();
        assert!(!FleetGuard::version(&stored).is_none());
        assert_eq!(fleet.store.verbs(), [("ask", 1), ("put", 1)]);
    }

    #[test]
    fn of_tasks_that_fail_together_are_one_failure() {
        let fleet = Fleet::new();
        let map = fleet.tasks();
        fail_together(&fleet, 3);
        let one = |key| Box::pin(map.get_or_try_create_async(key, |_| async { made(*key) }));
        let (mut first, mut second) = (one(&1), one(&2));
        let several = map.get_or_try_create_multi_async(&[7, 8], |wanted| {
            let keys: Vec<u64> = wanted.into_iter().copied().collect();
            async move { Ok::<_, String>(keys.into_iter().map(|key| (key, made(key)))) }
        });
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(block_on(several).iter().all(Result::is_ok));
        let one_by_one = [block_on(first), block_on(second)];
        assert!(one_by_one.iter().all(Result::is_ok));
        assert_eq!((map.stats().store_errors, map.stats().unstored), (4, 4));
        answers_after_one_pause(&fleet);
        let stored = map.get_or_try_create_async(&9, |_| async { made(9) });
        assert!(!FleetGuard::version(&block_on(stored).unwrap()).is_none());
        assert_eq!(fleet.store.verbs(), [("ask", 1), ("put", 1)]);
    }

    /// All have usable values. When the store hangs again, it costs one of them.
    #[test]
    fn after_a_pause_one_asks_for_all() {
        let fleet = Fleet::new();
        let map = fleet.process();
        for key in 1..=8 {
            map.set(key, "old".to_owned()).unwrap();
        }
        fleet.pass(11);
        fleet.store.down.store(true, Ordering::SeqCst);
        let old = |key: u64| assert_eq!(&**map.get_or_try_create(&key, never).unwrap(), "old");
        old(1);
        fleet.store.verbs();
        fleet.clock.advance(Duration::from_millis(150));
        let (asks, go) = hangs(&fleet);
        thread::scope(|threads| {
            let one = threads.spawn(|| old(1));
            asks.recv_timeout(SECOND * 20).unwrap();
            // None of them waits for it.
            (2..=8).for_each(old);
            let several = map.get_or_try_create_multi(&[3, 4], none_made);
            assert!(several.iter().all(Result::is_ok));
            go.send(()).unwrap();
            one.join().unwrap();
        });
        assert_eq!(fleet.store.verbs(), [("ask", 1)]);
    }

    #[test]
    #[should_panic(expected = "FleetBuilder::max_asks")]
    fn zero_of_them_is_an_error_that_says_so() {
        let _ = Fleet::new().builder().max_asks(0);
    }
}

mod several {
    use super::*;

    fn texts<E>(answers: &[Result<FleetGuard<'_, String>, FleetError<E>>]) -> Vec<String> {
        let text = |answer: &Result<FleetGuard<'_, String>, FleetError<E>>| match answer {
            Ok(guard) => guard.to_string(),
            Err(error) => error.to_string(),
        };
        answers.iter().map(text).collect()
    }

    #[test]
    fn one_answer_for_each_in_order_and_an_error_is_its_own() {
        let fleet = Fleet::new();
        let (map, elsewhere) = (fleet.process(), fleet.process());
        elsewhere.set(2, "there".to_owned()).unwrap();
        map.set(3, "here".to_owned()).unwrap();
        let keys = [1, 2, 3, 4, 1, 5, 4];
        let answers = map.get_or_try_create_multi(&keys, |wanted| {
            assert_eq!(wanted, [&1, &4, &5]);
            // Of one that was not wanted nobody takes note, nor of what comes twice.
            let twice = (1, Ok("again".to_owned()));
            let made = [(9, made(9)), (4, Err(String::new())), (1, made(1)), twice];
            Ok(made.map(|(key, made)| (key, made.map_err(|_| "failed"))))
        });
        assert_eq!(
            texts(&answers),
            [
                "value 1",
                "there",
                "here",
                "the value could not be created",
                "value 1",
                "the creator for several keys left this one out",
                "the value could not be created",
            ]
        );
        assert_eq!(answers[3].as_ref().unwrap_err().created(), Some(&"failed"));
        let Err(FleetError::Missing) = answers[5] else {
            panic!("{:?}", answers[5].as_ref().err())
        };
        let (once, twice) = (answers[0].as_ref().unwrap(), answers[4].as_ref().unwrap());
        assert_eq!(FleetGuard::version(once), FleetGuard::version(twice));
        assert_eq!(FleetGuard::origin(twice), FleetGuard::origin(once));
        assert!(map.peek(&9).is_none());
        // A failure holds for the whole fleet, of its key alone.
        let failed = elsewhere.get_or_try_create(&4, never);
        assert!(failed.unwrap_err().retry_in().is_some());
        assert_eq!(*elsewhere.get_or_try_create(&1, never).unwrap(), "value 1");
        let none: [u64; 0] = [];
        assert!(map.get_or_try_create_multi(&none, none_made).is_empty());
    }

    #[test]
    fn leases_whose_grants_are_lost_are_asked_for_once_more() {
        let fleet = Fleet::new();
        let map = fleet.builder().lease(SECOND * 3600).build();
        let one = |key| {
            let own = map.call(&key).wait(Duration::ZERO);
            own.get_or_try_create(|_| made(key)).map(drop)
        };
        fleet.store.loses_answers.store(true, Ordering::SeqCst);
        drop(map.get_or_try_create_multi(&[1, 2], all_made));
        // By now the store is asked again.
        fleet.pass(11);
        one(3).unwrap();
        fleet.store.loses_answers.store(false, Ordering::SeqCst);
        assert_eq!(map.stats().stored, 0);
        fleet.pass(11);
        // The store says that somebody leads, as it does to others.
        let others = fleet.process();
        for key in [1, 2, 3] {
            let waits = others.call(&key).wait(Duration::ZERO);
            let told = waits.get_or_try_create(never).unwrap_err();
            assert!(matches!(told, FleetError::TimedOut), "{told}");
        }
        let creations = AtomicUsize::new(0);
        one(1).unwrap();
        one(3).unwrap();
        drop(map.get_or_try_create_multi(&[1, 2], |wanted| {
            creations.fetch_add(wanted.len(), Ordering::SeqCst);
            all_made(wanted)
        }));
        assert_eq!((creations.into_inner(), map.stats().stored), (1, 3));
        assert_eq!(map.stats().naps, 0);
    }

    #[test]
    fn an_error_of_the_whole_is_that_of_each() {
        let fleet = Fleet::new();
        let map = fleet.process();
        let answers = map.get_or_try_create_multi(&[1, 2], |_| {
            Err::<Vec<(u64, Result<String, &str>)>, _>("no route")
        });
        for answer in &answers {
            assert_eq!(answer.as_ref().unwrap_err().created(), Some(&"no route"));
        }
        // Told to the store: nobody leads.
        drop(answers);
        fleet.pass(60);
        let other = fleet.process();
        let answers = other.get_or_create_multi(&[1, 2], |wanted| {
            wanted
                .iter()
                .map(|key| (**key, key.to_string()))
                .collect::<Vec<_>>()
        });
        assert_eq!(texts(&answers), ["1", "2"]);
    }

    #[test]
    fn each_is_stored_and_handed_out_as_it_comes() {
        let fleet = Fleet::new();
        let (map, elsewhere) = (fleet.process(), fleet.process());
        let answers = map.get_or_try_create_multi(&[1, 2, 3], |wanted| {
            let (map, elsewhere) = (&map, &elsewhere);
            let keys: Vec<&u64> = wanted.to_vec();
            let made = keys.into_iter().map(move |key| {
                if *key == 3 {
                    // The others are there for all, while this one is being made.
                    assert_eq!(*elsewhere.get_or_try_create(&1, never).unwrap(), "value 1");
                    assert_eq!(*map.get_or_try_create(&2, never).unwrap(), "value 2");
                }
                (*key, made(*key))
            });
            Ok::<_, String>(made)
        });
        assert_eq!(texts(&answers), ["value 1", "value 2", "value 3"]);
    }

    #[test]
    fn a_panic_leaves_no_lease_and_what_was_made_before() {
        let fleet = Fleet::new();
        let map = fleet.builder().backoff(SECOND, SECOND).build();
        let panics = || {
            let made = |wanted: &[&u64]| {
                let keys: Vec<_> = wanted.iter().map(|key| **key).collect();
                Ok::<_, String>(keys.into_iter().map(|key| match key {
                    2 => panic!("on purpose"),
                    key => (key, made(key)),
                }))
            };
            drop(map.get_or_try_create_multi(&[1, 2, 3], made));
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(*map.get_or_try_create(&1, never).unwrap(), "value 1");
        for key in [2, 3] {
            let failed = fleet.process().get_or_try_create(&key, never).map(drop);
            assert!(failed.unwrap_err().retry_in().is_some(), "of key {key}");
        }
        fleet.pass(2);
        assert_eq!(*map.get_or_try_create(&3, |_| made(3)).unwrap(), "value 3");
    }

    #[test]
    fn a_creator_that_asks_for_one_of_them_is_told() {
        let fleet = Fleet::new();
        let map = fleet.process();
        let answers = map.get_or_try_create_multi(&[1, 2], |wanted| {
            let inner = map.get_or_try_create(&2, never).map(drop);
            assert!(matches!(inner, Err(FleetError::Reentrant)));
            all_made(wanted)
        });
        assert_eq!(texts(&answers), ["value 1", "value 2"]);
    }

    /// Each leads one of two keys, and finds the other busy: it creates its own before it waits.
    #[test]
    fn who_holds_a_lease_waits_for_nobody() {
        let store = Counting::of(MemoryStore::new());
        let gate = Arc::new(Barrier::new(2));
        *store.amid.lock().unwrap() = Some(Arc::new(move || {
            gate.wait();
        }));
        let store = Arc::new(store);
        let process = || -> Map<Counting> {
            FleetKeyed::builder(Arc::clone(&store), "numbers", SECOND * 600)
                .max_create_time(SECOND * 5)
                .lease(SECOND)
                .build()
        };
        let creations = AtomicUsize::new(0);
        thread::scope(|threads| {
            for keys in [[1, 2], [2, 1]] {
                let (process, creations) = (&process, &creations);
                threads.spawn(move || {
                    let map = process();
                    let answers = map.get_or_try_create_multi(&keys, |wanted| {
                        assert_eq!(wanted, [&keys[0]]);
                        creations.fetch_add(1, Ordering::SeqCst);
                        all_made(wanted)
                    });
                    assert_eq!(texts(&answers), keys.map(|key| made(key).unwrap()));
                });
            }
        });
        assert_eq!(creations.into_inner(), 2);
    }

    /// Two processes, each with two calls that name the same keys in two orders, in many rounds.
    #[test]
    fn they_never_wait_for_each_other_in_a_circle() {
        let fleet = Fleet::new();
        for round in 0..20u64 {
            let keys: Vec<u64> = (0..12).map(|key| round * 100 + key).collect();
            let backwards: Vec<u64> = keys.iter().rev().copied().collect();
            let creations = AtomicUsize::new(0);
            let (a, b) = (fleet.process(), fleet.process());
            let gate = Barrier::new(4);
            thread::scope(|threads| {
                for (map, keys) in [(&a, &keys), (&a, &backwards), (&b, &keys), (&b, &backwards)] {
                    let (gate, creations) = (&gate, &creations);
                    threads.spawn(move || {
                        gate.wait();
                        let answers = map.get_or_try_create_multi(keys, |wanted| {
                            creations.fetch_add(wanted.len(), Ordering::SeqCst);
                            all_made(wanted)
                        });
                        for (key, answer) in keys.iter().zip(answers) {
                            assert_eq!(*answer.unwrap(), made(*key).unwrap());
                        }
                    });
                }
            });
            assert_eq!(creations.into_inner(), 12, "in round {round}");
        }
    }

    /// What others create is waited for, and not created once more: in this process, and elsewhere.
    #[test]
    fn what_others_create_is_waited_for() {
        let fleet = Fleet::new();
        let (map, elsewhere) = (fleet.process(), fleet.process());
        let gate = Barrier::new(3);
        let (go, goes) = channel::<()>();
        let goes = Mutex::new(goes);
        let slow = |key| {
            let (gate, goes) = (&gate, &goes);
            move |_: Creation<'_, String>| {
                gate.wait();
                goes.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
                made(key)
            }
        };
        thread::scope(|threads| {
            threads.spawn(|| drop(map.get_or_try_create(&1, slow(1)).unwrap()));
            threads.spawn(|| drop(elsewhere.get_or_try_create(&2, slow(2)).unwrap()));
            gate.wait();
            let call = threads.spawn(|| {
                let answers = map.get_or_try_create_multi(&[1, 2, 3], |wanted| {
                    assert_eq!(wanted, [&3]);
                    all_made(wanted)
                });
                texts(&answers)
            });
            // Its own comes first.
            wait_until(|| map.peek(&3).is_some() && map.stats().naps + map.waiters(&1) as u64 > 0);
            go.send(()).unwrap();
            go.send(()).unwrap();
            assert_eq!(call.join().unwrap(), ["value 1", "value 2", "value 3"]);
        });
    }

    #[test]
    fn stale_values_are_taken_while_others_create() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        drop(a.get_or_try_create_multi(&[1, 2], all_made));
        fleet.pass(10);
        let answers = a.get_or_try_create_multi(&[1, 2], |wanted| {
            let inner = b.get_or_try_create_multi(&[1, 2], none_made);
            for answer in &inner {
                assert_eq!(FleetGuard::origin(answer.as_ref().unwrap()), Origin::Stale);
            }
            let made = wanted.iter().map(|key| (**key, Ok(format!("new {key}"))));
            Ok::<_, String>(made.collect::<Vec<_>>())
        });
        assert_eq!(texts(&answers), ["new 1", "new 2"]);
    }

    #[test]
    fn a_store_that_is_down_costs_one_request() {
        let fleet = Fleet::new();
        let map = fleet.process();
        fleet.store.down.store(true, Ordering::SeqCst);
        let answers = map.get_or_try_create_multi(&[1, 2, 3], all_made);
        assert_eq!(texts(&answers), ["value 1", "value 2", "value 3"]);
        assert_eq!(fleet.store.verbs(), [("ask many", 1)]);
        assert_eq!((map.stats().unstored, map.stats().store_errors), (3, 3));
        // It is left alone for a moment.
        drop(map.get_or_try_create_multi(&[4, 5], all_made));
        drop(map.get_or_try_create(&6, |_| made(6)).unwrap());
        assert_eq!(fleet.store.verbs(), []);
    }

    #[test]
    fn for_tasks() {
        let fleet = Fleet::new();
        let map = fleet.tasks();
        let calls = AtomicUsize::new(0);
        let create = |wanted: Vec<&u64>| {
            calls.fetch_add(1, Ordering::SeqCst);
            let keys: Vec<u64> = wanted.into_iter().copied().collect();
            async move {
                let made = keys.into_iter().map(|key| match key {
                    2 => (key, Err("failed")),
                    key => (key, Ok(made(key).unwrap())),
                });
                Ok::<_, &str>(made.filter(|(key, _)| *key != 3).collect::<Vec<_>>())
            }
        };
        let keys = [1, 2, 3, 1];
        let answers = block_on(map.get_or_try_create_multi_async(&keys, create));
        assert_eq!(
            texts(&answers),
            [
                "value 1",
                "the value could not be created",
                "the creator for several keys left this one out",
                "value 1",
            ]
        );
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let verbs = [("ask many", 1), ("put", 1), ("release", 2)];
        assert_eq!(fleet.store.verbs(), verbs);
        let answers = map.get_or_create_multi_async(&[1], |_| async { Vec::new() });
        assert_eq!(texts(&block_on(answers)), ["value 1"]);
    }

    #[test]
    fn of_tasks_that_are_dropped_all_leases_are_given_up() {
        for polls in 0..12 {
            let fleet = Fleet::new();
            let (map, other) = (fleet.tasks(), fleet.process());
            {
                let mut call = pin!(map.get_or_try_create_multi_async(&[1, 2, 3], |wanted| {
                    let keys: Vec<u64> = wanted.into_iter().copied().collect();
                    async move {
                        std::future::pending::<()>().await;
                        Ok::<_, String>(keys.into_iter().map(|key| (key, made(key))))
                    }
                }));
                let mut context = Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    assert!(call.as_mut().poll(&mut context).is_pending());
                    thread::yield_now();
                }
            }
            // Whatever it was at: the leases end, and others create.
            let answers = other.get_or_try_create_multi(&[1, 2, 3], all_made);
            assert_eq!(texts(&answers), ["value 1", "value 2", "value 3"]);
            assert_eq!(map.stats().failures, 0);
        }
    }

    #[test]
    fn their_futures_may_be_sent() {
        fn sent<T: Send>(of: T) -> T {
            of
        }
        let fleet = Fleet::new();
        let map = fleet.tasks();
        let call = map.get_or_create_multi_async(&[1], |wanted: Vec<&u64>| {
            let made: Vec<_> = wanted
                .into_iter()
                .map(|key| (*key, key.to_string()))
                .collect();
            async { made }
        });
        assert_eq!(texts(&block_on(sent(call))), ["1"]);
        let call = map.get_or_try_create_async(&2, |_| async { made(2) });
        assert_eq!(*block_on(sent(call)).unwrap(), "value 2");
    }
}

mod decorated {
    use super::*;

    #[test]
    fn a_function_of_a_key() {
        let fleet = Fleet::new();
        let calls = AtomicUsize::new(0);
        let square = fleet.process().cached(|key: &u64| {
            calls.fetch_add(1, Ordering::SeqCst);
            match key {
                0 => Err("nothing"),
                key => Ok((key * key).to_string()),
            }
        });
        assert_eq!(*square.call(&3).unwrap(), "9");
        assert_eq!(*square.call(&3).unwrap(), "9");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(*square.refresh(&3).unwrap(), "9");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_eq!(square.call(&0).unwrap_err().created(), Some(&"nothing"));
        square.set(3, "nine".to_owned()).unwrap();
        assert_eq!(*square.get(&3).unwrap(), "nine");
        // Elsewhere too.
        assert_eq!(
            *fleet.process().get_or_try_create(&3, never).unwrap(),
            "nine"
        );
        square.invalidate(&3).unwrap();
        assert!(square.get(&3).is_none());
        assert_eq!(*square.call(&3).unwrap(), "9");
        assert_eq!(square.map().stats().creations, 4);
    }

    #[test]
    fn an_async_function_of_a_key() {
        let fleet = Fleet::new();
        let square = fleet
            .tasks()
            .cached(async |key: u64| Ok::<_, String>((key * key).to_string()));
        block_on(async {
            assert_eq!(*square.call_async(&3).await.unwrap(), "9");
            square.set_async(3, "nine".to_owned()).await.unwrap();
            assert_eq!(*square.call_async(&3).await.unwrap(), "nine");
            assert_eq!(*square.refresh_async(&3).await.unwrap(), "9");
            square.invalidate_async(&3).await.unwrap();
            assert!(square.get(&3).is_none());
        });
    }
}
