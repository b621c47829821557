//! Breaks the crate on purpose and sees the models fail: `.ci/breakages [NAME ...]`.
//!
//! Every file of models lists, in a block of its head, the edits of the crate that it must catch:
//!
//! ```text
//! //! ```breakages
//! //! name-of-the-breakage | src/raw/mod.rs
//! //!   a line that stays
//! //! - a line that goes
//! //! + a line that comes
//! //! ```
//! ```
//!
//! The lines that stay and go must stand in that file exactly once, white space aside. Each edit is
//! made in a copy of the project, one at a time, and the models of the file that lists it are run
//! there: one of them must fail. With `--all` the other models run too, to see who else notices.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{exit, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A model that finds nothing is done long before.
const LIMIT: Duration = Duration::from_secs(120);

struct Breakage {
    name: String,
    /// The module of the models that must catch it.
    model: String,
    file: PathBuf,
    before: Vec<String>,
    after: Vec<String>,
}

enum Verdict {
    Caught(Vec<String>),
    Survived,
    TimedOut,
}

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|arg| arg.starts_with("--"));
    if let Some(unknown) = flags.iter().find(|flag| *flag != "--all") {
        eprintln!("unknown option {unknown}; usage: breakages [--all] [NAME ...]");
        return ExitCode::from(2);
    }
    match run(!flags.is_empty(), &names) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("breakages: {error}");
            exit(2)
        }
    }
}

fn run(all: bool, names: &[String]) -> Result<bool> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no project")?;
    let mut breakages = read_breakages(&project.join("loom-tests/tests/models"))?;
    if let Some(unknown) = names
        .iter()
        .find(|name| breakages.iter().all(|b| b.name != **name))
    {
        return Err(format!("no model lists a breakage named {unknown}").into());
    }
    if !names.is_empty() {
        breakages.retain(|breakage| names.contains(&breakage.name));
    }
    let workshop = project.join("target/breakages");
    let copy = workshop.join("copy");
    copy_project(project, &copy)?;

    println!("without a breakage: every model must pass");
    if !matches!(run_models(&copy, &workshop, "")?, Verdict::Survived) {
        return Err("the models fail on the unbroken crate: see .ci/loom".into());
    }
    let mut caught = 0;
    for breakage in &breakages {
        let broken = copy.join(&breakage.file);
        let original = fs::read_to_string(&broken)?;
        let text = breakage.apply(&original)?;
        fs::write(&broken, text)?;
        let begun = Instant::now();
        let filter = if all { "" } else { &*breakage.model };
        let verdict = run_models(&copy, &workshop, filter);
        fs::write(&broken, original)?;
        let verdict = match verdict.map_err(|error| format!("{}: {error}", breakage.name))? {
            Verdict::Caught(models) => {
                let by_its_own = models
                    .iter()
                    .any(|m| m.starts_with(&format!("{}::", breakage.model)));
                caught += usize::from(by_its_own);
                let note = if by_its_own {
                    "caught by"
                } else {
                    "NOT CAUGHT by its model, but by"
                };
                // A crash takes the list of failed models with it.
                format!("{note} {}", models.join(", "))
            }
            Verdict::Survived => "SURVIVED".to_owned(),
            Verdict::TimedOut => format!("SURVIVED: no end within {LIMIT:?}"),
        };
        println!("{:<44} {verdict} ({:.1?})", breakage.name, begun.elapsed());
    }
    println!(
        "{caught} of {} breakages caught by the models that list them",
        breakages.len()
    );
    Ok(caught == breakages.len())
}

fn read_breakages(models: &Path) -> Result<Vec<Breakage>> {
    let mut files: Vec<_> = fs::read_dir(models)?.collect::<std::result::Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    let mut found: Vec<Breakage> = Vec::new();
    for file in files {
        let path = file.path();
        let model = path
            .file_stem()
            .ok_or("a model without a name")?
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path)?;
        let head = text.lines().map_while(|line| line.strip_prefix("//!"));
        let block = head
            .skip_while(|line| line.trim() != "```breakages")
            .skip(1);
        for line in block.take_while(|line| line.trim() != "```") {
            let current = found.last_mut().filter(|breakage| breakage.model == model);
            match (line.get(..2), line.get(3..).unwrap_or("").trim(), current) {
                (None | Some(""), ..) => {}
                (Some("  "), text, Some(breakage)) => {
                    breakage.before.push(text.to_owned());
                    breakage.after.push(text.to_owned());
                }
                (Some(" -"), text, Some(breakage)) => breakage.before.push(text.to_owned()),
                (Some(" +"), text, Some(breakage)) => breakage.after.push(text.to_owned()),
                (_, _, _) => {
                    let (name, file) = line.split_once('|').ok_or_else(|| {
                        format!(
                            "{}: neither an edit nor `name | file`: {line}",
                            path.display()
                        )
                    })?;
                    found.push(Breakage {
                        name: name.trim().to_owned(),
                        model: model.clone(),
                        file: PathBuf::from(file.trim()),
                        before: Vec::new(),
                        after: Vec::new(),
                    });
                }
            }
        }
    }
    Ok(found)
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
                "{} ({}): what it changes stands in {} {} times, not once: bring it up to date",
                self.name,
                self.model,
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

fn run_models(copy: &Path, workshop: &Path, model: &str) -> Result<Verdict> {
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args([
                "test",
                "--release",
                "--quiet",
                "-p",
                "loom-tests",
                "--test",
                "models",
            ])
            .args(args)
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", workshop.join("target"))
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
        return Err(format!(
            "does not build:\n{}",
            String::from_utf8_lossy(&built.stderr)
        )
        .into());
    }
    let log = workshop.join("log");
    let filter = if model.is_empty() {
        String::new()
    } else {
        format!("{model}::")
    };
    // One test at a time: where one aborts the process, the last one named is the one.
    let mut models = cargo(&["--", &filter, "--test-threads=1", "--format=pretty"])
        .stdout(fs::File::create(&log)?)
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = models.try_wait()? {
            break status;
        }
        if begun.elapsed() > LIMIT {
            models.kill()?;
            models.wait()?;
            return Ok(Verdict::TimedOut);
        }
        thread::sleep(Duration::from_millis(10));
    };
    if status.success() {
        return Ok(Verdict::Survived);
    }
    let log = fs::read_to_string(&log)?;
    let tests = log
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let failed = tests.filter(|(_, outcome)| !outcome.ends_with("ok"));
    Ok(Verdict::Caught(
        failed.map(|(name, _)| name.to_owned()).collect(),
    ))
}
