//! As much of HTML as rustdoc writes.

/// The text of some HTML.
pub(crate) fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// The part of a page that its author wrote, or that was made from it; without what stands around it.
pub(crate) fn main_part(html: &str) -> &str {
    let (_, main) = html
        .split_once("<section id=\"main-content\"")
        .unwrap_or(("", html));
    main
}

/// What stands in this attribute, wherever it occurs.
pub(crate) fn attributes<'h>(html: &'h str, name: &str) -> impl Iterator<Item = &'h str> {
    let before = format!(" {name}=\"");
    html.match_indices(&before)
        .map(|(at, found)| &html[at + found.len()..])
        .filter_map(|after| after.split_once('"').map(|(value, _)| value))
        .collect::<Vec<_>>()
        .into_iter()
}

/// The short pieces of code in the text: not the programs.
pub(crate) fn code(html: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once("<code>") {
        let in_block = before
            .rfind("<pre")
            .is_some_and(|pre| !before[pre..].contains("</pre>"));
        let Some((inner, after)) = after.split_once("</code>") else {
            break;
        };
        if !in_block {
            code.push(plain(inner));
        }
        rest = after;
    }
    code
}
