//! Values that are files: too large to be copied into the memory of each process.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::Codec;
use crate::sum::checksum;

/// A directory of large files that are values: the codec of [`StoredFile`].
///
/// The store keeps the name, the length and a sum of a file, and each process opens the file by itself:
/// to read it in place, or to map it into memory. A file that anybody has open stays; others are
/// removed when they are older than [`keep`](Files::keep) and another one is stored.
///
/// # Example
///
/// ```
/// use std::io::Write;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::{FileStore, Files, FleetDogpile};
///
/// # let dir = std::env::temp_dir().join(format!("dogpile-large-{}", std::process::id()));
/// let store = Arc::new(FileStore::open(&dir)?);
/// let files = Files::open(dir.join("files"))?.keep(Duration::from_secs(7200));
/// let index = FleetDogpile::builder(store, "index", Duration::from_secs(3600))
///     .codec(files.clone())
///     .build();
/// let built = index.get_or_try_create(|_| {
///     let mut new = files.create()?;
///     new.write_all(b"fifty megabytes, say")?;
///     new.finish()
/// })?;
/// assert_eq!(built.len(), 20);
/// let text = std::fs::read_to_string(built.path())?;
/// assert_eq!(text, "fifty megabytes, say");
/// # drop(built);
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
    keep: Duration,
}

/// A file that is a value: open, and not removed while it is.
#[derive(Debug)]
pub struct StoredFile {
    path: PathBuf,
    file: File,
    length: u64,
}

/// A file that is being made. Dropped unfinished, it is removed.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: Option<File>,
}

/// How much of both ends of a file is summed. Whoever reads the whole file checks what is between.
const END: u64 = 1 << 16;

impl Files {
    /// The files of this directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// If it can be neither found nor made.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            keep: Duration::from_secs(24 * 3600),
        })
    }

    /// For how long a file is kept that nobody has open: no less than a value is kept, its ttl and its
    /// limits together. Default: a day. A file that is missing is a miss.
    pub fn keep(mut self, span: Duration) -> Self {
        self.keep = span;
        self
    }

    /// A new file to be written.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(&self) -> io::Result<NewFile> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let number = FILES.fetch_add(1, Ordering::SeqCst);
        let name = format!("{:x}-{}-{number}", now.as_nanos(), std::process::id());
        let path = self.directory.join(name);
        let mut options = OpenOptions::new();
        let file = options
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)?;
        file.lock_shared()?;
        Ok(NewFile {
            path,
            file: Some(file),
        })
    }

    /// Removes the files that are old, and that nobody has open. Says how many.
    ///
    /// # Errors
    ///
    /// Those of reading the directory.
    pub fn collect(&self) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(file) = File::open(entry.path()) else {
                continue;
            };
            let age = SystemTime::now().duration_since(file.metadata()?.modified()?);
            let old = age.is_ok_and(|age| age > self.keep);
            // Whoever has it open holds it locked.
            if old && file.try_lock().is_ok() && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open_file().flush()
    }
}

impl NewFile {
    fn open_file(&mut self) -> &mut File {
        self.file.as_mut().expect("it is open until it is finished")
    }

    /// Where it is, for whoever writes it by its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file is complete.
    ///
    /// # Errors
    ///
    /// If its length cannot be told.
    pub fn finish(mut self) -> io::Result<StoredFile> {
        let length = self.open_file().metadata()?.len();
        Ok(StoredFile {
            path: self.path.clone(),
            file: self.file.take().expect("it is open"),
            length,
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What cannot be removed here is removed when it is old.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl StoredFile {
    /// Where it is. It may be removed from there, while the open file stays readable.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, to be read in place or mapped. Do not write to it: others read it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How long it is.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A sum of its length and both its ends.
    fn sum(&self) -> io::Result<u64> {
        let mut file = File::open(&self.path)?;
        let mut ends = Vec::new();
        Read::by_ref(&mut file).take(END).read_to_end(&mut ends)?;
        file.seek(SeekFrom::Start(self.length.saturating_sub(END)))?;
        file.take(END).read_to_end(&mut ends)?;
        Ok(checksum(self.length, &ends))
    }
}

impl fmt::Display for StoredFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Codec<StoredFile> for Files {
    const FORMAT: u32 = 4;
    type Error = io::Error;

    fn encode(&self, value: &StoredFile) -> io::Result<Vec<u8>> {
        let name = value.path.strip_prefix(&self.directory);
        let name = name.ok().and_then(Path::to_str);
        let Some(name) = name else {
            let text = "the file is not one of this directory";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let mut bytes = value.length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&value.sum()?.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        // Those that this one replaces may be old by now. What fails here is done the next time.
        let _ = self.collect();
        Ok(bytes)
    }

    fn decode(&self, bytes: Vec<u8>) -> io::Result<StoredFile> {
        let bad = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| bad("too short"))?;
        let (sum, name) = rest.split_first_chunk().ok_or_else(|| bad("too short"))?;
        let name = std::str::from_utf8(name).map_err(|_| bad("no name"))?;
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(bad("no name of a file here"));
        }
        let path = self.directory.join(name);
        let file = File::open(&path)?;
        // It is being removed.
        file.try_lock_shared().map_err(|_| bad("it is locked"))?;
        let stored = StoredFile {
            length: u64::from_le_bytes(*length),
            path,
            file,
        };
        let whole = stored.file.metadata()?.len() == stored.length
            && stored.sum()? == u64::from_le_bytes(*sum);
        match whole {
            true => Ok(stored),
            false => Err(bad("it is not what was written")),
        }
    }
}
