//! `Dogpile`, the way a program would call it. A new way to hit goes into [`hits`].

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dogpile::executor::Thread;
use dogpile::{Attempt, Dogpile, Guard, Lookup, Origin, SyncReaderDogpile};

use crate::laps::Row;
use crate::value::{leak, Value, TTL};

/// The hit that all else is compared with.
pub(crate) const HIT: &str = "Dogpile get_or_create";
/// The same while somebody else creates.
pub(crate) const STALE: &str = "... stale, another one creates";

pub(crate) fn pile() -> &'static Dogpile<Value> {
    leak(Dogpile::with_value(TTL, Value::new(7)))
}

fn creator() -> Value {
    unreachable!("the value is there")
}

/// Uses the value as all candidates do.
fn look(guard: &Guard<'_, Value>) {
    black_box(guard.first());
}

// As a program would have it: where it is called.
#[inline(always)]
pub(crate) fn hit(pile: &Dogpile<Value>) {
    look(&pile.get_or_create(creator));
}

/// A pile whose value is stale, with a creation that never ends.
fn creating_pile() -> &'static Dogpile<Value> {
    let pile = leak(Dogpile::new(Duration::from_millis(1)));
    pile.set(Value::new(7));
    loop {
        match pile.attempt() {
            Attempt::Lease(lease) => std::mem::forget(lease),
            _ => {
                // Stale, and well beyond what the coarse clock may be behind.
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        }
        let guard = pile.get_or_create(creator);
        assert_eq!(Guard::origin(&guard), Origin::Stale);
        return pile;
    }
}

/// One way to hit a row.
pub(crate) fn hits() -> Vec<Row> {
    let mut rows = vec![Row::new(HIT, {
        let pile = pile();
        move || hit(pile)
    })];
    rows.push(Row::new("... with a max_age", {
        let pile = pile();
        let call = move || pile.call().max_age(TTL / 2).get_or_create(creator);
        move || look(&call().expect("nothing to wait for"))
    }));
    rows.push(Row::new("... peek", {
        let pile = pile();
        move || look(&pile.peek().expect("the value is there"))
    }));
    rows.push(Row::new("... acquire, with a get of a nanosecond", {
        let pile = leak(Dogpile::new(TTL));
        let kept = leak(AtomicU64::new(7));
        move || {
            let create = || Ok::<_, Infallible>(7);
            let got = pile.acquire(create, || Ok(Lookup::Here(kept.load(Relaxed))));
            black_box(*got.expect("neither fails"));
        }
    }));
    rows.push(Row::new(STALE, {
        let pile = creating_pile();
        move || look(&pile.get_or_create(creator))
    }));
    rows.push(holding(1, "... with one guard held"));
    rows.push(holding(9, "... with 9 guards held"));
    rows.push(holding(100, "... with 100 guards held"));
    rows.push(Row::new("... to_owned", {
        let pile = pile();
        move || {
            black_box(Guard::to_owned(&pile.get_or_create(creator)).first());
        }
    }));
    rows.push(Row::new("Dogpile get_or_try_create", {
        let pile = pile();
        move || {
            look(
                &pile
                    .get_or_try_create(|| Ok::<_, Infallible>(creator()))
                    .expect("a hit"),
            )
        }
    }));
    rows.push(Row::awaited("Dogpile get_or_create_async", {
        let pile = pile();
        move || async { look(&pile.get_or_create_async(|| async { creator() }).await) }
    }));
    rows.push(Row::awaited("Dogpile get_or_try_create_async", {
        let pile = pile();
        move || async {
            let call = pile.get_or_try_create_async(|| async { Ok::<_, Infallible>(creator()) });
            look(&call.await.expect("a hit"))
        }
    }));
    rows.push(Row::new("Dogpile background", {
        let pile = leak(Arc::new(Dogpile::with_value(TTL, Value::new(7))));
        move || {
            let call = pile.background(&Thread);
            look(&call.get_or_create(creator).expect("a hit"));
        }
    }));
    rows.push(Row::new("... with an Arc for its creator", {
        let pile = leak(Arc::new(Dogpile::with_value(TTL, Value::new(7))));
        let given = leak(Arc::new(7));
        move || {
            let call = pile.background(&Thread).with(given);
            look(
                &call
                    .get_or_create(|given| Value::new(*given))
                    .expect("a hit"),
            );
        }
    }));
    rows.push(Row::new("SyncReaderDogpile get_or_create", {
        let pile = leak(SyncReaderDogpile::with_value(TTL, Value::new(7)));
        move || {
            black_box(pile.get_or_create(creator).first());
        }
    }));
    rows
}

/// A hit of a thread that holds as many guards already.
pub(crate) fn holding(guards: usize, name: &str) -> Row {
    let pile = pile();
    Row::prepared(name, move |laps| {
        let held: Vec<_> = (0..guards)
            .map(|_| pile.peek().expect("the value is there"))
            .collect();
        laps.repeat(&|| hit(pile));
        drop(held);
    })
}
