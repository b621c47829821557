//! What a guard keeps of keys that nobody creates: nothing.

use std::borrow::Borrow;
use std::hash::Hash;

use dogpile::Dogpile;
use dogpile_cache::{Cache, CacheDogpile, Entry};

use crate::support::{MINUTE, burst, bursts};

/// It evicts at once.
struct Nothing;

impl Cache for Nothing {
    type Key = u32;
    type Value = Entry<u32>;

    fn get<Q: Eq + Hash + ?Sized>(&self, _: &Q) -> Option<Entry<u32>>
    where
        u32: Borrow<Q>,
    {
        None
    }

    fn put(&self, _: u32, _: Entry<u32>) {}

    fn remove<Q: Eq + Hash + ?Sized>(&self, _: &Q)
    where
        u32: Borrow<Q>,
    {
    }
}

#[test]
fn goes_back_to_nothing() {
    let pile = CacheDogpile::new(Nothing, Dogpile::builder(MINUTE).keyed());
    let use_up = |keys: std::ops::Range<u32>| {
        for key in keys {
            match key % 4 {
                0 => drop(pile.get_or_try_create(&key, || Ok::<_, &str>(key)).unwrap()),
                1 => drop(pile.get_or_try_create(&key, || Err("down")).unwrap_err()),
                2 => assert!(bursts(
                    || pile.get_or_try_create(&key, || -> Result<u32, ()> { burst() })
                )),
                _ => {
                    pile.set(key, key);
                    pile.expire(&key);
                    pile.invalidate(&key);
                }
            }
        }
    };
    use_up(0..10_000);
    let counted = allocation_counter::measure(|| use_up(10_000..30_000));
    assert_eq!((counted.bytes_current, counted.count_current), (0, 0));
}
