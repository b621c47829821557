//! `keep_fresh`: a value is renewed without any caller.
//!
//! Most tests run the refresher by hand, one poll at a time and only when it was woken: so it is known to
//! sleep, and what wakes it.
//!
//! ```breakages
//! a-publish-wakes-no-refresher | src/raw/end.rs | when::by_the_value_that_is_there_now
//! @ pub(crate) fn publish
//! - let watch = Self::changed(&mut state);
//! + let watch: Option<crate::raw::watch::Watch> = None;
//!
//! the-end-of-a-lease-wakes-no-refresher | src/raw/end.rs | when::not_while_another_creates
//! @ Self::count_end(&mut state, ended, superseded, seen);
//! - let watch = Self::changed(&mut state);
//! + let watch: Option<crate::raw::watch::Watch> = None;
//!
//! a-set-wakes-no-refresher | src/raw/change.rs | when::by_the_value_that_is_there_now
//! @ pub(crate) fn set
//! - let watch = Self::changed(&mut state);
//! + let watch: Option<crate::raw::watch::Watch> = None;
//!
//! an-invalidate-wakes-no-refresher | src/raw/change.rs | when::at_once_after_an_expire
//! @ pub(crate) fn invalidate
//! - let watch = Self::changed(&mut state);
//! + let watch: Option<crate::raw::watch::Watch> = None;
//!
//! an-expire-wakes-no-refresher | src/raw/change.rs | when::at_once_after_an_expire
//! @ pub(crate) fn expire
//! - let watch = Self::changed(&mut state);
//! + let watch: Option<crate::raw::watch::Watch> = None;
//!
//! the-end-of-the-pile-wakes-no-refresher | src/raw/watch.rs | ends::with_the_pile
//! - self.0.set();
//! + let _ = &self.0;
//!
//! the-end-of-the-handle-is-not-looked-for | src/call/keep_fresh.rs | ends::with_its_handle
//! @ fn look
//! - if self.has_ended()
//! + if false
//!
//! the-end-of-the-handle-wakes-nobody | src/call/keep_fresh.rs | ends::with_its_handle
//! - pile.site().pile.wake_watchers();
//! + drop(pile);
//!
//! a-refresher-holds-its-pile | src/call/keep_fresh.rs | ends::with_the_pile
//! - Some((change, self.act(&pile, asked, last)))
//! + let until = self.act(&pile, asked, last);
//! + std::mem::forget(pile);
//! + Some((change, until))
//!
//! a-job-that-is-dropped-goes-unnoticed | src/call/keep_fresh.rs | ends::it_never_begins
//! @ for EndsWithJob
//! - *self.0.has_ended.lock() = true;
//! + let _ = &self.0;
//!
//! a-refresher-without-time-begins | src/call/keep_fresh.rs | ends::it_never_begins
//! - if !keeper.can_sleep()
//! + if false
//!
//! a-refresher-that-was-dropped-is-given-out | src/call/keep_fresh.rs | ends::it_never_begins
//! @ fn start_with_async
//! - if keeper.has_ended()
//! + if false
//!
//! what-is-fresh-is-renewed-by-a-refresher | src/call/keep_fresh.rs | when::it_sleeps
//! - value.filter(|value| now < value.due_from)
//! + value.filter(|_| false)
//!
//! what-is-kept-elsewhere-is-nothing | src/call/keep_fresh.rs | when::for_a_value_that_is_kept_elsewhere
//! - .filter(|node| node.is_of_a_value())
//! + .filter(|node| node.value().is_some())
//!
//! a-refresher-sleeps-through-its-time | src/call/keep_fresh.rs | when::it_sleeps
//! - Limit::new(until, Some(timer))
//! + Limit::new(until.filter(|_| false), Some(timer))
//!
//! a-refresher-on-a-thread-sleeps-through-its-time | src/call/keep_fresh.rs | runs::on_threads
//! - change.wait(&self.time, until);
//! + change.wait(&self.time, until.filter(|_| false));
//!
//! a-refresher-rests-when-it-was-asked | src/call/keep_fresh.rs | when::at_once_after_one_that_came_during
//! - before == asked && !site.pile.is_leased()
//! + before <= asked && !site.pile.is_leased()
//!
//! a-refresher-rests-on-when-it-is-asked | src/call/keep_fresh.rs | rules::it_rests_where
//! - before == asked && now < until
//! + before <= asked && now < until
//!
//! a-refresher-never-rests | src/call/keep_fresh.rs | rules::it_rests_where
//! - .unwrap_or(REST)
//! + .unwrap_or_default()
//!
//! a-refresher-rests-by-its-own-rule | src/call/keep_fresh.rs | rules::it_comes_back
//! - site.pile.retry_in(policy, now).unwrap_or(REST)
//! + REST
//!
//! an-old-value-that-was-fresh-will-do | src/call/keep_fresh.rs | rules::it_rests_where
//! - value.number >= fence
//! + value.number >= fence.min(0)
//!
//! a-refresher-rests-after-what-was-good | src/call/keep_fresh.rs | rules::it_rests_for_nothing
//! - value.was_fresh)
//! + value.was_fresh && false)
//!
//! a-refresher-comes-back-never | src/call/keep_fresh.rs | when::not_sooner_than
//! - now.saturating_add(not_yet.retry_in)
//! + now.max(Tick::MAX)
//!
//! a-refresher-rests-after-the-rule | src/call/keep_fresh.rs | rules::a_creator_that_hangs
//! @ Found::NotYet(not_yet)
//! - *last = Last::Past;
//! +
//!
//! a-refresher-sleeps-through-the-end | src/call/keep_fresh.rs | rules::the_end_of_the_value
//! - again.min(until)
//! + again.max(until.min(again))
//!
//! a-refresher-overtakes-not-itself | src/call/keep_fresh.rs | rules::a_creator_that_hangs
//!   self.create(lease, pile);
//! - site.pile.overdue_from(policy)
//! + None
//!
//! a-refresher-overtakes-nobody | src/call/keep_fresh.rs | rules::whoever_it_is
//! - Found::Later(_) => site.pile.overdue_from(policy)
//! + Found::Later(_) => None
//!
//! a-panic-leaves-the-job | src/call/keep_fresh.rs | rules::a_panic_is_contained
//! - Job::new(creation.id(), contained(creation))
//! + { let _ = contained; creation }
//!
//! a-panic-of-the-executor-ends-all | src/call/keep_fresh.rs | rules::a_refusal_is_a_failure
//! - contain(|| drop(self.executor.spawn(creation)));
//! + drop(self.executor.spawn(creation));
//!
//! a-refresher-takes-a-thread-of-a-pool | src/executor/mod.rs | runs::on_one_thread
//! - None => Thread.spawn(job),
//! + None => self.spawn(job),
//!
//! a-refresher-takes-a-thread-for-blocking-work | src/executor/tokio.rs | runs::on_a_thread_for_blocking_work
//! @ fn spawn_lasting
//! - Tokio.spawn(job)
//! + self.spawn(job)
//!
//! what-is-shared-has-no-place-for-it | src/executor/shared.rs | when::at_once_without
//! - (**self).spawn_lasting(job)
//! + self.spawn(job)
//!
//! expire-wakes-under-the-lock | src/raw/change.rs | when::its_waker_may_ask_the_pile
//! @ pub(crate) fn expire
//! - drop(state);
//! ```

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Executor, Job, Rayon, Sleep, Smol, Thread, Timer, Tokio, TokioBlocking};
use dogpile::observe::{Begun, Event, Observer, Scope};
use dogpile::{
    Attempt, Backoff, Clock, Created, Creating, Dogpile, Guard, KeepFresh, ManualClock,
    RefreshAhead, Refused, Tick,
};
use tokio::runtime::{Builder, Runtime};

use crate::forms::Down;
use crate::support::{HOUR, MINUTE, NANO, Runs, SECOND, burst, manual, until, within};
use crate::tasks::{Alarm, Boxed, poll_by};

/// An executor whose jobs the test runs by hand: the creations, and the refresher.
#[derive(Default)]
struct Desk {
    creations: Mutex<Vec<Job>>,
    refresher: Mutex<Option<Job>>,
    refuses: AtomicBool,
    bursts: AtomicBool,
}

/// Never wakes anybody: the clock does.
struct NoTime;

impl Timer for NoTime {
    fn sleep(&self, _limit: Duration) -> Option<Sleep> {
        Some(Box::pin(pending()))
    }
}

impl Executor for Desk {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        if self.bursts.load(Ordering::SeqCst) {
            burst();
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Refused::new("the desk is full"));
        }
        self.creations.lock().unwrap().push(job);
        Ok(())
    }

    fn spawn_lasting(&self, job: Job) -> Result<(), Refused> {
        *self.refresher.lock().unwrap() = Some(job);
        Ok(())
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(&NoTime)
    }
}

/// What a creator does.
enum Does {
    Makes(Created<u32>),
    Fails,
    Bursts,
    Hangs,
}

use Does::{Bursts, Fails, Hangs, Makes};

fn makes(run: u32) -> Does {
    Makes(Created::new(run))
}

fn does(does: Does) -> Boxed<Result<Created<u32>, Down>> {
    Box::pin(async {
        match does {
            Makes(created) => Ok(created),
            Fails => Err(Down(1)),
            Bursts => burst(),
            Hangs => pending().await,
        }
    })
}

/// A creator that is told how often it has run.
fn counting(
    create: impl Fn(u32, &Creating<'static, u32>) -> Does + Send + Sync + 'static,
) -> impl Fn(Creating<'static, u32>) -> Boxed<Result<Created<u32>, Down>> + Send + Sync + 'static {
    let runs = AtomicU32::new(0);
    move |creating| does(create(runs.fetch_add(1, Ordering::SeqCst) + 1, &creating))
}

/// A refresher in the hands of a test.
struct Hand {
    desk: Arc<Desk>,
    alarm: Arc<Alarm>,
    waker: Waker,
    /// How often it had been woken at its last poll.
    polled: Option<usize>,
    has_ended: bool,
}

impl Hand {
    fn new() -> Self {
        let (alarm, waker) = Alarm::new();
        Self {
            desk: Arc::default(),
            alarm,
            waker,
            polled: None,
            has_ended: false,
        }
    }

    fn start(
        pile: &Arc<Dogpile<u32>>,
        create: impl Fn(u32, &Creating<'static, u32>) -> Does + Send + Sync + 'static,
    ) -> (Self, KeepFresh) {
        let hand = Self::new();
        let refresher = pile.keep_fresh(hand.desk.clone());
        let keeps = refresher.start_with_async(counting(create)).unwrap();
        (hand, keeps)
    }

    /// Runs the refresher for as long as it is woken. Says how many creations have been started and not
    /// yet taken from the desk.
    fn go(&mut self) -> usize {
        while !self.has_ended && self.polled != Some(self.alarm.rings()) {
            self.polled = Some(self.alarm.rings());
            let mut held = self.desk.refresher.lock().unwrap().take().unwrap();
            match poll_by(&self.waker, std::pin::Pin::new(&mut held)) {
                Poll::Ready(()) => self.has_ended = true,
                Poll::Pending => *self.desk.refresher.lock().unwrap() = Some(held),
            }
        }
        self.desk.creations.lock().unwrap().len()
    }

    /// The creation that was started.
    fn take(&mut self) -> Job {
        assert_eq!(self.go(), 1, "one creation is to be started");
        self.desk.creations.lock().unwrap().pop().unwrap()
    }

    /// Runs the creation that was started. Says how many were started after that.
    fn run(&mut self) -> usize {
        self.take().run();
        self.go()
    }

    /// The creation that was started, and hangs.
    fn hang(&mut self) -> Job {
        let mut creation = self.take();
        let polled = poll_by(Waker::noop(), std::pin::Pin::new(&mut creation));
        assert!(polled.is_pending());
        creation
    }
}

fn shown(pile: &Dogpile<u32>) -> Option<u32> {
    pile.peek().map(|guard| *guard)
}

mod when {
    use super::*;

    #[test]
    fn at_once_without_a_value() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!((hand.go(), shown(&pile)), (1, None));
        assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
    }

    /// Nobody's waiting is counted, and nothing is asked again while nothing happens.
    #[test]
    fn it_sleeps_until_the_value_is_stale() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        pile.set(0);
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        for run in 1..4 {
            assert_eq!(
                (hand.go(), pile.waiters(), hand.alarm.rings() > 9),
                (0, 0, false)
            );
            clock.advance(MINUTE);
            assert_eq!(hand.go(), 0, "it is fresh");
            clock.advance(NANO);
            assert_eq!((hand.run(), shown(&pile)), (0, Some(run)));
        }
    }

    #[test]
    fn at_the_refresh_point() {
        let (clock, builder) = manual(MINUTE);
        let ahead = RefreshAhead::percent(50).jitter(0);
        let pile = Arc::new(builder.refresh_ahead(ahead).build());
        pile.set(0);
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        for run in 1..4 {
            clock.advance(MINUTE / 2);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
            assert_eq!((hand.go(), pile.is_fresh()), (1, true));
            assert_eq!((hand.run(), shown(&pile)), (0, Some(run)));
        }
    }

    #[test]
    fn at_once_after_an_expire_and_an_invalidate() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        pile.set(0);
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!(hand.go(), 0);
        pile.expire();
        assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
        pile.invalidate();
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
        let seen = || Guard::seen(&pile.peek().unwrap());
        assert!(pile.expire_if(seen()));
        assert_eq!((hand.run(), shown(&pile)), (0, Some(3)));
        assert!(pile.invalidate_if(seen()));
        assert_eq!((hand.run(), shown(&pile)), (0, Some(4)));
    }

    /// Whatever changes the pile, the refresher is woken outside of the pile's lock: its waker may look at
    /// the pile.
    #[test]
    fn its_waker_may_ask_the_pile() {
        struct Asks(Weak<Dogpile<u32>>, AtomicU32);
        impl Wake for Asks {
            fn wake(self: Arc<Self>) {
                if let Some(pile) = self.0.upgrade() {
                    assert_eq!(pile.waiters(), 0);
                }
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
        within(|| {
            let (_clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.build());
            let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
            let asks = Arc::new(Asks(Arc::downgrade(&pile), AtomicU32::new(0)));
            hand.waker = Waker::from(Arc::clone(&asks));
            for change in [
                |pile| pile.set(8),
                Dogpile::expire,
                Dogpile::invalidate,
                |pile| assert!(pile.expire_if(Guard::seen(&pile.peek().unwrap()))),
                |pile| assert!(pile.invalidate_if(Guard::seen(&pile.peek().unwrap()))),
                |pile| drop(pile.refresh(|| Ok::<_, Down>(9))),
                |pile| drop(pile.refresh(|| Err(Down(1)))),
            ] as [fn(&Dogpile<u32>); 7]
            {
                pile.set(7);
                // Woken or not, it looks, and sleeps.
                hand.polled = None;
                assert_eq!(hand.go(), 0);
                let before = asks.1.load(Ordering::SeqCst);
                change(&pile);
                assert!(asks.1.load(Ordering::SeqCst) > before);
            }
        });
    }

    /// What is published then is stale, or superseded. One more follows, and without a rest.
    #[test]
    fn at_once_after_one_that_came_during_a_creation() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        for (ask, left) in [
            (Dogpile::expire as fn(&Dogpile<u32>), Some(1)),
            (Dogpile::invalidate, None),
        ] {
            pile.invalidate();
            let creation = hand.take();
            ask(&pile);
            assert_eq!(hand.go(), 0, "it runs");
            creation.run();
            assert_eq!((hand.go(), shown(&pile)), (1, left));
            assert_eq!(hand.run(), 0);
            assert!(pile.is_fresh());
        }
    }

    /// The value that somebody sets has a refresh point of its own.
    #[test]
    fn by_the_value_that_is_there_now() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        pile.set(0);
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!(hand.go(), 0);
        pile.set_with(Created::new(7).ttl(SECOND));
        clock.advance(SECOND);
        assert_eq!(hand.go(), 0);
        pile.set_with(Created::new(8).ttl(SECOND));
        clock.advance(SECOND);
        assert_eq!(hand.go(), 0);
        clock.advance(NANO);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
        // So has one that another caller creates ahead.
        let sooner = Created::new(9).ttl(SECOND);
        let call = pile.call().accept(dogpile::Accept::New);
        drop(call.get_or_try_create_with(|_| Ok::<_, Down>(sooner)));
        clock.advance(SECOND + NANO);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
    }

    /// It takes part in the election, and waits for whoever was elected.
    #[test]
    fn not_while_another_creates() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let lease = || match pile.attempt() {
            Attempt::Lease(lease) => lease,
            other => panic!("{other:?}"),
        };
        let first = lease();
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!(hand.go(), 0);
        drop(first.publish(7));
        assert_eq!(hand.go(), 0);
        clock.advance(MINUTE + NANO);
        let second = lease();
        assert_eq!(hand.go(), 0);
        // Given up, it is free, and nobody has to call for it.
        drop(second);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
    }

    /// A failure that is an answer leaves no value.
    #[test]
    fn not_sooner_than_another_callers_failure_allows() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.backoff(Backoff::constant(10 * SECOND)).build());
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!("it is free");
        };
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!(hand.go(), 0);
        drop(lease.fail(Down(1)));
        assert_eq!(hand.go(), 0);
        clock.advance(10 * SECOND - NANO);
        assert_eq!(hand.go(), 0);
        clock.advance(NANO);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
    }

    #[test]
    fn never_for_a_value_without_end() {
        let (clock, builder) = manual(Duration::MAX);
        let pile = Arc::new(builder.build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        assert_eq!(hand.run(), 0);
        clock.set(Tick::from_nanos(u64::MAX - 1));
        assert_eq!(hand.go(), 0);
        pile.expire();
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
    }

    /// Of a value that its creator keeps elsewhere the pile knows the times.
    #[test]
    fn for_a_value_that_is_kept_elsewhere() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let create = |run, _: &_| Makes(Created::new(run).keep(false));
        let (mut hand, _keeps) = Hand::start(&pile, create);
        for _ in 0..3 {
            assert_eq!((hand.run(), shown(&pile)), (0, None));
            clock.advance(MINUTE);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
        }
        // And what is found there can move them.
        assert_eq!(hand.run(), 0);
        clock.advance(MINUTE / 2);
        let found = dogpile::Lookup::Aged(7, Duration::ZERO);
        let never = || -> Result<u32, Down> { panic!("it is fresh") };
        assert_eq!(*pile.acquire(never, || Ok(found)).unwrap(), 7);
        clock.advance(MINUTE);
        assert_eq!(hand.go(), 0);
        clock.advance(NANO);
        assert_eq!(hand.run(), 0);
    }

    /// Both look after the same value, and one creates.
    #[test]
    fn two_of_one_pile_are_one_too_many_and_do_no_harm() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut one, keeps) = Hand::start(&pile, |_, _| makes(1));
        let (mut other, _keeps) = Hand::start(&pile, |_, _| makes(2));
        assert_eq!((one.go(), other.go()), (1, 0));
        assert_eq!((one.run(), other.go()), (0, 0));
        clock.advance(MINUTE + NANO);
        assert_eq!((other.go(), one.go()), (1, 0));
        assert_eq!((other.run(), one.go()), (0, 0));
        drop(keeps);
        assert_eq!((one.go(), one.has_ended), (0, true));
        pile.expire();
        assert_eq!((other.run(), shown(&pile)), (0, Some(2)));
    }
}

/// What becomes of creations that do not go well.
mod rules {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn it_backs_off() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.backoff(Backoff::constant(TEN)).build());
        pile.set(0);
        clock.advance(MINUTE + NANO);
        let (mut hand, _keeps) = Hand::start(&pile, |_, _| Fails);
        for _ in 0..3 {
            assert_eq!(hand.run(), 0);
            assert_eq!((shown(&pile), pile.retry_in()), (Some(0), Some(TEN)));
            clock.advance(TEN - NANO);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
            assert_eq!(hand.go(), 1);
        }
        assert_eq!(pile.last_failure().unwrap().1, TEN);
        // What clears the back-off has it create at once.
        assert_eq!(hand.run(), 0);
        pile.expire();
        assert_eq!(hand.run(), 0);
        pile.invalidate();
        assert_eq!(hand.run(), 0);
        pile.set_with(Created::new(7).ttl(Duration::ZERO));
        assert_eq!(hand.run(), 0);
        // What strangers can provoke does not.
        let seen = Guard::seen(&pile.peek().unwrap());
        assert!(pile.expire_if(seen));
        assert_eq!(hand.go(), 0);
    }

    /// What is due as soon as it is made is renewed after a rest.
    #[test]
    fn it_rests_where_nothing_is_ever_fresh() {
        // At the origin of the clock, too.
        for begin in [Duration::ZERO, HOUR] {
            let (clock, builder) = manual(MINUTE);
            clock.set(Tick::ZERO.saturating_add(begin));
            let pile = Arc::new(builder.build());
            let never_fresh = |run, _: &_| Makes(Created::new(run).ttl(Duration::ZERO));
            let (mut hand, _keeps) = Hand::start(&pile, never_fresh);
            for _ in 0..3 {
                assert_eq!(hand.run(), 0);
                clock.advance(HOUR);
            }
        }
    }

    /// Creations begin so far apart, whatever asks for them.
    #[test]
    fn it_keeps_the_interval() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.min_interval(TEN).build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        for run in 1..4 {
            let creation = hand.take();
            clock.advance(SECOND);
            creation.run();
            assert_eq!((hand.go(), shown(&pile)), (0, Some(run)));
            pile.expire();
            assert_eq!(hand.go(), 0);
            clock.advance(9 * SECOND - NANO);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
        }
        assert_eq!(hand.go(), 1);
    }

    /// Without a rule it would ask the source as fast as that answers.
    #[test]
    fn it_rests_where_the_pile_has_no_rule() {
        for create in [
            |_: u32| Fails,
            |_| Bursts,
            |run| Makes(Created::new(run).age(HOUR)),
        ] {
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.build());
            pile.set(0);
            clock.advance(MINUTE + NANO);
            let (mut hand, _keeps) = Hand::start(&pile, move |run, _| create(run));
            for _ in 0..3 {
                assert_eq!((hand.run(), pile.retry_in()), (0, None));
                clock.advance(SECOND - NANO);
                assert_eq!(hand.go(), 0);
                clock.advance(NANO);
                assert_eq!(hand.go(), 1);
            }
            // Not if it is asked to create.
            for ask in [Dogpile::expire as fn(&Dogpile<u32>), Dogpile::invalidate] {
                assert_eq!(hand.run(), 0);
                ask(&pile);
                assert_eq!(hand.go(), 1);
            }
            // The failure of another is not asking.
            assert_eq!(hand.run(), 0);
            let other = pile.get_or_try_create(|| Err::<u32, _>(Down(2)));
            assert!(other.is_err());
            assert_eq!(hand.go(), 0);
            clock.advance(SECOND);
            assert_eq!(hand.go(), 1);
        }
    }

    /// A value that was fresh is no reason, however late the refresher looks.
    #[test]
    fn it_rests_for_nothing_that_was_good() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        let creation = hand.take();
        creation.run();
        clock.advance(MINUTE + NANO);
        assert_eq!(hand.go(), 1);
    }

    #[test]
    fn one_good_creation_ends_that() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let create = |run, _: &_| if run == 1 { Fails } else { makes(run) };
        let (mut hand, _keeps) = Hand::start(&pile, create);
        assert_eq!(hand.run(), 0);
        clock.advance(SECOND);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
        clock.advance(MINUTE + NANO);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(3)));
    }

    /// The rule may be the creator's.
    #[test]
    fn it_comes_back_when_the_creator_said() {
        for said in [SECOND / 10, MINUTE] {
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(builder.build());
            let (mut hand, _keeps) = Hand::start(&pile, move |_, creating| {
                creating.retry_after(said);
                Fails
            });
            assert_eq!(hand.run(), 0);
            clock.advance(said - NANO);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
            assert_eq!(hand.go(), 1);
        }
    }

    /// Nothing gets out of the job. It is a failure as any other.
    #[test]
    fn a_panic_is_contained() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.backoff(Backoff::constant(TEN)).build());
        let create = |run, _: &_| if run == 1 { Bursts } else { makes(run) };
        let (mut hand, _keeps) = Hand::start(&pile, create);
        assert_eq!(hand.run(), 0);
        assert!(pile.last_failure().unwrap().0.is_panicked());
        assert_eq!(pile.retry_in(), Some(TEN));
        clock.advance(TEN);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
    }

    /// So is one of what makes the future.
    #[test]
    fn also_that_of_a_closure() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let mut hand = Hand::new();
        let refresher = pile.keep_fresh(hand.desk.clone());
        let _keeps = refresher
            .start(|| -> Result<u32, Down> { burst() })
            .unwrap();
        assert_eq!(hand.run(), 0);
        assert!(pile.last_failure().unwrap().0.is_panicked());
    }

    /// The refresher itself takes the lease from its creator, and one late creator is enough.
    #[test]
    fn a_creator_that_hangs_is_overtaken() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.max_create_time(TEN).build());
        let create = |run, _: &_| if run < 4 { Hangs } else { makes(run) };
        let (mut hand, _keeps) = Hand::start(&pile, create);
        let first = hand.hang();
        clock.advance(TEN - NANO);
        assert_eq!(hand.go(), 0);
        clock.advance(NANO);
        let second = hand.hang();
        // One is late already: now it rests for as long.
        clock.advance(TEN);
        assert_eq!(hand.go(), 0);
        clock.advance(TEN - NANO);
        assert_eq!(hand.go(), 0);
        clock.advance(NANO);
        let third = hand.hang();
        drop((first, second, third));
        assert_eq!(hand.go(), 0);
        clock.advance(SECOND);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(4)));
    }

    /// Another caller's creator is overtaken as well.
    #[test]
    fn whoever_it_is() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.max_create_time(TEN).build());
        for with_a_value in [false, true] {
            if with_a_value {
                pile.set(0);
                clock.advance(MINUTE + NANO);
            }
            let Attempt::Lease(lease) = pile.attempt() else {
                panic!("it is free");
            };
            let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
            clock.advance(TEN - NANO);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
            assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
            drop(lease);
        }
    }

    #[test]
    fn a_creation_that_is_given_up_is_begun_again() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let create = |run, _: &_| if run == 1 { Hangs } else { makes(run) };
        let (mut hand, _keeps) = Hand::start(&pile, create);
        drop(hand.hang());
        assert_eq!((hand.go(), pile.is_creating()), (0, false));
        clock.advance(SECOND);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
    }

    /// One that was given up keeps the next one away only while there is something to go on with.
    #[test]
    fn the_end_of_the_value_is_not_slept_through() {
        let (clock, builder) = manual(MINUTE);
        let builder = builder.stale_while_revalidate(5 * SECOND).min_interval(TEN);
        let pile = Arc::new(builder.build());
        pile.set(0);
        clock.advance(MINUTE + NANO);
        let create = |run, _: &_| if run == 1 { Hangs } else { makes(run) };
        let (mut hand, _keeps) = Hand::start(&pile, create);
        drop(hand.hang());
        assert_eq!(hand.go(), 0);
        clock.advance(5 * SECOND - NANO);
        assert_eq!((hand.go(), shown(&pile)), (0, Some(0)));
        clock.advance(NANO);
        assert_eq!((hand.run(), shown(&pile)), (0, Some(2)));
    }

    /// A full pool, or one that panics, is no reason to give up, and none to insist.
    #[test]
    fn a_refusal_is_a_failure() {
        for backoff in [None, Some(TEN)] {
            let (clock, builder) = manual(MINUTE);
            let pile = Arc::new(match backoff {
                Some(span) => builder.backoff(Backoff::constant(span)).build(),
                None => builder.build(),
            });
            let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
            hand.desk.refuses.store(true, Ordering::SeqCst);
            assert_eq!(hand.go(), 0);
            let refused = |failure: &dogpile::Failure| failure.as_refusal().is_some();
            assert!(refused(&pile.last_failure().unwrap().0));
            hand.desk.bursts.store(true, Ordering::SeqCst);
            let rest = backoff.unwrap_or(SECOND);
            clock.advance(rest);
            assert_eq!(hand.go(), 0);
            assert_eq!(pile.last_failure().unwrap().1, Duration::ZERO);
            hand.desk.refuses.store(false, Ordering::SeqCst);
            hand.desk.bursts.store(false, Ordering::SeqCst);
            clock.advance(rest - NANO);
            assert_eq!(hand.go(), 0);
            clock.advance(NANO);
            assert_eq!((hand.run(), shown(&pile)), (0, Some(1)));
        }
    }
}

/// Nothing is left of it.
mod ends {
    use super::*;

    /// A creator that is not dropped yet.
    fn creator(what: u32) -> (Weak<u32>, impl Fn(u32, &Creating<'static, u32>) -> Does) {
        let owned = Arc::new(what);
        (Arc::downgrade(&owned), move |run, _| makes(run + *owned))
    }

    #[test]
    fn with_its_handle() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (created_by, create) = creator(0);
        let (mut hand, keeps) = Hand::start(&pile, create);
        assert_eq!(hand.run(), 0);
        assert!(!keeps.has_ended());
        drop(keeps);
        assert_eq!((hand.go(), hand.has_ended), (0, true));
        assert_eq!(created_by.strong_count(), 0);
        assert_eq!(Arc::weak_count(&pile), 0);
        assert!(format!("{clock:?}").contains("sleepers: 0"), "{clock:?}");
        clock.advance(HOUR);
        pile.invalidate();
        assert_eq!(hand.go(), 0);
    }

    /// Even before it was ever polled.
    #[test]
    fn also_before_it_began() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut hand, keeps) = Hand::start(&pile, |run, _| makes(run));
        drop(keeps);
        assert_eq!((hand.go(), hand.has_ended), (0, true));
    }

    /// A creation that runs is nobody's, and goes on.
    #[test]
    fn a_creation_that_runs_is_finished() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (created_by, create) = creator(0);
        let (mut hand, keeps) = Hand::start(&pile, create);
        let creation = hand.take();
        drop(keeps);
        assert_eq!((hand.go(), hand.has_ended), (0, true));
        creation.run();
        assert_eq!((hand.go(), shown(&pile)), (0, Some(1)));
        assert_eq!(created_by.strong_count(), 0);
    }

    #[test]
    fn with_the_pile() {
        let (clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (created_by, create) = creator(0);
        let (mut hand, keeps) = Hand::start(&pile, create);
        assert_eq!(hand.run(), 0);
        let weak = Arc::downgrade(&pile);
        drop(pile);
        assert!(weak.upgrade().is_none(), "the refresher holds the pile");
        assert_eq!((hand.go(), hand.has_ended), (0, true));
        assert!(keeps.has_ended());
        assert_eq!(created_by.strong_count(), 0);
        assert!(format!("{clock:?}").contains("sleepers: 0"), "{clock:?}");
    }

    /// Also if that is only just created in.
    #[test]
    fn a_pile_ends_with_its_last_creation() {
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.build());
        let (mut hand, keeps) = Hand::start(&pile, |run, _| makes(run));
        let creation = hand.take();
        let weak = Arc::downgrade(&pile);
        drop(pile);
        assert!(!keeps.has_ended());
        creation.run();
        assert!(weak.upgrade().is_none());
        assert_eq!((hand.go(), hand.has_ended), (0, true));
    }

    #[test]
    fn with_its_executor() {
        let runtime = one_thread();
        let pile = Arc::new(Dogpile::<u32>::new(MINUTE));
        let on = runtime.handle().clone();
        let keeps = pile.keep_fresh(on).start(|| Ok::<_, Down>(7)).unwrap();
        assert!(!keeps.has_ended());
        drop(runtime);
        assert!(keeps.has_ended());
        assert_eq!(format!("{keeps:?}"), "KeepFresh { ended: true }");
    }

    /// It says so if it cannot begin.
    #[test]
    fn it_never_begins_where_it_could_not_go_on() {
        struct Drops;
        impl Executor for Drops {
            fn spawn(&self, _job: Job) -> Result<(), Refused> {
                Ok(())
            }
            fn timer(&self) -> Option<&dyn Timer> {
                Some(&NoTime)
            }
        }
        let starts = |pile: Dogpile<u32>, executor: Arc<dyn Executor>| {
            let refresher = Arc::new(pile).keep_fresh(executor);
            refresher.start(|| Ok::<_, Down>(7)).map(|_| ())
        };
        let pile = || Dogpile::new(MINUTE);
        assert!(starts(pile(), Arc::new(Drops)).is_err());
        // In no runtime.
        assert!(starts(pile(), Arc::new(Tokio)).is_err());
        // Where time does not run. (This prints a panic.)
        let timeless = Builder::new_current_thread().build().unwrap();
        let on = Arc::new(timeless.handle().clone());
        assert!(starts(pile(), on.clone()).is_err());
        let (_clock, builder) = manual(MINUTE);
        assert!(starts(builder.build(), on).is_ok(), "the clock wakes it");
    }
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn one_worker() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(1).max_blocking_threads(1);
    builder.enable_time().build().unwrap()
}

/// With jobs that run by themselves.
mod runs {
    use super::*;

    /// One thread that runs one job after the other.
    struct Pool(Sender<Job>);

    impl Pool {
        fn new() -> Self {
            let (pool, jobs) = channel::<Job>();
            thread::spawn(move || jobs.into_iter().for_each(Job::run));
            Self(pool)
        }
    }

    impl Executor for Pool {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            self.0.send(job).map_err(|_| Refused::new("shut down"))
        }
    }

    /// Hours of a clock that the test moves. Each creation notes the time at which it began.
    fn for_hours(executor: Arc<dyn Executor>) {
        let (clock, builder) = manual(HOUR);
        let pile = Arc::new(builder.build());
        let runs = Arc::new(Runs::default());
        let times = Arc::new(Mutex::new(Vec::new()));
        let create = {
            let (runs, times, clock) = (runs.clone(), times.clone(), clock.clone());
            move || {
                runs.run(|| {
                    let mut times = times.lock().unwrap();
                    times.push(clock.now());
                    Ok::<_, Down>(times.len())
                })
            }
        };
        let keeps = pile
            .keep_fresh(Arc::clone(&executor))
            .start(create)
            .unwrap();
        let mut due = Vec::new();
        for run in 1..=24 {
            due.push(clock.now());
            until(|| pile.peek().is_some_and(|guard| *guard == run));
            // The executor is there for others.
            let other = Arc::new(Dogpile::<u32>::new(MINUTE));
            let other = other
                .background(&executor)
                .get_or_create(|| 7)
                .map(|held| *held);
            assert_eq!(other.unwrap(), 7);
            clock.advance(HOUR);
            assert!(pile.is_fresh());
            clock.advance(NANO);
        }
        until(|| times.lock().unwrap().len() == 25);
        drop(keeps);
        due.push(clock.now());
        assert_eq!(*times.lock().unwrap(), due);
        let pile = Arc::downgrade(&pile);
        until(|| pile.weak_count() <= 1);
    }

    #[test]
    fn on_threads() {
        within(|| for_hours(Arc::new(Thread)));
    }

    /// The refresher takes no thread from it.
    #[test]
    fn on_one_thread() {
        within(|| for_hours(Arc::new(Pool::new())));
    }

    #[test]
    fn in_rayon() {
        within(|| for_hours(Arc::new(Rayon)));
    }

    #[test]
    fn in_smol() {
        within(|| for_hours(Arc::new(Smol)));
    }

    #[test]
    fn in_tokio() {
        within(|| {
            let runtime = one_worker();
            for_hours(Arc::new(runtime.handle().clone()));
        });
    }

    /// There is one such thread, and the refresher is not on it.
    #[test]
    fn on_a_thread_for_blocking_work() {
        within(|| {
            let runtime = one_worker();
            let _in = runtime.enter();
            let (clock, builder) = manual(HOUR);
            let pile = Arc::new(builder.build());
            let runs = AtomicU32::new(0);
            let create = move || Ok::<_, Down>(runs.fetch_add(1, Ordering::SeqCst) + 1);
            let _keeps = pile.keep_fresh(TokioBlocking).start(create).unwrap();
            for run in 1..9 {
                until(|| shown(&pile) == Some(run));
                clock.advance(HOUR + NANO);
            }
        });
    }

    /// Time that a test pauses, and a runtime that moves it when all its tasks sleep.
    #[test]
    fn in_time_that_is_paused() {
        within(|| {
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let pile = Arc::new(Dogpile::builder(MINUTE).clock_static(&Tokio).build());
                let runs = Arc::new(AtomicU32::new(0));
                let create = {
                    let runs = runs.clone();
                    move || {
                        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
                        async move { if run == 3 { Err(Down(1)) } else { Ok(run) } }
                    }
                };
                let keeps = pile.keep_fresh(Tokio).start_async(create).unwrap();
                // The timer has steps of a millisecond.
                tokio::time::sleep(MINUTE + SECOND).await;
                assert_eq!(runs.load(Ordering::SeqCst), 2);
                tokio::time::sleep(8 * MINUTE + 30 * SECOND).await;
                // The third failed, and was made good after a second.
                assert_eq!((runs.load(Ordering::SeqCst), shown(&pile)), (11, Some(11)));
                drop(keeps);
                tokio::time::sleep(HOUR).await;
                assert_eq!(runs.load(Ordering::SeqCst), 11);
            });
        });
    }

    /// The system's clock wakes it too, by its time-outs or a timer.
    #[test]
    fn by_the_systems_time() {
        within(|| {
            let runtime = one_worker();
            let executors: [Arc<dyn Executor>; 3] = [
                Arc::new(Thread),
                Arc::new(Smol),
                Arc::new(runtime.handle().clone()),
            ];
            for executor in executors {
                let pile = Arc::new(Dogpile::new(SECOND / 50));
                let runs = Arc::new(AtomicU32::new(0));
                let create = {
                    let runs = runs.clone();
                    move || Ok::<_, Down>(runs.fetch_add(1, Ordering::SeqCst))
                };
                let _keeps = pile.keep_fresh(executor).start(create).unwrap();
                until(|| runs.load(Ordering::SeqCst) >= 3);
            }
        });
    }

    /// On a thread of its own it sleeps as any thread does: the clock knows of it.
    #[test]
    fn on_a_thread_that_sleeps() {
        #[derive(Default)]
        struct Asked(ManualClock, AtomicU32);
        impl Clock for Asked {
            fn now(&self) -> Tick {
                self.0.now()
            }

            fn on_advance(&self, sleeper: &Waker) -> bool {
                // Not the question whether it wakes at all, which is asked for nobody.
                let is_somebody = !sleeper.data().is_null();
                self.1.fetch_add(u32::from(is_somebody), Ordering::SeqCst);
                self.0.on_advance(sleeper)
            }
        }
        within(|| {
            let clock = Arc::new(Asked::default());
            let pile = Arc::new(Dogpile::builder(MINUTE).clock(clock.clone()).build());
            pile.set(1);
            let create = || Err::<u32, _>(Down(1));
            let keeps = pile.keep_fresh(Thread).start(create).unwrap();
            until(|| clock.1.load(Ordering::SeqCst) > 0);
            drop(keeps);
        });
    }

    /// An observer is told of each creation as it begins.
    #[test]
    fn under_observation() {
        #[derive(Default)]
        struct Begins(AtomicU32);
        impl Observer for Begins {
            fn event(&self, _event: &Event) {}

            fn begin(&self, _begun: &Begun) -> Option<Box<dyn Scope>> {
                self.0.fetch_add(1, Ordering::SeqCst);
                None
            }
        }
        let begins = Arc::new(Begins::default());
        let (_clock, builder) = manual(MINUTE);
        let pile = Arc::new(builder.observer(begins.clone()).build());
        let (mut hand, _keeps) = Hand::start(&pile, |run, _| makes(run));
        for begun in 1..4 {
            assert_eq!(hand.run(), 0);
            assert_eq!(begins.0.load(Ordering::SeqCst), begun);
            pile.invalidate();
        }
    }

    #[test]
    fn in_a_static() {
        static CLOCK: ManualClock = ManualClock::new();
        static PILE: Dogpile<u32> = Dogpile::builder(MINUTE).clock_static(&CLOCK).build();
        within(|| {
            let runs = AtomicU32::new(0);
            let create = move || Ok::<_, Down>(runs.fetch_add(1, Ordering::SeqCst) + 1);
            let keeps = PILE.keep_fresh_static(Thread).start(create).unwrap();
            until(|| shown(&PILE) == Some(1));
            CLOCK.advance(MINUTE + NANO);
            until(|| shown(&PILE) == Some(2));
            PILE.invalidate();
            until(|| shown(&PILE) == Some(3));
            drop(keeps);
        });
    }
}

/// The creator of a pile with readers may keep them out.
mod readers {
    use super::*;

    #[test]
    fn they_are_kept_out_by_the_creator() {
        within(|| {
            let (clock, builder) = manual::<u32>(MINUTE);
            let pile = Arc::new(builder.build_sync_reader());
            let (weak, runs) = (Arc::downgrade(&pile), AtomicU32::new(0));
            let create = move |creating: Creating<'static, u32>| {
                let pile = weak.upgrade().expect("the creation holds it");
                let writer = pile.acquire_write_lock().unwrap();
                writer.until_published(&creating);
                Ok::<_, Down>(Created::new(runs.fetch_add(1, Ordering::SeqCst) + 1))
            };
            let keeps = pile.keep_fresh(Thread).start_with(create).unwrap();
            for run in 1..5 {
                until(|| pile.peek().is_some_and(|guard| *guard == run));
                clock.advance(MINUTE + NANO);
            }
            drop(keeps);
        });
    }

    /// What a creator that hangs keeps closed is opened by whoever takes over.
    #[test]
    fn a_creator_that_hangs_does_not_keep_them_out() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let builder = builder.max_create_time(10 * SECOND);
        let pile = Arc::new(builder.build_sync_reader());
        let mut hand = Hand::new();
        let (weak, runs) = (Arc::downgrade(&pile), AtomicU32::new(0));
        let create = move |creating: Creating<'static, u32>| {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            let pile = weak.upgrade().expect("the creation holds it");
            async move {
                if run == 1 {
                    let writer = pile.acquire_write_lock_async().await.unwrap();
                    writer.until_published(&creating);
                    pending::<()>().await;
                }
                Ok::<_, Down>(Created::new(run))
            }
        };
        let refresher = pile.keep_fresh(hand.desk.clone());
        let _keeps = refresher.start_with_async(create).unwrap();
        let _hung = hand.hang();
        clock.advance(10 * SECOND);
        assert_eq!(hand.run(), 0);
        let reader = pile.call().wait(Duration::ZERO);
        assert_eq!(*reader.get_or_try_create(|| Err(Down(1))).unwrap(), 2);
    }
}
