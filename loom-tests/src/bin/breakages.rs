//! Breaks the crate on purpose and sees the models fail: `.ci/breakages [NAME ...]`.
//!
//! Every file of models lists, in a block of its head, the edits of the crate that it must catch:
//!
//! ```text
//! //! ```breakages
//! //! name-of-the-breakage | src/raw/mod.rs | the_model_that_must_fail
//! //!   a line that stays
//! //! - a line that goes
//! //! + a line that comes
//! //! ```
//! ```
//!
//! The lines that stay and go must stand in that file exactly once, white space aside. Each edit is
//! made in a copy of the project, one at a time, and the models of the file that lists it are run
//! there, or the one that is named: one of them must fail. (That all pass without a breakage,
//! `.ci/loom` shows first.) With `--all` the other models run too, to see who else notices. With
//! `--fit` nothing is run: only whether the lines stand there.

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{exit, Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A model that finds nothing is done long before.
const LIMIT: Duration = Duration::from_secs(240);

struct Breakage {
    name: String,
    /// Where the models that must catch it stand.
    home: Home,
    /// The path of their module, and the name of the one if one is named.
    model: String,
    file: PathBuf,
    before: Vec<String>,
    after: Vec<String>,
}

/// A target of cargo's with models in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    /// The models of promises.
    LoomTests,
    /// Those of the parts, beside them.
    Crate,
}

enum Verdict {
    Caught(Vec<String>),
    Survived,
    TimedOut,
    /// It does not fit the code, or does not build.
    Impossible(String),
}

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let known = |flag: &&String| *flag == "--all" || *flag == "--fit";
    if let Some(unknown) = flags.iter().find(|flag| !known(flag)) {
        eprintln!("unknown option {unknown}; usage: breakages [--all | --fit] [NAME ...]");
        return ExitCode::from(2);
    }
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    match run(has("--all"), has("--fit"), &names) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("breakages: {error}");
            exit(2)
        }
    }
}

fn run(all: bool, fit_only: bool, names: &[String]) -> Result<bool> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no project")?;
    let mut breakages = Vec::new();
    for file in files_in(&project.join("loom-tests/tests/models"))? {
        let module = file.file_stem().ok_or("a model without a name")?;
        let module = format!("{}::", module.to_string_lossy());
        read_breakages(&file, Home::LoomTests, &module, &mut breakages)?;
    }
    for module in ["models", "gate_models"] {
        let parts = project.join(format!("src/raw/{module}.rs"));
        let module = format!("raw::{module}::");
        read_breakages(&parts, Home::Crate, &module, &mut breakages)?;
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| breakages.iter().all(|b| b.name != **name))
    {
        return Err(format!("no model lists a breakage named {unknown}").into());
    }
    if !names.is_empty() {
        breakages.retain(|breakage| names.contains(&breakage.name));
    }
    if fit_only {
        let misfits = breakages.iter().filter_map(|breakage| {
            let text = fs::read_to_string(project.join(&breakage.file)).unwrap_or_default();
            Some((&breakage.name, breakage.apply(&text).err()?))
        });
        return Ok(misfits.map(|(name, why)| println!("{name}: {why}")).count() == 0);
    }
    let benches: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|number| Bench::new(project, &project.join(format!("target/breakages/{number}"))))
        .collect::<Result<_>>()?;
    let caught = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    thread::scope(|threads| {
        for bench in &benches {
            threads.spawn(|| {
                while let Some(breakage) = breakages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    caught.fetch_add(usize::from(bench.tries(breakage, all)), Ordering::Relaxed);
                }
            });
        }
    });
    let caught = caught.into_inner();
    println!(
        "{caught} of {} breakages caught by the models that list them",
        breakages.len()
    );
    Ok(caught == breakages.len())
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// Adds the breakages that a file lists, whose models have paths that begin with `module`.
fn read_breakages(file: &Path, home: Home, module: &str, found: &mut Vec<Breakage>) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head
        .skip_while(|line| line.trim() != "```breakages")
        .skip(1);
    let before = found.len();
    for line in block.take_while(|line| line.trim() != "```") {
        let current = found[before..].last_mut();
        match (line.get(..2), line.get(3..).unwrap_or("").trim(), current) {
            (None | Some(""), ..) => {}
            (Some("  "), text, Some(breakage)) => {
                breakage.before.push(text.to_owned());
                breakage.after.push(text.to_owned());
            }
            (Some(" -"), text, Some(breakage)) => breakage.before.push(text.to_owned()),
            (Some(" +"), text, Some(breakage)) => breakage.after.push(text.to_owned()),
            (_, _, _) => {
                let fields: Vec<_> = line.split('|').map(str::trim).collect();
                let (name, place, model) = match fields[..] {
                    [name, place] => (name, place, ""),
                    [name, place, model] => (name, place, model),
                    _ => {
                        let path = file.display();
                        let told = "neither an edit nor `name | file | model`";
                        return Err(format!("{path}: {told}: {line}").into());
                    }
                };
                found.push(Breakage {
                    name: name.to_owned(),
                    home,
                    model: format!("{module}{model}"),
                    file: PathBuf::from(place),
                    before: Vec::new(),
                    after: Vec::new(),
                });
            }
        }
    }
    Ok(())
}

impl Breakage {
    fn apply(&self, text: &str) -> Result<String> {
        let lines: Vec<_> = text.lines().collect();
        let places: Vec<_> = (0..lines.len())
            .filter(|&at| {
                let window = lines.get(at..at + self.before.len());
                window.is_some_and(|window| window.iter().map(|l| l.trim()).eq(&self.before))
            })
            .collect();
        let [at] = places[..] else {
            return Err(format!(
                "what it changes stands in {} {} times, not once: bring it up to date",
                self.file.display(),
                places.len()
            )
            .into());
        };
        let after = self.after.iter().map(String::as_str);
        let edited = lines[..at].iter().copied().chain(after);
        let edited = edited.chain(lines[at + self.before.len()..].iter().copied());
        Ok(edited.collect::<Vec<_>>().join("\n") + "\n")
    }
}

/// A copy of the project, and where it is built.
struct Bench {
    copy: PathBuf,
    target: PathBuf,
    log: PathBuf,
}

impl Bench {
    fn new(project: &Path, place: &Path) -> Result<Self> {
        let bench = Bench {
            copy: place.join("copy"),
            target: place.join("target"),
            log: place.join("log"),
        };
        copy_project(project, &bench.copy)?;
        Ok(bench)
    }

    /// Makes the breakage, and says whether its models caught it.
    fn tries(&self, breakage: &Breakage, all: bool) -> bool {
        let begun = Instant::now();
        let filter = if all { "" } else { &*breakage.model };
        let verdict = self
            .broken(breakage, || self.run_models(breakage.home, filter))
            .unwrap_or_else(|error| Verdict::Impossible(error.to_string()));
        let mut caught = false;
        let verdict = match verdict {
            Verdict::Caught(models) => {
                caught = models.iter().any(|m| m.starts_with(&breakage.model));
                let note = if caught {
                    "caught by"
                } else {
                    "NOT CAUGHT by its model, but by"
                };
                // A crash takes the list of failed models with it.
                format!("{note} {}", models.join(", "))
            }
            Verdict::Impossible(why) => format!("NOT MADE: {why}"),
            Verdict::Survived => "SURVIVED".to_owned(),
            Verdict::TimedOut => format!("SURVIVED: no end within {LIMIT:?}"),
        };
        let took = begun.elapsed();
        println!("{:<44} {verdict} ({took:.1?})", breakage.name);
        caught
    }

    /// Runs `body` while the breakage is made in the copy.
    fn broken<R>(&self, breakage: &Breakage, body: impl FnOnce() -> Result<R>) -> Result<R> {
        let file = self.copy.join(&breakage.file);
        let original = fs::read_to_string(&file)?;
        fs::write(&file, breakage.apply(&original)?)?;
        let result = body();
        fs::write(&file, original)?;
        result
    }

    fn run_models(&self, home: Home, model: &str) -> Result<Verdict> {
        let target: &[&str] = match home {
            Home::LoomTests => &["-p", "loom-tests", "--test", "models"],
            Home::Crate => &["-p", "dogpile", "--features", "loom", "--lib"],
        };
        let cargo = |args: &[&str]| {
            let mut command = Command::new("cargo");
            command
                .args(["test", "--release", "--quiet"])
                .args(target)
                .args(args)
                .current_dir(&self.copy)
                .env("CARGO_TARGET_DIR", &self.target)
                .env(
                    "RUSTFLAGS",
                    "--cfg dogpile_loom -C debug-assertions --cap-lints allow",
                )
                .env("DOGPILE_MODELS", "1")
                .env("RUST_BACKTRACE", "0")
                .stdin(Stdio::null());
            command
        };
        let built = cargo(&["--no-run"]).output()?;
        if !built.status.success() {
            let errors = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(format!("does not build:\n{errors}").into());
        }
        // One test at a time: where one aborts the process, the last one named is the one.
        let mut models = cargo(&["--", model, "--test-threads=1", "--format=pretty"])
            .stdout(fs::File::create(&self.log)?)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = models.try_wait()? {
                break status;
            }
            let failed = self.failed_models("FAILED")?;
            if !failed.is_empty() {
                stop(&mut models)?;
                return Ok(Verdict::Caught(failed));
            }
            if begun.elapsed() > LIMIT {
                stop(&mut models)?;
                return Ok(Verdict::TimedOut);
            }
            thread::sleep(Duration::from_millis(50));
        };
        if status.success() {
            return Ok(Verdict::Survived);
        }
        // Failed, or begun and never ended.
        Ok(Verdict::Caught(self.failed_models("")?))
    }

    /// The models that the log names with an outcome that ends with `outcome`, but for those that
    /// passed.
    fn failed_models(&self, outcome: &str) -> Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        let tests = log
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        let failed = tests.filter(|(_, end)| end.ends_with(outcome) && !end.ends_with("ok"));
        Ok(failed.map(|(name, _)| name.to_owned()).collect())
    }
}

/// Ends cargo and what it has started.
fn stop(cargo: &mut Child) -> Result<()> {
    let group = format!("-{}", cargo.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .status()?;
    cargo.wait()?;
    Ok(())
}

/// Copies what the models are built from. Files that are the same are left alone, so that cargo
/// does not build them again.
fn copy_project(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "src",
        "examples",
        "loom-tests",
        "stress",
    ] {
        copy_tree(&from.join(name), &to.join(name))
            .map_err(|error| format!("copying {name}: {error}"))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.exists() && (!to.exists() || fs::read(from)? != fs::read(to)?) {
        fs::copy(from, to)?;
    }
    Ok(())
}
