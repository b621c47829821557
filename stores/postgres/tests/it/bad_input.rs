//! What a user may get wrong: each has an error that names the thing and the remedy.

use dogpile_fleet::{Answer, Ask, Depth, Guarded, Key, Store, StoreErrorKind};
use dogpile_postgres::{AsyncPostgresStore, PostgresStore, Settings};
use store_bench::{SECOND, lead, put};

use crate::server::{Server, server};

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

fn ask(url: &str, settings: Settings) -> Answer<dogpile_fleet::Found> {
    let settings = settings.timeout(SECOND * 20);
    PostgresStore::with(url, settings)
        .unwrap()
        .get_or_lease(&key(), &Ask::peek())
}

#[test]
fn addresses() {
    assert_said(
        PostgresStore::open("host"),
        StoreErrorKind::Refused,
        &["postgres://user"],
    );
    let nobody = "host=/nowhere user=app";
    assert_said(
        ask(nobody, Settings::new()),
        StoreErrorKind::Unavailable,
        &["connecting"],
    );
    let outside = AsyncPostgresStore::open("host=/nowhere user=app");
    assert_said(
        outside,
        StoreErrorKind::Refused,
        &["runtime", "PostgresStore"],
    );
}

#[test]
fn users_passwords_and_databases() {
    let server = server!();
    server.sql("CREATE USER other PASSWORD 'right'");
    let hba = server.sql("SHOW hba_file");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("local all other scram-sha-256\n{rules}")).unwrap();
    server.sql("SELECT pg_reload_conf()");
    crate::server::wait_until(|| {
        let url = format!("{} password=wrong", server.url_of("other"));
        ask(&url, Settings::new()).is_err_and(|error| error.to_string().contains("password"))
    });
    let url = |password: &str| format!("{} password={password}", server.url_of("other"));
    let words = ["password authentication failed", "check the user"];
    assert_said(
        ask(&url("wrong"), Settings::new()),
        StoreErrorKind::Refused,
        &words,
    );
    // May it not make the tables, that is said.
    let words = ["permission denied", "grant", "CREATE"];
    assert_said(
        ask(&url("right"), Settings::new()),
        StoreErrorKind::Refused,
        &words,
    );
    assert_said(
        ask(&server.url_of("nobody"), Settings::new()),
        StoreErrorKind::Refused,
        &["nobody"],
    );
    let elsewhere = server.url().replace("dbname=postgres", "dbname=nothing");
    assert_said(
        ask(&elsewhere, Settings::new()),
        StoreErrorKind::Refused,
        &["nothing", "create the database"],
    );
}

#[test]
fn tables_of_another_version_are_refused_by_name() {
    let server = server!();
    assert_said(
        ask(&server.url(), Settings::new().migrate(false)),
        StoreErrorKind::Refused,
        &["dogpile_schema", "MIGRATION"],
    );
    let drop = "DROP TABLE dogpile_schema, dogpile_spaces, dogpile_records, dogpile_values CASCADE";
    for version in ["0", "2"] {
        let settings = Settings::new().timeout(SECOND * 20);
        let open = server.store_with(settings.connections(1));
        lead(&*open, &Key::new("bad", version, 0), SECOND);
        server.sql(&format!("UPDATE dogpile_schema SET version = {version}"));
        let words = [
            &*format!("version {version}"),
            "knows version 1",
            "MIGRATION",
        ];
        assert_said(
            ask(&server.url(), Settings::new()),
            StoreErrorKind::Refused,
            &words,
        );
        // The remedy. Stores that are open notice.
        server.sql(drop);
        let gone = open.invalidate(&key(), Depth::Hard, dogpile_fleet::Version::NONE);
        assert_said(gone, StoreErrorKind::Refused, &["dogpile_", "MIGRATION"]);
        for _ in 0..2 {
            server.sql(PostgresStore::MIGRATION);
        }
        lead(&*open, &Key::new("bad", version, 0), SECOND);
    }
    server.sql("DELETE FROM dogpile_schema");
    assert_said(
        ask(&server.url(), Settings::new()),
        StoreErrorKind::Refused,
        &["of no version"],
    );
}

#[test]
fn many_who_find_no_tables_make_them_once() {
    let server = server!();
    std::thread::scope(|threads| {
        for number in 0..8u8 {
            let server = &server;
            threads.spawn(move || lead(&*server.store(), &Key::new("bad", [number], 0), SECOND));
        }
    });
    assert_eq!(
        server.sql("SELECT count(*), max(version) FROM dogpile_schema"),
        "1|1"
    );
}

#[test]
fn connections_run_out() {
    let server = server!(
        "-c",
        "max_connections=4",
        "-c",
        "superuser_reserved_connections=0"
    );
    server.sql(PostgresStore::MIGRATION);
    let others: Vec<_> = (0..4)
        .map(|_| server.store_with(Settings::new().timeout(SECOND * 20).connections(1)))
        .collect();
    for other in &others {
        other.get_or_lease(&key(), &Ask::peek()).unwrap();
    }
    let words = [
        "too many clients",
        "max_connections",
        "Settings::connections",
    ];
    assert_said(
        ask(&server.url(), Settings::new()),
        StoreErrorKind::Unavailable,
        &words,
    );
    drop(others);
    crate::server::wait_until(|| ask(&server.url(), Settings::new()).is_ok());
}

/// Whatever isolation the database prefers, the functions run as they have to; and a deadlock is tried again.
#[test]
fn a_database_that_is_serializable() {
    let server: Server = server!();
    server.sql(PostgresStore::MIGRATION);
    server.sql("ALTER DATABASE postgres SET default_transaction_isolation = serializable");
    let store = server.store_with(Settings::new().timeout(SECOND * 20).connections(8));
    let leads = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let ask = Ask::lead(dogpile_fleet::Owner::draw(), SECOND * 60);
                for number in 0..20u8 {
                    let key = Key::new("bad", [number], 0);
                    let found = store.get_or_lease(&key, &ask).expect("no failure");
                    if matches!(found, dogpile_fleet::Found::Leased { .. }) {
                        leads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(leads.into_inner(), 20);
}

#[test]
fn values_and_namespaces_that_are_too_large_or_odd() {
    let server = server!();
    let store = server.store_with(Settings::new().timeout(SECOND * 20).max_value(10));
    let large = put(Guarded::Any, &[0; 11]);
    assert_said(
        store.put(&key(), &large),
        StoreErrorKind::Refused,
        &["11 bytes", "10 bytes", "max_value"],
    );
    // A text of PostgreSQL has no zero byte, a namespace may.
    let odd = Key::new("a\0'b", [0, 255], 0);
    store.put(&odd, &put(Guarded::Any, b"odd")).unwrap();
    store.invalidate_all("a\0'b", Depth::Hard).unwrap();
    assert_eq!(store_bench::held(&*store, &odd), None);
}
