//! How many instructions a hit takes, as valgrind counts them: nearly the same in every run.
//!
//! Each row is repeated in a process of its own, a few times and many times; the difference is
//! free of what it took to start. Valgrind does not see into the kernel, and hides the part of it
//! that tells the time without a call: rows that read a clock lack what that takes.

use std::error::Error;
use std::process::Command;

use crate::hit;
use crate::laps::Row;
use crate::table::Table;

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// Repeats the row of this name, and nothing else: for valgrind and other tools.
pub(crate) fn repeat(name: &str, laps: u64) -> Result<(), Box<dyn Error>> {
    let row = hit::rows().into_iter().find(|row| row.name == name);
    row.ok_or_else(|| format!("no row of the hit group is called {name}"))?
        .run_alone(laps);
    Ok(())
}

fn count(row: &Row, laps: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--repeat", &row.name, &laps.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    // ==1234== Collected : 5678
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} under valgrind: {}\n{said}", row.name, output.status).into());
    }
    let counted = said.split("Collected :").nth(1);
    let counted = counted.and_then(|rest| rest.split_whitespace().next());
    let counted = counted.ok_or_else(|| format!("valgrind counted nothing:\n{said}"))?;
    Ok(counted.parse()?)
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new(
        "Instructions a hit, without those that tell the time",
        ["", "instructions"],
    );
    for row in hit::rows() {
        let more = count(&row, MANY)?.saturating_sub(count(&row, FEW)?);
        let each = more as f64 / (MANY - FEW) as f64;
        table.add(vec![row.name, format!("{each:.1}")]);
    }
    table.print();
    Ok(())
}
