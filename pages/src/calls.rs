//! The table "which call" is complete, and the README shows the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::site::Site;

const TABLE: &str = "src/docs/calls.md";
/// Calls that the table leaves out, each with the reason.
const LEFT_OUT: &str = "pages/left-out.txt";

/// What a user calls to get, change or watch a value.
const TYPES: [&str; 8] = [
    "Dogpile",
    "SyncReaderDogpile",
    "KeyedDogpile",
    "Call",
    "KeyedCall",
    "KeyedMulti",
    "Builder",
    "KeyedBuilder",
];

pub(crate) fn check(site: &Site) -> Vec<String> {
    let mut complaints = Vec::new();
    let table = site.read(Path::new(TABLE));
    let named: BTreeSet<String> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(words)
        .collect();
    let left_out = site.read(Path::new(LEFT_OUT));
    let mut left_out: BTreeMap<&str, bool> = left_out
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _why)| (name, false))
        .collect();
    let calls = calls(&site.read(Path::new("docs/surface.md")));
    assert!(calls.len() > 80, "hardly any calls: {}", calls.len());
    for (call, of) in &calls {
        let short = call.trim_end_matches("_async");
        let known = named.contains(call) || named.contains(short);
        match left_out.get_mut(short) {
            Some(_) if known => {
                complaints.push(format!("{LEFT_OUT}: `{short}` is in the table"));
            }
            Some(used) => *used = true,
            None if known => {}
            None => complaints.push(format!(
                "{TABLE}: no row names `{call}` of {of}, and {LEFT_OUT} does not say why"
            )),
        }
    }
    for (name, used) in left_out {
        if !used {
            complaints.push(format!("{LEFT_OUT}: there is no call `{name}`"));
        }
    }
    if !site
        .read(Path::new("README.md"))
        .contains(&without_links(&table))
    {
        complaints.push(format!(
            "README.md: its table of calls is not that of {TABLE}, without the links"
        ));
    }
    complaints
}

fn words(code: &str) -> Vec<String> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The public functions of these types, each with the type.
fn calls(surface: &str) -> BTreeMap<String, &'static str> {
    let mut calls = BTreeMap::new();
    let mut of = None;
    for line in surface.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            of = TYPES.iter().find(|one| **one == name).copied();
        }
        let (Some(of), Some((before, after))) = (of, line.split_once("fn ")) else {
            continue;
        };
        if before.trim_start().starts_with("pub") {
            calls.insert(words(after)[0].clone(), of);
        }
    }
    calls
}

/// `[text](target)`, `[text][name]` and `[text]` become `text`.
fn without_links(table: &str) -> String {
    let mut text = String::new();
    let mut rest = table;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        let (inner, after) = after.split_once(']').expect("a link ends");
        text.push_str(inner);
        rest = match after.chars().next() {
            Some('(') => after.split_once(')').expect("a target ends").1,
            Some('[') => after.split_once(']').expect("a name ends").1,
            _ => after,
        };
    }
    text.push_str(rest);
    text
}
