//! A copy of the project in which breakages are tried.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::breakage::{Breakage, Home};

const LOOM: &str = "--cfg dogpile_loom -C debug-assertions";
const SHUTTLE: &str = "--cfg dogpile_shuttle -C debug-assertions";

/// Over piles, and over keys of maps.
const MODELS: [&str; 7] = [
    "--release",
    "-p",
    "loom-tests",
    "--test",
    "models",
    "--test",
    "keyed",
];

/// What finds nothing is done long before.
const LIMIT: Duration = Duration::from_secs(240);

/// What is to notice a breakage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The file that lists it.
    Own,
    /// The tests on real threads.
    Tests,
    /// The models of the file that lists it, under shuttle, and the larger ones.
    Shuttle,
    /// What threads saw, against the contract.
    Histories,
}

impl FromStr for By {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [By::Own, By::Tests, By::Shuttle, By::Histories]
            .into_iter()
            .find(|by| by.to_string() == name)
            .ok_or_else(|| format!("{name} notices nothing; own, tests, shuttle and histories do"))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Own => "own",
            By::Tests => "tests",
            By::Shuttle => "shuttle",
            By::Histories => "histories",
        })
    }
}

pub(crate) enum Verdict {
    /// By these, the first to fail.
    Caught(Vec<String>),
    /// But not by what should.
    CaughtElsewhere(Vec<String>),
    Survived,
    TimedOut,
    /// It was to be built only.
    Builds,
    /// It does not fit the code, or does not build.
    Impossible(String),
}

impl Verdict {
    /// Whether it is as it should be.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Verdict::Caught(_) | Verdict::Builds)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Caught(by) => match &by[..] {
                [] => f.write_str("caught by a crash"),
                [one] => write!(f, "caught by {one}"),
                [one, more @ ..] => write!(f, "caught by {one} and {} more", more.len()),
            },
            Verdict::CaughtElsewhere(by) => {
                write!(f, "NOT CAUGHT by its own, but by {}", by.join(", "))
            }
            Verdict::Survived => f.write_str("SURVIVED"),
            Verdict::TimedOut => write!(f, "SURVIVED: no end within {LIMIT:?}"),
            Verdict::Builds => f.write_str("builds"),
            Verdict::Impossible(why) => write!(f, "NOT MADE: {why}"),
        }
    }
}

/// Makes a copy of the project with the breakage made. A copy that is there already is brought up to
/// date, with another breakage perhaps.
pub(crate) fn copy_with(project: &Path, breakage: &Breakage, copy: &Path) -> Result<()> {
    let original = fs::read_to_string(project.join(&breakage.file))?;
    let edited = breakage.apply(&original)?;
    copy_project(project, copy)?;
    fs::write(copy.join(&breakage.file), edited)?;
    Ok(())
}

/// A copy of the project, and where it is built.
pub(crate) struct Bench {
    project: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

impl Bench {
    pub(crate) fn new(project: &Path, place: &Path) -> Result<Self> {
        let bench = Bench {
            project: project.to_owned(),
            copy: place.join("copy"),
            target: place.join("target"),
        };
        copy_project(project, &bench.copy)?;
        Ok(bench)
    }

    /// Makes the breakage, and says whether it was noticed.
    pub(crate) fn tries(&self, breakage: &Breakage, by: By) -> Verdict {
        self.broken(breakage, || self.judge(breakage, by))
    }

    /// Makes the breakage, and says whether the crate still builds, as those see it who must catch
    /// it.
    pub(crate) fn builds(&self, breakage: &Breakage) -> Verdict {
        self.broken(breakage, || {
            let (flags, of_crate): (_, &[&str]) = match breakage.home {
                Home::Promises | Home::Parts => (LOOM, &["--features", "loom"]),
                Home::Many => (SHUTTLE, &["--features", "shuttle"]),
                Home::Tests | Home::Package | Home::Stress => ("", &["--all-features"]),
                // Without debug assertions.
                Home::Histories | Home::Exact => ("", &["--release"]),
            };
            let package = &breakage.broken_package(&self.project)?;
            let mut check = self.cargo(flags);
            check.args(["check", "--quiet", "-p", package, "--lib"]);
            built(check.args(of_crate))?;
            Ok(Verdict::Builds)
        })
    }

    /// Runs `body` while the breakage is made in the copy.
    fn broken(&self, breakage: &Breakage, body: impl FnOnce() -> Result<Verdict>) -> Verdict {
        let file = self.copy.join(&breakage.file);
        let verdict = || {
            let original = fs::read_to_string(&file)?;
            fs::write(&file, breakage.apply(&original)?)?;
            let verdict = body();
            fs::write(&file, original)?;
            verdict
        };
        verdict().unwrap_or_else(|error| Verdict::Impossible(error.to_string()))
    }

    fn judge(&self, breakage: &Breakage, by: By) -> Result<Verdict> {
        let filter = match by {
            By::Own => breakage.tests(),
            By::Tests | By::Shuttle | By::Histories => String::new(),
        };
        // A file or two of models are built in no time.
        let models: &[&str] = match (by, breakage.home) {
            (By::Own, Home::Promises) => &[breakage.top()],
            (By::Shuttle, Home::Promises) => &[breakage.top(), "many"],
            (By::Own, Home::Many) | (By::Shuttle, _) => &["many"],
            _ => &[],
        };
        if !models.is_empty() {
            for target in ["models", "keyed"] {
                let main = format!("loom-tests/tests/{target}/main.rs");
                let all = fs::read_to_string(self.project.join(&main))?;
                write_if_other(&self.copy.join(main), of_these(&all, models).as_bytes())?;
            }
        }
        built(self.test(by, breakage)?.arg("--no-run"))?;
        let mut command = self.test(by, breakage)?;
        command.args(["--", &filter, "--format=pretty"]);
        if by != By::Tests {
            // One at a time: where one aborts the process, the last one named is the one.
            command.arg("--test-threads=1");
        }
        let failed = match run(&mut command)? {
            Ended::Passed => return Ok(Verdict::Survived),
            Ended::Late => return Ok(Verdict::TimedOut),
            Ended::Failed(failed) => failed,
        };
        let meant = failed.is_empty() || failed.iter().any(|m| m.starts_with(&filter));
        Ok(if meant {
            Verdict::Caught(failed)
        } else {
            Verdict::CaughtElsewhere(failed)
        })
    }

    fn test(&self, by: By, breakage: &Breakage) -> Result<Command> {
        let package = breakage.home_package(&self.project)?;
        let (flags, target): (_, &[&str]) = match (by, breakage.home) {
            (By::Own, Home::Promises) => (LOOM, &MODELS),
            (By::Own, Home::Parts) => (
                LOOM,
                &["--release", "-p", "dogpile", "--features", "loom", "--lib"],
            ),
            (By::Own, Home::Exact) => ("", &["--release", "-p", "dogpile", "--test", "exact"]),
            (By::Own | By::Tests, Home::Package) => {
                ("", &["-p", &package, "--all-features", "--test", "it"])
            }
            (By::Own, Home::Tests) | (By::Tests, _) => {
                ("", &["-p", "dogpile", "--all-features", "--test", "it"])
            }
            (By::Own, Home::Many) | (By::Shuttle, _) => (SHUTTLE, &MODELS),
            (By::Own, Home::Stress) => unreachable!("left to .ci/sanitizers"),
            // Without debug assertions, so that it is they that notice.
            (By::Own, Home::Histories) | (By::Histories, _) => (
                "",
                &["--release", "-p", "loom-tests", "--test", "histories"],
            ),
        };
        let mut command = self.cargo(flags);
        command.args(["test", "--quiet"]).args(target);
        Ok(command)
    }

    fn cargo(&self, flags: &str) -> Command {
        let flavour = flags.split_whitespace().nth(1).unwrap_or("plain");
        let mut command = Command::new("cargo");
        command
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", self.target.join(flavour))
            .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
            .env("RUSTFLAGS", format!("{flags} --cap-lints allow"))
            .env("DOGPILE_MODELS", "long")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        command
    }
}

/// The root of a target with these of its modules, each with the lines that belong to it.
fn of_these(root: &str, modules: &[&str]) -> String {
    let mut kept = String::new();
    let mut above = String::new();
    for line in root.lines() {
        let module = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        if line.starts_with("#[") {
            above.push_str(line);
            above.push('\n');
            continue;
        }
        let above = std::mem::take(&mut above);
        if module.is_none_or(|module| modules.contains(&module)) {
            kept.push_str(&above);
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Fails with the first errors of the compiler.
fn built(build: &mut Command) -> Result<()> {
    let built = build.output()?;
    if built.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&built.stderr);
    let first: Vec<_> = errors.lines().take(8).collect();
    Err(format!("does not build: {}", first.join("\n")).into())
}

enum Ended {
    Passed,
    /// The tests that failed, or had begun and never ended.
    Failed(Vec<String>),
    Late,
}

/// Runs tests until the first one fails.
fn run(command: &mut Command) -> Result<Ended> {
    let mut tests = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let output = follow(tests.stdout.take().ok_or("no output")?);
    let end = Instant::now() + LIMIT;
    let mut log = String::new();
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        match output.recv_timeout(rest) {
            Ok(some) => log.push_str(&some),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut tests)?;
                return Ok(Ended::Late);
            }
        }
        let failed = failed(&log, "FAILED");
        if !failed.is_empty() {
            stop(&mut tests)?;
            return Ok(Ended::Failed(failed));
        }
    }
    if tests.wait()?.success() {
        if !log.lines().any(|line| line.starts_with("test ")) {
            return Err("it has no test".into());
        }
        return Ok(Ended::Passed);
    }
    Ok(Ended::Failed(failed(&log, "")))
}

/// What is written, as it comes.
fn follow(mut output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            let some = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if sender.send(some).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The tests that the log names with an outcome that ends with `outcome`, but for those that
/// passed.
fn failed(log: &str, outcome: &str) -> Vec<String> {
    let tests = log
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let failed = tests.filter(|(_, end)| end.ends_with(outcome) && !end.ends_with("ok"));
    failed.map(|(name, _)| name.to_owned()).collect()
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

/// Copies what the models and tests are built from, and removes what is not there any more. Files
/// that are the same are left alone, so that cargo does not build them again.
fn copy_project(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let manifest = fs::read_to_string(from.join("Cargo.toml"))?;
    let own = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "docs",
        "src",
        "tests",
    ];
    let all: BTreeSet<&str> = own.into_iter().chain(members(&manifest)).collect();
    for name in all {
        copy_tree(&from.join(name), &to.join(name))
            .map_err(|error| format!("copying {name}: {error}"))?;
    }
    Ok(())
}

/// The folders in which the members of the workspace lie.
fn members(manifest: &str) -> impl Iterator<Item = &str> {
    let line = manifest.lines().find(|line| line.starts_with("members = "));
    let names = line
        .into_iter()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    names.map(|name| name.split_once('/').map_or(name, |(folder, _)| folder))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if from.join(entry.file_name()).exists() {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    } else if from.exists() {
        write_if_other(to, &fs::read(from)?)?;
    }
    Ok(())
}

fn write_if_other(file: &Path, content: &[u8]) -> Result<()> {
    if !file.exists() || fs::read(file)? != content {
        fs::write(file, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_keeps_what_is_no_module() {
        let root = "#![cfg(x)]\nuse a;\n#[path = \"../b.rs\"]\nmod b;\n#[cfg(y)]\n#[path = \"../c.rs\"]\nmod c;\n";
        let of_c = "#![cfg(x)]\nuse a;\n#[cfg(y)]\n#[path = \"../c.rs\"]\nmod c;\n";
        assert_eq!(of_these(root, &["c"]), of_c);
        assert_eq!(of_these(root, &["d"]), "#![cfg(x)]\nuse a;\n");
    }
}
