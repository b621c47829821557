//! A critical section among processes, and whether two were ever inside at once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Watches whether processes are inside a section at the same time.
///
/// Whoever enters holds a file locked. A flag that is merely created would lie after a `kill -9`; the
/// kernel frees a lock.
#[derive(Debug)]
pub struct Section {
    inside: PathBuf,
    overlaps: PathBuf,
}

impl Section {
    /// The section whose files are in this directory.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self {
            inside: directory.join(format!("{name}.inside")),
            overlaps: directory.join(format!("{name}.overlaps")),
        }
    }

    /// Enters, and notes whether anybody is inside already.
    ///
    /// # Panics
    ///
    /// If the files of the section cannot be written.
    pub fn enter(&self) -> Entered {
        let mut open = OpenOptions::new();
        let open = open.create(true).append(true);
        let file = open.open(&self.inside).expect("the section's file");
        let overlaps = file.try_lock().is_err();
        if overlaps {
            let mut notes = open.open(&self.overlaps).expect("the section's notes");
            notes.write_all(b"x").expect("an overlap is noted");
        }
        Entered {
            overlaps,
            _file: file,
        }
    }

    /// How often somebody entered while another was inside.
    pub fn overlaps(&self) -> u64 {
        std::fs::metadata(&self.overlaps).map_or(0, |notes| notes.len())
    }
}

/// Inside a section until it is dropped.
#[derive(Debug)]
#[must_use = "it is inside until it is dropped"]
pub struct Entered {
    overlaps: bool,
    _file: File,
}

impl Entered {
    /// Whether another was inside already.
    pub fn overlaps(&self) -> bool {
        self.overlaps
    }
}
