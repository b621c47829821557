//! What keys, weighers, listeners, creators and callers may do that they should not: it hurts nobody else.
//!
//! ```breakages
//! a-value-is-weighed-under-the-lock | src/keyed/shared.rs | weighers_and_listeners_that_call_the_map
//! @ fn end_visit
//! - drop(shard);
//!
//! a-clock-that-panics-loses-what-is-counted | src/keyed/shared.rs | a_clock_that_panics
//! @ fn retire
//! - contain(|| {
//! + let at_once = |act: &dyn Fn()| act();
//! + at_once(&|| {
//!
//! a-key-is-compared-in-a-visit | src/keyed/shared.rs | a_weigher_that_changes_another_key_with_one_hash
//! @ fn visit_or_others
//! - if first.key.borrow() == key && self.shard(hash).lock().visit(&first) {
//! -     return Ok(Visit::of(Arc::clone(self), first));
//! - }
//! - drop(first);
//! + let visits = self.shard(hash).lock().visit(&first);
//! + let first = visits.then(|| Visit::of(Arc::clone(self), first));
//! + if let Some(first) = first.filter(|first| first.entry().key.borrow() == key) {
//! +     return Ok(first);
//! + }
//! ```

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use dogpile::{Dogpile, Eviction, KeyedDogpile, KeyedGuard, KeyedOwned};

use crate::support::{Census, Counted, HookedClock, MINUTE, OnDrop, READINGS};
use crate::support::{burst, bursts, hooked, until, within};

/// A hasher by which all keys are in one place.
#[derive(Clone, Copy, Default)]
struct Alike;

impl Hasher for Alike {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

type AllAlike = BuildHasherDefault<Alike>;

/// What of a key panics.
type Breaks = Arc<Mutex<&'static str>>;

/// A key of which everything panics that it is told to.
struct Brittle(u32, Breaks);

impl Brittle {
    fn may_break(&self, at: &str) {
        let breaks = *self.1.lock().unwrap_or_else(|poison| poison.into_inner());
        if breaks == at && !thread::panicking() {
            burst();
        }
    }
}

impl Hash for Brittle {
    fn hash<H: Hasher>(&self, _: &mut H) {
        self.may_break("hash");
    }
}

impl PartialEq for Brittle {
    fn eq(&self, other: &Self) -> bool {
        self.may_break("eq");
        self.0 == other.0
    }
}

impl Eq for Brittle {}

impl Clone for Brittle {
    fn clone(&self) -> Self {
        self.may_break("clone");
        Self(self.0, Arc::clone(&self.1))
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        self.may_break("drop");
    }
}

/// A map of two such keys, all in one place, of which something panics in `body`.
fn breaking(what: &'static str, body: impl Fn(&KeyedDogpile<Brittle, u32>, [&Brittle; 3])) {
    let breaks = Breaks::default();
    let tell = |what| *breaks.lock().unwrap_or_else(|poison| poison.into_inner()) = what;
    let key = |number| Brittle(number, Arc::clone(&breaks));
    // Two keys and no more: what is evicted is Brittle too.
    let map = Dogpile::builder(MINUTE).keyed().max_entries(2).build();
    map.set(key(1), 1);
    map.set(key(2), 2);
    let keys = [key(1), key(2), key(3)];
    tell(what);
    body(&map, [&keys[0], &keys[1], &keys[2]]);
    tell("");
    // All works that worked before, and nothing is held for ever.
    for key in &keys {
        assert!(!map.is_creating(key));
        drop(map.get_or_create(key, || key.0));
        assert_eq!(*map.peek(key).unwrap(), key.0);
        assert_eq!(*map.refresh(key, || Ok::<_, u8>(7)).unwrap(), 7);
        assert_eq!(*map.remove(key).unwrap(), 7);
        assert!(map.peek(key).is_none());
    }
    map.invalidate_all();
    assert_eq!((map.len(), map.weight(), map.iter().count()), (0, 0, 0));
}

#[test]
fn hash_and_eq_that_panic() {
    within(|| {
        for what in ["hash", "eq"] {
            breaking(what, |map, [first, second, third]| {
                assert!(bursts(|| map.get_or_create(third, || 3)));
                assert!(bursts(|| map.peek(second)));
                assert!(bursts(|| map.remove(second)));
                assert!(bursts(|| map.invalidate(first)));
                assert!(bursts(|| map.expire(first)));
                assert!(bursts(|| map.attempt(third)));
                assert!(bursts(|| map.refresh(first, || Ok::<_, u8>(9))));
                assert!(bursts(|| map.get_or_create_multi(
                    [first, third],
                    |_| -> [(Brittle, u32); 0] { [] }
                )));
                assert_eq!(map.len(), 2);
                assert_eq!(map.iter().map(|held| *held).sum::<u32>(), 3);
                map.purge();
                map.expire_all();
            });
        }
    });
}

/// Also in a creator that runs meanwhile, whose key comes back though it cannot be compared.
#[test]
fn hash_and_eq_that_panic_while_another_creates() {
    within(|| {
        for what in ["hash", "eq"] {
            let breaks = Breaks::default();
            let key = |number| Brittle(number, Arc::clone(&breaks));
            let map = KeyedDogpile::<Brittle, u32>::new(MINUTE);
            let (first, second) = (key(1), key(2));
            let made = map.get_or_create(&first, || {
                *breaks.lock().unwrap() = what;
                assert!(bursts(|| map.get_or_create(&second, || 2)));
                assert!(bursts(|| map.invalidate(&first)));
                1
            });
            *breaks.lock().unwrap_or_else(|poison| poison.into_inner()) = "";
            assert_eq!((*made, *map.peek(&first).unwrap(), map.len()), (1, 1, 1));
            assert!(!map.is_creating(&first));
        }
    });
}

/// The key that would be the map's own is not there; nobody creates.
#[test]
fn a_key_whose_clone_panics() {
    within(|| {
        breaking("clone", |map, [first, _, third]| {
            assert!(bursts(|| map.get_or_create(third, || 3)));
            assert!(bursts(|| map.attempt(third)));
            assert!(bursts(|| map
                .get_or_create_multi([third], |_| -> [(Brittle, u32); 0] {
                    []
                })));
            // There the key is the map's own already.
            assert_eq!(*map.get_or_create(first, || 9), 1);
            assert_eq!(map.len(), 2);
        });
    });
}

/// Whoever happens to drop it, the map goes on.
#[test]
fn a_key_whose_drop_panics() {
    within(|| {
        breaking("drop", |map, [first, second, _]| {
            bursts(|| drop(map.remove(first)));
            assert!(map.peek(first).is_none());
            map.invalidate_all();
            assert!(map.peek(second).is_none() && map.is_empty());
            bursts(|| drop(map.get_or_try_create(second, || Err("down"))));
        });
    });
}

/// Equal keys with different hashes are different keys, or not: all else goes well.
#[test]
fn hash_and_eq_that_disagree() {
    static SALT: AtomicUsize = AtomicUsize::new(0);

    #[derive(Clone)]
    struct Fickle(u32);

    impl Hash for Fickle {
        fn hash<H: Hasher>(&self, state: &mut H) {
            SALT.fetch_add(1, Ordering::SeqCst).hash(state);
        }
    }

    impl PartialEq for Fickle {
        fn eq(&self, _: &Self) -> bool {
            SALT.fetch_add(1, Ordering::SeqCst) % 2 == 0
        }
    }

    impl Eq for Fickle {}

    within(|| {
        let map = KeyedDogpile::<Fickle, u32>::new(MINUTE);
        for number in 0..1000 {
            drop(map.get_or_create(&Fickle(number), || number));
            map.invalidate(&Fickle(number / 2));
            drop(map.peek(&Fickle(number / 3)));
        }
        assert!(map.iter().all(|held| KeyedGuard::key(&held).0 == *held));
        map.invalidate_all();
        assert_eq!((map.len(), map.iter().count()), (0, 0));
    });
}

/// Of the identity, only the low bits differ.
#[test]
fn a_hasher_that_does_nothing() {
    #[derive(Default)]
    struct Identity(u64);

    impl Hasher for Identity {
        fn write(&mut self, _: &[u8]) {
            unreachable!("keys are numbers");
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    within(|| {
        let hasher = BuildHasherDefault::<Identity>::default();
        let map = Dogpile::builder(MINUTE).keyed().hasher(hasher).build();
        for shift in [0, 32, 44] {
            for key in 0..1000_u64 {
                map.set(key << shift, key);
            }
            assert!((0..1000_u64).all(|key| *map.peek(&(key << shift)).unwrap() == key));
            map.invalidate_all();
        }
    });
}

#[test]
fn thousands_of_keys_with_one_hash() {
    within(|| {
        let map = Dogpile::builder(MINUTE).keyed().hasher(AllAlike::default());
        let map = map.build();
        for key in 0..2000 {
            assert_eq!(*map.get_or_create(&key, || key), key);
        }
        assert_eq!(
            map.iter().map(|held| *held).collect::<HashSet<_>>().len(),
            2000
        );
        for key in 0..2000 {
            assert_eq!(map.remove(&key).map(|removed| *removed), Some(key));
        }
        assert!(map.is_empty());
    });
}

/// A key that counts how often any of its kind is compared.
#[derive(Clone)]
struct Compared(u32, Arc<AtomicUsize>);

impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0 == other.0
    }
}

impl Eq for Compared {}

impl Hash for Compared {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A call compares each of them once, as in any table, and the first once more. What goes through all of
/// the map compares none.
#[test]
fn keys_with_one_hash_cost_a_call_a_comparison_each() {
    within(|| {
        let compared = Arc::new(AtomicUsize::new(0));
        let key = |number| Compared(number, Arc::clone(&compared));
        let taken = || compared.swap(0, Ordering::Relaxed);
        for bound in [None, Some(100)] {
            let settings = Dogpile::builder(MINUTE).keyed();
            let map = match bound {
                None => settings.build(),
                Some(bound) => settings.max_entries(bound).build(),
            };
            for number in 0..1000 {
                map.set(key(number), number);
                let most = map.len() + 1;
                assert!(taken() <= most, "the {number}th");
                assert_eq!(*map.get_or_create(&key(number), || 0), number);
                assert!(taken() <= most);
                map.expire(&key(number));
                assert!(taken() <= most);
            }
            let kept = bound.unwrap_or(1000);
            assert_eq!(
                map.iter().map(|held| *held).collect::<HashSet<_>>().len(),
                kept
            );
            map.expire_all();
            map.purge();
            map.invalidate_where(|key, _| key.0 % 2 == 0);
            map.invalidate_all();
            assert_eq!((map.len(), taken()), (0, 0));
        }
    });
}

#[test]
fn keys_of_a_megabyte() {
    within(|| {
        let map = KeyedDogpile::<String, usize>::new(MINUTE);
        let key = |last: char| "k".repeat(1 << 20) + &last.to_string();
        for last in 'a'..='d' {
            map.set(key(last), last as usize);
        }
        assert_eq!(*map.get_or_create(&*key('c'), || 0), 'c' as usize);
        assert!(map.peek(&*key('e')).is_none());
    });
}

/// Borrowed keys find what owned ones made.
#[test]
fn keys_that_are_borrowed() {
    #[derive(PartialEq, Eq, Hash, Clone)]
    struct Wrapped(String);

    impl Borrow<str> for Wrapped {
        fn borrow(&self) -> &str {
            &self.0
        }
    }

    within(|| {
        let map = KeyedDogpile::<Wrapped, u32>::new(MINUTE);
        map.set(Wrapped("a".into()), 1);
        // Its `Hash` is not that of `str`? It is: a struct of one field hashes as the field.
        assert_eq!(*map.peek("a").unwrap(), 1);
        assert_eq!(*map.remove("a").unwrap(), 1);
    });
}

/// A creator that asks the map for its own key is told so, for another it is served.
#[test]
fn a_creator_that_asks_the_map() {
    within(|| {
        let map = KeyedDogpile::<u32, u32>::new(MINUTE);
        let created = map.get_or_create(&1, || {
            let own = map.get_or_try_create(&1, || Ok::<_, u8>(0));
            assert!(own.unwrap_err().is_reentrant());
            *map.get_or_create(&2, || 2) + 1
        });
        assert_eq!(*created, 3);
        assert_eq!(*map.peek(&2).unwrap(), 2);
    });
}

/// Whatever is done meanwhile, an iterator comes to its end, and shows what was there all the time.
#[test]
fn iteration_during_everything() {
    within(|| {
        let map = KeyedDogpile::<u32, u32>::new(MINUTE);
        for key in 0..100 {
            map.set(key, key);
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|threads| {
            let others: Vec<_> = (0..2)
                .map(|_| {
                    threads.spawn(|| {
                        for key in (100..u32::MAX).take_while(|_| !stop.load(Ordering::SeqCst)) {
                            map.set(key % 500 + 100, key);
                            map.invalidate(&((key + 250) % 500 + 100));
                            map.purge();
                        }
                    })
                })
                .collect();
            for _ in 0..50 {
                let shown: Vec<u32> = map.iter().map(|held| *KeyedGuard::key(&held)).collect();
                let distinct: HashSet<_> = shown.iter().collect();
                assert_eq!(distinct.len(), shown.len());
                assert!((0..100).all(|key| distinct.contains(&key)));
                assert!(map.len() >= 100);
            }
            stop.store(true, Ordering::SeqCst);
            drop(others);
        });
    });
}

/// A bounded map finds what to give away, and what it told of is what went.
#[test]
fn a_thousand_keys_with_one_hash_under_a_bound() {
    within(|| {
        let told = Arc::new(Mutex::new(HashSet::new()));
        let tell = {
            let told = Arc::clone(&told);
            move |held: KeyedOwned<u32, u32>, _| {
                assert!(told.lock().unwrap().insert(*held));
            }
        };
        let map = Dogpile::builder(MINUTE).keyed().max_entries(100);
        let map = map.on_eviction(tell).hasher(AllAlike::default()).build();
        for key in 0..1000 {
            assert_eq!(*map.get_or_create(&key, || key), key);
            assert!(map.len() <= 100);
        }
        let kept: HashSet<u32> = map.iter().map(|held| *held).collect();
        let told = told.lock().unwrap();
        assert_eq!((kept.len(), told.len()), (100, 900));
        assert!(kept.is_disjoint(&told));
    });
}

/// Of a weight of nothing, only what weighs nothing is kept; of one, one.
#[test]
fn weights_of_nothing_and_of_one() {
    within(|| {
        for bound in [0, 1] {
            let weigher = |_: &u32, weight: &u32| *weight;
            let map = Dogpile::builder(MINUTE).keyed().max_weight(bound, weigher);
            let map = map.build();
            for weight in [2, u32::MAX] {
                assert_eq!(*map.get_or_create(&1, || weight), weight);
                assert!(map.is_empty());
            }
            for key in 0..10 {
                map.set(key, 1);
                assert_eq!(*map.get_or_create(&(100 + key), || 1), 1);
            }
            assert_eq!((map.len() as u64, map.weight()), (bound, bound));
            for key in 200..300 {
                map.set(key, 0);
            }
            assert_eq!((map.len() as u64, map.weight()), (100 + bound, bound));
        }
    });
}

/// What is asked about values and told of them runs under no lock, so it may call the map. So small a map
/// has one lock for all.
#[test]
fn weighers_and_listeners_that_call_the_map() {
    type Map = KeyedDogpile<u32, u32>;

    fn pry(map: &Weak<Map>, key: u32) {
        let map = map.upgrade().expect("a call runs");
        let _ = (map.len(), map.weight(), map.iter().count());
        drop(map.peek(&key));
        map.expire(&(key + 3000));
        // Another thread gets in, too.
        thread::scope(|threads| {
            threads.spawn(|| (map.has_value(&key), map.is_creating(&key), map.stats()));
        });
        drop(map.get_or_try_create(&(key + 1000), || Err("down")));
        map.invalidate(&(key + 2000));
    }

    within(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let map: Arc<Map> = Arc::new_cyclic(|map| {
            let (weak, counted) = (map.clone(), Arc::clone(&calls));
            let weigher = move |key: &u32, _: &u32| {
                counted.fetch_add(1, Ordering::SeqCst);
                pry(&weak, *key);
                1
            };
            let (weak, counted) = (map.clone(), Arc::clone(&calls));
            let listener = move |held: KeyedOwned<u32, u32>, why| {
                counted.fetch_add(1, Ordering::SeqCst);
                assert_eq!(why, Eviction::NoRoom);
                pry(&weak, *KeyedOwned::key(&held));
            };
            let map = Dogpile::builder(MINUTE).keyed().max_entries(100);
            map.max_weight(10, weigher).on_eviction(listener).build()
        });
        for key in 0..20 {
            map.set(key, key);
            assert_eq!(*map.get_or_create(&(key + 20), || key), key);
        }
        // Forty came, and thirty went.
        assert_eq!((map.len(), calls.load(Ordering::SeqCst)), (10, 70));
    });
}

/// Keys that share a hash share no more than that: the weigher of one is not called within itself.
#[test]
fn a_weigher_that_changes_another_key_with_one_hash() {
    type Map = KeyedDogpile<u32, u32, AllAlike>;

    within(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let map: Arc<Map> = Arc::new_cyclic(|map: &Weak<Map>| {
            let (weak, counted) = (map.clone(), Arc::clone(&calls));
            let weigher = move |key: &u32, _: &u32| {
                // More than there are: it would never end.
                if counted.fetch_add(1, Ordering::SeqCst) < 100 && *key < 10 {
                    let map = weak.upgrade().expect("a call runs");
                    map.set(key + 10, 1);
                    map.invalidate(&(key + 20));
                    drop(map.get_or_create(&(key + 30), || 1));
                }
                1
            };
            let map = Dogpile::builder(MINUTE).keyed().max_weight(1000, weigher);
            map.hasher(AllAlike::default()).build()
        });
        for key in 0..10 {
            map.set(key, 1);
        }
        // Each, the one that was set, and the one that was created.
        assert_eq!((map.len(), calls.load(Ordering::SeqCst)), (30, 30));
    });
}

/// Jobs that nobody has run yet, some of which nobody ever will.
#[cfg(feature = "async")]
#[derive(Default)]
struct Shelf(Mutex<Vec<dogpile::executor::Job>>);

#[cfg(feature = "async")]
impl dogpile::executor::Executor for Shelf {
    fn spawn(&self, job: dogpile::executor::Job) -> Result<(), dogpile::Refused> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

/// A map goes while jobs and owned guards are out. All that it held goes with the
/// last of them, and no sooner; and nobody hangs.
#[cfg(feature = "async")]
#[test]
fn a_map_that_is_dropped_while_everything_is_out() {
    within(|| {
        let (census, told) = (Census::default(), Arc::new(AtomicUsize::new(0)));
        let shelf = Shelf::default();
        let map: KeyedDogpile<u32, Counted> = {
            let told = Arc::clone(&told);
            Dogpile::builder(MINUTE)
                .keyed()
                .max_entries(4)
                .creation_limit(4)
                .on_eviction(move |_, _| _ = told.fetch_add(1, Ordering::SeqCst))
                .build()
        };
        for key in 0..4 {
            map.set(key, census.value(key));
            map.expire(&key);
        }
        let owned = KeyedGuard::to_owned(&map.peek(&3).unwrap());
        for key in 0..4 {
            let census = census.clone();
            let create = move || census.value(10 + key);
            let stale = map.background(&key, &shelf).get_or_create(create).unwrap();
            assert_eq!(stale.number, key);
        }
        assert_eq!(census.live(), 4);
        drop(map);
        let mut jobs = std::mem::take(&mut *shelf.0.lock().unwrap());
        assert_eq!(jobs.len(), 4);
        // Two run to their end, in a map that nobody can ask any more; two never begin.
        for job in jobs.drain(..2) {
            job.run();
        }
        drop(jobs);
        assert_eq!((owned.number, *KeyedOwned::key(&owned)), (3, 3));
        assert_eq!((census.live(), told.load(Ordering::SeqCst)), (1, 0));
        drop(owned);
        assert_eq!(census.live(), 0);
    });
}

/// A creator that is a task, or a job, is told too that it asks for its own key; for another it is served,
/// and for one that is created it waits.
#[cfg(feature = "async")]
#[test]
fn a_creator_that_asks_the_map_from_a_task_or_a_job() {
    use crate::tasks::block_on;

    within(|| {
        let map = Arc::new(KeyedDogpile::<u32, u32>::new(MINUTE));
        let task = map.get_or_create_async(&1, || async {
            let own = map.get_or_try_create_async(&1, || async { Ok::<_, u8>(0) });
            assert!(own.await.unwrap_err().is_reentrant());
            *map.get_or_create_async(&2, || async { 2 }).await + 1
        });
        assert_eq!(*block_on(task), 3);
        let create = {
            let map = Arc::clone(&map);
            move || {
                let own = map.get_or_try_create(&3, || Ok::<_, u8>(0));
                assert!(own.unwrap_err().is_reentrant());
                let other = map.background(&4, &dogpile::executor::Thread);
                *other.get_or_create(|| 4).unwrap() + *map.get_or_create(&5, || 5)
            }
        };
        let job = map.background(&3, &dogpile::executor::Thread);
        assert_eq!(*job.get_or_create(create).unwrap(), 9);
        // One that is being created by another thread: it waits, as that one does not wait for it.
        thread::scope(|threads| {
            let slow = threads.spawn(|| {
                *map.get_or_create(&6, || {
                    until(|| map.waiters(&6) == 1);
                    6
                })
            });
            until(|| map.is_creating(&6));
            let nested = map.get_or_create(&7, || *map.get_or_create(&6, || 0) + 1);
            assert_eq!((*nested, slow.join().unwrap()), (7, 6));
        });
    });
}

/// The same of a bounded map where keys are created, expired, evicted, and all of them invalidated.
#[test]
fn iteration_during_creations_and_evictions() {
    within(|| {
        let census = Census::default();
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        let map: KeyedDogpile<u32, Counted> = Dogpile::builder(MINUTE)
            .keyed()
            .max_entries(300)
            .on_eviction(move |_, _| _ = counted.fetch_add(1, Ordering::SeqCst))
            .build();
        let stop = AtomicBool::new(false);
        let steps = || (0..u32::MAX).take_while(|_| !stop.load(Ordering::SeqCst));
        thread::scope(|threads| {
            threads.spawn(|| {
                for step in steps() {
                    drop(map.get_or_create(&(step % 1000), || census.value(step % 1000)));
                    drop(map.refresh(&(step % 7), || Err::<Counted, _>("down")));
                }
            });
            threads.spawn(|| {
                for step in steps() {
                    let key = step % 7919 * 17 % 1000;
                    map.set(key, census.value(key));
                    map.expire(&(step % 7919 * 31 % 1000));
                    map.expire_where(|key, _| key % 10 == step % 10);
                    map.invalidate_where(|key, _| *key == step % 1000);
                    if step % 50 == 0 {
                        map.invalidate_all();
                    }
                }
            });
            let mut rounds = 0;
            while rounds < 100 || told.load(Ordering::SeqCst) < 100 {
                rounds += 1;
                let shown: Vec<_> = map.iter().collect();
                let keys: HashSet<u32> = shown.iter().map(|held| *KeyedGuard::key(held)).collect();
                assert_eq!(keys.len(), shown.len());
                let fits =
                    |held: &KeyedGuard<'_, u32, Counted>| held.number == *KeyedGuard::key(held);
                assert!(shown.iter().all(fits));
            }
            stop.store(true, Ordering::SeqCst);
        });
        drop(map);
        assert_eq!(census.live(), 0);
    });
}

/// A clock that panics takes the call with it, not the map: whichever of the call's readings it is. What is
/// counted of what is held stays true, no entry is visited for ever, and nothing is left over.
#[test]
fn a_clock_that_panics() {
    type Map = KeyedDogpile<u32, Counted>;

    fn of(operation: impl Fn(&Map, &Census, &HookedClock)) {
        for number in 0..READINGS {
            let (census, clock) = (Census::default(), Arc::new(HookedClock::default()));
            let builder = Dogpile::builder(MINUTE).stale_while_revalidate(MINUTE);
            let builder = builder.clock(clock.clone()).stats(true);
            let map = builder.keyed().max_entries(4).build();
            for key in 0..4 {
                map.set(key, census.value(key));
                // Twice: then it is found without the lock.
                assert!(map.peek(&key).is_some() && map.peek(&key).is_some());
            }
            let held = map.peek(&3).unwrap();
            let breaks = move |reading| {
                if reading == number {
                    burst();
                }
            };
            hooked(breaks, || {
                bursts(|| operation(&map, &census, &clock));
            });
            drop(held);
            map.invalidate_all();
            map.purge();
            assert_eq!(
                (map.len(), map.weight(), map.iter().count()),
                (0, 0, 0),
                "{number}"
            );
            assert_eq!(census.live(), 0, "{number}");
            // There is room for as many as before.
            for key in 0..4 {
                map.set(key, census.value(key));
            }
            assert_eq!((map.len(), map.weight()), (4, 4), "{number}");
            for key in 0..4 {
                assert_eq!(map.remove(&key).unwrap().number, key);
                assert_eq!(
                    map.stats_of(&key).counters,
                    None,
                    "{number}: it has an entry"
                );
            }
        }
    }

    within(|| {
        of(|map, _, _| drop(map.remove(&1)));
        of(|map, census, _| map.set(1, census.value(9)));
        of(|map, census, _| {
            for key in 4..9 {
                map.set(key, census.value(key));
            }
        });
        of(|map, census, _| drop(map.get_or_create(&7, || census.value(7))));
        of(|map, _, _| map.invalidate_all());
        of(|map, _, _| map.invalidate_where(|key, _| key % 2 == 0));
        of(|map, _, clock| {
            clock.advance(MINUTE * 5);
            map.purge();
        });
        of(|map, census, clock| {
            clock.advance(MINUTE * 5);
            map.set(9, census.value(9));
        });
    });
}

/// Some of which are kept by somebody for an older value of theirs. All others go with the map, whoever panics.
#[test]
fn values_whose_drops_panic_when_the_map_goes() {
    within(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let value = |bursts: bool| {
            let alive = Arc::clone(&alive);
            alive.fetch_add(1, Ordering::SeqCst);
            OnDrop::new(move || {
                alive.fetch_sub(1, Ordering::SeqCst);
                if bursts {
                    burst();
                }
            })
        };
        let map = KeyedDogpile::<u32, OnDrop>::new(MINUTE);
        let mut kept = Vec::new();
        for key in 0..100 {
            map.set(key, value(false));
            kept.push(KeyedGuard::to_owned(&map.peek(&key).unwrap()));
            map.set(key, value(key % 10 == 0));
        }
        for key in 100..200 {
            map.set(key, value(key % 10 == 0));
        }
        drop(map);
        assert_eq!(alive.load(Ordering::SeqCst), kept.len());
        drop(kept);
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

/// Such a key is taken out while it is compared, or while another one of its hash is cloned. Whoever goes on to
/// another entry is not left there for ever.
#[test]
fn a_key_whose_drop_panics_beside_another_with_one_hash() {
    type Act = Mutex<Option<(usize, Box<dyn FnOnce() + Send>)>>;

    /// The number, what is done at one of the comparisons to come, and how many are alive.
    struct Odd(u32, Arc<(Act, AtomicUsize)>);

    impl Odd {
        fn new(number: u32, all: &Arc<(Act, AtomicUsize)>) -> Self {
            all.1.fetch_add(1, Ordering::SeqCst);
            Self(number, Arc::clone(all))
        }

        fn act(&self) {
            let mut act = self.1.0.lock().unwrap();
            match act.take() {
                Some((0, go)) => {
                    drop(act);
                    go();
                }
                Some((left, go)) => *act = Some((left - 1, go)),
                None => {}
            }
        }
    }

    impl PartialEq for Odd {
        fn eq(&self, other: &Self) -> bool {
            self.act();
            self.0 == other.0
        }
    }

    impl Eq for Odd {}

    impl Hash for Odd {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    impl Clone for Odd {
        fn clone(&self) -> Self {
            self.act();
            Self::new(self.0, &self.1)
        }
    }

    impl Drop for Odd {
        fn drop(&mut self) {
            self.1.1.fetch_sub(1, Ordering::SeqCst);
            // That of the map alone.
            if self.0 == 1 && !thread::panicking() {
                burst();
            }
        }
    }

    within(|| {
        for at in 0..6 {
            for key in [2, 3] {
                let all = Arc::new((Act::default(), AtomicUsize::new(0)));
                let odd = |number| Odd::new(number, &all);
                let map = Arc::new(KeyedDogpile::<Odd, u32>::new(MINUTE));
                map.set(odd(1), 1);
                map.set(odd(2), 2);
                let (other, first) = (Arc::clone(&map), std::mem::ManuallyDrop::new(odd(1)));
                let goes = Box::new(move || other.invalidate(&*first));
                *all.0.lock().unwrap() = Some((at, goes));
                let asked = odd(key);
                bursts(|| map.get_or_create(&asked, || key).to_string());
                bursts(|| map.expire(&asked));
                bursts(|| map.refresh(&asked, || Ok::<_, u8>(key)).is_ok());
                *all.0.lock().unwrap() = None;
                map.invalidate_all();
                assert!(map.is_empty());
                // That which was asked for, and that by which the first one was named.
                assert_eq!(all.1.load(Ordering::SeqCst), 2, "{key}, at {at}");
            }
        }
    });
}
