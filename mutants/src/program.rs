//! The program of the tests.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Result;

pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// In which it runs.
    pub(crate) folder: PathBuf,
}

/// A test that passes where no edit is chosen.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) took: Duration,
    /// The numbers of the places that it reaches.
    pub(crate) reaches: BTreeSet<u32>,
}

pub(crate) enum Outcome {
    Passed,
    Failed(String),
    TimedOut,
}

/// Nobody waits for longer.
const LONGEST: Duration = Duration::from_secs(3600);

impl Program {
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.path)
            .current_dir(&self.folder)
            .args(["--list", "--format", "terse"])
            .output()?;
        let list = String::from_utf8(output.stdout)?;
        let ignored = Command::new(&self.path)
            .args(["--list", "--ignored", "--format", "terse"])
            .output()?;
        let ignored = String::from_utf8(ignored.stdout)?;
        let of = |list: &str| -> Vec<String> {
            list.lines()
                .filter_map(|line| line.strip_suffix(": test").map(str::to_owned))
                .collect()
        };
        let ignored = of(&ignored);
        Ok(of(&list)
            .into_iter()
            .filter(|name| !ignored.contains(name))
            .collect())
    }

    /// Runs a test in a process of its own, which writes down what it reaches. `None`: it does not pass.
    pub(crate) fn learn(&self, name: String, limit: Duration) -> Result<Option<Test>> {
        let log = self.folder.join("reached");
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let began = Instant::now();
        let outcome = self.run_with(
            ("MUTANTS_REACHED", &log.display().to_string()),
            &[&name],
            limit,
        )?;
        let took = began.elapsed();
        let Outcome::Passed = outcome else {
            return Ok(None);
        };
        let numbers = if log.exists() {
            fs::read(&log)?
        } else {
            Vec::new()
        };
        let reaches = numbers
            .chunks_exact(4)
            .map(|number| u32::from_le_bytes([number[0], number[1], number[2], number[3]]));
        Ok(Some(Test {
            name,
            took,
            reaches: reaches.collect(),
        }))
    }

    /// Runs tests with an edit, one after the other, until one fails.
    pub(crate) fn run(&self, number: u32, names: &[&str], limit: Duration) -> Result<Outcome> {
        self.run_with(("MUTANTS_NUMBER", &number.to_string()), names, limit)
    }

    fn run_with(
        &self,
        (key, value): (&str, &str),
        names: &[&str],
        limit: Duration,
    ) -> Result<Outcome> {
        let end = Instant::now() + limit.min(LONGEST);
        let mut child = Command::new(&self.path)
            .current_dir(&self.folder)
            .args(["--exact", "--test-threads", "1"])
            .args(names)
            .env(key, value)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            // Up to the end of a name, so that a test is known that ends the process.
            for piece in BufReader::new(stdout)
                .split(b' ')
                .map_while(std::io::Result::ok)
            {
                if sender
                    .send(String::from_utf8_lossy(&piece).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
        let mut before = String::new();
        let mut running = String::new();
        let outcome = loop {
            match pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(piece) if piece.starts_with("FAILED") => break Outcome::Failed(running),
                Ok(piece) => {
                    // `test NAME ...`, or `test NAME - should panic ...`
                    if before.ends_with("test") && names.contains(&&*piece) {
                        running.clone_from(&piece);
                    }
                    before = piece;
                }
                Err(RecvTimeoutError::Timeout) => break Outcome::TimedOut,
                Err(RecvTimeoutError::Disconnected) => match child.wait()?.success() {
                    true => break Outcome::Passed,
                    false => break Outcome::Failed(running),
                },
            }
        };
        stop(&mut child)?;
        Ok(outcome)
    }
}

/// Ends it, and what it has started.
fn stop(child: &mut Child) -> Result<()> {
    let group = format!("-{}", child.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status()?;
    child.wait()?;
    Ok(())
}
