//! A file of the crate, with the places that can be edited.

use std::ops::Range;
use std::path::PathBuf;

/// A file, and the text of it that holds all edits.
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    /// Each before those inside it.
    pub(crate) places: Vec<Place>,
}

/// What of the text an edit can take the place of.
pub(crate) struct Place {
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) function: String,
    pub(crate) edits: Vec<Edit>,
    /// Where it stands in the text that holds all edits.
    written: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Expression,
    Statement,
    /// The empty range behind the brace that opens a function.
    Body,
    /// The empty range behind the pattern of an arm.
    Arm,
    /// The empty range before the guard of an arm.
    Guard,
}

pub(crate) struct Edit {
    pub(crate) number: u32,
    pub(crate) text: String,
    /// What it does, for people.
    pub(crate) label: String,
    /// It does not build, or is not asked for.
    pub(crate) is_out: bool,
    written: Range<usize>,
}

impl Edit {
    pub(crate) fn new(text: String, label: String) -> Self {
        let (number, is_out, written) = (0, false, 0..0);
        Self {
            number,
            text,
            label,
            is_out,
            written,
        }
    }
}

impl Place {
    pub(crate) fn new(range: Range<usize>, kind: Kind, function: String, edits: Vec<Edit>) -> Self {
        Self {
            range,
            kind,
            function,
            edits,
            written: 0..0,
        }
    }

    /// Its number, by which it is known as reached: that of its first edit.
    pub(crate) fn number(&self) -> u32 {
        self.edits[0].number
    }

    fn is_empty(&self) -> bool {
        self.edits.iter().all(|edit| edit.is_out)
    }
}

impl Source {
    /// Sorts the places, and makes one of those that stand at the same.
    pub(crate) fn new(file: PathBuf, text: String, mut places: Vec<Place>) -> Self {
        // What is empty stands before what begins there.
        let order = |range: &Range<usize>| (range.start, !range.is_empty(), usize::MAX - range.end);
        places.sort_by_key(|place| order(&place.range));
        places.dedup_by(|other, place| {
            let same = other.range == place.range && other.kind == place.kind;
            if same {
                place.edits.append(&mut other.edits);
            }
            same
        });
        Self { file, text, places }
    }

    /// What an edit is called in a table: where it stands, the function, and what it does, with tabs.
    pub(crate) fn line(&self, place: &Place, edit: &Edit) -> String {
        let before = &self.text[..place.range.start];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        format!(
            "{}:{line}:{column}\t{}\t{}",
            self.file.display(),
            place.function,
            edit.label
        )
    }

    /// The text that holds all edits. Those inside an edit are left out, so it grows with the depth only.
    pub(crate) fn write(&mut self) -> String {
        let mut writer = Writer {
            text: &self.text,
            places: &mut self.places,
            next: 0,
            out: String::new(),
        };
        writer.write(0..self.text.len());
        writer.out
    }

    /// The edits that the compiler means by these parts of that text, of which the first are the main ones.
    pub(crate) fn meant(
        &mut self,
        main: &[Range<usize>],
        others: &[Range<usize>],
    ) -> Vec<&mut Edit> {
        let holds = |outer: &Range<usize>, inner: &Range<usize>| {
            outer.start <= inner.start && inner.end <= outer.end
        };
        let mut found = Vec::new();
        let mut note = |is_meant: &dyn Fn(&Place, &Edit) -> bool| {
            if found.is_empty() {
                for (number, place) in self.places.iter().enumerate() {
                    let edits = place
                        .edits
                        .iter()
                        .enumerate()
                        .filter(|(_, edit)| !edit.is_out);
                    found.extend(
                        edits
                            .filter(|(_, edit)| is_meant(place, edit))
                            .map(|(edit, _)| (number, edit)),
                    );
                }
            }
        };
        let in_edit = |spans: &[Range<usize>], edit: &Edit| {
            spans.iter().any(|span| holds(&edit.written, span))
        };
        note(&|_, edit| in_edit(main, edit));
        note(&|_, edit| in_edit(others, edit));
        // What was left out is missed behind it, in the same function.
        let is_behind = |place: &&Place, span: &Range<usize>| place.written.start <= span.start;
        let behind = |span: &Range<usize>| {
            self.places
                .iter()
                .rev()
                .find(|place| is_behind(place, span))
        };
        let functions: Vec<&str> = main
            .iter()
            .filter_map(behind)
            .map(|place| &*place.function)
            .collect();
        let is_near = |place: &Place| functions.contains(&&*place.function);
        note(&|place, _| place.kind == Kind::Statement && is_near(place));
        note(&|place, _| is_near(place));
        let mut meant = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            for (edit_number, edit) in place.edits.iter_mut().enumerate() {
                if found.contains(&(number, edit_number)) {
                    meant.push(edit);
                }
            }
        }
        meant
    }
}

struct Writer<'a> {
    text: &'a str,
    places: &'a mut [Place],
    next: usize,
    out: String,
}

impl Writer<'_> {
    /// Writes this part, and the places in it.
    fn write(&mut self, part: Range<usize>) {
        let mut from = part.start;
        while let Some(place) = self.places.get(self.next) {
            let (start, end) = (place.range.start, place.range.end);
            if start >= part.end {
                break;
            }
            self.out.push_str(&self.text[from..start]);
            self.next += 1;
            self.place(self.next - 1);
            from = end;
        }
        self.out.push_str(&self.text[from..part.end]);
    }

    fn place(&mut self, index: usize) {
        let place = &self.places[index];
        let (range, kind) = (place.range.clone(), place.kind);
        let at = format!(
            "crate::mutants::at({}, {})",
            place.number(),
            place.edits[place.edits.len() - 1].number
        );
        let is_empty = place.is_empty();
        let began = self.out.len();
        match kind {
            _ if is_empty && kind == Kind::Expression => {
                self.out.push('(');
                self.write(range);
                self.out.push(')');
            }
            _ if is_empty => self.write(range),
            Kind::Arm => self.out.push_str(&format!(" if {at} == 0")),
            Kind::Guard => self.out.push_str(&format!("{at} == 0 && ")),
            Kind::Expression => {
                self.edits(index, &at, "(match");
                self.out.push_str("_ => ");
                self.write(range);
                self.out.push_str(" })");
            }
            Kind::Statement => {
                self.edits(index, &at, "match");
                self.out.push_str("_ => { ");
                self.write(range);
                self.out.push_str(" } }");
            }
            Kind::Body => {
                self.edits(index, &at, " match");
                self.out.push_str("_ => {} }");
            }
        }
        let place = &mut self.places[index];
        place.written = began..self.out.len();
        if matches!(kind, Kind::Arm | Kind::Guard) {
            place.edits[0].written = place.written.clone();
        }
    }

    fn edits(&mut self, index: usize, at: &str, open: &str) {
        self.out.push_str(&format!("{open} {at} {{ "));
        for edit in self.places[index]
            .edits
            .iter_mut()
            .filter(|edit| !edit.is_out)
        {
            let began = self.out.len();
            self.out
                .push_str(&format!("{} => {}, ", edit.number, edit.text));
            edit.written = began..self.out.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::visit::Visit;

    use super::*;
    use crate::cfg::Build;
    use crate::finder::Finder;

    fn source(text: &str) -> Source {
        let file = PathBuf::from("src/raw/a.rs");
        let mut finder = Finder::new(&file, text, Build::Tests, true);
        finder.visit_file(&syn::parse_file(text).unwrap());
        let places = finder.places;
        let mut sources = [Source::new(file, text.to_owned(), places)];
        crate::number(&mut sources, None);
        let [source] = sources;
        source
    }

    #[test]
    fn an_edit_holds_the_original_of_what_is_inside() {
        let written = source("fn f(a: bool, b: bool) -> bool { !a && b }").write();
        let expected = "fn f(a: bool, b: bool) -> bool { \
            match crate::mutants::at(1, 2) { 1 => return true, 2 => return false, _ => {} } \
            (match crate::mutants::at(3, 3) { 3 => (!a) || (b), \
            _ => (match crate::mutants::at(4, 4) { 4 => (a), _ => !a }) && b }) }";
        assert_eq!(written, expected);
    }

    #[test]
    fn an_edit_that_is_out_is_not_written() {
        let text = "fn f() { if a() { b(); x = 1; } match c { 1 if d => {} 2 => {} _ => e += 1 } }";
        let mut source = source(text);
        let labels: Vec<String> = (source.places.iter())
            .flat_map(|place| place.edits.iter().map(|edit| edit.label.clone()))
            .collect();
        let expected = [
            "does nothing",
            "`a()` becomes `true`",
            "`a()` becomes `false`",
            "without `b()`",
            "without `x = 1`",
            "without the arm `1`",
            "`d` becomes `true`",
            "`d` becomes `false`",
            "without the arm `2`",
            "`e += 1` becomes `-=`",
            "`e += 1` becomes `*=`",
        ];
        assert_eq!(labels, expected);
        assert!(syn::parse_file(&source.write()).is_ok());
        let edits = source.places.iter_mut().flat_map(|place| &mut place.edits);
        edits.for_each(|edit| edit.is_out = true);
        let plain = source.write().replace(['(', ')'], "");
        assert_eq!(plain, text.replace(['(', ')'], ""));
    }

    #[test]
    fn what_the_compiler_means_is_found() {
        let mut source = source("fn f() -> u32 { a(); b + 1 }\nfn g() { c(); }");
        let written = source.write();
        let mut label_of = |words: &str| {
            let start = written.find(words).unwrap();
            let span = start..start + words.len();
            let meant = source.meant(std::slice::from_ref(&span), &[]);
            meant
                .into_iter()
                .map(|edit| edit.label.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(label_of("(b) * (1)"), ["`b + 1` becomes `*`"]);
        // What is missed behind a statement that was left out.
        assert_eq!(label_of("b + 1"), ["without `a()`"]);
    }

    #[test]
    fn what_is_not_built_is_left_alone() {
        let text = "#[cfg(windows)] fn f() { a(); }\n#[test] fn g() { a(); }\nconst fn h() -> u8 { 1 + 1 }\n\
            impl Debug for A { fn fmt(&self) -> bool { a() } }\nstatic S: u8 = 1 + 1;\n\
            fn i() { #[cfg(dogpile_loom)] a(); const { 1 + 1 }; }";
        let labels: Vec<String> = (source(text).places.into_iter())
            .flat_map(|place| place.edits.into_iter().map(|edit| edit.label))
            .collect();
        assert_eq!(labels, ["does nothing"]);
    }
}
