//! The table of what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Result;

/// What an edit came to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    NoticedBy(String),
    TimeLimit,
    /// All that there was time for passed.
    OutOfTime,
    Survived,
    ReachedByNone,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::NoticedBy(test) => write!(f, "noticed by {test}"),
            Verdict::TimeLimit => f.write_str("time limit"),
            Verdict::OutOfTime => f.write_str("out of time"),
            Verdict::Survived => f.write_str("survived"),
            Verdict::ReachedByNone => f.write_str("reached by none"),
        }
    }
}

/// A line for each edit: its place, the function, what it does, and the verdict, with tabs.
pub(crate) struct Table(File);

impl Table {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        Ok(Self(File::create(path)?))
    }

    /// At once, so that a run that is stopped leaves what it has found.
    pub(crate) fn add(&mut self, edit: &str, verdict: &Verdict) -> Result<()> {
        Ok(writeln!(self.0, "{edit}\t{verdict}")?)
    }
}

/// What no test has noticed, by a table.
pub(crate) fn open(path: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.rsplit_once('\t'));
    let open = lines
        .filter(|(_, verdict)| ["survived", "out of time", "reached by none"].contains(verdict));
    Ok(open.map(|(edit, _)| edit.to_owned()).collect())
}

/// How many came to what, by folder.
#[derive(Default)]
pub(crate) struct Sums(BTreeMap<String, [usize; 5]>);

impl Sums {
    pub(crate) fn add(&mut self, file: &Path, verdict: &Verdict) {
        let mut parts = file
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        let folder = [parts.next(), parts.next()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("/");
        let column = match verdict {
            Verdict::NoticedBy(_) => 0,
            Verdict::TimeLimit => 1,
            Verdict::OutOfTime => 2,
            Verdict::Survived => 3,
            Verdict::ReachedByNone => 4,
        };
        self.0.entry(folder).or_default()[column] += 1;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| | run | noticed by a test | by the time limit | out of time | survived | reached by none |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (folder, sums) in &self.0 {
            let run: usize = sums.iter().sum();
            let cells: Vec<String> = sums.iter().map(ToString::to_string).collect();
            writeln!(f, "| `{folder}` | {run} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
