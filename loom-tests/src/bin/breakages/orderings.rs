//! Whether every ordering and every barrier of the crate is in a breakage.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::breakage::Breakage;

/// What must be in a breakage. (Relaxed is as weak as it gets.)
const STRONG: [&str; 7] = [
    "Ordering::Acquire",
    "Ordering::Release",
    "Ordering::AcqRel",
    "Ordering::SeqCst",
    "barrier::light()",
    "barrier::look_behind(",
    "barrier::heavy(",
];

/// Where those are listed that are in none, with the reason: a table whose first two columns are
/// the file and the line of code.
const UNBROKEN: &str = "loom-tests/unbroken.md";

/// Prints those that are missing, and those that are listed as unbroken and are not.
pub(crate) fn are_covered(project: &Path, breakages: &[Breakage]) -> Result<bool> {
    let unbroken = fs::read_to_string(project.join(UNBROKEN))?;
    let mut unbroken: Vec<_> = unbroken.lines().filter_map(row).collect();
    let mut covered = true;
    let mut files = Vec::new();
    for folder in ["src/raw", "src/raw/value", "src/raw/wait"] {
        for entry in fs::read_dir(project.join(folder))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".rs") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    files.sort();
    for file in files {
        let text = fs::read_to_string(project.join(&file))?;
        let lines: Vec<_> = text.lines().collect();
        let here = breakages.iter().filter(|b| b.file == Path::new(&file));
        let broken: Vec<_> = here.flat_map(|breakage| breakage.changes(&lines)).collect();
        for (at, line) in lines.iter().map(|line| line.trim()).enumerate() {
            let strong = STRONG.iter().any(|strong| line.contains(strong));
            if !strong || line.starts_with("//") || broken.contains(&at) {
                continue;
            }
            let listed = unbroken.iter().position(|row| *row == (&*file, line));
            match listed {
                Some(row) => drop(unbroken.remove(row)),
                None => {
                    println!(
                        "{file}:{}: in no breakage, nor in {UNBROKEN}: {line}",
                        at + 1
                    );
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
