//! An edit of a text, found again by a few words.

use std::collections::HashMap;
use std::ops::Range;

/// What stands in a text, what goes from there and what comes; all of it next to each other.
pub(crate) struct Edit {
    /// Where to look: each within the place that the one before it leads to.
    scope: Vec<String>,
    pieces: Vec<Piece>,
}

struct Piece {
    what: What,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Stays,
    Goes,
    Comes,
}

impl Edit {
    pub(crate) fn new() -> Self {
        Edit {
            scope: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Takes a line of a block, without what makes it a comment: ` @ words`, ` - words`, ` + words`
    /// or `   words`. Says whether it is one.
    pub(crate) fn add(&mut self, line: &str) -> bool {
        let text = line.get(2..).unwrap_or("").trim().to_owned();
        let what = match line.get(..2) {
            Some(" @") => {
                self.scope.push(text);
                return true;
            }
            Some("  ") => What::Stays,
            Some(" -") => What::Goes,
            Some(" +") => What::Comes,
            _ => return false,
        };
        // Comments are not looked for.
        if !is_comment(&text) {
            self.pieces.push(Piece { what, text });
        }
        true
    }

    /// `text` with the edit made; or why it cannot be.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        let spans = self.find(text)?;
        let mut parts = Vec::new();
        for (piece, span) in self.pieces.iter().zip(&spans) {
            match piece.what {
                What::Stays => parts.push(&text[span.clone()]),
                What::Goes => {}
                What::Comes => parts.push(&piece.text),
            }
        }
        let all = whole(&spans);
        Ok(text[..all.start].to_owned() + &parts.join("\n") + &text[all.end..])
    }

    /// The parts of `text` that are not there any more once the edit is made.
    pub(crate) fn changes(&self, text: &str) -> Vec<Range<usize>> {
        let Ok(spans) = self.find(text) else {
            return Vec::new();
        };
        let comes = |text: &str| {
            let mut pieces = self.pieces.iter();
            pieces.any(|piece| piece.what == What::Comes && piece.text == text)
        };
        let pieces = self.pieces.iter().zip(spans);
        pieces
            .filter(|(piece, _)| piece.what == What::Goes && !comes(&piece.text))
            .map(|(_, span)| span)
            .collect()
    }

    /// What is looked for, as it stands in the block.
    fn wanted(&self) -> String {
        let here = self.pieces.iter().filter(|p| p.what != What::Comes);
        here.map(|piece| piece.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Where each piece stands; what comes, at the end of what is before it.
    fn find(&self, text: &str) -> Result<Vec<Range<usize>>, String> {
        let wanted = squeeze(&self.wanted());
        if wanted.is_empty() {
            return Err("says not where it is made".into());
        }
        let squeezed = squeeze(text);
        let scope = self.find_scope(text, &squeezed)?;
        let within = inside(&squeezed, &scope);
        let places = places(&wanted, within);
        let at = match places[..] {
            [] if self.scope.is_empty() => return Err("what it changes is not there".into()),
            [] => {
                let (first, last) = (number(text, scope.start), number(text, scope.end));
                return Err(format!("what it changes is not in lines {first} to {last}"));
            }
            [one] => one,
            // In a scope the first one is meant.
            [first, ..] if !self.scope.is_empty() => first,
            _ => {
                return Err(format!(
                    "what it changes is there {}",
                    times(text, within, &places)
                ));
            }
        };
        // Which of these characters are of which piece.
        let mut found = within[at..at + wanted.len()].iter().copied();
        let mut end = within[at].1;
        let mut spans = Vec::new();
        for piece in &self.pieces {
            let length = squeeze(&piece.text).len();
            if piece.what == What::Comes || length == 0 {
                spans.push(end..end);
                continue;
            }
            let mut own = found.by_ref().skip_while(|(char, _)| *char == ' ');
            let own: Vec<_> = own.by_ref().take(length).collect();
            let (last, at) = own[length - 1];
            end = at + last.len_utf8();
            spans.push(own[0].1..end);
        }
        Ok(spans)
    }

    /// From behind the last of the scope's words to the end of the braces that they stand before.
    fn find_scope(&self, text: &str, squeezed: &[(char, usize)]) -> Result<Range<usize>, String> {
        let mut scope = 0..text.len();
        for (depth, words) in self.scope.iter().enumerate() {
            let within = inside(squeezed, &scope);
            let wanted = squeeze(words);
            let places = places(&wanted, within);
            let at = match places[..] {
                [] => return Err(format!("`@ {words}` is not there")),
                [_, _, ..] if depth == 0 => {
                    let times = times(text, within, &places);
                    return Err(format!("`@ {words}` is there {times}"));
                }
                [first, ..] => first,
            };
            let (last, end) = within[at + wanted.len() - 1];
            scope = end + last.len_utf8()..end_of_braces(text, within[at].1).min(scope.end);
        }
        Ok(scope)
    }

    /// What in `text` is most like what the edit looks for: the number of its first line, and how
    /// alike they are.
    pub(crate) fn nearest(&self, text: &str) -> Option<Nearest> {
        let squeezed = squeeze(text);
        let scope = self.find_scope(text, &squeezed);
        // Where the scope is not found, that is what has to be mended.
        let (wanted, scope) = match (scope, self.scope.first()) {
            (Ok(scope), _) => (self.wanted(), scope),
            (Err(_), Some(words)) => (words.clone(), 0..text.len()),
            (Err(_), None) => (self.wanted(), 0..text.len()),
        };
        let height = wanted.lines().count();
        let wanted = pairs(&wanted);
        let mut lines = Vec::new();
        let mut start = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let code = !line.trim().is_empty() && !is_comment(line);
            if code && start + line.len() > scope.start && start < scope.end {
                lines.push((number + 1, line.trim()));
            }
            start += line.len();
        }
        let windows = lines.windows(height.clamp(1, lines.len().max(1)));
        let candidates = windows.map(|window| {
            let code: Vec<_> = window.iter().map(|(_, line)| *line).collect();
            Nearest {
                line: window[0].0,
                alike: alike(&wanted, &pairs(&code.join("\n"))),
                code: code.join("\n"),
            }
        });
        candidates.max_by(|one, other| one.alike.total_cmp(&other.alike))
    }
}

pub(crate) struct Nearest {
    pub(crate) line: usize,
    pub(crate) code: String,
    pub(crate) alike: f64,
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// What of a text matters, and where it stands. White space does only between two words, where it
/// is one blank; lines that are comments do not.
fn squeeze(text: &str) -> Vec<(char, usize)> {
    let mut squeezed: Vec<(char, usize)> = Vec::new();
    let mut gap = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for (at, char) in line.char_indices().filter(|_| !is_comment(line)) {
            if char.is_whitespace() {
                gap = true;
                continue;
            }
            let after_word = squeezed.last().is_some_and(|(last, _)| is_word(*last));
            if gap && after_word && is_word(char) {
                squeezed.push((' ', start + at));
            }
            gap = false;
            squeezed.push((char, start + at));
        }
        gap = true;
        start += line.len();
    }
    squeezed
}

/// What stands at these bytes.
fn inside<'a>(squeezed: &'a [(char, usize)], bytes: &Range<usize>) -> &'a [(char, usize)] {
    let index = |byte| squeezed.partition_point(|(_, at)| *at < byte);
    &squeezed[index(bytes.start)..index(bytes.end)]
}

/// Where `wanted` stands, not as part of a longer word.
fn places(wanted: &[(char, usize)], text: &[(char, usize)]) -> Vec<usize> {
    let chars = |of: &[(char, usize)]| of.iter().map(|(char, _)| *char).collect::<Vec<_>>();
    let (wanted, text) = (chars(wanted), chars(text));
    let Some((&first, &last)) = wanted.first().zip(wanted.last()) else {
        return Vec::new();
    };
    let splits =
        |one: Option<&char>, other: char| one.is_some_and(|c| is_word(*c)) && is_word(other);
    let stands = |at: &usize| {
        let end = at + wanted.len();
        text[*at..end] == wanted
            && !(at.checked_sub(1)).is_some_and(|before| splits(text.get(before), first))
            && !splits(text.get(end), last)
    };
    let mut all = 0..(text.len() + 1).saturating_sub(wanted.len());
    let mut found = Vec::new();
    while let Some(at) = all.find(stands) {
        found.push(at);
    }
    found
}

/// Where the first line ends that closes a brace and is not further in than the line at `from`.
fn end_of_braces(text: &str, from: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut start = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let mut deepest = None;
    for line in text[start..].split_inclusive('\n') {
        start += line.len();
        match deepest {
            None => deepest = Some(indent(line)),
            Some(deepest) if line.trim_start().starts_with('}') && indent(line) <= deepest => {
                return start;
            }
            Some(_) => {}
        }
    }
    text.len()
}

fn whole(spans: &[Range<usize>]) -> Range<usize> {
    let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
    start..spans.iter().map(|span| span.end).max().unwrap_or(0)
}

/// The number of the line at a byte.
pub(crate) fn number(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn times(text: &str, within: &[(char, usize)], places: &[usize]) -> String {
    let lines = places
        .iter()
        .map(|at| number(text, within[*at].1).to_string());
    let lines: Vec<_> = lines.collect();
    format!(
        "{} times, not once: lines {}",
        places.len(),
        lines.join(", ")
    )
}

type Pairs = HashMap<(char, char), usize>;

/// How often which two characters stand beside each other.
fn pairs(text: &str) -> Pairs {
    let squeezed = squeeze(text);
    let mut pairs = Pairs::new();
    for pair in squeezed.windows(2) {
        *pairs.entry((pair[0].0, pair[1].0)).or_default() += 1;
    }
    pairs
}

/// How much of `wanted` is in `text`, up to 1; and a little for how much of `text` is.
fn alike(wanted: &Pairs, text: &Pairs) -> f64 {
    let common = |(pair, times): (_, &usize)| text.get(pair).map_or(0, |other| *times.min(other));
    let common: usize = wanted.iter().map(common).sum();
    let part = |all: &Pairs| common as f64 / all.values().sum::<usize>().max(1) as f64;
    0.8 * part(wanted) + 0.2 * part(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(lines: &str) -> Edit {
        let mut edit = Edit::new();
        for line in lines.lines() {
            assert!(edit.add(line), "{line}");
        }
        edit
    }

    fn squeezed(text: &str) -> String {
        squeeze(text).into_iter().map(|(char, _)| char).collect()
    }

    const TEXT: &str = "
impl Gate {
    fn is_free(&self) -> bool {
        // ORDERING: pairs with that of `free`, whose word.store(0) it sees.
        self.word
            .load(Ordering::Acquire) == 0
    }

    fn free(&self) {
        self.word.store(0, Ordering::Release);
        self.waiters.wake();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.word.store(0, Ordering::Release);
    }
}
";

    #[test]
    fn white_space_matters_between_words_only() {
        assert_eq!(squeezed(" let  a\n= b . c ;"), "let a=b.c;");
        assert_eq!(squeezed("a\n  // not this\n  b"), "a b");
    }

    #[test]
    fn whole_lines() {
        let edit = edit(" - self.waiters.wake();\n + self.waiters.wake_one();");
        let edited = edit.apply(TEXT).unwrap();
        assert_eq!(edited, TEXT.replace("wake()", "wake_one()"));
    }

    #[test]
    fn a_part_of_a_line() {
        let edited = edit(" - wake()\n + wake_one()").apply(TEXT).unwrap();
        assert_eq!(edited, TEXT.replace("wake()", "wake_one()"));
    }

    #[test]
    fn across_lines_as_if_they_were_one() {
        let edit =
            edit(" - self.word.load(Ordering::Acquire)\n + self.word.load(Ordering::Relaxed)");
        let edited = edit.apply(TEXT).unwrap();
        assert_eq!(
            squeezed(&edited),
            squeezed(TEXT).replace("Acquire", "Relaxed")
        );
    }

    #[test]
    fn what_stays_is_left_as_it_is() {
        let edit = edit("   fn is_free(&self) -> bool {\n + return true;\n   self.word.load(");
        let edited = edit.apply(TEXT).unwrap();
        assert!(edited.contains("bool {\nreturn true;\nself.word\n            .load("));
    }

    #[test]
    fn what_goes_and_comes_back_elsewhere() {
        let lines = "   (&self) {\n - self.word.store(0, Ordering::Release);\n   self.waiters.wake();\n + self.word.store(0, Ordering::Release);";
        let edited = squeezed(&edit(lines).apply(TEXT).unwrap());
        assert!(edited.contains("fn free(&self){self.waiters.wake();self.word.store(0,"));
        assert_eq!(edit(lines).changes(TEXT), []);
    }

    #[test]
    fn words_are_whole() {
        let text = "let awaited = wait; let wait_for = 0;";
        let edited = edit(" - wait\n + x").apply(text).unwrap();
        assert_eq!(edited, "let awaited = x; let wait_for = 0;");
    }

    #[test]
    fn more_than_once_is_told() {
        let told = edit(" - store(0, Ordering::Release)")
            .apply(TEXT)
            .unwrap_err();
        assert!(told.ends_with("2 times, not once: lines 10, 17"), "{told}");
    }

    #[test]
    fn comments_are_not_looked_at() {
        let told = edit(" - word.store(0)").apply(TEXT).unwrap_err();
        assert_eq!(told, "what it changes is not there");
    }

    #[test]
    fn a_scope_tells_which_one() {
        let edit =
            edit(" @ impl Drop for Gate\n @ fn drop\n - Ordering::Release\n + Ordering::Relaxed");
        let edited = edit.apply(TEXT).unwrap();
        let (before, after) = TEXT.split_once("impl Drop").unwrap();
        assert_eq!(
            edited,
            format!("{before}impl Drop{}", after.replace("Release", "Relaxed"))
        );
        let changes = edit.changes(TEXT);
        assert_eq!(&TEXT[changes[0].clone()], "Ordering::Release");
    }

    #[test]
    fn a_scope_takes_the_first() {
        let edited = edit(" @ fn free\n - self\n + me").apply(TEXT).unwrap();
        assert!(edited.contains("fn free(&me)"));
    }

    #[test]
    fn a_scope_ends_with_its_braces() {
        let told = edit(" @ fn is_free\n - Ordering::Release").apply(TEXT);
        assert_eq!(told.unwrap_err(), "what it changes is not in lines 3 to 8");
        let told = edit(" @ impl Gate\n - &mut self").apply(TEXT);
        assert!(told.is_err());
    }

    #[test]
    fn a_scope_stands_there_once() {
        let told = edit(" @ Gate\n - Ordering::Release").apply(TEXT);
        assert!(told.unwrap_err().starts_with("`@ Gate` is there 2 times"));
        let told = edit(" @ fn is_taken\n - Ordering::Release").apply(TEXT);
        assert_eq!(told.unwrap_err(), "`@ fn is_taken` is not there");
    }

    #[test]
    fn the_nearest_is_told() {
        let near = edit(" - self.waiting.wake();").nearest(TEXT).unwrap();
        assert_eq!((near.line, &*near.code), (11, "self.waiters.wake();"));
        let near = edit(" @ fn is_free_now\n - x").nearest(TEXT).unwrap();
        assert_eq!((near.line, &*near.code), (3, "fn is_free(&self) -> bool {"));
        let near = edit(" @ impl Drop for Gate\n - word.store(1")
            .nearest(TEXT)
            .unwrap();
        assert_eq!(near.line, 17);
        assert!(edit(" - x").nearest("").is_none());
    }

    #[test]
    fn lines_that_are_no_edit() {
        assert!(!Edit::new().add(" name | src/lib.rs"));
        assert!(edit(" + only this").apply(TEXT).is_err());
    }
}
