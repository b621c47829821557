//! What happened: the calls of each thread, with stamps from one counter.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use dogpile::executor::{Executor, Job};
use dogpile::{
    Accept, Acquired, Created, Error, Guard, Lookup, ManualClock, Origin, Refused, Seen,
};

use crate::program::{
    AnyPile, Demand, Form, Get, LooksUp, Makes, Op, Program, WAIT, Wait, duration, on_pile,
};
use crate::spec::{ELSEWHERE, Id};
use crate::threads::{AtomicU64, JoinHandle, Mutex, Ordering, block_on, scope, spawn, yield_now};

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
    /// When it looked its value up elsewhere, if it did.
    pub(crate) looked: Option<u64>,
    /// When its creator began and ended, if it ran: in the background perhaps after the call.
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
    let stamps = Arc::new(AtomicU64::new(1));
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
    pile: &'a AnyPile,
    clock: &'a ManualClock,
    stamps: &'a Arc<AtomicU64>,
    /// The value of the pile that it was given last.
    given: Option<(Id, Seen)>,
    /// Its guard, where that keeps nobody out.
    guard: Option<Guard<'a, u64>>,
    jobs: Vec<JoinHandle<()>>,
}

/// Runs each job on a thread of its own.
#[derive(Default)]
struct Jobs(Mutex<Vec<JoinHandle<()>>>);

impl Executor for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let job = spawn(|| job.run());
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

/// What creators fail with.
#[derive(Debug)]
struct Failed(Id);

/// What they panic with; the panic hook does not see it.
struct Panicked;

/// What was stamped in a call, by whatever thread.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Stamped>>);

#[derive(Clone, Copy, Default)]
struct Stamped {
    looked: Option<u64>,
    creator: Option<(u64, u64)>,
}

/// What holds a value that a call was given.
trait Holds<'a> {
    fn origin(&self) -> Origin;
    fn seen(&self) -> Seen;
    /// A guard that keeps nobody out.
    fn guard(self) -> Option<Guard<'a, u64>>;
}

impl<'a> Holds<'a> for Guard<'a, u64> {
    fn origin(&self) -> Origin {
        Guard::origin(self)
    }

    fn seen(&self) -> Seen {
        Guard::seen(self)
    }

    fn guard(self) -> Option<Guard<'a, u64>> {
        Some(self)
    }
}

impl<'a> Holds<'a> for dogpile::ReadGuard<'a, u64> {
    fn origin(&self) -> Origin {
        Guard::origin(self)
    }

    fn seen(&self) -> Seen {
        Guard::seen(self)
    }

    fn guard(self) -> Option<Guard<'a, u64>> {
        None
    }
}

impl<'a, P> Holds<'a> for Acquired<'a, u64, P> {
    fn origin(&self) -> Origin {
        Acquired::origin(self)
    }

    fn seen(&self) -> Seen {
        Acquired::seen(self)
    }

    fn guard(self) -> Option<Guard<'a, u64>> {
        None
    }
}

/// What the call answers: as a task, or not.
macro_rules! ask {
    (task: $this:expr, $get:expr, $call:expr, $create:expr, $look:expr) => {
        match $get.looks {
            LooksUp::No => {
                let call = $call.get_or_try_create_with_async(|_| async { ($create)() });
                block_on(call).map(|held| $this.given(held))
            }
            LooksUp::InVain | LooksUp::Finds => {
                let look = || async { Ok($look()) };
                let call = $call.acquire_with_async(|_| async { ($create)() }, look);
                block_on(call).map(|held| $this.given(held))
            }
        }
    };
    ($this:expr, $get:expr, $call:expr, $create:expr, $look:expr) => {
        match $get.looks {
            LooksUp::No => {
                let held = $call.get_or_try_create_with(move |_| ($create)());
                held.map(|held| $this.given(held))
            }
            LooksUp::InVain | LooksUp::Finds => {
                let held = $call.acquire_with(move |_| ($create)(), || Ok($look()));
                held.map(|held| $this.given(held))
            }
        }
    };
}

impl<'a> Thread<'a> {
    fn new(
        number: usize,
        pile: &'a AnyPile,
        clock: &'a ManualClock,
        stamps: &'a Arc<AtomicU64>,
    ) -> Self {
        Self {
            number,
            pile,
            clock,
            stamps,
            given: None,
            guard: None,
            jobs: Vec::new(),
        }
    }

    fn stamp(&self) -> u64 {
        stamp(self.stamps)
    }

    fn run(mut self, ops: &[Op]) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut all_marks = Vec::new();
        for (index, &op) in ops.iter().enumerate() {
            let id = 100 * (self.number as u64 + 1) + index as u64;
            let marks = Marks::default();
            calls.push(self.call(op, id, &marks));
            all_marks.push(marks);
        }
        for job in self.jobs {
            // A creator's panic goes on in what runs it.
            match job.join() {
                Err(panic) if !panic.is::<Panicked>() => resume_unwind(panic),
                Ok(()) | Err(_) => {}
            }
        }
        for (call, marks) in calls.iter_mut().zip(all_marks) {
            let Stamped { looked, creator } = *marks.0.lock().unwrap();
            (call.looked, call.creator) = (looked, creator);
        }
        calls
    }

    fn call(&mut self, op: Op, id: Id, marks: &Marks) -> Call {
        let seen = self.given.map(|(id, _)| id);
        let on_seen = |act: fn(&AnyPile, Seen) -> bool| {
            Answer::Did(self.given.is_some_and(|(_, seen)| act(self.pile, seen)))
        };
        let start = self.stamp();
        let answer = match op {
            Op::Get(get) => self.get(get, id, marks),
            Op::Peek => on_pile!(self.pile, |pile| match pile.peek() {
                Some(held) => self.given(held),
                None => Answer::Nothing,
            }),
            Op::Set => {
                on_pile!(self.pile, |pile| pile.set(id));
                Answer::Done
            }
            Op::Expire => {
                on_pile!(self.pile, |pile| pile.expire());
                Answer::Done
            }
            Op::Invalidate => {
                on_pile!(self.pile, |pile| pile.invalidate());
                Answer::Done
            }
            Op::ExpireSeen => on_seen(|pile, seen| on_pile!(pile, |pile| pile.expire_if(seen))),
            Op::InvalidateSeen => {
                on_seen(|pile, seen| on_pile!(pile, |pile| pile.invalidate_if(seen)))
            }
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
            // Not before its job is over.
            looked: None,
            creator: None,
            answer,
        }
    }

    fn given<H: Holds<'a> + std::ops::Deref<Target = u64>>(&mut self, held: H) -> Answer {
        let id = *held;
        let answer = Answer::Value(id, held.origin());
        if id != ELSEWHERE {
            self.given = Some((id, held.seen()));
            self.guard = held.guard();
        }
        answer
    }

    fn get(&mut self, get: Get, id: Id, marks: &Marks) -> Answer {
        let accept = match (get.takes, self.given) {
            (Demand::NewerThanSeen, Some((_, seen))) => Accept::NewerThan(seen),
            (Demand::Stale | Demand::NewerThanSeen, _) => Accept::Stale,
            (Demand::Fresh, _) => Accept::Fresh,
            (Demand::New, _) => Accept::New,
        };
        let wait = match get.wait {
            Wait::ForEver => None,
            Wait::NotAtAll => Some(duration(0)),
            Wait::Once => Some(duration(WAIT)),
        };
        let create = {
            let (stamps, marks) = (Arc::clone(self.stamps), marks.clone());
            move || {
                let begun = stamp(&stamps);
                for _ in 0..get.pause {
                    yield_now();
                }
                let ran = Some((begun, stamp(&stamps)));
                let before = std::mem::replace(&mut marks.0.lock().unwrap().creator, ran);
                assert_eq!(before, None, "it creates twice");
                match get.makes {
                    Makes::Value | Makes::Unkept => Ok(id),
                    Makes::Error => Err(Failed(id)),
                    Makes::Panic => resume_unwind(Box::new(Panicked)),
                }
            }
        };
        let told = move |id| match get.makes {
            Makes::Unkept => Created::new(id).keep(false),
            Makes::Value | Makes::Error | Makes::Panic => Created::new(id),
        };
        let look = {
            let (stamps, marks) = (Arc::clone(self.stamps), marks.clone());
            move || {
                let looked = Some(stamp(&stamps));
                let before = std::mem::replace(&mut marks.0.lock().unwrap().looked, looked);
                assert_eq!(before, None, "it looks up twice");
                match get.looks {
                    LooksUp::Finds => Lookup::Here(ELSEWHERE),
                    LooksUp::No | LooksUp::InVain => Lookup::NeedRegeneration,
                }
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let jobs = Jobs::default();
            let answer = on_pile!(self.pile, |pile| {
                let mut call = pile.call().accept(accept);
                let mut started = pile.background(&jobs).accept(accept);
                if let Some(limit) = wait {
                    call = call.wait(limit);
                    started = started.wait(limit);
                }
                match get.form {
                    Form::Plain => {
                        let held = call.get_or_create(|| create().expect("it does not fail"));
                        held.map(|held| self.given(held)).map_err(|error| {
                            assert!(error.is_timed_out(), "{error}");
                            Answer::TimedOut
                        })
                    }
                    Form::Fallible => {
                        ask!(self, get, call, || create().map(told), look).map_err(error)
                    }
                    Form::Task => {
                        ask!(task: self, get, call, || create().map(told), look).map_err(error)
                    }
                    Form::Background => {
                        ask!(self, get, started, || create().map(told), look).map_err(error)
                    }
                }
            });
            self.jobs.extend(jobs.0.into_inner().unwrap());
            answer
        }));
        match answer {
            Ok(Ok(answer) | Err(answer)) => answer,
            Err(panic) if panic.is::<Panicked>() => Answer::Panicked,
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn stamp(stamps: &AtomicU64) -> u64 {
    stamps.fetch_add(1, Ordering::SeqCst)
}

fn error(error: Error<Failed>) -> Answer {
    match error {
        Error::Create(failed) => Answer::Failed(failed.0),
        Error::TimedOut { .. } => Answer::TimedOut,
        Error::Panicked(_) => Answer::ToldOfPanic,
        other => panic!("no answer to such a call: {other:?}"),
    }
}

impl Call {
    pub(crate) fn is_in_background(&self) -> bool {
        matches!(self.op, Op::Get(Get { form, .. }) if form == Form::Background)
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
        if let Some(looked) = self.looked {
            write!(f, ", looked up at {looked}")?;
        }
        if let Some((begun, ended)) = self.creator {
            write!(f, ", creator {begun} to {ended}")?;
        }
        write!(f, " ({id}): {answer:?}")
    }
}
