//! All that is read: the project's files, what rustdoc wrote, and what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Site {
    /// What `cargo doc` wrote.
    pub(crate) docs: PathBuf,
    /// The files of the published package.
    pub(crate) packaged: BTreeSet<String>,
    /// The files of the project.
    pub(crate) files: BTreeSet<String>,
    /// What is read in the place of a file.
    copies: BTreeMap<PathBuf, PathBuf>,
}

impl Site {
    pub(crate) fn new(docs: &str, packaged: &str, copies: &[String]) -> Self {
        let copies = copies.iter().map(|copy| {
            let (file, copy) = copy.split_once('=').expect("FILE=COPY");
            (PathBuf::from(file), PathBuf::from(copy))
        });
        let mut site = Self {
            docs: docs.into(),
            packaged: BTreeSet::new(),
            files: files(),
            copies: copies.collect(),
        };
        site.packaged = site
            .read(Path::new(packaged))
            .lines()
            .map(str::to_owned)
            .collect();
        assert!(site.packaged.contains("README.md"), "{packaged}: no README");
        site
    }

    pub(crate) fn read(&self, path: &Path) -> String {
        let path = self.copies.get(path).map_or(path, PathBuf::as_path);
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The pages in Markdown, but for those that rustdoc shows.
    pub(crate) fn markdown(&self) -> impl Iterator<Item = &str> {
        let all = self.files.iter().map(String::as_str);
        all.filter(|file| file.ends_with(".md") && !file.starts_with("src/"))
    }

    /// Whether it is a file of the project, or a folder with files in it.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.contains(path) || {
            let folder = format!("{path}/");
            let mut after = self.files.range(folder.clone()..);
            after.next().is_some_and(|file| file.starts_with(&folder))
        }
    }

    /// The pages that rustdoc wrote for users: the front pages of the crates and the handbook.
    pub(crate) fn handbook(&self) -> Vec<PathBuf> {
        let mut pages = vec![self.docs.join("dogpile/index.html")];
        let mut folders = vec![self.docs.join("dogpile/docs")];
        // By the sources: pages that were removed may still stand in the folder.
        while let Some(folder) = folders.pop() {
            let source = folder
                .strip_prefix(self.docs.join("dogpile"))
                .expect("within");
            pages.push(folder.join("index.html"));
            let source = format!("src/{}/", source.display());
            for file in self.files.range(source.clone()..) {
                let Some(name) = file.strip_prefix(&source) else {
                    break;
                };
                match name.split_once('/') {
                    None if name == "mod.rs" => {}
                    None => pages.extend(
                        name.strip_suffix(".rs")
                            .map(|name| folder.join(name).join("index.html")),
                    ),
                    Some((inner, "mod.rs")) => folders.push(folder.join(inner)),
                    Some(_) => {}
                }
            }
        }
        assert!(pages.len() > 15, "the handbook has hardly any pages");
        pages
    }
}

/// The files of the project.
pub(crate) fn files() -> BTreeSet<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git lists the files of the project");
    assert!(listed.status.success(), "this is no checkout of git");
    let listed = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let there = listed.lines().filter(|file| Path::new(file).exists());
    there.map(str::to_owned).collect()
}
