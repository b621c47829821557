//! An edit of the crate that a model or a test must catch.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

pub(crate) struct Breakage {
    pub(crate) name: String,
    /// Where it is listed, and what must catch it stands.
    pub(crate) home: Home,
    /// The file that lists it, without its ending.
    pub(crate) module: String,
    /// The test that must catch it; empty if any of that file will do.
    pub(crate) test: String,
    pub(crate) file: PathBuf,
    pub(crate) before: Vec<String>,
    after: Vec<String>,
}

/// A target of cargo's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The models of promises.
    Promises,
    /// Those of the parts, beside them.
    Parts,
    /// Larger ones, under shuttle alone.
    Many,
    /// The tests of promises.
    Tests,
    /// What threads saw, against the contract.
    Histories,
    /// Of what a hit costs.
    Exact,
}

impl Home {
    const FOLDERS: [(Home, &'static str); 6] = [
        (Home::Promises, "loom-tests/tests/models"),
        (Home::Many, "loom-tests/tests/models/many"),
        (Home::Parts, "src/raw/models"),
        (Home::Tests, "tests/it"),
        (Home::Histories, "loom-tests/tests/histories"),
        (Home::Exact, "tests/exact"),
    ];
}

/// The breakages that models and tests list.
pub(crate) fn all_in(project: &Path) -> Result<Vec<Breakage>> {
    let mut files = Vec::new();
    for (home, folder) in Home::FOLDERS {
        for entry in fs::read_dir(project.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                files.push((path, home));
            }
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let mut breakages = Vec::new();
    for (file, home) in files {
        read(&file, home, &mut breakages)?;
    }
    Ok(breakages)
}

/// Adds what a file lists.
fn read(file: &Path, home: Home, found: &mut Vec<Breakage>) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let module = file.file_stem().ok_or("a test without a name")?;
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head
        .skip_while(|line| line.trim() != "```breakages")
        .skip(1);
    let before = found.len();
    for line in block.take_while(|line| line.trim() != "```") {
        let current = found[before..].last_mut();
        match (line.get(..2), line.get(3..).unwrap_or("").trim(), current) {
            (None | Some(""), ..) => {}
            (Some("  "), text, Some(breakage)) => {
                breakage.before.push(text.to_owned());
                breakage.after.push(text.to_owned());
            }
            (Some(" -"), text, Some(breakage)) => breakage.before.push(text.to_owned()),
            (Some(" +"), text, Some(breakage)) => breakage.after.push(text.to_owned()),
            (_, _, _) => {
                let fields: Vec<_> = line.split('|').map(str::trim).collect();
                let (name, place, test) = match fields[..] {
                    [name, place] => (name, place, ""),
                    [name, place, test] => (name, place, test),
                    _ => {
                        let path = file.display();
                        let told = "neither an edit nor `name | file | test`";
                        return Err(format!("{path}: {told}: {line}").into());
                    }
                };
                found.push(Breakage {
                    name: name.to_owned(),
                    home,
                    module: module.to_string_lossy().into_owned(),
                    test: test.to_owned(),
                    file: PathBuf::from(place),
                    before: Vec::new(),
                    after: Vec::new(),
                });
            }
        }
    }
    Ok(())
}

impl Breakage {
    /// What must catch it, by the beginning of the paths.
    pub(crate) fn tests(&self) -> String {
        let Self { module, test, .. } = self;
        match self.home {
            Home::Parts => format!("raw::models::{module}::{test}"),
            Home::Many => format!("many::{module}::{test}"),
            Home::Promises | Home::Tests | Home::Histories | Home::Exact => {
                format!("{module}::{test}")
            }
        }
    }

    /// `text` with the edit made.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        let lines: Vec<_> = text.lines().collect();
        let places = self.places(&lines);
        let [at] = places[..] else {
            return Err(format!(
                "what it changes stands in {} {} times, not once: bring it up to date",
                self.file.display(),
                places.len()
            )
            .into());
        };
        let after = self.after.iter().map(String::as_str);
        let edited = lines[..at].iter().copied().chain(after);
        let edited = edited.chain(lines[at + self.before.len()..].iter().copied());
        Ok(edited.collect::<Vec<_>>().join("\n") + "\n")
    }

    /// The numbers of the lines at which stands what it changes.
    fn places(&self, lines: &[&str]) -> Vec<usize> {
        let stands = |at: &usize| {
            let window = lines.get(*at..*at + self.before.len());
            window.is_some_and(|window| window.iter().map(|l| l.trim()).eq(&self.before))
        };
        (0..lines.len()).filter(stands).collect()
    }

    /// The numbers of the lines that are not there any more once it is made.
    pub(crate) fn changes(&self, lines: &[&str]) -> Vec<usize> {
        let places = self.places(lines);
        let gone = |line: &String| !self.after.contains(line);
        let gone = (0..self.before.len()).filter(|&at| gone(&self.before[at]));
        gone.flat_map(|at| places.iter().map(move |place| place + at))
            .collect()
    }
}
