//! The promises of a guard over quick_cache's cache, and its eviction in the middle of them.

#[allow(dead_code)]
#[path = "../../../cache/tests/it/pile.rs"]
mod pile;
#[path = "../../../cache/tests/it/promises.rs"]
mod promises;
#[allow(dead_code)] // It is that of the crate's own tests.
#[path = "../../../../tests/it/support.rs"]
mod support;

use std::sync::Arc;
use std::thread;

use dogpile::{Dogpile, Origin};
use dogpile_quick_cache::{CacheGuard, Entry, Quick, QuickDogpile};

use crate::pile::{Tasks, Threads};
use crate::support::{HOUR, MINUTE, manual, until, within};

fn cache(entries: usize) -> Quick<u32, u32> {
    Quick(quick_cache::sync::Cache::new(entries))
}

mod of_threads {
    use super::*;

    crate::promises::promises!(|settings| Threads(QuickDogpile::new(cache(100), settings)));
}

mod of_tasks {
    use super::*;

    crate::promises::promises!(|settings| Tasks(QuickDogpile::new(cache(100), settings)));
}

/// Drives a key out, by others.
fn evict<V: Clone>(cache: &quick_cache::sync::Cache<u32, V>, key: u32, insert: impl Fn(u32)) {
    for other in 1000..2000 {
        insert(other);
        if cache.peek(&key).is_none() {
            return;
        }
    }
    panic!("it was not evicted");
}

/// What people write without the guard.
#[test]
fn with_piles_as_values_two_create_at_once() {
    within(|| {
        let cache = quick_cache::sync::Cache::<u32, Arc<Dogpile<u32>>>::new(1);
        let new = || Arc::new(Dogpile::new(MINUTE));
        let pile = |key| {
            cache
                .get_or_insert_with(&key, || Ok::<_, ()>(new()))
                .unwrap()
        };
        let mut both_ran = false;
        let _ = pile(1).get_or_create(|| {
            evict(&cache, 1, |other| cache.insert(other, new()));
            let second = thread::scope(|threads| {
                let second = threads.spawn(|| *pile(1).get_or_create(|| 2));
                second.join().unwrap()
            });
            both_ran = second == 2;
            1
        });
        assert!(both_ran);
    });
}

#[test]
fn with_the_guard_one_creates() {
    within(|| {
        let (clock, settings) = manual(MINUTE);
        let settings = settings.stale_while_revalidate(HOUR).keyed();
        let pile = QuickDogpile::new(cache(1), settings);
        pile.set(1, 1);
        clock.advance(2 * MINUTE);
        thread::scope(|threads| {
            let made = pile.get_or_try_create(&1, || {
                evict(pile.cache(), 1, |other| pile.set(other, 0));
                let _waiter = threads.spawn(|| {
                    let second = || -> Result<u32, ()> { unreachable!("two creators at once") };
                    let made = pile.get_or_try_create(&1, second).unwrap();
                    let origin = CacheGuard::origin(&made);
                    assert_eq!((*made, origin), (7, Origin::CreatedByAnother));
                });
                until(|| pile.waiters(&1) == 1);
                Ok::<_, ()>(7)
            });
            assert_eq!(*made.unwrap(), 7);
        });
    });
}

/// Weighers see the value.
#[test]
fn quick_cache_is_in_charge() {
    #[derive(Clone)]
    struct Weighs;
    impl quick_cache::Weighter<u32, Entry<u32>> for Weighs {
        fn weight(&self, _: &u32, value: &Entry<u32>) -> u64 {
            u64::from(**value)
        }
    }
    let cache = quick_cache::sync::Cache::with_weighter(10, 100, Weighs);
    let pile = QuickDogpile::new(Quick(cache), Dogpile::builder(MINUTE).keyed());
    for key in 0..10 {
        assert_eq!(
            *pile.get_or_try_create(&key, || Ok::<_, ()>(30)).unwrap(),
            30
        );
        assert!(pile.cache().weight() <= 100);
    }
    assert!(pile.cache().len() < 10);
}
