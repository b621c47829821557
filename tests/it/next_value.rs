//! `next_value`: `wait_for_value()` and `wait_for_newer(seen)` wait without ever being elected.
//!
//! ```breakages
//! next-value-in-a-circle | src/keyed/next_value.rs | of_a_key::a_circle_is_an_error
//! - let call = (self.asked.of(visit.site())).by(Watched(&*self.map.shared));
//! + let call = self.asked.of(visit.site());
//!
//! next-value-seen-is-forgotten | src/keyed/next_value.rs | of_a_key::newer_is_what_comes_after_a_removal
//! - let guard = call.wait_for_next(seen)?;
//! + let guard = call.wait_for_next(seen.filter(|_| false))?;
//! ```

use std::sync::{Arc, mpsc};
use std::thread;

use dogpile::{
    Accept, Attempt, Created, Dogpile, Error, KeyedAttempt, KeyedCall, KeyedDogpile, KeyedGuard,
    Origin, Seen, SyncReaderDogpile,
};

use crate::support::{
    Census, Counted, HOUR, LIMIT, MINUTE, SECOND, Shows, burst, bursts, manual, until, within,
};

/// What a waiter got, and how it came about.
type Answer = (u32, Origin);

/// What is asked of a pile of any kind besides the methods that all kinds have.
trait Pile: Send + Sync + 'static {
    fn is(builder: dogpile::Builder<u32>) -> Self;
    /// The answer of a call that waits for a value, or for a newer one.
    fn waits(&self, seen: Option<Seen>) -> Answer;
    /// The same, by the short form.
    fn short(&self, seen: Option<Seen>) -> u32;
    fn count(&self) -> usize;
    /// The lease, if it is free.
    fn lease(&self) -> Option<impl Sized>;
}

macro_rules! pile {
    ($name:ty, $attempt:ident, $builder:ident => $build:expr) => {
        impl Pile for $name {
            fn is($builder: dogpile::Builder<u32>) -> Self {
                $build
            }
            fn waits(&self, seen: Option<Seen>) -> Answer {
                let call = self.call();
                let guard = match seen {
                    None => call.wait_for_value(),
                    seen => call.wait_for_newer(seen),
                };
                let guard = guard.unwrap();
                (*guard, guard.origin())
            }
            fn short(&self, seen: Option<Seen>) -> u32 {
                match seen {
                    None => *self.wait_for_value(),
                    seen => *self.wait_for_newer(seen),
                }
            }
            fn count(&self) -> usize {
                self.waiters()
            }
            fn lease(&self) -> Option<impl Sized> {
                match self.call().attempt() {
                    $attempt::Lease(lease) => Some(lease),
                    _ => None,
                }
            }
        }
    };
}

pile!(Dogpile<u32>, Attempt, builder => builder.build());
pile!(SyncReaderDogpile<u32>, Attempt, builder => builder.build_sync_reader());
pile!(OneOfMany, KeyedAttempt, builder => OneOfMany(builder.build_keyed()));

/// A key of a map.
struct OneOfMany(KeyedDogpile<String, u32>);

impl OneOfMany {
    const KEY: &'static str = "this one";

    fn call(&self) -> KeyedCall<'_, 'static, String, u32, std::hash::RandomState, str> {
        self.0.call(Self::KEY)
    }
    fn wait_for_value(&self) -> KeyedGuard<'_, String, u32> {
        self.0.wait_for_value(Self::KEY)
    }
    fn wait_for_newer(&self, seen: Option<Seen>) -> KeyedGuard<'_, String, u32> {
        self.0.wait_for_newer(Self::KEY, seen)
    }
    fn waiters(&self) -> usize {
        self.0.waiters(Self::KEY)
    }
    fn peek(&self) -> Option<KeyedGuard<'_, String, u32>> {
        self.0.peek(Self::KEY)
    }
    fn set(&self, value: u32) {
        self.0.set(Self::KEY.to_owned(), value);
    }
    fn expire(&self) {
        self.0.expire(Self::KEY);
    }
    fn invalidate(&self) {
        self.0.invalidate(Self::KEY);
    }
}

/// Waits on a thread, and is asleep when this returns.
fn sleeper<P: Pile>(pile: &Arc<P>, seen: Option<Seen>) -> mpsc::Receiver<Answer> {
    let before = pile.count();
    let (tell, told) = mpsc::channel();
    let shared = Arc::clone(pile);
    thread::spawn(move || {
        let _ = tell.send(shared.waits(seen));
    });
    until(|| pile.count() > before);
    told
}

#[track_caller]
fn hears(told: &mpsc::Receiver<Answer>) -> Answer {
    told.recv_timeout(LIMIT / 2).expect("hears nothing")
}

/// It went to sleep again, and was told nothing.
#[track_caller]
fn sleeps_on<P: Pile>(pile: &P, told: &mpsc::Receiver<Answer>, waiters: usize) {
    until(|| pile.count() == waiters);
    assert!(told.try_recv().is_err());
}

/// Runs a test for a pile of each kind.
macro_rules! of_each {
    ($($(#[$attr:meta])* fn $name:ident<$pile:ident>() $body:block)*) => {$(
        $(#[$attr])*
        #[test]
        fn $name() {
            {
                type $pile = Dogpile<u32>;
                within(|| $body);
            }
            {
                type $pile = SyncReaderDogpile<u32>;
                within(|| $body);
            }
            {
                type $pile = OneOfMany;
                within(|| $body);
            }
        }
    )*};
}

fn new<P: Pile>() -> Arc<P> {
    Arc::new(P::is(Dogpile::builder(HOUR)))
}

of_each! {
    fn a_value_that_is_there_is_the_answer<P>() {
        let pile = new::<P>();
        pile.set(1);
        let guard = pile.call().wait_for_value().unwrap();
        assert_eq!((*guard, guard.origin()), (1, Origin::Fresh));
        assert_eq!(pile.short(None), 1);
        assert_eq!(pile.waiters(), 0);
    }

    /// Also while nobody creates, when a call that may create would be given the lease.
    fn so_is_a_stale_one<P>() {
        let pile = new::<P>();
        pile.set(1);
        pile.expire();
        let guard = pile.call().wait_for_value().unwrap();
        assert_eq!((*guard, guard.origin()), (1, Origin::Stale));
    }

    fn a_consumer_may_come_before_the_producer<P>() {
        let pile = new::<P>();
        let (one, other) = (sleeper(&pile, None), sleeper(&pile, None));
        pile.set(7);
        assert_eq!(hears(&one), (7, Origin::CreatedByAnother));
        assert_eq!(hears(&other), (7, Origin::CreatedByAnother));
        assert_eq!(pile.waiters(), 0);
    }

    /// They wait while no lease is held, and are there when one is granted.
    fn a_creation_that_begins_later_wakes_it<P>() {
        let pile = new::<P>();
        let told = sleeper(&pile, None);
        let guard = pile.call().get_or_create(|| {
            assert_eq!(pile.waiters(), 1);
            7
        });
        assert_eq!(guard.unwrap().origin(), Origin::CreatedHere);
        assert_eq!(hears(&told), (7, Origin::CreatedByAnother));
    }

    fn so_does_one_that_runs_already<P>() {
        let pile = new::<P>();
        let mut told = None;
        drop(pile.call().get_or_create(|| {
            told = Some(sleeper(&pile, None));
            7
        }));
        assert_eq!(hears(&told.unwrap()), (7, Origin::CreatedByAnother));
    }

    /// Those of before and those of meanwhile.
    fn all_hear_of_the_same_value<P>() {
        let pile = new::<P>();
        let mut told = vec![sleeper(&pile, None)];
        drop(pile.call().get_or_create(|| {
            told.push(sleeper(&pile, None));
            let shared = Arc::clone(&pile);
            let (tell, hear) = mpsc::channel();
            thread::spawn(move || {
                let guard = shared.call().get_or_create(|| unreachable!("somebody creates"));
                let guard = guard.unwrap();
                let _ = tell.send((*guard, guard.origin()));
            });
            until(|| pile.waiters() == 3);
            told.push(hear);
            7
        }));
        for told in &told {
            assert_eq!(hears(told), (7, Origin::CreatedByAnother));
        }
    }

    fn a_failure_lets_it_wait_on<P>() {
        let pile = new::<P>();
        let before = sleeper(&pile, None);
        let mut meanwhile = None;
        let failed = pile.call().get_or_try_create(|| {
            meanwhile = Some(sleeper(&pile, None));
            Err("down")
        });
        assert!(matches!(failed.map(|v| *v), Err(Error::Create(_))));
        let meanwhile = meanwhile.unwrap();
        sleeps_on(&*pile, &before, 2);
        sleeps_on(&*pile, &meanwhile, 2);
        assert!(pile.call().hit().is_none());
        // Nobody took the lease for it.
        drop(pile.call().get_or_create(|| 7).unwrap());
        assert_eq!(hears(&before).0, 7);
        assert_eq!(hears(&meanwhile).0, 7);
    }

    fn a_panic_lets_it_wait_on<P>() {
        let pile = new::<P>();
        let told = sleeper(&pile, None);
        assert!(bursts(|| drop(pile.call().get_or_create(|| burst()))));
        sleeps_on(&*pile, &told, 1);
        pile.set(7);
        assert_eq!(hears(&told).0, 7);
    }

    fn a_lease_given_up_lets_it_wait_on<P>() {
        let pile = new::<P>();
        let before = sleeper(&pile, None);
        let lease = pile.lease().expect("it is free");
        let meanwhile = sleeper(&pile, None);
        drop(lease);
        sleeps_on(&*pile, &before, 2);
        sleeps_on(&*pile, &meanwhile, 2);
        assert!(pile.lease().is_some(), "it is free");
        until(|| pile.waiters() == 2);
        pile.set(7);
        assert_eq!((hears(&before).0, hears(&meanwhile).0), (7, 7));
    }

    /// What was superseded never was the value.
    fn an_invalidate_lets_it_wait_on<P>() {
        let pile = new::<P>();
        let before = sleeper(&pile, None);
        pile.invalidate();
        sleeps_on(&*pile, &before, 1);
        let mut meanwhile = None;
        let created = pile.call().get_or_create(|| {
            meanwhile = Some(sleeper(&pile, None));
            pile.invalidate();
            1
        });
        assert_eq!(created.unwrap().origin(), Origin::Superseded);
        let meanwhile = meanwhile.unwrap();
        sleeps_on(&*pile, &before, 2);
        sleeps_on(&*pile, &meanwhile, 2);
        pile.set(2);
        assert_eq!((hears(&before).0, hears(&meanwhile).0), (2, 2));
    }

    fn an_expire_lets_it_wait_on<P>() {
        let pile = new::<P>();
        pile.set(1);
        let told = sleeper(&pile, Some(pile.peek().unwrap().seen()));
        pile.expire();
        sleeps_on(&*pile, &told, 1);
        pile.set(2);
        assert_eq!(hears(&told).0, 2);
    }

    /// Handed over, whatever becomes of the value then.
    fn what_it_was_told_it_has<P>() {
        let pile = new::<P>();
        let told = sleeper(&pile, None);
        drop(pile.call().get_or_try_create_with(|_| {
            Ok::<_, ()>(Created::new(7).ttl(std::time::Duration::ZERO).keep(false))
        }));
        assert_eq!(hears(&told).0, 7);
        assert!(pile.call().hit().is_none());
    }

    fn newer_is_not_what_was_seen<P>() {
        let pile = new::<P>();
        pile.set(1);
        let seen = pile.peek().unwrap().seen();
        let told = sleeper(&pile, Some(seen));
        pile.set(2);
        assert_eq!(hears(&told), (2, Origin::CreatedByAnother));
        // From here on there is something newer, however old.
        pile.expire();
        let guard = pile.call().wait_for_newer(seen).unwrap();
        assert_eq!((*guard, guard.origin()), (2, Origin::Stale));
        drop(guard);
        assert_eq!(pile.short(Some(seen)), 2);
        // What was removed is not there.
        pile.invalidate();
        let told = sleeper(&pile, Some(seen));
        drop(pile.call().get_or_create(|| 3).unwrap());
        assert_eq!(hears(&told).0, 3);
    }

    /// A creation that began before the value was set that the caller saw.
    fn newer_is_not_what_was_begun_before<P>() {
        let pile = new::<P>();
        let mut told = None;
        drop(pile.call().get_or_create(|| {
            pile.set(2);
            told = Some(sleeper(&pile, Some(pile.peek().unwrap().seen())));
            1
        }));
        let told = told.unwrap();
        sleeps_on(&*pile, &told, 1);
        pile.set(3);
        assert_eq!(hears(&told).0, 3);
    }

    fn a_limit_ends_the_wait<P>() {
        let (clock, builder) = manual(HOUR);
        let pile = Arc::new(P::is(builder));
        let at_once = pile.call().wait(std::time::Duration::ZERO);
        assert!(at_once.wait_for_value().map(|v| *v).unwrap_err().is_timed_out());
        let shared = Arc::clone(&pile);
        let waiting = thread::spawn(move || {
            shared.call().wait(SECOND).wait_for_value().map(|v| *v)
        });
        let patient = sleeper(&pile, None);
        until(|| pile.waiters() == 2);
        clock.advance(SECOND);
        assert!(waiting.join().unwrap().unwrap_err().is_timed_out());
        sleeps_on(&*pile, &patient, 1);
        pile.set(7);
        assert_eq!(hears(&patient).0, 7);
    }

    /// The options of a call count.
    fn it_takes_what_its_call_takes<P>() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(P::is(builder));
        pile.set(1);
        clock.advance(SECOND);
        let at_once = || pile.call().wait(std::time::Duration::ZERO);
        assert!(at_once().max_age(SECOND).wait_for_value().is_ok());
        assert!(at_once().accept(Accept::New).wait_for_value().is_err());
        assert!(at_once().accept(Accept::NewerThan(pile.peek().unwrap().seen())).wait_for_value().is_err());
        clock.advance(MINUTE);
        assert_eq!(at_once().wait_for_value().unwrap().origin(), Origin::Stale);
        assert!(at_once().accept(Accept::Fresh).wait_for_value().is_err());
        let shared = Arc::clone(&pile);
        let fresh = thread::spawn(move || {
            shared.call().accept(Accept::Fresh).wait_for_value().map(|v| *v)
        });
        until(|| pile.waiters() == 1);
        pile.set(2);
        assert_eq!(fresh.join().unwrap().unwrap(), 2);
    }

    fn in_a_creator_it_is_an_error<P>() {
        let pile = new::<P>();
        let mut inner = None;
        drop(pile.call().get_or_create(|| {
            inner = Some(pile.call().wait_for_value().map(|v| *v).unwrap_err());
            1
        }));
        assert!(matches!(inner, Some(Error::Reentrant)));
        let panics = std::panic::AssertUnwindSafe(|| {
            drop(pile.call().get_or_try_create(|| Ok::<_, ()>(pile.short(None))));
            pile.invalidate();
            drop(pile.call().get_or_try_create(|| Ok::<_, ()>(pile.short(None))));
        });
        let payload = std::panic::catch_unwind(panics).unwrap_err();
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.contains("wait_for_value returns this as an error"), "{text}");
    }
}

/// A value that was handed over goes as soon as all who were told have it and it is replaced.
#[test]
fn nothing_is_kept_for_those_who_waited() {
    within(|| {
        let census = Census::default();
        let pile = Arc::new(Dogpile::<Counted>::new(HOUR));
        let shared = Arc::clone(&pile);
        let waiting = thread::spawn(move || shared.wait_for_value().number);
        until(|| pile.waiters() == 1);
        pile.set(census.value(1));
        assert_eq!(waiting.join().unwrap(), 1);
        pile.invalidate();
        assert_eq!(census.live(), 0);
    });
}

/// The one it holds may be what keeps the next one from coming.
#[test]
fn who_reads_does_not_wait() {
    within(|| {
        let pile = Arc::new(SyncReaderDogpile::with_value(HOUR, 1));
        let guard = pile.wait_for_value();
        let answer = pile.call().wait_for_newer(guard.seen());
        assert!(matches!(answer.map(|v| *v), Err(Error::HoldsReadGuard)));
        let seen = guard.seen();
        drop(guard);
        let write = pile.acquire_write_lock().unwrap();
        let answer = pile.call().wait_for_newer(seen);
        assert!(matches!(answer.map(|v| *v), Err(Error::HoldsWriteLock)));
        drop(write);
        let told = sleeper(&pile, Some(seen));
        pile.acquire_write_lock().unwrap().set(2);
        assert_eq!(hears(&told).0, 2);
    });
}

/// What a key adds.
mod of_a_key {
    use super::*;

    type Map = Arc<KeyedDogpile<u32, u32>>;

    fn map() -> Map {
        Arc::new(KeyedDogpile::new(HOUR))
    }

    fn waiting(map: &Map, key: u32) -> mpsc::Receiver<Answer> {
        let before = map.waiters(&key);
        let (tell, told) = mpsc::channel();
        let shared = Arc::clone(map);
        thread::spawn(move || {
            let guard = shared.wait_for_value(&key);
            let _ = tell.send((*guard, guard.origin()));
        });
        until(|| map.waiters(&key) > before);
        told
    }

    #[test]
    fn another_key_wakes_nobody() {
        within(|| {
            let map = map();
            let (one, other) = (waiting(&map, 1), waiting(&map, 2));
            map.set(1, 10);
            assert_eq!(hears(&one), (10, Origin::CreatedByAnother));
            assert_eq!(map.waiters(&2), 1);
            assert!(other.try_recv().is_err());
            let KeyedAttempt::Lease(lease) = map.attempt(&2) else {
                panic!("nobody took the lease for it");
            };
            drop(lease.publish(20));
            assert_eq!(hears(&other), (20, Origin::CreatedByAnother));
        });
    }

    #[test]
    fn a_call_for_several_keys_wakes_each() {
        within(|| {
            let map = map();
            let told = [waiting(&map, 1), waiting(&map, 2)];
            drop(map.get_or_create_multi(&[1, 2], |wanted| {
                wanted
                    .iter()
                    .map(|key| (**key, **key * 10))
                    .collect::<Vec<_>>()
            }));
            assert_eq!(told.map(|told| hears(&told).0), [10, 20]);
        });
    }

    /// It waits on through all of that, and hears of the next value.
    #[test]
    fn what_empties_the_map_lets_it_wait_on() {
        within(|| {
            let map = map();
            let told = waiting(&map, 1);
            map.invalidate_all();
            assert!(map.remove(&1).is_none());
            map.invalidate_where(|_, _| true);
            map.purge();
            map.expire_all();
            assert_eq!(map.waiters(&1), 1);
            assert!(told.try_recv().is_err());
            map.set(1, 10);
            assert_eq!(hears(&told).0, 10);
        });
    }

    /// Not even one that holds nothing, or whose value weighs more than all room.
    #[test]
    fn a_bound_loses_nobody() {
        within(|| {
            let builder = || Dogpile::<u32>::builder(HOUR).keyed();
            let bounds = [
                builder().max_entries(0),
                builder().max_entries(1),
                builder().max_weight(1, |_: &u32, _: &u32| 2),
            ];
            for bound in bounds {
                let map = Arc::new(bound.build());
                let told = waiting(&map, 1);
                for other in 2..100 {
                    map.set(other, other);
                }
                map.set(1, 10);
                assert_eq!(hears(&told).0, 10);
            }
        });
    }

    /// What was seen of a value that is in the map no more.
    #[test]
    fn newer_is_what_comes_after_a_removal() {
        within(|| {
            let map = map();
            for value in 1..9 {
                map.set(1, value);
            }
            let seen = map.peek(&1).unwrap().seen();
            let at_once = map.call(&1).wait(std::time::Duration::ZERO);
            assert!(at_once.wait_for_newer(seen).is_err());
            map.invalidate(&1);
            assert!(map.is_empty());
            assert!(at_once.wait_for_newer(seen).is_err());
            map.set(1, 10);
            assert_eq!(*map.wait_for_newer(&1, seen), 10);
        });
    }

    /// Two who wait inside creators for what the other creates: one is told, and fails. The other waits on,
    /// since a value may still come.
    #[test]
    fn a_circle_is_an_error() {
        within(|| {
            let map = map();
            let create = |own: u32, other: u32| {
                let created = map.get_or_try_create(&own, || {
                    until(|| map.is_creating(&other));
                    match map.call(&other).wait_for_value() {
                        Ok(next) => Ok(*next + 1),
                        Err(error) => Err(error.is_cycle()),
                    }
                });
                match created.map(|value| *value) {
                    Err(Error::Create(is_cycle)) => {
                        map.set(own, 7);
                        is_cycle.then_some(7)
                    }
                    created => created.ok(),
                }
            };
            let mut made = thread::scope(|threads| {
                let other = threads.spawn(|| create(2, 1));
                [create(1, 2), other.join().unwrap()]
            });
            made.sort_unstable();
            assert_eq!(made, [Some(7), Some(8)]);
        });
    }
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "belongs to another pile")]
fn what_was_seen_elsewhere_is_refused() {
    let (one, other) = (Dogpile::with_value(HOUR, 1), Dogpile::with_value(HOUR, 1));
    let seen = one.peek().unwrap().seen();
    drop(other.call().wait_for_newer(seen));
}

#[cfg(feature = "async")]
mod by_tasks {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::tasks::{Alarm, poll, poll_by};

    fn is_sent<F: Future + Send>(future: F) -> F {
        future
    }

    #[test]
    fn a_consumer_may_come_before_the_producer() {
        let pile = Dogpile::new(HOUR);
        let (alarm, waker) = Alarm::new();
        let mut waiting = pin!(is_sent(pile.wait_for_value_async()));
        assert!(poll_by(&waker, waiting.as_mut()).is_pending());
        assert_eq!((pile.waiters(), alarm.rings()), (1, 0));
        pile.set(7);
        assert_eq!(alarm.rings(), 1);
        let Poll::Ready(guard) = poll_by(&waker, waiting) else {
            panic!("it was woken");
        };
        assert_eq!((*guard, guard.origin()), (7, Origin::CreatedByAnother));
    }

    #[test]
    fn of_readers_too() {
        let pile = SyncReaderDogpile::new(HOUR);
        let mut waiting = pin!(is_sent(pile.wait_for_value_async()));
        assert!(poll(waiting.as_mut()).is_pending());
        let write = pile.acquire_write_lock().unwrap();
        pile.set(1);
        // Told, and kept out.
        assert!(poll(waiting.as_mut()).is_pending());
        write.set(2);
        assert!(poll(waiting.as_mut()).is_pending());
        drop(write);
        let Poll::Ready(guard) = poll(waiting) else {
            panic!("it is let in");
        };
        assert_eq!(*guard, 2);
        let seen = guard.seen();
        drop(guard);
        let mut newer = pin!(is_sent(pile.wait_for_newer_async(seen)));
        assert!(poll(newer.as_mut()).is_pending());
        pile.set(3);
        assert!(matches!(poll(newer), Poll::Ready(guard) if *guard == 3));
    }

    /// It is woken by the end of a creation that brought nothing, and sleeps again.
    #[test]
    fn what_brings_no_value_lets_it_wait_on() {
        let pile = Dogpile::<u32>::new(HOUR);
        let mut waiting = pin!(pile.wait_for_value_async());
        let (alarm, waker) = Alarm::new();
        for turn in 1..4 {
            assert!(poll_by(&waker, waiting.as_mut()).is_pending());
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!("it is free");
            };
            assert!(poll_by(&waker, waiting.as_mut()).is_pending());
            match turn {
                1 => drop(lease),
                2 => drop(lease.fail("down")),
                _ => {
                    pile.invalidate();
                    assert!(lease.publish(1).is_err());
                }
            }
            assert_eq!(alarm.rings(), turn);
        }
        assert!(poll_by(&waker, waiting.as_mut()).is_pending());
        pile.set(7);
        assert!(matches!(poll(waiting), Poll::Ready(guard) if *guard == 7));
    }

    #[test]
    fn one_that_is_dropped_disturbs_nobody() {
        let pile = Dogpile::with_value(HOUR, 1);
        let seen = pile.peek().unwrap().seen();
        let (alarm, waker) = Alarm::new();
        let mut gone = Box::pin(pile.wait_for_newer_async(seen));
        let mut stays = pin!(pile.wait_for_newer_async(seen));
        assert!(poll_by(&waker, gone.as_mut()).is_pending());
        assert!(poll(stays.as_mut()).is_pending());
        assert_eq!(pile.waiters(), 2);
        drop(gone);
        assert_eq!(pile.waiters(), 1);
        pile.set(2);
        assert_eq!(alarm.rings(), 0);
        assert!(matches!(poll(stays), Poll::Ready(guard) if *guard == 2));
        // And it lost nothing.
        let again = pin!(pile.wait_for_newer_async(seen));
        assert!(matches!(poll(again), Poll::Ready(guard) if *guard == 2));
    }

    /// A value that came lies in the hands of a task that is dropped before it takes it.
    #[test]
    fn a_value_that_is_not_fetched_goes_with_the_task() {
        let census = Census::default();
        let pile = Dogpile::new(HOUR);
        let mut waiting = Box::pin(pile.wait_for_value_async());
        assert!(poll(waiting.as_mut()).is_pending());
        pile.set(census.value(1));
        pile.invalidate();
        assert_eq!(census.live(), 1);
        drop(waiting);
        assert_eq!(census.live(), 0);
    }

    #[test]
    fn a_limit_ends_the_wait() {
        let (clock, builder) = manual::<u32>(HOUR);
        let pile = builder.build();
        let mut waiting = pin!(pile.call().wait(SECOND).wait_for_value_async());
        assert!(poll(waiting.as_mut()).is_pending());
        clock.advance(SECOND);
        assert!(matches!(poll(waiting), Poll::Ready(Err(error)) if error.is_timed_out()));
        assert_eq!(pile.waiters(), 0);
        // Without anything to keep it, a limit is refused at once.
        let pile = Dogpile::with_value(HOUR, 1);
        let refused = pin!(pile.call().wait(SECOND).wait_for_value_async());
        assert!(matches!(poll(refused), Poll::Ready(Err(Error::NoTimer))));
    }
}
