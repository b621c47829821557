//! `cargo run --example NAME` looks for examples of this package alone. The examples are a package of
//! their own, so that nothing that only they need is built for the tests; so this has cargo build
//! and run the one of the same name there, as it was built itself: with --release or without.

use std::env;
use std::process::{Command, ExitCode};

/// Ends as it does.
pub(crate) fn run() -> ExitCode {
    let name = env!("CARGO_CRATE_NAME");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--package", "dogpile-examples", "--bin", name]);
    cargo.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    match cargo.arg("--").args(env::args_os().skip(1)).status() {
        Ok(status) => status
            .code()
            .map_or(ExitCode::FAILURE, |code| (code as u8).into()),
        Err(error) => {
            eprintln!("{name}: cargo does not run: {error}");
            ExitCode::FAILURE
        }
    }
}
