//! Many keys: what is promised of them besides what is promised of each as of a pile. That goes through
//! the bodies of `every_form`, one of whose kinds of pile is a key of a map.
//!
//! ```breakages
//! the-next-pile-of-a-key-numbers-anew | src/keyed/shard.rs | what_i_saw
//! - Pile::following(state.last, group)
//! + Pile::following(0, group)
//!
//! what-is-created-is-not-superseded | src/raw/keyed.rs | invalidate_wins
//! @ fn supersede
//! - if state.is_leased() {
//! + if false {
//!
//! nobody-sweeps | src/keyed/shared.rs | bounded
//! - contain(|| self.sweep(entry.hash));
//!
//! what-is-remembered-of-a-held-key-stays | src/keyed/shared.rs | bounded::also_where_guards_are_held
//! - let evicted = entry.pile.evict_with_pace(installed_at);
//! + let evicted = (installed_at > 0).then(|| entry.pile.evict_with_pace(installed_at)).flatten();
//!
//! what-is-removed-backs-off | src/raw/keyed.rs | backoff::is_over
//! @ pub(crate) fn remove
//! - Self::clear_pace(&mut state);
//!
//! a-key-without-a-value-weighs-nothing | src/keyed/shard.rs | bounded::by_weight_also
//! - Some(installed_at) if !are_weighed || installed_at == PACED => {
//! + Some(installed_at) if !are_weighed => {
//!
//! how-often-a-key-is-asked-for-does-not-count | src/raw/asked.rs | bounded::and_keeps_what_is_asked_for_more
//! - const MOST: usize = 3;
//! + const MOST: usize = 1;
//!
//! half-of-the-keys-are-young | src/keyed/queue.rs | bounded::and_keeps_what_is_asked_for_more
//! - const YOUNG: usize = 20;
//! + const YOUNG: usize = 2;
//!
//! a-key-that-backs-off-is-a-value | src/keyed/shard.rs | it_tells_how_many_values_it_holds
//! - self.0.kept - self.0.paced
//! + self.0.kept + self.0.paced
//!
//! what-is-too-heavy-goes-untold | src/keyed/shared.rs | bounded::and_tells_of_what_is_too_heavy
//! - self.limits.evicted(entry, evicted, Eviction::NoRoom);
//!
//! a-value-is-weighed-each-time | src/keyed/shard.rs | bounded::by_what_a_value_weighed_once
//! - value if value == before.map(|value| value.installed_at) => before,
//!
//! a-key-is-judged-without-a-value-at-any-time | src/keyed/dogpile.rs | invalidate_wins::of_what_is_being_created_alone
//! - || is_leased && which(&entry.key, None)
//! + || is_leased || which(&entry.key, None)
//!
//! what-is-kept-elsewhere-is-a-value-of-the-map | src/keyed/dogpile.rs | invalidate_wins::by_what_is_kept_elsewhere
//! @ fn known
//! - node.value()?;
//!
//! a-task-is-given-the-value-of-a-key-that-it-has-seen | src/keyed/next_value.rs | a_task_waits_for_a_newer_value
//! @ fn wait_for_next_async
//! - if seen.is_none() {
//! + if true {
//! ```

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use dogpile::{
    Accept, Backoff, Created, Dogpile, Error, Eviction, KeyedAttempt, KeyedDogpile, KeyedGuard,
    KeyedOwned, Origin, Outcome,
};

use crate::support::{Census, Counted, MINUTE, OnDrop, Runs, Shows as _};
use crate::support::{burst, bursts, manual, until, within};

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

/// A key whose copies are counted.
struct Key {
    number: u32,
    census: Census,
    _counted: Counted,
}

impl Key {
    fn new(number: u32, census: &Census) -> Self {
        Self {
            number,
            census: census.clone(),
            _counted: census.value(number),
        }
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self::new(self.number, &self.census)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

/// A map whose keys are counted, and all in one place.
struct Traced {
    census: Census,
    map: Arc<KeyedDogpile<Key, u32, AllAlike>>,
}

impl Traced {
    fn new() -> Self {
        let map = Dogpile::builder(MINUTE).keyed().hasher(AllAlike::default());
        Self {
            census: Census::default(),
            map: Arc::new(map.build()),
        }
    }

    fn key(&self, number: u32) -> Key {
        Key::new(number, &self.census)
    }
}

mod keys_do_not_wait {
    use super::*;

    /// While one key's creator runs, everything can be done with the others, though all keys share one
    /// lock.
    #[test]
    fn for_the_creation_of_another() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().hasher(AllAlike::default());
            let map = map.build();
            map.set(1, 10);
            let created = map.get_or_create(&0, || {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        assert_eq!(*map.get_or_create(&1, || 0), 10);
                        assert_eq!(*map.get_or_create(&2, || 20), 20);
                        assert!(map.get_or_try_create(&3, || Err("down")).is_err());
                        assert!(bursts(|| map.get_or_create(&4, || burst())));
                        map.set(5, 50);
                        map.expire(&5);
                        assert_eq!(*map.remove(&5).unwrap(), 50);
                        map.invalidate(&1);
                        assert_eq!(map.iter().map(|held| *held).sum::<u32>(), 20);
                        assert_eq!(map.len(), 1);
                        map.expire_all();
                        map.purge();
                        map.invalidate_where(|key, _| *key == 2);
                        assert!(map.is_empty());
                        assert!(map.is_creating(&0));
                        assert!(!map.is_creating(&2));
                    });
                });
                7
            });
            assert_eq!((*created, created.origin()), (7, Origin::CreatedHere));
        });
    }

    /// A failure of one key is no answer for another, and no back-off of it.
    #[test]
    fn for_the_failure_of_another() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            let failed = map.get_or_try_create(&1, || Err("down"));
            assert!(matches!(failed, Err(Error::Create(_))));
            assert_eq!(*map.get_or_try_create(&2, || Ok::<_, &str>(2)).unwrap(), 2);
        });
    }
}

mod one_creator {
    use super::*;

    /// Keys come and go while they are created: two are never at it.
    #[test]
    fn of_a_key_that_comes_and_goes() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            let runs = Runs::default();
            thread::scope(|threads| {
                for thread in 0..4_u32 {
                    let (map, runs) = (&map, &runs);
                    threads.spawn(move || {
                        for step in 0..2000_u32 {
                            match (step + thread) % 5 {
                                0 => map.invalidate(&1),
                                1 => drop(map.remove(&1)),
                                2 => {
                                    let fail = || runs.run(|| Err::<u32, _>("down"));
                                    drop(map.refresh(&1, fail));
                                }
                                3 => map.invalidate_all(),
                                _ => drop(map.get_or_create(&1, || runs.run(|| step))),
                            }
                        }
                    });
                }
            });
            map.invalidate_all();
            assert!(map.is_empty());
        });
    }
}

mod no_trace {
    use super::*;

    /// After one thing was done to a key without a value, in whatever way, its map holds no key.
    fn of(act: impl FnOnce(&Traced) + Send + 'static) {
        within(|| {
            let traced = Traced::new();
            act(&traced);
            // A job that was started may be about to end.
            until(|| traced.census.live() == 0);
            assert!(traced.map.is_empty());
        });
    }

    #[test]
    fn of_a_look() {
        of(|traced| {
            let key = traced.key(1);
            assert!(traced.map.peek(&key).is_none());
            assert!(!traced.map.has_value(&key));
            assert!(!traced.map.is_creating(&key));
            traced.map.invalidate(&key);
            traced.map.expire(&key);
            assert!(traced.map.remove(&key).is_none());
            assert_eq!(traced.census.live(), 1);
        });
    }

    #[test]
    fn of_a_failure() {
        of(|traced| {
            let failed = traced.map.get_or_try_create(&traced.key(1), || Err("down"));
            assert!(failed.is_err());
        });
    }

    #[test]
    fn of_a_panic() {
        of(|traced| {
            assert!(bursts(|| traced
                .map
                .get_or_create(&traced.key(1), || burst())));
        });
    }

    #[test]
    fn of_a_lease_that_was_given_up() {
        of(|traced| {
            let KeyedAttempt::Lease(lease) = traced.map.attempt(&traced.key(1)) else {
                panic!("nobody creates");
            };
            let KeyedAttempt::Busy(busy) = traced.map.attempt(&traced.key(1)) else {
                panic!("it is held");
            };
            assert_eq!(traced.census.live(), 1);
            drop(lease);
            assert!(matches!(busy.wait(), Outcome::ElectAnew));
        });
    }

    #[test]
    fn of_what_a_creator_was_given() {
        of(|traced| {
            let KeyedAttempt::Lease(lease) = traced.map.attempt(&traced.key(1)) else {
                panic!("nobody creates");
            };
            let creating = lease.creating();
            drop(lease.publish(7));
            traced.map.invalidate(&traced.key(1));
            assert!(creating.is_superseded());
        });
    }

    #[test]
    fn of_a_limit_that_passed() {
        of(|traced| {
            let KeyedAttempt::Lease(lease) = traced.map.attempt(&traced.key(1)) else {
                panic!("nobody creates");
            };
            let key = traced.key(1);
            let call = traced.map.call(&key).wait(Duration::ZERO);
            assert!(call.get_or_create(|| 1).unwrap_err().is_timed_out());
            drop(lease);
        });
    }

    #[test]
    fn of_a_wait_for_what_nobody_makes() {
        of(|traced| {
            let key = traced.key(1);
            let at_once = traced.map.call(&key).wait(Duration::ZERO);
            let answer = at_once.wait_for_value().map(drop);
            assert!(answer.unwrap_err().is_timed_out());
            assert_eq!(traced.census.live(), 1);
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_a_wait_that_was_dropped() {
        of(|traced| {
            let key = traced.key(1);
            let mut waiting = Box::pin(traced.map.wait_for_value_async(&key));
            assert!(crate::tasks::poll(waiting.as_mut()).is_pending());
            assert_eq!((traced.map.waiters(&key), traced.census.live()), (1, 2));
            drop(waiting);
            assert_eq!((traced.map.waiters(&key), traced.census.live()), (0, 1));
        });
    }

    #[test]
    fn of_what_was_removed() {
        of(|traced| {
            let key = traced.key(1);
            traced.map.set(key.clone(), 1);
            traced.map.invalidate(&key);
            drop(traced.map.get_or_create(&key, || 2));
            drop(traced.map.remove(&key));
            traced.map.set(key.clone(), 3);
            assert!(
                traced
                    .map
                    .invalidate_if(&key, traced.map.peek(&key).unwrap().seen())
            );
            traced.map.set(key.clone(), 4);
            traced.map.invalidate_where(|_, _| true);
            traced.map.set(key.clone(), 5);
            traced.map.invalidate_all();
            assert_eq!(traced.census.live(), 1);
        });
    }

    #[test]
    fn of_what_was_removed_while_it_was_created() {
        of(|traced| {
            let key = traced.key(1);
            let created = traced.map.get_or_create(&key, || {
                traced.map.invalidate(&key);
                traced.map.expire(&key);
                1
            });
            assert_eq!(created.origin(), Origin::Superseded);
        });
    }

    #[test]
    fn of_what_is_not_kept() {
        of(|traced| {
            let create = |_: dogpile::Creating<'_, u32>| Ok::<_, u8>(Created::new(1).keep(false));
            let created = traced.map.get_or_try_create_with(&traced.key(1), create);
            assert_eq!(*created.unwrap(), 1);
        });
    }

    #[test]
    fn of_what_was_expired_before_it_was_there() {
        of(|traced| {
            let key = traced.key(1);
            let failed = traced.map.get_or_try_create(&key, || {
                traced.map.expire(&key);
                Err("down")
            });
            assert!(failed.is_err());
        });
    }

    #[test]
    fn of_a_set_in_vain() {
        of(|traced| {
            let seen = {
                traced.map.set(traced.key(1), 1);
                traced.map.peek(&traced.key(1)).unwrap().seen()
            };
            traced.map.invalidate(&traced.key(1));
            assert_eq!(traced.map.set_if(traced.key(1), seen, 2), Err(2));
            assert!(!traced.map.expire_if(&traced.key(1), seen));
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_a_task_that_was_cancelled() {
        of(|traced| {
            let key = traced.key(1);
            let mut leader = Box::pin(traced.map.get_or_create_async(&key, std::future::pending));
            assert!(crate::tasks::poll(leader.as_mut()).is_pending());
            let mut waiter = Box::pin(traced.map.get_or_create_async(&key, || async { 1 }));
            assert!(crate::tasks::poll(waiter.as_mut()).is_pending());
            assert_eq!(traced.map.waiters(&key), 1);
            drop(waiter);
            drop(leader);
            assert_eq!(traced.census.live(), 1);
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_a_job_that_was_refused_or_failed() {
        struct Full;

        impl dogpile::executor::Executor for Full {
            fn spawn(&self, _: dogpile::executor::Job) -> Result<(), dogpile::Refused> {
                Err(dogpile::Refused::new("full"))
            }
        }

        of(|traced| {
            let key = traced.key(1);
            let refused = traced.map.background(&key, &Full).get_or_create(|| 1);
            assert!(refused.unwrap_err().is_refused());
            let thread = dogpile::executor::Thread;
            let failed = traced.map.background(&key, &thread);
            assert!(failed.get_or_try_create(|| Err("down")).is_err());
            let renewed = traced.map.background(&key, &thread).renew(|| Err("down"));
            assert!(renewed.is_ok());
        });
    }

    /// What is gone is found by `purge`.
    #[test]
    fn of_what_is_gone() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map = builder.stale_while_revalidate(Duration::ZERO).build_keyed();
            let census = Census::default();
            let held = {
                for number in 0..100 {
                    map.set(number, census.value(number));
                }
                map.peek(&7).unwrap()
            };
            clock.advance(MINUTE);
            map.set(1000, census.value(1000));
            clock.advance(MINUTE / 2);
            assert_eq!(map.iter().count(), 1);
            map.purge();
            assert_eq!(map.len(), 1);
            // The value that a guard shows is kept for the guard.
            assert_eq!((census.live(), held.number), (2, 7));
            drop(held);
            assert_eq!(census.live(), 1);
            assert_eq!(map.peek(&1000).unwrap().number, 1000);
        });
    }
}

/// A limit that nobody keeps is an error at once, whatever is there.
#[cfg(feature = "async")]
#[test]
fn without_a_timer_a_task_may_not_wait_with_a_limit() {
    let map: KeyedDogpile<u32, u32> = KeyedDogpile::new(MINUTE);
    map.set(1, 1);
    for accept in [Accept::Stale, Accept::New] {
        let call = map.call(&1).accept(accept).wait(MINUTE);
        let made = call.get_or_try_create_async(async || Ok::<_, u8>(2));
        let made = crate::tasks::block_on(made);
        assert!(matches!(made, Err(Error::NoTimer)));
    }
    let next = map.call(&1).wait(MINUTE).wait_for_value_async();
    let next = crate::tasks::block_on(next);
    assert!(matches!(next, Err(Error::NoTimer)));
}

/// A task that waits for a newer value of a key is not given the one that it has seen.
#[cfg(feature = "async")]
#[test]
fn a_task_waits_for_a_newer_value() {
    let map: KeyedDogpile<u32, u32> = KeyedDogpile::new(MINUTE);
    map.set(1, 1);
    let seen = map.peek(&1).unwrap().seen();
    let mut newer = Box::pin(map.call(&1).wait_for_newer_async(seen));
    assert!(crate::tasks::poll(newer.as_mut()).is_pending());
    map.set(1, 2);
    assert_eq!(*crate::tasks::block_on(newer).unwrap(), 2);
}

mod bounded {
    use super::*;

    /// A map of so many entries, all in one place or not.
    fn map(entries: usize) -> KeyedDogpile<u32, u32> {
        Dogpile::builder(MINUTE)
            .keyed()
            .max_entries(entries)
            .build()
    }

    #[test]
    fn by_the_number_of_entries() {
        within(|| {
            for bound in [0, 1, 2, 3, 10, 100, 1000] {
                let map = map(bound);
                for key in 0..5000 {
                    match key % 3 {
                        0 => map.set(key, key),
                        1 => assert_eq!(*map.get_or_create(&key, || key), key),
                        _ => {
                            let made = map.get_or_try_create(&key, || Ok::<_, u8>(key));
                            assert_eq!(*made.unwrap(), key);
                        }
                    }
                    assert!(map.len() <= bound);
                }
                assert_eq!((map.len(), map.iter().count()), (bound, bound));
                map.invalidate_all();
                assert_eq!((map.len(), map.weight()), (0, 0));
            }
        });
    }

    /// A guard of key 1, of which only a back-off is remembered since.
    fn held_while_it_backs_off(map: &KeyedDogpile<u32, u32>) -> KeyedGuard<'_, u32, u32> {
        map.set(1, 1);
        let held = map.peek(&1).unwrap();
        let call = map.call(&1).accept(Accept::New);
        assert!(call.get_or_try_create(|| Err::<u32, _>("down")).is_err());
        // The form that leaves the back-off.
        assert!(map.invalidate_if(&1, held.seen()));
        held
    }

    /// The requests of one thread, which asks for some keys far more often than for others. How many are
    /// answered by what is there is always the same.
    #[test]
    fn and_keeps_what_is_asked_for_more_often() {
        within(|| {
            let hasher = BuildHasherDefault::<std::hash::DefaultHasher>::default();
            let map = Dogpile::builder(MINUTE).keyed().max_entries(100);
            let map = map.hasher(hasher).build();
            let mut sum = 0.0;
            let share = |place: u32| {
                sum += f64::from(place).powf(-0.9);
                sum
            };
            let shares: Vec<f64> = (1..=2_000).map(share).collect();
            let (mut hits, mut state) = (0, 1_u64);
            for _ in 0..20_000 {
                // The constants are Knuth's.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let share = (state >> 11) as f64 / (1_u64 << 53) as f64 * shares[1_999];
                let key = shares.partition_point(|sum| *sum < share);
                let mut is_there = true;
                drop(map.get_or_create(&key, || is_there = false));
                hits += u64::from(is_there);
            }
            // As it is: 10,127. The margin is for another hasher.
            assert!(hits >= 10_060, "{hits}");
        });
    }

    /// What is remembered of a key goes too, also while a guard of the key is held.
    #[test]
    fn also_where_guards_are_held_of_keys_that_are_backing_off() {
        within(|| {
            let paced = Dogpile::builder(MINUTE).backoff(Backoff::constant(MINUTE));
            let map: KeyedDogpile<u32, u32> = paced.keyed().max_entries(1).build();
            let held = held_while_it_backs_off(&map);
            assert_eq!(map.stats().backing_off, 1);
            map.set(2, 2);
            assert_eq!((*held, *map.peek(&2).unwrap(), map.len()), (1, 2, 1));
            assert_eq!(map.stats().backing_off, 0);
            assert_eq!(*map.get_or_try_create(&1, || Ok::<_, &str>(3)).unwrap(), 3);
        });
    }

    /// The same of keys whose values were created a moment ago.
    #[test]
    fn also_where_guards_are_held_of_keys_with_an_interval() {
        within(|| {
            let paced = Dogpile::builder(MINUTE).min_interval(MINUTE);
            let map: KeyedDogpile<u32, u32> = paced.keyed().max_entries(1).build();
            let held = map.get_or_create(&1, || 1);
            map.invalidate(&1);
            assert_eq!(*map.get_or_create(&2, || 2), 2);
            assert_eq!((*held, map.len()), (1, 1));
        });
    }

    /// What is over is found by `purge`, also while a guard of the key is held.
    #[test]
    fn of_keys_whose_back_off_is_over() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map = builder.backoff(Backoff::constant(MINUTE)).build_keyed();
            let held = held_while_it_backs_off(&map);
            assert!(map.stats_of(&1).last_failure.is_some());
            clock.advance(MINUTE);
            map.purge();
            // Nothing is left of the key, so nothing is known of its failure.
            assert!(map.stats_of(&1).last_failure.is_none());
            assert_eq!(*held, 1);
        });
    }

    /// A key of which only a back-off is remembered weighs something too: else strangers who vary the key
    /// would fill the memory.
    #[test]
    fn by_weight_also_of_keys_without_a_value() {
        within(|| {
            let paced = Dogpile::builder(MINUTE).backoff(Backoff::constant(MINUTE));
            let map = paced
                .keyed()
                .max_weight(10, |_: &u32, weight: &u32| *weight)
                .build();
            for key in 0..100 {
                assert!(map.get_or_try_create(&key, || Err("down")).is_err());
                assert!(map.stats().backing_off <= 10);
            }
            assert_eq!((map.stats().backing_off, map.weight()), (10, 10));
        });
    }

    /// However much has to go for one value, on a stack of the usual size.
    #[test]
    fn also_where_many_guards_are_held() {
        within(|| {
            let many = 20_000;
            let weigh = move |_: &u32, value: &u32| *value;
            let map: KeyedDogpile<u32, u32> = Dogpile::builder(MINUTE)
                .keyed()
                .max_weight(many, weigh)
                .build();
            (0..many as u32).for_each(|key| map.set(key, 1));
            let held: Vec<_> = map.iter().collect();
            map.set(u32::MAX, many as u32);
            assert!(map.weight() <= many);
            assert!(held.iter().all(|guard| **guard == 1));
        });
    }

    /// Of many threads, each may be at one key more.
    #[test]
    fn but_for_the_keys_that_callers_are_at() {
        within(|| {
            const THREADS: usize = 8;
            let (map, over) = (map(64), AtomicUsize::new(0));
            thread::scope(|threads| {
                for thread in 0..THREADS as u32 {
                    let (map, over) = (&map, &over);
                    threads.spawn(move || {
                        for step in 0..2000_u32 {
                            let key = (step * 7919 + thread * 31) % 1000;
                            assert_eq!(*map.get_or_create(&key, || key), key);
                            over.fetch_max(map.len(), Ordering::SeqCst);
                        }
                    });
                }
            });
            assert!(over.into_inner() <= 64 + THREADS);
            assert_eq!(map.len(), 64);
        });
    }

    #[test]
    fn by_weight() {
        within(|| {
            let weighed = Arc::new(AtomicUsize::new(0));
            let weigher = {
                let weighed = Arc::clone(&weighed);
                move |_: &u32, weight: &u32| {
                    weighed.fetch_add(1, Ordering::SeqCst);
                    *weight
                }
            };
            let map = Dogpile::builder(MINUTE)
                .keyed()
                .max_weight(100, weigher)
                .build();
            for key in 0..1000 {
                map.set(key, key % 10);
                assert!(map.weight() <= 100);
            }
            assert_eq!(weighed.load(Ordering::SeqCst), 1000);
            assert!(map.weight() > 90);
            assert_eq!(
                map.weight(),
                map.iter().map(|held| u64::from(*held)).sum::<u64>()
            );
            // What takes the place of a value, is weighed as that was.
            map.invalidate_all();
            map.set(1, 40);
            map.set(1, 50);
            map.set(2, 50);
            assert_eq!((map.weight(), map.len()), (100, 2));
            drop(map.remove(&1));
            assert_eq!(map.weight(), 50);
        });
    }

    /// What weighs more than all room goes to its callers, and drives nothing out.
    #[test]
    fn what_is_too_heavy_is_not_kept() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed();
            let map = map.max_weight(100, |_: &u32, weight: &u32| *weight).build();
            map.set(1, 100);
            assert_eq!(*map.get_or_create(&2, || 101), 101);
            let runs = Runs::default();
            thread::scope(|threads| {
                let (map, runs) = (&map, &runs);
                for _ in 0..5 {
                    let create = move || {
                        runs.run(|| {
                            until(|| map.waiters(&3) == 4);
                            1000
                        })
                    };
                    threads.spawn(move || assert_eq!(*map.get_or_create(&3, create), 1000));
                }
            });
            assert_eq!((runs.count(), map.len(), map.weight()), (1, 1, 100));
            // A value that grew too heavy is gone with it.
            assert_eq!(*map.refresh(&1, || Ok::<_, u8>(200)).unwrap(), 200);
            assert!(map.is_empty());
        });
    }

    /// A weigher that panics hurts nobody, one that lies gets what it says.
    #[test]
    fn by_a_weigher_that_panics_or_lies() {
        within(|| {
            let said = AtomicUsize::new(0);
            let map = Dogpile::builder(MINUTE).keyed();
            let map = map.max_weight(1000, move |_: &u32, weight: &u32| match weight {
                13 => burst(),
                _ => said.fetch_add(7, Ordering::SeqCst) as u32 % 50,
            });
            let map = map.build();
            assert_eq!(*map.get_or_create(&1, || 13), 13);
            assert!(map.is_empty());
            for key in 0..1000 {
                map.set(key % 300, key.max(14));
                map.invalidate(&(key * 7 % 300));
                assert!(map.weight() <= 1000);
            }
            for key in 0..300 {
                map.invalidate(&key);
            }
            assert_eq!((map.weight(), map.len()), (0, 0));
        });
    }

    /// What everybody asks for outlasts any number of keys that are asked for once.
    #[test]
    fn and_keeps_what_is_asked_for() {
        within(|| {
            let map = map(100);
            let mut misses = 0;
            for round in 0..40_u32 {
                for favourite in 0..50 {
                    drop(map.get_or_create(&favourite, || {
                        misses += 1;
                        favourite
                    }));
                }
                for once in 0..100 {
                    map.set(1_000_000 + round * 1000 + once, 0);
                }
            }
            // LRU would miss each of the 2,000 times.
            assert!(misses < 200, "{misses}");
        });
    }

    /// What was asked for once since it came outlasts what was not.
    #[test]
    fn and_gives_away_what_nobody_asked_for() {
        within(|| {
            let map = map(1000);
            for favourite in 0..100 {
                map.set(favourite, favourite);
            }
            for favourite in 0..100 {
                assert_eq!(*map.peek(&favourite).unwrap(), favourite);
            }
            for once in 0..5000 {
                map.set(1000 + once, 0);
            }
            let kept = (0..100)
                .filter(|favourite| map.has_value(favourite))
                .count();
            assert_eq!(kept, 100);
        });
    }

    /// However often somebody is at it.
    #[test]
    fn by_what_a_value_weighed_once() {
        within(|| {
            let weighed = Arc::new(AtomicUsize::new(0));
            let weigh = {
                let weighed = Arc::clone(&weighed);
                move |_: &u32, weight: &u32| {
                    weighed.fetch_add(1, Ordering::SeqCst);
                    *weight
                }
            };
            let map = Dogpile::builder(MINUTE).keyed().max_weight(100, weigh);
            let map = map.build();
            for weight in 1..4 {
                map.set(7, weight);
                map.expire(&7);
                assert_eq!((map.len(), map.weight()), (1, weight.into()));
                assert_eq!(weighed.load(Ordering::SeqCst), weight as usize);
            }
        });
    }

    /// A value that was replaced while it was weighed does not count, nor is it forgotten what replaced it.
    #[test]
    fn by_what_replaced_a_value_that_was_weighed() {
        within(|| {
            type Map = KeyedDogpile<u32, u32>;
            let map: Arc<OnceLock<Map>> = Arc::default();
            let (begins, begun) = mpsc::channel();
            let (ends, end) = mpsc::channel();
            let end = Mutex::new(end);
            let weigh = {
                let map = Arc::clone(&map);
                let begun = Mutex::new(begun);
                move |_: &u32, weight: &u32| {
                    if *weight == 1 {
                        let map = Arc::clone(&map);
                        thread::spawn(move || map.get().unwrap().set(7, 20));
                        begun.lock().unwrap().recv().unwrap();
                    } else {
                        begins.send(()).unwrap();
                        end.lock().unwrap().recv().unwrap();
                    }
                    *weight
                }
            };
            let built = Dogpile::builder(MINUTE).keyed().max_weight(100, weigh);
            let map = map.get_or_init(|| built.build());
            map.set(7, 1);
            assert_eq!(
                (*map.peek(&7).unwrap(), map.weight(), map.len()),
                (20, 0, 0)
            );
            ends.send(()).unwrap();
            until(|| map.weight() == 20);
            assert_eq!(map.len(), 1);
        });
    }

    /// What weighs more than all room is told of, and a panic of its `Drop` is nobody's.
    #[test]
    fn and_tells_of_what_is_too_heavy() {
        within(|| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let tell = {
                let told = Arc::clone(&told);
                move |held: KeyedOwned<u32, u32>, why| told.lock().unwrap().push((*held, why))
            };
            let map = Dogpile::builder(MINUTE).keyed();
            let map = map.max_weight(10, |_, weight: &u32| *weight);
            let map = map.on_eviction(tell).build();
            assert_eq!(*map.get_or_create(&1, || 11), 11);
            assert_eq!(*told.lock().unwrap(), [(11, Eviction::NoRoom)]);

            let map = Dogpile::builder(MINUTE).keyed();
            let map = map.max_weight(10, |_, _: &OnDrop| 11).build();
            map.set(1, OnDrop::new(|| burst()));
            assert!(map.is_empty());
        });
    }

    /// Where nothing is kept, that is so also where somebody else is.
    #[test]
    fn by_nothing_at_all() {
        within(|| {
            let map = map(0);
            let KeyedAttempt::Lease(lease) = map.attempt(&1) else {
                panic!("it is free");
            };
            map.set(1, 1);
            assert!(!map.has_value(&1) && map.is_empty());
            assert!(lease.publish(2).is_err());
        });
    }

    /// Without a bound, nothing is weighed.
    #[test]
    fn by_nothing_where_there_is_no_bound() {
        let map: KeyedDogpile<u32, u32> = KeyedDogpile::new(MINUTE);
        map.set(1, 1);
        assert_eq!((map.len(), map.weight()), (1, 0));
    }

    /// What was purged weighs nothing, and what was evicted is counted with the others.
    #[test]
    fn and_counts_what_is_there_no_more() {
        within(|| {
            for tells in [false, true] {
                let (clock, builder) = manual(MINUTE);
                let builder = builder.stale_while_revalidate(Duration::ZERO);
                let map = builder.stats(true).keyed();
                let map = map.max_weight(10, |_, weight: &u32| *weight);
                let map = match tells {
                    true => map.on_eviction(|_, _| ()).build(),
                    false => map.build(),
                };
                for key in 0..100 {
                    assert_eq!(*map.get_or_create(&key, || 5), 5);
                }
                assert_eq!(map.stats().counters.unwrap().published, 100);
                clock.advance(2 * MINUTE);
                assert_eq!((map.len(), map.weight()), (2, 10));
                map.purge();
                assert_eq!((map.len(), map.weight()), (0, 0));
                assert_eq!(map.stats().counters.unwrap().published, 100);
            }
        });
    }

    /// What is gone goes by itself, as others come.
    #[test]
    fn by_time_alone_as_others_come() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let told = Arc::new(Mutex::new(Vec::new()));
            let tell = {
                let told = Arc::clone(&told);
                move |held: KeyedOwned<u32, u32>, why| told.lock().unwrap().push((*held, why))
            };
            let map = builder.stale_while_revalidate(Duration::ZERO).keyed();
            let map = map.on_eviction(tell).build();
            for key in 0..20_000 {
                map.set(key, key);
                clock.advance(MINUTE / 1000);
                assert!(map.len() < 2000, "{}", map.len());
            }
            let told = told.lock().unwrap();
            assert!(told.iter().all(|(_, why)| *why == Eviction::Gone));
            assert_eq!(told.len() + map.len(), 20_000);
        });
    }
}

mod eviction_loses_nobody {
    use super::*;

    fn fill(map: &KeyedDogpile<u32, u32>) {
        for key in 1000..2000 {
            map.set(key, key);
        }
    }

    /// While a key is created, a thousand others come and go: no second creator, nobody left out.
    #[test]
    fn of_a_key_that_is_created() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().max_entries(10).build();
            let runs = Runs::default();
            for (round, has_value) in [(1, false), (2, true)] {
                if has_value {
                    map.set(1, 0);
                    map.expire(&1);
                }
                thread::scope(|threads| {
                    let (map, runs) = (&map, &runs);
                    let create = move || {
                        runs.run(|| {
                            fill(map);
                            if !has_value {
                                until(|| map.waiters(&1) == 4);
                            }
                            fill(map);
                            assert_eq!(map.len(), 10);
                            // It is passed over while a call is at it.
                            let stale = map.peek(&1).map(|held| *held);
                            assert_eq!(stale, has_value.then_some(0));
                            assert!(map.is_creating(&1));
                            7
                        })
                    };
                    let leader = threads.spawn(move || *map.get_or_create(&1, create));
                    until(|| map.is_creating(&1));
                    if !has_value {
                        for _ in 0..4 {
                            threads.spawn(move || assert_eq!(*map.get_or_create(&1, create), 7));
                        }
                    }
                    assert_eq!(leader.join().unwrap(), 7);
                });
                assert_eq!(runs.count(), round);
                assert!(map.len() <= 10);
            }
        });
    }

    /// In a map that keeps nothing, waiters get what was made for them.
    #[test]
    fn of_a_key_that_is_not_kept() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().max_entries(0).build();
            let runs = Runs::default();
            thread::scope(|threads| {
                for _ in 0..9 {
                    let (map, runs) = (&map, &runs);
                    threads.spawn(move || {
                        let create = || {
                            runs.run(|| {
                                until(|| map.waiters(&1) == 8);
                                7
                            })
                        };
                        assert_eq!(*map.get_or_create(&1, create), 7);
                    });
                }
            });
            assert_eq!((runs.count(), map.len()), (1, 0));
        });
    }

    /// A guard keeps what was evicted; the listener gets it with its key, under no lock, and may panic.
    #[test]
    fn whoever_holds_it() {
        within(|| {
            let census = Census::default();
            let told = Arc::new(AtomicUsize::new(0));
            let map: Arc<KeyedDogpile<u32, Counted>> = Arc::new_cyclic(|map| {
                let map: std::sync::Weak<KeyedDogpile<u32, Counted>> = map.clone();
                let told = Arc::clone(&told);
                let tell = move |held: KeyedOwned<u32, Counted>, why| {
                    assert_eq!(
                        (*KeyedOwned::key(&held), why),
                        (held.number, Eviction::NoRoom)
                    );
                    let map = map.upgrade().expect("a call runs");
                    assert!(map.peek(&held.number).is_none());
                    told.fetch_add(1, Ordering::SeqCst);
                    burst();
                };
                Dogpile::builder(MINUTE)
                    .keyed()
                    .max_entries(1)
                    .on_eviction(tell)
                    .build()
            });
            map.set(1, census.value(1));
            let held = map.peek(&1).unwrap();
            for number in 2..100 {
                map.set(number, census.value(number));
            }
            assert_eq!((held.number, census.live(), map.len()), (1, 2, 1));
            drop(held);
            assert_eq!((census.live(), told.load(Ordering::SeqCst)), (1, 98));
        });
    }

    /// A guard of an older value keeps that value alone.
    #[test]
    fn but_keeps_nothing_newer() {
        within(|| {
            let census = Census::default();
            let map = Dogpile::builder(MINUTE).keyed().max_entries(1).build();
            map.set(1, census.value(1));
            let held = map.peek(&1).unwrap();
            map.set(1, census.value(2));
            map.set(2, census.value(3));
            map.set(3, census.value(4));
            assert!(map.peek(&1).is_none());
            assert_eq!((held.number, census.live()), (1, 2));
        });
    }

    /// A value that panics when it is dropped is no matter of the call that made room.
    #[test]
    fn by_a_value_that_panics_when_it_is_dropped() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().max_entries(1).build();
            map.set(1, OnDrop::new(|| burst()));
            map.set(2, OnDrop::quiet());
            assert!(map.peek(&2).is_some() && map.len() == 1);
        });
    }
}

/// A call may ask for more than its map does; another key is none of its concern.
#[test]
fn options_of_a_call() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let map: KeyedDogpile<u32, u32> = builder.build_keyed();
        map.set(1, 1);
        map.set(2, 1);
        clock.advance(MINUTE / 2);
        let never = || panic!("it will do");
        let aged = |age| map.call(&1).max_age(age);
        assert_eq!(*aged(MINUTE / 2).get_or_create(never).unwrap(), 1);
        assert_eq!(*aged(MINUTE / 4).get_or_create(|| 2).unwrap(), 2);
        clock.advance(MINUTE / 4);
        let left = |left| map.call(&1).min_fresh(left);
        assert_eq!(*left(MINUTE / 2).get_or_create(never).unwrap(), 2);
        assert_eq!(*left(MINUTE * 7 / 8).get_or_create(|| 3).unwrap(), 3);
        assert_eq!(*map.get_or_create(&2, never), 1);
    });
}

mod what_i_saw {
    use super::*;

    /// A key that was forgotten meanwhile numbers its values on.
    #[test]
    fn in_a_key_that_was_forgotten_meanwhile() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            let mut seen = Vec::new();
            for value in 0..5 {
                drop(map.get_or_create(&1, || value));
                let now = map.peek(&1).unwrap().seen();
                for &before in &seen {
                    assert!(now > before);
                    assert!(!map.expire_if(&1, before));
                    assert!(!map.invalidate_if(&1, before));
                    assert_eq!(map.set_if(1, before, 9), Err(9));
                    let newer = map.call(&1).accept(Accept::NewerThan(before));
                    assert_eq!(*newer.get_or_create(|| 9).unwrap(), value);
                }
                seen.push(now);
                match value % 3 {
                    0 => map.invalidate(&1),
                    1 => map.invalidate_all(),
                    _ => drop(map.remove(&1)),
                }
                assert_eq!(map.set_if(1, now, 9), Err(9));
            }
            assert_eq!(map.set_if(1, None, 9), Ok(()));
            let seen = map.peek(&1).unwrap().seen();
            assert_eq!(map.set_if(1, seen, 10), Ok(()));
            assert!(map.call(&1).accept(Accept::NewerThan(seen)).hit().is_none());
            assert!(map.expire_if(&1, map.peek(&1).unwrap().seen()));
        });
    }
}

mod invalidate_wins {
    use super::*;

    /// What is being created cannot be judged yet: `which` is asked for it without a value.
    #[test]
    fn over_what_is_created_meanwhile() {
        within(|| {
            for meant in [false, true] {
                let map = KeyedDogpile::<u32, u32>::new(MINUTE);
                map.set(1, 5);
                map.expire(&1);
                let created = map.get_or_create(&1, || {
                    map.invalidate_where(|_, value| value.map_or(meant, |value| *value == 50));
                    assert_eq!(*map.peek(&1).unwrap(), 5);
                    50
                });
                let (origin, left) = match meant {
                    true => (Origin::Superseded, 5),
                    false => (Origin::CreatedHere, 50),
                };
                assert_eq!(created.origin(), origin);
                assert_eq!(*map.peek(&1).unwrap(), left);
            }
        });
    }

    #[test]
    fn by_the_value_alone() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            for key in 0..100 {
                map.set(key, key % 10);
            }
            map.invalidate_where(|_, value| value == Some(&3));
            assert_eq!(map.len(), 90);
            map.expire_where(|key, _| *key < 50);
            assert_eq!((0..100).filter(|key| map.is_fresh(key)).count(), 45);
            map.expire_all();
            assert_eq!((0..100).filter(|key| map.is_fresh(key)).count(), 0);
            assert_eq!(map.iter().count(), 90);
        });
    }

    /// A key is judged without a value only while its next one is being created.
    #[test]
    fn of_what_is_being_created_alone() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            map.set(1, 1);
            let lease = match map.attempt(&2) {
                KeyedAttempt::Lease(lease) => lease,
                _ => panic!("nobody creates it"),
            };
            let mut judged = Vec::new();
            map.expire_where(|key, value| {
                judged.push((*key, value.copied()));
                value.is_none()
            });
            judged.sort_unstable();
            assert_eq!(judged, [(1, Some(1)), (2, None)]);
            assert!(map.is_fresh(&1));
            drop(lease.publish(2));
            assert!(map.has_value(&2) && !map.is_fresh(&2));
        });
    }

    /// What is kept elsewhere is no value of the map.
    #[test]
    fn by_what_is_kept_elsewhere() {
        let map = KeyedDogpile::<u32, u32>::new(MINUTE);
        let KeyedAttempt::Lease(lease) = map.attempt(&1) else {
            panic!("nobody creates it");
        };
        let busy = map.attempt(&1);
        assert!(matches!(busy, KeyedAttempt::Busy(_)));
        assert_eq!(*lease.publish(Created::new(1).keep(false)).unwrap(), 1);
        assert!(!map.has_value(&1) && !map.is_fresh(&1));
    }

    /// A creation that runs is no answer to who comes after an `invalidate_all`.
    #[test]
    fn of_all_keys_at_once() {
        within(|| {
            let map = KeyedDogpile::<u32, u32>::new(MINUTE);
            map.set(2, 2);
            let created = map.get_or_create(&1, || {
                map.invalidate_all();
                assert!(map.peek(&2).is_none());
                1
            });
            assert_eq!(created.origin(), Origin::Superseded);
            assert!(map.is_empty());
        });
    }
}

mod backoff {
    use super::*;

    /// A key with a value that backs off, and a guard of its value.
    fn backs_off(map: &KeyedDogpile<u32, u32>) -> KeyedGuard<'_, u32, u32> {
        map.set(1, 1);
        let held = map.peek(&1).unwrap();
        drop(map.refresh(&1, || Err::<u32, _>("down")));
        assert_eq!(map.stats_of(&1).retry_in, Some(MINUTE));
        held
    }

    /// Whatever a map has for it, whether or not somebody holds the value.
    #[test]
    fn is_over_after_a_change_of_the_key() {
        let changes: [fn(&KeyedDogpile<u32, u32>); 8] = [
            |map| map.set(1, 2),
            |map| map.expire(&1),
            KeyedDogpile::expire_all,
            |map| map.expire_where(|_, _| true),
            |map| map.invalidate(&1),
            |map| drop(map.remove(&1)),
            KeyedDogpile::invalidate_all,
            |map| map.invalidate_where(|_, _| true),
        ];
        within(move || {
            for change in changes {
                for is_held in [false, true] {
                    let (_, paced) = manual(MINUTE);
                    let map = paced.backoff(Backoff::constant(MINUTE)).build_keyed();
                    let held = Some(backs_off(&map)).filter(|_| is_held);
                    change(&map);
                    assert_eq!(map.stats_of(&1).retry_in, None);
                    assert_eq!(*map.refresh(&1, || Ok::<_, ()>(3)).unwrap(), 3);
                    drop(held);
                }
            }
        });
    }
}

mod guards {
    use super::*;

    /// The map goes while everything of it is still out.
    #[test]
    fn outlive_their_map() {
        within(|| {
            let census = Census::default();
            let map = KeyedDogpile::<String, Counted>::new(MINUTE);
            let held = KeyedGuard::to_owned(&map.get_or_create("a", || census.value(1)));
            let KeyedAttempt::Lease(lease) = map.call("b").accept(Accept::New).attempt() else {
                panic!("nobody creates");
            };
            let creating = lease.creating();
            // The newer value of the same key is nothing to the handle.
            map.set("a".to_owned(), census.value(2));
            let removed = map.remove("a").unwrap();
            map.set("a".to_owned(), census.value(3));
            assert_eq!((removed.number, census.live()), (2, 3));
            // Nor is one that comes to the entry which the handle holds for its key.
            let third = KeyedGuard::to_owned(&map.peek("a").unwrap());
            map.set("a".to_owned(), census.value(4));
            drop(lease);
            assert!(creating.previous().is_none());
            drop(creating);
            assert_eq!((third.number, census.live()), (3, 4));
            drop(map);
            assert_eq!(census.live(), 3);
            drop(third);
            assert_eq!(KeyedOwned::key(&held), "a");
            assert_eq!((held.number, removed.number), (1, 2));
            drop(KeyedOwned::into_value(removed.clone()));
            drop((held, removed));
            assert_eq!(census.live(), 0);
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_a_job_that_outlives_its_map() {
        within(|| {
            let (go, goes) = std::sync::mpsc::channel::<()>();
            let census = Census::default();
            let map = KeyedDogpile::<u32, Counted>::new(MINUTE);
            map.set(1, census.value(1));
            map.expire(&1);
            let create = {
                let census = census.clone();
                move || {
                    goes.recv().unwrap();
                    census.value(2)
                }
            };
            let call = map.background(&1, &dogpile::executor::Thread);
            let stale = KeyedGuard::to_owned(&call.get_or_create(create).unwrap());
            assert_eq!(stale.number, 1);
            drop(map);
            go.send(()).unwrap();
            drop(stale);
            until(|| census.live() == 0);
        });
    }

    #[test]
    fn say_what_they_show() {
        within(|| {
            let (clock, builder) = manual(MINUTE);
            let map = builder.build_keyed::<String>();
            drop(map.get_or_create("a", || 7));
            clock.advance(MINUTE / 4);
            let held = map.peek("a").unwrap();
            assert_eq!(KeyedGuard::key(&held), "a");
            assert_eq!(KeyedGuard::age(&held), MINUTE / 4);
            assert_eq!(KeyedGuard::ttl(&held), MINUTE);
            assert_eq!(KeyedGuard::time_left(&held), MINUTE * 3 / 4);
            assert_eq!(held.origin(), Origin::Fresh);
            assert_eq!(format!("{held} {held:?} {map:?}"), "7 7 {\"a\": 7}");
            thread::scope(|threads| threads.spawn(move || drop(held)).join().unwrap());
        });
    }

    /// Every value is dropped when its last guard goes, and no sooner.
    #[test]
    fn keep_their_value() {
        within(|| {
            let census = Census::default();
            let map = KeyedDogpile::<u32, Counted>::new(MINUTE);
            let first = map.get_or_create(&1, || census.value(1));
            map.set(1, census.value(2));
            map.invalidate(&1);
            assert_eq!((first.number, census.live()), (1, 1));
            map.set(1, census.value(3));
            map.invalidate_all();
            assert_eq!(census.live(), 1);
            drop(first);
            assert_eq!(census.live(), 0);
        });
    }
}

mod user_code_outside_locks {
    use super::*;

    thread_local! {
        /// The map that keys and values call, whatever is done to them.
        static MAP: std::cell::RefCell<Option<Arc<KeyedDogpile<Nosy, OnDrop, AllAlike>>>> =
            const { std::cell::RefCell::new(None) };
        static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    /// A key that calls its map whenever it is used.
    struct Nosy(u32);

    fn pry() {
        if DEPTH.get() > 0 {
            return;
        }
        DEPTH.set(1);
        if let Some(map) = MAP.with_borrow(Option::clone) {
            let _ = (map.len(), map.iter().count());
            map.invalidate(&Nosy(900));
            map.set(Nosy(901), OnDrop::quiet());
            drop(map.remove(&Nosy(901)));
            drop(map.peek(&Nosy(1)));
        }
        DEPTH.set(0);
    }

    impl Hash for Nosy {
        fn hash<H: Hasher>(&self, state: &mut H) {
            pry();
            self.0.hash(state);
        }
    }

    impl PartialEq for Nosy {
        fn eq(&self, other: &Self) -> bool {
            pry();
            self.0 == other.0
        }
    }

    impl Eq for Nosy {}

    impl Clone for Nosy {
        fn clone(&self) -> Self {
            pry();
            Self(self.0)
        }
    }

    impl Drop for Nosy {
        fn drop(&mut self) {
            pry();
        }
    }

    /// Everything that is the user's calls the map, whose keys are all under one lock.
    #[test]
    fn of_keys_values_and_functions() {
        within(|| {
            let map = Dogpile::builder(MINUTE).keyed().hasher(AllAlike::default());
            let map = Arc::new(map.build());
            MAP.set(Some(Arc::clone(&map)));
            for round in 0..3 {
                for number in 0..20 {
                    drop(map.get_or_create(&Nosy(number), || {
                        pry();
                        OnDrop::new(pry)
                    }));
                    map.set(Nosy(number), OnDrop::new(pry));
                }
                map.expire_where(|_, _| {
                    pry();
                    true
                });
                drop(map.remove(&Nosy(3)));
                map.invalidate(&Nosy(4));
                map.invalidate_where(|key, _| {
                    pry();
                    key.0 % 2 == 0
                });
                match round {
                    0 => map.invalidate_all(),
                    1 => map.purge(),
                    _ => {}
                }
            }
            MAP.set(None);
            drop(map);
        });
    }
}

/// What a map is asked for how many values it holds: a key that only backs off is none.
#[test]
fn it_tells_how_many_values_it_holds() {
    let (_clock, builder) = manual::<u32>(MINUTE);
    let map = builder.backoff(Backoff::constant(MINUTE)).build_keyed();
    assert_eq!((map.len(), map.is_empty()), (0, true));
    assert!(map.get_or_try_create(&1, || Err("down")).is_err());
    assert!(map.stats_of(&1).retry_in.is_some());
    assert_eq!((map.len(), map.is_empty()), (0, true));
    map.set(2, 7);
    assert_eq!((map.len(), map.is_empty()), (1, false));
    map.invalidate(&2);
    assert_eq!((map.len(), map.is_empty()), (0, true));
}
