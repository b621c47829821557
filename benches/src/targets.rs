//! The targets of the crate, and what this run says of them. A missed one is told, not punished:
//! time is never a test.

use crate::measure::{Figures, Measured};
use crate::spread::{count, number, Spread};
use crate::table::Table;
use crate::{floors, handmade, herd, ours, ratio, tasks};

/// What the groups found; what was not run is empty.
pub(crate) struct Findings<'a> {
    pub(crate) hit: &'a [Measured],
    pub(crate) herd: &'a [herd::Served],
    pub(crate) tasks: &'a [tasks::Served],
    /// By how many points the hit ratio of a bounded map is below the best of the others.
    pub(crate) below: Option<f64>,
    pub(crate) membarrier: bool,
}

struct Targets(Table);

impl Targets {
    fn add(&mut self, what: String, limit: f64, measured: Spread) {
        let verdict = if measured.median <= limit {
            String::from("reached")
        } else {
            format!("missed, {} x", number(measured.median / limit))
        };
        self.0
            .add(vec![what, number(limit), measured.to_string(), verdict]);
    }
}

fn find<'a>(rows: &'a [Measured], name: &str) -> &'a [Figures] {
    let row = rows.iter().find(|row| row.name == name);
    &row.expect("the hit group measures it").at
}

/// What the groups that were run tell.
pub(crate) fn print(findings: &Findings<'_>) {
    let (hit, herd, tasks) = (findings.hit, findings.herd, findings.tasks);
    if hit.is_empty() && herd.is_empty() && tasks.is_empty() && findings.below.is_none() {
        return;
    }
    let head = ["", "at most", "measured", ""];
    let mut targets = Targets(Table::new("Targets: ratios within this run", head));
    if !findings.hit.is_empty() {
        hits(&mut targets, findings);
    }
    for served in findings.herd {
        if served.name == herd::OURS && herd::HAS_FLOOR {
            let what = format!("last of {} threads over a bare futex", count(served.size));
            targets.add(what, 1.2, served.relative);
        }
    }
    for served in findings.tasks {
        if served.name.starts_with("Dogpile") {
            let what = format!("last of {} over futures Shared", served.herd);
            targets.add(what, 1.2, served.relative);
        }
    }
    if let Some(below) = findings.below {
        let what = String::from("points of hit ratio below quick_cache or moka");
        targets.add(what, ratio::SLACK, Spread::of(&[below]));
    }
    targets.0.print();
}

fn hits(targets: &mut Targets, findings: &Findings<'_>) {
    let find = |name| find(findings.hit, name);
    let hit = find(ours::HIT);
    let (bare, locked) = (find(floors::POINTER), find(floors::LOCKED));
    for (at, hit) in hit.iter().enumerate() {
        let threads = ["1 thread", "2 threads"][at];
        if findings.membarrier {
            let what = format!("hit over bare pointer + coarse clock, {threads}");
            targets.add(what, 1.6, hit.over(&bare[at]));
            let what = format!("hit over arc_swap load + Instant, {threads}");
            targets.add(what, 0.25, hit.over(&find(handmade::ARC_SWAP)[at]));
        } else {
            let what = format!("hit less the bare pointer, in locked instructions, {threads}");
            targets.add(what, 2.0, hit.above(&bare[at], &locked[at]));
        }
        let what = format!("stale hit during a creation over a fresh one, {threads}");
        targets.add(what, 1.0, find(ours::STALE)[at].over(hit));
    }
    if let [one, two] = hit {
        let what = String::from("hit at 2 threads over 1");
        targets.add(what, 1.1, two.ns_over(one));
    }
}
