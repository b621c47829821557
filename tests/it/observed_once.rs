//! `observed_once`: each end of a lease is one event, after the waiters were woken; what is counted
//! adds up; who creates is known; nothing that an observer does harms the pile.
//!
//! ```breakages
//! who-joins-those-who-wait-is-not-counted | src/raw/lease.rs | waits_are_counted
//! @ fn join
//! - Self::count_wait(&mut state, policy);
//!
//! ends-are-not-noted | src/raw/counts.rs
//! - watch.note(told);
//! + drop((watch, told));
//!
//! a-dropped-lease-has-no-length | src/answer/lease.rs
//! - if self.is_unrun || policy.counts() {
//! + if self.is_unrun {
//!
//! told-before-the-gate-opens | src/answer/lease.rs
//!   self.end_with_nothing(site);
//!   }
//! + if let Some(watch) = &self.watch { watch.tell(&site.settings.cold.watcher); }
//!
//! a-superseded-end-counts-as-published | src/raw/counts.rs
//! - true => end.superseded(),
//! + true => end,
//!
//! spells-end-at-a-failure | src/observe/tally.rs
//! - _ => None,
//! + _ => { self.stale_since = None; None }
//!
//! time-outs-are-not-counted | src/call/election/mod.rs
//! - pile.count_time_out(&settings.policy);
//! + let _ = (settings, pile);
//!
//! jobs-pass-for-their-callers | src/call/election/mod.rs
//! - (Role::Starts, _) => By::Job,
//! + (Role::Starts, _) => By::Thread,
//!
//! a-fresh-value-is-served-stale | src/raw/counts.rs
//! - let served = node.stale_from() <= look.now && look.now < node.usable_until();
//! + let served = look.now < node.usable_until();
//!
//! calls-come-from-nowhere | src/call/forms.rs
//! - self.location = Some(Location::caller());
//!
//! waits-for-itself-as-it-begins | src/answer/lease.rs
//! - let _inside = Inside::enter(creation, None);
//! + let _ = creation;
//!
//! a-panic-goes-on | src/observe/watch.rs
//! - contain(|| observer.event(&Event::Ended(ended)));
//! + observer.event(&Event::Ended(ended));
//!
//! a-take-over-is-told-to-nobody | src/raw/lease.rs
//! @ pub(crate) fn attempt(
//! - look.watcher.tell(taken.told);
//!
//! nor-is-one-at-the-gate | src/raw/lease.rs
//! @ pub(crate) fn evict(
//! - look.watcher.tell(taken.told);
//!
//! a-late-end-is-told-too | src/raw/end.rs
//! @ fn end(
//! - if Self::is_late_end(&mut state, fence) {
//! + if Self::is_late_end(&mut state, fence) { Self::count_end(&mut state, ended, false, seen);
//!
//! who-leaves-a-map-was-never-counted | src/keyed/shared.rs
//! - self.retired.lock().add(counters);
//! + let _ = counters;
//!
//! polls-are-outside-of-the-scope | src/reentrancy.rs
//! - if let Some(watch) = watch {
//! + if let (Some(watch), Form::Closure) = (watch, form) {
//!
//! who-waits-for-the-next-is-not-counted | src/raw/lease.rs | waits_are_counted
//! @ pub(crate) fn await_next
//! - Self::count_wait(&mut state, policy);
//!
//! a-take-over-is-told-under-the-lock | src/raw/lease.rs | a_take_over_is_told_outside_of_the_lock
//! @ pub(crate) fn evict(
//! - drop(state);
//!
//! a-spell-begins-a-moment-later | src/raw/counts.rs | a_spell_begins_while_the_value_is_stale
//! - node.stale_from() <= look.now
//! + node.stale_from() < look.now
//!
//! a-sum-without-the-refused | src/observe/stats.rs | a_map_adds_up_every_counter
//! - *refused += others.refused;
//! + *refused *= others.refused;
//!
//! of-several-keys-none-begins | src/keyed/multi.rs | a_scope_is_around_what_is_created_by_hand
//! - lease.tell_begin();
//! ```

use std::cell::Cell;
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use dogpile::observe::{Begun, End, Ended, Event, Holder, Observer, Scope};
use dogpile::{
    Attempt, Created, Dogpile, Error, KeyedAttempt, ManualClock, Outcome, SyncReaderDogpile,
};

use crate::forms::{By, Down, Form, each_form};
use crate::support::{
    HOUR, LIMIT, MINUTE, NANO, OnDrop, SECOND, burst, bursts, manual, until, within,
};
use crate::tasks::poll_by;

type Act = Box<dyn Fn(&Ended) + Send + Sync>;

/// An observer that keeps what it is told, and then does something.
#[derive(Default)]
struct Log {
    told: Mutex<Vec<Ended>>,
    act: Option<Act>,
}

impl Observer for Log {
    fn event(&self, event: &Event) {
        let Event::Ended(ended) = event else { return };
        self.told.lock().unwrap().push(ended.clone());
        if let Some(act) = &self.act {
            act(ended);
        }
    }
}

impl Log {
    fn acting(act: impl Fn(&Ended) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            act: Some(Box::new(act)),
            ..Self::default()
        })
    }

    fn len(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    fn ends(&self) -> Vec<&'static str> {
        let told = self.told.lock().unwrap();
        told.iter().map(|ended| ended.end.name()).collect()
    }

    /// The only one, or the last of so many. It may come after the answer of a call whose creator runs
    /// elsewhere.
    #[track_caller]
    fn last_of(&self, number: usize) -> Ended {
        until(|| self.len() >= number);
        let told = self.told.lock().unwrap();
        assert_eq!(told.len(), number, "{told:?}");
        told[number - 1].clone()
    }
}

/// A new log, and a pile of each form that it observes.
fn each(body: impl Fn(&Form, &Log)) {
    let clock = Arc::new(ManualClock::new());
    let log = Mutex::new(Arc::new(Log::default()));
    each_form(
        || {
            *log.lock().unwrap() = Arc::new(Log::default());
            let observer = Arc::clone(&*log.lock().unwrap());
            Dogpile::builder(MINUTE)
                .clock(clock.clone())
                .observer(observer)
        },
        |form| {
            let log = Arc::clone(&*log.lock().unwrap());
            body(form, &log);
        },
    );
}

#[test]
fn each_end_is_one_event_in_every_form() {
    within(|| {
        each(|form, log| {
            assert!(form.get(|| Err(Down(1))).is_err());
            let ended = log.last_of(1);
            assert!(
                matches!(&ended.end, End::Failed(failure) if failure.downcast_ref() == Some(&Down(1)))
            );
            let fence = ended.fence;

            match form.is_in_background() {
                true => assert!(matches!(form.get(|| burst()), Err(Error::Panicked(_)))),
                false => assert!(bursts(|| form.get(|| burst()))),
            }
            let ended = log.last_of(2);
            assert!(
                matches!(&ended.end, End::Panicked(failure) if failure.text().unwrap().contains("burst"))
            );
            assert!(ended.fence > fence);

            let pile = Arc::clone(&form.pile);
            let own = form.waiting_of(1);
            let answer = form.get(move || {
                until(|| pile.waiters() == own);
                Ok(Created::new(3))
            });
            assert_eq!(answer.unwrap().0, 3);
            let ended = log.last_of(3);
            assert!(matches!(ended.end, End::Published), "{ended:?}");
            assert_eq!(ended.waiters, own);
            assert_eq!((ended.took, ended.served_stale), (Duration::ZERO, None));

            form.pile.invalidate();
            let pile = Arc::clone(&form.pile);
            let answer = form.get(move || {
                pile.invalidate();
                Ok(Created::new(4))
            });
            assert_eq!(answer.unwrap().0, 4);
            let ended = log.last_of(4);
            assert!(matches!(ended.end, End::Superseded(None)), "{ended:?}");

            let pile = Arc::clone(&form.pile);
            let answer = form.get(move || {
                pile.invalidate();
                Err(Down(5))
            });
            assert!(answer.is_err());
            let ended = log.last_of(5);
            assert!(matches!(ended.end, End::Superseded(Some(_))), "{ended:?}");

            let counters = form.pile.stats().counters.unwrap();
            let counted = |name| counters.ends().find(|end| end.0 == name).unwrap().1;
            assert_eq!(counters.begun, 5);
            assert_eq!(counters.ends().map(|end| end.1).sum::<u64>(), 5);
            assert_eq!((counted("failed"), counted("panicked")), (1, 1));
            assert_eq!((counted("published"), counted("superseded")), (1, 2));
        });
    });
}

/// What a creator took, by the clock of the pile; and how many waited.
#[test]
fn it_tells_the_length_and_the_waiters() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let log = Arc::new(Log::default());
        let pile = builder.observer(log.clone()).build();
        thread::scope(|threads| {
            drop(pile.get_or_create(|| {
                for _ in 0..3 {
                    threads.spawn(|| *pile.get_or_create(|| unreachable!()));
                }
                until(|| pile.waiters() == 3);
                clock.advance(5 * SECOND);
                7
            }));
        });
        let ended = log.last_of(1);
        assert_eq!((ended.took, ended.waiters), (5 * SECOND, 3));
        assert_eq!(pile.stats().counters.unwrap().waits, 3);
        // A lease that is dropped has a length, too.
        pile.expire();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        clock.advance(2 * SECOND);
        drop(lease);
        let ended = log.last_of(2);
        assert_eq!((ended.end.name(), ended.took), ("given_up", 2 * SECOND));
    });
}

/// The observer is told while a waiter has its answer: it waits for that.
#[test]
fn the_waiters_were_woken_before() {
    within(|| {
        for fails in [false, true] {
            let (tell, told) = mpsc::channel();
            let told = Mutex::new(told);
            let log = Log::acting(move |_| {
                let told = told.lock().unwrap().recv_timeout(LIMIT / 2);
                told.expect("the waiter waits for the observer");
            });
            let pile = Arc::new(Dogpile::builder(MINUTE).observer(log.clone()).build());
            let shared = Arc::clone(&pile);
            let _ = pile.get_or_try_create(|| {
                thread::spawn(move || {
                    let answer = shared.get_or_try_create(|| Ok::<u32, Down>(8));
                    assert_eq!(answer.is_err(), fails);
                    tell.send(()).unwrap();
                });
                until(|| pile.waiters() == 1);
                match fails {
                    true => Err(Down(1)),
                    false => Ok(7),
                }
            });
            // A panic there would have been contained.
            assert_eq!(log.len(), 1);
            assert_eq!(log.ends(), [if fails { "failed" } else { "published" }]);
        }
    });
}

/// From the first stale election to the next value.
#[test]
fn a_spell_of_stale_answers_is_one() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let log = Arc::new(Log::default());
        let pile = builder.observer(log.clone()).build();
        let stale_for = || pile.stats().stale_for;
        pile.set(1);
        clock.advance(2 * MINUTE);
        // Nobody has asked for it yet.
        assert_eq!(stale_for(), None);
        for _ in 0..3 {
            assert!(pile.get_or_try_create(|| Err::<u32, _>(Down(1))).is_err());
            clock.advance(SECOND);
        }
        assert_eq!(stale_for(), Some(3 * SECOND));
        assert_eq!(pile.stats().counters.unwrap().stale_spells, 1);
        drop(pile.get_or_create(|| {
            clock.advance(SECOND);
            2
        }));
        assert_eq!(log.last_of(4).served_stale, Some(4 * SECOND));
        assert_eq!(stale_for(), None);
        // The next is another.
        pile.expire();
        drop(pile.get_or_create(|| 3));
        assert_eq!(log.last_of(5).served_stale, Some(Duration::ZERO));
        assert_eq!(pile.stats().counters.unwrap().stale_spells, 2);
        // A value that was set ends one as well; so does none.
        for ends in [
            (|pile: &Dogpile<u32>| pile.set(4)) as fn(&Dogpile<u32>),
            Dogpile::invalidate,
        ] {
            pile.set(3);
            pile.expire();
            assert!(pile.get_or_try_create(|| Err::<u32, _>(Down(1))).is_err());
            assert!(stale_for().is_some());
            ends(&pile);
            assert_eq!(stale_for(), None);
        }
        // A fresh value that is renewed was never served stale.
        pile.set(5);
        let before = pile.stats().counters.unwrap().stale_spells;
        drop(pile.refresh(|| Ok::<_, Down>(6)).unwrap());
        assert_eq!(pile.stats().counters.unwrap().stale_spells, before);
    });
}

/// A spell begins with the first caller who is elected while the value is stale: from its first instant to
/// its last.
#[test]
fn a_spell_begins_while_the_value_is_stale() {
    let (clock, builder) = manual(MINUTE);
    let pile = (builder.stale_while_revalidate(MINUTE).stats(true)).build();
    for (age, spells) in [
        (MINUTE + NANO, 1),
        (2 * MINUTE, 1),
        // Gone, it is served to nobody.
        (2 * MINUTE + NANO, 0),
    ] {
        pile.set(1);
        clock.advance(age);
        let before = pile.stats().counters.unwrap().stale_spells;
        assert!(pile.get_or_try_create(|| Err::<u32, _>(Down(1))).is_err());
        let after = pile.stats().counters.unwrap().stale_spells;
        assert_eq!(after - before, spells, "{age:?}");
    }
}

/// So are waits: for the value that somebody else brings, and for a creation.
#[test]
fn waits_are_counted() {
    within(|| {
        let builder = Dogpile::<u32>::builder(MINUTE).stats(true);
        let pile = builder.stale_while_revalidate(MINUTE).build();
        let waits = || pile.stats().counters.unwrap().waits;
        thread::scope(|threads| {
            let next = threads.spawn(|| *pile.wait_for_value());
            until(|| pile.waiters() == 1);
            assert_eq!(waits(), 1);
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!()
            };
            let other = threads.spawn(|| *pile.get_or_create(|| panic!("it is created")));
            until(|| pile.waiters() == 2);
            assert_eq!(waits(), 2);
            drop(lease.publish(7));
            assert_eq!((next.join().unwrap(), other.join().unwrap()), (7, 7));
        });
        assert_eq!((*pile.wait_for_value(), waits()), (7, 2));
        // Who has a stale value to go on with waits only if it says so.
        pile.expire();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let Attempt::Busy(busy) = pile.attempt() else {
            panic!()
        };
        assert_eq!(waits(), 2);
        assert!(matches!(busy.wait_for(Duration::ZERO), Outcome::TimedOut));
        assert_eq!(waits(), 3);
        drop(lease.publish(8));
    });
}

#[test]
fn time_outs_are_counted() {
    within(|| {
        let pile = Dogpile::<u32>::builder(MINUTE).stats(true).build();
        let timed_out = || pile.stats().counters.unwrap().timed_out;
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let call = pile.call().wait(Duration::ZERO);
        assert!(call.get_or_create(|| 7).unwrap_err().is_timed_out());
        assert_eq!(timed_out(), 1);
        #[cfg(feature = "async")]
        {
            let call = call.get_or_create_async(std::future::pending);
            let answer = crate::tasks::block_on(call);
            assert!(answer.unwrap_err().is_timed_out());
            assert_eq!(timed_out(), 2);
        }
        let before = timed_out();
        let Attempt::Busy(busy) = pile.attempt() else {
            panic!()
        };
        assert!(matches!(busy.wait_for(Duration::ZERO), Outcome::TimedOut));
        assert!(call.wait_for_value().unwrap_err().is_timed_out());
        assert_eq!(timed_out(), before + 2);
        drop(lease);
    });
}

/// What is dropped and what an executor does not run.
#[test]
fn given_up_and_refused() {
    within(|| {
        let log = Arc::new(Log::default());
        let pile = Arc::new(Dogpile::builder(MINUTE).observer(log.clone()).build());
        drop(pile.attempt());
        assert!(matches!(log.last_of(1).end, End::GivenUp));
        #[cfg(feature = "async")]
        {
            use dogpile::Refused;
            use dogpile::executor::{Executor, Job};
            use std::pin::pin;
            use std::task::{Context, Waker};

            // A task that is dropped while it creates.
            {
                let mut call = pin!(pile.get_or_create_async(std::future::pending::<u32>));
                let mut context = Context::from_waker(Waker::noop());
                assert!(call.as_mut().poll(&mut context).is_pending());
                assert_eq!(log.len(), 1);
            }
            let ended = log.last_of(2);
            assert!(matches!(ended.end, End::GivenUp), "{ended:?}");
            assert!(matches!(ended.holder, Holder::Task));
            struct Full;
            impl Executor for Full {
                fn spawn(&self, _job: Job) -> Result<(), Refused> {
                    Err(Refused::new("full"))
                }
            }
            assert!(pile.background(&Full).get_or_create(|| 7).is_err());
            let ended = log.last_of(3);
            assert!(matches!(ended.end, End::Refused(_)), "{ended:?}");
            assert!(matches!(ended.holder, Holder::Job));
            assert_eq!(pile.stats().counters.unwrap().refused, 1);
        }
    });
}

/// An event comes though the old value panics when it is dropped.
#[test]
fn also_when_a_value_panics_as_it_is_dropped() {
    within(|| {
        let log = Arc::new(Log::default());
        let pile = Dogpile::builder(MINUTE).observer(log.clone()).build();
        pile.set(OnDrop::new(|| burst()));
        assert!(bursts(|| pile.refresh(|| Ok::<_, Down>(OnDrop::quiet()))));
        assert!(matches!(log.last_of(1).end, End::Published));
    });
}

/// In the middle of its creation a pile tells who is at it, in every form.
#[test]
fn the_holder_is_known() {
    within(|| {
        each(|form, log| {
            let pile = Arc::clone(&form.pile);
            let (in_background, by_thread) = (form.is_in_background(), form.by == By::Thread);
            let caller = thread::current().id();
            let answer = form.get(move || {
                let creating = pile.stats().creating.unwrap();
                assert_eq!(creating.held_for, Some(Duration::ZERO));
                match creating.holder.unwrap() {
                    Holder::Thread(holder) => assert_eq!((by_thread, holder.id()), (true, caller)),
                    Holder::Task => assert!(!by_thread && !in_background),
                    Holder::Job => assert!(in_background),
                    holder => panic!("{holder:?}"),
                }
                assert_eq!(creating.location.is_some(), by_thread);
                Ok(Created::new(7))
            });
            answer.unwrap();
            log.last_of(1);
            assert!(form.pile.stats().creating.is_none());
        });
    });
}

/// Where the elected call was made: in the lines of the caller, whatever the form.
#[test]
fn the_location_is_that_of_the_call() {
    within(|| {
        fn here(location: Option<&Location<'_>>, line: u32) -> bool {
            location.is_some_and(|location| (location.file(), location.line()) == (file!(), line))
        }
        let log = Arc::new(Log::default());
        let pile = Arc::new(Dogpile::builder(MINUTE).observer(log.clone()).build());
        let reader = SyncReaderDogpile::builder(MINUTE)
            .observer(log.clone())
            .build_sync_reader();
        let mut number = 0;
        let mut is_at = |line| {
            number += 1;
            assert!(here(log.last_of(number).location, line), "number {number}");
            pile.invalidate();
            reader.invalidate();
        };
        let ok = || Ok::<_, Down>(7);
        let get = || Ok(dogpile::Lookup::NeedRegeneration);
        drop(pile.get_or_create(|| 7));
        is_at(line!() - 1);
        drop(pile.get_or_try_create(ok));
        is_at(line!() - 1);
        drop(pile.get_or_try_create_with(|_| ok().map(Created::new)));
        is_at(line!() - 1);
        drop(pile.call().get_or_create(|| 7));
        is_at(line!() - 1);
        drop(pile.call().get_or_try_create(ok));
        is_at(line!() - 1);
        drop(pile.refresh(ok));
        is_at(line!() - 1);
        drop(pile.call().refresh(ok));
        is_at(line!() - 1);
        drop(pile.acquire(ok, get));
        is_at(line!() - 1);
        drop(pile.acquire_with(|_| ok().map(Created::new), get));
        is_at(line!() - 1);
        drop(pile.attempt());
        is_at(line!() - 1);
        drop(pile.attempt_owned());
        is_at(line!() - 1);
        drop(pile.call().attempt_acquire(get));
        is_at(line!() - 1);
        drop(reader.get_or_create(|| 7));
        is_at(line!() - 1);
        drop(reader.get_or_try_create(ok));
        is_at(line!() - 1);
        drop(reader.get_or_try_create_with(|_| ok().map(Created::new)));
        is_at(line!() - 1);
        drop(reader.acquire(ok, get));
        is_at(line!() - 1);
        drop(reader.refresh(ok));
        is_at(line!() - 1);
        drop(reader.attempt());
        is_at(line!() - 1);
    });
}

/// An observer may ask the pile for anything: it is under no lock, and the lease is free.
#[test]
fn it_may_call_the_pile() {
    within(|| {
        let slot: Arc<Mutex<Option<Arc<SyncReaderDogpile<u32>>>>> = Arc::default();
        let shared = Arc::clone(&slot);
        let log = Log::acting(move |ended| {
            let pile = shared.lock().unwrap().clone().unwrap();
            // Another thread comes through as well.
            thread::scope(|threads| threads.spawn(|| drop(pile.stats())).join().unwrap());
            if let End::Failed(_) = ended.end {
                assert_eq!(*pile.get_or_create(|| 2), 2);
                assert_eq!(pile.waiters(), 0);
                drop(pile.acquire_write_lock().unwrap());
                pile.set(3);
            }
        });
        let builder = SyncReaderDogpile::builder(MINUTE).observer(log.clone());
        let pile = Arc::new(builder.build_sync_reader());
        *slot.lock().unwrap() = Some(Arc::clone(&pile));
        let answer = pile.get_or_try_create_with(|creating| {
            // The gate is closed until the lease is over.
            let write = pile.acquire_write_lock().unwrap();
            write.until_published(&creating);
            Err::<Created<u32>, _>(Down(1))
        });
        assert!(answer.is_err());
        assert_eq!(log.ends(), ["failed", "published"]);
        assert_eq!(*pile.peek().unwrap(), 3);
        *slot.lock().unwrap() = None;
    });
}

thread_local! {
    /// How many scopes this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// An observer that puts a scope around each creation.
#[derive(Default)]
struct Scoping {
    begun: AtomicUsize,
    live: Arc<AtomicUsize>,
    ended: Arc<Mutex<Vec<u64>>>,
}

struct Depth(Arc<AtomicUsize>, Arc<Mutex<Vec<u64>>>);

impl Observer for Scoping {
    fn event(&self, event: &Event) {
        let Event::Ended(ended) = event else { return };
        // The scope was told before.
        assert_eq!(self.ended.lock().unwrap().last(), Some(&ended.fence));
        self.begun.fetch_add(100, Ordering::SeqCst);
    }

    fn begin(&self, begun: &Begun) -> Option<Box<dyn Scope>> {
        assert!(begun.fence > 0);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(1, Ordering::SeqCst);
        Some(Box::new(Depth(
            Arc::clone(&self.live),
            Arc::clone(&self.ended),
        )))
    }
}

impl Scope for Depth {
    fn enter(&self) {
        DEPTH.set(DEPTH.get() + 1);
    }

    fn leave(&self) {
        DEPTH.set(DEPTH.get() - 1);
    }

    fn end(&self, ended: &Ended) {
        assert_eq!(DEPTH.get(), 0);
        self.1.lock().unwrap().push(ended.fence);
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Of a lease that is held by hand, and of each key of several.
#[test]
fn a_scope_is_around_what_is_created_by_hand() {
    within(|| {
        let observer = Arc::new(Scoping::default());
        let begun = || observer.begun.load(Ordering::SeqCst);
        let builder = || Dogpile::<u32>::builder(MINUTE).observer(observer.clone());
        let pile = builder().build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!("it is free");
        };
        assert_eq!(begun(), 1);
        drop(lease.publish(1));
        assert_eq!(begun(), 101);
        let map = builder().build_keyed::<u32>();
        let KeyedAttempt::Lease(lease) = map.attempt(&1) else {
            panic!("it is free");
        };
        assert_eq!(begun(), 102);
        drop(lease.publish(1));
        drop(map.get_or_create_multi(&[1, 2, 3], |wanted| {
            assert_eq!((wanted.len(), begun()), (2, 204));
            assert_eq!(DEPTH.get(), 2);
            let one = |key: &&u32| (**key, **key);
            wanted.iter().map(one).collect::<Vec<_>>()
        }));
        assert_eq!(begun(), 404);
    });
}

#[test]
fn a_scope_is_around_the_creator() {
    within(|| {
        let observer = Mutex::new(Arc::new(Scoping::default()));
        each_form(
            || {
                *observer.lock().unwrap() = Arc::new(Scoping::default());
                let observer = Arc::clone(&*observer.lock().unwrap());
                Dogpile::builder(MINUTE).observer(observer)
            },
            |form| {
                let observer = Arc::clone(&*observer.lock().unwrap());
                let answer = form.get(|| {
                    assert_eq!(DEPTH.get(), 1);
                    Ok(Created::new(7))
                });
                assert_eq!(answer.unwrap().0, 7);
                assert_eq!(DEPTH.get(), 0);
                until(|| observer.live.load(Ordering::SeqCst) == 0);
                // Begun once, ended once.
                assert_eq!(observer.begun.load(Ordering::SeqCst), 101);
                // A hit is not seen.
                if !form.acquires {
                    assert_eq!(form.get(|| Err(Down(1))).unwrap().0, 7);
                    assert_eq!(observer.begun.load(Ordering::SeqCst), 101);
                }
            },
        );
    });
}

/// Each poll of a creator's future, and the drop of it.
#[test]
#[cfg(feature = "async")]
fn a_scope_is_around_each_poll() {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    within(|| {
        let observer = Arc::new(Scoping::default());
        let pile = Dogpile::builder(MINUTE).observer(observer.clone()).build();
        let dropped = Arc::new(AtomicUsize::new(0));
        {
            let dropped = Arc::clone(&dropped);
            let mut call = pin!(pile.get_or_create_async(|| {
                assert_eq!(DEPTH.get(), 1);
                let held = OnDrop::new(move || {
                    dropped.store(DEPTH.get(), Ordering::SeqCst);
                });
                poll_fn(move |_| {
                    let _held = &held;
                    assert_eq!(DEPTH.get(), 1);
                    Poll::<u32>::Pending
                })
            }));
            for _ in 0..3 {
                let mut context = Context::from_waker(Waker::noop());
                assert!(call.as_mut().poll(&mut context).is_pending());
                assert_eq!(DEPTH.get(), 0);
            }
        }
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(observer.live.load(Ordering::SeqCst), 0);
        assert_eq!(observer.begun.load(Ordering::SeqCst), 101);
    });
}

/// An observer whose every method panics, its destructors included.
struct Bursting(Arc<AtomicUsize>);

impl Bursting {
    fn burst(&self) -> ! {
        self.0.fetch_add(1, Ordering::SeqCst);
        burst()
    }
}

impl Observer for Bursting {
    fn event(&self, _event: &Event) {
        self.burst()
    }

    fn begin(&self, begun: &Begun) -> Option<Box<dyn Scope>> {
        match begun.fence {
            1 => self.burst(),
            _ => Some(Box::new(Bursting(Arc::clone(&self.0)))),
        }
    }
}

impl Scope for Bursting {
    fn enter(&self) {
        self.burst()
    }

    fn leave(&self) {
        self.burst()
    }

    fn end(&self, _ended: &Ended) {
        self.burst()
    }
}

impl Drop for Bursting {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) > 2 {
            self.burst()
        }
    }
}

#[test]
fn a_panic_in_it_is_contained() {
    within(|| {
        let bursts = Arc::new(AtomicUsize::new(0));
        let observer = Arc::new(Bursting(Arc::clone(&bursts)));
        let pile = Dogpile::builder(MINUTE).observer(observer).build();
        assert_eq!(*pile.get_or_create(|| 1), 1);
        assert_eq!(bursts.load(Ordering::SeqCst), 2);
        // In, out, at the end, the event, and the drop.
        assert_eq!(*pile.refresh(|| Ok::<_, Down>(2)).unwrap(), 2);
        assert_eq!(bursts.load(Ordering::SeqCst), 7);
        assert!(pile.refresh(|| Err(Down(3))).is_err());
        drop(pile.call().accept(dogpile::Accept::New).attempt());
        let counters = pile.stats().counters.unwrap();
        assert_eq!((counters.published, counters.failed), (2, 1));
        assert_eq!(counters.given_up, 1);
    });
}

/// In `begin` the lease is held: a call of the pile would wait for itself, and is told so.
#[test]
fn a_call_as_it_begins_does_not_wait_for_itself() {
    struct Asking {
        pile: Mutex<Option<Arc<SyncReaderDogpile<u32>>>>,
        told: Mutex<Vec<String>>,
    }
    impl Observer for Asking {
        fn event(&self, _event: &Event) {}

        fn begin(&self, _begun: &Begun) -> Option<Box<dyn Scope>> {
            let pile = self.pile.lock().unwrap().clone().unwrap();
            let answer = pile.get_or_try_create(|| Ok::<_, Down>(1));
            let told = match answer {
                Ok(value) => value.to_string(),
                Err(error) => format!("{error:?}"),
            };
            self.told.lock().unwrap().push(told);
            None
        }
    }
    within(|| {
        let asking = Arc::new(Asking {
            pile: Mutex::default(),
            told: Mutex::default(),
        });
        let builder = SyncReaderDogpile::builder(MINUTE).observer(asking.clone());
        let pile = Arc::new(builder.build_sync_reader());
        *asking.pile.lock().unwrap() = Some(Arc::clone(&pile));
        assert_eq!(*pile.get_or_create(|| 7), 7);
        pile.expire();
        assert_eq!(*pile.get_or_create(|| 8), 8);
        assert_eq!(*asking.told.lock().unwrap(), ["Reentrant", "7"]);
        *asking.pile.lock().unwrap() = None;
    });
}

/// Without it being asked for, nothing is counted; what goes on is told all the same.
#[test]
fn nothing_is_counted_by_default() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        let _ = pile.get_or_try_create(|| Err::<u32, _>(Down(1)));
        clock.advance(SECOND);
        drop(pile.get_or_create(|| {
            let stats = pile.stats();
            assert!(stats.counters.is_none());
            let creating = stats.creating.unwrap();
            assert!(creating.fence > 0);
            assert!(creating.holder.is_none() && creating.held_for.is_none());
            7
        }));
        let (failure, age) = pile.stats().last_failure.unwrap();
        assert_eq!((failure.downcast_ref(), age), (Some(&Down(1)), SECOND));
    });
}

/// What a log line shows of a pile.
#[test]
fn debug_shows_the_same() {
    within(|| {
        let (clock, builder) = manual::<u32>(HOUR);
        let pile = builder.stats(true).build_sync_reader();
        let _ = pile.get_or_try_create(|| Err::<u32, _>(Down(1)));
        drop(pile.get_or_create(|| {
            clock.advance(SECOND);
            let shown = format!("{pile:?}");
            for word in [
                "held_for: Some(1s)",
                "holder: Some(Thread(",
                "observed_once.rs",
                "waiters: 0",
                "failed: 1",
                "last_failure: Some((Failure(",
                "retry_in: None",
            ] {
                assert!(shown.contains(word), "{word} in {shown}");
            }
            7
        }));
    });
}

/// A take-over is the end of the lease that it ends. What becomes of the late creator is none.
#[test]
fn a_take_over_is_an_end() {
    within(|| {
        let log = Arc::new(Log::default());
        let (clock, builder) = manual::<u32>(MINUTE);
        let builder = builder.max_create_time(10 * SECOND).observer(log.clone());
        let pile = builder.build();
        let Attempt::Lease(late) = pile.attempt() else {
            panic!()
        };
        clock.advance(11 * SECOND);
        let Attempt::Lease(next) = pile.attempt() else {
            panic!()
        };
        let ended = log.last_of(1);
        assert!(matches!(ended.end, End::TakenOver));
        assert_eq!((ended.fence, ended.took), (late.fence(), 11 * SECOND));
        let creating = pile.stats().creating.unwrap();
        assert_eq!(
            (creating.fence, creating.held_for),
            (next.fence(), Some(Duration::ZERO))
        );
        drop(late.fail(Down(1)));
        log.last_of(1);
        assert_eq!(*next.publish(2).unwrap(), 2);
        assert!(matches!(log.last_of(2).end, End::Published));
        let counters = pile.stats().counters.unwrap();
        let counted = (
            counters.begun,
            counters.taken_over,
            counters.failed,
            counters.published,
        );
        assert_eq!(counted, (2, 1, 0, 1));
    });
}

/// So is one by a reader whom the late creator keeps out.
#[test]
fn a_take_over_at_a_gate_is_an_end() {
    within(|| {
        let log = Arc::new(Log::default());
        let (clock, builder) = manual::<u32>(MINUTE);
        let builder = builder.max_create_time(10 * SECOND).observer(log.clone());
        let pile = builder.build_sync_reader();
        // So that no number is the first by chance.
        pile.set(0);
        pile.invalidate();
        let (closed, is_closed) = mpsc::channel();
        let (open, may_open) = mpsc::channel::<()>();
        thread::scope(|threads| {
            let pile = &pile;
            let late = threads.spawn(move || {
                pile.get_or_try_create_with(|creating| {
                    let lock = pile.acquire_write_lock().unwrap();
                    lock.until_published(&creating);
                    closed.send(()).unwrap();
                    may_open.recv_timeout(LIMIT).unwrap();
                    Ok::<_, Down>(Created::new(1))
                })
                .map(|value| *value)
                .unwrap()
            });
            is_closed.recv_timeout(LIMIT).unwrap();
            clock.advance(11 * SECOND);
            assert_eq!(*pile.get_or_create(|| 2), 2);
            open.send(()).unwrap();
            late.join().unwrap();
        });
        assert_eq!(log.ends(), ["taken_over", "published"]);
    });
}

/// An observer that is told of a take-over may ask the pile, too; so may the waker of a task that waits
/// for what is taken over, by a caller whom a gate keeps out.
#[test]
fn a_take_over_is_told_outside_of_the_lock() {
    struct Asks(Weak<SyncReaderDogpile<u32>>, AtomicUsize);
    impl Asks {
        fn ask(&self) {
            drop(self.0.upgrade().map(|pile| pile.stats()));
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            self.ask();
        }
    }
    impl Observer for Asks {
        fn event(&self, event: &Event) {
            if matches!(event, Event::Ended(ended) if matches!(ended.end, End::TakenOver)) {
                self.ask();
            }
        }
    }
    within(|| {
        for by_gate in [false, true] {
            let (clock, builder) = manual::<u32>(MINUTE);
            let observer = Arc::new(Mutex::new(None::<Arc<Asks>>));
            struct Later(Arc<Mutex<Option<Arc<Asks>>>>);
            impl Observer for Later {
                fn event(&self, event: &Event) {
                    let asks = self.0.lock().unwrap().clone();
                    if let Some(asks) = asks {
                        asks.event(event);
                    }
                }
            }
            let builder = builder.max_create_time(10 * SECOND);
            let pile = builder
                .observer(Arc::new(Later(observer.clone())))
                .build_sync_reader();
            let pile = Arc::new(pile);
            let asks = || Arc::new(Asks(Arc::downgrade(&pile), AtomicUsize::new(0)));
            let (told, woken) = (asks(), asks());
            *observer.lock().unwrap() = Some(told.clone());
            let dogpile::ReadAttempt::Lease(late) = pile.attempt() else {
                panic!()
            };
            let mut waits = pin!(pile.get_or_create_async(async || 3));
            let waker = Waker::from(woken.clone());
            assert!(poll_by(&waker, waits.as_mut()).is_pending());
            if by_gate {
                late.run(|creating| {
                    let lock = pile.acquire_write_lock().unwrap();
                    lock.until_published(&creating);
                });
            }
            clock.advance(11 * SECOND);
            thread::scope(|threads| {
                let next = threads.spawn(|| *pile.get_or_create(|| 2));
                assert_eq!(next.join().unwrap(), 2);
            });
            assert_eq!(told.1.load(Ordering::SeqCst), 1);
            assert!(woken.1.load(Ordering::SeqCst) > 0);
            // Who waited goes on, with what came instead.
            let Poll::Ready(value) = poll_by(&waker, waits) else {
                panic!("nobody told it")
            };
            assert_eq!(*value, 2);
            drop(late);
        }
    });
}

/// A map counts for all of its keys, and does not forget those that it holds no more.
#[test]
fn a_map_counts_for_all_its_keys() {
    let (_clock, builder) = manual::<u32>(MINUTE);
    let map = builder.stats(true).build_keyed();
    for key in 0..3 {
        map.set(key, 0);
        let _ = map.refresh(&key, || Ok::<_, Down>(key)).unwrap();
        assert!(map.refresh(&key, || Err(Down(1))).is_err());
    }
    assert!(map.refresh(&7, || Err(Down(1))).is_err());
    map.invalidate(&0);
    let _held = map.peek(&1);
    map.invalidate_all();
    assert_eq!(map.len(), 0);
    let counters = map.stats().counters.unwrap();
    assert_eq!(
        (counters.begun, counters.published, counters.failed),
        (7, 3, 4)
    );
    let KeyedAttempt::Lease(lease) = map.attempt(&5) else {
        panic!()
    };
    let stats = map.stats();
    assert_eq!((stats.creating, stats.counters.unwrap().begun), (1, 8));
    assert_eq!(map.stats_of(&5).creating.unwrap().fence, lease.fence());
    assert!(map.stats_of(&6).creating.is_none());
}

/// Each counter of a map is the sum of those of its keys.
#[cfg(feature = "async")]
#[test]
fn a_map_adds_up_every_counter() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let builder = builder.max_create_time(SECOND).stats(true);
    let map = builder.build_keyed();
    let full = crate::shelf::Shelf {
        full: true,
        ..Default::default()
    };
    for key in 0..2 {
        drop(map.attempt(&key));
        let refused = map.background(&key, &full).get_or_create(|| 7);
        assert!(refused.is_err());
        let KeyedAttempt::Lease(late) = map.attempt(&key) else {
            panic!()
        };
        let waiting = map.call(&key).wait(Duration::ZERO);
        assert!(waiting.get_or_create(|| 7).unwrap_err().is_timed_out());
        clock.advance(2 * SECOND);
        assert_eq!(*map.get_or_create(&key, || 7), 7);
        drop(late.fail(Down(1)));
        map.expire(&key);
        assert!(map.get_or_try_create(&key, || Err(Down(1))).is_err());
        let KeyedAttempt::Lease(superseded) = map.attempt(&key) else {
            panic!()
        };
        map.set(key, 8);
        assert!(superseded.publish(9).is_err());
        map.expire(&key);
        assert!(bursts(|| map.get_or_create(&key, || burst())));
    }
    // Those of the first attempts were forgotten with their keys, and are in the sum all the same.
    let counters = map.stats().counters.unwrap();
    for (sum, of_a_key) in [
        (counters.begun, 7),
        (counters.published, 1),
        (counters.failed, 1),
        (counters.panicked, 1),
        (counters.given_up, 1),
        (counters.refused, 1),
        (counters.superseded, 1),
        (counters.taken_over, 1),
        (counters.waits, 1),
        (counters.timed_out, 1),
        (counters.stale_spells, 2),
    ] {
        assert_eq!(sum, 2 * of_a_key, "{counters:?}");
    }
}
