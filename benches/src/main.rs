//! What dogpile costs, beside what else people use, measured in one run.
//!
//! `measure` says how, and why not with a harness from the shelf. A new row for hits goes into
//! `ours`, `handmade` or `peers`; a new way to wait into `herd` or `tasks`.

mod adapters;
mod crew;
mod floors;
mod full;
mod growth;
mod handmade;
mod herd;
mod hit;
mod instructions;
mod keyed;
mod laps;
mod machine;
mod measure;
mod memory;
mod options;
mod ours;
mod peers;
mod plots;
mod ratio;
mod spread;
mod table;
mod targets;
mod tasks;
mod value;
mod writer;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use crew::Crew;
use options::{Group, Options, USAGE};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    if options.without_membarrier {
        machine::forbid_membarrier()?;
    }
    if let Some((row, laps)) = &options.repeat {
        return instructions::repeat(row, *laps);
    }
    let membarrier = machine::register_membarrier();
    introduce(membarrier);
    if options.wants(Group::Memory) {
        // First of all: what a thread asks for, it may inherit from one that has ended.
        memory::run();
    }
    if options.wants(Group::Keyed) {
        keyed::memory();
    }
    let mut crew = Crew::new(2);
    let mut below = None;
    let (mut hit, mut herd, mut tasks, mut lines) = (vec![], vec![], vec![], vec![]);
    if options.wants(Group::Hit) {
        hit = hit::run(&mut crew, options);
    }
    if options.wants(Group::Adapters) {
        adapters::run(&mut crew, options);
    }
    if options.wants(Group::Keyed) {
        keyed::run(&mut crew, options);
        full::run(&mut crew, options);
    }
    if options.wants(Group::Writer) {
        writer::run(&mut crew, options, membarrier);
    }
    if options.wants(Group::Herd) {
        herd = herd::run(options);
    }
    if options.wants(Group::Tasks) {
        tasks = tasks::run(options);
    }
    if options.wants(Group::Growth) {
        lines = growth::run(&mut crew, options);
    }
    if options.wants(Group::Instructions) {
        instructions::run()?;
    }
    if options.wants(Group::Ratio) {
        below = Some(ratio::run(options.quick));
    }
    targets::print(&targets::Findings {
        hit: &hit,
        herd: &herd,
        tasks: &tasks,
        below,
        membarrier,
    });
    let [kept, again, disturbed] = crew.tally;
    if kept > 0 {
        println!(
            "\n{kept} batches of one or two threads counted, {disturbed} of them though disturbed; \
             {again} were done again."
        );
    }
    if !crew.dismiss() {
        println!("The threads could not be pinned to cores.");
    }
    if let Some(dir) = &options.plots {
        if !lines.is_empty() {
            plots::hit(dir, &lines)?;
        }
        if !herd.is_empty() {
            plots::herd(dir, &herd)?;
        }
    }
    println!("\n{:.0} s in all.", began.elapsed().as_secs_f64());
    Ok(())
}

/// The machine, and the versions of all that is compared.
fn introduce(membarrier: bool) {
    println!("{}", machine::describe());
    println!(
        "{} cores; membarrier(2): {}",
        machine::cores().len(),
        if membarrier { "yes" } else { "no" },
    );
    let peers = [
        "arc-swap",
        "parking_lot",
        "moka",
        "quick_cache",
        "papaya",
        "dashmap",
        "cached",
        "fibre_cache",
        "amalgam-cache",
        "foyer-memory",
        "futures",
        "tokio",
    ];
    let lock = include_str!("../Cargo.lock");
    let versions = peers.map(|peer| format!("{peer} {}", version(lock, peer)));
    println!("{}", versions.join(", "));
    println!("\nIn each cell the median and the quartiles of the rounds.");
}

/// The newest of this name in the lock file.
fn version<'a>(lock: &'a str, name: &str) -> &'a str {
    let head = format!("name = \"{name}\"\nversion = \"");
    let found = lock.split(&head).skip(1).last();
    let version = found.and_then(|rest| rest.split('"').next());
    version.expect("the lock file lists what is built")
}
