//! Where a record lies, and how its two files are written.
//!
//! `<hash>.val` is the value: a header, the payload, the key. `<hash>.st` is the state: the last
//! number, the lease, the quiet. `<hash>.<number>.own` is locked by the owner of that lease. Of a
//! namespace that was invalidated as a whole `<hash>.ns` is the generation.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::record::{Head, Space, State};
use crate::store::{Key, Version};
use crate::sum::checksum;

const STRIPES: u64 = 64;
const VALUE_MAGIC: u64 = u64::from_le_bytes(*b"dogpile1");
const STATE_MAGIC: u64 = u64::from_le_bytes(*b"dogstat1");
const SPACE_MAGIC: u64 = u64::from_le_bytes(*b"dogname1");
const WORD: usize = 8;
pub(super) const HEADER: usize = 11 * WORD;
const STATE: usize = 11 * WORD;
const SPACE: usize = 4 * WORD;

/// The paths of one record.
pub(super) struct Place {
    pub(super) stem: PathBuf,
    pub(super) stripe: PathBuf,
}

impl Place {
    pub(super) fn new(directory: &Path, key: &Key) -> Self {
        Self::of_hash(directory, hash(key.as_bytes()))
    }

    /// Of a namespace. Two with one hash are invalidated together, which costs a creation more.
    pub(super) fn of_namespace(directory: &Path, namespace: &str) -> Self {
        Self::of_hash(directory, hash(namespace.as_bytes()))
    }

    pub(super) fn of_hash(directory: &Path, hash: u128) -> Self {
        let stem = directory
            .join(shard_name(hash as u8))
            .join(format!("{hash:032x}"));
        let stripe = (hash >> 8) as u64 % STRIPES;
        Self {
            stem,
            stripe: directory.join("stripes").join(format!("{stripe:02}")),
        }
    }

    pub(super) fn value(&self) -> PathBuf {
        with_end(&self.stem, "val")
    }

    pub(super) fn state(&self) -> PathBuf {
        with_end(&self.stem, "st")
    }

    pub(super) fn space(&self) -> PathBuf {
        with_end(&self.stem, "ns")
    }

    pub(super) fn own(&self, number: u64) -> PathBuf {
        with_end(&self.stem, &format!("{number}.own"))
    }
}

pub(super) fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

pub(super) fn with_end(stem: &Path, end: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// FNV-1a of 128 bits. The key stands in the file, so that two with one hash are told apart.
fn hash(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    bytes.iter().fold(OFFSET, step)
}

fn write_words<const LENGTH: usize>(words: &[u64]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for (place, word) in bytes.chunks_exact_mut(WORD).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let sum = checksum(0, &bytes[..LENGTH - WORD]);
    bytes[LENGTH - WORD..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// `None`: the bytes are not what was written.
fn read_words<const LENGTH: usize>(bytes: &[u8; LENGTH], magic: u64) -> Option<Vec<u64>> {
    let words = bytes.chunks_exact(WORD);
    let words: Vec<_> = words
        .map(|word| u64::from_le_bytes(word.try_into().expect("a word")))
        .collect();
    let whole = words.last() == Some(&checksum(0, &bytes[..LENGTH - WORD]));
    // A number beyond this was never given out: the next one would have to begin anew.
    let known = words[1] <= u64::MAX / 2;
    (whole && words[0] == magic && known).then_some(words)
}

/// The sum that a header carries of what stands behind it.
pub(super) fn body_sum(payload: &[u8], key: &Key) -> u64 {
    checksum(checksum(1, payload), key.as_bytes())
}

/// The header of a value file.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) head: Head,
    pub(super) payload: u64,
    pub(super) key: u64,
    pub(super) sum: u64,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let head = self.head;
        // Nanoseconds since 1970, which may lie before it.
        let made = i64::try_from(head.made).unwrap_or(i64::MIN) as u64;
        let kept_until = head.kept_until;
        // The lowest bit is no loss to a time in nanoseconds.
        let fresh_until = head.fresh_until & !1 | u64::from(head.expired);
        write_words(&[
            VALUE_MAGIC,
            head.version,
            made,
            head.placed,
            fresh_until,
            kept_until,
            self.payload,
            self.key,
            self.sum,
            head.space,
        ])
    }

    /// How long the file is. `None`: no file is so long.
    fn length(&self) -> Option<u64> {
        (HEADER as u64)
            .checked_add(self.payload)?
            .checked_add(self.key)
    }

    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let words = read_words(bytes, VALUE_MAGIC)?;
        Some(Self {
            head: Head {
                version: words[1],
                made: i128::from(words[2] as i64),
                placed: words[3],
                fresh_until: words[4] & !1,
                kept_until: words[5],
                expired: words[4] & 1 == 1,
                space: words[9],
            },
            payload: words[6],
            key: words[7],
            sum: words[8],
        })
    }
}

/// What is wanted of a value file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Its header alone.
    Header,
    /// The payload too, unless it is of this version.
    Unless(Version),
}

/// What a value file holds.
pub(super) enum Content {
    /// There is none.
    Nothing,
    /// It is not what was written, or belongs to another key.
    Corrupt,
    Value(Header, Option<Vec<u8>>),
}

/// Reads a value of up to `most` bytes without a lock: a file under this name is never changed, only
/// replaced.
pub(super) fn read_value(path: &Path, key: &Key, want: Want, most: u64) -> io::Result<Content> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::Nothing),
        other => other?,
    };
    let length = file.metadata()?.len();
    let mut bytes = [0; HEADER];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Content::Corrupt),
        other => other?,
    }
    let Some(header) = Header::read(&bytes) else {
        return Ok(Content::Corrupt);
    };
    let name = key.as_bytes();
    let whole = header.length() == Some(length);
    if !whole || header.key != name.len() as u64 || header.payload > most {
        return Ok(Content::Corrupt);
    }
    // What this process read of this version before was whole.
    if want == Want::Header || want == Want::Unless(Version(header.head.version)) {
        return Ok(Content::Value(header, None));
    }
    let left = length - HEADER as u64;
    let mut body = Vec::with_capacity(left as usize);
    // One that others let grow meanwhile is not read for ever.
    file.take(left + 1).read_to_end(&mut body)?;
    let payload = header.payload as usize;
    if body.len() != payload + name.len() || &body[payload..] != name {
        return Ok(Content::Corrupt);
    }
    body.truncate(payload);
    match body_sum(&body, key) == header.sum {
        true => Ok(Content::Value(header, Some(body))),
        false => Ok(Content::Corrupt),
    }
}

/// The header of a value, whosever it is, and the name of its key, of up to `most` bytes. `None`: it is
/// not whole.
pub(super) fn read_header(path: &Path, most: u64) -> io::Result<Option<(Header, Vec<u8>)>> {
    let mut file = File::open(path)?;
    let mut bytes = [0; HEADER];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let Some(header) = Header::read(&bytes) else {
        return Ok(None);
    };
    if header.key > most || header.length() != Some(file.metadata()?.len()) {
        return Ok(None);
    }
    let mut name = Vec::new();
    file.seek(SeekFrom::Start(
        (HEADER as u64).saturating_add(header.payload),
    ))?;
    file.take(header.key).read_to_end(&mut name)?;
    Ok((name.len() as u64 == header.key).then_some((header, name)))
}

pub(super) fn space_bytes(space: &Space) -> [u8; SPACE] {
    write_words(&[SPACE_MAGIC, space.generation, space.removed])
}

/// The first bytes of a file, which is written in its place: what others put behind them stays there.
fn read_first(path: &Path, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let file = File::open(path)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The generation of a namespace. None was ever invalidated as a whole whose file is missing.
pub(super) fn read_space(path: &Path) -> io::Result<Space> {
    let bytes = match read_first(path, SPACE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Space::default()),
        other => other?,
    };
    let whole: Option<&[u8; SPACE]> = bytes.as_slice().try_into().ok();
    let words = whole.and_then(|bytes| read_words(bytes, SPACE_MAGIC));
    // Of one that is torn nobody knows which generation it was: a new one, that is the same to all who
    // read these bytes. So what was there before is gone, and what comes after is kept.
    let torn = || checksum(2, &bytes) >> 1 | 1;
    Ok(words.map_or_else(
        || Space {
            generation: torn(),
            removed: torn(),
        },
        |words| Space {
            generation: words[1],
            removed: words[2],
        },
    ))
}

pub(super) fn state_bytes(state: &State) -> [u8; STATE] {
    write_words(&[
        STATE_MAGIC,
        state.generation,
        state.owner as u64,
        (state.owner >> 64) as u64,
        state.until,
        state.began,
        state.quiet_until,
        u64::from(state.failures),
        state.worth_until,
        state.space,
    ])
}

/// The state, or that of a record that nobody knows if the file is missing or torn.
pub(super) fn read_state(path: &Path) -> io::Result<State> {
    let bytes = match read_first(path, STATE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
        other => other?,
    };
    let bytes: Option<&[u8; STATE]> = bytes.as_slice().try_into().ok();
    let words = bytes.and_then(|bytes| read_words(bytes, STATE_MAGIC));
    Ok(words.map_or_else(State::default, |words| State {
        generation: words[1],
        owner: u128::from(words[2]) | u128::from(words[3]) << 64,
        until: words[4],
        began: words[5],
        quiet_until: words[6],
        failures: words[7] as u32,
        worth_until: words[8],
        space: words[9],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_states_come_back() {
        let head = Head {
            version: 7,
            made: -5,
            placed: 9,
            fresh_until: 10,
            kept_until: u64::MAX,
            expired: true,
            space: 11,
        };
        let header = Header {
            head,
            payload: 3,
            key: 4,
            sum: 5,
        };
        assert_eq!(Header::read(&header.bytes()).unwrap().head, head);
        let mut torn = header.bytes();
        torn[70] ^= 1;
        assert!(Header::read(&torn).is_none());
    }
}
