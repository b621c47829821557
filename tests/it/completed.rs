//! A value that is complete before it is published, for creators that put it where it is kept; and what a
//! value that somebody else keeps is good for.
//!
//! ```breakages
//! a-complete-value-is-as-new-when-it-is-published | src/answer/created.rs
//! - ..Self::of(Content::Complete(value.clone()))
//! + ..Self::unchanged(value.clone())
//!
//! a-complete-value-forgets-its-hold | src/answer/created.rs | and_what_was_said_of_it_stays
//! @ pub(crate) fn complete
//! - let again = Self { hold,
//! + let again = Self { hold: None,
//!
//! a-complete-value-is-kept-all-the-same | src/answer/created.rs | and_what_was_said_of_it_stays
//! - !self.superseded && self.keep.unwrap_or(true)
//! + true
//!
//! what-stands-in-does-so-for-ever | src/answer/guard.rs | by_its_own_times
//! - horizon.stands_in(now).is_some()
//! + true
//! ```

use dogpile::{Clock as _, Created, Freshness, Guard, Origin, Owned};

use crate::support::{HOUR, MINUTE, NANO, SECOND, Shows as _, manual};

#[test]
fn is_the_value_that_is_published() {
    let (clock, settings) = manual(MINUTE);
    let pile = settings.build();
    let mut kept = None;
    let shown = pile.get_or_try_create_with(|creating| {
        let (value, created) = creating.complete(Created::new(7).ttl(HOUR).age(MINUTE));
        // It is put somewhere, which takes a while.
        clock.advance(MINUTE);
        kept = Some(value);
        Ok::<_, ()>(created)
    });
    let (shown, kept) = (shown.unwrap(), kept.unwrap());
    assert!(Owned::ptr_eq(&Guard::to_owned(&shown), &kept));
    assert_eq!(Guard::ttl(&shown), HOUR);
    assert_eq!(Guard::age(&shown), 2 * MINUTE);
    assert_eq!(Owned::age(&kept, clock.now()), 2 * MINUTE);
}

#[test]
fn and_what_was_said_of_it_stays() {
    let (clock, settings) = manual(MINUTE);
    let map = settings.build_keyed::<u32>();
    map.set(1, 1);
    clock.advance(2 * MINUTE);
    let create = |creating: dogpile::Creating<'_, u32>| {
        let (_, created) = creating.complete(Created::new(2).superseded());
        assert!(!created.is_kept());
        Ok::<_, ()>(created)
    };
    let made = map.get_or_try_create_with(&1, create).unwrap();
    assert_eq!((*made, made.origin()), (2, Origin::Superseded));
    let create = |creating: dogpile::Creating<'_, u32>| {
        let held = Created::new(3).age(2 * MINUTE).hold(SECOND);
        assert!(held.is_kept());
        Ok::<_, ()>(creating.complete(held).1)
    };
    assert_eq!(*map.get_or_try_create_with(&1, create).unwrap(), 3);
    let served = map.get_or_create(&1, || unreachable!("nobody creates yet"));
    assert_eq!((*served, served.origin()), (3, Origin::Stale));
    assert!(!map.complete(1, Created::new(4).keep(false)).1.is_kept());
    assert_eq!(*map.peek(&1).unwrap(), 3);
}

#[test]
fn by_its_own_times() {
    let (clock, settings) = manual(MINUTE);
    let settings = settings.stale_while_revalidate(MINUTE).stale_if_error(HOUR);
    let map = settings.build_keyed::<u32>();
    let (value, created) = map.complete(1, Created::new(7));
    assert!(map.is_empty());
    let mut seen = Vec::new();
    for span in [MINUTE, NANO, MINUTE, HOUR - MINUTE] {
        clock.advance(span);
        seen.push((
            map.freshness_of(&value).0,
            Owned::stands_in(&value, map.now()),
        ));
    }
    let expected = [
        (Freshness::Fresh, true),
        (Freshness::Stale, true),
        (Freshness::Fallback, true),
        (Freshness::Gone, false),
    ];
    assert_eq!(seen, expected);
    // Set later, it is no younger.
    map.set_with(1, created);
    assert_eq!(map.peek(&1).map(|value| *value), None);
}

/// What was completed may be given another time to live yet.
#[test]
fn unless_it_is_told_otherwise() {
    let (clock, settings) = manual(MINUTE);
    let map = settings.build_keyed::<u32>();
    let (_, created) = map.complete(1, Created::new(7));
    clock.advance(2 * MINUTE);
    map.set_with(1, created.ttl(HOUR));
    assert!(map.is_fresh(&1));
}
