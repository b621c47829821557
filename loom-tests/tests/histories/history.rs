//! What happened: the calls of each thread, with stamps from one counter.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use dogpile::{Accept, Dogpile, Error, Guard, ManualClock, Origin};

use crate::program::{Demand, Form, Get, Makes, Op, Program, WAIT, Wait, duration};
use crate::spec::Id;
use crate::threads::{AtomicU64, Ordering, block_on, scope, yield_now};

/// The calls of each thread, one after the other.
pub(crate) type History = Vec<Vec<Call>>;

/// A call, pending between `start` and `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) op: Op,
    /// What it names its value or its error, if it makes one.
    pub(crate) id: Id,
    /// The value that the thread was given last.
    pub(crate) seen: Option<Id>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// When its creator began and ended, if it ran.
    pub(crate) creator: Option<(u64, u64)>,
    pub(crate) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Did(bool),
    /// Of a peek.
    Nothing,
    Value(Id, Origin),
    Failed(Id),
    TimedOut,
    /// Its own creator did.
    Panicked,
    /// The creator that it waited for did.
    ToldOfPanic,
}

/// Runs a program so many times, each time with a pile of its own, and says what happened.
pub(crate) fn run(program: &Program, times: usize) -> Vec<History> {
    let piles: Vec<_> = (0..times)
        .map(|_| {
            let clock = Arc::new(ManualClock::new());
            (program.pile(&clock), clock)
        })
        .collect();
    let stamps = AtomicU64::new(1);
    let arrived = AtomicU64::new(0);
    let threads = program.threads.len() as u64;
    let mut of_threads: Vec<_> = scope(|scope| {
        let handles: Vec<_> = (program.threads.iter().enumerate())
            .map(|(number, ops)| {
                let (piles, stamps, arrived) = (&piles, &stamps, &arrived);
                scope.spawn(move || {
                    let mut calls = Vec::with_capacity(times);
                    let _gone = Gone(arrived);
                    for (time, (pile, clock)) in piles.iter().enumerate() {
                        // All at once.
                        arrived.fetch_add(1, Ordering::SeqCst);
                        while arrived.load(Ordering::SeqCst) < (time as u64 + 1) * threads {
                            yield_now();
                        }
                        calls.push(Thread::new(number, pile, clock, stamps).run(ops));
                    }
                    calls
                })
            })
            .collect();
        let joined = handles.into_iter().map(|handle| handle.join());
        joined
            .map(|calls| {
                calls
                    .unwrap_or_else(|panic| resume_unwind(panic))
                    .into_iter()
            })
            .collect()
    });
    (0..times)
        .map(|_| of_threads.iter_mut().filter_map(Iterator::next).collect())
        .collect()
}

/// Nobody waits any more for a thread that has ended, be it by a panic.
struct Gone<'a>(&'a AtomicU64);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1 << 32, Ordering::SeqCst);
    }
}

struct Thread<'a> {
    number: usize,
    pile: &'a Dogpile<u64>,
    clock: &'a ManualClock,
    stamps: &'a AtomicU64,
    /// What it was given last.
    guard: Option<Guard<'a, u64>>,
}

/// What creators fail with.
#[derive(Debug)]
struct Failed(Id);

/// What they panic with; the panic hook does not see it.
struct Panicked;

impl<'a> Thread<'a> {
    fn new(
        number: usize,
        pile: &'a Dogpile<u64>,
        clock: &'a ManualClock,
        stamps: &'a AtomicU64,
    ) -> Self {
        let guard = None;
        Self {
            number,
            pile,
            clock,
            stamps,
            guard,
        }
    }

    fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    fn run(mut self, ops: &[Op]) -> Vec<Call> {
        (ops.iter().enumerate())
            .map(|(index, &op)| {
                let id = 100 * (self.number as u64 + 1) + index as u64;
                self.call(op, id)
            })
            .collect()
    }

    fn call(&mut self, op: Op, id: Id) -> Call {
        let seen = self.guard.as_deref().copied();
        let mut creator = None;
        let start = self.stamp();
        let answer = match op {
            Op::Get(get) => self.get(get, id, &mut creator),
            Op::Peek => match self.pile.peek() {
                Some(guard) => self.given(guard),
                None => Answer::Nothing,
            },
            Op::Set => {
                self.pile.set(id);
                Answer::Done
            }
            Op::Expire => {
                self.pile.expire();
                Answer::Done
            }
            Op::Invalidate => {
                self.pile.invalidate();
                Answer::Done
            }
            Op::ExpireSeen => Answer::Did(
                self.guard
                    .as_ref()
                    .is_some_and(|g| self.pile.expire_if(dogpile::Guard::seen(g))),
            ),
            Op::InvalidateSeen => Answer::Did(
                self.guard
                    .as_ref()
                    .is_some_and(|g| self.pile.invalidate_if(dogpile::Guard::seen(g))),
            ),
            Op::Advance => {
                self.clock.advance(duration(WAIT));
                Answer::Done
            }
        };
        let end = self.stamp();
        Call {
            op,
            id,
            seen,
            start,
            end,
            creator,
            answer,
        }
    }

    fn given(&mut self, guard: Guard<'a, u64>) -> Answer {
        let answer = Answer::Value(*guard, dogpile::Guard::origin(&guard));
        self.guard = Some(guard);
        answer
    }

    fn get(&mut self, get: Get, id: Id, ran: &mut Option<(u64, u64)>) -> Answer {
        let mut call = self.pile.call();
        match get.wait {
            Wait::ForEver => {}
            Wait::NotAtAll => call = call.wait(duration(0)),
            Wait::Once => call = call.wait(duration(WAIT)),
        }
        call = call.accept(match (get.takes, &self.guard) {
            (Demand::NewerThanSeen, Some(guard)) => Accept::NewerThan(dogpile::Guard::seen(guard)),
            (Demand::Stale | Demand::NewerThanSeen, _) => Accept::Stale,
            (Demand::Fresh, _) => Accept::Fresh,
            (Demand::New, _) => Accept::New,
        });
        let mut create = || {
            let begun = self.stamp();
            for _ in 0..get.pause {
                yield_now();
            }
            *ran = Some((begun, self.stamp()));
            match get.makes {
                Makes::Value => Ok(id),
                Makes::Error => Err(Failed(id)),
                Makes::Panic => resume_unwind(Box::new(Panicked)),
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| match get.form {
            Form::Plain => call
                .get_or_create(|| create().expect("it does not fail"))
                .map_err(|error| {
                    assert!(error.is_timed_out(), "{error}");
                    Answer::TimedOut
                }),
            Form::Fallible => call.get_or_try_create(create).map_err(error),
            Form::Task => {
                let answer = call.get_or_try_create_async(|| async { create() });
                block_on(answer).map_err(error)
            }
        }));
        match answer {
            Ok(Ok(guard)) => self.given(guard),
            Ok(Err(answer)) => answer,
            Err(panic) if panic.is::<Panicked>() => Answer::Panicked,
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn error(error: Error<Failed>) -> Answer {
    match error {
        Error::Create(failed) => Answer::Failed(failed.0),
        Error::TimedOut { .. } => Answer::TimedOut,
        Error::Panicked(_) => Answer::ToldOfPanic,
        other => panic!("no answer to such a call: {other:?}"),
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call {
            op,
            id,
            start,
            end,
            answer,
            ..
        } = self;
        write!(f, "{start:3} to {end:3}: {op:?}")?;
        if let Some((begun, ended)) = self.creator {
            write!(f, ", creator {begun} to {ended}")?;
        }
        write!(f, " ({id}): {answer:?}")
    }
}
