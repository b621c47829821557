//! What a guard promises over any cache that keeps what it is given, by the forms for threads and by those
//! for tasks.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dogpile::{Backoff, Builder, Created, Dogpile, Error, KeyedBuilder, Origin};

use crate::pile::Pile;
use crate::support::{HOUR, MINUTE, NANO, Runs, SECOND, bursts, manual, until, within};

/// The guard with these settings, over an empty cache.
pub(crate) type Make<P> = fn(KeyedBuilder<u32, u32>) -> P;

/// Each promise as a test of the module that names how a guard is made.
macro_rules! promises {
    ($make:expr) => {
        crate::promises::promises!($make;
            one_creator first_call_waits stale_never_blocks gone_is_no_answer
            error_reaches_everyone_once panic_hands_over failure_of_a_renewal stale_if_error backoff
            invalidate_wins set_wins remove_returns_what_was_there expire_keeps_serving
            expire_during_a_creation refresh_renews_what_is_fresh per_value_limits
            not_kept previous_is_told refresh_ahead reentrancy_is_an_error);
    };
    ($make:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                crate::promises::$name($make);
            }
        )+
    };
}
pub(crate) use promises;

fn new<P: Pile>(make: Make<P>, settings: Builder<u32>) -> Arc<P> {
    Arc::new(make(settings.keyed()))
}

fn an_hour() -> (Arc<dogpile::ManualClock>, Builder<u32>) {
    let (clock, settings) = manual(MINUTE);
    (clock, settings.stale_while_revalidate(HOUR))
}

/// Runs a call in a thread of its own that creates `value`, and does something while the creator runs.
fn while_creating<P: Pile>(pile: &Arc<P>, value: u32, meanwhile: impl FnOnce()) -> (u32, Origin) {
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel();
    let creator = thread::spawn({
        let pile = Arc::clone(pile);
        move || {
            pile.call(|| {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                value
            })
        }
    });
    has_begun.recv().unwrap();
    meanwhile();
    end.send(()).unwrap();
    creator.join().unwrap().unwrap()
}

/// A call in a thread that waits, which is what it does when this returns.
fn waiting<P: Pile>(pile: &Arc<P>, value: u32) -> thread::JoinHandle<crate::pile::Answer> {
    let others = pile.waiters();
    let waiter = thread::spawn({
        let pile = Arc::clone(pile);
        move || pile.call(|| value)
    });
    until(|| pile.waiters() > others);
    waiter
}

fn idle<P: Pile>(pile: &Arc<P>) {
    assert!(!pile.is_creating());
    assert_eq!(pile.waiters(), 0);
}

pub(crate) fn one_creator<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let runs = Arc::new(Runs::default());
        for round in 1..20 {
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
                    thread::spawn(move || pile.call(|| runs.run(|| runs.count() as u32)))
                })
                .collect();
            for caller in callers {
                assert_eq!(caller.join().unwrap().unwrap().0, round);
            }
            pile.invalidate();
            idle(&pile);
        }
        assert_eq!(runs.count(), 19);
    });
}

pub(crate) fn first_call_waits<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let mut waiters = Vec::new();
        let made = while_creating(&pile, 1, || {
            waiters = (2..6).map(|value| waiting(&pile, value)).collect();
        });
        assert_eq!(made, (1, Origin::CreatedHere));
        for waiter in waiters {
            assert_eq!(
                waiter.join().unwrap().unwrap(),
                (1, Origin::CreatedByAnother)
            );
        }
        assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Fresh));
        idle(&pile);
    });
}

pub(crate) fn stale_never_blocks<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        pile.set(1);
        clock.advance(MINUTE);
        assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Fresh));
        clock.advance(NANO);
        let made = while_creating(&pile, 2, || {
            for _ in 0..3 {
                assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Stale));
                assert_eq!(pile.peek(), Some((1, Origin::Stale)));
            }
        });
        assert_eq!(made, (2, Origin::CreatedHere));
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        idle(&pile);
    });
}

pub(crate) fn gone_is_no_answer<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        pile.set(1);
        clock.advance(MINUTE + HOUR + NANO);
        assert_eq!(pile.peek(), None);
        assert_eq!(pile.remove(), None);
        pile.set(1);
        clock.advance(MINUTE + HOUR + NANO);
        let mut waiter = None;
        while_creating(&pile, 2, || waiter = Some(waiting(&pile, 3)));
        let waited = waiter.unwrap().join().unwrap().unwrap();
        assert_eq!(waited, (2, Origin::CreatedByAnother));
    });
}

pub(crate) fn error_reaches_everyone_once<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let waiters = Mutex::new(Vec::new());
        let failed = pile.try_call(|| {
            *waiters.lock().unwrap() = (0..4).map(|_| waiting(&pile, 7)).collect();
            Err("down")
        });
        assert_eq!(failed.unwrap_err().created(), Some(&"down"));
        for waiter in waiters.into_inner().unwrap() {
            let failed = waiter.join().unwrap().unwrap_err();
            assert_eq!(failed.created(), Some(&"down"));
        }
        idle(&pile);
        assert_eq!(pile.peek(), None);
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
    });
}

pub(crate) fn panic_hands_over<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let waiter = Mutex::new(None);
        assert!(bursts(|| pile.call(|| {
            *waiter.lock().unwrap() = Some(waiting(&pile, 7));
            crate::support::burst()
        })));
        let waiter = waiter.into_inner().unwrap().unwrap();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Panicked(_))));
        idle(&pile);
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
    });
}

/// The elected caller is told, the others go on; what there was stays.
pub(crate) fn failure_of_a_renewal<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        pile.set(1);
        clock.advance(2 * MINUTE);
        let failed = pile.try_call(|| {
            thread::scope(|threads| {
                let other = threads.spawn(|| pile.call(|| 7));
                assert_eq!(other.join().unwrap().unwrap(), (1, Origin::Stale));
            });
            Err("down")
        });
        assert_eq!(failed.unwrap_err().created(), Some(&"down"));
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        idle(&pile);
    });
}

pub(crate) fn stale_if_error<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = manual(MINUTE);
        let settings = settings.stale_while_revalidate(Duration::ZERO);
        let pile = new(make, settings.stale_if_error(HOUR));
        pile.set(1);
        clock.advance(2 * MINUTE);
        assert_eq!(pile.peek(), None);
        let failed = pile.try_call(|| Err("down")).unwrap();
        assert_eq!(failed, (1, Origin::Fallback));
        assert!(pile.refresh(|| Err("down")).is_err());
        clock.advance(HOUR);
        assert!(pile.try_call(|| Err("down")).is_err());
    });
}

pub(crate) fn backoff<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings.backoff(Backoff::constant(SECOND)));
        pile.set(1);
        clock.advance(2 * MINUTE);
        assert!(pile.try_call(|| Err("down")).is_err());
        assert_eq!(pile.call(|| 2).unwrap(), (1, Origin::Stale));
        clock.advance(SECOND);
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
        // What is expired by hand may be renewed at once.
        clock.advance(2 * MINUTE);
        assert!(pile.try_call(|| Err("down")).is_err());
        pile.expire();
        assert_eq!(pile.call(|| 3).unwrap(), (3, Origin::CreatedHere));
    });
}

pub(crate) fn invalidate_wins<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let (mut early, mut late) = (None, None);
        let made = while_creating(&pile, 1, || {
            early = Some(waiting(&pile, 7));
            pile.invalidate();
            late = Some(waiting(&pile, 2));
        });
        assert_eq!(made, (1, Origin::Superseded));
        // Its call began before.
        let early = early.unwrap().join().unwrap().unwrap();
        assert_eq!(early, (1, Origin::Superseded));
        let late = late.unwrap().join().unwrap().unwrap();
        assert_eq!(late, (2, Origin::CreatedHere));
        assert_eq!(pile.peek(), Some((2, Origin::Fresh)));
        idle(&pile);
    });
}

pub(crate) fn set_wins<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        let mut waiter = None;
        let made = while_creating(&pile, 1, || {
            waiter = Some(waiting(&pile, 7));
            pile.set(2);
            let waited = waiter.take().unwrap().join().unwrap().unwrap();
            assert_eq!(waited, (2, Origin::CreatedByAnother));
            assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        });
        assert_eq!(made, (1, Origin::Superseded));
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        idle(&pile);
    });
}

pub(crate) fn remove_returns_what_was_there<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        assert_eq!(pile.remove(), None);
        pile.set(1);
        assert_eq!(pile.remove(), Some(1));
        assert_eq!(pile.peek(), None);
        while_creating(&pile, 1, || assert_eq!(pile.remove(), None));
        assert_eq!(pile.peek(), None);
    });
}

pub(crate) fn expire_keeps_serving<P: Pile>(make: Make<P>) {
    within(move || {
        let (_clock, settings) = an_hour();
        let pile = new(make, settings);
        pile.expire();
        pile.set(1);
        pile.expire();
        pile.expire();
        while_creating(&pile, 2, || {
            assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Stale));
        });
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

/// It is published, already stale.
pub(crate) fn expire_during_a_creation<P: Pile>(make: Make<P>) {
    within(move || {
        let (_clock, settings) = an_hour();
        let pile = new(make, settings);
        while_creating(&pile, 1, || pile.expire());
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        // One that was set after it is fresh.
        while_creating(&pile, 2, || {
            pile.expire();
            pile.set(3);
        });
        assert_eq!(pile.peek(), Some((3, Origin::Fresh)));
    });
}

pub(crate) fn refresh_renews_what_is_fresh<P: Pile>(make: Make<P>) {
    within(move || {
        let pile = new(make, Dogpile::builder(MINUTE));
        pile.set(1);
        assert_eq!(pile.refresh(|| Ok(2)).unwrap(), (2, Origin::CreatedHere));
        assert!(pile.refresh(|| Err("down")).is_err());
        assert_eq!(pile.peek(), Some((2, Origin::Fresh)));
    });
}

pub(crate) fn per_value_limits<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        let created = Created::new(1).ttl(SECOND).age(SECOND / 2);
        let created = created.stale_while_revalidate(SECOND);
        assert!(pile.call_with(|_| Ok(created)).is_ok());
        clock.advance(SECOND / 2);
        assert_eq!(pile.peek(), Some((1, Origin::Fresh)));
        clock.advance(SECOND);
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        clock.advance(NANO);
        assert_eq!(pile.peek(), None);
    });
}

/// What is not to be kept goes to who asked, and leaves the cache as it was.
pub(crate) fn not_kept<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        pile.set(1);
        clock.advance(2 * MINUTE);
        let made = pile.call_with(|_| Ok(Created::new(2).keep(false)));
        assert_eq!(made.unwrap().0, 2);
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        let made = pile.call_with(|_| Ok(Created::new(3).superseded()));
        assert_eq!(made.unwrap(), (3, Origin::Superseded));
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        // Nobody creates while the value is held.
        let hold = |_: Option<u32>| Ok(Created::new(4).age(2 * MINUTE).hold(SECOND));
        assert_eq!(pile.call_with(hold).unwrap().0, 4);
        assert_eq!(pile.call(|| 7).unwrap(), (4, Origin::Stale));
        clock.advance(SECOND);
        assert_eq!(pile.call(|| 5).unwrap().0, 5);
    });
}

pub(crate) fn previous_is_told<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        let next = |previous: Option<u32>| Ok(Created::new(previous.map_or(1, |it| it + 1)));
        assert_eq!(pile.call_with(next).unwrap().0, 1);
        clock.advance(2 * MINUTE);
        assert_eq!(pile.call_with(next).unwrap().0, 2);
    });
}

/// While the value is fresh: one renews, the others are served, and a failure harms nobody.
pub(crate) fn refresh_ahead<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let ahead = dogpile::RefreshAhead::percent(80);
        let pile = new(make, settings.refresh_ahead(ahead));
        pile.set(1);
        clock.advance(MINUTE * 9 / 10);
        assert_eq!(pile.try_call(|| Err("down")).unwrap(), (1, Origin::Fresh));
        while_creating(&pile, 2, || {
            assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Fresh));
        });
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

pub(crate) fn reentrancy_is_an_error<P: Pile>(make: Make<P>) {
    within(move || {
        let (clock, settings) = an_hour();
        let pile = new(make, settings);
        let inside = pile.call_with(|_| {
            assert!(matches!(pile.call(|| 7), Err(Error::Reentrant)));
            Ok(Created::new(1))
        });
        assert_eq!(inside.unwrap().0, 1);
        clock.advance(2 * MINUTE);
        pile.call(|| {
            assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Stale));
            2
        })
        .unwrap();
    });
}
