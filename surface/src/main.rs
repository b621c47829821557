//! Compares the page of signatures, `docs/surface.md`, with what rustdoc shows: `surface DOCS PAGE
//! [--write]`.
//!
//! `DOCS` is the folder that `cargo doc` writes for the crate. Each heading `### Name` of the page has
//! one code block, which holds the item and all that can be called on it, as the page of that item in
//! `DOCS` shows it. The order is that of rustdoc, so the comparison also notices when the order of the
//! methods changes. Trait implementations are listed without their methods. Auto traits and blanket
//! implementations are left out.
//!
//! `--write` replaces the code blocks and keeps all other text. A type that is new needs a heading and
//! a sentence first, and the comparison says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

const FENCE: &str = "```";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (docs, page, write) = match arguments.as_slice() {
        [docs, page] => (docs, page, false),
        [docs, page, write] if write == "--write" => (docs, page, true),
        _ => panic!("surface DOCS PAGE [--write]"),
    };
    let shown = items(Path::new(docs));
    let text = read(Path::new(page));
    let (updated, complaints) = compare(&text, &shown);
    for complaint in &complaints {
        println!("{complaint}");
    }
    if write && updated != text {
        fs::write(page, updated).unwrap_or_else(|error| panic!("{page}: {error}"));
        println!("{page} was written; compare again");
    } else if !complaints.is_empty() {
        println!("{page} is not what rustdoc shows: .ci/surface --write mends the code blocks");
    }
    match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What rustdoc shows, by the names of the items.
fn items(docs: &Path) -> BTreeMap<String, String> {
    // The list of all items, not the files in the folder: those of removed items stay there.
    let all = read(&docs.join("all.html"));
    let mut items = BTreeMap::new();
    let mut rest = all.as_str();
    while let Some((_, link)) = rest.split_once("<li><a href=\"") {
        let (address, after) = link.split_once('"').expect("a link ends");
        rest = after;
        let (_, name) = after.split_once('>').expect("a link has a text");
        let (name, _) = name.split_once('<').expect("a text ends");
        let is_item = [
            "struct.",
            "enum.",
            "trait.",
            "type.",
            "fn.",
            "macro.",
            "constant.",
        ]
        .iter()
        .any(|kind| {
            address
                .rsplit('/')
                .next()
                .is_some_and(|file| file.starts_with(kind))
        });
        if is_item {
            let surface = surface(&read(&docs.join(address)));
            assert!(!surface.is_empty(), "{address}: no declaration in it");
            items.insert(name.to_owned(), surface);
        }
    }
    assert!(!items.is_empty(), "no items in {}", docs.display());
    items
}

/// The declaration of the item on this page, its methods, and the traits that it implements.
fn surface(html: &str) -> String {
    let (_, html) = html.split_once("<main>").expect("a page has a main part");
    let own = html
        .split("<h2 id=\"synthetic-implementations\"")
        .next()
        .unwrap_or(html);
    let mut surface = String::new();
    if let Some(declaration) = between(own, "<pre class=\"rust item-decl\">", "</pre>") {
        push(&mut surface, "", &plain(declaration));
    }
    // The declaration of a trait shows its methods, and that of an alias stands for another item.
    if surface.contains("pub trait ") || surface.contains("pub type ") {
        // No page of the crate but that of the trait shows the types of others which implement it.
        let foreign = between(own, "<h2 id=\"foreign-impls\"", "<h2 id=\"implementors\"");
        let foreign = headers(foreign.unwrap_or_default()).filter(|(level, _)| *level == "h3");
        for (at, (_, header)) in foreign.enumerate() {
            push(&mut surface, if at == 0 { "\n" } else { "" }, &header);
        }
        return surface;
    }
    let (rest, traits) = own
        .split_once("<h2 id=\"trait-implementations\"")
        .unwrap_or((own, ""));
    // Before them stand the fields or the variants, which the declaration shows too.
    let methods = rest.split_once("<h2 id=\"implementations\"");
    for (level, header) in headers(methods.map_or("", |(_, methods)| methods)) {
        match level {
            "h3" => push(&mut surface, "\n", &header),
            _ => push(&mut surface, "    ", &header),
        }
    }
    let traits = headers(traits).filter(|(level, header)| {
        // What the compiler adds to a derived `PartialEq`.
        *level == "h3" && !header.contains("StructuralPartialEq")
    });
    for (at, (_, header)) in traits.enumerate() {
        push(&mut surface, if at == 0 { "\n" } else { "" }, &header);
    }
    surface
}

/// Adds lines with the same indentation; `"\n"` stands for an empty line before them.
fn push(surface: &mut String, indentation: &str, lines: &str) {
    if indentation == "\n" {
        surface.push('\n');
    }
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        surface.push_str(indentation.trim_matches('\n'));
        surface.push_str(line.trim_end());
        surface.push('\n');
    }
}

/// The signatures of a page, each with the level of its heading.
fn headers(html: &str) -> impl Iterator<Item = (&str, String)> {
    let mut parts = html.split(" class=\"code-header\">");
    let mut before = parts.next().unwrap_or_default();
    parts.map(move |part| {
        let level = before.rsplit('<').next().unwrap_or_default();
        before = part;
        let header = part.split_once("</h").map_or(part, |(header, _)| header);
        (level, plain(header))
    })
}

fn between<'h>(html: &'h str, from: &str, to: &str) -> Option<&'h str> {
    let (_, rest) = html.split_once(from)?;
    rest.split_once(to).map(|(inner, _)| inner)
}

/// The text of some HTML.
fn plain(html: &str) -> String {
    // Where the page would break the line.
    let html = html
        .replace("<div class=\"where\">", "\n")
        .replace("<span class=\"where fmt-newline\">", "\n")
        .replace("</div>", "\n")
        .replace("<br>", "\n");
    let mut text = String::new();
    let mut rest = html.as_str();
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
        // The button that would unfold a long declaration.
        if tag.starts_with("summary") {
            rest = rest
                .split_once("</summary>")
                .map_or(rest, |(_, after)| after);
        }
    }
    text.push_str(rest);
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace('\u{a0}', " ")
        .replace("&amp;", "&")
}

/// The page with its code blocks as they should be, and what is wrong with it as it is.
fn compare(page: &str, shown: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let mut updated = String::new();
    let mut complaints = Vec::new();
    let mut missing: Vec<&String> = shown.keys().collect();
    let mut name = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        updated.push_str(line);
        updated.push('\n');
        if line.starts_with('#') {
            name = line.strip_prefix("### ");
        }
        let Some(item) = name.filter(|_| line.starts_with(FENCE)) else {
            continue;
        };
        name = None;
        let written: Vec<&str> = lines.by_ref().take_while(|line| *line != FENCE).collect();
        let should = match shown.get(item) {
            Some(should) => should.as_str(),
            None => {
                complaints.push(format!("{item}: rustdoc shows no item of this name"));
                ""
            }
        };
        missing.retain(|missing| *missing != item);
        let should_be: Vec<&str> = should.lines().collect();
        if written != should_be {
            complaints.extend(difference(item, &written, &should_be));
        }
        updated.push_str(should);
        updated.push_str(FENCE);
        updated.push('\n');
    }
    for item in missing {
        complaints.push(format!(
            "{item}: no heading `### {item}` with a sentence and a code block"
        ));
    }
    (updated, complaints)
}

/// The lines that only one side has.
fn difference(item: &str, written: &[&str], shown: &[&str]) -> Vec<String> {
    let only = |mark: char, of: &[&str], other: &[&str]| {
        let mut other: Vec<&str> = other.to_vec();
        let mut only = Vec::new();
        for line in of {
            match other.iter().position(|one| one == line) {
                Some(at) => drop(other.swap_remove(at)),
                None => only.push(format!("{item}: {mark} {}", line.trim())),
            }
        }
        only
    };
    let mut difference = only('-', written, shown);
    difference.extend(only('+', shown, written));
    if difference.is_empty() {
        difference.push(format!("{item}: in another order"));
    }
    difference
}
