//! Breaks the crate on purpose and sees models and tests fail: `.ci/breakages [NAME ...]`.
//!
//! A file of models or tests lists, in a block of its head, the edits of the crate that it must
//! catch:
//!
//! ```text
//! //! ```breakages
//! //! name-of-the-breakage | src/raw/mod.rs | the_test_that_must_fail
//! //!   a line that stays
//! //! - a line that goes
//! //! + a line that comes
//! //! ```
//! ```
//!
//! The lines that stay and go must stand in that file exactly once, white space aside. Each edit is
//! made in a copy of the project, one at a time, and the models or tests of the file that lists it
//! are run there, or the one that is named: one of them must fail. (That all pass without a
//! breakage, `.ci/test` shows first.)
//!
//! - `--fit` runs nothing. It looks whether the lines stand there, and whether every ordering that
//!   is stronger than relaxed, and every barrier, is in a breakage; `unbroken.md` lists those that
//!   are not, with the reason.
//! - `--by tests`, `--by shuttle` or `--by histories` runs all tests, all that runs under shuttle, or
//!   the histories, instead of what lists them: not all need to be noticed there.
//! - `--table FILE` also writes what came out into a table.

mod bench;
mod breakage;
mod orderings;

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use bench::{Bench, By, Verdict};
use breakage::Breakage;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[derive(Default)]
struct Options {
    fit: bool,
    by: By,
    table: Option<PathBuf>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("breakages: {error}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options> {
    let usage =
        "usage: breakages [--fit] [--by own|tests|shuttle|histories] [--table FILE] [NAME ...]";
    let mut options = Options::default();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut operand = || args.next().ok_or(usage);
        match &*arg {
            "--fit" => options.fit = true,
            "--by" => options.by = operand()?.parse()?,
            "--table" => options.table = Some(operand()?.into()),
            flag if flag.starts_with('-') => return Err(usage.into()),
            name => options.names.push(name.to_owned()),
        }
    }
    Ok(options)
}

/// Says whether all is as it should be.
fn run(options: &Options) -> Result<bool> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no project")?;
    let mut breakages = breakage::all_in(project)?;
    if options.fit {
        return Ok(do_all_fit(project, &breakages)? & orderings::are_covered(project, &breakages)?);
    }
    if let Some(unknown) =
        (options.names.iter()).find(|name| !breakages.iter().any(|b| b.name == **name))
    {
        return Err(format!("nobody lists a breakage named {unknown}").into());
    }
    if !options.names.is_empty() {
        breakages.retain(|breakage| options.names.contains(&breakage.name));
    }
    let mut tried = try_all(project, options.by, &breakages)?;
    tried.sort_by_key(|tried| tried.number);
    let caught = tried
        .iter()
        .filter(|tried| tried.verdict.is_caught())
        .count();
    let sum = format!(
        "{caught} of {} breakages caught by {}",
        tried.len(),
        options.by
    );
    println!("{sum}");
    if let Some(file) = &options.table {
        fs::write(file, table(&breakages, &tried)?)?;
    }
    // Only they have promised to.
    Ok(options.by != By::Own || caught == breakages.len())
}

fn do_all_fit(project: &Path, breakages: &[Breakage]) -> Result<bool> {
    let mut fit = true;
    for breakage in breakages {
        let text = fs::read_to_string(project.join(&breakage.file))?;
        if let Err(why) = breakage.apply(&text) {
            println!("{}: {why}", breakage.name);
            fit = false;
        }
    }
    Ok(fit)
}

struct Tried {
    number: usize,
    verdict: Verdict,
    took: Duration,
}

fn try_all(project: &Path, by: By, breakages: &[Breakage]) -> Result<Vec<Tried>> {
    let benches: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|number| Bench::new(project, &project.join(format!("target/breakages/{number}"))))
        .collect::<Result<_>>()?;
    let next = Mutex::new(breakages.iter().enumerate());
    let tried = Mutex::new(Vec::new());
    thread::scope(|threads| {
        for bench in &benches {
            threads.spawn(|| loop {
                let next = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, breakage)) = next else {
                    break;
                };
                let (verdict, took) = bench.tries(breakage, by);
                println!("{:<44} {verdict} ({took:.1?})", breakage.name);
                let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                tried.push(Tried {
                    number,
                    verdict,
                    took,
                });
            });
        }
    });
    Ok(tried.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn table(breakages: &[Breakage], tried: &[Tried]) -> Result<String> {
    let mut table = String::from("| breakage | in | what came out | after |\n|---|---|---|---|\n");
    for Tried {
        number,
        verdict,
        took,
    } in tried
    {
        let Breakage { name, file, .. } = &breakages[*number];
        let file = file.display();
        writeln!(
            table,
            "| {name} | `{file}` | {verdict} | {:.1} s |",
            took.as_secs_f64()
        )?;
    }
    Ok(table)
}
