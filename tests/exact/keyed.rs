//! What many keys cost: nothing when they are gone.
//!
//! ```breakages
//! an-empty-shard-keeps-its-table | src/keyed/shard.rs | memory
//! - entries.fit();
//!
//! a-visit-keeps-the-entry | src/keyed/shard.rs | memory
//! - let is_of_no_use = note.callers == 0 && held.value.or(paced).is_none();
//! + let is_of_no_use = note.callers == 9 && held.value.or(paced).is_none();
//!
//! a-key-does-not-rest | src/keyed/shard.rs | memory
//! - 1 => entry.pile.rest(),
//! + 1 => entry.pile.held(),
//!
//! a-pile-does-not-rest | src/raw/state.rs | memory
//! @ fn rest
//! - true => self.take_extra(),
//! + true => None,
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Dogpile, KeySeat, KeyedDogpile, Leases, ManualClock};

use crate::allocation::{is_alone, live};

/// How many keys: fewer where the crate is built for debugging.
const KEYS: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    1_000_000
};

const MINUTE: Duration = Duration::from_secs(60);

fn map() -> (Arc<ManualClock>, KeyedDogpile<u64, u64>) {
    let clock = Arc::new(ManualClock::new());
    let map = Dogpile::builder(MINUTE)
        .stale_while_revalidate(Duration::ZERO)
        .clock(clock.clone())
        .build_keyed();
    (clock, map)
}

mod memory {
    use super::*;

    /// Used once each, gone, and purged: the bytes of a new map.
    #[test]
    fn of_keys_that_are_gone_comes_back() {
        if !is_alone("keyed::memory::of_keys_that_are_gone_comes_back") {
            return;
        }
        let (clock, map) = map();
        let use_once = |keys: u64| {
            let before = live();
            for key in 0..keys {
                assert_eq!(*map.get_or_create(&key, || key), key);
            }
            let bytes = (live() - before) as u64 / keys;
            clock.advance(MINUTE * 2);
            map.purge();
            assert!(map.is_empty());
            bytes
        };
        // What the thread and the clock need is there after the first time.
        use_once(1000);
        let before = live();
        let bytes = use_once(KEYS);
        let after = live();
        println!("{KEYS} keys, {bytes} bytes each; {before} bytes before, {after} after");
        assert_eq!(after, before);
        for key in 0..KEYS {
            map.set(key, key);
        }
        map.invalidate_all();
        assert_eq!(live(), before);
    }

    /// As keys come, those that are gone go.
    #[test]
    fn of_keys_that_are_gone_is_bounded() {
        if !is_alone("keyed::memory::of_keys_that_are_gone_is_bounded") {
            return;
        }
        let (clock, map) = map();
        let mut most = 0;
        for key in 0..KEYS {
            drop(map.get_or_create(&key, || key));
            // Each lives for as long as ten thousand come.
            clock.advance(MINUTE / 10_000);
            most = most.max(map.len());
        }
        println!("{most} keys at most");
        assert!(most < 20_000);
    }

    /// Found without the lock, some of them while they are taken out: nothing stays.
    #[test]
    fn of_keys_that_were_found_comes_back() {
        if !is_alone("keyed::memory::of_keys_that_were_found_comes_back") {
            return;
        }
        let (clock, map) = map();
        let use_some = |keys: u64| {
            for key in 0..keys {
                map.set(key, key);
                assert_eq!(map.peek(&key).as_deref(), Some(&key));
            }
            let before = live();
            for key in 0..keys {
                assert_eq!(map.peek(&key).as_deref(), Some(&key));
            }
            // A hit allocates nothing.
            assert_eq!(live(), before);
            let held: Vec<_> = (0..keys).step_by(7).map(|key| map.peek(&key)).collect();
            for key in (0..keys).step_by(3) {
                map.invalidate(&key);
            }
            drop(held);
            clock.advance(MINUTE * 2);
            map.purge();
            assert!(map.is_empty());
        };
        use_some(5000);
        let before = live();
        use_some(5000);
        assert_eq!(live(), before);
    }

    /// Where nobody creates or waits, a key takes what one takes whose value was set, however it got its own.
    #[test]
    fn of_keys_at_rest_is_that_of_their_values() {
        if !is_alone("keyed::memory::of_keys_at_rest_is_that_of_their_values") {
            return;
        }
        let (_, map) = map();
        let bytes = |bring: &dyn Fn(u64)| {
            let before = live();
            // Each is found at once, as some are by what brings them: so tables grow alike, before readers.
            (0..1000).for_each(|key| {
                bring(key);
                drop(map.peek(&key));
            });
            assert_eq!(map.len(), 1000);
            let bytes = live() - before;
            map.invalidate_all();
            assert_eq!(live(), before);
            bytes
        };
        let create = |key: u64| drop(map.get_or_create(&key, || key));
        // What this thread needs for all of them.
        create(0);
        drop(map.peek(&0));
        map.invalidate_all();
        let set = bytes(&|key| map.set(key, key));
        assert_eq!(bytes(&create), set);
        let renewed = bytes(&|key| {
            create(key);
            map.expire(&key);
            create(key);
        });
        assert_eq!(renewed, set);
        let superseded = bytes(&|key| {
            let create = || {
                map.set(key, key);
                key
            };
            drop(map.get_or_create(&key, create));
        });
        assert_eq!(superseded, set);
        let given_up = bytes(&|key| {
            drop(map.attempt(&key));
            map.set(key, key);
            drop(map.refresh(&key, || Ok::<_, u8>(key)));
        });
        assert_eq!(given_up, set);
        // The leader, one who waits until the end, and one who does not.
        #[cfg(feature = "async")]
        {
            use std::cell::Cell;
            use std::future::{Future as _, poll_fn};
            use std::task::{Context, Poll, Waker};

            let waited_for = bytes(&|key| {
                let is_made = Cell::new(false);
                let made = || match is_made.get() {
                    true => Poll::Ready(key),
                    false => Poll::Pending,
                };
                let call = || map.get_or_create_async(&key, || poll_fn(|_| made()));
                let mut calls = [0; 3].map(|_| Box::pin(call()));
                let mut cx = Context::from_waker(Waker::noop());
                for call in &mut calls {
                    assert!(call.as_mut().poll(&mut cx).is_pending());
                }
                is_made.set(true);
                let [mut leader, mut waits, left] = calls;
                assert!(leader.as_mut().poll(&mut cx).is_ready());
                assert!(waits.as_mut().poll(&mut cx).is_ready());
                drop(left);
            });
            assert_eq!(waited_for, set);
        }
        println!("{} bytes each", set / 1000);
    }

    /// Failures, panics, removals, leases that are given up: nothing stays.
    #[test]
    fn of_keys_without_a_value_comes_back() {
        if !is_alone("keyed::memory::of_keys_without_a_value_comes_back") {
            return;
        }
        let (_, map) = map();
        let use_once = |key: u64| {
            assert!(map.get_or_try_create(&key, || Err("down")).is_err());
            let burst = || map.get_or_create(&key, || resume_unwind(Box::new(())));
            assert!(catch_unwind(AssertUnwindSafe(burst)).is_err());
            drop(map.attempt(&key));
            map.set(key, key);
            drop(map.remove(&key));
            map.invalidate(&key);
            map.expire(&key);
            drop(map.get_or_create_multi(&[key, key + 1], |_| -> [(u64, u64); 0] { [] }));
        };
        use_once(0);
        let before = live();
        (0..2000).for_each(use_once);
        assert_eq!(live(), before);
    }

    /// Of leases nothing stays at all: not even the values.
    #[test]
    fn of_leases_comes_back() {
        if !is_alone("keyed::memory::of_leases_comes_back") {
            return;
        }
        let leases = Leases::<u64, u64>::new();
        let use_once = |key: u64| {
            assert_eq!(*leases.run(&key, || key), key);
            assert!(leases.try_run(&key, || Err("down")).is_err());
            let burst = || leases.run(&key, || resume_unwind(Box::new(())));
            assert!(catch_unwind(AssertUnwindSafe(burst)).is_err());
            let KeySeat::Lease(lease) = leases.attempt(&key) else {
                panic!("nobody has it");
            };
            leases.supersede(&key);
            drop(leases.attempt(&key));
            drop(lease);
            // A leader and a waiter, both of them cancelled.
            #[cfg(feature = "async")]
            {
                use std::future::{Future as _, pending};
                use std::task::{Context, Waker};

                let call = || leases.try_run_async(&key, pending::<Result<u64, u8>>);
                let (mut leader, mut waiter) = (Box::pin(call()), Box::pin(call()));
                let mut cx = Context::from_waker(Waker::noop());
                assert!(leader.as_mut().poll(&mut cx).is_pending());
                assert!(waiter.as_mut().poll(&mut cx).is_pending());
                drop(leader);
                drop(waiter);
            }
        };
        use_once(0);
        let before = live();
        (1..2000).for_each(use_once);
        assert_eq!(live(), before);
    }
}
