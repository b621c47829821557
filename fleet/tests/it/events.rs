//! What an observer of a fleet is told: one test for each event, named after it. What is told is counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogpile::ManualClock;
use dogpile_fleet::{
    Blocking, FleetBuilder, FleetDogpile, FleetEvent, FleetGuard, FleetKeyed, FleetObserver, Hint,
    MemoryStore, Version, Watch,
};

use crate::bench::{
    Fault, Faulty, SECOND, block_on, make, manual_clock, never, on_threads, wait_until,
};

/// What it was told, in a line each.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl FleetObserver for Log {
    fn event(&self, event: &FleetEvent<'_>) {
        let line = match event {
            FleetEvent::Ask { .. } => "ask".to_owned(),
            FleetEvent::Lead { failures, .. } => format!("lead {failures}"),
            FleetEvent::Busy { fence, stale, .. } => {
                format!("busy {} {}", fence.is_some(), stale.is_some())
            }
            FleetEvent::Stored { took, .. } => format!("stored {took:?}"),
            FleetEvent::StoreError { key, error, .. } => {
                format!("store_error {} {error}", key.is_some())
            }
            FleetEvent::Hint { key, depth, .. } => format!("hint {} {depth:?}", key.is_some()),
            other => other.name().to_owned(),
        };
        assert!(line.starts_with(event.name()), "{line}");
        self.0.lock().unwrap().push(line);
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<Faulty<MemoryStore>>,
    log: Arc<Log>,
}

impl Fleet {
    fn new() -> Self {
        let clock = manual_clock();
        let store = MemoryStore::with_clock(clock.clone()).max_value(100);
        Self {
            store: Faulty::new(store),
            clock,
            log: Arc::default(),
        }
    }

    fn builder(&self) -> FleetBuilder<String, Faulty<MemoryStore>> {
        FleetDogpile::builder(Arc::clone(&self.store), "key", SECOND * 10)
            .namespace("observed")
            .clock(self.clock.clone())
    }

    /// A process that nobody observes.
    fn other(&self) -> FleetDogpile<String, Faulty<MemoryStore>> {
        self.builder().build()
    }

    fn observed(&self) -> FleetDogpile<String, Faulty<MemoryStore>> {
        self.builder().observer(self.log.clone()).build()
    }

    fn told(&self) -> Vec<String> {
        self.log.take()
    }
}

#[test]
fn nothing_of_a_hit() {
    let fleet = Fleet::new();
    let a = fleet.observed();
    drop(a.get_or_try_create(make("value")).unwrap());
    fleet.told();
    drop(a.get_or_try_create(never).unwrap());
    drop((a.hit(), a.peek()));
    assert!(fleet.told().is_empty());
}

#[test]
fn ask_lead_and_stored() {
    let fleet = Fleet::new();
    let a = fleet.observed();
    let made = a.get_or_try_create(|_| {
        fleet.clock.advance(SECOND);
        Ok::<_, String>("value".to_owned())
    });
    assert_eq!(*made.unwrap(), "value");
    assert_eq!(fleet.told(), ["ask", "lead 0", "stored 1s"]);
    // What the store has fresh is asked for, and no more.
    fleet.clock.advance(SECOND * 2);
    drop(a.get_or_try_create(never).unwrap());
    assert_eq!(fleet.told(), ["ask"]);
    let stats = a.stats();
    assert_eq!((stats.asks, stats.leads, stats.stored), (2, 1, 1));
}

#[test]
fn lead_says_how_many_failed_before() {
    let fleet = Fleet::new();
    let a = fleet.observed();
    let _ = a.get_or_try_create(|_| Err::<String, _>("failed"));
    fleet.clock.advance(SECOND * 60);
    drop(a.get_or_try_create(make("value")).unwrap());
    let told = ["ask", "lead 0", "ask", "lead 1", "stored 0ns"];
    assert_eq!(fleet.told(), told);
}

#[test]
fn busy() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.observed(), fleet.other());
    b.set("old".to_owned()).unwrap();
    fleet.clock.advance(SECOND * 10);
    let made = b.get_or_try_create(|_| {
        drop(a.get_or_try_create(never).unwrap());
        assert_eq!(fleet.told(), ["ask", "busy true true"]);
        Err::<String, _>("failed")
    });
    assert!(made.is_err());
    // Nobody may create yet, and nobody does.
    fleet.clock.advance(Duration::from_millis(20));
    drop(a.get_or_try_create(never).unwrap());
    assert_eq!(fleet.told(), ["ask", "busy false true"]);
    assert_eq!((a.stats().busy, a.stats().leads), (2, 0));
}

#[test]
fn refused() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.observed(), fleet.other());
    let late = a.get_or_try_create(|_| {
        b.set("other".to_owned()).unwrap();
        Ok::<_, String>("late".to_owned())
    });
    assert_eq!(*late.unwrap(), "late");
    assert_eq!(fleet.told(), ["ask", "lead 0", "refused"]);
    assert_eq!((a.stats().superseded, a.stats().stored), (1, 0));
}

/// A lease that is not renewed, of a creator that runs in a thread; and in a task.
#[test]
fn lost() {
    let store = Arc::new(MemoryStore::new());
    let log = Arc::<Log>::default();
    let builder = || {
        let builder = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10);
        builder.lease(Duration::from_millis(30))
    };
    let a: FleetDogpile<String, _> = builder().observer(log.clone()).build();
    let b: FleetDogpile<String, _> = builder().build();
    let late = a.get_or_try_create(|creation| {
        b.set("other".to_owned()).unwrap();
        wait_until(|| creation.is_lost() && log.0.lock().unwrap().len() == 3);
        Ok::<_, String>("late".to_owned())
    });
    drop(late.unwrap());
    assert_eq!(log.take(), ["ask", "lead 0", "lost", "refused"]);
    assert_eq!(a.stats().lost, 1);
    let tasks: FleetDogpile<String, Blocking<Arc<MemoryStore>>> = FleetDogpile::builder(
        Arc::new(on_threads(Arc::new(Arc::clone(&store)))),
        "key",
        SECOND,
    )
    .lease(Duration::from_millis(30))
    .observer(log.clone())
    .build();
    b.invalidate().unwrap();
    let late = tasks.get_or_try_create_async(|_| async {
        b.set("other".to_owned()).unwrap();
        let log = log.clone();
        std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            match log.0.lock().unwrap().len() {
                3 => std::task::Poll::Ready(()),
                _ => std::task::Poll::Pending,
            }
        })
        .await;
        Ok::<_, String>("late".to_owned())
    });
    drop(block_on(late).unwrap());
    assert_eq!(log.take(), ["ask", "lead 0", "lost", "refused"]);
}

/// A lease that its holder ends is not lost, also if it is renewed at that very moment.
#[test]
fn nothing_is_lost_that_its_holder_ends() {
    let fleet = Fleet::new();
    let map = FleetKeyed::<u64, String, _>::builder(Arc::clone(&fleet.store), "many", SECOND * 10)
        .lease(Duration::from_millis(30))
        .observer(fleet.log.clone())
        .build();
    let (renews, renewing) = channel();
    let (go, goes) = channel::<()>();
    let goes = Mutex::new(goes);
    fleet.store.before(move |verb| {
        if verb == "renew" {
            renews.send(()).unwrap();
            goes.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
        }
    });
    let made = map.get_or_try_create(&1, |_| {
        renewing.recv_timeout(SECOND * 20).unwrap();
        Ok::<_, String>("value".to_owned())
    });
    drop(made.unwrap());
    // The store is asked to renew it only now, and does not.
    go.send(()).unwrap();
    map.invalidate_all().unwrap();
    wait_until(|| map.known_records() == 0);
    let told = fleet.told();
    assert!(told[2].starts_with("stored") && told.len() == 3, "{told:?}");
    assert_eq!(map.stats().lost, 0);
}

#[test]
fn store_error() {
    let fleet = Fleet::new();
    let a = fleet.observed();
    fleet.store.set(Fault::Down);
    drop(a.get_or_try_create(make("value")).unwrap());
    let down = "store_error true the store cannot be reached: down";
    assert_eq!(fleet.told(), ["ask", down]);
    fleet.clock.advance(SECOND * 10);
    assert!(a.expire_all().is_err());
    let down = "store_error false the store cannot be reached: down";
    assert_eq!(fleet.told(), [down]);
    assert_eq!(a.stats().store_errors, 2);
}

#[test]
fn hint() {
    let fleet = Fleet::new();
    let a = fleet
        .builder()
        .watched()
        .observer(fleet.log.clone())
        .build();
    let b = fleet.other();
    drop(a.get_or_try_create(make("value")).unwrap());
    // Not of its own.
    assert_eq!(fleet.told(), ["ask", "lead 0", "stored 0ns"]);
    b.expire().unwrap();
    b.invalidate().unwrap();
    b.expire_all().unwrap();
    // Nor of other records.
    let builder = FleetDogpile::builder(Arc::clone(&fleet.store), "other", SECOND);
    builder.build().set("value".to_owned()).unwrap();
    assert_eq!(
        fleet.told(),
        ["hint true Soft", "hint true Hard", "hint false Soft"]
    );
    assert_eq!(a.stats().hints, 3);
}

/// A store that loses hints.
struct Forgetful(MemoryStore, Mutex<Option<std::sync::Weak<dyn Watch>>>);

impl dogpile_fleet::Described for Forgetful {
    fn abilities(&self) -> dogpile_fleet::Abilities {
        self.0.abilities()
    }

    fn watch(&self, watch: std::sync::Weak<dyn Watch>) -> bool {
        self.1.lock().unwrap().replace(watch);
        true
    }
}

mod forgetful {
    use super::Forgetful;
    use dogpile_fleet::{Answer, Ask, Depth, Found, Grant, Key, Placed, Put, Store, Version};
    use std::time::Duration;

    impl Store for Forgetful {
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
}

#[test]
fn missed() {
    let store = Arc::new(Forgetful(MemoryStore::new(), Mutex::default()));
    let log = Arc::<Log>::default();
    let map = FleetKeyed::<String, String, _>::builder(Arc::clone(&store), "pages", SECOND * 10)
        .watched()
        .observer(log.clone())
        .build();
    for key in ["one", "two"] {
        drop(map.get_or_try_create(key, make("value")).unwrap());
    }
    log.take();
    let watch = store.1.lock().unwrap().clone();
    watch
        .and_then(|watch| watch.upgrade())
        .unwrap()
        .hint(&Hint::Missed);
    assert_eq!(log.take(), ["missed"]);
    for key in ["one", "two"] {
        assert!(FleetGuard::is_stale(&map.peek(key).unwrap()), "of {key}");
    }
    assert_eq!(map.stats().hints, 1);
}

#[test]
fn of_several_keys_each() {
    let fleet = Fleet::new();
    let map = FleetKeyed::<u64, String, _>::builder(Arc::clone(&fleet.store), "many", SECOND * 10)
        .clock(fleet.clock.clone())
        .observer(fleet.log.clone())
        .build();
    let made = |wanted: &[&u64]| {
        Ok::<_, String>(
            wanted
                .iter()
                .map(|key| (**key, Ok("x".to_owned())))
                .collect::<Vec<_>>(),
        )
    };
    drop(map.get_or_try_create_multi(&[1, 2], made));
    let told = ["ask", "ask", "lead 0", "lead 0", "stored 0ns", "stored 0ns"];
    assert_eq!(fleet.told(), told);
}

/// An observer that panics, and one that asks the pile, keep nobody from his value.
#[test]
fn an_observer_may_panic_and_may_call_the_pile() {
    struct Wild(AtomicUsize);
    impl FleetObserver for Wild {
        fn event(&self, _: &FleetEvent<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose");
        }
    }
    type Observed = FleetDogpile<String, Faulty<MemoryStore>>;
    struct Curious(Mutex<Option<std::sync::Weak<Observed>>>);
    impl FleetObserver for Curious {
        fn event(&self, event: &FleetEvent<'_>) {
            let pile = self.0.lock().unwrap().clone();
            if let Some(pile) = pile.and_then(|pile| pile.upgrade()) {
                assert_eq!(event.key(), Some(pile.key()));
                drop((pile.peek(), pile.stats(), pile.waiters()));
                pile.expire().unwrap();
            }
        }
    }
    let fleet = Fleet::new();
    let wild = Arc::new(Wild(AtomicUsize::new(0)));
    let a = fleet.builder().observer(wild.clone()).build();
    assert_eq!(*a.get_or_try_create(make("value")).unwrap(), "value");
    assert_eq!(wild.0.load(Ordering::SeqCst), 3);
    a.invalidate().unwrap();
    let curious = Arc::new(Curious(Mutex::default()));
    let b = Arc::new(fleet.builder().observer(curious.clone()).build());
    *curious.0.lock().unwrap() = Some(Arc::downgrade(&b));
    assert_eq!(*b.get_or_try_create(make("value")).unwrap(), "value");
}

/// A value that is too large is refused, and that is no outage: the store is asked as before, and its
/// lease is free at once.
#[test]
fn a_value_that_is_too_large_is_no_outage() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.observed(), fleet.other());
    let large = "x".repeat(200);
    let made = a.get_or_try_create(make(&large)).unwrap();
    assert_eq!(
        (&*made, FleetGuard::version(&made)),
        (&large, Version::NONE)
    );
    let told = fleet.told();
    assert_eq!(told[..2], ["ask", "lead 0"]);
    assert!(
        told[2].starts_with("store_error true the store refuses"),
        "{told:?}"
    );
    assert_eq!(told.len(), 3);
    assert_eq!((a.stats().unstored, a.stats().store_errors), (1, 1));
    drop(made);
    // Others lead at once: nobody waits for the lease to end.
    assert_eq!(*b.get_or_try_create(make("small")).unwrap(), "small");
    assert_eq!(b.stats().naps, 0);
    // And it asks again as soon as its copy is old: the breaker is closed.
    fleet.clock.advance(SECOND * 2);
    assert_eq!(*a.get_or_try_create(never).unwrap(), "small");
    assert_eq!(fleet.told(), ["ask"]);
    // A write of one is refused just so.
    assert!(a.set(large).is_err());
    assert_eq!(*a.get_or_try_create(never).unwrap(), "small");
    assert_eq!(fleet.told().len(), 2);
}

#[test]
fn a_task_whose_value_is_too_large_leaves_the_lease_free() {
    let fleet = Fleet::new();
    let store = on_threads(Arc::new(Arc::clone(&fleet.store)));
    let a: FleetDogpile<String, _> = FleetDogpile::builder(Arc::new(store), "key", SECOND * 10)
        .namespace("observed")
        .clock(fleet.clock.clone())
        .build();
    let large = a.get_or_try_create_async(|_| async { Ok::<_, String>("x".repeat(200)) });
    drop(block_on(large).unwrap());
    let b = fleet.other();
    assert_eq!(*b.get_or_try_create(make("small")).unwrap(), "small");
    fleet.clock.advance(SECOND * 2);
    let again = a.get_or_try_create_async(|_| async { Err::<String, _>("is not to run") });
    assert_eq!(*block_on(again).unwrap(), "small");
}

/// The trait has but one method, and that is not needed.
#[test]
fn an_observer_may_leave_all_out() {
    struct Deaf;
    impl FleetObserver for Deaf {}
    let fleet = Fleet::new();
    let a = fleet.builder().observer(Arc::new(Deaf)).build();
    assert_eq!(*a.get_or_try_create(make("value")).unwrap(), "value");
}
