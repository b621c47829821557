//! A record as it stands in the tables.

use dogpile_fleet::record::{self, Head, Space, State, checksum};
use dogpile_fleet::{Ask, Depth, Found, Key, Stored, Version};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::error::Done;
use crate::schema;

/// A record that holds nothing is kept for so long, for the order of its numbers.
const REST: u64 = 10_000_000_000;

/// Which bytes are to be read.
#[derive(Clone, Copy)]
pub(crate) enum Bytes {
    /// None: it does not matter whether they are whole.
    None,
    Unless(Version),
}

const READ: &str = "
SELECT (SELECT version FROM dogpile_schema), s.name IS NOT NULL, s.generation, s.removed, r.id,
  r.generation, r.owner, r.leased_until, r.began, r.quiet_until, r.failures, r.worth_until, r.space,
  r.version, r.made, r.placed, r.fresh_until, r.kept_until, r.expired, r.value_space, r.checksum,
  v.id IS NOT NULL, CASE WHEN ?3 AND r.version IS NOT ?4 THEN v.bytes END
FROM (SELECT 1)
LEFT JOIN dogpile_spaces s ON s.name = ?1
LEFT JOIN dogpile_records r ON r.key = ?2
LEFT JOIN dogpile_values v ON v.id = r.id";

const WRITE: &str = "
INSERT OR REPLACE INTO dogpile_records (id, key, generation, owner, leased_until, began, quiet_until, failures,
  worth_until, space, version, made, placed, fresh_until, kept_until, expired, value_space, checksum, ends)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// Each verb that may add a record removes two that are over.
const SWEEP: &str = "
DELETE FROM dogpile_records WHERE id IN
  (SELECT id FROM dogpile_records WHERE ends < ?1 AND key <> ?2 ORDER BY ends LIMIT 2)";

/// What the tables say, unjudged.
struct Read {
    id: Option<i64>,
    state: Option<State>,
    head: Option<(Head, i64)>,
    /// `None`: it cannot be understood, so nobody knows what was invalidated.
    space: Option<Space>,
    /// Whether there is a value, of which the bytes may not have been wanted.
    valued: bool,
    bytes: Option<Vec<u8>>,
}

/// A record at a time.
pub(crate) struct Record {
    id: Option<i64>,
    pub(crate) state: State,
    pub(crate) head: Option<Head>,
    sum: i64,
    bytes: Option<Vec<u8>>,
    valued: bool,
    /// Whether it has to be written before anybody leads: the clock was put back, or the namespace's
    /// generation was lost.
    pub(crate) mended: bool,
    lost_space: bool,
}

/// A number of ours. None, if it is another's.
fn number(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// SQLite has whole numbers up to 2^63: in nanoseconds the year 2262.
fn fits(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn sum(version: u64, bytes: &[u8]) -> i64 {
    checksum(version, bytes).cast_signed()
}

fn read_state(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<State>> {
    let of = |column| row.get_ref(column).map(number);
    let owner = match row.get_ref(6)? {
        ValueRef::Null => Some(0),
        ValueRef::Blob(owner) => owner.try_into().ok().map(u128::from_be_bytes),
        _ => None,
    };
    let words = [of(5)?, of(7)?, of(8)?, of(9)?, of(10)?, of(11)?, of(12)?];
    let [
        Some(generation),
        Some(until),
        Some(began),
        Some(quiet_until),
        Some(failures),
        Some(worth_until),
        Some(space),
    ] = words
    else {
        return Ok(None);
    };
    Ok(owner.map(|owner| State {
        generation,
        owner,
        until,
        began,
        quiet_until,
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        worth_until,
        space,
    }))
}

fn read_head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<(Head, i64)>> {
    let of = |column| row.get_ref(column).map(number);
    let whole = |column| match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => Ok(Some(number)),
        Ok(_) => Ok(None),
        Err(error) => Err(error),
    };
    let words = [of(13)?, of(15)?, of(16)?, of(17)?, of(18)?, of(19)?];
    let [
        Some(version @ 1..),
        Some(placed),
        Some(fresh_until),
        Some(kept_until),
        Some(expired @ 0..=1),
        Some(space),
    ] = words
    else {
        return Ok(None);
    };
    let (Some(made), Some(sum)) = (whole(14)?, whole(20)?) else {
        return Ok(None);
    };
    let head = Head {
        version,
        made: i128::from(made),
        placed,
        fresh_until,
        kept_until,
        expired: expired == 1,
        space,
    };
    Ok(Some((head, sum)))
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Option<i64>, Read)> {
    let space = match row.get::<_, bool>(1)? {
        false => Some(Space::default()),
        true => match (number(row.get_ref(2)?), number(row.get_ref(3)?)) {
            (Some(generation), Some(removed)) => Some(Space {
                generation,
                removed,
            }),
            _ => None,
        },
    };
    let state = read_state(row)?;
    let read = Read {
        id: row.get(4)?,
        // One that nobody here wrote counts as none, and is replaced.
        head: match state {
            Some(_) => read_head(row)?,
            None => None,
        },
        state,
        space,
        valued: row.get(21)?,
        bytes: match row.get_ref(22)? {
            ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        },
    };
    let version = match row.get_ref(0)? {
        ValueRef::Integer(version) => Some(version),
        _ => None,
    };
    Ok((version, read))
}

/// In place of a generation that was lost: nobody knows what was invalidated, so nothing may come back. Above those
/// that were, also if the last one is of this very microsecond.
fn anew(now: u64) -> Space {
    let generation = now / 1000 + 1;
    Space {
        generation,
        removed: generation,
    }
}

/// What every verb begins with: the record of a key at this time. One statement, so all of it is of one moment.
pub(crate) fn read(
    connection: &Connection,
    key: &Key,
    wanted: Bytes,
    now: impl Fn() -> u64,
) -> Done<(Record, u64)> {
    let (want, known) = match wanted {
        Bytes::None => (false, 0),
        Bytes::Unless(known) => (true, fits(known.0)),
    };
    let mut statement = connection.prepare_cached(READ)?;
    let (version, read) = statement.query_row(
        params![key.namespace(), key.as_bytes(), want, known],
        read_row,
    )?;
    if version != Some(schema::VERSION) {
        let path = connection.path().unwrap_or_default();
        schema::refuse_other(version, path.as_ref())?;
    }
    // After what was written, or the clock would seem to have been put back.
    let now = now();
    Ok((Record::at(read, wanted, now), now))
}

impl Record {
    fn at(read: Read, wanted: Bytes, now: u64) -> Self {
        let lost_space = read.space.is_none();
        let space = read.space.unwrap_or_else(|| anew(now));
        let stood = read.state.unwrap_or_default();
        let moved = stood.at(now);
        let bytes = read.bytes;
        let is_whole = |head: &Head, told: i64| match wanted {
            Bytes::None => true,
            Bytes::Unless(known) if known.0 == head.version => true,
            Bytes::Unless(_) => {
                let bytes = bytes.as_ref();
                bytes.is_some_and(|bytes| sum(head.version, bytes) == told)
            }
        };
        let kept = read.head.and_then(|(head, told)| {
            let whole = read.valued && is_whole(&head, told);
            let head = space.head(head.at(now))?;
            (whole && head.is_kept(now)).then_some((head, told))
        });
        Self {
            id: read.id,
            state: space.state(moved),
            head: kept.map(|(head, _)| head),
            sum: kept.map_or(0, |(_, told)| told),
            bytes: bytes.filter(|_| kept.is_some()),
            valued: read.valued,
            mended: moved != stood || lost_space,
            lost_space,
        }
    }

    /// Whether there is a row.
    pub(crate) fn is_there(&self) -> bool {
        self.id.is_some()
    }

    /// What a caller gets without anything being written. `None`: something has to be.
    pub(crate) fn look(&mut self, ask: &Ask, now: u64) -> Option<Found> {
        let decision = self.state.look(self.head.as_ref(), ask, now)?;
        let writes = matches!(decision, record::Decision::Leased { .. });
        // A lease whose end moved back with the clock would move on with it, if nobody wrote it down.
        if writes || self.mended && ask.owner.is_some() {
            return None;
        }
        Some(self.found(decision, now))
    }

    /// The answer, with the bytes that were read.
    pub(crate) fn found(&mut self, decision: record::Decision, now: u64) -> Found {
        let stored = self.stored(now);
        self.state.found(decision, stored, now)
    }

    fn stored(&mut self, now: u64) -> Option<Stored> {
        let bytes = self.bytes.take();
        self.head.map(|head| head.stored(bytes, now))
    }

    /// A number that it has not seen. With the clock in it, also above those of one that was forgotten.
    pub(crate) fn next(&self, now: u64) -> u64 {
        (self.state.generation + 1).max(now / 1000)
    }

    /// Writes it, and the value if there is a new one. It runs in a transaction.
    pub(crate) fn save(
        &mut self,
        connection: &Connection,
        key: &Key,
        value: Option<&[u8]>,
        now: u64,
    ) -> Done<()> {
        if self.lost_space {
            self.save_space(connection, key)?;
        }
        if self.id.is_none() || value.is_some() {
            let mut sweep = connection.prepare_cached(SWEEP)?;
            sweep.execute(params![fits(now), key.as_bytes()])?;
        }
        let (state, head) = (&self.state, self.head.as_ref());
        if let (Some(head), Some(bytes)) = (head, value) {
            self.sum = sum(head.version, bytes);
        }
        let owner = (state.owner != 0).then(|| state.owner.to_be_bytes());
        let leased = owner.map_or(0, |_| state.until);
        let kept = head.map_or(0, |head| head.kept_until);
        let ends = (now.saturating_add(REST))
            .max(leased)
            .max(state.worth_until)
            .max(kept);
        // Before the clock's zero there is room enough.
        let made = head.map(|head| i64::try_from(head.made).unwrap_or(i64::MIN));
        let mut write = connection.prepare_cached(WRITE)?;
        write.execute(params![
            self.id,
            key.as_bytes(),
            fits(state.generation),
            owner,
            fits(state.until),
            fits(state.began),
            fits(state.quiet_until),
            state.failures,
            fits(state.worth_until),
            fits(state.space),
            head.map(|head| fits(head.version)),
            made,
            head.map(|head| fits(head.placed)),
            head.map(|head| fits(head.fresh_until)),
            head.map(|head| fits(head.kept_until)),
            head.map(|head| head.expired),
            head.map(|head| fits(head.space)),
            head.map(|_| self.sum),
            fits(ends),
        ])?;
        let id = *self
            .id
            .get_or_insert_with(|| connection.last_insert_rowid());
        match (head, value) {
            (Some(_), Some(bytes)) => {
                let sql = "INSERT OR REPLACE INTO dogpile_values (id, bytes) VALUES (?1, ?2)";
                connection
                    .prepare_cached(sql)?
                    .execute(params![id, bytes])?;
            }
            (None, _) if self.valued => {
                let sql = "DELETE FROM dogpile_values WHERE id = ?1";
                connection.prepare_cached(sql)?.execute([id])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A generation that was lost begins anew, with nothing in it.
    fn save_space(&self, connection: &Connection, key: &Key) -> Done<()> {
        let generation = self.state.space;
        let space = Space {
            generation,
            removed: generation,
        };
        write_space(connection, key.namespace(), space)
    }
}

/// All that there is in a namespace is stale from now on, or gone. It runs in a transaction.
pub(crate) fn invalidate_all(
    connection: &Connection,
    namespace: &str,
    depth: Depth,
    now: u64,
) -> Done<()> {
    schema::check(connection, connection.path().unwrap_or_default().as_ref())?;
    let sql = "SELECT generation, removed FROM dogpile_spaces WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([namespace])?;
    let space = match rows.next()? {
        None => {
            let mut space = Space::default();
            space.invalidate(depth, now);
            space
        }
        Some(row) => match (number(row.get_ref(0)?), number(row.get_ref(1)?)) {
            (Some(generation), Some(removed)) => {
                let mut space = Space {
                    generation,
                    removed,
                };
                space.invalidate(depth, now);
                space
            }
            _ => anew(now),
        },
    };
    write_space(connection, namespace, space)
}

fn write_space(connection: &Connection, namespace: &str, space: Space) -> Done<()> {
    let sql =
        "INSERT OR REPLACE INTO dogpile_spaces (name, generation, removed) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![
        namespace,
        fits(space.generation),
        fits(space.removed)
    ])?;
    Ok(())
}
