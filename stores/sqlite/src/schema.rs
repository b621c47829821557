//! The tables, and of which version they are.

use std::path::Path;

use dogpile_fleet::StoreError;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Done;

pub(crate) const MIGRATION: &str = include_str!("migration.sql");
/// That of the tables which this crate reads and writes.
pub(crate) const VERSION: i64 = 1;

/// Whether there are any.
pub(crate) fn is_there(connection: &Connection) -> Done<bool> {
    let sql = "SELECT 1 FROM sqlite_master WHERE name = 'dogpile_schema'";
    let there = connection.query_row(sql, [], |_| Ok(())).optional()?;
    Ok(there.is_some())
}

/// That they are of the version which this crate knows.
pub(crate) fn check(connection: &Connection, path: &Path) -> Done<()> {
    let sql = "SELECT version FROM dogpile_schema";
    let version: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    refuse_other(version, path)
}

/// # Errors
///
/// If it is another version.
pub(crate) fn refuse_other(version: Option<i64>, path: &Path) -> Done<()> {
    let path = path.display();
    let found = match version {
        Some(VERSION) => return Ok(()),
        Some(version) => format!("of version {version}"),
        None => "of no version".to_owned(),
    };
    let error = format!(
        "the tables of dogpile in {path} are {found}, and this program knows version {VERSION}: \
         drop the tables whose names begin with dogpile_ (they are a cache), then run `SqliteStore::MIGRATION`"
    );
    Err(StoreError::refused(error).into())
}

pub(crate) fn missing(path: &Path) -> StoreError {
    let path = path.display();
    StoreError::refused(format!(
        "{path} has no table dogpile_schema: run `SqliteStore::MIGRATION` in it, or leave `SqliteStoreBuilder::migrate` on"
    ))
}
