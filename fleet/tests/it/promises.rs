//! The promises on one store in memory, whose clock the test moves: each "process" is a pile of its
//! own. What needs real processes is in `processes.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use dogpile::{ManualClock, Origin};
use dogpile_fleet::{
    Creation, Described, Expected, FleetAccept, FleetError, FleetGuard, MemoryStore, OnStoreError,
    Store, Swap, Version,
};

use super::{FleetBuilder, FleetDogpile};
use crate::bench::{Fault, Faulty, SECOND, make, manual_clock, never, wait_until};

type Pile<S> = FleetDogpile<String, S>;

/// A fleet: a store, its clock, and piles that stand for processes.
struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<Faulty<MemoryStore>>,
}

type Builder = FleetBuilder<String, Faulty<MemoryStore>>;

impl Fleet {
    fn new() -> Self {
        let clock = manual_clock();
        let store = Faulty::new(MemoryStore::with_clock(clock.clone()));
        Self { clock, store }
    }

    /// Fresh for ten seconds, one of which a process goes on without asking.
    fn builder(&self) -> Builder {
        FleetDogpile::builder(Arc::clone(&self.store), "key", SECOND * 10).clock(self.clock.clone())
    }

    fn process(&self) -> Pile<Faulty<MemoryStore>> {
        self.builder().build()
    }

    fn pass(&self, seconds: u32) {
        self.clock.advance(SECOND * seconds);
    }
}

/// A creator that says when it runs, and goes on when it is told to.
fn gated(
    value: &str,
) -> (
    Gate,
    impl FnOnce(Creation<'_, String>) -> Result<String, String> + Send,
) {
    let (began, begins) = channel();
    let (go, goes) = channel::<()>();
    let value = value.to_owned();
    let create = move |_: Creation<'_, String>| {
        began.send(()).expect("the test listens");
        goes.recv_timeout(SECOND * 20)
            .expect("the test lets it go on");
        Ok(value)
    };
    (Gate { begins, go }, create)
}

struct Gate {
    begins: Receiver<()>,
    go: Sender<()>,
}

impl Gate {
    fn begun(&self) {
        self.begins
            .recv_timeout(SECOND * 20)
            .expect("the creator runs");
    }

    fn open(&self) {
        self.go.send(()).expect("the creator waits");
    }
}

/// What neither asks, nor creates, nor waits.
mod hits {
    use super::*;

    #[test]
    fn a_fresh_copy_is_given_out() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        assert!(a.hit().is_none(), "nothing is known here");
        let _ = a.get_or_try_create(make("one")).unwrap();
        assert!(b.hit().is_none(), "it has no copy");
        let _ = b.get_or_try_create(never).unwrap();
        // Whether the store answers or not.
        fleet.store.set(Fault::Down);
        for process in [&a, &b] {
            let hit = process.hit().unwrap();
            assert_eq!((&**hit, FleetGuard::origin(&hit)), ("one", Origin::Fresh));
        }
        fleet.pass(1);
        assert!(a.hit().is_some(), "what it made itself is fresh for longer");
        fleet.clock.advance(Duration::from_millis(1));
        assert!(b.hit().is_none(), "a call would ask");
    }

    #[test]
    fn a_stale_one_is_given_out_while_another_caller_creates_and_its_limit_lasts() {
        let fleet = Fleet::new();
        let pile = fleet.builder().stale_while_revalidate(SECOND * 5).build();
        let _ = pile.get_or_try_create(make("old")).unwrap();
        fleet.pass(11);
        assert!(pile.hit().is_none(), "a call would create");
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(pile.get_or_try_create(create).unwrap()));
            gate.begun();
            let hit = pile.hit().unwrap();
            assert_eq!((&**hit, FleetGuard::origin(&hit)), ("old", Origin::Stale));
            fleet.pass(5);
            assert!(pile.hit().is_none(), "a call would wait");
            gate.open();
            leader.join().unwrap();
        });
        assert_eq!(&**pile.hit().unwrap(), "new");
    }
}

mod fleet_one_creator {
    use super::*;

    #[test]
    fn what_one_process_creates_all_have() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let made = a.get_or_try_create(make("one")).unwrap();
        assert_eq!(
            (&**made, FleetGuard::origin(&made)),
            ("one", Origin::CreatedHere)
        );
        let read = b.get_or_try_create(never).unwrap();
        assert_eq!((&**read, FleetGuard::origin(&read)), ("one", Origin::Fresh));
        assert_eq!(FleetGuard::version(&made), FleetGuard::version(&read));
    }

    #[test]
    fn others_go_on_with_the_old_value_while_one_creates() {
        let fleet = Fleet::new();
        let (a, b, cold) = (fleet.process(), fleet.process(), fleet.process());
        let _ = a.get_or_try_create(make("old")).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        fleet.pass(10);
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| a.get_or_try_create(create).unwrap().to_string());
            gate.begun();
            for process in [&b, &cold, &a] {
                let stale = process.get_or_try_create(never).unwrap();
                assert_eq!(
                    (&**stale, FleetGuard::origin(&stale)),
                    ("old", Origin::Stale)
                );
            }
            gate.open();
            assert_eq!(leader.join().unwrap(), "new");
        });
        // They ask again after a moment.
        fleet.clock.advance(Duration::from_millis(11));
        for process in [&b, &cold, &a] {
            let new = process.get_or_try_create(never).unwrap();
            assert_eq!((&**new, FleetGuard::is_stale(&new)), ("new", false));
        }
    }

    #[test]
    fn others_wait_where_there_is_no_value() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            let waiters: Vec<_> = (0..4)
                .map(|_| threads.spawn(|| b.get_or_try_create(never).unwrap().to_string()))
                .collect();
            wait_until(|| b.stats().naps > 0);
            gate.open();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), "new");
            }
            leader.join().unwrap();
        });
        assert_eq!((a.stats().creations, b.stats().creations), (1, 0));
    }

    /// A process that has none of its own, and is elected itself: those who wait in it are lent the stale
    /// value of the store while it creates.
    #[test]
    fn the_others_of_a_cold_process_that_is_elected_go_on_too() {
        let fleet = Fleet::new();
        let (a, cold) = (fleet.process(), Arc::new(fleet.process()));
        a.set("old".to_owned()).unwrap();
        fleet.pass(10);
        let (gate, create) = gated("new");
        // Before the store answers, two more wait in this process: one would take anything, one has to
        // have what is fresh.
        let (asked, asks) = channel();
        let (answer, answers) = channel::<()>();
        let answers = std::sync::Mutex::new(answers);
        fleet.store.before(move |verb| {
            if verb == "get_or_lease" {
                asked.send(()).unwrap();
                answers.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
            }
        });
        thread::scope(|threads| {
            let leader = threads.spawn(|| {
                let guard = cold.get_or_try_create(create).unwrap();
                (guard.to_string(), FleetGuard::origin(&guard))
            });
            asks.recv_timeout(SECOND * 20).unwrap();
            let waiter = threads.spawn(|| {
                let guard = cold.get_or_try_create(never).unwrap();
                (guard.to_string(), FleetGuard::origin(&guard))
            });
            let strict = threads.spawn(|| {
                let fresh = cold.call().accept(FleetAccept::Fresh);
                fresh.get_or_try_create(never).unwrap().to_string()
            });
            wait_until(|| cold.waiters() == 2);
            answer.send(()).unwrap();
            gate.begun();
            assert_eq!(waiter.join().unwrap(), ("old".to_owned(), Origin::Stale));
            let late = cold.get_or_try_create(never).unwrap();
            assert_eq!((&**late, FleetGuard::origin(&late)), ("old", Origin::Stale));
            drop(late);
            wait_until(|| cold.waiters() == 1);
            gate.open();
            assert_eq!(
                leader.join().unwrap(),
                ("new".to_owned(), Origin::CreatedHere)
            );
            // The strict one asks the store again at most.
            let _ = answer.send(());
            assert_eq!(strict.join().unwrap(), "new");
        });
        assert_eq!(&**cold.peek().unwrap(), "new");
        assert_eq!(cold.stats().creations, 1);
    }

    #[test]
    fn one_who_dies_is_replaced_once_when_its_lease_ends() {
        let fleet = Fleet::new();
        let (a, b, c) = (fleet.process(), fleet.process(), fleet.process());
        let (gate, create) = gated("late");
        let creations = AtomicUsize::new(0);
        thread::scope(|threads| {
            // It is not dead, and its lease is not renewed: the clock goes on at once.
            let late = threads.spawn(|| {
                let guard = a.get_or_try_create(create).unwrap();
                (guard.to_string(), FleetGuard::origin(&guard))
            });
            gate.begun();
            fleet.pass(11);
            let create = || {
                |_: Creation<'_, String>| {
                    creations.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, String>("next".to_owned())
                }
            };
            assert_eq!(&**b.get_or_try_create(create()).unwrap(), "next");
            assert_eq!(&**c.get_or_try_create(create()).unwrap(), "next");
            gate.open();
            assert_eq!(
                late.join().unwrap(),
                ("late".to_owned(), Origin::Superseded)
            );
        });
        assert_eq!(creations.into_inner(), 1);
        assert_eq!((a.stats().superseded, b.stats().stored), (1, 1));
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "next");
    }

    #[test]
    fn a_lease_is_renewed_while_its_creator_runs() {
        // By the clock of the system, since the heart beats by that.
        let store = Arc::new(MemoryStore::new());
        let build = || {
            FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60)
                .lease(Duration::from_millis(900))
                .build()
        };
        let (a, b): (FleetDogpile<String, _>, FleetDogpile<String, _>) = (build(), build());
        let (gate, create) = gated("slow");
        thread::scope(|threads| {
            let slow = threads.spawn(|| FleetGuard::origin(&a.get_or_try_create(create).unwrap()));
            gate.begun();
            let waits = threads.spawn(|| b.get_or_try_create(never).unwrap().to_string());
            thread::sleep(Duration::from_millis(2_000));
            gate.open();
            assert_eq!(slow.join().unwrap(), Origin::CreatedHere);
            assert_eq!(waits.join().unwrap(), "slow");
        });
    }

    #[test]
    fn a_creator_that_hangs_keeps_no_lease_beyond_the_cap() {
        let store = Arc::new(MemoryStore::new());
        let build = || {
            FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60)
                .lease(Duration::from_millis(60))
                .max_create_time(Duration::from_millis(200))
                .build()
        };
        let (a, b): (FleetDogpile<String, _>, FleetDogpile<String, _>) = (build(), build());
        let (began, begins) = channel();
        let (go, goes) = channel::<()>();
        let a = &a;
        thread::scope(|threads| {
            let hangs = threads.spawn(move || {
                let guard = a.get_or_try_create(|creation| {
                    began.send(()).unwrap();
                    goes.recv_timeout(SECOND * 20).unwrap();
                    assert!(creation.is_lost(), "it can tell");
                    Ok::<_, String>("late".to_owned())
                });
                FleetGuard::origin(&guard.unwrap())
            });
            begins.recv().unwrap();
            assert_eq!(&**b.get_or_try_create(make("next")).unwrap(), "next");
            go.send(()).unwrap();
            assert_eq!(hangs.join().unwrap(), Origin::Superseded);
        });
    }

    #[test]
    fn verbs_are_counted_two_for_a_regeneration_none_for_a_hit() {
        let fleet = Fleet::new();
        let a = fleet.process();
        let _ = a.get_or_try_create(make("one")).unwrap();
        assert_eq!(a.stats().verbs, 2);
        for _ in 0..100 {
            let _ = a.get_or_try_create(never).unwrap();
        }
        assert_eq!(a.stats().verbs, 2);
        fleet.pass(2);
        let _ = a.get_or_try_create(never).unwrap();
        assert_eq!((a.stats().verbs, a.stats().unchanged), (3, 1));
        fleet.pass(10);
        let _ = a.get_or_try_create(make("two")).unwrap();
        assert_eq!(a.stats().verbs, 5);
    }

    #[test]
    fn the_elected_of_the_background_does_not_wait_for_the_store() {
        let fleet = Fleet::new();
        let a = fleet.process();
        a.set("old".to_owned()).unwrap();
        fleet.pass(10);
        let (gate, create) = gated("new");
        let executor = dogpile::executor::Thread;
        let stale = a.background(&executor).get_or_try_create(create).unwrap();
        assert_eq!(
            (&**stale, FleetGuard::origin(&stale)),
            ("old", Origin::Stale)
        );
        gate.begun();
        gate.open();
        wait_until(|| a.peek().is_some_and(|guard| *guard == "new"));
        assert_eq!(a.stats().stored, 1);
    }

    #[test]
    fn ahead_of_its_end_one_process_renews() {
        let fleet = Fleet::new();
        let build = || {
            fleet
                .builder()
                .refresh_ahead(1e9)
                .local_ttl(SECOND * 10)
                .build()
        };
        let (a, b) = (build(), build());
        let _ = a
            .get_or_try_create(|_| {
                fleet.clock.advance(SECOND);
                Ok::<_, String>("one".to_owned())
            })
            .unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        // So large a factor draws the half of the ttl.
        fleet.pass(4);
        assert!(!FleetGuard::is_stale(&a.get_or_try_create(never).unwrap()));
        fleet.clock.advance(Duration::from_millis(1_001));
        let (gate, create) = gated("two");
        thread::scope(|threads| {
            let leader = threads.spawn(|| a.get_or_try_create(create).unwrap().to_string());
            gate.begun();
            let fresh = b.get_or_try_create(never).unwrap();
            assert_eq!(
                (&**fresh, FleetGuard::origin(&fresh)),
                ("one", Origin::Fresh)
            );
            gate.open();
            assert_eq!(leader.join().unwrap(), "two");
        });
        // It has drawn anew, for what is left.
        fleet.pass(3);
        assert_eq!(&**b.get_or_try_create(never).unwrap(), "two");
    }

    #[test]
    fn the_origin_goes_by_the_ttl_of_the_fleet_and_the_limit_by_its_end() {
        let fleet = Fleet::new();
        let build = || fleet.builder().stale_while_revalidate(SECOND * 5).build();
        let (a, b) = (build(), build());
        a.set("old".to_owned()).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        fleet.pass(9);
        // Past its local ttl, and fresh in the fleet.
        assert_eq!(FleetGuard::origin(&b.peek().unwrap()), Origin::Fresh);
        fleet.pass(6);
        assert_eq!(FleetGuard::origin(&b.peek().unwrap()), Origin::Stale);
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            assert_eq!(&**b.get_or_try_create(never).unwrap(), "old");
            fleet.clock.advance(Duration::from_millis(1));
            assert!(b.peek().is_none(), "its limit is over");
            let late = threads.spawn(|| b.get_or_try_create(never).unwrap().to_string());
            wait_until(|| b.stats().naps > 0);
            // Nor for those who wait behind that one.
            let later = threads.spawn(|| b.get_or_try_create(never).unwrap().to_string());
            gate.open();
            assert_eq!(
                (late.join().unwrap(), later.join().unwrap()),
                ("new".into(), "new".into())
            );
            leader.join().unwrap();
        });
    }
}

mod fleet_backoff {
    use super::*;

    fn fails(_: Creation<'_, String>) -> Result<String, String> {
        Err("down".to_owned())
    }

    #[test]
    fn a_failure_holds_for_all_until_its_span_is_over() {
        let fleet = Fleet::new();
        let build = || fleet.builder().backoff(SECOND, SECOND * 8).build();
        let (a, b) = (build(), build());
        let error = a.get_or_try_create(fails).unwrap_err();
        assert_eq!(error.created().map(String::as_str), Some("down"));
        for process in [&a, &b] {
            let error = process.get_or_try_create(never).unwrap_err();
            assert_eq!(error.retry_in(), Some(SECOND));
        }
        // Each failure doubles it, whoever made the one before.
        for (process, span) in [(&b, 2), (&a, 4), (&b, 8), (&a, 8)] {
            let quiet = a.get_or_try_create(never).unwrap_err().retry_in().unwrap();
            fleet.clock.advance(quiet);
            process.get_or_try_create(fails).unwrap_err();
            let error = a.get_or_try_create(never).unwrap_err();
            assert_eq!(error.retry_in(), Some(SECOND * span));
        }
        fleet.pass(8);
        let _ = b.get_or_try_create(make("up")).unwrap();
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "up");
    }

    #[test]
    fn the_old_value_serves_meanwhile() {
        let fleet = Fleet::new();
        let build = || fleet.builder().backoff(SECOND, SECOND).build();
        let (a, b) = (build(), build());
        a.set("old".to_owned()).unwrap();
        fleet.pass(10);
        a.get_or_try_create(fails).unwrap_err();
        for process in [&a, &b] {
            assert_eq!(&**process.get_or_try_create(never).unwrap(), "old");
        }
        fleet.pass(1);
        assert_eq!(&**b.get_or_try_create(make("new")).unwrap(), "new");
    }

    #[test]
    fn stale_if_error_answers_the_elected_too() {
        let fleet = Fleet::new();
        let a = fleet.builder().stale_if_error(SECOND * 5).build();
        a.set("old".to_owned()).unwrap();
        fleet.pass(12);
        let old = a.get_or_try_create(fails).unwrap();
        assert_eq!((&**old, FleetGuard::origin(&old)), ("old", Origin::Stale));
        drop(old);
        let error = a
            .call()
            .accept(FleetAccept::Fresh)
            .get_or_try_create(never)
            .unwrap_err();
        assert!(error.retry_in().is_some(), "{error:?}");
        fleet.pass(12);
        a.get_or_try_create(fails).unwrap_err();
    }

    #[test]
    fn a_panic_counts_as_a_failure() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let panics = || drop(a.get_or_try_create(|_| -> Result<String, String> { panic!("boom") }));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
        assert!(b.get_or_try_create(never).unwrap_err().retry_in().is_some());
        assert_eq!(a.stats().failures, 1);
    }

    #[test]
    fn writes_and_invalidations_clear_it() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.get_or_try_create(fails).unwrap_err();
        b.invalidate().unwrap();
        a.get_or_try_create(fails).unwrap_err();
        b.expire().unwrap();
        a.get_or_try_create(fails).unwrap_err();
        b.set("set".to_owned()).unwrap();
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "set");
    }

    #[test]
    fn the_interval_holds_for_the_whole_fleet() {
        let fleet = Fleet::new();
        let build = || fleet.builder().min_interval(SECOND * 30).build();
        let (a, b) = (build(), build());
        let _ = a.get_or_try_create(make("one")).unwrap();
        fleet.pass(12);
        assert_eq!(&**b.get_or_try_create(never).unwrap(), "one");
        fleet.pass(18);
        assert_eq!(&**b.get_or_try_create(make("two")).unwrap(), "two");
    }

    #[test]
    fn twenty_processes_ask_a_dead_source_as_often_as_one() {
        let attempts = |size: usize| {
            let fleet = Fleet::new();
            let processes: Vec<_> = (0..size).map(|_| fleet.process()).collect();
            let attempts = AtomicUsize::new(0);
            for _ in 0..600 {
                for process in &processes {
                    let _ = process.get_or_try_create(|_| {
                        attempts.fetch_add(1, Ordering::SeqCst);
                        Err::<String, _>("down")
                    });
                }
                fleet.clock.advance(Duration::from_millis(100));
            }
            attempts.into_inner()
        };
        let (one, twenty) = (attempts(1), attempts(20));
        assert!(one > 5 && twenty <= one + 1, "{one} and {twenty}");
    }

    #[test]
    fn another_type_of_error_is_told_untyped() {
        let fleet = Fleet::new();
        let a = fleet.process();
        let (began, begins) = channel();
        let (go, goes) = channel::<()>();
        let a = &a;
        thread::scope(|threads| {
            let leader = threads.spawn(move || {
                let failed = a.get_or_try_create(|_| {
                    began.send(()).unwrap();
                    goes.recv_timeout(SECOND * 20).unwrap();
                    Err::<String, _>(7_u64)
                });
                *failed.unwrap_err().created().unwrap()
            });
            begins.recv().unwrap();
            let same = threads.spawn(|| {
                a.get_or_try_create(|_| -> Result<_, u64> { panic!() })
                    .unwrap_err()
                    .created()
                    .copied()
            });
            let other = threads.spawn(|| match a.get_or_try_create(never).unwrap_err() {
                FleetError::Failed(foreign) => foreign.downcast_ref::<u64>().copied(),
                other => panic!("{other:?}"),
            });
            wait_until(|| a.waiters() == 2);
            go.send(()).unwrap();
            assert_eq!(leader.join().unwrap(), 7);
            assert_eq!(
                (same.join().unwrap(), other.join().unwrap()),
                (Some(7), Some(7))
            );
        });
    }
}

mod fenced {
    use super::*;

    /// What came after the lease of a creation, and what is there then.
    type After = (
        &'static str,
        fn(&Fleet, &Pile<Faulty<MemoryStore>>),
        Option<&'static str>,
    );

    const AFTER: &[After] = &[
        (
            "a write",
            |_, b| assert!(b.set("newer".to_owned()).is_ok()),
            Some("newer"),
        ),
        ("an invalidation", |_, b| b.invalidate().unwrap(), None),
        (
            "a take-over",
            |fleet, b| {
                fleet.pass(11);
                let _ = b.get_or_try_create(make("newer")).unwrap();
            },
            Some("newer"),
        ),
        ("an expiry", |_, b| b.expire().unwrap(), None),
        (
            "a loss of memory",
            |fleet, b| fleet.store.store.forget(b.key()),
            None,
        ),
    ];

    #[test]
    fn who_comes_late_overwrites_nothing_and_is_told() {
        for (what, after, left) in AFTER {
            let fleet = Fleet::new();
            let (a, b) = (fleet.process(), fleet.process());
            let (gate, create) = gated("late");
            thread::scope(|threads| {
                let late = threads.spawn(|| {
                    let guard = a.get_or_try_create(create).unwrap();
                    (
                        guard.to_string(),
                        FleetGuard::origin(&guard),
                        FleetGuard::version(&guard),
                    )
                });
                gate.begun();
                after(&fleet, &b);
                gate.open();
                let late = late.join().unwrap();
                assert_eq!(
                    late,
                    ("late".to_owned(), Origin::Superseded, Version::NONE),
                    "{what}"
                );
            });
            assert_eq!((a.stats().superseded, a.stats().stored), (1, 0), "{what}");
            // Nobody else is given it, in this process neither.
            let next = left.unwrap_or("next");
            for process in [&a, &b, &fleet.process()] {
                let create = |_: Creation<'_, String>| Ok::<_, String>("next".to_owned());
                let guard = process.get_or_try_create(create).unwrap();
                assert_eq!(&**guard, next, "{what}");
            }
        }
    }

    #[test]
    fn who_waited_for_it_here_asks_for_what_superseded_it() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let (gate, create) = gated("late");
        thread::scope(|threads| {
            let late = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            let waiter = threads.spawn(|| a.get_or_try_create(never).unwrap().to_string());
            wait_until(|| a.waiters() == 1);
            b.set("newer".to_owned()).unwrap();
            gate.open();
            assert_eq!(waiter.join().unwrap(), "newer");
            late.join().unwrap();
        });
    }
}

mod store_first {
    use super::*;

    #[test]
    fn the_copy_here_changes_after_the_store() {
        let fleet = Fleet::new();
        let a = Arc::new(fleet.process());
        a.set("old".to_owned()).unwrap();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (pile, notes) = (Arc::clone(&a), Arc::clone(&seen));
        fleet.store.before(move |verb| {
            let here = pile
                .peek()
                .map(|guard| (guard.to_string(), FleetGuard::is_stale(&guard)));
            notes.lock().unwrap().push((verb.to_owned(), here));
        });
        a.set("new".to_owned()).unwrap();
        a.expire().unwrap();
        a.invalidate().unwrap();
        let here = |text: &str| Some((text.to_owned(), false));
        assert_eq!(
            *seen.lock().unwrap(),
            [
                ("put".to_owned(), here("old")),
                ("invalidate".to_owned(), here("new")),
                ("invalidate".to_owned(), Some(("new".to_owned(), true))),
            ]
        );
        assert!(a.peek().is_none());
    }

    #[test]
    fn what_was_read_before_a_write_is_superseded_here() {
        let fleet = Fleet::new();
        let (a, b) = (Arc::new(fleet.process()), fleet.process());
        b.set("old".to_owned()).unwrap();
        // Between the answer of the store and its publication here, another thread of this process
        // writes: the regeneration has read what came before.
        let store = Arc::new(AfterTheAnswer {
            store: Arc::clone(&fleet.store),
            then: std::sync::Mutex::new(None),
        });
        let c: Arc<FleetDogpile<String, _>> =
            Arc::new(FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10).build());
        let pile = Arc::clone(&c);
        *store.then.lock().unwrap() = Some(Box::new(move || {
            let write = thread::spawn(move || pile.set("new".to_owned()).unwrap());
            write.join().unwrap();
        }));
        // Its own caller began before, and is given what it read; nobody after it is.
        assert_eq!(&**c.get_or_try_create(never).unwrap(), "old");
        assert_eq!(&**c.get_or_try_create(never).unwrap(), "new");
        drop(a);
    }

    /// The first write is at the store, and before it is here another thread writes or invalidates, and
    /// is done: what came last at the store is what counts.
    #[test]
    fn what_came_between_a_write_and_its_copy_here_is_not_overwritten() {
        type Pile = FleetDogpile<String, AfterTheAnswer>;
        type Deed = fn(&Pile);
        let between: [(Deed, Option<&str>); 3] = [
            (
                |pile| assert!(pile.set("second".to_owned()).is_ok()),
                Some("second"),
            ),
            (|pile| pile.invalidate().unwrap(), None),
            (|pile| pile.expire().unwrap(), None),
        ];
        for (deed, left) in between {
            let fleet = Fleet::new();
            let store = Arc::new(AfterTheAnswer {
                store: Arc::clone(&fleet.store),
                then: std::sync::Mutex::new(None),
            });
            let pile: Arc<Pile> =
                Arc::new(FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10).build());
            let other = Arc::clone(&pile);
            *store.then.lock().unwrap() = Some(Box::new(move || {
                thread::spawn(move || deed(&other)).join().unwrap();
            }));
            pile.set("first".to_owned()).unwrap();
            let here = pile.get_or_try_create(make("created")).unwrap().to_string();
            assert_eq!(here, left.unwrap_or("created"));
        }
    }

    /// One begins first and is at the store last, and its end here comes before that of the other: which of
    /// them the store has, this process cannot know.
    #[test]
    fn nor_is_one_that_began_before_and_ended_before() {
        let fleet = Fleet::new();
        let store = Arc::new(AfterTheAnswer {
            store: Arc::clone(&fleet.store),
            then: std::sync::Mutex::new(None),
        });
        let pile: Arc<FleetDogpile<String, AfterTheAnswer>> =
            Arc::new(FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10).build());
        let (begun, begins) = channel();
        let (go, goes) = channel::<()>();
        let goes = std::sync::Mutex::new(Some(goes));
        fleet.store.before(move |_| {
            let goes = goes.lock().unwrap().take();
            if let Some(goes) = goes {
                begun.send(()).unwrap();
                goes.recv_timeout(SECOND * 20).unwrap();
            }
        });
        let first = {
            let pile = Arc::clone(&pile);
            thread::spawn(move || drop(pile.set("first to begin, last to come".to_owned())))
        };
        begins.recv_timeout(SECOND * 20).unwrap();
        *store.then.lock().unwrap() = Some(Box::new(move || {
            go.send(()).unwrap();
            first.join().unwrap();
        }));
        pile.set("second".to_owned()).unwrap();
        let here = pile.get_or_try_create(never).unwrap();
        assert_eq!(&**here, "first to begin, last to come");
    }

    /// The same of a regeneration whose lease here is lost on the way, since the copy here was gone at the
    /// store: what it stored is not brought here over an invalidation of this process.
    #[test]
    fn nor_is_an_invalidation_by_a_regeneration_that_sets_what_it_stored() {
        let fleet = Fleet::new();
        let store = Arc::new(AfterTheAnswer {
            store: Arc::clone(&fleet.store),
            then: std::sync::Mutex::new(None),
        });
        let pile: Arc<FleetDogpile<String, AfterTheAnswer>> = Arc::new(
            FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10)
                .clock(fleet.clock.clone())
                .build(),
        );
        pile.set("old".to_owned()).unwrap();
        fleet.process().invalidate().unwrap();
        fleet.pass(2);
        let (other, armed) = (Arc::clone(&pile), Arc::clone(&store));
        let made = pile.get_or_try_create(move |_| {
            let then = move || {
                thread::spawn(move || other.invalidate().unwrap())
                    .join()
                    .unwrap();
            };
            *armed.then.lock().unwrap() = Some(Box::new(then));
            Ok::<_, String>("stored, and then removed".to_owned())
        });
        drop(made.unwrap());
        assert!(pile.peek().is_none());
        assert_eq!(&**pile.get_or_try_create(make("next")).unwrap(), "next");
    }

    type Then = Box<dyn FnOnce() + Send>;

    struct AfterTheAnswer {
        store: Arc<Faulty<MemoryStore>>,
        then: std::sync::Mutex<Option<Then>>,
    }

    impl Described for AfterTheAnswer {
        fn abilities(&self) -> dogpile_fleet::Abilities {
            self.store.abilities()
        }
    }

    impl dogpile_fleet::Store for AfterTheAnswer {
        fn get_or_lease(
            &self,
            key: &dogpile_fleet::Key,
            ask: &dogpile_fleet::Ask,
        ) -> dogpile_fleet::Answer<dogpile_fleet::Found> {
            let found = self.store.get_or_lease(key, ask);
            let then = self.then.lock().unwrap().take();
            if let Some(then) = then {
                then();
            }
            found
        }

        fn put(
            &self,
            key: &dogpile_fleet::Key,
            put: &dogpile_fleet::Put<'_>,
        ) -> dogpile_fleet::Answer<dogpile_fleet::Placed> {
            let placed = self.store.put(key, put);
            let then = self.then.lock().unwrap().take();
            if let Some(then) = then {
                then();
            }
            placed
        }

        fn renew(
            &self,
            key: &dogpile_fleet::Key,
            grant: dogpile_fleet::Grant,
            lease: Duration,
        ) -> dogpile_fleet::Answer<bool> {
            self.store.renew(key, grant, lease)
        }

        fn release(
            &self,
            key: &dogpile_fleet::Key,
            grant: dogpile_fleet::Grant,
            quiet: Duration,
        ) -> dogpile_fleet::Answer<bool> {
            self.store.release(key, grant, quiet)
        }

        fn invalidate(
            &self,
            key: &dogpile_fleet::Key,
            depth: dogpile_fleet::Depth,
            only: Version,
        ) -> dogpile_fleet::Answer<bool> {
            self.store.invalidate(key, depth, only)
        }

        fn invalidate_all(
            &self,
            namespace: &str,
            depth: dogpile_fleet::Depth,
        ) -> dogpile_fleet::Answer<()> {
            self.store.invalidate_all(namespace, depth)
        }
    }

    /// Whatever is in flight in this process when `invalidate` returns, no call after it yields what was
    /// written before.
    #[test]
    fn of_a_write_and_an_invalidation_at_once_too() {
        let fleet = Fleet::new();
        let a = fleet.process();
        for round in 0..300 {
            let gate = Barrier::new(2);
            let after = thread::scope(|threads| {
                let (a, gate) = (&a, &gate);
                threads.spawn(move || {
                    gate.wait();
                    a.set(format!("{round}")).unwrap();
                });
                let after = threads.spawn(move || {
                    gate.wait();
                    a.invalidate().unwrap();
                    a.peek()
                        .map(|guard| (guard.to_string(), FleetGuard::version(&guard)))
                });
                after.join().unwrap()
            });
            // If it is here, then it was written after the invalidation: the store has it.
            let there = fleet.process();
            let there = there.get_or_try_create(|_| Err::<String, _>("gone"));
            let there = there
                .ok()
                .map(|guard| (guard.to_string(), FleetGuard::version(&guard)));
            assert!(after.is_none() || after == there, "{after:?} and {there:?}");
            a.invalidate().unwrap();
        }
    }

    #[test]
    fn of_two_writes_at_once_the_store_knows_the_last() {
        let fleet = Fleet::new();
        let a = fleet.process();
        for round in 0..200 {
            let gate = Barrier::new(2);
            thread::scope(|threads| {
                for writer in ["a", "b"] {
                    let (a, gate) = (&a, &gate);
                    threads.spawn(move || {
                        gate.wait();
                        a.set(format!("{writer}{round}")).unwrap();
                    });
                }
            });
            let here = a.get_or_try_create(never).unwrap().to_string();
            let there = fleet
                .process()
                .get_or_try_create(never)
                .unwrap()
                .to_string();
            assert_eq!(here, there);
        }
    }
}

mod fleet_invalidate_wins {
    use super::*;

    #[test]
    fn no_call_after_it_yields_what_began_before() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("old".to_owned()).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        a.invalidate().unwrap();
        assert!(a.peek().is_none());
        // A copy elsewhere lives on for its local ttl.
        assert_eq!(&**b.get_or_try_create(never).unwrap(), "old");
        fleet.pass(2);
        assert_eq!(&**b.get_or_try_create(make("new")).unwrap(), "new");
    }

    #[test]
    fn a_copy_does_not_live_on_while_another_creates() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("old".to_owned()).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        a.invalidate().unwrap();
        fleet.pass(2);
        for creator in [&a, &b] {
            let (gate, create) = gated("new");
            let waits = AtomicUsize::new(0);
            thread::scope(|threads| {
                let leader = threads.spawn(|| drop(creator.get_or_try_create(create).unwrap()));
                gate.begun();
                let other = || {
                    let value = b.get_or_try_create(never).unwrap().to_string();
                    waits.fetch_add(1, Ordering::SeqCst);
                    value
                };
                let first = threads.spawn(other);
                // Until it has asked the store, others go on with the copy.
                wait_until(|| b.peek().is_none());
                let others = [first, threads.spawn(other)];
                wait_until(|| b.waiters() >= 1);
                thread::sleep(Duration::from_millis(30));
                assert_eq!(waits.load(Ordering::SeqCst), 0);
                gate.open();
                for other in others {
                    assert_eq!(other.join().unwrap(), "new");
                }
                leader.join().unwrap();
            });
            b.set("old".to_owned()).unwrap();
            fleet.process().invalidate().unwrap();
            fleet.pass(2);
        }
    }

    #[test]
    fn with_a_local_ttl_of_zero_nowhere() {
        let fleet = Fleet::new();
        let build = || fleet.builder().local_ttl(Duration::ZERO).build();
        let (a, b) = (build(), build());
        for round in 0..20 {
            a.set(format!("{round}")).unwrap();
            assert_eq!(&**b.get_or_try_create(never).unwrap(), &format!("{round}"));
            a.invalidate().unwrap();
            let create = |_: Creation<'_, String>| Ok::<_, String>(format!("new {round}"));
            assert_eq!(
                &**b.get_or_try_create(create).unwrap(),
                &format!("new {round}")
            );
        }
    }

    #[test]
    fn with_a_local_ttl_of_zero_a_stale_value_still_serves() {
        let fleet = Fleet::new();
        let build = || fleet.builder().local_ttl(Duration::ZERO).build();
        let (a, b) = (build(), build());
        a.set("old".to_owned()).unwrap();
        fleet.pass(10);
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            for process in [&a, &b] {
                let stale = process.get_or_try_create(never).unwrap();
                assert_eq!(
                    (&**stale, FleetGuard::origin(&stale)),
                    ("old", Origin::Stale)
                );
            }
            gate.open();
            leader.join().unwrap();
        });
        for process in [&a, &b] {
            assert_eq!(&**process.get_or_try_create(never).unwrap(), "new");
        }
    }

    #[test]
    fn with_hints_at_once() {
        let fleet = Fleet::new();
        let build = || fleet.builder().watched().build();
        let (a, b) = (build(), build());
        a.set("one".to_owned()).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        fleet.pass(5);
        let verbs = b.stats().verbs;
        let _ = b.get_or_try_create(never).unwrap();
        assert_eq!(
            b.stats().verbs,
            verbs,
            "a copy that is watched lives for the ttl"
        );
        a.set("two".to_owned()).unwrap();
        assert_eq!(&**b.get_or_try_create(never).unwrap(), "two");
        a.invalidate().unwrap();
        assert!(b.peek().is_none());
        assert_eq!(&**b.get_or_try_create(make("three")).unwrap(), "three");
        a.expire().unwrap();
        assert!(FleetGuard::is_stale(&b.peek().unwrap()));
    }

    /// Another process: a store of its own over the same records.
    fn elsewhere(fleet: &Fleet) -> Arc<Faulty<Arc<Faulty<MemoryStore>>>> {
        Faulty::new(Arc::clone(&fleet.store))
    }

    fn page<S: Store>(fleet: &Fleet, store: &Arc<S>, name: &str) -> FleetBuilder<String, S> {
        FleetDogpile::builder(Arc::clone(store), name, SECOND * 10)
            .clock(fleet.clock.clone())
            .namespace("pages")
    }

    #[test]
    fn of_a_whole_namespace_at_once_here_and_within_the_local_ttl_elsewhere() {
        let fleet = Fleet::new();
        let there = elsewhere(&fleet);
        let (index, about) = (
            page(&fleet, &fleet.store, "index").build(),
            page(&fleet, &fleet.store, "about").build(),
        );
        let other = fleet.process();
        let about_there = page(&fleet, &there, "about").build();
        for pile in [&index, &about, &other] {
            pile.set("old".to_owned()).unwrap();
        }
        let _ = about_there.get_or_try_create(never).unwrap();
        fleet.pass(1);
        let _ = about_there.get_or_try_create(never).unwrap();
        index.invalidate_all().unwrap();
        // Here: the pile itself, and the one of another key.
        assert!(index.peek().is_none() && about.peek().is_none());
        // Elsewhere: until the local ttl is over, and no longer.
        assert_eq!(&**about_there.get_or_try_create(never).unwrap(), "old");
        fleet.pass(1);
        let new = about_there.get_or_try_create(make("new")).unwrap();
        assert_eq!(&**new, "new");
        drop(new);
        assert_eq!(&**about.get_or_try_create(never).unwrap(), "new");
        assert_eq!(&**index.get_or_try_create(make("index")).unwrap(), "index");
        // Another namespace is left alone, and what comes after it is as ever.
        let verbs = index.stats().verbs;
        assert_eq!(&**index.get_or_try_create(never).unwrap(), "index");
        assert_eq!(&**other.get_or_try_create(never).unwrap(), "old");
        assert_eq!(index.stats().verbs, verbs);
    }

    #[test]
    fn a_namespace_that_is_expired_is_stale_to_all_and_serves() {
        let fleet = Fleet::new();
        let there = elsewhere(&fleet);
        let (index, about) = (
            page(&fleet, &fleet.store, "index").build(),
            page(&fleet, &fleet.store, "about").build(),
        );
        let about_there = page(&fleet, &there, "about").build();
        about.set("old".to_owned()).unwrap();
        let _ = about_there.get_or_try_create(never).unwrap();
        index.expire_all().unwrap();
        assert!(FleetGuard::is_stale(&about.peek().unwrap()));
        fleet.pass(2);
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(about_there.get_or_try_create(create).unwrap()));
            gate.begun();
            let stale = about.get_or_try_create(never).unwrap();
            assert_eq!(
                (&**stale, FleetGuard::origin(&stale)),
                ("old", Origin::Stale)
            );
            gate.open();
            leader.join().unwrap();
        });
    }

    /// What runs when a namespace is invalidated is not brought here by any pile of it.
    #[test]
    fn nor_does_a_creation_of_another_key_that_ran_before() {
        let fleet = Fleet::new();
        let (index, about) = (
            page(&fleet, &fleet.store, "index").build(),
            page(&fleet, &fleet.store, "about").build(),
        );
        let (gate, create) = gated("late");
        thread::scope(|threads| {
            let late =
                threads.spawn(|| FleetGuard::origin(&about.get_or_try_create(create).unwrap()));
            gate.begun();
            index.invalidate_all().unwrap();
            gate.open();
            assert_eq!(late.join().unwrap(), Origin::Superseded);
        });
        assert!(about.peek().is_none());
        assert_eq!(&**about.get_or_try_create(make("new")).unwrap(), "new");
        // A pile that is gone is no member of the family any more.
        drop(about);
        index.invalidate_all().unwrap();
    }

    /// A pile that is built, and reads, while the invalidation is on its way to the store.
    #[test]
    fn nor_does_a_pile_that_came_meanwhile() {
        let fleet = Fleet::new();
        let store = elsewhere(&fleet);
        let (index, about) = (
            page(&fleet, &store, "index").build(),
            page(&fleet, &fleet.store, "about").build(),
        );
        about.set("old".to_owned()).unwrap();
        let (begun, begins) = channel();
        let (go, goes) = channel::<()>();
        let goes = std::sync::Mutex::new(goes);
        fleet.store.before(move |verb| {
            if verb == "invalidate_all" {
                begun.send(()).unwrap();
                goes.lock().unwrap().recv_timeout(SECOND * 20).unwrap();
            }
        });
        let built = page(&fleet, &store, "about");
        thread::scope(|threads| {
            let all = threads.spawn(|| index.invalidate_all().unwrap());
            begins.recv_timeout(SECOND * 20).unwrap();
            let built = built.build();
            assert_eq!(&**built.get_or_try_create(never).unwrap(), "old");
            go.send(()).unwrap();
            all.join().unwrap();
            assert!(built.peek().is_none());
        });
    }

    #[test]
    fn a_namespace_with_hints_at_once() {
        let fleet = Fleet::new();
        let there = elsewhere(&fleet);
        let index = page(&fleet, &fleet.store, "index").build();
        let watched = page(&fleet, &there, "about").watched().build();
        let other = FleetDogpile::<String, _>::builder(Arc::clone(&there), "key", SECOND * 10)
            .clock(fleet.clock.clone())
            .watched()
            .build();
        for pile in [&watched, &other] {
            pile.set("old".to_owned()).unwrap();
        }
        let before = (watched.stats().hints, other.stats().hints);
        index.expire_all().unwrap();
        assert!(FleetGuard::is_stale(&watched.peek().unwrap()));
        index.invalidate_all().unwrap();
        assert!(watched.peek().is_none());
        assert!(!FleetGuard::is_stale(&other.peek().unwrap()));
        let after = (watched.stats().hints, other.stats().hints);
        assert_eq!((after.0 - before.0, after.1 - before.1), (2, 0));
    }

    #[test]
    fn a_namespace_is_invalidated_here_though_the_store_does_not_answer() {
        let fleet = Fleet::new();
        let (index, about) = (
            page(&fleet, &fleet.store, "index").build(),
            page(&fleet, &fleet.store, "about").build(),
        );
        about.set("old".to_owned()).unwrap();
        fleet.store.set(Fault::Down);
        assert!(index.invalidate_all().is_err());
        assert!(about.peek().is_none());
        assert_eq!(index.stats().store_errors, 1);
    }

    #[test]
    fn an_expired_value_is_stale_to_all_and_serves() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("old".to_owned()).unwrap();
        a.expire().unwrap();
        assert_eq!(FleetGuard::origin(&a.peek().unwrap()), Origin::Stale);
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            let stale = b.get_or_try_create(never).unwrap();
            assert_eq!(
                (&**stale, FleetGuard::origin(&stale)),
                ("old", Origin::Stale)
            );
            gate.open();
            leader.join().unwrap();
        });
    }

    #[test]
    fn only_what_was_seen() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("one".to_owned()).unwrap();
        let one = a.get_or_try_create(never).unwrap();
        b.set("two".to_owned()).unwrap();
        assert!(!a.expire_if(&one).unwrap() && !a.invalidate_if(&one).unwrap());
        drop(one);
        let two = a.get_or_try_create(never).unwrap();
        assert_eq!(&**two, "two");
        assert!(a.expire_if(&two).unwrap() && b.invalidate_if(&two).unwrap());
    }

    #[test]
    fn newer_than_what_was_seen_and_new() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("bad".to_owned()).unwrap();
        let bad = b.get_or_try_create(never).unwrap();
        let newer = FleetAccept::NewerThan(FleetGuard::version(&bad));
        let good = b
            .call()
            .accept(newer)
            .get_or_try_create(make("good"))
            .unwrap();
        assert_eq!(&**good, "good");
        // The others of this process and of the next do not create it again.
        assert_eq!(
            &**b.call().accept(newer).get_or_try_create(never).unwrap(),
            "good"
        );
        assert_eq!(
            &**a.call().accept(newer).get_or_try_create(never).unwrap(),
            "good"
        );
        assert_eq!(&**a.refresh(make("better")).unwrap(), "better");
        let young = b.call().max_age(SECOND * 3);
        fleet.pass(2);
        assert_eq!(&**young.get_or_try_create(never).unwrap(), "better");
        fleet.pass(2);
        assert_eq!(&**young.get_or_try_create(make("best")).unwrap(), "best");
    }
}

mod compare_and_set {
    use super::*;

    #[test]
    fn is_strict_and_a_conflict_names_what_is_there() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let set = |pile: &Pile<_>, expected, value: &str| {
            pile.compare_and_set(expected, value.to_owned()).unwrap()
        };
        assert_eq!(
            set(&a, Expected::Version(Version(5)), "no"),
            Swap::Conflict(None)
        );
        let Swap::Stored(one) = set(&a, Expected::Absent, "one") else {
            panic!()
        };
        assert_eq!(set(&b, Expected::Absent, "no"), Swap::Conflict(Some(one)));
        let Swap::Stored(two) = set(&b, Expected::Version(one), "two") else {
            panic!()
        };
        assert_eq!(
            set(&a, Expected::Version(one), "no"),
            Swap::Conflict(Some(two))
        );
        // Whoever was told of a conflict asks.
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "two");
        fleet.pass(10);
        assert_eq!(set(&a, Expected::Absent, "no"), Swap::Conflict(Some(two)));
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let fleet = Fleet::new();
        let build = || fleet.builder().local_ttl(Duration::ZERO).build();
        let processes: Vec<_> = (0..4).map(|_| build()).collect();
        let counter = build();
        counter.set("0".to_owned()).unwrap();
        thread::scope(|threads| {
            for process in &processes {
                threads.spawn(|| {
                    let mut stored = 0;
                    while stored < 25 {
                        let seen = process.get_or_try_create(never).unwrap();
                        let next = seen.parse::<u64>().unwrap() + 1;
                        let expected = Expected::Version(FleetGuard::version(&seen));
                        let swap = process.compare_and_set(expected, next.to_string()).unwrap();
                        stored += u32::from(matches!(swap, Swap::Stored(_)));
                    }
                });
            }
        });
        assert_eq!(&**counter.get_or_try_create(never).unwrap(), "100");
    }
}

mod waiters_ask_again {
    use super::*;

    #[test]
    fn a_leader_whose_patience_ends_hands_its_lease_on() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            // It leads its process, in which another waits for it without a limit.
            let hasty = threads.spawn(|| b.call().wait(SECOND).get_or_try_create(never).map(drop));
            wait_until(|| b.stats().naps > 0);
            let patient = threads.spawn(|| b.get_or_try_create(never).unwrap().to_string());
            wait_until(|| b.waiters() == 1);
            fleet.pass(2);
            assert!(hasty.join().unwrap().unwrap_err().is_timed_out());
            gate.open();
            assert_eq!(patient.join().unwrap(), "new");
            leader.join().unwrap();
        });
        assert_eq!(b.stats().creations, 0);
    }

    #[test]
    fn who_may_not_wait_at_all_is_told_so() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let (gate, create) = gated("new");
        thread::scope(|threads| {
            let leader = threads.spawn(|| drop(a.get_or_try_create(create).unwrap()));
            gate.begun();
            let error = b
                .call()
                .wait(Duration::ZERO)
                .get_or_try_create(never)
                .unwrap_err();
            assert!(error.is_timed_out(), "{error:?}");
            gate.open();
            leader.join().unwrap();
        });
    }

    #[test]
    fn nobody_passes_since_a_lease_ended() {
        // The lease ends again and again, and each time one leads.
        let fleet = Fleet::new();
        let processes: Vec<_> = (0..6).map(|_| fleet.process()).collect();
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|threads| {
            for process in &processes {
                threads.spawn(|| {
                    let create = |_: Creation<'_, String>| {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(5));
                        inside.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, String>("value".to_owned())
                    };
                    let _ = process.get_or_try_create(create).unwrap();
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        let creations: u64 = processes
            .iter()
            .map(|process| process.stats().creations)
            .sum();
        assert_eq!(creations, 1);
    }

    #[test]
    fn a_creator_that_asks_its_own_pile_is_told() {
        let fleet = Fleet::new();
        let a = fleet.process();
        let _ = a
            .get_or_try_create(|_| {
                let error = a.get_or_try_create(never).unwrap_err();
                assert!(matches!(error, FleetError::Reentrant), "{error:?}");
                Ok::<_, String>("value".to_owned())
            })
            .unwrap();
    }
}

/// A lease to hand out.
mod attempt {
    use dogpile_fleet::{FleetAttempt, PublishOutcome};

    use super::*;

    #[test]
    fn finds_the_value_the_lease_or_that_somebody_has_it() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let FleetAttempt::Lease(lease) = a.attempt() else {
            panic!()
        };
        assert!(lease.fence().is_some() && !lease.is_lost() && lease.previous().is_none());
        assert_eq!(lease.remaining(), Some(SECOND * 10));
        for process in [&a, &b] {
            assert!(matches!(process.attempt(), FleetAttempt::Busy { .. }));
        }
        let published = lease.publish("one".to_owned());
        assert!(matches!(published.outcome, PublishOutcome::Stored(_)));
        for process in [&a, &b] {
            let FleetAttempt::Hit(guard) = process.attempt() else {
                panic!()
            };
            assert_eq!(&**guard, "one");
        }
        fleet.pass(10);
        let FleetAttempt::Lease(lease) = b.attempt() else {
            panic!()
        };
        let FleetAttempt::Hit(stale) = a.attempt() else {
            panic!()
        };
        assert_eq!(
            (&**stale, FleetGuard::origin(&stale)),
            ("one", Origin::Stale)
        );
        drop(stale);
        // Dropped, it is given up at the store too.
        drop(lease);
        fleet.clock.advance(Duration::from_millis(11));
        let FleetAttempt::Lease(lease) = a.attempt() else {
            panic!()
        };
        let error = lease.fail("down".to_owned());
        assert_eq!(error.created().unwrap(), "down");
        let FleetAttempt::Hit(stale) = b.attempt() else {
            panic!()
        };
        assert!(FleetGuard::is_stale(&stale));
        drop(stale);
        assert_eq!((a.stats().failures, b.stats().failures), (1, 0));
    }

    #[test]
    fn is_told_when_it_comes_too_late() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let FleetAttempt::Lease(lease) = a.attempt() else {
            panic!()
        };
        b.set("newer".to_owned()).unwrap();
        let published = lease.publish("late".to_owned());
        assert_eq!(
            (published.value.as_str(), published.outcome),
            ("late", PublishOutcome::Superseded)
        );
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "newer");
    }

    #[test]
    fn says_for_how_long_nobody_may_create() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        let FleetAttempt::Lease(lease) = a.attempt() else {
            panic!()
        };
        let _ = lease.fail("down".to_owned());
        let FleetAttempt::Busy { retry_in, .. } = b.attempt() else {
            panic!()
        };
        assert_eq!(retry_in, Some(Duration::from_millis(200)));
    }
}

mod store_errors_serve {
    use super::*;

    #[test]
    fn a_store_that_is_down_costs_a_usable_value_nothing() {
        let fleet = Fleet::new();
        let a = fleet.process();
        a.set("old".to_owned()).unwrap();
        fleet.store.set(Fault::Down);
        for _ in 0..30 {
            fleet.pass(1);
            assert_eq!(&**a.get_or_try_create(never).unwrap(), "old");
        }
        // Left alone in between: once in 100 ms, then 200 ... up to 6 s.
        let stats = a.stats();
        assert!(stats.store_errors < 15 && stats.stale > 0, "{stats:?}");
        fleet.store.set(Fault::None);
        fleet.pass(7);
        assert_eq!(&**a.get_or_try_create(make("new")).unwrap(), "new");
        assert_eq!(a.stats().stored, 1);
    }

    #[test]
    fn without_a_value_it_creates_here_and_tells() {
        let fleet = Fleet::new();
        let a = fleet.process();
        fleet.store.set(Fault::Down);
        let made = a.get_or_try_create(|creation| {
            assert_eq!(creation.fence(), None);
            Ok::<_, String>("here".to_owned())
        });
        assert_eq!(FleetGuard::version(&made.unwrap()), Version::NONE);
        assert_eq!(a.stats().unstored, 1);
        // It is fresh by its own account, for its ttl.
        for _ in 0..9 {
            fleet.pass(1);
            assert_eq!(&**a.get_or_try_create(never).unwrap(), "here");
        }
        fleet.pass(2);
        fleet.store.set(Fault::None);
        fleet.pass(6);
        assert_eq!(&**a.get_or_try_create(make("stored")).unwrap(), "stored");
        assert_eq!(a.stats().stored, 1);
    }

    #[test]
    fn what_is_done_is_a_choice() {
        let fleet = Fleet::new();
        let build = |what| fleet.builder().on_store_error(what).build();
        let (fail, local) = (
            build(OnStoreError::Fail),
            build(OnStoreError::CreateLocally),
        );
        for process in [&fail, &local] {
            process.invalidate().unwrap();
            process.set("old".to_owned()).unwrap();
        }
        let _ = fail.get_or_try_create(never).unwrap();
        fleet.store.set(Fault::Down);
        fleet.pass(2);
        // Fresh by its own account.
        assert_eq!(&**local.get_or_try_create(never).unwrap(), "old");
        fleet.pass(10);
        assert_eq!(&**local.get_or_try_create(make("local")).unwrap(), "local");
        let error = fail.get_or_try_create(never).unwrap_err();
        assert!(matches!(error, FleetError::Store(_)), "{error:?}");
    }

    #[test]
    fn a_store_that_is_full_keeps_nobody_from_his_value() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        fleet.store.set(Fault::Full);
        assert_eq!(&**a.get_or_try_create(make("here")).unwrap(), "here");
        assert_eq!((a.stats().unstored, a.stats().stored), (1, 0));
        // The lease is given back, as soon as the store takes that.
        fleet.store.set(Fault::None);
        let create = make("there");
        let waiting = thread::scope(|threads| {
            threads
                .spawn(|| b.get_or_try_create(create).unwrap().to_string())
                .join()
                .unwrap()
        });
        assert_eq!(waiting, "there");
        assert!(a.set("x".to_owned()).is_ok());
        fleet.store.set(Fault::Full);
        assert!(a.set("y".to_owned()).is_err());
    }

    #[test]
    fn an_answer_that_is_lost_leaks_no_lease() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        fleet.store.set(Fault::AnswersLost);
        assert_eq!(&**a.get_or_try_create(make("here")).unwrap(), "here");
        fleet.store.set(Fault::None);
        // The lease that nobody knows of ends by itself.
        fleet.pass(11);
        assert_eq!(&**b.get_or_try_create(make("there")).unwrap(), "there");
    }

    #[test]
    fn a_lease_whose_grant_is_lost_is_asked_for_once_more() {
        let fleet = Fleet::new();
        let (hour, a) = (Duration::from_secs(3600), fleet.builder());
        let (a, b) = (a.lease(hour).build(), fleet.process());
        fleet.store.set(Fault::AnswersLost);
        assert_eq!(&**a.get_or_try_create(make("here")).unwrap(), "here");
        fleet.store.set(Fault::None);
        fleet.pass(11);
        // The store says that somebody leads, as it does to others.
        let others = b.call().wait(Duration::ZERO).get_or_try_create(never);
        assert!(matches!(others, Err(FleetError::TimedOut)));
        let own = a.call().wait(Duration::ZERO);
        assert_eq!(&**own.get_or_try_create(make("there")).unwrap(), "there");
        assert_eq!(a.stats().stored, 1);
        // Once: the next creation is another one.
        a.invalidate().unwrap();
        assert_eq!(&**b.get_or_try_create(make("b")).unwrap(), "b");
    }

    #[test]
    fn a_store_that_lies_costs_a_bounded_time() {
        let fleet = Fleet::new();
        let a = fleet.process();
        a.set("old".to_owned()).unwrap();
        fleet.pass(2);
        fleet.store.set(Fault::Lies);
        let answer = a.get_or_try_create(make("here")).unwrap();
        assert!(["old", "here"].contains(&answer.as_str()));
        assert!(a.stats().verbs < 20, "{:?}", a.stats());
    }

    #[test]
    fn a_store_that_was_emptied_is_filled_by_one() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("old".to_owned()).unwrap();
        let _ = b.get_or_try_create(never).unwrap();
        fleet.store.store.forget(a.key());
        // Within the local ttl nothing is noticed.
        assert_eq!(&**b.get_or_try_create(never).unwrap(), "old");
        fleet.pass(2);
        assert_eq!(&**b.get_or_try_create(make("new")).unwrap(), "new");
        assert_eq!(&**a.get_or_try_create(never).unwrap(), "new");
    }

    #[test]
    fn local_only_leaves_the_store_alone() {
        let fleet = Fleet::new();
        let a = fleet.process();
        let made = a
            .call()
            .local_only()
            .get_or_try_create(make("here"))
            .unwrap();
        assert_eq!(&**made, "here");
        assert_eq!(a.stats().verbs, 0);
        assert_eq!(
            &**fleet.process().get_or_try_create(make("there")).unwrap(),
            "there"
        );
    }
}

mod bytes_are_checked {
    use super::*;

    #[test]
    fn garbled_bytes_are_a_miss_and_counted() {
        let fleet = Fleet::new();
        let (a, b) = (fleet.process(), fleet.process());
        a.set("old".to_owned()).unwrap();
        fleet.store.set(Fault::Garbles);
        // What is read is not what was written: one creates, under a floor above it.
        assert_eq!(&**b.get_or_try_create(make("new")).unwrap(), "new");
        assert_eq!((b.stats().unreadable, b.stats().stored), (1, 1));
        fleet.store.set(Fault::None);
        assert_eq!(&**fleet.process().get_or_try_create(never).unwrap(), "new");
    }

    #[test]
    fn bytes_that_no_pile_wrote_are_a_miss() {
        use dogpile_fleet::{Guarded, Put, Store};
        let fleet = Fleet::new();
        for bytes in [
            &b""[..],
            b"short",
            b"a foreign program wrote this, and it is long enough",
        ] {
            let a = fleet.process();
            let put = Put {
                guard: Guarded::Any,
                bytes,
                age: Duration::ZERO,
                fresh_for: SECOND * 10,
                keep_for: SECOND * 100,
            };
            fleet.store.put(a.key(), &put).unwrap();
            assert_eq!(&**a.get_or_try_create(make("new")).unwrap(), "new");
            assert_eq!(a.stats().unreadable, 1);
        }
    }

    #[test]
    fn formats_are_records_of_their_own() {
        let fleet = Fleet::new();
        let (old, new) = (
            fleet.builder().format(1).build(),
            fleet.builder().format(2).build(),
        );
        old.set("old".to_owned()).unwrap();
        assert_eq!(&**new.get_or_try_create(make("new")).unwrap(), "new");
        assert_eq!(&**old.get_or_try_create(never).unwrap(), "old");
    }
}
