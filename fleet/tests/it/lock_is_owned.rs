//! `lock_is_owned`, and the four limits of the lease lock that this one comes from: everybody passed
//! when a lease was over; one waited for as long as a lease; anybody could release; memory was of one
//! process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, FileStore, Found, Grant, Key, LeaseLock, LockError,
    MemoryStore, Owner, Placed, Put, Store, Version,
};
use herd::Scratch;

use crate::bench::{Fault, Faulty, SECOND, block_on, manual_clock, on_threads};

fn memory() -> (Arc<ManualClock>, Arc<MemoryStore>) {
    let clock = manual_clock();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    (clock, store)
}

fn lock(clock: &Arc<ManualClock>, store: &Arc<MemoryStore>) -> LeaseLock<MemoryStore> {
    LeaseLock::new(Arc::clone(store), "lock").clock(clock.clone())
}

#[test]
fn nobody_passes_because_a_lease_ended_each_asks_again() {
    let (clock, store) = memory();
    let hung = lock(&clock, &store).lock().unwrap();
    let (inside, most, done) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let held = lock(&clock, &store).lock().unwrap();
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                assert!(!held.is_lost());
                thread::sleep(Duration::from_millis(1));
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(held);
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(done.load(Ordering::SeqCst), 0);
        clock.advance(SECOND * 11);
    });
    assert_eq!((most.into_inner(), done.into_inner()), (1, 8));
    assert!(hung.is_lost());
    assert!(!hung.release().unwrap(), "it is told");
}

/// A grant that nobody heard of would keep the lock until its lease ends.
#[test]
fn a_lock_whose_grant_is_lost_is_asked_for_once_more() {
    let store = Faulty::new(MemoryStore::with_clock(manual_clock()));
    let of = || LeaseLock::new(Arc::clone(&store), "lock").lease(SECOND * 3600);
    let (a, b) = (of(), of());
    store.set(Fault::AnswersLost);
    assert!(matches!(a.lock(), Err(LockError::Store(_))));
    store.set(Fault::None);
    assert!(b.try_lock().unwrap().is_none(), "the store says it is held");
    let held = a.try_lock().unwrap().expect("by this one");
    // Once: the next request is another one.
    assert!(a.try_lock().unwrap().is_none());
    assert!(held.release().unwrap());
    assert!(b.try_lock().unwrap().is_some());
}

#[test]
fn a_task_asks_once_more_for_a_lock_whose_grant_is_lost() {
    let faulty = Faulty::new(MemoryStore::with_clock(manual_clock()));
    let store = Arc::new(on_threads(Arc::clone(&faulty)));
    let lock = LeaseLock::new(store, "lock").lease(SECOND * 3600);
    faulty.set(Fault::AnswersLost);
    let lost = block_on(lock.lock_async());
    assert!(matches!(lost, Err(LockError::Store(_))));
    faulty.set(Fault::None);
    let held = block_on(lock.try_lock_async()).unwrap();
    assert!(block_on(held.expect("by this one").release()).unwrap());
}

#[test]
fn waiting_has_a_limit_of_its_own() {
    let (clock, store) = memory();
    let wait = |lease: Duration, limit: Duration| {
        let lock = || lock(&clock, &store).lease(lease);
        let held = lock().lock().unwrap();
        assert!(lock().try_lock().unwrap().is_none());
        let waited = thread::scope(|threads| {
            let waits = threads.spawn(|| lock().lock_for(limit).map(drop));
            while !waits.is_finished() {
                clock.advance(SECOND);
                thread::sleep(Duration::from_millis(1));
            }
            waits.join().unwrap()
        });
        drop(held);
        waited
    };
    // Shorter than the lease, and longer.
    let hour = SECOND * 3600;
    assert!(matches!(wait(hour * 24, SECOND), Err(LockError::TimedOut)));
    wait(SECOND * 10, hour * 24).unwrap();
}

#[test]
fn only_its_holder_releases_it() {
    let (clock, store) = memory();
    let first = lock(&clock, &store).lock().unwrap();
    let fence = first.fence().unwrap();
    clock.advance(SECOND * 11);
    let second = lock(&clock, &store).lock().unwrap();
    // A holder whose lease is over, and a stranger who knows the number.
    drop(first);
    let key = lock(&clock, &store).key().clone();
    for fence in [fence, second.fence().unwrap()] {
        let grant = Grant {
            owner: Owner::draw(),
            fence,
        };
        assert!(!store.release(&key, grant, Duration::ZERO).unwrap());
    }
    assert!(lock(&clock, &store).try_lock().unwrap().is_none());
    assert!(second.release().unwrap());
    assert!(lock(&clock, &store).try_lock().unwrap().is_some());
}

#[test]
fn it_is_shared_through_whatever_the_store_is() {
    let scratch = Scratch::new("dogpile-lock");
    let open = || {
        let store = Arc::new(FileStore::open(scratch.path()).unwrap());
        LeaseLock::new(store, "lock")
    };
    let (here, there) = (open(), open());
    let held = here.lock().unwrap();
    assert!(there.try_lock().unwrap().is_none());
    thread::scope(|threads| {
        let waits = threads.spawn(|| there.lock_for(SECOND * 20).unwrap().fence());
        thread::sleep(Duration::from_millis(20));
        let fence = held.fence();
        drop(held);
        assert!(waits.join().unwrap() > fence);
    });
}

#[test]
fn fences_rise_and_there_is_none_where_numbers_have_no_order() {
    struct Unordered(MemoryStore);
    impl Described for Unordered {
        fn abilities(&self) -> Abilities {
            let mut abilities = self.0.abilities();
            abilities.monotonic = false;
            abilities
        }
    }
    impl Store for Unordered {
        fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
            self.0.get_or_lease(key, ask)
        }
        fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
            self.0.put(key, put)
        }
        fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
            self.0.renew(key, grant, lease)
        }
        fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
            self.0.release(key, grant, quiet)
        }
        fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
            self.0.invalidate(key, depth, only)
        }
        fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
            self.0.invalidate_all(namespace, depth)
        }
    }
    let (clock, store) = memory();
    let mut last = None;
    for _ in 0..20 {
        let held = lock(&clock, &store).lock().unwrap();
        assert!(held.fence().is_some() && held.fence() > last);
        last = held.fence();
    }
    let lock = LeaseLock::new(Arc::new(Unordered(MemoryStore::new())), "lock");
    assert_eq!(lock.lock().unwrap().fence(), None);
}

#[test]
fn it_is_renewed_while_it_is_held_and_not_for_ever() {
    let store = Arc::new(MemoryStore::new());
    let lock = LeaseLock::new(store, "lock")
        .lease(Duration::from_millis(900))
        .max_hold(Duration::from_millis(4_000));
    let held = lock.lock().unwrap();
    thread::sleep(Duration::from_millis(2_000));
    assert!(!held.is_lost() && lock.try_lock().unwrap().is_none());
    let next = lock.lock().unwrap();
    assert!(held.is_lost() && held.remaining().is_zero());
    assert!(next.fence() > held.fence());
}

#[test]
fn a_panic_releases_it() {
    let (clock, store) = memory();
    let lock = lock(&clock, &store);
    let panics = std::panic::AssertUnwindSafe(|| {
        let _held = lock.lock().unwrap();
        panic!("boom");
    });
    std::panic::catch_unwind(panics).unwrap_err();
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn tasks_hold_it_too() {
    let store = Arc::new(MemoryStore::new());
    let of_threads = LeaseLock::new(Arc::clone(&store), "lock").lease(Duration::from_millis(900));
    let of_tasks = LeaseLock::new(Arc::new(on_threads(store)), "lock");
    let of_tasks = of_tasks
        .lease(Duration::from_millis(900))
        .max_hold(SECOND * 10);
    block_on(async {
        let held = of_tasks.lock_async().await.unwrap();
        let fence = held.fence();
        let work = async {
            of_tasks_nap(&of_threads).await;
            of_threads.try_lock().unwrap().is_none()
        };
        assert!(held.renewing(work).await, "it was renewed");
        assert!(of_tasks.try_lock_async().await.unwrap().is_none());
        let limit = Duration::from_millis(10);
        let error = of_tasks.lock_for_async(limit).await.unwrap_err();
        assert!(matches!(error, LockError::TimedOut));
        assert!(held.release().await.unwrap());
        let next = of_tasks.lock_async().await.unwrap();
        assert!(next.fence() > fence);
        drop(next);
        // A drop does not wait for the store.
        let next = of_tasks.lock_for_async(SECOND * 20).await.unwrap();
        drop(next);
    });
}

/// For longer than a lease, on another thread.
async fn of_tasks_nap<S>(_: &LeaseLock<S>) {
    let (told, tells) = std::sync::mpsc::channel();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(2_000));
        told.send(()).unwrap();
    });
    std::future::poll_fn(|cx| match tells.try_recv() {
        Ok(()) => std::task::Poll::Ready(()),
        Err(_) => {
            let waker = cx.waker().clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                waker.wake();
            });
            std::task::Poll::Pending
        }
    })
    .await;
}

#[test]
fn a_task_that_is_dropped_while_it_asks_leaves_no_lease() {
    let store = Arc::new(MemoryStore::new());
    let held_up = Arc::new(std::sync::Mutex::new(Vec::new()));
    let queue = Arc::clone(&held_up);
    let slow = dogpile_fleet::Blocking::new(Arc::clone(&store), move |work| {
        queue.lock().unwrap().push(work);
    });
    let of_tasks = LeaseLock::new(Arc::new(slow), "lock");
    let mut asks = Box::pin(of_tasks.lock_async());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let do_all = || {
        let work: Vec<_> = held_up.lock().unwrap().drain(..).collect();
        let length = work.len();
        work.into_iter().for_each(|work| work());
        length
    };
    let of_threads = LeaseLock::new(store, "lock");
    assert!(asks.as_mut().poll(&mut context).is_pending());
    drop(asks);
    // The request goes on its way all the same, and is granted.
    assert_eq!(do_all(), 1);
    assert!(of_threads.try_lock().unwrap().is_some());
    // It was granted, and the task dropped before it heard of that.
    let mut asks = Box::pin(of_tasks.lock_async());
    assert!(asks.as_mut().poll(&mut context).is_pending());
    assert_eq!(do_all(), 1);
    drop(asks);
    assert_eq!(do_all(), 1);
    assert!(of_threads.try_lock().unwrap().is_some());
}
