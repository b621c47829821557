//! As much of Markdown as the pages use.

use std::collections::BTreeMap;

/// The lines of a page that are no program.
pub(crate) fn prose(page: &str) -> String {
    let mut prose = String::new();
    let mut in_block = false;
    for line in page.lines() {
        match line.trim_start().starts_with("```") {
            true => in_block = !in_block,
            false if in_block => {}
            false => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    prose
}

/// Where its links and pictures lead.
pub(crate) fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let text = without_code(&prose);
    let mut links = Vec::new();
    let mut named = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, link)) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "))
        {
            named.insert(name.to_owned(), link.trim().to_owned());
        }
    }
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("](") {
        let Some((link, after)) = after.split_once(')') else {
            break;
        };
        links.push(link.to_owned());
        rest = after;
    }
    links.extend(named.into_values());
    links.extend(crate::html::attributes(&text, "src").map(str::to_owned));
    links.extend(crate::html::attributes(&text, "href").map(str::to_owned));
    links
}

/// The files that a page shows where it stands in a repository. crates.io takes no notice of them.
pub(crate) fn shown_in_repository(page: &str) -> Vec<String> {
    let prose = prose(page);
    let shown = crate::html::attributes(&prose, "srcset");
    shown.map(str::to_owned).collect()
}

/// Names in brackets that nothing stands for, where a page uses names at all.
pub(crate) fn unnamed(page: &str) -> Vec<String> {
    let prose = prose(page);
    let lines = prose.lines().filter(|line| !line.starts_with('#'));
    let text = without_code(&lines.collect::<Vec<_>>().join("\n"));
    let named = |name: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("[{name}]: ")))
    };
    let mut unnamed = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once('[') {
        rest = after;
        let Some((name, after)) = after.split_once(']') else {
            break;
        };
        let is_link = after.starts_with(['(', ':', '[']);
        if !is_link && !name.is_empty() && !name.contains('\n') && !named(name) {
            unnamed.push(name.to_owned());
        }
    }
    unnamed
}

/// The same, with blanks in the place of the short pieces of code.
pub(crate) fn without_code(prose: &str) -> String {
    let mut parts = prose.split('`');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut in_code = true;
    for part in parts {
        text.push(' ');
        if !in_code {
            text.push_str(part);
        }
        in_code = !in_code;
    }
    text
}

/// The short pieces of code in its text.
pub(crate) fn code(page: &str) -> Vec<String> {
    let prose = prose(page);
    let pieces = prose.split('`').skip(1).step_by(2);
    pieces.map(str::to_owned).collect()
}

/// What a link to each heading of the page looks like.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(slug).collect()
}
