//! Whether every ordering and every barrier of the crate is in a breakage.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::Result;
use crate::breakage::{self, Breakage};

/// What must be in a breakage. (Relaxed is as weak as it gets.)
const STRONG: [&str; 6] = [
    "Ordering::Acquire",
    "Ordering::Release",
    "Ordering::AcqRel",
    "Ordering::SeqCst",
    "barrier::light()",
    "barrier::heavy()",
];

/// Where those are listed that are in none, with the reason: a table whose first two columns are
/// the file and the line of code.
const UNBROKEN: &str = "loom-tests/unbroken.md";

/// Prints those that are missing, and those that are listed as unbroken and are not.
pub(crate) fn are_covered(project: &Path, breakages: &[Breakage]) -> Result<bool> {
    let unbroken = fs::read_to_string(project.join(UNBROKEN))?;
    let mut unbroken: Vec<_> = unbroken.lines().filter_map(row).collect();
    let mut covered = true;
    for path in breakage::sources(project, Path::new("src/raw"))? {
        if path
            .iter()
            .any(|part| part.to_string_lossy().contains("models"))
        {
            continue;
        }
        let text = fs::read_to_string(project.join(&path))?;
        let here = breakages.iter().filter(|breakage| breakage.file == path);
        let broken: Vec<_> = here.flat_map(|b| b.edit.changes(&text)).collect();
        let file = path.to_string_lossy();
        let mut start = 0;
        for (number, whole) in text.split_inclusive('\n').enumerate() {
            let line = whole.trim();
            let strong = strong(whole, start);
            start += whole.len();
            let is_broken = strong.iter().any(|strong| {
                let mut broken = broken.iter();
                broken.any(|gone| gone.start < strong.end && strong.start < gone.end)
            });
            if strong.is_empty() || line.starts_with("//") || is_broken {
                continue;
            }
            let listed = unbroken.iter().position(|row| *row == (&*file, line));
            match listed {
                Some(row) => drop(unbroken.remove(row)),
                None => {
                    let number = number + 1;
                    println!("{file}:{number}: in no breakage, nor in {UNBROKEN}: {line}");
                    covered = false;
                }
            }
        }
    }
    for (file, line) in unbroken {
        println!("{UNBROKEN}: stands not in {file}, or is in a breakage: {line}");
        covered = false;
    }
    Ok(covered)
}

/// The file and the line of code of a row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.strip_prefix("| `")?.split("` | ");
    Some((columns.next()?, columns.next()?.strip_prefix('`')?))
}

/// Where in the text, in which the line begins at `start`, something strong stands.
fn strong(line: &str, start: usize) -> Vec<Range<usize>> {
    let found = STRONG.iter().flat_map(|strong| line.match_indices(strong));
    found
        .map(|(at, strong)| start + at..start + at + strong.len())
        .collect()
}
