//! A store in a directory, which the processes of one host share.

mod collect;
mod disk;
mod large;
mod layout;
mod sleepers;

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dogpile::{Clock, Tick};

pub use self::collect::Collected;
#[doc(hidden)]
pub use self::disk::Step;
use self::disk::{Disk, Hook};
pub use self::large::{Files, NewFile, StoredFile};
use self::layout::{
    Content, HEADER, Header, Place, Want, body_sum, read_space, read_state, read_value,
};
use self::sleepers::Sleepers;
use crate::record::{Decision, Head, Space, State, invalidated};
use crate::store::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Key, MAX_VALUE, Owner, Placed,
    Put, Store, StoreError, Version,
};

/// A store in a directory, which any number of processes of one host share, of one program or of
/// several.
///
/// - Readers take no lock. A value is replaced as a whole, by a rename.
/// - The kernel sees the death of a creator: it frees the lock that the creator held, and one of those
///   who wait takes over within milliseconds. A lease need not be renewed.
/// - Files that are torn, foreign or of a later format count as no value; see
///   [`corrupt`](FileStore::corrupt).
/// - Values that are past their end, and what the killed have left, are [collected](FileStore::collect).
///
/// # What it asks of the directory
///
/// A local file system. On a network file system locks and renames may misbehave; nothing is promised
/// there. A process that is stopped within one of the few steps under a lock holds up writers of other
/// keys too, for [`patience`](FileStoreBuilder::patience) at most, and no reader.
///
/// The times in the files are those of the host's wall clock. If the clock is put back, values from
/// the future are renewed, and leases end no later than they were to last. A child made by `fork`
/// without `exec` inherits the locks: if its parent dies while it lives, a lease of the parent lasts
/// until its end.
pub struct FileStore {
    directory: PathBuf,
    disk: Disk,
    clock: Arc<dyn Clock>,
    max_value: u64,
    limit: Option<u64>,
    patience: Duration,
    /// The files of the leases that are held here, locked.
    owned: Mutex<HashMap<PathBuf, (Owner, File)>>,
    sleepers: Sleepers,
    corrupt: AtomicU64,
    /// What was written since the last collection.
    uncollected: Mutex<(u32, u64)>,
}

/// The settings of a [`FileStore`].
#[must_use = "a builder does nothing until the store is opened"]
pub struct FileStoreBuilder {
    directory: PathBuf,
    disk: Disk,
    clock: Arc<dyn Clock>,
    max_value: u64,
    limit: Option<u64>,
    patience: Duration,
}

impl FileStoreBuilder {
    /// Refuses values of more than `bytes`, and takes those that another process has stored for none.
    /// Default: 256 MiB. Each process that reads a value has a copy of it in memory; a larger one is
    /// better kept as a file, with [`Files`].
    pub fn max_value(mut self, bytes: u64) -> Self {
        self.max_value = bytes;
        self
    }

    /// How many bytes the values may take together. Default: without limit.
    ///
    /// It is checked now and then: between two checks a quarter more may be taken.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// How long a write waits for a process that is stopped within a step. Default: 2 s.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Whether what was stored survives a loss of power. Default: it need not, since the checksums
    /// tell. It costs several flushes of the disk for each write.
    pub fn durable(mut self, durable: bool) -> Self {
        self.disk.durable = durable;
        self
    }

    /// A clock that says the nanoseconds since 1970, the same in all processes. Default: the host's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// For tests: runs `hook` before each act that changes the directory.
    #[doc(hidden)]
    pub fn before_each_step(mut self, hook: impl Fn(Step) + Send + Sync + 'static) -> Self {
        let hook: Hook = Arc::new(hook);
        self.disk.hook = Some(hook);
        self
    }

    /// Opens the store, and makes the directory if it is missing.
    ///
    /// # Errors
    ///
    /// If the directory can be neither found nor made.
    pub fn open(self) -> io::Result<FileStore> {
        if !self.directory.is_dir() {
            self.disk.make_directory(&self.directory)?;
        }
        Ok(FileStore {
            directory: self.directory,
            disk: self.disk,
            clock: self.clock,
            max_value: self.max_value,
            limit: self.limit,
            patience: self.patience,
            owned: Mutex::default(),
            sleepers: Sleepers::default(),
            corrupt: AtomicU64::new(0),
            uncollected: Mutex::default(),
        })
    }
}

impl fmt::Debug for FileStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreBuilder")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Whether a value file is worth its room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes { placed: u64, bytes: u64 },
    No,
    Gone,
}

/// The host's clock, which all its processes share.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Tick {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = now.unwrap_or_default().as_nanos();
        Tick::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What the kernel says, as the store says it.
fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory => StoreError::refused(error),
        _ => StoreError::unavailable(error),
    }
}

/// A value as it was read, if it is there and not past its end.
type Value = Option<(Head, Option<Vec<u8>>)>;

/// What is left of it in its namespace.
fn in_space(value: Value, space: Space) -> Value {
    value.and_then(|(head, bytes)| Some((space.head(head)?, bytes)))
}

impl FileStore {
    /// A store in this directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// If the directory can be neither found nor made.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        Self::builder(directory).open()
    }

    /// A store in this directory, with settings.
    pub fn builder(directory: impl Into<PathBuf>) -> FileStoreBuilder {
        FileStoreBuilder {
            directory: directory.into(),
            disk: Disk::default(),
            clock: Arc::new(WallClock),
            max_value: MAX_VALUE,
            limit: None,
            patience: Duration::from_secs(2),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How often a value was found torn, garbled, foreign or of a later format, and counted as none.
    pub fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::SeqCst)
    }

    /// The file of a key's value, for tests that do it harm.
    #[doc(hidden)]
    pub fn value_path(&self, key: &Key) -> PathBuf {
        self.place(key).value()
    }

    fn place(&self, key: &Key) -> Place {
        Place::new(&self.directory, key)
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn read(&self, place: &Place, key: &Key, want: Want, now: u64) -> io::Result<Value> {
        match read_value(&place.value(), key, want, self.max_value)? {
            Content::Nothing => Ok(None),
            Content::Corrupt => {
                self.corrupt.fetch_add(1, Ordering::SeqCst);
                Ok(None)
            }
            Content::Value(header, bytes) => {
                let head = header.head.at(now);
                Ok(head.is_kept(now).then_some((head, bytes)))
            }
        }
    }

    /// The generation of the key's namespace.
    ///
    /// Whoever holds the stripe of the key reads it once. Whoever holds no lock reads it after the value
    /// and the state: else it may know less than they do.
    fn space(&self, key: &Key) -> io::Result<Space> {
        read_space(&Place::of_namespace(&self.directory, key.namespace()).space())
    }

    /// The state, its lease over if its owner is dead; and whether it is to be written, since the
    /// clock was put back or the namespace was invalidated.
    fn state(
        &self,
        place: &Place,
        space: impl FnOnce() -> io::Result<Space>,
        now: u64,
    ) -> io::Result<(State, Space, bool)> {
        let written = read_state(&place.state())?;
        let space = space()?;
        let mut state = space.state(written.at(now));
        let moved = state != written;
        if state.is_leased(now) && !self.is_alive(&place.own(state.generation))? {
            state.until = now;
        }
        Ok((state, space, moved))
    }

    fn write_state(&self, place: &Place, state: &State) -> io::Result<()> {
        self.disk
            .write_state(&place.state(), &layout::state_bytes(state))
    }

    /// Above all that were. With the clock in it, also above those of files that were removed.
    fn next(state: &State, value: Option<&Head>, now: u64) -> u64 {
        let version = value.map_or(0, |head| head.version);
        (now / 1000).max(state.generation + 1).max(version + 1)
    }

    fn owned(&self) -> MutexGuard<'_, HashMap<PathBuf, (Owner, File)>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process holds this owner's file locked.
    fn is_alive(&self, path: &Path) -> io::Result<bool> {
        if self.owned().contains_key(path) {
            return Ok(true);
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        // Shared: so that those who look do not take each other for the owner.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Ends what there is of a lease besides the state: whoever sleeps for it wakes.
    fn let_go(&self, path: &Path) {
        // What cannot be removed is removed by the collection.
        let _ = self.disk.remove_own(path);
        let owned = self.owned().remove(path);
        if let Some((_, file)) = owned {
            self.disk.unlock_own(file);
        }
    }

    /// The same by one who may have lost it, or never held it: its own lease and no other.
    fn let_go_own(&self, path: &Path, owner: Owner) {
        let own = self.owned().get(path).is_some_and(|(of, _)| *of == owner);
        if own {
            self.let_go(path);
        }
    }

    fn look(&self, key: &Key, ask: &Ask, value: Value, now: u64) -> io::Result<Found> {
        let (state, space, _) = self.state(&self.place(key), || self.space(key), now)?;
        let value = in_space(value, space);
        let head = value.as_ref().map(|(head, _)| head);
        let decision = state.look(head, ask, now).unwrap_or(Decision::Idle);
        let stored = value.map(|(head, bytes)| head.stored(bytes, now));
        Ok(state.found(decision, stored, now))
    }

    fn ask(&self, key: &Key, ask: &Ask) -> io::Result<Found> {
        let (place, now) = (self.place(key), self.now());
        let before = self.read(&place, key, Want::Unless(ask.known), now)?;
        if let Some((head, _)) = &before
            && head.is_fresh_to(ask, now)
            && let Some(head) = self.space(key)?.head(*head)
            && head.is_fresh_to(ask, now)
        {
            let (_, bytes) = before.expect("it is there");
            return Ok(Found::Fresh(head.stored(bytes, now)));
        }
        if ask.owner.is_none() {
            return self.look(key, ask, before, now);
        }
        let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
        // Once more: it may have been renewed before the stripe was locked.
        let now = self.now();
        let seen = before
            .as_ref()
            .map_or(ask.known, |(head, _)| Version(head.version));
        let mut value = self.read(&place, key, Want::Unless(seen), now)?;
        if let (Some((head, bytes @ None)), Some((old, old_bytes))) = (&mut value, before)
            && head.version == old.version
        {
            *bytes = old_bytes;
        }
        let (mut state, space, moved) = self.state(&place, || self.space(key), now)?;
        let held = state.generation;
        let next = Self::next(&state, value.as_ref().map(|(head, _)| head), now);
        let value = in_space(value, space);
        let head = value.as_ref().map(|(head, _)| *head);
        let decision = state.decide(head.as_ref(), ask, next, now);
        if let Decision::Leased { new } = decision {
            if new {
                let owner = ask.owner.expect("it asked to lead");
                self.let_go(&place.own(held));
                let path = place.own(state.generation);
                let file = self.disk.temp(&place.stem)?.become_own(&path)?;
                self.owned().insert(path, (owner, file));
            }
            self.write_state(&place, &state).inspect_err(|_| {
                if new {
                    self.let_go(&place.own(state.generation));
                }
            })?;
        } else if moved {
            self.write_state(&place, &state)?;
        }
        drop(stripe);
        let stored = value.map(|(head, bytes)| head.stored(bytes, now));
        Ok(state.found(decision, stored, now))
    }

    fn place_value(&self, key: &Key, put: &Put<'_>) -> io::Result<Placed> {
        let place = self.place(key);
        let mut temp = self.disk.temp(&place.stem)?;
        temp.write_body(HEADER, &[put.bytes, key.as_bytes()])?;
        let sum = body_sum(put.bytes, key);
        let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
        let now = self.now();
        // Of a value that is not whole the header may be: for one who sets what is absent, it is.
        let want = match put.guard {
            Guarded::Absent => Want::Unless(Version::NONE),
            _ => Want::Header,
        };
        let before = self.read(&place, key, want, now)?.map(|(head, _)| head);
        let space = self.space(key)?;
        let mut state = space.state(read_state(&place.state())?.at(now));
        let held = place.own(state.generation);
        if let (Guarded::Lease(_), 0) = (put.guard, state.generation) {
            return Ok(Placed::Gone);
        }
        let next = Self::next(&state, before.as_ref(), now);
        let before = before.and_then(|head| space.head(head));
        let version = match state.place(before.as_ref(), put.guard, next) {
            Ok(version) => version,
            Err(placed) => return Ok(placed),
        };
        let header = Header {
            head: Head::new(&state, (put.age, put.fresh_for, put.keep_for), now),
            payload: put.bytes.len() as u64,
            key: key.as_bytes().len() as u64,
            sum,
        };
        temp.write_header(&header.bytes())?;
        temp.replace_value(&place.value())?;
        self.write_state(&place, &state)?;
        drop(stripe);
        self.let_go(&held);
        Ok(Placed::Stored(Version(version)))
    }

    fn change_lease(
        &self,
        key: &Key,
        grant: Grant,
        change: impl FnOnce(&mut State, bool, u64) -> bool,
    ) -> io::Result<bool> {
        let place = self.place(key);
        let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
        let now = self.now();
        let space = self.space(key)?;
        let mut state = space.state(read_state(&place.state())?.at(now));
        let value = self.read(&place, key, Want::Header, now)?;
        let kept = in_space(value, space).is_some();
        let changed = change(&mut state, kept, now);
        if changed {
            self.write_state(&place, &state)?;
        }
        drop(stripe);
        if !state.holds(grant) {
            self.let_go_own(&place.own(grant.fence.0), grant.owner);
        }
        Ok(changed)
    }

    fn make_stale(&self, key: &Key, depth: Depth, only: Version) -> io::Result<bool> {
        let place = self.place(key);
        let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
        let now = self.now();
        let path = place.value();
        let (header, head) = match read_value(&path, key, Want::Header, self.max_value)? {
            Content::Value(header, _) => (Some(header), Some(header.head.at(now))),
            Content::Nothing | Content::Corrupt => (None, None),
        };
        let head = head.filter(|head| head.is_kept(now));
        let space = self.space(key)?;
        let mut state = space.state(read_state(&place.state())?.at(now));
        let next = Self::next(&state, head.as_ref(), now);
        let head = head.and_then(|head| space.head(head));
        if !State::is_meant(head.as_ref(), only) {
            return Ok(false);
        }
        let held = place.own(state.generation);
        match head.and_then(|head| invalidated(head, depth)).zip(header) {
            Some((head, header)) => {
                let mut temp = self.disk.temp(&place.stem)?;
                temp.copy_of(&path)?;
                temp.write_header(&Header { head, ..header }.bytes())?;
                temp.replace_value(&path)?;
            }
            None => drop(self.disk.remove_value(&path)?),
        }
        state.overtake(next);
        self.write_state(&place, &state)?;
        drop(stripe);
        self.let_go(&held);
        Ok(true)
    }

    /// The next generation of a namespace. It holds no stripe of a record: what is written under the old
    /// one meanwhile bears it, and counts as what was there before.
    fn make_all_stale(&self, namespace: &str, depth: Depth) -> io::Result<()> {
        let place = Place::of_namespace(&self.directory, namespace);
        let mut temp = self.disk.temp(&place.stem)?;
        let stripe = self.disk.lock_stripe(&place.stripe, self.patience)?;
        let mut space = read_space(&place.space())?;
        space.invalidate(depth, self.now());
        temp.write_header(&layout::space_bytes(&space))?;
        temp.replace_value(&place.space())?;
        drop(stripe);
        Ok(())
    }

    /// Collects after so many writes, or so many bytes.
    fn collect_now_and_then(&self, written: u64) {
        let due = {
            let since = self.uncollected.lock();
            let mut since = since.unwrap_or_else(PoisonError::into_inner);
            since.0 += 1;
            since.1 = since.1.saturating_add(written);
            let due = since.0 >= 1024 || self.limit.is_some_and(|limit| since.1 > limit / 4);
            if due {
                *since = (0, 0);
            }
            due
        };
        if due {
            // Whoever needs it collects, and is told why it fails.
            let _ = self.collect();
        }
    }
}

impl Described for FileStore {
    fn abilities(&self) -> Abilities {
        Abilities {
            monotonic: true,
            sees_death: true,
            resend_safe: true,
            namespaces: true,
            resolution: Duration::from_nanos(2),
            max_value: self.max_value,
            ..Abilities::least()
        }
    }
}

impl Store for FileStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.ask(key, ask).map_err(failed)
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let (length, limit) = (put.bytes.len() as u64, self.max_value);
        if length > limit {
            let remedy =
                "raise it with `FileStoreBuilder::max_value`, or keep it as a file with `Files`";
            return Err(StoreError::too_large(length, limit, remedy));
        }
        let placed = self.place_value(key, put).map_err(failed)?;
        match (placed, put.guard) {
            (Placed::Stored(_), _) => self.collect_now_and_then(length),
            (_, Guarded::Lease(grant)) => {
                self.let_go_own(&self.place(key).own(grant.fence.0), grant.owner);
            }
            _ => {}
        }
        Ok(placed)
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.change_lease(key, grant, |state, _, now| state.renew(grant, lease, now))
            .map_err(failed)
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.change_lease(key, grant, |state, kept, now| {
            state.release(grant, quiet, kept, now)
        })
        .map_err(failed)
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.make_stale(key, depth, only).map_err(failed)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.make_all_stale(namespace, depth).map_err(failed)
    }

    /// Sleeps in the kernel until the owner lets go or dies. That a write has overtaken an owner who
    /// goes on is not seen: for that it polls.
    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let path = self.place(key).own(fence.0);
        let limit = poll.min(until);
        if self.owned().contains_key(&path) {
            // Of this very process, which does not wait for itself in the kernel.
            thread::sleep(limit.min(Duration::from_millis(5)));
        } else {
            self.sleepers.sleep(&path, limit);
        }
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
