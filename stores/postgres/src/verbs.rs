//! What goes to the functions of the migration, and what their answers mean, without any I/O.

use std::time::Duration;

use dogpile_fleet::record::checksum;
use dogpile_fleet::{Answer, Ask, Found, Grant, Guarded, Key, Placed, StoreError, Stored, Version};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connections::Request;

pub(crate) const ASK: &str = "SELECT * FROM dogpile_ask($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const PUT: &str =
    "SELECT * FROM dogpile_put($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
pub(crate) const RENEW: &str = "SELECT dogpile_renew($1, $2, $3, $4, $5)";
pub(crate) const RELEASE: &str = "SELECT dogpile_release($1, $2, $3, $4, $5, $6)";
pub(crate) const INVALIDATE: &str = "SELECT dogpile_invalidate($1, $2, $3, $4, $5)";
pub(crate) const INVALIDATE_ALL: &str = "SELECT dogpile_invalidate_all($1, $2, $3)";

/// A span in microseconds, never cut to nothing: two of them added to a time are a number of the server's.
pub(crate) fn micros(span: Duration) -> i64 {
    let micros = span.as_nanos().div_ceil(1000);
    i64::try_from(micros).unwrap_or(i64::MAX).min(i64::MAX / 8)
}

/// How the functions call a record, and its namespace.
pub(crate) fn names(key: &Key) -> (&[u8], &[u8]) {
    (key.as_bytes(), key.namespace().as_bytes())
}

/// A version as the server has it.
pub(crate) fn number(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

pub(crate) fn sum(bytes: &[u8]) -> i64 {
    checksum(0, bytes).cast_signed()
}

/// The arguments of asks, a column each.
pub(crate) struct Asks {
    keys: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
    owners: Vec<Option<Vec<u8>>>,
    leases: Vec<i64>,
    knowns: Vec<i64>,
    floors: Vec<i64>,
    aheads: Vec<bool>,
    intervals: Vec<i64>,
}

impl Asks {
    pub(crate) fn new<'a>(asks: impl Iterator<Item = (&'a Key, &'a Ask)> + Clone) -> Self {
        let each = || asks.clone();
        Self {
            keys: each().map(|(key, _)| key.as_bytes().to_vec()).collect(),
            names: each().map(|(key, _)| key.namespace().into()).collect(),
            owners: each()
                .map(|(_, ask)| Some(ask.owner?.0.to_be_bytes().to_vec()))
                .collect(),
            leases: each().map(|(_, ask)| micros(ask.lease)).collect(),
            knowns: each().map(|(_, ask)| number(ask.known)).collect(),
            floors: each().map(|(_, ask)| number(ask.floor)).collect(),
            aheads: each().map(|(_, ask)| ask.ahead).collect(),
            intervals: each().map(|(_, ask)| micros(ask.interval)).collect(),
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            sql: ASK,
            arguments: vec![
                (&self.keys, Type::BYTEA_ARRAY),
                (&self.names, Type::BYTEA_ARRAY),
                (&self.owners, Type::BYTEA_ARRAY),
                (&self.leases, Type::INT8_ARRAY),
                (&self.knowns, Type::INT8_ARRAY),
                (&self.floors, Type::INT8_ARRAY),
                (&self.aheads, Type::BOOL_ARRAY),
                (&self.intervals, Type::INT8_ARRAY),
            ],
        }
    }
}

/// The arguments of a [`Put`](dogpile_fleet::Put) that say on what condition it is carried out.
pub(crate) fn guard(guard: Guarded) -> (&'static str, Option<Vec<u8>>, i64) {
    match guard {
        Guarded::Lease(grant) => ("L", Some(owner(grant)), fence(grant)),
        Guarded::Absent => ("A", None, 0),
        Guarded::Version(version) => ("V", None, number(version)),
        Guarded::Any => ("*", None, 0),
    }
}

pub(crate) fn owner(grant: Grant) -> Vec<u8> {
    grant.owner.0.to_be_bytes().to_vec()
}

pub(crate) fn fence(grant: Grant) -> i64 {
    number(grant.fence)
}

fn garbled(what: impl std::fmt::Display) -> StoreError {
    StoreError::protocol(format!(
        "the functions dogpile_* of the server are not those of this crate ({what}): run `PostgresStore::MIGRATION`"
    ))
}

fn get<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, column: &str) -> Answer<T> {
    row.try_get(column).map_err(garbled)
}

fn unsigned(row: &Row, column: &str) -> Answer<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(garbled)
}

fn span(row: &Row, column: &str) -> Answer<Duration> {
    unsigned(row, column).map(Duration::from_micros)
}

/// What an ask came to, or that its bytes are torn: then whatever is there is no value.
pub(crate) enum Told {
    Found(Found),
    /// A fresh one, of this version.
    Torn(Version),
}

/// One answer for each ask, in their order.
pub(crate) fn told(rows: &[Row], asks: &[(Key, Ask)]) -> Vec<Answer<Told>> {
    let mut told: Vec<_> = (asks.iter())
        .map(|_| Err(garbled("an answer is missing")))
        .collect();
    for row in rows {
        let at = get::<i32>(row, "o_at")
            .ok()
            .and_then(|at| usize::try_from(at - 1).ok());
        if let Some(at) = at.filter(|at| *at < asks.len()) {
            told[at] = told_one(row, &asks[at].1);
        }
    }
    told
}

fn told_one(row: &Row, ask: &Ask) -> Answer<Told> {
    let fence = Version(unsigned(row, "o_fence")?);
    let retry_in = span(row, "o_wait")?;
    let failures = u32::try_from(get::<i32>(row, "o_failures")?).map_err(garbled)?;
    let (stored, torn) = match get::<Option<i64>>(row, "o_version")? {
        None => (None, None),
        Some(_) => {
            let version = Version(unsigned(row, "o_version")?);
            let bytes: Option<&[u8]> = get(row, "o_bytes")?;
            let whole = match bytes {
                None => version == ask.known,
                Some(bytes) => sum(bytes) == get::<i64>(row, "o_checksum")?,
            };
            let stored = Stored {
                bytes: bytes.map(<[u8]>::to_vec),
                version,
                age: span(row, "o_age")?,
                fresh_for: span(row, "o_fresh")?,
                over_for: span(row, "o_over")?,
                expired: get(row, "o_expired")?,
            };
            match whole {
                true => (Some(stored), None),
                false => (None, Some(version)),
            }
        }
    };
    let found = match (get::<&str>(row, "o_kind")?, stored) {
        ("F", Some(stored)) => Found::Fresh(stored),
        ("F", None) => return Ok(Told::Torn(torn.unwrap_or_default())),
        ("L", stale) => Found::Leased {
            fence,
            stale,
            failures,
        },
        ("B", stale) => Found::Busy {
            fence,
            stale,
            retry_in,
        },
        ("Q", stale) => Found::Quiet { stale, retry_in },
        ("I", stale) => Found::Idle { stale },
        (other, _) => return Err(garbled(other)),
    };
    Ok(Told::Found(found))
}

fn one(rows: &[Row]) -> Answer<&Row> {
    rows.first().ok_or_else(|| garbled("no row"))
}

pub(crate) fn placed(rows: &[Row]) -> Answer<Placed> {
    let row = one(rows)?;
    let version = Version(unsigned(row, "o_version")?);
    match get(row, "o_kind")? {
        "S" => Ok(Placed::Stored(version)),
        "R" => Ok(Placed::Refused(version)),
        "G" => Ok(Placed::Gone),
        other => Err(garbled(other)),
    }
}

pub(crate) fn done(rows: &[Row]) -> Answer<bool> {
    one(rows)?.try_get(0).map_err(garbled)
}

pub(crate) type Argument<'a> = (&'a (dyn ToSql + Sync), Type);
