//! Runs an edit with the tests that reach it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Result;
use crate::program::{Outcome, Program, Test};
use crate::table::Verdict;

/// Who runs edits, and remembers which test noticed one where.
pub(crate) struct Trial {
    program: Program,
    /// In the order in which they are tried.
    tests: Vec<Test>,
    /// By function, those that noticed an edit of it, the last one first.
    noticed: BTreeMap<String, Vec<usize>>,
    /// How long an edit may take, if not as long as its tests do.
    limit: Option<Duration>,
    /// Whether tests that take far longer with an edit notice it.
    is_timed: bool,
}

/// Of those that noticed an edit beside it, so many are tried first.
const NEIGHBORS: usize = 3;

/// A group is no larger: it is run to the end if a test ends with the time limit.
const LARGEST: usize = 64;

impl Trial {
    pub(crate) fn new(
        program: Program,
        mut tests: Vec<Test>,
        limit: Option<Duration>,
        is_timed: bool,
    ) -> Self {
        match limit {
            None => tests.sort_by_key(|test| test.reaches.len()),
            // As many as there is time for.
            Some(_) => tests.sort_by_key(|test| test.took),
        }
        Self {
            program,
            tests,
            noticed: BTreeMap::new(),
            limit,
            is_timed,
        }
    }

    /// The place is known by its number, the edit by its own.
    pub(crate) fn run(&mut self, function: &str, place: u32, edit: u32) -> Result<Verdict> {
        let reaching = |&index: &usize| self.tests[index].reaches.contains(&place);
        let first = self.noticed.get(function).into_iter().flatten().copied();
        let mut order: Vec<usize> = first.filter(reaching).take(NEIGHBORS).collect();
        let neighbors = order.len();
        let rest = (0..self.tests.len())
            .filter(reaching)
            .filter(|index| !order[..neighbors].contains(index));
        let rest: Vec<usize> = rest.collect();
        order.extend(rest);
        if order.is_empty() {
            return Ok(Verdict::ReachedByNone);
        }
        let end = self.limit.map(|limit| Instant::now() + limit);
        let mut size = 1;
        while !order.is_empty() {
            let group: Vec<usize> = order.drain(..size.min(order.len())).collect();
            size = LARGEST.min(size * 2);
            let names: Vec<&str> = group
                .iter()
                .map(|&index| &*self.tests[index].name)
                .collect();
            let usual: Duration = group.iter().map(|&index| self.tests[index].took).sum();
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            let far = match self.is_timed {
                true => limit_of(usual),
                false => Duration::MAX,
            };
            let limit = far.min(left);
            match self.program.run(edit, &names, limit)? {
                Outcome::Passed => {}
                Outcome::TimedOut if far <= left => return Ok(Verdict::TimeLimit),
                Outcome::TimedOut => return Ok(Verdict::OutOfTime),
                Outcome::Failed(name) => {
                    let failed = group
                        .iter()
                        .copied()
                        .find(|&index| self.tests[index].name == name);
                    let failed = failed.ok_or("a test failed before it began")?;
                    // Once more alone: it may have failed by chance, and the rest of the group has not run.
                    let again = self.program.run(edit, &[&name], limit)?;
                    if !matches!(again, Outcome::Passed) {
                        let noticed = self.noticed.entry(function.to_owned()).or_default();
                        noticed.retain(|&other| other != failed);
                        noticed.insert(0, failed);
                        return Ok(Verdict::NoticedBy(name));
                    }
                    order.splice(..0, group.into_iter().filter(|&other| other != failed));
                }
            }
        }
        Ok(Verdict::Survived)
    }
}

/// Five times as long as without an edit, and some seconds more.
fn limit_of(usual: Duration) -> Duration {
    5 * usual + Duration::from_secs(6)
}
