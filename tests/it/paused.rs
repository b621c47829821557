//! `monotonic`: the clock can be injected, also that of a tokio runtime whose time a test pauses and
//! moves.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use dogpile::executor::Tokio;
use dogpile::{Attempt, Clock, Dogpile, Error, Guard, Origin};
use tokio::time::{Instant, advance, pause, sleep};

use crate::support::{HOUR, MINUTE, NANO, SECOND, Shows, within};

/// Runs a test in a runtime whose time stands still.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

#[test]
fn values_age_by_it() {
    paused(|| async {
        let pile = Dogpile::builder(HOUR).clock_static(&Tokio).build();
        pile.set(1);
        advance(HOUR).await;
        assert!(pile.is_fresh());
        assert_eq!(pile.age(), Some(HOUR));
        advance(NANO).await;
        assert!(!pile.is_fresh());
        let guard = pile.get_or_create_async(async || 2).await;
        assert_eq!((*guard, guard.origin()), (2, Origin::CreatedHere));
        assert!(pile.is_fresh());
    });
}

/// Each test has a runtime of its own, and the piles of a program one clock.
#[test]
fn a_runtime_that_comes_later_has_its_own() {
    static PILE: Dogpile<u32> = Dogpile::builder(HOUR).clock_static(&Tokio).build();
    for _ in 0..3 {
        paused(|| async {
            PILE.set(1);
            assert!(PILE.is_fresh());
            advance(2 * HOUR).await;
            assert!(!PILE.is_fresh());
            PILE.set(2);
            advance(MINUTE).await;
            assert_eq!(PILE.age(), Some(MINUTE));
        });
    }
}

/// The time that a creator takes is the runtime's as well.
#[test]
fn a_creation_takes_its_time_by_it() {
    paused(|| async {
        let pile = Arc::new(Dogpile::builder(MINUTE).clock_static(&Tokio).build());
        let begun = Instant::now();
        let create = || async {
            sleep(HOUR).await;
            Ok::<_, ()>(1)
        };
        let guard = pile
            .background(&Tokio)
            .get_or_try_create_async(create)
            .await;
        assert_eq!(Guard::age(&guard.unwrap()), std::time::Duration::ZERO);
        assert!(begun.elapsed() >= HOUR);
        assert!(pile.is_fresh());
    });
}

#[test]
fn wait_limits_go_by_it() {
    paused(|| async {
        let pile = Arc::new(Dogpile::<u32>::builder(HOUR).clock_static(&Tokio).build());
        let Attempt::Lease(lease) = pile.attempt() else {
            unreachable!("it is free")
        };
        // Nobody is left to do anything, so tokio moves the time on to the limit.
        let begun = Instant::now();
        let call = pile.call().wait(HOUR).timer(&Tokio);
        let answer = call.get_or_create_async(pending).await;
        assert!(matches!(answer, Err(Error::TimedOut { limit: HOUR, .. })));
        assert!((HOUR..HOUR + SECOND).contains(&begun.elapsed()));
        // Whose limit is not over yet gets the value.
        let waiting = async { call.wait(HOUR).wait_for_value_async().await.map(|v| *v) };
        let publishing = async {
            sleep(HOUR - SECOND).await;
            drop(lease.publish(7));
        };
        let (answer, ()) = futures::future::join(waiting, publishing).await;
        assert_eq!(answer.unwrap(), 7);
    });
}

/// By its handle, also for those who are in no runtime.
#[test]
fn a_handle_tells_it_everywhere() {
    paused(|| async {
        let runtime = tokio::runtime::Handle::current();
        let pile = Arc::new(Dogpile::builder(HOUR).clock(Arc::new(runtime)).build());
        pile.set(1);
        advance(2 * HOUR).await;
        let elsewhere = Arc::clone(&pile);
        let age = thread::spawn(move || (elsewhere.age(), Tokio.now()));
        let (age, system) = age.join().unwrap();
        assert_eq!(age, Some(2 * HOUR));
        // Outside, the other form tells the system's.
        assert!(Tokio.now() >= system.saturating_add(HOUR));
    });
}

/// Time that runs is the system's.
#[test]
fn it_runs_where_nobody_has_paused_it() {
    within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let outside = Tokio.now();
        runtime.block_on(async {
            let inside = Tokio.now();
            assert!(outside <= inside);
            pause();
            let stands = Tokio.now();
            assert!(inside <= stands && Tokio.now() == stands);
        });
        assert!(outside <= Tokio.now());
    });
}
