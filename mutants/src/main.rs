//! Makes small edits of the crate that nobody thought of, and sees tests fail: `.ci/mutants [--models]
//! [--test NAME] [--release] [--open TABLE] [--limit SECONDS] [--list] [FILE ...]`.
//!
//! All edits are made in one build. The sources of a copy are rewritten so that each place that can be edited
//! holds the edits as well as the original, and asks for a number that stands in the environment which of
//! them to run. Edits that do not build are taken out by the place that the compiler names. Then
//!
//! 1. each test is run once in a process of its own, and writes down which places it reaches;
//! 2. each edit is run with the tests that reach it: those first that noticed another edit of the same
//!    function, then those that reach few places, in growing groups, each until its first failure, which has to
//!    happen once more with that test alone. A group that takes five times as long as without the edit, and six
//!    seconds more, notices it by the time limit.
//!
//! - `FILE` is a file or a folder in `src/`; without one, all are edited.
//! - `--test NAME` runs the tests of `tests/NAME` instead of `tests/it`, or with `lib` those beside the code, and
//!   `--release` builds for release.
//! - `--models` edits `src/raw` alone, and runs the models beside it under loom.
//! - `--open TABLE` runs only what nobody noticed by an earlier table of the same sources.
//! - `--limit SECONDS` is how long an edit may take. What has passed all tests by then is out of time. It is a
//!   minute with `--models`, where an edit may multiply the interleavings.
//! - `--list` builds and runs nothing, and prints the edits.
//!
//! The table is `target/mutants/it.txt`, `models.txt` or `NAME.txt`, with a line for each edit: its place,
//! function and text, and the verdict. What came out by folder is printed.
//!
//! | file | what is in it |
//! |---|---|
//! | `finder.rs` | which edits there are: conditions become true or false, operators others, `!` and arms of a match with a wildcard are left out, bodies become a constant, calls that are statements are left out, and in `src/raw` assignments |
//! | `answers.rs` | the constants that bodies become |
//! | `cfg.rs` | what of the crate is built |
//! | `source.rs` | the text that holds all edits |
//! | `chosen.rs` | the module of the copy that says which edit runs |
//! | `cargo.rs` | builds the copy |
//! | `program.rs`, `trial.rs` | run tests |
//! | `table.rs` | what came out |
//!
//! Left out are `Debug` and `Display`, constants, what is in macros, tests, and code for other systems.

mod answers;
mod cargo;
mod cfg;
mod finder;
mod program;
mod source;
mod table;
mod trial;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use syn::visit::Visit;

use crate::cargo::{Built, Cargo};
use crate::cfg::Build;
use crate::finder::Finder;
use crate::program::Program;
use crate::source::Source;
use crate::table::{Sums, Table};
use crate::trial::Trial;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Without an edit a test may take so long, or it is left out.
const SLOWEST: Duration = Duration::from_secs(60);

/// So long may the models take for an edit.
const FOR_MODELS: Duration = Duration::from_secs(60);

struct Options {
    build: Build,
    test: String,
    release: bool,
    open: Option<PathBuf>,
    limit: Option<Duration>,
    list: bool,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let usage = "usage: mutants [--models] [--test NAME] [--release] [--open TABLE] [--limit SECONDS] [--list] [FILE ...]";
    let mut options = Options {
        build: Build::Tests,
        test: "it".to_owned(),
        release: false,
        open: None,
        limit: None,
        list: false,
        files: Vec::new(),
    };
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--models" => options.build = Build::Models,
            "--test" => options.test = args.next().ok_or(usage)?,
            "--release" => options.release = true,
            "--open" => options.open = Some(args.next().ok_or(usage)?.into()),
            "--limit" => {
                options.limit = Some(Duration::from_secs(args.next().ok_or(usage)?.parse()?))
            }
            "--list" => options.list = true,
            flag if flag.starts_with('-') => return Err(usage.into()),
            file => options.files.push(file.into()),
        }
    }
    if options.build == Build::Models {
        options.limit.get_or_insert(FOR_MODELS);
        if options.files.is_empty() {
            options.files.push("src/raw".into());
        }
    }
    Ok(options)
}

fn run(options: Options) -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let target = env::current_dir()?.join(target);
    let own = env::current_dir()?.join("target/mutants");
    let copy = own.join("copy");
    let open = options.open.as_deref().map(table::open).transpose()?;
    let name = match options.build {
        Build::Tests => &options.test,
        Build::Models => "models",
    };

    let mut sources = sources(&copy, &options)?;
    let all = number(&mut sources, open.as_ref());
    if options.list {
        for source in &sources {
            let edits = source
                .places
                .iter()
                .flat_map(|place| place.edits.iter().map(move |edit| (place, edit)));
            edits.for_each(|(place, edit)| println!("{}", source.line(place, edit)));
        }
        return Ok(());
    }
    println!("{all} edits in {} files", sources.len());
    let cargo = Cargo {
        copy: copy.clone(),
        target,
        build: options.build,
        test: options.test.clone(),
        release: options.release,
    };
    // Cargo gives it the name that it has in the repository, whose build may come in between.
    let path = own.join(format!("{name}-program"));
    fs::copy(build(&cargo, &mut sources)?, &path)?;
    let program = Program { path, folder: copy };

    let mut tests = Vec::new();
    for test in program.names()? {
        match program.learn(test.clone(), SLOWEST)? {
            Some(test) => tests.push(test),
            None => println!("left out, as it does not pass without an edit: {test}"),
        }
    }
    let usual: Duration = tests.iter().map(|test| test.took).sum();
    println!("{} tests, which take {usual:.1?} one by one", tests.len());
    let mut trial = Trial::new(program, tests, options.limit, options.build == Build::Tests);
    let mut table = Table::new(&own.join(format!("{name}.txt")))?;
    let mut sums = Sums::default();
    for source in &sources {
        for place in &source.places {
            for edit in place.edits.iter().filter(|edit| !edit.is_out) {
                let verdict = trial.run(&place.function, place.number(), edit.number)?;
                let line = source.line(place, edit);
                println!("{}: {verdict}", line.replace('\t', " "));
                table.add(&line, &verdict)?;
                sums.add(&source.file, &verdict);
            }
        }
    }
    print!("{sums}");
    Ok(())
}

/// The files that are asked for, with what can be edited in them.
fn sources(copy: &Path, options: &Options) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    files_in(&copy.join("src"), &mut files)?;
    let mut sources = Vec::new();
    let mut unbuilt = Vec::new();
    for path in files {
        let file = path.strip_prefix(copy)?.to_owned();
        let text = fs::read_to_string(&path)?;
        let mut finder = Finder::new(&file, &text, options.build, file.starts_with("src/raw"));
        finder.visit_file(&syn::parse_file(&text)?);
        let places = finder.places;
        unbuilt.extend(finder.unbuilt);
        sources.push(Source::new(file, text, places));
    }
    let is_asked_for = |file: &Path| {
        options.files.is_empty() || options.files.iter().any(|asked| file.starts_with(asked))
    };
    sources.retain(|source| {
        is_asked_for(&source.file)
            && !unbuilt.iter().any(|path| source.file.starts_with(path))
            && !source.places.is_empty()
    });
    Ok(sources)
}

fn files_in(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_in(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Gives each edit its number, and leaves out those that are not asked for. How many are left.
fn number(sources: &mut [Source], open: Option<&BTreeSet<String>>) -> usize {
    let (mut next, mut left) = (1, 0);
    for source in sources {
        let mut out = Vec::new();
        for place in &source.places {
            let is_out = |edit| open.is_some_and(|open| !open.contains(&source.line(place, edit)));
            out.extend(place.edits.iter().map(is_out));
        }
        let edits = source.places.iter_mut().flat_map(|place| &mut place.edits);
        for (edit, is_out) in edits.zip(out) {
            edit.number = next;
            edit.is_out = is_out;
            next += 1;
            left += usize::from(!is_out);
        }
    }
    left
}

/// Builds the copy, without the edits that the compiler refuses.
fn build(cargo: &Cargo, sources: &mut [Source]) -> Result<PathBuf> {
    let numbers = sources
        .iter()
        .flat_map(|source| &source.places)
        .map(|place| place.edits.len())
        .sum::<usize>()
        + 1;
    let module = format!(
        "{}\nconst PLACES: usize = {numbers};\n",
        include_str!("chosen.rs")
    );
    fs::write(cargo.copy.join("src/mutants.rs"), module)?;
    let root = cargo.copy.join("src/lib.rs");
    let text = fs::read_to_string(&root)?;
    fs::write(root, format!("{text}\nmod mutants;\n"))?;
    let manifest = cargo.copy.join("Cargo.toml");
    // Whatever the crate denies, edits may do.
    let text = fs::read_to_string(&manifest)?
        .replace("= \"deny\"", "= \"allow\"")
        .replace("level = \"deny\"", "level = \"allow\"");
    fs::write(manifest, text)?;
    loop {
        for source in &mut *sources {
            fs::write(cargo.copy.join(&source.file), source.write())?;
        }
        let complaints = match cargo.build()? {
            Built::Program(path) => return Ok(path),
            Built::Complaints(complaints) => complaints,
        };
        let mut out = 0;
        for complaint in &complaints {
            let Some(source) = sources
                .iter_mut()
                .find(|source| source.file == complaint.file)
            else {
                continue;
            };
            let file = source.file.display().to_string();
            for edit in source.meant(&complaint.main, &complaint.others) {
                edit.is_out = true;
                out += 1;
                println!("does not build: {file}: {}", edit.label);
            }
        }
        if out == 0 {
            let texts: Vec<&str> = complaints
                .iter()
                .map(|complaint| &*complaint.text)
                .collect();
            return Err(format!("no edit is to blame:\n{}", texts.concat()).into());
        }
    }
}
