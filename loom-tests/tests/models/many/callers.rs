//! Three to eight threads that do to one pile, in any order, what can be done to it: the promises
//! that hold whatever happens. `one_creator`; `invalidate_wins`, `set_wins` and what follows from
//! them, that nobody sees what is older than what is known to have been there; `expire_keeps_serving`;
//! `wait_timeout`; `reentrancy_is_an_error`; `dropped_once_and_soon`; and nobody is left asleep, which
//! shuttle reports.
//!
//! ```breakages
//! creator-waits-for-itself | src/call/election/mod.rs
//! - _ if is_inside(Identity::of(call.site.pile))
//! + _ if false
//!
//! waiter-takes-a-failure-from-before | src/call/election/told.rs
//! - Ending::Failed(failure, falls_back) if began_in_time &&
//! + Ending::Failed(failure, falls_back) if
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogpile::{Accept, Attempt, Clock, Dogpile, Error, Guard, ManualClock, Origin, Outcome};
use loom_tests::Shows as _;
use loom_tests::{Call, Value, Witness, draw, large_model, let_others_run, thread};

/// How long a caller waits who does not wait for ever, and how far the clock is moved at a time.
const LIMIT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);
const STALE: Duration = Duration::from_secs(1);

/// A pile, and who looks after it.
pub(crate) struct World {
    pub(crate) pile: Arc<Dogpile<Value>>,
    pub(crate) witness: Witness,
    pub(crate) clock: Arc<ManualClock>,
    stale_while_revalidate: Option<Duration>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::new());
        let mut builder = Dogpile::builder(TTL).clock(clock.clone());
        let stale_while_revalidate = [None, Some(STALE)][draw(2)];
        if let Some(limit) = stale_while_revalidate {
            builder = builder.stale_while_revalidate(limit);
        }
        Arc::new(Self {
            pile: Arc::new(builder.build()),
            witness: Witness::default(),
            clock,
            stale_while_revalidate,
        })
    }

    /// Something that can be done to a pile, which may be done by a creator too.
    pub(crate) fn meddle(&self) {
        let Self { pile, witness, .. } = self;
        match draw(6) {
            0 => witness.set(|value| pile.set(value)),
            1 => witness.expire(|| {
                pile.expire();
                true
            }),
            2 => witness.invalidate(|| {
                pile.invalidate();
                true
            }),
            3 => self.clock.advance(LIMIT),
            // What it saw is perhaps not there any more.
            end => {
                let call = witness.call();
                if let Some(seen) = pile.peek() {
                    self.check(&call, &seen);
                    let_others_run();
                    match end {
                        4 => witness.expire(|| pile.expire_if(dogpile::Guard::seen(&seen))),
                        _ => witness.invalidate(|| pile.invalidate_if(dogpile::Guard::seen(&seen))),
                    }
                    seen.number();
                }
            }
        }
    }

    /// What a creator does before it comes to an end.
    pub(crate) fn work(&self) {
        let_others_run();
        match draw(6) {
            0 => self.meddle(),
            1 => {
                let call = self.witness.call();
                let create = || -> Result<Value, usize> { unreachable!("it is a creator") };
                match self.pile.get_or_try_create(create) {
                    Ok(guard) => self.check(&call, &guard),
                    Err(error) => assert!(error.is_reentrant()),
                }
            }
            _ => {}
        }
    }

    fn create(&self) -> Value {
        let creation = self.witness.begin();
        self.work();
        creation.value()
    }

    fn fail(&self) -> Result<Value, usize> {
        let creation = self.witness.begin();
        self.work();
        Err(creation.number())
    }

    fn panic(&self) -> Value {
        let _creation = self.witness.begin();
        self.work();
        resume_unwind(Box::new("a creator's"))
    }

    /// A call was answered with this: it may be.
    pub(crate) fn check(&self, call: &Call<'_>, guard: &Guard<'_, Value>) {
        match guard.origin() {
            Origin::Fresh => {
                call.saw_fresh(guard);
                assert!(dogpile::Guard::age(guard) <= TTL);
            }
            Origin::Stale => {
                call.saw(guard);
                let limit = self.stale_while_revalidate;
                assert!(limit.is_none_or(|limit| dogpile::Guard::age(guard) <= TTL + limit));
            }
            Origin::CreatedHere => call.saw_new(guard),
            Origin::Superseded => call.saw_superseded(guard),
            _ => call.saw(guard),
        }
    }

    pub(crate) fn check_answer<E>(
        &self,
        call: &Call<'_>,
        answer: Result<Guard<'_, Value>, Error<E>>,
    ) where
        E: Into<usize> + Copy,
    {
        match answer {
            Ok(guard) => self.check(call, &guard),
            Err(Error::Create(error)) => call.failed((*error).into()),
            // Of a creator whose errors are of another type.
            Err(Error::Failed(failure)) => {
                let error = failure.downcast_ref().copied();
                call.failed(error.expect("an error of this model"));
            }
            Err(error) => assert!(error.is_panicked(), "nothing else can happen"),
        }
    }

    /// A call of any kind.
    pub(crate) fn call(&self) {
        let Self { pile, witness, .. } = self;
        let call = witness.call();
        match draw(10) {
            0 | 1 => self.check(&call, &pile.get_or_create(|| self.create())),
            2 => self.check_answer(&call, pile.get_or_try_create(|| self.fail())),
            3 => {
                // Its errors are of another type.
                let create = || Ok::<_, u8>(self.create());
                self.check_answer(&call, pile.get_or_try_create(create));
            }
            4 => {
                let answer = catch_unwind(AssertUnwindSafe(|| {
                    self.check(&call, &pile.get_or_create(|| self.panic()));
                }));
                if let Err(panic) = answer {
                    // Anything else is what the model found.
                    if panic.downcast_ref() != Some(&"a creator's") {
                        resume_unwind(panic);
                    }
                }
            }
            5 => {
                let over = self.clock.now().saturating_add(LIMIT);
                match pile.call().wait(LIMIT).get_or_create(|| self.create()) {
                    Ok(guard) => self.check(&call, &guard),
                    Err(error) => {
                        assert!(error.is_timed_out());
                        assert!(self.clock.now() >= over, "too soon");
                    }
                }
            }
            6 => {
                let new = pile.call().accept(Accept::New);
                match new.get_or_try_create(|| match draw(2) {
                    0 => Ok(self.create()),
                    _ => self.fail(),
                }) {
                    Ok(new) => {
                        self.check(&call, &new);
                        assert!(call.is_before(&new), "not new");
                    }
                    answer => {
                        if let Err(Error::Create(error)) = &answer {
                            assert!(**error > call.began(), "a failure from before");
                        }
                        self.check_answer(&call, answer);
                    }
                }
            }
            7 => {
                let Some(seen) = pile.peek() else { return };
                self.check(&call, &seen);
                let newer = pile
                    .call()
                    .accept(Accept::NewerThan(dogpile::Guard::seen(&seen)));
                let newer = newer.get_or_create(|| self.create()).unwrap();
                self.check(&call, &newer);
                assert_ne!(newer.number(), seen.number(), "the same again");
            }
            8 => {
                // Of a thread that ends.
                let sent = Mutex::new(None);
                thread::scope(|threads| {
                    threads.spawn(|| *sent.lock().unwrap() = pile.peek());
                });
                if let Some(guard) = sent.into_inner().unwrap() {
                    self.check(&call, &guard);
                    self.meddle();
                    guard.number();
                }
            }
            _ => self.attempt(&call),
        }
    }

    fn attempt(&self, call: &Call<'_>) {
        match self.pile.attempt() {
            Attempt::Hit(guard) => self.check(call, &guard),
            Attempt::Lease(lease) => {
                let creation = self.witness.begin();
                // Not a call: the pile cannot know whose lease it is.
                self.meddle();
                let (value, error) = (creation.value(), creation.number());
                drop(creation);
                match draw(3) {
                    0 => drop(lease.publish(value)),
                    1 => drop(lease.fail(error)),
                    _ => drop(lease),
                }
            }
            Attempt::Busy(busy) => {
                let busy = match busy.into_stale() {
                    Ok(stale) => return self.check(call, &stale),
                    Err(busy) => busy,
                };
                let outcome = match draw(2) {
                    0 => busy.wait(),
                    _ => busy.wait_for(LIMIT),
                };
                match outcome {
                    Outcome::Value(guard) => self.check(call, &guard),
                    Outcome::Failed(failure) => {
                        call.failed(*failure.downcast_ref().expect("an error of this model"));
                    }
                    _ => {}
                }
            }
            _ => unreachable!("nothing else can be found"),
        }
    }

    /// After all that: one value at most is left, and the next one is renewed when it is due.
    pub(crate) fn end(&self) {
        let Self { pile, witness, .. } = self;
        assert!(!pile.is_creating());
        assert_eq!(pile.waiters(), 0);
        assert!(witness.alive() <= 1);
        self.clock.advance(TTL + LIMIT);
        let renewed = pile.get_or_create(|| witness.begin().value());
        assert_eq!(renewed.origin(), Origin::CreatedHere);
        drop(renewed);
        pile.invalidate();
        assert_eq!(witness.alive(), 0);
    }
}

#[test]
fn whatever_they_do() {
    large_model(|| {
        let world = World::new();
        let threads: Vec<_> = (0..3 + draw(6))
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    for _ in 0..1 + draw(3) {
                        if draw(3) == 0 {
                            world.meddle();
                        } else {
                            world.call();
                        }
                    }
                })
            })
            .collect();
        // Everybody with a limit to waiting comes to it.
        for _ in 0..draw(4) {
            world.clock.advance(LIMIT);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        world.end();
    });
}
