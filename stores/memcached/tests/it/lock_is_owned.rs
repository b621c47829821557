//! `lock_is_owned`, where numbers have no order.
//!
//! ```breakages
//! memcached-lets-a-lease-end-for-others-as-early-as-for-its-holder | stores/memcached/src/verbs.rs | a_lease_ends
//! - ask.lease.saturating_add(APART)
//! + ask.lease
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::ManualClock;
use dogpile_fleet::{Grant, LeaseLock, Owner, Store, Version};
use dogpile_memcached::{MemcachedStore, TokioMemcachedStore};

use crate::bench::{SECOND, connect, manual_clock, runtime};
use crate::server::Server;

fn lock(server: &Server, clock: &Arc<ManualClock>) -> LeaseLock<MemcachedStore> {
    let store = MemcachedStore::builder([server.address()]).clock(clock.clone());
    let store = Arc::new(store.connect().unwrap());
    LeaseLock::new(store, "lock").clock(clock.clone())
}

#[test]
fn only_its_holder_releases_it() {
    let Some(server) = Server::unix() else { return };
    let clock = manual_clock();
    let (here, there) = (lock(&server, &clock), lock(&server, &clock));
    let first = here.lock().unwrap();
    assert!(there.try_lock().unwrap().is_none());
    clock.advance(SECOND * 12);
    assert!(first.is_lost(), "it can know it");
    let second = there.lock().unwrap();
    assert!(!first.release().unwrap(), "it is told");
    assert!(
        here.try_lock().unwrap().is_none(),
        "and it took nothing from the next"
    );
    // A stranger who has seen the number.
    let store = connect(&server);
    for fence in 0..3 {
        let owner = Owner::draw();
        let fence = Version(fence);
        let stranger = Grant { owner, fence };
        assert!(
            !store
                .release(there.key(), stranger, Duration::ZERO)
                .unwrap()
        );
    }
    assert!(second.release().unwrap());
    assert!(here.try_lock().unwrap().is_some());
}

#[test]
fn there_is_no_fence_since_numbers_have_no_order() {
    let Some(server) = Server::unix() else { return };
    let lock = LeaseLock::new(connect(&server), "lock");
    assert_eq!(lock.lock().unwrap().fence(), None);
    runtime().block_on(async {
        let store = TokioMemcachedStore::connect([server.address()])
            .await
            .unwrap();
        let lock = LeaseLock::new(Arc::new(store), "lock");
        assert_eq!(lock.lock_async().await.unwrap().fence(), None);
    });
}

#[test]
fn nobody_passes_because_a_lease_ended_each_asks_again() {
    let Some(server) = Server::unix() else { return };
    let clock = manual_clock();
    let hung = lock(&server, &clock).lock().unwrap();
    let (inside, most, done) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let locks: Vec<_> = (0..8).map(|_| lock(&server, &clock)).collect();
    thread::scope(|threads| {
        for lock in &locks {
            threads.spawn(|| {
                let held = lock.lock().unwrap();
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                assert!(held.release().unwrap());
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        assert_eq!(done.load(Ordering::SeqCst), 0);
        clock.advance(SECOND * 12);
    });
    assert_eq!((most.into_inner(), done.into_inner()), (1, 8));
    assert!(!hung.release().unwrap(), "it is told");
}

#[test]
fn a_task_that_is_dropped_while_it_asks_leaves_no_lease() {
    let Some(server) = Server::unix() else { return };
    runtime().block_on(async {
        let store = TokioMemcachedStore::connect([server.address()])
            .await
            .unwrap();
        let store = Arc::new(store);
        let of_threads = LeaseLock::new(connect(&server), "lock");
        // It is left while the request is on its way to a server that does not answer yet.
        let lock = LeaseLock::new(Arc::clone(&store), "lock");
        let mut asks = Box::pin(lock.lock_async());
        server.stop();
        assert!(!polled(asks.as_mut()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(asks);
        server.go_on();
        // The lease would last longer than this waits.
        let begun = Instant::now();
        while server.items() == 0 {
            assert!(begun.elapsed() < SECOND * 5, "the request arrives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let locked = of_threads.lock_for(SECOND * 5).unwrap();
        assert!(locked.release().unwrap());
        // It is left at each of its steps, and each time the lock is free again soon.
        for polls in 0..8 {
            let lock = LeaseLock::new(Arc::clone(&store), "lock");
            let mut asks = Box::pin(lock.lock_async());
            for _ in 0..polls {
                if polled(asks.as_mut()).await {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            drop(asks);
            let locked = of_threads.lock_for(SECOND * 5).unwrap();
            assert!(locked.release().unwrap());
        }
    });
}

/// Polls once. Whether it is done; then its guard is dropped.
async fn polled<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// Two processes have the time of the server to half a second each.
#[test]
fn a_lease_ends_for_others_a_second_after_it_ends_for_its_holder() {
    let Some(server) = Server::unix() else {
        return;
    };
    let clock = manual_clock();
    let (here, there) = (lock(&server, &clock), lock(&server, &clock));
    let held = here.lock().unwrap();
    clock.advance(SECOND * 10);
    assert!(held.is_lost());
    assert!(there.try_lock().unwrap().is_none());
    clock.advance(SECOND);
    assert!(there.try_lock().unwrap().is_some());
}

/// A server without an item of it: it was emptied, or has evicted it.
#[test]
fn a_holder_whose_record_is_gone_is_told() {
    let Some(server) = Server::unix() else { return };
    let lock = LeaseLock::new(connect(&server), "lock");
    let held = lock.lock().unwrap();
    server.flush();
    let next = lock.lock().unwrap();
    assert!(!held.release().unwrap());
    assert!(next.release().unwrap());
}
