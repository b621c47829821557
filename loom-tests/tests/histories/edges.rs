//! One thread and a clock moved by hand, to the nanosecond: every answer is compared with the
//! specification's, step by step. A failure shrinks to the shortest program that has it.
//!
//! Leases are held over other calls, waits are begun and looked at later, and creators meddle with
//! the pile that they create for: so the one thread sees all that several could.
//!
//! ```breakages
//! fresh-at-a-ttl-of-zero | src/time/times.rs
//! - Some(rest) if limit > 0 => {
//! + Some(rest) if limit > 0 || age_then == 0 => {
//!
//! expired-values-live-longer | src/time/times.rs
//! @ pub(crate) fn usable_until
//! - self.older_from(ttl.saturating_add(limit))
//! + self.expired.map_or(self.older_from(ttl.saturating_add(limit)), |_| Tick::MAX)
//!
//! stale-values-live-for-ever | src/policy/freshness.rs
//! - now < self.usable_until
//! + true
//!
//! dead-at-exactly-the-limit | src/policy/freshness.rs
//! - } else if now < self.usable_until {
//! + } else if now.saturating_add(Duration::from_nanos(1)) < self.usable_until {
//!
//! new-takes-what-began-before | src/policy/accept.rs
//! - Accept::New => marks.last
//! + Accept::New => 0
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use dogpile::{
    Accept, Attempt, Busy, Call, Created, Dogpile, Error, Guard, Lease, ManualClock, Origin,
    Outcome,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::linearize::created;
use crate::program::duration;
use crate::small::times;
use crate::spec::{Caller, Id, Look, Made, Seeker, Settings, Spec, Takes, Time, Told};
use crate::watchdog::Watchdog;

/// A step; one that makes no sense where it stands does nothing.
#[derive(Clone, Debug)]
enum Step {
    /// A call whose creator takes these steps first.
    Get {
        inside: Vec<Step>,
        ends: Ends,
        asks: Asks,
    },
    /// Takes the lease if there is one to take, and keeps it; or a place among the waiters.
    Attempt(Asks),
    /// Ends the lease that is kept.
    EndLease(Ends),
    /// Looks whether the wait that was begun first is over.
    Hear,
    Peek,
    Set(Times),
    Expire,
    Invalidate,
    /// Of one of the values that were given, counted from the last.
    ExpireIf(usize),
    InvalidateIf(usize),
    Advance(Time),
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
struct Asks {
    accept: Accepts,
    max_age: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
enum Accepts {
    Stale,
    Fresh,
    /// Than one of the values that were given, counted from the last; any, if there is none.
    NewerThan(usize),
    New,
}

#[derive(Clone, Copy, Debug)]
enum Ends {
    Value(Times),
    Failure,
    /// A panic, or a lease that is dropped.
    GivenUp,
}

/// What is told of a value.
#[derive(Clone, Copy, Debug)]
struct Times {
    age: Time,
    ttl: Option<Time>,
    keep: bool,
}

/// Around the lengths of time that decide: those of `ttl` and `limit`, and the two together.
fn time() -> impl Strategy<Value = Time> {
    prop::sample::select(vec![0, 1, 4, 5, 6, 9, 10, 11, 14, 15, 16])
}

fn ttl() -> impl Strategy<Value = Time> {
    prop_oneof![4 => Just(10), 1 => Just(0), 1 => Just(Time::MAX)]
}

fn limit() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![
        3 => Just(Some(5)),
        1 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(Time::MAX)),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (ttl(), limit()).prop_map(|(ttl, stale_while_revalidate)| Settings {
        ttl,
        stale_while_revalidate,
    })
}

fn told_times() -> impl Strategy<Value = Times> {
    let plain = Just(Times {
        age: 0,
        ttl: None,
        keep: true,
    });
    let told = (time(), proptest::option::of(ttl()), any::<bool>());
    let told = told.prop_map(|(age, ttl, keep)| Times { age, ttl, keep });
    prop_oneof![3 => plain, 1 => told]
}

fn ends() -> impl Strategy<Value = Ends> {
    prop_oneof![
        4 => told_times().prop_map(Ends::Value),
        1 => Just(Ends::Failure),
        1 => Just(Ends::GivenUp),
    ]
}

fn asks() -> impl Strategy<Value = Asks> {
    let accept = prop_oneof![
        4 => Just(Accepts::Stale),
        1 => Just(Accepts::Fresh),
        2 => (0..2usize).prop_map(Accepts::NewerThan),
        1 => Just(Accepts::New),
    ];
    let max_age = prop_oneof![4 => Just(None), 1 => time().prop_map(Some)];
    (accept, max_age).prop_map(|(accept, max_age)| Asks { accept, max_age })
}

/// What one thread can do of what several do who wait.
fn step_of_a_lease() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => asks().prop_map(Step::Attempt),
        3 => ends().prop_map(Step::EndLease),
        3 => Just(Step::Hear),
        1 => Just(Step::Peek),
        1 => told_times().prop_map(Step::Set),
        2 => Just(Step::Expire),
        1 => Just(Step::Invalidate),
        1 => time().prop_map(Step::Advance),
    ]
}

/// What the clock alone decides.
fn step_of_time() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => told_times().prop_map(Step::Set),
        2 => Just(Step::Expire),
        5 => time().prop_map(Step::Advance),
        1 => (asks(), ends()).prop_map(|(asks, ends)| {
            let inside = Vec::new();
            Step::Get { inside, ends, asks }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let simple = prop_oneof![
        6 => step_of_a_lease(),
        2 => Just(Step::Peek),
        2 => told_times().prop_map(Step::Set),
        2 => Just(Step::Expire),
        1 => Just(Step::Invalidate),
        1 => (0..3usize).prop_map(Step::ExpireIf),
        1 => (0..3usize).prop_map(Step::InvalidateIf),
        4 => time().prop_map(Step::Advance),
    ];
    simple.prop_recursive(2, 8, 4, |step| {
        let inside = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(step, 0..4)];
        (inside, ends(), asks()).prop_map(|(inside, ends, asks)| Step::Get { inside, ends, asks })
    })
}

fn program() -> impl Strategy<Value = (Settings, Vec<Step>)> {
    let steps = prop_oneof![
        2 => prop::collection::vec(step(), 1..30),
        1 => prop::collection::vec(step_of_a_lease(), 1..30),
        1 => prop::collection::vec(step_of_time(), 1..30),
    ];
    (settings(), steps)
}

#[test]
fn answers_are_those_of_the_specification() {
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from(1000 * times()).expect("HISTORIES_TIMES is not that large"),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    });
    Watchdog::watch(|watchdog| {
        let result = runner.run(&program(), |(settings, steps)| {
            watchdog.about_to(&(settings, &steps));
            compare(settings, &steps);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

fn compare(settings: Settings, steps: &[Step]) {
    let clock = Arc::new(ManualClock::new());
    let mut builder = Dogpile::builder(duration(settings.ttl));
    if let Some(limit) = settings.stale_while_revalidate {
        builder = builder.stale_while_revalidate(duration(limit));
    }
    let pile = builder.clock(clock.clone()).build();
    let mut pair = Pair {
        pile: &pile,
        clock: &clock,
        spec: Spec::new(settings),
        last: 0,
        lease: None,
        waits: Vec::new(),
        guards: Vec::new(),
        inside: false,
    };
    for step in steps {
        pair.take(step);
    }
}

/// What a creator fails with.
#[derive(Debug, PartialEq, Eq)]
struct Failed(Id);

/// What it panics with.
struct Panicked;

/// The pile and what it should be.
struct Pair<'a> {
    pile: &'a Dogpile<Id>,
    clock: &'a ManualClock,
    spec: Spec,
    /// The last name that was given to a value, an error or a wait.
    last: Id,
    /// With its number in the specification.
    lease: Option<(Lease<'a, Id>, u64)>,
    waits: Vec<Waiter<'a>>,
    guards: Vec<Guard<'a, Id>>,
    /// Whether this is inside a creator.
    inside: bool,
}

struct Waiter<'a> {
    busy: Busy<'a, Id>,
    caller: Caller,
    floor: u64,
}

/// An answer, comparable.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Value(Id, Origin),
    Failed(Id),
    TimedOut,
    Reentrant,
    Panicked,
}

impl<'a> Pair<'a> {
    fn name(&mut self) -> Id {
        self.last += 1;
        self.last
    }

    fn made(&mut self, times: Times) -> Made {
        let Times { age, ttl, keep } = times;
        Made {
            id: self.name(),
            age,
            ttl,
            keep,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Get { inside, ends, asks } => self.get(inside, *ends, *asks),
            Step::Attempt(asks) => self.attempt(*asks),
            Step::EndLease(ends) => self.end_lease(*ends),
            Step::Hear => self.hear(),
            Step::Peek => self.guards.extend(self.pile.peek()),
            Step::Set(times) => {
                let made = self.made(*times);
                self.pile.set_with(told(made));
                self.spec.set(made);
            }
            Step::Expire => {
                self.pile.expire();
                self.spec.expire();
            }
            Step::Invalidate => {
                self.pile.invalidate();
                self.spec.invalidate();
            }
            Step::ExpireIf(back) => {
                if let Some(guard) = self.guards.iter().nth_back(*back) {
                    assert_eq!(
                        self.pile.expire_if(dogpile::Guard::seen(guard)),
                        self.spec.expire_if(**guard)
                    );
                }
            }
            Step::InvalidateIf(back) => {
                if let Some(guard) = self.guards.iter().nth_back(*back) {
                    assert_eq!(
                        self.pile.invalidate_if(dogpile::Guard::seen(guard)),
                        self.spec.invalidate_if(**guard)
                    );
                }
            }
            Step::Advance(by) => {
                self.clock.advance(Duration::from_nanos(*by));
                self.spec.advance(*by);
            }
        }
        let held = self.pile.peek();
        let held = held
            .as_ref()
            .map(|guard| (**guard, dogpile::Guard::origin(guard)));
        assert_eq!(held, self.spec.peek(), "(left: the pile's)");
        assert_eq!(self.pile.is_creating(), self.spec.is_creating());
        if let Some((lease, _)) = &self.lease {
            assert_eq!(lease.is_superseded(), self.spec.is_superseded());
        }
    }

    fn get(&mut self, inside: &[Step], ends: Ends, asks: Asks) {
        let (mut call, takes) = self.asked(asks);
        // It would be this very thread that it waits for.
        if self.spec.is_creating() {
            call = call.wait(Duration::ZERO);
        }
        let caller = self.name() as Caller;
        let mut of_spec = None;
        let was_inside = self.inside;
        let mut create = |pair: &mut Self| {
            let floor = pair.spec.floor(takes);
            let Look::Granted(number) = pair.spec.look(seeker(caller, takes, floor), asks.max_age)
            else {
                panic!("the pile creates, the specification does not");
            };
            pair.inside = true;
            for step in inside {
                pair.take(step);
            }
            pair.inside = was_inside;
            match ends {
                Ends::Value(times) => {
                    let made = pair.made(times);
                    let published = pair.spec.publish(number, made);
                    of_spec = Some(Answer::Value(made.id, created(published)));
                    Ok(told(made))
                }
                Ends::Failure => {
                    let id = pair.name();
                    pair.spec.fail(number, id);
                    of_spec = Some(Answer::Failed(id));
                    Err(Failed(id))
                }
                Ends::GivenUp => {
                    pair.spec.panicked(number);
                    of_spec = Some(Answer::Panicked);
                    resume_unwind(Box::new(Panicked))
                }
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            call.get_or_try_create_with(|_| create(self))
        }));
        let real = match answer {
            Ok(Ok(guard)) => {
                let answer = Answer::Value(*guard, dogpile::Guard::origin(&guard));
                self.guards.push(guard);
                answer
            }
            Ok(Err(error)) => failed(error),
            Err(panic) if panic.is::<Panicked>() => Answer::Panicked,
            Err(panic) => resume_unwind(panic),
        };
        let floor = self.spec.floor(takes);
        let look = |spec: &mut Spec| spec.look(seeker(caller, takes, floor), asks.max_age);
        let of_spec = of_spec.unwrap_or_else(|| match look(&mut self.spec) {
            Look::Value(id, origin) => Answer::Value(id, origin),
            Look::Granted(_) => panic!("the specification creates, the pile says {real:?}"),
            Look::Waits => {
                self.spec.leave(caller);
                if self.inside {
                    Answer::Reentrant
                } else {
                    Answer::TimedOut
                }
            }
        });
        assert_eq!(real, of_spec, "(left: the pile's)");
    }

    fn asked(&self, asks: Asks) -> (Call<'a, Id>, Takes) {
        let mut call = self.pile.call();
        if let Some(limit) = asks.max_age {
            call = call.max_age(duration(limit));
        }
        match asks.accept {
            Accepts::Stale => (call, Takes::Stale),
            Accepts::Fresh => (call.accept(Accept::Fresh), Takes::Fresh),
            Accepts::New => (call.accept(Accept::New), Takes::New),
            Accepts::NewerThan(back) => match self.guards.iter().nth_back(back) {
                Some(guard) => (
                    call.accept(Accept::NewerThan(dogpile::Guard::seen(guard))),
                    Takes::NewerThan(**guard),
                ),
                None => (call, Takes::Stale),
            },
        }
    }

    fn attempt(&mut self, asks: Asks) {
        let caller = self.name() as Caller;
        let (call, takes) = self.asked(asks);
        let floor = self.spec.floor(takes);
        let look = self.spec.look(seeker(caller, takes, floor), asks.max_age);
        match (call.attempt(), look) {
            (Attempt::Hit(guard), Look::Value(id, origin)) => {
                assert_eq!((*guard, dogpile::Guard::origin(&guard)), (id, origin));
                self.guards.push(guard);
            }
            (Attempt::Lease(lease), Look::Granted(number)) => self.lease = Some((lease, number)),
            (Attempt::Busy(busy), look) => match (busy.into_stale(), look) {
                (Ok(guard), Look::Value(id, Origin::Stale)) => assert_eq!(*guard, id),
                (Err(busy), Look::Waits) => self.waits.push(Waiter {
                    busy,
                    caller,
                    floor,
                }),
                other => panic!("the pile and the specification: {other:?}"),
            },
            other => panic!("the pile and the specification: {other:?}"),
        }
    }

    fn end_lease(&mut self, ends: Ends) {
        let Some((lease, number)) = self.lease.take() else {
            return;
        };
        match ends {
            Ends::Value(times) => {
                let made = self.made(times);
                let published = lease.publish(told(made));
                assert_eq!(published.is_ok(), self.spec.publish(number, made));
            }
            Ends::Failure => {
                let id = self.name();
                let error = lease.fail(Failed(id));
                assert_eq!(error.created(), Some(&Failed(id)));
                self.spec.fail(number, id);
            }
            Ends::GivenUp => {
                drop(lease);
                self.spec.give_up(number);
            }
        }
    }

    fn hear(&mut self) {
        // Inside the creator that is an error at once.
        if self.waits.is_empty() || self.inside {
            return;
        }
        let Waiter {
            busy,
            caller,
            floor,
        } = self.waits.remove(0);
        let told = self.spec.hear(caller, floor);
        self.spec.leave(caller);
        match (busy.wait_for(Duration::ZERO), told) {
            (Outcome::Value(guard), Some(Told::Value(id))) => {
                assert_eq!(
                    (*guard, dogpile::Guard::origin(&guard)),
                    (id, Origin::CreatedByAnother)
                );
                self.guards.push(guard);
            }
            (Outcome::Value(guard), Some(Told::Superseded(id))) => {
                assert_eq!(
                    (*guard, dogpile::Guard::origin(&guard)),
                    (id, Origin::Superseded)
                );
                self.guards.push(guard);
            }
            (Outcome::Failed(failure), Some(Told::Failed(id))) => {
                assert_eq!(failure.downcast_ref(), Some(&Failed(id)));
            }
            (Outcome::Panicked(_), Some(Told::Panicked))
            | (Outcome::ElectAnew, Some(Told::ElectAnew))
            | (Outcome::TimedOut, None) => {}
            other => panic!("the pile and the specification: {other:?}"),
        }
    }
}

/// A call that looks for the first time.
fn seeker(caller: Caller, takes: Takes, floor: u64) -> Seeker {
    Seeker {
        caller,
        takes,
        floor,
        has_waited: false,
    }
}

fn told(made: Made) -> Created<Id> {
    let created = Created::new(made.id)
        .age(Duration::from_nanos(made.age))
        .keep(made.keep);
    match made.ttl {
        Some(ttl) => created.ttl(duration(ttl)),
        None => created,
    }
}

fn failed(error: Error<Failed>) -> Answer {
    match error {
        Error::Create(failed) => Answer::Failed(failed.0),
        Error::TimedOut { .. } => Answer::TimedOut,
        Error::Reentrant => Answer::Reentrant,
        other => panic!("no answer to such a call: {other:?}"),
    }
}
