//! Tasks that are dropped, at each await point there is.
//!
//! ```breakages
//! adapters-keep-the-note-of-a-cancelled-creation | adapters/cache/src/running.rs
//! @ impl<K: Eq, T> Drop for Begun
//! - Ok(found) => Some(found.remove().0),
//! + Ok(found) => (found, None).1,
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dogpile::{Dogpile, Origin};
use dogpile_cache::{CacheDogpile, CacheGuard};

use crate::pile::block_on;
use crate::support::{MINUTE, within};
use crate::table::{At, Slow, Table};

type Pile = CacheDogpile<u32, u32, Slow>;

fn new() -> (Table, Arc<Pile>) {
    let table = Table::default();
    let pile = CacheDogpile::new(Slow(table.clone()), Dogpile::builder(MINUTE).keyed());
    (table, Arc::new(pile))
}

/// Polls so many times, and then drops. Says whether it came to its end.
fn polled(future: impl Future, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut cx).is_ready())
}

fn creates(pile: &Pile, value: u32) -> impl Future<Output = (u32, Origin)> {
    let call = pile.get_or_try_create_async(&1, move || async move { Ok::<_, &str>(value) });
    async {
        let guard = call.await.unwrap();
        (*guard, CacheGuard::origin(&guard))
    }
}

/// Drops the calls of `scene` after one poll, after two, and so on, until one comes to its end.
fn at_each_point(scene: impl Fn(usize) -> bool) {
    let points = (0..100).take_while(|polls| !scene(*polls)).count();
    assert!((2..100).contains(&points), "{points} points");
}

#[test]
fn a_creator_hands_over() {
    within(|| {
        at_each_point(|polls| {
            let (_table, pile) = new();
            let ended = polled(creates(&pile, 1), polls);
            assert!(!pile.is_creating(&1));
            assert!(format!("{pile:?}").contains("creations: 0"));
            let (value, origin) = block_on(creates(&pile, 2));
            match ended {
                true => assert_eq!((value, origin), (1, Origin::Fresh)),
                // Its value may have been put there already, and made current.
                false => assert!(value == 2 || origin == Origin::Fresh),
            }
            assert_eq!(*block_on(pile.peek_async(&1)).unwrap(), value);
            ended
        });
    });
}

#[test]
fn a_waiter_is_served_by_the_next() {
    within(|| {
        let (_table, pile) = new();
        let forever = std::future::pending::<Result<u32, &str>>;
        let mut creator = Box::pin(pile.get_or_try_create_async(&1, forever));
        let mut waiter = Box::pin(creates(&pile, 2));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..8 {
            assert!(creator.as_mut().poll(&mut cx).is_pending());
        }
        for _ in 0..8 {
            assert!(waiter.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(pile.waiters(&1), 1);
        drop(creator);
        assert_eq!(block_on(waiter), (2, Origin::CreatedHere));
    });
}

/// The value was set while the creator put its own.
#[test]
fn a_creator_loses_nothing_that_was_set() {
    within(|| {
        at_each_point(|polls| {
            let (table, pile) = new();
            let other = Arc::clone(&pile);
            table.on(At::BeforePut, move || block_on(other.set_async(1, 2)));
            let ended = polled(creates(&pile, 1), polls);
            if table.is_done() {
                assert_eq!(block_on(creates(&pile, 7)), (2, Origin::Fresh));
            }
            ended
        });
    });
}

#[test]
fn a_creator_brings_nothing_back_that_was_removed() {
    within(|| {
        at_each_point(|polls| {
            let (table, pile) = new();
            let other = Arc::clone(&pile);
            table.on(At::BeforePut, move || block_on(other.invalidate_async(&1)));
            let ended = polled(creates(&pile, 1), polls);
            if table.is_done() {
                assert_eq!(block_on(creates(&pile, 2)), (2, Origin::CreatedHere));
            }
            ended
        });
    });
}

/// It has set the value, or removed the one before, or neither.
#[test]
fn a_set_leaves_a_key_that_works() {
    within(|| {
        at_each_point(|polls| {
            let (_table, pile) = new();
            block_on(pile.set_async(1, 1));
            let ended = polled(pile.set_async(1, 2), polls);
            let (value, _) = block_on(creates(&pile, 3));
            assert!(if ended {
                value == 2
            } else {
                value == 1 || value == 2
            });
            ended
        });
    });
}

/// A future of the guard runs in any task.
#[test]
fn futures_are_send() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let (_table, pile) = new();
    let call = is_send(async {
        *pile
            .get_or_try_create_async(&1, async || Ok::<_, &str>(1))
            .await
            .unwrap()
    });
    assert_eq!(block_on(call), 1);
    block_on(is_send(
        pile.refresh_async(&1, async || Err::<u32, _>("down")),
    ))
    .unwrap_err();
    block_on(is_send(pile.set_async(1, 1)));
    block_on(is_send(pile.expire_async(&1)));
    block_on(is_send(pile.invalidate_async(&1)));
    assert!(block_on(is_send(pile.remove_async(&1))).is_none());
    assert!(matches!(
        pin!(pile.peek_async(&1)).poll(&mut Context::from_waker(Waker::noop())),
        Poll::Pending
    ));
}
