//! Part of the copy of the crate: which of its edits runs.

use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

// Nothing of the shim: under loom neither the number nor a look at it is a step of the model.
static CHOICE: OnceLock<Choice> = OnceLock::new();

static REACHED: [AtomicBool; PLACES] = [const { AtomicBool::new(false) }; PLACES];

struct Choice {
    number: u32,
    reached: Option<File>,
}

/// The chosen edit, if it is among those of the place that has these; else 0.
pub(crate) fn at(first: u32, last: u32) -> u32 {
    let choice = CHOICE.get_or_init(choice);
    // Neither allocates nor locks: some tests count both.
    if let Some(mut log) = choice.reached.as_ref()
        && !REACHED[first as usize].swap(true, Ordering::Relaxed)
    {
        let written = log.write_all(&first.to_le_bytes());
        written.expect("the list of the reached places can be written");
    }
    match first <= choice.number && choice.number <= last {
        true => choice.number,
        false => 0,
    }
}

fn choice() -> Choice {
    let number = env::var("MUTANTS_NUMBER").map_or(0, |number| number.parse().unwrap());
    let log = |path| File::options().append(true).create(true).open(path);
    let reached = env::var_os("MUTANTS_REACHED").map(|path| log(path).unwrap());
    Choice { number, reached }
}
