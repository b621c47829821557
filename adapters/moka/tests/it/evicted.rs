//! moka evicts a key while its value is created: with piles as its values two create at once, with the
//! guard over it one does. And moka stays in charge of what is evicted when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::{Dogpile, Origin};
use dogpile_moka::sync::{Moka, MokaDogpile};
use dogpile_moka::{CacheGuard, Entry};
use moka::policy::EvictionPolicy;

use crate::support::{HOUR, MINUTE, manual, until, within};

/// Of one entry: whatever comes drives out what was there.
fn tiny<V: Clone + Send + Sync + 'static>()
-> moka::sync::CacheBuilder<u32, V, moka::sync::Cache<u32, V>> {
    moka::sync::Cache::builder()
        .max_capacity(1)
        .eviction_policy(EvictionPolicy::lru())
}

/// What people write without the guard.
#[test]
fn with_piles_as_values_two_create_at_once() {
    within(|| {
        let cache: moka::sync::Cache<u32, Arc<Dogpile<u32>>> = tiny().build();
        let pile = |key| cache.get_with(key, || Arc::new(Dogpile::new(MINUTE)));
        let running = AtomicU32::new(0);
        let first = pile(1);
        let made = first.get_or_create(|| {
            running.fetch_add(1, Ordering::SeqCst);
            // Other keys come, and moka evicts this one.
            let _ = pile(2);
            cache.run_pending_tasks();
            assert!(!cache.contains_key(&1));
            thread::scope(|threads| {
                threads.spawn(|| {
                    let second = pile(1);
                    let second = second.get_or_create(|| {
                        running.fetch_add(1, Ordering::SeqCst);
                        // That of the first caller runs still.
                        running.load(Ordering::SeqCst)
                    });
                    assert_eq!(*second, 2);
                });
            });
            running.load(Ordering::SeqCst)
        });
        assert_eq!(*made, 2);
    });
}

#[test]
fn with_the_guard_one_creates() {
    within(|| {
        let (clock, settings) = manual(MINUTE);
        let settings = settings.stale_while_revalidate(HOUR).keyed();
        let pile = MokaDogpile::new(Moka(tiny().build()), settings);
        for is_cold in [true, false] {
            pile.invalidate(&1);
            if !is_cold {
                pile.set(1, 1);
                clock.advance(2 * MINUTE);
            }
            thread::scope(|threads| {
                let made = pile.get_or_try_create(&1, || {
                    pile.set(2, 2);
                    pile.cache().run_pending_tasks();
                    assert!(!pile.cache().contains_key(&1));
                    let waiter = threads.spawn(|| {
                        let second = || -> Result<u32, ()> { unreachable!("two creators at once") };
                        let made = pile.get_or_try_create(&1, second).unwrap();
                        assert_eq!(
                            (*made, CacheGuard::origin(&made)),
                            (7, Origin::CreatedByAnother)
                        );
                    });
                    until(|| pile.waiters(&1) == 1);
                    drop(waiter);
                    Ok::<_, ()>(7)
                });
                assert_eq!(*made.unwrap(), 7);
            });
        }
    });
}

/// Capacity, weight and idleness are moka's, its listeners see the values, and what it removed is
/// created anew.
#[test]
fn moka_is_in_charge() {
    within(|| {
        let dropped = Arc::new(AtomicU32::new(0));
        let sum = Arc::clone(&dropped);
        let cache = moka::sync::Cache::builder()
            .max_capacity(100)
            .weigher(|_, value: &Entry<u32>| **value)
            .time_to_idle(Duration::from_secs(60))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, value: Entry<u32>, _| {
                sum.fetch_add(*value, Ordering::SeqCst);
            })
            .build();
        let pile = MokaDogpile::new(Moka(cache), Dogpile::builder(MINUTE).keyed());
        for key in 0..10 {
            assert_eq!(
                *pile.get_or_try_create(&key, || Ok::<_, ()>(30)).unwrap(),
                30
            );
            pile.cache().run_pending_tasks();
            assert!(pile.cache().weighted_size() <= 100);
        }
        assert_eq!(pile.cache().entry_count(), 3);
        assert_eq!(dropped.load(Ordering::SeqCst), 7 * 30);
        let again = pile.get_or_try_create(&0, || Ok::<_, ()>(1)).unwrap();
        assert_eq!(CacheGuard::origin(&again), Origin::CreatedHere);
        // Heavier than all room: it goes to who asked.
        let heavy = pile.get_or_try_create(&50, || Ok::<_, ()>(101)).unwrap();
        assert_eq!(*heavy, 101);
        pile.cache().run_pending_tasks();
        assert!(pile.peek(&50).is_none());
    });
}

/// A listener may call the guard for other keys. (moka holds a lock for the key that it tells of.)
#[test]
fn a_listener_may_call_back() {
    within(|| {
        let back: Arc<std::sync::OnceLock<MokaDogpile<u32, u32>>> = Arc::default();
        let listener = Arc::clone(&back);
        let cache = moka::sync::Cache::builder()
            .eviction_listener(move |key, _, _| {
                let pile = listener.get().unwrap();
                if *key == 1 {
                    pile.set(2, 2);
                    assert_eq!(*pile.get_or_try_create(&3, || Ok::<_, ()>(3)).unwrap(), 3);
                }
            })
            .build();
        let settings = Dogpile::builder(MINUTE).keyed();
        assert!(back.set(MokaDogpile::new(Moka(cache), settings)).is_ok());
        let pile = back.get().unwrap();
        pile.set(1, 1);
        assert_eq!(*pile.refresh(&1, || Ok::<_, ()>(3)).unwrap(), 3);
        for (key, value) in [(1, 3), (2, 2), (3, 3)] {
            assert_eq!(*pile.peek(&key).unwrap(), value);
        }
    });
}
