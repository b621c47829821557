//! The table of how a lease ends, in `src/policy/decisions.txt`, against real piles, by threads and by
//! tasks.
//!
//! ```breakages
//! a-refusal-doubles-the-back-off | src/policy/pace.rs
//! - let base = Span::after(now, backoff.span(1, draw));
//! + self.failures = self.failures.saturating_add(1);
//! + let base = Span::after(now, backoff.span(self.failures, draw));
//!
//! a-superseded-failure-backs-off | src/policy/pace.rs
//! - if !superseded {
//! + if true {
//!
//! what-is-given-up-clears-the-back-off | src/policy/pace.rs
//! - End::GivenUp => None,
//! + End::GivenUp => {
//! +     self.clear();
//! +     None
//! + }
//! ```

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dogpile::executor::{Executor, Job};
use dogpile::{
    Attempt, Backoff, Builder, Dogpile, Error, Guard, Origin, Refused, SyncReaderDogpile,
};

use crate::decisions::TABLES;
use crate::support::{MINUTE, SECOND, burst, bursts, manual, until, within};
use crate::tasks::{block_on, poll, steps};

const ENDS: [&str; 9] = [
    "published",
    "failed",
    "panicked",
    "given-up",
    "refused",
    "set-published",
    "set-failed",
    "invalidated-published",
    "invalidated-failed",
];

/// What the elected creator makes, what is set, and what is made by those who elect anew, from here on.
const MADE: u32 = 1;
const SET: u32 = 2;
const ANEW: u32 = 3;

struct Row {
    line: usize,
    ends: Vec<&'static str>,
    wheres: Vec<&'static str>,
    /// What the own caller gets, a fallible and an infallible one who wait, one who came late, and what
    /// becomes of the back-off.
    told: [&'static str; 5],
}

fn rows() -> Vec<Row> {
    let lines = TABLES.lines().zip(1..);
    let lines = lines.skip_while(|(line, _)| *line != "# How a lease ends");
    let rows = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(text, line)| {
        let (matched, told) = text
            .split_once('|')
            .expect("what is matched | what is told");
        let (ends, wheres) = matched.trim().split_once(' ').expect("an end and a place");
        let told: Vec<_> = told.split_whitespace().collect();
        Row {
            line,
            ends: ends.split(',').collect(),
            wheres: match wheres.trim() {
                "any" => vec!["here", "elsewhere"],
                one => vec![one],
            },
            told: told.try_into().expect("five cells that are told"),
        }
    })
    .collect()
}

#[derive(Debug)]
struct Down;

type Creator = Box<dyn FnOnce() -> Result<u32, Down> + Send>;

/// What a call got, in the words of the table.
fn shown<E, P>(answer: Result<Guard<'_, u32, P>, Error<E>>) -> &'static str {
    match answer {
        Ok(held) => match (*held, Guard::origin(&held)) {
            (MADE, Origin::CreatedHere) => "created-here",
            (MADE, Origin::CreatedByAnother) => "created-by-another",
            (MADE, Origin::Superseded) => "superseded",
            (SET, Origin::CreatedByAnother) => "set",
            (ANEW.., _) => "anew",
            (value, origin) => panic!("{value}, {origin:?}"),
        },
        Err(Error::Create(_)) => "error",
        Err(Error::Panicked(_)) => "panicked",
        Err(Error::GivenUp) => "given-up",
        Err(Error::Refused(_)) => "refused",
        // It looked again, and found that none may be created yet.
        Err(Error::BackingOff { .. }) => "anew",
        Err(_) => "another error",
    }
}

/// An executor that leaves the job to the test.
#[derive(Default)]
struct Shelf(Mutex<Option<Job>>);

impl Executor for Shelf {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        *self.0.lock().unwrap() = Some(job);
        Ok(())
    }
}

/// A pile of some kind.
trait Ended: Send + Sync {
    fn waiters(&self) -> usize;
    fn is_creating(&self) -> bool;
    fn set(&self);
    fn invalidate(&self);
    fn retry_in(&self) -> Option<Duration>;
    fn fail(&self);
    /// A lease that is held until told, and then dropped.
    fn hold(&self, until: &dyn Fn());
    fn get(&self, by_task: bool, create: Creator) -> &'static str;
    fn get_elsewhere(&self, by_task: bool, shelf: &Shelf, create: Creator) -> &'static str;
    fn get_infallible(&self, by_task: bool, value: u32) -> &'static str;
}

macro_rules! ended {
    ($pile:ty) => {
        impl Ended for Arc<$pile> {
            fn waiters(&self) -> usize {
                (**self).waiters()
            }

            fn is_creating(&self) -> bool {
                (**self).is_creating()
            }

            fn set(&self) {
                (**self).set(SET);
            }

            fn invalidate(&self) {
                (**self).invalidate();
            }

            fn retry_in(&self) -> Option<Duration> {
                (**self).retry_in()
            }

            fn fail(&self) {
                assert!(self.refresh(|| Err(Down)).unwrap_err().is_failed());
            }

            fn hold(&self, until: &dyn Fn()) {
                let attempt = self.call().attempt();
                assert!(matches!(attempt, Attempt::Lease(_)));
                until();
            }

            fn get(&self, by_task: bool, create: Creator) -> &'static str {
                let call = self.call();
                shown(match by_task {
                    false => call.get_or_try_create(create),
                    true => block_on(call.get_or_try_create_async(|| async { create() })),
                })
            }

            fn get_elsewhere(&self, by_task: bool, shelf: &Shelf, create: Creator) -> &'static str {
                let call = self.background(shelf);
                if !by_task {
                    return shown(call.get_or_try_create(create));
                }
                // Once around before it is made, so that it can be dropped while it runs.
                let create = || async {
                    steps(1).await;
                    create()
                };
                shown(block_on(call.get_or_try_create_async(create)))
            }

            fn get_infallible(&self, by_task: bool, value: u32) -> &'static str {
                shown::<Down, _>(Ok(match by_task {
                    false => (**self).get_or_create(|| value),
                    true => block_on((**self).get_or_create_async(|| async { value })),
                }))
            }
        }
    };
}
ended!(Dogpile<u32>);
ended!(SyncReaderDogpile<u32>);

fn work(end: &str) -> Result<u32, Down> {
    match end {
        "published" | "set-published" | "invalidated-published" => Ok(MADE),
        "panicked" => burst(),
        _ => Err(Down),
    }
}

/// Has the lease end so while others wait for it, or nobody. Says what the own caller gets, and they.
fn answers(
    pile: &dyn Ended,
    end: &'static str,
    place: &str,
    by_task: bool,
    with_waiters: bool,
) -> [&'static str; 4] {
    let shelf = Shelf::default();
    let goes_on = Arc::new(AtomicBool::new(false));
    let go = Arc::clone(&goes_on);
    let waits = move || until(|| go.load(Ordering::SeqCst));
    thread::scope(|threads| {
        let own = threads.spawn({
            let (shelf, waits) = (&shelf, waits.clone());
            move || {
                let mut answer = "panic";
                bursts(|| {
                    answer = match (end, place) {
                        ("given-up", "here") => {
                            pile.hold(&waits);
                            "-"
                        }
                        (_, "here") => {
                            let create = Box::new(move || {
                                waits();
                                work(end)
                            });
                            pile.get(by_task, create)
                        }
                        _ => {
                            // Only a future can be dropped while it runs.
                            let by_task = by_task || end == "given-up";
                            pile.get_elsewhere(by_task, shelf, Box::new(move || work(end)))
                        }
                    };
                });
                answer
            }
        });
        until(|| pile.is_creating());
        let mut waiting = 0;
        if place == "elsewhere" {
            until(|| shelf.0.lock().unwrap().is_some());
            waiting = 1;
        }
        until(|| pile.waiters() == waiting);
        let mut others = Vec::new();
        if with_waiters {
            others.push(threads.spawn(|| pile.get(by_task, Box::new(|| Ok(ANEW)))));
            others.push(threads.spawn(|| pile.get_infallible(by_task, ANEW + 1)));
            until(|| pile.waiters() == waiting + 2);
        }
        if end.starts_with("set") {
            pile.set();
        }
        if end.starts_with("invalidated") {
            pile.invalidate();
            if with_waiters {
                others.push(threads.spawn(|| pile.get(by_task, Box::new(|| Ok(ANEW + 2)))));
                until(|| pile.waiters() == waiting + 3);
            }
        }
        goes_on.store(true, Ordering::SeqCst);
        if let Some(job) = shelf.0.lock().unwrap().take() {
            match end {
                "refused" => drop(job),
                "given-up" => assert!(poll(pin!(job)).is_pending()),
                _ => drop(bursts(|| job.run())),
            }
        }
        let mut answers = [own.join().unwrap(), "-", "-", "-"];
        for (answer, other) in answers[1..].iter_mut().zip(others) {
            *answer = other.join().unwrap();
        }
        answers
    })
}

/// What became of the back-off, which was on its first step before.
fn becomes(pile: &dyn Ended, advance: impl Fn(Duration)) -> &'static str {
    let now = pile.retry_in();
    advance(now.unwrap_or_default());
    pile.fail();
    match (
        now.map(|span| span.as_secs()),
        pile.retry_in().unwrap().as_secs(),
    ) {
        (None, 1) => "cleared",
        (None, 2) => "untouched",
        (Some(1), 2) => "base",
        (Some(2), 4) => "armed",
        other => panic!("{other:?}"),
    }
}

fn holds(pile: impl Fn(Builder<u32>) -> Arc<dyn Ended>, by_task: bool) {
    let rows = rows();
    let mut used = BTreeSet::new();
    for end in ENDS {
        for place in ["here", "elsewhere"] {
            if (end, place) == ("refused", "here") {
                continue;
            }
            let row = rows
                .iter()
                .find(|row| row.ends.contains(&end) && row.wheres.contains(&place));
            let row = row.unwrap_or_else(|| panic!("no row for {end} {place}"));
            used.insert(row.line);
            let told = row.told;
            for with_waiters in [true, false] {
                let (clock, builder) = manual::<u32>(MINUTE);
                let backoff = Backoff::exponential(SECOND, MINUTE).jitter(0);
                let pile = pile(builder.backoff(backoff));
                pile.fail();
                clock.advance(SECOND);
                let answers = answers(&*pile, end, place, by_task, with_waiters);
                let at = format!("{end} {place}, line {}", row.line);
                if with_waiters {
                    assert_eq!(answers, told[..4], "{at}");
                } else {
                    assert_eq!(answers[0], told[0], "{at}, without waiters");
                    let becomes = becomes(&*pile, |span| clock.advance(span));
                    assert_eq!(becomes, told[4], "{at}");
                }
            }
        }
    }
    let unused = rows.iter().filter(|row| !used.contains(&row.line));
    let unused: Vec<_> = unused.map(|row| row.line).collect();
    assert!(unused.is_empty(), "no end comes to lines {unused:?}");
}

fn plain(builder: Builder<u32>) -> Arc<dyn Ended> {
    Arc::new(Arc::new(builder.build()))
}

fn reader(builder: Builder<u32>) -> Arc<dyn Ended> {
    Arc::new(Arc::new(builder.build_sync_reader()))
}

#[test]
fn for_threads_as_the_table_says() {
    within(|| holds(plain, false));
}

#[test]
fn for_tasks_as_the_table_says() {
    within(|| holds(plain, true));
}

#[test]
fn for_reading_threads_as_the_table_says() {
    within(|| holds(reader, false));
}

#[test]
fn for_reading_tasks_as_the_table_says() {
    within(|| holds(reader, true));
}
