//! The table, and what is said below it.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use shared::seconds::{sum, within};
use shared::verdicts::Verdicts;

use crate::database::LOAD;
use crate::service::{Run, SPAN, Second};
use crate::{AT_ONCE, RATE, ROOM, STRANGERS};

/// The map is full by then.
const FULL: Duration = Duration::from_secs(120);
/// All is as it was before the strangers.
const AFTER: Range<Duration> = STRANGERS.end.saturating_add(Duration::from_secs(120))..SPAN;

/// The figures of all runs.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{:<17}|{:^43}|{:^21}|{:^24}\n{:<17}|{:>8} {:>14} {:>8} {:>10} |{:>12} {:>7} |{:>7} {:>7} {:>7}",
        "",
        "loads",
        "the map",
        "of 100, minutes 4 to 6",
        "",
        "all",
        "busiest second",
        "at once",
        "slowest",
        "most entries",
        "evicted",
        "old",
        "errors",
        "slow"
    );
    for run in runs {
        let (all, then) = (sum(&run.seconds), then(run));
        let of_100 = |count| 100.0 * f64::from(count) / f64::from(then.answers());
        let _ = writeln!(
            text,
            "{:<17}|{:>8} {:>14} {:>8} {:>7} ms |{:>12} {:>7} |{:>7.2} {:>7.2} {:>7.2}",
            run.name,
            run.database.loads,
            busiest(&run.seconds),
            run.database.most_at_once,
            run.database.slowest.as_millis(),
            all.entries,
            all.evicted,
            of_100(then.old),
            of_100(then.errors),
            of_100(then.slow),
        );
    }
    text.push('\n');
    text
}

fn then(run: &Run) -> Second {
    sum(within(&run.seconds, STRANGERS))
}

fn busiest(seconds: &[Second]) -> u32 {
    let loads = seconds.iter().map(|second| second.loads);
    loads.max().unwrap_or(0)
}

/// What the settings promise, and whether it held.
pub(crate) fn verdicts(runs: &[Run; 4]) -> Verdicts {
    let [free, bounds, strangers, rate] = runs;
    let mut verdicts = Verdicts::default();
    let mut check = |holds, what: String| verdicts.check(holds, what);

    let twice: u64 = runs.iter().map(|run| run.database.twice).sum();
    check(
        twice == 0,
        format!("never two loads of one tenant at once, in all runs: {twice}"),
    );
    let wrong: u32 = runs.iter().map(|run| sum(&run.seconds).wrong).sum();
    check(
        wrong == 0,
        format!(
            "nobody got settings that were invalidated before the request, or too old: {wrong}"
        ),
    );
    let adds_up = |run: &Run| {
        let counters = run.stats.counters.unwrap_or_default();
        let ends: u64 = counters.ends().map(|(_, count)| count).sum();
        counters.begun == run.database.loads && ends == counters.begun && run.stats.creating == 0
    };
    check(
        runs.iter().all(adds_up),
        "each load was somebody's lease, and each lease has ended".to_owned(),
    );
    check(
        free.database.most_at_once > AT_ONCE && sum(&free.seconds).entries > ROOM,
        format!(
            "{}: {} tenants, {} loads at once",
            free.name,
            sum(&free.seconds).entries,
            free.database.most_at_once
        ),
    );
    for run in [bounds, strangers, rate] {
        let is_bounded = |second: &Second| second.entries <= ROOM + second.calls;
        check(
            run.seconds.iter().all(is_bounded)
                && run.database.most_at_once <= AT_ONCE
                && run.database.slowest == LOAD,
            format!(
                "{}: never more than {ROOM} tenants but for those that calls are at, nor than {AT_ONCE} \
                 loads at once",
                run.name
            ),
        );
    }
    let calm = sum(within(&bounds.seconds, FULL..SPAN));
    check(
        calm.errors == 0 && calm.evicted > 0,
        format!(
            "{}: no errors, {} tenants evicted",
            bounds.name, calm.evicted
        ),
    );
    check(
        then(strangers).slow * 100 > then(strangers).answers(),
        format!(
            "{}: {} of {} tenants' requests wait for a turn while strangers come",
            strangers.name,
            then(strangers).slow,
            then(strangers).answers()
        ),
    );
    let seconds = (STRANGERS.end - STRANGERS.start).as_secs() as u32;
    check(
        busiest(&rate.seconds) < 2 * RATE && then(rate).loads <= RATE * (seconds + 1),
        format!(
            "{}: {} loads in {seconds} s, {RATE} a second are allowed",
            rate.name,
            then(rate).loads
        ),
    );
    check(
        then(rate).slow * 20 <= then(strangers).slow,
        format!(
            "{}: {} requests wait for a turn, instead of {}",
            rate.name,
            then(rate).slow,
            then(strangers).slow
        ),
    );
    check(
        sum(&rate.seconds).made_up == 0 && rate.stats.over_rate.is_some_and(|over| over > 0),
        format!(
            "{}: strangers got nothing; {} calls could not load",
            rate.name,
            rate.stats.over_rate.unwrap_or(0)
        ),
    );
    for run in [strangers, rate] {
        let after = sum(within(&run.seconds, AFTER));
        check(
            after.errors == 0 && after.slow * 100 <= after.answers(),
            format!("{}: two minutes later all is as before", run.name),
        );
    }
    verdicts
}
