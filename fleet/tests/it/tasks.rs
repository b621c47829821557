//! The promises, for tasks: the same machine, so here is what awaiting adds.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use dogpile::executor::Tokio;
use dogpile::{ManualClock, Origin};
use dogpile_fleet::{
    Blocking, Creation, Expected, FleetError, FleetGuard, MemoryStore, Store, Swap,
};
use tokio::sync::Notify;

use super::FleetDogpile;
use crate::bench::{Fault, Faulty, SECOND, manual_clock, wait_until};

type Tasks = FleetDogpile<String, Blocking<MemoryStore>>;

struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl Fleet {
    fn new() -> Self {
        let clock = manual_clock();
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        Self { clock, store }
    }

    fn process(&self) -> Tasks {
        let run = |work| drop(tokio::task::spawn_blocking(work));
        let store = Blocking::new(Arc::clone(&self.store), run).timer(Tokio);
        FleetDogpile::builder(Arc::new(store), "key", SECOND * 10)
            .clock(self.clock.clone())
            .build()
    }
}

async fn never(_: Creation<'_, String>) -> Result<String, String> {
    panic!("this creator is not to run")
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

#[test]
fn fleet_one_creator() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let processes: Vec<_> = (0..4).map(|_| Arc::new(fleet.process())).collect();
        let creations = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let process = Arc::clone(&processes[number % 4]);
                let creations = Arc::clone(&creations);
                tokio::spawn(async move {
                    let guard = process.get_or_try_create_async(|_| async {
                        creations.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Ok::<_, String>("value".to_owned())
                    });
                    assert_eq!(&**guard.await.unwrap(), "value");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(creations.load(Ordering::SeqCst), 1);
        let stored: u64 = processes.iter().map(|process| process.stats().stored).sum();
        assert_eq!(stored, 1);
    });
}

#[test]
fn others_go_on_with_the_old_value_and_a_late_one_is_told() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let (a, b) = (Arc::new(fleet.process()), fleet.process());
        a.set_async("old".to_owned()).await.unwrap();
        fleet.clock.advance(SECOND * 10);
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let leader = tokio::spawn({
            let (a, begun, go) = (Arc::clone(&a), Arc::clone(&begun), Arc::clone(&go));
            async move {
                let guard = a.get_or_try_create_async(|_| async move {
                    begun.notify_one();
                    go.notified().await;
                    Ok::<_, String>("late".to_owned())
                });
                let guard = guard.await.unwrap();
                (guard.to_string(), FleetGuard::origin(&guard))
            }
        });
        begun.notified().await;
        let stale = b.get_or_try_create_async(never).await.unwrap();
        assert_eq!(
            (&**stale, FleetGuard::origin(&stale)),
            ("old", Origin::Stale)
        );
        drop(stale);
        b.invalidate_async().await.unwrap();
        go.notify_one();
        assert_eq!(
            leader.await.unwrap(),
            ("late".to_owned(), Origin::Superseded)
        );
        let next = a.get_or_try_create_async(|_| async { Ok::<_, String>("next".to_owned()) });
        assert_eq!(&**next.await.unwrap(), "next");
    });
}

#[test]
fn a_lease_whose_grant_is_lost_is_asked_for_once_more() {
    let clock = manual_clock();
    let faulty = Faulty::new(MemoryStore::with_clock(clock.clone()));
    let run = |work| drop(tokio::task::spawn_blocking(work));
    let store = Arc::new(Blocking::new(Arc::clone(&faulty), run).timer(Tokio));
    let process: FleetDogpile<String, Blocking<Faulty<MemoryStore>>> =
        FleetDogpile::builder(store, "key", SECOND * 10)
            .lease(SECOND * 3600)
            .clock(clock.clone())
            .build();
    runtime().block_on(async {
        faulty.set(Fault::AnswersLost);
        let here = process.get_or_try_create_async(|_| async { Ok::<_, String>("here".into()) });
        assert_eq!(&**here.await.unwrap(), "here");
        faulty.set(Fault::None);
        clock.advance(SECOND * 11);
        // The store says that somebody leads: it is this process.
        let own = process.call().wait(Duration::ZERO);
        let there = own.get_or_try_create_async(|_| async { Ok::<_, String>("there".into()) });
        assert_eq!(&**there.await.unwrap(), "there");
        assert_eq!(process.stats().stored, 1);
    });
}

#[test]
fn a_creation_that_is_dropped_gives_both_leases_back() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let (a, b) = (fleet.process(), fleet.process());
        let begun = Notify::new();
        {
            let dropped = a.get_or_try_create_async(|_| async {
                begun.notify_one();
                std::future::pending::<Result<String, String>>().await
            });
            let mut dropped = pin!(dropped);
            tokio::select! {
                _ = &mut dropped => unreachable!("it never ends"),
                () = begun.notified() => {}
            }
        }
        let next = b.get_or_try_create_async(|_| async { Ok::<_, String>("next".to_owned()) });
        assert_eq!(&**next.await.unwrap(), "next");
        assert_eq!(&**a.get_or_try_create_async(never).await.unwrap(), "next");
        assert_eq!(a.stats().failures, 0);
    });
}

/// Dropped after each number of polls, whatever it was at.
#[test]
fn a_call_may_be_dropped_at_any_await_point() {
    for polls in 0..12 {
        let fleet = Fleet::new();
        runtime().block_on(async {
            let (a, b) = (fleet.process(), fleet.process());
            {
                let call = a.get_or_try_create_async(|_| async {
                    tokio::task::yield_now().await;
                    Ok::<_, String>("first".to_owned())
                });
                let mut call = pin!(call);
                for _ in 0..polls {
                    let mut context = Context::from_waker(Waker::noop());
                    if call.as_mut().poll(&mut context).is_ready() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            let second = async { Ok::<_, String>("second".to_owned()) };
            let value = b
                .get_or_try_create_async(|_| second)
                .await
                .unwrap()
                .to_string();
            assert_eq!(&**a.get_or_try_create_async(never).await.unwrap(), &value);
        });
    }
}

#[test]
fn a_failure_and_a_panic_hold_for_all() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let (a, b) = (Arc::new(fleet.process()), fleet.process());
        let failed = a.get_or_try_create_async(|_| async { Err::<String, _>("down".to_owned()) });
        assert_eq!(failed.await.unwrap_err().created().unwrap(), "down");
        let error = b.get_or_try_create_async(never).await.unwrap_err();
        assert_eq!(error.retry_in(), Some(Duration::from_millis(200)));
        fleet.clock.advance(SECOND);
        let panics = Arc::clone(&a);
        let panics = tokio::spawn(async move {
            let _ = panics.get_or_try_create_async(never).await;
        });
        assert!(panics.await.unwrap_err().is_panic());
        // The release is on its way.
        let quiet = || {
            let peek = dogpile_fleet::Ask::peek();
            let found = fleet.store.get_or_lease(a.key(), &peek).unwrap();
            matches!(found, dogpile_fleet::Found::Quiet { .. })
        };
        wait_until(quiet);
    });
}

#[test]
fn a_wait_limit_needs_a_timer_and_is_kept() {
    // By the clock of the system, as is the timer.
    let store = Arc::new(MemoryStore::new());
    let run = |work| drop(tokio::task::spawn_blocking(work));
    let build = || -> Tasks {
        let store = Blocking::new(Arc::clone(&store), run).timer(Tokio);
        FleetDogpile::builder(Arc::new(store), "key", SECOND * 10).build()
    };
    runtime().block_on(async {
        let (a, b) = (Arc::new(build()), build());
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let leader = tokio::spawn({
            let (a, begun, go) = (Arc::clone(&a), Arc::clone(&begun), Arc::clone(&go));
            async move {
                let guard = a.get_or_try_create_async(|_| async move {
                    begun.notify_one();
                    go.notified().await;
                    Ok::<_, String>("value".to_owned())
                });
                guard.await.unwrap().to_string()
            }
        });
        begun.notified().await;
        let limit = Duration::from_millis(30);
        for process in [&*a, &b] {
            let call = process.call().wait(limit).timer(&Tokio);
            let error = call.get_or_try_create_async(never).await.unwrap_err();
            assert!(error.is_timed_out(), "{error:?}");
        }
        let call = a.call().wait(limit);
        let error = call.get_or_try_create_async(never).await.unwrap_err();
        assert!(matches!(error, FleetError::NoTimer), "{error:?}");
        go.notify_one();
        assert_eq!(leader.await.unwrap(), "value");
    });
}

#[test]
fn a_lease_is_renewed_in_the_task_of_its_creator() {
    let store = Arc::new(MemoryStore::new());
    let run = |work| drop(tokio::task::spawn_blocking(work));
    let build = || -> Tasks {
        let store = Blocking::new(Arc::clone(&store), run).timer(Tokio);
        FleetDogpile::builder(Arc::new(store), "key", SECOND * 10)
            .lease(Duration::from_millis(900))
            .build()
    };
    runtime().block_on(async {
        let (a, b) = (build(), build());
        let slow = a.get_or_try_create_async(|creation| async move {
            tokio::time::sleep(Duration::from_millis(2_000)).await;
            assert!(!creation.is_lost());
            Ok::<_, String>("slow".to_owned())
        });
        let waits = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            b.get_or_try_create_async(never).await.unwrap().to_string()
        };
        let (slow, waits) = tokio::join!(slow, waits);
        assert_eq!(FleetGuard::origin(&slow.unwrap()), Origin::CreatedHere);
        assert_eq!(waits, "slow");
    });
}

#[test]
fn compare_and_set() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let (a, b) = (fleet.process(), fleet.process());
        let one = a
            .compare_and_set_async(Expected::Absent, "one".to_owned())
            .await
            .unwrap();
        let Swap::Stored(one) = one else { panic!() };
        let two = b
            .compare_and_set_async(Expected::Absent, "two".to_owned())
            .await
            .unwrap();
        assert_eq!(two, Swap::Conflict(Some(one)));
        b.expire_async().await.unwrap();
        let new = a
            .refresh_async(|_| async { Ok::<_, String>("new".to_owned()) })
            .await;
        assert_eq!(&**new.unwrap(), "new");
    });
}

#[test]
fn with_a_local_ttl_of_zero_tasks_ask_too() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let run = |work| drop(tokio::task::spawn_blocking(work));
        let store = Arc::new(Blocking::new(Arc::clone(&fleet.store), run).timer(Tokio));
        let build = || -> Tasks {
            FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10)
                .local_ttl(Duration::ZERO)
                .clock(fleet.clock.clone())
                .build()
        };
        let (a, b) = (build(), build());
        a.set_async("one".to_owned()).await.unwrap();
        assert_eq!(&**b.get_or_try_create_async(never).await.unwrap(), "one");
        a.set_async("two".to_owned()).await.unwrap();
        assert_eq!(&**b.get_or_try_create_async(never).await.unwrap(), "two");
        fleet.clock.advance(SECOND * 10);
        let new = b.get_or_try_create_async(|_| async { Ok::<_, String>("new".to_owned()) });
        assert_eq!(&**new.await.unwrap(), "new");
    });
}

#[test]
fn a_namespace_is_invalidated_as_a_whole() {
    let fleet = Fleet::new();
    runtime().block_on(async {
        let run = |work| drop(tokio::task::spawn_blocking(work));
        let store = Arc::new(Blocking::new(Arc::clone(&fleet.store), run).timer(Tokio));
        let build = |key: &str| -> Tasks {
            FleetDogpile::builder(Arc::clone(&store), key, SECOND * 10)
                .namespace("pages")
                .clock(fleet.clock.clone())
                .build()
        };
        let (a, b) = (build("a"), build("b"));
        b.set_async("old".to_owned()).await.unwrap();
        a.expire_all_async().await.unwrap();
        assert!(FleetGuard::is_stale(&b.peek().unwrap()));
        a.invalidate_all_async().await.unwrap();
        assert!(b.peek().is_none());
        // Dropped before it is at the store, it is done here.
        b.set_async("old".to_owned()).await.unwrap();
        {
            let mut dropped = pin!(a.invalidate_all_async());
            let _ = dropped
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(b.peek().is_none());
    });
}
