//! What people write by hand: a value and an instant, behind what the standard library or a crate
//! offers.

use std::hint::black_box;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::laps::Row;
use crate::machine;
use crate::value::{leak, Value, TTL};

/// The yardstick of hits.
pub(crate) const ARC_SWAP: &str = "arc_swap load + Instant";

pub(crate) type Swap = ArcSwap<(Value, Instant)>;
pub(crate) type Shared = (Arc<Value>, Instant);

pub(crate) fn swap() -> Swap {
    ArcSwap::from_pointee((Value::new(7), Instant::now() + TTL))
}

pub(crate) fn shared() -> Shared {
    (Arc::new(Value::new(7)), Instant::now() + TTL)
}

#[inline]
pub(crate) fn swap_hit(swap: &Swap) {
    let current = swap.load();
    assert!(Instant::now() < current.1);
    black_box(current.0.first());
}

#[inline]
pub(crate) fn rwlock_hit(lock: &parking_lot::RwLock<Shared>) {
    look(lock.read().clone());
}

#[inline]
pub(crate) fn std_rwlock_hit(lock: &RwLock<Shared>) {
    look(lock.read().expect("no panics").clone());
}

/// Out of the lock: nobody holds one while the value is used.
fn look((value, deadline): Shared) {
    assert!(Instant::now() < deadline);
    black_box(value.first());
}

pub(crate) fn yardstick() -> Row {
    let swap = leak(swap());
    Row::new(ARC_SWAP, move || swap_hit(swap))
}

pub(crate) fn hits() -> Vec<Row> {
    vec![
        Row::new("arc_swap load_full + Instant", {
            let swap = leak(swap());
            move || {
                let current = swap.load_full();
                assert!(Instant::now() < current.1);
                black_box(current.0.first());
            }
        }),
        Row::new("arc_swap load + coarse clock", {
            let deadline = machine::coarse_nanos() + TTL.as_nanos() as u64;
            let swap = leak(ArcSwap::from_pointee((Value::new(7), deadline)));
            move || {
                let current = swap.load();
                assert!(machine::coarse_nanos() < current.1);
                black_box(current.0.first());
            }
        }),
        Row::new("std RwLock of Arc and Instant", {
            let lock = leak(RwLock::new(shared()));
            move || std_rwlock_hit(lock)
        }),
        Row::new("parking_lot RwLock of Arc and Instant", {
            let lock = leak(parking_lot::RwLock::new(shared()));
            move || rwlock_hit(lock)
        }),
        Row::new("std Mutex of Arc and Instant", {
            let lock = leak(Mutex::new(shared()));
            move || look(lock.lock().expect("no panics").clone())
        }),
    ]
}
