//! What a user may get wrong: each has an error that names the thing and the remedy.

use dogpile_fleet::{Answer, Ask, Key, Store, StoreErrorKind};
use dogpile_sqlite::SqliteStore;
use store_bench::{SECOND, held, lead};

use crate::bench::File;

fn key() -> Key {
    Key::new("bad", "key", 0)
}

#[track_caller]
fn assert_said<T: std::fmt::Debug>(answer: Answer<T>, kind: StoreErrorKind, words: &[&str]) {
    let error = answer.expect_err("an error");
    let said = error.to_string();
    assert_eq!(error.kind, kind, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn paths_that_name_no_file() {
    let file = File::new();
    for path in ["", ":memory:"] {
        assert_said(
            SqliteStore::open(path),
            StoreErrorKind::Refused,
            &["MemoryStore"],
        );
    }
    let directory = file.scratch.path();
    let words = ["cannot be opened", directory.to_str().unwrap()];
    assert_said(
        SqliteStore::open(directory),
        StoreErrorKind::Unavailable,
        &words,
    );
    let nowhere = directory.join("nowhere/fleet.db");
    assert_said(
        SqliteStore::open(nowhere),
        StoreErrorKind::Unavailable,
        &["nowhere", "directory"],
    );
}

#[test]
fn a_file_of_something_else() {
    let file = File::new();
    std::fs::write(
        file.path(),
        "a text that is long enough to be looked at ".repeat(100),
    )
    .unwrap();
    assert_said(
        file.builder().open(),
        StoreErrorKind::Protocol,
        &["fleet.db", "no file of SQLite", "remove"],
    );
    // It is left as it was.
    assert!(
        std::fs::read_to_string(file.path())
            .unwrap()
            .starts_with("a text")
    );
}

#[test]
fn tables_of_another_version_are_refused_by_name() {
    for version in ["0", "2"] {
        let file = File::new();
        let open = file.store();
        lead(&*open, &key(), SECOND);
        file.sql(&format!("UPDATE dogpile_schema SET version = {version}"));
        let words = [
            &*format!("version {version}"),
            "knows version 1",
            "fleet.db",
            "MIGRATION",
        ];
        assert_said(file.builder().open(), StoreErrorKind::Refused, &words);
        // So are those that another program put there meanwhile.
        let ask = Ask::peek();
        assert_said(
            open.get_or_lease(&key(), &ask),
            StoreErrorKind::Refused,
            &words,
        );
        assert_said(
            open.invalidate_all("bad", dogpile_fleet::Depth::Hard),
            StoreErrorKind::Refused,
            &words,
        );
        // The remedy.
        file.sql("DROP TABLE dogpile_schema; DROP TABLE dogpile_spaces; DROP TABLE dogpile_records; DROP TABLE dogpile_values");
        file.sql(SqliteStore::MIGRATION);
        lead(&*open, &key(), SECOND);
    }
    let file = File::new();
    drop(file.store());
    file.sql("DELETE FROM dogpile_schema");
    assert_said(
        file.builder().open(),
        StoreErrorKind::Refused,
        &["of no version"],
    );
}

#[test]
fn tables_of_somebody_else() {
    let file = File::new();
    file.sql("CREATE TABLE dogpile_records (id INTEGER, key BLOB, ends INTEGER)");
    let store = file.store();
    assert_said(
        store.get_or_lease(&key(), &Ask::peek()),
        StoreErrorKind::Refused,
        &["dogpile_", "MIGRATION"],
    );
}

#[test]
fn the_migration_is_the_users_to_run_beside_tables_of_his() {
    let file = File::new();
    let own = || file.builder().migrate(false).open();
    assert_said(own(), StoreErrorKind::Unavailable, &["fleet.db"]);
    file.sql("CREATE TABLE mine (number INTEGER)");
    assert_said(
        own(),
        StoreErrorKind::Refused,
        &["dogpile_schema", "MIGRATION"],
    );
    for _ in 0..2 {
        file.sql(SqliteStore::MIGRATION);
    }
    lead(&own().unwrap(), &key(), SECOND);
    file.sql("INSERT INTO mine VALUES (1)");
}

#[test]
fn tables_that_are_dropped_while_a_store_is_open_are_made_again() {
    let file = File::new();
    let store = file.store();
    lead(&*store, &key(), SECOND);
    file.sql("DROP TABLE dogpile_records; DROP TABLE dogpile_schema");
    assert_said(
        store.get_or_lease(&key(), &Ask::peek()),
        StoreErrorKind::Refused,
        &["MIGRATION"],
    );
    assert_eq!(held(&*store, &key()), None);
    lead(&*store, &key(), SECOND);
}

#[test]
fn a_value_that_is_too_large_names_the_limit() {
    let file = File::new();
    let store = file.builder().max_value(10).open().unwrap();
    let put = store_bench::put(dogpile_fleet::Guarded::Any, &[0; 11]);
    assert_said(
        store.put(&key(), &put),
        StoreErrorKind::Refused,
        &["11 bytes", "10 bytes", "max_value"],
    );
}
