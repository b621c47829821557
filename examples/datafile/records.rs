//! What is in the files: entries of some words each, the lowest byte of a word first.

use std::array;

/// How many records a data file has.
pub(crate) const COUNT: u64 = 1 << 15;

/// Words of a record: its number, its generation, five of content, and the checksum of all these.
pub(crate) const WORDS: usize = 8;

pub(crate) type Record = [u64; WORDS];

/// The record of this number, as it is in the data file of this generation.
pub(crate) fn record(number: u64, generation: u64) -> Record {
    let mut record = array::from_fn(|word| checksum(&[number, generation, word as u64]));
    record[0] = number;
    record[1] = generation;
    record[WORDS - 1] = checksum(&record[..WORDS - 1]);
    record
}

pub(crate) fn is_right(record: &Record, number: u64, generation: u64) -> bool {
    let sum = checksum(&record[..WORDS - 1]);
    (record[0], record[1], record[WORDS - 1]) == (number, generation, sum)
}

fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(1, |sum: u64, word| {
        (sum.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// The entry of the index: the generation, and where in the data file the record of this number is.
pub(crate) fn index_entry(number: u64, generation: u64) -> [u64; 2] {
    [generation, swap(number, generation)]
}

/// The place of a number, and just as well the number in a place: another one in each generation.
pub(crate) fn swap(number: u64, generation: u64) -> u64 {
    number ^ (generation * 4099 % COUNT)
}

/// Entries as they are in a file.
pub(crate) fn bytes<const N: usize>(entries: impl Iterator<Item = [u64; N]>) -> Vec<u8> {
    entries.flatten().flat_map(u64::to_le_bytes).collect()
}

/// The entry in this place of a file; `None` if the file ends before.
pub(crate) fn entry<const N: usize>(file: &[u8], place: u64) -> Option<[u64; N]> {
    let start = usize::try_from(place).ok()?.checked_mul(N * 8)?;
    let (words, _) = file.get(start..)?.get(..N * 8)?.as_chunks();
    Some(array::from_fn(|word| u64::from_le_bytes(words[word])))
}
