//! The words that people search for are names or aliases of an item, where rustdoc's search finds them.

use std::path::Path;

use crate::site::Site;

const WORDS: [&str; 17] = [
    "back-off",
    "retry",
    "metrics",
    "tracing",
    "shutdown",
    "JWKS",
    "stale-if-error",
    "stale-while-revalidate",
    "single-flight",
    "stampede",
    "404",
    "max_capacity",
    "futurelock",
    "timeout",
    "deadlock",
    "moka",
    "prometheus",
];

pub(crate) fn check(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    let mut complaints = Vec::new();
    for file in site
        .files
        .iter()
        .filter(|file| file.starts_with("src/") && file.ends_with(".rs"))
    {
        let text = site.read(Path::new(file));
        complaints.extend(at_types(&text).map(|line| {
            format!("{file}:{line}: rustdoc's search finds no alias of a type in a private module: put it at the `pub use`")
        }));
        let aliases = text.split("alias = \"").skip(1);
        found.extend(
            aliases.filter_map(|rest| rest.split_once('"').map(|(alias, _)| alias.to_lowercase())),
        );
        if let Some(page) = file.strip_prefix("src/docs/") {
            let name = page.trim_end_matches("/mod.rs").trim_end_matches(".rs");
            found.extend(name.rsplit('/').next().map(str::to_owned));
        }
    }
    let missing = WORDS
        .iter()
        .filter(|word| !found.contains(&word.to_lowercase()));
    complaints.extend(missing.map(|word| {
        format!("src: rustdoc's search does not find \"{word}\": no item has it as its name or as an alias")
    }));
    complaints
}

/// The lines at which a type that is not within another item has an alias. All such types are in private modules.
fn at_types(text: &str) -> impl Iterator<Item = usize> {
    let mut has_alias = false;
    let lines = text.lines().enumerate();
    lines.filter_map(move |(index, line)| {
        let is_type = ["pub struct", "pub enum", "pub trait", "pub type"]
            .iter()
            .any(|item| line.starts_with(item));
        let is_attribute = ["#[", ")]", "    alias = "]
            .iter()
            .any(|part| line.starts_with(part));
        let found = is_type && has_alias;
        has_alias = is_attribute && (has_alias || line.contains("alias = \""));
        found.then_some(index + 1)
    })
}
