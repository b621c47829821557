//! As `callers`, but most of them tasks, which are dropped after some polls; and creations in
//! the background, which are not. `cancel_is_safe` and `given_up_is_free`, whatever happens.
//!
//! ```breakages
//! creating-task-waits-for-itself | src/reentrancy.rs
//!   poll_fn(|cx| {
//! - let _inside = Inside::enter_poll(creation, watch);
//! ```

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dogpile::executor::Thread;
use dogpile::{Attempt, Clock, Outcome};
use loom_tests::future::{block_on, yield_now};
use loom_tests::{Value, draw, large_model, thread};

use super::callers::World;

const LIMIT: Duration = Duration::from_secs(1);

/// Runs a future to its end, or drops it after some polls.
fn run<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = draw(5);
    block_on(poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 1 => Poll::Ready(None),
        Poll::Pending => {
            // From zero on it has no end.
            polls = polls.saturating_sub(1);
            Poll::Pending
        }
    }))
}

async fn create(world: &World) -> Value {
    let creation = world.witness.begin();
    for _ in 0..draw(3) {
        yield_now().await;
    }
    world.work();
    creation.value()
}

async fn fail(world: &World) -> Result<Value, usize> {
    let creation = world.witness.begin();
    yield_now().await;
    Err(creation.number())
}

/// A task of any kind.
fn task(world: &Arc<World>) {
    let pile = &world.pile;
    let call = world.witness.call();
    match draw(6) {
        0 | 1 => {
            if let Some(guard) = run(pile.get_or_create_async(|| create(world))) {
                world.check(&call, &guard);
            }
        }
        2 => {
            if let Some(answer) = run(pile.get_or_try_create_async(|| fail(world))) {
                world.check_answer(&call, answer);
            }
        }
        3 => {
            let over = world.clock.now().saturating_add(LIMIT);
            let limited = pile.call().wait(LIMIT);
            match run(limited.get_or_create_async(|| create(world))) {
                Some(Ok(guard)) => world.check(&call, &guard),
                Some(Err(error)) => {
                    assert!(error.is_timed_out());
                    assert!(world.clock.now() >= over, "too soon");
                }
                None => {}
            }
        }
        4 => {
            let background = Arc::clone(world);
            let calls = pile.background(&Thread);
            let create = move || async move { create(&background).await };
            if let Some(answer) = run(calls.get_or_create_async(create)) {
                world.check(&call, &answer.unwrap());
            }
        }
        _ => {
            if let Attempt::Busy(busy) = pile.attempt()
                && let Some(Outcome::Value(guard)) = run(busy.into_future())
            {
                world.check(&call, &guard);
            }
        }
    }
}

#[test]
fn whatever_they_do() {
    large_model(|| {
        let world = World::new();
        let threads: Vec<_> = (0..3 + draw(6))
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    for _ in 0..1 + draw(3) {
                        match draw(4) {
                            0 => world.meddle(),
                            1 => world.call(),
                            _ => task(&world),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..draw(4) {
            world.clock.advance(LIMIT);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        // Creations in the background go on.
        drop(world.pile.get_or_create(|| world.witness.begin().value()));
        while Arc::strong_count(&world) > 1 || Arc::strong_count(&world.pile) > 1 {
            thread::yield_now();
        }
        world.end();
    });
}
