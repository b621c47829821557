//! Checks the pages that users read: `pages DOCS PACKAGED [FILE=COPY ...]`, in the folder of the project.
//!
//! `DOCS` is the folder that `cargo doc` writes. `PACKAGED` lists the files of the published package, as
//! `cargo package --list` does. `FILE=COPY` has it read a copy in the place of a file: so `.ci/lint` sees
//! that a mistake is noticed.
//!
//! | check | file |
//! |---|---|
//! | each link of a page leads somewhere, also on crates.io | `links.rs` |
//! | each name in a page exists: calls, types, features, files, commands | `names.rs` |
//! | the table "which call" names every call, and the README shows the same table | `calls.rs` |
//! | the words that people search for are found | `search.rs` |
//! | the table and the picture of the README are of one run | `run.rs` |
//!
//! `pages prose` prints the prose of all pages and doc comments, for a spelling checker: `prose.rs`.
//!
//! Nothing is asked of the network. An address of another site is only checked for its host.

mod calls;
mod html;
mod links;
mod markdown;
mod names;
mod prose;
mod run;
mod search;
mod site;

use std::env;
use std::process::ExitCode;

use crate::site::Site;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments == ["prose"] {
        prose::print();
        return ExitCode::SUCCESS;
    }
    let [docs, packaged, copies @ ..] = arguments.as_slice() else {
        panic!("pages DOCS PACKAGED [FILE=COPY ...], or: pages prose");
    };
    let site = Site::new(docs, packaged, copies);
    let mut complaints = links::check(&site);
    complaints.extend(names::check(&site));
    complaints.extend(calls::check(&site));
    complaints.extend(search::check(&site));
    complaints.extend(run::check(&site));
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
