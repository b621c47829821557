//! `observed_once`: with hit counting on, what is counted is what was answered.
//!
//! ```breakages
//! a-miss-stays-counted | src/call/hit.rs | what_is_counted
//!   drop(node);
//! - time.no_hit();
//!
//! slow-answers-are-not-counted | src/call/election/mod.rs | what_is_counted
//! @ fn answer<
//! - call.site.settings.answered(S::origin(&found));
//!
//! what-was-created-is-counted | src/answer/guard.rs | what_is_counted
//! - Origin::CreatedHere | Origin::CreatedByAnother | Origin::Superseded => false,
//! + Origin::CreatedHere | Origin::CreatedByAnother | Origin::Superseded => true,
//!
//! a-number-is-used-again-with-its-count | src/shim/tally.rs | each_pile
//! - self.before[number as usize] = before;
//! + let _ = before;
//!
//! a-look-up-in-vain-stays-counted | src/call/acquire.rs | what_is_looked_up_counts
//! - self.site.settings.time.no_hit();
//!
//! a-miss-of-a-map-stays-counted | src/keyed/shared.rs | what_a_map_finds
//! @ fn hit_at_once
//! - time.no_hit();
//! ```

use std::sync::Arc;
use std::thread;

use dogpile::{Accept, Attempt, Backoff, Created, Dogpile, Lookup, Origin, SyncReaderDogpile};

use crate::support::{HOUR, MINUTE, SECOND, Shows, manual, until, within};

/// Whether an answer with this origin is a hit.
fn is_hit(origin: Origin) -> bool {
    matches!(origin, Origin::Fresh | Origin::Stale | Origin::Fallback)
}

macro_rules! what_is_counted_is_what_was_answered {
    ($name:ident, $build:ident) => {
        #[test]
        fn $name() {
            within(|| {
                let (clock, builder) = manual(MINUTE);
                let pile = builder
                    .stale_while_revalidate(MINUTE)
                    .stale_if_error(HOUR)
                    .backoff(Backoff::constant(SECOND))
                    .count_hits()
                    .$build();
                let mut count = 0;
                let mut note = |origin: Origin| count += u64::from(is_hit(origin));
                let get = |value: Result<u32, &'static str>| {
                    let answer = pile.get_or_try_create(|| value);
                    answer.as_ref().map(|held| held.origin()).ok()
                };
                let missing = || Ok(Lookup::NeedRegeneration);
                let there = || Ok::<_, &str>(Lookup::Aged(5, SECOND));

                // Nothing is there.
                assert!(pile.peek().is_none() && pile.call().hit().is_none());
                assert!(get(Err("down")).is_none());
                assert!(get(Ok(1)).is_none(), "it backs off");
                clock.advance(2 * SECOND);
                note(get(Ok(1)).unwrap());
                let first = pile.peek().unwrap().seen();
                note(Origin::Fresh); // The peek.
                // Fresh.
                for _ in 0..3 {
                    note(get(Ok(2)).unwrap());
                    note(pile.peek().unwrap().origin());
                    note(pile.call().hit().unwrap().origin());
                    note(pile.call().wait_for_value().unwrap().origin());
                    note(
                        pile.call()
                            .max_age(SECOND)
                            .get_or_create(|| 3)
                            .unwrap()
                            .origin(),
                    );
                    note(pile.acquire(|| Err("down"), there).unwrap().origin());
                }
                let call = pile
                    .call()
                    .accept(Accept::NewerThan(pile.peek().unwrap().seen()));
                note(Origin::Fresh); // The peek.
                note(call.get_or_create(|| 4).unwrap().origin());
                // One that is newer is a hit, if not a plain one.
                let call = pile.call().accept(Accept::NewerThan(first));
                note(call.get_or_create(|| 5).unwrap().origin());
                // Stale, and somebody creates.
                clock.advance(MINUTE + SECOND);
                note(pile.peek().unwrap().origin());
                let Attempt::Lease(lease) = pile.attempt() else {
                    panic!("it is free");
                };
                note(get(Ok(5)).unwrap());
                note(pile.peek().unwrap().origin());
                assert!(pile.call().accept(Accept::Fresh).hit().is_none());
                drop(lease.publish(6));
                // It failed, and the old value is served.
                clock.advance(MINUTE + SECOND);
                note(get(Err("down")).unwrap());
                note(get(Ok(7)).unwrap());
                clock.advance(MINUTE);
                note(get(Err("down")).unwrap());
                // Looked up in vain.
                clock.advance(SECOND);
                note(pile.acquire(|| Ok::<_, &str>(8), missing).unwrap().origin());
                pile.invalidate();
                note(pile.get_or_create(|| 9).origin());
                assert!(count > 20);
                assert_eq!(pile.stats().hits, Some(count));
                // Who looks at it is nobody.
                assert_eq!(pile.stats().hits, Some(count));
            });
        }
    };
}

what_is_counted_is_what_was_answered!(what_is_counted_is_what_was_answered, build);
what_is_counted_is_what_was_answered!(what_is_counted_of_readers_too, build_sync_reader);

/// What is looked up and renewed is no hit; what is looked up and served is one, by tasks too.
#[test]
fn what_is_looked_up_counts_where_it_is_served() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let backoff = Backoff::constant(HOUR);
        let pile = builder.backoff(backoff).count_hits().build();
        pile.set(1);
        let hits = || pile.stats().hits.unwrap();
        let here = || Ok::<_, &str>(Lookup::Here(1));
        assert_eq!(
            pile.acquire(|| Ok(2), here).unwrap().origin(),
            Origin::Fresh
        );
        assert_eq!(hits(), 1);
        clock.advance(2 * MINUTE);
        let renewed = pile.acquire(|| Ok(2), here).unwrap();
        assert_eq!((renewed.origin(), hits()), (Origin::CreatedHere, 1));
        clock.advance(2 * MINUTE);
        let _ = pile.acquire(|| Err("down"), here);
        let before = hits();
        for more in 1..4 {
            let served = pile.acquire(|| Ok(2), here).unwrap();
            assert_eq!((served.origin(), hits()), (Origin::Stale, before + more));
        }
        #[cfg(feature = "async")]
        for more in 4..7 {
            let served = pile.acquire_async(async || Ok(2), async || here());
            let served = crate::tasks::block_on(served).unwrap();
            assert_eq!((served.origin(), hits()), (Origin::Stale, before + more));
        }
    });
}

/// Nor is it one where there is nothing, or nothing but the times of what is kept elsewhere.
#[test]
fn what_is_not_there_is_no_hit() {
    let (clock, builder) = manual(MINUTE);
    let pile = builder.count_hits().build();
    let create = || Ok::<_, &str>(Created::new(1).keep(false));
    for _ in 0..3 {
        let made = pile.get_or_try_create_with(|_| create()).unwrap();
        assert_eq!(made.origin(), Origin::CreatedHere);
        assert!(pile.peek().is_none() && pile.call().hit().is_none());
        assert_eq!(pile.stats().hits, Some(0));
        clock.advance(2 * MINUTE);
    }
}

/// A map counts what it finds at once, or under its lock, and each of them once.
#[test]
fn what_a_map_finds_is_counted_once() {
    let (clock, builder) = manual(MINUTE);
    let map = builder.count_hits().build_keyed();
    let hits = || map.stats().hits;
    assert!(map.call(&1).hit().is_none() && map.peek(&1).is_none());
    assert_eq!(hits(), Some(0));
    map.set(1, 1);
    for count in 1..4 {
        assert!(map.call(&1).hit().is_some());
        assert_eq!(hits(), Some(count));
    }
    clock.advance(2 * MINUTE);
    assert!(map.call(&1).hit().is_none());
    assert_eq!(hits(), Some(3));
}

/// Many threads, each in memory of its own, some of which end.
#[test]
fn no_hit_is_lost() {
    static PILE: Dogpile<u32> = Dogpile::builder(HOUR).count_hits().build();
    within(|| {
        PILE.set(1);
        for round in 1..=5 {
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        for _ in 0..1000 {
                            assert_eq!(*PILE.get_or_create(|| 2), 1);
                        }
                    });
                }
            });
            assert_eq!(PILE.stats().hits, Some(round * 4000));
        }
    });
}

/// Those who wait are no hits, and neither is the creation.
#[test]
fn who_waited_was_no_hit() {
    within(|| {
        let pile = Arc::new(
            SyncReaderDogpile::builder(HOUR)
                .count_hits()
                .build_sync_reader(),
        );
        let mut waiters = vec![];
        drop(pile.get_or_create(|| {
            waiters.extend((0..3).map(|_| {
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| 2))
            }));
            until(|| pile.waiters() == 3);
            1
        }));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 1);
        }
        assert_eq!(pile.stats().hits, Some(0));
        assert_eq!(*pile.get_or_create(|| 3), 1);
        assert_eq!(pile.stats().hits, Some(1));
    });
}

/// Numbers are used again, and builders that are cloned share nothing.
#[test]
fn each_pile_has_a_count_of_its_own() {
    let builder = Dogpile::builder(HOUR).count_hits();
    let other = builder.clone().build();
    other.set(1);
    for _ in 0..300 {
        let pile = builder.clone().build();
        assert_eq!(pile.stats().hits, Some(0));
        pile.set(1);
        assert!(pile.peek().is_some() && pile.peek().is_some());
        assert_eq!(pile.stats().hits, Some(2));
    }
    assert_eq!(other.stats().hits, Some(0));
}

#[test]
fn one_that_was_not_asked_to_counts_nothing() {
    let (_, builder) = manual(HOUR);
    for pile in [builder.build(), Dogpile::new(HOUR)] {
        pile.set(1);
        assert!(pile.peek().is_some());
        assert_eq!(pile.stats().hits, None);
    }
}

/// Whatever the clock, and in whichever order they were set.
#[test]
fn by_any_clock() {
    let (clock, builder) = manual(HOUR);
    let system = Dogpile::builder(HOUR);
    let piles = [
        builder.count_hits().build(),
        Dogpile::builder(HOUR).count_hits().clock(clock).build(),
        Dogpile::builder(HOUR)
            .count_hits()
            .clock_static(&dogpile::BootClock)
            .build(),
        system.count_hits().build(),
    ];
    for pile in piles {
        pile.set(1);
        assert_eq!(*pile.get_or_create(|| 2), 1);
        pile.expire();
        assert_eq!(*pile.get_or_create(|| 2), 2);
        assert_eq!(*pile.get_or_create(|| 3), 2);
        assert_eq!(pile.stats().hits, Some(2));
    }
}
