//! Many tasks on several threads, over `moka::future::Cache`.

use std::sync::Arc;

use dogpile::Dogpile;
use dogpile_moka::future::{Moka, MokaDogpile};
use dogpile_moka::{CacheGuard, Entry};
use tokio::sync::{Barrier, oneshot};

use crate::support::{HOUR, MINUTE, Runs, manual};

type Pile = Arc<MokaDogpile<String, u32>>;

fn cache() -> Moka<String, u32> {
    let cache: moka::future::Cache<String, Entry<u32>> = moka::future::Cache::new(100);
    Moka(cache)
}

/// 500 tasks on 10 keys: a creation each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_creator_a_key() {
    let pile: Pile = Arc::new(MokaDogpile::new(cache(), Dogpile::builder(MINUTE).keyed()));
    let runs: Arc<Vec<Runs>> = Arc::new((0..10).map(|_| Runs::default()).collect());
    let all = Arc::new(Barrier::new(500));
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let (pile, runs, all) = (Arc::clone(&pile), Arc::clone(&runs), Arc::clone(&all));
            tokio::spawn(async move {
                let key = number % 10;
                all.wait().await;
                let create = || async {
                    let number = runs[key].run(|| runs[key].count());
                    tokio::task::yield_now().await;
                    Ok::<_, std::io::Error>(number as u32)
                };
                let name = key.to_string();
                *pile
                    .get_or_try_create_async(name.as_str(), create)
                    .await
                    .unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert!(runs.iter().all(|runs| runs.count() == 1));
}

/// While one task creates, and waits for the others to have been served, they are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_served_the_stale_value() {
    let (clock, settings) = manual(MINUTE);
    let settings = settings.stale_while_revalidate(HOUR).keyed();
    let pile: Pile = Arc::new(MokaDogpile::new(cache(), settings));
    pile.set_async("key".to_owned(), 1).await;
    clock.advance(2 * MINUTE);
    let (begun, has_begun) = oneshot::channel();
    let (end, may_end) = oneshot::channel();
    let creator = tokio::spawn({
        let pile = Arc::clone(&pile);
        async move {
            let create = || async {
                begun.send(()).unwrap();
                may_end.await
            };
            *pile.get_or_try_create_async("key", create).await.unwrap()
        }
    });
    has_begun.await.unwrap();
    for _ in 0..100 {
        let create = || async { Ok::<_, std::io::Error>(7) };
        let served = pile.get_or_try_create_async("key", create).await.unwrap();
        assert_eq!((*served, CacheGuard::age(&served)), (1, 2 * MINUTE));
    }
    end.send(2).unwrap();
    assert_eq!(creator.await.unwrap(), 2);
    assert_eq!(*pile.peek_async("key").await.unwrap(), 2);
}

/// The creator's task is aborted: one of those who wait creates, and serves the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_creator_hands_over() {
    let pile: Pile = Arc::new(MokaDogpile::new(cache(), Dogpile::builder(MINUTE).keyed()));
    let (begun, has_begun) = oneshot::channel();
    let creator = tokio::spawn({
        let pile = Arc::clone(&pile);
        async move {
            let create = || async {
                begun.send(()).unwrap();
                std::future::pending::<Result<u32, std::io::Error>>().await
            };
            drop(pile.get_or_try_create_async("key", create).await);
        }
    });
    has_begun.await.unwrap();
    let runs = Arc::new(Runs::default());
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let (pile, runs) = (Arc::clone(&pile), Arc::clone(&runs));
            tokio::spawn(async move {
                let create = || async { Ok::<_, std::io::Error>(runs.run(|| 2)) };
                *pile.get_or_try_create_async("key", create).await.unwrap()
            })
        })
        .collect();
    while pile.waiters("key") < 20 {
        tokio::task::yield_now().await;
    }
    creator.abort();
    assert!(creator.await.unwrap_err().is_cancelled());
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 2);
    }
    assert_eq!(runs.count(), 1);
    assert!(!pile.is_creating("key"));
}
