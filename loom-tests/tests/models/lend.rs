//! `lend`: an older value that the holder of the lease lends while it creates serves those who take a
//! stale one, and is no answer to anybody who asks for more.
//!
//! ```breakages
//! nobody-is-woken-by-a-loan | src/raw/change.rs
//! @ pub(crate) fn lend
//! - let waiters = state.release_waiters();
//! + let waiters = None;
//!
//! a-loan-is-fresh | src/raw/change.rs
//! @ pub(crate) fn lend
//! - node.expire(now);
//!
//! a-loan-takes-the-place-of-what-came | src/raw/change.rs
//! @ pub(crate) fn lend
//! - if !state.is_leased_to(fence) || state.supersedes(fence) || !is_empty {
//! + if !state.is_leased_to(fence) && is_empty {
//!
//! who-waits-on-after-a-loan-is-forgotten | src/raw/change.rs
//! @ pub(crate) fn lend
//! - let next = waiters.as_ref().map(|_| state.join_own());
//! + let next = waiters.as_ref().map(|_| crate::shim::Arc::new(crate::raw::Waiters::new(fence, false, None)));
//! ```

use crate::kind::{Pile, model};
use dogpile::{Accept, Created, Creating, Origin};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread;
use loom_tests::{HOUR, Jobs, Source};

fn lends(creating: &Creating<'_, usize>) -> bool {
    creating.lend(Created::new(6))
}

/// A creation that lends 6 and makes 7, after it has begun what `meets` starts.
fn creates<R>(pile: &Pile<usize>, meets: impl FnOnce() -> R) -> R {
    let mut met = None;
    let made = pile.get_or_try_create_with(|creating| {
        met = Some(meets());
        lends(&creating);
        Ok::<_, u8>(Created::new(7))
    });
    assert_eq!(*made.unwrap(), 7);
    met.unwrap()
}

/// It waits already, or comes later. Were it not served, the creator would wait for it for ever.
#[test]
fn who_takes_a_stale_one_is_served_while_the_new_one_is_made() {
    model(|| {
        let pile = Arc::new(Pile::<usize>::new(HOUR));
        let made = pile.get_or_try_create_with(|creating| {
            let other = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || {
                    let lent = pile.get_or_create(|| unreachable!("somebody creates"));
                    (*lent, lent.origin())
                })
            };
            assert!(lends(&creating));
            assert_eq!(other.join().unwrap(), (6, Origin::Stale));
            Ok::<_, u8>(Created::new(7))
        });
        assert_eq!((*made.unwrap(), *pile.peek().unwrap()), (7, 7));
    });
}

#[test]
fn who_asks_for_a_fresh_one_gets_what_is_made() {
    model(|| {
        let shared = Arc::new((Pile::<usize>::new(HOUR), Source::new()));
        let (pile, source) = &*shared;
        let other = creates(pile, || {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let call = shared.0.call().accept(Accept::Fresh);
                *call.get_or_create(|| shared.1.create()).unwrap()
            })
        });
        assert_eq!((other.join().unwrap(), source.runs()), (7, 0));
    });
}

/// Nor what was made: that began before.
#[test]
fn nobody_gets_it_after_an_invalidate() {
    model(|| {
        let pile = Arc::new(Pile::<usize>::new(HOUR));
        let other = creates(&pile, || {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                pile.invalidate();
                *pile.get_or_create(|| 8)
            })
        });
        assert_eq!(other.join().unwrap(), 8);
        assert_eq!(*pile.peek().unwrap(), 8);
    });
}

#[test]
fn it_takes_the_place_of_nothing_that_was_set() {
    model(|| {
        let pile = Arc::new(Pile::<usize>::new(HOUR));
        let other = creates(&pile, || {
            let pile = Arc::clone(&pile);
            thread::spawn(move || {
                pile.set(5);
                *pile.peek().unwrap()
            })
        });
        assert!([5, 7].contains(&other.join().unwrap()));
        assert!([5, 7].contains(&*pile.peek().unwrap()));
    });
}

/// The caller of a background creation who asks for more than a loan is told how that creation ended.
#[test]
fn its_own_caller_hears_of_the_end() {
    model(|| {
        let pile = std::sync::Arc::new(Pile::<usize>::new(HOUR));
        let jobs = Jobs::default();
        let call = pile.background(&jobs).accept(Accept::Fresh);
        let failed = call.get_or_try_create_with(|creating| {
            lends(&creating);
            Err::<Created<usize>, u8>(9)
        });
        assert_eq!(failed.unwrap_err().created(), Some(&9));
        assert_eq!(*pile.peek().unwrap(), 6);
        jobs.join();
    });
}
