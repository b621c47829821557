//! The connections to the file, and whether it is still the same file.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dogpile_fleet::{Answer, StoreError};
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::error::Done;
use crate::schema;

/// As many are open as threads ask at once, and some are kept for later.
pub(crate) struct Connections {
    pub(crate) path: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) max_file: Option<u64>,
    pub(crate) migrate: bool,
    pub(crate) keeps: usize,
    idle: Mutex<Vec<Open>>,
}

struct Open {
    connection: Connection,
    file: File,
}

/// Which file it is that the path names: device and number. A connection goes on with the file that it has
/// opened, though another one may have its name by now: then other processes would not see what it writes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct File(Option<(u64, u64)>);

impl Connections {
    pub(crate) fn new(
        path: PathBuf,
        timeout: Duration,
        max_file: Option<u64>,
        migrate: bool,
        keeps: usize,
    ) -> Self {
        Self {
            path,
            timeout,
            max_file,
            migrate,
            keeps,
            idle: Mutex::default(),
        }
    }

    /// Does this on a connection.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Done<T>) -> Answer<T> {
        let told = |trouble: crate::error::Trouble| trouble.told(&self.path);
        let mut open = self.take().map_err(told)?;
        let done = work(&mut open.connection);
        match &done {
            Err(trouble) if !trouble.spares_the_connection() => drop(open),
            _ => self.keep(open),
        }
        done.map_err(told)
    }

    fn take(&self) -> Done<Open> {
        let file = self.file();
        loop {
            let kept = self.idle().pop();
            match kept {
                Some(open) if open.file == file && file.is_there() => return Ok(open),
                // It is of a file that was removed or replaced.
                Some(open) => drop(open),
                None => return self.open(),
            }
        }
    }

    fn keep(&self, open: Open) {
        let mut idle = self.idle();
        if idle.len() < self.keeps {
            idle.push(open);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Open>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.idle().len()
    }

    fn open(&self) -> Done<Open> {
        // Where it is replaced in between, it is opened again.
        for _ in 0..10 {
            let before = self.file();
            let connection = self.connect()?;
            let after = self.file();
            if before == after || !before.is_there() {
                return Ok(Open {
                    connection,
                    file: after,
                });
            }
        }
        let path = self.path.display();
        let error = format!("{path} is replaced again and again while it is opened");
        Err(StoreError::unavailable(error).into())
    }

    fn connect(&self) -> Done<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, self.migrate);
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.timeout)?;
        // A file that may only be read was prepared by others, or was not.
        let writes = !connection.is_readonly(MAIN_DB)?;
        if writes {
            self.retried(|| self.use_wal(&connection))?;
            // What the last milliseconds before a power failure wrote may be lost, and nothing else.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        }
        if !self.retried(|| schema::is_there(&connection))? {
            if !writes || !self.migrate {
                return Err(schema::missing(&self.path).into());
            }
            self.retried(|| Ok(connection.execute_batch(schema::MIGRATION)?))?;
        }
        schema::check(&connection, &self.path)?;
        if let Some(bytes) = self.max_file {
            let size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / size;
            // What it answers is the limit: never less than what the file has already.
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(connection)
    }

    /// With a write-ahead log readers wait for nobody.
    fn use_wal(&self, connection: &Connection) -> Done<()> {
        let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let is = connection.pragma_query_value(None, "journal_mode", mode)?;
        if is == "wal" {
            return Ok(());
        }
        let is = connection.pragma_update_and_check(None, "journal_mode", "WAL", mode)?;
        if is == "wal" {
            return Ok(());
        }
        let path = self.path.display();
        let error = format!(
            "{path} has no write-ahead log (its journal mode is {is}): put it on a disk of this host, and not on a network file system"
        );
        Err(StoreError::refused(error).into())
    }

    /// Who opens a new file has to wait for others who do the same, and SQLite does not wait in each case by
    /// itself.
    fn retried<T>(&self, mut step: impl FnMut() -> Done<T>) -> Done<T> {
        let begun = Instant::now();
        loop {
            match step() {
                Err(trouble) if trouble.is_busy() && begun.elapsed() < self.timeout => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                done => return done,
            }
        }
    }

    #[cfg(unix)]
    fn file(&self) -> File {
        use std::os::unix::fs::MetadataExt;
        let file = fs::metadata(&self.path);
        File(file.ok().map(|file| (file.dev(), file.ino())))
    }

    /// An open file can neither be removed nor replaced here.
    #[cfg(not(unix))]
    fn file(&self) -> File {
        File(fs::metadata(&self.path).ok().map(|_| (0, 0)))
    }
}

impl File {
    fn is_there(self) -> bool {
        self.0.is_some()
    }
}
