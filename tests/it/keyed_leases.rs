//! The leases of keys alone, and functions whose values are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dogpile::{Error, KeySeat, KeyedDogpile, Leases, Origin, Outcome};

use crate::support::{Census, MINUTE, Runs, Shows as _, burst, bursts, until, within};

mod leases {
    use super::*;

    /// Nine callers at once are served by one; the next creates anew, as nothing is kept.
    #[test]
    fn hand_over_and_keep_nothing() {
        within(|| {
            let (leases, census, runs) = (Leases::new(), Census::default(), Runs::default());
            for round in 1..4 {
                thread::scope(|threads| {
                    for _ in 0..9 {
                        let (leases, census, runs) = (&leases, &census, &runs);
                        threads.spawn(move || {
                            let made = leases.run("a", || {
                                runs.run(|| {
                                    until(|| leases.waiters("a") == 8);
                                    census.value(round)
                                })
                            });
                            assert_eq!(made.number, round);
                        });
                    }
                });
                assert_eq!(runs.count(), round as usize);
                assert_eq!(census.live(), 0);
                assert!(!leases.is_held("a"));
            }
            let _: &Leases<String, _> = &leases;
        });
    }

    /// A lease is held until it ends, and knows whether something came in between.
    #[test]
    fn tell_how_they_stand() {
        let leases = Leases::<u32, u32>::new();
        for supersede in [false, true] {
            assert!(!leases.is_held(&1));
            let KeySeat::Lease(lease) = leases.attempt(&1) else {
                panic!()
            };
            assert!(leases.is_held(&1) && !leases.is_held(&2));
            assert!(!lease.is_superseded());
            if supersede {
                leases.supersede(&1);
            }
            assert_eq!(lease.is_superseded(), supersede);
            assert_eq!(lease.end(7), !supersede);
        }
        assert!(!leases.is_held(&1));
    }

    #[test]
    fn share_a_failure_and_a_panic() {
        within(|| {
            let leases = Leases::<u32, u32>::new();
            let told = AtomicUsize::new(0);
            thread::scope(|threads| {
                for _ in 0..4 {
                    let (leases, told) = (&leases, &told);
                    threads.spawn(move || {
                        let failed = leases.try_run(&1, || {
                            until(|| leases.waiters(&1) == 3);
                            told.fetch_add(1, Ordering::SeqCst);
                            Err("down")
                        });
                        assert!(matches!(failed, Err(Error::Create(_))));
                    });
                }
            });
            assert_eq!(told.into_inner(), 1);
            assert!(bursts(|| leases.run(&1, || burst())));
            assert!(!leases.is_held(&1));
            assert!(
                leases
                    .try_run(&1, || leases.try_run(&1, || Ok::<_, u8>(1)).map(|v| *v))
                    .is_err()
            );
        });
    }

    /// Who holds a lease is told that it was superseded. Who waited before gets its value, who comes
    /// after waits for the next.
    #[test]
    fn are_superseded() {
        within(|| {
            let leases = Leases::<u32, u32>::new();
            let KeySeat::Lease(lease) = leases.attempt(&1) else {
                panic!()
            };
            let KeySeat::Busy(early) = leases.attempt(&1) else {
                panic!()
            };
            leases.supersede(&1);
            let KeySeat::Busy(late) = leases.attempt(&1) else {
                panic!()
            };
            assert!(lease.is_superseded());
            let fence = lease.fence();
            assert!(!lease.end(1));
            match early.wait() {
                Outcome::Value(value) => {
                    assert_eq!((*value, value.origin()), (1, Origin::Superseded))
                }
                other => panic!("{other:?}"),
            }
            assert!(matches!(late.wait(), Outcome::ElectAnew));
            let KeySeat::Lease(lease) = leases.attempt(&1) else {
                panic!()
            };
            assert!(lease.fence() > fence);
            assert!(lease.fail("down").is_failed());
            let KeySeat::Lease(lease) = leases.attempt(&1) else {
                panic!()
            };
            assert!(lease.end(2));
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn of_tasks_are_given_up_when_dropped() {
        within(|| {
            let leases = Leases::<u32, u32>::new();
            let forever = std::future::pending::<Result<u32, u8>>;
            let mut leader = Box::pin(leases.try_run_async(&1, forever));
            assert!(crate::tasks::poll(leader.as_mut()).is_pending());
            let mut next = Box::pin(leases.try_run_async(&1, || async { Ok::<_, u8>(2) }));
            assert!(crate::tasks::poll(next.as_mut()).is_pending());
            drop(leader);
            assert!(
                matches!(crate::tasks::poll(next.as_mut()), std::task::Poll::Ready(Ok(value)) if *value == 2)
            );
            assert!(!leases.is_held(&1));
        });
    }
}

mod cached {
    use super::*;

    #[test]
    fn is_a_function_with_what_stands_beside_it() {
        within(|| {
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            let length = KeyedDogpile::<String, usize>::new(MINUTE).cached(move |text: &String| {
                counted.fetch_add(1, Ordering::SeqCst);
                match text.as_str() {
                    "" => Err("nothing to measure"),
                    text => Ok(text.len()),
                }
            });
            assert!(length.get("seven").is_none());
            assert_eq!(*length.call("seven").unwrap(), 5);
            assert_eq!(*length.call("seven").unwrap(), 5);
            assert_eq!(calls.load(Ordering::SeqCst), 1);
            assert_eq!(*length.refresh("seven").unwrap(), 5);
            assert_eq!(calls.load(Ordering::SeqCst), 2);
            length.set("seven".to_owned(), 7);
            assert_eq!(*length.get("seven").unwrap(), 7);
            length.invalidate("seven");
            assert!(length.get("seven").is_none());
            assert!(length.call("").unwrap_err().is_failed());
            assert!(length.map().is_empty());
        });
    }

    #[cfg(feature = "async")]
    #[test]
    fn is_an_async_function_too() {
        within(|| {
            let length = KeyedDogpile::<String, usize>::new(MINUTE);
            let length = length.cached(|text: String| async move { Ok::<_, u8>(text.len()) });
            assert_eq!(
                *crate::tasks::block_on(length.call_async("seven")).unwrap(),
                5
            );
            length.set("seven".to_owned(), 7);
            assert_eq!(
                *crate::tasks::block_on(length.call_async("seven")).unwrap(),
                7
            );
            assert_eq!(
                *crate::tasks::block_on(length.refresh_async("seven")).unwrap(),
                5
            );
        });
    }
}
