//! Over TCP, encrypted: in both forms, with a certificate that is trusted and one that is not.
//!
//! ```breakages
//! postgres-encrypts-nothing | stores/postgres/src/settings.rs | an_address_that_asks_for_it
//! - config.get_ssl_mode() == SslMode::Require
//! + false
//! ```

use std::sync::Arc;

use dogpile_fleet::{Ask, FleetDogpile, FleetGuard, Key, Store, StoreErrorKind};
use dogpile_postgres::{AsyncPostgresStore, PostgresStore, Settings};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use store_bench::SECOND;
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::server::{Server, server, wait_until};

/// A server that speaks TLS, and its certificate.
fn encrypted(mut server: Server) -> (Server, CertificateDer<'static>) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    server.listen_with_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    (server, own.cert.der().clone())
}

fn trusting(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots);
    MakeRustlsConnect::new(config.with_no_client_auth())
}

fn config(server: &Server) -> Config {
    (server.tcp() + " sslmode=require").parse().unwrap()
}

/// How many connections there are over TCP, and how many of them are encrypted.
fn connections(server: &Server) -> String {
    server.sql(
        "SELECT count(*), count(*) FILTER (WHERE s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.client_addr IS NOT NULL",
    )
}

fn settings() -> Settings {
    Settings::new().timeout(SECOND * 20).connections(2)
}

#[test]
fn values_leases_and_hints_are_encrypted() {
    let (server, certificate) = encrypted(server!());
    let store = || {
        let tls = trusting([certificate.clone()]);
        Arc::new(PostgresStore::with_tls(config(&server), tls, settings()).unwrap())
    };
    let (here, there) = (store(), store());
    let pile = |store: &Arc<PostgresStore>| {
        FleetDogpile::builder(Arc::clone(store), "key", SECOND * 3600)
            .watched()
            .build()
    };
    let (a, b) = (pile(&here), pile(&there));
    let made = a
        .get_or_try_create(|_| Ok::<_, String>("made".to_owned()))
        .unwrap();
    let found = b
        .get_or_try_create(|_| Err("made twice".to_owned()))
        .unwrap();
    assert_eq!(FleetGuard::version(&made), FleetGuard::version(&found));
    // The hints of writes come over a connection that is encrypted too: of a copy that is fresh for an hour
    // nothing else tells that it is old.
    wait_until(|| {
        a.set("newer".to_owned()).unwrap();
        let copy = b.get_or_try_create(|_| Err("made twice".to_owned()));
        copy.unwrap().as_str() == "newer"
    });
    let counts = connections(&server);
    let (all, encrypted) = counts.split_once('|').unwrap();
    assert_eq!(all, encrypted);
    assert!(all.parse::<u32>().unwrap() >= 4, "{counts}");
}

#[test]
fn of_tasks_too() {
    let (server, certificate) = encrypted(server!());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let tls = trusting([certificate]);
        let store = AsyncPostgresStore::with_tls(config(&server), tls, settings()).unwrap();
        let pile = FleetDogpile::builder(Arc::new(store), "key", SECOND * 60).build();
        let made = pile.get_or_try_create_async(|_| async { Ok::<_, String>("made".to_owned()) });
        assert_eq!(made.await.unwrap().as_str(), "made");
        assert_eq!(pile.stats().stored, 1);
    });
    drop(runtime);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, _) = encrypted(server!());
    let store = PostgresStore::with_tls(config(&server), trusting([]), settings()).unwrap();
    let key = Key::new("test", "key", 0);
    let error = store.get_or_lease(&key, &Ask::peek()).unwrap_err();
    let text = error.source.to_string();
    assert!(text.contains("certificate"), "{text}");
    assert_eq!(connections(&server), "0|0");
}

#[test]
fn a_server_that_asks_for_it_is_named_with_the_remedy() {
    let (server, _) = encrypted(server!());
    let store = PostgresStore::with(&server.tcp(), settings()).unwrap();
    let key = Key::new("test", "key", 0);
    let error = store.get_or_lease(&key, &Ask::peek()).unwrap_err();
    let text = error.source.to_string();
    assert_eq!(error.kind, StoreErrorKind::Refused, "{text}");
    assert!(text.contains("with_tls"), "{text}");
}

#[test]
fn an_address_that_asks_for_it_is_refused_where_nothing_encrypts() {
    let url = "postgres://app@db.example/app?sslmode=require";
    let errors = [
        PostgresStore::open(url).err().unwrap(),
        AsyncPostgresStore::open(url).err().unwrap(),
    ];
    for error in errors {
        let text = error.source.to_string();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{text}");
        assert!(text.contains("with_tls"), "{text}");
    }
}
