//! The table, and what is said below it.

use std::time::Duration;

use shared::verdicts::Verdicts;

use crate::TTL;
use crate::herd::Run;
use crate::options::Options;
use crate::ways::Counts;

/// The figures of all ways.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut text = format!(
        "{:<14} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}\n",
        "", "requests", "at once", "checks/s", "p50", "p99", "p99.9", "worst", "wrong", "panics"
    );
    for run in runs {
        let tally = &run.tally;
        let line = format!(
            "{:<14} {:>8} {:>7} {:>9.0} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}\n",
            run.name,
            run.requests,
            run.most_at_once,
            tally.checked as f64 / run.took.as_secs_f64(),
            millis(tally.latency(50.0)),
            millis(tally.latency(99.0)),
            millis(tally.latency(99.9)),
            millis(tally.latency(100.0)),
            tally.wrong(),
            tally.panics,
        );
        text.push_str(&line);
    }
    text
}

fn millis(span: Duration) -> String {
    let millis = span.as_secs_f64() * 1e3;
    format!("{millis:.*} ms", usize::from(millis < 10.0) * 2)
}

/// What `Dogpile` promises, and whether it held.
pub(crate) fn verdicts(run: &Run, counts: &Counts, options: &Options) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let mut check = |holds: bool, what: String| verdicts.check(holds, what);
    let tally = &run.tally;
    check(
        run.requests == counts.leases && counts.leases == counts.created_here + tally.panics,
        format!(
            "every request was somebody's lease, and every lease somebody's answer:\n      \
             {} requests = {} leases granted = {} answers \"created here\" + {} panicked",
            run.requests, counts.leases, counts.created_here, tally.panics
        ),
    );
    check(
        run.most_at_once == 1,
        format!("never two requests at once: {} at most", run.most_at_once),
    );
    let lives = Duration::from_secs(options.seconds)
        .as_millis()
        .div_ceil(TTL.as_millis()) as u64;
    let rotations = u64::from(run.rotated.is_some());
    let most = lives + rotations + run.damaged + 1;
    check(
        run.requests <= most,
        format!(
            "no more requests than the keys' life asks for: {} <= {most} = {lives} lives of {} ms \
             + {rotations} rotation\n      + {} damaged answer + 1",
            run.requests,
            TTL.as_millis(),
            run.damaged
        ),
    );
    check(
        tally.wrong() == 0,
        format!(
            "no wrong answer: {} genuine tokens refused, {} forged ones accepted",
            tally.genuine_refused, tally.forged_accepted
        ),
    );
    check(
        rotations == 1
            && tally.new_key_accepted > 0
            && tally.unknown_refused > 0
            && run.damaged == 1
            && tally.panics == 1,
        format!(
            "it was put to the test: {rotations} rotation, {} tokens of the new key \
             accepted,\n      \
             {} of unknown keys refused, {} answer damaged, {} panic{}",
            tally.new_key_accepted,
            tally.unknown_refused,
            run.damaged,
            tally.panics,
            match &tally.last_words {
                Some(words) => format!(":\n      \"{words}\""),
                None => String::new(),
            }
        ),
    );
    verdicts
}
