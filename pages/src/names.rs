//! Each name in a page exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::site::Site;
use crate::{html, markdown};

/// Words that stand in pages and are none of ours, by where they come from.
const FOREIGN: &str = "pages/foreign.txt";

pub(crate) fn check(site: &Site) -> Vec<String> {
    let mut complaints = features(site);
    let mut foreign = foreign(site);
    let ours = ours(site);
    let mut pieces = 0;
    let mut public: Vec<(String, Vec<String>)> = site
        .handbook()
        .into_iter()
        .map(|page| {
            let text = site.read(&page);
            // The whole report is a page of the repository as well, and has words of its own.
            let main = html::main_part(&text);
            let main = main
                .split_once("id=\"repeat-it\"")
                .map_or(main, |(own, _)| own);
            (page.display().to_string(), html::code(main))
        })
        .collect();
    let readme = site.read(Path::new("README.md"));
    public.push(("README.md".to_owned(), markdown::code(&readme)));
    for (page, code) in &public {
        for piece in code {
            pieces += 1;
            if is_command(piece) {
                complaints.extend(command(site, page, piece));
            } else if is_path(piece) {
                complaints.extend(path(site, page, piece));
            } else {
                for word in words(piece) {
                    if let Some(used) = foreign.get_mut(word) {
                        *used = true;
                    } else if !ours.contains(word) {
                        complaints.push(format!(
                            "{page}: `{piece}`: there is no `{word}`; if it is not ours, add it to {FOREIGN}"
                        ));
                    }
                }
            }
        }
    }
    // Pages for those who change the crate name what is private. Their files and commands have to be there.
    for page in site
        .markdown()
        .filter(|page| *page != "README.md" && *page != "CHANGELOG.md")
    {
        for piece in markdown::code(&site.read(Path::new(page))) {
            pieces += 1;
            if is_command(&piece) {
                complaints.extend(command(site, page, &piece));
            } else if is_path(&piece) {
                complaints.extend(path(site, page, &piece));
            }
        }
    }
    assert!(pieces > 1000, "hardly any names: {pieces}");
    for (word, used) in foreign {
        if !used {
            complaints.push(format!("{FOREIGN}: no page names `{word}`"));
        }
    }
    complaints.dedup();
    complaints
}

/// What the page of signatures and those of the other crates name, and the features.
fn ours(site: &Site) -> BTreeSet<String> {
    let surface = site.read(Path::new("docs/surface.md"));
    let mut ours = BTreeSet::new();
    let mut in_code = false;
    for line in surface.lines() {
        in_code ^= line.starts_with("```");
        if in_code || line.starts_with("### ") {
            ours.extend(words(line).map(str::to_owned));
        }
    }
    for file in site
        .files
        .iter()
        .filter(|file| file.starts_with("src/docs/"))
    {
        let name = file.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        ours.extend(name.split('/').map(str::to_owned));
    }
    for manifest in site
        .files
        .iter()
        .filter(|file| file.ends_with("Cargo.toml"))
    {
        let text = site.read(Path::new(manifest));
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("name = \""));
        ours.extend(
            names
                .flat_map(|name| words(name.trim_end_matches('"')))
                .map(str::to_owned),
        );
    }
    let manifest = site.read(Path::new("Cargo.toml"));
    ours.extend(declared(&manifest).into_iter().map(str::to_owned));
    for root in ["fleet/src/lib.rs", "adapters/cache/src/lib.rs"] {
        let text = site.read(Path::new(root));
        let exported = text
            .lines()
            .filter(|line| line.contains("pub use") || line.starts_with("    "));
        ours.extend(exported.flat_map(words).map(str::to_owned));
    }
    // A promise has a name; that it has tests under it, other checks see.
    let promises = site.read(Path::new("src/docs/promises.rs"));
    let rows = promises
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"));
    ours.extend(rows.filter_map(|row| row.split_once('`').map(|(name, _)| name.to_owned())));
    ours
}

fn foreign(site: &Site) -> BTreeMap<String, bool> {
    let text = site.read(Path::new(FOREIGN));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .flat_map(str::split_whitespace)
        .map(|word| (word.to_owned(), false))
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_') && *word != "_")
}

fn is_command(piece: &str) -> bool {
    piece.starts_with("cargo ") || (piece.starts_with(".ci/") && piece.len() > 4)
}

/// Programs, options and examples that a command names.
fn command(site: &Site, page: &str, command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let program = words.next()?;
    if program != "cargo" && !site.has(program) {
        return Some(format!("{page}: `{command}`: there is no {program}"));
    }
    let mut before = "";
    for word in words {
        let there = match before {
            "--example" => {
                let folder = format!("examples/{word}");
                word == "NAME" || site.files.iter().any(|file| file.contains(&folder))
            }
            "--manifest-path" => site.has(word),
            "-p" | "--package" => site.files.iter().any(|file| {
                file.ends_with("Cargo.toml")
                    && site
                        .read(Path::new(file))
                        .contains(&format!("\nname = \"{word}\"\n"))
            }),
            _ => true,
        };
        if !there {
            return Some(format!("{page}: `{command}`: there is no {word}"));
        }
        before = word;
    }
    None
}

fn is_path(piece: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    let known = [".rs", ".md", ".txt", ".svg", ".toml", ".json"];
    piece.chars().all(is_plain)
        && !piece.starts_with('/')
        && !piece.starts_with("target/")
        && (piece.contains('/') || known.iter().any(|end| piece.ends_with(end)))
}

/// A file or a folder: of the project, or beside the page, or by the end of its path.
fn path(site: &Site, page: &str, path: &str) -> Option<String> {
    let beside = Path::new(page).parent().unwrap_or(Path::new(""));
    let name = format!("/{path}");
    let there = site.has(path)
        || site.has(&beside.join(path).display().to_string())
        || site
            .files
            .iter()
            .any(|file| file.ends_with(&name) || (name.ends_with('/') && file.contains(&name)));
    (!there).then(|| format!("{page}: there is no file `{path}`"))
}

fn declared(manifest: &str) -> Vec<&str> {
    let (_, features) = manifest.split_once("\n[features]\n").expect("features");
    let (features, _) = features.split_once("\n[").unwrap_or((features, ""));
    let lines = features.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    names.filter(|name| *name != "default").collect()
}

/// The README and the front page list the features that there are, and the Rust that they need.
fn features(site: &Site) -> Vec<String> {
    let manifest = site.read(Path::new("Cargo.toml"));
    let declared = declared(&manifest);
    let mut complaints = Vec::new();
    for (page, mark) in [("README.md", ""), ("src/lib.rs", "//! ")] {
        let text = site.read(Path::new(page));
        let heading = if mark.is_empty() {
            "\n## Features\n"
        } else {
            "//! # Features\n"
        };
        let Some((_, section)) = text.split_once(heading) else {
            complaints.push(format!("{page}: no section on features"));
            continue;
        };
        // The first table.
        let rows = section
            .lines()
            .map(|line| line.trim_start_matches(mark))
            .skip_while(|line| !line.starts_with("| feature"))
            .take_while(|line| line.starts_with('|'));
        let cells = rows.skip(2).filter_map(|row| row.split('|').nth(1));
        let listed: Vec<&str> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        if listed != declared {
            complaints.push(format!(
                "{page}: its features are {listed:?}, those of Cargo.toml {declared:?}"
            ));
        }
        let rust = manifest
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = \""))
            .expect("a Rust version")
            .trim_end_matches('"');
        if !section.contains(&format!("needs Rust {rust},")) {
            complaints.push(format!(
                "{page}: does not say that Rust {rust} is needed, as Cargo.toml does"
            ));
        }
    }
    let readme = site.read(Path::new("README.md"));
    for row in readme
        .lines()
        .filter(|line| line.starts_with("| [dogpile-"))
    {
        let names = row.split("https://docs.rs/").skip(1);
        for name in names.filter_map(|rest| rest.split(')').next()) {
            let rust = rust_of(site, name);
            if !rust
                .as_ref()
                .is_some_and(|rust| row.ends_with(&format!("| {rust} |")))
            {
                complaints.push(format!(
                    "README.md: {name} needs Rust {rust:?}, and its row says: {row}"
                ));
            }
        }
    }
    complaints
}

/// The Rust that this package of the project needs.
fn rust_of(site: &Site, package: &str) -> Option<String> {
    let manifests = site
        .files
        .iter()
        .filter(|file| file.ends_with("Cargo.toml"));
    let mut texts = manifests.map(|file| site.read(Path::new(file)));
    let text = texts.find(|text| text.contains(&format!("\nname = \"{package}\"\n")))?;
    let rust = text
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))?;
    Some(rust.trim_end_matches('"').to_owned())
}
