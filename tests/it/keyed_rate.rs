//! Of the creations of a map, how many begin in a span.
//!
//! ```breakages
//! who-is-told-before-the-turn-is-not-counted | src/raw/rate.rs | creation_rate::is_told_before_the_turn
//! @ fn retry_in
//! - state.refused += u64::from(retry_in.is_some());
//!
//! the-rate-limits-nothing | src/raw/lease.rs | creation_rate
//! - (Decision::Elect, Some(rate)) => {
//! + (Decision::BackOff(_), Some(rate)) => {
//!
//! the-rate-is-looked-at-before-the-lease | src/raw/lease.rs | creation_rate::one_key_takes_one
//! - let refused = match (decide(usable, availability), look.rate) {
//! + let refused = match (Decision::Elect, look.rate) {
//!
//! a-take-over-is-over-the-rate | src/raw/lease.rs | creation_rate::a_creator_that_hangs
//! - let presses = is_taken || look.presses(usable);
//! + let presses = look.presses(usable);
//!
//! a-form-without-an-error-is-over-the-rate | src/raw/lease.rs | creation_rate::of_the_forms_without
//! - let presses = is_taken || look.presses(usable);
//! + let presses = is_taken;
//!
//! a-stale-value-asks-each-time | src/raw/lease.rs | creation_rate::a_stale_value
//! - if let (Some(_), Some(node)) = (&refused, &current) {
//! + if let (None, Some(node)) = (&refused, &current) {
//!
//! who-presses-makes-others-wait | src/policy/rate.rs | creation_rate::of_the_forms_without
//! - let lacks = self.lacks(now).saturating_add(self.each).min(self.empty());
//! + let lacks = self.lacks(now).saturating_add(self.each);
//!
//! a-clock-that-stepped-back-is-waited-for | src/policy/rate.rs | creation_rate::a_clock_that_steps_back
//! - if lacks > self.empty().saturating_mul(2) {
//! + if false {
//!
//! a-refused-job-is-spent | src/answer/lease.rs | creation_rate_elsewhere::what_never_ran
//! - rate.put_back();
//! + rate.refused();
//!
//! a-job-that-nobody-asked-about-is-spent | src/call/background.rs | creation_rate_elsewhere::what_never_ran
//! - lease.spends_nothing();
//! + drop(lease);
//!
//! who-waits-for-a-turn-waits-in-vain | src/raw/keyed.rs | creation_rate::is_told_before
//! - let rate = look.rate.filter(|_| !look.presses(usable))?;
//! + let rate = look.rate.filter(|_| look.has_waited)?;
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use dogpile::{
    Accept, Error, KeyedAttempt, KeyedBuilder, KeyedDogpile, KeyedGuard, ManualClock, Origin,
};

use crate::forms::Down;
use crate::support::{HOUR, MINUTE, SECOND, Shows as _, burst, bursts, manual, until, within};

type Map = Arc<KeyedDogpile<u32, u32>>;
type Answer<'a> = Result<KeyedGuard<'a, u32, u32>, Error<Down>>;

/// Three creations in thirty seconds, one in ten, and what else is said.
fn paced(
    build: impl FnOnce(dogpile::Builder<u32>) -> KeyedBuilder<u32, u32>,
) -> (Arc<ManualClock>, Map) {
    let (clock, builder) = manual(MINUTE);
    let builder = build(builder).creation_rate(3, 30 * SECOND);
    (clock, Arc::new(builder.build()))
}

fn map() -> (Arc<ManualClock>, Map) {
    paced(|builder| builder.keyed())
}

/// Takes what there is.
fn use_up(map: &Map) {
    let is_over = |key: u32| over(&map.get_or_try_create(&key, || Ok(key))).is_some();
    assert!((1000..1100).any(is_over), "there is no end to it");
}

/// In how long a call may create that was over the rate.
fn over(answer: &Answer<'_>) -> Option<Duration> {
    match answer {
        Err(error @ Error::BackingOff { retry_in, .. }) => {
            assert!(error.is_over_rate() && error.is_backing_off());
            Some(*retry_in)
        }
        _ => None,
    }
}

fn never() -> Result<u32, Down> {
    panic!("it is over the rate")
}

fn create(map: &Map, key: u32) -> Answer<'_> {
    map.get_or_try_create(&key, || Ok(key))
}

mod creation_rate {
    use super::*;

    /// No creation has failed, so there is nothing that the error comes from.
    #[test]
    fn is_no_failure() {
        let (_clock, map) = map();
        use_up(&map);
        let error = map.call(&1).get_or_create(|| 1).unwrap_err();
        assert!(error.is_over_rate());
        assert!(std::error::Error::source(&error).is_none());
    }

    /// Strangers who vary the key.
    #[test]
    fn of_all_keys_together() {
        let (clock, map) = map();
        for key in 0..3 {
            assert_eq!(*create(&map, key).unwrap(), key);
        }
        assert_eq!(over(&map.get_or_try_create(&3, never)), Some(10 * SECOND));
        assert_eq!(*map.get_or_try_create(&2, never).unwrap(), 2);
        clock.advance(9 * SECOND);
        let answer = map.get_or_try_create(&4, never);
        assert_eq!(over(&answer), Some(SECOND));
        let error = answer.unwrap_err();
        assert!(error.to_string().contains("rate of creations"), "{error}");
        clock.advance(SECOND);
        assert_eq!(*create(&map, 4).unwrap(), 4);
        assert!(over(&create(&map, 5)).is_some());
        // However long nobody comes.
        clock.advance(HOUR);
        let begun = (10..20).filter(|key| create(&map, *key).is_ok()).count();
        assert_eq!(begun, 3);
        assert_eq!(map.stats().over_rate, Some(3 + 7));
        // Who was told leaves nothing behind.
        assert_eq!(map.len(), 3 + 1 + 3);
        assert_eq!(
            KeyedDogpile::<u32, u32>::new(MINUTE).stats().over_rate,
            None
        );
    }

    /// Failures, panics and what is given up cost the source as much as values do.
    #[test]
    fn counts_each_creation_that_began() {
        let (_clock, map) = map();
        assert!(map.get_or_try_create(&1, || Err(Down(1))).is_err());
        assert!(bursts(|| map.get_or_create(&2, || burst())));
        match map.attempt(&3) {
            KeyedAttempt::Lease(lease) => drop(lease),
            other => panic!("{other:?}"),
        }
        assert!(over(&map.get_or_try_create(&4, never)).is_some());
    }

    /// What is there, what another creates and what is set takes none.
    #[test]
    fn counts_nothing_else() {
        let (clock, map) = map();
        for key in 0..100 {
            map.set(key, key);
            assert_eq!(*map.get_or_create(&key, || 7), key);
        }
        let created = map.get_or_try_create(&100, || {
            map.expire(&0);
            assert_eq!(*create(&map, 0)?, 0);
            let busy = map.call(&100).wait(Duration::ZERO);
            assert!(busy.get_or_try_create(never).is_err());
            Ok::<_, Error<Down>>(100)
        });
        assert_eq!(*created.unwrap(), 100);
        assert!(create(&map, 101).is_ok());
        assert!(over(&create(&map, 102)).is_some());
        clock.advance(10 * SECOND);
        assert!(create(&map, 102).is_ok());
    }

    /// Of many callers of one key one creates, and needs one; nobody who could wait for it is told
    /// that there is none.
    #[test]
    fn one_key_takes_one() {
        within(|| {
            for _ in 0..50 {
                let (_clock, map) = map();
                assert!(create(&map, 1).is_ok() && create(&map, 2).is_ok());
                let (start, runs) = (Barrier::new(16), AtomicUsize::new(0));
                thread::scope(|threads| {
                    for _ in 0..16 {
                        threads.spawn(|| {
                            start.wait();
                            let create = || {
                                runs.fetch_add(1, Ordering::SeqCst);
                                Ok::<_, Down>(3)
                            };
                            assert_eq!(*map.get_or_try_create(&3, create).unwrap(), 3);
                        });
                    }
                });
                assert_eq!(runs.into_inner(), 1);
                assert_eq!(map.stats().over_rate, Some(0));
            }
        });
    }

    #[test]
    fn of_calls_that_ask_for_more() {
        let (_clock, map) = map();
        map.set(1, 1);
        use_up(&map);
        assert!(over(&map.refresh(&1, never)).is_some());
        let fresh = map.call(&1).accept(Accept::New).wait(HOUR);
        assert!(over(&fresh.get_or_try_create(never)).is_some());
        map.expire(&1);
        let fresh = map.call(&1).accept(Accept::Fresh);
        assert!(over(&fresh.get_or_try_create(never)).is_some());
        assert_eq!(*map.get_or_try_create(&1, never).unwrap(), 1);
        // Its creator cannot fail, but the call can say so.
        let answer = map.call(&2).get_or_create(|| panic!("it is over the rate"));
        assert!(answer.unwrap_err().is_over_rate());
    }

    /// A limit to waiting is not waited for.
    #[test]
    fn nobody_waits_for_it() {
        within(|| {
            let (_clock, map) = map();
            use_up(&map);
            let answer = map.call(&1).wait(HOUR).get_or_try_create(never);
            assert_eq!(over(&answer), Some(10 * SECOND));
        });
    }

    #[test]
    fn a_stale_value_is_served_at_the_cost_of_a_hit() {
        let (clock, map) = map();
        map.set(1, 1);
        map.expire(&1);
        use_up(&map);
        assert!(map.call(&1).hit().is_none());
        let stale = map.get_or_try_create(&1, never).unwrap();
        assert_eq!((*stale, stale.origin()), (1, Origin::Stale));
        assert!(KeyedGuard::failure(&stale).is_none());
        drop(stale);
        // From here on it asks nobody until there is one again.
        for _ in 0..9 {
            assert_eq!(*map.call(&1).hit().unwrap(), 1);
            clock.advance(SECOND);
        }
        assert!(map.call(&1).hit().is_some());
        clock.advance(SECOND);
        assert!(map.call(&1).hit().is_none());
        assert_eq!(*map.get_or_try_create(&1, || Ok::<_, Down>(2)).unwrap(), 2);
    }

    #[test]
    fn a_fallback_stands_in() {
        let (clock, map) = paced(|builder| {
            let builder = builder.stale_while_revalidate(Duration::ZERO);
            builder.stale_if_error(HOUR).keyed()
        });
        map.set(1, 1);
        clock.advance(2 * MINUTE);
        use_up(&map);
        let held = map.get_or_try_create(&1, never).unwrap();
        assert_eq!((*held, held.origin()), (1, Origin::Fallback));
        let failure = KeyedGuard::failure(&held).unwrap();
        assert!(failure.downcast_ref::<dogpile::OverRate>().is_some());
        assert!(failure.to_string().contains("rate of creations"));
    }

    /// The short forms have no error to tell it with: they create, and count. They do not make it worse
    /// for those who are told.
    #[test]
    fn of_the_forms_without_an_error() {
        let (clock, map) = map();
        for key in 0..100 {
            assert_eq!(*map.get_or_create(&key, || key), key);
        }
        assert_eq!(over(&map.get_or_try_create(&100, never)), Some(10 * SECOND));
        map.expire(&1);
        assert_eq!(
            *map.get_or_create(&1, || panic!("there is a stale value")),
            1
        );
        clock.advance(10 * SECOND);
        assert!(create(&map, 100).is_ok());
        let several = map.get_or_create_multi(&[101, 102], |wanted| {
            let one = |key: &&u32| (**key, **key);
            wanted.iter().map(one).collect::<Vec<_>>()
        });
        assert!(several.iter().all(Option::is_some));
    }

    #[test]
    fn of_attempts() {
        let (clock, map) = map();
        use_up(&map);
        match map.attempt(&1) {
            KeyedAttempt::NotYet(not_yet) => {
                assert_eq!(not_yet.retry_in, 10 * SECOND);
                assert!(not_yet.value.is_none());
            }
            other => panic!("{other:?}"),
        }
        map.set(2, 2);
        map.expire(&2);
        match map.attempt(&2) {
            KeyedAttempt::NotYet(not_yet) => assert_eq!(*not_yet.value.unwrap(), 2),
            other => panic!("{other:?}"),
        }
        clock.advance(10 * SECOND);
        assert!(matches!(map.attempt(&1), KeyedAttempt::Lease(_)));
    }

    /// Each key counts; those beyond are told, and not passed on.
    #[test]
    fn of_calls_for_several_keys() {
        let (_clock, map) = map();
        map.set(10, 10);
        map.set(11, 11);
        map.expire(&11);
        let answers = map.get_or_try_create_multi(&[1, 10, 2, 3, 4, 11], |wanted| {
            assert_eq!(wanted, [&1, &2, &3]);
            Ok::<_, Down>(
                wanted
                    .iter()
                    .map(|key| (**key, Ok(**key)))
                    .collect::<Vec<_>>(),
            )
        });
        let had: Vec<_> = answers
            .iter()
            .map(|answer| over(answer).is_none())
            .collect();
        assert_eq!(had, [true, true, true, true, false, true]);
        assert_eq!(*map.get_or_create(&3, || 7), 3);
    }

    /// Who would wait for a turn, only to be told then, is told at once.
    #[test]
    fn is_told_before_the_turn() {
        within(|| {
            let (_clock, map) = paced(|builder| builder.keyed().creation_limit(1));
            assert!(create(&map, 1).is_ok() && create(&map, 2).is_ok());
            let outer = map.get_or_try_create(&3, || {
                thread::scope(|threads| {
                    let other = threads.spawn(|| over(&map.get_or_try_create(&4, never)));
                    assert_eq!(other.join().unwrap(), Some(10 * SECOND));
                });
                assert_eq!(map.stats().over_rate, Some(1));
                Ok::<_, Down>(3)
            });
            assert!(outer.is_ok());
        });
    }

    /// What a creator calls for counts too.
    #[test]
    fn of_nested_creations() {
        let (_clock, map) = paced(|builder| builder.keyed().creation_limit(1));
        let outer = map.get_or_try_create(&1, || {
            assert!(create(&map, 2).is_ok() && create(&map, 3).is_ok());
            Ok::<_, Down>(u32::from(over(&create(&map, 4)).is_some()))
        });
        assert_eq!(*outer.unwrap(), 1);
    }

    /// Its lease is taken over whatever the rate, which is no reason to wait for it for ever.
    #[test]
    fn a_creator_that_hangs_is_succeeded() {
        within(|| {
            let (clock, map) = paced(|builder| builder.max_create_time(SECOND).keyed());
            let KeyedAttempt::Lease(late) = map.attempt(&1) else {
                panic!()
            };
            use_up(&map);
            thread::scope(|threads| {
                let waiter = threads.spawn(|| *create(&map, 1).unwrap());
                until(|| map.stats().waiters == 1);
                clock.advance(SECOND);
                assert_eq!(waiter.join().unwrap(), 1);
            });
            assert!(over(&create(&map, 2)).is_some());
            drop(late);
        });
    }

    /// A back-off is told as such, and takes none.
    #[test]
    fn beside_a_backoff() {
        let (clock, map) = paced(|builder| {
            let backoff = dogpile::Backoff::constant(5 * SECOND);
            builder.backoff(backoff).keyed()
        });
        for _ in 0..10 {
            let answer = map.get_or_try_create(&1, || Err(Down(1)));
            assert!(answer.is_err_and(|error| !error.is_over_rate()));
        }
        assert!(create(&map, 2).is_ok() && create(&map, 3).is_ok());
        assert!(over(&create(&map, 4)).is_some());
        clock.advance(10 * SECOND);
        assert!(create(&map, 1).is_ok());
    }

    /// A clock that steps back gives nothing, and blocks nobody for longer than an empty bucket does.
    #[test]
    fn a_clock_that_steps_back() {
        let (clock, map) = map();
        use_up(&map);
        clock.set(dogpile::Tick::ZERO);
        assert_eq!(over(&map.get_or_try_create(&1, never)), Some(10 * SECOND));
        clock.advance(30 * SECOND);
        let begun = (0..10).filter(|key| create(&map, *key).is_ok()).count();
        assert_eq!(begun, 3);
    }
}

#[cfg(feature = "async")]
mod creation_rate_elsewhere {
    use std::sync::Mutex;

    use dogpile::Refused;
    use dogpile::executor::{Blocking, Executor, Job, Thread};

    use super::*;
    use crate::tasks::{block_on, poll};

    #[test]
    fn of_tasks() {
        let (clock, map) = map();
        use_up(&map);
        let answer = block_on(map.get_or_try_create_async(&1, || async { never() }));
        assert_eq!(over(&answer), Some(10 * SECOND));
        let several = map.get_or_try_create_multi_async(&[1, 2], |wanted: Vec<&u32>| async move {
            assert!(wanted.is_empty(), "they are over the rate");
            Ok::<_, Down>(Vec::<(u32, Result<u32, Down>)>::new())
        });
        assert!(
            block_on(several)
                .iter()
                .all(|answer| over(answer).is_some())
        );
        clock.advance(10 * SECOND);
        // A stranger who hangs up has cost the source one.
        let mut gone = Box::pin(map.get_or_create_async(&1, std::future::pending));
        assert!(poll(gone.as_mut()).is_pending());
        drop(gone);
        assert!(over(&create(&map, 2)).is_some());
    }

    #[test]
    fn of_jobs() {
        within(|| {
            let (clock, map) = map();
            map.set(1, 1);
            map.expire(&1);
            use_up(&map);
            let call = || map.background(&1, &Thread);
            assert_eq!(*call().get_or_try_create(never).unwrap(), 1);
            assert!(call().renew(never).unwrap_err().is_over_rate());
            assert!(over(&map.background(&2, &Thread).get_or_try_create(never)).is_some());
            let task = map.background(&2, &Thread);
            let answer = block_on(task.get_or_try_create_async(|| async { never() }));
            assert!(over(&answer).is_some());
            clock.advance(10 * SECOND);
            assert!(call().renew(|| Ok::<_, Down>(2)).unwrap());
            until(|| !map.is_creating(&1));
            assert_eq!(*map.get_or_try_create(&1, never).unwrap(), 2);
            assert!(over(&create(&map, 2)).is_some());
        });
    }

    /// Refuses, or keeps the job, or says that nobody may wait here.
    #[derive(Default)]
    struct Odd {
        refuses: bool,
        needs: bool,
        jobs: Mutex<Vec<Job>>,
    }

    impl Executor for Odd {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            match self.refuses {
                true => Err(Refused::new("full")),
                false => {
                    self.jobs.lock().unwrap().push(job);
                    Ok(())
                }
            }
        }

        fn blocking_here(&self) -> Blocking {
            match self.needs {
                true => Blocking::Refuse(Refused::new("needed")),
                false => Blocking::Wait,
            }
        }
    }

    /// A job that did not begin has cost the source nothing.
    #[test]
    fn what_never_ran_is_put_back() {
        let (_clock, map) = map();
        let (full, needed) = (
            Odd {
                refuses: true,
                ..Odd::default()
            },
            Odd {
                needs: true,
                ..Odd::default()
            },
        );
        let shelf = Odd::default();
        for key in 0..10 {
            for executor in [&full, &needed] {
                let answer = map.background(&key, executor).get_or_try_create(never);
                assert!(answer.unwrap_err().is_refused());
            }
            assert!(map.background(&key, &full).renew(never).is_err());
            assert!(map.background(&key, &shelf).renew(never).unwrap());
            shelf.jobs.lock().unwrap().clear();
        }
        let begun = (10..20).filter(|key| create(&map, *key).is_ok()).count();
        assert_eq!(begun, 3);
        assert_eq!(map.stats().over_rate, Some(7));
    }
}
