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
use crate::program::{Demand, Form, Get, Makes, Op, WAIT, Wait};
use crate::spec::{Look, Spec, Takes, Time, Told};

/// How far a search has got.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Point {
    spec: Spec,
    threads: Vec<Cursor>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Cursor {
    /// Of the thread's calls, the one that is being made.
    call: usize,
    phase: Phase,
    /// Fixed by the first look of the call.
    floor: Option<u64>,
    /// When its waiting is over, if that is its answer.
    deadline: Option<Time>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Looks,
    Waits,
    /// Under the lease with this number.
    Creates(u64),
}

/// `Err` tells of a history that the contract does not allow.
pub(crate) fn check(spec: Spec, history: &History) -> Result<(), String> {
    let start = Point {
        spec,
        threads: vec![Cursor::default(); history.len()],
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
            self.spec.leave(thread);
            self.threads[thread] = Cursor {
                call: self.threads[thread].call + 1,
                ..Cursor::default()
            };
            open.push(self);
        }
    }

    fn step_of_get(mut self, thread: usize, call: &Call, get: Get, open: &mut Vec<Point>) {
        let gives_up = call.answer == Answer::TimedOut;
        let now = self.spec.now();
        let cursor = &mut self.threads[thread];
        match cursor.phase {
            Phase::Looks if gives_up && cursor.deadline.is_none() => {
                cursor.deadline = Some(match get.wait {
                    Wait::NotAtAll => now,
                    Wait::Once => now + WAIT,
                    Wait::ForEver => return,
                });
                open.push(self);
            }
            Phase::Looks => {
                let takes = match (get.takes, call.seen) {
                    (Demand::NewerThanSeen, Some(id)) => Takes::NewerThan(id),
                    (Demand::Stale | Demand::NewerThanSeen, _) => Takes::Stale,
                    (Demand::Fresh, _) => Takes::Fresh,
                    (Demand::New, _) => Takes::New,
                };
                let least = self.spec.floor(takes);
                let floor = *cursor.floor.get_or_insert(least);
                match self.spec.look(thread, takes, None, floor) {
                    Look::Value(id, origin) => {
                        self.without_creator(thread, call, Answer::Value(id, origin), open);
                    }
                    Look::Granted(number) => {
                        if call.creator.is_some() {
                            cursor.phase = Phase::Creates(number);
                            open.push(self);
                        }
                    }
                    Look::Waits => {
                        cursor.phase = Phase::Waits;
                        open.push(self);
                    }
                }
            }
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
                    Some(Told::Value(id)) => {
                        let answer = Answer::Value(id, Origin::CreatedByAnother);
                        self.without_creator(thread, call, answer, open);
                    }
                    Some(Told::Superseded(id)) => {
                        let answer = Answer::Value(id, Origin::Superseded);
                        self.without_creator(thread, call, answer, open);
                    }
                    // A failure is no answer to a call that cannot fail.
                    Some(Told::Failed(id)) if get.form != Form::Plain => {
                        self.without_creator(thread, call, Answer::Failed(id), open);
                    }
                    Some(Told::Panicked) if get.form != Form::Plain => {
                        self.without_creator(thread, call, Answer::ToldOfPanic, open);
                    }
                    Some(Told::Failed(_) | Told::Panicked | Told::ElectAnew) => {
                        self.threads[thread].phase = Phase::Looks;
                        open.push(self);
                    }
                }
            }
            Phase::Creates(number) => {
                let answer = match get.makes {
                    Makes::Value => {
                        let published = self.spec.publish(number, call.id.into());
                        Answer::Value(call.id, created(published))
                    }
                    Makes::Error => {
                        self.spec.fail(number, call.id);
                        Answer::Failed(call.id)
                    }
                    Makes::Panic => {
                        self.spec.panicked(number);
                        Answer::Panicked
                    }
                };
                self.answered(thread, call, answer, open);
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

/// Between which stamps the next step of a call is. The lease is granted before the creator begins,
/// and ends after it has ended.
fn window(call: &Call, phase: Phase) -> (u64, u64) {
    match (phase, call.creator) {
        (Phase::Creates(_), Some((_, ended))) => (ended, call.end),
        (_, Some((begun, _))) => (call.start, begun),
        (_, None) => (call.start, call.end),
    }
}
