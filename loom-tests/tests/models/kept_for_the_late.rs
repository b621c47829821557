//! `kept_for_the_late`: the pile keeps the value of its last creation, so that a caller whose `get`
//! missed while another created takes that value instead of creating again. One whose `get` began
//! after that creation, and missed, creates.
//!
//! ```breakages
//! acquire-forgets-what-it-saw | src/call/acquire.rs
//! - None => (Seen::new(0, 0), 0),
//! + None => (Seen::new(0, 0), u64::MAX),
//!
//! acquire-takes-what-it-saw | src/call/acquire.rs
//! - Some(node) => (Seen::new(node.number(), node.pile()), node.installed_at()),
//! + Some(node) => (Seen::new(node.number(), node.pile()), 0),
//!
//! acquire-keeps-nothing | src/call/acquire.rs
//! @ fn acquire_slowly
//! - created.kept_by_default(keep)
//! + created.kept_by_default(!keep)
//!
//! what-is-not-kept-counts-as-replaced | src/raw/mod.rs
//! @ fn is_current(
//! - current.number() == number
//! + current.number() == number && current.value().is_some()
//! ```

use std::convert::Infallible;

use dogpile::{Dogpile, Lookup, Origin, SyncReaderDogpile};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model};

/// A pile, and a store that loses everything.
fn miss(pile: &Dogpile<usize>, source: &Source) -> usize {
    let create = || Ok::<_, Infallible>(source.create());
    *pile
        .acquire(create, || Ok(Lookup::NeedRegeneration))
        .unwrap()
}

/// After so many creations before.
fn who_missed_meanwhile(before: usize) {
    model(move || {
        let shared = Arc::new((Dogpile::new(HOUR), Source::new()));
        for run in 1..=before {
            assert_eq!(miss(&shared.0, &shared.1), run);
        }
        let create = |source: &Source| Ok::<_, Infallible>(source.create());
        // This one looks; while it does, another one looks too, misses, and creates.
        let get = || {
            let shared = Arc::clone(&shared);
            let other = thread::spawn(move || miss(&shared.0, &shared.1));
            assert_eq!(other.join().unwrap(), before + 1);
            Ok(Lookup::NeedRegeneration)
        };
        let (pile, source) = &*shared;
        let late = pile.acquire(|| create(source), get).unwrap();
        assert_eq!(
            (*late, late.origin(), source.runs()),
            (before + 1, Origin::CreatedByAnother, before + 1)
        );
    });
}

#[test]
fn who_missed_meanwhile_takes_it() {
    who_missed_meanwhile(0);
}

#[test]
fn who_missed_meanwhile_takes_the_next_one() {
    who_missed_meanwhile(1);
}

#[test]
fn who_misses_afterwards_creates() {
    model(|| {
        let shared = Arc::new((Dogpile::new(HOUR), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || miss(&shared.0, &shared.1))
        };
        let before = other.join().unwrap();
        assert_eq!((before, miss(&shared.0, &shared.1)), (1, 2));
    });
}

#[test]
fn two_who_miss_at_once_create_once_each_at_most() {
    model(|| {
        let shared = Arc::new((Dogpile::new(HOUR), Source::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || miss(&shared.0, &shared.1))
        };
        let here = miss(&shared.0, &shared.1);
        let there = other.join().unwrap();
        assert!(
            matches!((here, there), (1, 1) | (1, 2) | (2, 1)),
            "{here}, {there}"
        );
    });
}

/// Of readers, and with nothing kept here: who waits is handed what was created, and does not take it
/// for replaced.
#[test]
fn who_waits_needs_nothing_kept() {
    model(|| {
        let builder = SyncReaderDogpile::builder(HOUR).keep_last(false);
        let shared = Arc::new((builder.build_sync_reader(), Source::new()));
        let mut waiters = Vec::new();
        let mut all_wait = false;
        let create = || {
            let (pile, source) = &*shared;
            let run = source.create();
            waiters.extend((0..2).map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let create = || Ok::<_, Infallible>(shared.1.create());
                    let miss = || Ok(Lookup::NeedRegeneration);
                    let acquired = shared.0.acquire(create, miss).unwrap();
                    (*acquired, acquired.origin())
                })
            }));
            all_wait = pile.waiters() == 2;
            Ok::<_, Infallible>(run)
        };
        let miss = || Ok(Lookup::NeedRegeneration);
        let first = shared.0.acquire(create, miss).unwrap();
        let mut answers = vec![(*first, first.origin())];
        drop(first);
        answers.extend(waiters.into_iter().map(|waiter| waiter.join().unwrap()));
        if all_wait {
            let by_another = (1, Origin::CreatedByAnother);
            let all = [(1, Origin::CreatedHere), by_another, by_another];
            assert_eq!(answers, all);
        }
    });
}
