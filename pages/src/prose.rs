//! The prose of all pages and of all doc comments, for a spelling checker: without programs, short pieces
//! of code and addresses.

use std::path::Path;

use crate::markdown;
use crate::site::files;

pub(crate) fn print() {
    for file in files() {
        let is_public = ["src/", "fleet/src/", "adapters/", "stores/"]
            .iter()
            .any(|folder| file.starts_with(folder));
        let is_read = file.ends_with(".md") || (file.ends_with(".rs") && is_public);
        if !is_read {
            continue;
        }
        let text = std::fs::read_to_string(Path::new(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let text = match file.ends_with(".rs") {
            true => comments(&text),
            false => text,
        };
        let prose = markdown::without_code(&markdown::prose(&text));
        // The headings of the page of signatures are types.
        let is_name = |line: &&str| file == "docs/surface.md" && line.starts_with("### ");
        let says_target = |line: &&str| line.trim_start().starts_with('[') && line.contains("]: ");
        let lines = prose.lines();
        for line in
            lines.filter(|line| !is_name(line) && !says_target(line) && !line.starts_with('<'))
        {
            let words = line.split_whitespace().filter(|word| !word.contains("://"));
            // `[text](target)` and `[text][name]`: the text alone.
            let line = words.collect::<Vec<_>>().join(" ");
            let mut rest = line.as_str();
            while let Some((before, after)) = rest.split_once(']') {
                print!("{before} ");
                let end = match after.chars().next() {
                    Some('(') => after.find(')'),
                    Some('[') => after.find(']'),
                    _ => None,
                };
                rest = end.map_or(after, |end| &after[end + 1..]);
            }
            println!("{rest}");
        }
    }
}

/// The text of the doc comments.
fn comments(source: &str) -> String {
    let lines = source.lines().map(str::trim_start);
    let comments = lines.map(|line| {
        let comment = line.strip_prefix("///").or(line.strip_prefix("//!"));
        // A program that needs a feature begins in an attribute.
        let begins = line.starts_with("#![") && line.contains("doc = \"```\")");
        comment.unwrap_or(if begins { "```" } else { "" })
    });
    comments.collect::<Vec<_>>().join("\n")
}
