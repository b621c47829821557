//! The data file, the index, and the pile that has the map of the data file: the part of the
//! program that the example is about.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use dogpile::{Created, Creating, Error, ReadGuard, SyncReaderDogpile};
use memmap2::Mmap;

use crate::records::{self, COUNT, Record, bytes, entry};

/// How long a data file is good for.
pub(crate) const TTL: Duration = Duration::from_millis(50);

/// Where the records come from is slow: it sends them in parts, and takes a pause before each.
const PARTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(15);

/// How long it takes to prepare a data file, at least.
pub(crate) const LEAST: Duration = PAUSE.saturating_mul(PARTS);

/// The value in the pile: a data file.
pub(crate) struct Data {
    pub(crate) map: Mmap,
    pub(crate) generation: u64,
    /// How long its creator waited for the readers of the one before.
    pub(crate) waited: Duration,
}

pub(crate) struct Store {
    pile: SyncReaderDogpile<Data>,
    data_path: PathBuf,
    index_path: PathBuf,
    /// Mapped once: the index is rewritten in place.
    index: Mmap,
}

impl Store {
    /// With a first data file.
    pub(crate) fn create(folder: &Folder) -> io::Result<Self> {
        let index_path = folder.0.join("index");
        fs::write(&index_path, bytes((0..COUNT).map(|_| [0; 2])))?;
        let store = Self {
            pile: SyncReaderDogpile::new(TTL),
            data_path: folder.0.join("data"),
            index: map(&index_path)?,
            index_path,
        };
        drop(store.data().map_err(io::Error::other)?);
        Ok(store)
    }

    /// The data file, for as long as somebody reads it.
    pub(crate) fn data(&self) -> Result<ReadGuard<'_, Data>, Error<io::Error>> {
        self.pile
            .get_or_try_create_with(|creating| self.replace(&creating))
    }

    fn replace(&self, creating: &Creating<'_, Data>) -> io::Result<Created<Data>> {
        // Slow, while others read the old files ...
        let generation = creating.previous().map_or(1, |old| old.generation + 1);
        let next_path = self.data_path.with_extension("new");
        self.prepare(&next_path, generation)?;
        let index = bytes((0..COUNT).map(|number| records::index_entry(number, generation)));

        // ... and quick, while nobody reads.
        let asked = Instant::now();
        let write = self.pile.acquire_write_lock().map_err(io::Error::other)?;
        let waited = asked.elapsed();
        let mut index_file = OpenOptions::new().write(true).open(&self.index_path)?;
        index_file.write_all(&index)?;
        fs::rename(&next_path, &self.data_path)?;
        let map = map(&self.data_path)?;
        write.until_published(creating);
        Ok(Created::new(Data {
            map,
            generation,
            waited,
        }))
    }

    fn prepare(&self, path: &Path, generation: u64) -> io::Result<()> {
        let mut file = File::create(path)?;
        let part = COUNT / u64::from(PARTS);
        for start in (0..COUNT).step_by(part as usize) {
            thread::sleep(PAUSE);
            let records = (start..start + part)
                .map(|place| records::record(records::swap(place, generation), generation));
            file.write_all(&bytes(records))?;
        }
        Ok(())
    }

    /// The entry of the index for this number. It takes a guard, without which somebody might be
    /// rewriting the index.
    pub(crate) fn look_up(&self, _data: &ReadGuard<'_, Data>, number: u64) -> Option<[u64; 2]> {
        entry(&self.index, number)
    }

    /// Which data file is at the path.
    pub(crate) fn generation_at_path(&self) -> io::Result<u64> {
        let mut first = [0; size_of::<Record>()];
        File::open(&self.data_path)?.read_exact(&mut first)?;
        let [_, generation] = entry(&first, 0).unwrap_or_default();
        Ok(generation)
    }
}

fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: what is mapped must not change while somebody looks at it. Data files are not written
    // to once they are mapped. The index is, under the write lock, when nobody has a guard, and it
    // is looked at under a guard only. Other processes have no business in the folder.
    #[allow(unsafe_code)]
    unsafe {
        Mmap::map(&file)
    }
}

/// A folder of our own for the files, removed in the end whatever happens.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("dogpile-datafile-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}
