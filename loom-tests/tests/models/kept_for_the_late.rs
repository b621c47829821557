//! `kept_for_the_late`: the pile keeps the value of its last creation, so that a caller whose `get`
//! missed while another created takes that value instead of creating again. One whose `get` began
//! after that creation, and missed, creates.
//!
//! ```breakages
//! acquire-forgets-what-it-saw | src/call/acquire.rs
//! - installed_at: 0,
//! + installed_at: u64::MAX,
//!
//! acquire-takes-what-it-saw | src/call/acquire.rs
//! - self.installed_at = node.installed_at();
//!
//! acquire-keeps-nothing | src/call/acquire.rs
//! @ fn acquire_slowly
//! - created.kept_by_default(keep)
//! + created.kept_by_default(!keep)
//! ```

use std::convert::Infallible;

use dogpile::{Dogpile, Lookup, Origin};
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

#[test]
fn who_missed_meanwhile_takes_it() {
    model(|| {
        let shared = Arc::new((Dogpile::new(HOUR), Source::new()));
        let create = |source: &Source| Ok::<_, Infallible>(source.create());
        // This one looks; while it does, another one looks too, misses, and creates.
        let get = || {
            let shared = Arc::clone(&shared);
            let other = thread::spawn(move || miss(&shared.0, &shared.1));
            assert_eq!(other.join().unwrap(), 1);
            Ok(Lookup::NeedRegeneration)
        };
        let (pile, source) = &*shared;
        let late = pile.acquire(|| create(source), get).unwrap();
        assert_eq!(
            (*late, late.origin(), source.runs()),
            (1, Origin::CreatedByAnother, 1)
        );
    });
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
