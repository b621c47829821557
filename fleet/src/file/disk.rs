//! All that changes the directory: each act is a named [`Step`], at which a test may kill the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The acts by which a [`FileStore`](crate::FileStore) changes its directory.
///
/// Not for users: a test kills the process before each of them.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    MakeDirectory,
    OpenStripe,
    LockStripe,
    CreateTemp,
    LockTemp,
    WriteBody,
    CopyValue,
    WriteHeader,
    SyncTemp,
    RenameValue,
    SyncDirectory,
    RenameOwn,
    OpenState,
    WriteState,
    UnlockStripe,
    RemoveOwn,
    UnlockOwn,
    RemoveTemp,
    RemoveValue,
    RemoveState,
}

impl Step {
    /// All of them.
    pub const ALL: &[Step] = &[
        Step::MakeDirectory,
        Step::OpenStripe,
        Step::LockStripe,
        Step::CreateTemp,
        Step::LockTemp,
        Step::WriteBody,
        Step::CopyValue,
        Step::WriteHeader,
        Step::SyncTemp,
        Step::RenameValue,
        Step::SyncDirectory,
        Step::RenameOwn,
        Step::OpenState,
        Step::WriteState,
        Step::UnlockStripe,
        Step::RemoveOwn,
        Step::UnlockOwn,
        Step::RemoveTemp,
        Step::RemoveValue,
        Step::RemoveState,
    ];
}

pub(super) type Hook = Arc<dyn Fn(Step) + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) hook: Option<Hook>,
    /// Whether what was written survives the power.
    pub(super) durable: bool,
    temps: Arc<AtomicU64>,
}

/// A file that takes the place of another, or is removed. Locked while its writer lives.
pub(super) struct Temp<'a> {
    disk: &'a Disk,
    path: PathBuf,
    file: Option<File>,
}

/// A stripe, held locked. It is the lock of all records that fall on it.
pub(super) struct Stripe<'a> {
    disk: &'a Disk,
    file: Option<File>,
}

impl Disk {
    /// Does one act. Nothing else in this module and in those beside it changes the directory.
    fn act<T>(&self, step: Step, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if let Some(hook) = &self.hook {
            hook(step);
        }
        act()
    }

    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Step::MakeDirectory, || fs::create_dir_all(path))
    }

    /// Opens a file of a directory that may not be there yet, or not any more.
    fn open(&self, step: Step, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let open = || self.act(step, || options.open(path));
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = path.parent().ok_or(error)?;
                self.make_directory(parent)?;
                open()
            }
            other => other,
        }
    }

    /// Locks a stripe. Not without a limit: one who was stopped while holding it keeps it.
    pub(super) fn lock_stripe(&self, path: &Path, limit: Duration) -> io::Result<Stripe<'_>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = self.open(Step::OpenStripe, path, &options)?;
        let (begun, mut nap) = (Instant::now(), Duration::from_micros(20));
        self.act(Step::LockStripe, || {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::Error(error)) => return Err(error),
                    Err(TryLockError::WouldBlock) if begun.elapsed() >= limit => {
                        let text = "a stripe stays locked: is a process stopped that holds it?";
                        return Err(io::Error::new(ErrorKind::TimedOut, text));
                    }
                    Err(TryLockError::WouldBlock) => thread::sleep(nap),
                }
                nap = (nap * 2).min(Duration::from_millis(2));
            }
        })?;
        Ok(Stripe {
            disk: self,
            file: Some(file),
        })
    }

    /// A new file beside `stem`, locked so that the collection lets it be.
    pub(super) fn temp(&self, stem: &Path) -> io::Result<Temp<'_>> {
        let number = self.temps.fetch_add(1, Ordering::SeqCst);
        let path = super::layout::with_end(stem, &format!("{}.{number}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        options.create_new(true).read(true).write(true);
        let file = self.open(Step::CreateTemp, &path, &options)?;
        let temp = Temp {
            disk: self,
            path,
            file: Some(file),
        };
        self.act(Step::LockTemp, || temp.open_file().lock())?;
        Ok(temp)
    }

    /// Writes the few bytes of a state, in place.
    pub(super) fn write_state(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let mut file = self.open(Step::OpenState, path, &options)?;
        self.act(Step::WriteState, || {
            file.write_all(bytes)?;
            if self.durable {
                file.sync_all()
            } else {
                Ok(())
            }
        })
    }

    fn remove(&self, step: Step, path: &Path) -> io::Result<bool> {
        match self.act(step, || fs::remove_file(path)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_value(&self, path: &Path) -> io::Result<bool> {
        self.remove(Step::RemoveValue, path)
    }

    pub(super) fn remove_state(&self, path: &Path) -> io::Result<bool> {
        self.remove(Step::RemoveState, path)
    }

    pub(super) fn remove_own(&self, path: &Path) -> io::Result<bool> {
        self.remove(Step::RemoveOwn, path)
    }

    pub(super) fn remove_temp(&self, path: &Path) -> io::Result<bool> {
        self.remove(Step::RemoveTemp, path)
    }

    /// Tells the kernel that this owner is done.
    pub(super) fn unlock_own(&self, file: File) {
        // Closing cannot fail in a way that keeps the lock.
        let _ = self.act(Step::UnlockOwn, || {
            drop(file);
            Ok(())
        });
    }
}

impl Temp<'_> {
    fn open_file(&self) -> &File {
        self.file.as_ref().expect("it is open until it is renamed")
    }

    /// Writes room for the header, and what stands behind it.
    pub(super) fn write_body(&mut self, header: usize, parts: &[&[u8]]) -> io::Result<()> {
        let file = self.file.as_mut().expect("it is open");
        self.disk.act(Step::WriteBody, || {
            file.seek(SeekFrom::Start(header as u64))?;
            parts.iter().try_for_each(|part| file.write_all(part))
        })
    }

    /// Takes over all of another file.
    pub(super) fn copy_of(&mut self, path: &Path) -> io::Result<()> {
        let file = self.file.as_mut().expect("it is open");
        self.disk.act(Step::CopyValue, || {
            io::copy(&mut File::open(path)?, file).map(|_| ())
        })
    }

    pub(super) fn write_header(&mut self, header: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().expect("it is open");
        self.disk.act(Step::WriteHeader, || {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(header)
        })?;
        if self.disk.durable {
            self.disk
                .act(Step::SyncTemp, || self.open_file().sync_all())?;
        }
        Ok(())
    }

    /// Takes the place of the value, in one step that readers see whole or not at all.
    pub(super) fn replace_value(mut self, path: &Path) -> io::Result<()> {
        let disk = self.disk;
        disk.act(Step::RenameValue, || fs::rename(&self.path, path))?;
        self.file = None;
        if let (true, Some(parent)) = (disk.durable, path.parent()) {
            disk.act(Step::SyncDirectory, || File::open(parent)?.sync_all())?;
        }
        Ok(())
    }

    /// Becomes the file of an owner. It appears under that name locked.
    pub(super) fn become_own(mut self, path: &Path) -> io::Result<File> {
        let disk = self.disk;
        disk.act(Step::RenameOwn, || fs::rename(&self.path, path))?;
        Ok(self.file.take().expect("it is open until now"))
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What cannot be removed here is removed by the collection.
            let _ = self.disk.remove_temp(&self.path);
        }
    }
}

impl Drop for Stripe<'_> {
    fn drop(&mut self) {
        let file = self.file.take();
        let _ = self.disk.act(Step::UnlockStripe, || {
            drop(file);
            Ok(())
        });
    }
}
