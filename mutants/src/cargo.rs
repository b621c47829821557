//! Builds the copy.

use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;
use crate::cfg::Build;

/// What is built, and with what.
pub(crate) struct Cargo {
    pub(crate) copy: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) build: Build,
    /// A file in `tests/`, or [`UNIT`]; the models are tests of the crate itself.
    pub(crate) test: String,
    pub(crate) release: bool,
}

/// For the tests beside the code.
const UNIT: &str = "lib";

/// What the compiler says of the copy.
pub(crate) enum Built {
    Program(PathBuf),
    Complaints(Vec<Complaint>),
}

/// An error, and the parts of a file that it names.
pub(crate) struct Complaint {
    pub(crate) text: String,
    pub(crate) file: PathBuf,
    pub(crate) main: Vec<Range<usize>>,
    pub(crate) others: Vec<Range<usize>>,
}

impl Cargo {
    pub(crate) fn build(&self) -> Result<Built> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.copy).stderr(Stdio::inherit());
        cargo.args([
            "test",
            "--package",
            "dogpile",
            "--no-run",
            "--message-format",
            "json",
            "--target-dir",
        ]);
        match self.build {
            Build::Tests => {
                cargo.arg(&self.target).arg("--all-features");
                match &*self.test {
                    UNIT => cargo.arg("--lib"),
                    test => cargo.args(["--test", test]),
                };
            }
            Build::Models => {
                let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
                cargo.env(
                    "RUSTFLAGS",
                    format!("--cfg dogpile_loom -C debug-assertions {flags}"),
                );
                cargo
                    .arg(self.target.join("loom"))
                    .args(["--features", "loom", "--lib"]);
            }
        }
        if self.release || self.build == Build::Models {
            cargo.arg("--release");
        }
        let output = cargo.output()?;
        let mut program = None;
        let mut complaints = Vec::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let is_asked_for =
                message["profile"]["test"] == true && message["target"]["name"] == *self.name();
            if let (true, Some(path)) = (is_asked_for, message["executable"].as_str()) {
                program = Some(PathBuf::from(path));
            }
            if message["message"]["level"] == "error" {
                complaints.extend(complaint(&message["message"]));
            }
        }
        match program {
            Some(program) if output.status.success() => Ok(Built::Program(program)),
            _ if complaints.is_empty() => {
                Err("the copy does not build, and the compiler names no place".into())
            }
            _ => Ok(Built::Complaints(complaints)),
        }
    }

    fn name(&self) -> &str {
        match self.build {
            Build::Tests if self.test != UNIT => &self.test,
            Build::Tests | Build::Models => "dogpile",
        }
    }
}

fn complaint(message: &Value) -> Option<Complaint> {
    let mut spans = Vec::new();
    collect(message, &mut spans);
    let first = spans
        .iter()
        .find(|(_, is_main, _)| *is_main)
        .or(spans.first())?;
    let file = first.0.clone();
    let of = |main: bool| {
        let spans = spans
            .iter()
            .filter(|(other, is_main, _)| *other == file && *is_main == main);
        spans.map(|(_, _, span)| span.clone()).collect()
    };
    let text = message["rendered"].as_str().unwrap_or_default().to_owned();
    Some(Complaint {
        text,
        main: of(true),
        others: of(false),
        file,
    })
}

fn collect(message: &Value, spans: &mut Vec<(PathBuf, bool, Range<usize>)>) {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for span in array(&message["spans"]) {
        let byte = |name: &str| {
            span[name]
                .as_u64()
                .and_then(|byte| usize::try_from(byte).ok())
        };
        if let (Some(file), Some(start), Some(end)) = (
            span["file_name"].as_str(),
            byte("byte_start"),
            byte("byte_end"),
        ) {
            spans.push((PathBuf::from(file), span["is_primary"] == true, start..end));
        }
    }
    for child in array(&message["children"]) {
        collect(&child, spans);
    }
}
