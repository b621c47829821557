//! What no cache can beat: each does less than a hit has to.

use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::laps::Row;
use crate::machine;
use crate::value::{leak, Value, TTL};

pub(crate) const POINTER: &str = "bare AtomicPtr + coarse clock (can free nothing)";
pub(crate) const LOCKED: &str = "one locked instruction, on a line of its own";

/// A value behind a bare pointer, with its deadline.
pub(crate) struct Bare(AtomicPtr<(Value, u64)>);

impl Bare {
    pub(crate) fn new() -> Self {
        let deadline = machine::coarse_nanos() + TTL.as_nanos() as u64;
        Self(AtomicPtr::new(Box::leak(Box::new((
            Value::new(7),
            deadline,
        )))))
    }

    #[inline]
    pub(crate) fn hit(&self) {
        let current = self.0.load(Ordering::Acquire);
        // SAFETY: it points to a value that is never freed and never changes.
        #[allow(unsafe_code)]
        let (value, deadline) = unsafe { &*current };
        assert!(machine::coarse_nanos() < *deadline);
        black_box(value.first());
    }
}

pub(crate) fn hits() -> Vec<Row> {
    vec![
        Row::new(POINTER, {
            let bare = leak(Bare::new());
            move || bare.hit()
        }),
        Row::new("std OnceLock get (never expires)", {
            let cell = leak(OnceLock::from(Value::new(7)));
            move || {
                black_box(cell.get().expect("set").first());
            }
        }),
        Row::new("the coarse clock alone", || {
            black_box(machine::coarse_nanos());
        }),
        Row::prepared(LOCKED, |laps| {
            let word = AtomicU64::new(0);
            laps.repeat(&|| {
                black_box(black_box(&word).swap(1, Ordering::SeqCst));
            });
        }),
    ]
}
