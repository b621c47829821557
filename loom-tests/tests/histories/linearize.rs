//! Whether a history can have happened: a search for an order of steps, each within its call, that
//! the [specification](crate::spec) can take and that gives every answer. After Wing and Gong,
//! "Testing and verifying concurrent objects" (JPDC 17, 1993), with the memory of Lowe's, 2017.
//!
//! The checkers that one can have as crates take one step for each call. A `get_or_create` takes
//! more: it looks, it may be told to look again, and its creator begins and ends in between.

use std::collections::HashSet;
use std::fmt::Write;

use dogpile::Origin;

use crate::history::{Answer, Call, History};
use crate::program::{Demand, Form, Get, Kind, LooksUp, Makes, Op, WAIT, Wait};
use crate::spec::{ELSEWHERE, Look, LookedUp, Made, Seeker, Spec, Takes, Time, Told};

/// How far a search has got.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Point {
    kind: Kind,
    spec: Spec,
    threads: Vec<Cursor>,
    /// The creations that run in the background.
    jobs: Vec<Job>,
}

/// A creation that a call has started.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Job {
    /// Whose, and which of its calls.
    thread: usize,
    call: usize,
    /// Of the lease.
    number: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Cursor {
    /// Of the thread's calls, the one that is being made.
    call: usize,
    phase: Phase,
    /// Fixed by the first look of the call.
    floor: Option<u64>,
    /// For a lease until its end, and it looks again.
    has_waited: bool,
    /// When its waiting is over, if that is its answer.
    deadline: Option<Time>,
    /// Of an `acquire`, from its look-up on.
    looked: Option<LookedUp>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Begins,
    /// Elsewhere; only an `acquire` does.
    LooksUp,
    Looks,
    Waits,
    /// Under the lease with this number.
    Creates(u64),
    /// A creation under the lease with this number, by somebody else.
    Starts,
    /// For the creation that it has started.
    WaitsForItsOwn,
    /// Its value became the current one, and it goes in with it. (Only a reader's takes this step by
    /// itself.)
    GoesIn,
}

/// `Err` tells of a history that the contract does not allow.
pub(crate) fn check(kind: Kind, spec: Spec, history: &History) -> Result<(), String> {
    let start = Point {
        kind,
        spec,
        threads: vec![Cursor::default(); history.len()],
        jobs: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut open = vec![start];
    let mut furthest: Option<(usize, Point)> = None;
    while let Some(point) = open.pop() {
        if !seen.insert(point.clone()) {
            continue;
        }
        let done = point.threads.iter().map(|cursor| cursor.call).sum();
        if done == history.iter().map(Vec::len).sum() {
            return Ok(());
        }
        point.steps(history, &mut open);
        if furthest.as_ref().is_none_or(|(most, _)| done > *most) {
            furthest = Some((done, point));
        }
    }
    Err(tell(history, furthest))
}

fn tell(history: &History, furthest: Option<(usize, Point)>) -> String {
    let mut text = String::from("no order of steps gives these answers:\n");
    for (number, calls) in history.iter().enumerate() {
        for (index, call) in calls.iter().enumerate() {
            let reached = furthest
                .as_ref()
                .is_some_and(|(_, point)| index < point.threads[number].call);
            let mark = if reached { ' ' } else { '*' };
            let _ = writeln!(text, "{mark} thread {number}, {call}");
        }
    }
    if let Some((_, point)) = furthest {
        let _ = writeln!(
            text,
            "at most those without * can, ending in {:?}",
            point.spec
        );
    }
    text
}

impl Point {
    /// Adds every point that is one step further on.
    fn steps(&self, history: &History, open: &mut Vec<Point>) {
        let current = |(cursor, calls): (&Cursor, &Vec<Call>)| {
            calls
                .get(cursor.call)
                .map(|call| window(call, cursor.phase))
        };
        let windows: Vec<_> = self.threads.iter().zip(history).map(current).collect();
        // A step may come before all that ends after it begins.
        let first_end = windows.iter().flatten().map(|&(_, until)| until).min();
        for (thread, window) in windows.iter().enumerate() {
            let Some((from, _)) = window else { continue };
            if first_end.is_some_and(|end| *from < end) {
                let call = &history[thread][self.threads[thread].call];
                self.step(thread, call, open);
            }
        }
        for (index, job) in self.jobs.iter().enumerate() {
            let call = &history[job.thread][job.call];
            // It ends after its creator has, and when is not known.
            let ended = call.creator.map_or(0, |(_, ended)| ended);
            if first_end.is_some_and(|end| ended < end) {
                let mut next = self.clone();
                next.jobs.swap_remove(index);
                next.ends(job.number, call);
                open.push(next);
            }
        }
    }

    /// The creation under the lease with this number ends; says what its caller is told.
    fn ends(&mut self, number: u64, call: &Call) -> Answer {
        let id = call.id;
        let Op::Get(Get { makes, .. }) = call.op else {
            unreachable!("only a get creates");
        };
        match makes {
            Makes::Value | Makes::Unkept => {
                let keep = makes == Makes::Value;
                let made = Made { keep, ..id.into() };
                Answer::Value(id, created(self.spec.publish(number, made)))
            }
            Makes::Error => {
                self.spec.fail(number, id);
                Answer::Failed(id)
            }
            Makes::Panic => {
                self.spec.panicked(number);
                Answer::Panicked
            }
        }
    }

    /// Adds what one step of this thread can come to: nothing if no step leads to its answer.
    fn step(&self, thread: usize, call: &Call, open: &mut Vec<Point>) {
        let mut next = self.clone();
        let spec = &mut next.spec;
        let done = match call.op {
            Op::Get(get) => return next.step_of_get(thread, call, get, open),
            Op::Peek => {
                let held = spec.peek();
                held.map_or(Answer::Nothing, |(id, origin)| Answer::Value(id, origin))
            }
            Op::Set => {
                spec.set(call.id.into());
                Answer::Done
            }
            Op::Expire => {
                spec.expire();
                Answer::Done
            }
            Op::Invalidate => {
                spec.invalidate();
                Answer::Done
            }
            Op::ExpireSeen => Answer::Did(call.seen.is_some_and(|id| spec.expire_if(id))),
            Op::InvalidateSeen => Answer::Did(call.seen.is_some_and(|id| spec.invalidate_if(id))),
            Op::Advance => {
                spec.advance(WAIT);
                Answer::Done
            }
        };
        next.answered(thread, call, done, open);
    }

    /// The call is over, if that is what it answered.
    fn answered(mut self, thread: usize, call: &Call, answer: Answer, open: &mut Vec<Point>) {
        if call.answer == answer {
            self.threads[thread] = Cursor {
                call: self.threads[thread].call + 1,
                ..Cursor::default()
            };
            open.push(self);
        }
    }

    fn step_of_get(mut self, thread: usize, call: &Call, get: Get, open: &mut Vec<Point>) {
        let gives_up = call.answer == Answer::TimedOut;
        let takes = takes(call, get);
        let now = self.spec.now();
        let cursor = &mut self.threads[thread];
        match cursor.phase {
            Phase::Begins if gives_up && cursor.deadline.is_none() => {
                cursor.deadline = Some(match get.wait {
                    Wait::NotAtAll => now,
                    Wait::Once => now + WAIT,
                    Wait::ForEver => return,
                });
                open.push(self);
            }
            Phase::Begins if get.looks == LooksUp::No => {
                cursor.phase = Phase::Looks;
                self.look(thread, call, takes, open);
            }
            Phase::Begins => {
                let looks_up = self.spec.is_to_look_up(takes);
                if call.looked.is_some() != looks_up {
                    return;
                }
                cursor.looked = Some(self.spec.begin_look_up(takes));
                let finds = looks_up && get.looks == LooksUp::Finds;
                cursor.phase = if finds { Phase::LooksUp } else { Phase::Looks };
                open.push(self);
            }
            Phase::LooksUp => {
                let looked = cursor.looked.and_then(|looked| self.spec.finds(looked));
                let Some(looked) = looked else { return };
                if let Some(origin) = self.spec.is_answered(looked, takes) {
                    let answer = Answer::Value(ELSEWHERE, origin);
                    self.clone().without_creator(thread, call, answer, open);
                    if origin == Origin::Fresh {
                        return;
                    }
                    // That another creates it may have missed, until it looks under the lock.
                }
                let cursor = &mut self.threads[thread];
                (cursor.looked, cursor.phase) = (Some(looked), Phase::Looks);
                open.push(self);
            }
            Phase::Looks => self.look(thread, call, takes, open),
            Phase::Waits => {
                let floor = cursor.floor.unwrap_or(0);
                if gives_up && cursor.deadline.is_some_and(|deadline| now >= deadline) {
                    // Perhaps it was told already, but has not heard.
                    let mut left = self.clone();
                    left.spec.leave(thread);
                    left.without_creator(thread, call, Answer::TimedOut, open);
                }
                match self.spec.hear(thread, floor) {
                    None => {}
                    // A failure is no answer to a call that cannot fail.
                    Some(Told::Failed(_) | Told::Panicked) if get.form == Form::Plain => {
                        self.looks_again(thread);
                        open.push(self);
                    }
                    Some(Told::ElectAnew) => {
                        self.looks_again(thread);
                        open.push(self);
                    }
                    Some(told) => self.without_creator(thread, call, heard(told), open),
                }
            }
            Phase::Creates(number) => match self.ends(number, call) {
                answer @ Answer::Value(_, Origin::CreatedHere) if self.kind == Kind::Plain => {
                    self.answered(thread, call, answer, open);
                }
                Answer::Value(_, Origin::CreatedHere) => {
                    self.threads[thread].phase = Phase::GoesIn;
                    open.push(self);
                }
                answer => self.answered(thread, call, answer, open),
            },
            // What anybody does who comes while it is created.
            Phase::Starts => {
                let floor = cursor.floor.unwrap_or(0);
                match self.looks(thread, takes, floor) {
                    Look::Value(id, origin) => {
                        self.answered(thread, call, Answer::Value(id, origin), open);
                    }
                    Look::Waits => {
                        // Whatever came since, that creation is its own.
                        self.spec.leave(thread);
                        self.spec.join_own(thread);
                        self.threads[thread].phase = Phase::WaitsForItsOwn;
                        open.push(self);
                    }
                    Look::Granted(_) => unreachable!("its job begins after this"),
                }
            }
            Phase::WaitsForItsOwn => {
                let floor = cursor.floor.unwrap_or(0);
                if gives_up && cursor.deadline.is_some_and(|deadline| now >= deadline) {
                    let mut left = self.clone();
                    left.spec.leave(thread);
                    left.answered(thread, call, Answer::TimedOut, open);
                }
                match self.spec.hear(thread, floor) {
                    None | Some(Told::ElectAnew) => {}
                    Some(Told::Value(id)) if id == call.id => {
                        self.threads[thread].phase = Phase::GoesIn;
                        open.push(self);
                    }
                    Some(told) => self.answered(thread, call, heard(told), open),
                }
            }
            Phase::GoesIn => {
                let own = |origin| Answer::Value(call.id, origin);
                // A reader is shown nothing that was replaced before it was inside.
                let answer = match self.kind {
                    Kind::Reader if !self.spec.is_current(call.id) => self
                        .spec
                        .peek()
                        .map_or(own(Origin::Superseded), |(id, origin)| {
                            Answer::Value(id, origin)
                        }),
                    Kind::Plain | Kind::Reader => own(Origin::CreatedHere),
                };
                self.answered(thread, call, answer, open);
            }
        }
    }

    fn looks_again(&mut self, thread: usize) {
        let cursor = &mut self.threads[thread];
        (cursor.phase, cursor.has_waited) = (Phase::Looks, true);
    }

    fn looks(&mut self, thread: usize, takes: Takes, floor: u64) -> Look {
        let Cursor {
            looked, has_waited, ..
        } = self.threads[thread];
        let seeker = Seeker {
            caller: thread,
            takes,
            floor,
            has_waited,
        };
        match looked {
            None => self.spec.look(seeker, None),
            Some(looked) => self.spec.look_after(seeker, looked),
        }
    }

    fn look(mut self, thread: usize, call: &Call, takes: Takes, open: &mut Vec<Point>) {
        let least = self.spec.floor(takes);
        let cursor = &mut self.threads[thread];
        let floor = *cursor.floor.get_or_insert(least);
        let look = self.looks(thread, takes, floor);
        let cursor = &mut self.threads[thread];
        match look {
            Look::Value(id, origin) => {
                self.without_creator(thread, call, Answer::Value(id, origin), open);
            }
            Look::Granted(number) => {
                if call.creator.is_none() {
                    return;
                }
                cursor.phase = Phase::Creates(number);
                if call.is_in_background() {
                    cursor.phase = Phase::Starts;
                    let call = cursor.call;
                    self.jobs.push(Job {
                        thread,
                        call,
                        number,
                    });
                }
                open.push(self);
            }
            Look::Waits => {
                cursor.phase = Phase::Waits;
                if self.kind == Kind::Reader {
                    // It goes out.
                    cursor.looked = cursor.looked.map(LookedUp::in_vain);
                }
                open.push(self);
            }
        }
    }

    fn without_creator(self, thread: usize, call: &Call, answer: Answer, open: &mut Vec<Point>) {
        if call.creator.is_none() {
            self.answered(thread, call, answer, open);
        }
    }
}

/// How a creator's own caller is told of it.
pub(crate) fn created(published: bool) -> Origin {
    if published {
        Origin::CreatedHere
    } else {
        Origin::Superseded
    }
}

/// Which values a call takes.
fn takes(call: &Call, get: Get) -> Takes {
    match (get.takes, call.seen) {
        (Demand::NewerThanSeen, Some(id)) => Takes::NewerThan(id),
        (Demand::Stale | Demand::NewerThanSeen, _) => Takes::Stale,
        (Demand::Fresh, _) => Takes::Fresh,
        (Demand::New, _) => Takes::New,
    }
}

/// What a call answers that was told this while it waited.
fn heard(told: Told) -> Answer {
    match told {
        Told::Value(id) => Answer::Value(id, Origin::CreatedByAnother),
        Told::Superseded(id) => Answer::Value(id, Origin::Superseded),
        Told::Failed(id) => Answer::Failed(id),
        Told::Panicked => Answer::ToldOfPanic,
        Told::ElectAnew => unreachable!("that is no answer"),
    }
}

/// Between which stamps the next step of a call is. The lease is granted before the creator begins,
/// and ends after it has ended; of what came before its look-up a call knows from before that.
fn window(call: &Call, phase: Phase) -> (u64, u64) {
    let until = call
        .creator
        .map_or(call.end, |(begun, _)| begun.min(call.end));
    match (phase, call.creator) {
        (Phase::Begins, _) => (call.start, call.looked.map_or(until, |at| at.min(until))),
        (Phase::LooksUp | Phase::Looks | Phase::Waits, _) => (call.start, until),
        (Phase::Starts, _) => (call.start, until),
        (Phase::WaitsForItsOwn, _) => (call.start, call.end),
        (Phase::Creates(_) | Phase::GoesIn, Some((_, ended))) => (ended, call.end),
        (Phase::Creates(_) | Phase::GoesIn, None) => (call.start, call.end),
    }
}
