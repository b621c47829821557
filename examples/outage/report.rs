//! The table, and what is said below it.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use shared::seconds;
use shared::verdicts::Verdicts;

use crate::fleet::{Run, SPAN, TTL};
use crate::source::{CAPACITY, TIME_OUT};
use crate::{FIRST, MOST, OUTAGE};

/// After the outage, until everybody has come back: the longest back-off, and time to fetch.
const AFTER: Range<Duration> = OUTAGE.end.saturating_add(Duration::from_secs(90))..SPAN;

/// The figures of all runs.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{:<24}|{:^43}|{:^27}\n{:<24}|{:>9} {:>14} {:>7} {:>10} |{:>8} {:>8} {:>8}",
        "",
        "requests to the source",
        "of 100 callers", //
        "",
        "all",
        "busiest second",
        "refused",
        "in outage",
        "old",
        "errors",
        "slow"
    );
    for run in runs {
        let sum = seconds::sum(&run.seconds);
        let of_100 = |count| 100.0 * f64::from(count) / f64::from(sum.answers());
        let in_outage = match run.outage {
            Some(_) => run.in_outage.iter().sum::<u32>().to_string(),
            None => "-".to_owned(),
        };
        let _ = writeln!(
            text,
            "{:<24}|{:>9} {:>14} {:>7} {:>10} |{:>8.2} {:>8.2} {:>8.2}",
            run.name,
            sum.requests,
            busiest(run),
            sum.refused,
            in_outage,
            of_100(sum.old),
            of_100(sum.errors),
            of_100(sum.slow),
        );
    }
    text.push('\n');
    text
}

fn busiest(run: &Run) -> u32 {
    let requests = run.seconds.iter().map(|second| second.requests);
    requests.max().unwrap_or(0)
}

/// What the settings promise, and whether it held.
pub(crate) fn verdicts(runs: &[Run; 7]) -> Verdicts {
    let [plain, jitter, ahead, neither, backoff, stand_in, both] = runs;
    let sum = |run: &Run| seconds::sum(&run.seconds);
    let after = |run: &Run| seconds::sum(seconds::within(&run.seconds, AFTER));
    let in_outage = |run: &Run| run.in_outage.iter().sum::<u32>();
    let mut verdicts = Verdicts::default();
    let mut check = |holds, what: String| verdicts.check(holds, what);

    check(
        busiest(plain) > CAPACITY && sum(plain).refused > 0,
        format!(
            "plain expiry: all come back together, {} in a second to a source that can serve {CAPACITY}",
            busiest(plain)
        ),
    );
    for run in [jitter, ahead] {
        check(
            busiest(run) * 5 <= busiest(plain) && sum(run).refused == 0 && sum(run).errors == 0,
            format!(
                "{}: never more than {} in a second, none refused, no errors",
                run.name,
                busiest(run)
            ),
        );
    }
    check(
        sum(ahead).old == 0,
        format!("{}: nobody got an old value", ahead.name),
    );

    let most = attempts(OUTAGE.end - OUTAGE.start, |span| TIME_OUT + span / 2);
    // Values are fresh for a while; and somebody has to come by, which takes seconds.
    let least = attempts(OUTAGE.end - OUTAGE.start - TTL, |span| {
        TIME_OUT + span + Duration::from_secs(10)
    });
    for run in [backoff, both] {
        let of_one = (run.in_outage.iter().min(), run.in_outage.iter().max());
        check(
            matches!(of_one, (Some(&few), Some(&many)) if few >= least && many <= most),
            format!(
                "{}: each process tried {} to {} times; the back-off allows {most}, and {least} is too few",
                run.name,
                of_one.0.unwrap_or(&0),
                of_one.1.unwrap_or(&0)
            ),
        );
    }
    for (with, without) in [(backoff, neither), (both, stand_in)] {
        check(
            in_outage(with) * 10 <= in_outage(without),
            format!(
                "{}: {} requests while the source was down; {} without a back-off",
                with.name,
                in_outage(with),
                in_outage(without)
            ),
        );
    }
    for run in [stand_in, both] {
        check(
            sum(run).errors == 0 && sum(neither).errors > 0,
            format!(
                "{}: no errors; {} without it",
                run.name,
                sum(neither).errors
            ),
        );
    }
    check(
        sum(both).slow * 5 <= sum(stand_in).slow,
        format!(
            "{}: {} callers waited for longer than a fetch takes; {} without a back-off",
            both.name,
            sum(both).slow,
            sum(stand_in).slow
        ),
    );
    for run in [backoff, both] {
        let came_back = after(run);
        check(
            sum(run).refused == 0
                && (came_back.old + came_back.errors) * 100 <= came_back.answers(),
            format!(
                "{}: none was refused as all came back; 90 s later all is as before",
                run.name
            ),
        );
    }
    verdicts
}

/// How many attempts fit into this time, if so much comes between the beginnings of two.
fn attempts(time: Duration, between: impl Fn(Duration) -> Duration) -> u32 {
    let (mut at, mut span, mut count) = (Duration::ZERO, FIRST, 0);
    while at < time {
        count += 1;
        at += between(span);
        span = (span * 2).min(MOST);
    }
    count
}
