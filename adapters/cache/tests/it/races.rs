//! What comes in the middle of a call of the cache, by the forms for threads and by those for tasks: above
//! all, while a creator puts its value there.
//!
//! ```breakages
//! adapters-put-what-is-current-at-once | adapters/cache/src/guarded.rs
//! - (is_kept.then(|| Entry::pending(value)), created.keep(false))
//! + (is_kept.then(|| Entry::current(value)), created.keep(false))
//!
//! adapters-note-no-removal-by-a-thread | adapters/cache/src/thread.rs | threads::invalidate_wins_over_a_put
//! - self.running.change(key, Change::Removed);
//!
//! adapters-note-no-removal-by-a-task | adapters/cache/src/task.rs | tasks::invalidate_wins_over_a_put
//! - self.running.change(key, Change::Removed);
//!
//! adapters-note-no-set-by-a-thread | adapters/cache/src/thread.rs | threads::set_wins_over_a_put
//! - self.running.change(&key, Change::Set(entry.clone()));
//!
//! adapters-note-no-set-by-a-task | adapters/cache/src/task.rs | tasks::set_wins_over_a_put
//! - self.running.change(&key, Change::Set(entry.clone()));
//!
//! adapters-put-over-what-was-set | adapters/cache/src/running.rs | threads::nothing_is_put_over_a_change
//! - let is_to_put = self.visit(|creation| creation.change.is_none());
//! + let is_to_put = self.visit(|_| true);
//!
//! adapters-repair-with-what-is-current | adapters/cache/src/running.rs | threads::invalidate_wins_over_the_repair
//! - self.puts(Entry::pending(entry.value().clone()))
//! + self.puts(Entry::current(entry.value().clone()))
//!
//! adapters-repair-once | adapters/cache/src/running.rs | threads::the_last_of_several_wins
//! @ pub(crate) fn change
//! - creation.is_known = false;
//!
//! adapters-forget-what-was-there | adapters/cache/src/running.rs | threads::stale_never_blocks_during_a_put
//! @ pub(crate) fn has_previous
//! - self.visit(|creation| creation.previous = Some(entry.clone()));
//!
//! adapters-show-what-was-there-though-it-is-removed | adapters/cache/src/running.rs | threads::invalidate_wins_over_what_was_there
//! @ pub(crate) fn meanwhile
//! - Some(change) => change.entry().cloned(),
//! + Some(_) => creation.previous.clone(),
//!
//! adapters-look-once | adapters/cache/src/thread.rs | threads::no_double_regeneration
//! - asks.are_answered_by(held, &self.flights)
//! + false && asks.are_answered_by(held, &self.flights)
//!
//! adapters-lose-what-was-set-with-a-panic | adapters/cache/src/running.rs | threads::set_outlasts_a_panic_of_the_cache
//! @ impl<K: Eq, T> Drop for Begun
//! - put.make_late(ended.change.as_ref().and_then(Change::entry).cloned());
//!
//! adapters-forget-an-expiry-during-a-put | adapters/cache/src/running.rs | threads::expire_reaches_what_is_being_put
//! - put.expire();
//!
//! adapters-forget-an-expiry-of-what-was-set | adapters/cache/src/running.rs | threads::expire_reaches_what_was_set_meanwhile
//! - entry.expire();
//! ```

use std::sync::Arc;
use std::thread;

use dogpile::{Dogpile, KeyedBuilder, Origin};
use dogpile_cache::CacheDogpile;

use crate::pile::{Pile, Tasks, Threads};
use crate::support::{HOUR, MINUTE, burst, bursts, manual, until, within};
use crate::table::{At, Slow, Table};

type Make<P> = fn(&Table, KeyedBuilder<u32, u32>) -> P;

macro_rules! races {
    ($make:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                super::$name($make);
            }
        )+
    };
    ($make:expr) => {
        races!($make;
            invalidate_wins_over_a_put remove_wins_over_a_put set_wins_over_a_put
            set_wins_before_a_put_ends invalidate_wins_over_the_repair the_last_of_several_wins
            stale_never_blocks_during_a_put invalidate_wins_over_what_was_there
            invalidate_wins_over_the_look_of_a_creator no_double_regeneration
            set_outlasts_a_panic_of_the_cache expire_reaches_what_is_being_put
            expire_reaches_what_was_set_meanwhile one_creator_during_an_eviction
            a_waiter_outlasts_an_eviction one_creator_during_a_put
            the_cache_may_call_back_from_a_put nothing_is_put_over_a_change);
    };
}

mod threads {
    use super::*;

    races!(|table, settings| Threads(CacheDogpile::new(table.clone(), settings)));
}

mod tasks {
    use super::*;

    races!(|table, settings| Tasks(CacheDogpile::new(Slow(table.clone()), settings)));
}

/// The forms for tasks, over a cache for threads.
mod tasks_over_threads {
    use super::*;

    races!(|table, settings| Tasks(CacheDogpile::new(table.clone(), settings)));
}

fn new<P: Pile>(make: Make<P>) -> (Table, Arc<P>) {
    let table = Table::default();
    let pile = Arc::new(make(&table, Dogpile::builder(MINUTE).keyed()));
    (table, pile)
}

/// Of a value that is stale for an hour.
fn stale<P: Pile>(make: Make<P>) -> (Table, Arc<P>) {
    let (clock, settings) = manual(MINUTE);
    let settings = settings.stale_while_revalidate(HOUR);
    let table = Table::default();
    let pile = Arc::new(make(&table, settings.keyed()));
    pile.set(1);
    clock.advance(2 * MINUTE);
    (table, pile)
}

/// In a thread of its own: not inside the creator.
fn elsewhere<P: Pile, R: Send + 'static>(
    pile: &Arc<P>,
    body: impl FnOnce(&Arc<P>) -> R + Send + 'static,
) -> R {
    let pile = Arc::clone(pile);
    thread::spawn(move || body(&pile)).join().unwrap()
}

fn on<P: Pile>(table: &Table, at: At, pile: &Arc<P>, body: impl FnOnce(&Arc<P>) + Send + 'static) {
    let pile = Arc::clone(pile);
    table.on(at, move || elsewhere(&pile, body));
}

fn invalidate_wins_over_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.invalidate());
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.peek(), None);
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

fn remove_wins_over_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = stale(make);
        on(&table, At::BeforePut, &pile, |pile| {
            assert_eq!(pile.remove(), Some(1));
        });
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.peek(), None);
    });
}

fn set_wins_over_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.set(2));
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

/// What the creator has put stands in the place of what was set, and is not settled.
fn set_wins_before_a_put_ends<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.set(2));
        // The put within the set.
        on(&table, At::BeforePut, &pile, |_| ());
        on(&table, At::AfterPut, &pile, |_| ());
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        });
        // The repair.
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        });
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

/// The creator is told of a `set`, and puts it once more: an `invalidate` comes before that lands.
fn invalidate_wins_over_the_repair<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.set(2));
        on(&table, At::BeforePut, &pile, |_| ());
        on(&table, At::BeforePut, &pile, |pile| pile.invalidate());
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.peek(), None);
        });
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.peek(), None);
        assert_eq!(pile.call(|| 3).unwrap(), (3, Origin::CreatedHere));
    });
}

fn the_last_of_several_wins<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.set(2));
        on(&table, At::BeforePut, &pile, |_| ());
        on(&table, At::BeforePut, &pile, |pile| pile.set(3));
        on(&table, At::BeforePut, &pile, |_| ());
        on(&table, At::AfterPut, &pile, |_| ());
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.call(|| 7).unwrap(), (3, Origin::Fresh));
        });
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (3, Origin::Fresh));
    });
}

fn stale_never_blocks_during_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = stale(make);
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.call(|| 7).unwrap(), (1, Origin::Stale));
            assert_eq!(pile.peek(), Some((1, Origin::Stale)));
        });
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

fn invalidate_wins_over_what_was_there<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = stale(make);
        on(&table, At::BeforePut, &pile, |pile| pile.invalidate());
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.peek(), None);
        });
        assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::Superseded));
        assert!(table.is_done());
        assert_eq!(pile.peek(), None);
    });
}

/// The creator has looked into the cache, and not yet noted what was there.
fn invalidate_wins_over_the_look_of_a_creator<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = stale(make);
        // The look of the call.
        on(&table, At::AfterGet, &pile, |_| ());
        on(&table, At::AfterGet, &pile, |pile| pile.invalidate());
        let seen = Arc::new(std::sync::Mutex::new(false));
        let made = pile.call(|| {
            assert_eq!(pile.peek(), None);
            *seen.lock().unwrap() = true;
            2
        });
        assert_eq!(made.unwrap(), (2, Origin::Superseded));
        assert!(table.is_done() && *seen.lock().unwrap());
        assert_eq!(pile.peek(), None);
    });
}

/// Another caller creates between a call's look and its election.
fn no_double_regeneration<P: Pile>(make: Make<P>) {
    within(move || {
        for (table, pile) in [new(make), stale(make)] {
            on(&table, At::AfterGet, &pile, |pile| {
                assert_eq!(pile.call(|| 2).unwrap(), (2, Origin::CreatedHere));
            });
            let made = pile.call(|| unreachable!("it was created"));
            assert_eq!(made.unwrap(), (2, Origin::CreatedByAnother));
            assert!(table.is_done());
        }
    });
}

fn set_outlasts_a_panic_of_the_cache<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.set(2));
        on(&table, At::AfterPut, &pile, |_| ()); // That of the set.
        table.on(At::AfterPut, || burst());
        assert!(bursts(|| pile.call(|| 1)));
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
        // Without a change the value is lost, and nobody hangs.
        pile.invalidate();
        table.on(At::AfterPut, || burst());
        assert!(bursts(|| pile.call(|| 1)));
        assert_eq!(pile.call(|| 3).unwrap(), (3, Origin::CreatedHere));
    });
}

fn expire_reaches_what_is_being_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| pile.expire());
        assert_eq!(pile.call(|| 1).unwrap().0, 1);
        assert!(table.is_done());
        assert_eq!(pile.peek(), Some((1, Origin::Stale)));
    });
}

fn expire_reaches_what_was_set_meanwhile<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        on(&table, At::BeforePut, &pile, |pile| {
            pile.set(2);
            pile.expire();
        });
        assert_eq!(pile.call(|| 1).unwrap().0, 1);
        assert_eq!(pile.peek(), Some((2, Origin::Stale)));
        // Nothing of it is in the cache just now.
        pile.invalidate();
        let evicting = table.clone();
        on(&table, At::BeforePut, &pile, move |pile| {
            pile.set(3);
            evicting.evict();
            pile.expire();
        });
        on(&table, At::AfterPut, &pile, |_| ()); // That of the set.
        on(&table, At::AfterPut, &pile, |pile| {
            assert_eq!(pile.peek(), Some((3, Origin::Stale)));
        });
        assert_eq!(pile.call(|| 1).unwrap().0, 1);
        assert!(table.is_done());
        assert_eq!(pile.peek(), Some((3, Origin::Stale)));
    });
}

fn one_creator_during_an_eviction<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = stale(make);
        let waiter = std::sync::Mutex::new(None);
        let made = pile.call(|| {
            table.evict();
            let other = Arc::clone(&pile);
            let call = move || other.call(|| unreachable!("two creators"));
            *waiter.lock().unwrap() = Some(thread::spawn(call));
            until(|| pile.waiters() == 1);
            2
        });
        assert_eq!(made.unwrap(), (2, Origin::CreatedHere));
        let waiter = waiter.into_inner().unwrap().unwrap();
        let waited = waiter.join().unwrap().unwrap();
        assert_eq!(waited, (2, Origin::CreatedByAnother));
    });
}

/// The new value is evicted at once.
fn a_waiter_outlasts_an_eviction<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        let evicting = table.clone();
        table.on(At::AfterPut, move || evicting.evict());
        let waiter = std::sync::Mutex::new(None);
        let made = pile.call(|| {
            let other = Arc::clone(&pile);
            let call = move || other.call(|| unreachable!("two creators"));
            *waiter.lock().unwrap() = Some(thread::spawn(call));
            until(|| pile.waiters() == 1);
            2
        });
        assert_eq!(made.unwrap(), (2, Origin::CreatedHere));
        let waiter = waiter.into_inner().unwrap().unwrap();
        let waited = waiter.join().unwrap().unwrap();
        assert_eq!(waited, (2, Origin::CreatedByAnother));
        assert_eq!(pile.peek(), None);
        assert!(!pile.is_creating());
    });
}

/// Who finds an entry that is not settled waits for its creator.
fn one_creator_during_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        let waiter = Arc::new(std::sync::Mutex::new(None));
        on(&table, At::AfterPut, &pile, {
            let waiter = Arc::clone(&waiter);
            move |pile| {
                assert_eq!(pile.peek(), None);
                let other = Arc::clone(pile);
                let call = move || other.call(|| unreachable!("two creators"));
                *waiter.lock().unwrap() = Some(thread::spawn(call));
                until(|| pile.waiters() == 1);
            }
        });
        assert_eq!(pile.call(|| 1).unwrap(), (1, Origin::CreatedHere));
        let waiter = waiter.lock().unwrap().take().unwrap();
        let waited = waiter.join().unwrap().unwrap();
        assert_eq!(waited, (1, Origin::CreatedByAnother));
    });
}

/// Such as a listener to evictions.
fn the_cache_may_call_back_from_a_put<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        let back = Arc::clone(&pile);
        table.on(At::AfterPut, move || {
            back.expire();
            back.invalidate();
            back.set(2);
            assert_eq!(back.peek(), Some((2, Origin::Fresh)));
            assert_eq!(back.call(|| 7).unwrap(), (2, Origin::Fresh));
        });
        assert_eq!(pile.call(|| 1).unwrap().0, 1);
        assert!(table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}

/// Of a key that was changed before the value was made.
fn nothing_is_put_over_a_change<P: Pile>(make: Make<P>) {
    within(move || {
        let (table, pile) = new(make);
        let made = pile.call(|| {
            elsewhere(&pile, |pile| pile.set(2));
            table.on(At::BeforePut, || unreachable!("it is put"));
            1
        });
        assert_eq!(made.unwrap(), (1, Origin::Superseded));
        assert!(!table.is_done());
        assert_eq!(pile.call(|| 7).unwrap(), (2, Origin::Fresh));
    });
}
