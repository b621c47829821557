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
//! What stays and what goes must stand in that file, next to each other and once. It need not be
//! whole lines: the fewest words that tell the place do. White space, line ends and lines that are
//! comments do not matter; words are whole. Where the words stand elsewhere too, lines `@ words`
//! before them say where to look, such as `@ fn is_free`: these words must stand in the file once,
//! and the edit is made at the first place after them, within the braces that they stand before. A
//! second such line looks for its words within the first, as in `@ impl Drop for Pass`, `@ fn drop`.
//!
//! Each edit is made in a copy of the project, one at a time, and the models or tests of the file
//! that lists it are run there, or the one that is named: one of them must fail. (That all pass
//! without a breakage, `.ci/test` shows first.) Those that programs of the package `stress` list are
//! for `.ci/sanitizers`, and name what the sanitizer must say.
//!
//! - `--fit` runs nothing. It looks whether the words stand there, and whether every ordering that
//!   is stronger than relaxed, and every barrier, is in a breakage; `unbroken.md` lists those that
//!   are not, with the reason. For an edit that does not fit it prints what is most like it.
//! - `--build` runs nothing either. It makes each edit and builds the crate, as those see it who must
//!   catch it: some minutes for all.
//! - `--by tests` runs all tests instead of what lists them, `--by histories` the histories, `--by
//!   shuttle` the same models under shuttle and the larger ones; `--by own,tests` one after the other.
//!   Not all of these need to notice everything.
//! - `--table FILE` also writes what came out into a table.
//! - `--list` prints the name of each, the file that lists it and what must catch it, with tabs.
//! - `--copy NAME DIR` makes a copy of the project with that one made, to be built by others.

mod bench;
mod breakage;
mod edit;
mod orderings;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bench::{Bench, By, Verdict};
use breakage::{Breakage, Home};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

struct Options {
    fit: bool,
    build: bool,
    by: Vec<By>,
    table: Option<PathBuf>,
    list: bool,
    copy: Option<PathBuf>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    match options().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("breakages: {error}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options> {
    let usage = "usage: breakages [--fit | --build] [--by own,tests,shuttle,histories] \
                 [--table FILE] [NAME ...] | --list | --copy NAME DIR";
    let mut options = Options {
        fit: false,
        build: false,
        by: vec![By::Own],
        table: None,
        list: false,
        copy: None,
        names: Vec::new(),
    };
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut operand = || args.next().ok_or(usage);
        match &*arg {
            "--fit" => options.fit = true,
            "--build" => options.build = true,
            "--by" => {
                options.by = operand()?
                    .split(',')
                    .map(str::parse)
                    .collect::<Result<_, _>>()?
            }
            "--table" => options.table = Some(operand()?.into()),
            "--list" => options.list = true,
            "--copy" => {
                options.names.push(operand()?);
                options.copy = Some(operand()?.into());
            }
            flag if flag.starts_with('-') => return Err(usage.into()),
            name => options.names.push(name.to_owned()),
        }
    }
    Ok(options)
}

/// Says whether all is as it should be.
fn run(options: Options) -> Result<bool> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no project")?;
    let mut breakages = breakage::all_in(project)?;
    if options.fit {
        return Ok(do_all_fit(project, &breakages)? & orderings::are_covered(project, &breakages)?);
    }
    if options.list {
        for Breakage {
            name, listed, test, ..
        } in &breakages
        {
            println!("{name}\t{}\t{test}", listed.display());
        }
        return Ok(true);
    }
    let unknown = |name: &&String| breakages.iter().all(|breakage| breakage.name != **name);
    if let Some(unknown) = options.names.iter().find(unknown) {
        return Err(format!("nobody lists a breakage named {unknown}").into());
    }
    if !options.names.is_empty() {
        breakages.retain(|breakage| options.names.contains(&breakage.name));
    }
    if let Some(copy) = options.copy {
        let [breakage] = &breakages[..] else {
            return Err("one breakage a copy".into());
        };
        bench::copy_with(project, breakage, &copy)?;
        return Ok(true);
    }
    if options.build {
        let tried = try_all(project, &breakages, Bench::builds)?;
        let all_build = tried.iter().all(|tried| tried.verdict.is_good());
        println!(
            "{} breakages, {}",
            tried.len(),
            if all_build {
                "all build"
            } else {
                "not all build"
            }
        );
        return Ok(all_build);
    }
    breakages.retain(|breakage| breakage.home != Home::Stress);
    if breakages.is_empty() {
        return Err("those are for .ci/sanitizers".into());
    }
    let mut all_noticed = true;
    let mut columns = Vec::new();
    for by in options.by {
        let tries = |bench: &Bench, breakage: &Breakage| bench.tries(breakage, by);
        let tried = try_all(project, &breakages, tries)?;
        let caught = tried.iter().filter(|tried| tried.verdict.is_good());
        let (caught, all) = (caught.count(), breakages.len());
        println!("{caught} of {all} breakages caught by {by}");
        // Only they have promised to.
        all_noticed &= by != By::Own || caught == all;
        columns.push((by, tried));
    }
    if let Some(file) = options.table {
        fs::write(file, table(&breakages, &columns)?)?;
    }
    Ok(all_noticed)
}

fn do_all_fit(project: &Path, breakages: &[Breakage]) -> Result<bool> {
    let mut sources = BTreeMap::new();
    for folder in ["src", "adapters/cache/src", "fleet/src"] {
        for file in breakage::sources(project, Path::new(folder))? {
            let text = fs::read_to_string(project.join(&file))?;
            sources.insert(file, text);
        }
    }
    // Stores say what a verb does in the languages of their servers too.
    for breakage in breakages {
        if let Ok(text) = fs::read_to_string(project.join(&breakage.file)) {
            sources.insert(breakage.file.clone(), text);
        }
    }
    let mut fit = true;
    for breakage in breakages {
        let listing = fs::read_to_string(project.join(&breakage.listed))?;
        if !breakage.has_tests(&listing) {
            fit = false;
            let (name, listed) = (&breakage.name, breakage.listed.display());
            println!(
                "{name} (in {listed}): no test there begins with {}",
                breakage.tests()
            );
        }
    }
    for Breakage {
        name,
        listed,
        file,
        edit,
        ..
    } in breakages
    {
        let why = match sources.get(file) {
            None => "there is no such file".to_owned(),
            Some(text) => match edit.apply(text) {
                Ok(_) => continue,
                Err(why) => why,
            },
        };
        fit = false;
        println!(
            "{name} (in {}): {}: {why}",
            listed.display(),
            file.display()
        );
        for (other, text) in &sources {
            if other != file && edit.apply(text).is_ok() {
                println!("  it fits {}", other.display());
            }
        }
        // Of all files, if it is in none of that name.
        let like = sources
            .iter()
            .filter(|(other, _)| *other == file || !sources.contains_key(file));
        let like = like.filter_map(|(file, text)| Some((file, edit.nearest(text)?)));
        let nearest = like.max_by(|(_, one), (_, other)| one.alike.total_cmp(&other.alike));
        if let Some((file, nearest)) = nearest {
            println!("  nearest: {}:{}", file.display(), nearest.line);
            for line in nearest.code.lines() {
                println!("    {line}");
            }
        }
    }
    Ok(fit)
}

struct Tried {
    verdict: Verdict,
    took: Duration,
}

/// As many at a time as there are processors; the results in the order of the breakages.
fn try_all(
    project: &Path,
    breakages: &[Breakage],
    tries: impl Fn(&Bench, &Breakage) -> Verdict + Sync,
) -> Result<Vec<Tried>> {
    let benches: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|number| Bench::new(project, &project.join(format!("target/breakages/{number}"))))
        .collect::<Result<_>>()?;
    let next = Mutex::new(breakages.iter().enumerate());
    let tried = Mutex::new(BTreeMap::new());
    thread::scope(|threads| {
        for bench in &benches {
            threads.spawn(|| {
                loop {
                    let next = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((number, breakage)) = next else {
                        break;
                    };
                    let begun = Instant::now();
                    let verdict = tries(bench, breakage);
                    let took = begun.elapsed();
                    println!("{:<44} {verdict} ({took:.1?})", breakage.name);
                    let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                    tried.insert(number, Tried { verdict, took });
                }
            });
        }
    });
    let tried = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(tried.into_values().collect())
}

/// A column for each who was to notice, with the seconds that it took, building included.
fn table(breakages: &[Breakage], columns: &[(By, Vec<Tried>)]) -> Result<String> {
    let mut table = String::from("| breakage | in |");
    for (by, _) in columns {
        write!(table, " {by} |")?;
    }
    write!(table, "\n|---|---|{}\n", "---|".repeat(columns.len()))?;
    for (number, Breakage { name, file, .. }) in breakages.iter().enumerate() {
        write!(table, "| {name} | `{}` |", file.display())?;
        for (by, tried) in columns {
            let Tried { verdict, took } = &tried[number];
            let took = took.as_secs_f64();
            match verdict {
                Verdict::Caught(_) if *by != By::Own => write!(table, " {took:.0} s |")?,
                Verdict::Survived if *by != By::Own => write!(table, " |")?,
                verdict => write!(table, " {verdict}, {took:.0} s |")?,
            }
        }
        writeln!(table)?;
    }
    Ok(table)
}
