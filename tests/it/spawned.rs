//! Every async form, and the wait of an embedder, in a task that is spawned: their futures are `Send`
//! also in the eyes of the borrow checker, which forgets which lifetimes belong together.

use dogpile::executor::Tokio;
use dogpile::{Accept, Attempt, Created, Dogpile, Lookup, SyncReaderDogpile};
use std::sync::Arc;
use std::time::Duration;

static PLAIN: Dogpile<String> = Dogpile::new(Duration::from_secs(60));
static READER: SyncReaderDogpile<String> = SyncReaderDogpile::new(Duration::from_secs(60));

async fn make() -> String {
    "x".into()
}
async fn try_make() -> Result<String, std::fmt::Error> {
    Ok("x".into())
}
async fn look() -> Result<Lookup<String>, std::fmt::Error> {
    Ok(Lookup::NeedRegeneration)
}

macro_rules! forms {
    ($call:expr) => {
        drop($call.get_or_create_async(make).await);
        drop($call.get_or_try_create_async(try_make).await);
        drop(
            $call
                .get_or_try_create_with_async(|creating| async move {
                    tokio::task::yield_now().await;
                    let _ = creating.previous();
                    try_make().await.map(Created::new)
                })
                .await,
        );
        drop($call.acquire_async(try_make, look).await);
        drop(
            $call
                .acquire_with_async(
                    |creating| async move {
                        tokio::task::yield_now().await;
                        let _ = creating.fence();
                        try_make().await.map(Created::new)
                    },
                    look,
                )
                .await,
        );
    };
}

#[test]
fn every_form_runs_in_a_spawned_task() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let plain = Arc::new(Dogpile::<String>::new(Duration::from_secs(60)));
    let reader = Arc::new(SyncReaderDogpile::<String>::new(Duration::from_secs(60)));
    let task = async move {
        forms!(PLAIN);
        forms!(READER);
        forms!(plain);
        forms!(reader);
        forms!(PLAIN.call().accept(Accept::Fresh));
        forms!(
            READER
                .call()
                .accept(Accept::Fresh)
                .timer(&Tokio)
                .wait(Duration::from_secs(1))
        );
        forms!(PLAIN.background_static(&Tokio));
        forms!(READER.background_static(&Tokio));
        forms!(plain.background(&Tokio).accept(Accept::New));
        forms!(
            reader
                .background(&Tokio)
                .wait(Duration::from_secs(1))
                .accept(Accept::New)
        );
        let lease = plain.attempt_owned();
        if let Attempt::Busy(busy) = PLAIN.attempt() {
            drop(busy.await);
        }
        if let Attempt::Lease(lease) = READER.attempt() {
            drop(lease.run_async(|_| make()).await);
        }
        drop(lease);
        drop(READER.acquire_write_lock_async().await);
        drop(PLAIN.refresh_async(try_make).await);
        drop(READER.refresh_async(try_make).await);
        // Sync forms in the background.
        let gone = plain
            .background(&dogpile::executor::Thread)
            .get_or_create(|| "y".into())
            .map(|g| g.len());
        assert_eq!(gone.unwrap(), 1);
        let gone = reader
            .background(&dogpile::executor::Thread)
            .accept(Accept::New)
            .get_or_create(|| "yy".into())
            .map(|g| g.len());
        assert_eq!(gone.unwrap(), 2);
    };
    runtime.block_on(async { tokio::spawn(task).await.unwrap() });
}

/// What a user can write: lifetimes shrink, doors are a parameter, a field keeps a lease.
mod shapes {
    use dogpile::{
        Acquired, Background, Call, Door, Gated, Guard, Lease, Open, ReadAcquired, ReadGuard,
    };
    fn a<'s>(g: Guard<'static, u8>) -> Guard<'s, u8> {
        g
    }
    fn b<'s>(g: ReadGuard<'static, u8>) -> ReadGuard<'s, u8> {
        g
    }
    fn c<'s>(c: Call<'static, u8, Gated<'static>>) -> Call<'s, u8, Gated<'s>> {
        c
    }
    fn d<'s>(c: Background<'static, 'static, u8>) -> Background<'s, 's, u8> {
        c
    }
    fn e<'s>(l: Lease<'static, u8>) -> Lease<'s, u8> {
        l
    }
    fn f<'s>(l: Acquired<'static, u8>) -> Acquired<'s, u8> {
        l
    }
    fn g<'s>(l: ReadAcquired<'static, u8>) -> ReadAcquired<'s, u8> {
        l
    }
    fn any_door<D: Door>(call: Call<'_, u32, D>) -> u32 {
        *call.get_or_create(|| 7).unwrap()
    }
    struct Keeps<'a> {
        lease: Option<Lease<'a, u32>>,
        call: Call<'a, u32>,
    }
    #[test]
    fn compile() {
        let _ = (a, b, c, d, e, f, g);
        let pile = dogpile::Dogpile::new(std::time::Duration::MAX);
        assert_eq!(any_door::<Open>(pile.call()), 7);
        pile.expire();
        let keeps = Keeps {
            lease: match pile.attempt() {
                dogpile::Attempt::Lease(l) => Some(l),
                _ => None,
            },
            call: pile.call(),
        };
        assert!(keeps.lease.is_some());
        assert_eq!(*keeps.call.get_or_create(|| 8).unwrap(), 7);
    }
}
