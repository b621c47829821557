//! Removing what nobody needs any more.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::layout::{self, Place, read_header, read_space, read_state};
use super::{FileStore, Wanted};
use crate::store::namespace;

/// What a collection did, and what is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Collected {
    /// Files that were removed.
    pub removed: u64,
    /// Values that are left.
    pub values: u64,
    /// The bytes of their files.
    pub bytes: u64,
}

/// Between the creation of a file and its lock, it looks like one of the killed.
const GRACE: Duration = Duration::from_secs(10);

/// A value that may have to make room.
struct Candidate {
    placed: u64,
    bytes: u64,
    hash: u128,
}

impl FileStore {
    /// Removes what is past its end, what is broken, and what the killed have left. If there is a
    /// [limit](super::FileStoreBuilder::limit), it removes the oldest values until a tenth of the
    /// room is free.
    ///
    /// The store does this by itself now and then, in a write. It delays nobody for longer than the
    /// removal of one file takes.
    ///
    /// # Errors
    ///
    /// Those of reading the directory. Files that vanish meanwhile are no error.
    pub fn collect(&self) -> io::Result<Collected> {
        let mut collected = Collected::default();
        let mut candidates = Vec::new();
        for shard in 0..=u8::MAX {
            let shard = self.directory.join(layout::shard_name(shard));
            for path in files(&shard)? {
                self.collect_file(&path, &mut collected, &mut candidates)?;
            }
        }
        if self.limit.is_some_and(|limit| collected.bytes > limit) {
            let limit = self.limit.unwrap_or(u64::MAX);
            candidates.sort_by_key(|candidate| candidate.placed);
            for candidate in candidates {
                if collected.bytes <= limit - limit / 10 {
                    break;
                }
                let place = Place::of_hash(&self.directory, candidate.hash);
                let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
                let removed = self.disk.remove_value(&place.value())?;
                drop(stripe);
                collected.removed += u64::from(removed);
                collected.values -= 1;
                collected.bytes -= candidate.bytes;
            }
        }
        Ok(collected)
    }

    fn collect_file(
        &self,
        path: &Path,
        collected: &mut Collected,
        candidates: &mut Vec<Candidate>,
    ) -> io::Result<()> {
        let Some((hash, end)) = parts(path) else {
            return Ok(());
        };
        let place = Place::of_hash(&self.directory, hash);
        let now = self.now();
        let removed = match end {
            "val" => {
                let wanted = self.wanted(path, now)?;
                if let Wanted::Yes { placed, bytes } = wanted {
                    collected.values += 1;
                    collected.bytes += bytes;
                    candidates.push(Candidate {
                        placed,
                        bytes,
                        hash,
                    });
                    false
                } else {
                    let _stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
                    // It may have been replaced meanwhile.
                    let still = self.wanted(path, now)? == Wanted::No;
                    still && self.disk.remove_value(path)?
                }
            }
            "st" => {
                let _stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
                let state = read_state(path)?.at(now);
                let idle = state.is_idle(now) || !self.is_alive(&place.own(state.generation))?;
                let idle = idle && now >= state.worth_until && !place.value().exists();
                idle && self.disk.remove_state(path)?
            }
            end if end.ends_with("own") => {
                let _stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
                !self.is_alive(path)? && self.disk.remove_own(path)?
            }
            end if end.ends_with("tmp") => is_abandoned(path)? && self.disk.remove_temp(path)?,
            _ => false,
        };
        collected.removed += u64::from(removed);
        Ok(())
    }

    /// Whether a value file is any good.
    fn wanted(&self, path: &Path, now: u64) -> io::Result<Wanted> {
        let header = match read_header(path, self.max_value) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Wanted::Gone),
            other => other?,
        };
        let Some((header, name)) = header else {
            return Ok(Wanted::No);
        };
        let space = match namespace(&name) {
            Some(namespace) => {
                read_space(&Place::of_namespace(&self.directory, namespace).space())?
            }
            None => return Ok(Wanted::No),
        };
        let head = space.head(header.head.at(now));
        let kept = head.is_some_and(|head| head.is_kept(now));
        Ok(match kept {
            true => Wanted::Yes {
                placed: header.head.placed,
                bytes: header.payload + header.key + layout::HEADER as u64,
            },
            false => Wanted::No,
        })
    }
}

/// Whether the writer of a temporary file is gone.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let changed = file.metadata()?.modified()?;
    let age = SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default();
    match file.try_lock_shared() {
        Ok(()) => Ok(age > GRACE),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// The hash that a file belongs to, and the end of its name.
fn parts(path: &Path) -> Option<(u128, &str)> {
    let (hash, end) = path.file_name()?.to_str()?.split_once('.')?;
    let hash = u128::from_str_radix(hash, 16).ok()?;
    Some((hash, end))
}
