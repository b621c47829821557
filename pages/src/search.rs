//! The words that people search for are names or aliases of an item, so that rustdoc's search finds them.

use std::path::Path;

use crate::site::Site;

const WORDS: [&str; 14] = [
    "back-off",
    "retry",
    "metrics",
    "tracing",
    "shutdown",
    "JWKS",
    "stale-if-error",
    "stale-while-revalidate",
    "single-flight",
    "futurelock",
    "timeout",
    "deadlock",
    "moka",
    "prometheus",
];

pub(crate) fn check(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    for file in site
        .files
        .iter()
        .filter(|file| file.starts_with("src/") && file.ends_with(".rs"))
    {
        let text = site.read(Path::new(file));
        let aliases = text.split("alias = \"").skip(1);
        found.extend(
            aliases.filter_map(|rest| rest.split_once('"').map(|(alias, _)| alias.to_lowercase())),
        );
        if let Some(page) = file.strip_prefix("src/docs/") {
            let name = page.trim_end_matches("/mod.rs").trim_end_matches(".rs");
            found.extend(name.rsplit('/').next().map(str::to_owned));
        }
    }
    WORDS
        .iter()
        .filter(|word| !found.contains(&word.to_lowercase()))
        .map(|word| format!("src: rustdoc's search does not find \"{word}\": no item has it as its name or as an alias"))
        .collect()
}
