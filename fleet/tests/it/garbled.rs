//! Files that hold anything at all: no panic, no error, no value but one that was written, and no more
//! memory than the largest value takes. Some are torn, and some have a right checksum over absurd numbers.
//!
//! `DOGPILE_FUZZ_SECONDS` makes the search go on for so long, with other seeds each time.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dogpile_fleet::record::checksum;
use dogpile_fleet::{
    Ask, Depth, FileStore, Found, Grant, Guarded, Key, Owner, Placed, Put, Store, Version,
};
use herd::Scratch;

const MOST: usize = 1 << 16;
const SECOND: Duration = Duration::from_secs(1);

/// Numbers that follow from a seed.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn number(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_nanos() as u64;
        let known = [
            0,
            1,
            MOST as u64,
            1 << 31,
            1 << 40,
            1 << 62,
            1 << 63,
            u64::MAX,
            now,
            now * 2,
        ];
        match self.below(3) {
            0 => self.next(),
            1 => now
                .wrapping_add(self.next() % 1_000_000_000_000)
                .wrapping_sub(500_000_000_000),
            _ => known[self.below(known.len())],
        }
    }
}

/// All files of the directory that a store reads.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for shard in fs::read_dir(directory).unwrap().flatten() {
        let Ok(entries) = fs::read_dir(shard.path()) else {
            continue;
        };
        let paths = entries.flatten().map(|entry| entry.path());
        files.extend(paths.filter(|path| {
            let end = path.extension().and_then(|end| end.to_str());
            matches!(end, Some("val" | "st" | "ns"))
        }));
    }
    files.sort();
    files
}

/// Does a file harm in one way or another.
fn garble(path: &Path, draw: &mut Draw) {
    // One that was made larger than memory stays so.
    if fs::metadata(path).unwrap().len() > 1 << 20 {
        return;
    }
    let mut bytes = fs::read(path).unwrap();
    match draw.below(8) {
        0 => bytes.truncate(draw.below(bytes.len())),
        1 => bytes.extend((0..draw.below(300)).map(|_| draw.next() as u8)),
        2 => {
            for _ in 0..1 + draw.below(4) {
                let at = draw.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw.below(8);
                }
            }
        }
        3 => bytes = (0..draw.below(400)).map(|_| draw.next() as u8).collect(),
        // One that is larger than any machine's memory, and takes no room on the disk.
        4 => {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(1 << 40).unwrap();
            return with_length(path, 1 << 40);
        }
        // A right checksum over other numbers.
        _ => {
            for _ in 0..1 + draw.below(3) {
                let number = draw.number();
                let word = draw.below(11);
                set_word(&mut bytes, word, number);
            }
            sum(path, &mut bytes);
        }
    }
    fs::write(path, bytes).unwrap();
}

fn set_word(bytes: &mut [u8], word: usize, number: u64) {
    if let Some(place) = bytes.get_mut(word * 8..word * 8 + 8) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// The sum of a header stands in its last word.
fn sum(path: &Path, bytes: &mut [u8]) {
    let length = if path.extension().is_some_and(|end| end == "ns") {
        32
    } else {
        88
    };
    if bytes.len() >= length {
        let sum = checksum(0, &bytes[..length - 8]);
        set_word(bytes, length / 8 - 1, sum);
    }
}

/// A header that says that the value is as long as the file.
fn with_length(path: &Path, length: u64) {
    use std::os::unix::fs::FileExt;
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut header = [0; 88];
    file.read_exact_at(&mut header, 0).unwrap();
    let key = u64::from_le_bytes(header[56..64].try_into().unwrap());
    if path.extension().is_some_and(|end| end == "val") {
        set_word(&mut header, 6, length - 88 - key.min(1 << 20));
        sum(path, &mut header);
        file.write_all_at(&header, 0).unwrap();
    }
}

/// Everything that a store can be asked to do with a record.
fn use_it(store: &FileStore, key: &Key, draw: &mut Draw) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let text = |error: dogpile_fleet::StoreError| error.to_string();
    for _ in 0..1 + draw.below(4) {
        let owner = Owner(1 + u128::from(draw.next()));
        let ask = Ask {
            known: Version(draw.number()),
            floor: Version(if draw.below(4) == 0 { draw.number() } else { 0 }),
            ahead: draw.below(4) == 0,
            interval: SECOND * draw.below(2) as u32,
            ..Ask::lead(owner, SECOND)
        };
        let ask = if draw.below(3) == 0 { Ask::peek() } else { ask };
        let answer = store.get_or_lease(key, &ask).map_err(text)?;
        let put = |guard| Put {
            guard,
            bytes: b"new",
            age: Duration::ZERO,
            fresh_for: SECOND,
            keep_for: SECOND * 2,
        };
        if let Found::Leased { fence, .. } = &answer {
            let grant = Grant {
                owner,
                fence: *fence,
            };
            match draw.below(4) {
                0 => drop(store.renew(key, grant, SECOND).map_err(text)?),
                1 => drop(store.release(key, grant, SECOND).map_err(text)?),
                _ => {
                    let placed = store.put(key, &put(Guarded::Lease(grant))).map_err(text)?;
                    assert_eq!(placed, Placed::Stored(*fence));
                }
            }
        }
        found.push(answer);
        match draw.below(8) {
            0 => drop(store.put(key, &put(Guarded::Any)).map_err(text)?),
            1 => drop(store.put(key, &put(Guarded::Absent)).map_err(text)?),
            2 => drop(
                store
                    .invalidate(key, Depth::Soft, Version::NONE)
                    .map_err(text)?,
            ),
            3 => drop(
                store
                    .invalidate(key, Depth::Hard, Version(draw.number()))
                    .map_err(text)?,
            ),
            4 => store.invalidate_all("garbled", Depth::Soft).map_err(text)?,
            5 => drop(store.collect().map_err(|error| error.to_string())?),
            _ => {}
        }
    }
    Ok(found)
}

fn try_seed(seed: u64) {
    let mut draw = Draw(seed);
    let scratch = Scratch::new("dogpile-garbled");
    let builder = || FileStore::builder(scratch.path()).max_value(MOST as u64);
    let store = builder().open().unwrap();
    let key = Key::new("garbled", "key", 0);
    let value = vec![7; draw.below(500)];
    let put = Put {
        guard: Guarded::Any,
        bytes: &value,
        age: Duration::ZERO,
        fresh_for: SECOND * 60,
        keep_for: SECOND * 120,
    };
    store.invalidate_all("garbled", Depth::Soft).unwrap();
    store.put(&key, &put).unwrap();
    store
        .get_or_lease(&key, &Ask::lead(Owner::draw(), SECOND))
        .unwrap();
    for _ in 0..1 + draw.below(3) {
        let files = files(scratch.path());
        garble(&files[draw.below(files.len())], &mut draw);
    }
    // By a process of its own: what this one holds locked is let go.
    drop(store);
    let store = builder().open().unwrap();
    let mut found = Ok(Vec::new());
    let info = allocation_counter::measure(|| found = use_it(&store, &key, &mut draw));
    let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for stored in found.iter().filter_map(Found::stored) {
        let known = stored.bytes.as_ref();
        let known = known.is_none_or(|bytes| *bytes == value || bytes == b"new");
        assert!(known, "seed {seed}: a value that nobody wrote");
    }
    let most = 4 * MOST as u64 + (1 << 16);
    assert!(
        info.bytes_max <= most,
        "seed {seed}: {} bytes at once",
        info.bytes_max
    );
}

#[test]
fn no_file_makes_a_store_panic_fail_or_allocate_beyond_its_limit() {
    for seed in 0..100 {
        try_seed(seed);
    }
    let Ok(seconds) = std::env::var("DOGPILE_FUZZ_SECONDS") else {
        return;
    };
    let seconds = seconds.parse().expect("DOGPILE_FUZZ_SECONDS is a number");
    let begun = Instant::now();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = since.as_nanos() as u64;
    let mut tried = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        try_seed(first.wrapping_add(tried));
        tried += 1;
    }
    println!("{tried} garbled directories in {seconds} s, from seed {first}");
}
