//! Settings of policies that make no sense are refused by an error that names them; those that are only
//! strange, and times that nobody waits for, break nothing.
//!
//! ```breakages
//! a-point-at-the-very-end | src/policy/refresh_ahead.rs
//! - elapsed > 0 && elapsed < 100,
//! + elapsed > 0 && elapsed <= 100,
//!
//! the-longest-span-overflows | src/policy/backoff.rs
//! - let twice = span.saturating_mul(2);
//! + let twice = span * 2;
//! ```

use std::panic::catch_unwind;
use std::time::Duration;

use dogpile::{Backoff, Dogpile, Error, Guard, Origin, RefreshAhead};

use crate::forms::Down;
use crate::support::{HOUR, MINUTE, NANO, SECOND, burst, bursts, manual};

const ZERO: Duration = Duration::ZERO;
const FOR_EVER: Duration = Duration::MAX;

/// What it says when this is refused.
fn refusal<R>(make: impl FnOnce() -> R + std::panic::UnwindSafe) -> String {
    let Err(payload) = catch_unwind(make) else {
        panic!("not refused")
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let builder = || Dogpile::<u32>::builder(MINUTE);
    let refused = [
        ("refresh ahead", refusal(|| RefreshAhead::percent(0))),
        ("refresh ahead", refusal(|| RefreshAhead::percent(100))),
        ("refresh ahead", refusal(|| RefreshAhead::percent(255))),
        ("refresh ahead", refusal(|| RefreshAhead::left(ZERO))),
        ("jitter", refusal(|| RefreshAhead::percent(80).jitter(100))),
        ("ttl_jitter", refusal(move || builder().ttl_jitter(100))),
        ("back-off", refusal(|| Backoff::constant(ZERO))),
        ("back-off", refusal(|| Backoff::exponential(ZERO, SECOND))),
        ("back-off", refusal(|| Backoff::exponential(MINUTE, SECOND))),
        ("jitter", refusal(|| Backoff::constant(SECOND).jitter(101))),
        (
            "max_create_time",
            refusal(move || builder().max_create_time(ZERO)),
        ),
        (
            "creation_limit",
            refusal(move || builder().keyed::<u32>().creation_limit(0)),
        ),
        (
            "creation_rate",
            refusal(move || builder().keyed::<u32>().creation_rate(0, SECOND)),
        ),
        (
            "creation_rate",
            refusal(move || builder().keyed::<u32>().creation_rate(7, ZERO)),
        ),
    ];
    for (number, (name, text)) in refused.iter().enumerate() {
        assert!(text.contains(name), "{number}: {text}");
    }
}

/// Spans beyond all clocks are those without an end.
#[test]
fn enormous_spans_never_end() {
    let (clock, builder) = manual::<u32>(FOR_EVER);
    let pile = builder
        .stale_while_revalidate(FOR_EVER)
        .stale_if_error(FOR_EVER)
        .refresh_ahead(RefreshAhead::left(FOR_EVER).jitter(99))
        .ttl_jitter(99)
        .backoff(Backoff::exponential(FOR_EVER, FOR_EVER).jitter(0))
        .min_interval(FOR_EVER)
        .max_retry_after(FOR_EVER)
        .max_create_time(FOR_EVER)
        .build();
    assert!(pile.get_or_try_create(|| Err::<u32, _>(Down(1))).is_err());
    // Whose creator cannot fail goes on all the same, and what is doubled is for ever already.
    for _ in 0..3 {
        assert!(bursts(|| drop(pile.get_or_create(|| burst()))));
    }
    let soon = |retry_in: Duration| retry_in < 100 * 365 * 24 * HOUR;
    for step in [ZERO, HOUR, 1000 * 24 * HOUR] {
        clock.advance(step);
        match pile.get_or_try_create(|| Ok::<_, Down>(2)) {
            Err(Error::BackingOff { retry_in, .. }) => assert!(!soon(retry_in), "{retry_in:?}"),
            other => panic!("{:?}", other.map(|value| *value)),
        }
    }
    pile.set(3);
    clock.advance(1000 * 24 * HOUR);
    let held = pile.get_or_create(|| 4);
    assert_eq!((*held, Guard::origin(&held)), (3, Origin::Fresh));
}

/// The shortest of everything: each call may create, and none hangs or divides by zero.
#[test]
fn tiny_spans_are_spans() {
    let (clock, builder) = manual::<u32>(NANO);
    let pile = builder
        .stale_while_revalidate(NANO)
        .stale_if_error(NANO)
        .refresh_ahead(RefreshAhead::percent(99).jitter(99))
        .ttl_jitter(99)
        .backoff(Backoff::constant(NANO))
        .min_interval(NANO)
        .max_create_time(NANO)
        .build();
    let mut made = 0;
    for step in 0..100 {
        if step % 3 == 0 {
            let _ = pile.get_or_try_create(|| Err::<u32, _>(Down(1)));
        } else if let Ok(value) = pile.get_or_try_create(|| Ok::<_, Down>(step)) {
            made += u32::from(*value == step);
        }
        clock.advance(NANO);
    }
    assert!(made > 20, "{made}");
}

/// The most and the least of a rate: for ever is never again, and a creation a nanosecond is no limit.
#[test]
fn rates_of_all_sizes() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let map = builder.keyed().creation_rate(2, FOR_EVER).build();
    let create = |key: u32| map.get_or_try_create(&key, || Ok::<_, Down>(key)).is_ok();
    assert!(create(1) && create(2));
    clock.advance(1000 * 24 * HOUR);
    assert!(!create(3));
    let (_clock, builder) = manual::<u32>(MINUTE);
    let map = builder.keyed().creation_rate(u32::MAX, NANO).build();
    for key in 0..1000 {
        assert!(map.get_or_try_create(&key, || Ok::<_, Down>(key)).is_ok());
    }
}

/// A source that fails for a year: the number of failures, and their spans, stay within bounds.
#[test]
fn a_source_that_fails_for_a_year() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let backoff = Backoff::exponential(SECOND, HOUR).jitter(50);
    let pile = builder.stale_if_error(24 * HOUR).backoff(backoff).build();
    pile.set(7);
    let mut asked = 0_u32;
    let mut waited = ZERO;
    while waited < 365 * 24 * HOUR {
        let answer = pile.get_or_try_create(|| {
            asked += 1;
            Err::<u32, _>(Down(asked))
        });
        let stands_in = waited <= 24 * HOUR + MINUTE;
        assert_eq!(answer.is_ok(), stands_in, "{waited:?}");
        let rest = pile.retry_in().unwrap_or(MINUTE + NANO);
        assert!((NANO..=HOUR).contains(&rest), "{rest:?}");
        clock.advance(rest);
        waited += rest;
    }
    // Each half an hour to an hour, after the first few.
    let hours = 365 * 24;
    assert!((hours..2 * hours + 20).contains(&asked), "{asked}");
    let (failure, _) = pile.last_failure().unwrap();
    assert_eq!(failure.downcast_ref(), Some(&Down(asked)));
    // And it is up again with the next call that may ask.
    assert_eq!(*pile.get_or_try_create(|| Ok::<_, Down>(8)).unwrap(), 8);
    assert_eq!(pile.retry_in(), None);
}
