//! The readers, and what they saw.

use std::time::{Duration, Instant};

use dogpile::{Guard, Origin};

use crate::Result;
use crate::records::{self, entry};
use crate::store::Store;

/// A reader looks at the file at the path once in so many reads.
const LOOK: u64 = 256;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) looks: u64,
    pub(crate) wrong_entries: u64,
    pub(crate) wrong_records: u64,
    pub(crate) wrong_files: u64,
    pub(crate) reader_wait: Duration,
    pub(crate) writer_wait: Duration,
    /// The generations that were replaced.
    pub(crate) replaced: Vec<usize>,
    /// How often each generation was read while the next one was prepared.
    pub(crate) stale: Vec<u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.reads += other.reads;
        self.looks += other.looks;
        self.wrong_entries += other.wrong_entries;
        self.wrong_records += other.wrong_records;
        self.wrong_files += other.wrong_files;
        self.reader_wait = self.reader_wait.max(other.reader_wait);
        self.writer_wait = self.writer_wait.max(other.writer_wait);
        self.replaced.extend(other.replaced);
        for (generation, reads) in other.stale.into_iter().enumerate() {
            self.count_stale(generation, reads);
        }
    }

    fn count_stale(&mut self, generation: usize, reads: u64) {
        if self.stale.len() <= generation {
            self.stale.resize(generation + 1, 0);
        }
        self.stale[generation] += reads;
    }
}

/// Reads until the end, without a pause.
pub(crate) fn run(store: &Store, reader: u64, end: Instant) -> Result<Tally> {
    let mut tally = Tally::default();
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok(tally);
        }
        let data = store.data()?;
        let answered = Instant::now();
        let generation = data.generation as usize;
        if Guard::origin(&data) == Origin::CreatedHere {
            tally.writer_wait = tally.writer_wait.max(data.waited);
            // Not when the time was up: nobody else may have been there to read meanwhile.
            if answered < end {
                tally.replaced.push(generation - 1);
            }
        } else {
            tally.reader_wait = tally.reader_wait.max(answered - asked);
        }
        if Guard::origin(&data) == Origin::Stale {
            tally.count_stale(generation, 1);
        }

        let number = (reader + tally.reads) * 7919 % records::COUNT;
        let [indexed, place] = store.look_up(&data, number).unwrap_or_default();
        let record = entry(&data.map, place).unwrap_or_default();
        tally.reads += 1;
        tally.wrong_entries += u64::from(indexed != data.generation);
        tally.wrong_records += u64::from(!records::is_right(&record, number, data.generation));
        if tally.reads % LOOK == 0 {
            tally.looks += 1;
            tally.wrong_files += u64::from(store.generation_at_path()? != data.generation);
        }
    }
}
