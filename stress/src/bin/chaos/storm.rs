//! `no_starvation`: invalidated far faster than it is created, and nobody outlasts more than two
//! creations. Nothing is given up here. So nobody joins the waiters more often than twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Accept, Dogpile};

use crate::ledger::{Failed, Ledger, Value, demand, stamp};
use crate::random::Random;
use crate::watchdog::look_after;

/// Answers how many calls there were.
pub(crate) fn storm(random: &mut Random, until: Instant) -> u64 {
    let pile = Dogpile::builder(Duration::MAX).stats(true).build();
    let ledger = Ledger::new("one_creator in a storm", 1);
    let (calls, callers) = (AtomicU64::new(0), AtomicU64::new(4));
    let span = Duration::from_micros(random.below(2000) + 500);
    let invalidates = random.once_in(2);
    thread::scope(|threads| {
        for mut random in (0..4).map(|_| random.split()) {
            let (pile, ledger, calls, callers) = (&pile, &ledger, &calls, &callers);
            threads.spawn(move || {
                let doing = look_after("a call in a storm");
                while Instant::now() < until {
                    doing.now("a call in a storm");
                    let fails = random.once_in(4);
                    let floor = ledger.floor();
                    let answer = pile.call().accept(Accept::New).get_or_try_create(|| {
                        let _inside = ledger.enter();
                        let began = stamp();
                        thread::sleep(span);
                        if fails {
                            Err(Failed::new())
                        } else {
                            Ok(Value::created(began))
                        }
                    });
                    if let Ok(guard) = answer {
                        guard.look(floor);
                    }
                    calls.fetch_add(1, Ordering::SeqCst);
                }
                callers.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while callers.load(Ordering::SeqCst) > 0 {
            match invalidates {
                true => ledger.invalidate(|| {
                    pile.invalidate();
                    true
                }),
                false => pile.expire(),
            }
            thread::sleep(span / 6);
        }
    });
    let calls = calls.into_inner();
    if let Some(counters) = pile.stats().counters {
        demand(counters.waits <= 2 * calls, || {
            format!(
                "no_starvation: {} waits in {calls} calls: {counters:?}",
                counters.waits
            )
        });
    }
    calls
}
