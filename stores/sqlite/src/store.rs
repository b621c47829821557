//! The store: each verb is one transaction.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dogpile::Clock;
use dogpile_fleet::record::{Decision, Head, State, invalidated};
use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Key, Placed, Put, Store,
    StoreError, Version,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::connections::Connections;
use crate::error::{Done, Trouble};
use crate::row::{self, Bytes, Record};
use crate::schema;
use crate::settings::SqliteStoreBuilder;

/// A file of SQLite that the processes of one host share.
///
/// Readers wait for nobody. Who writes waits for the one who writes at present, for the
/// [timeout](SqliteStoreBuilder::timeout) at most. No connection is held while a thread sleeps or creates.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::FleetDogpile;
/// use dogpile_sqlite::SqliteStore;
///
/// # let path = std::env::temp_dir().join(format!("dogpile-store-{}.db", std::process::id()));
/// let store = Arc::new(SqliteStore::open(&path)?);
/// let offers = FleetDogpile::builder(store, "offers", Duration::from_secs(300)).build();
/// let list = offers.get_or_try_create(|_| Ok::<_, std::io::Error>("apples".to_owned()))?;
/// # drop(list);
/// # drop(offers);
/// # std::fs::remove_file(path)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    connections: Connections,
    clock: Arc<dyn Clock>,
    max_value: u64,
}

impl SqliteStore {
    /// The tables, as statements of SQL. [`open`](SqliteStore::open) runs them where the tables are missing,
    /// unless [told not to](SqliteStoreBuilder::migrate).
    ///
    /// They may be run again, and leave tables as they are that are there. The version of the tables is the
    /// number in `dogpile_schema`.
    pub const MIGRATION: &str = schema::MIGRATION;

    /// Opens this file, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is no file of SQLite, or has tables of another version.
    pub fn open(path: impl AsRef<Path>) -> Answer<Self> {
        Self::builder(path).open()
    }

    /// Settings for a store in this file.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(PathBuf::from(path.as_ref()))
    }

    pub(crate) fn with(settings: SqliteStoreBuilder) -> Answer<Self> {
        let path = settings.path;
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(StoreError::refused(format!(
                "the path {path:?} names no file, so no other process would see it: name a file, or use `MemoryStore`"
            )));
        }
        let store = Self {
            connections: Connections::new(
                path,
                settings.timeout,
                settings.max_file,
                settings.migrate,
                settings.keep,
            ),
            clock: settings.clock,
            max_value: settings.max_value,
        };
        store.connections.with(|_| Ok(()))?;
        Ok(store)
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    /// Reads the record of a key, changes it, and writes it if `change` says so: in one transaction.
    fn change<T>(
        &self,
        key: &Key,
        mut change: impl FnMut(&mut Record, u64) -> (T, bool),
    ) -> Answer<T> {
        self.connections.with(|connection| {
            let transaction = write(connection)?;
            let (mut record, now) = row::read(&transaction, key, Bytes::None, || self.now())?;
            let (answer, changed) = change(&mut record, now);
            if changed {
                record.save(&transaction, key, None, now)?;
                transaction.commit()?;
            }
            Ok(answer)
        })
    }

    /// What an ask gets without anything being written. `None`: something has to be.
    fn look(&self, connection: &Connection, key: &Key, ask: &Ask) -> Done<Option<Found>> {
        let (mut record, now) =
            row::read(connection, key, Bytes::Unless(ask.known), || self.now())?;
        Ok(record.look(ask, now))
    }

    /// The step of an ask that may lead.
    fn lead(&self, transaction: &Transaction<'_>, key: &Key, ask: &Ask) -> Done<Found> {
        let (mut record, now) =
            row::read(transaction, key, Bytes::Unless(ask.known), || self.now())?;
        let next = record.next(now);
        let head = record.head;
        let decision = record.state.decide(head.as_ref(), ask, next, now);
        let leased = matches!(decision, Decision::Leased { .. });
        if leased || record.mended && ask.owner.is_some() {
            record.save(transaction, key, None, now)?;
        }
        Ok(record.found(decision, now))
    }

    fn ask(&self, connection: &mut Connection, key: &Key, ask: &Ask) -> Done<Found> {
        if let Some(found) = self.look(connection, key, ask)? {
            return Ok(found);
        }
        let transaction = write(connection)?;
        let found = self.lead(&transaction, key, ask)?;
        transaction.commit()?;
        Ok(found)
    }

    /// The answers to all asks. `None`: they have to be asked for one by one.
    fn ask_many(
        &self,
        connection: &mut Connection,
        asks: &[(Key, Ask)],
    ) -> Done<Option<Vec<Found>>> {
        let transaction = connection.transaction()?;
        let looks: Result<Vec<_>, Trouble> = (asks.iter())
            .map(|(key, ask)| self.look(&transaction, key, ask))
            .collect();
        drop(transaction);
        let looks = looks?;
        // Asks for one record are steps in their order: all of them, or none, are looks.
        let writes: HashSet<&Key> = (asks.iter().zip(&looks))
            .filter(|(_, found)| found.is_none())
            .map(|((key, _), _)| key)
            .collect();
        if writes.is_empty() {
            return Ok(Some(looks.into_iter().flatten().collect()));
        }
        let transaction = write(connection)?;
        let step = |((key, ask), look): (&(Key, Ask), Option<Found>)| match look {
            Some(found) if !writes.contains(key) => Ok(found),
            _ => self.lead(&transaction, key, ask),
        };
        let all: Result<Vec<_>, Trouble> = asks.iter().zip(looks).map(step).collect();
        let all = match all {
            // Which of them has no room shows when each is asked for by itself.
            Err(trouble) if trouble.is_full() => return Ok(None),
            all => all?,
        };
        match transaction.commit().map_err(Trouble::from) {
            Err(trouble) if trouble.is_full() => Ok(None),
            done => done.map(|()| Some(all)),
        }
    }
}

/// A transaction that writes: it has the lock from its beginning, so that nobody changes what it read.
fn write(connection: &mut Connection) -> Done<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.connections.path)
            .field("idle", &self.connections.count())
            .finish_non_exhaustive()
    }
}

impl Described for SqliteStore {
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::least();
        abilities.monotonic = true;
        abilities.resend_safe = true;
        abilities.namespaces = true;
        abilities.resolution = Duration::from_nanos(1);
        abilities.max_value = self.max_value;
        abilities
    }
}

impl Store for SqliteStore {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        self.connections
            .with(|connection| self.ask(connection, key, ask))
    }

    /// One transaction that reads, and one that writes if there is anything to lead.
    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        match (self.connections).with(|connection| self.ask_many(connection, asks)) {
            Ok(Some(found)) => found.into_iter().map(Ok).collect(),
            Ok(None) => (asks.iter())
                .map(|(key, ask)| self.get_or_lease(key, ask))
                .collect(),
            Err(error) => {
                let again = || StoreError {
                    kind: error.kind,
                    source: error.source.to_string().into(),
                };
                asks.iter().map(|_| Err(again())).collect()
            }
        }
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let length = put.bytes.len() as u64;
        if length > self.max_value {
            let remedy = "raise it with `SqliteStoreBuilder::max_value`";
            return Err(StoreError::too_large(length, self.max_value, remedy));
        }
        // Torn bytes are no value, which only who reads them can tell.
        let wanted = match put.guard {
            Guarded::Absent => Bytes::Unless(Version::NONE),
            _ => Bytes::None,
        };
        self.connections.with(|connection| {
            let transaction = write(connection)?;
            let (mut record, now) = row::read(&transaction, key, wanted, || self.now())?;
            if matches!(put.guard, Guarded::Lease(_)) && !record.is_there() {
                return Ok(Placed::Gone);
            }
            let (next, head) = (record.next(now), record.head);
            let version = match record.state.place(head.as_ref(), put.guard, next) {
                Ok(version) => version,
                Err(placed) => return Ok(placed),
            };
            let spans = (put.age, put.fresh_for, put.keep_for);
            record.head = Some(Head::new(&record.state, spans, now));
            record.save(&transaction, key, Some(put.bytes), now)?;
            transaction.commit()?;
            Ok(Placed::Stored(Version(version)))
        })
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        self.change(key, |record, now| {
            let renewed = record.state.renew(grant, lease, now);
            (renewed, renewed)
        })
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        self.change(key, |record, now| {
            let kept = record.head.is_some();
            let released = record.state.release(grant, quiet, kept, now);
            (released, released)
        })
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        self.change(key, |record, now| {
            let is_meant = State::is_meant(record.head.as_ref(), only);
            let changed = is_meant && record.is_there();
            if changed {
                let next = record.next(now);
                record.state.overtake(next);
                record.head = record.head.and_then(|head| invalidated(head, depth));
            }
            (is_meant, changed)
        })
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        self.connections.with(|connection| {
            let transaction = write(connection)?;
            row::invalidate_all(&transaction, namespace, depth, self.now())?;
            transaction.commit()?;
            Ok(())
        })
    }
}
