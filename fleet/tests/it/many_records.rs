//! Many records in one call of a store: what a store does that has no form of its own for it, and what
//! becomes of leases that nobody takes.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use dogpile_fleet::conformance::{Driven, Subject};
use dogpile_fleet::{
    Abilities, Answer, Ask, AsyncStore, Blocking, Depth, Described, Found, Grant, Key, MemoryStore,
    Owner, Placed, Put, Store, StoreError, StoreErrorKind, Version, Work,
};

use crate::bench::{Async, Memory, Park, SECOND, on_threads};

fn asks(names: &[&str]) -> Vec<(Key, Ask)> {
    let key = |name: &&str| Key::new("many", name, 0);
    let lead = || Ask::lead(Owner::draw(), SECOND * 60);
    names.iter().map(|name| (key(name), lead())).collect()
}

/// It refuses one record, cannot be reached for another one, and counts.
#[derive(Default)]
struct Choosy {
    store: MemoryStore,
    asked: AtomicUsize,
}

impl Described for Choosy {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }
}

impl Store for Choosy {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *key == Key::new("many", "refused", 0) {
            return Err(StoreError::refused("not this one"));
        }
        if *key == Key::new("many", "down", 0) {
            return Err(StoreError::unavailable("down"));
        }
        self.store.get_or_lease(key, ask)
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.store.put(key, put)
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.store.renew(key, grant, lease)
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.store.release(key, grant, quiet)
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.store.invalidate(key, depth, only)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.store.invalidate_all(namespace, depth)
    }
}

/// An asynchronous store that has no form of its own for many records.
struct Provided<S>(Blocking<S>);

impl<S: Store> Described for Provided<S> {
    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }
}

impl<S: Store> AsyncStore for Provided<S> {
    async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.0.get_or_lease(key, ask).await
    }

    async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        self.0.put(key, put).await
    }

    async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.0.renew(key, grant, lease).await
    }

    async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.0.release(key, grant, quiet).await
    }

    async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.0.invalidate(key, depth, only).await
    }

    async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.0.invalidate_all(namespace, depth).await
    }

    async fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        self.0.nap(key, fence, poll, until).await;
    }

    async fn pause(&self, span: Duration) {
        self.0.pause(span).await;
    }

    fn release_soon(&self, key: &Key, grant: Grant, quiet: Duration) {
        self.0.release_soon(key, grant, quiet);
    }
}

fn each_form(choosy: &Arc<Choosy>) -> [Box<dyn Store>; 3] {
    let own = || on_threads(Arc::clone(choosy));
    [
        Box::new(Arc::clone(choosy)),
        Box::new(Driven::new(own(), Park)),
        Box::new(Driven::new(Provided(own()), Park)),
    ]
}

#[test]
fn an_error_of_one_record_is_its_own() {
    let choosy = Arc::<Choosy>::default();
    for store in each_form(&choosy) {
        let asks = asks(&["one", "refused", "two"]);
        let answers = store.get_or_lease_many(&asks);
        assert_eq!(answers.len(), 3);
        for (number, (key, ask)) in asks.iter().enumerate() {
            match &answers[number] {
                Ok(Found::Leased { fence, .. }) if number != 1 => {
                    let owner = ask.owner.unwrap();
                    let grant = Grant {
                        owner,
                        fence: *fence,
                    };
                    assert!(store.release(key, grant, Duration::ZERO).unwrap());
                }
                Err(error) if number == 1 => assert_eq!(error.kind, StoreErrorKind::Refused),
                other => panic!("of ask {number}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_store_out_of_reach_is_waited_for_once() {
    let choosy = Arc::<Choosy>::default();
    for store in each_form(&choosy) {
        choosy.asked.store(0, Ordering::SeqCst);
        let answers = store.get_or_lease_many(&asks(&["down", "one", "two", "down"]));
        assert_eq!(answers.len(), 4);
        for answer in answers {
            assert_eq!(answer.unwrap_err().kind, StoreErrorKind::Unavailable);
        }
        assert_eq!(choosy.asked.load(Ordering::SeqCst), 1);
    }
}

/// Work that waits until the test runs it.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<Vec<Work>>>);

impl Queue {
    fn store(&self, store: &Arc<MemoryStore>) -> Blocking<MemoryStore> {
        let queue = self.clone();
        Blocking::new(Arc::clone(store), move |work| {
            queue.0.lock().unwrap().push(work);
        })
    }

    fn run(&self) {
        loop {
            let work = self.0.lock().unwrap().pop();
            match work {
                Some(work) => work(),
                None => return,
            }
        }
    }
}

/// Polls and lets the work be done so many times, and drops the future: before or after the work of the
/// last one was done. Says whether it came to its end.
fn dropped(queue: &Queue, rounds: usize, answered: bool, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for round in 0..rounds {
        if future.as_mut().poll(&mut context).is_ready() {
            return true;
        }
        if answered || round + 1 < rounds {
            queue.run();
        }
    }
    false
}

#[test]
fn leases_that_nobody_takes_are_released() {
    let names = ["one", "two", "three"];
    let many = asks(&names);
    let store = Arc::new(MemoryStore::new());
    let free = |(key, _): &(Key, Ask)| {
        let found = store.get_or_lease(key, &Ask::peek()).unwrap();
        matches!(found, Found::Idle { .. })
    };
    let queue = Queue::default();
    let (own, provided) = (queue.store(&store), Provided(queue.store(&store)));
    for answered in [false, true] {
        assert!(!dropped(&queue, 1, answered, own.get_or_lease_many(&many)));
        queue.run();
        assert!(many.iter().all(free));
        for rounds in 1..=3 {
            let future = provided.get_or_lease_many(&many);
            assert!(!dropped(&queue, rounds, answered, future));
            queue.run();
            assert!(many.iter().all(free), "after {rounds} rounds");
        }
    }
    // Those that are taken are held.
    assert!(dropped(&queue, 2, true, own.get_or_lease_many(&many)));
    queue.run();
    assert!(!many.iter().any(free));
}

#[test]
fn the_cases_hold_for_the_provided_form() {
    struct OfTheTrait(Memory);
    impl Subject for OfTheTrait {
        fn store(&self) -> Arc<dyn Store> {
            let store = Async(Memory::new()).store();
            Arc::new(Driven::new(Provided(on_threads(Arc::new(store))), Park))
        }

        fn pass(&self, span: Duration) {
            self.0.pass(span);
        }
    }
    let report = dogpile_fleet::conformance::run_if(&OfTheTrait(Memory::new()), |case| {
        case.name.contains("many records")
    });
    assert!(
        report.failed.is_empty() && report.passed.len() == 3,
        "{report}"
    );
}
