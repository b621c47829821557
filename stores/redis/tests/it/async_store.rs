//! What tasks are promised besides.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use dogpile_fleet::{
    Ask, AsyncStore, FleetDogpile, Found, Grant, Key, Owner, Store, StoreErrorKind,
};
use dogpile_redis::{AsyncRedisStore, Settings};
use store_bench::{MINUTE, SECOND, lead};

use crate::server::{Server, server, wait_until};

fn key() -> Key {
    Key::new("tasks", "key", 0)
}

fn store(server: &Server) -> AsyncRedisStore {
    AsyncRedisStore::with_client(server.client(), Settings::new()).expect("a store")
}

/// Waits for something that another task of this thread does.
async fn awaits(mut done: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it never comes");
}

/// Waits until the lease is given back, which takes a minute if nobody does.
fn is_given_back(server: &Server, key: &Key) {
    let look = server.store();
    wait_until(|| matches!(look.get_or_lease(key, &Ask::peek()), Ok(Found::Idle { .. })));
}

#[tokio::test]
async fn a_dropped_ask_gives_its_lease_back() {
    let server = server!();
    let store = store(&server);
    let ask = || Ask::lead(Owner::draw(), MINUTE);
    // Dropped before the request is sent, and when the answer is there already.
    for (name, answered) in [("sent", false), ("answered", true)] {
        let (key, ask) = (Key::new("tasks", name, 0), ask());
        let look = server.store();
        let is_led = || {
            matches!(
                look.get_or_lease(&key, &Ask::peek()),
                Ok(Found::Busy { .. })
            )
        };
        {
            let mut asking = pin!(store.get_or_lease(&key, &ask));
            let polled = (asking.as_mut()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            // The task that asks runs only while this one awaits.
            awaits(|| !answered || is_led()).await;
        }
        // It was granted: there is a record. And it is not led.
        let records = || server.say::<Vec<String>>(&["KEYS", &format!("*{name}*")]);
        awaits(|| !records().is_empty() && !is_led()).await;
    }
    // One that was never polled was never sent.
    drop(store.get_or_lease(&key(), &ask()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_for_many_gives_all_leases_back() {
    let server = server!();
    let store = store(&server);
    let keys: Vec<_> = (0..250u8)
        .map(|number| Key::new("tasks", [number], 0))
        .collect();
    let asks: Vec<_> = keys
        .iter()
        .map(|key| (key.clone(), Ask::lead(Owner::draw(), MINUTE)))
        .collect();
    {
        let mut asking = pin!(store.get_or_lease_many(&asks));
        let polled = asking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        // The last one of the last batch.
        let look = server.store();
        wait_until(|| {
            matches!(
                look.get_or_lease(&keys[249], &Ask::peek()),
                Ok(Found::Busy { .. })
            )
        });
    }
    for key in &keys {
        is_given_back(&server, key);
    }
    // Those that somebody takes are kept.
    for answer in store.get_or_lease_many(&asks).await {
        assert!(matches!(answer, Ok(Found::Leased { .. })), "{answer:?}");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for (key, ask) in &asks {
        let again = store.get_or_lease(key, ask).await;
        assert!(matches!(again, Ok(Found::Leased { .. })), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_released_soon() {
    let server = server!();
    let grant: Grant = lead(&*server.store(), &key(), MINUTE);
    store(&server).release_soon(&key(), grant, Duration::ZERO);
    is_given_back(&server, &key());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tasks_one_creates_and_it_costs_two_round_trips() {
    let server = server!();
    let pile = FleetDogpile::<String, _>::builder(Arc::new(store(&server)), "key", MINUTE).build();
    let pile = Arc::new(pile);
    let created = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (pile, created) = (Arc::clone(&pile), Arc::clone(&created));
            tokio::spawn(async move {
                let made = pile.get_or_try_create_async(|_| async {
                    created.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, std::io::Error>("made".to_owned())
                });
                assert_eq!(*made.await.expect("a value"), "made");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(created.load(Ordering::SeqCst), 1);
    assert_eq!(pile.stats().verbs, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_gives_up_and_the_next_one_leads() {
    let server = server!();
    let pile = FleetDogpile::<String, _>::builder(Arc::new(store(&server)), "key", MINUTE).build();
    let limit = tokio::time::timeout(
        Duration::from_millis(100),
        pile.get_or_try_create_async(|_| std::future::pending::<Result<String, String>>()),
    );
    assert!(limit.await.is_err());
    let made = pile.get_or_try_create_async(|_| async { Ok::<_, String>("next".to_owned()) });
    assert_eq!(*made.await.expect("a value"), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_killed_and_back() {
    let mut server = server!();
    let settings = Settings::new().timeout(SECOND / 2);
    let store = AsyncRedisStore::with_client(server.client(), settings).unwrap();
    let (key, ask) = (key(), Ask::peek());
    let look = || store.get_or_lease(&key, &ask);
    assert!(look().await.is_ok());
    let unavailable = |answer: Result<Found, dogpile_fleet::StoreError>| {
        assert_eq!(answer.unwrap_err().kind, StoreErrorKind::Unavailable);
    };
    server.stop();
    unavailable(look().await);
    server.go_on();
    back(&look).await;
    server.kill();
    unavailable(look().await);
    server.restart();
    back(&look).await;
}

/// Asks until there is an answer.
async fn back<F: Future<Output = dogpile_fleet::Answer<Found>>>(look: &impl Fn() -> F) {
    for _ in 0..1000 {
        match look().await {
            Ok(_) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("it never comes back");
}
