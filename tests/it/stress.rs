//! Everything at once: threads that create, fail, panic, set, expire and invalidate at random. What
//! a witness looks for, and a witness that looks at a broken pile, to show that it does find it.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Dogpile, Origin};

use crate::support::Shows as _;
use crate::support::{MINUTE, burst, bursts, within};

/// What is said of a pile: how many creators are at it, and what was invalidated when.
#[derive(Default)]
struct Witness {
    creators: AtomicUsize,
    invalidations: AtomicU64,
    two_creators: AtomicBool,
    too_old: AtomicBool,
}

/// What was `set`: newer than any invalidation.
const SET: u64 = u64::MAX;

impl Witness {
    /// A creator: its value is the number of invalidations at its start.
    fn create<R>(&self, finish: impl FnOnce(u64) -> R) -> R {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        if self.creators.fetch_add(1, Ordering::SeqCst) > 0 {
            self.two_creators.store(true, Ordering::SeqCst);
        }
        let _leave = Leave(&self.creators);
        let number = self.invalidations.load(Ordering::SeqCst);
        finish(number)
    }

    /// An invalidation: values that are asked for after it are not older than its number.
    fn invalidate(&self, invalidate: impl FnOnce()) -> u64 {
        let number = self.invalidations.fetch_add(1, Ordering::SeqCst) + 1;
        invalidate();
        number
    }

    /// A value that was asked for after the invalidation with this number.
    fn see(&self, value: u64, since: u64) {
        if value < since {
            self.too_old.store(true, Ordering::SeqCst);
        }
    }

    fn verdict(self) -> (bool, bool) {
        (self.two_creators.into_inner(), self.too_old.into_inner())
    }
}

const THREADS: u64 = 4;
const CALLS: u64 = 3000;

#[test]
fn at_random() {
    within(|| {
        let pile = Dogpile::builder(MINUTE).build();
        let witness = Witness::default();
        thread::scope(|threads| {
            for seed in 1..=THREADS {
                let (pile, witness) = (&pile, &witness);
                threads.spawn(move || {
                    let mut random = seed;
                    for _ in 0..CALLS {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(seed);
                        step(pile, witness, random >> 33);
                    }
                });
            }
        });
        assert!(!pile.is_creating());
        assert_eq!(pile.waiters(), 0);
        assert_eq!(witness.verdict(), (false, false));
    });
}

fn step(pile: &Dogpile<u64>, witness: &Witness, dice: u64) {
    let create = || {
        witness.create(|number| {
            thread::yield_now();
            number
        })
    };
    match dice % 16 {
        0 => pile.set(SET),
        1 => pile.expire(),
        2 => {
            let seen = pile.peek();
            if let Some(seen) = seen {
                pile.expire_if(seen.seen());
                let call = pile
                    .call()
                    .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                drop(call.get_or_create(create));
            }
        }
        3 => {
            bursts(|| pile.refresh(|| -> Result<u64, Infallible> { witness.create(|_| burst()) }));
        }
        4 | 5 => {
            let fail = || witness.create(|_| Err("down"));
            if let Err(error) = pile.get_or_try_create(fail) {
                assert!(error.is_failed() || error.is_panicked());
            }
        }
        6 => {
            let call = pile.call().wait(Duration::ZERO);
            match call.get_or_create(create) {
                Ok(_) => {}
                Err(error) => assert!(error.is_timed_out()),
            }
        }
        7 => drop(pile.refresh(|| Ok::<_, u8>(create()))),
        8..=10 => {
            let number = witness.invalidate(|| pile.invalidate());
            if let Some(held) = pile.peek() {
                witness.see(*held, number);
            }
            let guard = pile.get_or_create(create);
            witness.see(*guard, number);
        }
        11 => {
            let number = witness.invalidate(|| pile.invalidate());
            let guard = pile.refresh(|| Ok::<_, u16>(create()));
            if let Ok(guard) = guard {
                witness.see(*guard, number);
            }
        }
        _ => {
            let guard = pile.get_or_create(create);
            let mine = [Origin::CreatedHere, Origin::Superseded].contains(&guard.origin());
            assert!(!(mine && *guard == SET));
        }
    }
}

/// What people write by hand: it looks, creates, and stores.
#[derive(Default)]
struct ByHand(Mutex<Option<u64>>);

impl ByHand {
    fn get_or_create(&self, create: impl FnOnce() -> u64) -> u64 {
        let held = *self.0.lock().unwrap();
        held.unwrap_or_else(|| {
            let value = create();
            *self.0.lock().unwrap() = Some(value);
            value
        })
    }

    fn invalidate(&self) {
        *self.0.lock().unwrap() = None;
    }
}

#[test]
fn control_two_creators_are_seen() {
    let pile = ByHand::default();
    let witness = Witness::default();
    pile.get_or_create(|| {
        witness.create(|number| {
            thread::scope(|threads| {
                threads.spawn(|| pile.get_or_create(|| witness.create(|number| number)));
            });
            number
        })
    });
    assert_eq!(witness.verdict(), (true, false));
}

#[test]
fn control_a_value_from_before_is_seen() {
    let pile = ByHand::default();
    let witness = Witness::default();
    let mut since = 0;
    pile.get_or_create(|| {
        witness.create(|number| {
            since = witness.invalidate(|| pile.invalidate());
            number
        })
    });
    let value = pile.get_or_create(|| witness.create(|number| number));
    witness.see(value, since);
    assert_eq!(witness.verdict(), (false, true));
}
