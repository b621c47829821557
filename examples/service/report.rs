//! The table, while the example runs and at its end, and what is said below it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdout};
use std::time::Duration;

use shared::verdicts::Verdicts;

use crate::record::{Record, SLICE, Slice, sum};
use crate::stage::{Part, Run};
use crate::{SERVICES, STALE, TTL, Way};

/// The clients tell what they saw a little later.
const LATE: Duration = Duration::from_millis(400);
const SECOND: Duration = Duration::from_secs(1);

fn head(first: &str) -> String {
    format!(
        "{:<24}|{:^35}|{:^61}\n{first:<24}|{:>8} {:>9} {:>7} {:>8} |{:>8} {:>6} {:>9} {:>7} {:>8} {:>9} {:>7}",
        "",
        "plain",
        "fleet",
        "fetches",
        "answers",
        "errors",
        "slowest",
        "fetches",
        "alone",
        "answers",
        "errors",
        "slowest",
        "stale",
        "oldest",
    )
}

/// One row of it.
fn row(first: &str, plain: &Slice, fleet: &Slice) -> String {
    format!(
        "{first:<24}|{:>8} {:>9} {:>7} {:>6.2} s |{:>8} {:>6} {:>9} {:>7} {:>6.2} s {:>7.1} % {:>5.2} s",
        plain.fetches,
        plain.answers,
        plain.errors,
        plain.slowest(),
        fleet.fetches,
        fleet.alone,
        fleet.answers,
        fleet.errors,
        fleet.slowest(),
        100.0 * fleet.stale as f64 / fleet.answers.max(1) as f64,
        fleet.oldest(),
    )
}

/// The slices that begin within this time.
fn within(slices: &[Slice], begin: Duration, end: Duration) -> Slice {
    let number = |at: Duration| (at.div_duration_f64(SLICE).round() as usize).min(slices.len());
    sum(&slices[number(begin)..number(end)])
}

/// The table that grows while the example runs.
pub(crate) struct Live {
    terminal: bool,
    /// The second that is shown next.
    next: u32,
}

impl Live {
    pub(crate) fn new() -> Self {
        println!("{}", head("second"));
        Self {
            terminal: stdout().is_terminal(),
            next: 0,
        }
    }

    pub(crate) fn show(&mut self, record: &Record, parts: &[Part]) {
        while record.elapsed() >= SECOND * (self.next + 1) + LATE {
            self.line(record, parts);
            println!();
            self.next += 1;
        }
        if self.terminal {
            self.line(record, parts);
            // The next one shows it if this fails.
            let _ = stdout().flush();
        }
    }

    /// What is left.
    pub(crate) fn end(&mut self, record: &Record, parts: &[Part]) {
        let last = parts.last().map_or(Duration::ZERO, |part| part.end);
        while SECOND * self.next < last {
            self.line(record, parts);
            println!();
            self.next += 1;
        }
    }

    fn line(&self, record: &Record, parts: &[Part]) {
        let (begin, end) = (SECOND * self.next, SECOND * (self.next + 1));
        let part = parts.iter().rfind(|part| part.begin < end);
        let first = format!("{:>3} {}", self.next + 1, part.map_or("", |part| part.name));
        let [plain, fleet] = Way::ALL.map(|way| within(&record.slices(way), begin, end));
        let row = row(&first, &plain, &fleet);
        match self.terminal {
            true if fleet.errors > 0 => print!("\r\x1b[31m{row}\x1b[0m"),
            true if part.is_some_and(|part| part.harm) => print!("\r\x1b[33m{row}\x1b[0m"),
            true => print!("\r{row}"),
            false => print!("{row}"),
        }
    }
}

/// The parts of the run, and all of it.
pub(crate) fn table(run: &Run) -> String {
    let mut text = format!("\n{}\n", head("the Redis"));
    for part in &run.parts {
        let first = format!(
            "{:<17} {:>4.1} s",
            part.name,
            (part.end - part.begin).as_secs_f64()
        );
        let [plain, fleet] = run.part(part);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", row(&first, &plain, &fleet));
    }
    let [plain, fleet] = run.all();
    let _ = writeln!(text, "{}\n", row("all", &plain, &fleet));
    let _ = writeln!(
        text,
        "The fleet: {} leases, {} values stored, {} refused since something came after them, {} requests \
         that failed at the Redis.\nAnswers older than one before on the same connection: {} plain, {} fleet.\n",
        run.leads, run.stored, run.refused, run.store_errors, plain.back, fleet.back
    );
    text
}

impl Run {
    fn all(&self) -> [Slice; 2] {
        Way::ALL.map(|way| sum(&self.slices[way as usize]))
    }

    fn part(&self, part: &Part) -> [Slice; 2] {
        Way::ALL.map(|way| within(&self.slices[way as usize], part.begin, part.end))
    }

    fn named(&self, name: &str) -> &Part {
        let mut parts = self.parts.iter();
        let found = parts.find(|part| part.name == name);
        found.expect("the run has a part of this name")
    }
}

/// What is promised, and whether it held. Nothing here depends on how fast the machine is.
pub(crate) fn verdicts(run: &Run) -> Verdicts {
    let [plain, fleet] = run.all();
    let (stopped, killed) = (run.named("stopped"), run.named("killed"));
    let mut verdicts = Verdicts::default();
    let mut check = |holds, what: String| verdicts.check(holds, what);

    let such_as = run.error.iter().map(|error| format!(", such as: {error}"));
    check(
        fleet.errors == 0 && fleet.answers > 0,
        format!(
            "errors of the fleet: {} of {} answers{}",
            fleet.errors,
            fleet.answers,
            such_as.collect::<String>()
        ),
    );
    check(
        fleet.shared_back == 0,
        format!(
            "no client got a version of the fleet before one that it had: {}",
            fleet.shared_back
        ),
    );
    check(
        fleet.too_old == 0 && fleet.oldest > TTL.as_micros() as u64,
        format!(
            "no value was older than {:?} when it was asked for: {}; the oldest when it was answered: {:.2} s",
            TTL + STALE,
            fleet.too_old,
            fleet.oldest()
        ),
    );
    check(
        run.most_leased == 1,
        format!(
            "one fetch at a time among all processes until the Redis was stopped: {}",
            run.most_leased
        ),
    );
    check(
        run.most_of_one == 1,
        format!("one fetch at a time in each process: {}", run.most_of_one),
    );
    check(
        run.needless == 0,
        format!(
            "nobody who had a usable value fetched without a lease: {}",
            run.needless
        ),
    );
    for part in [stopped, killed] {
        let [_, of_fleet] = run.part(part);
        check(
            // One lease may have been granted just before.
            part.leased <= 2 && of_fleet.stale > 0,
            format!(
                "{}: {} fetches under a lease, {} answers from old values",
                part.name, part.leased, of_fleet.stale
            ),
        );
    }
    let [_, of_fleet] = run.part(killed);
    let most = SERVICES * ((killed.end - killed.begin).div_duration_f64(TTL) as usize + 2);
    check(
        (1..=most as u64).contains(&of_fleet.alone),
        format!(
            "killed: each process fetches for itself once its value is too old, one fetch a time to live, \
             {most} at most: {}",
            of_fleet.alone
        ),
    );
    check(
        run.parts.iter().all(|part| part.shared),
        "all processes shared a value again after each of these".to_owned(),
    );
    check(
        run.store_errors > 0 && plain.fetches > 3 * fleet.fetches,
        format!(
            "{} fetches; {} without a fleet",
            fleet.fetches, plain.fetches
        ),
    );
    verdicts
}
