//! What an example promises, each line with PASS or FAIL.

use std::fmt;
use std::process::ExitCode;

/// What was promised, and whether it held.
#[derive(Default)]
pub struct Verdicts(Vec<(bool, String)>);

impl Verdicts {
    pub fn check(&mut self, holds: bool, what: impl Into<String>) {
        self.0.push((holds, what.into()));
    }

    /// Whether all did.
    pub fn held(&self) -> bool {
        self.0.iter().all(|(holds, _)| *holds)
    }

    /// Zero if all held.
    pub fn exit_code(&self) -> ExitCode {
        match self.held() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (holds, what) in &self.0 {
            writeln!(f, "{}  {what}", if *holds { "PASS" } else { "FAIL" })?;
        }
        Ok(())
    }
}
