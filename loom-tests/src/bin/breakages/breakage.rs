//! An edit of the crate that a model, a test or a sanitizer must catch.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::edit::Edit;

pub(crate) struct Breakage {
    pub(crate) name: String,
    /// Where it is listed, and what must catch it stands.
    pub(crate) home: Home,
    /// The file that lists it.
    pub(crate) listed: PathBuf,
    /// The module that this file is, as the names of its tests begin.
    module: String,
    /// The test that must catch it, empty if any of that file will do; of a sanitizer, what it
    /// says.
    pub(crate) test: String,
    pub(crate) file: PathBuf,
    pub(crate) edit: Edit,
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
    /// The tests of another package: of an adapter, of the fleet, of one of its stores.
    Package,
    /// Programs for `.ci/sanitizers`, which alone can tell what they show.
    Stress,
}

impl Home {
    /// Each with its folder. A folder within another comes first.
    const FOLDERS: [(Home, &'static str); 14] = [
        (Home::Many, "loom-tests/tests/models/many"),
        (Home::Promises, "loom-tests/tests/models"),
        (Home::Parts, "src/raw"),
        (Home::Parts, "src/keyed/models"),
        (Home::Tests, "tests/it"),
        (Home::Histories, "loom-tests/tests/histories"),
        (Home::Exact, "tests/exact"),
        (Home::Package, "adapters/cache/tests/it"),
        (Home::Package, "fleet/tests/it"),
        (Home::Package, "stores/memcached/tests/it"),
        (Home::Package, "stores/postgres/tests/it"),
        (Home::Package, "stores/redis/tests/it"),
        (Home::Package, "stores/sqlite/tests/it"),
        (Home::Stress, "stress/src"),
    ];

    /// The folder from which the modules in `folder` are named.
    fn root(self, folder: &'static str) -> &'static str {
        match self {
            Home::Many => "loom-tests/tests/models",
            Home::Parts => "src",
            _ => folder,
        }
    }
}

/// The breakages that models, tests and programs list.
pub(crate) fn all_in(project: &Path) -> Result<Vec<Breakage>> {
    let mut files: Vec<(PathBuf, Home, &str)> = Vec::new();
    for (home, folder) in Home::FOLDERS {
        for file in sources(project, Path::new(folder))? {
            if files.iter().all(|(other, ..)| *other != file) {
                files.push((file, home, home.root(folder)));
            }
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let mut breakages: Vec<Breakage> = Vec::new();
    for (file, home, root) in files {
        let module = module(file.strip_prefix(root)?);
        let text = fs::read_to_string(project.join(&file))?;
        for breakage in read(&file, home, &module, &text)? {
            if let Some(other) = breakages.iter().find(|b| b.name == breakage.name) {
                let (name, one, two) = (&other.name, other.listed.display(), file.display());
                return Err(format!("two breakages are named {name}: in {one} and {two}").into());
            }
            breakages.push(breakage);
        }
    }
    Ok(breakages)
}

/// The files of Rust in a folder of the project and in its folders.
pub(crate) fn sources(project: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(project.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(sources(project, &path)?);
        } else if path.extension() == Some(OsStr::new("rs")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The package to which a file belongs: what the nearest manifest above it says.
fn package(project: &Path, file: &Path) -> Result<String> {
    for folder in file.ancestors().skip(1) {
        let manifest = project.join(folder).join("Cargo.toml");
        if !manifest.exists() {
            continue;
        }
        let text = fs::read_to_string(manifest)?;
        let mut lines = text.lines().skip_while(|line| *line != "[package]");
        let name = lines.find_map(|line| line.strip_prefix("name = "));
        if let Some(name) = name {
            return Ok(name.trim_matches('"').to_owned());
        }
    }
    Err(format!("{} is of no package", file.display()).into())
}

fn module(file: &Path) -> String {
    let parts = file.with_extension("");
    let mut parts: Vec<_> = parts.iter().map(OsStr::to_string_lossy).collect();
    parts.retain(|part| part != "mod");
    parts.join("::")
}

/// What a file lists.
fn read(file: &Path, home: Home, module: &str, text: &str) -> Result<Vec<Breakage>> {
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head
        .skip_while(|line| line.trim() != "```breakages")
        .skip(1);
    let mut found: Vec<Breakage> = Vec::new();
    for line in block.take_while(|line| line.trim() != "```") {
        let edits = |breakage: &mut Breakage| breakage.edit.add(line);
        if line.trim().is_empty() || found.last_mut().is_some_and(edits) {
            continue;
        }
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
            listed: file.to_owned(),
            module: module.to_owned(),
            test: test.to_owned(),
            file: PathBuf::from(place),
            edit: Edit::new(),
        });
    }
    Ok(found)
}

impl Breakage {
    /// What must catch it, by the beginning of the paths.
    pub(crate) fn tests(&self) -> String {
        format!("{}::{}", self.module, self.test)
    }

    /// Whether the file that lists it has a test, or a module of tests, of that name: written out, or
    /// named to a macro. (What a sanitizer is to report is no test.)
    pub(crate) fn has_tests(&self, listing: &str) -> bool {
        let mut names: Vec<_> = self.test.split("::").collect();
        let last = names.pop().unwrap_or_default();
        // What is in no module stands at the margin.
        let at = |line: &'_ str| {
            if names.is_empty() {
                line.to_owned()
            } else {
                line.trim().to_owned()
            }
        };
        let begins = |what: String| listing.lines().any(|line| at(line).starts_with(&what));
        let is_test = begins(format!("fn {last}"))
            || begins(format!("mod {last}"))
            || listing.contains(&format!("!({last}"));
        self.home == Home::Stress
            || last.is_empty()
            || (is_test && names.iter().all(|name| begins(format!("mod {name} {{"))))
    }

    /// The module of its target that has them.
    pub(crate) fn top(&self) -> &str {
        self.module.split("::").next().unwrap_or_default()
    }

    /// The package in whose tests it is listed.
    pub(crate) fn home_package(&self, project: &Path) -> Result<String> {
        package(project, &self.listed)
    }

    /// The package of which it changes a file.
    pub(crate) fn broken_package(&self, project: &Path) -> Result<String> {
        package(project, &self.file)
    }

    /// `text`, that of the file, with the edit made.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        let edited = self.edit.apply(text);
        edited.map_err(|why| format!("{}: {why}", self.file.display()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_test_is_there() {
        let text =
            "//! ```breakages\n//! one | a.rs | b::it_f\n//! ```\nmod b {\n  fn it_fails() {}\n}";
        let mut one = read(Path::new("m.rs"), Home::Tests, "m", text)
            .unwrap()
            .remove(0);
        assert!(one.has_tests(text));
        one.test = "m::it_f".to_owned();
        assert!(!one.has_tests(text));
        one.test = "it_f".to_owned();
        assert!(!one.has_tests(text));
        one.test = "b::fails".to_owned();
        assert!(!one.has_tests(text));
    }

    #[test]
    fn a_block_is_read() {
        let text = "//! Head.\n//!\n//! ```breakages\n//! one | src/a.rs\n//! - x\n//!\n\
                    //! two | src/b.rs | it_fails\n//! @ fn f\n//!   y\n//! + z\n//! ```\n//! - no";
        let found = read(Path::new("m/n.rs"), Home::Parts, "m::n", text).unwrap();
        let [one, two] = &found[..] else {
            panic!("{} breakages", found.len())
        };
        assert_eq!((&*one.name, &*one.tests()), ("one", "m::n::"));
        assert_eq!((&*two.name, &*two.tests()), ("two", "m::n::it_fails"));
        assert_eq!(one.apply("a x b").unwrap(), "a  b");
        assert_eq!(two.apply("fn f() { y }").unwrap(), "fn f() { y\nz }");
        let strange = text.replace("//! - x", "//! x");
        assert!(read(Path::new("m.rs"), Home::Parts, "m", &strange).is_err());
    }

    #[test]
    fn modules_are_named_as_tests_are() {
        assert_eq!(module(Path::new("raw/models/cell.rs")), "raw::models::cell");
        assert_eq!(module(Path::new("raw/mod.rs")), "raw");
    }
}
