//! The table of what a caller gets, `src/policy/decisions.txt`, against real piles in all states, with
//! all settings, by threads and by tasks.
//!
//! ```breakages
//! a-renewal-ahead-fails-whoever-asks-for-fresh | src/call/hit.rs
//! - if self.accept.judge(newer_than, number, horizon.at(now)) == Use::Due {
//! + if self.accept == Accept::Stale && horizon.at(now) == Freshness::Due {
//!
//! a-value-that-is-seen-stands-in-for-a-newer-one | src/call/hit.rs
//! - if self.accept != Accept::Stale || self.asks.min_fresh().is_some() {
//! + if self.accept == Accept::New || self.asks.min_fresh().is_some() {
//!
//! a-fallback-waits-for-the-end-of-the-back-off | src/call/election/stop.rs
//! - | Stop::BackingOff { .. } => true,
//! + => true,
//! - Stop::Reentrant
//! + Stop::BackingOff { .. } | Stop::Reentrant
//!   | Stop::Cycle(_)
//!
//! an-interval-has-no-say | src/policy/pace.rs
//! - let interval = policy.min_interval?;
//! + let interval = policy.min_interval.filter(|_| has_usable)?;
//! ```

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::executor::Thread;
use dogpile::{
    Accept, Attempt, Backoff, Builder, Created, Dogpile, Error, Failure, Guard, ManualClock,
    Origin, Owned, RefreshAhead, Seen, SyncReaderDogpile,
};

use crate::support::{MINUTE, SECOND, burst, bursts, manual, until, within};
use crate::tasks::block_on;

/// Both tables.
pub(crate) const TABLES: &str = include_str!("../../src/policy/decisions.txt");

const VALUES: [&str; 6] = ["fresh", "due", "stale", "fallback", "gone", "none"];
const LEASES: [&str; 4] = ["free", "held", "backs-off", "interval"];
const CALLS: [&str; 10] = [
    "fallible",
    "infallible",
    "short",
    "background",
    "fresh",
    "newer",
    "newer-than-old",
    "new",
    "min-fresh",
    "limit",
];
const CREATORS: [&str; 3] = ["succeeds", "fails", "panics"];

/// What creators make, and fail with, by who they are.
const HELD: u32 = 7;
const OWN: u32 = 8;
const THEIRS: u32 = 9;
const EARLIER: u32 = 5;

#[derive(Debug, PartialEq)]
struct Down(u32);

fn work(creator: &str, number: u32) -> Result<u32, Down> {
    match creator {
        "succeeds" => Ok(number),
        "fails" => Err(Down(number)),
        _ => burst(),
    }
}

/// A row: cells that are matched, and what the caller gets then.
struct Row {
    line: usize,
    matched: [BTreeSet<&'static str>; 5],
    gets: [&'static str; 3],
}

fn rows() -> Vec<Row> {
    let known: [&[&str]; 5] = [&VALUES, &LEASES, &CALLS, &["yes", "no"], &CREATORS];
    let lines = TABLES.lines().zip(1..);
    let lines = lines.take_while(|(line, _)| *line != "# How a lease ends");
    let rows = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(text, line)| {
        let (matched, gets) = text.split_once('|').expect("what is matched | what is got");
        let cells: Vec<_> = matched.split_whitespace().collect();
        let cells: [_; 5] = cells.try_into().expect("five cells that are matched");
        let gets: Vec<_> = gets.split_whitespace().collect();
        let mut column = 0;
        Row {
            line,
            matched: cells.map(|cell| {
                let known = known[column];
                column += 1;
                match cell {
                    "any" => known.iter().copied().collect(),
                    cell => cell
                        .split(',')
                        .inspect(|word| assert!(known.contains(word), "line {line}: {word}?"))
                        .collect(),
                }
            }),
            gets: gets.try_into().expect("three cells of what is got"),
        }
    })
    .collect()
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    stale_while_revalidate: bool,
    stale_if_error: bool,
    refresh_ahead: bool,
    backoff: bool,
    min_interval: bool,
}

impl Settings {
    fn all() -> impl Iterator<Item = Self> {
        (0..32).map(|bits: u32| {
            let is_set = |bit: u32| (bits >> bit) & 1 == 1;
            Self {
                stale_while_revalidate: is_set(0),
                stale_if_error: is_set(1),
                refresh_ahead: is_set(2),
                backoff: is_set(3),
                min_interval: is_set(4),
            }
        })
    }

    fn of(self, mut builder: Builder<u32>) -> Builder<u32> {
        if self.stale_while_revalidate {
            builder = builder.stale_while_revalidate(10 * SECOND);
        }
        if self.stale_if_error {
            builder = builder.stale_if_error(100 * SECOND);
        }
        if self.refresh_ahead {
            builder = builder.refresh_ahead(RefreshAhead::percent(50));
        }
        if self.backoff {
            builder = builder.backoff(Backoff::constant(5 * SECOND));
        }
        if self.min_interval {
            builder = builder.min_interval(5 * SECOND);
        }
        builder
    }

    /// The ages that a value can have with these settings, what it is then, and whether it may stand
    /// in for a failure.
    fn ages(self) -> Vec<(&'static str, Option<Duration>, &'static str)> {
        let yes_if = |yes| if yes { "yes" } else { "no" };
        let mut ages = vec![
            ("none", None, "no"),
            ("fresh", Some(10), yes_if(self.stale_if_error)),
            ("stale", Some(65), yes_if(self.stale_if_error)),
        ];
        if self.refresh_ahead {
            ages.push(("due", Some(40), yes_if(self.stale_if_error)));
        }
        match (self.stale_while_revalidate, self.stale_if_error) {
            (true, true) => {
                ages.push(("fallback", Some(100), "yes"));
                ages.push(("gone", Some(300), "no"));
            }
            (true, false) => ages.push(("gone", Some(100), "no")),
            (false, _) => ages.push(("stale", Some(300), "no")),
        }
        let seconds = |age: Option<u64>| age.map(Duration::from_secs);
        ages.into_iter()
            .map(|(value, age, if_error)| (value, seconds(age), if_error))
            .collect()
    }

    /// Why no lease may be granted once a creation has ended, if that is so.
    fn lease_after(self, creator: &str) -> &'static str {
        match (self.backoff, self.min_interval) {
            (true, _) if creator != "succeeds" => "backs-off",
            (_, true) => "interval",
            _ => "free",
        }
    }
}

/// What a caller got, in the words of the table.
type Gets = [&'static str; 3];

/// What went wrong, and in whose creation if it was a creator's error.
fn failed(failure: &Failure) -> (&'static str, u32) {
    if let Some(down) = failure.downcast_ref::<Down>() {
        return ("error", down.0);
    }
    if failure.is_panicked() {
        return ("panic", 0);
    }
    match failure.as_refusal() {
        Some(refusal) if refusal.is_timed_out() => ("timed-out", 0),
        Some(refusal) if refusal.is_backing_off() => ("backing-off", 0),
        _ => panic!("{failure:?}"),
    }
}

fn shown<E: Debug, P>(answer: Result<Guard<'_, u32, P>, Error<E>>) -> (Gets, u32)
where
    for<'e> &'e E: Into<Told>,
{
    match answer {
        Ok(held) => {
            let (beside, whose) = Guard::failure(&held).map_or(("-", 0), failed);
            let gets = match *held {
                HELD => "held",
                OWN => "new",
                THEIRS => "theirs",
                other => panic!("nobody made {other}"),
            };
            let origin = match Guard::origin(&held) {
                Origin::Fresh => "fresh",
                Origin::Stale => "stale",
                Origin::Fallback => "fallback",
                Origin::CreatedHere => "created-here",
                Origin::CreatedByAnother => "created-by-another",
                Origin::Superseded => "superseded",
                other => panic!("{other:?}"),
            };
            ([gets, origin, beside], whose)
        }
        Err(Error::Create(error)) => (["error", "-", "-"], (&*error).into().0),
        Err(Error::Panicked(_)) => (["panicked", "-", "-"], 0),
        Err(Error::TimedOut { .. }) => (["timed-out", "-", "-"], 0),
        Err(Error::BackingOff { failure, .. }) => {
            let (beside, whose) = failure.as_ref().map_or(("-", 0), failed);
            (["backing-off", "-", beside], whose)
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Whose error it is.
struct Told(u32);

impl From<&Down> for Told {
    fn from(down: &Down) -> Self {
        Self(down.0)
    }
}

impl From<&Infallible> for Told {
    fn from(never: &Infallible) -> Self {
        match *never {}
    }
}

/// A pile of some kind, as the table asks it.
trait Asked: Send + Sync {
    fn set(&self, value: u32) -> Seen;
    fn invalidate(&self);
    fn waiters(&self) -> usize;
    /// A creation now, whatever is held, that ends so.
    fn create(&self, end: Result<Created<u32>, Down>) -> Option<Seen>;
    /// A creation that runs now, and does this.
    fn hold(&self, create: &mut dyn FnMut() -> Result<u32, Down>);
    fn ask(&self, how: &Ask) -> (Gets, u32);
}

/// A call.
struct Ask {
    call: &'static str,
    by_task: bool,
    old: Seen,
    held: Seen,
    creator: &'static str,
    ran: Arc<AtomicUsize>,
}

impl Ask {
    fn work(&self) -> impl FnOnce() -> Result<u32, Down> + Send + 'static {
        let (creator, ran) = (self.creator, Arc::clone(&self.ran));
        move || {
            ran.fetch_add(1, Ordering::SeqCst);
            work(creator, OWN)
        }
    }
}

macro_rules! asked {
    ($pile:ty) => {
        impl Asked for Arc<$pile> {
            fn set(&self, value: u32) -> Seen {
                (**self).set(value);
                Guard::seen(&(**self).peek().unwrap())
            }

            fn invalidate(&self) {
                (**self).invalidate();
            }

            fn waiters(&self) -> usize {
                (**self).waiters()
            }

            fn create(&self, end: Result<Created<u32>, Down>) -> Option<Seen> {
                let attempt = self.call().accept(Accept::New).attempt();
                let Attempt::Lease(lease) = attempt else {
                    panic!("the lease is free")
                };
                match end {
                    Ok(created) => Some(Owned::seen(&lease.publish(created).unwrap())),
                    Err(error) => {
                        drop(lease.fail(error));
                        None
                    }
                }
            }

            fn hold(&self, create: &mut dyn FnMut() -> Result<u32, Down>) {
                drop(self.refresh(create));
            }

            fn ask(&self, how: &Ask) -> (Gets, u32) {
                let work = how.work();
                let sure = how.work();
                let sure = move || sure().unwrap();
                let call = self.call();
                let call = match how.call {
                    "fresh" => call.accept(Accept::Fresh),
                    "newer" => call.accept(Accept::NewerThan(how.held)),
                    "newer-than-old" => call.accept(Accept::NewerThan(how.old)),
                    "new" => call.accept(Accept::New),
                    "min-fresh" => call.min_fresh(30 * SECOND),
                    "limit" => call.wait(Duration::ZERO),
                    _ => call,
                };
                match (how.call, how.by_task) {
                    ("infallible", false) => shown(call.get_or_create(sure)),
                    ("infallible", true) => {
                        shown(block_on(call.get_or_create_async(|| async { sure() })))
                    }
                    ("short", false) => shown::<Infallible, _>(Ok((**self).get_or_create(sure))),
                    ("short", true) => shown::<Infallible, _>(Ok(block_on(
                        (**self).get_or_create_async(|| async { sure() }),
                    ))),
                    ("background", false) => {
                        shown(self.background(&Thread).get_or_try_create(work))
                    }
                    ("background", true) => shown(block_on(
                        self.background(&Thread)
                            .get_or_try_create_async(|| async { work() }),
                    )),
                    (_, false) => shown(call.get_or_try_create(work)),
                    (_, true) => shown(block_on(call.get_or_try_create_async(|| async { work() }))),
                }
            }
        }
    };
}
asked!(Dogpile<u32>);
asked!(SyncReaderDogpile<u32>);

/// A state, and a call that finds it.
#[derive(Clone, Copy, Debug)]
struct Case {
    settings: Settings,
    value: &'static str,
    age: Option<Duration>,
    if_error: &'static str,
    lease: &'static str,
    call: &'static str,
    creator: &'static str,
}

impl Case {
    /// All that there can be.
    fn all() -> impl Iterator<Item = Self> {
        Settings::all()
            .flat_map(|settings| {
                let ages = settings.ages().into_iter();
                ages.flat_map(move |(value, age, if_error)| {
                    LEASES.into_iter().flat_map(move |lease| {
                        CALLS.into_iter().flat_map(move |call| {
                            CREATORS.into_iter().map(move |creator| Self {
                                settings,
                                value,
                                age,
                                if_error,
                                lease,
                                call,
                                creator,
                            })
                        })
                    })
                })
            })
            .filter(|case| match case.lease {
                "backs-off" => case.settings.backoff,
                "interval" => case.settings.min_interval,
                _ => true,
            })
            .filter(|case| {
                // Its own creator has no error to fail with.
                let cannot_fail = matches!(case.call, "infallible" | "short");
                !(cannot_fail && case.creator == "fails" && case.lease != "held")
            })
    }

    /// What the pile is made to be. Says which values were there.
    fn arrange(&self, pile: &dyn Asked, clock: &ManualClock) -> (Seen, Seen) {
        let old = pile.set(6);
        let age = self.age.unwrap_or_default();
        if self.lease == "interval" {
            let held = pile.create(Ok(Created::new(HELD).age(age))).unwrap();
            if self.age.is_none() {
                pile.invalidate();
            }
            return (old, held);
        }
        let held = pile.set(HELD);
        clock.advance(age);
        if self.age.is_none() {
            pile.invalidate();
        }
        if self.lease == "backs-off" {
            pile.create(Err(Down(EARLIER)));
        }
        (old, held)
    }

    /// What the call got, whose error it was, and how often its own creator ran.
    fn ask(&self, pile: &dyn Asked, clock: &ManualClock, by_task: bool) -> (Gets, u32, usize) {
        let (old, held) = self.arrange(pile, clock);
        let is_held = self.lease == "held";
        let ran = Arc::new(AtomicUsize::new(0));
        let how = Ask {
            call: self.call,
            by_task,
            old,
            held,
            creator: if is_held { "succeeds" } else { self.creator },
            ran: Arc::clone(&ran),
        };
        let mut got = None;
        let mut ask = || {
            if bursts(|| got = Some(pile.ask(&how))) {
                got = Some((["panic", "-", "-"], 0));
            }
        };
        if is_held {
            let is_over = AtomicBool::new(false);
            thread::scope(|threads| {
                let mut caller = None;
                let ask = &mut ask;
                let mut ask = Some(|| {
                    ask();
                    is_over.store(true, Ordering::SeqCst);
                });
                bursts(|| {
                    pile.hold(&mut || {
                        caller = Some(threads.spawn(ask.take().expect("held once")));
                        // Whose limit is over waits for a moment only.
                        let waits = || self.call != "limit" && pile.waiters() == 1;
                        until(|| is_over.load(Ordering::SeqCst) || waits());
                        work(self.creator, THEIRS)
                    });
                });
                caller.expect("the lease was free").join().unwrap();
            });
        } else {
            ask();
        }
        let (gets, whose) = got.unwrap();
        (gets, whose, ran.load(Ordering::SeqCst))
    }

    fn row<'r>(&self, rows: &'r [Row], used: &mut BTreeSet<usize>) -> &'r Row {
        let cells = [
            self.value,
            self.lease,
            self.call,
            self.if_error,
            self.creator,
        ];
        let matches = |row: &&Row| {
            let mut columns = row.matched.iter().zip(&cells);
            columns.all(|(words, cell)| words.contains(cell))
        };
        let row = rows.iter().find(matches);
        let row = row.unwrap_or_else(|| panic!("no row for {self:?}"));
        used.insert(row.line);
        row
    }

    /// What the table says: what the call gets, whose error it is, and whether its own creator runs;
    /// with the rows that say so.
    fn told(
        &self,
        rows: &[Row],
        used: &mut BTreeSet<usize>,
        cause: (&'static str, u32),
    ) -> (Gets, u32, usize, Vec<usize>) {
        let row = self.row(rows, used);
        if row.gets[0] == "anew" {
            let cause = match self.creator {
                "fails" => ("error", THEIRS),
                _ => ("panic", 0),
            };
            let next = Self {
                value: if self.creator == "succeeds" {
                    "fresh"
                } else {
                    self.value
                },
                lease: self.settings.lease_after(self.creator),
                creator: "succeeds",
                ..*self
            };
            let (gets, whose, runs, mut lines) = next.told(rows, used, cause);
            lines.insert(0, row.line);
            return (gets, whose, runs, lines);
        }
        let [gets, origin, beside] = row.gets;
        let maker = if self.lease == "held" { THEIRS } else { OWN };
        let (beside, whose) = match beside {
            "cause" => cause,
            "error" => ("error", maker),
            other => (other, if gets == "error" { maker } else { 0 }),
        };
        let failed_here = self.lease == "free" && (gets, beside) != ("held", "-");
        let runs = usize::from(gets == "new" || gets == "panic" || failed_here);
        ([gets, origin, beside], whose, runs, vec![row.line])
    }
}

fn holds(pile: impl Fn(Builder<u32>) -> Arc<dyn Asked>, by_task: bool) {
    let rows = rows();
    let mut used = BTreeSet::new();
    for case in Case::all() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = pile(case.settings.of(builder));
        let (gets, whose, runs, lines) = case.told(&rows, &mut used, ("error", EARLIER));
        let told = (gets, whose, runs);
        let mut got = case.ask(&*pile, &clock, by_task);
        if case.call == "background" {
            // Whoever goes on with what there is does not wait for it.
            got.2 = runs;
        }
        assert_eq!(got, told, "{case:?} by lines {lines:?}");
    }
    let unused = rows.iter().filter(|row| !used.contains(&row.line));
    let unused: Vec<_> = unused.map(|row| row.line).collect();
    assert!(unused.is_empty(), "no case comes to lines {unused:?}");
}

fn plain(builder: Builder<u32>) -> Arc<dyn Asked> {
    Arc::new(Arc::new(builder.build()))
}

fn reader(builder: Builder<u32>) -> Arc<dyn Asked> {
    Arc::new(Arc::new(builder.build_sync_reader()))
}

#[test]
fn threads_get_what_the_table_says() {
    within(|| holds(plain, false));
}

#[test]
fn tasks_get_what_the_table_says() {
    within(|| holds(plain, true));
}

#[test]
fn reading_threads_get_what_the_table_says() {
    within(|| holds(reader, false));
}

#[test]
fn reading_tasks_get_what_the_table_says() {
    within(|| holds(reader, true));
}
