//! A limit to the creations that run at once.
//!
//! ```breakages
//! adapters-wait-for-a-turn-with-a-stale-value | adapters/cache/src/guarded.rs
//! - Asks::Usable if self.goes_on() => call.wait(Duration::ZERO),
//! + Asks::Usable if self.goes_on() => call,
//! ```

use std::thread;

use dogpile::Origin;
use dogpile_cache::{CacheDogpile, CacheGuard};

use crate::pile::block_on;
use crate::support::{HOUR, MINUTE, manual, within};
use crate::table::Table;

/// Who has a stale value does not wait for its turn to renew it.
#[test]
fn stale_never_blocks() {
    within(|| {
        let (clock, settings) = manual(MINUTE);
        let settings = settings.stale_while_revalidate(HOUR).keyed();
        let pile = CacheDogpile::new(Table::default(), settings.creation_limit(1));
        pile.set(1, 1);
        clock.advance(2 * MINUTE);
        let other = pile.get_or_try_create(&2, || {
            thread::scope(|threads| {
                threads.spawn(|| {
                    let served = pile.get_or_try_create(&1, || Ok::<_, ()>(7)).unwrap();
                    assert_eq!((*served, CacheGuard::origin(&served)), (1, Origin::Stale));
                    let served = pile.get_or_try_create_async(&1, async || Ok::<_, ()>(7));
                    let served = block_on(served).unwrap();
                    assert_eq!((*served, CacheGuard::origin(&served)), (1, Origin::Stale));
                });
            });
            Ok::<_, ()>(2)
        });
        assert_eq!(*other.unwrap(), 2);
        let renewed = pile.get_or_try_create(&1, || Ok::<_, ()>(7)).unwrap();
        assert_eq!(*renewed, 7);
    });
}
